"""One lab: two namespaces, an authority, a certificate, and a Noonmark that may be started and stopped in it.

All that it makes is under its state directory, /var/lib/noonmark-lab/NAME, or named there in owner.json before
it is made, so clean_leftovers() can remove what a killed lab left behind. Binaries are copied there too: the
roles run as users who may not be allowed to look into the directory that holds the source tree.
"""

import json
import os
import shutil
import time
from pathlib import Path

from lab import certificates, network, processes
from lab.commands import LabError, run

STATE = Path("/var/lib/noonmark-lab")
BINARIES = ("control/noonmark", "control/noonmark-control", "dataplane/noonmark-dataplane")
READY_SECONDS = 30
STOP_SECONDS = 10
KEEPER_UID = 62101  # control/roles.h
ROOT = Path(__file__).resolve().parents[2]


class Lab:
    """A context manager; the lab is there between enter and exit, and leaves nothing."""

    def __init__(self, name, server_namespace=None, client_namespace=None, second_address=False):
        self.name = name
        self.server_namespace = server_namespace or f"{name}-s"
        self.client_namespace = client_namespace or f"{name}-c"
        self.second_address = second_address
        self.state = STATE / name
        self.pages = Path("/dev/shm") / f"noonmark-{name}"
        self.record = self.state / "processes"
        self.log = self.state / "noonmark.log"
        self.ca = self.state / "tls" / "ca.pem"
        self.launcher = None
        self.config = None
        self.overlays = ()

    def __enter__(self):
        clean_leftovers(self.name)
        names = [self.server_namespace, self.client_namespace]
        network.refuse_taken(names)
        self.state.mkdir(parents=True, mode=0o755)
        owner = {"pid": os.getpid(), "started": processes.start_time(os.getpid()), "namespaces": names,
                 "pages": str(self.pages)}
        (self.state / "owner.json").write_text(json.dumps(owner), encoding="utf-8")
        try:
            network.make(*names, second_address=self.second_address)
            certificates.make(self.state / "tls", [network.NAME, network.NAME_IPV6_ONLY, "second.noonmark.test"],
                              [network.SERVER_IPV4, network.SERVER_IPV6])
            (self.state / "keeper").mkdir(mode=0o700)
            os.chown(self.state / "keeper", KEEPER_UID, KEEPER_UID)
            self._copy_binaries()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            clean(self.state)

    def _copy_binaries(self):
        (self.state / "bin").mkdir()
        for binary in BINARIES:
            source = ROOT / "build" / binary
            if not source.exists():
                raise LabError(f"build/{binary} is missing; build first ('ninja -C build')")
            shutil.copy(source, self.state / "bin")

    def _copy_configs(self, files):
        """Copies configuration to where every role may read it, and returns the copies."""
        copies = []
        for number, file in enumerate(map(Path, files)):
            copies.append(self.state / f"{number}-{file.name}")
            shutil.copyfile(file, copies[-1])
            copies[-1].chmod(0o644)
        return copies

    def start(self, config, overlays=()):
        """Starts all roles and the dataplane with these configuration files; returns when they are ready."""
        self.config, *self.overlays = self._copy_configs([config, *overlays])
        ready = self.state / "ready"
        ready.unlink(missing_ok=True)
        self.launcher = self.start_inside_server(
            self.binary("noonmark"), "run", *self.config_arguments(), "--pages", self.pages,
            "--bin-dir", self.state / "bin", "--ready-file", ready, log=self.log)
        deadline = time.monotonic() + READY_SECONDS
        while not ready.exists():
            if self.launcher.poll() is not None:
                raise LabError(f"noonmark ended with {self.launcher.returncode} before it was ready")
            if time.monotonic() > deadline:
                raise LabError(f"noonmark was not ready after {READY_SECONDS} s")
            time.sleep(0.02)

    def stop(self):
        """Stops Noonmark as an operator would; returns the launcher's exit code."""
        if self.launcher is None:
            return None
        launcher, self.launcher = self.launcher, None
        return processes.stop(launcher, STOP_SECONDS)

    def config_arguments(self):
        words = ["--config", self.config]
        for file in self.overlays:
            words += ["--overlay", file]
        return words

    def binary(self, name):
        return self.state / "bin" / name

    def start_inside_server(self, *argv, log=None):
        return processes.start(network.inside(self.server_namespace, *argv), self.record, log=log)

    def start_inside_client(self, *argv, log=None, **options):
        return processes.start(network.inside(self.client_namespace, *argv), self.record, log=log, **options)

    def run_in_client(self, *argv, **options):
        return run(*network.inside(self.client_namespace, *argv), **options)

    def run_in_server(self, *argv, **options):
        return run(*network.inside(self.server_namespace, *argv), **options)

    def ask(self, *words):
        """What `noonmark WORDS --json` answers about the running server."""
        done = self.run_in_server(self.binary("noonmark"), *words, "--pages", self.pages, "--json", timeout_s=10,
                                  check=False)
        if done.returncode not in (0, 1) or not done.stdout:  # 1 with an answer: `status` of what does not serve
            raise LabError(f"'noonmark {' '.join(map(str, words))}' ended with {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def log_tail(self, lines=25):
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


def clean(state):
    """Removes one lab by what its owner.json names: processes, namespaces, hosts files, pages, files."""
    state = Path(state)
    try:
        owner = json.loads((state / "owner.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        owner = {"namespaces": [], "pages": None}  # killed before it made anything
    processes.stop_recorded(state / "processes")
    _stop_binaries(state / "bin")
    network.remove(owner["namespaces"])
    if owner["pages"] and Path(owner["pages"]).parent == Path("/dev/shm"):
        shutil.rmtree(owner["pages"], ignore_errors=True)
    shutil.rmtree(state, ignore_errors=True)
    try:
        STATE.rmdir()
    except OSError:
        pass  # other labs are there


def _stop_binaries(directory):
    """Stops every process whose program is one of this lab's copies: roles whose launcher was killed."""
    pairs = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                program = os.readlink(f"/proc/{entry}/exe")
            except OSError:
                continue
            if program.startswith(f"{directory}/"):
                pairs.append((int(entry), processes.start_time(int(entry))))
    processes.stop_pairs(pairs)


def clean_leftovers(name=None):
    """Removes labs whose owner is dead; with a name, that one. Refuses to touch one whose owner lives."""
    if not STATE.is_dir():
        return
    for state in sorted(STATE.iterdir()):
        try:
            owner = json.loads((state / "owner.json").read_text(encoding="utf-8"))
            alive = processes.is_running(owner["pid"], owner["started"])
        except (OSError, ValueError, KeyError):
            alive = False
        if alive and state.name == name:
            raise LabError(f"the lab {name} is in use by process {owner['pid']}; stop that first")
        if not alive and (name is None or state.name == name):
            clean(state)
