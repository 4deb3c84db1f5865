"""What happens when the machine changes under a running server: its interface is made anew, or gets another
MAC address? The dataplane cannot follow with the port it has, so it ends and the launcher starts the next.
"""

import re
import time

import pytest

import nts_client
from in_namespace import namespace
from lab import network
from lab.commands import run
from lab_server import running
from launcher_log import LauncherLog

BACK_SECONDS = 20  # patience, not a figure: what is asserted is that it comes back


@pytest.fixture(name="lab")
def fixture_lab():
    with running("machine") as lab:
        assert answers(lab), "it served before"
        yield lab


def answers(lab):
    with namespace(lab.client_namespace):
        with nts_client.socket_for(network.SERVER_IPV4) as client:
            try:
                return nts_client.ask(client, (network.SERVER_IPV4, 123), nts_client.plain_request(), 0.3) is not None
            except OSError:  # nobody is there: "unreachable"
                return False


def answers_again(lab):
    deadline = time.monotonic() + BACK_SECONDS
    while time.monotonic() < deadline:
        if answers(lab):
            return True
        time.sleep(0.05)
    return False


def at_server(lab, *words):
    run("ip", "-n", lab.server_namespace, *words)


def is_back_at_the_first_try(log, sentence):
    """The dataplane ended once, saying why, was started again without a pause, and that one serves."""
    (death,) = log.deaths()
    assert (death.role, death.pause_ms) == ("dataplane", 0) and death.how.startswith("ended with code "), death
    return len(re.findall(f"noonmark-dataplane: .*{sentence}", log.text())) == 1


def test_an_interface_with_a_new_mac_address_is_served_again(lab):
    """Bonding and failover do this; every request then looked as if it were for another station."""
    log = LauncherLog(lab)
    at_server(lab, "link", "set", network.SERVER_DEVICE, "address", "02:00:5e:10:00:01")
    run("ip", "-n", lab.client_namespace, "neigh", "flush", "all")
    assert answers_again(lab)
    assert is_back_at_the_first_try(log, "another MAC address"), log.text()


def test_A39_an_interface_made_anew_is_served_again(lab):
    """A replugged adapter: the same name, but not the interface whose frames the port was bound to."""
    log = LauncherLog(lab)
    at_server(lab, "link", "del", network.SERVER_DEVICE)
    run("ip", "link", "add", network.SERVER_DEVICE, "netns", lab.server_namespace, "type", "veth",
        "peer", "name", network.CLIENT_DEVICE, "netns", lab.client_namespace)
    for place, device, address in ((lab.server_namespace, network.SERVER_DEVICE, network.SERVER_IPV4),
                                   (lab.client_namespace, network.CLIENT_DEVICE, network.CLIENT_IPV4)):
        run("ip", "-n", place, "addr", "add", f"{address}/24", "dev", device)
        run(*network.inside(place, "ethtool", "-K", device, "tx", "off"))
        run("ip", "-n", place, "link", "set", device, "up")
    assert answers_again(lab)
    assert is_back_at_the_first_try(log, "is gone, or was made anew"), log.text()


def test_an_interface_that_is_down_for_a_while_needs_no_restart(lab):
    before = lab.ask("status")["dataplane"]["pid"]
    at_server(lab, "link", "set", network.SERVER_DEVICE, "down")
    time.sleep(1.2)  # longer than the dataplane's interval between two looks
    at_server(lab, "link", "set", network.SERVER_DEVICE, "up")
    assert answers_again(lab)
    assert lab.ask("status")["dataplane"]["pid"] == before
