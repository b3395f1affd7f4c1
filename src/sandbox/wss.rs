//! WS-Security 1.0 with X.509 tokens: checks requests and signs answers.

use crate::Sandbox;
use crate::cert::Cert;
use crate::dom::{self, DomError, SOAP, WSSE, WSU};
use crate::oids;
use crate::pki::base64;
use crate::registry::Standing;
use crate::reply::Reply;
use crate::soap::{self, Fault};
use crate::xmldsig::{self, DsigError, Signature, Target};
use roxmltree::{Document, Node};
use sceau::base::{Uuid4, clock};
use time::Duration;

/// BinarySecurityToken/@EncodingType.
const BASE64_BINARY: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary";
/// BinarySecurityToken/@ValueType of one certificate.
const X509_V3: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3";
/// How far the sender's clock may be off.
const CLOCK_TOLERANCE: Duration = Duration::minutes(5);
/// How long an answer's Timestamp holds.
const ANSWER_LIFETIME: Duration = Duration::minutes(5);

/// What a request must carry besides the sender's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// Nothing.
    Nothing,
    /// A SAML assertion.
    Assertion,
    /// A BinarySecurityToken of this ValueType.
    Token(&'static str),
}

/// A request whose signature is good.
#[derive(Debug)]
pub struct Verified<'a, 'i> {
    /// The one element of the body.
    pub payload: Node<'a, 'i>,
    /// The sender's certificate.
    pub sender: Cert,
    /// What was carried.
    pub carried: Option<Node<'a, 'i>>,
}

impl From<DomError> for Fault {
    fn from(fault: DomError) -> Self {
        Self::Security("InvalidSecurity", fault.0)
    }
}

impl From<DsigError> for Fault {
    fn from(fault: DsigError) -> Self {
        let text = fault.to_string();
        match fault {
            DsigError::Structure(_) => Self::Security("InvalidSecurity", text),
            DsigError::Algorithm(_) => Self::Security("UnsupportedAlgorithm", text),
            DsigError::Digest(_) | DsigError::Value(_) => Self::Security("FailedCheck", text),
        }
    }
}

/// Checks the security header of a request: freshness, the sender's
/// certificate, and a signature over Timestamp, Body and what is carried.
///
/// # Errors
/// The SOAP fault to send.
pub fn verify<'a, 'i>(
    sandbox: &Sandbox,
    doc: &'a Document<'i>,
    carried: Carried,
    peer: Option<&[u8]>,
) -> Result<Verified<'a, 'i>, Fault> {
    let envelope = doc.root_element();
    if !dom::is(envelope, SOAP, "Envelope") {
        return Err(Fault::Client("not a SOAP 1.1 envelope".to_owned()));
    }
    let body = dom::child(envelope, SOAP, "Body")?;
    let header = dom::child(envelope, SOAP, "Header")?;
    let security = dom::child(header, WSSE, "Security")?;
    let timestamp = dom::child(security, WSU, "Timestamp")?;
    check_timestamp(sandbox, timestamp)?;
    let token = token(security, X509_V3)?;
    let sender = Cert::from_der(&dom::base64_of(token)?)
        .map_err(|e| Fault::Security("InvalidSecurityToken", e.to_string()))?;
    check_sender(sandbox, &sender, peer)?;
    let carried = match carried {
        Carried::Nothing => None,
        Carried::Assertion => Some(dom::child(security, dom::SAML, "Assertion")?),
        Carried::Token(kind) => Some(self::token(security, kind)?),
    };
    let signature = Signature::read(dom::child(security, dom::DS, "Signature")?)?;
    check_key_info(&signature, token)?;
    let mut wanted = vec![timestamp, body];
    wanted.extend(carried);
    for element in wanted {
        check_covered(doc, &signature, element)?;
    }
    signature.verify(&sender)?;
    Ok(Verified {
        payload: dom::sole_element(body).map_err(|e| Fault::Client(e.0))?,
        sender,
        carried,
    })
}

/// The one BinarySecurityToken of this type.
fn token<'a, 'i>(security: Node<'a, 'i>, kind: &str) -> Result<Node<'a, 'i>, Fault> {
    let all = dom::children(security, WSSE, "BinarySecurityToken");
    let mut found = all.filter(|t| t.attribute("ValueType") == Some(kind));
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        (_, _) => Err(Fault::Security(
            "SecurityTokenUnavailable",
            format!("exactly one BinarySecurityToken of type {kind} is needed"),
        )),
    }
}

fn check_timestamp(sandbox: &Sandbox, timestamp: Node<'_, '_>) -> Result<(), Fault> {
    let time = |name| {
        let text = dom::text(dom::child(timestamp, WSU, name)?)?;
        clock::parse_rfc3339(text).ok_or(DomError(format!("{name} is not a time")))
    };
    let (created, expires) = (time("Created")?, time("Expires")?);
    let now = sandbox.now();
    let future = created > now + CLOCK_TOLERANCE;
    if future || expires <= now || created < now - CLOCK_TOLERANCE * 2 {
        let text = format!("created {created}, expires {expires}, now {now}");
        return Err(Fault::Security("MessageExpired", text));
    }
    Ok(())
}

