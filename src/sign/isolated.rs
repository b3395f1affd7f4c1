//! Signatures of a document that belongs to no submission (DSR 3.5): the same
//! steps without rests, because nothing is kept when one fails.

use super::{Practitioner, SignError, Signer, reached};
use crate::pades;
use crate::trust::Call;
use crate::x509::{Cert, Level};
use crate::xades::{self, Slot};
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
        practitioner: &Practitioner,
        calls: &mut Vec<Call>,
    ) -> Result<Isolated, SignError> {
        let hand = self.hand(practitioner, calls)?;
        let mut document = self.xml_signature(&hand, xml, slot)?;
        let mut gen_time = None;
        if level > Level::B {
            let (stamped, token) = self.xml_timestamp(&document, calls)?;
            document = stamped;
            gen_time = Some(token.gen_time());
            if level == Level::LT {
                let signer = (&hand.identity.certificate, hand.identity.chain.as_slice());
                let data = self.validation_data(signer, &token, calls)?;
                document = xades::extend_lt(&document, &data.certificates, &data.ocsp, &data.crls)
                    .map_err(SignError::Xml)?;
            }
        }
        reached(&document, slot, level)?;
        Ok(Isolated {
            document,
            certificate: hand.identity.certificate,
            signing_time: hand.at,
            gen_time,
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
        practitioner: &Practitioner,
        calls: &mut Vec<Call>,
    ) -> Result<Isolated, SignError> {
        let hand = self.hand(practitioner, calls)?;
        let document = self.pdf_signature(&hand, pdf)?;
        if level != Level::B {
            return Err(SignError::Level {
                reached: Level::B,
                wanted: level,
            });
        }
        let own = pades::verify(&document).map_err(SignError::Pdf)?;
        if own.changes_after != crate::pades::Changes::None {
            return Err(SignError::PartialPdf);
        }
        Ok(Isolated {
            document,
            certificate: hand.identity.certificate,
            signing_time: hand.at,
            gen_time: None,
        })
    }
}
