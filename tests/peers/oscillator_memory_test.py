"""[gnss] memory under the launcher, with the role's own uid and its sandbox: saved at the end, taken up at the next
start, left whole by kill -9, and a file that cannot be believed costs the warm-up and one sentence.

The samples are this machine's clock through chrony's SOCK, twenty a second, so that learning takes seconds.
"""

import os
import signal
import socket
import stat
import struct
import threading
import time

import pytest

from lab import gnss
from lab.lab import Lab
from lab_server import configuration, require_namespaces
from gnss_test import role_pid

PATIENCE_S = 120
AGREE = "the pulses agree with what was remembered of the oscillator"
ANEW = "the oscillator is learned anew"


class Samples(threading.Thread):
    """Tells the clock's socket twenty times a second that the kernel's clock is right."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.is_over = path, threading.Event()

    def run(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.setblocking(False)
            while not self.is_over.wait(0.05):
                now = time.time_ns()
                sample = struct.pack("qqdiiii", now // 10**9, now % 10**9 // 1000, 0.0, 0, 0, 0, 0x534F434B)
                try:
                    out.sendto(sample, str(self.path))
                except OSError:
                    pass  # the role is not there, or behind

    def stop(self):
        self.is_over.set()
        self.join(5)


class Site:
    def __init__(self, lab):
        self.lab = lab
        self.memory = lab.state / "clock" / "oscillator"
        self.told = 0

    def start(self):
        """Starts Noonmark on the pages of the run before; what its log said until now is forgotten."""
        self.forget_log()
        self.lab.start(configuration(self.lab, clock={"source": "gnss"},
                                     gnss={"pulse": f"sock:{gnss.pulse_socket(self.lab)}", "memory": str(self.memory)}))

    def stop(self):
        assert self.lab.stop() == 0, self.lab.log_tail()

    def wait(self, condition, what):
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"{what}, not after {PATIENCE_S} s:\n{self.lab.log_tail(40)}"
            time.sleep(0.1)

    def lock(self):
        self.wait(lambda: self.lab.ask("status")["clock"]["state"] == "locked", "locked")

    def learn(self):
        """Locked, and long enough to be worth remembering."""
        self.lock()
        self.wait(lambda: self.lab.ask("clock")["gnss"]["samples"] > 150, "150 samples")

    def forget_log(self):
        self.told = self.lab.log.stat().st_size if self.lab.log.exists() else 0

    def lines(self, text):
        """Those of the log since then that hold `text`."""
        with open(self.lab.log, "rb") as log:
            log.seek(self.told)
            return [line for line in log.read().decode(errors="replace").splitlines() if text in line]


@pytest.fixture(name="site")
def fixture_site():
    require_namespaces()
    with Lab("oscillator") as lab:
        samples = Samples(gnss.pulse_socket(lab))
        samples.start()
        site = Site(lab)
        try:
            site.start()
            site.learn()
            site.stop()
            yield site
        except BaseException:
            print(f"--- the end of Noonmark's log\n{lab.log_tail(60)}")
            raise
        finally:
            samples.stop()


def test_H03_it_is_saved_at_the_end_taken_up_at_the_start_and_left_whole_by_kill_9(site):
    held = site.memory.stat()
    assert stat.S_IMODE(held.st_mode) == 0o600
    assert (held.st_uid, held.st_gid) == (gnss.CLOCK_UID, gnss.CLOCK_UID)
    assert stat.S_IMODE(site.memory.parent.stat().st_mode) == 0o700
    assert os.listdir(site.memory.parent) == ["oscillator"]
    first = site.memory.read_bytes()

    site.start()
    site.wait(lambda: site.lines(AGREE), "the memory's trial")
    site.learn()
    old = role_pid(site.lab, "clock")
    site.forget_log()
    os.kill(old, signal.SIGKILL)
    site.wait(lambda: role_pid(site.lab, "clock") not in (None, old), "a clock role again")
    assert site.memory.read_bytes() == first, "who is killed saves nothing and spoils nothing"
    site.wait(lambda: site.lines(AGREE), "the memory's trial after the kill")
    assert not site.lines(ANEW)
    site.learn()
    site.stop()
    assert site.memory.read_bytes() != first, "what was learned since"
    assert os.listdir(site.memory.parent) == ["oscillator"]


def test_what_cannot_be_believed_is_named_and_the_clock_locks_without_it(site):
    whole = site.memory.read_bytes()
    foreign = {
        "of somebody else": (lambda: (site.memory.write_bytes(whole), os.chown(site.memory, 1, 1)), "belongs to uid 1"),
        "open to others": (lambda: (site.memory.write_bytes(whole), os.chown(site.memory, 0, 0),
                                    site.memory.chmod(0o666)), "others could write it"),
        "unreadable": (lambda: (site.memory.write_bytes(whole), os.chown(site.memory, 0, 0),
                                site.memory.chmod(0o600)), "oscillator"),
        "garbage": (lambda: (os.chown(site.memory, gnss.CLOCK_UID, gnss.CLOCK_UID),
                             site.memory.write_bytes(b"garbage")), "it is cut short"),
    }
    for what, (spoil, sentence) in foreign.items():
        spoil()
        site.start()
        site.wait(lambda: site.lines(ANEW), what)
        lines = site.lines(ANEW)
        assert len(lines) == 1 and sentence in lines[0] and str(site.memory) in lines[0], (what, lines)
        print(what, "->", lines[0])
        if what != "garbage":
            site.stop()
    site.learn()
    site.stop()
    assert site.memory.read_bytes()[:8] == whole[:8] and len(site.memory.read_bytes()) > 100, "a fresh one is kept"
    site.start()
    site.wait(lambda: site.lines(AGREE), "the fresh memory's trial")
    site.stop()
