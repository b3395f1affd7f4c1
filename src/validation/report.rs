//! What a validation found: for programs as JSON, for other validators as the
//! XML of TS 119 102-2 (see [`super::etsi`]).

use super::indication::{Indication, SubIndication};
use crate::base::{clock, hex};
use crate::trust::{Call, Evidence};
use crate::x509::tsp::TimestampToken;
use crate::x509::{Cert, CertStatus};
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// The report on one document. Times are RFC 3339 in UTC.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Report {
    /// The worst indication of all signatures.
    #[schema(value_type = String)]
    pub indication: Indication,
    /// Its reason; absent when every signature passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub sub_indication: Option<SubIndication>,
    /// The reason in a sentence.
    pub text: String,
    /// The time for which was validated.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub validation_time: OffsetDateTime,
    /// Which list of algorithms was applied.
    pub algorithm_policy: String,
    /// One for each signature, oldest first; one without facts when the
    /// document holds none.
    pub signatures: Vec<SignatureReport>,
    /// Calls made to the outside for this report.
    #[serde(serialize_with = "calls")]
    #[schema(value_type = Vec<Object>)]
    pub calls: Vec<Call>,
}

/// The report on one signature.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SignatureReport {
    /// The verdict.
    #[schema(value_type = String)]
    pub indication: Indication,
    /// Its reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub sub_indication: Option<SubIndication>,
    /// The reason in a sentence.
    pub text: String,
    /// What could be read of a signature that keeps to the profile; all of it or
    /// none.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Facts)]
    pub facts: Option<Facts>,
    /// What was checked, in the order of the checks, up to the one that ended
    /// them.
    pub blocks: Vec<Block>,
}

/// What a signature says about itself.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Facts {
    /// The level by what the signature contains, such as `XAdES-B-LT`.
    #[schema(required = false)]
    pub level: String,
    /// Where in the document it stands: the slot, or the field of a PDF.
    #[schema(required = false)]
    pub place: String,
    /// What was appended to a PDF after it was signed; absent for XML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes_after: Option<Vec<String>>,
    /// The signature algorithm.
    #[schema(required = false)]
    pub algorithm: String,
    /// The time the signer claims.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime, required = false)]
    pub claimed_signing_time: OffsetDateTime,
    /// The earliest time at which the signature is proved to have existed; the
    /// validation time when nothing proves an earlier one (§5.5.4).
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime, required = false)]
    pub best_signature_time: OffsetDateTime,
    /// The signer's chain, as far as it was found.
    #[schema(required = false)]
    pub signer: Chain,
    /// The signature timestamp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
    /// Nothing but validation data follows the signature; so of all XML.
    #[serde(skip)]
    pub is_last_word: bool,
    /// What the validation used.
    #[serde(skip)]
    pub objects: Vec<Object>,
}

/// The signature timestamp.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Timestamp {
    /// PASSED, FAILED or INDETERMINATE, of the validation of the timestamp
    /// alone (§5.4).
    #[serde(serialize_with = "of_block")]
    #[schema(value_type = String)]
    pub indication: Indication,
    /// Its reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub sub_indication: Option<SubIndication>,
    /// The time it states.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub gen_time: OffsetDateTime,
    /// The authority's policy, a dotted OID.
    pub policy: String,
    /// Its serial number in hexadecimal.
    pub serial: String,
    /// The authority's chain, as far as it was found.
    pub authority: Chain,
}

/// Certificates from the one in question to the anchor.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[serde(transparent)]
pub struct Chain(pub Vec<Certificate>);

/// A certificate of a chain.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Certificate {
    /// Subject (RFC 4514).
    pub subject: String,
    /// Issuer (RFC 4514).
    pub issuer: String,
    /// Serial number in hexadecimal.
    pub serial: String,
    /// SHA-256 of the certificate, in hexadecimal.
    pub sha256: String,
    /// First moment of validity.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub not_before: OffsetDateTime,
    /// Last moment of validity.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub not_after: OffsetDateTime,
    /// Whether it is a configured trust anchor.
    pub anchor: bool,
    /// What is known about its revocation; absent for anchors and when nothing
    /// is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation: Option<Revocation>,
}

/// What a response or list says about a certificate.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Revocation {
    /// `ocsp` or `crl`.
    pub kind: &'static str,
    /// SHA-256 of the response or list, in hexadecimal.
    pub sha256: String,
    /// `good`, `revoked` or `unknown`.
    pub status: &'static str,
    /// Since when it is revoked.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "some_rfc3339"
    )]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<OffsetDateTime>,
    /// `CRLReason` (RFC 5280 §5.3.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<u8>,
    /// When this was known to be right.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub this_update: OffsetDateTime,
    /// By when there would be something newer.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "some_rfc3339"
    )]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_update: Option<OffsetDateTime>,
    /// Who says so (RFC 4514).
    pub by: String,
}

/// A building block of EN 319 102-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// Format checking.
    Format,
    /// Identification of the signing certificate.
    SigningCertificate,
    /// Validation context initialization.
    Context,
    /// Revocation freshness.
    Freshness,
    /// X.509 certificate validation.
    X509,
    /// Cryptographic verification.
    Cryptographic,
    /// Signature acceptance validation.
    Acceptance,
    /// Time-stamp validation.
    Timestamp,
    /// The comparison of times for signatures with time and long-term
    /// validation data.
    Times,
}

