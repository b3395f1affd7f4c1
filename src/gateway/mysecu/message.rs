//! Requests: a SOAP envelope with its WS-Security header (WSS 1.0 and the
//! X.509 token profile 1.0). The envelope is put together once without its
//! signature; what is digested is the canonical form of the elements as they
//! stand in it, and the signature is then inserted beside them, so that no
//! byte changes between digesting and sending.

use super::names::{self, BASE64, DS, EXC_C14N, SHA256, SOAP, WSSE, WSU, X509_V3};
use super::session::{Assertion, Token};
use super::transport::{Transport, TransportError};
use crate::base::Uuid4;
use crate::base::clock::rfc3339_seconds;
use crate::xml::c14n::{self, Options};
use crate::xml::{escape_attribute, without_mark};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use roxmltree::{Document, Node, ParsingOptions};
use std::ops::Range;
use time::{Duration, OffsetDateTime};

/// How long a request is valid for its receiver.
const LIFETIME: Duration = Duration::minutes(5);
/// About what signature, tags and signed request around a document take, in
/// bytes: with it a large document is not copied again for want of room.
const ROOM_BYTES: usize = 8 << 10;

/// Why a request cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// The document is not XML, or does not fit into the envelope as one element.
    #[error("the document does not fit into the envelope as one element")]
    Enclose,
    /// The transport key failed.
    #[error(transparent)]
    Sign(#[from] TransportError),
}

/// What a request carries to prove who sends it, besides its signature.
#[derive(Clone, Copy)]
pub enum Carried<'a> {
    /// The transport certificate alone.
    Nothing,
    /// The identity provider's word.
    Assertion(&'a Assertion),
    /// The mySecu token.
    Token(&'a Token),
}

/// The body's one element: our opening and closing tags with whatever stands
/// between them, and a document of somebody else's in the middle.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// Before the document.
    pub open: &'a str,
    /// The document, without its XML declaration when sent; may be empty.
    pub payload: &'a [u8],
    /// After the document.
    pub close: &'a str,
}

/// Makes a signed request.
///
/// # Errors
/// [`MessageError::Enclose`] when the payload is not exactly one element.
pub fn build(
    transport: &Transport,
    carried: Carried<'_>,
    content: &Content<'_>,
    now: OffsetDateTime,
) -> Result<Vec<u8>, MessageError> {
    let ids = Ids::random();
    let mut text = head(transport, carried, &ids, now);
    text.reserve(content.payload.len() + ROOM_BYTES);
    let insert_at = text.len();
    text.push_str("</wsse:Security></soap:Header><soap:Body xmlns:wsu=\"");
    text.push_str(&format!("{WSU}\" wsu:Id=\"{}\">", ids.body));
    let start = text.len();
    text.push_str(content.open);
    let payload = std::str::from_utf8(without_declaration(content.payload))
        .map_err(|_| MessageError::Enclose)?;
    text.push_str(payload);
    text.push_str(content.close);
    let body_element = start..text.len();
    text.push_str("</soap:Body></soap:Envelope>");

    let signed_info = signed_info(&text, transport, body_element, payload.is_empty())?;
    let value = STANDARD.encode(transport.sign(signed_info.as_bytes())?);
    let signature = format!(
        "<ds:Signature xmlns:ds=\"{DS}\">{signed_info}<ds:SignatureValue>{value}</ds:SignatureValue>\
         <ds:KeyInfo><wsse:SecurityTokenReference><wsse:Reference URI=\"#{}\" ValueType=\"{X509_V3}\"/>\
         </wsse:SecurityTokenReference></ds:KeyInfo></ds:Signature>",
        ids.certificate
    );
    text.insert_str(insert_at, &signature);
    Ok(text.into_bytes())
}

struct Ids {
    timestamp: String,
    certificate: String,
    token: String,
    body: String,
}

impl Ids {
    /// Random, so that no id of the payload can be one of these.
    fn random() -> Self {
        let unique = Uuid4::random();
        let id = |what: &str| format!("{what}-{unique}");
        Self {
            timestamp: id("timestamp"),
            certificate: id("certificate"),
            token: id("token"),
            body: id("body"),
        }
    }
}

