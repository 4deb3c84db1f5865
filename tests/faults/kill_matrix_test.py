"""SIGKILL at every failpoint, under clients that never stop polling (TESTS.md H01-H04, I3, I6).

Each case arms one failpoint, does what leads there, and asserts: no packet lost (for the dataplane: none outside its
gap), no NAK, every cookie issued before still works, the launcher started the role again without a pause that its row
of deaths does not ask for, nobody else's process was touched, and the next exchange is answered. chronyd and NTPsec's ntpd poll all the while and are asked at the end.
NOONMARK_LONG=1 repeats every case 20 times.
"""

import contextlib
import os
import signal
import struct
import threading
import time
from dataclasses import dataclass, field

import pytest

import failpoints as fp
from failpoints import wait_until
from lab import chrony, network, ntpsec
from launcher_log import KILLED, LauncherLog, longest_pause_ms
from loss_counter import LossCounter
from role_processes import UIDS

REPEATS = 20 if os.environ.get("NOONMARK_LONG") == "1" else 1
REACHED_S = 15  # patience until the failpoint is met, not a figure
# The launcher starts a role at once the first time, then after pauses that double (control/supervised.h) until it has
# lived 10 s. A row is about a role that does not die in a row, so a fresh launcher comes before the pauses do.
DEATHS_IN_A_ROW_MAX = 5
CLEAN_AFTER_S = 10
CLIENT_PATIENCE_S = 20
NAKS = 7  # the column of `chronyc authdata`
PAGE_HEADER_BYTES = 24  # dataplane/shm/pages.h; the generation follows


class Site:
    """The lab with what this module knows about it."""

    def __init__(self, lab, failpoints):
        self.lab, self.failpoints = lab, failpoints
        self.sessions = [fp.exchange(lab)]
        self.deaths = dict.fromkeys(UIDS, 0)
        self.last_death = dict.fromkeys(UIDS, 0.0)
        self.clients = Clients(lab)

    def try_exchange(self):
        try:
            fp.exchange(self.lab)
        except Exception:  # pylint: disable=broad-except  # the role died under it: what the test is about
            pass

    def publishes(self):
        """True when the clock page gets a new value within a moment."""
        def generation():
            return struct.unpack_from("=Q", (self.lab.pages / "clock" / "clock").read_bytes(), PAGE_HEADER_BYTES)[0]
        before = generation()
        return wait_until(lambda: generation() % 2 == 0 and generation() != before, 0.5)

    def is_clean(self, role):
        """It has lived so long that the launcher has forgotten its deaths."""
        return time.monotonic() - self.last_death[role] >= CLEAN_AFTER_S

    def row(self, role):
        """Its deaths in a row; the launcher may already have forgotten them, but never knows of more."""
        return 0 if self.is_clean(role) else self.deaths[role]

    def note_deaths(self, role, count):
        self.deaths[role] = self.row(role) + count
        self.last_death[role] = time.monotonic()

    def calm(self, role, deaths):
        """A fresh launcher if the pauses before the next lives would be longer than the row allows."""
        if self.row(role) + deaths <= DEATHS_IN_A_ROW_MAX:
            return
        with self.clients.held():
            assert self.lab.stop() == 0
            self.start()

    def start(self):
        self.lab.start(self.lab.state / "config.toml")
        self.deaths = dict.fromkeys(UIDS, 0)


@dataclass
class Case:
    """How to get to a failpoint, and who dies there."""
    point: str
    role: str
    lead_there: object  # called again and again with the Site until the failpoint is reached
    skip: int = 0
    kills_first: str = ""  # the role that is killed so that the point is met at its start
    deaths: dict = field(default_factory=dict)

    def __str__(self):
        return f"{self.point}-{self.skip}" if self.skip else self.point


def rotate(site):
    site.lab.run_in_server(site.lab.binary("noonmark"), "rotate", "--pages", site.lab.pages, check=False, timeout_s=10)


def exchange(site):
    site.try_exchange()


def ask_status(site):
    site.lab.run_in_server(site.lab.binary("noonmark"), "status", "--pages", site.lab.pages, check=False, timeout_s=10)


def ask_counters(site):
    site.lab.run_in_server(site.lab.binary("noonmark"), "counters", "--pages", site.lab.pages, check=False, timeout_s=10)


def wait(_):
    time.sleep(0.02)


def change_addresses(site):
    """One more address, or one less."""
    address = ("10.123.0.77/24", "dev", network.SERVER_DEVICE)
    if site.lab.run_in_server("ip", "addr", "add", *address, check=False).returncode != 0:
        site.lab.run_in_server("ip", "addr", "del", *address)
    time.sleep(0.15)


def at_start_of(role):
    return {"lead_there": wait, "kills_first": role, "deaths": {role: 2}}


def on(role, lead_there, *points):
    return [Case(point, role, lead_there) for point in points]


