//! Who may ask at all. In this order: the Host header, the Origin header, the
//! bearer token. Being on the same machine is not an identity.

use super::problem::{HOST_MALFORMED, HOST_REFUSED, ORIGIN_REFUSED, Problem, UNAUTHORIZED};
use super::{Api, blocking, draft, pace};
use crate::base::digest;
use crate::outbox::Client;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use std::sync::Arc;
use std::time::Instant;

/// The paired program, attached to a request that passed.
#[derive(Debug, Clone)]
pub(super) struct Caller(pub(super) Client);

/// Refuses what does not name this service, and what comes from a web page: a
/// page on the internet that rebinds its name to 127.0.0.1 fails on its Host,
/// any other page on its Origin. A missing Origin is no credential; the token is.
pub(super) async fn address(
    State(api): State<Arc<Api>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let headers = request.headers();
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next().and_then(|h| h.to_str().ok()), hosts.next()) {
        (Some(host), None) => host,
        _ => {
            let text = "The request has no Host header, or several.";
            return Err(Problem::new(&HOST_MALFORMED, text));
        }
    };
    let authority = request.uri().authority().map(|a| a.as_str());
    if !api.names(host) || authority.is_some_and(|authority| !api.names(authority)) {
        return Err(Problem::new(
            &HOST_REFUSED,
            "The Host header names another service.",
        ));
    }
    let cross_site = ["cross-site", "same-site"];
    let fetch_site = headers.get("sec-fetch-site").and_then(|v| v.to_str().ok());
    if headers.contains_key(header::ORIGIN) || fetch_site.is_some_and(|s| cross_site.contains(&s)) {
        return Err(Problem::new(
            &ORIGIN_REFUSED,
            "The request comes from a web page.",
        ));
    }
    Ok(next.run(request).await)
}

/// Lets paired programs pass, each with its share.
pub(super) async fn program(
    State(api): State<Arc<Api>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let token = bearer(request.headers())?.to_owned();
    let outbox = api.outbox.clone();
    let client = blocking(move || outbox.client(&token)).await??;
    let client =
        client.ok_or_else(|| Problem::new(&UNAUTHORIZED, "The bearer token is not known."))?;
    let pass = match api.programs.admit(&client.name, Instant::now()) {
        Ok(pass) => pass,
        Err(problem) => {
            draft::drain(request).await;
            return Err(problem);
        }
    };
    request.extensions_mut().insert(Caller(client));
    Ok(pace::holding(pass, next.run(request).await))
}

/// Lets the administrator pass: whoever can read the state folder. A program's
/// token does not open these routes, and this one opens no others.
pub(super) async fn administrator(
    State(api): State<Arc<Api>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let token = bearer(request.headers())?;
    if !digest::equal_secret(token.as_bytes(), api.admin.expose()) {
        return Err(Problem::new(
            &UNAUTHORIZED,
            "The administrator's token is not right.",
        ));
    }
    Ok(next.run(request).await)
}

pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, token)| scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty())
        .map(|(_, token)| token)
        .ok_or_else(|| Problem::new(&UNAUTHORIZED, "No bearer token was sent."))
}
