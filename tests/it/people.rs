//! Several practitioners, a delegate, bound programs, several installations and
//! environments, on whole services with the sandbox.

use crate::daemon::{Daemon, Setup, example, pdf, until};
use crate::sandbox::Sandbox;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sceau::http::Response;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};

const DEPOT: &str = "/v1/forms/memoire-honoraires/depot";
/// An assistant of the first two practitioners, as the sandbox names her.
const DELEGATE: &str = "assistante";

/// A mémoire of this practitioner.
fn of(code: &str) -> (String, Vec<u8>) {
    let (uuid, xml) = example("une-ligne.xml");
    let xml = String::from_utf8(xml).unwrap();
    assert!(xml.contains(">90000001<"));
    (uuid, xml.replace(">90000001<", &format!(">{code}<")).into())
}

fn hand_in(daemon: &Daemon, token: Option<&str>, query: &str, xml: &[u8]) -> Response {
    let pdf = STANDARD.encode(pdf("memoire-gs-a2b.pdf"));
    let body = json!({ "xml": String::from_utf8_lossy(xml), "pdf": pdf });
    let path = format!("{DEPOT}{query}");
    let body = Some(body.to_string().into_bytes());
    match token {
        Some(token) => daemon.send(token, &path, body).unwrap(),
        None => daemon.call(&path, body),
    }
}

