"""Timestamps that a signer expired since needs, and revocation data, in documents that are otherwise right."""

from datetime import timedelta

from asn1crypto import crl as asn1_crl
from cases_pki import ANSWERED, LATER, NOW, SIGNED, STAMPED, UNREADABLE
from corpus import (
    CHAIN,
    CONSTRAINTS,
    NO_EVIDENCE,
    ORDER,
    OUT_OF_BOUNDS,
    REVOKED,
    REVOKED_CA,
    TRY_LATER,
    WEAK,
    b,
    family,
    lt,
    pdf_lt,
)  # fmt: skip
from pki import Key, at, ca, certificate, extension, revocation_list
from xades import Xades

needed = family("Timestamp, and the signer expired since")


def expired_since(w, **options):
    """Only a good timestamp could save this signature, for DSS too."""
    signer = w.issuing.issue("Signer, soon expired", start=w.START, end=at("2026-04-01 00:00:00"))
    return lt(w, Xades(signer), at=at("2026-06-01 00:00:00"), **options)


@needed("expired-stamp-over-other-data", OUT_OF_BOUNDS | CONSTRAINTS, "the token is over another signature")
def _(w):
    return expired_since(w, token=lambda _data: w.stamp(b"another signature value"))


@needed("expired-stamp-purpose-missing", OUT_OF_BOUNDS | CHAIN, "the authority's certificate has no extended key usage")
def _(w):
    tsa = w.time_authority("Authority of no purpose", eku=None)
    return expired_since(w, token=lambda data: w.stamp(data, tsa=tsa), time_authority=tsa)


@needed("expired-stamp-by-untrusted-authority", OUT_OF_BOUNDS, "the timestamp authority's chain ends at no anchor")
def _(w):
    tsa = w.time_authority("Foreign timestamp authority", w.other_issuing)
    return expired_since(w, token=lambda data: w.stamp(data, tsa=tsa, certs=[tsa, w.other_issuing]))


@needed("expired-stamp-authority-revoked", OUT_OF_BOUNDS, "the authority's certificate was revoked before genTime")
def _(w):
    signer = w.issuing.issue("Signer, soon expired", start=w.START, end=at("2026-04-01 00:00:00"))
    revoked = w.good(w.tsa, status="revoked", revoked_at=SIGNED, reason="key_compromise")
    return lt(w, Xades(signer), at=at("2026-06-01 00:00:00"), ocsps=[w.good(signer), revoked])


times = family("Times")


@times("claimed-after-timestamp", ORDER | CONSTRAINTS, "the signer claims a time a day after the timestamp (5.5.4)")
def _(w):
    return lt(w, Xades(w.signer, time="2026-03-03T10:00:00Z"))


@times("claimed-in-the-future", CONSTRAINTS | ORDER, "B-B, and the signer claims a time that has not come")
def _(w):
    return b(w, Xades(w.signer, time="2027-03-02T10:00:00Z"))


revocation = family("Revocation")


def signer_answer(w, *answers, certs=None, crls=(), **options):
    return lt(w, certs=certs, ocsps=[*answers, w.good(w.tsa)], crls=[w.root_list, *crls], **options)


@revocation("revoked-before-timestamp", REVOKED, "revoked an hour before: nothing proves the signature to be older (5.5.4)")
def _(w):
    return signer_answer(w, w.good(w.signer, status="revoked", revoked_at=at("2026-03-02 09:00:00"), reason="superseded"))


@revocation("revoked-in-the-timestamp-second", REVOKED, "revoked in the very second of the timestamp: not after it")
def _(w):
    return signer_answer(w, w.good(w.signer, status="revoked", revoked_at=STAMPED))


@revocation("revoked-without-reason", REVOKED, "no reason given: revoked all the same")
def _(w):
    return signer_answer(w, w.good(w.signer, status="revoked", revoked_at=SIGNED))


@revocation("revoked-without-timestamp", REVOKED, "B-B and a certificate revoked later: no timestamp to prove an earlier time (5.3.4)")
def _(w):
    revoked = w.good(w.signer, status="revoked", revoked_at=at("2026-03-02 11:00:00"), this=at("2026-03-02 11:30:00"))
    return b(w, evidence=[("ocsp", revoked), ("crl", w.root_list), ("cert", w.issuing.der)])


@revocation("on-hold", TRY_LATER | REVOKED, "certificateHold before the timestamp (5.2.6.4: try later)")
def _(w):
    return signer_answer(w, w.good(w.signer, status="revoked", revoked_at=SIGNED, reason="certificate_hold"))


@revocation("revoked-by-list", REVOKED, "the revocation list says it")
def _(w):
    crl = revocation_list(w.issuing, this=ANSWERED, until=LATER, revoked=[(w.signer.serial, SIGNED, "key_compromise")])
    return lt(w, ocsps=[w.good(w.tsa)], crls=[crl, w.root_list])


@revocation("list-says-revoked-answer-good", REVOKED, "an older good answer beside a newer list with the certificate in it")
def _(w):
    crl = revocation_list(w.issuing, this=at("2026-03-02 11:00:00"), until=LATER, revoked=[(w.signer.serial, SIGNED, "key_compromise")])
    return signer_answer(w, w.good(w.signer), crls=[crl])


