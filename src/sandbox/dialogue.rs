//! The TLS port: the three calls of the dialogue, and the faults a scenario
//! puts in their way.

use crate::environment::{EXCHANGE_PATH, IDENTITY_PATH, TOKEN_PATH};
use crate::reply::{Reply, Request};
use crate::scenario::{Blow, Fault as Blown, Point};
use crate::soap::{Code, Fault};
use crate::wss::{self, Carried, Verified};
use crate::{Sandbox, exchange, identity, sts};

/// SOAPAction of a token request (WS-Trust 1.3 §4).
const ISSUE_ACTION: &str = "http://docs.oasis-open.org/ws-sx/ws-trust/200512/RST/Issue";

/// Routes one request of the dialogue.
pub fn handle(sandbox: &Sandbox, request: &Request) -> Reply {
    let call = match request.path.as_str() {
        IDENTITY_PATH => (Carried::Nothing, "authenticate"),
        TOKEN_PATH => (Carried::Assertion, ISSUE_ACTION),
        EXCHANGE_PATH => (Carried::Token(sts::TOKEN_TYPE), "exchange"),
        _ => return Reply::error(404, "no such path"),
    };
    if request.method != "POST" {
        return Reply::error(405, "only POST");
    }
    let (carried, action) = call;
    if request.soap_action.as_deref() != Some(action) {
        return Fault::Client(format!("SOAPAction must be {action}")).reply();
    }
    let doc = match sceau::xml::parse(&request.body) {
        Ok(doc) => doc,
        Err(fault) => return Fault::Client(fault.to_string()).reply(),
    };
    let verified = match wss::verify(sandbox, &doc, carried, request.peer.as_deref()) {
        Ok(verified) => verified,
        Err(fault) => return fault.reply(),
    };
    if sandbox.scenarios.strike(Point::Maintenance).is_some() {
        let text = "maintenance by scenario".to_owned();
        return Fault::Business(Code::Maintenance, text).reply();
    }
    match carried {
        Carried::Nothing => simple(sandbox, Point::Identity, &verified, identity::authenticate),
        Carried::Assertion => simple(sandbox, Point::Token, &verified, sts::issue),
        Carried::Token(_) => exchange::handle(sandbox, &verified),
    }
}

/// A call without lasting effect.
fn simple(
    sandbox: &Sandbox,
    point: Point,
    request: &Verified<'_, '_>,
    act: fn(&Sandbox, &Verified<'_, '_>) -> Result<String, Fault>,
) -> Reply {
    let blow = sandbox.scenarios.strike(point);
    if let Some(reply) = before(blow.as_ref()) {
        return reply;
    }
    if blow.as_ref().is_some_and(|b| b.fault == Blown::Refuse) {
        let text = "refused by scenario".to_owned();
        return Fault::Security("FailedAuthentication", text).reply();
    }
    match act(sandbox, request) {
        Ok(body) => finish(sandbox, &body, None, blow.as_ref()),
        Err(fault) => fault.reply(),
    }
}

/// What a scenario does before anything has happened.
pub fn before(blow: Option<&Blow>) -> Option<Reply> {
    let blow = blow?;
    match blow.fault {
        Blown::DropBeforeAccept => Some(Reply::HangUp),
        Blown::Unavailable => {
            Some(Fault::Business(Code::Unavailable, "unavailable by scenario".to_owned()).reply())
        }
        Blown::Refuse => {
            // A code that is no fault is the exchange's to turn into a verdict.
            Fault::from_name(blow.code.as_deref()?).map(|f| f.reply())
        }
        Blown::Delay
        | Blown::DropAfterAccept
        | Blown::Duplicate
        | Blown::BadAnswerSignature
        | Blown::Stale
        | Blown::WrongNonce
        | Blown::WrongImprint
        | Blown::ExpiredCertificate
        | Blown::Advance => None,
    }
}

/// Sends the answer, unless a scenario spoils it after the fact.
pub fn finish(sandbox: &Sandbox, body: &str, comment: Option<&str>, blow: Option<&Blow>) -> Reply {
    match blow.map(|b| b.fault) {
        Some(Blown::DropAfterAccept) => Reply::HangUp,
        Some(Blown::Duplicate) => {
            Fault::Business(Code::DuplicateUuid, "known by scenario".to_owned()).reply()
        }
        Some(Blown::BadAnswerSignature) => wss::answer(sandbox, body, comment, true),
        Some(_) | None => wss::answer(sandbox, body, comment, false),
    }
}