/// The envelope up to the place of the signature.
fn head(transport: &Transport, carried: Carried<'_>, ids: &Ids, now: OffsetDateTime) -> String {
    let token = |id: &str, value_type: &str, value: &str| {
        format!(
            "<wsse:BinarySecurityToken EncodingType=\"{BASE64}\" ValueType=\"{value_type}\" \
             wsu:Id=\"{id}\">{value}</wsse:BinarySecurityToken>"
        )
    };
    let carried = match carried {
        Carried::Nothing => String::new(),
        Carried::Assertion(assertion) => assertion.xml.clone(),
        Carried::Token(held) => token(&ids.token, names::MYSECU_TOKEN, &held.value),
    };
    format!(
        "<soap:Envelope xmlns:soap=\"{SOAP}\"><soap:Header><wsse:Security xmlns:wsse=\"{WSSE}\" \
         xmlns:wsu=\"{WSU}\" soap:mustUnderstand=\"1\"><wsu:Timestamp wsu:Id=\"{}\">\
         <wsu:Created>{}</wsu:Created><wsu:Expires>{}</wsu:Expires></wsu:Timestamp>{}{carried}",
        ids.timestamp,
        rfc3339_seconds(now),
        rfc3339_seconds(now + LIFETIME),
        token(
            &ids.certificate,
            X509_V3,
            &STANDARD.encode(transport.certificate().der())
        ),
    )
}

/// `ds:SignedInfo` in canonical form over the elements of the unsigned
/// envelope. `body_element` is where the body's element was written.
fn signed_info(
    text: &str,
    transport: &Transport,
    body_element: Range<usize>,
    payload_is_empty: bool,
) -> Result<String, MessageError> {
    let options = ParsingOptions {
        allow_dtd: false,
        ..ParsingOptions::default()
    };
    let document =
        Document::parse_with_options(text, options).map_err(|_| MessageError::Enclose)?;
    let envelope = document.root_element();
    let header = names::descend(envelope, &[(SOAP, "Header"), (WSSE, "Security")]);
    let body = names::child(envelope, Some(SOAP), "Body");
    let (Some(header), Some(body)) = (header, body) else {
        return Err(MessageError::Enclose);
    };
    // A payload that closes our tags and opens others would be well-formed
    // too: the tree must be the one that was written.
    let element = body.first_element_child().ok_or(MessageError::Enclose)?;
    let alone = payload_is_empty || names::elements(element).count() == 1;
    if element.range() != body_element || !alone {
        return Err(MessageError::Enclose);
    }
    let parts = names::elements(header).filter(|n| !is_certificate(*n));
    let references: String = parts
        .chain([body])
        .map(|node| reference(&document, node))
        .collect();
    Ok(format!(
        "<ds:SignedInfo xmlns:ds=\"{DS}\"><ds:CanonicalizationMethod Algorithm=\"{EXC_C14N}\">\
         </ds:CanonicalizationMethod><ds:SignatureMethod Algorithm=\"{}\"></ds:SignatureMethod>\
         {references}</ds:SignedInfo>",
        transport.algorithm_uri()
    ))
}

/// The certificate is not signed: a signature that verifies with it needs no
/// second proof of it.
fn is_certificate(node: Node<'_, '_>) -> bool {
    names::is(node, WSSE, "BinarySecurityToken") && node.attribute("ValueType") == Some(X509_V3)
}

fn reference(document: &Document<'_>, node: Node<'_, '_>) -> String {
    let id = node.attribute((WSU, "Id")).or_else(|| node.attribute("ID"));
    let digest = c14n::sha256(document, node, |_| true, &Options::EXCLUSIVE);
    format!(
        "<ds:Reference URI=\"#{}\"><ds:Transforms><ds:Transform Algorithm=\"{EXC_C14N}\">\
         </ds:Transform></ds:Transforms><ds:DigestMethod Algorithm=\"{SHA256}\"></ds:DigestMethod>\
         <ds:DigestValue>{}</ds:DigestValue></ds:Reference>",
        escape_attribute(id.unwrap_or_default()),
        STANDARD.encode(digest)
    )
}

/// The document without byte order mark and XML declaration (XML 1.0 §2.8):
/// neither may stand inside another document.
fn without_declaration(document: &[u8]) -> &[u8] {
    let document = without_mark(document);
    let Some(rest) = document.strip_prefix(b"<?xml") else {
        return document;
    };
    if !rest.first().is_some_and(u8::is_ascii_whitespace) {
        return document;
    }
    let end = rest.windows(2).position(|pair| pair == b"?>");
    end.and_then(|at| rest.get(at + 2..)).unwrap_or(document)
}
