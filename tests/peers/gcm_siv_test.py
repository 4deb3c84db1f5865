"""AEAD 30 from outside: NTS-KE by OpenSSL, packets and AES-GCM-SIV by hand, none of it from nts/ (TESTS.md C22, C23,
P06, P11). No client in Debian 12 speaks it: chrony does from 4.4 on, and exports keys in two ways."""

import os
import struct

import pytest

import gcm_siv
from in_namespace import namespace
from lab import network
from lab_server import running
from nts_client import (AUTHENTICATOR, COOKIE, PLACEHOLDER, UNIQUE_IDENTIFIER, ask, extension, fields, key_exchange,
                        nts_request, open_answer, plain_request, record, socket_for)

GCM_SIV, SIV, COMPLIANT_EXPORT = 30, 15, 1024
NONCE_BYTES, COOKIE_BYTES = 12, 68
VECTORS = os.path.join(os.path.dirname(__file__), "..", "vectors", "rfc8452.txt")


@pytest.fixture(scope="module", name="lab")
def fixture_lab():
    with running("gcm-siv") as lab:
        yield lab


@pytest.fixture(name="sock")
def fixture_sock(lab):
    with namespace(lab.client_namespace):
        made = socket_for(network.SERVER_IPV4)
    with made:
        yield made


def agree(lab, aeads, is_compliant, exported_as, key_bytes=16):
    request = record(1, b"\0\0", True) + record(4, struct.pack(f"!{len(aeads)}H", *aeads))
    request += record(COMPLIANT_EXPORT, b"") * is_compliant + record(0, b"", True)
    with namespace(lab.client_namespace):
        session = key_exchange(network.SERVER_IPV4, lab.ca, network.NAME, request=request, exported_as=exported_as,
                               key_bytes=key_bytes)
    chosen = [struct.unpack("!H", body)[0] for kind, _, body in session.records if kind == 4]
    echoes = [critical for kind, critical, body in session.records if kind == COMPLIANT_EXPORT and not body]
    return session, chosen, echoes


def request_under(session, cookie, placeholders=0, key=None, padding=0):
    """(octets, identifier), the authenticator with `padding` octets that RFC 8915 section 5.6 allows."""
    packet, identifier = plain_request(), os.urandom(32)
    packet += extension(UNIQUE_IDENTIFIER, identifier) + extension(COOKIE, cookie)
    packet += extension(PLACEHOLDER, bytes(len(cookie))) * placeholders
    nonce = os.urandom(NONCE_BYTES)
    sealed = gcm_siv.seal(key or session.c2s, nonce, b"", packet)
    body = struct.pack("!HH", NONCE_BYTES, len(sealed)) + nonce + sealed + bytes(padding)
    return packet + extension(AUTHENTICATOR, body), identifier


def cookies_of(session, answer, request, identifier):
    """The cookies in an answer that is in every respect the one to `request`."""
    assert answer is not None and answer[0] & 7 == 4 and answer[24:32] == request[40:48]
    assert 1 <= answer[1] <= 15, answer[12:16]
    assert len(answer) <= len(request)
    found = fields(answer[48:])
    assert [kind for kind, _, _ in found] == [UNIQUE_IDENTIFIER, AUTHENTICATOR] and found[0][1] == identifier
    _, body, offset = found[1]
    assert struct.unpack_from("!HH", body) == (NONCE_BYTES, len(body) - 4 - NONCE_BYTES)
    text = gcm_siv.unseal(session.s2c, body[4:4 + NONCE_BYTES], body[4 + NONCE_BYTES:], answer[:48 + offset])
    inner = fields(text)
    assert all(kind == COOKIE and len(cookie) == COOKIE_BYTES for kind, cookie, _ in inner)
    return [cookie for _, cookie, _ in inner]


def is_nak(answer, identifier):
    return answer is not None and (answer[1], answer[12:16], fields(answer[48:])[0][1]) == (0, b"NTSN", identifier)


def test_K05_the_second_opinion_gives_the_answers_of_the_rfc():
    with open(VECTORS, encoding="ascii") as file:
        values = dict(line.split() for line in file if line.strip() and not line.startswith("#"))
    octets = {name: b"" if value == "-" else bytes.fromhex(value) for name, value in values.items()}
    cases = sorted({name.rsplit("-", 1)[0] for name in octets})
    assert len(cases) > 20
    for case in cases:
        key, nonce, associated, text, sealed = (octets[f"{case}-{part}"] for part in
                                                ("key", "nonce", "ad", "plaintext", "result"))
        assert gcm_siv.seal(key, nonce, text, associated) == sealed, case
        assert gcm_siv.unseal(key, nonce, sealed, associated) == text, case


@pytest.mark.parametrize("is_compliant", [True, False], ids=["compliant", "chrony-4.4"])
def test_P11_C22_both_ways_to_export_are_served_and_every_cookie_works(lab, sock, is_compliant):
    session, chosen, echoes = agree(lab, [GCM_SIV, SIV], is_compliant, GCM_SIV if is_compliant else SIV)
    assert chosen == [GCM_SIV] and echoes == ([False] if is_compliant else [])
    assert [len(cookie) for cookie in session.cookies] == [COOKIE_BYTES] * 8
    seen = set(session.cookies)
    for placeholders, cookie in enumerate(session.cookies):
        request, identifier = request_under(session, cookie, placeholders)
        fresh = cookies_of(session, ask(sock, (session.server, session.port), request, 15), request, identifier)
        assert len(fresh) == placeholders + 1
        assert len(seen | set(fresh)) == len(seen) + len(fresh), "no cookie twice"
        seen |= set(fresh)
        request, identifier = request_under(session, fresh[-1])
        assert cookies_of(session, ask(sock, (session.server, session.port), request, 15), request, identifier)


@pytest.mark.parametrize("is_compliant", [True, False], ids=["compliant", "chrony-4.4"])
def test_P11_C23_keys_of_the_other_export_and_of_the_other_way_are_refused(lab, sock, is_compliant):
    session, _, _ = agree(lab, [GCM_SIV], is_compliant, SIV if is_compliant else GCM_SIV)
    request, identifier = request_under(session, session.cookies[0])
    assert is_nak(ask(sock, (session.server, session.port), request, 15), identifier)
    session, _, _ = agree(lab, [GCM_SIV], is_compliant, GCM_SIV if is_compliant else SIV)
    request, identifier = request_under(session, session.cookies[0], key=session.s2c)
    assert is_nak(ask(sock, (session.server, session.port), request, 15), identifier)


def test_P06_C23_cookies_of_one_aead_serve_no_request_of_the_other(lab, sock):
    long, chosen, echoes = agree(lab, [SIV], True, SIV, key_bytes=32)
    assert chosen == [SIV] and echoes == [], "record 1024 is about AEAD 30 only"
    short, _, _ = agree(lab, [SIV, GCM_SIV], True, GCM_SIV)
    address = (short.server, short.port)
    request, identifier = nts_request(long, long.cookies[0])
    assert open_answer(long, ask(sock, address, request, 15), request, identifier)
    request, identifier = nts_request(long, short.cookies[0])
    assert is_nak(ask(sock, address, request, 15), identifier)
    # With room for a nonce of 16 octets, as a cookie of AEAD 15 asks for: nothing but the tag is wrong.
    request, identifier = request_under(short, long.cookies[1], padding=4)
    assert is_nak(ask(sock, address, request, 15), identifier)
    # The first half of each longer key is as long as the shorter ones, and no key of anything.
    request, identifier = request_under(long, short.cookies[1], key=long.c2s[:16])
    assert is_nak(ask(sock, address, request, 15), identifier)
