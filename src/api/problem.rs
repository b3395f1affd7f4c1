//! Errors as RFC 9457 problem documents, from a closed list. Only this module
//! turns errors into HTTP. The list is printed in `docs/problems.md`, which a
//! test compares with it.

use crate::base::{causes, limits};
use crate::forms::{Code, Finding, FormsError, Rejected, Severity};
use crate::intake::{IntakeError, IsolatedError, ScreenError};
use crate::outbox::{Class, OutboxError};
use crate::sign::SignError;
use crate::token::TokenError;
use crate::trust::TrustError;
use crate::xades::XadesError;
use crate::xml::{Position, XmlError};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Texts for the doctor, in the three languages of the country's forms.
#[derive(Debug, Clone, Serialize, ToSchema, PartialEq, Eq)]
pub struct Texts {
    /// French.
    pub fr: String,
    /// German.
    pub de: String,
    /// English.
    pub en: String,
}

impl From<[&str; 3]> for Texts {
    fn from([fr, de, en]: [&str; 3]) -> Self {
        let [fr, de, en] = [fr, de, en].map(str::to_owned);
        Self { fr, de, en }
    }
}

/// One kind of problem.
#[derive(Debug)]
pub struct Kind {
    /// Stable code, the last part of `type`.
    pub code: &'static str,
    /// HTTP status.
    pub status: u16,
    /// Short title for the developer.
    pub title: &'static str,
    /// What the developer or administrator does about it.
    pub remedy: &'static str,
    /// What the doctor reads: fr, de, en.
    pub doctor: [&'static str; 3],
}

macro_rules! kinds {
    ($($name:ident = $status:literal $code:literal, $title:literal, $remedy:literal, [$fr:literal, $de:literal, $en:literal];)*) => {
        $(#[doc = $title] pub(super) const $name: Kind = Kind { code: $code, status: $status, title: $title, remedy: $remedy, doctor: [$fr, $de, $en] };)*
        /// Every kind there is.
        pub const KINDS: &[&Kind] = &[$(&$name),*];
    };
}

kinds! {
    BODY_MALFORMED = 400 "body-malformed", "The request body cannot be read",
        "For a form send multipart/form-data with the parts xml and pdf, or XML, or JSON {\"xml\": text, \"pdf\": base64}; for a document alone XML, a PDF, or exactly one of these parts.",
        ["Le logiciel a envoyé une demande illisible. Contactez votre fournisseur de logiciel.", "Die Software hat eine unlesbare Anfrage gesendet. Wenden Sie sich an Ihren Softwareanbieter.", "Your software sent an unreadable request. Contact its supplier."];
    QUERY_MALFORMED = 400 "query-malformed", "A path or query parameter cannot be read",
        "See the parameter's description in openapi.json.",
        ["Le logiciel a envoyé une demande illisible. Contactez votre fournisseur de logiciel.", "Die Software hat eine unlesbare Anfrage gesendet. Wenden Sie sich an Ihren Softwareanbieter.", "Your software sent an unreadable request. Contact its supplier."];
    HOST_MALFORMED = 400 "host-malformed", "Exactly one Host header is required",
        "Send one Host header, as every HTTP/1.1 client does (RFC 9112 §3.2).",
        ["Le logiciel a envoyé une demande illisible. Contactez votre fournisseur de logiciel.", "Die Software hat eine unlesbare Anfrage gesendet. Wenden Sie sich an Ihren Softwareanbieter.", "Your software sent an unreadable request. Contact its supplier."];
    UNAUTHORIZED = 401 "unauthorized", "A valid bearer token is required",
        "Run `sceau pair <name>` on this machine and send its token as `Authorization: Bearer <token>`.",
        ["Votre logiciel n'est pas encore jumelé avec Sceau.", "Ihre Software ist noch nicht mit Sceau gekoppelt.", "Your software is not paired with Sceau yet."];
    ORIGIN_REFUSED = 403 "origin-refused", "Requests from web pages are refused",
        "Call from a program: requests with an Origin header are refused until that origin can be paired.",
        ["Une page web a tenté d'utiliser Sceau ; la demande a été refusée.", "Eine Webseite wollte Sceau benutzen; die Anfrage wurde abgelehnt.", "A web page tried to use Sceau; it was refused."];
    PIN_REFUSED = 403 "pin-refused", "The token refused the PIN",
        "Enter the PIN again with `sceau unlock`; it was tried once and is not tried again by itself.",
        ["Le code PIN est incorrect. Chaque essai compte.", "Die PIN ist falsch. Jeder Versuch zählt.", "The PIN is wrong. Every try counts."];
    PRACTITIONER_NOT_ALLOWED = 403 "practitioner-not-allowed", "The program is bound to other practitioners",
        "Pair the program for this code prestataire too: `sceau pair <name> --practitioner <code>`, once for each it acts for.",
        ["Ce logiciel n'est pas autorisé à agir pour ce code prestataire.", "Diese Software darf für diesen Leistungserbringer-Code nicht handeln.", "This software may not act for this provider code."];
    NOT_FOUND = 404 "not-found", "There is no such address",
        "See openapi.json for the addresses there are.",
        ["Le logiciel a demandé une fonction inconnue.", "Die Software hat eine unbekannte Funktion angefragt.", "Your software asked for an unknown function."];
    FORM_UNKNOWN = 404 "form-unknown", "The form or its version is not installed",
        "GET /v1/forms lists the forms and versions there are.",
        ["Ce type de formulaire n'est pas installé.", "Dieser Formulartyp ist nicht installiert.", "This type of form is not installed."];
    OPERATION_UNKNOWN = 404 "operation-unknown", "The form has no such operation",
        "GET /v1/forms/{form} lists its operations.",
        ["Cette opération n'existe pas pour ce formulaire.", "Diesen Vorgang gibt es für dieses Formular nicht.", "This operation does not exist for this form."];
    SUBMISSION_UNKNOWN = 404 "submission-unknown", "No submission has this UUID",
        "A document that was never answered with 202 or 200 was not accepted: send it.",
        ["Ce document est inconnu de Sceau.", "Dieses Dokument ist Sceau nicht bekannt.", "Sceau does not know this document."];
    TOKEN_UNKNOWN = 404 "token-unknown", "There is no token of this name",
        "GET /v1/tokens lists the names; with one token none needs to be given.",
        ["Aucune carte ne porte ce nom dans la configuration.", "In der Konfiguration trägt keine Karte diesen Namen.", "No card of the configuration has this name."];
    NOT_YET_AVAILABLE = 404 "not-yet-available", "The submission has not come that far",
        "GET the submission: its state says what it waits for.",
        ["Le document n'en est pas encore là.", "Das Dokument ist noch nicht so weit.", "The document has not come that far yet."];
    NOT_PRINTABLE = 404 "not-printable", "The document has no QR symbol or no print copy",
        "The detail says why: the form's pack asks for none, there is no PDF, or the PDF has no such page.",
        ["Ce document n'a pas de code QR ni de copie à imprimer.", "Zu diesem Dokument gibt es keinen QR-Code und keine Druckkopie.", "This document has no QR code and no print copy."];
    COPY_UNKNOWN = 404 "copy-unknown", "The form has no such copy",
        "GET /v1/forms/{form} lists the copies of each operation.",
        ["Cet exemplaire n'existe pas pour ce document.", "Dieses Exemplar gibt es zu diesem Dokument nicht.", "There is no such copy of this document."];
    METHOD_REFUSED = 405 "method-refused", "The address does not take this method",
        "See openapi.json for the methods there are.",
        ["Le logiciel a demandé une fonction inconnue.", "Die Software hat eine unbekannte Funktion angefragt.", "Your software asked for an unknown function."];
    UUID_CONFLICT = 409 "uuid-conflict", "The UUID was accepted before with other content",
        "A changed document is a new document: give it a new version 4 UUID (POST /v1/uuids). A repeated one must be byte for byte the same.",
        ["Ce document porte l'identifiant d'un document déjà transmis.", "Dieses Dokument trägt die Kennung eines bereits übermittelten Dokuments.", "This document bears the identifier of one already handed in."];
    NOT_UNKNOWN = 409 "not-unknown", "No open question can be settled for this document now",
        "Only what is `unknown` can be settled, and not while the insurer is being asked about it: then try again in a minute.",
        ["Il n'y a pas de question ouverte pour ce document en ce moment.", "Zu diesem Dokument ist gerade keine Frage offen.", "There is no open question about this document now."];
    PIN_UNCERTAIN = 409 "pin-uncertain", "The login broke off; the PIN may have been tried or not",
        "Look at the token's warning in GET /v1/tokens before the PIN is entered again: an attempt may be gone although the PIN was right.",
        ["La carte n'a pas répondu ; un essai du code PIN est peut-être perdu. Vérifiez avant de recommencer.", "Die Karte hat nicht geantwortet; ein PIN-Versuch ist vielleicht verbraucht. Prüfen Sie dies vor einem neuen Versuch.", "The card did not answer; one PIN attempt may be gone. Check before you try again."];
    TOKEN_NOT_READY = 409 "token-not-ready", "The token cannot be unlocked now",
        "The detail says what the token waits for: plug it in, wait for its driver, or confirm the last try.",
        ["La carte n'est pas prête : insérez-la ou attendez un instant.", "Die Karte ist nicht bereit: stecken Sie sie ein oder warten Sie kurz.", "The card is not ready: insert it, or wait a moment."];
    PIN_LOCKED = 409 "pin-locked", "The token has locked its PIN",
        "Only the card's issuer can unblock it, usually with the PUK.",
        ["Le code PIN de la carte est bloqué ; il faut le débloquer auprès de l'émetteur.", "Die PIN der Karte ist gesperrt; der Herausgeber muss sie entsperren.", "The card's PIN is locked; its issuer must unblock it."];
    CERTIFICATE_REFUSED = 409 "certificate-refused", "The signing certificate cannot be used",
        "The detail names certificate and reason. Set up a valid certificate, or configure the anchor it leads to.",
        ["Le certificat de signature n'est pas valable ; le document n'est pas signé.", "Das Signaturzertifikat ist nicht gültig; das Dokument ist nicht signiert.", "The signing certificate is not valid; the document is not signed."];
    LEVEL_UNAVAILABLE = 409 "level-unavailable", "The level cannot be reached as Sceau is set up",
        "The detail says what is missing. Change the configuration, or ask for a lower level.",
        ["Sceau n'est pas configuré pour ce niveau de signature.", "Sceau ist für diese Signaturstufe nicht eingerichtet.", "Sceau is not set up for this level of signature."];
    DOCUMENT_PURGED = 410 "document-purged", "The documents of this submission were destroyed",
        "They are kept for `store.keep_documents_days` after the insurer's verdict. Record, history, digests, receipt and timestamp are still there.",
        ["Ce document n'est plus conservé ; son accusé de réception l'est encore.", "Dieses Dokument wird nicht mehr aufbewahrt; seine Empfangsbestätigung noch.", "This document is no longer kept; its receipt still is."];
    BODY_TOO_LARGE = 413 "body-too-large", "The request body is over the limit",
        "The limit stands in the detail, in bytes.",
        ["Le document est trop volumineux.", "Das Dokument ist zu groß.", "The document is too large."];
    MEDIA_TYPE_REFUSED = 415 "media-type-refused", "The content type is not one of those taken",
        "For a form use multipart/form-data, application/xml, text/xml or application/json; for a document alone application/xml, text/xml, application/pdf or multipart/form-data.",
        ["Le logiciel a envoyé une demande illisible. Contactez votre fournisseur de logiciel.", "Die Software hat eine unlesbare Anfrage gesendet. Wenden Sie sich an Ihren Softwareanbieter.", "Your software sent an unreadable request. Contact its supplier."];
    HOST_REFUSED = 421 "host-refused", "The Host header does not name this service",
        "Call http://127.0.0.1:<port>, http://localhost:<port> or http://[::1]:<port>.",
        ["Une demande mal adressée a été refusée.", "Eine falsch adressierte Anfrage wurde abgelehnt.", "A wrongly addressed request was refused."];
    DOCUMENT_INVALID = 422 "document-invalid", "The XML breaks rules of the form",
        "Each entry of `faults` names a rule, the place in the XML and the value at fault.",
        ["Le document contient des erreurs et n'a pas été accepté.", "Das Dokument enthält Fehler und wurde nicht angenommen.", "The document has errors and was not accepted."];
    PDF_MISSING = 422 "pdf-missing", "The form requires a PDF",
        "Send it as the part pdf, or base64-encoded in the form's document element.",
        ["Il manque le PDF du document.", "Das PDF des Dokuments fehlt.", "The document's PDF is missing."];
    PDF_AMBIGUOUS = 422 "pdf-ambiguous", "Two different PDFs were given",
        "Send the PDF either as a part or inside the XML.",
        ["Deux PDF différents ont été fournis.", "Es wurden zwei verschiedene PDF übergeben.", "Two different PDFs were given."];
    PDF_INVALID = 422 "pdf-invalid", "The PDF is not an acceptable PDF/A",
        "Each entry of `faults` names a rule of ISO 19005. This is a plausibility check, not a full validation. Without entries, the detail has the verdict of the site's validator.",
        ["Le PDF n'est pas au format d'archivage PDF/A.", "Das PDF hat nicht das Archivformat PDF/A.", "The PDF is not in the PDF/A archive format."];
    PRACTITIONER_UNKNOWN = 422 "practitioner-unknown", "The code prestataire is not configured here",
        "Add a [[practitioner]] with this code to the configuration, or correct the document.",
        ["Ce code prestataire n'est pas configuré sur ce poste.", "Dieser Code prestataire ist hier nicht eingerichtet.", "This code prestataire is not set up here."];
    XML_UNREADABLE = 422 "xml-unreadable", "The XML cannot be read",
        "Each entry of `faults` names the fault and its place. Only UTF-8 without DOCTYPE and processing instructions is taken.",
        ["Le document n'a pas pu être lu ; il n'est pas signé.", "Das Dokument konnte nicht gelesen werden und ist nicht signiert.", "The document could not be read and is not signed."];
    NOT_ALLOWED_NOW = 422 "not-allowed-now", "The operation may not be sent to this environment today",
        "The detail has the rule and the days. Name a version that is allowed, use the route that applies today, or wait for the day.",
        ["Ce formulaire ne peut pas être transmis à cette date.", "Dieses Formular darf an diesem Tag nicht übermittelt werden.", "This form may not be sent on this day."];
    PDF_UNEXPECTED = 422 "pdf-unexpected", "The operation takes no PDF",
        "Send the XML alone. GET /v1/forms/{form} says which operations take a PDF.",
        ["Cette opération se fait sans PDF ; rien n'a été transmis.", "Dieser Vorgang geht ohne PDF; es wurde nichts übermittelt.", "This operation takes no PDF; nothing was sent."];
    SIGNER_UNKNOWN = 422 "signer-unknown", "Nobody can sign this document as asked",
        "The detail has the reason. Name in `signer` a practitioner or delegate who is configured and may sign it, and give each a `certificate_sha256`.",
        ["Personne n'est configuré pour signer ce document de cette façon.", "Niemand ist eingerichtet, der dieses Dokument so signieren darf.", "Nobody is set up to sign this document in this way."];
    SLOT_REFUSED = 422 "slot-refused", "The place for the signature is missing or not empty",
        "The path must lead to exactly one element, and that element must be empty; without slot the signature goes to the end of the root element.",
        ["L'emplacement de la signature manque dans le document ou n'est pas libre.", "Der Platz für die Signatur fehlt im Dokument oder ist nicht frei.", "The place for the signature is missing in the document or is not free."];
    ALREADY_SIGNED = 422 "already-signed", "The XML carries a signature already",
        "Send it unsigned: a document has one signature.",
        ["Ce document est déjà signé.", "Dieses Dokument ist schon signiert.", "This document is signed already."];
    PDF_REFUSED = 422 "pdf-refused", "The PDF cannot take a signature",
        "The detail has the reason: the file is damaged or encrypted, or its author allows no further signature.",
        ["Ce PDF ne peut pas être signé.", "Dieses PDF kann nicht signiert werden.", "This PDF cannot be signed."];
    TOO_MANY_REQUESTS = 429 "too-many-requests", "The program asks for more than its share",
        "Wait as long as Retry-After says, then send the very same request again. The limits are `requests_per_second` and `requests_at_once` of `[api]`, and a number of requests at once; each document of a batch counts as a request.",
        ["Votre logiciel envoie trop de demandes à la fois ; il réessaiera.", "Ihre Software stellt zu viele Anfragen auf einmal; sie versucht es erneut.", "Your software asks too much at once; it will try again."];
    INTERNAL = 500 "internal", "Something failed inside Sceau",
        "The log has the cause. Repeat the request: the same UUID is never taken twice.",
        ["Sceau a rencontré une erreur interne. Rien n'est perdu ; réessayez.", "In Sceau ist ein Fehler aufgetreten. Nichts ist verloren; versuchen Sie es erneut.", "Sceau met an internal error. Nothing is lost; try again."];
    TOKEN_UNAVAILABLE = 503 "token-unavailable", "The token cannot sign now",
        "The detail says what it waits for: plug it in, unlock it with `sceau unlock`, or look at GET /v1/tokens.",
        ["La carte n'est pas prête ; le document n'est pas signé.", "Die Karte ist nicht bereit; das Dokument ist nicht signiert.", "The card is not ready; the document is not signed."];
    TIMESTAMP_UNAVAILABLE = 503 "timestamp-unavailable", "No timestamp authority gave a timestamp",
        "The detail has the cause. Repeat the request after Retry-After; a document without its timestamp is never given.",
        ["Le service d'horodatage ne répond pas. Réessayez plus tard.", "Der Zeitstempeldienst antwortet nicht. Versuchen Sie es später erneut.", "The timestamp service does not answer. Try again later."];
    VALIDATION_DATA_UNAVAILABLE = 503 "validation-data-unavailable", "Certificates or revocation data could not be had",
        "The detail has the cause. Repeat the request after Retry-After; a document without its validation data is never given as B-LT.",
        ["L'autorité de certification ne répond pas. Réessayez plus tard.", "Die Zertifizierungsstelle antwortet nicht. Versuchen Sie es später erneut.", "The certification authority does not answer. Try again later."];
    PDF_VALIDATOR_FAILED = 503 "pdf-validator-failed", "The site's PDF validator gave no verdict",
        "The detail says why, the log has the cause. Nothing was kept: mend `pdf.validator` in the configuration, then send the same bytes again.",
        ["Le PDF n'a pas pu être contrôlé ; le document n'est pas accepté.", "Das PDF konnte nicht geprüft werden; das Dokument wurde nicht angenommen.", "The PDF could not be checked; the document is not accepted."];
    QUEUE_FULL = 503 "queue-full", "Too many documents wait to be signed or sent",
        "It was not accepted. Wait as long as Retry-After says, then send the very same request again. GET /v1/submissions says what the documents wait for; the bound is `outbox.open_documents_max`.",
        ["Trop de documents attendent d'être transmis ; celui-ci n'est pas encore accepté. Réessayez plus tard.", "Zu viele Dokumente warten auf die Übermittlung; dieses ist noch nicht angenommen. Versuchen Sie es später erneut.", "Too many documents wait to be sent; this one is not accepted yet. Try again later."];
    TOO_MANY_STREAMS = 503 "too-many-streams", "Too many streams of events are open",
        "Close one: a program needs one stream. Until then ask GET /v1/health and GET /v1/submissions.",
        ["Trop de programmes suivent Sceau en même temps.", "Zu viele Programme verfolgen Sceau gleichzeitig.", "Too many programs follow Sceau at once."];
    STORAGE_FAILED = 503 "storage-failed", "The document could not be stored durably",
        "It was not accepted. Check disk space and the log, then repeat the request.",
        ["Le document n'a pas pu être enregistré ; il n'est pas accepté. Réessayez.", "Das Dokument konnte nicht gespeichert werden und ist nicht angenommen. Versuchen Sie es erneut.", "The document could not be stored and is not accepted. Try again."];
    STORE_STOPPED = 503 "store-stopped", "The disk failed and the store is being checked",
        "Nothing is accepted or sent until the check is done; what was answered with 202 is there. Then repeat the same request: if the document was kept after all, the answer is 200.",
        ["Le disque a signalé une erreur ; Sceau vérifie ses données. Réessayez dans un instant.", "Die Festplatte hat einen Fehler gemeldet; Sceau prüft seine Daten. Versuchen Sie es gleich noch einmal.", "The disk reported an error; Sceau is checking its data. Try again in a moment."];
    STORE_DAMAGED = 503 "store-damaged", "Stored data are damaged",
        "The database or this document's bytes are not what was written. What can be read is still given; nothing damaged is sent. Restore a backup: docs/administrator.md.",
        ["Des données enregistrées sont endommagées. Prévenez votre administrateur.", "Gespeicherte Daten sind beschädigt. Verständigen Sie Ihren Administrator.", "Stored data are damaged. Tell your administrator."];
    DISK_FULL = 507 "disk-full", "There is no room for another document",
        "It was not accepted. Documents accepted before are still sent. Make room on the disk of the state folder, then repeat the request.",
        ["Le disque est plein ; le document n'est pas accepté. Libérez de la place.", "Die Festplatte ist voll; das Dokument ist nicht angenommen. Schaffen Sie Platz.", "The disk is full; the document is not accepted. Make room."];
}

/// One fault of a submitted document.
#[derive(Debug, Clone, Serialize, ToSchema, PartialEq, Eq)]
pub struct Fault {
    /// Stable code of the rule.
    pub code: String,
    /// `error`, or `warning` for what does not stop the document.
    pub severity: &'static str,
    /// The schema constraint (W3C name) or the PDF/A rule that is broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraint: Option<String>,
    /// Where it is; absent when the fault is not at one place of the XML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<Pointer>,
    /// One sentence for the developer.
    pub message: String,
    /// What would have been allowed there, if known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<String>,
    /// One sentence for the doctor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doctor: Option<Texts>,
}

/// A place in a submitted XML document.
#[derive(Debug, Clone, Serialize, ToSchema, PartialEq, Eq)]
pub struct Pointer {
    /// XPath with the document's own prefixes; absent when the fault kept the
    /// document from being read as XML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xpath: Option<String>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Pointer {
    fn new(xpath: Option<String>, position: Position) -> Self {
        Self {
            xpath,
            line: position.line,
            column: position.column,
        }
    }
}

impl From<&Finding> for Fault {
    fn from(finding: &Finding) -> Self {
        let doctor = finding.doctor_text();
        Self {
            code: finding.code.as_str().to_owned(),
            severity: match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            constraint: finding.constraint.clone(),
            expected: finding.expected.clone(),
            pointer: finding
                .position
                .map(|position| Pointer::new(finding.xpath.clone(), position)),
            message: finding.message.clone(),
            doctor: Some(Texts {
                fr: doctor.fr.to_owned(),
                de: doctor.de.to_owned(),
                en: doctor.en.to_owned(),
            }),
        }
    }
}

/// Why a request is refused.
#[derive(Debug)]
pub struct Problem {
    /// One of the closed list.
    pub kind: &'static Kind,
    /// What is wrong with this request, for the developer.
    pub detail: String,
    /// Faults of the document, all of them.
    pub faults: Vec<Fault>,
    /// Seconds to wait before the request is repeated, where that is known.
    pub retry_after: Option<u64>,
}

/// A problem as RFC 9457 §3 writes it.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
struct ProblemDocument<'p> {
    /// `urn:sceau:problem:<code>`.
    r#type: String,
    /// Short title.
    title: &'static str,
    /// HTTP status.
    status: u16,
    /// Stable code.
    code: &'static str,
    /// What is wrong with this request, for the developer.
    detail: &'p str,
    /// What the developer or administrator does about it.
    remedy: &'static str,
    /// What to tell the doctor.
    doctor: Texts,
    /// Faults of the document, all of them.
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    faults: &'p [Fault],
    /// Seconds to wait before the very same is sent again, as in `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kind = self.kind;
        let [fr, de, en] = kind.doctor.map(str::to_owned);
        let document = ProblemDocument {
            r#type: format!("urn:sceau:problem:{}", kind.code),
            title: kind.title,
            status: kind.status,
            code: kind.code,
            detail: &self.detail,
            remedy: kind.remedy,
            doctor: Texts { fr, de, en },
            faults: &self.faults,
            retry_after: self.pause(),
        };
        document.serialize(serializer)
    }
}

impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        ProblemDocument::schema()
    }
}

impl ToSchema for Problem {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        ProblemDocument::schemas(schemas);
    }
}

impl Problem {
    /// A problem of `kind` with its particulars.
    pub(super) fn new(kind: &'static Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            faults: Vec::new(),
            retry_after: None,
        }
    }

    pub(super) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Seconds to wait before the request is repeated.
    fn pause(&self) -> Option<u64> {
        self.retry_after.or(match self.kind.status {
            429 => Some(1),
            503 | 507 => Some(30),
            _ => None,
        })
    }

    fn with_faults(mut self, faults: Vec<Fault>) -> Self {
        self.faults = faults;
        self
    }

    /// A body that the server could not take in, with the status and text of
    /// its own refusal.
    pub(super) fn unreadable(status: StatusCode, text: &str) -> Self {
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            let limit = limits::BODY_BYTES_MAX;
            return Self::new(&BODY_TOO_LARGE, format!("The limit is {limit} bytes."));
        }
        Self::new(&BODY_MALFORMED, format!("{text}."))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut body = serde_json::to_vec_pretty(&self).unwrap_or_default();
        body.push(b'\n');
        let mut response = (
            status,
            [(header::CONTENT_TYPE, "application/problem+json")],
            body,
        )
            .into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §15.5.2
            let bearer = HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, bearer);
        }
        if let Some(seconds) = self.pause() {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// An error's text as a sentence.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    let rest = letters.as_str().trim_end_matches('.');
    format!("{}{rest}.", first.unwrap_or_default())
}

