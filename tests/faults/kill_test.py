"""What happens when a process is killed with SIGKILL while a client polls? (TESTS.md H01-H05, simple form)

The client sends an authenticated request every few milliseconds and counts: answers that verify, NTSN kisses,
silence. Cookies it got before a kill must work after it.
"""

import os
import signal

import pytest

import nts_client
from in_namespace import namespace
from lab import network, processes
from lab_server import running
from polling import Polling, comes_true, ke_works
from role_processes import DATAPLANE, UIDS, status_of

ROLES = {role: uid for role, uid in UIDS.items() if uid != DATAPLANE}


@pytest.fixture(scope="module", name="lab")
def fixture_lab():
    with running("kill") as lab:
        yield lab


def pids_of(lab, uid):
    return sorted(int(status["Pid"]) for status in status_of(lab, uid))


def kill(lab, uid):
    """Kills the one process under `uid` and waits until another is there; returns its pid."""
    before = pids_of(lab, uid)
    assert len(before) == 1, before
    os.kill(before[0], signal.SIGKILL)
    found = []

    def is_back():  # seen twice: the first sight may be of a child between fork and exec
        last = list(found)
        found[:] = pids_of(lab, uid)
        return len(found) == 1 and found == last and found != before
    assert comes_true(is_back), "it did not come back"
    return found[0]


@pytest.mark.parametrize("role", ROLES)
def test_H01_H02_H03_a_killed_role_costs_no_answer(lab, role):
    dataplane = pids_of(lab, DATAPLANE)
    with Polling(lab, may_lose=True) as poller:
        assert comes_true(lambda: poller.good > 20)
        for _ in range(3):
            kill(lab, ROLES[role])
            good = poller.good
            assert comes_true(lambda good=good: poller.good > good + 20)
        assert comes_true(lambda: ke_works(lab)), "NTS-KE is back"
    assert (poller.lost, poller.naks) == (0, 0), f"{poller.sent} sent, {poller.good} good"
    assert poller.good == poller.sent
    assert pids_of(lab, DATAPLANE) == dataplane, "nobody else was touched"


def test_H01_the_dataplane_answers_while_all_of_control_is_dead(lab):
    """SIGSTOP to the launcher so that nobody is started again, SIGKILL to every role."""
    with Polling(lab, may_lose=True) as poller:
        assert comes_true(lambda: poller.good > 20)
        os.kill(lab.launcher.pid, signal.SIGSTOP)
        try:
            for uid in ROLES.values():
                for pid in pids_of(lab, uid):
                    os.kill(pid, signal.SIGKILL)
            good = poller.good
            assert comes_true(lambda: poller.good > good + 50), "the dataplane goes on alone"
        finally:
            os.kill(lab.launcher.pid, signal.SIGCONT)
        assert comes_true(lambda: all(len(pids_of(lab, uid)) == 1 for uid in ROLES.values()))
        assert comes_true(lambda: ke_works(lab))
    assert (poller.lost, poller.naks) == (0, 0)


def test_H04_a_killed_dataplane_is_back_and_takes_the_old_cookies(lab):
    with Polling(lab, may_lose=True) as poller:
        assert comes_true(lambda: poller.good > 20)
        for _ in range(2):
            kill(lab, DATAPLANE)
            good = poller.good
            assert comes_true(lambda good=good: poller.good > good + 20), "answers again"
    assert poller.naks == 0, "no cookie was lost with it"
    roles = {role: pids_of(lab, uid) for role, uid in ROLES.items()}
    assert all(len(pids) == 1 for pids in roles.values())


def test_H05_after_killing_everything_a_new_start_takes_the_old_cookies(lab):
    with namespace(lab.client_namespace):
        poller = nts_client.Poller(nts_client.key_exchange(network.SERVER_IPV4, lab.ca, network.NAME))
        assert poller.poll()
        family = [lab.launcher.pid] + [pid for pid, _ in processes.children(lab.launcher.pid)]
        for pid in family:
            os.kill(pid, signal.SIGKILL)
        lab.launcher.wait()
        lab.launcher = None
        assert comes_true(lambda: not pids_of(lab, DATAPLANE))
        for page in ("keeper/keys", "clock/clock"):  # as after a power cut: only the disk is left
            (lab.pages / page).unlink()
        lab.start(lab.state / "config.toml")
        for _ in range(8):
            assert poller.poll(timeout_s=5), "a cookie from before the cut"
        assert poller.naks == 0


def test_G09_keys_are_the_same_after_restarts(lab):
    before = lab.ask("keys")
    kill(lab, ROLES["keeper"])
    kill(lab, DATAPLANE)
    assert comes_true(lambda: lab.ask("keys")["current_id"] == before["current_id"])
    assert len(lab.ask("keys")["keys"]) == len(before["keys"]), "no new keys were made"


def test_C28_D15_rotation_under_a_polling_client_costs_nothing(lab):
    with Polling(lab, may_lose=True) as poller:
        assert comes_true(lambda: poller.good > 20)
        for _ in range(3):
            current = lab.ask("keys")["current_id"]
            new = lab.ask("rotate")["new_key_id"]
            assert new == current + 1
            assert comes_true(lambda new=new: lab.ask("keys")["current_id"] == new), "every core acknowledged"
            good = poller.good
            assert comes_true(lambda good=good: poller.good > good + 20)
    assert (poller.lost, poller.naks) == (0, 0)
    assert {len(cookie) for cookie in poller.cookies} == {100}


def test_J15_every_packet_has_one_verdict_after_all_this(lab):
    assert comes_true(lambda: lab.ask("counters")["dataplane"]["received_packets"] > 0)
    found = lab.ask("counters")["dataplane"]
    assert found["received_packets"] == found["verdicts"]
    assert found["sent_octets"] <= found["received_octets"]
