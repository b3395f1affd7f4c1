//! Certificates, OCSP, CRL and timestamps, judged by OpenSSL.

use super::{Sandbox, ok, run, said};
use std::path::Path;

struct Bench {
    sandbox: Sandbox,
    scratch: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(&scratch.path().join("sandbox"));
        Self { sandbox, scratch }
    }

    fn path(&self, name: &str) -> String {
        self.scratch.path().join(name).to_str().unwrap().to_owned()
    }

    /// Asks for a timestamp and has OpenSSL verify it against the query.
    fn timestamp(&self) -> String {
        let (data, query, reply) = (self.path("data"), self.path("tsq"), self.path("tsr"));
        std::fs::write(&data, "anything").unwrap();
        let args = [
            "ts", "-query", "-data", &data, "-sha256", "-cert", "-out", &query,
        ];
        ok(run("openssl", &args));
        let url = format!("{}/tsa", self.sandbox.http);
        let body = format!("@{query}");
        let got = run(
            "curl",
            &["-sS", "--fail", "--data-binary", &body, &url, "-o", &reply],
        );
        if !got.status.success() {
            return said(&got);
        }
        let (root, issuing) = (
            self.sandbox.pki("root.pem"),
            self.sandbox.pki("issuing.pem"),
        );
        let mut args = vec!["ts", "-verify", "-queryfile", &query, "-in", &reply];
        args.extend(["-CAfile", &root, "-untrusted", &issuing]);
        said(&run("openssl", &args))
    }

    /// OpenSSL's finding about a certificate from the responder.
    fn ocsp(&self, cert: &str, digest: &str) -> String {
        let (root, issuing) = (
            self.sandbox.pki("root.pem"),
            self.sandbox.pki("issuing.pem"),
        );
        let url = format!("{}/ocsp", self.sandbox.http);
        let mut args = vec!["ocsp", "-issuer", &issuing, digest, "-cert", cert];
        args.extend(["-url", &url, "-CAfile", &root]);
        said(&run("openssl", &args))
    }
}

#[test]
fn certificates_chain_and_say_what_they_are_for() {
    let bench = Bench::new();
    let sandbox = &bench.sandbox;
    let (root, issuing) = (sandbox.pki("root.pem"), sandbox.pki("issuing.pem"));
    let mut args = vec![
        "verify",
        "-x509_strict",
        "-CAfile",
        &root,
        "-untrusted",
        &issuing,
    ];
    let names = [
        "tsa",
        "ocsp",
        "answer",
        "identity-provider",
        "server",
        "transport-leaf",
        "signer-leaf",
    ];
    let files = names.map(|n| sandbox.pki(&format!("{n}.pem")));
    args.extend(files.iter().map(String::as_str));
    let verified = String::from_utf8(ok(run("openssl", &args))).unwrap();
    assert_eq!(verified.matches(": OK").count(), names.len());

    let text = |name: &str| {
        said(&run(
            "openssl",
            &["x509", "-noout", "-text", "-in", &sandbox.pki(name)],
        ))
    };
    let signer = text("signer-leaf.pem");
    for part in [
        "X509v3 Key Usage: critical\n                Non Repudiation",
        "GN = Testine, SN = Exemple, serialNumber = TEST",
        &format!("OCSP - URI:{}/ocsp", sandbox.http),
        &format!("CA Issuers - URI:{}/ca/issuing.crt", sandbox.http),
        &format!("URI:{}/crl/issuing.crl", sandbox.http),
    ] {
        assert!(signer.contains(part), "{part} is not in\n{signer}");
    }
    assert!(
        text("tsa.pem").contains("Extended Key Usage: critical\n                Time Stamping\n")
    );
    assert!(text("ocsp.pem").contains("OCSP No Check"));
}

#[test]
fn pkcs12_files_open_with_their_password_and_keys_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    for name in ["signer", "transport"] {
        let p12 = bench.sandbox.pki(&format!("{name}.p12"));
        let password = format!("file:{}", bench.sandbox.pki(&format!("{name}.password")));
        let args = ["pkcs12", "-in", &p12, "-passin", &password, "-nodes"];
        let text = String::from_utf8(ok(run("openssl", &args))).unwrap();
        assert_eq!(text.matches("BEGIN CERTIFICATE").count(), 3, "{name}");
        assert_eq!(text.matches("BEGIN PRIVATE KEY").count(), 1, "{name}");
    }
    let mut folders = vec![bench.sandbox.dir.clone()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{:?}", entry.path());
            files += 1;
        }
    }
    assert!(files > 20);
}

