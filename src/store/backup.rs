//! Backup into one sealed file while others work on the store, and back.
//!
//! The database is copied as it stands at one moment (`VACUUM INTO`); the files
//! of bodies that it names then cannot go away before they are copied too,
//! because who removes such files asks a lock first ([`Removal`]). That lock is
//! a file of the state folder, so that a command can make a backup beside the
//! service, and of one that hangs.
//!
//! Inside the seal: `{ length of the name (2, BE)  name  length (8, BE)  bytes }*
//! 0 (2)`. Names are relative to the state folder.

use super::check::{Check, check, checkpoint, read_only};
use super::seal::Seal;
use super::sealed_file::{Opening, Sealing};
use super::{BODIES, DATABASE, Settings, Store, StoreError, configure, load_key, migrate};
use crate::base::file;
use rusqlite::{Connection, Transaction};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const LOCK: &str = "backup.lock";
/// The copy of the database while a backup is made.
const COPY: &str = "backup.db";

/// What a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// Files of bodies.
    pub bodies: usize,
    /// Length of the backup, in bytes.
    pub bytes: u64,
}

/// Removes files of bodies, later while a backup is made.
pub(super) struct Removal {
    lock: PathBuf,
    waiting: Mutex<Vec<PathBuf>>,
}

impl Removal {
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self {
            lock: folder.join(LOCK),
            waiting: Mutex::default(),
        }
    }

    /// Removes `files`, and those kept back before; those of a process that ends
    /// meanwhile are found at the next start.
    pub(super) fn remove(&self, files: Vec<PathBuf>) -> Result<(), StoreError> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.extend(files);
        if waiting.is_empty() {
            return Ok(());
        }
        // Without a file there was never a backup.
        let lock = File::open(&self.lock).ok();
        if lock
            .as_ref()
            .is_some_and(|lock| lock.try_lock_shared().is_err())
        {
            return Ok(());
        }
        let mut first = Ok(());
        for path in waiting.drain(..) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    first = first.and(Err(StoreError::file("remove", &path)(error)));
                }
                Ok(()) | Err(_) => {}
            }
        }
        first
    }
}

impl Store {
    /// Writes a backup to `target`, which must not be there yet. `bodies` says
    /// which files a database names; `also` are files and folders of the state
    /// folder that go with it.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while another backup is made, [`StoreError`] of
    /// class [`Full`](super::Class::Full) when it, unpacked once more for its
    /// proof, would not leave the room that is kept free: that is looked at
    /// first. Nothing is left at `target` then.
    pub fn back_up(
        &self,
        target: &Path,
        bodies: impl FnOnce(&Connection) -> Result<HashSet<String>, StoreError>,
        also: &[&str],
    ) -> Result<Made, StoreError> {
        self.readable()?;
        let folder = self.folder();
        let lock_path = folder.join(LOCK);
        let lock = File::create(&lock_path).map_err(StoreError::file("create", &lock_path))?;
        if lock.try_lock().is_err() {
            return Err(StoreError::InUse("another backup is being made"));
        }
        self.has_room_for_backup(target)?;
        let copy = Temporary(folder.join(COPY));
        let named = self.copy_database(&copy.0, bodies)?;
        let mut files = vec![(DATABASE.to_owned(), copy.0.clone())];
        for name in &named {
            let (_, path) = self.open_file(name)?;
            files.push((format!("{BODIES}/{name}"), path));
        }
        for name in also {
            found(folder, Path::new(name), &mut files)?;
        }
        let bytes = self.write_backup(target, &files)?;
        Ok(Made {
            bodies: named.len(),
            bytes,
        })
    }

    /// In the state folder a copy of the database, and all of the backup for its
    /// proof, and at `target` the backup itself, which may be there too.
    fn has_room_for_backup(&self, target: &Path) -> Result<(), StoreError> {
        let length = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
        let log = self.database.with_extension("db-wal");
        let database = length(&self.database) + length(&log);
        let mut all = database;
        for folder in [&self.bodies, &self.staged] {
            let list = StoreError::file("list", folder);
            for entry in fs::read_dir(folder).map_err(&list)? {
                all += length(&entry.map_err(&list)?.path());
            }
        }
        self.room.is_enough_after(all, target)?;
        self.room
            .is_enough_after(database + 2 * all, &self.database)
    }

