//! Faults that are there now, and the stream of what happens (server-sent
//! events, HTML Living Standard §9.2).

use super::guard::{self, Caller};
use super::problem::{Problem, QUERY_MALFORMED, TOO_MANY_STREAMS, Texts};
use super::rate::Pass;
use super::{Api, blocking};
use crate::base::clock::rfc3339;
use crate::base::limits;
use crate::conditions;
use crate::outbox::{Client, OutboxError, Page, Step};
use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde::Serialize;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa::ToSchema;

/// Messages that wait for a slow reader before its stream stands still.
const UNREAD_MAX: usize = 16;
/// Shortest pause between two looks at the log, so that a burst is one look.
const PAUSE: Duration = Duration::from_millis(50);

/// A fault that is there now; docs/conditions.md lists all there are.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Condition {
    /// Stable name, as `tsa-down`.
    name: &'static str,
    /// Whose fault it is: `ours`, `token`, `network`, `tsa`, `ocsp`, `receiver` or `account`.
    class: &'static str,
    /// What it is about.
    scope: About,
    /// Since when, as far as is known.
    since: String,
    /// Whether documents wait because of it.
    holds_up: bool,
    /// What happened, for the doctor.
    cause: Texts,
    /// What is to be done, and what happens by itself.
    next_step: Texts,
    /// Particulars in English.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// What a fault is about.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct About {
    /// `installation`, `token`, `authority`, `signer`, `insurer` or `practitioner`.
    kind: &'static str,
    /// Name of the token or authority. Code prestataire or delegate's id of whom it is about: in
    /// `GET /v1/events` only, and only to programs that may act for them or whose documents met it.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl From<&conditions::Condition> for Condition {
    fn from(condition: &conditions::Condition) -> Self {
        let (kind, name) = condition.scope.parts();
        Self {
            name: condition.kind.name,
            class: condition.kind.class,
            scope: About {
                kind,
                name: name.map(str::to_owned),
            },
            since: rfc3339(condition.since),
            holds_up: condition.holds_up,
            cause: Texts::from(condition.kind.cause),
            next_step: Texts::from(condition.kind.next_step),
            detail: condition.detail.clone(),
        }
    }
}

impl Condition {
    /// As those may see it who have shown no token: without whom it is about.
    pub(super) fn of_nobody(condition: &conditions::Condition) -> Self {
        let mut fault = Self::from(condition);
        if condition.is_about_a_person() {
            fault.scope.name = None;
            fault.detail = None;
        }
        fault
    }
}

/// What happens, as it happens: faults that begin, change and end, and steps of submissions of the
/// practitioners the program may act for.
#[utoipa::path(get, operation_id = "followEvents", path = "/v1/events", tag = "service", security(("program" = [])),
    params(("Last-Event-ID" = Option<i64>, Header, description = "Number of the last event received: those after it come first. Absent: those from now on")),
    responses(
        (status = 200, body = String, content_type = "text/event-stream", description =
            "Events `conditions` (all faults there are, first of all), `condition` (one that began, changed or ended), \
             `submission` (with an id), and `missed` (the number is too old or unknown: list the submissions); see docs/integrator.md"),
        (status = 503, body = Problem, description = "Too many streams are open")))]
pub async fn follow(
    State(api): State<Arc<Api>>,
    Extension(Caller(client)): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = headers.get("last-event-id").map(|value| {
        let number = value.to_str().ok().and_then(|text| text.parse().ok());
        number.ok_or_else(|| Problem::new(&QUERY_MALFORMED, "Last-Event-ID is not a number."))
    });
    let after: Option<i64> = after.transpose()?;
    let token = guard::bearer(&headers)?.to_owned();
    let pass = api.programs.follow(&client.name)?;
    let slot = api.streams.clone().try_acquire_owned().map_err(|_| {
        let text = format!("{} streams are open.", limits::EVENT_STREAMS_MAX);
        Problem::new(&TOO_MANY_STREAMS, text)
    })?;
    // Both before the first look, so that nothing falls between.
    let (bell, faults) = (api.outbox.bell(), api.conditions.follow());
    let outbox = api.outbox.clone();
    let newest = blocking(move || outbox.newest()).await??;
    let (sender, receiver) = channel(UNREAD_MAX);
    let stream = Stream {
        api,
        token,
        client,
        sender,
        shown: Arc::default(),
        after: newest,
        _places: (pass, slot),
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "bounded by `streams`; ends with its reader and with the service"
    )]
    tokio::spawn(stream.run(after, bell, faults));
    let head = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((head, Body::new(Messages(receiver))).into_response())
}

