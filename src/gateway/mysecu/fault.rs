//! What each fault means: the one table, and the reading of SOAP faults.
//! `docs/mysecu-faults.md` shows the same table; a test compares the two.

use super::names;
use crate::gateway::{FaultClass, Outcome};
use roxmltree::Node;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// Longest wait a receiver can impose with `Retry-After`.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);
/// Most characters kept of a receiver's text.
const TEXT_CHARS_MAX: usize = 500;

/// Where a code comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `detail/sync:FaultDetail/sync:code` of a fault.
    Detail,
    /// `faultcode` in the WS-Security namespace.
    Wsse,
    /// `faultcode` in the WS-Trust namespace.
    Wst,
    /// `faultcode` in the SOAP 1.1 namespace.
    Soap,
    /// Found on this side, without a fault.
    Here,
}

/// What a fault of the exchange means for the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Final.
    Refused,
    /// Known already.
    Duplicate,
    /// Not accepted; again after this time, or after the receiver's
    /// `Retry-After` when it gives one and is the one to act.
    Retry(Duration, FaultClass),
    /// Not accepted because the assertion or token has expired: renew it and
    /// send once more, then as [`Verdict::Retry`].
    Renew(Duration, FaultClass),
    /// Accepted or not, nobody knows.
    Unknown(FaultClass),
}

/// One row.
#[derive(Debug)]
pub struct Row {
    /// Where the code comes from.
    pub source: Source,
    /// The code; `*` stands for every other code of the source.
    pub code: &'static str,
    /// What it means at the exchange.
    pub verdict: Verdict,
    /// What the administrator is told.
    pub text: &'static str,
}

const fn row(source: Source, code: &'static str, verdict: Verdict, text: &'static str) -> Row {
    Row {
        source,
        code,
        verdict,
        text,
    }
}

use FaultClass::{Account, Network, Ours, ReceiverDown};
use Source::{Detail, Here, Soap, Wsse, Wst};
use Verdict::{Duplicate, Refused, Renew, Retry, Unknown};

/// Every fault we tell apart. The first row that matches counts, so `*` stands
/// last in its source; the last row is for what no other row knows.
#[rustfmt::skip]
pub static TABLE: &[Row] = &[
    row(Detail, "SCHEMA_INVALID", Refused, "The receiver refuses the document: it does not follow the schema."),
    row(Detail, "SIGNATURE_INVALID", Refused, "The receiver refuses the document: its signature is not valid."),
    row(Detail, "TIMESTAMP_INVALID", Refused, "The receiver refuses the document: its timestamp is not valid."),
    row(Detail, "UNKNOWN_MODEL", Retry(HOUR, Ours), "The receiver does not know this kind of document: check the form pack and the environment."),
    row(Detail, "UNKNOWN_PROVIDER", Retry(HOUR, Account), "The receiver does not know this code prestataire."),
    row(Detail, "ACCOUNT_BLOCKED", Retry(HOUR, Account), "The receiver has blocked the account of this code prestataire."),
    row(Detail, "DUPLICATE_UUID", Duplicate, "The receiver knows this document already."),
    row(Detail, "UNAVAILABLE", Retry(MINUTE, ReceiverDown), "The receiver's service is not available."),
    row(Detail, "MAINTENANCE", Retry(MINUTE, ReceiverDown), "The receiver's service is under maintenance."),
    row(Detail, "INTERNAL", Unknown(ReceiverDown), "The receiver's service failed inside."),
    row(Detail, "*", Unknown(ReceiverDown), "The receiver answered with a code this version does not know."),
    row(Wsse, "InvalidSecurityToken", Renew(MINUTE, Ours), "The receiver does not take the security token."),
    row(Wsse, "MessageExpired", Retry(Duration::from_secs(300), Ours), "The receiver finds the message too old or too new: check this machine's clock."),
    row(Wsse, "*", Retry(Duration::from_secs(900), Ours), "The receiver does not take the message's security header: check the transport certificate."),
    row(Wst, "InvalidSecurityToken", Renew(MINUTE, Ours), "The receiver does not take the security token."),
    row(Wst, "ExpiredData", Renew(MINUTE, Ours), "The receiver finds the security token expired."),
    row(Wst, "*", Retry(Duration::from_secs(900), Ours), "The receiver does not give a security token: check the transport certificate and the environment."),
    row(Soap, "VersionMismatch", Retry(HOUR, Ours), "The receiver does not speak SOAP 1.1: check the environment."),
    row(Soap, "MustUnderstand", Retry(HOUR, Ours), "The receiver does not speak WS-Security: check the environment."),
    row(Soap, "Client", Unknown(Ours), "The receiver finds fault with the message and does not say which."),
    row(Soap, "*", Unknown(ReceiverDown), "The receiver's service failed and does not say why."),
    row(Here, "connect", Retry(MINUTE, Network), "No connection: nothing was sent."),
    row(Here, "answer-lost", Unknown(Network), "The connection broke before the answer was complete."),
    row(Here, "answer-too-large", Unknown(ReceiverDown), "The answer is larger than any answer may be."),
    row(Here, "answer-not-soap", Unknown(ReceiverDown), "The answer is not what the service is described to give."),
    row(Here, "answer-not-trusted", Unknown(ReceiverDown), "The answer's signature or its certificate is not to be trusted."),
    row(Here, "identity-refused", Retry(Duration::from_secs(900), Ours), "The identity provider does not confirm this practitioner: check the transport certificate and the eHealth ID."),
    row(Here, "assertion-unusable", Retry(Duration::from_secs(900), Ours), "The identity provider's assertion cannot be used: check this machine's clock and the environment."),
    row(Here, "token-unusable", Retry(Duration::from_secs(900), Ours), "The security token received cannot be used: check this machine's clock and the environment."),
    row(Here, "message", Retry(HOUR, Ours), "The message could not be made from the document."),
    row(Here, "fault-unknown", Unknown(ReceiverDown), "The receiver answered with a fault this version does not know."),
];

