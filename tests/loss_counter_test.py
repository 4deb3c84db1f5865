"""Does the clients' loss counter (tests/support/loss_counter.py) notice what it is there for? A server of a few lines
loses, repeats, delays and spoils answers on loopback."""

import contextlib
import socket
import struct
import threading
import time
import types

import pytest

import loss_counter
from loss_counter import LossCounter

FEW = 30


def time_of(request):
    """A right answer to a plain request."""
    seconds = time.time() + loss_counter.NTP_TO_UNIX_S
    stamp = struct.pack("!II", int(seconds), int(seconds % 1 * 2**32))
    return bytes([4 << 3 | 4, 1]) + bytes(22) + request[40:48] + stamp + stamp


@pytest.fixture(name="counting")
def fixture_counting(monkeypatch):
    """A counter whose every request is given to answer(number, request, reply)."""
    monkeypatch.setattr(loss_counter, "namespace", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(loss_counter, "LATE_S", 0.3)
    monkeypatch.setattr(loss_counter, "END_S", 5)

    @contextlib.contextmanager
    def counting(answer):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.05)
        is_over = threading.Event()

        def serve():
            number = 0
            while not is_over.is_set():
                try:
                    request, client = server.recvfrom(2048)
                except TimeoutError:
                    continue
                answer(number, request, lambda octets, client=client: server.sendto(octets, client))
                number += 1

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            lab = types.SimpleNamespace(client_namespace="none")
            with LossCounter(lab, [], server=server.getsockname()) as counter:
                yield counter
        finally:
            is_over.set()
            thread.join()
            server.close()
    return counting


def wait_for(condition):
    while not condition():
        time.sleep(0.01)


def test_a_good_server_loses_nothing(counting):
    with counting(lambda _, request, reply: reply(time_of(request))) as counter:
        wait_for(lambda: counter.good >= FEW)
        wait_for(counter.all_answered)
    assert (counter.lost, counter.late, counter.wrong, counter.good) == ([], 0, [], counter.sent)
    assert 0 < counter.longest_s and "the slowest answer took" in counter.losses()


def test_a_request_without_an_answer_is_lost_and_nothing_sent_before_the_fault_is(counting):
    is_broken = threading.Event()
    with counting(lambda _, request, reply: is_broken.is_set() or reply(time_of(request))) as counter:
        wait_for(lambda: counter.good >= FEW)
        is_broken.set()
        wait_for(lambda: counter.lost)
        is_broken.clear()
        good = counter.good
        wait_for(lambda: counter.good >= good + FEW)
        assert counter.all_answered() is None, "what is lost has no answer"
    assert counter.lost and counter.wrong == [] and counter.late == 0
    assert len(counter.lost) + counter.good == counter.sent


def test_a_second_answer_is_wrong(counting):
    def twice(number, request, reply):
        reply(time_of(request))
        if number == FEW // 2:
            reply(time_of(request))
    with counting(twice) as counter:
        wait_for(lambda: counter.good >= FEW)
    assert len(counter.wrong) == 1 and "a second one" in counter.wrong[0] and counter.late == 0


def test_an_answer_that_comes_when_it_was_given_up_is_lost_and_late(counting):
    kept = []

    def keeps_one(number, request, reply):
        if number == 5:
            kept.append(request)
        else:
            reply(time_of(request))
        if number == 200:
            reply(time_of(kept[0]))
    with counting(keeps_one) as counter:
        wait_for(lambda: counter.late)
    assert len(counter.lost) == counter.late == 1 and counter.wrong == []
    assert counter.longest_s > loss_counter.LATE_S


def test_a_wrong_time_is_told(counting):
    def spoil(number, request, reply):
        answer = bytearray(time_of(request))
        answer[43] ^= number == FEW // 2  # a second off
        reply(bytes(answer))
    with counting(spoil) as counter:
        wait_for(lambda: counter.good >= FEW)
    assert len(counter.wrong) == 1 and "off by" in counter.wrong[0]


def test_a_fault_of_its_own_thread_fails_the_test(counting, monkeypatch):
    with pytest.raises(ZeroDivisionError):
        with counting(lambda _, request, reply: reply(time_of(request))) as counter:
            monkeypatch.setattr(counter, "_judge", lambda *_: 1 // 0)
            wait_for(lambda: not counter._thread.is_alive())  # pylint: disable=protected-access


def test_a_thread_that_does_not_end_fails_the_test(counting, monkeypatch):
    goes_on = threading.Event()
    monkeypatch.setattr(loss_counter, "END_S", 0.5)
    with pytest.raises(AssertionError, match="still ran"):
        with counting(lambda _, request, reply: reply(time_of(request))) as counter:
            monkeypatch.setattr(counter, "_judge", lambda *_: goes_on.wait())
            wait_for(lambda: counter.sent)
    goes_on.set()
