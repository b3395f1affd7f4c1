//! What each target does with its bytes, and what must hold for all bytes.
//! Shared with `tests/it/fuzzed.rs`, which replays seeds and old finds.

use sceau::forms::{Pack, Packs};
use sceau::trust::AlgorithmPolicy;
use sceau::validation::Context;
use sceau::x509::crl::Crl;
use sceau::x509::ocsp::OcspResponse;
use sceau::x509::tsp::TimestampToken;
use sceau::x509::{Cert, SignatureAlgorithm, cms, ecdsa_der_to_fixed, ecdsa_fixed_to_der};
use sceau::xml::c14n::{Mode, Options, canonicalize};
use sceau::xml::path::{Namespaces, Path, Slot};
use sceau::{pades, pdf, token, validation, xades, xml};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use time::macros::datetime;

/// A target's name, which is that of the folders of its inputs, and what it runs.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: [Target; 11] = [
    ("c14n", c14n),
    ("cms", cms),
    ("crl", crl),
    ("ocsp", ocsp),
    ("pdf", pdf),
    ("tsp", tsp),
    ("worker", worker),
    ("x509", x509),
    ("xades", xades),
    ("xml", xml),
    ("xsd", xsd),
];

macro_rules! certificate {
    ($file:literal) => {
        LazyLock::new(|| {
            let der = include_bytes!(concat!("../../tests/fixtures/pki/", $file));
            Cert::from_der(der).expect("a certificate of the fixtures")
        })
    };
}
static ROOT: LazyLock<Cert> = certificate!("root.crt");
static LEAF: LazyLock<Cert> = certificate!("leaf.crt");

static LIST: &[u8] = include_bytes!("../../tests/fixtures/pki/root.crl");

static CONTEXT: LazyLock<Context> = LazyLock::new(|| Context {
    now: datetime!(2026-10-05 09:30:00 UTC),
    anchors: vec![ROOT.clone()],
    algorithms: AlgorithmPolicy::built_in(),
    clock_tolerance: Duration::from_secs(300),
    revocation_skew: Duration::ZERO,
    current_evidence: Vec::new(),
    certificates: Vec::new(),
    evidence: Vec::new(),
});

static PACK: LazyLock<Arc<Pack>> = LazyLock::new(|| {
    let packs = Packs::builtin().expect("the packs compiled in");
    packs.pack("memoire-honoraires", None).expect("a pack")
});

/// The gate, the parser behind it, and what names places in the tree.
fn xml(data: &[u8]) {
    let Ok(document) = xml::parse(data) else {
        return;
    };
    let limits = xml::gate::Limits::default();
    let mut positions = xml::Positions::new(data);
    for node in document
        .descendants()
        .filter(|node| node.is_element())
        .take(200)
    {
        assert!(node.ancestors().count() <= limits.depth + 1);
        assert!(node.attributes().len() <= limits.attributes);
        assert!(node.namespaces().len() <= limits.namespaces + 1);
        assert!(
            xml::xpath_of(node).ends_with(']') || xml::xpath_of(node).ends_with(xml::name_of(node))
        );
        let at = positions.at(node.range().start);
        assert_eq!(at, xml::position(data, node.range().start));
    }
}

/// A canonical form, read again, is its own canonical form.
fn c14n(data: &[u8]) {
    let Ok(document) = xml::parse(data) else {
        return;
    };
    let middle = document
        .descendants()
        .filter(|node| node.is_element())
        .nth(2);
    for mode in [Mode::Inclusive10, Mode::Inclusive11, Mode::Exclusive] {
        for comments in [false, true] {
            let options = Options {
                mode,
                comments,
                prefixes: &["#default", "p"],
            };
            for apex in [Some(document.root()), middle].into_iter().flatten() {
                let once = canonicalize(&document, apex, |_| true, &options);
                let text = std::str::from_utf8(&once).expect("canonical XML is UTF-8");
                let again = roxmltree::Document::parse(text).expect("canonical XML is XML");
                let twice = canonicalize(&again, again.root(), |_| true, &options);
                assert_eq!(text, String::from_utf8_lossy(&twice), "{mode:?}");
            }
        }
    }
}

/// Schema validation and the pack's rules behind it.
fn xsd(data: &[u8]) {
    for operation in PACK.operations.keys() {
        let checked = PACK.check(operation, data);
        if let Ok(checked) = checked {
            assert_eq!(checked.xml, xml::without_mark(data));
        }
        let _ = PACK.check_complete(operation, data);
        let _ = PACK.answer(operation, data);
        let _ = PACK.status_answer(operation, data);
    }
}

