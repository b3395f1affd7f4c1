//! A form nobody has seen is dropped into the packs folder of a running
//! sandbox; then a broken version of it.

use super::Sandbox;
use super::client::{Answer, Client};
use sceau::base::Uuid4;
use std::fs;
use std::path::Path;
use std::time::Duration;

const CODE: &str = "90000001";
const NAMESPACE: &str = "urn:test:forms:visite:1";

const SCHEMA: &str = r#"<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"
  xmlns="urn:test:forms:visite:1" targetNamespace="urn:test:forms:visite:1"
  elementFormDefault="qualified">
  <xs:element name="visite"><xs:complexType><xs:sequence>
    <xs:element name="uuid" type="xs:token"/><xs:element name="code" type="xs:token"/>
  </xs:sequence></xs:complexType></xs:element>
</xs:schema>"#;

const PACK: &str = r#"format = 1
form = "visite"
version = "1"
namespace = "urn:test:forms:visite:1"
addressee = "CNS"
title = { fr = "Visite", de = "Besuch", en = "Visit" }
schemas = ["visite.xsd"]

[namespaces]
v = "urn:test:forms:visite:1"

[operations.depot]
title = { fr = "Dépôt", de = "Einreichung", en = "Deposit" }
root = "v:visite"
model_id = { sandbox = "TEST-VISITE-1" }

[operations.depot.facts]
uuid = "/v:visite/v:uuid"
code_prestataire = "/v:visite/v:code"

[operations.depot.answer]
root = "v:accuse"
uuid = "v:tete/v:uuid"
insurer_id = "v:tete/v:numero"
status = "v:etat/@mot"
accepted = ["recu"]
refused = ["rejete"]
anomaly = "v:remarques/v:remarque"
anomaly_code = "v:code"
anomaly_text = "v:texte"

[operations.depot.status]
model_id = { sandbox = "TEST-VISITE-ETAT-1" }
request = '<v:question xmlns:v="urn:test:forms:visite:1" uuid="{uuid}"/>'
root = "v:reponse"
uuid = "v:uuid"
known = "v:connu"
answer = "v:contenu/v:accuse"
"#;

fn write(folder: &Path, pack: &str) {
    let folder = folder.join("visite/1");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("visite.xsd"), SCHEMA).unwrap();
    // Whole at once, as an editor or an installer does it.
    fs::write(folder.join("pack.new"), pack).unwrap();
    fs::rename(folder.join("pack.new"), folder.join("pack.toml")).unwrap();
}

fn visit(uuid: &str) -> String {
    format!(
        "<x:visite xmlns:x=\"{NAMESPACE}\"><x:uuid>{uuid}</x:uuid><x:code>{CODE}</x:code></x:visite>"
    )
}

fn inside(answer: &Answer) -> String {
    let (_, rest) = answer.body.split_once("<sync:ResponseInfo").unwrap();
    let (_, rest) = rest.split_once('>').unwrap();
    rest.split_once("</sync:ResponseInfo>")
        .unwrap()
        .0
        .to_owned()
}

#[test]
fn a_form_nobody_has_seen_is_dropped_in_and_a_broken_one_changes_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let packs = scratch.path().join("packs");
    fs::create_dir(&packs).unwrap();
    let sandbox = Sandbox::start_with_packs(&scratch.path().join("sandbox"), &packs);
    let client = Client::new(&sandbox);
    let token = client.token(CODE, "9000000001");
    let send = |uuid: &str| client.exchange(&token, "TEST-VISITE-1", &visit(uuid));
    let new = || Uuid4::random().to_string();
    assert!(send(&new()).body.contains(">UNKNOWN_MODEL<"));

    write(&packs, PACK);
    let id = new();
    let accepted = (0..50).find_map(|_| {
        std::thread::sleep(Duration::from_millis(200));
        Some(send(&id)).filter(|answer| answer.status == "200")
    });
    let accepted = inside(&accepted.expect("the pack is taken within ten seconds"));
    let expected = format!(
        "<v:accuse xmlns:v=\"{NAMESPACE}\"><v:tete><v:uuid>{id}</v:uuid>\
         <v:numero>SANDBOX-00000001</v:numero></v:tete><v:etat mot=\"recu\"></v:etat></v:accuse>"
    );
    assert_eq!(accepted, expected);
    let shown = sandbox.shown(&format!("documents/{id}"));
    assert_eq!(
        (&shown["form"], &shown["operation"]),
        (&"visite".into(), &"depot".into())
    );
    let ask = |uuid: &str| {
        let question = format!("<q:question xmlns:q=\"{NAMESPACE}\" uuid=\"{uuid}\"/>");
        client.exchange(&token, "TEST-VISITE-ETAT-1", &question)
    };
    let state = inside(&ask(&id));
    let expected = format!(
        "<v:reponse xmlns:v=\"{NAMESPACE}\"><v:uuid>{id}</v:uuid><v:connu>true</v:connu>\
         <v:contenu>{accepted}</v:contenu></v:reponse>"
    );
    assert_eq!(state, expected);
    assert!(ask(&new()).body.contains("<v:connu>false<"));
    assert!(ask("no uuid").body.contains(">SCHEMA_INVALID<"));

    sandbox.scenario("exchange", "refuse", Some("TEST-7"));
    let refused = inside(&send(&new()));
    let parts = ["mot=\"rejete\"", "<v:remarques><v:remarque><v:code>TEST-7<"];
    assert!(parts.iter().all(|p| refused.contains(p)), "{refused}");
    assert!(!refused.contains("numero"), "{refused}");

    write(
        &packs,
        &PACK
            .replace("TEST-VISITE-1", "TEST-OTHER-1")
            .replace("[operations.depot.facts]", "[oops]"),
    );
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(send(&new()).status, "200", "the old one goes on");
    let wrong = visit(&new()).replace("x:code", "x:other");
    let answer = client.exchange(&token, "TEST-VISITE-1", &wrong);
    assert!(answer.body.contains(">SCHEMA_INVALID<"), "{}", answer.body);
}
