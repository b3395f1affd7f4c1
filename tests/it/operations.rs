//! Operations of every kind through the running service: unsigned and signed
//! without a PDF, about earlier documents, answered while the caller waits,
//! of other environments and other days, by and for other people.

mod outcomes;

use crate::api::Service;
use crate::api::raw::Answer;
use crate::daemon::{Setup, copy_pack, example, pdf};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sceau::base::Uuid4;
use sceau::x509::Level;
use sceau::xades::{self, Slot};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

const SIMULATION: &str = "/v1/forms/pid/simulation";
const VALIDATION: &str = "/v1/forms/pid/validation";
const ANNULATION: &str = "/v1/forms/memoire-honoraires/annulation";
const DEPOT: &str = "/v1/forms/memoire-honoraires/depot";
const PATIENCE: (&str, &str) = ("Prefer", "wait=40");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A valid example with a UUID of its own, and other words in it.
fn document(path: &str, words: &[(&str, &str)]) -> (String, String) {
    let path = root().join("xsd").join(path);
    let xml = std::fs::read_to_string(&path).unwrap();
    let uuid = Uuid4::random().to_string();
    let start = xml.find(":uuid>").unwrap() + ":uuid>".len();
    let mut xml = format!("{}{uuid}{}", &xml[..start], &xml[start + 36..]);
    for (from, to) in words {
        assert!(xml.contains(from), "{from} is not in {}", path.display());
        xml = xml.replace(from, to);
    }
    (uuid, xml)
}

fn simulation() -> (String, String) {
    document("pid/2/examples/valid/simulation/une-ligne.xml", &[])
}

fn validation(of: &str) -> (String, String) {
    let path = "pid/2/examples/valid/validation/acquittee.xml";
    document(path, &[("SIM-TEST-000001", of)])
}

fn annulation(of: &str) -> (String, String) {
    let path = "memoire-honoraires/2/examples/valid/annulation/simple.xml";
    document(path, &[("SECU-TEST-000001", of)])
}

impl Service {
    /// Hands XML alone in.
    fn send(&self, target: &str, headers: &[(&str, &str)], xml: &str) -> Answer {
        let headers = [&[("Content-Type", "application/xml")], headers].concat();
        self.ask("POST", target, &headers, xml.as_bytes())
    }

    /// The same, waiting for the end, which must come.
    #[track_caller]
    fn ended(&self, target: &str, xml: &str) -> Value {
        let answer = self.send(target, &[PATIENCE], xml);
        let body = answer.json();
        assert_eq!(answer.status, 200, "{body:#}");
        assert_eq!(answer.header("preference-applied"), Some("wait=40"));
        body
    }

    /// A simulation with its receipt; its UUID and the insurer's id.
    fn simulated(&self) -> (String, String) {
        let (uuid, xml) = simulation();
        let ended = self.ended(SIMULATION, &xml);
        assert_eq!(ended["state"], "receipted", "{ended:#}");
        (uuid, word(&ended["insurer_id"]))
    }

    fn submission(&self, uuid: &str) -> Value {
        self.get(&format!("/v1/submissions/{uuid}")).json()
    }

