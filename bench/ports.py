"""The figures of a whole running server, for bench/headline: packets per second by port beside a plain socket,
start-up time, memory. What they mean and what they do not: bench/README.md.

One lab: a veth pair between two namespaces that are made here and removed at the end, also after a failure. The
three servers take turns on it, so that what slows this machine for a while slows all of them. Standard output
holds `name=value` lines alone; a figure that cannot be measured here is printed as `skipped`, and the reason goes
to standard error.
"""

import json
import os
import signal
import statistics
import sys
from pathlib import Path

from lab import network, processes
from lab.commands import LabError
from lab.lab import ROOT, Lab
from lab.quickstart import handle_stop_signals, stop_early
from noonmark_config import write_config

TURNS = 3
LOAD_MS = 1000
WINDOW = 128  # requests under way: four bursts, so that the server always finds one
LOAD_SECONDS_MAX = 25  # 15 s for the first answer, the load, and room
# The client's own address and MAC are nobody's: the client's kernel drops what comes back instead of answering
# with ICMP (bench/ports_load.cc).
CLIENT_IPV4, CLIENT_MAC = "10.123.0.3", "02:00:00:00:00:03"
CPU_PERCENT_MIN = 90  # of its CPU that the client, which never sleeps, must have had
ROLES = ("launcher", "keeper", "ke", "clock", "admin", "upstream", "dataplane")
PORTS = ("af_packet", "af_xdp")
NAMES = [*(f"ports_{port}_pps" for port in (*PORTS, "socket")), *(f"ports_{port}_lost" for port in (*PORTS, "socket")),
         "ports_cpu_percent",
         "start_first_answer_ms", *(f"memory_{role}_kib" for role in ROLES), "memory_dataplane_hugepages_kib"]


class Bench:
    """Who serves, who loads, on which CPU. `samples`: {name: values}."""

    def __init__(self, lab, cpus):
        self.lab = lab
        self.client_cpu, self.server_cpu = cpus[0], cpus[-1]
        self.samples = {}
        shown = lab.run_in_server("ip", "-j", "link", "show", network.SERVER_DEVICE)
        self.server_mac = json.loads(shown.stdout)[0]["address"]

    def note(self, name, value):
        self.samples.setdefault(name, []).append(value)

    def start_load(self, log):
        log.unlink(missing_ok=True)
        return self.lab.start_inside_client(
            "taskset", "-c", self.client_cpu, ROOT / "build/bench/ports-load", network.CLIENT_DEVICE, self.server_mac,
            CLIENT_MAC, network.SERVER_IPV4, CLIENT_IPV4, WINDOW, LOAD_MS, log=log)

    def finish_load(self, load, log, name):
        """Waits for the load; returns when the first answer came, in microseconds since 1970."""
        try:
            load.wait(LOAD_SECONDS_MAX)
        except Exception as slow:
            processes.stop(load)
            raise LabError(f"the load on {name} did not end within {LOAD_SECONDS_MAX} s") from slow
        text = log.read_text(errors="replace")
        said = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        if load.returncode != 0 or int(said.get("answered", 0)) == 0:
            raise LabError(f"the load on {name} got no answers: {text.strip()}")
        self.note(f"ports_{name}_pps", int(said["answered"]) / (int(said["elapsed_ns"]) / 1e9))
        self.note(f"ports_{name}_lost", int(said["lost"]))
        self.note("ports_cpu_percent", 100 * int(said["cpu_ns"]) / int(said["elapsed_ns"]))
        return int(said["first_answer_us"])

    def serve_by_port(self, port):
        """`noonmark run` on this port, loaded once, and asked what it weighs while it is still up."""
        lab, log, began = self.lab, self.lab.state / "load.txt", self.lab.state / "began"
        config = lab.state / "bench.toml"
        write_config(config, lab, port, network.SERVER_DEVICE, self.server_cpu)
        load = self.start_load(log)
        # The shell notes the moment and becomes noonmark: no other process between the two.
        launcher = lab.start_inside_server(
            "bash", "-c", 'echo "${EPOCHREALTIME//[.,]/}" >"$0"; exec "$@"', began, lab.binary("noonmark"), "run",
            "--config", config, "--pages", lab.pages, "--bin-dir", lab.state / "bin", log=lab.log)
        try:
            first_us = self.finish_load(load, log, port)
            if port == PORTS[0]:
                self.note("start_first_answer_ms", (first_us - int(began.read_text())) / 1000)
                self.weigh(launcher)
        finally:
            processes.stop(launcher)

    def serve_by_socket(self):
        log = self.lab.state / "load.txt"
        # Each time: a DPDK port that starts sets its MAC anew, and the kernel then forgets all neighbours.
        self.lab.run_in_server("ip", "neigh", "replace", CLIENT_IPV4, "lladdr", CLIENT_MAC,
                               "dev", network.SERVER_DEVICE)
        load = self.start_load(log)
        server = self.lab.start_inside_server("taskset", "-c", self.server_cpu, ROOT / "build/bench/ports-server",
                                              network.SERVER_IPV4, 123, log=self.lab.state / "socket.log")
        try:
            self.finish_load(load, log, "socket")
        finally:
            processes.stop(server)

    def weigh(self, launcher):
        """The memory of each process: its proportional set, so that the sum is what the whole takes."""
        for pid in [launcher.pid, *(pid for pid, _ in processes.children(launcher.pid))]:
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            role = {"noonmark": "launcher", "noonmark-dataplane": "dataplane"}.get(Path(words[0]).name, words[1])
            rollup = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
            kib = {key: int(value.split()[0]) for key, value in rollup.items()}
            self.note(f"memory_{role}_kib", kib["Pss"])
            if role == "dataplane":  # not part of any set size
                self.note("memory_dataplane_hugepages_kib", kib["Private_Hugetlb"] + kib["Shared_Hugetlb"])

    def run(self):
        for _ in range(TURNS):
            for port in PORTS:
                self.serve_by_port(port)
            self.serve_by_socket()


def measure(samples):
    """Fills `samples` as far as this machine can; raises LabError with the reason why the rest is missing."""
    if os.getuid() != 0:
        raise LabError("network namespaces need root; run this as root or with sudo")
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise LabError("server and client need a CPU each, and this process may use one only")
    with Lab("bench", "noonmark-bench", "noonmark-bench-client") as lab:
        bench = Bench(lab, cpus)
        bench.samples = samples
        try:
            bench.run()
        except LabError as wrong:
            raise LabError(f"{wrong}\n{lab.log_tail()}") from wrong
        finally:
            handle_stop_signals(signal.SIG_IGN)  # only cleaning up is left


def main():
    samples = {}
    handle_stop_signals(stop_early)
    try:
        measure(samples)
    except (LabError, OSError) as wrong:
        print(f"headline: {wrong}", file=sys.stderr)
    except KeyboardInterrupt:
        print("headline was interrupted; everything it made is removed.", file=sys.stderr)
        return 1
    if min(samples.get("ports_cpu_percent", [100])) < CPU_PERCENT_MIN:
        print("headline: this machine was busy with something else; the ports_* figures are too low, so run this again "
              "when it is idle.", file=sys.stderr)
    for name in NAMES:
        values = samples.get(name)
        if not values:
            print(f"{name}={'none' if name.startswith('memory_') and samples else 'skipped'}")
        else:
            sum_up = sum if name.endswith("_lost") else min if name == "ports_cpu_percent" else statistics.median
            print(f"{name}={sum_up(values):.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
