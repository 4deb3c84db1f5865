"""The configuration of the Noonmark that bench/ports.py and bench/side_by_side measure: one core on one veth,
with a clock of the lab's."""

CONFIG = """\
[server]
name = "time.noonmark.test"
addresses = "auto"

[dataplane]
devices = ["{port}:{device}"]
cores = [{cpu}]

[nts_ke]
certificate = "{state}/tls/certificate.pem"
private_key = "{state}/tls/key.pem"

[keys]
file = "{state}/keeper/keys"

[clock]
source = "local"
stratum = 10

[paths]
pages = "{pages}"
"""


def write_config(path, lab, port, device, cpu):
    """`port`: a port's name, as in devices = ["af_xdp:eth0"]."""
    path.write_text(CONFIG.format(port=port, device=device, cpu=cpu, state=lab.state, pages=lab.pages), encoding="utf-8")
