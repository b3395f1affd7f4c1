//! SOAP 1.1 faults and envelopes.

use crate::dom::{SOAP, SYNC, WSSE, WST};
use crate::reply::{Answer, Reply};
use sceau::xml::escape_text;

/// Content type of SOAP 1.1.
pub const CONTENT_TYPE: &str = "text/xml; charset=utf-8";

/// Codes of the exchange's own faults. Ours: the real list is not public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// No such modelUID.
    UnknownModel,
    /// The payload does not fit its schema.
    SchemaInvalid,
    /// A signature in the payload is wrong.
    SignatureInvalid,
    /// The timestamp in the payload is wrong.
    TimestampInvalid,
    /// The code prestataire is not known, or not the token's.
    UnknownProvider,
    /// The UUID was received before.
    DuplicateUuid,
    /// The account is blocked.
    AccountBlocked,
    /// Not available now.
    Unavailable,
    /// Under maintenance.
    Maintenance,
    /// Something failed inside.
    Internal,
}

impl Code {
    const ALL: [Self; 10] = [
        Self::UnknownModel,
        Self::SchemaInvalid,
        Self::SignatureInvalid,
        Self::TimestampInvalid,
        Self::UnknownProvider,
        Self::DuplicateUuid,
        Self::AccountBlocked,
        Self::Unavailable,
        Self::Maintenance,
        Self::Internal,
    ];

    /// The code as it is sent.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownModel => "UNKNOWN_MODEL",
            Self::SchemaInvalid => "SCHEMA_INVALID",
            Self::SignatureInvalid => "SIGNATURE_INVALID",
            Self::TimestampInvalid => "TIMESTAMP_INVALID",
            Self::UnknownProvider => "UNKNOWN_PROVIDER",
            Self::DuplicateUuid => "DUPLICATE_UUID",
            Self::AccountBlocked => "ACCOUNT_BLOCKED",
            Self::Unavailable => "UNAVAILABLE",
            Self::Maintenance => "MAINTENANCE",
            Self::Internal => "INTERNAL",
        }
    }

    /// The code with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.name() == name)
    }

    fn is_server(self) -> bool {
        matches!(self, Self::Unavailable | Self::Maintenance | Self::Internal)
    }
}

/// A SOAP fault to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A WS-Security fault (WSS 1.1 §12).
    Security(&'static str, String),
    /// A WS-Trust fault (WS-Trust 1.3 §11).
    Trust(&'static str, String),
    /// `soap:Client`: not a message of this dialogue.
    Client(String),
    /// A fault of the exchange.
    Business(Code, String),
}

/// WS-Security and WS-Trust codes a scenario may ask for.
const SECURITY: [&str; 8] = [
    "FailedAuthentication",
    "FailedCheck",
    "InvalidSecurity",
    "InvalidSecurityToken",
    "SecurityTokenUnavailable",
    "UnsupportedSecurityToken",
    "UnsupportedAlgorithm",
    "MessageExpired",
];
const TRUST: [&str; 4] = [
    "InvalidRequest",
    "RequestFailed",
    "ExpiredData",
    "BadRequest",
];

impl Fault {
    /// The account is blocked.
    pub fn blocked() -> Self {
        Self::Business(Code::AccountBlocked, "the account is blocked".to_owned())
    }

    /// The fault a scenario names: `UNAVAILABLE`, `MessageExpired`,
    /// `ExpiredData`, ...
    pub fn from_name(name: &str) -> Option<Self> {
        let text = || "refused by scenario".to_owned();
        let find = |list: &[&'static str]| list.iter().copied().find(|c| *c == name);
        if let Some(code) = Code::from_name(name) {
            return Some(Self::Business(code, text()));
        }
        if let Some(code) = find(&SECURITY) {
            return Some(Self::Security(code, text()));
        }
        find(&TRUST).map(|code| Self::Trust(code, text()))
    }

    /// The fault as an HTTP answer (SOAP 1.1 §6.2: status 500).
    pub fn reply(&self) -> Reply {
        let (code, text, detail) = match self {
            Self::Security(code, text) => (format!("wsse:{code}"), text, None),
            Self::Trust(code, text) => (format!("wst:{code}"), text, None),
            Self::Client(text) => ("soap:Client".to_owned(), text, None),
            Self::Business(code, text) if code.is_server() => {
                ("soap:Server".to_owned(), text, Some(*code))
            }
            Self::Business(code, text) => ("soap:Client".to_owned(), text, Some(*code)),
        };
        let text = escape_text(text);
        let detail = detail.map(|code| {
            format!(
                "<detail><sync:FaultDetail xmlns:sync=\"{SYNC}\"><sync:code>{}</sync:code>\
                 <sync:text>{text}</sync:text></sync:FaultDetail></detail>",
                code.name()
            )
        });
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<soap:Envelope xmlns:soap=\"{SOAP}\">\
             <soap:Body><soap:Fault xmlns:wsse=\"{WSSE}\" xmlns:wst=\"{WST}\">\
             <faultcode>{code}</faultcode><faultstring>{text}</faultstring>{}</soap:Fault>\
             </soap:Body></soap:Envelope>",
            detail.unwrap_or_default()
        );
        let waits = matches!(
            self,
            Self::Business(Code::Unavailable | Code::Maintenance, _)
        );
        Reply::Answer(Answer {
            status: 500,
            content_type: CONTENT_TYPE,
            retry_after: waits.then_some(1),
            body: body.into_bytes(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_its_name_and_makes_well_formed_xml() {
        let names = Code::ALL.iter().map(|c| c.name());
        for name in names.chain(SECURITY).chain(TRUST) {
            let Reply::Answer(answer) = Fault::from_name(name).unwrap().reply() else {
                panic!("{name}: no answer");
            };
            let doc = sceau::xml::parse(&answer.body).unwrap();
            assert!(
                doc.root_element()
                    .descendants()
                    .any(|n| { n.text().is_some_and(|t| t.rsplit(':').next() == Some(name)) })
            );
            assert_eq!(answer.status, 500);
        }
        assert_eq!(Fault::from_name("NO_SUCH"), None);
    }
}
