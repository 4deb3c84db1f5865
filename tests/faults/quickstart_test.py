"""Does configs/quickstart do what it says, again and again, and leave nothing behind?

The real script, as a person calls it, on this machine: its namespaces have fixed names, so one at a time.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import nts_client
from in_namespace import namespace
from lab import network, processes
from lab_server import require_namespaces

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "configs" / "quickstart"
OUT = ROOT / "build" / "quickstart"
NAMESPACES = {"noonmark", "noonmark-client"}
ONCE_SECONDS, READY_SECONDS = 240, 120


@pytest.fixture(autouse=True)
def fixture_alone():
    require_namespaces()
    if NAMESPACES & network.namespaces():
        pytest.skip("somebody's quickstart is running on this machine")


def start(*words, **options):
    return subprocess.Popen([SCRIPT, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, errors="replace", **options)


def run_once(*words, **options):
    process = start(*words, **options)
    out, err = process.communicate(timeout=ONCE_SECONDS)
    return process.returncode, out, err


def serve(*words):
    """A quickstart --serve that is ready; the caller stops it."""
    process = start("--serve", *words)
    deadline = time.monotonic() + READY_SECONDS
    while not (OUT / "ready").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise AssertionError("".join(process.communicate()))
        time.sleep(0.05)
    return process


def remains():
    """What a quickstart might have left on this machine, as sentences."""
    found = [f"namespace {name}" for name in NAMESPACES & network.namespaces()]
    found += [f"/etc/netns/{name}" for name in NAMESPACES if Path("/etc/netns", name).exists()]
    found += [str(path) for path in (Path("/dev/shm/noonmark-quickstart"), Path("/var/lib/noonmark-lab/quickstart"),
                                     OUT / "ready") if path.exists()]
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            program = os.readlink(f"/proc/{entry}/exe")
        except OSError:
            continue
        if program.startswith("/var/lib/noonmark-lab/quickstart/"):
            found.append(f"process {entry}: {program}")
    return found


def test_it_shows_a_real_client_twice_in_a_row_and_leaves_nothing():
    for _ in range(2):
        code, out, err = run_once()
        assert code == 0, out + err
        assert "8 of 100 octets" in out and "AES-SIV-CMAC-256" in out
        assert "over IPv4" in out and "over IPv6" in out
        assert "synchronised to nothing" in out, "an unsynchronised clock is never called synchronised"
        assert remains() == []


def test_other_ports_and_a_configuration_of_ones_own(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text('[clock]\nstratum = 7\n')
    code, out, err = run_once("--ntp-port", "4123", "--ke-port", "4443", "--device", "af_packet", "--config", mine)
    assert code == 0, out + err
    assert "NTS-KE 4443, NTP 4123" in out
    assert "declared good at stratum 7" in out
    assert remains() == []


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_serve_stays_until_it_is_told_to_stop(sign):
    process = serve()
    try:
        with namespace("noonmark-client"):
            session = nts_client.key_exchange(network.SERVER_IPV4, OUT / "ca.pem", network.NAME)
            assert nts_client.Poller(session).poll()
    finally:
        process.send_signal(sign)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert f"server {network.NAME}:4460 nts" in out, "it says how to point NTPsec here"
    assert remains() == []


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGHUP])
def test_an_impatient_second_interrupt_does_not_cut_the_clean_up_short(sign):
    process = start()
    deadline = time.monotonic() + READY_SECONDS
    while not NAMESPACES <= network.namespaces():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    while process.poll() is None and time.monotonic() < deadline:
        process.send_signal(sign)
        time.sleep(0.05)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "interrupted" in err, out + err
    assert remains() == []


def test_a_second_one_is_refused_and_the_first_goes_on():
    process = serve()
    try:
        code, _, err = run_once()
        assert code == 1 and "another quickstart" in err and len(err.strip().splitlines()) == 1
        with namespace("noonmark-client"):
            assert nts_client.key_exchange(network.SERVER_IPV4, OUT / "ca.pem", network.NAME).cookies
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert remains() == []


def test_after_a_kill_9_of_itself_it_runs_again():
    process = serve()
    process.kill()
    process.communicate(timeout=60)
    code, out, err = run_once()
    assert code == 0, out + err
    assert remains() == []


def test_without_root_it_says_one_sentence_and_ends_with_2():
    """A copy of the scripts where nobody may read them: the tree itself may be closed to others."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        os.chmod(directory, 0o755)
        for folder in ("configs", "tests"):
            shutil.copytree(ROOT / folder, Path(directory, folder),
                            ignore=shutil.ignore_patterns("__pycache__", "vectors"))
        for words in (["configs/quickstart"], ["configs/quickstart", "--serve"], ["tests/run"], ["tests/run", "unit"]):
            done = subprocess.run([Path(directory, words[0]), *words[1:]], user=65534, group=65534, extra_groups=[],
                                  cwd="/", capture_output=True, text=True, check=False, timeout=60)
            assert done.returncode == 2, done.stdout + done.stderr
            assert len(done.stderr.strip().splitlines()) == 1 and "root" in done.stderr


@pytest.mark.parametrize("words", [["--nonsense"], ["--ntp-port", "0"], ["--ntp-port", "65536"], ["--ke-port", "x"],
                                   ["--device", "floppy"], ["--config", "/nonexistent.toml"]])
def test_a_wrong_option_ends_with_2_before_anything_is_made(words):
    code, _, err = run_once(*words)
    assert code == 2, err
    assert words[0] in err or words[-1] in err
    assert remains() == []


def test_F04_modules_are_not_taken_from_where_one_stands(tmp_path):
    for name in ("lab.py", "argparse.py"):
        (tmp_path / name).write_text("import os\nos._exit(66)\n")
    code, _, err = run_once("--nonsense", cwd=tmp_path)
    assert code == 2 and "--nonsense" in err, err


def test_F02_a_configuration_that_is_wrong_is_told_by_line(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text('[clock]\nstratun = 7\n')
    code, out, err = run_once("--config", mine)
    assert code == 1 and "stratun" in out + err and ":2:" in out + err
    assert remains() == []


@pytest.mark.parametrize("place", ["/var/lib", "/etc", str(ROOT / "build")])
def test_a_place_that_may_not_be_written_is_told_in_one_sentence(place):
    """In a mount namespace of its own, where that place is read-only."""
    done = subprocess.run(["unshare", "--mount", "bash", "-euc",
                           f'mount --bind "{place}" "{place}"; mount -o remount,bind,ro "{place}"; exec "{SCRIPT}"'],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=ONCE_SECONDS)
    assert done.returncode == 1, done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and place in done.stderr, done.stderr
    assert remains() == []


def test_help_says_what_there_is():
    code, out, _ = run_once("--help")
    assert code == 0
    for option in ("--serve", "--ntp-port", "--ke-port", "--device", "--config"):
        assert option in out


def test_the_processes_module_knows_its_own_children():
    """stop() must reach grandchildren: the launcher's roles are."""
    parent = subprocess.Popen([sys.executable, "-c", "import subprocess,time\n"
                               "subprocess.Popen(['sleep', '60'])\ntime.sleep(60)"])
    deadline = time.monotonic() + 10
    while not processes.children(parent.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    family = processes.children(parent.pid)
    processes.stop(parent)
    assert len(family) == 1 and not processes.is_running(*family[0])
