"""Fuzz targets under AFL++: the functions of tests/fuzz, built by afl-clang-fast++ in build/afl, run by afl-fuzz.

AFL++'s driver calls the same entry points as libFuzzer (tests/fuzz/libfuzzer_entry.cc), many inputs a process,
handed over in shared memory. Nothing of the host is changed: no core_pattern, no CPU governor.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "afl"
FOUND = BUILD / "found"
COMPILER = "afl-clang-fast++"
SLOW_MS = 2000  # for one input
START_SECONDS_MAX = 60  # seeds are tried first; on a busy machine, with sanitizers
ENVIRONMENT = {
    "AFL_SKIP_CPUFREQ": "1", "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1",  # the host stays as it is
    "AFL_NO_AFFINITY": "1", "AFL_NO_UI": "1", "AFL_NO_CRASH_README": "1",
    "AFL_FORKSRV_INIT_TMOUT": "20000",
    "ASAN_OPTIONS": "abort_on_error=1:symbolize=0:detect_leaks=0", "UBSAN_OPTIONS": "abort_on_error=1:symbolize=0",
}


@dataclass
class Outcome:
    """What afl-fuzz says of a run."""
    executed: int
    crashes: list  # inputs that broke a promise
    words: str


def require_compiler():
    if shutil.which(COMPILER) is None:
        raise FileNotFoundError(f"{COMPILER} is missing; install the packages of configs/packages.txt")


def build(name):
    """The program of one target, with ASan and UBSan."""
    require_compiler()
    if not (BUILD / "build.ninja").exists():
        subprocess.run(["meson", "setup", BUILD, ROOT, "-Db_sanitize=address,undefined", "-Db_lundef=false",
                        "-Doptimization=1", "-Dwerror=false",
                        "-Dcpp_args=-fsanitize=fuzzer-no-link -fno-sanitize-recover=all"],
                       env=dict(os.environ, CXX=COMPILER, AFL_QUIET="1"), check=True)
    program = BUILD / "tests" / "fuzz" / f"fuzz-{name.replace('_', '-')}"
    subprocess.run(["ninja", "-C", BUILD, program.relative_to(BUILD)], env=dict(os.environ, AFL_QUIET="1"), check=True)
    return program


def compile_few(program, sources, *arguments):
    """The same from a few files, without the build: seconds instead of minutes."""
    require_compiler()
    program.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([COMPILER, "-std=c++20", "-O1", "-I", ROOT, *arguments, "-fsanitize=fuzzer", "-o", program,
                    *(ROOT / source for source in sources)], env=dict(os.environ, AFL_QUIET="1"), check=True)
    return program


def fuzz(program, name, seconds, until_crash=False):
    """Fuzzes `program` with its own seeds and the corpus of `name`; inputs that break it are kept in FOUND."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory(dir="/dev/shm") as tmpfs:
        seeds, out = pathlib.Path(folder) / "in", pathlib.Path(folder) / "out"
        corpus = ROOT / "tests/fuzz/corpus" / name
        if corpus.is_dir():
            shutil.copytree(corpus, seeds)
        else:
            seeds.mkdir()
        environment = dict(os.environ, **ENVIRONMENT, NOONMARK_FUZZ_TMPFS=tmpfs)
        if until_crash:
            environment["AFL_BENCH_UNTIL_CRASH"] = "1"
        subprocess.run([program, os.devnull], env=dict(environment, NOONMARK_FUZZ_SEEDS=str(seeds)), check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        done = subprocess.run(["afl-fuzz", "-i", seeds, "-o", out, "-V", str(seconds), "-m", "none",
                               "-t", f"{SLOW_MS}+", "--", program], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", timeout=seconds + START_SECONDS_MAX, check=False)
        statistics = out / "default" / "fuzzer_stats"
        if not statistics.exists():
            raise RuntimeError(f"afl-fuzz did not begin (exit code {done.returncode}):\n{done.stdout[-3000:]}")
        told = dict(map(str.strip, line.split(":", 1)) for line in statistics.read_text().splitlines() if ":" in line)
        FOUND.mkdir(parents=True, exist_ok=True)
        crashes = []
        for number, file in enumerate(sorted((out / "default" / "crashes").glob("id:*"))):
            crashes.append(FOUND / f"{name}-{number}")
            shutil.copyfile(file, crashes[-1])
        return Outcome(int(told["execs_done"]), crashes, done.stdout)
