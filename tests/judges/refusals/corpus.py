"""The table of cases: what each is, what EN 319 102-1 makes of it, and what EU DSS says where that is something else."""

from dataclasses import dataclass, field

from pades import Pades, with_dss
from pki import World
from xades import SLOT, Xades

# Expectations: TOTAL-FAILED and INDETERMINATE with the sub-indications of EN 319 102-1 table 5. A set where the standard leaves it open.
PASSED = {"TOTAL-PASSED"}
FORMAT = {"TOTAL-FAILED/FORMAT_FAILURE"}
HASH = {"TOTAL-FAILED/HASH_FAILURE"}
CRYPTO = {"TOTAL-FAILED/SIG_CRYPTO_FAILURE"}
NOT_YET_VALID = {"TOTAL-FAILED/NOT_YET_VALID"}
NO_SIGNER = {"INDETERMINATE/NO_SIGNING_CERTIFICATE_FOUND"}
CONSTRAINTS = {"INDETERMINATE/SIG_CONSTRAINTS_FAILURE"}
NO_CHAIN = {"INDETERMINATE/NO_CERTIFICATE_CHAIN_FOUND"}
CHAIN = {"INDETERMINATE/CHAIN_CONSTRAINTS_FAILURE"}
GENERAL = {"INDETERMINATE/CERTIFICATE_CHAIN_GENERAL_FAILURE"}
REVOKED = {"INDETERMINATE/REVOKED_NO_POE"}
# Path validation fails for something else than time and revocation (RFC 5280 6.1): 5.2.6.4 has these words for it.
PATH = NO_CHAIN | CHAIN | GENERAL
REVOKED_CA = {"INDETERMINATE/REVOKED_CA_NO_POE"}
TRY_LATER = {"INDETERMINATE/TRY_LATER"}
OUT_OF_BOUNDS = {"INDETERMINATE/OUT_OF_BOUNDS_NO_POE", "INDETERMINATE/OUT_OF_BOUNDS_NOT_REVOKED"}
WEAK = {"INDETERMINATE/CRYPTO_CONSTRAINTS_FAILURE", "INDETERMINATE/CRYPTO_CONSTRAINTS_FAILURE_NO_POE"}
NOT_FOUND = {"INDETERMINATE/SIGNED_DATA_NOT_FOUND"}
ORDER = {"INDETERMINATE/TIMESTAMP_ORDER_FAILURE"}
# The fixed profile refuses a form it does not make: as a format (5.2.2) or as a constraint on the signature (5.2.8).
PROFILE = FORMAT | CONSTRAINTS
# No revocation data that speak for the certificate: 5.2.6.4 lets the verifier ask for a later try or give up on the chain.
NO_EVIDENCE = TRY_LATER | GENERAL

CASES = {}


@dataclass
class Made:
    """A document and what a verifier is given with it."""

    data: bytes
    kind: str
    evidence: list = field(default_factory=list)  # (ocsp, crl or cert, DER)
    anchors: list = field(default_factory=list)  # entities; the world's root when empty
    at: object = World.NOW
    slot: str | None = None


@dataclass
class Case:
    name: str
    family: str
    expected: set
    why: str
    make: object


def family(title):
    """A decorator for the cases of a family, over a function of the world. What DSS says instead is in disagreements.py."""

    def case(name, expected, why):
        def register(make):
            if name in CASES:
                raise ValueError(f"two cases {name}")
            if expected & PASSED and expected != PASSED:
                raise ValueError(f"{name}: a bad document may never pass")
            CASES[name] = Case(name, title, expected, why, make)
            return make

        return register

    return case


def external(w, signer=None, timestamp=True):
    """The revocation data a verifier has from elsewhere, for levels B and T."""
    found = [("ocsp", w.good(signer or w.signer)), ("crl", w.root_list), ("cert", w.issuing.der)]
    return found + [("ocsp", w.good(w.tsa))] * timestamp


def xml(text, **options):
    return Made(text.encode(), "xml", slot=options.pop("slot", SLOT), **options)


def b(w, x=None, **options):
    """XAdES-B-B with external evidence."""
    x = (x or Xades(w.signer)).sign()
    return xml(x.document(), **({"evidence": external(w, x.signer)} | options))


def t(w, x=None, *, token=None, **options):
    """XAdES-B-T with external evidence. `token`: function(bytes to stamp) -> DER."""
    x = (x or Xades(w.signer)).sign()
    x.stamp((token or w.stamp)(x.timestamp_input()))
    return xml(x.document(), **({"evidence": external(w, x.signer)} | options))


def lt_text(w, x=None, *, token=None, certs=None, ocsps=None, crls=None, time_authority=None):
    x = (x or Xades(w.signer)).sign()
    x.stamp((token or w.stamp)(x.timestamp_input()))
    certs = [w.issuing, w.responder] if certs is None else certs
    ocsps = [w.good(x.signer), w.good(time_authority or w.tsa)] if ocsps is None else ocsps
    x.add_values([one.der for one in certs], ocsps, [w.root_list] if crls is None else crls)
    return x.document()


def lt(w, x=None, *, change=None, at=World.NOW, anchors=(), slot=SLOT, evidence=(), **parts):
    """XAdES-B-LT. `change`: applied to the finished text."""
    text = lt_text(w, x, **parts)
    changed = change(text) if change else text
    if change and changed == text:
        raise ValueError("nothing was changed")
    return xml(changed, at=at, anchors=list(anchors), slot=slot, evidence=list(evidence))


def swap(text, old, new):
    """Replaces the one occurrence of `old`."""
    if text.count(old) != 1:
        raise ValueError(f"{old!r} occurs {text.count(old)} times")
    return text.replace(old, new)


def swapper(old, new):
    return lambda text: swap(text, old, new)


FORM_ENTRY = "/AcroForm<</Fields[10 0 R]/SigFlags 3>>"


def pdf(data, **options):
    return Made(data, "pdf", **options)


def pdf_b(w, before=None, *, change=None, extra=None, **options):
    """PAdES-B-B with external evidence. `change`: function(bytes, the Pades) -> bytes."""
    p = Pades(w, before, **options)
    data = p.signed()
    if change:
        changed = change(data, p)
        if changed == data:
            raise ValueError("nothing was changed")
        data = changed
    return pdf(data, **({"evidence": external(w, p.signer)} | (extra or {})))


def pdf_t(w, *, token=None, **options):
    return pdf_b(w, token=lambda value: [(token or w.stamp)(value)], **options)


def pdf_lt(w, *, token=None, certs=None, ocsps=None, crls=None, after=None, extra=None, **options):
    p = Pades(w, token=lambda value: [(token or w.stamp)(value)], **options)
    data = with_dss(
        p.signed(), w, [one.der for one in certs or [w.issuing, w.responder]],
        [w.good(p.signer), w.good(w.tsa)] if ocsps is None else ocsps, [w.root_list] if crls is None else crls, catalog=FORM_ENTRY,
    )  # fmt: skip
    return pdf(after(data) if after else data, **(extra or {}))
