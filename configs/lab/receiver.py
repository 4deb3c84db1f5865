"""A simulated GNSS receiver: NMEA on a pseudo-terminal, pulses through chrony's SOCK protocol.

Its true time is this machine's own CLOCK_REALTIME, which is read and never set. Run as a program it lives until
it is stopped; while the file `unplugged` exists in its directory, the antenna is off: no pulses, no fix.
"""

import argparse
import os
import random
import socket
import struct
import sys
import time
import tty
from pathlib import Path

SOCK_MAGIC = 0x534F434B
MESSAGE_DELAY_S = 0.08
SIGMA_S = 30e-9
NS = 1_000_000_000
UNPLUGGED = "unplugged"  # while this file is in the receiver's directory


def sentence(body):
    check = 0
    for octet in body.encode("ascii"):
        check ^= octet
    return f"${body}*{check:02X}\r\n".encode("ascii")


HOME = "5128.6740,N,00000.0090,W"  # the Greenwich observatory


def rmc(utc_s, has_fix=True, place=HOME):
    """GPRMC of a whole second."""
    now = time.gmtime(utc_s)
    return sentence(f"GPRMC,{now.tm_hour:02}{now.tm_min:02}{now.tm_sec:02}.00,{'A' if has_fix else 'V'},"
                    f"{place},0.0,0.0,{now.tm_mday:02}{now.tm_mon:02}{now.tm_year % 100:02},,,A")


def sock_sample(clock_ns, offset_s, is_pulse=True, leap=0):
    """chrony's refclock_sock.c: struct timeval, double, four ints, native order."""
    return struct.pack("@qqdiiii", clock_ns // NS, clock_ns % NS // 1000, offset_s, int(is_pulse), leap, 0, SOCK_MAGIC)


class Receiver:
    """Makes `directory`/line, a link to the terminal; pulses go to the socket `pulse`, when it is there."""

    def __init__(self, directory, pulse, uid=None, seed=1):
        self.directory = Path(directory)
        self.pulse = str(pulse)
        self.random = random.Random(seed)
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.slave = slave  # kept open, or the line would hang up whenever its reader goes
        name = os.ttyname(slave)
        if uid is not None:
            os.chown(name, uid, uid)
        os.set_blocking(self.master, False)
        self.line = self.directory / "line"
        self.line.unlink(missing_ok=True)
        self.line.symlink_to(name)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.offset_s = 0.0  # of the pulse: + is late
        self.message_off_s = 0  # of the second that the message names
        self.place = HOME

    @property
    def is_unplugged(self):
        return (self.directory / UNPLUGGED).exists()

    def send_pulse(self):
        """A pulse, with what the receiver is off by."""
        late_s = self.offset_s + self.random.gauss(0.0, SIGMA_S)
        now_ns = time.time_ns() // 1000 * 1000  # the protocol has microseconds
        try:
            # The clock is the truth, so a receiver that is late is behind it by just that.
            self.socket.sendto(sock_sample(now_ns, -late_s), self.pulse)
        except OSError:
            pass  # nobody listens yet, or not fast enough

    def send_line(self, octets):
        try:
            os.write(self.master, octets)
        except BlockingIOError:
            pass  # nobody reads; a real line would lose it as well

    def second(self):
        """Waits for the next whole second, and lives through it."""
        second = time.time_ns() // NS + 1
        time.sleep(max(0.0, (second * NS - time.time_ns()) / NS))
        is_unplugged = self.is_unplugged
        if not is_unplugged:
            self.send_pulse()
        time.sleep(MESSAGE_DELAY_S)
        self.send_line(rmc(second + self.message_off_s, not is_unplugged, self.place))

    def close(self):
        self.line.unlink(missing_ok=True)
        os.close(self.master)
        os.close(self.slave)
        self.socket.close()


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory")
    parser.add_argument("pulse")
    parser.add_argument("--uid", type=int)
    options = parser.parse_args(arguments)
    receiver = Receiver(options.directory, options.pulse, options.uid)
    print("ready", flush=True)
    try:
        while True:
            receiver.second()
    finally:
        receiver.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
