//! Object identifiers, as arcs, with the document that assigns each.

/// rsaEncryption (RFC 8017 A.1).
pub const RSA: &[u64] = &[1, 2, 840, 113549, 1, 1, 1];
/// sha256WithRSAEncryption (RFC 8017 A.2.4).
pub const RSA_SHA256: &[u64] = &[1, 2, 840, 113549, 1, 1, 11];
/// sha384WithRSAEncryption.
pub const RSA_SHA384: &[u64] = &[1, 2, 840, 113549, 1, 1, 12];
/// sha512WithRSAEncryption.
pub const RSA_SHA512: &[u64] = &[1, 2, 840, 113549, 1, 1, 13];
/// id-RSASSA-PSS (RFC 4055 §3).
pub const RSA_PSS: &[u64] = &[1, 2, 840, 113549, 1, 1, 10];
/// id-mgf1 (RFC 4055 §2.2).
pub const MGF1: &[u64] = &[1, 2, 840, 113549, 1, 1, 8];
/// id-ecPublicKey (RFC 5480 §2.1.1).
pub const EC: &[u64] = &[1, 2, 840, 10045, 2, 1];
/// secp256r1.
pub const P256: &[u64] = &[1, 2, 840, 10045, 3, 1, 7];
/// secp384r1.
pub const P384: &[u64] = &[1, 3, 132, 0, 34];
/// ecdsa-with-SHA256 (RFC 5758 §3.2).
pub const ECDSA_SHA256: &[u64] = &[1, 2, 840, 10045, 4, 3, 2];
/// ecdsa-with-SHA384.
pub const ECDSA_SHA384: &[u64] = &[1, 2, 840, 10045, 4, 3, 3];
/// id-sha1 (RFC 3279 §2.2.1).
pub const SHA1: &[u64] = &[1, 3, 14, 3, 2, 26];
/// id-sha256 (RFC 5754 §2.2).
pub const SHA256: &[u64] = &[2, 16, 840, 1, 101, 3, 4, 2, 1];
/// id-sha384.
pub const SHA384: &[u64] = &[2, 16, 840, 1, 101, 3, 4, 2, 2];
/// id-sha512.
pub const SHA512: &[u64] = &[2, 16, 840, 1, 101, 3, 4, 2, 3];

/// id-data (RFC 5652 §4).
pub const CMS_DATA: &[u64] = &[1, 2, 840, 113549, 1, 7, 1];
/// id-signedData (RFC 5652 §5.1).
pub const CMS_SIGNED_DATA: &[u64] = &[1, 2, 840, 113549, 1, 7, 2];
/// contentType attribute (RFC 5652 §11.1).
pub const CONTENT_TYPE: &[u64] = &[1, 2, 840, 113549, 1, 9, 3];
/// messageDigest attribute (RFC 5652 §11.2).
pub const MESSAGE_DIGEST: &[u64] = &[1, 2, 840, 113549, 1, 9, 4];
/// id-aa-signingCertificateV2 (RFC 5035 §3).
pub const SIGNING_CERTIFICATE_V2: &[u64] = &[1, 2, 840, 113549, 1, 9, 16, 2, 47];
/// id-ct-TSTInfo (RFC 3161 §2.4.2).
pub const TST_INFO: &[u64] = &[1, 2, 840, 113549, 1, 9, 16, 1, 4];

/// keyUsage (RFC 5280 §4.2.1.3).
pub const KEY_USAGE: &[u64] = &[2, 5, 29, 15];
/// basicConstraints (RFC 5280 §4.2.1.9).
pub const BASIC_CONSTRAINTS: &[u64] = &[2, 5, 29, 19];
/// extKeyUsage (RFC 5280 §4.2.1.12).
pub const EXTENDED_KEY_USAGE: &[u64] = &[2, 5, 29, 37];
/// subjectKeyIdentifier (RFC 5280 §4.2.1.2).
pub const SUBJECT_KEY_ID: &[u64] = &[2, 5, 29, 14];
/// authorityKeyIdentifier (RFC 5280 §4.2.1.1).
pub const AUTHORITY_KEY_ID: &[u64] = &[2, 5, 29, 35];
/// cRLNumber (RFC 5280 §5.2.3).
pub const CRL_NUMBER: &[u64] = &[2, 5, 29, 20];
/// reasonCode (RFC 5280 §5.3.1).
pub const CRL_REASON: &[u64] = &[2, 5, 29, 21];
/// authorityInfoAccess (RFC 5280 §4.2.2.1).
pub const AUTHORITY_INFO_ACCESS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
/// id-ad-ocsp.
pub const AD_OCSP: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 1];
/// id-ad-caIssuers.
pub const AD_CA_ISSUERS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 2];
/// id-kp-serverAuth.
pub const KP_SERVER_AUTH: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 1];
/// id-kp-clientAuth.
pub const KP_CLIENT_AUTH: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 2];
/// id-kp-timeStamping (RFC 3161 §2.3).
pub const KP_TIME_STAMPING: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 8];
/// id-kp-OCSPSigning (RFC 6960 §4.2.2.2).
pub const KP_OCSP_SIGNING: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 9];
/// id-pkix-ocsp-basic (RFC 6960 §4.2.1).
pub const OCSP_BASIC: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 1, 1];
/// id-pkix-ocsp-nonce (RFC 6960 §4.4.1).
pub const OCSP_NONCE: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 1, 2];
/// id-pkix-ocsp-nocheck (RFC 6960 §4.2.2.2.1).
pub const OCSP_NO_CHECK: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 1, 5];

/// The sandbox's timestamp policy, under the arc anybody may use
/// (ITU-T X.667 §6.3). Ours: it says nothing about any real authority.
pub const TIMESTAMP_POLICY: &[u64] = &[2, 25, 1_397_048_137, 1];

/// The dotted form of an object identifier.
pub fn dotted(arcs: &[u64]) -> String {
    let arcs: Vec<String> = arcs.iter().map(u64::to_string).collect();
    arcs.join(".")
}
