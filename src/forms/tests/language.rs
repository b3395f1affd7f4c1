//! What a pack can say, each key with what it does and what is refused.

use super::text;
use crate::base::Uuid4;
use crate::forms::manifest;
use crate::forms::*;
use time::macros::date;

pub(super) const MANIFEST: &str = include_str!("essai/pack.toml");
pub(super) const SCHEMA: &str = include_str!("essai/essai.xsd");
pub(super) const CODES: &str = include_str!("essai/codes.csv");
const UUID: &str = "3f2b8c1e-5a4d-4e6f-9b7a-0c1d2e3f4a5b";

pub(super) fn file(name: &str) -> Result<Vec<u8>, String> {
    match name {
        "essai.xsd" => Ok(SCHEMA.into()),
        "codes.csv" => Ok(CODES.into()),
        _ => Err("is not there".to_owned()),
    }
}

fn compile(manifest: &str) -> Result<Pack, Vec<String>> {
    manifest::compile(manifest.as_bytes(), &file)
}

fn pack() -> Pack {
    compile(MANIFEST).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

fn document(inside: &str) -> String {
    format!(
        "<e:essai xmlns:e=\"urn:sceau:test:essai:1\"><e:uuid>{UUID}</e:uuid>\
         <e:facturier>90000001</e:facturier>{inside}</e:essai>"
    )
}

/// Codes and places of all findings, warnings too.
fn found(inside: &str) -> Vec<String> {
    let findings = match pack().check("depot", document(inside).as_bytes()) {
        Ok(checked) => checked.warnings,
        Err(rejected) => rejected.findings,
    };
    let told = findings.iter().map(|finding| {
        let xpath = finding.xpath.clone().unwrap_or_default();
        format!("{} {}", finding.code, xpath.replace("/e:essai", ""))
    });
    told.collect()
}

fn answer(inside: &str) -> Result<Answer, FormsError> {
    let xml = format!(
        "<e:retour xmlns:e=\"urn:sceau:test:essai:1\"><e:uuid>{UUID}</e:uuid>{inside}</e:retour>"
    );
    pack().answer("depot", xml.as_bytes())
}

#[test]
fn every_fault_of_a_pack_is_told_with_its_key() {
    let wrong = MANIFEST
        .replace("addressee = ", "adressee = ")
        .replace("from = 2026-01-05", "from = \"2026-01-05\"")
        .replace("/e:essai/e:executant", "/x:essai/e:executant")
        .replace("list = \"diagnostics\"", "list = \"diagnosis\"")
        .replace(
            "operations = [\"depot\"]\nby",
            "operations = [\"depots\"]\nby",
        )
        .replace("XAdES-B-LT", "XAdES-B-LTA")
        .replace("refused = [\"refuse\"]", "refused = [\"accepte\"]")
        .replace("{fin}", "{matricule}");
    let faults = compile(&wrong).err().unwrap();
    let keys: Vec<&str> = faults
        .iter()
        .filter_map(|f| f.split_once(':'))
        .map(|(k, _)| k)
        .collect();
    let expected = [
        "addressee",
        "adressee",
        "operations.depot.answer.refused",
        "operations.depot.codes[0].list",
        "operations.depot.facts.executant",
        "operations.depot.qr.text",
        "operations.depot.refers[0].operations",
        "operations.depot.signature.level",
        "periods[0].from",
    ];
    assert_eq!(keys, expected, "{faults:#?}");
}

/// What is written, what instead, and how the fault begins.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("format = 1", "format = 2", "format: "),
    (
        "\"ESSAI-P\"",
        "\"sceau-essai-1\"",
        "operations.depot.model_id.production: `sceau-essai-1` is a model of the sandbox",
    ),
    (
        "\"ESSAI-P\"",
        "\"2022_CNS_MEMHON_DEPOT-V1\"",
        "operations.depot.model_id.production: `2022_CNS_MEMHON_DEPOT-V1` is a model of the first",
    ),
    ("form = \"essai\"", "form = \"../essai\"", "form: must be"),
    ("version = \"1\"", "version = 1", "version: must be a text"),
    ("[\"essai.xsd\"]", "[]", "schemas: names no file"),
    (
        "[\"essai.xsd\"]",
        "[\"autre.xsd\"]",
        "schemas: autre.xsd: is not there",
    ),
    (
        "\"codes.csv\"",
        "\"autre.csv\"",
        "lists.diagnostics: autre.csv: is not there",
    ),
    (
        "until = 2026-06-30",
        "until = 2025-06-30",
        "periods[0].until: lies before",
    ),
    (
        "until = 2026-06-30",
        "until = 2026-06-30T00:00:00",
        "periods[0].until: must be a day",
    ),
    (
        "\"production\"]",
        "\"prod\"]",
        "periods[0].environments: has \"prod\"",
    ),
    (
        "[\"depot\"]\nfrom",
        "[\"depots\"]\nfrom",
        "periods[0].operations: has \"depots\"",
    ),
    (
        "\"interactive\"",
        "\"fast\"",
        "operations.depot.exchange: is \"fast\"",
    ),
    (
        "\"ESSAI-T\"",
        "\"ESSAI T\"",
        "operations.depot.model_id.test: `ESSAI T`",
    ),
    (
        "test = \"ESSAI-T\"",
        "tset = \"ESSAI-T\"",
        "operations.depot.model_id.tset: is not a known",
    ),
    (
        "\"/e:essai/e:uuid\"\ncode_prestataire = \"/e:essai/e:facturier\"\nmatricule",
        "\"e:uuid\"\ncode_prestataire = \"/e:essai/e:facturier\"\nmatricule",
        "operations.depot.facts.uuid: the path `e:uuid` must begin",
    ),
    (
        "\"/e:essai/e:executant\"",
        "\"/e:autre/e:executant\"",
        "operations.depot.facts.executant: the path `/e:autre/e:executant` does not begin with the root",
    ),
    (
        "name = \"urgent\"",
        "name = \"fin\"",
        "operations.depot.show[1].name: \"fin\" is there twice",
    ),
    (
        "name = \"urgent\"",
        "name = \"Urgent\"",
        "operations.depot.show[1].name: \"Urgent\" must be",
    ),
    (
        "kind = \"boolean\"",
        "kind = \"bool\"",
        "operations.depot.show[1].kind: is \"bool\"",
    ),
    (
        "path = \"e:acte\"",
        "path = \"/e:essai/e:acte\"",
        "operations.depot.show[3].fields[1].path: the path `/e:essai/e:acte` must not",
    ),
    (
        "name = \"acte\"",
        "name = \"numero\"",
        "operations.depot.show[3].fields[1].name: \"numero\" is there twice",
    ),
    (
        "plus = [\"/e:essai/e:ligne/e:montant\"]",
        "plus = []",
        "operations.depot.sums[0].plus: names nothing",
    ),
    (
        "plus = [\"/e:essai/e:ligne/e:montant\"]",
        "plus = [\"e:montant\"]",
        "operations.depot.sums[0].plus: the path `e:montant` must begin",
    ),
    (
        "severity = \"warning\"",
        "severity = \"hint\"",
        "operations.depot.sums[0].severity: is \"hint\"",
    ),
    (
        "de = \"Die Summe ist falsch.\", ",
        "",
        "operations.depot.sums[0].text.de: is missing",
    ),
    (
        "days_max = 3",
        "days_max = -3",
        "operations.depot.dates[0].days_max: must be",
    ),
    (
        "require = [\"e:acte\"]",
        "",
        "operations.depot.conditions[1].require: neither",
    ),
    (
        "name = \"renvoi d'une ligne\"",
        "name = \"cas 2\"",
        "operations.depot.conditions[1].name: \"cas 2\" is there twice",
    ),
    (
        "unknown = \"warn\"",
        "",
        "operations.depot.refers[0].unknown: is missing",
    ),
    (
        "once = \"suite\"",
        "once = \"Suite?\"",
        "operations.depot.refers[0].once: must be",
    ),
    (
        "slot = \"/e:essai/e:signature\"",
        "slot = \"/e:essai/@signature\"",
        "operations.depot.signature.slot: the path",
    ),
    (
        "\"PAdES-B-B\"",
        "\"PAdES-B-LT\"",
        "operations.depot.document.level: an embedded",
    ),
    (
        "required = false",
        "",
        "operations.depot.document.required: is missing",
    ),
    (
        "status = \"e:statut\"\n",
        "",
        "operations.depot.answer.accepted: has words, but",
    ),
    (
        "anomaly_code = \"e:code\"\n",
        "",
        "operations.depot.answer.anomaly_code: is missing",
    ),
    (
        "anomaly = \"e:anomalie\"\n",
        "",
        "operations.depot.answer.anomaly: is missing",
    ),
    (
        "{uuid}</e:etat>",
        "</e:etat>",
        "operations.depot.status.request: has no place",
    ),
    ("page = -1", "page = 0", "operations.depot.qr.page: must be"),
    (
        "size_mm = 20",
        "size_mm = 400",
        "operations.depot.qr.size_mm: must be a number from 5",
    ),
    (
        "{form}:",
        "{formulaire}:",
        "operations.depot.qr.text: {formulaire}",
    ),
    ("{fin}", "{fin", "operations.depot.qr.text: {}"),
    (
        "hide = [\"/e:essai/e:diagnostic\", ",
        "hide = [\"/e:essai\", ",
        "operations.depot.copies[0].hide: can leave out",
    ),
    (
        "[[operations.depot.copies]]",
        "[[operations.depot.copies]]\nname = \"employeur\"\ntitle = { fr = \"a\", de = \"a\", en = \"a\" }\n\
         hide = [\"/e:essai/e:cas\"]\n[[operations.depot.copies]]",
        "operations.depot.copies[1].name: \"employeur\" is there twice",
    ),
    (
        "ESSAI-QUESTION-1",
        "ESSAI-1",
        "operations.question.model_id: has the sandbox model of the operation depot",
    ),
    (
        "ESSAI-STATUS-1",
        "ESSAI-QUESTION-1",
        "operations.depot.status.model_id: has the sandbox model of the operation question",
    ),
];

