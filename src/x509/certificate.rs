//! X.509 certificates (RFC 5280), read from the bytes that were signed.

use super::tlv::{self, Fault, Reader, Tlv, place, tag};
use super::{KeyKind, SignatureAlgorithm, X509Error, name, verify};
use crate::base::{digest, limits};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use const_oid::ObjectIdentifier;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use time::OffsetDateTime;

/// An X.509 certificate. Keeps the DER it was read from and never re-encodes.
/// Cheap to clone; equal when the DER is equal.
#[derive(Clone)]
pub struct Cert(Arc<Inner>);

struct Inner {
    der: Vec<u8>,
    tbs: Range<usize>,
    serial: Range<usize>,
    issuer: Range<usize>,
    subject: Range<usize>,
    spki: Range<usize>,
    public_key: Range<usize>,
    signature_algorithm: Range<usize>,
    signature: Range<usize>,
    issuer_text: String,
    subject_text: String,
    key: KeyKind,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    extensions: Extensions,
}

/// Stands for every purpose whose identifier [`ObjectIdentifier`] cannot hold, so
/// that "this purpose alone" stays a question of counting.
const UNNAMED_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.39.0");

/// What the purposes in `keyUsage` allow (RFC 5280 §4.2.1.3); the bits that
/// matter to signing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUsage {
    /// Signatures other than on certificates and CRLs.
    pub digital_signature: bool,
    /// `nonRepudiation`, since renamed `contentCommitment`.
    pub non_repudiation: bool,
    /// Signatures on certificates.
    pub key_cert_sign: bool,
    /// Signatures on revocation lists.
    pub crl_sign: bool,
}

#[derive(Default)]
struct Extensions {
    is_ca: bool,
    path_len: Option<u8>,
    key_usage: Option<KeyUsage>,
    extended_key_usage: Option<(bool, Vec<ObjectIdentifier>)>,
    subject_key_id: Option<Vec<u8>>,
    ocsp_urls: Vec<String>,
    ca_issuers_urls: Vec<String>,
    crl_urls: Vec<String>,
    ocsp_no_check: bool,
    unknown_critical: Option<String>,
}

mod oids {
    use const_oid::ObjectIdentifier;
    const fn oid(text: &str) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(text)
    }
    pub(super) const SUBJECT_KEY_ID: ObjectIdentifier = oid("2.5.29.14");
    pub(super) const KEY_USAGE: ObjectIdentifier = oid("2.5.29.15");
    pub(super) const SUBJECT_ALT_NAME: ObjectIdentifier = oid("2.5.29.17");
    pub(super) const ISSUER_ALT_NAME: ObjectIdentifier = oid("2.5.29.18");
    pub(super) const BASIC_CONSTRAINTS: ObjectIdentifier = oid("2.5.29.19");
    pub(super) const CRL_DISTRIBUTION_POINTS: ObjectIdentifier = oid("2.5.29.31");
    pub(super) const CERTIFICATE_POLICIES: ObjectIdentifier = oid("2.5.29.32");
    pub(super) const POLICY_MAPPINGS: ObjectIdentifier = oid("2.5.29.33");
    pub(super) const AUTHORITY_KEY_ID: ObjectIdentifier = oid("2.5.29.35");
    pub(super) const EXTENDED_KEY_USAGE: ObjectIdentifier = oid("2.5.29.37");
    pub(super) const INHIBIT_ANY_POLICY: ObjectIdentifier = oid("2.5.29.54");
    pub(super) const AUTHORITY_INFO_ACCESS: ObjectIdentifier = oid("1.3.6.1.5.5.7.1.1");
    pub(super) const QC_STATEMENTS: ObjectIdentifier = oid("1.3.6.1.5.5.7.1.3");
    pub(super) const ACCESS_OCSP: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.1");
    pub(super) const ACCESS_CA_ISSUERS: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.2");
    pub(super) const OCSP_NO_CHECK: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.1.5");
}

