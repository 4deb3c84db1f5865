"""The load generator as an operator would run it: on one end of a veth, against a real server, with keys by NTS-KE."""

import json
import os
import signal
import subprocess
import time

import pytest

from lab import network
from lab.lab import ROOT
from lab_server import running, settled

LOAD = ROOT / "build" / "bench" / "load" / "load"
RATE = 2000  # a second: far below what a busy machine carries


@pytest.fixture(scope="module", name="lab")
def fixture_lab():
    with running("load") as lab:
        yield lab


def link(namespace, device):
    done = subprocess.run(["ip", "-n", namespace, "-j", "link", "show", device], capture_output=True, check=True)
    return json.loads(done.stdout)[0]["address"]


def start(lab, *words, way="dpdk", to=network.SERVER_IPV4):
    """The generator in the client's namespace, with what every run of it needs."""
    words = ["--to", to, "--core", str(min(os.sched_getaffinity(0))), "--tolerance", "10", "--rate", str(RATE), *words]
    if way == "sockets":
        words += ["--sockets", "--sources", "16"]
    else:
        words += ["--device", f"af_packet:{network.CLIENT_DEVICE}", "--ordinary-memory", "--from", network.CLIENT_IPV4,
                  "--server-mac", link(lab.server_namespace, network.SERVER_DEVICE)]
    (lab.state / "load.log").unlink(missing_ok=True)
    return lab.start_inside_client(LOAD, *words, log=lab.state / "load.log")


def figures(lab):
    words = (line.partition("=") for line in (lab.state / "load.log").read_text().splitlines())
    return {name: int(value) for name, _, value in words if value.isdigit()}


def answers_of(lab, kind):
    return settled(lab)["nts"].get(f"answer_{kind}", 0)


@pytest.mark.parametrize("way", ["dpdk", "sockets"])
@pytest.mark.parametrize("kind", ["plain", "nts"])
def test_every_answer_of_a_real_server_is_right_and_in_its_counters(lab, kind, way):
    """With NTS the server would rather give keys of another AEAD than the generator speaks."""
    keys = ["--ke", network.SERVER_IPV4, "--ca", lab.ca] if kind == "nts" else []
    before = answers_of(lab, kind)
    process = start(lab, *keys, "--seconds", "2", way=way)
    assert process.wait(60) == 0, (lab.state / "load.log").read_text()
    seen, served = figures(lab), answers_of(lab, kind) - before
    assert seen["answered"] > 0 and seen["wrong"] == 0, seen
    assert seen["sent"] == seen["answered"] + seen["lost"]
    assert seen["cookies_reused"] == (seen["answered"] // 1024 if kind == "nts" else 0)
    assert 0 < seen["latency_p50_ns"] <= seen["latency_p99_ns"] <= seen["latency_max_ns"]
    # Each request that was not lost on the way is one answer of the server's.
    assert seen["answered"] + seen["late"] <= served <= seen["sent"] + seen["probes"], (seen, served)
    if seen["lost"] == 0 and seen["probes"] == 1:
        assert served == seen["sent"] + seen["probes"]


def test_the_sockets_speak_IPv6(lab):
    process = start(lab, "--seconds", "0.5", way="sockets", to=network.SERVER_IPV6)
    assert process.wait(60) == 0, (lab.state / "load.log").read_text()
    assert figures(lab)["answered"] > 0


@pytest.mark.parametrize("words, complaint", [
    (["--device", "vdev:net_null0"], "--server-mac"), (["--sockets", "--from", "fd00:123::2"], "family"), ([], "--device"),
    (["--sockets", "--seconds", "nan"], "no number"), (["--sockets", "--rate", "nan"], "no number")])
def test_wrong_words_are_told_before_anything_is_done(words, complaint):
    done = subprocess.run([LOAD, "--to", network.SERVER_IPV4, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and complaint in done.stderr, done.stderr


def test_an_interrupt_ends_it_with_a_report(lab):
    process = start(lab, "--seconds", "600")
    wait_until_served(lab, 100)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0, (lab.state / "load.log").read_text()
    assert figures(lab)["answered"] > 0


def wait_until_served(lab, answers):
    begin = lab.ask("counters")["dataplane"]["nts"].get("answer_plain", 0)
    deadline = time.monotonic() + 30
    while lab.ask("counters")["dataplane"]["nts"].get("answer_plain", 0) < begin + answers:
        assert time.monotonic() < deadline, "the load did not begin"
        time.sleep(0.1)
