//! Timestamps (RFC 3161, RFC 5816; profile EN 319 422): requests, responses
//! and tokens.

use super::algorithm::Digest;
use super::certificate::extension;
use super::cms::SignedData;
use super::tlv::{self, Fault, Reader, Tlv, small_integer, tag, unsigned};
use super::{Cert, SignatureAlgorithm, X509Error};
use crate::base::limits;
use const_oid::ObjectIdentifier;
use std::borrow::Cow;
use std::time::Duration;
use time::OffsetDateTime;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

const TST_INFO: ObjectIdentifier = oid("1.2.840.113549.1.9.16.1.4");
/// The purpose of a timestamp authority's certificate (RFC 3161 §2.3).
pub(crate) const TIME_STAMPING: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.8");

/// `PKIFailureInfo` bits (RFC 3161 §2.4.2).
const FAILURES: &[(u32, &str)] = &[
    (0, "badAlg"),
    (2, "badRequest"),
    (5, "badDataFormat"),
    (14, "timeNotAvailable"),
    (15, "unacceptedPolicy"),
    (16, "unacceptedExtension"),
    (17, "addInfoNotAvailable"),
    (25, "systemFailure"),
];

/// What is wrong with a timestamp.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TspError {
    /// Not the ASN.1 structure it should be.
    #[error("malformed timestamp {what}: {reason}")]
    Malformed {
        /// Response or token.
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The authority refused.
    #[error("the timestamp authority refused: status {status}, {failures:?}, {text:?}")]
    Refused {
        /// `PKIStatus`.
        status: u32,
        /// Names of the `PKIFailureInfo` bits set.
        failures: Vec<&'static str>,
        /// The authority's own words.
        text: String,
    },
    /// The token's CMS signature cannot be accepted.
    #[error("the timestamp's signature cannot be accepted")]
    Signature(#[source] X509Error),
    /// The token is over other data.
    #[error("the timestamp is over other data")]
    Imprint,
    /// The token answers another request.
    #[error("the timestamp's nonce is not the request's")]
    Nonce,
    /// The signer's certificate is not one of a timestamp authority: its
    /// extended key usage must be critical and `timeStamping` alone
    /// (RFC 3161 §2.3).
    #[error("the signer's certificate is not for timestamping: {0}")]
    Purpose(&'static str),
    /// The authority's certificate was not valid at the stated time.
    #[error("the timestamp authority's certificate was not valid at the stated time")]
    SignerNotValid,
}

/// A request (RFC 3161 §2.4.1) over a SHA-256 imprint, with nonce, that asks
/// for the authority's certificates. `policy` is a dotted OID; what is not one
/// is left out, and the token's policy has to be compared anyway.
pub fn request(imprint_sha256: &[u8; 32], nonce: &[u8; 16], policy: Option<&str>) -> Vec<u8> {
    let imprint = tlv::element(tag::OCTET_STRING, &[imprint_sha256]);
    let policy = policy.and_then(tlv::oid_from_dotted);
    tlv::element(
        tag::SEQUENCE,
        &[
            &tlv::integer(&[1]),
            &tlv::element(tag::SEQUENCE, &[&Digest::Sha256.identifier_der(), &imprint]),
            &policy.unwrap_or_default(),
            &tlv::integer(nonce),
            &tlv::element(tag::BOOLEAN, &[&[0xff]]),
        ],
    )
}

/// A timestamp token that was read; [`Self::verify`] says whether to believe it.
#[derive(Debug, Clone)]
pub struct TimestampToken {
    der: Vec<u8>,
    cms: SignedData,
    signer: Cert,
    info: TstInfo,
}

/// `TSTInfo` (RFC 3161 §2.4.2).
#[derive(Debug, Clone)]
struct TstInfo {
    /// Dotted.
    policy: String,
    imprint_algorithm: Option<Digest>,
    imprint: Vec<u8>,
    serial: Vec<u8>,
    gen_time: OffsetDateTime,
    accuracy: Option<Duration>,
    nonce: Option<Vec<u8>>,
}

impl TimestampToken {
    /// Reads a token: the `ContentInfo` alone.
    ///
    /// # Errors
    /// [`TspError::Malformed`]; [`TspError::Signature`] when it is no CMS
    /// signature by one signer whose certificate is inside.
    pub fn from_der(bytes: &[u8]) -> Result<Self, TspError> {
        let cms = SignedData::from_der(bytes).map_err(TspError::Signature)?;
        let signer = cms.signer().map_err(TspError::Signature)?.clone();
        let fault = malformed("token");
        if cms.content_type() != TST_INFO {
            return Err(fault(Fault("its content is no TSTInfo")));
        }
        let content = cms.content().ok_or_else(|| fault(Fault("no content")))?;
        let info = TstInfo::read(content).map_err(fault)?;
        Ok(Self {
            der: bytes.to_vec(),
            cms,
            signer,
            info,
        })
    }

    /// Reads an authority's response.
    ///
    /// # Errors
    /// [`TspError::Refused`] when the authority granted nothing, and those of
    /// [`Self::from_der`].
    pub fn from_response(bytes: &[u8]) -> Result<Self, TspError> {
        let fault = malformed("response");
        if bytes.len() > limits::RESPONSE_BYTES_MAX {
            return Err(fault(Fault("too large")));
        }
        let (status, token) = read_response(bytes).map_err(&fault)?;
        let Some(token) = token.filter(|_| status.granted()) else {
            return Err(status.refusal());
        };
        Self::from_der(token)
    }

    /// The token byte for byte as it arrived, which may be BER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether the token is BER that is not DER, as far as that shows in its
    /// lengths and strings (X.690 §10.1, §10.2).
    pub fn is_ber(&self) -> bool {
        !matches!(tlv::definite(&self.der), Ok(Cow::Borrowed(_)))
    }

    /// The time the authority states.
    pub fn gen_time(&self) -> OffsetDateTime {
        self.info.gen_time
    }

    /// How far off the time may be, when stated.
    pub fn accuracy(&self) -> Option<Duration> {
        self.info.accuracy
    }

    /// The nonce as an unsigned number, without leading zeros.
    pub fn nonce(&self) -> Option<&[u8]> {
        self.info.nonce.as_deref()
    }

    /// The digest that was timestamped.
    pub fn imprint(&self) -> &[u8] {
        &self.info.imprint
    }

    /// The authority's policy, dotted.
    pub fn policy(&self) -> String {
        self.info.policy.clone()
    }

    /// The token's serial number: content bytes of its INTEGER.
    pub fn serial(&self) -> &[u8] {
        &self.info.serial
    }

    /// The certificates inside.
    pub fn certificates(&self) -> &[Cert] {
        self.cms.certificates()
    }

    /// The algorithm of the token's signature, which is verified anew.
    ///
    /// # Errors
    /// [`TspError::Signature`].
    pub fn algorithm(&self) -> Result<SignatureAlgorithm, TspError> {
        let verified = self.cms.verify_encapsulated();
        Ok(verified.map_err(TspError::Signature)?.algorithm)
    }

    /// The authority's certificate.
    pub fn signer(&self) -> &Cert {
        &self.signer
    }

    /// Checks the token alone: CMS signature, ESS certificate binding, purpose
    /// of the signer's certificate and its validity at the stated time, imprint
    /// and, when given, the nonce. The signer's chain is `trust`'s to check.
    /// Returns what it is signed with.
    ///
    /// # Errors
    /// Names the check that failed; see [`TspError`].
    pub fn verify(
        &self,
        imprint: &[u8; 32],
        nonce: Option<&[u8; 16]>,
    ) -> Result<SignatureAlgorithm, TspError> {
        let verified = self.cms.verify_encapsulated();
        let verified = verified.map_err(TspError::Signature)?;
        check_purpose(&self.signer)?;
        if !self.signer.is_valid_at(self.info.gen_time) {
            return Err(TspError::SignerNotValid);
        }
        if self.info.imprint_algorithm != Some(Digest::Sha256) || self.info.imprint != imprint {
            return Err(TspError::Imprint);
        }
        match nonce {
            Some(nonce) if self.nonce() != Some(unsigned(nonce)) => Err(TspError::Nonce),
            Some(_) | None => Ok(verified.algorithm),
        }
    }
}

fn check_purpose(signer: &Cert) -> Result<(), TspError> {
    match signer.extended_key_usage() {
        None => return Err(TspError::Purpose("no extended key usage")),
        Some((false, _)) => return Err(TspError::Purpose("extended key usage not critical")),
        Some((true, purposes)) if purposes != [TIME_STAMPING] => {
            return Err(TspError::Purpose(
                "extended key usage not timeStamping alone",
            ));
        }
        Some((true, _)) => {}
    }
    match signer.key_usage() {
        Some(usage) if !usage.digital_signature && !usage.non_repudiation => {
            Err(TspError::Purpose("key usage does not allow signatures"))
        }
        Some(_) | None => Ok(()),
    }
}

fn malformed(what: &'static str) -> impl Fn(Fault) -> TspError {
    move |fault| TspError::Malformed {
        what,
        reason: fault.0,
    }
}

/// `PKIStatusInfo` (RFC 3161 §2.4.2).
struct Status {
    status: u32,
    failures: u32,
    text: String,
}

impl Status {
    /// granted, grantedWithMods.
    fn granted(&self) -> bool {
        self.status <= 1
    }

    fn refusal(self) -> TspError {
        let set = FAILURES
            .iter()
            .filter(|(bit, _)| self.failures & 1 << bit != 0);
        TspError::Refused {
            status: self.status,
            failures: set.map(|(_, name)| *name).collect(),
            text: self.text,
        }
    }
}

fn read_response(bytes: &[u8]) -> Result<(Status, Option<&[u8]>), Fault> {
    let (info, token) = match *tlv::children(bytes)?.as_slice() {
        [info] => (info, None),
        [info, token] => (info, Some(token)),
        _ => return Err(Fault("not a status and a token")),
    };
    let info = tlv::definite(info)?;
    let mut info = Tlv::only_of(&info, tag::SEQUENCE)?.reader();
    let status = info.expect(tag::INTEGER)?.small()?;
    let mut text = Vec::new();
    if let Some(lines) = info.optional(tag::SEQUENCE)? {
        for line in lines.reader().take(8) {
            let line = line?.expect_tag(tag::UTF8_STRING)?.content;
            let shown = line.get(..200).unwrap_or(line);
            text.push(String::from_utf8_lossy(shown).into_owned());
        }
    }
    let failures = info.optional(tag::BIT_STRING)?;
    let failures = failures.map(Tlv::bit_flags).transpose()?.unwrap_or(0);
    let status = Status {
        status,
        failures,
        text: text.join(" "),
    };
    Ok((status, token))
}

impl TstInfo {
    fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let mut fields = Tlv::only_of(bytes, tag::SEQUENCE)?.reader();
        if fields.expect(tag::INTEGER)?.small()? != 1 {
            return Err(Fault("unknown version of TSTInfo"));
        }
        let policy = fields.read()?.dotted()?;
        let mut imprint = fields.expect(tag::SEQUENCE)?.reader();
        let imprint_algorithm = Digest::from_identifier(imprint.expect(tag::SEQUENCE)?);
        let imprint = imprint.expect(tag::OCTET_STRING)?.content.to_vec();
        let serial = fields.expect(tag::INTEGER)?.content.to_vec();
        let gen_time = fields.expect(tag::GENERALIZED_TIME)?.time()?;
        let accuracy = fields.optional(tag::SEQUENCE)?;
        let accuracy = accuracy.map(|a| read_accuracy(a.reader())).transpose()?;
        fields.optional(tag::BOOLEAN)?;
        let nonce = fields.optional(tag::INTEGER)?;
        // [0] is the authority's name: a hint at best, the certificate counts.
        fields.optional(tag::context(0))?;
        if let Some(extensions) = fields.optional(tag::context(1))? {
            for element in extensions.reader() {
                if extension(element?)?.critical {
                    return Err(Fault("a critical extension is not understood"));
                }
            }
        }
        fields.end()?;
        Ok(Self {
            policy,
            imprint_algorithm,
            imprint,
            serial,
            gen_time,
            accuracy,
            nonce: nonce.map(|n| unsigned(n.content).to_vec()),
        })
    }
}

/// `Accuracy`: seconds, `[0]` milliseconds, `[1]` microseconds.
fn read_accuracy(mut fields: Reader<'_>) -> Result<Duration, Fault> {
    let mut micros = 0u64;
    for (tag, unit) in [
        (tag::INTEGER, 1_000_000),
        (tag::context_primitive(0), 1_000),
        (tag::context_primitive(1), 1),
    ] {
        if let Some(part) = fields.optional(tag)? {
            micros += u64::from(small_integer(part.content)?) * unit;
        }
    }
    fields.end()?;
    Ok(Duration::from_micros(micros))
}
