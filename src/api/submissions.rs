//! What became of the documents handed in.

use super::facts::{self, Answer, Fact};
use super::guard::Caller;
use super::prefer::Wait;
use super::problem::{
    BODY_MALFORMED, NOT_UNKNOWN, NOT_YET_AVAILABLE, Problem, QUERY_MALFORMED, SUBMISSION_UNKNOWN,
};
use super::{Api, blocking};
use crate::audit::Entry;
use crate::base::Uuid4;
use crate::base::clock::rfc3339;
use crate::outbox::{Finding, Kind, Outbox, OutboxError, Record};
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

const LIST_MAX: usize = 200;
/// Longest id of a document at the insurer, in characters.
const ID_MAX: usize = 100;

/// A submission as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct Submission {
    /// The document's UUID.
    uuid: String,
    /// Form and version it was accepted under.
    form: String,
    /// Version of the form.
    version: String,
    /// Operation.
    operation: String,
    /// Sender.
    code_prestataire: String,
    /// Name of the environment it was accepted for; it is sent to no other.
    environment: String,
    /// Who signs: a code prestataire or a delegate's id; absent where nothing is signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<String>,
    /// `received`, `signed`, `stamped`, `ready`, `sending`, `unknown`, `receipted` or `rejected`.
    state: &'static str,
    /// Whether the state will not change any more.
    is_final: bool,
    /// Why it pauses.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<Waiting>,
    /// When it is taken on next.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_at: Option<String>,
    /// By when it is to be stamped, while it is signed and is not: `outbox.stamp_within_hours`
    /// after its signature. When that has passed it goes on waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<String>,
    /// Tries of the present step that did not succeed.
    tries: u32,
    /// The receiver's id of the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    insurer_id: Option<String>,
    /// The receiver's id of the last exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    /// When it was accepted.
    received_at: String,
    /// When it last changed.
    updated_at: String,
    /// Codes of warnings; only in the answer to handing in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    /// What the document says, as its form shows it; only for a single submission.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    facts: Vec<Fact>,
    /// What the receiver's verdict says; only for a single submission.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Answer>,
    /// The earlier documents it names; only for a single submission.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refers_to: Vec<Reference>,
    /// UUIDs of later documents that name it and were not refused; only for a single submission.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    referred_by: Vec<String>,
    /// What happened, oldest first; only for a single submission.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    history: Vec<Step>,
}

/// That a document names an earlier one.
#[derive(Debug, Serialize, ToSchema)]
pub struct Reference {
    /// The form's word for what is done to it, of which only one may stand.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    /// What `value` is: `insurer-id` or `uuid`.
    by: &'static str,
    /// Its name in the document.
    value: String,
    /// Its UUID, where it was handed in here.
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<String>,
}

/// Why a submission pauses.
#[derive(Debug, Serialize, ToSchema)]
pub struct Waiting {
    /// Whose fault it is: `ours`, `token`, `network`, `tsa`, `ocsp`, `receiver` or `account`.
    class: String,
    /// Stable code.
    code: String,
    /// One sentence.
    text: String,
}

/// One step of a submission.
#[derive(Debug, Serialize, ToSchema)]
pub struct Step {
    /// When.
    at: String,
    /// What: `received`, `checked`, `signed`, `stamped`, `sealed`, `sending`...
    event: String,
    /// Particulars.
    detail: serde_json::Value,
}

impl From<Entry> for Step {
    fn from(entry: Entry) -> Self {
        Self {
            at: rfc3339(entry.at),
            event: entry.event,
            detail: entry.detail,
        }
    }
}

impl Submission {
    pub(super) fn brief(record: &Record) -> Self {
        Self {
            uuid: record.uuid.to_string(),
            form: record.form.clone(),
            version: record.version.clone(),
            operation: record.operation.clone(),
            code_prestataire: record.code_prestataire.clone(),
            environment: record.environment.clone(),
            signer: record.signer.clone(),
            state: record.state.word(),
            is_final: record.state.is_final(),
            waiting: record.wait.as_ref().map(|wait| Waiting {
                class: wait.class.clone(),
                code: wait.code.clone(),
                text: wait.text.clone(),
            }),
            next_at: record.due_at.map(rfc3339),
            deadline: None,
            tries: record.tries,
            insurer_id: record.insurer_id.clone(),
            correlation_id: record.correlation_id.clone(),
            received_at: rfc3339(record.received_at),
            updated_at: rfc3339(record.updated_at),
            warnings: Vec::new(),
            facts: Vec::new(),
            answer: None,
            refers_to: Vec::new(),
            referred_by: Vec::new(),
            history: Vec::new(),
        }
    }

