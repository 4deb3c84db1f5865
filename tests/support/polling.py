"""A client that polls in a thread of its own while a test breaks things, and small waits for what must come true."""

import os
import threading
import time

import nts_client
from in_namespace import namespace
from lab import network
from lab.commands import LabError
from role_processes import status_of

PATIENCE_SECONDS = 20  # not a figure: what is asserted is that it comes true
PACE_SECONDS = 0.005
LOST_SECONDS = 1.0  # an answer that takes longer on a busy machine is late, and one that never comes is lost


def comes_true(condition, seconds=PATIENCE_SECONDS):
    """True as soon as `condition` is. An error on the way there counts as "not yet"."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return True
        except (OSError, ValueError, KeyError, AssertionError, LabError, nts_client.SSL.Error):
            pass
        time.sleep(0.02)
    return False


def key_exchange(lab, **options):
    """One NTS-KE exchange from the lab's client namespace."""
    with namespace(lab.client_namespace):
        return nts_client.key_exchange(network.SERVER_IPV4, lab.ca, network.NAME, **options)


def ke_works(lab):
    return len(key_exchange(lab).cookies) == nts_client.COOKIES


class Polling:
    """A `with` block under load; gives the Poller, and afterwards nothing may be lost unless `may_lose`."""

    def __init__(self, lab, may_lose=False):
        self.lab = lab
        self.may_lose = may_lose
        session = key_exchange(lab)
        with namespace(lab.client_namespace):
            self.poller = nts_client.Poller(session)
        assert comes_true(self.poller.poll)
        self.poller.sent = self.poller.good = self.poller.lost = 0
        self.stops = threading.Event()
        self.fault = None
        self.thread = threading.Thread(target=self._work)

    def _work(self):
        try:
            while not self.stops.is_set():
                self.poller.poll(timeout_s=LOST_SECONDS)
                time.sleep(PACE_SECONDS)
        except BaseException as wrong:  # told by __exit__, in the test's own thread
            self.fault = wrong

    def __enter__(self):
        self.thread.start()
        return self.poller

    def goes_on(self, answers=20):
        """True when that many more answers come."""
        before = self.poller.good
        return comes_true(lambda: self.poller.good >= before + answers)

    def __exit__(self, kind, *_):
        self.stops.set()
        self.thread.join(PATIENCE_SECONDS)
        is_alive = self.thread.is_alive()
        self.poller.socket.close()
        if self.fault:
            raise self.fault
        assert not is_alive, "the client's thread still runs"
        if kind is None and not self.may_lose:
            told = f"{self.poller.sent} sent, {self.poller.good} good"
            assert (self.poller.lost, self.poller.naks) == (0, 0), told


def pid_of(lab, uid):
    """Of the one process of this lab under `uid`."""
    found = [int(status["Pid"]) for status in status_of(lab, uid)]
    assert len(found) == 1, found
    return found[0]


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))
