"""af_xdp beside the kernel: NTP to us is redirected, everything else goes on, and a killed run leaves nothing."""

import fcntl
import os
import re
import signal
import socket
import time

import pytest

import failpoints as fp
from in_namespace import namespace
from lab import chrony, network
from lab.commands import LabError, run
from lab.lab import Lab
from lab_server import configuration, require_namespaces, running
from wire import Wire, tags_of

DEVICE = f"af_xdp:{network.SERVER_DEVICE}"
DOT1Q, DOT1AD = 0x8100, 0x88A8
PATIENCE_S = 20  # A39's two seconds on a machine that has them


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


def test_A04_A05_answers_stand_behind_the_same_tags_and_other_stacks_are_the_kernels(lab):
    served = [[(DOT1Q, 100)], [(DOT1Q, 0xE000)], [(DOT1AD, 100)], [(DOT1AD, 0x2064), (DOT1Q, 200)]]
    others = [[(DOT1Q, 100), (DOT1Q, 200)], [(DOT1Q, 100), (DOT1AD, 200)], [(DOT1AD, 1), (DOT1AD, 2)],
              [(DOT1AD, 1), (DOT1Q, 2), (DOT1Q, 3)]]
    with Wire(lab) as wire:
        wire.answers_to()
        before = lab.ask("counters")["dataplane"]["received_packets"]
        answers = wire.answers_to(*[wire.request(tags) for tags in served + others])
        assert [tags_of(answer)[0] for answer in answers] == served
        deadline = time.monotonic() + 10
        after = before
        while after < before + len(served) + 1 and time.monotonic() < deadline:
            after = lab.ask("counters")["dataplane"]["received_packets"]
        assert after == before + len(served) + 1, "of the other stacks nothing came"


@pytest.mark.parametrize("rxvlan", ["on", "off"])
def test_A04_an_interface_that_takes_tags_off_before_we_see_them_is_named(rxvlan):
    def set_rxvlan(lab):
        lab.run_in_server("ethtool", "-K", network.SERVER_DEVICE, "rxvlan", rxvlan)
    with running("af-xdp-rxvlan", prepare=set_rxvlan, dataplane={"devices": [DEVICE]}) as lab:
        is_told = f"ethtool -K {network.SERVER_DEVICE} rxvlan off" in lab.log_tail(100)
        assert is_told == (rxvlan == "on")


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


def test_H04_a_run_killed_between_attaching_and_its_record_leaves_nothing_that_stops_the_next():
    """The record then says "attaching": what the run wrote before it let the driver attach."""
    with running("af-xdp-between", dataplane={"devices": [DEVICE]}) as lab:
        record = lab.pages / "dataplane" / f"xdp-program-{network.SERVER_DEVICE}"
        first = attached(lab)
        assert int(record.read_text()) == first[0]
        with fp.held_launcher(lab):  # alone it would end its roles, and the dataplane would take its program away
            fp.kill(lab, "dataplane")
            os.kill(lab.launcher.pid, signal.SIGKILL)
        lab.launcher.wait()
        lab.launcher = None
        assert attached(lab) == first, "nobody took it away"
        record.write_text("attaching\n")
        deadline = time.monotonic() + 10
        while is_locked(lab.pages / "dataplane") and time.monotonic() < deadline:
            time.sleep(0.02)
        lab.start(configuration(lab, dataplane={"devices": [DEVICE]}))
        assert attached(lab)[1] == "noonmark_ntp" and attached(lab)[0] != first[0]
        assert int(record.read_text()) == attached(lab)[0]
        lab.stop()
        assert attached(lab) is None and not record.exists()


def is_locked(directory):
    """True while a writer of the directory's page lives."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("end", ["server", "client"])
def test_A39_a_link_that_went_down_serves_again_when_it_is_back(lab, end):
    run_inside, device = {"server": (lab.run_in_server, network.SERVER_DEVICE),
                          "client": (lab.run_in_client, network.CLIENT_DEVICE)}[end]
    with Wire(lab) as wire:
        wire.answers_to()
        pid = lab.ask("status")["dataplane"]["pid"]
        for _ in range(5):
            run_inside("ip", "link", "set", device, "down")
            run_inside("ip", "link", "set", device, "up")
        back = time.monotonic()
        while True:
            try:
                wire.answers_to(seconds=1)
                break
            except (AssertionError, OSError):
                assert time.monotonic() - back < PATIENCE_S
        print(f"served again after {time.monotonic() - back:.2f} s")
        assert lab.ask("status")["dataplane"]["pid"] == pid and attached(lab)[1] == "noonmark_ntp"


def test_a_clean_stop_leaves_no_program():
    with running("af-xdp-stop", dataplane={"devices": [DEVICE]}) as lab:
        assert attached(lab) is not None
        lab.stop()
        assert attached(lab) is None
