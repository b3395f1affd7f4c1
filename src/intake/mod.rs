//! Accepting a document and bringing it to its full level. A document that
//! breaks a rule is refused here with all its faults; one that is accepted is
//! durable, and from then on only waits, never falls.

mod climb;
mod correlation;
mod isolated;
mod screen;
mod validation;
mod vet;

pub use isolated::{Asked, IsolatedError, Original, Place};
pub use screen::{Hybrid, PdfSettings, ScreenError, Validator};
pub use validation::Signed;

use crate::base::{Clock, causes, digest, limits};
use crate::forms::{Checked, Closed, Environment, Exchange, Operation, Pack, Packs, Rejected};
use crate::outbox::{Accepted, Client, New, Outbox, OutboxError};
use crate::pdf::Violation;
use crate::sign::{self, People, PeopleError, Practitioner, Signatory, Signer};
use crate::xml::Position;
use serde_json::json;
use std::sync::Arc;
use time::Date;

/// What a program hands in. Patient data: not printable.
pub struct Draft {
    /// Form, as in `memoire-honoraires`.
    pub form: String,
    /// Version of the form; `None` takes the newest that may be sent now.
    pub version: Option<String>,
    /// Operation, as in `depot`.
    pub operation: String,
    /// The paired program.
    pub client: Client,
    /// Code prestataire or delegate's id of who signs; `None`: who did the
    /// acts, else who sends.
    pub signer: Option<String>,
    /// The unsigned XML.
    pub xml: Vec<u8>,
    /// The PDF/A, unless the XML embeds it or the operation takes none.
    pub pdf: Option<Vec<u8>>,
}

/// Why a draft is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// No pack of that name and version.
    #[error("the form {form}{} is not known", version.as_ref().map(|v| format!(" in version {v}")).unwrap_or_default())]
    UnknownForm {
        /// As asked.
        form: String,
        /// As asked.
        version: Option<String>,
    },
    /// The form has no such operation.
    #[error("the form {form} has no operation {operation}")]
    UnknownOperation {
        /// As asked.
        form: String,
        /// As asked.
        operation: String,
    },
    /// The operation may not be sent there on this day.
    #[error(
        "the operation {operation} of {form} may not be sent to {environment} on {day}: {reason}"
    )]
    NotNow {
        /// As asked.
        form: String,
        /// As asked.
        operation: String,
        /// Name of the environment.
        environment: String,
        /// The civil day in Luxembourg.
        day: Date,
        /// Why.
        reason: NotNow,
    },
    /// The XML breaks rules of the form.
    #[error("the XML has faults")]
    Xml(Rejected),
    /// A PDF for an operation that takes none.
    #[error("the operation {operation} takes no PDF")]
    PdfUnexpected {
        /// As asked.
        operation: String,
    },
    /// Neither a PDF part nor a PDF inside the XML.
    #[error("the PDF is missing")]
    PdfMissing,
    /// A PDF part and another PDF inside the XML.
    #[error("two different PDFs were given")]
    PdfTwice,
    /// With its PDF embedded and signed, the XML would pass the limit.
    #[error("the XML with its PDF embedded has {bytes} bytes, more than {} can be signed", limits::XML_BYTES_MAX - limits::SIGNATURE_ROOM_BYTES)]
    TooLarge {
        /// Size of the XML with the PDF in base64.
        bytes: usize,
    },
    /// The PDF is not a plausible PDF/A.
    #[error("the PDF is not an acceptable PDF/A")]
    Pdf(Vec<Violation>),
    /// The PDF is not one this site takes, or its validator failed.
    #[error(transparent)]
    Screen(#[from] ScreenError),
    /// Nobody is configured for this code prestataire.
    #[error("the code prestataire {code} is not configured here")]
    UnknownPractitioner {
        /// As in the document.
        code: String,
        /// XPath and position of its element in the document.
        place: Option<(String, Position)>,
    },
    /// The program is bound to other practitioners.
    #[error("this program may not hand in for the code prestataire {code}")]
    PractitionerNotAllowed {
        /// As in the document.
        code: String,
        /// XPath and position of its element in the document.
        place: Option<(String, Position)>,
    },
    /// It is open who signs, or the one asked for may not.
    #[error(transparent)]
    Signer(#[from] PeopleError),
    /// The UUID is taken by other bytes, or the store failed.
    #[error("the document could not be accepted")]
    Outbox(#[source] OutboxError),
}

/// Why an operation may not be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotNow {
    /// The day lies outside a period.
    Closed(Closed),
    /// Neither environment nor pack has a model id for it.
    NoModel,
}

impl std::fmt::Display for NotNow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let closed = match self {
            Self::NoModel => return f.write_str("no model id is known for it there"),
            Self::Closed(closed) => closed,
        };
        match (closed.from, closed.until) {
            (Some(from), Some(until)) => write!(f, "it is allowed from {from} to {until}")?,
            (Some(from), None) => write!(f, "it is allowed from {from} on")?,
            (None, Some(until)) => write!(f, "it was allowed until {until}")?,
            (None, None) => f.write_str("it is not allowed")?,
        }
        match &closed.rule {
            Some(rule) => write!(f, " ({rule})"),
            None => Ok(()),
        }
    }
}

