"""Requests of real clients, recorded on a veth (../record): chronyd 4.3, ntpd and ntpdig of NTPsec 1.2.2.

Octet for octet as they came, but for the server's MAC. Their cookies open: replay gets the recorded lab's key.
"""

from pathlib import Path

from capture import read_capture
from world import SERVER_MAC, Row

FOLDER = Path(__file__).resolve().parent.parent / "recorded"
MAC = bytes.fromhex(SERVER_MAC.replace(":", ""))


def rows():
    for file in sorted(FOLDER.glob("*.pcap")):
        verdict = "answer_nts" if "-nts-" in file.name else "answer_plain"
        for number, octets in enumerate(read_capture(file)):
            yield Row(f"P07 P40 {file.stem}, request {number}", MAC + octets[6:], verdict)
