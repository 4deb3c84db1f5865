"""A receiver that is spoofed or missing, beside upstreams with NTS: what jumps or drags is not followed beyond what is
promised, and pulses without a receiver take their second from the upstreams.

The truth is this machine's clock, which the upstreams and our witness, chronyd -Q, read.
"""

import time

import pytest

from lab import chrony, gnss, network, upstreams
from only_long import long_only
from played_receiver import Playing
from upstream_test import FIRST, OFTEN, SECOND, WITNESS_SLACK_S, assert_bound_holds, gnss_site, site, wait_for, witness

LOCK_SECONDS = 150
DRAG_S_S = 1e-4  # a second: no oscillator does that, and no step shows it


def two_chronyds(lab):
    return [upstreams.Chronyd(lab, FIRST, 4, nts=True), upstreams.Chronyd(lab, SECOND, 4, nts=True)]


def witnesses(servers):
    return [{"host": address, "nts": True, "ca": str(server.ca), "trust": "witness", **OFTEN}
            for address, server in zip((FIRST, SECOND), servers)]


def in_state(lab, *states, seconds=LOCK_SECONDS):
    return wait_for(lab, lambda status: status["clock"]["state"] in states, seconds)["clock"]


def assert_what_is_promised_holds(lab, name):
    """Whatever a client is told under no leap 3 is within the bound it comes with; leap 3 promises nothing."""
    directory = lab.state / name
    outcome = chrony.finish_once(chrony.start_once(lab.client_namespace, directory, "4", lab.record,
                                                   server=network.NAME, nts=False), directory)
    assert outcome.samples, outcome.log
    for sample in outcome.samples:
        bound_s = sample.root_dispersion_s + sample.root_delay_s / 2 + sample.delay_s / 2
        assert sample.leap == "?" or abs(sample.offset_s) < bound_s + WITNESS_SLACK_S, sample


@pytest.fixture(scope="module", name="spoofed")
def fixture_spoofed():
    with gnss_site("spoof", two_chronyds, witnesses) as (lab, running):
        in_state(lab, "locked")
        yield lab, running[0].receiver


@long_only
@pytest.mark.parametrize("jump_s", [1e-3, 0.3])
def test_I04_pulses_that_jump_are_held_against_the_oscillator_and_never_served(spoofed, jump_s):
    lab, receiver = spoofed
    in_state(lab, "locked")
    receiver.offset_s = jump_s
    try:
        in_state(lab, "holdover", "alarm", seconds=30)
        assert_what_is_promised_holds(lab, f"jump-{jump_s}")
    finally:
        receiver.offset_s = 0.0
    in_state(lab, "locked")
    assert_bound_holds(witness(lab, f"after-jump-{jump_s}"))


@long_only
def test_I04_a_message_that_jumps_an_hour_is_contradicted_and_never_served(spoofed):
    lab, receiver = spoofed
    in_state(lab, "locked")
    receiver.message_off_s = 3600
    try:
        in_state(lab, "holdover", "alarm", seconds=60)
    finally:
        receiver.message_off_s = 0
    in_state(lab, "locked")
    assert_bound_holds(witness(lab, "after-hour"))


@long_only
def test_I04_pulses_that_are_dragged_away_are_contradicted_by_the_oscillator_or_by_two_witnesses(spoofed):
    lab, receiver = spoofed
    in_state(lab, "locked")
    deadline = time.monotonic() + LOCK_SECONDS
    try:
        while (clock := lab.ask("status")["clock"])["state"] == "locked":
            assert time.monotonic() < deadline, f"dragged by {receiver.offset_s} s, and still {clock}"
            receiver.offset_s += DRAG_S_S
            time.sleep(1)
        print(f"contradicted after {receiver.offset_s * 1e3:.1f} ms: {lab.ask('clock')['sentence']}")
        assert receiver.offset_s < 0.01, "what two witnesses on one wire are good for"
    finally:
        receiver.offset_s = 0.0
    in_state(lab, "locked", seconds=2 * LOCK_SECONDS)
    assert_bound_holds(witness(lab, "after-drag"))


@long_only
def test_pulses_without_a_receiver_take_their_second_from_upstreams_with_nts():
    name = "undated"

    def servers(lab):
        playing = Playing(lab, gnss.pulse_socket(lab))
        playing.start()
        return [playing, *two_chronyds(lab)]

    def fallbacks(running):
        return [{**one, "trust": "fallback"} for one in witnesses(running[1:])]

    with site(name, servers, fallbacks, clock={"source": "gnss", "holdover_max_error_us": 1000},
              gnss={"pulse": f"sock:/dev/shm/noonmark-{name}/clock/pulse"}) as (lab, _):
        clock = in_state(lab, "locked")
        assert (clock["stratum"], clock["leap"], clock["reference_id"]) == (1, 0, "GPS")
        assert_bound_holds(witness(lab, "dated"))
