//! `/control`: what a test or a demonstration does to the sandbox. It hands out
//! private keys, so it listens on the loopback only, insists on its own `Host`
//! and refuses whatever a web page sent.

use crate::Sandbox;
use crate::ledger::{Advanced, Entry};
use crate::pki::{KeySpec, Order, PkiError, Role, Validity};
use crate::registry::RegistryError;
use crate::reply::{Reply, Request};
use crate::scenario::{Rule, Scenario};
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
        ("POST", "/control/scenario") => with_body(request, |rule: Rule| {
            match sandbox.scenarios.play(&[rule]) {
                Ok(()) => Reply::json(200, &json!(sandbox.scenarios.list())),
                Err(fault) => Reply::error(422, fault),
            }
        }),
        ("DELETE", "/control/scenario") => {
            sandbox.scenarios.clear();
            Reply::json(200, &json!([]))
        }
        ("GET", "/control/scenarios") => {
            Reply::json(200, &json!(Scenario::built_in().collect::<Vec<_>>()))
        }
        ("POST", "/control/scenarios") => match Scenario::read(&request.body) {
            Ok(scenario) => play(sandbox, &scenario),
            Err(fault) => Reply::error(422, fault),
        },
        ("POST", path) if path.starts_with("/control/scenarios/") => {
            let name = path.trim_start_matches("/control/scenarios/");
            match Scenario::built_in().find(|scenario| scenario.name == name) {
                Some(scenario) => play(sandbox, &scenario),
                None => Reply::error(404, "no such scenario"),
            }
        }
        (method, "/control/accounts") => standing(method, request, |change: Option<Account>| {
            let blocked = &sandbox.conditions.blocked;
            if let Some(change) = change {
                blocked.set(&change.code_prestataire, change.blocked);
            }
            json!({ "blocked": blocked.all() })
        }),
        (method, "/control/consents") => standing(method, request, |change: Option<Consent>| {
            let withheld = &sandbox.conditions.withheld;
            if let Some(change) = change {
                withheld.set(&change.matricule, !change.given);
            }
            json!({ "withheld": withheld.all() })
        }),
        ("GET", "/control/documents") => {
            let entries = sandbox.ledger.entries();
            Reply::json(200, &entries.iter().map(shown).collect())
        }
        (method, path) if path.starts_with("/control/documents/") => document(
            sandbox,
            method,
            path.trim_start_matches("/control/documents/"),
        ),
        ("POST", "/control/shutdown") => {
            sandbox.stop.notify_one();
            Reply::json(200, &json!({ "stopping": true }))
        }
        (_, _) => Reply::error(404, "no such path"),
    }
}

/// A document as it is shown: its entry, and how far it has come.
fn shown(entry: &Entry) -> serde_json::Value {
    let mut value = json!(entry);
    value["status"] = json!(entry.status());
    value
}

/// `/control/documents/{uuid}`, `.../xml` (the bytes as they were received)
/// and `.../advance`.
fn document(sandbox: &Sandbox, method: &str, path: &str) -> Reply {
    let missing = || Reply::error(404, "no such document");
    let (uuid, what) = path.split_once('/').unwrap_or((path, ""));
    match (method, what) {
        ("GET", "") => match sandbox.ledger.find(uuid) {
            Some(entry) => Reply::json(200, &shown(&entry)),
            None => missing(),
        },
        ("GET", "xml") => match sandbox.ledger.body(uuid) {
            Some(body) => Reply::ok("application/xml", body),
            None => missing(),
        },
        ("POST", "advance") => match sandbox.ledger.advance(uuid, sandbox.now()) {
            Ok(Advanced::To(entry)) => Reply::json(200, &shown(&entry)),
            Ok(Advanced::AtEnd(status)) => {
                let text = format!("nothing comes after {}", json!(status));
                Reply::error(409, text)
            }
            Ok(Advanced::Unknown) => missing(),
            Err(fault) => Reply::error(500, fault),
        },
        (_, _) => Reply::error(404, "no such path"),
    }
}

fn play(sandbox: &Sandbox, scenario: &Scenario) -> Reply {
    match sandbox.scenarios.play(&scenario.steps) {
        Ok(()) => {
            let waiting = sandbox.scenarios.list();
            Reply::json(
                200,
                &json!({ "playing": scenario.name, "waiting": waiting }),
            )
        }
        Err(fault) => Reply::error(422, fault),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Account {
    code_prestataire: String,
    blocked: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Consent {
    matricule: String,
    given: bool,
}

/// Shows a list; with `POST` after a change to it.
fn standing<T: DeserializeOwned>(
    method: &str,
    request: &Request,
    show: impl FnOnce(Option<T>) -> serde_json::Value,
) -> Reply {
    match method {
        "GET" => Reply::json(200, &show(None)),
        "POST" => with_body(request, |change| Reply::json(200, &show(Some(change)))),
        _ => Reply::error(405, "only GET and POST"),
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
