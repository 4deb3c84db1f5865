"""NTS-KE clients that are slow, that leave, that never read; and a keeper that does not answer.

The rows E18, D11 and D17 of TESTS.md, with what hostile_tls.py watches after each case. Which deadline ended a
connection shows by the other one being far away: what the clock says of a busy machine is not asked.
"""

import contextlib
import os
import signal
import socket
import struct
import time

import pytest

from hostile_tls import (ADDRESS, ALL_S, ERROR_1, ERROR_2, FAR_S, PHASE_S, SLACK_S, counters, cpu_seconds, exchange,
                         fixture_lab, fixture_unharmed, gained, is_served, ke, wait_until)
from nts_client import MINIMAL_REQUEST
from role_processes import UIDS, status_of
from tls13 import ALERT, DATA, HANDSHAKE, Client

__all__ = ["fixture_lab", "fixture_unharmed"]


# ---- E18 ----

def stages():
    """{where a client becomes slow: (what it does before, the octets it then says one by one)}."""
    def hello(client):
        client.send_hello()
        client.read_server_hello()
        client.read_server_flight()

    def request_record(client):
        client.handshake()

    def served(client):
        client.handshake().send_data(MINIMAL_REQUEST)
        assert is_served(client.read_answer())

    return {
        "in the first record's header": (lambda client: None, lambda client: client.record(HANDSHAKE, client.hello())),
        "in the hello": (lambda client: client.send(client.record(HANDSHAKE, client.hello())[:80]),
                         lambda client: client.record(HANDSHAKE, client.hello())[80:]),
        "in Finished": (hello, lambda client: client.seal(HANDSHAKE, client.finished())),
        "in the request's record": (request_record, lambda client: client.seal(DATA, MINIMAL_REQUEST)),
        "in the request, a record an octet": (request_record, None),
        "in its close": (served, lambda client: client.seal(ALERT, b"\1\0") + bytes(64)),
    }


OCTETS_MAX = 60  # said at PACE_S they take far longer than a phase may, and a connection's own deadline is farther yet
PACE_S = 0.2


def say_slowly(client, pieces, until_reset=False):
    """(what was heard, how many pieces were said before the other end was done with us); one every PACE_S at most. With
    `until_reset` an end of what it says is not yet its end: it may go on reading."""
    heard, said, is_silent = b"", 0, False
    client.plain.settimeout(PACE_S)
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            client.plain.sendall(piece)
            said += 1
            if is_silent:
                time.sleep(PACE_S)
                continue
            with contextlib.suppress(TimeoutError):
                octets = client.plain.recv(65536)
                if not octets and not until_reset:
                    break
                heard += octets
                is_silent = not octets
    return heard, said


@pytest.mark.parametrize("lab", [(PHASE_S, FAR_S)], indirect=True, scope="module")
@pytest.mark.parametrize("stage", stages())
def test_E18_a_client_that_becomes_slow_is_dropped_within_its_phase(lab, stage):
    """Octets buy no time: it is dropped in the middle of what it says, and not at the deadline of all."""
    before, rest = stages()[stage]
    pid, counted = ke(lab)["Pid"], counters(lab)
    began = time.monotonic()
    with Client(ADDRESS) as client:
        before(client)
        cpu_before = cpu_seconds(pid)
        pieces = ([client.seal(DATA, bytes([octet])) for octet in MINIMAL_REQUEST] if rest is None else
                  [bytes([octet]) for octet in rest(client)])[:OCTETS_MAX]
        assert len(pieces) * PACE_S > 1.5 * PHASE_S and OCTETS_MAX * PACE_S < FAR_S / 2
        heard, said = say_slowly(client, pieces, until_reset=stage == "in its close")
        seconds = time.monotonic() - began
        assert said < len(pieces), "it was let finish"
        assert PHASE_S <= seconds < FAR_S, "no phase is over before its time, nor was this the deadline of all"
        assert cpu_seconds(pid) - cpu_before < 0.3, "waiting costs nothing"
        if stage.startswith("in the request"):
            kind, body = client.read_keys.open(heard[:5], heard[5:5 + struct.unpack("!H", heard[3:5])[0]])
            assert (kind, body) == (DATA, ERROR_1), "error 1 at the deadline (P05)"
    outcome = "served" if stage == "in its close" else "timeouts"
    assert wait_until(lambda: gained(lab, counted) == {"accepted": 1, outcome: 1}), gained(lab, counted)


