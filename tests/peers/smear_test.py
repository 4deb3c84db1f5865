"""A leap second at the nearest midnight, by a leap-seconds.list of our own: chronyd sees UTC and the leap at one address,
smeared time and no leap at the other, through the real processes."""

import os
import signal
import time

import pytest

from gnss_test import role_pid, wait_for
from lab import chrony, gnss, network
from lab.lab import Lab
from lab_server import configuration, require_namespaces
from played_receiver import Playing

DAY_S, HALF_DAY_S = 86_400, 43_200
NTP_TO_UNIX_S = 2208988800
SYSTEM_TABLE = "/usr/share/zoneinfo/leap-seconds.list"
TAI_MINUS_UTC_S = 37
RATE = 1 / 86_401


def midnight():
    """The nearest one."""
    return (int(time.time()) + HALF_DAY_S) // DAY_S * DAY_S


def table_with_a_leap(path, leap_s):
    """The system's table and one second more. What the receiver tells is this machine's clock, which knows no leap."""
    lines = []
    with open(SYSTEM_TABLE, encoding="ascii") as table:
        for line in table:
            if line.startswith("#@"):
                line = f"#@\t{leap_s + NTP_TO_UNIX_S + 100 * DAY_S}\n"
            if not line.startswith("#h"):  # a hash of what the lines were
                lines.append(line)
    lines.append(f"{leap_s + NTP_TO_UNIX_S}\t{TAI_MINUS_UTC_S + 1}\t# made for a test\n")
    path.write_text("".join(lines), encoding="ascii")


@pytest.fixture(scope="module", name="site")
def fixture_site():
    require_namespaces()
    leap_s = midnight()
    with Lab("smear", second_address=True) as lab:
        table_with_a_leap(lab.state / "leap", leap_s)
        playing = Playing(lab, gnss.pulse_socket(lab))
        playing.start()
        try:
            lab.start(configuration(lab, server={"smeared_addresses": [network.SECOND_IPV4]},
                                    clock={"source": "gnss", "smear": "linear"},
                                    gnss={"receiver": str(lab.state / "line"), "leap_seconds": str(lab.state / "leap"),
                                          "pulse": f"sock:{gnss.pulse_socket(lab)}"}))
            wait_for(lab, ("locked",), 120)
            yield lab, leap_s
        except BaseException:
            print(f"--- the end of Noonmark's log\n{lab.log_tail(60)}")
            raise
        finally:
            playing.stop()


def best_sample(lab, name, address):
    directory = lab.state / name
    process = chrony.start_once(lab.client_namespace, directory, "4", lab.record, server=address, nts=False)
    outcome = chrony.finish_once(process, directory)
    assert outcome.samples, outcome.log
    return min(outcome.samples, key=lambda sample: sample.delay_s)


def test_B14_I09_two_addresses_of_one_server_tell_utc_and_smeared_time(site):
    lab, leap_s = site
    utc = best_sample(lab, "utc", network.SERVER_IPV4)
    smeared = best_sample(lab, "smeared", network.SECOND_IPV4)
    now = time.time()
    if abs(now - leap_s) < 60 or abs(abs(now - leap_s) - HALF_DAY_S) < 60:
        pytest.skip("the minute of noon or midnight UTC, where what is right changes while we look")
    is_before = now < leap_s
    assert utc.leap == ("+" if is_before else "N")
    assert utc.reference_id == "47505300", "GPS"
    assert (smeared.leap, smeared.stratum, smeared.reference_id) == ("N", 1, "534D4552"), "SMER, and never a leap"
    done = (now - (leap_s - HALF_DAY_S)) * RATE
    ahead_s = -done if is_before else 1 - done
    slack_s = smeared.delay_s + utc.delay_s + 120 * RATE
    # chronyd's offset is how far its clock is behind the server's, so the difference is what the smear is ahead.
    assert abs(smeared.offset_s - utc.offset_s - ahead_s) < slack_s, "as far off as the hour says, and on that side"
    assert smeared.root_dispersion_s >= abs(ahead_s) - slack_s, "and it says so"
    sentence = lab.ask("clock")["sentence"]
    assert "smeared time is" in sentence and ("behind" if is_before else "ahead") in sentence


def kill_clock_that_smears(lab):
    """Returns once the next clock role goes on with the smear."""
    old = role_pid(lab, "clock")
    os.kill(old, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while role_pid(lab, "clock") in (None, old) or "smeared time is" not in lab.ask("clock")["sentence"]:
        assert time.monotonic() < deadline, lab.log_tail()
        time.sleep(0.2)


def test_B14_a_killed_clock_role_is_followed_by_one_that_goes_on_with_the_smear(site):
    lab, _ = site
    kill_clock_that_smears(lab)
    assert best_sample(lab, "after", network.SECOND_IPV4).reference_id == "534D4552"
