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
            .add_object(dictionary! { "Type" => "DocTimeStamp", "ByteRange" => vec![0.into(); 4] });
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

type Change = Box<dyn Fn(&mut IncrementalDocument)>;

fn set(id: ObjectId, key: &'static str, value: impl Into<Object>) -> Change {
    let value = value.into();
    Box::new(move |update| {
        own(update, id)
            .as_dict_mut()
            .unwrap()
            .set(key, value.clone())
    })
}

fn paint(id: ObjectId) -> Change {
    Box::new(move |update| {
        let stream = own(update, id).as_stream_mut().unwrap();
        stream.set_plain_content(b"BT (other) Tj ET".to_vec());
    })
}

/// Puts an object into the list of annotations, which the page holds itself.
fn push(update: &mut IncrementalDocument, page: ObjectId, item: ObjectId) {
    let annotations = own(update, page).as_dict_mut().unwrap().get_mut(b"Annots");
    annotations
        .unwrap()
        .as_array_mut()
        .unwrap()
        .push(item.into());
}

fn reference(dict: &Dictionary, key: &[u8]) -> ObjectId {
    dict.get(key).unwrap().as_reference().unwrap()
}

fn assert_suspicious(pdf: &[u8], cases: Vec<(&str, Change)>) {
    for (reason, change) in cases {
        let what = suspicious(&updated(pdf, change));
        assert!(what.contains(reason), "{reason}: {what}");
    }
}

#[test]
fn pages_and_catalog_may_not_change() {
    let pdf = signed();
    let doc = load(&pdf).unwrap();
    let page = doc.page_iter().next().unwrap();
    let content = reference(doc.get_dictionary(page).unwrap(), b"Contents");
    let root = reference(&doc.trailer, b"Root");
    let gone = Object::Array(Vec::new());
    let cases = vec![
        ("was redefined", paint(content)),
        ("/Contents of the page", set(page, "Contents", root)),
        (
            "/MediaBox of the page",
            set(page, "MediaBox", vec![0.into()]),
        ),
        ("taken away or reordered", set(page, "Annots", gone)),
        ("/Pages of the catalog", set(root, "Pages", content)),
        (
            "/OpenAction of the catalog",
            set(root, "OpenAction", content),
        ),
    ];
    assert_suspicious(&pdf, cases);
    let moved = updated(&pdf, |update| {
        let catalog = doc.catalog().unwrap().clone();
        let catalog = update.new_document.add_object(catalog);
        update.new_document.trailer.set("Root", catalog);
    });
    assert_eq!(suspicious(&moved), "the trailer names another catalog");
}

#[test]
fn fields_annotations_and_missing_objects_may_not_change() {
    let pdf = signed();
    let doc = load(&pdf).unwrap();
    let page = doc.page_iter().next().unwrap();
    let field = id_of(&pdf, "Montant");
    let looks = doc.get_dictionary(field).unwrap().get(b"AP").unwrap();
    let look = reference(looks.as_dict().unwrap(), b"N");
    let same = "looks different but has the same value";
    let added = "was added to a page or the form";
    let cases: Vec<(&str, Change)> = vec![
        (same, set(field, "AP", Dictionary::new())),
        (same, paint(look)),
        (
            "/T of the field",
            set(field, "T", Object::string_literal("Autre")),
        ),
        (
            "fills a reference that led nowhere",
            Box::new(|update| update.new_document.set_object((800, 0), Object::Null)),
        ),
        (
            added,
            Box::new(move |update| {
                let note = dictionary! { "Type" => "Annot", "Subtype" => "FreeText" };
                let note = update.new_document.add_object(note);
                push(update, page, note);
            }),
        ),
        // An object of the signed revision.
        (added, Box::new(move |update| push(update, page, look))),
    ];
    assert_suspicious(&pdf, cases);
}

