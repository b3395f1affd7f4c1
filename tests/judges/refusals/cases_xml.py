"""Bad XML documents: the signature's place, form and content."""

from corpus import (
    CONSTRAINTS,
    CRYPTO,
    FORMAT,
    HASH,
    NO_SIGNER,
    NOT_FOUND,
    PASSED,
    PROFILE,
    WEAK,
    b,
    family,
    lt,
    lt_text,
    swap,
    swapper,
    t,
    xml,
)  # fmt: skip
from lxml import etree
from pki import Key, spoiled
from xades import (
    DS,
    ENVELOPED,
    EXC_C14N,
    FORM,
    NAMESPACES,
    PROPERTIES_TYPE,
    Reference,
    Xades,
    alone,
    b64,
    canonical,
    digest_of,
    key_info,
    transform,
    whole,
)  # fmt: skip

INCLUSIVE = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"

good = family("XML controls")


@good("xml-b", PASSED, "B-B, RSA, evidence from outside")
def _(w):
    return b(w)


@good("xml-t", PASSED, "B-T, evidence from outside")
def _(w):
    return t(w)


@good("xml-lt", PASSED, "B-LT carries all it needs")
def _(w):
    return lt(w)


@good("xml-lt-ec", PASSED, "the same by a P-256 key")
def _(w):
    return lt(w, Xades(w.signer_ec))


@good("xml-lt-pss", PASSED, "the same with RSASSA-PSS")
def _(w):
    return lt(w, Xades(w.signer, pss=True))


@good("xml-respelled", PASSED, "attribute quotes, a character reference and an empty tag spelled otherwise: the canonical form is the same")
def _(w):
    text = swap(swap(lt_text(w), 'code="C1"', "code = 'C&#x31;'"), "<f:end/>", "<f:end ></f:end>")
    return xml(text)


@good("xml-comment-in-content", PASSED, "exclusive C14N without comments: a comment between elements is not covered and says nothing")
def _(w):
    return lt(w, change=swapper("<f:end/>", "<!-- seen --><f:end/>"))


@good("xml-other-ids-in-content", PASSED, "identifiers in the content that are not the signature's may be there, twice too")
def _(w):
    form = FORM.replace("<f:note>", '<f:note Id="n">').replace("<f:patient>", '<f:patient Id="n">')
    return lt(w, Xades(w.signer, form=form))


@good("xml-line-ends", PASSED, "CRLF at the ends of lines: a parser makes them line feeds before anything is signed (XML 1.0 2.11)")
def _(w):
    return lt(w, change=lambda text: text.replace("\n", "\r\n"))


@good("xml-mark-and-declaration", PASSED, "a byte order mark and an XML declaration in front")
def _(w):
    return lt(w, change=lambda text: '\ufeff<?xml version="1.0" encoding="UTF-8"?>' + text)


@good("xml-blanks-in-slot", PASSED, "blanks beside the signature in its slot, signed so")
def _(w):
    return lt(w, Xades(w.signer, form=FORM.replace("SIGNATURE", "\n    SIGNATURE\n  ")))


@good("xml-broken-base64", PASSED, "base64 broken over lines in the unsigned certificate")
def _(w):
    value = b64(w.signer.der)
    return lt(w, change=swapper(f"<ds:X509Certificate>{value}", "<ds:X509Certificate>\n" + value[:64] + "\n" + value[64:]))


wrapping = family("XML wrapping")

BODY = '<f:body Id="b"><f:amount>12.50</f:amount></f:body>'
EVIL = '<f:body Id="e"><f:amount>9000.00</f:amount></f:body>'
EVIL_SAME_ID = EVIL.replace('"e"', '"b"')


def form(content):
    return f'<f:form xmlns:f="urn:example:refusals">{content}</f:form>'


def by_id(w, arrange):
    """A signature whose first reference is to the element with Id `b`, then `arrange(signature)` around it."""
    signed = form(BODY + "<f:signature>SIGNATURE</f:signature>")
    data = canonical(etree.fromstring(signed)[0])

    def references(x, document, properties):
        return [Reference(data, "#b", transform(EXC_C14N), attributes=document.attributes), properties]

    x = Xades(w.signer, form=signed, references=references)
    text = lt_text(w, x)
    start, end = text.index("<ds:Signature "), text.index("</ds:Signature>") + len("</ds:Signature>")
    return xml(form(arrange(text[start:end])))


