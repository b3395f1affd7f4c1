//! The check of a draft: the pack and whether it may be used now, the form's
//! own rules, who sends and who signs, the PDF, and the earlier documents named.

use super::{Draft, Intake, IntakeError, NotNow, allowed};
use crate::base::limits;
use crate::forms::{self, Checked, CodePrestataire, Operation, Pack, Rejected, Severity};
use crate::outbox::{Client, Link, Scope};
use crate::pdf;
use crate::sign::{Practitioner, Signatory};
use serde_json::Value;
use std::sync::Arc;
use time::Date;

/// A draft that passed every check.
pub(super) struct Vetted {
    pub(super) pack: Arc<Pack>,
    pub(super) operation: Operation,
    pub(super) checked: Checked,
    pub(super) practitioner: Practitioner,
    pub(super) signatory: Option<Signatory>,
    pub(super) paper: Option<Paper>,
    pub(super) links: Vec<Link>,
    /// The links in the words of the audit log.
    pub(super) named: Vec<Value>,
}

/// The PDF of a document.
pub(super) struct Paper {
    pub(super) pdf: Vec<u8>,
    /// The PDF/A claim.
    pub(super) claim: String,
    pub(super) pages: usize,
}

impl Intake {
    pub(super) fn vet(&self, draft: &Draft) -> Result<Vetted, IntakeError> {
        let (pack, operation) = self.find_allowed(draft)?;
        if operation.document.is_none() && draft.pdf.is_some() {
            let operation = draft.operation.clone();
            return Err(IntakeError::PdfUnexpected { operation });
        }
        let mut checked = pack
            .check(&draft.operation, &draft.xml)
            .map_err(IntakeError::Xml)?;
        let code = checked.facts.code_prestataire.to_string();
        let place = || operation.code_prestataire_place(&draft.xml);
        if !draft.client.may(&code) {
            let place = place();
            return Err(IntakeError::PractitionerNotAllowed { code, place });
        }
        let Some(practitioner) = self.people.sender(&code).cloned() else {
            let place = place();
            return Err(IntakeError::UnknownPractitioner { code, place });
        };
        let signatory = self.signatory(&operation, &practitioner, &checked, draft)?;
        let paper = self.paper(&operation, &mut checked, draft)?;
        let scope = Scope {
            environment: &self.environment.name,
            form: &pack.form,
            code_prestataire: &code,
        };
        let correlated = self
            .correlate(&operation, &checked.facts, scope)
            .map_err(IntakeError::Outbox)?;
        checked.warnings.extend(correlated.findings);
        let is_fault = |finding: &forms::Finding| finding.severity == Severity::Error;
        if checked.warnings.iter().any(is_fault) {
            let findings = checked.warnings;
            return Err(IntakeError::Xml(Rejected { findings }));
        }
        Ok(Vetted {
            pack,
            operation,
            checked,
            practitioner,
            signatory,
            paper,
            links: correlated.links,
            named: correlated.named,
        })
    }

    /// Who signs; `None` where nothing is signed: the transport secures it.
    fn signatory(
        &self,
        operation: &Operation,
        sender: &Practitioner,
        checked: &Checked,
        draft: &Draft,
    ) -> Result<Option<Signatory>, IntakeError> {
        if operation.signature.is_none() && operation.document.is_none() {
            return Ok(None);
        }
        let asked = (draft.signer.as_deref(), &draft.client);
        let signatory = self.who_signs(sender, &checked.facts.executants, asked)?;
        Ok(Some(signatory))
    }

    /// Who signs for a program, within what it is bound to.
    pub(super) fn who_signs(
        &self,
        sender: &Practitioner,
        executants: &[CodePrestataire],
        (asked, client): (Option<&str>, &Client),
    ) -> Result<Signatory, IntakeError> {
        let signatory = self.people.signatory(sender, executants, asked)?;
        // Naming somebody as executant must not open their key to the program,
        // nor that of their delegate.
        for code in self.people.principals(&signatory, sender, executants) {
            allowed(client, code)?;
        }
        Ok(signatory)
    }

