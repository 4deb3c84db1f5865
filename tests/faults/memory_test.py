"""No memory: an allocation that fails, each in its turn, in every role (TESTS.md H12).

At start, during an NTS-KE exchange, a rotation, a reload, a report and eight publications of the clock. What may
happen: the caller is told no, or the role ends with one sentence and is started again. What may not: death by
signal, a role that is there but deaf, a key that is lost, an NTP answer that does not come.

tests/run tries every so-manieth allocation, `tests/run long` each one.
"""

import contextlib
import os
import re
import signal
import time

import pytest

import fault_shim
from fault_shim import ALLOCATE
from lab.commands import LabError
from lab_server import running
from nts_client import SSL
from polling import Polling, comes_true, ke_works, key_exchange, pid_of
from role_processes import UIDS
from started_role import StartedRole

LONG = os.environ.get("NOONMARK_LONG") == "1"
STARTS_PER_ROLE = 12  # of some thousand allocations
FAILURES_PER_WORK = 3
ROLES = ("keeper", "ke", "clock", "admin")


@pytest.fixture(scope="module", name="stopped")
def fixture_stopped():
    """A lab whose Noonmark ran and ended well: directories, pages and keys are there, and no process."""
    with running("memory-start") as lab:
        lab.stop()
        yield lab


def points(count, wanted):
    """Which allocations are tried: all, or `wanted` of them, spread over the whole. A clock that publishes has none."""
    return range(count) if LONG else range(0, count, max(1, count // wanted))


@pytest.mark.parametrize("role", ROLES)
def test_H12_each_allocation_of_a_start_may_fail(stopped, role):
    rules = fault_shim.Rules(stopped.state / f"faults.{role}")
    whole = StartedRole(stopped, role, shim=True)
    assert whole.is_ready(), whole.end()
    assert whole.end()[0] == 0
    count = rules.seen(ALLOCATE)
    assert count > 100, "the shim is in it"
    ended = 0
    for skip in points(count, STARTS_PER_ROLE):
        rules.fail(ALLOCATE, skip)
        started = StartedRole(stopped, role, shim=True)
        ready = started.is_ready()
        rules.stop(ALLOCATE)
        code, words = started.end()
        told = f"allocation {skip} of {count}: {'ready, then ' if ready else ''}{code}, {words}"
        # Ready, it may still meet the failure a moment later, before or after it hears our SIGTERM.
        assert code in ((0, 1, -signal.SIGTERM) if ready else (1,)), told
        if code == 1:
            ended += 1
            assert words.strip() and "terminate called" not in words, told
    assert ended > 0, "a failure that nobody meets is none"
    again = StartedRole(stopped, role, shim=True)
    assert again.is_ready(), again.end()
    assert again.end()[0] == 0


@pytest.fixture(scope="module", name="wrapped")
def fixture_wrapped():
    from lab.lab import Lab
    from lab_server import configuration, require_namespaces
    require_namespaces()
    with Lab("memory") as lab:
        try:
            rules = fault_shim.wrap(lab, ROLES)
            lab.start(configuration(lab))
            yield lab, rules
        except BaseException:
            print(f"--- the end of Noonmark's log in lab memory\n{lab.log_tail(60)}")
            raise


def rotate(lab):
    before = lab.ask("keys")["current_id"]
    lab.ask("rotate")
    return comes_true(lambda: lab.ask("keys")["current_id"] > before)


def new_connection(lab):
    return len(key_exchange(lab, timeout_s=1).cookies) == 8


WORKS = {
    "exchange": (("ke", "keeper"), new_connection),
    "rotation": (("keeper", "admin"), rotate),
    "status": (("admin",), lambda lab: lab.ask("status")["keys"]["running"]),
    "reload": (("admin", "ke", "keeper"), lambda lab: lab.ask("reload")["silent"] == []),
    "publications": (("clock",), lambda lab: time.sleep(0.3) or lab.ask("status")["clock"]["running"]),
}


@pytest.mark.parametrize("work, role", [(work, role) for work, (roles, _) in WORKS.items() for role in roles])
def test_H12_each_allocation_of_a_serving_role_may_fail(wrapped, work, role):
    lab, all_rules = wrapped
    rules, do = all_rules[role], WORKS[work][1]
    assert comes_true(lambda: do(lab)), "before anything fails"
    start = rules.seen(ALLOCATE)
    assert do(lab)
    count = rules.seen(ALLOCATE) - start
    newest = max(key["id"] for key in lab.ask("keys")["keys"])
    log_start = lab.log.stat().st_size
    with Polling(lab):
        for skip in points(count, FAILURES_PER_WORK):
            rules.fail(ALLOCATE, skip)
            with contextlib.suppress(LabError, SSL.Error, OSError, ValueError, AssertionError, KeyError):
                do(lab)
            rules.stop(ALLOCATE)
            assert comes_true(lambda: pid_of(lab, UIDS[role])), f"{role} is back after allocation {skip}"
            assert comes_true(lambda: do(lab)), f"{work} works again after allocation {skip} of {count}"
    assert comes_true(lambda: ke_works(lab))
    assert newest in [key["id"] for key in lab.ask("keys")["keys"]], "no key was lost"
    with open(lab.log, encoding="utf-8", errors="replace") as log:
        log.seek(log_start)
        said = log.read()
    assert not re.search(r"was killed by SIG|gives no sign of life", said), said[-3000:]
