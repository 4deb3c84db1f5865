"""What roles promise each other while one of them stands still, is wrong, or is not there (TESTS.md D16, D17, G09,
H02, H03). A lab with three KE workers, stopped at failpoints."""

import os
import signal
import struct
import threading
import time

import pytest

import failpoints as fp
import nts_client
from failpoints import wait_until
from lab import network, processes
from launcher_log import KILLED, LauncherLog
from loss_counter import LossCounter

WORKERS = 3
DRIFT_PPB = 100_000  # of the lab's clock: an error that grows by 100 us a second shows after a moment
STATS_ACKNOWLEDGED = 3008 + 8  # dataplane/shm/README.md: the first core's line
KEYS_GENERATION = 32
PATIENCE_S = 10


@pytest.fixture(scope="module", name="place")
def fixture_place():
    with fp.failing("barriers", nts_ke={"workers": WORKERS}, clock={"drift_ppb": DRIFT_PPB}) as place:
        yield place


def key_ids(session):
    """Of the cookies: their first four octets (nts/cookie.h)."""
    return {struct.unpack_from("!I", cookie)[0] for cookie in session.cookies}


def rotate(lab):
    """Asks for a new key until one is made; returns its number."""
    made = []

    def asked():
        made.append(lab.ask("rotate")["new_key_id"])
        return True
    assert wait_until(asked, PATIENCE_S)
    return made[-1]


def current(lab):
    return lab.ask("keys")["current_id"]


def poll(session, cookies=1):
    """How many of the session's cookies get an authentic answer; a NAK fails the test."""
    poller = nts_client.Poller(session)
    with poller.socket:
        good = sum(poller.poll(timeout_s=1) for _ in range(cookies))
    assert poller.naks == 0
    return good


def in_client(lab, work, *arguments):
    with fp.namespace(lab.client_namespace):
        return work(*arguments)


def error_codes(session):
    return [body for kind, _, body in session.records if kind == 2]


def test_D16_no_cookie_is_sealed_by_a_key_that_a_core_has_not_loaded(place):
    """The worker stands before the new key: until it goes on, KE gives cookies of the old one."""
    lab, failpoints = place
    old = current(lab)
    with LossCounter(lab, [fp.exchange(lab)]) as load:
        failpoints.arm("worker.about_to_load_keys", "wait")
        assert wait_until(lambda: failpoints.is_waiting("worker.about_to_load_keys"), PATIENCE_S)
        try:
            new = rotate(lab)
            assert new == old + 1
            for _ in range(5):
                assert key_ids(fp.exchange(lab)) == {old}, "D16"
            assert current(lab) == old
        finally:
            failpoints.disarm("worker.about_to_load_keys")
        assert wait_until(lambda: current(lab) == new, PATIENCE_S)
        session = fp.exchange(lab)
        assert key_ids(session) == {new}
        load.add(session)
        good = load.good
        assert wait_until(lambda: load.good > good + 20, PATIENCE_S)
    assert (load.naks, load.wrong) == (0, []), load.losses()


def test_D16_a_keeper_between_page_and_sealer_gives_no_cookie_that_nobody_opens(place):
    """It has published the key as current and seals with it only then; who asks meanwhile waits or is told error 2."""
    lab, failpoints = place
    failpoints.arm("keeper.published_unsealed", "wait", skip=1)  # the first publication is the accepting one
    sessions, faults, stops = [], [], threading.Event()

    def ask_all_the_time():
        while not stops.is_set():
            try:
                sessions.append(fp.exchange(lab))
            except Exception as fault:  # pylint: disable=broad-except  # told below, in the test's own thread
                faults.append(fault)

    thread = threading.Thread(target=ask_all_the_time)
    thread.start()
    try:
        rotate(lab)
        assert wait_until(lambda: failpoints.is_waiting("keeper.published_unsealed"), PATIENCE_S)
        asked = len(sessions)
        assert wait_until(lambda: len(sessions) > asked + 2, PATIENCE_S)
    finally:
        failpoints.disarm("keeper.published_unsealed")
        stops.set()
        thread.join()
    assert not faults, faults
    assert any(error_codes(session) == [b"\0\2"] for session in sessions)
    served = [session for session in sessions if session.cookies]
    assert served and all(session.cookies or error_codes(session) == [b"\0\2"] for session in sessions)
    assert sum(in_client(lab, poll, session) for session in served) == len(served)


def test_D16_cookies_that_wait_in_ke_open_after_two_rotations(place):
    lab, failpoints = place
    failpoints.arm("ke.cookies_received", "wait")
    sessions = []
    thread = threading.Thread(target=lambda: sessions.append(fp.exchange(lab)))
    thread.start()
    try:
        assert wait_until(lambda: failpoints.is_waiting("ke.cookies_received"), PATIENCE_S)
        for _ in range(2):
            new = rotate(lab)
            assert wait_until(lambda new=new: current(lab) == new, PATIENCE_S)
    finally:
        failpoints.disarm("ke.cookies_received")
        thread.join()
    assert key_ids(sessions[0]) == {new - 2}
    assert in_client(lab, poll, sessions[0], 8) == 8


