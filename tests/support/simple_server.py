"""A plain NTP server that says what it is told to: for upstreams that lie, kiss, or stop answering.

    simple_server.py ADDRESS CONTROL_FILE

The control file is JSON, read for every request: {"offset_s": 0.5, "stratum": 2, "reference_id": "0a7b0001",
"leap": 0, "kiss": "RATE", "silent": true, "inserts_at": 1845936000}; what is not there has its usual value. Of a leap
second that is inserted before `inserts_at` its time repeats the second before. Each request is a line on stdout.
"""

import json
import socket
import struct
import sys
import time
from pathlib import Path

NTP_EPOCH = 2_208_988_800


def ntp_time(seconds):
    return int((seconds + NTP_EPOCH) * 2**32) & (2**64 - 1)


def served(now, wishes):
    """What its clock says when this machine's says `now`."""
    told = now + wishes.get("offset_s", 0.0)
    return told - 1 if told >= wishes.get("inserts_at", float("inf")) else told


def reply(request, wishes, received):
    """The 48 octets that answer `request`."""
    stratum, leap = wishes.get("stratum", 2), wishes.get("leap", 0)
    reference = bytes.fromhex(wishes.get("reference_id", "7f7f0101"))
    if kiss := wishes.get("kiss"):
        stratum, leap, reference = 0, 3, kiss.encode("ascii")
    origin = request[40:48]
    head = struct.pack("!BBbb", leap << 6 | 4 << 3 | 4, stratum, 6, -20)
    distances = struct.pack("!II", int(0.001 * 65536), int(0.002 * 65536))
    return (head + distances + reference + struct.pack("!Q", ntp_time(served(received, wishes))) + origin
            + struct.pack("!QQ", ntp_time(served(received, wishes)), ntp_time(served(time.time(), wishes))))


def main():
    address, control = sys.argv[1], Path(sys.argv[2])
    server = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 123))
    while True:
        request, client = server.recvfrom(2048)
        received = time.time()
        print(f"{time.monotonic():.3f} {client[1]}", flush=True)
        wishes = json.loads(control.read_text(encoding="utf-8"))
        if len(request) >= 48 and not wishes.get("silent"):
            server.sendto(reply(request, wishes, received), client)


if __name__ == "__main__":
    main()
