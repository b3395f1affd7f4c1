"""Where EU DSS 6.4 says something else than EN 319 102-1 and Sceau: what it says, because of what, and its own words that show it.

DSS validates any form of signature by its own default policy (dss-policy-jaxb, policy/constraint.xml), which warns where Sceau refuses.
"""

PASSED = "TOTAL-PASSED"
GENERAL = "INDETERMINATE/CERTIFICATE_CHAIN_GENERAL_FAILURE"

# (DSS says, because, words in its report, cases)
TABLE = [
    (
        PASSED,
        "it has no profile: what the signature leaves out, or where it stands, is the reader's to compare",
        "scope PARTIAL",
        "xsw-1 xsw-2 xsw-3 xsw-4 xsw-5 xsw-6 third-reference-to-object",
    ),
    (
        PASSED,
        "it has no profile: any place and any parts of ds:Signature will do",
        "scope FULL",
        "object-with-content content-in-key-info moved-to-the-end moved-after-signing slot-of-another-namespace two-slots company-in-slot"
        " two-certificates values-without-timestamp unknown-unsigned-property two-timestamps garbage-certificate-value"
        " empty-revocation-values",
    ),
    (
        PASSED,
        "it looks for doubled identifiers only where a reference leads",
        "scope FULL",
        "id-of-signature-in-content target-of-another-signature",
    ),
    (PASSED, "it finds no XAdES in it and judges it as a bare XML signature", "XML-NOT-ETSI", "data-format-of-another-reference"),
    (PASSED, "it joins the text around a comment", "scope FULL", "comment-in-digest comment-in-certificate comment-in-signing-time"),
    (
        PASSED,
        "it allows any number, order and kind of references",
        "scope FULL",
        "third-reference-to-document references-swapped xpointer-root document-typed-as-properties",
    ),
    (PASSED, "it only warns that a manifest's entries were not validated", "validation of manifest entries is not performed", "manifest"),
    (
        PASSED,
        "it carries any transform out, and calls what is left the whole document",
        "scope FULL",
        "xpath-hides-amount xpath-instead-of-enveloped xslt inclusive-c14n exclusive-c14n-with-comments c14n-left-out enveloped-twice"
        " prefix-list signed-info-inclusive properties-by-xpath",
    ),
    (PASSED, "it only warns that IssuerSerialV2 does not match", "'issuer-serial' attribute does not match", "issuer-serial-of-other"),
    (
        PASSED,
        "it only warns that the signing-certificate attribute is absent",
        "'signing-certificate' is absent",
        "no-signing-certificate pdf-cms-no-certificate-binding",
    ),
    (
        PASSED,
        "it only warns of SHA-1 in the signing-certificate attribute (SigningCertificateDigestAlgorithm)",
        "SHA1 is no longer",
        "signing-certificate-sha1",
    ),
    (PASSED, "it takes a time without offset for one of this machine", "scope FULL", "signing-time-without-zone"),
    (
        PASSED,
        "it does not compare the claimed time with the timestamp or the present",
        "scope FULL",
        "claimed-after-timestamp claimed-in-the-future",
    ),
    (
        PASSED,
        "it only warns of critical extensions it does not know (SupportedCriticalExtensions)",
        "unsupported critical certificate extension",
        "critical-extension-of-signer critical-extension-of-authority",
    ),
    (
        PASSED,
        "it only warns of name constraints (NameConstraints)",
        "do not satisfy the imposed name constraints",
        "name-constraints-violated",
    ),
    (PASSED, "it only warns of the key usage (KeyUsage)", "does not have an expected key-usage", "key-usage-encipherment"),
    (
        PASSED,
        "it only warns of algorithms that end after the date of its list (LevelAfterUpdate)",
        "no longer considered reliable",
        "rsa-2048-after-2029",
    ),
    (
        GENERAL,
        "it drops the answer, which is older than the certificate, and says that first",
        "issued before the certificate's issuance",
        "not-yet-valid-without-timestamp",
    ),
    (
        "INDETERMINATE/SIG_CONSTRAINTS_FAILURE",
        "it ends at the claimed time, which the certificate does not cover either",
        "not within the signing-certificate's validity",
        "timestamp-before-validity",
    ),
    (
        PASSED,
        "it asks for timeStamping among the purposes, critical or not, sole or not",
        "timestamp PASSED",
        "stamp-purpose-not-critical stamp-purpose-not-sole",
    ),
    (
        f"{PASSED}, timestamp {GENERAL}",
        "it takes no answer from outside the certificate's validity, and says that first",
        "timestamp INDETERMINATE",
        "stamp-authority-expired stamp-authority-not-yet-valid",
    ),
    (PASSED, "it does not compare genTime with the time of validation", "timestamp PASSED", "stamp-in-the-future"),
    (PASSED, "it looks for the authority's certificate by the SignerInfo alone", "timestamp PASSED", "stamp-bound-to-another-certificate"),
    (PASSED, "it does not look at the extensions of a token", "timestamp PASSED", "stamp-critical-extension"),
    (
        PASSED,
        "it counts no timestamp at all: the level falls to B, which is judged at the present time",
        "XAdES-BASELINE-B",
        "stamp-without-certificate-binding stamp-two-signers stamp-not-a-token stamp-garbage",
    ),
    (
        PASSED,
        "it does not ask a responder's certificate for the purpose OCSPSigning, nor who issued it, as long as the chain is trusted",
        "timestamp PASSED",
        "responder-without-purpose responder-of-the-root",
    ),
    (
        PASSED,
        "it only warns of a responder that is the certificate in question (SelfIssuedOCSP)",
        "shall not appear in the OCSP Responders",
        "responder-is-the-signer",
    ),
    (PASSED, "it does not carry a responder's revocation over to its answers", "timestamp PASSED", "responder-revoked"),
    (PASSED, "it does not look at the extensions of an answer", "timestamp PASSED", "answer-critical-extension"),
    (
        PASSED,
        "its freshness check is off (RevocationFreshness: IGNORE)",
        "scope FULL",
        "answer-older-than-timestamp answer-lapsed-without-timestamp list-older-than-timestamp answer-from-the-future",
    ),
    (PASSED, "it reads the CMS and not what is behind it", "scope FULL", "pdf-contents-padded"),
    (
        PASSED,
        "it takes what is behind the second piece for a later revision and says PARTIAL",
        "scope PARTIAL",
        "pdf-range-ends-early pdf-after-content-without-xref pdf-after-junk",
    ),
    (PASSED, "it validates other formats too, and names them", "PKCS7-B", "pdf-subfilter-adbe"),
    (PASSED, "it validates other formats too, and names them", "PDF-NOT-ETSI", "pdf-cms-two-signers"),
    (PASSED, "it calls the format PAdES-BES, which is not the baseline", "PAdES-BES", "pdf-cms-signing-time"),
    (
        PASSED,
        "it only warns of changes after signing (UndefinedChanges, PdfVisualDifference)",
        "undefined object modifications",
        "pdf-after-content-replaced pdf-after-page-points-elsewhere pdf-after-page-tree-replaced pdf-after-annotation-removed"
        " pdf-after-font-replaced pdf-after-resources-replaced pdf-after-open-action-added pdf-after-page-action-added"
        " pdf-after-layers-added pdf-after-page-turned pdf-after-page-cropped pdf-after-page-box-replaced"
        " pdf-after-security-store-and-content pdf-after-lt-content pdf-shadow-replace pdf-shadow-cross-reference pdf-shadow-hide",
    ),
    (
        f"{PASSED} + {PASSED}",
        "it only warns of changes after signing (UndefinedChanges, PdfVisualDifference)",
        "undefined object modifications",
        "pdf-content-changed-between",
    ),
    (
        PASSED,
        "it lets annotations and signature fields be added and changed where no certification forbids it",
        "scope PARTIAL",
        "pdf-after-annotation-added pdf-after-widget-made-visible pdf-after-empty-signature-field-added"
        " pdf-after-signature-widget-added",
    ),
    (
        PASSED,
        "it only warns of what a certification forbids (DocMDP)",
        "restricted by /DocMDP",
        "pdf-certified-1-filled pdf-certified-1-annotated pdf-certified-2-annotated pdf-certified-2-content"
        " pdf-certified-2-overlaid pdf-certified-2-action-redefined",
    ),
    (
        f"{PASSED} + {PASSED}",
        "it only warns of what a certification forbids (DocMDP)",
        "restricted by /DocMDP",
        "pdf-certified-1-signed-again",
    ),
]

DISAGREEMENTS = {name: (says, because, words) for says, because, words, names in TABLE for name in names.split()}