#[test]
fn each_mistake_is_refused_with_its_key() {
    for (from, to, fault) in MISTAKES.iter().copied() {
        let wrong = MANIFEST.replace(from, to);
        assert_ne!(wrong, MANIFEST, "{from}");
        let faults = compile(&wrong)
            .err()
            .unwrap_or_else(|| panic!("{to} passed"));
        assert!(
            faults.iter().any(|one| one.starts_with(fault)),
            "{to}: {faults:#?}"
        );
    }
}

#[test]
fn what_is_no_toml_or_no_schema_is_one_fault() {
    let faults = compile("format = ").err().unwrap();
    assert!(faults[0].starts_with("pack.toml: "), "{faults:?}");
    let faults = manifest::compile(b"\xff", &file).err().unwrap();
    assert_eq!(faults, ["pack.toml: not encoded in UTF-8"]);
    let broken = |name: &str| match name {
        "essai.xsd" => Ok(SCHEMA.replace("e:code\"", "e:autre\"").into_bytes()),
        _ => file(name),
    };
    let faults = manifest::compile(MANIFEST.as_bytes(), &broken)
        .err()
        .unwrap();
    assert!(
        faults.len() == 1 && faults[0].starts_with("schemas: "),
        "{faults:?}"
    );
    let empty = |name: &str| match name {
        "codes.csv" => Ok(b"# nothing\n\n;text\n".to_vec()),
        _ => file(name),
    };
    let faults = manifest::compile(MANIFEST.as_bytes(), &empty)
        .err()
        .unwrap();
    assert_eq!(faults, ["lists.diagnostics: codes.csv has no code"]);
}

