"""K09: no branch and no address depends on a secret, in the code that runs. valgrind follows the marked secrets of
watched_tiers.cc and watched_server.cc through the tiers whose instructions it knows (3.19: AES-NI and PCLMULQDQ, not
VAES); for the wider ones there are wide_tiers_test.py and stepped_test.py."""

import shutil
import subprocess

import pytest
import tier_files

PROGRAMS = tier_files.ROOT / "build" / "tests" / "secrets"
REPORTED, CPU_LACKS_IT = 99, 3
pytestmark = pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed; configs/setup does")
KINDS = ["portable", "aesni"]
TIERS = [tier.name for tier in tier_files.all_tiers() if not tier.is_wide]


def watch(program, *words):
    done = subprocess.run(["valgrind", "-q", f"--error-exitcode={REPORTED}", PROGRAMS / program, *words],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    if done.returncode == CPU_LACKS_IT:
        pytest.skip(f"this CPU lacks what {' or '.join(words)} needs")
    return done


@pytest.mark.parametrize("tier", TIERS)
def test_K09_a_tier_decides_nothing_by_a_secret(tier):
    done = watch("watched-tiers", tier)
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.parametrize(("leak", "tier"), [("branch", "portable_x4"), ("lookup", "aesni_x4"), ("compare", "gcm_siv_aesni_x4")])
def test_K09_a_planted_leak_is_reported(leak, tier):
    done = watch("watched-tiers", tier, leak)
    assert done.returncode == REPORTED and "uninitialised" in done.stdout, done.stdout[-4000:]


@pytest.mark.parametrize("kind", KINDS)
def test_K09_the_packet_core_decides_nothing_by_a_secret_but_what_its_list_reveals(kind):
    done = watch("watched-server", kind)
    assert done.returncode == 0, done.stdout[-4000:]


def test_K09_a_verdict_that_is_not_revealed_is_reported():
    done = watch("watched-server", "aesni", "planted")
    assert done.returncode == REPORTED, done.stdout[-4000:]


def test_K09_unwatched_the_programs_prove_nothing_and_say_so():
    for program, words in (("watched-tiers", ["aesni_x4"]), ("watched-server", ["aesni"])):
        assert subprocess.run([PROGRAMS / program, *words], check=False).returncode == 4
