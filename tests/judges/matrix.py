#!/usr/bin/env python3
"""Makes the matrix of isolated signatures: every level x every kind of key x shapes of documents.

usage: matrix.py --bin DIR [--out DIR]     (DIR: the built programs; the default of --out is out/judges/matrix)

For each kind of key a SoftHSM2 token and a daemon that signs with it; `POST /v1/signatures` gives XAdES-B-B, -B-T, -B-LT of
documents of several shapes and PAdES-B-B, -B-T, -B-LT of PDFs of several producers. A signature without revocation data of its
own is given those of the same signer's B-LT, as files in `evidence`: offline judges could reach no verdict otherwise.

In --out one case a signature, for judge.py. Ends with "N passed, N failed, N skipped".
"""

import argparse
import base64
import json
import shutil
import sys
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path

from cases import FIXTURES, PDFS, REPOSITORY, SCORE, Daemon, Sandbox
from keys import KINDS, SCHEMES, available, make_key
from lxml import etree

XADES = "{http://uri.etsi.org/01903/v1.3.2#}"
LEVELS = ("B-LT", "B-T", "B-B")  # B-LT first: its revocation data are the evidence of the others
PDFS_A_LEVEL = 4

# What stands in a document beside the signature: an earlier PDF as base64, amounts, accents, a character beyond the BMP.
TEXT = "Mémoire d’honoraires, 48,30 € \U0001d11e"
SHAPES = {
    # name: (document, slot or None for the end of the root)
    "end-of-root": (f'<d:doc xmlns:d="urn:sceau:test:doc" version="1"><d:text>{TEXT}</d:text></d:doc>', None),
    "wrapper": (
        f'<d:doc xmlns:d="urn:sceau:test:doc"><d:text>{TEXT}</d:text><d:signature/><d:document>JVBERi0=</d:document></d:doc>',
        "/d:doc/d:signature",
    ),
    "unqualified": (
        f'<m:memoire xmlns:m="urn:sceau:test:unqualified"><text>{TEXT}</text>\n  <signature></signature>\n'
        "  <document>JVBERi0=</document></m:memoire>",
        "/m:memoire/signature",
    ),
    # Line ends, byte order mark, comments, CDATA, default and rebound prefixes, attributes broken over lines: what an exclusive
    # canonical form has to get right.
    "awkward": (
        '\ufeff<?xml version="1.0" encoding="UTF-8"?>\r\n<!-- before -->\r\n<doc xmlns="urn:sceau:test:doc" xmlns:ds="urn:other"\r\n'
        f'  b="2" a="1&#9;x\r\n y" ds:c="3"><![CDATA[{TEXT} <&>\r\n]]><ds:part xmlns="" e=\'"\'><inner xml:lang="fr"/></ds:part>'
        "<!-- inside --></doc>\r\n<!-- after -->\r\n",
        None,
    ),
}


def signed(daemon, body, kind, level, slot=None):
    query = {"level": level, "practitioner": "90000001"} | ({"slot": slot} if slot else {})
    return daemon.call(f"/v1/signatures?{urllib.parse.urlencode(query)}", body, kind)


def write_case(folder, name, before, after, expect):
    folder.mkdir(parents=True)
    (folder / f"signed.{name}").write_bytes(after)
    if name == "pdf":
        (folder / "before.pdf").write_bytes(before)
    (folder / "expect.json").write_text(json.dumps({"verdict": "accept", **expect}, ensure_ascii=False) + "\n")


def evidence_of(xml):
    """Revocation data and certificates of a B-LT signature, by the name of the file they go into."""
    signature = etree.fromstring(xml).find(".//{http://www.w3.org/2000/09/xmldsig#}Signature")
    found = {}
    for tag, ending in (("EncapsulatedOCSPValue", "ocsp"), ("EncapsulatedCRLValue", "crl"), ("EncapsulatedX509Certificate", "crt")):
        for number, node in enumerate(signature.iter(XADES + tag)):
            found[f"{number}.{ending}"] = base64.b64decode(node.text)
    return found


