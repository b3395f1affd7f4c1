#!/usr/bin/env python3
"""Verifies an exported audit log with Python's standard library and the openssl program; written from docs/audit.md alone.

usage: audit_verify.py EXPORT --key KEY [--key KEY ...] --anchor PEM [--checkpoint FILE ...]

KEY is what `sceau audit key` prints, or a file with it. Prints one line a fault and a verdict; exit status 0: whole, 3: not.
"""

import argparse
import base64
import functools
import hashlib
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

# SubjectPublicKeyInfo of Ed25519 (RFC 8410) before the key itself.
ED25519 = bytes.fromhex("302a300506032b6570032100")


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def long(data):
    return struct.pack(">Q", len(data)) + data


@functools.lru_cache(maxsize=None)
def openssl(*arguments, files=()):
    """Output of openssl, or None when it refuses; `files` are bytes, named {0}, {1}... in the arguments."""
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for number, content in enumerate(files):
            names.append(Path(folder) / str(number))
            names[-1].write_bytes(content)
        done = subprocess.run(["openssl", *(a.format(*names) for a in arguments)], capture_output=True, check=False)
        return done.stdout if done.returncode == 0 else None


def der(data):
    """(tag, content) of each element in a row."""
    at = 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length >= 0x80:
            count = length & 0x7F
            length, at = int.from_bytes(data[at : at + count], "big"), at + count
        if at + length > len(data):
            raise ValueError("an element ends behind the end")
        yield tag, data[at : at + length]
        at += length


class Keys:
    """Verifier keys of C2SP signed notes."""

    def __init__(self, texts):
        self.known = {}
        for text in texts:
            name, identifier, encoded = text.strip().split("+", 2)
            raw = base64.b64decode(encoded, validate=True)
            if raw[0] != 1 or len(raw) != 33 or sha256(name.encode(), b"\n", raw)[:4].hex() != identifier:
                raise ValueError(f"no key of a log: {text}")
            self.known[(name, bytes.fromhex(identifier))] = raw[1:]

    def open(self, note):
        """(size, root) of a signed checkpoint, or ValueError."""
        text, _, signatures = note.rpartition("\n\n")
        text += "\n"
        origin, size, root = text.split("\n")[:-1]
        if str(int(size)) != size or int(size) < 0 or not signatures.endswith("\n"):
            raise ValueError("not a checkpoint")
        good = False
        for line in signatures.split("\n")[:-1]:
            dash, name, signature = line.split(" ")
            signature = base64.b64decode(signature, validate=True)
            if dash != "\u2014" or len(signature) < 5:
                raise ValueError("not a signature")
            key = self.known.get((name, signature[:4]))
            if key:
                arguments = "pkeyutl -verify -pubin -keyform DER -inkey {0} -rawin -in {1} -sigfile {2}".split()
                if openssl(*arguments, files=(ED25519 + key, text.encode(), signature[4:])) is None:
                    raise ValueError("wrong signature")
                good = good or name == origin
        if not good:
            raise ValueError("signed by nobody known")
        return int(size), base64.b64decode(root, validate=True)


def stamped(token, nonce, chain, anchors):
    """Whether the token is by an authority below the anchors, with this nonce, at its time."""
    info = openssl("cms", "-verify", "-noverify", "-inform", "DER", "-in", "{0}", files=(token,))
    if info is None:
        raise ValueError("the timestamp is damaged")
    ((_, sequence),) = der(info)
    fields = list(der(sequence))
    imprint = [content for _, content in der(fields[2][1])][1]
    numbers = [content for tag, content in fields[4:] if tag == 0x02]
    if not numbers or int.from_bytes(numbers[0], "big") != int.from_bytes(nonce, "big"):
        raise ValueError("the timestamp is for something else")
    time = fields[4][1].decode().split(".")[0].rstrip("Z")
    year = f"{time[:4]}-{time[4:6]}-{time[6:8]}T{time[8:10]}:{time[10:12]}:{time[12:14]}+00:00"
    from datetime import datetime

    at = str(int(datetime.fromisoformat(year).timestamp()))
    arguments = ["ts", "-verify", "-token_in", "-in", "{0}", "-digest", imprint.hex(), "-CAfile", "{1}", "-attime", at]
    files = [token, anchors]
    if chain:
        arguments, files = [*arguments, "-untrusted", "{2}"], [*files, chain]
    if openssl(*arguments, files=tuple(files)) is None:
        raise ValueError("the timestamp is by nobody trusted")


