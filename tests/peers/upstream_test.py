"""Noonmark as a client: time from chronyd (plain and with NTS), from liars, and from another Noonmark.

All of them and our witness, chronyd -Q, read this machine's clock, so what the witness finds us off by is our error,
and it has to be smaller than what we promise.
"""

import contextlib
import hashlib
import ipaddress
import json
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from lab import certificates, chrony, gnss, network, processes, upstreams
from lab.lab import Lab
from lab_server import configuration, require_namespaces
from only_long import long_only
from played_receiver import Playing
from role_processes import UIDS

PATIENCE_S = 90
WITNESS_SLACK_S = 0.002  # what two processes on a busy machine need to look at one clock
FIRST, SECOND, THIRD = network.CLIENT_IPV4, "10.123.0.3", "10.123.0.4"
OFTEN = {"minpoll": 0, "maxpoll": 1}
SIMPLE_SERVER = Path(__file__).parent.parent / "support" / "simple_server.py"


class SimpleServer:
    """simple_server.py on an address in the client's namespace; `wish` changes what it says."""

    def __init__(self, lab, address, **wishes):
        self.control, self.log = lab.state / f"wishes-{address}", lab.state / f"simple-{address}.txt"
        self.wish(**wishes)
        self.process = lab.start_inside_client(sys.executable, SIMPLE_SERVER, address, self.control, log=self.log)

    def wish(self, **wishes):
        fresh = self.control.with_suffix(".new")
        fresh.write_text(json.dumps(wishes), encoding="utf-8")
        fresh.rename(self.control)

    def requests(self):
        """[(when, source port)] so far."""
        lines = self.log.read_text(encoding="ascii").splitlines()
        return [(float(when), int(port)) for when, port in (line.split() for line in lines)]

    def stop(self):
        processes.stop(self.process)


@contextlib.contextmanager
def site(name, servers, upstream, **sections):
    """A lab whose `servers(lab)` (a list of things with stop()) run before Noonmark starts with [[upstream]]s."""
    require_namespaces()
    with Lab(name) as lab:
        running = []
        try:
            for address in (SECOND, THIRD):
                upstreams.add_address(lab, address)
            running = servers(lab)
            sections.setdefault("clock", {"source": "upstream"})
            lab.start(configuration(lab, upstream=upstream(running), **sections))
            yield lab, running
        except BaseException:
            print(f"--- the end of Noonmark's log in lab {name}\n{lab.log_tail(60)}")
            with contextlib.suppress(Exception):
                print(json.dumps(lab.ask("upstreams"), indent=1))
            raise
        finally:
            for server in running:
                server.stop()


def wait_for(lab, condition, seconds=PATIENCE_S, command="status"):
    """The report of `command` once condition(report) is true."""
    deadline = time.monotonic() + seconds
    while True:
        report = lab.ask(command)
        if condition(report):
            return report
        assert time.monotonic() < deadline, f"not after {seconds} s: {json.dumps(report)}"
        time.sleep(0.2)


def locked(lab):
    return wait_for(lab, lambda status: status["clock"]["state"] == "locked")["clock"]


def verdicts(report):
    return [one["verdict"] for one in report["upstreams"]]


def witness(lab, name):
    directory = lab.state / name
    process = chrony.start_once(lab.client_namespace, directory, "4", lab.record, server=network.NAME, nts=False)
    outcome = chrony.finish_once(process, directory)
    assert outcome.exit_code == 0 and outcome.samples, outcome.log
    return outcome


def assert_bound_holds(outcome):
    best = min(outcome.samples, key=lambda sample: sample.delay_s)
    bound_s = best.root_dispersion_s + best.root_delay_s / 2 + best.delay_s / 2
    assert abs(best.offset_s) < bound_s + WITNESS_SLACK_S
    return best


def role_pid(lab, role):
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
                if words[0].startswith(str(lab.state).encode()) and words[1:2] == [role.encode()]:
                    return int(entry)
    return None


@pytest.fixture(scope="module", name="pair")
def fixture_pair():
    """Two chronyd of stratum 4 and 6, one asked with NTS and one without."""
    with site("upstream", lambda lab: [upstreams.Chronyd(lab, FIRST, 4, nts=True), upstreams.Chronyd(lab, SECOND, 6)],
              lambda servers: [{"host": FIRST, "nts": True, "ca": str(servers[0].ca), **OFTEN},
                               {"host": SECOND, **OFTEN}]) as (lab, servers):
        yield lab, servers


