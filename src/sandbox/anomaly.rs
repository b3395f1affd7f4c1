//! What the sandbox remarks about a document: codes and texts of its own. No
//! insurer uses them; every code begins with `SBX-`.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// How grave a remark is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gravity {
    /// The document is refused.
    Blocking,
    /// It stands beside an acceptance.
    Remark,
}

/// A remark as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anomaly {
    /// `bloquante`, `ligne` or `information`.
    pub kind: Cow<'static, str>,
    /// The code.
    pub code: Cow<'static, str>,
    /// One sentence, French.
    pub text: Cow<'static, str>,
    /// The line of the document it is about, as the document names it.
    #[serde(default)]
    pub line: Option<String>,
}

/// The kind of a remark that refuses.
const BLOCKING: &str = "bloquante";
/// The kind of a remark for which a line is not covered.
const LINE: &str = "ligne";
/// Text of a refusal that a scenario asked for by a code nobody knows.
const BY_SCENARIO: &str = "Refus demandé par un scénario du bac à sable.";

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $gravity:ident, $text:literal;)+) => {
        /// Why the sandbox remarks something.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Rule {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Its code.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// Its sentence.
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// Its gravity.
            pub fn gravity(self) -> Gravity {
                match self { $(Self::$name => Gravity::$gravity),+ }
            }
        }
    };
}

rules! {
    /// The act stands in no list (simulation only).
    ActUnknown = "SBX-001", Blocking, "L'acte ne figure pas dans la liste fictive du bac à sable.";
    /// The act could no longer be billed on that day.
    ActEnded = "SBX-002", Blocking, "L'acte n'est plus facturable à la date de la prestation.";
    /// No such suffix.
    SuffixUnknown = "SBX-003", Blocking, "Le suffixe de l'acte n'existe pas.";
    /// The act takes no suffix.
    SuffixForbidden = "SBX-004", Blocking, "L'acte n'admet pas de suffixe.";
    /// Too many of one act on a line.
    CountExceeded = "SBX-005", Blocking, "Le nombre dépasse le maximum prévu pour cet acte.";
    /// Two acts that exclude one another on one day.
    NotTogether = "SBX-006", Blocking, "L'acte n'est pas cumulable avec un autre acte du même jour.";
    /// The act needs an authorisation.
    Authorisation = "SBX-007", Blocking, "L'acte exige une autorisation préalable, qui n'est pas connue.";
    /// The act is for patients under 18.
    MinorsOnly = "SBX-008", Blocking, "L'acte est réservé aux patients de moins de 18 ans.";
    /// The hour of the act is missing.
    HourMissing = "SBX-009", Blocking, "L'heure de la prestation doit être indiquée pour cet acte.";
    /// The amount of a deposited line is above the tariff.
    AmountExceeded = "SBX-010", Blocking, "Le montant dépasse le tarif calculé pour la ligne.";
    /// The day of the act is after that of the mémoire.
    DayAfterBill = "SBX-011", Blocking, "La date de la prestation est postérieure à celle du mémoire.";
    /// The personal share of a deposited line is not the computed one.
    ShareDiffers = "SBX-012", Remark, "La participation personnelle diffère de celle calculée.";
    /// An act of somebody who is no member of the association that bills.
    NotAMember = "SBX-013", Blocking, "L'exécutant n'est pas membre de l'association qui facture.";
    /// The patient has not agreed to digital documents.
    ConsentMissing = "SBX-020", Blocking, "Le patient n'a pas consenti au dépôt numérique de ses documents.";
    /// No such document here.
    TargetUnknown = "SBX-030", Blocking, "Le document à annuler n'est pas connu.";
    /// The document is another practitioner's.
    TargetForeign = "SBX-031", Blocking, "Le document à annuler est celui d'un autre prestataire.";
    /// The document was cancelled before.
    TargetCancelled = "SBX-032", Blocking, "Le document est déjà annulé ou remplacé.";
    /// The document is paid.
    TargetPaid = "SBX-033", Blocking, "Le document est déjà remboursé et ne peut plus être annulé.";
    /// The document was refused: there is nothing to cancel.
    TargetRefused = "SBX-034", Blocking, "Le document a été refusé; il n'y a rien à annuler.";
    /// The replacement is the cancelled document.
    ReplacedByItself = "SBX-035", Blocking, "Un document ne peut pas se remplacer lui-même.";
    /// The replacement has not arrived yet.
    ReplacementAwaited = "SBX-036", Remark, "Le document remplaçant n'est pas encore arrivé.";
    /// No such simulation here.
    SimulationUnknown = "SBX-040", Blocking, "La réponse de simulation n'est pas connue.";
    /// The simulation is another practitioner's.
    SimulationForeign = "SBX-041", Blocking, "La simulation est celle d'un autre prestataire.";
    /// The simulation was validated or contested before.
    SimulationAnswered = "SBX-042", Blocking, "La simulation a déjà été validée ou contestée.";
    /// The doctor or the insured has not agreed.
    NotAgreed = "SBX-043", Blocking, "Le médecin et la personne protégée doivent tous deux valider la simulation.";
    /// The personal share is not paid yet.
    ShareUnpaid = "SBX-044", Remark, "La participation personnelle n'est pas acquittée.";
    /// The contested anomaly does not stand in the answer.
    ContestedUnknown = "SBX-046", Remark, "L'anomalie contestée ne figure pas dans la réponse de simulation.";
    /// What follows a contestation (DSR 3.2.1).
    MemoireFollows = "SBX-045", Remark, "Un mémoire d'honoraires standard est établi sans validation; le patient demande lui-même son remboursement.";
    /// The certificate is too long.
    CertificateLong = "SBX-050", Blocking, "La durée d'un certificat dépasse 180 jours dans le bac à sable.";
    /// The prolonged certificate did not come from here.
    ProlongsUnknown = "SBX-051", Remark, "Le certificat à prolonger n'est pas connu.";
    /// The prolonged certificate is cancelled.
    ProlongsCancelled = "SBX-052", Blocking, "Le certificat à prolonger est annulé ou remplacé.";
    /// A narcotic with renewals.
    NarcoticRenewed = "SBX-060", Blocking, "Un stupéfiant n'est pas renouvelable dans le bac à sable.";
    /// The same medicine twice.
    MedicineTwice = "SBX-061", Blocking, "Le même médicament figure deux fois sur l'ordonnance.";
}

