//! The drop folder: a second way in for programs that cannot speak HTTP, with
//! the meaning of the API. `in/<form>/<operation>/<name>.xml`, with
//! `<name>.pdf` beside it, is handed in; once it is durable (D1) it is moved to
//! `sent/`, with `<name>.submission.json` kept up to date until it is final,
//! or it is moved to `refused/` with `<name>.problem.json`.
//!
//! A file is moved only after D1, and the outbox knows its bytes again: whatever
//! is done twice after a crash ends in the same submission and the same names.
//! File names may name a patient and stand in no log.

mod folder;

use crate::base::{Uuid4, causes, digest, hex, hold, limits};
use crate::forms::{CodePrestataire, Pack};
use crate::intake::{Draft, Intake, IntakeError};
use crate::outbox::{Accepted, Client, Kind, Outbox, OutboxError, Record};
use folder::{Folder, Print};
use std::collections::BTreeMap;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// The name under which the drop folder hands in.
pub const CLIENT: &str = "inbox";

/// Pause after something failed that may mend itself.
const PAUSE: Duration = Duration::from_secs(10);

/// What the administrator says of the drop folder.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder; made for its owner only when it is missing.
    pub folder: PathBuf,
    /// How long size and time of a file must stand still before it is taken.
    pub settle: Duration,
    /// Codes prestataire that documents may be dropped for; none stands for
    /// every one.
    pub practitioners: Vec<CodePrestataire>,
}

/// The words of the API for what the files beside a document say.
pub trait Words: Send + Sync {
    /// The submission as the API shows it; `None` when it is not known.
    ///
    /// # Errors
    /// [`OutboxError::Store`].
    fn submission(&self, uuid: Uuid4) -> Result<Option<Told>, OutboxError>;

    /// The problem that the API answers with.
    fn problem(&self, error: IntakeError) -> Refusal;
}

/// A submission in words.
pub struct Told {
    /// JSON.
    pub document: Vec<u8>,
    /// Whether it will not change any more.
    pub is_final: bool,
}

/// A refusal in words.
pub struct Refusal {
    /// JSON, RFC 9457.
    pub document: Vec<u8>,
    /// Whether the same bytes are to be handed in again later.
    pub is_transient: bool,
}

/// Why a look at the drop folder broke off. The next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// The folder or a file in it cannot be used.
    #[error("cannot {operation} in the drop folder")]
    File {
        /// What was tried.
        operation: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// The outbox failed.
    #[error("the outbox failed")]
    Outbox(#[source] OutboxError),
}

fn file(operation: &'static str) -> impl Fn(io::Error) -> InboxError {
    move |source| InboxError::File { operation, source }
}

/// Where documents of one operation are dropped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    form: String,
    operation: String,
}

/// The state of a document's files when they were last looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Files {
    xml: Print,
    pdf: Option<Print>,
}

/// Bytes of XML and PDF.
type Content = (Vec<u8>, Option<Vec<u8>>);

/// A submission whose file in `sent/` is not final yet.
struct Followed {
    place: Place,
    stem: String,
    /// What the file tells, as the outbox had it.
    told: Option<Record>,
}

/// The drop folder at work.
pub struct Inbox {
    dropped: Folder,
    sent: Folder,
    refused: Folder,
    settings: Settings,
    intake: Arc<Intake>,
    outbox: Arc<Outbox>,
    words: Box<dyn Words>,
    /// Since when files are seen unchanged.
    settling: BTreeMap<(Place, String), (Files, Instant)>,
    followed: BTreeMap<Uuid4, Followed>,
    /// Until when nothing is done, after a failure.
    pause: Option<Instant>,
}

impl Inbox {
    /// Opens the folder and puts right what a killed process left in it.
    ///
    /// # Errors
    /// [`InboxError::File`] when the folder cannot be used.
    pub fn open(
        settings: Settings,
        intake: Arc<Intake>,
        outbox: Arc<Outbox>,
        words: Box<dyn Words>,
    ) -> Result<Self, InboxError> {
        let root = Folder::root(&settings.folder).map_err(file("open itself"))?;
        let part = |name| root.made(name).map_err(file("make in, sent and refused"));
        let mut inbox = Self {
            dropped: part("in")?,
            sent: part("sent")?,
            refused: part("refused")?,
            settings,
            intake,
            outbox,
            words,
            settling: BTreeMap::new(),
            followed: BTreeMap::new(),
            pause: None,
        };
        inbox.recover().map_err(file("go on where it was left"))?;
        Ok(inbox)
    }

