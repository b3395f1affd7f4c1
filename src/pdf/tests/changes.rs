//! What came after a signature, and byte ranges that hide something.

use super::*;
use lopdf::IncrementalDocument;

/// A signed file with a page tree, a form, a text field and validation data.
fn signed() -> Vec<u8> {
    let pdf = altered("memoire-gs-a2b.pdf", |doc| {
        let look = || Stream::new(dictionary! { "Subtype" => "Form" }, b"BT ET".to_vec());
        let looks = [doc.add_object(look()), doc.add_object(look())];
        let text = |doc: &mut Document, name: &str, look: ObjectId| {
            doc.add_object(dictionary! {
                "Type" => "Annot", "Subtype" => "Widget", "FT" => "Tx", "F" => 4,
                "T" => Object::string_literal(name), "V" => Object::string_literal("100"),
                "Rect" => vec![0.into(), 0.into(), 9.into(), 9.into()],
                "AP" => dictionary! { "N" => look },
            })
        };
        let fields: Vec<Object> = vec![
            text(doc, "Montant", looks[0]).into(),
            text(doc, "Note", looks[1]).into(),
        ];
        page(doc).set("Annots", fields.clone());
        let missing = Object::Reference((800, 0));
        page(doc).set("Missing", missing);
        let form = doc.add_object(dictionary! { "Fields" => fields });
        doc.catalog_mut().unwrap().set("AcroForm", form);
    });
    let bytes = with_slot(&pdf).0;
    assert_eq!(changes(&bytes), Changes::None);
    bytes
}

/// What came after the first signature.
fn changes(pdf: &[u8]) -> Changes {
    changes_after(pdf, 0)
}

fn changes_after(pdf: &[u8], signature: usize) -> Changes {
    let document = SignedPdf::open(pdf).unwrap();
    let values = document.signatures();
    document.changes_after(values[signature].as_ref().unwrap())
}

/// The file with an incremental update.
fn updated(pdf: &[u8], change: impl FnOnce(&mut IncrementalDocument)) -> Vec<u8> {
    let mut update = IncrementalDocument::create_from(pdf.to_vec(), load(pdf).unwrap());
    change(&mut update);
    let mut out = Vec::new();
    update.save_to(&mut out).unwrap();
    out
}

fn own(update: &mut IncrementalDocument, id: ObjectId) -> &mut Object {
    update.opt_clone_object_to_new_document(id).unwrap();
    update.new_document.get_object_mut(id).unwrap()
}

fn id_of(pdf: &[u8], field: &str) -> ObjectId {
    let doc = load(pdf).unwrap();
    let found = graph::fields(&doc).into_iter().find(|f| f.name == field);
    found.unwrap().id
}