@revocation("good-then-revoked", REVOKED, "two answers of the responder: good, then revoked since before the timestamp")
def _(w):
    revoked = w.good(w.signer, status="revoked", revoked_at=SIGNED, this=at("2026-03-02 11:00:00"))
    return signer_answer(w, w.good(w.signer), revoked)


@revocation("authority-revoked", REVOKED_CA, "the issuing authority is revoked")
def _(w):
    crl = revocation_list(
        w.root, this=at("2026-02-01 00:00:00"), until=LATER, revoked=[(w.issuing.serial, at("2026-01-01 00:00:00"), "ca_compromise")]
    )
    return lt(w, crls=[crl])


@revocation("status-unknown", NO_EVIDENCE, "the responder does not know the certificate")
def _(w):
    return signer_answer(w, w.good(w.signer, status="unknown"))


@revocation("answer-about-another", NO_EVIDENCE, "the answer is about another serial number")
def _(w):
    return signer_answer(w, w.good(w.signer, serial=w.signer.serial + 1))


@revocation("answer-about-another-issuer", NO_EVIDENCE, "the serial number of another authority's certificate")
def _(w):
    return signer_answer(w, w.good(w.signer, issuer=w.other_issuing))


@revocation("responder-self-signed", NO_EVIDENCE, "the responder vouches for itself (RFC 6960 4.2.2.2)")
def _(w):
    forger = certificate("OCSP responder", Key(), usage=("digital_signature",), eku=["ocsp_signing"], no_check=True)
    return signer_answer(w, w.good(w.signer, responder=forger))


@revocation("responder-without-purpose", NO_EVIDENCE, "the authority issued the certificate, but not for OCSP (RFC 6960 4.2.2.2)")
def _(w):
    forger = w.issuing.issue("Not a responder", usage=("digital_signature",), no_check=True)
    return signer_answer(w, w.good(w.signer, responder=forger))


@revocation("responder-is-the-signer", NO_EVIDENCE, "the signer answers for itself")
def _(w):
    return signer_answer(w, w.good(w.signer, responder=w.signer))


@revocation("responder-of-the-root", NO_EVIDENCE, "a responder certified by another authority of the same root (RFC 6960 4.2.2.2)")
def _(w):
    responder = w.root.issue("Responder of the root", usage=("digital_signature",), eku=["ocsp_signing"], no_check=True)
    return signer_answer(w, w.good(w.signer, responder=responder))


@revocation("responder-of-another-root", NO_EVIDENCE, "a responder certified by a foreign authority")
def _(w):
    responder = w.other_issuing.issue("Foreign responder", usage=("digital_signature",), eku=["ocsp_signing"], no_check=True)
    return signer_answer(w, w.good(w.signer, responder=responder))


@revocation("responder-expired", NO_EVIDENCE, "the responder's certificate had expired when it answered")
def _(w):
    options = {"usage": ("digital_signature",), "eku": ["ocsp_signing"], "no_check": True}
    responder = w.issuing.issue("Expired responder", end=at("2026-03-01 00:00:00"), **options)
    return signer_answer(w, w.good(w.signer, responder=responder))


@revocation("responder-unchecked", NO_EVIDENCE, "no ocsp-nocheck, and no evidence on the responder (RFC 6960 4.2.2.2.1)")
def _(w):
    responder = w.issuing.issue("Responder to be checked", usage=("digital_signature",), eku=["ocsp_signing"])
    return signer_answer(w, w.good(w.signer, responder=responder))


@revocation("responder-revoked", NO_EVIDENCE | REVOKED, "no ocsp-nocheck, and the responder is revoked")
def _(w):
    responder = w.issuing.issue("Revoked responder", usage=("digital_signature",), eku=["ocsp_signing"])
    return lt(w, ocsps=[w.good(w.signer, responder=responder), w.good(w.tsa), w.good(responder, status="revoked", revoked_at=SIGNED)])


@revocation("answer-spoiled", NO_EVIDENCE, "one bit of the answer's signature")
def _(w):
    return signer_answer(w, w.good(w.signer, spoil=True))


@revocation("answer-changed", NO_EVIDENCE, "thisUpdate changed after the responder signed")
def _(w):
    return signer_answer(
        w, w.good(w.signer, this=at("2026-02-01 10:00:10"), change=lambda data: data.replace(b"20260201100010Z", b"20260302100010Z"))
    )


@revocation("answer-sha1", NO_EVIDENCE | WEAK, "the answer is signed with SHA-1 (TS 119 312)")
def _(w):
    return signer_answer(w, w.good(w.signer, digest="sha1"))


@revocation("answer-critical-extension", UNREADABLE, "a critical extension in the answer that nobody knows")
def _(w):
    unknown = {"extn_id": "1.3.6.1.4.1.99999.9", "critical": True, "extn_value": b"\x05\x00"}
    return signer_answer(w, w.good(w.signer, extensions=[unknown]))