/// What a dry run found.
pub struct Preview {
    /// The checked document.
    pub checked: Checked,
    /// Addressee and version.
    pub pack: Arc<Pack>,
    /// Levels the pack asks for.
    pub operation: Operation,
    /// Name of the environment it would be sent to.
    pub environment: String,
    /// Who would send.
    pub practitioner: Practitioner,
    /// The PDF, for operations that have one.
    pub pdf: Option<PreviewPdf>,
    /// Who would sign; `None`: the operation is not signed.
    pub signer: Option<PreviewSigner>,
}

/// The PDF of a dry run.
pub struct PreviewPdf {
    /// The PDF/A claim, such as `PDF/A-2B`.
    pub claim: String,
    /// Its pages.
    pub pages: usize,
}

/// Who would sign.
pub struct PreviewSigner {
    /// The person.
    pub signatory: Signatory,
    /// Subject and fingerprint of the signing certificate; the reason when the
    /// token cannot be asked now.
    pub certificate: Result<(String, String), String>,
}

/// Accepts and prepares documents.
pub struct Intake {
    packs: Arc<Packs>,
    outbox: Arc<Outbox>,
    signer: Arc<Signer>,
    people: Arc<People>,
    environment: Arc<Environment>,
    pdfs: PdfSettings,
    clock: Arc<dyn Clock>,
}

impl Intake {
    /// An intake for these people, the environment that documents are
    /// accepted for, and a site's settings for PDFs.
    pub fn new(
        (packs, outbox, signer): (Arc<Packs>, Arc<Outbox>, Arc<Signer>),
        people: Arc<People>,
        environment: Arc<Environment>,
        pdfs: PdfSettings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        pdfs.clear();
        Self {
            packs,
            outbox,
            signer,
            people,
            environment,
            pdfs,
            clock,
        }
    }

    /// The packs documents are checked against.
    pub fn packs(&self) -> &Packs {
        &self.packs
    }

    /// Checks a draft and says what would be signed. Needs no PIN, changes
    /// nothing.
    ///
    /// # Errors
    /// [`IntakeError`], as [`Intake::accept`] would give it.
    pub fn preview(&self, draft: &Draft) -> Result<Preview, IntakeError> {
        let vetted = self.vet(draft)?;
        let signer = vetted.signatory.map(|signatory| {
            let identity = self.signer.identity(&signatory);
            let certificate = identity.map_err(|error| causes(&error)).map(|identity| {
                let certificate = &identity.certificate;
                (certificate.subject(), sign::fingerprint(certificate))
            });
            PreviewSigner {
                signatory,
                certificate,
            }
        });
        let pdf = vetted.paper.map(|paper| PreviewPdf {
            claim: paper.claim,
            pages: paper.pages,
        });
        Ok(Preview {
            checked: vetted.checked,
            pack: vetted.pack,
            operation: vetted.operation,
            environment: self.environment.name.clone(),
            practitioner: vetted.practitioner,
            pdf,
            signer,
        })
    }

