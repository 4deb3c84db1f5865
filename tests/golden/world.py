"""The small world of the golden captures: who is who, which keys there are, and how frames and NTS requests are made.

Everything here is fixed, and so are the clock and the random numbers of the replay: the same octets come out each
time. The builder is scapy's and pycryptodome's, none of it ours. replay.cc knows the same addresses and keys.
"""

import struct
from dataclasses import dataclass

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether

from nts_client import AUTHENTICATOR, COOKIE, PLACEHOLDER, UNIQUE_IDENTIFIER, extension, siv

SERVER_MAC = "02:70:63:61:70:00"  # what DPDK's net_pcap gives its first device
CLIENT_MAC = "02:aa:bb:cc:dd:ee"
SERVER_IPV4, CLIENT_IPV4 = "192.0.2.1", "192.0.2.77"  # RFC 5737, a /24
SERVER_IPV6, CLIENT_IPV6 = "2001:db8::1", "2001:db8::77"  # RFC 3849, a /64
SERVER_LINK_LOCAL, CLIENT_LINK_LOCAL = "fe80::1", "fe80::77"
SECOND_IPV4, SECOND_IPV6 = "10.123.0.1", "fd00:123::1"  # served too: the lab's, where the recorded requests went
CLIENT_PORT = 40123

TRANSMIT = bytes.fromhex("feedfacecafebeef")  # the client's stamp, echoed as origin
UID = bytes(range(0x80, 0xA0))

# Keys of the ring: 5 is retired, 6 and 8 are accepted, 7 is current.
RETIRED_KEY, OLD_KEY, CURRENT_KEY, NEXT_KEY = 5, 6, 7, 8


def key_of(fill):
    return bytes((fill + 7 * i) & 0xFF for i in range(32))


def ring_key(number):
    return key_of(0x11 + 3 * number)


C2S, S2C = key_of(0xC2), key_of(0x52)
SECRETS = [C2S, S2C, *map(ring_key, (RETIRED_KEY, OLD_KEY, CURRENT_KEY, NEXT_KEY))]


@dataclass(frozen=True)
class Row:
    """One frame of a capture. `verdict` is the counter that must count it."""
    name: str
    octets: bytes
    verdict: str

    @property
    def is_answered(self):
        return self.verdict.startswith(("answer_", "nak_"))


def sealed(key, nonce, associated, plaintext=b""):
    """tag | ciphertext."""
    text, tag = siv(key, nonce, associated).encrypt_and_digest(plaintext)
    return tag + text


def cookie(number=CURRENT_KEY, key=None, plaintext=C2S + S2C, nonce=b"\x3c" * 16):
    """id | nonce | seal under the ring's key, as DESIGN.md lays it out. No associated data, but one empty component."""
    return struct.pack("!I", number) + nonce + sealed(key or ring_key(number), nonce, b"", plaintext)


def plain(version=4, mode=3, leap=0, stratum=0, poll=6, precision=0, root=bytes(12), reference=bytes(8), origin=bytes(8),
          receive=bytes(8), transmit=TRANSMIT):
    """The 48 octets of a header (RFC 5905 figure 8); root is delay, dispersion and reference id."""
    first = leap << 6 | version << 3 | mode
    return struct.pack("!BBbb", first, stratum, poll, precision) + root + reference + origin + receive + transmit


def field(kind, body, length=None):
    """An extension field as it is told: not padded, its length right or wrong."""
    return struct.pack("!HH", kind, 4 + len(body) if length is None else length) + body


def authenticator(packet, key=C2S, inner=b"", nonce=b"\x5a" * 16, extra=0):
    """The authenticator over all of `packet` (RFC 8915 section 5.6), with `extra` octets of additional padding."""
    seal = sealed(key, nonce, packet, inner)
    body = struct.pack("!HH", len(nonce), len(seal)) + nonce + bytes(-len(nonce) % 4) + seal + bytes(-len(seal) % 4)
    return field(AUTHENTICATOR, body + bytes(extra))


def shape(*parts, key=C2S, inner=b"", nonce=b"\x5a" * 16, extra=0, header=None):
    """A header, the fields in `parts`, and an authenticator over them."""
    packet = (header or plain()) + b"".join(parts)
    return packet + authenticator(packet, key, inner, nonce, extra)


def uid(octets=UID):
    return extension(UNIQUE_IDENTIFIER, octets)


def cookie_field(octets=None):
    return field(COOKIE, cookie() if octets is None else octets)


def placeholder(octets=100):
    return field(PLACEHOLDER, bytes(octets))


def nts(placeholders=0, **more):
    """The usual authenticated request."""
    return shape(uid(), cookie_field(), placeholder() * placeholders, **more)


def ethernet(to=SERVER_MAC, source=CLIENT_MAC, tags=()):
    """`tags`: (TPID, tag control information) of each, outermost first."""
    frame = Ether(dst=to, src=source)
    for tpid, control in tags:
        frame.lastlayer().type = tpid
        frame /= Dot1Q(prio=control >> 13, id=control >> 12 & 1, vlan=control & 0xFFF)
    return frame


def ipv4(payload=None, link=None, source_port=CLIENT_PORT, port=123, trailer=b"", udp=None, **changes):
    """A frame over IPv4: `changes` are fields of scapy's IP, `udp` of its UDP; what is not given is right."""
    ip = IP(**{"src": CLIENT_IPV4, "dst": SERVER_IPV4, "ttl": 61, "id": 0x1234, "flags": "DF", "tos": 0xB8, **changes})
    datagram = UDP(sport=source_port, dport=port, **(udp or {}))
    return bytes((link or ethernet()) / ip / datagram / (plain() if payload is None else payload)) + trailer


def ipv6(payload=None, link=None, source_port=CLIENT_PORT, port=123, trailer=b"", udp=None, **changes):
    ip = IPv6(**{"src": CLIENT_IPV6, "dst": SERVER_IPV6, "hlim": 61, "fl": 0xCDEF0, "tc": 0xAB, **changes})
    datagram = UDP(sport=source_port, dport=port, **(udp or {}))
    return bytes((link or ethernet()) / ip / datagram / (plain() if payload is None else payload)) + trailer


def payload_at(frame):
    """(offset, length) of the UDP payload of a frame that is answered."""
    at = 14
    while frame[at - 2:at] in (b"\x81\x00", b"\x88\xa8"):
        at += 4
    udp = at + (40 if frame[at] >> 4 == 6 else 20)
    return udp + 8, struct.unpack_from("!H", frame, udp + 4)[0] - 8


def patched(octets, at, new):
    """`octets` with `new` written over them at `at`."""
    return octets[:at] + new + octets[at + len(new):]


def probe():
    """A good request whose answer must come whatever stands around it."""
    return ipv4(plain(transmit=b"\x01probe\x02\x03"), source_port=50001)
