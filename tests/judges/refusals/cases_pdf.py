"""Bad PDF documents: the byte range, the CMS, and what was appended after signing."""

import re

from asn1crypto import cms
from corpus import (
    CONSTRAINTS,
    CRYPTO,
    FORM_ENTRY,
    FORMAT,
    HASH,
    NO_CHAIN,
    NO_SIGNER,
    PASSED,
    PROFILE,
    WEAK,
    external,
    family,
    pdf,
    pdf_b,
    pdf_lt,
    pdf_t,
)
from pades import CATALOG, PAGE, Pades, plain, revision, shown, stream, with_dss
from pki import Key, attribute, certificate, signed_data

good = family("PDF controls")


@good("pdf-b", PASSED, "B-B, RSA, evidence from outside")
def _(w):
    return pdf_b(w)


@good("pdf-b-ec", PASSED, "B-B by a P-256 key")
def _(w):
    return pdf_b(w, signer=w.signer_ec)


@good("pdf-b-pss", PASSED, "B-B with RSASSA-PSS")
def _(w):
    return pdf_b(w, cms_options={"pss": True})


@good("pdf-t", PASSED, "B-T, evidence from outside")
def _(w):
    return pdf_t(w)


@good("pdf-lt", PASSED, "B-LT: the document security store, appended after signing, is no change of the document")
def _(w):
    return pdf_lt(w)


def second(w, first, signer=None, **options):
    """A second signature, which covers the first."""
    objects = {
        1: CATALOG.format("/AcroForm<</Fields[10 0 R 20 0 R]/SigFlags 3>>"),
        3: PAGE.format(4, "/Annots[10 0 R 20 0 R]"),
        20: "<</Type/Annot/Subtype/Widget/FT/Sig/T(Signature20)/F 132/Rect[0 0 0 0]/P 3 0 R/V 21 0 R>>",
    }
    return Pades(w, first, signer=signer or w.signer_ec, number=20, objects=objects, **options)


@good("pdf-two-signatures", PASSED, "a second signer, whose signature covers the first one's")
def _(w):
    both = second(w, Pades(w).signed()).signed()
    return pdf(both, evidence=[*external(w), ("ocsp", w.good(w.signer_ec))])


changed = family("PDF changed bytes")


@changed("pdf-content-changed", HASH, "a byte of the page, in the first signed piece")
def _(w):
    return pdf_b(w, change=lambda data, p: data.replace(b"12.50 EUR", b"92.50 EUR"))


@changed("pdf-time-changed", HASH, "the claimed time /M, in the second signed piece")
def _(w):
    return pdf_b(w, change=lambda data, p: data.replace(b"D:20260302100000Z", b"D:20260302090000Z"))


@changed("pdf-signature-spoiled", CRYPTO, "one bit of the signature value in the CMS")
def _(w):
    return pdf_b(w, cms_options={"spoil": True})


@changed("pdf-by-another-key", CRYPTO, "the signature value was made with another key of the same kind")
def _(w):
    return pdf_b(w, cms_options={"signed_by": Key(2048)})


@changed("pdf-message-digest-of-another", HASH, "the signed message digest is another document's")
def _(w):
    return pdf_b(w, cms_options={"message_digest": bytes(32)})


@changed(
    "pdf-content-and-digest-changed", CRYPTO, "the page changed and the message digest made to fit: the signed attributes are others then"
)
def _(w):
    import hashlib

    p = Pades(w)
    old = hashlib.sha256(p.covered()).digest()
    content = p.cms()
    p.prepared = p.prepared.replace(b"12.50 EUR", b"92.50 EUR")
    return pdf(p.fill(content.replace(old, hashlib.sha256(p.covered()).digest())), evidence=external(w))


@changed("pdf-signature-of-another-file", HASH, "the CMS of another file")
def _(w):
    other = Pades(w, revision(plain() | {4: shown("Amount 92.50 EUR")}))
    return pdf(Pades(w).fill(other.cms()), evidence=external(w))


