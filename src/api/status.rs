//! Health, tokens, UUIDs and the API's own description.

use super::events::Condition;
use super::packs::PackHealth;
use super::problem::{BODY_MALFORMED, Problem, QUERY_MALFORMED, TOKEN_UNKNOWN};
use super::{Api, blocking, openapi_json};
use crate::base::clock::rfc3339;
use crate::base::{Secret, Uuid4};
use crate::conditions::warned;
use crate::sign::fingerprint;
use crate::token::several::{Named, Several};
use crate::token::{self, DriverFault, LastTry, PinEntry, PinSession, TokenError, TokenStatus};
use crate::trust::{AuthorityHealth, ClockReading};
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

const UUIDS_MAX: usize = 1000;

/// Whether the service can do its work, from real operations.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`; `degraded` when documents are accepted but wait, or the clock is wrong.
    status: &'static str,
    /// The faults there are, see docs/conditions.md.
    conditions: Vec<Condition>,
    /// Exact version of the program.
    version: &'static str,
    /// Where documents are sent.
    environment: String,
    /// `sandbox`, `test` or `production`.
    environment_kind: &'static str,
    /// The tokens in their configured order.
    tokens: Vec<TokenState>,
    /// Whether an insurer is configured.
    delivers: bool,
    /// The form packs: which are there, and which are refused and why.
    packs: PackHealth,
    /// Timestamp authorities in their configured order.
    timestamp_authorities: Vec<Authority>,
    /// This machine's clock beside the last signed time.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock: Option<ClockCheck>,
    /// Last time a timestamp was obtained.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_stamped: Option<String>,
    /// Last time revocation data were complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_sealed: Option<String>,
    /// Last time the insurer gave a receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_receipted: Option<String>,
}

/// A token without its certificates.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenState {
    /// Its configured name.
    name: String,
    /// As in `GET /v1/tokens`.
    status: &'static str,
    /// As in `GET /v1/tokens`.
    pin_entry: &'static str,
    /// As in `GET /v1/tokens`.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Session>,
}

/// What is left of the PIN entry that unlocked a token.
#[derive(Debug, Serialize, ToSchema)]
pub struct Session {
    /// Uses of the key until the token locks itself; a form is two. Absent: not
    /// counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    signatures_left: Option<u32>,
    /// When the token locks itself. Absent: at no set time.
    #[serde(skip_serializing_if = "Option::is_none")]
    ends: Option<String>,
}

impl From<PinSession> for Session {
    fn from(session: PinSession) -> Self {
        Self {
            signatures_left: session.signatures_left,
            ends: session.ends.map(rfc3339),
        }
    }
}

impl From<&Named> for TokenState {
    fn from(named: &Named) -> Self {
        Self {
            name: named.name.clone(),
            status: word(&named.token.status()).0,
            pin_entry: entry(named.token.pin_entry()),
            session: named.token.session().map(Session::from),
        }
    }
}

/// A timestamp authority, from the last real calls since the start.
#[derive(Debug, Serialize, ToSchema)]
pub struct Authority {
    /// Its configured name.
    name: String,
    /// When it last gave a good timestamp.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_success: Option<String>,
    /// How long that took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_millis: Option<u64>,
    /// When it last failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<String>,
    /// How it failed then.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    /// Until when others are asked first, because it failed or was slow.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused_until: Option<String>,
}

impl From<AuthorityHealth> for Authority {
    fn from(health: AuthorityHealth) -> Self {
        let (last_failure, failure) = health.last_failure.map(|f| (f.at, f.reason)).unzip();
        Self {
            name: health.name,
            last_success: health.last_success.map(rfc3339),
            last_millis: health.last_millis,
            last_failure: last_failure.map(rfc3339),
            failure,
            paused_until: health.paused_until.map(rfc3339),
        }
    }
}

/// This machine's clock beside a signed time.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClockCheck {
    /// `ok`; `wrong` when the clocks are more than five minutes apart.
    status: &'static str,
    /// Signed time minus this machine's, in seconds.
    offset_seconds: i64,
    /// Whose time: a timestamp authority or an OCSP responder.
    source: String,
    /// When they were compared.
    at: String,
}

impl From<ClockReading> for ClockCheck {
    fn from(reading: ClockReading) -> Self {
        Self {
            status: if reading.is_fault() { "wrong" } else { "ok" },
            offset_seconds: reading.offset_seconds,
            source: reading.source,
            at: rfc3339(reading.at),
        }
    }
}

/// A token and its certificates.
#[derive(Debug, Serialize, ToSchema)]
pub struct Token {
    /// Its configured name, for `sceau unlock --token`.
    name: String,
    /// `starting`, `absent`, `wrong`, `locked`, `ready`, `blocked`, `restarting`, `quarantined` or `unusable`.
    status: &'static str,
    /// `keyboard`: the PIN goes through `sceau unlock`. `reader`: the reader or
    /// the driver asks for it, and no PIN comes through Sceau.
    pin_entry: &'static str,
    /// What a person should know: before entering a PIN, or about the fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
    /// What is left of the PIN entry, while the token is unlocked by a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Session>,
    /// Certificates with a private key.
    certificates: Vec<Certificate>,
}

