"""Floods from one end of the wire while clients on the same end go on being served (TESTS.md B15-B17, J02-J06).

The clients' own words and the counters are compared with what was on the wire. What the flood's rate keeps out of the
port's ring was never seen by the server and is in no counter: nothing is said of it here. The shares that J02 and J05
ask for are shown on rings, where nothing is lost but by us (tests/dataplane/flood_test.cc).
"""

import random
import struct
import time
from dataclasses import dataclass

import pytest
import scapy.all as scapy

import nts_client
from failpoints import exchange
from flood import Answers, Flood
from lab import network
from lab_server import running, settled
from loss_counter import LossCounter
from polling import comes_true
from wire import Wire, ports_of

FRAMES = 30_000  # of the flood at least, while the clients are served
GOOD = 60  # answers to the clients meanwhile
STRANGER = "10.123.0.77"
KISSES = 200  # a second and core
LIMIT = 1000  # requests a second and source: a client sends 100 of each kind
NTP_HEADER = 48


@pytest.fixture(scope="module", name="lab")
def fixture_lab():
    with running("flood", rate_limit={"kisses_per_s": KISSES}) as lab:
        yield lab


@dataclass
class Outcome:
    """What one flood brought."""
    gained: dict  # of all verdicts, without zeros
    received: int
    sent: int
    octets_in: int
    octets_out: int
    seconds: float
    flood: Flood
    client: LossCounter
    client_port: int
    answers: list  # frames from UDP port 123 that came to the client's end
    others: list  # UDP from another port, and what ICMP says of packets that nobody wanted
    ear_lost: int  # frames of any kind that our own ear missed

    def answered(self):
        return sum(count for name, count in self.gained.items() if name.startswith(("answer_", "nak_", "kiss_")))

    def earned_nothing(self):
        """True when nothing at all came for the flood; nobody can say so with an ear that missed something."""
        assert self.ear_lost == 0
        return self.to_strangers() == [] and self.others == []

    def to_strangers(self):
        return [frame for frame in self.answers if ports_of(frame)[1] != self.client_port]


