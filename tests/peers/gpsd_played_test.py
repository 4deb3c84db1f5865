"""gpsd as the receiver, played by us: its pulses, and what it should not say. One lab for all: each case leaves it locked.

The receiver's truth is this machine's clock, which chronyd, our witness, reads too.
"""

import os
import time

import pytest

import gpsd_peer
from gnss_test import clock_of, cpu_ticks, role_pid, wait_for
from gpsd_test import PATIENCE_S, comes_to_say, is_true, sentence_of, start
from lab.lab import Lab
from lab_server import require_namespaces


@pytest.fixture(scope="module", name="site")
def fixture_site():
    """Our own gpsd and what follows its pulses; every test leaves them as it found them."""
    require_namespaces()
    with Lab("gpsd-played") as lab:
        played = gpsd_peer.PlayedGpsd(lab)
        played.start()
        try:
            start(lab, pulse="gpsd", clock={"holdover_max_error_us": 10_000}, lock_error_max_us=5_000)
            yield lab, played
        except BaseException:
            print(f"--- the end of Noonmark's log\n{lab.log_tail(60)}")
            raise
        finally:
            played.stop()


@pytest.fixture(name="locked")
def fixture_locked(site):
    lab, played = site
    wait_for(lab, ("locked",), PATIENCE_S)
    yield lab, played
    played.interfere_no_more()


def test_P41_pulses_of_gpsd_make_a_stratum_1_whose_bound_holds(locked):
    lab, played = locked
    assert f"locked to the pulses of gpsd at {gpsd_peer.ADDRESS}" in sentence_of(lab)
    assert played.watches[-1] == b'?WATCH={"enable":true,"json":true,"pps":true};\n'
    is_true(lab, "pulses")
    assert lab.ask("clock")["gnss"]["satellites"] == 7


def test_I02_I05_I06_what_gpsd_says_wrongly_is_held_over_or_contradicted(locked):
    lab, played = locked
    played.mode = 1
    wait_for(lab, ("holdover",), PATIENCE_S)
    comes_to_say(lab, "gpsd says: the receiver has no fix")
    played.mode = 3
    wait_for(lab, ("locked",), PATIENCE_S)

    played.pulse_late_s = 0.5  # an edge of the wrong kind
    wait_for(lab, ("holdover",), PATIENCE_S)
    played.pulse_late_s = 0.0
    wait_for(lab, ("locked",), PATIENCE_S)

    played.pulses_a_second = 5  # the messages come behind the last of them, and seem to name a wrong second
    wait_for(lab, ("holdover", "alarm"), PATIENCE_S)
    played.pulses_a_second = 1
    wait_for(lab, ("locked",), PATIENCE_S)
    is_true(lab, "after-five-a-second")

    played.message_off_s = 1
    clock = wait_for(lab, ("alarm",), PATIENCE_S)
    assert (clock["synchronised"], clock["leap"]) == (False, 3)
    played.message_off_s = 0
    wait_for(lab, ("locked",), PATIENCE_S)
    is_true(lab, "after-a-wrong-second")


def test_I03_a_date_that_cannot_be_is_held_over(locked):
    lab, played = locked
    played.message_off_s = 10 * 366 * 86400
    wait_for(lab, ("holdover", "alarm"), PATIENCE_S)
    comes_to_say(lab, "gpsd says: the reference names a date that has passed, or that is years away")
    played.message_off_s = 0
    wait_for(lab, ("locked",), PATIENCE_S)
    is_true(lab, "after-a-wrong-date")


def test_I01_garbage_from_gpsd_costs_little_and_is_counted(locked):
    lab, played = locked
    pid = role_pid(lab, "clock")
    dropped = lab.ask("clock")["gnss"]["dropped_messages"]
    ticks_before, began = cpu_ticks(pid), time.monotonic()
    lines = [b"{" * 10_000 + b"\n", os.urandom(2000) + b"\n", b'{"class":"TPV","device"class":"TPV"}\n',
             b'{"class":"TPV","mode":3,"time":"2026-13-45T99:99:99Z","lat":nan,"lon":1e999}\n',
             b'{"class":"SKY","satellites":[' + b'{"PRN":1},' * 800 + b"]}\n", b'{"class":"PPS","real_sec":-1}\n']
    number = 0
    while time.monotonic() - began < 10:
        played.say_octets(lines[number % len(lines)])
        number += 1
        time.sleep(0.02)
    used_s = (cpu_ticks(pid) - ticks_before) / os.sysconf("SC_CLK_TCK")
    print(f"the clock role used {used_s / (time.monotonic() - began):.2%} of a core")
    assert role_pid(lab, "clock") == pid
    assert lab.ask("clock")["gnss"]["dropped_messages"] > dropped + 20
    played.say_octets(b"\n")
    wait_for(lab, ("locked",), PATIENCE_S)
    is_true(lab, "after-garbage")


def test_P41_pulses_that_gpsd_calls_coarse_make_a_wide_bound(locked):
    """Last, since what was coarse once is believed for a while."""
    lab, played = locked
    good = clock_of(lab)
    played.precision = -10  # over USB: a millisecond
    deadline = time.monotonic() + PATIENCE_S
    while clock_of(lab)["root_delay_us"] < good["root_delay_us"] + 1000:
        assert time.monotonic() < deadline, (good, clock_of(lab))
        time.sleep(0.2)
