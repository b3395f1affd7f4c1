//! The one outbound HTTP client. Callers are worker threads, so it blocks.
//! It keeps connections, bounds sizes and times, and says whether a failed
//! request can have reached the other side. Only a GET follows redirects, a few,
//! where its caller allows them, and never from `https` to `http`: a POST that is
//! redirected may lose its body (RFC 9110 §15.4) and belongs to its own address.
//! Nobody outside sends it to another machine inside.
//! It knows nothing of forms, SOAP or ASN.1.

use crate::base::{Secret, causes};
use reqwest::blocking::Response as Answer;
use std::io::Read;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Trust and identity of one client.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// PEM certificates trusted for TLS *instead of* the system's; empty means
    /// the system's store.
    pub tls_anchors_pem: Vec<u8>,
    /// PEM certificate chain and private key presented to the server (mTLS).
    pub identity_pem: Option<Secret>,
    /// Time allowed for the TCP and TLS handshakes.
    pub connect_timeout: Duration,
    /// Time allowed for a whole exchange.
    pub timeout: Duration,
    /// Most redirects a GET follows.
    pub redirects_max: usize,
}

/// A client with its own connection pool. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    inner: reqwest::blocking::Client,
    timeout: Duration,
    redirects_max: usize,
}

/// A request. `body: None` is a GET, otherwise a POST.
#[derive(Debug)]
pub struct Request<'a> {
    /// Absolute `http` or `https` address.
    pub url: &'a str,
    /// Header names and values.
    pub headers: &'a [(&'a str, &'a str)],
    /// Body of a POST.
    pub body: Option<Vec<u8>>,
    /// Largest answer body accepted, in bytes.
    pub answer_bytes_max: usize,
}

/// An answer of any status: status codes are the caller's to judge.
#[derive(Debug, Clone)]
pub struct Response {
    /// HTTP status code.
    pub status: u16,
    /// `Content-Type` without parameters, lower case; empty when absent.
    pub content_type: String,
    /// `Retry-After` in seconds, when given as a number.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The client cannot be made from its settings.
    #[error("cannot set up the HTTP client: {0}")]
    Setup(String),
    /// No connection was made: nothing left this machine.
    #[error("cannot connect to {url}: {reason}")]
    Connect {
        /// Address asked for.
        url: String,
        /// The chain of causes.
        reason: String,
    },
    /// The request may have been received: the answer is lost.
    #[error("no answer from {url}: {reason}")]
    AnswerLost {
        /// Address asked for.
        url: String,
        /// The chain of causes.
        reason: String,
    },
    /// The answer is larger than the caller's limit.
    #[error("the answer from {url} exceeds {limit_bytes} bytes")]
    TooLarge {
        /// Address asked for.
        url: String,
        /// The limit.
        limit_bytes: usize,
    },
}

/// What carries requests: the client, or what a simulation plays.
pub trait Transport: Send + Sync {
    /// As [`Client::send_until`].
    ///
    /// # Errors
    /// See [`HttpError`].
    fn send_until(&self, request: Request<'_>, end: Option<Instant>)
    -> Result<Response, HttpError>;
}

impl Transport for Client {
    fn send_until(
        &self,
        request: Request<'_>,
        end: Option<Instant>,
    ) -> Result<Response, HttpError> {
        Self::send_until(self, request, end)
    }
}

impl Client {
    /// Makes a client, which goes through the system's proxy if there is one.
    ///
    /// # Errors
    /// [`HttpError::Setup`] when a certificate or key cannot be read.
    pub fn new(settings: &Settings) -> Result<Self, HttpError> {
        Self::build(builder(), settings)
    }

    /// Makes a client for addresses on this machine: whatever proxy is set up,
    /// it never sees what is said there.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn loopback(settings: &Settings) -> Result<Self, HttpError> {
        Self::build(builder().no_proxy(), settings)
    }

    fn build(
        builder: reqwest::blocking::ClientBuilder,
        settings: &Settings,
    ) -> Result<Self, HttpError> {
        let setup = |e: reqwest::Error| HttpError::Setup(causes(&e));
        let mut builder = builder
            .use_rustls_tls()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.timeout)
            .tcp_nodelay(true)
            .user_agent(concat!("sceau/", env!("CARGO_PKG_VERSION")));
        if !settings.tls_anchors_pem.is_empty() {
            let anchors =
                reqwest::Certificate::from_pem_bundle(&settings.tls_anchors_pem).map_err(setup)?;
            builder = builder.tls_certs_only(anchors);
        }
        if let Some(identity) = &settings.identity_pem {
            let identity = reqwest::Identity::from_pem(identity.expose()).map_err(setup)?;
            builder = builder.identity(identity);
        }
        let inner = builder.build().map_err(setup)?;
        Ok(Self {
            inner,
            timeout: settings.timeout,
            redirects_max: settings.redirects_max,
        })
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// Says apart whether the request can have arrived; see [`HttpError`].
    pub fn send(&self, request: Request<'_>) -> Result<Response, HttpError> {
        self.send_until(request, None)
    }

