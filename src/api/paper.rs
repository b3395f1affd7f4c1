//! The QR symbol of a document, its print copy, and copies of its XML for others.

use super::problem::{
    COPY_UNKNOWN, INTERNAL, NOT_PRINTABLE, NOT_YET_AVAILABLE, Problem, QUERY_MALFORMED,
};
use super::submissions::{File, of, parse, unknown};
use super::{Api, accepts, blocking};
use crate::base::limits::{QR_PIXELS_MAX, QR_PIXELS_MIN};
use crate::base::{Uuid4, causes};
use crate::evidence::public_facts;
use crate::forms::{FormsError, QrPlace, Shown};
use crate::outbox::{Kind, Record};
use crate::paper::{PaperError, Place, Symbol, print_copy};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// How large the symbol is.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct QrQuery {
    /// Edge in pixels, 64 to 2048; 256 when absent. A PNG is larger where the symbol needs more than
    /// a pixel for each of its modules.
    #[param(minimum = 64, maximum = 2048)]
    size: Option<u32>,
}

/// The QR symbol for the document's print, by the form's template.
///
/// With Accept: image/png, and not image/svg+xml, as PNG.
#[utoipa::path(get, operation_id = "getQr", path = "/v1/submissions/{uuid}/qr", tag = "paper", security(("program" = [])),
    params(("uuid" = String, Path, description = "The document's UUID"), QrQuery),
    responses(
        (status = 200, content((String = "image/svg+xml"), (File = "image/png"))),
        (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn qr(
    State(api): State<Arc<Api>>,
    uuid: Result<Path<String>, PathRejection>,
    query: Result<Query<QrQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let uuid = of(uuid)?;
    let Query(query) = query?;
    let size = query.size.unwrap_or(256);
    if !(QR_PIXELS_MIN..=QR_PIXELS_MAX).contains(&size) {
        let text = format!("size must be {QR_PIXELS_MIN} to {QR_PIXELS_MAX}.");
        return Err(Problem::new(&QUERY_MALFORMED, text));
    }
    let (symbol, _) = blocking(move || symbol(&api, uuid)).await??;
    let kind = |name| [(header::CONTENT_TYPE, name)];
    Ok(
        if accepts(&headers, "image/png") && !accepts(&headers, "image/svg+xml") {
            (kind("image/png"), symbol.png(size)?).into_response()
        } else {
            (kind("image/svg+xml"), symbol.svg(size)).into_response()
        },
    )
}

/// A copy of the PDF for the printer, with the QR symbol where the form says.
///
/// It is not signed and makes no PDF/A claim; the signed PDF is never touched.
#[utoipa::path(get, operation_id = "getPrint", path = "/v1/submissions/{uuid}/print", tag = "paper", security(("program" = [])),
    params(("uuid" = String, Path, description = "The document's UUID")),
    responses((status = 200, content_type = "application/pdf", body = File), (status = 404, body = Problem)))]
pub async fn print(
    State(api): State<Arc<Api>>,
    uuid: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let uuid = of(uuid)?;
    let copy = blocking(move || {
        let (symbol, place) = symbol(&api, uuid)?;
        let pdf = api.outbox.body(uuid, Kind::RequestPdf)?;
        let pdf = pdf.ok_or_else(|| Problem::new(&NOT_PRINTABLE, "The document has no PDF."))?;
        Ok::<_, Problem>(print_copy(&pdf, &symbol, &place, uuid)?)
    });
    let kind = [(header::CONTENT_TYPE, "application/pdf")];
    Ok((kind, copy.await??).into_response())
}

/// A copy of the XML for others, with less in it, by the form's rule.
///
/// It is made of what was handed in, without PDF, signature, comments, schema hints and unused namespaces.
#[utoipa::path(get, operation_id = "getCopy", path = "/v1/submissions/{uuid}/copies/{name}", tag = "paper", security(("program" = [])),
    params(
        ("uuid" = String, Path, description = "The document's UUID"),
        ("name" = String, Path, description = "One of the operation's `copies` in GET /v1/forms, such as `employeur`")
    ),
    responses((status = 200, content_type = "application/xml", body = String), (status = 404, body = Problem)))]
