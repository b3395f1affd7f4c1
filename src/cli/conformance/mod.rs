//! `sceau conformance run`: the scenarios of the label against the running
//! service and its environment, with a report grouped by who verifies, and the
//! evidence of every document beside it (DSR 5.4.1).

mod examples;
mod run;
mod said;

use super::commands::Done;
use super::evidence::Service;
use super::sheets::{build, identity};
use crate::base::clock::{Clock, SystemClock, rfc3339};
use crate::base::file;
use crate::config::{self, Configuration};
use crate::evidence::{Cell, Section, Sheet};
use crate::forms::{Environment, EnvironmentKind, Pack, Packs};
use clap::Args;
use examples::Examples;
use run::{Case, Run, Verifier};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Most runs kept in one folder.
const RUNS_MAX: u32 = 9999;

#[derive(Args)]
pub(super) struct Options {
    /// Folder of the runs; each makes a folder of its own in it, run-0001 and on.
    #[arg(long, default_value = "conformance", value_name = "DIR")]
    out: PathBuf,
    /// Examples instead of those shipped, laid out as packs are:
    /// <form>/<version>/examples/{valid,invalid}/<operation>/*.xml. The packs
    /// folder of the configuration is one; it is used when none is given.
    #[arg(long, value_name = "DIR")]
    examples: Option<PathBuf>,
    /// Code prestataire that stands in for the sender of the examples; the first
    /// one configured when absent.
    #[arg(long, value_name = "CODE")]
    practitioner: Option<String>,
    /// Only this form.
    #[arg(long)]
    form: Option<String>,
    /// Longest wait for the answer to one document, in seconds.
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    patience: u64,
    #[command(flatten)]
    files: super::Files,
}

/// Carries a run out and says where its report is.
pub(super) fn run(options: &Options) -> Done {
    let configuration = config::load(&options.files.config)?;
    let environment = &configuration.environment;
    if environment.kind == EnvironmentKind::Production {
        return Err("the environment is of kind production: examples must never reach it".into());
    }
    let practitioner = sender(options, &configuration)?;
    let packs = Packs::open(configuration.forms_folder.as_deref(), None);
    let mut offered = packs.offered();
    let wanted = |pack: &Arc<Pack>| options.form.as_ref().is_none_or(|form| *form == pack.form);
    offered.retain(wanted);
    if offered.is_empty() {
        return Err("no such form is offered".into());
    }
    let service = Service::pair(&configuration, "sceau conformance")?;
    is_there(&service, environment)?;
    let (sent, not_sent) = operations(&offered, environment);
    if sent.is_empty() {
        return Err("no operation is sent to this environment".into());
    }
    let (name, folder) = next(&options.out)?;
    let mut run = Run {
        service: &service,
        practitioner,
        patience: Duration::from_secs(options.patience),
        folder: folder.clone(),
        cases: Vec::new(),
    };
    let configured = configuration.forms_folder.as_deref();
    let folder_of_examples = options.examples.as_deref().or(configured);
    for (pack, operation) in &sent {
        carry_out(&mut run, pack, operation, folder_of_examples)?;
    }
    let report = Report {
        name,
        made_at: rfc3339(SystemClock.now()),
        configuration: &configuration,
        practitioner,
        packs: &offered,
        not_sent,
        cases: run.cases,
    };
    report.write(&folder)?;
    let failed = report.cases.iter().filter(|case| !case.passed()).count();
    println!(
        "{} cases, {failed} failed: {}",
        report.cases.len(),
        folder.join("report.html").display()
    );
    match failed {
        0 => Ok(()),
        _ => Err(format!("{failed} cases failed").into()),
    }
}

/// Who stands in for the sender of the examples.
fn sender<'a>(
    options: &Options,
    configuration: &'a Configuration,
) -> Result<&'a str, Box<dyn Error>> {
    let people = &configuration.people;
    let found = match &options.practitioner {
        Some(code) => people.sender(code),
        None => people.practitioners().first(),
    };
    let found = found.ok_or("no such practitioner is configured")?;
    Ok(found.code_prestataire.as_str())
}

