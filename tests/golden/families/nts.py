"""C01-C19, C21, C24: extension fields and NTS. Signed here by pycryptodome."""

import struct

from nts_client import AUTHENTICATOR, COOKIE, PLACEHOLDER, UNIQUE_IDENTIFIER
from world import (C2S, CURRENT_KEY, NEXT_KEY, OLD_KEY, RETIRED_KEY, S2C, UID, Row, authenticator, cookie, cookie_field,
                   field, ipv4, ipv6, key_of, nts, patched, placeholder, plain, ring_key, sealed, shape, uid)

UNKNOWN = 0x2005  # a field type nobody has registered
COOKIE_AT = 48 + 36 + 4  # of the usual request


def turned(octets, at, mask=1):
    return patched(octets, at, bytes([octets[at] ^ mask]))


def raw_authenticator(nonce_length, seal_length, body):
    return field(AUTHENTICATOR, struct.pack("!HH", nonce_length, seal_length) + body)


def field_lengths():
    room = 60
    for length in (0, 1, 2, 3, 4, 8, 12, 15, 17, 18, 19, 29, room + 8, room + 5, 65532, 65535):
        yield Row(f"C01 C02 a field of length {length}", ipv4(plain() + field(UNKNOWN, bytes(room), length)), "drop_extension")
    for octets in (4, 8, 12, 16, 20, 24):
        verdict = "drop_mac" if octets in (4, 20, 24) else "drop_trailing"
        yield Row(f"C03 a last field of {octets} octets", ipv4(plain() + field(UNKNOWN, bytes(octets - 4))), verdict)
    yield Row("C03 a last field of 28 octets", ipv4(plain() + field(UNKNOWN, bytes(24))), "answer_plain")
    yield Row("C03 16 octets before another", ipv4(plain() + field(UNKNOWN, bytes(12)) + uid()), "answer_plain")
    filler = field(UNKNOWN, bytes(12))
    for count in (1, 10, 31):
        yield Row(f"C04 {count} unknown fields before an identifier", ipv4(plain() + filler * count + uid()), "answer_plain")
    for count in (32, 33, 70):
        yield Row(f"C04 {count} unknown fields before an identifier", ipv4(plain() + filler * count + uid()),
                  "drop_extension_count")
    yield Row("C04 unknown fields between those of NTS", ipv4(shape(filler, uid(), filler, cookie_field(), filler)),
              "answer_nts")
    yield Row("C05 NTS on version 3", ipv4(nts(header=plain(3))), "drop_trailing")


def identifiers():
    yield Row("C06 no identifier", ipv4(shape(cookie_field())), "drop_unique_identifier")
    yield Row("C06 two identifiers", ipv4(shape(uid(), uid(), cookie_field())), "drop_unique_identifier")
    yield Row("C06 two identifiers without NTS", ipv4(plain() + uid() + uid()), "drop_unique_identifier")
    for octets in (12, 16, 28):
        yield Row(f"C06 an identifier of {octets} octets", ipv4(shape(uid(UID[:octets]), cookie_field())),
                  "drop_unique_identifier")
    yield Row("C06 an identifier of no octets", ipv4(shape(field(UNIQUE_IDENTIFIER, b""), cookie_field())), "drop_extension")
    for octets in (32, 36, 64):
        yield Row(f"C06 an identifier of {octets} octets", ipv4(shape(uid((UID * 2)[:octets]), cookie_field())),
                  "answer_nts")
    yield Row("C06 an identifier of 1000 octets", ipv4(shape(uid(UID * 31 + UID[:8]), cookie_field())), "answer_nts")


