//! The rows of ARCHITECTURE.md, held by a test: a module names only modules in
//! lower rows, every module has a row, the sandbox shares no code with what it
//! judges, and files and functions stay small.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const ROWS: [&[&str]; 13] = [
    &["base"],
    &["x509", "xml", "pdf", "http", "store"],
    &["forms", "token", "trust", "audit"],
    &["xades", "pades"],
    &["validation"],
    &["sign"],
    &["outbox", "gateway"],
    &["intake", "delivery"],
    &["evidence", "paper", "conditions"],
    &["api", "inbox"],
    &["config", "kit"],
    &["service"],
    &["cli"],
];

/// What the sandbox may take from the library.
const SANDBOX_MAY: [&str; 4] = ["base", "xml", "x509", "forms"];

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
    out.sort();
    out
}

/// The code of a file without comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Top-level modules named after `prefix`, as in `crate::x` and `crate::{x, y::z}`.
fn named(code: &str, prefix: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (start, _) in code.match_indices(prefix) {
        let rest = &code[start + prefix.len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            let mut fresh = true;
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => fresh = true,
                    c if fresh && (c.is_alphanumeric() || c == '_') => word.push(c),
                    _ => {}
                }
                let in_word = c.is_alphanumeric() || c == '_';
                if !word.is_empty() && !in_word {
                    out.push(std::mem::take(&mut word));
                    fresh = c == ',';
                }
            }
            if !word.is_empty() {
                out.push(word);
            }
        } else {
            let word = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_');
            out.push(word.collect());
        }
    }
    out
}

fn rows() -> BTreeMap<&'static str, usize> {
    let rows = ROWS.iter().enumerate();
    rows.flat_map(|(n, row)| row.iter().map(move |m| (*m, n)))
        .collect()
}

#[test]
fn a_module_names_only_lower_rows() {
    let rows = rows();
    let mut faults = Vec::new();
    for path in sources(&root().join("src")) {
        let inside = path.strip_prefix(root().join("src")).unwrap();
        let module = inside.iter().next().unwrap().to_string_lossy().into_owned();
        if ["lib.rs", "main.rs", "sandbox"].contains(&module.as_str()) {
            continue;
        }
        let Some(row) = rows.get(module.as_str()) else {
            faults.push(format!("{} has no row", inside.display()));
            continue;
        };
        for other in named(&code(&path), "crate::") {
            match rows.get(other.as_str()) {
                Some(_) if other == module => {}
                Some(lower) if lower < row => {}
                Some(_) => faults.push(format!("{} names {other}", inside.display())),
                None => faults.push(format!("{} names unknown {other}", inside.display())),
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_module_of_the_library_has_a_row_and_every_row_is_real() {
    let declared: Vec<String> = code(&root().join("src/lib.rs"))
        .lines()
        .filter_map(|l| {
            l.strip_prefix("pub mod ")?
                .strip_suffix(';')
                .map(str::to_owned)
        })
        .collect();
    let rows = rows();
    for module in &declared {
        assert!(rows.contains_key(module.as_str()), "{module} has no row");
    }
    assert_eq!(rows.len(), declared.len());
}

#[test]
fn the_sandbox_shares_no_code_with_what_it_judges() {
    for path in sources(&root().join("src/sandbox")) {
        for module in named(&code(&path), "sceau::") {
            let may = SANDBOX_MAY.contains(&module.as_str());
            assert!(may, "{} names sceau::{module}", path.display());
        }
    }
}

#[test]
fn only_the_api_knows_http_statuses_and_only_the_store_side_knows_sql() {
    let forbidden = [
        ("api", "rusqlite"),
        ("api", "crate::store"),
        ("api", "pkcs11"),
        ("gateway", "rusqlite"),
        ("xades", "crate::http"),
        ("pades", "crate::http"),
        ("sign", "crate::http"),
        ("intake", "axum"),
        ("delivery", "axum"),
        ("inbox", "axum"),
        ("inbox", "rusqlite"),
        ("outbox", "crate::gateway"),
    ];
    for (module, word) in forbidden {
        for path in sources(&root().join("src").join(module)) {
            assert!(
                !code(&path).contains(word),
                "{} names {word}",
                path.display()
            );
        }
    }
}

#[test]
fn the_map_of_rows_names_a_real_edge() {
    // The scanner itself: it must see plain, nested and grouped names.
    let seen = named(
        "use crate::base::{a, b}; use crate::{xml::{c}, forms, x509::d}; crate::api::x()",
        "crate::",
    );
    assert_eq!(seen, ["base", "xml", "forms", "x509", "api"]);
}

#[test]
fn files_and_functions_stay_small() {
    let mut faults = Vec::new();
    let folders = ["src", "tests/it", "benches", "fuzz/src"];
    for path in folders.iter().flat_map(|f| sources(&root().join(f))) {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        if lines.len() > FILE_LINES_MAX {
            faults.push(format!("{name}: {} lines", lines.len()));
        }
        for (n, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let start = line.trim_start();
            let is_fn = [
                "fn ",
                "pub fn ",
                "pub(super) fn ",
                "pub(crate) fn ",
                "async fn ",
                "pub async fn ",
                "pub(super) async fn ",
                "const fn ",
            ]
            .iter()
            .any(|p| start.starts_with(p));
            if !is_fn {
                continue;
            }
            // A method without a body, in a trait.
            let head = lines[n..]
                .iter()
                .find(|l| l.contains('{') || l.ends_with(';'));
            if head.is_some_and(|l| !l.contains('{')) {
                continue;
            }
            let close = format!("{}}}", " ".repeat(indent));
            let length = lines[n..].iter().position(|l| *l == close).unwrap_or(0) + 1;
            if length > FUNCTION_LINES_MAX {
                faults.push(format!("{name}:{}: function of {length} lines", n + 1));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
