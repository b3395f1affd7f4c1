use super::*;
use crate::forms::EnvironmentKind;

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
fn a_pin_session_has_bounds_and_is_a_persons() {
    let of = |keys: &str| {
        let token = "[[token]]\nname = \"card\"\nkind = \"pkcs11\"\nmodule = \"/m.so\"\n";
        load_text(&format!("{token}{keys}"))
    };
    let keys = "module_sha256 = \"abc\"\npin_file = \"pin\"\nsession_signatures = 10\n\
                session_minutes = 1441\nsign_seconds = 0";
    assert_eq!(
        of(keys).unwrap_err(),
        [
            "token[0].module_sha256: is not 64 hexadecimal digits",
            "token[0].session_minutes: must be a whole number from 0 to 1440",
            "token[0].session_signatures: has no use with a pin_file, which would begin anew",
            "token[0].sign_seconds: must be a whole number from 1 to 120",
        ]
    );
    let read = of("session_minutes = 90\nsession_signatures = 0\nsign_seconds = 60").unwrap();
    let KeySettings::Pkcs11 {
        session, deadlines, ..
    } = &read.tokens[0].key
    else {
        panic!("another kind");
    };
    assert_eq!(session.signatures, None);
    assert_eq!(session.time, Some(std::time::Duration::from_secs(5400)));
    assert_eq!(deadlines.sign, std::time::Duration::from_secs(60));
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

/// With one token its only certificate signs; with several, whichever card is
/// plugged in would.
#[test]
fn with_several_tokens_the_certificate_is_named() {
    let one = "[[practitioner]]\ncode_prestataire = \"90000001\"\nehealth_id = \"9000000001\"\nname = \"A\"\n";
    let token = |name: &str| {
        format!("[[token]]\nname = \"{name}\"\nkind = \"pkcs11\"\nmodule = \"{name}.so\"\n")
    };
    let alone = token("card") + one;
    let people = load_text(&alone).unwrap().people;
    assert_eq!(people.sender("90000001").unwrap().certificate, None);
    let several = token("card") + &token("other") + one;
    let faults = load_text(&several).map(|_| ()).unwrap_err();
    let wanted = "practitioner: needs certificate_sha256 when there are several tokens";
    assert_eq!(faults, [wanted]);
    let named = format!("{several}certificate_sha256 = \"{}\"\n", "01".repeat(32));
    let people = load_text(&named).unwrap().people;
    assert_eq!(
        people.sender("90000001").unwrap().certificate,
        Some([1; 32])
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
        "environment.kind",
        "environment.name",
        "mysecu.answer_anchor",
        "mysecu.assertion_consumer",
        "mysecu.exchange_url",
        "mysecu.identity_url",
        "mysecu.token_url",
        "mysecu.transport",
    ];
    assert_eq!(keys, expected);
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

#[test]
fn a_workstation_keeps_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let id = |path: &Path| Installation::workstation_id(path).unwrap();
    let first = id(folder.path());
    assert_eq!(id(folder.path()), first);
    let other = tempfile::tempdir().unwrap();
    assert_ne!(id(other.path()), first);
    std::fs::write(other.path().join("workstation.id"), "mine").unwrap();
    assert!(Installation::workstation_id(other.path()).is_err());
    let named = load(&[]).unwrap().installation;
    assert_eq!(named.product_version, env!("CARGO_PKG_VERSION"));
}

/// A folder with certificate and transport of an environment, and a
/// configuration with a state folder.
fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["insurer.example".into()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("anchor.pem", &certificate);
    write(
        "transport.pem",
        &(certificate.clone() + &key.serialize_pem()),
    );
    write("machine.toml", "[store]\nfolder = \"state\"\n");
    let machine = folder.path().join("machine.toml");
    (folder, machine)
}

fn profile(name: &str, kind: &str, host: &str, models: &str) -> String {
    format!(
        "[environment]\nname = \"{name}\"\nkind = \"{kind}\"\n[environment.models]\n{models}\n\
         [trust]\nanchors = [\"anchor.pem\"]\n\
         [mysecu]\nidentity_url = \"https://{host}/i\"\ntoken_url = \"https://{host}/t\"\n\
         exchange_url = \"https://{host}/e\"\nassertion_consumer = \"urn:x\"\n\
         answer_anchor = \"anchor.pem\"\ntransport = \"transport.pem\"\n"
    )
}

fn import_text(machine: &Path, text: &str) -> Result<String, Vec<String>> {
    let file = machine.with_file_name("profile.toml");
    std::fs::write(&file, text).unwrap();
    import(&[machine.to_owned()], &file)
        .map_err(|ConfigError(faults)| faults.iter().map(Fault::to_string).collect())
}

#[test]
fn an_imported_environment_holds_its_certificates_and_lies_under_the_files() {
    let (folder, machine) = place();
    let models = "\"pid/2/simulation\" = \"TEST-7\"\n\"pid/2/simulation/status\" = \"TEST-8\"";
    let text = profile("acceptance", "test", "test.example", models);
    assert_eq!(import_text(&machine, &text).unwrap(), "acceptance");
    let [only] = &profiles(std::slice::from_ref(&machine)).unwrap()[..] else {
        panic!("one was imported");
    };
    assert_eq!(only.kind, EnvironmentKind::Test);
    assert_eq!(only.exchange_url(), "https://test.example/e");

    // The files it came with are not needed any more, but for the credentials.
    std::fs::remove_file(folder.path().join("profile.toml")).unwrap();
    std::fs::remove_file(folder.path().join("anchor.pem")).unwrap();
    let used = "[store]\nfolder = \"state\"\n[environment]\nuse = \"acceptance\"\n\
                [mysecu]\ntimeout_seconds = 7\n";
    std::fs::write(&machine, used).unwrap();
    let found = load(std::slice::from_ref(&machine)).unwrap();
    let environment = &found.environment;
    assert_eq!(environment.name, "acceptance");
    assert_eq!(environment.models["pid/2/simulation/status"], "TEST-8");
    assert_eq!(found.trust.anchors.len(), 1);
    let mysecu = found.mysecu.unwrap();
    assert_eq!(mysecu.timeout, Duration::from_secs(7));
    assert_eq!(mysecu.answer_anchors.len(), 1);

    std::fs::write(&machine, used.replace("acceptance", "other")).unwrap();
    let ConfigError(faults) = load(&[machine]).unwrap_err();
    assert_eq!(faults[0].key, "environment.use");
}

#[test]
fn a_profile_is_checked_whole_and_nothing_is_kept_of_a_wrong_one() {
    let (_folder, machine) = place();
    let text = profile("Real Thing", "productive", "x.example", "\"pid\" = \"A\"");
    let text =
        text.replace("\"anchor.pem\"]", "\"none.pem\"]") + "surprise = 1\n[log]\nlevel = \"x\"\n";
    let faults = import_text(&machine, &text).unwrap_err();
    let keys: Vec<&str> = faults
        .iter()
        .map(|f| f.split(':').next().unwrap())
        .collect();
    assert_eq!(
        keys,
        [
            "environment.kind",
            "environment.models.pid",
            "environment.name",
            "log",
            "mysecu.surprise",
            "trust.anchors",
        ]
    );
    let faults = import_text(&machine, "[environment]\nname = \"a\"\nuse = \"b\"\n").unwrap_err();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(profiles(&[machine]).unwrap().is_empty());
}

#[test]
fn test_and_production_do_not_mix() {
    let (folder, machine) = place();
    import_text(&machine, &profile("trial", "test", "test.example", "")).unwrap();
    let production = |host: &str, models: &str| profile("real", "production", host, models);
    let faults = |text: &str| import_text(&machine, text).unwrap_err();
    // Addresses of the test environment, however they are written.
    let found = faults(&production("TEST.example", ""));
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(
        found[0],
        "mysecu.exchange_url: is that of the test environment \"trial\""
    );
    let models = "\"pid/2/simulation\" = \"SCEAU-PID-SIM-2\"\n\"pid/1/simulation\" = \"2023-PID\"\n\
                  \"pid/1/validation\" = \"2022_RA\"";
    let found = faults(&production("real.example", models));
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found
            .iter()
            .all(|f| f.contains("must not reach production"))
    );
    // A name keeps its kind.
    let found = faults(&profile("trial", "production", "real.example", ""));
    assert_eq!(
        found,
        ["environment.kind: \"trial\" is imported as a test environment"]
    );

    // The same without an import: a file that was put together by hand.
    let by_hand = folder.path().join("by-hand.toml");
    std::fs::write(&by_hand, production("test.example", "")).unwrap();
    let ConfigError(found) = load(&[machine.clone(), by_hand]).unwrap_err();
    assert_eq!(found.len(), 3, "{found:?}");
    import_text(&machine, &production("real.example", "")).unwrap();
}
