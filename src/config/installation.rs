//! What evidence and reports say of this installation.

use crate::base::Uuid4;
use crate::base::file;
use crate::base::settings::Section;
use serde::Serialize;
use std::io;
use std::path::Path;

/// Names for reports and evidence, the same everywhere (DSR 5.1, 5.4.1).
#[derive(Debug, Clone, Serialize)]
pub struct Installation {
    /// Name of the workstation; may be empty.
    pub workstation: String,
    /// The software house; may be empty.
    pub industriel: String,
    /// Its product.
    pub product: String,
    /// The product's version.
    pub product_version: String,
}

impl Installation {
    /// The random id of the workstation: made the first time it is asked for,
    /// and the same ever after (DSR 4.4).
    ///
    /// # Errors
    /// What the system says about `workstation.id` in the state folder, or
    /// [`io::ErrorKind::InvalidData`] when that holds something else.
    pub fn workstation_id(state: &Path) -> io::Result<Uuid4> {
        let path = state.join("workstation.id");
        let read = || {
            let text = std::fs::read_to_string(&path)?;
            let id = text.trim().parse();
            id.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
        };
        match read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            known => return known,
        }
        let fresh = Uuid4::random();
        match file::write_once(&path, format!("{fresh}\n").as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(),
            written => written.map(|()| fresh),
        }
    }
}

pub(super) fn installation(section: &Section<'_>) -> Installation {
    let own = || env!("CARGO_PKG_VERSION").to_owned();
    Installation {
        workstation: section.text("workstation"),
        industriel: section.text("industriel"),
        product: section.text("product"),
        product_version: section.optional("product_version").unwrap_or_else(own),
    }
}