@changed("pdf-contents-empty", FORMAT, "Contents is all zeros")
def _(w):
    return pdf(Pades(w).fill(b""), evidence=external(w))


@changed("pdf-contents-garbage", FORMAT, "Contents is no CMS")
def _(w):
    return pdf(Pades(w).fill(b"\x30\x03\x02\x01\x05"), evidence=external(w))


@changed("pdf-contents-padded", FORMAT, "bytes behind the CMS in Contents that are not the zeros of its place")
def _(w):
    p = Pades(w)
    return pdf(p.fill(p.cms(), pad=b"anything may be hidden here"), evidence=external(w))


ranges = family("PDF byte range")

RANGES = {
    "range-begins-later": (lambda start, end, size: (9, start - 9, end, size - end), "the header is not covered"),
    "range-gap-wider-before": (lambda start, end, size: (0, start - 30, end, size - end), "the gap begins before Contents"),
    "range-gap-wider-after": (lambda start, end, size: (0, start, end + 25, size - end - 25), "the gap goes on behind Contents, over /M"),
    "range-gap-narrower": (lambda start, end, size: (0, start + 1, end - 1, size - end + 1), "the gap is without the angle brackets"),
    "range-ends-early": (lambda start, end, size: (0, start, end, size - end - 60), "the trailer of the signed revision is not covered"),
    "range-beyond-the-file": (lambda start, end, size: (0, start, end, size - end + 100), "it reaches beyond the file"),
    "range-of-nothing": (lambda start, end, size: (0, 0, 0, 0), "it covers nothing"),
    "range-first-piece-only": (lambda start, end, size: (0, start, end, 0), "the second piece is empty"),
    "range-pieces-overlap": (lambda start, end, size: (0, start, 10, size - 10), "the second piece begins inside the first"),
    "range-two-numbers": (lambda start, end, size: (0, start), "two numbers"),
    "range-six-numbers": (lambda start, end, size: (0, start, end, 10, end + 20, size - end - 20), "six numbers, three pieces"),
}  # fmt: skip
for range_name, (byte_range, what) in RANGES.items():

    @ranges(f"pdf-{range_name}", FORMAT | HASH, what)
    def _(w, byte_range=byte_range):
        return pdf_b(w, byte_range=byte_range)


VALUE = "<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached/ByteRange BYTERANGE/Contents CONTENTS/M(D:20260302100000Z)>>"


@ranges("pdf-range-missing", FORMAT, "a signature without ByteRange (universal forgery)")
def _(w):
    return pdf_b(w, value=VALUE.replace("/ByteRange BYTERANGE", ""))


@ranges("pdf-range-null", FORMAT, "ByteRange is null (universal forgery)")
def _(w):
    return pdf_b(w, value=VALUE.replace("BYTERANGE", "null"))


@ranges("pdf-range-negative", FORMAT, "a negative length")
def _(w):
    return pdf_b(w, byte_range=lambda start, end, size: (0, start, end, end - size))


@ranges("pdf-contents-null", FORMAT, "Contents is null (universal forgery)")
def _(w):
    hidden = (
        "<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached/ByteRange BYTERANGE/Contents null/X CONTENTS/M(D:20260302100000Z)>>"
    )
    return pdf_b(w, value=hidden)


@ranges("pdf-contents-elsewhere", FORMAT, "the gap is at another entry; Contents itself is covered")
def _(w):
    p = Pades(w)
    content = p.cms().hex()
    value = VALUE.replace("/Contents CONTENTS", f"/X CONTENTS/Contents<{content}>")
    return pdf_b(w, value=value)


