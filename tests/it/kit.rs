//! The contract tests, tested: a good software passes every case, and each bad
//! one is caught by the case that is meant for it and by no other.

use sceau::kit::Trial;
use std::path::Path;
use std::process::Command;

/// Runs the kit over a command in these cases; the names of those that failed,
/// and what was printed.
fn play(client: &str, cases: &[&str]) -> (Vec<String>, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scratch = tempfile::tempdir().unwrap();
    let report = scratch.path().join("report.xml");
    let line = format!(
        "python3 {client} xsd/memoire-honoraires/2/examples/valid/depot/une-ligne.xml tests/fixtures/pdf/memoire-gs-a2b.pdf"
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_sceau"));
    command.current_dir(root).args(["kit", "--command", &line]);
    command.arg("--report").arg(&report);
    command.arg("--folder").arg(scratch.path().join("kit"));
    for case in cases {
        command.args(["--case", case]);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = std::fs::read_to_string(report).unwrap_or_else(|_| panic!("{said}{errors}"));
    let report = roxmltree::Document::parse(&report).unwrap();
    let cases = report.descendants().filter(|n| n.has_tag_name("testcase"));
    let failed = cases.filter(|n| n.children().any(|c| c.has_tag_name("failure")));
    let failed: Vec<String> = failed
        .map(|n| n.attribute("name").unwrap().into())
        .collect();
    let suite = report
        .descendants()
        .find(|n| n.has_tag_name("testsuite"))
        .unwrap();
    assert_eq!(
        suite.attribute("failures").unwrap(),
        failed.len().to_string()
    );
    assert_eq!(
        output.status.code(),
        Some(i32::from(!failed.is_empty())),
        "{said}{errors}"
    );
    for name in &failed {
        assert!(said.contains(&format!("FAILED  {name}")), "{said}");
    }
    (failed, said)
}

#[test]
fn a_good_software_passes_every_case() {
    let (failed, said) = play("docs/examples/python/hand_in.py", &[]);
    assert!(failed.is_empty(), "{said}");
    for trial in Trial::ALL {
        assert!(
            said.contains(&format!("passed  {}", trial.name())),
            "{said}"
        );
    }
    assert!(said.contains("9 passed, 0 failed"), "{said}");
}

/// What a bad software does, the cases to play, those that must catch it, and
/// words of the fault.
const BAD: [(&str, &[&str], &[&str], &str); 9] = [
    (
        "new-uuid",
        &["answer-lost", "document-invalid"],
        &["answer-lost"],
        "another UUID",
    ),
    (
        "rewrites",
        &["answer-lost", "uuid-conflict"],
        &["answer-lost"],
        "other bytes",
    ),
    (
        "gives-up",
        &["answer-lost", "unauthorized"],
        &["answer-lost"],
        "0 time(s) instead of 2",
    ),
    (
        "impatient",
        &["unavailable", "answer-lost"],
        &["unavailable"],
        "Retry-After said 3",
    ),
    (
        "stubborn",
        &[
            "document-invalid",
            "uuid-conflict",
            "body-too-large",
            "media-type-refused",
            "unauthorized",
            "answer-lost",
        ],
        &[
            "document-invalid",
            "uuid-conflict",
            "body-too-large",
            "media-type-refused",
            "unauthorized",
        ],
        "unchanged",
    ),
    (
        "hammers",
        &["accepted", "document-invalid"],
        &["accepted"],
        "11 times within 1s",
    ),
    (
        "never-asks",
        &["accepted", "unavailable"],
        &["accepted"],
        "until the submission was final",
    ),
    (
        "forgets-the-pdf",
        &["accepted", "document-invalid"],
        &["accepted"],
        "no PDF",
    ),
    (
        "keeps-one-uuid",
        &["document-invalid", "uuid-conflict"],
        &["fresh-uuids"],
        "UUID of an earlier one",
    ),
];

#[test]
fn each_bad_software_is_caught_by_the_case_meant_for_it() {
    for (mode, cases, caught, why) in BAD {
        let (failed, said) = play(&format!("tests/fixtures/kit/bad.py {mode}"), cases);
        assert_eq!(failed, caught, "{mode}: {said}");
        assert!(said.contains(why), "{mode}: {said}");
    }
}

#[test]
fn an_unknown_case_is_refused_with_the_names_there_are() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sceau"));
    let output = command.args(["kit", "--case", "colour"]).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("answer-lost, unavailable"), "{said}");
}
