"""SIGTERM, SIGINT, SIGHUP and two at once, at random moments (TESTS.md H06): a clean end (its time is printed) or a
reload, and nothing left behind. Nobody hangs: not once did the launcher have to kill a role, which it says in its log.
NOONMARK_LONG=1 tries 1000 times instead of 30."""

import os
import random
import signal
import time

import pytest

import failpoints as fp
from failpoints import wait_until
from lab import processes
from lab_server import configuration, running
from launcher_log import LauncherLog
from loss_counter import LossCounter

TRIES = 1000 if os.environ.get("NOONMARK_LONG") == "1" else 30
LAUNCHER_TRIES = TRIES // 3  # each is a whole start
PATIENCE_S = 15
STARTING_S = 1.2  # a start takes about this long: a moment up to here is before, at or after ready
ENDS = [[signal.SIGTERM], [signal.SIGINT], [signal.SIGTERM, signal.SIGTERM], [signal.SIGINT, signal.SIGTERM],
        [signal.SIGHUP, signal.SIGTERM], [signal.SIGTERM, signal.SIGHUP], [signal.SIGHUP, signal.SIGHUP, signal.SIGINT]]
# Sockets and the ready file are taken away; pages stay for the next start, with the directories.
# Before it has looked at its signals a role is a program like any other.
CLEAN_ENDS = {"ended with code 0", "was killed by SIGTERM", "was killed by SIGINT"}
LEFT_IN_PAGES = {"keeper/keys", "clock/clock", "admin/settings", "dataplane/stats"}


@pytest.fixture(scope="module", name="lab")
def fixture_lab():
    with running("signals") as lab:
        yield lab


@pytest.fixture(name="dice")
def fixture_dice():
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    return random.Random(seed)


def start_without_waiting(lab):
    lab.launcher = lab.start_inside_server(
        lab.binary("noonmark"), "run", "--config", configuration(lab), "--pages", lab.pages, "--bin-dir",
        lab.state / "bin", "--ready-file", lab.state / "ready", "--json", log=lab.log)


def left_behind(lab):
    pages = {str(path.relative_to(lab.pages)) for path in lab.pages.rglob("*") if not path.is_dir()}
    found = sorted(pages - LEFT_IN_PAGES)
    found += [str(path) for path in [lab.state / "ready", lab.state / "ready.new"] if path.exists()]
    found += [f"{role} {pid}" for role, pids in fp.pids(lab).items() for pid in pids]
    found += [path.name for path in (lab.state / "keeper").glob("*.new")]
    return found


def test_H06_the_launcher_ends_clean_whenever_it_is_told_to(lab, dice):
    assert lab.stop() == 0
    took, ends = [], []
    for number in range(LAUNCHER_TRIES):
        log = LauncherLog(lab)
        start_without_waiting(lab)
        moment = dice.uniform(0, STARTING_S)
        signals = ENDS[number % len(ENDS)]
        # Before it has looked at its signals it is a program like any other: a signal ends it, which is clean too.
        assert wait_until(lambda: log.text() or processes.children(lab.launcher.pid), PATIENCE_S)
        time.sleep(moment)
        told = time.monotonic()
        for sign in signals:
            lab.launcher.send_signal(sign)
            time.sleep(dice.choice([0, 0, 0.001, 0.02]))
        code = lab.launcher.wait(PATIENCE_S)
        took.append(time.monotonic() - told)
        lab.launcher = None
        assert code in (0, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP), (code, signals, moment, lab.log_tail(20))
        assert left_behind(lab) == [], (signals, moment)
        assert not log.given_up() and set(log.ended()) <= CLEAN_ENDS, (signals, moment, log.text())
        ends += log.ended()
    assert ends.count("ended with code 0") > LAUNCHER_TRIES, "most of them were told when they could hear"
    print(f"ended within {max(took):.3f} s; median {sorted(took)[len(took) // 2]:.3f} s")
    lab.start(configuration(lab))


@pytest.mark.parametrize("role", ["keeper", "ke", "clock", "upstream", "admin", "dataplane"])
def test_H06_a_role_that_is_told_to_end_does_and_comes_back(lab, dice, role):
    """The double signals come while it ends; what SIGHUP is not for, it does not hurt."""
    log, tries = LauncherLog(lab), (TRIES - LAUNCHER_TRIES) // 6
    for _ in range(tries):
        assert wait_until(lambda: fp.pids(lab)[role], PATIENCE_S)
        pid = fp.pids(lab)[role][0]
        started = processes.start_time(pid)
        time.sleep(dice.choice([0, 0.005, 0.03, 0.15]))
        for sign in dice.choice([[signal.SIGTERM], [signal.SIGINT], [signal.SIGTERM] * 2,
                                 [signal.SIGINT, signal.SIGTERM, signal.SIGTERM]]):
            try:
                os.kill(pid, sign)
            except ProcessLookupError:
                break
        assert wait_until(lambda: not processes.is_running(pid, started), PATIENCE_S, 0.005), f"{role} hangs"
    assert wait_until(lambda: fp.pids(lab)[role], PATIENCE_S)
    assert wait_until(lambda: len(fp.exchange(lab).cookies) == 8, PATIENCE_S)
    deaths = log.deaths()
    assert {death.role for death in deaths} == {role} and len(deaths) >= tries, log.text()
    assert {death.how for death in deaths} <= CLEAN_ENDS and not log.given_up(), log.text()


def test_H06_hangups_at_random_moments_cost_nothing(lab, dice):
    with LossCounter(lab, [fp.exchange(lab)]) as load:
        assert wait_until(lambda: load.good > 4, PATIENCE_S), "the dataplane may pause after the deaths before"
    with LossCounter(lab, [fp.exchange(lab)]) as load:
        before = fp.pids(lab)
        for _ in range(TRIES):
            lab.launcher.send_signal(signal.SIGHUP)
            time.sleep(dice.uniform(0, 0.03))
        assert wait_until(lambda: len(fp.exchange(lab).cookies) == 8, PATIENCE_S)
        good = load.good
        assert wait_until(lambda: load.good > good + 20, PATIENCE_S)
    assert (load.lost, load.naks, load.wrong) == ([], 0, []), load.losses()
    assert fp.pids(lab) == before
