//! The verifier: one profile, every part where it belongs, every value
//! recomputed. Whether the certificates deserve trust, and whether the
//! revocation data suffices, is for the caller to decide.

use super::profile::{
    DS, ENVELOPED, EXC_C14N, MIME_TYPE, Parts, SHA256, SIGNED_PROPERTIES, Unsigned, XADES,
    algorithm, attribute, canonical, children, decode, ecdsa_size, elements, fault, is, text,
};
use super::{Level, Signed, Slot, XadesError};
use crate::base::clock::parse_rfc3339;
use crate::base::digest;
use crate::x509::crl::Crl;
use crate::x509::ocsp::OcspResponse;
use crate::x509::tsp::TimestampToken;
use crate::x509::{self, Cert, SignatureAlgorithm};
use crate::xml;
use crate::xml::c14n;
use crate::xml::path::Path;
use roxmltree::{Document, Node};
use std::collections::HashSet;
use time::OffsetDateTime;

/// A signature that is whole, bound to its certificate and over all of the
/// document.
#[derive(Debug)]
pub struct Verified {
    /// The certificate whose key made the signature.
    pub signer: Cert,
    /// The algorithm of the signature.
    pub algorithm: SignatureAlgorithm,
    /// The time the signer claims.
    pub signing_time: OffsetDateTime,
    /// The level the signature has by what it contains.
    pub level: Level,
    /// The signature timestamp, of levels T and LT.
    pub token: Option<TimestampToken>,
    /// The content of `CertificateValues`, of level LT.
    pub certificates: Vec<Cert>,
    /// OCSP responses, of level LT.
    pub ocsp: Vec<OcspResponse>,
    /// Revocation lists, of level LT.
    pub crls: Vec<Crl>,
}

/// Verifies the signature of a document: exactly one, in the slot, of our
/// profile. The timestamp is verified to be one over this signature.
pub fn verify(xml: &[u8], slot: &Slot) -> Result<Verified, XadesError> {
    let doc = xml::parse(xml).map_err(XadesError::Parse)?;
    verify_parsed(&doc, slot)
}

/// The same for a document that has been parsed already.
pub fn verify_parsed(doc: &Document<'_>, slot: &Slot) -> Result<Verified, XadesError> {
    let parts = Parts::find(doc)?;
    examine(doc, &parts, slot)
}

/// Verifies a signature that has been taken apart.
pub(super) fn examine(
    doc: &Document<'_>,
    parts: &Parts<'_, '_>,
    slot: &Slot,
) -> Result<Verified, XadesError> {
    in_slot(doc, slot, parts)?;
    unique_ids(doc, parts.signature)?;
    check_references(doc, parts)?;
    let signer = certificate(parts.certificate)?;
    // Whose signature it is comes before whether its value is right
    // (EN 319 102-1 §5.3.4).
    let signing_time = check_properties(parts, &signer)?;
    let algorithm = check_signature_value(parts, &signer)?;
    let mut verified = Verified {
        signer,
        algorithm,
        signing_time,
        level: parts.level(),
        token: None,
        certificates: Vec::new(),
        ocsp: Vec::new(),
        crls: Vec::new(),
    };
    match parts.unsigned {
        Unsigned::B => {}
        Unsigned::T { timestamp } => verified.token = Some(read_timestamp(parts, timestamp)?),
        Unsigned::Lt {
            timestamp,
            certificates,
            revocations,
        } => {
            verified.token = Some(read_timestamp(parts, timestamp)?);
            for value in values(certificates, "EncapsulatedX509Certificate")? {
                verified.certificates.push(certificate(value)?);
            }
            read_revocations(revocations, &mut verified)?;
        }
    }
    Ok(verified)
}

/// The slot in which the signature of a document stands, for signatures made
/// elsewhere: the end of the root, or a wrapper that holds nothing else.
pub fn slot_of(doc: &Document<'_>) -> Result<Slot, XadesError> {
    let parts = Parts::find(doc)?;
    let parent = parts
        .signature
        .parent()
        .filter(|p| *p != doc.root_element());
    let slot = parent.map_or(Slot::EndOfRoot, |parent| Slot::Wrapper(Path::to(parent)));
    in_slot(doc, &slot, &parts)?;
    Ok(slot)
}