#[test]
fn periods_hold_for_their_environments_and_operations() {
    let pack = pack();
    let (early, good, late) = (
        date!(2026 - 01 - 04),
        date!(2026 - 01 - 05),
        date!(2026 - 07 - 01),
    );
    let closed = pack
        .allowed("depot", EnvironmentKind::Test, early)
        .unwrap_err();
    assert_eq!(closed.rule.as_deref(), Some("test rule 1"));
    assert_eq!(closed.from, Some(good));
    for day in [good, date!(2026 - 06 - 30)] {
        assert_eq!(
            pack.allowed("depot", EnvironmentKind::Production, day),
            Ok(())
        );
    }
    assert!(
        pack.allowed("depot", EnvironmentKind::Production, late)
            .is_err()
    );
    assert_eq!(
        pack.allowed("depot", EnvironmentKind::Sandbox, late),
        Ok(())
    );
    assert_eq!(
        pack.allowed("question", EnvironmentKind::Test, early),
        Ok(())
    );
    // The second one is about everything.
    let closed = pack.allowed("question", EnvironmentKind::Sandbox, date!(2031 - 01 - 01));
    assert_eq!(closed.unwrap_err().until, Some(date!(2030 - 12 - 31)));
}

#[test]
fn model_ids_are_the_environments_own_or_the_packs_for_its_kind() {
    let pack = pack();
    let mut environment = Environment {
        name: "test".into(),
        kind: EnvironmentKind::Test,
        models: [("essai/1/depot/status".to_owned(), "OWN".to_owned())].into(),
    };
    assert_eq!(
        environment.model_id(&pack, "depot").as_deref(),
        Some("ESSAI-T")
    );
    assert_eq!(
        environment.status_model_id(&pack, "depot").as_deref(),
        Some("OWN")
    );
    assert_eq!(environment.model_id(&pack, "question"), None);
    environment.kind = EnvironmentKind::Sandbox;
    environment.models.clear();
    assert_eq!(
        environment.model_id(&pack, "question").as_deref(),
        Some("ESSAI-QUESTION-1")
    );
    assert_eq!(
        environment.status_model_id(&pack, "depot").as_deref(),
        Some("ESSAI-STATUS-1")
    );
    assert_eq!(environment.status_model_id(&pack, "question"), None);
}

