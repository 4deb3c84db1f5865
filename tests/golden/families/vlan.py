"""A04, A05: tags. One tag, 802.1Q or 802.1ad, or 802.1Q inside 802.1ad is served, whatever the VLAN, and comes back
with the answer (dataplane/frame.h)."""

from world import Row, ethernet, ipv4, ipv6, nts

Q, AD = 0x8100, 0x88A8


def tagged(*tags, make=ipv4, **more):
    return make(link=ethernet(tags=tags), **more)


def rows():
    for control in (0x0001, 0x0064, 0x0FFE, 0x0FFF, 0x2064, 0xE064, 0x1064):
        yield Row(f"A04 tag {control:#06x}", tagged((Q, control)), "answer_plain")
    yield Row("A04 a tag before IPv6", tagged((Q, 0x64), make=ipv6), "answer_plain")
    yield Row("A04 a tag before NTS", tagged((Q, 0x64), payload=nts(2)), "answer_nts")
    yield Row("A04 A08 a tag and a trailer", tagged((Q, 0x64), trailer=b"\xe5" * 40), "answer_plain")
    yield Row("A05 a priority tag", tagged((Q, 0xA000)), "answer_plain")
    yield Row("A05 a service tag alone", tagged((AD, 0x64)), "answer_plain")
    yield Row("A05 QinQ", tagged((AD, 0x0A), (Q, 0x64)), "answer_plain")
    yield Row("A05 QinQ before NTS over IPv6", tagged((AD, 0x0A), (Q, 0x64), make=ipv6, payload=nts(2)), "answer_nts")
    yield Row("A05 two service tags", tagged((AD, 0x0A), (AD, 0x64)), "frame.drop_vlan")
    yield Row("A05 QinQ of two 0x8100", tagged((Q, 0x0A), (Q, 0x64)), "frame.drop_vlan")
    yield Row("A05 QinQ the wrong way round", tagged((Q, 0x0A), (AD, 0x64)), "frame.drop_vlan")
    yield Row("A05 three tags", tagged((AD, 1), (Q, 2), (Q, 3)), "frame.drop_vlan")
    yield Row("A05 an old QinQ number", tagged((0x9100, 0x0A), (Q, 0x64)), "frame.pass_other")
    whole = tagged((Q, 0x64))
    for octets in range(12, 18):
        verdict = "frame.drop_truncated" if octets < 14 else "frame.drop_vlan"
        yield Row(f"A05 cut after {octets} octets, inside the tag", whole[:octets], verdict)
    for octets in (18, 37, 38, 45, 46, len(whole) - 1):
        yield Row(f"A05 cut after {octets} octets, behind the tag", whole[:octets], "frame.drop_truncated")
    service = tagged((AD, 0x64))
    for octets in (14, 17):
        yield Row(f"A05 a service tag cut after {octets} octets", service[:octets], "frame.drop_vlan")
    double = tagged((AD, 0x0A), (Q, 0x64))
    for octets in (18, 21):
        yield Row(f"A05 QinQ cut after {octets} octets", double[:octets], "frame.drop_vlan")
    yield Row("A05 QinQ cut after 22 octets", double[:22], "frame.drop_truncated")
