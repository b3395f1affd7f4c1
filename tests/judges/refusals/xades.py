"""XAdES signatures in the one profile Sceau signs and accepts (EN 319 132-1 baseline), and whatever deviates from it as asked.

Canonical forms are libxml2's (lxml), signatures cryptography's.
"""

import base64
import hashlib
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from lxml import etree

DS = "http://www.w3.org/2000/09/xmldsig#"
XADES = "http://uri.etsi.org/01903/v1.3.2#"
ENVELOPED = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
EXC_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
PROPERTIES_TYPE = "http://uri.etsi.org/01903#SignedProperties"
DIGESTS = {
    "md5": "http://www.w3.org/2001/04/xmldsig-more#md5", "sha1": "http://www.w3.org/2000/09/xmldsig#sha1",
    "sha256": "http://www.w3.org/2001/04/xmlenc#sha256", "sha512": "http://www.w3.org/2001/04/xmlenc#sha512",
}  # fmt: skip
MORE = "http://www.w3.org/2001/04/xmldsig-more#"
METHODS = {
    ("rsa", "md5"): MORE + "rsa-md5", ("rsa", "sha1"): DS + "rsa-sha1", ("rsa", "sha256"): MORE + "rsa-sha256",
    ("rsa", "sha512"): MORE + "rsa-sha512", ("ec", "sha256"): MORE + "ecdsa-sha256", ("ec", "sha1"): MORE + "ecdsa-sha1",
    ("ec", "sha384"): MORE + "ecdsa-sha384",
    ("pss", "sha256"): "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1",
}  # fmt: skip
NAMESPACES = f'xmlns:ds="{DS}" xmlns:xades="{XADES}"'

# The document: SIGNATURE stands where the slot is.
SLOT = "/f:form/f:signature"
FORM = (
    '<f:form xmlns:f="urn:example:refusals" version="1">\n  <f:patient>Test data</f:patient>\n'
    '  <f:act code="C1"><f:amount currency="EUR">12.50</f:amount></f:act>\n  <f:note>nothing</f:note>\n'
    "  <f:signature>SIGNATURE</f:signature>\n  <f:end/>\n</f:form>\n"
)


def b64(data):
    return base64.b64encode(data).decode()


def canonical(node, exclusive=True, comments=False, prefixes=None):
    return etree.tostring(node, method="c14n", exclusive=exclusive, with_comments=comments, with_tail=False, inclusive_ns_prefixes=prefixes)


def whole(form, signature="", **options):
    """The canonical form of the whole document."""
    return canonical(etree.fromstring(form.replace("SIGNATURE", signature).encode()).getroottree(), **options)


def alone(text, **options):
    """The canonical form of one child of ds:Signature."""
    return canonical(etree.fromstring(f"<ds:Signature {NAMESPACES}>{text}</ds:Signature>")[0], **options)


def transform(uri, content=""):
    return f'<ds:Transform Algorithm="{uri}">{content}</ds:Transform>'


@dataclass
class Reference:
    """`data`: the bytes the digest is over. `uri` None: no attribute."""

    data: bytes
    uri: str | None = ""
    transforms: str = transform(ENVELOPED) + transform(EXC_C14N)
    digest: str = "sha256"
    attributes: str = ""

    def xml(self):
        uri = "" if self.uri is None else f' URI="{self.uri}"'
        transforms = f"<ds:Transforms>{self.transforms}</ds:Transforms>" if self.transforms else ""
        return f"<ds:Reference{self.attributes}{uri}>{transforms}{digest_of(self.data, self.digest)}</ds:Reference>"


def digest_of(data, digest="sha256"):
    value = b64(hashlib.new(digest, data).digest())
    return f'<ds:DigestMethod Algorithm="{DIGESTS[digest]}"></ds:DigestMethod><ds:DigestValue>{value}</ds:DigestValue>'


