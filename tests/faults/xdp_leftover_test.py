"""A dataplane killed with an XDP program attached: the next one takes its place, wherever the first one died."""

import os
import signal

import pytest

import failpoints as fp
from failpoints import wait_until
from lab import network
from loss_counter import LossCounter

DEVICE = f"af_xdp:{network.SERVER_DEVICE}"
PATIENCE_S = 15


@pytest.fixture(scope="module", name="place")
def fixture_place():
    with fp.failing("xdp-left", dataplane={"devices": [DEVICE]}) as place:
        yield place


def test_H04_a_dataplane_killed_before_it_wrote_its_program_down_is_followed_by_one_that_serves(place):
    """The program is attached and no record says that it is ours."""
    lab, failpoints = place
    session = fp.exchange(lab)
    failpoints.arm("dataplane.port_opened")
    fp.kill(lab, "dataplane")
    assert wait_until(lambda: failpoints.is_reached("dataplane.port_opened"), PATIENCE_S)
    with LossCounter(lab, [session]) as load:
        assert wait_until(lambda: load.good > 20, PATIENCE_S), load.losses()
    assert (load.naks, load.wrong) == (0, []), load.losses()


@pytest.mark.parametrize("point", ["worker.received", "worker.answers_built", "worker.transmitted"])
def test_H04_a_worker_killed_in_the_middle_of_a_burst_is_followed_by_one_that_serves(place, point):
    lab, failpoints = place
    with LossCounter(lab, [fp.exchange(lab)]) as load:
        assert wait_until(lambda: load.good > 4, PATIENCE_S)
        failpoints.arm(point)
        assert wait_until(lambda: failpoints.is_reached(point), PATIENCE_S)
        good = load.good
        assert wait_until(lambda: load.good > good + 20, PATIENCE_S), load.losses()
    assert (load.naks, load.wrong) == (0, []), load.losses()


def test_after_all_that_a_clean_stop_leaves_neither_program_nor_record(place):
    lab, _ = place
    os.kill(fp.pids(lab)["dataplane"][0], signal.SIGTERM)
    assert wait_until(lambda: fp.exchange(lab), PATIENCE_S)
    assert lab.stop() == 0
    assert "prog/xdp" not in lab.run_in_server("ip", "-d", "link", "show", "dev", network.SERVER_DEVICE).stdout
    assert not list((lab.pages / "dataplane").glob("xdp-program-*"))
