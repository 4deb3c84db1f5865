"""Runs Python inside a lab's client namespace: the calling thread moves there for a `with` block.

A thread, not the process: setns(2) for a network namespace works per thread, and sockets stay where they were
made. The hosts file of the namespace is not mounted here, so use addresses, not names.
"""

import contextlib
import ctypes
import os

CLONE_NEWNET = 0x40000000  # linux/sched.h
_libc = ctypes.CDLL(None, use_errno=True)


def _enter(descriptor):
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def namespace(name):
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        _enter(there)
        yield
    finally:
        _enter(home)
        os.close(there)
        os.close(home)