def with_object(signature, content):
    return swap(signature, "</ds:Object></ds:Signature>", f"</ds:Object><ds:Object>{content}</ds:Object></ds:Signature>")


def slot(signature):
    return f"<f:signature>{signature}</f:signature>"


XSW = {
    "xsw-1": ("forged body, the signed one in ds:Object", lambda s: EVIL + slot(with_object(s, BODY))),
    "xsw-2": ("forged body, the signed one behind the signature", lambda s: EVIL + slot(s) + f"<f:old>{BODY}</f:old>"),
    "xsw-3": ("forged body before the signed one", lambda s: EVIL + BODY + slot(s)),
    "xsw-4": ("the signed body inside the forged one", lambda s: EVIL.replace("</f:body>", BODY + "</f:body>") + slot(s)),
    "xsw-5": (
        "the signature inside the forged body, the signed one behind",
        lambda s: EVIL.replace("</f:body>", slot(s) + "</f:body>") + BODY,
    ),
    "xsw-6": (
        "the signature inside the forged body, the signed one in its ds:Object",
        lambda s: EVIL.replace("</f:body>", slot(with_object(s, BODY)) + "</f:body>"),
    ),
    "xsw-7": ("forged body with the signed one's Id in an extension", lambda s: f"<f:more>{EVIL_SAME_ID}</f:more>" + BODY + slot(s)),
    "xsw-8": ("forged body with the signed one's Id, which is in ds:Object", lambda s: EVIL_SAME_ID + slot(with_object(s, BODY))),
}
for name, (what, arrange) in XSW.items():
    wrapping(name, PROFILE, f'{what}: only URI="" is over what a reader reads')(lambda w, a=arrange: by_id(w, a))


@wrapping("wrapped-in-forged-root", PROFILE | HASH, 'the whole signed document inside a forged root: URI="" is that root now')
def _(w):
    return xml(form(EVIL + "<f:old>" + lt_text(w) + "</f:old>"))


@wrapping("original-in-object", PROFILE | HASH, "the signed document in ds:Object of its signature, a forged root around")
def _(w):
    text = lt_text(w)
    signature = text[text.index("<ds:Signature ") : text.index("</ds:Signature>") + 15]
    return xml(FORM.replace("12.50", "9000.00").replace("SIGNATURE", with_object(signature, FORM.replace("SIGNATURE", ""))))


@wrapping("object-with-content", PROFILE, "a second ds:Object: the enveloped transform leaves it unsigned")
def _(w):
    return lt(w, Xades(w.signer, objects=f"<ds:Object>{form(EVIL)}</ds:Object>"))


@wrapping("content-in-key-info", PROFILE, "content smuggled into ds:KeyInfo, which is unsigned")
def _(w):
    info = key_info(w.signer).replace("</ds:KeyInfo>", form(EVIL) + "</ds:KeyInfo>")
    return lt(w, Xades(w.signer, key_info=info))


@wrapping("nested-signature", PROFILE | HASH, "a second signature inside ds:Object of the first")
def _(w):
    inner = Xades(w.signer, id="2").sign().signature()
    return lt(w, Xades(w.signer, objects=f"<ds:Object>{inner}</ds:Object>"))


@wrapping("two-signatures", PROFILE | HASH, 'two signatures beside each other: the later one voids URI="" of the earlier')
def _(w):
    first = Xades(w.signer, id="1").sign().signature()
    return b(w, Xades(w.signer, id="2", form=FORM.replace("SIGNATURE", first + "SIGNATURE")))


@wrapping("moved-to-the-end", PROFILE, "the signature at the end of the root, the slot empty: the digest holds, the place is wrong")
def _(w):
    return lt(w, Xades(w.signer, form=FORM.replace("SIGNATURE", "").replace("</f:form>", "SIGNATURE</f:form>")))


@wrapping("moved-after-signing", PROFILE, "the same, moved by somebody else")
def _(w):
    text = lt_text(w)
    signature = text[text.index("<ds:Signature ") : text.index("</ds:Signature>") + 15]
    return xml(text.replace(signature, "").replace("</f:form>", signature + "</f:form>"))