    /// Looks once: takes what has settled, and says what became of what was
    /// taken.
    pub fn look(&mut self) {
        if self.pause.is_some_and(|until| Instant::now() < until) {
            return;
        }
        self.pause = None;
        for part in [Self::offer, Self::take_all, Self::follow] {
            if let Err(error) = part(self) {
                self.failed(&error);
            }
        }
    }

    /// One document's failure must not stop the others of this look.
    fn failed(&mut self, error: &InboxError) {
        tracing::error!("{}", causes(error));
        self.pause = Some(Instant::now() + PAUSE);
    }

    /// Makes a folder for everything that can be handed in.
    fn offer(&mut self) -> Result<(), InboxError> {
        for pack in self.intake.packs().offered() {
            let form = self
                .dropped
                .made(&pack.form)
                .map_err(file("make folders"))?;
            for operation in pack.operations.keys() {
                form.made(operation).map_err(file("make folders"))?;
            }
        }
        Ok(())
    }

    fn take_all(&mut self) -> Result<(), InboxError> {
        let list = file("list what lies");
        let mut unsettled = BTreeMap::new();
        for place in places(&self.dropped).map_err(&list)? {
            let folder = place.open(&self.dropped).map_err(&list)?;
            for name in folder.names().map_err(&list)? {
                let Some(stem) = name.strip_suffix(".xml") else {
                    continue;
                };
                if stem.is_empty() || stem.len() > limits::INBOX_NAME_BYTES_MAX {
                    continue;
                }
                let Some(files) = Files::look(&folder, stem).map_err(&list)? else {
                    continue;
                };
                let key = (place.clone(), stem.to_owned());
                let since = match self.settling.get(&key) {
                    Some((seen, since)) if *seen == files => *since,
                    Some(_) | None => Instant::now(),
                };
                if since.elapsed() < self.settings.settle {
                    unsettled.insert(key, (files, since));
                } else if let Err(error) = self.take(&place, &folder, stem, files) {
                    self.failed(&error);
                }
            }
        }
        self.settling = unsettled;
        Ok(())
    }

    /// Hands one document in and moves it to where it belongs.
    fn take(
        &mut self,
        place: &Place,
        folder: &Folder,
        stem: &str,
        files: Files,
    ) -> Result<(), InboxError> {
        let Some((xml, pdf)) = files.read(folder, stem).map_err(file("read a document"))? else {
            return Ok(()); // being written again: it has not settled
        };
        let digest = digest::sha256_parts(&[&xml, pdf.as_deref().unwrap_or_default()]);
        let draft = Draft {
            form: place.form.clone(),
            version: None,
            operation: place.operation.clone(),
            client: Client {
                name: CLIENT.to_owned(),
                // It has no token; who may write into the folder may hand in.
                paired_at: OffsetDateTime::UNIX_EPOCH,
                practitioners: self.settings.practitioners.clone(),
            },
            signer: None,
            xml,
            pdf,
        };
        // A document that makes a parser panic must not stop the others.
        let accepted = panic::catch_unwind(AssertUnwindSafe(|| self.intake.accept(draft)));
        let Ok(accepted) = accepted else {
            tracing::error!(
                form = self.known(place).map(|place| &*place.form),
                "a dropped document made intake panic"
            );
            self.pause = Some(Instant::now() + PAUSE);
            return Ok(());
        };
        match accepted {
            Ok((accepted, _)) => {
                hold::point("inbox-accepted");
                let (Accepted::Fresh(record) | Accepted::Already(record)) = accepted;
                self.keep(place, folder, stem, files, record.uuid)
            }
            Err(error) => {
                let refusal = self.words.problem(error);
                if refusal.is_transient {
                    tracing::warn!(
                        form = self.known(place).map(|place| &*place.form),
                        "a dropped document cannot be taken now"
                    );
                    self.pause = Some(Instant::now() + PAUSE);
                    return Ok(());
                }
                let known = self.known(place);
                let (form, operation) = known.map(|p| (&*p.form, &*p.operation)).unzip();
                tracing::info!(form, operation, "a dropped document is refused");
                self.refuse(place, folder, stem, files, &digest, &refusal)
                    .map_err(file("put a refused document"))
            }
        }
    }

