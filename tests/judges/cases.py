#!/usr/bin/env python3
"""Makes the cases that the foreign judges look at: forms signed by Sceau itself, as a practice software gets them.

usage: cases.py --bin DIR [--out DIR]     (DIR: the built programs; the default of --out is out/judges)

A client written with the standard library alone starts `sceau-sandbox` and one `sceau run` for each kind of key on a SoftHSM2
token, hands in every valid deposit of a mémoire with PDFs of several producers and one example of every other signed operation
of the built-in packs, and waits for the receipts. Two forms, one signed with RSA and one with EC, are left undelivered: copies
with one changed byte are deposited first by a foreign SOAP client (python/mysecu_client.py), and the sandbox must refuse each;
then it must accept the form, and refuse it once more.
What `sceau demo` leaves behind, signed by the software token, is one more case.

In the folder of --out: `cases` for judge.py, `sandbox` (state of the sandbox, for dialogue.py), logs of each daemon.
Ends with "N passed, N failed, N skipped".
"""

import argparse
import base64
import json
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
import uuid
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path

from keys import PIN, available, http, make_key, run

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
VENV_PYTHON = REPOSITORY / ".judges/venv/bin/python"
PDFS = REPOSITORY / "tests/fixtures/pdf"
# (file, signatures it bears already). Not: an encrypted PDF, one certified against any change, one whose signer locked every
# field: Sceau refuses them.
FIXTURES = [
    ("memoire-gs-a2b.pdf", 0),
    ("memoire-libreoffice-a2b-linearized.pdf", 0),
    ("memoire-typst-a3b.pdf", 0),
    ("memoire-gs-a2b-signed.pdf", 1),
    ("memoire-gs-a2b-objstm.pdf", 0),
    ("memoire-libreoffice-a1a.pdf", 0),
    ("memoire-typst-a2b-200k.pdf", 0),
    ("memoire-gs-a2b-objstm-signed.pdf", 1),
    ("memoire-gs-a1b.pdf", 0),
    ("memoire-typst-a3b-linearized-objstm.pdf", 0),
    ("memoire-gs-a2b-certified-p2.pdf", 1),
    ("memoire-libreoffice-a2b.pdf", 0),
    ("memoire-typst-a2b-pages.pdf", 0),
    ("memoire-gs-a2b-field.pdf", 0),
    ("memoire-gs-a2b-dss.pdf", 1),
    ("memoire-gs-a2b-hybrid.pdf", 0),
    ("memoire-gs-a2b-field-lock.pdf", 0),
]
LIMIT = 120  # seconds
NOWHERE = '[mysecu]\nidentity_url = ""\ntoken_url = ""\nexchange_url = ""\n'
MARKER = ".sceau-judges"
ASSOCIATION = b">10000010<"


