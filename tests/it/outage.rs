//! What a document waits for, and that waiting loses nothing and lowers
//! nothing: no timestamp, no revocation data, a revoked or expired
//! certificate, no token, no PIN.

use crate::crash::{Card, Paper, token_is, unlock, whole, words};
use crate::daemon::{Daemon, Setup, copy_pack, on_token};
use crate::sandbox::{Sandbox, ok, run};
use crate::softhsm::PIN;
use sceau::pades;
use sceau::store::rusqlite::Connection;
use sceau::x509::Level;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

fn start(folder: &Path) -> (Sandbox, Daemon) {
    let sandbox = Sandbox::start(&folder.join("sandbox"));
    let daemon = Daemon::start(folder, &sandbox, &Setup::default());
    (sandbox, daemon)
}

/// Makes a point of the sandbox fail until it is calmed.
fn fails(sandbox: &Sandbox, point: &str, action: &str) {
    let rule = json!({ "point": point, "action": action, "count": 100_000 });
    sandbox.control("scenario", &rule.to_string());
}

fn code(submission: &Value) -> &str {
    submission["waiting"]["code"].as_str().unwrap_or_default()
}

/// Tries the step once more and demands that nothing has changed: the same
/// state, the same reason, nothing sent.
fn holds(paper: &Paper, daemon: &Daemon, sandbox: &Sandbox, before: &Value) {
    let tries = |now: &Value| now["tries"].as_u64().unwrap();
    paper.hurry(daemon);
    let now = crate::daemon::until("it was tried again", || {
        let now = paper.look(daemon);
        (tries(&now) > tries(before)).then_some(now)
    });
    assert_eq!(now["state"], before["state"]);
    assert_eq!(code(&now), code(before));
    assert!(!words(&now).contains(&"sending".to_owned()), "{now:#}");
    assert!(paper.at_insurer(sandbox).is_none());
}

#[test]
fn without_a_good_timestamp_a_signed_document_waits() {
    let folder = tempfile::tempdir().unwrap();
    let (sandbox, daemon) = start(folder.path());
    for (action, class, wanted) in [
        ("unavailable", "tsa", "answer-unusable"),
        ("drop-before-accept", "network", "unreachable"),
        ("refuse", "tsa", "timestamp-refused"),
        ("bad-answer-signature", "tsa", "timestamp-unusable"),
        ("stale", "ours", "clock-skew"),
        ("wrong-nonce", "tsa", "timestamp-unusable"),
        ("wrong-imprint", "tsa", "timestamp-unusable"),
        ("expired-certificate", "tsa", "timestamp-unusable"),
    ] {
        fails(&sandbox, "tsa", action);
        let paper = Paper::new();
        paper.hand_in(&daemon);
        let now = paper.pauses(&daemon, "signed", class);
        assert_eq!(code(&now), wanted, "{action}: {now:#}");
        holds(&paper, &daemon, &sandbox, &now);
        let path = format!("/v1/submissions/{}", paper.uuid);
        let signed = daemon.call(&format!("{path}/xml"), None).body;
        let signed = String::from_utf8(signed).unwrap();
        assert!(signed.contains("SignatureValue") && !signed.contains("SignatureTimeStamp"));
        assert_eq!(daemon.call(&format!("{path}/timestamp"), None).status, 404);

        sandbox.calm();
        paper.hurry(&daemon);
        paper.ends_well(&daemon, &sandbox);
    }
    whole(&daemon);
}

#[test]
fn without_revocation_data_a_stamped_document_waits() {
    let folder = tempfile::tempdir().unwrap();
    let (sandbox, daemon) = start(folder.path());
    for (ocsp, crl, wanted) in [
        ("unavailable", "unavailable", "no-revocation-data"),
        ("refuse", "drop-before-accept", "no-revocation-data"),
        ("stale", "stale", "revocation-not-fresh"),
    ] {
        fails(&sandbox, "ocsp", ocsp);
        fails(&sandbox, "crl", crl);
        let paper = Paper::new();
        paper.hand_in(&daemon);
        let now = paper.pauses(&daemon, "stamped", "ocsp");
        assert_eq!(code(&now), wanted, "{ocsp}, {crl}: {now:#}");
        holds(&paper, &daemon, &sandbox, &now);
        sandbox.calm();
        paper.hurry(&daemon);
        paper.ends_well(&daemon, &sandbox);
        // What is remembered of this second must not serve the next document.
        std::thread::sleep(Duration::from_millis(1_100));
    }

    // OCSP alone may be away: the revocation list is as good.
    fails(&sandbox, "ocsp", "unavailable");
    let paper = Paper::new();
    paper.hand_in(&daemon);
    paper.ends_well(&daemon, &sandbox);
    whole(&daemon);
}

