"""Too few descriptors, processes, octets of memory; accept() that fails; randomness that does not come; crowds at the
operator's socket; garbage in the stats page (TESTS.md D17, F11, G14, H13, J12, K15).

In every case NTP goes on as if nothing were, and NTS-KE comes back by itself.
"""

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

import fault_shim
import nts_client
from fault_shim import ACCEPT
from in_namespace import namespace
from lab import network
from lab.commands import run
from lab.lab import Lab
from lab_server import configuration, require_namespaces, running
from polling import Polling, comes_true, descriptors, ke_works, key_exchange, pid_of, resident_kib
from role_processes import UIDS
from started_role import StartedRole

KE_PORT = 4460
CROWD = 1000
PACE_SECONDS = 0.001
STRANGER = 62199
ADMIN_GROWTH_KIB_MAX = 4096  # of admin by a crowd at its socket; measured: below 500


@contextlib.contextmanager
def served(name, ke_shell="", **sections):
    """A lab with the shim in ke, keeper and admin; `ke_shell` runs in the shell that becomes ke."""
    require_namespaces()
    with Lab(name) as lab:
        try:
            rules = fault_shim.wrap(lab, ("ke", "keeper", "admin"))
            wrapper = lab.state / "bin" / "noonmark-control"
            text = wrapper.read_text(encoding="ascii")
            wrapper.write_text(text.replace("ke) export", f"ke) {ke_shell or ':'}; export", 1), encoding="ascii")
            lab.start(configuration(lab, **sections))
            yield lab, rules
        except BaseException:
            print(f"--- the end of Noonmark's log in lab {name}\n{lab.log_tail(60)}")
            raise


@pytest.fixture(scope="module", name="served_lab")
def fixture_served_lab():
    with served("limits", nts_ke={"connections_per_source_max": 2048}) as pair:
        yield pair


@pytest.fixture(name="lab")
def fixture_lab(served_lab):
    return served_lab[0]


def connections(lab, count):
    """Open TCP connections to NTS-KE that say nothing; as many as come up within a moment.

    Paced: the af_packet port's ring takes all frames of the interface, and a burst on a busy machine fills it.
    """
    made = []
    with namespace(lab.client_namespace):
        for _ in range(count):
            time.sleep(PACE_SECONDS)
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex((network.SERVER_IPV4, KE_PORT))
            made.append(one)
    time.sleep(0.3)
    return made


def close_all(sockets):
    for one in sockets:
        time.sleep(PACE_SECONDS)
        one.close()


def ke_counters(lab):
    return lab.ask("counters")["nts_ke"]


def log_since(lab, start):
    with open(lab.log, encoding="utf-8", errors="replace") as log:
        log.seek(start)
        return log.read()


