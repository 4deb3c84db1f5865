"""Extension field 0xF323, monotonic/root: what stands on the wire, and what Debian's chronyd 4.3 makes of it.

-x only: it never touches the clock. It tells the root dispersion to a nanosecond, which the header cannot, so that
says whether it took the field.
"""

import os
import signal
import struct
import time

import pytest

from gnss_test import role_pid
from in_namespace import namespace
from lab import chrony, network
from lab_server import running
from nts_client import ask, extension, fields, plain_request, socket_for

MONO_ROOT = 0xF323
QUESTION = extension(MONO_ROOT, struct.pack("!I20x", 0xF5BEDD9A))  # as chronyd asks
SHORT_STEP_S = 2 ** -16  # of the header's root delay and dispersion
SERVER = (network.SERVER_IPV4, 123)


@pytest.fixture(scope="module", name="lab")
def fixture_lab():
    with running("mono-root") as lab:
        yield lab


def told(sock):
    """(receive stamp, root delay, root dispersion, monotonic receive stamp, epoch) of one answer; times in seconds."""
    request = plain_request() + QUESTION
    answer = ask(sock, SERVER, request)
    assert answer is not None and len(answer) == len(request), "as long as it came"
    [(kind, body, _)] = fields(answer[48:])
    magic, delay, dispersion, mono, epoch = struct.unpack("!IIIQI", body)
    assert (kind, magic) == (MONO_ROOT, 0xF5BEDD9A)
    coarse_delay, coarse_dispersion = struct.unpack_from("!II", answer, 4)
    assert delay / 2 ** 28 <= coarse_delay / 2 ** 16 < delay / 2 ** 28 + SHORT_STEP_S
    assert dispersion / 2 ** 28 <= coarse_dispersion / 2 ** 16 < dispersion / 2 ** 28 + SHORT_STEP_S
    received = struct.unpack_from("!Q", answer, 32)[0]
    return received / 2 ** 32, delay / 2 ** 28, dispersion / 2 ** 28, mono / 2 ** 32, epoch


def test_the_wire_tells_a_line_that_goes_on_until_the_clock_role_is_another(lab):
    with namespace(lab.client_namespace):
        sock = socket_for(network.SERVER_IPV4)
    with sock:
        first = told(sock)
        time.sleep(1)
        second = told(sock)
        assert second[4] == first[4]
        # The kernel's clock may be slewed beside us, by ppm; the line's own rate is that of the same clock.
        assert abs((second[3] - first[3]) - (second[0] - first[0])) < 1e-3
        old = role_pid(lab, "clock")
        os.kill(old, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while (third := told(sock))[4] == first[4]:
            assert time.monotonic() < deadline, "a new clock role knows nothing of the old line"
            time.sleep(0.2)
        assert role_pid(lab, "clock") != old
        assert told(sock)[4] == third[4]


@pytest.mark.parametrize("nts", [False, True])
def test_chronyd_takes_the_finer_root_dispersion(lab, nts):
    """The control is a chronyd that does not ask: it sees steps of 15 us, told to the microsecond, and nothing else."""
    seen, daemons, enough = {False: set(), True: set()}, {}, {}
    try:
        for takes, extra in ((False, ""), (True, "extfield F323")):
            daemons[takes] = chrony.Daemon(lab.client_namespace, lab.state / f"mono-{nts}-{takes}", lab.record, "4",
                                           server=network.NAME, nts=nts, ca=lab.ca,
                                           extra=f"minpoll 0 maxpoll 0 {extra}")
        deadline = time.monotonic() + 40
        while len(enough) < len(daemons):
            for takes, daemon in daemons.items():
                data = daemon.report("ntpdata")
                if int(data.get("Total valid RX", "0")) > 0:
                    seen[takes].add(float(data["Root dispersion"].split()[0]))
                if int(data.get("Total valid RX", "0")) >= 8:
                    enough[takes] = data
                assert time.monotonic() < deadline or takes in enough, daemon.log()
            time.sleep(0.3)
        for data in enough.values():
            assert data["Authenticated"] == ("Yes" if nts else "No") and data["Leap status"] == "Normal"
            assert data["NTP tests"].split()[:2] == ["111", "111"], data
    finally:
        for daemon in daemons.values():
            daemon.stop()

    def is_on_a_step(dispersion_s):
        return abs(dispersion_s - round(dispersion_s / SHORT_STEP_S) * SHORT_STEP_S) < 0.6e-6

    assert all(map(is_on_a_step, seen[False])) and 0.0 not in seen[False], seen
    assert not all(map(is_on_a_step, seen[True])), seen
