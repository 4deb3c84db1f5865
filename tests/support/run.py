"""Runs the test groups, prints the time of each, counts every case, and ends with one line of counts.

Groups: build (the whole tree by gcc; always), clang (the whole tree by the other compiler), unit (every executable
meson calls a test, and the pytest files beside them), then one per folder that asks its own question: golden, fuzz,
sim, peers, faults. A skipped case is printed with its reason; cases that belong to `tests/run long` alone are named in
one line and are in none of the counts; a group that breaks counts as a failure; a run in which nothing ran is one too.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree

import only_long

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build"
CLANG_BUILD = BUILD / "clang"
CLANG_OPTIONS = ("-Dbuildtype=debug", "-Ddebug=false", "-Db_ndebug=true")  # asserts away, as in what is shipped
PYTHON = "/usr/bin/python3"
FOLDER_GROUPS = ("golden", "fuzz", "sim", "peers", "faults")
LAB_GROUPS = ("peers", "faults")
ALONE = ("restarts_test.py", "quickstart_test.py")
# They wait for seconds to pass, or for pulses; the others work. A dataplane polls without end, so that every lab takes
# what it can get of a core: those that wait take it from nobody who works.
WAITING = ("gpsd_played_test.py", "gpsd_test.py", "upstream_test.py", "gnss_test.py", "devices_test.py",
           "ntpsec_test.py", "oscillator_memory_test.py", "smear_test.py", "calibrate_test.py", "mono_root_test.py",
           "announced_leap_test.py", "spoof_test.py")
LONGEST_FIRST = ("wide_tiers_test.py", "control", "wiped_test.py", "watched_test.py", "fuzz_test.py",
                 "kill_matrix_test.py", "flood_test.py", "many_ports_test.py", *WAITING)  # or one core waits for them
WORKING_AT_ONCE, WAITING_AT_ONCE = 2, 5
SLOWEST_TOLD = 6
PATIENTLY = ("nice", "-n", "10")
GROUPS = ("clang", "unit", *FOLDER_GROUPS)
EXECUTABLE_SECONDS_MAX, LONG_SECONDS_MAX = 600, 7200
PYTEST_SECONDS_MAX, PYTEST_LONG_SECONDS_MAX = 1200, 36_000  # of a file; fuzz_test.py is the longest
UNWIND_SECONDS_MAX = 120  # from an interrupt to pytest's end: its labs are taken down meanwhile
FAULTS_OF_THREADS = "error::pytest.PytestUnhandledThreadExceptionWarning"  # what a test's thread raises fails the test
PYTEST_PASSED, PYTEST_FAILED = 0, 1  # its exit codes; any other says that not all was run


class Counts:
    """What the cases came to. Failures and skips are printed as they are met, so that none hides in a sum. Several
    threads may count."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.only_long = collections.Counter()  # how many cases of each test, by its name
        self.seconds = {}  # of each executable and pytest file
        self.lock = threading.Lock()

    def case_passed(self):
        with self.lock:
            self.passed += 1

    def case_failed(self, name, detail=""):
        with self.lock:
            self.failed += 1
            print(f"FAILED  {name}\n{detail}".rstrip(), flush=True)

    def case_skipped(self, name, reason):
        with self.lock:
            self.skipped += 1
            print(f"skipped {name}: {reason}", flush=True)

    def case_is_only_long(self, name):
        with self.lock:
            self.only_long[name.partition("[")[0]] += 1

    def took(self, name, seconds):
        with self.lock:
            self.seconds[name] = seconds

    def slowest(self):
        """Where to look when the run takes too long."""
        with self.lock:
            slowest = sorted(self.seconds.items(), key=lambda item: -item[1])[:SLOWEST_TOLD]
            self.seconds.clear()
        return ", ".join(f"{name} {seconds:.0f}" for name, seconds in slowest)

    def total(self):
        return self.passed + self.failed + self.skipped


def run_quietly(counts, name, *commands, **options):
    """Commands that must all succeed: one case, whose words are shown when it fails."""
    for command in commands:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", check=False, **options)
        if done.returncode != 0:
            counts.case_failed(name, done.stdout[-6000:])
            return False
    counts.case_passed()
    return True


def build(counts):
    return run_quietly(counts, "build", ["bash", "configs/setup"])


