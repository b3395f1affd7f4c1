//! Validations of signed documents: nothing is stored, nothing is sent to the
//! insurer.

use super::draft::{Sole, SolePart};
use super::problem::Problem;
use super::submissions::File;
use super::{Api, blocking};
use crate::intake::Signed;
use crate::validation::Report;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// Where the signature of an XML document must stand; without any of these the place is reported,
/// not required.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ValidationQuery {
    /// Form of the XML: its pack says where the signature stands.
    form: Option<String>,
    /// Version of the form; the newest when absent.
    version: Option<String>,
    /// Operation of the form.
    operation: Option<String>,
    /// `end-of-root`, or the path of the element that holds the signature, with the prefixes of the
    /// root element; a name without prefix is in no namespace.
    slot: Option<String>,
}

/// Validates the signatures of one document now, by EN 319 102-1. A document that fails is a report too, not a problem.
#[utoipa::path(post, operation_id = "validate", path = "/v1/validations", tag = "signatures", security(("program" = [])),
    params(ValidationQuery),
    request_body(description = "The XML, the PDF, or exactly one of the parts `xml` and `pdf`",
        content((String = "application/xml"), (File = "application/pdf"), (SolePart = "multipart/form-data"))),
    responses(
        (status = 200, description = "The report. With Accept: application/xml as XML of TS 119 102-2 v1.4.1",
            content((Report = "application/json"), (String = "application/xml"))),
        (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem)))]
pub async fn validate(
    State(api): State<Arc<Api>>,
    query: Result<Query<ValidationQuery>, QueryRejection>,
    headers: HeaderMap,
    document: Sole,
) -> Result<Response, Problem> {
    let Query(query) = query?;
    let place = document.place(query.form, query.version, query.operation, query.slot)?;
    let signed = match document {
        Sole::Xml(xml) => Signed::Xml(xml, place),
        Sole::Pdf(pdf) => Signed::Pdf(pdf),
    };
    let intake = api.intake.clone();
    let report = blocking(move || intake.validate(&signed)).await??;
    Ok(if wants_xml(&headers) {
        let kind = [(header::CONTENT_TYPE, "application/xml")];
        (kind, report.to_etsi_xml()).into_response()
    } else {
        Json(report).into_response()
    })
}

/// Whether XML is accepted by name and JSON is not (RFC 9110 §12.5.1).
fn wants_xml(headers: &HeaderMap) -> bool {
    let accepts = |kind| super::accepts(headers, kind);
    (accepts("application/xml") || accepts("text/xml")) && !accepts("application/json")
}
