//! The plain-HTTP port: certificates, revocation and timestamps, as public
//! trust services offer them.

use crate::reply::{Reply, Request};
use crate::scenario::{Fault, Point};
use crate::{Sandbox, crl, ocsp, tsa};
use base64::Engine;
use time::Duration;

/// Routes one request to a trust service; `None` when the path is not theirs.
pub fn handle(sandbox: &Sandbox, request: &Request) -> Option<Reply> {
    let pki = &sandbox.pki;
    let path = request.path.as_str();
    Some(match (request.method.as_str(), path) {
        ("GET", "/ca/root.crt") => certificate(pki.root.cert.der()),
        ("GET", "/ca/issuing.crt") => certificate(pki.issuing.cert.der()),
        ("GET", "/crl/root.crl") => list(sandbox, &pki.root, None),
        ("GET", "/crl/issuing.crl") => list(sandbox, &pki.issuing, Some(&sandbox.registry)),
        ("POST", "/tsa") => timestamp(sandbox, &request.body),
        ("POST", "/ocsp") => status(sandbox, &request.body),
        ("GET", _) if path.starts_with("/ocsp/") => {
            // RFC 6960 A.1: base64, percent-encoded where a path needs it.
            let text = path.trim_start_matches("/ocsp/");
            let text = text
                .replace("%2F", "/")
                .replace("%2B", "+")
                .replace("%3D", "=");
            let engine = base64::engine::general_purpose::STANDARD;
            status(sandbox, &engine.decode(text).unwrap_or_default())
        }
        (_, _) => return None,
    })
}

fn certificate(der: &[u8]) -> Reply {
    Reply::ok("application/pkix-cert", der.to_vec())
}

/// Faults that mean the same at every service: no answer, or 503.
fn before(fault: Option<Fault>) -> Option<Reply> {
    match fault? {
        Fault::Unavailable => Some(Reply::unavailable()),
        Fault::DropBeforeAccept => Some(Reply::HangUp),
        Fault::Delay
        | Fault::Refuse
        | Fault::DropAfterAccept
        | Fault::Duplicate
        | Fault::BadAnswerSignature
        | Fault::Stale
        | Fault::WrongNonce
        | Fault::WrongImprint
        | Fault::ExpiredCertificate
        | Fault::Advance => None,
    }
}

fn after(fault: Option<Fault>, content_type: &'static str, body: Vec<u8>) -> Reply {
    match fault {
        Some(Fault::DropAfterAccept) => Reply::HangUp,
        Some(_) | None => Reply::ok(content_type, body),
    }
}

fn timestamp(sandbox: &Sandbox, body: &[u8]) -> Reply {
    let fault = sandbox.scenarios.strike(Point::Tsa).map(|b| b.fault);
    if let Some(reply) = before(fault) {
        return reply;
    }
    let answer = tsa::respond(&sandbox.pki, body, sandbox.now(), fault);
    after(fault, "application/timestamp-reply", answer)
}

fn status(sandbox: &Sandbox, body: &[u8]) -> Reply {
    let fault = sandbox.scenarios.strike(Point::Ocsp).map(|b| b.fault);
    if let Some(reply) = before(fault) {
        return reply;
    }
    let now = sandbox.now();
    let answer = ocsp::respond(&sandbox.pki, &sandbox.registry, body, now, fault);
    after(fault, "application/ocsp-response", answer)
}

fn list(
    sandbox: &Sandbox,
    ca: &crate::pki::Entity,
    registry: Option<&crate::registry::Registry>,
) -> Reply {
    let fault = sandbox.scenarios.strike(Point::Crl).map(|b| b.fault);
    if let Some(reply) = before(fault) {
        return reply;
    }
    let at = match fault {
        Some(Fault::Stale) => sandbox.now() - Duration::days(2),
        Some(_) | None => sandbox.now(),
    };
    after(fault, "application/pkix-crl", crl::make(ca, registry, at))
}
