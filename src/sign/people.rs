//! Who is configured here, in whose name a form is sent, and who signs it: the
//! practitioner who did the act or issued the form, or an authorised delegate
//! with a key of their own (DSR 3.4.1).

use crate::forms::CodePrestataire;

/// Someone in whose name forms are sent, and who may sign them. An association
/// or a hospital is one that has no certificate.
#[derive(Debug, Clone)]
pub struct Practitioner {
    /// The code prestataire, eight digits.
    pub code_prestataire: CodePrestataire,
    /// The eHealth ID, ten digits.
    pub ehealth_id: String,
    /// Name for logs and the console.
    pub name: String,
    /// SHA-256 of the signing certificate; `None` takes the only one that fits,
    /// if nobody else is configured.
    pub certificate: Option<[u8; 32]>,
}

/// Someone authorised to sign in a practitioner's name (DSR 3.4.1).
#[derive(Debug, Clone)]
pub struct Delegate {
    /// A word of this installation's own, such as `secretary-1`.
    pub id: String,
    /// Name for logs and the console.
    pub name: String,
    /// SHA-256 of the delegate's own signing certificate.
    pub certificate: [u8; 32],
    /// Whom the delegate signs for.
    pub acts_for: Vec<CodePrestataire>,
}

/// In which capacity somebody signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The practitioner who did the act or issued the form.
    Practitioner,
    /// An authorised delegate.
    Delegate,
}

impl Role {
    /// A stable word for records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Practitioner => "practitioner",
            Self::Delegate => "delegate",
        }
    }
}

/// Who signs a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signatory {
    /// Code prestataire or the delegate's id.
    pub id: String,
    /// In which capacity.
    pub role: Role,
    /// Name for logs and the console.
    pub name: String,
    /// SHA-256 of the certificate; `None` takes the only one that fits.
    pub certificate: Option<[u8; 32]>,
}

/// Why nobody can be named to sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeopleError {
    /// Nobody has the code prestataire or id asked for.
    #[error("no practitioner or delegate \"{asked}\" is configured here")]
    Unknown {
        /// As asked.
        asked: String,
    },
    /// The practitioner asked for neither sends the document nor did its acts.
    #[error("{asked} neither sends this document nor did its acts")]
    Uninvolved {
        /// As asked.
        asked: String,
    },
    /// The delegate acts neither for the sender nor for all who did the acts.
    #[error("the delegate {delegate} is not authorised by {}", for_whom.join(" or "))]
    NotAuthorised {
        /// The delegate's id.
        delegate: String,
        /// Codes prestataires of sender and executants.
        for_whom: Vec<String>,
    },
    /// Several configured practitioners did the acts, the sender is none of them.
    #[error("{} did acts in this document; name the one who signs", executants.join(" and "))]
    Several {
        /// Their codes prestataires.
        executants: Vec<String>,
    },
    /// Several people are configured and nothing says which certificate is
    /// whose: somebody else's key must not sign.
    #[error(
        "several people are configured, and none of the certificates is {code}'s: set certificate_sha256"
    )]
    CertificateOpen {
        /// Who would have signed.
        code: String,
    },
}

/// Everyone configured here.
#[derive(Debug, Clone, Default)]
pub struct People {
    practitioners: Vec<Practitioner>,
    delegates: Vec<Delegate>,
}

impl Delegate {
    /// For whom it signs a document: the sender, or else all who did the acts;
    /// nobody when they have not authorised it.
    fn principals<'a>(
        &self,
        sender: &'a CodePrestataire,
        executants: &'a [CodePrestataire],
    ) -> &'a [CodePrestataire] {
        let acts_for = |code: &CodePrestataire| self.acts_for.contains(code);
        if acts_for(sender) {
            return std::slice::from_ref(sender);
        }
        match executants.iter().all(acts_for) {
            true => executants,
            false => &[],
        }
    }
}

impl People {
    /// Codes prestataires and ids are unique; the configuration sees to it.
    pub fn new(practitioners: Vec<Practitioner>, delegates: Vec<Delegate>) -> Self {
        Self {
            practitioners,
            delegates,
        }
    }

