//! The contract on file is the one served, whole, and guarded.

use super::{Service, differs, root};
use crate::daemon::Setup;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

fn paths() -> Map<String, Value> {
    let description: Value = serde_json::from_str(&sceau::api::openapi_json()).unwrap();
    description["paths"].as_object().unwrap().clone()
}

#[test]
fn the_description_on_file_is_generated_from_the_code() {
    let found = sceau::api::openapi_json();
    let different = differs(&root().join("proto/openapi.json"), found.as_bytes());
    assert!(different.is_none(), "run with SCEAU_BLESS=1");
}

#[test]
fn the_catalogue_of_problems_on_file_is_generated_from_the_code() {
    let found = sceau::api::catalogue();
    let different = differs(&root().join("docs/problems.md"), found.as_bytes());
    assert!(different.is_none(), "run with SCEAU_BLESS=1");
    let codes: BTreeSet<&str> = sceau::api::KINDS.iter().map(|kind| kind.code).collect();
    assert_eq!(codes.len(), sceau::api::KINDS.len(), "a code stands twice");
}

#[test]
fn every_route_is_described() {
    let code = std::fs::read_to_string(root().join("src/api/mod.rs")).unwrap();
    let router = code.split("pub fn router").nth(1).unwrap();
    let router = router.split("\n}\n").next().unwrap();
    let routes: BTreeSet<&str> = router.split('"').filter(|s| s.starts_with("/v1")).collect();
    let paths = paths();
    let described: BTreeSet<&str> = paths.keys().map(String::as_str).collect();
    assert_eq!(routes, described);
}

/// Who may call an operation, as its description says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Anyone,
    Program,
    Administrator,
}

fn who(operation: &Value) -> Who {
    let scheme = operation["security"][0].as_object();
    match scheme.and_then(|scheme| scheme.keys().next()?.as_str().into()) {
        None => Who::Anyone,
        Some("program") => Who::Program,
        Some("administrator") => Who::Administrator,
        Some(other) => panic!("unknown scheme {other}"),
    }
}

#[test]
fn every_operation_asks_for_exactly_its_token() {
    let service = Service::start(&Setup::default());
    let tokens = [
        (None, ""),
        (
            None,
            "sceau_000000000000000000000000000000000000000000000000",
        ),
        (Some(Who::Program), service.program.as_str()),
        (Some(Who::Administrator), service.administrator.as_str()),
    ];
    let mut visited = BTreeSet::new();
    let paths = paths();
    for (path, item) in &paths {
        let target = path
            .replace("{form}", "memoire-honoraires")
            .replace("{operation}", "depot")
            .replace("{name}", "employeur")
            .replace("{uuid}", "3f2b8c1e-5a4d-4e6f-9b7a-0c1d2e3f4a5b");
        assert!(!target.contains('{'), "{target}");
        for (method, operation) in item.as_object().unwrap() {
            let who = who(operation);
            assert!(operation["responses"]["default"].is_object(), "{path}");
            for (role, token) in tokens {
                let method = method.to_uppercase();
                // One that began a stream would not end.
                let headers: &[_] = match operation["operationId"].as_str() {
                    Some("followEvents") => &[("last-event-id", "none")],
                    _ => &[],
                };
                let answer = service.ask_with(token, &method, &target, headers, b"");
                let cell = format!("{method} {target} for {who:?} with the token of {role:?}");
                if who != Who::Anyone && role != Some(who) {
                    assert_eq!(answer.status, 401, "{cell}");
                    assert_eq!(answer.problem(), "unauthorized", "{cell}");
                    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
                    continue;
                }
                // Past the guard, into the operation itself.
                let code = (answer.status >= 400).then(|| answer.problem());
                let expected = match (method.as_str(), path.as_str()) {
                    ("POST", "/v1/forms/{form}/{operation}") => Some("media-type-refused"),
                    ("POST", "/v1/signatures" | "/v1/validations" | "/v1/batches") => {
                        Some("media-type-refused")
                    }
                    (
                        "POST",
                        "/v1/tokens/unlock" | "/v1/tokens/lock" | "/v1/submissions/{uuid}/settle",
                    ) => Some("body-malformed"),
                    ("GET", "/v1/events") => Some("query-malformed"),
                    (_, path) if path.contains("{uuid}") => Some("submission-unknown"),
                    _ => None,
                };
                assert_eq!(code.as_deref(), expected, "{cell}");
            }
            let id = operation["operationId"].as_str().unwrap();
            assert!(visited.insert(id), "the id {id} stands twice");
        }
    }
    assert_eq!(visited.len(), 25);
    assert_eq!(
        service.get("/v1/openapi.json").body,
        sceau::api::openapi_json().as_bytes()
    );
}
