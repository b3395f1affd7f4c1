//! The evidence of a document, as one archive.

use super::problem::{INTERNAL, Problem};
use super::submissions::{File, of, unknown};
use super::{Api, blocking};
use crate::base::causes;
use crate::evidence::{EvidenceError, Scope};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// What the archive holds.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EvidenceQuery {
    /// false: without documents and answers, for who must not see patient data; the manifest has
    /// their digests all the same.
    #[serde(default = "whole")]
    documents: bool,
}

fn whole() -> bool {
    true
}

/// The evidence of a document as it stands now: what was handed in, signed, sent and answered, its
/// history, and reports on the signatures made at this moment.
///
/// The parts and how to check them: docs/evidence.md.
#[utoipa::path(get, operation_id = "getEvidence", path = "/v1/submissions/{uuid}/evidence", tag = "submissions", security(("program" = [])),
    params(("uuid" = String, Path, description = "The document's UUID"), EvidenceQuery),
    responses((status = 200, content_type = "application/zip", body = File),
        (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn archive(
    State(api): State<Arc<Api>>,
    uuid: Result<Path<String>, PathRejection>,
    query: Result<Query<EvidenceQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let uuid = of(uuid)?;
    let Query(query) = query?;
    let scope = match query.documents {
        true => Scope::Whole,
        false => Scope::Proofs,
    };
    let archive = blocking(move || api.evidence.archive(uuid, scope)).await??;
    let archive = archive.ok_or_else(|| unknown(uuid))?;
    let headers = [
        (header::CONTENT_TYPE, "application/zip".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"sceau-{uuid}.zip\""),
        ),
    ];
    Ok((headers, archive).into_response())
}

impl From<EvidenceError> for Problem {
    fn from(error: EvidenceError) -> Self {
        match error {
            EvidenceError::Collect(error) => error.into(),
            EvidenceError::Judge(_) | EvidenceError::Write(_) | EvidenceError::Part(_) => {
                tracing::error!("{}", causes(&error));
                Self::new(
                    &INTERNAL,
                    "The archive cannot be made; the log has the cause.",
                )
            }
        }
    }
}
