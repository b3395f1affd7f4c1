//! Packs in folders, and the copies kept of the good ones.

use super::{FormsError, Pack, manifest};
use crate::base::{file, limits};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What a pack is called in its folder.
pub(super) const MANIFEST: &str = "pack.toml";

/// Form and version, as the folders are called.
pub(super) type Key = (String, String);

/// The files of a pack by name, `pack.toml` among them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Files(BTreeMap<String, String>);

/// Why a folder gives no pack.
pub(super) struct Unfit {
    pub faults: Vec<String>,
    /// Whether a file could not be read: that says nothing of the pack.
    pub is_unread: bool,
}

/// Reads the pack in one folder.
///
/// # Errors
/// [`FormsError::Pack`] with every fault.
pub fn load(folder: &Path) -> Result<Pack, FormsError> {
    from_folder(folder)
        .map(|(pack, _)| pack)
        .map_err(|unfit| FormsError::Pack {
            pack: folder.display().to_string(),
            faults: unfit.faults,
        })
}

/// The pack in a folder, and the files it is made of.
pub(super) fn from_folder(folder: &Path) -> Result<(Pack, Files), Unfit> {
    let used = RefCell::new(BTreeMap::new());
    let is_unread = Cell::new(false);
    let file = |name: &str| {
        // A pack brings its own files only: a name, never a path.
        if Path::new(name).file_name() != Some(name.as_ref()) {
            return Err("is not the name of a file".to_owned());
        }
        if used.borrow().contains_key(name) {
            return Err("is named twice".to_owned());
        }
        if used.borrow().len() >= limits::PACK_FILES_MAX {
            return Err(format!("is one file too many ({})", limits::PACK_FILES_MAX));
        }
        let bytes = read(&folder.join(name)).map_err(|error| {
            // What is not there, or not taken, is so; all else may pass.
            let is_so = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Other);
            is_unread.set(is_unread.get() || !is_so);
            format!("cannot be read: {error}")
        })?;
        used.borrow_mut()
            .insert(name.to_owned(), STANDARD.encode(&bytes));
        Ok(bytes)
    };
    let manifest = file(MANIFEST).map_err(|reason| vec![format!("{MANIFEST}: {reason}")]);
    let pack = manifest.and_then(|manifest| compiled(&manifest, &file));
    let pack = pack.map_err(|faults| Unfit {
        faults,
        is_unread: is_unread.get(),
    })?;
    Ok((pack, Files(used.into_inner())))
}

/// The pack that files make.
pub(super) fn from_files(files: &Files) -> Result<Pack, Vec<String>> {
    let file = |name: &str| {
        let coded = files.0.get(name).ok_or("is not there")?;
        STANDARD
            .decode(coded)
            .map_err(|_| "is not base64".to_owned())
    };
    let manifest = file(MANIFEST).map_err(|reason| vec![format!("{MANIFEST}: {reason}")])?;
    compiled(&manifest, &file)
}

/// Nothing in a pack ends the program, whatever the parsers make of it.
fn compiled(manifest: &[u8], file: &manifest::Files<'_>) -> Result<Pack, Vec<String>> {
    let compile = AssertUnwindSafe(|| manifest::compile(manifest, file));
    panic::catch_unwind(compile)
        .unwrap_or_else(|_| Err(vec![format!("{MANIFEST}: a parser gave up on this pack")]))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe would be waited for, and a device never ends.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a plain file"));
    }
    let most = limits::PACK_FILE_BYTES_MAX;
    let mut bytes = Vec::new();
    let file = fs::File::open(path)?;
    if file.take(most + 1).read_to_end(&mut bytes)? as u64 > most {
        return Err(io::Error::other(format!("it has more than {most} bytes")));
    }
    Ok(bytes)
}

/// Name, size and time of every file of a folder: while they stay the same, the
/// folder is not read again.
pub(super) type Stamp = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// What is in a folder of packs.
#[derive(Default)]
pub(super) struct Found {
    pub packs: BTreeMap<Key, (PathBuf, Stamp)>,
    /// The folder itself or folders in it, of which nobody knows what they hold.
    pub unreadable: BTreeMap<PathBuf, io::Error>,
}

impl Found {
    /// What was read; else nothing, and the folder is noted.
    fn known<T: Default>(&mut self, folder: &Path, read: io::Result<T>) -> T {
        read.unwrap_or_else(|error| {
            self.unreadable.insert(folder.to_owned(), error);
            T::default()
        })
    }
}

/// The packs in a folder of folders: `<folder>/<form>/<version>/pack.toml`.
pub(super) fn found(folder: &Path) -> Found {
    let mut found = Found::default();
    for (form, path) in found.known(folder, folders(folder)) {
        for (version, path) in found.known(&path, or_gone(folders(&path))) {
            if let Some(stamp) = found.known(&path, or_gone(stamp(&path))) {
                found.packs.insert((form.clone(), version), (path, stamp));
            }
        }
    }
    found
}

/// A folder that goes away under the look has nothing in it.
fn or_gone<T: Default>(read: io::Result<T>) -> io::Result<T> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        read => read,
    }
}

fn folders(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        // What cannot be looked at may be a folder: reading it will tell.
        let is_folder = fs::metadata(&path).map_or_else(
            |error| error.kind() != ErrorKind::NotFound,
            |about| about.is_dir(),
        );
        if let Ok(name) = entry.file_name().into_string()
            && is_folder
        {
            all.push((name, path));
        }
    }
    Ok(all)
}

/// `None` for a folder without a pack.
fn stamp(folder: &Path) -> io::Result<Option<Stamp>> {
    if !fs::metadata(folder.join(MANIFEST))?.is_file() {
        return Ok(None);
    }
    let mut stamp = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // One that has just gone away is seen as gone at the next look.
        if let Ok(about) = fs::metadata(&path)
            && about.is_file()
        {
            stamp.push((path, about.len(), about.modified().ok()));
        }
    }
    stamp.sort();
    Ok(Some(stamp))
}

/// Keeps the files of a good pack, as one file that is whole or absent.
pub(super) fn keep(folder: &Path, key: &Key, files: &Files) -> io::Result<()> {
    if kept(folder, key).is_ok_and(|old| old == *files) {
        return Ok(());
    }
    file::create_private_dir(folder)?;
    let bytes = serde_json::to_vec(files).map_err(io::Error::other)?;
    file::write_atomic(&kept_path(folder, key), &bytes)
}

/// Keeps them no more.
pub(super) fn forget(folder: &Path, key: &Key) -> io::Result<()> {
    fs::remove_file(kept_path(folder, key))
}

/// The files kept of a pack.
pub(super) fn kept(folder: &Path, key: &Key) -> io::Result<Files> {
    serde_json::from_slice(&fs::read(kept_path(folder, key))?).map_err(io::Error::other)
}

/// Every pack of which files are kept.
pub(super) fn all_kept(folder: &Path) -> io::Result<Vec<Key>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let key = name.to_str().and_then(|name| name.strip_suffix(KEPT));
        if let Some((form, version)) = key.and_then(|key| key.split_once(SEPARATOR)) {
            all.push((form.to_owned(), version.to_owned()));
        }
    }
    Ok(all)
}

const KEPT: &str = ".json";
/// No form and no version has it in its name.
const SEPARATOR: char = '@';

fn kept_path(folder: &Path, (form, version): &Key) -> PathBuf {
    folder.join(format!("{form}{SEPARATOR}{version}{KEPT}"))
}
