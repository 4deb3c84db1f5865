"""The search of bench/compare for the highest rate, on servers that are arithmetic: what it finds, and in how many loads."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

from side_by_side import search  # noqa: E402  (after the path)

SECONDS = 1


def point(rate, capacity, wrong=0, sent_share=1.0):
    sent = int(rate * SECONDS * sent_share)
    answered = min(sent, int(capacity * SECONDS))
    return search.Point(rate=rate, seconds=SECONDS, sent=sent, answered=answered, lost=sent - answered, wrong=wrong,
                        pps=answered / SECONDS, cpu_ns=answered * 2000, p50_ns=1, p99_ns=2)


class Server:
    """Answers `capacity` a second and loses the rest; `spoil` makes a point bad by its number from 0."""

    def __init__(self, capacity, spoil=lambda number: False):
        self.capacity, self.spoil, self.loads = capacity, spoil, 0

    def load(self, rate):
        self.loads += 1
        return point(rate, 0 if self.spoil(self.loads - 1) else self.capacity)


@pytest.mark.parametrize("flat_share", [0.8, 1.0, 1.2])
@pytest.mark.parametrize("capacity", [30_000, 800_000])
def test_the_highest_carried_rate_is_found_to_a_thirtieth(capacity, flat_share):
    server = Server(capacity)
    best = search.highest(server.load, capacity * flat_share, points=6)
    assert capacity * (1 - 1 / 30) <= best.rate <= capacity * (1 + search.LOSS_MAX)
    assert server.loads <= 6 * search.TRIES


def test_a_flat_out_rate_far_below_the_servers_does_not_end_the_search_there():
    server = Server(100_000)
    assert search.highest(server.load, 40_000, points=8).rate >= 90_000


def test_what_a_queue_holds_until_the_load_is_over_is_not_carried():
    with_a_queue = search.Point(rate=100_000, seconds=SECONDS, sent=100_000, answered=100_000, lost=0, wrong=0,
                                pps=97_000, cpu_ns=1, p50_ns=1, p99_ns=2)
    assert not with_a_queue.is_carried


def test_one_hiccup_at_a_rate_is_not_held_against_the_server():
    server = Server(100_000, spoil=lambda number: number in (0, 3))
    assert search.highest(server.load, 100_000, points=6).rate >= 95_000


def test_a_server_that_carries_nothing_gives_none_and_the_search_ends():
    server = Server(100_000, spoil=lambda number: True)
    assert search.highest(server.load, 100_000, points=6) is None
    assert server.loads == 6 * search.TRIES


@pytest.mark.parametrize("made, is_carried", [
    (point(100_000, 100_000), True),
    (point(100_000, 99_901), True),
    (point(100_000, 99_900), False),  # a thousandth is too many
    (point(100_000, 100_000, wrong=1), False),
    (point(100_000, 100_000, sent_share=0.97), False),  # the generator was too slow
    (point(100_000, 0, sent_share=0), False),
])
def test_carried_is_less_than_a_thousandth_lost_nothing_wrong_and_all_of_the_rate_sent(made, is_carried):
    assert made.is_carried is is_carried


def test_cpu_time_is_by_answer():
    assert point(1000, 1000).cpu_ns_per_answer == 2000
    assert point(1000, 0).cpu_ns_per_answer == 0
