//! Everything one document passes through: the real parts in this process, the
//! sandbox in another.

use crate::grown::grown;
use crate::meter;
use crate::table::SIZES;
use crate::token::SoftHsm;
use sceau::base::{Clock, Secret, SystemClock};
use sceau::config;
use sceau::forms::{Pack, Packs};
use sceau::gateway::mysecu::MySecu;
use sceau::outbox::{self, Outbox};
use sceau::sign::{Practitioner, Signatory, Signer};
use sceau::store::{self, Store};
use sceau::token::soft::SoftToken;
use sceau::token::{Identity, Token};
use sceau::trust::Trust;
use sceau::x509::{Cert, RsaScheme};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// How every signer of the run uses the key.
pub const RSA_SCHEME: RsaScheme = RsaScheme::Pkcs1V15;
/// Bytes that [`SIZES`] stands for; the first two are fixtures as they are.
const LARGE_PDF_BYTES: usize = 2_000_000;

struct Sandbox(Child);

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The parts.
pub struct Scene {
    sandbox: Sandbox,
    pub pki: PathBuf,
    pub tsa_url: String,
    /// PDF/A of each of [`SIZES`].
    pub pdfs: [Vec<u8>; SIZES.len()],
    pub example: String,
    pub clock: Arc<dyn Clock>,
    /// SoftHSM2 through the worker where it is installed, else `soft`.
    pub token: Arc<dyn Token>,
    pub soft: SoftToken,
    pub hsm: Option<SoftHsm>,
    /// The worker's process.
    pub worker: Option<u32>,
    pub trust: Arc<Trust>,
    pub signer: Signer,
    pub gateway: MySecu,
    pub practitioner: Practitioner,
    pub signatory: Signatory,
    pub identity: Identity,
    pub outbox: Outbox,
    pub pack: Arc<Pack>,
}

fn start_sandbox(folder: &Path) -> Sandbox {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sceau-sandbox"))
        .arg("--dir")
        .arg(folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    Sandbox(child)
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

impl Scene {
    /// In a scratch folder; `module` is SoftHSM2's.
    pub fn start(folder: &Path, module: Option<PathBuf>) -> Self {
        let sandbox = start_sandbox(&folder.join("sandbox"));
        let environment = folder.join("sandbox/environment.toml");
        let signer = folder.join("sandbox/signer.toml");
        let configuration = config::load(&[environment, signer]).unwrap();
        let people = configuration.people;
        let practitioner = people.practitioners()[0].clone();
        let clock = SystemClock::shared();
        let pki = folder.join("sandbox/pki");
        let p12 = std::fs::read(pki.join("signer.p12")).unwrap();
        let password = Secret::from_file(&pki.join("signer.password")).unwrap();
        let soft = || SoftToken::open(&p12, &password).unwrap();
        let identity = soft().identities().unwrap().remove(0);
        let key = pki.join("signer-leaf.key.pem");
        let certificate = identity.certificate.der();
        let hsm = module.map(|module| SoftHsm::make(folder, module, &key, certificate));
        let token: Arc<dyn Token> = match &hsm {
            Some(hsm) => Arc::new(hsm.through_the_worker()),
            None => Arc::new(soft()),
        };
        let tsa_url = configuration.trust.timestamp_authorities[0].url.clone();
        let trust = Arc::new(Trust::new(configuration.trust, clock.clone()).unwrap());
        let settings = store::Settings {
            folder: folder.join("state"),
            key_file: None,
        };
        let store = Arc::new(Store::open(&settings, &outbox::migrations()).unwrap());
        let small = read("tests/fixtures/pdf/memoire-typst-a3b-linearized-objstm.pdf");
        let middle = read("tests/fixtures/pdf/memoire-typst-a2b-200k.pdf");
        let large = grown(&middle, LARGE_PDF_BYTES);
        let example = read("xsd/memoire-honoraires/2/examples/valid/depot/une-ligne.xml");
        Self {
            pdfs: [small, middle, large],
            example: String::from_utf8(example).unwrap(),
            gateway: MySecu::new(configuration.mysecu.unwrap(), clock.clone()).unwrap(),
            signer: Signer::new(token.clone(), trust.clone(), clock.clone(), RSA_SCHEME),
            outbox: Outbox::open(store, clock.clone(), Duration::from_secs(60)).unwrap(),
            signatory: people.signatory(&practitioner, &[], None).unwrap(),
            practitioner,
            pack: Packs::builtin()
                .unwrap()
                .pack("memoire-honoraires", None)
                .unwrap(),
            worker: meter::child_running("token-worker"),
            soft: soft(),
            sandbox,
            pki,
            tsa_url,
            clock,
            token,
            hsm,
            trust,
            identity,
        }
    }

    /// From the signer to the anchor.
    pub fn chain(&self) -> Vec<Cert> {
        // The token holds the leaf alone; the PKCS#12 file has its issuers.
        let (leaf, pool) = (&self.identity.certificate, &self.identity.chain);
        let now = self.clock.now();
        self.trust.chain(leaf, pool, now, &mut Vec::new()).unwrap()
    }

    /// CPU time of the sandbox and the worker so far.
    pub fn worker_cpu(&self) -> Duration {
        let worker = self.worker.map_or(Duration::ZERO, meter::cpu_of);
        worker + meter::cpu_of(self.sandbox.0.id())
    }
}
