//! A certificate authority, OCSP responder, list issuer and timestamp authority
//! for tests, which can be told to do each thing wrong. Test data only.

use super::algorithm::Digest;
use super::cms;
use super::tlv::{self, tag};
use super::{Cert, CertStatus, ObjectIdentifier, SignatureAlgorithm, issuer_and_serial};
use rcgen::{KeyPair, PublicKeyData, SigningKey};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

pub const TIME_STAMPING: &str = "1.3.6.1.5.5.7.3.8";
pub const OCSP_SIGNING: &str = "1.3.6.1.5.5.7.3.9";
pub const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
/// The moment at which tests take place.
pub const NOW: OffsetDateTime = datetime!(2026-06-15 12:00:00 UTC);

pub fn dotted(text: &str) -> Vec<u8> {
    tlv::oid(ObjectIdentifier::new_unwrap(text))
}

pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv::element(tag::SEQUENCE, parts)
}

pub fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    tlv::element(tag, parts)
}

pub fn octets(bytes: &[u8]) -> Vec<u8> {
    tlv::element(tag::OCTET_STRING, &[bytes])
}

pub fn generalized(at: OffsetDateTime) -> Vec<u8> {
    let text = format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    );
    tlv::element(tag::GENERALIZED_TIME, &[text.as_bytes()])
}

/// A certificate and its key (P-256).
pub struct Party {
    pub cert: Cert,
    pub key: KeyPair,
}

impl Party {
    /// SEQUENCE of `tbs`, algorithm and signature: certificates, CRLs, OCSP.
    fn sign(&self, tbs: &[u8], behind: &[u8]) -> Vec<u8> {
        signed(
            tbs,
            &self.key,
            SignatureAlgorithm::EcdsaSha256.identifier_der(),
            behind,
        )
    }
}

fn signed(tbs: &[u8], key: &KeyPair, algorithm: Vec<u8>, behind: &[u8]) -> Vec<u8> {
    let signature = key.sign(tbs).unwrap();
    let signature = tlv::element(tag::BIT_STRING, &[&[0], &signature]);
    sequence(&[tbs, &algorithm, &signature, behind])
}

pub fn name(common_name: &str) -> Vec<u8> {
    let value = tlv::element(tag::UTF8_STRING, &[common_name.as_bytes()]);
    let pair = sequence(&[&dotted("2.5.4.3"), &value]);
    sequence(&[&tlv::element(tag::SET, &[&pair])])
}

/// A certificate to be.
#[derive(Clone)]
pub struct Builder {
    name: String,
    pub serial: Vec<u8>,
    pub not_before: OffsetDateTime,
    pub not_after: OffsetDateTime,
    pub algorithm: Vec<u8>,
    extensions: Vec<Vec<u8>>,
    access: Vec<Vec<u8>>,
}