@ranges("pdf-wrapped", FORMAT, "signature wrapping: the second piece moved behind a new cross-reference, with a ByteRange to match")
def _(w):
    p = Pades(w)
    data = p.signed()
    start, end = p.hole
    offset = int(re.findall(rb"startxref\s+(\d+)", data)[-1])
    # What is put between: the page and a signature value of its own, then a cross-reference where the old one stood.
    tail = data[end:]
    moved = offset + 2600 + 4 * len(data[start:end])
    between = bytearray()
    offsets = {}
    value = VALUE.replace("BYTERANGE", f"[0 {start} {moved} {len(tail)}]").replace("CONTENTS", data[start:end].decode())
    forged = {4: shown("Amount 92.50 EUR")}
    for number, body in forged.items():
        offsets[number] = end + len(between)
        between += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    if end + len(between) > offset:
        # No room before the old offset: only the table stands there, the objects behind it.
        between, offsets = bytearray(), {}
    between = between.ljust(offset - end, b" ")
    objects = {11: value} | ({} if offsets else forged)
    table_size = 20 * (len(objects) + len(offsets)) * 2 + 300
    place = offset + table_size
    bodies = bytearray()
    for number, body in objects.items():
        offsets[number] = place + len(bodies)
        bodies += b"%d 0 obj\n%s\nendobj\n" % (number, body if isinstance(body, bytes) else body.encode())
    table = bytearray(b"xref\n")
    before = re.findall(rb"startxref\s+(\d+)", p.before)[-1]
    old = dict(re.findall(rb"(?m)^(\d+) 1\n(\d{10}) 00000 n ", data[offset:]))
    for number in sorted({*map(int, old), *offsets}):
        table += b"%d 1\n%010d 00000 n \n" % (number, offsets.get(number) or int(old[b"%d" % number]))
    table += b"trailer\n<</Size 21/Root 1 0 R/Prev %s>>\n" % before
    if len(table) > table_size:
        raise ValueError("the table does not fit")
    between += table.ljust(table_size, b" ") + bodies
    if end + len(between) > moved:
        raise ValueError("the forged part does not fit")
    return pdf(data[:end] + bytes(between).ljust(moved - end, b" ") + tail, evidence=external(w))


form = family("PDF signature form")


@form("pdf-subfilter-adbe", PROFILE, "SubFilter adbe.pkcs7.detached is no PAdES baseline (EN 319 142-1 6.3)")
def _(w):
    return pdf_b(w, value=VALUE.replace("ETSI.CAdES", "adbe.pkcs7"))


@form("pdf-without-time", PROFILE, "no /M (EN 319 142-1 6.3)")
def _(w):
    return pdf_b(w, value=VALUE.replace("/M(D:20260302100000Z)", ""))


CMS = {
    "two-signers": ({"twice": True}, FORMAT, "two SignerInfos (EN 319 142-1 6.2.1)"),
    "no-certificate-binding": ({"ess": None}, PROFILE | NO_SIGNER, "no signing-certificate-v2 (EN 319 142-1 6.3)"),
    "content-type-missing": ({"leave_out": ("content_type",)}, PROFILE | CRYPTO, "no content-type attribute (RFC 5652 11.1)"),
    "message-digest-missing": ({"leave_out": ("message_digest",)}, PROFILE | HASH | CRYPTO, "no message-digest attribute (RFC 5652 11.2)"),
    "no-certificates": ({"certs": []}, NO_SIGNER, "the signer's certificate is not inside"),
    "sha1": ({"digest": "sha1"}, WEAK | PROFILE, "message digest and signature with SHA-1 (TS 119 312)"),
    "md5": ({"digest": "md5"}, WEAK | PROFILE, "message digest and signature with MD5"),
}
for cms_name, (options, expected, why) in CMS.items():

    @form(f"pdf-cms-{cms_name}", expected, why)
    def _(w, options=options):
        return pdf_b(w, cms_options=options)


@form("pdf-cms-bound-to-another", NO_SIGNER, "signing-certificate-v2 names another certificate")
def _(w):
    return pdf_b(w, cms_options={"ess": w.signer_ec})


