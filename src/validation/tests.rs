use super::*;
use crate::x509::testing::{
    Builder, CLIENT_AUTH, List, NOW, OCSP_SIGNING, Ocsp, Party, Stamp, TIME_STAMPING,
};
use crate::x509::tsp::TimestampToken;
use crate::x509::{CertStatus, SignatureAlgorithm};
use crate::xml::path::Namespaces;
use SubIndication as Sub;
use rcgen::{KeyPair, SigningKey};
use serde_json::json;
use time::Duration as Span;

mod etsi;
mod indications;

const FORM: &str = "<f:form xmlns:f=\"urn:test:form\"><f:amount>10</f:amount><f:slot/></f:form>";
/// `digitalSignature`, `nonRepudiation`, both, and `keyCertSign` with `cRLSign`.
const DIGITAL: u8 = 0b1000_0000;
const CONTENT: u8 = 0b0100_0000;
const NO_SIGNATURES: u8 = 0b0010_0000;

/// When the signer says it signed, and when the authority stamped it.
const SIGNED: OffsetDateTime = time::macros::datetime!(2026-06-15 10:00:00 UTC);
const STAMPED: OffsetDateTime = time::macros::datetime!(2026-06-15 10:00:05 UTC);

/// Everybody a signature needs: root, authority, signer and timestamp authority.
struct World {
    root: Party,
    ca: Party,
    signer: Party,
    tsa: Party,
}

fn signer() -> Builder {
    Builder::new("Test Signer").usage(CONTENT)
}

fn tsa() -> Builder {
    Builder::new("Test TSA")
        .serial(&[0x07])
        .usage(DIGITAL)
        .purposes(true, &[TIME_STAMPING])
}

fn authority(root: &Party) -> Builder {
    let _ = root;
    Builder::new("Test CA").serial(&[0x0c]).ca(Some(0))
}

impl World {
    fn new() -> Self {
        Self::with(signer(), tsa())
    }

    fn with(signer: Builder, tsa: Builder) -> Self {
        let root = Builder::new("Test Root").ca(None).build(None);
        let ca = authority(&root).build(Some(&root));
        Self {
            signer: signer.build(Some(&ca)),
            tsa: tsa.build(Some(&ca)),
            root,
            ca,
        }
    }

    /// Level B, claiming a time.
    fn signed_at(&self, claimed: OffsetDateTime) -> Vec<u8> {
        let algorithm = SignatureAlgorithm::EcdsaSha256;
        let cert = &self.signer.cert;
        let prepared = xades::prepare(FORM.as_bytes(), &slot(), cert, algorithm, claimed).unwrap();
        let value = self.signer.key.sign(prepared.to_be_signed()).unwrap();
        prepared.finish(&value).unwrap().into_xml()
    }

    fn signed(&self) -> Vec<u8> {
        self.signed_at(SIGNED)
    }

    /// Level T, stamped at a time.
    fn stamped_at(&self, at: OffsetDateTime) -> Vec<u8> {
        self.stamp(&self.signed(), at)
    }

    fn stamp(&self, signed: &[u8], at: OffsetDateTime) -> Vec<u8> {
        extend_t(signed, &self.token(signed, at))
    }

    fn token(&self, signed: &[u8], at: OffsetDateTime) -> Vec<u8> {
        Stamp::new(imprint(signed), &[1], at).token(&self.tsa, std::slice::from_ref(&self.ca.cert))
    }

    fn stamped(&self) -> Vec<u8> {
        self.stamped_at(STAMPED)
    }

    /// Level LT with these responses and the authorities' lists.
    fn sealed(&self, ocsp: &[Vec<u8>]) -> Vec<u8> {
        let list = List::empty(STAMPED).sign(&self.root);
        let certificates = [self.ca.cert.clone(), self.root.cert.clone()];
        let mut envelope = open(&self.stamped());
        envelope.extend_lt(&certificates, ocsp, &[list]).unwrap();
        envelope.into_xml()
    }

    fn about_signer(&self, response: &Ocsp) -> Vec<u8> {
        response.sign(&self.signer.cert, &self.ca.cert, &self.ca)
    }

