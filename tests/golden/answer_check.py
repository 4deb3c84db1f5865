"""Judges one answer by what the RFCs say of it, with scapy and pycryptodome: not by what stands in captures/.

So a wrong answer that somebody wrote into captures/ with `update` is found all the same.
"""

import struct

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.layers.ntp import NTP
from scapy.packet import split_layers

import golden
import nts_client
from world import SECRETS, payload_at, ring_key

split_layers(UDP, NTP)  # the payload's octets, as they are
UNIQUE_IDENTIFIER, COOKIE = nts_client.UNIQUE_IDENTIFIER, nts_client.COOKIE
COOKIES_MAX, COOKIE_BYTES = 8, 100
MONO_ROOT, MONO_ROOT_MAGIC, MONO_ROOT_BYTES = 0xF323, 0xF5BEDD9A, 28
SECRET_WINDOW = 8  # so many octets of a key in a row are no accident


def payload_of(frame):
    at, length = payload_at(frame)
    return frame[at:at + length]


def opened(cookie):
    """(C2S, S2C) in a cookie, or None when no key of the ring opens it."""
    number = struct.unpack_from("!I", cookie)[0]
    given, key = golden.cookie_key().split(":")
    keys = {int(given): bytes.fromhex(key), **{known: ring_key(known) for known in (6, 7, 8)}}
    if len(cookie) != COOKIE_BYTES or number not in keys:
        return None
    try:
        text = nts_client.siv(keys[number], cookie[4:20], b"").decrypt_and_verify(cookie[36:], cookie[20:36])
    except ValueError:
        return None
    return text[:32], text[32:]


def check_way_back(asked, answer):
    """Ethernet, IP and UDP: the way the request came, with right lengths and checksums, and none of its options."""
    there, back = Ether(asked), Ether(answer)
    assert (back.src, back.dst) == (there.dst, there.src)
    ip = IP if IP in back else IPv6
    assert (back[ip].src, back[ip].dst) == (there[ip].dst, there[ip].src)
    assert (back[UDP].sport, back[UDP].dport) == (there[UDP].dport, there[UDP].sport)
    assert answer[12:payload_at(answer)[0] - (28 if ip is IP else 48)] == \
        asked[12:payload_at(asked)[0] - (28 if ip is IP else 48)], "the tag comes back"
    rebuilt = back.copy()
    rebuilt[UDP].len = rebuilt[UDP].chksum = None
    if ip is IP:
        assert (back[IP].ihl, back[IP].tos, back[IP].id, back[IP].ttl) == (5, 0, 0, 64)
        rebuilt[IP].len = rebuilt[IP].chksum = None
    else:
        assert (back[IPv6].tc, back[IPv6].fl, back[IPv6].hlim) == (0, 0, 64)
        rebuilt[IPv6].plen = None
    assert bytes(rebuilt) == answer, "lengths and checksums are scapy's, and nothing follows"


def check_header(asked, answer, is_kiss):
    assert answer[0] & 7 == 4 and answer[0] >> 3 & 7 == asked[0] >> 3 & 7
    assert answer[24:32] == asked[40:48], "origin"
    received, sent = struct.unpack_from("!QQ", answer, 32)
    assert received < sent
    poll = struct.unpack_from("b", asked, 2)[0]
    assert answer[2] == max(4, min(17, poll))
    if is_kiss:
        assert (answer[0] >> 6, answer[1], answer[12:16]) == (3, 0, b"NTSN")
    else:
        assert (answer[0] >> 6, answer[1], answer[12:16]) == (0, 1, b"PPS\0")


def asks_mono_root(asked):
    """Whether the field 0xF323 stands in the clear of a request of version 4, rightly."""
    at = 48
    while asked[0] >> 3 & 7 == 4 and len(asked) - at >= MONO_ROOT_BYTES:
        kind, length = struct.unpack_from("!HH", asked, at)
        if kind == nts_client.AUTHENTICATOR or length < 4:
            return False
        if (kind, length, struct.unpack_from("!I", asked, at + 4)[0]) == (MONO_ROOT, MONO_ROOT_BYTES, MONO_ROOT_MAGIC):
            return True
        at += length
    return False


