"""A TLS 1.3 client made by hand, to say what no honest client says: every record and message is the caller's.

Written from RFC 8446; the primitives are python3-cryptography's. One cipher suite (TLS_AES_128_GCM_SHA256), one
group that is really computed (X25519). It checks no certificate: who the server is has its own tests.
"""

import hashlib
import hmac
import os
import socket
import struct

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
CLIENT_HELLO, SERVER_HELLO, CERTIFICATE, FINISHED, KEY_UPDATE = 1, 2, 11, 20, 24
SUITE = 0x1301
X25519, P256 = 0x001D, 0x0017
SERVER_NAME, GROUPS, SIGNATURES, ALPN, VERSIONS, KEY_SHARE = 0, 10, 13, 16, 43, 51
RETRY_RANDOM = hashlib.sha256(b"HelloRetryRequest").digest()  # RFC 8446 section 4.1.3
ALERTS = {10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow", 40: "handshake_failure",
          47: "illegal_parameter", 50: "decode_error", 51: "decrypt_error", 70: "protocol_version",
          80: "internal_error", 109: "missing_extension", 112: "unrecognized_name", 116: "certificate_required",
          120: "no_application_protocol"}


class Alert(Exception):
    """The server's alert, by name."""


class Closed(Exception):
    """The server closed the TCP connection: cleanly or by a reset."""


def vector(size, octets):
    """`octets` behind their length in `size` octets."""
    return len(octets).to_bytes(size, "big") + octets


def extension(kind, body):
    return struct.pack("!H", kind) + vector(2, body)


def server_name(name, kind=0):
    return extension(SERVER_NAME, vector(2, bytes([kind]) + vector(2, name)))


def alpn(*protocols):
    return extension(ALPN, vector(2, b"".join(vector(1, one) for one in protocols)))


def key_share(group, share):
    return struct.pack("!H", group) + vector(2, share)


def message(kind, body):
    return bytes([kind]) + vector(3, body)


def _expand_label(secret, label, context, length):
    info = struct.pack("!H", length) + vector(1, b"tls13 " + label) + vector(1, context)
    return hmac.new(secret, info + b"\x01", hashlib.sha256).digest()[:length]


def _extract(salt, secret):
    return hmac.new(salt, secret, hashlib.sha256).digest()


class _Keys:
    """One direction's traffic keys."""

    def __init__(self, secret):
        self.secret = secret
        self.aead = AESGCM(_expand_label(secret, b"key", b"", 16))
        self.iv = _expand_label(secret, b"iv", b"", 12)
        self.number = 0

    def nonce(self):
        number, self.number = self.number, self.number + 1
        return bytes(a ^ b for a, b in zip(self.iv, number.to_bytes(12, "big")))

    def seal(self, kind, body, padding=0):
        inner = body + bytes([kind]) + bytes(padding)
        header = struct.pack("!BHH", DATA, 0x0303, len(inner) + 16)
        return header + self.aead.encrypt(self.nonce(), inner, header)

    def open(self, header, body):
        inner = self.aead.decrypt(self.nonce(), body, header).rstrip(b"\0")
        return inner[-1], inner[:-1]

    def updated(self):
        return _Keys(_expand_label(self.secret, b"traffic upd", b"", 32))


