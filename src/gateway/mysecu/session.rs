//! Steps 1 and 2 of the dialogue: the identity provider's assertion and the
//! mySecu token. Both are kept until shortly before they expire, and each is
//! fetched by one caller at a time; the others wait for it.

use super::answer::TOLERANCE;
use super::fault::Trouble;
use super::message::{Carried, Content};
use super::names::{self, AUTH, MYSECU_CLAIM, MYSECU_TOKEN, SAML, SAMLP, WSA, WSP, WSSE, WST, WSU};
use super::{Call, MySecu};
use crate::base::Uuid4;
use crate::base::clock::{parse_rfc3339, rfc3339_seconds};
use crate::xml::{escape_attribute, escape_text, name_of};
use quick_xml::Reader;
use quick_xml::events::Event;
use roxmltree::Node;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use time::{Duration, OffsetDateTime};

/// How long before its end a credential is no longer used: the call it is for
/// must still arrive.
const MARGIN: Duration = Duration::seconds(60);

/// A SAML assertion, carried as received.
pub struct Assertion {
    /// The element, byte for byte, with the namespace declarations it had
    /// inherited from the answer.
    pub xml: String,
    not_on_or_after: OffsetDateTime,
}

/// A mySecu token; its content is not ours to read.
pub struct Token {
    /// Base64.
    pub value: String,
    expires: OffsetDateTime,
}

/// Something that ends.
pub trait Expires {
    /// When it ends.
    fn end(&self) -> OffsetDateTime;
}

impl Expires for Assertion {
    fn end(&self) -> OffsetDateTime {
        self.not_on_or_after
    }
}

impl Expires for Token {
    fn end(&self) -> OffsetDateTime {
        self.expires
    }
}

type Slot<V> = Arc<Mutex<Option<Arc<V>>>>;

/// Kept credentials. As many entries as there are practitioners.
pub struct Kept<K, V> {
    slots: Mutex<HashMap<K, Slot<V>>>,
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self {
            slots: Mutex::default(),
        }
    }
}

impl<K: Eq + Hash + Clone, V: Expires> Kept<K, V> {
    /// The kept value, or a new one from `fetch`.
    pub fn get<E>(
        &self,
        key: &K,
        now: OffsetDateTime,
        fetch: impl FnOnce() -> Result<V, E>,
    ) -> Result<Arc<V>, E> {
        let slot = self.slot(key);
        // Held while fetching: the next caller finds the value there.
        let mut held = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = held.as_ref().filter(|v| now < v.end() - MARGIN) {
            return Ok(Arc::clone(value));
        }
        let value = Arc::new(fetch()?);
        *held = Some(Arc::clone(&value));
        Ok(value)
    }

    /// Drops `value`, unless somebody has replaced it already.
    pub fn forget(&self, key: &K, value: &Arc<V>) {
        let slot = self.slot(key);
        let mut held = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, value)) {
            *held = None;
        }
    }

    fn slot(&self, key: &K) -> Slot<V> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(key.clone()).or_default())
    }
}

impl MySecu {
    /// The token of a code prestataire, kept or new.
    pub(super) fn token(
        &self,
        code_prestataire: &str,
        ehealth_id: &str,
    ) -> Result<Arc<Token>, Box<Trouble>> {
        let key = (ehealth_id.to_owned(), code_prestataire.to_owned());
        self.tokens.get(&key, self.clock.now(), || {
            let assertion = self.assertion(ehealth_id)?;
            match self.issue(code_prestataire, &assertion) {
                Err(trouble) if trouble.asks_renewal() => {
                    self.assertions.forget(&ehealth_id.to_owned(), &assertion);
                    self.issue(code_prestataire, &*self.assertion(ehealth_id)?)
                }
                result => result,
            }
        })
    }

    /// The assertion of a practitioner, kept or new.
    fn assertion(&self, ehealth_id: &str) -> Result<Arc<Assertion>, Box<Trouble>> {
        self.assertions
            .get(&ehealth_id.to_owned(), self.clock.now(), || {
                self.authenticate(ehealth_id)
            })
    }

