"""What golden_test.py and `update` share: the families, their replay, and what stands in captures/.

A family is a Python file that says what arrives and which counter must count it. captures/NAME.in.pcap is that as a
capture, NAME.out.pcap the answers that were looked at and found right, NAME.txt both as lines for people.
"""

import collections
import importlib
import struct
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from scapy.layers.l2 import Ether
from scapy.layers.ntp import NTPHeader

from capture import read_capture, write_capture
from world import payload_at

FAMILIES = ("ethernet", "vlan", "ipv4", "ipv6", "udp", "ntp", "nts", "mono_root", "mixed", "recorded")
FOLDER = Path(__file__).resolve().parent
CAPTURES = FOLDER / "captures"
REPLAY = FOLDER.parents[1] / "build/tests/golden/golden-replay"
BURST = 32
STOOD_STILL, TRIES = 75, 5


@dataclass
class Replayed:
    """What one replay came to."""
    answers: list  # frames, in the order they left
    counters: dict
    buffers: tuple  # free ones before and after
    verdicts: list = field(default_factory=list)  # of each frame, when they came one by one


def rows_of(family):
    return list(importlib.import_module(f"families.{family}").rows())


def cookie_key():
    return (FOLDER / "recorded/cookie_key").read_text(encoding="utf-8").strip()


def replay(frames, burst=BURST):
    """Runs `frames`, or the capture of that name, through the worker, `burst` at a time."""
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "in.pcap", Path(folder) / "out.pcap"
        if isinstance(frames, Path):
            asked = frames
        else:
            write_capture(asked, frames)
        for _ in range(TRIES):
            done = subprocess.run([REPLAY, asked, answered, str(burst), cookie_key()], capture_output=True, text=True,
                                  check=False, timeout=60)
            if done.returncode != STOOD_STILL:
                break
        if done.returncode != 0:
            raise RuntimeError(f"golden-replay ended with {done.returncode}: {done.stderr}{done.stdout[-500:]}")
        replayed = Replayed(read_capture(answered), {}, ())
    for line in done.stdout.splitlines():
        kind, *words = line.split()
        if kind == "frame":
            replayed.verdicts.append(words[1])
        elif kind == "counter":
            replayed.counters[words[0]] = int(words[1])
        elif kind == "buffers":
            replayed.buffers = (int(words[0]), int(words[1]))
    return replayed


def expected_counters(rows):
    """{counter: value} of the verdicts that the rows name."""
    return dict(collections.Counter(row.verdict for row in rows))


def verdict_counters(replayed):
    return {name: value for name, value in replayed.counters.items() if name.startswith(("answer", "nak", "drop", "frame."))}


def answers_by_row(rows, answers, verdicts=None):
    """[answer or None] of each row: the answers leave in the order of the frames that were answered."""
    left = iter(answers)
    told = verdicts or [row.verdict for row in rows]
    return [next(left, b"") if verdict.startswith(("answer", "nak")) else None for verdict in told]


def short(octets):
    """A frame for people: its length, its beginning and its end."""
    if octets is None:
        return "nothing"
    text = octets.hex()
    return f"{len(octets)} octets {text[:120] + ' .. ' + text[-24:] if len(text) > 160 else text}"


def dissected(octets):
    """The fields of a frame as scapy reads them, a line each, and what follows the NTP header."""
    if octets is None:
        return []
    at, length = payload_at(octets)
    lines = []
    for layer in (Ether(octets[:at]), NTPHeader(octets[at:at + 48])):
        while layer and layer.name not in ("Raw", "Padding"):
            lines += [f"{layer.name}.{name} = {layer.getfieldval(name)}" for name in layer.fields]
            layer = layer.payload
    return [*lines, f"behind the header: {octets[at + 48:at + length].hex()}", f"trailer: {octets[at + length:].hex()}"]


def timeless(answer):
    """An answer without its reference, receive, transmit and monotonic times, and the checksum over them."""
    at = payload_at(answer)[0]
    mono = answer.find(struct.pack("!HHI", 0xF323, 28, 0xF5BEDD9A), at + 48)
    if mono >= 0:
        answer = answer[:mono + 16] + bytes(8) + answer[mono + 24:]
    return answer[:at - 2] + answer[at:at + 16] + answer[at + 24:at + 32] + answer[at + 48:]


def is_moved(before, now):
    """True when two answers differ as those of one request do that is answered at another time, with other nonces."""
    if not before or not now or len(before) != len(now):
        return False
    at = payload_at(now)[0] + 48
    echoed = at + (struct.unpack_from("!H", now, at + 2)[0] if len(now) > at else 0)
    return timeless(before[:echoed]) == timeless(now[:echoed])


def difference(name, asked, expected, got):
    """Why a row's answer is not the expected one, for people; empty when it is."""
    if expected == got:
        return ""
    lines = [f"{name}", f"  asked    {short(asked)}", f"  expected {short(expected)}", f"  got      {short(got)}"]
    if expected and got:
        at = next((i for i, (a, b) in enumerate(zip(expected, got)) if a != b), min(len(expected), len(got)))
        lines.append(f"  first differs at octet {at}: {expected[at:at + 8].hex()} became {got[at:at + 8].hex()}")
    before, after = dissected(expected), dissected(got)
    lines += [f"    - {line}" for line in before if line not in after]
    lines += [f"    + {line}" for line in after if line not in before]
    return "\n".join(lines)


def listing(rows, answers):
    """captures/NAME.txt: what a reviewer reads of a capture."""
    lines = [f"{row.verdict:26} in {len(row.octets):5} out {len(answer or b''):5}  {row.name}"
             for row, answer in zip(rows, answers)]
    return "\n".join(lines) + "\n"
