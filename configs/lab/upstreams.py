"""Servers for Noonmark to ask: chronyd and NTPsec's ntpd, with NTS, on addresses in the client's namespace."""

from pathlib import Path

from lab import certificates, network, ntpsec, peers, processes
from lab.commands import run

UPSTREAM_UID = 62104  # control/roles.h


def add_address(lab, address):
    """One more address of the client's end, whence an upstream answers."""
    bits = "64" if ":" in address else "24"
    extra = ["nodad"] if ":" in address else []
    run("ip", "-n", lab.client_namespace, "address", "add", f"{address}/{bits}", "dev", network.CLIENT_DEVICE, *extra)


class Chronyd:
    """chronyd -x that serves this machine's time at a declared stratum, plain and with NTS, until stopped."""

    def __init__(self, lab, address, stratum, nts=False):
        self.directory = Path(lab.state) / f"chronyd-{address.replace(':', '-')}"
        self.directory.mkdir(mode=0o755)
        self.ca = self.directory / "tls" / "ca.pem"
        private = self.directory / "private"
        private.mkdir(mode=0o700)  # chronyd makes no command socket where others may look
        lines = [f"bindaddress {address}", f"local stratum {stratum}", "allow all", "cmdport 0",
                 f"pidfile {private}/chronyd.pid", f"bindcmdaddress {private}/chronyd.sock"]
        if nts:
            certificates.make(self.directory / "tls", ["upstream.noonmark.test"], [address])
            lines += [f"ntsservercert {self.directory}/tls/certificate.pem",
                      f"ntsserverkey {self.directory}/tls/key.pem", "ntsprocesses 0", f"ntsdumpdir {private}"]
        file = self.directory / "chrony.conf"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        chronyd = peers.program("chrony", "usr/sbin/chronyd")
        self.process = processes.start(
            network.inside(lab.client_namespace, chronyd, "-x", "-u", "root", "-d", "-f", file), lab.record,
            log=self.directory / "chronyd.txt")

    def stop(self):
        processes.stop(self.process)


class Ntpd:
    """NTPsec's ntpd that serves this machine's time at a declared stratum, plain and with NTS, until stopped.

    Without CAP_SYS_TIME it cannot touch the clock; as an "orphan" it serves it all the same.
    """

    def __init__(self, lab, address, stratum):
        self.directory = Path(lab.state) / "ntpd-server"
        self.directory.mkdir(mode=0o755)
        self.ca = self.directory / "tls" / "ca.pem"
        certificates.make(self.directory / "tls", ["upstream.noonmark.test"], [address])
        file = self.directory / "ntp.conf"
        file.write_text("\n".join([
            f"tos orphan {stratum} orphanwait 1", "restrict default nomodify", "nts enable",
            f"nts cert {self.directory}/tls/certificate.pem", f"nts key {self.directory}/tls/key.pem",
            f"nts cookie {self.directory}/cookies", f"logfile {self.directory}/ntpd.log", "logconfig =all"]) + "\n",
            encoding="utf-8")
        self.process = processes.start(network.inside(
            lab.client_namespace, "setpriv", "--bounding-set", "-sys_time", "--inh-caps", "-sys_time", "--",
            peers.program("ntpsec", "usr/sbin/ntpd"), "-n", "-N", "-c", file, "-p", self.directory / "ntpd.pid"),
            lab.record, log=self.directory / "ntpd.txt", env=ntpsec.environment())

    def stop(self):
        processes.stop(self.process)