    /// The one fault of a document that is refused for what it names.
    #[track_caller]
    fn miscorrelated(&self, target: &str, xml: &str) -> Value {
        let answer = self.send(target, &[], xml);
        assert_eq!(answer.problem(), "document-invalid");
        let mut faults = answer.json()["faults"].as_array().unwrap().clone();
        faults.retain(|fault| fault["severity"] == "error");
        assert_eq!(faults.len(), 1, "{faults:#?}");
        assert_eq!(faults[0]["code"], "form.correlation");
        faults[0].clone()
    }
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn events(submission: &Value) -> Vec<String> {
    let history = submission["history"].as_array().unwrap();
    history.iter().map(|entry| word(&entry["event"])).collect()
}

fn names(facts: &Value) -> Vec<String> {
    let facts = facts.as_array().unwrap();
    facts.iter().map(|fact| word(&fact["name"])).collect()
}

#[test]
fn a_simulation_and_its_validation_are_answered_in_one_request_each() {
    let service = Service::start(&Setup::default());
    let (uuid, xml) = simulation();
    let ended = service.ended(SIMULATION, &xml);
    assert_eq!(ended["state"], "receipted", "{ended:#}");
    assert_eq!(ended["environment"], "sandbox");
    assert!(ended["signer"].is_null());
    let way = ["received", "checked", "completed", "sending", "receipted"];
    assert_eq!(events(&ended), way);
    assert_eq!(names(&ended["facts"])[..2], ["memoire", "date"]);
    let answer = &ended["answer"];
    assert_eq!(answer["accepted"], true);
    assert_eq!(answer["insurer_id"], ended["insurer_id"]);
    assert!(names(&answer["facts"]).contains(&"somme_totale".to_owned()));
    let lines = answer["facts"].as_array().unwrap().iter();
    let lines = lines.filter(|fact| fact["value"].is_array()).count();
    assert_eq!(lines, 1, "{answer:#}");
    // What was checked is what was sent, without a signature.
    let held = service.sandbox.document(&uuid);
    assert!(xml.trim_end().ends_with(&held) && !held.contains("Signature"));

    let (signed, xml) = validation(&word(&ended["insurer_id"]));
    let ended = service.ended(VALIDATION, &xml);
    assert_eq!(ended["state"], "receipted", "{ended:#}");
    assert_eq!(ended["signer"], "90000001");
    let refers = &ended["refers_to"];
    assert_eq!(refers[0]["rule"], "reponse");
    assert_eq!(
        (&refers[0]["uuid"], &refers[0]["by"]),
        (&json!(uuid), &json!("insurer-id"))
    );
    assert_eq!(service.submission(&uuid)["referred_by"], json!([signed]));
    let kept = service.get(&format!("/v1/submissions/{signed}/xml")).body;
    let verified = xades::verify(&kept, &Slot::EndOfRoot).unwrap();
    assert_eq!(verified.level, Level::LT);
    let way = events(&ended);
    assert!(way.contains(&"sealed".to_owned()) && !way.contains(&"completed".to_owned()));
}

#[test]
fn a_simulation_is_answered_once_unless_the_insurer_refuses_the_answer() {
    let service = Service::start(&Setup::default());
    let (simulated, id) = service.simulated();
    service
        .sandbox
        .scenario("exchange", "refuse", Some("SBX-999"));
    let (refused, xml) = validation(&id);
    let ended = service.ended(VALIDATION, &xml);
    assert_eq!(ended["state"], "rejected", "{ended:#}");
    assert_eq!(ended["answer"]["accepted"], false);
    assert_eq!(ended["answer"]["anomalies"][0]["code"], "SBX-999");
    assert_eq!(service.submission(&refused)["answer"], ended["answer"]);
    assert!(service.submission(&simulated)["referred_by"].is_null());

    let (first, xml) = validation(&id);
    assert_eq!(service.ended(VALIDATION, &xml)["state"], "receipted");
    let (_, second) = validation(&id);
    let fault = service.miscorrelated(VALIDATION, &second);
    assert!(word(&fault["message"]).contains(&first), "{fault:#}");
    let place = word(&fault["pointer"]["xpath"]);
    assert!(place.ends_with("identifiantReponseSimulation"), "{fault:#}");
    let path = "pid/2/examples/valid/contestation/une-anomalie.xml";
    let (_, contested) = document(path, &[("SIM-TEST-000004", &id)]);
    service.miscorrelated("/v1/forms/pid/contestation", &contested);
    // The same request again is the same document, not a second answer.
    assert_eq!(service.send(VALIDATION, &[], &xml).status, 200);
    assert_eq!(
        service.submission(&simulated)["referred_by"],
        json!([first])
    );
}

#[test]
fn of_answers_that_race_one_is_accepted() {
    let service = Service::start(&Setup::default());
    let (simulated, id) = service.simulated();
    let racers: Vec<String> = (0..6).map(|_| validation(&id).1).collect();
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let send = |xml: &String| service.send(VALIDATION, &[], xml);
        let racers: Vec<_> = racers
            .iter()
            .map(|xml| scope.spawn(move || send(xml)))
            .collect();
        racers
            .into_iter()
            .map(|racer| racer.join().unwrap())
            .collect()
    });
    let (won, lost): (Vec<&Answer>, _) = answers.iter().partition(|a| a.status == 202);
    assert_eq!(won.len(), 1, "{answers:?}");
    let uuid = word(&won[0].json()["uuid"]);
    for answer in lost {
        assert_eq!(answer.problem(), "document-invalid");
        let fault = &answer.json()["faults"][0];
        assert_eq!(fault["code"], "form.correlation");
        assert!(word(&fault["message"]).contains(&uuid), "{fault:#}");
    }
    assert_eq!(service.submission(&simulated)["referred_by"], json!([uuid]));
}

