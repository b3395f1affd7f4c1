//! Forms there are, and documents handed in.

use super::draft::{Documents, DocumentsJson, Parts};
use super::facts::Fact;
use super::guard::Caller;
use super::prefer::Wait;
use super::problem::{FORM_UNKNOWN, Fault, Problem, Texts};
use super::submissions::Submission;
use super::{Api, blocking};
use crate::forms::{self, CopyRule, Exchange, Pack};
use crate::intake::{Draft, Intake, Preview};
use crate::outbox::Accepted;
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
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
    /// Title in fr, de, en.
    title: Texts,
    /// `queued`; `interactive` when somebody waits for the answer.
    exchange: &'static str,
    /// Level of the XML signature; absent where nothing is signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature_level: Option<String>,
    /// `required`, `optional` or `none`.
    pdf: &'static str,
    /// Level of the embedded PDF's signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pdf_level: Option<String>,
    /// Copies for others that `GET /v1/submissions/{uuid}/copies/{name}` makes of its documents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    copies: Vec<CopyName>,
    /// Why it may not be sent today; absent when it may.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_now: Option<String>,
}

/// A copy for others, with less in it.
#[derive(Debug, Serialize, ToSchema)]
pub struct CopyName {
    /// Name used in addresses, such as `employeur`.
    name: String,
    /// Name for people in fr, de, en.
    label: Texts,
}

impl From<&CopyRule> for CopyName {
    fn from(rule: &CopyRule) -> Self {
        Self {
            name: rule.name.clone(),
            label: rule.title.clone().into(),
        }
    }
}

impl Form {
    fn new(pack: &Pack, intake: &Intake) -> Self {
        let operations = pack.operations.iter().map(|(name, operation)| Operation {
            operation: name.clone(),
            title: operation.title.clone().into(),
            exchange: match operation.exchange {
                Exchange::Queued => "queued",
                Exchange::Interactive => "interactive",
            },
            signature_level: signature_level(operation),
            pdf: match &operation.document {
                Some(place) if place.required => "required",
                Some(_) => "optional",
                None => "none",
            },
            pdf_level: pdf_level(operation),
            copies: operation.copies.iter().map(CopyName::from).collect(),
            not_now: intake.not_now(pack, name).map(|reason| reason.to_string()),
        });
        Self {
            form: pack.form.clone(),
            version: pack.version.clone(),
            namespace: pack.namespace.clone(),
            addressee: pack.addressee.clone(),
            title: pack.title.clone().into(),
            operations: operations.collect(),
        }
    }
}

fn signature_level(operation: &forms::Operation) -> Option<String> {
    let place = operation.signature.as_ref()?;
    Some(format!("XAdES-{}", place.level.as_str()))
}

fn pdf_level(operation: &forms::Operation) -> Option<String> {
    let place = operation.document.as_ref()?;
    Some(format!("PAdES-{}", place.level.as_str()))
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
    /// Name of the environment it would be sent to.
    environment: String,
    /// In whose name.
    practitioner: String,
    /// What the document says, as its form shows it.
    facts: Vec<Fact>,
    /// Level of the XML signature; absent where nothing is signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature_level: Option<String>,
    /// The PDF/A claim, such as `PDF/A-2B`: claimed, and no violation found by
    /// a structural check; not an ISO 19005 validation. Absent without a PDF.
    #[serde(skip_serializing_if = "Option::is_none")]
    pdf: Option<String>,
    /// Pages of the PDF.
    #[serde(skip_serializing_if = "Option::is_none")]
    pages: Option<usize>,
    /// Level of the PDF's signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pdf_level: Option<String>,
    /// Code prestataire or delegate's id of who would sign; absent where nothing is signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    signer_id: Option<String>,
    /// `practitioner` or `delegate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    signer_role: Option<&'static str>,
    /// Subject of the certificate that would sign; absent with `signer_problem`.
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<String>,
    /// SHA-256 of that certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    signer_sha256: Option<String>,
    /// Why the signer's certificate cannot be told now.
    #[serde(skip_serializing_if = "Option::is_none")]
    signer_problem: Option<String>,
    /// What is odd but allowed.
    warnings: Vec<Fault>,
}

impl From<Preview> for DryRun {
    fn from(preview: Preview) -> Self {
        let (signatory, certificate) = preview
            .signer
            .map(|signer| (signer.signatory, signer.certificate))
            .unzip();
        let (certificate, signer_problem) = match certificate {
            Some(Ok(certificate)) => (Some(certificate), None),
            Some(Err(problem)) => (None, Some(problem)),
            None => (None, None),
        };
        let (signer, signer_sha256) = certificate.unzip();
        let (pdf, pages) = preview.pdf.map(|pdf| (pdf.claim, pdf.pages)).unzip();
        let warnings = preview.checked.warnings.iter().map(Fault::from).collect();
        let facts = preview.checked.facts;
        Self {
            uuid: facts.uuid.to_string(),
            form: preview.pack.form.clone(),
            version: preview.pack.version.clone(),
            addressee: preview.pack.addressee.clone(),
            environment: preview.environment,
            practitioner: preview.practitioner.name,
            facts: facts.shown.into_iter().map(Fact::from).collect(),
            signature_level: signature_level(&preview.operation),
            pdf_level: pdf_level(&preview.operation).filter(|_| pdf.is_some()),
            pdf,
            pages,
            signer_role: signatory.as_ref().map(|found| found.role.as_str()),
            signer_id: signatory.map(|found| found.id),
            signer,
            signer_sha256,
            signer_problem,
            warnings,
        }
    }
}

