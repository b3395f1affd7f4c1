//! Answers: from received bytes to the body's element, verified on the way.
//!
//! The profile is fixed: one security header with one timestamp and one
//! signature over exactly that timestamp and the envelope's own body, both by
//! `wsu:Id`. Nothing is looked up by id: the two elements are found by their
//! place, and the references must name them. So no element that was signed
//! can stand in for the one that is used.

use super::fault::Trouble;
use super::names::{self, BASE64, DS, EXC_C14N, PKI_PATH, SHA256, SOAP, WSSE, WSU, X509_V3};
use crate::base::clock::parse_rfc3339;
use crate::base::{digest, limits};
use crate::x509::{self, Cert, SignatureAlgorithm};
use crate::xml;
use crate::xml::c14n::{Mode, Options, canonicalize};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use der::asn1::AnyRef;
use der::{Decode, Reader, SliceReader, Tag, Tagged};
use roxmltree::{Document, Node};
use time::{Duration, OffsetDateTime};

/// Largest difference between two honest clocks, and the age at which an
/// answer is no longer taken for the answer to what was just asked.
pub const TOLERANCE: Duration = Duration::minutes(5);

/// Whom to believe.
#[derive(Debug)]
pub struct Trust {
    /// Certificates trusted for answers: an authority, or the very signer.
    pub anchors: Vec<Cert>,
    /// Certificates that may help to build a path; not trusted.
    pub helpers: Vec<Cert>,
    /// Our own certificate. An answer signed with it is our own request.
    pub own: Cert,
}

