//! The sandbox's own certification authorities and every key it holds.
//!
//! All of it is made at the first start and read back afterwards: root and
//! issuing CA (P-256), timestamp authority (RSA-2048), OCSP responder, identity
//! provider, answer signer (RSA-2048), TLS server, and two identities for the
//! daemon: the transport certificate and a software signer.

use crate::cert::{Cert, CertError, KeyKind};
use crate::registry::{Registry, RegistryError};
use crate::{der, oids};
use base64::Engine;
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, CustomExtension, DnType, DnValue,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, RsaKeySize, SanType, SerialNumber, SigningKey,
};
use sceau::base::{file, hex, random};
use std::path::{Path, PathBuf};
use time::{Duration, OffsetDateTime};

/// Common name of the root.
const ROOT_NAME: &str = "Sceau sandbox root CA";
/// Common name of the issuing CA.
const ISSUING_NAME: &str = "Sceau sandbox issuing CA";
/// Organisation in every name.
const ORGANISATION: &str = "Sceau sandbox (not for production)";

/// Why the PKI cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file cannot be read or written.
    #[error("cannot use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A key or certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// A stored certificate cannot be read.
    #[error("a stored certificate cannot be read: {0}")]
    Read(#[from] CertError),
    /// A PKCS#12 file cannot be made.
    #[error("cannot make a PKCS#12 file: {0}")]
    Pkcs12(String),
    /// The list of issued certificates cannot be kept.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// Kinds of key the sandbox makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeySpec {
    /// RSA, 2048 bits.
    Rsa2048,
    /// RSA, 3072 bits.
    Rsa3072,
    /// RSA, 4096 bits.
    Rsa4096,
    /// ECDSA P-256.
    P256,
    /// ECDSA P-384.
    P384,
}

/// Validity of a certificate with regard to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Validity {
    /// Since yesterday, for two years.
    #[default]
    Valid,
    /// Ended an hour ago.
    Expired,
    /// Begins in thirty days.
    NotYet,
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Signs documents: nonRepudiation.
    Sign,
    /// Authenticates on the network: digitalSignature and clientAuth.
    Authenticate,
    /// Signs timestamps: critical, sole timeStamping.
    Timestamp,
    /// Signs OCSP answers: OCSPSigning and nocheck.
    Ocsp,
    /// Signs assertions or SOAP answers.
    Seal,
    /// TLS server on 127.0.0.1.
    Server,
}

/// A certificate to be made.
#[derive(Debug, Clone)]
pub struct Order {
    /// Common name; a person's given name and surname are derived from it for
    /// [`Role::Sign`] and [`Role::Authenticate`].
    pub name: String,
    /// The `serialNumber` attribute of the subject.
    pub subject_serial: Option<String>,
    /// What it is for.
    pub role: Role,
    /// Its key.
    pub key: KeySpec,
    /// Its validity.
    pub validity: Validity,
}

/// A key with its certificate.
#[derive(Debug)]
pub struct Entity {
    /// The certificate.
    pub cert: Cert,
    key: KeyPair,
}

impl Entity {
    /// Signs; ECDSA signatures come in DER form.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        // A software key that signed at start-up cannot fail later; an empty
        // signature would be refused by every client.
        SigningKey::sign(&self.key, message).unwrap_or_default()
    }

    /// The AlgorithmIdentifier of [`Self::sign`].
    pub fn algorithm(&self) -> Vec<u8> {
        match self.cert.key() {
            KeyKind::Rsa => der::seq(&[&der::oid(oids::RSA_SHA256), &[5, 0]]),
            KeyKind::P256 => der::seq(&[&der::oid(oids::ECDSA_SHA256)]),
            KeyKind::P384 => der::seq(&[&der::oid(oids::ECDSA_SHA384)]),
        }
    }

    /// The XML signature method of [`Self::sign_xml`].
    pub fn xml_method(&self) -> &'static str {
        match self.cert.key() {
            KeyKind::Rsa => "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
            KeyKind::P256 => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
            KeyKind::P384 => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384",
        }
    }

    /// Signs in the form XML signatures use.
    pub fn sign_xml(&self, message: &[u8]) -> Vec<u8> {
        let value = self.sign(message);
        match self.cert.key() {
            KeyKind::Rsa => value,
            KeyKind::P256 => der::ecdsa_fixed(&value, 32).unwrap_or_default(),
            KeyKind::P384 => der::ecdsa_fixed(&value, 48).unwrap_or_default(),
        }
    }

    /// The private key as PKCS#8 PEM.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// The private key as PKCS#8 DER.
    pub fn key_der(&self) -> &[u8] {
        self.key.serialized_der()
    }
}

