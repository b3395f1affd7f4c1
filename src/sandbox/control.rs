//! `/control`: what a test or a demonstration does to the sandbox. It hands out
//! private keys, so it listens on the loopback only, insists on its own `Host`
//! and refuses whatever a web page sent.

use crate::Sandbox;
use crate::pki::{KeySpec, Order, PkiError, Role, Validity};
use crate::registry::RegistryError;
use crate::reply::{Reply, Request};
use crate::scenario::Rule;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// Routes one `/control` request.
pub fn handle(sandbox: &Sandbox, request: &Request) -> Reply {
    let ours = request.host.as_deref().is_some_and(|h| sandbox.is_host(h));
    if !ours || request.from_page {
        return Reply::error(403, "only local programs may use /control");
    }
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/control/identities") => with_body(request, |order| identity(sandbox, order)),
        ("POST", "/control/revoke") => with_body(request, |order| revoke(sandbox, &order)),
        ("GET", "/control/scenario") => Reply::json(200, &json!(sandbox.scenarios.list())),
        ("POST", "/control/scenario") => {
            with_body(request, |rule: Rule| match sandbox.scenarios.add(rule) {
                Ok(()) => Reply::json(200, &json!(sandbox.scenarios.list())),
                Err(fault) => Reply::error(422, fault),
            })
        }
        ("DELETE", "/control/scenario") => {
            sandbox.scenarios.clear();
            Reply::json(200, &json!([]))
        }
        ("GET", "/control/documents") => Reply::json(200, &json!(sandbox.ledger.entries())),
        ("GET", path) if path.starts_with("/control/documents/") => document(sandbox, path),
        ("POST", "/control/shutdown") => {
            sandbox.stop.notify_one();
            Reply::json(200, &json!({ "stopping": true }))
        }
        (_, _) => Reply::error(404, "no such path"),
    }
}

/// `/control/documents/{uuid}/xml`: the bytes as they were received.
fn document(sandbox: &Sandbox, path: &str) -> Reply {
    let uuid = path.trim_start_matches("/control/documents/");
    let uuid = uuid.strip_suffix("/xml").unwrap_or_default();
    match sandbox.ledger.body(uuid) {
        Some(body) => Reply::ok("application/xml", body),
        None => Reply::error(404, "no such document"),
    }
}

fn with_body<T: DeserializeOwned>(request: &Request, act: impl FnOnce(T) -> Reply) -> Reply {
    match serde_json::from_slice(&request.body) {
        Ok(value) => act(value),
        Err(fault) => Reply::error(400, fault),
    }
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Usage {
    Sign,
    Auth,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityOrder {
    key: KeySpec,
    name: String,
    #[serde(default)]
    validity: Validity,
    #[serde(default = "sign")]
    usage: Usage,
}

fn sign() -> Usage {
    Usage::Sign
}

fn identity(sandbox: &Sandbox, order: IdentityOrder) -> Reply {
    let name = order.name.trim();
    if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
        return Reply::error(422, "name must have 1 to 64 printable characters");
    }
    let order = Order {
        name: name.to_owned(),
        subject_serial: Some(crate::random_subject_serial()),
        role: match order.usage {
            Usage::Sign => Role::Sign,
            Usage::Auth => Role::Authenticate,
        },
        key: order.key,
        validity: order.validity,
    };
    let made = sandbox.pki.issue(&order, sandbox.now()).and_then(|entity| {
        sandbox.registry.issued(&entity.cert)?;
        Ok::<_, PkiError>(entity)
    });
    match made {
        Ok(entity) => Reply::json(
            200,
            &json!({
                "certificate_pem": entity.cert.to_pem(),
                "chain_pem": sandbox.pki.issuing.cert.to_pem() + &sandbox.pki.root.cert.to_pem(),
                "key_pem": entity.key_pem(),
                "serial": entity.cert.serial_hex(),
            }),
        ),
        Err(fault) => Reply::error(500, fault),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RevokeOrder {
    serial: String,
    #[serde(default)]
    reason: u8,
}

fn revoke(sandbox: &Sandbox, order: &RevokeOrder) -> Reply {
    // RFC 5280 §5.3.1: 7 is unused, 8 belongs to delta lists.
    if order.reason > 10 || matches!(order.reason, 7 | 8) {
        return Reply::error(422, "reason must be a CRLReason");
    }
    match sandbox
        .registry
        .revoke(&order.serial, order.reason, sandbox.now())
    {
        Ok(()) => Reply::json(200, &json!({ "revoked": order.serial })),
        Err(fault @ RegistryError::NotIssued(_)) => Reply::error(404, fault),
        Err(fault @ (RegistryError::File { .. } | RegistryError::Format(_))) => {
            Reply::error(500, fault)
        }
    }
}