    /// The place as a log may name it: anybody can make a folder and call it as
    /// they like.
    fn known<'p>(&self, place: &'p Place) -> Option<&'p Place> {
        let offers = self.intake.packs().offers(&place.form, None);
        let has = |pack: &Arc<Pack>| pack.operations.contains_key(&place.operation);
        offers.iter().any(has).then_some(place)
    }

    /// Moves an accepted document to `sent/` and follows it from there.
    fn keep(
        &mut self,
        place: &Place,
        folder: &Folder,
        stem: &str,
        files: Files,
        uuid: Uuid4,
    ) -> Result<(), InboxError> {
        let move_it = file("put an accepted document");
        let to = place.make(&self.sent).map_err(&move_it)?;
        // The same name again for another document must not hide the first.
        let is_free = |new: &str| {
            let of_other = told(&to, new)?.is_some_and(|(other, _)| other != uuid);
            Ok(!of_other && files.fit(folder, stem, &to, new)?)
        };
        let new = free(stem, &uuid.to_string(), is_free).map_err(&move_it)?;
        let followed = Followed {
            place: place.clone(),
            stem: new.clone(),
            told: None,
        };
        self.followed.insert(uuid, followed);
        self.tell(uuid)?;
        hold::point("inbox-told");
        files.shift(folder, stem, &to, &new).map_err(move_it)
    }

    fn refuse(
        &self,
        place: &Place,
        folder: &Folder,
        stem: &str,
        files: Files,
        digest: &[u8; 32],
        refusal: &Refusal,
    ) -> io::Result<()> {
        let to = place.make(&self.refused)?;
        let mark = &hex::encode(digest)[..16];
        let new = free(stem, mark, |new| files.fit(folder, stem, &to, new))?;
        to.write(&format!("{new}.problem.json"), &refusal.document)?;
        files.shift(folder, stem, &to, &new)
    }

    /// Brings the files of submissions up to date that have moved on.
    fn follow(&mut self) -> Result<(), InboxError> {
        let open: Vec<Uuid4> = self.followed.keys().copied().collect();
        for uuid in open {
            if let Err(error) = self.tell(uuid) {
                self.failed(&error);
            }
        }
        Ok(())
    }

    /// Writes what is known of a submission beside it. The receipt comes first:
    /// whoever reads that it is final finds everything.
    fn tell(&mut self, uuid: Uuid4) -> Result<(), InboxError> {
        let record = self.outbox.find(uuid).map_err(InboxError::Outbox)?;
        let Some(followed) = self.followed.get_mut(&uuid) else {
            return Ok(());
        };
        if record.is_some() && record == followed.told {
            return Ok(());
        }
        // A file beside a document may have been written by anybody.
        let (place, practitioners) = (&followed.place, &self.settings.practitioners);
        let is_ours = |record: &Record| {
            let code = record.code_prestataire.as_str();
            (&record.form, &record.operation) == (&place.form, &place.operation)
                && (practitioners.is_empty() || practitioners.iter().any(|p| p.as_str() == code))
        };
        if !record.as_ref().is_some_and(is_ours) {
            self.followed.remove(&uuid);
            return Ok(());
        }
        let words = self.words.submission(uuid).map_err(InboxError::Outbox)?;
        let Some(words) = words else {
            // Kept by another outbox: nothing new will be heard of it.
            self.followed.remove(&uuid);
            return Ok(());
        };
        let write = file("write what became of a document");
        let to = followed.place.make(&self.sent).map_err(&write)?;
        if words.is_final {
            let receipt = self.outbox.body(uuid, Kind::Answer);
            if let Some(receipt) = receipt.map_err(InboxError::Outbox)? {
                to.write(&format!("{}.receipt.xml", followed.stem), &receipt)
                    .map_err(&write)?;
                hold::point("inbox-receipt");
            }
        }
        to.write(&submission_file(&followed.stem), &words.document)
            .map_err(&write)?;
        followed.told = record;
        if words.is_final {
            self.followed.remove(&uuid);
        }
        Ok(())
    }

    /// Follows again what is not final, and ends moves that broke off. What
    /// cannot be read in one place stops neither the others nor the service.
    fn recover(&mut self) -> io::Result<()> {
        for place in places(&self.dropped)? {
            if let Err(error) = place.open(&self.dropped).and_then(|f| f.show_all()) {
                tracing::warn!(%error, "a place of the drop folder cannot be tidied");
            }
        }
        for kept in [&self.sent, &self.refused] {
            for place in places(kept)? {
                let tidied = place.open(kept).and_then(|folder| {
                    folder.sweep()?;
                    self.end_moves(&place, &folder)
                });
                if let Err(error) = tidied {
                    tracing::warn!(%error, "a place of the drop folder cannot be tidied");
                }
            }
        }
        for place in places(&self.sent)? {
            if let Err(error) = self.follow_again(&place) {
                tracing::warn!(%error, "a place of the drop folder cannot be read");
            }
        }
        Ok(())
    }

    fn follow_again(&mut self, place: &Place) -> io::Result<()> {
        let folder = place.open(&self.sent)?;
        for name in folder.names()? {
            let Some(stem) = name.strip_suffix(SUBMISSION) else {
                continue;
            };
            match told(&folder, stem) {
                Ok(Some((uuid, false))) => {
                    let followed = Followed {
                        place: place.clone(),
                        stem: stem.to_owned(),
                        told: None,
                    };
                    self.followed.insert(uuid, followed);
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "what became of a document cannot be read"),
            }
        }
        Ok(())
    }

    /// A PDF in `in/` that has its second name already and whose XML is gone.
    fn end_moves(&self, place: &Place, kept: &Folder) -> io::Result<()> {
        let Ok(dropped) = place.open(&self.dropped) else {
            return Ok(());
        };
        for name in dropped.names()? {
            let Some(stem) = name.strip_suffix(".pdf") else {
                continue;
            };
            let Some(print) = dropped.print(&name)? else {
                continue;
            };
            if dropped.print(&format!("{stem}.xml"))?.is_some() {
                continue;
            }
            for other in kept.names()? {
                let moved = other.starts_with(stem) && other.ends_with(".pdf");
                if moved && kept.print(&other)?.is_some_and(|p| p.is_same_file(&print)) {
                    dropped.remove(&name)?;
                }
            }
        }
        Ok(())
    }
}

