"""Real NTP programs of Debian 12, and gpsd, unpacked beside the system and never installed: installing chrony or
NTPsec would start a daemon that steers this machine's clock, installing gpsd one that takes its receivers.

A tree comes from, in this order: our cache (so everything works offline after the first time), packages that
apt already has, a download. Where none of these works, a program that the machine has installed is copied, and
the copy is run: the confinement of the installed path (AppArmor) would keep it from reading our files.
"""

import os
import shutil
import tempfile
from pathlib import Path

from lab.commands import LabError, run

ROOT = Path(__file__).resolve().parents[2]
CACHES = [Path("/var/cache/noonmark/peers"), ROOT / "build" / "peers"]
APT_ARCHIVES = Path("/var/cache/apt/archives")

# What we run, from which packages, and which file proves that the tree is whole.
TREES = {
    "chrony": (["chrony"], "usr/sbin/chronyd"),
    "gpsd": (["gpsd", "gpsd-clients", "python3-gps"], "usr/sbin/gpsd"),
    "ntpsec": (["ntpsec", "ntpsec-ntpdig", "python3-ntp"], "usr/sbin/ntpd"),
}
INSTALLED = {"chrony": ["/usr/sbin/chronyd", "/usr/bin/chronyc"]}


def _writable_cache():
    for cache in CACHES:
        try:
            cache.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(cache, os.W_OK):
            return cache
    raise LabError(f"cannot write to {CACHES[0]} nor to {CACHES[1]}; make one of them writable")


def _packages(names, directory):
    """Brings the .deb files of `names` into `directory` and returns them."""
    files = []
    for name in names:
        kept = sorted(APT_ARCHIVES.glob(f"{name}_*.deb"))
        if kept:
            files.append(kept[-1])
            continue
        run("apt-get", "-q", "download", name, cwd=directory, timeout_s=120)
        files.append(next(iter(directory.glob(f"{name}_*.deb"))))
    return files


def tree(name):
    """The directory that holds the unpacked packages of `name`, a key of TREES."""
    packages, proof = TREES[name]
    for cache in CACHES:
        if (cache / name / proof).exists():
            return cache / name
    cache = _writable_cache()
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        whole = Path(scratch) / "tree"
        whole.mkdir(mode=0o755)
        try:
            for file in _packages(packages, Path(scratch)):
                run("dpkg-deb", "-x", file, whole)
        except LabError as wrong:
            installed = [file for file in INSTALLED.get(name, []) if Path(file).exists()]
            if not installed:
                raise LabError(f"cannot get Debian's {' and '.join(packages)}: connect this machine to a Debian "
                               f"12 mirror, or unpack the packages into {cache / name} ({wrong})") from wrong
            for file in installed:
                copy = whole / file.lstrip("/")
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, copy)
        try:
            os.rename(whole, cache / name)
        except OSError:
            if not (cache / name / proof).exists():  # else another test was faster: its tree is as good
                raise
    return cache / name


def program(name, file):
    """The path of one program of a tree; LabError when its package does not have it."""
    path = tree(name) / file
    if not path.exists():
        raise LabError(f"{path} is missing; remove {path.parents[2]} so that it is unpacked again")
    return path
