"""A receiver and its pulses in, time for a real client out: states, bounds and faults through the real processes.

The receiver is simulated (lab.receiver): its truth is this machine's clock, which chronyd, our witness, reads too. So
what chronyd finds us off by is our error, and it has to be smaller than what we promise.
"""

import os
import signal
import time

import pytest

from lab import chrony, gnss, network, receiver
from lab.lab import Lab
from lab_server import configuration, require_namespaces
from played_receiver import Playing

WITNESS_SLACK_S = 0.002  # what two processes on a busy machine need to look at one clock


@pytest.fixture(scope="module", name="site")
def fixture_site():
    require_namespaces()
    with Lab("gnss") as lab:
        playing = Playing(lab, gnss.pulse_socket(lab))
        playing.start()
        try:
            lab.start(configuration(lab, clock={"source": "gnss", "holdover_max_error_us": 1000},
                                    gnss={"receiver": str(lab.state / "line"),
                                          "pulse": f"sock:{gnss.pulse_socket(lab)}"}))
            yield lab, playing.receiver
        except BaseException:
            print(f"--- the end of Noonmark's log\n{lab.log_tail(60)}")
            raise
        finally:
            playing.stop()


def clock_of(lab):
    return lab.ask("status")["clock"]


def wait_for(lab, states, seconds):
    deadline = time.monotonic() + seconds
    while True:
        clock = clock_of(lab)
        if clock["state"] in states:
            return clock
        assert time.monotonic() < deadline, f"still {clock} after {seconds} s"
        time.sleep(0.1)


def witness(lab, name):
    directory = lab.state / name
    process = chrony.start_once(lab.client_namespace, directory, "4", lab.record, server=network.NAME, nts=False)
    return chrony.finish_once(process, directory)


def test_B10_before_the_first_pulse_is_numbered_nobody_is_told_a_time(site):
    lab, _ = site
    clock = clock_of(lab)
    assert clock["state"] in ("unsync", "warmup"), "no machine is that slow"
    assert (clock["synchronised"], clock["stratum"], clock["leap"]) == (False, 0, 3)


def test_P41_a_locked_receiver_makes_a_stratum_1_whose_bound_holds(site):
    lab, _ = site
    clock = wait_for(lab, ("locked",), 120)
    assert (clock["stratum"], clock["leap"], clock["reference_id"]) == (1, 0, "GPS")
    outcome = witness(lab, "locked")
    assert outcome.exit_code == 0 and outcome.samples, outcome.log
    for sample in outcome.samples:
        assert (sample.stratum, sample.leap, sample.reference_id) == (1, "N", "47505300")
    best = min(outcome.samples, key=lambda sample: sample.delay_s)
    bound_s = best.root_dispersion_s + best.root_delay_s / 2 + best.delay_s / 2
    assert abs(best.offset_s) < bound_s + WITNESS_SLACK_S


def test_H03_a_killed_clock_role_leaves_its_promise_and_takes_it_up_again(site):
    lab, _ = site
    wait_for(lab, ("locked",), 60)
    old = role_pid(lab, "clock")
    os.kill(old, signal.SIGKILL)
    began = time.monotonic()
    states = []
    while True:
        clock = clock_of(lab)
        assert (clock["leap"], clock["stratum"]) == (0, 1), "what was promised stands until a new one can be made"
        states.append(clock["state"])
        if states[-1] == "locked" and "holdover" in states:
            break
        assert time.monotonic() - began < 60, f"no new promise within 60 s\n{lab.log_tail()}"
        time.sleep(0.2)
    assert role_pid(lab, "clock") not in (None, old)
    assert clock["root_dispersion_us"] < 1000


def test_H17_I02_an_antenna_without_signal_means_holdover_and_a_growing_bound(site):
    lab, _ = site
    before = wait_for(lab, ("locked",), 60)
    gnss.unplug(lab)
    try:
        held = wait_for(lab, ("holdover",), 15)
        assert (held["stratum"], held["leap"], held["reference_id"]) == (1, 0, "GPS")
        time.sleep(5)
        later = clock_of(lab)
        assert later["state"] == "holdover"
        assert later["root_dispersion_us"] >= held["root_dispersion_us"] >= before["root_dispersion_us"] - 1
    finally:
        gnss.plug_in(lab)
    wait_for(lab, ("locked",), 20)


def test_I12_a_receiver_that_stands_still_and_jumps_is_held_over_and_says_why(site):
    lab, playing = site
    wait_for(lab, ("locked",), 60)
    playing.place = "5129.6740,N,00000.0090,W"  # 1.8 km to the north
    try:
        held = wait_for(lab, ("holdover",), 30)
        assert (held["stratum"], held["leap"]) == (1, 0), "what is promised stands"
        assert "stands elsewhere than it did" in lab.ask("clock")["sentence"]
    finally:
        playing.place = receiver.HOME
    wait_for(lab, ("locked",), 60)


def test_I06_a_receiver_that_names_a_wrong_second_is_contradicted_not_followed(site):
    lab, playing = site
    wait_for(lab, ("locked",), 60)
    playing.message_off_s = 1
    try:
        clock = wait_for(lab, ("alarm",), 20)
        assert (clock["synchronised"], clock["leap"]) == (False, 3)
    finally:
        playing.message_off_s = 0
    wait_for(lab, ("locked",), 90)
    outcome = witness(lab, "after-wrong-second")
    assert outcome.exit_code == 0 and abs(outcome.samples[-1].offset_s) < 0.1, "and no second was lost"


def test_a_pulse_socket_that_was_deleted_is_made_again(site):
    lab, _ = site
    wait_for(lab, ("locked",), 60)
    gnss.pulse_socket(lab).unlink()
    deadline = time.monotonic() + 20
    while not gnss.pulse_socket(lab).exists():
        assert time.monotonic() < deadline, lab.log_tail()
        time.sleep(0.1)
    pulses = lab.ask("clock")["gnss"]["pulses"]
    while lab.ask("clock")["gnss"]["pulses"] < pulses + 3:
        assert time.monotonic() < deadline, lab.log_tail()
        time.sleep(0.1)


def test_I01_garbage_on_line_and_socket_costs_nothing(site):
    lab, playing = site
    wait_for(lab, ("locked",), 60)
    pid = role_pid(lab, "clock")
    ticks_before, began = cpu_ticks(pid), time.monotonic()
    while time.monotonic() - began < 5:
        playing.send_line(os.urandom(1000))
        try:
            playing.socket.sendto(os.urandom(40), playing.pulse)
        except OSError:
            pass  # full: the clock looks eight times a second
        time.sleep(0.02)
    used_s = (cpu_ticks(pid) - ticks_before) / os.sysconf("SC_CLK_TCK")
    print(f"the clock role used {used_s / (time.monotonic() - began):.2%} of a core")
    assert role_pid(lab, "clock") == pid
    assert clock_of(lab)["state"] in ("locked", "holdover")
    wait_for(lab, ("locked",), 40)


def role_pid(lab, role):
    """The process id of a role of this lab's Noonmark, or None while it has none."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if words[0].startswith(str(lab.state).encode()) and words[1:2] == [role.encode()]:
                return int(entry)
    return None


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        words = file.read().rsplit(")", 1)[1].split()
    return int(words[11]) + int(words[12])