fn json_of(answer: &Response) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// Fingerprints in `signer.toml` of the sandbox, by code prestataire or id.
fn fingerprint(sandbox: &Sandbox, id: &str) -> String {
    let text = std::fs::read_to_string(sandbox.dir.join("signer.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let people = ["practitioner", "delegate"].map(|list| table[list].as_array().unwrap());
    let mut people = people.into_iter().flatten();
    let person = people.find(|person| {
        let is = |key| {
            person
                .get(key)
                .is_some_and(|value| value.as_str() == Some(id))
        };
        is("code_prestataire") || is("id")
    });
    person.unwrap()["certificate_sha256"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// What the history says of the signature.
fn signed(submission: &Value) -> &Value {
    let history = submission["history"].as_array().unwrap();
    let event = history.iter().find(|step| step["event"] == "signed");
    &event.unwrap_or_else(|| panic!("{submission:#}"))["detail"]
}

#[test]
fn each_practitioner_signs_with_their_own_token_and_a_delegate_as_delegate() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let daemon = Daemon::start(folder.path(), &sandbox, &Setup::default());
    let tokens = daemon.get("/v1/tokens");
    let names: Vec<&Value> = tokens
        .as_array()
        .unwrap()
        .iter()
        .map(|t| &t["name"])
        .collect();
    assert_eq!(names, ["signer", "signer-2", "signer-3", "delegate"]);

    let asked = format!("?signer={DELEGATE}");
    let cases = [
        (of("90000001"), "", "90000001", "practitioner"),
        (of("90000002"), "", "90000002", "practitioner"),
        (of("90000002"), asked.as_str(), DELEGATE, "delegate"),
        // Sent by the first, the act is the second's.
        (example("accident.xml"), "", "90000002", "practitioner"),
        (
            example("accident.xml"),
            "?signer=90000001",
            "90000001",
            "practitioner",
        ),
    ];
    for ((uuid, xml), query, signer, role) in cases {
        let answer = hand_in(&daemon, None, query, &xml);
        assert_eq!(answer.status, 202, "{}", text(&answer.body));
        let submission = daemon.wait_for(&uuid, &["receipted", "rejected"]);
        assert_eq!(submission["state"], "receipted", "{submission:#}");
        assert_eq!(submission["signer"], signer);
        let detail = signed(&submission);
        let found = [
            &detail["signer"],
            &detail["role"],
            &detail["certificate_sha256"],
        ];
        let certificate = fingerprint(&sandbox, signer);
        assert_eq!(found, [signer, role, certificate.as_str()]);
        let document = daemon.call(&format!("/v1/submissions/{uuid}/xml"), None);
        let slot = sceau::xades::Slot::parse(
            "/mh:memoireHonoraires/mh:signature",
            &[(
                "mh".to_owned(),
                "urn:sceau:forms:memoire-honoraires:2".to_owned(),
            )]
            .into(),
        );
        let verified = sceau::xades::verify(&document.body, &slot.unwrap()).unwrap();
        assert_eq!(sceau::sign::fingerprint(&verified.signer), certificate);
    }
    refuses_strangers(&daemon);
}

/// Nobody signs for whom they have no business with.
fn refuses_strangers(daemon: &Daemon) {
    let refused = [
        ("90000009", DELEGATE, "is not authorised by 90000009"),
        (
            "90000001",
            "90000002",
            "neither sends this document nor did its acts",
        ),
        (
            "90000001",
            "nobody",
            "practitioner or delegate \"nobody\" is configured",
        ),
    ];
    for (code, signer, why) in refused {
        let answer = hand_in(daemon, None, &format!("?signer={signer}"), &of(code).1);
        let problem = json_of(&answer);
        assert_eq!(problem["code"], "signer-unknown", "{problem:#}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(why), "{detail}");
    }
}

#[test]
fn a_token_that_is_away_holds_up_its_own_documents_alone() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let (p12, password) = (sandbox.pki("signer.p12"), sandbox.pki("signer.password"));
    let layer = format!(
        "[[token]]\nname = \"away\"\nkind = \"pkcs11\"\nmodule = \"/nonexistent/card.so\"\n\
         [[token]]\nname = \"here\"\nkind = \"soft\"\np12 = {p12:?}\npassword_file = {password:?}\n"
    );
    let setup = Setup {
        layer,
        ..Setup::default()
    };
    let daemon = Daemon::start(folder.path(), &sandbox, &setup);
    let (waits, xml) = of("90000002");
    assert_eq!(hand_in(&daemon, None, "", &xml).status, 202);
    let (goes, xml) = of("90000001");
    assert_eq!(hand_in(&daemon, None, "", &xml).status, 202);
    daemon.wait_for(&goes, &["receipted"]);
    let waiting = until("the other document waits for its token", || {
        let submission = daemon.get(&format!("/v1/submissions/{waits}"));
        submission["waiting"].is_object().then_some(submission)
    });
    assert_eq!(waiting["waiting"]["class"], "token", "{waiting:#}");
    let health = daemon.get("/v1/health");
    assert_eq!(health["status"], "degraded");
    let states = health["tokens"].as_array().unwrap();
    let states: Vec<&Value> = states.iter().map(|token| &token["status"]).collect();
    assert_eq!(states, ["unusable", "ready"]);

    // A PIN goes to a token that is named, or nowhere.
    let administrator = std::fs::read_to_string(daemon.state().join("admin.token")).unwrap();
    let unlock = |body: &str| {
        let body = Some(body.as_bytes().to_vec());
        daemon
            .send(&administrator, "/v1/tokens/unlock", body)
            .unwrap()
    };
    for (body, code) in [
        ("{\"pin\":\"1\"}", "body-malformed"),
        ("{\"pin\":\"1\",\"token\":\"other\"}", "token-unknown"),
        ("{\"token\":\"here\"}", "body-malformed"),
    ] {
        let problem = json_of(&unlock(body));
        assert_eq!(problem["code"], code, "{body}");
    }
    assert_eq!(unlock("{\"pin\":\"1\",\"token\":\"here\"}").status, 204);
    let unnamed = daemon.command(&["unlock"]);
    assert_eq!(unnamed.status.code(), Some(1));
    assert!(
        text(&unnamed.stderr).contains("--token: away, here"),
        "{unnamed:?}"
    );
}

fn paired(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout)
}

#[test]
fn a_bound_program_acts_for_its_practitioners_and_is_blind_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let daemon = Daemon::start(folder.path(), &sandbox, &Setup::default());
    let bound = paired(&daemon.command(&["pair", "bound", "--practitioner", "90000001"]));
    let wrong = daemon.command(&["pair", "wrong", "--practitioner", "90000003"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("no practitioner 90000003 is configured"));

    let (own, xml) = of("90000001");
    assert_eq!(hand_in(&daemon, Some(&bound), "", &xml).status, 202);
    let (foreign, xml) = of("90000002");
    for query in ["", "?dry-run=true"] {
        let answer = hand_in(&daemon, Some(&bound), query, &xml);
        assert_eq!(answer.status, 403, "{}", text(&answer.body));
        assert_eq!(json_of(&answer)["code"], "practitioner-not-allowed");
    }
    let ask = |token: &str, path: &str| daemon.send(token, path, None).unwrap();
    assert_eq!(
        ask(&bound, &format!("/v1/submissions/{foreign}")).status,
        404
    );

    // Sent by its own practitioner, to be signed with another's key.
    let (_, shared) = example("accident.xml");
    let answer = hand_in(&daemon, Some(&bound), "", &shared);
    assert_eq!(json_of(&answer)["code"], "practitioner-not-allowed");

    // Of what another program hands in it sees nothing either.
    assert_eq!(hand_in(&daemon, None, "", &xml).status, 202);
    daemon.wait_for(&foreign, &["receipted"]);
    daemon.wait_for(&own, &["receipted"]);
    for part in ["", "/xml", "/pdf", "/timestamp", "/receipt"] {
        let seen = |token: &str, uuid: &str| ask(token, &format!("/v1/submissions/{uuid}{part}"));
        assert_eq!(seen(&bound, &foreign).status, 404, "{part}");
        assert_eq!(seen(&bound, &own).status, 200, "{part}");
    }
    let retry = format!("/v1/submissions/{foreign}/retry");
    let retried = daemon.send(&bound, &retry, Some(Vec::new())).unwrap();
    assert_eq!(retried.status, 404);
    // Nor by handing in the same bytes again.
    assert_eq!(hand_in(&daemon, Some(&bound), "", &xml).status, 403);
    let list = text(&ask(&bound, "/v1/submissions").body);
    assert!(list.contains(&own) && !list.contains(&foreign), "{list}");
    let list = text(&daemon.call("/v1/submissions", None).body);
    assert!(list.contains(&own) && list.contains(&foreign), "{list}");
    let signature = |code: &str| {
        let path = format!("/v1/signatures?slot=end-of-root&practitioner={code}");
        let headers = ("application/xml", b"<a xmlns=\"urn:a\"/>".to_vec());
        daemon.send_as(&bound, &path, headers).status
    };
    assert_eq!((signature("90000001"), signature("90000002")), (200, 403));

    let listed = paired(&daemon.command(&["pair", "--list"]));
    let lines: Vec<Vec<&str>> = listed.lines().map(|l| l.split('\t').collect()).collect();
    let ends: Vec<(&str, &str)> = lines.iter().map(|line| (line[0], line[2])).collect();
    assert_eq!(
        ends,
        [("bound", "90000001"), ("test", "every practitioner")]
    );
    assert!(daemon.command(&["unpair", "bound"]).status.success());
    assert_eq!(ask(&bound, "/v1/submissions").status, 401);
    assert_eq!(daemon.command(&["unpair", "bound"]).status.code(), Some(1));
    assert!(daemon.command(&["audit"]).status.success());
}

#[test]
fn one_practitioner_works_on_two_workstations() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let places = ["one", "two"].map(|name| {
        let place = folder.path().join(name);
        std::fs::create_dir(&place).unwrap();
        Daemon::start(&place, &sandbox, &Setup::default())
    });
    for daemon in &places {
        let (uuid, xml) = of("90000001");
        assert_eq!(hand_in(daemon, None, "", &xml).status, 202);
        daemon.wait_for(&uuid, &["receipted"]);
    }
    // The same document handed in on both reaches the insurer once, and both
    // have its receipt.
    let (uuid, xml) = of("90000001");
    for daemon in &places {
        assert_eq!(hand_in(daemon, None, "", &xml).status, 202);
        daemon.wait_for(&uuid, &["receipted"]);
    }
    let ids = places.each_ref().map(|daemon| {
        let submission = daemon.get(&format!("/v1/submissions/{uuid}"));
        submission["insurer_id"].as_str().unwrap().to_owned()
    });
    assert_eq!(ids[0], ids[1]);
    assert_eq!(sandbox.documents().len(), 3);
}

fn sceau(arguments: &[&str], files: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sceau"));
    command.args(arguments);
    for file in files {
        command.arg("--config").arg(file);
    }
    command.output().unwrap()
}

#[test]
fn an_environment_is_imported_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let machine = folder.path().join("machine.toml");
    std::fs::write(&machine, "[store]\nfolder = \"state\"\n").unwrap();
    let import = |profile: &Path| {
        sceau(
            &["environment", "import", profile.to_str().unwrap()],
            &[&machine],
        )
    };

    let environment = sandbox.dir.join("environment.toml");
    let right = std::fs::read_to_string(&environment).unwrap();
    let wrong = folder.path().join("wrong.toml");
    let text_of_wrong = right
        .replace("kind = \"sandbox\"", "kind = \"prod\"")
        .replace("answer_anchor = ", "anser_anchor = ");
    std::fs::write(&wrong, text_of_wrong + "surprise = 1\n").unwrap();
    let output = import(&wrong);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    for fault in [
        "environment.kind: is \"prod\"; must be sandbox, test or production",
        "mysecu.anser_anchor: is not a known key",
        "mysecu.answer_anchor: is needed to send documents",
        "mysecu.surprise: is not a known key",
    ] {
        assert!(said.contains(fault), "{said}");
    }
    let list = || paired(&sceau(&["environment", "list"], &[&machine]));
    assert_eq!(list(), "");

    assert!(text(&import(&environment).stdout).ends_with("use = \"sandbox\""));
    let exchange = format!(
        "sandbox\tsandbox\t{}/ws/soap/espinst/syncexchange",
        sandbox.tls
    );
    assert_eq!(list(), exchange);
    // The machine's file and the name are all a service needs.
    std::fs::write(
        &machine,
        "[store]\nfolder = \"state\"\n[environment]\nuse = \"sandbox\"\n",
    )
    .unwrap();
    let signer = sandbox.dir.join("signer.toml");
    let check = sceau(&["config", "check"], &[&signer, &machine]);
    assert!(check.status.success(), "{check:?}");
    let loaded = sceau::config::load(&[signer, machine]).unwrap();
    assert_eq!(loaded.environment.name, "sandbox");
    assert!(loaded.mysecu.is_some());
    // It stands in the history, once: what was refused changed nothing.
    let store = sceau::store::Store::open(&loaded.store, &sceau::outbox::migrations()).unwrap();
    let noted = store.read(|c| sceau::audit::about(c, "daemon")).unwrap();
    let [noted] = noted.as_slice() else {
        panic!("{noted:?}");
    };
    assert_eq!(noted.event, "environment-imported");
    assert_eq!(noted.detail["kind"], "sandbox");
    assert_eq!(noted.detail["environment"], "sandbox");
}
