"""Do the walls between the processes stand? Pages, uids, capabilities, sockets of a running Noonmark.

TESTS.md G06, G07, T12: each page is tried as each other uid, from outside, by a process of that uid.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from lab import network, processes
from lab.commands import LabError
from lab_server import running
from role_processes import DATAPLANE, UIDS, status_of

PAGES = {"keys": ("keeper/keys", "keeper"), "clock": ("clock/clock", "clock"), "settings": ("admin/settings", "admin"),
         "stats": ("dataplane/stats", "dataplane")}
NOBODY = 65534
CAPABILITIES = {"net_admin": 12, "net_raw": 13, "net_bind_service": 10, "sys_time": 25, "sys_admin": 21}

# Tries one thing with one file and says how it went: the errno's name, or "allowed".
TRY = """
import errno, os, sys
what, path = sys.argv[1:]
actions = {
    "read": lambda: os.open(path, os.O_RDONLY),
    "write": lambda: os.open(path, os.O_RDWR),
    "truncate": lambda: os.truncate(path, 0),
    "unlink": lambda: os.unlink(path),
    "replace": lambda: os.rename(path, path + ".stolen"),
    "create": lambda: os.open(os.path.dirname(path) + "/intruder", os.O_CREAT | os.O_WRONLY),
}
try:
    actions[what]()
    print("allowed")
except OSError as refused:
    print(errno.errorcode[refused.errno])