impl Builder {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            serial: vec![0x5e, 0x11],
            not_before: NOW - Duration::days(365),
            not_after: NOW + Duration::days(365),
            algorithm: SignatureAlgorithm::EcdsaSha256.identifier_der(),
            extensions: Vec::new(),
            access: Vec::new(),
        }
    }

    pub fn extension(mut self, oid: &str, critical: Option<bool>, value: &[u8]) -> Self {
        let critical = critical.map(|c| tlv::element(tag::BOOLEAN, &[&[u8::from(c) * 255]]));
        let critical = critical.unwrap_or_default();
        self.extensions
            .push(sequence(&[&dotted(oid), &critical, &octets(value)]));
        self
    }

    pub fn raw_extension(mut self, extension: &[u8]) -> Self {
        self.extensions.push(extension.to_vec());
        self
    }

    /// `basicConstraints` CA, and `keyUsage` with these bits set (first bit is
    /// the highest).
    pub fn ca_with(self, path_len: Option<u8>, usage: u8) -> Self {
        let length = path_len.map(|n| tlv::integer(&[n])).unwrap_or_default();
        let value = sequence(&[&tlv::element(tag::BOOLEAN, &[&[255]]), &length]);
        self.extension("2.5.29.19", Some(true), &value).usage(usage)
    }

    pub fn ca(self, path_len: Option<u8>) -> Self {
        self.ca_with(path_len, 0b0000_0110)
    }

    pub fn usage(self, bits: u8) -> Self {
        let value = tlv::element(tag::BIT_STRING, &[&[0, bits]]);
        self.extension("2.5.29.15", Some(true), &value)
    }

    pub fn purposes(self, critical: bool, oids: &[&str]) -> Self {
        let oids: Vec<Vec<u8>> = oids.iter().map(|o| dotted(o)).collect();
        let oids: Vec<&[u8]> = oids.iter().map(Vec::as_slice).collect();
        self.extension("2.5.29.37", critical.then_some(true), &sequence(&oids))
    }

    pub fn crl_url(self, url: &str) -> Self {
        let full_name = tlv::element(tag::context(0), &[&uri(url)]);
        let point = sequence(&[&tlv::element(tag::context(0), &[&full_name])]);
        self.extension("2.5.29.31", None, &sequence(&[&point]))
    }

    pub fn ocsp_url(mut self, url: &str) -> Self {
        self.access
            .push(sequence(&[&dotted("1.3.6.1.5.5.7.48.1"), &uri(url)]));
        self
    }

    pub fn issuer_url(mut self, url: &str) -> Self {
        self.access
            .push(sequence(&[&dotted("1.3.6.1.5.5.7.48.2"), &uri(url)]));
        self
    }

    pub fn no_check(self) -> Self {
        self.extension("1.3.6.1.5.5.7.48.1.5", None, &[tag::NULL, 0])
    }

    pub fn serial(mut self, serial: &[u8]) -> Self {
        self.serial = serial.to_vec();
        self
    }

    pub fn validity(mut self, from: OffsetDateTime, to: OffsetDateTime) -> Self {
        (self.not_before, self.not_after) = (from, to);
        self
    }

    /// A certificate by `issuer`, or a self-signed one.
    pub fn build(self, issuer: Option<&Party>) -> Party {
        let key = KeyPair::generate().unwrap();
        self.build_for(key, issuer)
    }

    pub fn build_for(mut self, key: KeyPair, issuer: Option<&Party>) -> Party {
        if !self.access.is_empty() {
            let access: Vec<&[u8]> = self.access.iter().map(Vec::as_slice).collect();
            let access = sequence(&access);
            self = self.extension("1.3.6.1.5.5.7.1.1", None, &access);
        }
        let issuer_name = match issuer {
            Some(issuer) => issuer.cert.subject_der().to_vec(),
            None => name(&self.name),
        };
        let extensions: Vec<&[u8]> = self.extensions.iter().map(Vec::as_slice).collect();
        let tbs = sequence(&[
            &tlv::element(tag::context(0), &[&tlv::integer(&[2])]),
            &tlv::element(tag::INTEGER, &[&self.serial]),
            &self.algorithm,
            &issuer_name,
            &sequence(&[&generalized(self.not_before), &generalized(self.not_after)]),
            &name(&self.name),
            &key.subject_public_key_info(),
            &tlv::element(tag::context(3), &[&sequence(&extensions)]),
        ]);
        let signing_key = issuer.map_or(&key, |issuer| &issuer.key);
        let der = signed(&tbs, signing_key, self.algorithm, &[]);
        Party {
            cert: Cert::from_der(&der).unwrap(),
            key,
        }
    }
}

fn uri(url: &str) -> Vec<u8> {
    tlv::element(tag::context_primitive(6), &[url.as_bytes()])
}

/// An OCSP response to be.
#[derive(Clone)]
pub struct Ocsp {
    pub status: CertStatus,
    pub produced_at: OffsetDateTime,
    pub this_update: OffsetDateTime,
    pub next_update: Option<OffsetDateTime>,
    pub by_key: bool,
    /// `AlgorithmIdentifier` and digest of the `CertID`: 1, 256, 384 or 512.
    pub cert_id_sha: u16,
    /// Certificates put before the responder's.
    pub also: Vec<Cert>,
    pub single_extensions: Vec<u8>,
    pub response_extensions: Vec<u8>,
}

impl Ocsp {
    pub fn good(at: OffsetDateTime) -> Self {
        Self {
            status: CertStatus::Good,
            produced_at: at,
            this_update: at,
            next_update: Some(at + Duration::hours(1)),
            by_key: true,
            cert_id_sha: 1,
            also: Vec::new(),
            single_extensions: Vec::new(),
            response_extensions: Vec::new(),
        }
    }

    pub fn revoked(at: OffsetDateTime) -> Self {
        let reason = Some(1);
        let status = CertStatus::Revoked { at, reason };
        Self {
            status,
            ..Self::good(at)
        }
    }

