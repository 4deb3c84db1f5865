"""The operator's program as a person and a script meet it: help, exit codes, `check`, pipes (F01-F04, F12)."""

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import re
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import threading

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOONMARK = ROOT / "build" / "control" / "noonmark"
COMMANDS = ("run", "status", "counters", "keys", "ports", "clock", "upstreams", "calibrate", "rotate", "reload", "drain",
            "undrain", "check", "query")
ASKING = ("status", "counters", "keys", "ports", "clock", "upstreams", "calibrate", "rotate", "reload")
KE_UID, KEEPER_UID = 62102, 62101  # control/roles.h
GOOD = """[server]
name = "time.example.net"
[dataplane]
devices = ["af_packet:eth0"]
[nts_ke]
certificate = "{0}/certificate.pem"
private_key = "{0}/key.pem"
[keys]
file = "{0}/keeper/keys"
"""


def noonmark(*words, **options):
    return subprocess.run([NOONMARK, *map(str, words)], capture_output=True, text=True, timeout=20, check=False,
                          **options)


def make_certificate(folder, key, certificate, days=30):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", folder / key, "-out", folder / certificate, "-days", str(days),
                    "-subj", "/CN=time.example.net"], check=True, capture_output=True)


@pytest.fixture(scope="module", name="pair")
def fixture_pair(tmp_path_factory):
    """One certificate and key, and a second key that is not its own; made once."""
    folder = tmp_path_factory.mktemp("pair")
    make_certificate(folder, "key.pem", "certificate.pem")
    make_certificate(folder, "other.pem", "other-certificate.pem", days=3)
    return folder


@pytest.fixture(name="folder")
def fixture_folder(pair):
    """A good configuration with all the files it names, for each test to spoil. Other users may look into it."""
    if os.geteuid() != 0:
        pytest.skip("the owners that `check` asks for need root")
    with tempfile.TemporaryDirectory(prefix="noonmark-cli-test-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        for file in ("key.pem", "certificate.pem", "other.pem", "other-certificate.pem"):
            (folder / file).write_bytes((pair / file).read_bytes())
        (folder / "key.pem").chmod(0o600)
        os.chown(folder / "key.pem", KE_UID, KE_UID)
        (folder / "keeper").mkdir(mode=0o700)
        os.chown(folder / "keeper", KEEPER_UID, KEEPER_UID)
        write(folder, GOOD.format(folder))
        yield folder


def write(folder, text):
    (folder / "noonmark.toml").write_text(text, encoding="utf-8")
    (folder / "noonmark.toml").chmod(0o644)


def test_help_teaches_every_command():
    overview = noonmark("--help")
    assert overview.returncode == 0
    for command in COMMANDS:
        assert re.search(rf"^  {command} +\w", overview.stdout, re.MULTILINE), command
        told = noonmark(command, "--help")
        assert told.returncode == 0
        assert re.search(r"^Examples?:\n  (sudo )?noonmark " + command, told.stdout, re.MULTILINE), command
        assert "Exit codes:" in told.stdout
        assert told.stdout.isascii()
        assert max(map(len, told.stdout.splitlines())) <= 80


def test_version_is_that_of_the_build():
    version = re.search(r"version: '([^']+)'", (ROOT / "meson.build").read_text()).group(1)
    assert noonmark("--version").stdout == f"noonmark {version}\n"


@pytest.mark.parametrize("words", [(), ("frobnicate",), ("status", "--frobnicate"), ("status", "extra"), ("check",),
                                   ("run",), ("query",), ("query", "h", "-4", "-6"), ("query", "h", "--ke-port", "0"),
                                   ("drain",), ("undrain",), ("drain", "one"), ("drain", "-1"), ("undrain", ""),
                                   ("drain", "1", "2"),
                                   ("drain", "4294967296"), ("query", "h", "--ntp-port", "65536"), ("query", "h", "--samples", "0")])
def test_f12_wrong_usage_is_2(words):
    done = noonmark(*words)
    assert done.returncode == 2
    assert done.stderr and not done.stdout


@pytest.mark.parametrize("command", ASKING)
def test_f12_nobody_answers_is_3(command, tmp_path):
    done = noonmark(command, "--pages", tmp_path, "--json")
    assert done.returncode == 3
    assert str(tmp_path) in done.stderr and "start Noonmark" in done.stderr
    assert done.stdout == ""


def test_f12_a_stale_socket_is_nobody(tmp_path):
    (tmp_path / "admin").mkdir()
    left = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    left.bind(str(tmp_path / "admin" / "socket"))
    left.close()
    assert noonmark("status", "--pages", tmp_path).returncode == 3
    (tmp_path / "admin" / "socket").unlink()
    (tmp_path / "admin" / "socket").write_text("no socket at all")
    assert noonmark("status", "--pages", tmp_path).returncode == 3


@pytest.mark.parametrize("command", ["drain", "undrain"])
def test_f12_nobody_answers_a_command_about_one_core_either(command, tmp_path):
    assert noonmark(command, "3", "--pages", tmp_path).returncode == 3


def answering(pages, reply):
    """An admin that gives one answer, whatever it is asked."""
    (pages / "admin").mkdir()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(pages / "admin" / "socket"))
    listener.listen()

    def serve():
        peer, _ = listener.accept()
        peer.recv(4096)
        if reply is not None:
            peer.send(reply)
        peer.close()
        listener.close()

    threading.Thread(target=serve, daemon=True).start()


