"""K10: where a tag differs takes no time (Welch's t of timed_tags.cc, after dudect), per tier and for the whole server.

No clock decides in an ordinary run: it checks that the tool finds a planted comparison that stops early, and no
difference between equal classes, and prints the rest. `tests/run long` takes 10^6 samples and holds |t| against 10; on
a virtual machine, whose time stamps are another's to schedule, a larger one is told as the reason of a skip (TESTS.md:
advisory on a VM). `told_` lines are never judged: the wire tells the same, as timed_tags.cc says."""

import pathlib
import subprocess

import pytest
import tier_files
from only_long import long_only

PROGRAM = tier_files.ROOT / "build" / "tests" / "secrets" / "timed-tags"
T_MAX = 10
SAMPLES, SAMPLES_OF_PORTABLE, SAMPLES_LONG = 20_000, 2_000, 1_000_000  # a portable tier takes ten times as long
pytestmark = pytest.mark.skipif(not tier_files.is_x86(), reason="timed-tags reads the time stamp counter of x86-64")
TIERS = [tier.name for tier in tier_files.all_tiers() if "/" not in tier.name]  # AEADs 15 and 30
PLANTED = ["request good_or_first", "request first_or_last"]  # a good tag takes it as long as one wrong at the end


def timed(tier, samples, *planted):
    """|t| by "who classes"."""
    if tier not in subprocess.run([PROGRAM], stdout=subprocess.PIPE, text=True, check=True).stdout.split():
        pytest.skip(f"this CPU lacks what {tier} needs")
    done = subprocess.run([PROGRAM, tier, str(samples), *planted], stdout=subprocess.PIPE, text=True, check=True)
    print(f"\n{tier}, {samples} samples{', planted' if planted else ''}:\n{done.stdout}", end="")
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in done.stdout.splitlines()}


def beyond(t_of):
    """The pairs that nobody may be able to tell apart, and can."""
    return {pair: t for pair, t in t_of.items() if t >= T_MAX and not pair.startswith("told_")}


def is_virtual():
    return " hypervisor " in pathlib.Path("/proc/cpuinfo").read_text()


@pytest.mark.parametrize("tier", TIERS)
def test_K10_equal_classes_do_not_differ_and_every_pair_is_compared(tier):
    t_of = timed(tier, SAMPLES_OF_PORTABLE if "portable" in tier else SAMPLES)
    equal = [t for pair, t in t_of.items() if pair.endswith(" same")]
    assert len(equal) >= 2 and max(equal) < T_MAX, "the tool sees what is not there"
    for who in ("request", "server_request", "server_cookie"):
        assert f"{who} first_or_last" in t_of


@pytest.mark.parametrize("tier", [tier for tier in TIERS if "portable" not in tier])
def test_K10_a_comparison_that_stops_early_is_found(tier):
    samples = SAMPLES
    while True:  # the more samples, the larger t: on a busy machine it takes some
        t_of = timed(tier, samples, "planted")
        found = [pair for pair in PLANTED if t_of[pair] >= T_MAX]
        if found == PLANTED or samples >= SAMPLES_LONG:
            break
        samples *= 4
    assert found == PLANTED
    assert t_of["request same"] < T_MAX


@long_only
@pytest.mark.parametrize("tier", TIERS)
def test_K10_no_tag_tells_by_the_time_where_it_is_wrong(tier):
    told = beyond(timed(tier, SAMPLES_LONG))
    if told and is_virtual():
        pytest.skip(f"advisory on a virtual machine: |t| is {told}, not below {T_MAX}")
    assert not told
