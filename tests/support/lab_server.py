"""A running Noonmark for system tests: a lab under a name of its own, with a configuration for the question.

What a machine lacks to make a lab (root, network namespaces) skips the test, with the reason.
"""

import contextlib
import json
import os
import subprocess
import time

import pytest

from lab import network
from lab.lab import Lab


def _toml(value):
    return json.dumps(value)  # text, numbers, booleans and arrays of them are written alike in TOML


def configuration(lab, **sections):
    """Writes a configuration for `lab`; `sections` are merged over the usual one, key by key; a list
    becomes one section for each of its elements, [[upstream]]."""
    usual = {
        "server": {"name": network.NAME, "addresses": "auto"},
        "dataplane": {"devices": [f"af_packet:{network.SERVER_DEVICE}"]},
        "nts_ke": {"certificate": str(lab.state / "tls" / "certificate.pem"),
                   "private_key": str(lab.state / "tls" / "key.pem")},
        "keys": {"file": str(lab.state / "keeper" / "keys")},
        "clock": {"source": "local", "stratum": 10},
        "paths": {"pages": str(lab.pages)},
    }
    for section, values in sections.items():
        if isinstance(values, list):
            usual[section] = values
        else:
            usual.setdefault(section, {}).update(values)
    lines = []
    for section, values in usual.items():
        for one in values if isinstance(values, list) else [values]:
            lines.append(f"[[{section}]]" if isinstance(values, list) else f"[{section}]")
            lines += [f"{key} = {_toml(value)}" for key, value in one.items()]
    file = lab.state / "config.toml"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def settled(lab):
    """The dataplane's counters when nothing is on its way any more."""
    before, now = None, lab.ask("counters")["dataplane"]
    while before is None or now["received_packets"] != before["received_packets"]:
        before = now
        time.sleep(0.05)
        now = lab.ask("counters")["dataplane"]
    return now


def require_namespaces():
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces and role uids")
    if subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not let us make network namespaces")


@contextlib.contextmanager
def running(name, second_address=False, prepare=None, **sections):
    """A lab with Noonmark started in it, ready; stopped and removed afterwards. Its log is shown when it fails.

    `prepare` is called with the lab before the start: more interfaces, more addresses.
    """
    require_namespaces()
    with Lab(name, second_address=second_address) as lab:
        try:
            if prepare:
                prepare(lab)
            lab.start(configuration(lab, **sections))
            yield lab
        except BaseException:
            print(f"--- the end of Noonmark's log in lab {name}\n{lab.log_tail(60)}")
            raise