def limit(pid, what, soft):
    """Sets a soft limit of a ke process, as its own user (root may be short of CAP_SYS_RESOURCE); returns the old one."""
    as_ke = ["setpriv", f"--reuid={UIDS['ke']}", f"--regid={UIDS['ke']}", "--clear-groups", "prlimit", f"--pid={pid}"]
    old = run(*as_ke, f"--{what}", "--output=SOFT", "--noheadings", "--raw").stdout.strip()
    run(*as_ke, f"--{what}={soft}:")
    return old


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("limit", [64, 256])
def test_H13_few_descriptors_bound_the_connections_and_the_rest_goes_on(limit):
    """From the start: ke counts what its descriptors are enough for, and keeps some for itself."""
    with served(f"limits-{limit}", f"ulimit -n {limit}", nts_ke={"connections_per_source_max": 2048}) as (lab, _):
        assert f"enough for {(limit - 32) // 2} connections" in lab.log.read_text(errors="replace")
        with Polling(lab):
            crowd = connections(lab, 300)
            assert comes_true(lambda: ke_counters(lab)["open_now"] == (limit - 32) // 2), "and admin is answered"
            assert ke_counters(lab)["accept_failed"] == 0
            close_all(crowd)
            assert comes_true(lambda: ke_works(lab))
            assert comes_true(lambda: ke_counters(lab)["open_now"] == 0)


def test_H13_a_limit_that_falls_while_serving_pauses_accept(lab):
    """By prlimit: what ke reckoned with at its start is not there any more."""
    ke = pid_of(lab, UIDS["ke"])
    start = lab.log.stat().st_size
    before = limit(ke, "nofile", 64)
    try:
        with Polling(lab):
            crowd = connections(lab, 100)
            assert comes_true(lambda: descriptors(ke) >= 64)
            usage = cpu_seconds(ke)
            time.sleep(1)
            assert cpu_seconds(ke) - usage < 0.5, "it pauses, and does not spin"
            close_all(crowd)
            assert comes_true(lambda: ke_works(lab))
    finally:
        limit(ke, "nofile", before)
    assert ke_counters(lab)["accept_failed"] > 0
    assert log_since(lab, start).count("cannot accept") <= 4, "a line a second at most"
    assert pid_of(lab, UIDS["ke"]) == ke


def test_H13_without_memory_ke_refuses_or_comes_back(lab):
    ke = pid_of(lab, UIDS["ke"])
    start = lab.log.stat().st_size
    with open(f"/proc/{ke}/status", encoding="ascii") as lines:
        virtual_kib = int(next(line for line in lines if line.startswith("VmSize")).split()[1])
    with Polling(lab):  # it has asked for its own cookies already
        before = limit(ke, "as", virtual_kib * 1024)
        with namespace(lab.client_namespace):
            crowd = []
            for _ in range(200):  # each makes a TLS object
                time.sleep(PACE_SECONDS)
                with contextlib.suppress(OSError):  # refused while it comes back
                    crowd.append(socket.create_connection((network.SERVER_IPV4, KE_PORT), 2))
                    crowd[-1].send(b"\x16\x03\x01\x02\x00\x01")  # the head of a hello, so that it goes on waiting
        assert crowd
        time.sleep(0.5)
        close_all(crowd)
        if pid_of(lab, UIDS["ke"]) == ke:
            limit(ke, "as", before)
        assert comes_true(lambda: ke_works(lab))
    assert "was killed by SIG" not in log_since(lab, start)


def test_H13_a_machine_without_processes_keeps_those_that_run(lab):
    """fork() fails when a dead role is to be started again: the launcher must not fall with it."""
    start = lab.log.stat().st_size
    tracer = fault_shim.strace(lab.launcher.pid, "-e", "trace=clone,clone3,fork,vfork", "-e",
                               "inject=clone,clone3,fork,vfork:error=EAGAIN")
    try:
        with Polling(lab):
            os.kill(pid_of(lab, UIDS["upstream"]), signal.SIGKILL)
            assert comes_true(lambda: "cannot be started (fork" in log_since(lab, start))
            assert lab.launcher.poll() is None
            assert ke_works(lab)
    finally:
        fault_shim.end_strace(tracer)
    assert comes_true(lambda: pid_of(lab, UIDS["upstream"])), "when there are processes again, it is back"


@pytest.mark.parametrize("role", ["ke", "keeper", "admin"])
@pytest.mark.parametrize("error", [errno.ECONNABORTED, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EPROTO,
                                   errno.EINTR, errno.ENETDOWN], ids=errno.errorcode.get)
def test_J12_accept_may_fail_and_goes_on(served_lab, role, error):
    lab, rules = served_lab
    pid = pid_of(lab, UIDS[role])
    before = ke_counters(lab)["accept_failed"]
    rules[role].fail(ACCEPT, times=3, error=error)
    assert comes_true(lambda: ke_works(lab) and lab.ask("keys")["current_id"] and rules[role].left(ACCEPT) <= 0)
    assert ke_works(lab) and lab.ask("status")["keys"]["running"]
    assert pid_of(lab, UIDS[role]) == pid
    if role == "ke" and error != errno.EINTR:  # EINTR is asked again at once
        assert ke_counters(lab)["accept_failed"] >= before


@contextlib.contextmanager
def plain_answers(lab):
    """Plain requests while NTS-KE is out of order."""
    with namespace(lab.client_namespace):
        sock = nts_client.socket_for(network.SERVER_IPV4)
    with sock:
        yield
        request = nts_client.plain_request()
        assert nts_client.ask(sock, (network.SERVER_IPV4, 123), request)


def test_D17_a_keeper_that_cannot_seal_means_error_2_and_no_cookie(lab):
    keeper = pid_of(lab, UIDS["keeper"])
    os.kill(keeper, signal.SIGSTOP)
    try:
        with plain_answers(lab):
            records = key_exchange(lab).records
    finally:
        os.kill(keeper, signal.SIGCONT)
    assert (2, True, b"\0\2") in records, "error 2, internal server error"
    assert 5 not in [kind for kind, _, _ in records], "no cookie beside it"
    assert comes_true(lambda: ke_works(lab))


@pytest.mark.parametrize("how", ["error=EIO", "error=ENOSYS", "retval=7"])
def test_K15_D17_a_keeper_without_randomness_seals_nothing(lab, how):
    """While serving. It may end; it may not go on with less than it asked for."""
    start = lab.log.stat().st_size
    keeper = pid_of(lab, UIDS["keeper"])
    tracer = fault_shim.strace(keeper, "-e", "trace=getrandom", "-e", f"inject=getrandom:{how}")
    try:
        records = key_exchange(lab).records
        assert (2, True, b"\0\2") in records and 5 not in [kind for kind, _, _ in records]
    finally:
        fault_shim.end_strace(tracer)
    assert comes_true(lambda: pid_of(lab, UIDS["keeper"]) and ke_works(lab))
    assert "keeper (process" in log_since(lab, start)


def test_K15_an_interrupted_getrandom_is_asked_again(lab):
    keeper = pid_of(lab, UIDS["keeper"])
    tracer = fault_shim.strace(keeper, "-e", "trace=getrandom", "-e", "inject=getrandom:error=EINTR:when=1..5")
    try:
        cookies = key_exchange(lab).cookies
    finally:
        fault_shim.end_strace(tracer)
    nonces = {cookie[4:20] for cookie in cookies}
    assert len(nonces) == 8 and bytes(16) not in nonces
    assert pid_of(lab, UIDS["keeper"]) == keeper


@pytest.fixture(scope="module", name="stopped")
def fixture_stopped():
    """A lab whose Noonmark ran and ended well: directories and pages are there, and no process."""
    with running("limits-start") as lab:
        lab.stop()
        yield lab


STRACE = ("strace", "-D", "-f", "-o", "/dev/null", "-e", "trace=getrandom", "-e")


@pytest.mark.parametrize("how", ["error=ENOSYS", "error=EIO", "retval=7", "error=EINTR:when=1..9", "error=EAGAIN:when=1..9"])
def test_K15_keys_made_at_a_start_without_getrandom_are_whole_or_not_made(stopped, how):
    """A first start: libsodium may take /dev/urandom instead, or end the role; two keys are never alike."""
    keys_seen = set()
    for _ in range(2):
        for path in (stopped.state / "keeper" / "keys", stopped.pages / "keeper" / "keys"):
            path.unlink(missing_ok=True)
        keeper = StartedRole(stopped, "keeper", outside=(*STRACE, f"inject=getrandom:{how}"))
        ready = keeper.is_ready()
        code, words = keeper.end()
        assert code == 0 if ready else code != 0, words
        if not ready:
            assert not (stopped.state / "keeper" / "keys").exists(), "no keys from nothing"
            continue
        key = (stopped.state / "keeper" / "keys").read_bytes()[72 + 24:72 + 56]
        assert len(set(key)) > 16, "32 octets by chance have 30 different ones"
        assert key not in keys_seen
        keys_seen.add(key)


@pytest.mark.parametrize("role", ["ke", "clock", "admin"])
def test_K15_a_role_without_getrandom_starts_or_ends_as_it_should(stopped, role):
    started = StartedRole(stopped, role, outside=(*STRACE, "inject=getrandom:error=ENOSYS"))
    ready = started.is_ready()
    code, words = started.end()
    assert code == 0 if ready else code == 1 and words.strip(), words


def test_H13_a_keeper_that_may_have_no_thread_says_so(stopped):
    keeper = StartedRole(stopped, "keeper", inside=("prlimit", "--nproc=1:1"))
    assert not keeper.is_ready()
    assert keeper.end() == (1, "keeper: no thread can be started to save keys; raise RLIMIT_NPROC (TasksMax=)\n")


# In a process of the stranger's own: many clients at once, each with another bad habit; prints "done" when it hung up.
CROWD_SCRIPT = """
import socket, sys, time
path, count = sys.argv[1], int(sys.argv[2])
made = []
for number in range(count):
    one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    one.setblocking(False)
    try:
        one.connect(path)
        habit = number % 6
        if habit == 0: one.send(b"\\xff" * 4096)
        if habit == 1: one.send(b"[" * 4000)
        if habit == 2: one.send(b"x" * 100000)
        if habit == 3: one.shutdown(socket.SHUT_WR)
        if habit == 4:
            for _ in range(50): one.send(b'{"command": "status"}')
        if habit == 5: one.send(b"{")
    except OSError:
        pass
    made.append(one)
try:
    made[0].send(bytes(1 << 30))
    print("a packet of 1 GiB went out")
except OSError:
    pass
print("done", flush=True)
sys.stdin.read()
"""


def test_F11_a_crowd_at_the_operators_socket_is_bounded(lab):
    admin = pid_of(lab, UIDS["admin"])
    for _ in range(20):
        lab.ask("status")
    memory_kib, files = resident_kib(admin), descriptors(admin)
    with Polling(lab):
        crowd = subprocess.Popen([sys.executable, "-c", CROWD_SCRIPT, str(lab.pages / "admin" / "socket"), str(CROWD)],
                                 user=STRANGER, group=STRANGER, extra_groups=[], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True, cwd="/")
        assert crowd.stdout.readline() == "done\n"
        assert comes_true(lambda: lab.ask("status")["dataplane"]["running"]), "the operator has a place of his own"
        assert descriptors(admin) <= files + 32, "clients_max"
        assert lab.ask("rotate")["new_key_id"] > 0
        crowd.communicate()
        assert comes_true(lambda: descriptors(admin) <= files), "all places are free again"
    grown_kib = resident_kib(admin) - memory_kib
    print(f"admin grew by {grown_kib} KiB")
    assert grown_kib <= ADMIN_GROWTH_KIB_MAX
    assert pid_of(lab, UIDS["admin"]) == admin


@pytest.mark.parametrize("make", [lambda path: path.write_text("mine"), lambda path: path.symlink_to("/etc/passwd"),
                                  lambda path: path.mkdir()], ids=["file", "symlink", "directory"])
def test_F11_what_is_no_socket_is_not_removed(lab, make):
    path = lab.pages / "admin" / "socket"
    start = lab.log.stat().st_size
    admin = pid_of(lab, UIDS["admin"])
    os.kill(lab.launcher.pid, signal.SIGSTOP)  # so that nobody is started before it is in the way
    os.kill(admin, signal.SIGKILL)
    path.unlink()
    make(path)
    os.kill(lab.launcher.pid, signal.SIGCONT)
    with Polling(lab):
        assert comes_true(lambda: f"{path} is in the way and no socket" in log_since(lab, start))
        assert path.is_symlink() or path.is_dir() or path.read_text() == "mine"
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        assert comes_true(lambda: lab.ask("status")["dataplane"]["running"])


def test_G14_garbage_in_the_stats_page_is_told_within_bounds(lab):
    """Last, since the page is not mended by anybody: a worker goes on adding to what stands there."""
    admin = pid_of(lab, UIDS["admin"])
    page = lab.pages / "dataplane" / "stats"
    size = page.stat().st_size
    for filling in (b"\xff", b"\0", b"\x80", b"%"):
        with open(page, "r+b") as file:
            file.seek(64)  # magic and layout stay: such a page is read
            file.write(filling * (size - 64))
        for command in ("status", "counters"):
            done = lab.run_in_server(lab.binary("noonmark"), command, "--pages", lab.pages, check=False, timeout_s=10)
            assert done.returncode in (0, 1), done.stderr
            assert done.stdout.isascii() and len(done.stdout) < 20_000
    assert pid_of(lab, UIDS["admin"]) == admin
    assert ke_works(lab)
