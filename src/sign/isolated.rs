//! Signatures of a document that belongs to no submission (DSR 3.5): the same
//! steps without rests, because nothing is kept when one fails.

use super::{SignError, Signatory, Signer};
use crate::trust::Call;
use crate::x509::tsp::TimestampToken;
use crate::x509::{Cert, Level};
use crate::xades::{Slot, XadesError};
use crate::xml;
use time::OffsetDateTime;

/// A signed document of exactly the level asked for, self-verified.
#[derive(Debug)]
pub struct Isolated {
    /// The document with its signature.
    pub document: Vec<u8>,
    /// Who signed.
    pub certificate: Cert,
    /// The time claimed inside the signature.
    pub signing_time: OffsetDateTime,
    /// The time the timestamp authority states; none at level B.
    pub gen_time: Option<OffsetDateTime>,
}

impl Signer {
    /// XAdES of a level in the slot of a document (EN 319 132-1 §6.3). Exactly
    /// one private-key operation.
    ///
    /// # Errors
    /// [`SignError`]: the level is reached, or there is no document.
    pub fn sign_xml(
        &self,
        (xml, slot): (&[u8], &Slot),
        level: Level,
        signatory: &Signatory,
        calls: &mut Vec<Call>,
    ) -> Result<Isolated, SignError> {
        let hand = self.hand(signatory, calls)?;
        let tree = xml::parse(xml).map_err(|error| SignError::Xml(XadesError::Parse(error)))?;
        let mut envelope = self.xml_signature(&hand, (xml, &tree), slot)?;
        if level > Level::B {
            self.stamp(&mut envelope, calls)?;
        }
        if level == Level::LT {
            self.seal(&mut envelope, calls)?;
        }
        Ok(Isolated {
            gen_time: envelope.token().map(TimestampToken::gen_time),
            document: self.check(envelope, slot)?,
            signing_time: hand.at,
            certificate: hand.identity.certificate,
        })
    }

    /// PAdES of a level on a PDF (EN 319 142-1 §6.3). Exactly one private-key
    /// operation.
    ///
    /// # Errors
    /// [`SignError`]: the level is reached, or there is no document.
    pub fn sign_pdf(
        &self,
        pdf: &[u8],
        level: Level,
        signatory: &Signatory,
        calls: &mut Vec<Call>,
    ) -> Result<Isolated, SignError> {
        let hand = self.hand(signatory, calls)?;
        let mut document = self.pdf_signature(&hand, pdf)?;
        let mut gen_time = None;
        if level > Level::B {
            let (stamped, token) = self.stamp_pdf(&document, calls)?;
            gen_time = Some(token.gen_time());
            document = match level {
                Level::LT => self.seal_pdf(&stamped, (hand.certificate(), &token), calls)?,
                Level::B | Level::T => stamped,
            };
        }
        self.check_pdf(&document, level, hand.certificate())?;
        Ok(Isolated {
            document,
            signing_time: hand.at,
            certificate: hand.identity.certificate,
            gen_time,
        })
    }
}
