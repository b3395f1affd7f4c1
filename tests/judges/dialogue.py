#!/usr/bin/env python3
"""A foreign signer (EU DSS) and a foreign client (zeep) complete the mySecu dialogue with a running sandbox.

usage: dialogue.py SANDBOX-FOLDER [FORM.xml]

The form is signed with RSA and EC keys of the sandbox; deposited, deposited again, asked about. Copies with one changed byte
are deposited first and must be refused, also by the sandbox. The sandbox is then made to sign an answer wrongly, which the
client must notice. Ends with "N passed, N failed, N skipped".
"""

import json
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
JUDGES = HERE.parents[1] / ".judges"
FORM = HERE.parents[1] / "xsd/memoire-honoraires/2/examples/valid/depot/une-ligne.xml"
PYTHON = JUDGES / "venv" / "bin" / "python"


def sign(sandbox, form, key, case):
    classpath = f"{JUDGES}/java/classes:{JUDGES}/java/lib/*"
    subprocess.run(["java", "-XX:TieredStopAtLevel=1", "-cp", classpath, "SignForm", sandbox, form, key, case], check=True)


def client(sandbox, operation, xml):
    """What the dialogue came to: (exit code, the last line as one word)."""
    done = subprocess.run(
        [PYTHON, HERE / "python/mysecu_client.py", "--environment", sandbox / "environment.toml", "--code", "90000001",
         "--ehealth", "9000000001", "--operation", operation, "--xml", xml],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if not done.stdout.strip():
        return done.returncode, done.stderr.strip().splitlines()[-1]
    last = json.loads(done.stdout.splitlines()[-1])
    word = last.get("statut") or (last.get("detail") or [None])[0] or last.get("problem") or f"known: {last.get('connu')}"
    return done.returncode, word


class Score:
    def __init__(self):
        self.passed = self.failed = 0

    def expect(self, what, got, code, pattern):
        good = got[0] == code and re.search(pattern, got[1])
        self.passed, self.failed = self.passed + bool(good), self.failed + (not good)
        print(f"{'ok  ' if good else 'FAIL'}  {what}: {got[1]}", flush=True)


def wrong_answer_signature(sandbox):
    tsa = re.search(r'url = "(http://127\.0\.0\.1:\d+)/tsa"', (sandbox / "environment.toml").read_text())
    body = json.dumps({"point": "status", "action": "bad-answer-signature", "count": 1}).encode()
    request = urllib.request.Request(f"{tsa[1]}/control/scenario", body, {"Content-Type": "application/json"})
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10).close()


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sandbox, form = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve() if len(sys.argv) == 3 else FORM
    score = Score()
    with tempfile.TemporaryDirectory() as folder:
        for key in ("rsa2048", "p256"):
            case = Path(folder) / key
            xml = case / "signed.xml"
            sign(sandbox, form, key, case)
            score.expect(f"{key}: status before the deposit", client(sandbox, "status", xml), 1, "known: false")
            subprocess.run([PYTHON, HERE / "python/tamper.py", case], check=True)
            for changed in sorted(Path(folder).glob(f"{key}-*/expect.json")):
                if json.loads(changed.read_text())["changed"] != "pdf":  # that one is not in the XML
                    refused = client(sandbox, "deposit", changed.parent / "signed.xml")
                    score.expect(f"{changed.parent.name}: deposit", refused, 2, "^(SIGNATURE|TIMESTAMP)_INVALID$")
            score.expect(f"{key}: deposit", client(sandbox, "deposit", xml), 0, "^accepte$")
            score.expect(f"{key}: the same again", client(sandbox, "deposit", xml), 2, "^DUPLICATE_UUID$")
            wrong_answer_signature(sandbox)
            score.expect(f"{key}: status, answer badly signed", client(sandbox, "status", xml), 2, "signature of the answer is wrong")
            score.expect(f"{key}: status", client(sandbox, "status", xml), 0, "^accepte$")
    print(f"\n{score.passed} passed, {score.failed} failed, 0 skipped")
    sys.exit(1 if score.failed else 0)


if __name__ == "__main__":
    main()
