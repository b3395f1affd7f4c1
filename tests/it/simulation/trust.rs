//! The token, and the timestamp and revocation services, with real keys and
//! signatures: what they answer is judged by the service's own code.

use super::stage::Stage;
use super::weather::{Authority, Card, Weather};
use rcgen::SigningKey;
use sceau::base::Secret;
use sceau::base::hold::Conductor;
use sceau::http::{self, HttpError, Request, Response, Transport};
use sceau::token::{Identity, LastTry, PinEntry, Token, TokenError, TokenStatus};
use sceau::trust::{AlgorithmPolicy, Settings, TsaEvidence, TsaSettings};
use sceau::x509::SignatureAlgorithm;
use sceau::x509::ocsp::CertIdDigest;
use sceau::x509::testing::{Builder, Ocsp, Party, Stamp, TIME_STAMPING, read_request};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// `digitalSignature` and `nonRepudiation` of `keyUsage`.
const DIGITAL: u8 = 0b1000_0000;
const CONTENT: u8 = 0b0100_0000;
/// Longest call to a service or the card, in milliseconds.
const CALL_MS_MAX: u64 = 2_000;

/// Everybody whose key signs; made once for all simulations.
struct Parties {
    root: Party,
    ca: Party,
    signer: Party,
    tsa: Party,
}

fn parties() -> &'static Parties {
    static PARTIES: OnceLock<Parties> = OnceLock::new();
    PARTIES.get_or_init(|| {
        let root = Builder::new("Simulated Root").ca(None).build(None);
        let ca = Builder::new("Simulated CA").serial(&[0x0c]).ca(Some(0));
        let ca = ca.ocsp_url("http://ocsp.test/ca").build(Some(&root));
        let signer = Builder::new("Simulated Signer")
            .serial(&[0x05])
            .usage(CONTENT);
        let signer = signer.ocsp_url("http://ocsp.test/signer").build(Some(&ca));
        let tsa = Builder::new("Simulated TSA").serial(&[0x07]).usage(DIGITAL);
        let tsa = tsa
            .purposes(true, &[TIME_STAMPING])
            .ocsp_url("http://ocsp.test/tsa");
        let tsa = tsa.build(Some(&ca));
        Parties {
            root,
            ca,
            signer,
            tsa,
        }
    })
}

/// SHA-256 of the certificate that everybody signs with.
pub fn certificate() -> [u8; 32] {
    parties().signer.cert.sha256()
}

pub fn settings() -> Settings {
    Settings {
        anchors: vec![parties().root.cert.clone()],
        timestamp_authorities: vec![TsaSettings {
            name: "simulated".into(),
            url: "http://tsa.test/".into(),
            policy: None,
            evidence: TsaEvidence::IssuedSince,
        }],
        authority_pause: Duration::from_secs(30),
        // Real time, which does not count here.
        authority_slow: Duration::from_secs(1 << 30),
        clock_tolerance: Duration::from_secs(60),
        revocation_skew: Duration::ZERO,
        ocsp_cert_id: CertIdDigest::Sha1,
        ocsp_nonce: false,
        algorithms: policy(),
        cache_folder: None,
        http: http::Settings::default(),
    }
}

fn policy() -> AlgorithmPolicy {
    static POLICY: OnceLock<AlgorithmPolicy> = OnceLock::new();
    POLICY.get_or_init(AlgorithmPolicy::built_in).clone()
}

/// What goes wrong in a call to a part around the process.
pub fn trouble(stage: &Stage, weather: &Weather) {
    let (panics, hangs) = {
        let now = weather.now();
        (now.panics, now.hangs)
    };
    if stage.chance(|chance| chance.permille(panics)) {
        // As a parser's defect would, without the words of a panic.
        std::panic::resume_unwind(Box::new("a planted panic"));
    }
    if stage.chance(|chance| chance.permille(hangs)) {
        stage.sleep(Duration::from_secs(400));
    }
}

/// A call that never returns. Its claim has to run out, so that another worker
/// takes the document on.
pub fn for_ever(stage: &Stage, weather: &Weather) {
    let hangs = {
        let mut now = weather.now();
        let hangs = now.hangs > 0 && now.hangs_left > 0 && stage.chance(|c| c.permille(100));
        now.hangs_left -= usize::from(hangs);
        hangs
    };
    if hangs {
        stage.sleep(Duration::from_secs(1 << 40));
    }
}