@pytest.mark.parametrize("point, action, skip", [("keeper.seal_begun", "fail", 0), ("keeper.seal_half_done", "kill", 4),
                                                 ("keeper.seal_half_done", "stop", 4),
                                                 ("keeper.cookies_sealed", "stop", 0)])
def test_D17_a_seal_that_fails_is_error_2_without_a_cookie(place, point, action, skip):
    lab, failpoints = place
    pid = fp.pids(lab)["keeper"][0]
    failpoints.arm(point, action, 5, skip=skip)
    try:
        session = fp.exchange(lab)
    finally:
        if action == "stop":
            os.kill(pid, signal.SIGCONT)
        failpoints.disarm(point)
    assert session.cookies == [] and error_codes(session) == [b"\0\2"], session.records
    assert wait_until(lambda: len(fp.exchange(lab).cookies) == 8, PATIENCE_S), "I6"


def test_H02_ke_workers_killed_one_by_one_leave_the_others_serving_and_all_come_back(place):
    lab, _ = place
    before = fp.pids(lab)
    assert len(before["ke"]) == WORKERS
    session, log = fp.exchange(lab), LauncherLog(lab)
    with LossCounter(lab, [session]) as load:
        with fp.held_launcher(lab):
            for left, pid in zip(reversed(range(WORKERS)), before["ke"]):
                os.kill(pid, signal.SIGKILL)
                assert wait_until(lambda left=left: len(fp.pids(lab)["ke"]) == left, PATIENCE_S)
                for _ in range(6 if left else 0):
                    assert len(fp.exchange(lab).cookies) == 8, f"{left} workers serve"
            with pytest.raises(OSError):
                fp.exchange(lab)
        went_on = time.monotonic()
        assert wait_until(lambda: len(fp.exchange(lab).cookies) == 8, PATIENCE_S)
        print(f"served again after {time.monotonic() - went_on:.2f} s")
        assert wait_until(lambda: len(fp.pids(lab)["ke"]) == WORKERS, PATIENCE_S)
    assert [(death.role, death.how, death.pause_ms) for death in log.deaths()] == WORKERS * [("ke", KILLED, 0)]
    assert (load.lost, load.naks, load.wrong) == ([], 0, []), load.losses()
    after = fp.pids(lab)
    assert {role: pids for role, pids in after.items() if role != "ke"} == \
           {role: pids for role, pids in before.items() if role != "ke"}
    assert not set(before["ke"]) & set(after["ke"])


def root_dispersion(lab):
    """In units of 2^-16 s, from one plain answer; and its leap indicator."""
    def ask():
        with nts_client.socket_for(network.SERVER_IPV4) as client:
            return nts_client.ask(client, (network.SERVER_IPV4, 123), nts_client.plain_request())
    answer = in_client(lab, ask)
    return struct.unpack_from("!I", answer, 8)[0], answer[0] >> 6


def test_H03_without_a_clock_role_the_error_grows_and_the_time_goes_on(place):
    lab, _ = place
    log = LauncherLog(lab)
    with LossCounter(lab, []) as load:
        with fp.held_launcher(lab):
            fp.kill(lab, "clock")
            first, leap = root_dispersion(lab)
            assert leap == 0
            assert wait_until(lambda: root_dispersion(lab)[0] >= first + 6, PATIENCE_S, 0.1), "100 us a second"
        went_on = time.monotonic()
        assert wait_until(lambda: root_dispersion(lab)[0] <= first + 1, PATIENCE_S), "it is back"
        print(f"a new promise after {time.monotonic() - went_on:.2f} s")
    assert [(death.role, death.how, death.pause_ms) for death in log.deaths()] == [("clock", KILLED, 0)]
    assert (load.lost, load.wrong, load.unsynchronised) == ([], [], 0), load.losses()