/// Why an answer is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The security header is not of the fixed profile.
    #[error("its security header is not as described: {0}")]
    Profile(&'static str),
    /// A digest differs.
    #[error("its {0} was changed after signing")]
    Digest(&'static str),
    /// The signature value is wrong.
    #[error("its signature does not verify")]
    Signature,
    /// Created too long ago, or in the future, or expired.
    #[error("it was made at {0}, which is too far from this machine's time")]
    Stale(String),
    /// The signer's certificate does not lead to an anchor.
    #[error("its certificate does not lead to the configured anchor: {0}")]
    Certificate(&'static str),
}

use AnswerError::{Certificate, Profile};

/// A verified answer and what the caller took from it.
#[derive(Debug)]
pub struct Given<T> {
    /// What the caller's reader made of the body's element.
    pub value: T,
    /// See [`crate::gateway::Report::correlation_id`].
    pub correlation_id: Option<String>,
    /// The answer as received.
    pub envelope: Vec<u8>,
}

/// Reads an answer: a fault becomes its [`Trouble`]; anything else is verified
/// before `read` sees the only element of the body.
pub fn read<T>(
    response: crate::http::Response,
    trust: &Trust,
    now: OffsetDateTime,
    read: impl FnOnce(Node<'_, '_>) -> Result<T, Box<Trouble>>,
) -> Result<Given<T>, Box<Trouble>> {
    let (correlation_id, result) = open(&response, trust, now, read);
    let envelope = response.body;
    match result {
        Ok(value) => Ok(Given {
            value,
            correlation_id,
            envelope,
        }),
        Err(mut trouble) => {
            trouble.correlation_id = correlation_id;
            trouble.envelope = Some(envelope);
            Err(trouble)
        }
    }
}

fn open<T>(
    response: &crate::http::Response,
    trust: &Trust,
    now: OffsetDateTime,
    read: impl FnOnce(Node<'_, '_>) -> Result<T, Box<Trouble>>,
) -> (Option<String>, Result<T, Box<Trouble>>) {
    let not_soap = || {
        let status = format!("HTTP status {}", response.status);
        Trouble::here("answer-not-soap", &status)
    };
    let Ok(document) = xml::parse(&response.body) else {
        return (None, Err(not_soap()));
    };
    let Some((header, body, element)) = parts(&document) else {
        return (None, Err(not_soap()));
    };
    let correlation_id = header.and_then(correlation_id);
    if names::is(element, SOAP, "Fault") {
        let trouble = Trouble::from_fault(element, response.retry_after);
        return (correlation_id, Err(trouble));
    }
    let verified = verify(&document, header, body, trust, now);
    let result = verified
        .map_err(|error| Trouble::here("answer-not-trusted", &error.to_string()))
        .and_then(|()| read(element));
    (correlation_id, result)
}

type Parts<'a, 'i> = (Option<Node<'a, 'i>>, Node<'a, 'i>, Node<'a, 'i>);

/// Header, body and the body's only element (SOAP 1.1 §4).
fn parts<'a, 'i>(document: &'a Document<'i>) -> Option<Parts<'a, 'i>> {
    let envelope = document.root_element();
    let mut children = names::elements(envelope);
    let (first, second, third) = (children.next()?, children.next(), children.next());
    let (header, body) = match second {
        None => (None, first),
        Some(second) => (Some(first), second),
    };
    let fits = names::is(envelope, SOAP, "Envelope")
        && header.is_none_or(|h| names::is(h, SOAP, "Header"))
        && names::is(body, SOAP, "Body")
        && third.is_none();
    let mut inside = names::elements(body);
    let (element, more) = (inside.next()?, inside.next());
    (fits && more.is_none()).then_some((header, body, element))
}

/// `<!-- Correlation-ID: … -->` in the header. Comments are not signed.
fn correlation_id(header: Node<'_, '_>) -> Option<String> {
    let comments = header.children().filter(Node::is_comment);
    let mut texts = comments.filter_map(|n| n.text());
    let id = texts.find_map(|t| t.trim().strip_prefix("Correlation-ID:"))?;
    let id = id.trim();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    (!id.is_empty() && id.len() <= 64 && id.bytes().all(plain)).then(|| id.to_owned())
}

/// Verifies the message signature of an answer against the fixed profile.
fn verify(
    document: &Document<'_>,
    header: Option<Node<'_, '_>>,
    body: Node<'_, '_>,
    trust: &Trust,
    now: OffsetDateTime,
) -> Result<(), AnswerError> {
    let security = header.and_then(|h| names::child(h, Some(WSSE), "Security"));
    let security = security.ok_or(Profile("one wsse:Security is needed"))?;
    let timestamp = names::child(security, Some(WSU), "Timestamp")
        .ok_or(Profile("one wsu:Timestamp is needed"))?;
    let signature = names::child(security, Some(DS), "Signature")
        .ok_or(Profile("one ds:Signature is needed"))?;
    let parts: Vec<_> = names::elements(signature).collect();
    let [signed_info, value, key_info] = parts.as_slice() else {
        return Err(Profile("the signature has other parts"));
    };
    let shape = names::is(*signed_info, DS, "SignedInfo")
        && names::is(*value, DS, "SignatureValue")
        && names::is(*key_info, DS, "KeyInfo");
    if !shape {
        return Err(Profile("the signature has other parts"));
    }
    let (signer, pool) = certificates(security, *key_info, trust)?;
    check_signature(document, *signed_info, *value, &signer)?;
    check_references(document, *signed_info, timestamp, body)?;
    check_timestamp(timestamp, now)?;
    check_chain(&signer, &pool, trust, now)
}

/// The signer's certificate, named by the key info, and all others around.
fn certificates(
    security: Node<'_, '_>,
    key_info: Node<'_, '_>,
    trust: &Trust,
) -> Result<(Cert, Vec<Cert>), AnswerError> {
    let steps = [(WSSE, "SecurityTokenReference"), (WSSE, "Reference")];
    let wanted = names::descend(key_info, &steps)
        .and_then(|n| n.attribute("URI"))
        .and_then(|uri| uri.strip_prefix('#'))
        .ok_or(Profile("the signature does not name its certificate"))?;
    let mut signer = None;
    let mut pool = trust.helpers.clone();
    let tokens = names::elements(security).filter(|n| {
        let kind = n.attribute("ValueType").unwrap_or_default();
        names::is(*n, WSSE, "BinarySecurityToken") && [X509_V3, PKI_PATH].contains(&kind)
    });
    for token in tokens.take(limits::CHAIN_CERTIFICATES_MAX) {
        if token.attribute("EncodingType").is_some_and(|e| e != BASE64) {
            return Err(Profile("a certificate is not in base64"));
        }
        let mut path = certificate_path(token).ok_or(Profile("a certificate cannot be read"))?;
        let is_signer = token.attribute((WSU, "Id")) == Some(wanted);
        let last = if is_signer { path.pop() } else { None };
        pool.append(&mut path);
        if last.is_some_and(|own| signer.replace(own).is_some()) {
            return Err(Profile("two certificates have the same id"));
        }
    }
    let signer = signer.ok_or(Profile("the signature's certificate is not there"))?;
    Ok((signer, pool))
}

/// The certificates of a token; its own is the last (`PkiPath`, X.509 §7.7:
/// issuers first).
fn certificate_path(token: Node<'_, '_>) -> Option<Vec<Cert>> {
    let bytes = decode(&names::text(token))?;
    if token.attribute("ValueType") == Some(X509_V3) {
        return Some(vec![Cert::from_der(&bytes).ok()?]);
    }
    let sequence = AnyRef::from_der(&bytes).ok()?;
    if sequence.tag() != Tag::Sequence {
        return None;
    }
    let mut reader = SliceReader::new(sequence.value()).ok()?;
    let mut path = Vec::new();
    while !reader.is_finished() && path.len() < limits::CHAIN_CERTIFICATES_MAX {
        path.push(Cert::from_der(reader.tlv_bytes().ok()?).ok()?);
    }
    reader.is_finished().then_some(path)
}

fn check_signature(
    document: &Document<'_>,
    signed_info: Node<'_, '_>,
    value: Node<'_, '_>,
    signer: &Cert,
) -> Result<(), AnswerError> {
    let method = names::child(signed_info, Some(DS), "CanonicalizationMethod");
    let prefixes = method
        .and_then(exclusive_prefixes)
        .ok_or(Profile("another canonicalization than the exclusive one"))?;
    let algorithm = names::child(signed_info, Some(DS), "SignatureMethod")
        .filter(|n| names::elements(*n).count() == 0)
        .and_then(|n| n.attribute("Algorithm"))
        .and_then(SignatureAlgorithm::from_xml_uri)
        .ok_or(Profile("an unsupported signature algorithm"))?;
    let value = decode(&names::text(value)).ok_or(AnswerError::Signature)?;
    let value = match algorithm {
        SignatureAlgorithm::EcdsaSha256
        | SignatureAlgorithm::EcdsaSha384
        | SignatureAlgorithm::EcdsaSha512 => x509::ecdsa_fixed_to_der(&value),
        SignatureAlgorithm::RsaPkcs1Sha256
        | SignatureAlgorithm::RsaPkcs1Sha384
        | SignatureAlgorithm::RsaPkcs1Sha512
        | SignatureAlgorithm::RsaPssSha256
        | SignatureAlgorithm::RsaPssSha384
        | SignatureAlgorithm::RsaPssSha512 => value,
    };
    let message = canonical(document, signed_info, &prefixes);
    x509::verify(signer, algorithm, &message, &value).map_err(|_| AnswerError::Signature)
}

/// The signature covers the timestamp and the body, and nothing else.
fn check_references(
    document: &Document<'_>,
    signed_info: Node<'_, '_>,
    timestamp: Node<'_, '_>,
    body: Node<'_, '_>,
) -> Result<(), AnswerError> {
    let references: Vec<_> = names::elements(signed_info).skip(2).collect();
    if references.len() != 2 {
        return Err(Profile("not exactly timestamp and body are signed"));
    }
    for (target, what) in [(timestamp, "timestamp"), (body, "body")] {
        let id = target.attribute((WSU, "Id")).filter(|id| !id.is_empty());
        let id = id.ok_or(Profile("timestamp or body has no wsu:Id"))?;
        if count_id(document, id) != 1 {
            return Err(Profile("an id is not unique"));
        }
        let names_it = |n: &&Node| {
            names::is(**n, DS, "Reference")
                && n.attribute("URI").and_then(|u| u.strip_prefix('#')) == Some(id)
        };
        let reference = references.iter().find(names_it);
        let reference = reference.ok_or(Profile("not exactly timestamp and body are signed"))?;
        let (prefixes, expected) = reference_parts(*reference)?;
        let digest = digest::sha256(&canonical(document, target, &prefixes));
        if digest.as_slice() != expected {
            return Err(AnswerError::Digest(what));
        }
    }
    Ok(())
}

/// Canonicalization prefixes and digest value of a `ds:Reference`.
fn reference_parts<'a>(reference: Node<'a, '_>) -> Result<(Vec<&'a str>, Vec<u8>), AnswerError> {
    let transforms: Vec<_> = names::child(reference, Some(DS), "Transforms")
        .map(|n| names::elements(n).collect())
        .unwrap_or_default();
    let [transform] = transforms.as_slice() else {
        return Err(Profile("not exactly one transform"));
    };
    let prefixes = exclusive_prefixes(*transform)
        .filter(|_| names::is(*transform, DS, "Transform"))
        .ok_or(Profile("another transform than exclusive canonicalization"))?;
    let method = names::child(reference, Some(DS), "DigestMethod");
    if method.and_then(|n| n.attribute("Algorithm")) != Some(SHA256) {
        return Err(Profile("another digest than SHA-256"));
    }
    let digest = names::child(reference, Some(DS), "DigestValue")
        .and_then(|n| decode(&names::text(n)))
        .ok_or(Profile("a digest value cannot be read"))?;
    Ok((prefixes, digest))
}

/// The prefix list of an exclusive canonicalization (exc-c14n §3.1).
fn exclusive_prefixes<'a>(method: Node<'a, '_>) -> Option<Vec<&'a str>> {
    if method.attribute("Algorithm") != Some(EXC_C14N) {
        return None;
    }
    let mut parameters = names::elements(method);
    let Some(inclusive) = parameters.next() else {
        return Some(Vec::new());
    };
    let alone =
        parameters.next().is_none() && names::is(inclusive, EXC_C14N, "InclusiveNamespaces");
    let list = inclusive.attribute("PrefixList").unwrap_or_default();
    alone.then(|| list.split_ascii_whitespace().collect())
}

fn canonical(document: &Document<'_>, node: Node<'_, '_>, prefixes: &[&str]) -> Vec<u8> {
    let options = Options {
        mode: Mode::Exclusive,
        comments: false,
        prefixes,
    };
    canonicalize(document, node, |_| true, &options)
}

/// How often any id attribute has this value.
fn count_id(document: &Document<'_>, id: &str) -> usize {
    let attributes = document.descendants().flat_map(|n| n.attributes());
    attributes
        .filter(|a| a.name().eq_ignore_ascii_case("id") && a.value() == id)
        .count()
}

/// WSS 1.0 §10. An answer is made now: its age is bounded, whatever lifetime
/// its maker gave it.
fn check_timestamp(timestamp: Node<'_, '_>, now: OffsetDateTime) -> Result<(), AnswerError> {
    let time = |name: &str| {
        let node = names::child(timestamp, Some(WSU), name);
        node.and_then(|n| parse_rfc3339(&names::text(n)))
    };
    let created = time("Created").ok_or(Profile("the timestamp has no wsu:Created"))?;
    let expires = time("Expires").ok_or(Profile("the timestamp has no wsu:Expires"))?;
    if (now - created).abs() > TOLERANCE || now - expires > TOLERANCE {
        let made = crate::base::clock::rfc3339(created);
        return Err(AnswerError::Stale(made));
    }
    Ok(())
}

/// A small path check: each certificate is verified with the next one's key,
/// valid now and allowed to issue. The first fitting issuer is taken. No
/// revocation: the anchor is configured for this one service.
fn check_chain(
    signer: &Cert,
    pool: &[Cert],
    trust: &Trust,
    now: OffsetDateTime,
) -> Result<(), AnswerError> {
    if *signer == trust.own {
        return Err(Certificate("it is our own"));
    }
    let signs = |u: x509::KeyUsage| u.digital_signature || u.non_repudiation;
    if !signer.key_usage().is_none_or(signs) {
        return Err(Certificate("it is not for signatures"));
    }
    let mut at = signer;
    for depth in 0..limits::CHAIN_CERTIFICATES_MAX {
        if !at.is_valid_at(now) {
            return Err(Certificate("a certificate is not valid at this time"));
        }
        if at.unknown_critical_extension().is_some() {
            return Err(Certificate(
                "a certificate has an unknown critical extension",
            ));
        }
        if trust.anchors.contains(at) {
            return Ok(());
        }
        let issued_by = |c: &&Cert| may_issue(c, depth) && at.verify_issued_by(c).is_ok();
        let mut candidates = trust.anchors.iter().chain(pool);
        at = candidates
            .find(issued_by)
            .ok_or(Certificate("an issuer is missing"))?;
    }
    Err(Certificate("the path is too long"))
}

/// RFC 5280 §4.2.1.9 and §4.2.1.3; `below` authorities stand under it.
fn may_issue(certificate: &Cert, below: usize) -> bool {
    certificate.is_ca()
        && certificate.key_usage().is_none_or(|u| u.key_cert_sign)
        && certificate
            .path_len()
            .is_none_or(|max| below <= usize::from(max))
}

/// Base64 as XML holds it: with line breaks.
fn decode(text: &str) -> Option<Vec<u8>> {
    let packed: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(packed).ok()
}