@revocation(
    "answer-older-than-timestamp", NO_EVIDENCE, "thisUpdate before the timestamp: it cannot know (5.2.5, TS 119 172-4: freshness 0)"
)
def _(w):
    return signer_answer(w, w.good(w.signer, this=at("2026-03-02 08:00:00"), until=LATER))


@revocation("answer-lapsed-without-timestamp", NO_EVIDENCE, "B-B, and the answer's nextUpdate has passed (5.2.5)")
def _(w):
    stale = w.good(w.signer, this=at("2026-02-20 00:00:00"), until=at("2026-02-21 00:00:00"))
    return b(w, evidence=[("ocsp", stale), ("crl", w.root_list), ("cert", w.issuing.der)])


@revocation("answer-from-the-future", NO_EVIDENCE, "thisUpdate after the time of validation")
def _(w):
    return signer_answer(w, w.good(w.signer, this=NOW + timedelta(days=3), until=NOW + timedelta(days=9)))


@revocation("no-evidence", NO_EVIDENCE, "B-B, and no revocation data at all")
def _(w):
    return b(w, evidence=[("cert", w.issuing.der)])


@revocation("no-evidence-on-signer", NO_EVIDENCE, "B-LT with data on everybody but the signer")
def _(w):
    return signer_answer(w)


@revocation("no-evidence-on-authority", NO_EVIDENCE, "B-LT without data on the issuing authority")
def _(w):
    return lt(w, crls=[])


def list_only(w, crl):
    return lt(w, ocsps=[w.good(w.tsa)], crls=[crl, w.root_list])


LISTS = {
    "list-of-another-issuer": ("the list is another authority's", lambda w: revocation_list(w.other_issuing, this=ANSWERED, until=LATER)),
    "list-by-another-key": (
        "the list has the authority's name and was signed with another key",
        lambda w: revocation_list(w.issuing, this=ANSWERED, until=LATER, signed_by=Key()),
    ),
    "list-spoiled": ("one bit of the list's signature", lambda w: revocation_list(w.issuing, this=ANSWERED, until=LATER, spoil=True)),
}
for list_name, (why, make) in LISTS.items():
    revocation(list_name, NO_EVIDENCE, why)(lambda w, make=make: list_only(w, make(w)))


def with_point(**fields):
    return [extension("issuing_distribution_point", asn1_crl.IssuingDistributionPoint(fields), critical=True)]


KINDS = {
    "list-indirect": ("an indirect list: entries may be another issuer's (RFC 5280 5.2.5)", lambda: with_point(indirect_crl=True)),
    "list-delta": (
        "a delta list says nothing about what is not in it (RFC 5280 5.2.4)",
        lambda: [extension("delta_crl_indicator", 1, critical=True)],
    ),
    "list-some-reasons": ("a list for some reasons only (RFC 5280 5.2.5)", lambda: with_point(only_some_reasons={"key_compromise"})),
    "list-of-authorities-only": ("a list of authorities, asked about an end entity", lambda: with_point(only_contains_ca_certs=True)),
    "list-critical-extension": (
        "a critical extension that nobody knows (RFC 5280 5.2)",
        lambda: [extension("1.3.6.1.4.1.99999.10", b"\x05\x00", critical=True)],
    ),
}
for list_name, (why, extensions) in KINDS.items():

    @revocation(list_name, UNREADABLE, why)
    def _(w, extensions=extensions):
        return list_only(w, revocation_list(w.issuing, this=ANSWERED, until=LATER, extensions=extensions()))


@revocation("list-issuer-may-not", NO_EVIDENCE, "the authority's key usage lacks cRLSign (RFC 5280 6.3.3 f)")
def _(w):
    middle = ca("May not sign lists", w.root, usage=("key_cert_sign",))
    signer = middle.issue("Its signer")
    crl = revocation_list(middle, this=ANSWERED, until=LATER)
    return lt(w, Xades(signer), certs=[w.issuing, w.responder, middle], ocsps=[w.good(w.tsa)], crls=[crl, w.root_list])


@revocation("list-older-than-timestamp", NO_EVIDENCE, "a list issued before the timestamp, for the signer (5.2.5)")
def _(w):
    return list_only(w, revocation_list(w.issuing, this=at("2026-03-01 00:00:00"), until=LATER))


@revocation("pdf-revoked-before-timestamp", REVOKED, "PAdES-B-LT, revoked before the timestamp")
def _(w):
    return pdf_lt(w, ocsps=[w.good(w.signer, status="revoked", revoked_at=SIGNED), w.good(w.tsa)])


@revocation("pdf-responder-self-signed", NO_EVIDENCE, "PAdES-B-LT with an answer by a self-made responder")
def _(w):
    forger = certificate("OCSP responder", Key(), usage=("digital_signature",), eku=["ocsp_signing"], no_check=True)
    return pdf_lt(w, ocsps=[w.good(w.signer, responder=forger), w.good(w.tsa)])


@revocation("pdf-no-evidence-on-signer", NO_EVIDENCE, "PAdES-B-LT without data on the signer")
def _(w):
    return pdf_lt(w, ocsps=[w.good(w.tsa)])