#[test]
fn what_a_document_names_must_be_there_ones_own_and_of_its_kind() {
    let service = Service::start(&Setup::default());
    let (_, unknown) = validation("SIM-NEVER-MADE");
    let fault = service.miscorrelated(VALIDATION, &unknown);
    assert_eq!(
        word(&fault["message"]),
        "No document of that name was sent from here."
    );

    let path = "pid/2/examples/valid/simulation/une-ligne.xml";
    let (_, theirs) = document(path, &[("90000001", "90000002")]);
    let theirs = word(&service.ended(SIMULATION, &theirs)["insurer_id"]);
    let fault = service.miscorrelated(VALIDATION, &validation(&theirs).1);
    assert!(word(&fault["message"]).contains("another practitioner's"));

    // An annulation may be of a deposit that another workstation sent.
    let ended = service.ended(ANNULATION, &annulation("SECU-ELSEWHERE").1);
    assert_eq!(ended["warnings"], json!(["form.correlation"]));

    service
        .sandbox
        .scenario("exchange", "refuse", Some("SBX-999"));
    let (refused, xml) = example("une-ligne.xml");
    let body = json!({ "xml": String::from_utf8_lossy(&xml), "pdf": STANDARD.encode(pdf("memoire-gs-a2b.pdf")) });
    let ended = service.ask(
        "POST",
        DEPOT,
        &[("Content-Type", "application/json"), PATIENCE],
        body.to_string().as_bytes(),
    );
    assert_eq!(ended.json()["state"], "rejected", "{:#}", ended.json());
    let path = "memoire-honoraires/2/examples/valid/annulation/remplacement.xml";
    let replaced = ("25c04ed4-d6a2-4cb5-a1ec-ac9f3bbf63cc", refused.as_str());
    let fault = service.miscorrelated(ANNULATION, &document(path, &[replaced]).1);
    assert!(
        word(&fault["message"]).contains("was refused by the insurer"),
        "{fault:#}"
    );
}

#[test]
fn a_deposit_is_cancelled_without_a_pdf() {
    let service = Service::start(&Setup::default());
    let (uuid, _, deposit) = service.daemon.receipted("une-ligne.xml");
    let (_, xml) = annulation(&word(&deposit["insurer_id"]));
    let body = json!({ "xml": xml, "pdf": STANDARD.encode(pdf("memoire-gs-a2b.pdf")) });
    let json = [("Content-Type", "application/json")];
    let refused = service.ask("POST", ANNULATION, &json, body.to_string().as_bytes());
    assert_eq!(refused.problem(), "pdf-unexpected");

    let target = format!("{ANNULATION}?dry-run=true");
    let preview = service.send(&target, &[], &xml).json();
    assert_eq!(preview["signature_level"], "XAdES-B-LT", "{preview:#}");
    assert_eq!(
        (&preview["signer_id"], &preview["signer_role"]),
        (&json!("90000001"), &json!("practitioner"))
    );
    assert!(preview["pdf"].is_null() && preview["pdf_level"].is_null());
    let target = format!("{SIMULATION}?dry-run=true");
    let preview = service.send(&target, &[], &simulation().1).json();
    assert!(
        preview["signature_level"].is_null() && preview["signer_id"].is_null(),
        "{preview:#}"
    );
    assert!(names(&preview["facts"]).contains(&"lignes".to_owned()));

    let ended = service.ended(ANNULATION, &xml);
    assert_eq!(ended["state"], "receipted", "{ended:#}");
    assert_eq!(ended["refers_to"][0]["uuid"], uuid.as_str());
    let (_, again) = annulation(&word(&deposit["insurer_id"]));
    service.miscorrelated(ANNULATION, &again);
}

#[test]
fn a_lost_answer_is_found_by_asking_while_the_caller_waits() {
    let service = Service::start(&Setup::default());
    service
        .sandbox
        .scenario("exchange", "drop-after-accept", None);
    let (uuid, xml) = simulation();
    let ended = service.ended(SIMULATION, &xml);
    assert_eq!(ended["state"], "receipted", "{ended:#}");
    let way = events(&ended);
    assert!(way.contains(&"unknown".to_owned()), "{way:?}");
    assert_eq!(way.iter().filter(|event| *event == "sending").count(), 1);
    let arrivals = service.sandbox.documents();
    let arrived = arrivals
        .iter()
        .find(|d| d["uuid"] == uuid.as_str())
        .unwrap();
    assert_eq!(arrived["arrivals"], 1);
    // The answer to the question holds all that the lost one held.
    assert!(names(&ended["answer"]["facts"]).contains(&"somme_totale".to_owned()));
    assert_eq!(ended["answer"]["insurer_id"], ended["insurer_id"]);
}

