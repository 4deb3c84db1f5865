"""The lab, the honest client and the watch over ke that tests of hostile TLS clients share (tests/peers/tls_*).

A file of tests has `lab` and `unharmed` as its fixtures:  from hostile_tls import fixture_lab, fixture_unharmed
"""

import os
import struct
import time

import pytest

import nts_client
from in_namespace import namespace
from lab import network
from lab_server import running
from nts_client import MINIMAL_REQUEST
from role_processes import UIDS, status_of
from tls13 import Client

ADDRESS = network.SERVER_IPV4
PHASE_S, ALL_S = 2.0, 4.0  # deadline of a phase, and of a whole connection
FAR_S = 60.0  # for the one of the two that a case is not about: the most there may be (control/config.cc)
SLACK_S = 10.0  # of a busy machine, beyond a deadline
RESIDENT_GROWTH_KIB_MAX = 8192
READ_BYTES_MAX = 256 * 1024  # control/ke_limits.h
ERROR_1 = struct.pack("!HHHHH", 0x8002, 2, 1, 0x8000, 0)
ERROR_2 = struct.pack("!HHHHH", 0x8002, 2, 2, 0x8000, 0)
REPLY_BYTES = 848  # eight cookies of 100 octets


@pytest.fixture(scope="module", name="lab")
def fixture_lab(request):
    """Named after the file: two of them may run at a time. Its parameter is other deadlines."""
    name = request.module.__name__.rpartition(".")[2].removesuffix("_test").replace("_", "-")
    phase_s, all_s = getattr(request, "param", (PHASE_S, ALL_S))
    with running(name, nts_ke={"phase_deadline_ms": int(phase_s * 1000), "deadline_ms": int(all_s * 1000),
                                "workers": 1}) as lab:
        with namespace(lab.client_namespace):
            exchange()  # whatever is allocated once is allocated now
            yield lab


def counters(lab):
    return lab.ask("counters")["nts_ke"]


def ke(lab):
    """/proc/PID/status of the only ke process."""
    (status,) = status_of(lab, UIDS["ke"])
    return status


def resident_kib(lab):
    return int(ke(lab)["VmRSS"].split()[0])


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until(condition, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def gained(lab, before):
    """What the counters gained since `before`, without zeros; what is open is no sum."""
    now = counters(lab)
    return {name: now[name] - before[name] for name in now
            if now[name] != before[name] and name not in ("open_now", "running", "workers_answering")}


def exchange():
    """An honest exchange."""
    with Client(ADDRESS) as client:
        client.handshake().send_data(MINIMAL_REQUEST)
        assert is_served(client.read_answer())


def is_served(answer):
    octets, ends = answer
    return ends and len(octets) == REPLY_BYTES and nts_client.read_records(octets)[-1][0] == 0


@pytest.fixture(autouse=True, name="unharmed")
def fixture_unharmed(lab):
    """What must hold around every case."""
    pid, resident_before = ke(lab)["Pid"], resident_kib(lab)
    yield
    assert wait_until(lambda: counters(lab)["open_now"] == 0, ALL_S + SLACK_S), "every place is free again"
    exchange()
    assert wait_until(lambda: counters(lab)["open_now"] == 0)
    seen = counters(lab)
    outcomes = sum(number for name, number in seen.items()
                   if name not in ("accepted", "open_now", "running", "workers_answering"))
    assert outcomes == seen["accepted"], "every connection is counted once"
    assert ke(lab)["Pid"] == pid, "the same process"
    assert resident_kib(lab) < resident_before + RESIDENT_GROWTH_KIB_MAX