fn in_slot(doc: &Document<'_>, slot: &Slot, parts: &Parts<'_, '_>) -> Result<(), XadesError> {
    let parent = parts.signature.parent();
    let found = match slot {
        Slot::EndOfRoot => match parts.signature.next_sibling_element() {
            _ if parent != Some(doc.root_element()) => "a signature that is no child of the root",
            Some(_) => "a signature that is not the last element of the root",
            None => return Ok(()),
        },
        Slot::Wrapper(path) => match path.select(doc.root()).as_slice() {
            [slot] if parent == Some(*slot) => match elements(*slot)?.len() {
                1 => return Ok(()),
                _ => "more than the signature",
            },
            [_] => "a signature outside it",
            [] => "no slot",
            [..] => "several slots",
        },
    };
    Err(XadesError::Slot {
        found: found.to_owned(),
    })
}

/// No identifier of the signature may occur a second time, under whatever
/// spelling a program takes for an identifier.
fn unique_ids(doc: &Document<'_>, signature: Node<'_, '_>) -> Result<(), XadesError> {
    let ids_of = |node: Node<'_, '_>| -> Vec<String> {
        node.attributes()
            .filter(|a| a.name().eq_ignore_ascii_case("id"))
            .map(|a| a.value().to_owned())
            .collect()
    };
    let own: HashSet<String> = signature.descendants().flat_map(ids_of).collect();
    let mut all: Vec<String> = doc.descendants().flat_map(ids_of).collect();
    all.sort_unstable();
    let twice = all.windows(2).filter_map(|pair| match pair {
        [a, b] if a == b => Some(a),
        _ => None,
    });
    for id in twice {
        if own.contains(id) {
            return fault(format!("the identifier {id} occurs more than once"));
        }
    }
    Ok(())
}

fn check_references(doc: &Document<'_>, parts: &Parts<'_, '_>) -> Result<(), XadesError> {
    let document = parts.document_reference;
    if !attribute(document, "URI")?.is_empty() || document.attribute("Type").is_some() {
        return fault("the first reference must be to the whole document");
    }
    let signature = parts.signature.range();
    let found = c14n::sha256(
        doc,
        doc.root(),
        |n| n.range().start < signature.start || n.range().end > signature.end,
        &c14n::Options::EXCLUSIVE,
    );
    let expected = reference(document, &[ENVELOPED, EXC_C14N])?;
    if expected != found {
        return Err(XadesError::Digest(Signed::Document));
    }

    let properties = parts.properties_reference;
    let target = format!("#{}", attribute(parts.signed_properties, "Id")?);
    if attribute(properties, "URI")? != target
        || attribute(properties, "Type")? != SIGNED_PROPERTIES
    {
        return fault("the second reference must be to the signed properties");
    }
    let expected = reference(properties, &[EXC_C14N])?;
    if expected != digest::sha256(&canonical(parts.signed_properties)) {
        return Err(XadesError::Digest(Signed::Properties));
    }
    Ok(())
}

/// The digest value of a reference with exactly these transforms.
fn reference(node: Node<'_, '_>, transforms: &[&str]) -> Result<Vec<u8>, XadesError> {
    let [list, method, value] = children(
        node,
        [
            (DS, "Transforms"),
            (DS, "DigestMethod"),
            (DS, "DigestValue"),
        ],
    )?;
    let found = elements(list)?;
    if found.len() != transforms.len() || found.iter().any(|n| !is(*n, DS, "Transform")) {
        return fault("a reference has other transforms than the profile");
    }
    for (node, uri) in found.iter().zip(transforms) {
        algorithm(*node, uri)?;
    }
    algorithm(method, SHA256)?;
    decode(value)
}

fn check_signature_value(
    parts: &Parts<'_, '_>,
    signer: &Cert,
) -> Result<SignatureAlgorithm, XadesError> {
    let uri = attribute(parts.signature_method, "Algorithm")?;
    let method = SignatureAlgorithm::from_xml_uri(uri).ok_or(XadesError::Algorithm)?;
    algorithm(parts.signature_method, uri)?;
    let value = decode(parts.signature_value)?;
    let value = match ecdsa_size(method, signer.key())? {
        Some(size) if value.len() == 2 * size => x509::ecdsa_fixed_to_der(&value),
        Some(_) => return Err(XadesError::SignatureValue(None)),
        None => value,
    };
    x509::verify(signer, method, &canonical(parts.signed_info), &value)
        .map_err(|error| XadesError::SignatureValue(Some(error)))?;
    Ok(method)
}

