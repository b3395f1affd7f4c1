//! A submission as it is stored, and the words for its states and bodies.

use super::Scope;
use crate::base::Uuid4;
use crate::forms::EnvironmentKind;
use time::OffsetDateTime;

/// Where a submission stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Accepted and durable; not yet signed.
    Received,
    /// Signed (XAdES-B-B); not yet timestamped.
    Signed,
    /// Timestamped (XAdES-B-T); revocation data not yet embedded.
    Stamped,
    /// At its full level; may be sent.
    Ready,
    /// An attempt is under way.
    Sending,
    /// An attempt ended without an answer: the receiver is asked before
    /// anything is sent again.
    Unknown,
    /// The receiver accepted it. Final.
    Receipted,
    /// The receiver refused it. Final.
    Rejected,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Received,
        Self::Signed,
        Self::Stamped,
        Self::Ready,
        Self::Sending,
        Self::Unknown,
        Self::Receipted,
        Self::Rejected,
    ];

    /// The word stored and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Signed => "signed",
            Self::Stamped => "stamped",
            Self::Ready => "ready",
            Self::Sending => "sending",
            Self::Unknown => "unknown",
            Self::Receipted => "receipted",
            Self::Rejected => "rejected",
        }
    }

    /// Whether its signature may have a timestamp. One that is signed anew has
    /// none, whatever is kept of the former one.
    pub fn has_timestamp(self) -> bool {
        match self {
            Self::Received | Self::Signed => false,
            Self::Stamped
            | Self::Ready
            | Self::Sending
            | Self::Unknown
            | Self::Receipted
            | Self::Rejected => true,
        }
    }

    /// Whether it will not change any more.
    pub fn is_final(self) -> bool {
        match self {
            Self::Receipted | Self::Rejected => true,
            Self::Received
            | Self::Signed
            | Self::Stamped
            | Self::Ready
            | Self::Sending
            | Self::Unknown => false,
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// Which worker takes a submission on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Sign, timestamp, complete: `Received`, `Signed`, `Stamped`.
    Intake,
    /// Send or ask: `Ready`, `Unknown`.
    Delivery,
}

impl Stage {
    /// Every stage.
    pub(super) const ALL: [Self; 2] = [Self::Intake, Self::Delivery];
}

/// What a worker takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// Which step.
    pub stage: Stage,
    /// Only those that somebody waits for; else these first, then the others.
    pub interactive: bool,
}

impl From<Stage> for Queue {
    fn from(stage: Stage) -> Self {
        Self {
            stage,
            interactive: false,
        }
    }
}

impl Queue {
    /// Whether interactive or not, in the order in which they are taken on.
    pub(super) fn order(self) -> &'static [bool] {
        if self.interactive {
            &[true]
        } else {
            &[true, false]
        }
    }
}

/// Whose fault a pause is; shown with what happens next and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// `ours`, `token`, `network`, `tsa`, `ocsp`, `receiver` or `account`.
    pub class: String,
    /// A stable code.
    pub code: String,
    /// A sentence for a person.
    pub text: String,
}

/// One submission as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The document's UUID: identity and idempotency key.
    pub uuid: Uuid4,
    /// Form pack and its version, remembered from acceptance.
    pub form: String,
    /// See `form`.
    pub version: String,
    /// Operation of the pack.
    pub operation: String,
    /// Sender's code prestataire.
    pub code_prestataire: String,
    /// Name of the paired program that handed it in.
    pub client: String,
    /// Name of the environment it was accepted for; it is sent to no other.
    pub environment: String,
    /// Kind of that environment.
    pub environment_kind: EnvironmentKind,
    /// Id of who signs: a code prestataire or a delegate's; `None` where the
    /// operation is not signed.
    pub signer: Option<String>,
    /// Where it stands.
    pub state: State,
    /// Why it pauses, if it does.
    pub wait: Option<Wait>,
    /// When it is taken on next; `None` when final.
    pub due_at: Option<OffsetDateTime>,
    /// Tries that did not succeed since it last got a step further.
    pub tries: u32,
    /// The receiver's own id of the document.
    pub insurer_id: Option<String>,
    /// The receiver's id of the last exchange.
    pub correlation_id: Option<String>,
    /// When it was accepted.
    pub received_at: OffsetDateTime,
    /// When it last changed.
    pub updated_at: OffsetDateTime,
    /// SHA-256 over what was handed in.
    pub request_sha256: [u8; 32],
}

impl Record {
    /// Among which documents the names in this one are searched.
    pub fn scope(&self) -> Scope<'_> {
        Scope {
            environment: &self.environment,
            form: &self.form,
            code_prestataire: &self.code_prestataire,
        }
    }

    /// Whether this environment is the one it was accepted for.
    pub fn is_for(&self, name: &str, kind: EnvironmentKind) -> bool {
        (self.environment.as_str(), self.environment_kind) == (name, kind)
    }
}

/// What a stored body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The XML as handed in.
    RequestXml,
    /// The PDF as handed in, for operations that have one.
    RequestPdf,
    /// The signed PDF.
    Pdf,
    /// The XML with the signed PDF embedded, at the level reached so far.
    Document,
    /// The RFC 3161 token of the XML signature.
    Timestamp,
    /// The receiver's answer.
    Answer,
    /// The receiver's whole signed envelope around the answer.
    Envelope,
    /// What is shown of the request, as JSON.
    Facts,
    /// What the receiver's verdict says, as JSON.
    AnswerFacts,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::RequestXml => "request-xml",
            Self::RequestPdf => "request-pdf",
            Self::Pdf => "pdf",
            Self::Document => "document",
            Self::Timestamp => "timestamp",
            Self::Answer => "answer",
            Self::Envelope => "envelope",
            Self::Facts => "facts",
            Self::AnswerFacts => "answer-facts",
        }
    }
}
