//! Wall and CPU time of each stage of one mémoire d'honoraires, against a
//! running sandbox: `make bench`. Prints a table; judges nothing.

use rustix::time::{ClockId, clock_gettime};
use sceau::base::{Secret, SystemClock, Uuid4, digest};
use sceau::config;
use sceau::forms::Packs;
use sceau::gateway::mysecu::MySecu;
use sceau::gateway::{Delivery, Gateway, Outcome};
use sceau::outbox::{
    self, Accepted, Conclusion, Evidence, Kind, New, Outbox, Prepared, Stage, State,
};
use sceau::pdf;
use sceau::sign::Signer;
use sceau::store::{self, Store};
use sceau::token::Token;
use sceau::token::soft::SoftToken;
use sceau::trust::Trust;
use sceau::x509::SignatureAlgorithm;
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

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pdf = std::fs::read(root.join("tests/fixtures/pdf/memoire-typst-a2b-200k.pdf")).unwrap();
    let example = root.join("xsd/memoire-honoraires/2/examples/valid/une-ligne.xml");
    let example = std::fs::read_to_string(example).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_sceau-sandbox"))
        .arg("--dir")
        .arg(folder.path().join("sandbox"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let _sandbox = Sandbox(child);

    let files = vec![folder.path().join("sandbox/environment.toml")];
    let configuration = config::load(&files).unwrap();
    let clock = SystemClock::shared();
    let pki = folder.path().join("sandbox/pki");
    let p12 = std::fs::read(pki.join("signer.p12")).unwrap();
    let password = Secret::from_file(&pki.join("signer.password")).unwrap();
    let token: Arc<dyn Token> = Arc::new(SoftToken::open(&p12, &password).unwrap());
    let trust = Arc::new(Trust::new(configuration.trust, clock.clone()).unwrap());
    let signer = Signer::new(token.clone(), trust.clone(), clock.clone());
    let gateway = MySecu::new(configuration.mysecu.unwrap(), clock.clone()).unwrap();
    let practitioner = configuration.practitioners.first().unwrap();
    let settings = store::Settings {
        folder: folder.path().join("state"),
        key_file: None,
    };
    let store = Store::open(&settings, &outbox::migrations()).unwrap();
    let outbox = Outbox::open(Arc::new(store), clock.clone(), Duration::from_secs(60)).unwrap();
    let pack = Packs::builtin()
        .unwrap()
        .pack("memoire-honoraires", None)
        .unwrap();
    let operation = pack.operation("depot").unwrap();
    let slot = &operation.signature.path;
    let identity = signer.identity(practitioner).unwrap();
    let certificate = &identity.certificate;
    let algorithm = SignatureAlgorithm::for_key(certificate.key()).unwrap();

    let mut table = Table::default();
    for _ in 0..ROUNDS + WARM_UP {
        let uuid = Uuid4::random();
        let start = example.find("uuid>").unwrap() + 5;
        let xml = format!("{}{uuid}{}", &example[..start], &example[start + 36..]).into_bytes();
        let now = clock.now();
        let t = &mut table;
        let mut calls = Vec::new();

        t.time("check: gate, XSD, rules", || {
            pack.check("depot", &xml).unwrap()
        });
        t.time("check: PDF/A plausibility", || {
            assert!(pdf::precheck(&pdf).violations.is_empty())
        });
        let new = New {
            uuid,
            form: pack.form.clone(),
            version: pack.version.clone(),
            operation: "depot".into(),
            code_prestataire: practitioner.code_prestataire.to_string(),
            client: "bench".into(),
            request_sha256: digest::sha256(&xml),
            xml: xml.clone(),
            pdf: pdf.clone(),
            detail: serde_json::json!({}),
        };
        let accepted = t.time("D1: seal and commit", || outbox.receive(new).unwrap());
        assert!(matches!(accepted, Accepted::Fresh(_)));

        let chain = trust
            .chain(certificate, &identity.chain, now, &mut calls)
            .unwrap();
        let prepared = t.time("PAdES: incremental update, digest", || {
            pades::prepare(&pdf, certificate, &chain[1..], algorithm, now).unwrap()
        });
        let sign = |message: &[u8]| {
            token
                .sign(&certificate.sha256(), algorithm, message)
                .unwrap()
        };
        let signature = t.time("token: signature of the PDF", || {
            sign(prepared.to_be_signed())
        });
        let signed = t.time("PAdES: CMS into the PDF, self-check", || {
            let signed = prepared.finish(&signature).unwrap();
            pades::verify(&signed).unwrap();
            signed
        });
        let whole = t.time("embed the PDF, XSD of the whole", || {
            pack.embed("depot", &xml, &signed).unwrap()
        });
        let prepared = t.time("XAdES: C14N, digests, SignedInfo", || {
            xades::prepare(&whole, slot, certificate, algorithm, now).unwrap()
        });
        let signature = t.time("token: signature of the XML", || {
            sign(prepared.to_be_signed())
        });
        let document = t.time("XAdES-B-B: value into the XML, self-check", || {
            let document = prepared.finish(&signature).unwrap();
            xades::verify(&document, slot).unwrap();
            document
        });
        let stamped = t.time("timestamp: RFC 3161, XAdES-B-T, self-check", || {
            signer.stamp(operation, &document, &mut calls).unwrap()
        });
        let sealed = t.time("revocation: XAdES-B-LT, self-check", || {
            signer
                .seal(operation, &stamped.document, &mut calls)
                .unwrap()
        });
        let lease = outbox.claim(Stage::Intake).unwrap().unwrap();
        t.time("D2: seal and commit", || {
            let step = Prepared {
                state: State::Ready,
                bodies: vec![
                    (Kind::Pdf, signed),
                    (Kind::Timestamp, stamped.token),
                    (Kind::Document, sealed.document.clone()),
                ],
                events: Vec::new(),
                wait: None,
            };
            outbox.prepared(lease, step).unwrap()
        });
        let lease = outbox.claim(Stage::Delivery).unwrap().unwrap();
        let lease = t.time("D3: commit", || outbox.begin_attempt(lease).unwrap());
        let report = t.time("deliver: WS-Security, TLS, answer verified", || {
            gateway.deliver(&Delivery {
                uuid,
                code_prestataire: practitioner.code_prestataire.as_str(),
                ehealth_id: &practitioner.ehealth_id,
                model_id: &operation.model_id,
                payload: &sealed.document,
            })
        });
        assert!(
            matches!(report.outcome, Outcome::Answered),
            "{:?}",
            report.outcome
        );
        let evidence = Evidence {
            correlation_id: report.correlation_id,
            answer: report.answer,
            envelope: report.envelope,
        };
        let done = Conclusion::Receipted { insurer_id: None };
        t.time("D4: seal and commit", || {
            outbox.conclude(lease, done, evidence).unwrap()
        });
    }
    println!(
        "One mémoire d'honoraires with a PDF of {} bytes; software token, {ROUNDS} rounds.\n",
        pdf.len()
    );
    table.print();
}
