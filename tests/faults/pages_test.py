"""Page files that were deleted, replaced, shut or cut short while everybody runs, as a clumsy operator might (TESTS.md G08).

Who has a page mapped goes on without its file. A dataplane that starts afterwards needs it: so its writer, which is
not started anew, has to see to the file.
"""

import os
import signal

import pytest

from lab_server import running
from polling import Polling, comes_true, ke_works, pid_of
from role_processes import UIDS

PAGES = {"keeper": "keys", "clock": "clock", "admin": "settings", "dataplane": "stats"}


@pytest.fixture(scope="module", name="lab")
def fixture_lab():
    with running("pages") as lab:
        yield lab


def garbage(path):
    fresh = path.with_suffix(".garbage")
    fresh.write_bytes(os.urandom(path.stat().st_size))
    fresh.replace(path)


def is_good(lab, role):
    """The page is where a reader looks for it, and as one that he takes."""
    status = (lab.pages / role / PAGES[role]).lstat()
    mode = 0o640 if role == "keeper" else 0o644
    return (status.st_uid, status.st_mode & 0o7777, status.st_nlink) == (UIDS[role], mode, 1)


def serves_both(lab):
    """Plain and authenticated time, from the dataplane that runs now."""
    with Polling(lab, may_lose=True) as poller:
        return comes_true(lambda: poller.good >= 5) and ke_works(lab)


def restart_dataplane(lab):
    before = pid_of(lab, UIDS["dataplane"])
    os.kill(before, signal.SIGKILL)
    assert comes_true(lambda: pid_of(lab, UIDS["dataplane"]) != before and lab.ask("status")["dataplane"]["running"])


SPOILT = {"deleted": os.unlink, "replaced": garbage, "shut": lambda path: os.chmod(path, 0)}


@pytest.mark.parametrize("role", PAGES)
def test_a_page_that_is_gone_is_back_for_the_dataplane_that_starts_next(lab, role):
    page = lab.pages / role / PAGES[role]
    with Polling(lab):  # whoever is being served notices nothing
        for how, spoil in SPOILT.items():
            inode = page.stat().st_ino
            spoil(page)
            assert comes_true(lambda old=inode: page.stat().st_ino != old and is_good(lab, role)), (how, lab.log_tail())
    restart_dataplane(lab)
    assert serves_both(lab), lab.log_tail()


@pytest.mark.parametrize("socket", ("keeper/socket", "clock/socket", "clock/report.socket", "admin/socket", "ke/0.socket"))
def test_a_socket_whose_name_was_deleted_is_back(lab, socket):
    """Only who knows its name can call: its role begins anew, and all that is asked through it works again."""
    path = lab.pages / socket
    path.unlink()
    assert comes_true(path.is_socket), lab.log_tail()
    assert comes_true(lambda: lab.ask("clock")["sentence"] and lab.ask("upstreams")["running"]), lab.log_tail()
    assert serves_both(lab), lab.log_tail()


@pytest.mark.parametrize("left_bytes", (0, 100))
@pytest.mark.parametrize("role", PAGES)
def test_a_page_that_was_cut_short_is_made_anew_by_the_writers_next_start(lab, role, left_bytes):
    """Whoever touches memory that is gone dies of SIGBUS, and all come back; the keys are those of the file. Of what is
    left, the first 4 KiB can still be touched: then the writer finds out by itself."""
    page = lab.pages / role / PAGES[role]
    whole_bytes = page.stat().st_size
    os.truncate(page, left_bytes)
    assert comes_true(lambda: is_good(lab, role) and page.stat().st_size == whole_bytes), lab.log_tail()
    assert comes_true(lambda: lab.ask("status")["dataplane"]["running"] and serves_both(lab)), lab.log_tail()