    /// The practitioners, in the order of the configuration.
    pub fn practitioners(&self) -> &[Practitioner] {
        &self.practitioners
    }

    /// In whose name, and through whose mySecu space, a form is sent.
    pub fn sender(&self, code: &str) -> Option<&Practitioner> {
        self.practitioners
            .iter()
            .find(|practitioner| practitioner.code_prestataire.as_str() == code)
    }

    /// Who signs a document of `sender` with acts of `executants`: the one
    /// asked for by code prestataire or delegate's id; else the only executant
    /// configured here; else the sender.
    ///
    /// # Errors
    /// [`PeopleError`] when the one asked for may not sign it, or when it is
    /// open who does or with which certificate.
    pub fn signatory(
        &self,
        sender: &Practitioner,
        executants: &[CodePrestataire],
        asked: Option<&str>,
    ) -> Result<Signatory, PeopleError> {
        let Some(asked) = asked else {
            return self.own(self.by_default(sender, executants)?);
        };
        if let Some(delegate) = self.delegates.iter().find(|d| d.id == asked) {
            if delegate
                .principals(&sender.code_prestataire, executants)
                .is_empty()
            {
                let codes = [&sender.code_prestataire].into_iter().chain(executants);
                return Err(PeopleError::NotAuthorised {
                    delegate: asked.to_owned(),
                    for_whom: distinct(codes),
                });
            }
            return Ok(delegate.into());
        }
        let named = self.sender(asked).ok_or_else(|| PeopleError::Unknown {
            asked: asked.to_owned(),
        })?;
        let code = &named.code_prestataire;
        if *code != sender.code_prestataire && !executants.contains(code) {
            return Err(PeopleError::Uninvolved {
                asked: asked.to_owned(),
            });
        }
        self.own(named)
    }

    /// Codes prestataires of those for whom a signatory signs a document of
    /// `sender` with acts of `executants`: a delegate's principals, or itself.
    pub fn principals<'a>(
        &self,
        signatory: &'a Signatory,
        sender: &'a Practitioner,
        executants: &'a [CodePrestataire],
    ) -> Vec<&'a str> {
        let delegate = self.delegates.iter().find(|d| d.id == signatory.id);
        let Some(delegate) = delegate else {
            return vec![&signatory.id];
        };
        let principals = delegate.principals(&sender.code_prestataire, executants);
        principals.iter().map(CodePrestataire::as_str).collect()
    }

    fn by_default<'a>(
        &'a self,
        sender: &'a Practitioner,
        executants: &[CodePrestataire],
    ) -> Result<&'a Practitioner, PeopleError> {
        let here = |p: &&Practitioner| executants.contains(&p.code_prestataire);
        let found: Vec<&Practitioner> = self.practitioners.iter().filter(here).collect();
        match found.as_slice() {
            [] => Ok(sender),
            [only] => Ok(only),
            several => match here(&sender) {
                true => Ok(sender),
                false => Err(PeopleError::Several {
                    executants: distinct(several.iter().map(|p| &p.code_prestataire)),
                }),
            },
        }
    }

    fn own(&self, practitioner: &Practitioner) -> Result<Signatory, PeopleError> {
        let alone = self.practitioners.len() == 1 && self.delegates.is_empty();
        let code = practitioner.code_prestataire.to_string();
        if practitioner.certificate.is_none() && !alone {
            return Err(PeopleError::CertificateOpen { code });
        }
        Ok(Signatory {
            id: code,
            role: Role::Practitioner,
            name: practitioner.name.clone(),
            certificate: practitioner.certificate,
        })
    }
}

impl From<&Delegate> for Signatory {
    fn from(delegate: &Delegate) -> Self {
        Self {
            id: delegate.id.clone(),
            role: Role::Delegate,
            name: delegate.name.clone(),
            certificate: Some(delegate.certificate),
        }
    }
}

