"""Runs the simulated days (tests/sim/*_test.cc), a case each, so that each counts. Long: NOONMARK_LONG=1."""

import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = ROOT / "build/tests/sim/tests-sim"


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


@pytest.mark.parametrize("case", cases())
def test_simulated(case):
    assert PROGRAM.exists(), f"{PROGRAM} is not built; configs/setup builds it"
    done = subprocess.run([PROGRAM, f"--gtest_filter={case}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
