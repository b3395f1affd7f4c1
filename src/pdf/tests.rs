mod changes;
mod fields;

use super::*;
use lopdf::{Dictionary, Object, ObjectId, Stream, dictionary};
use time::macros::datetime;

const SIGNING_TIME: time::OffsetDateTime = datetime!(2026-10-05 09:30:00 +02:00);
const ROOM: usize = 16 << 10;
const REQUEST: Request<'_> = Request {
    signing_time: SIGNING_TIME,
    room: ROOM,
    digest: "SHA256",
};

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/pdf/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// A fixture written anew after a change to its objects.
fn altered(name: &str, change: impl FnOnce(&mut Document)) -> Vec<u8> {
    let mut doc = load(&fixture(name)).unwrap();
    change(&mut doc);
    let mut out = Vec::new();
    doc.save_to(&mut out).unwrap();
    out
}

fn page(doc: &mut Document) -> &mut Dictionary {
    let id = doc.page_iter().next().unwrap();
    doc.get_dictionary_mut(id).unwrap()
}

fn annotate(doc: &mut Document, annotation: Dictionary) -> ObjectId {
    let id = doc.add_object(annotation);
    page(doc).set("Annots", vec![id.into()]);
    id
}

fn rules_of(bytes: &[u8]) -> Vec<&'static str> {
    precheck(bytes).violations.iter().map(|v| v.rule).collect()
}