def test_G09_a_dataplane_starts_with_the_newest_keys(place):
    """Its first answer of all opens a cookie of the key that was made just before."""
    lab, _ = place
    new = rotate(lab)
    assert wait_until(lambda: current(lab) == new, PATIENCE_S)
    session = fp.exchange(lab)
    assert key_ids(session) == {new}
    before = lab.ask("keys")
    with LossCounter(lab, [session]) as load:
        assert wait_until(lambda: load.good > 4, PATIENCE_S)
        log, (pid,) = LauncherLog(lab), fp.pids(lab)["dataplane"]
        started = processes.start_time(pid)
        fp.kill(lab, "dataplane")
        assert wait_until(lambda: not processes.is_running(pid, started), PATIENCE_S)
        gone = time.monotonic()
        assert wait_until(lambda: [sent for sent in list(load.answered) if sent > gone], PATIENCE_S)
        good = load.good
        assert wait_until(lambda: load.good > good + 20, PATIENCE_S)
    assert (load.naks, load.wrong) == (0, []), load.losses()
    assert [(death.role, death.how, death.pause_ms) for death in log.deaths()] == [("dataplane", KILLED, 0)]
    after = lab.ask("keys")
    assert (after["current_id"], after["keys"]) == (before["current_id"], before["keys"]), "no new keys were made"
    generation = struct.unpack_from("=Q", (lab.pages / "keeper" / "keys").read_bytes(), KEYS_GENERATION)[0]
    assert struct.unpack_from("=Q", (lab.pages / "dataplane" / "stats").read_bytes(), STATS_ACKNOWLEDGED)[0] == generation


@pytest.mark.parametrize("role, page", [("keeper", "keeper/keys"), ("clock", "clock/clock"), ("admin", "admin/settings")])
def test_H01_a_writer_killed_while_it_makes_a_new_page_leaves_nothing_in_the_way(place, role, page):
    """The page is lost, and its next writer dies before the new one has its name: the one after it makes another, which
    the dataplane attaches; what it had goes on until then."""
    lab, failpoints = place
    old = (lab.pages / page).stat().st_ino
    session, log = fp.exchange(lab), LauncherLog(lab)

    def attached():
        return lab.log.read_text(errors="replace").count("a page was attached")
    before = attached()
    with LossCounter(lab, [session]) as load:
        (lab.pages / page).unlink()
        failpoints.arm("page.made")
        fp.kill(lab, role)
        assert wait_until(lambda: failpoints.is_reached("page.made"), PATIENCE_S)
        assert wait_until(lambda: (lab.pages / page).stat().st_ino != old, PATIENCE_S)
        assert wait_until(lambda: attached() > before, PATIENCE_S)
        assert wait_until(lambda: len(fp.exchange(lab).cookies) == 8, PATIENCE_S)
        good = load.good
        assert wait_until(lambda: load.good > good + 20, PATIENCE_S)
    assert [(death.role, death.how) for death in log.deaths()] == 2 * [(role, KILLED)], log.text()
    assert not (lab.pages / f"{page}.new").exists()
    assert (load.lost, load.naks, load.wrong) == ([], 0, []), load.losses()


@pytest.mark.parametrize("point", ["dataplane.page_attached", "dataplane.pages_swapped"])
def test_H04_a_dataplane_killed_while_it_attaches_a_new_page_serves_from_it_at_its_next_start(place, point):
    lab, failpoints = place
    session = fp.exchange(lab)
    failpoints.arm(point)
    (lab.pages / "clock" / "clock").unlink()
    fp.kill(lab, "clock")
    assert wait_until(lambda: failpoints.is_reached(point), PATIENCE_S)
    with LossCounter(lab, [session]) as load:
        assert wait_until(lambda: load.good > 20, PATIENCE_S)
        assert wait_until(lambda: load.waits_for() < 3, PATIENCE_S)
    assert (load.naks, load.wrong, load.unsynchronised) == (0, [], 0), load.losses()


def test_H01_roles_killed_under_a_stream_of_exchanges_cost_no_packet_and_no_cookie(place):
    """Four clients exchange without a pause; each exchange gives eight cookies that work, error 2, or no connection."""
    lab, _ = place
    sessions, odd, stops = [], [], threading.Event()

    def exchange_on():
        while not stops.is_set():
            try:
                session = fp.exchange(lab, timeout_s=2)
            except Exception:  # pylint: disable=broad-except  # the worker died under it
                time.sleep(0.01)
                continue
            if len(session.cookies) == 8:
                sessions.append(session)
            elif session.cookies or error_codes(session) != [b"\0\2"]:
                odd.append(session.records)

    threads, log = [threading.Thread(target=exchange_on) for _ in range(4)], LauncherLog(lab)
    with LossCounter(lab, [fp.exchange(lab)]) as load:
        for thread in threads:
            thread.start()
        try:
            for role in ("keeper", "ke", "clock", "admin"):
                served = len(sessions)
                fp.kill(lab, role)
                assert wait_until(lambda served=served: len(sessions) > served + 20, PATIENCE_S), role
        finally:
            stops.set()
            for thread in threads:
                thread.join()
    assert not odd and not log.given_up()
    assert {death.role for death in log.deaths()} == {"keeper", "ke", "clock", "admin"}
    assert {death.how for death in log.deaths()} == {KILLED}, log.text()
    assert (load.lost, load.naks, load.wrong) == ([], 0, []), load.losses()
    assert sum(in_client(lab, poll, session) for session in sessions) == len(sessions) > 80
