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
    assert!(matches!(configuration.token, TokenSettings::None));
}

#[test]
fn every_fault_is_listed_at_once() {
    let faults = load_text(
        r#"
        surprise = 1
        [api]
        listen = "192.168.1.2:80"
        lisen = "127.0.0.1:1"
        [token]
        kind = "soft"
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
            "token.p12: is needed when token.kind is \"soft\"",
            "token.password_file: is needed when token.kind is \"soft\"",
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
        assert!(table[section].get(key).is_some(), "{path}");
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
