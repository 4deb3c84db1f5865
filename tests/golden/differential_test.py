"""Does our reader find in a well-formed packet what scapy's dissector finds? Thousands of packets, from a seed.

What is compared: where IP, the payload and every NTS part begin and how long they are, the version, and what becomes of
the request. NOONMARK_SEED=N makes other packets.
"""

import os
import random
import struct
import subprocess

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.layers.ntp import NTPExtensions, NTPHeader

import answer_check  # noqa: F401  it keeps scapy from dissecting the payload by itself
import golden
import world
from capture import write_capture
from nts_client import AUTHENTICATOR, COOKIE, PLACEHOLDER, UNIQUE_IDENTIFIER

PACKETS = 3000
PAYLOAD_BYTES_MAX = 1472  # longer ones are no request, whatever they say (A31)
READ = golden.FOLDER.parents[1] / "build/tests/golden/golden-read"
MAC_TAIL = bytes(20)  # scapy takes the last 20 octets for a MAC, always
UNKNOWN = (0x2005, 0x0002, 0x7FFF, 0xF323)
FIELD_HEADER, COOKIES_MAX, UID_BYTES_MIN = 4, 8, 32
MAC_BYTES = (4, 20, 24)


def fields_for(rng):
    """Some well-formed extension fields, by chance those of NTS."""
    ones = (1,) * 18

    def unknown():
        return world.field(rng.choice(UNKNOWN), rng.randbytes(4 * rng.randrange(6, 12)))
    size = 28 if rng.random() < 0.05 else 4 * rng.randrange(8, 12)
    identifier = [world.uid(rng.randbytes(size))] * rng.choice((0, *ones, 2))
    if rng.random() < 0.2:
        parts = identifier + [unknown() for _ in range(rng.randrange(3))]
        rng.shuffle(parts)
        return b"".join(parts), None
    size = rng.choice((100, 100, 100, 64, 68, 132))
    parts = identifier + [world.cookie_field(rng.randbytes(size))] * rng.choice((0, *ones, 2))
    parts += [world.placeholder(size if rng.random() < 0.9 else 64)] * rng.choice((0, 0, 1, 3, 7, 8))
    parts += [unknown() for _ in range(rng.choice((0, 0, 1, 3)))]
    rng.shuffle(parts)
    return b"".join(parts), {"inner": rng.randbytes(rng.choice((0, 0, 4, 16, 104))),
                             "nonce": rng.randbytes(rng.choice((16, 16, 20, 32, 13))),
                             "extra": rng.choice((0, 0, 4, 24))}


def packet(rng):
    version = rng.choice((*(4,) * 20, 3, 3, *range(8)))
    mode = 3 if rng.random() < 0.95 else rng.randrange(8)
    payload = world.plain(version, mode, rng.randrange(4), rng.randrange(256), rng.randrange(-128, 128), -20,
                          rng.randbytes(12), rng.randbytes(8), rng.randbytes(8), rng.randbytes(8), rng.randbytes(8))
    if version == 4 and rng.random() < 0.8:
        more, seal = fields_for(rng)
        payload += more
        if seal is not None and rng.random() < 0.95:
            payload += world.authenticator(payload, **seal)
    elif rng.random() < 0.1:
        payload += rng.randbytes(rng.choice(MAC_BYTES))
    payload = payload if len(payload) <= PAYLOAD_BYTES_MAX else payload[:48]
    tags = [(0x8100, rng.randrange(1 << 16))] if rng.random() < 0.3 else []
    link = world.ethernet(source="02:%02x:%02x:%02x:%02x:%02x" % tuple(rng.randbytes(5)), tags=tags)
    ways = {"link": link, "source_port": rng.randrange(1, 65536), "trailer": bytes(rng.choice((0, 0, 0, 4, 18)))}
    if rng.random() < 0.5:
        return world.ipv6(payload, src=f"2001:db8:{rng.randrange(1, 65536):x}::{rng.randrange(1, 65536):x}",
                          hlim=rng.randrange(1, 256), fl=rng.randrange(1 << 20), tc=rng.randrange(256), **ways)
    return world.ipv4(payload, src=f"{rng.randrange(1, 120)}.{rng.randrange(256)}.{rng.randrange(256)}.1",
                      ttl=rng.randrange(1, 256), tos=rng.randrange(256), id=rng.randrange(65536),
                      flags=rng.choice(("DF", 0)), **ways)