def cookies():
    yield Row("C07 no cookie", ipv4(shape(uid())), "drop_cookie")
    yield Row("C07 two cookies", ipv4(shape(uid(), cookie_field(), cookie_field())), "drop_cookie")
    good = cookie()
    for octets in (12, 16, 96, 104, 256, 1000):
        text = good[:octets] if octets <= 100 else good.ljust(octets, b"\x77")
        yield Row(f"C07 a cookie of {octets} octets", ipv4(shape(uid(), cookie_field(text))), "nak_cookie")
    yield Row("C07 a cookie of no octets", ipv4(shape(uid(), cookie_field(b""))), "drop_extension")
    for octets in (1, 15, 99, 101):
        yield Row(f"C07 a cookie of {octets} octets, which is no multiple of four",
                  ipv4(shape(uid(), cookie_field(good.ljust(octets, b"\x77")[:octets]))), "drop_extension")
    request = nts()
    for at in range(100):
        verdict = "nak_key_unknown" if at < 3 else "nak_cookie"
        if at == 3:  # the last octet of the key's id: 7 becomes 6, which opens, and this cookie not
            verdict = "nak_cookie"
        yield Row(f"C08 octet {at} of the cookie changed", ipv4(turned(request, COOKIE_AT + at)), verdict)
    for name, number, verdict in (("accepted, older", OLD_KEY, "answer_nts"), ("current", CURRENT_KEY, "answer_nts"),
                                  ("accepted, newer", NEXT_KEY, "answer_nts"), ("retired", RETIRED_KEY, "nak_key_retired"),
                                  ("unknown", 9, "nak_key_unknown"), ("in the same slot", 7 + 128, "nak_key_unknown"),
                                  ("zero", 0, "nak_key_unknown"), ("all ones", 0xFFFFFFFF, "nak_key_unknown")):
        key = ring_key(number & 0xFF)
        yield Row(f"C09 a key that is {name}", ipv4(shape(uid(), cookie_field(cookie(number, key)))), verdict)
    for name, inner in (("63", (C2S + S2C)[:63]), ("65", C2S + S2C + b"\0"), ("32", C2S), ("0", b"")):
        forged = cookie(plaintext=inner)
        forged = forged.ljust(100, b"\0")[:100]
        yield Row(f"C10 a cookie of ours around {name} octets of keys", ipv4(shape(uid(), cookie_field(forged))), "nak_cookie")
    other = cookie(plaintext=key_of(0x01) + key_of(0x02))
    yield Row("C10 the cookie of another session", ipv4(shape(uid(), cookie_field(other))), "nak_authenticator")
    yield Row("C10 the cookie of another session with its own key",
              ipv4(shape(uid(), cookie_field(other), key=key_of(0x01))), "answer_nts")


