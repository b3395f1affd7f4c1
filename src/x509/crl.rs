//! Certificate revocation lists (RFC 5280 §5): complete lists of the issuer's
//! own certificates. Delta and indirect lists are refused, and so are lists for
//! some reasons only: none of them can say that a certificate is good.

use super::certificate::{extension, point_urls};
use super::tlv::{self, Fault, Reader, Tlv, place, tag};
use super::{Cert, CertStatus, SignatureAlgorithm, X509Error, verify};
use crate::base::limits;
use const_oid::ObjectIdentifier;
use std::ops::Range;
use std::sync::Arc;
use time::OffsetDateTime;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

const CRL_NUMBER: ObjectIdentifier = oid("2.5.29.20");
const REASON_CODE: ObjectIdentifier = oid("2.5.29.21");
const INVALIDITY_DATE: ObjectIdentifier = oid("2.5.29.24");
const DELTA_INDICATOR: ObjectIdentifier = oid("2.5.29.27");
const DISTRIBUTION_POINT: ObjectIdentifier = oid("2.5.29.28");
const AUTHORITY_KEY_ID: ObjectIdentifier = oid("2.5.29.35");

/// What is wrong with a revocation list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// Not the ASN.1 structure it should be.
    #[error("malformed revocation list: {0}")]
    Malformed(&'static str),
    /// A kind of list that is not supported.
    #[error("{0} revocation lists are not supported")]
    Kind(&'static str),
    /// A critical extension that is not understood.
    #[error("the revocation list has the critical extension {0}, which is not understood")]
    CriticalExtension(String),
    /// The list is by another issuer, or the issuer may not sign lists.
    #[error("the revocation list is not by the certificate's issuer")]
    Issuer,
    /// The list's signature cannot be accepted.
    #[error("the revocation list's signature cannot be accepted")]
    Signature(#[source] X509Error),
    /// The list does not cover certificates of this kind or place.
    #[error("the revocation list does not cover this certificate")]
    Scope,
}

impl From<Fault> for CrlError {
    fn from(fault: Fault) -> Self {
        Self::Malformed(fault.0)
    }
}

/// A revocation list that was read; [`Self::verify`] says whether to believe it.
/// Cheap to clone: lists are large and shared.
#[derive(Debug, Clone)]
pub struct Crl {
    der: Arc<[u8]>,
    tbs: Range<usize>,
    issuer: Range<usize>,
    revoked: Range<usize>,
    this_update: OffsetDateTime,
    next_update: Option<OffsetDateTime>,
    scope: Scope,
    algorithm: Vec<u8>,
    signature: Vec<u8>,
}

/// What `issuingDistributionPoint` leaves in the list (RFC 5280 §5.2.5).
#[derive(Debug, Clone, Default)]
struct Scope {
    /// The list's own addresses; `None`: no restriction to a point.
    urls: Option<Vec<String>>,
    users_only: bool,
    cas_only: bool,
}

impl Crl {
    /// Reads a `CertificateList`.
    ///
    /// # Errors
    /// [`CrlError::Malformed`], [`CrlError::Kind`] for delta, indirect and
    /// partial lists, [`CrlError::CriticalExtension`].
    pub fn from_der(der: &[u8]) -> Result<Self, CrlError> {
        if der.len() > limits::CRL_BYTES_MAX {
            return Err(CrlError::Malformed("too large"));
        }
        let mut outer = Tlv::only_of(der, tag::SEQUENCE)?.reader();
        let tbs = outer.expect(tag::SEQUENCE)?;
        let algorithm = outer.expect(tag::SEQUENCE)?.raw;
        let signature = outer.read()?.bit_string_bytes()?.to_vec();
        outer.end()?;

        let mut fields = tbs.reader();
        fields.optional(tag::INTEGER)?;
        if fields.expect(tag::SEQUENCE)?.raw != algorithm {
            return Err(CrlError::Malformed("two different signature algorithms"));
        }
        let issuer = fields.expect(tag::SEQUENCE)?.raw;
        let this_update = fields.read()?.time()?;
        let next_update = match fields.peek() {
            Some(tag::UTC_TIME | tag::GENERALIZED_TIME) => Some(fields.read()?.time()?),
            _ => None,
        };
        let revoked = fields.optional(tag::SEQUENCE)?;
        let scope = match fields.optional(tag::context(0))? {
            Some(wrapped) => Scope::read(wrapped)?,
            None => Scope::default(),
        };
        fields.end()?;
        Ok(Self {
            tbs: place(der, tbs.raw),
            issuer: place(der, issuer),
            revoked: revoked.map_or(0..0, |list| place(der, list.content)),
            this_update,
            next_update,
            scope,
            algorithm: algorithm.to_vec(),
            signature,
            der: der.into(),
        })
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.der.get(range.clone()).unwrap_or_default()
    }

    /// The whole list as it arrived.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// When the list was issued.
    pub fn this_update(&self) -> OffsetDateTime {
        self.this_update
    }

    /// By when the next list will be issued.
    pub fn next_update(&self) -> Option<OffsetDateTime> {
        self.next_update
    }

    /// The issuer's `Name`, tag and length included.
    pub fn issuer_der(&self) -> &[u8] {
        self.slice(&self.issuer)
    }

    /// Checks that `issuer` signed the list and may sign lists; with what.
    ///
    /// # Errors
    /// [`CrlError::Issuer`], [`CrlError::Signature`].
    pub fn verify(&self, issuer: &Cert) -> Result<SignatureAlgorithm, CrlError> {
        let may_sign = issuer.key_usage().is_none_or(|usage| usage.crl_sign);
        if self.issuer_der() != issuer.subject_der() || !may_sign {
            return Err(CrlError::Issuer);
        }
        let algorithm = SignatureAlgorithm::from_identifier_der(&self.algorithm)
            .ok_or_else(|| CrlError::Signature(X509Error::algorithm(&self.algorithm)))?;
        let tbs = self.slice(&self.tbs);
        verify(issuer, algorithm, tbs, &self.signature).map_err(CrlError::Signature)?;
        Ok(algorithm)
    }

    /// What the list says about a certificate of its issuer: revoked, or good
    /// because it is not listed.
    ///
    /// # Errors
    /// [`CrlError::Issuer`] and [`CrlError::Scope`] when the list does not
    /// speak for this certificate; [`CrlError::Malformed`] and the refusals of
    /// an entry that is not understood.
    pub fn status(&self, cert: &Cert) -> Result<CertStatus, CrlError> {
        if self.issuer_der() != cert.issuer_der() {
            return Err(CrlError::Issuer);
        }
        self.scope.check(cert)?;
        for entry in Reader::new(self.slice(&self.revoked)) {
            let mut fields = entry?.expect_tag(tag::SEQUENCE)?.reader();
            let serial = fields.expect(tag::INTEGER)?.content;
            if tlv::same_integer(serial, cert.serial()) {
                let at = fields.read()?.time()?;
                let reason = match fields.optional(tag::SEQUENCE)? {
                    Some(extensions) => entry_reason(extensions)?,
                    None => None,
                };
                return Ok(CertStatus::Revoked { at, reason });
            }
        }
        Ok(CertStatus::Good)
    }
}

fn entry_reason(extensions: Tlv<'_>) -> Result<Option<u8>, CrlError> {
    let mut reason = None;
    for element in extensions.reader() {
        let extension = extension(element?)?;
        match extension.oid {
            Some(REASON_CODE) => {
                let code = Tlv::only_of(extension.value, tag::ENUMERATED)?.small()?;
                reason = u8::try_from(code).ok();
            }
            Some(INVALIDITY_DATE) => {}
            _ if extension.critical => {
                return Err(CrlError::CriticalExtension(extension.name));
            }
            _ => {}
        }
    }
    Ok(reason)
}

impl Scope {
    fn read(wrapped: Tlv<'_>) -> Result<Self, CrlError> {
        let mut scope = Self::default();
        for element in Tlv::only_of(wrapped.content, tag::SEQUENCE)?.reader() {
            let extension = extension(element?)?;
            match extension.oid {
                Some(DELTA_INDICATOR) => return Err(CrlError::Kind("delta")),
                Some(DISTRIBUTION_POINT) => scope = Self::read_point(extension.value)?,
                Some(CRL_NUMBER | AUTHORITY_KEY_ID) => {}
                _ if extension.critical => {
                    return Err(CrlError::CriticalExtension(extension.name));
                }
                _ => {}
            }
        }
        Ok(scope)
    }

    fn read_point(value: &[u8]) -> Result<Self, CrlError> {
        let mut scope = Self::default();
        for field in Tlv::only_of(value, tag::SEQUENCE)?.reader() {
            let field = field?;
            const POINT: u8 = tag::context(0);
            const USERS: u8 = tag::context_primitive(1);
            const CAS: u8 = tag::context_primitive(2);
            const REASONS: u8 = tag::context_primitive(3);
            const INDIRECT: u8 = tag::context_primitive(4);
            const ATTRIBUTES: u8 = tag::context_primitive(5);
            let set = field.content != [0];
            match field.tag {
                POINT => scope.urls = Some(point_urls(field)?),
                USERS => scope.users_only = set,
                CAS => scope.cas_only = set,
                REASONS => return Err(CrlError::Kind("partial")),
                INDIRECT if set => return Err(CrlError::Kind("indirect")),
                ATTRIBUTES if set => return Err(CrlError::Kind("attribute certificate")),
                INDIRECT | ATTRIBUTES => {}
                _ => return Err(CrlError::Malformed("issuing distribution point")),
            }
        }
        Ok(scope)
    }

    fn check(&self, cert: &Cert) -> Result<(), CrlError> {
        let kind = !(self.users_only && cert.is_ca() || self.cas_only && !cert.is_ca());
        // A list cut into points says nothing about certificates of another one.
        let place = match &self.urls {
            Some(urls) => urls.iter().any(|url| cert.crl_urls().contains(url)),
            None => true,
        };
        if kind && place {
            Ok(())
        } else {
            Err(CrlError::Scope)
        }
    }
}