#[test]
fn conforming_files_of_three_producers_pass() {
    for (name, part, conformance, pages) in [
        ("memoire-gs-a1b.pdf", 1, 'B', 1),
        ("memoire-gs-a2b.pdf", 2, 'B', 1),
        ("memoire-gs-a2b-objstm.pdf", 2, 'B', 1),
        ("memoire-gs-a2b-signed.pdf", 2, 'B', 1),
        ("memoire-libreoffice-a1a.pdf", 1, 'A', 1),
        ("memoire-libreoffice-a2b.pdf", 2, 'B', 1),
        ("memoire-libreoffice-a2b-linearized.pdf", 2, 'B', 1),
        ("memoire-typst-a2b-pages.pdf", 2, 'B', 2),
        ("memoire-typst-a2b-200k.pdf", 2, 'B', 1),
        ("memoire-typst-a3b.pdf", 3, 'B', 1),
        ("memoire-typst-a3b-linearized-objstm.pdf", 3, 'B', 1),
    ] {
        let found = precheck(&fixture(name));
        let expected = Precheck {
            claim: Some(PdfaClaim { part, conformance }),
            violations: Vec::new(),
            pages,
        };
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_rewritten_file_passes_so_that_the_changes_below_are_what_is_found() {
    assert_eq!(rules_of(&altered("memoire-gs-a1b.pdf", |_| {})), [""; 0]);
    assert_eq!(rules_of(&altered("memoire-gs-a2b.pdf", |_| {})), [""; 0]);
}

#[test]
fn what_cannot_be_read_is_refused() {
    let good = fixture("memoire-gs-a2b.pdf");
    let encrypted = fixture("memoire-gs-encrypted.pdf");
    assert!(matches!(load(&encrypted), Err(PdfError::LoadEncrypted)));
    assert_eq!(rules_of(&encrypted), ["6.1.3 trailer /Encrypt"]);

    let shifted = [b" ".as_slice(), &good].concat();
    assert!(matches!(load(&shifted), Err(PdfError::LoadHeader)));
    assert_eq!(rules_of(&shifted), ["6.1.2 header"]);

    let cut = good.get(..good.len() / 2).unwrap();
    assert!(matches!(
        load(cut),
        Err(PdfError::Load(_) | PdfError::LoadRepaired)
    ));
    assert_eq!(rules_of(cut), ["structure"]);

    let text = String::from_utf8_lossy(&good);
    let at = text.rfind("startxref").unwrap() + "startxref\n".len();
    let mut misled = good.clone();
    // Both offsets have five digits; the second points at something else.
    misled.splice(
        good.len() - (text.len() - at)..good.len(),
        b"10000\n%%EOF\n".to_vec(),
    );
    assert!(matches!(
        load(&misled),
        Err(PdfError::Load(_) | PdfError::LoadRepaired)
    ));
    assert!(matches!(load(b""), Err(PdfError::LoadHeader)));
    assert!(matches!(
        load(&vec![b'%'; PDF_BYTES_MAX + 1]),
        Err(PdfError::LoadTooLarge { .. })
    ));
}

#[test]
fn broken_file_ends_and_headers_are_found() {
    let good = fixture("memoire-gs-a2b.pdf");
    assert_eq!(
        rules_of(&[good.as_slice(), b"\n\n"].concat()),
        ["6.1.3 end of file"]
    );
    let mut plain = good.clone();
    let comment = plain.iter().position(|byte| *byte > 127).unwrap();
    plain.get_mut(comment..comment + 4).unwrap().fill(b'x');
    assert_eq!(rules_of(&plain), ["6.1.2 header"]);
    let mut unlined = good.clone();
    let at = find_all(&good, b"\nendstream").next().unwrap();
    unlined
        .get_mut(at..at + b"\nendstream".len())
        .unwrap()
        .rotate_left(1);
    assert_eq!(rules_of(&unlined), ["6.1.7.1 streams"]);
}

#[test]
fn forbidden_behaviour_is_found() {
    let script =
        || dictionary! { "S" => "JavaScript", "JS" => Object::string_literal("app.alert(1)") };
    let name = "memoire-gs-a2b.pdf";
    let open = altered(name, |doc| {
        doc.catalog_mut().unwrap().set("OpenAction", script())
    });
    assert_eq!(rules_of(&open), ["6.5.1 actions"]);
    let names = altered(name, |doc| {
        let names = dictionary! { "JavaScript" => Dictionary::new() };
        doc.catalog_mut().unwrap().set("Names", names);
    });
    assert_eq!(rules_of(&names), ["6.5.1 actions"]);
    let launch = altered(name, |doc| {
        annotate(
            doc,
            dictionary! {
                "Subtype" => "Link", "F" => 4, "Rect" => vec![0.into(), 0.into(), 9.into(), 9.into()],
                "A" => dictionary! { "S" => "Launch" },
            },
        );
    });
    assert_eq!(rules_of(&launch), ["6.5.1 actions"]);
    let trigger = altered(name, |doc| {
        page(doc).set("AA", dictionary! { "O" => script() })
    });
    let found = rules_of(&trigger);
    assert_eq!(found, ["6.5.1 actions", "6.5.2 trigger events"]);
    // One after another, and of an annotation that may have triggers.
    let next = altered(name, |doc| {
        let harmless = dictionary! { "S" => "URI", "Next" => vec![script().into()] };
        doc.catalog_mut().unwrap().set("OpenAction", harmless);
    });
    assert_eq!(rules_of(&next), ["6.5.1 actions"]);
    let entered = altered(name, |doc| {
        annotate(
            doc,
            dictionary! {
                "Subtype" => "Link", "F" => 4, "Rect" => vec![0.into(), 0.into(), 9.into(), 9.into()],
                "AA" => dictionary! { "E" => script() },
            },
        );
    });
    assert_eq!(rules_of(&entered), ["6.5.1 actions"]);
}

#[test]
fn forms_and_annotations_are_checked() {
    let name = "memoire-gs-a2b.pdf";
    let form = |key: &'static str, value: Object| {
        altered(name, |doc| {
            let form = Dictionary::from_iter([(key, value)]);
            doc.catalog_mut().unwrap().set("AcroForm", form);
        })
    };
    assert_eq!(
        rules_of(&form("NeedAppearances", true.into())),
        ["6.4.1 forms"]
    );
    assert_eq!(
        rules_of(&form("XFA", Dictionary::new().into())),
        ["6.4.2 forms /XFA"]
    );
    let widget = |flags: i64, name: &str| {
        altered(name, |doc| {
            annotate(
                doc,
                dictionary! {
                    "Subtype" => "Widget", "FT" => "Tx", "F" => flags,
                    "Rect" => vec![0.into(), 0.into(), 0.into(), 0.into()],
                },
            );
        })
    };
    assert_eq!(rules_of(&widget(4, name)), [""; 0]);
    assert_eq!(rules_of(&widget(2, name)), ["6.3.2 annotation flags"]);
    assert_eq!(
        rules_of(&widget(4, "memoire-gs-a1b.pdf")),
        ["6.9 appearances"]
    );
    let movie = altered(name, |doc| {
        annotate(
            doc,
            dictionary! { "Subtype" => "Movie", "F" => 4, "AP" => dictionary! {} },
        );
    });
    assert!(rules_of(&movie).contains(&"6.3.1 annotation types"));
}

#[test]
fn colours_fonts_and_transparency_are_checked() {
    let name = "memoire-gs-a2b.pdf";
    let cmyk = altered(name, |doc| {
        let content = doc.add_object(Stream::new(Dictionary::new(), b"0 0 0 1 k\n".to_vec()));
        page(doc).set("Contents", content);
    });
    assert_eq!(rules_of(&cmyk), ["6.2.4.3 device colour"]);
    let no_intent = altered(name, |doc| {
        doc.catalog_mut().unwrap().remove(b"OutputIntents");
    });
    let found = rules_of(&no_intent);
    assert!(!found.is_empty() && found.iter().all(|rule| *rule == "6.2.4.3 device colour"));
    let no_font = altered(name, |doc| {
        for object in doc.objects.values_mut() {
            if let Ok(dict) = object.as_dict_mut() {
                dict.remove(b"FontFile3");
                dict.remove(b"FontFile2");
                dict.remove(b"FontFile");
            }
        }
    });
    assert!(rules_of(&no_font).contains(&"6.2.11.4 embedded fonts"));
    let group = |doc: &mut Document| page(doc).set("Group", dictionary! { "S" => "Transparency" });
    assert_eq!(
        rules_of(&altered("memoire-gs-a1b.pdf", group)),
        ["6.4 transparency"]
    );
    assert_eq!(rules_of(&altered(name, group)), [""; 0]);
    let form = altered(name, |doc| {
        let dict = dictionary! { "Type" => "XObject", "Subtype" => "Form" };
        let form = doc.add_object(Stream::new(dict, b"0 0 0 1 K\n".to_vec()));
        let objects = dictionary! { "XObject" => dictionary! { "X" => form } };
        page(doc).set("Resources", objects);
        page(doc).remove(b"Contents");
    });
    assert_eq!(rules_of(&form), ["6.2.4.3 device colour"]);
}

#[test]
fn a_missing_or_foreign_claim_is_found() {
    let name = "memoire-gs-a2b.pdf";
    let bare = altered(name, |doc| {
        doc.catalog_mut().unwrap().remove(b"Metadata");
    });
    assert_eq!(precheck(&bare).claim, None);
    assert_eq!(rules_of(&bare), ["6.6 metadata"]);
    let claiming = |xmp: &'static str| {
        altered(name, move |doc| {
            let id = doc.add_object(Stream::new(dictionary! {"Type" => "Metadata"}, xmp.into()));
            doc.catalog_mut().unwrap().set("Metadata", id);
        })
    };
    let none = claiming("<x/>");
    assert_eq!(rules_of(&none), ["6.6.4 PDF/A identification"]);
    let fourth = claiming("<x xmlns:a='http://www.aiim.org/pdfa/ns/id/' a:part='4'/>");
    assert_eq!(rules_of(&fourth), ["6.6.4 PDF/A identification"]);
    let attributes =
        claiming("<x xmlns:a='http://www.aiim.org/pdfa/ns/id/' a:part='3' a:conformance='U'/>");
    assert_eq!(
        precheck(&attributes).claim,
        Some(PdfaClaim {
            part: 3,
            conformance: 'U'
        })
    );
    assert_eq!(rules_of(&attributes), [""; 0]);
    let claim = precheck(&attributes).claim.map(|claim| claim.to_string());
    assert_eq!(claim.as_deref(), Some("PDF/A-3u"));
    let broken = claiming("<x>");
    assert_eq!(rules_of(&broken), ["6.6 metadata"]);
}

