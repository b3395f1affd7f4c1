"""Bad certificates and timestamps in documents that are otherwise right."""

from datetime import timedelta

from asn1crypto import x509
from corpus import (
    CHAIN,
    CONSTRAINTS,
    GENERAL,
    NO_CHAIN,
    NO_EVIDENCE,
    NO_SIGNER,
    NOT_YET_VALID,
    ORDER,
    OUT_OF_BOUNDS,
    PASSED,
    PATH,
    PROFILE,
    REVOKED,
    WEAK,
    b,
    family,
    lt,
    pdf_lt,
    pdf_t,
    t,
)  # fmt: skip
from pki import Key, World, at, ca, certificate, extension, name, revocation_list
from xades import Xades

SIGNED, STAMPED, ANSWERED, NOW = World.SIGNED, World.STAMPED, World.ANSWERED, World.NOW
LATER = NOW + timedelta(days=30)
# A timestamp's own FAILED does not make the signature wrong: it breaks the constraint that a timestamp which is there must be good
# (5.2.8), because leaving it out would lower the level in silence. Its INDETERMINATE keeps its reason.

# Evidence that is inside the signature and cannot be used breaks the profile, too.
UNREADABLE = NO_EVIDENCE | CONSTRAINTS

good = family("PKI controls")


@good("revoked-after-timestamp", PASSED, "the timestamp proves that the signature existed before the revocation (5.5.4)")
def _(w):
    revoked = w.good(w.signer, status="revoked", revoked_at=ANSWERED, reason="key_compromise")
    return lt(w, ocsps=[revoked, w.good(w.tsa)])


@good("ocsp-by-name", PASSED, "responder named by its subject, CertID with SHA-256")
def _(w):
    return lt(w, ocsps=[w.good(w.signer, by_name=True, cert_id_digest="sha256"), w.good(w.tsa, by_name=True)])


@good("ocsp-by-the-issuer", PASSED, "the authority itself answers")
def _(w):
    return lt(w, ocsps=[w.good(w.signer, responder=w.issuing), w.good(w.tsa, responder=w.issuing)])


@good("crl-instead-of-ocsp", PASSED, "a list of the issuing authority")
def _(w):
    crl = revocation_list(w.issuing, this=ANSWERED, until=LATER, revoked=[(999, SIGNED, "superseded")])
    return lt(w, certs=[w.issuing], ocsps=[], crls=[crl, w.root_list])


@good("expired-after-timestamp", PASSED, "the signer's certificate has expired since, the timestamp's has not (5.5.4)")
def _(w):
    signer = w.issuing.issue("Signer, soon expired", start=w.START, end=at("2026-04-01 00:00:00"))
    return lt(w, Xades(signer), at=at("2026-06-01 00:00:00"))


@good("rsa-2048-timestamped-before-2029", PASSED, "the algorithm is judged at the time the timestamp proves (TS 119 312 table 2)")
def _(w):
    signer = w.issuing.issue("Signer, long", Key(2048), start=w.START, end=at("2035-01-01 00:00:00"))
    until = at("2031-01-01 00:00:00")
    crl = revocation_list(w.root, this=STAMPED, until=until)
    return lt(w, Xades(signer), at=at("2030-01-02 00:00:00"), ocsps=[w.good(signer, until=until), w.good(w.tsa, until=until)], crls=[crl])


@good("path-length-exhausted", PASSED, "an authority of pathLen 0 with end entities below it")
def _(w):
    return lt(w, Xades(w.issuing.issue("Signer below pathLen 0")))


@good("anchor-is-the-issuing-authority", PASSED, "trust may begin at the issuing authority")
def _(w):
    return lt(w, anchors=[w.issuing], crls=[])


@good("revoked-the-second-after", PASSED, "revoked one second after the timestamp")
def _(w):
    revoked = w.good(w.signer, status="revoked", revoked_at=STAMPED + timedelta(seconds=1))
    return lt(w, ocsps=[revoked, w.good(w.tsa)])


