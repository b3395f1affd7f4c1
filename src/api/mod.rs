//! The local HTTP API: loopback only, one JSON dialect, problems from a closed
//! list. Handlers translate; every decision is made below this row. The
//! contract is `proto/openapi.json`, generated from this code and compared
//! with it by a test.

mod batches;
mod draft;
mod events;
mod evidence;
mod facts;
mod forms;
mod guard;
mod pace;
mod packs;
mod paper;
mod prefer;
mod problem;
mod rate;
mod server;
mod signatures;
mod status;
mod submissions;
mod validations;

pub use draft::Documents;
pub use problem::{KINDS, Problem, catalogue};
pub use rate::{Programs, Rate};
pub use server::{Server, serve};
pub use submissions::submission;

use crate::base::{Secret, limits};
use crate::conditions::Conditions;
use crate::evidence::Evidence;
use crate::forms::Environment;
use crate::intake::Intake;
use crate::outbox::Outbox;
use crate::sign::Signer;
use crate::token::several::Several;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::middleware;
use axum::routing::{get, post};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::Semaphore;
use utoipa::OpenApi;

/// What the routes serve from.
pub struct Api {
    /// Accepts documents.
    pub intake: Arc<Intake>,
    /// Holds submissions.
    pub outbox: Arc<Outbox>,
    /// Makes archives of them.
    pub evidence: Evidence,
    /// Who signs.
    pub signer: Arc<Signer>,
    /// The tokens, each under its name.
    pub tokens: Arc<Several>,
    /// The faults there are.
    pub conditions: Arc<Conditions>,
    /// Slots for streams of events.
    pub streams: Arc<Semaphore>,
    /// Where documents go.
    pub environment: Arc<Environment>,
    /// Whether documents can be sent at all.
    pub delivers: bool,
    /// How much each paired program may ask for.
    pub programs: Arc<Programs>,
    /// The administrator's token, in a file only the service can read.
    pub admin: Secret,
    /// Where the service listens, for the Host check.
    pub address: SocketAddr,
}

impl Api {
    fn names(&self, host: &str) -> bool {
        let port = self.address.port();
        // Its own address too: any of 127.0.0.0/8 may be configured.
        host == self.address.to_string()
            || ["127.0.0.1", "localhost", "[::1]"]
                .iter()
                .any(|name| host.eq_ignore_ascii_case(&format!("{name}:{port}")))
    }
}

