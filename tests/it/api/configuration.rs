//! The documented configuration is the one the program reads.

use super::root;
use std::collections::BTreeSet;
use std::process::{Command, Output};

const DEFAULT: &str = include_str!("../../../service-config/default.toml");

fn config_check(text: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sceau.toml");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sceau"));
    command.args(["config", "check", "--config"]).arg(file);
    command.output().unwrap()
}

/// The key of a line `key = value`.
fn key(line: &str) -> Option<&str> {
    let (key, _) = line.split_once(" = ")?;
    let is_key = key
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    is_key.then_some(key)
}

/// A comment explains each key, or the group of keys right above it.
#[test]
fn every_key_of_the_defaults_is_explained() {
    let mut explained = false;
    let mut keys = 0;
    for (n, line) in DEFAULT.lines().enumerate() {
        if line.starts_with('#') {
            explained = true;
        } else if line.is_empty() || line.starts_with('[') {
            explained = false;
        } else {
            assert!(key(line).is_some(), "line {}: {line}", n + 1);
            assert!(explained, "line {}: {line} has no comment", n + 1);
            keys += 1;
        }
    }
    assert!(keys > 30, "{keys}");
}

/// Every key the code asks for is in the defaults; the other way round the
/// program refuses to start.
#[test]
fn every_key_the_code_reads_is_in_the_defaults() {
    let files = ["environment", "installation", "mod", "people", "token"]
        .map(|name| format!("src/config/{name}.rs"));
    let code = files.map(|name| std::fs::read_to_string(root().join(name)).unwrap());
    let code = code.concat();
    let code: Vec<&str> = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let code = code.join("\n");
    let words: BTreeSet<&str> = DEFAULT
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .collect();
    let mut read = 0;
    for literal in code.split('"').skip(1).step_by(2) {
        let is_key = !literal.is_empty()
            && literal
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if is_key {
            assert!(words.contains(literal), "{literal} is not in default.toml");
            read += 1;
        }
    }
    assert!(read > 40, "{read}");
}

#[test]
fn config_check_lists_every_fault_and_fails() {
    let output = config_check(
        "surprise = 1\n[api]\nlisten = \"0.0.0.0:7733\"\n[[token]]\nname = \"card\"\nkind = \"card\"\n\
         [trust]\nanchors = [\"missing.pem\"]\n[outbox]\nlease_seconds = \"long\"\n",
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("sceau: the configuration has 5 fault(s)"),
        "{said}"
    );
    for fault in [
        "surprise: is not a known key",
        "api.listen: 0.0.0.0:7733 is not a loopback address",
        "token[0].kind: is \"card\"; must be pkcs11 or soft",
        "missing.pem cannot be read",
        "outbox.lease_seconds: must be a whole number",
    ] {
        assert!(said.contains(fault), "{said}");
    }
    let output = config_check("");
    assert_eq!(output.status.code(), Some(0));
    let output = config_check("not toml");
    assert_eq!(output.status.code(), Some(1));
}

/// No address but a loopback one is ever listened on.
#[test]
fn only_loopback_addresses_are_taken() {
    for address in ["127.0.0.1:0", "[::1]:7733", "127.0.0.53:80"] {
        let output = config_check(&format!("[api]\nlisten = \"{address}\"\n"));
        assert!(output.status.success(), "{address}");
    }
    for address in [
        "0.0.0.0:7733",
        "[::]:7733",
        "192.168.1.10:7733",
        "[fe80::1]:7733",
        "[::ffff:0.0.0.0]:7733",
        "localhost:7733",
        "127.0.0.1",
        ":7733",
        "",
    ] {
        let text = format!("[api]\nlisten = \"{address}\"\n");
        for command in ["check", "run"] {
            let output = match command {
                "check" => config_check(&text),
                _ => run(&text),
            };
            assert_eq!(output.status.code(), Some(1), "{command} {address}");
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains("api.listen"), "{said}");
        }
    }
}

fn run(text: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sceau.toml");
    std::fs::write(&file, format!("{text}[store]\nfolder = \"state\"\n")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sceau"));
    command.args(["run", "--config"]).arg(file);
    command.output().unwrap()
}

#[test]
fn config_default_prints_the_documented_defaults() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sceau"));
    let output = command.args(["config", "default"]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), DEFAULT);
}
