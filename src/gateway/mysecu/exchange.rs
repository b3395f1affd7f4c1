//! Step 3: one document out, one verified answer back, and what each failure
//! on the way means for the document.

use super::answer::Given;
use super::fault::Trouble;
use super::message::{Carried, Content};
use super::names::{self, SYNC};
use super::session::Token;
use super::{Call, MySecu};
use crate::gateway::{Gateway, Message, Outcome, Report};
use crate::xml::c14n::{Mode, Options, canonicalize};
use crate::xml::escape_attribute;
use roxmltree::Node;

/// Where the trouble was met.
enum Failure {
    /// The document had not left.
    Before(Box<Trouble>),
    /// The document had left, or was about to.
    Exchange(Box<Trouble>),
}

impl Gateway for MySecu {
    fn deliver(&self, delivery: &Message<'_>) -> Report {
        match self.exchange(delivery) {
            Ok(given) => answered(given),
            Err(Failure::Before(trouble)) => {
                let outcome = trouble.before_exchange();
                failed(outcome, *trouble, Keep::Nothing)
            }
            Err(Failure::Exchange(trouble)) => {
                let outcome = trouble.at_exchange();
                failed(outcome, *trouble, Keep::Envelope)
            }
        }
    }

    fn ask(&self, question: &Message<'_>) -> Report {
        match self.exchange(question) {
            Ok(given) => answered(given),
            Err(Failure::Before(trouble) | Failure::Exchange(trouble)) => {
                failed(trouble.of_question(), *trouble, Keep::Nothing)
            }
        }
    }

    fn probe(&self) -> Result<(), String> {
        let settings = &self.settings;
        for url in [
            &settings.identity_url,
            &settings.token_url,
            &settings.exchange_url,
        ] {
            self.reach(url)?;
        }
        Ok(())
    }
}

impl MySecu {
    /// Sends a document; when the receiver finds the token worn out, once more
    /// with a new one.
    fn exchange(&self, delivery: &Message<'_>) -> Result<Given<Vec<u8>>, Failure> {
        let (code, id) = (delivery.code_prestataire, delivery.ehealth_id);
        let token = self.token(code, id).map_err(Failure::Before)?;
        match self.send(delivery, &token) {
            Err(trouble) if trouble.asks_renewal() => {
                self.tokens
                    .forget(&(id.to_owned(), code.to_owned()), &token);
                let token = self.token(code, id).map_err(Failure::Before)?;
                self.send(delivery, &token).map_err(Failure::Exchange)
            }
            result => result.map_err(Failure::Exchange),
        }
    }

    fn send(&self, delivery: &Message<'_>, token: &Token) -> Result<Given<Vec<u8>>, Box<Trouble>> {
        let open = format!(
            "<sync:RequestInfo xmlns:sync=\"{SYNC}\" modelUID=\"{}\">",
            escape_attribute(delivery.model_id)
        );
        let call = Call {
            url: &self.settings.exchange_url,
            action: "exchange",
            carried: Carried::Token(token),
            content: Content {
                open: &open,
                payload: delivery.payload,
                close: "</sync:RequestInfo>",
            },
        };
        self.call(&call, payload)
    }
}

/// The payload of a verified `sync:ResponseInfo` as its signature covers it:
/// in canonical form, without comments, with every namespace it can name.
fn payload(info: Node<'_, '_>) -> Result<Vec<u8>, Box<Trouble>> {
    let mut inside = names::elements(info);
    let (Some(payload), None) = (inside.next(), inside.next()) else {
        return Err(not_described());
    };
    if !names::is(info, SYNC, "ResponseInfo") {
        return Err(not_described());
    }
    let prefixes: Vec<&str> = payload
        .namespaces()
        .map(|n| n.name().unwrap_or("#default"))
        .collect();
    let options = Options {
        mode: Mode::Exclusive,
        comments: false,
        prefixes: &prefixes,
    };
    Ok(canonicalize(
        payload.document(),
        payload,
        |_| true,
        &options,
    ))
}

fn not_described() -> Box<Trouble> {
    Trouble::here("answer-not-soap", "no sync:ResponseInfo with one element")
}

fn answered(given: Given<Vec<u8>>) -> Report {
    Report {
        outcome: Outcome::Answered,
        correlation_id: given.correlation_id,
        answer: Some(given.value),
        envelope: Some(given.envelope),
    }
}

/// Whether the answer is evidence about the document.
enum Keep {
    Envelope,
    Nothing,
}

fn failed(outcome: Outcome, trouble: Trouble, keep: Keep) -> Report {
    let envelope = match keep {
        Keep::Envelope => trouble.envelope,
        Keep::Nothing => None,
    };
    Report {
        outcome,
        correlation_id: trouble.correlation_id,
        answer: None,
        envelope,
    }
}