    fn about_tsa(&self, response: &Ocsp) -> Vec<u8> {
        response.sign(&self.tsa.cert, &self.ca.cert, &self.ca)
    }

    /// Knows the anchor and one intermediate certificate, no evidence.
    fn bare(&self, now: OffsetDateTime) -> Context {
        Context {
            now,
            anchors: vec![self.root.cert.clone()],
            algorithms: AlgorithmPolicy::built_in(),
            clock_tolerance: Duration::from_secs(300),
            revocation_skew: Duration::ZERO,
            current_evidence: Vec::new(),
            certificates: vec![self.ca.cert.clone()],
            evidence: Vec::new(),
        }
    }

    /// With evidence of now about everybody but the signer.
    fn around(&self, now: OffsetDateTime) -> Context {
        let list = List::empty(now).sign(&self.root);
        let tsa = self.about_tsa(&Ocsp::good(now));
        self.bare(now).plus(&[list, tsa])
    }

    /// With evidence of now about everybody.
    fn full(&self, now: OffsetDateTime) -> Context {
        self.around(now)
            .plus(&[self.about_signer(&Ocsp::good(now))])
    }
}

impl Context {
    fn plus(mut self, evidence: &[Vec<u8>]) -> Self {
        let read = evidence.iter().map(|der| Evidence::from_der(der).unwrap());
        self.evidence.extend(read);
        self
    }
}

fn slot() -> Slot {
    let namespaces = Namespaces::from([("f".to_owned(), "urn:test:form".to_owned())]);
    Slot::parse("/f:form/f:slot", &namespaces).unwrap()
}

fn open(document: &[u8]) -> xades::Envelope {
    xades::Envelope::open(document.to_vec(), &slot()).unwrap()
}

fn extend_t(signed: &[u8], token: &[u8]) -> Vec<u8> {
    let mut envelope = open(signed);
    let token = TimestampToken::from_der(token).unwrap();
    envelope.extend_t(token).unwrap();
    envelope.into_xml()
}

fn imprint(signed: &[u8]) -> [u8; 32] {
    crate::base::digest::sha256(open(signed).timestamp_input())
}

fn check(document: &[u8], context: &Context) -> Report {
    xml(document, Some(&slot()), context)
}

/// `document` with the one occurrence of `from` replaced.
fn edit(document: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(document.to_vec()).unwrap();
    assert_eq!(text.matches(from).count(), 1, "{from} in {text}");
    text.replace(from, to).into_bytes()
}

fn between<'a>(document: &'a [u8], from: &str, to: &str) -> &'a str {
    let text = std::str::from_utf8(document).unwrap();
    let start = text.find(from).unwrap();
    let end = start + text[start..].find(to).unwrap() + to.len();
    &text[start..end]
}

fn found(report: &Report) -> (&'static str, Option<&'static str>) {
    let sub = report.sub_indication.map(Sub::as_str);
    (report.indication.as_str(), sub)
}

#[track_caller]
fn passes(report: &Report) {
    assert_eq!(
        found(report),
        ("TOTAL-PASSED", None),
        "{}",
        serde_json::to_string_pretty(report).unwrap()
    );
}

#[test]
fn each_level_passes_with_the_evidence_it_needs() {
    let world = World::new();
    let full = world.full(NOW);
    let report = check(&world.signed(), &full);
    passes(&report);
    let facts = report.signatures[0].facts.as_ref().unwrap();
    assert_eq!(facts.level, "XAdES-B-B");
    assert_eq!(facts.best_signature_time, NOW);

    let report = check(&world.stamped(), &full);
    passes(&report);
    let facts = report.signatures[0].facts.as_ref().unwrap();
    assert_eq!(facts.level, "XAdES-B-T");
    assert_eq!(facts.best_signature_time, STAMPED);

    // Everything is inside: only the anchor is needed, three years later too,
    // when the signer's certificate has long expired.
    let late = NOW + Span::days(1100);
    let world = World::with(signer(), tsa().validity(NOW - Span::days(1), late));
    let good = Ocsp::good(STAMPED);
    let sealed = world.sealed(&[world.about_signer(&good), world.about_tsa(&good)]);
    let mut bare = world.bare(NOW);
    bare.certificates.clear();
    passes(&check(&sealed, &bare));
}

