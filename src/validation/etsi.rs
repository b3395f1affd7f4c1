//! The report as XML of TS 119 102-2 v1.4.1: what another validator's report
//! looks like, so that the two can be laid side by side.

use super::indication::{Indication, SubIndication};
use super::report::{Chain, Facts, Object, Report, Revocation, SignatureReport, Timestamp};
use crate::base::clock::rfc3339_seconds;
use crate::base::{digest, hex};
use crate::trust::Evidence;
use crate::xml::escape_text;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::fmt::Write;
use time::OffsetDateTime;

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
    <ValidationReport xmlns=\"http://uri.etsi.org/19102/v1.4.1#\">";

/// `CRLReason` (RFC 5280 §5.3.1) as TS 119 102-2 names it.
const REASONS: [(u8, &str); 10] = [
    (0, "unspecified"),
    (1, "keyCompromise"),
    (2, "cACompromise"),
    (3, "affiliationChanged"),
    (4, "superseded"),
    (5, "cessationOfOperation"),
    (6, "certificateHold"),
    (8, "removeFromCRL"),
    (9, "privilegeWithdrawn"),
    (10, "aACompromise"),
];

/// The report as a document. It is not signed.
pub(super) fn document(report: &Report) -> String {
    let mut out = String::from(HEAD);
    let mut objects = BTreeMap::new();
    for signature in &report.signatures {
        push_signature(&mut out, report, signature);
        let facts = signature.facts.iter();
        objects.extend(
            facts
                .flat_map(|facts| &facts.objects)
                .map(|object| (object_id(object), object)),
        );
    }
    if !objects.is_empty() {
        out.push_str("<SignatureValidationObjects>");
        for (id, object) in objects {
            push_object(&mut out, &id, object, report);
        }
        out.push_str("</SignatureValidationObjects>");
    }
    out.push_str("</ValidationReport>\n");
    out
}

fn push_signature(out: &mut String, report: &Report, signature: &SignatureReport) {
    out.push_str("<SignatureValidationReport>");
    if let Some(facts) = &signature.facts {
        out.push_str("<ValidationTimeInfo>");
        push(
            out,
            "ValidationTime",
            &rfc3339_seconds(report.validation_time),
        );
        let proof = facts.timestamp.as_ref();
        let proof = proof.filter(|stamp| stamp.indication == Indication::TotalPassed);
        out.push_str("<BestSignatureTime>");
        push_proof(out, facts.best_signature_time, proof, facts);
        out.push_str("</BestSignatureTime></ValidationTimeInfo>");
        push_attributes(out, facts);
        push_signer(out, facts);
    }
    out.push_str("<SignatureValidationProcess>");
    let process = match &signature.facts {
        Some(Facts {
            timestamp: Some(_), ..
        }) => "LTVM",
        Some(_) | None => "Basic",
    };
    let process = format!("urn:etsi:019102:validationprocess:{process}");
    push(out, "SignatureValidationProcessID", &process);
    out.push_str("</SignatureValidationProcess><SignatureValidationStatus>");
    push_status(out, &signature.indication.uri(), signature.sub_indication);
    if let Some(facts) = &signature.facts {
        push_chain(out, &facts.signer, Some(&signature.text));
    }
    out.push_str("</SignatureValidationStatus></SignatureValidationReport>");
}

fn push_status(out: &mut String, main: &str, sub: Option<SubIndication>) {
    push(out, "MainIndication", main);
    if let Some(sub) = sub {
        push(out, "SubIndication", &sub.uri());
    }
}

/// The attributes a report has to name (TS 119 102-2 annex A).
fn push_attributes(out: &mut String, facts: &Facts) {
    out.push_str("<SignatureAttributes><SigningTime Signed=\"true\">");
    push(out, "Time", &rfc3339_seconds(facts.claimed_signing_time));
    out.push_str("</SigningTime>");
    if let Some(stamp) = &facts.timestamp {
        out.push_str("<SignatureTimeStamp Signed=\"false\">");
        if let Some(id) = timestamp_id(facts) {
            let _ = write!(out, "<AttributeObject VOReference=\"{id}\"/>");
        }
        push(out, "TimeStampValue", &rfc3339_seconds(stamp.gen_time));
        out.push_str("</SignatureTimeStamp>");
    }
    out.push_str("</SignatureAttributes>");
}

fn push_signer(out: &mut String, facts: &Facts) {
    let Some(signer) = facts.signer.0.first() else {
        return;
    };
    let id = certificate_id(&signer.sha256);
    let _ = write!(
        out,
        "<SignerInformation><SignerCertificate VOReference=\"{id}\"/>"
    );
    push(out, "Signer", &signer.subject);
    out.push_str("</SignerInformation>");
}