/// Makes sure that the service sends where these files say: it may have been
/// started with others.
fn is_there(service: &Service<'_>, environment: &Environment) -> Done {
    let health = service.call("/v1/health", None)?;
    let health: Value = serde_json::from_slice(&health.body)?;
    let (name, kind) = (&health["environment"], &health["environment_kind"]);
    if *name != environment.name || *kind != environment.kind.as_str() {
        let own = format!("\"{}\" (\"{}\")", environment.name, environment.kind);
        return Err(
            format!("the service sends to {name} ({kind}), not to {own}: restart it").into(),
        );
    }
    Ok(())
}

/// An operation of a pack, by its name.
type Named<'a> = (&'a Arc<Pack>, &'a str);

/// The operations that are sent to an environment, and those that have no model
/// id there.
fn operations<'a>(
    packs: &'a [Arc<Pack>],
    environment: &Environment,
) -> (Vec<Named<'a>>, Vec<Named<'a>>) {
    let of = |pack: &'a Arc<Pack>| {
        let names = pack.operations.keys();
        names.map(move |name| (pack, name.as_str()))
    };
    let is_sent = |(pack, name): &Named<'_>| environment.model_id(pack, name).is_some();
    packs.iter().flat_map(of).partition(is_sent)
}

/// All cases of an operation; they may need examples of the pack's others.
fn carry_out(run: &mut Run<'_>, pack: &Arc<Pack>, operation: &str, folder: Option<&Path>) -> Done {
    let mut examples = BTreeMap::new();
    for operation in pack.operations.keys() {
        examples.insert(operation.clone(), Examples::of(pack, operation, folder)?);
    }
    eprintln!("{} {} {operation}", pack.form, pack.version);
    run.operation(pack, operation, &examples)
}

