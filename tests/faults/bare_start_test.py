"""A start on a machine that has nothing yet (TESTS.md H17): no network, no disk that may be written, no time. It starts,
says leap 3 of the time that it does not know, and NTS-KE is up as far as it can be."""

import contextlib
import stat

import pytest

import failpoints as fp
import nts_client
from failpoints import wait_until
from in_namespace import namespace
from lab import network, ntpsec
from lab.commands import run
from lab.lab import ROOT, Lab
from lab_server import configuration, require_namespaces

PATIENCE_S = 15
STA_UNSYNC = 0x40  # linux/timex.h
YEAR_S = 366 * 86400
YEAR_1970 = ROOT / "build" / "tests" / "faults" / "libyear-1970.so"


@contextlib.contextmanager
def bare_lab(name):
    require_namespaces()
    with Lab(name) as lab:
        try:
            yield lab
        except BaseException:
            print(lab.log_tail(60))
            raise


def leap(lab):
    """Of a plain answer, or None without one."""
    with namespace(lab.client_namespace), nts_client.socket_for(network.SERVER_IPV4) as client:
        try:
            answer = nts_client.ask(client, (network.SERVER_IPV4, 123), nts_client.plain_request(), 0.5)
        except OSError:
            return None
    return None if answer is None else answer[0] >> 6


def authentic(lab, session):
    with namespace(lab.client_namespace):  # a socket belongs to where it was made
        poller = nts_client.Poller(session)
    with poller.socket:
        return poller.poll(1)


def in_server(lab, *words):
    run("ip", "-n", lab.server_namespace, *words)


def test_H17_without_network_it_starts_and_serves_as_soon_as_there_is_one():
    with bare_lab("no-network") as lab:
        in_server(lab, "addr", "flush", "dev", network.SERVER_DEVICE)
        in_server(lab, "link", "set", network.SERVER_DEVICE, "down")
        lab.start(configuration(lab))
        status = lab.ask("status")
        assert status["addresses"] == [] and status["dataplane"]["running"]
        in_server(lab, "link", "set", network.SERVER_DEVICE, "up")
        in_server(lab, "addr", "add", f"{network.SERVER_IPV4}/24", "dev", network.SERVER_DEVICE)
        assert wait_until(lambda: leap(lab) == 0, PATIENCE_S), "the address is answered"
        assert wait_until(lambda: authentic(lab, fp.exchange(lab)), PATIENCE_S)


def test_H17_without_a_disk_that_may_be_written_the_keys_live_in_memory():
    with bare_lab("no-disk") as lab:
        keys = lab.state / "keeper"
        run("mount", "-t", "tmpfs", "-o", f"ro,mode=700,uid={fp.UIDS['keeper']},gid={fp.UIDS['keeper']}", "tmpfs", keys)
        try:
            lab.start(configuration(lab))
            session = fp.exchange(lab)
            assert len(session.cookies) == 8 and leap(lab) == 0
            assert lab.ask("keys")["alarm"], "and the operator is told"
            fp.kill(lab, "keeper")
            assert wait_until(lambda: len(fp.exchange(lab).cookies) == 8, PATIENCE_S)
            fp.kill(lab, "dataplane")
            assert wait_until(lambda: leap(lab) == 0, PATIENCE_S)
            assert authentic(lab, session), "the page outlives both"
        finally:
            lab.stop()
            run("umount", keys)


@pytest.mark.parametrize("source, expected", [("system", 3), ("local", 0)])
def test_H17_in_1970_it_starts_and_a_clock_that_nobody_set_is_leap_3(source, expected):
    """A source that the kernel calls synchronised is believed; this machine's is not (or the case is skipped)."""
    if source == "system" and not ntpsec.kernel_clock()[1] & STA_UNSYNC:
        pytest.skip("this machine's clock is synchronised, so leap 3 cannot be seen here")
    with bare_lab(f"in-1970-{source}") as lab:
        for program in ("noonmark-control", "noonmark-dataplane"):
            real = lab.binary(program).rename(lab.binary(f"{program}.real"))
            lab.binary(program).write_text(f"#!/bin/sh\nLD_PRELOAD={lab.state}/bin/year.so exec {real} \"$@\"\n")
            lab.binary(program).chmod(0o755)
        (lab.state / "bin" / "year.so").write_bytes(YEAR_1970.read_bytes())
        (lab.state / "bin" / "year.so").chmod(stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH | 0o111)
        lab.start(configuration(lab, clock={"source": source, "stratum": 10}))
        assert wait_until(lambda: leap(lab) == expected, PATIENCE_S)
        session = fp.exchange(lab)
        assert len(session.cookies) == 8
        if expected == 0:
            assert authentic(lab, session)
        new = lab.ask("rotate")["new_key_id"]
        assert wait_until(lambda: lab.ask("keys")["current_id"] == new, PATIENCE_S)
        assert all(key["created_unix_s"] < YEAR_S for key in lab.ask("keys")["keys"]), "it was 1970 in there"
