//! Forms there are, and documents handed in.

use super::draft::{Documents, DocumentsJson, Parts};
use super::guard::Caller;
use super::problem::{FORM_UNKNOWN, Fault, Problem, Texts};
use super::submissions::Submission;
use super::{Api, blocking};
use crate::forms::Pack;
use crate::intake::{Draft, Preview};
use crate::outbox::Accepted;
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A form that can be handed in.
#[derive(Debug, Serialize, ToSchema)]
pub struct Form {
    /// Name used in addresses, such as `memoire-honoraires`.
    form: String,
    /// Version of the pack.
    version: String,
    /// XML namespace.
    namespace: String,
    /// Who receives it.
    addressee: String,
    /// Title in fr, de, en.
    title: Texts,
    /// What can be done with it.
    operations: Vec<Operation>,
}

/// What can be done with a form.
#[derive(Debug, Serialize, ToSchema)]
pub struct Operation {
    /// Name used in addresses, such as `depot`.
    operation: String,
    /// Level of the XML signature; absent where it is sent unsigned.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature_level: Option<String>,
    /// Level of the embedded PDF's signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pdf_level: Option<String>,
}

impl From<&Pack> for Form {
    fn from(pack: &Pack) -> Self {
        let operations = pack.operations.iter().map(|(name, operation)| Operation {
            operation: name.clone(),
            signature_level: operation
                .signature
                .as_ref()
                .map(|place| format!("XAdES-{}", place.level.as_str())),
            pdf_level: operation
                .document
                .as_ref()
                .map(|d| format!("PAdES-{}", d.level.as_str())),
        });
        Self {
            form: pack.form.clone(),
            version: pack.version.clone(),
            namespace: pack.namespace.clone(),
            addressee: pack.addressee.clone(),
            title: Texts {
                fr: pack.title.fr.clone(),
                de: pack.title.de.clone(),
                en: pack.title.en.clone(),
            },
            operations: operations.collect(),
        }
    }
}

/// What would be signed and sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct DryRun {
    /// The document's UUID.
    uuid: String,
    /// Form and version.
    form: String,
    /// Version of the form.
    version: String,
    /// Who would receive it.
    addressee: String,
    /// In whose name.
    practitioner: String,
    /// The PDF/A claim, such as `PDF/A-2B`: claimed, and no violation found by
    /// a structural check; not an ISO 19005 validation.
    pdf: String,
    /// Pages of the PDF.
    pages: usize,
    /// Subject of the certificate that would sign; absent with `signer_problem`.
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<String>,
    /// SHA-256 of that certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    signer_sha256: Option<String>,
    /// Why the signer cannot be told now.
    #[serde(skip_serializing_if = "Option::is_none")]
    signer_problem: Option<String>,
    /// What is odd but allowed.
    warnings: Vec<Fault>,
}

impl From<Preview> for DryRun {
    fn from(preview: Preview) -> Self {
        let (signer, signer_problem) = match preview.signer {
            Ok(signer) => (Some(signer), None),
            Err(problem) => (None, Some(problem)),
        };
        let (signer, signer_sha256) = signer.unzip();
        Self {
            uuid: preview.checked.facts.uuid.to_string(),
            form: preview.pack.form.clone(),
            version: preview.pack.version.clone(),
            addressee: preview.pack.addressee.clone(),
            practitioner: preview.practitioner.name,
            pdf: preview.pdfa,
            pages: preview.pages,
            signer,
            signer_sha256,
            signer_problem,
            warnings: preview.checked.warnings.iter().map(Fault::from).collect(),
        }
    }
}

/// How a document is handed in.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SubmitQuery {
    /// Only check, and say what would be signed; needs no PIN.
    #[serde(default, rename = "dry-run")]
    dry_run: bool,
    /// Version of the form; the newest when absent.
    version: Option<String>,
}

/// Lists the forms and their versions.
#[utoipa::path(get, operation_id = "listForms", path = "/v1/forms", tag = "forms", security(("program" = [])),
    responses((status = 200, body = Vec<Form>)))]
pub async fn list(State(api): State<Arc<Api>>) -> Json<Vec<Form>> {
    let packs = api.intake.packs().offered();
    Json(packs.iter().map(|pack| Form::from(pack.as_ref())).collect())
}

/// One form, newest version.
#[utoipa::path(get, operation_id = "getForm", path = "/v1/forms/{form}", tag = "forms", security(("program" = [])),
    params(("form" = String, Path, description = "Name of the form")),
    responses((status = 200, body = Form), (status = 404, body = Problem)))]
pub async fn one(
    State(api): State<Arc<Api>>,
    form: Result<Path<String>, PathRejection>,
) -> Result<Json<Form>, Problem> {
    let Path(form) = form?;
    let pack = api.intake.packs().pack(&form, None);
    let pack = pack.ok_or_else(|| Problem::new(&FORM_UNKNOWN, format!("{form} is not known.")))?;
    Ok(Json(Form::from(pack.as_ref())))
}

/// Hands a document in. 202 only once it is durable; the same UUID with the
/// same bytes gets 200 and the same submission.
#[utoipa::path(post, operation_id = "submit", path = "/v1/forms/{form}/{operation}", tag = "forms", security(("program" = [])),
    params(
        ("form" = String, Path, description = "Name of the form"),
        ("operation" = String, Path, description = "Operation of the form"),
        SubmitQuery
    ),
    request_body(description = "The XML and the PDF as parts or as JSON, or XML with the PDF embedded",
        content((Parts = "multipart/form-data"), (String = "application/xml"), (DocumentsJson = "application/json"))),
    responses(
        (status = 202, body = Submission, description = "Accepted and durable; Location names it"),
        (status = 200, body = Submission, description = "Accepted before with the same bytes; with dry-run=true a DryRun"),
        (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn submit(
    State(api): State<Arc<Api>>,
    Extension(Caller(client)): Extension<Caller>,
    path: Result<Path<(String, String)>, PathRejection>,
    query: Result<Query<SubmitQuery>, QueryRejection>,
    documents: Documents,
) -> Result<Response, Problem> {
    let Path((form, operation)) = path?;
    let Query(query) = query?;
    let draft = Draft {
        form,
        version: query.version,
        operation,
        client,
        xml: documents.xml,
        pdf: documents.pdf,
    };
    let intake = api.intake.clone();
    if query.dry_run {
        let preview = blocking(move || intake.preview(&draft)).await??;
        return Ok(Json(DryRun::from(preview)).into_response());
    }
    let (accepted, warnings) = blocking(move || intake.accept(draft)).await??;
    let (status, record) = match accepted {
        Accepted::Fresh(record) => (StatusCode::ACCEPTED, record),
        Accepted::Already(record) => (StatusCode::OK, record),
    };
    let location = format!("/v1/submissions/{}", record.uuid);
    let body = Json(Submission::brief(&record).with_warnings(warnings));
    Ok((status, [(header::LOCATION, location)], body).into_response())
}