@form("pdf-cms-certificate-of-same-key", NO_SIGNER, "the CMS shows another certificate of the same key")
def _(w):
    twin = w.issuing.issue("Somebody else", w.signer.key, start=w.START, end=w.END)
    options = {"named": twin, "ess": w.signer, "certs": [twin, w.issuing]}
    return pdf_b(w, cms_options=options, extra={"evidence": [*external(w), ("ocsp", w.good(twin))]})


@form("pdf-cms-signing-time", PROFILE, "a signing-time attribute, which PAdES baseline forbids beside /M (EN 319 142-1 6.3)")
def _(w):
    when = cms.Time("utc_time", w.SIGNED)
    return pdf_b(w, cms_options={"extra": [attribute("signing_time", when)]})


@form("pdf-cms-content-inside", PROFILE | HASH, "the CMS holds the content: it is not detached (EN 319 142-1 6.2.1)")
def _(w):
    p = Pades(w)
    content = signed_data(w.signer, "data", p.covered()[:200], certs=[w.signer, w.issuing])
    return pdf(p.fill(content), evidence=external(w))


@form("pdf-rsa-1024", WEAK, "a key of 1024 bits (TS 119 312)")
def _(w):
    return pdf_b(w, signer=w.issuing.issue("Signer RSA 1024", Key(1024)))


@form("pdf-self-signed", NO_CHAIN, "the signer vouches for itself")
def _(w):
    signer = certificate("Self-signed signer", Key())
    return pdf_b(w, signer=signer, extra={"evidence": [*external(w), ("ocsp", w.good(signer, responder=signer))]})


@form("pdf-unsigned", FORMAT | CONSTRAINTS, "a PDF without signature")
def _(w):
    return pdf(revision(plain()))


@form("pdf-empty-field", FORMAT | CONSTRAINTS, "a signature field that nobody signed")
def _(w):
    objects = plain() | {
        1: CATALOG.format(FORM_ENTRY), 3: PAGE.format(4, "/Annots[10 0 R]"),
        10: "<</Type/Annot/Subtype/Widget/FT/Sig/T(Signature10)/F 132/Rect[0 0 0 0]/P 3 0 R>>",
    }  # fmt: skip
    return pdf(revision(objects))


@form("pdf-truncated", FORMAT, "the file ends in the middle")
def _(w):
    return pdf_b(w, change=lambda data, p: data[: p.hole[1] + 20])


@form("pdf-cross-reference-broken", FORMAT | HASH, "startxref leads nowhere: nothing is repaired")
def _(w):
    return pdf_b(w, change=lambda data, p: data[: data.rindex(b"startxref")] + b"startxref\n1\n%%EOF\n")


@form("pdf-bytes-before-the-header", FORMAT | HASH, "a line before %PDF shifts every offset")
def _(w):
    return pdf_b(w, change=lambda data, p: b"\n" + data)


after = family("PDF changed after signing")
# EN 319 102-1 leaves later revisions to constraints on the signature (5.2.8); DSS calls a page that differs a format failure.
CHANGED = PROFILE | HASH


def appended(w, objects, **options):
    """A revision behind the signature."""
    return pdf_b(w, change=lambda data, p: revision(objects, data), **options)


def page(content=4, annots="10 0 R"):
    return PAGE.format(content, f"/Annots[{annots}]")


NOTE = "<</Type/Annot/Subtype/FreeText/Rect[20 90 250 120]/Contents(Amount 92.50 EUR)/DA(/F 18 Tf)/F 4/AP<</N 31 0 R>>/P 3 0 R>>"
NOTE_SHOWN = stream(
    "1 1 1 rg 0 0 230 30 re f 0 g BT /F 18 Tf 2 10 Td (Amount 92.50 EUR) Tj ET",
    "/Type/XObject/Subtype/Form/BBox[0 0 230 30]/Resources<</Font<</F 5 0 R>>>>",
)
SCRIPT = "<</S/JavaScript/JS(app.alert\\(1\\))>>"

