"""Runs the simulated days (tests/sim/*_test.cc), a case each, so that each counts; two at a time. Long: NOONMARK_LONG=1."""

import concurrent.futures
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = ROOT / "build/tests/sim/tests-sim"
AT_ONCE = 2


def cases():
    """The names gtest gives, or one that fails when the program was not built."""
    if not PROGRAM.exists():
        return ["not.built"]
    listed = subprocess.run([PROGRAM, "--gtest_list_tests"], stdout=subprocess.PIPE, text=True, check=True).stdout
    names, suite = [], ""
    for line in listed.splitlines():
        if line.startswith("  "):
            names.append(suite + line.strip())
        elif line.endswith("."):
            suite = line.strip()
    return names


def simulate(case):
    return subprocess.run([PROGRAM, f"--gtest_filter={case}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)


@pytest.fixture(scope="module", name="runs")
def fixture_runs(request):
    """Those that were chosen, begun at once: {case: future}."""
    assert PROGRAM.exists(), f"{PROGRAM} is not built; configs/setup builds it"
    chosen = [item.callspec.params["case"] for item in request.session.items if item.function is test_simulated]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        yield {case: pool.submit(simulate, case) for case in chosen}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("case", cases())
def test_simulated(runs, case):
    done = runs[case].result()
    assert done.returncode == 0, done.stdout[-6000:]
