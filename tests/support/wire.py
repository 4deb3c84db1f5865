"""The client's end of a lab's wire as it is: whole frames out, whole frames in, tags and all."""

import re
import socket
import struct
import time

import scapy.all as scapy

from in_namespace import namespace
from lab import network

ALL_PROTOCOLS = 0x0003  # ETH_P_ALL
SOL_PACKET, PACKET_AUXDATA = 263, 8  # linux/if_packet.h
TAG_IS_VALID, TAG_TYPE_IS_VALID = 1 << 4, 1 << 6
REQUEST = bytes([4 << 3 | 3]) + bytes(47)
FIRST_SENTINEL_PORT, LAST_SENTINEL_PORT = 61000, 65000


def mac_of(run_inside, device):
    return re.search(r"link/ether (\S+)", run_inside("ip", "link", "show", "dev", device).stdout).group(1)


def octets_of(mac):
    return bytes.fromhex(mac.replace(":", ""))


class Wire:
    """A context manager. Frames are built from the client to the server unless a part of them is given."""

    def __init__(self, lab, client_device=network.CLIENT_DEVICE, server_device=network.SERVER_DEVICE,
                 client_ip=network.CLIENT_IPV4, server_ip=network.SERVER_IPV4):
        self.client_ip, self.server_ip = client_ip, server_ip
        self.client_mac = mac_of(lab.run_in_client, client_device)
        self.server_mac = mac_of(lab.run_in_server, server_device)
        self.sentinel_port, self.sentinels = FIRST_SENTINEL_PORT, 0
        with namespace(lab.client_namespace):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
            self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            self.socket.bind((client_device, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def frame(self, packet, tags=(), source_mac=None, destination_mac=None):
        """A scapy IP packet as a frame; `tags` are (type, tag control information), outermost first."""
        head = octets_of(destination_mac or self.server_mac) + octets_of(source_mac or self.client_mac)
        for kind, information in tags:
            head += struct.pack("!HH", kind, information)
        kind = 0x86DD if isinstance(packet, scapy.IPv6) else 0x0800
        return head + struct.pack("!H", kind) + bytes(packet)

    def packet(self, source=None, destination=None, port=40123, server_port=123, payload=REQUEST):
        source, destination = source or self.client_ip, destination or self.server_ip
        family = scapy.IPv6 if ":" in destination else scapy.IP
        return family(src=source, dst=destination) / scapy.UDP(sport=port, dport=server_port) / payload

    def request(self, tags=(), **parts):
        return self.frame(self.packet(**parts), tags)

    def answers_to(self, *frames, sentinel_tags=(), seconds=10):
        """All NTP answers on the wire to these frames: what is here before one good request, sent behind them, is
        answered. The server's port must have one queue, so that it keeps the order."""
        for frame in frames:
            self.socket.send(frame)
        answers, deadline = [], time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.sentinel_port += 1
            if self.sentinel_port > LAST_SENTINEL_PORT:
                self.sentinel_port = FIRST_SENTINEL_PORT
            self.socket.send(self.request(sentinel_tags, port=self.sentinel_port))
            self.sentinels += 1
            retry = time.monotonic() + 0.5
            while time.monotonic() < retry:
                answer = self.receive_answer(retry - time.monotonic())
                if answer is None:
                    break
                port = ports_of(answer)[1]
                if port == self.sentinel_port:
                    return answers
                if not FIRST_SENTINEL_PORT <= port <= LAST_SENTINEL_PORT:
                    answers.append(answer)
        raise AssertionError("the server does not answer a good request any more")

    def receive_answer(self, seconds):
        """The next frame from UDP port 123 in mode 4, its tags put back; None when none comes in time."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                frame, facts, _, _ = self.socket.recvmsg(2048, 256)
            except OSError:  # in time, or the link went down
                continue
            for level, kind, data in facts:
                if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                    status, _, _, _, _, information, tag_type = struct.unpack("IIIHHHH", data[:20])
                    if status & TAG_IS_VALID:
                        tag_type = tag_type if status & TAG_TYPE_IS_VALID else 0x8100
                        frame = frame[:12] + struct.pack("!HH", tag_type, information) + frame[12:]
            try:
                if ports_of(frame)[0] == 123 and payload_of(frame)[0] & 7 == 4:
                    return frame
            except (IndexError, struct.error, ValueError):
                continue  # no UDP
        return None


def tags_of(frame):
    """(types and ids of its tags, offset of the EtherType behind them)."""
    tags, at = [], 12
    while struct.unpack_from("!H", frame, at)[0] in (0x8100, 0x88A8):
        tags.append(struct.unpack_from("!HH", frame, at))
        at += 4
    return tags, at


def _udp_offset(frame):
    _, at = tags_of(frame)
    kind = struct.unpack_from("!H", frame, at)[0]
    ip = at + 2
    if kind == 0x0800 and frame[ip + 9] == 17:
        return ip + 20
    if kind == 0x86DD and frame[ip + 6] == 17:
        return ip + 40
    raise ValueError("no UDP")


def ports_of(frame):
    return struct.unpack_from("!HH", frame, _udp_offset(frame))


def payload_of(frame):
    return frame[_udp_offset(frame) + 8:]