/// The reader is gone, may not read any more, or the service stops.
struct Ended;

struct Stream {
    api: Arc<Api>,
    token: String,
    client: Client,
    sender: Sender<Bytes>,
    /// The faults as last told.
    shown: Arc<Vec<conditions::Condition>>,
    /// Number of the last step looked at.
    after: i64,
    /// Of this program's streams and of all.
    _places: (Pass, OwnedSemaphorePermit),
}

impl Stream {
    async fn run(
        mut self,
        after: Option<i64>,
        mut bell: watch::Receiver<Option<u64>>,
        mut faults: watch::Receiver<Arc<Vec<conditions::Condition>>>,
    ) {
        let told = self.begin(after, &mut faults).await;
        if told.is_err() {
            return;
        }
        loop {
            let stopped = bell.borrow_and_update().is_none();
            if stopped || self.tell(&mut faults).await.is_err() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
            let silence = Duration::from_secs(limits::EVENTS_SILENCE_SECONDS);
            let changed = async {
                tokio::select! {
                    rung = bell.changed() => rung.is_ok(),
                    changed = faults.changed() => changed.is_ok(),
                    () = self.sender.closed() => false,
                }
            };
            match tokio::time::timeout(silence, changed).await {
                Ok(true) => {}
                Ok(false) => return,
                // Finds out whether the reader is still there.
                Err(_) if self.send(": \n\n".to_owned()).await.is_err() => return,
                Err(_) => {}
            }
        }
    }

    /// All faults there are, and where the steps begin.
    async fn begin(
        &mut self,
        after: Option<i64>,
        faults: &mut watch::Receiver<Arc<Vec<conditions::Condition>>>,
    ) -> Result<(), Ended> {
        let newest = self.after;
        let known =
            |after: &i64| (0..=newest).contains(after) && newest - after <= limits::EVENTS_BACK_MAX;
        self.after = after.filter(known).unwrap_or(newest);
        self.shown = faults.borrow_and_update().clone();
        let all = self.shown.iter().filter(|c| c.is_for(&self.client));
        let all: Vec<Condition> = all.map(Condition::from).collect();
        // With the number, so that one who breaks off at once misses nothing.
        let all = message("conditions", Some(self.after), &json!(all));
        self.send(all).await?;
        match after.filter(|after| !known(after)) {
            Some(after) => {
                let missed = json!({ "after": after, "newest": newest });
                self.send(message("missed", None, &missed)).await
            }
            None => Ok(()),
        }
    }

    /// Whatever is new.
    async fn tell(
        &mut self,
        faults: &mut watch::Receiver<Arc<Vec<conditions::Condition>>>,
    ) -> Result<(), Ended> {
        // First, so that who is not paired any more hears nothing more.
        let mut looked = self.look().await;
        let paired = looked.as_ref().map(Option::is_some);
        if paired == Some(false) {
            return Err(Ended);
        }
        let mut now = faults.borrow_and_update().clone();
        if paired.is_none() {
            // What is about persons waits until somebody can say who may know it.
            let told = self.shown.iter().filter(|c| c.is_about_a_person());
            let rest = now.iter().filter(|c| !c.is_about_a_person());
            now = Arc::new(rest.chain(told).cloned().collect());
        }
        for text in differences(&self.shown, &now, &self.client) {
            self.send(text).await?;
        }
        self.shown = now;
        while let Some(found) = looked {
            let (page, client) = found.ok_or(Ended)?;
            self.client = client;
            for step in &page.steps {
                let text = message("submission", Some(step.entry.seq), &shown(step));
                self.send(text).await?;
            }
            let done = page.upto - self.after < limits::EVENTS_PAGE;
            self.after = page.upto;
            if done {
                return Ok(());
            }
            looked = self.look().await;
        }
        // The store is at fault, which is told as a fault; steps come when it is
        // back.
        Ok(())
    }

