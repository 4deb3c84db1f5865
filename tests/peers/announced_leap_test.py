"""A leap second that only upstreams announce, in FALLBACK, through the real processes: UTC inserts it at one address,
the other smears it over a day, and one of the three servers knows nothing of it.

No clock of this machine is touched: the servers are ours and tell of the last minute of June 2028.
"""

import calendar
import json
import socket
import struct
import time

import pytest

from in_namespace import namespace
from lab import gnss, network, upstreams
from lab.lab import Lab
from lab_server import configuration, require_namespaces
from only_long import long_only
from smear_test import kill_clock_that_smears
from upstream_test import FIRST, OFTEN, SECOND, THIRD, SimpleServer

MIDNIGHT_S = calendar.timegm((2028, 7, 1, 0, 0, 0))
BEFORE_S, AFTER_S = 75, 45
NTP_TO_UNIX_S = 2_208_988_800
HALF_DAY_S = 43_200


class Answer:
    """One exchange. `t` is when it was, in seconds after the old midnight as a clock without leap seconds counts."""

    def __init__(self, octets, t, way_s):
        self.t, self.way_s = t, way_s
        self.leap, self.stratum = octets[0] >> 6, octets[1]
        self.reference_id = octets[12:16]
        delay, dispersion = struct.unpack("!II", octets[4:12])
        self.bound_s = delay / 2**17 + dispersion / 2**16
        seconds, fraction = struct.unpack("!II", octets[40:48])
        self.told = seconds - NTP_TO_UNIX_S - MIDNIGHT_S + fraction / 2**32

    def __repr__(self):
        return f"at {self.t:.3f} s: leap {self.leap}, stratum {self.stratum}, told {self.told:.6f}"

    def is_off(self, wanted):
        return abs(self.told - wanted) > self.bound_s + self.way_s + 0.002


class Client:
    def __init__(self, lab, address, offset_s):
        self.address, self.offset_s, self.answers = address, offset_s, []
        with namespace(lab.client_namespace):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(2)

    def ask(self):
        sent = time.time()
        self.socket.sendto(bytes([4 << 3 | 3]) + bytes(39) + struct.pack("!d", sent), (self.address, 123))
        try:
            octets = self.socket.recv(512)
        except socket.timeout:
            return
        received = time.time()
        self.answers.append(Answer(octets, (sent + received) / 2 + self.offset_s - MIDNIGHT_S, received - sent))


@pytest.fixture(scope="module", name="leap")
def fixture_leap():
    """The answers of both addresses around the leap second, and the lab some time after it."""
    require_namespaces()
    with Lab("announced", second_address=True) as lab:
        servers = []
        try:
            for address in (SECOND, THIRD):
                upstreams.add_address(lab, address)
            offset_s = MIDNIGHT_S - BEFORE_S - time.time()
            told = {"offset_s": offset_s, "inserts_at": MIDNIGHT_S, "leap": 1}
            servers = [SimpleServer(lab, FIRST, **told), SimpleServer(lab, SECOND, **told),
                       SimpleServer(lab, THIRD, offset_s=offset_s)]
            lab.start(configuration(lab, server={"smeared_addresses": [network.SECOND_IPV4]},
                                    clock={"source": "gnss", "smear": "linear"},
                                    gnss={"pulse": f"sock:{gnss.pulse_socket(lab)}"},
                                    upstream=[{"host": host, **OFTEN} for host in (FIRST, SECOND, THIRD)]))
            clients = [Client(lab, address, offset_s) for address in (network.SERVER_IPV4, network.SECOND_IPV4)]
            is_cleared = False
            while (t := time.time() + offset_s - MIDNIGHT_S) < AFTER_S:
                for client in clients:
                    client.ask()
                if t > -1.5 and not is_cleared:  # as some servers do
                    is_cleared = True
                    for server in servers[:2]:
                        server.wish(**{**told, "leap": 0})
                time.sleep(0.3)
            yield lab, clients
        except BaseException:
            print(f"--- the end of Noonmark's log\n{lab.log_tail(60)}")
            print(json.dumps(lab.ask("upstreams"), indent=1))
            raise
        finally:
            for server in servers:
                server.stop()


@long_only
def test_I09_S10_utc_inserts_it_says_so_before_and_leap_3_around_it(leap):
    lab, (utc, _) = leap
    synchronised = [one for one in utc.answers if one.stratum]
    before = [one for one in synchronised if one.leap != 3 and one.t < -1.1]
    around = [one for one in utc.answers if -0.9 < one.t < 1.9]
    after = [one for one in synchronised if one.t > 2.1]
    assert len(before) > 10 and around and len(after) > 10, utc.answers
    assert {(one.leap, one.stratum) for one in before if one.t > before[0].t + 5} == {(1, 3)}
    assert {one.leap for one in around} == {3}
    assert {(one.leap, one.stratum) for one in after} == {(0, 3)}, after
    assert not [one for one in before if one.is_off(one.t)]
    assert not [one for one in after if one.is_off(one.t - 1)]
    assert [line for line in lab.log.read_text(errors="replace").splitlines()
            if "announced a leap second that the table does not know" in line]


@long_only
def test_B14_smeared_clients_are_spared_it_in_fallback_and_by_the_next_clock_role(leap):
    lab, (_, smeared) = leap
    answers = [one for one in smeared.answers if one.stratum and one.leap != 3]
    assert len(answers) > 20, smeared.answers
    assert {one.leap for one in answers} == {0}
    began = answers[0].t
    assert not [one for one in smeared.answers if one.t > began and one.leap == 3], "through the leap second too"
    steady = [one for one in answers if one.t > began + 5]
    assert {one.reference_id for one in steady} == {bytes((127, 127, 1, 255))}

    def smear_of(t):
        return t - (t + HALF_DAY_S) / (2 * HALF_DAY_S + 1)
    assert not [one for one in steady if one.is_off(smear_of(one.t))]

    kill_clock_that_smears(lab)
    smeared.answers.clear()
    for _ in range(20):
        smeared.ask()
        time.sleep(0.3)
    assert smeared.answers and not [one for one in smeared.answers if one.leap or one.is_off(smear_of(one.t))], \
        smeared.answers
    assert lab.ask("status")["clock"]["state"] == "fallback"
