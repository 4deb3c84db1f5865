"""af_packet beside the kernel: the same frames as af_xdp takes are ours, the rest of the host's traffic is not even
seen; frames that nobody may answer; links that go and come."""

import re
import socket
import time

import pytest
import scapy.all as scapy

from in_namespace import namespace
from lab import network
from lab_server import running, settled
from wire import REQUEST, Wire, octets_of, tags_of

DOT1Q, DOT1AD = 0x8100, 0x88A8
THIRD_MAC = "02:00:00:00:00:09"
PATIENCE_S = 20  # A39's two seconds on a machine that has them


@pytest.fixture(scope="module", name="lab")
def fixture_lab():
    with running("af-packet", dataplane={"devices": [f"af_packet:{network.SERVER_DEVICE}"]}) as lab:
        yield lab


@pytest.fixture(name="wire")
def fixture_wire(lab):
    with Wire(lab) as wire:
        yield wire


def gained(lab, wire, *frames):
    """(answers to the frames, what the counters of the dataplane gained by them alone)."""
    before, sentinels = settled(lab), wire.sentinels
    answers = wire.answers_to(*frames)
    after, sentinels = settled(lab), wire.sentinels - sentinels
    words = {name: after["frame"][name] - before["frame"][name] for name in after["frame"]}
    words["answer_plain"] = after["nts"]["answer_plain"] - before["nts"]["answer_plain"] - sentinels
    words["received"] = after["received_packets"] - before["received_packets"] - sentinels
    assert after["received_packets"] == after["verdicts"]
    return answers, {name: count for name, count in words.items() if count}


def test_the_hosts_other_traffic_never_enters_the_counters(lab, wire):
    others = [wire.request(server_port=124), wire.request(destination="10.123.0.55"),
              wire.request(payload=bytes([4 << 3 | 4]) + bytes(47)), wire.request(payload=b""),
              wire.frame(scapy.IP(src=wire.client_ip, dst=wire.server_ip) / scapy.ICMP()),
              wire.frame(scapy.IP(src=wire.client_ip, dst=wire.server_ip) / scapy.TCP(dport=123)),
              octets_of(wire.server_mac) + octets_of(wire.client_mac) + b"\x88\xcc" + bytes(60)]
    assert gained(lab, wire, *others) == ([], {})
    before = settled(lab)
    assert lab.run_in_client("ping", "-c", "3", "-i", "0.05", "-W", "2", network.SERVER_IPV4).returncode == 0
    assert settled(lab)["received_packets"] == before["received_packets"]


def test_what_is_wrong_inside_a_request_is_counted_as_before(lab, wire):
    packet = wire.packet()
    packet[scapy.UDP].chksum = 0x1234
    assert gained(lab, wire, wire.frame(packet)) == ([], {"drop_udp_checksum": 1, "received": 1})
    assert gained(lab, wire, wire.frame(wire.packet(), destination_mac=THIRD_MAC)) == (
        [], {"drop_mac": 1, "received": 1})
    answers, counts = gained(lab, wire, wire.request(), wire.request(source=network.CLIENT_IPV6,
                                                                     destination=network.SERVER_IPV6))
    assert len(answers) == 2 and counts == {"answer_plain": 2, "received": 2}


