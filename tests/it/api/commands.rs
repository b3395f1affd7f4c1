//! The commands an administrator types, against a running service.

use super::{DEPOT, DRY_RUN, Service, example, pair};
use crate::daemon::{self, Setup};
use crate::sandbox::Sandbox;
use crate::softhsm::{PIN, SoftHsm, skipped};
use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn pairing_again_voids_the_old_token() {
    let service = Service::start(&Setup::default());
    let old = service.program.clone();
    assert!(
        old.starts_with("sceau_") && old.len() == 54,
        "{}",
        old.len()
    );
    let other = pair(&service.daemon, "other");
    let new = pair(&service.daemon, "raw");
    let status = |token: &str| service.ask_with(token, "GET", "/v1/forms", &[], b"").status;
    assert_eq!(
        (status(&old), status(&new), status(&other)),
        (401, 200, 200)
    );
    // The tokens are nowhere on disk.
    for path in super::files(&service.daemon.state()) {
        let bytes = std::fs::read(&path).unwrap();
        for token in [&old, &new, &other] {
            let found = bytes.windows(token.len()).any(|w| w == token.as_bytes());
            assert!(!found, "a token is in {}", path.display());
        }
    }
}

#[test]
fn status_audit_and_a_second_service_speak_clearly() {
    let service = Service::start(&Setup::default());
    let status = service.daemon.command(&["status"]);
    assert!(status.status.success());
    let health: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(health["status"], "ok");
    let audit = service.daemon.command(&["audit"]);
    assert!(audit.status.success());
    assert!(text(&audit.stdout).starts_with("The audit log is whole: "));

    let second = service.daemon.command(&["run"]);
    assert_eq!(second.status.code(), Some(1));
    let said = text(&second.stderr);
    let state = service.daemon.state().display().to_string();
    let expected = format!("sceau: a service or a restore already uses {state}");
    assert!(said.contains(&expected), "{said}");
    // The first is not disturbed: not its address, not its administrator.
    assert!(service.daemon.command(&["status"]).status.success());
    let token = std::fs::read_to_string(service.daemon.state().join("admin.token")).unwrap();
    assert_eq!(token, service.administrator);
    #[cfg(unix)]
    private(&service);

    // Without the service, the commands say so.
    let Service {
        daemon,
        sandbox,
        folder,
        ..
    } = service;
    let files = [
        sandbox.dir.join("environment.toml"),
        folder.path().join("test.toml"),
    ];
    #[cfg(unix)]
    daemon.stop();
    for name in ["status", "unlock"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sceau"));
        command.arg(name);
        for file in &files {
            command.arg("--config").arg(file);
        }
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}");
        let said = text(&output.stderr);
        assert!(said.contains("is the service running?"), "{said}");
    }
}

/// Nobody else on the machine reads the state folder.
#[cfg(unix)]
fn private(service: &Service) {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&service.daemon.state()) & 0o077, 0);
    let secret = service.daemon.state().join("admin.token");
    assert_eq!(mode(&secret) & 0o077, 0);
}

