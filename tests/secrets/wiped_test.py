"""K14: nothing of a key is left when its owner goes, whichever compiler thought it knew better; K11: no tag is compared
by a function that stops at the first difference. wiped.cc is built here with the packet core, by each compiler anew; the
tiers are those of build/, as shipped."""

import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
KEPT = BUILD / "secrets"
CORE = [*(f"nts/{name}.cc" for name in ("answer", "client", "key_ring", "ntp_time", "request", "server")), "tests/secrets/wiped.cc"]
COMPILERS = {"gcc": ["g++", "-O3"], "gcc-lto": ["g++", "-O3", "-flto"], "clang": ["clang++-14", "-O3"]}
STOPPING_COMPARISONS = ("memcmp", "bcmp", "strcmp", "strncmp")


@pytest.fixture(scope="module", name="program", params=COMPILERS)
def built(request):
    compiler = COMPILERS[request.param]
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"{compiler[0]} is not installed; configs/setup does")
    folder = KEPT / request.param
    folder.mkdir(parents=True, exist_ok=True)
    objects = [folder / (pathlib.Path(source).stem + ".o") for source in CORE]
    for source, made in zip(CORE, objects, strict=True):
        subprocess.run(["ccache", *compiler, "-std=c++20", f"-I{ROOT}", "-c", ROOT / source, "-o", made], check=True)
    libraries = [*sorted(BUILD.glob("nts/siv/lib*.a")), *sorted(BUILD.glob("nts/gcm_siv/lib*.a"))]
    program = folder / "wiped"
    subprocess.run([*compiler, *objects, "-Wl,--start-group", *libraries, "-Wl,--end-group", "-o", program], check=True)
    return program


def run(program, *words):
    return subprocess.run([program, *words], stdout=subprocess.PIPE, text=True, check=False)


def test_K14_no_key_is_left_on_heap_or_stack(program):
    done = run(program)
    assert done.returncode == 0, done.stdout


def test_K14_every_tier_was_looked_at(program):
    lacking = [line for line in run(program).stdout.splitlines() if line.startswith("not run: ")]
    if lacking:
        pytest.skip(f"this CPU lacks what they need: {', '.join(lacking)}")


@pytest.mark.parametrize("place", ["stack", "heap"])
def test_K14_a_key_that_is_left_would_be_found(program, place):
    done = run(program, place)
    assert done.returncode == 1 and place in done.stdout.replace("a freed block", "heap"), done.stdout


def comparisons_in(path):
    """The stopping comparisons that an object or archive calls."""
    listing = subprocess.run(["nm", "-u", path], stdout=subprocess.PIPE, text=True, check=True).stdout
    return [name for name in listing.split() if name in STOPPING_COMPARISONS]


def test_K11_neither_a_tier_nor_the_server_calls_a_comparison_that_stops():
    checked = [*BUILD.glob("nts/siv/libsiv-*.a"), *BUILD.glob("nts/gcm_siv/libgcm-siv-*.a"),
               *BUILD.glob("nts/**/*server.cc.o")]
    assert len(checked) > 8
    assert not {path.name: comparisons_in(path) for path in checked if comparisons_in(path)}


def test_K11_such_a_call_would_be_found(tmp_path):
    source = tmp_path / "compares.cc"
    source.write_text("#include <cstring>\nbool same(const char* a, const char* b) { return std::memcmp(a, b, 100) == 0; }\n")
    subprocess.run(["g++", "-O2", "-c", source, "-o", tmp_path / "compares.o"], check=True)
    assert comparisons_in(tmp_path / "compares.o")
