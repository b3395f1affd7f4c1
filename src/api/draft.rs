//! Reads a document out of a request, in any of the three forms taken:
//! multipart with the parts `xml` and `pdf`, plain XML with the PDF embedded,
//! or JSON with `xml` as text and `pdf` in base64.

use super::problem::{BODY_MALFORMED, MEDIA_TYPE_REFUSED, Problem};
use axum::body::Bytes;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// The two documents of a request.
#[derive(Debug)]
pub(super) struct Documents {
    pub(super) xml: Vec<u8>,
    pub(super) pdf: Option<Vec<u8>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    xml: String,
    pdf: Option<String>,
}

impl<S: Send + Sync> FromRequest<S> for Documents {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let value = request.headers().get(header::CONTENT_TYPE);
        let value = value.and_then(|v| v.to_str().ok()).unwrap_or_default();
        let kind = value
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        match kind.as_str() {
            "multipart/form-data" => multipart(request, state).await,
            "application/xml" | "text/xml" => Ok(Self {
                xml: whole(request, state).await?.to_vec(),
                pdf: None,
            }),
            "application/json" => json(&whole(request, state).await?),
            other => Err(Problem::new(
                &MEDIA_TYPE_REFUSED,
                format!("\"{other}\" is not taken."),
            )),
        }
    }
}

async fn whole<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state)
        .await
        .map_err(|error| unreadable(error.status(), &error.body_text()))
}

async fn multipart<S: Send + Sync>(request: Request, state: &S) -> Result<Documents, Problem> {
    let mut form = Multipart::from_request(request, state)
        .await
        .map_err(|error| unreadable(error.status(), &error.body_text()))?;
    let (mut xml, mut pdf) = (None, None);
    loop {
        let field = form.next_field().await;
        let Some(field) = field.map_err(|e| unreadable(e.status(), &e.body_text()))? else {
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
            .map_err(|e| unreadable(e.status(), &e.body_text()))?;
        if slot.replace(bytes.to_vec()).is_some() {
            let text = format!("The part \"{name}\" was sent twice.");
            return Err(Problem::new(&BODY_MALFORMED, text));
        }
    }
    let xml = xml.ok_or_else(|| Problem::new(&BODY_MALFORMED, "The part \"xml\" is missing."))?;
    Ok(Documents { xml, pdf })
}

fn json(bytes: &[u8]) -> Result<Documents, Problem> {
    // Messages of the parser name fields and places, never values.
    let json: Json = serde_json::from_slice(bytes).map_err(|error| {
        Problem::new(
            &BODY_MALFORMED,
            format!(
                "Not the expected JSON: line {}, column {}.",
                error.line(),
                error.column()
            ),
        )
    })?;
    let pdf = json.pdf.map(|text| STANDARD.decode(text)).transpose();
    let pdf = pdf.map_err(|_| Problem::new(&BODY_MALFORMED, "The field \"pdf\" is not base64."))?;
    Ok(Documents {
        xml: json.xml.into_bytes(),
        pdf,
    })
}

fn unreadable(status: StatusCode, text: &str) -> Problem {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::too_large()
    } else {
        Problem::new(&BODY_MALFORMED, text)
    }
}
