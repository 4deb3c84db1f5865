"""Reading the configuration anew while serving (TESTS.md F06, F07): `noonmark reload`, and SIGHUP to `noonmark run`.

Whatever the file says, the client that polls all the while loses nothing.
"""

import os
import signal
import time

import pytest

from lab import certificates, network
from lab.commands import run
from lab_server import configuration, running
from polling import Polling, comes_true, descriptors, ke_works, key_exchange, pid_of, resident_kib
from role_processes import UIDS

RELOADING = ("keeper", "ke", "admin")
LONG = os.environ.get("NOONMARK_LONG") == "1"
RELOADS = 10_000 if LONG else 200
LEAK_KIB_MAX = 2048  # a page of the heap here and there; 200 leaked certificates would be more


@pytest.fixture(scope="module", name="lab")
def fixture_lab():
    with running("reload") as lab:
        yield lab


def write(lab, **sections):
    """The lab's configuration with these keys changed, in the place of the one that the roles read."""
    lab.config.write_text(configuration(lab, **sections).read_text(encoding="utf-8"), encoding="utf-8")


def reload(lab):
    return lab.run_in_server(lab.binary("noonmark"), "reload", "--pages", lab.pages, check=False, timeout_s=10)


def revision(lab):
    write(lab)
    return lab.ask("reload")["revision"]


