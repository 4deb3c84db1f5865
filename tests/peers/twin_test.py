"""A port that takes every frame, and the kernel's twin beside it: af_xdp with a program that leaves the kernel nothing
stands in for a card that was taken away from it. (DPDK's own default program does the same, but libxdp asks for
CAP_SYS_ADMIN to load it, which the dataplane does not get.)

What the host does goes through the twin: ARP, neighbour discovery, ICMP, TCP, NTS-KE, its own NTP client.
"""

import os
import re
import signal
import socket
import subprocess
import time

import pytest
import scapy.all as scapy

from in_namespace import namespace
from lab import chrony, network
from lab.commands import LabError
from lab.lab import Lab
from lab_server import configuration, require_namespaces

TWIN = "nm-twin0"
TAKES_ALL = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, 64);
  __type(key, __u32);
  __type(value, __u32);
} xsks_map SEC(".maps");
SEC("xdp") int takes_all(struct xdp_md *frame) {
  return bpf_redirect_map(&xsks_map, frame->rx_queue_index, XDP_DROP);
}
char terms[] SEC("license") = "GPL";
"""


def compiled(lab, name, text):
    """An XDP program where every role may read it."""
    source, program = lab.state / f"{name}.c", lab.state / f"{name}.o"
    source.write_text(text, encoding="utf-8")
    subprocess.run(["clang-14", "-O2", "-g", "-target", "bpf", f"-I/usr/include/{os.uname().machine}-linux-gnu", "-c",
                    source, "-o", program], check=True)
    program.chmod(0o644)
    return program


def device_of(lab):
    program = compiled(lab, "takes_all", TAKES_ALL)
    return f"vdev:net_af_xdp0,iface={network.SERVER_DEVICE},busy_budget=0,xdp_prog={program}"


def sections_of(lab, addresses=(f"{network.SERVER_IPV4}/24", f"{network.SERVER_IPV6}/64"), **dataplane):
    addresses = addresses if isinstance(addresses, str) else list(addresses)
    return {"dataplane": {"devices": [device_of(lab)], "host_twin": "all", **dataplane},
            "server": {"addresses": addresses}}


def leave_the_wire(lab):
    """Takes the addresses off the interface that will be the port's: the host lives on the twin."""
    lab.run_in_server("ip", "addr", "flush", "dev", network.SERVER_DEVICE)
    lab.run_in_server("sysctl", "-q", "-w", f"net.ipv6.conf.{network.SERVER_DEVICE}.disable_ipv6=1")


def settle_on_the_twin(lab):
    lab.run_in_server("ip", "addr", "add", f"{network.SERVER_IPV4}/24", "dev", TWIN)
    lab.run_in_server("ip", "addr", "add", f"{network.SERVER_IPV6}/64", "dev", TWIN, "nodad")


@pytest.fixture(scope="module", name="lab")
def fixture_lab():
    require_namespaces()
    with Lab("twin") as lab:
        leave_the_wire(lab)
        try:
            lab.start(configuration(lab, **sections_of(lab)))
            settle_on_the_twin(lab)
            yield lab
        except BaseException:
            print(f"--- the end of Noonmark's log\n{lab.log_tail(60)}")
            raise


def counters(lab):
    """The dataplane's counters once they agree with themselves: exactly, or this fails."""
    deadline = time.monotonic() + 10
    while True:
        now = lab.ask("counters")["dataplane"]
        answered = sum(count for name, count in now["nts"].items() if not name.startswith("drop_"))
        dropped = sum(count for part in ("nts", "frame") for name, count in now[part].items()
                      if name.startswith("drop_"))
        parts = answered + dropped + now["frame"]["pass_kernel"] + now["frame"]["pass_other"]
        if now["received_packets"] == parts and now["sent_packets"] == answered:
            return now
        assert time.monotonic() < deadline, now
        time.sleep(0.05)


def mac_of(run_inside, device):
    return re.search(r"link/ether (\S+)", run_inside("ip", "link", "show", "dev", device).stdout).group(1)


def test_the_twin_has_the_ports_address_and_mtu(lab):
    assert mac_of(lab.run_in_server, TWIN) == mac_of(lab.run_in_server, network.SERVER_DEVICE)
    shown = lab.run_in_server("ip", "link", "show", "dev", TWIN).stdout
    assert "mtu 1500" in shown and "LOWER_UP" in shown


def test_ports_tells_of_the_port_and_its_twin(lab):
    [port] = lab.ask("ports")["ports"]
    assert port["device"] == device_of(lab) and port["driver"] == "net_af_xdp" and port["twin"] == TWIN
    assert port["mac"] == mac_of(lab.run_in_server, network.SERVER_DEVICE)
    assert port["link"]["up"] and port["mtu"] == 1500 and port["queues"] == 1
    assert set(port["features"].values()) <= {"used", "offered", "none"}
    assert port["features"]["receive_stamps"] == "none"


