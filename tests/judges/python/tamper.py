"""Makes cases to be refused out of one to be accepted: in each, one byte of one signed thing is changed.

usage: tamper.py CASE [FOLDER]     (FOLDER: where the new cases go; the parent of CASE unless told)

The other files of a case stay as they are, so that a judge has all it needs (the revocation data for the PDF stand in
signed.xml, for example) and can only refuse for the change itself. expect.json names the kind of change: judge.py asks
exactly the judges that can see it.
"""

import base64
import hashlib
import json
import re
import shutil
import sys
from pathlib import Path

from asn1crypto import cms
from lxml import etree

BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def replaced(data, at, byte):
    if data[at] == byte:
        raise AssertionError("nothing was changed")
    return data[:at] + bytes([byte]) + data[at + 1 :]


def other_letter(byte):
    """Another letter or digit of the same kind, hexadecimal if it was: the document stays valid to the schema's eye."""
    if chr(byte).isdigit():
        return ord("0") + (byte - ord("0") + 1) % 10
    return byte + 1 if chr(byte) not in "fFzZ" else byte - 1


def element(xml, name):
    """(start, end) of the text of the first element with this local name."""
    found = re.search(rb"<(?:[\w.-]+:)?" + name + rb"(?:\s[^>]*)?>([^<]*)<", xml)
    if not found:
        raise LookupError(f"no element {name.decode()} in signed.xml")
    return found.span(1)


def with_base64(xml, span, changed):
    """The base64 text in `span` now says `changed`; line breaks stay, so only the characters of one byte differ."""
    text = bytearray(xml[span[0] : span[1]])
    places = [at for at, byte in enumerate(text) if byte in BASE64 or byte == ord("=")]
    new = base64.b64encode(changed)
    if len(new) != len(places):
        raise LookupError("the base64 text is not canonical")
    for at, byte in zip(places, new, strict=True):
        text[at] = byte
    return xml[: span[0]] + bytes(text) + xml[span[1] :]


def decoded(xml, span):
    return base64.b64decode(xml[span[0] : span[1]])


def xml_content(xml):
    """The last letter or digit (not of an entity) of the first text before the signature."""
    end = re.search(rb"<(?:[\w.-]+:)?Signature[\s>]", xml).start()
    found = re.search(rb">[^<>]*([A-Za-z0-9])[^<>&;A-Za-z0-9]*</", xml[:end])
    if not found:
        raise LookupError("no text before the signature")
    return replaced(xml, found.start(1), other_letter(xml[found.start(1)]))


def xml_signed_properties(xml):
    """The last digit of the claimed signing time."""
    start, end = element(xml, b"SigningTime")
    at = max(at for at in range(start, end) if chr(xml[at]).isdigit())
    return replaced(xml, at, other_letter(xml[at]))


def xml_signature_value(xml):
    span = element(xml, b"SignatureValue")
    value = decoded(xml, span)
    return with_base64(xml, span, replaced(value, len(value) // 2, value[len(value) // 2] ^ 1))


def pdf_content(pdf):
    """A byte in the middle of the first content or object stream."""
    found = re.search(rb"stream\r?\n(.+?)endstream", pdf, re.DOTALL)
    start, end = found.span(1)
    middle = (start + end) // 2
    return replaced(pdf, middle, pdf[middle] ^ 1)


def pdf_signature(pdf):
    """A byte of the CMS signature value inside /Contents."""
    found = max(re.finditer(rb"/Contents\s*<([0-9A-Fa-f]+)>", pdf), key=lambda match: len(match[1]))
    signature = cms.ContentInfo.load(bytes.fromhex(found[1].decode()))["content"]["signer_infos"][0]["signature"].native
    at = found.start(1) + found[1].lower().index(signature.hex().encode()) + len(signature)  # its middle, in hex digits
    return replaced(pdf, at, ord("0") if pdf[at] != ord("0") else ord("1"))


def timestamp_signature(token, _data):
    """A byte of the authority's signature value."""
    signature = cms.ContentInfo.load(token)["content"]["signer_infos"][0]["signature"].native
    at = token.rindex(signature) + len(signature) // 2
    return replaced(token, at, token[at] ^ 1)


def timestamp_imprint(token, data):
    """A byte of the digest the authority stamped."""
    for name in ("sha256", "sha384", "sha512"):
        at = token.find(hashlib.new(name, data).digest())
        if at >= 0:
            return replaced(token, at, token[at] ^ 1)
    raise LookupError("timestamp.input is not what timestamp.der stamped")


def timestamp_input(xml):
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
    value = next(etree.fromstring(xml, parser).iter("{http://www.w3.org/2000/09/xmldsig#}SignatureValue"))
    return etree.tostring(value, method="c14n", exclusive=True, with_tail=False)


def variants(case):
    """(name, kind, files to be written)"""
    xml = (case / "signed.xml").read_bytes()
    for change in (xml_content, xml_signed_properties, xml_signature_value):
        yield change.__name__, "xml", {"signed.xml": change(xml)}
    if (case / "signed.pdf").exists():
        pdf = (case / "signed.pdf").read_bytes()
        span = element(xml, b"document")
        for change in (pdf_content, pdf_signature):
            changed = change(pdf)
            yield change.__name__, "pdf", {"signed.pdf": changed}
            inside = with_base64(xml, span, change(decoded(xml, span)))
            yield f"embedded_{change.__name__}", "embedded-pdf", {"signed.xml": inside, "signed.pdf": changed}
    span, data = element(xml, b"EncapsulatedTimeStamp"), timestamp_input(xml)
    for change in (timestamp_signature, timestamp_imprint):
        changed = change(decoded(xml, span), data)
        files = {"signed.xml": with_base64(xml, span, changed), "timestamp.der": changed, "timestamp.input": data}
        yield change.__name__, "timestamp", files


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    case = Path(sys.argv[1]).resolve()
    folder = Path(sys.argv[2]).resolve() if len(sys.argv) == 3 else case.parent
    expect = json.loads((case / "expect.json").read_text())
    for name, kind, files in variants(case):
        target = folder / f"{case.name}-{name.replace('_', '-')}"
        shutil.copytree(case, target, dirs_exist_ok=True)
        (target / "before.pdf").unlink(missing_ok=True)
        for file, data in files.items():
            (target / file).write_bytes(data)
        refuse = {**expect, "verdict": "refuse", "changed": kind, "note": f"one byte changed: {name.replace('_', ' ')}"}
        (target / "expect.json").write_text(json.dumps(refuse) + "\n")


if __name__ == "__main__":
    main()
