"""B01-B09: the NTP header, and what may stand behind it without NTS."""

import struct

from world import Row, field, ipv4, ipv6, plain, uid

# Mode 6 "read variables" and mode 7 "monlist" as ntpq, ntpdc and nmap's ntp-info and ntp-monlist send them.
READVAR = bytes.fromhex("1602000100000000 00000000".replace(" ", ""))
MONLIST = bytes.fromhex("1700032a00000000")
MONLIST_LONG = MONLIST + bytes(184)


def rows():
    whole = plain()
    for octets in range(48):
        yield Row(f"B01 {octets} octets", ipv4(whole[:octets]), "drop_short")
    for version in range(8):
        served = version in (3, 4)
        for mode in range(8):
            if mode != 3:
                yield Row(f"B02 version {version} mode {mode}", ipv4(plain(version, mode)),
                          "drop_mode" if served else "drop_version")
        yield Row(f"B03 version {version}", ipv4(plain(version)), "answer_plain" if served else "drop_version")
    ours = plain(4, 4, stratum=1, reference=b"\xee" * 8, origin=b"\x11" * 8, receive=b"\xee" * 8)
    kiss = plain(4, 4, leap=3, root=bytes(8) + b"NTSN", origin=b"\x11" * 8, receive=b"\xee" * 8)
    yield Row("B04 an answer as we give it", ipv4(ours), "drop_mode")
    yield Row("B04 an answer from port 123 to port 123", ipv4(ours, source_port=123), "drop_mode")
    yield Row("B04 a kiss as we give it", ipv4(kiss + uid()), "drop_mode")
    yield Row("B04 a kiss over IPv6", ipv6(kiss + uid()), "drop_mode")
    yield Row("B05 readvar of 12 octets", ipv4(READVAR), "drop_short")
    yield Row("B05 readvar padded", ipv4(READVAR.ljust(48, b"\0")), "drop_version")
    yield Row("B05 readvar of version 4", ipv4(bytes([0x26]) + READVAR[1:].ljust(47, b"\0")), "drop_mode")
    yield Row("B05 monlist of 8 octets", ipv4(MONLIST), "drop_short")
    yield Row("B05 monlist of 192 octets", ipv4(MONLIST_LONG), "drop_version")
    yield Row("B05 monlist of version 4", ipv4(bytes([0x27]) + MONLIST_LONG[1:]), "drop_mode")

    for leap in range(4):
        yield Row(f"B06 leap {leap}", ipv4(plain(leap=leap)), "answer_plain")
    for stratum in (1, 2, 15, 16, 17, 255):
        yield Row(f"B06 stratum {stratum}", ipv4(plain(stratum=stratum)), "answer_plain")
    for poll in (-128, -1, 0, 3, 4, 5, 16, 17, 18, 127):
        yield Row(f"B06 poll {poll}", ipv4(plain(poll=poll)), "answer_plain")
    for precision in (-128, 127):
        yield Row(f"B06 precision {precision}", ipv4(plain(precision=precision)), "answer_plain")
    yield Row("B06 root delay, dispersion and reference all ones", ipv4(plain(root=b"\xff" * 12, reference=b"\xff" * 8)),
              "answer_plain")
    era = 0xFFFFFFFF
    for name, units in (("0", 0), ("all ones", (1 << 64) - 1), ("one unit", 1),
                        ("a second before 2036-02-07", (era - 1) << 32), ("the last unit of era 0", era << 32 | 0xFFFFFFFF),
                        ("the first second of era 1", 1 << 32), ("1900", 0x80000000), ("2106", 0x83AA7E80 << 32)):
        yield Row(f"B07 transmit {name}", ipv4(plain(transmit=struct.pack("!Q", units))), "answer_plain")
    yield Row("B08 origin set", ipv4(plain(origin=b"\x31" * 8)), "answer_plain")
    yield Row("B08 receive set", ipv4(plain(receive=b"\x32" * 8)), "answer_plain")
    yield Row("B08 as an interleaved client asks", ipv4(plain(origin=b"\x31" * 8, receive=b"\x32" * 8)), "answer_plain")
    for octets in range(1, 28):
        verdict = "drop_mac" if octets in (4, 20, 24) else "drop_trailing"
        for version in (3, 4):
            yield Row(f"B09 version {version}, {octets} octets behind the header", ipv4(plain(version) + b"\x5b" * octets),
                      verdict)
    yield Row("B09 version 3 with an extension field", ipv4(plain(3) + uid()), "drop_trailing")
    yield Row("B09 a key identifier of zero, which is a crypto-NAK", ipv4(whole + bytes(4)), "drop_mac")
    yield Row("P25 an identifier alone is echoed", ipv4(whole + uid()), "answer_plain")
    yield Row("P25 an identifier before a MAC", ipv4(whole + uid() + bytes(20)), "drop_mac")
    yield Row("P25 a field nobody knows, of 28 octets", ipv4(whole + field(0x2005, bytes(24))), "answer_plain")
