"""K09 and K10 on the machine code that is shipped: stepped_tiers.cc goes through the wide tiers instruction by
instruction, and each way must be the same whatever the secrets, in every address; no clock is asked. What the
disassembly says at once is refused wherever it stands: gathers, scatters, divisions, jumps through tables."""

import os
import re
import subprocess

import pytest
import tier_files

BUILD = tier_files.ROOT / "build"
PROGRAM = BUILD / "tests" / "secrets" / "stepped-tiers"
CPU_LACKS_IT, WAYS_DIFFER = 3, 6
TIERS = [tier.name for tier in tier_files.wide_tiers()]  # the others: watched_test.py
REGISTERS = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{number}" for number in range(8, 16)))
STEP = re.compile(r"^ *([0-9a-f]+):\t(.*)$", re.MULTILINE)
PLACE = re.compile(r"(-?0x[0-9a-f]+|-?\d+)?\((%\w+)?(?:,(%\w+)(?:,(\d))?)?\)")
NEVER = re.compile(r"v?p?(?:gather|scatter)|i?div|v?f?div|xlat|(?:notrack )?jmp +\*|call +\*")
pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="stepped-tiers is built on x86-64 only")


def disassembled(path):
    """Address and text of every instruction."""
    listing = subprocess.run(["objdump", "-d", "--no-show-raw-insn", path], stdout=subprocess.PIPE, text=True,
                             check=True).stdout
    return [(int(at, 16), text.split(" <")[0].split("#")[0]) for at, text in STEP.findall(listing)]


def place_of(text):
    """Base, index, scale and displacement of the memory that an instruction touches; None when it touches none that a
    register leads to."""
    found = PLACE.search(text)
    if found is None or text.startswith(("lea", "nop", "cs nop", "data16")) or found.group(2) == "%rip":
        return None
    displacement, base, index, scale = found.groups()
    numbers = [REGISTERS.index(name[1:]) if name else -1 for name in (base, index)]
    return (*numbers, int(scale or 1), int(displacement or "0", 0))


@pytest.fixture(scope="module", name="places")
def places_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("stepped") / "places"
    lines = [(at, place_of(text)) for at, text in disassembled(PROGRAM)]
    path.write_text("".join(f"{at:x} {' '.join(map(str, place or (-1, -1, 1, 0)))}\n" for at, place in lines))
    return path


def step(tier, places, walked, what):
    done = subprocess.run([PROGRAM, tier, places, walked, what], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    if done.returncode == CPU_LACKS_IT:
        pytest.skip(f"this CPU lacks what {tier} needs")
    return done


def functions_walked(walked):
    """For each function of the program that was met: its name, its conditional branches, and how many of them were."""
    met = {int(line, 16) for line in walked.read_text().split()}
    listing = subprocess.run(["objdump", "-d", "--no-show-raw-insn", PROGRAM], stdout=subprocess.PIPE, text=True,
                             check=True).stdout
    for part in re.split(r"^[0-9a-f]+ <", listing, flags=re.MULTILINE)[1:]:
        name, _, body = part.partition(">:\n")
        steps = [(int(at, 16), text) for at, text in STEP.findall(body)]
        branches = [at for at, text in steps if re.match(r"j(?!mp)", text)]
        if any(at in met for at, _ in steps) and re.match(r"_ZN3nts(3siv|7gcm_siv)12_GLOBAL", name):
            yield name, len(branches), sum(at in met for at in branches)


@pytest.mark.parametrize("tier", TIERS)
def test_K09_K10_a_tier_takes_the_same_way_and_touches_the_same_addresses_whatever_the_secrets(tier, places, tmp_path):
    done = step(tier, places, tmp_path / "walked", "long" if os.environ.get("NOONMARK_LONG") else "short")
    assert done.returncode == 0, done.stdout[-4000:]
    functions = list(functions_walked(tmp_path / "walked"))
    branches, met = sum(f[1] for f in functions), sum(f[2] for f in functions)
    print(f"{tier}: {len(functions)} functions, {met} of their {branches} branches met")
    assert met > 0.2 * branches, "too little was stepped through"  # the others are for lengths of other kinds


@pytest.mark.parametrize(("leak", "tier"), [("branch", "vaes256_x8"), ("lookup", "vaes512_x16")])
def test_K09_a_planted_leak_makes_the_ways_differ(leak, tier, places, tmp_path):
    done = step(tier, places, tmp_path / "walked", leak)
    assert done.returncode == WAYS_DIFFER and "is the first that differs" in done.stdout, done.stdout[-4000:]


@pytest.mark.parametrize("tier", tier_files.wide_tiers(), ids=TIERS)
def test_K09_a_wide_tier_holds_no_instruction_that_looks_up_divides_or_jumps_by_a_register(tier):
    steps = disassembled(tier_files.object_of(tier))
    assert len(steps) > 1000, "this is not the tier"
    found = [text for _, text in steps if NEVER.match(text)]
    assert not found, found[:10]


@pytest.mark.parametrize("text", ["vpgatherdd (%rax,%zmm1,4),%zmm0{%k1}", "vpscatterqq %zmm0,(%rax,%zmm1,8){%k1}",
                                  "notrack jmp *%rax", "call   *0x8(%rdi)", "divl   0x4(%rsp)", "idiv   %rcx"])
def test_K09_such_an_instruction_would_be_found(text):
    assert NEVER.match(text)
