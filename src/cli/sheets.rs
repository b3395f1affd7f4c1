//! `sceau fiche` and `sceau connection-report`: the sheets that go with a label
//! and with a connection (DSR 5.4.1, 5.5.2).

use super::Files;
use super::commands::Done;
use crate::base::clock::{Clock, SystemClock, rfc3339};
use crate::base::{digest, hex};
use crate::config::{self, Configuration, Installation};
use crate::evidence::{Cell, Section, Sheet};
use crate::forms::{EnvironmentKind, Packs};
use crate::outbox::{self, Record};
use crate::sign::Practitioner;
use crate::store::Store;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;

/// What the program keeps to.
const STANDARDS: [(&str, &str); 12] = [
    ("ETSI EN 319 132-1", "XAdES-B-B, -B-T, -B-LT"),
    ("ETSI EN 319 142-1", "PAdES-B-B, -B-T, -B-LT"),
    ("ETSI EN 319 102-1", "validation"),
    ("ETSI TS 119 102-2 v1.4.1", "rapport de validation"),
    ("ETSI TS 119 312 v1.5.1", "algorithmes"),
    ("RFC 3161", "horodatage"),
    ("RFC 5280, RFC 6960", "certificats, CRL, OCSP"),
    ("ISO 19005-1, -2, -3", "PDF/A, contrôle de plausibilité"),
    (
        "W3C XML Schema 1.0, Exclusive XML Canonicalization 1.0",
        "documents",
    ),
    ("RFC 9562", "UUID version 4"),
    (
        "OASIS WS-Security 1.1, WS-Trust 1.3, SAML 2.0",
        "échange mySecu",
    ),
    ("PKCS#11", "cartes et HSM"),
];

/// How a sheet is written.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For the terminal.
    Text,
    /// To print; one file without script.
    Html,
    /// For programs.
    Json,
}

#[derive(Args)]
pub(super) struct FicheOptions {
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    files: Files,
}

#[derive(Args)]
pub(super) struct ConnectionOptions {
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Report of another workstation of the same place (--format json), for the
    /// slip of them all; may be given several times.
    #[arg(long = "with", value_name = "FILE")]
    others: Vec<PathBuf>,
    /// Only this practitioner, by code prestataire; may be given several times.
    #[arg(long = "practitioner", value_name = "CODE")]
    practitioners: Vec<String>,
    #[command(flatten)]
    files: Files,
}

/// SHA-256 of the running program: its exact build.
pub(super) fn build() -> Result<String, Box<dyn Error>> {
    let program = std::fs::read(std::env::current_exe()?)?;
    Ok(hex::encode(&digest::sha256(&program)))
}

/// Who made what, as every sheet says it.
pub(super) fn identity(
    installation: &Installation,
) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let facts = [
        ("Industriel", installation.industriel.clone()),
        (
            "Produit",
            format!("{} {}", installation.product, installation.product_version),
        ),
        ("Connecteur", format!("sceau {}", env!("CARGO_PKG_VERSION"))),
        ("Empreinte du programme (SHA-256)", build()?),
    ];
    Ok(facts.map(|(name, value)| (name.to_owned(), value)).into())
}

/// The version identification sheet.
pub(super) fn fiche(options: &FicheOptions) -> Done {
    let configuration = config::load(&options.files.config)?;
    let packs = Packs::open(configuration.forms_folder.as_deref(), None);
    let offered = packs.offered();
    if let Format::Json = options.format {
        let packs = offered.iter().map(|pack| {
            json!({ "form": pack.form, "version": pack.version, "sha256": hex::encode(&pack.sha256) })
        });
        let sheet = json!({
            "installation": configuration.installation,
            "program": { "name": "sceau", "version": env!("CARGO_PKG_VERSION"), "sha256": build()? },
            "packs": packs.collect::<Vec<_>>(),
            "standards": STANDARDS.map(|(standard, _)| standard),
        });
        println!("{}", serde_json::to_string_pretty(&sheet)?);
        return Ok(());
    }
    let rows = offered.iter().map(|pack| {
        let operations: Vec<&str> = pack.operations.keys().map(String::as_str).collect();
        vec![
            format!("{} {}", pack.form, pack.version).into(),
            pack.title.fr.as_str().into(),
            pack.addressee.as_str().into(),
            operations.join(", ").into(),
            hex::encode(&pack.sha256).into(),
        ]
    });
    let sheet = Sheet {
        title: "Fiche d'identification de version".to_owned(),
        facts: identity(&configuration.installation)?,
        sections: vec![
            Section {
                title: "Formulaires".to_owned(),
                note: String::new(),
                columns: vec![
                    "pack",
                    "formulaire",
                    "destinataire",
                    "opérations",
                    "SHA-256",
                ],
                rows: rows.collect(),
            },
            Section {
                title: "Normes".to_owned(),
                note: String::new(),
                columns: vec!["norme", "usage"],
                rows: STANDARDS
                    .map(|(standard, usage)| vec![standard.into(), usage.into()])
                    .into(),
            },
        ],
    };
    print(&sheet, options.format);
    Ok(())
}

