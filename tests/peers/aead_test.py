"""Do the real processes give time under every AEAD they offer, to our own client over NTS-KE and UDP, and under 16 and
17 to NTPsec's ntpd?

Debian's chronyd 4.3 knows AEAD 15 alone, and nobody in Debian 12 knows 30 (chrony_test.py, ntpsec_test.py).
"""

import contextlib
import json

import pytest

from lab import network, ntpsec
from lab_server import running
from polling import PATIENCE_SECONDS

NTPD_NAMES = {16: "AES_SIV_CMAC_384", 17: "AES_SIV_CMAC_512"}
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


def test_C28_ntpd_is_served_under_the_longer_keys_it_asks_for(lab):
    with contextlib.ExitStack() as stack:
        daemons = {}
        for aead, name in NTPD_NAMES.items():
            server = f"-4 {network.NAME}:4460 nts aead {name} iburst minpoll 3 maxpoll 3"
            daemons[aead] = ntpsec.Ntpd(lab.client_namespace, lab.state / f"ntpd{aead}", lab.record, [server], lab.ca)
            stack.callback(daemons[aead].stop)
            served = daemons[aead].wait_for(lambda d=daemons[aead]: d.nts().get("NTS client recvs good", 0) >= 2,
                                            PATIENCE_SECONDS)
            text = daemons[aead].text()
            assert served, f"{daemons[aead].nts()}\n{text}"
            assert f"length {COOKIE_BYTES[aead]}, aead={aead}" in text
            daemons[aead].stop()
