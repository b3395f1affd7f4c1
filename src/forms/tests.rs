mod language;
mod registry;
mod schema;

use super::*;
use crate::base::Uuid4;
use crate::x509::Level;
use crate::xml::path::Slot;
use std::path::Path;
use std::sync::Arc;

const VALID: &str =
    include_str!("../../xsd/memoire-honoraires/2/examples/valid/depot/une-ligne.xml");
const DEFAULT_NAMESPACE: &str =
    include_str!("../../xsd/memoire-honoraires/2/examples/valid/depot/tiers-assure.xml");
const EMPTY_SLOTS: &str =
    include_str!("../../xsd/memoire-honoraires/2/examples/valid/depot/dentaire.xml");
const WITH_PDF: &str =
    include_str!("../../xsd/memoire-honoraires/2/examples/valid/depot/avec-document.xml");
const PDF: &[u8] = b"%PDF-1.7 test";
const PDF_BASE64: &str = "JVBERi0xLjcgdGVzdA==";

fn pack() -> Arc<Pack> {
    let packs = Packs::builtin().unwrap();
    packs.pack("memoire-honoraires", None).unwrap()
}

fn memoire_file(name: &str) -> Result<Vec<u8>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("xsd/memoire-honoraires/2");
    std::fs::read(folder.join(name)).map_err(|error| error.to_string())
}

fn compile(manifest: &str) -> Result<Pack, Vec<String>> {
    manifest::compile(manifest.as_bytes(), &memoire_file)
}

fn text<'s>(shown: &'s [Shown], name: &str) -> &'s str {
    let found = shown.iter().find(|one| one.name == name);
    match &found.unwrap_or_else(|| panic!("no {name}")).value {
        ShownValue::Text(text) => text,
        ShownValue::List(_) => panic!("{name} is a list"),
    }
}

fn codes(result: Result<Checked, Rejected>) -> Vec<Code> {
    let findings = result.unwrap_err().findings;
    findings.iter().map(|finding| finding.code).collect()
}

fn embed(xml: &str) -> String {
    String::from_utf8(pack().embed("depot", xml.as_bytes(), PDF).unwrap()).unwrap()
}

#[test]
fn facts_are_extracted() {
    let checked = pack().check("depot", VALID.as_bytes()).unwrap();
    let facts = checked.facts;
    assert_eq!(
        facts.uuid.to_string(),
        "3f2b8c1e-5a4d-4e6f-9b7a-0c1d2e3f4a5b"
    );
    assert_eq!(facts.code_prestataire.as_str(), "90000001");
    assert_eq!(facts.matricule.as_deref(), Some("1893120105732"));
    assert_eq!(text(&facts.shown, "patient_nom"), "Modèle");
    assert_eq!(text(&facts.shown, "total"), "62.60");
    assert_eq!(text(&facts.shown, "date"), "2026-09-14");
    assert_eq!(text(&facts.shown, "devise"), "EUR");
    assert_eq!(checked.xml, VALID.as_bytes());
    assert!(checked.embedded_pdf.is_none());
}

#[test]
fn debug_output_keeps_the_patient_out() {
    let checked = pack().check("depot", VALID.as_bytes()).unwrap();
    let shown = format!("{checked:?}");
    assert!(shown.contains("3f2b8c1e-5a4d-4e6f-9b7a-0c1d2e3f4a5b"));
    for private in ["Modèle", "1893120105732", "62.60", "60, 63, 120"] {
        assert!(!shown.contains(private), "{shown}");
    }
}

#[test]
fn a_byte_order_mark_is_dropped_and_not_counted() {
    let marked = format!("\u{FEFF}{VALID}");
    let checked = pack().check("depot", marked.as_bytes()).unwrap();
    assert_eq!(checked.xml, VALID.as_bytes());
    let wrong = marked.replace("<mh:devise>EUR", "<mh:devise>eur");
    let rejected = pack().check("depot", wrong.as_bytes()).unwrap_err();
    let position = rejected.findings[0].position.unwrap();
    assert_eq!((position.line, position.column), (55, 5));
}

