"""One role started by hand in a lab, so that a test sees its first words and its exit code."""

import contextlib
import os
import signal
import socket
import subprocess
import time

import fault_shim
from lab import network
from role_processes import DATAPLANE, UIDS

START_SECONDS = 20


class StartedRole:
    """A role without a launcher: tells when it says READY=1 and how it ends. Its lab was started once and stopped."""

    def __init__(self, lab, role, shim=False, outside=(), inside=()):
        """`outside` runs it as root (strace), `inside` as the role's user (prlimit)."""
        self.name = str(lab.state / f"notify.{role}")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.name)
        self.ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ear.bind(self.name)
        os.chmod(self.name, 0o666)
        uid = UIDS[role]
        groups = ["--groups", str(DATAPLANE)] if role == "keeper" else ["--clear-groups"]
        environment = [f"NOTIFY_SOCKET={self.name}"]
        if shim:
            environment += [f"LD_PRELOAD={fault_shim.install(lab)}", f"NOONMARK_FAULTS={lab.state / ('faults.' + role)}"]
        argv = [*outside, "setpriv", f"--reuid={uid}", f"--regid={uid}", *groups, "--", *inside, "env", *environment,
                lab.binary("noonmark-control"), role, *lab.config_arguments(), "--pages", lab.pages]
        self.process = subprocess.Popen(list(map(str, network.inside(lab.server_namespace, *argv))), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")

    def is_ready(self):
        """True when it serves; False when it ended before."""
        self.ear.settimeout(0.01)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                if b"READY=1" in self.ear.recv(4096):
                    return True
            if self.process.poll() is not None:
                return False
        raise AssertionError("neither ready nor ended")

    def end(self):
        """(exit code, its words); asks it to stop if it still runs."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            _, words = self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, words = self.process.communicate()
            words += "\n(did not stop when asked)"
        self.ear.close()
        return self.process.returncode, words