fn check_sender(sandbox: &Sandbox, sender: &Cert, peer: Option<&[u8]>) -> Result<(), Fault> {
    let refuse = |text: &str| Err(Fault::Security("InvalidSecurityToken", text.to_owned()));
    if peer != Some(sender.der()) {
        return refuse("the certificate is not that of the TLS client");
    }
    if sender.issued_by(&sandbox.pki.issuing.cert).is_err() {
        return refuse("the certificate was not issued here");
    }
    if !sender.valid_at(sandbox.now()) || !sender.only_for(oids::KP_CLIENT_AUTH) {
        return refuse("the certificate is not valid, or not for authentication");
    }
    if sandbox.registry.standing(sender.serial()) != Standing::Good {
        return refuse("the certificate is revoked");
    }
    Ok(())
}

/// KeyInfo must point at the sender's token.
fn check_key_info(signature: &Signature<'_, '_>, token: Node<'_, '_>) -> Result<(), Fault> {
    let info = dom::child(signature.node, dom::DS, "KeyInfo")?;
    let reference = dom::descend(info, WSSE, &["SecurityTokenReference", "Reference"])?;
    let id = token.attribute((WSU, "Id")).unwrap_or_default();
    let uri = dom::attribute(reference, "URI")?;
    if id.is_empty() || uri.strip_prefix('#') != Some(id) {
        return Err(DomError("KeyInfo does not name the certificate".to_owned()).into());
    }
    Ok(())
}

/// One reference must name exactly this element, whose id must be unique.
fn check_covered<'a, 'i>(
    doc: &'a Document<'i>,
    signature: &Signature<'a, 'i>,
    element: Node<'a, 'i>,
) -> Result<(), Fault> {
    for reference in &signature.references {
        let Some(id) = reference.uri.strip_prefix('#') else {
            continue;
        };
        if dom::by_id(doc.root(), id)? == element {
            let prefixes = reference.only_exclusive()?;
            return Ok(reference.check(&dom::canonical(element, prefixes))?);
        }
    }
    let name = element.tag_name().name();
    Err(DomError(format!("{name} is not signed")).into())
}

/// Wraps `payload` in a signed answer. `comment` goes into the header; with
/// `spoil` the signature is wrong.
pub fn answer(sandbox: &Sandbox, payload: &str, comment: Option<&str>, spoil: bool) -> Reply {
    let now = sandbox.now();
    let id = || Uuid4::random().to_string();
    let (ts, bst, body) = (
        format!("TS-{}", id()),
        format!("X509-{}", id()),
        format!("B-{}", id()),
    );
    let timestamp = format!(
        "<wsu:Timestamp xmlns:wsu=\"{WSU}\" wsu:Id=\"{ts}\"><wsu:Created>{}</wsu:Created>\
         <wsu:Expires>{}</wsu:Expires></wsu:Timestamp>",
        clock::rfc3339(now),
        clock::rfc3339(now + ANSWER_LIFETIME)
    );
    let pki = &sandbox.pki;
    let certificate = |id: &str, der: &[u8]| {
        format!(
            "<wsse:BinarySecurityToken EncodingType=\"{BASE64_BINARY}\" ValueType=\"{X509_V3}\" \
             wsu:Id=\"{id}\">{}</wsse:BinarySecurityToken>",
            base64(der)
        )
    };
    // The issuer goes along, so that a client needs only the root.
    let certificates = certificate(&bst, pki.answer.cert.der())
        + &certificate(&format!("{bst}-issuer"), pki.issuing.cert.der());
    let comment = comment.map(|c| format!("<!-- {c} -->")).unwrap_or_default();
    let envelope = |signature: &str| {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<soap:Envelope xmlns:soap=\"{SOAP}\">\
             <soap:Header><wsse:Security xmlns:wsse=\"{WSSE}\" xmlns:wsu=\"{WSU}\" \
             soap:mustUnderstand=\"1\">{timestamp}{certificates}{signature}</wsse:Security>{comment}</soap:Header>\
             <soap:Body xmlns:wsu=\"{WSU}\" wsu:Id=\"{body}\">{payload}</soap:Body>\
             </soap:Envelope>"
        )
    };
    let unsigned = envelope("");
    let canonical = |id: &str| {
        let doc = Document::parse(&unsigned).ok()?;
        let element = dom::by_id(doc.root(), id).ok()?;
        Some(dom::canonical(element, &[]))
    };
    let (Some(ts_bytes), Some(body_bytes)) = (canonical(&ts), canonical(&body)) else {
        return Fault::Business(soap::Code::Internal, "the answer is malformed".to_owned()).reply();
    };
    let target = |id, bytes| Target {
        id,
        bytes,
        enveloped: false,
    };
    let key_info = format!(
        "<wsse:SecurityTokenReference><wsse:Reference URI=\"#{bst}\" ValueType=\"{X509_V3}\"/>\
         </wsse:SecurityTokenReference>"
    );
    let targets = [target(&ts, &ts_bytes), target(&body, &body_bytes)];
    let signature = xmldsig::sign(&pki.answer, &targets, &key_info, spoil);
    Reply::ok(soap::CONTENT_TYPE, envelope(&signature).into_bytes())
}
