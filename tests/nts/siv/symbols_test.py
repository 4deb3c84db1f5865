"""No tier's object holds a weak symbol: such a function would be one copy for the whole program, and might be
the one compiled with instructions that this CPU does not have."""

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = ROOT / "build" / "nts"
FOLDERS = {"siv": "libsiv-*.a", "gcm_siv": "libgcm-siv-*.a"}
SUMS = ROOT / "build" / "dataplane" / "libdataplane-wide-sum-avx512.a"


def weak_symbols(listing):
    """The names that `nm` marks W, V or u (unique global)."""
    return [line.split()[-1] for line in listing.splitlines() if len(line.split()) == 3 and line.split()[1] in "WwVvu"]


def test_tier_libraries_have_no_weak_symbols():
    for folder, libraries in FOLDERS.items():
        held = ""
        for library in sorted((BUILD / folder).glob(libraries)):
            listing = subprocess.run(["nm", "--defined-only", library], stdout=subprocess.PIPE, text=True, check=True).stdout
            assert not weak_symbols(listing), f"{library}: {weak_symbols(listing)}"
            held += listing
        for source in sorted((ROOT / "nts" / folder).glob(f"{folder}_*.cc")):
            assert source.stem.removeprefix("siv_") in held, f"the table of {source} is in no library of {BUILD / folder}"


def test_the_wide_checksum_has_no_weak_symbols():
    listing = subprocess.run(["nm", "--defined-only", SUMS], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert "wide_sum_avx512" in listing and not weak_symbols(listing)


def test_a_weak_symbol_would_be_found():
    assert weak_symbols("0000000000000000 W _ZSt3minIiE\n0000000000000000 T main\n") == ["_ZSt3minIiE"]
