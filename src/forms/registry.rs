//! The packs there are now. A folder of packs is looked at again while the
//! service runs; what is wrong in it changes nothing that was right before.

use super::built_in::BUILT_IN;
use super::source::{self, Found, Key, Stamp};
use super::{FormsError, Pack};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// A folder whose pack is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackFaults {
    /// The folder or file.
    pub folder: PathBuf,
    /// Everything wrong with it, as `key: reason`.
    pub faults: Vec<String>,
}

/// The packs this program knows: those compiled in, and those of a folder.
pub struct Packs {
    folder: Option<PathBuf>,
    last_good: Option<PathBuf>,
    now: RwLock<Now>,
    looks: Mutex<Looks>,
}

#[derive(Default)]
struct Now {
    taken: BTreeMap<Key, Taken>,
    faults: BTreeMap<PathBuf, Vec<String>>,
}

struct Taken {
    pack: Arc<Pack>,
    /// Whether new documents are taken.
    offered: bool,
    built_in: bool,
}

/// What the last look saw.
#[derive(Default)]
struct Looks {
    seen: BTreeMap<Key, Look>,
    /// Folders of which nobody knew what they hold.
    hidden: Vec<PathBuf>,
}

/// What the last look at the folder of a pack saw.
struct Look {
    stamp: Stamp,
    /// Whether this state has been read.
    read: bool,
}

impl Packs {
    /// The packs compiled into the program.
    ///
    /// # Errors
    /// [`FormsError::Pack`], which no test lets happen.
    pub fn builtin() -> Result<Self, FormsError> {
        let packs = Self::new(None, None);
        for built_in in BUILT_IN {
            packs.add_built_in(built_in.compile()?);
        }
        Ok(packs)
    }

    /// The packs compiled in and those of `folder`; of each of these a copy is
    /// kept in `last_good`, for a later start that finds its folder broken or
    /// gone. A wrong pack is left out and told by [`Packs::faults`].
    pub fn open(folder: Option<&Path>, last_good: Option<&Path>) -> Self {
        let packs = Self::new(folder.map(Path::to_owned), last_good.map(Path::to_owned));
        for built_in in BUILT_IN {
            match built_in.compile() {
                Ok(pack) => packs.add_built_in(pack),
                Err(error) => {
                    packs.tell(built_in.name.as_ref(), vec![error.to_string()]);
                }
            }
        }
        packs.look(Patience::None);
        packs.take_up_kept();
        packs
    }

    fn new(folder: Option<PathBuf>, last_good: Option<PathBuf>) -> Self {
        Self {
            folder,
            last_good,
            now: RwLock::default(),
            looks: Mutex::default(),
        }
    }

    fn add_built_in(&self, pack: Pack) {
        let key = (pack.form.clone(), pack.version.clone());
        let taken = Taken {
            pack: Arc::new(pack),
            offered: true,
            built_in: true,
        };
        self.write().taken.insert(key, taken);
    }

    /// Looks at the folder again; whether anything changed, be it packs or
    /// faults. A change is taken up at the look after the one that saw it
    /// first, when the files have stayed as they are: one being copied is not
    /// half read.
    pub fn refresh(&self) -> bool {
        self.look(Patience::OneLook)
    }

    /// A form in the given version, be it offered or not, or in the newest that
    /// is offered.
    pub fn pack(&self, form: &str, version: Option<&str>) -> Option<Arc<Pack>> {
        match version {
            Some(version) => {
                let key = (form.to_owned(), version.to_owned());
                self.read().taken.get(&key).map(|taken| taken.pack.clone())
            }
            None => self.offer(form, None),
        }
    }

    /// A form for a new document, in the given version or the newest: not one
    /// that was withdrawn.
    pub fn offer(&self, form: &str, version: Option<&str>) -> Option<Arc<Pack>> {
        self.offers(form, version).into_iter().next()
    }