#[test]
fn facts_and_shown_values_come_in_one_form() {
    let xml = document(
        "<e:executant>90000002</e:executant><e:executant>90000003</e:executant>\
         <e:executant>90000002</e:executant><e:matricule>1893120105732</e:matricule>\
         <e:precedent>SECU-1</e:precedent><e:precedent> </e:precedent>\
         <e:fin>2026-02-01+01:00</e:fin><e:urgent>1</e:urgent><e:total>+07.50</e:total>\
         <e:ligne numero='1'><e:acte>A &amp; B</e:acte><e:montant>+07.50</e:montant></e:ligne>\
         <e:ligne numero='02'/>",
    );
    let checked = pack().check("depot", xml.as_bytes()).unwrap();
    let facts = &checked.facts;
    let executants: Vec<&str> = facts
        .executants
        .iter()
        .map(CodePrestataire::as_str)
        .collect();
    assert_eq!(executants, ["90000002", "90000003"]);
    assert_eq!(text(&facts.shown, "fin"), "2026-02-01");
    assert_eq!(text(&facts.shown, "urgent"), "true");
    assert!(
        facts
            .shown
            .iter()
            .all(|one| one.personal == (one.name != "fin"))
    );
    let list = facts.shown.iter().find(|one| one.name == "lignes").unwrap();
    let ShownValue::List(rows) = &list.value else {
        panic!("no list");
    };
    assert_eq!(text(&rows[0], "montant"), "7.50");
    assert_eq!(text(&rows[0], "acte"), "A & B");
    // What is not there is left out, not empty.
    assert_eq!(rows[1].len(), 1);
    assert_eq!(text(&rows[1], "numero"), "2");
    let [referred] = facts.references.as_slice() else {
        panic!("{:?}", facts.references);
    };
    assert_eq!((referred.rule, referred.value.as_str()), (0, "SECU-1"));
    assert_eq!(referred.xpath, "/e:essai/e:precedent[1]");
    let json = serde_json::to_string(&facts.shown).unwrap();
    assert_eq!(
        serde_json::from_str::<Vec<Shown>>(&json).unwrap(),
        facts.shown
    );
    assert!(json.contains("\"value\":\"2026-02-01\""), "{json}");
    let debug = format!("{checked:?} {:?}", facts.shown);
    assert!(
        !debug.contains("1893120105732") && !debug.contains("A & B"),
        "{debug}"
    );
}