impl Cert {
    /// Reads one certificate in DER.
    ///
    /// # Errors
    /// [`X509Error::TooLarge`] and [`X509Error::Malformed`].
    pub fn from_der(der: &[u8]) -> Result<Self, X509Error> {
        if der.len() > limits::CERTIFICATE_BYTES_MAX {
            return Err(X509Error::TooLarge {
                what: "certificate",
                limit_bytes: limits::CERTIFICATE_BYTES_MAX,
            });
        }
        let inner = Inner::read(der).map_err(X509Error::malformed("certificate"))?;
        Ok(Self(Arc::new(inner)))
    }

    /// Reads every `CERTIFICATE` block of a PEM text, in order.
    ///
    /// # Errors
    /// [`X509Error::Malformed`] when the PEM or a certificate is damaged, or
    /// when there is no certificate at all.
    pub fn from_pem_many(pem: &[u8]) -> Result<Vec<Self>, X509Error> {
        let damaged = || X509Error::malformed("PEM")(Fault("damaged PEM block"));
        let certs = CertificateDer::pem_slice_iter(pem)
            .map(|der| Self::from_der(&der.map_err(|_| damaged())?))
            .collect::<Result<Vec<_>, _>>()?;
        if certs.is_empty() {
            return Err(X509Error::malformed("PEM")(Fault("no certificate in it")));
        }
        Ok(certs)
    }

