"""Labs whose programs have failpoints (dataplane/shm/failpoint.h), and how a test arms them while they run."""

import contextlib
import errno
import functools
import os
import re
import shutil
import signal
import time

import nts_client
from in_namespace import namespace
from lab import network
from lab.lab import BINARIES, ROOT, Lab
from lab_server import configuration, require_namespaces
from role_processes import UIDS, status_of

BUILT = ROOT / "build" / "tests" / "faults"
_PLACE = re.compile(r'failpoint::(?:reach|error_at)\("([a-z0-9_.]+)"\)')


@functools.cache
def names():
    """Every failpoint of the sources, sorted."""
    found = set()
    for folder in ("control", "dataplane"):
        for path in (ROOT / folder).rglob("*.cc"):
            found |= set(_PLACE.findall(path.read_text(encoding="utf-8")))
    return sorted(found)


def program(binary):
    """The program with failpoints that stands for build/`binary`."""
    return BUILT / f"failpoints-{binary.rpartition('/')[2]}"


class Failpoints:
    """The failpoints of one lab (tests/support/failpoint.cc says what a file means)."""

    def __init__(self, lab):
        self.directory = lab.state / "failpoints"
        self.directory.mkdir()
        self.directory.chmod(0o777)  # whoever reaches one takes it away

    def arm(self, name, action="kill", argument=0, skip=0, keep=False):
        assert name in names(), name
        fresh = self.directory / f"{name}.fresh"
        fresh.write_text(f"{action} {argument} {skip} {int(keep)}\n", encoding="ascii")
        fresh.chmod(0o666)
        fresh.rename(self.directory / name)

    def fail(self, name, error=errno.EIO, **more):
        self.arm(name, "fail", error, **more)

    def is_reached(self, name):
        return not (self.directory / name).exists()

    def is_waiting(self, name):
        """True while a process stands at the barrier `name`, armed with "wait"."""
        try:
            return (self.directory / name).read_text(encoding="ascii") == "waiting\n"
        except FileNotFoundError:
            return False

    def disarm(self, name):
        """Also lets those go on that wait there."""
        (self.directory / name).unlink(missing_ok=True)

    def disarm_all(self):
        for file in self.directory.iterdir():
            file.unlink(missing_ok=True)


def wait_until(condition, seconds, pace=0.02):
    """True as soon as condition() is; False when it is not within `seconds`. What it raises counts as "not yet"."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return True
        except Exception:  # pylint: disable=broad-except  # a role is away: the next try may find it back
            pass
        if time.monotonic() >= deadline:
            return False
        time.sleep(pace)


def put_programs(lab):
    """Replaces the lab's programs by those with failpoints."""
    for binary in BINARIES:
        shutil.copy(program(binary), lab.binary(binary.rpartition("/")[2]))


@contextlib.contextmanager
def failing(name, start=True, **sections):
    """(lab, Failpoints): a lab with failpoints, Noonmark running in it unless told otherwise."""
    require_namespaces()
    with Lab(name) as lab:
        put_programs(lab)
        failpoints = Failpoints(lab)
        try:
            configuration(lab, **sections)
            if start:
                lab.start(lab.state / "config.toml")
            yield lab, failpoints
        except BaseException:
            print(f"--- the end of Noonmark's log in lab {name}\n{lab.log_tail(60)}")
            raise
        finally:
            failpoints.disarm_all()


def exchange(lab, **more):
    """One NTS-KE exchange by our own client."""
    with namespace(lab.client_namespace):
        return nts_client.key_exchange(network.SERVER_IPV4, lab.ca, network.NAME, **more)


def pids(lab):
    """{role: [pid]} of all of the lab's roles."""
    return {role: [int(status["Pid"]) for status in status_of(lab, uid)] for role, uid in UIDS.items()}


def kill(lab, role):
    """Kills the role's processes; one that a failpoint ends in the same moment is as dead as we want it."""
    for pid in pids(lab)[role]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def held_launcher(lab):
    """The launcher stands still: who dies stays dead."""
    os.kill(lab.launcher.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(lab.launcher.pid, signal.SIGCONT)