@dataclass
class Xades:
    """One signature, step by step; every step's text can be replaced before it is signed."""

    signer: object
    form: str = FORM
    id: str = "1"
    time: str = "2026-03-02T10:00:00Z"
    digest: str = "sha256"
    pss: bool = False
    names: object = None  # the entity SigningCertificateV2 names
    certificate_reference: str | None = None  # instead of SigningCertificateV2
    key_info: str | None = None
    key: object = None  # the key that signs, when not the signer's
    references: object = None  # function(self, document reference, properties reference) -> list
    method: str | None = None
    c14n: str = EXC_C14N
    c14n_content: str = ""
    objects: str = ""  # behind the ds:Object
    properties: object = None  # function(text) -> text
    signed_info_change: object = None  # function(text) -> text, before signing
    id_attribute: str = "Id"
    value: bytes = b""
    parts: dict = field(default_factory=dict)

    def signing_certificate(self):
        entity = self.names or self.signer
        return (
            f"<xades:SigningCertificateV2><xades:Cert><xades:CertDigest>{digest_of(entity.der)}</xades:CertDigest>"
            f"<xades:IssuerSerialV2>{b64(entity.issuer_serial().dump())}</xades:IssuerSerialV2></xades:Cert>"
            "</xades:SigningCertificateV2>"
        )

    def signed_properties(self):
        certificate = self.signing_certificate() if self.certificate_reference is None else self.certificate_reference
        text = (
            f'<xades:SignedProperties Id="props-{self.id}"><xades:SignedSignatureProperties>'
            f"<xades:SigningTime>{self.time}</xades:SigningTime>{certificate}</xades:SignedSignatureProperties>"
            f'<xades:SignedDataObjectProperties><xades:DataObjectFormat ObjectReference="#ref-{self.id}">'
            "<xades:MimeType>text/xml</xades:MimeType></xades:DataObjectFormat></xades:SignedDataObjectProperties>"
            "</xades:SignedProperties>"
        )
        return self.properties(text) if self.properties else text

    def sign(self):
        if self.parts:
            return self
        properties = self.signed_properties()
        document = Reference(whole(self.form), attributes=f' Id="ref-{self.id}"')
        of_properties = Reference(alone(properties), f"#props-{self.id}", transform(EXC_C14N), attributes=f' Type="{PROPERTIES_TYPE}"')
        references = [document, of_properties]
        if self.references:
            references = self.references(self, *references)
        key = self.key or self.signer.key
        kind = "pss" if self.pss else "rsa" if key.rsa else "ec"
        method = self.method or METHODS[kind, self.digest]
        info = (
            f'<ds:SignedInfo><ds:CanonicalizationMethod Algorithm="{self.c14n}">{self.c14n_content}</ds:CanonicalizationMethod>'
            f'<ds:SignatureMethod Algorithm="{method}"></ds:SignatureMethod>{"".join(r.xml() for r in references)}</ds:SignedInfo>'
        )
        if self.signed_info_change:
            info = self.signed_info_change(info)
        if not self.value:
            self.value = key.sign(alone(info, exclusive=self.c14n == EXC_C14N), self.digest, self.pss)
            if not key.rsa:
                size = (key.private.curve.key_size + 7) // 8
                self.value = b"".join(number.to_bytes(size) for number in decode_dss_signature(self.value))
        if self.key_info is None:
            self.key_info = key_info(self.signer)
        self.parts = {"info": info, "properties": properties, "unsigned": ""}
        return self

    def signature_value(self):
        return f"<ds:SignatureValue>{b64(self.value)}</ds:SignatureValue>"

    def timestamp_input(self):
        return alone(self.signature_value())

    def stamp(self, token):
        """Level T: adds a token made over timestamp_input(). Once more: another one."""
        self.parts["unsigned"] += (
            f'<xades:SignatureTimeStamp><ds:CanonicalizationMethod Algorithm="{EXC_C14N}"/>'
            f"<xades:EncapsulatedTimeStamp>{b64(token)}</xades:EncapsulatedTimeStamp></xades:SignatureTimeStamp>"
        )
        return self

    def add_values(self, certificates, ocsps=(), crls=()):
        """Level LT."""
        text = "<xades:CertificateValues>"
        text += wrapped("EncapsulatedX509Certificate", certificates) + "</xades:CertificateValues><xades:RevocationValues>"
        if crls:
            text += f"<xades:CRLValues>{wrapped('EncapsulatedCRLValue', crls)}</xades:CRLValues>"
        if ocsps:
            text += f"<xades:OCSPValues>{wrapped('EncapsulatedOCSPValue', ocsps)}</xades:OCSPValues>"
        self.parts["unsigned"] += text + "</xades:RevocationValues>"
        return self

    def signature(self):
        unsigned = self.parts["unsigned"]
        if unsigned:
            unsigned = f"<xades:UnsignedSignatureProperties>{unsigned}</xades:UnsignedSignatureProperties>"
            unsigned = f"<xades:UnsignedProperties>{unsigned}</xades:UnsignedProperties>"
        return (
            f'<ds:Signature {NAMESPACES} {self.id_attribute}="sig-{self.id}">{self.parts["info"]}{self.signature_value()}{self.key_info}'
            f'<ds:Object><xades:QualifyingProperties Target="#sig-{self.id}">{self.parts["properties"]}{unsigned}'
            f"</xades:QualifyingProperties></ds:Object>{self.objects}</ds:Signature>"
        )

    def document(self):
        return self.form.replace("SIGNATURE", self.signature())


def key_info(*entities):
    certificates = "".join(f"<ds:X509Certificate>{b64(one.der)}</ds:X509Certificate>" for one in entities)
    return f"<ds:KeyInfo><ds:X509Data>{certificates}</ds:X509Data></ds:KeyInfo>"


def wrapped(element, values):
    return "".join(f"<xades:{element}>{b64(value)}</xades:{element}>" for value in values)
