"""Does a server whose operator forces a crypto tier use that one, for every AEAD that has it, and serve?"""

import json
import re
from pathlib import Path

import pytest

from lab import network
from lab_server import running

FORCED = {"portable_x4": set(), "aesni_x4": {"aes", "pclmulqdq", "ssse3", "sse4_1"}}  # and the flags it needs


@pytest.mark.parametrize("tier", FORCED)
def test_K07_a_forced_tier_is_the_one_that_serves_and_is_named(tier):
    flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    if not FORCED[tier] <= set(flags.group(1).split() if flags else ()):
        pytest.skip(f"this CPU lacks what {tier} needs")
    with running("tier", dataplane={"siv_tier": tier}) as lab:
        for aead in (15, 30):
            done = lab.run_in_client(lab.binary("noonmark"), "query", network.NAME, "-4", "--ca", lab.ca, "--json",
                                     "--aead", str(aead))
            assert done.returncode == 0, done.stdout + done.stderr
            samples = json.loads(done.stdout)["ntp"]
            assert samples and all(one["verdict"] == "good" and one["authenticated"] for one in samples), samples
        dataplane = lab.ask("status")["dataplane"]
        assert dataplane["tier"] == tier
        of_aead = {one["aead"]: one["tier"] for one in dataplane["aeads"]}
        assert (of_aead[15], of_aead[30]) == (tier, f"gcm_siv_{tier}"), dataplane
