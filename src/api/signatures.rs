//! Signatures of documents that are given back: nothing is stored, nothing is
//! sent.

use super::draft::{Sole, SolePart};
use super::guard::Caller;
use super::problem::{Problem, QUERY_MALFORMED};
use super::submissions::File;
use super::{Api, blocking};
use crate::base::clock::rfc3339;
use crate::intake::{Asked, Original, Place};
use crate::sign::{self, Isolated, Signatory};
use crate::trust::Call;
use crate::x509::Level;
use crate::xml::path::Slot;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Names the level that was reached.
const LEVEL_HEADER: &str = "sceau-level";

/// How a document is to be signed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SignatureQuery {
    /// Level to reach: `XAdES-B-B`, `XAdES-B-T` or `XAdES-B-LT` for XML, `PAdES-B-B`, `PAdES-B-T` or
    /// `PAdES-B-LT` for a PDF. B-LT when absent.
    level: Option<String>,
    /// Code prestataire in whose name is signed; needed when several are configured and neither form
    /// nor signer names one.
    practitioner: Option<String>,
    /// Code prestataire or delegate's id of who signs; when absent, of a form, who did the acts, else
    /// the practitioner.
    signer: Option<String>,
    /// Form of the XML: its pack says where the signature goes, and the XML is checked against it.
    form: Option<String>,
    /// Version of the form; the newest when absent.
    version: Option<String>,
    /// Operation of the form.
    operation: Option<String>,
    /// Where the signature goes in XML of no form: `end-of-root` (when absent), or the path of an empty
    /// element such as `/d:doc/d:sig`, with the prefixes of the root element; a name without prefix is
    /// in no namespace.
    slot: Option<String>,
}

/// A signed document with its particulars.
#[derive(Debug, Serialize, ToSchema)]
pub struct Signature {
    /// Level reached, which is the level asked for.
    level: String,
    /// Code prestataire or delegate's id of who signed.
    signer_id: String,
    /// `practitioner` or `delegate`.
    signer_role: &'static str,
    /// Time claimed in the signature.
    signing_time: String,
    /// Time of the timestamp; absent at B-B.
    #[serde(skip_serializing_if = "Option::is_none")]
    gen_time: Option<String>,
    /// The signer's certificate.
    certificate: Certificate,
    /// What was asked of the outside.
    calls: Vec<OutsideCall>,
    /// The signed document in base64.
    #[schema(format = Byte)]
    document: String,
}

/// A signer's certificate.
#[derive(Debug, Serialize, ToSchema)]
pub struct Certificate {
    /// Whose it is.
    subject: String,
    /// Its SHA-256.
    sha256: String,
}

/// One call to a trust service.
#[derive(Debug, Serialize, ToSchema)]
pub struct OutsideCall {
    /// `timestamp`, `ocsp`, `crl` or `aia`.
    purpose: &'static str,
    /// The address asked.
    url: String,
    /// When.
    at: String,
    /// How long it took.
    millis: u64,
    /// What came of it.
    result: String,
    /// Answered from memory, without a call.
    from_cache: bool,
}

impl From<Call> for OutsideCall {
    fn from(call: Call) -> Self {
        Self {
            purpose: call.purpose,
            url: call.url,
            at: rfc3339(call.at),
            millis: call.millis,
            result: call.result,
            from_cache: call.from_cache,
        }
    }
}

/// Signs and timestamps one document and gives it back. The level asked for is reached, or nothing is given.
#[utoipa::path(post, operation_id = "sign", path = "/v1/signatures", tag = "signatures", security(("program" = [])),
    params(SignatureQuery),
    request_body(description = "The XML, the PDF, or exactly one of the parts `xml` and `pdf`",
        content((String = "application/xml"), (File = "application/pdf"), (SolePart = "multipart/form-data"))),
    responses(
        (status = 200, description = "The signed document; the header sceau-level names its level. With Accept: application/json its particulars too",
            content((String = "application/xml"), (File = "application/pdf"), (Signature = "application/json"))),
        (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn sign(
    State(api): State<Arc<Api>>,
    Extension(Caller(client)): Extension<Caller>,
    query: Result<Query<SignatureQuery>, QueryRejection>,
    headers: HeaderMap,
    document: Sole,
) -> Result<Response, Problem> {
    let Query(query) = query?;
    let (format, media_type) = match &document {
        Sole::Xml(_) => ("XAdES", "application/xml"),
        Sole::Pdf(_) => ("PAdES", "application/pdf"),
    };
    let level = level(format, query.level.as_deref())?;
    let (practitioner, signer) = (query.practitioner, query.signer);
    let place = document.place(query.form, query.version, query.operation, query.slot)?;
    let original = match document {
        Sole::Xml(xml) => {
            let end = || Place::Slot(Slot::END_OF_ROOT.to_owned());
            Original::Xml(xml, place.unwrap_or_else(end))
        }
        Sole::Pdf(pdf) => Original::Pdf(pdf),
    };
    let intake = api.intake.clone();
    let (signed, calls) = blocking(move || {
        let mut calls = Vec::new();
        let asked = Asked {
            practitioner: practitioner.as_deref(),
            signer: signer.as_deref(),
            client: &client,
        };
        let signed = intake.sign_isolated(original, level, &asked, &mut calls)?;
        Ok::<_, Problem>((signed, calls))
    })
    .await??;
    let level = format!("{format}-{}", level.as_str());
    let name = [(LEVEL_HEADER, level.clone())];
    if super::accepts(&headers, "application/json") {
        return Ok((name, Json(Signature::new(level, signed, calls))).into_response());
    }
    let kind = [(header::CONTENT_TYPE, media_type)];
    let (isolated, _) = signed;
    Ok((name, kind, isolated.document).into_response())
}

impl Signature {
    fn new(level: String, (signed, signatory): (Isolated, Signatory), calls: Vec<Call>) -> Self {
        Self {
            level,
            signer_role: signatory.role.as_str(),
            signer_id: signatory.id,
            signing_time: rfc3339(signed.signing_time),
            gen_time: signed.gen_time.map(rfc3339),
            certificate: Certificate {
                subject: signed.certificate.subject(),
                sha256: sign::fingerprint(&signed.certificate),
            },
            calls: calls.into_iter().map(OutsideCall::from).collect(),
            document: STANDARD.encode(signed.document),
        }
    }
}

fn level(format: &str, asked: Option<&str>) -> Result<Level, Problem> {
    let Some(asked) = asked else {
        return Ok(Level::LT);
    };
    let name = asked
        .strip_prefix(format)
        .and_then(|rest| rest.strip_prefix('-'));
    name.and_then(Level::parse).ok_or_else(|| {
        let text =
            format!("level: \"{asked}\" is none of {format}-B-B, {format}-B-T and {format}-B-LT.");
        Problem::new(&QUERY_MALFORMED, text)
    })
}
