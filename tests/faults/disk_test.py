"""A disk that is full, read-only or broken while the keeper saves, and a keeper that is killed in the middle of a save
(TESTS.md F09, F10).

The key file lies on a small tmpfs of its own. A client polls all the while and loses nothing.
"""

import os
import time

import pytest

import fault_shim
from lab.commands import run
from lab.lab import Lab
from lab_server import configuration, require_namespaces
from polling import Polling, comes_true, key_exchange, pid_of
from role_processes import UIDS

KEEPER = UIDS["keeper"]
SAVE_CALLS = ("openat", "write", "fchmod", "fsync", "rename")


@pytest.fixture(scope="module", name="lab")
def fixture_lab():
    require_namespaces()
    with Lab("disk") as lab:
        disk = lab.state / "keeper"
        run("mount", "-t", "tmpfs", "-o", f"size=64k,mode=0700,uid={KEEPER},gid={KEEPER}", "noonmark-test", disk)
        try:
            lab.start(configuration(lab))
            yield lab
        except BaseException:
            print(f"--- the end of Noonmark's log in lab disk\n{lab.log_tail(60)}")
            raise
        finally:
            lab.stop()
            run("umount", disk)


def remount(lab, options):
    run("mount", "-o", f"remount,{options}", lab.state / "keeper")


def fill(lab):
    with open(lab.state / "keeper" / "filler", "wb", buffering=0) as filler:
        try:
            while filler.write(bytes(4096)):
                pass
        except OSError:
            pass


def noonmark(lab, *words):
    return lab.run_in_server(lab.binary("noonmark"), *words, "--pages", lab.pages, check=False, timeout_s=10)


def alarm(lab):
    return lab.ask("keys")["alarm"]


def current(lab):
    return lab.ask("keys")["current_id"]


class Full:
    """No room: a write fails with ENOSPC."""
    word = "No space left"

    def begin(self, lab):
        fill(lab)

    def end(self, lab):
        (lab.state / "keeper" / "filler").unlink()


class ReadOnly:
    word = "Read-only"

    def begin(self, lab):
        remount(lab, "ro")

    def end(self, lab):
        remount(lab, "rw")


class Failing:
    """One system call of the keeper fails, each time it is made, until the trouble is over."""

    def __init__(self, call, error, word):
        self.call, self.error, self.word, self.tracer = call, error, word, None

    def begin(self, lab):
        self.tracer = fault_shim.strace(pid_of(lab, KEEPER), "-e", f"trace={self.call}", "-e",
                                        f"inject={self.call}:error={self.error}", *self.only(lab))

    def only(self, lab):  # a write to the log or to another role is not the disk's
        return ("-P", str(lab.state / "keeper" / "keys.new")) if self.call == "write" else ()

    def end(self, lab):
        fault_shim.end_strace(self.tracer)


TROUBLES = {"full": Full(), "read-only": ReadOnly(), "fsync-EIO": Failing("fsync", "EIO", "Input/output error"),
            "write-EIO": Failing("write", "EIO", "Input/output error"),
            "rename-ENOSPC": Failing("rename", "ENOSPC", "No space left")}


@pytest.mark.parametrize("kind", TROUBLES)
def test_F10_service_goes_on_and_the_alarm_ends_with_the_trouble(lab, kind):
    trouble, before = TROUBLES[kind], current(lab)
    old_file = (lab.state / "keeper" / "keys").read_bytes()
    log_start = lab.log.stat().st_size
    with Polling(lab) as poller:
        trouble.begin(lab)
        try:
            for _ in range(3):  # an operator who tries again
                done = noonmark(lab, "rotate")
                assert done.returncode == 1 and trouble.word in done.stderr, done.stderr
                assert len(done.stderr.splitlines()) == 1
            status = noonmark(lab, "status")
            assert "ALARM" in status.stdout and trouble.word in status.stdout
            assert status.returncode == 0, "it serves, and says so"
            assert trouble.word in alarm(lab)
            key_exchange(lab)  # sealing needs no disk
            time.sleep(1.2)  # one try more: the pause between two begins at a second
            assert (lab.state / "keeper" / "keys").read_bytes() == old_file
            assert current(lab) == before
            good = poller.good
        finally:
            trouble.end(lab)
        assert comes_true(lambda: alarm(lab) == ""), "it heals by itself"
        assert noonmark(lab, "rotate").returncode == 0
        assert comes_true(lambda: current(lab) == before + 1)
        assert comes_true(lambda: poller.good > good)
    with open(lab.log, encoding="utf-8", errors="replace") as log:
        log.seek(log_start)
        lines = [line for line in log if trouble.word in line and not line.startswith("keeper: over: ")]
    assert len(lines) == 1, "told once, not at each try"
    assert not (lab.state / "keeper" / "keys.new").exists()


@pytest.mark.parametrize("call", SAVE_CALLS)
def test_F09_a_keeper_killed_in_a_save_comes_back_with_every_key(lab, call):
    """The unit test kills before and after each system call; here it is the real keeper, under clients."""
    keeper = pid_of(lab, KEEPER)
    before = current(lab)
    only = ("-P", str(lab.state / "keeper" / "keys.new")) if call == "write" else ()
    with Polling(lab) as poller:
        tracer = fault_shim.strace(keeper, "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when=1", *only)
        noonmark(lab, "rotate")  # hears nothing, or that the keeper does not answer
        assert comes_true(lambda: pid_of(lab, KEEPER) != keeper), "it was killed"
        tracer.wait(10)
        assert comes_true(lambda: lab.ask("keys")["current_id"] >= before and not lab.ask("keys")["rotation_pending"])
        mode = os.stat(lab.state / "keeper" / "keys").st_mode
        assert mode & 0o7777 == 0o600
        good = poller.good
        assert comes_true(lambda: poller.good > good + 10), "old cookies open"
        assert len(key_exchange(lab).cookies) == 8
        now = current(lab)
        assert comes_true(lambda: noonmark(lab, "rotate").returncode == 0), "nothing is in the way of the next"
        assert comes_true(lambda: current(lab) == now + 1)
    assert not list((lab.state / "keeper").glob("*.refused*"))


def test_F09_links_in_the_place_of_the_key_file_are_not_followed(lab):
    """CVE-2020-14367: whoever may write in the keeper's directory must not make it write elsewhere."""
    victim = lab.state / "victim"
    victim.write_text("precious", encoding="ascii")
    os.chown(victim, KEEPER, KEEPER)
    keys = lab.state / "keeper" / "keys"
    with Polling(lab):
        for name in ("keys", "keys.new"):
            link = keys.with_name(name)
            link.unlink(missing_ok=True)
            link.symlink_to(victim)
            now = current(lab)
            assert noonmark(lab, "rotate").returncode == 0
            assert comes_true(lambda now=now: current(lab) == now + 1)
            assert victim.read_text(encoding="ascii") == "precious"
            assert keys.is_file() and not keys.is_symlink()