def limits_of(scheme):
    """Judges that do not know an algorithm, with the reason."""
    return {"xmlsec1": "xmlsec1 before 1.3.0 does not know RSASSA-PSS (RFC 6931 §2.3.10)"} if scheme == "pss" else {}


def sign_all(options, sandbox, kind, scheme, fixtures):
    """All signatures of one key."""
    name_of_key = f"{kind}-pss" if scheme == "pss" else kind
    folder = options.out.parent / "matrix-daemons" / name_of_key
    key = make_key(kind, folder / "softhsm", sandbox.url)
    evidence = {}
    with Daemon(options.bin, folder / "run", sandbox, key, scheme=scheme) as daemon:
        for level in LEVELS:
            documents = [("xml", shape, text.encode(), slot, 0) for shape, (text, slot) in SHAPES.items()]
            documents += [("pdf", Path(name).stem, (PDFS / name).read_bytes(), None, earlier) for name, earlier in next(fixtures)]
            for name, shape, before, slot, earlier in documents:
                form = ("XAdES-" if name == "xml" else "PAdES-") + level
                status, after = signed(daemon, before, f"application/{name}", form, slot)
                what = f"{form}-{name_of_key}-{shape}"
                if status != 200:
                    SCORE.expect(what, False, f"{status} {after.decode(errors='replace')[:600]}")
                    continue
                if level == "B-LT" and name == "xml" and not evidence:
                    evidence = evidence_of(after)
                formats = {"xades" if name == "xml" else "pades": form.replace("-B-", "-BASELINE-")}
                case = options.out / what
                write_case(case, name, before, after, {**formats, "earlier_signatures": earlier, "unknown_to": limits_of(scheme)})
                if level != "B-LT":
                    (case / "evidence").mkdir()
                    for file, data in evidence.items():
                        (case / "evidence" / file).write_bytes(data)
                SCORE.expect(what, True, "signed")


def chunks(items, size):
    """Endless lists of `size` items each, going round."""
    endless = cycle(items)
    while True:
        yield [next(endless) for _ in range(size)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, type=Path)
    parser.add_argument("--out", default=REPOSITORY / "out/judges/matrix", type=Path)
    options = parser.parse_args()
    options.bin, options.out = options.bin.resolve(), options.out.resolve()
    for folder in (options.out, options.out.parent / "matrix-daemons"):
        shutil.rmtree(folder, ignore_errors=True)
    options.out.mkdir(parents=True)
    (options.out.parent / "matrix-daemons").mkdir()
    keys = [(kind, scheme) for kind in KINDS for scheme in SCHEMES[kind]]
    if not available():
        SCORE.skip("no SoftHSM2 or no pkcs11-tool, so no PKCS#11 token", len(keys) * len(LEVELS) * (len(SHAPES) + PDFS_A_LEVEL))
        keys = []
    fixtures = chunks(FIXTURES, PDFS_A_LEVEL)
    # Drawn beforehand: which PDF goes with which key must not depend on who is first.
    drawn = {key: iter([next(fixtures) for _ in LEVELS]) for key in keys}
    with Sandbox(options.bin, options.out.parent / "matrix-daemons" / "sandbox") as sandbox, ThreadPoolExecutor(3) as pool:
        shutil.copy(sandbox.root, options.out)
        work = {key: pool.submit(sign_all, options, sandbox, *key, drawn[key]) for key in keys}
        for key, future in work.items():
            if problem := future.exception():
                SCORE.expect(" ".join(key), False, f"{type(problem).__name__}: {problem}")
    print(f"\n{SCORE.passed} passed, {SCORE.failed} failed, {SCORE.skipped} skipped")
    sys.exit(1 if SCORE.failed else 0)


if __name__ == "__main__":
    main()