    /// The response about `cert` of `issuer`, signed by `responder` whose
    /// certificate goes along.
    pub fn sign(&self, cert: &Cert, issuer: &Cert, responder: &Party) -> Vec<u8> {
        let digest = match self.cert_id_sha {
            1 => Digest::Sha1,
            256 => Digest::Sha256,
            384 => Digest::Sha384,
            _ => Digest::Sha512,
        };
        let cert_id = sequence(&[
            &digest.identifier_der(),
            &octets(&digest.compute(issuer.subject_der())),
            &octets(&digest.compute(issuer.public_key_bits())),
            &tlv::element(tag::INTEGER, &[cert.serial()]),
        ]);
        let status = match self.status {
            CertStatus::Good => vec![tag::context_primitive(0), 0],
            CertStatus::Unknown => vec![tag::context_primitive(2), 0],
            CertStatus::Revoked { at, reason } => {
                let reason = reason.map(|r| tlv::element(tag::ENUMERATED, &[&[r]]));
                let reason = reason.map(|r| tlv::element(tag::context(0), &[&r]));
                tlv::element(
                    tag::context(1),
                    &[&generalized(at), &reason.unwrap_or_default()],
                )
            }
        };
        let next = self.next_update.map(generalized);
        let next = next
            .map(|n| tlv::element(tag::context(0), &[&n]))
            .unwrap_or_default();
        let wrapped = |extensions: &[u8]| match extensions {
            [] => Vec::new(),
            some => tlv::element(tag::context(1), &[&sequence(&[some])]),
        };
        let extensions = wrapped(&self.single_extensions);
        let response_extensions = wrapped(&self.response_extensions);
        let this_update = generalized(self.this_update);
        let single = sequence(&[&cert_id, &status, &this_update, &next, &extensions]);
        let responder_id = if self.by_key {
            let hash = Digest::Sha1.compute(responder.cert.public_key_bits());
            tlv::element(tag::context(2), &[&octets(&hash)])
        } else {
            tlv::element(tag::context(1), &[responder.cert.subject_der()])
        };
        let produced_at = generalized(self.produced_at);
        let responses = sequence(&[&single]);
        let tbs = sequence(&[
            &responder_id,
            &produced_at,
            &responses,
            &response_extensions,
        ]);
        let certs = self.also.iter().chain([&responder.cert]);
        let certs: Vec<&[u8]> = certs.map(Cert::der).collect();
        let certs = tlv::element(tag::context(0), &[&sequence(&certs)]);
        let basic = responder.sign(&tbs, &certs);
        let bytes = sequence(&[&dotted("1.3.6.1.5.5.7.48.1.1"), &octets(&basic)]);
        let status = tlv::element(tag::ENUMERATED, &[&[0]]);
        sequence(&[&status, &tlv::element(tag::context(0), &[&bytes])])
    }
}

/// A revocation list to be.
#[derive(Clone)]
pub struct List {
    pub this_update: OffsetDateTime,
    pub next_update: Option<OffsetDateTime>,
    pub revoked: Vec<Vec<u8>>,
    pub extensions: Vec<u8>,
}

impl List {
    pub fn empty(at: OffsetDateTime) -> Self {
        Self {
            this_update: at,
            next_update: Some(at + Duration::days(1)),
            revoked: Vec::new(),
            extensions: Vec::new(),
        }
    }

    pub fn revoking(at: OffsetDateTime, serial: &[u8]) -> Self {
        let reason = extension("2.5.29.21", false, &tlv::element(tag::ENUMERATED, &[&[1]]));
        let entry = sequence(&[
            &tlv::element(tag::INTEGER, &[serial]),
            &generalized(at),
            &sequence(&[&reason]),
        ]);
        Self {
            revoked: vec![entry],
            ..Self::empty(at)
        }
    }

    pub fn sign(&self, issuer: &Party) -> Vec<u8> {
        let revoked: Vec<&[u8]> = self.revoked.iter().map(Vec::as_slice).collect();
        let revoked = match revoked.as_slice() {
            [] => Vec::new(),
            entries => sequence(entries),
        };
        let mut extensions = self.extensions.clone();
        if !extensions.is_empty() {
            extensions = tlv::element(tag::context(0), &[&sequence(&[&extensions])]);
        }
        let tbs = sequence(&[
            &tlv::integer(&[1]),
            &SignatureAlgorithm::EcdsaSha256.identifier_der(),
            issuer.cert.subject_der(),
            &generalized(self.this_update),
            &self.next_update.map(generalized).unwrap_or_default(),
            &revoked,
            &extensions,
        ]);
        issuer.sign(&tbs, &[])
    }
}

pub fn extension(oid: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical {
        vec![tag::BOOLEAN, 1, 255]
    } else {
        Vec::new()
    };
    sequence(&[&dotted(oid), &critical, &octets(value)])
}

/// A timestamp to be.
#[derive(Clone)]
pub struct Stamp {
    pub imprint: [u8; 32],
    pub nonce: Vec<u8>,
    pub gen_time: OffsetDateTime,
    pub policy: &'static str,
    pub content_type: &'static str,
    /// The imprint's digest algorithm.
    pub imprint_algorithm: &'static str,
    /// Stated accuracy, in seconds, beside half a second.
    pub accuracy_seconds: u8,
    /// What follows the nonce, encoded.
    pub tail: Vec<u8>,
    /// Whose certificate the ESS attribute names, when not the signer's.
    pub bound_to: Option<Cert>,
}

