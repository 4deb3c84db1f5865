"""`noonmark calibrate` against an upstream that knows better: a delay that was declared wrongly is found, and its size.

Receiver, pulses and upstream are this machine's clock; the delay is more than a busy machine can blur, and less than
the half of RFC 5905's least delay, which is no bound of any clock's. A role that dies meanwhile costs nothing but its
time.
"""

import json
import os
import signal
import subprocess
import time

from lab import gnss, network, upstreams
from lab.lab import ROOT, Lab
from lab_server import configuration, require_namespaces
from played_receiver import Playing
from polling import pid_of
from role_processes import UIDS

NOONMARK = ROOT / "build" / "control" / "noonmark"
WRONG_BY_NS = 4_000_000
PATIENCE_S = 120


def calibrate(lab, seconds):
    return subprocess.run([NOONMARK, "calibrate", "--for", str(seconds), "--json", "--pages", lab.pages],
                          capture_output=True, text=True, check=False)


def test_a_wrongly_declared_delay_is_found_with_its_uncertainty():
    require_namespaces()
    with Lab("calibrate") as lab:
        upstream = upstreams.Chronyd(lab, network.CLIENT_IPV4, 1)
        playing = Playing(lab, gnss.pulse_socket(lab))
        playing.start()
        try:
            lab.start(configuration(
                lab, clock={"source": "gnss", "holdover_max_error_us": 1000},
                gnss={"receiver": str(lab.state / "line"), "pulse": f"sock:{gnss.pulse_socket(lab)}",
                      "pulse_delay_ns": WRONG_BY_NS},
                upstream=[{"host": network.CLIENT_IPV4, "trust": "witness", "minpoll": 0, "maxpoll": 0}]))
            early = calibrate(lab, 1)
            assert early.returncode == 1 and early.stdout == "", "nothing is locked yet"
            assert "does not follow its pulses" in early.stderr, early.stderr
            deadline = time.monotonic() + PATIENCE_S
            while lab.ask("status")["clock"]["state"] != "locked":
                assert time.monotonic() < deadline, lab.log_tail(60)
                time.sleep(0.5)
            with subprocess.Popen([NOONMARK, "calibrate", "--for", "24", "--json", "--pages", lab.pages],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as calibrating:
                time.sleep(3)
                os.kill(pid_of(lab, UIDS["admin"]), signal.SIGKILL)
                said, faults = calibrating.communicate()
            assert calibrating.returncode == 0, faults
            found = json.loads(said)
            assert found["is_significant"], found
            assert abs(found["pulse_delay_change_ns"] + WRONG_BY_NS) < found["error_ns"] < WRONG_BY_NS, found
            assert "earlier" in found["text"]
        finally:
            playing.stop()
            upstream.stop()
