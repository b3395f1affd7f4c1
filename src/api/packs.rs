//! The form packs in the service's health.

use crate::forms::Packs;
use serde::Serialize;
use utoipa::ToSchema;

/// The form packs: which are there, and which are refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct PackHealth {
    /// Packs that new documents are taken for.
    loaded: Vec<LoadedPack>,
    /// Folders whose pack is refused; the last good state of it goes on.
    refused: Vec<RefusedPack>,
}

/// A form pack that is there.
#[derive(Debug, Serialize, ToSchema)]
pub struct LoadedPack {
    /// Name of the form.
    form: String,
    /// Its version.
    version: String,
}

/// A folder with a form pack that is refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefusedPack {
    /// The folder or file.
    folder: String,
    /// Everything wrong with it, as `key: reason`.
    faults: Vec<String>,
}

impl From<&Packs> for PackHealth {
    fn from(packs: &Packs) -> Self {
        let offered = packs.offered();
        let loaded = offered.iter().map(|pack| LoadedPack {
            form: pack.form.clone(),
            version: pack.version.clone(),
        });
        let refused = packs.faults().into_iter().map(|one| RefusedPack {
            folder: one.folder.display().to_string(),
            faults: one.faults,
        });
        Self {
            loaded: loaded.collect(),
            refused: refused.collect(),
        }
    }
}