"""


@pytest.fixture(scope="module", name="lab")
def fixture_lab():
    with running("walls") as lab:
        yield lab


def attempt(uid, what, path):
    done = subprocess.run([sys.executable, "-c", TRY, what, str(path)], user=uid, group=uid, extra_groups=[],
                          capture_output=True, text=True, check=True, cwd="/")
    return done.stdout.strip()


@pytest.mark.parametrize("page", PAGES)
def test_G06_nobody_but_its_writer_changes_a_page(lab, page):
    path, writer = PAGES[page]
    for role in [*UIDS, "nobody"]:
        for what in ("write", "truncate", "unlink", "replace", "create"):
            if role != writer:
                said = attempt(UIDS.get(role, NOBODY), what, lab.pages / path)
                assert said == "EACCES", f"{role} tries to {what} {path}: {said}"


@pytest.mark.parametrize("page", PAGES)
def test_the_attempts_of_G06_can_succeed(lab, page):
    path, writer = PAGES[page]
    assert attempt(UIDS[writer], "write", lab.pages / path) == "allowed"


def test_T12_only_keeper_and_dataplane_read_the_keys(lab):
    path = lab.pages / "keeper" / "keys"
    found = {role: attempt(uid, "read", path) for role, uid in {**UIDS, "nobody": NOBODY}.items()}
    assert found == {role: "allowed" if role in ("keeper", "dataplane") else "EACCES" for role in found}
    assert os.stat(path).st_mode & 0o7777 == 0o640


def test_T12_the_key_file_and_the_tls_key_are_for_one_role_each(lab):
    for path, reader in ((lab.state / "keeper" / "keys", "keeper"), (lab.state / "tls" / "key.pem", "ke")):
        found = {role: attempt(uid, "read", path) for role, uid in {**UIDS, "nobody": NOBODY}.items()}
        assert {role for role, said in found.items() if said == "allowed"} == {reader}
    assert os.stat(lab.state / "keeper" / "keys").st_mode & 0o7777 == 0o600


def test_each_role_runs_under_its_own_uid_without_capabilities(lab):
    for role, uid in UIDS.items():
        processes = status_of(lab, uid)
        assert len(processes) == 1, role
        status = processes[0]
        assert status["Uid"].split() == [str(uid)] * 4 and status["Gid"].split() == [str(uid)] * 4
        assert status["NoNewPrivs"] == "1"
        wanted = {"net_raw", "net_admin", "net_bind_service"} if role == "dataplane" else set()
        mask = sum(1 << CAPABILITIES[name] for name in wanted)
        for kind in ("CapEff", "CapPrm", "CapBnd", "CapAmb", "CapInh"):
            assert int(status[kind], 16) | mask == mask, f"{role} has {kind} {status[kind]}"
        if role != "dataplane":
            assert status["Groups"].split() in ([], [str(DATAPLANE)] if role == "keeper" else [])
            assert status["Seccomp"] == "2", f"{role} has a system call filter"


def test_keeper_clock_and_admin_have_no_network_socket(lab):
    for role in ("keeper", "clock", "admin", "upstream"):
        pid = int(status_of(lab, UIDS[role])[0]["Pid"])
        inodes = set()
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
            found = re.fullmatch(r"socket:\[(\d+)\]", target)
            if found:
                inodes.add(found.group(1))
        inet = set()
        for table in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
            with open(f"/proc/{pid}/net/{table}", encoding="ascii") as lines:
                inet |= {line.split()[9] for line in lines.readlines()[1:]}
        assert not inodes & inet, role


def test_T12_nobody_may_trace_keeper_or_dataplane(lab):
    for role in ("keeper", "dataplane"):
        pid = status_of(lab, UIDS[role])[0]["Pid"]
        for other in ("ke", "admin", role):
            said = attempt(UIDS[other], "read", f"/proc/{pid}/mem")
            assert said in ("EACCES", "EPERM"), f"{other} opens the memory of {role}: {said}"


def test_G07_a_second_noonmark_on_the_same_pages_is_refused(lab):
    done = lab.run_in_server(lab.binary("noonmark"), "run", *lab.config_arguments(), "--pages", lab.pages,
                             "--bin-dir", lab.state / "bin", check=False, timeout_s=20)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1 and str(lab.pages) in done.stderr
    assert lab.ask("status")["dataplane"]["running"]


def test_F11_rotation_is_for_root_and_admin(lab):
    """Anyone may look, not everyone may turn the keys."""
    for role, expected in (("ke", 4), ("dataplane", 4), ("admin", 0)):
        done = lab.run_in_server("setpriv", f"--reuid={UIDS[role]}", f"--regid={UIDS[role]}", "--clear-groups", "--",
                                 lab.binary("noonmark"), "rotate", "--pages", lab.pages, check=False)
        assert done.returncode == expected, f"{role}: {done.stderr}"
        looked = lab.run_in_server("setpriv", f"--reuid={UIDS[role]}", f"--regid={UIDS[role]}", "--clear-groups", "--",
                                   lab.binary("noonmark"), "status", "--pages", lab.pages, check=False)
        assert looked.returncode == 0, looked.stderr


def test_run_in_json_tells_events_and_status_says_no_when_nothing_serves():
    """A lab of its own: its dataplane is stopped for good by stopping the launcher that would start it again."""
    with running("walls-json") as lab:
        lab.stop()
        events = lab.state / "events"
        ready = lab.state / "ready"
        process = lab.start_inside_server("sh", "-c", 'exec "$@" 2>/dev/null', "sh", lab.binary("noonmark"), "run",
                                          *lab.config_arguments(), "--pages", lab.pages, "--bin-dir",
                                          lab.state / "bin", "--ready-file", ready, "--json", log=events)
        assert wait_until(ready.exists)
        dataplane = int(status_of(lab, UIDS["dataplane"])[0]["Pid"])
        os.kill(process.pid, signal.SIGSTOP)
        os.kill(dataplane, signal.SIGKILL)
        assert wait_until(lambda: not status_of(lab, UIDS["dataplane"]))
        said = lab.run_in_server(lab.binary("noonmark"), "status", "--pages", lab.pages, check=False)
        assert said.returncode == 1 and "NOT serving" in said.stdout
        os.kill(process.pid, signal.SIGCONT)
        assert wait_until(lambda: lab.ask("status")["dataplane"]["running"])
        assert processes.stop(process) == 0
        told = [json.loads(line) for line in events.read_text().splitlines()]
        assert told[0] == {"event": "ready"} and told[-1] == {"event": "stopped", "exit_code": 0}
        assert told[1]["event"] == "ended" and told[1]["process"] == "dataplane" and "SIGKILL" in told[1]["how"]


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return True
        except LabError:
            pass
        time.sleep(0.05)
    return False


def test_F13_no_secret_is_in_the_log(lab):
    """The ring's keys, as hex and as they are, are looked for in all that was written."""
    log = lab.log.read_bytes()
    page = (lab.pages / "keeper" / "keys").read_bytes()
    keys = [page[at:at + 16] for at in range(24, len(page) - 16, 8) if len(set(page[at:at + 16])) > 12]
    assert keys, "the page holds at least one key"
    for key in keys:
        assert key not in log and key.hex().encode() not in log.lower()


def test_the_interface_still_answers_ping(lab):
    lab.run_in_client("ping", "-c", "1", "-W", "2", network.SERVER_IPV4)
