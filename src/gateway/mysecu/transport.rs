//! The transport certificate and its key: who this installation is towards
//! the eHealth agency and mySecu. Not the doctor's signing certificate.

use crate::base::Secret;
use crate::x509::Cert;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use p12_keystore::Pkcs12Archive;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

/// Why a transport identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The PEM has no readable certificate.
    #[error("the transport certificate cannot be read from PEM: {0}")]
    ReadCertificate(String),
    /// The PEM has no PKCS#8 private key.
    #[error("the transport key cannot be read from PEM: a PKCS#8 \"PRIVATE KEY\" is needed")]
    ReadKey,
    /// Wrong password or not a PKCS#12 file.
    #[error("the transport PKCS#12 file cannot be opened: wrong password or unknown format")]
    OpenPkcs12,
    /// Not exactly one private key.
    #[error("the transport PKCS#12 file holds {0} private keys; exactly one is needed")]
    CountKeys(usize),
    /// No certificate has this key.
    #[error("none of the transport certificates belongs to the transport key")]
    MatchKey,
    /// Neither RSA nor P-256 nor P-384.
    #[error("the transport key is of a kind that is not supported (RSA, P-256, P-384 are)")]
    UseKey,
    /// The key failed to sign.
    #[error("the transport key cannot sign")]
    Sign,
}

enum Key {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair, &'static str),
}

/// A certificate, its chain and its private key.
pub struct Transport {
    certificate: Cert,
    chain: Vec<Cert>,
    key: Key,
    pem: Secret,
}

impl Transport {
    /// Reads PEM: the certificate, its chain (in any order) and a PKCS#8 key.
    ///
    /// # Errors
    /// See [`TransportError`]; the text never holds key material.
    pub fn from_pem(pem: &Secret) -> Result<Self, TransportError> {
        let certificates = Cert::from_pem_many(pem.expose())
            .map_err(|e| TransportError::ReadCertificate(e.to_string()))?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.expose())
            .map_err(|_| TransportError::ReadKey)?;
        Self::new(certificates, key.secret_pkcs8_der())
    }

    /// Opens a PKCS#12 file (RFC 7292).
    ///
    /// # Errors
    /// See [`TransportError`].
    pub fn from_pkcs12(file: &[u8], password: &Secret) -> Result<Self, TransportError> {
        let password =
            std::str::from_utf8(password.expose()).map_err(|_| TransportError::OpenPkcs12)?;
        let archive =
            Pkcs12Archive::from_pkcs12(file, password).map_err(|_| TransportError::OpenPkcs12)?;
        let [key] = archive.keys.as_slice() else {
            return Err(TransportError::CountKeys(archive.keys.len()));
        };
        let certificates = archive.certs.iter().map(|bag| {
            Cert::from_der(bag.cert.as_der())
                .map_err(|e| TransportError::ReadCertificate(e.to_string()))
        });
        Self::new(certificates.collect::<Result<_, _>>()?, key.key.as_der())
    }

    fn new(mut certificates: Vec<Cert>, pkcs8: &[u8]) -> Result<Self, TransportError> {
        let key = Key::from_pkcs8(pkcs8)?;
        let own = certificates
            .iter()
            .position(|c| c.public_key_bits() == key.public())
            .ok_or(TransportError::MatchKey)?;
        let certificate = certificates.swap_remove(own);
        // A TLS client presents its issuers in order, without the root.
        let mut chain: Vec<Cert> = Vec::new();
        while let Some(next) = certificates.iter().position(|c| {
            let last = chain.last().unwrap_or(&certificate);
            !last.is_self_issued() && last.issuer_der() == c.subject_der()
        }) {
            chain.push(certificates.swap_remove(next));
        }
        let pem = join_pem(&certificate, &chain, pkcs8);
        Ok(Self {
            certificate,
            chain,
            key,
            pem,
        })
    }

    /// The transport certificate.
    pub fn certificate(&self) -> &Cert {
        &self.certificate
    }

    /// Its issuers, nearest first, as far as the file holds them.
    pub fn chain(&self) -> &[Cert] {
        &self.chain
    }

    /// Certificate, chain and key as the HTTP client takes them.
    pub fn pem(&self) -> &Secret {
        &self.pem
    }

    /// The identifier of [`Self::sign`]'s algorithm (RFC 6931 §2.3).
    pub fn algorithm_uri(&self) -> &'static str {
        match &self.key {
            Key::Rsa(_) => "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
            Key::Ec(_, uri) => uri,
        }
    }

    /// Signs `message` and gives the value as XML signatures hold it: for
    /// ECDSA `r || s` (XML Signature 1.1 §6.4.3).
    ///
    /// # Errors
    /// [`TransportError::Sign`] when the cryptographic library refuses.
    #[expect(
        clippy::disallowed_methods,
        reason = "the library's signing calls take its own generator"
    )]
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, TransportError> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Rsa(key) => {
                let mut out = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut out)
                    .map_err(|_| TransportError::Sign)?;
                Ok(out)
            }
            Key::Ec(key, _) => key
                .sign(&random, message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| TransportError::Sign),
        }
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

impl Key {
    fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, TransportError> {
        if let Ok(key) = RsaKeyPair::from_pkcs8(pkcs8) {
            return Ok(Self::Rsa(key));
        }
        if let Ok(key) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8) {
            let uri = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256";
            return Ok(Self::Ec(key, uri));
        }
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, pkcs8)
            .map_err(|_| TransportError::UseKey)?;
        let uri = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384";
        Ok(Self::Ec(key, uri))
    }

    /// The content of the `subjectPublicKey` of a certificate for this key.
    fn public(&self) -> &[u8] {
        match self {
            Self::Rsa(key) => key.public_key().as_ref(),
            Self::Ec(key, _) => key.public_key().as_ref(),
        }
    }
}

fn join_pem(certificate: &Cert, chain: &[Cert], pkcs8: &[u8]) -> Secret {
    let mut pem = Zeroizing::new(String::from("-----BEGIN PRIVATE KEY-----\n"));
    let encoded = Zeroizing::new(STANDARD.encode(pkcs8));
    // RFC 7468 §2: lines of 64 characters.
    for line in encoded.as_bytes().chunks(64) {
        pem.push_str(std::str::from_utf8(line).unwrap_or_default());
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    for one in std::iter::once(certificate).chain(chain) {
        pem.push_str(&one.to_pem());
    }
    Secret::new(pem.as_bytes().to_vec())
}