#[test]
fn a_report_tells_what_was_used() {
    let world = World::new();
    let report = serde_json::to_value(check(&world.stamped(), &world.full(NOW))).unwrap();
    let signature = &report["signatures"][0];
    assert_eq!(signature["signer"][0]["subject"], "CN=Test Signer");
    assert_eq!(signature["signer"][0]["revocation"]["kind"], "ocsp");
    assert_eq!(signature["signer"][1]["revocation"]["kind"], "crl");
    assert_eq!(signature["signer"][2]["anchor"], true);
    assert_eq!(signature["signer"][2]["revocation"], json!(null));
    assert_eq!(signature["timestamp"]["indication"], "PASSED");
    assert_eq!(signature["timestamp"]["gen_time"], "2026-06-15T10:00:05Z");
    assert_eq!(signature["place"], "/f:form/f:slot");
    let blocks = signature["blocks"].as_array().unwrap();
    let clauses: Vec<&str> = blocks
        .iter()
        .map(|b| b["clause"].as_str().unwrap())
        .collect();
    let all = [
        "5.2.2", "5.2.3", "5.2.4", "5.2.7", "5.4", "5.2.6", "5.2.5", "5.5", "5.2.8",
    ];
    assert_eq!(clauses, all);
    assert!(blocks.iter().all(|block| block["indication"] == "PASSED"));
}

#[test]
fn the_place_is_required_when_it_is_given_and_reported_when_not() {
    let world = World::new();
    let full = world.full(NOW);
    let signed = world.signed();
    let report = xml(&signed, None, &full);
    passes(&report);
    let place = &report.signatures[0].facts.as_ref().unwrap().place;
    assert!(place.ends_with("slot"), "{place}");
    let elsewhere = xml(&signed, Some(&Slot::EndOfRoot), &full);
    let expected = ("INDETERMINATE", Some("SIG_CONSTRAINTS_FAILURE"));
    assert_eq!(found(&elsewhere), expected);
}

/// Wrapping, a moved or doubled signature, and doubled identifiers.
#[test]
fn a_signature_over_something_else_never_passes() {
    let world = World::new();
    let full = world.full(NOW);
    let signed = world.signed();
    let signature = between(&signed, "<ds:Signature ", "</ds:Signature>").to_owned();
    let text = String::from_utf8(signed.clone()).unwrap();
    let unsigned = text.replace(&signature, "");
    let id = between(&signed, "sig-", "\"").to_owned();
    let id = format!(" Id=\"{id}");
    for bad in [
        format!(
            "<f:form xmlns:f=\"urn:test:form\"><f:amount>9</f:amount><f:slot>{signature}</f:slot>\
             <f:x>{unsigned}</f:x></f:form>"
        ),
        format!("<x>{text}</x>"),
        text.replace(&signature, &format!("{signature}{signature}")),
        text.replace("<f:amount>", &format!("<f:amount{id}>")),
        text.replace(
            "</ds:Signature>",
            &format!("<ds:Object>{unsigned}</ds:Object></ds:Signature>"),
        ),
    ] {
        for slot in [Some(slot()), None] {
            let report = xml(bad.as_bytes(), slot.as_ref(), &full);
            assert_ne!(report.indication, Indication::TotalPassed, "{bad}");
        }
    }
    // Moved, it covers the same; only who knows the place can tell.
    let moved = unsigned.replace("</f:form>", &format!("{signature}</f:form>"));
    let report = check(moved.as_bytes(), &full);
    assert_eq!(report.sub_indication, Some(Sub::SigConstraintsFailure));
    passes(&check(text.as_bytes(), &full));
}

