"""No tier's object holds a weak symbol: such a function would be one copy for the whole program, and might be
the one compiled with instructions that this CPU does not have."""

import pathlib
import subprocess

BUILD = pathlib.Path(__file__).resolve().parents[3] / "build" / "nts" / "siv"


def weak_symbols(listing):
    """The names that `nm` marks W, V or u (unique global)."""
    return [line.split()[-1] for line in listing.splitlines() if len(line.split()) == 3 and line.split()[1] in "WwVvu"]


def test_tier_libraries_have_no_weak_symbols():
    libraries = sorted(BUILD.glob("libsiv-*.a"))
    assert libraries, "no tier library was built"
    for library in libraries:
        listing = subprocess.run(["nm", "--defined-only", library], stdout=subprocess.PIPE, text=True, check=True).stdout
        assert "kernels" in listing or "_x" in listing, f"{library}: no table in it"
        assert not weak_symbols(listing), f"{library}: {weak_symbols(listing)}"


def test_a_weak_symbol_would_be_found():
    assert weak_symbols("0000000000000000 W _ZSt3minIiE\n0000000000000000 T main\n") == ["_ZSt3minIiE"]
