//! Every built-in operation with every outcome: what the API says, what the
//! outbox holds, what the insurer saw. `docs/operations.md` is what these tests
//! measured; it is compared.

use super::{PATIENCE, events, root, word};
use crate::api::Service;
use crate::api::raw::Answer;
use crate::daemon::{Setup, copy_pack, pdf, until};
use crate::sandbox::Sandbox;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sceau::base::Uuid4;
use serde_json::{Value, json};
use std::path::Path;

/// Where the measured table stands.
const TABLE: &str = include_str!("../../../docs/operations.md");

/// An operation and its examples: one that passes, one that breaks the schema,
/// one that breaks a rule beyond it.
struct Operation {
    form: &'static str,
    version: &'static str,
    name: &'static str,
    good: &'static str,
    against_schema: &'static str,
    against_check: &'static str,
}

macro_rules! operations {
    ($($form:literal $version:literal $name:literal, $good:literal, $schema:literal, $check:literal;)*) => {
        const OPERATIONS: &[Operation] = &[$(Operation {
            form: $form, version: $version, name: $name,
            good: $good, against_schema: $schema, against_check: $check,
        }),*];
    };
}

operations! {
    "memoire-honoraires" "2" "depot", "une-ligne", "element-manquant", "sous-total-faux";
    "memoire-honoraires" "2" "annulation", "simple", "motif-vide", "remplacement-sans-remplacant";
    "pid" "2" "simulation", "une-ligne", "nombre-zero", "prestation-apres-memoire";
    "pid" "2" "validation", "acquittee", "indicateur-oui", "signature-deja-presente";
    "pid" "2" "contestation", "une-anomalie", "aucune-anomalie", "autre-motif-sans-texte";
    "ecit" "1" "depot", "maladie", "cause-inconnue", "quatrieme-jour";
    "ecit" "1" "annulation", "simple", "motif-vide", "signature-deja-presente";
    "eordonnance" "1" "depot", "medicament", "quantite-zero", "nature-inconnue";
    "eordonnance" "1" "annulation", "simple", "motif-vide", "signature-deja-presente";
}

/// A document of an operation, ready to be handed in.
struct Paper {
    uuid: String,
    xml: String,
}

impl Operation {
    fn is(&self, form: &str, name: &str) -> bool {
        (self.form, self.name) == (form, name)
    }

    fn target(&self) -> String {
        format!("/v1/forms/{}/{}", self.form, self.name)
    }