#[test]
fn structures_that_lead_nowhere_are_found() {
    let name = "memoire-gs-a2b.pdf";
    let circle = altered(name, |doc| {
        let root = doc
            .catalog()
            .unwrap()
            .get(b"Pages")
            .unwrap()
            .as_reference()
            .unwrap();
        doc.get_dictionary_mut(root)
            .unwrap()
            .set("Kids", vec![root.into()]);
    });
    assert_eq!(rules_of(&circle), ["structure"]);
    let missing = altered(name, |doc| {
        page(doc).set("Contents", Object::Reference((9999, 0)))
    });
    assert_eq!(
        rules_of(&missing),
        [""; 0],
        "a missing object is null, and a page may be empty"
    );
    let lost = altered(name, |doc| {
        page(doc).set("Annots", vec![Object::Reference((9999, 0))])
    });
    assert_eq!(rules_of(&lost), ["structure"]);
    let bomb = altered(name, |doc| {
        // Two bytes stand for 128 (ISO 32000-1 §7.4.5).
        let packed = [129, b' '].repeat(PDF_INFLATED_BYTES_MAX / 128 + 1);
        let stream = Stream::new(dictionary! {"Filter" => "RunLengthDecode"}, packed);
        let id = doc.add_object(stream);
        page(doc).set("Contents", id);
    });
    assert_eq!(rules_of(&bomb), ["structure"]);
}

