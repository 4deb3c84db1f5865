"""The figures of bench/line-rate: a real noonmark-dataplane on one CPU, the load generator on another, and
vhost-user between them: two processes that share memory, no kernel and no NIC in the way.

Standard output holds `name=value` lines alone. Hugepages are taken from the kernel for the run when too few are
free, and given back at the end, also after a failure or a signal. Without them both sides run on ordinary memory,
which is slower; `line_rate_hugepages` says which it was.
"""

import argparse
import contextlib
import os
import signal
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
NR_HUGEPAGES = Path("/proc/sys/vm/nr_hugepages")
HUGEPAGES = 160  # of 2 MiB: two processes with their buffers, and what EAL keeps for itself
VHOST_MAC = "56:48:4f:53:54:00"  # DPDK's vhost driver gives its first port no other
SOCKET_SECONDS_MAX = 15


class LineRateError(Exception):
    """One sentence for whoever runs it."""


def free_hugepages():
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("HugePages_Free:"):
            return int(line.split()[1])
    return 0


@contextlib.contextmanager
def hugepages():
    """Yields whether there are enough; what was added to the kernel's number is taken off it again."""
    added = 0
    free = free_hugepages()
    try:
        if free < HUGEPAGES:
            before = int(NR_HUGEPAGES.read_text())
            with contextlib.suppress(OSError):
                NR_HUGEPAGES.write_text(str(before + HUGEPAGES - free))
            added = int(NR_HUGEPAGES.read_text()) - before
        yield free_hugepages() >= HUGEPAGES
    finally:
        if added > 0:
            NR_HUGEPAGES.write_text(str(max(0, int(NR_HUGEPAGES.read_text()) - added)))


STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def handle_stop_signals(handler):
    for number in STOP_SIGNALS:
        signal.signal(number, handler)


def stop_early(*_):
    handle_stop_signals(signal.SIG_IGN)  # one is enough: a second must not cut the cleaning up short
    sys.exit(1)


def start(*words, **options):
    """A process that ends with us, however we end."""
    return subprocess.Popen(["setpriv", "--pdeathsig", "TERM", "--", *words], **options)


def stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def server(place, cpu):
    """A dataplane on `cpu` that listens on a vhost-user socket in `place`; yields the socket's path."""
    path = place / "vhost.sock"
    device = f"vdev:net_vhost0,iface={path}"
    pages = place / "pages"
    pages.mkdir()
    subprocess.run([BUILD / "bench/load/load-lab-pages", pages, device, str(cpu), place / "session"], check=True)
    me = os.getuid()
    log = place / "dataplane.log"
    with log.open("w") as out:
        process = start(BUILD / "dataplane/noonmark-dataplane", "--pages", pages, "--uids",
                        f"keeper={me},clock={me},admin={me}", stdout=out, stderr=out)
    try:
        end = time.monotonic() + SOCKET_SECONDS_MAX
        while not path.exists():
            if process.poll() is not None or time.monotonic() > end:
                raise LineRateError("the dataplane does not serve: " + log.read_text().strip())
            time.sleep(0.02)
        time.sleep(0.3)  # its workers start behind the port
        yield path
    finally:
        stop(process)


def measure(options, kind, cpus, has_hugepages):
    """One server and one load; prints what the load says. Returns whether every answer was right."""
    with tempfile.TemporaryDirectory(prefix="noonmark-line-rate-", dir="/dev/shm") as name:
        place = Path(name)
        with server(place, cpus[0]) as path:
            device = f"vdev:net_virtio_user0,path={path},queue_size=1024,mac=02:00:00:00:00:02"
            if options.virtio:
                device += f",{options.virtio}"
            words = [BUILD / "bench/load/load", "--device", device, "--server-mac", VHOST_MAC, "--core", str(cpus[1]),
                     "--to", "10.99.0.1", "--from", "10.99.1.0", "--seconds", str(options.seconds), "--rate",
                     str(options.rate), "--window", str(options.window), "--burst", str(options.burst),
                     "--prefix", f"line_rate_{kind}_"]
            if options.ipv6:
                words += ["--to", "fd99::1", "--from", "fd99::1:0"]
            if kind == "nts":
                words += ["--session", place / "session"]
            if not has_hugepages:
                words.append("--ordinary-memory")
            print(f"{kind}: server on CPU {cpus[0]}, load on CPU {cpus[1]}", file=sys.stderr)
            load = start(*words)
            try:
                return load.wait() == 0
            finally:
                stop(load)


def parse():
    parser = argparse.ArgumentParser(
        prog="bench/line-rate", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="NTS and plain requests per second that one core answers over vhost-user, every answer verified.",
        epilog="line_rate_{nts,plain}_pps: right answers per second; _sent, _answered, _lost, _late, _wrong: counted;\n"
               "_latency_*_ns: from the request's burst to its answer's, queues included. Exit: 0 every answer of\n"
               "both loads was right, 1 not, or this machine cannot.")
    parser.add_argument("--seconds", type=float, default=5, help="of each load")
    parser.add_argument("--rate", type=float, default=0, help="requests per second; 0: flat out")
    parser.add_argument("--window", type=int, default=512, help="most requests under way")
    parser.add_argument("--burst", type=int, default=32, help="most requests sent at once")
    parser.add_argument("--virtio", default="", help="more arguments of the generator's virtio_user port, as "
                        "packed_vq=1,mrg_rxbuf=0,in_order=1")
    parser.add_argument("--ipv6", action="store_true", help="every second request over IPv6")
    parser.add_argument("--only", choices=["nts", "plain"], help="one of the two")
    return parser.parse_args()


def main():
    options = parse()
    cpus = sorted(os.sched_getaffinity(0))[:2]
    if len(cpus) < 2:
        raise LineRateError("this machine gives us one CPU; server and load need one each")
    if shutil.disk_usage("/dev/shm").free < 1 << 22:
        raise LineRateError("/dev/shm has no room for the pages")
    handle_stop_signals(stop_early)
    is_right = True
    with hugepages() as has_hugepages:
        print(f"line_rate_hugepages={int(has_hugepages)}", flush=True)
        for kind in [options.only] if options.only else ["nts", "plain"]:
            is_right = measure(options, kind, cpus, has_hugepages) and is_right
    return 0 if is_right else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (LineRateError, subprocess.CalledProcessError, OSError) as trouble:
        sys.exit(f"bench/line-rate: {trouble}")