def test_source_upstream_serves_a_stratum_more_with_a_bound_that_holds(pair):
    lab, _ = pair
    clock = locked(lab)
    assert (clock["stratum"], clock["leap"], clock["reference_id"]) == (5, 0, FIRST)
    assert clock["synchronised"]
    outcome = witness(lab, "locked")
    assert_bound_holds(outcome)
    assert {(sample.stratum, sample.leap, sample.reference_id) for sample in outcome.samples} == {
        (5, "N", "0A7B0002")}


def test_both_upstreams_are_shown_with_reach_offset_and_cookies(pair):
    lab, _ = pair
    report = wait_for(lab, lambda shown: [one["reach"] for one in shown["upstreams"]] == [255, 255],
                      command="upstreams")
    first, second = report["upstreams"]
    assert verdicts(report) == ["leader", "member"]
    assert (first["authenticated"], second["authenticated"]) == (True, False)
    assert (first["stratum"], second["stratum"]) == (4, 6)
    assert first["cookies"] >= 7 and second["cookies"] == 0
    for one in report["upstreams"]:
        assert abs(one["offset_ns"]) <= one["distance_ns"]
    words = lab.run_in_server(lab.binary("noonmark"), "upstreams", "--pages", lab.pages).stdout
    assert re.search(rf"^\* {re.escape(FIRST)} .* 377 .* cookies$", words, re.MULTILINE), words
    assert re.search(rf"^\+ {re.escape(SECOND)} .* no NTS$", words, re.MULTILINE), words
    assert lab.ask("status")["upstream"] == {"sources": 2, "agreeing": 2}