#[test]
fn part_one_rules_do_not_bind_part_two() {
    let in_streams = |name| {
        let mut doc = load(&fixture(name)).unwrap();
        let mut out = Vec::new();
        doc.save_modern(&mut out).unwrap();
        rules_of(&out)
    };
    assert_eq!(
        in_streams("memoire-gs-a1b.pdf"),
        ["6.1.4 cross-reference table"]
    );
    assert_eq!(in_streams("memoire-gs-a2b.pdf"), [""; 0]);
}

/// Signs and returns the update, the loaded result and the earlier bytes.
fn with_slot(pdf: &[u8]) -> (Vec<u8>, Document) {
    let slot = append_signature(pdf, REQUEST).unwrap();
    let bytes = slot.fill(&[0x30, 0]).unwrap();
    assert_eq!(
        bytes.get(..pdf.len()),
        Some(pdf),
        "bytes before the update change"
    );
    assert!(bytes.ends_with(b"%%EOF\n"));
    let doc = load(&bytes).unwrap();
    (bytes, doc)
}

fn field_names(doc: &Document) -> Vec<String> {
    let form = graph::get_dict(doc, doc.catalog().unwrap(), b"AcroForm").unwrap();
    let fields = graph::get_array(doc, form, b"Fields").unwrap();
    let name = |field: &Object| {
        let field = graph::as_dict(graph::resolve(doc, field)).unwrap();
        String::from_utf8_lossy(graph::get(doc, field, b"T").unwrap().as_str().unwrap())
            .into_owned()
    };
    fields.iter().map(name).collect()
}

#[test]
fn the_update_leaves_the_claim_intact() {
    for name in [
        "memoire-gs-a1b.pdf",
        "memoire-gs-a2b-objstm.pdf",
        "memoire-libreoffice-a1a.pdf",
        "memoire-libreoffice-a2b-linearized.pdf",
        "memoire-typst-a3b-linearized-objstm.pdf",
    ] {
        let pdf = fixture(name);
        let (bytes, doc) = with_slot(&pdf);
        assert_eq!(rules_of(&bytes), [""; 0], "{name}");
        let before = load(&pdf).unwrap();
        let ids = |doc: &Document| graph::get_array(doc, &doc.trailer, b"ID").unwrap().clone();
        assert_eq!(ids(&doc).first(), ids(&before).first(), "{name}");
        assert_ne!(ids(&doc).get(1), ids(&before).get(1), "{name}");
        for key in [b"Info".as_slice(), b"Root"] {
            assert_eq!(
                doc.trailer.get(key).ok(),
                before.trailer.get(key).ok(),
                "{name}"
            );
        }
    }
}

#[test]
fn the_signature_covers_all_but_its_contents() {
    let (bytes, _) = with_slot(&fixture("memoire-gs-a2b.pdf"));
    let values = SignedPdf::open(&bytes).unwrap().signatures();
    let [Ok(value)] = values.as_slice() else {
        panic!("{values:?}")
    };
    assert_eq!(value.field, "Signature1");
    assert_eq!(value.format, "ETSI.CAdES.detached");
    assert_eq!(value.signing_time, Some(SIGNING_TIME));
    assert_eq!(value.byte_range.first(), Some(&0));
    assert_eq!(value.end(), Some(bytes.len()));
    let [before, after] = value.signed(&bytes).unwrap();
    let gap = bytes.get(before.len()..bytes.len() - after.len()).unwrap();
    assert_eq!(gap.len(), 2 * ROOM + 2);
    assert!(gap.starts_with(b"<3000000") && gap.ends_with(b"0>"));
}

#[test]
fn a_signature_that_does_not_fit_is_refused() {
    let pdf = fixture("memoire-gs-a2b.pdf");
    let slot = || append_signature(&pdf, REQUEST).unwrap();
    assert!(slot().fill(&[1; ROOM]).is_ok());
    let error = slot().fill(&[1; ROOM + 1]).unwrap_err();
    assert!(matches!(error, PdfError::FillTooLarge { needed, room: ROOM } if needed == ROOM + 1));
    let room = PDF_CMS_BYTES_MAX + 1;
    let error = append_signature(&pdf, Request { room, ..REQUEST }).unwrap_err();
    assert!(matches!(error, PdfError::AppendRoom { .. }));
}

