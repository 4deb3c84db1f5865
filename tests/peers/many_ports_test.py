"""Two networks served by one dataplane: af_packet on one, af_xdp on the other, two workers on two CPUs."""

import functools
import os
import socket
import threading
import time

import pytest

from in_namespace import namespace
from lab import chrony, network
from lab.commands import run
from lab_server import running, settled
from polling import comes_true
from wire import REQUEST, Wire

SECOND_SERVER, SECOND_CLIENT = "nm-srv2", "nm-cli2"
SECOND_SERVER_IPV4, SECOND_CLIENT_IPV4 = "10.124.0.1", "10.124.0.2"
SECOND_SERVER_IPV6, SECOND_CLIENT_IPV6 = "fd00:124::1", "fd00:124::2"
ONE_MORE_IPV4 = "10.123.0.33"  # a secondary address of the first network
DEVICES = [f"af_packet:{network.SERVER_DEVICE}", f"af_xdp:{SECOND_SERVER}"]


def add_second_network(lab):
    ends = ((lab.server_namespace, SECOND_SERVER, (f"{SECOND_SERVER_IPV4}/24", f"{SECOND_SERVER_IPV6}/64")),
            (lab.client_namespace, SECOND_CLIENT, (f"{SECOND_CLIENT_IPV4}/24", f"{SECOND_CLIENT_IPV6}/64")))
    run("ip", "link", "add", SECOND_SERVER, "netns", lab.server_namespace, "type", "veth",
        "peer", "name", SECOND_CLIENT, "netns", lab.client_namespace)
    for place, device, addresses in ends:
        for address in addresses:
            run("ip", "-n", place, "addr", "add", address, "dev", device, *(["nodad"] if ":" in address else []))
        run(*network.inside(place, "ethtool", "-K", device, "tx", "off", "tx-udp-segmentation", "off"))
        run("ip", "-n", place, "link", "set", device, "up")
    lab.run_in_server("ip", "addr", "add", f"{ONE_MORE_IPV4}/24", "dev", network.SERVER_DEVICE)


@pytest.fixture(scope="module", name="lab")
def fixture_lab():
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two CPUs")
    cpus = sorted(os.sched_getaffinity(0))[:2]
    with running("many-ports", prepare=add_second_network, dataplane={"devices": DEVICES, "cores": cpus}) as lab:
        yield lab


def take_all(lab, servers, word, nts=False):
    """A plain or NTS exchange of chronyd with each of the servers, all at once."""
    started = {}
    for number, (family, server) in enumerate(servers):
        directory = lab.state / f"{word}{number}"
        started[server] = (directory, chrony.start_once(lab.client_namespace, directory, family, lab.record,
                                                        server=server, nts=nts, ca=lab.ca))
    for server, (directory, process) in started.items():
        outcome = chrony.finish_once(process, directory)
        assert outcome.exit_code == 0 and len(outcome.samples) >= 3, (server, outcome.log)


def test_chronyd_takes_time_on_both_networks_over_both_families_and_from_a_secondary_address(lab):
    before = settled(lab)
    servers = [("4", network.SERVER_IPV4), ("6", network.SERVER_IPV6), ("4", SECOND_SERVER_IPV4),
               ("6", SECOND_SERVER_IPV6), ("4", ONE_MORE_IPV4)]
    take_all(lab, servers, "plain")
    take_all(lab, [("4", network.NAME)], "nts", nts=True)
    after = settled(lab)
    assert after["nts"]["answer_plain"] - before["nts"]["answer_plain"] >= 3 * len(servers)
    assert len(lab.ask("status")["dataplane"]["ports"]) == len(lab.ask("status")["dataplane"]["cores"]) == 2


def test_I3_counters_of_both_cores_add_up(lab):
    with Wire(lab) as first, Wire(lab, SECOND_CLIENT, SECOND_SERVER, SECOND_CLIENT_IPV4, SECOND_SERVER_IPV4) as second:
        before = settled(lab)
        for number in range(200):
            first.socket.send(first.request(source=f"198.18.0.{1 + number}"))
            second.socket.send(second.request(port=20000 + number))
        deadline = time.monotonic() + 10
        after = settled(lab)
        while after["nts"]["answer_plain"] - before["nts"]["answer_plain"] < 400 and time.monotonic() < deadline:
            after = settled(lab)
    assert after["nts"]["answer_plain"] - before["nts"]["answer_plain"] == 400
    assert len(after["cores"]) == 2
    for name in ("received_packets", "sent_packets", "received_octets", "sent_octets", "verdicts"):
        assert sum(core[name] for core in after["cores"]) == after[name], name
    assert after["received_packets"] == after["verdicts"]
    worked = [core["received_packets"] - earlier["received_packets"]
              for core, earlier in zip(after["cores"], before["cores"])]
    assert all(count > 0 for count in worked), "af_packet's sources give both cores work"


