//! The recording proxy: every request goes on to the service unchanged, unless
//! the case wants something to go wrong.

use super::trial::{Act, HandedIn, RETRY_AFTER, Seen, Trial};
use crate::api::{Documents, KINDS, Problem};
use crate::base::{Uuid4, digest, limits};
use crate::forms::{FormsError, Packs};
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{DefaultBodyLimit, FromRequest};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header, request};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// Why there is no proxy.
#[derive(Debug, thiserror::Error)]
pub enum KitError {
    /// No port or no threads.
    #[error("the proxy does not start")]
    Start(#[source] io::Error),
    /// The built-in packs do not load.
    #[error("the form packs do not load")]
    Forms(#[source] FormsError),
}

/// A running proxy.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    runtime: Option<Runtime>,
}

struct Shared {
    /// Host and port of the service.
    service: String,
    packs: Packs,
    play: Mutex<Play>,
}

/// A case under way.
struct Play {
    /// Which one of this proxy: what began in another is none of its business.
    number: u64,
    trial: Trial,
    seen: Vec<Seen>,
}

impl Shared {
    fn play(&self) -> MutexGuard<'_, Play> {
        self.play.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed")]
struct Closed;

impl Proxy {
    /// Starts on a free port of 127.0.0.1 in front of `service` (host and port).
    ///
    /// # Errors
    /// [`KitError`].
    pub fn start(service: &str) -> Result<Self, KitError> {
        let shared = Arc::new(Shared {
            service: service.to_owned(),
            packs: Packs::builtin().map_err(KitError::Forms)?,
            play: Mutex::new(Play {
                number: 0,
                trial: Trial::Accepted,
                seen: Vec::new(),
            }),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(KitError::Start)?;
        let bound = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)));
        let listener = bound.map_err(KitError::Start)?;
        let address = listener.local_addr().map_err(KitError::Start)?;
        #[expect(clippy::disallowed_methods, reason = "ends with the runtime, in drop")]
        {
            let _guard = runtime.enter();
            tokio::spawn(serve(listener, shared.clone()));
        }
        Ok(Self {
            shared,
            address,
            runtime: Some(runtime),
        })
    }

    /// The address to tell the software.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Begins a case; what was seen before is forgotten.
    pub fn begin(&self, trial: Trial) {
        let mut play = self.shared.play();
        let number = play.number + 1;
        *play = Play {
            number,
            trial,
            seen: Vec::new(),
        };
    }

    /// What was seen in this case so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.play().seen.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        while connections.try_join_next().is_some() {}
        let shared = shared.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| answer(shared.clone(), request));
            let http = hyper::server::conn::http1::Builder::new();
            // An error is a connection that was to be closed.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
    let number = shared.play().number;
    let (head, body) = request.into_parts();
    let limit = 2 * limits::BODY_BYTES_MAX;
    let bytes = to_bytes(Body::new(body), limit).await.map_err(|_| Closed)?;
    let seen = Seen {
        at: Instant::now(),
        target: format!("{} {}", head.method, head.uri.path()),
        handed_in: handed_in(&shared.packs, &head, &bytes).await,
        answer: None,
        finals: Vec::new(),
    };
    let (place, act) = {
        let mut play = shared.play();
        if play.number != number {
            return Err(Closed);
        }
        let act = play.trial.act(&play.seen, &seen);
        play.seen.push(seen);
        (play.seen.len() - 1, act)
    };
    let (response, finals) = match act {
        Act::Refuse(code) => (problem(code), Vec::new()),
        Act::Break => return Err(Closed),
        Act::Pass | Act::LoseAnswer => pass(&shared.service, head, bytes).await?,
    };
    if act == Act::LoseAnswer {
        return Err(Closed);
    }
    let mut play = shared.play();
    if play.number == number
        && let Some(seen) = play.seen.get_mut(place)
    {
        seen.answer = Some((response.status().as_u16(), Instant::now()));
        seen.finals = finals;
    }
    drop(play);
    Ok(response)
}

/// The document of a request that hands one in.
async fn handed_in(packs: &Packs, head: &request::Parts, bytes: &Bytes) -> Option<HandedIn> {
    let path = head.uri.path().strip_prefix("/v1/forms/")?;
    let (form, operation) = path.split_once('/')?;
    let only_checked = head.uri.query().is_some_and(|q| q.contains("dry-run=true"));
    if head.method != Method::POST || only_checked {
        return None;
    }
    let mut request = Request::from_parts(head.clone(), Body::from(bytes.clone()));
    DefaultBodyLimit::disable().apply(&mut request);
    let media_type = head.headers.get(header::CONTENT_TYPE);
    let media_type = media_type.and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().to_owned();
    let Ok(documents) = Documents::from_request(request, &()).await else {
        return Some(HandedIn {
            uuid: None,
            digest: digest::sha256_parts(&[path.as_bytes(), bytes]),
            media_type,
            has_pdf: false,
        });
    };
    let pdf = documents.pdf.as_deref();
    let checked = packs.pack(form, None);
    let checked = checked.and_then(|pack| pack.check(operation, &documents.xml).ok());
    Some(HandedIn {
        uuid: checked.as_ref().map(|checked| checked.facts.uuid),
        digest: digest::sha256_parts(&[
            path.as_bytes(),
            &digest::sha256(&documents.xml),
            pdf.unwrap_or_default(),
        ]),
        media_type,
        has_pdf: pdf.is_some() || checked.is_some_and(|c| c.embedded_pdf.is_some()),
    })
}