OVERLAY = "<</Type/Annot/Subtype/Widget/FT/Sig/T(Signature30)/F 4/Rect[20 90 250 120]/AP<</N 31 0 R>>/P 3 0 R>>"

AFTER = {
    "empty-signature-field-added": (
        {
            1: CATALOG.format("/AcroForm<</Fields[10 0 R 30 0 R]/SigFlags 3>>"),
            3: page(annots="10 0 R 30 0 R"), 30: OVERLAY, 31: NOTE_SHOWN,
        },
        "a signature field without signature, laid over the amount",
    ),
    "signature-widget-added": (
        {3: page(annots="10 0 R 30 0 R"), 30: OVERLAY, 31: NOTE_SHOWN}, "the same, on the page only, unknown to the form",
    ),
    "content-replaced": ({4: shown("Amount 92.50 EUR")}, "the page's content is replaced (incremental saving)"),
    "page-points-elsewhere": ({3: page(30), 30: shown("Amount 92.50 EUR")}, "the page shows another stream"),
    "page-added": (
        {2: "<</Type/Pages/Kids[3 0 R 30 0 R]/Count 2>>", 30: PAGE.format(31, ""), 31: shown("and 80.00 EUR more")},
        "a page more",
    ),
    "page-tree-replaced": (
        {
            1: CATALOG.replace("2 0 R", "32 0 R").format(FORM_ENTRY),
            32: "<</Type/Pages/Kids[33 0 R]/Count 1>>",
            33: PAGE.format(31, "").replace("2 0 R", "32 0 R", 1),
            31: shown("Amount 92.50 EUR"),
        },
        "the catalog leads to other pages",
    ),
    "annotation-added": ({3: page(annots="10 0 R 30 0 R"), 30: NOTE, 31: NOTE_SHOWN}, "a note over the amount (evil annotation)"),
    "annotation-removed": ({3: page(annots="")}, "the page's annotations are gone, the signature's among them"),
    "font-replaced": ({5: "<</Type/Font/Subtype/Type1/BaseFont/ZapfDingbats>>"}, "the font is another: the same codes show other signs"),
    "resources-replaced": (
        {3: page().replace("5 0 R", "30 0 R"), 30: "<</Type/Font/Subtype/Type1/BaseFont/Symbol>>"},
        "the page takes another font",
    ),
    "open-action-added": ({1: CATALOG.format(FORM_ENTRY + "/OpenAction " + SCRIPT)}, "a script that runs on opening"),
    "page-action-added": ({3: PAGE.format(4, "/Annots[10 0 R]/AA<</O " + SCRIPT + ">>")}, "a script that runs when the page opens"),
    "layers-added": ({1: CATALOG.format(FORM_ENTRY + "/OCProperties<</OCGs[]/D<<>>>>")}, "optional content, which can hide things"),
    "widget-made-visible": (
        {
            10: "<</Type/Annot/Subtype/Widget/FT/Sig/T(Signature10)/F 132/Rect[20 90 250 120]/P 3 0 R/V 11 0 R/AP<</N 31 0 R>>>>",
            31: NOTE_SHOWN,
        },
        "the signature's own field is laid over the amount",
    ),
    "page-turned": ({3: page().replace("/Parent", "/Rotate 180/Parent")}, "the page is upside down"),
    "page-cropped": ({3: page().replace("/Parent", "/CropBox[0 0 5 5]/Parent")}, "the page is cropped to nothing"),
    "page-box-replaced": ({3: page().replace("[0 0 300 200]", "[0 0 30 20]")}, "the page is smaller"),
}
for after_name, (objects, why) in AFTER.items():

    @after(f"pdf-after-{after_name}", CHANGED, why)
    def _(w, objects=objects):
        return appended(w, dict(objects))


