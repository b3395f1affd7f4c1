"""Small PDF files, incremental updates and PAdES signatures (EN 319 142-1), every byte of them under the case's control."""

import re

from asn1crypto import cms
from pki import attribute, signed_data

ROOM = 12_288  # bytes kept for the CMS
SIGNED_TIME = "D:20260302100000Z"
CATALOG = "<</Type/Catalog/Pages 2 0 R{}>>"
PAGE = "<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Contents {} 0 R/Resources<</Font<</F 5 0 R>>>>{}>>"


def stream(data, entries=""):
    data = data if isinstance(data, bytes) else data.encode()
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (entries.encode(), len(data), data)


def shown(text):
    """The content of a page that shows a line of text."""
    return stream(f"BT /F 18 Tf 20 100 Td ({text}) Tj ET")


def plain():
    """The objects of a document with one page."""
    return {
        1: CATALOG.format(""),
        2: "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        3: PAGE.format(4, ""),
        4: shown("Amount 12.50 EUR"),
        5: "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    }


def revision(objects, before=b"", extra="", root=1):
    """`before` with a new revision (ISO 32000-1 7.5.6): the objects and a classic cross-reference table."""
    out = bytearray(before or b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    offsets = {}
    for number, body in objects.items():
        offsets[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body if isinstance(body, bytes) else body.encode("latin-1"))
    start = len(out)
    previous = re.findall(rb"startxref\s+(\d+)", before)
    size = max([*offsets, *(int(n) - 1 for n in re.findall(rb"/Size (\d+)", before))]) + 1
    out += b"xref\n"
    entries = dict(offsets)
    if not before:
        entries[0] = None
    for number in sorted(entries):
        offset = entries[number]
        out += b"%d 1\n" % number
        out += b"0000000000 65535 f \n" if offset is None else b"%010d 00000 n \n" % offset
    chain = b"/Prev %s" % previous[-1] if previous else b""
    out += b"trailer\n<</Size %d/Root %d 0 R%s%s/ID[<00112233445566778899aabbccddeeff><%032x>]>>\nstartxref\n%d\n%%%%EOF\n" % (
        size, root, chain, extra.encode(), len(out), start,
    )  # fmt: skip
    return bytes(out)


class Pades:
    """A signature appended to `before` as an incremental update.

    `objects`: numbers and texts of the update; where none are given, those of a plain document's first signature. `value`: the
    signature dictionary, with BYTERANGE and CONTENTS in it. `cms_options`: of pki.signed_data.
    """

    def __init__(self, world, before=None, *, signer=None, number=10, objects=None, value=None, cms_options=None, token=None, catalog="",
                 page="", field="", room=ROOM, byte_range=None, tail=b"", range_after_contents=False):  # fmt: skip
        self.world, self.signer = world, signer or world.signer
        self.before = revision(plain()) if before is None else before
        self.number, self.cms_options, self.token, self.room = number, cms_options or {}, token, room
        value = value or (
            f"<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached/ByteRange BYTERANGE/Contents CONTENTS/M({SIGNED_TIME})>>"
        )
        if objects is None:
            objects = {
                1: CATALOG.format(f"/AcroForm<</Fields[{number} 0 R]/SigFlags 3>>{catalog}"),
                3: PAGE.format(4, f"/Annots[{number} 0 R]{page}"),
                number: f"<</Type/Annot/Subtype/Widget/FT/Sig/T(Signature{number})/F 132/Rect[0 0 0 0]/P 3 0 R/V {number + 1} 0 R{field}>>",
            }
        objects[number + 1] = value.replace("BYTERANGE", "[0 1111111111 2222222222 3333333333]").replace("CONTENTS", f"<{'0' * 2 * room}>")
        pdf = bytearray(revision(objects, self.before) + tail)
        at = len(self.before)
        start = pdf.index(b"<" + b"0" * 2 * room + b">", at)
        end = start + 2 * room + 2
        self.hole = (start, end)
        numbers = byte_range(start, end, len(pdf)) if byte_range else (0, start, end, len(pdf) - end)
        self.numbers = numbers
        place = pdf.find(b"[0 1111111111 2222222222 3333333333]", at)
        if place >= 0:
            text = b"[%s]" % b" ".join(b"%d" % n for n in numbers)
            pdf[place : place + 36] = text.ljust(36)
        self.prepared = bytes(pdf)

    def covered(self):
        """What the byte range covers."""
        data = b""
        for start, length in zip(self.numbers[::2], self.numbers[1::2], strict=True):
            data += self.prepared[start : start + length]
        return data

    def cms(self):
        def unsigned(value):
            tokens = [cms.ContentInfo.load(token) for token in self.token(value)]
            return [attribute("signature_time_stamp_token", token) for token in tokens]

        options = {"certs": [self.signer, self.world.issuing], "detached": self.covered()} | self.cms_options
        return signed_data(self.signer, "data", None, unsigned=unsigned if self.token else None, **options)

    def fill(self, content, pad=b""):
        start, end = self.hole
        text = (content + pad).hex().encode().ljust(2 * self.room, b"0")
        return self.prepared[: start + 1] + text + self.prepared[end - 1 :]

    def signed(self):
        return self.fill(self.cms())


def with_dss(pdf, world, certificates, ocsps=(), crls=(), *, catalog, first=60):
    """Level LT: a revision with the document security store (EN 319 142-1 5.4.2). `catalog`: the entries the catalog has already."""
    objects, lists = {}, {}
    for key, values in (("Certs", certificates), ("OCSPs", ocsps), ("CRLs", crls)):
        lists[key] = []
        for value in values:
            number = first + 1 + len(objects)
            objects[number] = stream(value)
            lists[key].append(f"{number} 0 R")
    text = "".join(f"/{key}[{' '.join(found)}]" for key, found in lists.items() if found)
    objects[first] = f"<</Type/DSS{text}>>"
    objects[1] = CATALOG.format(f"{catalog}/DSS {first} 0 R")
    return revision(objects, pdf)
