//! Documents to be signed and given back (DSR 3.5, 3.6.3): nothing is kept,
//! nothing is sent.

use super::vet::room_to_sign;
use super::{Intake, IntakeError};
use crate::base::{digest, hex};
use crate::forms::CodePrestataire;
use crate::outbox::Client;
use crate::sign::{self, Isolated, SignError, Signatory};
use crate::trust::Call;
use crate::x509::Level;
use crate::xml::path::{PathError, Slot, namespaces_of};
use crate::xml::{self, XmlError};
use serde_json::json;

/// What to sign.
pub enum Original {
    /// An XML document and where its signature goes.
    Xml(Vec<u8>, Place),
    /// A PDF.
    Pdf(Vec<u8>),
}

/// Where the signature of an XML document goes.
pub enum Place {
    /// `end-of-root`, or the path of a wrapper element in the prefixes of the
    /// root element; a name without prefix is in no namespace.
    Slot(String),
    /// Where the pack of a form says; the document is checked against it.
    Form {
        /// Name of the form.
        form: String,
        /// Its version; `None` takes the newest.
        version: Option<String>,
        /// Name of the operation.
        operation: String,
    },
}

/// Who asks for a signature, and in whose name.
pub struct Asked<'a> {
    /// Code prestataire in whose name is signed; `None` takes the one in the
    /// form, the signer's own, or the only one configured.
    pub practitioner: Option<&'a str>,
    /// Code prestataire or delegate's id of who signs; `None` takes, of a form,
    /// who did the acts, else the practitioner.
    pub signer: Option<&'a str>,
    /// The paired program.
    pub client: &'a Client,
}

/// Why a document is not signed.
#[derive(Debug, thiserror::Error)]
pub enum IsolatedError {
    /// The form, its faults, the practitioner, or the size.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// The XML cannot be read.
    #[error("the XML could not be read")]
    Xml(#[source] XmlError),
    /// The slot's path cannot be read.
    #[error("the slot could not be read")]
    Slot(#[source] PathError),
    /// Several practitioners are configured and none is named.
    #[error("several practitioners are configured; the signer must be named")]
    PractitionerOpen,
    /// The practitioner named is not the one in the document.
    #[error("the document is one of the code prestataire {document}, not of {named}")]
    PractitionerOther {
        /// As in the document.
        document: CodePrestataire,
        /// As asked.
        named: String,
    },
    /// Documents of this operation are not signed.
    #[error("the operation {operation} of {form} is not signed")]
    Unsigned {
        /// As asked.
        form: String,
        /// As asked.
        operation: String,
    },
    /// Signing failed.
    #[error("the document could not be signed")]
    Sign(#[source] SignError),
}

impl Intake {
    /// Signs one document at one level for a program. That it was signed, by whom
    /// and in which capacity stands in the audit log.
    ///
    /// # Errors
    /// [`IsolatedError`]; a lower level is never given instead.
    pub fn sign_isolated(
        &self,
        original: Original,
        level: Level,
        asked: &Asked<'_>,
        calls: &mut Vec<Call>,
    ) -> Result<(Isolated, Signatory), IsolatedError> {
        let (signed, signatory) = match original {
            Original::Xml(xml, place) => {
                let (xml, slot, signatory) = self.placed(xml, place, asked)?;
                room_to_sign(xml.len(), 0)?;
                let signed = self
                    .signer
                    .sign_xml((&xml, &slot), level, &signatory, calls);
                (signed, signatory)
            }
            Original::Pdf(pdf) => {
                let signatory = self.named(asked)?;
                self.pdfs.hybrid(&pdf).map_err(IntakeError::Screen)?;
                let signed = self.signer.sign_pdf(&pdf, level, &signatory, calls);
                (signed, signatory)
            }
        };
        let signed = signed.map_err(IsolatedError::Sign)?;
        let detail = json!({
            "client": asked.client.name, "level": level.as_str(),
            "signer": signatory.id, "role": signatory.role.as_str(),
            "certificate_sha256": sign::fingerprint(&signed.certificate),
            "sha256": hex::encode(&digest::sha256(&signed.document)),
        });
        let noted = self.outbox.signed_apart(&detail);
        noted.map_err(IntakeError::Outbox)?;
        Ok((signed, signatory))
    }

    /// The document as it is to be signed, its slot, and who signs.
    fn placed(
        &self,
        xml: Vec<u8>,
        place: Place,
        asked: &Asked<'_>,
    ) -> Result<(Vec<u8>, Slot, Signatory), IsolatedError> {
        let (form, version, name) = match place {
            Place::Slot(text) => {
                let slot = read_slot(&xml, &text)?;
                return Ok((xml, slot, self.named(asked)?));
            }
            Place::Form {
                form,
                version,
                operation,
            } => (form, version, operation),
        };
        let (pack, operation) = self.find(&form, version.as_deref(), &name)?;
        let Some(place) = &operation.signature else {
            let operation = name;
            return Err(IsolatedError::Unsigned { form, operation });
        };
        let checked = pack.check(&name, &xml).map_err(IntakeError::Xml)?;
        let code = checked.facts.code_prestataire;
        if let Some(named) = asked.practitioner.filter(|named| *named != code.as_str()) {
            return Err(IsolatedError::PractitionerOther {
                document: code,
                named: named.to_owned(),
            });
        }
        let sender =
            self.people
                .sender(code.as_str())
                .ok_or_else(|| IntakeError::UnknownPractitioner {
                    place: operation.code_prestataire_place(&xml),
                    code: code.to_string(),
                })?;
        let opened = pack.open_slot(&name, &checked.xml);
        let opened = opened.map_err(|error| IsolatedError::Sign(SignError::Embed(error)))?;
        let executants = &checked.facts.executants;
        let signatory = self.who_signs(sender, executants, (asked.signer, asked.client))?;
        Ok((opened, place.slot.clone(), signatory))
    }

    /// Who signs a document of no form: for the practitioner named, or the only one.
    fn named(&self, asked: &Asked<'_>) -> Result<Signatory, IsolatedError> {
        let own = || asked.signer.filter(|id| self.people.sender(id).is_some());
        let code = asked.practitioner.or_else(own);
        let practitioner = match (code, self.people.practitioners()) {
            (Some(code), _) => {
                let unknown = || IntakeError::UnknownPractitioner {
                    code: code.to_owned(),
                    place: None,
                };
                self.people.sender(code).ok_or_else(unknown)?
            }
            (None, [only]) => only,
            (None, _) => return Err(IsolatedError::PractitionerOpen),
        };
        Ok(self.who_signs(practitioner, &[], (asked.signer, asked.client))?)
    }
}

pub(super) fn read_slot(xml: &[u8], text: &str) -> Result<Slot, IsolatedError> {
    if text == Slot::END_OF_ROOT {
        return Ok(Slot::EndOfRoot);
    }
    let document = xml::parse(xml).map_err(IsolatedError::Xml)?;
    Slot::parse(text, &namespaces_of(document.root_element())).map_err(IsolatedError::Slot)
}
