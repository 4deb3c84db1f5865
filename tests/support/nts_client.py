"""A client of our own for system tests: NTS-KE by pyOpenSSL, NTP by hand, AES-SIV by pycryptodome.

Everything in it was written from RFC 8915 and RFC 5905, none of it from nts/, so that a mistake there meets a
second opinion here.
"""

import os
import socket
import ssl
import struct
from dataclasses import dataclass, field

from Cryptodome.Cipher import AES
from OpenSSL import SSL

UNIQUE_IDENTIFIER, COOKIE, PLACEHOLDER, AUTHENTICATOR = 0x0104, 0x0204, 0x0304, 0x0404
AEAD_SIV_256 = 15
EXPORTER_LABEL = b"EXPORTER-network-time-security"
NONCE_BYTES, TAG_BYTES = 16, 16
COOKIES = 8


def record(kind, body, critical=False):
    """One NTS-KE record (RFC 8915 section 4)."""
    return struct.pack("!HH", kind | (0x8000 if critical else 0), len(body)) + body


MINIMAL_REQUEST = record(1, b"\0\0", True) + record(4, struct.pack("!H", AEAD_SIV_256)) + record(0, b"", True)


@dataclass
class Session:
    """What NTS-KE gave: keys, cookies, and where to ask for time."""
    c2s: bytes
    s2c: bytes
    cookies: list[bytes]
    server: str
    port: int = 123
    records: list[tuple[int, bool, bytes]] = field(default_factory=list)


