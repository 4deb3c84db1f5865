"""A NIC's clock, its pins and the kernel's PPS through the real clock role: locked, troubled, and locked again.

The devices are played by a library inside the role (device_shim.py); all else is real, the sandbox included. Their
truth is this machine's clock, which chronyd, our witness, reads too.
"""

import contextlib
import time

import pytest

import device_shim
from lab import chrony, network
from lab.lab import Lab
from lab_server import configuration, require_namespaces
from only_long import long_only
from played_receiver import Playing

NS = 1_000_000_000
TAI_MINUS_UTC_S = 37  # what the compiled leap table says of now
PATIENCE_S = 60
WITNESS_SLACK_S = 0.002


@contextlib.contextmanager
def device_site(name, pulse, has_receiver, prepare=lambda devices: None):
    """(lab, script of its devices), with Noonmark started."""
    require_namespaces()
    with Lab(name) as lab, contextlib.ExitStack() as stack:
        if not (lab.state / "bin").exists():
            pytest.fail("the lab has no programs")
        devices = device_shim.wrap(lab)
        prepare(devices)
        section = {"pulse": pulse}
        if has_receiver:
            player = Playing(lab)
            player.start()
            stack.callback(player.stop)
            section["receiver"] = str(lab.state / "line")
        try:
            lab.start(configuration(lab, clock={"source": "gnss", "holdover_max_error_us": 100_000}, gnss=section))
            yield lab, devices
        except BaseException:
            print(f"--- the end of Noonmark's log\n{lab.log_tail(60)}")
            raise


@pytest.fixture(autouse=True, name="good_device")
def fixture_good_device(request):
    """A case that failed half-way leaves its trouble to none of those after it."""
    yield
    if "phc" in request.fixturenames:
        lab, devices = request.getfixturevalue("phc")
        devices.reset(phc_offset_ns=TAI_MINUS_UTC_S * NS)
        wait_for(lab, "locked")


def clock_of(lab):
    return lab.ask("clock")


def wait_for(lab, *states):
    return wait_until(lab, lambda clock: clock["state"] in states, f"one of {states}")


def wait_until(lab, is_so, what):
    deadline = time.monotonic() + PATIENCE_S
    while True:
        clock = clock_of(lab)
        if is_so(clock):
            return clock
        assert time.monotonic() < deadline, f"not {what} after {PATIENCE_S} s: {clock}"
        time.sleep(0.1)


def assert_witness_agrees(lab, name):
    """chronyd finds us within what we promise, at stratum 1."""
    directory = lab.state / name
    process = chrony.start_once(lab.client_namespace, directory, "4", lab.record, server=network.NAME, nts=False)
    outcome = chrony.finish_once(process, directory)
    assert outcome.exit_code == 0 and outcome.samples, outcome.log
    best = min(outcome.samples, key=lambda sample: sample.delay_s)
    assert (best.stratum, best.leap) == (1, "N")
    bound_s = best.root_dispersion_s + best.root_delay_s / 2 + best.delay_s / 2
    assert abs(best.offset_s) < bound_s + WITNESS_SLACK_S


@pytest.fixture(scope="module", name="phc")
def fixture_phc():
    def prepare(devices):
        devices.phc_offset_ns = TAI_MINUS_UTC_S * NS

    with device_site("phc", "phc-tai:/dev/ptp0", has_receiver=False, prepare=prepare) as site:
        yield site


def test_a_steered_nic_clock_makes_a_stratum_1_whose_bound_holds(phc):
    lab, devices = phc
    clock = wait_for(lab, "locked")
    assert (clock["stratum"], clock["leap"]) == (1, 0)
    assert clock["gnss"]["samples"] > 0 and devices.asked > 0
    assert_witness_agrees(lab, "witness")


def test_I07_a_nic_clock_that_stands_still_is_held_over_and_named(phc):
    lab, devices = phc
    before = wait_for(lab, "locked")["gnss"]["phc_steps"]
    devices.phc_frozen_at_ns = time.time_ns() + TAI_MINUS_UTC_S * NS
    clock = wait_for(lab, "holdover")
    assert "stands still" in clock["sentence"] and clock["gnss"]["phc_steps"] > before
    assert (clock["stratum"], clock["leap"]) == (1, 0)
    devices.phc_frozen_at_ns = 0
    wait_for(lab, "locked")