def scapys(octets):
    """The line that golden-read must print, made of what scapy dissects."""
    frame = Ether(octets)
    ip_offset = 14 + 4 * sum(1 for layer in frame.layers() if layer is Dot1Q)
    ip_bytes = 4 * frame[IP].ihl if IP in frame else 40
    datagram = frame[UDP]
    payload_offset, payload_bytes = ip_offset + ip_bytes + 8, datagram.len - 8
    payload = bytes(datagram.payload)[:payload_bytes]
    header = NTPHeader(payload[:48])
    line = f"request {ip_offset} {payload_offset} {payload_bytes} {header.version} "
    if header.version not in (3, 4):
        return line + "drop_version"
    if header.mode != 3:
        return line + "drop_mode"
    if len(payload) == 48:
        return line + "answer_plain"
    if len(payload) - 48 in MAC_BYTES:
        return line + "drop_mac"
    return line + scapys_request(payload)


def scapys_request(payload):
    found, at = [], 48
    for field in NTPExtensions(payload[48:] + MAC_TAIL).extensions:
        found.append((field.type, at, field.len, bytes(field.value)))
        at += field.len
        if field.type == AUTHENTICATOR:
            break

    def of(kind):
        return [(offset, length, value) for there, offset, length, value in found if there == kind]
    identifiers, cookies, placeholders, seals = map(of, (UNIQUE_IDENTIFIER, COOKIE, PLACEHOLDER, AUTHENTICATOR))
    if not (cookies or placeholders or seals):
        return "drop_unique_identifier" if len(identifiers) > 1 else "answer_plain"
    if len(identifiers) != 1 or len(identifiers[0][2]) < UID_BYTES_MIN:
        return "drop_unique_identifier"
    if len(cookies) != 1:
        return "drop_cookie"
    if len(seals) != 1:
        return "drop_authenticator"
    if any(length != cookies[0][1] for _, length, _ in placeholders):
        return "drop_placeholder"
    offset, _, body = seals[0]
    nonce_bytes, sealed_bytes = struct.unpack_from("!HH", body)
    nonce_offset = offset + FIELD_HEADER + 4
    numbers = (min(COOKIES_MAX, 1 + len(placeholders)), identifiers[0][0], identifiers[0][1],
               cookies[0][0] + FIELD_HEADER, cookies[0][1] - FIELD_HEADER, nonce_offset, nonce_bytes,
               nonce_offset + (nonce_bytes + 3) // 4 * 4, sealed_bytes, offset)
    return "answer_nts " + " ".join(map(str, numbers))


@pytest.fixture(scope="module", name="compared")
def fixture_compared(tmp_path_factory):
    """[(frame, our line, scapy's)]"""
    rng = random.Random(int(os.environ.get("NOONMARK_SEED", "20261126")))
    frames = [packet(rng) for _ in range(PACKETS)]
    file = tmp_path_factory.mktemp("differential") / "in.pcap"
    write_capture(file, frames)
    ours = subprocess.run([READ, file], capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(ours) == len(frames)
    return list(zip(frames, ours, map(scapys, frames)))


def test_our_reader_and_scapys_find_the_same(compared):
    wrong = [f"ours  {ours}\nscapy {theirs}\n{golden.short(frame)}" for frame, ours, theirs in compared if ours != theirs]
    assert not wrong, f"{len(wrong)} of {len(compared)}\n" + "\n".join(wrong[:5])


def test_the_packets_are_of_every_kind(compared):
    met = {theirs.split()[5] for _, _, theirs in compared}
    assert met >= {"answer_plain", "answer_nts", "drop_version", "drop_mode", "drop_mac", "drop_unique_identifier",
                   "drop_cookie", "drop_authenticator", "drop_placeholder"}
    assert sum(theirs.split()[5] == "answer_nts" for _, _, theirs in compared) > PACKETS / 5
    assert {theirs.split()[1] for _, _, theirs in compared} == {"14", "18"}