@pytest.mark.parametrize("reply, code, word", [
    (b'{"ok": true, "result": {"new_key_id": 9, "text": "published"}}', 0, ""),
    (b'{"ok": false, "code": "failed", "error": "one is pending; wait"}', 1, "one is pending; wait"),
    (b'{"ok": false, "error": "older server"}', 1, "older server"),
    (b'{"ok": false, "code": "not_allowed", "error": "use sudo"}', 4, "use sudo"),
    (b"garbage", 1, "version"), (b'{"ok": true}', 1, "version"), (b'{"ok": false}', 1, "version"),
    (b"[]", 1, "version"), (b'{"ok": false, "error": 7}', 1, "version"), (None, 3, "does not answer")])
def test_f12_each_answer_has_its_exit_code(tmp_path, reply, code, word):
    answering(tmp_path, reply)
    done = noonmark("rotate", "--pages", tmp_path)
    assert done.returncode == code
    assert word in done.stderr
    assert done.stdout == ("new key 9: published\n" if code == 0 else "")


def test_json_is_the_result_without_its_wrapper(tmp_path):
    answering(tmp_path, b'{"ok": true, "result": {"new_key_id": 9}}')
    assert json.loads(noonmark("rotate", "--pages", tmp_path, "--json").stdout) == {"new_key_id": 9}


def test_f12_a_reader_that_leaves_ends_it_quietly(tmp_path):
    keys = [{"id": number, "state": "accepting", "created_unix_s": 0} for number in range(1, 1200)]
    answering(tmp_path, json.dumps({"ok": True, "result": {"keys": keys}}).encode())
    done = subprocess.run(["bash", "-c", 'trap "" PIPE; "$0" keys --pages "$1" | head -1; echo ${PIPESTATUS[0]}',
                           NOONMARK, tmp_path], capture_output=True, text=True, timeout=20, check=False)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("generation ?")
    assert int(lines[1]) in (0, 128 + signal.SIGPIPE)  # 0: head read faster than it left
    assert done.stderr == ""


