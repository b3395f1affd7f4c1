//! Each fault is produced for real and shows as a state with name, cause, next
//! step, time and scope in `GET /v1/health`, on the stream of events and in the
//! log, and goes by itself when its cause goes.

mod clocks;
mod devices;
mod hour;
mod stream;

use crate::crash::{Paper, whole};
use crate::daemon::{Daemon, Setup, until};
use crate::sandbox::Sandbox;
use sceau::conditions::Kind;
use serde_json::{Value, json};
use std::path::Path;
use stream::Events;

fn start(folder: &Path) -> (Sandbox, Daemon) {
    let sandbox = Sandbox::start(&folder.join("sandbox"));
    let daemon = Daemon::start(folder, &sandbox, &Setup::default());
    (sandbox, daemon)
}

/// Makes a point of the sandbox fail until it is calmed.
fn fails(sandbox: &Sandbox, point: &str, action: &str, code: Option<&str>) {
    let mut rule = json!({ "point": point, "action": action, "count": 100_000 });
    if let Some(code) = code {
        rule["code"] = code.into();
    }
    sandbox.control("scenario", &rule.to_string());
}

/// The conditions there are now.
pub fn names(daemon: &Daemon) -> Vec<String> {
    let health = daemon.get("/v1/health");
    let all = health["conditions"].as_array().unwrap().iter();
    all.map(|c| c["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Waits until a fault is there, whole, and makes the service degraded.
pub fn begins(daemon: &Daemon, name: &str, scope: &str) -> Value {
    let health = until(&format!("{name} is there: {:?}", names(daemon)), || {
        let health = daemon.get("/v1/health");
        let all = health["conditions"].as_array().unwrap().clone();
        let found = all.into_iter().find(|c| c["name"] == name)?;
        Some((health["status"].clone(), found))
    });
    let (status, found) = health;
    assert_eq!(
        (status.as_str(), &found["holds_up"]),
        (Some("degraded"), &json!(true))
    );
    assert_eq!(found["scope"]["kind"], scope, "{found:#}");
    assert!(
        found["since"].as_str().unwrap().starts_with("20"),
        "{found:#}"
    );
    for text in ["cause", "next_step"] {
        for language in ["fr", "de", "en"] {
            assert!(
                found[text][language].as_str().unwrap().len() > 10,
                "{found:#}"
            );
        }
    }
    assert!(told(daemon, name).0 > 0, "{}", daemon.log());
    found
}

/// Waits until a fault is gone; the log tells its end once more than before.
pub fn ends(daemon: &Daemon, name: &str) {
    until(&format!("{name} is gone"), || {
        (!names(daemon).iter().any(|n| n == name)).then_some(())
    });
}

/// How often the log tells that a fault began, and that it ended.
pub fn told(daemon: &Daemon, name: &str) -> (usize, usize) {
    let log = daemon.log();
    let times = |what: &str| log.matches(&format!(" {name} {what}")).count();
    (times("begins: "), times("ends"))
}

/// A document meets the fault, which shows; when the cause goes, the document
/// ends well, the fault is gone, and the log has both ends once.
fn met_and_healed(
    (sandbox, daemon): (&Sandbox, &Daemon),
    (name, scope): (&str, &str),
    events: &Events,
) {
    let paper = Paper::new();
    paper.hand_in(daemon);
    let found = begins(daemon, name, scope);
    let began = events.next_of("condition", |e| e["name"] == name && e["change"] == "began");
    assert_eq!(began["since"], found["since"]);
    assert_eq!(began["cause"], found["cause"]);
    let before = told(daemon, name);
    // Again and again is still the same fault.
    let tries = |now: &Value| now["tries"].as_u64().unwrap_or_default();
    let now = paper.look(daemon);
    paper.hurry(daemon);
    until("it was tried again", || {
        (tries(&paper.look(daemon)) > tries(&now)).then_some(())
    });
    assert_eq!(begins(daemon, name, scope)["since"], found["since"]);
    assert_eq!(told(daemon, name), before);

    sandbox.calm();
    paper.hurry(daemon);
    paper.ends_well(daemon, sandbox);
    ends(daemon, name);
    events.next_of("condition", |e| e["name"] == name && e["change"] == "ended");
    assert_eq!(told(daemon, name), (before.0, before.1 + 1));
    assert_eq!(daemon.get("/v1/health")["status"], "ok");
}

#[test]
fn faults_of_trust_services_show_and_heal() {
    let folder = tempfile::tempdir().unwrap();
    let (sandbox, daemon) = start(folder.path());
    let events = Events::follow(&daemon, daemon.token(), None);
    for (action, fault) in [
        ("unavailable", ("tsa-down", "authority")),
        ("drop-before-accept", ("tsa-down", "authority")),
        ("refuse", ("tsa-down", "authority")),
        ("bad-answer-signature", ("tsa-lying", "authority")),
        ("wrong-nonce", ("tsa-lying", "authority")),
        ("wrong-imprint", ("tsa-lying", "authority")),
        ("expired-certificate", ("tsa-lying", "authority")),
        ("stale", ("clock-wrong", "installation")),
    ] {
        fails(&sandbox, "tsa", action, None);
        met_and_healed((&sandbox, &daemon), fault, &events);
    }
    for (action, fault) in [
        ("unavailable", ("ocsp-down", "signer")),
        ("drop-before-accept", ("ocsp-down", "signer")),
        ("stale", ("revocation-late", "signer")),
    ] {
        // What is remembered of this second must not serve the next document.
        std::thread::sleep(std::time::Duration::from_millis(1_100));
        fails(&sandbox, "ocsp", action, None);
        fails(&sandbox, "crl", action, None);
        met_and_healed((&sandbox, &daemon), fault, &events);
    }
    whole(&daemon);
}

/// A service of the sandbox, and how it fails.
type Failing<'a> = (&'a str, &'a str);

#[test]
fn faults_of_the_insurer_show_and_heal() {
    let folder = tempfile::tempdir().unwrap();
    let (sandbox, daemon) = start(folder.path());
    let events = Events::follow(&daemon, daemon.token(), None);
    let cases: [(&[Failing], Option<&str>, _); 6] = [
        (
            &[("exchange", "unavailable")],
            None,
            ("insurer-down", "insurer"),
        ),
        (
            &[
                ("exchange", "drop-before-accept"),
                ("status", "drop-before-accept"),
            ],
            None,
            ("insurer-unreachable", "insurer"),
        ),
        (
            &[
                ("exchange", "bad-answer-signature"),
                ("status", "bad-answer-signature"),
            ],
            None,
            ("insurer-answer-wrong", "insurer"),
        ),
        (
            &[("account", "refuse")],
            None,
            ("account-blocked", "practitioner"),
        ),
        (
            &[("exchange", "refuse")],
            Some("UNKNOWN_PROVIDER"),
            ("account-unknown", "practitioner"),
        ),
        // In mid-batch: renewed by itself first, which is no fault yet.
        (
            &[("exchange", "refuse")],
            Some("InvalidSecurityToken"),
            ("session-expired", "practitioner"),
        ),
    ];
    for (rules, code, fault) in cases {
        for (point, action) in rules {
            fails(&sandbox, point, action, code);
        }
        met_and_healed((&sandbox, &daemon), fault, &events);
    }
    whole(&daemon);
}

/// The list of `docs/conditions.md`; `SCEAU_BLESS=1` writes it anew.
#[test]
fn the_list_on_file_is_that_of_the_code() {
    let mut list = String::new();
    for kind in sceau::conditions::KINDS {
        let Kind {
            name, class, about, ..
        } = kind;
        list += &format!("\n### `{name}`\n\nClass `{class}`, about: {about}.\n\n");
        for (language, n) in [("fr", 0), ("de", 1), ("en", 2)] {
            list += &format!("- {language}: {} {}\n", kind.cause[n], kind.next_step[n]);
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conditions.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (head, _) = page.split_once("\n## The list\n").unwrap();
    let found = format!("{head}\n## The list\n{list}");
    if std::env::var_os("SCEAU_BLESS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        found,
        "run with SCEAU_BLESS=1"
    );
}