#[test]
fn every_shape_of_form_keeps_its_fields() {
    for (form_apart, fields_apart, annots_apart) in [
        (false, false, false),
        (true, false, true),
        (false, true, true),
        (true, true, false),
    ] {
        let pdf = altered("memoire-gs-a2b.pdf", |doc| {
            let field = annotate(
                doc,
                dictionary! {
                    "Subtype" => "Widget", "FT" => "Tx", "F" => 4, "T" => Object::string_literal("a(b\\c)"),
                    "Rect" => vec![0.into(), 0.into(), 0.into(), 0.into()],
                },
            );
            let list = |doc: &mut Document, apart: bool| -> Object {
                let list = Object::Array(vec![field.into()]);
                if apart {
                    doc.add_object(list).into()
                } else {
                    list
                }
            };
            let annots = list(doc, annots_apart);
            page(doc).set("Annots", annots);
            let fields = list(doc, fields_apart);
            let form = dictionary! { "Fields" => fields, "SigFlags" => 1, "DA" => Object::string_literal("/F 0 Tf") };
            let form: Object = if form_apart {
                doc.add_object(form).into()
            } else {
                form.into()
            };
            doc.catalog_mut().unwrap().set("AcroForm", form);
        });
        let (_, doc) = with_slot(&pdf);
        assert_eq!(field_names(&doc), ["a(b\\c)", "Signature1"]);
        let form = graph::get_dict(&doc, doc.catalog().unwrap(), b"AcroForm").unwrap();
        assert_eq!(graph::get_int(&doc, form, b"SigFlags"), Some(3));
        assert!(form.has(b"DA"));
        let pages = graph::pages(&doc).unwrap();
        let annots = graph::get_array(&doc, pages.first().unwrap().dict, b"Annots").unwrap();
        assert_eq!(annots.len(), 2);
    }
}

#[test]
fn a_further_signature_takes_a_free_name() {
    let (once, _) = with_slot(&fixture("memoire-gs-a2b-signed.pdf"));
    let (_, twice) = with_slot(&once);
    assert_eq!(
        field_names(&twice),
        ["Signature1", "Signature2", "Signature3"]
    );
}

#[test]
fn a_certification_against_changes_is_respected() {
    let sign = |pdf: &[u8]| append_signature(pdf, REQUEST);
    let certified = fixture("memoire-gs-a2b-certified-p1.pdf");
    assert!(matches!(sign(&certified), Err(PdfError::AppendForbidden)));
    assert_eq!(rules_of(&certified), ["certification"]);
    assert!(sign(&fixture("memoire-gs-a2b-certified-p2.pdf")).is_ok());
    let locked = |signed: bool| {
        altered("memoire-gs-a2b.pdf", move |doc| {
            let mut field = dictionary! { "FT" => "Sig", "Lock" => dictionary! { "P" => 1 } };
            if signed {
                field.set("V", dictionary! { "Type" => "Sig" });
            }
            doc.add_object(field);
        })
    };
    assert!(matches!(
        sign(&locked(true)),
        Err(PdfError::AppendForbidden)
    ));
    assert!(
        sign(&locked(false)).is_ok(),
        "a lock binds only once its field is signed"
    );
}

/// What can never be signed must be refused while its sender listens.
#[test]
fn what_cannot_take_a_signature_is_found() {
    assert_eq!(
        rules_of(&fixture("memoire-gs-a2b-certified-p2.pdf")),
        [""; 0]
    );
    let fields = altered("memoire-gs-a2b.pdf", |doc| {
        let form = dictionary! { "Fields" => 1 };
        doc.catalog_mut().unwrap().set("AcroForm", form);
    });
    assert_eq!(rules_of(&fields), ["signature"]);
    let bare = fixture("memoire-gs-a2b.pdf").len();
    let full = altered("memoire-gs-a2b.pdf", |doc| {
        let filler = vec![b' '; PDF_BYTES_MAX - bare - 1000];
        doc.add_object(Stream::new(Dictionary::new(), filler));
    });
    assert!(load(&full).is_ok(), "{} bytes", full.len());
    assert_eq!(rules_of(&full), ["signature"]);
}

