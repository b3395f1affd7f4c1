//! A key in a PKCS#12 file, for demonstrations and tests only: anybody who can
//! read the file and its password can sign. Announced in the log when opened
//! and in the token's label.

use super::{
    Identity, LastTry, PinEntry, RSA_BITS_MIN, Token, TokenError, TokenStatus, fits, signing_first,
};
use crate::base::Secret;
use crate::x509::{Cert, KeyKind, SignatureAlgorithm};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, RsaKeyPair};
use p12_keystore::{Pkcs12Archive, PrivateKeyBag};

/// What every identity of a [`SoftToken`] calls its token.
pub const LABEL: &str = "SOFTWARE KEY - NOT FOR REAL SIGNATURES";

/// The keys of one PKCS#12 file, unlocked from the start.
pub struct SoftToken {
    keys: Vec<(Identity, Key)>,
}

enum Key {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
}

impl SoftToken {
    /// Opens a PKCS#12 file (RFC 7292; PBES2 only, as OpenSSL 3 writes it).
    /// Errors: [`TokenError::Pkcs12Open`], [`TokenError::Pkcs12Content`].
    pub fn open(p12: &[u8], password: &Secret) -> Result<Self, TokenError> {
        let password =
            std::str::from_utf8(password.expose()).map_err(|_| TokenError::Pkcs12Open)?;
        let archive =
            Pkcs12Archive::from_pkcs12(p12, password).map_err(|_| TokenError::Pkcs12Open)?;
        let certificates: Vec<Cert> = archive
            .certs
            .iter()
            .filter_map(|bag| Cert::from_der(bag.cert.as_der()).ok())
            .collect();
        let chain: Vec<Cert> = certificates.iter().filter(|c| c.is_ca()).cloned().collect();
        let mut keys = Vec::new();
        for certificate in certificates.iter().filter(|c| !c.is_ca()) {
            let key = archive
                .keys
                .iter()
                .find_map(|bag| matching(bag, certificate));
            if let (KeyKind::Rsa { bits }, None) = (certificate.key(), &key)
                && bits < RSA_BITS_MIN
            {
                return Err(TokenError::KeyTooShort { bits });
            }
            if let Some(key) = key {
                let identity = Identity {
                    certificate: certificate.clone(),
                    chain: chain.clone(),
                    token_label: LABEL.into(),
                    token_serial: "pkcs12".into(),
                    always_authenticate: false,
                };
                keys.push((identity, key));
            }
        }
        if keys.is_empty() {
            return Err(TokenError::Pkcs12Content);
        }
        tracing::warn!("signing with a software key: for demonstrations and tests only");
        Ok(Self { keys })
    }
}

/// The bag's key when it is the certificate's.
fn matching(bag: &PrivateKeyBag, certificate: &Cert) -> Option<Key> {
    use aws_lc_rs::signature::KeyPair;
    let pkcs8 = bag.key.as_der();
    let (key, public) = match certificate.key() {
        KeyKind::Rsa { .. } => {
            let pair = RsaKeyPair::from_pkcs8(pkcs8).ok()?;
            let public = pair.public_key().as_ref().to_vec();
            (Key::Rsa(pair), public)
        }
        KeyKind::P256 => ecdsa(&signature::ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8)?,
        KeyKind::P384 => ecdsa(&signature::ECDSA_P384_SHA384_ASN1_SIGNING, pkcs8)?,
        KeyKind::Other => return None,
    };
    (public == certificate.public_key_bits()).then_some(key)
}

fn ecdsa(
    algorithm: &'static signature::EcdsaSigningAlgorithm,
    pkcs8: &[u8],
) -> Option<(Key, Vec<u8>)> {
    use aws_lc_rs::signature::KeyPair;
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8).ok()?;
    let public = pair.public_key().as_ref().to_vec();
    Some((Key::Ecdsa(pair), public))
}

impl Token for SoftToken {
    fn identities(&self) -> Result<Vec<Identity>, TokenError> {
        let mut identities: Vec<Identity> = self.keys.iter().map(|(i, _)| i.clone()).collect();
        signing_first(&mut identities);
        Ok(identities)
    }

    fn status(&self) -> TokenStatus {
        TokenStatus::Ready
    }

    fn pin_entry(&self) -> PinEntry {
        PinEntry::Keyboard
    }

    /// Nothing to do: the file's password was its PIN.
    fn unlock(&self, _pin: Option<Secret>, _last_try: LastTry) -> Result<(), TokenError> {
        Ok(())
    }

    /// A software key stays usable as long as it is in memory.
    fn lock(&self) {}

    fn sign(
        &self,
        certificate_sha256: &[u8; 32],
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, TokenError> {
        let (identity, key) = self
            .keys
            .iter()
            .find(|(identity, _)| identity.certificate.sha256() == *certificate_sha256)
            .ok_or(TokenError::NoSuchCertificate)?;
        // The same rule which algorithm fits which key as for other tokens.
        fits(algorithm, identity.certificate.key())?;
        key.sign(algorithm, message)
    }
}

impl Key {
    fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the interface wants the handle; aws-lc-rs draws its own randomness"
        )]
        let random = SystemRandom::new();
        let refused = |_| TokenError::Refused {
            operation: "sign",
            code: "software key".into(),
        };
        match self {
            Self::Rsa(pair) => {
                let encoding: &dyn signature::RsaEncoding = match algorithm {
                    SignatureAlgorithm::RsaPkcs1Sha384 => &signature::RSA_PKCS1_SHA384,
                    SignatureAlgorithm::RsaPkcs1Sha512 => &signature::RSA_PKCS1_SHA512,
                    SignatureAlgorithm::RsaPkcs1Sha256 => &signature::RSA_PKCS1_SHA256,
                    SignatureAlgorithm::RsaPssSha256 => &signature::RSA_PSS_SHA256,
                    SignatureAlgorithm::RsaPssSha384 => &signature::RSA_PSS_SHA384,
                    SignatureAlgorithm::RsaPssSha512 => &signature::RSA_PSS_SHA512,
                    SignatureAlgorithm::EcdsaSha256
                    | SignatureAlgorithm::EcdsaSha384
                    | SignatureAlgorithm::EcdsaSha512 => return Err(TokenError::Algorithm),
                };
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut out)
                    .map_err(refused)?;
                Ok(out)
            }
            Self::Ecdsa(pair) => {
                let out = pair.sign(&random, message).map_err(refused)?;
                Ok(out.as_ref().to_vec())
            }
        }
    }
}
