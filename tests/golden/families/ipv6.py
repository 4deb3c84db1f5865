"""A18-A24: IPv6. No extension header is served (dataplane/frame.h)."""

import struct

from scapy.layers.inet import UDP
from scapy.layers.inet6 import (IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, Jumbo,
                                PadN)
from scapy.packet import Raw

from world import (CLIENT_IPV6, CLIENT_LINK_LOCAL, CLIENT_PORT, SECOND_IPV6, SERVER_IPV6, SERVER_LINK_LOCAL, Row, ethernet,
                   ipv6, nts, patched, plain)

IP_AT = 14
EXTENSIONS = {"hop-by-hop": 0, "routing": 43, "ESP": 50, "AH": 51, "no next header": 59, "destination options": 60,
              "mobility": 135, "HIP": 139, "Shim6": 140, "experiment 253": 253, "experiment 254": 254}


def datagram():
    return UDP(sport=CLIENT_PORT, dport=123) / Raw(plain())


def behind(*headers, **changes):
    """The usual request behind these extension headers."""
    frame = ethernet() / IPv6(**{"src": CLIENT_IPV6, "dst": SERVER_IPV6, "hlim": 61, **changes})
    for header in headers:
        frame /= header
    return bytes(frame / datagram())


def chain(length):
    """`length` destination options of eight octets, then the request."""
    header = struct.pack("!BBBB4x", 60, 0, 1, 4)
    last = struct.pack("!BBBB4x", 17, 0, 1, 4)
    return bytes(ethernet() / IPv6(src=CLIENT_IPV6, dst=SERVER_IPV6, nh=60) /
                 Raw(header * (length - 1) + last + bytes(UDP(sport=CLIENT_PORT, dport=123) / Raw(plain()))))


def rows():
    whole = ipv6()
    for octets in range(14, len(whole), 1 if len(whole) < 120 else 3):
        yield Row(f"A18 A01 a plain request cut after {octets} octets", whole[:octets], "frame.drop_truncated")
    for version in range(16):
        if version != 6:
            yield Row(f"A18 version {version}", patched(whole, IP_AT, bytes([version << 4 | 0xA])), "frame.drop_ipv6_header")
    yield Row("A18 payload length 0", ipv6(plen=0), "frame.drop_ipv6_header")
    for length in (1, 7, 8, 9, 55):
        yield Row(f"A18 payload length {length}", ipv6(plen=length), "frame.drop_udp_length")
    for length in (57, 58, 1500, 65535):
        yield Row(f"A18 payload length {length} of 56", ipv6(plen=length), "frame.drop_truncated")

    for name, number in EXTENSIONS.items():
        yield Row(f"A19 next header {name}", ipv6(nh=number), "frame.drop_ipv6_extension")
    for name, number in (("TCP", 6), ("ICMPv6", 58), ("SCTP", 132), ("UDP-Lite", 136), ("nobody knows", 200), ("255", 255)):
        yield Row(f"A19 next header {name}", ipv6(nh=number), "frame.pass_other")
    yield Row("A19 hop-by-hop alone", behind(IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)])), "frame.drop_ipv6_extension")
    yield Row("A19 destination options alone", behind(IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)])),
              "frame.drop_ipv6_extension")
    for kind in (0, 2, 4):
        yield Row(f"A19 routing header of type {kind}", behind(IPv6ExtHdrRouting(type=kind, addresses=["2001:db8::9"])),
                  "frame.drop_ipv6_extension")
    for length in (1, 2, 8, 9, 64, 150):
        yield Row(f"A20 a chain of {length} headers", chain(length), "frame.drop_ipv6_extension")
    yield Row("A20 an extension header that ends behind the packet",
              patched(chain(1), IP_AT + 41, b"\xff"), "frame.drop_ipv6_extension")
    yield Row("A20 hop-by-hop behind another", behind(IPv6ExtHdrDestOpt(), IPv6ExtHdrHopByHop()), "frame.drop_ipv6_extension")
    for name, header in (("atomic", IPv6ExtHdrFragment(offset=0, m=0)), ("first", IPv6ExtHdrFragment(offset=0, m=1)),
                         ("later", IPv6ExtHdrFragment(offset=4, m=0)), ("overlapping", IPv6ExtHdrFragment(offset=1, m=1))):
        yield Row(f"A21 fragment header, {name}", behind(header), "frame.drop_fragment")
    yield Row("A22 jumbogram", behind(IPv6ExtHdrHopByHop(options=[Jumbo(jumboplen=70000)]), plen=0), "frame.drop_ipv6_extension")
    for flow, traffic_class in ((0, 0), (0xFFFFF, 0xFF), (1, 0x80)):
        yield Row(f"A22 flow label {flow:#x}, class {traffic_class:#x}", ipv6(fl=flow, tc=traffic_class), "answer_plain")
    for address in ("::", "::1", "::192.0.2.77", "::ffff:192.0.2.77", "ff02::1", "ff0e::101", SERVER_IPV6, SECOND_IPV6,
                    SERVER_LINK_LOCAL, CLIENT_LINK_LOCAL, "febf::1"):
        yield Row(f"A23 from {address}", ipv6(src=address), "frame.drop_source_address")
    for address in ("2001:db8:1::1", "fc00::1", "fec0::1", "1::", "0:0:1::1"):
        yield Row(f"A23 from {address}, as good as any", ipv6(src=address), "answer_plain")
    yield Row("A23 from a link-local to our link-local", ipv6(src=CLIENT_LINK_LOCAL, dst=SERVER_LINK_LOCAL), "answer_plain")
    for address in ("2001:db8::2", "ff02::101", "ff02::1", "::1", "::"):
        yield Row(f"A17 to {address}", ipv6(dst=address), "frame.pass_other")
    yield Row("A24 hop limit 0", ipv6(hlim=0), "frame.drop_ttl")
    yield Row("A24 hop limit 1", ipv6(hlim=1), "answer_plain")
    yield Row("A24 hop limit 255", ipv6(hlim=255), "answer_plain")
    yield Row("C22 NTS over IPv6", ipv6(nts(3)), "answer_nts")