/// The row of a code: its own, or the `*` of its source.
fn find(source: Source, code: &str) -> &'static Row {
    let known = |row: &&Row| row.source == source && (row.code == code || row.code == "*");
    TABLE.iter().find(known).unwrap_or(last_resort())
}

/// The last row, for what no other row knows.
fn last_resort() -> &'static Row {
    &TABLE[TABLE.len() - 1]
}

/// Why a call gave no usable answer. Boxed where it is an error: it is large
/// and rare.
#[derive(Debug)]
pub struct Trouble {
    row: &'static Row,
    /// The code as received, with the prefix of its namespace; or ours.
    pub code: String,
    /// The row's sentence and, where it is ours to tell, the cause.
    text: String,
    /// The receiver's words.
    said: String,
    retry_after: Option<Duration>,
    /// See [`crate::gateway::Report::correlation_id`].
    pub correlation_id: Option<String>,
    /// The answer as received.
    pub envelope: Option<Vec<u8>>,
}

impl Trouble {
    /// Something found on this side; `cause` must hold no personal data.
    pub fn here(code: &str, cause: &str) -> Box<Self> {
        let row = find(Here, code);
        let text = if cause.is_empty() {
            row.text.to_owned()
        } else {
            format!("{} ({cause})", row.text)
        };
        Box::new(Self {
            row,
            code: row.code.to_owned(),
            text,
            said: String::new(),
            retry_after: None,
            correlation_id: None,
            envelope: None,
        })
    }

    /// Reads a `soap:Fault` element (SOAP 1.1 §4.4).
    pub fn from_fault(fault: Node<'_, '_>, retry_after: Option<Duration>) -> Box<Self> {
        let (row, code) = recognise(fault);
        let text = detail(fault, "text").or_else(|| child_text(fault, "faultstring"));
        Box::new(Self {
            row,
            code,
            text: row.text.to_owned(),
            said: printable(&text.unwrap_or_default(), TEXT_CHARS_MAX),
            retry_after,
            correlation_id: None,
            envelope: None,
        })
    }

    /// True when a fresh assertion or token may help.
    pub fn asks_renewal(&self) -> bool {
        matches!(self.row.verdict, Renew(..))
    }

