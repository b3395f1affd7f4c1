//! Scenarios as files: built-in ones, and one a developer writes.

use super::client::{Client, DEPOSIT, Flaw};
use super::{Sandbox, run, said};
use sceau::base::Uuid4;
use serde_json::{Value, json};

const CODE: &str = "90000001";
const EHEALTH: &str = "9000000001";

/// A practice that deposits one mémoire after the other.
struct Practice<'a> {
    sandbox: &'a Sandbox,
    client: Client<'a>,
    token: String,
}

impl<'a> Practice<'a> {
    fn new(sandbox: &'a Sandbox) -> Self {
        let client = Client::new(sandbox);
        let token = client.token(CODE, EHEALTH);
        Self {
            sandbox,
            client,
            token,
        }
    }

    /// What comes back for a new mémoire.
    fn deposit(&self) -> String {
        let uuid = Uuid4::random().to_string();
        let document = self.client.document(&uuid, CODE, Flaw::None);
        self.client.exchange(&self.token, DEPOSIT, &document).body
    }

    fn is_calm(&self) {
        self.sandbox.calm();
        assert!(self.deposit().contains(">accepte<"));
    }
}

/// Posts a body to `/control`; status and answer.
fn post(sandbox: &Sandbox, path: &str, body: &str) -> (String, Value) {
    let url = format!("{}/control/{path}", sandbox.http);
    let out = run(
        "curl",
        &["-sS", "--data-binary", body, "-w", "\n%{http_code}", &url],
    );
    let out = String::from_utf8(out.stdout).unwrap();
    let (answer, status) = out.rsplit_once('\n').unwrap();
    (status.to_owned(), serde_json::from_str(answer).unwrap())
}

#[test]
fn built_in_scenarios_do_what_they_say() {
    let scratch = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(scratch.path());
    let practice = Practice::new(&sandbox);
    let faults = [
        ("rules-engine-down-5-minutes", ">UNAVAILABLE<"),
        ("maintenance", ">MAINTENANCE<"),
        ("account-blocked", ">ACCOUNT_BLOCKED<"),
    ];
    for (name, fault) in faults {
        sandbox.play(name);
        assert!(practice.deposit().contains(fault), "{name}");
        let asked = practice.client.ask(&practice.token, "no uuid").body;
        // Only the rules engine can be asked around.
        assert_eq!(asked.contains(fault), fault != ">UNAVAILABLE<", "{asked}");
        practice.is_calm();
    }
    sandbox.play("maintenance");
    assert!(
        practice
            .client
            .assertion(EHEALTH)
            .body
            .contains(">MAINTENANCE<")
    );
    practice.is_calm();
    sandbox.play("consent-missing");
    let refused = practice.deposit();
    assert!(
        refused.contains(">refuse<") && refused.contains(">SBX-020<"),
        "{refused}"
    );
    sandbox.play("refused-with-anomalies");
    let refused = practice.deposit();
    for part in [">refuse<", ">SBX-005<", ">SBX-006<", "cumulable"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    assert!(practice.deposit().contains(">accepte<"), "each once");
    let before = sandbox.documents().len();
    sandbox.play("answer-lost-after-accept");
    assert_eq!(practice.deposit(), "");
    assert_eq!(sandbox.documents().len(), before + 1);
    sandbox.play("timestamp-down");
    let tsa = format!("{}/tsa", sandbox.http);
    let down = run("curl", &["-sS", "-d", "x", "-w", "%{http_code}", &tsa]);
    assert!(said(&down).ends_with("503"));
    sandbox.calm();
    sandbox.play("slow-insurer");
    let waiting = sandbox.shown("scenario");
    assert_eq!(
        (&waiting[0]["delay_ms"], &waiting[0]["count"]),
        (&json!(8000), &json!(5))
    );
}

#[test]
fn a_developer_writes_a_scenario_as_toml_or_json() {
    let scratch = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(scratch.path());
    let practice = Practice::new(&sandbox);
    let toml = "name = \"monday\"\ndescription = \"Twice busy, then the second is refused.\"\n\
                [[step]]\npoint = \"exchange\"\naction = \"unavailable\"\n\
                [[step]]\npoint = \"exchange\"\naction = \"refuse\"\ncode = \"TEST-1\"\n";
    let (status, answer) = post(&sandbox, "scenarios", toml);
    assert_eq!(
        (status.as_str(), &answer["playing"]),
        ("200", &json!("monday"))
    );
    assert!(practice.deposit().contains(">UNAVAILABLE<"));
    assert!(practice.deposit().contains(">TEST-1<"));
    practice.is_calm();
    let json = json!({ "name": "second practitioner", "description": "Only the second one.",
        "step": [{ "point": "account", "action": "refuse", "who": "90000002", "seconds": 60 }] });
    assert_eq!(post(&sandbox, "scenarios", &json.to_string()).0, "200");
    assert!(practice.deposit().contains(">accepte<"));

    for (body, told) in [
        ("name = 1", "not right"),
        (
            "{\"name\":\"x\",\"description\":\"y\",\"step\":[]}",
            "needs a step",
        ),
        (
            "name=\"x\"\ndescription=\"y\"\n[[step]]\npoint=\"crl\"\naction=\"refuse\"\n",
            "step 1: this action does not exist at this point",
        ),
    ] {
        let (status, answer) = post(&sandbox, "scenarios", body);
        let text = answer["error"].as_str().unwrap();
        assert!(status == "422" && text.contains(told), "{text}");
    }
    assert_eq!(post(&sandbox, "scenarios/no-such", "").0, "404");
    let listed = sandbox.shown("scenarios");
    let names: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|s| &s["name"])
        .collect();
    let page = include_str!("../../../docs/sandbox.md");
    assert_eq!(names.len(), 9);
    for name in names {
        assert!(
            page.contains(&format!("`{}`", name.as_str().unwrap())),
            "{name}"
        );
    }
}

#[test]
fn an_account_is_blocked_and_unblocked_and_documents_advance_with_time() {
    let scratch = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(scratch.path());
    let practice = Practice::new(&sandbox);
    assert_eq!(
        sandbox.shown("accounts"),
        json!({ "blocked": ["90000009"] })
    );
    let block = |blocked: bool| {
        let body = json!({ "code_prestataire": CODE, "blocked": blocked });
        sandbox.control("accounts", &body.to_string());
    };
    block(true);
    assert!(practice.deposit().contains(">ACCOUNT_BLOCKED<"));
    block(false);
    assert!(practice.deposit().contains(">accepte<"));
    let rule = json!({ "point": "documents", "action": "advance", "delay_ms": 100, "seconds": 60 });
    sandbox.control("scenario", &rule.to_string());
    let paid = || {
        let all = sandbox.documents();
        all.iter().all(|d| d["status"] == "paid")
    };
    let waited = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(200));
        paid()
    });
    assert!(waited, "{:?}", sandbox.documents());
    let history = sandbox.documents()[0]["history"].as_array().unwrap().len();
    assert_eq!(history, 4);
}