#[test]
fn every_fault_is_told_in_document_order() {
    let wrong = VALID
        .replace("5a4d-4e6f", "5a4d-1e6f")
        .replace(">90000001<", ">00000001<")
        .replace("<mh:codePays>LU", "<mh:codePays>lu")
        .replace("<mh:aPayer>62.60", "<mh:aPayer>63.00");
    let found = codes(pack().check("depot", wrong.as_bytes()));
    let expected = [
        Code::FormUuidNotV4,
        Code::FormCodePrestataire,
        Code::FormSchema,
        Code::FormSchema,
        Code::FormSum,
    ];
    assert_eq!(found, expected);
}

#[test]
fn findings_are_bounded() {
    let wrong = VALID.replace("<mh:suffixeActe>", "");
    let many = "<mh:suffixeActe>1</mh:suffixeActe>".repeat(300);
    let wrong = wrong.replace("<mh:libelle>", &format!("{many}<mh:libelle>"));
    let found = codes(pack().check("depot", wrong.as_bytes()));
    assert_eq!(found.len(), 100);
}

#[test]
fn long_values_are_cut() {
    let name = "x".repeat(500);
    let wrong = VALID.replace("<mh:nom>Exemple", &format!("<mh:nom>{name}"));
    let rejected = pack().check("depot", wrong.as_bytes()).unwrap_err();
    let message = &rejected.findings[0].message;
    assert!(
        message.contains(&format!("\"{}\u{2026}\"", "x".repeat(60))),
        "{message}"
    );
}

#[test]
fn embedding_keeps_the_clients_bytes() {
    let end = "</mh:memoireHonoraires>\n";
    let expected = VALID.replace(
        end,
        &format!("<mh:signature></mh:signature><mh:document>{PDF_BASE64}</mh:document>{end}"),
    );
    assert_eq!(embed(VALID), expected);
    let expected = DEFAULT_NAMESPACE.replace(
        "</memoireHonoraires>",
        &format!("<signature></signature><document>{PDF_BASE64}</document></memoireHonoraires>"),
    );
    assert_eq!(embed(DEFAULT_NAMESPACE), expected);
    assert_eq!(embed(&format!("\u{FEFF}{VALID}")), embed(VALID));
}

#[test]
fn a_pack_says_where_the_signature_stands_and_how_far_it_goes() {
    let manifest = include_str!("../../xsd/memoire-honoraires/2/pack.toml");
    let manifest = manifest
        .replace("\"/mh:memoireHonoraires/mh:signature\"", "\"end-of-root\"")
        .replace("before = ", "# before = ")
        .replace("\"XAdES-B-LT\"", "\"XAdES-B-T\"")
        .replace("\"PAdES-B-B\"", "\"PAdES-B-T\"");
    let pack = compile(&manifest).unwrap();
    let operation = pack.operation("depot").unwrap();
    let place = operation.signed().unwrap();
    assert_eq!(place.slot, Slot::EndOfRoot);
    assert_eq!(place.level, Level::T);
    assert_eq!(operation.document.as_ref().unwrap().level, Level::T);
    let end = "</mh:memoireHonoraires>\n";
    let expected = VALID.replace(
        end,
        &format!("<mh:document>{PDF_BASE64}</mh:document>{end}"),
    );
    let embedded = pack.embed("depot", VALID.as_bytes(), PDF).unwrap();
    assert_eq!(String::from_utf8(embedded).unwrap(), expected);
}

