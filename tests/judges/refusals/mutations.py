#!/usr/bin/env python3
"""Proof that the corpus notices: each protection of the verifier is switched off in a copy of the sources, and the run must fail.

usage: mutations.py [--target DIR] [NAME...]     (DIR: Cargo's target folder, shared by all copies)

Prints a line a mutant: the protection, and how many cases failed, the named ones among them. The exit code is 0 only if every mutant
was noticed by all the cases named for it. A patch that no longer fits is a failure: the table below follows the sources.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]

# protection: (file below src, text, its replacement, cases that must fail)
MUTANTS = {
    "unique identifiers": (
        "xades/verify.rs",
        "    unique_ids(doc, parts.signature)?;\n",
        "",
        "id-of-properties-as-Id-in-content id-of-properties-as-xml-id-in-content id-of-signature-in-content",
    ),
    "the slot": (
        "xades/verify.rs",
        "    in_slot(doc, slot, parts)?;\n    unique_ids",
        "    let _ = slot;\n    unique_ids",
        "moved-after-signing moved-to-the-end two-slots company-in-slot slot-of-another-namespace",
    ),
    "digest of the document": (
        "xades/verify.rs",
        "if expected != found {",
        "if expected.len() != found.len() {",
        "amount-changed attribute-changed space-added",
    ),
    "digest of the signed properties": (
        "xades/verify.rs",
        "if expected != digest::sha256(&canonical(parts.signed_properties)) {",
        "if expected.is_empty() {",
        "signing-time-changed",
    ),
    "the transforms": ("xades/verify.rs", "        algorithm(*node, uri)?;\n", "        let _ = (node, uri);\n", "inclusive-c14n"),
    "SigningCertificateV2": (
        "xades/verify.rs",
        "if decode(value)? != signer.sha256() || decode(issuer_serial)? != x509::issuer_serial(signer) {",
        "if decode(value)?.is_empty() || decode(issuer_serial)?.is_empty() {",
        "certificate-of-same-key signing-certificate-of-twin issuer-serial-of-other",
    ),
    "signature value of XML": (
        "xades/verify.rs",
        "        .map_err(|error| XadesError::SignatureValue(Some(error)))?;\n    Ok(method)",
        "        .ok();\n    Ok(method)",
        "signature-value-changed content-and-digest-changed value-by-another-key",
    ),
    "no part too many": (
        "xades/profile.rs",
        "    let found = elements(parent)?;\n    let count = found.len();",
        "    let mut found = elements(parent)?;\n    let count = found.len();\n    found.truncate(N);",
        "object-with-content third-reference-to-document third-reference-to-object",
    ),
    "gap of the byte range": (
        "pdf/signatures.rs",
        "if self.place != (length..resume) {",
        "if self.place.is_empty() {",
        "pdf-range-gap-wider-before pdf-range-gap-wider-after pdf-contents-elsewhere",
    ),
    "rest of Contents": (
        "pades/verify.rs",
        "        .filter(|(_, fill)| fill.iter().all(|byte| *byte == 0))\n",
        "",
        "pdf-contents-padded",
    ),
    "changes after a PDF's signature": (
        "validation/signature.rs",
        "let fault = changes(&found)\n        .or_else(|| certified.fault.clone())",
        "let fault = certified.fault.clone()",
        "pdf-after-content-replaced pdf-after-annotation-added pdf-shadow-hide pdf-shadow-replace pdf-shadow-cross-reference"
        " pdf-certified-1-filled pdf-content-changed-between",
    ),
    "bytes behind a PDF's signature": (
        "pdf/changes.rs",
        "if !content.is_empty() && !is_revision {",
        "if content.is_empty() && !is_revision && !later.is_empty() {",
        "pdf-after-junk pdf-after-content-without-xref",
    ),
    "certificate binding of CMS": (
        "x509/cms.rs",
        "if digest.compute(signer.der()) == hash {",
        "if digest.compute(signer.der()).len() == hash.len() {",
        "pdf-cms-bound-to-another pdf-cms-certificate-of-same-key stamp-bound-to-another-certificate",
    ),
    "purpose of the timestamp authority": (
        "x509/tsp.rs",
        "        check_purpose(&self.signer)?;\n",
        "        let _ = check_purpose(&self.signer);\n",
        "stamp-purpose-missing stamp-purpose-not-critical stamp-purpose-not-sole stamp-by-the-signer pdf-stamp-purpose-missing",
    ),
    "imprint of the timestamp": (
        "x509/tsp.rs",
        "|| self.info.imprint != imprint {",
        "|| self.info.imprint.len() != imprint.len() {",
        "stamp-over-other-data stamp-of-another-document stamp-bad-at-level-t pdf-stamp-over-other-data",
    ),
    "a timestamp that is there must be good": (
        "validation/signature.rs",
        "(None, Some(stamp)) => Some(of_signature(stamp)),",
        "(None, Some(_)) => None,",
        "stamp-by-untrusted-authority stamp-authority-revoked stamp-authority-without-evidence",
    ),
    "freshness of revocation data": (
        "trust/evidence.rs",
        "Self::IssuedSince(wanted) => this_update >= wanted,",
        "Self::IssuedSince(wanted) => this_update >= wanted || next_update.is_some(),",
        "answer-older-than-timestamp list-older-than-timestamp",
    ),
    "revocation": (
        "trust/evidence.rs",
        "CertStatus::Revoked { at, reason } => Standing::Revoked { at, reason },",
        "CertStatus::Revoked { .. } => Standing::Good { this_update },",
        "revoked-before-timestamp revoked-by-list list-says-revoked-answer-good authority-revoked on-hold pdf-revoked-before-timestamp",
    ),
    "purpose of the OCSP responder": (
        "x509/ocsp.rs",
        "if !purposes.is_some_and(|(_, purposes)| purposes.contains(&OCSP_SIGNING)) {",
        "if purposes.is_some_and(|(_, purposes)| !purposes.contains(&OCSP_SIGNING)) {",
        "responder-without-purpose",
    ),
    "issuer of the OCSP responder": (
        "x509/ocsp.rs",
        "if responder.verify_issued_by(issuer).is_err() {",
        "if issuer.der().is_empty() {",
        "responder-self-signed responder-of-the-root responder-of-another-root pdf-responder-self-signed",
    ),
    "signature of the OCSP answer": (
        "x509/ocsp.rs",
        "verify(cert, algorithm, tbs, &self.signature).map_err(OcspError::Signature)",
        "verify(cert, algorithm, tbs, &self.signature).or(Ok(()))",
        "answer-spoiled answer-changed",
    ),
    "kinds of revocation lists": (
        "x509/crl.rs",
        'Some(DELTA_INDICATOR) => return Err(CrlError::Kind("delta")),',
        "Some(DELTA_INDICATOR) => {}",
        "list-delta",
    ),
    "algorithm policy": (
        "trust/policy.rs",
        "        self.check_digest(algorithm.digest_name(), at)?;\n        self.check_scheme(scheme(algorithm), key, at)",
        "        let _ = (algorithm, key, at);\n        Ok(())",
        "rsa-2048-after-2029",
    ),
    "anchors": (
        "trust/chain.rs",
        "if path.last().is_some_and(|last| self.anchors.contains(last)) {",
        "if path.last().is_some_and(|last| self.anchors.contains(last) || last.is_self_issued()) {",
        "self-signed-signer pdf-self-signed stamp-by-self-signed-authority",
    ),
    "basicConstraints of authorities": (
        "trust/chain.rs",
        "if !issuer.is_ca() {",
        "if issuer.der().is_empty() {",
        "issued-by-end-entity issued-without-basic-constraints",
    ),
    "critical extensions": (
        "trust/chain.rs",
        "if let Some(oid) = cert.unknown_critical_extension() {",
        "if let Some(oid) = cert.unknown_critical_extension().filter(|oid| oid.is_empty()) {",
        "critical-extension-of-signer critical-extension-of-authority name-constraints-violated",
    ),
    "claimed time against the timestamp": (
        "validation/signature.rs",
        "if claimed <= limit {",
        "if claimed <= limit || existed.is_some() {",
        "claimed-after-timestamp",
    ),
}


def copy(scratch):
    """The tracked files, so that a build sees nothing else."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout.decode().split("\0")
    for name in filter(None, tracked):
        if (ROOT / name).is_file():
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, scratch / name)


