"""Everything dies at once: the launcher at its failpoints, all processes at random moments, the power (TESTS.md H05).

What a client was given before must be taken by the next start. NOONMARK_LONG=1 makes 200 cuts instead of 5.
"""

import os
import random
import shutil
import signal
import threading
import time

import pytest

import failpoints as fp
import nts_client
from failpoints import wait_until
from in_namespace import namespace
from lab import network, processes
from lab.commands import LabError
from loss_counter import LossCounter

CUTS = 200 if os.environ.get("NOONMARK_LONG") == "1" else 5
PATIENCE_S = 15
COOKIES_TRIED = 60  # of all that were issued: the newest, which are the ones in danger
SAVING = ["keeper.save_created", "keeper.save_written", "keeper.save_synced", "keeper.save_renamed", "keeper.key_saved",
          "keeper.key_published", "keeper.key_acknowledged", "keeper.current_saved", "keeper.current_switched"]
UNSYNCED = {"keeper.save_created", "keeper.save_written"}  # what the disk holds of the new file is anybody's guess


@pytest.fixture(scope="module", name="place")
def fixture_place():
    with fp.failing("power-cut") as place:
        yield place


@pytest.fixture(name="dice")
def fixture_dice():
    seed = int(os.environ.get("NOONMARK_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    print("NOONMARK_SEED", seed)
    return random.Random(seed)


class Clients:
    """Exchanges and rotations without end; keeps what it was given until stopped."""

    def __init__(self, lab):
        self.lab = lab
        self.sessions = []
        self._stops = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=[work]) for work in (self._exchange, self._rotate)]

    def _work(self, work):
        while not self._stops.is_set():
            try:
                work()
            except Exception:  # pylint: disable=broad-except  # it died under us, as planned
                time.sleep(0.01)

    def _exchange(self):
        self.sessions.append(fp.exchange(self.lab, timeout_s=1))

    def _rotate(self):
        self.lab.ask("rotate")
        time.sleep(0.03)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stops.set()
        for thread in self._threads:
            thread.join()


def kill_everything(lab):
    family = [lab.launcher.pid] + [pid for pid, _ in processes.children(lab.launcher.pid)]
    for pid in family:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    lab.launcher.wait()
    lab.launcher = None
    assert wait_until(lambda: not any(fp.pids(lab).values()), PATIENCE_S)


def refused(lab, sessions):
    """The cookies that are not taken, by their number from the newest."""
    wrong, number = [], 0
    with namespace(lab.client_namespace), nts_client.socket_for(network.SERVER_IPV4) as client:
        for session in reversed(sessions):
            for cookie in session.cookies:
                if number >= COOKIES_TRIED:
                    return wrong
                packet, identifier = nts_client.nts_request(session, cookie)
                answer = nts_client.ask(client, (network.SERVER_IPV4, 123), packet, 2)
                if answer is None or nts_client.is_kiss(answer):
                    wrong.append((number, "silence" if answer is None else answer[12:16]))
                else:
                    nts_client.open_answer(session, answer, packet, identifier)
                number += 1
    return wrong


def start(lab):
    lab.start(lab.state / "config.toml")


def test_H05_cookies_outlive_a_power_cut_at_any_moment(place, dice):
    """The pages are lost with the power, and of the key file is left what a disk may have of it at that moment."""
    lab, failpoints = place
    keys = lab.state / "keeper"
    image = lab.state / "image"
    for cut in range(CUTS):
        point = SAVING[(cut + dice.randrange(2)) % len(SAVING)] if cut % 5 else None
        with Clients(lab) as clients:
            assert wait_until(lambda: len(clients.sessions) > 2, PATIENCE_S)  # pylint: disable=cell-var-from-loop
            if point:
                failpoints.arm(point, "wait", skip=dice.randrange(3))
                assert wait_until(lambda: failpoints.is_waiting(point), PATIENCE_S), point  # pylint: disable=cell-var-from-loop
            else:
                time.sleep(dice.uniform(0, 0.3))
            issued = list(clients.sessions)
            shutil.copytree(keys, image)
            kill_everything(lab)
        failpoints.disarm_all()
        shutil.rmtree(lab.pages)
        for file in keys.iterdir():
            file.unlink()
        for file in image.iterdir():
            octets = file.read_bytes()
            if file.suffix == ".new" and point in UNSYNCED:
                octets = octets[:dice.randrange(len(octets) + 1)]
            (keys / file.name).write_bytes(octets)
            (keys / file.name).chmod(0o600)
            os.chown(keys / file.name, fp.UIDS["keeper"], fp.UIDS["keeper"])
        shutil.rmtree(image)
        start(lab)
        assert refused(lab, issued) == [], f"cut {cut} at {point}"
        assert not list(keys.glob("*.refused.*")), "the file was whole"


def test_H05_cookies_outlive_kill_9_of_everything_at_any_moment(place, dice):
    lab, _ = place
    for cut in range(CUTS):
        with Clients(lab) as clients:
            assert wait_until(lambda: len(clients.sessions) > 1, PATIENCE_S)  # pylint: disable=cell-var-from-loop
            time.sleep(dice.uniform(0, 0.3))
            kill_everything(lab)
        start(lab)
        assert refused(lab, clients.sessions) == [], f"cut {cut}"


@pytest.mark.parametrize("point, lead_there", [("launcher.role_reaped", "kill"), ("launcher.role_about_to_start", "kill"),
                                               ("launcher.role_about_to_start", "start"),
                                               ("launcher.directories_made", "start"),
                                               ("launcher.ready_file_made", "start"), ("launcher.ready", "start")])
def test_H05_a_launcher_killed_at_a_failpoint_takes_all_along_and_the_next_one_starts(place, point, lead_there):
    lab, failpoints = place
    session = fp.exchange(lab)
    if lead_there == "start":
        assert lab.stop() == 0
        failpoints.arm(point)
        try:
            start(lab)
        except LabError:  # unless it was ready first
            pass
    else:
        failpoints.arm(point)
        fp.kill(lab, "admin")
    assert wait_until(lambda: failpoints.is_reached(point), PATIENCE_S)
    assert lab.launcher.wait(PATIENCE_S) == -signal.SIGKILL
    lab.launcher = None
    start(lab)  # at once: it waits for those of the killed one to end
    assert refused(lab, [session]) == []
    assert len(fp.exchange(lab).cookies) == 8


def test_keys_that_are_really_lost_are_seen(place):
    """The counter-check of all tests here and of the kill matrix: without file and page every cookie is refused."""
    lab, _ = place
    session = fp.exchange(lab)
    kill_everything(lab)
    shutil.rmtree(lab.pages)
    (lab.state / "keeper" / "keys").unlink()
    start(lab)
    assert [why for _, why in refused(lab, [session])] == [b"NTSN"] * 8
    with LossCounter(lab, [session]) as load:
        assert wait_until(lambda: load.naks > 4, PATIENCE_S)
