//! The cases: what goes wrong, and what the software must do then.

use crate::base::{Uuid4, hex};
use std::time::{Duration, Instant};

/// Pause that the proxy asks for with `Retry-After`, in seconds.
pub(super) const RETRY_AFTER: u64 = 3;
/// Requests for one thing that are one too many within [`BURST`].
const BURST_REQUESTS: usize = 11;
const BURST: Duration = Duration::from_secs(1);
/// Requests with a refused token that are one too many within [`REFUSED`].
const REFUSED_REQUESTS: usize = 4;
const REFUSED: Duration = Duration::from_secs(10);

/// A request as the proxy saw it. No patient data.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When it was there whole.
    pub at: Instant,
    /// As in `POST /v1/forms/memoire-honoraires/depot`, without the query.
    pub target: String,
    /// What was handed in, when it was that.
    pub handed_in: Option<HandedIn>,
    /// Status answered and when; absent: the connection was closed.
    pub answer: Option<(u16, Instant)>,
    /// Submissions that the answer says are final.
    pub finals: Vec<Uuid4>,
}

/// A document on its way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandedIn {
    /// The document's UUID; absent when the document has faults.
    pub uuid: Option<Uuid4>,
    /// SHA-256 over form, operation, XML and PDF.
    pub digest: [u8; 32],
    /// Media type of the body.
    pub media_type: String,
    /// Whether a PDF came with it, apart or embedded.
    pub has_pdf: bool,
}

/// What the proxy does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Hands it on and the answer back.
    Pass,
    /// Hands it on and loses the answer.
    LoseAnswer,
    /// Closes the connection; the service hears nothing.
    Break,
    /// Answers with a problem of this code.
    Refuse(&'static str),
}

/// A case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// Nothing goes wrong; the insurer takes a while.
    Accepted,
    /// The answer is lost after acceptance, then the connection breaks.
    AnswerLost,
    /// 503 with `Retry-After`.
    Unavailable,
    /// 409 `uuid-conflict`.
    UuidConflict,
    /// 422 `document-invalid`.
    DocumentInvalid,
    /// 413 `body-too-large`.
    BodyTooLarge,
    /// 415 `media-type-refused`.
    MediaTypeRefused,
    /// 401 `unauthorized`.
    Unauthorized,
}

impl Trial {
    /// Every case, in the order of play.
    pub const ALL: [Self; 8] = [
        Self::Accepted,
        Self::AnswerLost,
        Self::Unavailable,
        Self::UuidConflict,
        Self::DocumentInvalid,
        Self::BodyTooLarge,
        Self::MediaTypeRefused,
        Self::Unauthorized,
    ];

