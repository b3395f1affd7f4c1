//! Certificates and signed answers for the gateway's tests. Answers are written
//! in canonical form by hand, so that no canonicalization code of the project
//! takes part in making them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    RsaKeySize, SigningKey,
};
use sceau::base::clock::rfc3339_seconds;
use sceau::base::digest::sha256;
use sceau::x509::{Cert, ecdsa_der_to_fixed};
use time::{Duration, OffsetDateTime};

pub const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
pub const WSSE: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
pub const WSU: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
const X509_V3: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3";
const EXC: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";

#[derive(Clone, Copy)]
pub enum Kind {
    Rsa,
    P256,
    P384,
}

/// A key with its certificate.
pub struct Party {
    pub key: KeyPair,
    params: CertificateParams,
    pub cert: Cert,
}

pub enum Role {
    Authority,
    /// May not have authorities below itself.
    LastAuthority,
    /// An authority by basic constraints, but not by key usage.
    AuthorityWithoutUsage,
    /// The other way round.
    UsageWithoutAuthority,
    Signer,
    ExpiredSigner,
    Encipherer,
}

impl Party {
    pub fn new(name: &str, kind: Kind, role: Role, issuer: Option<&Party>) -> Self {
        let key = match kind {
            Kind::Rsa => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
            Kind::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            Kind::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
        };
        let key = key.unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2040, 1, 1);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        match role {
            Role::Authority => {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            }
            Role::LastAuthority => {
                params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
                params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            }
            Role::AuthorityWithoutUsage => params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            Role::UsageWithoutAuthority => params.key_usages = vec![KeyUsagePurpose::KeyCertSign],
            Role::Signer => {}
            Role::ExpiredSigner => params.not_after = rcgen::date_time_ymd(2021, 1, 1),
            Role::Encipherer => params.key_usages = vec![KeyUsagePurpose::KeyEncipherment],
        }
        let made = match issuer {
            None => params.self_signed(&key),
            Some(by) => params.signed_by(&key, &Issuer::from_params(&by.params, &by.key)),
        };
        let cert = Cert::from_der(made.unwrap().der()).unwrap();
        Self { key, params, cert }
    }

    pub fn pem(&self) -> String {
        format!("{}{}", self.cert.to_pem(), self.key.serialize_pem())
    }

    fn xml_signature(&self, message: &[u8]) -> (&'static str, Vec<u8>) {
        let value = self.key.sign(message).unwrap();
        if self.key.algorithm() == &rcgen::PKCS_RSA_SHA256 {
            return ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", value);
        }
        let fixed = ecdsa_der_to_fixed(&value, 32).unwrap();
        let uri = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256";
        (uri, fixed)
    }
}

/// A signed answer before it is put together.
pub struct Answer<'a> {
    pub signer: &'a Party,
    pub created: OffsetDateTime,
    pub content: String,
    /// Certificates besides the signer's.
    pub others: Vec<Cert>,
    /// `InclusiveNamespaces/@PrefixList`; only `soap` is understood here.
    pub prefix_list: Option<&'a str>,
    /// Which of `timestamp`, `body`, `certificate` are signed.
    pub signed: Vec<&'a str>,
    /// Put into the header before the security header.
    pub header: String,
    pub digest_method: &'a str,
}

impl<'a> Answer<'a> {
    pub fn new(signer: &'a Party, created: OffsetDateTime, content: String) -> Self {
        Self {
            signer,
            created,
            content,
            others: Vec::new(),
            prefix_list: None,
            signed: vec!["timestamp", "body"],
            header: "<!-- Correlation-ID: 5f0c6f5e-0000-4000-8000-000000000001 -->".to_owned(),
            digest_method: "http://www.w3.org/2001/04/xmlenc#sha256",
        }
    }

    pub fn build(&self) -> String {
        let soap = self.prefix_list.map(|_| format!(" xmlns:soap=\"{SOAP}\""));
        let soap = soap.unwrap_or_default();
        let timestamp = format!(
            "<wsu:Timestamp{soap} xmlns:wsu=\"{WSU}\" wsu:Id=\"timestamp\"><wsu:Created>{}\
             </wsu:Created><wsu:Expires>{}</wsu:Expires></wsu:Timestamp>",
            rfc3339_seconds(self.created),
            rfc3339_seconds(self.created + Duration::minutes(5)),
        );
        let body = format!(
            "<soap:Body xmlns:soap=\"{SOAP}\" xmlns:wsu=\"{WSU}\" wsu:Id=\"body\">{}</soap:Body>",
            self.content
        );
        let token = |id: &str, cert: &Cert| {
            format!(
                "<wsse:BinarySecurityToken{soap} xmlns:wsse=\"{WSSE}\" xmlns:wsu=\"{WSU}\" \
                 ValueType=\"{X509_V3}\" wsu:Id=\"{id}\">{}</wsse:BinarySecurityToken>",
                STANDARD.encode(cert.der())
            )
        };
        let certificate = token("certificate", &self.signer.cert);
        let others: String = self
            .others
            .iter()
            .enumerate()
            .map(|(n, c)| token(&format!("other-{n}"), c))
            .collect();
        let references: String = self
            .signed
            .iter()
            .map(|id| match *id {
                "timestamp" => self.reference(id, &timestamp),
                "body" => self.reference(id, &body),
                _ => self.reference(id, &certificate),
            })
            .collect();
        let signature = self.signature(&references);
        format!(
            "<?xml version=\"1.0\"?>\n<soap:Envelope xmlns:soap=\"{SOAP}\"><soap:Header>{}\
             <wsse:Security xmlns:wsse=\"{WSSE}\">{timestamp}{certificate}{others}{signature}\
             </wsse:Security></soap:Header>{body}</soap:Envelope>",
            self.header
        )
    }

    fn signature(&self, references: &str) -> String {
        let info = |algorithm: &str| {
            format!(
                "<ds:SignedInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">\
                 <ds:CanonicalizationMethod Algorithm=\"{EXC}\"></ds:CanonicalizationMethod>\
                 <ds:SignatureMethod Algorithm=\"{algorithm}\"></ds:SignatureMethod>\
                 {references}</ds:SignedInfo>"
            )
        };
        // The algorithm is part of what is signed and depends on the key only.
        let (algorithm, _) = self.signer.xml_signature(b"");
        let (_, value) = self.signer.xml_signature(info(algorithm).as_bytes());
        format!(
            "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">{}<ds:SignatureValue>{}\
             </ds:SignatureValue><ds:KeyInfo><wsse:SecurityTokenReference><wsse:Reference \
             URI=\"#certificate\"/></wsse:SecurityTokenReference></ds:KeyInfo></ds:Signature>",
            info(algorithm),
            STANDARD.encode(value)
        )
    }

    fn reference(&self, id: &str, canonical: &str) -> String {
        let parameters = self.prefix_list.map(|list| {
            format!(
                "<ec:InclusiveNamespaces xmlns:ec=\"{EXC}\" PrefixList=\"{list}\">\
                 </ec:InclusiveNamespaces>"
            )
        });
        format!(
            "<ds:Reference URI=\"#{id}\"><ds:Transforms><ds:Transform Algorithm=\"{EXC}\">{}\
             </ds:Transform></ds:Transforms><ds:DigestMethod Algorithm=\"{}\"></ds:DigestMethod>\
             <ds:DigestValue>{}</ds:DigestValue></ds:Reference>",
            parameters.unwrap_or_default(),
            self.digest_method,
            STANDARD.encode(sha256(canonical.as_bytes()))
        )
    }
}
