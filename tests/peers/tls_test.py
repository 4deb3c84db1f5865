"""What a stranger may do below NTS-KE: TLS 1.3 records and messages no library would send.

The rows E05-E13 of TESTS.md, by the handmade client of tests/support/tls13.py against the real ke process.
After each case (hostile_tls.py): the same process, its memory bounded, no place still taken, every connection
counted once, and the next honest exchange works (I3, I5, I6).

SNI (E12): there is one certificate, so any name gets it, also none; a name that no host can have (a NUL inside, more
than 255 octets) is refused with unrecognized_name.
"""

import contextlib
import socket
import struct
import time

import pytest

import tls13
from hostile_tls import (ADDRESS, ALL_S, ERROR_1, PHASE_S, READ_BYTES_MAX, counters, cpu_seconds, fixture_lab,
                         fixture_unharmed, is_served, ke, wait_until)
from nts_client import MINIMAL_REQUEST
from tls13 import ALERT, CHANGE_CIPHER_SPEC, DATA, HANDSHAKE, Alert, Client

__all__ = ["fixture_lab", "fixture_unharmed"]


@contextlib.contextmanager
def refused_with(*names):
    """The server answers with one of these alerts, on the wire."""
    with pytest.raises(Alert) as raised:
        yield
    assert str(raised.value) in names


def read_to_alert(client):
    while True:
        client.read_record()


# ---- E05 ----

def test_E05_a_second_hello_after_the_handshake_is_refused(lab):
    with Client(ADDRESS) as client:
        client.handshake()
        client.send(client.seal(HANDSHAKE, client.hello()))
        with refused_with("unexpected_message"):
            read_to_alert(client)


@pytest.mark.parametrize("wants_reply", [0, 1])
@pytest.mark.parametrize("times", [1, 1000])
def test_E05_key_updates_before_the_request_are_followed(lab, times, wants_reply):
    with Client(ADDRESS) as client:
        client.handshake()
        client.send(b"".join(client.key_update(wants_reply) for _ in range(times)))
        client.send_data(MINIMAL_REQUEST)
        assert is_served(client.read_answer())