/// The routes.
pub fn router(api: Arc<Api>) -> Router {
    // Whatever is about one submission: of the program's practitioners only.
    let submission = Router::new()
        .route("/v1/submissions/{uuid}", get(submissions::one))
        .route("/v1/submissions/{uuid}/retry", post(submissions::retry))
        .route("/v1/submissions/{uuid}/xml", get(submissions::xml))
        .route("/v1/submissions/{uuid}/pdf", get(submissions::pdf))
        .route(
            "/v1/submissions/{uuid}/timestamp",
            get(submissions::timestamp),
        )
        .route("/v1/submissions/{uuid}/receipt", get(submissions::receipt))
        .route("/v1/submissions/{uuid}/copies/{name}", get(paper::copy))
        .route("/v1/submissions/{uuid}/evidence", get(evidence::archive))
        .route("/v1/submissions/{uuid}/qr", get(paper::qr))
        .route("/v1/submissions/{uuid}/print", get(paper::print))
        .route_layer(middleware::from_fn_with_state(
            api.clone(),
            submissions::own,
        ));
    let program = Router::new()
        .route("/v1/forms", get(forms::list))
        .route("/v1/forms/{form}", get(forms::one))
        .route("/v1/forms/{form}/{operation}", post(forms::submit))
        .route("/v1/batches", post(batches::submit))
        .route("/v1/signatures", post(signatures::sign))
        .route("/v1/validations", post(validations::validate))
        .route("/v1/uuids", post(status::uuids))
        .route("/v1/submissions", get(submissions::list))
        .route("/v1/tokens", get(status::tokens))
        .route("/v1/events", get(events::follow))
        .merge(submission)
        .route_layer(middleware::from_fn_with_state(api.clone(), guard::program));
    let administrator = Router::new()
        .route("/v1/tokens/unlock", post(status::unlock))
        .route("/v1/tokens/lock", post(status::lock))
        .route("/v1/submissions/{uuid}/settle", post(submissions::settle))
        .route_layer(middleware::from_fn_with_state(
            api.clone(),
            guard::administrator,
        ));
    Router::new()
        .route("/v1/health", get(status::health))
        .route("/v1/openapi.json", get(status::openapi))
        .merge(program)
        .merge(administrator)
        .fallback(|uri: Uri| async move {
            let text = format!("{} is not an address of this service.", uri.path());
            Problem::new(&problem::NOT_FOUND, text)
        })
        .method_not_allowed_fallback(|method: Method, uri: Uri| async move {
            let text = format!("{} does not take {method}.", uri.path());
            Problem::new(&problem::METHOD_REFUSED, text)
        })
        .layer(DefaultBodyLimit::max(limits::BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(api.clone(), guard::address))
        .layer(middleware::map_request(pace::request))
        .with_state(api)
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Sceau",
        description = "Local connector: validates, signs, timestamps, queues and delivers standard forms. \
            Every error is application/problem+json with a code from docs/problems.md.",
        license(name = "Apache-2.0")
    ),
    paths(
        forms::list, forms::one, forms::submit, batches::submit, signatures::sign, validations::validate, status::uuids,
        submissions::list, submissions::one, submissions::retry, submissions::settle, submissions::xml,
        submissions::pdf, submissions::timestamp, submissions::receipt,
        evidence::archive, paper::qr, paper::print, paper::copy,
        status::tokens, status::unlock, status::lock, status::health, events::follow, status::openapi
    ),
    components(schemas(Problem, forms::DryRun)),
    modifiers(&Security, &Problems)
)]
struct Description;

struct Security;
struct Problems;

impl utoipa::Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
        let components = openapi.components.get_or_insert_default();
        for name in ["program", "administrator"] {
            let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
            components.add_security_scheme(name, scheme);
        }
    }
}

impl utoipa::Modify for Problems {
    /// Every operation may answer with a problem, and problems have a media
    /// type of their own.
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::{Content, Ref, RefOr, Response};
        let content = Content::new(Some(Ref::from_schema_name("Problem")));
        let items = openapi.paths.paths.values_mut();
        for operation in items.flat_map(|item| item.get.iter_mut().chain(item.post.iter_mut())) {
            let responses = &mut operation.responses.responses;
            let any = Response::new("A problem, see docs/problems.md");
            responses.insert("default".into(), any.into());
            // What the guard, the store and a defect may answer anywhere.
            let guarded: &[&str] = if operation.security.is_some() {
                &["401", "429"]
            } else {
                &[]
            };
            let anywhere = ["400", "403", "421", "500", "503"];
            for &status in anywhere.iter().chain(guarded) {
                let problem = responses.entry(status.to_owned());
                problem.or_insert_with(|| Response::new("").into());
            }
            for (status, response) in responses {
                let is_problem = status.starts_with(['4', '5', 'd']);
                if let (true, RefOr::T(response)) = (is_problem, response) {
                    response.content.clear();
                    let media_type = "application/problem+json".to_owned();
                    response.content.insert(media_type, content.clone());
                }
            }
        }
    }
}

/// Whether a media type is accepted by name (RFC 9110 §12.5.1); `*/*` gets what
/// the route gives by itself.
fn accepts(headers: &HeaderMap, wanted: &str) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|kind| {
            let name = kind.split(';').next().unwrap_or_default();
            name.trim().eq_ignore_ascii_case(wanted)
        })
}

/// The OpenAPI description as served and as kept in `proto/openapi.json`.
pub fn openapi_json() -> String {
    let mut text = Description::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// Runs blocking work off the server's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a request's work panicked");
        Problem::new(
            &problem::INTERNAL,
            "The request's work failed; the log has the cause.",
        )
    })
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        Self::unreadable(rejection.status(), &rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(&problem::QUERY_MALFORMED, rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(&problem::QUERY_MALFORMED, rejection.body_text())
    }
}