#[test]
fn only_a_passed_document_of_its_own_level_is_delivered() {
    let world = World::new();
    let own = &world.signer.cert;
    let good = Ocsp::good(STAMPED);
    let sealed = world.sealed(&[world.about_signer(&good), world.about_tsa(&good)]);
    let bare = world.bare(NOW);
    let report = check(&sealed, &bare);
    self_check(&report, "XAdES-B-LT", own).unwrap();
    let level = self_check(&report, "XAdES-B-T", own).unwrap_err();
    assert!(matches!(level, ValidationError::SelfCheckLevel { .. }));
    let signer = self_check(&report, "XAdES-B-LT", &world.tsa.cert).unwrap_err();
    assert!(matches!(signer, ValidationError::SelfCheckSigner));
    let changed = edit(&sealed, ">10<", ">11<");
    let verdict = self_check(&check(&changed, &bare), "XAdES-B-LT", own).unwrap_err();
    assert!(matches!(verdict, ValidationError::SelfCheckVerdict { .. }));

    // Of a PDF the last signature counts, and nothing but validation data follows.
    let full = world.full(NOW);
    let signed = world.sign_pdf(&fixture("memoire-gs-a2b-objstm.pdf"));
    let sealed = world.seal_pdf(&world.stamp_pdf(&signed));
    self_check(&pdf(&sealed, &bare), "PAdES-B-LT", own).unwrap();
    let mut twice = pdf(&world.sign_pdf(&signed), &full);
    self_check(&twice, "PAdES-B-B", own).unwrap();
    twice.signatures.pop();
    let followed = self_check(&twice, "PAdES-B-B", own).unwrap_err();
    assert!(matches!(followed, ValidationError::SelfCheckChanges));
}

/// A few are looked at, so that what is missing is told; many are work.
#[test]
fn more_references_than_a_signature_needs_are_refused_at_once() {
    let world = World::new();
    let full = world.full(NOW);
    let text = String::from_utf8(world.signed()).unwrap();
    let reference = "<ds:Reference URI=\"#nowhere\"><ds:DigestMethod \
                     Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"/>\
                     <ds:DigestValue>AAAA</ds:DigestValue></ds:Reference>";
    let with = |more: usize| {
        let end = "</ds:SignedInfo>";
        let bad = text.replace(end, &format!("{}{end}", reference.repeat(more)));
        assert_ne!(bad, text);
        found(&check(bad.as_bytes(), &full))
    };
    assert_eq!(with(14), ("INDETERMINATE", Some("SIGNED_DATA_NOT_FOUND")));
    assert_eq!(with(15), ("INDETERMINATE", Some("SIG_CONSTRAINTS_FAILURE")));
}

/// Every byte of a signed document, changed alone: seen, or without meaning.
#[test]
fn no_changed_byte_turns_a_failure_into_a_pass() {
    let world = World::new();
    let signed = world.stamped();
    // Revoked before it was signed: whatever is changed, it stays so or worse.
    let revoked = world.about_signer(&Ocsp::revoked(SIGNED - Span::days(1)));
    let context = world.around(NOW).plus(&[revoked]);
    for at in (0..signed.len()).step_by(7) {
        let mut bytes = signed.clone();
        bytes[at] ^= 1;
        let report = check(&bytes, &context);
        assert_ne!(report.indication, Indication::TotalPassed, "at {at}");
    }
}

#[test]
fn what_the_document_brings_does_not_crowd_out_what_the_caller_knows() {
    let world = World::new();
    let good = world.about_signer(&Ocsp::good(STAMPED));
    let mut ocsp = vec![good, world.about_tsa(&Ocsp::good(STAMPED))];
    for second in 1..70 {
        let at = STAMPED + Span::seconds(second);
        ocsp.push(world.about_signer(&Ocsp::good(at)));
    }
    let sealed = world.sealed(&ocsp);
    let revoked = Ocsp::revoked(SIGNED - Span::days(1));
    let context = world.bare(NOW).plus(&[world.about_signer(&revoked)]);
    let expected = ("INDETERMINATE", Some("REVOKED_NO_POE"));
    assert_eq!(found(&check(&sealed, &context)), expected);
}

