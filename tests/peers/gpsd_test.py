"""gpsd as the receiver: Debian's gpsd and gpsfake; what gpsd should not say is gpsd_played_test.py's.

The receiver's truth is this machine's clock, which chronyd, our witness, reads too.
"""

import time

import pytest

import gpsd_peer
from gnss_test import WITNESS_SLACK_S, clock_of, wait_for, witness
from lab import gnss
from lab.lab import Lab
from lab_server import configuration, require_namespaces
from played_receiver import Playing

PATIENCE_S = 120


def sentence_of(lab):
    return lab.ask("clock")["sentence"]


def start(lab, **gnss_section):
    clock = gnss_section.pop("clock", {})
    lab.start(configuration(lab, clock={"source": "gnss", "holdover_max_error_us": 1000} | clock,
                            gnss={"gpsd": gpsd_peer.ADDRESS} | gnss_section))


def comes_to_say(lab, words, seconds=PATIENCE_S):
    """Waits until the clock's sentence has these words."""
    deadline = time.monotonic() + seconds
    while words not in sentence_of(lab):
        assert time.monotonic() < deadline, f"still {sentence_of(lab)!r}\n{lab.log_tail(40)}"
        time.sleep(0.2)


def is_true(lab, name, may_be_off_s=None):
    """chronyd finds our time within its bound."""
    outcome = witness(lab, name)
    assert outcome.exit_code == 0 and outcome.samples, outcome.log
    best = min(outcome.samples, key=lambda sample: sample.delay_s)
    assert (best.stratum, best.leap) == (1, "N")
    bound_s = best.root_dispersion_s + best.root_delay_s / 2 + best.delay_s / 2
    assert abs(best.offset_s) < min(bound_s, may_be_off_s or bound_s) + WITNESS_SLACK_S, best


@pytest.fixture(name="lab")
def fixture_lab():
    require_namespaces()
    with Lab("gpsd") as lab:
        try:
            yield lab
        except BaseException:
            print(f"--- the end of Noonmark's log\n{lab.log_tail(60)}")
            raise


def test_H17_I02_debians_gpsd_gives_the_date_is_killed_and_comes_back(lab):
    playing = Playing(lab, gnss.pulse_socket(lab))
    playing.start()
    gpsd = None
    try:
        start(lab, pulse=f"sock:{gnss.pulse_socket(lab)}")
        comes_to_say(lab, f"gpsd at {gpsd_peer.ADDRESS} says nothing: Connection refused")
        assert clock_of(lab)["leap"] == 3
        gpsd = gpsd_peer.start_gpsd(lab, lab.state / "line")
        wait_for(lab, ("locked",), PATIENCE_S)
        assert f"locked to the pulses, with the date from gpsd at {gpsd_peer.ADDRESS}" in sentence_of(lab)
        is_true(lab, "locked")

        gnss.unplug(lab)
        held = wait_for(lab, ("holdover",), PATIENCE_S)
        assert (held["stratum"], held["leap"]) == (1, 0)
        comes_to_say(lab, "gpsd says: the receiver")  # of a fix that is lost by RMC alone, gpsd 3.22 has no word
        gnss.plug_in(lab)
        wait_for(lab, ("locked",), PATIENCE_S)

        gpsd_peer.stop(gpsd)
        gpsd = None
        held = wait_for(lab, ("holdover",), PATIENCE_S)  # pulses go on, but nobody vouches for them
        assert (held["stratum"], held["leap"]) == (1, 0), "what is promised stands"
        assert f"holdover: gpsd at {gpsd_peer.ADDRESS} says nothing" in sentence_of(lab)
        gpsd = gpsd_peer.start_gpsd(lab, lab.state / "line")
        wait_for(lab, ("locked",), PATIENCE_S)
        is_true(lab, "back")
    finally:
        if gpsd:
            gpsd_peer.stop(gpsd)
        playing.stop()


def test_debians_gpsd_alone_makes_a_clock_as_good_as_its_messages(lab):
    """Declared as measured: messages come 80 ms behind the second, within 20 ms."""
    playing = Playing(lab)
    playing.start()
    gpsd = gpsd_peer.start_gpsd(lab, lab.state / "line")
    try:
        start(lab, pulse="gpsd-messages", pulse_delay_ns=80_000_000, pulse_sigma_ns=2_000_000,
              reference_error_ns=20_000_000, lock_error_max_us=100_000, clock={"holdover_max_error_us": 200_000})
        clock = wait_for(lab, ("locked",), PATIENCE_S)
        assert (clock["stratum"], clock["leap"]) == (1, 0)
        assert clock["root_delay_us"] + clock["root_dispersion_us"] > 20_000, "it does not promise what it does not know"
        assert "locked to the messages of gpsd" in sentence_of(lab)
        is_true(lab, "messages", 0.05)
    finally:
        gpsd_peer.stop(gpsd)
        playing.stop()


def test_I03_gpsfake_plays_a_log_and_its_date_arrives(lab):
    """Of a receiver whose week number has rolled over: whether gpsd repairs it or we, the date is today's."""
    log = lab.state / "log.nmea"
    log.write_bytes(gpsd_peer.nmea_log(int(time.time()) - 1024 * 7 * 86400, 1000))
    gpsfake = gpsd_peer.start_gpsfake(lab, log)
    try:
        start(lab, pulse=f"sock:{gnss.pulse_socket(lab)}")
        comes_to_say(lab, "unsynchronised: no pulses come")
        told = lab.ask("clock")["gnss"]
        deadline = time.monotonic() + PATIENCE_S
        while told["messages"] < 5 or told["satellites"] != 3:
            assert time.monotonic() < deadline, told
            time.sleep(0.2)
            told = lab.ask("clock")["gnss"]
        assert clock_of(lab)["leap"] == 3, "a date alone is no time"
        gpsd_peer.stop(gpsfake)
        gpsfake = None
        comes_to_say(lab, "says nothing")
    finally:
        if gpsfake:
            gpsd_peer.stop(gpsfake)