    /// Whether it will not change any more.
    pub fn is_final(&self) -> bool {
        self.is_final
    }

    /// Everything about one submission. Blocks.
    pub(super) fn whole(outbox: &Outbox, record: &Record) -> Result<Self, OutboxError> {
        // A damaged body must not hide the rest.
        let body = |kind| outbox.body(record.uuid, kind).ok().flatten();
        let refers_to = outbox.links(record)?.into_iter();
        let refers_to = refers_to.map(|(link, uuid)| Reference {
            by: link.name.by(),
            value: link.name.value().to_owned(),
            rule: link.once,
            uuid: uuid.map(|uuid| uuid.to_string()),
        });
        let referred_by = outbox.referring(record)?.into_iter();
        let history = outbox.history(record.uuid)?.into_iter();
        let deadline = outbox.deadlines(std::slice::from_ref(record))?;
        Ok(Self {
            facts: facts::read(body(Kind::Facts)),
            answer: facts::read_answer(body(Kind::AnswerFacts)),
            refers_to: refers_to.collect(),
            referred_by: referred_by.map(|uuid| uuid.to_string()).collect(),
            history: history.map(Step::from).collect(),
            deadline: deadline.get(&record.uuid).map(|at| rfc3339(*at)),
            ..Self::brief(record)
        })
    }

    pub(super) fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        self.warnings = warnings;
        self
    }
}

/// Bytes of a file.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "only describes answers that are files")]
pub struct File(Vec<u8>);

/// Which submissions to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// At most so many; 1 to 200, 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// Only those older than the submission with this UUID: pass the last one
    /// of a page to get the next page.
    #[param(
        format = Uuid,
        pattern = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-4[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$"
    )]
    before: Option<String>,
}

/// Lists submissions, newest first.
#[utoipa::path(get, operation_id = "listSubmissions", path = "/v1/submissions", tag = "submissions", security(("program" = [])), params(ListQuery),
    responses((status = 200, body = Vec<Submission>), (status = 400, body = Problem)))]
pub async fn list(
    State(api): State<Arc<Api>>,
    Extension(Caller(client)): Extension<Caller>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Vec<Submission>>, Problem> {
    let Query(query) = query?;
    let limit = query.limit.unwrap_or(50);
    if !(1..=LIST_MAX).contains(&limit) {
        let text = format!("limit must be 1 to {LIST_MAX}.");
        return Err(Problem::new(&QUERY_MALFORMED, text));
    }
    let before = query.before.map(|text| {
        text.parse()
            .map_err(|error| Problem::new(&QUERY_MALFORMED, format!("before: \"{text}\" {error}.")))
    });
    let before = before.transpose()?;
    let outbox = api.outbox.clone();
    let list = blocking(move || {
        let records = outbox.list(limit, before, &client)?;
        let deadlines = outbox.deadlines(&records)?;
        let shown = records.iter().map(|record| Submission {
            deadline: deadlines.get(&record.uuid).map(|at| rfc3339(*at)),
            ..Submission::brief(record)
        });
        Ok::<_, OutboxError>(shown.collect())
    });
    Ok(Json(list.await??))
}

/// One submission with all that is known of it. With `Prefer: wait` the answer comes at its end, if that is in time.
#[utoipa::path(get, operation_id = "getSubmission", path = "/v1/submissions/{uuid}", tag = "submissions", security(("program" = [])),
    params(
        ("uuid" = String, Path, description = "The document's UUID"),
        ("Prefer" = Option<String>, Header, description = "`wait=<seconds>` (RFC 7240), 1 to 60: answer when the state is final, or when the time is over")
    ),
    responses(
        (status = 200, body = Submission, description = "As it stands; Preference-Applied says that it was waited for and is final",
            headers(("preference-applied" = String, description = "`wait=<seconds>`"))),
        (status = 404, body = Problem)))]
