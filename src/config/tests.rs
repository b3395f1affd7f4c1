use super::*;

fn load_text(text: &str) -> Result<Configuration, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sceau.toml");
    std::fs::write(&file, text).unwrap();
    load(&[file]).map_err(|ConfigError(faults)| faults.iter().map(Fault::to_string).collect())
}

#[test]
fn the_defaults_alone_are_whole() {
    let configuration = load(&[]).unwrap();
    assert!(configuration.listen.ip().is_loopback());
    assert!(configuration.mysecu.is_none());
    assert!(configuration.tokens.is_empty());
}

#[test]
fn every_fault_is_listed_at_once() {
    let faults = load_text(
        r#"
        surprise = 1
        [api]
        listen = "192.168.1.2:80"
        lisen = "127.0.0.1:1"
        [[token]]
        name = "Card"
        kind = "soft"
        [[token]]
        name = "one"
        kind = "pkcs11"
        module = "m.so"
        serial = "1"
        [[token]]
        name = "one"
        kind = "pkcs11"
        module = "m.so"
        [[token]]
        name = "two"
        kind = "card"
        [outbox]
        lease_seconds = 1
        [[practitioner]]
        code_prestataire = "123"
        ehealth_id = "12"
        [[practitioner]]
        code_prestataire = "90000001"
        ehealth_id = "9000000001"
        name = "A"
        [[practitioner]]
        code_prestataire = "90000001"
        ehealth_id = "9000000002"
        name = "B"
        [log]
        format = "xml"
        level = "sceau=loud"
        "#,
    )
    .unwrap_err();
    assert_eq!(
        faults,
        [
            "api.lisen: is not a known key",
            "api.listen: 192.168.1.2:80 is not a loopback address",
            "log.format: is \"xml\"; must be one of text, json",
            "log.level: \"sceau=loud\" is no log filter: error parsing level filter: expected one of \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\", or a number 0-5",
            "outbox.lease_seconds: must be a whole number from 10 to 86400",
            "practitioner[0].code_prestataire: \"123\" is not eight digits",
            "practitioner[0].ehealth_id: \"12\" is not ten digits",
            "practitioner[0].name: is missing",
            "practitioner[2].code_prestataire: 90000001 is configured twice",
            "surprise: is not a known key",
            "token[0].name: must be a word of small letters, digits and hyphens that begins with a letter",
            "token[0].p12: is needed when the kind is \"soft\"",
            "token[0].password_file: is needed when the kind is \"soft\"",
            "token[2].name: \"one\" is configured twice",
            "token[2].serial: is needed, and another than that of the other token of this module",
            "token[3].kind: is \"card\"; must be pkcs11 or soft",
        ]
    );
}

#[test]
fn people_are_told_apart_by_their_codes_and_keys() {
    let practitioner = |code: &str, key: &str| {
        format!(
            "[[practitioner]]\ncode_prestataire = \"{code}\"\nehealth_id = \"9000000001\"\n\
             name = \"A\"\ncertificate_sha256 = \"{}\"\n",
            key.repeat(32)
        )
    };
    let delegate = |id: &str, key: &str, acts_for: &str| {
        format!(
            "[[delegate]]\nid = \"{id}\"\nname = \"B\"\ncertificate_sha256 = \"{}\"\n\
             acts_for = [{acts_for}]\n",
            key.repeat(32)
        )
    };
    let one = practitioner("90000001", "01");
    let right = one.clone() + &delegate("secretary", "02", "\"90000001\"");
    let people = load_text(&right).unwrap().people;
    let sender = people.sender("90000001").unwrap();
    let found = people.signatory(sender, &[], Some("secretary")).unwrap();
    assert_eq!(found.certificate, Some([2; 32]));

    let wrong = [
        one,
        delegate("90000001", "02", "\"90000001\""),
        delegate("b", "01", "\"90000001\""),
        delegate("b", "x", "\"90000002\", \"9\""),
        delegate("b", "03", ""),
    ];
    let faults = load_text(&wrong.concat()).unwrap_err();
    assert_eq!(
        faults,
        [
            "delegate[0].id: must be a word of small letters, digits and hyphens that begins with a letter",
            "delegate[1].certificate_sha256: is 90000001's: a delegate signs with a key of their own (DSR 3.4.1)",
            "delegate[2].acts_for: \"9\" is not eight digits",
            "delegate[2].acts_for: no practitioner 90000002 is configured",
            "delegate[2].certificate_sha256: is not 64 hexadecimal digits",
            "delegate[3].acts_for: names nobody",
            "delegate[3].id: \"b\" is configured twice",
        ]
    );
}

#[test]
fn half_an_insurer_is_a_fault_and_names_what_is_missing() {
    let faults = load_text("[mysecu]\nidentity_url = \"ftp://x\"\n").unwrap_err();
    let keys: Vec<_> = faults
        .iter()
        .map(|f| f.split(':').next().unwrap())
        .collect();
    let expected = [
        "answer_anchor",
        "assertion_consumer",
        "exchange_url",
        "identity_url",
        "token_url",
        "transport",
    ];
    assert_eq!(keys, expected.map(|key| format!("mysecu.{key}")));
}

#[test]
fn later_files_win_and_relative_paths_belong_to_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("1.toml"), folder.path().join("2.toml"));
    std::fs::write(
        &one,
        "[store]\nfolder = \"state\"\n[log]\nlevel = \"debug\"\n",
    )
    .unwrap();
    std::fs::write(&two, "[log]\nlevel = \"warn\"\n").unwrap();
    let configuration = load(&[one, two]).unwrap();
    assert_eq!(configuration.store.folder, folder.path().join("state"));
    assert_eq!(configuration.log.level, "warn");
}

#[test]
fn every_path_key_exists_in_the_defaults() {
    let table: Table = toml::from_str(DEFAULT).unwrap();
    for path in PATH_KEYS {
        let (section, key) = path.split_once('.').unwrap();
        let in_list = DEFAULT.contains(&format!("\n#   {key} = "));
        let found = match &table[section] {
            Value::Array(_) => in_list,
            value => value.get(key).is_some(),
        };
        assert!(found, "{path}");
    }
}

#[test]
fn pdf_settings_name_a_policy_and_a_program() {
    let default = load(&[]).unwrap().pdfs;
    assert_eq!(default.hybrid, intake::Hybrid::Accept);
    assert!(default.validator.is_none());
    let text = r#"
        [pdf]
        hybrid = "refuse"
        validator = ["/opt/verapdf/verapdf", "--format", "text"]
        validator_timeout_seconds = 5
    "#;
    let found = load_text(text).unwrap().pdfs;
    assert_eq!(found.hybrid, intake::Hybrid::Refuse);
    let validator = found.validator.unwrap();
    assert_eq!(validator.program, Path::new("/opt/verapdf/verapdf"));
    assert_eq!(validator.arguments, ["--format", "text"]);
    assert_eq!(validator.timeout, Duration::from_secs(5));
    let faults = load_text("[pdf]\nvalidator = [\"verapdf\"]\nhybrid = \"maybe\"").unwrap_err();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults.iter().any(|fault| fault.contains("absolute path")));
}
