#!/usr/bin/env python3
"""Foreign judges over a folder of signed forms: see README.md beside this file.

usage: judge.py FOLDER [--details]
"""

import base64
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
JUDGES = HERE.parents[1] / ".judges"
PYTHON = JUDGES / "venv" / "bin" / "python"
if Path(sys.prefix).resolve() != (JUDGES / "venv").resolve():
    if not PYTHON.exists():
        sys.exit(f"{PYTHON} is missing: run {HERE}/setup.sh first")
    os.execv(PYTHON, [str(PYTHON), *sys.argv])

# Only the virtual environment has these.
import signxml.xades
from asn1crypto import crl as asn1_crl
from asn1crypto import ocsp as asn1_ocsp
from asn1crypto import x509 as asn1_x509
from lxml import etree
from pyhanko.keys import load_cert_from_pemder
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import ModificationLevel
from pyhanko.sign.validation import SignatureCoverageLevel, validate_pdf_signature
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko_certvalidator import ValidationContext

DS = "{http://www.w3.org/2000/09/xmldsig#}"
XADES = "{http://uri.etsi.org/01903/v1.3.2#}"

# What each judge looks at. `files`: without any of them there is nothing to judge. `sees`: the kinds of change it must refuse
# (expect.json "changed"); a judge is silent on a change it cannot see: xmlsec1 does not look into the timestamp.
COLUMNS = {
    "xmllint": {"files": ("signed.xml",), "sees": set()},
    "dss-xml": {"files": ("signed.xml",), "sees": {"xml", "embedded-pdf", "timestamp", "root"}},
    "xmlsec1": {"files": ("signed.xml",), "sees": {"xml", "embedded-pdf", "root"}},
    "signxml": {"files": ("signed.xml",), "sees": {"xml", "embedded-pdf"}},
    "santuario": {"files": ("signed.xml",), "sees": {"xml", "embedded-pdf"}},
    "openssl-ts": {"files": ("timestamp.der", "signed.xml"), "sees": {"timestamp", "root"}},
    "dss-pdf": {"files": ("signed.pdf",), "sees": {"pdf", "embedded-pdf", "root"}},
    "pyhanko": {"files": ("signed.pdf",), "sees": {"pdf", "embedded-pdf", "root"}},
    "pdfsig": {"files": ("signed.pdf",), "sees": {"pdf", "embedded-pdf"}},
    "verapdf-before": {"files": ("before.pdf",), "sees": set()},
    "verapdf-signed": {"files": ("signed.pdf",), "sees": set()},
    "parts": {"files": ("signed.xml",), "sees": set()},
}
SIGNATURE_JUDGES = [name for name, column in COLUMNS.items() if column["sees"]]
TOOLS = {"xmllint": "xmllint", "xmlsec1": "xmlsec1", "openssl-ts": "openssl", "pdfsig": "pdfsig"}


class Refused(Exception):
    """A judge says no; the text is its reason."""


class Material:
    """What the other judges need out of signed.xml, taken out with lxml alone."""

    def __init__(self, path):
        parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
        self.tree = etree.parse(str(path), parser)
        self.signature = self.only(self.tree.getroot().iter(DS + "Signature"), "ds:Signature")

    @staticmethod
    def only(found, name):
        found = list(found)
        if len(found) != 1:
            raise Refused(f"{len(found)} elements {name}")
        return found[0]

    def binaries(self, tag):
        return [base64.b64decode(node.text) for node in self.signature.iter(tag)]

    def signer(self):
        key_info = self.only(self.signature.iterchildren(DS + "KeyInfo"), "ds:KeyInfo")
        return base64.b64decode(next(key_info.iter(DS + "X509Certificate")).text)

    def certificates(self):
        found = self.binaries(DS + "X509Certificate") + self.binaries(XADES + "EncapsulatedX509Certificate")
        return list(dict.fromkeys(found))

    def token(self):
        node = self.only(self.signature.iter(XADES + "EncapsulatedTimeStamp"), "xades:EncapsulatedTimeStamp")
        return base64.b64decode(node.text)

    def timestamp_input(self):
        value = self.only(self.signature.iterchildren(DS + "SignatureValue"), "ds:SignatureValue")
        return etree.tostring(value, method="c14n", exclusive=True, with_comments=False, with_tail=False)

    def embedded_pdf(self):
        for node in self.tree.getroot().iter("{*}document"):
            return base64.b64decode(node.text or "")
        raise Refused("no element document")


