//! Making a B-B signature: what is to be signed, and the finished document.

use super::profile::{
    DS, ENVELOPED, EXC_C14N, MIME_TYPE, SHA256, SIGNED_PROPERTIES, XADES, canonical, ecdsa_size,
    encode, fault, is,
};
use super::{Envelope, Level, Slot, XadesError};
use crate::base::clock::rfc3339_seconds;
use crate::base::{digest, hex};
use crate::x509::{self, Cert, SignatureAlgorithm};
use crate::xml::c14n;
use crate::xml::{self, XmlError};
use roxmltree::{Document, Node};
use std::ops::Range;
use time::OffsetDateTime;

/// A document that waits for its signature value.
#[derive(Debug)]
pub struct Prepared {
    xml: Vec<u8>,
    /// Bytes of `xml` that the signature and what surrounds it replace.
    place: Range<usize>,
    before: String,
    after: String,
    /// Offset in `after` behind the signed properties.
    properties_end: usize,
    to_be_signed: Vec<u8>,
    signer: Cert,
    signing_time: OffsetDateTime,
    algorithm: SignatureAlgorithm,
}

/// Prepares the signature of a document.
///
/// A wrapper must exist once and be empty; the root takes the signature behind
/// all it holds.
/// `signing_time` is written with whole seconds (EN 319 132-1 §5.2.1).
pub fn prepare(
    xml: &[u8],
    slot: &Slot,
    signer: &Cert,
    algorithm: SignatureAlgorithm,
    signing_time: OffsetDateTime,
) -> Result<Prepared, XadesError> {
    let doc = xml::parse(xml).map_err(XadesError::Parse)?;
    prepare_parsed((xml, &doc), slot, signer, algorithm, signing_time)
}