class Tree:
    """Merkle tree of RFC 9162, grown from the left."""

    def __init__(self):
        self.edge = []

    def push(self, entry):
        leaves, root = 1, sha256(b"\0", entry)
        while self.edge and self.edge[-1][0] == leaves:
            root = sha256(b"\1", self.edge.pop()[1], root)
            leaves *= 2
        self.edge.append((leaves, root))

    def root(self):
        if not self.edge:
            return sha256()
        root = self.edge[-1][1]
        for _, left in reversed(self.edge[:-1]):
            root = sha256(b"\1", left, root)
        return root


class Verifier:
    def __init__(self, keys, anchors, kept=()):
        self.keys, self.anchors = keys, anchors
        self.faults, self.tree, self.previous, self.seq = [], Tree(), b"", 0
        self.unrecorded, self.witnessed = {}, 0
        self.kept = [keys.open(note) for note in kept]

    def entry(self, entry):
        if entry["seq"] != self.seq + 1:
            self.faults.append(f"entry {entry['seq']} follows {self.seq}")
        self.seq = entry["seq"]
        parts = [self.previous, *(entry[name].encode() for name in ("subject", "event", "detail"))]
        text = b"sceau audit 1" + struct.pack(">qq", entry["seq"], entry["at_ms"]) + b"".join(map(long, parts))
        self.previous = bytes.fromhex(entry["hash"])
        if sha256(text) != self.previous:
            self.faults.append(f"entry {self.seq} is altered")
        self.tree.push(self.previous)
        for size, root in self.kept:
            if size == self.seq and root != self.tree.root():
                self.faults.append(f"a kept checkpoint of {size} entries has another root")
        if (entry["subject"], entry["event"]) == ("audit", "checkpoint"):
            detail = json.loads(entry["detail"])
            if self.unrecorded.pop(detail["size"], None) != detail["sha256"]:
                self.faults.append(f"entry {self.seq} records another checkpoint, or one that is missing")

    def checkpoint(self, row):
        note, salt = row["note"].encode(), bytes.fromhex(row["salt"])
        token, chain = base64.b64decode(row["token"]), row["chain"].encode()
        digest = sha256(*(hashlib.sha256(part).digest() for part in (note, salt, token, chain)))
        self.unrecorded[row["size"]] = digest.hex()
        try:
            size, root = self.keys.open(row["note"])
            stamped(token, sha256(salt, note)[:16], chain, self.anchors)
            if size != row["size"]:
                raise ValueError("its row says another size")
            if size != self.seq or root != self.tree.root():
                raise ValueError("the entries are not those it was made of")
            self.witnessed = size
        except (ValueError, IndexError) as fault:
            self.faults.append(f"checkpoint of {row['size']} entries: {fault}")

    def end(self):
        self.faults.extend(f"no entry records the checkpoint of {size}" for size in self.unrecorded)
        self.faults.extend(f"a kept checkpoint has {size} entries" for size, _ in self.kept if size > self.seq)

    def read(self, lines):
        counts = {"entry": 0, "checkpoint": 0}
        try:
            if json.loads(next(lines))["export"]["format"] != 1:
                raise ValueError("unknown format")
            for line in lines:
                ((kind, content),) = json.loads(line).items()
                if kind == "end":
                    if (content["entries"], content["checkpoints"]) != tuple(counts.values()):
                        raise ValueError("lines are missing")
                    break
                counts[kind] += 1
                getattr(self, kind)(content)
            else:
                raise ValueError("cut off")
        except (ValueError, KeyError, TypeError, StopIteration) as fault:
            self.faults.append(f"the export cannot be read: {fault!r}")
        self.end()
        return not self.faults


def key_text(text):
    return Path(text).read_text() if "+" not in text else text


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("export", type=Path)
    arguments.add_argument("--key", action="append", required=True)
    arguments.add_argument("--anchor", type=Path, required=True)
    arguments.add_argument("--checkpoint", type=Path, action="append", default=[])
    options = arguments.parse_args()
    kept = [path.read_text() for path in options.checkpoint]
    verifier = Verifier(Keys(map(key_text, options.key)), options.anchor.read_bytes(), kept)
    with open(options.export, encoding="utf-8") as lines:
        whole = verifier.read(lines)
    for fault in verifier.faults:
        print(fault)
    print(f"{'whole' if whole else 'NOT WHOLE'}: {verifier.seq} entries, the first {verifier.witnessed} are witnessed")
    return 0 if whole else 3


if __name__ == "__main__":
    sys.exit(main())