def key_exchange(host, ca, name, port=4460, request=MINIMAL_REQUEST, timeout_s=5, exported_as=AEAD_SIV_256,
                 key_bytes=32):
    """One NTS-KE exchange over TLS 1.3, the certificate checked against `ca` and `name`; keys of `key_bytes`, exported
    with `exported_as` in the context (RFC 8915 section 4.3)."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.load_verify_locations(str(ca))
    context.set_verify(SSL.VERIFY_PEER)
    context.set_alpn_protos([b"ntske/1"])
    with socket.create_connection((host, port), timeout=timeout_s) as plain:
        plain.settimeout(None)  # pyOpenSSL wants a blocking socket; the kernel bounds each wait
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", timeout_s, 0))
        connection = SSL.Connection(context, plain)
        connection.set_tlsext_host_name(name.encode())
        connection.set_connect_state()
        connection.do_handshake()
        names = [alternative for kind, alternative in _alternative_names(connection) if kind == "DNS"]
        if name not in names:
            raise ssl.CertificateError(f"the certificate is for {names}, not for {name}")
        assert connection.get_alpn_proto_negotiated() == b"ntske/1"
        connection.sendall(request)
        answer = b""
        while not _ends(answer):
            try:
                answer += connection.recv(65536)
            except SSL.ZeroReturnError:
                break
        keys = [connection.export_keying_material(EXPORTER_LABEL, key_bytes, struct.pack("!HHB", 0, exported_as, way))
                for way in (0, 1)]
        connection.shutdown()
    records = read_records(answer)
    session = Session(*keys, cookies=[body for kind, _, body in records if kind == 5], server=host, records=records)
    for kind, _, body in records:
        if kind == 6:
            session.server = body.decode("ascii")
        if kind == 7:
            session.port = struct.unpack("!H", body)[0]
    return session


def _alternative_names(connection):
    certificate = connection.get_peer_certificate().to_cryptography()
    from cryptography import x509
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [("DNS", name) for name in names.get_values_for_type(x509.DNSName)]


def read_records(octets):
    """[(type, critical, body)] of an NTS-KE message; ValueError when a record is cut."""
    records, at = [], 0
    while at < len(octets):
        kind, length = struct.unpack_from("!HH", octets, at)
        body = octets[at + 4:at + 4 + length]
        if len(body) != length:
            raise ValueError("a record is cut")
        records.append((kind & 0x7FFF, bool(kind & 0x8000), body))
        at += 4 + length
    return records


def _ends(octets):
    try:
        records = read_records(octets)
    except (ValueError, struct.error):
        return False
    return bool(records) and records[-1][0] == 0


def extension(kind, body):
    """One extension field, padded to a multiple of 4 (RFC 7822)."""
    body += bytes(-len(body) % 4)
    return struct.pack("!HH", kind, 4 + len(body)) + body


def plain_request(version=4, mode=3, transmit=None, poll=6):
    """The 48 octets of an NTP header as a client sends them (RFC 5905 figure 8)."""
    return struct.pack("!BBbb", version << 3 | mode, 0, poll, 0) + bytes(36) + (transmit or os.urandom(8))


def siv(key, nonce, associated):
    cipher = AES.new(key, AES.MODE_SIV, nonce=nonce)
    cipher.update(associated)
    return cipher


def nts_request(session, cookie, placeholders=0, unique_identifier=None, transmit=None):
    """(octets, unique identifier) of an authenticated request (RFC 8915 section 5.7)."""
    unique_identifier = unique_identifier or os.urandom(32)
    packet = plain_request(transmit=transmit) + extension(UNIQUE_IDENTIFIER, unique_identifier)
    packet += extension(COOKIE, cookie)
    packet += extension(PLACEHOLDER, bytes(len(cookie))) * placeholders
    nonce = os.urandom(NONCE_BYTES)
    text, tag = siv(session.c2s, nonce, packet).encrypt_and_digest(b"")
    packet += extension(AUTHENTICATOR, struct.pack("!HH", NONCE_BYTES, len(tag) + len(text)) + nonce + tag + text)
    return packet, unique_identifier


def fields(octets):
    """[(type, body, offset)] of the extension fields from the start of `octets`."""
    found, at = [], 0
    while at + 4 <= len(octets):
        kind, length = struct.unpack_from("!HH", octets, at)
        if length < 4 or at + length > len(octets):
            raise ValueError(f"a field of {length} octets at {at} does not fit")
        found.append((kind, octets[at + 4:at + length], at))
        at += length
    return found


def open_answer(session, answer, request, unique_identifier, also=()):
    """Checks an authenticated answer and returns the fresh cookies in it. AssertionError if anything is off. `also`: the
    types of fields that stand in the clear behind the identifier."""
    assert answer[0] & 0x07 == 4, "not a server's answer"
    assert answer[24:32] == request[40:48], "the origin is not our transmit timestamp"
    assert not is_kiss(answer), f"kiss code {answer[12:16]!r}"
    found = fields(answer[48:])
    assert [kind for kind, _, _ in found] == [UNIQUE_IDENTIFIER, *also, AUTHENTICATOR]
    assert found[0][1] == unique_identifier
    _, body, offset = found[-1]
    nonce_bytes, text_bytes = struct.unpack_from("!HH", body)
    nonce, text = body[4:4 + nonce_bytes], body[4 + nonce_bytes:4 + nonce_bytes + text_bytes]
    inner = siv(session.s2c, nonce, answer[:48 + offset]).decrypt_and_verify(text[TAG_BYTES:], text[:TAG_BYTES])
    return [body for kind, body, _ in fields(inner) if kind == COOKIE]


def is_kiss(answer):
    return answer[1] == 0 and answer[12:16].isalpha() and answer[12:16].isupper()


def ask(sock, address, packet, timeout_s=1.0):
    """Sends one packet and returns the next answer, or None."""
    sock.settimeout(timeout_s)
    sock.sendto(packet, address)
    try:
        return sock.recvfrom(65535)[0]
    except TimeoutError:
        return None


def socket_for(address):
    return socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)


class Poller:
    """Polls with NTS as fast as told and counts what comes back; keeps its cookies full like a real client."""

    def __init__(self, session):
        self.session = session
        self.cookies = list(session.cookies)
        self.sent = self.good = self.naks = self.lost = 0
        self.socket = socket_for(session.server)

    def poll(self, timeout_s=0.5):
        """One request; True when an authentic answer came."""
        cookie = self.cookies.pop(0) if len(self.cookies) > 1 else self.cookies[0]
        wanted = max(0, min(COOKIES - 1 - len(self.cookies), COOKIES - 1))
        packet, identifier = nts_request(self.session, cookie, wanted)
        self.sent += 1
        answer = ask(self.socket, (self.session.server, self.session.port), packet, timeout_s)
        if answer is None:
            self.lost += 1
            return False
        if is_kiss(answer):
            self.naks += 1
            return False
        self.cookies += open_answer(self.session, answer, packet, identifier)
        self.good += 1
        return True