def test_arp_neighbour_discovery_and_ping_go_through_the_twin(lab):
    lab.run_in_client("ip", "neigh", "flush", "all")
    before = counters(lab)
    for host in (network.SERVER_IPV4, network.SERVER_IPV6):
        assert lab.run_in_client("ping", "-c", "3", "-i", "0.2", "-W", "2", host).returncode == 0
    neighbours = lab.run_in_client("ip", "neigh", "show").stdout
    mac = mac_of(lab.run_in_server, TWIN)
    for host in (network.SERVER_IPV4, network.SERVER_IPV6):
        assert re.search(rf"^{host} .*lladdr {mac} ", neighbours, re.MULTILINE), neighbours
    after = counters(lab)
    assert after["frame"]["pass_kernel"] - before["frame"]["pass_kernel"] >= 8, "two who-has and six echo requests"
    assert after["kernel_sent_packets"] - before["kernel_sent_packets"] >= 8
    assert after["kernel_unsent_packets"] == before["kernel_unsent_packets"]


def test_fragments_are_put_together_by_the_kernel(lab):
    for host in (network.SERVER_IPV4, network.SERVER_IPV6):
        assert lab.run_in_client("ping", "-c", "2", "-i", "0.2", "-W", "2", "-s", "4000", host).returncode == 0


def test_P07_P40_chronyd_takes_nts_and_plain_time_over_both_families(lab):
    before = counters(lab)
    for nts in (True, False):
        started = {family: chrony.start_once(lab.client_namespace, lab.state / f"c{family}{nts}", family, lab.record,
                                             server=name, nts=nts, ca=lab.ca)
                   for family, name in {"4": network.NAME, "6": network.NAME_IPV6_ONLY}.items()}
        for family, process in started.items():
            outcome = chrony.finish_once(process, lab.state / f"c{family}{nts}")
            assert outcome.exit_code == 0 and len(outcome.samples) >= 3, (family, outcome.log)
    after = counters(lab)
    for verdict in ("answer_nts", "answer_plain"):
        assert after["nts"][verdict] - before["nts"][verdict] >= 6
    assert lab.ask("counters")["nts_ke"]["served"] >= 2, "TCP came through the twin"


def test_the_hosts_own_ntp_client_gets_its_answers_even_at_port_123(lab):
    with namespace(lab.server_namespace):
        high = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        low = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        high.bind((network.SERVER_IPV4, 40123))
        low.bind((network.SERVER_IPV4, 123))
    with namespace(lab.client_namespace):
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other.bind((network.CLIENT_IPV4, 123))
    with high, low, other:
        other.settimeout(5)
        for host in (high, low):
            host.settimeout(5)
            host.sendto(bytes([4 << 3 | 3]) + bytes(47), (network.CLIENT_IPV4, 123))
            _, asker = other.recvfrom(512)
            assert asker == host.getsockname()
            other.sendto(bytes([4 << 3 | 4]) + bytes(47), asker)
            assert host.recvfrom(512)[0][0] & 7 == 4


def test_much_tcp_both_ways_comes_whole_and_ntp_goes_on(lab):
    """Long segments, as the kernel offers them to a card that would cut them: cut and summed before they leave."""
    octets = os.urandom(1 << 20)
    with namespace(lab.server_namespace):
        listener = socket.create_server((network.SERVER_IPV4, 7777))
    with namespace(lab.client_namespace):
        client = socket.create_connection((network.SERVER_IPV4, 7777), timeout=20)
        asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        asking.settimeout(5)
    server, _ = listener.accept()
    before = counters(lab)
    with listener, client, server, asking:
        for sender, receiver in ((client, server), (server, client)):
            receiver.settimeout(20)
            got = bytearray()
            sender.setblocking(False)
            left = memoryview(octets)
            while len(got) < len(octets):
                try:
                    left = left[sender.send(left):] if left else left
                except BlockingIOError:
                    pass
                got += receiver.recv(1 << 16)
            assert bytes(got) == octets
        asking.sendto(bytes([4 << 3 | 3]) + bytes(47), (network.SERVER_IPV4, 123))
        assert asking.recvfrom(512)[0][0] & 7 == 4
    after = counters(lab)
    assert after["kernel_sent_octets"] - before["kernel_sent_octets"] > len(octets)
    assert after["kernel_unsent_packets"] == before["kernel_unsent_packets"], "no frame was longer than the wire takes"


def test_a_flood_for_the_kernel_leaves_ntp_its_share(lab):
    """More ARP than the kernel's share, and a client that asks at the same time."""
    question = bytes(scapy.Ether(src=mac_of(lab.run_in_client, network.CLIENT_DEVICE), dst="ff:ff:ff:ff:ff:ff")
                     / scapy.ARP(op=2, psrc=network.CLIENT_IPV4, pdst="10.123.0.99"))
    with namespace(lab.client_namespace):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        wire.bind((network.CLIENT_DEVICE, 0))
        asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        asking.settimeout(5)
    answers = 0
    before = counters(lab)
    with wire, asking:
        for number in range(4000):
            wire.send(question)
            if number % 100 == 0:
                asking.sendto(bytes([4 << 3 | 3]) + bytes(47), (network.SERVER_IPV4, 123))
                answers += asking.recvfrom(512)[0][0] & 7 == 4
    assert answers == 40
    after = counters(lab)
    handled = after["frame"]["pass_kernel"] + after["frame"]["drop_kernel_full"]
    assert handled - before["frame"]["pass_kernel"] - before["frame"]["drop_kernel_full"] >= 4000


