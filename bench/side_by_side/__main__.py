"""The command line of bench/compare. Standard output holds `name=value` lines alone, standard error the table."""

import argparse
import os
import signal
import sys

from lab.commands import LabError
from lab.lab import Lab
from lab.quickstart import handle_stop_signals, stop_early

from side_by_side import servers
from side_by_side.bench import Bench, figures, table

EPILOG = """\
compare_SERVER_KIND_pps: answers per second at the highest rate that was carried with less than 0.1 % lost;
_cpu_ns: the server's CPU time an answer there (all its threads and processes, user and system, with what the kernel
did in its name: on a veth a sender's system call runs the receiver's path, so the requests' way in is in the
generator's account, and the answers' whole way is in the server's); Noonmark and socket never sleep, so theirs is
one CPU divided by the rate; _latency_*_ns there; _flat_*: with 128 requests under way and no rate set.
compare_wrong: wrong answers of all. Medians over the turns. Exit: 0 nothing was wrong, 1 something was, or nothing
could be measured here.
"""


def read_options(words):
    parser = argparse.ArgumentParser(
        prog="bench/compare", formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EPILOG,
        description="chronyd, ntpd and Noonmark on one veth, in turns, by one generator that verifies every answer.")
    names = list(servers.known())
    parser.add_argument("--servers", type=lambda text: text.split(","), default=names,
                        help=f"some of {','.join(names)}")
    parser.add_argument("--seconds", type=float, default=1, help="of each load")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each server")
    parser.add_argument("--points", type=int, default=6, help="rates tried in each search, each once or twice")
    parser.add_argument("--only", choices=["plain", "nts"], help="one of the two")
    options = parser.parse_args(words)
    unknown = [name for name in options.servers if name not in names]
    if unknown:
        parser.error(f"no such server: {', '.join(unknown)}; there are {', '.join(names)}")
    if not options.seconds > 0 or options.rounds < 1 or options.points < 1:
        parser.error("--seconds, --rounds and --points must be more than nothing")
    return options


def compare(options):
    if os.getuid() != 0:
        raise LabError("network namespaces need root; run this as root or with sudo")
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise LabError("server and generator need a CPU each, and this process may use one only")
    with Lab("compare", "noonmark-compare", "noonmark-compare-client") as lab:
        bench = Bench(lab, cpus, options)
        try:
            bench.run()
        finally:
            handle_stop_signals(signal.SIG_IGN)  # only cleaning up is left
    return bench


def main(words=None):
    options = read_options(words)
    handle_stop_signals(stop_early)
    try:
        bench = compare(options)
    except (LabError, OSError) as wrong:
        print(f"bench/compare: {wrong}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench/compare was interrupted; everything it made is removed.", file=sys.stderr)
        return 1
    print(table(bench), file=sys.stderr)
    for name, text in figures(bench):
        print(f"{name}={text}")
    return 0 if bench.points and bench.wrong == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
