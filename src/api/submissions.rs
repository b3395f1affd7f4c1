//! What became of the documents handed in.

use super::problem::{NOT_YET_AVAILABLE, Problem, QUERY_MALFORMED, SUBMISSION_UNKNOWN};
use super::{Api, blocking};
use crate::audit::Entry;
use crate::base::Uuid4;
use crate::base::clock::rfc3339;
use crate::outbox::{Kind, Outbox, OutboxError, Record};
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

const LIST_MAX: usize = 200;

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
    /// What happened, oldest first; only for a single submission.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    history: Vec<Step>,
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
            state: record.state.word(),
            is_final: record.state.is_final(),
            waiting: record.wait.as_ref().map(|wait| Waiting {
                class: wait.class.clone(),
                code: wait.code.clone(),
                text: wait.text.clone(),
            }),
            next_at: record.due_at.map(rfc3339),
            tries: record.tries,
            insurer_id: record.insurer_id.clone(),
            correlation_id: record.correlation_id.clone(),
            received_at: rfc3339(record.received_at),
            updated_at: rfc3339(record.updated_at),
            warnings: Vec::new(),
            history: Vec::new(),
        }
    }

    /// Whether it will not change any more.
    pub fn is_final(&self) -> bool {
        self.is_final
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
    #[param(format = Uuid)]
    before: Option<String>,
}

/// Lists submissions, newest first.
#[utoipa::path(get, operation_id = "listSubmissions", path = "/v1/submissions", tag = "submissions", security(("program" = [])), params(ListQuery),
    responses((status = 200, body = Vec<Submission>), (status = 400, body = Problem)))]
pub async fn list(
    State(api): State<Arc<Api>>,
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
    let records = blocking(move || outbox.list(limit, before)).await??;
    Ok(Json(records.iter().map(Submission::brief).collect()))
}

/// One submission with its history.
#[utoipa::path(get, operation_id = "getSubmission", path = "/v1/submissions/{uuid}", tag = "submissions", security(("program" = [])),
    params(("uuid" = String, Path, description = "The document's UUID")),
    responses((status = 200, body = Submission), (status = 404, body = Problem)))]
pub async fn one(
    State(api): State<Arc<Api>>,
    uuid: Result<Path<String>, PathRejection>,
) -> Result<Json<Submission>, Problem> {
    let uuid = parse(uuid)?;
    let outbox = api.outbox.clone();
    let found = blocking(move || submission(&outbox, uuid)).await??;
    Ok(Json(found.ok_or_else(|| unknown(uuid))?))
}

/// A submission with its history, as `GET /v1/submissions/{uuid}` gives it.
///
/// # Errors
/// [`OutboxError::Store`].
pub fn submission(outbox: &Outbox, uuid: Uuid4) -> Result<Option<Submission>, OutboxError> {
    let Some(record) = outbox.find(uuid)? else {
        return Ok(None);
    };
    let mut submission = Submission::brief(&record);
    submission.history = outbox.history(uuid)?.into_iter().map(Step::from).collect();
    Ok(Some(submission))
}

/// Takes a waiting submission on at once.
#[utoipa::path(post, operation_id = "retrySubmission", path = "/v1/submissions/{uuid}/retry", tag = "submissions", security(("program" = [])),
    params(("uuid" = String, Path, description = "The document's UUID")),
    responses((status = 200, body = Submission, description = "Due now, or final and unchanged"), (status = 404, body = Problem)))]
pub async fn retry(
    State(api): State<Arc<Api>>,
    uuid: Result<Path<String>, PathRejection>,
) -> Result<Json<Submission>, Problem> {
    let uuid = parse(uuid)?;
    let outbox = api.outbox.clone();
    let record = blocking(move || outbox.retry_now(uuid)).await??;
    let record = record.ok_or_else(|| unknown(uuid))?;
    Ok(Json(Submission::brief(&record)))
}

/// The signed XML, at the level reached so far.
#[utoipa::path(get, operation_id = "getXml", path = "/v1/submissions/{uuid}/xml", tag = "submissions", security(("program" = [])),
    params(("uuid" = String, Path, description = "The document's UUID")),
    responses((status = 200, content_type = "application/xml", body = String), (status = 404, body = Problem)))]
pub async fn xml(
    State(api): State<Arc<Api>>,
    uuid: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    body(&api, parse(uuid)?, Kind::Document, "application/xml").await
}

/// The signed PDF.
#[utoipa::path(get, operation_id = "getPdf", path = "/v1/submissions/{uuid}/pdf", tag = "submissions", security(("program" = [])),
    params(("uuid" = String, Path, description = "The document's UUID")),
    responses((status = 200, content_type = "application/pdf", body = File), (status = 404, body = Problem)))]
pub async fn pdf(
    State(api): State<Arc<Api>>,
    uuid: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    body(&api, parse(uuid)?, Kind::Pdf, "application/pdf").await
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
    body(&api, parse(uuid)?, Kind::Timestamp, media_type).await
}

/// The receiver's verdict: the answer in the canonical form that it signed.
#[utoipa::path(get, operation_id = "getReceipt", path = "/v1/submissions/{uuid}/receipt", tag = "submissions", security(("program" = [])),
    params(("uuid" = String, Path, description = "The document's UUID")),
    responses((status = 200, content_type = "application/xml", body = String), (status = 404, body = Problem)))]
pub async fn receipt(
    State(api): State<Arc<Api>>,
    uuid: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    body(&api, parse(uuid)?, Kind::Answer, "application/xml").await
}

async fn body(
    api: &Arc<Api>,
    uuid: Uuid4,
    kind: Kind,
    media_type: &'static str,
) -> Result<Response, Problem> {
    let outbox = api.outbox.clone();
    let found = blocking(move || match outbox.find(uuid)? {
        Some(record) => Ok::<_, Problem>(Some((record, outbox.body(uuid, kind)?))),
        None => Ok(None),
    });
    let (record, bytes) = found.await??.ok_or_else(|| unknown(uuid))?;
    let bytes = bytes.ok_or_else(|| {
        let text = format!("The submission is {}.", record.state.word());
        Problem::new(&NOT_YET_AVAILABLE, text)
    })?;
    Ok(([(header::CONTENT_TYPE, media_type)], bytes).into_response())
}

fn parse(uuid: Result<Path<String>, PathRejection>) -> Result<Uuid4, Problem> {
    let Path(text) = uuid?;
    text.parse()
        .map_err(|error| Problem::new(&SUBMISSION_UNKNOWN, format!("\"{text}\" {error}.")))
}

fn unknown(uuid: Uuid4) -> Problem {
    Problem::new(
        &SUBMISSION_UNKNOWN,
        format!("{uuid} was not accepted here."),
    )
}