@wrapping("slot-of-another-namespace", PROFILE, "the wrapper has the slot's local name in another namespace")
def _(w):
    text = FORM.replace("<f:signature>SIGNATURE</f:signature>", '<g:signature xmlns:g="urn:example:other">SIGNATURE</g:signature>')
    return lt(w, Xades(w.signer, form=text))


@wrapping("two-slots", PROFILE, "the slot's element twice: which one counts?")
def _(w):
    return lt(w, Xades(w.signer, form=FORM.replace("<f:end/>", "<f:signature></f:signature><f:end/>")))


@wrapping("company-in-slot", PROFILE, "the slot holds something beside the signature")
def _(w):
    return lt(w, Xades(w.signer, form=FORM.replace("SIGNATURE", "SIGNATURE<f:extra/>")))


@wrapping("no-signature", FORMAT | NOT_FOUND | CONSTRAINTS, "a document without signature")
def _(w):
    return xml(FORM.replace("SIGNATURE", ""))


ids = family("XML identifiers")


def forged_properties(x):
    return x.parts["properties"].replace("10:00:00Z", "08:00:00Z")


@ids("properties-moved-to-object", PROFILE, "forged SignedProperties in place, the signed ones with the same Id in a second ds:Object")
def _(w):
    x = Xades(w.signer).sign()
    signed = x.parts["properties"]
    x.parts["properties"] = forged_properties(x)
    x.objects = f"<ds:Object>{signed}</ds:Object>"
    return xml(x.document(), evidence=[("ocsp", w.good(w.signer)), ("crl", w.root_list)])


@ids(
    "properties-of-another-id",
    PROFILE | NOT_FOUND,
    "forged SignedProperties with another Id in place, the signed ones in a second ds:Object",
)
def _(w):
    x = Xades(w.signer).sign()
    signed = x.parts["properties"]
    x.parts["properties"] = forged_properties(x).replace("props-1", "props-2")
    x.objects = f"<ds:Object>{signed}</ds:Object>"
    return xml(x.document(), evidence=[("ocsp", w.good(w.signer)), ("crl", w.root_list)])


@ids("properties-twice", PROFILE, "two SignedProperties in QualifyingProperties")
def _(w):
    x = Xades(w.signer).sign()
    x.parts["properties"] += forged_properties(x).replace("props-1", "props-2")
    return xml(x.document(), evidence=[("ocsp", w.good(w.signer)), ("crl", w.root_list)])


@ids("qualifying-properties-twice", PROFILE, "two QualifyingProperties")
def _(w):
    x = Xades(w.signer).sign()
    x.objects = (
        f'<ds:Object><xades:QualifyingProperties Target="#sig-1">{forged_properties(x).replace("props-1", "props-2")}'
        "</xades:QualifyingProperties></ds:Object>"
    )
    return xml(x.document(), evidence=[("ocsp", w.good(w.signer)), ("crl", w.root_list)])


for attribute in ("Id", "ID", "id", "xml:id"):

    @ids(
        f"id-of-properties-as-{attribute.replace(':', '-')}-in-content",
        PROFILE,
        "the content bears the Id of SignedProperties: #props-1 has two targets",
    )
    def _(w, attribute=attribute):
        return lt(w, Xades(w.signer, form=FORM.replace("<f:note>", f'<f:note {attribute}="props-1">')))


@ids("id-of-signature-in-content", PROFILE, "the content bears the Id of the signature, which QualifyingProperties names")
def _(w):
    return lt(w, Xades(w.signer, form=FORM.replace("<f:note>", '<f:note Id="sig-1">')))


@ids("target-of-another-signature", PROFILE, "QualifyingProperties names another signature")
def _(w):
    return lt(w, change=swapper('Target="#sig-1"', 'Target="#sig-2"'))


@ids("data-format-of-another-reference", PROFILE, "DataObjectFormat describes another reference (EN 319 132-1 5.2.4)")
def _(w):
    return lt(w, Xades(w.signer, properties=swapper("#ref-1", "#ref-2")))


changed = family("XML changed bytes")

