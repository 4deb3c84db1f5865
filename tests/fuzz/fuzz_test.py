"""Every fuzz target for a while: built by clang with libFuzzer, ASan and UBSan in build/fuzz, two at a time.

20 s each, 8 s for those of BESIDES, which keeps the group within its five minutes; 600 s with NOONMARK_LONG
(`tests/run long fuzz`); NOONMARK_FUZZ_SECONDS says otherwise. A target that has run too few inputs by then, on a slow
machine, runs on until it has. An input that breaks a promise is kept in
build/fuzz/found/, and the failure says how to see it again. Once it is mended, the input goes to
tests/fuzz/corpus/NAME/, where tests/fuzz/corpus_test.cc runs it for ever. The same targets under AFL++: afl_test.py.
"""

import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

from only_long import IS_LONG, long_only

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build" / "fuzz"
FOUND = BUILD / "found"
TARGETS = re.findall(r"^  '(\w+)',$", (ROOT / "tests/fuzz/meson.build").read_text(), re.MULTILINE)
BESIDES = {"client_answer", "clock_page", "gpsd", "ke_session", "nmea", "segment", "settings_page", "stats_page", "tiers", "ubx"}
AT_ONCE = 2
RUNS_A_SECOND_MIN = 25  # of its time; what is missing is run afterwards, however long that takes
END_SECONDS_MAX = 60  # to write its corpus and end, on a busy machine
CATCH_UP_SECONDS_MAX = 600  # a target that is so slow hangs
TOO_SLOW_SECONDS = 10  # for one input
MEMORY_MIB_MAX = 2048


def seconds_of(name):
    if os.environ.get("NOONMARK_FUZZ_SECONDS"):
        return int(os.environ["NOONMARK_FUZZ_SECONDS"])
    return 600 if IS_LONG else 8 if name in BESIDES else 20


def program(name):
    return BUILD / "tests" / "fuzz" / f"fuzz-{name.replace('_', '-')}"


def runs_min(name):
    return RUNS_A_SECOND_MIN * seconds_of(name)


def executed(words):
    """How many inputs a fuzzer says it has run; 0 when it did not get so far as to say so."""
    told = re.search(r"^stat::number_of_executed_units: (\d+)", words, re.MULTILINE)
    return int(told.group(1)) if told else 0


def fuzz(name):
    """One target: for its time, then until it has run its least. Returns its words, exit code and how many inputs it
    ran; new inputs are forgotten with the folder."""
    with tempfile.TemporaryDirectory() as fresh, tempfile.TemporaryDirectory(dir="/dev/shm") as tmpfs:
        corpus = ROOT / "tests/fuzz/corpus" / name
        environment = dict(os.environ, NOONMARK_FUZZ_SEEDS=fresh, NOONMARK_FUZZ_TMPFS=tmpfs,
                           UBSAN_OPTIONS="print_stacktrace=1")

        def run(bound, seconds_max):
            done = subprocess.run(
                [program(name), fresh, corpus, bound, f"-timeout={TOO_SLOW_SECONDS}", f"-rss_limit_mb={MEMORY_MIB_MAX}",
                 "-print_final_stats=1", f"-artifact_prefix={FOUND}/{name}-"],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment,
                timeout=seconds_max, check=False)
            return done.stdout, done.returncode

        words, code = run(f"-max_total_time={seconds_of(name)}", seconds_of(name) + END_SECONDS_MAX)
        ran = executed(words)
        if code == 0 and 0 < ran < runs_min(name):
            known = sum(len(os.listdir(folder)) for folder in (fresh, corpus))  # these are run first, and count
            more, code = run(f"-runs={known + runs_min(name) - ran}", CATCH_UP_SECONDS_MAX)
            words += f"\n{ran} inputs in its time, too few: it ran on\n{more}"
            ran += executed(more)
    return words, code, ran


@pytest.fixture(scope="module")
def runs():
    """All targets, begun at once, AT_ONCE of them at a time: {name: future}."""
    if shutil.which("clang++-14") is None:
        pytest.fail("clang++-14 is missing; install the packages of configs/packages.txt")
    if not (BUILD / "build.ninja").exists():
        subprocess.run(["meson", "setup", BUILD, ROOT, "-Db_sanitize=address,undefined", "-Db_lundef=false",
                        "-Doptimization=1", "-Dcpp_args=-fsanitize=fuzzer-no-link -fsanitize=float-cast-overflow -fno-sanitize-recover=all"],
                       env=dict(os.environ, CXX="ccache clang++-14"), check=True)
    subprocess.run(["ninja", "-C", BUILD, *(program(name).relative_to(BUILD) for name in TARGETS)], check=True)
    FOUND.mkdir(exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        yield {name: pool.submit(fuzz, name) for name in TARGETS}


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_a_promise(runs, name):
    words, code, ran = runs[name].result()
    artifact = re.search(r"Test unit written to (\S+)", words)
    if artifact is not None:
        pytest.fail(f"{words[-3000:]}\n\nsee it again: {program(name)} {artifact.group(1)}\n"
                    f"once mended:  cp {artifact.group(1)} {ROOT}/tests/fuzz/corpus/{name}/", pytrace=False)
    assert code == 0, words[-3000:]
    assert ran >= runs_min(name), f"it hardly ran\n{words[-3000:]}"


def test_at_least_thirteen_targets_have_their_time_and_each_keeps_a_corpus():
    assert len(set(TARGETS) - BESIDES) >= 13 and BESIDES < set(TARGETS)
    for name in TARGETS:
        assert any((ROOT / "tests/fuzz/corpus" / name).iterdir()), f"tests/fuzz/corpus/{name} is empty"


@long_only
@pytest.mark.parametrize("program,cases,inputs", [
    ("tests/fuzz/tests-fuzz", "Targets/Answering.J01_*", 20_000_000),  # of each of five targets
    ("tests/control/tests-control", "KeMix.D18_RandomStreams*", 100_000_000)])
def test_D18_J01_a_hundred_million_inputs_at_full_speed(program, cases, inputs):
    """What tests/run does with a hundredth of them: not guided as a fuzzer is, but a hundred times as many."""
    done = subprocess.run([ROOT / "build" / program, f"--gtest_filter={cases}"],
                          env=dict(os.environ, NOONMARK_MUTATIONS=str(inputs)), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    assert done.returncode == 0 and "[  PASSED  ]" in done.stdout, done.stdout[-3000:]