    /// The name in `SCEAU_CASE` and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::AnswerLost => "answer-lost",
            Self::Unavailable => "unavailable",
            Self::UuidConflict => "uuid-conflict",
            Self::DocumentInvalid => "document-invalid",
            Self::BodyTooLarge => "body-too-large",
            Self::MediaTypeRefused => "media-type-refused",
            Self::Unauthorized => "unauthorized",
        }
    }

    /// What happens, and what the software must do.
    pub fn rule(self) -> &'static str {
        match self {
            Self::Accepted => {
                "202: ask for the submission until it is final; hand no second one in; a PDF comes with the form"
            }
            Self::AnswerLost => {
                "twice no answer, the document is accepted: hand the same UUID and the very same bytes in again"
            }
            Self::Unavailable => {
                "503 with Retry-After: 3: wait at least so long, then hand the very same bytes in again"
            }
            Self::UuidConflict => "409 uuid-conflict: do not hand that UUID in again",
            Self::DocumentInvalid => {
                "422: do not hand the same bytes in again; a corrected document may keep its UUID"
            }
            Self::BodyTooLarge => "413: do not hand the same bytes in again",
            Self::MediaTypeRefused => "415: do not hand the same bytes in again as the same type",
            Self::Unauthorized => "401: at most three requests in ten seconds",
        }
    }

    /// What to do with a request after those before it.
    pub(super) fn act(self, before: &[Seen], now: &Seen) -> Act {
        if self == Self::Unauthorized {
            return Act::Refuse("unauthorized");
        }
        let Some(handed_in) = &now.handed_in else {
            return Act::Pass;
        };
        let earlier: Vec<&HandedIn> = hand_ins(before).map(|(_, h)| h).collect();
        let first = earlier.first().copied().unwrap_or(handed_in);
        let is_same = first.digest == handed_in.digest;
        match (self, earlier.len()) {
            (Self::AnswerLost, 0) => Act::LoseAnswer,
            (Self::AnswerLost, 1) => Act::Break,
            (Self::Unavailable, 0) => Act::Refuse("storage-failed"),
            (Self::UuidConflict, _) if first.uuid == handed_in.uuid => Act::Refuse("uuid-conflict"),
            (Self::DocumentInvalid, _) if is_same => Act::Refuse("document-invalid"),
            (Self::BodyTooLarge, _) if is_same => Act::Refuse("body-too-large"),
            (Self::MediaTypeRefused, _) if is_same && first.media_type == handed_in.media_type => {
                Act::Refuse("media-type-refused")
            }
            (
                Self::Accepted
                | Self::AnswerLost
                | Self::Unavailable
                | Self::UuidConflict
                | Self::DocumentInvalid
                | Self::BodyTooLarge
                | Self::MediaTypeRefused
                | Self::Unauthorized,
                _,
            ) => Act::Pass,
        }
    }

    /// What the software did wrong. Before the case has `ended` only what
    /// cannot come right any more.
    pub fn judge(self, seen: &[Seen], ended: bool) -> Vec<String> {
        let mut faults = Vec::new();
        if self == Self::Unauthorized {
            if ended && seen.is_empty() {
                faults.push("nothing was asked".to_owned());
            }
            if is_burst(seen.iter(), REFUSED_REQUESTS, REFUSED) {
                faults.push(format!(
                    "asked {REFUSED_REQUESTS} times within {REFUSED:?} with a token that is refused"
                ));
            }
            return faults;
        }
        if let Some(target) = hammered(seen) {
            faults.push(format!("{target}: {BURST_REQUESTS} times within {BURST:?}"));
        }
        let mut documents = hand_ins(seen);
        let Some((first, document)) = documents.next() else {
            if ended {
                faults.push("no document was handed in".to_owned());
            }
            return faults;
        };
        if document.uuid.is_none() {
            faults
                .push("the document has faults; POST it with dry-run=true to see them".to_owned());
        }
        let later: Vec<(&Seen, &HandedIn)> = documents.collect();
        match self {
            Self::Accepted => accepted(seen, document, &later, ended, &mut faults),
            Self::AnswerLost => repeated(document, &later, 2, ended, &mut faults),
            Self::Unavailable => {
                repeated(document, &later, 1, ended, &mut faults);
                waited(first, &later, &mut faults);
            }
            Self::UuidConflict => {
                if later.iter().any(|(_, l)| l.uuid == document.uuid) {
                    faults.push("handed the refused UUID in again".to_owned());
                }
            }
            Self::DocumentInvalid | Self::BodyTooLarge | Self::MediaTypeRefused => {
                let any_type = self != Self::MediaTypeRefused;
                let same = |l: &HandedIn| {
                    l.digest == document.digest && (any_type || l.media_type == document.media_type)
                };
                if later.iter().any(|(_, l)| same(l)) {
                    faults.push("handed the refused document in again, unchanged".to_owned());
                }
            }
            Self::Unauthorized => {}
        }
        faults
    }
}