pub async fn one(
    State(api): State<Arc<Api>>,
    Extension(Caller(client)): Extension<Caller>,
    uuid: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let uuid = of(uuid)?;
    let outbox = api.outbox.clone();
    let record = blocking(move || outbox.find(uuid)).await??;
    let mut record = record.ok_or_else(|| unknown(uuid))?;
    let wait = Wait::read(&headers);
    if let Some(wait) = wait {
        record = wait.end_of(&api, &client.name, record).await?;
    }
    let applied = wait.filter(|_| record.state.is_final());
    let outbox = api.outbox.clone();
    let submission = blocking(move || Submission::whole(&outbox, &record)).await??;
    let applied = applied.map(|wait| AppendHeaders([wait.applied()]));
    Ok((applied, Json(submission)).into_response())
}

/// A submission as `GET /v1/submissions/{uuid}` gives it. Blocks.
///
/// # Errors
/// [`OutboxError::Store`].
pub fn submission(outbox: &Outbox, uuid: Uuid4) -> Result<Option<Submission>, OutboxError> {
    let record = outbox.find(uuid)?;
    record.map(|r| Submission::whole(outbox, &r)).transpose()
}

/// What every path below a submission has.
#[derive(Deserialize)]
pub(super) struct OfSubmission {
    uuid: String,
}

/// Refuses a submission of a practitioner the program is not bound to, as if
/// it were not there.
pub(super) async fn own(
    State(api): State<Arc<Api>>,
    Extension(Caller(client)): Extension<Caller>,
    path: Result<Path<OfSubmission>, PathRejection>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Path(OfSubmission { uuid }) = path?;
    let uuid = parse(&uuid)?;
    if !client.practitioners.is_empty() {
        let outbox = api.outbox.clone();
        let record = blocking(move || outbox.find(uuid)).await??;
        let is_own = record.is_some_and(|record| client.may(&record.code_prestataire));
        if !is_own {
            return Err(unknown(uuid));
        }
    }
    Ok(next.run(request).await)
}

/// Takes a waiting submission on at once.
#[utoipa::path(post, operation_id = "retrySubmission", path = "/v1/submissions/{uuid}/retry", tag = "submissions", security(("program" = [])),
    params(("uuid" = String, Path, description = "The document's UUID")),
    responses((status = 200, body = Submission, description = "Due now, or final and unchanged"), (status = 404, body = Problem)))]
pub async fn retry(
    State(api): State<Arc<Api>>,
    uuid: Result<Path<String>, PathRejection>,
) -> Result<Json<Submission>, Problem> {
    let uuid = of(uuid)?;
    let outbox = api.outbox.clone();
    let record = blocking(move || outbox.retry_now(uuid)).await??;
    let record = record.ok_or_else(|| unknown(uuid))?;
    Ok(Json(Submission::brief(&record)))
}

/// What a person found out about a document.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Settlement {
    /// `accepted` or `refused` by the insurer; `not-received`: the same bytes
    /// are sent again.
    outcome: SettledAs,
    /// The insurer's id of an accepted document, where it is known.
    #[schema(min_length = 1, max_length = 100)]
    insurer_id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum SettledAs {
    Accepted,
    Refused,
    NotReceived,
}

impl Settlement {
    fn finding(self) -> Result<Finding, Problem> {
        let wrong = |text| Err(Problem::new(&BODY_MALFORMED, text));
        match (self.outcome, self.insurer_id) {
            (SettledAs::Accepted, Some(id)) if id.is_empty() || id.chars().count() > ID_MAX => {
                wrong(format!("insurer_id must have 1 to {ID_MAX} characters."))
            }
            (SettledAs::Accepted, id) => Ok(Finding::Accepted(id)),
            (_, Some(_)) => wrong("Only an accepted document has an insurer_id.".to_owned()),
            (SettledAs::Refused, None) => Ok(Finding::Refused),
            (SettledAs::NotReceived, None) => Ok(Finding::NotReceived),
        }
    }
}

/// Ends the question about an `unknown` document by what a person has found
/// out at the insurer's, where Sceau has no way to ask. Only with the
/// administrator's token, which `sceau settle` reads from the state folder.
#[utoipa::path(post, operation_id = "settleSubmission", path = "/v1/submissions/{uuid}/settle", tag = "submissions", security(("administrator" = [])),
    params(("uuid" = String, Path, description = "The document's UUID")),
    request_body = Settlement,
    responses((status = 200, body = Submission), (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "It is not unknown, or the insurer is being asked about it now")))]
