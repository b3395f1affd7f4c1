//! What a handler gives back to the server.

/// An answer, or none.
#[derive(Debug)]
pub enum Reply {
    /// An HTTP answer.
    Answer(Answer),
    /// Close the connection without a word.
    HangUp,
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u32>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// 200 with a body.
    pub fn ok(content_type: &'static str, body: Vec<u8>) -> Self {
        Self::with(200, content_type, body)
    }

    /// Any status with a body.
    pub fn with(status: u16, content_type: &'static str, body: Vec<u8>) -> Self {
        Self::Answer(Answer {
            status,
            content_type,
            retry_after: None,
            body,
        })
    }

    /// A JSON answer.
    pub fn json(status: u16, value: &serde_json::Value) -> Self {
        Self::with(
            status,
            "application/json",
            format!("{value}\n").into_bytes(),
        )
    }

    /// An error in one line of JSON.
    pub fn error(status: u16, text: impl std::fmt::Display) -> Self {
        Self::json(status, &serde_json::json!({ "error": text.to_string() }))
    }

    /// 503 with `Retry-After: 1`.
    pub fn unavailable() -> Self {
        Self::Answer(Answer {
            status: 503,
            content_type: "text/plain",
            retry_after: Some(1),
            body: b"unavailable by scenario\n".to_vec(),
        })
    }
}

/// A request as handlers see it.
#[derive(Debug)]
pub struct Request {
    /// `GET`, `POST` or `DELETE`.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// `Host` header.
    pub host: Option<String>,
    /// Whether a browser says that a page made the request.
    pub from_page: bool,
    /// `SOAPAction` without quotes.
    pub soap_action: Option<String>,
    /// The body.
    pub body: Vec<u8>,
    /// The TLS client's certificate, DER.
    pub peer: Option<Vec<u8>>,
}