fn accepted(
    seen: &[Seen],
    document: &HandedIn,
    later: &[(&Seen, &HandedIn)],
    ended: bool,
    faults: &mut Vec<String>,
) {
    if !document.has_pdf {
        faults.push("no PDF came with the form".to_owned());
    }
    if later.iter().any(|(_, l)| l.uuid != document.uuid) {
        faults.push("handed another document in while the first was under way".to_owned());
    }
    let is_final = |uuid: Uuid4| seen.iter().any(|s| s.finals.contains(&uuid));
    if ended && document.uuid.is_some_and(|uuid| !is_final(uuid)) {
        faults.push("did not ask until the submission was final".to_owned());
    }
}

/// The same document must come again, at least `times`.
fn repeated(
    document: &HandedIn,
    later: &[(&Seen, &HandedIn)],
    times: usize,
    ended: bool,
    faults: &mut Vec<String>,
) {
    for (_, again) in later {
        if again.uuid != document.uuid {
            faults.push("handed it in again under another UUID: that is a second form".to_owned());
        } else if again.digest != document.digest {
            faults.push("handed it in again with other bytes under the same UUID".to_owned());
        }
    }
    if ended && later.len() < times {
        let came = later.len();
        faults.push(format!(
            "handed it in again {came} time(s) instead of {times}"
        ));
    }
}

fn waited(first: &Seen, later: &[(&Seen, &HandedIn)], faults: &mut Vec<String>) {
    let (Some((_, answered)), Some((again, _))) = (first.answer, later.first()) else {
        return;
    };
    let pause = again.at.saturating_duration_since(answered);
    if pause < Duration::from_secs(RETRY_AFTER) {
        let pause = pause.as_secs_f32();
        faults.push(format!(
            "came again after {pause:.1} s; Retry-After said {RETRY_AFTER}"
        ));
    }
}

/// Documents handed in, in order.
fn hand_ins(seen: &[Seen]) -> impl Iterator<Item = (&Seen, &HandedIn)> {
    seen.iter().filter_map(|s| Some((s, s.handed_in.as_ref()?)))
}

/// What was asked for too often in too short a time.
fn hammered(seen: &[Seen]) -> Option<&str> {
    let target = |s: &&Seen| {
        let same = seen.iter().filter(|other| other.target == s.target);
        is_burst(same, BURST_REQUESTS, BURST)
    };
    Some(seen.iter().find(target)?.target.as_str())
}

fn is_burst<'s>(seen: impl Iterator<Item = &'s Seen>, requests: usize, within: Duration) -> bool {
    let times: Vec<Instant> = seen.map(|s| s.at).collect();
    let mut windows = times.windows(requests);
    windows.any(|w| match (w.first(), w.last()) {
        (Some(first), Some(last)) => last.saturating_duration_since(*first) < within,
        (_, _) => false,
    })
}

/// Over all cases: each document had a UUID of its own.
pub fn fresh_uuids(cases: &[Vec<Seen>]) -> Vec<String> {
    let firsts = cases
        .iter()
        .filter_map(|seen| hand_ins(seen).next()?.1.uuid);
    let mut uuids: Vec<Uuid4> = firsts.collect();
    let handed_in = uuids.len();
    uuids.sort();
    uuids.dedup();
    let repeats = handed_in - uuids.len();
    match (handed_in, repeats) {
        (0 | 1, _) => vec!["fewer than two documents were handed in".to_owned()],
        (_, 0) => Vec::new(),
        (_, n) => vec![format!("{n} document(s) had the UUID of an earlier one")],
    }
}

impl Seen {
    /// One line for reports, with the time since `start`.
    pub fn line(&self, start: Instant) -> String {
        let at = self.at.saturating_duration_since(start).as_secs_f32();
        let mut line = format!("{at:>7.2} s  {}", self.target);
        if let Some(document) = &self.handed_in {
            let uuid = document
                .uuid
                .map_or("no readable UUID".into(), |u| u.to_string());
            let digest = hex::encode(&document.digest);
            line += &format!(
                "  uuid {uuid} sha256 {}",
                digest.get(..16).unwrap_or_default()
            );
        }
        match self.answer {
            Some((status, _)) => line += &format!("  -> {status}"),
            None => line += "  -> connection closed",
        }
        line
    }
}
