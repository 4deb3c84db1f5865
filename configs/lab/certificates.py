"""A certificate authority for one lab and a server certificate from it, by OpenSSL's command line."""

import os
from pathlib import Path

from lab.commands import run

KE_UID = 62102  # control/roles.h: the only one that may read the server's key


def make(directory, names, addresses=()):
    """Writes ca.pem, certificate.pem and key.pem into `directory`. The authority's own key is not kept."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    alternatives = ",".join([f"DNS:{name}" for name in names] + [f"IP:{address}" for address in addresses])
    ca_key, request, key = directory / "ca-key.pem", directory / "request.pem", directory / "key.pem"
    for file in (ca_key, key):  # never readable by others, not even while OpenSSL writes it
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
    run("openssl", "req", "-x509", *curve, "-keyout", ca_key, "-out", directory / "ca.pem", "-days", "30",
        "-subj", "/CN=Noonmark lab authority")
    run("openssl", "req", *curve, "-keyout", key, "-out", request, "-subj", f"/CN={names[0]}")
    extensions = directory / "extensions"
    extensions.write_text(f"subjectAltName={alternatives}\nextendedKeyUsage=serverAuth\n"
                          "basicConstraints=CA:FALSE\n", encoding="utf-8")
    run("openssl", "x509", "-req", "-in", request, "-CA", directory / "ca.pem", "-CAkey", ca_key,
        "-CAcreateserial", "-out", directory / "certificate.pem", "-days", "30", "-extfile", extensions)
    for scrap in (ca_key, request, extensions, directory / "ca.srl"):
        scrap.unlink(missing_ok=True)
    os.chown(key, KE_UID, KE_UID)
    key.chmod(0o400)