pub async fn settle(
    State(api): State<Arc<Api>>,
    uuid: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Submission>, Problem> {
    let uuid = of(uuid)?;
    let settlement: Settlement = serde_json::from_slice(&body?)
        .map_err(|error| Problem::new(&BODY_MALFORMED, format!("The JSON: {error}.")))?;
    let finding = settlement.finding()?;
    let outbox = api.outbox.clone();
    let record = blocking(move || match outbox.settle_unknown(uuid, finding)? {
        Some(record) => Ok(record),
        None => {
            let record = outbox.find(uuid)?.ok_or_else(|| unknown(uuid))?;
            let text = format!("The submission is {}.", record.state.word());
            Err(Problem::new(&NOT_UNKNOWN, text))
        }
    });
    Ok(Json(Submission::brief(&record.await??)))
}

/// The signed XML, at the level reached so far.
#[utoipa::path(get, operation_id = "getXml", path = "/v1/submissions/{uuid}/xml", tag = "submissions", security(("program" = [])),
    params(("uuid" = String, Path, description = "The document's UUID")),
    responses((status = 200, content_type = "application/xml", body = String), (status = 404, body = Problem)))]
pub async fn xml(
    State(api): State<Arc<Api>>,
    uuid: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    body(&api, of(uuid)?, Kind::Document, "application/xml").await
}

/// The signed PDF.
#[utoipa::path(get, operation_id = "getPdf", path = "/v1/submissions/{uuid}/pdf", tag = "submissions", security(("program" = [])),
    params(("uuid" = String, Path, description = "The document's UUID")),
    responses((status = 200, content_type = "application/pdf", body = File), (status = 404, body = Problem)))]
pub async fn pdf(
    State(api): State<Arc<Api>>,
    uuid: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    body(&api, of(uuid)?, Kind::Pdf, "application/pdf").await
}

/// The RFC 3161 timestamp token over the XML signature.
#[utoipa::path(get, operation_id = "getTimestamp", path = "/v1/submissions/{uuid}/timestamp", tag = "submissions", security(("program" = [])),
    params(("uuid" = String, Path, description = "The document's UUID")),
    responses((status = 200, content_type = "application/vnd.etsi.timestamp-token", body = File), (status = 404, body = Problem)))]
pub async fn timestamp(
    State(api): State<Arc<Api>>,
    uuid: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let media_type = "application/vnd.etsi.timestamp-token";
    body(&api, of(uuid)?, Kind::Timestamp, media_type).await
}

/// The receiver's verdict: the answer in the canonical form that it signed.
#[utoipa::path(get, operation_id = "getReceipt", path = "/v1/submissions/{uuid}/receipt", tag = "submissions", security(("program" = [])),
    params(("uuid" = String, Path, description = "The document's UUID")),
    responses((status = 200, content_type = "application/xml", body = String), (status = 404, body = Problem)))]
pub async fn receipt(
    State(api): State<Arc<Api>>,
    uuid: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    body(&api, of(uuid)?, Kind::Answer, "application/xml").await
}

async fn body(
    api: &Arc<Api>,
    uuid: Uuid4,
    kind: Kind,
    media_type: &'static str,
) -> Result<Response, Problem> {
    let outbox = api.outbox.clone();
    let found = blocking(move || match outbox.find(uuid)? {
        // One that is signed anew has a timestamp over its former signature.
        Some(record) if kind == Kind::Timestamp && !record.state.has_timestamp() => {
            Ok::<_, Problem>(Some((record, None)))
        }
        Some(record) => Ok(Some((record, outbox.body(uuid, kind)?))),
        None => Ok(None),
    });
    let (record, bytes) = found.await??.ok_or_else(|| unknown(uuid))?;
    let bytes = bytes.ok_or_else(|| {
        let text = format!("The submission is {}.", record.state.word());
        Problem::new(&NOT_YET_AVAILABLE, text)
    })?;
    Ok(([(header::CONTENT_TYPE, media_type)], bytes).into_response())
}

/// The UUID in the path.
pub(super) fn of(uuid: Result<Path<String>, PathRejection>) -> Result<Uuid4, Problem> {
    let Path(text) = uuid?;
    parse(&text)
}

pub(super) fn parse(text: &str) -> Result<Uuid4, Problem> {
    text.parse()
        .map_err(|error| Problem::new(&SUBMISSION_UNKNOWN, format!("\"{text}\" {error}.")))
}

pub(super) fn unknown(uuid: Uuid4) -> Problem {
    Problem::new(
        &SUBMISSION_UNKNOWN,
        format!("{uuid} was not accepted here."),
    )
}
