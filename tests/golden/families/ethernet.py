"""A01-A03, A06-A08: what a wire may carry below IP."""

from scapy.layers.l2 import ARP, LLC, SNAP, Dot3, Ether

from world import CLIENT_MAC, SERVER_MAC, Row, ethernet, ipv4, nts


def rows():
    whole = ipv4()
    for octets in range(len(whole)):
        yield Row(f"A01 a plain request cut after {octets} octets", whole[:octets], "frame.drop_truncated")
    yield Row("A01 whole", whole, "answer_plain")
    yield Row("A01 a datagram without payload", ipv4(b""), "drop_short")
    yield Row("A01 a datagram without payload, padded to 60 octets", ipv4(b"").ljust(60, b"\0"), "drop_short")

    behind = whole[14:]
    yield Row("A02 802.3 length", bytes(Dot3(dst=SERVER_MAC, src=CLIENT_MAC, len=len(behind))) + behind, "frame.pass_other")
    yield Row("A02 LLC", bytes(Dot3(dst=SERVER_MAC, src=CLIENT_MAC) / LLC(dsap=0x42, ssap=0x42, ctrl=3)) + behind,
              "frame.pass_other")
    yield Row("A02 SNAP around IPv4", bytes(Dot3(dst=SERVER_MAC, src=CLIENT_MAC) / LLC(dsap=0xAA, ssap=0xAA, ctrl=3) /
                                            SNAP(code=0x0800)) + behind, "frame.pass_other")
    for name, kind in (("zero", 0), ("one below Ethernet II", 0x05FF), ("PTP", 0x88F7), ("LLDP", 0x88CC), ("MPLS", 0x8847),
                       ("MPLS multicast", 0x8848), ("PPPoE", 0x8864), ("loopback", 0x9000), ("WoL", 0x0842),
                       ("IPv4 with octets swapped", 0x0008), ("all ones", 0xFFFF)):
        yield Row(f"A03 EtherType of {name}", bytes(Ether(dst=SERVER_MAC, src=CLIENT_MAC, type=kind)) + behind, "frame.pass_other")
    yield Row("A03 ARP", bytes(Ether(dst="ff:ff:ff:ff:ff:ff", src=CLIENT_MAC) / ARP(psrc="192.0.2.77", pdst="192.0.2.1")),
              "frame.pass_other")

    for name, mac in (("of somebody else", "02:70:63:61:70:01"), ("broadcast", "ff:ff:ff:ff:ff:ff"),
                      ("of 224.0.1.1", "01:00:5e:00:01:01"), ("ours as a group", "03:70:63:61:70:00"),
                      ("all zeros", "00:00:00:00:00:00")):
        yield Row(f"A06 to the MAC {name}", ipv4(link=ethernet(to=mac)), "frame.drop_mac")
    for name, mac in (("ours", SERVER_MAC), ("broadcast", "ff:ff:ff:ff:ff:ff"), ("a group's", "01:00:5e:00:01:01"),
                      ("a local group's", "03:aa:bb:cc:dd:ee"), ("all zeros", "00:00:00:00:00:00")):
        yield Row(f"A07 the source MAC is {name}", ipv4(link=ethernet(source=mac)), "frame.drop_mac")

    for octets in (1, 2, 3, 4, 18, 46, 255, 1400):
        yield Row(f"A08 {octets} octets of trailer", ipv4(trailer=b"\xe5" * octets), "answer_plain")
    yield Row("A08 a trailer behind an NTS request", ipv4(nts(1), trailer=b"\xe5" * 33), "answer_nts")
