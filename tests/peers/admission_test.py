"""Who is served, and how often, by the real processes: floods from one source and from thousands of forged ones, rules
that come and go under load (TESTS.md B15-B17, F06), and counters that reconcile to the packet."""

import concurrent.futures
import os
import socket
import struct
import threading
import time

import pytest

from in_namespace import namespace
from lab import network
from lab_server import configuration, running, settled
from loss_counter import LossCounter
from nts_client import ask, is_kiss, plain_request

# So many that none of them asks for more than its own burst: then each request of theirs must be answered.
INNOCENTS_IPV4, INNOCENT_IPV6 = [f"10.123.0.{number}" for number in (77, 78, 79, 80)], "fd00:123:0:1::77"
SERVER = (network.SERVER_IPV4, 123)
RATE, BURST, KISSES = 5, 8, 20
LIMIT = {"requests_per_s": RATE, "burst": BURST, "leak": 0, "kiss": True, "kisses_per_s": KISSES}
PATIENCE_S = 30


def add_innocents(lab):
    for address in [f"{address}/24" for address in INNOCENTS_IPV4] + [f"{INNOCENT_IPV6}/64"]:
        lab.run_in_client("ip", "addr", "add", address, "dev", network.CLIENT_DEVICE, *["nodad"] * (":" in address))
    lab.run_in_server("ip", "route", "add", "fd00:123:0:1::/64", "dev", network.SERVER_DEVICE)


@pytest.fixture(scope="module", name="lab")
def fixture_lab():
    with running("admission", prepare=add_innocents, rate_limit=LIMIT) as lab:
        yield lab


def socket_from(lab, address):
    """A socket in the client's namespace, bound to `address`."""
    with namespace(lab.client_namespace):
        made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, 0))
    return made


def reload(lab, **sections):
    lab.config.write_text(configuration(lab, **sections).read_text(encoding="utf-8"), encoding="utf-8")
    lab.ask("reload")


def answered(sock, server=SERVER):
    """True when the one plain request that is sent gets the time, and nothing before it."""
    request = plain_request()
    answer = ask(sock, server, request, PATIENCE_S)
    return answer is not None and not is_kiss(answer) and answer[24:32] == request[40:48]


def reconcile(lab):
    """Every packet has one verdict; every answer left; no octet more went out than came in."""
    counters = settled(lab)
    assert sum(counters["frame"].values()) + sum(counters["nts"].values()) == counters["received_packets"]
    out = sum(count for name, count in counters["nts"].items() if name.startswith(("answer_", "nak_", "kiss_")))
    assert out == counters["sent_packets"]
    assert counters["sent_octets"] <= counters["received_octets"]
    return counters


def drain(sock):
    answers = []
    sock.settimeout(0.5)
    try:
        while True:
            answers.append(sock.recvfrom(65535)[0])
    except TimeoutError:
        return answers


def test_B15_B16_a_flood_from_one_source_is_kissed_within_the_budget_and_its_neighbour_is_served(lab):
    before = reconcile(lab)["nts"]
    flooder = socket_from(lab, network.CLIENT_IPV4)
    innocents = [socket_from(lab, address) for address in INNOCENTS_IPV4]
    began, answers = time.monotonic(), []
    for turn in range(20):
        for _ in range(50):
            flooder.sendto(plain_request(), SERVER)
        assert answered(innocents[turn % len(innocents)]), turn
    answers = drain(flooder)
    took_s = time.monotonic() - began
    kisses = [answer for answer in answers if is_kiss(answer)]
    assert all(answer[12:16] == b"RATE" and len(answer) == 48 for answer in kisses)
    assert kisses and len(kisses) <= KISSES * (took_s + 1) + 1
    assert len(answers) - len(kisses) <= RATE * took_s + BURST + 1
    after = reconcile(lab)["nts"]
    assert after["drop_kiss_limited"] > before["drop_kiss_limited"]


def checksum(octets):
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def forged(source, payload):
    """An IPv4 packet with a source of our choice, and no UDP checksum."""
    addresses = socket.inet_aton(source) + socket.inet_aton(network.SERVER_IPV4)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 28 + len(payload), 0, 0x4000, 64, 17, 0)
    head = head[:10] + struct.pack("!H", checksum(head + addresses)) + addresses
    return head + struct.pack("!HHHH", 40000, 123, 8 + len(payload), 0) + payload


def test_B15_thousands_of_forged_sources_cost_no_innocent_its_answer(lab):
    with namespace(lab.client_namespace):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    innocents = [(socket_from(lab, address), SERVER) for address in INNOCENTS_IPV4]
    innocents.append((socket_from(lab, INNOCENT_IPV6), (network.SERVER_IPV6, 123)))
    before = reconcile(lab)
    for turn in range(10):
        for number in range(2000):
            source = f"172.{16 + turn}.{number >> 8}.{number & 255}"
            raw.sendto(forged(source, plain_request()), (network.SERVER_IPV4, 0))
        settled(lab)  # what the flood's rate kept out of the port's ring was never seen: not our matter here
        for number in (turn, turn + 1):
            assert answered(*innocents[number % len(innocents)]), (turn, innocents[number % len(innocents)])
    after = reconcile(lab)
    assert after["received_packets"] - before["received_packets"] > 1000


def test_B17_F06_rules_that_come_and_go_under_load_take_hold_and_lose_no_packet(lab):
    refused, innocent = socket_from(lab, network.CLIENT_IPV4), INNOCENTS_IPV4[0]
    is_over = threading.Event()

    def load():
        with socket_from(lab, network.CLIENT_IPV4) as flood:
            while not is_over.is_set():
                for _ in range(5):
                    flood.sendto(os.urandom(4) + plain_request()[4:], SERVER)
                    flood.sendto(plain_request(), SERVER)
                time.sleep(0.002)

    def hears(wanted, access):
        """Reloads with `access`; true once the refused source hears nothing but `wanted`, again and again."""
        reload(lab, access=access, rate_limit={"requests_per_s": "off"})
        deadline, in_a_row = time.monotonic() + PATIENCE_S, 0
        while in_a_row < 5 and time.monotonic() < deadline:
            answer = ask(refused, SERVER, plain_request(), 1)
            heard = "nothing" if answer is None else "DENY" if answer[12:16] == b"DENY" else "time"
            in_a_row = in_a_row + 1 if heard == wanted else 0
        return in_a_row >= 5

    assert hears("time", {}), "no limit any more, before the innocent begins"
    with concurrent.futures.ThreadPoolExecutor(1) as pool, LossCounter(lab, [], source=innocent) as polling:
        loading = pool.submit(load)
        try:
            for _ in range(3):
                assert hears("nothing", {"deny": ["10.123.0.0/24"], "allow": [innocent]})
                assert hears("DENY", {"require_nts": ["10.123.0.2/32"], "kiss": True})
                assert hears("time", {})
        finally:
            is_over.set()
        loading.result(PATIENCE_S)
    assert polling.good == polling.sent > 0 and not (polling.lost or polling.wrong), polling.losses()
    counters = reconcile(lab)
    assert counters["frame"]["drop_denied"] > 0 and counters["nts"]["kiss_deny"] > 0
