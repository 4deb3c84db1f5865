"""A flood of whole frames from the client's end of a lab's wire, and what comes back meanwhile.

The sender is a process of its own (this file, run), so that it takes no time from the clients that are to be served
beside it. It ends by itself after a number of frames and of seconds, and with the test that started it.
"""

import concurrent.futures
import ctypes
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from in_namespace import namespace
from lab import network
from polling import comes_true

FRAMES_MAX, SECONDS_MAX = 20_000_000, 120
BURST = 256  # frames between two looks at the clock
SOL_PACKET, PACKET_QDISC_BYPASS, PACKET_STATISTICS = 263, 20, 6  # linux/if_packet.h
SO_ATTACH_FILTER, SO_RCVBUFFORCE = 26, 33
SKF_AD_PKTTYPE, PACKET_OUTGOING = 0xFFFFF004, 4  # linux/filter.h
ANSWERS_BYTES = 64 << 20
LISTEN_S = 0.2  # of silence, after which the ear looks whether it is over


class Flood:
    """A context manager; `sent` is there afterwards."""

    def __init__(self, lab, frames):
        self.lab = lab
        self.sent = 0
        self.file, self.log = lab.state / "flood.frames", lab.state / "flood.log"
        with open(self.file, "wb") as file:
            for frame in frames:
                file.write(struct.pack("=H", len(frame)) + frame)

    def __enter__(self):
        self.log.unlink(missing_ok=True)
        self.before = self.on_the_wire()
        self.process = self.lab.start_inside_client("/usr/bin/python3", "-B", __file__, network.CLIENT_DEVICE,
                                                    self.file, log=self.log,
                                                    env={**os.environ, "PYTHONPATH": ":".join(sys.path)})
        return self

    def on_the_wire(self):
        """How many frames have left the client's device, the flood's and all others."""
        told = self.lab.run_in_client("cat", f"/sys/class/net/{network.CLIENT_DEVICE}/statistics/tx_packets")
        return int(told.stdout)

    def has_sent(self, frames):
        """True once about so many have gone out."""
        return comes_true(lambda: self.on_the_wire() - self.before >= frames)

    def lasts(self):
        return self.process.poll() is None

    def __exit__(self, *_):
        if self.lasts():
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        told = re.search(r"^sent=(\d+)$", self.log.read_text(), re.MULTILINE)
        assert told, self.log.read_text()
        self.sent = int(told.group(1))


class Answers:
    """A context manager: every frame that comes in at the client's device, in `frames` afterwards; `dropped` is how many
    our own ear missed. It listens all the while, in a thread of its own."""

    def __init__(self, lab):
        with namespace(lab.client_namespace):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ANSWERS_BYTES)
        # ld #pkttype; jeq #PACKET_OUTGOING, drop, keep
        program = struct.pack("=" + "HBBI" * 4, 0x20, 0, 0, SKF_AD_PKTTYPE, 0x15, 0, 1, PACKET_OUTGOING, 6, 0, 0, 0,
                              6, 0, 0, 0xFFFFFFFF)
        place = ctypes.create_string_buffer(program)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 4, ctypes.addressof(place)))
        self.socket.settimeout(LISTEN_S)
        self.frames, self.dropped = [], None
        self.is_over = threading.Event()
        self.listening = concurrent.futures.ThreadPoolExecutor(1)

    def __enter__(self):
        self.socket.bind((network.CLIENT_DEVICE, 0x0003))
        self.result = self.listening.submit(self._listen)
        return self

    def _listen(self):
        while True:
            try:
                self.frames.append(self.socket.recv(2048))
            except TimeoutError:
                if self.is_over.is_set():
                    return

    def __exit__(self, *_):
        self.is_over.set()
        self.listening.shutdown()
        self.result.result()
        _, self.dropped = struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        self.socket.close()


def main(device, file):
    with open(file, "rb") as octets:
        content = octets.read()
    frames, at = [], 0
    while at < len(content):
        length = struct.unpack_from("=H", content, at)[0]
        frames.append(content[at + 2:at + 2 + length])
        at += 2 + length
    stops = []
    signal.signal(signal.SIGTERM, lambda *_: stops.append(True))
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    out.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
    out.bind((device, 0))
    sent = tried = 0
    end = time.monotonic() + SECONDS_MAX
    while not stops and sent < FRAMES_MAX and time.monotonic() < end:
        for _ in range(BURST):
            try:
                out.send(frames[tried % len(frames)])
                sent += 1
            except OSError:  # no room: the other end is slower
                pass
            tried += 1
    print(f"sent={sent}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
