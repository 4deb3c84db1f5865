"""NTS-KE over real TCP, by clients nobody here wrote: OpenSSL's s_client and pyOpenSSL.

The rows of TESTS.md D and E that need a socket and a clock; what is pure has its tests in tests/nts and
tests/control. One server for all: no case may spoil it for the next, which the last test checks again.
"""

import os
import signal
import socket
import struct
import threading
import time

import pytest
from OpenSSL import SSL

import nts_client
from in_namespace import namespace
from lab import network
from lab_server import running
from nts_client import MINIMAL_REQUEST, record
from role_processes import UIDS, status_of

DEADLINE_MS = 1500
END, NEXT_PROTOCOL, ERROR, WARNING, AEAD, COOKIE, SERVER, PORT = range(8)
ADDRESS = network.SERVER_IPV4


@pytest.fixture(scope="module", name="lab")
def fixture_lab():
    with running("ke", nts_ke={"deadline_ms": DEADLINE_MS, "connections_per_source_max": 8, "connections_max": 12,
                               "workers": 1}) as lab:
        with namespace(lab.client_namespace):
            yield lab


def connect(alpn=(b"ntske/1",), maximum=None, minimum=None):
    """A pyOpenSSL connection before its handshake. It trusts anybody: who the server is has its own test."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if maximum:
        context.set_max_proto_version(maximum)
        context.set_cipher_list(b"ALL:@SECLEVEL=0")  # or OpenSSL would not even send an old hello
    if minimum:
        context.set_min_proto_version(minimum)
    if alpn:
        context.set_alpn_protos(list(alpn))
    plain = socket.create_connection((ADDRESS, 4460), timeout=5)
    plain.settimeout(None)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 8, 0))
    connection = SSL.Connection(context, plain)
    connection.set_connect_state()
    return connection


def read_to_end(connection):
    """(octets, whether the server said close_notify)."""
    answer = b""
    while True:
        try:
            octets = connection.recv(65536)
        except SSL.ZeroReturnError:
            return answer, True
        except (SSL.SysCallError, SSL.Error):
            return answer, False
        if not octets:
            return answer, False
        answer += octets


def exchange(request, pieces=None, half_close=False):
    """The records of the reply to `request`, sent whole or in `pieces`, each its own TLS record."""
    connection = connect()
    connection.do_handshake()
    for piece in pieces or [request]:
        connection.send(piece)
    if half_close:
        connection.shutdown()
    answer, closed = read_to_end(connection)
    connection.close()
    assert closed, "close_notify comes from us too (P01)"
    return nts_client.read_records(answer)


def error(code):
    return [(ERROR, True, struct.pack("!H", code)), (END, True, b"")]


def counters(lab):
    return lab.ask("counters")["nts_ke"]


def test_D01_a_minimal_request_gets_eight_cookies_in_the_order_of_P12(lab):
    found = exchange(MINIMAL_REQUEST)
    assert [kind for kind, _, _ in found] == [NEXT_PROTOCOL, AEAD] + [COOKIE] * 8 + [END]
    assert found[0] == (NEXT_PROTOCOL, True, b"\0\0")
    assert found[1][2] == b"\0\x0f"
    cookies = [body for kind, critical, body in found if kind == COOKIE and not critical]
    assert [len(cookie) for cookie in cookies] == [100] * 8
    assert len({cookie[4:] for cookie in cookies}) == 8 and len({cookie[:4] for cookie in cookies}) == 1


def test_D02_an_unknown_critical_record_gets_error_0(lab):
    assert exchange(record(0x7ABC, b"x", True) + MINIMAL_REQUEST) == error(0)


def test_D03_D04_a_request_without_protocol_or_aead_gets_error_1(lab):
    assert exchange(record(4, b"\0\x0f", True) + record(0, b"", True)) == error(1)
    assert exchange(record(1, b"\0\0", True) + record(0, b"", True)) == error(1)


def test_D04_unsupported_algorithms_get_an_empty_list_and_no_cookies(lab):
    found = exchange(record(1, b"\0\0", True) + record(4, b"\0\x63", True) + record(0, b"", True))
    assert [kind for kind, _, _ in found] == [NEXT_PROTOCOL, AEAD, END]
    assert found[1][2] == b""


def test_D06_a_request_that_ends_early_gets_error_1(lab):
    assert exchange(MINIMAL_REQUEST[:-4], half_close=True) == error(1)


def test_D06_P05_a_stall_gets_error_1_at_the_deadline(lab):
    assert exchange(MINIMAL_REQUEST[:-4]) == error(1)
    assert exchange(b"", pieces=[MINIMAL_REQUEST[:1]]) == error(1)


def test_D07_records_behind_the_end_are_ignored(lab):
    assert len(exchange(MINIMAL_REQUEST + MINIMAL_REQUEST)) == 11


def test_D08_a_message_over_the_cap_gets_error_1(lab):
    assert exchange(record(0x4321, bytes(60000)) + MINIMAL_REQUEST) == error(1)


def test_P02_a_request_of_1024_octets_is_served(lab):
    padding = 1024 - len(MINIMAL_REQUEST) - 4
    assert len(exchange(record(0x4321, bytes(padding)) + MINIMAL_REQUEST)) == 11


def test_D09_one_octet_a_tls_record_is_served(lab):
    assert len(exchange(None, pieces=[bytes([octet]) for octet in MINIMAL_REQUEST])) == 11


def test_P12_the_whole_reply_is_one_tls_record(lab):
    """NTPsec reads once. So do we here: one recv of pyOpenSSL never returns more than one TLS record."""
    connection = connect()
    connection.do_handshake()
    connection.send(MINIMAL_REQUEST)
    first = connection.recv(65536)
    connection.close()
    assert nts_client.read_records(first)[-1][0] == END


def test_P10_D14_keys_are_those_that_the_cookies_carry(lab):
    """pyOpenSSL exports, our dataplane opens: an answer authenticates only if both have the same keys."""
    session = nts_client.key_exchange(ADDRESS, lab.ca, network.NAME)
    poller = nts_client.Poller(session)
    assert poller.poll() and poller.naks == 0


def test_P01_the_certificate_is_for_the_name(lab):
    with pytest.raises(Exception, match="is for"):
        nts_client.key_exchange(ADDRESS, lab.ca, "other.noonmark.test")


@pytest.mark.parametrize("version", [SSL.TLS1_VERSION, SSL.TLS1_1_VERSION, SSL.TLS1_2_VERSION])
def test_E01_older_tls_gets_an_alert(lab, version):
    before = counters(lab)
    connection = connect(maximum=version, minimum=version)
    with pytest.raises(SSL.Error, match="alert protocol version"):
        connection.do_handshake()
    connection.close()
    assert wait_until(lambda: counters(lab)["open_now"] == 0)
    after = counters(lab)
    assert after["served"] == before["served"]
    assert after["handshake_failed"] == before["handshake_failed"] + 1, "the hello reached the server"


@pytest.mark.parametrize("alpn", [(), (b"h2",), (b"ntske/2", b"http/1.1")])
def test_E02_without_our_alpn_there_is_no_exchange(lab, alpn):
    before = counters(lab)["handshake_failed"]
    connection = connect(alpn=alpn)
    with pytest.raises((SSL.Error, AssertionError)):
        connection.do_handshake()
        connection.send(MINIMAL_REQUEST)
        answer, _ = read_to_end(connection)
        assert answer
    connection.close()
    assert wait_until(lambda: counters(lab)["handshake_failed"] == before + 1)


def test_E02_ours_among_others_is_chosen(lab):
    connection = connect(alpn=(b"h2", b"ntske/1", b"x"))
    connection.do_handshake()
    assert connection.get_alpn_proto_negotiated() == b"ntske/1"
    connection.close()


@pytest.mark.parametrize("words", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n",
                                   b"\x23" + bytes(47), bytes(range(256)) * 4])
def test_E03_what_is_no_tls_is_closed_and_counted(lab, words):
    before = counters(lab)
    with socket.create_connection((ADDRESS, 4460), timeout=8) as plain:
        plain.sendall(words)
        while True:
            try:
                if not plain.recv(4096):
                    break
            except ConnectionResetError:
                break
    assert wait_until(lambda: counters(lab)["open_now"] == 0)
    after = counters(lab)
    changed = {name for name in after if after[name] != before[name]} - {"open_now", "accepted"}
    assert len(changed) == 1 and changed <= {"handshake_failed", "timeouts", "disconnected"}


def test_E04_no_ticket_is_given(lab):
    connection = connect()
    connection.do_handshake()
    connection.send(MINIMAL_REQUEST)
    read_to_end(connection)
    session = connection.get_session()
    connection.close()
    again = connect()
    again.set_session(session)
    again.do_handshake()
    assert not SSL._lib.SSL_session_reused(again._ssl), "every handshake is a full one"
    again.close()


def test_a_client_that_says_nothing_loses_its_place_at_the_deadline(lab):
    before = counters(lab)["timeouts"]
    with socket.create_connection((ADDRESS, 4460), timeout=8) as plain:
        assert plain.recv(10) == b""
    assert wait_until(lambda: counters(lab)["timeouts"] == before + 1)


def test_limits_one_source_does_not_take_every_place(lab):
    """Eight places for one address, twelve in all: the ninth is closed at once, another source still gets in."""
    held = [socket.create_connection((ADDRESS, 4460), timeout=5) for _ in range(8)]
    try:
        assert wait_until(lambda: counters(lab)["open_now"] == 8)
        before = counters(lab)["refused_limit"]
        with socket.create_connection((ADDRESS, 4460), timeout=5) as ninth:
            assert closes(ninth)
        assert counters(lab)["refused_limit"] == before + 1
        assert nts_client.key_exchange(network.SERVER_IPV6, lab.ca, network.NAME).cookies
    finally:
        for plain in held:
            plain.close()
    assert wait_until(lambda: counters(lab)["open_now"] == 0)


def closes(plain):
    try:
        return plain.recv(1) == b""
    except ConnectionResetError:
        return True


# A record's body, and what a request with it comes to when the RFC lets a client send the record at all.
LENGTHS = (0, 1, 2, 3, 255, 256, 4000, 65535)


@pytest.mark.parametrize("critical", [False, True])
@pytest.mark.parametrize("kind", [ERROR, WARNING, COOKIE])
def test_D10_P05_what_only_a_server_sends_gets_error_1_at_any_length(lab, kind, critical):
    for length in LENGTHS:
        assert exchange(record(kind, bytes(length), critical) + MINIMAL_REQUEST) == error(1), length


@pytest.mark.parametrize("critical", [False, True])
def test_D10_P08_P09_a_server_or_port_record_is_taken_when_it_is_one(lab, critical):
    """A name is 1 to 255 octets, a port two. Whoever is no server of ours is wished for in vain."""
    for length in LENGTHS:
        found = exchange(record(SERVER, b"a" * length, critical) + MINIMAL_REQUEST)
        assert (len(found) == 11) if 1 <= length <= 255 else (found == error(1)), length
        found = exchange(record(PORT, bytes(length), critical) + MINIMAL_REQUEST)
        assert (len(found) == 11) if length == 2 else (found == error(1)), length


@pytest.mark.parametrize("kind", [ERROR, WARNING, COOKIE, SERVER, PORT])
def test_D10_D06_a_record_that_says_more_than_there_is_gets_error_1(lab, kind):
    for said, there in ((1, 0), (3, 2), (4000, 3999)):
        cut = struct.pack("!HH", kind, said) + bytes(there)
        assert exchange(MINIMAL_REQUEST[:-4] + cut, half_close=True) == error(1)


def test_D17_while_the_keeper_is_dead_clients_get_error_2_and_then_all_cookies(lab):
    """The launcher is stopped meanwhile, or it would start another keeper before the first handshake ends."""
    (keeper,) = (int(status["Pid"]) for status in status_of(lab, UIDS["keeper"]))
    os.kill(lab.launcher.pid, signal.SIGSTOP)
    try:
        os.kill(keeper, signal.SIGKILL)
        for _ in range(3):
            assert exchange(MINIMAL_REQUEST) == error(2)
    finally:
        os.kill(lab.launcher.pid, signal.SIGCONT)

    def is_served():
        found = exchange(MINIMAL_REQUEST)
        assert found == error(2) or [kind for kind, _, _ in found].count(COOKIE) == 8, "all of them or none"
        return found != error(2)
    assert wait_until(is_served)


def test_many_at_once_are_all_served(lab):
    """Four threads, two exchanges each, against the limits."""
    got = []

    def work():
        with namespace(lab.client_namespace):
            for _ in range(2):
                got.append(len(nts_client.key_exchange(ADDRESS, lab.ca, network.NAME).cookies))
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert got == [8] * 8


def test_a_connection_that_is_gone_before_it_is_accepted_is_counted_too(lab):
    """ke is stopped meanwhile, so that each reset comes before the accept."""
    def outcomes(counters):
        return sum(counters[name] for name in counters
                   if name not in ("accepted", "open_now", "running", "workers_answering"))
    (ke,) = (int(status["Pid"]) for status in status_of(lab, UIDS["ke"]))
    before = lab.ask("counters")["nts_ke"]
    os.kill(ke, signal.SIGSTOP)
    try:
        for _ in range(5):
            gone = socket.create_connection((ADDRESS, 4460), timeout=5)
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close is a reset
            gone.close()
    finally:
        os.kill(ke, signal.SIGCONT)
    deadline = time.monotonic() + 5
    while (after := lab.ask("counters")["nts_ke"])["accepted"] < before["accepted"] + 5:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert after["open_now"] == 0
    assert outcomes(after) == after["accepted"]


def test_I3_I6_the_server_serves_on_after_all_this(lab):
    assert len(exchange(MINIMAL_REQUEST)) == 11
    status = lab.ask("status")
    assert status["nts_ke"]["workers"][0]["running"]


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False
