//! The documented configuration is the one the program reads.

use super::root;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const DEFAULT: &str = include_str!("../../../service-config/default.toml");
const SECTIONS: [&str; 9] = [
    "api",
    "store",
    "forms",
    "environment",
    "token",
    "trust",
    "mysecu",
    "outbox",
    "log",
];

fn config_check(text: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sceau.toml");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sceau"));
    command.args(["config", "check", "--config"]).arg(file);
    command.output().unwrap()
}

/// `key = value` of a line; also inside a comment that shows a table.
fn key(line: &str) -> Option<&str> {
    let (key, _) = line.trim_start_matches(['#', ' ']).split_once(" = ")?;
    let is_key = key
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    is_key.then_some(key)
}

/// Sections and keys as `section.key`, those of shown tables by key alone.
fn documented() -> BTreeSet<String> {
    let (mut section, mut keys) = ("", BTreeSet::new());
    for line in DEFAULT.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        }
        if let Some(key) = key(line) {
            let shown = line.starts_with('#') || section.is_empty();
            keys.insert(if shown {
                key.into()
            } else {
                format!("{section}.{key}")
            });
        }
    }
    keys
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
    let code = std::fs::read_to_string(root().join("src/config/mod.rs")).unwrap();
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

fn pages() -> Vec<PathBuf> {
    let mut pages = super::files(&root().join("docs"));
    pages.extend(["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    pages.retain(|path| path.extension().is_some_and(|e| e == "md") && path.is_file());
    pages
}

/// Blocks fenced as toml.
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    text.split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
}

fn unknown_in(page: &Path, keys: &BTreeSet<String>) -> Vec<String> {
    let text = std::fs::read_to_string(page).unwrap();
    let mut unknown = Vec::new();
    for block in blocks(&text) {
        // A block that is no configuration of the service shows something else.
        let Ok(table) = block.parse::<toml::Table>() else {
            unknown.push(format!("{}: not TOML: {block}", page.display()));
            continue;
        };
        let ours = |name: &String| SECTIONS.contains(&name.as_str()) || name == "practitioner";
        if table.keys().any(ours) {
            let said = String::from_utf8(config_check(block).stderr).unwrap();
            let lines = said
                .lines()
                .filter(|line| line.contains("is not a known key"));
            unknown.extend(lines.map(|line| format!("{}: {line}", page.display())));
        }
    }
    for code in text.split('`').skip(1).step_by(2) {
        let name = code.split([' ', '=']).next().unwrap_or_default();
        let Some((section, key)) = name.split_once('.') else {
            continue;
        };
        let is_word =
            |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        // A file of that name, such as `token.rs`, is not a key.
        let is_file = ["rs", "md", "toml", "log", "json", "xsd", "key"].contains(&key);
        if SECTIONS.contains(&section) && is_word(key) && !is_file && !keys.contains(name) {
            unknown.push(format!("{}: `{name}`", page.display()));
        }
    }
    unknown
}

#[test]
fn the_documents_name_no_unknown_key() {
    let mut keys = documented();
    keys.insert("trust.timestamp_authority".into());
    assert!(
        keys.contains("api.listen") && keys.contains("code_prestataire"),
        "{keys:?}"
    );
    let unknown: Vec<String> = pages()
        .iter()
        .flat_map(|page| unknown_in(page, &keys))
        .collect();
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));

    // The scanner itself sees both ways of naming a key.
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.md");
    std::fs::write(
        &page,
        "`api.lisen`\n```toml\n[api]\nport = 1\n```\n`api.listen = \"x\"`\n",
    )
    .unwrap();
    let found = unknown_in(&page, &keys);
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn config_check_lists_every_fault_and_fails() {
    let output = config_check(
        "surprise = 1\n[api]\nlisten = \"0.0.0.0:7733\"\n[token]\nkind = \"card\"\n\
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
        "token.kind: is \"card\"; must be one of none, pkcs11, soft",
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
