"""Restarts without end leave nothing (TESTS.md H16): 20 of the keeper and 6 of the dataplane, over an XDP program that
each of them attaches anew; with NOONMARK_LONG=1 1000 and 200.

The launcher's pauses grow while a role dies again and again, so a launcher lives for a few deaths of each, and what
it leaves is looked at as well.
"""

import os
import re
import time
from pathlib import Path

import bpf_objects
import failpoints as fp
from failpoints import wait_until
from lab import network
from lab_server import configuration, running

IS_LONG = os.environ.get("NOONMARK_LONG") == "1"
KEEPERS_A_LIFE, DATAPLANES_A_LIFE = 5, 2
LIVES = 200 if IS_LONG else 4  # x 5 = 1000 keepers
DATAPLANES = 200 if IS_LONG else 6
PATIENCE_S = 15
LAUNCHER_GROWTH_KIB_MAX = 512  # its heap is touched here and there; a leak of one child's descriptors is more in 1000
DEVICE = f"af_xdp:{network.SERVER_DEVICE}"


def files_below(*roots):
    """What of ours lies there, by path."""
    return {str(path) for root in roots if Path(root).exists() for path in Path(root).rglob("*")
            if re.search("noonmark-restarts|/dpdk|restarts-[sc]", str(path))}


def hugepages():
    return {line.split(":")[0]: int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines()
            if line.startswith("HugePages_")}


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def memory_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1))


def held(lab):
    """All that could leak, as one value to compare."""
    return {
        "descriptors": {role: [descriptors(pid) for pid in pids] for role, pids in fp.pids(lab).items()},
        "launcher": descriptors(lab.launcher.pid),
        "files": files_below(lab.pages, "/dev/hugepages"),
        "keys": sorted(path.name for path in (lab.state / "keeper").iterdir()),
        "hugepages": hugepages(),
        "namespaces": {name for name in network.namespaces() if name.startswith("restarts")},
        "programs": bpf_objects.count("prog", "noonmark_ntp"),
        "maps": bpf_objects.count("map", "noonmark_pairs"),
    }


def held_at_rest(lab):
    """held() once it has stayed the same for two seconds: the roles find each other within one."""
    deadline = time.monotonic() + PATIENCE_S
    seen = [held(lab)]
    while seen[-4:] != 4 * [seen[-1]] or len(seen) < 4:
        assert time.monotonic() < deadline, seen[-2:]
        time.sleep(0.5)
        seen.append(held(lab))
    return seen[-1]


def settles_at(lab, expected):
    """Closing goes on for a moment in the kernel and in the roles. Returns what is held instead, or nothing."""
    found = {}

    def is_same():
        found.update(held(lab))
        return found == expected
    if wait_until(is_same, PATIENCE_S, 0.1):
        return {}
    return {what: (expected[what], value) for what, value in found.items() if value != expected[what]}


def is_serving(lab):
    status = lab.ask("status")["dataplane"]
    return status["running"] and [status["pid"]] == fp.pids(lab)["dataplane"] and fp.exchange(lab).cookies


def restart(lab, role):
    before = fp.pids(lab)[role]
    fp.kill(lab, role)
    assert wait_until(lambda: fp.pids(lab)[role] and fp.pids(lab)[role] != before, PATIENCE_S)
    assert wait_until(lambda: is_serving(lab), PATIENCE_S), role


def test_H16_restarts_leak_nothing():
    before = files_below("/dev/shm", "/run", "/tmp")
    with running("restarts", dataplane={"devices": [DEVICE]}) as lab:
        assert wait_until(lambda: is_serving(lab), PATIENCE_S)
        first = held_at_rest(lab)
        assert first["programs"] >= 1 and first["maps"] >= 1 and first["descriptors"]["keeper"][0] > 3
        killed = 0
        for life in range(LIVES):
            memory = memory_kib(lab.launcher.pid)
            for number in range(KEEPERS_A_LIFE):
                restart(lab, "keeper")
                if number < DATAPLANES_A_LIFE and killed < DATAPLANES:
                    restart(lab, "dataplane")
                    killed += 1
            assert settles_at(lab, first) == {}, f"life {life}"
            assert memory_kib(lab.launcher.pid) - memory < LAUNCHER_GROWTH_KIB_MAX
            if life + 1 < LIVES:
                assert lab.stop() == 0
                lab.start(configuration(lab, dataplane={"devices": [DEVICE]}))
                assert wait_until(lambda: is_serving(lab), PATIENCE_S)
                assert settles_at(lab, first) == {}, f"life {life + 1} at its start"
        assert killed == DATAPLANES or LIVES * DATAPLANES_A_LIFE < DATAPLANES
        programs, maps = first["programs"] - 1, first["maps"] - 1
    assert wait_until(lambda: bpf_objects.count("prog", "noonmark_ntp") == programs, PATIENCE_S)
    assert wait_until(lambda: bpf_objects.count("map", "noonmark_pairs") == maps, PATIENCE_S)
    assert files_below("/dev/shm", "/run", "/tmp") <= before
