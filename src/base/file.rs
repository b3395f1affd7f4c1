//! Files that are whole or absent, never half.

use super::{hex, random};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes a file so that after a power cut it holds either its old content or
/// all of the new: temporary file, flush to disk, rename, flush of the folder.
/// The file is readable by its owner only.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let temporary = temporary_in(folder);
    let written = write_new(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    sync_folder(folder)
}

/// Like [`write_atomic`], but a file that is there already stays as it is, even
/// when two processes write at once.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`], or what the system says.
pub fn write_once(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let temporary = temporary_in(folder);
    // A rename would replace what is there; a link does not.
    let written = write_new(&temporary, bytes).and_then(|()| fs::hard_link(&temporary, path));
    let _ = fs::remove_file(&temporary);
    written?;
    sync_folder(folder)
}

/// Creates a folder and its parents, for the owner only.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Makes a rename or removal inside `folder` durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = (folder, File::open);
    Ok(())
}

/// Writes a file that must not be there yet, readable by its owner only, and
/// flushes it to disk. Its name is durable after [`sync_folder`]; a crash before
/// may leave a part of the file.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_blocks(path, bytes, 1)
}

/// Like [`write_new`], with `block` written `count` times.
pub fn write_blocks(path: &Path, block: &[u8], count: u64) -> io::Result<()> {
    let mut file = create_new(path)?;
    for _ in 0..count {
        file.write_all(block)?;
    }
    file.sync_all()
}

/// Creates a file that must not be there yet, readable by its owner only.
pub fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

fn temporary_in(folder: &Path) -> PathBuf {
    folder.join(format!(".{}.tmp", hex::encode(&random::bytes::<8>())))
}
