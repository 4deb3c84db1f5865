"""The servers of bench/compare, each started and stopped as often as it has its turn, each under a uid of its own.

None of them can touch the kernel's clock: chronyd runs with -x and with the one capability that binds port 123;
ntpd wants to be root, so it is root of a user namespace without any right outside. Their settings are Debian's
defaults plus what a public server needs: answer everybody, say stratum 10 from the local clock, give NTS keys.
"""

import os
import shutil
import time
from pathlib import Path

from lab import network, ntpsec, peers, processes
from lab.commands import LabError, run
from noonmark_config import write_config

ROOT = Path(__file__).resolve().parents[2]
CHRONYD_UID, NTPD_UID, SOCKET_UID = 62121, 62122, 62123  # nobody's; roles have 62101 and the next (control/roles.h)

CHRONY_CONFIG = """\
local stratum 10
allow all
ntsservercert {place}/certificate.pem
ntsserverkey {place}/key.pem
ntsdumpdir {place}
pidfile {place}/pid
bindcmdaddress /
cmdport 0
"""

# orphan: says stratum 10 a second after the start; a local reference clock takes minutes to be believed. Limited is
# ntpd's own default, and would leave all but a few requests a second unanswered.
NTPD_CONFIG = """\
disable ntp
tos orphan 10 orphanwait 1
nts enable
nts cert {place}/certificate.pem
nts key {place}/key.pem
nts cookie {place}/cookie_keys
restrict default nomodify noquery
unrestrict default limited kod
restrict 127.0.0.1
statsdir {place}/
logfile {place}/ntpd.log
"""


def cpu_ns(pid):
    """CPU time that a process and its descendants had until now, all threads, user and system."""
    total = 0
    for one in [pid, *(child for child, _ in processes.children(pid))]:
        try:
            total += time.clock_gettime_ns((~one << 3) | 2)  # clock_getcpuclockid(3)
        except OSError:  # it ended
            pass
    return total


class Server:
    """`kinds`: what it can be asked. start() returns when the process runs, not when it answers."""
    name = ""
    kinds = ("plain", "nts")

    def __init__(self, lab, cpu):
        self.lab, self.cpu = lab, cpu
        self.process = None
        self.place = lab.state / self.name

    def start(self):
        raise NotImplementedError

    def version(self):
        return ""

    def keys(self):
        """The words by which the generator gets keys."""
        return ["--ke", network.SERVER_IPV4, "--ca", self.lab.ca]

    def stop(self):
        process, self.process = self.process, None
        if process is not None:
            processes.stop(process)

    def cpu_ns(self):
        return cpu_ns(self.process.pid)

    def log(self):
        return self.place / "output"

    def log_tail(self):
        try:
            return "\n".join(self.log().read_text(errors="replace").splitlines()[-8:])
        except OSError:
            return ""

    def make_place(self, uid):
        """A directory of its own with the lab's certificate, as often as it starts."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(mode=0o700)
        for file in ("certificate.pem", "key.pem"):
            shutil.copyfile(self.lab.state / "tls" / file, self.place / file)
            (self.place / file).chmod(0o400)
            os.chown(self.place / file, uid, uid)
        os.chown(self.place, uid, uid)

    def start_as(self, uid, capabilities, *argv):
        caps = "".join(["-all", *(f",+{name}" for name in capabilities)])
        # The signal anew: with the uid the kernel forgets that this process was to die with us.
        return self.lab.start_inside_server(
            "taskset", "-c", self.cpu, "setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "--no-new-privs",
            "--pdeathsig", "TERM",
            f"--inh-caps={caps}", f"--ambient-caps={caps}", f"--bounding-set={caps}", "--", *argv, log=self.log())


class Noonmark(Server):
    """`noonmark run` with all its roles; the packet core on `cpu`, which it keeps busy whether asked or not."""

    def __init__(self, lab, cpu, port):
        self.port = port
        self.name = f"noonmark_{port}"
        super().__init__(lab, cpu)

    def start(self):
        self.place.mkdir(exist_ok=True)
        config = self.place / "compare.toml"
        write_config(config, self.lab, self.port, network.SERVER_DEVICE, self.cpu)
        self.lab.start(config)
        self.process = self.lab.launcher

    def stop(self):
        self.process = None
        self.lab.stop()

    def log(self):
        return self.lab.log


class Chronyd(Server):
    name = "chronyd"

    def start(self):
        chronyd = peers.program("chrony", "usr/sbin/chronyd")
        self.make_place(CHRONYD_UID)
        config = self.place / "chrony.conf"
        config.write_text(CHRONY_CONFIG.format(place=self.place), encoding="utf-8")
        config.chmod(0o644)
        # -U -u root: it is not root already, and shall become nobody else.
        self.process = self.start_as(CHRONYD_UID, ["net_bind_service"], chronyd, "-x", "-U", "-u", "root", "-4", "-d",
                                     "-f", config)

    def version(self):
        said = run(peers.program("chrony", "usr/sbin/chronyd"), "--version").stdout
        return said.partition("version ")[2].split(" ")[0]


class Ntpd(Server):
    name = "ntpd"

    def start(self):
        ntpd = peers.program("ntpsec", "usr/sbin/ntpd")
        self.make_place(NTPD_UID)
        config = self.place / "ntp.conf"
        config.write_text(NTPD_CONFIG.format(place=self.place), encoding="utf-8")
        config.chmod(0o644)
        # Its root has no right over the network namespace, so that port 123 must be everybody's in there.
        self.lab.run_in_server("sysctl", "-q", "-w", "net.ipv4.ip_unprivileged_port_start=0")
        libraries = f"LD_LIBRARY_PATH={ntpsec.environment()['LD_LIBRARY_PATH']}"
        self.process = self.start_as(NTPD_UID, [], "unshare", "--user", "--map-root-user", "--", "env", libraries, ntpd,
                                     "-n", "-4", "-c", config, "-p", self.place / "pid")

    def version(self):
        done = run(peers.program("ntpsec", "usr/sbin/ntpd"), "--version", env=ntpsec.environment(), check=False)
        return done.stdout.strip().removeprefix("ntpd ").removeprefix("ntpsec-").split()[0] if done.stdout else ""


class PlainSocket(Server):
    """recvmmsg, sendmmsg and our packet core, one thread that never sleeps: what a veth costs whoever uses sockets."""
    name = "socket"

    def start(self):
        self.make_place(SOCKET_UID)
        program = self.place / "ports-server"  # the build may be where this uid cannot look
        shutil.copy(ROOT / "build/bench/ports-server", program)
        program.chmod(0o755)
        self.process = self.start_as(SOCKET_UID, ["net_bind_service"], program, network.SERVER_IPV4, 123,
                                     self.place / "session")

    def keys(self):
        session = self.place / "session"
        deadline = time.monotonic() + 10
        while not session.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        return ["--session", session]


def known():
    """{name: how it is made for a lab and a CPU}."""
    return {"chronyd": Chronyd, "ntpd": Ntpd,
            "noonmark_af_packet": lambda lab, cpu: Noonmark(lab, cpu, "af_packet"),
            "noonmark_af_xdp": lambda lab, cpu: Noonmark(lab, cpu, "af_xdp"),
            "socket": PlainSocket}


__all__ = ["LabError", "Server", "known"]
