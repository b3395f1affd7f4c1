//! What the service says of a request, in status and codes alone: its sentences
//! may quote the value at fault.

use crate::http::Response;
use serde::Deserialize;
use std::fmt::{self, Display, Formatter};

/// Status and codes of an answer.
pub(super) struct Said {
    status: u16,
    problem: Problem,
}

/// Of a problem (RFC 9457), the codes.
#[derive(Default, Deserialize)]
struct Problem {
    code: String,
    #[serde(default)]
    faults: Vec<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    code: String,
}

impl Said {
    pub(super) fn by(answer: &Response) -> Self {
        let problem = serde_json::from_slice(&answer.body).ok();
        Self {
            status: answer.status,
            problem: problem.unwrap_or_default(),
        }
    }

    /// Whether it is this problem.
    pub(super) fn is(&self, status: u16, code: &str) -> bool {
        (self.status, self.problem.code.as_str()) == (status, code)
    }

    /// Whether a rule of the form, or what is known of earlier documents,
    /// refuses the document.
    pub(super) fn refuses_document(&self) -> bool {
        self.is(422, "document-invalid")
    }

    /// Whether it is refused for this fault.
    pub(super) fn refuses_for(&self, fault: &str) -> bool {
        self.refuses_document() && self.problem.faults.iter().any(|found| found.code == fault)
    }
}

impl Display for Said {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        let faults = self.problem.faults.iter().map(|fault| &fault.code);
        let codes = [&self.problem.code].into_iter().chain(faults);
        for code in codes.filter(|code| !code.is_empty()) {
            write!(f, " {code}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, body: &str) -> Said {
        Said::by(&Response {
            status,
            content_type: "application/problem+json".into(),
            retry_after: None,
            body: body.as_bytes().to_vec(),
        })
    }

    const INVALID: &str = r#"{"code":"document-invalid","detail":"TEST-SECRET","faults":[
        {"code":"form.schema","message":"TEST-SECRET"},{"code":"form.correlation"}]}"#;

    #[test]
    fn no_sentence_is_told() {
        let told = said(422, INVALID).to_string();
        assert_eq!(told, "422 document-invalid form.schema form.correlation");
        let told = said(
            403,
            r#"{"code":"practitioner-not-allowed","detail":"TEST-SECRET"}"#,
        );
        assert_eq!(told.to_string(), "403 practitioner-not-allowed");
        assert_eq!(said(500, "TEST-SECRET").to_string(), "500");
    }

    #[test]
    fn a_refusal_for_another_reason_does_not_count() {
        assert!(said(422, INVALID).refuses_document());
        assert!(said(422, INVALID).refuses_for("form.correlation"));
        assert!(!said(422, INVALID).refuses_for("form.sum"));
        for (status, code) in [
            (422, "pdf-missing"),
            (422, "practitioner-unknown"),
            (422, "xml-unreadable"),
            (400, "document-invalid"),
        ] {
            let other = INVALID.replace("document-invalid", code);
            let other = said(status, &other);
            assert!(!other.refuses_document(), "{other}");
            assert!(!other.refuses_for("form.correlation"), "{other}");
        }
        assert!(!said(202, r#"{"uuid":"x"}"#).refuses_document());
    }
}