#[test]
fn what_cannot_be_read_as_its_kind_is_told_once() {
    assert_eq!(
        found(
            "<e:executant>1</e:executant><e:urgent>yes</e:urgent><e:ligne><e:montant>7,50</e:montant></e:ligne>"
        ),
        [
            "form.code-prestataire /e:executant",
            "form.fact /e:urgent",
            "form.sum /e:ligne/e:montant"
        ]
    );
    // The matricule is a fact and shown; its doubt is told once.
    assert_eq!(
        found("<e:matricule>1893120105731</e:matricule>"),
        ["form.matricule /e:matricule"]
    );
    // The schema refuses the day: no second word about it.
    assert_eq!(found("<e:fin>2026-02-30</e:fin>"), ["form.schema /e:fin"]);
}

#[test]
fn a_checks_severity_and_text_are_the_packs() {
    let xml = document("<e:total>8</e:total><e:ligne><e:montant>7</e:montant></e:ligne>");
    let checked = pack().check("depot", xml.as_bytes()).unwrap();
    let [warning] = checked.warnings.as_slice() else {
        panic!("{:?}", checked.warnings);
    };
    assert_eq!(
        (warning.code, warning.severity),
        (Code::FormSum, Severity::Warning)
    );
    assert_eq!(warning.doctor_text().de, "Die Summe ist falsch.");
    // Without any part there is nothing to compare.
    assert!(found("<e:total>8</e:total>").is_empty());
}

#[test]
fn days_lie_in_order_and_not_too_far_apart() {
    let days =
        |from: &str, to: &str| found(&format!("<e:debut>{from}</e:debut><e:fin>{to}</e:fin>"));
    assert!(days("2026-02-27", "2026-03-02").is_empty());
    assert_eq!(days("2026-02-27", "2026-03-03"), ["form.date /e:debut"]);
    assert_eq!(days("2026-03-02", "2026-03-01"), ["form.date /e:debut"]);
    assert!(days("2026-03-01", "2026-03-01").is_empty());
    assert!(found("<e:fin>2026-03-01</e:fin>").is_empty());
}

#[test]
fn codes_stand_in_their_list() {
    let codes = |list: &[&str]| {
        let inside = list
            .iter()
            .map(|code| format!("<e:diagnostic>{code}</e:diagnostic>"));
        found(&inside.collect::<String>())
    };
    assert!(codes(&["A01", "B02", "C03"]).is_empty());
    assert_eq!(codes(&["A01", "first"]), ["form.schema /e:diagnostic[2]"]);
    assert_eq!(
        codes(&["a01", "A01", ""]),
        ["form.code /e:diagnostic[1]", "form.code /e:diagnostic[3]"]
    );
    let xml = document("<e:diagnostic>D04</e:diagnostic>");
    let rejected = pack().check("depot", xml.as_bytes()).unwrap_err();
    assert_eq!(rejected.findings[0].expected, ["A01", "B02", "C03"]);
    assert!(rejected.findings[0].message.contains("\"D04\""));
}

#[test]
fn references_lead_to_something_in_the_document() {
    let lines = |first: &str| {
        found(&format!(
            "<e:ligne numero='1'><e:acte>X</e:acte><e:renvoi>{first}</e:renvoi></e:ligne><e:ligne numero='2'/>"
        ))
    };
    assert!(lines("2").is_empty());
    assert_eq!(lines("3"), ["form.reference /e:ligne[1]/e:renvoi"]);
    assert!(found("<e:ligne numero='1'/>").is_empty());
}

