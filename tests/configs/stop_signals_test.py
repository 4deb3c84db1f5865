"""An interrupt ends quickstart and the benchmarks wherever it meets them, once."""

import subprocess
import sys

import pytest

BEGIN = """
import os, signal, time
from lab.quickstart import handle_stop_signals, stop_early

class Interrupted:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass

handle_stop_signals(stop_early)
"""

IN_A_DESTRUCTOR = """
try:
    Interrupted()
    time.sleep(60)
    print("not stopped")
except KeyboardInterrupt:
    print("stopped")
"""

AND_CLEANING_UP = """
try:
    try:
        Interrupted()
    finally:
        handle_stop_signals(signal.SIG_IGN)
    time.sleep(0.2)
    print("cleaned up")
except KeyboardInterrupt:
    print("cut short")
"""


@pytest.mark.parametrize("program, outcome", [(IN_A_DESTRUCTOR, "stopped"), (AND_CLEANING_UP, "cleaned up")],
                         ids=["it is raised again", "but not into the cleaning up"])
def test_an_interrupt_that_meets_a_destructor_is_not_lost(program, outcome):
    done = subprocess.run([sys.executable, "-B", "-c", BEGIN + program], capture_output=True, text=True, check=False,
                          timeout=120)
    assert done.stdout.split("\n")[0] == outcome, done.stderr