/// Every mutant is read or refused; none panics.
#[test]
fn mutants_are_read_or_refused() {
    let mut state = 20_261_005_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap_or_default() % below
    };
    for name in ["memoire-gs-a2b-objstm.pdf", "memoire-gs-a2b-signed.pdf"] {
        let good = fixture(name);
        let mut read = 0;
        for _ in 0..400 {
            let mut mutant = good.clone();
            for _ in 0..1 + random(4) {
                let at = random(mutant.len());
                match random(3) {
                    0 => *mutant.get_mut(at).unwrap() = u8::try_from(random(256)).unwrap(),
                    1 => drop(mutant.drain(at..(at + random(40)).min(mutant.len() - 1).max(at))),
                    _ => mutant.insert(at, b"0129<>[]/() "[random(12)]),
                }
            }
            precheck(&mutant);
            if let Ok(slot) = append_signature(&mutant, REQUEST) {
                read += 1;
                assert_eq!(
                    slot.signed()[0].get(..mutant.len()),
                    Some(mutant.as_slice())
                );
            }
        }
        assert!(
            read > 0,
            "no mutant of {name} was signed: the test shows nothing"
        );
    }
}

/// Adds pages that share everything with the first one.
fn share_page(doc: &mut Document, pages: usize) {
    let first = doc.page_iter().next().unwrap();
    let dict = doc.get_dictionary(first).unwrap().clone();
    let tree = dict.get(b"Parent").unwrap().as_reference().unwrap();
    let mut kids: Vec<Object> = vec![first.into()];
    kids.extend((1..pages).map(|_| Object::from(doc.add_object(dict.clone()))));
    doc.get_dictionary_mut(tree).unwrap().set("Kids", kids);
}

fn with_metadata(xmp: String) -> Vec<u8> {
    altered("memoire-gs-a2b.pdf", |doc| {
        let dict = dictionary! { "Type" => "Metadata", "Subtype" => "XML" };
        let metadata = doc.add_object(Stream::new(dict, xmp.into_bytes()));
        let root = doc.trailer.get(b"Root").unwrap().as_reference().unwrap();
        let catalog = doc.get_dictionary_mut(root).unwrap();
        catalog.set("Metadata", metadata);
    })
}

/// Files of a few hundred kilobytes whose parts name each other a million
/// times over; each took a minute or more when it was looked at again and again.
/// Processor time of this thread: does not depend on what else runs.
#[cfg(unix)]
fn cpu_seconds() -> i64 {
    rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime).tv_sec
}

#[cfg(unix)]
#[test]
fn shared_parts_are_looked_at_once() {
    let bomb = altered("memoire-gs-a2b.pdf", |doc| {
        let spaces = vec![b' '; PDF_INFLATED_BYTES_MAX + 1];
        let mut stream = Stream::new(Dictionary::new(), spaces);
        stream.compress().unwrap();
        let content = doc.add_object(stream);
        page(doc).set("Contents", content);
        share_page(doc, 200);
    });
    let annotations = altered("memoire-gs-a2b.pdf", |doc| {
        let popup = doc.add_object(dictionary! { "Type" => "Annot", "Subtype" => "Popup" });
        let list = doc.add_object(Object::Array(vec![popup.into(); 20_000]));
        page(doc).set("Annots", list);
        share_page(doc, 2_000);
    });
    let contents = altered("memoire-gs-a2b.pdf", |doc| {
        let empty = doc.add_object(Stream::new(Dictionary::new(), Vec::new()));
        let list = doc.add_object(Object::Array(vec![empty.into(); 300_000]));
        page(doc).set("Contents", list);
        share_page(doc, 400);
    });
    let resources = altered("memoire-gs-a2b.pdf", |doc| {
        let form = Stream::new(dictionary! { "Subtype" => "Form" }, Vec::new());
        let form = doc.add_object(form);
        let forms = (0..50_000).map(|n| (format!("F{n}"), Object::from(form)));
        let forms = doc.add_object(Dictionary::from_iter(forms));
        page(doc).set("Resources", dictionary! { "XObject" => forms });
        share_page(doc, 2_000);
    });
    let attributes: String = (0..100_000).map(|n| format!(" a{n}=\"\"")).collect();
    let attributes = with_metadata(format!("<x{attributes}/>"));
    let start = cpu_seconds();
    assert_eq!(rules_of(&bomb), ["structure"]);
    assert_eq!(rules_of(&annotations), [""; 0]);
    assert_eq!(rules_of(&contents), ["structure"]);
    // The page keeps its contents but not the fonts they name.
    assert_eq!(rules_of(&resources), [""; 0]);
    assert_eq!(rules_of(&attributes), ["6.6 metadata"]);
    let used = cpu_seconds() - start;
    assert!(used < 60, "{used} s of CPU");
}