@good("answered-in-the-timestamp-second", PASSED, "thisUpdate in the second of the timestamp is not before it")
def _(w):
    return lt(w, ocsps=[w.good(w.signer, this=STAMPED), w.good(w.tsa, this=STAMPED)])


@good("responder-checked", PASSED, "a responder without ocsp-nocheck, and evidence on it by the authority's list")
def _(w):
    responder = w.issuing.issue("Responder to be checked", usage=("digital_signature",), eku=["ocsp_signing"])
    crl = revocation_list(w.issuing, this=ANSWERED, until=LATER)
    return lt(w, ocsps=[w.good(w.signer, responder=responder), w.good(w.tsa, responder=responder)], crls=[w.root_list, crl])


@good("answers-beside-the-point", PASSED, "answers and a list about others beside the right ones")
def _(w):
    about_other = w.good(w.signer_ec, status="revoked", revoked_at=SIGNED)
    crl = revocation_list(w.other_issuing, this=ANSWERED, until=LATER, revoked=[(w.signer.serial, SIGNED, None)])
    return lt(w, ocsps=[about_other, w.good(w.signer), w.good(w.tsa)], crls=[w.root_list, crl])


@good("uncritical-extension", PASSED, "an extension nobody knows, not critical, in signer and authority")
def _(w):
    unknown = [extension("1.3.6.1.4.1.99999.7", b"\x05\x00")]
    middle = ca("Authority with an extension", w.root, extra=unknown)
    return signed_by(w, middle.issue("Signer with an extension", extra=unknown), between=[middle])


@good("path-length-kept", PASSED, "one authority below one of pathLen 1")
def _(w):
    above = ca("Authority of pathLen 1", w.root, path_len=1)
    below = ca("Below pathLen 1", above)
    crl = revocation_list(above, this=ANSWERED, until=LATER)
    return signed_by(w, below.issue("Its signer"), between=[above, below], crls=[crl])


@good("signature-only-key-usage", PASSED, "key usage digitalSignature without nonRepudiation")
def _(w):
    return lt(w, Xades(w.issuing.issue("Signer for authentication too", usage=("digital_signature",))))


@good("curve-384", PASSED, "ECDSA on P-384")
def _(w):
    return lt(w, Xades(w.issuing.issue("Signer P-384", Key("secp384r1")), digest="sha384"))


@good("rsa-sha512", PASSED, "RSA with SHA-512, the references with SHA-256")
def _(w):
    return lt(w, Xades(w.signer, digest="sha512"))


@good("timestamp-by-another-authority", PASSED, "a timestamp authority below the root, not below the signer's authority; RSA, SHA-512")
def _(w):
    tsa = w.time_authority("Timestamp authority of the root", w.root, key=Key(2048))
    answer = w.good(tsa, issuer=w.root, responder=w.root)
    return lt(w, token=lambda data: w.stamp(data, tsa=tsa, digest="sha512"), ocsps=[w.good(w.signer), answer])


@good("timestamp-without-nonce", PASSED, "a token without nonce and accuracy (RFC 3161 2.4.2: both optional)")
def _(w):
    return lt(w, token=lambda data: w.stamp(data, info_extra={"nonce": None, "accuracy": None}))


@good("pdf-revoked-after-timestamp", PASSED, "the same for a PDF")
def _(w):
    revoked = w.good(w.signer, status="revoked", revoked_at=ANSWERED, reason="cessation_of_operation")
    return pdf_lt(w, ocsps=[revoked, w.good(w.tsa)])


chains = family("Certificate chain")


def signed_by(w, signer, *, between=(), crls=(), **options):
    """A B-LT signature by a signer of another chain. `between`: its authorities below the root."""
    chain = [*between] or [w.issuing]
    ocsps = [w.good(signer, issuer=signer.issuer, responder=signer.issuer), w.good(w.tsa)]
    return lt(w, Xades(signer), certs=[w.issuing, w.responder, *chain], ocsps=ocsps, crls=[w.root_list, *crls], **options)