/// Checks the signed properties against the rest of the signature and returns
/// the signing time.
fn check_properties(parts: &Parts<'_, '_>, signer: &Cert) -> Result<OffsetDateTime, XadesError> {
    let target = format!("#{}", attribute(parts.signature, "Id")?);
    if attribute(parts.qualifying, "Target")? != target {
        return fault("QualifyingProperties belongs to another signature");
    }
    let [of_signature, of_data] = children(
        parts.signed_properties,
        [
            (XADES, "SignedSignatureProperties"),
            (XADES, "SignedDataObjectProperties"),
        ],
    )?;
    let [time, signing_certificate] = children(
        of_signature,
        [(XADES, "SigningTime"), (XADES, "SigningCertificateV2")],
    )?;
    let [cert] = children(signing_certificate, [(XADES, "Cert")])?;
    let [cert_digest, issuer_serial] =
        children(cert, [(XADES, "CertDigest"), (XADES, "IssuerSerialV2")])?;
    let [method, value] = children(cert_digest, [(DS, "DigestMethod"), (DS, "DigestValue")])?;
    algorithm(method, SHA256)?;
    if decode(value)? != signer.sha256() || decode(issuer_serial)? != x509::issuer_serial(signer) {
        return Err(XadesError::SigningCertificate);
    }

    let [format] = children(of_data, [(XADES, "DataObjectFormat")])?;
    let [mime_type] = children(format, [(XADES, "MimeType")])?;
    let target = format!("#{}", attribute(parts.document_reference, "Id")?);
    if attribute(format, "ObjectReference")? != target || text(mime_type)? != MIME_TYPE {
        return fault("DataObjectFormat does not describe the document");
    }
    match parse_rfc3339(text(time)?) {
        Some(time) => Ok(time),
        None => fault("SigningTime is not a time with offset"),
    }
}

fn certificate(node: Node<'_, '_>) -> Result<Cert, XadesError> {
    Cert::from_der(&decode(node)?).map_err(XadesError::Certificate)
}

/// Reads a token and checks that its imprint is that of this signature; all
/// else about it is the business of [`TimestampToken::verify`].
fn read_timestamp(
    parts: &Parts<'_, '_>,
    timestamp: Node<'_, '_>,
) -> Result<TimestampToken, XadesError> {
    let [method, token] = children(
        timestamp,
        [
            (DS, "CanonicalizationMethod"),
            (XADES, "EncapsulatedTimeStamp"),
        ],
    )?;
    algorithm(method, EXC_C14N)?;
    let imprint = digest::sha256(&canonical(parts.signature_value));
    let token = TimestampToken::from_der(&decode(token)?).map_err(XadesError::Timestamp)?;
    token
        .verify(&imprint, None)
        .map_err(XadesError::Timestamp)?;
    Ok(token)
}

/// The children of a list of encapsulated values, all of one name.
fn values<'a, 'i>(list: Node<'a, 'i>, name: &str) -> Result<Vec<Node<'a, 'i>>, XadesError> {
    let found = elements(list)?;
    match found.iter().all(|n| is(*n, XADES, name)) {
        true => Ok(found),
        false => fault(format!("{} holds other values", list.tag_name().name())),
    }
}

fn read_revocations(node: Node<'_, '_>, into: &mut Verified) -> Result<(), XadesError> {
    for list in elements(node)? {
        if is(list, XADES, "CRLValues") {
            for value in values(list, "EncapsulatedCRLValue")? {
                let crl = Crl::from_der(&decode(value)?).map_err(XadesError::Crl)?;
                into.crls.push(crl);
            }
        } else if is(list, XADES, "OCSPValues") {
            for value in values(list, "EncapsulatedOCSPValue")? {
                let response = OcspResponse::from_der(&decode(value)?).map_err(XadesError::Ocsp)?;
                into.ocsp.push(response);
            }
        } else {
            return fault("RevocationValues holds other values");
        }
    }
    Ok(())
}