@after("pdf-after-content-without-xref", CHANGED, "an object appended without cross-reference, which some viewers find all the same")
def _(w):
    extra = b"4 0 obj\n" + shown("Amount 92.50 EUR") + b"\nendobj\n"
    return pdf_b(w, change=lambda data, p: data + extra)


@after("pdf-after-junk", CHANGED, "bytes behind the signed revision that are no revision")
def _(w):
    return pdf_b(w, change=lambda data, p: data + b"% anything\n")


@after("pdf-after-security-store-and-content", CHANGED, "a document security store, and with it a new content of the page")
def _(w):
    p = Pades(w, token=lambda value: [w.stamp(value)])
    store = with_dss(p.signed(), w, [w.issuing.der], [w.good(w.signer), w.good(w.tsa)], [w.root_list], catalog=FORM_ENTRY)
    objects = {4: shown("Amount 92.50 EUR"), 60: "<</Type/DSS>>", 1: CATALOG.format(FORM_ENTRY + "/DSS 60 0 R")}
    return pdf(revision(objects, store), evidence=external(w))


@after("pdf-after-lt-content", CHANGED, "the page's content replaced after the document security store")
def _(w):
    return pdf_lt(w, after=lambda data: revision({4: shown("Amount 92.50 EUR")}, data))


def shadowed(w, update):
    """A document prepared with content nobody sees, signed, then changed by `update`."""
    objects = plain() | {7: shown("Amount 92.50 EUR"), 8: PAGE.format(7, "")}
    before = revision(objects)
    return pdf_b(w, before, change=lambda data, p: update(data, before))


@after("pdf-shadow-replace", CHANGED, "shadow attack: a page prepared before signing is put into the tree after it")
def _(w):
    return shadowed(w, lambda data, before: revision({2: "<</Type/Pages/Kids[8 0 R]/Count 1>>"}, data))


@after("pdf-shadow-cross-reference", CHANGED, "shadow attack: no new object, only a cross-reference to the one prepared before signing")
def _(w):
    def update(data, before):
        at = before.index(b"7 0 obj")
        previous = re.findall(rb"startxref\s+(\d+)", data)[-1]
        table = b"xref\n4 1\n%010d 00000 n \ntrailer\n<</Size 12/Root 1 0 R/Prev %s>>\nstartxref\n%d\n%%%%EOF\n"
        return data + table % (before.index(b"4 0 obj", at), previous, len(data))

    # The prepared content bears the number of the shown one; the later object of a revision is the one its table names.
    objects = plain() | {7: "null"}
    text = revision(objects)
    hidden = b"4 0 obj\n" + shown("Amount 92.50 EUR") + b"\nendobj\n"
    at = text.index(b"7 0 obj")
    xref = text.index(b"xref\n", at)
    shifted = text[:xref] + hidden + text[xref:]
    start = int(re.findall(rb"startxref\s+(\d+)", text)[-1])
    shifted = shifted.replace(b"startxref\n%d\n" % start, b"startxref\n%d\n" % (start + len(hidden)))
    return pdf_b(w, shifted, change=lambda data, p: update(data, shifted))


@after("pdf-shadow-hide", CHANGED, "shadow attack: a picture that hid the amount when it was signed is taken away")
def _(w):
    cover = stream("1 1 1 rg 0 0 230 30 re f 0 g BT /F 18 Tf 2 10 Td (Amount 12.50 EUR) Tj ET",
                   "/Type/XObject/Subtype/Form/BBox[0 0 230 30]/Resources<</Font<</F 5 0 R>>>>")  # fmt: skip
    objects = plain() | {
        3: PAGE.format(4, "").replace("<</Font", "<</XObject<</C 7 0 R>>/Font"),
        4: stream("BT /F 18 Tf 20 100 Td (Amount 92.50 EUR) Tj ET q 1 0 0 1 20 92 cm /C Do Q"), 7: cover,
    }  # fmt: skip
    empty = stream("", "/Type/XObject/Subtype/Form/BBox[0 0 230 30]")
    update = objects[3].replace("/Resources", "/Annots[10 0 R]/Resources")
    signing = {
        1: CATALOG.format(FORM_ENTRY), 3: update,
        10: "<</Type/Annot/Subtype/Widget/FT/Sig/T(Signature10)/F 132/Rect[0 0 0 0]/P 3 0 R/V 11 0 R>>",
    }  # fmt: skip
    return pdf_b(w, revision(objects), objects=signing, change=lambda data, p: revision({7: empty}, data))


