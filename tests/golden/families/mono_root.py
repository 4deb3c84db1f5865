"""P40: chrony's experimental field 0xF323, asked for in the clear and under the seal, rightly and not quite."""

import struct

from world import Row, cookie_field, field, ipv4, ipv6, nts, placeholder, plain, shape, uid

MONO_ROOT, MAGIC = 0xF323, 0xF5BEDD9A
QUESTION = field(MONO_ROOT, struct.pack("!I20x", MAGIC))  # as chronyd asks
OF_ANOTHER_LENGTH = (field(MONO_ROOT, struct.pack("!I24x", MAGIC)), field(MONO_ROOT, struct.pack("!I16x", MAGIC)))
WITHOUT_MAGIC = field(MONO_ROOT, struct.pack("!I20x", MAGIC ^ 1))


def rows():
    for name, frame in (("IPv4", ipv4), ("IPv6", ipv6)):
        yield Row(f"P40 F323 plain over {name}", frame(plain() + QUESTION), "answer_plain")
        yield Row(f"P40 F323 under NTS over {name}", frame(shape(uid(), cookie_field(), QUESTION)), "answer_nts")
    yield Row("P40 F323 plain, asked with what an answer holds", ipv4(plain() + field(MONO_ROOT, struct.pack("!I", MAGIC)
                                                                                      + b"\xa5" * 20)), "answer_plain")
    yield Row("P40 F323 plain, asked twice", ipv4(plain() + QUESTION * 2), "answer_plain")
    yield Row("P40 F323 plain, behind an identifier", ipv4(plain() + uid() + QUESTION), "answer_plain")
    yield Row("P40 F323 plain, before an identifier", ipv4(plain() + QUESTION + uid()), "answer_plain")
    yield Row("P40 F323 plain, behind a field that nobody knows", ipv4(plain() + field(0x2005, bytes(24)) + QUESTION),
              "answer_plain")
    yield Row("P40 F323 plain, on version 3", ipv4(plain(3) + QUESTION), "drop_trailing")
    yield Row("P40 F323 plain, without the magic", ipv4(plain() + WITHOUT_MAGIC), "answer_plain")
    for wrong in OF_ANOTHER_LENGTH:
        verdict = "answer_plain" if len(wrong) >= 28 else "drop_mac"  # 24 octets at the end are a MAC
        yield Row(f"P40 F323 plain, of {len(wrong)} octets", ipv4(plain() + wrong), verdict)
    yield Row("P40 F323 under NTS, before the identifier", ipv4(shape(QUESTION, uid(), cookie_field())), "answer_nts")
    yield Row("P40 F323 under NTS, between identifier and cookie", ipv4(shape(uid(), QUESTION, cookie_field())),
              "answer_nts")
    yield Row("P40 F323 under NTS, with three placeholders",
              ipv4(shape(uid(), cookie_field(), placeholder() * 3, QUESTION)), "answer_nts")
    yield Row("P40 F323 under NTS, without the magic", ipv4(shape(uid(), cookie_field(), WITHOUT_MAGIC)), "answer_nts")
    yield Row("P40 F323 behind the authenticator", ipv4(nts() + QUESTION), "answer_nts")
    yield Row("P40 F323 in the sealed fields", ipv4(shape(uid(), cookie_field(), inner=QUESTION)), "answer_nts")
