"""What a lab's launcher says of its roles' deaths. The pause it tells is what a test judges a restart by: how long the
restart then takes is the machine's matter."""

import json
import re
from dataclasses import dataclass

_DEATH = re.compile(r"(\w+)(?: \d+)? \(process (\d+)\) (was killed by SIG\w+|ended with code \d+); "
                    r"starting it again(?: in (\d+) ms)?$", re.MULTILINE)
KILLED = "was killed by SIGKILL"
GAVE_UP = ("does not stop; killing it", "gives no sign of life; killing it", "has not become ready; killing it")


@dataclass(frozen=True)
class Death:
    """A role that ended and is started again."""
    role: str
    pid: int
    how: str
    pause_ms: int  # 0: at once


def longest_pause_ms(deaths_before):
    """After so many deaths in a row (control/supervised.h)."""
    return min(5000, 100 * 2 ** (deaths_before - 1)) if deaths_before else 0


class LauncherLog:
    """The log of `lab` from now on."""

    def __init__(self, lab):
        self.file = lab.log
        self.begin = self.file.stat().st_size

    def text(self):
        with open(self.file, "rb") as log:
            log.seek(self.begin)
            return log.read().decode(errors="replace")

    def deaths(self, role=None):
        found = [Death(name, int(pid), how, int(pause or 0)) for name, pid, how, pause in _DEATH.findall(self.text())]
        return [death for death in found if role in (None, death.role)]

    def ended(self):
        """How each of its roles ended, whether it is started again or not; of a launcher that was told --json."""
        events = [json.loads(line) for line in self.text().splitlines() if line.startswith('{"event":"ended"')]
        return [event["how"].partition(") ")[2] for event in events]

    def given_up(self):
        """Lines that tell of a role which the launcher had to kill."""
        return [line for line in self.text().splitlines() if line.endswith(GAVE_UP)]
