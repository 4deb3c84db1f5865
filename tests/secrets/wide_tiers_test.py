"""K09 for the tiers whose instructions valgrind does not know: MemorySanitizer follows the secrets of watched_tiers.cc
through them, built by clang with the rules of msan_intrinsics.h, and shadows.cc tests a rule for every intrinsic that
a tier uses. Which tiers these are, their files say (tier_files.py), and the build which instructions each may use.
Objects are kept in build/secrets by ccache's judgement: a second run compiles only what has changed, in whichever
worktree, since no path in a command tells which one it is."""

import concurrent.futures
import os
import re
import shutil
import subprocess

import pytest
import tier_files

ROOT = tier_files.ROOT
BUILD = ROOT / "build" / "secrets"
pytestmark = pytest.mark.skipif(not tier_files.is_x86(), reason="the wide tiers are of x86-64")
REPORTED, CPU_LACKS_IT = 99, 3
BASE = ["-std=c++20", "-O1", "-g1", "-fsanitize=memory", "-I."]
RULES = ["-include", "tests/secrets/msan_intrinsics.h"]
TIERS = tier_files.wide_tiers()
ALL_SETS = frozenset().union(*(tier.sets for tier in TIERS))  # shadows.cc has an instruction of each
NAMES = [tier.name for tier in TIERS]
LEAKS = ["branch", "lookup", "compare"]


def compiled(source, flags):
    made = BUILD / (source.stem + ".o")
    done = subprocess.run(["ccache", "clang++-14", *BASE, *flags, "-c", source.relative_to(ROOT), "-o", made], cwd=ROOT,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    return made


def lists_of_tiers():
    """Which tables wide_tiers.cc is to list: ["-DWIDE_SIV_256=TIER(vaes256_x8)"]."""
    lists = {"WIDE_SIV_256": "", "WIDE_SIV_384": "", "WIDE_SIV_512": "", "WIDE_GCM_SIV": ""}
    for tier in TIERS:
        is_gcm = tier.path.parent.name == "gcm_siv"
        bits = 8 * int(tier.name.partition("/")[2] or 32)
        lists["WIDE_GCM_SIV" if is_gcm else f"WIDE_SIV_{bits}"] += f"TIER({tier.symbol})"
    return [f"-D{name}={tiers}" for name, tiers in lists.items()]


@pytest.fixture(scope="module")
def programs():
    if shutil.which("clang++-14") is None:
        pytest.skip("clang++-14 is not installed; configs/setup does")
    BUILD.mkdir(parents=True, exist_ok=True)
    here = ROOT / "tests" / "secrets"
    switches = {tier: tier_files.switches_of(tier) for tier in TIERS}
    all_switches = sorted({one for of_one in switches.values() for one in of_one})
    sources = {**{tier.path: [*RULES, *switches[tier]] for tier in TIERS},
               here / "watched_tiers.cc": [], here / "wide_tiers.cc": lists_of_tiers(),
               here / "shadows.cc": [*RULES, *all_switches]}
    with concurrent.futures.ThreadPoolExecutor(2) as side_by_side:
        made = list(side_by_side.map(lambda item: compiled(*item), sources.items()))
    link = ["clang++-14", "-fsanitize=memory"]
    subprocess.run([*link, *made[:-1], "-o", BUILD / "watched-wide-tiers"], check=True)
    subprocess.run([*link, made[-1], "-o", BUILD / "shadows"], check=True)


def watch(program, *words):
    lacking = tier_files.cpu_lacks(ALL_SETS) if program == "shadows" else []
    if lacking:
        pytest.skip(f"this CPU lacks {', '.join(lacking)}")
    done = subprocess.run([BUILD / program, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=dict(os.environ, MSAN_OPTIONS=f"exitcode={REPORTED}"), errors="replace", check=False)
    if done.returncode == CPU_LACKS_IT:
        pytest.skip(f"this CPU lacks what {words[0]} needs")
    return done


def intrinsics_of_the_tiers():
    """Every intrinsic in a wide tier's file, and in the headers of its folder."""
    files = [file for tier in TIERS for file in tier_files.files_of(tier.path)] + [
        header for tier in TIERS for header in tier.path.parent.glob("*.h") if header.stem in ("registers", "xmm")]
    return {name for file in files
            for name in re.findall(r"\b(?:_mm(?:256|512)?_\w+|__builtin_shufflevector)\b", file.read_text())}


def test_K09_every_tier_is_watched_by_valgrind_or_here():
    names = {tier.name for tier in tier_files.all_tiers()}
    assert {"portable_x4", "gcm_siv_portable_x4", "aesni_x4/64"} <= names - set(NAMES)
    assert {"vaes512_x16", "vaes256_x8", "gcm_siv_vaes512_x16", "gcm_siv_vaes256_x8"} <= set(NAMES)


def test_K08_every_tier_stands_in_the_list_that_the_best_is_chosen_from():
    for tier in tier_files.all_tiers():
        folder = tier.path.parent
        assert f"&{tier.symbol},\n" in (folder / f"{folder.name}.cc").read_text(), tier.path


@pytest.mark.parametrize("tier", TIERS, ids=NAMES)
def test_K08_a_tier_asks_the_cpu_for_every_instruction_set_that_the_compiler_may_use_in_it(tier):
    for switch in tier_files.switches_of(tier):
        said = {"-mpclmul": "PCLMULQDQ"}.get(switch, switch[2:].upper())
        assert said in tier.sets, f"{tier.name} does not say that it needs {said}"
        asks = f"bit_{said})", f'__builtin_cpu_supports("{switch[2:]}")'
        assert any(ask in tier.text for ask in asks), f"{tier.name} does not ask for {said}"


@pytest.mark.parametrize("tier", NAMES)
@pytest.mark.usefixtures("programs")
def test_K09_a_wide_tier_decides_nothing_by_a_secret(tier):
    done = watch("watched-wide-tiers", tier)
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.parametrize(("leak", "tier"), [(LEAKS[i % len(LEAKS)], name) for i, name in enumerate(NAMES)])
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