CHANGES = {
    "amount-changed": ("12.50", "92.50", HASH, "content"),
    "attribute-changed": ('currency="EUR"', 'currency="USD"', HASH, "an attribute of the content"),
    "space-added": ("<f:end/>", " <f:end/>", HASH, "white space between elements is content"),
    "element-renamed": ("<f:end/>", "<f:fin/>", HASH, "the name of an element"),
    "instruction-added": (
        "<f:end/>",
        "<?x y?><f:end/>",
        HASH | FORMAT,
        "a processing instruction is part of the canonical form, and nothing a form may have",
    ),
    "instruction-behind-root": ("</f:form>\n", "</f:form>\n<?x y?>", HASH | FORMAT, "a processing instruction behind the root"),
    "signing-time-changed": ("T10:00:00Z", "T09:00:00Z", HASH, "the claimed time is signed"),
    "media-type-changed": (">text/xml<", ">text/css<", HASH | PROFILE, "DataObjectFormat is signed"),
}
for name, (old, new, expected, what) in CHANGES.items():
    changed(name, expected, f"{what}: a reference's digest differs (5.2.7)")(lambda w, o=old, n=new: lt(w, change=swapper(o, n)))


@changed("digest-value-changed", HASH, "the digest value in the first reference")
def _(w):
    value = digest_of(whole(FORM))
    return lt(w, change=swapper(value, digest_of(b"another document")))


@changed("signature-value-changed", CRYPTO, "one bit of the signature value (5.2.7)")
def _(w):
    x = Xades(w.signer).sign()
    x.value = spoiled(x.value)
    return b(w, x)


@changed("content-and-digest-changed", CRYPTO, "the digest is made to fit the changed content: SignedInfo is another then")
def _(w):
    text = lt_text(w)
    forged = FORM.replace("12.50", "92.50")
    return xml(swap(swap(text, "12.50", "92.50"), digest_of(whole(FORM)), digest_of(whole(forged))))


@changed("properties-and-digest-changed", CRYPTO, "the same with the signed properties")
def _(w):
    x = Xades(w.signer).sign()
    text = x.document()
    forged = forged_properties(x)
    text = swap(swap(text, "T10:00:00Z", "T08:00:00Z"), digest_of(alone(x.parts["properties"])), digest_of(alone(forged)))
    return xml(text, evidence=[("ocsp", w.good(w.signer)), ("crl", w.root_list)])


@changed("method-changed", CRYPTO, "SignatureMethod says SHA-512 for a value over SHA-256")
def _(w):
    return lt(w, change=swapper("xmldsig-more#rsa-sha256", "xmldsig-more#rsa-sha512"))


@changed("value-by-another-key", CRYPTO, "the signature value was made with another key of the same kind")
def _(w):
    return b(w, Xades(w.signer, key=Key(2048)))


@changed("not-well-formed", FORMAT | CONSTRAINTS, "an end tag is missing")
def _(w):
    return lt(w, change=swapper("</f:form>", ""))


@changed("doctype", FORMAT, "a DOCTYPE with an entity: no tree is built of it")
def _(w):
    return lt(w, change=lambda text: '<!DOCTYPE f:form [<!ENTITY x "y">]>' + text)


@changed("comment-in-digest", PROFILE, "a comment splits the digest value, which programs may put together differently")
def _(w):
    return lt(w, change=lambda text: text.replace("<ds:DigestValue>", "<ds:DigestValue><!-- x -->", 1))


@changed("comment-in-certificate", PROFILE | NO_SIGNER, "a comment inside ds:X509Certificate")
def _(w):
    return lt(w, change=lambda text: text.replace("<ds:X509Certificate>MII", "<ds:X509Certificate>M<!-- -->II", 1))


@changed("comment-in-signing-time", PROFILE, "a comment inside SigningTime: not covered, and a reader may stop at it")
def _(w):
    return lt(w, change=swapper("2026-03-02T10:00:00Z", "2026-03-02T10:00:00Z<!-- -->"))


references = family("XML references")


def with_references(w, choose, **options):
    return b(w, Xades(w.signer, references=choose, **options))


@references("document-reference-missing", PROFILE | NOT_FOUND, "only the properties are signed")
def _(w):
    return with_references(w, lambda x, d, p: [p])


@references("properties-reference-missing", PROFILE, "the signed properties are not signed (EN 319 132-1 4.4.1)")
def _(w):
    return with_references(w, lambda x, d, p: [d])