    /// The same, all versions of the form there are, the newest first.
    pub fn offers(&self, form: &str, version: Option<&str>) -> Vec<Arc<Pack>> {
        let mut offers = self.offered();
        offers.retain(|pack| {
            pack.form == form && version.is_none_or(|version| version == pack.version)
        });
        offers.sort_by(|a, b| version_key(&b.version).cmp(&version_key(&a.version)));
        offers
    }

    /// The packs for new documents, by form and version.
    pub fn offered(&self) -> Vec<Arc<Pack>> {
        let now = self.read();
        let offered = now.taken.values().filter(|taken| taken.offered);
        offered.map(|taken| taken.pack.clone()).collect()
    }

    /// The folders whose packs are refused, with everything wrong with them.
    pub fn faults(&self) -> Vec<PackFaults> {
        let now = self.read();
        let faults = now.faults.iter().map(|(folder, faults)| PackFaults {
            folder: folder.clone(),
            faults: faults.clone(),
        });
        faults.collect()
    }

    fn look(&self, patience: Patience) -> bool {
        let Some(folder) = &self.folder else {
            return false;
        };
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let found = source::found(folder);
        // Of one that is not there everybody knows that it holds nothing.
        let unknown = |(_, error): &(_, &io::Error)| error.kind() != io::ErrorKind::NotFound;
        let hidden = found.unreadable.iter().filter(unknown);
        looks.hidden = hidden.map(|(path, _)| path.clone()).collect();
        let mut changed = self.withdraw_all_but(&found, &looks);
        for (path, error) in &found.unreadable {
            changed |= self.tell(path, vec![format!("cannot be read: {error}")]);
        }
        looks.seen.retain(|key, _| found.packs.contains_key(key));
        for (key, (path, stamp)) in found.packs {
            let known = looks.seen.get(&key);
            let same = known.is_some_and(|look| look.stamp == stamp);
            let is_read = known.is_some_and(|look| same && look.read);
            let mut read = is_read;
            if !is_read && (same || patience == Patience::None) {
                let taken = self.take(&key, &path);
                changed |= taken.is_news;
                // One that could not be read is looked at again.
                read = taken.is_read;
                // A broken folder is there all the same: its last good state
                // is offered, also when it was gone for a while.
                changed |= self.offer_again(&key);
            }
            looks.seen.insert(key, Look { stamp, read });
        }
        changed
    }

    /// Reads a folder and takes its pack, or tells its faults.
    fn take(&self, key: &Key, folder: &Path) -> Take {
        let is_built_in = self
            .read()
            .taken
            .get(key)
            .is_some_and(|taken| taken.built_in);
        if is_built_in {
            let reason = "version: this version of the form is built in; give yours another";
            return Take::read(self.tell(folder, vec![reason.to_owned()]));
        }
        let (pack, files) = match source::from_folder(folder) {
            Ok(read) => read,
            Err(unfit) => {
                return Take {
                    is_news: self.tell(folder, unfit.faults),
                    is_read: !unfit.is_unread,
                };
            }
        };
        let names = (&pack.form, &pack.version);
        if names != (&key.0, &key.1) {
            let (form, version) = names;
            let reason = format!("form: {form}/{version} must lie in a folder {form}/{version}");
            return Take::read(self.tell(folder, vec![reason]));
        }
        self.put(key, pack, true);
        self.forget(folder);
        if let Some(last_good) = &self.last_good {
            match source::keep(last_good, key, &files) {
                Ok(()) => self.forget(last_good),
                Err(error) => {
                    let reason = format!("no copy could be kept of {}/{}: {error}", key.0, key.1);
                    self.tell(last_good, vec![reason])
                }
            };
        }
        Take::read(true)
    }

    /// Forgets the copies kept of packs whose folder is gone, but for forms and
    /// versions that something still needs. What lies in a folder that cannot be
    /// read counts as there.
    pub fn prune(&self, is_needed: impl Fn(&str, &str) -> bool) {
        let Some(last_good) = &self.last_good else {
            return;
        };
        // Whether it can be read was told when it was opened.
        for key in source::all_kept(last_good).unwrap_or_default() {
            if self.is_there(&key) || is_needed(&key.0, &key.1) {
                continue;
            }
            match source::forget(last_good, &key) {
                Ok(()) => {
                    self.forget(&last_good.join(&key.0).join(&key.1));
                    self.write()
                        .taken
                        .retain(|known, taken| *known != key || taken.built_in);
                }
                Err(error) => {
                    let reason = format!("{}/{} cannot be removed: {error}", key.0, key.1);
                    self.tell(last_good, vec![reason]);
                }
            }
        }
    }

