//! Validating a signed document that belongs to no submission.

use super::Intake;
use super::isolated::{IsolatedError, Place, read_slot};
use crate::validation::{self, Context, Report};
use crate::xades::Slot;

/// A signed document.
pub enum Signed {
    /// XML, and where its signature must stand; `None`: where it stands is
    /// reported.
    Xml(Vec<u8>, Option<Place>),
    /// A PDF.
    Pdf(Vec<u8>),
}

impl Intake {
    /// Validates the signatures of a document now (EN 319 102-1), against the
    /// configured anchors. What signatures of levels B and T lack is fetched.
    ///
    /// # Errors
    /// [`IsolatedError`] when the place cannot be told; whatever is wrong with
    /// the document stands in the report.
    pub fn validate(&self, signed: &Signed) -> Result<Report, IsolatedError> {
        let trust = self.signer.trust();
        let context = Context::new(trust.settings(), self.clock.now());
        Ok(match signed {
            Signed::Pdf(pdf) => {
                validation::online(trust, context, |context| validation::pdf(pdf, context))
            }
            Signed::Xml(xml, place) => {
                let slot = match place {
                    Some(place) => self.slot(xml, place)?,
                    None => None,
                };
                validation::online(trust, context, |context| {
                    validation::xml(xml, slot.as_ref(), context)
                })
            }
        })
    }

    /// The slot; none when the XML cannot be read, as the report will say.
    fn slot(&self, xml: &[u8], place: &Place) -> Result<Option<Slot>, IsolatedError> {
        match place {
            Place::Form {
                form,
                version,
                operation,
            } => {
                // What was signed is judged by its form, offered any more or not.
                let known = self.packs.pack(form, version.as_deref());
                let known = known.and_then(|pack| pack.operations.get(operation).cloned());
                let operation = match known {
                    Some(known) => known,
                    None => self.find(form, version.as_deref(), operation)?.1,
                };
                Ok(operation.signature.map(|place| place.slot))
            }
            Place::Slot(text) => match read_slot(xml, text) {
                Err(IsolatedError::Xml(_)) => Ok(None),
                read => read.map(Some),
            },
        }
    }
}
