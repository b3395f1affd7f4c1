//! One document on its whole way, stage by stage, through the real parts.

use crate::floors::{
    ALL_FLOORS, BARE_SIGNATURE, DOCUMENT_HASH, FILES_AND_COMMIT, ONE_COMMIT, PDF_BASE64, PDF_HASH,
};
use crate::meter::{self, Cost};
use crate::scene::{RSA_SCHEME, Scene};
use crate::table::Ratio::{self, Over};
use crate::table::Table;
use roxmltree::Document;
use sceau::base::{Uuid4, digest};
use sceau::forms::EnvironmentKind;
use sceau::gateway::{Gateway, Message, Outcome};
use sceau::outbox::{Accepted, Conclusion, Evidence, Kind, New, Prepared, Stage, State, Verdict};
use sceau::token::Token;
use sceau::x509::{Level, SignatureAlgorithm};
use sceau::{pades, pdf, xades};

const STAGES: &str = "Stages of one document";
const SIGNATURES: &str = "The signatures among them, each with its self-checks";
pub const PADES_B: &str = "Sceau PAdES-B-B";
pub const PADES_LT: &str = "Sceau PAdES-B-LT";
pub const XADES_LT: &str = "Sceau XAdES-B-LT";

/// The way of one document of one size.
pub struct Passage<'a> {
    scene: &'a Scene,
    table: &'a mut Table,
    size: usize,
    sum: Cost,
}

impl<'a> Passage<'a> {
    pub fn new(scene: &'a Scene, table: &'a mut Table, size: usize) -> Self {
        Self {
            scene,
            table,
            size,
            sum: Cost::default(),
        }
    }

    /// From the request to the receipt. Returns the document as it was when
    /// its signature was made: with the signed PDF inside.
    pub fn go(mut self) -> Vec<u8> {
        let (uuid, xml) = self.scene.document();
        self.accept(uuid, &xml);
        let pdf = self.sign_pdf();
        let whole = self.time("embed the PDF", Over(PDF_BASE64), |s| {
            s.pack.assemble("depot", &xml, Some(&pdf)).unwrap()
        });
        let tree = self.time(
            "gate, tree and XSD of the whole",
            Over(DOCUMENT_HASH),
            |s| s.pack.read_whole("depot", &whole).unwrap(),
        );
        let sealed = self.sign_xml((&whole, &tree), pdf);
        self.deliver(uuid, &sealed);
        let all = (STAGES, "all stages", Over(ALL_FLOORS));
        self.table.add(self.size, all, self.sum);
        self.pades_lt();
        whole
    }

    /// A signature that belongs to no submission.
    fn pades_lt(&mut self) {
        let (scene, pdf) = (self.scene, &self.scene.pdfs[self.size]);
        let (signed, cost) = meter::measure(scene.worker, || {
            let calls = &mut Vec::new();
            scene
                .signer
                .sign_pdf(pdf, Level::LT, &scene.signatory, calls)
        });
        signed.unwrap();
        self.table
            .add(self.size, (SIGNATURES, PADES_LT, Ratio::None), cost);
    }

    fn time<T>(&mut self, stage: &'static str, ratio: Ratio, work: impl FnOnce(&Scene) -> T) -> T {
        let scene = self.scene;
        let (value, cost) = meter::measure(scene.worker, || work(scene));
        self.table.add(self.size, (STAGES, stage, ratio), cost);
        self.sum = self.sum + cost;
        value
    }

    /// Puts what was spent since `before` into a row of its own.
    fn signature(&mut self, name: &'static str, before: Cost) {
        let row = (SIGNATURES, name, Ratio::None);
        self.table.add(self.size, row, self.sum - before);
    }

    fn accept(&mut self, uuid: Uuid4, xml: &[u8]) {
        let pdf = &self.scene.pdfs[self.size];
        self.time("check: gate, XSD, rules", Ratio::None, |s| {
            s.pack.check("depot", xml).unwrap()
        });
        self.time("check: PDF/A plausibility", Over(PDF_HASH), |_| {
            assert_eq!(pdf::precheck(pdf).violations, []);
        });
        let scene = self.scene;
        let new = New {
            uuid,
            form: scene.pack.form.clone(),
            version: scene.pack.version.clone(),
            operation: "depot".into(),
            code_prestataire: scene.practitioner.code_prestataire.to_string(),
            client: "bench".into(),
            environment: "sandbox".into(),
            environment_kind: EnvironmentKind::Sandbox,
            signer: Some(scene.practitioner.code_prestataire.to_string()),
            is_interactive: false,
            links: Vec::new(),
            request_sha256: digest::sha256(xml),
            xml: xml.to_vec(),
            pdf: Some(pdf.clone()),
            facts: serde_json::json!([]),
            detail: serde_json::json!({}),
        };
        let floor = Over(FILES_AND_COMMIT);
        let accepted = self.time("D1: seal and commit", floor, |s| s.outbox.receive(new));
        assert!(matches!(accepted.unwrap(), Accepted::Fresh(_)));
    }

