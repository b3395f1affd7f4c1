//! From B to T to LT: unsigned properties that let a validator prove, long
//! after, that the signer's certificate was good when the signature was made.

use super::profile::{
    BER, DS, EXC_C14N, Parts, UNSIGNED_END, Unsigned, XADES, canonical, encode, fault,
};
use super::verify::examine;
use super::{Level, Slot, XadesError};
use crate::base::digest;
use crate::x509::Cert;
use crate::x509::tsp::{TimestampToken, TspError};
use crate::xml;
use std::collections::BTreeSet;
use std::fmt::Write;
use time::OffsetDateTime;

/// A document with its signature, and what the next level needs to know of
/// it: a step inserts bytes and reads nothing again.
#[derive(Debug, Clone)]
pub struct Envelope {
    pub(super) xml: Vec<u8>,
    pub(super) level: Level,
    pub(super) signer: Cert,
    /// The time the signer claims.
    pub(super) signing_time: OffsetDateTime,
    /// The exclusive canonical form of `ds:SignatureValue`.
    pub(super) timestamp_input: Vec<u8>,
    /// Offset behind the last property, where the next one goes.
    pub(super) next: usize,
    pub(super) token: Option<TimestampToken>,
}

impl Envelope {
    /// Takes up a document that rested, once it is verified.
    pub fn open(xml: Vec<u8>, slot: &Slot) -> Result<Self, XadesError> {
        let doc = xml::parse(&xml).map_err(XadesError::Parse)?;
        let parts = Parts::find(&doc)?;
        let verified = examine(&doc, &parts, slot)?;
        // What is inserted uses the prefixes that our own signatures declare.
        let bound = |prefix| parts.qualifying.lookup_namespace_uri(Some(prefix));
        if bound("xades") != Some(XADES) || bound("ds") != Some(DS) {
            return fault("the signature does not declare the prefixes ds and xades");
        }
        let last = match parts.unsigned {
            Unsigned::B => parts.signed_properties,
            Unsigned::T { timestamp } => timestamp,
            Unsigned::Lt { revocations, .. } => revocations,
        };
        // A byte order mark is not part of the tree's text.
        let mark = xml.len() - doc.input_text().len();
        let next = mark + last.range().end;
        let timestamp_input = canonical(parts.signature_value);
        Ok(Self {
            level: verified.level,
            signer: verified.signer,
            signing_time: verified.signing_time,
            timestamp_input,
            next,
            token: verified.token,
            xml,
        })
    }

    /// The document.
    pub fn xml(&self) -> &[u8] {
        &self.xml
    }

    /// The document, when nothing more is to come.
    pub fn into_xml(self) -> Vec<u8> {
        self.xml
    }

    /// The level reached.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The certificate whose key signed.
    pub fn signer(&self) -> &Cert {
        &self.signer
    }

    /// The time the signer claims.
    pub fn signing_time(&self) -> OffsetDateTime {
        self.signing_time
    }

    /// The signature timestamp, of levels T and LT.
    pub fn token(&self) -> Option<&TimestampToken> {
        self.token.as_ref()
    }

    /// The bytes that the signature timestamp covers: the exclusive canonical
    /// form of `ds:SignatureValue` (EN 319 132-1 §5.3).
    pub fn timestamp_input(&self) -> &[u8] {
        &self.timestamp_input
    }

    /// Adds `SignatureTimeStamp` to a B-level signature. The token goes in
    /// unchanged; one that was made over something else is refused. That its
    /// own signature is right is for the caller to know.
    pub fn extend_t(&mut self, token: TimestampToken) -> Result<(), XadesError> {
        self.expect(Level::B)?;
        if token.imprint() != digest::sha256(&self.timestamp_input) {
            return Err(XadesError::Timestamp(TspError::Imprint));
        }
        let value = encode(token.der());
        // DER needs no mention (EN 319 132-1 §5.1.3).
        let encoding = match token.is_ber() {
            true => format!(" Encoding=\"{BER}\""),
            false => String::new(),
        };
        self.insert(&format!(
            "<xades:UnsignedProperties><xades:UnsignedSignatureProperties><xades:SignatureTimeStamp>\
             <ds:CanonicalizationMethod Algorithm=\"{EXC_C14N}\"/>\
             <xades:EncapsulatedTimeStamp{encoding}>{value}</xades:EncapsulatedTimeStamp>\
             </xades:SignatureTimeStamp>{UNSIGNED_END}"
        ));
        // The next property goes inside.
        self.next -= UNSIGNED_END.len();
        self.level = Level::T;
        self.token = Some(token);
        Ok(())
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
        &mut self,
        certificates: &[Cert],
        ocsp: &[Vec<u8>],
        crls: &[Vec<u8>],
    ) -> Result<(), XadesError> {
        self.expect(Level::T)?;
        if ocsp.is_empty() && crls.is_empty() {
            return fault("level LT needs revocation data");
        }
        let signer = self.signer.der();
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
        self.insert(&inserted);
        self.level = Level::LT;
        Ok(())
    }

    fn expect(&self, wanted: Level) -> Result<(), XadesError> {
        let have = self.level;
        if have == wanted {
            Ok(())
        } else {
            Err(XadesError::Level { have, wanted })
        }
    }

    fn insert(&mut self, text: &str) {
        self.xml.splice(self.next..self.next, text.bytes());
        self.next += text.len();
    }
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