/// What a connection report says of one workstation.
#[derive(Debug, Serialize, Deserialize)]
struct Connection {
    made_at: String,
    industriel: String,
    workstation: String,
    workstation_id: String,
    environment: String,
    environment_kind: String,
    practitioners: Vec<Connected>,
}

/// A practitioner and the first real document.
#[derive(Debug, Serialize, Deserialize)]
struct Connected {
    code_prestataire: String,
    name: String,
    ehealth_id: String,
    first: Option<First>,
}

/// What CISS, INCERT and CNS look a document up by.
#[derive(Debug, Serialize, Deserialize)]
struct First {
    form: String,
    operation: String,
    uuid: String,
    insurer_id: Option<String>,
    correlation_id: Option<String>,
    received_at: String,
    answered_at: String,
}

impl From<Record> for First {
    fn from(record: Record) -> Self {
        Self {
            form: record.form,
            operation: record.operation,
            uuid: record.uuid.to_string(),
            insurer_id: record.insurer_id,
            correlation_id: record.correlation_id,
            received_at: rfc3339(record.received_at),
            answered_at: rfc3339(record.updated_at),
        }
    }
}

/// The connection report, and what it still lacks.
pub(super) fn connection(options: &ConnectionOptions) -> Done {
    let configuration = config::load(&options.files.config)?;
    let own = own(&configuration)?;
    if let Format::Json = options.format {
        println!("{}", serde_json::to_string_pretty(&own)?);
    }
    let mut all = vec![own];
    for other in &options.others {
        let text = std::fs::read(other)
            .map_err(|error| format!("cannot read {}: {error}", other.display()))?;
        all.push(
            serde_json::from_slice(&text)
                .map_err(|error| format!("{}: {error}", other.display()))?,
        );
    }
    if !options.practitioners.is_empty() {
        let wanted = |one: &Connected| options.practitioners.contains(&one.code_prestataire);
        for place in &mut all {
            place.practitioners.retain(wanted);
        }
    }
    let missing = missing(&all);
    match options.format {
        Format::Json => {}
        Format::Text | Format::Html => {
            print(&sheet(&configuration, &all, &missing)?, options.format);
        }
    }
    match missing.len() {
        0 => Ok(()),
        n => Err(format!("the connection is not proved: {n} things are missing").into()),
    }
}

fn own(configuration: &Configuration) -> Result<Connection, Box<dyn Error>> {
    let store = Store::open(&configuration.store, &outbox::migrations())?;
    let environment = &configuration.environment;
    let practitioners = configuration.people.practitioners().iter();
    let connected = |one: &Practitioner| -> Result<Connected, Box<dyn Error>> {
        let code = one.code_prestataire.as_str();
        let first = Record::first_receipted(&store, code, EnvironmentKind::Production)?;
        Ok(Connected {
            code_prestataire: code.to_owned(),
            name: one.name.clone(),
            ehealth_id: one.ehealth_id.clone(),
            first: first.map(First::from),
        })
    };
    Ok(Connection {
        made_at: rfc3339(SystemClock.now()),
        industriel: configuration.installation.industriel.clone(),
        workstation: configuration.installation.workstation.clone(),
        workstation_id: Installation::workstation_id(&configuration.store.folder)?.to_string(),
        environment: environment.name.clone(),
        environment_kind: environment.kind.to_string(),
        practitioners: practitioners.map(connected).collect::<Result<_, _>>()?,
    })
}

/// A practitioner with the first document of all workstations, and where that
/// was: one connection for each (DSR 4.2.3).
fn practitioners(all: &[Connection]) -> Vec<(&Connection, &Connected)> {
    let mut found: BTreeMap<&str, (&Connection, &Connected)> = BTreeMap::new();
    for connection in all {
        for one in &connection.practitioners {
            let at = |one: &Connected| one.first.as_ref().map(|first| first.received_at.clone());
            let code = one.code_prestataire.as_str();
            let is_earlier = match (found.get(code).map(|(_, known)| at(known)), at(one)) {
                (None | Some(None), _) => true,
                (Some(Some(known)), Some(new)) => new < known,
                (Some(Some(_)), None) => false,
            };
            if is_earlier {
                found.insert(code, (connection, one));
            }
        }
    }
    found.into_values().collect()
}