    /// The certificate as one PEM block (RFC 7468).
    pub fn to_pem(&self) -> String {
        let text = STANDARD.encode(self.der());
        let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, tail) = rest.split_at_checked(64).unwrap_or((rest, ""));
            out.push_str(line);
            out.push('\n');
            rest = tail;
        }
        out.push_str("-----END CERTIFICATE-----\n");
        out
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.0.der.get(range.clone()).unwrap_or_default()
    }

    /// The whole certificate, byte for byte as it was read.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// SHA-256 of the DER: the fingerprint.
    pub fn sha256(&self) -> [u8; 32] {
        digest::sha256(self.der())
    }

    /// The subject `Name`, tag and length included.
    pub fn subject_der(&self) -> &[u8] {
        self.slice(&self.0.subject)
    }

    /// The issuer `Name`, tag and length included.
    pub fn issuer_der(&self) -> &[u8] {
        self.slice(&self.0.issuer)
    }

    /// The content bytes of the serial number INTEGER, as they were encoded.
    pub fn serial(&self) -> &[u8] {
        self.slice(&self.0.serial)
    }

    /// The subject as RFC 4514 text.
    pub fn subject(&self) -> String {
        self.0.subject_text.clone()
    }

    /// The issuer as RFC 4514 text.
    pub fn issuer(&self) -> String {
        self.0.issuer_text.clone()
    }

    /// The subject's (last) common name.
    pub fn common_name(&self) -> Option<String> {
        name::common_name(self.subject_der()).ok().flatten()
    }

    /// The `SubjectPublicKeyInfo`, tag and length included.
    pub fn spki_der(&self) -> &[u8] {
        self.slice(&self.0.spki)
    }

    /// The bytes inside the public key's BIT STRING.
    pub fn public_key_bits(&self) -> &[u8] {
        self.slice(&self.0.public_key)
    }

    /// What the issuer signed the certificate with; `None`: nothing accepted.
    pub fn signature_algorithm(&self) -> Option<SignatureAlgorithm> {
        SignatureAlgorithm::from_identifier_der(self.slice(&self.0.signature_algorithm))
    }

    /// What kind of key it is.
    pub fn key(&self) -> KeyKind {
        self.0.key
    }

    /// First moment of validity.
    pub fn not_before(&self) -> OffsetDateTime {
        self.0.not_before
    }

    /// Last moment of validity.
    pub fn not_after(&self) -> OffsetDateTime {
        self.0.not_after
    }

    /// Whether `at` lies within the validity, both ends included.
    pub fn is_valid_at(&self, at: OffsetDateTime) -> bool {
        (self.0.not_before..=self.0.not_after).contains(&at)
    }

    /// `basicConstraints` says CA (RFC 5280 §4.2.1.9).
    pub fn is_ca(&self) -> bool {
        self.0.extensions.is_ca
    }

    /// Most intermediate certificates allowed below this CA.
    pub fn path_len(&self) -> Option<u8> {
        self.0.extensions.path_len
    }

    /// The key usage, when stated.
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.0.extensions.key_usage
    }

    /// The extended key usage, when stated: whether it is critical, and the
    /// purposes.
    pub fn extended_key_usage(&self) -> Option<(bool, Vec<ObjectIdentifier>)> {
        self.0.extensions.extended_key_usage.clone()
    }

    /// `http(s)` addresses of OCSP responders.
    pub fn ocsp_urls(&self) -> &[String] {
        &self.0.extensions.ocsp_urls
    }

    /// `http(s)` addresses of the issuer's certificate.
    pub fn ca_issuers_urls(&self) -> &[String] {
        &self.0.extensions.ca_issuers_urls
    }

    /// `http(s)` addresses of revocation lists.
    pub fn crl_urls(&self) -> &[String] {
        &self.0.extensions.crl_urls
    }

    /// A responder that need not be checked itself (RFC 6960 §4.2.2.2.1).
    pub fn ocsp_no_check(&self) -> bool {
        self.0.extensions.ocsp_no_check
    }

    /// The subject key identifier.
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.0.extensions.subject_key_id.as_deref()
    }

    /// The dotted identifier of a critical extension this module does not
    /// understand: such a certificate
    /// must not be part of a chain (RFC 5280 §4.2).
    pub fn unknown_critical_extension(&self) -> Option<&str> {
        self.0.extensions.unknown_critical.as_deref()
    }

    /// Subject and issuer are the same name.
    pub fn is_self_issued(&self) -> bool {
        self.subject_der() == self.issuer_der()
    }

    /// Checks that `issuer`'s subject is this certificate's issuer and that
    /// its key made this certificate's signature. Whether `issuer` is a CA is
    /// the chain's question.
    ///
    /// # Errors
    /// [`X509Error::WrongIssuer`], and those of [`verify`].
    pub fn verify_issued_by(&self, issuer: &Self) -> Result<(), X509Error> {
        if self.issuer_der() != issuer.subject_der() {
            return Err(X509Error::WrongIssuer);
        }
        let algorithm = self
            .signature_algorithm()
            .ok_or_else(|| X509Error::algorithm(self.slice(&self.0.signature_algorithm)))?;
        let signature = self.slice(&self.0.signature);
        verify(issuer, algorithm, self.slice(&self.0.tbs), signature)
    }
}

impl PartialEq for Cert {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.der == other.0.der
    }
}

impl Eq for Cert {}

impl fmt::Debug for Cert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cert({})", self.0.subject_text)
    }
}