impl Rule {
    /// The remark, about a line or the whole document.
    pub fn anomaly(self, line: Option<&str>) -> Anomaly {
        let kind = match self.gravity() {
            Gravity::Blocking => BLOCKING,
            Gravity::Remark => "information",
        };
        Anomaly {
            kind: kind.into(),
            code: self.code().into(),
            text: self.text().into(),
            line: line.map(str::to_owned),
        }
    }
}

impl Anomaly {
    /// The refusal a scenario asks for: the sandbox's own text where the code
    /// is the sandbox's.
    pub fn by_scenario(code: &str) -> Self {
        let known = Rule::ALL.iter().find(|rule| rule.code() == code);
        let text = known.map_or(BY_SCENARIO, |rule| rule.text());
        Self {
            kind: BLOCKING.into(),
            code: code.to_owned().into(),
            text: text.into(),
            line: None,
        }
    }

    /// The same beside an acceptance: what is not covered is the line alone.
    pub fn of_line_only(self) -> Self {
        match self.blocks() {
            true => Self {
                kind: LINE.into(),
                ..self
            },
            false => self,
        }
    }

    /// Whether the document is refused for it.
    pub fn blocks(&self) -> bool {
        self.kind == BLOCKING
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_rule_has_a_code_of_our_own_and_one_sentence() {
        let codes: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.code()).collect();
        assert_eq!(codes.len(), Rule::ALL.len());
        for rule in Rule::ALL {
            assert!(rule.code().starts_with("SBX-"), "{}", rule.code());
            assert!(rule.text().ends_with('.'), "{}", rule.code());
        }
    }

    #[test]
    fn a_scenario_gets_our_text_for_our_code() {
        let known = Anomaly::by_scenario("SBX-005");
        assert_eq!(known, Rule::CountExceeded.anomaly(None));
        let other = Anomaly::by_scenario("TEST-042");
        assert!(other.blocks() && other.text == BY_SCENARIO);
    }
}