const SUBMISSION: &str = ".submission.json";

fn submission_file(stem: &str) -> String {
    format!("{stem}{SUBMISSION}")
}

/// The first free one of a document's own name, that with a mark, and that with
/// mark and number.
fn free(stem: &str, mark: &str, is_free: impl Fn(&str) -> io::Result<bool>) -> io::Result<String> {
    let marked = format!("{stem}.{mark}");
    let mut number: u32 = 1;
    let mut name = stem.to_owned();
    while !is_free(&name)? {
        name = match number {
            1 => marked.clone(),
            _ => format!("{marked}.{number}"),
        };
        number += 1;
    }
    Ok(name)
}

/// UUID and finality that the file of a submission tells.
fn told(folder: &Folder, stem: &str) -> io::Result<Option<(Uuid4, bool)>> {
    #[derive(serde::Deserialize)]
    struct Submission {
        uuid: String,
        is_final: bool,
    }
    let name = submission_file(stem);
    if folder.print(&name)?.is_none() {
        return Ok(None);
    }
    let (bytes, _) = folder.read(&name, limits::BODY_BYTES_MAX)?;
    let told: Option<Submission> = serde_json::from_slice(&bytes).ok();
    Ok(told.and_then(|told| Some((told.uuid.parse().ok()?, told.is_final))))
}

