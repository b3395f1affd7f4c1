//! PKCS#11 tokens. The vendor's module is loaded by a worker process and never
//! by the daemon: a module that crashes, hangs or prints costs one restart.
//!
//! `Pkcs11Token` hands each order to a supervisor thread, which owns the worker
//! and keeps the rules: a deadline for every call, restarts with back-off, and
//! one login at most for one PIN entry.

mod approval;
mod mechanism;
mod module;
mod process;
mod protocol;
mod session;
mod supervisor;
mod worker;

pub use process::WorkerCommand;
pub use worker::run_worker;

use super::{Identity, LastTry, PinEntry, PinSession, Token, TokenError, TokenStatus, fits};
use crate::base::clock::Clock;
use crate::base::{Secret, SystemClock, hex};
use crate::x509::{self, KeyKind, SignatureAlgorithm};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use supervisor::{Order, Supervisor};

/// Longest PIN taken, in bytes (PKCS#11 leaves it to the token; none has more).
const PIN_BYTES_MAX: usize = 255;

/// Where the token is and how it is watched.
#[derive(Clone)]
pub struct Settings {
    /// The vendor's module.
    pub module: PathBuf,
    /// SHA-256 of the module as it was approved; no other file is loaded.
    pub module_sha256: Option<[u8; 32]>,
    /// Serial number of the token to use; may be left out with one token.
    pub token_serial: Option<String>,
    /// SHA-256 of a certificate the token must hold; tells slots of one card
    /// apart.
    pub certificate_sha256: Option<[u8; 32]>,
    /// A file with the PIN, for security modules without a person at hand.
    pub pin_file: Option<PathBuf>,
    /// Where it is noted that the PIN file was tried and did not open the token,
    /// so that a restarted daemon does not try it again.
    pub pin_file_note: Option<PathBuf>,
    /// How far a person's PIN entry goes.
    pub session: SessionLimits,
    /// Tells when a session ends.
    pub clock: Arc<dyn Clock>,
    /// The program that runs [`run_worker`].
    pub worker: WorkerCommand,
    /// How long a call may take.
    pub deadlines: Deadlines,
    /// Rest before each restart of a failed worker; the last is used again.
    pub backoff: Vec<Duration>,
    /// After more failures than [`CRASHES_MAX`] within this time the worker
    /// rests for as long.
    pub quarantine: Duration,
    /// How often the presence of the token is looked at.
    pub poll: Duration,
}

/// Failures of a worker within [`Settings::quarantine`] that are answered by a
/// restart.
pub const CRASHES_MAX: usize = 5;

/// How far one PIN entry of a person goes. Whatever is reached first logs out;
/// a PIN file knows no such end.
#[derive(Debug, Clone, Copy, Default)]
pub struct SessionLimits {
    /// Uses of the key; a form is two. `None`: any number.
    pub signatures: Option<NonZeroU32>,
    /// Time since the login. `None`: any.
    pub time: Option<Duration>,
}

/// How long a call into the module may take before the worker is killed.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// Loading the module, finding the token, reading its certificates.
    pub init: Duration,
    /// Login and logout.
    pub login: Duration,
    /// What a person needs to enter a PIN on the reader; such a login or
    /// signature has this on top.
    pub reader: Duration,
    /// One signature.
    pub sign: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            init: Duration::from_secs(20),
            login: Duration::from_secs(30),
            // With the login's own time less than what an HTTP client of this
            // program waits.
            reader: Duration::from_secs(90),
            sign: Duration::from_secs(15),
        }
    }
}

impl Settings {
    /// Settings with the usual times, for one module.
    pub fn new(module: PathBuf, worker: WorkerCommand) -> Self {
        Self {
            module,
            module_sha256: None,
            token_serial: None,
            certificate_sha256: None,
            pin_file: None,
            pin_file_note: None,
            session: SessionLimits::default(),
            clock: SystemClock::shared(),
            worker,
            deadlines: Deadlines::default(),
            backoff: [1, 2, 5, 15, 60].map(Duration::from_secs).to_vec(),
            quarantine: Duration::from_secs(600),
            poll: Duration::from_secs(1),
        }
    }
}

/// Reads bytes as a run of frames, once as the worker and once as the daemon
/// would, and counts the frames read. Public for the fuzz target and the tests
/// of hostile input alone: nobody else speaks the protocol.
#[doc(hidden)]
pub fn read_frames(bytes: &[u8]) -> [usize; 2] {
    fn count<T: serde::de::DeserializeOwned>(mut bytes: &[u8]) -> usize {
        let frames = std::iter::from_fn(|| protocol::read::<T>(&mut bytes).ok().flatten());
        frames.count()
    }
    [
        count::<protocol::Request>(bytes),
        count::<protocol::Answer>(bytes),
    ]
}