certified = family("PDF certification and forms")


FIELD = "<</Type/Annot/Subtype/Widget/FT/Tx/T(amount)/V(12.50)/F 4/Rect[20 50 200 70]/P 3 0 R/DA(/F 12 Tf)>>"


def with_form(w, permission=None, field=FIELD, more=None, **options):
    """A text field with the value 12.50, `more` objects, and a first signature that certifies with DocMDP `permission`."""
    objects = plain() | {1: CATALOG.format("/AcroForm<</Fields[9 0 R]>>"), 3: PAGE.format(4, "/Annots[9 0 R]"), 9: field} | (more or {})
    reference = ""
    if permission:
        reference = f"/Reference[<</Type/SigRef/TransformMethod/DocMDP/TransformParams<</Type/TransformParams/P {permission}/V/1.2>>>>]"
    signing = {
        1: CATALOG.format("/AcroForm<</Fields[9 0 R 10 0 R]/SigFlags 3>>" + ("/Perms<</DocMDP 11 0 R>>" if permission else "")),
        3: PAGE.format(4, "/Annots[9 0 R 10 0 R]"),
        10: "<</Type/Annot/Subtype/Widget/FT/Sig/T(Signature10)/F 132/Rect[0 0 0 0]/P 3 0 R/V 11 0 R>>",
    }
    value = VALUE.replace("/M(", reference + "/M(")
    return pdf_b(w, revision(objects), objects=signing, value=value, **options)


FILLED = {9: "<</Type/Annot/Subtype/Widget/FT/Tx/T(amount)/V(92.50)/F 4/Rect[20 50 200 70]/P 3 0 R/DA(/F 12 Tf)>>"}
REMARK = {3: PAGE.format(4, "/Annots[9 0 R 10 0 R 30 0 R]"), 30: NOTE, 31: NOTE_SHOWN}


@good("pdf-certified", PASSED, "certified with P = 2 and left alone")
def _(w):
    return with_form(w, 2)


@good("pdf-certified-2-filled", PASSED, "certified for filling forms (P = 2), then a field filled")
def _(w):
    return with_form(w, 2, change=lambda data, p: revision(FILLED, data))


@good("pdf-certified-2-signed-again", PASSED, "certified for filling forms and signing (P = 2), then signed once more")
def _(w):
    return signed_again(w, 2)


@good("pdf-lt-twice", PASSED, "the document security store written twice")
def _(w):
    p = Pades(w, token=lambda value: [w.stamp(value)])
    values = [w.good(w.signer), w.good(w.tsa)], [w.root_list]
    once = with_dss(p.signed(), w, [w.issuing.der], values[0][:1], catalog=FORM_ENTRY)
    return pdf(with_dss(once, w, [w.issuing.der, w.responder.der], *values, catalog=FORM_ENTRY))


@certified("pdf-certified-1-filled", CHANGED, "certified against every change (P = 1), then a field filled")
def _(w):
    return with_form(w, 1, change=lambda data, p: revision(FILLED, data))


@certified("pdf-certified-1-annotated", CHANGED, "certified against every change (P = 1), then annotated")
def _(w):
    return with_form(w, 1, change=lambda data, p: revision(REMARK, data))