def test_a_dataplane_that_ended_comes_back_and_finds_the_taps_addresses_kept():
    """A tap that the operator made beforehand outlives the dataplane, with all that stands on it."""
    require_namespaces()
    with Lab("twin-kept") as lab:
        leave_the_wire(lab)
        lab.run_in_server("ip", "tuntap", "add", "dev", TWIN, "mode", "tap", "multi_queue", "pi")
        settle_on_the_twin(lab)
        try:
            lab.start(configuration(lab, **sections_of(lab, addresses="auto")))
            assert lab.run_in_client("ping", "-c", "1", "-W", "5", network.SERVER_IPV4).returncode == 0
            pid = lab.ask("status")["dataplane"]["pid"]
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + 20
            status = {"running": False}
            while not status["running"] or status.get("pid") == pid:
                assert time.monotonic() < deadline, lab.log_tail()
                time.sleep(0.1)
                status = lab.ask("status")["dataplane"]
            assert lab.run_in_client("ping", "-c", "1", "-W", "5", network.SERVER_IPV4).returncode == 0
            with namespace(lab.client_namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                asking.settimeout(5)
                asking.sendto(bytes([4 << 3 | 3]) + bytes(47), (network.SERVER_IPV4, 123))
                assert asking.recvfrom(512)[0][0] & 7 == 4
        except BaseException:
            print(lab.log_tail(60))
            raise


def test_a_twin_that_goes_ends_the_dataplane_with_a_sentence(lab):
    pid = lab.ask("status")["dataplane"]["pid"]
    lab.run_in_server("ip", "link", "del", TWIN)
    deadline = time.monotonic() + 20
    while f"interface {TWIN} is gone" not in lab.log.read_text(errors="replace"):
        assert time.monotonic() < deadline, lab.log_tail()
        time.sleep(0.1)
    status = {"running": False}
    while not status["running"] or status.get("pid") == pid:
        assert time.monotonic() < deadline, lab.log_tail()
        time.sleep(0.1)
        status = lab.ask("status")["dataplane"]
    settle_on_the_twin(lab)
    assert lab.run_in_client("ping", "-c", "1", "-W", "5", network.SERVER_IPV4).returncode == 0


def test_an_interface_that_goes_under_the_port_ends_the_dataplane_with_a_sentence(lab):
    """It would be deaf for ever: what is made anew under that name is another interface."""
    lab.run_in_server("ip", "link", "del", network.SERVER_DEVICE)
    deadline = time.monotonic() + 20
    while f"interface {network.SERVER_DEVICE} is gone" not in lab.log.read_text(errors="replace"):
        assert time.monotonic() < deadline, lab.log_tail()
        time.sleep(0.1)


def refusal(name, prepare=None, **dataplane):
    """What Noonmark says when it does not start with this [dataplane]."""
    require_namespaces()
    with Lab(name) as lab:
        leave_the_wire(lab)
        if prepare:
            prepare(lab)
        with pytest.raises(LabError):
            lab.start(configuration(lab, **sections_of(lab, **dataplane)))
        return lab.log_tail(40)


@pytest.mark.parametrize("device, words", [
    ("pci:0000:ff:1f.7", ["PCI device 0000:ff:1f.7 is not in this machine", "lspci -D"]),
    ("vdev:net_nonesuch0", ["vdev:net_nonesuch0 cannot be made", "there is no such driver", "net_null0"]),
    ("vdev:crypto_null0", ["is no network port", "choose a net_ driver"]),
    ("vdev:net_af_xdp0,iface=nm-nonesuch", ["cannot be made", "see that its interface exists"]),
    ("af_packet:nm-nonesuch", ["interface nm-nonesuch does not exist", "ip link"]),
    ("af_xdp:nm-nonesuch", ["interface nm-nonesuch does not exist", "ip link"]),
])
def test_a_port_that_fails_says_why_and_what_to_do(device, words):
    log = refusal("twin-refused", devices=[device], host_twin="none")
    assert all(word in log for word in words), log


def test_a_strangers_interface_of_the_twins_name_is_refused_and_left_alone():
    def prepare(lab):
        lab.run_in_server("ip", "link", "add", TWIN, "type", "veth", "peer", "name", "nm-peer")

    log = refusal("twin-taken", prepare)
    assert f"interface {TWIN} cannot be made" in log and "is no tap" in log and f"ip link del {TWIN}" in log, log


def test_a_leftover_program_on_the_interface_is_named_with_the_way_out():
    def prepare(lab):
        program = compiled(lab, "stranger", '__attribute__((section("xdp"))) int stranger(void *c) { return 2; }\n'
                                            '__attribute__((section("license"))) char text[] = "GPL";\n')
        lab.run_in_server("ip", "link", "set", "dev", network.SERVER_DEVICE, "xdp", "obj", program, "sec", "xdp")

    log = refusal("twin-leftover", prepare)
    assert "ip link set dev INTERFACE xdp off" in log, log