    /// Whether the last look saw the folder of a pack, or could not see.
    fn is_there(&self, key: &Key) -> bool {
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.seen.contains_key(key) || self.is_hidden(key, &looks)
    }

    fn is_hidden(&self, (form, version): &Key, looks: &Looks) -> bool {
        let Some(folder) = &self.folder else {
            return false;
        };
        let path = folder.join(form).join(version);
        looks.hidden.iter().any(|hidden| path.starts_with(hidden))
    }

    /// Takes up what earlier runs kept and no folder gave: offered where a
    /// folder is there but wrong, else for open submissions only.
    fn take_up_kept(&self) {
        let Some(last_good) = &self.last_good else {
            return;
        };
        let keys = match source::all_kept(last_good) {
            Ok(keys) => keys,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                self.tell(last_good, vec![format!("cannot be read: {error}")]);
                return;
            }
        };
        for key in keys {
            if self.read().taken.contains_key(&key) {
                continue;
            }
            let files = source::kept(last_good, &key).map_err(|error| vec![error.to_string()]);
            match files.and_then(|files| source::from_files(&files)) {
                Ok(pack) => self.put(&key, pack, self.is_there(&key)),
                Err(faults) => {
                    self.tell(&last_good.join(&key.0).join(&key.1), faults);
                }
            }
        }
    }

    fn put(&self, key: &Key, pack: Pack, offered: bool) {
        let taken = Taken {
            pack: Arc::new(pack),
            offered,
            built_in: false,
        };
        self.write().taken.insert(key.clone(), taken);
    }

    /// Offers no more what has no folder any more, and forgets its faults.
    fn withdraw_all_but(&self, found: &Found, looks: &Looks) -> bool {
        let mut now = self.write();
        let mut changed = false;
        for (key, taken) in &mut now.taken {
            let is_there = found.packs.contains_key(key) || self.is_hidden(key, looks);
            if taken.offered && !taken.built_in && !is_there {
                taken.offered = false;
                changed = true;
            }
        }
        let Some(folder) = &self.folder else {
            return changed;
        };
        let before = now.faults.len();
        let stays = |path: &PathBuf| {
            !path.starts_with(folder)
                || found.unreadable.contains_key(path)
                || found.packs.values().any(|(found, _)| found == path)
        };
        now.faults.retain(|path, _| stays(path));
        changed || now.faults.len() != before
    }

    fn offer_again(&self, key: &Key) -> bool {
        let mut now = self.write();
        let withdrawn = now.taken.get_mut(key).filter(|taken| !taken.offered);
        withdrawn.map(|taken| taken.offered = true).is_some()
    }

    fn tell(&self, folder: &Path, faults: Vec<String>) -> bool {
        let old = self
            .write()
            .faults
            .insert(folder.to_owned(), faults.clone());
        old.as_ref() != Some(&faults)
    }

    fn forget(&self, folder: &Path) -> bool {
        self.write().faults.remove(folder).is_some()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Now> {
        self.now.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Now> {
        self.now.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of reading a folder.
struct Take {
    /// Whether packs or faults are others now.
    is_news: bool,
    /// Whether the folder was read, be its pack right or wrong.
    is_read: bool,
}

impl Take {
    fn read(is_news: bool) -> Self {
        let is_read = true;
        Self { is_news, is_read }
    }
}

/// Whether a change must have been seen before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    None,
    OneLook,
}

/// Orders `10` after `9` and `2.1` after `2`.
fn version_key(version: &str) -> Vec<(u64, &str)> {
    let part = |part: &'_ str| part.parse().unwrap_or(0);
    version.split('.').map(|text| (part(text), text)).collect()
}
