"""What quickstart tells a person: the exchange as a table, and how to point a client of one's own here."""

import json
import textwrap

from lab import network
from lab.commands import LabError

AEADS = {15: "AES-SIV-CMAC-256", 16: "AES-SIV-CMAC-384", 17: "AES-SIV-CMAC-512", 30: "AES-128-GCM-SIV"}
LABEL_COLUMNS, COLUMN_COLUMNS = 24, 24
# Behind the counters that a first run always shows; the others are refusals, and their names say which.
MEANINGS = {"pass_other": "ARP, NTS-KE and the like: left to the kernel", "answer_nts": "NTP with NTS, answered",
            "answer_plain": "NTP without NTS, answered"}


def query(lab, family, name, ke_port):
    """What `noonmark query NAME --json` found from the client's namespace, over one address family."""
    done = lab.run_in_client(lab.binary("noonmark"), "query", name, f"-{family}", "--ke-port", ke_port,
                             "--ca", lab.ca, "--json", check=False, timeout_s=30)
    try:
        report = json.loads(done.stdout)
    except ValueError as wrong:
        raise LabError(f"'noonmark query {name}' said nothing that can be read: {done.stderr.strip()}") from wrong
    if done.returncode != 0:
        raise LabError(f"'noonmark query {name}' over IPv{family} took no time: {report.get('error', 'no reason')}")
    return report


def seconds(value):
    """A time as a person reads it: the unit follows its size."""
    for unit, factor in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if abs(value) * factor >= 1:
            return f"{value * factor:.3g} {unit}"
    return f"{value * 1e9:.0f} ns"


def signed(value):
    return ("+" if value >= 0 else "") + seconds(value)


def _row(label, *cells):
    return "  " + label.ljust(LABEL_COLUMNS) + "".join(str(cell).ljust(COLUMN_COLUMNS) for cell in cells).rstrip()


def _chronyd_rows(outcomes):
    best = [min(outcome.samples, key=lambda sample: sample.delay_s) for outcome in outcomes]
    lengths = [sorted(set(outcome.cookies)) for outcome in outcomes]
    return [
        _row("answers it used", *(len(outcome.samples) for outcome in outcomes)),
        _row("authentication", *(f"NTS, {AEADS.get(outcome.aead, outcome.aead)}" for outcome in outcomes)),
        _row("cookies in hand", *(f"{len(outcome.cookies)} of {'/'.join(map(str, length))} octets"
                                  for outcome, length in zip(outcomes, lengths))),
        _row("its clock is off by", *(signed(-sample.offset_s) for sample in best)),
        _row("round trip", *(seconds(sample.delay_s) for sample in best)),
        _row("stratum", *(sample.stratum for sample in best)),
        _row("root dispersion", *(seconds(sample.root_dispersion_s) for sample in best)),
    ]


def _query_rows(reports):
    taken = [[sample for sample in report["ntp"] if sample["verdict"] == "good"] for report in reports]
    return [
        _row("NTS-KE", *(f"{report['ke']['tls']} in {report['ke']['took_ms']:.0f} ms" for report in reports)),
        _row("authenticated answers", *(f"{sum(s['authenticated'] for s in samples)} of {len(report['ntp'])}"
                                        for samples, report in zip(taken, reports))),
        _row("cookies in hand", *(report["cookies_left"] for report in reports)),
        _row("offset", *(signed(report["offset_ns"] / 1e9) for report in reports)),
        _row("round trip", *(seconds(report["delay_ns"] / 1e9) for report in reports)),
    ]


def time_source(clock):
    """One or two lines that say where the time comes from, and never more than is known."""
    if clock["state"] == "local":
        return (f"the kernel's clock of this machine, declared good at stratum {clock['stratum']} for this lab\n"
                "  (source \"local\"): it is synchronised to nothing, and nobody should trust it.")
    if clock["source"].startswith("PPS"):
        bound_us = clock["root_dispersion_us"] + clock["root_delay_us"] / 2
        return (f"a simulated receiver ({clock['source']}): {clock['state']}, stratum {clock['stratum']}, good to "
                f"{bound_us:.0f} us of this\n  machine's own clock, which is the receiver's truth and synchronised to "
                "nothing.")
    state = "synchronised" if clock["synchronised"] else "NOT synchronised"
    return f"{clock['source']}: {state}, stratum {clock['stratum']}, good to {clock['root_dispersion_us']} us."


