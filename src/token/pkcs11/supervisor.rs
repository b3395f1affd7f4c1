//! The thread that owns a worker process: starts it, opens the token, watches
//! deadlines, restarts what died, and keeps the PIN rules.

use super::approval;
use super::mechanism;
use super::process::{CallError, Worker};
use super::protocol::{Answer, Fault, FaultKind, KeyFact, Opened, PinFlags, Request};
use super::session::Budget;
use super::{CRASHES_MAX, Settings, View, lock};
use crate::base::{Secret, file, hex};
use crate::token::{
    DriverFault, Identity, LastTry, PinEntry, PinWarning, TokenError, TokenStatus, signing_first,
};
use crate::x509::{Cert, SignatureAlgorithm};
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Fruitless looks for a token after which the worker is replaced: some
/// modules see only the readers that were there when they were initialised.
const FRUITLESS_LOOKS_MAX: u32 = 10;

/// How often, and how many times, a token is looked for after a signature that
/// failed for no reason given: pcscd itself looks every 0.4 s.
const REMOVAL_LOOK: Duration = Duration::from_millis(400);
const REMOVAL_LOOKS_MAX: u32 = 6;

type ReplyTo<T> = Sender<Result<T, TokenError>>;

/// What the rest of the daemon asks of the supervisor.
pub(super) enum Order {
    /// Look at the token, then answer.
    Settle(ReplyTo<()>),
    Unlock {
        /// None: on the reader.
        pin: Option<Secret>,
        last_try: LastTry,
        reply: ReplyTo<()>,
    },
    Lock(ReplyTo<()>),
    Sign {
        certificate: String,
        algorithm: SignatureAlgorithm,
        message: Vec<u8>,
        reply: ReplyTo<Vec<u8>>,
    },
}