@pytest.mark.parametrize("wants_reply", [0, 1])
def test_E05_a_flood_of_key_updates_ends_with_error_1_at_the_bound(lab, wants_reply):
    pid = ke(lab)["Pid"]
    with Client(ADDRESS) as client:
        client.handshake()
        padding = 200  # or making them would take us longer than a phase may
        one_bytes = 5 + 4 + 1 + 1 + padding + 16
        flood = b"".join(client.key_update(wants_reply, padding) for _ in range(READ_BYTES_MAX // one_bytes + 8))
        cpu_before = cpu_seconds(pid)
        client.send(flood)
        assert client.read_answer() == (ERROR_1, True)
    assert cpu_seconds(pid) - cpu_before < ALL_S / 2


@pytest.mark.parametrize("body", [b"\2", b"", b"\0\0"])
def test_E05_a_key_update_that_is_none_is_refused(lab, body):
    with Client(ADDRESS) as client:
        client.handshake()
        client.send(client.seal(HANDSHAKE, tls13.message(tls13.KEY_UPDATE, body)))
        with refused_with("illegal_parameter", "decode_error"):
            read_to_alert(client)


# ---- E06 ----

def test_E06_a_hello_in_records_of_one_octet_is_taken(lab):
    with Client(ADDRESS) as client:
        hello = client.hello()
        client.transcript += hello
        client.send(b"".join(client.record(HANDSHAKE, bytes([octet])) for octet in hello))
        assert not client.read_server_hello()
        client.read_server_flight()
        client.finish()
        client.send_data(MINIMAL_REQUEST)
        assert is_served(client.read_answer())


def test_E06_a_plain_record_that_is_too_long_is_refused(lab):
    for bytes_said in (16384 + 1, 0xFFFF):
        with Client(ADDRESS) as client:
            client.send(struct.pack("!BHH", HANDSHAKE, 0x0301, bytes_said) + bytes(bytes_said))
            with refused_with("record_overflow"):
                read_to_alert(client)


def test_E06_a_protected_record_that_is_too_long_is_refused_and_the_longest_is_taken(lab):
    with Client(ADDRESS) as client:
        client.handshake()
        client.send(client.seal(DATA, MINIMAL_REQUEST, padding=16384 - len(MINIMAL_REQUEST)))
        assert is_served(client.read_answer())
    for inner_bytes in (16384 + 1, 16384 + 256):
        with Client(ADDRESS) as client:
            client.handshake()
            client.send(client.seal(DATA, bytes(inner_bytes)))
            with refused_with("record_overflow"):
                read_to_alert(client)


def test_E06_a_flood_of_empty_plain_records_is_refused(lab):
    with Client(ADDRESS) as client:
        client.send(client.record(HANDSHAKE, b"") * 100)
        with refused_with("unexpected_message", "decode_error"):
            read_to_alert(client)


@pytest.mark.parametrize("padding", [0, 1000])
def test_E06_empty_data_records_are_taken_and_a_flood_of_them_is_refused(lab, padding):
    with Client(ADDRESS) as client:
        client.handshake()
        client.send(b"".join(client.seal(DATA, b"", padding) for _ in range(10)))
        client.send_data(MINIMAL_REQUEST)
        assert is_served(client.read_answer())
    with Client(ADDRESS) as client:
        client.handshake()
        with refused_with("unexpected_message"):
            client.send(b"".join(client.seal(DATA, b"", padding) for _ in range(100)))
            read_to_alert(client)


@pytest.mark.parametrize("before", ["hello", "finished", "request"])
def test_E06_a_flood_of_warnings_is_refused(lab, before):
    with Client(ADDRESS) as client:
        warning = b"\x01\x5a"  # user_canceled
        if before == "hello":
            client.send(client.record(ALERT, warning) * 100)
        else:
            client.send_hello()
            client.read_server_hello()
            client.read_server_flight()
            if before == "request":
                client.finish()
            client.send(b"".join(client.seal(ALERT, warning) for _ in range(100)))
            client.use_application_keys()
        with refused_with("unexpected_message"):
            read_to_alert(client)


# ---- E07, E08 ----

def test_E07_a_hello_without_a_share_is_asked_again_and_served(lab):
    with Client(ADDRESS) as client:
        client.send_hello(client.hello(key_share=tls13.extension(tls13.KEY_SHARE, b"\0\0")))
        assert client.read_server_hello(), "HelloRetryRequest"
        client.send_hello()
        assert not client.read_server_hello()
        client.read_server_flight()
        client.finish()
        client.send_data(MINIMAL_REQUEST)
        assert is_served(client.read_answer())


def test_E07_a_second_hello_with_the_wrong_share_is_refused(lab):
    empty = tls13.extension(tls13.KEY_SHARE, b"\0\0")
    wrong = tls13.extension(tls13.KEY_SHARE, tls13.vector(2, tls13.key_share(tls13.P256, b"\4" + bytes(64))))
    for second in (empty, wrong):
        with Client(ADDRESS) as client:
            client.send_hello(client.hello(key_share=empty))
            assert client.read_server_hello()
            client.send_hello(client.hello(key_share=second))
            with refused_with("illegal_parameter", "handshake_failure"):
                read_to_alert(client)


def share(group, octets):
    return tls13.extension(tls13.KEY_SHARE, tls13.vector(2, tls13.key_share(group, octets)))


@pytest.mark.parametrize("change", [
    {"suites": (0x1399, 0x0035)},
    {"groups": tls13.extension(tls13.GROUPS, b"\0\4\0\x01\0\x02")},  # sect163k1, sect163r1
    {"signatures": tls13.extension(tls13.SIGNATURES, b"\0\2\x02\x01")},  # RSA with SHA-1
    {"signatures": None},
    {"key_share": share(tls13.X25519, bytes(32))},
    {"key_share": share(tls13.X25519, bytes(31))},
    {"key_share": share(tls13.P256, b"\4" + b"\1" * 64)},  # not on the curve
    {"key_share": share(tls13.P256, b"\4" + bytes(64))},
    {"key_share": share(tls13.P256, b"\0")},  # the point at infinity
], ids=lambda change: next(iter(change)))
def test_E08_a_hello_without_common_ground_or_with_a_false_share_is_refused(lab, change):
    with Client(ADDRESS) as client:
        client.send_hello(client.hello(**change))
        with refused_with("handshake_failure", "illegal_parameter", "missing_extension", "decode_error"):
            if client.read_server_hello():  # asked for another share: none of ours is better
                client.send_hello(client.hello(**change))
            read_to_alert(client)


# ---- E09, E10 ----

def test_E09_a_hello_with_an_extension_twice_is_refused(lab):
    for twice in (tls13.alpn(b"ntske/1"), tls13.server_name(b"a.test") * 2):
        with Client(ADDRESS) as client:
            client.send_hello(client.hello(more=twice))
            with refused_with("illegal_parameter", "decode_error"):
                read_to_alert(client)


def test_E09_thousands_of_unknown_extensions_and_grease_are_passed_over(lab):
    many = b"".join(tls13.extension(0x4000 + number, b"") for number in range(5000))
    grease = tls13.extension(0x0A0A, b"") + tls13.extension(0xFAFA, b"\0")
    for more, suites in ((many, (tls13.SUITE,)), (grease, (0x1A1A, tls13.SUITE))):
        with Client(ADDRESS) as client:
            hello = client.hello(more=more, suites=suites)
            client.transcript += hello
            pieces = [hello[at:at + 16384] for at in range(0, len(hello), 16384)]
            client.send(b"".join(client.record(HANDSHAKE, piece) for piece in pieces))
            client.read_server_hello()
            client.read_server_flight()
            client.finish()
            client.send_data(MINIMAL_REQUEST)
            assert is_served(client.read_answer())


def test_E10_a_client_certificate_that_nobody_asked_for_is_refused(lab):
    with Client(ADDRESS) as client:
        client.send_hello()
        client.read_server_hello()
        client.read_server_flight()
        client.send(client.seal(HANDSHAKE, tls13.message(tls13.CERTIFICATE, b"\0\0\0\0")))
        client.use_application_keys()
        with refused_with("unexpected_message"):
            read_to_alert(client)


# ---- E11 ----

def unfinished(client):
    client.send_hello()
    client.read_server_hello()
    client.read_server_flight()


def test_E11_a_false_finished_is_refused(lab):
    with Client(ADDRESS) as client:
        unfinished(client)
        true = client.finished()
        client.send(client.seal(HANDSHAKE, true[:-1] + bytes([true[-1] ^ 1])))
        client.use_application_keys()
        with refused_with("decrypt_error"):
            read_to_alert(client)


def test_E11_a_finished_in_the_clear_is_refused(lab):
    with Client(ADDRESS) as client:
        unfinished(client)
        client.send(client.record(HANDSHAKE, client.finished()))
        client.use_application_keys()
        with refused_with("unexpected_message", "bad_record_mac"):
            read_to_alert(client)


def test_E11_a_request_before_finished_is_refused(lab):
    with Client(ADDRESS) as client:
        unfinished(client)
        client.send_data(MINIMAL_REQUEST)
        client.use_application_keys()
        with refused_with("unexpected_message"):
            read_to_alert(client)


def test_E11_a_record_that_does_not_open_is_refused(lab):
    with Client(ADDRESS) as client:
        client.handshake()
        sealed = bytearray(client.seal(DATA, MINIMAL_REQUEST))
        sealed[-1] ^= 1
        client.send(sealed)
        with refused_with("bad_record_mac"):
            read_to_alert(client)


def test_E11_the_change_cipher_spec_of_old_middleboxes_is_passed_over(lab):
    """RFC 8446 section D.4: one, after the first hello, means nothing."""
    with Client(ADDRESS) as client:
        client.send_hello()
        client.send(client.record(CHANGE_CIPHER_SPEC, b"\1"))
        client.read_server_hello()
        client.read_server_flight()
        client.finish()
        client.send_data(MINIMAL_REQUEST)
        assert is_served(client.read_answer())


@pytest.mark.parametrize("case", ["first", "false", "many", "after", "sealed"])
def test_E11_change_cipher_spec_anywhere_else_is_refused(lab, case):
    with Client(ADDRESS) as client:
        good = client.record(CHANGE_CIPHER_SPEC, b"\1")
        if case == "first":
            client.send(good)
            client.send_hello()
        elif case in ("false", "many"):
            unfinished(client)
            client.send(good * 100 if case == "many" else client.record(CHANGE_CIPHER_SPEC, b"\2"))
            client.use_application_keys()
        else:
            client.handshake()
            client.send(good if case == "after" else client.seal(CHANGE_CIPHER_SPEC, b"\1"))
        with refused_with("unexpected_message", "illegal_parameter"):
            read_to_alert(client)


# ---- E12 ----

@pytest.mark.parametrize("name", [None, b"other.example", b"a" * 255, b"192.0.2.1", b"2001:db8::1", b""])
def test_E12_any_name_gets_our_certificate(lab, name):
    with Client(ADDRESS) as client:
        client.send_hello(client.hello(more=b"" if name is None else tls13.server_name(name)))
        client.read_server_hello()
        client.read_server_flight()
        client.finish()
        client.send_data(MINIMAL_REQUEST)
        assert is_served(client.read_answer())


@pytest.mark.parametrize("more", [tls13.server_name(b"a\0b.test"), tls13.server_name(b"a" * 256),
                                  tls13.server_name(b"a.test", kind=1),
                                  tls13.extension(tls13.SERVER_NAME, b"\0\5\0\0\xff"),
                                  tls13.extension(tls13.SERVER_NAME, b"")])
def test_E12_what_is_no_name_is_refused(lab, more):
    with Client(ADDRESS) as client:
        client.send_hello(client.hello(more=more))
        with refused_with("unrecognized_name", "decode_error"):
            read_to_alert(client)


# ---- E13 ----

def test_E13_a_client_that_leaves_without_close_notify_is_served(lab):
    before = counters(lab)["served"]
    with Client(ADDRESS) as client:
        client.handshake().send_data(MINIMAL_REQUEST)
        assert is_served(client.read_answer())
    assert counters(lab)["served"] == before + 1


def test_E13_a_request_cut_by_the_end_of_the_connection_gets_error_1_at_once(lab):
    request = MINIMAL_REQUEST
    for how in ("between records", "inside a record"):
        with Client(ADDRESS) as client:
            client.handshake()
            sealed = client.seal(DATA, request[:-4])
            client.send(sealed if how == "between records" else sealed[:-7])
            client.plain.shutdown(socket.SHUT_WR)
            began = time.monotonic()
            assert client.read_answer() == (ERROR_1, True)
            assert time.monotonic() - began < PHASE_S, "not only at the deadline"


def test_E13_a_handshake_cut_by_the_end_of_the_connection_ends_at_once(lab):
    before = counters(lab)["disconnected"]
    for cut_after in ("nothing", "half a hello", "a hello"):
        with Client(ADDRESS) as client:
            hello = client.record(HANDSHAKE, client.hello())
            client.send({"nothing": b"", "half a hello": hello[:100], "a hello": hello}[cut_after])
            client.plain.shutdown(socket.SHUT_WR)
            client.plain.settimeout(PHASE_S)
            while client.plain.recv(65536):
                pass
    assert wait_until(lambda: counters(lab)["disconnected"] == before + 3)