    /// What it means for the document when it happened at the exchange itself.
    pub fn at_exchange(&self) -> Outcome {
        match self.row.verdict {
            Refused => Outcome::Refused {
                code: self.code.clone(),
                text: if self.said.is_empty() {
                    self.text.clone()
                } else {
                    self.said.clone()
                },
            },
            Duplicate => Outcome::Duplicate,
            Retry(after, class) | Renew(after, class) => self.retry(after, class),
            Unknown(class) => self.unknown(class),
        }
    }

    /// What it means when it happened before the document left: never a
    /// verdict on the document and never [`Outcome::Unknown`].
    pub fn before_exchange(&self) -> Outcome {
        let (after, class) = before(self.row.verdict);
        self.retry(after, class)
    }

    /// What it means for a question about a document: nothing is known yet.
    pub fn of_question(&self) -> Outcome {
        let class = match self.row.verdict {
            Refused | Duplicate => Ours,
            Retry(_, class) | Renew(_, class) | Unknown(class) => class,
        };
        self.unknown(class)
    }

    fn retry(&self, after: Duration, class: FaultClass) -> Outcome {
        let asked = match class {
            ReceiverDown => self.retry_after.map(|t| t.min(RETRY_AFTER_MAX)),
            Ours | Network | Account => None,
        };
        Outcome::Retry {
            after: asked.unwrap_or(after),
            class,
            code: self.code.clone(),
            text: self.text.clone(),
        }
    }

    fn unknown(&self, class: FaultClass) -> Outcome {
        Outcome::Unknown {
            class,
            code: self.code.clone(),
            text: self.text.clone(),
        }
    }
}

/// Wait and class of a fault met before the document left.
fn before(verdict: Verdict) -> (Duration, FaultClass) {
    match verdict {
        Retry(after, class) | Renew(after, class) => (after, class),
        Unknown(class) => (MINUTE, class),
        // A verdict on a document that has not been sent is nonsense: theirs
        // or our configuration's. Wait as for other refusals of the header.
        Refused | Duplicate => (15 * MINUTE, Ours),
    }
}

/// Finds the row of a fault and the code to report.
fn recognise(fault: Node<'_, '_>) -> (&'static Row, String) {
    if let Some(code) = detail(fault, "code") {
        return (find(Detail, &code), printable(&code, 64));
    }
    let node = names::child(fault, None, "faultcode");
    let text = node.map(names::text).unwrap_or_default();
    let (prefix, local) = text.split_once(':').unwrap_or(("", &text));
    let namespace =
        node.and_then(|n| n.lookup_namespace_uri((!prefix.is_empty()).then_some(prefix)));
    let (source, prefix) = match namespace.unwrap_or_default() {
        names::WSSE => (Wsse, "wsse"),
        names::WST => (Wst, "wst"),
        names::SOAP => (Soap, "soap"),
        _ => return (last_resort(), last_resort().code.to_owned()),
    };
    // SOAP 1.1 §4.4.1: a dot separates a general code from a finer one.
    let general = match source {
        Soap => local.split('.').next().unwrap_or_default(),
        Detail | Wsse | Wst | Here => local,
    };
    let row = find(source, general);
    if source == Wsse && local == "MessageExpired" {
        // Reported by its cause: the console explains clocks, not WS-Security.
        return (row, "clock".to_owned());
    }
    (row, format!("{prefix}:{}", printable(local, 64)))
}

fn child_text(fault: Node<'_, '_>, name: &str) -> Option<String> {
    // SOAP 1.1 §4.4: the children of Fault are unqualified.
    names::child(fault, None, name).map(names::text)
}

/// A field of `detail/sync:FaultDetail`.
fn detail(fault: Node<'_, '_>, name: &str) -> Option<String> {
    let detail = names::child(fault, None, "detail")?;
    let ours = names::child(detail, Some(names::SYNC), "FaultDetail")?;
    names::child(ours, Some(names::SYNC), name).map(names::text)
}

/// Foreign text for one line of a report: no control characters, bounded.
fn printable(text: &str, chars_max: usize) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(chars_max).collect()
}

#[cfg(test)]
mod tests;