    fn sign_pdf(&mut self) -> Vec<u8> {
        let (scene, before) = (self.scene, self.sum);
        let pdf = &scene.pdfs[self.size];
        let certificate = &scene.identity.certificate;
        let algorithm = SignatureAlgorithm::for_key(certificate.key(), RSA_SCHEME).unwrap();
        let (chain, now) = (scene.chain(), scene.clock.now());
        let (over_pdf, over_key) = (Over(PDF_HASH), Over(BARE_SIGNATURE));
        let prepared = self.time("PAdES: incremental update, digest", over_pdf, |_| {
            pades::prepare(pdf, certificate, &chain[1..], algorithm, now).unwrap()
        });
        let value = self.time("token: signature of the PDF", over_key, |s| {
            s.sign(&*s.token, prepared.to_be_signed())
        });
        let signed = self.time("PAdES: CMS into the PDF, self-check", over_pdf, |s| {
            let signed = prepared.finish(&value).unwrap();
            s.signer.check_pdf(&signed, Level::B, certificate).unwrap();
            signed
        });
        self.signature(PADES_B, before);
        signed
    }

    /// The document at XAdES-B-LT, durable.
    fn sign_xml(&mut self, document: (&[u8], &Document<'_>), pdf: Vec<u8>) -> Vec<u8> {
        let (scene, before) = (self.scene, self.sum);
        let certificate = &scene.identity.certificate;
        let algorithm = SignatureAlgorithm::for_key(certificate.key(), RSA_SCHEME).unwrap();
        let slot = &scene
            .pack
            .operation("depot")
            .unwrap()
            .signed()
            .unwrap()
            .slot;
        let floor = Over(DOCUMENT_HASH);
        let prepared = self.time("XAdES: C14N, digests, SignedInfo", floor, |s| {
            xades::prepare_parsed(document, slot, certificate, algorithm, s.clock.now()).unwrap()
        });
        let value = self.time("token: signature of the XML", Over(BARE_SIGNATURE), |s| {
            s.sign(&*s.token, prepared.to_be_signed())
        });
        let mut envelope = self.time("XAdES-B-B: value into the XML", floor, |_| {
            prepared.finish(&value).unwrap()
        });
        let calls = &mut Vec::new();
        self.time("timestamp: RFC 3161, XAdES-B-T", floor, |s| {
            s.signer.stamp(&mut envelope, calls).unwrap();
        });
        let token = envelope.token().unwrap().der().to_vec();
        self.time("revocation: OCSP and CRL, XAdES-B-LT", floor, |s| {
            s.signer.seal(&mut envelope, calls).unwrap();
        });
        let document = self.time("self-check: validation of the whole", floor, |s| {
            s.signer.check(envelope, slot).unwrap()
        });
        self.signature(XADES_LT, before);
        let lease = scene.outbox.claim(Stage::Intake).unwrap().unwrap();
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
        let floor = Over(FILES_AND_COMMIT);
        self.time("D2: seal and commit", floor, |s| {
            s.outbox.prepared(lease, step).unwrap()
        });
        document
    }

    fn deliver(&mut self, uuid: Uuid4, document: &[u8]) {
        let scene = self.scene;
        let lease = scene.outbox.claim(Stage::Delivery).unwrap().unwrap();
        let floor = Over(ONE_COMMIT);
        let lease = self.time("D3: commit", floor, |s| {
            s.outbox.begin_attempt(lease).unwrap()
        });
        let over_document = Over(DOCUMENT_HASH);
        let report = self.time(
            "send: WS-Security, TLS, answer verified",
            over_document,
            |s| {
                s.gateway.deliver(&Message {
                    uuid,
                    code_prestataire: s.practitioner.code_prestataire.as_str(),
                    ehealth_id: &s.practitioner.ehealth_id,
                    model_id: s
                        .pack
                        .operation("depot")
                        .unwrap()
                        .model_id(EnvironmentKind::Sandbox)
                        .unwrap(),
                    payload: document,
                })
            },
        );
        let answered = matches!(report.outcome, Outcome::Answered);
        assert!(answered, "{:?}", report.outcome);
        let evidence = Evidence {
            correlation_id: report.correlation_id,
            answer: report.answer,
            envelope: report.envelope,
        };
        let done = Conclusion::Receipted(Verdict::default());
        self.time("D4: seal and commit", floor, |s| {
            s.outbox.conclude(lease, done, evidence).unwrap()
        });
    }
}

impl Scene {
    /// The example with a UUID of its own.
    fn document(&self) -> (Uuid4, Vec<u8>) {
        let uuid = Uuid4::random();
        let start = self.example.find("uuid>").unwrap() + 5;
        let (head, tail) = (&self.example[..start], &self.example[start + 36..]);
        (uuid, format!("{head}{uuid}{tail}").into_bytes())
    }

    /// A signature with the identity's key.
    pub fn sign(&self, token: &dyn Token, message: &[u8]) -> Vec<u8> {
        let certificate = &self.identity.certificate;
        let algorithm = SignatureAlgorithm::for_key(certificate.key(), RSA_SCHEME).unwrap();
        token
            .sign(&certificate.sha256(), algorithm, message)
            .unwrap()
    }
}