# In the order of the catalogue's fears but for this: after five deaths of a role come others', so that it has lived
# CLEAN_AFTER_S when its turn comes again, and the launcher need not be started anew.
CONTROL_CASES = [
    *on("keeper", rotate, "keeper.key_made", "keeper.save_created", "keeper.save_written", "keeper.save_synced",
        "keeper.save_renamed"),
    *on("ke", exchange, "ke.accepted", "ke.octets_read", "ke.cookies_wanted", "ke.cookies_received", "ke.reply_made"),
    *on("admin", change_addresses, "admin.addresses_changed", "admin.settings_made", "admin.publish_torn",
        "admin.settings_published"),
    *on("clock", wait, "clock.measured", "clock.publish_torn", "clock.published"),
    *on("keeper", rotate, "keeper.key_saved", "keeper.publish_torn", "keeper.published_unsealed",
        "keeper.key_published", "keeper.key_acknowledged"),
    *on("ke", exchange, "ke.reply_sent"),
    Case("ke.octets_read", "ke", exchange, skip=1),  # the handshake half done
    Case("ke.reply_made", "ke", exchange, skip=1),
    *on("ke", ask_counters, "ke.counters_read"),
    Case("clock.resumed", "clock", **at_start_of("clock")),
    Case("clock.upstream_heard", "clock", wait, kills_first="upstream", deaths={"upstream": 1, "clock": 1}),
    Case("upstream.connected", "upstream", **at_start_of("upstream")),
    Case("upstream.reported", "upstream", **at_start_of("upstream")),
    *on("admin", ask_status, "admin.request_read", "admin.reply_made"),
    Case("launcher.role_forked", "admin", **at_start_of("admin")),  # the child dies before it is the role
    *on("keeper", rotate, "keeper.current_saved", "keeper.current_switched"),
    *on("keeper", exchange, "keeper.accepted", "keeper.seal_begun", "keeper.cookies_sealed"),
    Case("launcher.role_about_to_execute", "admin", **at_start_of("admin")),
    Case("ke.listening", "ke", **at_start_of("ke")),
    *on("keeper", exchange, "keeper.reply_sent"),
    Case("keeper.seal_half_done", "keeper", exchange, skip=4),
    Case("keeper.ring_found", "keeper", **at_start_of("keeper")),
    Case("keeper.serving", "keeper", **at_start_of("keeper")),
]

DATAPLANE_CASES = [
    *on("dataplane", wait, "worker.received", "worker.answers_built", "worker.transmitted", "worker.about_to_load_keys"),
    Case("worker.keys_loaded", "dataplane", rotate),
    *[Case(point, "dataplane", **at_start_of("dataplane"))
      for point in ("dataplane.settings_read", "dataplane.stats_opened", "dataplane.port_opened", "dataplane.introduced",
                    "dataplane.serving")],
]


@pytest.fixture(scope="module", name="site")
def fixture_site():
    with fp.failing("matrix") as (lab, failpoints):
        site = Site(lab, failpoints)
        yield site
        site.clients.stop()


class Clients:
    """chronyd and ntpd, polling as fast as they can."""

    def __init__(self, lab):
        self.chronyd = chrony.Daemon(lab.client_namespace, lab.state / "chronyd", lab.record, "4", server=network.NAME,
                                     ca=lab.ca, extra="minpoll 0 maxpoll 0")
        self.ntpd = ntpsec.Ntpd(lab.client_namespace, lab.state / "ntpd", lab.record,
                                [f"-4 {network.NAME}:4460 nts iburst minpoll 0 maxpoll 0"], lab.ca)
        assert wait_until(lambda: all(answered > 0 for _, answered in self.counts()), CLIENT_PATIENCE_S, 0.3), self.ntpd.text()

    @contextlib.contextmanager
    def held(self):
        """They stand still, so that a planned stop of the server costs them nothing."""
        both = (self.chronyd.process, self.ntpd.process)
        for process in both:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in both:
                process.send_signal(signal.SIGCONT)

    def counts(self):
        """(sent, answered) of chronyd and of ntpd. KeyError before they know their server. chronyd calls an answer that
        comes after its next request invalid; on a busy machine that happens, and it was answered all the same."""
        polls, found = self.chronyd.report("ntpdata"), self.ntpd.nts()
        return ((int(polls["Total TX"]), int(polls["Total RX"])),
                (found["NTS client sends"], found["NTS client recvs good"]))

    def check(self):
        """Every request of theirs was answered, no answer was a NTSN or wrong, and they hold to us."""
        found = []

        def nothing_lost():
            found[:] = self.counts()
            return all(sent == answered for sent, answered in found)
        assert wait_until(nothing_lost, 5, 0.1), f"requests and answers of chronyd and ntpd: {found}"
        self.check_trust()

    def check_trust(self):
        authentication = self.chronyd.ask("authdata")[0].split(",")
        assert authentication[NAKS] == "0", authentication
        assert self.chronyd.ask("sources")[0].startswith("^,*"), "chronyd has chosen us"
        assert self.ntpd.nts()["NTS client recvs w error"] == 0
        assert wait_until(lambda: "*" in self.ntpd.ntpq("-pn"), CLIENT_PATIENCE_S, 0.5), self.ntpd.ntpq("-pn")

    def stop(self):
        self.chronyd.stop()
        self.ntpd.stop()


