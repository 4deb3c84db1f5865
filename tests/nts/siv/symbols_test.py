"""No tier's object holds a weak symbol: such a function would be one copy for the whole program, and might be
the one compiled with instructions that this CPU does not have."""

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = ROOT / "build" / "nts" / "siv"


def weak_symbols(listing):
    """The names that `nm` marks W, V or u (unique global)."""
    return [line.split()[-1] for line in listing.splitlines() if len(line.split()) == 3 and line.split()[1] in "WwVvu"]


def test_tier_libraries_have_no_weak_symbols():
    held = ""
    for library in sorted(BUILD.glob("libsiv-*.a")):
        listing = subprocess.run(["nm", "--defined-only", library], stdout=subprocess.PIPE, text=True, check=True).stdout
        assert not weak_symbols(listing), f"{library}: {weak_symbols(listing)}"
        held += listing
    for source in sorted((ROOT / "nts" / "siv").glob("siv_*.cc")):
        assert source.stem.removeprefix("siv_") in held, f"the table of {source} is in no library of {BUILD}"


def test_a_weak_symbol_would_be_found():
    assert weak_symbols("0000000000000000 W _ZSt3minIiE\n0000000000000000 T main\n") == ["_ZSt3minIiE"]
