//! Wall and CPU time of each stage of one mémoire d'honoraires, against a
//! running sandbox: `make bench`. Prints a table; judges nothing.

use rustix::time::{ClockId, clock_gettime};
use sceau::base::{Clock, Secret, SystemClock, Uuid4, digest};
use sceau::config;
use sceau::forms::{Pack, Packs};
use sceau::gateway::mysecu::MySecu;
use sceau::gateway::{Gateway, Message, Outcome};
use sceau::outbox::{
    self, Accepted, Conclusion, Evidence, Kind, New, Outbox, Prepared, Stage, State,
};
use sceau::pdf;
use sceau::sign::{Practitioner, Signer};
use sceau::store::{self, Store};
use sceau::token::soft::SoftToken;
use sceau::token::{Identity, Token};
use sceau::trust::Trust;
use sceau::x509::{RsaScheme, SignatureAlgorithm};
use sceau::xades::Envelope;
use sceau::{pades, xades};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const ROUNDS: usize = 30;
const WARM_UP: usize = 3;

struct Sandbox(Child);

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Times of the stages, in the order they first came.
#[derive(Default)]
struct Table(Vec<(&'static str, Vec<(Duration, Duration)>)>);

impl Table {
    fn time<T>(&mut self, stage: &'static str, work: impl FnOnce() -> T) -> T {
        let (cpu, wall) = (cpu(), Instant::now());
        let value = work();
        let spent = (wall.elapsed(), self::cpu() - cpu);
        match self.0.iter_mut().find(|(name, _)| *name == stage) {
            Some((_, times)) => times.push(spent),
            None => self.0.push((stage, vec![spent])),
        }
        value
    }

    fn print(mut self) {
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        println!("{:<44} {:>9} {:>9}", "stage (median)", "wall ms", "CPU ms");
        let (mut wall_sum, mut cpu_sum) = (0.0, 0.0);
        for (stage, times) in &mut self.0 {
            times.drain(..WARM_UP.min(times.len()));
            let middle = times.len() / 2;
            times.sort_by_key(|t| t.0);
            let wall = ms(times[middle].0);
            times.sort_by_key(|t| t.1);
            let cpu = ms(times[middle].1);
            (wall_sum, cpu_sum) = (wall_sum + wall, cpu_sum + cpu);
            println!("{stage:<44} {wall:>9.2} {cpu:>9.2}");
        }
        println!("{:<44} {wall_sum:>9.2} {cpu_sum:>9.2}", "sum");
    }
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Everything one document passes through, in this process.
struct Bench {
    _sandbox: Sandbox,
    _folder: tempfile::TempDir,
    pdf: Vec<u8>,
    example: String,
    clock: Arc<dyn Clock>,
    token: Arc<dyn Token>,
    trust: Arc<Trust>,
    signer: Signer,
    gateway: MySecu,
    practitioner: Practitioner,
    identity: Identity,
    outbox: Outbox,
    pack: Arc<Pack>,
    table: Table,
}

fn main() {
    let mut bench = Bench::start();
    for _ in 0..ROUNDS + WARM_UP {
        let (uuid, xml) = bench.document();
        bench.accept(uuid, &xml);
        let (pdf, envelope) = bench.sign(&xml);
        let sealed = bench.climb(pdf, envelope);
        bench.deliver(uuid, &sealed);
    }
    let bytes = bench.pdf.len();
    println!(
        "One mémoire d'honoraires with a PDF of {bytes} bytes; software token, {ROUNDS} rounds.\n"
    );
    bench.table.print();
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

impl Bench {
    fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let read = |name: &str| std::fs::read(root.join(name)).unwrap();
        let example = read("xsd/memoire-honoraires/2/examples/valid/une-ligne.xml");
        let folder = tempfile::tempdir().unwrap();
        let sandbox = start_sandbox(&folder.path().join("sandbox"));
        let environment = folder.path().join("sandbox/environment.toml");
        let configuration = config::load(&[environment]).unwrap();
        let clock = SystemClock::shared();
        let pki = folder.path().join("sandbox/pki");
        let p12 = std::fs::read(pki.join("signer.p12")).unwrap();
        let password = Secret::from_file(&pki.join("signer.password")).unwrap();
        let token: Arc<dyn Token> = Arc::new(SoftToken::open(&p12, &password).unwrap());
        let trust = Arc::new(Trust::new(configuration.trust, clock.clone()).unwrap());
        let signer = Signer::new(
            token.clone(),
            trust.clone(),
            clock.clone(),
            RsaScheme::Pkcs1V15,
        );
        let settings = store::Settings {
            folder: folder.path().join("state"),
            key_file: None,
        };
        let store = Arc::new(Store::open(&settings, &outbox::migrations()).unwrap());
        let practitioner = configuration.practitioners[0].clone();
        let packs = Packs::builtin().unwrap();
        Self {
            pdf: read("tests/fixtures/pdf/memoire-typst-a2b-200k.pdf"),
            example: String::from_utf8(example).unwrap(),
            gateway: MySecu::new(configuration.mysecu.unwrap(), clock.clone()).unwrap(),
            identity: signer.identity(&practitioner).unwrap(),
            outbox: Outbox::open(store, clock.clone(), Duration::from_secs(60)).unwrap(),
            pack: packs.pack("memoire-honoraires", None).unwrap(),
            table: Table::default(),
            _sandbox: sandbox,
            _folder: folder,
            clock,
            token,
            trust,
            signer,
            practitioner,
        }
    }

    /// The example with a UUID of its own.
    fn document(&self) -> (Uuid4, Vec<u8>) {
        let uuid = Uuid4::random();
        let start = self.example.find("uuid>").unwrap() + 5;
        let (head, tail) = (&self.example[..start], &self.example[start + 36..]);
        (uuid, format!("{head}{uuid}{tail}").into_bytes())
    }

    fn accept(&mut self, uuid: Uuid4, xml: &[u8]) {
        let t = &mut self.table;
        t.time("check: gate, XSD, rules", || {
            self.pack.check("depot", xml).unwrap()
        });
        t.time("check: PDF/A plausibility", || {
            assert!(pdf::precheck(&self.pdf).violations.is_empty());
        });
        let new = New {
            uuid,
            form: self.pack.form.clone(),
            version: self.pack.version.clone(),
            operation: "depot".into(),
            code_prestataire: self.practitioner.code_prestataire.to_string(),
            client: "bench".into(),
            request_sha256: digest::sha256(xml),
            xml: xml.to_vec(),
            pdf: self.pdf.clone(),
            detail: serde_json::json!({}),
        };
        let accepted = t.time("D1: seal and commit", || self.outbox.receive(new).unwrap());
        assert!(matches!(accepted, Accepted::Fresh(_)));
    }

    /// The signed PDF, and the signed XML around it.
    fn sign(&mut self, xml: &[u8]) -> (Vec<u8>, Envelope) {
        let t = &mut self.table;
        let certificate = &self.identity.certificate;
        let algorithm =
            SignatureAlgorithm::for_key(certificate.key(), RsaScheme::Pkcs1V15).unwrap();
        let slot = &self.pack.operation("depot").unwrap().signature.slot;
        let now = self.clock.now();
        let pool = &self.identity.chain;
        let chain = self.trust.chain(certificate, pool, now, &mut Vec::new());
        let chain = chain.unwrap();
        let key = certificate.sha256();
        let sign = |message: &[u8]| self.token.sign(&key, algorithm, message).unwrap();

        let prepared = t.time("PAdES: incremental update, digest", || {
            pades::prepare(&self.pdf, certificate, &chain[1..], algorithm, now).unwrap()
        });
        let value = t.time("token: signature of the PDF", || {
            sign(prepared.to_be_signed())
        });
        let pdf = t.time("PAdES: CMS into the PDF, self-check", || {
            let signed = prepared.finish(&value).unwrap();
            pades::verify(&signed).unwrap();
            signed
        });
        let whole = t.time("embed the PDF", || {
            self.pack.assemble("depot", xml, &pdf).unwrap()
        });
        let tree = t.time("parse and XSD of the whole", || {
            self.pack.read_whole("depot", &whole).unwrap()
        });
        let prepared = t.time("XAdES: C14N, digests, SignedInfo", || {
            let document = (whole.as_slice(), &tree);
            xades::prepare_parsed(document, slot, certificate, algorithm, now).unwrap()
        });
        let value = t.time("token: signature of the XML", || {
            sign(prepared.to_be_signed())
        });
        let envelope = t.time("XAdES-B-B: value into the XML", || {
            prepared.finish(&value).unwrap()
        });
        (pdf, envelope)
    }

    /// The document at XAdES-B-LT, durable.
    fn climb(&mut self, pdf: Vec<u8>, mut envelope: Envelope) -> Vec<u8> {
        let t = &mut self.table;
        let slot = &self.pack.operation("depot").unwrap().signature.slot;
        let calls = &mut Vec::new();
        t.time("timestamp: RFC 3161, XAdES-B-T", || {
            self.signer.stamp(&mut envelope, calls).unwrap()
        });
        t.time("revocation: XAdES-B-LT", || {
            self.signer.seal(&mut envelope, calls).unwrap()
        });
        let token = envelope.token().unwrap().der().to_vec();
        let document = t.time("self-check of the final bytes", || {
            self.signer.check(envelope, slot).unwrap()
        });
        let lease = self.outbox.claim(Stage::Intake).unwrap().unwrap();
        let step = Prepared {
            state: State::Ready,
            bodies: vec![
                (Kind::Pdf, pdf),
                (Kind::Timestamp, token),
                (Kind::Document, document.clone()),
            ],
            events: Vec::new(),
            wait: None,
        };
        t.time("D2: seal and commit", || {
            self.outbox.prepared(lease, step).unwrap()
        });
        document
    }

    fn deliver(&mut self, uuid: Uuid4, document: &[u8]) {
        let t = &mut self.table;
        let lease = self.outbox.claim(Stage::Delivery).unwrap().unwrap();
        let lease = t.time("D3: commit", || self.outbox.begin_attempt(lease).unwrap());
        let report = t.time("deliver: WS-Security, TLS, answer verified", || {
            self.gateway.deliver(&Message {
                uuid,
                code_prestataire: self.practitioner.code_prestataire.as_str(),
                ehealth_id: &self.practitioner.ehealth_id,
                model_id: &self.pack.operation("depot").unwrap().model_id,
                payload: document,
            })
        });
        let answered = matches!(report.outcome, Outcome::Answered);
        assert!(answered, "{:?}", report.outcome);
        let evidence = Evidence {
            correlation_id: report.correlation_id,
            answer: report.answer,
            envelope: report.envelope,
        };
        let done = Conclusion::Receipted { insurer_id: None };
        t.time("D4: seal and commit", || {
            self.outbox.conclude(lease, done, evidence).unwrap()
        });
    }
}