@chains("expired-without-timestamp", OUT_OF_BOUNDS, "B-B by a certificate that has expired: no proof of an earlier time (5.3.4)")
def _(w):
    return b(w, Xades(w.issuing.issue("Expired signer", start=w.START, end=at("2026-03-02 11:00:00"))))


@chains("not-yet-valid-without-timestamp", OUT_OF_BOUNDS | NOT_YET_VALID, "B-B by a certificate whose validity has not begun")
def _(w):
    return b(w, Xades(w.issuing.issue("Early signer", start=at("2026-03-03 00:00:00"))))


@chains("timestamp-before-validity", NOT_YET_VALID, "the timestamp is older than the certificate (5.5.4)")
def _(w):
    signer = w.issuing.issue("Late signer", start=at("2026-03-02 11:00:00"))
    return lt(w, Xades(signer), ocsps=[w.good(signer, this=at("2026-03-02 11:30:00")), w.good(w.tsa)])


@chains("timestamp-after-validity", OUT_OF_BOUNDS, "the certificate had expired when the timestamp was made")
def _(w):
    signer = w.issuing.issue("Expired signer", start=w.START, end=at("2026-03-02 10:00:04"))
    return lt(w, Xades(signer), ocsps=[w.good(signer, this=SIGNED), w.good(w.tsa)])


@chains("unknown-root", NO_CHAIN, "the chain ends at a root that is not trusted")
def _(w):
    return lt(w, anchors=[w.other_root])


@chains("root-of-the-same-name", NO_CHAIN, "the trusted root has the name of the chain's, and another key")
def _(w):
    return lt(w, anchors=[ca("Root")])


@chains("self-signed-signer", NO_CHAIN, "the signer vouches for itself")
def _(w):
    signer = certificate("Self-signed signer", Key())
    return lt(w, Xades(signer), ocsps=[w.good(signer, responder=signer), w.good(w.tsa)])


@chains("signer-signature-spoiled", NO_CHAIN, "the issuing authority did not sign the signer's certificate like this")
def _(w):
    return lt(w, Xades(w.issuing.issue("Spoiled signer", spoil=True)))


@chains("issued-by-twin-authority", NO_CHAIN, "the certificate is signed by an authority with the right name and another key")
def _(w):
    return lt(w, Xades(w.issuing.issue("Signer of a twin", signed_by=Key())))


@chains("issued-by-end-entity", PATH, "the signer's certificate is issued by another end entity: cA is FALSE (RFC 5280 6.1.4 k)")
def _(w):
    above = ca("Authority without pathLen", w.root)
    middle = above.issue("End entity as authority", ca=False, usage=("digital_signature", "key_cert_sign"))
    crl = revocation_list(above, this=ANSWERED, until=LATER)
    return signed_by(w, middle.issue("Its signer"), between=[above, middle], crls=[crl])


@chains("issued-without-basic-constraints", PATH, "an authority without basicConstraints (RFC 5280 6.1.4 k)")
def _(w):
    middle = ca("No constraints", w.root, ca=None)
    return signed_by(w, middle.issue("Its signer"), between=[middle])


@chains("issued-without-key-cert-sign", PATH, "an authority whose key usage lacks keyCertSign (RFC 5280 6.1.4 n)")
def _(w):
    middle = ca("May not sign certificates", w.root, usage=("crl_sign", "digital_signature"))
    return signed_by(w, middle.issue("Its signer"), between=[middle])


@chains("path-length-exceeded", PATH, "an authority below one of pathLen 0 (RFC 5280 6.1.4 m)")
def _(w):
    below = ca("Below pathLen 0", w.issuing)
    return signed_by(w, below.issue("Its signer"), between=[below], crls=[revocation_list(w.issuing, this=ANSWERED, until=LATER)])


@chains("authority-expired", OUT_OF_BOUNDS | NO_CHAIN | CHAIN | GENERAL, "the issuing authority had expired before the signature")
def _(w):
    old = ca("Expired authority", w.root, end=at("2026-02-01 00:00:00"))
    return signed_by(w, old.issue("Its signer"), between=[old])