def pem(der):
    text = base64.b64encode(der).decode()
    lines = "\n".join(re.findall(".{1,64}", text))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"


def run(*command):
    # LC_ALL: the verdicts are read from English output. OPENSSL_CONF: no setting of this machine.
    environment = {**os.environ, "LC_ALL": "C", "OPENSSL_CONF": "/dev/null"}
    done = subprocess.run([str(word) for word in command], check=False, capture_output=True, timeout=120, env=environment)
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


def first(text, pattern):
    for line in text.splitlines():
        if re.search(pattern, line):
            return line.strip()
    return text.strip().splitlines()[0] if text.strip() else "no output"


def evidence(case, ending):
    """What a case brings beside the signed file: DER files in its folder `evidence`."""
    return [path.read_bytes() for path in sorted((case / "evidence").glob(f"*.{ending}"))]


def revocation_material(case):
    """(certificates, OCSP responses, CRLs) the judges of a PDF may use beside it, or nothing."""
    certificates, responses, lists = (evidence(case, ending) for ending in ("crt", "ocsp", "crl"))
    if (case / "signed.xml").exists():
        material = Material(case / "signed.xml")
        certificates += material.certificates()
        responses += material.binaries(XADES + "EncapsulatedOCSPValue")
        lists += material.binaries(XADES + "EncapsulatedCRLValue")
    return (certificates, responses, lists) if responses or lists else None


def xmllint(case, _root):
    code, output = run("xmllint", "--huge", "--nonet", "--noout", case / "signed.xml")
    if code:
        raise Refused(first(output, "error"))
    return "well-formed"


def xmlsec1(case, root):
    """Signature and both references; chain from the signer to the root over the certificates in the XML."""
    with tempfile.TemporaryDirectory() as scratch:
        untrusted = []
        for number, der in enumerate(Material(case / "signed.xml").certificates() + evidence(case, "crt")):
            file = Path(scratch) / f"{number}.pem"  # one file each: --untrusted-pem reads only the first certificate
            file.write_text(pem(der))
            untrusted += ["--untrusted-pem", file]
        code, output = run(
            "xmlsec1", "--verify", "--enabled-key-data", "x509", "--trusted-pem", root, *untrusted,
            "--id-attr:Id", "http://uri.etsi.org/01903/v1.3.2#:SignedProperties", case / "signed.xml",
        )  # fmt: skip
    references = re.search(r"SignedInfo References \(ok/all\): (\d+)/(\d+)", output)
    if code or not references or references.groups() != ("2", "2"):
        reason = re.search(r":error=\d+:(.*)", output)
        raise Refused(reason[1].strip() if reason else first(output, "FAIL|rror"))
    return "OK, references 2/2"


def signxml_judge(case, _root):
    """Signature, both references and SigningCertificateV2. Not the chain: signxml builds it from KeyInfo alone."""
    config = signxml.xades.XAdESSignatureConfiguration(expect_references=2)
    signer = pem(Material(case / "signed.xml").signer())
    verifier = signxml.xades.XAdESVerifier()
    try:
        verifier.verify((case / "signed.xml").read_bytes(), x509_cert=signer, expect_config=config)
    except signxml.exceptions.SignXMLException as problem:
        raise Refused(re.sub(r"\(#.*?\)", "(#...)", f"{type(problem).__name__}: {problem}")) from problem
    return "signature, 2 references, SigningCertificateV2"


