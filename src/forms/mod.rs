//! Forms as data: packs of schemas and rules, the check of a document against
//! them, the facts in it, the place of signature and PDF, and the words of the
//! receiver's answers. Nothing here signs, stores or sends.

mod answer;
mod built_in;
mod check;
mod copy;
mod embed;
mod environment;
mod finding;
mod manifest;
pub mod matricule;
mod pack;
mod period;
mod registry;
mod show;
mod source;

pub use answer::{Anomaly, Answer, Status};
pub use check::{Checked, CodePrestataire, CodePrestataireError, Facts, Referred};
pub use environment::{Environment, EnvironmentKind, kept_from_production};
pub use finding::{Code, DoctorText, Finding, Rejected, Severity};
pub use pack::{
    AnomalyPaths, AnswerPaths, CopyRule, DocumentPlace, Exchange, Operation, Pack, QrPlace,
    Reference, RefersBy, SignaturePlace, StatusService, Title, Unknown,
};
pub use period::{Closed, luxembourg_day};
pub use registry::{PackFaults, Packs};
pub use show::{Show, ShowKind, ShowWhat, Shown, ShownValue};
pub use source::load;

use crate::xml::XmlError;

/// Why a form operation failed for another reason than the document's faults.
#[derive(Debug, thiserror::Error)]
pub enum FormsError {
    /// A pack is wrong.
    #[error("the form pack {pack} is wrong: {}", faults.join("; "))]
    Pack {
        /// Folder or name of the pack.
        pack: String,
        /// Everything that is wrong with it, as `key: reason`.
        faults: Vec<String>,
    },
    /// The form has no operation of this name, or the operation no such part.
    #[error("the form has no {0}")]
    NoSuchOperation(String),
    /// A document could not be read in order to embed into it.
    #[error("the document could not be read for embedding")]
    EmbedParse(#[source] XmlError),
    /// The document has no place to embed into.
    #[error("nothing can be embedded: {0}")]
    Embed(String),
    /// The document with everything embedded is not valid.
    #[error("the document is not valid once the PDF is embedded")]
    EmbedRejected(#[source] Rejected),
    /// An answer of the receiver is no XML.
    #[error("the receiver's answer could not be read")]
    AnswerParse(#[source] XmlError),
    /// An answer of the receiver does not say what it must.
    #[error("the receiver's answer is incomplete: {0}")]
    Answer(String),
}

#[cfg(test)]
mod tests;