def spoiled(good):
    """Rows F01 to F05 of the catalogue: what a file may look like after a bad edit, and a word of what is said."""
    return {
        "empty": ("", "empty"), "binary": ("\0\0\0", ":1:"), "no-toml": ("[server\n", ":1:"),
        "unknown-key": (good.replace("name =", "nmae ="), "nmae"),
        "unknown-section": (good.replace("[server]", "[sever]"), "sever"),
        "duplicate": (good.replace("[dataplane]", "[server]\n[dataplane]"), ":"),
        "type": (good.replace("stratum = 10", 'stratum = "ten"'), "stratum"),
        "negative": (good.replace("stratum = 10", "stratum = -1"), "stratum"),
        "too-large": (good.replace("stratum = 10", "stratum = 9223372036854775808"), ":"),
        "not-a-number": (good.replace("stratum = 10", "stratum = nan"), "stratum"),
        "relative": (good.replace('file = "/', 'file = "'), "file"),
        "traversal": (good.replace("/keeper/keys", "/../keys"), "file"),
        "prefix": (good.replace('"auto"', '["10.0.0.1/33"]'), "addresses"),
        "prefix-6": (good.replace('"auto"', '["fd00::1/129"]'), "addresses"),
        "cut": (good[:len(good) // 2], ":"),
    }


CASES = tuple(spoiled('[server]\nname = "x"\naddresses = "auto"\n[dataplane]\n[keys]\nfile = "/keeper/keys"\n'
                      '[clock]\nstratum = 10\n'))


@pytest.mark.parametrize("case", CASES)
def test_F06_a_configuration_with_a_fault_changes_nothing(lab, case):
    before = revision(lab)
    good = lab.config.read_text(encoding="utf-8")
    text, word = spoiled(good)[case]
    assert text != good
    lab.config.write_text(text, encoding="utf-8")
    done = reload(lab)
    assert done.returncode == 1
    assert done.stderr.startswith(f"noonmark: {lab.config}:") and word in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1
    lab.config.write_text(good, encoding="utf-8")
    assert lab.ask("reload")["revision"] == before


@pytest.mark.parametrize("make", [lambda path: path.unlink(), lambda path: (path.unlink(), path.mkdir()),
                                  lambda path: (path.unlink(), os.mkfifo(path)),
                                  lambda path: os.truncate(path, 1 << 30), lambda path: path.chmod(0o666),
                                  lambda path: path.chmod(0o600)],
                         ids=["missing", "directory", "fifo", "1-GiB", "writable-by-all", "unreadable"])
def test_F06_F01_a_file_that_is_none_changes_nothing(lab, make):
    before = revision(lab)
    good = lab.config.read_text(encoding="utf-8")
    make(lab.config)
    try:
        done = reload(lab)  # its time is limited: a FIFO is not waited for
        assert done.returncode == 1 and done.stderr.startswith(f"noonmark: {lab.config}:"), done.stderr
    finally:
        if lab.config.is_dir():
            lab.config.rmdir()
        lab.config.unlink(missing_ok=True)
        lab.config.write_text(good, encoding="utf-8")
    assert lab.ask("reload")["revision"] == before


def test_F06_a_bad_file_at_sighup_is_told_in_the_log_and_nothing_else_happens(lab):
    before = revision(lab)
    pids = {role: pid_of(lab, uid) for role, uid in UIDS.items()}
    lab.config.write_text("[server]\nname = 3\n", encoding="utf-8")
    with Polling(lab):
        os.kill(lab.launcher.pid, signal.SIGHUP)
        assert comes_true(lambda: f"{lab.config}:2:8" in lab.log_tail(5) and "going on as before" in lab.log_tail(5))
    assert revision(lab) == before
    assert pids == {role: pid_of(lab, uid) for role, uid in UIDS.items()}, "nobody was restarted"


def test_what_changed_is_taken_and_what_needs_a_restart_is_named(lab):
    first = revision(lab)
    write(lab, server={"name": "other.noonmark.test", "answer_plain": False}, keys={"retention_s": 86400},
          nts_ke={"ntp_server": network.SERVER_IPV4, "deadline_ms": 4000, "workers": 2}, dataplane={"cores": [0]})
    said = lab.ask("reload")
    assert said["revision"] == first + 1 and said["silent"] == []
    assert said["changed"] == ["[server] name", "[server] answer_plain", "[nts_ke] ntp_server", "[nts_ke] deadline_ms",
                               "[keys] retention_s"]
    assert said["at_restart"] == ["[dataplane] cores", "[nts_ke] workers"]
    assert lab.ask("status")["server"] == "other.noonmark.test"
    server_record = [body for kind, _, body in key_exchange(lab).records if kind == 6]
    assert server_record == [network.SERVER_IPV4.encode()], "ke goes by the new terms"
    again = lab.ask("reload")
    assert again["changed"] == [] and again["at_restart"] == said["at_restart"], "named as long as it is so"
    assert revision(lab) == first + 2
    assert not [body for kind, _, body in key_exchange(lab).records if kind == 6], "and back"


def test_addresses_may_become_a_list_and_automatic_again(lab):
    revision(lab)
    write(lab, server={"addresses": [f"{network.SERVER_IPV4}/24"]})
    with Polling(lab):
        assert lab.ask("reload")["changed"] == ["[server] addresses"]
        assert lab.ask("status")["addresses"] == [network.SERVER_IPV4]
        write(lab)
        lab.ask("reload")
        assert len(lab.ask("status")["addresses"]) > 1


def test_a_renewed_certificate_is_served_and_a_bad_one_refused_by_name(lab):
    revision(lab)
    certificate = lab.state / "tls" / "certificate.pem"
    good = certificate.read_text(encoding="ascii")
    with Polling(lab):
        certificate.write_text("no certificate\n", encoding="ascii")
        done = reload(lab)
        assert done.returncode == 1 and "ke 0: " in done.stderr and str(certificate) in done.stderr
        assert ke_works(lab), "with the one it has"
        certificate.write_text(good, encoding="ascii")
        certificates.make(lab.state / "tls.new", [network.NAME], [network.SERVER_IPV4, network.SERVER_IPV6])
        for name in ("certificate.pem", "key.pem"):  # written in place: owner and mode stay
            (lab.state / "tls" / name).write_bytes((lab.state / "tls.new" / name).read_bytes())
        lab.ask("reload")
        lab.ca.write_bytes((lab.state / "tls.new" / "ca.pem").read_bytes())
        assert ke_works(lab), "with the new one"


def test_reload_is_for_root_and_admin(lab):
    revision(lab)
    for role, expected in (("ke", 4), ("keeper", 4), ("admin", 0)):
        done = lab.run_in_server("setpriv", f"--reuid={UIDS[role]}", f"--regid={UIDS[role]}", "--clear-groups", "--",
                                 lab.binary("noonmark"), "reload", "--pages", lab.pages, check=False)
        assert done.returncode == expected, f"{role}: {done.stderr}"


def test_a_role_that_hangs_is_named_and_the_others_go_on(lab):
    revision(lab)
    keeper = pid_of(lab, UIDS["keeper"])
    os.kill(keeper, signal.SIGSTOP)
    try:
        assert lab.ask("reload")["silent"] == ["keeper"]
    finally:
        os.kill(keeper, signal.SIGCONT)


def test_F07_identical_reloads_in_a_storm_leak_nothing_and_cost_no_answer(lab):
    """Half by the operator's socket, half by SIGHUP as fast as they go; sockets, memory and packets are counted."""
    before = revision(lab)
    assert comes_true(lambda: ke_works(lab))
    for _ in range(20):  # what is allocated once is there
        lab.ask("reload")
    pids = {role: pid_of(lab, UIDS[role]) for role in RELOADING}
    start = {role: (resident_kib(pid), descriptors(pid)) for role, pid in pids.items()}
    script = 'for i in $(seq $1); do "$2" reload --pages "$3" >/dev/null || exit 1; kill -HUP "$4" || exit 1; done'
    lines = lab.log.read_text(errors="replace").count("read anew")
    began = time.monotonic()
    with Polling(lab):
        run("sh", "-c", script, "sh", RELOADS // 2, lab.binary("noonmark"), lab.pages, lab.launcher.pid,
            timeout_s=RELOADS)
    seconds = time.monotonic() - began
    assert comes_true(lambda: lab.ask("reload")["revision"] == before), "nothing changed, so nothing was published"
    assert pids == {role: pid_of(lab, UIDS[role]) for role in RELOADING}
    for role, pid in pids.items():
        memory_kib, files = start[role]
        assert comes_true(lambda pid=pid, files=files: descriptors(pid) <= files), f"{role} keeps descriptors"
        grown_kib = resident_kib(pid) - memory_kib
        print(f"{role} grew by {grown_kib} KiB in {RELOADS} reloads")
        assert grown_kib <= LEAK_KIB_MAX, role
    said = lab.log.read_text(errors="replace").count("read anew") - lines
    assert said <= (len(RELOADING) + 1) * (seconds + 2), "a line a second of each at most"