#[test]
fn a_case_requires_and_forbids() {
    assert!(found("<e:cas>2</e:cas><e:motif>m</e:motif>").is_empty());
    assert!(found("<e:cas>1</e:cas><e:diagnostic>A01</e:diagnostic>").is_empty());
    assert_eq!(
        found("<e:cas>2</e:cas><e:motif> </e:motif><e:diagnostic>A01</e:diagnostic>"),
        ["form.condition /e:cas", "form.condition /e:diagnostic"]
    );
    // Without `is` an empty element makes no case.
    assert!(found("<e:ligne numero=''><e:renvoi/></e:ligne>").is_empty());
    assert_eq!(
        found("<e:ligne numero='1'><e:renvoi>1</e:renvoi></e:ligne>"),
        ["form.condition /e:ligne/e:renvoi"]
    );
}

#[test]
fn answers_are_read_as_the_pack_says() {
    let read = answer(
        "<e:numero>N1</e:numero><e:statut>accepte-avec-remarques</e:statut>\
         <e:anomalie><e:code>C1</e:code><e:ligne>4</e:ligne></e:anomalie><e:part>+01.20</e:part>\
         <e:lignes><e:ligne><e:part>odd</e:part></e:ligne></e:lignes>",
    );
    let read = read.unwrap();
    assert!(read.accepted);
    assert_eq!(read.insurer_id.as_deref(), Some("N1"));
    let anomaly = &read.anomalies[0];
    assert_eq!((anomaly.code.as_str(), anomaly.kind.as_str()), ("C1", ""));
    assert_eq!(
        (anomaly.text.as_deref(), anomaly.line.as_deref()),
        (None, Some("4"))
    );
    assert_eq!(text(&read.shown, "part"), "1.20");
    let ShownValue::List(rows) = &read.shown[1].value else {
        panic!("no list");
    };
    // An odd value of an answer is shown as it came: it hides no verdict.
    assert_eq!(text(&rows[0], "part"), "odd");
    let json = serde_json::to_value(&read).unwrap();
    assert_eq!(json["uuid"], UUID);
    assert!(!answer("<e:statut>refuse</e:statut>").unwrap().accepted);
    for odd in ["", "<e:statut/>", "<e:statut>peut-etre</e:statut>"] {
        assert!(matches!(answer(odd), Err(FormsError::Answer(_))), "{odd}");
    }
    // An operation without a status is accepted by any answer.
    let xml = format!("<r xmlns=\"urn:sceau:test:essai:1\"><uuid>{UUID}</uuid></r>")
        .replace("r ", "retour ")
        .replace("/r>", "/retour>");
    let read = pack().answer("question", xml.as_bytes()).unwrap();
    assert!(read.accepted && read.insurer_id.is_none() && read.anomalies.is_empty());
}

#[test]
fn an_unsigned_operation_is_assembled_as_it_is() {
    let (pack, xml) = (pack(), document(""));
    let question = pack.operation("question").unwrap();
    assert!(question.signature.is_none() && question.document.is_none());
    assert!(matches!(
        question.signed(),
        Err(FormsError::NoSuchOperation(_))
    ));
    assert_eq!(question.exchange, Exchange::Queued);
    let whole = pack.assemble("question", xml.as_bytes(), None).unwrap();
    assert_eq!(whole, xml.as_bytes());
    assert!(pack.read_whole("question", &whole).is_ok());
    let error = pack.assemble("question", xml.as_bytes(), Some(b"%PDF-1.7"));
    assert!(matches!(error, Err(FormsError::NoSuchOperation(_))));
    // With a signature and without a PDF, only the wrapper is made.
    let whole = pack.assemble("depot", xml.as_bytes(), None).unwrap();
    let made = xml.replace("</e:essai>", "<e:signature></e:signature></e:essai>");
    assert_eq!(String::from_utf8(whole).unwrap(), made);
}

