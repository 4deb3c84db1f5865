"""A09-A17, A24 over IPv4."""

import struct

from scapy.layers.inet import (IP, UDP, ICMP, TCP, IPOption_EOL, IPOption_LSRR, IPOption_NOP, IPOption_RR,
                               IPOption_Router_Alert, IPOption_Timestamp)
from scapy.packet import Raw

from world import (CLIENT_IPV4, CLIENT_PORT, SECOND_IPV4, SERVER_IPV4, Row, ethernet, ipv4, nts, patched, plain)

IP_AT, UDP_AT = 14, 34


def with_first_octet(value):
    return patched(ipv4(), IP_AT, bytes([value]))


def with_total(value):
    """Total length `value`, its checksum right."""
    return ipv4(len=value, chksum=None)


def fragment(offset, more, data):
    """A fragment of a datagram to port 123: `data` at 8 * offset."""
    ip = IP(src=CLIENT_IPV4, dst=SERVER_IPV4, ttl=61, id=7, proto=17, frag=offset, flags="MF" if more else 0)
    return bytes(ethernet() / ip / Raw(data))


def fragments():
    datagram = bytes(UDP(sport=CLIENT_PORT, dport=123, len=56, chksum=0) / Raw(plain()))
    yield "first", fragment(0, True, datagram[:32])
    yield "middle", fragment(2, True, datagram[16:32])
    yield "last", fragment(4, False, datagram[32:])
    yield "first of 8 octets", fragment(0, True, datagram[:8])
    yield "second, overlapping the first", fragment(1, False, datagram)
    yield "first with the whole datagram", fragment(0, True, datagram)
    yield "that ends beyond 65535", fragment(0x1FFF, False, datagram)
    yield "without data", fragment(3, True, b"")


def rows():
    for version in range(16):
        if version != 4:
            yield Row(f"A09 version {version}", with_first_octet(version << 4 | 5), "frame.drop_ipv4_header")
    for words in range(16):
        if words != 5:
            yield Row(f"A09 header length of {words} words", with_first_octet(0x40 | words), "frame.drop_ipv4_header")
    for total in (0, 1, 19):
        yield Row(f"A10 total length {total}", with_total(total), "frame.drop_ipv4_header")
    for total in (20, 21, 27, 28, 29, 75):
        yield Row(f"A10 total length {total}", with_total(total), "frame.drop_udp_length")
    for total in (77, 78, 1500, 65535):
        yield Row(f"A10 total length {total}, one frame of 76", with_total(total), "frame.drop_truncated")

    options = {"record route": [IPOption_RR(length=7, pointer=4, routers=["0.0.0.0"])],
               "timestamp": [IPOption_Timestamp(length=8, pointer=5, flg=0, internet_address=None)],
               "loose source route": [IPOption_LSRR(length=7, pointer=4, routers=["192.0.2.9"])],
               "router alert": [IPOption_Router_Alert()],
               "no operation": [IPOption_NOP()] * 4,
               "end of list": [IPOption_EOL()]}
    for name, option in options.items():
        yield Row(f"A11 option {name}", ipv4(options=option), "frame.drop_ipv4_header")
    garbage = ipv4(options=[IPOption_NOP()] * 40)
    yield Row("A11 forty octets of no operation", garbage, "frame.drop_ipv4_header")
    yield Row("A11 forty octets of garbage", patched(garbage, IP_AT + 20, bytes(range(0x90, 0xB8))), "frame.drop_ipv4_header")

    right = struct.unpack_from("!H", ipv4(), IP_AT + 10)[0]
    for name, value in (("zero", 0), ("all ones", 0xFFFF), ("one more", right + 1), ("octets swapped",
                        (right << 8 | right >> 8) & 0xFFFF)):
        yield Row(f"A12 header checksum {name}", ipv4(chksum=value), "frame.drop_ipv4_checksum")
    for octet in (1, 2, 3, 4, 5, 6, 7, 8, 12, 15):
        wrong = patched(ipv4(), IP_AT + octet, bytes([ipv4()[IP_AT + octet] ^ 1]))
        verdict = "frame.drop_truncated" if octet in (2, 3) else "frame.drop_ipv4_checksum"
        yield Row(f"A12 octet {octet} of the header changed", wrong, verdict)

    for name, frame in fragments():
        yield Row(f"A13 fragment {name}", frame, "frame.drop_fragment")
    yield Row("A13 the flag that is reserved says nothing", ipv4(flags="evil"), "answer_plain")
    yield Row("A14 DF and as long as an MTU", ipv4(nts(7).ljust(1472, b"\0")), "answer_nts")
    yield Row("A14 without DF", ipv4(flags=0), "answer_plain")
    yield Row("A14 TTL 0", ipv4(ttl=0), "frame.drop_ttl")
    yield Row("A14 TTL 1", ipv4(ttl=1), "answer_plain")
    yield Row("A14 TTL 255", ipv4(ttl=255), "answer_plain")

    for name, protocol in (("ICMP", 1), ("IGMP", 2), ("TCP", 6), ("GRE", 47), ("ESP", 50), ("SCTP", 132), ("UDP-Lite", 136),
                           ("none", 255), ("zero", 0)):
        yield Row(f"A15 protocol {name}", ipv4(proto=protocol), "frame.pass_other")
    to_us = IP(src=CLIENT_IPV4, dst=SERVER_IPV4)
    yield Row("A15 a TCP segment to port 123", bytes(ethernet() / to_us / TCP(dport=123)), "frame.pass_other")
    yield Row("A15 an echo request", bytes(ethernet() / to_us / ICMP()), "frame.pass_other")

    for address in ("0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.254", "224.0.0.1", "224.0.1.1", "239.255.255.255",
                    "240.0.0.1", "255.255.255.255", "192.0.2.0", "192.0.2.255", "10.123.0.255", SERVER_IPV4, SECOND_IPV4):
        yield Row(f"A16 from {address}", ipv4(src=address), "frame.drop_source_address")
    for address in ("1.0.0.1", "126.255.255.255", "128.0.0.1", "192.0.2.254", "192.0.3.255", "223.255.255.255", "10.0.0.1"):
        yield Row(f"A16 from {address}, as good as any", ipv4(src=address), "answer_plain")
    for address in ("192.0.2.2", "192.0.2.0", "192.0.2.255", "224.0.1.1", "255.255.255.255", "127.0.0.1", "0.0.0.0"):
        yield Row(f"A17 to {address}", ipv4(dst=address), "frame.pass_other")
    yield Row("A17 to the second address", ipv4(dst=SECOND_IPV4), "answer_plain")
