"""What does the dataplane serve when the clock page is stale, torn or absurd? (TESTS.md G15) The right time or leap 3.

The clock role is dead and stays so; the test writes the page in its place, as a broken or hostile one might.
"""

import mmap
import random
import struct
import time

import pytest

import failpoints as fp
from failpoints import wait_until
from lab_server import running
from loss_counter import LossCounter

PATIENCE_S = 10
GENERATION, STATE = 24, 32  # dataplane/shm/README.md
# Offsets in the state, in octets.
TSC0, MULT, TSC_HZ, VALID_UNTIL, ROOT_DELAY, DISPERSION = 0, 16, 24, 32, 48, 56
STATE_NUMBER, SOURCE, LEAP, STRATUM, PRECISION, SOURCE_NAME = 80, 84, 88, 92, 100, 112
# What nobody can see to be wrong from the state alone: another time, another rate within the tenth that is a TSC's.
BELIEVED = range(0, TSC_HZ + 8)
RANDOM_PAGES = 200

NUMBER = {8: "=Q", 4: "=I"}
ABSURD = {
    "no rate": (MULT, 8, 0), "a rate of ten": (MULT, 8, lambda rate: 10 * rate % 2**64), "a rate of -1": (MULT, 8, 2**64 - 1),
    "no TSC": (TSC_HZ, 8, 0), "a TSC of -1": (TSC_HZ, 8, 2**64 - 1), "leap 4": (LEAP, 4, 4), "leap -1": (LEAP, 4, 2**32 - 1),
    "stratum 0": (STRATUM, 4, 0), "stratum 16": (STRATUM, 4, 16), "stratum 266": (STRATUM, 4, 266),
    "a negative root delay": (ROOT_DELAY, 8, 2**63), "a negative dispersion": (DISPERSION, 8, 2**64 - 1),
    "state 7": (STATE_NUMBER, 4, 7), "source 77": (SOURCE, 4, 77), "precision 100": (PRECISION, 4, 100),
    "precision -100": (PRECISION, 4, 2**32 - 100), "a name without end": (SOURCE_NAME + 24, 8, 0x4141414141414141),
}


class Page:
    """The clock page, written by hand."""

    def __init__(self, path):
        with open(path, "r+b") as file:
            self.octets = mmap.mmap(file.fileno(), 0)
        self.good = bytes(self.octets[STATE:])

    def torn(self):
        """From now on a write is in progress."""
        generation = struct.unpack_from("=Q", self.octets, GENERATION)[0]
        struct.pack_into("=Q", self.octets, GENERATION, generation | 1)

    def publish(self, state):
        self.torn()
        self.octets[STATE:] = state
        generation = struct.unpack_from("=Q", self.octets, GENERATION)[0]
        struct.pack_into("=Q", self.octets, GENERATION, generation + 1)

    def changed(self, offset, octets, value):
        state = bytearray(self.good)
        if callable(value):
            value = value(struct.unpack_from(NUMBER[octets], state, offset)[0])
        struct.pack_into(NUMBER[octets], state, offset, value)
        return bytes(state)


@pytest.fixture(scope="module", name="lab")
def fixture_lab():
    with running("clock-page") as lab:
        yield lab


@pytest.fixture(name="page")
def fixture_page(lab):
    """A page without a writer, its last state good; afterwards the clock role is back and the lab synchronised."""
    with fp.held_launcher(lab):
        fp.kill(lab, "clock")
        assert wait_until(lambda: not fp.pids(lab)["clock"], PATIENCE_S)
        page = Page(lab.pages / "clock" / "clock")
        yield page
    with LossCounter(lab, []) as load:
        assert wait_until(lambda: load.good > load.unsynchronised + 5, PATIENCE_S), "the next writer heals the page"


def answers(load, count=6):
    """Waits for some answers to requests that were sent after now; returns how many of them were unsynchronised."""
    good, unsynchronised = load.good, load.unsynchronised
    assert wait_until(lambda: load.good >= good + count, PATIENCE_S, 0.005), load.losses()
    return load.unsynchronised - unsynchronised


def finish(load):
    assert (load.lost, load.naks, load.wrong) == ([], 0, []), load.losses()


def test_G15_a_stale_page_is_leap_3(lab, page):
    with LossCounter(lab, []) as load:
        assert answers(load) == 0
        page.publish(page.changed(VALID_UNTIL, 8, lambda _: struct.unpack_from("=Q", page.good, TSC0)[0]))
        time.sleep(0.05)
        assert answers(load, 6) >= 6
        page.publish(page.good)
        time.sleep(0.05)
        assert answers(load) == 0
    finish(load)


def test_G15_a_page_from_before_the_tsc_was_put_back_is_leap_3(lab, page):
    """As after a snapshot of the machine: the reference pair lies in the future."""
    hz = struct.unpack_from("=Q", page.good, TSC_HZ)[0]
    state = bytearray(page.good)
    for offset in (TSC0, VALID_UNTIL):
        struct.pack_into("=Q", state, offset, struct.unpack_from("=Q", state, offset)[0] + 1000 * hz)
    with LossCounter(lab, []) as load:
        page.publish(bytes(state))
        time.sleep(0.05)
        assert answers(load) >= 6
    finish(load)


def test_G15_a_torn_page_leaves_what_was_served_and_its_garbage_is_never_seen(lab, page):
    dice = random.Random(15)
    with LossCounter(lab, []) as load:
        page.torn()
        for _ in range(5):
            page.octets[STATE:] = dice.randbytes(len(page.good))
            assert answers(load, 4) == 0
        page.publish(page.good)
        assert answers(load) == 0
    finish(load)


def test_G15_no_field_out_of_range_is_served(lab, page):
    """One at a time. Each is refused whole, and the state before it goes on."""
    with LossCounter(lab, []) as load:
        for name, (offset, octets, value) in ABSURD.items():
            page.publish(page.changed(offset, octets, value))
            assert answers(load, 3) == 0, name
            assert not load.wrong, (name, load.losses())
    finish(load)


def test_G15_random_pages_are_the_right_time_or_leap_3(lab, page):
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    dice = random.Random(seed)
    with LossCounter(lab, []) as load:
        for _ in range(RANDOM_PAGES):
            state = bytearray(page.good)
            for _ in range(dice.randrange(1, 5)):
                at = dice.choice([at for at in range(len(state)) if at not in BELIEVED])
                state[at] = dice.randrange(256)
            page.publish(bytes(state))
            answers(load, 2)
        for octets in (bytes(len(page.good)), b"\xff" * len(page.good)):
            page.publish(octets)
            answers(load, 2)
    finish(load)