#[test]
fn a_delegated_responder_speaks_for_the_issuer_only_when_it_is_entitled() {
    let world = World::new();
    let signed = world.stamped();
    let by = |responder: &Party| {
        let about = Ocsp::good(NOW).sign(&world.signer.cert, &world.ca.cert, responder);
        found(&check(&signed, &world.around(NOW).plus(&[about])))
    };
    let general = ("INDETERMINATE", Some("CERTIFICATE_CHAIN_GENERAL_FAILURE"));
    let responder = |builder: Builder| builder.serial(&[0x0d]).usage(DIGITAL);
    let named = || responder(Builder::new("Test Responder"));
    let entitled = || named().purposes(false, &[OCSP_SIGNING]);
    assert_eq!(
        by(&entitled().no_check().build(Some(&world.ca))),
        ("TOTAL-PASSED", None)
    );
    // Nothing says that the responder itself is not revoked.
    assert_eq!(by(&entitled().build(Some(&world.ca))), general);
    // Not for OCSP; certified by somebody else.
    assert_eq!(by(&named().no_check().build(Some(&world.ca))), general);
    assert_eq!(by(&entitled().no_check().build(Some(&world.root))), general);
}

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/pdf/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

impl World {
    fn sign_pdf(&self, pdf: &[u8]) -> Vec<u8> {
        let chain = [self.ca.cert.clone()];
        let algorithm = SignatureAlgorithm::EcdsaSha256;
        let prepared = pades::prepare(pdf, &self.signer.cert, &chain, algorithm, SIGNED).unwrap();
        let value = self.signer.key.sign(prepared.to_be_signed()).unwrap();
        prepared.finish(&value).unwrap()
    }

    fn stamp_pdf(&self, pdf: &[u8]) -> Vec<u8> {
        let imprint = crate::base::digest::sha256(&pades::timestamp_input(pdf).unwrap());
        let stamp = Stamp::new(imprint, &[1], STAMPED);
        pades::extend_t(pdf, &stamp.token(&self.tsa, &[])).unwrap()
    }

    fn seal_pdf(&self, pdf: &[u8]) -> Vec<u8> {
        let good = Ocsp::good(STAMPED);
        let ocsp = [self.about_signer(&good), self.about_tsa(&good)];
        let lists = [List::empty(STAMPED).sign(&self.root)];
        pades::extend_lt(pdf, std::slice::from_ref(&self.ca.cert), &ocsp, &lists).unwrap()
    }
}

#[test]
fn each_level_of_a_pdf_passes_and_changes_are_told() {
    let world = World::new();
    let full = world.full(NOW);
    let signed = world.sign_pdf(&fixture("memoire-gs-a2b-objstm.pdf"));
    let stamped = world.stamp_pdf(&signed);
    let sealed = world.seal_pdf(&stamped);
    let mut bare = world.bare(NOW);
    bare.certificates.clear();
    for (document, level, context) in [
        (&signed, "PAdES-B-B", &full),
        (&stamped, "PAdES-B-T", &full),
        (&sealed, "PAdES-B-LT", &bare),
    ] {
        let report = pdf(document, context);
        passes(&report);
        let facts = report.signatures[0].facts.as_ref().unwrap();
        assert_eq!(facts.level, level);
        let changes = facts.changes_after.as_ref().unwrap();
        assert_eq!(changes.is_empty(), level != "PAdES-B-LT");
    }
    // A second signature: both are reported, the oldest first.
    let twice = pdf(&world.sign_pdf(&signed), &full);
    passes(&twice);
    assert_eq!(twice.signatures.len(), 2);
    let first = twice.signatures[0].facts.as_ref().unwrap();
    assert_eq!(first.changes_after.as_ref().unwrap().len(), 1);
}

