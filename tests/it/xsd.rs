//! Mutants of valid documents and what our schema validation says of each;
//! tests/judges/differential/xsd.py asks foreign validators the same.

use crate::random::Random;
use roxmltree::{Document, Node};
use sceau::xml::xsd::Schema;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A schema and the valid documents that mutants are made of.
struct Set {
    folder: String,
    entry: String,
    documents: Vec<String>,
    /// Mutants of each document.
    each: usize,
}

/// Every built-in pack with its valid documents and answers, of all operations,
/// and a schema of every construct.
fn sets() -> Vec<Set> {
    let packs = ["memoire-honoraires/2", "pid/2", "ecit/1", "eordonnance/1"];
    let mut sets: Vec<Set> = packs.map(pack).into();
    sets.push(Set {
        folder: "tests/fixtures/xsd".into(),
        entry: "order.xsd".into(),
        documents: vec!["order-1.xml".into(), "order-2.xml".into()],
        each: 750,
    });
    sets
}

fn pack(name: &str) -> Set {
    let folder = format!("xsd/{name}");
    let path = root().join(&folder);
    let manifest = fs::read_to_string(path.join("pack.toml")).expect("a manifest");
    let manifest: toml::Table = manifest.parse().expect("TOML");
    let mut documents = Vec::new();
    for kind in ["valid", "answers"] {
        for operation in manifest["operations"]
            .as_table()
            .expect("operations")
            .keys()
        {
            let of = format!("examples/{kind}/{operation}");
            for entry in fs::read_dir(path.join(&of)).expect("examples") {
                let name = entry.expect("entry").file_name();
                let name = name.to_str().expect("a name");
                if name.ends_with(".xml") {
                    documents.push(format!("{of}/{name}"));
                }
            }
        }
    }
    documents.sort();
    Set {
        entry: manifest["schemas"][0]
            .as_str()
            .expect("a schema")
            .to_owned(),
        folder,
        documents,
        each: 100,
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

impl Set {
    fn schema(&self) -> Schema {
        let folder = root().join(&self.folder);
        let mut files = Vec::new();
        for entry in fs::read_dir(&folder).expect("folder of the schema") {
            let path = entry.expect("entry").path();
            if path.extension().is_some_and(|extension| extension == "xsd") {
                let name = path.file_name().expect("name").to_string_lossy();
                files.push((name.into_owned(), fs::read(&path).expect("schema")));
            }
        }
        Schema::compile(&files, &self.entry).expect("a schema that compiles")
    }

    fn document(&self, name: &str) -> String {
        fs::read_to_string(root().join(&self.folder).join(name)).expect("a valid document")
    }
}

/// What we say of a document: nothing, or the constraints it violates.
fn verdict(schema: &Schema, xml: &str) -> Vec<String> {
    match schema.validate(xml.as_bytes()) {
        Ok(faults) => faults.into_iter().map(|fault| fault.constraint).collect(),
        Err(error) => vec![format!("{error}: {error:?}")],
    }
}

#[test]
fn the_documents_that_mutants_are_made_of_are_valid() {
    for set in sets() {
        let schema = set.schema();
        for name in &set.documents {
            let faults = verdict(&schema, &set.document(name));
            assert!(faults.is_empty(), "{name}: {faults:?}");
        }
    }
}

/// Writes all documents and mutants with our verdict, one JSON object a line,
/// into the folder of `SCEAU_DIFFERENTIAL`.
#[test]
#[ignore = "writes for tests/judges/differential"]
fn mutants_for_the_judges() {
    let folder = std::env::var_os("SCEAU_DIFFERENTIAL").expect("a folder to write into");
    let file = File::create(Path::new(&folder).join("xsd.jsonl")).expect("file");
    let mut out = BufWriter::new(file);
    let mut random = Random(0x5CEA_0004);
    for set in sets() {
        let schema = set.schema();
        for name in &set.documents {
            let original = set.document(name);
            let mut seen = BTreeSet::from([original.clone()]);
            while seen.len() <= set.each {
                let mutant = mutate(&mut random, &original);
                if Document::parse(&mutant).is_ok() {
                    seen.insert(mutant);
                }
            }
            for xml in seen {
                let line = serde_json::json!({
                    "schema": format!("{}/{}", set.folder, set.entry),
                    "document": name,
                    "xml": xml,
                    "ours": verdict(&schema, &xml),
                });
                writeln!(out, "{line}").expect("line");
            }
        }
    }
    out.flush().expect("all lines");
}

/// Texts at the edges of types and facets.
const VALUES: [&str; 96] = [
    "",
    " ",
    "\n\t ",
    "0",
    "-0",
    "+1",
    "1",
    "01",
    "1.",
    ".5",
    ".",
    "1.0",
    "1.00",
    "1.000",
    "2.10",
    "99",
    "100",
    "999",
    "1000",
    "255",
    "256",
    "65535",
    "65536",
    "-1",
    "12345678.90",
    "123456789.01",
    "99999.99",
    "99999.990",
    "100000.00",
    "-1000",
    "-1000.01",
    "1e3",
    "1E3",
    "1.0e3",
    "1000.0001",
    "INF",
    "-INF",
    "NaN",
    "+INF",
    "1,5",
    "1 000",
    " 12.00 ",
    "\n7\n",
    "true",
    "false",
    "TRUE",
    " true ",
    "yes",
    "2026-02-28",
    "2026-02-29",
    "2024-02-29",
    "2000-02-29",
    "1900-02-29",
    "2026-13-01",
    "2026-00-10",
    "0000-01-01",
    "-0001-01-01",
    "12026-10-05",
    "2026-10-05Z",
    "2026-10-05+14:00",
    "2026-10-05+14:01",
    "2026-1-5",
    "1999-12-31",
    "2100-01-01",
    " 2026-10-05 ",
    "24:00:00",
    "24:00:01",
    "23:59:60",
    "00:00:00.123456789",
    "12:30",
    "2026-01-01T24:00:00",
    "2026-01-01T24:00:00.5Z",
    "2026-06-30T23:59:59.999-13:59",
    "P1Y",
    "P",
    "PT",
    "-P1D",
    "P1.5D",
    "PT1.5S",
    "a",
    "ab",
    "abc",
    "abcd",
    "a:c",
    "-ab",
    "é1x",
    "AB-1234",
    "ab-1234",
    "Abcd$",
    "Xyz$",
    "red blue green grey",
    "a b c d e",
    "two  blanks",
    "QUJD",
    "QU JD\nRA==",
    "QUJ=",
];
/// Texts that are long: facets of length.
const LONG: [usize; 8] = [20, 21, 24, 25, 35, 36, 150, 201];
/// Attributes that mean something to a validator, or must not stand there.
const ATTRIBUTES: [&str; 20] = [
    "xsi:nil='true'",
    "xsi:nil='false'",
    "xsi:nil='1'",
    "xsi:nil='maybe'",
    "xsi:nil=' true '",
    "xsi:type='xs:string'",
    "xsi:type='o:ShortService'",
    "xsi:type='o:Product'",
    "xsi:type='o:Nothing'",
    "xsi:type='mh:Texte25'",
    "xsi:type='nowhere:T'",
    "xsi:schemaLocation='urn:nowhere nowhere.xsd'",
    "xsi:noNamespaceSchemaLocation='nowhere.xsd'",
    "xsi:other='1'",
    "xml:lang='fr'",
    "unknown='1'",
    "mh:unknown='1'",
    "id='b2'",
    "by='abc'",
    "see='nowhere'",
];
const NAMESPACES: &str = " xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' \
    xmlns:xs='http://www.w3.org/2001/XMLSchema' xmlns:o='urn:test:order' \
    xmlns:mh='urn:sceau:forms:memoire-honoraires:2'";
const CONTENTS: [&str; 9] = [
    "text",
    "<!-- comment -->",
    "<![CDATA[ ]]>",
    "<![CDATA[x]]>",
    "&#160;",
    "&#32;\n",
    "<extra/>",
    "<other xmlns='urn:test:other'><o/></other>",
    "<x:other xmlns:x='urn:test:other' x:a='1'/>",
];

/// One or two changes; not always well-formed.
fn mutate(random: &mut Random, original: &str) -> String {
    let once = change(random, original);
    if random.one_in(4) && Document::parse(&once).is_ok() {
        change(random, &once)
    } else {
        once
    }
}

fn change(random: &mut Random, xml: &str) -> String {
    let document = Document::parse(xml).expect("well-formed");
    let all: Vec<Node<'_, '_>> = document.descendants().filter(Node::is_element).collect();
    // Leaves are many; their ancestors must have their turn too.
    let leaf = |node: &&Node<'_, '_>| node.first_element_child().is_none();
    let inner: Vec<Node<'_, '_>> = all.iter().filter(|node| !leaf(node)).copied().collect();
    let from = if random.one_in(4) && !inner.is_empty() {
        &inner
    } else {
        &all
    };
    let chosen = random.pick(from);
    let other = random.pick(&all);
    let range = chosen.range();
    let element = &xml[range.clone()];
    match random.below(13) {
        0 => splice(xml, range, ""),
        1 => splice(xml, range, &format!("{element}{element}")),
        2 => match chosen.next_sibling_element() {
            Some(next) => {
                let turned = [
                    &xml[next.range()],
                    &xml[range.end..next.range().start],
                    element,
                ]
                .concat();
                splice(xml, range.start..next.range().end, &turned)
            }
            None => splice(xml, range, &xml[other.range()]),
        },
        3 => rename(xml, chosen, &tag_name(xml, other)),
        4 => rename(xml, chosen, random.pick(&["", "xs:", "o:", "mh:"])),
        5 | 6 => {
            let added = random.pick(&ATTRIBUTES);
            let at = range.start + 1 + tag_name(xml, chosen).len();
            splice(
                xml,
                at..at,
                &format!(" {added}{}", declarations(chosen, added)),
            )
        }
        7 => {
            let attributes: Vec<_> = chosen.attributes().collect();
            match attributes.is_empty() {
                true => splice(xml, range, &[element, &xml[other.range()]].concat()),
                false => {
                    let attribute = attributes[random.below(attributes.len())].range();
                    let value = random.pick(&VALUES);
                    let name = xml[attribute.clone()].split('=').next().unwrap_or_default();
                    let new = match random.one_in(3) {
                        true => String::new(),
                        false => format!("{name}=\"{value}\""),
                    };
                    splice(xml, attribute, &new)
                }
            }
        }
        8 => insert(xml, chosen, random.pick(&CONTENTS), random.one_in(2)),
        9 => {
            let text = "é".repeat(random.pick(&LONG));
            content(xml, chosen, &text)
        }
        _ => content(xml, chosen, random.pick(&VALUES)),
    }
}

fn splice(xml: &str, range: Range<usize>, new: &str) -> String {
    [&xml[..range.start], new, &xml[range.end..]].concat()
}

fn tag_name(xml: &str, node: Node<'_, '_>) -> String {
    let tag = &xml[node.range().start + 1..];
    let end = tag.find(|c: char| c.is_ascii_whitespace() || "/>".contains(c));
    tag[..end.unwrap_or_default()].to_owned()
}

/// Declarations for the prefixes an added attribute uses, where they lack.
fn declarations(node: Node<'_, '_>, added: &str) -> String {
    let lacks = |declaration: &&str| {
        let prefix = declaration
            .trim_start_matches("xmlns:")
            .split('=')
            .next()
            .unwrap_or_default();
        added.contains(&format!("{prefix}:")) && node.lookup_namespace_uri(Some(prefix)).is_none()
    };
    let wanted: Vec<&str> = NAMESPACES.split_ascii_whitespace().filter(lacks).collect();
    wanted
        .iter()
        .map(|declaration| format!(" {declaration}"))
        .collect()
}

/// Gives an element another name, or another prefix when `name` ends with a
/// colon or is empty.
fn rename(xml: &str, node: Node<'_, '_>, name: &str) -> String {
    let old = tag_name(xml, node);
    let local = old.rsplit(':').next().unwrap_or_default();
    let new = match name.is_empty() || name.ends_with(':') {
        true => format!("{name}{local}"),
        false => name.to_owned(),
    };
    let range = node.range();
    let element = &xml[range.clone()];
    let body = &element[1 + old.len()..];
    let body = body
        .strip_suffix(&format!("</{old}>"))
        .map_or(body.to_owned(), |body| format!("{body}</{new}>"));
    splice(
        xml,
        range,
        &format!("<{new}{}{body}", declarations(node, &new)),
    )
}

/// Replaces what an element contains.
fn content(xml: &str, node: Node<'_, '_>, text: &str) -> String {
    let name = tag_name(xml, node);
    let element = &xml[node.range()];
    let open = match node.has_children() {
        true => xml[node.range().start..].find('>').unwrap_or_default(),
        false => element
            .find("/>")
            .or(element.find("></"))
            .unwrap_or_default(),
    };
    splice(
        xml,
        node.range(),
        &format!("{}>{text}</{name}>", &element[..open]),
    )
}

/// Puts something at the beginning or the end of an element's content.
fn insert(xml: &str, node: Node<'_, '_>, new: &str, first: bool) -> String {
    let inside = node.children().map(|child| child.range());
    let at = match first {
        true => inside.map(|range| range.start).min(),
        false => inside.map(|range| range.end).max(),
    };
    match at {
        Some(at) => splice(xml, at..at, new),
        None => content(xml, node, new),
    }
}