@references("third-reference-to-document", PROFILE, "a reference too many")
def _(w):
    return with_references(w, lambda x, d, p: [d, p, Reference(d.data)])


@references("third-reference-to-object", PROFILE, "a reference to a ds:Object: content inside the signature")
def _(w):
    content = '<ds:Object Id="o">more</ds:Object>'
    return with_references(w, lambda x, d, p: [d, p, Reference(alone(content), "#o", transform(EXC_C14N))], objects=content)


@references("manifest", PROFILE, "a reference to a ds:Manifest, whose own references nobody must check")
def _(w):
    content = f'<ds:Object><ds:Manifest Id="m">{Reference(b"elsewhere", "http://example.invalid/a", "").xml()}</ds:Manifest></ds:Object>'
    manifest = alone(content[len("<ds:Object>") : -len("</ds:Object>")])
    reference = Reference(manifest, "#m", transform(EXC_C14N), attributes=f' Type="{DS}Manifest"')
    return with_references(w, lambda x, d, p: [d, p, reference], objects=content)


@references("references-swapped", PROFILE, "the properties first: not the profile's order")
def _(w):
    return with_references(w, lambda x, d, p: [p, d])


for name, uri, expected, what in (
    ("external-http", "http://127.0.0.1:9/form.xml", PROFILE | NOT_FOUND, "a reference to a web address is never fetched"),
    ("external-file", "file:///etc/hostname", PROFILE | NOT_FOUND, "a reference to a local file is never read"),
    ("xpointer-root", "#xpointer(/)", PROFILE, "the whole document by XPointer, comments included"),
    ("uri-absent", None, PROFILE | NOT_FOUND, "a reference without URI: what it is over is a matter of agreement"),
    ("dangling-id", "#nowhere", PROFILE | NOT_FOUND | HASH, "a reference to an Id that does not exist"),
):

    @references(name, expected, what)
    def _(w, uri=uri):
        return with_references(w, lambda x, d, p: [Reference(d.data, uri, attributes=d.attributes), p])


@references("properties-type-missing", PROFILE, "the second reference does not say it is to the signed properties (EN 319 132-1 4.4.2)")
def _(w):
    return with_references(w, lambda x, d, p: [d, Reference(p.data, p.uri, p.transforms)])


@references("document-typed-as-properties", PROFILE, "the first reference claims to be the one to the signed properties")
def _(w):
    return with_references(w, lambda x, d, p: [Reference(d.data, attributes=d.attributes + f' Type="{PROPERTIES_TYPE}"'), p])


transforms = family("XML transforms")

XPATH = "http://www.w3.org/TR/1999/REC-xpath-19991116"


def with_transforms(w, text, data, **options):
    return with_references(w, lambda x, d, p: [Reference(data, transforms=text, attributes=d.attributes), p], **options)


@transforms("xpath-hides-amount", PROFILE, "an XPath transform takes the amount out of what is signed")
def _(w):
    root = etree.fromstring(FORM.replace("SIGNATURE", ""))
    for amount in root.iter("{*}amount"):
        amount.getparent().remove(amount)
    filters = transform(XPATH, '<ds:XPath xmlns:f="urn:example:refusals">not(ancestor-or-self::f:amount)</ds:XPath>')
    return with_transforms(w, transform(ENVELOPED) + filters + transform(EXC_C14N), canonical(root.getroottree()))


@transforms("xpath-instead-of-enveloped", PROFILE, "the signature is left out by XPath, and with it whatever else is called Signature")
def _(w):
    filters = transform(XPATH, "<ds:XPath>not(ancestor-or-self::ds:Signature)</ds:XPath>")
    return with_transforms(w, filters + transform(EXC_C14N), whole(FORM))


@transforms("xslt", PROFILE, "an XSLT transform may make anything of the document")
def _(w):
    sheet = (
        '<xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0"><xsl:template match="/"><ok></ok></xsl:template>'
        "</xsl:stylesheet>"
    )
    text = transform(ENVELOPED) + transform("http://www.w3.org/TR/1999/REC-xslt-19991116", sheet) + transform(EXC_C14N)
    return with_transforms(w, text, b"<ok></ok>")


@transforms("inclusive-c14n", PROFILE, "inclusive C14N of the document")
def _(w):
    return with_transforms(w, transform(ENVELOPED) + transform(INCLUSIVE), whole(FORM, exclusive=False))


