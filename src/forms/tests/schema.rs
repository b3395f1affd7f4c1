//! `proto/pack.schema.json` and the reader know the same keys.

use super::language::{MANIFEST, file};
use crate::base::settings::Faults;
use crate::forms::manifest;
use serde_json::Value;
use std::collections::BTreeSet;

const SCHEMA: &str = include_str!("../../../proto/pack.schema.json");

/// Every key the schema knows, a free name written as `*`, an item as `[]`.
fn keys(root: &Value, schema: &Value, path: &str, out: &mut BTreeSet<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        let target = name
            .strip_prefix("#")
            .and_then(|pointer| root.pointer(pointer));
        keys(root, target.unwrap_or_else(|| panic!("{name}")), path, out);
    }
    let inside = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    for (key, value) in schema["properties"].as_object().into_iter().flatten() {
        out.insert(inside(key));
        keys(root, value, &inside(key), out);
    }
    if schema["additionalProperties"].is_object() {
        out.insert(inside("*"));
        keys(root, &schema["additionalProperties"], &inside("*"), out);
    }
    if schema["items"].is_object() {
        keys(root, &schema["items"], &format!("{path}[]"), out);
    }
}

/// Every key the reader asks for while it reads a pack that has everything.
fn asked() -> BTreeSet<String> {
    let faults = Faults::default();
    assert!(manifest::read(MANIFEST.as_bytes(), &file, &faults).is_some());
    let general = |key: String| {
        let mut out = String::new();
        let mut parent = "";
        for step in key.split('.') {
            let (name, item) = match step.split_once('[') {
                Some((name, _)) => (name, "[]"),
                None => (step, ""),
            };
            let is_free = out == "operations" || ["lists", "namespaces"].contains(&parent);
            let name = if is_free { "*" } else { name };
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(name);
            out.push_str(item);
            parent = step;
        }
        out
    };
    faults.asked().into_iter().map(general).collect()
}

#[test]
fn the_schema_and_the_reader_know_the_same_keys() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut known = BTreeSet::new();
    keys(&schema, &schema, "", &mut known);
    let asked = asked();
    let only =
        |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>();
    assert_eq!(
        only(&known, &asked),
        [] as [&str; 0],
        "only the schema knows these"
    );
    assert_eq!(
        only(&asked, &known),
        [] as [&str; 0],
        "only the reader knows these"
    );
}

#[test]
fn every_table_of_the_schema_is_closed_and_every_key_explained() {
    fn look(schema: &Value, path: &str) {
        if let Some(properties) = schema["properties"].as_object() {
            assert_eq!(schema["additionalProperties"], false, "{path}");
            for (key, value) in properties {
                let told = ["description", "$ref"]
                    .iter()
                    .any(|word| value[word].is_string());
                assert!(told, "{path}.{key} has no description");
            }
        }
        for (key, value) in schema.as_object().into_iter().flatten() {
            look(value, &format!("{path}.{key}"));
        }
    }
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    look(&schema, "");
}