    /// The same with an end to all its exchanges together.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn send_until(
        &self,
        request: Request<'_>,
        end: Option<Instant>,
    ) -> Result<Response, HttpError> {
        let mut url = request.url.to_owned();
        let follow = match request.body {
            None => self.redirects_max,
            Some(_) => 0,
        };
        let mut answer = self.once(&url, request.headers, request.body, end)?;
        for _ in 0..follow {
            let Some(next) = redirect(&url, &answer) else {
                break;
            };
            url = next;
            answer = self.once(&url, request.headers, None, end)?;
        }
        read(answer, &url, request.answer_bytes_max)
    }

    fn once(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
        end: Option<Instant>,
    ) -> Result<Answer, HttpError> {
        let mut builder = match body {
            Some(body) => self.inner.post(url).body(body),
            None => self.inner.get(url),
        };
        // The client's own limit begins anew with each part of an answer that
        // is read; the request's holds for all of it.
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        builder = builder.timeout(left.map_or(self.timeout, |left| left.min(self.timeout)));
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.send().map_err(|e| {
            if e.is_connect() || e.is_builder() {
                HttpError::Connect {
                    url: url.to_owned(),
                    reason: causes(&e),
                }
            } else {
                lost(url, causes(&e))
            }
        })
    }
}

fn lost(url: &str, reason: String) -> HttpError {
    HttpError::AnswerLost {
        url: url.to_owned(),
        reason,
    }
}

/// Where an answer sends the reader, when it may be followed.
fn redirect(from: &str, answer: &Answer) -> Option<String> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = answer.headers().get("location")?.to_str().ok()?;
    let from = reqwest::Url::parse(from).ok()?;
    let to = from.join(location).ok()?;
    let allowed = match to.scheme() {
        "https" => true,
        "http" => from.scheme() == "http",
        _ => false,
    };
    let elsewhere = to.host_str() != from.host_str();
    (allowed && !(elsewhere && is_inside(&to))).then(|| to.into())
}

/// The host of an address, as the client will understand it.
pub fn host(url: &str) -> Option<String> {
    reqwest::Url::parse(url).ok()?.host_str().map(str::to_owned)
}

/// Whether an address names, by its words or numbers, a host that only this
/// machine or its own network can reach (RFC 1918, 3927, 4193, 4291, 6598,
/// 6761, 6762). What a public name resolves to is not looked at.
pub fn is_inside_address(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| is_inside(&url))
}

fn is_inside(url: &reqwest::Url) -> bool {
    let Some(host) = url.host_str() else {
        return true;
    };
    let host = host.trim_end_matches('.');
    let number = host.trim_start_matches('[').trim_end_matches(']');
    match number.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => {
            let shared = ip.octets().first() == Some(&100) && (ip.to_bits() >> 22) & 3 == 1;
            let own = ip.is_loopback() || ip.is_private() || ip.is_link_local();
            own || shared || ip.octets().first() == Some(&0) || ip.is_broadcast()
        }
        Ok(IpAddr::V6(ip)) => {
            let own = ip.is_unique_local() || ip.is_unicast_link_local();
            own || ip.is_loopback() || ip.is_unspecified()
        }
        Err(_) => match host.rsplit_once('.') {
            Some((_, top)) => matches!(top, "localhost" | "local" | "internal" | "lan" | "home"),
            None => true,
        },
    }
}

fn read(answer: Answer, url: &str, limit: usize) -> Result<Response, HttpError> {
    let header = |name: &str| {
        let value = answer.headers().get(name).and_then(|v| v.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let content_type = header("content-type");
    let content_type = content_type.split(';').next().unwrap_or_default();
    let retry_after = header("retry-after").parse().ok().map(Duration::from_secs);
    let mut response = Response {
        status: answer.status().as_u16(),
        content_type: content_type.trim().to_ascii_lowercase(),
        retry_after,
        body: Vec::new(),
    };
    answer
        .take(limit as u64 + 1)
        .read_to_end(&mut response.body)
        .map_err(|e| lost(url, causes(&e)))?;
    if response.body.len() > limit {
        return Err(HttpError::TooLarge {
            url: url.to_owned(),
            limit_bytes: limit,
        });
    }
    Ok(response)
}

#[expect(clippy::disallowed_methods, reason = "the one outbound client")]
fn builder() -> reqwest::blocking::ClientBuilder {
    reqwest::blocking::Client::builder()
}

#[cfg(test)]
mod tests;