@transforms("exclusive-c14n-with-comments", PROFILE, "exclusive C14N with comments")
def _(w):
    return with_transforms(w, transform(ENVELOPED) + transform(EXC_C14N + "WithComments"), whole(FORM, comments=True))


@transforms("c14n-left-out", PROFILE, "no C14N named: inclusive is meant then (XML-DSig 4.4.3.2)")
def _(w):
    return with_transforms(w, transform(ENVELOPED), whole(FORM, exclusive=False))


@transforms("enveloped-left-out", PROFILE | HASH, "without the enveloped transform the signature would be over itself")
def _(w):
    return with_transforms(w, transform(EXC_C14N), whole(FORM))


@transforms("enveloped-twice", PROFILE, "the enveloped transform twice")
def _(w):
    return with_transforms(w, transform(ENVELOPED) * 2 + transform(EXC_C14N), whole(FORM))


@transforms("prefix-list", PROFILE, "InclusiveNamespaces: another canonical form than the profile's")
def _(w):
    prefixes = f'<ec:InclusiveNamespaces xmlns:ec="{EXC_C14N}" PrefixList="f"></ec:InclusiveNamespaces>'
    return with_transforms(w, transform(ENVELOPED) + transform(EXC_C14N, prefixes), whole(FORM, prefixes=["f"]))


@transforms("base64", PROFILE | HASH, "a base64 transform: the text of the document, decoded")
def _(w):
    text = transform(ENVELOPED) + transform(DS + "base64")
    return with_transforms(w, text, b"")


@transforms("signed-info-inclusive", PROFILE, "SignedInfo in inclusive C14N: namespaces of the surroundings count")
def _(w):
    x = Xades(w.signer, c14n=INCLUSIVE)
    x.sign()
    start = FORM.replace("SIGNATURE", x.signature())
    node = next(etree.fromstring(start.encode()).iter(f"{{{DS}}}SignedInfo"))
    x.value = w.signer.key.sign(canonical(node, exclusive=False))
    return b(w, x)


@transforms("properties-by-xpath", PROFILE, "the signed properties without the signing time")
def _(w):
    def choose(x, d, p):
        node = etree.fromstring(p.data)
        for time in list(node.iter("{*}SigningTime")):
            time.getparent().remove(time)
        filters = transform(XPATH, "<ds:XPath>not(ancestor-or-self::xades:SigningTime)</ds:XPath>")
        return [d, Reference(canonical(node), p.uri, filters + transform(EXC_C14N), attributes=p.attributes)]

    return with_references(w, choose)


binding = family("XML certificate binding")


def twin(w):
    """Another certificate of the same key."""
    return w.issuing.issue("Somebody else", w.signer.key, start=w.START, end=w.END)


@binding(
    "certificate-of-same-key",
    NO_SIGNER,
    "ds:KeyInfo shows another certificate of the same key: SigningCertificateV2 names it not (5.2.3.4)",
)
def _(w):
    other = twin(w)
    return lt(w, Xades(w.signer, key_info=key_info(other)), ocsps=[w.good(w.signer), w.good(other), w.good(w.tsa)])


@binding("certificate-of-other-key", NO_SIGNER | CRYPTO, "ds:KeyInfo shows a certificate of another key")
def _(w):
    return lt(w, Xades(w.signer, key_info=key_info(w.signer_ec)))


@binding("signing-certificate-of-other", NO_SIGNER, "the signer signed that another certificate is the signing one")
def _(w):
    return lt(w, Xades(w.signer, names=w.signer_ec), ocsps=[w.good(w.signer), w.good(w.signer_ec), w.good(w.tsa)])


@binding("signing-certificate-of-twin", NO_SIGNER, "SigningCertificateV2 names the twin, ds:KeyInfo shows the signer")
def _(w):
    other = twin(w)
    return lt(w, Xades(w.signer, names=other), ocsps=[w.good(w.signer), w.good(other), w.good(w.tsa)])


@binding("issuer-serial-of-other", NO_SIGNER, "the digest is right, IssuerSerialV2 names another certificate")
def _(w):
    change = swapper(b64(w.signer.issuer_serial().dump()), b64(w.signer_ec.issuer_serial().dump()))
    return lt(w, Xades(w.signer, properties=change))