def _refusal(name):
    if name.startswith("nak_"):
        return "refused, and told so (NTS NAK)"
    return "refused, and told so (a kiss of death)" if name.startswith("kiss_") else "refused"


def _counter_rows(counters):
    dataplane, ke = counters["dataplane"], counters["nts_ke"]
    verdicts = {**dataplane["frame"], **dataplane["nts"]}
    rows = [_row("packets received", dataplane["received_packets"]),
            _row("each with one verdict", dataplane["verdicts"])]
    rows += [_row(f"  {name}", count, MEANINGS.get(name, _refusal(name))) for name, count in verdicts.items() if count]
    rows += [_row("cookies in answers", dataplane["cookies_issued"]),
             _row("NTS-KE exchanges", f"{ke['served']} served, {ke['accepted'] - ke['served']} not")]
    return rows


def show(lab, ports, seen):
    """Prints the table. `seen`: {family: (chronyd's Outcome, noonmark query's report)}."""
    status, counters = lab.ask("status"), lab.ask("counters")
    dataplane = status["dataplane"]
    outcomes, reports = [pair[0] for pair in seen.values()], [pair[1] for pair in seen.values()]
    lines = ["", "Noonmark gave authenticated time to real clients.", ""]
    lines += [_row("", *(f"over IPv{family}" for family in seen)),
              _row("server", *(report["ke"]["address"] for report in reports)),
              _row("ports", *(f"NTS-KE {ports[1]}, NTP {report['ke']['ntp_port']}" for report in reports)), ""]
    lines += ["chronyd of Debian, run once with NTS (-Q: it never touches the clock)", *_chronyd_rows(outcomes), ""]
    lines += ["noonmark query", *_query_rows(reports), ""]
    lines += [f"Where the time comes from: {time_source(status['clock'])}", ""]
    cores = len(dataplane["cores"])
    lines += ["Answered by the dataplane"]
    for port in dataplane["ports"]:  # "af_packet:eth0: driver, queues, ...": one fact a line would be a page
        device, _, facts = port.partition(": ")
        lines += [f"  {device}", *textwrap.wrap(facts, 96, initial_indent="    ", subsequent_indent="    ")]
    lines += [f"  {cores} {'core' if cores == 1 else 'cores'}, crypto tier {dataplane['tier']}",
              f"    of what this CPU can: {dataplane['instruction_sets']}", *_counter_rows(counters), "",
              "All this is removed now. For a client of your own: configs/quickstart --serve", ""]
    print("\n".join(lines), flush=True)


def how_to_point_a_client(lab, ports, ca):
    """What --serve prints when it is ready."""
    ntp_port, ke_port = ports
    clock = lab.ask("status")["clock"]
    inside = f"ip netns exec {lab.client_namespace}"
    return f"""
Noonmark serves until Ctrl-C. Clients run in the network namespace {lab.client_namespace} ("{inside} ...").

  name       {network.NAME} ({network.SERVER_IPV4}, {network.SERVER_IPV6}); only IPv6: {network.NAME_IPV6_ONLY}
  ports      NTS-KE {ke_port} (TCP), NTP {ntp_port} (UDP; NTS-KE tells clients)
  authority  {ca}

  NTPsec     ntp.conf:     server {network.NAME}:{ke_port} nts
                           nts ca {ca}
  chrony     chrony.conf:  server {network.NAME} nts ntsport {ke_port}
                           ntstrustedcerts {ca}
             once, without touching the clock:  {inside} chronyd -Q -f chrony.conf
  noonmark   {inside} \\
               {lab.binary('noonmark')} query {network.NAME} --ke-port {ke_port} --ca {ca}

  To watch   {lab.binary('noonmark')} status --pages {lab.pages}
             {lab.binary('noonmark')} counters --pages {lab.pages}

Where the time comes from: {time_source(clock)}"""
