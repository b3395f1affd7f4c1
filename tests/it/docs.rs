//! Documents that could rot are compared with what they speak of: modules,
//! tests, files, commands, configuration keys, routes, links, requirements.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use toml::Table;

/// Folders that are not part of the repository.
const FOREIGN: [&str; 4] = ["target", "out", ".judges", ".git"];
/// Folders whose files are named in full.
const FOLDERS: [&str; 10] = [
    "benches",
    "fuzz",
    "src",
    "tests",
    "docs",
    "xsd",
    "proto",
    "packaging",
    "service-config",
    ".ci",
];
const REQUIREMENTS: std::ops::RangeInclusive<u32> = 1..=132;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every Markdown file of the repository with its text.
fn documents() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !FOREIGN.contains(&name.as_str()) {
                walk(&path, out);
            } else if name.ends_with(".md") {
                out.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(root(), &mut paths);
    assert!(paths.len() >= 10, "{paths:?}");
    let text = |p: PathBuf| (p.clone(), fs::read_to_string(p).unwrap());
    paths.into_iter().map(text).collect()
}

/// Fenced blocks as (language, text), and the text around them.
fn fences(text: &str) -> (Vec<(String, String)>, String) {
    let (mut blocks, mut prose, mut open) = (Vec::new(), String::new(), None);
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), open.take()) {
            (Some(language), None) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(block)) => blocks.push(block),
            (None, Some((language, block))) => open = Some((language, block + line + "\n")),
            (None, None) => prose += &format!("{line}\n"),
        }
    }
    (blocks, prose)
}

/// What stands between single backticks.
fn code_spans(text: &str) -> Vec<String> {
    let (_, prose) = fences(text);
    let parts: Vec<&str> = prose.split('`').collect();
    parts
        .iter()
        .skip(1)
        .step_by(2)
        .map(|s| (*s).to_owned())
        .collect()
}