def build(scratch, target):
    # Without debug information of its own: quicker.
    words = "cargo build --locked --quiet --bin sceau --config profile.dev.package.sceau.debug=false --target-dir"
    command = [*words.split(), target]
    done = subprocess.run(command, cwd=scratch, check=False, capture_output=True)
    return done.stderr.decode() if done.returncode else None


def failed_cases(target, documents):
    """Names of the cases that failed, and how many of them are false accepts."""
    command = [sys.executable, HERE / "refusals.py", "--bin", Path(target) / "debug", "--no-dss", "--keep", "--out", documents]
    output = subprocess.run(command, check=False, capture_output=True).stdout.decode()
    if not re.search(r"^\d+ passed, \d+ failed, 0 skipped$", output, re.MULTILINE):
        raise RuntimeError(output[-500:])
    found = dict(re.findall(r"^  (\S+) +(FALSE ACCEPT|not as expected): ", output, re.MULTILINE))
    return set(found), sum(word == "FALSE ACCEPT" for word in found.values())


def try_one(name, scratch, target, documents):
    """A line of the table, and whether the mutant was noticed."""
    file, text, replacement, cases = MUTANTS[name]
    path = scratch / "src" / file
    source = path.read_text()
    if source.count(text) != 1:
        return f"{name}: the patch of src/{file} does not fit", False
    start = time.monotonic()
    path.write_text(source.replace(text, replacement))
    problem = build(scratch, target)
    if problem is None:
        failed, accepts = failed_cases(target, documents)
    path.write_text(source)
    if problem:
        return f"{name}: does not build: {problem.strip()[:500]}", False
    named = cases.split()
    missed = [case for case in named if case not in failed]
    seconds = time.monotonic() - start
    line = f"{len(failed):3} failed, {accepts:2} false accepts, {len(named) - len(missed)}/{len(named)} named, {seconds:.0f} s"
    if missed:
        line += f"; NOT NOTICED by {' '.join(missed)}"
    return f"{name.ljust(40)} src/{file.ljust(24)} {line}", not missed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default=str(ROOT / "out" / "mutants-target"))
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    noticed = 0
    names = arguments.names or list(MUTANTS)
    with tempfile.TemporaryDirectory() as folder:
        scratch, documents = Path(folder) / "sources", Path(folder) / "documents"
        scratch.mkdir()
        copy(scratch)
        subprocess.run([sys.executable, HERE / "refusals.py", "--generate", documents], check=True)
        problem = build(scratch, arguments.target)
        if problem:
            sys.exit(f"the sources do not build:\n{problem}")
        failed, _accepts = failed_cases(arguments.target, documents)
        if failed:
            sys.exit(f"without a mutation these fail already: {' '.join(sorted(failed))}")
        print("without a mutation: no case fails", flush=True)
        for name in names:
            line, good = try_one(name, scratch, arguments.target, documents)
            noticed += good
            print(line, flush=True)
    print(f"{noticed} of {len(names)} mutants noticed")
    sys.exit(0 if noticed == len(names) else 1)


if __name__ == "__main__":
    main()
