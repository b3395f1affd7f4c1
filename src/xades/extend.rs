//! From B to T to LT: unsigned properties that let a validator prove, long
//! after, that the signer's certificate was good when the signature was made.

use super::profile::{EXC_C14N, Parts, Unsigned, XADES, canonical, decode, encode, fault};
use super::signing::splice;
use super::{Level, XadesError};
use crate::base::digest;
use crate::x509::Cert;
use crate::x509::tsp::TimestampToken;
use crate::xml;
use roxmltree::Node;
use std::collections::BTreeSet;
use std::fmt::Write;

/// The bytes that the signature timestamp covers: the exclusive canonical form
/// of `ds:SignatureValue` (EN 319 132-1 §5.3).
pub fn timestamp_input(xml: &[u8]) -> Result<Vec<u8>, XadesError> {
    let doc = xml::parse(xml).map_err(XadesError::Parse)?;
    Ok(canonical(Parts::find(&doc)?.signature_value))
}

/// Adds `SignatureTimeStamp` to a B-level signature. `token` is the DER of the
/// timestamp token (a `ContentInfo`) and goes in unchanged; one that was made
/// over something else is refused.
pub fn extend_t(xml: &[u8], token: &[u8]) -> Result<Vec<u8>, XadesError> {
    let doc = xml::parse(xml).map_err(XadesError::Parse)?;
    let parts = Parts::find(&doc)?;
    level(&parts, Level::B)?;
    check_timestamp(&parts, token)?;
    let value = encode(token);
    let inserted = format!(
        "<xades:UnsignedProperties><xades:UnsignedSignatureProperties><xades:SignatureTimeStamp>\
         <ds:CanonicalizationMethod Algorithm=\"{EXC_C14N}\"/>\
         <xades:EncapsulatedTimeStamp>{value}</xades:EncapsulatedTimeStamp>\
         </xades:SignatureTimeStamp></xades:UnsignedSignatureProperties></xades:UnsignedProperties>"
    );
    insert_after(xml, &parts, parts.signed_properties, &inserted)
}

/// Adds the validation data to a T-level signature: `certificates` are those
/// of the signer's, the timestamp authority's and the OCSP responders' chains,
/// `ocsp` whole `OCSPResponse`s and `crls` `CertificateList`s, all in DER.
/// Duplicates and the certificate that `KeyInfo` already holds are left out.
///
/// The timestamp's validation data goes into the same `CertificateValues` and
/// `RevocationValues` (EN 319 132-1 §5.4.1, §5.4.2): validators pool all they
/// find in a signature, the 1.3.2 elements are read by every one of them, and
/// `TimeStampValidationData` of the 1.4.1 schema would say the same again.
pub fn extend_lt(
    xml: &[u8],
    certificates: &[Cert],
    ocsp: &[Vec<u8>],
    crls: &[Vec<u8>],
) -> Result<Vec<u8>, XadesError> {
    if ocsp.is_empty() && crls.is_empty() {
        return fault("level LT needs revocation data");
    }
    let doc = xml::parse(xml).map_err(XadesError::Parse)?;
    let parts = Parts::find(&doc)?;
    level(&parts, Level::T)?;
    let Unsigned::T { timestamp } = parts.unsigned else {
        return fault("level T has no timestamp");
    };
    let signer = decode(parts.certificate)?;
    let chain = certificates.iter().map(Cert::der).filter(|c| *c != signer);
    let mut inserted = String::from("<xades:CertificateValues>");
    push_values(&mut inserted, "EncapsulatedX509Certificate", chain);
    inserted.push_str("</xades:CertificateValues><xades:RevocationValues>");
    for (outer, inner, values) in [
        ("CRLValues", "EncapsulatedCRLValue", crls),
        ("OCSPValues", "EncapsulatedOCSPValue", ocsp),
    ] {
        if !values.is_empty() {
            let _ = write!(inserted, "<xades:{outer}>");
            push_values(&mut inserted, inner, values.iter().map(Vec::as_slice));
            let _ = write!(inserted, "</xades:{outer}>");
        }
    }
    inserted.push_str("</xades:RevocationValues>");
    insert_after(xml, &parts, timestamp, &inserted)
}

/// Reads a token and checks that its imprint is that of this signature; all
/// else about it is the business of [`TimestampToken::verify`].
pub(super) fn check_timestamp(
    parts: &Parts<'_, '_>,
    token: &[u8],
) -> Result<TimestampToken, XadesError> {
    let imprint = digest::sha256(&canonical(parts.signature_value));
    let token = TimestampToken::from_der(token).map_err(XadesError::Timestamp)?;
    token
        .verify(&imprint, None)
        .map_err(XadesError::Timestamp)?;
    Ok(token)
}

fn push_values<'v>(out: &mut String, element: &str, values: impl Iterator<Item = &'v [u8]>) {
    let mut seen = BTreeSet::new();
    for value in values {
        if seen.insert(value) {
            let text = encode(value);
            let _ = write!(out, "<xades:{element}>{text}</xades:{element}>");
        }
    }
}

fn level(parts: &Parts<'_, '_>, wanted: Level) -> Result<(), XadesError> {
    let have = parts.level();
    if have == wanted {
        Ok(())
    } else {
        Err(XadesError::Level { have, wanted })
    }
}

/// Inserts text behind an element; the text uses the prefixes that our own
/// signatures declare.
fn insert_after(
    xml: &[u8],
    parts: &Parts<'_, '_>,
    node: Node<'_, '_>,
    text: &str,
) -> Result<Vec<u8>, XadesError> {
    let bound = parts.qualifying.lookup_namespace_uri(Some("xades")) == Some(XADES)
        && parts.qualifying.lookup_namespace_uri(Some("ds")) == Some(super::profile::DS);
    if !bound {
        return fault("the signature does not declare the prefixes ds and xades");
    }
    let mark = xml.len() - node.document().input_text().len();
    let at = mark + node.range().end;
    Ok(splice(xml, at..at, &[text.as_bytes()]))
}
