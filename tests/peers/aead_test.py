"""Do the real processes give time under every AEAD they offer, to our own client over NTS-KE and UDP?

Debian's chronyd 4.3 and ntpd know AEAD 15 alone (chrony_test.py, ntpsec_test.py): the others are our client's.
"""

import json

import pytest

from lab import network
from lab_server import running

COOKIE_BYTES = {15: 100, 16: 132, 17: 164, 30: 68}


@pytest.fixture(scope="module", name="lab")
def fixture_lab():
    with running("aead", nts_ke={"aeads": [30, 15, 16, 17]}) as lab:
        yield lab


def query(lab, *options):
    done = lab.run_in_client(lab.binary("noonmark"), "query", network.NAME, "-4", "--ca", lab.ca, "--json", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def check(answer, aead):
    assert (answer["ke"]["aead"], answer["ke"]["cookie_bytes"], answer["ke"]["cookies"]) == (aead, COOKIE_BYTES[aead], 8)
    assert answer["cookies_left"] == 8
    for sample in answer["ntp"]:
        assert sample["verdict"] == "good" and sample["authenticated"], sample


@pytest.mark.parametrize("aead", sorted(COOKIE_BYTES))
def test_C23_C28_our_client_takes_authenticated_time_under_each_aead(lab, aead):
    check(query(lab, "--aead", str(aead)), aead)


def test_P06_a_client_that_knows_all_is_served_under_30(lab):
    check(query(lab), 30)
    naks = [count for name, count in lab.ask("counters")["dataplane"]["nts"].items() if name.startswith("nak")]
    assert sum(naks) == 0
