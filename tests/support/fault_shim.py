"""Tells the shim (fault_shim.cc) inside running roles which calls are to fail.

The launcher gives its children an environment of their own, so the shim gets in by a wrapper in the place of
noonmark-control. Each role has its own rules.
"""

import errno
import mmap
import os
import shlex
import struct
import subprocess
from pathlib import Path

import pytest

SHIM = Path(__file__).resolve().parents[2] / "build" / "tests" / "support" / "libfault-shim.so"
ALLOCATE, ACCEPT = range(2)  # as in fault_shim.cc
RULE = struct.Struct("=qqqq")  # skip, fail, error, seen
CALLS = 2


class Rules:
    """The rules of one role."""

    def __init__(self, path):
        self.path = Path(path)
        self.path.write_bytes(bytes(RULE.size * CALLS))
        self.path.chmod(0o666)  # the role maps it under its own uid
        with open(self.path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), RULE.size * CALLS)

    def fail(self, call, skip=0, times=1, error=errno.ENOMEM):
        """After `skip` more calls, `times` of them fail."""
        base = call * RULE.size
        struct.pack_into("=q", self.map, base + 8, 0)  # off while the rest is written
        struct.pack_into("=q", self.map, base, skip)
        struct.pack_into("=q", self.map, base + 16, error)
        struct.pack_into("=q", self.map, base + 8, times)

    def stop(self, call):
        struct.pack_into("=q", self.map, call * RULE.size + 8, 0)

    def left(self, call):
        """How many are still to fail."""
        return struct.unpack_from("=q", self.map, call * RULE.size + 8)[0]

    def seen(self, call):
        return struct.unpack_from("=q", self.map, call * RULE.size + 24)[0]


def install(lab):
    """Copies the shim to where the roles may read it; returns its path there."""
    if not SHIM.exists():
        pytest.fail(f"{SHIM} is missing; build first ('ninja -C build')")
    shim = lab.state / "bin" / SHIM.name
    if not shim.exists():
        shim.write_bytes(SHIM.read_bytes())
        shim.chmod(0o755)
    return shim


def wrap(lab, roles):
    """Before lab.start(): {role: Rules} for `roles`, whose processes from now on run with the shim."""
    shim = install(lab)
    real = lab.state / "bin" / "noonmark-control"
    moved = lab.state / "bin" / "noonmark-control.real"
    real.rename(moved)
    rules = {role: Rules(lab.state / f"faults.{role}") for role in roles}
    lines = ["#!/bin/sh", 'case "$1" in']
    for role, its in rules.items():
        lines.append(f"{role}) export LD_PRELOAD={shlex.quote(str(shim))} NOONMARK_FAULTS={shlex.quote(str(its.path))};;")
    lines += ["esac", f'exec {shlex.quote(str(moved))} "$@"']
    real.write_text("\n".join(lines) + "\n", encoding="ascii")
    real.chmod(0o755)
    return rules


def strace(pid, *arguments):
    """strace attached to a running process and its threads; returns when it is attached. End it with end_strace()."""
    process = subprocess.Popen(["strace", "-f", "-p", str(pid), "-o", "/dev/null", *arguments], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    line = process.stderr.readline()
    while "attached" not in line:
        if not line:
            process.wait()
            pytest.skip("this machine does not let root trace its processes")
        line = process.stderr.readline()
    os.set_blocking(process.stderr.fileno(), False)
    return process


def end_strace(process):
    """It may wait for ever for a traced process that died while it let go of it: then the kernel lets go."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
