//! The identity provider: takes a SAML AuthnRequest, gives a signed assertion.

use crate::Sandbox;
use crate::cert::Cert;
use crate::dom::{self, SAML, SAMLP};
use crate::environment::{self, ASSERTION_CONSUMER};
use crate::pki::base64;
use crate::soap::Fault;
use crate::wss::Verified;
use crate::xmldsig::{self, Signature, Target};
use roxmltree::{Document, Node};
use sceau::base::{Uuid4, clock};
use sceau::xml::{escape_attribute, escape_text};
use time::{Duration, OffsetDateTime};

/// How long an assertion holds.
const LIFETIME: Duration = Duration::minutes(10);
/// Issuer of the assertions.
const ISSUER: &str = "urn:sceau:sandbox:identity-provider";
const X509_CONTEXT: &str = "urn:oasis:names:tc:SAML:2.0:ac:classes:X509";
const SOAP_BINDING: &str = "urn:oasis:names:tc:SAML:2.0:bindings:SOAP";

fn refused(text: &str) -> Fault {
    Fault::Security("FailedAuthentication", text.to_owned())
}

/// Answers an authentication request with the content of the answer's body.
///
/// # Errors
/// The fault to send.
pub fn authenticate(sandbox: &Sandbox, request: &Verified<'_, '_>) -> Result<String, Fault> {
    let node = request.payload;
    if !dom::is(node, SAMLP, "AuthnRequest") {
        return Err(Fault::Client("expected an AuthnRequest".to_owned()));
    }
    let expected = [
        ("Version", "2.0"),
        ("ProtocolBinding", SOAP_BINDING),
        ("AssertionConsumerServiceURL", ASSERTION_CONSUMER),
    ];
    for (name, value) in expected {
        if dom::attribute(node, name)? != value {
            return Err(refused(&format!("{name} must be {value}")));
        }
    }
    if dom::text(dom::child(node, SAML, "Issuer")?)? != ASSERTION_CONSUMER {
        return Err(refused("the Issuer must be the assertion consumer"));
    }
    let context = dom::child(node, SAMLP, "RequestedAuthnContext")?;
    let class = dom::text(dom::child(context, SAML, "AuthnContextClassRef")?)?;
    if context.attribute("Comparison") != Some("minimum") || class != X509_CONTEXT {
        return Err(refused("the authentication context must be X509, minimum"));
    }
    let extensions = dom::child(node, SAMLP, "Extensions")?;
    let ehealth = attribute_value(extensions, "psEHealthID")?;
    if !environment::knows_ehealth(ehealth) {
        return Err(refused("nobody has this eHealth id"));
    }
    let assertion = assertion(sandbox, &request.sender, ehealth);
    Ok(format!(
        "<saml2p:Response xmlns:saml2p=\"{SAMLP}\" ID=\"_{}\" InResponseTo=\"{}\" \
         IssueInstant=\"{}\" Version=\"2.0\"><saml2:Issuer xmlns:saml2=\"{SAML}\">{ISSUER}\
         </saml2:Issuer><saml2p:Status><saml2p:StatusCode \
         Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"/></saml2p:Status>{assertion}\
         </saml2p:Response>",
        Uuid4::random(),
        escape_attribute(dom::attribute(node, "ID")?),
        clock::rfc3339(sandbox.now()),
    ))
}

/// The single value of the one attribute with this name.
fn attribute_value<'a>(parent: Node<'a, '_>, name: &str) -> Result<&'a str, Fault> {
    let named = |n: &Node<'_, '_>| n.attribute("Name") == Some(name);
    let mut found = parent.children().filter(|n| dom::is(*n, SAML, "Attribute"));
    let attribute = found.find(named);
    let attribute = attribute.ok_or_else(|| refused(&format!("{name} is missing")))?;
    let value = attribute
        .children()
        .filter(|n| dom::is(*n, SAML, "AttributeValue"));
    let values: Vec<_> = value.collect();
    match values.as_slice() {
        [only] => Ok(dom::text(*only)?),
        _ => Err(refused(&format!("{name} must have one value"))),
    }
}