#[test]
fn ocsp_and_crl_follow_revocation() {
    let bench = Bench::new();
    let sandbox = &bench.sandbox;
    let made = sandbox.control("identities", r#"{"key":"p384","name":"Dr Autre Exemple"}"#);
    let cert = bench.path("leaf.pem");
    std::fs::write(&cert, made["certificate_pem"].as_str().unwrap()).unwrap();
    for digest in ["-sha1", "-sha256"] {
        let finding = bench.ocsp(&cert, digest);
        assert!(finding.contains("Response verify OK"), "{finding}");
        assert!(finding.contains(": good"), "{finding}");
        assert!(!finding.contains("WARNING"), "{finding}");
    }
    let order = serde_json::json!({ "serial": made["serial"], "reason": 1 });
    sandbox.control("revoke", &order.to_string());
    let finding = bench.ocsp(&cert, "-sha1");
    assert!(
        finding.contains(": revoked") && finding.contains("keyCompromise"),
        "{finding}"
    );

    let crl = bench.path("issuing.crl");
    let url = format!("{}/crl/issuing.crl", sandbox.http);
    ok(run("curl", &["-sS", "--fail", &url, "-o", &crl]));
    let issuing = sandbox.pki("issuing.pem");
    let args = [
        "crl", "-inform", "der", "-in", &crl, "-CAfile", &issuing, "-text", "-noout",
    ];
    let text = said(&run("openssl", &args));
    let serial = made["serial"].as_str().unwrap().to_uppercase();
    assert!(
        text.contains("verify OK") && text.contains(&serial),
        "{text}"
    );
    assert!(text.contains("Key Compromise"), "{text}");

    let url = format!("{}/ocsp", sandbox.http);
    let root = sandbox.pki("root.pem");
    let mut args = vec!["ocsp", "-issuer", &issuing, "-serial", "0x1234"];
    args.extend(["-url", &url, "-CAfile", &root]);
    assert!(said(&run("openssl", &args)).contains("0x1234: unknown"));
}

#[test]
fn timestamps_verify_and_fail_as_told() {
    let bench = Bench::new();
    assert!(bench.timestamp().contains("Verification: OK"));
    let failures = [
        ("wrong-nonce", "nonce mismatch"),
        ("wrong-imprint", "message imprint mismatch"),
        ("bad-answer-signature", "signature failure"),
        ("expired-certificate", "certificate has expired"),
        ("refuse", "status code: rejection"),
        ("unavailable", "503"),
        ("drop-before-accept", "Empty reply"),
        ("drop-after-accept", "Empty reply"),
    ];
    for (action, reason) in failures {
        bench.sandbox.scenario("tsa", action, None);
        let text = bench.timestamp();
        let found = text.to_lowercase().contains(&reason.to_lowercase());
        assert!(found, "{action}: {text}");
        assert!(
            bench.timestamp().contains("Verification: OK"),
            "after {action}"
        );
    }
}

#[test]
fn revocation_services_fail_as_told() {
    let bench = Bench::new();
    let cert = bench.sandbox.pki("signer-leaf.pem");
    let failures = [
        ("stale", "status expired"),
        ("bad-answer-signature", "signature failure"),
        ("expired-certificate", "certificate has expired"),
        ("refuse", "trylater"),
        ("unavailable", "503"),
    ];
    for (action, reason) in failures {
        bench.sandbox.scenario("ocsp", action, None);
        let text = bench.ocsp(&cert, "-sha1").to_lowercase();
        assert!(text.contains(reason), "{action}: {text}");
    }
    assert!(bench.ocsp(&cert, "-sha1").contains(": good"));
}

#[test]
fn control_serves_local_programs_only() {
    let bench = Bench::new();
    let url = format!("{}/control/identities", bench.sandbox.http);
    let body = r#"{"key":"p256","name":"Dr Autre Exemple"}"#;
    let status = |header: &str| {
        let args = [
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-H",
            header,
            "-d",
            body,
            &url,
        ];
        String::from_utf8(ok(run("curl", &args))).unwrap()
    };
    assert_eq!(status("Accept: */*"), "200");
    assert_eq!(status("Host: rebound.example"), "403");
    assert_eq!(status("Origin: https://page.example"), "403");
    assert_eq!(status("Origin: null"), "403");
    assert_eq!(status("Sec-Fetch-Site: cross-site"), "403");
}

#[test]
fn shutdown_ends_the_process_and_a_restart_is_the_same_sandbox() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("sandbox");
    let mut first = Sandbox::start(&dir);
    let root = std::fs::read(first.pki("root.pem")).unwrap();
    first.control("shutdown", "");
    assert!(first.child.wait().unwrap().success());
    let second = Sandbox::start(&dir);
    assert_eq!((&first.http, &first.tls), (&second.http, &second.tls));
    assert_eq!(root, std::fs::read(second.pki("root.pem")).unwrap());
    assert!(Path::new(&second.dir.join("environment.toml")).exists());
}