@binding("no-signing-certificate", PROFILE | NO_SIGNER, "SigningCertificateV2 is missing (EN 319 132-1 6.3 k)")
def _(w):
    return b(w, Xades(w.signer, certificate_reference=""))


@binding("signing-certificate-sha1", PROFILE | WEAK | NO_SIGNER, "SigningCertificateV2 with SHA-1: a second certificate for it can be made")
def _(w):
    return b(w, Xades(w.signer, properties=lambda text: text.replace(digest_of(w.signer.der), digest_of(w.signer.der, "sha1"))))


@binding("no-key-info", PROFILE | NO_SIGNER, "no ds:KeyInfo")
def _(w):
    return b(w, Xades(w.signer, key_info=""))


@binding("key-value-only", PROFILE | NO_SIGNER, "ds:KeyInfo holds the bare key: anybody's")
def _(w):
    numbers = w.signer.key.private.public_key().public_numbers()
    value = (
        f"<ds:KeyInfo><ds:KeyValue><ds:RSAKeyValue><ds:Modulus>{b64(numbers.n.to_bytes(256))}</ds:Modulus>"
        "<ds:Exponent>AQAB</ds:Exponent></ds:RSAKeyValue></ds:KeyValue></ds:KeyInfo>"
    )
    return b(w, Xades(w.signer, key_info=value))


@binding("two-certificates", PROFILE, "ds:KeyInfo with two certificates: which one is meant?")
def _(w):
    return b(w, Xades(w.signer, key_info=key_info(w.signer_ec, w.signer)))


@binding("no-signing-time", PROFILE, "SigningTime is missing (EN 319 132-1 6.3 d)")
def _(w):
    return b(w, Xades(w.signer, properties=swapper("<xades:SigningTime>2026-03-02T10:00:00Z</xades:SigningTime>", "")))


@binding("signing-time-without-zone", PROFILE, "a signing time without offset is no moment")
def _(w):
    return b(w, Xades(w.signer, time="2026-03-02T10:00:00"))


@binding("hmac", PROFILE | CRYPTO | WEAK, "HMAC keyed with the certificate, which everybody has")
def _(w):
    import hashlib
    import hmac

    x = Xades(w.signer, method="http://www.w3.org/2001/04/xmldsig-more#hmac-sha256").sign()
    x.value = hmac.new(w.signer.der, alone(x.parts["info"]), hashlib.sha256).digest()
    return b(w, x)


levels = family("XML levels")


@levels("values-without-timestamp", PROFILE, "validation data without a timestamp: no level has that (EN 319 132-1 6.3)")
def _(w):
    x = Xades(w.signer).sign()
    x.add_values([w.issuing.der, w.responder.der], [w.good(w.signer)], [w.root_list])
    return xml(x.document())


@levels("empty-revocation-values", PROFILE, "RevocationValues without a value")
def _(w):
    x = Xades(w.signer).sign()
    x.stamp(w.stamp(x.timestamp_input()))
    x.add_values([w.issuing.der])
    return b(w, x)


@levels("unknown-unsigned-property", PROFILE, "an unsigned property nobody here knows")
def _(w):
    x = Xades(w.signer).sign()
    x.stamp(w.stamp(x.timestamp_input()))
    x.parts["unsigned"] += '<p:x xmlns:p="urn:example:other"/>'
    return b(w, x)


@levels("two-timestamps", PROFILE, "two good timestamps: the profile has one")
def _(w):
    x = Xades(w.signer).sign()
    x.stamp(w.stamp(x.timestamp_input())).stamp(w.stamp(x.timestamp_input()))
    return b(w, x)


@levels("garbage-certificate-value", PROFILE | NO_SIGNER, "a value in CertificateValues is no certificate")
def _(w):
    x = Xades(w.signer).sign()
    x.stamp(w.stamp(x.timestamp_input()))
    x.add_values([w.issuing.der, b"no certificate"], [w.good(w.signer), w.good(w.tsa)], [w.root_list])
    return xml(x.document())


@levels("no-namespaces", FORMAT, "the signature in no namespace is none")
def _(w):
    text = lt_text(w).replace(NAMESPACES, "").replace("ds:", "").replace("xades:", "")
    return xml(text)