    /// The next steps, and the program as it is paired now, if it still is;
    /// `None` when the store cannot say.
    async fn look(&self) -> Option<Option<(Page, Client)>> {
        let (outbox, token, after) = (self.api.outbox.clone(), self.token.clone(), self.after);
        let read = move || {
            let Some(client) = outbox.client(&token)? else {
                return Ok::<_, OutboxError>(None);
            };
            Ok(Some((outbox.steps_after(after, &client)?, client)))
        };
        blocking(read).await.ok()?.ok()
    }

    async fn send(&self, text: String) -> Result<(), Ended> {
        let sent = self.sender.send(Bytes::from(text)).await;
        sent.map_err(|_| Ended)
    }
}

/// What began, changed or ended between two looks, as the program sees it.
fn differences(
    before: &[conditions::Condition],
    after: &[conditions::Condition],
    client: &Client,
) -> Vec<String> {
    let seen = |all: &[conditions::Condition]| -> Vec<Condition> {
        let own = all.iter().filter(|c| c.is_for(client));
        own.map(Condition::from).collect()
    };
    let (before, after) = (seen(before), seen(after));
    let same = |a: &Condition, b: &Condition| a.name == b.name && a.scope == b.scope;
    let tell = |word: &str, condition: &Condition| {
        let mut fault = json!(condition);
        fault["change"] = word.into();
        message("condition", None, &fault)
    };
    let ended = before.iter().filter(|c| !after.iter().any(|n| same(n, c)));
    let ended = ended.map(|c| tell("ended", c));
    let come = after.iter().filter(|c| !before.contains(c));
    let come = come.map(|c| match before.iter().any(|b| same(b, c)) {
        true => tell("changed", c),
        false => tell("began", c),
    });
    ended.chain(come).collect()
}

fn shown(step: &Step) -> Value {
    let mut detail = step.entry.detail.clone();
    if let Value::Object(map) = &mut detail {
        // Addresses and times of outside calls: in the history, if wanted.
        map.remove("calls");
    }
    json!({
        "uuid": step.entry.subject, "form": step.form, "operation": step.operation,
        "code_prestataire": step.code_prestataire, "event": step.entry.event,
        "at": rfc3339(step.entry.at), "detail": detail, "state": step.state,
    })
}

/// JSON has no line breaks of its own here, so it is one `data` line.
fn message(event: &str, id: Option<i64>, data: &Value) -> String {
    let id = id.map_or_else(String::new, |id| format!("id: {id}\n"));
    format!("event: {event}\n{id}data: {data}\n\n")
}

/// What a stream sends, as it comes.
struct Messages(Receiver<Bytes>);

impl hyper::body::Body for Messages {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.0.poll_recv(context);
        next.map(|text| text.map(|text| Ok(Frame::data(text))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::{KINDS, Scope};
    use time::OffsetDateTime;

    #[test]
    fn a_program_hears_of_a_fault_while_it_is_its_own() {
        let since = OffsetDateTime::UNIX_EPOCH;
        let met_by = |codes: &[&str], detail: &str| conditions::Condition {
            kind: KINDS.first().unwrap(),
            scope: Scope::Signer("secretary-1".into()),
            since,
            holds_up: true,
            detail: Some(detail.to_owned()),
            practitioners: codes.iter().map(|code| (*code).to_owned()).collect(),
        };
        let (a, b) = ("90000001", "90000002");
        let client = |code: &str| Client {
            name: "bound".into(),
            paired_at: since,
            practitioners: vec![code.parse().unwrap()],
        };
        let looks = [
            vec![],
            vec![met_by(&[b], "1")],
            vec![met_by(&[a, b], "1")],
            vec![met_by(&[a, b], "2")],
            vec![met_by(&[b], "2")],
        ];
        let heard = |code: &str| -> Vec<Value> {
            let told = |two: &[Vec<_>]| {
                let told = differences(&two[0], &two[1], &client(code));
                let change = |text: &String| {
                    let data = text.lines().find_map(|line| line.strip_prefix("data: "));
                    serde_json::from_str::<Value>(data.unwrap()).unwrap()["change"].clone()
                };
                told.iter().map(change).collect::<Vec<_>>()
            };
            looks.windows(2).map(|two| json!(told(two))).collect()
        };
        let of = |words: [&[&str]; 4]| words.map(|words| json!(words)).to_vec();
        assert_eq!(heard(a), of([&[], &["began"], &["changed"], &["ended"]]));
        assert_eq!(heard(b), of([&["began"], &[], &["changed"], &[]]));
    }
}