/// What a claim cannot be made without (DSR 5.5.2).
fn missing(all: &[Connection]) -> Vec<String> {
    let mut missing = Vec::new();
    let mut demand = |holds: bool, what: String| {
        if !holds {
            missing.push(what);
        }
    };
    for place in all {
        let of = |what: &str| format!("{what} du poste {}", place.workstation_id);
        demand(
            !place.industriel.is_empty(),
            of("l'industriel (installation.industriel)"),
        );
        demand(
            !place.workstation.is_empty(),
            of("le nom (installation.workstation)"),
        );
        demand(
            place.environment_kind == "production",
            of("l'environnement de production"),
        );
    }
    let people = practitioners(all);
    demand(!people.is_empty(), "un médecin".to_owned());
    for (_, one) in people {
        let of = |what: &str| format!("{what} de {}", one.code_prestataire);
        demand(!one.name.is_empty(), of("le nom"));
        demand(
            one.first.is_some(),
            of("un premier document accepté en production"),
        );
        let Some(first) = &one.first else { continue };
        demand(
            first.insurer_id.is_some(),
            of("l'identifiant du destinataire pour le document"),
        );
        demand(
            first.correlation_id.is_some(),
            of("l'identifiant de corrélation pour le document"),
        );
    }
    missing
}

fn sheet(
    configuration: &Configuration,
    all: &[Connection],
    missing: &[String],
) -> Result<Sheet, Box<dyn Error>> {
    let mut facts = identity(&configuration.installation)?;
    let fact = |name: &str, value: String| (name.to_owned(), value);
    facts.push(fact("Date", rfc3339(SystemClock.now())));
    facts.push(fact("Postes de travail connectés", all.len().to_string()));
    facts.push(fact("Responsable (nom, signature)", String::new()));
    let places = all.iter().map(|place| {
        let texts = [
            &place.workstation,
            &place.workstation_id,
            &place.environment,
            &place.environment_kind,
        ];
        texts.map(|text| text.as_str().into()).into()
    });
    let people = practitioners(all);
    let documents = people.iter().map(|(place, one)| document(place, one));
    let note = match missing.is_empty() {
        true => "Rien : le rapport est complet.",
        false => "",
    };
    let section = |title: &str, note: &str, columns, rows| Section {
        title: title.to_owned(),
        note: note.to_owned(),
        columns,
        rows,
    };
    let lacking = missing.iter().map(|what| vec![what.as_str().into()]);
    Ok(Sheet {
        title: "Rapport de connexion".to_owned(),
        facts,
        sections: vec![
            section(
                "Postes de travail",
                "",
                vec!["poste", "identifiant", "environnement", "genre"],
                places.collect(),
            ),
            section(
                "Médecins et premier document réel",
                "",
                vec![
                    "code prestataire",
                    "nom",
                    "eHealth ID",
                    "poste",
                    "document",
                    "UUID",
                    "id. destinataire",
                    "corrélation",
                    "reçu du logiciel",
                    "réponse",
                ],
                documents.collect(),
            ),
            section("Ce qui manque", note, vec!["pièce"], lacking.collect()),
        ],
    })
}

fn document(place: &Connection, one: &Connected) -> Vec<Cell> {
    let mut row: Vec<Cell> = vec![
        one.code_prestataire.as_str().into(),
        one.name.as_str().into(),
        one.ehealth_id.as_str().into(),
        place.workstation.as_str().into(),
    ];
    let first = one.first.as_ref().map(|first| {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".to_owned());
        [
            format!("{} {}", first.form, first.operation),
            first.uuid.clone(),
            or_none(&first.insurer_id),
            or_none(&first.correlation_id),
            first.received_at.clone(),
            first.answered_at.clone(),
        ]
    });
    let first = first.unwrap_or_else(|| std::array::from_fn(|_| "–".to_owned()));
    row.extend(first.map(Cell::Text));
    row
}

fn print(sheet: &Sheet, format: Format) {
    match format {
        Format::Html => print!("{}", sheet.html()),
        Format::Text | Format::Json => print!("{}", sheet.text()),
    }
}