@chains("critical-extension-of-signer", PATH, "a critical extension that nobody knows (RFC 5280 4.2)")
def _(w):
    unknown = extension("1.3.6.1.4.1.99999.7", b"\x05\x00", critical=True)
    return lt(w, Xades(w.issuing.issue("Critical signer", extra=[unknown])))


@chains("critical-extension-of-authority", PATH, "the same in the authority")
def _(w):
    middle = ca("Critical authority", w.root, extra=[extension("1.3.6.1.4.1.99999.7", b"\x05\x00", critical=True)])
    return signed_by(w, middle.issue("Its signer"), between=[middle])


@chains("name-constraints-violated", PATH, "the authority may only issue for another name (RFC 5280 4.2.1.10)")
def _(w):
    permitted = x509.GeneralSubtree({"base": x509.GeneralName("directory_name", name("Permitted"))})
    constraints = x509.NameConstraints({"permitted_subtrees": [permitted]})
    middle = ca("Constrained authority", w.root, extra=[extension("name_constraints", constraints, critical=True)])
    return signed_by(w, middle.issue("Not permitted"), between=[middle])


@chains("key-usage-encipherment", CHAIN | CONSTRAINTS, "the signer's key is for encipherment only (RFC 5280 4.2.1.3)")
def _(w):
    return lt(w, Xades(w.issuing.issue("Encipherment only", usage=("key_encipherment",))))


@chains("authority-missing", NO_CHAIN, "the issuing authority's certificate is nowhere")
def _(w):
    return lt(w, certs=[w.responder], token=lambda data: w.stamp(data, certs=[w.tsa]))


weak = family("Algorithms")


@weak("sha1-signature", WEAK | PROFILE, "RSA with SHA-1 (TS 119 312: until 2012)")
def _(w):
    return lt(w, Xades(w.signer, digest="sha1"))


@weak("md5-signature", WEAK | PROFILE, "RSA with MD5")
def _(w):
    return lt(w, Xades(w.signer, digest="md5"))


@weak("ecdsa-sha1-signature", WEAK | PROFILE, "ECDSA with SHA-1")
def _(w):
    return lt(w, Xades(w.signer_ec, digest="sha1"))


@weak("sha1-of-document", WEAK | PROFILE, "the document's digest is SHA-1")
def _(w):
    def choose(_x, document, properties):
        document.digest = "sha1"
        return [document, properties]

    return lt(w, Xades(w.signer, references=choose))


@weak("sha1-of-properties", WEAK | PROFILE, "the signed properties' digest is SHA-1")
def _(w):
    def choose(_x, document, properties):
        properties.digest = "sha1"
        return [document, properties]

    return lt(w, Xades(w.signer, references=choose))


@weak("rsa-1024", WEAK, "a key of 1024 bits (TS 119 312: until 2019)")
def _(w):
    return lt(w, Xades(w.issuing.issue("Signer RSA 1024", Key(1024), start=w.START, end=w.END)))


@weak("authority-rsa-1024", WEAK | NO_CHAIN | CHAIN, "an authority with a key of 1024 bits")
def _(w):
    middle = ca("Authority RSA 1024", w.root, key=Key(1024))
    return signed_by(w, middle.issue("Its signer"), between=[middle])


@weak("certificate-sha1", WEAK | NO_CHAIN | CHAIN, "the signer's certificate is signed with SHA-1")
def _(w):
    middle = ca("RSA authority", w.root, key=Key(2048))
    return signed_by(w, middle.issue("Signer by SHA-1", digest="sha1"), between=[middle])


@weak("certificate-md5", WEAK | NO_CHAIN | CHAIN, "the signer's certificate is signed with MD5")
def _(w):
    middle = ca("RSA authority", w.root, key=Key(2048))
    return signed_by(w, middle.issue("Signer by MD5", digest="md5"), between=[middle])


@weak("curve-192", WEAK | PROFILE | NO_SIGNER, "ECDSA on secp192r1 (TS 119 312: 256 bits)")
def _(w):
    return lt(w, Xades(w.issuing.issue("Signer P-192", Key("secp192r1"))))


