"""K14: nothing of a key is left when its owner goes, whichever compiler thought it knew better; K11: no tag is compared
by a function that stops at the first difference. wiped.cc (secrets, a client) and wiped_server.cc are built here with
the packet core, by each compiler anew; the tiers are those of build/, as shipped."""

import functools
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
KEPT = BUILD / "secrets"
CORE = [f"nts/{name}.cc" for name in ("answer", "client", "key_ring", "ntp_time", "request", "server")]
PROGRAMS = ["wiped", "wiped_server"]
COMPILERS = {"gcc": ["g++", "-O3"], "gcc-lto": ["g++", "-O3", "-flto"], "clang": ["clang++-14", "-O3"]}
# As the product is linked: a function that is bound at its first call saves registers, keys in them, on the stack.
LINK = ["-Wl,-z,relro,-z,now"]
STOPPING_COMPARISONS = ("memcmp", "bcmp", "strcmp", "strncmp")


@pytest.fixture(scope="module", name="built_by", params=COMPILERS)
def built(request):
    """The folder with the programs."""
    compiler = COMPILERS[request.param]
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"{compiler[0]} is not installed; configs/setup does")
    folder = KEPT / request.param
    folder.mkdir(parents=True, exist_ok=True)
    sources = [*CORE, *(f"tests/secrets/{program}.cc" for program in PROGRAMS)]
    objects = {source: folder / (pathlib.Path(source).stem + ".o") for source in sources}
    for source, made in objects.items():
        subprocess.run(["ccache", *compiler, "-std=c++20", "-I.", "-c", source, "-o", made], cwd=ROOT,
                       check=True)
    libraries = [*sorted(BUILD.glob("nts/siv/lib*.a")), *sorted(BUILD.glob("nts/gcm_siv/lib*.a"))]
    for program in PROGRAMS:
        own = [objects[source] for source in [*CORE, f"tests/secrets/{program}.cc"]]
        subprocess.run([*compiler, *own, "-Wl,--start-group", *libraries, "-Wl,--end-group", *LINK,
                        "-o", folder / program], check=True)
    return folder


@functools.cache
def run(program, *words):
    """Once, however many look at it: it takes a while, and says the same again."""
    return subprocess.run([program, *words], stdout=subprocess.PIPE, text=True, check=False)


@pytest.mark.parametrize("program", PROGRAMS)
def test_K14_no_key_is_left_on_heap_or_stack(built_by, program):
    done = run(built_by / program)
    print(done.stdout)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_K14_every_tier_was_looked_at(built_by, program):
    lacking = [line for line in run(built_by / program).stdout.splitlines() if line.startswith("not run: ")]
    if lacking:
        pytest.skip(f"this CPU lacks what they need: {', '.join(lacking)}")


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("place", ["stack", "heap"])
def test_K14_a_key_that_is_left_would_be_found(built_by, program, place):
    done = run(built_by / program, place)
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