#[test]
fn embedding_fills_and_replaces() {
    let filled = format!("<dent:document>{PDF_BASE64}</dent:document>");
    let expected = EMPTY_SLOTS.replace("<dent:document/>", &filled);
    assert_eq!(embed(EMPTY_SLOTS), expected);
    // A comment inside goes with the content it stands in.
    let open = EMPTY_SLOTS.replace(
        "<dent:document/>",
        "<dent:document> <!-- --> </dent:document >",
    );
    let filled = format!("<dent:document>{PDF_BASE64}</dent:document >");
    assert_eq!(
        embed(&open),
        EMPTY_SLOTS.replace("<dent:document/>", &filled)
    );
    let (head, rest) = WITH_PDF.split_once("<mh:document>").unwrap();
    let (_, tail) = rest.split_once("</mh:document>").unwrap();
    let replaced =
        format!("{head}<mh:signature></mh:signature><mh:document>{PDF_BASE64}</mh:document>{tail}");
    assert_eq!(embed(WITH_PDF), replaced);
    let checked = pack().check("depot", WITH_PDF.as_bytes()).unwrap();
    assert!(checked.embedded_pdf.unwrap().starts_with(b"%PDF-1.7\n"));
}

#[test]
fn embedding_refuses_what_is_not_valid_afterwards() {
    let wrong = VALID.replace("<mh:devise>EUR", "<mh:devise>eur");
    let error = pack().embed("depot", wrong.as_bytes(), PDF).unwrap_err();
    assert!(matches!(error, FormsError::EmbedRejected(_)));
    let error = pack()
        .embed("depot", VALID.as_bytes(), b"no pdf")
        .unwrap_err();
    assert!(matches!(error, FormsError::Embed(_)));
    let error = pack().embed("depot", b"<a/>", PDF).unwrap_err();
    assert!(matches!(error, FormsError::Embed(_)));
}

#[test]
fn a_complete_document_may_be_signed_but_needs_its_pdf() {
    let pack = pack();
    assert_eq!(
        codes(pack.check_complete("depot", VALID.as_bytes())),
        [Code::FormDocumentMissing]
    );
    let signed = embed(VALID).replace(
        "<mh:signature></mh:signature>",
        "<mh:signature><ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"/></mh:signature>",
    );
    assert!(pack.check_complete("depot", signed.as_bytes()).is_ok());
    assert_eq!(
        codes(pack.check("depot", signed.as_bytes())),
        [Code::FormSignaturePresent]
    );
    assert_eq!(
        codes(pack.check("simulation", VALID.as_bytes())),
        [Code::FormOperation]
    );
}

#[test]
fn answers_are_read() {
    let pack = pack();
    let accepted =
        include_bytes!("../../xsd/memoire-honoraires/2/examples/answers/depot/accepte.xml");
    let answer = pack.answer("depot", accepted).unwrap();
    assert!(answer.accepted);
    assert_eq!(answer.insurer_id.as_deref(), Some("SECU-TEST-000001"));
    let refused = include_str!("../../xsd/memoire-honoraires/2/examples/answers/depot/refuse.xml");
    let answer = pack.answer("depot", refused.as_bytes()).unwrap();
    assert!(!answer.accepted);
    let first = &answer.anomalies[0];
    assert_eq!(
        (first.kind.as_str(), first.code.as_str()),
        ("bloquante", "TEST-042")
    );
    assert!(first.text.as_ref().unwrap().contains("cumulable"));
    assert_eq!(answer.anomalies[1].text, None);
    // No clear verdict is no verdict.
    for (from, to) in [
        ("refuse<", "REFUSE<"),
        ("<mh:statut>refuse</mh:statut>", ""),
        ("-4e6f-", "-1e6f-"),
        ("mh:memoireHonorairesRetour", "mh:autre"),
    ] {
        let odd = refused.replace(from, to);
        assert_ne!(odd, refused);
        let error = pack.answer("depot", odd.as_bytes()).unwrap_err();
        assert!(matches!(error, FormsError::Answer(_)), "{to}");
    }
    let error = pack.answer("depot", b"<a>").unwrap_err();
    assert!(matches!(error, FormsError::AnswerParse(_)));
}

