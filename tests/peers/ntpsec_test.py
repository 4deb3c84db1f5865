"""Does NTPsec 1.2.2, the reference client, keep eight cookies and lose nothing?

Three servers are asked at the same time, because each needs several polls: the usual ports; NTS-KE on 4443 with
NTP on 4123; and one whose NTS-KE names another address of the server. ntpd runs with `disable ntp` and without
CAP_SYS_TIME, and the kernel's clock is compared before and after.
"""

import contextlib
import re

import pytest

from lab import network, ntpsec
from lab_server import running

POLLS_MIN = 6
PATIENCE_S = 90

SETUPS = {
    "usual": {},
    "ports": {"server": {"ntp_port": 4123}, "nts_ke": {"port": 4443}},
    "address": {"nts_ke": {"ntp_server": network.SECOND_IPV4}, "second_address": True},
}


@pytest.fixture(scope="module", name="asked")
def fixture_asked():
    """{setup: (lab, Ntpd)} after POLLS_MIN authenticated answers each; and the kernel's clock before."""
    before = ntpsec.kernel_clock()
    with contextlib.ExitStack() as stack:
        daemons = {}
        for name, sections in SETUPS.items():
            lab = stack.enter_context(running(f"ntpsec-{name}", **sections))
            port = sections.get("nts_ke", {}).get("port", 4460)
            daemon = ntpsec.Ntpd(lab.client_namespace, lab.state / "ntpd", lab.record,
                                 [f"-4 {network.NAME}:{port} nts iburst minpoll 3 maxpoll 3"], lab.ca)
            stack.callback(daemon.stop)
            daemons[name] = (lab, daemon)
        for name, (_, daemon) in daemons.items():
            polled = daemon.wait_for(lambda d=daemon: good_answers(d) >= POLLS_MIN, PATIENCE_S)
            assert polled, f"{name}: {daemon.nts()}\n{daemon.text()}"
        yield daemons, before


def good_answers(daemon):
    return daemon.nts().get("NTS client recvs good", 0)


def settled(daemon):
    """The counters once no request is on its way."""
    found = {}

    def nothing_pending():
        found.update(daemon.nts())
        return found.get("NTS client sends", 0) == found.get("NTS client recvs good", -1)
    assert daemon.wait_for(nothing_pending, 20), found
    return found


@pytest.mark.parametrize("setup", SETUPS)
def test_P26_ntpq_shows_eight_cookies_after_several_polls(asked, setup):
    _, daemon = asked[0][setup]

    def eight():
        rows = daemon.peers()
        return len(rows) == 1 and rows[0][3] == "8"
    assert daemon.wait_for(eight, 20), daemon.ntpq("-pn")


@pytest.mark.parametrize("setup", SETUPS)
def test_P27_ntpq_nts_shows_that_every_send_came_back_good(asked, setup):
    _, daemon = asked[0][setup]
    counters = settled(daemon)
    assert counters["NTS client sends"] == counters["NTS client recvs good"] >= POLLS_MIN
    assert counters["NTS client recvs w error"] == 0
    assert counters["NTS KE client probes good"] == 1
    assert counters["NTS KE client probes bad"] == 0


@pytest.mark.parametrize("setup", SETUPS)
def test_P07_ntpd_logs_eight_cookies_of_100_octets(asked, setup):
    _, daemon = asked[0][setup]
    assert "Got 8 cookies, length 100, aead=15." in daemon.text()


def test_P09_ntpd_uses_the_port_that_was_negotiated(asked):
    lab, daemon = asked[0]["ports"]
    assert "Using port 4123" in daemon.text()
    assert lab.ask("status")["ntp_port"] == 4123


def test_P08_ntpd_asks_the_address_that_was_negotiated(asked):
    _, daemon = asked[0]["address"]
    assert re.search(rf"Using server .*{re.escape(network.SECOND_IPV4)}", daemon.text()), daemon.text()
    assert daemon.peers()[0][0] == network.SECOND_IPV4


@pytest.mark.parametrize("setup", SETUPS)
def test_J15_our_counters_and_ntpds_agree(asked, setup):
    lab, daemon = asked[0][setup]
    theirs = settled(daemon)
    ours = lab.ask("counters")
    nts = ours["dataplane"]["nts"]
    assert theirs["NTS client recvs good"] <= nts["answer_nts"] <= theirs["NTS client recvs good"] + 2
    assert ours["dataplane"]["cookies_issued"] >= nts["answer_nts"]
    assert sum(count for name, count in nts.items() if name.startswith("nak")) == 0
    assert ours["dataplane"]["received_packets"] == ours["dataplane"]["verdicts"]


def test_ntpd_changed_nothing_of_the_kernels_clock(asked):
    assert ntpsec.kernel_clock() == asked[1]


def test_P40_ntpdig_takes_plain_time_over_both_families(asked):
    lab, _ = asked[0]["usual"]
    for family, address in (("-4", network.SERVER_IPV4), ("-6", network.SERVER_IPV6)):
        done = ntpsec.dig(lab.client_namespace, family, "-j", address)
        assert done.returncode == 0, done.stdout + done.stderr
        assert '"stratum":10' in done.stdout.replace(" ", ""), done.stdout
