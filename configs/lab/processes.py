"""Long-running processes of a lab: started, written down, and stopped by number, never by name.

A process id alone may be given to a stranger after its owner died; with the start time of
/proc/PID/stat it is that process for ever (proc(5)).
"""

import ctypes
import json
import os
import signal
import subprocess
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1  # linux/prctl.h
STOP_SECONDS = 8
_libc = ctypes.CDLL(None, use_errno=True)


def start_time(pid):
    """The start time of a process in clock ticks since boot, or None when there is no such process.

    A zombie counts as none: it runs no more.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold blanks
    return None if fields[0] in "ZX" else int(fields[19])


def is_running(pid, started):
    return started is not None and start_time(pid) == started


def start(argv, record, log=None, pass_output=False, **options):
    """Starts a process that dies with us, and writes it down in `record` (one JSON object a line)."""

    us = os.getpid()

    def tie_to_parent():  # a lab killed with SIGKILL takes its processes with it, also those it was about to start
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != us:
            os._exit(1)

    output = open(log, "ab") if log else (None if pass_output else subprocess.DEVNULL)
    try:
        process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT if output else None,
                                   preexec_fn=tie_to_parent, start_new_session=True, **options)
    finally:
        if log:
            output.close()
    with open(record, "a", encoding="utf-8") as lines:
        lines.write(json.dumps({"pid": process.pid, "started": start_time(process.pid)}) + "\n")
    return process


def children(pid):
    """All descendants of a process that live now, as (pid, start time)."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                text = Path(f"/proc/{entry}/stat").read_text(errors="replace")
            except OSError:
                continue
            parents[int(entry)] = int(text.rpartition(")")[2].split()[1])
    found, frontier = [], {pid}
    while frontier:
        frontier = {child for child, parent in parents.items() if parent in frontier}
        found += [(child, start_time(child)) for child in frontier]
    return [pair for pair in found if pair[1] is not None]


def stop(process, seconds=STOP_SECONDS):
    """SIGTERM, then SIGKILL to it and its descendants after `seconds`. Returns the exit code."""
    family = children(process.pid)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            family = children(process.pid) + family
            process.kill()
            process.wait()
    stop_pairs(family, seconds=2)
    return process.returncode


def stop_pairs(pairs, seconds=STOP_SECONDS):
    """Stops processes given as (pid, start time): SIGTERM first, SIGKILL for those that stay."""

    def living():
        return [pair for pair in pairs if is_running(*pair)]

    for sign, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 2)):
        for pid, _ in living():
            try:
                os.kill(pid, sign)
            except ProcessLookupError:
                pass
        deadline = time.monotonic() + patience
        while living() and time.monotonic() < deadline:
            time.sleep(0.02)


def stop_recorded(record):
    """Stops what a former owner of this record left running, descendants first found."""
    pairs = []
    try:
        lines = Path(record).read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            entry = json.loads(line)
            pair = (entry["pid"], entry["started"])
        except (ValueError, KeyError):
            continue  # the owner died in the middle of this line
        if is_running(*pair):
            pairs += [pair] + children(pair[0])
    stop_pairs(pairs)
