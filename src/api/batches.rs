//! Several documents in one request, each accepted or refused on its own.

use super::draft;
use super::guard::Caller;
use super::problem::{BODY_MALFORMED, Problem};
use super::submissions::Submission;
use super::{Api, blocking};
use crate::base::limits;
use crate::intake::{Draft, Intake};
use crate::outbox::{Accepted, Client};
use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// Documents to hand in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    /// One to 500, taken in this order.
    #[schema(min_items = 1, max_items = 500)]
    documents: Vec<BatchDocument>,
}

/// A document of a batch.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchDocument {
    /// Name of the form.
    form: String,
    /// Operation of the form.
    operation: String,
    /// Version of the form; when absent the newest that may be sent today.
    version: Option<String>,
    /// Code prestataire or delegate's id of who signs; when absent who did the
    /// acts, else who sends.
    signer: Option<String>,
    /// The XML as text.
    xml: String,
    /// The PDF in base64, unless the XML embeds it.
    #[schema(format = Byte)]
    pdf: Option<String>,
}

/// What became of a batch.
#[derive(Serialize, ToSchema)]
pub struct BatchAnswer {
    /// As many as there were documents, in their order.
    documents: Vec<BatchItem>,
}

/// What became of one document of a batch.
#[derive(Serialize, ToSchema)]
pub struct BatchItem {
    /// The HTTP status that the document alone would have got: 202 accepted and
    /// durable, 200 accepted before with the same bytes, else refused.
    status: u16,
    /// The submission, when it was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    submission: Option<Submission>,
    /// Why it was refused; the others are not touched by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

impl BatchItem {
    fn new(intake: &Intake, client: &Client, document: BatchDocument) -> Self {
        match Self::accept(intake, client, document) {
            Ok((status, submission)) => Self {
                status: status.as_u16(),
                submission: Some(submission),
                problem: None,
            },
            Err(problem) => Self {
                status: problem.kind.status,
                submission: None,
                problem: Some(problem),
            },
        }
    }

    fn accept(
        intake: &Intake,
        client: &Client,
        document: BatchDocument,
    ) -> Result<(StatusCode, Submission), Problem> {
        let draft = Draft {
            form: document.form,
            version: document.version,
            operation: document.operation,
            client: client.clone(),
            signer: document.signer,
            xml: document.xml.into_bytes(),
            pdf: draft::base64_pdf(document.pdf)?,
        };
        let (accepted, warnings) = intake.accept(draft)?;
        let (status, record) = match accepted {
            Accepted::Fresh(record) => (StatusCode::ACCEPTED, record),
            Accepted::Already(record) => (StatusCode::OK, record),
        };
        Ok((status, Submission::brief(&record).with_warnings(warnings)))
    }
}

/// Hands several documents in. Each is accepted or refused on its own, as if it
/// had come alone: what has status 202 or 200 is durable when the answer comes.
/// Without an answer, send the very same batch again: nothing is taken twice.
#[utoipa::path(post, operation_id = "submitBatch", path = "/v1/batches", tag = "forms", security(("program" = [])),
    request_body(content_type = "application/json", content = Batch),
    responses(
        (status = 200, body = BatchAnswer, description = "A status for each document"),
        (status = 400, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem)))]
pub async fn submit(
    State(api): State<Arc<Api>>,
    Extension(Caller(client)): Extension<Caller>,
    request: Request,
) -> Result<Json<BatchAnswer>, Problem> {
    let Batch { documents } = draft::json(&draft::json_body(request).await?)?;
    if !(1..=limits::BATCH_DOCUMENTS_MAX).contains(&documents.len()) {
        let (found, most) = (documents.len(), limits::BATCH_DOCUMENTS_MAX);
        let text = format!("A batch has 1 to {most} documents, this one {found}.");
        return Err(Problem::new(&BODY_MALFORMED, text));
    }
    api.programs.charge(&client.name, documents.len() - 1)?;
    let intake = api.intake.clone();
    // One after the other: a batch takes no more of the machine than one document.
    let taken = blocking(move || {
        let documents = documents.into_iter();
        documents
            .map(|document| BatchItem::new(&intake, &client, document))
            .collect()
    });
    Ok(Json(BatchAnswer {
        documents: taken.await?,
    }))
}