/// A token behind a PKCS#11 module.
pub struct Pkcs11Token {
    orders: Option<Sender<Order>>,
    view: Arc<Mutex<View>>,
    supervisor: Option<JoinHandle<()>>,
}

/// What the supervisor last saw.
struct View {
    status: TokenStatus,
    identities: Vec<Identity>,
    pin_entry: PinEntry,
    session: Option<PinSession>,
}

fn lock(view: &Mutex<View>) -> MutexGuard<'_, View> {
    view.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pkcs11Token {
    /// Starts the supervisor and returns at once; a missing token, module or
    /// worker shows in the status. Errors: the thread cannot be started.
    pub fn start(settings: Settings) -> std::io::Result<Self> {
        let view = Arc::new(Mutex::new(View {
            status: TokenStatus::Starting,
            identities: Vec::new(),
            pin_entry: PinEntry::Keyboard,
            session: None,
        }));
        let (orders, inbox) = channel();
        let supervisor = Supervisor::new(settings, Arc::clone(&view));
        let supervisor = std::thread::Builder::new()
            .name("token".into())
            .spawn(move || supervisor.run(&inbox))?;
        Ok(Self {
            orders: Some(orders),
            view,
            supervisor: Some(supervisor),
        })
    }

    /// Gives an order and waits for its answer; the supervisor's deadlines
    /// bound the wait.
    fn ask<T>(
        &self,
        order: impl FnOnce(Sender<Result<T, TokenError>>) -> Order,
    ) -> Result<T, TokenError> {
        let gone = TokenError::WorkerDied {
            operation: "supervise",
        };
        let (reply, answer) = channel();
        let sent = self.orders.as_ref().map(|orders| orders.send(order(reply)));
        match (sent, answer.recv()) {
            (Some(Ok(())), Ok(result)) => result,
            _ => Err(gone),
        }
    }
}

impl Token for Pkcs11Token {
    fn identities(&self) -> Result<Vec<Identity>, TokenError> {
        if self.status() == TokenStatus::Starting {
            self.ask(Order::Settle)?;
        }
        let view = lock(&self.view);
        match supervisor::trouble(&view.status) {
            None | Some(TokenError::Locked | TokenError::PinLocked) => Ok(view.identities.clone()),
            Some(error) => Err(error),
        }
    }

    fn status(&self) -> TokenStatus {
        lock(&self.view).status.clone()
    }

    fn pin_entry(&self) -> PinEntry {
        lock(&self.view).pin_entry
    }

    fn session(&self) -> Option<PinSession> {
        lock(&self.view).session
    }

    fn unlock(&self, pin: Option<Secret>, last_try: LastTry) -> Result<(), TokenError> {
        let size = pin.as_ref().map(|pin| pin.expose().len());
        if size.is_some_and(|size| size == 0 || size > PIN_BYTES_MAX) {
            return Err(TokenError::PinMalformed);
        }
        self.ask(|reply| Order::Unlock {
            pin,
            last_try,
            reply,
        })
    }

    fn lock(&self) {
        // Without a supervisor there is no worker either, hence no login.
        let _ = self.ask(Order::Lock);
    }

    fn sign(
        &self,
        certificate_sha256: &[u8; 32],
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, TokenError> {
        let found = lock(&self.view)
            .identities
            .iter()
            .find(|identity| identity.certificate.sha256() == *certificate_sha256)
            .map(|identity| identity.certificate.clone());
        let certificate = match found {
            Some(certificate) => certificate,
            // Not seen yet, or gone: the identities say which.
            None => self
                .identities()?
                .into_iter()
                .map(|identity| identity.certificate)
                .find(|certificate| certificate.sha256() == *certificate_sha256)
                .ok_or(TokenError::NoSuchCertificate)?,
        };
        fits(algorithm, certificate.key())?;
        let signature = self.ask(|reply| Order::Sign {
            certificate: hex::encode(certificate_sha256),
            algorithm,
            message: message.to_vec(),
            reply,
        })?;
        let signature = match certificate.key() {
            KeyKind::P256 | KeyKind::P384 => x509::ecdsa_fixed_to_der(&signature),
            KeyKind::Rsa { .. } | KeyKind::Other => signature,
        };
        // Cheap, and the only proof that key, certificate and answer belong
        // together.
        x509::verify(&certificate, algorithm, message, &signature)
            .map_err(|_| TokenError::BadSignature)?;
        Ok(signature)
    }
}

impl Drop for Pkcs11Token {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(supervisor) = self.supervisor.take() {
            // A panic there has nothing left to clean up here.
            let _ = supervisor.join();
        }
    }
}