pub(super) struct Supervisor {
    settings: Settings,
    view: Arc<Mutex<View>>,
    worker: Option<Worker>,
    opened: Option<Opened>,
    /// The serial number of a token that refused a PIN since: some tell no
    /// warning themselves.
    refused: Option<String>,
    /// The keys found after login.
    keys: Option<Vec<KeyFact>>,
    /// What is left of the PIN entry of the person who unlocked it.
    session: Option<Budget>,
    crashes: VecDeque<Instant>,
    rest_until: Option<Instant>,
    fruitless: u32,
    /// Whether the PIN file may be used. Once a login with it failed it may
    /// not: a wrong file must not use up the attempts, restart by restart.
    pin_file: PinFile,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PinFile {
    Usable,
    Unusable,
}

/// The error that stands for a status in which the token does not sign.
pub(super) fn trouble(status: &TokenStatus) -> Option<TokenError> {
    Some(match status {
        TokenStatus::Ready => return None,
        TokenStatus::Starting | TokenStatus::Restarting { .. } => TokenError::Restarting,
        TokenStatus::Absent => TokenError::Absent,
        TokenStatus::Wrong { detail } => TokenError::Wrong {
            detail: detail.clone(),
        },
        TokenStatus::Locked { .. } => TokenError::Locked,
        TokenStatus::Blocked => TokenError::PinLocked,
        TokenStatus::Quarantined { .. } => TokenError::Quarantined,
        TokenStatus::Unusable { detail } => TokenError::Unusable {
            detail: detail.clone(),
        },
    })
}

impl Supervisor {
    pub(super) fn new(settings: Settings, view: Arc<Mutex<View>>) -> Self {
        let noted = settings.pin_file_note.as_ref().filter(|note| note.exists());
        if let Some(note) = noted {
            let note = note.display();
            tracing::warn!(%note, "the PIN file did not open the token before; unlock it once by hand, or put the PIN file right and remove the note");
        }
        let pin_file = match (&settings.pin_file, noted) {
            (Some(_), None) => PinFile::Usable,
            (Some(_), Some(_)) | (None, _) => PinFile::Unusable,
        };
        Self {
            settings,
            view,
            worker: None,
            opened: None,
            refused: None,
            keys: None,
            session: None,
            crashes: VecDeque::new(),
            rest_until: None,
            fruitless: 0,
            pin_file,
        }
    }

    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        loop {
            self.end_session_in_time();
            self.settle();
            match orders.recv_timeout(self.patience()) {
                Ok(order) => {
                    // The last look may be a whole poll ago.
                    self.end_session_in_time();
                    self.settle();
                    self.obey(order);
                }
                Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Some(worker) = self.worker.take() {
            worker.dismiss();
        }
    }

    /// How long to wait for an order before looking at the token again.
    fn patience(&self) -> Duration {
        let rest = self
            .rest_until
            .map(|until| until.saturating_duration_since(Instant::now()));
        // Never zero, so that a rest that just ended cannot spin.
        rest.unwrap_or(self.settings.poll)
            .clamp(Duration::from_millis(1), self.settings.poll)
    }

    fn obey(&mut self, order: Order) {
        // An order that nobody waits for any more needs no answer.
        match order {
            Order::Settle(reply) => {
                let _ = reply.send(Ok(()));
            }
            Order::Unlock {
                pin,
                last_try,
                reply,
            } => {
                let result = self.unlock(pin.as_ref(), last_try);
                let _ = reply.send(result);
            }
            Order::Lock(reply) => {
                self.lock();
                let _ = reply.send(Ok(()));
            }
            Order::Sign {
                certificate,
                algorithm,
                message,
                reply,
            } => {
                let result = self.sign(&certificate, algorithm, &message);
                let _ = reply.send(result);
            }
        }
    }

    /// Goes as far towards a usable token as is possible without a person.
    fn settle(&mut self) {
        if !self.awake() || !self.started() || !self.open() {
            return;
        }
        if self.keys.is_none() && self.pin_file == PinFile::Usable {
            self.login_from_file();
        }
    }

    fn awake(&mut self) -> bool {
        if self.rest_until.is_some_and(|until| until > Instant::now()) {
            return false;
        }
        self.rest_until = None;
        true
    }

    fn started(&mut self) -> bool {
        if self.worker.is_some() {
            return true;
        }
        let sha256 = self.settings.module_sha256.as_ref();
        if let Err(detail) = approval::approve(&self.settings.module, sha256) {
            self.unusable(detail);
            return false;
        }
        match Worker::start(&self.settings.worker, &self.settings.module) {
            Ok(worker) => self.worker = Some(worker),
            Err(error) => {
                self.unusable(format!("the worker cannot be started: {error}"));
                return false;
            }
        }
        match self.call(&Request::Init, &[], self.settings.deadlines.init) {
            Ok(_) => true,
            Err(CallError::Fault(fault)) => {
                self.unusable(fault.detail);
                false
            }
            Err(CallError::Hung | CallError::Died) => false,
        }
    }

    /// Locked, with what the token and we know about its PIN.
    fn locked(&self, flags: PinFlags) -> TokenStatus {
        if flags.locked {
            return TokenStatus::Blocked;
        }
        let serial = self.opened.as_ref().map(|opened| &opened.serial);
        let refused = serial.is_some() && serial == self.refused.as_ref();
        let warning = match (flags.final_try, flags.count_low || refused) {
            (true, _) => Some(PinWarning::FinalTry),
            (false, true) => Some(PinWarning::CountLow),
            (false, false) => None,
        };
        TokenStatus::Locked { warning }
    }

    /// A person must act; try again at the longest interval.
    fn unusable(&mut self, detail: String) {
        tracing::warn!(detail, "token cannot be used");
        if let Some(worker) = self.worker.take() {
            worker.kill();
        }
        self.forget_token(TokenStatus::Unusable { detail });
        let rest = self
            .settings
            .backoff
            .last()
            .copied()
            .unwrap_or(self.settings.poll);
        self.rest_until = Some(Instant::now() + rest);
    }

    fn open(&mut self) -> bool {
        if self.opened.is_some() {
            return true;
        }
        let request = Request::Open {
            serial: self.settings.token_serial.clone(),
            certificate: self
                .settings
                .certificate_sha256
                .map(|sha256| hex::encode(&sha256)),
        };
        match self.call(&request, &[], self.settings.deadlines.init) {
            Ok((Answer::Opened(opened), _)) => {
                self.fruitless = 0;
                self.keys = opened.keys.clone();
                let flags = opened.flags;
                self.opened = Some(opened);
                let status = match self.keys {
                    Some(_) => TokenStatus::Ready,
                    None => self.locked(flags),
                };
                self.publish(status);
                true
            }
            Ok(_) => {
                self.failed("open", DriverFault::Crashed);
                false
            }
            Err(CallError::Fault(fault)) => {
                self.not_opened(fault);
                false
            }
            Err(CallError::Hung | CallError::Died) => false,
        }
    }

    fn not_opened(&mut self, fault: Fault) {
        let Fault { kind, detail } = fault;
        tracing::debug!(reason = detail, "no token opened");
        self.forget_token(match kind {
            FaultKind::Absent | FaultKind::SessionLost => TokenStatus::Absent,
            FaultKind::Wrong => TokenStatus::Wrong { detail },
            FaultKind::Several
            | FaultKind::Module
            | FaultKind::PinIncorrect
            | FaultKind::PinLocked
            | FaultKind::PinCancelled
            | FaultKind::NotLoggedIn
            | FaultKind::NoKey
            | FaultKind::General
            | FaultKind::Refused => TokenStatus::Unusable { detail },
        });
        if kind == FaultKind::Several {
            return;
        }
        self.fruitless += 1;
        if self.fruitless >= FRUITLESS_LOOKS_MAX {
            self.fruitless = 0;
            if let Some(worker) = self.worker.take() {
                worker.dismiss();
            }
        }
    }

    /// Looks whether the token is still there.
    fn look(&mut self) {
        // What is wrong has been noted by the call; settling comes next.
        if self.opened.is_none() || self.check().is_err() {
            return;
        }
        // A card that was slow to show what it has needs no other PIN.
        if !self.keys.as_ref().is_some_and(Vec::is_empty) {
            return;
        }
        let answer = self.call(&Request::Reread, &[], self.settings.deadlines.init);
        if let (Ok((Answer::Reread { certificates, keys }, _)), Some(opened)) =
            (answer, &mut self.opened)
        {
            opened.certificates = certificates;
            self.keys = Some(keys);
            self.publish(TokenStatus::Ready);
        }
    }

    fn check(&mut self) -> Result<PinFlags, CallError> {
        match self.call(&Request::Check, &[], self.settings.deadlines.init) {
            Ok((Answer::Checked { flags }, _)) => {
                if let Some(opened) = &mut self.opened {
                    opened.flags = flags;
                }
                Ok(flags)
            }
            Ok(_) => Err(self.failed("check", DriverFault::Crashed)),
            Err(CallError::Fault(fault)) => {
                self.forget_token(TokenStatus::Absent);
                Err(CallError::Fault(fault))
            }
            Err(gone) => Err(gone),
        }
    }

    fn unlock(&mut self, pin: Option<&Secret>, last_try: LastTry) -> Result<(), TokenError> {
        // A person stands at the machine: look now, whatever happened before.
        self.rest_until = None;
        self.crashes.clear();
        self.settle();
        if self.opened.is_some() && self.keys.is_none() && self.check().is_err() {
            // Another card, or the same one put back: open it, once.
            self.settle();
        }
        if self.keys.is_some() {
            return Ok(());
        }
        let Some(flags) = self.opened.as_ref().map(|opened| opened.flags) else {
            return Err(self.trouble());
        };
        if flags.locked {
            self.publish(TokenStatus::Blocked);
            return Err(TokenError::PinLocked);
        }
        if flags.final_try && last_try == LastTry::Refuse {
            self.publish(self.locked(flags));
            return Err(TokenError::FinalTry);
        }
        match (self.pin_on_reader(), pin) {
            (true, Some(_)) => Err(TokenError::PinOnReader),
            (false, None) => Err(TokenError::PinMalformed),
            (true, None) | (false, Some(_)) => {
                self.login(pin)?;
                let session = Budget::begin(self.settings.session, &self.settings.clock);
                self.session = Some(session);
                self.show_session();
                Ok(())
            }
        }
    }

    /// What is left of the session, for the others to see.
    fn show_session(&self) {
        lock(&self.view).session = self.session.as_ref().map(Budget::left);
    }

    /// Logs out when the session of the person who unlocked it is over.
    fn end_session_in_time(&mut self) {
        if let Some(why) = self.session.as_ref().and_then(Budget::over) {
            tracing::info!(why, "PIN session ended");
            self.log_out();
        }
    }

    fn pin_on_reader(&self) -> bool {
        self.opened
            .as_ref()
            .is_some_and(|token| token.pin_on_reader)
    }

    fn login_from_file(&mut self) {
        let Some(flags) = self.opened.as_ref().map(|opened| opened.flags) else {
            return;
        };
        // Any warning means that somebody entered a wrong PIN, perhaps from
        // this very file before a restart: then a person must decide.
        if flags.count_low || flags.final_try || flags.locked {
            tracing::warn!("the token warns about its PIN; the PIN file is not used");
            self.pin_file = PinFile::Unusable;
            return;
        }
        if self.pin_on_reader() {
            tracing::warn!("the token takes its PIN on the reader; the PIN file is not used");
            self.pin_file = PinFile::Unusable;
            return;
        }
        let Some(path) = self.settings.pin_file.clone() else {
            return;
        };
        let outcome = match Secret::from_file(&path) {
            Ok(pin) => {
                if let Err(error) = self.note_try() {
                    tracing::warn!(%error, "the PIN file is not used: its note cannot be written");
                    self.pin_file = PinFile::Unusable;
                    return;
                }
                self.login(Some(&pin))
            }
            Err(error) => {
                tracing::warn!(%error, "the PIN file cannot be read");
                self.pin_file = PinFile::Unusable;
                return;
            }
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, "login with the PIN file failed; it is not used again");
            self.pin_file = PinFile::Unusable;
        }
    }