/// What handing in is answered with.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(
    dead_code,
    clippy::large_enum_variant,
    reason = "only describes what `submit` answers"
)]
enum Answered {
    Submission(Submission),
    DryRun(DryRun),
}

/// How a document is handed in.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SubmitQuery {
    /// Only check, and say what would be signed; needs no PIN.
    #[serde(default, rename = "dry-run")]
    dry_run: bool,
    /// Version of the form; when absent the newest that may be sent today.
    version: Option<String>,
    /// Code prestataire or delegate's id of who signs; when absent who did the
    /// acts, else who sends. Says nothing where nothing is signed.
    signer: Option<String>,
}

/// Lists the forms and their versions.
#[utoipa::path(get, operation_id = "listForms", path = "/v1/forms", tag = "forms", security(("program" = [])),
    responses((status = 200, body = Vec<Form>)))]
pub async fn list(State(api): State<Arc<Api>>) -> Json<Vec<Form>> {
    let packs = api.intake.packs().offered().into_iter();
    Json(packs.map(|pack| Form::new(&pack, &api.intake)).collect())
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
    Ok(Json(Form::new(&pack, &api.intake)))
}

/// Hands a document in. 202 only once it is durable; the same UUID with the
/// same bytes gets 200 and the same submission. With `Prefer: wait` the final
/// answer, with 200, if it comes in time.
#[utoipa::path(post, operation_id = "submit", path = "/v1/forms/{form}/{operation}", tag = "forms", security(("program" = [])),
    params(
        ("form" = String, Path, description = "Name of the form"),
        ("operation" = String, Path, description = "Operation of the form"),
        SubmitQuery,
        ("Prefer" = Option<String>, Header, description = "`wait=<seconds>` (RFC 7240), 1 to 60: answer with 200 when the state is final, with 202 when the time is over")
    ),
    request_body(description = "The XML and the PDF as parts or as JSON, or XML with the PDF embedded",
        content((Parts = "multipart/form-data"), (String = "application/xml"), (DocumentsJson = "application/json"))),
    responses(
        (status = 202, body = Submission, description = "Accepted and durable; Location names it"),
        (status = 200, body = Answered, description = "Final in the time that Prefer allows, as Preference-Applied says; or accepted before with the same bytes; with dry-run=true a DryRun",
            headers(("preference-applied" = String, description = "`wait=<seconds>`"))),
        (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem), (status = 507, body = Problem)))]
pub async fn submit(
    State(api): State<Arc<Api>>,
    Extension(Caller(client)): Extension<Caller>,
    path: Result<Path<(String, String)>, PathRejection>,
    query: Result<Query<SubmitQuery>, QueryRejection>,
    headers: HeaderMap,
    documents: Documents,
) -> Result<Response, Problem> {
    let Path((form, operation)) = path?;
    let Query(query) = query?;
    let draft = Draft {
        form,
        version: query.version,
        operation,
        client,
        signer: query.signer,
        xml: documents.xml,
        pdf: documents.pdf,
    };
    let program = draft.client.name.clone();
    let intake = api.intake.clone();
    if query.dry_run {
        let preview = blocking(move || intake.preview(&draft)).await??;
        return Ok(Json(DryRun::from(preview)).into_response());
    }
    let (accepted, warnings) = blocking(move || intake.accept(draft)).await??;
    let (mut status, mut record) = match accepted {
        Accepted::Fresh(record) => (StatusCode::ACCEPTED, record),
        Accepted::Already(record) => (StatusCode::OK, record),
    };
    let location = [(header::LOCATION, format!("/v1/submissions/{}", record.uuid))];
    let wait = Wait::read(&headers);
    if let Some(wait) = wait {
        record = wait.end_of(&api, &program, record).await?;
    }
    let Some(wait) = wait.filter(|_| record.state.is_final()) else {
        let body = Json(Submission::brief(&record).with_warnings(warnings));
        return Ok((status, location, body).into_response());
    };
    status = StatusCode::OK;
    let outbox = api.outbox.clone();
    let whole = blocking(move || Submission::whole(&outbox, &record)).await??;
    let body = Json(whole.with_warnings(warnings));
    Ok((status, location, AppendHeaders([wait.applied()]), body).into_response())
}