/// Everything the sandbox signs with.
#[derive(Debug)]
pub struct Pki {
    /// Where the files are.
    pub folder: PathBuf,
    /// Root CA.
    pub root: Entity,
    /// Issuing CA.
    pub issuing: Entity,
    /// Timestamp authority.
    pub tsa: Entity,
    /// A timestamp authority whose certificate has ended, for the scenario.
    pub tsa_expired: Entity,
    /// OCSP responder of the issuing CA.
    pub ocsp: Entity,
    /// A responder whose certificate has ended, for the scenario.
    pub ocsp_expired: Entity,
    /// Signs SAML assertions.
    pub identity_provider: Entity,
    /// Signs the SOAP answers.
    pub answer: Entity,
    /// TLS server.
    pub server: Entity,
    base_url: String,
    now: OffsetDateTime,
}

impl Pki {
    /// Reads the PKI in `folder`, making what is missing. `base_url` is where
    /// revocation information will be served.
    ///
    /// # Errors
    /// [`PkiError`] when files cannot be kept or keys cannot be made.
    pub fn open(
        folder: &Path,
        base_url: &str,
        now: OffsetDateTime,
        registry: &Registry,
    ) -> Result<Self, PkiError> {
        file::create_private_dir(folder).map_err(|source| PkiError::File {
            path: folder.to_owned(),
            source,
        })?;
        let root = stored(folder, "root", || make_root(now))?;
        let issuing = stored(folder, "issuing", || make_issuing(&root, base_url, now))?;
        let order = |name: &str, role, key, validity| Order {
            name: name.to_owned(),
            subject_serial: None,
            role,
            key,
            validity,
        };
        let get = |file: &str, order: Order| {
            let made = stored(folder, file, || issue(&issuing, base_url, now, &order))?;
            registry.issued(&made.cert)?;
            Ok::<Entity, PkiError>(made)
        };
        let (rsa, p256) = (KeySpec::Rsa2048, KeySpec::P256);
        let (valid, expired) = (Validity::Valid, Validity::Expired);
        let tsa = order(
            "Sceau sandbox timestamp authority",
            Role::Timestamp,
            rsa,
            valid,
        );
        let tsa_expired = order(
            "Sceau sandbox timestamp authority",
            Role::Timestamp,
            rsa,
            expired,
        );
        let ocsp = order("Sceau sandbox OCSP responder", Role::Ocsp, p256, valid);
        let ocsp_expired = order("Sceau sandbox OCSP responder", Role::Ocsp, p256, expired);
        let saml = order("Sceau sandbox identity provider", Role::Seal, p256, valid);
        let answer = order("Sceau sandbox answer signer", Role::Seal, rsa, valid);
        let server = order("localhost", Role::Server, p256, valid);
        Ok(Self {
            tsa: get("tsa", tsa)?,
            tsa_expired: get("tsa-expired", tsa_expired)?,
            ocsp: get("ocsp", ocsp)?,
            ocsp_expired: get("ocsp-expired", ocsp_expired)?,
            identity_provider: get("identity-provider", saml)?,
            answer: get("answer", answer)?,
            server: get("server", server)?,
            root,
            folder: folder.to_owned(),
            base_url: base_url.to_owned(),
            now,
            issuing,
        })
    }

    /// Issues a certificate from the issuing CA.
    ///
    /// # Errors
    /// [`PkiError::Make`] when the key cannot be made.
    pub fn issue(&self, order: &Order, now: OffsetDateTime) -> Result<Entity, PkiError> {
        issue(&self.issuing, &self.base_url, now, order)
    }

    /// The identity called `name` in the PKI folder, made from `order` at the
    /// first start: `name.pem` (chain and key), `name.p12`, `name.password`.
    ///
    /// # Errors
    /// [`PkiError`] when a file cannot be written.
    pub fn identity(&self, name: &str, order: &Order) -> Result<Entity, PkiError> {
        let entity = stored(&self.folder, &format!("{name}-leaf"), || {
            self.issue(order, self.now)
        })?;
        let path = |end: &str| self.folder.join(format!("{name}.{end}"));
        if !path("p12").exists() {
            let password = hex::encode(&random::bytes::<12>());
            let p12 = self.pkcs12(&entity, name, &password)?;
            write(&path("pem"), self.chain_and_key(&entity).as_bytes())?;
            write(&path("password"), format!("{password}\n").as_bytes())?;
            write(&path("p12"), &p12)?;
        }
        Ok(entity)
    }

