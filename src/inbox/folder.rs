//! Folders held open by descriptor. Every name is looked up inside the folder
//! it was found in and no link is followed, so that nothing outside the drop
//! folder is read, moved or written, whatever is put into it.

use crate::base::{hex, hold, random};
use rustix::fs::{self, AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

/// An open folder.
pub(super) struct Folder {
    fd: OwnedFd,
    /// Permissions of the drop folder, which all that is made in it gets.
    mode: Mode,
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Print {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Print {
    #[expect(
        clippy::useless_conversion,
        clippy::unnecessary_cast,
        reason = "the types of stat differ between systems"
    )]
    fn of(stat: &fs::Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            bytes: stat.st_size.unsigned_abs().into(),
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
        }
    }

    /// In bytes.
    pub(super) fn length(&self) -> u64 {
        self.bytes
    }

    /// Whether both are the same file, whatever became of its content.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

impl Folder {
    /// Opens the drop folder itself; made for its owner only when it is not
    /// there. One that is there keeps the permissions its administrator gave it.
    pub(super) fn root(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(path)?;
        // The path to it is the administrator's, links and all.
        let follow = FOLDER.difference(OFlags::NOFOLLOW);
        let fd = fs::openat(CWD, path, follow, Mode::empty())?;
        let mode = Mode::from_raw_mode(fs::fstat(&fd)?.st_mode) & Mode::from_raw_mode(0o2777);
        Ok(Self { fd, mode })
    }

    /// Opens a folder inside this one.
    pub(super) fn folder(&self, name: &str) -> io::Result<Self> {
        let fd = fs::openat(&self.fd, name, FOLDER, Mode::empty())?;
        let mode = self.mode;
        Ok(Self { fd, mode })
    }

    /// The same; one that is missing is made, durably.
    pub(super) fn made(&self, name: &str) -> io::Result<Self> {
        match fs::mkdirat(&self.fd, name, Mode::RWXU) {
            Ok(()) => {
                let made = self.folder(name)?;
                // Apart: the umask must not narrow what the administrator shared.
                fs::fchmod(&made.fd, self.mode)?;
                fs::fsync(&self.fd)?;
                Ok(made)
            }
            Err(Errno::EXIST) => self.folder(name),
            Err(error) => Err(error.into()),
        }
    }

    /// The names in this folder, sorted; hidden ones and those that are not
    /// UTF-8 left out.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&self.fd)? {
            let name: CString = entry?.file_name().to_owned();
            if let Ok(name) = name.into_string()
                && !name.starts_with('.')
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Removes what a process that was killed left half written.
    pub(super) fn sweep(&self) -> io::Result<()> {
        for entry in fs::Dir::read_from(&self.fd)? {
            let entry = entry?;
            let is_file = entry.file_type() != FileType::Directory;
            if is_file && is_temporary(entry.file_name().to_bytes()) {
                fs::unlinkat(&self.fd, entry.file_name(), AtFlags::empty())?;
            }
        }
        Ok(())
    }

    /// The present state of a plain file; `None` when there is none of this name.
    pub(super) fn print(&self, name: &str) -> io::Result<Option<Print>> {
        match fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                Ok(Some(Print::of(&stat)))
            }
            Ok(_) | Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// At most `limit` bytes of a plain file, with the state it was read in.
    pub(super) fn read(&self, name: &str, limit: usize) -> io::Result<(Vec<u8>, Print)> {
        // NONBLOCK: opening a pipe must not wait for its writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = fs::openat(&self.fd, name, flags, Mode::empty())?;
        let stat = fs::fstat(&fd)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut bytes = Vec::new();
        File::from(fd).take(limit as u64).read_to_end(&mut bytes)?;
        Ok((bytes, Print::of(&stat)))
    }

    /// Writes a file so that its name stands for all of the old or all of the
    /// new content, also after a power cut.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let temporary = temporary();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let fd = fs::openat(&self.fd, &temporary, flags, Mode::RUSR | Mode::WUSR)?;
        let written = self.fill(fd, bytes).and_then(|()| {
            fs::renameat(&self.fd, &temporary, &self.fd, name)?;
            Ok(())
        });
        if let Err(error) = written {
            let _ = fs::unlinkat(&self.fd, &temporary, AtFlags::empty());
            return Err(error);
        }
        self.sync()
    }

    fn fill(&self, fd: OwnedFd, bytes: &[u8]) -> io::Result<()> {
        fs::fchmod(&fd, self.mode & Mode::from_raw_mode(0o666))?;
        let mut file = File::from(fd);
        file.write_all(bytes)?;
        file.sync_all()
    }

    /// Gives a file a second name in another folder, where one that is there
    /// already stays. `false`: it is not in this state any more, and has none.
    pub(super) fn link(&self, name: &str, print: Print, to: &Self, new: &str) -> io::Result<bool> {
        match fs::linkat(&self.fd, name, &to.fd, new, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Ok(true),
            Err(Errno::NOENT) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        if to.print(new)? == Some(print) {
            return Ok(true);
        }
        to.remove(new)?;
        Ok(false)
    }

    /// Moves a file, in place of what is there. `false`: it is not in this state
    /// any more, and stays.
    pub(super) fn shift(&self, name: &str, print: Print, to: &Self, new: &str) -> io::Result<bool> {
        let Some(hidden) = self.hide(name, print)? else {
            return Ok(false);
        };
        fs::renameat(&self.fd, &hidden, &to.fd, new)?;
        Ok(true)
    }

    /// Removes a file. `false`: it is not in this state any more, and stays.
    pub(super) fn withdraw(&self, name: &str, print: Print) -> io::Result<bool> {
        let Some(hidden) = self.hide(name, print)? else {
            return Ok(false);
        };
        self.remove(&hidden)?;
        Ok(true)
    }

    /// Hides a file under a name of our own, so that what is done with it is
    /// done with it and not with what somebody puts in its place meanwhile.
    fn hide(&self, name: &str, print: Print) -> io::Result<Option<String>> {
        let hidden = format!(".{name}.{}{HIDDEN}", random_digits());
        match fs::renameat(&self.fd, name, &self.fd, &hidden) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        hold::point("inbox-hidden");
        if self.print(&hidden)? == Some(print) {
            return Ok(Some(hidden));
        }
        self.show(&hidden, name)?;
        Ok(None)
    }

    /// Gives a hidden file its name back, or, where another has it by now, that
    /// name with a number.
    fn show(&self, hidden: &str, name: &str) -> io::Result<()> {
        let (stem, end) = name.rsplit_once('.').unwrap_or((name, ""));
        let numbered = (2..).map(|number: u64| format!("{stem}.{number}.{end}"));
        for free in [name.to_owned()].into_iter().chain(numbered) {
            match self.rename_to_free(hidden, &free) {
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
                Ok(()) => break,
            }
        }
        Ok(())
    }

    fn rename_to_free(&self, name: &str, new: &str) -> Result<(), Errno> {
        let flags = fs::RenameFlags::NOREPLACE;
        match fs::renameat_with(&self.fd, name, &self.fd, new, flags) {
            // The file system cannot tell.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                match fs::statat(&self.fd, new, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(Errno::NOENT) => fs::renameat(&self.fd, name, &self.fd, new),
                    Ok(_) => Err(Errno::EXIST),
                    Err(error) => Err(error),
                }
            }
            done => done,
        }
    }

    /// Shows what a process that was killed left hidden.
    pub(super) fn show_all(&self) -> io::Result<()> {
        for entry in fs::Dir::read_from(&self.fd)? {
            let hidden: CString = entry?.file_name().to_owned();
            if let Ok(hidden) = hidden.into_string()
                && let Some(name) = of_hidden(&hidden)
            {
                self.show(&hidden, name)?;
            }
        }
        Ok(())
    }

    /// Removes a name; one that is not there is no error.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        match fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes what was renamed and removed in here durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(fs::fsync(&self.fd)?)
    }
}

const TEMPORARY: &str = ".tmp";
const HIDDEN: &str = ".taken";

fn random_digits() -> String {
    hex::encode(&random::bytes::<8>())
}

fn temporary() -> String {
    format!(".{}{TEMPORARY}", random_digits())
}

/// The name of a file that is hidden under this one.
fn of_hidden(hidden: &str) -> Option<&str> {
    let (name, digits) = hidden
        .strip_prefix('.')?
        .strip_suffix(HIDDEN)?
        .rsplit_once('.')?;
    is_random(digits.as_bytes()).then_some(name)
}

fn is_random(digits: &[u8]) -> bool {
    digits.len() == 16 && digits.iter().all(u8::is_ascii_hexdigit)
}

fn is_temporary(name: &[u8]) -> bool {
    let digits = name.strip_prefix(b".");
    let digits = digits.and_then(|rest| rest.strip_suffix(TEMPORARY.as_bytes()));
    digits.is_some_and(is_random)
}
