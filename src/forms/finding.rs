//! What can be wrong with a document, as a closed list of codes, each with a
//! text for the doctor in three languages.

use super::{Referred, Title};
use crate::xml::Position;
use std::fmt;
use std::sync::Arc;

/// The kind of a finding. The list is closed: programs may rely on it, and
/// every code has a text in every language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// Not UTF-8, or another encoding is declared.
    XmlEncoding,
    /// Not well-formed XML 1.0 with namespaces.
    XmlMalformed,
    /// A document type declaration.
    XmlDoctype,
    /// A processing instruction.
    XmlProcessingInstruction,
    /// Size, depth or number of parts passes a limit of this program.
    XmlLimit,
    /// The form has no such operation.
    FormOperation,
    /// Another root element than the operation's.
    FormRoot,
    /// The schema is violated; the finding names the constraint.
    FormSchema,
    /// The validator gave no verdict.
    FormUnvalidated,
    /// The identifier is not a random (version 4) UUID, RFC 9562 §5.4.
    FormUuidNotV4,
    /// The code prestataire is not a number of eight digits.
    FormCodePrestataire,
    /// A fact the program needs is missing or unreadable.
    FormFact,
    /// Amounts do not add up.
    FormSum,
    /// Days stand in an impossible order, or too far apart.
    FormDate,
    /// A code is not in its list.
    FormCode,
    /// A value names something of the document that is not there.
    FormReference,
    /// Something is missing, or there, that must not be in this case.
    FormCondition,
    /// The earlier document it names is not known here, or was named before.
    FormCorrelation,
    /// The matricule has an impossible date or wrong check digits. A warning:
    /// test patients of the insurer fail these rules.
    FormMatricule,
    /// The document is signed already, or its place for the signature is taken.
    FormSignaturePresent,
    /// The document that must be embedded is missing.
    FormDocumentMissing,
    /// What is embedded is not a PDF, or is too large.
    FormDocumentNotPdf,
}

/// A text in the languages of the country's practices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DoctorText<'t> {
    /// French.
    pub fr: &'t str,
    /// German.
    pub de: &'t str,
    /// English.
    pub en: &'t str,
}

impl Code {
    /// Every code, in the order of the documentation.
    pub const ALL: [Self; 22] = [
        Self::XmlEncoding,
        Self::XmlMalformed,
        Self::XmlDoctype,
        Self::XmlProcessingInstruction,
        Self::XmlLimit,
        Self::FormOperation,
        Self::FormRoot,
        Self::FormSchema,
        Self::FormUnvalidated,
        Self::FormUuidNotV4,
        Self::FormCodePrestataire,
        Self::FormFact,
        Self::FormSum,
        Self::FormDate,
        Self::FormCode,
        Self::FormReference,
        Self::FormCondition,
        Self::FormCorrelation,
        Self::FormMatricule,
        Self::FormSignaturePresent,
        Self::FormDocumentMissing,
        Self::FormDocumentNotPdf,
    ];