@weak("rsa-2048-after-2029", WEAK, "B-B validated in 2030: PKCS#1 v1.5 and 2048 bits end in 2029, and nothing proves an earlier time")
def _(w):
    signer = w.issuing.issue("Signer, long", Key(2048), start=w.START, end=at("2035-01-01 00:00:00"))
    now = at("2030-01-02 00:00:00")
    until = now + timedelta(days=10)
    evidence = [
        ("ocsp", w.good(signer, this=now, until=until)),
        ("crl", revocation_list(w.root, this=now, until=until)),
        ("cert", w.issuing.der),
    ]
    return b(w, Xades(signer), evidence=evidence, at=now)


stamps = family("Timestamp")


@stamps("stamp-over-other-data", CONSTRAINTS, "the token is over another signature (5.4: message imprint)")
def _(w):
    return lt(w, token=lambda _data: w.stamp(b"another signature value"))


@stamps("stamp-of-another-document", CONSTRAINTS, "a token moved over from another document")
def _(w):
    other = Xades(w.signer, id="9").sign().timestamp_input()
    return lt(w, token=lambda _data: w.stamp(other))


@stamps("stamp-imprint-sha1", CONSTRAINTS | WEAK, "the imprint is SHA-1 (TS 119 312)")
def _(w):
    return lt(w, token=lambda data: w.stamp(data, imprint_digest="sha1"))


@stamps("stamp-signature-spoiled", CONSTRAINTS, "one bit of the token's signature")
def _(w):
    return lt(w, token=lambda data: w.stamp(data, spoil=True))


@stamps("stamp-time-changed", CONSTRAINTS, "genTime changed after the authority signed")
def _(w):
    return lt(w, token=lambda data: w.stamp(data, change_content=lambda info: info.replace(b"20260302100005Z", b"20260302090005Z")))


@stamps("stamp-by-untrusted-authority", NO_CHAIN, "the timestamp authority's chain ends at no anchor")
def _(w):
    tsa = w.time_authority("Foreign timestamp authority", w.other_issuing)
    return lt(w, token=lambda data: w.stamp(data, tsa=tsa, certs=[tsa, w.other_issuing]))


@stamps("stamp-by-self-signed-authority", NO_CHAIN, "a timestamp authority that vouches for itself")
def _(w):
    tsa = certificate("Self-made timestamp authority", Key(), usage=("digital_signature",), eku=["time_stamping"], eku_critical=True)
    return lt(w, token=lambda data: w.stamp(data, tsa=tsa))


PURPOSES = {
    "missing": ({"eku": None}, "no extended key usage (RFC 3161 2.3)"),
    "not-critical": ({"eku_critical": False}, "extended key usage not critical (RFC 3161 2.3)"),
    "not-sole": ({"eku": ["time_stamping", "code_signing"]}, "another purpose beside timeStamping (RFC 3161 2.3)"),
    "other": ({"eku": ["ocsp_signing"]}, "the purpose is another one (RFC 3161 2.3)"),
}
for kind, (options, why) in PURPOSES.items():

    @stamps(f"stamp-purpose-{kind}", CHAIN, why)
    def _(w, options=options):
        tsa = w.time_authority("Authority of another purpose", **options)
        return lt(w, token=lambda data: w.stamp(data, tsa=tsa), time_authority=tsa)


@stamps("stamp-by-the-signer", CHAIN | CONSTRAINTS, "the signer stamps itself: its certificate is not for that")
def _(w):
    return lt(w, token=lambda data: w.stamp(data, tsa=w.signer))


@stamps("stamp-authority-expired", OUT_OF_BOUNDS, "the authority's certificate had expired at genTime")
def _(w):
    tsa = w.time_authority("Expired timestamp authority", end=at("2026-03-01 00:00:00"))
    return lt(w, token=lambda data: w.stamp(data, tsa=tsa), time_authority=tsa)


