//! Reads documents out of a request. A form comes in any of three ways:
//! multipart with the parts `xml` and `pdf`, plain XML with the PDF embedded,
//! or JSON with `xml` as text and `pdf` in base64. A document alone comes as
//! XML, as PDF, or as the one part of a multipart body.

use super::problem::{BODY_MALFORMED, MEDIA_TYPE_REFUSED, Problem, QUERY_MALFORMED};
use crate::base::limits;
use crate::intake::Place;
use axum::body::{Bytes, HttpBody};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;
use utoipa::ToSchema;

/// Most bytes of a refused body that are read and dropped.
const DRAINED_BYTES_MAX: usize = 8 * limits::BODY_BYTES_MAX;

/// The two documents of a request.
#[derive(Debug)]
pub struct Documents {
    /// The XML.
    pub xml: Vec<u8>,
    /// The PDF, unless the XML embeds it.
    pub pdf: Option<Vec<u8>>,
}

/// The two documents as JSON.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DocumentsJson {
    /// The XML as text.
    xml: String,
    /// The PDF in base64, unless the XML embeds it.
    #[schema(format = Byte)]
    pdf: Option<String>,
}

/// The two documents as parts.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only describes what `multipart` reads")]
pub(super) struct Parts {
    /// The XML.
    #[schema(format = Binary)]
    xml: String,
    /// The PDF, unless the XML embeds it.
    #[schema(format = Binary)]
    pdf: Option<String>,
}

/// The one document of a request: XML, PDF, or multipart with one of the two.
pub(super) enum Sole {
    Xml(Vec<u8>),
    Pdf(Vec<u8>),
}

/// One document as the one part.
#[derive(Deserialize, ToSchema)]
#[schema(min_properties = 1, max_properties = 1)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only describes what `multipart` reads")]
pub(super) struct SolePart {
    /// The XML.
    #[schema(format = Binary)]
    xml: Option<String>,
    /// The PDF, instead of the XML.
    #[schema(format = Binary)]
    pdf: Option<String>,
}

