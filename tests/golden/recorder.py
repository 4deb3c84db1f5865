"""What `record` does: a lab, the clients in it one after the other, and a capture of each at the client's end.

Kept are the requests alone, and the lab's cookie key, which opened nothing but this lab's cookies: with it the
recorded cookies open again in every replay.
"""

import struct
import time
from pathlib import Path

from lab import chrony, network, ntpsec, processes
from lab_server import running
from scapy.utils import rdpcap, wrpcap

RECORDED = Path(__file__).parent / "recorded"
# control/key_store.h: a header of 72 octets, then 56 a key: id, state, creation, end, 32 octets of key
FILE_HEADER_BYTES, STORED_KEY_BYTES, CURRENT = 72, 56, 2
FRAMES_MAX = 12
# ntpd asks from port 123, so that the port alone would let our answers in.
REQUESTS = f"udp dst port 123 and (dst host {network.SERVER_IPV4} or dst host {network.SERVER_IPV6})"


class Recording:
    """Captures in the client's namespace for a `with` block."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.file = lab.state / f"{name}.pcap"

    def __enter__(self):
        self.file.touch()
        log = self.lab.state / f"{self.name}.txt"
        self.dumpcap = self.lab.start_inside_client("dumpcap", "-q", "-P", "-i", network.CLIENT_DEVICE, "-f",
                                                    REQUESTS, "-w", self.file, log=log)
        while "File:" not in log.read_text():
            time.sleep(0.05)

    def __exit__(self, *wrong):
        time.sleep(0.5)  # dumpcap writes what it has every now and then
        processes.stop(self.dumpcap)
        frames = rdpcap(str(self.file))
        assert frames or any(wrong), f"{self.name}: nothing was asked"
        for number, frame in enumerate(frames):
            frame.time = number  # when it was recorded is nobody's business
        wrpcap(str(RECORDED / f"{self.name}.pcap"), frames[:FRAMES_MAX])


def current_key(file):
    """(id, key) of the key that sealed this lab's cookies."""
    octets = file.read_bytes()
    for at in range(FILE_HEADER_BYTES, len(octets) - STORED_KEY_BYTES + 1, STORED_KEY_BYTES):
        number, state, _ = struct.unpack_from("=IIQ", octets, at)
        if state == CURRENT:
            return number, octets[at + 24:at + 56]
    raise AssertionError("no key of this file is current")


def main():
    RECORDED.mkdir(exist_ok=True)
    with running("golden-record") as lab:
        for family, name in (("4", network.NAME), ("6", network.NAME_IPV6_ONLY)):
            for nts in (True, False):
                with Recording(lab, f"chronyd-{'nts' if nts else 'plain'}-ipv{family}"):
                    directory = lab.state / f"chronyd{family}{nts}"
                    chrony.finish_once(chrony.start_once(lab.client_namespace, directory, family, lab.record, server=name,
                                                         nts=nts, ca=lab.ca), directory)
        for family, address in (("4", network.SERVER_IPV4), ("6", network.SERVER_IPV6)):
            with Recording(lab, f"ntpdig-plain-ipv{family}"):
                ntpsec.dig(lab.client_namespace, f"-{family}", "-j", address)
            with Recording(lab, f"ntpd-nts-ipv{family}"):
                daemon = ntpsec.Ntpd(lab.client_namespace, lab.state / f"ntpd{family}", lab.record,
                                     [f"-{family} {network.NAME}:4460 nts iburst minpoll 3 maxpoll 3"], lab.ca)
                daemon.wait_for(lambda: daemon.nts().get("NTS client recvs good", 0) >= 4, 60)
                daemon.stop()
        number, key = current_key(lab.state / "keeper" / "keys")
        (RECORDED / "cookie_key").write_text(f"{number}:{key.hex()}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
