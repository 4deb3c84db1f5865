"""A25-A29, A31: UDP."""

import struct

from world import Row, ipv4, ipv6, nts, patched, plain

UDP_AT = {ipv4: 34, ipv6: 54}
FAMILIES = {"IPv4": ipv4, "IPv6": ipv6}


def gap(make, length):
    """A datagram of 48 octets whose IP payload goes on for `length` more."""
    datagram_bytes = 56
    octets = make(plain() + b"\xe5" * length)
    right = make()
    at = UDP_AT[make]
    checksum = right[at + 6:at + 8]  # covers the UDP length only
    return patched(octets, at + 4, struct.pack("!H", datagram_bytes) + checksum)


def rows():
    for name, make in FAMILIES.items():
        at = UDP_AT[make]
        for length in (0, 1, 7, 57, 58, 1480, 65535):
            yield Row(f"A25 {name}: UDP length {length} of 56", patched(make(), at + 4, struct.pack("!H", length)),
                      "frame.drop_udp_length")
        for length in (1, 2, 3, 4, 100):
            yield Row(f"A25 {name}: {length} octets between the datagram and the packet's end", gap(make, length),
                      "answer_plain")
        yield Row(f"A26 {name}: UDP checksum 0", make(udp={"chksum": 0}),
                  "answer_plain" if make is ipv4 else "frame.drop_udp_checksum")
        right = struct.unpack_from("!H", make(), at + 6)[0]
        for bit in range(16):
            yield Row(f"A27 {name}: bit {bit} of the checksum turned", make(udp={"chksum": right ^ 1 << bit}),
                      "frame.drop_udp_checksum")
        for octet in (0, 17, 47):
            wrong = patched(make(), at + 8 + octet, bytes([make()[at + 8 + octet] ^ 0x40]))
            yield Row(f"A27 {name}: octet {octet} of the payload changed", wrong, "frame.drop_udp_checksum")
        ones = find_all_ones(make)
        yield Row(f"A27 {name}: a checksum that comes to 0 is sent as all ones", ones, "answer_plain")
        yield Row(f"A28 {name}: source port 0", make(source_port=0), "frame.drop_source_port")
        for port in (1, 122, 123, 1023, 1024, 65535):
            yield Row(f"A28 {name}: source port {port}", make(source_port=port), "answer_plain")
        for port in (0, 122, 124, 319, 320, 4460, 31488, 65535):
            yield Row(f"A29 {name}: to port {port}", make(port=port), "frame.pass_other")
        yield Row(f"A31 {name}: as long as a request may be", make(nts(7).ljust(1472, b"\0")), "answer_nts")
        yield Row(f"A31 {name}: one octet longer", make(nts(7).ljust(1473, b"\0")), "frame.drop_too_long")
        yield Row(f"A31 {name}: 1900 octets", make(bytes([0x23]) + bytes(1899)), "frame.drop_too_long")
        yield Row(f"A31 {name}: 9000 octets", make(bytes([0x23]) + bytes(8999)), "frame.drop_segmented")
    yield Row("A31 the longest datagram there is", ipv4(bytes([0x23]) + bytes(65506)), "frame.drop_segmented")


def find_all_ones(make):
    """A request whose UDP checksum comes to zero: a transmit stamp is found that makes it so."""
    at = UDP_AT[make]
    base = struct.unpack_from("!H", make(plain(transmit=bytes(8))), at + 6)[0]
    octets = make(plain(transmit=bytes(6) + struct.pack("!H", base)))
    assert octets[at + 6:at + 8] == b"\xff\xff"
    return octets