fn counted(what: &str, faults: usize) -> String {
    match faults {
        1 => format!("{what} in one place."),
        n => format!("{what} in {n} places."),
    }
}

impl From<OutboxError> for Problem {
    fn from(error: OutboxError) -> Self {
        match error {
            OutboxError::Conflict(uuid) => Self::new(
                &UUID_CONFLICT,
                format!(
                    "The UUID {uuid} belongs to a document with other bytes, or for another environment."
                ),
            ),
            OutboxError::Purged(_) => Self::new(&DOCUMENT_PURGED, sentence(&error.to_string())),
            OutboxError::Full { .. } => Self::new(&QUEUE_FULL, sentence(&error.to_string())),
            OutboxError::Standing { .. }
            | OutboxError::LeaseLost(_)
            | OutboxError::Store { .. } => {
                tracing::error!(error = &error as &dyn std::error::Error, "store failed");
                let kind = match error.class() {
                    Class::Full => &DISK_FULL,
                    Class::Failing => &STORE_STOPPED,
                    Class::Damaged => &STORE_DAMAGED,
                    Class::Other => &STORAGE_FAILED,
                };
                Self::new(kind, "The store failed; the log has the cause.")
            }
        }
    }
}

impl From<IntakeError> for Problem {
    fn from(error: IntakeError) -> Self {
        let text = sentence(&error.to_string());
        match error {
            IntakeError::UnknownForm { .. } => Self::new(&FORM_UNKNOWN, text),
            IntakeError::UnknownOperation { .. } => Self::new(&OPERATION_UNKNOWN, text),
            IntakeError::Xml(rejected) => {
                let faults: Vec<Fault> = rejected.findings.iter().map(Fault::from).collect();
                let text = counted("The XML breaks the rules of the form", faults.len());
                Self::new(&DOCUMENT_INVALID, text).with_faults(faults)
            }
            IntakeError::NotNow { .. } => Self::new(&NOT_ALLOWED_NOW, text),
            IntakeError::PdfUnexpected { .. } => Self::new(&PDF_UNEXPECTED, text),
            IntakeError::Signer(_) => Self::new(&SIGNER_UNKNOWN, text),
            IntakeError::TooLarge { .. } => Self::new(&BODY_TOO_LARGE, text),
            IntakeError::PdfMissing => Self::new(&PDF_MISSING, text),
            IntakeError::PdfTwice => Self::new(&PDF_AMBIGUOUS, text),
            IntakeError::Pdf(violations) => {
                let faults = violations.into_iter().map(|violation| Fault {
                    code: "pdf.rule".into(),
                    severity: "error",
                    constraint: Some(violation.rule.to_owned()),
                    expected: Vec::new(),
                    pointer: None,
                    message: sentence(&violation.message),
                    doctor: None,
                });
                let faults: Vec<Fault> = faults.collect();
                let text = counted("The PDF fails the PDF/A check", faults.len());
                Self::new(&PDF_INVALID, text).with_faults(faults)
            }
            IntakeError::Screen(error) => match error {
                ScreenError::Hybrid => Self::new(&PDF_REFUSED, text),
                ScreenError::Refused(_) => Self::new(&PDF_INVALID, text),
                ScreenError::Run(_) | ScreenError::Timeout(_) => {
                    tracing::error!("{}", causes(&error));
                    Self::new(&PDF_VALIDATOR_FAILED, text)
                }
            },
            IntakeError::UnknownPractitioner { code, place } => {
                let message = format!("No practitioner is configured for {code}.");
                Self::at_sender(&PRACTITIONER_UNKNOWN, text, message, place)
            }
            IntakeError::PractitionerNotAllowed { code, place } => {
                let message = format!("The program is not paired for {code}.");
                Self::at_sender(&PRACTITIONER_NOT_ALLOWED, text, message, place)
            }
            IntakeError::Outbox(error) => error.into(),
        }
    }
}