#[test]
fn status_is_asked_and_read() {
    let pack = pack();
    let uuid = Uuid4::random();
    let request = pack.status_request("depot", &uuid).unwrap();
    assert!(String::from_utf8_lossy(&request).contains(&uuid.to_string()));
    assert_eq!(pack.schema.validate(&request).unwrap(), []);
    let unknown =
        include_bytes!("../../xsd/memoire-honoraires/2/examples/answers/depot/etat-inconnu.xml");
    let status = pack.status_answer("depot", unknown).unwrap();
    assert!(!status.known && status.answer.is_none());
    let known =
        include_bytes!("../../xsd/memoire-honoraires/2/examples/answers/depot/etat-connu.xml");
    let status = pack.status_answer("depot", known).unwrap();
    assert!(status.known && status.answer.unwrap().accepted);
}

#[test]
fn every_code_is_told_apart_and_has_texts() {
    let names: std::collections::BTreeSet<&str> =
        Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(names.len(), Code::ALL.len());
    for code in Code::ALL {
        let text = code.doctor_text();
        for text in [text.fr, text.de, text.en] {
            assert!(text.len() > 40 && text.ends_with('.'), "{code}");
        }
    }
}

#[test]
fn a_fact_the_schema_does_not_demand_is_told() {
    let manifest = include_str!("../../xsd/memoire-honoraires/2/pack.toml");
    let manifest = manifest.replace("mh:facturier/mh:codePrestataire", "mh:codeHopital");
    let pack = compile(&manifest);
    let found = codes(pack.unwrap().check("depot", VALID.as_bytes()));
    assert_eq!(found, [Code::FormFact]);
}

#[test]
fn a_sum_beyond_all_numbers_is_wrong() {
    let manifest = include_str!("../../xsd/memoire-honoraires/2/pack.toml");
    let pack = manifest::compile(manifest.as_bytes(), &|name| {
        let text = String::from_utf8(memoire_file(name)?).unwrap();
        Ok(text
            .replace("<xs:totalDigits value=\"10\"/>", "")
            .into_bytes())
    });
    let line = VALID.find("<mh:prestation>").unwrap()..VALID.find("<mh:paiement>").unwrap();
    let line = &VALID[line];
    let huge = line.replace(
        "<mh:montantBrut>62.60",
        "<mh:montantBrut>79000000000000000000000000000",
    );
    let second = huge.replace("<mh:numeroLigne>1<", "<mh:numeroLigne>2<");
    assert!(second != huge && huge != line);
    let xml = VALID.replace(line, &format!("{huge}{second}"));
    let found = codes(pack.unwrap().check("depot", xml.as_bytes()));
    assert_eq!(found, [Code::FormSum]);
}

/// What one of the two parsers lets pass must not pass.
#[test]
fn documents_one_parser_is_lenient_with_are_refused() {
    for (from, to) in [
        (
            "<mh:paiement>",
            "<mh:paiement xmlns:p='http://www.w3.org/2000/xmlns/'>",
        ),
        ("<mh:paiement>", "<mh:paiement xmlns:xml='urn:test'>"),
        (
            "<mh:paiement>",
            "<mh:paiement xmlns:a='u' xmlns:b='u' a:x='1' b:x='2'>",
        ),
        ("<mh:lieu>01</mh:lieu>", "<mh:lieu:x>01</mh:lieu:x>"),
        (
            "<mh:lieu>01</mh:lieu>",
            "<mh:lieu>01</mh:lieu ><!-- a -- b -->",
        ),
        ("<mh:libelle>", "<mh:libelle>]]>"),
        ("<mh:libelle>", "<mh:libelle>&#0;"),
        ("<mh:libelle>", "<mh:libelle>\u{FFFF}"),
        (
            "encoding=\"UTF-8\"?>",
            "encoding=\"UTF-8\" standalone=\"maybe\"?>",
        ),
        ("</mh:memoireHonoraires>", "</mh:memoireHonoraires>text"),
        ("<?xml", " <?xml"),
    ] {
        let wrong = VALID.replacen(from, to, 1);
        assert_ne!(wrong, VALID);
        let found = codes(pack().check("depot", wrong.as_bytes()));
        assert_eq!(found, [Code::XmlMalformed], "{to}");
    }
}
