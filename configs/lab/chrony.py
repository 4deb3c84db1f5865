"""Debian's chronyd as a client, and what it thought of the server. It never touches the clock: -Q or -x."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from lab import network, peers, processes
from lab.commands import LabError, run

ONCE_SECONDS = 40
_WRONG_BY = re.compile(r"System clock wrong by (-?[0-9.]+) seconds")


@dataclass
class Sample:
    """One line of chronyd's measurements.log: what it took from one answer."""
    address: str
    leap: str
    stratum: int
    offset_s: float
    delay_s: float
    root_delay_s: float
    root_dispersion_s: float
    reference_id: str


@dataclass
class Outcome:
    """What one `chronyd -Q` came to. `samples` are those it took, in order."""
    exit_code: int
    log: str
    offset_s: float | None = None
    samples: list[Sample] = field(default_factory=list)
    aead: int | None = None
    cookies: list[int] = field(default_factory=list)  # the length of each that it kept, in octets


def configuration(directory, server, nts=True, ntp_port=123, ke_port=4460, ca=None, extra=""):
    """Writes chrony.conf with all of chronyd's files in `directory`, and returns its path."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)  # chronyd makes no command socket where others may look
    for sub in ("log", "nts"):
        (directory / sub).mkdir(exist_ok=True)
    security = f"nts ntsport {ke_port}" if nts else f"port {ntp_port}"
    lines = [f"server {server} iburst maxpoll 6 {security} {extra}",
             f"pidfile {directory}/chronyd.pid", f"bindcmdaddress {directory}/chronyd.sock", "cmdport 0",
             f"logdir {directory}/log", "log measurements"]
    if nts:
        lines += [f"ntstrustedcerts {ca}", f"ntsdumpdir {directory}/nts"]
    file = directory / "chrony.conf"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def start_once(namespace, directory, family, record, **server):
    """Starts `chronyd -Q` over one address family ("4" or "6"). finish_once() waits for it."""
    chronyd = peers.program("chrony", "usr/sbin/chronyd")
    file = configuration(directory, **server)
    return processes.start(
        network.inside(namespace, chronyd, "-Q", f"-{family}", "-u", "root", "-d", "-t", ONCE_SECONDS - 5,
                       "-f", file), record, log=Path(directory) / "chronyd.txt")


def finish_once(process, directory):
    """Waits for a chronyd of start_once() and reads what it left."""
    try:
        code = process.wait(ONCE_SECONDS)
    except Exception as slow:
        processes.stop(process)
        raise LabError(f"chronyd did not end within {ONCE_SECONDS} s") from slow
    directory = Path(directory)
    outcome = Outcome(code, (directory / "chronyd.txt").read_text(errors="replace"))
    said = _WRONG_BY.search(outcome.log)
    outcome.offset_s = float(said.group(1)) if said else None
    outcome.samples = samples(directory)
    for dump in sorted((directory / "nts").glob("*.nts")):
        outcome.aead, outcome.cookies = _kept_cookies(dump)
    return outcome


def samples(directory):
    """The measurements that chronyd logged in `directory`."""
    found = []
    try:
        lines = (Path(directory) / "log" / "measurements.log").read_text().splitlines()
    except OSError:
        return found
    for line in lines:
        words = line.split()
        if len(words) < 19 or not words[0][:1].isdigit():
            continue  # a heading
        found.append(Sample(address=words[2], leap=words[3], stratum=int(words[4]), offset_s=float(words[11]),
                            delay_s=float(words[12]), root_delay_s=float(words[14]),
                            root_dispersion_s=float(words[15]), reference_id=words[16]))
    return found


def _kept_cookies(dump):
    """AEAD number and cookie lengths from a file of chronyd's ntsdumpdir ("NNC0": name, time and address,
    context with the AEAD as its second word, then one cookie in hex a line). Its keys are not looked at."""
    lines = dump.read_text().splitlines()
    if not lines or lines[0] != "NNC0":
        return None, []
    for number, line in enumerate(lines):
        words = line.split()
        if len(words) == 4 and words[0].isdigit() and words[1].isdigit() and len(words[2]) >= 32:
            return int(words[1]), [len(cookie) // 2 for cookie in lines[number + 1:] if cookie]
    return None, []


class Daemon:
    """chronyd -x in a namespace, asked through chronyc until stopped."""

    def __init__(self, namespace, directory, record, family, **server):
        self.namespace, self.directory = namespace, Path(directory)
        chronyd = peers.program("chrony", "usr/sbin/chronyd")
        file = configuration(directory, **server)
        self.process = processes.start(
            network.inside(namespace, chronyd, "-x", f"-{family}", "-u", "root", "-d", "-f", file), record,
            log=self.directory / "chronyd.txt")

    def ask(self, *words):
        """The fields of one chronyc report in CSV, the first line of its answer."""
        chronyc = peers.program("chrony", "usr/bin/chronyc")
        done = run(*network.inside(self.namespace, chronyc, "-c", "-n", "-h", self.directory / "chronyd.sock",
                                   *words), check=False, timeout_s=10)
        return done.stdout.strip().splitlines()

    def report(self, *words):
        """A report as people read it, as {label: text}."""
        chronyc = peers.program("chrony", "usr/bin/chronyc")
        done = run(*network.inside(self.namespace, chronyc, "-n", "-h", self.directory / "chronyd.sock", *words),
                   check=False, timeout_s=10)
        pairs = (line.split(":", 1) for line in done.stdout.splitlines() if ":" in line)
        return {label.strip(): text.strip() for label, text in pairs}

    def log(self):
        return (self.directory / "chronyd.txt").read_text(errors="replace")

    def stop(self):
        processes.stop(self.process)