def openssl_ts(case, root):
    """The token over its input, with the chain found in the token and in the XML."""
    token, data = case / "timestamp.der", case / "timestamp.input"
    with tempfile.TemporaryDirectory() as scratch:
        xml = case / "signed.xml"
        material = Material(xml) if xml.exists() else None
        if not token.exists():
            token = Path(scratch) / "token.der"
            token.write_bytes(material.token())
        if not data.exists():
            data = Path(scratch) / "input"
            data.write_bytes(material.timestamp_input())
        chain = Path(scratch) / "chain.pem"
        _code, inside = run("openssl", "pkcs7", "-inform", "DER", "-print_certs", "-in", token)
        chain.write_text(inside + "".join(pem(der) for der in (material.certificates() if material else [])))
        code, output = run("openssl", "ts", "-verify", "-token_in", "-in", token, "-data", data, "-CAfile", root, "-untrusted", chain)
    if code or "Verification: OK" not in output:
        raise Refused(re.sub(r"^[0-9A-F]+:error:|:\.\./.*", "", first(output, "error:")))
    return "Verification: OK"


def pyhanko(case, root):
    """Strict reader, chain to the root, whole file but for its own DSS; revocation is required when there are data on it.

    A signature that was there before must be as sound as it was: what was appended is a permitted change to it.
    """
    material = revocation_material(case)
    extra = {"revocation_mode": "soft-fail"}
    if material:
        certificates, responses, lists = material
        extra = {
            "revocation_mode": "require",
            "other_certs": [asn1_x509.Certificate.load(der) for der in certificates],
            "ocsps": [asn1_ocsp.OCSPResponse.load(der) for der in responses],
            "crls": [asn1_crl.CertificateList.load(der) for der in lists],
        }
    context = ValidationContext(trust_roots=[load_cert_from_pemder(str(root))], allow_fetching=False, **extra)
    level = json.loads((case / "expect.json").read_text()).get("pades", "")
    with open(case / "signed.pdf", "rb") as file:
        # Its strict reader refuses every hybrid-reference file, whoever signed it.
        reader = PdfFileReader(file, strict=b"/XRefStm" not in file.read())
        if level.endswith("-LT"):
            store = DocumentSecurityStore.read_dss(reader)
            context = store.as_validation_context(
                {"trust_roots": [load_cert_from_pemder(str(root))], "allow_fetching": False, "revocation_mode": "require"}
            )
        *before, last = reader.embedded_signatures
        if len(before) != earlier_signatures(case):
            raise Refused(f"{len(before)} earlier signatures")
        status = validate_pdf_signature(last, context)
        # The DSS of B-LT is appended behind the signature: then only it may have been.
        whole = status.coverage == SignatureCoverageLevel.ENTIRE_FILE or (
            level.endswith("-LT")
            and status.coverage == SignatureCoverageLevel.ENTIRE_REVISION
            and status.modification_level == ModificationLevel.LTA_UPDATES
        )
        stamp = status.timestamp_validity
        stamped = stamp.intact and stamp.valid and stamp.trusted if stamp else level.endswith("-B")
        if not status.bottom_line or not whole or not stamped:
            raise Refused(f"{status.summary()}, coverage {status.coverage.name}, timestamp {stamp and stamp.summary()}")
        detail = f"{status.summary()}, {status.coverage.name}, revocation {context.revinfo_policy.revocation_checking_policy.ee_certificate_rule.name}"
        for signature in before:
            status = validate_pdf_signature(signature, ValidationContext(trust_roots=[], allow_fetching=False))
            if not (status.intact and status.valid and status.docmdp_ok):
                raise Refused(f"earlier signature: {status.summary()}")
            detail += f"; earlier {status.summary()}"
    return detail


def pdfsig(case, _root):
    """Integrity and coverage; -nocert because trust would need an NSS database (pyHanko and DSS judge trust)."""
    _code, output = run("pdfsig", "-nocert", case / "signed.pdf")
    _head, *signatures = output.split("Signature #")
    level = json.loads((case / "expect.json").read_text()).get("pades", "")
    coverage = "Not total document signed" if level.endswith("-LT") else "Total document signed"
    if len(signatures) != 1 + earlier_signatures(case) or coverage not in signatures[-1]:
        raise Refused(first(output, "Signature Validation|Not total|not contain"))
    for signature in signatures:
        if "Signature is Valid." not in signature:
            raise Refused(first(signature, "Signature Validation"))
    return f"Signature is Valid, {coverage.lower()}{', earlier one Valid' * (len(signatures) - 1)}"