/// What passes the pre-check can be signed, and stays readable and unchanged.
fn pdf(data: &[u8]) {
    let report = pdf::precheck(data);
    let _ = pades::verify_all(data);
    let _ = pades::extend_lt(data, std::slice::from_ref(&*ROOT), &[], &[LIST.to_vec()]);
    let verdict = validation::pdf(data, &CONTEXT);
    assert!(verdict.to_etsi_xml().starts_with('<'));
    let time = datetime!(2026-10-05 09:30:00 UTC);
    match pades::prepare(data, &LEAF, &[], SignatureAlgorithm::EcdsaSha256, time) {
        Ok(prepared) => {
            let signed = prepared.finish(&[0x30, 0]).expect("room for a signature");
            assert!(signed.starts_with(data));
            let signed = pdf::SignedPdf::open(&signed).expect("the signed file is readable");
            let last = signed.signatures().pop().expect("the signature is there");
            last.expect("the signature is readable");
        }
        Err(error) => assert!(!report.violations.is_empty(), "accepted, but {error:?}"),
    }
}

fn cms(data: &[u8]) {
    if let Ok(signed) = cms::SignedData::from_der(data) {
        let _ = signed.signer();
        let _ = signed.verify_detached_content(&[b"content"]);
        let _ = signed.verify_encapsulated();
    }
}

fn tsp(data: &[u8]) {
    for token in [
        TimestampToken::from_der(data),
        TimestampToken::from_response(data),
    ]
    .into_iter()
    .flatten()
    {
        let _ = (token.accuracy(), token.policy(), token.gen_time());
        let imprint = <[u8; 32]>::try_from(token.imprint());
        let _ = token.verify(&imprint.unwrap_or_default(), None);
        let again = TimestampToken::from_der(token.der()).expect("a token stays one");
        assert_eq!(again.gen_time(), token.gen_time());
    }
}

fn ocsp(data: &[u8]) {
    if let Ok(response) = OcspResponse::from_der(data) {
        let _ = response.check(&LEAF, &ROOT);
        assert_eq!(response.der(), data);
    }
}

fn crl(data: &[u8]) {
    if let Ok(crl) = Crl::from_der(data) {
        let _ = crl.verify(&ROOT);
        let _ = crl.status(&LEAF);
        assert_eq!(crl.der(), data);
    }
}

fn x509(data: &[u8]) {
    let _ = Cert::from_pem_many(data);
    if let Some(fixed) = ecdsa_der_to_fixed(data, 32) {
        assert_eq!(ecdsa_fixed_to_der(&fixed), data);
    }
    if let Ok(cert) = Cert::from_der(data) {
        assert_eq!(cert.der(), data);
        let _ = (cert.subject(), cert.issuer(), cert.common_name());
        let _ = cert.verify_issued_by(&ROOT);
        let _ = LEAF.verify_issued_by(&cert);
        let pem = Cert::from_pem_many(cert.to_pem().as_bytes()).expect("own PEM");
        assert_eq!(pem[0].der(), data);
    }
}

/// Signing, the verifier with its reports, and every step that extends.
fn xades(data: &[u8]) {
    let report = validation::xml(data, None, &CONTEXT);
    assert!(report.to_etsi_xml().starts_with('<'));
    let namespaces = Namespaces::from([("f".to_owned(), "urn:test:form".to_owned())]);
    let wrapper = Path::parse("/f:form/f:slot", &namespaces).expect("a path");
    for slot in [Slot::Wrapper(wrapper), Slot::EndOfRoot] {
        let verified = xades::verify(data, &slot);
        if let Ok(mut envelope) = xades::Envelope::open(data.to_vec(), &slot) {
            assert!(verified.is_ok() || envelope.level() > xades::Level::B);
            let _ = envelope.extend_lt(std::slice::from_ref(&*ROOT), &[], &[LIST.to_vec()]);
        }
        let time = datetime!(2026-10-05 09:30:00 UTC);
        let algorithm = SignatureAlgorithm::EcdsaSha256;
        if let Ok(prepared) = xades::prepare(data, &slot, &LEAF, algorithm, time) {
            assert!(!prepared.to_be_signed().is_empty());
        }
    }
}

/// Frames between the daemon and a token worker, in both directions.
fn worker(data: &[u8]) {
    token::pkcs11::read_frames(data);
}
