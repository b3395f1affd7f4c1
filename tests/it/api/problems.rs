//! The exact problem of every refusal, on file for people to read: beside each
//! invalid example, and for requests and PDFs in `tests/fixtures/problems`.
//! And what must never be in them, nor in the log, nor on disk in clear.

use super::raw::Answer;
use super::{DEPOT, Service, differs, example, files, root};
use crate::daemon::{self, Setup};
use crate::forms::{Example, built_in};
use sceau::api::Problem;
use sceau::forms::Packs;
use sceau::intake::IntakeError;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The invalid examples of all built-in packs and operations.
fn invalid() -> impl Iterator<Item = Example> {
    built_in().iter().flat_map(|case| case.examples("invalid"))
}

fn golden(example: &Path) -> PathBuf {
    example.with_extension("problem.json")
}

/// Without HTTP: the pack's refusal as the API tells it. Each example has one
/// fault, and it is named as exactly as it can be.
#[test]
fn invalid_examples_give_exactly_the_problem_on_file() {
    let mut different = Vec::new();
    for example in invalid() {
        let name = example.path.display();
        let pack = &example.case.pack;
        let Err(rejected) = pack.check(&example.operation, &example.bytes()) else {
            panic!("{name} is valid");
        };
        let problem = Problem::from(IntakeError::Xml(rejected));
        let [fault] = &problem.faults[..] else {
            different.push(format!("{name}: {:#?}", problem.faults));
            continue;
        };
        assert_eq!(fault.severity, "error", "{name}");
        let pointer = fault.pointer.as_ref().expect("a place");
        assert!(pointer.line >= 1 && pointer.column >= 1, "{name}");
        // Only what is no XML for us has no tree to point into.
        assert_eq!(
            pointer.xpath.is_none(),
            fault.code.starts_with("xml."),
            "{name}"
        );
        assert!(fault.message.ends_with('.'), "{name}");
        assert!(fault.doctor.is_some(), "{name}");
        let json = serde_json::to_string_pretty(&problem).unwrap() + "\n";
        different.extend(differs(&golden(&example.path), json.as_bytes()));
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// Not only the first fault: all of them, in document order.
#[test]
fn all_faults_of_a_document_are_told_at_once() {
    let packs = Packs::builtin().unwrap();
    let pack = packs.pack("memoire-honoraires", Some("2")).unwrap();
    let xml = String::from_utf8(example("valid", "une-ligne.xml")).unwrap();
    let broken = xml
        .replace(">90000001<", ">9000001<")
        .replace("<mh:devise>EUR", "<mh:devise>eur")
        .replace("<mh:nombre>1<", "<mh:nombre>0<");
    let Err(rejected) = pack.check("depot", broken.as_bytes()) else {
        panic!("valid");
    };
    let problem = Problem::from(IntakeError::Xml(rejected));
    assert_eq!(
        problem.detail,
        "The XML breaks the rules of the form in 3 places."
    );
    let places = problem.faults.iter().map(|fault| {
        let pointer = fault.pointer.as_ref().unwrap();
        let name = pointer.xpath.as_ref().unwrap().rsplit('/').next().unwrap();
        (pointer.line, name.to_owned())
    });
    let places: Vec<_> = places.collect();
    assert!(places.is_sorted(), "{places:?}");
    let names: Vec<_> = places.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["mh:codePrestataire", "mh:nombre", "mh:devise"]);
}

#[test]
fn every_problem_on_file_belongs_to_an_example() {
    for case in built_in() {
        for path in files(&case.folder.join("examples/invalid")) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let stem = name.strip_suffix(".problem.json");
            let stem = stem.or_else(|| name.strip_suffix(".xml")).expect(&name);
            let example = path.with_file_name(format!("{stem}.xml"));
            assert!(example.is_file(), "{}", path.display());
        }
    }
}