def authenticators():
    bare = plain() + uid() + cookie_field()
    yield Row("C11 no authenticator", ipv4(bare), "drop_authenticator")
    whole = bare + authenticator(bare)
    yield Row("C11 a field behind the authenticator is as if it were not there", ipv4(whole + placeholder()), "answer_nts")
    yield Row("C11 a second authenticator", ipv4(whole + authenticator(whole)), "answer_nts")
    yield Row("C11 a cookie behind the authenticator", ipv4(whole + cookie_field()), "answer_nts")
    yield Row("C11 octets behind the authenticator", ipv4(whole + b"\xff" * 21), "answer_nts")
    yield Row("C11 the cookie behind the authenticator only",
              ipv4(shape(uid()) + cookie_field()), "drop_cookie")
    seal = sealed(C2S, b"\x5a" * 16, bare)
    body = b"\x5a" * 16 + seal
    for nonce_length, seal_length in ((0, 16), (16, 0), (16, 15), (17, 16), (16, 17), (65535, 16), (16, 65535),
                                      (65535, 65535), (32, 16), (16, 32), (65535, 1), (65532, 20)):
        yield Row(f"C12 nonce of {nonce_length}, ciphertext of {seal_length} in 32 octets",
                  ipv4(bare + raw_authenticator(nonce_length, seal_length, body)), "drop_authenticator")
    yield Row("C12 a nonce of 15 octets", ipv4(shape(uid(), cookie_field(), nonce=b"\x5a" * 15)), "answer_nts")
    yield Row("C12 a nonce of 17 octets", ipv4(shape(uid(), cookie_field(), nonce=b"\x5a" * 17)), "answer_nts")
    yield Row("C12 a nonce of 64 octets", ipv4(shape(uid(), cookie_field(), nonce=b"\x5a" * 64)), "answer_nts")
    yield Row("C12 an authenticator of no octets", ipv4(bare + field(AUTHENTICATOR, bytes(24))), "drop_authenticator")
    for name, tag in (("zeros", bytes(16)), ("ones", b"\xff" * 16)):
        yield Row(f"C13 an empty text under a tag of {name}",
                  ipv4(bare + raw_authenticator(16, 16, b"\x5a" * 16 + tag)), "nak_authenticator")
    yield Row("C13 an empty text under the right tag", ipv4(whole), "answer_nts")
    tag_at = len(whole) - 16
    for bit in range(128):
        yield Row(f"C14 bit {bit} of the tag turned", ipv4(turned(whole, tag_at + bit // 8, 1 << bit % 8)),
                  "nak_authenticator")
    for at in range(16):
        yield Row(f"C14 octet {at} of the nonce changed", ipv4(turned(whole, tag_at - 16 + at)), "nak_authenticator")
    for at in (*range(1, 48), *range(52, 84, 5)):
        yield Row(f"C14 octet {at} of the associated data changed", ipv4(turned(whole, at)), "nak_authenticator")
    short = bare + field(AUTHENTICATOR, struct.pack("!HH", 4, 16) + b"\x5a" * 4 + sealed(C2S, b"\x5a" * 4, bare))
    yield Row("C15 a nonce of 4 octets and no additional padding", ipv4(short), "drop_authenticator")
    padded = bare + field(AUTHENTICATOR, struct.pack("!HH", 4, 16) + b"\x5a" * 4 + sealed(C2S, b"\x5a" * 4, bare) + bytes(12))
    yield Row("C15 a nonce of 4 octets and the padding of RFC 8915 section 5.6", ipv4(padded), "answer_nts")
    for extra in (4, 64):
        yield Row(f"C15 {extra} octets of padding more than is due", ipv4(shape(uid(), cookie_field(), extra=extra)),
                  "answer_nts")
    for name, inner, verdict in (
            ("of length 0", field(UNKNOWN, b"", 0), "drop_encrypted"), ("of length 3", field(UNKNOWN, b"", 3), "drop_encrypted"),
            ("past the end", field(UNKNOWN, bytes(8), 16), "drop_encrypted"),
            ("of length 65532", field(UNKNOWN, bytes(8), 65532), "drop_encrypted"),
            ("cut in its header", b"\x20\x05", "drop_encrypted"), ("no multiple of four", field(UNKNOWN, b"\0", 5), "drop_encrypted"),
            ("of four octets", field(UNKNOWN, b""), "answer_nts"), ("and another", field(UNKNOWN, bytes(4)) * 2, "answer_nts")):
        yield Row(f"C16 an encrypted field {name}", ipv4(shape(uid(), cookie_field(), inner=inner)), verdict)
    yield Row("C16 33 encrypted fields", ipv4(shape(uid(), cookie_field(), inner=field(UNKNOWN, b"") * 33)), "drop_encrypted")
    yield Row("C16 32 encrypted fields", ipv4(shape(uid(), cookie_field(), inner=field(UNKNOWN, b"") * 32)), "answer_nts")


def placeholders():
    for count in range(11):
        yield Row(f"C17 {count} placeholders", ipv4(nts(count)), "answer_nts")
    small = field(PLACEHOLDER, bytes(12))
    yield Row("C17 33 placeholders of another length", ipv4(shape(uid(), cookie_field(), small * 33)), "drop_extension_count")
    yield Row("C17 a placeholder inside", ipv4(shape(uid(), cookie_field(), inner=placeholder())), "answer_nts")
    yield Row("C17 seven inside", ipv4(shape(uid(), cookie_field(), inner=placeholder() * 7)), "answer_nts")
    yield Row("C17 five outside and five inside", ipv4(shape(uid(), cookie_field(), placeholder() * 5,
                                                             inner=placeholder() * 5)), "answer_nts")
    yield Row("C17 a placeholder inside of another length", ipv4(shape(uid(), cookie_field(), inner=placeholder(96))),
              "drop_placeholder")
    yield Row("C18 placeholders without a cookie", ipv4(shape(uid(), placeholder())), "drop_cookie")
    for octets in (12, 96, 104, 200):
        yield Row(f"C18 a placeholder of {octets} octets", ipv4(shape(uid(), cookie_field(), placeholder(octets))),
                  "drop_placeholder")
    yield Row("C18 one right and one wrong", ipv4(shape(uid(), cookie_field(), placeholder(), placeholder(104))),
              "drop_placeholder")
    for room in range(28, 640, 28):
        yield Row(f"C19 an unknown field of {room} octets leaves room that is not asked for",
                  ipv4(shape(uid(), cookie_field(), placeholder(), field(UNKNOWN, bytes(room - 4)))), "answer_nts")


def rows():
    yield from field_lengths()
    yield from identifiers()
    yield from cookies()
    yield from authenticators()
    yield from placeholders()
    yield Row("C21 one cookie from 192.0.2.77", ipv4(nts(2)), "answer_nts")
    yield Row("C21 the same cookie from 192.0.2.78", ipv4(nts(2), src="192.0.2.78"), "answer_nts")
    yield Row("C21 the same cookie over IPv6", ipv6(nts(2)), "answer_nts")
    yield Row("C24 a kiss as long as may be", ipv4(turned(nts(7), 130)), "nak_cookie")
    yield Row("C24 a kiss over IPv6", ipv6(turned(nts(), 130)), "nak_cookie")
