"""Does Wireshark's dissector, written by people who never saw this code, find our answers well formed?

A capture of the client's end of the wire while it asks: plain, with NTS, with placeholders, with a cookie of
nobody (NTSN), over IPv4 and IPv6, tagged by nobody's VLAN. Every answer must decode without a complaint.
"""

import json
import os
import time

import pytest

import nts_client
from in_namespace import namespace
from lab import network, processes
from lab.commands import run
from lab_server import running

# An expert's severity of 0x600000 is a warning, above it are errors (Wireshark's epan/proto.h).
COMPLAINTS = ('_ws.malformed or _ws.short or _ws.expert.severity >= 0x600000 or ip.checksum.status == "Bad" '
              'or udp.checksum.status == "Bad"')
CHECKS = ("-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE")


@pytest.fixture(scope="module", name="capture")
def fixture_capture():
    with running("tshark") as lab:
        file = lab.state / "wire.pcapng"
        file.touch()
        log = lab.state / "dumpcap.txt"
        dumpcap = lab.start_inside_client("dumpcap", "-q", "-i", network.CLIENT_DEVICE, "-f", "udp port 123", "-w", file,
                                          log=log)
        deadline = time.monotonic() + 10
        while "File:" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        sent = ask_all(lab)
        deadline = time.monotonic() + 10
        while packets(file, "udp.srcport == 123") < sent and time.monotonic() < deadline:
            time.sleep(0.2)
        processes.stop(dumpcap)
        yield file, sent


def ask_all(lab):
    """Asks in every way that is answered; returns how many answers came."""
    answered = 0
    with namespace(lab.client_namespace):
        for address in (network.SERVER_IPV4, network.SERVER_IPV6):
            session = nts_client.key_exchange(address, lab.ca, network.NAME)
            sock = nts_client.socket_for(address)
            requests = [nts_client.plain_request(version=version) for version in (3, 4)]
            requests += [nts_client.nts_request(session, session.cookies[p], placeholders=p)[0] for p in (0, 1, 7)]
            requests.append(nts_client.nts_request(session, os.urandom(100))[0])
            for request in requests:
                assert nts_client.ask(sock, (address, 123), request) is not None
                answered += 1
            sock.close()
    return answered


def packets(file, display_filter):
    # A capture that is still growing may end in half a packet: tshark says 2 then, and shows the whole ones.
    done = run("tshark", "-r", file, *CHECKS, "-Y", display_filter, "-T", "fields", "-e", "frame.number", check=False)
    assert "neither a field nor a protocol" not in done.stderr and "filter" not in done.stderr, done.stderr
    return len(done.stdout.split())


def test_our_answers_decode_as_ntp_answers(capture):
    file, sent = capture
    assert sent == 12
    assert packets(file, "udp.srcport == 123 and ntp.flags.mode == 4") == sent


def test_no_answer_is_malformed_and_every_checksum_is_right(capture):
    file, _ = capture
    assert packets(file, f"udp.srcport == 123 and ({COMPLAINTS})") == 0


def test_the_complaint_filter_finds_a_broken_packet(capture, tmp_path):
    """The filter above must be able to fail: the same capture with one octet of each frame changed."""
    file, _ = capture
    broken = tmp_path / "broken.pcapng"
    run("editcap", "-F", "pcap", file, broken)
    octets = bytearray(broken.read_bytes())
    octets[-5] ^= 0xFF  # inside the last frame: its UDP checksum is wrong now
    broken.write_bytes(octets)
    assert packets(broken, COMPLAINTS) >= 1


def test_nts_fields_are_the_ones_of_the_rfc(capture):
    file, _ = capture
    done = run("tshark", "-r", file, "-Y", "udp.srcport == 123 and ntp.ext.type == 0x0404", "-T", "json")
    answers = json.loads(done.stdout)
    assert len(answers) == 6
    for answer in answers:
        assert "Unknown" not in json.dumps(answer["_source"]["layers"]["ntp"])


def test_P27_the_kiss_is_seen_as_ntsn(capture):
    file, _ = capture
    done = run("tshark", "-r", file, "-Y", "udp.srcport == 123 and ntp.stratum == 0", "-T", "fields", "-e", "ntp.refid")
    assert [bytes.fromhex(line.replace(":", "")) for line in done.stdout.split()] == [b"NTSN", b"NTSN"]
