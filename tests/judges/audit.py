#!/usr/bin/env python3
"""The audit log of a real service, and hundreds of altered copies of it, before `sceau audit verify` and a verifier that is not ours.

usage: audit.py --bin DIR --out DIR     (DIR holds sceau and sceau-sandbox)

A service signs documents with a checkpoint at every timestamp; its log is exported. python/audit_verify.py (standard library and
openssl) and the program must both find the export whole. Then lines are altered, left out, repeated, swapped, moved to another
log's; the chain is made to fit again; checkpoints are signed with another key: both must refuse each, and accept what changes
nothing that is proved. Fixed seed. Ends with "N passed, N failed, N skipped".
"""

import argparse
import base64
import json
import random
import shutil
import struct
import subprocess
import sys
import tempfile
from itertools import cycle
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "python"))

from audit_verify import ED25519, Keys, Verifier, long, sha256  # noqa: E402
from cases import FIXTURES, REPOSITORY, SCORE, Daemon, Job, Process, Sandbox, examples, until  # noqa: E402
from keys import run  # noqa: E402

DOCUMENTS = 6
PACK = REPOSITORY / "xsd/memoire-honoraires/2"


class Soft(Daemon):
    """A service on the sandbox's software token, with a checkpoint at every timestamp."""

    def __init__(self, binaries, folder, sandbox):
        folder.mkdir(parents=True)
        own = folder / "sceau.toml"
        own.write_text('[api]\nlisten = "127.0.0.1:0"\n[store]\nfolder = "state"\n[audit]\ncheckpoint_minutes = 0\n')
        layers = [sandbox.environment.parent / "signer.toml", sandbox.environment, own]
        self.layers = [word for layer in layers for word in ("--config", layer)]
        Process.__init__(self, [binaries / "sceau", "run", *self.layers], folder / "sceau.log", stdout=subprocess.DEVNULL)
        self.state = folder / "state"
        self.url = until("the daemon listens", self.endpoint)
        self.bearer = run(binaries / "sceau", "pair", "judges", *self.layers).strip()


def log_of(binaries, out, name):
    """(export, key, anchor) of a service that has sent a few documents."""
    with Sandbox(binaries, out / f"{name}-sandbox") as sandbox, Soft(binaries, out / name, sandbox) as daemon:
        fixtures = cycle(FIXTURES)
        for number, example in zip(range(DOCUMENTS), cycle(examples(PACK, "depot"))):
            job = Job(f"{name}-{number}", "soft", example, fixtures)
            status, body = job.hand_in(daemon)
            if status != 202:
                raise RuntimeError(f"{status}: {body}")
            daemon.wait(job.uuid, "receipted")
        export = out / f"{name}.jsonl"
        run(binaries / "sceau", "audit", "export", export, *daemon.layers)
        key = run(binaries / "sceau", "audit", "key", *daemon.layers).strip()
        return export, key, sandbox.root


def chained(lines):
    """The same entries with hashes that fit."""
    previous, out = b"", []
    for line in lines:
        if entry := line.get("entry"):
            parts = [previous, *(entry[name].encode() for name in ("subject", "event", "detail"))]
            text = b"sceau audit 1" + struct.pack(">qq", entry["seq"], entry["at_ms"]) + b"".join(map(long, parts))
            previous = sha256(text)
            line = {"entry": {**entry, "hash": previous.hex()}}
        out.append(line)
    return out


def counted(lines):
    kinds = [next(iter(line)) for line in lines]
    end = {"end": {"entries": kinds.count("entry"), "checkpoints": kinds.count("checkpoint")}}
    return [*lines[:-1], end] if kinds[-1] == "end" else lines


def foreign_note(text, name):
    """The checkpoint signed with a key made now, under the log's name."""
    with tempfile.TemporaryDirectory() as scratch:
        key, message, out = (Path(scratch) / word for word in ("key", "message", "out"))
        run("openssl", "genpkey", "-algorithm", "ed25519", "-out", key)
        message.write_bytes(text.encode())
        run("openssl", "pkeyutl", "-sign", "-inkey", key, "-rawin", "-in", message, "-out", out)
        public = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], capture_output=True, check=True)
        raw = b"\1" + public.stdout.removeprefix(ED25519)
        signature = sha256(name.encode(), b"\n", raw)[:4] + out.read_bytes()
        return f"{text}\n\u2014 {name} {base64.b64encode(signature).decode()}\n"


def changed(value, chance):
    if isinstance(value, int):
        return value + chance.choice([-1, 1, 1000])
    place = chance.randrange(len(value))
    other = "0" if value[place] != "0" else "1"
    return value[:place] + other + value[place + 1 :]