def test_f12_an_answer_that_cannot_be_written_is_no_success(folder):
    for target in ("/dev/full", "&-"):
        done = subprocess.run(["bash", "-c", f'"$0" check "$1" >{target}', NOONMARK, folder / "noonmark.toml"],
                              capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 1
        assert "cannot be written" in done.stderr


def test_f12_a_stale_socket_is_nobody_for_every_command(tmp_path):
    (tmp_path / "admin").mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stale:
        stale.bind(str(tmp_path / "admin" / "socket"))
    for command in ASKING:
        done = noonmark(command, "--pages", tmp_path)
        assert done.returncode == 3 and len(done.stderr.splitlines()) == 1, done.stderr


def on_terminal(columns, *words):
    """What a terminal of that width is told, line ends made plain."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen([NOONMARK, *map(str, words)], stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        told = b""
        with contextlib.suppress(OSError):  # EIO: the last writer has gone
            while part := os.read(ours, 4096):
                told += part
    os.close(ours)
    return process.returncode, told.decode("ascii").replace("\r\n", "\n")


def test_f12_a_terminal_of_40_columns_gets_the_same_whole_words(tmp_path, folder):
    """Lines are the terminal's to wrap: what we would cut could not be copied, and a script would see it too."""
    for words in (["--help"], ["status", "--help"], ["check", folder / "noonmark.toml"], ["status", "--pages", tmp_path]):
        piped = noonmark(*words)
        code, told = on_terminal(40, *words)
        assert code == piped.returncode
        assert sorted(told.splitlines()) == sorted((piped.stdout + piped.stderr).splitlines())
        assert "\x1b" not in told, "no colours, no cursor games"


def test_f12_help_fits_80_columns_and_cuts_no_word():
    for words in ([], *([command] for command in COMMANDS)):
        for line in noonmark(*words, "--help").stdout.splitlines():
            assert len(line) <= 80 and not line.endswith("-"), line


def test_f12_speaks_ascii_in_any_locale_and_width():
    for environment in ({"LC_ALL": "C"}, {"LC_ALL": "tr_TR.ISO-8859-9"}, {"COLUMNS": "40", "TERM": "dumb"}):
        assert noonmark("--help", env=environment).stdout == noonmark("--help").stdout
    assert noonmark("--help").stdout.isascii()


def test_check_says_good_and_what_it_will_do(folder):
    done = noonmark("check", folder / "noonmark.toml")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{folder}/noonmark.toml: good\n")
    assert "af_packet:eth0" in done.stdout
    assert re.search(r"good for (30 d 0|29 d 23) h", done.stdout)
    report = checked_with(folder, '[dataplane]\ndevices = ["af_packet:lo"]\n[paths]\npages = "/dev/shm/noonmark-check"\n')
    assert report["ok"] is True and report["errors"] == [] and report["warnings"] == []
    assert report["summary"]["ntp_port"] == 123


def checked_with(folder, overlay):
    (folder / "here.toml").write_text(overlay)
    return json.loads(noonmark("check", folder / "noonmark.toml", "--overlay", folder / "here.toml", "--json").stdout)


def test_check_warns_of_what_this_machine_lacks(folder):
    """Warnings, not errors: one may check here what will run there."""
    report = checked_with(folder, '[dataplane]\ndevices = ["af_packet:lo", "af_xdp:nothere0"]\ncores = [0, 1000]\n'
                                  '[paths]\npages = "/proc/noonmark"\n')
    assert report["ok"] is True
    told = " ".join(report["warnings"])
    assert len(report["warnings"]) == 3
    assert "nothere0" in told and "CPU 1000" in told and "/proc: is not on a tmpfs" in told


# The flags of /proc/cpuinfo that a tier needs, that of AEAD 30 too.
@pytest.mark.parametrize("tier, needed", [
    ("vaes512_x16", {"aes", "avx512f", "avx512bw", "avx512dq", "avx512vl", "pclmulqdq", "vaes", "vpclmulqdq"}),
    ("aesni_x4", {"aes", "pclmulqdq", "ssse3", "sse4_1"}),
])
def test_check_warns_of_a_tier_that_this_cpu_does_not_run(folder, tier, needed):
    found = re.search(r"^flags\s*:(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    if found is None:
        pytest.skip("/proc/cpuinfo has no flags here")
    report = checked_with(folder, f'[dataplane]\ndevices = ["af_packet:lo"]\nsiv_tier = "{tier}"\n'
                                  '[paths]\npages = "/dev/shm/noonmark-check"\n')
    assert report["ok"] is True
    warned = [warning for warning in report["warnings"] if f"this CPU does not run {tier}" in warning]
    assert bool(warned) == (not needed <= set(found.group(1).split())) and warned == report["warnings"]


def test_check_takes_a_relative_path_from_where_one_stands(folder):
    assert noonmark("check", "noonmark.toml", cwd=folder).returncode == 0
    assert noonmark("check", "noonmark.toml", cwd="/").returncode == 1


def test_check_lets_overlays_win(folder):
    (folder / "over.toml").write_text("[server]\nntp_port = 4123\n")
    (folder / "worse.toml").write_text("[server]\n\nntp_port = 0\n")
    report = json.loads(noonmark("check", folder / "noonmark.toml", "--overlay", folder / "over.toml", "--json").stdout)
    assert report["summary"]["ntp_port"] == 4123
    done = noonmark("check", folder / "noonmark.toml", "--overlay", folder / "over.toml", "--overlay",
                    folder / "worse.toml")
    assert done.returncode == 1
    assert f"{folder}/worse.toml:3:" in done.stderr


@pytest.mark.parametrize("spoil, place, word", [
    (lambda text: text.replace("[server]", "[sever]"), "1:2", "sever"),                       # F02
    (lambda text: text.replace("name =", "Name ="), "2:1", "Name"),                           # F02
    (lambda text: text.replace("[keys]", "[keys]\nretention_s = -1"), "9:15", "retention_s"),  # F03
    (lambda text: text.replace("[keys]", "[keys]\nretention_s = 1e999"), "9:", ""),           # F03
    (lambda text: text.replace("[dataplane]", "ntp_port = 65536\n[dataplane]"), "3:12", "ntp_port"),  # F03
    (lambda text: text.replace('file = "', 'file = "..'), "9:8", "file"),                     # F04
    (lambda text: "\ufeff" + text, "", ""), (lambda text: text.replace("\n", "\r\n"), "1:", ""),  # F01
    (lambda text: text[:-1], "9:", ""), (lambda text: text + "\0", "10:1", ""), (lambda text: "", "1:1", "empty")])  # F01
def test_check_names_the_place(folder, spoil, place, word):
    with open(folder / "noonmark.toml", "w", encoding="utf-8", newline="") as file:
        file.write(spoil(GOOD.format(folder)))
    done = noonmark("check", folder / "noonmark.toml")
    assert done.returncode == 1
    assert done.stdout == ""
    line = done.stderr.splitlines()[0]
    assert re.match(rf"{folder}/noonmark\.toml:\d+:\d+: .+; .+", line), line
    assert line.startswith(f"{folder}/noonmark.toml:{place}") and word in line, line


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), os.mkfifo,
                                  lambda path: (path.write_text(GOOD), path.chmod(0o666)),
                                  lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 1 << 30)])