def build_with_clang(counts):
    """The other compiler, with its own warnings; nothing of it is run here (the fuzz group runs clang's code), so nothing
    is optimised and nothing can be debugged: that is nearly half of the time."""
    setup = [["meson", "setup", CLANG_BUILD, *CLANG_OPTIONS]]
    if (CLANG_BUILD / "build.ninja").exists():
        setup = [["meson", "configure", CLANG_BUILD, *CLANG_OPTIONS]]
    run_quietly(counts, "build with clang", *setup, ["ninja", "-C", CLANG_BUILD],
                env=dict(os.environ, CXX="ccache clang++-14"))


def run_gtest(name, command, counts, environment):
    """One test executable; each of its cases counts."""
    seconds_max = LONG_SECONDS_MAX if environment.get("NOONMARK_LONG") else EXECUTABLE_SECONDS_MAX
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.json"
        try:
            done = subprocess.run([*command, f"--gtest_output=json:{report}"], cwd=ROOT, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
                                  timeout=seconds_max, env=environment)
        except subprocess.TimeoutExpired:
            counts.case_failed(name, f"did not end within {seconds_max} s")
            return
        if not report.exists():
            counts.case_failed(name, f"ended with {done.returncode} and no report\n{done.stdout[-4000:]}")
            return
        cases = [(f"{name}: {suite['name']}.{case['name']}", case)
                 for suite in json.loads(report.read_text())["testsuites"] for case in suite["testsuite"]]
        for one, case in cases:
            count_gtest_case(one, case, done.stdout, counts)
        if done.returncode != 0 and not any(case.get("failures") for _, case in cases):
            counts.case_failed(name, f"ended with {done.returncode}\n{done.stdout[-4000:]}")


def count_gtest_case(name, case, output, counts):
    if case.get("failures"):
        counts.case_failed(name, "\n".join(f["failure"] for f in case["failures"])[:4000])
    elif case.get("result") == "SKIPPED":
        reason = next((line for line in output.splitlines() if "Skipped" in line), "see GTEST_SKIP in the test")
        lines = output.splitlines()
        if reason in lines and lines.index(reason) + 1 < len(lines):
            reason = lines[lines.index(reason) + 1]
        counts.case_skipped(name, reason.strip())
    elif case.get("result") == "COMPLETED":
        counts.case_passed()


def run_pytest(paths, counts, environment, seconds_max=None, before=()):
    """All cases of the pytest files at `paths`. A report alone proves nothing: what broke beside the cases, or was not
    run at all, is in pytest's exit code."""
    name = f"pytest {pathlib.Path(paths[0]).name}" + (f" and {len(paths) - 1} files more" if len(paths) > 1 else "")
    seconds_max = seconds_max or (PYTEST_LONG_SECONDS_MAX if environment.get("NOONMARK_LONG") else PYTEST_SECONDS_MAX)
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.xml"
        words, code = run_patiently([*before, PYTHON, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W",
                                     FAULTS_OF_THREADS,
                                     f"--junit-xml={report}", *map(str, paths)], environment, seconds_max)
        failed = count_pytest_cases(report, counts) if report.exists() else 0
        if code is None:
            counts.case_failed(name, f"did not end within {seconds_max} s\n{words[-4000:]}")
        elif not report.exists() or code != (PYTEST_FAILED if failed else PYTEST_PASSED):
            counts.case_failed(name, f"ended with {code}\n{words[-4000:]}")