impl From<IsolatedError> for Problem {
    fn from(error: IsolatedError) -> Self {
        let text = sentence(&causes(&error));
        match error {
            IsolatedError::Intake(error) => error.into(),
            IsolatedError::Xml(error) => Self::unreadable_xml(&error),
            IsolatedError::Slot(_)
            | IsolatedError::PractitionerOpen
            | IsolatedError::Unsigned { .. }
            | IsolatedError::PractitionerOther { .. } => Self::new(&QUERY_MALFORMED, text),
            IsolatedError::Sign(error) => Self::unsigned(error, text),
        }
    }
}

impl Problem {
    /// One that points at the code prestataire of a document.
    fn at_sender(
        kind: &'static Kind,
        text: String,
        message: String,
        place: Option<(String, Position)>,
    ) -> Self {
        let fault = Fault {
            code: kind.code.into(),
            severity: "error",
            constraint: None,
            expected: Vec::new(),
            pointer: place.map(|(xpath, position)| Pointer::new(Some(xpath), position)),
            message,
            doctor: None,
        };
        Self::new(kind, text).with_faults(vec![fault])
    }

    fn unreadable_xml(error: &XmlError) -> Self {
        let rejected = Rejected::unreadable(error);
        let faults = rejected.findings.iter().map(Fault::from).collect();
        Self::new(&XML_UNREADABLE, sentence(&error.to_string())).with_faults(faults)
    }

