//! Room on the disk: a reserve that is given up when the disk is full, so that
//! what is queued can still be finished, and a bound below which nothing new is
//! taken in.

use super::StoreError;
use crate::base::{file, random};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The reserve's name in the state folder.
const RESERVE: &str = "reserve";
const BLOCK_BYTES: usize = 1 << 20;

/// How much room is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// Size of the reserve file, in MiB; 0: none.
    pub reserve_mebibytes: u64,
    /// Free space below which nothing new is accepted, in MiB; 0: no bound.
    pub free_mebibytes_min: u64,
}

/// The reserve and the bound of one state folder.
pub(super) struct Guarded {
    folder: PathBuf,
    room: Room,
    /// Held by the one who makes the reserve.
    making: Mutex<()>,
}

impl Guarded {
    pub(super) fn new(folder: &Path, room: Room) -> Self {
        let folder = folder.to_owned();
        Self {
            folder,
            room,
            making: Mutex::default(),
        }
    }

    /// Whether something new may be taken in.
    pub(super) fn is_enough(&self) -> Result<(), StoreError> {
        self.is_enough_after(0, &self.folder.join(RESERVE))
    }

    /// Whether `bytes` more beside `target` leave the room that is kept free.
    pub(super) fn is_enough_after(&self, bytes: u64, target: &Path) -> Result<(), StoreError> {
        let folder = target.parent().unwrap_or(Path::new("."));
        let wanted = self.room.free_mebibytes_min.saturating_add(bytes >> 20);
        match free_mebibytes(folder) {
            Some(free) if free < wanted => Err(StoreError::NoRoom { free, wanted }),
            Some(_) | None => Ok(()),
        }
    }

    /// Gives the reserve up. What cannot be removed gives no room: no loss.
    pub(super) fn give_up(&self) {
        let _ = fs::remove_file(self.path());
    }

    /// Makes the reserve anew after it was given up, if it fits twice: what is
    /// free only because it was given up is no room.
    pub(super) fn make_again(&self) -> Result<(), StoreError> {
        self.make_of(2)
    }

    /// Makes the reserve, if it is not there; proves that there is room.
    pub(super) fn make(&self) -> Result<(), StoreError> {
        self.make_of(1)
    }

    fn make_of(&self, times: u64) -> Result<(), StoreError> {
        let _one = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let (path, mebibytes) = (self.path(), self.room.reserve_mebibytes);
        let there = fs::metadata(&path).map_or(0, |found| found.len()) == mebibytes << 20;
        let needed = mebibytes * if there { times - 1 } else { times };
        self.is_enough_after(needed << 20, &path)?;
        if there {
            return Ok(());
        }
        self.give_up();
        if mebibytes == 0 {
            return Ok(());
        }
        // Not zeros: file systems that compress would keep no room for them.
        let block: Vec<u8> = (0..BLOCK_BYTES / 32)
            .flat_map(|_| random::bytes::<32>())
            .collect();
        let written = (|| -> io::Result<()> {
            file::write_blocks(&path, &block, times * mebibytes)?;
            let reserve = fs::OpenOptions::new().write(true).open(&path)?;
            reserve.set_len(mebibytes << 20)?;
            reserve.sync_all()?;
            file::sync_folder(&self.folder)
        })();
        written.map_err(|error| {
            self.give_up();
            StoreError::file("write", &path)(error)
        })
    }

    fn path(&self) -> PathBuf {
        self.folder.join(RESERVE)
    }
}

/// Free space for this user where `folder` stands; `None` where it cannot be
/// told.
fn free_mebibytes(folder: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let found = rustix::fs::statvfs(folder).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize) >> 20)
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}
