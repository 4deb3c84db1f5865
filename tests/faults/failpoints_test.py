"""Failpoints are in the programs of the tests, all of them, and nothing of them is in the product."""

import re

import failpoints
from lab.commands import run
from lab.lab import BINARIES, ROOT

CATALOGUE_MIN = 20  # TESTS.md H01


def without_debug(path, folder):
    """The program as it is loaded, and its symbols: a tenth of the file."""
    stripped = folder / path.name
    run("objcopy", "--strip-debug", path, stripped)
    return stripped


def names_in(path):
    octets = path.read_bytes()
    return {name for name in failpoints.names() if name.encode("ascii") in octets}


def test_there_are_as_many_as_the_catalogue_asks_for():
    assert len(failpoints.names()) >= CATALOGUE_MIN, failpoints.names()


def test_the_product_holds_no_name_and_no_symbol_of_them(tmp_path):
    for binary in BINARIES:
        path = without_debug(ROOT / "build" / binary, tmp_path)
        assert not names_in(path), binary
        assert "failpoint" not in run("nm", path).stdout, binary


def test_the_programs_of_the_tests_hold_every_name(tmp_path):
    found = set().union(*(names_in(without_debug(failpoints.program(binary), tmp_path)) for binary in BINARIES))
    assert set(failpoints.names()) == found, set(failpoints.names()) - found


def test_every_failpoint_is_reached_by_a_test():
    """By its name, in a file of this folder."""
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "faults").glob("*_test.py"))
    named = set(re.findall(r'"([a-z]+\.[a-z_]+)"', tests))
    assert set(failpoints.names()) <= named, set(failpoints.names()) - named