/// A PKCS#12 file of a fresh identity as the daemon's software token, and the
/// serial number of its certificate.
pub fn soft_token(sandbox: &Sandbox, folder: &Path, validity: &str) -> (Setup, String) {
    let order = json!({ "key": "p256", "name": "Dr Testine Exemple", "validity": validity });
    let identity = sandbox.control("identities", &order.to_string());
    let text = |name: &str| identity[name].as_str().unwrap().to_owned();
    let file = |name: &str, content: &str| {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let key = file("signer.key", &text("key_pem"));
    let certificate = file("signer.crt", &text("certificate_pem"));
    let chain = file("chain.crt", &text("chain_pem"));
    file("signer.password", "test");
    let p12 = folder.join("signer.p12");
    let out = p12.to_str().unwrap();
    let arguments = [
        "pkcs12",
        "-export",
        "-passout",
        "pass:test",
        "-out",
        out,
        "-inkey",
    ];
    let inputs = [key.as_str(), "-in", &certificate, "-certfile", &chain];
    ok(run("openssl", &[&arguments[..], &inputs[..]].concat()));
    let table = "kind = \"soft\"\np12 = \"signer.p12\"\npassword_file = \"signer.password\"";
    let setup = Setup {
        layer: on_token(table),
        ..Setup::default()
    };
    (setup, text("serial"))
}

#[test]
fn a_revoked_signer_is_never_sent() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let (setup, serial) = soft_token(&sandbox, folder.path(), "valid");
    let daemon = Daemon::start(folder.path(), &sandbox, &setup);
    let good = Paper::new();
    good.hand_in(&daemon);
    good.ends_well(&daemon, &sandbox);

    // What was remembered of the good days must not hide the revocation.
    sandbox.control(
        "revoke",
        &json!({ "serial": serial, "reason": 1 }).to_string(),
    );
    std::thread::sleep(Duration::from_millis(1_100));
    let paper = Paper::new();
    paper.hand_in(&daemon);
    let now = paper.pauses(&daemon, "stamped", "ours");
    assert_eq!(code(&now), "certificate-revoked", "{now:#}");
    holds(&paper, &daemon, &sandbox, &now);
    // A restart does not change its mind.
    daemon.kill();
    let daemon = Daemon::start(folder.path(), &sandbox, &setup);
    let now = paper.pauses(&daemon, "stamped", "ours");
    holds(&paper, &daemon, &sandbox, &now);
    whole(&daemon);
}

#[test]
fn an_expired_signer_signs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    for validity in ["expired", "not-yet"] {
        let place = folder.path().join(validity);
        std::fs::create_dir(&place).unwrap();
        let (setup, _) = soft_token(&sandbox, &place, validity);
        let daemon = Daemon::start(&place, &sandbox, &setup);
        let paper = Paper::new();
        paper.hand_in(&daemon);
        let now = paper.pauses(&daemon, "received", "ours");
        assert_eq!(code(&now), "certificate-not-valid", "{now:#}");
        holds(&paper, &daemon, &sandbox, &now);
        let path = format!("/v1/submissions/{}/xml", paper.uuid);
        assert_eq!(daemon.call(&path, None).status, 404, "nothing was signed");
        whole(&daemon);
    }
}

