"""Does Debian's chronyd 4.3 take time from us, with NTS and without, over IPv4 and IPv6?

-Q and -x only: it never touches the clock. Every sample it used came through its own checks of origin, stamps,
root distance, identifier and tag.
"""

import pytest

from lab import chrony, network
from lab_server import running

FAMILIES = {"4": network.NAME, "6": network.NAME_IPV6_ONLY}
# Both ends read the same kernel clock, so an offset is half the difference of the two ways, which a busy machine makes
# unequal as it likes (least so where the delay is least), and what our fit of the TSC adds.
FIT_S_MAX = 0.001
DISPERSION_S_MAX = 0.001  # a page of some seconds ago; on a quiet machine it says 15 us


@pytest.fixture(scope="module", name="lab")
def fixture_lab():
    with running("chrony") as lab:
        yield lab


def take_once(lab, nts, **more):
    """{family: Outcome} of chronyd -Q over both families at once."""
    started = {family: chrony.start_once(lab.client_namespace, lab.state / f"client{family}-{nts}", family, lab.record,
                                         server=name, nts=nts, ca=lab.ca, **more)
               for family, name in FAMILIES.items()}
    return {family: chrony.finish_once(process, lab.state / f"client{family}-{nts}")
            for family, process in started.items()}


def check(outcome):
    assert outcome.exit_code == 0, outcome.log
    assert len(outcome.samples) >= 3, outcome.log
    for sample in outcome.samples:
        assert (sample.leap, sample.stratum) == ("N", 10)
        assert sample.reference_id == "4C4F434C", "LOCL"
        assert sample.delay_s >= 0, "an answer came before it was asked for"
        assert 0 < sample.root_dispersion_s < DISPERSION_S_MAX, "an error is never said to be zero, nor is it large"
    best = min(outcome.samples, key=lambda sample: sample.delay_s)
    print("least delay:", best)
    assert abs(best.offset_s) < best.delay_s / 2 + best.root_dispersion_s + FIT_S_MAX


def test_P07_P22_chronyd_takes_authenticated_time_over_both_families(lab):
    before = lab.ask("counters")
    for family, outcome in take_once(lab, nts=True).items():
        check(outcome)
        assert outcome.aead == 15, family
        assert outcome.cookies == [100] * 8, "eight in hand again, one length"
    after = lab.ask("counters")
    gained = after["dataplane"]["nts"]["answer_nts"] - before["dataplane"]["nts"].get("answer_nts", 0)
    assert gained >= 6
    assert after["nts_ke"]["served"] - before["nts_ke"]["served"] == 2
    naks = [count for name, count in after["dataplane"]["nts"].items() if name.startswith("nak")]
    assert sum(naks) == 0


def test_P40_chronyd_takes_plain_time_over_both_families(lab):
    for outcome in take_once(lab, nts=False).values():
        check(outcome)


def test_P26_a_chronyd_that_stays_keeps_eight_cookies_and_sees_no_nak(lab):
    daemon = chrony.Daemon(lab.client_namespace, lab.state / "daemon", lab.record, "4", server=network.NAME, nts=True,
                           ca=lab.ca, extra="minpoll 0 maxpoll 0")

    def authentication():
        rows = [line.split(",") for line in daemon.ask("authdata")]
        return rows[0] if rows else []

    try:
        def settled():
            data = daemon.report("ntpdata")
            return int(data.get("Total valid RX", "0")) >= 8
        assert wait_for(settled, 40), daemon.log()
        row, data = authentication(), daemon.report("ntpdata")
        assert row[1:5] == ["NTS", "1", "15", "256"], row
        naks, cookies, cookie_bytes = row[7], row[8], row[9]
        assert (naks, cookie_bytes) == ("0", "100") and int(cookies) >= 7, row
        assert data["Leap status"] == "Normal" and data["Stratum"] == "10" and data["Authenticated"] == "Yes"
        assert data["Version"] == "4" and data["Mode"] == "Server"
        assert int(data["Total valid RX"]) >= int(data["Total TX"]) - 1, "at most one is on its way"
    finally:
        daemon.stop()


def wait_for(condition, seconds):
    import time
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.3)
    return False


def test_P08_P09_chronyd_follows_other_ports_and_another_address():
    """NTS-KE on 4443 tells NTP port 4123, and names the server's second address."""
    with running("chrony-ports", second_address=True, server={"ntp_port": 4123},
                 nts_ke={"port": 4443, "ntp_server": network.SECOND_IPV4}) as lab:
        process = chrony.start_once(lab.client_namespace, lab.state / "client", "4", lab.record, server=network.NAME,
                                    ke_port=4443, ca=lab.ca)
        outcome = chrony.finish_once(process, lab.state / "client")
        check(outcome)
        assert {sample.address for sample in outcome.samples} == {network.SECOND_IPV4}
        assert outcome.cookies == [100] * 8
