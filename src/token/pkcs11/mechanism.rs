//! How a module is asked for a signature. The digest is made here wherever the
//! token lets us; a token that offers only mechanisms that hash gets the
//! message itself, which is short.

use crate::token::TokenError;
use crate::x509::SignatureAlgorithm;
use cryptoki_sys as sys;
use serde::{Deserialize, Serialize};

/// A mechanism in use (PKCS#11 §6.1, §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Mechanism {
    /// `CKM_RSA_PKCS` over a DigestInfo.
    RsaPkcs,
    /// `CKM_RSA_PKCS_PSS` over a digest.
    RsaPss(Hash),
    /// `CKM_ECDSA` over a digest; the answer is r and s, each of full size.
    Ecdsa,
    /// `CKM_SHA256_RSA_PKCS` and its like, over the message.
    HashRsaPkcs(Hash),
    /// `CKM_SHA256_RSA_PKCS_PSS` and its like, over the message.
    HashRsaPss(Hash),
    /// `CKM_ECDSA_SHA256` and its like, over the message.
    HashEcdsa(Hash),
}

/// The digest inside a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

use Hash::{Sha256, Sha384, Sha512};
use Mechanism::{Ecdsa, HashEcdsa, HashRsaPkcs, HashRsaPss, RsaPkcs, RsaPss};

impl Mechanism {
    /// Every one, to be compared with what a token offers.
    pub(super) const ALL: [Self; 14] = [
        RsaPkcs,
        Ecdsa,
        RsaPss(Sha256),
        RsaPss(Sha384),
        RsaPss(Sha512),
        HashRsaPkcs(Sha256),
        HashRsaPkcs(Sha384),
        HashRsaPkcs(Sha512),
        HashRsaPss(Sha256),
        HashRsaPss(Sha384),
        HashRsaPss(Sha512),
        HashEcdsa(Sha256),
        HashEcdsa(Sha384),
        HashEcdsa(Sha512),
    ];

    /// The `CKM_` constant.
    pub(super) fn code(self) -> sys::CK_MECHANISM_TYPE {
        match self {
            RsaPkcs => sys::CKM_RSA_PKCS,
            RsaPss(_) => sys::CKM_RSA_PKCS_PSS,
            Ecdsa => sys::CKM_ECDSA,
            HashRsaPkcs(Sha256) => sys::CKM_SHA256_RSA_PKCS,
            HashRsaPkcs(Sha384) => sys::CKM_SHA384_RSA_PKCS,
            HashRsaPkcs(Sha512) => sys::CKM_SHA512_RSA_PKCS,
            HashRsaPss(Sha256) => sys::CKM_SHA256_RSA_PKCS_PSS,
            HashRsaPss(Sha384) => sys::CKM_SHA384_RSA_PKCS_PSS,
            HashRsaPss(Sha512) => sys::CKM_SHA512_RSA_PKCS_PSS,
            HashEcdsa(Sha256) => sys::CKM_ECDSA_SHA256,
            HashEcdsa(Sha384) => sys::CKM_ECDSA_SHA384,
            HashEcdsa(Sha512) => sys::CKM_ECDSA_SHA512,
        }
    }

    /// `CK_RSA_PKCS_PSS_PARAMS`: MGF1 with the same digest, salt of its length.
    pub(super) fn pss_parameters(self) -> Option<sys::CK_RSA_PKCS_PSS_PARAMS> {
        let hash = match self {
            RsaPss(hash) | HashRsaPss(hash) => hash,
            RsaPkcs | Ecdsa | HashRsaPkcs(_) | HashEcdsa(_) => return None,
        };
        #[expect(non_snake_case, reason = "the names of PKCS#11 §6.1.10")]
        let (hashAlg, mgf, sLen) = match hash {
            Sha256 => (sys::CKM_SHA256, sys::CKG_MGF1_SHA256, 32),
            Sha384 => (sys::CKM_SHA384, sys::CKG_MGF1_SHA384, 48),
            Sha512 => (sys::CKM_SHA512, sys::CKG_MGF1_SHA512, 64),
        };
        Some(sys::CK_RSA_PKCS_PSS_PARAMS { hashAlg, mgf, sLen })
    }
}