def test_f01_what_is_no_text_file_is_refused_at_once(tmp_path, make):
    make(tmp_path / "strange.toml")
    done = noonmark("check", tmp_path / "strange.toml")
    assert done.returncode == 1
    assert done.stderr.startswith(f"{tmp_path}/strange.toml:0:0: ")


def move_key_out_of_reach(folder):
    """The key is good, and its directory root's alone."""
    (folder / "secret").mkdir(mode=0o700)
    (folder / "key.pem").rename(folder / "secret" / "key.pem")
    write(folder, GOOD.format(folder).replace("/key.pem", "/secret/key.pem"))


def spoil_symlink(folder):
    (folder / "key.pem").rename(folder / "real.pem")
    (folder / "key.pem").symlink_to(folder / "real.pem")


@pytest.mark.parametrize("spoil, word", [
    (lambda folder: (folder / "key.pem").chmod(0o644), "chmod it to 0600"), (spoil_symlink, "symbolic link"),
    (lambda folder: os.chown(folder / "key.pem", 0, 0), "chown"),
    (lambda folder: (folder / "key.pem").unlink(), "key.pem: cannot look at it"),
    (lambda folder: (folder / "certificate.pem").unlink(), "certificate.pem: cannot open it"),
    (lambda folder: (folder / "certificate.pem").write_text("nothing"), "certificate"),
    (lambda folder: (folder / "key.pem").write_text((folder / "other.pem").read_text()), "key"),
    (lambda folder: (folder / "certificate.pem").chmod(0o600), "certificate.pem: uid 62102 may not read it"),
    (lambda folder: (folder / "noonmark.toml").chmod(0o600), "uid 62101 may not read it; chmod it to 0644"),
    (move_key_out_of_reach, "uid 62102 may not enter"),
    (lambda folder: (folder / "keeper").chmod(0o750), "chmod it to 0700"),
    (lambda folder: (folder / "keeper").chmod(0o500), "chmod it to 0700"),
    (lambda folder: os.chown(folder / "keeper", 0, 0), "chown it to 62101"),
    (lambda folder: ((folder / "keeper").rmdir(), (folder / "keeper").symlink_to("/tmp")), "symbolic link"),
    (lambda folder: write(folder, GOOD.format(folder).replace("af_packet:eth0", "vdev:net_null0")), "as a list")])