    /// Written before the PIN goes out, removed by a login that succeeds: also a
    /// daemon that is killed in between does not try the file again.
    fn note_try(&self) -> std::io::Result<()> {
        let note = self.settings.pin_file_note.as_ref();
        note.map_or(Ok(()), |note| file::write_atomic(note, b""))
    }

    /// Nobody knows whether the token had its PIN: a person must decide.
    fn distrust_pin_file(&mut self) {
        if self.pin_file == PinFile::Usable {
            tracing::warn!(
                "the worker failed over a key that wants the PIN each time; the PIN file is not used again"
            );
            self.pin_file = PinFile::Unusable;
            if let Err(error) = self.note_try() {
                tracing::warn!(%error, "the note on the PIN file cannot be written");
            }
        }
    }

    /// Sends the PIN once. Every end of this that is not a plain answer about
    /// the PIN leaves open whether an attempt was counted.
    fn login(&mut self, pin: Option<&Secret>) -> Result<(), TokenError> {
        let deadlines = self.settings.deadlines;
        let (pin, deadline) = match pin {
            Some(pin) => (pin.expose(), deadlines.login),
            None => (&[][..], deadlines.login + deadlines.reader),
        };
        match self.call(&Request::Login, pin, deadline) {
            Ok((Answer::LoggedIn { keys }, _)) => {
                if let Some(note) = &self.settings.pin_file_note {
                    // Mostly there is none.
                    let _ = std::fs::remove_file(note);
                }
                self.refused = None;
                self.keys = Some(keys);
                self.publish(TokenStatus::Ready);
                Ok(())
            }
            Err(CallError::Fault(fault)) if fault.kind == FaultKind::PinIncorrect => {
                self.refused = self.opened.as_ref().map(|opened| opened.serial.clone());
                if let Ok(flags) = self.check() {
                    self.publish(self.locked(flags));
                }
                Err(TokenError::PinIncorrect)
            }
            Err(CallError::Fault(fault)) if fault.kind == FaultKind::PinLocked => {
                self.publish(TokenStatus::Blocked);
                Err(TokenError::PinLocked)
            }
            Err(CallError::Fault(fault))
                if fault.kind == FaultKind::PinCancelled && self.pin_on_reader() =>
            {
                Err(TokenError::PinCancelled)
            }
            Err(CallError::Fault(fault)) => {
                tracing::warn!(code = fault.detail, "login broke off");
                // Nobody knows whether the module counts as logged in: then the
                // next PIN would pass unseen.
                if let Some(worker) = self.worker.take() {
                    worker.dismiss();
                }
                self.forget_token(TokenStatus::Starting);
                Err(TokenError::PinPossiblyUsed)
            }
            Ok(_) => {
                self.failed("login", DriverFault::Crashed);
                Err(TokenError::PinPossiblyUsed)
            }
            Err(CallError::Hung | CallError::Died) => Err(TokenError::PinPossiblyUsed),
        }
    }

