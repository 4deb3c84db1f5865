"""Golden traffic: every frame of tests/golden/families/ through the real worker, against the answers in captures/.

Each family is replayed as its capture stands there, in bursts of 32; frame by frame, so that each verdict has its frame;
and with a good request behind each frame. When an answer is meant to change: tests/golden/update shows how, and writes it.
"""

import functools
import itertools
import re

import pytest

import answer_check
import golden
from capture import read_capture
from world import Row, probe

IDS = [f"A{number:02}" for number in range(1, 30)] + ["A31", "A34"] + [f"B{number:02}" for number in range(1, 10)] + [
    f"C{number:02}" for number in (*range(1, 20), 21, 24)] + ["P07", "P25", "P40"]
each_family = pytest.mark.parametrize("family", golden.FAMILIES)


@functools.cache
def rows(family):
    return golden.rows_of(family)


@functools.cache
def captured(family, end):
    return read_capture(golden.CAPTURES / f"{family}.{end}.pcap")


@functools.cache
def one_by_one(family):
    return golden.replay([row.octets for row in rows(family)], burst=1)


@functools.cache
def in_bursts(family):
    return golden.replay(golden.CAPTURES / f"{family}.in.pcap")


@functools.cache
def outcomes(family):
    """[(row, verdict, answer, expected answer)] of a family."""
    verdicts = one_by_one(family).verdicts
    assert len(verdicts) == len(rows(family))
    got = golden.answers_by_row(rows(family), in_bursts(family).answers, verdicts)
    expected = golden.answers_by_row(rows(family), captured(family, "out"))
    return list(zip(rows(family), verdicts, got, expected))


def complaints(told):
    """What is wrong with each outcome, for people."""
    for row, verdict, got, expected in told:
        if verdict != row.verdict:
            yield f"{row.name}: counted as {verdict}, expected {row.verdict}; asked {golden.short(row.octets)}"
        elif got != expected:
            yield golden.difference(row.name, row.octets, expected, got)


@each_family
def test_the_capture_is_what_the_family_says(family):
    assert captured(family, "in") == [row.octets for row in rows(family)], "tests/golden/update shows what differs"
    names = [row.name for row in rows(family)]
    assert len(set(names)) == len(names)
    listing = golden.listing(rows(family), golden.answers_by_row(rows(family), captured(family, "out")))
    assert (golden.CAPTURES / f"{family}.txt").read_text(encoding="utf-8") == listing


@pytest.mark.parametrize("number", IDS)
def test_every_frame_of_row(number):
    """A row of TESTS.md: each of its frames is counted under its name and answered octet for octet as it was."""
    told = [outcome for family in golden.FAMILIES for outcome in outcomes(family)
            if number in re.findall(r"\b[ABCP]\d\d\b", outcome[0].name)]
    assert told, f"no family has a frame for {number}"
    wrong = list(complaints(told))
    assert not wrong, "\n".join(wrong)


@each_family
def test_the_capture_through_net_pcap_gives_the_golden_answers(family):
    """J15, I4, I1 too: the counters are the rows', every buffer comes back, nothing grows."""
    wrong = list(complaints(outcomes(family)))
    assert not wrong, "\n".join(wrong)
    assert in_bursts(family).answers == captured(family, "out")
    check_conservation(in_bursts(family), rows(family))


@each_family
@pytest.mark.parametrize("burst", (1, 5))
def test_in_other_bursts_the_same_is_answered_at_another_time(family, burst):
    replayed = golden.replay(golden.CAPTURES / f"{family}.in.pcap", burst)
    check_conservation(replayed, rows(family))
    for row, one, other in zip([row for row in rows(family) if row.is_answered], replayed.answers, captured(family, "out")):
        if row.verdict != "answer_nts":  # there, the seal covers the time
            assert golden.timeless(one) == golden.timeless(other), row.name
        assert len(one) == len(other), row.name


def check_conservation(replayed, asked):
    counters = replayed.counters
    assert golden.verdict_counters(replayed) == golden.expected_counters(asked)
    assert counters["received_packets"] == counters["verdicts"] == len(asked), "J15"
    assert counters["received_octets"] == sum(len(row.octets) for row in asked)
    assert counters.get("sent_packets", 0) == len(replayed.answers) == sum(row.is_answered for row in asked), "I1"
    assert counters.get("sent_octets", 0) == sum(map(len, replayed.answers)) <= counters["received_octets"], "I1, J01"
    assert replayed.buffers[0] == replayed.buffers[1], "I4: a buffer leaked"


@each_family
def test_I1_I7_every_answer_is_one_that_the_RFCs_allow(family):
    fresh = []
    for row, _, got, _ in outcomes(family):
        if row.is_answered:
            try:
                fresh += answer_check.check(row, got)
            except Exception as wrong:
                raise AssertionError(f"{row.name}: {wrong}\n{golden.difference(row.name, row.octets, None, got)}") from wrong
    assert len(set(fresh)) == len(fresh), "a cookie was given twice"
    assert len(fresh) == in_bursts(family).counters.get("cookies_issued", 0)


@functools.cache
def probe_answer():
    answers = golden.replay([probe()]).answers
    assert len(answers) == 1
    return golden.timeless(answers[0])


@each_family
def test_I6_a_good_request_behind_each_frame_is_answered(family):
    good = Row("the good one", probe(), "answer_plain")
    asked = list(itertools.chain.from_iterable((row, good) for row in rows(family)))
    replayed = golden.replay([row.octets for row in asked])
    answers = golden.answers_by_row(asked, replayed.answers)
    unanswered = [row.name for row, answer in zip(rows(family), answers[1::2]) if golden.timeless(answer) != probe_answer()]
    assert not unanswered
    check_conservation(replayed, asked)


def test_A34_one_good_request_among_thirty_one_bad_ones_is_answered_in_every_position():
    bad = [row for family in golden.FAMILIES for row in rows(family) if not row.is_answered and family != "mixed"]
    good = Row("the good one", probe(), "answer_plain")
    bursts = max(golden.BURST, -(-len(bad) // (golden.BURST - 1)))
    beside = itertools.cycle(bad)
    asked = []
    for number in range(bursts):
        burst = list(itertools.islice(beside, golden.BURST - 1))
        burst.insert(number % golden.BURST, good)
        asked += burst
    replayed = golden.replay([row.octets for row in asked])
    assert list(map(golden.timeless, replayed.answers)) == [probe_answer()] * bursts
    check_conservation(replayed, asked)


def test_the_difference_of_two_answers_can_be_read():
    old, new = captured("ntp", "out")[0], captured("ntp", "out")[0][:-1] + b"\x99"
    words = golden.difference("B03 version 3", b"asked", old, new)
    assert "first differs at octet 89" in words and "B03 version 3" in words and "- " in words and "+ " in words
    assert golden.difference("same", b"", old, old) == ""
