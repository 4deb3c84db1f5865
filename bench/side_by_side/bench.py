"""The turns of bench/compare: one server at a time on the same veth, one generator, the same questions to each."""

import os
import statistics
import sys
import time

from lab import network, processes
from lab.commands import LabError

from side_by_side import search, servers

LOAD = servers.ROOT / "build/bench/load/load"
SOURCES = 16
# Addresses of the client's end that are its own by this route alone; ARP is answered for them (ip-route(8), "local").
SOURCES_NET, FIRST_SOURCE = "10.123.0.64/27", "10.123.0.64"
FLAT_WINDOW = 128  # under way when flat out: fits any server's receive buffer, so what is lost is not the window's
RATE_WINDOW = 4096
READY_SECONDS = 30


class Bench:
    """`points`: {(server, kind): {"flat": [Point], "best": [Point or None]}}; `skipped`: {server: reason}."""

    def __init__(self, lab, cpus, options):
        self.lab, self.options = lab, options
        self.client_cpu, self.server_cpu = cpus[0], cpus[-1]
        self.points, self.skipped, self.versions = {}, {}, {}
        self.wrong = 0
        self.log = lab.state / "load.log"
        network.run("ip", "-n", lab.client_namespace, "route", "add", "local", SOURCES_NET, "dev", "lo")

    def run(self):
        made = {name: make(self.lab, self.server_cpu) for name, make in servers.known().items()
                if name in self.options.servers}
        for turn in range(self.options.rounds):
            for name, server in made.items():
                if name in self.skipped:
                    continue
                print(f"turn {turn + 1} of {self.options.rounds}: {name}", file=sys.stderr, flush=True)
                try:
                    self.serve_once(name, server)
                except (LabError, OSError) as trouble:
                    self.skipped[name] = f"{trouble} {server.log_tail()}".strip()
                    print(f"{name} is left out: {self.skipped[name]}", file=sys.stderr, flush=True)

    def serve_once(self, name, server):
        try:
            server.start()
            self.versions.setdefault(name, server.version())
            for kind in server.kinds:
                if self.options.only in (None, kind):
                    self.measure(name, server, kind)
        finally:
            server.stop()

    def measure(self, name, server, kind):
        self.wait_until_good(server, kind)
        flat = self.load(server, kind, 0)
        best = search.highest(lambda rate: self.load(server, kind, rate), flat.pps, self.options.points)
        taken = self.points.setdefault((name, kind), {"flat": [], "best": []})
        taken["flat"].append(flat)
        taken["best"].append(best)

    def wait_until_good(self, server, kind):
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                self.load(server, kind, 1000, seconds=0.01)
                return
            except LabError:
                if time.monotonic() > deadline or server.process.poll() is not None:
                    raise
                time.sleep(0.2)

    def load(self, server, kind, rate, seconds=None):
        """One load; LabError when no good answer came at all."""
        seconds = seconds or self.options.seconds
        words = [LOAD, "--sockets", "--to", network.SERVER_IPV4, "--from", FIRST_SOURCE, "--sources", SOURCES, "--core",
                 self.client_cpu, "--rate", rate, "--window", RATE_WINDOW if rate else FLAT_WINDOW, "--seconds", seconds,
                 "--wait", 10, "--tolerance", 10, *(server.keys() if kind == "nts" else [])]
        self.log.unlink(missing_ok=True)
        process = self.lab.start_inside_client(*words, log=self.log)
        try:
            before = self.cpu_ns_when_begun(server, process)
            process.wait(seconds + 60)
        except Exception as slow:
            raise LabError(f"the load on {server.name} did not end") from slow
        finally:
            processes.stop(process)
        spent = server.cpu_ns() - before
        said = {key: value for key, _, value in (line.partition("=") for line in self.log.read_text().splitlines())
                if value.isdigit()}
        if "pps" not in said:
            last = self.log.read_text().strip().splitlines()[-1:]
            raise LabError(f"no answers to {kind} requests: {' '.join(last)}")
        figures = {key: int(value) for key, value in said.items()}
        self.wrong += figures["wrong"]
        return search.Point(rate=rate, seconds=seconds, sent=figures["sent"], answered=figures["answered"],
                            lost=figures["lost"], wrong=figures["wrong"], pps=figures["pps"], cpu_ns=spent,
                            p50_ns=figures["latency_p50_ns"], p99_ns=figures["latency_p99_ns"])


    def cpu_ns_when_begun(self, server, process):
        """The server's CPU time when the keys are exchanged and the first answer has come."""
        while process.poll() is None and not (self.log.exists() and "begun=1" in self.log.read_text()):
            time.sleep(0.002)
        return server.cpu_ns()


def figures(bench):
    """[(name, text)] of all that was measured, medians over the turns; `none`: no rate was carried in any turn."""
    lines = []
    for name in bench.options.servers:
        for kind in ("plain", "nts"):
            if bench.options.only not in (None, kind):
                continue
            prefix = f"compare_{name}_{kind}"
            taken = bench.points.get((name, kind))
            if not taken:
                lines.append((f"{prefix}_pps", "skipped"))
                continue
            best, flat = [point for point in taken["best"] if point], taken["flat"]
            lines += [(f"{prefix}_pps", median(best, lambda p: p.pps)),
                      (f"{prefix}_cpu_ns", median(best, lambda p: p.cpu_ns_per_answer)),
                      (f"{prefix}_latency_p50_ns", median(best, lambda p: p.p50_ns)),
                      (f"{prefix}_latency_p99_ns", median(best, lambda p: p.p99_ns)),
                      (f"{prefix}_flat_pps", median(flat, lambda p: p.pps)),
                      (f"{prefix}_flat_cpu_ns", median(flat, lambda p: p.cpu_ns_per_answer))]
    return [*lines, ("compare_wrong", str(bench.wrong))]


def median(points, value):
    return f"{statistics.median(map(value, points)):.0f}" if points else "none"


def table(bench):
    """The same for people."""
    found = dict(figures(bench))
    rows = [("", "", "highest rate", "flat out", "server CPU", "latency us at it"),
            ("server", "kind", "below 0.1 % lost", "128 under way", "ns/answer", "50 %   99 %")]
    for name in bench.options.servers:
        for kind in ("plain", "nts"):
            if (name, kind) not in bench.points:
                continue

            def of(what, name=name, kind=kind):
                return found[f"compare_{name}_{kind}_{what}"]

            def us(what):
                return of(what) if of(what) == "none" else f"{int(of(what)) / 1000:.0f}"
            rows.append((f"{name} {bench.versions.get(name, '')}".strip(), kind, of("pps"), of("flat_pps"), of("cpu_ns"),
                         f"{us('latency_p50_ns')} {us('latency_p99_ns'):>6}"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    text = ["  ".join(cell.ljust(width) if i < 2 else cell.rjust(width)
                      for i, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows]
    text += [f"left out: {name}: {reason.splitlines()[0]}" for name, reason in bench.skipped.items()]
    text.append(f"CPU {os.cpu_count()}; load average {os.getloadavg()[0]:.1f}; {bench.options.rounds} turns of "
                f"{bench.options.seconds} s a point; {bench.wrong} wrong answers")
    return "\n".join(text)
