"""The C header for programs on the same machine (configs/noonmark_clock.h), compiled as its users would and reading
the page of a running server as nobody in particular."""

import subprocess
import time

import pytest

from failpoints import wait_until
from lab.lab import ROOT
from lab_server import running

NOBODY = 65534
TRUE, UNSYNCHRONISED, STALE, NO_FILE = 0, 1, 2, 10
PATIENCE_S = 10


@pytest.fixture(scope="module", name="lab")
def fixture_lab():
    with running("local-clock") as lab:
        yield lab


@pytest.fixture(scope="module", name="example")
def fixture_example(lab):
    """Compiled by both compilers with all warnings; gcc's is run."""
    source, made = ROOT / "configs" / "noonmark_clock_example.c", lab.state / "clock-example"
    words = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror", source, "-o"]
    for compiler, binary in (("clang-14", lab.state / "clock-example-clang"), ("gcc", made)):
        subprocess.run([compiler, *words, binary], check=True)
    return made


def look(lab, example):
    """(exit code, words) of one look, as a user without rights."""
    done = subprocess.run([example, lab.pages / "clock" / "clock"], user=NOBODY, group=NOBODY, extra_groups=[],
                          capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.split()


def test_a_stranger_reads_an_interval_that_holds_true_time(lab, example):
    """The lab serves the kernel's own clock, so that clock must lie in the interval."""
    for _ in range(20):
        before = time.time_ns()
        code, words = look(lab, example)
        after = time.time_ns()
        assert code == TRUE, words
        earliest, latest = map(int, words[:2])
        assert earliest <= after and before <= latest
        assert 0 < latest - earliest < 2_000_000_000


def test_a_program_that_waits_finds_the_page_of_a_restarted_server_and_a_stopped_one_says_nothing(lab, example):
    """Stopped cleanly or not, the last promise is kept to its own end; without a page there is a clear error."""
    config = lab.config
    waiting = subprocess.Popen([example, lab.pages / "clock" / "clock", "30"], user=NOBODY, group=NOBODY,
                               extra_groups=[], stdout=subprocess.PIPE, text=True)
    try:
        assert waiting.stdout.readline().endswith("local\n")
        assert lab.stop() == 0
        lab.start(config)
        assert look(lab, example)[0] == TRUE
        assert [waiting.stdout.readline().split()[-1] for _ in range(3)] == ["local"] * 3
    finally:
        waiting.kill()
        waiting.communicate()
    assert wait_until(lambda: look(lab, example)[0] == TRUE, PATIENCE_S)
    missing = subprocess.run([example, lab.state / "none"], capture_output=True, text=True, check=False)
    assert missing.returncode == NO_FILE and "No such file" in missing.stderr
