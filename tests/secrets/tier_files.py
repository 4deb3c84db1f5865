"""The tiers, as their files tell: each nts/siv/siv_*.cc and nts/gcm_siv/gcm_siv_*.cc is one, so that none can be
forgotten by a list."""

import dataclasses
import json
import pathlib
import platform
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
TABLE = re.compile(r'const Kernels (\w+) =\s*make_kernels<\w+>\(\s*"(\w+)",\s*"([^"]+)",\s*cpu_can_run\)')
TAKEN = re.compile(r'#include "(nts/\w+/\w+\.cc)"')
KEY_BITS = re.compile(r"#define NOONMARK_SIV_KEY_BITS (\d+)")
KNOWN_TO_VALGRIND = {"AES", "PCLMULQDQ", "SSSE3", "SSE4.1", "none beyond the baseline"}  # 3.19; AVX2 it knows, VAES not


@dataclasses.dataclass(frozen=True)
class Tier:
    """One tier: `symbol` is its table's name in C++, `name` the operator's, with /48 or /64 for the longer keys."""

    path: pathlib.Path
    symbol: str
    name: str
    sets: frozenset  # the instruction sets that it says it needs

    @property
    def is_wide(self):
        return not self.sets <= KNOWN_TO_VALGRIND

    @property
    def text(self):
        """Its own lines, and those of the file that it compiles once more."""
        return "".join(file.read_text() for file in files_of(self.path))


def files_of(path):
    taken = TAKEN.search(path.read_text())
    return [path, ROOT / taken.group(1)] if taken else [path]


def tier_of(path):
    """The tier of this file; ValueError when it looks like none, for a tier must not go unseen."""
    text = path.read_text()
    table = TABLE.search(files_of(path)[-1].read_text())
    if table is None:
        raise ValueError(f"{path} has no table of kernels")
    symbol, name, sets = table.groups()
    renamed = re.search(rf"#define {symbol} (\w+)", text)
    bits = KEY_BITS.search(text)
    return Tier(path, renamed.group(1) if renamed else symbol, name + (f"/{int(bits.group(1)) // 8}" if bits else ""),
                frozenset(sets.split(", ")))


def all_tiers():
    paths = [*(ROOT / "nts" / "siv").glob("siv_*.cc"), *(ROOT / "nts" / "gcm_siv").glob("gcm_siv_*.cc")]
    return [tier_of(path) for path in sorted(paths)]


def wide_tiers():
    return [tier for tier in all_tiers() if tier.is_wide]


def cpu_lacks(sets):
    """Those of the instruction sets that the kernel does not see here: ["VAES"]."""
    flags = set()
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            flags = set(line.split(":")[1].split())
            break
    return sorted(one for one in sets if one.lower().replace(".", "_") not in flags)


def _command_of(tier):
    """How the build compiles the tier."""
    commands = json.loads((BUILD / "compile_commands.json").read_text())
    return next(one for one in commands if (BUILD / one["file"]).resolve() == tier.path)


def switches_of(tier):
    """The switches that let the compiler use an instruction set in this tier: ["-maes"]."""
    return [word for word in _command_of(tier)["command"].split() if word.startswith("-m")]


def object_of(tier):
    """What the build made of it."""
    return BUILD / _command_of(tier)["output"]


def is_x86():
    return platform.machine() == "x86_64"