def run_patiently(command, environment, seconds_max):
    """(words, exit code) of a pytest; no exit code when it did not end in time. It is interrupted then, so that it
    takes down what it made, before it is killed."""
    # A shell's background job ignores interrupts, and so would all that it starts.
    process = subprocess.Popen(["env", "--default-signal=INT", *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               errors="replace", env=environment)
    try:
        return process.communicate(timeout=seconds_max)[0], process.returncode
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
    try:
        return process.communicate(timeout=UNWIND_SECONDS_MAX)[0], None
    except subprocess.TimeoutExpired as late:
        process.kill()
        process.wait()
        process.stdout.close()  # a process that it left may hold the other end for ever
        return f"nor after an interrupt\n{(late.output or b'').decode(errors='replace')}", None


def count_pytest_cases(report, counts):
    """Returns how many of them failed."""
    failed = 0
    for case in xml.etree.ElementTree.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        wrong = case.find("failure") if case.find("failure") is not None else case.find("error")
        skipped = case.find("skipped")
        if wrong is not None:
            failed += 1
            counts.case_failed(name, (wrong.text or "")[-4000:])
        elif skipped is not None and skipped.get("message") == only_long.REASON:
            counts.case_is_only_long(name)
        elif skipped is not None:
            counts.case_skipped(name, skipped.get("message"))
        else:
            counts.case_passed()
    return failed


def run_timed(counts, name, work):
    began = time.monotonic()
    work()
    counts.took(name, time.monotonic() - began)


def run_side_by_side(counts, *lanes):
    """Each lane is (works, how many of them at a time); a work is (name, function). What a lane raises ends the run."""
    def turn(work):
        return LONGEST_FIRST.index(work[0]) if work[0] in LONGEST_FIRST else len(LONGEST_FIRST)
    with contextlib.ExitStack() as pools:
        running = []
        for works, at_once in lanes:
            pool = pools.enter_context(concurrent.futures.ThreadPoolExecutor(at_once))
            running += [pool.submit(run_timed, counts, *work) for work in sorted(works, key=turn)]
        try:
            for one in running:
                one.result()
        except BaseException:
            for one in running:
                one.cancel()
            raise


def pytest_works(paths, counts, environment, before=()):
    return [(path.name, lambda path=path: run_pytest([path], counts, environment, before=before)) for path in paths]


def run_lab_pytests(paths, counts, environment):
    """Files whose labs have names of their own run side by side. Those that count what is on the whole machine, or use
    quickstart's names, run alone."""
    run_side_by_side(counts, (pytest_works([path for path in paths if path.name in ALONE], counts, environment), 1))
    waiting = [path for path in paths if path.name in WAITING]
    working = [path for path in paths if path.name not in (*ALONE, *WAITING)]
    run_side_by_side(counts, (pytest_works(working, counts, environment), WORKING_AT_ONCE),
                     (pytest_works(waiting, counts, environment, PATIENTLY), WAITING_AT_ONCE))


def run_pytests(paths, counts, environment):
    run_side_by_side(counts, (pytest_works(paths, counts, environment), WORKING_AT_ONCE))


def unit_pytests():
    """The pytest files that belong to no folder group."""
    return [path for path in sorted((ROOT / "tests").rglob("*_test.py"))
            if path.relative_to(ROOT / "tests").parts[0] not in FOLDER_GROUPS]


def run_unit(counts, environment):
    listed = subprocess.run(["meson", "introspect", "build", "--tests"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    works = [(test["name"], lambda test=test: run_gtest(test["name"], test["cmd"], counts, environment))
             for test in json.loads(listed.stdout)]
    works += pytest_works(unit_pytests(), counts, environment)
    run_side_by_side(counts, (works, WORKING_AT_ONCE))


def main():
    parser = argparse.ArgumentParser(prog="tests/run", description=__doc__)
    parser.add_argument("what", nargs="*", help="unit, long, a folder group, or pytest files; nothing: everything")
    what = parser.parse_args().what
    environment = dict(os.environ)
    if "long" in what:
        environment["NOONMARK_LONG"] = "1"
        what = [word for word in what if word != "long"]
    files = [word for word in what if word.endswith(".py")]
    groups = [word for word in what if not word.endswith(".py")] or ([] if files else GROUPS)
    unknown = [group for group in groups if group not in GROUPS]
    if unknown:
        parser.error(f"no such group: {', '.join(unknown)}; there are long, {', '.join(GROUPS)}")

    counts = Counts()
    times = []

    def timed(name, work):
        began = time.monotonic()
        result = work()
        times.append((name, time.monotonic() - began, counts.slowest()))
        return result

    if timed("build", lambda: build(counts)):
        if "clang" in groups:
            timed("clang", lambda: build_with_clang(counts))
        if "unit" in groups:
            timed("unit", lambda: run_unit(counts, environment))
        for group in FOLDER_GROUPS:
            paths = sorted((ROOT / "tests" / group).rglob("*_test.py"))
            if group in groups and paths:
                work = run_lab_pytests if group in LAB_GROUPS else run_pytests
                timed(group, lambda work=work, paths=paths: work(paths, counts, environment))
        if files:
            timed("files", lambda: run_pytest(files, counts, environment))
    for name, seconds, slowest in times:
        print(f"{name:8} {seconds:7.1f} s{f'  slowest: {slowest}' if slowest else ''}")
    if counts.only_long:
        told = ", ".join(f"{name} ({number})" for name, number in sorted(counts.only_long.items()))
        print(f"{sum(counts.only_long.values())} cases more in `tests/run long`: {told}")
    print(f"{counts.passed} passed, {counts.failed} failed, {counts.skipped} skipped")
    return 0 if counts.failed == 0 and counts.total() > 1 else 1


if __name__ == "__main__":
    sys.exit(main())