class Client:
    """One connection. `hello`, `read_server` and `finish` are the handshake; everything else is as you like."""

    def __init__(self, address, port=4460, timeout_s=8, window_is_small=False):
        self.plain = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.unread_bytes = 0 if window_is_small else None  # looked at, but left in the kernel's buffer
        if window_is_small:
            self.plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # the kernel makes it its least
        self.plain.settimeout(timeout_s)
        self.plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.plain.connect((address, port))
        self.private = x25519.X25519PrivateKey.generate()
        self.transcript = b""
        self.session_id = os.urandom(32)
        self.random = os.urandom(32)
        self.write_keys = self.read_keys = None
        self.secrets = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.plain.close()

    # ---- What is said ----

    def extensions(self):
        """The usual ones, by name, to be changed."""
        share = self.private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return {"groups": extension(GROUPS, vector(2, struct.pack("!HH", X25519, P256))),
                "signatures": extension(SIGNATURES, vector(2, struct.pack("!7H", 0x0403, 0x0804, 0x0805, 0x0806,
                                                                          0x0503, 0x0603, 0x0807))),
                "versions": extension(VERSIONS, vector(1, struct.pack("!H", 0x0304))),
                "alpn": alpn(b"ntske/1"),
                "key_share": extension(KEY_SHARE, vector(2, key_share(X25519, share)))}

    def hello(self, suites=(SUITE,), more=b"", session_id=None, **changes):
        """A ClientHello message; `changes` replace extensions by name, None leaves one out."""
        parts = {**self.extensions(), **changes}
        body = b"".join(part for part in parts.values() if part is not None) + more
        return message(CLIENT_HELLO, b"\x03\x03" + self.random +
                       vector(1, self.session_id if session_id is None else session_id) +
                       vector(2, b"".join(struct.pack("!H", suite) for suite in suites)) + b"\x01\0" + vector(2, body))

    def send(self, octets):
        self.plain.sendall(octets)

    @staticmethod
    def record(kind, body, version=0x0303):
        """A plaintext record, whatever its length."""
        return struct.pack("!BHH", kind, version, len(body)) + body

    def send_hello(self, hello=None):
        hello = self.hello() if hello is None else hello
        self.transcript += hello
        self.send(self.record(HANDSHAKE, hello, 0x0301))

    def seal(self, kind, body, padding=0):
        """A protected record under the keys of now."""
        return self.write_keys.seal(kind, body, padding)

    def send_data(self, octets):
        self.send(self.seal(DATA, octets))

    def finished(self):
        """The Finished message that is due."""
        key = _expand_label(self.secrets["client handshake"], b"finished", b"", 32)
        return message(FINISHED, hmac.new(key, hashlib.sha256(self.transcript).digest(), hashlib.sha256).digest())

    def finish(self):
        self.send(self.seal(HANDSHAKE, self.finished()))
        self.use_application_keys()

    def use_application_keys(self):
        self.write_keys, self.read_keys = _Keys(self.secrets["client data"]), _Keys(self.secrets["server data"])

    def key_update(self, wants_reply, padding=0):
        """The record of a KeyUpdate; our own keys go on with it."""
        octets = self.seal(HANDSHAKE, message(KEY_UPDATE, bytes([wants_reply])), padding)
        self.write_keys = self.write_keys.updated()
        return octets

    # ---- What is heard ----

    def _receive(self, bytes_max):
        if self.unread_bytes is None:
            return self.plain.recv(bytes_max)
        more = self.plain.recv(self.unread_bytes + bytes_max, socket.MSG_PEEK)[self.unread_bytes:]
        self.unread_bytes += len(more)
        return more

    def _exactly(self, bytes_wanted):
        octets = b""
        while len(octets) < bytes_wanted:
            try:
                more = self._receive(bytes_wanted - len(octets))
            except ConnectionError as error:
                raise Closed(str(error)) from error
            if not more:
                raise Closed("at the end of a record" if not octets else "inside a record")
            octets += more
        return octets

    def read_record(self):
        """(type, plaintext) of the next record; an alert other than close_notify is raised."""
        while True:
            header = self._exactly(5)
            kind, _, bytes_wanted = struct.unpack("!BHH", header)
            body = self._exactly(bytes_wanted)
            if kind == CHANGE_CIPHER_SPEC:
                continue
            if kind == DATA:
                kind, body = self.read_keys.open(header, body)
            if kind == ALERT and body[1] != 0:
                raise Alert(ALERTS.get(body[1], str(body[1])))
            return kind, body

    def read_messages(self):
        """Handshake messages, one at a time."""
        octets = b""
        while True:
            while len(octets) >= 4 and len(octets) >= (end := 4 + int.from_bytes(octets[1:4], "big")):
                one, octets = octets[:end], octets[end:]
                yield one
            kind, body = self.read_record()
            assert kind == HANDSHAKE, f"record of type {kind} in a handshake"
            octets += body

    def read_server_hello(self):
        """Takes the server's hello and derives the handshake keys. True: it is a HelloRetryRequest."""
        answer = next(self.read_messages())
        assert answer[0] == SERVER_HELLO
        if answer[6:38] == RETRY_RANDOM:
            self.transcript = message(254, hashlib.sha256(self.transcript).digest()) + answer
            return True
        self.transcript += answer
        at = 4 + 2 + 32
        at += 1 + answer[at] + 3 + 2
        theirs = None
        while at < len(answer):
            kind, length = struct.unpack_from("!HH", answer, at)
            if kind == KEY_SHARE:
                theirs = answer[at + 8:at + 4 + length]
            at += 4 + length
        shared = self.private.exchange(x25519.X25519PublicKey.from_public_bytes(theirs))
        self._derive("handshake", shared)
        self.write_keys = _Keys(self.secrets["client handshake"])
        self.read_keys = _Keys(self.secrets["server handshake"])
        return False

    def read_server_flight(self):
        """EncryptedExtensions to Finished; the application keys are known afterwards, not yet used."""
        seen = []
        for one in self.read_messages():
            seen.append(one[0])
            self.transcript += one
            if one[0] == FINISHED:
                break
        self._derive("data", None)
        return seen

    def _derive(self, name, shared):
        """RFC 8446 section 7.1; "handshake" first, then "data"."""
        empty = hashlib.sha256(b"").digest()
        if name == "handshake":
            early = _extract(bytes(32), bytes(32))
            self.secrets["handshake"] = _extract(_expand_label(early, b"derived", empty, 32), shared)
            labels, secret = (b"c hs traffic", b"s hs traffic"), self.secrets["handshake"]
        else:
            secret = _extract(_expand_label(self.secrets["handshake"], b"derived", empty, 32), bytes(32))
            labels = (b"c ap traffic", b"s ap traffic")
        so_far = hashlib.sha256(self.transcript).digest()
        self.secrets[f"client {name}"] = _expand_label(secret, labels[0], so_far, 32)
        self.secrets[f"server {name}"] = _expand_label(secret, labels[1], so_far, 32)

    def handshake(self):
        """The whole honest handshake."""
        self.send_hello()
        assert not self.read_server_hello()
        self.read_server_flight()
        self.finish()
        return self

    def read_answer(self):
        """(the octets the server says, whether close_notify ended them); KeyUpdates are followed."""
        octets = b""
        while True:
            try:
                kind, body = self.read_record()
            except Closed:
                return octets, False
            if kind == ALERT:
                return octets, True
            if kind == DATA:
                octets += body
            elif body[0] == KEY_UPDATE:
                self.read_keys = self.read_keys.updated()
