"""gpsd for tests: Debian's, on a receiver's line or played by gpsfake, and one of our own that says what we want.

All of them listen on the loopback of a lab's server namespace and nowhere else. Debian's has no pulses there, for
a pseudo-terminal has no pin to carry them; ours has.
"""

import contextlib
import json
import os
import random
import socket
import sys
import threading
import time
from pathlib import Path

from in_namespace import namespace
from lab import network, peers, processes
from lab.receiver import HOME, rmc, sentence

NS = 1_000_000_000
PORT = 2947
ADDRESS = f"127.0.0.1:{PORT}"


def start_gpsd(lab, line):
    """Debian's gpsd on the receiver at `line`; give its process to stop()."""
    # Not -n would wait for a client before it opens the line; as root it would become somebody whom the line is not.
    argv = [peers.program("gpsd", "usr/sbin/gpsd"), "-N", "-n", "-S", PORT, os.path.realpath(line)]
    return processes.start(network.inside(lab.server_namespace, *argv), lab.record, log=lab.state / "gpsd.log")


def start_gpsfake(lab, log):
    """Debian's gpsfake, which starts its gpsd and plays `log` to it, a sentence each quarter of a second."""
    tree = peers.tree("gpsd")
    argv = ["env", f"PYTHONPATH={tree / 'usr/lib/python3/dist-packages'}", f"GPSD_HOME={tree / 'usr/sbin'}",
            f"LD_LIBRARY_PATH={tree / 'usr/lib/x86_64-linux-gnu'}", "/usr/bin/python3", "-B",
            tree / "usr/bin/gpsfake", "-q", "-1", "-c", "0.25", "-P", PORT, log]
    return processes.start(network.inside(lab.server_namespace, *argv), lab.record, log=lab.state / "gpsfake.log")


def stop(process):
    """Stops one of these and what it has started."""
    family = [(process.pid, processes.start_time(process.pid)), *processes.children(process.pid)]
    processes.stop_pairs([pair for pair in family if pair[1] is not None])
    with contextlib.suppress(Exception):
        process.wait(5)


def nmea_log(first_utc_s, seconds):
    """What a receiver with three satellites in its fix says from then on."""
    said = b""
    for utc_s in range(first_utc_s, first_utc_s + seconds):
        clock = time.strftime("%H%M%S.00", time.gmtime(utc_s))
        said += rmc(utc_s) + sentence(f"GPGGA,{clock},{HOME},1,03,1.2,46.0,M,47.0,M,,")
        said += sentence("GPGSA,A,3,05,13,24,,,,,,,,,,2.1,1.2,1.7")
        said += sentence("GPGSV,1,1,04,05,60,100,40,13,40,200,38,24,30,300,35,29,10,050,20")
    return said


class PlayedGpsd(threading.Thread):
    """A gpsd with a receiver and its pulses, whose truth is this machine's clock; the test may interfere."""

    def __init__(self, lab, seed=1):
        super().__init__(daemon=True)
        self.random = random.Random(seed)
        with namespace(lab.server_namespace):
            self.listener = socket.create_server(("127.0.0.1", PORT))
        self.listener.setblocking(False)
        self.clients = []
        self.watches = []  # what clients asked for
        self.is_over = False
        self.interfere_no_more()

    def interfere_no_more(self):
        self.mode = 3
        self.message_off_s = 0  # of the second that messages name
        self.pulse_late_s = 0.0
        self.pulses_a_second = 1
        self.precision = -20

    def say(self, members):
        self.say_octets(json.dumps(members, separators=(",", ":")).encode("ascii") + b"\r\n")

    def say_octets(self, octets):
        for client in list(self.clients):
            try:
                client.sendall(octets)
            except OSError:
                self.clients.remove(client)
                client.close()

    def accept(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                client, _ = self.listener.accept()
                client.settimeout(2)
                client.sendall(b'{"class":"VERSION","release":"3.22","rev":"3.22","proto_major":3,"proto_minor":14}\r\n')
                self.watches.append(client.recv(200))
                client.sendall(b'{"class":"DEVICES","devices":[{"class":"DEVICE","path":"/dev/ttyS9"}]}\r\n')
                client.setblocking(False)
                self.clients.append(client)

    def pulse(self, second, at_s):
        clock_ns = int((second + at_s + self.pulse_late_s) * 1000) * 1_000_000 + int(self.random.gauss(0, 300))
        self.say({"class": "PPS", "device": "/dev/pps9", "real_sec": second, "real_nsec": 0,
                  "clock_sec": clock_ns // NS, "clock_nsec": clock_ns % NS, "precision": self.precision})

    def second(self):
        second = time.time_ns() // NS + 1
        for number in range(self.pulses_a_second):
            at_s = number / self.pulses_a_second
            wake_ns = second * NS + int((at_s + max(0.0, self.pulse_late_s)) * NS)
            time.sleep(max(0.0, (wake_ns - time.time_ns()) / NS))
            if number == 0:
                self.accept()
            if self.mode > 1:
                self.pulse(second, at_s)
        time.sleep(0.06)
        now_ns = time.time_ns()
        named = second + self.message_off_s
        if self.mode > 1:
            self.say({"class": "TOFF", "device": "/dev/ttyS9", "real_sec": named, "real_nsec": 0,
                      "clock_sec": now_ns // NS, "clock_nsec": now_ns % NS})
        fix = {"class": "TPV", "device": "/dev/ttyS9", "mode": self.mode}
        if self.mode > 1:
            fix |= {"time": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(named)), "leapseconds": 18,
                    "lat": 51.4779, "lon": -0.00015, "eph": 5.0}
        self.say(fix)
        self.say({"class": "SKY", "device": "/dev/ttyS9",
                  "satellites": [{"PRN": prn, "used": self.mode > 1} for prn in range(1, 8)]})

    def run(self):
        while not self.is_over:
            self.second()

    def stop(self):
        self.is_over = True
        self.join(5)
        self.listener.close()
        for client in self.clients:
            client.close()
