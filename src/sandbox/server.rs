//! The two listeners: plain HTTP for trust services and control, TLS with
//! client certificates for the dialogue.

use crate::Sandbox;
use crate::pki::Pki;
use crate::reply::{Reply, Request};
use axum::body::Body;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sceau::base::limits;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// Most open connections per listener.
const CONNECTIONS_MAX: usize = 256;

/// Why the TLS listener cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Keys or certificates do not fit rustls.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// The private key is not PKCS#8.
    #[error("the server's private key cannot be used: {0}")]
    Key(&'static str),
    /// The root is not usable for client certificates.
    #[error("cannot check client certificates")]
    ClientVerifier(#[from] rustls::server::VerifierBuilderError),
}

/// A handler of one request; it may block.
pub type Handler = fn(&Sandbox, &Request) -> Reply;

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed by scenario")]
struct HungUp;

/// One listener: where, over TLS or not, and who answers.
pub struct Listener {
    /// Bound socket.
    pub socket: TcpListener,
    /// TLS, when it is spoken.
    pub tls: Option<TlsAcceptor>,
    /// Who answers.
    pub handler: Handler,
}

/// TLS that requires a client certificate issued under the sandbox's root.
///
/// # Errors
/// [`ServerError`] when keys or certificates do not fit.
pub fn tls(pki: &Pki) -> Result<TlsAcceptor, ServerError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(pki.root.cert.der().to_vec()))?;
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
    let chain = [&pki.server.cert, &pki.issuing.cert];
    let chain = chain
        .map(|c| CertificateDer::from(c.der().to_vec()))
        .to_vec();
    let key = PrivateKeyDer::try_from(pki.server.key_der().to_vec()).map_err(ServerError::Key)?;
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Accepts connections until the task is dropped.
pub async fn run(sandbox: Arc<Sandbox>, listener: Listener) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.socket.accept().await else {
            // Out of file descriptors: give connections time to end.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (sandbox, tls) = (sandbox.clone(), listener.tls.clone());
        let handler = listener.handler;
        let connection = async move {
            connection(sandbox, tls, handler, stream).await;
            drop(permit);
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "the sandbox's one home of tasks; they end with the process"
        )]
        tokio::spawn(connection);
    }
}

async fn connection(
    sandbox: Arc<Sandbox>,
    tls: Option<TlsAcceptor>,
    handler: Handler,
    stream: TcpStream,
) {
    // Small answers must not wait for the next acknowledgement.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        return serve(sandbox, handler, None, stream).await;
    };
    if let Ok(stream) = tls.accept(stream).await {
        let certs = stream.get_ref().1.peer_certificates();
        let peer = certs.and_then(|c| c.first()).map(|c| c.to_vec());
        serve(sandbox, handler, peer, stream).await;
    }
}

async fn serve<S>(sandbox: Arc<Sandbox>, handler: Handler, peer: Option<Vec<u8>>, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let (sandbox, peer) = (sandbox.clone(), peer.clone());
        async move {
            let (parts, body) = request.into_parts();
            let limit = limits::SOAP_BYTES_MAX;
            let Ok(body) = axum::body::to_bytes(Body::new(body), limit).await else {
                return Ok(respond(Reply::error(413, "the body is too large")));
            };
            let request = read(&parts, body.to_vec(), peer);
            let answer = move || handler(&sandbox, &request);
            match tokio::task::spawn_blocking(answer).await {
                Ok(Reply::HangUp) => Err(HungUp),
                Ok(reply) => Ok(respond(reply)),
                Err(_) => Ok(respond(Reply::error(500, "the handler failed"))),
            }
        }
    });
    // A client that breaks off is its own affair.
    let _ = hyper::server::conn::http1::Builder::new()
        .max_buf_size(limits::HEAD_BYTES_MAX * 4)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn read(parts: &axum::http::request::Parts, body: Vec<u8>, peer: Option<Vec<u8>>) -> Request {
    let header = |name: &str| {
        let value = parts.headers.get(name).and_then(|v| v.to_str().ok());
        value.map(ToOwned::to_owned)
    };
    let site = header("sec-fetch-site");
    Request {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        host: header("host"),
        from_page: header("origin").is_some() || site.is_some_and(|s| s != "none"),
        soap_action: header("soapaction").map(|a| a.trim_matches('"').to_owned()),
        body,
        peer,
    }
}

fn respond(reply: Reply) -> hyper::Response<Body> {
    let Reply::Answer(answer) = reply else {
        return hyper::Response::default();
    };
    let mut builder = hyper::Response::builder()
        .status(answer.status)
        .header("content-type", answer.content_type);
    if let Some(seconds) = answer.retry_after {
        builder = builder.header("retry-after", seconds);
    }
    builder.body(Body::from(answer.body)).unwrap_or_default()
}
