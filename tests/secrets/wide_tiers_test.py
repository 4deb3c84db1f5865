"""K09 for the tiers whose instructions valgrind does not know: MemorySanitizer follows the secrets of watched_tiers.cc
through them, built by clang with the rules of msan_intrinsics.h, and shadows.cc tests a rule for every intrinsic that
a tier uses. Objects are kept in build/secrets by ccache's judgement: a second run compiles only what has changed."""

import concurrent.futures
import os
import pathlib
import platform
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "secrets"
pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the wide tiers are of x86-64")
REPORTED, CPU_LACKS_IT = 99, 3
BASE = ["-std=c++20", "-O1", "-g1", "-fsanitize=memory", f"-I{ROOT}"]
RULES = ["-include", str(ROOT / "tests" / "secrets" / "msan_intrinsics.h")]
OF_256 = ["-maes", "-mpclmul", "-mavx2", "-mvaes", "-mvpclmulqdq"]
OF_512 = [*OF_256, "-mavx512bw", "-mavx512dq", "-mavx512f", "-mavx512vl"]
TIERS = {"nts/siv/siv_vaes512_x16.cc": OF_512, "nts/siv/siv_vaes256_x8.cc": OF_256,
         "nts/gcm_siv/gcm_siv_vaes512_x16.cc": OF_512, "nts/gcm_siv/gcm_siv_vaes256_x8.cc": OF_256}
SOURCES = {**{tier: [*RULES, *sets] for tier, sets in TIERS.items()},
           "tests/secrets/watched_tiers.cc": [], "tests/secrets/wide_tiers.cc": [],
           "tests/secrets/shadows.cc": [*RULES, *OF_512]}


def compiled(source, flags):
    made = BUILD / (pathlib.Path(source).stem + ".o")
    done = subprocess.run(["ccache", "clang++-14", *BASE, *flags, "-c", ROOT / source, "-o", made],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    return made


@pytest.fixture(scope="module")
def programs():
    if shutil.which("clang++-14") is None:
        pytest.skip("clang++-14 is not installed; configs/setup does")
    BUILD.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(2) as side_by_side:
        made = list(side_by_side.map(lambda item: compiled(*item), SOURCES.items()))
    link = ["clang++-14", "-fsanitize=memory"]
    subprocess.run([*link, *made[:-1], "-o", BUILD / "watched-wide-tiers"], check=True)
    subprocess.run([*link, made[-1], "-o", BUILD / "shadows"], check=True)


def watch(program, *words):
    done = subprocess.run([BUILD / program, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=dict(os.environ, MSAN_OPTIONS=f"exitcode={REPORTED}"), errors="replace", check=False)
    if done.returncode == CPU_LACKS_IT:
        pytest.skip(f"this CPU lacks what {words[0]} needs")
    if done.returncode < 0 and program == "shadows" and " avx512bw " not in pathlib.Path("/proc/cpuinfo").read_text():
        pytest.skip("this CPU lacks AVX-512")
    return done


def intrinsics_of_the_tiers():
    """Every intrinsic in a wide tier's file, and in the headers of its folder."""
    files = [ROOT / tier for tier in TIERS] + [
        header for tier in TIERS for header in (ROOT / tier).parent.glob("*.h") if header.stem in ("registers", "xmm")]
    return {name for file in files
            for name in re.findall(r"\b(?:_mm(?:256|512)?_\w+|__builtin_shufflevector)\b", file.read_text())}


@pytest.mark.parametrize("tier", ["vaes512_x16", "vaes256_x8", "gcm_siv_vaes512_x16", "gcm_siv_vaes256_x8"])
@pytest.mark.usefixtures("programs")
def test_K09_a_wide_tier_decides_nothing_by_a_secret(tier):
    done = watch("watched-wide-tiers", tier)
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.parametrize(("leak", "tier"), [("branch", "vaes512_x16"), ("lookup", "vaes256_x8"),
                                            ("compare", "gcm_siv_vaes512_x16"), ("branch", "gcm_siv_vaes256_x8")])
@pytest.mark.usefixtures("programs")
def test_K09_a_leak_planted_behind_a_wide_tier_is_reported(leak, tier):
    done = watch("watched-wide-tiers", tier, leak)
    assert done.returncode == REPORTED and "use-of-uninitialized-value" in done.stdout, done.stdout[-4000:]


@pytest.mark.usefixtures("programs")
def test_K09_the_shadow_of_every_intrinsic_in_use_is_tested_and_loses_no_secret():
    done = watch("shadows")
    assert done.returncode == 0, done.stdout[-4000:]
    untested = intrinsics_of_the_tiers() - set(done.stdout.split())
    assert not untested, f"no shadow of {sorted(untested)} is tested; add them to tests/secrets/shadows.cc"


@pytest.mark.usefixtures("programs")
def test_K09_a_shadow_that_loses_a_secret_is_found():
    done = watch("shadows", "planted")
    assert done.returncode == 1 and "planted: octet" in done.stdout, done.stdout[-4000:]