/// The mechanism for an algorithm, of those the token offers, and what to give
/// it. Errors: [`TokenError::NotOffered`].
pub(super) fn plan(
    algorithm: SignatureAlgorithm,
    message: &[u8],
    offered: &[Mechanism],
) -> Result<(Mechanism, Vec<u8>), TokenError> {
    use SignatureAlgorithm as A;
    let (here, there) = match algorithm {
        A::RsaPkcs1Sha256 => (RsaPkcs, HashRsaPkcs(Sha256)),
        A::RsaPkcs1Sha384 => (RsaPkcs, HashRsaPkcs(Sha384)),
        A::RsaPkcs1Sha512 => (RsaPkcs, HashRsaPkcs(Sha512)),
        A::RsaPssSha256 => (RsaPss(Sha256), HashRsaPss(Sha256)),
        A::RsaPssSha384 => (RsaPss(Sha384), HashRsaPss(Sha384)),
        A::RsaPssSha512 => (RsaPss(Sha512), HashRsaPss(Sha512)),
        A::EcdsaSha256 => (Ecdsa, HashEcdsa(Sha256)),
        A::EcdsaSha384 => (Ecdsa, HashEcdsa(Sha384)),
        A::EcdsaSha512 => (Ecdsa, HashEcdsa(Sha512)),
    };
    if offered.contains(&here) {
        let digest = algorithm.content_digest(&[message]);
        let input = match there {
            HashRsaPkcs(hash) => digest_info(hash, &digest),
            RsaPkcs | RsaPss(_) | Ecdsa | HashRsaPss(_) | HashEcdsa(_) => digest,
        };
        Ok((here, input))
    } else if offered.contains(&there) {
        Ok((there, message.to_vec()))
    } else {
        Err(TokenError::NotOffered { algorithm })
    }
}

/// RFC 8017 §9.2 note 1.
fn digest_info(hash: Hash, digest: &[u8]) -> Vec<u8> {
    // id-sha256, id-sha384 and id-sha512 differ in their last arc.
    let (last_arc, size) = match hash {
        Sha256 => (1, 32),
        Sha384 => (2, 48),
        Sha512 => (3, 64),
    };
    let oid = [6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, last_arc];
    let start = [&[0x30, 17 + size, 0x30, 13], &oid[..], &[5, 0, 4, size]].concat();
    [&start, digest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{digest::sha256, hex};
    use SignatureAlgorithm as A;

    #[test]
    fn a_digest_info_is_the_one_of_the_standard() {
        // RFC 8017 §9.2 note 1
        for (algorithm, prefix) in [
            (A::RsaPkcs1Sha256, "3031300d060960864801650304020105000420"),
            (A::RsaPkcs1Sha384, "3041300d060960864801650304020205000430"),
            (A::RsaPkcs1Sha512, "3051300d060960864801650304020305000440"),
        ] {
            let (mechanism, info) = plan(algorithm, b"abc", &Mechanism::ALL).unwrap();
            assert_eq!(mechanism, RsaPkcs);
            assert!(hex::encode(&info).starts_with(prefix));
            assert_eq!(info.len(), usize::from(info[1]) + 2);
            assert!(info.ends_with(&algorithm.content_digest(&[b"abc"])));
        }
    }

    #[test]
    fn digests_are_made_here_unless_the_token_insists() {
        let digest = sha256(b"abc").to_vec();
        let both = plan(A::RsaPssSha256, b"abc", &Mechanism::ALL).unwrap();
        assert_eq!(both, (RsaPss(Sha256), digest.clone()));
        let both = plan(A::EcdsaSha256, b"abc", &Mechanism::ALL).unwrap();
        assert_eq!(both, (Ecdsa, digest));
        for (algorithm, only) in [
            (A::RsaPkcs1Sha512, HashRsaPkcs(Sha512)),
            (A::RsaPssSha256, HashRsaPss(Sha256)),
            (A::EcdsaSha384, HashEcdsa(Sha384)),
        ] {
            let found = plan(algorithm, b"abc", &[only]);
            assert_eq!(found, Ok((only, b"abc".to_vec())));
            let found = plan(algorithm, b"abc", &[HashRsaPkcs(Sha256)]);
            assert_eq!(found, Err(TokenError::NotOffered { algorithm }));
        }
    }
}