impl BlockKind {
    /// The clause of EN 319 102-1.
    pub fn clause(self) -> &'static str {
        match self {
            Self::Format => "5.2.2",
            Self::SigningCertificate => "5.2.3",
            Self::Context => "5.2.4",
            Self::Freshness => "5.2.5",
            Self::X509 => "5.2.6",
            Self::Cryptographic => "5.2.7",
            Self::Acceptance => "5.2.8",
            Self::Timestamp => "5.4",
            Self::Times => "5.5",
        }
    }

    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Format => "format-checking",
            Self::SigningCertificate => "identification-of-the-signing-certificate",
            Self::Context => "validation-context-initialization",
            Self::Freshness => "revocation-freshness",
            Self::X509 => "x509-certificate-validation",
            Self::Cryptographic => "cryptographic-verification",
            Self::Acceptance => "signature-acceptance",
            Self::Timestamp => "time-stamp-validation",
            Self::Times => "signature-with-time",
        }
    }
}

/// What a building block found.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Block {
    /// Which one.
    #[serde(serialize_with = "block_name")]
    #[schema(value_type = String)]
    pub block: BlockKind,
    /// Its clause of EN 319 102-1.
    pub clause: &'static str,
    /// PASSED, FAILED or INDETERMINATE.
    #[serde(serialize_with = "of_block")]
    #[schema(value_type = String)]
    pub indication: Indication,
    /// The reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub sub_indication: Option<SubIndication>,
    /// What was found, in a sentence.
    pub text: String,
}

/// Something the validation used, byte for byte.
#[derive(Debug, Clone)]
pub enum Object {
    /// A certificate.
    Certificate(Cert),
    /// An OCSP response or a revocation list.
    Evidence(Evidence),
    /// A timestamp.
    Timestamp(TimestampToken),
}

impl Object {
    /// The object as it arrived.
    pub fn der(&self) -> &[u8] {
        match self {
            Self::Certificate(cert) => cert.der(),
            Self::Evidence(evidence) => evidence.der(),
            Self::Timestamp(token) => token.der(),
        }
    }
}

/// A check that did not succeed.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) block: BlockKind,
    pub(super) sub: SubIndication,
    pub(super) text: String,
}

impl Fault {
    pub(super) fn new(block: BlockKind, sub: SubIndication, text: impl Into<String>) -> Self {
        Self {
            block,
            sub,
            text: text.into(),
        }
    }
}

impl Block {
    pub(super) fn passed(block: BlockKind, text: impl Into<String>) -> Self {
        Self {
            block,
            clause: block.clause(),
            indication: Indication::TotalPassed,
            sub_indication: None,
            text: text.into(),
        }
    }
}

impl From<&Fault> for Block {
    fn from(fault: &Fault) -> Self {
        Self {
            block: fault.block,
            clause: fault.block.clause(),
            indication: fault.sub.indication(),
            sub_indication: Some(fault.sub),
            text: fault.text.clone(),
        }
    }
}

impl SignatureReport {
    /// The verdict that follows from a fault, or from none.
    pub(super) fn new(fault: Option<Fault>, facts: Option<Facts>, blocks: Vec<Block>) -> Self {
        let (indication, text) = match &fault {
            Some(fault) => (fault.sub.indication(), fault.text.clone()),
            None => (Indication::TotalPassed, "the signature is valid".to_owned()),
        };
        Self {
            indication,
            sub_indication: fault.map(|fault| fault.sub),
            text,
            facts,
            blocks,
        }
    }

    /// A signature whose validation ended with its first look.
    pub(super) fn refused(fault: Fault) -> Self {
        let blocks = vec![Block::from(&fault)];
        Self::new(Some(fault), None, blocks)
    }
}

impl Certificate {
    pub(super) fn new(cert: &Cert, anchor: bool) -> Self {
        Self {
            subject: cert.subject(),
            issuer: cert.issuer(),
            serial: hex::encode(cert.serial()),
            sha256: hex::encode(&cert.sha256()),
            not_before: cert.not_before(),
            not_after: cert.not_after(),
            anchor,
            revocation: None,
        }
    }
}

impl Revocation {
    pub(super) fn new(evidence: &Evidence, finding: &crate::trust::Finding) -> Self {
        let (status, revoked_at, reason) = match finding.status {
            CertStatus::Good => ("good", None, None),
            CertStatus::Revoked { at, reason } => ("revoked", Some(at), reason),
            CertStatus::Unknown => ("unknown", None, None),
        };
        Self {
            kind: match evidence {
                Evidence::Ocsp(_) => "ocsp",
                Evidence::Crl(_) => "crl",
            },
            sha256: hex::encode(&crate::base::digest::sha256(evidence.der())),
            status,
            revoked_at,
            reason,
            this_update: finding.this_update,
            next_update: finding.next_update,
            by: finding.signer.subject(),
        }
    }
}

fn rfc3339<S: Serializer>(at: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&clock::rfc3339(*at))
}

fn some_rfc3339<S: Serializer>(
    at: &Option<OffsetDateTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    at.map(clock::rfc3339).serialize(serializer)
}

fn of_block<S: Serializer>(indication: &Indication, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(indication.of_block())
}

fn block_name<S: Serializer>(block: &BlockKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(block.as_str())
}

fn calls<S: Serializer>(calls: &[Call], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(calls.iter().map(|call| {
        serde_json::json!({
            "purpose": call.purpose,
            "url": call.url,
            "at": clock::rfc3339(call.at),
            "millis": call.millis,
            "result": call.result,
            "from_cache": call.from_cache,
        })
    }))
}
