//! The packs compiled into the program.

use super::manifest;
use super::{FormsError, Pack};

pub(super) struct BuiltIn {
    /// `<form>/<version>`.
    pub name: &'static str,
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

pub(super) const BUILT_IN: &[BuiltIn] = &[
    built_in!(
        "memoire-honoraires/2",
        "memoire-honoraires.xsd",
        "types.xsd",
        "prestation.xsd",
        "annulation.xsd",
        "reponses.xsd",
    ),
    built_in!(
        "pid/2",
        "pid.xsd",
        "types.xsd",
        "simulation.xsd",
        "reponses.xsd",
        "contestations.csv",
    ),
    built_in!(
        "ecit/1",
        "certificat-incapacite.xsd",
        "types.xsd",
        "annulation.xsd",
        "reponses.xsd",
        "diagnostics.csv",
    ),
    built_in!(
        "eordonnance/1",
        "ordonnance.xsd",
        "types.xsd",
        "prescriptions.xsd",
        "annulation.xsd",
        "reponses.xsd",
        "formes.csv",
        "prelevements.csv",
        "examens.csv",
    ),
];

impl BuiltIn {
    pub(super) fn compile(&self) -> Result<Pack, FormsError> {
        let file = |name: &str| {
            let found = self.files.iter().find(|(file, _)| *file == name);
            let (_, text) = found.ok_or("is not compiled in")?;
            Ok(text.as_bytes().to_vec())
        };
        manifest::compile(self.manifest.as_bytes(), &file).map_err(|faults| FormsError::Pack {
            pack: self.name.to_owned(),
            faults,
        })
    }
}
