//! The mySecu dialogue (`proto/mysecu/README.md`): SOAP 1.1 with WS-Security,
//! an assertion from the eHealth agency, a token for one code prestataire, and
//! one generic exchange.

pub mod answer;
pub mod exchange;
pub mod fault;
pub mod message;
pub mod names;
pub mod session;
pub mod transport;

use crate::base::{Clock, limits};
use crate::http::{self, Client, HttpError, Request};
use crate::x509::Cert;
use answer::{Given, Trust};
use fault::Trouble;
use message::{Carried, Content};
use roxmltree::Node;
use session::{Assertion, Kept, Token};
use std::sync::Arc;
use std::time::Duration;
use transport::Transport;

/// What the gateway needs to know of one environment.
#[derive(Debug)]
pub struct Settings {
    /// Address of the identity provider (step 1).
    pub identity_url: String,
    /// Address of the token service (step 2).
    pub token_url: String,
    /// Address of the exchange (step 3).
    pub exchange_url: String,
    /// The name under which we ask for assertions, and their audience.
    pub assertion_consumer: String,
    /// Our certificate and key, for TLS and for message signatures.
    pub transport: Transport,
    /// PEM certificates trusted for TLS; empty means the system's.
    pub tls_anchors_pem: Vec<u8>,
    /// Certificates trusted for the signatures of answers. Any certificate
    /// under such an authority is believed: name the narrowest one, or the
    /// signer's own certificate.
    pub answer_anchors: Vec<Cert>,
    /// Time allowed for the TCP and TLS handshakes.
    pub connect_timeout: Duration,
    /// Time allowed for a whole exchange.
    pub timeout: Duration,
}

/// Why the gateway cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Answers could not be verified.
    #[error("no anchor for the signatures of answers is configured")]
    ReadAnchors,
    /// TLS anchors or transport identity do not suit the HTTP client.
    #[error(transparent)]
    OpenClient(#[from] HttpError),
}

/// A connection to mySecu.
pub struct MySecu {
    settings: Settings,
    client: Client,
    trust: Trust,
    clock: Arc<dyn Clock>,
    /// By eHealth ID.
    assertions: Kept<String, Assertion>,
    /// By eHealth ID and code prestataire.
    tokens: Kept<(String, String), Token>,
}

/// One request.
struct Call<'a> {
    url: &'a str,
    action: &'a str,
    carried: Carried<'a>,
    content: Content<'a>,
}

impl MySecu {
    /// Sets up the gateway; connects to nothing.
    ///
    /// # Errors
    /// See [`SetupError`].
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        if settings.answer_anchors.is_empty() {
            return Err(SetupError::ReadAnchors);
        }
        let client = Client::new(&http::Settings {
            tls_anchors_pem: settings.tls_anchors_pem.clone(),
            identity_pem: Some(settings.transport.pem().clone()),
            redirects_max: 0,
            connect_timeout: settings.connect_timeout,
            timeout: settings.timeout,
        })?;
        let trust = Trust {
            anchors: settings.answer_anchors.clone(),
            helpers: settings.transport.chain().to_vec(),
            own: settings.transport.certificate().clone(),
        };
        Ok(Self {
            settings,
            client,
            trust,
            clock,
            assertions: Kept::default(),
            tokens: Kept::default(),
        })
    }

    /// Signs and sends one request, verifies the answer and lets `read` see it.
    fn call<T>(
        &self,
        call: &Call<'_>,
        read: impl FnOnce(Node<'_, '_>) -> Result<T, Box<Trouble>>,
    ) -> Result<Given<T>, Box<Trouble>> {
        let now = self.clock.now();
        let body = message::build(&self.settings.transport, call.carried, &call.content, now)
            .map_err(|error| Trouble::here("message", &error.to_string()))?;
        let action = format!("\"{}\"", call.action);
        let request = Request {
            url: call.url,
            headers: &[
                ("Content-Type", "text/xml; charset=utf-8"),
                ("SOAPAction", &action),
            ],
            body: Some(body),
            answer_bytes_max: limits::SOAP_BYTES_MAX,
        };
        let response = self.client.send(request).map_err(|error| {
            let code = match error {
                HttpError::Setup(_) | HttpError::Connect { .. } => "connect",
                HttpError::AnswerLost { .. } => "answer-lost",
                HttpError::TooLarge { .. } => "answer-too-large",
            };
            Trouble::here(code, &error.to_string())
        })?;
        // The clock is read again: the answer's age counts from its arrival.
        answer::read(response, &self.trust, self.clock.now(), read)
    }

    /// An HTTP answer of any kind proves that name, network and TLS work.
    fn reach(&self, url: &str) -> Result<(), String> {
        let request = Request {
            url,
            headers: &[],
            body: None,
            answer_bytes_max: limits::RESPONSE_BYTES_MAX,
        };
        match self.client.send(request) {
            Ok(_) | Err(HttpError::TooLarge { .. }) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}