@pytest.mark.parametrize("lab", [(FAR_S, ALL_S)], indirect=True, scope="module")
@pytest.mark.parametrize("phases", range(4))
def test_E18_the_deadline_of_all_ends_a_connection_in_whatever_phase_it_is(lab, phases):
    """However many phases were in time: none of them gives the whole any more, and none of theirs is near."""
    counted, began = counters(lab), time.monotonic()
    with Client(ADDRESS) as client:
        if phases > 0:
            client.send_hello()
            client.read_server_hello()
            client.read_server_flight()
        if phases > 1:
            client.finish()
        if phases > 2:
            client.send_data(MINIMAL_REQUEST)
            assert is_served(client.read_answer())
        if phases > 2:
            say_slowly(client, 300 * [b"x"], until_reset=True)
        client.plain.settimeout(FAR_S)
        with contextlib.suppress(ConnectionError):
            while client.plain.recv(65536):
                pass
        seconds = time.monotonic() - began
        assert ALL_S <= seconds < FAR_S, "not before its time, nor was this the deadline of a phase"
    outcome = "served" if phases == 3 else "timeouts"
    assert wait_until(lambda: gained(lab, counted) == {"accepted": 1, outcome: 1}), gained(lab, counted)


@pytest.mark.parametrize("lab", [(PHASE_S, PHASE_S * 1.5)], indirect=True, scope="module")
def test_E18_slow_in_each_phase_in_turn_is_dropped_at_the_deadline_of_all(lab):
    """Each phase in time, and octets to the end: it is still cut off, in a phase that has time left."""
    counted, began = counters(lab), time.monotonic()
    with Client(ADDRESS) as client:
        time.sleep(PHASE_S * 0.4)
        client.send_hello()
        client.read_server_hello()
        client.read_server_flight()
        time.sleep(PHASE_S * 0.4)
        client.finish()
        time.sleep(PHASE_S * 0.4)
        client.send_data(MINIMAL_REQUEST)
        assert is_served(client.read_answer())
        _, said = say_slowly(client, 200 * [b"x"], until_reset=True)
        assert said < 200 and time.monotonic() - began >= PHASE_S * 1.5
    assert wait_until(lambda: gained(lab, counted) == {"accepted": 1, "served": 1}), gained(lab, counted)


def test_T8_many_slow_clients_do_not_keep_an_honest_one_waiting(lab):
    slow = [socket.create_connection((ADDRESS, 4460), timeout=5) for _ in range(60)]
    try:
        for number, plain in enumerate(slow):
            plain.sendall(b"\x16\3\1\1\0"[:number % 6])
        exchange()  # within its own patience, far below sixty deadlines in a row
    finally:
        for plain in slow:
            plain.close()


# ---- D11 ----

def test_D11_a_client_that_half_closes_after_its_request_gets_the_reply(lab):
    for says_close_notify in (False, True):
        with Client(ADDRESS) as client:
            client.handshake()
            client.send(client.seal(DATA, MINIMAL_REQUEST) +
                        (client.seal(ALERT, b"\1\0") if says_close_notify else b""))
            client.plain.shutdown(socket.SHUT_WR)
            assert is_served(client.read_answer())


def test_D11_clients_that_reset_before_the_reply_harm_nobody(lab):
    for _ in range(50):
        with Client(ADDRESS) as client:
            client.handshake().send_data(MINIMAL_REQUEST)
            client.plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_D11_a_client_that_never_reads_is_forgotten_at_the_deadline_and_costs_nothing(lab):
    """Its window is too small for our answer, which waits in the kernel: there, too, only for a while."""
    pid = ke(lab)["Pid"]

    def unread():
        listed = lab.run_in_server("ss", "-Htan", "state", "all", "sport", "=", ":4460").stdout
        return [line for line in listed.splitlines() if line.split()[0] != "LISTEN" and line.split()[2] != "0"]
    clients = []
    try:
        for _ in range(8):
            client = Client(ADDRESS, window_is_small=True)
            clients.append(client)
            client.handshake().send_data(MINIMAL_REQUEST)
        cpu_before = cpu_seconds(pid)
        assert wait_until(lambda: len(unread()) == 8, PHASE_S), "the answers do not fit"
        assert wait_until(lambda: counters(lab)["open_now"] == 0, ALL_S + SLACK_S)
        assert cpu_seconds(pid) - cpu_before < 0.3, "no busy loop"
        assert wait_until(lambda: not unread(), 3 * ALL_S), f"the kernel keeps {unread()}"
    finally:
        for client in clients:
            client.plain.close()


# ---- D17 ----

def test_D17_without_the_keeper_clients_get_error_2_and_no_cookie(lab):
    (keeper,) = (int(status["Pid"]) for status in status_of(lab, UIDS["keeper"]))
    before = counters(lab)["error_internal"]
    os.kill(keeper, signal.SIGSTOP)
    try:
        for _ in range(3):
            with Client(ADDRESS) as client:
                client.handshake().send_data(MINIMAL_REQUEST)
                assert client.read_answer() == (ERROR_2, True)
    finally:
        os.kill(keeper, signal.SIGCONT)
    assert counters(lab)["error_internal"] == before + 3