    fn read(&self, kind: &str, example: &str) -> String {
        let Self {
            form,
            version,
            name,
            ..
        } = self;
        let path = format!("xsd/{form}/{version}/examples/{kind}/{name}/{example}.xml");
        let path = root().join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// An example with a UUID of its own.
    fn paper(&self, kind: &str, example: &str) -> Paper {
        let xml = self.read(kind, example);
        let tag = xml.find("uuid>").unwrap() + "uuid>".len();
        let uuid = Uuid4::random().to_string();
        let xml = format!("{}{uuid}{}", &xml[..tag], &xml[tag + 36..]);
        Paper { uuid, xml }
    }

    /// A document the insurer accepts: what it names was sent before.
    fn good(&self, service: &Service) -> Paper {
        let mut paper = self.paper("valid", self.good);
        let mut put = |from: &str, to: &str| {
            assert!(paper.xml.contains(from), "{from} is not in {}", paper.xml);
            paper.xml = paper.xml.replace(from, to);
        };
        if self.name == "annulation" {
            let deposit = OPERATIONS
                .iter()
                .find(|o| o.is(self.form, "depot"))
                .unwrap();
            let id = word(&deposit.receipted(service, &deposit.good(service))["insurer_id"]);
            put(named(&self.read("valid", self.good)), &id);
        }
        if self.form == "pid" && self.name != "simulation" {
            let simulation = OPERATIONS.iter().find(|o| o.name == "simulation").unwrap();
            // The insurer does not know one of its acts: something to contest.
            let mut asked = simulation.paper("valid", "deux-lignes");
            let (known, unknown) = ("<pid:codeActe>X0<", "<pid:codeActe>9Z99<");
            assert!(asked.xml.contains(known), "{}", asked.xml);
            asked.xml = asked.xml.replace(known, unknown);
            let ended = simulation.receipted(service, &asked);
            put(
                named(&self.read("valid", self.good)),
                &word(&ended["insurer_id"]),
            );
            if self.name == "contestation" {
                put("TEST-042", &word(&ended["answer"]["anomalies"][0]["code"]));
            }
        }
        paper
    }

    /// Hands a document in, with a PDF where the operation has one.
    fn send(&self, service: &Service, xml: &str, query: &str, prefer: bool) -> Answer {
        let paper = (self.name == "depot").then(|| STANDARD.encode(pdf("memoire-gs-a2b.pdf")));
        let body = json!({ "xml": xml, "pdf": paper }).to_string();
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(prefer.then_some(PATIENCE));
        let target = self.target() + query;
        service.ask("POST", &target, &headers, body.as_bytes())
    }

    fn receipted(&self, service: &Service, paper: &Paper) -> Value {
        let ended = self.send(service, &paper.xml, "", true).json();
        assert_eq!(ended["state"], "receipted", "{}: {ended:#}", self.target());
        ended
    }
}

/// The id that an example names.
fn named(example: &str) -> &str {
    let marks = ["SECU-TEST-", "SIM-TEST-", "ECIT-TEST-", "EORD-TEST-"];
    let start = marks.iter().find_map(|mark| example.find(mark)).unwrap();
    example[start..].split('<').next().unwrap()
}

/// The status of an answer with the state or the codes in it.
fn said(answer: &Answer) -> String {
    let body = answer.json();
    if answer.status < 300 {
        return format!("{} `{}`", answer.status, word(&body["state"]));
    }
    let faults = body["faults"].as_array().cloned().unwrap_or_default();
    let mut codes: Vec<String> = faults
        .iter()
        .map(|f| format!(" `{}`", word(&f["code"])))
        .collect();
    codes.dedup();
    format!("{} `{}`{}", answer.status, answer.problem(), codes.concat())
}

/// What the outbox holds of a document: its way, repeats shown once.
fn held(service: &Service, uuid: &str) -> String {
    let answer = service.get(&format!("/v1/submissions/{uuid}"));
    if answer.status == 404 {
        return "nothing".to_owned();
    }
    let submission = answer.json();
    let mut way = events(&submission);
    way.retain(|event| !["received", "checked", "asked", "waiting"].contains(&event.as_str()));
    way.dedup();
    format!("`{}`: {}", word(&submission["state"]), way.join(", "))
}

/// What the insurer saw of it.
fn seen(service: &Service, uuid: &str) -> String {
    let all = service.sandbox.documents();
    let found: Vec<&Value> = all.iter().filter(|d| d["uuid"] == uuid).collect();
    match found.as_slice() {
        [] => "nothing".to_owned(),
        [one] => {
            let verdict = match &one["verdict"] {
                Value::Object(refused) => refused.keys().cloned().collect(),
                other => word(other),
            };
            format!("{verdict}, {} arrival(s)", one["arrivals"])
        }
        several => panic!("{several:?}"),
    }
}

fn title(operation: &Operation) -> String {
    format!("{} {}", operation.form, operation.name)
}

/// Runs a case with every operation and demands that the page shows what came
/// of it, operations of the same outcome in one row.
fn measure(case: &str, run: impl Fn(&Operation) -> [String; 3]) {
    let mut rows: Vec<([String; 3], Vec<String>)> = Vec::new();
    for operation in OPERATIONS {
        let outcome = run(operation);
        let name = title(operation);
        match rows.iter_mut().find(|(known, _)| *known == outcome) {
            Some((_, names)) => names.push(name),
            None => rows.push((outcome, vec![name])),
        }
    }
    let mut missing = Vec::new();
    for ([said, held, seen], names) in rows {
        let others = OPERATIONS.iter().map(title);
        let others: Vec<String> = others.filter(|title| !names.contains(title)).collect();
        let names = match others.as_slice() {
            [] => "all".to_owned(),
            [other] => format!("all but {other}"),
            _ => names.join(", "),
        };
        let row = format!("| {case} | {names} | {said} | {held} | {seen} |");
        println!("{row}");
        if !TABLE.lines().any(|line| line == row) {
            missing.push(row);
        }
    }
    assert!(
        missing.is_empty(),
        "docs/operations.md does not show what was measured:\n{}",
        missing.join("\n")
    );
}

fn outcome(service: &Service, answer: &Answer, uuid: &str) -> [String; 3] {
    [said(answer), held(service, uuid), seen(service, uuid)]
}

#[test]
fn accepted_and_again_and_with_other_bytes() {
    let service = Service::start(&Setup::default());
    let papers: Vec<Paper> = OPERATIONS.iter().map(|o| o.good(&service)).collect();
    let paper = |operation: &Operation| {
        let all = OPERATIONS.iter().zip(&papers);
        let mut own = all.filter(|(o, _)| o.is(operation.form, operation.name));
        own.next().unwrap().1
    };
    measure("accepted", |operation| {
        let paper = paper(operation);
        let answer = operation.send(&service, &paper.xml, "", true);
        outcome(&service, &answer, &paper.uuid)
    });
    measure("the same request again", |operation| {
        let paper = paper(operation);
        let answer = operation.send(&service, &paper.xml, "", false);
        outcome(&service, &answer, &paper.uuid)
    });
    measure("same UUID, other bytes", |operation| {
        let paper = paper(operation);
        let other = paper.xml.replacen("?>", "?>\n", 1);
        let answer = operation.send(&service, &other, "", false);
        outcome(&service, &answer, &paper.uuid)
    });
}

#[test]
fn refused_here() {
    let service = Service::start(&Setup::default());
    let refused = |operation: &Operation, example: &str| {
        let paper = operation.paper("invalid", example);
        let answer = operation.send(&service, &paper.xml, "", false);
        outcome(&service, &answer, &paper.uuid)
    };
    measure("breaks the schema", |o| refused(o, o.against_schema));
    measure("breaks a check", |o| refused(o, o.against_check));
}

/// Runs a case in which the insurer does something of its own to a document.
fn under(case: &str, rule: Value) {
    let service = Service::start(&Setup::default());
    measure(case, |operation| {
        let paper = operation.good(&service);
        service.sandbox.control("scenario", &rule.to_string());
        let answer = operation.send(&service, &paper.xml, "", true);
        outcome(&service, &answer, &paper.uuid)
    });
}

#[test]
fn refused_by_the_insurer() {
    let rule = json!({ "point": "exchange", "action": "refuse", "code": "SBX-999" });
    under("the insurer refuses", rule);
}

#[test]
fn answered_into_the_void() {
    let rule = json!({ "point": "exchange", "action": "drop-after-accept" });
    under("the answer is lost", rule);
}

#[test]
fn called_a_duplicate() {
    let rule = json!({ "point": "exchange", "action": "duplicate" });
    under("the insurer calls it a duplicate", rule);
}

#[test]
fn sent_while_the_insurer_is_down() {
    let service = Service::start(&Setup::default());
    measure("the insurer is down, then returns", |operation| {
        let paper = operation.good(&service);
        let rule = json!({ "point": "exchange", "action": "unavailable", "count": 100_000 });
        service.sandbox.control("scenario", &rule.to_string());
        let answer = operation.send(&service, &paper.xml, "", false);
        let path = format!("/v1/submissions/{}", paper.uuid);
        until("it waits for the receiver", || {
            let now = service.get(&path).json();
            (now["waiting"]["class"] == "receiver").then_some(())
        });
        service.sandbox.calm();
        service
            .daemon
            .call(&format!("{path}/retry"), Some(Vec::new()));
        service
            .daemon
            .wait_for(&paper.uuid, &["receipted", "rejected"]);
        outcome(&service, &answer, &paper.uuid)
    });
}

#[test]
fn sent_on_a_day_it_is_not_allowed() {
    let folder = tempfile::tempdir().unwrap();
    for operation in OPERATIONS {
        closed(folder.path(), operation);
    }
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let setup = Setup {
        layer: "[forms]\nfolder = \"packs\"\n".to_owned(),
        ..Setup::default()
    };
    let service = Service::start_in(folder, sandbox, &setup);
    measure("not allowed on this day", |operation| {
        let paper = operation.paper("valid", operation.good);
        let answer = operation.send(&service, &paper.xml, "?version=9", false);
        outcome(&service, &answer, &paper.uuid)
    });
}

/// The form of an operation as version 9, which nobody may send before 2090.
fn closed(folder: &Path, operation: &Operation) {
    let pack = format!("{}/{}", operation.form, operation.version);
    let period = "\n[[periods]]\nfrom = 2090-01-01\nrule = \"Test\"\n";
    copy_pack(folder, &pack, "9", |manifest| manifest + period);
}