def parts(case, _root):
    """The files of the case belong together: PDF and token are those in the XML, the unsigned PDF is untouched."""
    material = Material(case / "signed.xml")
    claims = {
        "signed.pdf": ("is the embedded PDF", material.embedded_pdf),
        "timestamp.der": ("is the token in the XML", material.token),
        "timestamp.input": ("is exc-c14n of ds:SignatureValue", material.timestamp_input),
    }
    for name, (claim, value) in claims.items():
        if (case / name).exists() and (case / name).read_bytes() != value():
            raise Refused(f"not so: {name} {claim}")
    if (case / "before.pdf").exists() and not material.embedded_pdf().startswith((case / "before.pdf").read_bytes()):
        raise Refused("not so: the embedded PDF begins with before.pdf")
    return "consistent"


PYTHON_JUDGES = {
    "xmllint": xmllint, "xmlsec1": xmlsec1, "signxml": signxml_judge, "openssl-ts": openssl_ts,
    "pyhanko": pyhanko, "pdfsig": pdfsig, "parts": parts,
}  # fmt: skip


def root_of(case):
    """The trust anchor: the case's own, or that of all cases."""
    own = case / "root.pem"
    return own if own.exists() else case.parent / "root.pem"


def signed_file(case):
    """What is judged: a form with its PDF, or one of the two alone."""
    return [name for name in ("signed.xml", "signed.pdf") if (case / name).exists()]


def earlier_signatures(case):
    """How many signatures before.pdf bears."""
    return json.loads((case / "expect.json").read_text()).get("earlier_signatures", 0)


def unknown_to(case):
    """Judge -> why it cannot judge this signature: an algorithm it does not know."""
    return json.loads((case / "expect.json").read_text()).get("unknown_to", {})


def expectation(case):
    """(judge -> accept?, judge -> signature format). A judge absent from the first has nothing to say.

    A form to be accepted needs all its files: a missing one is a failure. Without "pades" it has no embedded document; without
    "xades" it is a PDF alone.
    """
    expect = json.loads((case / "expect.json").read_text())
    if expect["verdict"] not in ("accept", "refuse"):
        raise ValueError(f"{case}/expect.json: verdict {expect['verdict']!r}")
    accept = expect["verdict"] == "accept"
    formats = {"dss-xml": expect.get("xades"), "dss-pdf": expect.get("pades")}
    if accept:
        formed = [file for file, form in (("signed.xml", "xades"), ("signed.pdf", "pades")) if form in expect]
        names = [name for name, column in COLUMNS.items() if any(file in column["files"] for file in formed)]
        names += ["verapdf-before"] * ("pades" in expect)
        # Without a timestamp, or without a PDF inside, there is nothing to look at.
        absent = {"openssl-ts"} if "xades" not in expect or expect["xades"].endswith("-B") else set()
        absent |= {"parts"} if formed != ["signed.xml", "signed.pdf"] else set()
        names = [name for name in names if name not in absent]
    else:
        changed = expect.get("changed")
        names = [name for name in SIGNATURE_JUDGES if changed is None or changed in COLUMNS[name]["sees"]]
        names = [name for name in names if any((case / file).exists() for file in COLUMNS[name]["files"])]
        if not names:
            raise ValueError(f"{case}/expect.json: no judge can see a change of {changed!r}")
    return {name: accept for name in names}, formats


def start_java(folder):
    classes = JUDGES / "java" / "classes"
    if not shutil.which("java") or not (classes / "Judge.class").exists():
        return None
    classpath = f"{classes}:{JUDGES}/java/lib/*"
    # A short-lived process: the quick compiler and the simple collector.
    options = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xss4m", "-Djava.awt.headless=true"]
    return subprocess.Popen(["java", *options, "-cp", classpath, "Judge", str(folder)], stdout=subprocess.PIPE)


def java_verdicts(process):
    verdicts = {}
    output, _ = process.communicate(timeout=1800)
    for line in output.splitlines():
        verdict = json.loads(line)
        verdicts[verdict["case"], verdict["judge"]] = verdict
    if process.returncode:
        print(f"!! the Java judges ended with code {process.returncode}", file=sys.stderr)
    return verdicts