    fn paper(
        &self,
        operation: &Operation,
        checked: &mut Checked,
        draft: &Draft,
    ) -> Result<Option<Paper>, IntakeError> {
        let apart = checked.embedded_pdf.is_none();
        let pdf = match (draft.pdf.clone(), checked.embedded_pdf.take()) {
            (Some(part), Some(embedded)) if part != embedded => return Err(IntakeError::PdfTwice),
            (Some(pdf), _) | (None, Some(pdf)) => Some(pdf),
            (None, None) => None,
        };
        let needed = operation.document.as_ref().is_some_and(|d| d.required);
        let bytes = pdf.as_ref().map_or(0, Vec::len);
        room_to_sign(draft.xml.len(), if apart { bytes } else { 0 })?;
        let Some(pdf) = pdf else {
            return if needed {
                Err(IntakeError::PdfMissing)
            } else {
                Ok(None)
            };
        };
        let found = pdf::precheck(&pdf);
        let claim = match found.claim {
            Some(claim) if found.violations.is_empty() => claim.to_string(),
            Some(_) | None => return Err(IntakeError::Pdf(found.violations)),
        };
        self.pdfs.hybrid(&pdf)?;
        self.pdfs.validated(&pdf)?;
        let pages = found.pages;
        Ok(Some(Paper { pdf, claim, pages }))
    }

    /// The pack and operation to accept under: the version named, else the
    /// newest that may be sent to this environment today.
    fn find_allowed(&self, draft: &Draft) -> Result<(Arc<Pack>, Operation), IntakeError> {
        let offers = self.packs.offers(&draft.form, draft.version.as_deref());
        let is_known = !offers.is_empty();
        let mut refused = None;
        for pack in offers {
            let Some(operation) = pack.operations.get(&draft.operation) else {
                continue;
            };
            match self.not_now(&pack, &draft.operation) {
                Some(reason) => refused.get_or_insert(reason),
                None => {
                    let operation = operation.clone();
                    return Ok((pack, operation));
                }
            };
        }
        let (form, operation) = (draft.form.clone(), draft.operation.clone());
        Err(match refused {
            Some(reason) => IntakeError::NotNow {
                form,
                operation,
                environment: self.environment.name.clone(),
                day: self.today(),
                reason,
            },
            None if is_known => IntakeError::UnknownOperation { form, operation },
            None => IntakeError::UnknownForm {
                form,
                version: draft.version.clone(),
            },
        })
    }

    /// Why an operation may not be sent to this environment today.
    pub fn not_now(&self, pack: &Pack, operation: &str) -> Option<NotNow> {
        let allowed = pack.allowed(operation, self.environment.kind, self.today());
        match allowed {
            Err(closed) => Some(NotNow::Closed(closed)),
            Ok(()) if self.environment.model_id(pack, operation).is_none() => Some(NotNow::NoModel),
            Ok(()) => None,
        }
    }

    fn today(&self) -> Date {
        forms::luxembourg_day(self.clock.now())
    }

    /// A pack and one of its operations.
    pub(super) fn find(
        &self,
        form: &str,
        version: Option<&str>,
        operation: &str,
    ) -> Result<(Arc<Pack>, Operation), IntakeError> {
        let pack = self.packs.offer(form, version);
        let pack = pack.ok_or_else(|| IntakeError::UnknownForm {
            form: form.to_owned(),
            version: version.map(str::to_owned),
        })?;
        let found = pack.operation(operation).cloned();
        let found = found.map_err(|_| IntakeError::UnknownOperation {
            form: form.to_owned(),
            operation: operation.to_owned(),
        })?;
        Ok((pack, found))
    }
}

/// Refuses what could be accepted but never completed: the XML with a PDF
/// still to be embedded in base64, both in bytes, must leave room to sign.
pub(super) fn room_to_sign(xml: usize, pdf: usize) -> Result<(), IntakeError> {
    let bytes = xml.saturating_add(pdf.div_ceil(3).saturating_mul(4));
    if bytes > limits::XML_BYTES_MAX - limits::SIGNATURE_ROOM_BYTES {
        return Err(IntakeError::TooLarge { bytes });
    }
    Ok(())
}