    /// The code as programs see it. Never changes once published.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::XmlEncoding => "xml.encoding",
            Self::XmlMalformed => "xml.malformed",
            Self::XmlDoctype => "xml.doctype",
            Self::XmlProcessingInstruction => "xml.processing-instruction",
            Self::XmlLimit => "xml.limit",
            Self::FormOperation => "form.operation",
            Self::FormRoot => "form.root",
            Self::FormSchema => "form.schema",
            Self::FormUnvalidated => "form.unvalidated",
            Self::FormUuidNotV4 => "form.uuid-not-v4",
            Self::FormCodePrestataire => "form.code-prestataire",
            Self::FormFact => "form.fact",
            Self::FormSum => "form.sum",
            Self::FormDate => "form.date",
            Self::FormCode => "form.code",
            Self::FormReference => "form.reference",
            Self::FormCondition => "form.condition",
            Self::FormCorrelation => "form.correlation",
            Self::FormMatricule => "form.matricule",
            Self::FormSignaturePresent => "form.signature-present",
            Self::FormDocumentMissing => "form.document-missing",
            Self::FormDocumentNotPdf => "form.document-not-pdf",
        }
    }

    /// What to tell the doctor: what happened and what to do, without a word
    /// of XML where the doctor can do something about it.
    pub fn doctor_text(self) -> DoctorText<'static> {
        match self {
            Self::XmlEncoding
            | Self::XmlMalformed
            | Self::XmlDoctype
            | Self::XmlProcessingInstruction
            | Self::XmlLimit
            | Self::FormOperation
            | Self::FormRoot
            | Self::FormUnvalidated => UNREADABLE,
            Self::FormSchema | Self::FormFact => DoctorText {
                fr: "Une donnée du formulaire manque ou n'a pas la forme demandée. Le formulaire n'a pas été signé. Corrigez la donnée indiquée, puis recommencez.",
                de: "Eine Angabe des Formulars fehlt oder hat nicht die verlangte Form. Das Formular wurde nicht signiert. Berichtigen Sie die genannte Angabe und versuchen Sie es erneut.",
                en: "A value of the form is missing or does not have the required form. The form was not signed. Correct the value named and try again.",
            },
            Self::FormUuidNotV4 => DoctorText {
                fr: "L'identifiant unique du formulaire n'a pas la forme exigée. Le formulaire n'a pas été signé. Veuillez contacter l'éditeur de votre logiciel.",
                de: "Die eindeutige Kennung des Formulars hat nicht die verlangte Form. Das Formular wurde nicht signiert. Bitte wenden Sie sich an den Hersteller Ihrer Software.",
                en: "The unique identifier of the form does not have the required form. The form was not signed. Please contact the vendor of your software.",
            },
            Self::FormCodePrestataire => DoctorText {
                fr: "Le code prestataire n'est pas valable: il se compose de huit chiffres. Vérifiez-le dans les réglages de votre logiciel.",
                de: "Der Leistungserbringer-Code ist ungültig: Er besteht aus acht Ziffern. Prüfen Sie ihn in den Einstellungen Ihrer Software.",
                en: "The provider code is not valid: it consists of eight digits. Check it in the settings of your software.",
            },
            Self::FormSum => DoctorText {
                fr: "Les montants du formulaire ne concordent pas. Le formulaire n'a pas été signé. Vérifiez les lignes et le total.",
                de: "Die Beträge des Formulars stimmen nicht überein. Das Formular wurde nicht signiert. Prüfen Sie die Zeilen und die Summe.",
                en: "The amounts of the form do not add up. The form was not signed. Check the lines and the total.",
            },
            Self::FormDate => DoctorText {
                fr: "Des dates du formulaire se contredisent. Le formulaire n'a pas été signé. Vérifiez les dates des prestations et celle du formulaire.",
                de: "Daten des Formulars widersprechen einander. Das Formular wurde nicht signiert. Prüfen Sie die Daten der Leistungen und des Formulars.",
                en: "Dates of the form contradict each other. The form was not signed. Check the dates of the services and of the form.",
            },
            Self::FormCode => NOT_IN_LIST,
            Self::FormReference => NOT_THERE,
            Self::FormCondition => NOT_TOGETHER,
            Self::FormCorrelation => EARLIER_DOCUMENT,
            Self::FormMatricule => DoctorText {
                fr: "Le matricule du patient semble mal saisi. Le formulaire est traité quand même; vérifiez le numéro.",
                de: "Die Matrikelnummer des Patienten scheint falsch eingegeben. Das Formular wird trotzdem bearbeitet; prüfen Sie die Nummer.",
                en: "The patient's national number seems to be mistyped. The form is processed all the same; check the number.",
            },
            Self::FormSignaturePresent => DoctorText {
                fr: "Le formulaire porte déjà une signature. Il n'a pas été signé une seconde fois. Veuillez contacter l'éditeur de votre logiciel.",
                de: "Das Formular trägt bereits eine Signatur. Es wurde nicht ein zweites Mal signiert. Bitte wenden Sie sich an den Hersteller Ihrer Software.",
                en: "The form carries a signature already. It was not signed a second time. Please contact the vendor of your software.",
            },
            Self::FormDocumentMissing => DoctorText {
                fr: "Le PDF du formulaire manque. Le formulaire n'a pas été signé.",
                de: "Das PDF des Formulars fehlt. Das Formular wurde nicht signiert.",
                en: "The PDF of the form is missing. The form was not signed.",
            },
            Self::FormDocumentNotPdf => DoctorText {
                fr: "Le document joint au formulaire n'est pas un PDF utilisable. Le formulaire n'a pas été signé.",
                de: "Das dem Formular beigefügte Dokument ist kein brauchbares PDF. Das Formular wurde nicht signiert.",
                en: "The document attached to the form is not a usable PDF. The form was not signed.",
            },
        }
    }
}