@certified("pdf-certified-2-annotated", CHANGED, "certified for filling forms only (P = 2), then annotated")
def _(w):
    return with_form(w, 2, change=lambda data, p: revision(REMARK, data))


@certified("pdf-certified-2-overlaid", CHANGED, "certified for filling forms (P = 2), then a signature field without signature over the amount")
def _(w):
    overlay = {
        1: CATALOG.format("/AcroForm<</Fields[9 0 R 10 0 R 30 0 R]/SigFlags 3>>/Perms<</DocMDP 11 0 R>>"),
        3: PAGE.format(4, "/Annots[9 0 R 10 0 R 30 0 R]"),
        30: OVERLAY, 31: NOTE_SHOWN,
    }  # fmt: skip
    return with_form(w, 2, change=lambda data, p: revision(overlay, data))


@certified("pdf-certified-2-action-redefined", CHANGED, "certified for filling forms (P = 2), then a field filled and its action redefined")
def _(w):
    def acting(field):
        return field.replace("/T(amount)", "/T(amount)/AA<</K 40 0 R>>")

    redefined = {9: acting(FILLED[9]), 40: SCRIPT.replace("1", "2")}
    return with_form(w, 2, acting(FIELD), {40: SCRIPT}, change=lambda data, p: revision(redefined, data))


@certified("pdf-certified-2-content", CHANGED, "certified for filling forms only (P = 2), then the page's content replaced")
def _(w):
    return with_form(w, 2, change=lambda data, p: revision({4: shown("Amount 92.50 EUR")}, data))


@certified("pdf-certified-1-signed-again", CHANGED, "certified against every change (P = 1), then signed once more")
def _(w):
    return signed_again(w, 1)


def signed_again(w, permission):
    """Certified, then signed by a second signer."""
    first = with_form(w, permission).data
    objects = {
        1: CATALOG.format("/AcroForm<</Fields[9 0 R 10 0 R 20 0 R]/SigFlags 3>>/Perms<</DocMDP 11 0 R>>"),
        3: PAGE.format(4, "/Annots[9 0 R 10 0 R 20 0 R]"),
        20: "<</Type/Annot/Subtype/Widget/FT/Sig/T(Signature20)/F 132/Rect[0 0 0 0]/P 3 0 R/V 21 0 R>>",
    }
    both = Pades(w, first, signer=w.signer_ec, number=20, objects=objects).signed()
    return pdf(both, evidence=[*external(w), ("ocsp", w.good(w.signer_ec))])


several = family("PDF with two signatures")


def two(w, data, *others):
    return pdf(data, evidence=[*external(w), *[("ocsp", w.good(one)) for one in (w.signer_ec, *others)]])


@several("pdf-first-of-two-spoiled", CRYPTO, "the earlier signature's value is wrong, the later one covers it")
def _(w):
    return two(w, second(w, Pades(w, cms_options={"spoil": True}).signed()).signed())


@several("pdf-first-of-two-changed", HASH | PROFILE, "the document changed after the first signature, then signed by a second signer")
def _(w):
    first = Pades(w).signed().replace(b"12.50 EUR", b"92.50 EUR")
    return two(w, second(w, first).signed())


@several("pdf-content-changed-between", CHANGED, "the page's content replaced between the two signatures")
def _(w):
    first = revision({4: shown("Amount 92.50 EUR")}, Pades(w).signed())
    return two(w, second(w, first).signed())


@several("pdf-second-of-two-spoiled", CRYPTO, "the later signature's value is wrong")
def _(w):
    return two(w, second(w, Pades(w).signed(), cms_options={"spoil": True}).signed())


@several("pdf-second-of-two-untrusted", NO_CHAIN, "the later signer vouches for itself")
def _(w):
    signer = certificate("Self-signed signer", Key())
    both = second(w, Pades(w).signed(), signer=signer).signed()
    return pdf(both, evidence=[*external(w), ("ocsp", w.good(signer, responder=signer))])
