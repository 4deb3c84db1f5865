"""af_xdp beside the kernel: NTP to us is redirected, everything else goes on, and a killed run leaves nothing."""

import os
import re
import signal
import socket
import time

import pytest
import scapy.all as scapy

from in_namespace import namespace
from lab import chrony, network
from lab.commands import LabError, run
from lab.lab import Lab
from lab_server import configuration, require_namespaces, running

DEVICE = f"af_xdp:{network.SERVER_DEVICE}"


@pytest.fixture(scope="module", name="lab")
def fixture_lab():
    with running("af-xdp", dataplane={"devices": [DEVICE]}) as lab:
        yield lab


def attached(lab):
    """(number, name) of the XDP program on the server's interface, or None."""
    text = lab.run_in_server("ip", "-d", "link", "show", "dev", network.SERVER_DEVICE).stdout
    found = re.search(r"prog/xdp id (\d+) name (\S+)", text)
    return (int(found.group(1)), found.group(2)) if found else None


def take_both(lab, nts, word):
    started = {family: chrony.start_once(lab.client_namespace, lab.state / f"{word}{family}", family, lab.record,
                                         server=name, nts=nts, ca=lab.ca)
               for family, name in {"4": network.NAME, "6": network.NAME_IPV6_ONLY}.items()}
    for family, process in started.items():
        outcome = chrony.finish_once(process, lab.state / f"{word}{family}")
        assert outcome.exit_code == 0 and len(outcome.samples) >= 3, (family, outcome.log)


def test_P07_P40_chronyd_takes_authenticated_and_plain_time_over_both_families(lab):
    assert attached(lab)[1] == "noonmark_ntp"
    take_both(lab, True, "nts")
    take_both(lab, False, "plain")


def test_the_kernel_goes_on_with_everything_else(lab):
    before = lab.ask("counters")["dataplane"]["received_packets"]
    for host in (network.SERVER_IPV4, network.SERVER_IPV6):
        assert lab.run_in_client("ping", "-c", "2", "-W", "2", host).returncode == 0
    assert lab.ask("counters")["dataplane"]["received_packets"] == before, "the dataplane saw none of it"


def test_H04_a_killed_dataplane_comes_back_over_its_own_program(lab):
    first = attached(lab)
    pid = lab.ask("status")["dataplane"]["pid"]
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        status = lab.ask("status")["dataplane"]
        if status["running"] and status["pid"] != pid:
            break
        time.sleep(0.1)
    assert status["running"] and status["pid"] != pid, lab.log_tail()
    assert attached(lab)[1] == "noonmark_ntp" and attached(lab)[0] != first[0]
    take_both(lab, True, "again")


def ask_plain(host, seconds=10):
    """True once `host` answers a plain request from the client's namespace."""
    request = bytes([4 << 3 | 3]) + bytes(47)
    deadline = time.monotonic() + seconds
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.3)
        while time.monotonic() < deadline:
            try:
                client.sendto(request, (host, 123))
                return client.recvfrom(512)[0][0] & 7 == 4
            except OSError:  # nobody yet, or the kernel's "unreachable"
                time.sleep(0.05)
    return False


def mac_of(run_inside, device):
    return re.search(r"link/ether (\S+)", run_inside("ip", "link", "show", "dev", device).stdout).group(1)


def tagged(lab, tags):
    """A plain request as a whole frame with these 802.1Q tags, from the client to the server."""
    frame = scapy.Ether(src=mac_of(lab.run_in_client, network.CLIENT_DEVICE),
                        dst=mac_of(lab.run_in_server, network.SERVER_DEVICE))
    for tag in tags:
        frame /= scapy.Dot1Q(vlan=tag)
    return bytes(frame / scapy.IP(src=network.CLIENT_IPV4, dst=network.SERVER_IPV4) / scapy.UDP(sport=4567, dport=123)
                 / (bytes([4 << 3 | 3]) + bytes(47)))


def test_A04_a_request_behind_one_tag_is_answered_behind_that_tag_and_behind_two_it_is_the_kernels(lab):
    with namespace(lab.client_namespace):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))  # ETH_P_ALL
        wire.bind((network.CLIENT_DEVICE, 0))
    with wire:
        before = lab.ask("counters")["dataplane"]
        wire.send(tagged(lab, [100, 200]))
        wire.send(tagged(lab, [100]))
        deadline = time.monotonic() + 10
        after = before
        while after["nts"]["answer_plain"] == before["nts"]["answer_plain"] and time.monotonic() < deadline:
            after = lab.ask("counters")["dataplane"]
    assert after["nts"]["answer_plain"] == before["nts"]["answer_plain"] + 1
    assert after["received_packets"] == before["received_packets"] + 1, "two tags: not ours"


def test_addresses_are_followed_while_running(lab):
    address = "10.123.0.77"
    change = ("dev", network.SERVER_DEVICE)
    lab.run_in_server("ip", "addr", "add", f"{address}/24", *change)
    try:
        with namespace(lab.client_namespace):
            assert ask_plain(address)
    finally:
        lab.run_in_server("ip", "addr", "del", f"{address}/24", *change)


def test_the_hosts_own_ntp_client_gets_its_answers_even_at_port_123(lab):
    with namespace(lab.server_namespace):
        host = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        host.bind((network.SERVER_IPV4, 123))
    with namespace(lab.client_namespace):
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other.bind((network.CLIENT_IPV4, 123))
    with host, other:
        host.settimeout(5)
        other.settimeout(5)
        host.sendto(bytes([4 << 3 | 3]) + bytes(47), (network.CLIENT_IPV4, 123))
        other.recvfrom(512)
        other.sendto(bytes([4 << 3 | 4]) + bytes(47), (network.SERVER_IPV4, 123))
        assert host.recvfrom(512)[0][0] & 7 == 4


def test_a_program_of_somebody_else_is_refused_and_left_alone(tmp_path):
    require_namespaces()
    source = tmp_path / "stranger.c"
    source.write_text('__attribute__((section("xdp"))) int stranger(void *context) { return 2; }\n'
                      '__attribute__((section("license"))) char text[] = "GPL";\n')
    program = tmp_path / "stranger.o"
    run("clang-14", "-O2", "-g", "-target", "bpf", "-c", source, "-o", program)
    with Lab("af-xdp-foreign") as lab:
        lab.run_in_server("ip", "link", "set", "dev", network.SERVER_DEVICE, "xdp", "obj", program, "sec", "xdp")
        number, name = attached(lab)
        assert name == "stranger"
        with pytest.raises(LabError):
            lab.start(configuration(lab, dataplane={"devices": [DEVICE]}))
        said = lab.log_tail(60)
        assert "is not ours" in said and str(number) in said, said
        assert attached(lab) == (number, name)


def test_a_clean_stop_leaves_no_program():
    with running("af-xdp-stop", dataplane={"devices": [DEVICE]}) as lab:
        assert attached(lab) is not None
        lab.stop()
        assert attached(lab) is None
