//! Which field is signed, and what authors and earlier signers forbid.

use super::*;

fn field<'a>(doc: &'a Document, name: &str) -> &'a Dictionary {
    let found = graph::fields(doc)
        .into_iter()
        .find(|field| field.name == name);
    found.unwrap_or_else(|| panic!("no field {name}")).dict
}

fn value<'a>(doc: &'a Document, name: &str) -> Option<&'a Dictionary> {
    graph::get_dict(doc, field(doc, name), b"V")
}

fn refusal(pdf: &[u8]) -> String {
    append_signature(pdf, REQUEST).unwrap_err().to_string()
}

/// An empty field apart from its widget, and one that is its widget.
#[test]
fn an_empty_field_is_signed_and_kept() {
    for name in ["memoire-gs-a2b-field.pdf", "memoire-gs-a2b-field-lock.pdf"] {
        let pdf = fixture(name);
        let before = load(&pdf).unwrap();
        let (bytes, doc) = with_slot(&pdf);
        assert_eq!(field_names(&doc), ["Medecin"], "{name}");
        let mut kept = field(&doc, "Medecin").clone();
        assert!(kept.remove(b"V").is_some());
        let mut was = field(&before, "Medecin").clone();
        was.remove(b"V");
        kept.remove(b"AP");
        was.remove(b"AP");
        assert_eq!(kept, was, "{name}");
        let annotations = |doc: &Document| {
            let pages = graph::pages(doc).unwrap();
            graph::get_array(doc, pages[0].dict, b"Annots").cloned()
        };
        assert_eq!(annotations(&doc), annotations(&before), "{name}");
        assert_eq!(precheck(&bytes), precheck(&pdf), "{name}");
        // The next one finds none that is empty.
        let (_, twice) = with_slot(&bytes);
        assert_eq!(field_names(&twice), ["Medecin", "Signature1"], "{name}");
    }
}

#[test]
fn the_lock_of_a_field_is_stated_by_its_signature() {
    let (bytes, doc) = with_slot(&fixture("memoire-gs-a2b-field-lock.pdf"));
    let reference = graph::get_array(&doc, value(&doc, "Medecin").unwrap(), b"Reference");
    let reference = graph::as_dict(reference.unwrap().first().unwrap()).unwrap();
    let params = graph::get_dict(&doc, reference, b"TransformParams").unwrap();
    assert_eq!(
        graph::get_name(&doc, params, b"Action"),
        Some(b"Include".as_slice())
    );
    assert_eq!(graph::get_int(&doc, params, b"P"), Some(2));
    let permissions = permissions::Permissions::of(&doc);
    assert!(permissions.locked("Montant") && permissions.locked("Montant.total"));
    assert!(!permissions.locked("Montants") && !permissions.locked("Signature1"));
    assert!(append_signature(&bytes, REQUEST).is_ok());
    let (_, unlocked) = with_slot(&fixture("memoire-gs-a2b-field.pdf"));
    assert!(!value(&unlocked, "Medecin").unwrap().has(b"Reference"));
}

/// A file whose signed field locks others, and that has an empty field.
fn locking(action: &str, names: &[&str], empty: Option<&str>) -> Vec<u8> {
    altered("memoire-gs-a2b.pdf", |doc| {
        let names = names.iter().map(|name| Object::string_literal(*name));
        let params = dictionary! {
            "Action" => Object::Name(action.as_bytes().to_vec()), "Fields" => names.collect::<Vec<_>>(),
        };
        let reference =
            dictionary! { "TransformMethod" => "FieldMDP", "TransformParams" => params };
        let value = doc.add_object(dictionary! {
            "Type" => "Sig", "Reference" => vec![reference.into()],
            "ByteRange" => vec![0.into(); 4],
            "Contents" => Object::String(vec![0], lopdf::StringFormat::Hexadecimal),
        });
        let signed =
            dictionary! { "FT" => "Sig", "T" => Object::string_literal("Premier"), "V" => value };
        let mut fields: Vec<Object> = vec![doc.add_object(signed).into()];
        if let Some(name) = empty {
            let field = dictionary! { "FT" => "Sig", "T" => Object::string_literal(name) };
            fields.push(doc.add_object(field).into());
        }
        doc.catalog_mut()
            .unwrap()
            .set("AcroForm", dictionary! { "Fields" => fields });
    })
}

