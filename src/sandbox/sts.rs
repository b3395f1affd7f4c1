//! The token service (WS-Trust 1.3 Issue) and the tokens it makes.

use crate::Sandbox;
use crate::cert::Cert;
use crate::dom::{self, AUTH, WSA, WSP, WSSE, WST, WSU};
use crate::environment::{self, EXCHANGE_PATH};
use crate::identity;
use crate::pki::base64;
use crate::soap::{Code, Fault};
use crate::wss::Verified;
use aws_lc_rs::hmac;
use base64::Engine;
use roxmltree::Node;
use sceau::base::{clock, hex};
use serde::{Deserialize, Serialize};
use time::Duration;

/// TokenType and ValueType of a mySecu token.
pub const TOKEN_TYPE: &str = "http://ws.mySecu.lu/trust/token/bst";
const REQUEST_TYPE: &str = "http://docs.oasis-open.org/ws-sx/ws-trust/200512/Issue";
const CLAIM: &str = "http://ws.mysecu.lu/trust/prodo/espaceid";
/// How long a token holds.
const LIFETIME: Duration = Duration::minutes(20);
/// Bytes of the authentication code in front of a token.
const MAC_BYTES: usize = 32;

/// What a token says. It is self-contained, so that it outlives a restart.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    code_prestataire: String,
    certificate_sha256: String,
    expires_unix_s: i64,
}

/// Answers a RequestSecurityToken with the content of the answer's body.
///
/// # Errors
/// The fault to send.
pub fn issue(sandbox: &Sandbox, request: &Verified<'_, '_>) -> Result<String, Fault> {
    let node = request.payload;
    if !dom::is(node, WST, "RequestSecurityToken") {
        return Err(Fault::Client("expected a RequestSecurityToken".to_owned()));
    }
    let now = sandbox.now();
    let assertion = request
        .carried
        .ok_or_else(|| Fault::Trust("InvalidRequest", "the assertion is missing".to_owned()))?;
    let ehealth = identity::check_assertion(sandbox, assertion, &request.sender, now)?;
    let code = read_request(sandbox, node)?;
    if !environment::knows(code, ehealth) {
        let text = "the code prestataire is not this practitioner's".to_owned();
        return Err(Fault::Business(Code::UnknownProvider, text));
    }
    if sandbox.is_blocked(code) {
        return Err(Fault::blocked());
    }
    let expires = now + LIFETIME;
    let claims = Claims {
        code_prestataire: code.to_owned(),
        certificate_sha256: hex::encode(&request.sender.sha256()),
        expires_unix_s: expires.unix_timestamp(),
    };
    let body = serde_json::to_vec(&claims).unwrap_or_default();
    let token = [hmac::sign(&sandbox.token_key, &body).as_ref(), &body].concat();
    Ok(format!(
        "<wst:RequestSecurityTokenResponseCollection xmlns:wst=\"{WST}\">\
         <wst:RequestSecurityTokenResponse><wst:TokenType>{TOKEN_TYPE}</wst:TokenType>\
         <wst:RequestedSecurityToken><wsse:BinarySecurityToken xmlns:wsse=\"{WSSE}\" \
         ValueType=\"{TOKEN_TYPE}\">{}</wsse:BinarySecurityToken></wst:RequestedSecurityToken>\
         <wst:Lifetime xmlns:wsu=\"{WSU}\"><wsu:Created>{}</wsu:Created>\
         <wsu:Expires>{}</wsu:Expires></wst:Lifetime></wst:RequestSecurityTokenResponse>\
         </wst:RequestSecurityTokenResponseCollection>",
        base64(&token),
        clock::rfc3339(now),
        clock::rfc3339_seconds(expires),
    ))
}

/// Checks the form of the request and returns the code prestataire claimed.
fn read_request<'a>(sandbox: &Sandbox, node: Node<'a, '_>) -> Result<&'a str, Fault> {
    let bad = |text: &str| Fault::Trust("InvalidRequest", text.to_owned());
    if dom::text(dom::child(node, WST, "TokenType")?)? != TOKEN_TYPE {
        return Err(bad("TokenType"));
    }
    if dom::text(dom::child(node, WST, "RequestType")?)? != REQUEST_TYPE {
        return Err(bad("RequestType"));
    }
    let applies = dom::child(node, WSP, "AppliesTo")?;
    let address = dom::text(dom::descend(
        applies,
        WSA,
        &["EndpointReference", "Address"],
    )?)?;
    if address != format!("{}{EXCHANGE_PATH}", sandbox.tls_url()) {
        return Err(bad("AppliesTo is not the exchange"));
    }
    let claims = dom::child(node, WST, "Claims")?;
    let dialect = "http://docs.oasis-open.org/wsfed/authorization/200706/authclaims";
    let claim = dom::child(claims, AUTH, "ClaimType")?;
    if claims.attribute("Dialect") != Some(dialect) || claim.attribute("Uri") != Some(CLAIM) {
        return Err(bad("the claim is not the espace id"));
    }
    Ok(dom::text(dom::child(claim, AUTH, "Value")?)?)
}

/// Checks a token presented by `sender` and returns its code prestataire.
///
/// # Errors
/// `InvalidSecurityToken` for a token that is not ours, not the sender's or
/// ended.
pub fn check(sandbox: &Sandbox, token: Node<'_, '_>, sender: &Cert) -> Result<String, Fault> {
    let refuse = |text: &str| Fault::Security("InvalidSecurityToken", text.to_owned());
    let text: String = dom::text(token)?.split_ascii_whitespace().collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(text);
    let bytes = bytes.map_err(|_| refuse("not base64"))?;
    let parts = bytes.split_at_checked(MAC_BYTES);
    let (mac, body) = parts.ok_or_else(|| refuse("too short"))?;
    hmac::verify(&sandbox.token_key, body, mac).map_err(|_| refuse("not issued here"))?;
    let claims: Claims = serde_json::from_slice(body).map_err(|_| refuse("not issued here"))?;
    if claims.certificate_sha256 != hex::encode(&sender.sha256()) {
        return Err(refuse("issued to another certificate"));
    }
    if claims.expires_unix_s <= sandbox.now().unix_timestamp() {
        return Err(refuse("the token has ended"));
    }
    Ok(claims.code_prestataire)
}