/// The next free folder, as in `run-0001`.
fn next(out: &Path) -> Result<(String, PathBuf), Box<dyn Error>> {
    fs::create_dir_all(out)?;
    for number in 1..=RUNS_MAX {
        let name = format!("run-{number:04}");
        let folder = out.join(&name);
        match fs::create_dir(&folder) {
            Ok(()) => return Ok((name, folder)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(format!("{} holds {RUNS_MAX} runs", out.display()).into())
}

struct Report<'a> {
    name: String,
    made_at: String,
    configuration: &'a Configuration,
    practitioner: &'a str,
    packs: &'a [Arc<Pack>],
    /// Without a model id in the environment.
    not_sent: Vec<Named<'a>>,
    cases: Vec<Case>,
}

impl Report<'_> {
    fn write(&self, folder: &Path) -> Done {
        let json = serde_json::to_vec_pretty(&self.json()?)?;
        file::write_atomic(&folder.join("report.json"), &json)?;
        let html = self.sheet()?.html();
        file::write_atomic(&folder.join("report.html"), html.as_bytes())?;
        Ok(())
    }

    fn json(&self) -> Result<Value, Box<dyn Error>> {
        let environment = &self.configuration.environment;
        let cases = self.cases.iter().map(|case| {
            let mut value = json!(case);
            value["passed"] = case.passed().into();
            value
        });
        Ok(json!({
            "format": 1,
            "run": self.name,
            "made_at": self.made_at,
            "program": { "name": "sceau", "version": env!("CARGO_PKG_VERSION"), "sha256": build()? },
            "installation": self.configuration.installation,
            "environment": { "name": environment.name, "kind": environment.kind.as_str() },
            "code_prestataire": self.practitioner,
            "packs": self.packs.iter().map(|pack| json!({ "form": pack.form, "version": pack.version })).collect::<Vec<_>>(),
            "not_sent_here": self.not_sent.iter().map(|(pack, operation)| json!({ "form": pack.form, "version": pack.version, "operation": operation })).collect::<Vec<_>>(),
            "cases": cases.collect::<Vec<_>>(),
        }))
    }

    fn sheet(&self) -> Result<Sheet, Box<dyn Error>> {
        let environment = &self.configuration.environment;
        let failed = self.cases.iter().filter(|case| !case.passed()).count();
        let forms = self
            .packs
            .iter()
            .map(|pack| format!("{} {}", pack.form, pack.version));
        let not_sent = self.not_sent.iter();
        let not_sent: Vec<String> = not_sent
            .map(|(pack, operation)| format!("{} {} {operation}", pack.form, pack.version))
            .collect();
        let not_sent = match not_sent.is_empty() {
            true => "aucune".to_owned(),
            false => not_sent.join(", "),
        };
        let fact = |name: &str, value: String| (name.to_owned(), value);
        let verifiers = [
            (Verifier::Incert, "INCERT : signature, horodatage, unicité"),
            (Verifier::Cns, "CNS : documents et règles"),
            (Verifier::Ciss, "CISS : arrivée, identifiants, corrélation"),
            (Verifier::Aes, "AeS : authentification"),
        ];
        let mut sections = vec![self.summary()];
        sections.extend(verifiers.map(|(verifier, title)| self.section(verifier, title)));
        Ok(Sheet {
            title: format!("Essais de conformité, {}", self.name),
            facts: [
                identity(&self.configuration.installation)?,
                vec![
                    fact("Date", self.made_at.clone()),
                    fact(
                        "Environnement",
                        format!("{} ({})", environment.name, environment.kind),
                    ),
                    fact("Code prestataire", self.practitioner.to_owned()),
                    fact("Formulaires", forms.collect::<Vec<_>>().join(", ")),
                    fact("Opérations non envoyées ici", not_sent),
                    fact(
                        "Résultat",
                        format!("{} cas, {failed} échoués", self.cases.len()),
                    ),
                ],
            ]
            .concat(),
            sections,
        })
    }

    fn summary(&self) -> Section {
        let text = |text: &Option<String>| Cell::from(text.as_deref().unwrap_or("–"));
        Section {
            title: "Cas".to_owned(),
            note: "Les archives de preuves sont à côté de ce rapport.".to_owned(),
            columns: vec![
                "cas",
                "opération",
                "exemple",
                "UUID",
                "id. destinataire",
                "corrélation",
                "envoyé",
                "répondu",
                "preuves",
                "réussi",
            ],
            rows: self
                .cases
                .iter()
                .map(|case| {
                    vec![
                        case.number.to_string().into(),
                        format!(
                            "{} {} {} ({})",
                            case.form, case.version, case.operation, case.kind
                        )
                        .into(),
                        case.example.clone().into(),
                        text(&case.uuid),
                        text(&case.insurer_id),
                        text(&case.correlation_id),
                        text(&case.sent_at),
                        text(&case.answered_at),
                        text(&case.evidence),
                        Cell::Verdict(case.passed()),
                    ]
                })
                .collect(),
        }
    }

    fn section(&self, verifier: Verifier, title: &str) -> Section {
        let mut rows = Vec::new();
        for case in &self.cases {
            for check in case
                .checks
                .iter()
                .filter(|check| check.verifier == verifier)
            {
                rows.push(vec![
                    case.number.to_string().into(),
                    format!("{} {}", case.form, case.operation).into(),
                    case.uuid.as_deref().unwrap_or("–").into(),
                    check.what.into(),
                    check.found.clone().into(),
                    Cell::Verdict(check.passed),
                ]);
            }
        }
        Section {
            title: title.to_owned(),
            note: String::new(),
            columns: vec!["cas", "opération", "UUID", "contrôle", "constat", "réussi"],
            rows,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_numbered_and_none_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("runs");
        let names = [0, 1].map(|_| next(&out).unwrap().0);
        assert_eq!(names, ["run-0001", "run-0002"]);
        fs::remove_dir(out.join("run-0001")).unwrap();
        fs::create_dir(out.join("run-0003")).unwrap();
        assert_eq!(next(&out).unwrap().0, "run-0001");
        assert_eq!(next(&out).unwrap().0, "run-0004");
    }
}