impl Sole {
    /// The place of the signature that a query names, one way at most; a PDF has
    /// none.
    pub(super) fn place(
        &self,
        form: Option<String>,
        version: Option<String>,
        operation: Option<String>,
        slot: Option<String>,
    ) -> Result<Option<Place>, Problem> {
        let refuse = |text: &str| Err(Problem::new(&QUERY_MALFORMED, text));
        match (self, form, operation, slot) {
            (Self::Pdf(_), None, None, None) if version.is_none() => Ok(None),
            (Self::Pdf(_), _, _, _) => {
                refuse("form, version, operation and slot are for XML only.")
            }
            (Self::Xml(_), Some(form), Some(operation), None) => Ok(Some(Place::Form {
                form,
                version,
                operation,
            })),
            (Self::Xml(_), None, None, slot) if version.is_none() => Ok(slot.map(Place::Slot)),
            (Self::Xml(_), Some(_), Some(_), Some(_)) => {
                refuse("Either form and operation, or slot.")
            }
            (Self::Xml(_), _, _, _) => {
                refuse("form and operation are needed together, version only with them.")
            }
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Sole {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (kind, request) = admit(request).await?;
        match kind.as_str() {
            "multipart/form-data" => match multipart(request, state).await? {
                (Some(xml), None) => Ok(Self::Xml(xml)),
                (None, Some(pdf)) => Ok(Self::Pdf(pdf)),
                (_, _) => {
                    let text = "Exactly one of the parts \"xml\" and \"pdf\" is needed.";
                    Err(Problem::new(&BODY_MALFORMED, text))
                }
            },
            "application/xml" | "text/xml" => {
                Ok(Self::Xml(Bytes::from_request(request, state).await?.into()))
            }
            "application/pdf" => Ok(Self::Pdf(Bytes::from_request(request, state).await?.into())),
            other => Err(refuse_kind(other)),
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Documents {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (kind, request) = admit(request).await?;
        match kind.as_str() {
            "multipart/form-data" => {
                let (xml, pdf) = multipart(request, state).await?;
                let missing = || Problem::new(&BODY_MALFORMED, "The part \"xml\" is missing.");
                let xml = xml.ok_or_else(missing)?;
                Ok(Self { xml, pdf })
            }
            "application/xml" | "text/xml" => Ok(Self {
                xml: Bytes::from_request(request, state).await?.to_vec(),
                pdf: None,
            }),
            "application/json" => {
                let json: DocumentsJson = json(&Bytes::from_request(request, state).await?)?;
                Ok(Self {
                    xml: json.xml.into_bytes(),
                    pdf: base64_pdf(json.pdf)?,
                })
            }
            other => Err(refuse_kind(other)),
        }
    }
}

/// The request with the media type of its body, unless the body is too large.
async fn admit(request: Request) -> Result<(String, Request), Problem> {
    match declared(&request) {
        Some(bytes) if bytes > limits::BODY_BYTES_MAX => Err(refuse_large(request).await),
        Some(_) | None => Ok((kind(&request), request)),
    }
}

/// The media type of the body, without parameters.
fn kind(request: &Request) -> String {
    let value = request.headers().get(header::CONTENT_TYPE);
    let value = value.and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}

fn refuse_kind(kind: &str) -> Problem {
    Problem::new(&MEDIA_TYPE_REFUSED, format!("\"{kind}\" is not taken."))
}

/// What the parser says, unless it would repeat a value of the document.
fn not_json(error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let about_fields = ["missing field", "unknown field", "duplicate field"];
    let repeats = error.is_data() && !about_fields.iter().any(|start| text.starts_with(start));
    let text = if repeats {
        let (line, column) = (error.line(), error.column());
        format!("a value of another type than expected at line {line} column {column}")
    } else {
        text
    };
    Problem::new(&BODY_MALFORMED, format!("Not the expected JSON: {text}."))
}

/// The length the request says it has, in bytes.
fn declared(request: &Request) -> Option<usize> {
    let value = request.headers().get(header::CONTENT_LENGTH)?;
    value.to_str().ok()?.parse().ok()
}

/// Refuses a body over the limit by its declared length.
async fn refuse_large(request: Request) -> Problem {
    drain(request).await;
    Problem::unreadable(StatusCode::PAYLOAD_TOO_LARGE, "")
}

/// Reads and drops the body of a refused request that is on its way already: a
/// client that is still writing would see a reset connection instead of the
/// answer.
pub(super) async fn drain(request: Request) {
    let waits = request.headers().contains_key(header::EXPECT);
    let mut body = request.into_body();
    let mut left = if waits { 0 } else { DRAINED_BYTES_MAX };
    let read = async {
        while left > 0 {
            let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
            let Some(Ok(frame)) = frame else { break };
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        }
    };
    // One that takes longer sees the reset: it counts for no program.
    let limit = Duration::from_secs(limits::DRAIN_SECONDS_MAX);
    let _ = tokio::time::timeout(limit, read).await;
}

/// The parts `xml` and `pdf`, each at most once, and no other.
async fn multipart<S: Send + Sync>(
    request: Request,
    state: &S,
) -> Result<(Option<Vec<u8>>, Option<Vec<u8>>), Problem> {
    let mut form = Multipart::from_request(request, state)
        .await
        .map_err(|error| Problem::unreadable(error.status(), &error.body_text()))?;
    let (mut xml, mut pdf) = (None, None);
    loop {
        let field = form.next_field().await;
        let Some(field) = field.map_err(|e| Problem::unreadable(e.status(), &e.body_text()))?
        else {
            break;
        };
        let name = field.name().unwrap_or_default().to_owned();
        let slot = match name.as_str() {
            "xml" => &mut xml,
            "pdf" => &mut pdf,
            _ => {
                let text = format!("The part \"{name}\" is not known; the parts are xml and pdf.");
                return Err(Problem::new(&BODY_MALFORMED, text));
            }
        };
        let bytes = field
            .bytes()
            .await
            .map_err(|e| Problem::unreadable(e.status(), &e.body_text()))?;
        if slot.replace(bytes.to_vec()).is_some() {
            let text = format!("The part \"{name}\" was sent twice.");
            return Err(Problem::new(&BODY_MALFORMED, text));
        }
    }
    Ok((xml, pdf))
}

/// The body of a request that takes JSON alone.
pub(super) async fn json_body(request: Request) -> Result<Bytes, Problem> {
    let (kind, request) = admit(request).await?;
    if kind != "application/json" {
        return Err(refuse_kind(&kind));
    }
    Ok(Bytes::from_request(request, &()).await?)
}

pub(super) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| not_json(&error))
}

pub(super) fn base64_pdf(text: Option<String>) -> Result<Option<Vec<u8>>, Problem> {
    let pdf = text.map(|text| STANDARD.decode(text)).transpose();
    pdf.map_err(|_| Problem::new(&BODY_MALFORMED, "The field \"pdf\" is not base64."))
}