#[test]
fn locked_fields_are_left_alone() {
    let names = |pdf: &[u8]| field_names(&with_slot(pdf).1);
    let locked = "an earlier signer locked every field";
    // All: neither the empty one nor a new one.
    assert!(refusal(&locking("All", &[], None)).contains(locked));
    assert!(refusal(&locking("All", &[], Some("Libre"))).contains(locked));
    assert!(refusal(&fixture("memoire-gs-a2b-locked.pdf")).contains(locked));
    assert_eq!(
        rules_of(&fixture("memoire-gs-a2b-locked.pdf")),
        ["signature"]
    );
    // All but some: the empty one when it is among them.
    assert!(refusal(&locking("Exclude", &["Autre"], Some("Libre"))).contains(locked));
    let free = locking("Exclude", &["Libre"], Some("Libre"));
    assert_eq!(names(&free), ["Premier", "Libre"]);
    assert!(value(&with_slot(&free).1, "Libre").is_some());
    // Some: a name that is not among them.
    let taken = locking("Include", &["Signature1", "Libre"], Some("Libre"));
    assert_eq!(names(&taken), ["Premier", "Libre", "Signature2"]);
    assert!(value(&with_slot(&taken).1, "Libre").is_none());
    // What is not understood locks everything.
    assert!(refusal(&locking("Sometimes", &[], None)).contains(locked));
}

fn seeded(seed: Dictionary) -> Vec<u8> {
    let mut seed = Some(seed);
    altered("memoire-gs-a2b.pdf", |doc| {
        let field = dictionary! {
            "FT" => "Sig", "T" => Object::string_literal("Medecin"), "SV" => seed.take().unwrap(),
        };
        let field = doc.add_object(field);
        doc.catalog_mut()
            .unwrap()
            .set("AcroForm", dictionary! { "Fields" => vec![field.into()] });
    })
}

#[test]
fn demands_that_are_met_or_only_wishes_do_not_hinder() {
    let names = |names: &[&str]| -> Object {
        let names = names
            .iter()
            .map(|name| Object::Name(name.as_bytes().to_vec()));
        names.collect::<Vec<_>>().into()
    };
    for seed in [
        dictionary! { "Ff" => 3, "Filter" => "Adobe.PPKLite", "SubFilter" => names(&["adbe.pkcs7.detached", "ETSI.CAdES.detached"]) },
        dictionary! { "Ff" => 64, "DigestMethod" => vec![Object::string_literal("SHA256")] },
        dictionary! { "Ff" => 8, "Reasons" => vec![Object::string_literal(".")] },
        dictionary! { "Ff" => 128, "LockDocument" => "auto" },
        dictionary! { "Ff" => 0, "SubFilter" => names(&["adbe.pkcs7.sha1"]), "MDP" => dictionary! { "P" => 0 } },
    ] {
        let (_, doc) = with_slot(&seeded(seed.clone()));
        assert!(value(&doc, "Medecin").is_some(), "{seed:?}");
    }
}