def ask(name, case, root):
    """(accepts, detail) of a Python judge; None when the tool is absent."""
    if name in TOOLS and not shutil.which(TOOLS[name]):
        return None
    try:
        return True, PYTHON_JUDGES[name](case, root)
    except Refused as reason:
        return False, str(reason)
    except Exception as problem:  # noqa: BLE001 whatever a judge throws at a file is a refusal
        return False, f"{type(problem).__name__}: {str(problem).splitlines()[0] if str(problem) else ''}"


def cell(name, expected, accepts, detail, form, formats):
    """(word of the table, detail)"""
    wanted = formats.get(name)
    if accepts and expected and wanted and form != wanted:
        return "FORMAT!", f"{detail} (expected {wanted})"
    if accepts == expected:
        return ("accepts" if accepts else "refuses"), detail
    return ("ACCEPTS!" if accepts else "REFUSES!"), detail


def judge(folder):
    cases = sorted(path.parent for path in folder.glob("*/expect.json"))
    process = start_java(folder)
    expected = {case.name: expectation(case) for case in cases}
    answers = {}
    for case in cases:
        for name in expected[case.name][0]:
            if name in PYTHON_JUDGES:
                answers[case.name, name] = ask(name, case, root_of(case))
    java = java_verdicts(process) if process else None
    table = {}
    for case in cases:
        wants, formats = expected[case.name]
        for name, want in wants.items():
            key = case.name, name
            form = None
            if name not in PYTHON_JUDGES:
                found = (java or {}).get(key)
                form = found and found["format"]
                answer = found and (found["accepts"], found["detail"])
                if name == "dss-pdf" and answer and want and found["signatures"] != 1 + earlier_signatures(case):
                    answer = False, f"{found['signatures']} signatures"
                answers[key] = None if java is None else answer or (not want, "no verdict")
            table[key] = ("SKIPPED", "not installed") if answers[key] is None else cell(name, want, *answers[key], form, formats)
            if table[key][0] == "REFUSES!" and name in unknown_to(case):
                table[key] = "unknown", unknown_to(case)[name]
    return [case.name for case in cases], table


def report(cases, table, details):
    width = max(len(name) for name in [*cases, "case"])
    print("  ".join(["case".ljust(width), *(name.ljust(max(len(name), 8)) for name in COLUMNS)]))
    for case in cases:
        row = [table.get((case, name), ("-", ""))[0].ljust(max(len(name), 8)) for name in COLUMNS]
        print("  ".join([case.ljust(width), *row]).rstrip())
    print()
    if details:
        for (case, name), (word, detail) in table.items():
            print(f"{case}: {name} {word}: {detail}")
    else:
        for name in COLUMNS:
            words = Counter(value for (_, judge_name), value in table.items() if judge_name == name)
            for (word, detail), count in sorted(words.items()):
                print(f"{name} {word} ({count}): {detail[:240]}")
    print()
    skipped = sorted({name for (_, name), (word, _) in table.items() if word == "SKIPPED"})
    if skipped:
        print(f"!!!! SKIPPED, NOT JUDGED: {', '.join(skipped)} (run tests/judges/setup.sh) !!!!\n")
    words = Counter(word for word, _ in table.values())
    failed = sum(count for word, count in words.items() if word.endswith("!"))
    if words["unknown"]:
        print(f"{words['unknown']} cells of judges that do not know the algorithm count as passed: the other judges accept\n")
    print(f"{words['accepts'] + words['refuses'] + words['unknown']} passed, {failed} failed, {words['SKIPPED']} skipped")
    return failed


def main():
    logging.disable(logging.CRITICAL)  # pyHanko logs a stack trace for each refusal; the table says it shorter
    arguments = [word for word in sys.argv[1:] if word != "--details"]
    if len(arguments) != 1:
        sys.exit(__doc__)
    folder = Path(arguments[0]).resolve()
    found = [path.parent for path in folder.glob("*/expect.json")]
    if not found or not all(root_of(case).exists() for case in found):
        sys.exit(f"no case in {folder}, or one without root.pem: nothing was judged")
    cases, table = judge(folder)
    sys.exit(1 if report(cases, table, "--details" in sys.argv) else 0)


if __name__ == "__main__":
    main()
