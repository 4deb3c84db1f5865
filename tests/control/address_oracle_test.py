"""F05: every address of the configuration, and every source that is judged by it, against Python's ipaddress."""

import ipaddress
import os
import random
import re
import subprocess
from pathlib import Path

ORACLE = Path(__file__).resolve().parents[2] / "build" / "tests" / "control" / "address-oracle"
PAIRS = 1_000_000 if os.environ.get("NOONMARK_LONG") else 60_000
SEED = 20261126


def ours(lines):
    done = subprocess.run([ORACLE], input="".join(f"{text} {source}\n" for text, source in lines), text=True,
                          stdout=subprocess.PIPE, check=True, timeout=300)
    said = done.stdout.splitlines()
    assert len(said) == len(lines)
    return said


def is_ownable(address):
    """One machine can have it."""
    if address.version == 4:
        return not (address in ipaddress.ip_network("0.0.0.0/8") or address >= ipaddress.ip_address("224.0.0.0"))
    return not (address.is_multicast or address.is_unspecified or address.ipv4_mapped)


def may_answer(interface, source):
    own = interface.ip
    if source == own and source.version == own.version:
        return False
    if source.version == 4:
        if source.is_loopback or source in ipaddress.ip_network("0.0.0.0/8") or source.is_multicast or source.is_reserved:
            return False
        ends = (interface.network.network_address, interface.network.broadcast_address)
        return not (interface.network.prefixlen <= 30 and source in ends)
    if source.is_multicast or source in ipaddress.ip_network("::/96") or source.ipv4_mapped:
        return False
    return own.is_link_local or not source.is_link_local


def expected(text, source):
    address, _, prefix = text.partition("/")
    if not re.fullmatch(r"[1-9][0-9]*", prefix) or "%" in address:
        return "refused"
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError:
        return "refused"
    if not is_ownable(interface.ip):
        return "refused"
    source = ipaddress.ip_address(source)
    return (interface.ip, interface.network.prefixlen, source == interface.ip, may_answer(interface, source))


def check(lines):
    for (text, source), said in zip(lines, ours(lines)):
        if said != "refused":
            kept, prefix, serves, answers = said.split()
            said = (ipaddress.ip_address(kept), int(prefix), serves == "1", answers == "1")
        assert said == expected(text, source), (text, source)


def random_address(chance, version):
    """Often near something that matters: an end of a range that has a meaning of its own."""
    bits = 32 if version == 4 else 128
    number = chance.getrandbits(bits)
    if version == 6 and chance.random() < 0.5:
        base = chance.choice(["::", "::ffff:0:0", "fe80::", "febf:ffff::", "fec0::", "ff00::", "2001:db8::", "fd00::"])
        number = int(ipaddress.ip_address(base)) + chance.getrandbits(chance.choice([1, 8, 32, 33, 64]))
    elif version == 4 and chance.random() < 0.3:
        base = chance.choice(["0.255.255.250", "126.255.255.250", "127.255.255.250", "223.255.255.250",
                              "239.255.255.250", "255.255.255.240", "10.0.0.0"])
        number = int(ipaddress.ip_address(base)) + chance.getrandbits(4)
    return (ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address)(number % (1 << bits))


def random_pair(chance):
    version = chance.choice([4, 6])
    address = random_address(chance, version)
    prefix = chance.randint(0, 33 if version == 4 else 129)
    source = random_address(chance, version)
    bits = 32 if version == 4 else 128
    if 0 < prefix <= bits and chance.random() < 0.6:  # near an end of the subnet, or the address itself
        network = ipaddress.ip_network(f"{address}/{prefix}", strict=False)
        near = chance.choice([network.network_address, network.broadcast_address, address])
        source = type(address)((int(near) + chance.choice([0, 0, 1, -1])) % (1 << bits))
    return f"{address}/{prefix}", str(source)


def test_F05_random_addresses_and_sources_are_judged_as_ipaddress_does():
    chance = random.Random(SEED)
    check([random_pair(chance) for _ in range(PAIRS)])


def test_F05_edges_of_the_text():
    texts = ["192.0.2.1/0", "192.0.2.1/1", "192.0.2.1/32", "192.0.2.1/33", "192.0.2.1/128", "2001:db8::1/128",
             "2001:db8::1/129", "2001:db8::1/0", "::ffff:192.0.2.1/96", "::ffff:192.0.2.1/128", "::192.0.2.1/96",
             "64:ff9b::192.0.2.1/96", "192.0.2.1/24/24", "192.0.2.1", "192.0.2.1/", "/24", "192.0.2.1/+24",
             "192.0.2.1/-1", "192.0.2.1/024", "192.0.2.1/2 4", "192.0.2.1/255.255.255.0", "192.0.2.1/0x18",
             "192.0.2/24", "192.0.2.256/24", "192.0.02.1/24", "0300.0.2.1/24", "1/8", "fe80::1%eth0/64", "2001:db8:::1/64",
             "2001:db8::1::2/64", "12345::/64", "2001:db8::g/64", "[2001:db8::1]/64", "192.0.2.1/99999999999999999999",
             "192.0.2.1/4294967320", "10.1.2.3/9", "10.1.2.3/23", "10.1.2.3/31", "2001:db8::ffff/33", "::1/128",
             "127.0.0.1/8"]
    check([(text, source) for text in texts for source in ("198.51.100.7", "2001:db8::9")])


def test_F05_every_prefix_length_knows_both_ends_of_its_subnet():
    lines = []
    for prefix in range(1, 33):
        network = ipaddress.ip_network(f"100.77.5.9/{prefix}", strict=False)
        for end in (network.network_address, network.broadcast_address):
            lines += [(f"100.77.5.9/{prefix}", str(end + step)) for step in (-1, 0, 1) if 0 <= int(end) + step < 1 << 32]
    check(lines)
