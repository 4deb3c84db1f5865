"""Two network namespaces joined by a veth pair: the server's end and the client's end.

The names inside are always the same (nm-srv, nm-cli); the namespaces' names are the lab's. Checksums are
computed before a frame enters the veth: a partial checksum, which veth normally hands on, is a wrong one to
everybody who reads the frame itself, and our dataplane checks (DPDK 22.11's af_packet port does not say which
ones are partial).
"""

import os
import time
from pathlib import Path

from lab.commands import LabError, run

SERVER_DEVICE, CLIENT_DEVICE = "nm-srv", "nm-cli"
SERVER_IPV4, CLIENT_IPV4 = "10.123.0.1", "10.123.0.2"
SERVER_IPV6, CLIENT_IPV6 = "fd00:123::1", "fd00:123::2"
SECOND_IPV4, SECOND_IPV6 = "10.123.0.9", "fd00:123::9"  # a second address of the server, where a test asks
NAME = "time.noonmark.test"
NAME_IPV6_ONLY = "time6.noonmark.test"

HOSTS = f"""\
# Made by Noonmark's lab; removed with it.
127.0.0.1 localhost
::1 localhost
{SERVER_IPV4} {NAME} time4.noonmark.test
{SERVER_IPV6} {NAME} {NAME_IPV6_ONLY}
{SECOND_IPV4} second.noonmark.test
{SECOND_IPV6} second.noonmark.test
"""


def namespaces():
    return {line.split()[0] for line in run("ip", "netns", "list").stdout.splitlines() if line.strip()}


def hosts_file(namespace):
    return Path("/etc/netns") / namespace / "hosts"


def inside(namespace, *argv):
    """The command line that runs `argv` in the namespace; it sees the namespace's hosts file as /etc/hosts."""
    return ["ip", "netns", "exec", namespace, *map(str, argv)]


def refuse_taken(names):
    taken = sorted(set(names) & namespaces())
    if taken:
        raise LabError(f"a network namespace named {taken[0]} exists already and is not ours; "
                       f"remove it with 'ip netns del {taken[0]}'")


def make(server, client, second_address=False):
    for namespace in (server, client):
        run("ip", "netns", "add", namespace)
        hosts = hosts_file(namespace)
        hosts.parent.mkdir(parents=True, exist_ok=True)
        hosts.write_text(HOSTS, encoding="utf-8")
        run("ip", "-n", namespace, "link", "set", "lo", "up")
    run("ip", "link", "add", SERVER_DEVICE, "netns", server, "type", "veth",
        "peer", "name", CLIENT_DEVICE, "netns", client)
    ends = [(server, SERVER_DEVICE, [SERVER_IPV4, SERVER_IPV6]), (client, CLIENT_DEVICE, [CLIENT_IPV4, CLIENT_IPV6])]
    if second_address:
        ends[0][2].extend([SECOND_IPV4, SECOND_IPV6])
    for namespace, device, addresses in ends:
        for address in addresses:
            if ":" in address:  # nodad: usable at once, nobody else is on this wire
                run("ip", "-n", namespace, "addr", "add", f"{address}/64", "dev", device, "nodad")
            else:
                run("ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", device)
        run(*inside(namespace, "ethtool", "-K", device, "tx", "off", "tx-udp-segmentation", "off"))
        run("ip", "-n", namespace, "link", "set", device, "up")
    _wait_for_carrier(client)


def _wait_for_carrier(namespace, seconds=5):
    deadline = time.monotonic() + seconds
    while "LOWER_UP" not in run("ip", "-n", namespace, "link", "show", CLIENT_DEVICE).stdout:
        if time.monotonic() > deadline:
            raise LabError(f"{CLIENT_DEVICE} did not come up within {seconds} s; does this kernel have veth?")
        time.sleep(0.02)


def remove(names):
    """Removes namespaces and their hosts files, as far as they are there. Their devices go with them."""
    there = namespaces()
    for namespace in names:
        if namespace in there:
            run("ip", "netns", "del", namespace)
        hosts = hosts_file(namespace)
        hosts.unlink(missing_ok=True)
        for directory in (hosts.parent, hosts.parent.parent):
            try:
                os.rmdir(directory)
            except OSError:  # somebody else keeps files there
                break