    fn lock(&mut self) {
        self.pin_file = PinFile::Unusable;
        self.log_out();
    }

    fn log_out(&mut self) {
        if self.keys.is_none() {
            return;
        }
        let done = self.call(&Request::Logout, &[], self.settings.deadlines.login);
        match done {
            Ok(_) | Err(CallError::Fault(_)) => {
                // Whatever module and token think: without the worker there is
                // no login, and no copy of the PIN in the module's memory.
                if let Some(worker) = self.worker.take() {
                    worker.dismiss();
                }
                self.forget_token(TokenStatus::Starting);
                self.settle();
            }
            Err(CallError::Hung | CallError::Died) => {}
        }
    }

    fn sign(
        &mut self,
        certificate: &str,
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, TokenError> {
        match self.sign_once(certificate, algorithm, message)? {
            Signed::Done(signature) => Ok(signature),
            Signed::Again => {
                self.rest();
                self.settle();
                match self.sign_once(certificate, algorithm, message) {
                    Ok(Signed::Done(signature)) => Ok(signature),
                    Ok(Signed::Again) => Err(self.trouble()),
                    Err(TokenError::Absent) => Err(TokenError::Pulled),
                    Err(error) => Err(error),
                }
            }
        }
    }

    fn sign_once(
        &mut self,
        certificate: &str,
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Result<Signed, TokenError> {
        let (Some(opened), Some(keys)) = (self.opened.as_ref(), self.keys.as_ref()) else {
            return Err(self.trouble());
        };
        let key = keys.iter().find(|key| key.certificate == certificate);
        let key = key.ok_or(TokenError::NoSuchCertificate)?;
        let deadlines = self.settings.deadlines;
        let wants_pin = key.always_authenticate;
        let deadline = if wants_pin && opened.pin_on_reader {
            deadlines.sign + deadlines.reader
        } else {
            deadlines.sign
        };
        let (mechanism, input) = mechanism::plan(algorithm, message, &opened.mechanisms)?;
        let request = Request::Sign {
            certificate: certificate.to_owned(),
            mechanism,
        };
        if let Some(session) = &mut self.session {
            session.spend();
        }
        self.show_session();
        let answer = self.call(&request, &input, deadline);
        if wants_pin && matches!(answer, Err(CallError::Hung | CallError::Died)) {
            self.distrust_pin_file();
        }
        match answer {
            Ok((Answer::Signed, signature)) => Ok(Signed::Done(signature.to_vec())),
            Ok(_) => {
                self.failed("sign", DriverFault::Crashed);
                Err(TokenError::WorkerDied { operation: "sign" })
            }
            Err(CallError::Hung) => Err(TokenError::Hung { operation: "sign" }),
            // The same bytes may be signed again, but only where no person has
            // to enter the PIN for it, and where none may have been used up.
            Err(CallError::Died) if self.pin_file == PinFile::Usable => Ok(Signed::Again),
            Err(CallError::Died) => Err(TokenError::Locked),
            Err(CallError::Fault(fault)) => self.not_signed(fault),
        }
    }

    fn not_signed(&mut self, fault: Fault) -> Result<Signed, TokenError> {
        match fault.kind {
            FaultKind::SessionLost => {
                self.forget_token(TokenStatus::Absent);
                Ok(Signed::Again)
            }
            // From a key that wants the PIN each time: not taken from the file
            // again either.
            FaultKind::PinIncorrect => {
                self.pin_file = PinFile::Unusable;
                Err(self.reopened(TokenError::PinIncorrect))
            }
            FaultKind::PinLocked => {
                self.pin_file = PinFile::Unusable;
                Err(self.reopened(TokenError::PinLocked))
            }
            // Locked again: nobody is asked over and over for what was refused.
            FaultKind::PinCancelled => Err(self.reopened(TokenError::PinCancelled)),
            FaultKind::NotLoggedIn => Err(self.reopened(TokenError::Locked)),
            FaultKind::NoKey => Err(TokenError::NoSuchCertificate),
            FaultKind::General if self.is_gone() => Ok(Signed::Again),
            FaultKind::General
            | FaultKind::Module
            | FaultKind::Absent
            | FaultKind::Wrong
            | FaultKind::Several
            | FaultKind::Refused => Err(TokenError::Refused {
                operation: "sign",
                code: fault.detail,
            }),
        }
    }

    /// Whether the token was pulled over a signature: now, or as soon as the
    /// reader's driver has noticed.
    fn is_gone(&mut self) -> bool {
        for _ in 0..REMOVAL_LOOKS_MAX {
            if matches!(self.check(), Err(CallError::Fault(_))) {
                return true;
            }
            std::thread::sleep(REMOVAL_LOOK);
        }
        false
    }

    /// Closing the session ends the half-begun signature and the login.
    fn reopened(&mut self, error: TokenError) -> TokenError {
        self.forget_token(TokenStatus::Absent);
        self.settle();
        error
    }

    /// Waits out the back-off before a repetition that someone waits for.
    fn rest(&self) {
        let rest = self
            .rest_until
            .map(|until| until.saturating_duration_since(Instant::now()));
        let longest = self.settings.backoff.first().copied().unwrap_or_default();
        std::thread::sleep(rest.unwrap_or_default().min(longest));
    }

    /// Asks the worker. A worker that hung or died is replaced, after a rest.
    fn call(
        &mut self,
        request: &Request,
        tail: &[u8],
        deadline: Duration,
    ) -> Result<(Answer, Zeroizing<Vec<u8>>), CallError> {
        let Some(worker) = self.worker.as_mut() else {
            return Err(CallError::Died);
        };
        let result = worker.call(request, tail, deadline);
        match &result {
            Err(CallError::Hung) => {
                self.failed(request.name(), DriverFault::Hung);
            }
            Err(CallError::Died) => {
                self.failed(request.name(), DriverFault::Crashed);
            }
            Ok(_) | Err(CallError::Fault(_)) => {}
        }
        result
    }

    /// Ends a failed worker and plans its successor.
    fn failed(&mut self, operation: &'static str, after: DriverFault) -> CallError {
        tracing::warn!(operation, how = ?after, "token worker failed");
        if let Some(worker) = self.worker.take() {
            worker.kill();
        }
        let now = Instant::now();
        let window = self.settings.quarantine;
        self.crashes
            .retain(|crash| now.duration_since(*crash) < window);
        self.crashes.push_back(now);
        if self.crashes.len() > CRASHES_MAX {
            self.crashes.clear();
            self.rest_until = Some(now + window);
            self.forget_token(TokenStatus::Quarantined { after });
        } else {
            let backoff = &self.settings.backoff;
            let step = backoff.get(self.crashes.len() - 1).or(backoff.last());
            self.rest_until = Some(now + step.copied().unwrap_or_default());
            self.forget_token(TokenStatus::Restarting { after });
        }
        CallError::Died
    }

    /// The session is gone and the login with it.
    fn forget_token(&mut self, status: TokenStatus) {
        self.opened = None;
        self.keys = None;
        self.session = None;
        self.publish(status);
    }

    fn trouble(&self) -> TokenError {
        let status = &lock(&self.view).status;
        trouble(status).unwrap_or(TokenError::Restarting)
    }

    fn publish(&self, status: TokenStatus) {
        let identities = self
            .opened
            .as_ref()
            .map(|opened| identities(opened, self.keys.as_deref()))
            .unwrap_or_default();
        let mut view = lock(&self.view);
        if view.status != status {
            tracing::info!(?status, "token");
        }
        view.status = status;
        view.identities = identities;
        view.session = self.session.as_ref().map(Budget::left);
        // Kept while the token is away: whoever is asked then is asked rightly.
        if let Some(opened) = &self.opened {
            view.pin_entry = match opened.pin_on_reader {
                true => PinEntry::Reader,
                false => PinEntry::Keyboard,
            };
        }
    }
}

/// What one attempt to sign came to.
enum Signed {
    Done(Vec<u8>),
    /// The session is gone; worth one more attempt.
    Again,
}

/// The certificates that have a key. Before the login the keys are hidden:
/// then every certificate that is no authority's counts.
fn identities(opened: &Opened, keys: Option<&[KeyFact]>) -> Vec<Identity> {
    let certificates: Vec<Cert> = opened
        .certificates
        .iter()
        .filter_map(|der| Cert::from_der(&hex::decode(der)?).ok())
        .collect();
    let chain: Vec<Cert> = certificates.iter().filter(|c| c.is_ca()).cloned().collect();
    let mut identities = Vec::new();
    for certificate in certificates {
        let sha256 = hex::encode(&certificate.sha256());
        let key = keys.map(|keys| keys.iter().find(|key| key.certificate == sha256));
        let always_authenticate = match key {
            None if certificate.is_ca() => continue,
            Some(None) => continue,
            None => false,
            Some(Some(key)) => key.always_authenticate,
        };
        identities.push(Identity {
            certificate,
            chain: chain.clone(),
            token_label: opened.label.clone(),
            token_serial: opened.serial.clone(),
            always_authenticate,
        });
    }
    signing_first(&mut identities);
    identities
}