    /// Removes what backups that were cut off left: the copy of the database,
    /// and in `folder` the half backups whose names `is_ours` knows. Does nothing
    /// while one is made.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn clear_backups(
        &self,
        folder: &Path,
        is_ours: impl Fn(&str) -> bool,
    ) -> Result<(), StoreError> {
        let lock = File::open(self.folder().join(LOCK));
        // Without a file there was never a backup.
        let Some(_lock) = lock.ok().filter(|lock| lock.try_lock().is_ok()) else {
            return Ok(());
        };
        let parts = ["", "-journal", "-wal", "-shm"];
        let mut left: Vec<PathBuf> = parts
            .map(|part| self.folder().join(format!("{COPY}{part}")))
            .into();
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.map_err(StoreError::file("list", folder))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let half = name.strip_prefix('.').and_then(|n| n.strip_suffix(".tmp"));
            if half.is_some_and(&is_ours) {
                left.push(path);
            }
        }
        for path in left {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::file("remove", &path)(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Copies the database as it stands now and says which files it names.
    fn copy_database(
        &self,
        copy: &Path,
        bodies: impl FnOnce(&Connection) -> Result<HashSet<String>, StoreError>,
    ) -> Result<HashSet<String>, StoreError> {
        let failed = StoreError::sql("copy itself");
        let _ = fs::remove_file(copy);
        let live = Connection::open(&self.database).map_err(&failed)?;
        live.busy_timeout(super::BUSY_TIMEOUT).map_err(&failed)?;
        let text = copy.to_string_lossy();
        live.execute("VACUUM INTO ?1", [text.as_ref()])
            .map_err(&failed)?;
        let copied = read_only(copy).map_err(&failed)?;
        bodies(&copied)
    }

    fn write_backup(&self, target: &Path, files: &[(String, PathBuf)]) -> Result<u64, StoreError> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let temporary = Temporary(target.with_file_name(format!(".{name}.tmp")));
        let _ = fs::remove_file(&temporary.0);
        let written = self.write_sealed(&temporary.0, files)?;
        let placed = (|| {
            // Never over another one.
            fs::hard_link(&temporary.0, target)?;
            file::sync_folder(target.parent().unwrap_or(Path::new(".")))
        })();
        placed.map_err(StoreError::file("write", target))?;
        Ok(written)
    }

    fn write_sealed(&self, path: &Path, files: &[(String, PathBuf)]) -> Result<u64, StoreError> {
        let failed = StoreError::file("write", path);
        let out = file::create_new(path).map_err(&failed)?;
        let mut out = Sealing::begin(BufWriter::new(out), &self.seal).map_err(&failed)?;
        for (name, from) in files {
            let unreadable = StoreError::file("read", from);
            // A body may have been settled since.
            let body = name.strip_prefix(BODIES).and_then(|n| n.strip_prefix('/'));
            let mut file = match body {
                Some(body) => self.open_file(body)?.0,
                None => File::open(from).map_err(&unreadable)?,
            };
            let length = file.metadata().map_err(&unreadable)?.len();
            let name = name.as_bytes();
            let head = [
                &(name.len() as u16).to_be_bytes(),
                name,
                &length.to_be_bytes(),
            ]
            .concat();
            out.write_all(&head).map_err(&failed)?;
            if io::copy(&mut file, &mut out).map_err(&failed)? != length {
                return Err(failed(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        out.write_all(&[0, 0]).map_err(&failed)?;
        let out = out.end().map_err(&failed)?;
        let out = out
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        out.sync_all().map_err(&failed)?;
        Ok(out.metadata().map_err(&failed)?.len())
    }

    pub(super) fn folder(&self) -> &Path {
        self.database.parent().unwrap_or(Path::new("."))
    }
}

/// Unpacks a backup into the state folder of `settings`, which must be empty but
/// for the sealing key and backups, checks its database, brings its schema up to
/// date and does `work` in one transaction: only then it gets its name. Without
/// a key file the key must be there.
///
/// # Errors
/// [`StoreError`], or what `work` returns; what was unpacked so far is left for
/// a look, and a service started on it finds no database.
pub fn restore<T, E: From<StoreError>>(
    backup: &Path,
    settings: &Settings,
    migrations: &[impl AsRef<str>],
    work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let folder = &settings.folder;
    file::create_private_dir(folder).map_err(StoreError::file("create", folder))?;
    if occupied(folder).map_err(StoreError::file("list", folder))? {
        return Err(StoreError::InUse("the state folder is not empty").into());
    }
    let copy = folder.join(COPY);
    unpack_all(backup, settings, &copy)?;
    let connection = read_only(&copy).map_err(StoreError::sql("open"))?;
    check(&connection, Check::Whole)?;
    drop(connection);
    let done = put_right(&copy, migrations, work)?;
    let database = folder.join(DATABASE);
    if database.exists() {
        return Err(StoreError::InUse("another database was put there meanwhile").into());
    }
    fs::rename(&copy, &database)
        .and_then(|()| file::sync_folder(folder))
        .map_err(StoreError::file("write", &database))?;
    Ok(done)
}

/// What a restored database must say before anybody believes it, all of it in
/// its file when this returns.
fn put_right<T, E: From<StoreError>>(
    copy: &Path,
    migrations: &[impl AsRef<str>],
    work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let failed = StoreError::sql("be put right");
    let mut connection = Connection::open(copy).map_err(&failed)?;
    configure(&connection).map_err(&failed)?;
    migrate(&mut connection, migrations)?;
    let transaction = connection.transaction().map_err(&failed)?;
    let done = work(&transaction)?;
    transaction.commit().map_err(&failed)?;
    // Its log has another name than the database will have.
    if !checkpoint(&connection).map_err(&failed)? {
        return Err(StoreError::InUse("somebody else has the restored database open").into());
    }
    let closed = connection.close().map_err(|(_, error)| failed(error));
    closed?;
    Ok(done)
}

/// The database comes to lie at `copy`.
fn unpack_all(backup: &Path, settings: &Settings, copy: &Path) -> Result<(), StoreError> {
    let folder = &settings.folder;
    let seal = Seal::new(&load_key(settings, super::Key::MustBeThere)?);
    let failed = StoreError::file("read", backup);
    let from = File::open(backup).map_err(&failed)?;
    let mut from = Opening::begin(BufReader::new(from), &seal).map_err(&failed)?;
    loop {
        let mut length = [0; 2];
        from.read_exact(&mut length).map_err(&failed)?;
        let mut name = vec![0; usize::from(u16::from_be_bytes(length))];
        if name.is_empty() {
            break;
        }
        from.read_exact(&mut name).map_err(&failed)?;
        let mut length = [0; 8];
        from.read_exact(&mut length).map_err(&failed)?;
        let name = String::from_utf8_lossy(&name).into_owned();
        let path = match name.as_str() {
            DATABASE => copy.to_owned(),
            name => {
                inside(folder, name).ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))?
            }
        };
        let length = u64::from_be_bytes(length);
        unpack(&mut from, length, &path).map_err(StoreError::file("write", &path))?;
    }
    // Reads on to the end: only there it is known to be whole.
    let rest = io::copy(&mut from, &mut io::sink()).map_err(&failed)?;
    if rest > 0 {
        return Err(failed(io::ErrorKind::InvalidData.into()));
    }
    Ok(())
}

fn unpack(from: &mut impl Read, length: u64, path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    file::create_private_dir(folder)?;
    let mut out = file::create_new(path)?;
    if io::copy(&mut from.take(length), &mut out)? != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    out.sync_all()?;
    file::sync_folder(folder)
}

/// Whether anything but a key, backups and a lock is there.
fn occupied(folder: &Path) -> io::Result<bool> {
    let free = ["seal.key", "backups", "sceau.lock"];
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if !free.iter().any(|free| name == *free) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A path inside `folder`: names come out of a seal, yet are not believed.
fn inside(folder: &Path, name: &str) -> Option<PathBuf> {
    let path = Path::new(name);
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    (plain && !name.is_empty()).then(|| folder.join(path))
}

/// The files under `name`, if it is there, with their names.
fn found(folder: &Path, name: &Path, files: &mut Vec<(String, PathBuf)>) -> Result<(), StoreError> {
    let path = folder.join(name);
    if path.is_file() {
        files.push((name.to_string_lossy().replace('\\', "/"), path));
    } else if path.is_dir() {
        let list = StoreError::file("list", &path);
        for entry in fs::read_dir(&path).map_err(&list)? {
            let entry = entry.map_err(&list)?;
            found(folder, &name.join(entry.file_name()), files)?;
        }
    }
    Ok(())
}

/// A file that is removed when it is no longer needed.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
