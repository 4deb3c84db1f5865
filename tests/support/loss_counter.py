"""Counts what becomes of every packet while something is killed: about 100 plain and 100 NTS requests a second.

It sends at its own pace whatever comes back, so that a gap shows as lost packets, and goes on using the first and
the newest cookies of every session it was given. An answer that claims to be synchronised is compared with the
kernel's clock, which is what a lab serves. A second answer to one request is as wrong as a false one. How long the
slowest answer took is told, and judged by nobody: that is the machine's matter as much as the server's.
"""

import collections
import select
import struct
import threading
import time

import nts_client
from in_namespace import namespace
from lab import network

PACE_S = 0.005  # plain and NTS in turn
LATE_S = 3.0  # an answer may be late on a busy machine; after this it is lost, and stays so should it come yet
END_S = 20  # from the end of the sending to the thread's, LATE_S and a busy machine included
WRONG_S = 0.05  # more than our clock and the kernel's differ on a busy machine, far less than any garbage
NTP_TO_UNIX_S = 2208988800
COOKIES_KEPT = 8


class _Session:
    """Keys, the first cookies for ever, and the newest ones."""

    def __init__(self, session):
        self.session = session
        self.first = list(session.cookies)
        self.newest = collections.deque(session.cookies, maxlen=COOKIES_KEPT)
        self.turn = 0

    def cookie(self):
        self.turn += 1
        if self.turn % 2 == 0:
            return self.first[self.turn // 2 % len(self.first)]
        return self.newest[-1]


class LossCounter:
    """A context manager: polls between enter and exit in a thread of its own, which ends with all answers in."""

    def __init__(self, lab, sessions, source=None, server=(network.SERVER_IPV4, 123)):
        self.sessions = [_Session(session) for session in sessions]
        self.sent = self.good = self.naks = self.unsynchronised = self.late = 0  # late ones are lost as well
        self.lost = []  # when each was sent, time.monotonic()
        self.answered = []  # when each of the answered was sent
        self.wrong = []  # sentences
        self.longest_s = 0.0  # of all that were answered, late ones too
        self._server = server
        self._pending = {}
        self._given_up = {}  # lost, by what they asked: when each was sent
        self._sending = threading.Lock()
        self._stops = threading.Event()
        self._fault = None
        with namespace(lab.client_namespace):
            self._socket = nts_client.socket_for(server[0])
        if source:
            self._socket.bind((source, 0))  # an address of the client's end
        self._socket.setblocking(False)
        self._thread = threading.Thread(target=self._work)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stops.set()
        self._thread.join(END_S)
        is_alive = self._thread.is_alive()
        self._socket.close()
        print(f"clients: {self.losses()}")
        if self._fault:
            raise self._fault
        if is_alive:
            raise AssertionError(f"the clients' thread still ran {END_S} s after its end: {self.losses()}")

    def add(self, session):
        """One more session to poll with, from any thread."""
        self.sessions = self.sessions + [_Session(session)]

    def waits_for(self):
        """How many requests have no answer yet."""
        return len(self._pending)

    def all_answered(self):
        """The time.monotonic() of now if whatever was sent before has been answered, else None. What is lost with a
        later time was sent later."""
        with self._sending:
            return None if self._pending or self._given_up else time.monotonic()

    def losses(self):
        return (f"{self.sent} sent, {self.good} good, {len(self.lost)} lost ({self.late} came late), {self.naks} NAKs, "
                f"the slowest answer took {self.longest_s:.3f} s; {self.wrong[:3]}")

    def _work(self):
        try:
            due = time.monotonic()
            while not self._stops.is_set():
                now = time.monotonic()
                if now >= due:
                    self._send()
                    due = max(due + PACE_S, now)  # a machine that stood still is not caught up with
                self._receive(max(0.0, due - time.monotonic()))
            deadline = time.monotonic() + LATE_S
            while self._pending and time.monotonic() < deadline:
                self._receive(0.05)
            self._give_up(float("inf"))
        except BaseException as wrong:  # pylint: disable=broad-except  # told by __exit__, in the test's own thread
            self._fault = wrong

    def _send(self):
        with self._sending:
            self.sent += 1
            if self.sent % 2 == 0 or not self.sessions:
                packet, identifier, session = nts_client.plain_request(), None, None
            else:
                session = self.sessions[self.sent // 2 % len(self.sessions)]
                packet, identifier = nts_client.nts_request(session.session, session.cookie())
            now = time.monotonic()
            self._pending[packet[40:48]] = (now, packet, identifier, session)
            try:
                self._socket.sendto(packet, self._server)
            except OSError as full:  # no buffer, no neighbour: then nothing was sent, and nothing can be lost
                del self._pending[packet[40:48]]
                self.sent -= 1
                self.wrong.append(f"sendto: {full}")
        self._give_up(now)

    def _give_up(self, now):
        for key, (sent, *_) in list(self._pending.items()):
            if now - sent <= LATE_S:
                break  # in the order of sending
            self._given_up[key] = sent
            del self._pending[key]
            self.lost.append(sent)

    def _receive(self, seconds):
        if not select.select([self._socket], [], [], seconds)[0]:
            return
        try:
            answer = self._socket.recv(65535)
        except OSError:  # "unreachable" of a moment without a dataplane
            return
        asked = answer[24:32]
        if asked in self._given_up:
            self.late += 1
            self.longest_s = max(self.longest_s, time.monotonic() - self._given_up.pop(asked))
            return
        known = self._pending.pop(asked, None)
        if known is None:
            self.wrong.append(f"an answer that nobody waits for, or a second one: {answer[:48].hex()}")
            return
        sent, packet, identifier, session = known
        self.longest_s = max(self.longest_s, time.monotonic() - sent)
        try:
            self._judge(answer, sent, packet, identifier, session)
        except (AssertionError, ValueError, struct.error) as wrong:
            self.wrong.append(str(wrong))
            return
        self.answered.append(sent)

    def _judge(self, answer, sent, packet, identifier, session):
        assert answer[0] & 7 == 4, "not a server's answer"
        is_synchronised = answer[0] >> 6 != 3
        if answer[1] == 0 and answer[12:16] == b"NTSN":
            self.naks += 1
            return
        if session is None:
            assert len(answer) == len(packet)
        elif is_synchronised:
            session.newest.extend(nts_client.open_answer(session.session, answer, packet, identifier))
        if not is_synchronised:
            self.unsynchronised += 1
        else:
            seconds, fraction = struct.unpack_from("!II", answer, 40)
            stamp = seconds - NTP_TO_UNIX_S + fraction / 2**32
            now = time.time()
            late_s = time.monotonic() - sent
            assert -late_s - WRONG_S < stamp - now < WRONG_S, f"off by {stamp - now} s after {late_s} s"
        self.good += 1
