//! The words of EN 319 102-1 §5.1.3 for what a validation found, spelled as
//! the standard spells them.

use serde::{Serialize, Serializer};

/// The main indication (EN 319 102-1 §5.1.3, table 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Indication {
    /// Every check succeeded.
    TotalPassed,
    /// The information at hand is not enough to say either.
    Indeterminate,
    /// The signature is wrong, whatever else may be found.
    TotalFailed,
}

impl Indication {
    /// As the standard writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TotalPassed => "TOTAL-PASSED",
            Self::Indeterminate => "INDETERMINATE",
            Self::TotalFailed => "TOTAL-FAILED",
        }
    }

    /// As a building block says it: without TOTAL (§5.1.2).
    pub fn of_block(self) -> &'static str {
        match self {
            Self::TotalPassed => "PASSED",
            Self::Indeterminate => "INDETERMINATE",
            Self::TotalFailed => "FAILED",
        }
    }

    /// The URI of TS 119 102-2 §4.2.5.
    pub fn uri(self) -> String {
        let name = self.as_str().to_ascii_lowercase();
        format!("urn:etsi:019102:mainindication:{name}")
    }
}

impl Serialize for Indication {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

macro_rules! sub_indications {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal, $main:ident;)*) => {
        /// The reason (EN 319 102-1 §5.1.3, table 6), as far as this verifier
        /// gives it. `REVOKED` and `EXPIRED` need a content timestamp, which the
        /// profile does not know, and `NO_POE` belongs to archive timestamps.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum SubIndication {
            $($(#[doc = $doc])* $name,)*
        }

        impl SubIndication {
            /// Every one there is.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// As the standard writes it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The main indication it belongs to.
            pub fn indication(self) -> Indication {
                match self { $(Self::$name => Indication::$main,)* }
            }
        }
    };
}

sub_indications! {
    /// The document or its signature is so broken that it cannot be processed.
    FormatFailure = "FORMAT_FAILURE", TotalFailed;
    /// What was signed has been changed.
    HashFailure = "HASH_FAILURE", TotalFailed;
    /// The signature value was not made with the signer's key.
    SigCryptoFailure = "SIG_CRYPTO_FAILURE", TotalFailed;
    /// The signature existed before the signer's certificate was valid.
    NotYetValid = "NOT_YET_VALID", TotalFailed;
    /// The signature does not keep to the profile, or a constraint on it fails.
    SigConstraintsFailure = "SIG_CONSTRAINTS_FAILURE", Indeterminate;
    /// A certificate is not for this use.
    ChainConstraintsFailure = "CHAIN_CONSTRAINTS_FAILURE", Indeterminate;
    /// Nothing usable says whether a certificate of the chain is revoked.
    CertificateChainGeneralFailure = "CERTIFICATE_CHAIN_GENERAL_FAILURE", Indeterminate;
    /// An algorithm or key that was too weak when it was used.
    CryptoConstraintsFailure = "CRYPTO_CONSTRAINTS_FAILURE", Indeterminate;
    /// The same, without proof that it was used while it was strong enough.
    CryptoConstraintsFailureNoPoe = "CRYPTO_CONSTRAINTS_FAILURE_NO_POE", Indeterminate;
    /// The times in the signature contradict each other.
    TimestampOrderFailure = "TIMESTAMP_ORDER_FAILURE", Indeterminate;
    /// The signature does not say by which certificate it was made.
    NoSigningCertificateFound = "NO_SIGNING_CERTIFICATE_FOUND", Indeterminate;
    /// No chain to a trust anchor.
    NoCertificateChainFound = "NO_CERTIFICATE_CHAIN_FOUND", Indeterminate;
    /// The signer's certificate is revoked, and nothing proves that the
    /// signature is older.
    RevokedNoPoe = "REVOKED_NO_POE", Indeterminate;
    /// The same of an authority's certificate.
    RevokedCaNoPoe = "REVOKED_CA_NO_POE", Indeterminate;
    /// The certificate is out of its validity but known not to be revoked; no
    /// proof that the signature is older.
    OutOfBoundsNotRevoked = "OUT_OF_BOUNDS_NOT_REVOKED", Indeterminate;
    /// The certificate is out of its validity.
    OutOfBoundsNoPoe = "OUT_OF_BOUNDS_NO_POE", Indeterminate;
    /// The revocation data is not new enough yet, or the certificate on hold.
    TryLater = "TRY_LATER", Indeterminate;
    /// What a reference names is not there.
    SignedDataNotFound = "SIGNED_DATA_NOT_FOUND", Indeterminate;
}

impl SubIndication {
    /// The URI of TS 119 102-2 §4.2.5.
    pub fn uri(self) -> String {
        format!("urn:etsi:019102:subindication:{}", self.as_str())
    }
}

impl Serialize for SubIndication {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
