//! The first look at an XML document: where its signature is, and whether it is
//! one at all (EN 319 102-1 §5.2.2, §5.2.3). What the strict verifier would
//! refuse without saying which of the standard's words applies is told here.

use super::Context;
use super::certificates::{weak, weak_key};
use super::indication::SubIndication as Sub;
use super::report::{BlockKind, Fault};
use crate::x509::Cert;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use roxmltree::{Document, Node};
use std::collections::HashSet;

const DS: &str = "http://www.w3.org/2000/09/xmldsig#";

/// Names of digests as TS 119 312 writes them, by the end of the algorithm's
/// URI (RFC 6931). Others are left to the profile.
const WEAK_DIGESTS: [(&str, &str); 3] = [("sha1", "SHA-1"), ("sha224", "SHA-224"), ("md5", "MD5")];

/// Most references of a signature that are looked at; the profile has two.
const REFERENCES_MAX: usize = 16;

/// Looks at the only signature of a document.
pub(super) fn inspect(document: &Document<'_>, context: &Context) -> Result<(), Fault> {
    let mut all = document.descendants().filter(|n| is(*n, "Signature"));
    let signature = match (all.next(), all.next()) {
        (Some(only), None) => only,
        (None, _) => return Err(format_fault("the document holds no signature")),
        (Some(_), Some(_)) => {
            let text = "the document holds several signatures; the profile allows one";
            return Err(constraint(text));
        }
    };
    let info = child(signature, "SignedInfo")?;
    base64(child(signature, "SignatureValue")?)?;
    let methods = [
        child(info, "CanonicalizationMethod")?,
        child(info, "SignatureMethod")?,
    ];
    let references: Vec<Node<'_, '_>> = info.children().filter(|n| is(*n, "Reference")).collect();
    if references.is_empty() {
        return Err(format_fault("SignedInfo has no Reference"));
    }
    if references.len() > REFERENCES_MAX {
        let text = format!("SignedInfo has more than {REFERENCES_MAX} references");
        return Err(constraint(text));
    }
    let ids: HashSet<&str> = document
        .descendants()
        .flat_map(|node| node.attributes())
        .filter(|a| a.name().eq_ignore_ascii_case("id"))
        .map(|a| a.value())
        .collect();
    let mut algorithms = methods.to_vec();
    for reference in references {
        algorithms.push(child(reference, "DigestMethod")?);
        base64(child(reference, "DigestValue")?)?;
        target(&ids, reference)?;
    }
    let signer = signing_certificate(signature)?;
    for method in algorithms {
        digest_strength(method, context)?;
    }
    match weak_key(context, &signer) {
        Some(fault) => Err(fault),
        None => Ok(()),
    }
}

/// What a reference names must be in the document: nothing is fetched.
fn target(ids: &HashSet<&str>, reference: Node<'_, '_>) -> Result<(), Fault> {
    let missing = |what: &str| {
        let text = format!("a reference names {what}");
        Err(Fault::new(
            BlockKind::Cryptographic,
            Sub::SignedDataNotFound,
            text,
        ))
    };
    let Some(uri) = reference.attribute("URI") else {
        return missing("nothing");
    };
    let Some(id) = uri.strip_prefix('#') else {
        return match uri {
            "" => Ok(()),
            _ => missing("something outside the document"),
        };
    };
    // XPointers are no identifiers; the profile refuses them.
    if id.contains('(') {
        return Ok(());
    }
    match ids.contains(id) {
        true => Ok(()),
        false => missing("an identifier that no element has"),
    }
}

fn signing_certificate(signature: Node<'_, '_>) -> Result<Cert, Fault> {
    let missing = |text: String| {
        let sub = Sub::NoSigningCertificateFound;
        Fault::new(BlockKind::SigningCertificate, sub, text)
    };
    let key_info = signature.children().find(|n| is(*n, "KeyInfo"));
    let certificate = key_info
        .into_iter()
        .flat_map(|node| node.descendants())
        .find(|n| is(*n, "X509Certificate"))
        .ok_or_else(|| missing("KeyInfo holds no certificate".to_owned()))?;
    let der = base64(certificate).map_err(|fault| missing(fault.text))?;
    Cert::from_der(&der).map_err(|error| missing(format!("the signer's certificate: {error}")))
}

fn digest_strength(method: Node<'_, '_>, context: &Context) -> Result<(), Fault> {
    let uri = method.attribute("Algorithm").unwrap_or_default();
    let end = uri.to_ascii_lowercase();
    let Some((_, name)) = WEAK_DIGESTS.iter().find(|(word, _)| end.ends_with(word)) else {
        return Ok(());
    };
    let checked = context.algorithms.check_digest(name, context.now);
    checked.map_err(|fault| weak(BlockKind::Acceptance, &fault, uri))
}

fn is(node: Node<'_, '_>, local: &str) -> bool {
    node.is_element() && node.tag_name().name() == local && node.tag_name().namespace() == Some(DS)
}

fn child<'a, 'i>(parent: Node<'a, 'i>, local: &str) -> Result<Node<'a, 'i>, Fault> {
    let found = parent.children().find(|n| is(*n, local));
    let name = parent.tag_name().name();
    found.ok_or_else(|| format_fault(format!("{name} has no {local}")))
}

fn base64(node: Node<'_, '_>) -> Result<Vec<u8>, Fault> {
    let text = node.text().unwrap_or_default();
    let compact: String = text.split_ascii_whitespace().collect();
    let fault = |_| format_fault(format!("{} is not base64", node.tag_name().name()));
    STANDARD.decode(compact).map_err(fault)
}

fn format_fault(text: impl Into<String>) -> Fault {
    Fault::new(BlockKind::Format, Sub::FormatFailure, text)
}

pub(super) fn constraint(text: impl Into<String>) -> Fault {
    Fault::new(BlockKind::Acceptance, Sub::SigConstraintsFailure, text)
}