    /// Leaf, issuing CA and private key, in PEM.
    fn chain_and_key(&self, entity: &Entity) -> String {
        entity.cert.to_pem() + &self.issuing.cert.to_pem() + &entity.key_pem()
    }

    fn pkcs12(&self, entity: &Entity, name: &str, password: &str) -> Result<Vec<u8>, PkiError> {
        let fault = |e: p12_keystore::error::Error| PkiError::Pkcs12(e.to_string());
        let key = PrivateKey::from_der(entity.key_der()).map_err(fault)?;
        let mut chain = Vec::new();
        for cert in [&entity.cert, &self.issuing.cert, &self.root.cert] {
            chain.push(Certificate::from_der(cert.der()).map_err(fault)?);
        }
        let local_id: &[u8] = &entity.cert.sha256();
        let mut store = KeyStore::new();
        let entry = PrivateKeyChain::new(local_id, key, chain);
        store.add_entry(name, KeyStoreEntry::PrivateKeyChain(entry));
        // OpenSSL's default count: a random password needs no stretching.
        let writer = store.writer(password).encryption_iterations(2048);
        writer.mac_iterations(2048).write().map_err(fault)
    }
}

/// Reads `name` from the folder, or makes and keeps it. The certificate is
/// written last: a crash in between leaves a key that is simply made anew.
fn stored(
    folder: &Path,
    name: &str,
    make: impl FnOnce() -> Result<Entity, PkiError>,
) -> Result<Entity, PkiError> {
    let (cert_path, key_path) = (
        folder.join(format!("{name}.pem")),
        folder.join(format!("{name}.key.pem")),
    );
    if cert_path.exists() {
        let cert = Cert::from_pem(&read(&cert_path)?)?;
        let key = KeyPair::from_pem(&String::from_utf8_lossy(&read(&key_path)?))?;
        return Ok(Entity { cert, key });
    }
    let made = make()?;
    write(&key_path, made.key_pem().as_bytes())?;
    write(&cert_path, made.cert.to_pem().as_bytes())?;
    Ok(made)
}

fn read(path: &Path) -> Result<Vec<u8>, PkiError> {
    std::fs::read(path).map_err(|source| PkiError::File {
        path: path.to_owned(),
        source,
    })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), PkiError> {
    file::write_atomic(path, bytes).map_err(|source| PkiError::File {
        path: path.to_owned(),
        source,
    })
}

fn make_key(spec: KeySpec) -> Result<KeyPair, rcgen::Error> {
    match spec {
        KeySpec::Rsa2048 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
        KeySpec::Rsa3072 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_3072),
        KeySpec::Rsa4096 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_4096),
        KeySpec::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
        KeySpec::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
    }
}

/// What root and issuing CA have in common. rcgen derives the issuer name and
/// key identifier of what they sign from the same values, so it must not vary.
fn ca_params(name: &str, now: OffsetDateTime) -> Result<CertificateParams, rcgen::Error> {
    let mut params = base_params(name, now)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(match name {
        ROOT_NAME => 1,
        _ => 0,
    }));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = now - Duration::days(60);
    params.not_after = now + Duration::days(3650);
    Ok(params)
}

fn base_params(name: &str, now: OffsetDateTime) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    // Fifteen bytes below a fixed leading one: positive, and never short.
    let serial = [&[0x51], &random::bytes::<15>()[..]].concat();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.not_before = now - Duration::days(1);
    params.not_after = now + Duration::days(730);
    let dn = &mut params.distinguished_name;
    *dn = rcgen::DistinguishedName::new();
    dn.push(
        DnType::CountryName,
        DnValue::PrintableString("LU".try_into()?),
    );
    dn.push(DnType::OrganizationName, ORGANISATION);
    dn.push(DnType::CommonName, name);
    Ok(params)
}

fn make_root(now: OffsetDateTime) -> Result<Entity, PkiError> {
    let key = make_key(KeySpec::P256)?;
    let made = ca_params(ROOT_NAME, now)?.self_signed(&key)?;
    let cert = Cert::from_der(made.der())?;
    Ok(Entity { cert, key })
}

/// The issuing CA has no OCSP address: its revocation is read from the root's
/// CRL, so that clients exercise both ways.
fn make_issuing(root: &Entity, base: &str, now: OffsetDateTime) -> Result<Entity, PkiError> {
    let key = make_key(KeySpec::P256)?;
    let mut params = ca_params(ISSUING_NAME, now)?;
    params.use_authority_key_identifier_extension = true;
    params.crl_distribution_points = vec![CrlDistributionPoint {
        uris: vec![format!("{base}/crl/root.crl")],
    }];
    let access = access(oids::AD_CA_ISSUERS, &format!("{base}/ca/root.crt"));
    params.custom_extensions = vec![extension(oids::AUTHORITY_INFO_ACCESS, der::seq(&[&access]))];
    let issuer = Issuer::new(ca_params(ROOT_NAME, now)?, &root.key);
    let made = params.signed_by(&key, &issuer)?;
    let cert = Cert::from_der(made.der())?;
    Ok(Entity { cert, key })
}