def test_A13_fragments_are_dropped_and_nobody_puts_them_together(lab, wire):
    whole = wire.packet()
    pieces = {"three": scapy.fragment(whole, fragsize=24), "tiny first": scapy.fragment(whole, fragsize=8),
              "swapped": scapy.fragment(whole, fragsize=24)[::-1]}
    first = scapy.IP(bytes(whole))
    first.flags = "MF"
    pieces["first only, all of it"] = [first]
    last = scapy.IP(bytes(whole))
    last.frag = 1
    pieces["last"] = [last]
    beyond = scapy.IP(bytes(whole))
    beyond.frag = 0x1FFF
    pieces["beyond 65535"] = [beyond]
    pieces["overlapping"] = scapy.fragment(whole, fragsize=24)[:1] + scapy.fragment(whole, fragsize=16)[1:]
    for packets in pieces.values():
        for packet in packets:
            del packet[scapy.IP].chksum
    for name, packets in pieces.items():
        packets = [scapy.IP(bytes(packet)) for packet in packets]
        assert gained(lab, wire, *map(wire.frame, packets)) == ([], {}), name
    extension = (scapy.IPv6(src=network.CLIENT_IPV6, dst=network.SERVER_IPV6) / scapy.IPv6ExtHdrFragment()
                 / scapy.UDP(sport=40123, dport=123) / REQUEST)
    assert gained(lab, wire, wire.frame(extension)) == ([], {})


def test_A16_sources_that_nobody_may_answer_are_dropped(lab, wire):
    wrong = ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
             "10.123.0.255", "10.123.0.0", network.SERVER_IPV4]
    frames = [wire.request(source=source) for source in wrong]
    assert gained(lab, wire, *frames) == ([], {"drop_source_address": len(wrong), "received": len(wrong)})
    wrong6 = ["::", "::1", "::ffff:10.123.0.2", "::10.123.0.2", "ff02::1", network.SERVER_IPV6, "fe80::1"]
    frames = [wire.request(source=source, destination=network.SERVER_IPV6) for source in wrong6]
    assert gained(lab, wire, *frames) == ([], {"drop_source_address": len(wrong6), "received": len(wrong6)})
    answers, _ = gained(lab, wire, *[wire.request(source=source) for source in ("10.123.0.254", "10.123.1.0")])
    assert len(answers) == 2


def test_A17_other_destinations_are_the_kernels(lab, wire):
    frames = [wire.request(destination=there) for there in ("10.123.0.255", "224.0.1.1", "255.255.255.255", "10.9.9.9")]
    assert gained(lab, wire, *frames) == ([], {})


def test_A04_A05_one_802_1q_tag_is_answered_behind_itself_and_other_tags_are_the_kernels(lab, wire):
    for information in (0, 100, 0xE000, 0x3FFF & ~0x1000):
        answers, counts = gained(lab, wire, wire.request([(DOT1Q, information)]))
        assert counts == {"answer_plain": 1, "received": 1}, information
        assert [tags_of(answer)[0] for answer in answers] == [[(DOT1Q, information)]]
    for tags in ([(DOT1AD, 7)], [(DOT1AD, 7), (DOT1Q, 8)], [(DOT1Q, 7), (DOT1Q, 8)],
                 [(DOT1AD, 7), (DOT1Q, 8), (DOT1Q, 9)]):
        assert gained(lab, wire, wire.request(tags)) == ([], {}), tags


def test_the_hosts_own_queries_are_not_answered_here_and_their_answers_are_not_eaten(lab):
    with namespace(lab.client_namespace):
        elsewhere = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        elsewhere.bind((network.CLIENT_IPV4, 123))
    with namespace(lab.server_namespace):
        host = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    before = settled(lab)
    with elsewhere, host:
        elsewhere.settimeout(5)
        host.settimeout(5)
        host.sendto(REQUEST, (network.CLIENT_IPV4, 123))
        _, sender = elsewhere.recvfrom(512)
        answer = bytes([4 << 3 | 4]) + b"from elsewhere".ljust(47, b"\0")
        elsewhere.sendto(answer, sender)
        assert host.recv(512) == answer, "the first that came is the one that was sent"
    after = settled(lab)
    assert after["received_packets"] == before["received_packets"] and after["sent_packets"] == before["sent_packets"]


def said_of_links(lab):
    return re.findall(r"interface \S+ has (a link again|no link)", lab.log.read_text(errors="replace"))


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "in vain"
        time.sleep(0.02)


