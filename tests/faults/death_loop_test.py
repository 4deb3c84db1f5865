"""Roles that die again as soon as they are started: the launcher takes its time, the others go on, and when the
reason is gone all is as before (control/supervised.h)."""

import re
import time

import pytest

import failpoints as fp
from failpoints import wait_until
from lab.commands import LabError
from loss_counter import LossCounter

LOOP_S = 3.5
DEATHS_MAX = 8  # 0, 100, 200, 400, 800, 1600 ms: six in this time, and no more with a slow machine
BACK_S = 10  # the longest pause is 5 s
PATIENCE_S = 15


@pytest.fixture(scope="module", name="place")
def fixture_place():
    with fp.failing("death-loop") as place:
        yield place


def deaths(lab, role):
    return len(re.findall(rf"{role} \(process \d+\) was killed", lab.log.read_text(errors="replace")))


def launcher_cpu_ticks(lab):
    """User and system time of proc(5), in clock ticks."""
    with open(f"/proc/{lab.launcher.pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_keeper_that_always_dies_is_started_ever_more_seldom_and_harms_nobody(place):
    lab, failpoints = place
    session = fp.exchange(lab)
    before = fp.pids(lab)
    with LossCounter(lab, [session]) as load:
        first, ticks = deaths(lab, "keeper"), launcher_cpu_ticks(lab)
        failpoints.arm("keeper.ring_found", keep=True)
        fp.kill(lab, "keeper")
        looped = time.monotonic()
        while time.monotonic() < looped + LOOP_S:
            during = fp.exchange(lab)
            assert during.cookies == [] and (2, True, b"\0\2") in during.records, "error 2 at once, no silence"
            time.sleep(0.2)
        assert 3 <= deaths(lab, "keeper") - first <= DEATHS_MAX
        assert launcher_cpu_ticks(lab) - ticks < 50, "half a second of CPU in three and a half"
        failpoints.disarm("keeper.ring_found")
        assert wait_until(lambda: len(fp.exchange(lab).cookies) == 8, BACK_S)
    assert (load.lost, load.naks, load.wrong) == ([], 0, []), load.losses()
    after = fp.pids(lab)
    assert [after[role] for role in after if role != "keeper"] == [before[role] for role in before if role != "keeper"]


def test_all_of_control_that_cannot_be_started_leaves_the_dataplane_serving(place):
    lab, failpoints = place
    session = fp.exchange(lab)
    before = fp.pids(lab)["dataplane"]
    with LossCounter(lab, [session]) as load:
        failpoints.arm("launcher.role_about_to_execute", keep=True)
        for role in ("keeper", "ke", "clock", "upstream", "admin"):
            fp.kill(lab, role)
        good = load.good
        assert wait_until(lambda: load.good > good + 200, PATIENCE_S)
        failpoints.disarm("launcher.role_about_to_execute")
        assert wait_until(lambda: len(fp.exchange(lab).cookies) == 8, BACK_S)
        assert wait_until(lambda: all(fp.pids(lab).values()) and lab.ask("status"), BACK_S)
    assert (load.lost, load.naks, load.wrong) == ([], 0, []), load.losses()
    assert fp.pids(lab)["dataplane"] == before


@pytest.mark.parametrize("point", ["keeper.ring_found", "ke.listening", "clock.resumed", "dataplane.introduced",
                                   "launcher.role_forked"])
def test_a_role_that_dies_before_all_were_ready_ends_the_start_and_the_next_one_works(place, point):
    """At a start the operator is there to read why: it ends with 1, and takes everything along."""
    lab, failpoints = place
    session = fp.exchange(lab)
    assert lab.stop() == 0
    failpoints.arm(point)
    with pytest.raises(LabError):
        lab.start(lab.state / "config.toml")
    assert lab.launcher.wait(PATIENCE_S) == 1
    lab.launcher = None
    assert not any(fp.pids(lab).values())
    assert "before all were ready" in lab.log_tail(20)
    lab.start(lab.state / "config.toml")
    with LossCounter(lab, [session]) as load:
        assert wait_until(lambda: load.good > 20, PATIENCE_S)
    assert (load.lost, load.naks, load.wrong) == ([], 0, []), load.losses()