#[test]
fn whoever_waits_in_vain_gets_the_present_state() {
    let service = Service::start(&Setup::default());
    service.sandbox.scenario("exchange", "unavailable", None);
    let rule = json!({ "point": "exchange", "action": "unavailable", "count": 100_000 });
    service.sandbox.control("scenario", &rule.to_string());
    let (uuid, xml) = simulation();
    let started = Instant::now();
    let answer = service.send(SIMULATION, &[("Prefer", "respond-async, wait=1")], &xml);
    assert_eq!(answer.status, 202, "{answer:?}");
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(answer.header("preference-applied"), None);
    let location = format!("/v1/submissions/{uuid}");
    assert_eq!(answer.header("location"), Some(location.as_str()));

    // Others are served while one waits, and the end is told at once.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| service.ask("GET", &location, &[PATIENCE], b""));
        assert_eq!(service.get("/v1/health").status, 200);
        service.sandbox.calm();
        service
            .daemon
            .call(&format!("{location}/retry"), Some(Vec::new()));
        let answer = waiting.join().unwrap();
        assert_eq!(
            (answer.status, answer.header("preference-applied")),
            (200, Some("wait=40"))
        );
        assert_eq!(answer.json()["state"], "receipted");
    });
}

#[cfg(unix)]
#[test]
fn the_service_stops_although_somebody_waits() {
    let service = Service::start(&Setup::default());
    let rule = json!({ "point": "exchange", "action": "unavailable", "count": 100_000 });
    service.sandbox.control("scenario", &rule.to_string());
    let (uuid, xml) = simulation();
    assert_eq!(service.send(SIMULATION, &[], &xml).status, 202);
    let Service {
        daemon,
        sandbox,
        folder,
        ..
    } = service;
    let path = format!("{}/v1/submissions/{uuid}", daemon.endpoint());
    let token = daemon.command(&["pair", "waiting"]).stdout;
    let token = String::from_utf8(token).unwrap();
    let authorization = format!("Authorization: Bearer {}", token.trim());
    let waiting = std::thread::spawn(move || {
        let arguments = ["-sS", "-H", &authorization, "-H", "Prefer: wait=60", &path];
        crate::sandbox::ok(crate::sandbox::run("curl", &arguments))
    });
    // Long enough for the question to have come in.
    std::thread::sleep(Duration::from_secs(2));
    let started = Instant::now();
    daemon.stop();
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    let seen: Value = serde_json::from_slice(&waiting.join().unwrap()).unwrap();
    assert_eq!(
        (&seen["uuid"], &seen["is_final"]),
        (&json!(uuid), &json!(false))
    );
    drop((sandbox, folder));
}

#[test]
fn a_document_is_sent_to_no_other_environment_than_it_was_accepted_for() {
    let service = Service::start(&Setup::default());
    let rule = json!({ "point": "exchange", "action": "unavailable", "count": 100_000 });
    service.sandbox.control("scenario", &rule.to_string());
    let (uuid, xml) = simulation();
    assert_eq!(service.send(SIMULATION, &[], &xml).status, 202);
    service.daemon.wait_for(&uuid, &["ready"]);
    let Service {
        daemon,
        sandbox,
        folder,
        ..
    } = service;
    daemon.stop();
    sandbox.calm();
    let elsewhere = Setup {
        layer: "[environment]\nname = \"elsewhere\"\n".to_owned(),
        ..Setup::default()
    };
    let service = Service::start_in(folder, sandbox, &elsewhere);
    let retry = format!("/v1/submissions/{uuid}/retry");
    service.daemon.call(&retry, Some(Vec::new()));
    let held = crate::daemon::until("it is held back", || {
        let now = service.submission(&uuid);
        (now["waiting"]["code"] == "other-environment").then_some(now)
    });
    assert_eq!(
        (&held["state"], &held["waiting"]["class"]),
        (&json!("ready"), &json!("ours"))
    );
    assert_eq!(held["environment"], "sandbox");
    assert!(service.sandbox.documents().is_empty());
    // What it names is searched in its own environment only.
    let (_, here) = simulation();
    assert_eq!(service.ended(SIMULATION, &here)["environment"], "elsewhere");

    let Service {
        daemon,
        sandbox,
        folder,
        ..
    } = service;
    daemon.stop();
    let service = Service::start_in(folder, sandbox, &Setup::default());
    service.daemon.call(&retry, Some(Vec::new()));
    service.daemon.wait_for(&uuid, &["receipted"]);
}