@pytest.mark.parametrize("step_ns", [1_000_000, -3600 * NS])
def test_I07_a_nic_clock_that_another_process_sets_is_not_followed(phc, step_ns):
    lab, devices = phc
    before = wait_for(lab, "locked")["gnss"]["outliers"]
    devices.phc_offset_ns = TAI_MINUS_UTC_S * NS + step_ns
    clock = wait_for(lab, "holdover")
    assert clock["gnss"]["outliers"] > before
    assert_witness_agrees(lab, f"stepped-{step_ns}")
    devices.phc_offset_ns = TAI_MINUS_UTC_S * NS
    wait_for(lab, "locked")


def test_I07_a_nic_clock_that_runs_away_is_not_followed(phc):
    lab, devices = phc
    wait_for(lab, "locked")
    devices.phc_rate_since_ns = time.time_ns()
    devices.phc_rate_ppb = 500_000
    wait_for(lab, "holdover")
    assert_witness_agrees(lab, "ran-away")
    devices.phc_rate_ppb = 0
    wait_for(lab, "locked")


def test_I07_a_busy_nic_clock_is_asked_again_for_ever(phc):
    lab, devices = phc
    before = wait_for(lab, "locked")["gnss"]
    devices.busy = 1 << 40
    clock = wait_for(lab, "holdover")
    assert "busy" in clock["sentence"] and clock["gnss"]["phc_unread"] > before["phc_unread"]
    assert clock["gnss"]["openings"] == before["openings"], "busy is not gone"
    devices.busy = 0
    wait_for(lab, "locked")


def test_I07_a_nic_clock_that_fails_is_opened_again(phc):
    lab, devices = phc
    before = wait_for(lab, "locked")["gnss"]["openings"]
    devices.error = 5  # EIO
    wait_for(lab, "holdover")
    devices.error = 0
    assert wait_for(lab, "locked")["gnss"]["openings"] > before


def test_I03_a_nic_clock_of_1970_is_no_time(phc):
    lab, devices = phc
    wait_for(lab, "locked")
    before = clock_of(lab)["gnss"]["doubted"]
    devices.phc_offset_ns = -time.time_ns()
    clock = wait_for(lab, "holdover")
    assert wait_until(lab, lambda now: now["gnss"]["doubted"] > before, "doubted") and clock["stratum"] == 1
    devices.phc_offset_ns = TAI_MINUS_UTC_S * NS
    wait_for(lab, "locked")


def test_a_pin_of_a_free_nic_clock_locks_whatever_else_is_stamped_on_it():
    def prepare(devices):
        devices.phc_offset_ns = -time.time_ns()  # since it was powered
        devices.pins_busy = devices.both_edges = devices.no_strict_flags = devices.duplicates = 1
        devices.short_reads = 1
        devices.methods_missing = 2

    with device_site("extts", "extts:/dev/ptp0:0:0", has_receiver=True, prepare=prepare) as (lab, devices):
        clock = wait_until(lab, lambda now: "another program uses" in now["sentence"], "told that the pin is used")
        assert clock["leap"] == 3
        devices.pins_busy = 0
        clock = wait_for(lab, "locked")
        assert clock["gnss"]["dropped_edges"] > 10
        assert_witness_agrees(lab, "witness")
        devices.no_pulses = 1
        wait_for(lab, "holdover")
        devices.no_pulses = 0
        wait_for(lab, "locked")


@long_only
def test_I05_the_kernels_pps_locks_and_a_line_that_is_cut_or_wrong_is_held_over():
    with device_site("kpps", "pps:/dev/pps0", has_receiver=True) as (lab, devices):
        wait_for(lab, "locked")
        assert_witness_agrees(lab, "witness")
        devices.no_pulses = 1
        wait_for(lab, "holdover")
        devices.no_pulses = 0
        wait_for(lab, "locked")
        devices.pulse_offset_ns = NS // 2  # the other edge
        wait_for(lab, "holdover")
        devices.pulse_offset_ns = 0
        before = wait_for(lab, "locked")["gnss"]["openings"]
        devices.error = 5  # EIO
        wait_for(lab, "holdover")
        devices.error = 0
        assert wait_for(lab, "locked")["gnss"]["openings"] > before