impl Inner {
    fn read(der: &[u8]) -> Result<Self, Fault> {
        let mut outer = Tlv::only_of(der, tag::SEQUENCE)?.reader();
        let tbs = outer.expect(tag::SEQUENCE)?;
        let signature_algorithm = outer.expect(tag::SEQUENCE)?;
        let signature = outer.read()?.bit_string_bytes()?;
        outer.end()?;

        let mut fields = tbs.reader();
        fields.optional(tag::context(0))?;
        let serial = fields.expect(tag::INTEGER)?;
        if fields.expect(tag::SEQUENCE)?.raw != signature_algorithm.raw {
            return Err(Fault("two different signature algorithms"));
        }
        let issuer = fields.expect(tag::SEQUENCE)?.raw;
        let mut validity = fields.expect(tag::SEQUENCE)?.reader();
        let subject = fields.expect(tag::SEQUENCE)?.raw;
        let spki = fields.expect(tag::SEQUENCE)?;
        fields.optional(tag::context_primitive(1))?;
        fields.optional(tag::context_primitive(2))?;
        let mut extensions = Extensions::default();
        if let Some(wrapped) = fields.optional(tag::context(3))? {
            extensions = Extensions::read(Tlv::only_of(wrapped.content, tag::SEQUENCE)?)?;
        }
        fields.end()?;

        let mut key_fields = spki.reader();
        let key_algorithm = key_fields.expect(tag::SEQUENCE)?;
        let public_key = key_fields.read()?.bit_string_bytes()?;
        Ok(Self {
            tbs: place(der, tbs.raw),
            serial: place(der, serial.content),
            issuer: place(der, issuer),
            subject: place(der, subject),
            spki: place(der, spki.raw),
            public_key: place(der, public_key),
            signature_algorithm: place(der, signature_algorithm.raw),
            signature: place(der, signature),
            issuer_text: name::text(issuer)?,
            subject_text: name::text(subject)?,
            key: KeyKind::read(key_algorithm, public_key)?,
            not_before: validity.read()?.time()?,
            not_after: validity.read()?.time()?,
            extensions,
            der: der.to_vec(),
        })
    }
}

/// One X.509 extension.
pub(super) struct Extension<'a> {
    /// `None`: one nobody here knows, see [`Tlv::known_oid`].
    pub(super) oid: Option<ObjectIdentifier>,
    /// The identifier, dotted.
    pub(super) name: String,
    pub(super) critical: bool,
    pub(super) value: &'a [u8],
}