def test_H03_a_killed_upstream_role_leaves_the_clock_going_and_comes_back(pair):
    lab, _ = pair
    before = locked(lab)
    old = role_pid(lab, "upstream")
    os.kill(old, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE_S
    while role_pid(lab, "upstream") in (None, old):
        clock = lab.ask("status")["clock"]
        assert (clock["stratum"], clock["leap"]) == (before["stratum"], 0), "what was promised stands"
        assert time.monotonic() < deadline, lab.log_tail()
        time.sleep(0.1)
    wait_for(lab, lambda shown: shown["running"] and all(one["reach"] for one in shown["upstreams"]),
             command="upstreams")
    assert locked(lab)["synchronised"]


def test_H03_a_killed_clock_role_takes_its_promise_up_again(pair):
    lab, _ = pair
    locked(lab)
    old = role_pid(lab, "clock")
    os.kill(old, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        clock = lab.ask("status")["clock"]
        assert clock["leap"] == 0, "what was promised stands"
        if role_pid(lab, "clock") not in (None, old) and clock["state"] == "locked":
            break
        assert time.monotonic() < deadline, clock
        time.sleep(0.1)
    assert_bound_holds(witness(lab, "after-kill"))


def test_B12_upstreams_that_are_gone_leave_a_bound_that_grows(pair):
    lab, servers = pair
    locked(lab)
    for server in servers:
        server.stop()
    held = wait_for(lab, lambda status: status["clock"]["state"] == "holdover")["clock"]
    later = wait_for(lab, lambda status: status["clock"]["root_dispersion_us"] > held["root_dispersion_us"] + 30)
    assert (later["clock"]["stratum"], later["clock"]["leap"]) == (5, 0)
    assert_bound_holds(witness(lab, "held"))


def test_I13_one_of_three_that_lies_is_outvoted(request):
    del request
    with site("upstream-liar", lambda lab: [SimpleServer(lab, FIRST, offset_s=0.4, stratum=1),
                                            upstreams.Chronyd(lab, SECOND, 3), upstreams.Chronyd(lab, THIRD, 4)],
              lambda servers: [{"host": address, **OFTEN} for address in (FIRST, SECOND, THIRD)]) as (lab, servers):
        locked(lab)
        report = wait_for(lab, lambda shown: verdicts(shown) == ["falseticker", "leader", "member"],
                          command="upstreams")
        assert abs(report["upstreams"][0]["offset_ns"] - 400_000_000) < 100_000_000
        assert lab.ask("status")["clock"]["stratum"] == 4
        assert_bound_holds(witness(lab, "outvoted"))
        assert len({port for _, port in servers[0].requests()}) > 1, "each request has a port of its own (RFC 9109)"


def test_NTPsecs_ntpd_is_followed_with_nts():
    with site("upstream-ntpd", lambda lab: [upstreams.Ntpd(lab, FIRST, 6)],
              lambda servers: [{"host": FIRST, "nts": True, "ca": str(servers[0].ca), **OFTEN}]) as (lab, _):
        clock = locked(lab)
        assert (clock["stratum"], clock["leap"], clock["reference_id"]) == (7, 0, FIRST)
        assert lab.ask("upstreams")["upstreams"][0]["authenticated"]
        assert_bound_holds(witness(lab, "ntpd"))


def test_kisses_are_honoured_and_a_loop_is_refused():
    ours = "%02x%02x%02x%02x" % tuple(map(int, network.SERVER_IPV4.split(".")))
    with site("upstream-kiss", lambda lab: [SimpleServer(lab, FIRST, kiss="RATE"), SimpleServer(lab, SECOND, kiss="DENY"),
                                            SimpleServer(lab, THIRD, stratum=3, reference_id=ours)],
              lambda servers: [{"host": address, **OFTEN} for address in (FIRST, SECOND, THIRD)]) as (lab, servers):
        report = wait_for(lab, lambda shown: shown["upstreams"][0]["poll"] >= 3 and
                          [one["phase"] for one in shown["upstreams"][1:]] == ["stopped", "loop"], command="upstreams")
        assert "RATE" in report["upstreams"][0]["text"] and "DENY" in report["upstreams"][1]["text"]
        assert "from us" in report["upstreams"][2]["text"]
        gaps = [later - earlier for (earlier, _), (later, _) in
                zip(servers[0].requests(), servers[0].requests()[1:])]
        assert all(gap > 2**(number + 1) * 0.95 for number, gap in enumerate(gaps)), gaps
        assert len(servers[1].requests()) == 1
        assert not lab.ask("status")["clock"]["synchronised"]


def test_H17_without_network_it_starts_and_says_that_it_does_not_know():
    with site("upstream-none", lambda lab: [], lambda servers: [
            {"host": "192.0.2.1", **OFTEN}, {"host": "nobody.noonmark.test"},
            {"host": "192.0.2.2", "nts": True}]) as (lab, _):
        report = wait_for(lab, lambda shown: all(one["text"] for one in shown["upstreams"]), command="upstreams")
        assert verdicts(report) == ["unusable"] * 3
        clock = lab.ask("status")["clock"]
        assert (clock["synchronised"], clock["stratum"], clock["leap"]) == (False, 0, 3)
        assert lab.ask("status")["nts_ke"]["workers"][0]["running"], "keys are made all the same"
        assert lab.ask("status")["dataplane"]["running"]


def test_upstreams_of_a_local_clock_are_shown_and_do_not_steer_it():
    with site("upstream-shown", lambda lab: [SimpleServer(lab, FIRST, offset_s=0.3)],
              lambda servers: [{"host": FIRST, **OFTEN}], clock={"source": "local", "stratum": 10}) as (lab, _):
        report = wait_for(lab, lambda shown: verdicts(shown) == ["leader"], command="upstreams")
        assert abs(report["upstreams"][0]["offset_ns"] - 300_000_000) < 100_000_000
        assert lab.ask("status")["clock"]["state"] == "local"


def gnss_site(name, servers, upstream, message_off_s=0):
    """A site whose first server is a receiver that plays, and names a second that is so much off."""
    def play(lab):
        playing = Playing(lab, gnss.pulse_socket(lab))
        playing.receiver.message_off_s = message_off_s
        playing.start()
        return [playing, *servers(lab)]
    return site(name, play, lambda running: upstream(running[1:]),
                clock={"source": "gnss", "holdover_max_error_us": 1000},
                gnss={"receiver": f"/var/lib/noonmark-lab/{name}/line", "holdover_max_s": 10,
                      "pulse": f"sock:/dev/shm/noonmark-{name}/clock/pulse"})


@long_only
def test_a_receiver_that_is_gone_for_too_long_gives_way_to_upstreams_and_takes_over_again():
    with gnss_site("upstream-gnss", lambda lab: [upstreams.Chronyd(lab, FIRST, 4, nts=True)],
                   lambda servers: [{"host": FIRST, "nts": True, "ca": str(servers[0].ca), **OFTEN}]) as (lab, _):
        early = wait_for(lab, lambda status: status["clock"]["state"] in ("fallback", "locked"))["clock"]
        assert early["synchronised"], "before the receiver has locked, upstreams give the time"
        clock = wait_for(lab, lambda status: status["clock"]["state"] == "locked", 150)["clock"]
        assert (clock["stratum"], clock["reference_id"]) == (1, "GPS")
        gnss.unplug(lab)
        wait_for(lab, lambda status: status["clock"]["state"] == "holdover")
        clock = wait_for(lab, lambda status: status["clock"]["state"] == "fallback")["clock"]
        assert (clock["stratum"], clock["leap"], clock["reference_id"]) == (5, 0, FIRST)
        assert lab.ask("clock")["sentence"].startswith("fallback, while the receiver has no time")
        best = assert_bound_holds(witness(lab, "fallback"))
        assert best.stratum == 5
        gnss.plug_in(lab)
        clock = wait_for(lab, lambda status: status["clock"]["state"] == "locked", 150)["clock"]
        assert (clock["stratum"], clock["reference_id"]) == (1, "GPS")
        assert_bound_holds(witness(lab, "locked-again"))


@long_only
def test_I06_a_receiver_that_is_a_second_off_from_its_first_message_on_is_contradicted_by_two_witnesses():
    with gnss_site("upstream-quorum", lambda lab: [upstreams.Chronyd(lab, FIRST, 4, nts=True),
                                                   upstreams.Chronyd(lab, SECOND, 4, nts=True)],
                   lambda servers: [{"host": address, "nts": True, "ca": str(server.ca), "trust": "witness", **OFTEN}
                                    for address, server in zip((FIRST, SECOND), servers)],
                   message_off_s=1) as (lab, _):
        wait_for(lab, lambda clock: clock["gnss"]["pulses"] > 60 and "contradicts the receiver" in clock["sentence"],
                 150, command="clock")
        for _ in range(50):
            clock = lab.ask("status")["clock"]
            assert (clock["synchronised"], clock["leap"], clock["stratum"]) == (False, 3, 0), clock
            time.sleep(0.2)


def named_as(ipv6):
    """How a client names a server of this address (RFC 5905 section 7.3)."""
    digest = hashlib.md5(ipaddress.ip_address(ipv6).packed, usedforsecurity=False).digest()
    return ".".join(map(str, digest[:4]))


@contextlib.contextmanager
def second_noonmark(lab):
    """Another Noonmark in the client's namespace, whose only source is the first one, by NTS."""
    state, pages = lab.state / "second", Path(f"/dev/shm/noonmark-{lab.name}-second")
    (state / "keeper").mkdir(parents=True)
    (state / "keeper").chmod(0o700)
    os.chown(state / "keeper", UIDS["keeper"], UIDS["keeper"])
    certificates.make(state / "tls", ["second.noonmark.test"], [network.CLIENT_IPV4])
    ours = configuration(lab, server={"name": "second.noonmark.test"},
                         dataplane={"devices": [f"af_packet:{network.CLIENT_DEVICE}"]},
                         nts_ke={"certificate": str(state / "tls" / "certificate.pem"),
                                 "private_key": str(state / "tls" / "key.pem")},
                         keys={"file": str(state / "keeper" / "keys")}, paths={"pages": str(pages)},
                         clock={"source": "upstream"},
                         upstream=[{"host": network.NAME, "nts": True, "ca": str(lab.ca), **OFTEN}])
    file = state / "config.toml"
    file.write_text(ours.read_text(encoding="utf-8"), encoding="utf-8")
    process = lab.start_inside_client(lab.binary("noonmark"), "run", "--config", file, "--bin-dir", lab.state / "bin",
                                      log=state / "log")
    try:
        yield pages
    except BaseException:
        print((state / "log").read_text(errors="replace")[-4000:])
        raise
    finally:
        processes.stop(process, 10)
        shutil.rmtree(pages, ignore_errors=True)


def test_one_noonmark_follows_another_with_nts():
    require_namespaces()
    with Lab("upstream-two") as lab:
        lab.start(configuration(lab, clock={"source": "local", "stratum": 3}))
        with second_noonmark(lab) as pages:
            deadline = time.monotonic() + PATIENCE_S
            while True:
                done = lab.run_in_client(lab.binary("noonmark"), "status", "--pages", pages, "--json", check=False)
                clock = json.loads(done.stdout)["clock"] if done.stdout else {}
                if clock.get("state") == "locked":
                    break
                assert time.monotonic() < deadline, clock
                time.sleep(0.2)
            assert (clock["stratum"], clock["leap"]) == (4, 0)
            assert clock["reference_id"] in (network.SERVER_IPV4, named_as(network.SERVER_IPV6))
            directory = lab.state / "witness"
            outcome = chrony.finish_once(
                chrony.start_once(lab.server_namespace, directory, "4", lab.record, server=network.CLIENT_IPV4,
                                  nts=False), directory)
            assert outcome.exit_code == 0, outcome.log
            assert assert_bound_holds(outcome).stratum == 4
        assert lab.ask("counters")["dataplane"]["nts"]["answer_nts"] > 4


assert UIDS["upstream"] == upstreams.UPSTREAM_UID