/// The built-in PID pack in another version, for a folder of packs.
fn pack(folder: &Path, version: &str, period: &str) {
    copy_pack(folder, "pid/2", version, |manifest| {
        manifest.replace("[[periods]]\n", &format!("{period}\n[[periods]]\n"))
    });
}

#[test]
fn a_version_is_taken_only_on_its_days_and_where_it_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = crate::sandbox::Sandbox::start(&folder.path().join("sandbox"));
    let never = "[[periods]]\nfrom = 2090-01-05\nuntil = 2090-06-30\nrule = \"Test 1.2\"\n";
    pack(folder.path(), "3", never);
    pack(folder.path(), "4", "[[periods]]\nuntil = 2020-01-01\n");
    let setup = Setup {
        layer: "[forms]\nfolder = \"packs\"\n".to_owned(),
        ..Setup::default()
    };
    let service = Service::start_in(folder, sandbox, &setup);
    let (_, xml) = simulation();
    for (version, reason) in [
        (
            "3",
            "it is allowed from 2090-01-05 to 2090-06-30 (Test 1.2)",
        ),
        ("4", "it was allowed until 2020-01-01"),
    ] {
        let answer = service.send(&format!("{SIMULATION}?version={version}"), &[], &xml);
        assert_eq!(answer.problem(), "not-allowed-now");
        let detail = word(&answer.json()["detail"]);
        assert!(detail.contains(reason), "{detail}");
        assert!(detail.contains("The operation simulation of pid may not be sent to sandbox on 2"));
    }
    let forms = service.get("/v1/forms").json();
    let closed = forms.as_array().unwrap().iter().filter(|form| {
        let operations = form["operations"].as_array().unwrap();
        operations.iter().all(|o| o["not_now"].is_string())
    });
    let closed: Vec<String> = closed.map(|form| word(&form["version"])).collect();
    assert_eq!(closed, ["3", "4"]);
    // Of several that are offered the newest that may be sent today is taken.
    assert_eq!(service.ended(SIMULATION, &xml)["version"], "2");
    let (_, xml) = simulation();
    let unknown = service.send(&format!("{SIMULATION}?version=5"), &[], &xml);
    assert_eq!(unknown.problem(), "form-unknown");
}

#[test]
fn a_delegate_signs_as_such_and_only_who_may_is_named() {
    let service = Service::start(&Setup::default());
    let (_, xml) = annulation("SECU-ELSEWHERE");
    for (signer, reason) in [
        ("nobody", "No practitioner or delegate"),
        ("90000002", "neither sends this document nor did its acts"),
    ] {
        let answer = service.send(&format!("{ANNULATION}?signer={signer}"), &[], &xml);
        assert_eq!(answer.problem(), "signer-unknown");
        let detail = word(&answer.json()["detail"]);
        assert!(detail.contains(reason), "{detail}");
    }
    let answer = service.send(&format!("{ANNULATION}?signer=assistante"), &[], &xml);
    assert_eq!(answer.status, 202, "{answer:?}");
    let uuid = word(&answer.json()["uuid"]);
    let now = service.daemon.wait_for(&uuid, &["receipted", "rejected"]);
    assert_eq!(now["signer"], "assistante");
    let history = now["history"].as_array().unwrap();
    let signed = history.iter().find(|e| e["event"] == "signed").unwrap();
    let detail = &signed["detail"];
    assert_eq!(
        (&detail["signer"], &detail["role"]),
        (&json!("assistante"), &json!("delegate"))
    );
    let kept = service.get(&format!("/v1/submissions/{uuid}/xml")).body;
    let verified = xades::verify(&kept, &Slot::EndOfRoot).unwrap();
    let fingerprint = sceau::base::hex::encode(&verified.signer.sha256());
    assert_eq!(detail["certificate_sha256"], fingerprint.as_str());
}

