"""Scripts the devices that device_shim.cc plays inside a running clock role: /dev/ptp0 and /dev/pps0.

The launcher gives its children an environment of their own, so the shim gets in by a wrapper in the place of
noonmark-control, as fault_shim.py's does.
"""

import mmap
import shlex
import struct
from pathlib import Path

import pytest

SHIM = Path(__file__).resolve().parents[2] / "build" / "tests" / "support" / "libdevice-shim.so"
# In the order of device_shim.h.
FIELDS = ("phc_offset_ns", "phc_frozen_at_ns", "phc_rate_ppb", "phc_rate_since_ns", "methods_missing", "busy", "error",
          "short_reads", "duplicates", "no_strict_flags", "no_pulses", "pulse_offset_ns", "both_edges", "pins_busy",
          "asked", "answered_by")


class Devices:
    """The script, by the names of its fields: devices.busy = 3. All 0 is a good device that has every method."""

    def __init__(self, path):
        path = Path(path)
        path.write_bytes(bytes(8 * len(FIELDS)))
        path.chmod(0o666)  # the role maps it under its own uid
        with open(path, "r+b") as file:
            object.__setattr__(self, "map", mmap.mmap(file.fileno(), 8 * len(FIELDS)))

    def __getattr__(self, name):
        if name not in FIELDS:
            raise AttributeError(name)
        return struct.unpack_from("=q", self.map, 8 * FIELDS.index(name))[0]

    def reset(self, **script):
        """A good device again, but for what `script` says. What was counted stays."""
        for name in FIELDS:
            if name != "asked":
                setattr(self, name, script.get(name, 0))

    def __setattr__(self, name, value):
        struct.pack_into("=q", self.map, 8 * FIELDS.index(name), int(value))


def wrap(lab):
    """Before lab.start(): the clock role sees scripted devices from now on. Returns their script."""
    if not SHIM.exists():
        pytest.fail(f"{SHIM} is missing; build first ('ninja -C build')")
    shim = lab.state / "bin" / SHIM.name
    shim.write_bytes(SHIM.read_bytes())
    shim.chmod(0o755)
    script = lab.state / "devices"
    devices = Devices(script)
    real = lab.state / "bin" / "noonmark-control"
    moved = lab.state / "bin" / "noonmark-control.real"
    real.rename(moved)
    preload = f"LD_PRELOAD={shlex.quote(str(shim))} NOONMARK_DEVICES={shlex.quote(str(script))}"
    real.write_text(f'#!/bin/sh\n[ "$1" = clock ] && export {preload}\nexec {shlex.quote(str(moved))} "$@"\n',
                    encoding="ascii")
    real.chmod(0o755)
    return devices
