"""Two queues of one port: a source meets one core alone, whatever its port (B15, RFC 9109); and with all of a flood on
one queue, the core of the other one never sees it, and its clients are served (A38)."""

import contextlib
import os
import time

import pytest

from failpoints import exchange
from flood import Flood
from lab import network
from lab_server import running, settled
from loss_counter import LossCounter
from polling import comes_true
from wire import Wire

FRAMES = 100_000  # of the flood at least
GOOD = 60
CLIENTS = [f"10.123.0.{number}" for number in range(101, 117)]
STRANGER = "10.123.0.77"
NO_VERSION = bytes([7 << 3 | 3]) + bytes(47)  # refused as drop_version, and nothing else here is


def add_clients(lab):
    for address in CLIENTS:
        lab.run_in_client("ip", "addr", "add", f"{address}/24", "dev", network.CLIENT_DEVICE)


@pytest.fixture(scope="module", name="lab")
def fixture_lab():
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two CPUs")
    cpus = sorted(os.sched_getaffinity(0))[:2]
    dataplane = {"devices": [f"af_packet:{network.SERVER_DEVICE}"], "cores": cpus}
    with running("queue-skew", prepare=add_clients, dataplane=dataplane) as lab:
        yield lab


def refused(core):
    return core["nts"].get("drop_version", 0)


def cores(lab):
    return lab.ask("counters")["dataplane"]["cores"]


def flooded_core(lab, frame):
    """The number of the core to whose queue the kernel gives this flow."""
    before = cores(lab)
    with Wire(lab) as wire:
        wire.socket.send(frame)
    assert comes_true(lambda: any(refused(now) > refused(then) for now, then in zip(cores(lab), before)))
    return next(i for i, (now, then) in enumerate(zip(cores(lab), before)) if refused(now) > refused(then))


def received_by_each(lab, frames):
    """What each core gained by the frames, all of which arrive."""
    before = cores(lab)
    with Wire(lab) as wire:
        for frame in frames:
            wire.socket.send(frame)
            time.sleep(0.001)

    def gained():
        return [now["received_packets"] - then["received_packets"] for now, then in zip(cores(lab), before)]
    assert comes_true(lambda: sum(gained()) >= len(frames))
    return gained()


@pytest.mark.parametrize("family", [4, 6])
def test_B15_a_source_meets_one_core_whatever_its_port_and_sources_spread_over_both(lab, family):
    to = {"destination": network.SERVER_IPV4 if family == 4 else network.SERVER_IPV6}
    ipv4 = [f"198.18.{number}.7" for number in range(200)]
    ipv6 = [f"2001:db8:0:{number:x}00::7" for number in range(200)]  # a customer each
    sources = ipv4 if family == 4 else ipv6
    with Wire(lab) as wire:
        ports = [wire.request(source=sources[0], port=20000 + number, **to) for number in range(200)]
        many = [wire.request(source=source, **to) for source in sources]
    assert sorted(received_by_each(lab, ports)) == [0, 200]
    assert min(received_by_each(lab, many)) >= 20, "by a random factor; 100 are expected"
    if family == 6:
        customer = [f"2001:db8:0:5{number:02x}::{number + 1:x}" for number in range(200)]
        with Wire(lab) as wire:
            of_one = [wire.request(source=source, **to) for source in customer]
        assert sorted(received_by_each(lab, of_one)) == [0, 200]
    assert "RSS by source address alone" in lab.ask("status")["dataplane"]["ports"][0]


def test_A38_a_flood_on_one_queue_never_reaches_the_other_core(lab):
    with Wire(lab) as wire:
        frame = wire.request(source=STRANGER, port=20000, payload=NO_VERSION)
    flooded = flooded_core(lab, frame)
    quiet = 1 - flooded
    session = exchange(lab)
    with contextlib.ExitStack() as clients:
        for address in CLIENTS:
            before = cores(lab)
            client = clients.enter_context(LossCounter(lab, [session], source=address))
            assert comes_true(lambda: client.good >= 5)
            if comes_true(lambda: cores(lab)[quiet]["received_packets"] > before[quiet]["received_packets"], 1):
                break
        else:
            pytest.fail("one queue gets everything")
        before = cores(lab)
        with Flood(lab, [frame]) as flood:
            assert flood.has_sent(FRAMES // 10)
            good, served = client.good, cores(lab)[quiet]["sent_packets"]
            assert comes_true(lambda: client.good >= good + GOOD), client.losses()
            assert comes_true(lambda: cores(lab)[quiet]["sent_packets"] >= served + GOOD)
            assert flood.has_sent(FRAMES)
            assert flood.lasts()
    assert not client.wrong and not client.naks, client.losses()
    settled(lab)
    after = cores(lab)
    assert refused(after[flooded]) > refused(before[flooded])
    assert refused(after[quiet]) == refused(before[quiet]) == 0, "a full queue drops, and gives to no other"
    for core in after:
        assert core["received_packets"] == core["verdicts"]
