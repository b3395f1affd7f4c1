//! The composition root: builds every part from the configuration, starts the
//! workers, serves the API, and stops in order. No business rule stands here.

mod conditions;
#[cfg(unix)]
mod inbox;
mod keeper;
mod packs;
#[cfg(test)]
mod testing;
mod upkeep;
mod witness;
mod workers;

pub use workers::work;

use crate::api::{self, Api, Programs, Server};
use crate::audit;
use crate::base::{Clock, Secret, SystemClock, file, hex, limits, random};
use crate::conditions::{Conditions, Sources};
use crate::config::{Configuration, Installation, KeySettings, OutboxSettings, TokenSettings};
use crate::delivery::Delivery;
use crate::evidence::Evidence;
use crate::forms::{Environment, Packs};
use crate::gateway::mysecu::{self, MySecu, SetupError};
#[cfg(unix)]
use crate::inbox::Inbox;
use crate::intake::Intake;
use crate::outbox::{self, Outbox, OutboxError};
use crate::sign::{People, Signer};
use crate::store::{Class, Store, StoreError};
use crate::token::pkcs11::{self, Pkcs11Token, WorkerCommand};
use crate::token::several::{Named, Several};
use crate::token::soft::SoftToken;
use crate::token::{Token, TokenError};
use crate::trust::{self, Trust, TrustError};
use conditions::ConditionWatch;
#[cfg(unix)]
use inbox::InboxWatch;
use keeper::{Keeper, Kept};
use packs::PackWatch;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use upkeep::{ProvedTime, Tended, Upkeep};