fn issue(ca: &Entity, base: &str, now: OffsetDateTime, order: &Order) -> Result<Entity, PkiError> {
    let key = make_key(order.key)?;
    let mut params = base_params(&order.name, now)?;
    match order.validity {
        Validity::Valid => {}
        Validity::Expired => {
            params.not_before = now - Duration::days(30);
            params.not_after = now - Duration::hours(1);
        }
        Validity::NotYet => params.not_before = now + Duration::days(30),
    }
    // CA:FALSE stated, and a subject key identifier.
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    name_person(&mut params, order)?;
    fill_role(&mut params, order.role)?;
    if order.role != Role::Ocsp {
        let ocsp = access(oids::AD_OCSP, &format!("{base}/ocsp"));
        let issuers = access(oids::AD_CA_ISSUERS, &format!("{base}/ca/issuing.crt"));
        let both = der::seq(&[&ocsp, &issuers]);
        params
            .custom_extensions
            .push(extension(oids::AUTHORITY_INFO_ACCESS, both));
        params.crl_distribution_points = vec![CrlDistributionPoint {
            uris: vec![format!("{base}/crl/issuing.crl")],
        }];
    }
    let issuer = Issuer::new(ca_params(ISSUING_NAME, now)?, &ca.key);
    let made = params.signed_by(&key, &issuer)?;
    let cert = Cert::from_der(made.der())?;
    Ok(Entity { cert, key })
}

/// Given name, surname and subject serial number, as personal certificates of
/// the national authorities carry them.
fn name_person(params: &mut CertificateParams, order: &Order) -> Result<(), rcgen::Error> {
    let person = matches!(order.role, Role::Sign | Role::Authenticate);
    let dn = &mut params.distinguished_name;
    if person {
        let plain = order.name.trim_start_matches("Dr ");
        let (given, surname) = plain.rsplit_once(' ').unwrap_or((plain, plain));
        dn.push(DnType::CustomDnType(vec![2, 5, 4, 42]), given);
        dn.push(DnType::CustomDnType(vec![2, 5, 4, 4]), surname);
    }
    if let Some(serial) = &order.subject_serial {
        let value = DnValue::PrintableString(serial.as_str().try_into()?);
        dn.push(DnType::CustomDnType(vec![2, 5, 4, 5]), value);
    }
    Ok(())
}

fn fill_role(params: &mut CertificateParams, role: Role) -> Result<(), rcgen::Error> {
    let digital_signature = vec![KeyUsagePurpose::DigitalSignature];
    let (usages, purpose) = match role {
        Role::Sign => (vec![KeyUsagePurpose::ContentCommitment], None),
        Role::Authenticate => (digital_signature, Some(oids::KP_CLIENT_AUTH)),
        Role::Timestamp => (digital_signature, Some(oids::KP_TIME_STAMPING)),
        Role::Ocsp => (digital_signature, Some(oids::KP_OCSP_SIGNING)),
        Role::Seal => (digital_signature, None),
        Role::Server => (digital_signature, Some(oids::KP_SERVER_AUTH)),
    };
    params.key_usages = usages;
    if let Some(purpose) = purpose {
        let mut usage = extension(oids::EXTENDED_KEY_USAGE, der::seq(&[&der::oid(purpose)]));
        // RFC 3161 §2.3: critical, and the only purpose.
        usage.set_criticality(role == Role::Timestamp);
        params.custom_extensions.push(usage);
    }
    if role == Role::Ocsp {
        let no_check = extension(oids::OCSP_NO_CHECK, vec![5, 0]);
        params.custom_extensions.push(no_check);
    }
    if role == Role::Server {
        params.subject_alt_names = vec![
            SanType::DnsName("localhost".try_into()?),
            SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()),
        ];
    }
    Ok(())
}

fn extension(id: &[u64], content: Vec<u8>) -> CustomExtension {
    CustomExtension::from_oid_content(id, content)
}

/// An AccessDescription with an address (RFC 5280 §4.2.2.1).
fn access(method: &[u64], url: &str) -> Vec<u8> {
    der::seq(&[&der::oid(method), &der::tlv(0x86, url.as_bytes())])
}

/// Standard base64.
pub fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