    /// Step 1 (SAML 2.0 core §3.4.1, §3.3.3).
    fn authenticate(&self, ehealth_id: &str) -> Result<Assertion, Box<Trouble>> {
        let now = self.clock.now();
        // An xs:ID starts with a letter; a UUID may not.
        let id = format!("request-{}", Uuid4::random());
        let consumer = &self.settings.assertion_consumer;
        let request = format!(
            "<saml2p:AuthnRequest xmlns:saml2p=\"{SAMLP}\" xmlns:saml2=\"{SAML}\" ID=\"{id}\" \
             Version=\"2.0\" IssueInstant=\"{}\" \
             ProtocolBinding=\"urn:oasis:names:tc:SAML:2.0:bindings:SOAP\" \
             AssertionConsumerServiceURL=\"{}\"><saml2:Issuer>{}</saml2:Issuer>\
             <saml2p:Extensions><saml2:Attribute Name=\"psEHealthID\"><saml2:AttributeValue>{}\
             </saml2:AttributeValue></saml2:Attribute></saml2p:Extensions>\
             <saml2p:RequestedAuthnContext Comparison=\"minimum\"><saml2:AuthnContextClassRef>\
             urn:oasis:names:tc:SAML:2.0:ac:classes:X509</saml2:AuthnContextClassRef>\
             </saml2p:RequestedAuthnContext></saml2p:AuthnRequest>",
            rfc3339_seconds(now),
            escape_attribute(consumer),
            escape_text(consumer),
            escape_text(ehealth_id),
        );
        let call = Call {
            url: &self.settings.identity_url,
            action: "authenticate",
            carried: Carried::Nothing,
            content: Content {
                open: &request,
                payload: b"",
                close: "",
            },
        };
        let asked = Asked {
            id: &id,
            ehealth_id,
            consumer,
            now,
        };
        Ok(self.call(&call, |response| asked.read(response))?.value)
    }

    /// Step 2 (WS-Trust 1.3 §4.1, §4.4).
    fn issue(&self, code_prestataire: &str, assertion: &Assertion) -> Result<Token, Box<Trouble>> {
        let request = format!(
            "<wst:RequestSecurityToken xmlns:wst=\"{WST}\"><wst:TokenType>{MYSECU_TOKEN}\
             </wst:TokenType><wst:RequestType>{WST}/Issue</wst:RequestType>\
             <wsp:AppliesTo xmlns:wsp=\"{WSP}\"><wsa:EndpointReference xmlns:wsa=\"{WSA}\">\
             <wsa:Address>{}</wsa:Address></wsa:EndpointReference></wsp:AppliesTo>\
             <wst:Claims Dialect=\"{AUTH}/authclaims\"><auth:ClaimType xmlns:auth=\"{AUTH}\" \
             Uri=\"{MYSECU_CLAIM}\"><auth:Value>{}</auth:Value></auth:ClaimType></wst:Claims>\
             </wst:RequestSecurityToken>",
            escape_text(&self.settings.exchange_url),
            escape_text(code_prestataire),
        );
        let call = Call {
            url: &self.settings.token_url,
            action: "http://docs.oasis-open.org/ws-sx/ws-trust/200512/RST/Issue",
            carried: Carried::Assertion(assertion),
            content: Content {
                open: &request,
                payload: b"",
                close: "",
            },
        };
        let now = self.clock.now();
        Ok(self.call(&call, |answer| read_token(answer, now))?.value)
    }
}

/// What an assertion must answer to.
struct Asked<'a> {
    id: &'a str,
    ehealth_id: &'a str,
    consumer: &'a str,
    now: OffsetDateTime,
}