def lead_to(site, case):
    """Arms, kills what must start anew, and goes on until the failpoint was reached."""
    site.failpoints.arm(case.point, skip=case.skip)
    if case.kills_first:
        fp.kill(site.lab, case.kills_first)
    stops = threading.Event()

    def go_on():
        while not stops.is_set() and not site.failpoints.is_reached(case.point):
            case.lead_there(site)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        assert wait_until(lambda: site.failpoints.is_reached(case.point), REACHED_S, 0.005), f"{case.point} was not met"
    finally:
        site.failpoints.disarm(case.point)
        stops.set()
        thread.join()


def quiet_moment(load):
    """A moment at which the clients had an answer to everything."""
    moments = []
    assert wait_until(lambda: moments.append(load.all_answered()) or moments[-1], REACHED_S, 0.001), load.losses()
    return moments[-1]


def is_back(site, role, before):
    """The role runs anew and does its work."""
    pids = fp.pids(site.lab)[role]
    if len(pids) != len(before[role]) or set(pids) & set(before[role]):
        return False
    if role in ("keeper", "ke"):
        session = fp.exchange(site.lab)
        if session.cookies:
            site.sessions.append(session)
        return bool(session.cookies)
    if role == "clock":
        return site.publishes()
    if role == "admin":
        return bool(site.lab.ask("status"))
    return True


def kill_at(site, case):
    """(clients, from when on and until when something may be lost)."""
    killed = case.deaths or {case.role: 1}
    site.calm(case.role, killed[case.role])
    before, rows = fp.pids(site.lab), {role: site.row(role) for role in killed}
    assert all(before.values()), before
    log = LauncherLog(site.lab)
    with LossCounter(site.lab, site.sessions[:1] + site.sessions[-3:]) as load:
        assert wait_until(lambda: load.good > 4, 10)
        began = quiet_moment(load)
        lead_to(site, case)
        # It may work for a moment after it reached the place: dead it is when the launcher says so.
        assert wait_until(lambda: len(log.deaths(case.role)) >= killed[case.role], REACHED_S), log.text()
        died = time.monotonic()
        assert wait_until(lambda: is_back(site, case.role, before), REACHED_S), f"{case.role} did not come back"
        print(f"{case}: back after {time.monotonic() - died:.2f} s")
        if case.role in ("keeper", "ke"):
            load.add(site.sessions[-1])
        good = load.good
        assert wait_until(lambda: load.good > good + 10, REACHED_S), f"I6: answered again; {load.losses()}"
        ended = time.monotonic()
        assert wait_until(lambda: load.good > good + 30, REACHED_S), f"I6: and so it stays; {load.losses()}"
    for role, count in killed.items():
        site.note_deaths(role, count)
    check_deaths(log, killed, rows)
    assert (load.naks, load.wrong, load.unsynchronised) == (0, [], 0), load.losses()
    after = fp.pids(site.lab)
    touched = {case.role, *killed}
    assert {role: pids for role, pids in after.items() if role not in touched} == \
           {role: pids for role, pids in before.items() if role not in touched}, "I3: nobody else was touched"
    return load, began, ended


def check_deaths(log, killed, rows):
    """Those who were to die did, nobody else, and were started again as soon as their row of deaths lets them."""
    for role, count in killed.items():
        deaths = log.deaths(role)
        assert [death.how for death in deaths] == count * [KILLED], log.text()
        for number, death in enumerate(deaths):
            assert death.pause_ms <= longest_pause_ms(rows[role] + number), (rows, deaths)
    assert {death.role for death in log.deaths()} == set(killed), log.text()
    assert not log.given_up(), log.text()


@pytest.mark.parametrize("case", CONTROL_CASES, ids=str)
def test_H01_H03_a_role_killed_at_a_failpoint_costs_no_packet_and_no_cookie(site, case):
    for _ in range(REPEATS):
        load, _, _ = kill_at(site, case)
        assert load.lost == [], load.losses()


def test_H01_real_clients_noticed_nothing(site):
    site.clients.check()


@pytest.mark.parametrize("case", DATAPLANE_CASES, ids=str)
def test_H04_a_dataplane_killed_at_a_failpoint_loses_only_the_packets_of_its_gap(site, case):
    for _ in range(REPEATS):
        load, began, ended = kill_at(site, case)
        assert load.lost, "it was really gone"
        # Its sockets take a first request a moment before its workers run, so the gap ends with the last one lost.
        assert any(sent > max(load.lost) for sent in load.answered)
        outside = [sent for sent in load.lost if not began < sent < ended]
        assert not outside, f"{load.losses()}; {len(outside)} of them before it was killed or when it served again"


def test_H04_real_clients_are_served_with_the_cookies_they_had(site):
    before = site.clients.counts()

    def both_go_on():
        return all(now[1] > then[1] for now, then in zip(site.clients.counts(), before))
    assert wait_until(both_go_on, CLIENT_PATIENCE_S, 0.3)
    site.clients.check_trust()