/// Codes of problems that other tests bring about.
const ELSEWHERE: &[&str] = &[
    "practitioner-not-allowed",
    "too-many-requests",
    "queue-full",
    "too-many-streams",
    "document-purged",
    "disk-full",
    "store-stopped",
    "store-damaged",
    "not-allowed-now",
    "not-printable",
    "pin-refused",
    "not-yet-available",
    "not-unknown",
    "token-not-ready",
    "token-unknown",
    "pin-locked",
    "pin-uncertain",
    "pdf-validator-failed",
    "certificate-refused",
    "level-unavailable",
    "token-unavailable",
    "timestamp-unavailable",
    "validation-data-unavailable",
];

/// Over HTTP: the body of each answer is the file, byte for byte.
#[test]
fn the_service_answers_with_the_problems_on_file() {
    let service = Service::start(&Setup::default());
    let mut different = Vec::new();
    for example in invalid() {
        let name = example.path.display();
        let form = &example.case.pack.form;
        let target = format!("/v1/forms/{form}/{}", example.operation);
        let answer = service.post(&target, "application/xml", &example.bytes());
        assert_eq!(answer.status, 422, "{name}");
        assert_eq!(answer.problem(), "document-invalid", "{name}");
        let kept = std::fs::read(golden(&example.path)).unwrap_or_default();
        if answer.body != kept {
            different.push(name.to_string());
        }
    }
    assert!(
        different.is_empty(),
        "other bodies over HTTP: {different:?}"
    );
    let folder = root().join("tests/fixtures/problems");
    let mut names = BTreeSet::new();
    for (name, answer) in refused(&service) {
        assert!(answer.status >= 400, "{name}: {answer:?}");
        assert!(name.starts_with(&answer.problem()), "{name}");
        let name = format!("{name}.problem.json");
        different.extend(differs(&folder.join(&name), &answer.body));
        names.insert(name);
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    let kept = files(&folder);
    let kept: BTreeSet<_> = kept
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(kept, names, "files without a case");
    // Those no test can bring about.
    let never = ["internal", "storage-failed"];
    for kind in sceau::api::KINDS {
        let shown =
            kind.code == "document-invalid" || names.iter().any(|n| n.starts_with(kind.code));
        let excepted = ELSEWHERE.contains(&kind.code) || never.contains(&kind.code);
        assert!(shown != excepted, "{}", kind.code);
    }
    let submissions = service.get("/v1/submissions").json();
    assert_eq!(
        submissions.as_array().unwrap().len(),
        1,
        "only the one of the conflict"
    );
}

const CANCELLATION: &str = "xsd/memoire-honoraires/2/examples/valid/annulation/simple.xml";

/// Requests, PDFs and practitioners that are refused, by the name of their
/// file: the code, and what is wrong.
fn refused(service: &Service) -> Vec<(String, Answer)> {
    let xml = example("valid", "une-ligne.xml");
    let good = daemon::pdf("memoire-gs-a2b.pdf");
    let text = String::from_utf8(xml.clone()).unwrap();
    let stranger = text.replace("90000001", "90000042");
    let within = example("valid", "avec-document.xml");
    let mut all = pdfs(service, &xml, &good);
    all.extend(unsigned(service, &good));
    all.extend(operations(service, &xml, &good));
    let mut add = |name: &str, answer: Answer| all.push((name.to_owned(), answer));
    add("pdf-missing", service.hand_in(DEPOT, &xml, None));
    add(
        "pdf-ambiguous",
        service.hand_in(DEPOT, &within, Some(&good)),
    );
    add(
        "practitioner-unknown",
        service.hand_in(DEPOT, stranger.as_bytes(), Some(&good)),
    );
    // The same UUID with other bytes.
    let accepted = service.hand_in(DEPOT, &xml, Some(&good));
    let location = accepted.header("location").unwrap();
    add(
        "copy-unknown",
        service.get(&format!("{location}/copies/employeur")),
    );
    let changed = text.replace("\n  <mh:prestation>", "\n\n  <mh:prestation>");
    assert_ne!(changed, text);
    add(
        "uuid-conflict",
        service.hand_in(DEPOT, changed.as_bytes(), Some(&good)),
    );
    let json = |target: &str, body: &[u8]| service.post(target, "application/json", body);
    add("body-malformed", json(DEPOT, b"{\"xml\": <a/>}"));
    add(
        "media-type-refused",
        service.post(DEPOT, "application/x-www-form-urlencoded", &xml),
    );
    add("query-malformed", service.get("/v1/submissions?limit=1000"));
    let target = "/v1/submissions/f47ac10b-58cc-4372-a567-0e02b2c3d479";
    add("submission-unknown", service.get(target));
    add("not-found", service.get("/v1/form"));
    add("method-refused", service.get("/v1/uuids"));
    add(
        "unauthorized",
        service.ask_with("", "GET", "/v1/forms", &[], b""),
    );
    let origin = [("Origin", "https://evil.example")];
    add(
        "origin-refused",
        service.ask("GET", "/v1/forms", &origin, b""),
    );
    let port = service.port;
    let bad_host = "GET /v1/forms HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    add("host-refused", super::raw::send(port, bad_host.as_bytes()));
    let no_host = "GET /v1/forms HTTP/1.0\r\n\r\n";
    add("host-malformed", super::raw::send(port, no_host.as_bytes()));
    let length = sceau::base::limits::BODY_BYTES_MAX + 1;
    let large = format!(
        "POST {DEPOT} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
         Authorization: Bearer {}\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n",
        service.program
    );
    add("body-too-large", super::raw::send(port, large.as_bytes()));
    all
}

/// Forms and operations that are not there, or do not take what is asked.
fn operations(service: &Service, xml: &[u8], pdf: &[u8]) -> Vec<(String, Answer)> {
    let cancelled = std::fs::read(root().join(CANCELLATION)).unwrap();
    let ask = |path: &str, xml: &[u8], pdf: Option<&[u8]>| {
        service.hand_in(&format!("/v1/forms/{path}"), xml, pdf)
    };
    let cases = [
        ("form-unknown", ask("ordonnance/depot", b"<a/>", None)),
        (
            "operation-unknown",
            ask("memoire-honoraires/retrait", b"<a/>", None),
        ),
        (
            "signer-unknown",
            ask("memoire-honoraires/depot?signer=nobody", xml, Some(pdf)),
        ),
        (
            "pdf-unexpected",
            ask("memoire-honoraires/annulation", &cancelled, Some(pdf)),
        ),
    ];
    cases.map(|(name, answer)| (name.to_owned(), answer)).into()
}

/// Documents that get no signature of their own.
fn unsigned(service: &Service, pdf: &[u8]) -> Vec<(String, Answer)> {
    let sign = |query: &str, kind: &str, body: &[u8]| {
        let target = format!("/v1/signatures?practitioner=90000001{query}");
        service.post(&target, &format!("application/{kind}"), body)
    };
    let signed = sign("&level=XAdES-B-B", "xml", b"<a/>").body;
    let truncated = &pdf[..pdf.len() / 2];
    let cases = [
        ("xml-unreadable", sign("", "xml", b"<a>\n  <b></a>")),
        ("slot-refused", sign("&slot=/a/b", "xml", b"<a/>")),
        ("already-signed", sign("", "xml", &signed)),
        ("pdf-refused", sign("", "pdf", truncated)),
    ];
    cases.map(|(name, answer)| (name.to_owned(), answer)).into()
}

/// PDFs that cannot be the PDF/A they should be.
fn pdfs(service: &Service, xml: &[u8], good: &[u8]) -> Vec<(String, Answer)> {
    let replaced = |from: &[u8], to: &[u8]| {
        assert_eq!(from.len(), to.len());
        let mut bytes = good.to_vec();
        let places: Vec<usize> = (0..bytes.len())
            .filter(|&at| bytes[at..].starts_with(from))
            .collect();
        assert!(!places.is_empty());
        for at in places {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
        bytes
    };
    let cases = [
        ("not-a-pdf", b"Ceci n'est pas un PDF.\n".to_vec()),
        ("truncated", good[..good.len() / 2].to_vec()),
        ("no-pdfa-claim", replaced(b"pdfaid:part", b"pdfaid:pars")),
        ("encrypted", daemon::pdf("memoire-gs-encrypted.pdf")),
        (
            "certified-p1",
            daemon::pdf("memoire-gs-a2b-certified-p1.pdf"),
        ),
    ];
    cases
        .map(|(name, pdf)| {
            let answer = service.hand_in(DEPOT, xml, Some(&pdf));
            assert_eq!(answer.status, 422, "{name}: {answer:?}");
            (format!("pdf-invalid-{name}"), answer)
        })
        .into()
}

const CANARY: &str = "Kanarienvogel-Zxq";
const MATRICULE: &str = "1900123456712";

/// An example with our patient in the place of its own.
fn with_canary(xml: &str) -> Option<String> {
    let patient = xml.find(":patient>")?;
    let name = patient + xml[patient..].find(":nom>")? + ":nom>".len();
    let end = name + xml[name..].find('<')?;
    Some(format!("{}{CANARY}{}", &xml[..name], &xml[end..]))
}

fn holds(bytes: &[u8], needle: &str) -> bool {
    bytes.windows(needle.len()).any(|w| w == needle.as_bytes())
}

#[test]
fn no_patient_is_in_a_problem_in_the_log_or_on_disk_in_clear() {
    let service = Service::start(&Setup {
        layer: "[log]\nlevel = \"trace\"".into(),
        ..Setup::default()
    });
    let pdf = daemon::pdf("memoire-gs-a2b.pdf");
    // Refused, dry and real, with the patient's name in the document.
    let mut told = 0;
    for example in invalid() {
        let Ok(text) = String::from_utf8(example.bytes()) else {
            continue;
        };
        let Some(xml) = with_canary(&text) else {
            continue;
        };
        let (form, operation) = (&example.case.pack.form, &example.operation);
        for query in ["", "?dry-run=true"] {
            let target = format!("/v1/forms/{form}/{operation}{query}");
            let answer = service.hand_in(&target, xml.as_bytes(), Some(&pdf));
            assert_eq!(answer.status, 422, "{}", example.path.display());
            assert!(!holds(&answer.body, CANARY), "{}", example.path.display());
            told += 1;
        }
    }
    assert!(told > 150, "{told}");
    // The faulty value itself is told to who sent it, and to nobody else.
    let (_, xml) = daemon::example("une-ligne.xml");
    let xml = with_canary(std::str::from_utf8(&xml).unwrap()).unwrap();
    let long = xml.replace(CANARY, &CANARY.repeat(12));
    let answer = service.hand_in(DEPOT, long.as_bytes(), Some(&pdf));
    assert_eq!(answer.status, 422);
    assert!(holds(&answer.body, CANARY));
    // Accepted, the whole way.
    let (uuid, xml) = daemon::example("matricule-douteux.xml");
    let xml = with_canary(std::str::from_utf8(&xml).unwrap()).unwrap();
    let answer = service.hand_in(DEPOT, xml.as_bytes(), Some(&pdf));
    assert_eq!(answer.status, 202, "{answer:?}");
    service.daemon.wait_for(&uuid, &["receipted"]);
    let signed = service.get(&format!("/v1/submissions/{uuid}/xml"));
    assert!(holds(&signed.body, CANARY), "the canary was never there");
    // The list says nothing of it; who asks for this one is shown what the pack
    // shows.
    assert!(!holds(&service.get("/v1/submissions").body, CANARY));
    let mut shown = service.get(&format!("/v1/submissions/{uuid}")).json();
    let facts = shown.as_object_mut().unwrap().remove("facts").unwrap();
    assert!(holds(facts.to_string().as_bytes(), CANARY));
    assert!(!holds(shown.to_string().as_bytes(), CANARY));

    let log = service.daemon.log();
    assert!(log.contains("TRACE") && log.contains(&uuid));
    let state = files(&service.daemon.state());
    assert!(
        state
            .iter()
            .any(|path| path.starts_with(service.daemon.state().join("bodies")))
    );
    for needle in [CANARY, MATRICULE] {
        assert!(!log.contains(needle), "{needle} is in the log");
        for path in &state {
            let bytes = std::fs::read(path).unwrap();
            assert!(!holds(&bytes, needle), "{needle} is in {}", path.display());
        }
    }
    for secret in [&service.program, &service.administrator] {
        assert!(!log.contains(secret.as_str()), "a token is in the log");
    }
}