    /// Why there is no signature of the level asked for.
    fn unsigned(error: SignError, text: String) -> Self {
        match error {
            SignError::Token(
                TokenError::NoSuchCertificate
                | TokenError::NotForSigning { .. }
                | TokenError::Ambiguous { .. }
                | TokenError::KeyTooShort { .. },
            )
            | SignError::KeyKind { .. } => Self::new(&CERTIFICATE_REFUSED, text),
            SignError::Token(TokenError::Algorithm | TokenError::NotOffered { .. }) => {
                Self::new(&LEVEL_UNAVAILABLE, text)
            }
            SignError::Token(_) => Self::new(&TOKEN_UNAVAILABLE, text),
            SignError::Timestamp(error) if error.is_transient() => {
                Self::new(&TIMESTAMP_UNAVAILABLE, text)
            }
            SignError::Trust(error) | SignError::ValidationData(error) if error.is_transient() => {
                Self::new(&VALIDATION_DATA_UNAVAILABLE, text)
            }
            SignError::ValidationData(TrustError::NoEvidence { .. }) => {
                Self::new(&LEVEL_UNAVAILABLE, text)
            }
            SignError::Trust(_) | SignError::ValidationData(_) => {
                Self::new(&CERTIFICATE_REFUSED, text)
            }
            SignError::Timestamp(_) => Self::new(&LEVEL_UNAVAILABLE, text),
            SignError::PdfRefused(_) => Self::new(&PDF_REFUSED, text),
            SignError::Embed(FormsError::EmbedRejected(rejected)) => {
                IntakeError::Xml(rejected).into()
            }
            SignError::Xml(XadesError::Parse(error)) => Self::unreadable_xml(&error),
            SignError::Xml(XadesError::Slot { .. }) => Self::new(&SLOT_REFUSED, text),
            SignError::Xml(XadesError::AlreadySigned) => Self::new(&ALREADY_SIGNED, text),
            SignError::Xml(_)
            | SignError::Embed(_)
            | SignError::Pdf(_)
            | SignError::PartialPdf
            | SignError::SelfCheck(_)
            | SignError::Level { .. } => {
                tracing::error!(%text, "a signature could not be made");
                Self::new(&INTERNAL, text)
            }
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let text = sentence(&error.to_string());
        match error {
            TokenError::PinIncorrect | TokenError::PinMalformed => Self::new(&PIN_REFUSED, text),
            TokenError::PinOnReader => Self::new(&BODY_MALFORMED, text),
            // A driver's failure is not a wrong PIN.
            TokenError::PinPossiblyUsed => Self::new(&PIN_UNCERTAIN, text),
            TokenError::PinLocked => Self::new(&PIN_LOCKED, text),
            TokenError::Absent
            | TokenError::Pulled
            | TokenError::Wrong { .. }
            | TokenError::Locked
            | TokenError::FinalTry
            | TokenError::PinCancelled
            | TokenError::Hung { .. }
            | TokenError::WorkerDied { .. }
            | TokenError::Restarting
            | TokenError::Quarantined
            | TokenError::Unusable { .. }
            | TokenError::NoSuchCertificate
            | TokenError::NotForSigning { .. }
            | TokenError::Ambiguous { .. }
            | TokenError::Algorithm
            | TokenError::KeyTooShort { .. }
            | TokenError::NotOffered { .. }
            | TokenError::Refused { .. }
            | TokenError::BadSignature
            | TokenError::Pkcs12Open
            | TokenError::Pkcs12Content => Self::new(&TOKEN_NOT_READY, text),
        }
    }
}

/// The catalogue as Markdown, for `docs/problems.md`.
pub fn catalogue() -> String {
    let mut out = String::from(
        "# Problems\n\nEvery error answer is `application/problem+json` (RFC 9457) with one of the codes below; \
         `type` is `urn:sceau:problem:<code>`.\n\n\
         | Member | Content |\n|---|---|\n\
         | `type`, `title`, `status`, `code` | the kind of problem; these never change for a code |\n\
         | `detail` | what is wrong with this request |\n\
         | `remedy` | what a developer or administrator does about it |\n\
         | `doctor` | what to show the doctor, in `fr`, `de` and `en` |\n\
         | `faults` | every fault of the document: `code`, `severity`, `constraint` (the schema's or PDF/A's rule), \
         `pointer` (`xpath`, `line`, `column`), `message`, what was `expected`, and a text for the `doctor` |\n\
         | `retry_after` | seconds to wait before the very same is sent again, as in the header `Retry-After`; also for a document of a batch |\n\n\
         The invalid examples of a form show the exact problem of each fault beside it, as in \
         `xsd/memoire-honoraires/2/examples/invalid/*/*.problem.json`; those of requests and PDFs are in \
         `tests/fixtures/problems/`.\n\nThis page is generated from the code and compared with it by a test.\n",
    );
    for kind in KINDS {
        let title = format!("{} `{}`\n{}.", kind.status, kind.code, kind.title);
        let [fr, de, en] = kind.doctor;
        out.push_str(&format!("\n## {title}\n\n- What to do: {}\n", kind.remedy));
        out.push_str(&doctor(fr, de, en));
    }
    out.push_str(
        "\n# Faults\n\nThe codes in `faults`. Beside these, `pdf.rule` is a broken rule of ISO 19005, \
         which `constraint` names, and `practitioner-unknown` points at the code prestataire.\n",
    );
    for code in Code::ALL {
        let text = code.doctor_text();
        out.push_str(&format!("\n## `{code}`\n"));
        out.push_str(&doctor(text.fr, text.de, text.en));
    }
    out
}

fn doctor(fr: &str, de: &str, en: &str) -> String {
    format!("- Doctor (fr): {fr}\n- Doctor (de): {de}\n- Doctor (en): {en}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_that_broke_off_is_not_called_a_wrong_pin() {
        let code = |error: TokenError| Problem::from(error).kind.code;
        assert_eq!(code(TokenError::PinPossiblyUsed), "pin-uncertain");
        assert_eq!(code(TokenError::PinIncorrect), "pin-refused");
    }
}
