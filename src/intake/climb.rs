//! The way of an accepted document to the bytes that are sent: signatures,
//! timestamp, revocation data, or nothing but its PDF where the pack asks for
//! no signature.

use super::Intake;
use crate::base::hold::Defect;
use crate::base::{causes, digest, hex};
use crate::forms::{CodePrestataire, DocumentPlace, FormsError, Operation, Pack, SignaturePlace};
use crate::outbox::{Event, Kind, Lease, OutboxError, Prepared, Record, State, Wait};
use crate::pades;
use crate::sign::{self, Hand, PeopleError, SignError, Signatory};
use crate::trust::Call;
use crate::x509::Level;
use crate::x509::tsp::TimestampToken;
use crate::xades::{Envelope, Slot};
use serde_json::{Value, json};
use std::sync::Arc;
use time::OffsetDateTime;

impl Intake {
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
        let pack = self.pack(record)?;
        let operation = operation(&pack, &record.operation)?;
        let Some(SignaturePlace { level, slot, .. }) = &operation.signature else {
            return match way.state {
                State::Received if record.signer.is_some() == operation.document.is_some() => {
                    self.complete(record, &pack, way, calls)
                }
                // Accepted to be signed, or signed already.
                State::Received | State::Signed | State::Stamped => {
                    Err(StepError::Configuration(
                        "pack-changed",
                        "The form pack says now that this document is not signed; it was accepted to be signed.".into(),
                    ))
                }
                State::Ready
                | State::Sending
                | State::Unknown
                | State::Receipted
                | State::Rejected => Ok(()),
            };
        };
        let mut envelope = match way.state {
            State::Received => self.sign(record, &pack, way, calls)?,
            State::Signed | State::Stamped => {
                let rested = self.body(record, Kind::Document)?;
                let rested = Envelope::open(rested, slot).map_err(SignError::Xml)?;
                // By a clock that was ahead: no timestamp can follow this signature.
                match rested.signing_time() > self.latest(rested.token()) {
                    true => self.sign(record, &pack, way, calls)?,
                    false => rested,
                }
            }
            State::Ready | State::Sending | State::Unknown | State::Receipted | State::Rejected => {
                return Ok(());
            }
        };
        let Err(error) = self.climb((*level, slot), &mut envelope, way, calls) else {
            return Ok(());
        };
        if !way.events.is_empty() {
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

    /// The latest time a signature may claim: the present or, where it is
    /// stamped, that of its timestamp, which clocks may be a little off.
    fn latest(&self, token: Option<&TimestampToken>) -> OffsetDateTime {
        let tolerance = self.signer.trust().settings().clock_tolerance;
        token.map_or(self.clock.now(), |token| token.gen_time() + tolerance)
    }

    /// A document without a signature of its own, as it is sent: put together,
    /// and checked as a whole.
    fn complete(
        &self,
        record: &Record,
        pack: &Pack,
        way: &mut Way,
        calls: &mut Vec<Call>,
    ) -> Result<(), StepError> {
        let xml = self.body(record, Kind::RequestXml)?;
        let name = record.operation.as_str();
        let pdf = match &operation(pack, name)?.document {
            Some(place) => {
                let signatory = self.signatory_of(record, pack, &xml)?;
                let hand = self.signer.hand(&signatory, calls)?;
                self.pdf(record, (&hand, place), way, calls)?
            }
            None => None,
        };
        let whole = pack.assemble(name, &xml, pdf.as_deref());
        let whole = whole.map_err(SignError::Embed)?;
        pack.read_whole(name, &whole).map_err(SignError::Embed)?;
        let detail = json!({ "sha256": hex::encode(&digest::sha256(&whole)) });
        way.reach(State::Ready, "completed", self.clock.now(), detail);
        way.body(Kind::Document, whole);
        Ok(())
    }

    /// From B to the level of the pack. The final bytes are checked once, as a
    /// whole; `envelope` keeps the level from which the next try goes on.
    fn climb(
        &self,
        (level, slot): (Level, &Slot),
        envelope: &mut Envelope,
        way: &mut Way,
        calls: &mut Vec<Call>,
    ) -> Result<(), StepError> {
        if envelope.level() == Level::B && level > Level::B {
            let stamped = self.signer.stamp(envelope, calls);
            if stamped.is_err() && Defect::Downgrade.is_planted() {
                return self.climb((Level::B, slot), envelope, way, calls);
            }
            stamped?;
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
        let document = self.signer.check(last, slot)?;
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
        way: &mut Way,
        calls: &mut Vec<Call>,
    ) -> Result<Envelope, StepError> {
        let xml = self.body(record, Kind::RequestXml)?;
        let name = record.operation.as_str();
        let signatory = self.signatory_of(record, pack, &xml)?;
        let hand = self.signer.hand(&signatory, calls)?;
        let place = operation(pack, name)?.document.as_ref();
        let pdf = match place {
            Some(place) => self.pdf(record, (&hand, place), way, calls)?,
            None => None,
        };
        let envelope = self
            .signer
            .form_signature(&hand, (pack, name), (&xml, pdf.as_deref()))?;
        let level = place.filter(|_| pdf.is_some()).map(|place| place.level);
        let detail = json!({
            "level": "XAdES-B-B",
            "pdf_level": level.map(|level| format!("PAdES-{}", level.as_str())),
            "signer": signatory.id, "role": signatory.role.as_str(),
            "certificate_sha256": sign::fingerprint(hand.certificate()),
            "calls": calls_json(&std::mem::take(calls)),
        });
        way.reach(State::Signed, "signed", self.clock.now(), detail);
        Ok(envelope)
    }

    /// The PDF with its signature of the pack's level, if there is one. What is
    /// signed is kept, also when the way ends here: the key is not used for it a
    /// second time.
    fn pdf(
        &self,
        record: &Record,
        (hand, place): (&Hand, &DocumentPlace),
        way: &mut Way,
        calls: &mut Vec<Call>,
    ) -> Result<Option<Vec<u8>>, StepError> {
        let level = place.level;
        let given = self.outbox.body(record.uuid, Kind::RequestPdf);
        let Some(given) = given.map_err(StepError::Store)? else {
            let had = || self.outbox.had_pdf(record.uuid).map_err(StepError::Store);
            return match place.required || had()? {
                true => Err(missing()),
                false => Ok(None),
            };
        };
        let rested = self.outbox.body(record.uuid, Kind::Pdf);
        let rested = rested.map_err(StepError::Store)?.filter(|pdf| {
            // One by a certificate that has been replaced since is not kept, nor
            // one by a clock that was ahead.
            pades::verify(pdf).is_ok_and(|own| {
                own.signer == *hand.certificate()
                    && own.signing_time <= self.latest(own.token.as_ref())
            })
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
                return Ok(Some(pdf));
            }
            Some(pdf) => pdf,
            None => self.signer.pdf_signature(hand, &given)?,
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
        Ok(Some(pdf))
    }

    fn pack(&self, record: &Record) -> Result<Arc<Pack>, StepError> {
        let (form, version) = (&record.form, &record.version);
        self.packs.pack(form, Some(version)).ok_or_else(|| {
            let text = format!("The form pack {form} {version} is not installed.");
            StepError::Configuration("form-missing", text)
        })
    }

    /// Who signs, asked anew: what was allowed when the document was accepted
    /// may have been withdrawn since.
    fn signatory_of(
        &self,
        record: &Record,
        pack: &Pack,
        xml: &[u8],
    ) -> Result<Signatory, StepError> {
        let code = &record.code_prestataire;
        let sender = self.people.sender(code).ok_or_else(|| {
            let text = format!("{code}, who sends this, is not configured any more.");
            StepError::Configuration("practitioner-missing", text)
        })?;
        let executants = operation(pack, &record.operation)?.executants(xml);
        let executants =
            executants.map_err(|error| SignError::Embed(FormsError::EmbedParse(error)))?;
        let id = record.signer.as_ref().unwrap_or(code);
        let signatory = self.people.signatory(sender, &executants, Some(id));
        signatory.map_err(|error| {
            let text = format!("Who signs this may not do so any more: {error}.");
            StepError::Configuration(signatory_code(&error, id), text)
        })
    }

    fn body(&self, record: &Record, kind: Kind) -> Result<Vec<u8>, StepError> {
        let body = self
            .outbox
            .body(record.uuid, kind)
            .map_err(StepError::Store)?;
        body.ok_or_else(missing)
    }
}

fn signatory_code(error: &PeopleError, signer: &str) -> &'static str {
    match error {
        PeopleError::NotAuthorised { .. } => "delegate-withdrawn",
        // No delegate's id is a code prestataire.
        PeopleError::Unknown { .. } if signer.parse::<CodePrestataire>().is_err() => {
            "delegate-withdrawn"
        }
        PeopleError::Unknown { .. }
        | PeopleError::Uninvolved { .. }
        | PeopleError::Several { .. } => "practitioner-missing",
        PeopleError::CertificateOpen { .. } => "certificate-open",
    }
}

fn missing() -> StepError {
    StepError::Configuration("body-missing", "A stored document is missing.".into())
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

    fn event(&mut self, word: &'static str, at: OffsetDateTime, detail: Value) {
        self.events.push(Event { word, at, detail });
    }

    fn reach(&mut self, state: State, word: &'static str, at: OffsetDateTime, detail: Value) {
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
