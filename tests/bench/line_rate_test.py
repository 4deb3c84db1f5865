"""bench/line-rate for a moment: a real dataplane, the generator and shared memory between them. That every answer is
right and counted once, and that nothing stays, after a signal neither. Never its rates."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from lab.lab import ROOT
from polling import comes_true

COMMAND = ["/usr/bin/python3", "-B", ROOT / "bench" / "line_rate.py"]
SHARED = Path("/dev/shm")
NR_HUGEPAGES = Path("/proc/sys/vm/nr_hugepages")
KINDS = ["nts", "plain"]


@pytest.fixture(autouse=True)
def fixture_machine():
    if os.getuid() != 0:
        pytest.skip("a dataplane and its hugepages need root")
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("server and generator need a CPU each")


def places():
    return set(SHARED.glob("noonmark-line-rate-*"))


def processes_in(places_of_run):
    """Command lines that name one of the places."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes()
        except OSError:  # it has ended
            continue
        found += [words for place in places_of_run if str(place).encode() in words]
    return found


@pytest.mark.parametrize("copies", ["load", "server"])
def test_every_answer_is_right_and_counted_and_nothing_stays(copies):
    """Where the vhost port is the generator's, the server must still make the checksums itself."""
    before, pages = places(), NR_HUGEPAGES.read_text()
    done = subprocess.run([*COMMAND, "--seconds", "0.5", "--rate", "2000", "--ipv6", "--copies", copies],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    said = dict(line.split("=", 1) for line in done.stdout.splitlines())
    for kind in KINDS:
        figures = {name: int(said[f"line_rate_{kind}_{name}"]) for name in
                   ("pps", "best_pps", "sent", "answered", "lost", "late", "wrong", "latency_p50_ns", "latency_max_ns")}
        assert figures["wrong"] == 0 and figures["answered"] > 0 and figures["best_pps"] > 0, done.stdout
        assert figures["sent"] == figures["answered"] + figures["lost"], done.stdout
        assert 0 < figures["latency_p50_ns"] <= figures["latency_max_ns"], done.stdout
    assert places() == before and NR_HUGEPAGES.read_text() == pages


def begun(before):
    """Whether the load of a run that began after `before` goes on."""
    return any(b"--session" not in words and words.split(b"\0")[0].endswith(b"bench/load/load")
               for words in processes_in(places() - before))


def test_a_killed_one_leaves_no_process():
    before, pages = places(), int(NR_HUGEPAGES.read_text())
    process = subprocess.Popen([*COMMAND, "--seconds", "600", "--rate", "1000", "--only", "plain"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert comes_true(lambda: begun(before))
        mine = places() - before
        process.kill()
        process.wait(60)
        assert comes_true(lambda: processes_in(mine) == [])
    finally:
        process.kill()
        for place in places() - before:  # what no process can take away that is gone
            shutil.rmtree(place)
        NR_HUGEPAGES.write_text(str(pages))


def test_a_signal_ends_it_and_nothing_stays():
    before, pages = places(), NR_HUGEPAGES.read_text()
    process = subprocess.Popen([*COMMAND, "--seconds", "600", "--rate", "1000", "--only", "plain"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert comes_true(lambda: begun(before))
        mine = places() - before
        for _ in range(3):  # the later ones find it cleaning up
            process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=120)
    finally:
        process.terminate()  # not killed: it has to take its processes with it
        process.wait(120)
    assert process.returncode == 1, told
    assert places() == before and processes_in(mine) == [] and NR_HUGEPAGES.read_text() == pages