def test_a_stats_page_that_was_deleted_is_made_again_with_its_counters(lab, wire):
    wire.answers_to()
    before = settled(lab)
    (lab.pages / "dataplane" / "stats").unlink()
    wait_until((lab.pages / "dataplane" / "stats").exists)
    wire.answers_to()
    wait_until(lambda: settled(lab)["received_packets"] > before["received_packets"])
    assert lab.ask("status")["dataplane"]["running"]


@pytest.mark.parametrize("end", ["server", "client"])
def test_A39_a_link_that_went_down_is_said_once_and_serves_again_when_it_is_back(lab, end):
    run, device = {"server": (lab.run_in_server, network.SERVER_DEVICE),
                   "client": (lab.run_in_client, network.CLIENT_DEVICE)}[end]
    with Wire(lab) as wire:
        wire.answers_to()
        pid, told = lab.ask("status")["dataplane"]["pid"], said_of_links(lab)
        run("ip", "link", "set", device, "down")
        wait_until(lambda: lab.ask("status")["dataplane"]["ports"][0].endswith("NO LINK"))
        run("ip", "link", "set", device, "up")
        back = time.monotonic()
        while True:
            try:
                wire.answers_to(seconds=1)
                break
            except (AssertionError, OSError):
                assert time.monotonic() - back < PATIENCE_S
        print(f"served again after {time.monotonic() - back:.2f} s")
        wait_until(lambda: not lab.ask("status")["dataplane"]["ports"][0].endswith("NO LINK"))
        assert lab.ask("status")["dataplane"]["pid"] == pid, "the same process"
        assert said_of_links(lab) == told + ["no link", "a link again"]


def test_A39_flaps_and_another_mtu_change_nothing(lab, wire):
    pid = lab.ask("status")["dataplane"]["pid"]
    for _ in range(20):
        lab.run_in_server("ip", "link", "set", network.SERVER_DEVICE, "down")
        lab.run_in_server("ip", "link", "set", network.SERVER_DEVICE, "up")
    wire.answers_to()
    for mtu in (9000, 576, 1500):
        lab.run_in_server("ip", "link", "set", network.SERVER_DEVICE, "mtu", mtu)
        lab.run_in_client("ip", "link", "set", network.CLIENT_DEVICE, "mtu", mtu)
        wire.answers_to()
    status = lab.ask("status")["dataplane"]
    assert status["running"] and status["pid"] == pid


def test_answers_go_to_the_reply_gateway_whoever_asked():
    devices = [f"af_packet:{network.SERVER_DEVICE}"]
    with running("af-packet-gateway", dataplane={"devices": devices,
                                                 "reply_gateways": [f"{devices[0]}={THIRD_MAC}"]}) as lab:
        with Wire(lab) as wire:
            asked = [wire.request(), wire.frame(wire.packet(), source_mac="02:00:00:00:00:77"),
                     wire.request([(DOT1Q, 5)]),
                     wire.request(source=network.CLIENT_IPV6, destination=network.SERVER_IPV6)]
            answers = wire.answers_to(*asked)
            assert len(answers) == len(asked)
            for answer in answers:
                assert answer[:6] == octets_of(THIRD_MAC) and answer[6:12] == octets_of(wire.server_mac)


def test_A04_only_the_vlans_of_the_list_are_served():
    with running("af-packet-vlans", dataplane={"devices": [f"af_packet:{network.SERVER_DEVICE}"],
                                               "vlans": [7]}) as lab:
        with Wire(lab) as wire:
            refused = [wire.request(), wire.request([(DOT1Q, 8)]), wire.request([(DOT1Q, 0)])]
            answers = wire.answers_to(*refused, wire.request([(DOT1Q, 0xE007)]), sentinel_tags=[(DOT1Q, 7)])
            assert [tags_of(answer)[0] for answer in answers] == [[(DOT1Q, 0xE007)]]
            assert settled(lab)["frame"]["drop_vlan"] == len(refused)