#[test]
fn a_copy_shows_nothing_of_what_it_hides() {
    let pack = pack();
    let xml = document(
        "<e:cas>1</e:cas><!-- B02 --><e:motif>B02</e:motif><e:diagnostic>A01</e:diagnostic>\
         <e:diagnostic>B02<!-- A01 --></e:diagnostic><e:total>0</e:total>\
         <e:signature><s:Signature xmlns:s='http://www.w3.org/2000/09/xmldsig#'>x</s:Signature></e:signature>\
         <e:document>JVBERi0=</e:document>",
    );
    let copy = pack.copy("depot", "employeur", xml.as_bytes()).unwrap();
    let expected = document("<e:cas>1</e:cas><e:total>0</e:total>");
    assert_eq!(String::from_utf8(copy).unwrap(), expected);
    // A signature anywhere else goes too, and an empty document stays whole.
    let odd = document("<Signature xmlns='http://www.w3.org/2000/09/xmldsig#'/>");
    let copy = pack.copy("depot", "employeur", odd.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(copy).unwrap(), document(""));
    // What no schema looks into is no hiding place; what names need stays.
    let talkative = "<e:essai xmlns:e=\"urn:sceau:test:essai:1\" xmlns:A01='urn:B02'\n \
         xmlns:x = \"http://www.w3.org/2001/XMLSchema-instance\" x:schemaLocation='urn:A01 >B02'>\
         <e:cas xmlns='urn:A01' x:type=\"e:A01\" xmlns:f='urn:f'>1<f:a f:b='/' c=\"'\" xmlns:f='urn:g'/></e:cas>\
         <a xmlns=''/><e:diagnostic xmlns:g='urn:g'/><e:cas xmlns:g='urn:g'/></e:essai>";
    let copy = pack.copy("depot", "employeur", talkative.as_bytes());
    let plain = "<e:essai xmlns:e=\"urn:sceau:test:essai:1\"><e:cas>1<f:a f:b='/' c=\"'\" xmlns:f='urn:g'/></e:cas>\
         <a xmlns=''/><e:cas/></e:essai>";
    assert_eq!(String::from_utf8(copy.unwrap()).unwrap(), plain);
    assert!(matches!(
        pack.copy("depot", "autre", xml.as_bytes()),
        Err(FormsError::NoSuchOperation(_))
    ));
}

#[test]
fn a_qr_text_is_filled_or_waits() {
    let pack = pack();
    let qr = pack.operation("depot").unwrap().qr.as_ref().unwrap();
    assert_eq!(
        (qr.page, qr.x_mm, qr.y_mm, qr.size_mm),
        (-1, 10.0, 12.5, 20.0)
    );
    let filled = qr.fill(|name| Some(name.to_uppercase()));
    assert_eq!(filled.as_deref(), Some("FORM:UUID:INSURER_ID:FIN"));
    assert_eq!(
        qr.fill(|name| (name != "insurer_id").then(String::new)),
        None
    );
}

#[test]
fn the_rules_of_a_reference_are_told_on() {
    let pack = pack();
    let [rule] = pack.operation("depot").unwrap().refers.as_slice() else {
        panic!("not one");
    };
    assert_eq!(
        (rule.by, rule.unknown),
        (RefersBy::InsurerId, Unknown::Warn)
    );
    assert_eq!(rule.once.as_deref(), Some("suite"));
    let xml = document("<e:precedent>SECU-1</e:precedent>");
    let facts = pack.check("depot", xml.as_bytes()).unwrap().facts;
    let finding = Finding::correlation(&facts.references[0], Severity::Warning, "m".into());
    assert_eq!(finding.code, Code::FormCorrelation);
    assert_eq!(finding.xpath.as_deref(), Some("/e:essai/e:precedent"));
    assert_eq!(finding.position.unwrap().line, 1);
    assert_eq!(finding.doctor_text(), Code::FormCorrelation.doctor_text());
}

#[test]
fn status_is_asked_with_the_packs_words() {
    let uuid: Uuid4 = UUID.parse().unwrap();
    let asked = pack().status_request("depot", &uuid).unwrap();
    assert!(
        String::from_utf8(asked)
            .unwrap()
            .contains(&format!(">{UUID}<"))
    );
}