/// A certificate on the token.
#[derive(Debug, Serialize, ToSchema)]
pub struct Certificate {
    /// Subject.
    subject: String,
    /// Issuer.
    issuer: String,
    /// SHA-256 fingerprint, to name it in the configuration.
    sha256: String,
    /// Whether its key usage has nonRepudiation: only such a one signs forms.
    signs: bool,
    /// Whether forms can be signed with it now: `fits`, or why not:
    /// `not-for-signing` (no nonRepudiation), `weak-key`, `not-yet-valid`,
    /// `expired`, `renewed` (another one of the same key lasts longer).
    fitness: &'static str,
    /// Last day of validity.
    not_after: String,
    /// Label of the token.
    token_label: String,
    /// Serial number of the token.
    token_serial: String,
}

/// New identifiers.
#[derive(Debug, Serialize, ToSchema)]
pub struct Uuids {
    /// Version 4 UUIDs (RFC 9562 §5.4).
    uuids: Vec<String>,
}

/// How many identifiers.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UuidsQuery {
    /// 1 to 1000; 1 when absent.
    #[param(minimum = 1, maximum = 1000)]
    count: Option<usize>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Unlock {
    /// Name of the token; may be left out when there is one.
    token: Option<String>,
    /// The PIN; left out exactly when it is entered on the reader.
    pin: Option<String>,
    /// Use the last attempt although the token warns that it is the last.
    #[serde(default)]
    use_last_try: bool,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Name of the token; left out: all of them.
    token: Option<String>,
}

/// Whether the service can do its work. Needs no token.
#[utoipa::path(get, operation_id = "getHealth", path = "/v1/health", tag = "service", responses((status = 200, body = Health)))]
pub async fn health(State(api): State<Arc<Api>>) -> Result<Json<Health>, Problem> {
    let outbox = api.outbox.clone();
    let last = blocking(move || {
        // Health is told even when the store has stopped.
        let last = |event| outbox.last(event).ok().flatten().map(rfc3339);
        (last("stamped"), last("sealed"), last("receipted"))
    });
    let (last_stamped, last_sealed, last_receipted) = last.await?;
    let trust = api.signer.trust().health();
    let conditions = api.conditions.look();
    let all_ready = api.signer.token().status() == TokenStatus::Ready;
    let ready = all_ready && !conditions.iter().any(|c| c.holds_up);
    Ok(Json(Health {
        status: if ready { "ok" } else { "degraded" },
        conditions: conditions.iter().map(Condition::of_nobody).collect(),
        version: env!("CARGO_PKG_VERSION"),
        environment: api.environment.name.clone(),
        environment_kind: api.environment.kind.as_str(),
        tokens: api.tokens.each().iter().map(TokenState::from).collect(),
        delivers: api.delivers,
        packs: PackHealth::from(api.intake.packs()),
        timestamp_authorities: trust.authorities.into_iter().map(Authority::from).collect(),
        clock: trust.clock.map(ClockCheck::from),
        last_stamped,
        last_sealed,
        last_receipted,
    }))
}

/// The tokens and their certificates.
#[utoipa::path(get, operation_id = "listTokens", path = "/v1/tokens", tag = "service", security(("program" = [])),
    responses((status = 200, body = Vec<Token>)))]
pub async fn tokens(State(api): State<Arc<Api>>) -> Result<Json<Vec<Token>>, Problem> {
    let list = blocking(move || {
        let now = api.signer.now();
        let all = api.tokens.each().iter();
        all.map(|named| token(named, now)).collect()
    });
    Ok(Json(list.await?))
}

fn token(named: &Named, now: OffsetDateTime) -> Token {
    // An absent token has no certificates; that is its status, not an error.
    let identities = named.token.identities().unwrap_or_default();
    let fitness = token::fitness(&identities, now);
    let certificates = identities.iter().zip(fitness).map(|(identity, fitness)| {
        let certificate = &identity.certificate;
        Certificate {
            subject: certificate.subject(),
            issuer: certificate.issuer(),
            sha256: fingerprint(certificate),
            signs: certificate.key_usage().is_some_and(|u| u.non_repudiation),
            fitness: fitness.word(),
            not_after: rfc3339(certificate.not_after()),
            token_label: identity.token_label.clone(),
            token_serial: identity.token_serial.clone(),
        }
    });
    let certificates = certificates.collect();
    let (status, warning) = word(&named.token.status());
    Token {
        name: named.name.clone(),
        status,
        pin_entry: entry(named.token.pin_entry()),
        warning,
        session: named.token.session().map(Session::from),
        certificates,
    }
}