def test_f04_check_looks_at_the_files_it_names(folder, spoil, word):
    spoil(folder)
    done = noonmark("check", folder / "noonmark.toml")
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
    assert len(errors) == 1, done.stderr  # of this machine it may warn
    assert done.stderr.startswith(f"{folder}/noonmark.toml:0:0: ") and word in done.stderr


def with_upstream(folder):
    """The good configuration with an upstream whose authorities stand in a file of their own."""
    (folder / "ca.pem").write_text((folder / "other-certificate.pem").read_text())
    (folder / "ca.pem").chmod(0o644)
    write(folder, GOOD.format(folder) + f'[[upstream]]\nhost = "u.example.net"\nnts = true\nca = "{folder}/ca.pem"\n')


@pytest.mark.parametrize("spoil, word", [
    (lambda file: None, ""),
    (lambda file: file.unlink(), "cannot open it"), (lambda file: file.chmod(0o600), "uid 62104 may not read it"),
    (lambda file: file.write_text("nothing"), "ca.pem"), (lambda file: file.write_text(""), "ca.pem"),
    (lambda file: (file.unlink(), file.mkdir()), "no regular file")])
def test_f04_check_looks_at_the_authorities_of_an_upstream(folder, spoil, word):
    with_upstream(folder)
    spoil(folder / "ca.pem")
    done = noonmark("check", folder / "noonmark.toml")
    errors = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
    assert (done.returncode, len(errors)) == ((1, 1) if word else (0, 0)), done.stderr
    assert all(line.startswith(f"{folder}/noonmark.toml:0:0: [[upstream]] ca") and word in line for line in errors)


def test_check_lets_the_launcher_make_the_keys_directory(folder):
    (folder / "keeper").rmdir()
    assert noonmark("check", folder / "noonmark.toml").returncode == 0
    write(folder, GOOD.format(folder).replace("/keeper/keys", "/not/yet/there/keys"))
    assert noonmark("check", folder / "noonmark.toml").returncode == 0


def test_check_without_nts_asks_for_no_certificate(folder):
    text = GOOD.format(folder).replace("[dataplane]", "answer_nts = false\n[dataplane]")
    write(folder, "".join(line for line in text.splitlines(keepends=True) if ".pem" not in line))
    done = noonmark("check", folder / "noonmark.toml")
    assert done.returncode == 0, done.stderr
    os.chown(folder / "keeper", 0, 0)  # the keeper runs all the same
    assert noonmark("check", folder / "noonmark.toml").returncode == 1


def test_check_warns_of_a_certificate_that_ends_soon(folder):
    (folder / "certificate.pem").write_text((folder / "other-certificate.pem").read_text())
    (folder / "key.pem").write_text((folder / "other.pem").read_text())
    done = noonmark("check", folder / "noonmark.toml")
    assert done.returncode == 0
    assert re.search(r"^warning: .*expires in [23] days; renew it", done.stderr)


def as_anybody(folder, *words):
    """noonmark, run by a user who owns nothing, from a copy that everybody can reach."""
    program = folder / "noonmark"
    program.write_bytes(NOONMARK.read_bytes())
    program.chmod(0o755)
    return subprocess.run(["setpriv", "--reuid=62199", "--regid=62199", "--clear-groups", program, *words],
                          capture_output=True, text=True, timeout=20, check=False)


def test_check_as_a_user_who_may_not_see_the_key_is_a_warning(folder):
    done = as_anybody(folder, "check", folder / "noonmark.toml")
    assert done.returncode == 0, done.stderr
    assert "check as root" in done.stderr


def test_f12_run_by_anybody_but_root_is_4(folder):
    done = as_anybody(folder, "run", "--config", folder / "noonmark.toml")
    assert done.returncode == 4
    assert "use sudo" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.toml")), ids=lambda path: path.name)
def test_every_shipped_configuration_reads(config):
    report = json.loads(noonmark("check", config, "--json").stdout)
    assert report["summary"]["server"]  # it was read whole
    for error in report["errors"]:      # only files that are not on this machine, or a tree closed to others
        assert "may not enter" in error or error.startswith(f"{config}:0:0: [nts_ke]") or error.startswith(f"{config}:0:0: [keys]"), error