/// The same for a document that has been parsed already.
pub fn prepare_parsed(
    (xml, doc): (&[u8], &Document<'_>),
    slot: &Slot,
    signer: &Cert,
    algorithm: SignatureAlgorithm,
    signing_time: OffsetDateTime,
) -> Result<Prepared, XadesError> {
    let uri = algorithm.xml_uri().ok_or(XadesError::Algorithm)?;
    ecdsa_size(algorithm, signer.key())?;
    if doc.descendants().any(|n| is(n, DS, "Signature")) {
        return Err(XadesError::AlreadySigned);
    }
    let (place, open, close) = opening(parent(doc, slot)?, xml.len())?;

    // The enveloped-signature transform takes the signature out again, so the
    // digest of the document as it stands now is the one to sign. An element
    // written `<s/>` and one written `<s></s>` have the same canonical form.
    let document_digest = c14n::sha256(doc, doc.root(), |_| true, &c14n::Options::EXCLUSIVE);
    let id = unused_id(doc.input_text(), &document_digest, signer, signing_time);

    let start = format!("<ds:Signature xmlns:ds=\"{DS}\" xmlns:xades=\"{XADES}\" Id=\"sig-{id}\">");
    let properties = signed_properties(&id, signer, signing_time);
    // Both parts declare all they use at ds:Signature, so that their exclusive
    // canonical forms are the same alone as inside the document.
    let properties_digest = digest::sha256(&canonical_alone(&start, &properties)?);
    let signed_info = signed_info(&id, uri, &document_digest, &properties_digest);
    let to_be_signed = canonical_alone(&start, &signed_info)?;

    let mut after = format!(
        "</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{}\
         </ds:X509Certificate></ds:X509Data></ds:KeyInfo><ds:Object>\
         <xades:QualifyingProperties Target=\"#sig-{id}\">{properties}",
        encode(signer.der()),
    );
    let properties_end = after.len();
    after.push_str("</xades:QualifyingProperties></ds:Object></ds:Signature>");
    after.push_str(&close);
    Ok(Prepared {
        xml: xml.to_vec(),
        place,
        before: format!("{open}{start}{signed_info}<ds:SignatureValue>"),
        after,
        properties_end,
        to_be_signed,
        signer: signer.clone(),
        signing_time,
        algorithm,
    })
}

impl Prepared {
    /// The canonical `SignedInfo`: the message the signature is made over (the
    /// algorithm's digest is not yet applied).
    pub fn to_be_signed(&self) -> &[u8] {
        &self.to_be_signed
    }

    /// Puts the signature value in place: PKCS#1 or PSS bytes, or an ECDSA
    /// signature in DER. A value that the signer's certificate does not verify
    /// is refused, because a token may hold more than one key.
    pub fn finish(self, signature: &[u8]) -> Result<Envelope, XadesError> {
        x509::verify(&self.signer, self.algorithm, &self.to_be_signed, signature)
            .map_err(|error| XadesError::SignatureValue(Some(error)))?;
        let value = match ecdsa_size(self.algorithm, self.signer.key())? {
            Some(size) => encode(
                &x509::ecdsa_der_to_fixed(signature, size)
                    .ok_or(XadesError::SignatureValue(None))?,
            ),
            None => encode(signature),
        };
        let start = self.place.start + self.before.len() + value.len();
        let head = self.xml.get(..self.place.start).unwrap_or_default();
        let tail = self.xml.get(self.place.end..).unwrap_or_default();
        let inserted = [&self.before, &value, &self.after].map(|part| part.as_bytes());
        Ok(Envelope {
            xml: [&[head][..], &inserted[..], &[tail][..]].concat().concat(),
            level: Level::B,
            signer: self.signer,
            signing_time: self.signing_time,
            // No attributes, one namespace in use: this is its canonical form.
            timestamp_input: format!(
                "<ds:SignatureValue xmlns:ds=\"{DS}\">{value}</ds:SignatureValue>"
            )
            .into_bytes(),
            next: start + self.properties_end,
            token: None,
        })
    }
}

/// The element that takes the signature.
fn parent<'a, 'i>(doc: &'a Document<'i>, slot: &Slot) -> Result<Node<'a, 'i>, XadesError> {
    let path = match slot {
        Slot::EndOfRoot => return Ok(doc.root_element()),
        Slot::Wrapper(path) => path,
    };
    let found = path.select(doc.root());
    let refuse = |found: &str| {
        Err(XadesError::Slot {
            found: found.to_owned(),
        })
    };
    match found.as_slice() {
        [only] if only.children().all(is_blank) => Ok(*only),
        [_] => refuse("a slot with content"),
        [] => refuse("no slot"),
        [..] => refuse("several slots"),
    }
}

fn is_blank(node: Node<'_, '_>) -> bool {
    node.is_text() && node.text().is_some_and(|text| text.trim().is_empty())
}

/// Where the signature goes in its parent, and what must stand around it: an
/// empty-element tag is opened, otherwise it goes before the end tag.
fn opening(
    parent: Node<'_, '_>,
    length: usize,
) -> Result<(Range<usize>, &'static str, String), XadesError> {
    let source = parent.document().input_text();
    // A byte order mark is not part of the tree's text.
    let mark = length - source.len();
    let range = parent.range();
    let end = mark + range.end;
    let tag = source.get(range).unwrap_or_default();
    if tag.ends_with("/>") {
        return Ok((end - 2..end, ">", format!("</{}>", xml::name_of(parent))));
    }
    match tag.rfind("</") {
        Some(at) => {
            let at = end - tag.len() + at;
            Ok((at..at, "", String::new()))
        }
        None => fault("the element for the signature has no end tag"),
    }
}

/// An identifier that occurs nowhere in the document. It is derived from what
/// is signed, so preparing the same again gives the same bytes.
fn unused_id(text: &str, document: &[u8; 32], signer: &Cert, at: OffsetDateTime) -> String {
    let at = at.unix_timestamp().to_be_bytes();
    let mut id = digest::sha256_parts(&[document, &signer.sha256(), &at]);
    loop {
        let name = hex::encode(id.first_chunk::<16>().unwrap_or(&[0; 16]));
        if !text.contains(&name) {
            return name;
        }
        id = digest::sha256(&id);
    }
}

/// `SignedProperties` (EN 319 132-1 §5.2.1, §5.2.2, §5.2.4).
fn signed_properties(id: &str, signer: &Cert, signing_time: OffsetDateTime) -> String {
    format!(
        "<xades:SignedProperties Id=\"props-{id}\"><xades:SignedSignatureProperties>\
         <xades:SigningTime>{}</xades:SigningTime>\
         <xades:SigningCertificateV2><xades:Cert><xades:CertDigest>\
         <ds:DigestMethod Algorithm=\"{SHA256}\"></ds:DigestMethod>\
         <ds:DigestValue>{}</ds:DigestValue></xades:CertDigest>\
         <xades:IssuerSerialV2>{}</xades:IssuerSerialV2></xades:Cert></xades:SigningCertificateV2>\
         </xades:SignedSignatureProperties><xades:SignedDataObjectProperties>\
         <xades:DataObjectFormat ObjectReference=\"#ref-{id}\">\
         <xades:MimeType>{MIME_TYPE}</xades:MimeType></xades:DataObjectFormat>\
         </xades:SignedDataObjectProperties></xades:SignedProperties>",
        rfc3339_seconds(signing_time),
        encode(&signer.sha256()),
        encode(&x509::issuer_serial(signer)),
    )
}

fn signed_info(id: &str, algorithm: &str, document: &[u8], properties: &[u8]) -> String {
    let digest = |value: &[u8]| {
        format!(
            "<ds:DigestMethod Algorithm=\"{SHA256}\"></ds:DigestMethod>\
             <ds:DigestValue>{}</ds:DigestValue>",
            encode(value)
        )
    };
    format!(
        "<ds:SignedInfo><ds:CanonicalizationMethod Algorithm=\"{EXC_C14N}\">\
         </ds:CanonicalizationMethod><ds:SignatureMethod Algorithm=\"{algorithm}\">\
         </ds:SignatureMethod><ds:Reference Id=\"ref-{id}\" URI=\"\"><ds:Transforms>\
         <ds:Transform Algorithm=\"{ENVELOPED}\"></ds:Transform>\
         <ds:Transform Algorithm=\"{EXC_C14N}\"></ds:Transform></ds:Transforms>{}</ds:Reference>\
         <ds:Reference Type=\"{SIGNED_PROPERTIES}\" URI=\"#props-{id}\"><ds:Transforms>\
         <ds:Transform Algorithm=\"{EXC_C14N}\"></ds:Transform></ds:Transforms>{}</ds:Reference>\
         </ds:SignedInfo>",
        digest(document),
        digest(properties),
    )
}

/// The canonical form of one child of `ds:Signature`.
fn canonical_alone(start: &str, child: &str) -> Result<Vec<u8>, XadesError> {
    let alone = format!("{start}{child}</ds:Signature>");
    let doc = Document::parse(&alone).map_err(|error| {
        XadesError::Parse(XmlError::Malformed {
            reason: error.to_string(),
            position: xml::position(alone.as_bytes(), 0),
        })
    })?;
    match doc.root_element().first_element_child() {
        Some(child) => Ok(canonical(child)),
        None => fault("no part to canonicalize"),
    }
}