#[test]
fn what_is_wrong_with_a_pdf_is_told_apart() {
    let world = World::new();
    let full = world.full(NOW);
    let plain = fixture("memoire-gs-a2b-objstm.pdf");
    let signed = world.sign_pdf(&plain);
    let format = ("TOTAL-FAILED", Some("FORMAT_FAILURE"));
    assert_eq!(found(&pdf(b"%PDF-1.7\n", &full)), format);
    assert_eq!(found(&pdf(&plain, &full)), format);
    // One signed byte, in a comment.
    let mut changed = signed.clone();
    changed[12] ^= 1;
    let hash = ("TOTAL-FAILED", Some("HASH_FAILURE"));
    assert_eq!(found(&pdf(&changed, &full)), hash);
    // An update behind the signature that nobody signed.
    let mut document =
        lopdf::IncrementalDocument::create_from(signed.clone(), crate::pdf::load(&signed).unwrap());
    let root = document.get_prev_documents().trailer.get(b"Root").unwrap();
    let root = root.as_reference().unwrap();
    document.opt_clone_object_to_new_document(root).unwrap();
    let catalog = document.new_document.get_dictionary_mut(root).unwrap();
    catalog.set("PageMode", "UseOutlines");
    let mut shadowed = Vec::new();
    document.save_to(&mut shadowed).unwrap();
    assert_eq!(found(&pdf(&shadowed, &full)), format);
    passes(&pdf(&signed, &full));
}

/// Evidence on a timestamp's authority is as new as the timestamp, unless the
/// authority is configured as one whose lists appear every few weeks.
#[test]
fn an_authority_with_rare_lists_needs_current_evidence_only() {
    let world = World::new();
    let stamped = world.stamped();
    let with = |next: OffsetDateTime, lenient: bool| {
        let tsa = Ocsp {
            next_update: Some(next),
            ..Ocsp::good(STAMPED - Span::days(20))
        };
        let list = List::empty(NOW).sign(&world.root);
        let signer = world.about_signer(&Ocsp::good(NOW));
        let mut context = world.bare(NOW).plus(&[list, signer, world.about_tsa(&tsa)]);
        if lenient {
            context.current_evidence.push(world.tsa.cert.clone());
        }
        check(&stamped, &context)
    };
    passes(&with(STAMPED, true));
    let expected = ("INDETERMINATE", Some("TRY_LATER"));
    assert_eq!(found(&with(STAMPED, false)), expected);
    let lapsed = STAMPED - Span::seconds(301);
    assert_eq!(found(&with(lapsed, true)), expected);
}

/// From its revocation on, an authority's word is worth nothing; what it said
/// before stands, when the signature is proved to be older.
#[test]
fn an_authority_revoked_later_voids_only_what_it_said_later() {
    let world = World::new();
    let revoked_at = STAMPED + Span::hours(1);
    // The timestamp's authority has a chain of its own.
    let other = Builder::new("Other CA")
        .serial(&[0x0e])
        .ca(Some(0))
        .build(Some(&world.root));
    let tsa = tsa().build(Some(&other));
    let signed = world.signed();
    let token =
        Stamp::new(imprint(&signed), &[1], STAMPED).token(&tsa, std::slice::from_ref(&other.cert));
    let stamped = extend_t(&signed, &token);
    let said_at = |at: OffsetDateTime| {
        let evidence = [
            world.about_signer(&Ocsp::good(at)),
            Ocsp::good(at).sign(&tsa.cert, &other.cert, &other),
            List::revoking(revoked_at, world.ca.cert.serial()).sign(&world.root),
        ];
        check(&stamped, &world.bare(NOW).plus(&evidence))
    };
    passes(&said_at(revoked_at));
    let expected = ("INDETERMINATE", Some("REVOKED_CA_NO_POE"));
    assert_eq!(found(&said_at(revoked_at + Span::seconds(1))), expected);
}

#[test]
fn the_words_are_those_of_the_standard() {
    assert_eq!(
        Indication::TotalPassed.uri(),
        "urn:etsi:019102:mainindication:total-passed"
    );
    assert_eq!(
        Sub::TryLater.uri(),
        "urn:etsi:019102:subindication:TRY_LATER"
    );
    for sub in Sub::ALL {
        let words = sub.as_str().to_ascii_lowercase().replace('_', "");
        assert_eq!(words, format!("{sub:?}").to_ascii_lowercase());
        assert_ne!(sub.indication(), Indication::TotalPassed);
    }
}