/// `sceau unlock` on a terminal of its own, the PIN typed into it.
fn unlock(service: &Service, pin: &str) -> Option<Output> {
    let program = env!("CARGO_BIN_EXE_sceau");
    let file = |path: &std::path::Path| format!("--config '{}'", path.display());
    let command = format!(
        "'{program}' unlock {} {} {}",
        file(&service.sandbox.dir.join("environment.toml")),
        file(&service.folder.path().join("state.toml")),
        file(&service.folder.path().join("test.toml"))
    );
    let child = Command::new("script")
        .args(["-q", "-e", "-c", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        skipped("script (util-linux) is not installed: no terminal for the PIN");
        return None;
    };
    // The terminal echoes until the program has asked and turned that off.
    let mut stdout = child.stdout.take().unwrap();
    let (mut said, mut byte) = (Vec::new(), [0]);
    while !said.ends_with(b"PIN: ") && stdout.read(&mut byte).unwrap() == 1 {
        said.push(byte[0]);
    }
    std::thread::sleep(Duration::from_millis(300));
    let mut keyboard = child.stdin.take().unwrap();
    keyboard.write_all(format!("{pin}\n").as_bytes()).unwrap();
    stdout.read_to_end(&mut said).unwrap();
    let mut output = child.wait_with_output().unwrap();
    output.stdout = said;
    Some(output)
}

/// Configuration that signs with this token.
fn on_token(hsm: &SoftHsm) -> String {
    let (module, serial) = (hsm.module().display(), &hsm.serial);
    let table = format!("kind = \"pkcs11\"\nmodule = \"{module}\"\nserial = \"{serial}\"");
    daemon::on_token(&table)
}

#[test]
fn unlock_takes_one_pin_for_one_try_and_lets_documents_go() {
    let Some(hsm) = SoftHsm::empty() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    hsm.take_identity(&sandbox, "p256");
    let layer = on_token(&hsm);
    let setup = Setup {
        layer,
        environment: hsm.environment(),
    };
    let service = Service::start_in(folder, sandbox, &setup);
    let token = || service.get("/v1/tokens").json()[0].clone();
    daemon::until("the token is seen", || {
        let certificates = token()["certificates"].as_array()?.len();
        (token()["status"] == "locked" && certificates == 1).then_some(())
    });

    // A dry run needs no PIN to say who would sign.
    let (uuid, xml) = daemon::example("une-ligne.xml");
    let pdf = daemon::pdf("memoire-gs-a2b.pdf");
    let preview = service.hand_in(DRY_RUN, &xml, Some(&pdf)).json();
    assert!(
        preview["signer"]
            .as_str()
            .unwrap()
            .contains("Dr Testine Exemple"),
        "{preview}"
    );
    // What is accepted waits for the token.
    assert_eq!(service.hand_in(DEPOT, &xml, Some(&pdf)).status, 202);
    daemon::until("the document waits for the token", || {
        let submission = service.daemon.get(&format!("/v1/submissions/{uuid}"));
        (submission["waiting"]["class"] == "token").then_some(())
    });
    let answer = service.get(&format!("/v1/submissions/{uuid}/receipt"));
    assert_eq!(answer.problem(), "not-yet-available");
    assert_eq!(service.daemon.get("/v1/health")["status"], "degraded");

    let wrong = "471148";
    let Some(output) = unlock(&service, wrong) else {
        return;
    };
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = text(&output.stdout);
    assert!(said.contains("The PIN is not right"), "{said}");
    assert!(!said.contains(wrong), "the PIN was echoed: {said}");
    // One try, and the person is told before the next.
    assert_eq!(token()["status"], "locked");
    assert!(token()["warning"].is_string(), "{}", token());

    let output = unlock(&service, PIN).unwrap();
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("The token is unlocked.") && !said.contains(PIN),
        "{said}"
    );
    assert_eq!(token()["status"], "ready");
    service.daemon.wait_for(&uuid, &["receipted"]);
    let log = service.daemon.log();
    assert!(
        !log.contains(PIN) && !log.contains(wrong),
        "a PIN is in the log"
    );
}

#[test]
fn unlocking_without_a_token_is_a_problem() {
    let service = Service::start(&Setup {
        layer: "token = []".into(),
        ..Setup::default()
    });
    let administrator = service.administrator.clone();
    let unlock = |body: &[u8]| {
        let headers = [("Content-Type", "application/json")];
        service.ask_with(&administrator, "POST", "/v1/tokens/unlock", &headers, body)
    };
    for body in ["{\"pin\":\"1234\"}", "{}"] {
        assert_eq!(unlock(body.as_bytes()).problem(), "token-not-ready");
    }
    for body in ["", "{\"pin\":1234}", "{\"pin\":\"1\",\"puk\":\"2\"}"] {
        assert_eq!(
            unlock(body.as_bytes()).problem(),
            "body-malformed",
            "{body}"
        );
    }
    // Documents are accepted all the same, and wait.
    let pdf = daemon::pdf("memoire-gs-a2b.pdf");
    let xml = example("valid", "une-ligne.xml");
    let preview = service.hand_in(DRY_RUN, &xml, Some(&pdf)).json();
    assert!(preview["signer"].is_null() && preview["signer_problem"].is_string());
    assert_eq!(service.hand_in(DEPOT, &xml, Some(&pdf)).status, 202);
}
