#!/usr/bin/env python3
"""Keys of every kind on tokens for `sceau run`, each with a certificate from the sandbox's issuing authority.

usage: keys.py --sandbox URL --out DIR [KIND ...]     (URL: what sceau-sandbox prints as "http"; KIND: all when left out)

For each kind a scratch SoftHSM2 token in DIR/KIND/softhsm, and the same key as PKCS#12 in DIR/KIND/soft. Prints one JSON
object a line: kind, token ("pkcs11" or "soft"), configuration (token and people), environment (variables for `sceau run`).

From Python: `make_key(kind, folder, url)` and `make_soft_key(kind, folder, url)` give a Key; `Key.configuration(scheme)` is
token and people, `Key.environment` goes to the daemon's process. RSA keys sign by the scheme of the configuration.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

KINDS = ("rsa2048", "rsa3072", "rsa4096", "p256", "p384")
# Schemes for `[signature] rsa_scheme`; an EC key signs in one way only.
SCHEMES = {kind: ("pkcs1-v1_5", "pss") if kind.startswith("rsa") else ("pkcs1-v1_5",) for kind in KINDS}
PLACES = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", *map(str, Path("/usr/lib").glob("*/softhsm/libsofthsm2.so"))]
MODULE = next((Path(path) for path in PLACES if Path(path).exists()), None)
PIN = "471147"
SECONDS = 120
# She signs, also what the association she is a member of bills.
PRACTITIONERS = """[[practitioner]]
code_prestataire = "90000001"
ehealth_id = "9000000001"
name = "Dr Testine Exemple"
certificate_sha256 = "{}"
[[practitioner]]
code_prestataire = "10000010"
ehealth_id = "9000000010"
name = "Association d'Essai"
"""


def http(url, body=None, headers=()):
    """(status, body). Never over a proxy: all addresses are on this machine."""
    request = urllib.request.Request(url, body, dict(headers))
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=SECONDS) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as problem:
        return problem.code, problem.read()


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-2000:]}")
    return done.stdout


def identity(url, kind):
    """A new key and its certificate: certificate_pem, chain_pem, key_pem, serial."""
    order = {"key": kind, "name": "Dr Testine Exemple", "validity": "valid", "usage": "sign"}
    status, body = http(f"{url}/control/identities", json.dumps(order).encode())
    if status != 200:
        raise RuntimeError(f"no identity: {body}")
    return json.loads(body)


def available():
    """Whether SoftHSM2 tokens can be made here."""
    return bool(MODULE and shutil.which("softhsm2-util") and shutil.which("pkcs11-tool"))


class Key:
    """One key with its certificate on a token of its own; files of the same in its folder."""

    def __init__(self, kind, folder, issued):
        folder.mkdir(parents=True)
        self.kind, self.folder, self.serial = kind, folder.resolve(), issued["serial"]
        self.environment, self.settings = dict(os.environ), {}
        for name in ("key", "certificate", "chain"):
            (folder / f"{name}.pem").write_text(issued[f"{name}_pem"])
        run("openssl", "x509", "-in", "certificate.pem", "-outform", "DER", "-out", "certificate.der", cwd=folder)

    def secret(self, name):
        file = self.folder / name
        file.write_text(PIN)
        file.chmod(0o600)
        return file

    def configuration(self, scheme="pkcs1-v1_5", *, pin_from_file=True):
        """The token and who signs with it. Without the PIN file a PKCS#11 token waits for POST /v1/tokens/unlock."""
        settings = {name: value for name, value in self.settings.items() if pin_from_file or name != "pin_file"}
        lines = [f"{name} = {json.dumps(str(value))}" for name, value in ({"name": "card"} | settings).items()]
        fingerprint = hashlib.sha256((self.folder / "certificate.der").read_bytes()).hexdigest()
        return "\n".join(["[[token]]", *lines, PRACTITIONERS.format(fingerprint), "[signature]", f'rsa_scheme = "{scheme}"', ""])


def make_key(kind, folder, url):
    """A scratch SoftHSM2 token with one new key and its certificate."""
    key = Key(kind, folder, identity(url, kind))
    (folder / "tokens").mkdir()
    configuration = key.folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {key.folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
    key.environment["SOFTHSM2_CONF"] = str(configuration)
    here = {"env": key.environment, "cwd": folder}
    run("softhsm2-util", "--init-token", "--free", "--label", "sceau", "--pin", PIN, "--so-pin", "80008000", **here)
    run("softhsm2-util", "--import", "key.pem", "--token", "sceau", "--label", "key", "--id", "01", "--pin", PIN, **here)
    run("pkcs11-tool", "--module", MODULE, "--token-label", "sceau", "--login", "--pin", PIN,
        "--write-object", "certificate.der", "--type", "cert", "--id", "01", **here)  # fmt: skip
    key.settings = {"kind": "pkcs11", "module": MODULE, "pin_file": key.secret("pin")}
    return key


def make_soft_key(kind, folder, url):
    """A PKCS#12 file (PBES2) with one new key, its certificate and the chain."""
    key = Key(kind, folder, identity(url, kind))
    run("openssl", "pkcs12", "-export", "-in", "certificate.pem", "-inkey", "key.pem", "-certfile", "chain.pem",
        "-out", "key.p12", "-passout", f"pass:{PIN}", cwd=folder)  # fmt: skip
    key.settings = {"kind": "soft", "p12": key.folder / "key.p12", "password_file": key.secret("password")}
    return key


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sandbox", required=True)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("kind", nargs="*", metavar="KIND", help=", ".join(KINDS))
    options = parser.parse_args()
    if unknown := set(options.kind) - set(KINDS):
        parser.error(f"unknown: {', '.join(unknown)}")
    if not available():
        sys.exit("SoftHSM2 or pkcs11-tool is missing")
    for kind in options.kind or KINDS:
        for make, token in ((make_key, "pkcs11"), (make_soft_key, "soft")):
            key = make(kind, options.out / kind / {"pkcs11": "softhsm", "soft": "soft"}[token], options.sandbox)
            own = {name: value for name, value in key.environment.items() if name.startswith("SOFTHSM2")}
            line = {"kind": kind, "token": token, "configuration": key.configuration(), "environment": own}
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