# On the second network one worker alone has a queue (DPDK makes no more on a veth): it goes to the other
# worker and back, under the requests.
def test_every_request_is_answered_while_each_core_in_turn_is_drained_and_put_back(lab):
    cpus = [core["cpu"] for core in lab.ask("status")["dataplane"]["cores"]]
    with Wire(lab) as first, Wire(lab, SECOND_CLIENT, SECOND_SERVER, SECOND_CLIENT_IPV4, SECOND_SERVER_IPV4) as second:
        before, sent = settled(lab), 0
        for step, cpu in [(step, cpu) for cpu in cpus + cpus for step in ("drain", "undrain")]:
            # Until it is so: a busy machine may take longer than admin waits.
            asking = threading.Thread(target=comes_true, args=(functools.partial(lab.ask, step, cpu),))
            asking.start()
            while asking.is_alive() or sent % 50 != 0:
                first.socket.send(first.request(port=20000 + sent % 20000))
                second.socket.send(second.request(port=20000 + sent % 20000))
                sent += 1
                time.sleep(0.002)
            asking.join()

            def is_so(step=step, cpu=cpu):
                queues = {core["cpu"]: core["queues"] for core in lab.ask("status")["dataplane"]["cores"]}
                return (queues[cpu] == 0) == (step == "drain") and sum(queues.values()) == 3
            assert comes_true(is_so), (step, cpu)
        answered = lambda: settled(lab)["nts"]["answer_plain"] - before["nts"]["answer_plain"]
        assert comes_true(lambda: answered() >= 2 * sent), (answered(), sent)
        assert answered() == 2 * sent


def ask_plain(lab, host, seconds=10):
    """True once `host` answers a plain request from the client's namespace; raises when it never does."""
    deadline = time.monotonic() + seconds
    with namespace(lab.client_namespace):
        asking = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    with asking:
        asking.settimeout(0.3)
        while time.monotonic() < deadline:
            try:
                asking.sendto(REQUEST, (host, 123))
                return asking.recvfrom(512)[0][0] & 7 == 4
            except OSError:
                time.sleep(0.02)
    return False


@pytest.mark.parametrize("device, address", [(network.SERVER_DEVICE, "10.123.0.77/24"), (SECOND_SERVER, "10.124.0.77/24"),
                                             (SECOND_SERVER, "fd00:124::77/64")])
def test_addresses_that_appear_are_served_and_those_that_go_are_not(lab, device, address):
    host = address.split("/")[0]
    lab.run_in_server("ip", "addr", "add", address, "dev", device, *(["nodad"] if ":" in host else []))
    try:
        assert ask_plain(lab, host)
        assert host in lab.ask("status")["addresses"]
    finally:
        lab.run_in_server("ip", "addr", "del", address, "dev", device)
    deadline = time.monotonic() + 10
    while host in lab.ask("status")["addresses"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


# Linux' weak host model (RFC 1122 section 3.3.4.2): the kernel takes a packet for any of its addresses on any of its
# interfaces, and so do we. The answer leaves where the request came in.
def test_an_address_is_answered_on_every_port_and_the_answer_leaves_where_the_request_came_in(lab):
    with Wire(lab) as first, Wire(lab, SECOND_CLIENT, SECOND_SERVER, SECOND_CLIENT_IPV4, SECOND_SERVER_IPV4) as second:
        answers = second.answers_to(second.request(destination=network.SERVER_IPV4))
        assert len(answers) == 1
        first.socket.send(first.request(destination=SECOND_SERVER_IPV4, port=40555))
        assert first.receive_answer(5) is not None


# A link that fails on one network is none of the other's business.
def test_one_link_down_leaves_the_other_network_served(lab):
    lab.run_in_server("ip", "link", "set", network.SERVER_DEVICE, "down")
    try:
        assert ask_plain(lab, SECOND_SERVER_IPV4)
    finally:
        lab.run_in_server("ip", "link", "set", network.SERVER_DEVICE, "up")
    with Wire(lab) as wire:
        deadline = time.monotonic() + 10
        while wire.receive_answer(0.1) is None:
            assert time.monotonic() < deadline
            wire.socket.send(wire.request())
    lab.run_in_server("ip", "link", "set", SECOND_SERVER, "down")
    lab.run_in_server("ip", "link", "set", SECOND_SERVER, "up")
    assert ask_plain(lab, SECOND_SERVER_IPV4), "af_xdp hears again"