    /// Checks a draft and makes it durable (D1).
    ///
    /// # Errors
    /// [`IntakeError`]; nothing is kept then.
    pub fn accept(&self, draft: Draft) -> Result<(Accepted, Vec<String>), IntakeError> {
        let request_sha256 = digest::sha256_parts(&[
            &digest::sha256(draft.form.as_bytes()),
            &digest::sha256(draft.operation.as_bytes()),
            &digest::sha256(&draft.xml),
            &digest::sha256(draft.pdf.as_deref().unwrap_or_default()),
        ]);
        // What was accepted stays accepted, whatever has changed here since.
        let known = self.outbox.find_request(&request_sha256);
        if let Some(record) = known.map_err(IntakeError::Outbox)? {
            allowed(&draft.client, &record.code_prestataire)?;
            // It was never sent to this one.
            if !record.is_for(&self.environment.name, self.environment.kind) {
                let conflict = OutboxError::Conflict(record.uuid);
                return Err(IntakeError::Outbox(conflict));
            }
            return Ok((Accepted::Already(record), Vec::new()));
        }
        let offers = self.packs.offers(&draft.form, draft.version.as_deref());
        let operations = offers
            .iter()
            .filter_map(|pack| pack.operations.get(&draft.operation));
        let is_interactive = |operation: &Operation| operation.exchange == Exchange::Interactive;
        // Before the work of checking it.
        self.outbox
            .admits(operations.into_iter().any(is_interactive))
            .map_err(IntakeError::Outbox)?;
        let vetted = self.vet(&draft)?;
        let warnings = vetted.checked.warnings.iter();
        let warnings: Vec<String> = warnings.map(|w| w.code.as_str().to_owned()).collect();
        let facts = &vetted.checked.facts;
        let (claim, pages) = vetted.paper.as_ref().map(|p| (&p.claim, p.pages)).unzip();
        let detail = json!({
            "form": vetted.pack.form, "version": vetted.pack.version,
            "pdf": claim, "pages": pages, "warnings": warnings,
            "refers_to": vetted.named,
        });
        let new = New {
            uuid: facts.uuid,
            form: vetted.pack.form.clone(),
            version: vetted.pack.version.clone(),
            operation: draft.operation,
            code_prestataire: vetted.practitioner.code_prestataire.to_string(),
            client: draft.client.name,
            environment: self.environment.name.clone(),
            environment_kind: self.environment.kind,
            signer: vetted.signatory.map(|signatory| signatory.id),
            is_interactive: is_interactive(&vetted.operation),
            links: vetted.links,
            request_sha256,
            xml: draft.xml,
            pdf: vetted.paper.map(|paper| paper.pdf),
            facts: json!(facts.shown),
            detail,
        };
        match self.outbox.receive(new) {
            Ok(accepted) => Ok((accepted, warnings)),
            // Another one was quicker between the check and the transaction.
            Err(OutboxError::Standing { link, by }) => {
                let refused = correlation::standing(&vetted.operation, facts, link, by);
                Err(IntakeError::Xml(refused))
            }
            Err(error) => Err(IntakeError::Outbox(error)),
        }
    }
}

/// A program acts for the practitioners it was paired with only.
fn allowed(client: &Client, code: &str) -> Result<(), IntakeError> {
    if client.may(code) {
        return Ok(());
    }
    let code = code.to_owned();
    Err(IntakeError::PractitionerNotAllowed { code, place: None })
}

#[cfg(test)]
mod tests {
    use super::vet::room_to_sign;
    use crate::base::limits;

    #[test]
    fn the_largest_pdf_fits_into_a_form_but_not_into_a_huge_one() {
        assert!(room_to_sign(300 << 10, limits::PDF_BYTES_MAX).is_ok());
        assert!(room_to_sign(28 << 20, 0).is_ok());
        let refused = room_to_sign(2 << 20, limits::PDF_BYTES_MAX).unwrap_err();
        let text = refused.to_string();
        assert!(text.ends_with("more than 29360128 can be signed"), "{text}");
    }
}