#[test]
fn demands_that_cannot_be_met_are_refused_with_the_reason() {
    let name = |name: &str| Object::Name(name.as_bytes().to_vec());
    let text = |text: &str| vec![Object::string_literal(text)];
    for (seed, reason) in [
        (
            dictionary! { "Ff" => 1, "Filter" => "Entrust.PPKEF" },
            "/Filter",
        ),
        (
            dictionary! { "Ff" => 2, "SubFilter" => vec![name("adbe.pkcs7.detached")] },
            "/SubFilter",
        ),
        (dictionary! { "Ff" => 4, "V" => 4 }, "/V"),
        (
            dictionary! { "Ff" => 8, "Reasons" => text("Accord") },
            "/Reasons",
        ),
        (
            dictionary! { "Ff" => 16, "LegalAttestation" => text("x") },
            "/LegalAttestation",
        ),
        (
            dictionary! { "Ff" => 32, "AddRevInfo" => true },
            "/AddRevInfo",
        ),
        (
            dictionary! { "Ff" => 64, "DigestMethod" => text("SHA512") },
            "/DigestMethod",
        ),
        (
            dictionary! { "Ff" => 128, "LockDocument" => "true" },
            "/LockDocument",
        ),
        (
            dictionary! { "Ff" => 256, "AppearanceFilter" => text("x") },
            "/AppearanceFilter",
        ),
        (dictionary! { "MDP" => dictionary! { "P" => 2 } }, "/MDP"),
        (dictionary! { "Cert" => dictionary! { "Ff" => 2 } }, "/Cert"),
        (
            dictionary! { "TimeStamp" => dictionary! { "Ff" => 1, "URL" => text("http://tsa.test/") } },
            "/TimeStamp",
        ),
    ] {
        let pdf = seeded(seed);
        let refused = refusal(&pdf);
        assert!(
            refused.contains(&format!("({reason})")) && refused.contains("Medecin"),
            "{refused}"
        );
        assert_eq!(rules_of(&pdf), ["signature"]);
    }
}

#[test]
fn a_read_only_field_is_not_signed() {
    let pdf = altered("memoire-gs-a2b-field-lock.pdf", |doc| {
        let id = graph::fields(doc)[0].id;
        doc.get_dictionary_mut(id).unwrap().set("Ff", 1);
    });
    let (_, doc) = with_slot(&pdf);
    assert_eq!(field_names(&doc), ["Medecin", "Signature1"]);
}

#[test]
fn a_hybrid_file_is_told_and_can_be_signed() {
    let pdf = fixture("memoire-gs-a2b-hybrid.pdf");
    assert!(is_hybrid(&pdf));
    assert!(!is_hybrid(&fixture("memoire-gs-a2b.pdf")));
    assert!(!is_hybrid(&fixture("memoire-gs-a2b-objstm.pdf")));
    let (_, doc) = with_slot(&pdf);
    assert!(
        doc.has_object((900, 0)),
        "objects only the stream names are kept"
    );
}

/// Fields, names and locks that refer to each other over and over: bounded
/// work, whatever the answer.
#[cfg(unix)]
#[test]
fn forms_that_repeat_themselves_are_looked_at_once() {
    let name = || Object::string_literal("n".repeat(1 << 20));
    let form = |doc: &mut Document, fields: Vec<Object>| {
        let form = dictionary! { "Fields" => fields };
        doc.catalog_mut().unwrap().set("AcroForm", form);
    };
    let deep = altered("memoire-gs-a2b.pdf", |doc| {
        let mut below: Vec<Object> = Vec::new();
        for _ in 0..50_000 {
            let field = dictionary! { "FT" => "Sig", "T" => Object::string_literal("abcdefgh"), "Kids" => below };
            below = vec![doc.add_object(field).into()];
        }
        form(doc, below);
    });
    let named = altered("memoire-gs-a2b.pdf", |doc| {
        let name = doc.add_object(name());
        let fields = (0..50_000).map(|_| {
            doc.add_object(dictionary! { "FT" => "Sig", "T" => name })
                .into()
        });
        let fields = fields.collect();
        form(doc, fields);
    });
    let locked = altered("memoire-gs-a2b.pdf", |doc| {
        let names = vec![Object::string_literal("Autre"); 20_000];
        let names = doc.add_object(names);
        for _ in 0..20_000 {
            let params = dictionary! { "Action" => "Include", "Fields" => names };
            doc.add_object(
                dictionary! { "TransformMethod" => "FieldMDP", "TransformParams" => params },
            );
        }
    });
    let trailers = "trailer<</a(".repeat(200_000).into_bytes();
    let start = cpu_seconds();
    assert!(append_signature(&deep, REQUEST).is_ok());
    assert!(append_signature(&named, REQUEST).is_ok());
    assert!(refusal(&locked).contains("locked every field"));
    assert!(is_hybrid(&trailers), "more trailers than are looked at");
    let used = cpu_seconds() - start;
    assert!(used < 60, "{used} s of CPU");
}