pub async fn copy(
    State(api): State<Arc<Api>>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let Path((uuid, name)) = path?;
    let uuid = parse(&uuid)?;
    let copy = blocking(move || {
        let record = api.outbox.find(uuid)?.ok_or_else(|| unknown(uuid))?;
        let pack = api.intake.packs().pack(&record.form, Some(&record.version));
        let pack = pack.ok_or_else(|| no_copy(&record, &name))?;
        let xml = api.outbox.body(uuid, Kind::RequestXml)?;
        let xml = xml.ok_or_else(|| Problem::new(&NOT_YET_AVAILABLE, "The XML is not there."))?;
        pack.copy(&record.operation, &name, &xml)
            .map_err(|error| match error {
                FormsError::NoSuchOperation(_) => no_copy(&record, &name),
                error => {
                    tracing::error!(%uuid, "{}", causes(&error));
                    Problem::new(&INTERNAL, "The copy cannot be made; the log has the cause.")
                }
            })
    });
    let kind = [(header::CONTENT_TYPE, "application/xml")];
    Ok((kind, copy.await??).into_response())
}

fn no_copy(record: &Record, name: &str) -> Problem {
    let (form, operation) = (&record.form, &record.operation);
    let text = format!("{form} {operation} has no copy \"{name}\".");
    Problem::new(&COPY_UNKNOWN, text)
}

/// A document's symbol, and where its form puts it.
fn symbol(api: &Api, uuid: Uuid4) -> Result<(Symbol, Place), Problem> {
    let record = api.outbox.find(uuid)?.ok_or_else(|| unknown(uuid))?;
    let packs = api.intake.packs();
    let pack = packs.pack(&record.form, Some(&record.version));
    let operation = pack
        .as_ref()
        .and_then(|pack| pack.operations.get(&record.operation));
    let Some(qr) = operation.and_then(|operation| operation.qr.as_ref()) else {
        let text = format!("{} {} has no QR symbol.", record.form, record.operation);
        return Err(Problem::new(&NOT_PRINTABLE, text));
    };
    let text = text(api, &record, qr)?;
    let place = Place {
        page: qr.page,
        x_mm: qr.x_mm,
        y_mm: qr.y_mm,
        size_mm: qr.size_mm,
    };
    Ok((Symbol::new(&text)?, place))
}

/// What the symbol says: nothing that is personal.
fn text(api: &Api, record: &Record, qr: &QrPlace) -> Result<String, Problem> {
    let facts = api.outbox.body(record.uuid, Kind::Facts)?;
    let facts: Vec<Shown> = serde_json::from_slice(&facts.unwrap_or_default()).unwrap_or_default();
    let facts = public_facts(&facts);
    let text = qr.fill(|name| match name {
        "uuid" => Some(record.uuid.to_string()),
        "insurer_id" => record.insurer_id.clone(),
        "form" => Some(record.form.clone()),
        "operation" => Some(record.operation.clone()),
        other => {
            let fact = facts.iter().find(|(name, _)| name == other);
            fact.map(|(_, value)| value.clone())
        }
    });
    text.ok_or_else(|| {
        let state = record.state.word();
        let text = format!("The symbol says more than is known yet: the submission is {state}.");
        Problem::new(&NOT_YET_AVAILABLE, text)
    })
}

impl From<PaperError> for Problem {
    fn from(error: PaperError) -> Self {
        match &error {
            PaperError::SymbolText { .. } | PaperError::Copy(_) => {
                Self::new(&NOT_PRINTABLE, format!("{}.", causes(&error)))
            }
            PaperError::SymbolImage(_) => {
                tracing::error!("{}", causes(&error));
                Self::new(
                    &INTERNAL,
                    "The image cannot be written; the log has the cause.",
                )
            }
        }
    }
}