/// File in the state folder with the administrator's token of this run.
pub const ADMIN_TOKEN_FILE: &str = "admin.token";
/// File in the state folder with the API's address of this run.
pub const ENDPOINT_FILE: &str = "endpoint";
const LOCK_FILE: &str = "sceau.lock";
/// Folder in the state folder with the last good state of every pack.
const LAST_GOOD_PACKS: &str = "packs";
const LOCK_TRIES: usize = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// Longest wait for the steps under way when the service stops. One that is
/// cut off is what a crash leaves: nothing is lost and nothing sent twice.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// A service or a restore works on the same state folder.
    #[error("a service or a restore already uses {}", .0.display())]
    InUse(PathBuf),
    /// A file cannot be read or written.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The API's port cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The runtime or a signal handler cannot be set up.
    #[error("cannot set up the runtime")]
    Runtime(#[source] io::Error),
    /// The store does not open.
    #[error("the store does not open")]
    Store(#[source] StoreError),
    /// The outbox does not open.
    #[error("the outbox does not open")]
    Outbox(#[source] OutboxError),
    /// The token cannot be set up.
    #[error("the token cannot be set up")]
    Token(#[source] TokenError),
    /// Trust services cannot be set up.
    #[error("the trust services cannot be set up")]
    Trust(#[source] TrustError),
    /// The drop folder cannot be used.
    #[cfg(unix)]
    #[error("the drop folder cannot be used")]
    Inbox(#[source] crate::inbox::InboxError),
    /// The gateway cannot be set up.
    #[error("the gateway cannot be set up")]
    Gateway(#[source] SetupError),
}

/// Runs until a stop signal (SIGTERM, SIGINT, Ctrl-C).
///
/// # Errors
/// [`ServiceError`] when a part cannot be built; nothing was accepted then.
pub fn run(configuration: Configuration) -> Result<(), ServiceError> {
    no_core_dump().map_err(ServiceError::Runtime)?;
    let folder = configuration.store.folder.clone();
    let _lock = lock(&folder)?;
    // Left behind by one that was killed.
    withdraw(&folder);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(ServiceError::Runtime)?;
    let parts = Parts::build(configuration)?;
    let served = runtime.block_on(parts.serve(&folder));
    runtime.shutdown_background();
    served
}

struct Parts {
    api: Api,
    #[cfg(unix)]
    inbox: Option<Inbox>,
    packs: Arc<Packs>,
    intake: Arc<Intake>,
    delivery: Option<Arc<Delivery>>,
    listen: std::net::SocketAddr,
    workers: OutboxSettings,
    tended: Tended,
}

impl Parts {
    fn build(configuration: Configuration) -> Result<Self, ServiceError> {
        let clock = SystemClock::shared();
        let installation = installation(&configuration)?;
        let (store, outbox) = outbox(&configuration, &clock)?;
        let last_good = configuration.store.folder.join(LAST_GOOD_PACKS);
        let packs = Packs::open(configuration.forms_folder.as_deref(), Some(&last_good));
        let packs = Arc::new(packs);
        let trust = trust(configuration.trust, (store, configuration.audit), &clock)?;
        let tokens = Arc::new(tokens(configuration.tokens, &configuration.store.folder)?);
        let rsa_scheme = configuration.rsa_scheme;
        let signer = Signer::new(tokens.clone(), trust, clock.clone(), rsa_scheme);
        let signer = Arc::new(signer);
        let people = Arc::new(configuration.people);
        let environment = Arc::new(configuration.environment);
        let delivery = delivery(
            (configuration.mysecu, &clock),
            (&packs, &outbox),
            (&people, &environment),
        )?;
        let intake = Arc::new(Intake::new(
            (packs.clone(), outbox.clone(), signer.clone()),
            people,
            environment.clone(),
            configuration.pdfs,
            clock.clone(),
        ));
        let conditions = Conditions::new(Sources {
            tokens: tokens.clone(),
            signer: signer.clone(),
            outbox: outbox.clone(),
            clock: clock.clone(),
            delivers: delivery.is_some(),
        });
        let conditions = Arc::new(conditions.map_err(ServiceError::Outbox)?);
        let tended = Tended::new(
            (outbox.clone(), clock.clone()),
            (configuration.store, configuration.upkeep),
            proved_time(signer.clone()),
        );
        let evidence = Evidence::new(intake.clone(), outbox.clone(), clock, installation);
        #[cfg(unix)]
        let inbox = inbox::open(configuration.inbox, &intake, &outbox)?;
        let api = Api {
            intake: intake.clone(),
            outbox,
            evidence,
            signer,
            tokens,
            conditions,
            streams: Arc::new(Semaphore::new(limits::EVENT_STREAMS_MAX)),
            environment,
            delivers: delivery.is_some(),
            programs: Programs::new(configuration.rate),
            admin: Secret::new(hex::encode(&random::bytes::<24>()).into_bytes()),
            address: configuration.listen,
        };
        Ok(Self {
            api,
            #[cfg(unix)]
            inbox,
            packs,
            intake,
            delivery,
            listen: configuration.listen,
            workers: configuration.outbox,
            tended,
        })
    }

    async fn serve(self, folder: &Path) -> Result<(), ServiceError> {
        let address = self.listen;
        let server = Server::bind(address)
            .await
            .map_err(|source| ServiceError::Listen { address, source })?;
        let mut api = self.api;
        api.address = server.address();
        let store = api.outbox.store();
        write(store, &folder.join(ADMIN_TOKEN_FILE), api.admin.expose())?;
        let url = format!("http://{}", server.address());
        write(store, &folder.join(ENDPOINT_FILE), url.as_bytes())?;

        let outbox = api.outbox.clone();
        let waiting = outbox.clone();
        let kept = Kept {
            outbox: outbox.clone(),
            intake: self.intake,
            delivery: self.delivery,
            settings: self.workers,
        };
        let keeper = Keeper::start(kept).map_err(ServiceError::Runtime)?;
        let upkeep = Upkeep::start(self.tended).map_err(ServiceError::Runtime)?;
        #[cfg(unix)]
        let inbox_watch = InboxWatch::start(self.inbox).map_err(ServiceError::Runtime)?;
        let condition_watch =
            ConditionWatch::start(api.conditions.clone()).map_err(ServiceError::Runtime)?;
        let pack_watch = PackWatch::start(self.packs, outbox).map_err(ServiceError::Runtime)?;
        let (stop, stopped) = watch::channel(false);
        let signals = signals().map_err(ServiceError::Runtime)?;
        tracing::info!(%url, environment = %api.environment.name, kind = %api.environment.kind, version = env!("CARGO_PKG_VERSION"), "listening");
        let serving = api::serve(server, Arc::new(api), stopped);
        let stopping = async {
            signals.await;
            tracing::info!("stopping: no more work is taken on");
            let _ = stop.send(true);
            waiting.end_waits();
        };
        tokio::join!(serving, stopping);
        // Workers finish the step they are in: their leases and attempts end cleanly.
        let stopping = tokio::task::spawn_blocking(move || {
            #[cfg(unix)]
            inbox_watch.stop();
            pack_watch.stop();
            condition_watch.stop();
            keeper.stop();
            upkeep.stop();
        });
        if tokio::time::timeout(STOP_LIMIT, stopping).await.is_err() {
            tracing::warn!("a step takes too long; it is taken up again at the next start");
        }
        withdraw(folder);
        tracing::info!("stopped");
        Ok(())
    }
}

/// The store, and the outbox over it.
fn outbox(
    configuration: &Configuration,
    clock: &Arc<dyn Clock>,
) -> Result<(Arc<Store>, Arc<Outbox>), ServiceError> {
    let migrations = outbox::migrations();
    let store = Store::open_with_room(&configuration.store, &migrations, configuration.room);
    let store = Arc::new(store.map_err(ServiceError::Store)?);
    let settings = &configuration.outbox;
    let open = || Outbox::open(store.clone(), clock.clone(), settings.lease);
    let outbox = match open() {
        // The store has given its reserve up.
        Err(error) if error.class() == Class::Full => open(),
        // Found damaged, it is still read.
        Err(error) if error.class() == Class::Damaged && store.reopen().is_err() => open(),
        opened => opened,
    };
    let outbox = outbox
        .map_err(ServiceError::Outbox)?
        .bounded(settings.open_max)
        .with_stamp_within(settings.stamp_within);
    Ok((store, Arc::new(outbox)))
}

/// The trust services, whose timestamps witness the audit log.
fn trust(
    settings: trust::Settings,
    (store, log): (Arc<Store>, audit::Settings),
    clock: &Arc<dyn Clock>,
) -> Result<Arc<Trust>, ServiceError> {
    let log = audit::Log::open(store, clock.clone(), log);
    let trust = Trust::new(settings, clock.clone()).map_err(ServiceError::Trust)?;
    Ok(Arc::new(witness::witnessing(trust, log)))
}

/// The time of the last comparison with a signed time, if that was a good one.
fn proved_time(signer: Arc<Signer>) -> ProvedTime {
    Box::new(move || {
        let reading = signer.trust().health().clock;
        let good = reading.filter(|reading| !reading.is_fault());
        good.map(|reading| reading.at)
    })
}

/// What sends documents, where an insurer is configured.
fn delivery(
    (settings, clock): (Option<mysecu::Settings>, &Arc<dyn Clock>),
    (packs, outbox): (&Arc<Packs>, &Arc<Outbox>),
    (people, environment): (&Arc<People>, &Arc<Environment>),
) -> Result<Option<Arc<Delivery>>, ServiceError> {
    let Some(settings) = settings else {
        return Ok(None);
    };
    let gateway = MySecu::new(settings, clock.clone()).map_err(ServiceError::Gateway)?;
    Ok(Some(Arc::new(Delivery::new(
        packs.clone(),
        outbox.clone(),
        Arc::new(gateway),
        people.clone(),
        environment.clone(),
    ))))
}

/// A future that ends with the first stop signal. Handlers are installed when
/// this returns, so that no signal is missed.
fn signals() -> io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        Ok(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    {
        Ok(async {
            let _ = tokio::signal::ctrl_c().await;
        })
    }
}

impl ServiceError {
    fn file(operation: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::File {
            operation,
            path: path.to_owned(),
            source,
        }
    }
}

/// Documents are in memory in clear: a crash must not write them to disk.
fn no_core_dump() -> io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        setrlimit(Resource::Core, none)?;
    }
    Ok(())
}

/// What evidence says of this place.
fn installation(configuration: &Configuration) -> Result<serde_json::Value, ServiceError> {
    let own = &configuration.installation;
    let folder = &configuration.store.folder;
    let id = Installation::workstation_id(folder).map_err(ServiceError::file("read", folder))?;
    Ok(serde_json::json!({
        "workstation": own.workstation,
        "workstation_id": id.to_string(),
        "industriel": own.industriel,
        "product": own.product,
        "product_version": own.product_version,
    }))
}

/// Keeps any other service and restore off this state folder until it is dropped.
///
/// # Errors
/// [`ServiceError::InUse`], [`ServiceError::File`].
pub fn lock(folder: &Path) -> Result<File, ServiceError> {
    file::create_private_dir(folder).map_err(ServiceError::file("create", folder))?;
    let path = folder.join(LOCK_FILE);
    let lock = File::create(&path).map_err(ServiceError::file("create", &path))?;
    // More than once: a command may hold it for a moment to see if we run.
    for _ in 0..LOCK_TRIES {
        if lock.try_lock().is_ok() {
            return Ok(lock);
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    Err(ServiceError::InUse(folder.to_owned()))
}

/// Whether a service works on this state folder now.
pub fn is_running(folder: &Path) -> bool {
    let lock = File::open(folder.join(LOCK_FILE));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Removes what tells others where the service is and lets them in.
fn withdraw(folder: &Path) {
    for name in [ENDPOINT_FILE, ADMIN_TOKEN_FILE] {
        let _ = std::fs::remove_file(folder.join(name));
    }
}

fn write(store: &Store, path: &Path, bytes: &[u8]) -> Result<(), ServiceError> {
    let written = store.in_reserve(|| file::write_atomic(path, bytes));
    written.map_err(ServiceError::file("write", path))
}

fn tokens(settings: Vec<TokenSettings>, folder: &Path) -> Result<Several, ServiceError> {
    let named = settings.into_iter().map(|TokenSettings { name, key }| {
        let token = token(&name, key, folder)?;
        Ok(Named { name, token })
    });
    Ok(Several::new(named.collect::<Result<_, ServiceError>>()?))
}

fn token(name: &str, key: KeySettings, folder: &Path) -> Result<Arc<dyn Token>, ServiceError> {
    match key {
        KeySettings::Soft { p12, password_file } => {
            tracing::warn!(
                name,
                "the signing key is a file: for demonstrations and tests only, it is not under the signer's sole control"
            );
            let bytes = std::fs::read(&p12).map_err(ServiceError::file("read", &p12))?;
            let password = Secret::from_file(&password_file)
                .map_err(ServiceError::file("read", &password_file))?;
            let token = SoftToken::open(&bytes, &password).map_err(ServiceError::Token)?;
            Ok(Arc::new(token))
        }
        KeySettings::Pkcs11 {
            module,
            serial,
            pin_file,
            session,
            module_sha256,
            deadlines,
        } => {
            let program = std::env::current_exe().map_err(ServiceError::Runtime)?;
            let worker = WorkerCommand {
                program,
                arguments: vec!["token-worker".into()],
                environment: Vec::new(),
            };
            let mut settings = pkcs11::Settings::new(module, worker);
            settings.token_serial = serial;
            settings.pin_file = pin_file;
            settings.pin_file_note = Some(folder.join(format!("{name}.pin-file-failed")));
            settings.session = session;
            settings.module_sha256 = module_sha256;
            settings.deadlines = deadlines;
            let token = Pkcs11Token::start(settings).map_err(ServiceError::Runtime)?;
            Ok(Arc::new(token))
        }
    }
}