/// Makes and signs an assertion about the holder of `sender`.
fn assertion(sandbox: &Sandbox, sender: &Cert, ehealth: &str) -> String {
    let now = sandbox.now();
    let id = format!("_{}", Uuid4::random());
    let attribute = |name: &str, value: &str| {
        format!(
            "<saml2:Attribute Name=\"{name}\"><saml2:AttributeValue>{value}\
             </saml2:AttributeValue></saml2:Attribute>"
        )
    };
    let with = |signature: &str| {
        format!(
            "<saml2:Assertion xmlns:saml2=\"{SAML}\" ID=\"{id}\" IssueInstant=\"{now_text}\" \
             Version=\"2.0\"><saml2:Issuer>{ISSUER}</saml2:Issuer>{signature}<saml2:Subject>\
             <saml2:NameID Format=\"urn:oasis:names:tc:SAML:1.1:nameid-format:X509SubjectName\">\
             {subject}</saml2:NameID></saml2:Subject><saml2:Conditions NotBefore=\"{before}\" \
             NotOnOrAfter=\"{after}\"><saml2:AudienceRestriction><saml2:Audience>\
             {ASSERTION_CONSUMER}</saml2:Audience></saml2:AudienceRestriction></saml2:Conditions>\
             <saml2:AuthnStatement AuthnInstant=\"{now_text}\"><saml2:AuthnContext>\
             <saml2:AuthnContextClassRef>{X509_CONTEXT}</saml2:AuthnContextClassRef>\
             </saml2:AuthnContext></saml2:AuthnStatement><saml2:AttributeStatement>{attributes}\
             </saml2:AttributeStatement></saml2:Assertion>",
            now_text = clock::rfc3339(now),
            subject = escape_text(&sender.subject_text()),
            before = clock::rfc3339(now - Duration::minutes(1)),
            after = clock::rfc3339(now + LIFETIME),
            attributes = attribute("userCertificate", &base64(sender.der()))
                // The sample number of the EU/OECD list of tax identifiers.
                + &attribute("psMatricule", "1893120105732")
                + &attribute("psEHealthID", ehealth),
        )
    };
    let unsigned = with("");
    let bytes = Document::parse(&unsigned).map(|d| dom::canonical(d.root_element(), &[]));
    let target = Target {
        id: &id,
        bytes: &bytes.unwrap_or_default(),
        enveloped: true,
    };
    let pki = &sandbox.pki;
    let certs = [&pki.identity_provider.cert, &pki.issuing.cert].map(|c| {
        format!(
            "<ds:X509Certificate>{}</ds:X509Certificate>",
            base64(c.der())
        )
    });
    let key_info = format!("<ds:X509Data>{}</ds:X509Data>", certs.concat());
    with(&xmldsig::sign(
        &pki.identity_provider,
        &[target],
        &key_info,
        false,
    ))
}

/// Checks an assertion carried by `sender` and returns the eHealth id.
///
/// # Errors
/// The fault to send.
pub fn check_assertion<'a>(
    sandbox: &Sandbox,
    assertion: Node<'a, '_>,
    sender: &Cert,
    now: OffsetDateTime,
) -> Result<&'a str, Fault> {
    let signature = Signature::read(dom::child(assertion, dom::DS, "Signature")?)?;
    let [reference] = signature.references.as_slice() else {
        return Err(Fault::Security(
            "InvalidSecurityToken",
            "not one reference".to_owned(),
        ));
    };
    let id = dom::attribute(assertion, "ID")?;
    if reference.uri.strip_prefix('#') != Some(id) {
        return Err(Fault::Security(
            "InvalidSecurityToken",
            "another reference".to_owned(),
        ));
    }
    let options = sceau::xml::c14n::Options {
        prefixes: reference.enveloped_exclusive()?,
        ..sceau::xml::c14n::Options::EXCLUSIVE
    };
    let visible = |n: Node<'_, '_>| !n.ancestors().any(|a| a.range() == signature.node.range());
    let doc = assertion.document();
    reference.check(&sceau::xml::c14n::canonicalize(
        doc, assertion, visible, &options,
    ))?;
    signature.verify(&sandbox.pki.identity_provider.cert)?;
    let conditions = dom::child(assertion, SAML, "Conditions")?;
    let time = |name| clock::parse_rfc3339(conditions.attribute(name)?);
    let window = (time("NotBefore"), time("NotOnOrAfter"));
    let (Some(before), Some(after)) = window else {
        return Err(Fault::Security(
            "InvalidSecurityToken",
            "no validity".to_owned(),
        ));
    };
    if now < before || now >= after {
        return Err(Fault::Trust(
            "ExpiredData",
            "the assertion has ended".to_owned(),
        ));
    }
    let statement = dom::child(assertion, SAML, "AttributeStatement")?;
    if attribute_value(statement, "userCertificate")? != base64(sender.der()) {
        return Err(refused("the assertion is another certificate's"));
    }
    attribute_value(statement, "psEHealthID")
}
