"""bench/compare on every server there is, a fraction of a second each: its structure, that nothing was wrong, and that
it leaves nothing behind. Never its rates."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from lab import network, ntpsec, processes
from lab.lab import ROOT, STATE, clean_leftovers
from lab_server import require_namespaces
from polling import comes_true

COMMAND = ["/usr/bin/python3", "-m", "side_by_side"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}/configs:{ROOT}/bench", "PYTHONDONTWRITEBYTECODE": "1",
               "PYTHONSAFEPATH": "1"}
SERVERS = ["chronyd", "ntpd", "noonmark_af_packet", "noonmark_af_xdp", "socket"]
NAMES = ["pps", "cpu_ns", "latency_p50_ns", "latency_p99_ns", "flat_pps", "flat_cpu_ns"]


@pytest.fixture(autouse=True)
def fixture_root():
    require_namespaces()
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("server and generator need a CPU each")


def leftovers():
    return [name for name in network.namespaces() if "compare" in name] + [
        str(path) for path in (STATE / "compare", Path("/dev/shm/noonmark-compare")) if path.exists()]


def test_every_server_answers_rightly_and_nothing_stays():
    clock = ntpsec.kernel_clock()
    done = subprocess.run([*COMMAND, "--seconds", "0.1", "--rounds", "1", "--points", "1"], env=ENVIRONMENT,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    said = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert list(said) == [f"compare_{server}_{kind}_{name}" for server in SERVERS for kind in ("plain", "nts")
                          for name in NAMES] + ["compare_wrong"], done.stderr
    assert said["compare_wrong"] == "0"
    for server in SERVERS:
        for kind in ("plain", "nts"):
            assert int(said[f"compare_{server}_{kind}_flat_pps"]) > 0, done.stderr
            assert int(said[f"compare_{server}_{kind}_flat_cpu_ns"]) > 0, done.stderr
        assert f"{server} " in done.stderr
    assert leftovers() == []
    assert ntpsec.kernel_clock() == clock, "nobody touched the kernel's clock"


def test_a_server_that_is_not_there_is_left_out_with_the_reason(tmp_path):
    broken = tmp_path / "sitecustomize.py"  # read by Python before anything else
    broken.write_text("from pathlib import Path\nfrom lab import peers\npeers.CACHES = [Path('/dev/null/none'), Path('/dev/null/nothing')]\n")
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{tmp_path}:{ENVIRONMENT['PYTHONPATH']}"}
    done = subprocess.run([*COMMAND, "--servers", "chronyd,socket", "--only", "plain", "--seconds", "0.1", "--rounds",
                           "1", "--points", "1"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "compare_chronyd_plain_pps=skipped" in done.stdout
    assert "compare_socket_plain_flat_pps=" in done.stdout
    assert "left out: chronyd" in done.stderr and "/dev/null/none" in done.stderr
    assert leftovers() == []


def test_an_interrupt_leaves_nothing():
    process = subprocess.Popen([*COMMAND, "--servers", "chronyd", "--seconds", "60", "--rounds", "1"], env=ENVIRONMENT,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    family = []
    try:
        assert comes_true(lambda: process.poll() is not None or has_begun(process), 60), "a server, and a load that lasts"
        family = processes.children(process.pid)
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=120)
        assert process.returncode == 1 and "interrupted" in text, text
        assert len(family) >= 2 and not [one for one in family if processes.is_running(*one)], "all have ended"
    finally:
        family += processes.children(process.pid)
        process.kill()
        process.wait()
        process.stdout.close()
        processes.stop_pairs(family)
        clean_leftovers("compare")
    assert leftovers() == []


def has_begun(process):
    """The load of a minute goes on: whoever was to be started has been, and nobody is in the middle of it."""
    words = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid, _ in processes.children(process.pid)]
    return (any(b"--seconds\x0060" in one for one in words) and
            "begun=1" in (STATE / "compare" / "load.log").read_text(encoding="utf-8"))


@pytest.mark.parametrize("server", ["chronyd", "ntpd", "socket"])
def test_a_server_dies_with_a_bench_that_is_killed(server):
    """Another uid than its parent's takes the kernel's promise to do so away (prctl(2), PR_SET_PDEATHSIG)."""
    process = subprocess.Popen([*COMMAND, "--servers", server, "--seconds", "60", "--rounds", "1"], env=ENVIRONMENT,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert comes_true(lambda: has_begun(process), 60), "a server, and a load that lasts"
        descendants = processes.children(process.pid)
        process.kill()
        process.wait()
        assert comes_true(lambda: not any(processes.is_running(*one) for one in descendants))
    finally:
        process.kill()
        process.wait()
        clean_leftovers("compare")
    assert leftovers() == []


@pytest.mark.parametrize("words, complaint", [
    (["--servers", "nobody"], "no such server: nobody"), (["--seconds", "nan"], "more than nothing")])
def test_wrong_words_are_told(words, complaint):
    done = subprocess.run([*COMMAND, *words], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and complaint in done.stderr
