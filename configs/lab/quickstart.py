"""configs/quickstart after packages and build: one lab, one exchange with real clients, one table.

Order: options, leftovers, lab, server, clients over IPv4 and IPv6 at once, `noonmark query`, table, clean up.
"""

import argparse
import os
import shutil
import signal
import sys
import threading
import tomllib
from pathlib import Path

from lab import chrony, gnss, network, table
from lab.commands import LabError
from lab.lab import ROOT, Lab, clean_leftovers

OUT = ROOT / "build" / "quickstart"
BASE = ROOT / "configs" / "quickstart.toml"
READ_BY_ALL_BYTES_MAX = 1024 * 1024
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP,  # Ctrl-C, an operator, a closed terminal
                signal.SIGALRM)  # ours: see stop_once_more
STOP_AGAIN_SECONDS = 0.02


def port_number(text):
    number = int(text)
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port; give a number from 1 to 65535")
    return number


def device(text):
    """What the config calls the port: "af_packet" or "af_xdp" alone means the one on our veth."""
    if text in ("af_packet", "af_xdp"):
        return f"{text}:{network.SERVER_DEVICE}"
    if text.startswith(("af_packet:", "af_xdp:", "vdev:")):
        return text
    raise argparse.ArgumentTypeError(f"'{text}' is no device that quickstart knows; say af_packet, af_xdp or vdev:...")


def read_options(arguments):
    parser = argparse.ArgumentParser(prog="configs/quickstart", add_help=False, allow_abbrev=False)
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--ntp-port", type=port_number)
    parser.add_argument("--ke-port", type=port_number)
    parser.add_argument("--device", type=device)
    parser.add_argument("--gps", action="store_true")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--check-options", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.config:
        read_overlay(options.config, parser)
    return options


def read_overlay(file, parser):
    """Refuses what is no TOML before minutes are spent on building; `noonmark` looks at its meaning later."""
    try:
        if not file.is_file() or file.stat().st_size > READ_BY_ALL_BYTES_MAX:
            parser.error(f"{file} is no configuration file; give the path of a TOML file")
        tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as wrong:
        parser.error(f"{file}: {wrong}; mend it or leave --config away")


def write_overlay(lab, options, file):
    """The options as a configuration file, merged last."""
    lines = []
    if options.ntp_port:
        lines += ["[server]", f"ntp_port = {options.ntp_port}"]
    if options.device:
        if not lines:
            lines += ["[server]"]
        if not options.device.startswith(("af_packet:", "af_xdp:")):  # no interface to ask for its addresses
            lines += [f'addresses = ["{network.SERVER_IPV4}/24", "{network.SERVER_IPV6}/64"]']
        quoted = options.device.replace("\\", "\\\\").replace('"', '\\"')
        lines += ["[dataplane]", f'devices = ["{quoted}"]']
    if options.ke_port:
        lines += ["[nts_ke]", f"port = {options.ke_port}"]
    text = "\n".join(lines) + "\n"
    if options.gps:
        text += gnss.overlay(lab)
    file.write_text(text, encoding="utf-8")


def effective(files):
    """(NTP port, KE port) of the merged configuration, for the clients."""
    ntp_port, ke_port = 123, 4460
    for file in files:
        text = tomllib.loads(file.read_text(encoding="utf-8"))
        ntp_port = text.get("server", {}).get("ntp_port", ntp_port)
        ke_port = text.get("nts_ke", {}).get("port", ke_port)
    return ntp_port, ke_port


def start(lab, options):
    """Starts Noonmark in the lab; returns (NTP port, KE port)."""
    written = lab.state / "options.toml"
    write_overlay(lab, options, written)
    if options.gps:
        gnss.start_receiver(lab)
    files = [BASE] + ([options.config] if options.config else []) + [written]
    lab.start(files[0], files[1:])
    OUT.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(lab.ca, OUT / "ca.pem")
    return effective(files)


def exchange(lab, ports):
    """Lets the clients take time; returns {family: (chronyd's Outcome, noonmark query's report)}."""
    names = {"4": network.NAME, "6": network.NAME_IPV6_ONLY}
    running = {}
    for family, name in names.items():
        directory = lab.state / f"chrony{family}"
        running[family] = chrony.start_once(lab.client_namespace, directory, family, lab.record, server=name,
                                            ke_port=ports[1], ca=lab.ca)
    seen = {}
    for family, process in running.items():
        outcome = chrony.finish_once(process, lab.state / f"chrony{family}")
        if outcome.exit_code != 0 or not outcome.samples:
            raise LabError(f"chronyd took no time over IPv{family} (it ended with {outcome.exit_code}); it said:\n"
                           + outcome.log.strip())
        seen[family] = (outcome, table.query(lab, family, names[family], ports[1]))
    return seen


def once(lab, options):
    ports = start(lab, options)
    watch = gnss.lock(lab) if options.gps else None
    print("\nNoonmark is up. chronyd takes time over IPv4 and IPv6 (about 7 seconds) ...", flush=True)
    seen = exchange(lab, ports)
    if watch:
        gnss.unplug_for_a_while(lab, watch)
    table.show(lab, ports, seen)


def serve(lab, options):
    ports = start(lab, options)
    stopped = threading.Event()
    handle_stop_signals(lambda *_: stopped.set())
    print(table.how_to_point_a_client(lab, ports, OUT / "ca.pem"), flush=True)
    ready = OUT / "ready"
    ready.write_text(f"{os.getpid()}\n", encoding="utf-8")

    def is_over():
        if lab.launcher.poll() is not None:
            raise LabError(f"noonmark ended by itself with {lab.launcher.returncode}")
        return stopped.is_set()

    try:
        if options.gps:
            gnss.serve(lab, gnss.Watch(lab), is_over)
        while not is_over():
            stopped.wait(0.2)
    finally:
        ready.unlink(missing_ok=True)
    print("\nStopping, and cleaning up.", flush=True)


def handle_stop_signals(handler):
    for number in STOP_SIGNALS:
        if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
            continue  # whoever said nohup means it
        signal.signal(number, handler)


def stop_early(*_):
    handle_stop_signals(signal.SIG_IGN)  # one is enough: a second must not cut the cleaning up short
    sys.unraisablehook = stop_once_more
    raise KeyboardInterrupt


def stop_once_more(unraisable):
    """Where a destructor is interrupted, Python drops the exception, and the signal would be lost: it comes again. When
    the cleaning up has begun by then, SIGALRM is ignored as all the others are."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        signal.signal(signal.SIGALRM, stop_early)
        signal.setitimer(signal.ITIMER_REAL, STOP_AGAIN_SECONDS)
    else:
        sys.__unraisablehook__(unraisable)


def main(arguments):
    options = read_options(arguments)
    if options.check_options:
        return 0
    handle_stop_signals(stop_early)
    lab = Lab("quickstart", "noonmark", "noonmark-client")
    try:
        (OUT / "ready").unlink(missing_ok=True)
        clean_leftovers()
        with lab:
            try:
                (serve if options.serve else once)(lab, options)
            except LabError as wrong:
                raise LabError(f"{wrong}\n\nThe end of Noonmark's log:\n{lab.log_tail() or '(nothing)'}") from wrong
            finally:
                handle_stop_signals(signal.SIG_IGN)  # only cleaning up is left, and it is to be whole
    except LabError as wrong:
        print(f"quickstart failed: {wrong}", file=sys.stderr)
        return 1
    except OSError as wrong:
        print(f"quickstart failed: {wrong.filename or 'its output'}: {wrong.strerror}; see that it may be written and "
              "that there is room", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("quickstart was interrupted; everything it made is removed.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
