"""The fuzz targets under AFL++: that it works and would find something; with NOONMARK_LONG, each for a while."""

import os
import re

import pytest

import afl
from only_long import long_only

SMOKE_SECONDS = 6
LONG_SECONDS = int(os.environ.get("NOONMARK_FUZZ_SECONDS") or 120)
ENTRY = "tests/fuzz/libfuzzer_entry.cc"
SMOKE = afl.BUILD / "smoke"
TARGETS = re.findall(r"^  '(\w+)',$", (afl.ROOT / "tests/fuzz/meson.build").read_text(), re.MULTILINE)


def test_a_planted_bug_is_found():
    program = afl.compile_few(SMOKE / "planted", ["tests/fuzz/planted.cc", ENTRY])
    outcome = afl.fuzz(program, "planted", 10 * SMOKE_SECONDS, until_crash=True)
    assert outcome.crashes, outcome.words[-2000:]
    assert outcome.crashes[0].read_bytes().startswith(b"NTS")


def test_a_target_of_ours_runs_and_keeps_its_promises():
    sources = ["tests/fuzz/ke_stream.cc", ENTRY, "nts/ke_exchange.cc", "nts/ke_record.cc"]
    program = afl.compile_few(SMOKE / "ke_stream", sources, "-fsanitize=address,undefined",
                              "-fno-sanitize-recover=all")
    outcome = afl.fuzz(program, "ke_stream", SMOKE_SECONDS)
    assert not outcome.crashes, f"{outcome.words[-2000:]}\nsee {outcome.crashes}"
    assert outcome.executed > 2000, outcome.words[-2000:]


@long_only
@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_a_promise(name):
    outcome = afl.fuzz(afl.build(name), name, LONG_SECONDS)
    assert not outcome.crashes, f"{outcome.words[-2000:]}\nsee {outcome.crashes}"
    assert outcome.executed > 500, outcome.words[-2000:]