/// `AssociatedValidationReportData`: anchor, chain, and what was found about
/// revocation and the rest in words.
fn push_chain(out: &mut String, chain: &Chain, text: Option<&str>) {
    out.push_str("<AssociatedValidationReportData>");
    let anchor = chain.0.iter().find(|certificate| certificate.anchor);
    if let Some(anchor) = anchor {
        push_reference(out, "TrustAnchor", &certificate_id(&anchor.sha256));
    }
    out.push_str("<CertificateChain>");
    for (index, certificate) in chain.0.iter().enumerate() {
        let role = match (index, certificate.anchor) {
            (0, _) => "SigningCertificate",
            (_, true) => "TrustAnchor",
            (_, false) => "IntermediateCertificate",
        };
        push_reference(out, role, &certificate_id(&certificate.sha256));
    }
    out.push_str("</CertificateChain>");
    let revoked = chain.0.iter().find_map(|certificate| {
        let revocation = certificate.revocation.as_ref()?;
        Some((certificate, revocation, revocation.revoked_at?))
    });
    if let Some((certificate, revocation, at)) = revoked {
        push_revocation(out, &certificate.sha256, revocation, at);
    }
    if let Some(text) = text {
        out.push_str("<AdditionalValidationReportData><ReportData>");
        push(out, "Type", "urn:sceau:validation:text");
        push(out, "Value", text);
        out.push_str("</ReportData></AdditionalValidationReportData>");
    }
    out.push_str("</AssociatedValidationReportData>");
}

fn push_revocation(
    out: &mut String,
    certificate: &str,
    revocation: &Revocation,
    at: OffsetDateTime,
) {
    out.push_str("<RevocationStatusInformation>");
    push_reference(out, "ValidationObjectId", &certificate_id(certificate));
    push(out, "RevocationTime", &rfc3339_seconds(at));
    let named = REASONS
        .iter()
        .find(|(code, _)| revocation.reason == Some(*code));
    if let Some((_, name)) = named {
        let uri = format!("urn:etsi:019102:revocationReason:{name}");
        push(out, "RevocationReason", &uri);
    }
    push_reference(out, "RevocationObject", &format!("R-{}", revocation.sha256));
    out.push_str("</RevocationStatusInformation>");
}

fn push_object(out: &mut String, id: &str, object: &Object, report: &Report) {
    let (kind, stamped) = match object {
        Object::Certificate(_) => ("certificate", None),
        Object::Evidence(Evidence::Ocsp(_)) => ("OCSPResponse", None),
        Object::Evidence(Evidence::Crl(_)) => ("CRL", None),
        Object::Timestamp(token) => ("timestamp", Some(token)),
    };
    let _ = write!(out, "<ValidationObject id=\"{id}\">");
    let uri = format!("urn:etsi:019102:validationObject:{kind}");
    push(out, "ObjectType", &uri);
    out.push_str("<ValidationObjectRepresentation>");
    push(out, "base64", &STANDARD.encode(object.der()));
    out.push_str("</ValidationObjectRepresentation>");
    if let Some(token) = stamped {
        let facts = report.signatures.iter().filter_map(|s| s.facts.as_ref());
        let mut stamps = facts.filter_map(|facts| facts.timestamp.as_ref());
        let serial = hex::encode(token.serial());
        if let Some(stamp) = stamps.find(|stamp| stamp.serial == serial) {
            out.push_str("<POEProvisioning>");
            push(out, "POETime", &rfc3339_seconds(stamp.gen_time));
            out.push_str("</POEProvisioning><ValidationReport><SignatureValidationStatus>");
            let name = stamp.indication.of_block().to_ascii_lowercase();
            let main = format!("urn:etsi:019102:mainindication:{name}");
            push_status(out, &main, stamp.sub_indication);
            push_chain(out, &stamp.authority, None);
            out.push_str("</SignatureValidationStatus></ValidationReport>");
        }
    }
    out.push_str("</ValidationObject>");
}

/// What proves that the signature existed: a timestamp, or this validation.
fn push_proof(out: &mut String, at: OffsetDateTime, proof: Option<&Timestamp>, facts: &Facts) {
    push(out, "POETime", &rfc3339_seconds(at));
    push(out, "TypeOfProof", "urn:etsi:019102:poetype:validation");
    if let Some(id) = proof.and_then(|_| timestamp_id(facts)) {
        push_reference(out, "POEObject", &id);
    }
}

fn timestamp_id(facts: &Facts) -> Option<String> {
    let is_stamp = |object: &&Object| matches!(object, Object::Timestamp(_));
    facts.objects.iter().find(is_stamp).map(object_id)
}

fn object_id(object: &Object) -> String {
    let kind = match object {
        Object::Certificate(_) => 'C',
        Object::Evidence(_) => 'R',
        Object::Timestamp(_) => 'T',
    };
    format!("{kind}-{}", hex::encode(&digest::sha256(object.der())))
}

fn certificate_id(sha256: &str) -> String {
    format!("C-{sha256}")
}

fn push_reference(out: &mut String, element: &str, id: &str) {
    let _ = write!(out, "<{element} VOReference=\"{id}\"/>");
}

fn push(out: &mut String, element: &str, text: &str) {
    let _ = write!(out, "<{element}>{}</{element}>", escape_text(text));
}