/// The signature value itself is not read anew from a later revision.
#[test]
fn a_redefined_signature_value_covers_nothing() {
    let pdf = signed();
    let doc = load(&pdf).unwrap();
    let value = reference(doc.get_dictionary(id_of(&pdf, "Signature1")).unwrap(), b"V");
    let redefined = updated(&pdf, set(value, "Reason", Object::string_literal("x")));
    let value = SignedPdf::open(&redefined).unwrap().signatures().remove(0);
    assert!(value.unwrap().signed(&redefined).is_err());
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
fn bytes_that_are_no_revision_are_suspicious() {
    let pdf = signed();
    for junk in ["4 0 obj\n(other)\nendobj\n", "% remark\n", "%%EOF\n"] {
        let text = suspicious(&[&pdf, junk.as_bytes()].concat());
        assert_eq!(
            text,
            "what follows the signature is no revision of the file"
        );
    }
    // An end of line that a transport adds is none.
    assert!(matches!(
        changes(&[&pdf[..], b"\r\n"].concat()),
        Changes::Allowed(_)
    ));
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

/// A signed file and its byte range as it is spelled, the filling included.
struct Ranged {
    pdf: Vec<u8>,
    gap: usize,
    resume: usize,
    rest: usize,
    spelled: String,
}

fn first_value(pdf: &[u8]) -> Result<SignatureValue, PdfError> {
    SignedPdf::open(pdf).unwrap().signatures().remove(0)
}

impl Ranged {
    fn new() -> Self {
        let pdf = signed();
        let [_, gap, resume, rest] = first_value(&pdf).unwrap().byte_range;
        let spelled = format!("{:<35}", format!("[0 {gap} {resume} {rest}"));
        Self {
            pdf,
            gap,
            resume,
            rest,
            spelled,
        }
    }

    fn with(&self, numbers: [usize; 4]) -> Vec<u8> {
        let [a, b, c, d] = numbers;
        respelled(&self.pdf, &self.spelled, &format!("[{a} {b} {c} {d}"))
    }
}

#[test]
fn byte_ranges_and_contents_are_plain_and_once() {
    let ranged = Ranged::new();
    let Ranged {
        pdf,
        gap,
        resume,
        rest,
        spelled,
    } = &ranged;
    let range = |end: &str| respelled(pdf, spelled, &format!("[0 {gap} {resume}{end}"));
    let filter = |text: &str| respelled(pdf, "/Type/Sig/Filter/Adobe.PPKLite", text);
    let indirect = respelled(
        pdf,
        &format!("/ByteRange{spelled}"),
        "/ByteRange 1 0 R /Spare[",
    );
    let numbers = "four plain numbers";
    let string = "one hexadecimal string";
    for (forged, what) in [
        (range(&format!(" -{rest}")), numbers),
        (range(&format!(" {rest}.0")), numbers),
        (range(""), numbers),
        (range(" 1 0 R"), numbers),
        (indirect, numbers),
        (filter("/Type/Sig/ByteRange[0 1 2 3]"), numbers),
        (filter("/Type/Sig/Contents<3000>"), string),
        (filter("/Type/Sig/C#6fntents<3000>"), string),
        (filter("/Type/Sig/Contents 1 0 R"), string),
    ] {
        let found = first_value(&forged).unwrap_err().to_string();
        assert!(found.contains(what), "{what}: {found}");
    }
}

#[test]
fn byte_ranges_that_hide_something_are_refused() {
    let ranged = Ranged::new();
    let Ranged {
        pdf,
        gap,
        resume,
        rest,
        spelled,
    } = &ranged;
    let (gap, resume, rest) = (*gap, *resume, *rest);
    let beyond = "it reaches beyond the file";
    let not_contents = "its gap is not the contents of the signature";
    let revision = "it does not end where a revision of the file ends";
    for (numbers, what) in [
        ([1, gap, resume, rest], "it does not begin with the file"),
        ([0, resume, gap, rest], "its pieces overlap"),
        ([0, gap, resume, rest + 1], beyond),
        ([0, gap, resume, i64::MAX as usize], beyond),
        ([0, gap - 1, resume, rest], not_contents),
        ([0, gap, resume + 1, rest - 1], not_contents),
        ([0, 20, 40, pdf.len() - 40], not_contents),
        ([0, gap, resume, rest - 3], revision),
    ] {
        let forged = ranged.with(numbers);
        assert_eq!(first_value(&forged).unwrap().signed(&forged), Err(what));
    }
    // Two revisions in one range: the first ends at a mark of its own.
    let again = with_slot(pdf).0;
    let both = format!("[0 {gap} {resume} {}", again.len() - resume);
    let mut forged = respelled(pdf, spelled, &both);
    forged.extend_from_slice(again.get(pdf.len()..).unwrap());
    let values = SignedPdf::open(&forged).unwrap().signatures();
    let first = values
        .iter()
        .flatten()
        .find(|value| value.field == "Signature1");
    assert_eq!(first.unwrap().signed(&forged), Err(revision));
}

/// A field appended after a signature.
fn with_field(pdf: &[u8], field: Dictionary, in_form: bool) -> Vec<u8> {
    let doc = load(pdf).unwrap();
    let page = doc.page_iter().next().unwrap();
    let form = reference(doc.catalog().unwrap(), b"AcroForm");
    updated(pdf, |update| {
        let id = update.new_document.add_object(field);
        push(update, page, id);
        if in_form {
            let form = own(update, form).as_dict_mut().unwrap();
            let fields = form.get_mut(b"Fields").unwrap();
            fields.as_array_mut().unwrap().push(id.into());
        }
    })
}

/// An empty signature field may show anything, a signature over text too.
#[test]
fn an_added_field_is_an_invisible_signature() {
    let pdf = signed();
    let field = |side: i64, value: Object| {
        dictionary! {
            "Type" => "Annot", "Subtype" => "Widget", "FT" => "Sig", "V" => value, "F" => 4,
            "T" => Object::string_literal("Ajout"),
            "Rect" => vec![0.into(), 0.into(), side.into(), side.into()],
        }
    };
    let value = |kind: &str| {
        let range: Vec<Object> = vec![0.into(); 4];
        Object::from(dictionary! { "Type" => Object::Name(kind.into()), "ByteRange" => range })
    };
    let bare = || Object::from(dictionary! { "Type" => "Sig" });
    for (added, in_form, what) in [
        (field(500, Object::Null), true, "is visible"),
        (field(500, value("Sig")), true, "is visible"),
        (field(500, value("DocTimeStamp")), true, "is visible"),
        (field(0, Object::Null), true, "bears no signature"),
        (field(0, bare()), true, "bears no signature"),
        (field(0, value("Sig")), false, "was added to a page"),
    ] {
        let found = suspicious(&with_field(&pdf, added, in_form));
        assert!(found.contains(what), "{what}: {found}");
    }
    let mut hidden = field(500, value("Sig"));
    hidden.set("F", 6);
    for allowed in [field(0, value("Sig")), hidden] {
        let found = changes(&with_field(&pdf, allowed, true));
        assert!(matches!(found, Changes::Allowed(_)), "{found:?}");
    }
    let stamp = field(0, value("DocTimeStamp"));
    let found = changes(&with_field(&pdf, stamp, true));
    assert_eq!(found, Changes::ValidationData);
}

/// The looks of a field that waits for its signature belong to the signature.
#[test]
fn an_empty_field_gets_its_looks_with_its_signature() {
    let base = fixture("memoire-gs-a2b-field.pdf");
    let doc = load(&base).unwrap();
    let empty = graph::fields(&doc);
    let field = empty.iter().find(|field| field.kind == Some(b"Sig"));
    let field = field.unwrap().id;
    let after = |change: Change| {
        let later = updated(&base, change);
        let now = load(&later).unwrap();
        super::super::changes::after(&later, &now, Some(base.len()))
    };
    let bare = after(Box::new(move |update| {
        let look = Stream::new(Dictionary::new(), b"BT ET".to_vec());
        let look = update.new_document.add_object(look);
        set(field, "AP", dictionary! { "N" => look })(update);
    }));
    assert!(
        matches!(&bare, Changes::Suspicious { what } if what.contains("bears no signature")),
        "{bare:?}"
    );
    let signed = with_slot(&base).0;
    let found = super::super::changes::after(&signed, &load(&signed).unwrap(), Some(base.len()));
    assert!(matches!(found, Changes::Allowed(_)), "{found:?}");
}

/// A filled field's action and options are not its value.
#[test]
fn only_the_value_and_the_looks_of_a_filled_field_are_redefined() {
    let pdf = altered("memoire-gs-a2b.pdf", |doc| {
        let script = |doc: &mut Document| {
            doc.add_object(dictionary! { "S" => "JavaScript", "JS" => Object::string_literal("1") })
        };
        let (action, options) = (script(doc), script(doc));
        let look = doc.add_object(Stream::new(Dictionary::new(), b"BT ET".to_vec()));
        let field = doc.add_object(dictionary! {
            "FT" => "Tx", "T" => Object::string_literal("Montant"),
            "V" => Object::string_literal("1"), "AP" => dictionary! { "N" => look },
            "AA" => dictionary! { "K" => action }, "Opt" => options,
        });
        let form = dictionary! { "Fields" => vec![field.into()] };
        doc.catalog_mut().unwrap().set("AcroForm", form);
    });
    let doc = load(&pdf).unwrap();
    let field = id_of(&pdf, "Montant");
    let dict = doc.get_dictionary(field).unwrap();
    let looks = dict.get(b"AP").unwrap().as_dict().unwrap();
    let action = dict.get(b"AA").unwrap().as_dict().unwrap();
    let redefined = |id: ObjectId| {
        let later = updated(&pdf, |update| {
            set(field, "V", Object::string_literal("2"))(update);
            match own(update, id) {
                Object::Stream(stream) => stream.set_content(b"BT () Tj ET".to_vec()),
                other => other
                    .as_dict_mut()
                    .unwrap()
                    .set("JS", Object::string_literal("2")),
            }
        });
        super::super::changes::after(&later, &load(&later).unwrap(), Some(pdf.len()))
    };
    let filled = redefined(reference(looks, b"N"));
    assert!(matches!(filled, Changes::Allowed(_)), "{filled:?}");
    for id in [reference(action, b"K"), reference(dict, b"Opt")] {
        let found = redefined(id);
        assert!(
            matches!(&found, Changes::Suspicious { what } if what.contains("was redefined")),
            "{found:?}"
        );
    }
}

/// What nobody will be able to verify is refused before a key is used.
#[test]
fn unreadable_and_too_many_earlier_signatures_are_refused_before_signing() {
    let refused = |pdf: &[u8], what: &str| {
        let found = append_signature(pdf, REQUEST).unwrap_err().to_string();
        assert!(found.contains(what), "{what}: {found}");
        let violations = precheck(pdf).violations;
        assert!(
            matches!(violations.as_slice(), [one] if one.rule == "signature" && one.message.contains(what)),
            "{violations:?}"
        );
    };
    let base = with_slot(&fixture("memoire-gs-a2b.pdf")).0;
    let [_, gap, resume, rest] = first_value(&base).unwrap().byte_range;
    let spelled = format!("{:<35}", format!("[0 {gap} {resume} {rest}"));
    let real = respelled(&base, &spelled, &format!("[0 {gap} {resume} {rest}.0"));
    refused(&real, "four plain numbers");
    let mut many = base;
    for _ in 1..crate::base::limits::PDF_SIGNATURES_MAX {
        many = with_slot(&many).0;
    }
    refused(&many, "more signatures than the limit");

    // A value that is null is none.
    let empty = fixture("memoire-gs-a2b-field.pdf");
    let doc = load(&empty).unwrap();
    let field = graph::fields(&doc)
        .iter()
        .find(|f| f.kind == Some(b"Sig"))
        .unwrap()
        .id;
    let null = updated(&empty, set(field, "V", Object::Null));
    let values = SignedPdf::open(&with_slot(&null).0).unwrap().signatures();
    assert!(matches!(values.as_slice(), [Ok(_)]), "{values:?}");
}