#[test]
fn without_token_or_pin_documents_wait_until_a_person_has_acted() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let Some(card) = Card::insert(&sandbox, false) else {
        return;
    };
    card.hsm.pull();
    let daemon = Daemon::start(folder.path(), &sandbox, &card.setup());
    let papers = [Paper::new(), Paper::new(), Paper::new()];
    papers.iter().for_each(|paper| paper.hand_in(&daemon));
    for paper in &papers {
        let now = paper.pauses(&daemon, "received", "token");
        assert_eq!(code(&now), "token-absent", "{now:#}");
    }
    assert_eq!(daemon.get("/v1/health")["status"], "degraded");
    assert_eq!(unlock(&daemon, PIN), (409, "token-not-ready".to_owned()));

    card.hsm.insert();
    token_is(&daemon, "locked");
    let paper = &papers[0];
    paper.hurry(&daemon);
    let now = crate::daemon::until("it waits for the PIN", || {
        let now = paper.look(&daemon);
        (code(&now) == "token-locked").then_some(now)
    });
    holds(paper, &daemon, &sandbox, &now);

    let (status, problem) = unlock(&daemon, "000000");
    assert_eq!((status, problem.as_str()), (403, "pin-refused"));
    assert_eq!(paper.look(&daemon)["state"], "received");
    // The right PIN, once: what waits goes on by itself.
    assert_eq!(unlock(&daemon, PIN).0, 204);
    for paper in &papers {
        paper.ends_well(&daemon, &sandbox);
    }
    assert_eq!(daemon.get("/v1/health")["status"], "ok");
    whole(&daemon);
}

/// The outside calls written down in a submission's history, in order.
fn calls(submission: &Value) -> Vec<Value> {
    let steps = submission["history"].as_array().unwrap().iter();
    let calls = steps.filter_map(|step| step["detail"]["calls"].as_array());
    calls.flatten().cloned().collect()
}

fn of_purpose(submission: &Value, purpose: &str) -> Vec<Value> {
    let mut all = calls(submission);
    all.retain(|call| call["purpose"] == purpose);
    all
}

#[test]
fn another_authority_stands_in_and_documents_do_not_wait_for_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    // Takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let layer = format!(
        "[trust]\ntimeout_seconds = 2\ntimestamp_authority = [{{ name = \"silent\", url = \"http://{address}/\" }}, \
         {{ name = \"sandbox\", url = \"{}/tsa\" }}]\n",
        sandbox.http
    );
    let setup = Setup {
        layer,
        ..Setup::default()
    };
    let daemon = Daemon::start(folder.path(), &sandbox, &setup);
    let asked = || {
        let paper = Paper::new();
        paper.hand_in(&daemon);
        paper.ends_well(&daemon, &sandbox);
        of_purpose(&paper.look(&daemon), "timestamp")
    };
    let first = asked();
    let [failed, answered] = first.as_slice() else {
        panic!("{first:#?}");
    };
    assert_eq!(failed["url"], format!("http://{address}/"));
    assert!(failed["millis"].as_u64().unwrap() >= 2_000, "{failed:#}");
    assert!(
        failed["result"]
            .as_str()
            .unwrap()
            .contains("no timestamp answer")
    );
    assert_eq!(
        (&answered["result"], &answered["from_cache"]),
        (&json!("ok"), &json!(false))
    );
    for _ in 0..3 {
        let calls = asked();
        assert_eq!(calls.len(), 1, "{calls:#?}");
        assert_eq!(calls[0]["url"], answered["url"]);
    }
    let health = daemon.get("/v1/health");
    assert_eq!(health["status"], "ok", "{health:#}");
    let [silent, good] = health["timestamp_authorities"]
        .as_array()
        .unwrap()
        .as_slice()
    else {
        panic!("{health:#}");
    };
    assert!(silent["paused_until"].is_string() && silent["failure"].is_string());
    assert!(good["last_success"].is_string() && good["paused_until"].is_null());
    assert_eq!(health["clock"]["status"], "ok");
}

#[test]
fn a_clock_that_is_off_is_said_in_health_log_and_document() {
    let folder = tempfile::tempdir().unwrap();
    let (sandbox, daemon) = start(folder.path());
    fails(&sandbox, "tsa", "stale");
    let paper = Paper::new();
    paper.hand_in(&daemon);
    let now = paper.pauses(&daemon, "signed", "ours");
    assert_eq!(code(&now), "clock-skew");
    let text = now["waiting"]["text"].as_str().unwrap();
    assert!(
        text.contains("clock of sandbox and this machine's"),
        "{text}"
    );
    let health = daemon.get("/v1/health");
    assert_eq!(
        (&health["status"], &health["clock"]["status"]),
        (&json!("degraded"), &json!("wrong"))
    );
    assert!(daemon.log().contains("clock-wrong begins: "));
    // Each try's calls are kept, not the first's alone.
    holds(&paper, &daemon, &sandbox, &now);
    let stamps = of_purpose(&paper.look(&daemon), "timestamp");
    assert!(stamps.len() >= 2, "{stamps:#?}");
    assert!(
        stamps
            .iter()
            .all(|call| call["result"] == stamps[0]["result"])
    );

    sandbox.calm();
    paper.hurry(&daemon);
    paper.ends_well(&daemon, &sandbox);
    assert_eq!(daemon.get("/v1/health")["clock"]["status"], "ok");
}

