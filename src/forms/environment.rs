//! Where documents go: the kind of environment, and the model ids it has of
//! its own.

use super::Pack;
use std::collections::BTreeMap;
use std::fmt;

/// What kind of place documents are sent to. Test data must never reach
/// production, so a pack says for each kind under which model it is sent there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EnvironmentKind {
    /// A stand-in on this machine.
    Sandbox,
    /// The insurer's test environment.
    Test,
    /// Real patients.
    Production,
}

impl EnvironmentKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sandbox, Self::Test, Self::Production];

    /// `sandbox`, `test` or `production`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Test => "test",
            Self::Production => "production",
        }
    }

    /// Reads the word of [`EnvironmentKind::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for EnvironmentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a model id is that must never reach production: one of the sandbox, or
/// of the first generation, which is not accepted any more (DSR 2, 6).
pub fn kept_from_production(model_id: &str) -> Option<&'static str> {
    let id = model_id.to_ascii_uppercase();
    if id.contains("SCEAU-") {
        return Some("a model of the sandbox");
    }
    let first_generation = id.starts_with("2022_") || id.starts_with("2023-");
    first_generation.then_some("a model of the first generation")
}

/// An environment as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: EnvironmentKind,
    /// Model ids it has of its own, by `form/version/operation`, and
    /// `form/version/operation/status` for the question.
    pub models: BTreeMap<String, String>,
}

impl Environment {
    /// The model id of an operation here: the environment's own, else the
    /// pack's; `None`: it is not sent here.
    pub fn model_id(&self, pack: &Pack, operation: &str) -> Option<String> {
        let own = self.models.get(&key(pack, operation));
        let packs = || pack.operations.get(operation)?.model_id(self.kind);
        own.map(String::as_str).or_else(packs).map(str::to_owned)
    }

    /// The model id of an operation's status service here.
    pub fn status_model_id(&self, pack: &Pack, operation: &str) -> Option<String> {
        let service = pack.operations.get(operation)?.status.as_ref()?;
        let own = self.models.get(&format!("{}/status", key(pack, operation)));
        let packs = || service.model_id(self.kind);
        own.map(String::as_str).or_else(packs).map(str::to_owned)
    }
}

fn key(pack: &Pack, operation: &str) -> String {
    format!("{}/{}/{operation}", pack.form, pack.version)
}