#[test]
fn an_association_bills_what_its_members_did_and_signed() {
    let service = Service::start(&Setup::default());
    let is_sent_and_signed = |submission: &Value, signer: &Value| {
        assert_eq!(submission["state"], "receipted", "{submission:#}");
        assert_eq!(submission["code_prestataire"], "10000010");
        assert_eq!(submission["signer"], *signer, "{submission:#}");
        let uuid = word(&submission["uuid"]);
        let held = service.sandbox.shown(&format!("documents/{uuid}"));
        assert_eq!(held["code_prestataire"], "10000010");
    };
    let (_, _, deposit) = service.daemon.receipted("association.xml");
    is_sent_and_signed(&deposit, &json!("90000001"));
    let id = word(&deposit["insurer_id"]);
    let path = "memoire-honoraires/2/examples/valid/annulation/association.xml";
    let (_, xml) = document(path, &[("SECU-TEST-000003", &id)]);
    is_sent_and_signed(&service.ended(ANNULATION, &xml), &json!("90000001"));

    // Two members did the acts.
    let path = "pid/2/examples/valid/simulation/association.xml";
    let simulated = service.ended(SIMULATION, &document(path, &[]).1);
    is_sent_and_signed(&simulated, &Value::Null);
    let path = "pid/2/examples/valid/validation/association.xml";
    let id = word(&simulated["insurer_id"]);
    let (_, xml) = document(path, &[("SIM-TEST-000003", &id)]);
    is_sent_and_signed(&service.ended(VALIDATION, &xml), &json!("90000001"));

    // Somebody else did one of them.
    let path = "pid/2/examples/valid/simulation/association.xml";
    let (_, xml) = document(path, &[(">90000002<", ">90000008<")]);
    let refused = service.ended(SIMULATION, &xml);
    assert_eq!(refused["state"], "rejected", "{refused:#}");
    assert_eq!(refused["answer"]["anomalies"][0]["code"], "SBX-013");
}

#[test]
fn a_bound_program_does_and_sees_nothing_for_others() {
    let service = Service::start(&Setup::default());
    let (uuid, _) = service.simulated();
    let paired = service
        .daemon
        .command(&["pair", "second", "--practitioner", "90000002"]);
    assert!(paired.status.success());
    let token = String::from_utf8(paired.stdout).unwrap().trim().to_owned();
    let xml = [("Content-Type", "application/xml")];
    let ask = |method: &str, target: &str, body: &str| {
        let headers = if body.is_empty() { &[][..] } else { &xml[..] };
        service.ask_with(&token, method, target, headers, body.as_bytes())
    };
    let refused = ask("POST", SIMULATION, &simulation().1);
    assert_eq!(
        (refused.status, refused.problem()),
        (403, "practitioner-not-allowed".to_owned())
    );
    let place = word(&refused.json()["faults"][0]["pointer"]["xpath"]);
    assert!(place.ends_with("identifiantFacturier"), "{place}");
    let signature = ask("POST", "/v1/signatures?practitioner=90000001", "<a/>");
    assert_eq!(signature.problem(), "practitioner-not-allowed");
    for part in ["", "/xml", "/receipt", "/pdf", "/timestamp"] {
        let foreign = ask("GET", &format!("/v1/submissions/{uuid}{part}"), "");
        assert_eq!(foreign.problem(), "submission-unknown", "{part}");
    }
    let retry = ask("POST", &format!("/v1/submissions/{uuid}/retry"), "");
    assert_eq!(retry.problem(), "submission-unknown");
    assert_eq!(ask("GET", "/v1/submissions", "").json(), json!([]));

    let path = "pid/2/examples/valid/simulation/une-ligne.xml";
    let (own, theirs) = document(path, &[("90000001", "90000002")]);
    assert_eq!(ask("POST", SIMULATION, &theirs).status, 202);
    assert_eq!(
        ask("GET", "/v1/submissions", "").json()[0]["uuid"],
        own.as_str()
    );
    // Nor does the exact request of another tell it anything.
    let (_, known) = simulation();
    assert_eq!(service.send(SIMULATION, &[], &known).status, 202);
    assert_eq!(
        ask("POST", SIMULATION, &known).problem(),
        "practitioner-not-allowed"
    );
}

#[test]
fn whoever_waits_stands_behind_no_slow_delivery() {
    let service = Service::start(&Setup::default());
    // As many as there are workers by default hang at the insurer.
    let rule = json!({ "point": "exchange", "action": "delay", "delay_ms": 600_000, "count": 2 });
    service.sandbox.control("scenario", &rule.to_string());
    let slow: Vec<String> = (0..2)
        .map(|number| {
            let (uuid, xml) = annulation(&format!("SECU-ELSEWHERE-{number}"));
            assert_eq!(service.send(ANNULATION, &[], &xml).status, 202);
            uuid
        })
        .collect();
    crate::daemon::until("both hang", || {
        let left = service.sandbox.shown("scenario");
        (left == json!([])).then_some(())
    });
    service.simulated();
    for uuid in slow {
        assert_eq!(service.submission(&uuid)["state"], "sending");
    }
}