/// The card in its reader.
pub struct Reader {
    pub stage: Arc<Stage>,
    pub weather: Arc<Weather>,
}

impl Reader {
    fn there(&self) -> Result<(), TokenError> {
        match self.weather.now().card {
            Card::There => Ok(()),
            Card::Away => Err(TokenError::Absent),
            Card::Locked => Err(TokenError::Locked),
            Card::Crashes => Err(TokenError::WorkerDied { operation: "sign" }),
        }
    }
}

impl Token for Reader {
    fn identities(&self) -> Result<Vec<Identity>, TokenError> {
        if self.weather.now().card == Card::Away {
            return Err(TokenError::Absent);
        }
        Ok(vec![Identity {
            certificate: parties().signer.cert.clone(),
            chain: vec![parties().ca.cert.clone()],
            token_label: "simulated".into(),
            token_serial: "1".into(),
            always_authenticate: false,
        }])
    }

    fn status(&self) -> TokenStatus {
        TokenStatus::Ready
    }

    fn pin_entry(&self) -> PinEntry {
        PinEntry::Keyboard
    }

    fn unlock(&self, _pin: Option<Secret>, _last_try: LastTry) -> Result<(), TokenError> {
        Ok(())
    }

    fn lock(&self) {}

    fn sign(
        &self,
        _certificate: &[u8; 32],
        _algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, TokenError> {
        self.there()?;
        self.stage.reached("card");
        for_ever(&self.stage, &self.weather);
        trouble(&self.stage, &self.weather);
        let pause = self.stage.chance(|chance| chance.millis(CALL_MS_MAX));
        self.stage.sleep(pause);
        // It may have been pulled out meanwhile.
        self.there()?;
        parties()
            .signer
            .key
            .sign(message)
            .map_err(|_| TokenError::Algorithm)
    }
}

/// The way to timestamp and revocation services.
pub struct Network {
    pub stage: Arc<Stage>,
    pub weather: Arc<Weather>,
}

impl Transport for Network {
    fn send_until(
        &self,
        request: Request<'_>,
        _end: Option<Instant>,
    ) -> Result<Response, HttpError> {
        let url = request.url;
        let stamps = url.starts_with("http://tsa.test");
        self.stage.reached(if stamps { "tsa" } else { "ocsp" });
        trouble(&self.stage, &self.weather);
        let pause = self.stage.chance(|chance| chance.millis(CALL_MS_MAX));
        self.stage.sleep(pause);
        let now = self.weather.now().clone();
        let mood = if stamps { now.stamps } else { now.revocation };
        let (url, reason) = (url.to_owned(), "simulated".to_owned());
        let lies = match mood {
            Authority::Unreachable => return Err(HttpError::Connect { url, reason }),
            Authority::Silent => return Err(HttpError::AnswerLost { url, reason }),
            Authority::Overloaded => return Ok(answer(503, Vec::new())),
            Authority::Answers => false,
            Authority::Lies => true,
        };
        let body = match (stamps, request.body) {
            (true, Some(body)) => self.stamp(&body, lies),
            _ => self.standing(&url, lies),
        };
        Ok(answer(200, body))
    }
}

impl Network {
    fn stamp(&self, request: &[u8], lies: bool) -> Vec<u8> {
        let (mut imprint, nonce) = read_request(request);
        if lies {
            imprint[0] ^= 1;
        }
        let stamp = Stamp::new(imprint, &nonce, self.stage.true_time());
        let Parties { tsa, ca, .. } = parties();
        stamp.response(tsa, std::slice::from_ref(&ca.cert))
    }

    /// A lie is an answer of yesterday.
    fn standing(&self, url: &str, lies: bool) -> Vec<u8> {
        let Parties {
            root,
            ca,
            signer,
            tsa,
        } = parties();
        let now = self.stage.true_time();
        let good = Ocsp::good(if lies { now - time::Duration::DAY } else { now });
        match url {
            "http://ocsp.test/signer" => good.sign(&signer.cert, &ca.cert, ca),
            "http://ocsp.test/tsa" => good.sign(&tsa.cert, &ca.cert, ca),
            _ => good.sign(&ca.cert, &root.cert, root),
        }
    }
}

fn answer(status: u16, body: Vec<u8>) -> Response {
    Response {
        status,
        content_type: String::new(),
        retry_after: None,
        body,
    }
}