fn distinct<'a>(codes: impl Iterator<Item = &'a CodePrestataire>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for code in codes {
        if !out.iter().any(|known| known == code.as_str()) {
            out.push(code.to_string());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> CodePrestataire {
        text.parse().unwrap()
    }

    fn practitioner(number: u8, certificate: Option<[u8; 32]>) -> Practitioner {
        Practitioner {
            code_prestataire: code(&format!("9000000{number}")),
            ehealth_id: format!("900000000{number}"),
            name: format!("Dr Exemple {number}"),
            certificate,
        }
    }

    /// 1 and 2 sign, 3 is an association; `assistant` acts for 1.
    fn practice() -> People {
        let practitioners = vec![
            practitioner(1, Some([1; 32])),
            practitioner(2, Some([2; 32])),
            practitioner(3, None),
        ];
        let assistant = Delegate {
            id: "assistant".into(),
            name: "Assistante Exemple".into(),
            certificate: [9; 32],
            acts_for: vec![code("90000001")],
        };
        People::new(practitioners, vec![assistant])
    }

    fn chosen(
        sender: &str,
        executants: &[&str],
        asked: Option<&str>,
    ) -> Result<(String, Role), PeopleError> {
        let people = practice();
        let executants: Vec<CodePrestataire> = executants.iter().map(|c| code(c)).collect();
        let sender = people.sender(sender).unwrap();
        let found = people.signatory(sender, &executants, asked)?;
        // What is found once is found again by the id that was recorded.
        let again = people.signatory(sender, &executants, Some(&found.id));
        assert_eq!(again.as_ref(), Ok(&found));
        Ok((found.id, found.role))
    }

    #[test]
    fn who_did_the_acts_signs_else_who_sends() {
        let is = |id: &str| Ok((id.to_owned(), Role::Practitioner));
        assert_eq!(chosen("90000001", &[], None), is("90000001"));
        assert_eq!(chosen("90000001", &["90000001"], None), is("90000001"));
        // An association sends, its member did the acts, in several lines.
        let lines = ["90000002", "90000002"];
        assert_eq!(chosen("90000003", &lines, None), is("90000002"));
        // The executant is not configured here.
        assert_eq!(chosen("90000001", &["90000008"], None), is("90000001"));
        let both = ["90000001", "90000002"];
        assert_eq!(chosen("90000002", &both, None), is("90000002"));
        assert_eq!(chosen("90000003", &both, Some("90000001")), is("90000001"));
        let refused = chosen("90000003", &both, None).unwrap_err();
        let said = "90000001 and 90000002 did acts in this document; name the one who signs";
        assert_eq!(refused.to_string(), said);
    }

    #[test]
    fn only_who_is_involved_may_be_asked_for() {
        let asked = |asked: &str| chosen("90000001", &[], Some(asked)).unwrap_err();
        let uninvolved = |asked: &str| PeopleError::Uninvolved {
            asked: asked.into(),
        };
        assert_eq!(asked("90000002"), uninvolved("90000002"));
        let unknown = PeopleError::Unknown {
            asked: "nobody".into(),
        };
        assert_eq!(asked("nobody"), unknown);
    }

    #[test]
    fn a_delegate_signs_only_for_those_who_authorised_it() {
        let delegate = Ok(("assistant".to_owned(), Role::Delegate));
        let asked = Some("assistant");
        assert_eq!(chosen("90000001", &["90000002"], asked), delegate);
        assert_eq!(chosen("90000003", &["90000001"], asked), delegate);
        let refused = chosen("90000003", &["90000001", "90000002"], asked).unwrap_err();
        let said = "the delegate assistant is not authorised by 90000003 or 90000001 or 90000002";
        assert_eq!(refused.to_string(), said);
        assert!(chosen("90000002", &[], asked).is_err());
        // Nobody is a delegate unless asked for.
        let own = Ok(("90000001".to_owned(), Role::Practitioner));
        assert_eq!(chosen("90000001", &[], None), own);
    }

    #[test]
    fn among_several_people_nobody_signs_with_a_certificate_that_is_not_named() {
        let open = Err(PeopleError::CertificateOpen {
            code: "90000003".into(),
        });
        assert_eq!(chosen("90000003", &[], None), open);
        let alone = People::new(vec![practitioner(3, None)], Vec::new());
        let found = alone.signatory(alone.sender("90000003").unwrap(), &[], None);
        assert_eq!(found.unwrap().certificate, None);
    }
}