@stamps("stamp-authority-not-yet-valid", OUT_OF_BOUNDS, "the authority's certificate was not valid yet at genTime")
def _(w):
    tsa = w.time_authority("Early timestamp authority", start=at("2026-03-02 11:00:00"))
    return lt(w, token=lambda data: w.stamp(data, tsa=tsa), time_authority=tsa)


@stamps("stamp-authority-revoked", REVOKED, "the authority's certificate was revoked before genTime")
def _(w):
    revoked = w.good(w.tsa, status="revoked", revoked_at=SIGNED, reason="key_compromise")
    return lt(w, ocsps=[w.good(w.signer), revoked])


@stamps("stamp-authority-revoked-since", REVOKED, "revoked for key compromise since: a token of then could be made now")
def _(w):
    revoked = w.good(w.tsa, status="revoked", revoked_at=ANSWERED, reason="key_compromise")
    return lt(w, ocsps=[w.good(w.signer), revoked])


@stamps("stamp-authority-without-evidence", NO_EVIDENCE, "no revocation data for the timestamp authority")
def _(w):
    return lt(w, ocsps=[w.good(w.signer)])


@stamps("stamp-in-the-future", ORDER | CONSTRAINTS | NO_EVIDENCE, "genTime is after the time of validation, and after all evidence")
def _(w):
    return lt(w, token=lambda data: w.stamp(data, NOW + timedelta(days=2)))


@stamps("stamp-without-certificate-binding", CONSTRAINTS | NO_SIGNER, "no ESS signing-certificate attribute (RFC 3161 2.4.2)")
def _(w):
    return lt(w, token=lambda data: w.stamp(data, ess=None))


@stamps("stamp-bound-to-another-certificate", NO_SIGNER, "the ESS attribute names another certificate")
def _(w):
    return lt(w, token=lambda data: w.stamp(data, ess=w.signer_ec))


@stamps("stamp-two-signers", CONSTRAINTS, "two SignerInfos: a token has one (RFC 3161 2.4.2)")
def _(w):
    return lt(w, token=lambda data: w.stamp(data, twice=True))


@stamps("stamp-not-a-token", CONSTRAINTS, "the signed content's type is id-data")
def _(w):
    return lt(w, token=lambda data: w.stamp(data, content_type="data"))


@stamps("stamp-sha1-signature", WEAK, "the token is signed with SHA-1")
def _(w):
    return lt(w, token=lambda data: w.stamp(data, digest="sha1"))


@stamps("stamp-critical-extension", CONSTRAINTS, "a critical extension in TSTInfo that nobody knows (RFC 3161 2.4.2)")
def _(w):
    unknown = extension("1.3.6.1.4.1.99999.8", b"\x05\x00", critical=True)
    return lt(w, token=lambda data: w.stamp(data, info_extra={"extensions": [unknown]}))


@stamps("stamp-garbage", CONSTRAINTS, "the token is no ASN.1")
def _(w):
    return lt(w, token=lambda _data: b"no token at all")


@stamps("stamp-bad-at-level-t", CONSTRAINTS, "B-T with a token over other data")
def _(w):
    return t(w, token=lambda _data: w.stamp(b"another signature value"))


@stamps("pdf-stamp-over-other-data", CONSTRAINTS, "PAdES-B-T with a token over another signature")
def _(w):
    return pdf_t(w, token=lambda _data: w.stamp(b"another signature value"))


@stamps("pdf-stamp-purpose-missing", CHAIN, "PAdES-B-LT, the timestamp authority's certificate has no extended key usage")
def _(w):
    tsa = w.time_authority("Authority of no purpose", eku=None)
    return pdf_lt(w, token=lambda data: w.stamp(data, tsa=tsa), ocsps=[w.good(w.signer), w.good(tsa)])


@stamps("pdf-stamp-by-untrusted-authority", NO_CHAIN, "PAdES-B-LT, untrusted timestamp authority")
def _(w):
    tsa = w.time_authority("Foreign timestamp authority", w.other_issuing)
    return pdf_lt(w, token=lambda data: w.stamp(data, tsa=tsa, certs=[tsa, w.other_issuing]))
