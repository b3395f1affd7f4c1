//! The documents a run sends: those shipped in the program, or those of a
//! folder laid out as packs are, `<form>/<version>/examples/`.

use crate::forms::Pack;
use std::error::Error;
use std::fs;
use std::path::Path;

/// The PDF of operations that carry one.
const PDF: &[u8] = include_bytes!("../../../tests/fixtures/pdf/memoire-gs-a2b.pdf");

/// An example document.
pub(super) struct Example {
    /// Its file's name without `.xml`.
    pub(super) name: String,
    pub(super) xml: Vec<u8>,
    pub(super) pdf: Vec<u8>,
}

/// What there is for one operation.
#[derive(Default)]
pub(super) struct Examples {
    pub(super) valid: Vec<Example>,
    pub(super) invalid: Vec<Example>,
}

struct Shipped {
    form: &'static str,
    version: &'static str,
    operation: &'static str,
    valid: &'static [(&'static str, &'static [u8])],
    invalid: &'static [(&'static str, &'static [u8])],
}

macro_rules! shipped {
    ($($form:literal $version:literal $operation:literal valid [$($valid:literal)*] invalid [$($invalid:literal)*])*) => {
        &[$(Shipped {
            form: $form,
            version: $version,
            operation: $operation,
            valid: &[$(shipped!(@ $form $version "valid" $operation $valid)),*],
            invalid: &[$(shipped!(@ $form $version "invalid" $operation $invalid)),*],
        }),*]
    };
    (@ $form:literal $version:literal $kind:literal $operation:literal $name:literal) => {
        ($name, include_bytes!(concat!("../../../xsd/", $form, "/", $version, "/examples/", $kind, "/", $operation, "/", $name, ".xml")))
    };
}

/// Every valid example of the built-in packs, and of the invalid ones some that
/// break the schema and some that break a check.
const SHIPPED: &[Shipped] = shipped! {
    "ecit" "1" "annulation"
        valid ["motif-long" "simple"]
        invalid ["motif-vide" "signature-deja-presente"]
    "ecit" "1" "depot"
        valid ["accident" "accident-travail" "accident-travail-sans-numero" "maladie" "matricule-douteux" "non-affilie" "prolongation" "prolongation-d-ailleurs" "troisieme-jour"]
        invalid ["diagnostic-inconnu" "fin-avant-debut" "quatrieme-jour" "uuid-version-1"]
    "eordonnance" "1" "annulation"
        valid ["motif-long" "simple"]
        invalid ["identifiant-manquant" "uuid-version-1"]
    "eordonnance" "1" "depot"
        valid ["deux-medicaments" "kine-courante" "kine-drainage" "kine-lourde" "kine-post-operatoire" "laboratoire" "matricule-douteux" "medicament" "non-affilie" "stupefiant" "stupefiant-sans-souche"]
        invalid ["aucune-prescription" "examen-sans-son-prelevement" "fin-de-validite-passee" "posologie-manquante"]
    "memoire-honoraires" "2" "annulation"
        valid ["association" "remplacement" "simple"]
        invalid ["remplacement-sans-remplacant" "simple-avec-remplacant" "type-inconnu"]
    "memoire-honoraires" "2" "depot"
        valid ["accident" "acquitte-sans-jour" "association" "avec-document" "dentaire" "matricule-douteux" "non-affilie" "quarante-lignes" "tiers-assure" "une-ligne"]
        invalid ["element-manquant" "montant-trois-decimales" "prestation-apres-memoire" "signature-deja-presente" "sous-total-faux" "uuid-version-1"]
    "pid" "2" "contestation"
        valid ["deux-anomalies" "une-anomalie"]
        invalid ["aucune-anomalie" "code-inconnu"]
    "pid" "2" "simulation"
        valid ["association" "deux-lignes" "matricule-douteux" "mineur" "non-opposable" "une-ligne"]
        invalid ["aucune-ligne" "matricule-douze-chiffres" "prestation-apres-memoire" "uuid-version-1"]
    "pid" "2" "validation"
        valid ["acquittee" "association" "non-acquittee"]
        invalid ["indicateur-oui" "simulation-manquante"]
};

impl Examples {
    /// The examples for an operation: of `folder` where it is given and has
    /// some, else those shipped.
    pub(super) fn of(
        pack: &Pack,
        operation: &str,
        folder: Option<&Path>,
    ) -> Result<Self, Box<dyn Error>> {
        let own = folder.map(|folder| folder.join(&pack.form).join(&pack.version).join("examples"));
        if let Some(own) = own.filter(|own| own.is_dir()) {
            return Ok(Self {
                valid: read(&own.join("valid").join(operation))?,
                invalid: read(&own.join("invalid").join(operation))?,
            });
        }
        let shipped = SHIPPED.iter().find(|shipped| {
            (shipped.form, shipped.version, shipped.operation)
                == (pack.form.as_str(), pack.version.as_str(), operation)
        });
        let example = |(name, xml): &(&str, &[u8])| Example {
            name: (*name).to_owned(),
            xml: xml.to_vec(),
            pdf: PDF.to_vec(),
        };
        Ok(shipped.map_or_else(Self::default, |shipped| Self {
            valid: shipped.valid.iter().map(example).collect(),
            invalid: shipped.invalid.iter().map(example).collect(),
        }))
    }
}

/// The XML files of a folder by name, each with the PDF of its name where there
/// is one; none when there is no such folder.
fn read(folder: &Path) -> Result<Vec<Example>, Box<dyn Error>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files: Vec<_> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "xml"));
    files.sort_by(|a, b| a.file_stem().cmp(&b.file_stem()));
    let mut examples = Vec::new();
    for file in files {
        let pdf = file.with_extension("pdf");
        examples.push(Example {
            name: file
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            xml: fs::read(&file)?,
            pdf: if pdf.is_file() {
                fs::read(&pdf)?
            } else {
                PDF.to_vec()
            },
        });
    }
    Ok(examples)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forms::Packs;

    #[test]
    fn every_valid_example_of_the_built_in_packs_is_shipped() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("xsd");
        for pack in Packs::builtin().unwrap().offered() {
            for operation in pack.operations.keys() {
                let names = |examples: &Examples| -> Vec<String> {
                    examples
                        .valid
                        .iter()
                        .map(|example| example.name.clone())
                        .collect()
                };
                let shipped = Examples::of(&pack, operation, None).unwrap();
                let there = Examples::of(&pack, operation, Some(&folder)).unwrap();
                assert_eq!(names(&shipped), names(&there), "{} {operation}", pack.form);
                assert!(!shipped.invalid.is_empty(), "{} {operation}", pack.form);
            }
        }
    }
}