#[test]
fn the_last_good_list_of_an_authority_serves_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (sandbox, daemon) = start(folder.path());
    let paper = Paper::new();
    paper.hand_in(&daemon);
    paper.ends_well(&daemon, &sandbox);
    daemon.kill();
    fails(&sandbox, "crl", "unavailable");
    let daemon = Daemon::start(folder.path(), &sandbox, &Setup::default());
    let paper = Paper::new();
    paper.hand_in(&daemon);
    paper.ends_well(&daemon, &sandbox);
    let lists = of_purpose(&paper.look(&daemon), "crl");
    let remembered: Vec<bool> = lists.iter().map(|c| c["from_cache"] == true).collect();
    // For the signer's chain it is asked in vain, for the timestamp's not again.
    assert_eq!(remembered, [false, true, true], "{lists:#?}");
}

/// The built-in pack as version 3, which wants the embedded PDF timestamped.
fn pack_with_stamped_pdf(folder: &Path) -> Setup {
    copy_pack(folder, "memoire-honoraires/2", "3", |manifest| {
        let manifest = manifest.replace("\"PAdES-B-B\"", "\"PAdES-B-T\"");
        manifest.replace("required = true", "required = false")
    });
    Setup {
        layer: "[forms]\nfolder = \"packs\"\n".to_owned(),
        ..Setup::default()
    }
}

#[test]
fn a_pdf_without_its_timestamp_waits_and_is_signed_once() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let daemon = Daemon::start(
        folder.path(),
        &sandbox,
        &pack_with_stamped_pdf(folder.path()),
    );
    fails(&sandbox, "tsa", "unavailable");
    let paper = Paper::new();
    paper.hand_in(&daemon);
    let now = paper.pauses(&daemon, "received", "tsa");
    assert!(words(&now).contains(&"pdf-signed".to_owned()), "{now:#}");
    let path = format!("/v1/submissions/{}", paper.uuid);
    let pdf = || {
        let pdf = daemon.call(&format!("{path}/pdf"), None).body;
        let found = pades::verify(&pdf).unwrap();
        (found.level, pades::timestamp_input(&pdf).unwrap())
    };
    let (level, value) = pdf();
    assert_eq!(level, Level::B);
    assert_eq!(daemon.call(&format!("{path}/xml"), None).status, 404);
    // However often it is tried: the signature that is there stays.
    holds(&paper, &daemon, &sandbox, &now);
    assert_eq!(pdf(), (Level::B, value.clone()));

    sandbox.calm();
    paper.hurry(&daemon);
    paper.ends_well(&daemon, &sandbox);
    assert_eq!(pdf(), (Level::T, value));
    let signed = paper.look(&daemon)["history"].clone();
    let signed = signed.as_array().unwrap().iter();
    let signed = signed.filter(|entry| entry["event"] == "signed");
    let levels: Vec<&Value> = signed.map(|entry| &entry["detail"]["pdf_level"]).collect();
    assert_eq!(levels, ["PAdES-B-T"]);
    whole(&daemon);
}

/// Where a document may have a PDF or not, one that has lost its own does not
/// pass for one without.
#[test]
fn an_accepted_pdf_that_is_gone_is_not_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let setup = pack_with_stamped_pdf(folder.path());
    let daemon = Daemon::start(folder.path(), &sandbox, &setup);
    fails(&sandbox, "tsa", "unavailable");
    let paper = Paper::new();
    paper.hand_in(&daemon);
    paper.pauses(&daemon, "received", "tsa");
    let database = daemon.state().join("sceau.db");
    daemon.kill();
    let database = Connection::open(database).unwrap();
    let sql = "DELETE FROM body WHERE uuid = ?1 AND kind IN ('request-pdf', 'pdf')";
    assert_eq!(database.execute(sql, [&paper.uuid]).unwrap(), 2);
    drop(database);

    sandbox.calm();
    let daemon = Daemon::start(folder.path(), &sandbox, &setup);
    paper.hurry(&daemon);
    let now = paper.pauses(&daemon, "received", "ours");
    assert_eq!(code(&now), "body-missing", "{now:#}");
    assert!(paper.at_insurer(&sandbox).is_none());
}
