//! Accepting a document and bringing it to its full level. A document that
//! breaks a rule is refused here with all its faults; one that is accepted is
//! durable, and from then on only waits, never falls.

mod isolated;
mod screen;
mod validation;

pub use isolated::{IsolatedError, Original, Place};
pub use screen::{Hybrid, PdfSettings, ScreenError, Validator};
pub use validation::Signed;

use crate::base::{Clock, causes, digest, hex, limits};
use crate::forms::{Checked, Operation, Pack, Packs, Rejected};
use crate::outbox::{
    Accepted, Event, Kind, Lease, New, Outbox, OutboxError, Prepared, Record, State, Wait,
};
use crate::pades;
use crate::pdf::{self, Violation};
use crate::sign::{self, Hand, People, Practitioner, SignError, Signatory, Signer};
use crate::trust::Call;
use crate::x509::Level;
use crate::xades::Envelope;
use crate::xml::Position;
use serde_json::{Value, json};
use std::sync::Arc;

/// What a program hands in. Patient data: not printable.
pub struct Draft {
    /// Form, as in `memoire-honoraires`.
    pub form: String,
    /// Version of the form; `None` takes the newest.
    pub version: Option<String>,
    /// Operation, as in `depot`.
    pub operation: String,
    /// Name of the paired program.
    pub client: String,
    /// The unsigned XML.
    pub xml: Vec<u8>,
    /// The PDF/A, unless the XML embeds it.
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
    /// The XML breaks rules of the form.
    #[error("the XML has faults")]
    Xml(Rejected),
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
    /// The UUID is taken by other bytes, or the store failed.
    #[error("the document could not be accepted")]
    Outbox(#[source] OutboxError),
}

/// What a dry run found.
pub struct Preview {
    /// The checked document.
    pub checked: Checked,
    /// Levels and addressee the pack asks for.
    pub pack: Arc<Pack>,
    /// Who would sign.
    pub practitioner: Practitioner,
    /// The PDF/A claim, such as `PDF/A-2B`, and its pages.
    pub pdfa: String,
    /// Pages of the PDF.
    pub pages: usize,
    /// Subject and fingerprint of the signing certificate; the reason when the
    /// token cannot be asked now.
    pub signer: Result<(String, String), String>,
}

/// Accepts and prepares documents.
pub struct Intake {
    packs: Arc<Packs>,
    outbox: Arc<Outbox>,
    signer: Arc<Signer>,
    people: Arc<People>,
    pdfs: PdfSettings,
    clock: Arc<dyn Clock>,
}

/// A draft that passed every check.
struct Vetted {
    pack: Arc<Pack>,
    checked: Checked,
    practitioner: Practitioner,
    pdf: Vec<u8>,
    pdfa: String,
    pages: usize,
}

impl Intake {
    /// An intake for these people and a site's settings for PDFs.
    pub fn new(
        packs: Arc<Packs>,
        outbox: Arc<Outbox>,
        signer: Arc<Signer>,
        people: Arc<People>,
        pdfs: PdfSettings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        pdfs.clear();
        Self {
            packs,
            outbox,
            signer,
            people,
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
        let signatory = self.people.signatory(&vetted.practitioner, &[], None);
        let identity = signatory
            .map_err(|error| causes(&error))
            .and_then(|found| self.signer.identity(&found).map_err(|error| causes(&error)));
        let signer = identity.map(|identity| {
            let certificate = &identity.certificate;
            (certificate.subject(), sign::fingerprint(certificate))
        });
        Ok(Preview {
            checked: vetted.checked,
            pack: vetted.pack,
            practitioner: vetted.practitioner,
            pdfa: vetted.pdfa,
            pages: vetted.pages,
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
            return Ok((Accepted::Already(record), Vec::new()));
        }
        let vetted = self.vet(&draft)?;
        let uuid = vetted.checked.facts.uuid;
        let warnings: Vec<String> = vetted
            .checked
            .warnings
            .iter()
            .map(|w| w.code.as_str().to_owned())
            .collect();
        let detail = json!({
            "form": vetted.pack.form, "version": vetted.pack.version,
            "pdf": vetted.pdfa, "pages": vetted.pages, "warnings": warnings,
        });
        let new = New {
            uuid,
            form: vetted.pack.form.clone(),
            version: vetted.pack.version.clone(),
            operation: draft.operation,
            code_prestataire: vetted.practitioner.code_prestataire.to_string(),
            client: draft.client,
            request_sha256,
            xml: draft.xml,
            pdf: vetted.pdf,
            detail,
        };
        let accepted = self.outbox.receive(new).map_err(IntakeError::Outbox)?;
        Ok((accepted, warnings))
    }

    /// Brings a claimed submission as far as it goes now (D2).
    ///
    /// # Errors
    /// [`OutboxError`] when the store fails; everything else is a wait.
    pub fn step(&self, lease: Lease) -> Result<Record, OutboxError> {
        let mut way = Way::from(lease.record.state);
        let mut calls = Vec::new();
        if let Err(error) = self.walk(&lease.record, &mut way, &mut calls) {
            let wait = wait(&error);
            tracing::warn!(uuid = %lease.record.uuid, class = %wait.class, code = %wait.code, "waiting: {}", wait.text);
            way.wait = Some(wait);
            if way.state == State::Received && !way.bodies.is_empty() {
                way.event("pdf-signed", self.clock.now(), json!({}));
            }
        }
        // What was remembered is asked again at each try and says nothing new.
        if way.wait.is_some() && calls.iter().any(|call| !call.from_cache) {
            way.event(
                "asked",
                self.clock.now(),
                json!({ "calls": calls_json(&calls) }),
            );
        }
        self.outbox.prepared(lease, way.prepared())
    }

    fn walk(&self, record: &Record, way: &mut Way, calls: &mut Vec<Call>) -> Result<(), StepError> {
        let (pack, signatory) = self.context(record)?;
        let operation = operation(&pack, &record.operation)?;
        let slot = &operation.signed().map_err(SignError::Embed)?.slot;
        let mut envelope = match way.state {
            State::Received => self.sign(record, &pack, &signatory, way, calls)?,
            State::Signed | State::Stamped => {
                let rested = self.body(record, Kind::Document)?;
                Envelope::open(rested, slot).map_err(SignError::Xml)?
            }
            State::Ready | State::Sending | State::Unknown | State::Receipted | State::Rejected => {
                return Ok(());
            }
        };
        let Err(error) = self.climb(operation, &mut envelope, way, calls) else {
            return Ok(());
        };
        if way.state != record.state {
            // It rests below its level: what is stored is checked all the same.
            match self.signer.check(envelope, slot) {
                Ok(document) => way.body(Kind::Document, document),
                Err(error) => {
                    way.retreat(record.state);
                    return Err(error.into());
                }
            }
        }
        Err(error)
    }

    /// From B to the level of the pack. The final bytes are checked once, as a
    /// whole; `envelope` keeps the level from which the next try goes on.
    fn climb(
        &self,
        operation: &Operation,
        envelope: &mut Envelope,
        way: &mut Way,
        calls: &mut Vec<Call>,
    ) -> Result<(), StepError> {
        let place = operation.signed().map_err(SignError::Embed)?;
        let level = place.level;
        if envelope.level() == Level::B && level > Level::B {
            self.signer.stamp(envelope, calls)?;
            if let Some(token) = envelope.token() {
                let detail = json!({
                    "level": "XAdES-B-T", "time": crate::base::clock::rfc3339(token.gen_time()),
                    "calls": calls_json(&std::mem::take(calls)),
                });
                way.reach(State::Stamped, "stamped", self.clock.now(), detail);
                way.body(Kind::Timestamp, token.der().to_vec());
            }
        }
        let mut last = envelope.clone();
        let mut revocation_values = 0;
        if level == Level::LT {
            revocation_values = self.signer.seal(&mut last, calls)?;
        }
        let document = self.signer.check(last, &place.slot)?;
        let detail = json!({
            "level": format!("XAdES-{}", level.as_str()), "revocation_values": revocation_values,
            "sha256": hex::encode(&digest::sha256(&document)),
            "calls": calls_json(&std::mem::take(calls)),
        });
        way.reach(State::Ready, "sealed", self.clock.now(), detail);
        way.body(Kind::Document, document);
        Ok(())
    }

    fn sign(
        &self,
        record: &Record,
        pack: &Pack,
        signatory: &Signatory,
        way: &mut Way,
        calls: &mut Vec<Call>,
    ) -> Result<Envelope, StepError> {
        let xml = self.body(record, Kind::RequestXml)?;
        let hand = self.signer.hand(signatory, calls)?;
        let form = (pack, record.operation.as_str());
        let level = operation(pack, form.1)?
            .document
            .as_ref()
            .map_or(Level::B, |place| place.level);
        let pdf = self.pdf(record, (&hand, level), way, calls)?;
        let envelope = self.signer.form_signature(&hand, form, (&xml, &pdf))?;
        let detail = json!({
            "level": "XAdES-B-B", "pdf_level": format!("PAdES-{}", level.as_str()),
            "signer": signatory.id, "role": signatory.role.as_str(),
            "certificate_sha256": sign::fingerprint(hand.certificate()),
            "calls": calls_json(&std::mem::take(calls)),
        });
        way.reach(State::Signed, "signed", self.clock.now(), detail);
        Ok(envelope)
    }

    /// The PDF with its signature of the pack's level. What is signed is kept,
    /// also when the way ends here: the key is not used for it a second time.
    fn pdf(
        &self,
        record: &Record,
        (hand, level): (&Hand, Level),
        way: &mut Way,
        calls: &mut Vec<Call>,
    ) -> Result<Vec<u8>, StepError> {
        let rested = self.outbox.body(record.uuid, Kind::Pdf);
        let rested = rested.map_err(StepError::Store)?.filter(|pdf| {
            // One by a certificate that has been replaced since is not kept.
            pades::verify(pdf).is_ok_and(|own| own.signer == *hand.certificate())
        });
        let mut is_kept = rested.is_some();
        let mut reached = Level::B;
        let mut pdf = match rested {
            Some(pdf)
                if self
                    .signer
                    .check_pdf(&pdf, level, hand.certificate())
                    .is_ok() =>
            {
                return Ok(pdf);
            }
            Some(pdf) => pdf,
            None => {
                let pdf = self.body(record, Kind::RequestPdf)?;
                self.signer.pdf_signature(hand, &pdf)?
            }
        };
        let mut stamped = Ok(());
        if level > Level::B {
            match self.signer.stamp_pdf(&pdf, calls) {
                Ok((higher, _)) => (pdf, reached, is_kept) = (higher, level, false),
                Err(error) => stamped = Err(error),
            }
        }
        self.signer.check_pdf(&pdf, reached, hand.certificate())?;
        if !is_kept {
            way.body(Kind::Pdf, pdf.clone());
        }
        stamped?;
        Ok(pdf)
    }

    fn context(&self, record: &Record) -> Result<(Arc<Pack>, Signatory), StepError> {
        let pack = self.packs.pack(&record.form, Some(&record.version));
        let pack = pack.ok_or_else(|| {
            StepError::Configuration(
                "form-missing",
                format!(
                    "The form pack {} {} is not installed.",
                    record.form, record.version
                ),
            )
        })?;
        let signatory = self.people.by_id(&record.code_prestataire).ok_or_else(|| {
            StepError::Configuration(
                "practitioner-missing",
                format!(
                    "The code prestataire {} is not configured any more.",
                    record.code_prestataire
                ),
            )
        })?;
        Ok((pack, signatory))
    }

    fn body(&self, record: &Record, kind: Kind) -> Result<Vec<u8>, StepError> {
        let body = self
            .outbox
            .body(record.uuid, kind)
            .map_err(StepError::Store)?;
        body.ok_or_else(|| {
            StepError::Configuration("body-missing", "A stored document is missing.".into())
        })
    }

    fn vet(&self, draft: &Draft) -> Result<Vetted, IntakeError> {
        let (pack, operation) =
            self.find(&draft.form, draft.version.as_deref(), &draft.operation)?;
        let mut checked = pack
            .check(&draft.operation, &draft.xml)
            .map_err(IntakeError::Xml)?;
        let code = checked.facts.code_prestataire.to_string();
        let practitioner =
            self.people
                .sender(&code)
                .cloned()
                .ok_or_else(|| IntakeError::UnknownPractitioner {
                    place: operation.code_prestataire_place(&draft.xml),
                    code,
                })?;
        let apart = checked.embedded_pdf.is_none();
        let pdf = match (draft.pdf.clone(), checked.embedded_pdf.take()) {
            (Some(part), Some(embedded)) if part != embedded => return Err(IntakeError::PdfTwice),
            (Some(pdf), _) | (None, Some(pdf)) => pdf,
            (None, None) => return Err(IntakeError::PdfMissing),
        };
        room_to_sign(draft.xml.len(), if apart { pdf.len() } else { 0 })?;
        let found = pdf::precheck(&pdf);
        let pdfa = match found.claim {
            Some(claim) if found.violations.is_empty() => claim.to_string(),
            Some(_) | None => return Err(IntakeError::Pdf(found.violations)),
        };
        self.pdfs.hybrid(&pdf)?;
        self.pdfs.validated(&pdf)?;
        Ok(Vetted {
            pack: pack.clone(),
            checked,
            practitioner,
            pdf,
            pdfa,
            pages: found.pages,
        })
    }

    /// A pack and one of its operations.
    fn find(
        &self,
        form: &str,
        version: Option<&str>,
        operation: &str,
    ) -> Result<(Arc<Pack>, Operation), IntakeError> {
        let pack = self.packs.offer(form, version);
        let pack = pack.ok_or_else(|| IntakeError::UnknownForm {
            form: form.to_owned(),
            version: version.map(str::to_owned),
        })?;
        let found = pack.operation(operation).cloned();
        let found = found.map_err(|_| IntakeError::UnknownOperation {
            form: form.to_owned(),
            operation: operation.to_owned(),
        })?;
        Ok((pack, found))
    }
}

/// Refuses what could be accepted but never completed: the XML with a PDF
/// still to be embedded in base64, both in bytes, must leave room to sign.
fn room_to_sign(xml: usize, pdf: usize) -> Result<(), IntakeError> {
    let bytes = xml.saturating_add(pdf.div_ceil(3).saturating_mul(4));
    if bytes > limits::XML_BYTES_MAX - limits::SIGNATURE_ROOM_BYTES {
        return Err(IntakeError::TooLarge { bytes });
    }
    Ok(())
}

/// Why a step of an accepted document waits.
enum StepError {
    Sign(SignError),
    Store(OutboxError),
    Configuration(&'static str, String),
}

impl From<SignError> for StepError {
    fn from(error: SignError) -> Self {
        Self::Sign(error)
    }
}

/// How far a submission came in this step, and what it left on the way.
struct Way {
    state: State,
    bodies: Vec<(Kind, Vec<u8>)>,
    events: Vec<Event>,
    wait: Option<Wait>,
}

impl Way {
    fn from(state: State) -> Self {
        Self {
            state,
            bodies: Vec::new(),
            events: Vec::new(),
            wait: None,
        }
    }

    fn event(&mut self, word: &'static str, at: time::OffsetDateTime, detail: Value) {
        self.events.push(Event { word, at, detail });
    }

    fn reach(&mut self, state: State, word: &'static str, at: time::OffsetDateTime, detail: Value) {
        self.state = state;
        self.event(word, at, detail);
    }

    /// Back to where it began; of what was made only the signed PDF is kept.
    fn retreat(&mut self, state: State) {
        self.state = state;
        self.events.clear();
        self.bodies.retain(|(kind, _)| *kind == Kind::Pdf);
    }

    /// Only the last of a kind is stored: a lower level is inside the higher.
    fn body(&mut self, kind: Kind, bytes: Vec<u8>) {
        self.bodies.retain(|(known, _)| *known != kind);
        self.bodies.push((kind, bytes));
    }

    fn prepared(self) -> Prepared {
        Prepared {
            state: self.state,
            bodies: self.bodies,
            events: self.events,
            wait: self.wait,
        }
    }
}

fn operation<'p>(pack: &'p Pack, name: &str) -> Result<&'p Operation, StepError> {
    pack.operation(name).map_err(|_| {
        StepError::Configuration(
            "operation-missing",
            format!("The form pack has no operation {name} any more."),
        )
    })
}

fn wait(error: &StepError) -> Wait {
    match error {
        StepError::Sign(error) => Wait {
            class: error.class().into(),
            code: sign_code(error).into(),
            text: causes(error),
        },
        StepError::Store(error) => Wait {
            class: "ours".into(),
            code: "store".into(),
            text: causes(error),
        },
        StepError::Configuration(code, text) => Wait {
            class: "ours".into(),
            code: (*code).into(),
            text: text.clone(),
        },
    }
}

fn sign_code(error: &SignError) -> &'static str {
    match error {
        SignError::Token(error) => error.code(),
        SignError::Trust(error)
        | SignError::Timestamp(error)
        | SignError::ValidationData(error) => error.code(),
        SignError::KeyKind { .. } => "key-kind",
        SignError::PdfRefused(_) | SignError::Pdf(_) | SignError::PartialPdf => "pdf-signature",
        SignError::Xml(_) => "xml-signature",
        SignError::Embed(_) => "embedding",
        SignError::Level { .. } => "level-not-reached",
        SignError::SelfCheck(_) => "self-check-failed",
    }
}

fn calls_json(calls: &[Call]) -> Value {
    let calls = calls.iter().map(|call| {
        json!({
            "purpose": call.purpose, "url": call.url, "millis": call.millis,
            "at": crate::base::clock::rfc3339(call.at),
            "result": call.result, "from_cache": call.from_cache,
        })
    });
    Value::Array(calls.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_pdf_fits_into_a_form_but_not_into_a_huge_one() {
        assert!(room_to_sign(300 << 10, limits::PDF_BYTES_MAX).is_ok());
        assert!(room_to_sign(28 << 20, 0).is_ok());
        let refused = room_to_sign(2 << 20, limits::PDF_BYTES_MAX).unwrap_err();
        let text = refused.to_string();
        assert!(text.ends_with("more than 29360128 can be signed"), "{text}");
    }
}