def refused(lines, other, chance):
    """(what, lines) that must be refused."""
    entries = [n for n, line in enumerate(lines) if "entry" in line]
    checkpoints = [n for n, line in enumerate(lines) if "checkpoint" in line]
    put = lambda n, kind, **new: [*lines[:n], {kind: {**lines[n][kind], **new}}, *lines[n + 1 :]]  # noqa: E731
    for n in entries:
        name = chance.choice(["seq", "at_ms", "subject", "event", "detail", "hash"])
        yield f"entry line {n}: {name}", put(n, "entry", **{name: changed(lines[n]["entry"][name], chance)})
        if n != entries[-1]:
            yield f"entry line {n} left out", counted(lines[:n] + lines[n + 1 :])
        yield f"entry line {n} twice", counted(lines[: n + 1] + lines[n:])
    for n, m in zip(entries, entries[1:]):
        a, b = lines[n]["entry"], lines[m]["entry"]
        swapped = put(n, "entry", **{**b, "seq": a["seq"]})
        swapped[m] = {"entry": {**a, "seq": b["seq"]}}
        yield f"entries {a['seq']} and {b['seq']} swapped", swapped
        yield f"the same, chained again, {a['seq']}", chained(swapped) if m < checkpoints[-1] else swapped
    covered = [n for n in entries if n < checkpoints[-1]]
    for n in covered:
        yield f"entry line {n} rewritten and chained again", chained(put(n, "entry", detail="{}"))
    for n in checkpoints:
        row = lines[n]["checkpoint"]
        for name in ("size", "note", "salt", "chain"):
            yield f"checkpoint line {n}: {name}", put(n, "checkpoint", **{name: changed(row[name], chance)})
        token = bytearray(base64.b64decode(row["token"]))
        token[chance.randrange(len(token))] ^= 1
        yield f"checkpoint line {n}: token", put(n, "checkpoint", token=base64.b64encode(token).decode())
        yield f"checkpoint line {n} left out", counted(lines[:n] + lines[n + 1 :])
        text, name = row["note"].split("\n\n")[0] + "\n", row["note"].split("\n")[0]
        yield f"checkpoint line {n} signed by another", put(n, "checkpoint", note=foreign_note(text, name))
        m = chance.choice([m for m in checkpoints if m != n])
        yield f"token of line {m} in line {n}", put(n, "checkpoint", token=lines[m]["checkpoint"]["token"])
        theirs = [line["checkpoint"] for line in other if "checkpoint" in line]
        yield f"checkpoint line {n} of another log", put(n, "checkpoint", **{**theirs[0], "size": row["size"]})
        # Whatever covers less than the checkpoint's own entry.
        yield f"cut off after line {n}", counted([*lines[: n + 1], lines[-1]])
        yield f"cut off before line {n}, the checkpoint kept", counted([*lines[: n - 1], lines[n], lines[-1]])
    for n in chance.sample(range(1, len(lines)), 20):
        yield f"the file ends after {n} lines", lines[:n]


def accepted(lines):
    """(what, text) that must be accepted: it says the same, or alters what nothing outside speaks for yet."""
    last = max(n for n, line in enumerate(lines) if "checkpoint" in line)
    recorded = next(n for n in range(last, len(lines)) if lines[n].get("entry", {}).get("event") == "checkpoint")
    write = lambda lines, **how: "".join(json.dumps(line, **how) + "\n" for line in lines)  # noqa: E731
    yield "as it is", write(lines)
    yield "other spelling of the same JSON", write(lines, ensure_ascii=True, separators=(" ,", " : "))
    for n in range(recorded + 1, len(lines) - 1):
        yield f"the newest cut off from line {n} on", write(counted([*lines[:n], lines[-1]]))
        altered = [*lines[:n], {"entry": {**lines[n]["entry"], "detail": "{}"}}, *lines[n + 1 :]]
        yield f"line {n}, which nothing covers, rewritten and chained again", write(chained(altered))


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--bin", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    options = arguments.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True)
    (export, key, anchor), (theirs, _, _) = (log_of(options.bin, options.out, name) for name in ("one", "two"))
    lines, other = ([json.loads(line) for line in path.read_text().splitlines()] for path in (export, theirs))
    keys, anchors = Keys([key]), anchor.read_bytes()
    copy = options.out / "copy.jsonl"

    def judge(what, text, whole):
        verifier = Verifier(keys, anchors)
        foreign = verifier.read(iter(text.splitlines()))
        copy.write_text(text)
        command = [options.bin / "sceau", "audit", "verify", "--export", copy, "--key", key, "--anchor", anchor]
        status = subprocess.run(command, capture_output=True, check=False).returncode
        good = foreign == whole and status == (0 if whole else 3)
        if not good or whole:
            SCORE.expect(what, good, f"the judge: {verifier.faults[:1] or 'whole'}; sceau: {status}")
        else:
            SCORE.passed += 1

    for what, text in accepted(lines):
        judge(what, text, True)
    count = 0
    for what, altered in refused(lines, other, random.Random(20261122)):
        count += 1
        judge(what, "".join(json.dumps(line) + "\n" for line in altered), False)
    checkpoints = sum("checkpoint" in line for line in lines)
    print(f"{len(lines) - 2 - checkpoints} entries, {checkpoints} checkpoints, {count} altered copies")
    print(f"{SCORE.passed} passed, {SCORE.failed} failed, {SCORE.skipped} skipped")
    return 1 if SCORE.failed else 0


if __name__ == "__main__":
    sys.exit(main())
