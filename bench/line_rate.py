"""The figures of bench/line-rate: a real noonmark-dataplane on one CPU, the load generator on another, and
vhost-user between them: two processes that share memory, no kernel and no NIC in the way.

Standard output holds `name=value` lines alone. Hugepages are taken from the kernel for the run when too few are
free, and given back at the end, also after a failure or a signal. Without them both sides run on ordinary memory,
which is slower; `line_rate_hugepages` says which it was.
"""

import argparse
import contextlib
import ctypes
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
VIRTIO_MAC = "02:00:00:00:00:02"
SOCKET_SECONDS_MAX = 15
ANSWER_SECONDS_MAX = 30  # the load waits for the server's first answer


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
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def handle_stop_signals(handler):
    for number in STOP_SIGNALS:
        signal.signal(number, handler)


def stop_early(*_):
    handle_stop_signals(signal.SIG_IGN)  # one is enough: a second must not cut the cleaning up short
    sys.exit(1)


def start(*words, **options):
    """A process that ends with us, however we end, and also before the kernel was told so."""
    us = os.getpid()

    def tie_to_us():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != us:
            os._exit(1)

    return subprocess.Popen(words, preexec_fn=tie_to_us, **options)


def stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def device_of(side, options, path):
    """One end of the shared memory: vhost copies each frame out of and into the other's, virtio_user copies nothing."""
    if side == options.copies:
        # Without the checksums that a device may leave to the next one: nobody else would compute them.
        return f"vdev:net_vhost0,iface={path},legacy-ol-flags=1"
    device = f"vdev:net_virtio_user0,path={path},queue_size=1024,mac={VIRTIO_MAC}"
    return device + ("," + options.virtio if options.virtio else "")


def wait_for(path, process, log):
    """Until the vhost side listens on its socket."""
    end = time.monotonic() + SOCKET_SECONDS_MAX
    while not path.exists():
        if process.poll() is not None or time.monotonic() > end:
            raise LineRateError("no vhost-user socket" + (": " + log.read_text().strip() if log else ""))
        time.sleep(0.02)


def start_server(place):
    me = os.getuid()
    log = place / "dataplane.log"
    with log.open("w") as out:
        process = start(BUILD / "dataplane/noonmark-dataplane", "--pages", place / "pages", "--uids",
                        f"keeper={me},clock={me},admin={me}", stdout=out, stderr=out)
    return process, log


def start_load(place, options, kind, cpu, has_hugepages):
    mac = VHOST_MAC if options.copies == "server" else VIRTIO_MAC
    words = [BUILD / "bench/load/load", "--device", device_of("load", options, place / "vhost.sock"),
             "--server-mac", mac, "--core", str(cpu), "--to", "10.99.0.1", "--from", "10.99.1.0",
             "--seconds", str(options.seconds), "--rate", str(options.rate), "--window", str(options.window),
             "--burst", str(options.burst), "--wait", str(ANSWER_SECONDS_MAX), "--prefix", f"line_rate_{kind}_"]
    if options.ipv6:
        words += ["--to", "fd99::1", "--from", "fd99::1:0"]
    if kind == "nts":
        words += ["--session", place / "session"]
    if not has_hugepages:
        words.append("--ordinary-memory")
    return start(*words)


def measure(options, kind, cpus, has_hugepages):
    """One server and one load; prints what the load says. Returns whether every answer was right."""
    with contextlib.ExitStack() as ends:
        place = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="noonmark-line-rate-", dir="/dev/shm")))
        path = place / "vhost.sock"
        (place / "pages").mkdir()
        subprocess.run([BUILD / "bench/load/load-lab-pages", place / "pages", device_of("server", options, path),
                        str(cpus[0]), place / "session"], check=True)
        print(f"{kind}: server on CPU {cpus[0]}, load on CPU {cpus[1]}, copies by the {options.copies}",
              file=sys.stderr)
        if options.copies == "server":
            server, log = start_server(place)
            ends.callback(stop, server)
            wait_for(path, server, log)
            time.sleep(0.3)  # its workers start behind the port
        load = start_load(place, options, kind, cpus[1], has_hugepages)
        ends.callback(stop, load)
        if options.copies == "load":
            wait_for(path, load, None)
            server, log = start_server(place)
            ends.callback(stop, server)
        code = load.wait()
        if code != 0:
            print(log.read_text().strip(), file=sys.stderr)
        return code == 0


def parse():
    parser = argparse.ArgumentParser(
        prog="bench/line-rate", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="NTS and plain requests per second that one core answers over vhost-user, every answer verified.",
        epilog="line_rate_{nts,plain}_pps: right answers per second (_best_pps: in the best tenth of one); _sent,\n"
               "_answered, _lost, _late, _wrong: counted;\n"
               "_latency_*_ns: from the request's burst to its answer's, queues included. Exit: 0 every answer of\n"
               "both loads was right, 1 not, or this machine cannot.")
    parser.add_argument("--seconds", type=float, default=5, help="of each load")
    parser.add_argument("--rate", type=float, default=0, help="requests per second; 0: flat out")
    parser.add_argument("--window", type=int, default=512, help="most requests under way")
    parser.add_argument("--burst", type=int, default=32, help="most requests sent at once")
    parser.add_argument("--copies", choices=["load", "server"], default="load", help="the side that has the vhost port "
                        "and copies every frame both ways; a server with a network card copies none")
    parser.add_argument("--virtio", default="packed_vq=1,mrg_rxbuf=0,in_order=1", help="more arguments of the "
                        "virtio_user port; \"\" for a split queue")
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
