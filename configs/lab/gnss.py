"""Quickstart's --gps: Noonmark fed by a simulated receiver, from the first pulse to holdover and back.

The receiver's truth is this machine's own clock (receiver.py), so nothing served here is more right than that; what
is real is the way from pulses and messages to what clients are told.
"""

import select
import sys
import termios
import time
import tty

from lab import processes, receiver
from lab.commands import LabError
from lab.lab import KEEPER_UID, ROOT

CLOCK_UID = KEEPER_UID + 2  # control/roles.h
LOCK_SECONDS_MAX = 120
HOLDOVER_SECONDS = 10
LOOK_SECONDS = 0.5

_MEANING = {
    "unsync": "no second has a number yet: clients are told to ignore us (leap 3)",
    "warmup": "pulses have numbers; the oscillator is being learned (leap 3)",
    "locked": "pulses and oscillator agree: stratum 1",
    "holdover": "the receiver is not to be believed: the oscillator carries on, and the error grows",
    "alarm": "nobody knows how far off we are: leap 3",
}


def overlay(lab):
    """The configuration that takes the simulated receiver for the source of time."""
    return (f'[clock]\nsource = "gnss"\n[gnss]\nreceiver = "{lab.state / "line"}"\n'
            f'pulse = "sock:{pulse_socket(lab)}"\n')


def pulse_socket(lab):
    return lab.pages / "clock" / "pulse"


def start_receiver(lab):
    """The receiver as a process of the lab; it ends with the lab."""
    output = lab.state / "receiver.log"
    argv = ["env", f"PYTHONPATH={ROOT / 'configs'}", sys.executable, "-m", "lab.receiver", str(lab.state),
            str(pulse_socket(lab)), "--uid", str(CLOCK_UID)]
    processes.start(argv, lab.record, log=output)
    deadline = time.monotonic() + 10
    while not (lab.state / "line").exists():
        if time.monotonic() > deadline:
            raise LabError(f"the simulated receiver did not start: {output.read_text(errors='replace')}")
        time.sleep(0.02)


def unplug(lab):
    (lab.state / receiver.UNPLUGGED).touch()


def plug_in(lab):
    (lab.state / receiver.UNPLUGGED).unlink(missing_ok=True)


def bound_us(clock):
    """How far off the served time may be: root dispersion and half the root delay."""
    return clock["root_dispersion_us"] + clock["root_delay_us"] / 2


class Watch:
    """Prints the clock's state whenever it changes, and now and then how good it is."""

    def __init__(self, lab, every_s=5.0):
        self.lab = lab
        self.every_s = every_s
        self.began = time.monotonic()
        self.state = None
        self.shown = 0.0

    def look(self):
        """One look; returns what `noonmark status` says of the clock."""
        clock = self.lab.ask("status")["clock"]
        now = time.monotonic()
        if clock["state"] != self.state:
            meaning = _MEANING.get(clock["state"], "")
            print(f"  {now - self.began:5.0f} s  {clock['state'].upper():9} {meaning}", flush=True)
        elif now - self.shown >= self.every_s and clock["synchronised"]:
            print(f"  {now - self.began:5.0f} s            good to {bound_us(clock):.1f} us", flush=True)
        if clock["state"] != self.state or now - self.shown >= self.every_s:
            self.shown = now
        self.state = clock["state"]
        return clock

    def until(self, states, seconds):
        """Looks until the state is one of these; its clock."""
        deadline = time.monotonic() + seconds
        while True:
            clock = self.look()
            if clock["state"] in states:
                return clock
            if time.monotonic() > deadline:
                raise LabError(f"the clock is still {clock['state']} after {seconds} s")
            time.sleep(LOOK_SECONDS)

    def stay(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.look()
            time.sleep(LOOK_SECONDS)


def lock(lab):
    """Watches the clock until it has locked."""
    print("\nThe simulated receiver is on. Five pulses get their numbers, thirty more teach the oscillator:",
          flush=True)
    watch = Watch(lab)
    watch.until(("locked",), LOCK_SECONDS_MAX)
    return watch


def unplug_for_a_while(lab, watch):
    """Shows holdover, and the way back."""
    print("\nThe antenna is unplugged:", flush=True)
    unplug(lab)
    watch.until(("holdover",), 20)
    watch.every_s = 2.0
    watch.stay(HOLDOVER_SECONDS)
    print("\nAnd plugged in again:", flush=True)
    plug_in(lab)
    watch.until(("locked",), 30)


class Keys:
    """Single keys of the terminal, if there is one; put back as it was when it goes."""

    def __enter__(self):
        self.before = termios.tcgetattr(sys.stdin) if sys.stdin.isatty() else None
        if self.before:
            tty.setcbreak(sys.stdin)
        return self

    def __exit__(self, *_):
        if self.before:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self.before)

    def pressed(self, seconds):
        """The key that was pressed within so long, or None."""
        if not self.before:
            time.sleep(seconds)
            return None
        ready, _, _ = select.select([sys.stdin], [], [], seconds)
        return sys.stdin.read(1) if ready else None


def serve(lab, watch, is_over):
    """Shows the clock until `is_over`; the key u unplugs the antenna and plugs it in again."""
    print("\nPress u to unplug the antenna, and again to plug it in (or make and remove the file\n"
          f"{lab.state / receiver.UNPLUGGED}).", flush=True)
    watch.every_s = 10.0
    with Keys() as keys:
        while not is_over():
            watch.look()
            if keys.pressed(LOOK_SECONDS) == "u":
                is_plugged = not (lab.state / receiver.UNPLUGGED).exists()
                (unplug if is_plugged else plug_in)(lab)
                print("           the antenna is " + ("unplugged" if is_plugged else "plugged in"), flush=True)