impl Asked<'_> {
    /// Takes the assertion out of a verified `saml2p:Response`. The assertion's
    /// own signature is for mySecu, which trusts the identity provider's key;
    /// here the answer around it has been verified.
    fn read(&self, response: Node<'_, '_>) -> Result<Assertion, Box<Trouble>> {
        let unusable = |cause: &str| Trouble::here("assertion-unusable", cause);
        if !names::is(response, SAMLP, "Response") {
            return Err(unusable("the answer is not a SAML response"));
        }
        if response.attribute("InResponseTo") != Some(self.id) {
            return Err(unusable("it answers another request"));
        }
        let status = names::descend(response, &[(SAMLP, "Status"), (SAMLP, "StatusCode")]);
        if status.and_then(|n| n.attribute("Value")) != Some(names::SAML_SUCCESS) {
            return Err(Trouble::here("identity-refused", ""));
        }
        let assertion = names::child(response, Some(SAML), "Assertion")
            .filter(|n| n.attribute("ID").is_some() && n.attribute("Version") == Some("2.0"))
            .ok_or_else(|| unusable("it holds no SAML 2.0 assertion"))?;
        let not_on_or_after = self.check_conditions(assertion).map_err(unusable)?;
        if !self.names_practitioner(assertion) {
            return Err(unusable("it is about another eHealth ID"));
        }
        let xml = standalone(assertion).ok_or_else(|| unusable("it cannot be read"))?;
        Ok(Assertion {
            xml,
            not_on_or_after,
        })
    }

    /// SAML 2.0 core §2.5.1: gives the end of validity.
    fn check_conditions(&self, assertion: Node<'_, '_>) -> Result<OffsetDateTime, &'static str> {
        let conditions = names::child(assertion, Some(SAML), "Conditions");
        let conditions = conditions.ok_or("it has no conditions")?;
        let time = |name: &str| conditions.attribute(name).and_then(parse_rfc3339);
        let end = time("NotOnOrAfter").ok_or("it has no end of validity")?;
        if time("NotBefore").is_some_and(|start| self.now < start - TOLERANCE) {
            return Err("it is not valid yet");
        }
        if self.now >= end + TOLERANCE {
            return Err("it is no longer valid");
        }
        let audiences: Vec<_> = names::child(conditions, Some(SAML), "AudienceRestriction")
            .map(|n| names::elements(n).map(names::text).collect())
            .unwrap_or_default();
        if !audiences.is_empty() && !audiences.iter().any(|a| a == self.consumer) {
            return Err("it is for another audience");
        }
        Ok(end)
    }

    /// The eHealth ID, where the assertion states one, is the one asked for.
    fn names_practitioner(&self, assertion: Node<'_, '_>) -> bool {
        let statement = names::child(assertion, Some(SAML), "AttributeStatement");
        let mut stated = statement
            .into_iter()
            .flat_map(names::elements)
            .filter(|n| n.attribute("Name") == Some("psEHealthID"));
        stated.all(|n| names::text(n) == self.ehealth_id)
    }
}

/// Takes the token out of a verified collection.
fn read_token(answer: Node<'_, '_>, now: OffsetDateTime) -> Result<Token, Box<Trouble>> {
    let unusable = |cause: &str| Trouble::here("token-unusable", cause);
    let response = Some(answer)
        .filter(|n| names::is(*n, WST, "RequestSecurityTokenResponseCollection"))
        .and_then(|n| names::child(n, Some(WST), "RequestSecurityTokenResponse"))
        .ok_or_else(|| unusable("the answer holds not exactly one response"))?;
    let steps = [
        (WST, "RequestedSecurityToken"),
        (WSSE, "BinarySecurityToken"),
    ];
    let value = names::descend(response, &steps)
        .filter(|n| n.attribute("ValueType") == Some(MYSECU_TOKEN))
        .map(names::text)
        .filter(|v| !v.is_empty() && v.bytes().all(is_base64))
        .ok_or_else(|| unusable("there is no mySecu token in it"))?;
    let expires = names::descend(response, &[(WST, "Lifetime"), (WSU, "Expires")])
        .and_then(|n| parse_rfc3339(&names::text(n)))
        .ok_or_else(|| unusable("it has no end of validity"))?;
    if now >= expires + TOLERANCE {
        return Err(unusable("it is no longer valid"));
    }
    Ok(Token { value, expires })
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=\r\n".contains(&byte)
}

/// An element as its author wrote it, fit to stand in another document: the
/// namespace declarations it inherits are added to its start tag. That leaves
/// its canonical form, and so its signature, as it was.
fn standalone(element: Node<'_, '_>) -> Option<String> {
    let source = element.document().input_text().get(element.range())?;
    let mut reader = Reader::from_str(source);
    let (Ok(Event::Start(tag)) | Ok(Event::Empty(tag))) = reader.read_event() else {
        return None;
    };
    let declared: HashSet<String> = tag
        .attributes()
        .map(|a| a.map(|a| a.key.as_ref().to_owned()))
        .collect::<Result<_, _>>()
        .ok()?;
    let mut added = String::new();
    for namespace in element.namespaces() {
        let name = match namespace.name() {
            Some("xml") => continue,
            Some(prefix) => format!("xmlns:{prefix}"),
            None => "xmlns".to_owned(),
        };
        if !declared.contains(&name) {
            let uri = escape_attribute(namespace.uri());
            added.push_str(&format!(" {name}=\"{uri}\""));
        }
    }
    let (start, rest) = source.split_at_checked(1 + name_of(element).len())?;
    Some(format!("{start}{added}{rest}"))
}