/// Commands a document shows: lines of blocks without a language, with
/// continued lines joined, and code spans.
fn commands(text: &str) -> Vec<String> {
    let (blocks, _) = fences(text);
    let plain = blocks.iter().filter(|(language, _)| language.is_empty());
    let joined = plain.map(|(_, block)| block.replace("\\\n", " "));
    let lines: Vec<String> = joined
        .flat_map(|b| b.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let spans = code_spans(text);
    let all = lines
        .into_iter()
        .chain(spans)
        .map(|line| line.trim().to_owned());
    all.collect()
}

fn assert_none(faults: Vec<String>) {
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Collects what `look` finds wrong with a document, under the document's name.
fn faults(mut look: impl FnMut(&Path, &str) -> Vec<String>) -> Vec<String> {
    let found = documents().into_iter().flat_map(|(path, text)| {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let wrong = look(&path, &text).into_iter();
        wrong
            .map(|fault| format!("{name}: {fault}"))
            .collect::<Vec<_>>()
    });
    found.collect()
}

#[test]
fn the_code_map_names_every_module_and_no_other() {
    let text = read("ARCHITECTURE.md");
    let map = text
        .split("\n## ")
        .find(|s| s.starts_with("Code map"))
        .unwrap();
    let named = map
        .lines()
        .filter_map(|line| line.strip_prefix("**`src/")?.split('`').next());
    let named: Vec<&str> = named.collect();
    let unique: BTreeSet<String> = named.iter().map(|n| (*n).to_owned()).collect();
    assert_eq!(
        unique.len(),
        named.len(),
        "a module stands twice in the map"
    );
    let folders = fs::read_dir(root().join("src"))
        .unwrap()
        .map(|e| e.unwrap().path());
    let modules = folders.filter(|p| p.is_dir());
    let modules: BTreeSet<String> = modules
        .map(|p| p.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(unique, modules);
}

#[test]
fn tests_and_files_named_exist() {
    assert_none(faults(|_, text| {
        let mut out = Vec::new();
        for span in code_spans(text) {
            let first = span.split('/').next().unwrap_or_default();
            let pattern = span.contains(['<', '*', ' ', '{']);
            if !FOLDERS.contains(&first) || !span.contains('/') || pattern {
                continue;
            }
            let (file, test) = span.split_once("::").unwrap_or((&span, ""));
            match fs::read_to_string(root().join(file)) {
                Ok(code) if test.is_empty() || code.contains(&format!("fn {test}(")) => {}
                Ok(_) => out.push(format!("{file} has no test {test}")),
                Err(_) if root().join(file).is_dir() => {}
                Err(_) => out.push(format!("there is no {file}")),
            }
        }
        out
    }));
}

#[test]
fn every_invariant_has_its_test_or_lint() {
    let text = read("ARCHITECTURE.md");
    let section = text
        .split("\n## ")
        .find(|s| s.starts_with("Invariants"))
        .unwrap();
    let mut items: Vec<String> = Vec::new();
    for line in section.lines() {
        let numbered = line
            .split_once(". ")
            .filter(|(n, _)| n.parse::<u32>().is_ok());
        match (numbered, items.last_mut()) {
            (Some((n, rest)), _) => {
                items.push(rest.to_owned());
                assert_eq!(n, items.len().to_string(), "numbers run");
            }
            (None, Some(item)) => item.push_str(line),
            (None, None) => {}
        }
    }
    assert!(items.len() >= 20);
    for item in items {
        assert!(
            item.contains(".rs::") || item.contains("clippy.toml"),
            "{item}"
        );
    }
}

#[test]
fn relative_links_lead_somewhere() {
    assert_none(faults(|path, text| {
        let (_, prose) = fences(text);
        let mut out = Vec::new();
        for (start, _) in prose.match_indices("](") {
            let target = prose[start + 2..].split(')').next().unwrap_or_default();
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            if target.contains("://") {
                continue;
            }
            let named = match file {
                "" => path.to_owned(),
                file => path.parent().unwrap().join(file),
            };
            if !named.exists() {
                out.push(format!("the link {target} leads nowhere"));
            } else if !anchor.is_empty() && !anchors(&named).contains(anchor) {
                out.push(format!("the link {target} names no heading"));
            }
        }
        out
    }));
}

/// Headings as a link names them: lower case, blanks to hyphens, no signs.
fn anchors(path: &Path) -> BTreeSet<String> {
    let (_, prose) = fences(&fs::read_to_string(path).unwrap());
    let headings = prose.lines().filter(|l| l.starts_with('#'));
    let anchor = |heading: &str| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn make_targets_exist() {
    let makefile = read("Makefile");
    let targets: BTreeSet<&str> = makefile
        .lines()
        .filter(|line| !line.starts_with(['\t', ' ', '.', '#']))
        .filter_map(|line| line.split_once(':').map(|(name, _)| name))
        .collect();
    let mut seen = 0;
    let wrong = faults(|_, text| {
        let shown = commands(text);
        let named = shown
            .iter()
            .filter_map(|c| c.strip_prefix("make ")?.split(' ').next());
        let named: Vec<&str> = named.collect();
        seen += named.len();
        let wrong = named.into_iter().filter(|name| !targets.contains(name));
        wrong
            .map(|name| format!("make {name} is no target"))
            .collect()
    });
    assert_none(wrong);
    assert!(seen > 10);
}

#[test]
fn commands_of_the_program_exist() {
    let help = Command::new(env!("CARGO_BIN_EXE_sceau"))
        .arg("help")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let mut known: BTreeSet<&str> = help
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|word| !word.is_empty() && !word.starts_with('-'))
        .collect();
    assert!(known.contains("run"), "{help}");
    known.insert("token-worker"); // hidden: not for people
    assert_none(faults(|_, text| {
        let shown = commands(text);
        let named = shown
            .iter()
            .filter_map(|c| c.strip_prefix("sceau ")?.split(' ').next());
        let wrong = named.filter(|name| !known.contains(name));
        wrong
            .map(|name| format!("sceau {name} is no command"))
            .collect()
    }));
}

/// The defaults, and their comments: tables of a list stand there only.
struct Keys(Table, String);

impl Keys {
    fn read() -> Self {
        let text = read("service-config/default.toml");
        Self(text.parse().unwrap(), text)
    }

    fn has_section(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn has(&self, path: &str) -> bool {
        let mut table = &self.0;
        let mut words = path.split('.').peekable();
        let mut walked = String::new();
        while let Some(word) = words.next() {
            if !walked.is_empty() {
                walked.push('.');
            }
            walked.push_str(word);
            match table.get(word) {
                None => return false,
                // Its keys are free.
                Some(toml::Value::Table(inner)) if inner.is_empty() => return true,
                Some(toml::Value::Table(inner)) => table = inner,
                Some(toml::Value::Array(_)) if words.peek().is_some() => {
                    return self.in_list(&walked, &words.collect::<Vec<_>>().join("."));
                }
                Some(_) => return words.next().is_none(),
            }
        }
        true
    }

    fn in_list(&self, list: &str, key: &str) -> bool {
        let head = format!("#   [[{list}]]\n");
        let Some(start) = self.1.find(&head) else {
            return false;
        };
        let shown = self.1[start + head.len()..].lines();
        let mut shown = shown.take_while(|line| line.starts_with("#   "));
        shown.any(|line| line.starts_with(&format!("#   {key} = ")))
    }
}

#[test]
fn configuration_keys_named_exist() {
    let keys = Keys::read();
    assert!(keys.has("token.kind") && keys.has("practitioner.ehealth_id"));
    assert!(!keys.has("token.colour") && !keys.has("practitioner.colour"));
    assert!(keys.has("trust.timestamp_authority.policy"));
    let mut seen = 0;
    let wrong = faults(|_, text| {
        let mut out = Vec::new();
        for span in code_spans(text) {
            let path = span.split(" = ").next().unwrap_or_default();
            let is_path =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._".contains(c);
            let Some((section, key)) = path.split_once('.') else {
                continue;
            };
            let last = path.rsplit('.').next().unwrap_or_default();
            let file = ["rs", "py", "toml", "md", "json", "key", "p12", "wsdl"].contains(&last);
            if !keys.has_section(section) || file || key.is_empty() || !path.chars().all(is_path) {
                continue;
            }
            seen += 1;
            // The code of a fault, and a file of the state folder.
            let other = ["pdf.rule", "audit.checkpoint"];
            if !keys.has(path) && !other.contains(&path) {
                out.push(format!("{path} is no key"));
            }
        }
        out
    });
    assert_none(wrong);
    assert!(seen > 10);
}

#[test]
fn configuration_examples_use_keys_that_exist() {
    fn walk(keys: &Keys, path: &str, value: &toml::Value, out: &mut Vec<String>) {
        match value {
            toml::Value::Table(table) => {
                for (key, value) in table {
                    walk(keys, &format!("{path}.{key}"), value, out);
                }
            }
            toml::Value::Array(list) if list.iter().any(toml::Value::is_table) => {
                list.iter().for_each(|item| walk(keys, path, item, out));
            }
            _ if keys.has(path) => {}
            _ => out.push(format!("{path} is no key")),
        }
    }
    let (keys, text) = (Keys::read(), read("docs/administrator.md"));
    let (blocks, _) = fences(&text);
    let examples: Vec<&String> = blocks
        .iter()
        .filter(|(l, _)| l == "toml")
        .map(|(_, b)| b)
        .collect();
    assert!(examples.len() >= 2);
    let mut out = Vec::new();
    for example in examples {
        for (section, value) in example.parse::<Table>().unwrap() {
            walk(&keys, &section, &value, &mut out);
        }
    }
    assert_none(out);
}

#[test]
fn requirements_cited_exist() {
    assert_none(faults(|_, text| {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let numbers = words.filter_map(|w| w.strip_prefix('R')?.parse::<u32>().ok());
        let wrong = numbers.filter(|n| !REQUIREMENTS.contains(n));
        wrong
            .map(|n| format!("there is no requirement R{n}"))
            .collect()
    }));
}

#[test]
fn routes_shown_are_in_the_api_description() {
    let description: Value = serde_json::from_str(&sceau::api::openapi_json()).unwrap();
    let paths = description["paths"].as_object().unwrap();
    let known = |method: &str, shown: &str| {
        let shown: Vec<&str> = shown.split('/').collect();
        paths.iter().any(|(path, methods)| {
            let path: Vec<&str> = path.split('/').collect();
            let fits = |(p, s): (&&str, &&str)| p == s || p.starts_with('{') && !s.is_empty();
            path.len() == shown.len()
                && path.iter().zip(&shown).all(fits)
                && methods.get(method).is_some()
        })
    };
    assert!(known("get", "/v1/submissions/x") && !known("get", "/v1/submissions/x/y"));
    let mut seen = 0;
    let wrong = faults(|_, text| {
        let mut out = Vec::new();
        for command in commands(text) {
            let Some(start) = command.find("/v1/") else {
                continue;
            };
            let end = |c: char| "?\"'` ,)".contains(c);
            let route = command[start..].split(end).next().unwrap_or_default();
            let posts = [" -F ", " -d ", " --data-binary ", "POST "];
            let method = match command.as_str() {
                c if posts.iter().any(|p| c.contains(p)) => "post",
                c if c.starts_with("curl ") || c.contains("GET ") => "get",
                _ => continue,
            };
            seen += 1;
            if !known(method, route) {
                out.push(format!("{method} {route} is no route"));
            }
        }
        out
    });
    assert_none(wrong);
    assert!(seen > 10);
}

#[test]
fn the_quick_starts_are_one_curl_and_the_same() {
    let curl = |path: &str| {
        let shown = commands(&read(path));
        let curls = shown
            .into_iter()
            .filter(|c| c.starts_with("curl ") && c.contains("$(cat"));
        let words = curls.map(|c| c.split_whitespace().collect::<Vec<_>>().join(" "));
        words.collect::<Vec<_>>()
    };
    let readme = curl("README.md");
    assert_eq!(readme.len(), 1);
    assert_eq!(curl("docs/integrator.md")[0], readme[0]);
    for part in readme[0]
        .split_whitespace()
        .filter_map(|w| w.split_once("=@"))
    {
        assert!(root().join(part.1).is_file(), "{}", part.1);
    }
    assert!(readme[0].contains(sceau_demo_port()), "{}", readme[0]);
}

/// The port of the defaults, which the demonstration takes when it is free.
fn sceau_demo_port() -> &'static str {
    sceau::config::DEFAULT
        .lines()
        .find_map(|line| line.strip_prefix("listen = \"")?.strip_suffix('"'))
        .unwrap()
}

#[test]
fn the_integrators_guide_explains_every_state() {
    let text = read("docs/integrator.md");
    for state in sceau::outbox::State::ALL {
        let row = format!("\n| `{}` |", state.word());
        assert!(text.contains(&row), "{} is not explained", state.word());
    }
}