fn suspicious(pdf: &[u8]) -> String {
    match changes(pdf) {
        Changes::Suspicious { what } => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn validation_data_and_document_timestamps_are_maintenance() {
    let pdf = signed();
    let data = |value: u8| ValidationData {
        certificates: vec![vec![value; 40]],
        ocsp: vec![vec![value; 50]],
        crls: Vec::new(),
    };
    let once = append_validation_data(&pdf, &data(1)).unwrap();
    assert_eq!(changes(&once), Changes::ValidationData);
    let twice = append_validation_data(&once, &data(2)).unwrap();
    assert_eq!(changes(&twice), Changes::ValidationData);
    let stamped = updated(&twice, |update| {
        let value = update
            .new_document
            .add_object(dictionary! { "Type" => "DocTimeStamp" });
        let rect = vec![0.into(), 0.into(), 0.into(), 0.into()];
        let field = update.new_document.add_object(dictionary! {
            "Type" => "Annot", "Subtype" => "Widget", "FT" => "Sig", "V" => value, "Rect" => rect,
            "T" => Object::string_literal("Horodatage"),
        });
        let form = load(&twice).unwrap();
        let form = form
            .catalog()
            .unwrap()
            .get(b"AcroForm")
            .unwrap()
            .as_reference()
            .unwrap();
        let form = own(update, form).as_dict_mut().unwrap();
        form.get_mut(b"Fields")
            .unwrap()
            .as_array_mut()
            .unwrap()
            .push(field.into());
    });
    assert_eq!(changes(&stamped), Changes::ValidationData);
    let signed = with_slot(&twice).0;
    let emptied = updated(&signed, |update| {
        let doc = load(&signed).unwrap();
        let store = doc.catalog().unwrap().get(b"DSS").unwrap();
        let store = own(update, store.as_reference().unwrap());
        store.as_dict_mut().unwrap().remove(b"OCSPs");
    });
    let what = "validation data were taken away".to_owned();
    assert_eq!(changes_after(&emptied, 1), Changes::Suspicious { what });
}

#[test]
fn a_store_of_a_foreign_program_is_kept_and_merged() {
    let pdf = fixture("memoire-gs-a2b-dss.pdf");
    assert_eq!(changes(&pdf), Changes::ValidationData);
    let before = SignedPdf::open(&pdf).unwrap().validation_data();
    assert_eq!(before.certificates.len(), 1);
    let mut more = before.clone();
    more.crls.push(vec![7; 30]);
    let merged = append_validation_data(&pdf, &more).unwrap();
    assert_eq!(changes(&merged), Changes::ValidationData);
    let document = SignedPdf::open(&merged).unwrap();
    assert_eq!(document.validation_data(), more);
    let doc = load(&merged).unwrap();
    let store = graph::get_dict(&doc, doc.catalog().unwrap(), b"DSS").unwrap();
    assert!(store.has(b"VRI"), "what else the store holds is kept");
    assert_eq!(rules_of(&merged), [""; 0]);
    assert!(append_validation_data(&merged, &before).unwrap() == merged);
}

#[test]
fn extensions_are_declared_where_the_part_knows_them() {
    let data = ValidationData {
        crls: vec![vec![7; 30]],
        ..ValidationData::default()
    };
    for (name, declared) in [
        ("memoire-gs-a1b.pdf", false),
        ("memoire-typst-a3b.pdf", true),
    ] {
        let bytes = append_validation_data(&fixture(name), &data).unwrap();
        let doc = load(&bytes).unwrap();
        let extensions = graph::get_dict(&doc, doc.catalog().unwrap(), b"Extensions");
        assert_eq!(
            extensions.is_some_and(|e| e.has(b"ESIC")),
            declared,
            "{name}"
        );
        assert_eq!(rules_of(&bytes), [""; 0], "{name}");
    }
}

#[test]
fn signatures_and_filled_fields_are_allowed_unless_somebody_forbids_them() {
    let pdf = signed();
    let again = with_slot(&pdf).0;
    let note = |note: &str| Changes::Allowed(vec![note.to_owned()]);
    assert_eq!(
        changes(&again),
        note("signature field Signature2 was signed")
    );

    let fill = |pdf: &[u8]| {
        let field = id_of(pdf, "Montant");
        updated(pdf, |update| {
            let look = Stream::new(dictionary! { "Subtype" => "Form" }, b"BT () Tj ET".to_vec());
            let look = update.new_document.add_object(look);
            let field = own(update, field).as_dict_mut().unwrap();
            field.set("V", Object::string_literal("200"));
            field.set("AP", dictionary! { "N" => look });
        })
    };
    assert_eq!(changes(&fill(&pdf)), note("field Montant was filled in"));

    for (params, forbidden) in [
        (dictionary! { "P" => 1 }, "the signer allowed no change"),
        (dictionary! { "Action" => "All" }, "was locked by a signer"),
        (
            dictionary! { "Action" => "Include", "Fields" => vec![Object::string_literal("Montant")] },
            "was locked by a signer",
        ),
    ] {
        let method = if params.has(b"P") {
            "DocMDP"
        } else {
            "FieldMDP"
        };
        let mut doc = load(&fixture("memoire-gs-a2b.pdf")).unwrap();
        let reference = dictionary! { "TransformMethod" => method, "TransformParams" => params };
        doc.add_object(reference);
        let field = doc.add_object(dictionary! {
            "FT" => "Tx", "T" => Object::string_literal("Montant"), "V" => Object::string_literal("1"),
        });
        let form = dictionary! { "Fields" => vec![field.into()] };
        doc.catalog_mut().unwrap().set("AcroForm", form);
        let mut restricted = Vec::new();
        doc.save_to(&mut restricted).unwrap();
        let end = restricted.len();
        let filled = fill(&restricted);
        let now = load(&filled).unwrap();
        let found = super::super::changes::after(&filled, &now, Some(end));
        let Changes::Suspicious { what } = found else {
            panic!("{found:?}")
        };
        assert!(what.contains(forbidden), "{what}");
    }
}

#[test]
fn what_shows_may_not_change() {
    let pdf = signed();
    let doc = load(&pdf).unwrap();
    let page_id = doc.page_iter().next().unwrap();
    let page = doc.get_dictionary(page_id).unwrap();
    let content = page.get(b"Contents").unwrap().as_reference().unwrap();
    let field = id_of(&pdf, "Montant");
    let look = doc
        .get_dictionary(field)
        .unwrap()
        .get(b"AP")
        .unwrap()
        .as_dict()
        .unwrap();
    let look = look.get(b"N").unwrap().as_reference().unwrap();
    let root = doc.trailer.get(b"Root").unwrap().as_reference().unwrap();
    let annotation = dictionary! { "Type" => "Annot", "Subtype" => "FreeText" };
    type Change = Box<dyn Fn(&mut IncrementalDocument)>;
    let set = |id: ObjectId, key: &'static str, value: Object| -> Change {
        Box::new(move |update| {
            own(update, id)
                .as_dict_mut()
                .unwrap()
                .set(key, value.clone())
        })
    };
    let paint = |id: ObjectId| -> Change {
        Box::new(move |update| {
            let stream = own(update, id).as_stream_mut().unwrap();
            stream.set_plain_content(b"BT (other) Tj ET".to_vec());
        })
    };
    let text = |text: &str| Object::string_literal(text);
    let cases: Vec<(&str, Change)> = vec![
        ("was redefined", paint(content)),
        (
            "/Contents of the page",
            set(page_id, "Contents", root.into()),
        ),
        (
            "/MediaBox of the page",
            set(page_id, "MediaBox", vec![0.into()].into()),
        ),
        (
            "taken away or reordered",
            set(page_id, "Annots", Object::Array(Vec::new())),
        ),
        ("/Pages of the catalog", set(root, "Pages", content.into())),
        (
            "/OpenAction of the catalog",
            set(root, "OpenAction", content.into()),
        ),
        (
            "looks different but has the same value",
            set(field, "AP", Dictionary::new().into()),
        ),
        ("looks different but has the same value", paint(look)),
        ("/T of the field", set(field, "T", text("Autre"))),
        (
            "fills a reference that led nowhere",
            Box::new(|update| {
                update.new_document.set_object((800, 0), Object::Null);
            }),
        ),
        (
            "was added to a page or the form",
            Box::new(move |update| {
                let note = update.new_document.add_object(annotation.clone());
                let page = own(update, page_id).as_dict_mut().unwrap();
                page.get_mut(b"Annots")
                    .unwrap()
                    .as_array_mut()
                    .unwrap()
                    .push(note.into());
            }),
        ),
        // An object of the signed revision is put into a list.
        (
            "was added to a page or the form",
            Box::new(move |update| {
                let page = own(update, page_id).as_dict_mut().unwrap();
                page.get_mut(b"Annots")
                    .unwrap()
                    .as_array_mut()
                    .unwrap()
                    .push(look.into());
            }),
        ),
    ];
    for (reason, change) in cases {
        let what = suspicious(&updated(&pdf, change));
        assert!(what.contains(reason), "{reason}: {what}");
    }
    // Another catalog, prepared in the signed revision or not.
    let moved = updated(&pdf, |update| {
        let catalog = update
            .new_document
            .add_object(doc.catalog().unwrap().clone());
        update.new_document.trailer.set("Root", catalog);
    });
    assert_eq!(suspicious(&moved), "the trailer names another catalog");
    let value = graph::fields(&doc)
        .into_iter()
        .find(|f| f.name == "Signature1");
    let value = value
        .unwrap()
        .dict
        .get(b"V")
        .unwrap()
        .as_reference()
        .unwrap();
    let redefined = updated(&pdf, |update| {
        own(update, value)
            .as_dict_mut()
            .unwrap()
            .set("Reason", text("x"));
    });
    assert!(
        SignedPdf::open(&redefined).unwrap().signatures()[0]
            .as_ref()
            .unwrap()
            .signed(&redefined)
            .is_err()
    );
}

/// Two lists of the validation data must not serve as something else as well.
#[test]
fn an_object_with_two_roles_may_not_change() {
    let data = ValidationData {
        certificates: vec![vec![1; 40]],
        ..ValidationData::default()
    };
    let stored = append_validation_data(&fixture("memoire-gs-a2b.pdf"), &data).unwrap();
    let doc = load(&stored).unwrap();
    let store = doc
        .catalog()
        .unwrap()
        .get(b"DSS")
        .unwrap()
        .as_reference()
        .unwrap();
    let used = updated(&stored, |update| {
        let page_id = doc.page_iter().next().unwrap();
        let page = own(update, page_id).as_dict_mut().unwrap();
        page.set("PieceInfo", store);
    });
    for (pdf, maintenance) in [(&stored, true), (&used, false)] {
        let signed = with_slot(pdf).0;
        let more = ValidationData {
            certificates: vec![vec![2; 40]],
            ..ValidationData::default()
        };
        let found = changes(&append_validation_data(&signed, &more).unwrap());
        assert_eq!(found == Changes::ValidationData, maintenance, "{found:?}");
    }
}

#[test]
fn a_hybrid_update_after_a_signature_is_suspicious() {
    let pdf = signed();
    let hybrid = String::from_utf8_lossy(&pdf).rfind("startxref").map(|_| {
        let at = find_all(&pdf, b"startxref").last().unwrap();
        let previous = std::str::from_utf8(pdf.get(at + 9..).unwrap()).unwrap();
        let previous = previous.trim().lines().next().unwrap().to_owned();
        let size = load(&pdf).unwrap().max_id + 2;
        let stream = pdf.len();
        let entry = [&[1u8][..], &u32::try_from(stream).unwrap().to_be_bytes(), &[0]].concat();
        let mut out = pdf.clone();
        let root = load(&pdf).unwrap().trailer.get(b"Root").unwrap().as_reference().unwrap().0;
        out.extend_from_slice(
            format!("{} 0 obj\n<</Type/XRef/W[1 4 1]/Index[{} 1]/Size {size}/Length 6/Root {root} 0 R>>\nstream\n", size - 1, size - 1).as_bytes(),
        );
        out.extend_from_slice(&entry);
        out.extend_from_slice(b"\nendstream\nendobj\n");
        let table = out.len();
        out.extend_from_slice(
            format!("xref\n0 1\n0000000000 65535 f \ntrailer\n<</Size {size}/Root {root} 0 R/Prev {previous}/XRefStm {stream}>>\nstartxref\n{table}\n%%EOF\n").as_bytes(),
        );
        out
    });
    let what = suspicious(&hybrid.unwrap());
    assert!(
        what.contains("different objects to different readers"),
        "{what}"
    );
}

/// The first signature value, its byte range or dictionary spelled differently.
fn respelled(pdf: &[u8], from: &str, to: &str) -> Vec<u8> {
    let at = find_all(pdf, from.as_bytes()).last().unwrap();
    assert!(to.len() <= from.len(), "{to} does not fit");
    let mut out = pdf.to_vec();
    let target = out.get_mut(at..at + from.len()).unwrap();
    target.fill(b' ');
    target
        .get_mut(..to.len())
        .unwrap()
        .copy_from_slice(to.as_bytes());
    out
}

#[test]
fn byte_ranges_that_are_not_what_they_seem_are_refused() {
    let pdf = signed();
    let value = |pdf: &[u8]| SignedPdf::open(pdf).unwrap().signatures().remove(0);
    let [_, gap, resume, rest] = value(&pdf).unwrap().byte_range;
    let range = |numbers: &str| {
        respelled(
            &pdf,
            &format!("{:<35}", format!("[0 {gap} {resume} {rest}")),
            &format!("[{numbers}"),
        )
    };
    let unreadable = |pdf: &[u8], what: &str| {
        let found = value(pdf).unwrap_err().to_string();
        assert!(found.contains(what), "{what}: {found}");
    };
    let plain = "four plain numbers";
    unreadable(&range(&format!("0 {gap} {resume} -{rest}")), plain);
    unreadable(&range(&format!("0 {gap} {resume} {rest}.0")), plain);
    unreadable(&range(&format!("0 {gap} {resume}")), plain);
    unreadable(&range(&format!("0 {gap} {resume} 1 0 R")), plain);
    let twice = "/Type/Sig/ByteRange[0 1 2 3]";
    unreadable(
        &respelled(&pdf, "/Type/Sig/Filter/Adobe.PPKLite", twice),
        plain,
    );
    let whole = format!("{:<35}", format!("[0 {gap} {resume} {rest}"));
    unreadable(
        &respelled(
            &pdf,
            &format!("/ByteRange{whole}"),
            "/ByteRange 1 0 R /Spare[",
        ),
        plain,
    );
    unreadable(
        &respelled(
            &pdf,
            "/Type/Sig/Filter/Adobe.PPKLite",
            "/Type/Sig/Contents<3000>",
        ),
        "hexadecimal",
    );
    unreadable(
        &respelled(
            &pdf,
            "/Type/Sig/Filter/Adobe.PPKLite",
            "/Type/Sig/C#6fntents<3000>",
        ),
        "hexadecimal",
    );

    let refused = |pdf: &[u8], what: &str| {
        assert_eq!(value(pdf).unwrap().signed(pdf), Err(what));
    };
    let not_contents = "its gap is not the contents of the signature";
    refused(
        &range(&format!("1 {gap} {resume} {rest}")),
        "it does not begin with the file",
    );
    refused(
        &range(&format!("0 {resume} {gap} {rest}")),
        "its pieces overlap",
    );
    refused(
        &range(&format!("0 {gap} {resume} {}", rest + 1)),
        "it reaches beyond the file",
    );
    refused(
        &range(&format!("0 {gap} {resume} {}", i64::MAX)),
        "it reaches beyond the file",
    );
    refused(
        &range(&format!("0 {} {resume} {rest}", gap - 1)),
        not_contents,
    );
    refused(
        &range(&format!("0 {gap} {} {}", resume + 1, rest - 1)),
        not_contents,
    );
    // The gap is some other string.
    refused(&range(&format!("0 20 40 {}", pdf.len() - 40)), not_contents);
    let revision = "it does not end where a revision of the file ends";
    refused(&range(&format!("0 {gap} {resume} {}", rest - 3)), revision);
    let again = with_slot(&pdf).0;
    let second = again.len() - resume;
    refused(
        &respelled(
            &again.get(..pdf.len()).unwrap(),
            &whole,
            &format!("[0 {gap} {resume} {second}"),
        )
        .into_iter()
        .chain(again.get(pdf.len()..).unwrap().iter().copied())
        .collect::<Vec<_>>(),
        revision,
    );
}