/// The problem as the service would answer it.
fn problem(code: &str) -> Response<Body> {
    let Some(kind) = KINDS.iter().find(|kind| kind.code == code) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let problem = Problem {
        kind,
        detail: "The contract test wants it so.".to_owned(),
        faults: Vec::new(),
        retry_after: None,
    };
    let mut response = problem.into_response();
    if response.headers().contains_key(header::RETRY_AFTER) {
        let pause = HeaderValue::from(RETRY_AFTER);
        response.headers_mut().insert(header::RETRY_AFTER, pause);
    }
    response
}

/// Hands a request on; the answer, and the submissions it calls final.
async fn pass(
    service: &str,
    mut head: request::Parts,
    bytes: Bytes,
) -> Result<(Response<Body>, Vec<Uuid4>), Closed> {
    let host = HeaderValue::from_str(service).map_err(|_| Closed)?;
    head.headers.insert(header::HOST, host);
    let close = HeaderValue::from_static("close");
    head.headers.insert(header::CONNECTION, close);
    for name in [
        header::TRANSFER_ENCODING,
        header::CONTENT_LENGTH,
        header::EXPECT,
    ] {
        head.headers.remove(name);
    }
    let target = head
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    head.uri = target.parse().map_err(|_| Closed)?;
    let request = Request::from_parts(head, Body::from(bytes));
    let stream = TcpStream::connect(service).await.map_err(|_| Closed)?;
    let started = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = started.map_err(|_| Closed)?;
    let exchange = async move {
        let answer = sender.send_request(request).await.map_err(|_| Closed)?;
        let (head, body) = answer.into_parts();
        let bytes = to_bytes(Body::new(body), usize::MAX).await;
        Ok((head, bytes.map_err(|_| Closed)?))
    };
    let (answered, _) = tokio::join!(exchange, connection);
    let (mut head, bytes) = answered?;
    head.headers.remove(header::TRANSFER_ENCODING);
    let finals = finals(&bytes);
    Ok((Response::from_parts(head, Body::from(bytes)), finals))
}

/// UUIDs of the submissions in an answer that are final.
fn finals(body: &[u8]) -> Vec<Uuid4> {
    let list = match serde_json::from_slice(body) {
        Ok(Value::Array(list)) => list,
        Ok(one) => vec![one],
        Err(_) => Vec::new(),
    };
    let is_final = list.iter().filter(|s| s["is_final"] == true);
    is_final
        .filter_map(|s| s["uuid"].as_str()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    fn ask(address: SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(address).unwrap();
        let request =
            "GET /v1/submissions HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    fn read_head(stream: &mut TcpStream) {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
    }

    #[test]
    fn an_answer_of_one_case_does_not_land_in_the_next() {
        let service = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let proxy = Proxy::start(&service.local_addr().unwrap().to_string()).unwrap();
        proxy.begin(Trial::Accepted);
        let mut first = ask(proxy.address);
        let (mut late, _) = service.accept().unwrap();
        read_head(&mut late);
        assert_eq!(proxy.seen().len(), 1);

        proxy.begin(Trial::Accepted);
        let mut second = ask(proxy.address);
        let (mut own, _) = service.accept().unwrap();
        read_head(&mut own);
        let end = |stream: &mut TcpStream, asked: &mut TcpStream, status: &str| {
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
            let mut answered = String::new();
            asked.read_to_string(&mut answered).unwrap();
            assert!(
                answered.starts_with(&format!("HTTP/1.1 {status}")),
                "{answered}"
            );
        };
        end(&mut late, &mut first, "404");
        assert_eq!(proxy.seen()[0].answer, None);
        end(&mut own, &mut second, "200");
        assert_eq!(proxy.seen()[0].answer.map(|(status, _)| status), Some(200));
    }

    #[test]
    fn a_request_that_was_begun_in_one_case_does_not_count_in_the_next() {
        let proxy = Proxy::start("127.0.0.1:9").unwrap();
        let before = proxy.shared.play().number;
        let mut stream = TcpStream::connect(proxy.address).unwrap();
        let head = "POST /v1/forms/pid/simulation HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        // Asked for the body: the request is under way.
        read_head(&mut stream);
        proxy.begin(Trial::Accepted);
        assert_ne!(proxy.shared.play().number, before);
        stream.write_all(b"<a/>").unwrap();
        assert_eq!(stream.read_to_string(&mut String::new()).unwrap(), 0);
        assert!(proxy.seen().is_empty());
    }
}