class Score:
    """Counts, and tells each verdict at once."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.lock = threading.Lock()

    def expect(self, what, good, got):
        with self.lock:
            self.passed, self.failed = self.passed + bool(good), self.failed + (not good)
            print(f"{'ok  ' if good else 'FAIL'}  {what}: {got}", flush=True)

    def skip(self, what, count):
        with self.lock:
            self.skipped += count
            print(f"!!!! SKIPPED ({count}): {what}", flush=True)


SCORE = Score()


def until(what, look):
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.05)
    raise TimeoutError(f"after {LIMIT} s it is still not so that {what}")


class Process:
    """A child that does not outlive this one; its log goes to a file."""

    def __init__(self, command, log, **options):
        with open(log, "w") as file:
            self.child = subprocess.Popen([str(word) for word in command], stderr=file, text=True, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.terminate()
        try:
            self.child.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


class Sandbox(Process):
    def __init__(self, binaries, folder):
        super().__init__([binaries / "sceau-sandbox", "--dir", folder], f"{folder}.log", stdout=subprocess.PIPE)
        ready = json.loads(self.child.stdout.readline())
        self.url, self.environment = ready["http"], Path(ready["environment"])
        self.root = folder / "pki/root.pem"

    def document(self, identifier):
        status, body = http(f"{self.url}/control/documents/{identifier}/xml")
        return body if status == 200 else None


class Daemon(Process):
    """`sceau run` on a token, paired with this program."""

    def __init__(self, binaries, folder, sandbox, key, *, scheme="pkcs1-v1_5", delivers=False, pin_from_file=True):
        folder.mkdir(parents=True)
        own = folder / "sceau.toml"
        own.write_text(
            '[api]\nlisten = "127.0.0.1:0"\n[store]\nfolder = "state"\n'
            f"{key.configuration(scheme, pin_from_file=pin_from_file)}{'' if delivers else NOWHERE}"
        )
        layers = ["--config", sandbox.environment, "--config", own]
        command = [binaries / "sceau", "run", *layers]
        super().__init__(command, folder / "sceau.log", env=key.environment, stdout=subprocess.DEVNULL)
        self.state = folder / "state"
        self.url = until("the daemon listens", self.endpoint)
        self.bearer = run(binaries / "sceau", "pair", "judges", *layers).strip()

    def endpoint(self):
        if self.child.poll() is not None:
            raise RuntimeError(f"the daemon ended: {(self.state.parent / 'sceau.log').read_text()[-2000:]}")
        file = self.state / "endpoint"
        return file.exists() and file.read_text()

    def call(self, path, body=None, kind="application/json", bearer=None):
        headers = {"Authorization": f"Bearer {bearer or self.bearer}", "Content-Type": kind}
        return http(self.url + path, body, headers)

    def token_status(self):
        return json.loads(self.call("/v1/tokens")[1])[0]["status"]

    def unlock(self):
        """What `sceau unlock` does after it has asked for the PIN."""
        until("the token waits for its PIN", lambda: self.token_status() == "locked")
        admin = (self.state / "admin.token").read_text()
        status, body = self.call("/v1/tokens/unlock", json.dumps({"pin": PIN}).encode(), bearer=admin)
        SCORE.expect("unlock over the API", status == 204 and self.token_status() == "ready", f"{status} {body.decode()}")

    def hand_in(self, target, xml, pdf, way):
        if pdf is None:
            body, kind = xml, "application/xml"
        elif way == "json":
            body, kind = json.dumps({"xml": xml.decode(), "pdf": base64.b64encode(pdf).decode()}).encode(), "application/json"
        else:
            line = uuid.uuid4().hex
            part = '--{}\r\nContent-Disposition: form-data; name="{}"; filename="{}"\r\n\r\n'
            pieces = [part.format(line, "xml", "form.xml").encode(), xml, b"\r\n", part.format(line, "pdf", "form.pdf").encode(), pdf]
            body, kind = b"".join([*pieces, f"\r\n--{line}--\r\n".encode()]), f"multipart/form-data; boundary={line}"
        return self.call(target, body, kind)

    def wait(self, identifier, wanted):
        """The submission once it is in the state wanted, or in a final one."""

        def look():
            submission = json.loads(self.call(f"/v1/submissions/{identifier}")[1])
            return submission if submission["state"] == wanted or submission["is_final"] else None

        return until(f"{identifier} is {wanted}", look)


def examples(folder, operation):
    """Valid examples of an operation."""
    return sorted((folder / "examples/valid" / operation).glob("*.xml"))


class Job:
    """One form to be handed in, and the case made of it."""

    def __init__(self, name, kind, example, fixtures):
        self.name, self.kind, self.example, self.way = name, kind, example, "json" if kind == "p256" else "multipart"
        self.fixtures, self.folder = fixtures, example.parents[3]
        pack = tomllib.loads((self.folder / "pack.toml").read_text())
        self.operation = pack["operations"][example.parent.name]
        self.target = f"/v1/forms/{pack['form']}/{example.parent.name}"
        self.uuid = str(uuid.uuid4())
        old = example.read_bytes()
        self.xml, count = re.subn(rb"(<(?:\w+:)?uuid>)[^<]*", rb"\g<1>" + self.uuid.encode(), old, count=1)
        embedded = re.search(rb"<(?:\w+:)?document>([^<]*)<", old)
        if embedded:
            self.before, self.pdf, self.earlier, self.source = base64.b64decode(embedded[1]), None, 0, "embedded"
        elif "document" in self.operation:
            self.source, self.earlier = next(fixtures)
            self.before = self.pdf = (PDFS / self.source).read_bytes()
        else:
            self.before, self.pdf, self.earlier, self.source = None, None, 0, "no PDF"
        if count != 1:
            raise ValueError(f"{example}: no uuid")

    def hand_in(self, daemon):
        """Status and body. A form that names an earlier document is preceded by one."""
        for rule in self.operation.get("refers", []):
            place = re.compile(rb"(<(?:\w+:)?" + rule["path"].rsplit(":", 1)[1].encode() + rb">)[^<]*")
            if rule["by"] == "insurer-id" and place.search(self.xml):
                by_association = ASSOCIATION in self.xml
                of_sender = [path for path in examples(self.folder, rule["operations"][0]) if (ASSOCIATION in path.read_bytes()) == by_association]
                earlier = Job(self.name, self.kind, of_sender[0], self.fixtures)
                earlier.hand_in(daemon)
                insurer_id = daemon.wait(earlier.uuid, "receipted")["answer"]["insurer_id"]
                self.xml = place.sub(rb"\g<1>" + insurer_id.encode(), self.xml, count=1)
        return daemon.hand_in(self.target, self.xml, self.pdf, self.way)

    def work(self, daemon, sandbox, cases, *, delivered):
        """Hand-in was done; waits and writes the case."""
        submission = daemon.wait(self.uuid, "receipted" if delivered else "ready")
        state = submission["state"]
        signed = daemon.call(f"/v1/submissions/{self.uuid}/xml")[1]
        if delivered:
            held = sandbox.document(self.uuid)
            good = state == "receipted" and held and signed.rstrip().endswith(held) and held in signed
            good = good and daemon.call(f"/v1/submissions/{self.uuid}/receipt")[0] == 200
            detail = "receipted, the insurer holds what was signed" if good else json.dumps(submission)
        else:
            good, detail = state == "ready", "ready" if state == "ready" else json.dumps(submission)
        SCORE.expect(f"{self.name} ({self.source}, {self.way if self.pdf else 'xml'})", good, detail)
        if state in ("receipted", "ready"):
            part = {name: daemon.call(f"/v1/submissions/{self.uuid}/{name}")[1] for name in ("pdf", "timestamp")}
            note = f"{self.kind} in SoftHSM2, {self.target.removeprefix('/v1/forms/')}, {self.example.name}, {self.source}"
            pdf = part["pdf"] if self.before else None
            write_case(cases / self.name, note, self.earlier, signed, pdf, self.before, part["timestamp"])


def write_case(folder, note, earlier, signed, pdf, before, timestamp):
    folder.mkdir(parents=True)
    (folder / "signed.xml").write_bytes(signed)
    (folder / "timestamp.der").write_bytes(timestamp)
    expect = {"verdict": "accept", "xades": "XAdES-BASELINE-LT", "note": note}
    if pdf:
        (folder / "signed.pdf").write_bytes(pdf)
        (folder / "before.pdf").write_bytes(before)
        expect |= {"pades": "PAdES-BASELINE-B", "earlier_signatures": earlier}
    (folder / "expect.json").write_text(json.dumps(expect) + "\n")


def plan():
    """Kind of key -> (jobs to be delivered, jobs to be left undelivered)."""
    fixtures = cycle(FIXTURES)
    memoire = REPOSITORY / "xsd/memoire-honoraires/2"
    deposits = examples(memoire, "depot")
    jobs = {}
    for kind, chosen, kept in (("rsa2048", deposits, "une-ligne"), ("p256", deposits, "accident"), ("rsa3072", deposits[::2], None)):
        delivered = [Job(f"{kind}-{example.stem}", kind, example, fixtures) for example in chosen]
        kept = [example for example in deposits if example.stem == kept]
        jobs[kind] = delivered, [Job(f"{kind}-ready", kind, example, fixtures) for example in kept]
    for folder in sorted(path.parent for path in (REPOSITORY / "xsd").glob("*/*/pack.toml")):
        pack = tomllib.loads((folder / "pack.toml").read_text())
        for name in sorted(name for name, operation in pack["operations"].items() if "signature" in operation):
            if (folder, name) != (memoire, "depot"):
                job = Job(f"rsa2048-{pack['form']}-{name}", "rsa2048", examples(folder, name)[0], fixtures)
                jobs["rsa2048"][0].append(job)
    return jobs


def daemon_work(options, sandbox, kind, delivered, ready):
    folder = options.out / "daemons" / kind
    token = make_key(kind, folder / "softhsm", sandbox.url)
    for name, jobs, delivers in (("delivering", delivered, True), ("undelivered", ready, False)):
        if not jobs:
            continue
        # An HSM's PIN may stand in a file; a card's is entered.
        pin_from_file = kind != "p256"
        with Daemon(options.bin, folder / name, sandbox, token, delivers=delivers, pin_from_file=pin_from_file) as daemon:
            if not pin_from_file:
                daemon.unlock()
            taken = []
            for job in jobs:
                status, body = job.hand_in(daemon)
                if status == 202:
                    taken.append(job)
                else:
                    SCORE.expect(f"{job.name} ({job.source}): hand in", False, f"{status} {body.decode()}")
            for job in taken:
                job.work(daemon, sandbox, options.out / "cases", delivered=delivers)


def demo(options):
    folder = options.out / "demo"
    run(options.bin / "sceau", "demo", "--folder", folder)
    read = {name: (folder / name).read_bytes() for name in ("signed.xml", "signed.pdf", "before.pdf", "timestamp.der")}
    case = options.out / "cases" / "soft-demo"
    write_case(case, "rsa2048 in a PKCS#12 file, sceau demo", 0, *read.values())
    shutil.copy(folder / "sandbox/pki/root.pem", case)
    SCORE.expect("soft-demo", True, "receipted")


def tamper(options, case):
    """Cases to be refused; returns those whose change stands in the XML."""
    run(VENV_PYTHON, HERE / "python/tamper.py", case)
    changed = []
    for expect in sorted(case.parent.glob(f"{case.name}-*/expect.json")):
        if json.loads(expect.read_text())["changed"] != "pdf":
            changed.append(expect.parent)
    # Another sandbox's root: the same name, another key.
    foreign = case.parent / f"{case.name}-foreign-root"
    shutil.copytree(case, foreign)
    shutil.copy(options.out / "demo/sandbox/pki/root.pem", foreign)
    expect = json.loads((case / "expect.json").read_text())
    expect |= {"verdict": "refuse", "changed": "root", "note": "the trust anchor is another one"}
    (foreign / "expect.json").write_text(json.dumps(expect) + "\n")
    return changed


def deposit(sandbox, xml):
    """What a foreign client's deposit came to: one word."""
    done = subprocess.run(
        [VENV_PYTHON, HERE / "python/mysecu_client.py", "--environment", sandbox.environment, "--code", "90000001",
         "--ehealth", "9000000001", "--operation", "deposit", "--xml", xml],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if not done.stdout.strip():
        return done.stderr.strip().splitlines()[-1]
    last = json.loads(done.stdout.splitlines()[-1])
    return last.get("statut") or (last.get("detail") or [None])[0] or str(last.get("problem") or last)


def foreign_deposits(options, sandbox, case, pool):
    changed = tamper(options, case)
    words = list(pool.map(lambda folder: deposit(sandbox, folder / "signed.xml"), changed))
    for folder, word in zip(changed, words, strict=True):
        kind = json.loads((folder / "expect.json").read_text())["changed"]
        wanted = "TIMESTAMP_INVALID" if kind == "timestamp" else "SIGNATURE_INVALID"
        SCORE.expect(f"{folder.name}: deposit by zeep", word == wanted, word)
    for wanted in ("accepte", "DUPLICATE_UUID"):
        word = deposit(sandbox, case / "signed.xml")
        SCORE.expect(f"{case.name}: deposit by zeep", word == wanted, word)


def prepare(out):
    """Empties the folder; one that holds anything of somebody else is left alone."""
    if out.exists() and any(out.iterdir()):
        if not (out / MARKER).exists():
            sys.exit(f"{out} is not empty and not from an earlier run")
        shutil.rmtree(out)
    (out / "cases").mkdir(parents=True)
    (out / MARKER).touch()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, type=Path)
    parser.add_argument("--out", default=REPOSITORY / "out/judges", type=Path)
    options = parser.parse_args()
    options.bin, options.out = options.bin.resolve(), options.out.resolve()
    prepare(options.out)
    jobs = plan()
    with Sandbox(options.bin, options.out / "sandbox") as sandbox, ThreadPoolExecutor(4) as pool:
        shutil.copy(sandbox.root, options.out / "cases")
        work = {"soft-demo": pool.submit(demo, options)}
        if available():
            work |= {kind: pool.submit(daemon_work, options, sandbox, kind, *jobs[kind]) for kind in jobs}
        else:
            count = sum(len(delivered) + len(ready) for delivered, ready in jobs.values())
            SCORE.skip("no SoftHSM2 or no pkcs11-tool, so no PKCS#11 token", count)
        for name, future in work.items():
            if problem := future.exception():
                SCORE.expect(name, False, f"{type(problem).__name__}: {problem}")
        for case in sorted((options.out / "cases").glob("*-ready")):
            foreign_deposits(options, sandbox, case, pool)
    print(f"\n{SCORE.passed} passed, {SCORE.failed} failed, {SCORE.skipped} skipped")
    sys.exit(1 if SCORE.failed else 0)


if __name__ == "__main__":
    main()