/// Unlocks a token: one PIN, one try. Only with the administrator's token,
/// which `sceau unlock` reads from the state folder. Where `pin_entry` is
/// `reader` the body has no PIN, and the answer comes when it was entered there.
#[utoipa::path(post, operation_id = "unlockToken", path = "/v1/tokens/unlock", tag = "service", security(("administrator" = [])),
    request_body = Unlock,
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn unlock(
    State(api): State<Arc<Api>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let unlock: Unlock = serde_json::from_slice(&body?)
        .map_err(|_| Problem::new(&BODY_MALFORMED, "Send {\"pin\": \"...\"}."))?;
    let last_try = if unlock.use_last_try {
        LastTry::Confirmed
    } else {
        LastTry::Refuse
    };
    let outbox = api.outbox.clone();
    let token = one_of(&api.tokens, unlock.token.as_deref())?;
    if unlock.pin.is_none() && token.pin_entry() == PinEntry::Keyboard {
        return Err(Problem::new(&BODY_MALFORMED, "Send {\"pin\": \"...\"}."));
    }
    let pin = unlock.pin.map(|pin| Secret::new(pin.into_bytes()));
    blocking(move || token.unlock(pin, last_try).map(|()| outbox.token_ready())).await???;
    Ok(axum::http::StatusCode::NO_CONTENT.into_response())
}

/// Locks a token, or all: ends the login, and the PIN is forgotten. What waits
/// for a signature waits for the next PIN. Only with the administrator's token,
/// which `sceau lock` reads from the state folder.
#[utoipa::path(post, operation_id = "lockToken", path = "/v1/tokens/lock", tag = "service", security(("administrator" = [])),
    request_body = Lock,
    responses((status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn lock(
    State(api): State<Arc<Api>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let lock: Lock = serde_json::from_slice(&body?)
        .map_err(|_| Problem::new(&BODY_MALFORMED, "Send {\"token\": \"...\"}, or {} for all."))?;
    let token = match lock.token {
        Some(name) => one_of(&api.tokens, Some(&name))?,
        None => api.tokens.clone(),
    };
    blocking(move || token.lock()).await?;
    Ok(axum::http::StatusCode::NO_CONTENT.into_response())
}

fn one_of(tokens: &Several, name: Option<&str>) -> Result<Arc<dyn token::Token>, Problem> {
    let found = tokens.named(name);
    found.map(|named| named.token.clone()).ok_or_else(|| {
        let names = tokens.each().iter().map(|named| named.name.as_str());
        let names = names.collect::<Vec<_>>().join(", ");
        let text = format!("Name one of the tokens: {names}.");
        match (names.as_str(), name) {
            ("", _) => TokenError::Absent.into(),
            (_, None) => Problem::new(&BODY_MALFORMED, text),
            (_, Some(_)) => Problem::new(&TOKEN_UNKNOWN, text),
        }
    })
}

/// Makes version 4 UUIDs for programs that cannot (DSR 3.5).
#[utoipa::path(post, operation_id = "makeUuids", path = "/v1/uuids", tag = "service", security(("program" = [])), params(UuidsQuery),
    responses((status = 200, body = Uuids), (status = 400, body = Problem)))]
pub async fn uuids(
    query: Result<Query<UuidsQuery>, QueryRejection>,
) -> Result<Json<Uuids>, Problem> {
    let Query(query) = query?;
    let count = query.count.unwrap_or(1);
    if !(1..=UUIDS_MAX).contains(&count) {
        let text = format!("count must be 1 to {UUIDS_MAX}.");
        return Err(Problem::new(&QUERY_MALFORMED, text));
    }
    let uuids = (0..count).map(|_| Uuid4::random().to_string());
    Ok(Json(Uuids {
        uuids: uuids.collect(),
    }))
}

/// This description. Needs no token.
#[utoipa::path(get, operation_id = "getDescription", path = "/v1/openapi.json", tag = "service",
    responses((status = 200, content_type = "application/json", body = serde_json::Value)))]
pub async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi_json()).into_response()
}

fn entry(entry: PinEntry) -> &'static str {
    match entry {
        PinEntry::Keyboard => "keyboard",
        PinEntry::Reader => "reader",
    }
}

fn word(status: &TokenStatus) -> (&'static str, Option<String>) {
    match status {
        TokenStatus::Starting => ("starting", None),
        TokenStatus::Absent => ("absent", None),
        TokenStatus::Wrong { detail } => ("wrong", Some(detail.clone())),
        TokenStatus::Locked { warning } => ("locked", warning.map(|w| warned(w).to_owned())),
        TokenStatus::Ready => ("ready", None),
        TokenStatus::Blocked => ("blocked", None),
        TokenStatus::Restarting { after } => ("restarting", Some(fault_text(*after).to_owned())),
        TokenStatus::Quarantined { after } => ("quarantined", Some(fault_text(*after).to_owned())),
        TokenStatus::Unusable { detail } => ("unusable", Some(detail.clone())),
    }
}

fn fault_text(fault: DriverFault) -> &'static str {
    match fault {
        DriverFault::Crashed => "The token's driver crashed.",
        DriverFault::Hung => "The token's driver did not answer in time.",
    }
}
