"""The highest rate that a server carries, found with a bounded number of loads. Pure: the load is a function."""

from dataclasses import dataclass

LOSS_MAX = 0.001  # of the requests
SENT_MIN = 0.98  # of those that the rate asked for; below, it was the generator that did not carry it
TRIES = 2  # a rate is refused when it fails this often: one hiccup of a shared machine is not the server's
FIRST_SHARE = 0.85  # of the flat-out rate
STEP_UP = 1.3  # while nothing was refused


@dataclass(frozen=True)
class Point:
    """One load. `cpu_ns`: CPU time of the server in it, all threads."""
    rate: float  # asked for, requests per second; 0: flat out
    seconds: float
    sent: int
    answered: int
    lost: int
    wrong: int
    pps: float
    cpu_ns: int
    p50_ns: int
    p99_ns: int

    @property
    def is_carried(self):
        """Nothing wrong, next to nothing lost, all of the rate sent, and answered while it was being sent: what a
        queue holds until the load is over was not carried."""
        return (self.answered > 0 and self.wrong == 0 and self.lost < LOSS_MAX * self.sent
                and self.sent >= SENT_MIN * self.rate * self.seconds and self.pps >= SENT_MIN * self.rate)

    @property
    def cpu_ns_per_answer(self):
        return self.cpu_ns / max(1, self.answered)


def highest(load, flat_pps, points):
    """The point of the highest rate that was carried, or None; `load(rate)` makes a Point.

    `flat_pps` is what the server answers when the generator waits for it. The search goes up until a rate is refused,
    then halves the way between what was carried and what was not: `points` rates in all.
    """
    carried, refused, best = 0.0, None, None
    rate = FIRST_SHARE * flat_pps
    for _ in range(points):
        for _ in range(TRIES):
            point = load(rate)
            if point.is_carried:
                break
        if point.is_carried:
            carried, best = rate, point
        else:
            refused = rate
        rate = carried * STEP_UP if refused is None else (carried + refused) / 2
    return best
