"""NTPsec's ntpd 1.2.2 as a client, its ntpq, and ntpdig. It can never touch the clock.

`disable ntp` keeps it from steering, and it runs without CAP_SYS_TIME, so that even a wrong option could not.
kernel_clock() reads what adjtimex knows, so that a test can show that nothing changed.
"""

import ctypes
import os
import re
import time
from pathlib import Path

from lab import network, peers, processes
from lab.commands import run


class _Timex(ctypes.Structure):
    """struct timex of linux/timex.h, as far as we read it; the rest is padding."""
    _fields_ = [("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long),
                ("maxerror", ctypes.c_long), ("esterror", ctypes.c_long), ("status", ctypes.c_int),
                ("constant", ctypes.c_long), ("precision", ctypes.c_long), ("tolerance", ctypes.c_long),
                ("time", ctypes.c_long * 2), ("tick", ctypes.c_long), ("padding", ctypes.c_byte * 256)]


def kernel_clock():
    """(frequency, status, tick, time constant) of the kernel's clock: all that a client could have changed."""
    value = _Timex(modes=0)  # modes 0: only read
    if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(value)) < 0:
        raise OSError(ctypes.get_errno(), "adjtimex")
    return value.freq, value.status, value.tick, value.constant


def environment():
    tree = peers.tree("ntpsec")
    return {**os.environ, "PYTHONPATH": str(tree / "usr/lib/python3/dist-packages"),
            "LD_LIBRARY_PATH": f"{tree}/usr/lib/x86_64-linux-gnu:{tree}/usr/lib/x86_64-linux-gnu/ntp",
            "COLUMNS": "200"}


class Ntpd:
    """ntpd in a namespace, asked through ntpq until stopped."""

    def __init__(self, namespace, directory, record, servers, ca):
        """`servers`: the lines after "server ", e.g. "time.noonmark.test:4460 nts iburst"."""
        self.namespace, self.directory = namespace, Path(directory)
        self.directory.mkdir(parents=True)
        self.log = self.directory / "ntpd.log"
        file = self.directory / "ntp.conf"
        lines = ["disable ntp", f"nts ca {ca}", f"logfile {self.log}", "logconfig =all",
                 "restrict default nomodify", "restrict 127.0.0.1", "restrict ::1"]
        file.write_text("\n".join(lines + [f"server {server}" for server in servers]) + "\n", encoding="utf-8")
        self.process = processes.start(network.inside(
            namespace, "setpriv", "--bounding-set", "-sys_time", "--inh-caps", "-sys_time", "--",
            peers.program("ntpsec", "usr/sbin/ntpd"), "-n", "-N", "-c", file, "-p", self.directory / "ntpd.pid"),
            record, log=self.directory / "ntpd.txt", env=environment())

    def ntpq(self, *words):
        done = run(*network.inside(self.namespace, "/usr/bin/python3", peers.program("ntpsec", "usr/bin/ntpq"),
                                   *words, "127.0.0.1"), check=False, timeout_s=15, env=environment())
        return done.stdout + done.stderr

    def peers(self):
        """The rows of `ntpq -pn`, each a list of its columns; the fourth is `t`."""
        rows = self.ntpq("-pn").splitlines()
        return [row[1:].split() for row in rows if re.match(r"^[ x.\-+#*o][0-9a-f]", row) and "===" not in row]

    def nts(self):
        """{label: number} of `ntpq -c nts`."""
        pairs = (line.split(":", 1) for line in self.ntpq("-c", "nts").splitlines() if ":" in line)
        return {label.strip(): int(text.split()[0]) for label, text in pairs if text.split()[:1] and
                text.split()[0].isdigit()}

    def wait_for(self, condition, seconds):
        """True as soon as condition() is; False when it is not within `seconds`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                return False
            if condition():
                return True
            time.sleep(0.5)
        return False

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def stop(self):
        processes.stop(self.process)


def dig(namespace, *words):
    """One ntpdig, NTPsec's SNTP program; returns the finished process."""
    return run(*network.inside(namespace, "/usr/bin/python3", peers.program("ntpsec", "usr/bin/ntpdig"), *words),
               check=False, timeout_s=30, env=environment())