const NOT_IN_LIST: DoctorText<'static> = DoctorText {
    fr: "Un code du formulaire ne figure pas dans la liste prévue. Vérifiez le code indiqué, puis recommencez.",
    de: "Ein Code des Formulars steht nicht in der vorgesehenen Liste. Prüfen Sie den genannten Code und versuchen Sie es erneut.",
    en: "A code of the form is not in the list it must be taken from. Check the code named and try again.",
};

const NOT_THERE: DoctorText<'static> = DoctorText {
    fr: "Une donnée du formulaire renvoie à une autre qui n'y figure pas. Vérifiez les deux, puis recommencez.",
    de: "Eine Angabe des Formulars verweist auf eine andere, die dort fehlt. Prüfen Sie beide und versuchen Sie es erneut.",
    en: "A value of the form points to another one that is not there. Check both and try again.",
};

const NOT_TOGETHER: DoctorText<'static> = DoctorText {
    fr: "Des données du formulaire ne vont pas ensemble: dans ce cas, l'une doit être ajoutée ou retirée. Corrigez la donnée indiquée, puis recommencez.",
    de: "Angaben des Formulars passen nicht zusammen: In diesem Fall ist eine zu ergänzen oder zu entfernen. Berichtigen Sie die genannte Angabe und versuchen Sie es erneut.",
    en: "Values of the form do not go together: in this case one must be added or removed. Correct the value named and try again.",
};

const EARLIER_DOCUMENT: DoctorText<'static> = DoctorText {
    fr: "Le document antérieur auquel ce formulaire se rapporte n'est pas connu ici, ou l'opération a déjà été faite. Vérifiez son état dans votre logiciel.",
    de: "Das frühere Dokument, auf das sich dieses Formular bezieht, ist hier nicht bekannt, oder der Vorgang wurde bereits ausgeführt. Prüfen Sie seinen Stand in Ihrer Software.",
    en: "The earlier document this form is about is not known here, or this was done before. Check its state in your software.",
};

const UNREADABLE: DoctorText<'static> = DoctorText {
    fr: "Votre logiciel a remis un formulaire que ce programme ne peut pas lire. Rien n'a été signé ni envoyé. Veuillez contacter l'éditeur de votre logiciel.",
    de: "Ihre Software hat ein Formular übergeben, das dieses Programm nicht lesen kann. Es wurde nichts signiert oder gesendet. Bitte wenden Sie sich an den Hersteller Ihrer Software.",
    en: "Your software handed over a form this program cannot read. Nothing was signed or sent. Please contact the vendor of your software.",
};

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a finding stops the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The document is refused.
    Error,
    /// The document goes on; a human should look.
    Warning,
}

/// One thing found in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its kind.
    pub code: Code,
    /// Whether it stops the document.
    pub severity: Severity,
    /// The schema constraint as W3C names it, for schema faults.
    pub constraint: Option<String>,
    /// The element or attribute at fault, with the document's own prefixes.
    pub xpath: Option<String>,
    /// Where the element begins, or the fault itself when there is no tree.
    pub position: Option<Position>,
    /// One sentence for a developer, in English, naming the element and the
    /// value at fault (cut at 60 characters).
    pub message: String,
    /// Elements or values that would have been allowed, if known.
    pub expected: Vec<String>,
    /// What the pack's check tells the doctor, instead of the code's text.
    pub text: Option<Arc<Title>>,
}

impl Finding {
    /// A finding about the earlier document that `referred` names.
    pub fn correlation(referred: &Referred, severity: Severity, message: String) -> Self {
        Self {
            code: Code::FormCorrelation,
            severity,
            constraint: None,
            xpath: Some(referred.xpath.clone()),
            position: Some(referred.position),
            message,
            expected: Vec::new(),
            text: None,
        }
    }

    /// What to tell the doctor.
    pub fn doctor_text(&self) -> DoctorText<'_> {
        match &self.text {
            Some(text) => DoctorText {
                fr: &text.fr,
                de: &text.de,
                en: &text.en,
            },
            None => self.code.doctor_text(),
        }
    }
}

/// All the reasons why a document was refused, in document order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// At least one finding of severity error; warnings may stand among them.
    pub findings: Vec<Finding>,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codes: Vec<&str> = self
            .findings
            .iter()
            .map(|finding| finding.code.as_str())
            .collect();
        write!(f, "the document was refused: {}", codes.join(", "))
    }
}

impl std::error::Error for Rejected {}