def endure(lab, frames):
    """The flood, and clients beside it until both have had enough; everything reconciles whatever it was."""
    session = exchange(lab)
    before, begun = settled(lab), time.monotonic()
    with Answers(lab) as ear:
        with LossCounter(lab, [session]) as client, Flood(lab, frames) as flood:
            client_port = client._socket.getsockname()[1]  # pylint: disable=protected-access
            assert flood.has_sent(FRAMES // 10)
            good = client.good
            assert comes_true(lambda: client.good >= good + GOOD), client.losses()
            assert flood.has_sent(FRAMES)
            assert flood.lasts(), "all of that was while it lasted"
        after, seconds = settled(lab), time.monotonic() - begun
    gained = {name: after[part][name] - before[part][name] for part in ("frame", "nts") for name in after[part]}
    delta = {name: after[name] - before[name] for name in
             ("received_packets", "sent_packets", "received_octets", "sent_octets", "verdicts")}
    answers, others = [], []
    for frame in ear.frames:
        try:
            (answers if ports_of(frame)[0] == 123 else others).append(frame)
        except (ValueError, struct.error):
            if is_icmp_error(frame):
                others.append(frame)
    outcome = Outcome({name: count for name, count in gained.items() if count}, delta["received_packets"],
                      delta["sent_packets"], delta["received_octets"], delta["sent_octets"], seconds, flood, client,
                      client_port, answers, others, ear.dropped)
    assert delta["received_packets"] == delta["verdicts"] == sum(gained.values())
    assert outcome.sent == outcome.answered() <= outcome.received
    assert outcome.octets_out <= outcome.octets_in
    assert outcome.received <= flood.sent + client.sent
    print(f"{flood.sent} sent, {outcome.received} received, {outcome.sent} answered, {outcome.ear_lost} not heard")
    assert len(answers) <= outcome.sent <= len(answers) + outcome.ear_lost, "each counted was on the wire, and no other"
    assert not client.wrong and not client.naks and not client.unsynchronised, client.losses()
    assert outcome.gained["answer_plain"] + outcome.gained["answer_nts"] >= client.good
    return outcome


def is_icmp_error(frame):
    """Unreachable, time exceeded and the like (RFC 792, RFC 4443): neighbour discovery and TCP are none."""
    if frame[12:14] == b"\x08\x00" and frame[23] == 1:
        return frame[34] in (3, 4, 5, 11, 12)
    return frame[12:14] == b"\x86\xdd" and frame[20] == 58 and frame[54] < 128


def kisses_allowed(outcome):
    """A second's worth at once, and as many for each second; one worker."""
    return KISSES * (outcome.seconds + 1)


def naks(outcome):
    return sum(count for name, count in outcome.gained.items() if name.startswith("nak_"))


def strangers_frames(lab, payloads):
    with Wire(lab) as wire:
        return [wire.request(source=STRANGER, port=20000 + number % 20000, payload=payload)
                for number, payload in enumerate(payloads)]


def with_broken(packet, at):
    return packet[:at] + bytes([packet[at] ^ 0xFF]) + packet[at + 1:]


def cookie_offset(packet):
    return next(offset for kind, _, offset in nts_client.fields(packet[NTP_HEADER:]) if kind == nts_client.COOKIE
                ) + NTP_HEADER + 4


def test_J02_cookies_of_no_key_are_naked_within_the_budget_and_good_ones_are_served(lab):
    session = exchange(lab)
    good = [nts_client.nts_request(session, cookie)[0] for cookie in session.cookies]
    at = cookie_offset(good[0])
    unknown = [with_broken(packet, at) for packet in good]  # another key id
    closed = [with_broken(packet, at + 30) for packet in good]  # ours, and does not open
    outcome = endure(lab, strangers_frames(lab, unknown + closed))
    assert outcome.gained["nak_key_unknown"] > 0 and outcome.gained["nak_cookie"] > 0
    assert naks(outcome) <= kisses_allowed(outcome)
    assert outcome.gained["drop_kiss_limited"] > 0
    assert len(outcome.to_strangers()) == naks(outcome)


def test_J03_good_cookies_under_a_wrong_tag_cost_nobody_an_answer(lab):
    session = exchange(lab)
    good = [nts_client.nts_request(session, cookie)[0] for cookie in session.cookies]
    outcome = endure(lab, strangers_frames(lab, [with_broken(packet, len(packet) - 1) for packet in good]))
    assert 0 < outcome.gained["nak_authenticator"] == naks(outcome) <= kisses_allowed(outcome)
    assert outcome.gained["drop_kiss_limited"] > 0


def test_J04_as_many_placeholders_as_there_may_be_earn_no_more_octets_than_they_bring(lab):
    session = exchange(lab)
    most = [nts_client.nts_request(session, cookie, placeholders=7)[0] for cookie in session.cookies]
    frames = strangers_frames(lab, most)
    outcome = endure(lab, frames)
    strangers = outcome.to_strangers()
    to_client = [frame for frame in outcome.answers if ports_of(frame)[1] == outcome.client_port]
    nts_to_client = sum(len(frame) > 42 + NTP_HEADER for frame in to_client)
    assert outcome.ear_lost > 0 or len(strangers) == outcome.gained["answer_nts"] - nts_to_client
    assert len(strangers) > FRAMES // 10, "the flood itself was answered, and not only the clients beside it"
    # Eight cookies for one and seven placeholders: as long as what was asked, to the octet.
    assert {len(frame) for frame in strangers} == {len(frame) for frame in frames}
    assert len({len(frame) for frame in frames}) == 1
    assert outcome.octets_out <= outcome.octets_in


def junk(wire):
    """Frames of every kind that is refused, before and behind the port's filter."""
    pick = random.Random(5)
    frames = []
    for number in range(2000):
        octets = bytearray(pick.randbytes(pick.choice((1, 12, 47, 48, 49, 52, 60, 72, 200, 1400))))
        octets[0] = octets[0] & 0xC0 | pick.choice((1, 2, 5, 6, 7)) << 3 | 3  # no version that is served, mode 3
        if len(octets) >= NTP_HEADER and number % 3 == 0:  # versions 3 and 4, with something behind that is no field
            octets = octets[:NTP_HEADER] + pick.randbytes(4 * pick.randrange(1, 5) + pick.randrange(1, 4))
            octets[0] = pick.choice((3, 4)) << 3 | 3
        packet = wire.packet(source=STRANGER, port=pick.randrange(1024, 65536), payload=bytes(octets))
        if number % 5 == 0:
            packet[scapy.UDP].chksum = 0x1234
        if number % 7 == 0:
            packet[scapy.UDP].len = pick.choice((0, 7, 9, 4000))
        if number % 11 == 0:
            packet[scapy.UDP].sport = 0
        if number % 13 == 0:
            packet[scapy.IP].src = pick.choice(("127.0.0.1", "224.0.0.1", "255.255.255.255", "0.0.0.0"))
        if number % 17 == 0:
            packet[scapy.IP].ttl = 0
        frame = wire.frame(packet)
        frames.append(frame[:pick.randrange(20, len(frame))] if number % 19 == 0 else frame)
    return frames


def test_J05_junk_at_the_links_own_rate_earns_nothing_and_plain_clients_are_served(lab):
    with Wire(lab) as wire:
        frames = junk(wire)
    outcome = endure(lab, frames)
    assert outcome.earned_nothing()
    drops = {name for name in outcome.gained if name.startswith("drop_")}
    assert len(drops) >= 5, drops
    assert {name for name in outcome.gained if not name.startswith("drop_")} == {"answer_plain", "answer_nts"}


def of_mode(mode, rest=b"\x02\x00\x00\x00\x00\x00\x00\x00" + bytes(40)):
    return bytes([4 << 3 | mode]) + rest


def kiss(code):
    return bytes([0xC0 | 4 << 3 | 4, 0]) + bytes(10) + code + bytes(32)


# From the client's own address, so that whatever the host's kernel might say to it would come.
@pytest.mark.parametrize("kind", ["mode 6 and 7", "kisses of death", "fragments"])
def test_J06_nothing_at_all_is_sent_for(lab, kind):
    with Wire(lab) as wire:
        packets = {
            "mode 6 and 7": [wire.packet(port=21000 + i, payload=of_mode(6 + i % 2)) for i in range(500)],
            "kisses of death": [wire.packet(port=21000 + i, payload=kiss(code))
                                for i in range(200) for code in (b"RATE", b"DENY", b"NTSN", b"RSTR")],
            "fragments": [piece for i in range(200)
                          for piece in scapy.fragment(wire.packet(port=21000 + i), fragsize=24)],
        }[kind]
        frames = [wire.frame(packet) for packet in packets]
    outcome = endure(lab, frames)
    assert outcome.earned_nothing()


def test_B15_B16_one_source_that_asks_without_end_is_limited_and_kissed_and_others_are_served():
    limits = {"requests_per_s": LIMIT, "burst": LIMIT, "leak": 0, "kiss": True, "kisses_per_s": KISSES}
    with running("flood-limit", rate_limit=limits) as lab:
        request = nts_client.plain_request()
        outcome = endure(lab, strangers_frames(lab, [request] * 5000))  # many ports, one source
        to_client = len(outcome.answers) - len(outcome.to_strangers())
        assert 0 < outcome.gained["kiss_rate"] <= kisses_allowed(outcome)
        assert outcome.gained["drop_kiss_limited"] > 0
        assert outcome.gained["answer_plain"] - outcome.client.sent <= LIMIT * (outcome.seconds + 1)
        assert "drop_rate_limited" not in outcome.gained, "no client with NTS was over its share"
        assert to_client + outcome.ear_lost >= outcome.client.good
        assert all(len(frame) == 42 + NTP_HEADER for frame in outcome.to_strangers()), "no longer than the request"


def test_B17_who_is_refused_gets_a_kiss_no_longer_than_its_request_and_nts_where_it_is_asked_for():
    access = {"deny": [STRANGER], "require_nts": [network.CLIENT_IPV4], "kiss": True}
    with running("flood-access", access=access) as lab, Wire(lab) as wire:
        for source in (STRANGER, network.CLIENT_IPV4):
            for payload in (nts_client.plain_request(), nts_client.plain_request() + nts_client.extension(
                    nts_client.UNIQUE_IDENTIFIER, bytes(32))):
                frame = wire.request(source=source, payload=payload)
                wire.socket.send(frame)
                answer = wire.receive_answer(20)
                assert answer is not None and len(answer) <= len(frame)
                assert (answer[42] >> 6, answer[43], answer[54:58]) == (3, 0, b"DENY")
        session = exchange(lab)
        packet, identifier = nts_client.nts_request(session, session.cookies[0])
        wire.socket.send(wire.request(payload=packet))
        answer = wire.receive_answer(20)
        assert nts_client.open_answer(session, answer[42:], packet, identifier)
        now = settled(lab)
        assert (now["nts"]["kiss_deny"], now["nts"]["answer_nts"], now["sent_packets"]) == (4, 1, 5)
        assert now["received_packets"] == now["verdicts"] == 5