/// Reads one `Extension`; an explicit `critical FALSE` breaks DER but exists.
pub(super) fn extension(element: Tlv<'_>) -> Result<Extension<'_>, Fault> {
    let mut fields = element.expect_tag(tag::SEQUENCE)?.reader();
    let identifier = fields.read()?;
    let critical = match fields.optional(tag::BOOLEAN)? {
        Some(flag) => flag.boolean()?,
        None => false,
    };
    let value = fields.expect(tag::OCTET_STRING)?.content;
    fields.end()?;
    Ok(Extension {
        oid: identifier.known_oid()?,
        name: identifier.dotted()?,
        critical,
        value,
    })
}

impl Extensions {
    fn read(list: Tlv<'_>) -> Result<Self, Fault> {
        let mut out = Self::default();
        let mut seen = Vec::new();
        for element in list.reader() {
            let extension = extension(element?)?;
            if seen.contains(&extension.name) {
                return Err(Fault("an extension occurs twice"));
            }
            out.take(&extension)?;
            seen.push(extension.name);
        }
        Ok(out)
    }

    fn take(&mut self, extension: &Extension<'_>) -> Result<(), Fault> {
        let value = extension.value;
        match extension.oid {
            Some(oids::BASIC_CONSTRAINTS) => {
                let mut fields = Tlv::only_of(value, tag::SEQUENCE)?.reader();
                if let Some(flag) = fields.optional(tag::BOOLEAN)? {
                    self.is_ca = flag.boolean()?;
                }
                if let Some(length) = fields.optional(tag::INTEGER)? {
                    // More than 255 limits nothing: chains here are shorter.
                    self.path_len = Some(u8::try_from(length.small()?).unwrap_or(u8::MAX));
                }
            }
            Some(oids::KEY_USAGE) => {
                let flags = Tlv::only(value)?.bit_flags()?;
                let bit = |n: u32| flags & 1 << n != 0;
                self.key_usage = Some(KeyUsage {
                    digital_signature: bit(0),
                    non_repudiation: bit(1),
                    key_cert_sign: bit(5),
                    crl_sign: bit(6),
                });
            }
            Some(oids::EXTENDED_KEY_USAGE) => {
                let purposes = Tlv::only_of(value, tag::SEQUENCE)?.reader();
                let purposes = purposes.map(|p| Ok(p?.known_oid()?.unwrap_or(UNNAMED_PURPOSE)));
                let purposes = purposes.collect::<Result<_, _>>()?;
                self.extended_key_usage = Some((extension.critical, purposes));
            }
            Some(oids::SUBJECT_KEY_ID) => {
                let id = Tlv::only_of(value, tag::OCTET_STRING)?;
                self.subject_key_id = Some(id.content.to_vec());
            }
            Some(oids::AUTHORITY_INFO_ACCESS) => self.take_access(value)?,
            Some(oids::CRL_DISTRIBUTION_POINTS) => self.crl_urls = distribution_urls(value)?,
            Some(oids::OCSP_NO_CHECK) => self.ocsp_no_check = true,
            // Understood in the sense that nothing in them narrows what we do:
            // we demand no policy, and policyConstraints, by which a chain
            // could demand one, are not among them (RFC 5280 §6.1.5 g).
            Some(
                oids::AUTHORITY_KEY_ID
                | oids::SUBJECT_ALT_NAME
                | oids::ISSUER_ALT_NAME
                | oids::CERTIFICATE_POLICIES
                | oids::POLICY_MAPPINGS
                | oids::INHIBIT_ANY_POLICY
                | oids::QC_STATEMENTS,
            ) => {}
            _ if extension.critical => self.unknown_critical = Some(extension.name.clone()),
            _ => {}
        }
        Ok(())
    }

    /// RFC 5280 §4.2.2.1.
    fn take_access(&mut self, value: &[u8]) -> Result<(), Fault> {
        for description in Tlv::only_of(value, tag::SEQUENCE)?.reader() {
            let mut fields = description?.expect_tag(tag::SEQUENCE)?.reader();
            let method = fields.read()?.known_oid()?;
            let url = name::uri(fields.read()?);
            match method {
                Some(oids::ACCESS_OCSP) => self.ocsp_urls.extend(url),
                Some(oids::ACCESS_CA_ISSUERS) => self.ca_issuers_urls.extend(url),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Addresses of complete CRLs of the certificate's own issuer
/// (RFC 5280 §4.2.1.13); points for some reasons only, or of another CRL
/// issuer, are left out.
fn distribution_urls(value: &[u8]) -> Result<Vec<String>, Fault> {
    let mut urls = Vec::new();
    for point in Tlv::only_of(value, tag::SEQUENCE)?.reader() {
        let mut fields = point?.expect_tag(tag::SEQUENCE)?.reader();
        let location = fields.optional(tag::context(0))?;
        if let (Some(location), true) = (location, fields.is_empty()) {
            urls.extend(point_urls(location)?);
        }
    }
    Ok(urls)
}

/// Addresses in a `DistributionPointName`, wrapped in its explicit tag.
pub(super) fn point_urls(location: Tlv<'_>) -> Result<Vec<String>, Fault> {
    let mut choice: Reader<'_> = location.reader();
    match choice.optional(tag::context(0))? {
        Some(full_name) => name::uris(full_name.reader()),
        None => Ok(Vec::new()),
    }
}

/// `IssuerSerial` with the certificate's own bytes (RFC 5035 §5).
pub fn issuer_serial(cert: &Cert) -> Vec<u8> {
    // GeneralNames with one directoryName, EXPLICIT because Name is a CHOICE.
    let name = tlv::element(tag::context(4), &[cert.issuer_der()]);
    let names = tlv::element(tag::SEQUENCE, &[&name]);
    let serial = tlv::element(tag::INTEGER, &[cert.serial()]);
    tlv::element(tag::SEQUENCE, &[&names, &serial])
}

/// `IssuerAndSerialNumber` with the certificate's own bytes (RFC 5652 §10.2.4).
pub fn issuer_and_serial(cert: &Cert) -> Vec<u8> {
    let serial = tlv::element(tag::INTEGER, &[cert.serial()]);
    tlv::element(tag::SEQUENCE, &[cert.issuer_der(), &serial])
}