/// `<form>/<operation>` folders; what is no folder is left alone.
fn places(root: &Folder) -> io::Result<Vec<Place>> {
    let mut places = Vec::new();
    for form in root.names()? {
        let Ok(folder) = root.folder(&form) else {
            continue;
        };
        for operation in folder.names()? {
            if folder.folder(&operation).is_ok() {
                let form = form.clone();
                places.push(Place { form, operation });
            }
        }
    }
    Ok(places)
}

impl Place {
    fn open(&self, root: &Folder) -> io::Result<Folder> {
        root.folder(&self.form)?.folder(&self.operation)
    }

    fn make(&self, root: &Folder) -> io::Result<Folder> {
        root.made(&self.form)?.made(&self.operation)
    }
}

impl Files {
    fn look(folder: &Folder, stem: &str) -> io::Result<Option<Self>> {
        let Some(xml) = folder.print(&format!("{stem}.xml"))? else {
            return Ok(None);
        };
        let pdf = folder.print(&format!("{stem}.pdf"))?;
        Ok(Some(Self { xml, pdf }))
    }

    /// XML and PDF, one byte more than is taken at most: what is too large is
    /// refused by who knows the limit. `None` when they are other files by now.
    fn read(&self, folder: &Folder, stem: &str) -> io::Result<Option<Content>> {
        let (xml, xml_print) = folder.read(&format!("{stem}.xml"), limits::XML_BYTES_MAX + 1)?;
        let (mut pdf, mut pdf_print) = (None, None);
        if self.pdf.is_some() {
            let (bytes, print) = folder.read(&format!("{stem}.pdf"), limits::PDF_BYTES_MAX + 1)?;
            (pdf, pdf_print) = (Some(bytes), Some(print));
        }
        let read = Self {
            xml: xml_print,
            pdf: pdf_print,
        };
        let unchanged = read == *self && Self::look(folder, stem)? == Some(*self);
        Ok(unchanged.then_some((xml, pdf)))
    }

    /// Whether they may lie in `to` under a name: nothing else lies there. The
    /// same file, or the same bytes, is nothing else.
    fn fit(&self, from: &Folder, stem: &str, to: &Folder, new: &str) -> io::Result<bool> {
        for (own, end) in [(Some(self.xml), "xml"), (self.pdf, "pdf")] {
            let there = format!("{new}.{end}");
            let fits = match (to.print(&there)?, own) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(other), Some(own)) if other.is_same_file(&own) => true,
                (Some(other), Some(own)) if other.length() == own.length() => {
                    // What is larger than can be accepted counts as other bytes.
                    let limit = limits::BODY_BYTES_MAX;
                    let name = format!("{stem}.{end}");
                    let (there, own) = (to.read(&there, limit)?.0, from.read(&name, limit)?.0);
                    there == own && own.len() < limit
                }
                (Some(_), Some(_)) => false,
            };
            if !fits {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Moves the files. The XML's move is the one that counts: before it all of
    /// them are still to be found in `in/`, after it the PDF's old name is a
    /// left-over. Files that were written anew in the meantime stay.
    fn shift(&self, from: &Folder, stem: &str, to: &Folder, new: &str) -> io::Result<()> {
        if Self::look(from, stem)? != Some(*self) {
            return Ok(());
        }
        let (xml, pdf) = (format!("{stem}.xml"), format!("{stem}.pdf"));
        let new_pdf = format!("{new}.pdf");
        if let Some(print) = self.pdf
            && !from.link(&pdf, print, to, &new_pdf)?
        {
            return Ok(());
        }
        hold::point("inbox-linked");
        let is_moved = from.shift(&xml, self.xml, to, &format!("{new}.xml"))?;
        hold::point("inbox-moved");
        if let Some(print) = self.pdf
            && !(is_moved && from.withdraw(&pdf, print)?)
            && let (Some(old), Some(kept)) = (from.print(&pdf)?, to.print(&new_pdf)?)
            && old.is_same_file(&kept)
        {
            // Still that of the document which lies there.
            to.remove(&new_pdf)?;
        }
        to.sync()?;
        from.sync()
    }
}

#[cfg(test)]
mod tests;