impl Stamp {
    pub fn new(imprint: [u8; 32], nonce: &[u8], gen_time: OffsetDateTime) -> Self {
        Self {
            imprint,
            nonce: nonce.to_vec(),
            gen_time,
            policy: "1.2.3.4.1",
            content_type: "1.2.840.113549.1.9.16.1.4",
            imprint_algorithm: "2.16.840.1.101.3.4.2.1",
            accuracy_seconds: 1,
            tail: Vec::new(),
            bound_to: None,
        }
    }

    /// The token with the certificates of `tsa` and `chain`.
    pub fn token(&self, tsa: &Party, chain: &[Cert]) -> Vec<u8> {
        let sha256 = Digest::Sha256.identifier_der();
        let imprint_algorithm = sequence(&[&dotted(self.imprint_algorithm)]);
        let content_type = dotted(self.content_type);
        let info = sequence(&[
            &tlv::integer(&[1]),
            &dotted(self.policy),
            &sequence(&[&imprint_algorithm, &octets(&self.imprint)]),
            &tlv::integer(&[7]),
            &generalized(self.gen_time),
            &sequence(&[
                &tlv::integer(&[self.accuracy_seconds]),
                &tlv::element(0x80, &[&[0x01, 0xf4]]),
            ]),
            &tlv::integer(&self.nonce),
            &self.tail,
        ]);
        let attribute =
            |oid: &str, value: &[u8]| sequence(&[&dotted(oid), &tlv::element(tag::SET, &[value])]);
        let bound_to = self.bound_to.as_ref().unwrap_or(&tsa.cert);
        let binding = octets(&bound_to.sha256());
        let binding = sequence(&[&sequence(&[&sequence(&[&binding])])]);
        let digest = Digest::Sha256.compute(&info);
        let attributes = tlv::set_of(vec![
            attribute("1.2.840.113549.1.9.3", &content_type),
            attribute("1.2.840.113549.1.9.4", &octets(&digest)),
            attribute("1.2.840.113549.1.9.16.2.47", &binding),
        ]);
        let signature = tsa.key.sign(&attributes).unwrap();
        let mut implicit = attributes.clone();
        implicit[0] = tag::context(0);
        let signer = sequence(&[
            &tlv::integer(&[1]),
            &issuer_and_serial(&tsa.cert),
            &sha256,
            &implicit,
            &SignatureAlgorithm::EcdsaSha256.identifier_der(),
            &octets(&signature),
        ]);
        let mut certs: Vec<&[u8]> = vec![tsa.cert.der()];
        certs.extend(chain.iter().map(Cert::der));
        let content = tlv::element(tag::context(0), &[&octets(&info)]);
        let data = sequence(&[
            &tlv::integer(&[3]),
            &tlv::element(tag::SET, &[&sha256]),
            &sequence(&[&content_type, &content]),
            &tlv::element(tag::context(0), &certs),
            &tlv::element(tag::SET, &[&signer]),
        ]);
        let wrapped = tlv::element(tag::context(0), &[&data]);
        sequence(&[&dotted("1.2.840.113549.1.7.2"), &wrapped])
    }

    /// The granted response with that token.
    pub fn response(&self, tsa: &Party, chain: &[Cert]) -> Vec<u8> {
        sequence(&[&sequence(&[&tlv::integer(&[0])]), &self.token(tsa, chain)])
    }
}

/// A refusing timestamp response.
pub fn refusal() -> Vec<u8> {
    let text = tlv::element(tag::UTF8_STRING, &[b"policy?"]);
    // Bit 15: unacceptedPolicy.
    let failure = tlv::element(tag::BIT_STRING, &[&[0, 0x00, 0x01]]);
    let status = sequence(&[&tlv::integer(&[2]), &sequence(&[&text]), &failure]);
    sequence(&[&status])
}

/// Imprint and nonce of a request made by [`super::tsp::request`].
pub fn read_request(request: &[u8]) -> ([u8; 32], Vec<u8>) {
    let mut fields = tlv::Tlv::only(request).unwrap().reader();
    fields.read().unwrap();
    let mut imprint = fields.read().unwrap().reader();
    imprint.read().unwrap();
    let imprint = imprint.read().unwrap().content.try_into().unwrap();
    fields.optional(tag::OID).unwrap();
    let nonce = fields.expect(tag::INTEGER).unwrap().content.to_vec();
    (imprint, nonce)
}

/// A detached CMS signature over `content`.
pub fn detached(signer: &Party, content: &[u8], chain: &[Cert]) -> Vec<u8> {
    let digest = crate::base::digest::sha256(content);
    let attributes = cms::signed_attributes(&digest, &signer.cert);
    let signature = signer.key.sign(&attributes).unwrap();
    cms::assemble(
        &signer.cert,
        chain,
        &attributes,
        SignatureAlgorithm::EcdsaSha256,
        &signature,
    )
}
