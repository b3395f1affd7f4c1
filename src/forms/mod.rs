//! Forms as data: packs of schemas and rules, the check of a document against
//! them, the facts in it, the place of signature and PDF, and the words of the
//! receiver's answers. Nothing here signs, stores or sends.

mod answer;
mod check;
mod embed;
mod finding;
pub mod matricule;
mod pack;

pub use answer::{Anomaly, Answer, Status};
pub use check::{Checked, CodePrestataire, CodePrestataireError, Facts};
pub use finding::{Code, DoctorText, Finding, Rejected, Severity};
pub use pack::{DocumentPlace, Operation, Pack, SignaturePlace, StatusService, Title};

use crate::xml::{XmlError, xsd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a form operation failed for another reason than the document's faults.
#[derive(Debug, thiserror::Error)]
pub enum FormsError {
    /// A file of a pack could not be read.
    #[error("the file {path} of a form pack could not be read")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// `pack.toml` is wrong.
    #[error("the form pack {pack} is wrong: {reason}")]
    Manifest {
        /// Folder or name of the pack.
        pack: String,
        /// What is wrong.
        reason: String,
    },
    /// The schemas of a pack do not compile.
    #[error("the schemas of the form pack {pack} could not be compiled")]
    Schema {
        /// Folder or name of the pack.
        pack: String,
        /// What the compiler said.
        source: xsd::XsdError,
    },
    /// Two packs of the same form and version.
    #[error("the form {form} version {version} is there already")]
    Duplicate {
        /// Form of both.
        form: String,
        /// Version of both.
        version: String,
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

/// Largest file of a pack, in bytes.
const PACK_FILE_BYTES_MAX: u64 = 4 << 20;

struct BuiltIn {
    name: &'static str,
    manifest: &'static str,
    files: &'static [(&'static str, &'static str)],
}

macro_rules! built_in {
    ($folder:literal, $($file:literal),+ $(,)?) => {
        BuiltIn {
            name: $folder,
            manifest: include_str!(concat!("../../xsd/", $folder, "/pack.toml")),
            files: &[$(($file, include_str!(concat!("../../xsd/", $folder, "/", $file)))),+],
        }
    };
}

/// The packs compiled into the program.
const BUILT_IN: &[BuiltIn] = &[built_in!(
    "memoire-honoraires/2",
    "memoire-honoraires.xsd",
    "types.xsd",
    "prestation.xsd",
    "annulation.xsd",
    "reponses.xsd",
)];

/// The packs this program knows.
#[derive(Default)]
pub struct Packs {
    packs: Vec<Arc<Pack>>,
}

impl Packs {
    /// The packs compiled into the program.
    pub fn builtin() -> Result<Self, FormsError> {
        let mut packs = Self::default();
        for built_in in BUILT_IN {
            let pack = Pack::compile(built_in.name, built_in.manifest, |name| {
                let found = built_in.files.iter().find(|(file, _)| *file == name);
                let (_, text) = found.ok_or_else(|| FormsError::Manifest {
                    pack: built_in.name.to_owned(),
                    reason: format!("the schema {name} is not compiled in"),
                })?;
                Ok(text.as_bytes().to_vec())
            })?;
            packs.add(pack)?;
        }
        Ok(packs)
    }

    /// Adds every pack in a folder: `<folder>/<form>/<version>/pack.toml`.
    pub fn load_dir(&mut self, folder: &Path) -> Result<(), FormsError> {
        for form in folders(folder)? {
            for version in folders(&form)? {
                let manifest = version.join("pack.toml");
                if manifest.is_file() {
                    self.add(load(&version, &manifest)?)?;
                }
            }
        }
        Ok(())
    }

    /// A form in the given version, or in its newest.
    pub fn pack(&self, form: &str, version: Option<&str>) -> Option<Arc<Pack>> {
        let named = self.packs.iter().filter(|pack| pack.form == form);
        let found = match version {
            Some(version) => named.into_iter().find(|pack| pack.version == version),
            None => named.max_by_key(|pack| version_key(&pack.version)),
        };
        found.cloned()
    }

    /// All packs, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Pack>> {
        self.packs.iter()
    }

    fn add(&mut self, pack: Pack) -> Result<(), FormsError> {
        if self.pack(&pack.form, Some(&pack.version)).is_some() {
            return Err(FormsError::Duplicate {
                form: pack.form,
                version: pack.version,
            });
        }
        self.packs.push(Arc::new(pack));
        Ok(())
    }
}

/// Orders `10` after `9` and `2.1` after `2`.
fn version_key(version: &str) -> Vec<(u64, &str)> {
    let part = |part: &'_ str| part.parse().unwrap_or(0);
    version.split('.').map(|text| (part(text), text)).collect()
}

/// The folders inside a folder, in the order of their names.
fn folders(folder: &Path) -> Result<Vec<PathBuf>, FormsError> {
    let fail = |source| FormsError::Read {
        path: folder.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn load(folder: &Path, manifest: &Path) -> Result<Pack, FormsError> {
    let source = folder.display().to_string();
    let text = String::from_utf8(read(manifest)?).map_err(|_| FormsError::Manifest {
        pack: source.clone(),
        reason: "pack.toml is not encoded in UTF-8".to_owned(),
    })?;
    Pack::compile(&source, &text, |name| {
        // A pack brings its own files only: a name, never a path.
        if Path::new(name).file_name() != Some(name.as_ref()) {
            return Err(FormsError::Manifest {
                pack: source.clone(),
                reason: format!("the schema `{name}` is not the name of a file"),
            });
        }
        read(&folder.join(name))
    })
}

fn read(path: &Path) -> Result<Vec<u8>, FormsError> {
    let fail = |source| FormsError::Read {
        path: path.to_owned(),
        source,
    };
    let length = std::fs::metadata(path).map_err(fail)?.len();
    if length > PACK_FILE_BYTES_MAX {
        return Err(fail(std::io::Error::other(format!(
            "{length} bytes are more than {PACK_FILE_BYTES_MAX}"
        ))));
    }
    std::fs::read(path).map_err(fail)
}

#[cfg(test)]
mod tests;