def asks_under_seal(asked, c2s):
    """Whether the field stands among the sealed ones."""
    [(body, offset)] = [(body, at) for kind, body, at in nts_client.fields(asked[48:]) if kind == nts_client.AUTHENTICATOR]
    nonce_bytes, text_bytes = struct.unpack_from("!HH", body)
    text = body[4 + nonce_bytes:4 + nonce_bytes + text_bytes]
    inner = nts_client.siv(c2s, body[4:4 + nonce_bytes], asked[:48 + offset]).decrypt_and_verify(text[16:], text[:16])
    return struct.pack("!HHI", MONO_ROOT, MONO_ROOT_BYTES, MONO_ROOT_MAGIC) in inner


def check_mono_root(field, answer):
    """Finer than the header's root delay and dispersion and never above them; the stamp goes on as the receive stamp does."""
    kind, length, magic, delay, dispersion, mono, epoch = struct.unpack("!HHIIIQI", field)
    assert (kind, length, magic, epoch) == (MONO_ROOT, MONO_ROOT_BYTES, MONO_ROOT_MAGIC, 0x0E70C4)
    assert delay == -(-1_500_000 * 2**28 // 10**9), "replay.cc's 1.5 ms, rounded up"
    for fine, coarse in zip((delay, dispersion), struct.unpack_from("!II", answer, 4)):
        assert fine <= coarse << 12 < fine + (1 << 12)
    received = struct.unpack_from("!Q", answer, 32)[0]
    assert mono - 0x00000123_9ABCDEF0 == received - 0xEC0FFEE0_12345678


def check_body(verdict, asked, answer):
    """What follows the header; returns the fresh cookies."""
    mono = asks_mono_root(asked)
    found = nts_client.fields(asked[48:]) if len(asked) >= 64 and verdict != "answer_plain" else []
    if verdict == "answer_nts":
        cookie = next(body for kind, body, _ in found if kind == COOKIE)
        identifier = next(body for kind, body, _ in found if kind == UNIQUE_IDENTIFIER)
        c2s, s2c = opened(cookie)
        session = nts_client.Session(c2s, s2c, [], "")
        told = struct.pack("!HHI", MONO_ROOT, MONO_ROOT_BYTES, MONO_ROOT_MAGIC) in answer
        mono = mono or (told and asks_under_seal(asked, c2s))
        fresh = nts_client.open_answer(session, answer, asked, identifier, (MONO_ROOT,) if mono else ())
        if mono:
            at = 48 + 4 + len(identifier)
            check_mono_root(answer[at:at + MONO_ROOT_BYTES], answer)
        assert 1 <= len(fresh) <= COOKIES_MAX and len(set(fresh)) == len(fresh)
        assert all(opened(one) == (c2s, s2c) for one in fresh)
        return fresh
    echoed = answer[48:]
    if mono and verdict == "answer_plain":
        check_mono_root(echoed[-MONO_ROOT_BYTES:], answer)
        echoed = echoed[:-MONO_ROOT_BYTES]
    if echoed:
        assert echoed[:2] == struct.pack("!H", UNIQUE_IDENTIFIER) and echoed in asked
        assert struct.unpack_from("!H", echoed, 2)[0] == len(echoed)
    return []


def check(row, answer):
    """AssertionError when `answer` is not one that `row` may get; returns its fresh cookies."""
    assert len(answer) <= len(row.octets), "I1"
    asked, given = payload_of(row.octets), payload_of(answer)
    assert len(given) <= len(asked), "I1"
    check_way_back(row.octets, answer)
    check_header(asked, given, row.verdict.startswith("nak_"))
    fresh = check_body_or_unreadable(row.verdict, asked, given)
    for secret in SECRETS:
        for at in range(len(secret) - SECRET_WINDOW + 1):
            assert secret[at:at + SECRET_WINDOW] not in answer, "I7"
    return fresh


def check_body_or_unreadable(verdict, asked, given):
    """Octets behind the authenticator need be no field: they are cut away before the client's reader sees them."""
    try:
        return check_body(verdict, asked, given)
    except ValueError:
        end = 48
        while struct.unpack_from("!H", asked, end)[0] != nts_client.AUTHENTICATOR:
            end += struct.unpack_from("!H", asked, end + 2)[0]
        return check_body(verdict, asked[:end + struct.unpack_from("!H", asked, end + 2)[0]], given)
