//! Judges the XAdES B-LT signature of a received document (EN 319 132-1),
//! with code that shares nothing with the daemon's.

use crate::cert::{Cert, CertError};
use crate::cms::{self, CmsError};
use crate::dom::{self, DS, DomError, XADES};
use crate::ocsp::Good;
use crate::pki::Pki;
use crate::registry::{Registry, Standing};
use crate::xmldsig::{DsigError, Reference, Signature};
use crate::{crl, ocsp, tsa};
use roxmltree::{Document, Node};
use sceau::base::clock;
use sceau::xml::c14n;
use sceau::xml::path::Slot;
use time::{Duration, OffsetDateTime};

/// Type of the reference to the signed properties (EN 319 132-1 §4.4.2).
const SIGNED_PROPERTIES: &str = "http://uri.etsi.org/01903#SignedProperties";
/// How far a timestamp may lie in the future, or the claimed signing time
/// behind the timestamp.
const TOLERANCE: Duration = Duration::minutes(5);

/// Why a signature is refused.
#[derive(Debug, thiserror::Error)]
pub enum XadesFault {
    /// The structure is not the expected one.
    #[error("{0}")]
    Structure(#[from] DomError),
    /// The XML signature is wrong.
    #[error("{0}")]
    Dsig(#[from] DsigError),
    /// A certificate is wrong.
    #[error("{0}")]
    Cert(#[from] CertError),
    /// A rule of the profile is broken.
    #[error("{0}")]
    Rule(String),
    /// The timestamp is missing or wrong.
    #[error("timestamp: {0}")]
    Timestamp(String),
}

impl XadesFault {
    /// Whether the timestamp is to blame, not the signature.
    pub fn is_timestamp(&self) -> bool {
        matches!(self, Self::Timestamp(_))
    }
}

impl From<CmsError> for XadesFault {
    fn from(fault: CmsError) -> Self {
        Self::Timestamp(fault.to_string())
    }
}

fn rule(text: impl Into<String>) -> XadesFault {
    XadesFault::Rule(text.into())
}

/// The sandbox's knowledge a judgement rests on.
#[derive(Clone, Copy)]
pub struct Judge<'a> {
    /// Whose certificates are trusted.
    pub pki: &'a Pki,
    /// What is revoked.
    pub registry: &'a Registry,
    /// The present time.
    pub now: OffsetDateTime,
}

impl Judge<'_> {
    /// Checks a signer's or authority's certificate as of `at`.
    ///
    /// # Errors
    /// The certificate was not issued here, not valid, or revoked by then.
    pub fn certificate(&self, cert: &Cert, at: OffsetDateTime) -> Result<(), XadesFault> {
        cert.issued_by(&self.pki.issuing.cert)?;
        if !cert.valid_at(at) {
            return Err(CertError::Validity(at).into());
        }
        match self.registry.standing(cert.serial()) {
            Standing::Good => Ok(()),
            // A signature stamped before the revocation stays good
            // (EN 319 102-1 §5.6.2).
            Standing::Revoked { at: since, .. } if at < since => Ok(()),
            Standing::Revoked { at: since, .. } => {
                Err(rule(format!("the certificate was revoked at {since}")))
            }
            Standing::Unknown => Err(rule("the certificate was not issued here")),
        }
    }

    /// Judges the one signature of `doc`, which must stand in `slot`. Returns
    /// the time of its timestamp.
    ///
    /// # Errors
    /// The first fault found.
    pub fn document(&self, doc: &Document<'_>, slot: &Slot) -> Result<OffsetDateTime, XadesFault> {
        let all = doc.descendants().filter(|n| dom::is(*n, DS, "Signature"));
        if all.count() != 1 {
            return Err(rule("the document must hold exactly one ds:Signature"));
        }
        let node = match slot {
            Slot::EndOfRoot => doc.root_element().last_element_child(),
            Slot::Wrapper(path) => match path.select(doc.root()).as_slice() {
                [wrapper] => Some(dom::sole_element(*wrapper)?),
                _ => None,
            },
        };
        let node = node.ok_or_else(|| rule("the document is not signed"))?;
        if !dom::is(node, DS, "Signature") {
            return Err(rule("the signature does not stand in its slot"));
        }
        let signature = Signature::read(node)?;
        let properties = qualifying(&signature)?;
        check_references(doc, &signature, properties)?;
        let certs = signature.key_info_certs()?;
        let signer = certs.first().ok_or_else(|| rule("no certificate"))?;
        let claimed = check_signed_properties(properties, signer)?;
        signature.verify(signer)?;
        if !signer.non_repudiation() {
            return Err(rule("the certificate is not for signing documents"));
        }
        let unsigned = unsigned_properties(properties)?;
        let stamp = self.timestamp(&signature, unsigned)?;
        if claimed > stamp.at + TOLERANCE {
            return Err(rule("the signing time lies after the timestamp"));
        }
        self.certificate(signer, stamp.at)?;
        let mut held = certs.clone();
        held.extend(stamp.certs.iter().cloned());
        self.long_term(unsigned, signer, &stamp, held)?;
        Ok(stamp.at)
    }

    fn timestamp(
        &self,
        signature: &Signature<'_, '_>,
        unsigned: Node<'_, '_>,
    ) -> Result<tsa::Stamp, XadesFault> {
        let missing = |e: DomError| XadesFault::Timestamp(e.0);
        let node = dom::child(unsigned, XADES, "SignatureTimeStamp").map_err(missing)?;
        let method = dom::child(node, DS, "CanonicalizationMethod").map_err(missing)?;
        if method.attribute("Algorithm") != Some(dom::EXCLUSIVE) {
            return Err(XadesFault::Timestamp(
                "not exclusive canonicalization".to_owned(),
            ));
        }
        let token = dom::child(node, XADES, "EncapsulatedTimeStamp").map_err(missing)?;
        let token = dom::base64_of(token).map_err(missing)?;
        let message = dom::canonical(signature.value_node, &[]);
        let stamp = tsa::check(&token, &message)?;
        if stamp.at > self.now + TOLERANCE {
            return Err(XadesFault::Timestamp("lies in the future".to_owned()));
        }
        let known = self.certificate(&stamp.signer, stamp.at);
        known.map_err(|e| XadesFault::Timestamp(e.to_string()))?;
        Ok(stamp)
    }

    /// B-LT: everything needed to validate later is inside. Revocation data for
    /// the signer and the authority's certificate are not older than the
    /// timestamp; those for the issuing CA held at its time, because a root
    /// publishes its list only every few months (EN 319 132-1 §5.5,
    /// EN 319 102-1 §5.2.5).
    fn long_term(
        &self,
        unsigned: Node<'_, '_>,
        signer: &Cert,
        stamp: &tsa::Stamp,
        mut held: Vec<Cert>,
    ) -> Result<(), XadesFault> {
        let values = dom::child(unsigned, XADES, "CertificateValues")?;
        for item in dom::children(values, XADES, "EncapsulatedX509Certificate") {
            held.push(Cert::from_der(&dom::base64_of(item)?)?);
        }
        let revocation = dom::child(unsigned, XADES, "RevocationValues")?;
        let ocsp = encapsulated(revocation, "OCSPValues", "EncapsulatedOCSPValue")?;
        let crls = encapsulated(revocation, "CRLValues", "EncapsulatedCRLValue")?;
        let (root, issuing) = (&self.pki.root.cert, &self.pki.issuing.cert);
        let chain = [(signer, issuing), (&stamp.signer, issuing), (issuing, root)];
        for (cert, issuer) in chain {
            let name = cert.subject_text();
            if !held.contains(cert) {
                return Err(rule(format!("the certificate of {name} is not inside")));
            }
            let good = newest(&ocsp, &crls, cert, issuer)?;
            let good = good.ok_or_else(|| rule(format!("no revocation data for {name}")))?;
            let was_current = cert == issuing && good.until.is_some_and(|until| until >= stamp.at);
            if good.since < stamp.at && !was_current {
                return Err(rule(format!(
                    "the revocation data for {name} are older than the timestamp"
                )));
            }
        }
        Ok(())
    }
}

/// The decoded items of one kind of revocation value.
fn encapsulated(
    revocation: Node<'_, '_>,
    list: &'static str,
    item: &'static str,
) -> Result<Vec<Vec<u8>>, DomError> {
    match dom::optional(revocation, XADES, list)? {
        Some(list) => dom::children(list, XADES, item)
            .map(dom::base64_of)
            .collect(),
        None => Ok(Vec::new()),
    }
}

/// The newest "good" about `cert`. An item with a wrong
/// signature is a fault even when another would do.
fn newest(
    ocsp: &[Vec<u8>],
    crls: &[Vec<u8>],
    cert: &Cert,
    issuer: &Cert,
) -> Result<Option<Good>, XadesFault> {
    let mut found = Vec::new();
    for answer in ocsp {
        found.extend(ocsp::good_for(answer, cert, issuer)?);
    }
    for list in crls {
        found.extend(crl::good_for(list, cert, issuer)?);
    }
    Ok(found.into_iter().max())
}

/// The SignedProperties' parent, which must be this signature's.
fn qualifying<'a, 'i>(signature: &Signature<'a, 'i>) -> Result<Node<'a, 'i>, XadesFault> {
    let object = dom::child(signature.node, DS, "Object")?;
    let properties = dom::child(object, XADES, "QualifyingProperties")?;
    let target = dom::attribute(properties, "Target")?;
    if target.strip_prefix('#') != signature.node.attribute("Id") {
        return Err(rule("the properties are another signature's"));
    }
    Ok(properties)
}

fn unsigned_properties<'a, 'i>(properties: Node<'a, 'i>) -> Result<Node<'a, 'i>, XadesFault> {
    let path = ["UnsignedProperties", "UnsignedSignatureProperties"];
    dom::descend(properties, XADES, &path)
        .map_err(|_| XadesFault::Timestamp("the signature has none".to_owned()))
}

/// Exactly two references: the whole document without the signature, and the
/// signed properties.
fn check_references(
    doc: &Document<'_>,
    signature: &Signature<'_, '_>,
    properties: Node<'_, '_>,
) -> Result<(), XadesFault> {
    let signed = dom::child(properties, XADES, "SignedProperties")?;
    let is_properties = |r: &&Reference<'_>| r.kind == Some(SIGNED_PROPERTIES);
    let (own, document): (Vec<_>, Vec<_>) = signature.references.iter().partition(is_properties);
    let ([own], [document]) = (own.as_slice(), document.as_slice()) else {
        return Err(rule(
            "there must be two references: document and signed properties",
        ));
    };
    let id = own.uri.strip_prefix('#').unwrap_or_default();
    if dom::by_id(doc.root(), id)? != signed {
        return Err(rule("the reference does not name the signed properties"));
    }
    own.check(&dom::canonical(signed, own.only_exclusive()?))?;
    if !document.uri.is_empty() {
        return Err(rule("the whole document must be signed (URI=\"\")"));
    }
    let options = c14n::Options {
        prefixes: document.enveloped_exclusive()?,
        ..c14n::Options::EXCLUSIVE
    };
    let range = signature.node.range();
    let outside = |n: Node<'_, '_>| {
        !(n.range().start >= range.start && n.range().end <= range.end && !n.is_root())
    };
    document.check(&c14n::canonicalize(doc, doc.root(), outside, &options))?;
    Ok(())
}

/// Binds the certificate and returns the claimed signing time.
fn check_signed_properties(
    properties: Node<'_, '_>,
    signer: &Cert,
) -> Result<OffsetDateTime, XadesFault> {
    let path = ["SignedProperties", "SignedSignatureProperties"];
    let signed = dom::descend(properties, XADES, &path)?;
    let first = dom::child(signed, XADES, "SigningCertificateV2")?;
    let cert = dom::children(first, XADES, "Cert").next();
    let cert = cert.ok_or_else(|| rule("SigningCertificateV2 is empty"))?;
    let digest = dom::child(cert, XADES, "CertDigest")?;
    let method = dom::attribute(dom::child(digest, DS, "DigestMethod")?, "Algorithm")?;
    if method != "http://www.w3.org/2001/04/xmlenc#sha256" {
        return Err(rule("SigningCertificateV2 does not use SHA-256"));
    }
    let value = dom::base64_of(dom::child(digest, DS, "DigestValue")?)?;
    if value != cms::hash(crate::cert::Hash::Sha256, signer.der()) {
        return Err(rule("SigningCertificateV2 names another certificate"));
    }
    let time = dom::text(dom::child(signed, XADES, "SigningTime")?)?;
    clock::parse_rfc3339(time).ok_or_else(|| rule("SigningTime is not a time"))
}
