//! Several tokens as one: the cards of several people, an HSM beside a card.
//! What one of them is not ready for does not hold up the others.

use super::{Identity, LastTry, PinEntry, Token, TokenError, TokenStatus};
use crate::base::Secret;
use crate::x509::SignatureAlgorithm;
use std::sync::Arc;
use std::thread;

/// A token under the name the configuration gives it.
pub struct Named {
    /// A word, unique among them.
    pub name: String,
    /// The token.
    pub token: Arc<dyn Token>,
}

/// Any number of tokens; none is like an absent one.
pub struct Several(Vec<Named>);

impl Several {
    /// Tokens in the order of the configuration.
    pub fn new(tokens: Vec<Named>) -> Self {
        Self(tokens)
    }

    /// Each of them.
    pub fn each(&self) -> &[Named] {
        &self.0
    }

    /// The one of this name; without a name the only one there is.
    pub fn named(&self, name: Option<&str>) -> Option<&Named> {
        match (name, self.0.as_slice()) {
            (Some(name), all) => all.iter().find(|token| token.name == name),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }

    fn only(&self) -> Result<&dyn Token, TokenError> {
        let names = || self.0.iter().map(|t| t.name.as_str()).collect::<Vec<_>>();
        match self.0.as_slice() {
            [] => Err(TokenError::Absent),
            [only] => Ok(&*only.token),
            _ => Err(TokenError::Unusable {
                detail: format!("name one of the tokens {}", names().join(", ")),
            }),
        }
    }
}

impl Token for Several {
    /// Those of all that can be asked; an error when none can.
    fn identities(&self) -> Result<Vec<Identity>, TokenError> {
        let asked = self.0.iter().map(|each| each.token.identities());
        let united = |so_far: Result<Vec<Identity>, TokenError>, next| match (so_far, next) {
            (Ok(mut all), Ok(more)) => {
                all.extend::<Vec<Identity>>(more);
                Ok(all)
            }
            (Ok(all), Err(_)) | (Err(_), Ok(all)) => Ok(all),
            (Err(first), Err(_)) => Err(first),
        };
        asked.reduce(united).unwrap_or(Err(TokenError::Absent))
    }

    /// The first that is not ready, as whoever it belongs to has to wait.
    fn status(&self) -> TokenStatus {
        let statuses = || self.0.iter().map(|each| each.token.status());
        let first = statuses().find(|status| *status != TokenStatus::Ready);
        match self.0.is_empty() {
            true => TokenStatus::Absent,
            false => first.unwrap_or(TokenStatus::Ready),
        }
    }

    fn trouble(&self) -> Option<TokenError> {
        self.0.iter().find_map(|each| each.token.identities().err())
    }

    fn pin_entry(&self) -> PinEntry {
        self.only().map_or(PinEntry::Keyboard, Token::pin_entry)
    }

    /// Only when there is one: a PIN must not go to somebody else's card.
    fn unlock(&self, pin: Option<Secret>, last_try: LastTry) -> Result<(), TokenError> {
        self.only()?.unlock(pin, last_try)
    }

    /// All at once: one that is busy leaves no other unlocked.
    fn lock(&self) {
        thread::scope(|scope| {
            for each in &self.0 {
                let lock = || each.token.lock();
                if thread::Builder::new().spawn_scoped(scope, lock).is_err() {
                    lock();
                }
            }
        });
    }

    fn sign(
        &self,
        certificate_sha256: &[u8; 32],
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, TokenError> {
        let holds = |each: &&Named| {
            let identities = each.token.identities().unwrap_or_default();
            let mut all = identities.iter();
            all.any(|identity| identity.certificate.sha256() == *certificate_sha256)
        };
        let missing = || self.trouble().unwrap_or(TokenError::NoSuchCertificate);
        let holder = self.0.iter().find(holds).ok_or_else(missing)?;
        holder.token.sign(certificate_sha256, algorithm, message)
    }
}
