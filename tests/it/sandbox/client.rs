//! A client of the dialogue made of foreign tools: xmlsec1 signs, OpenSSL
//! stamps and answers for revocation, curl sends.

use super::{Sandbox, ok, run, said};
use base64::Engine;
use std::path::Path;
use tempfile::TempDir;

const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
const XADES: &str = "http://uri.etsi.org/01903/v1.3.2#";
const EXC: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
const WSSE: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
const WSU: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const WST: &str = "http://docs.oasis-open.org/ws-sx/ws-trust/200512";
const X509: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0";
const TOKEN_TYPE: &str = "http://ws.mySecu.lu/trust/token/bst";
/// modelUID of the deposit.
pub const DEPOSIT: &str = "SCEAU-MEMHON-DEPOT-2";
/// modelUID of the status question.
pub const STATUS: &str = "SCEAU-MEMHON-STATUS-2";
/// Namespace of the form.
pub const FORM: &str = "urn:sceau:forms:memoire-honoraires:2";

/// An answer as curl saw it.
pub struct Answer {
    /// curl's exit code; 0 when an answer came.
    pub exit: i32,
    /// HTTP status.
    pub status: String,
    /// The body.
    pub body: String,
}

/// A practice with the sandbox's transport and signer identities.
pub struct Client<'a> {
    sandbox: &'a Sandbox,
    scratch: TempDir,
}

/// What a test can do wrong when it makes a document.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    None,
    /// An amount is changed after signing.
    Altered,
    /// The PDF is changed after it was signed, before the XML is.
    AlteredPdf,
    /// The PDF is not signed.
    UnsignedPdf,
    /// No timestamp and no values.
    OnlyB,
    /// No certificates and revocation data.
    OnlyT,
    /// The timestamp is over other bytes.
    OtherStamp,
    /// The revocation data are older than the timestamp.
    OldRevocation,
    /// No flaw: only the list about the issuing CA is older, and still holds.
    OldList,
}

/// Where a document's signature stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the `signature` element of this prefix, in front of the PDF.
    Wrapper(&'static str),
    /// At the end of the root element, and no PDF.
    EndOfRoot,
}

/// An unsigned mémoire of one line, `C1` for 62.60 euro.
pub fn memoire(uuid: &str, code: &str) -> String {
    let example =
        include_str!("../../../xsd/memoire-honoraires/2/examples/valid/depot/une-ligne.xml");
    let doc = roxmltree::Document::parse(example).unwrap();
    let text = |name: &str| {
        let node = doc
            .descendants()
            .find(|n| n.has_tag_name((FORM, name)))
            .unwrap();
        node.text().unwrap().to_owned()
    };
    let filled = example
        .replace(&text("uuid"), uuid)
        .replace(&text("codePrestataire"), code);
    let (_, rest) = filled.split_once("?>").unwrap();
    rest.trim().to_owned()
}

impl<'a> Client<'a> {
    pub fn new(sandbox: &'a Sandbox) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        Self { sandbox, scratch }
    }

    fn path(&self, name: &str) -> String {
        self.scratch.path().join(name).to_str().unwrap().to_owned()
    }

    fn openssl(&self, arguments: &[&str]) -> Vec<u8> {
        ok(run("openssl", arguments))
    }

    /// Signs the one empty ds:Signature `xpath` selects.
    fn xmlsec(&self, xml: &str, identity: &str, xpath: &str, ids: &[&str]) -> String {
        let (input, output) = (self.path("in.xml"), self.path("out.xml"));
        std::fs::write(&input, xml).unwrap();
        let key = format!(
            "{},{}",
            self.sandbox.pki(&format!("{identity}.key.pem")),
            self.sandbox.pki(&format!("{identity}.pem"))
        );
        let mut args = vec!["--sign", "--privkey-pem", &key, "--node-xpath", xpath];
        args.extend(ids.iter().flat_map(|pair| {
            let (attribute, node) = pair.split_once('=').unwrap();
            [attribute, node]
        }));
        args.extend(["--output", &output, &input]);
        ok(run("xmlsec1", &args));
        std::fs::read_to_string(output).unwrap()
    }

    /// A one-page PDF with a detached CAdES signature.
    fn pdf(&self, flaw: Flaw) -> Vec<u8> {
        let plain = b"%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n".to_vec();
        if flaw == Flaw::UnsignedPdf {
            return plain;
        }
        let room = 12_000;
        let head = |a: usize, b: usize, c: usize| {
            let dictionary =
                "3 0 obj<</Type/Sig/SubFilter/ETSI.CAdES.detached/Filter/Adobe.PPKLite";
            let numbers = format!("{dictionary}/ByteRange [0 {a:010} {b:010} {c:010}]/Contents ");
            [&plain[..], numbers.as_bytes()].concat()
        };
        let tail = b">>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n";
        let start = head(0, 0, 0).len();
        let before = head(start, start + room + 2, tail.len());
        let covered = self.path("covered");
        std::fs::write(&covered, [&before[..], tail].concat()).unwrap();
        let (cert, key) = (
            self.sandbox.pki("signer-leaf.pem"),
            self.sandbox.pki("signer-leaf.key.pem"),
        );
        let mut args = vec!["cms", "-sign", "-binary", "-cades", "-md", "sha256"];
        args.extend([
            "-outform", "DER", "-in", &covered, "-signer", &cert, "-inkey", &key,
        ]);
        let cms = self.openssl(&args);
        let mut hex: String = cms.iter().map(|b| format!("{b:02x}")).collect();
        assert!(hex.len() <= room);
        hex.extend(std::iter::repeat_n('0', room - hex.len()));
        let mut pdf = [&before[..], b"<", hex.as_bytes(), b">", tail].concat();
        if flaw == Flaw::AlteredPdf {
            let last = pdf.len() - 2;
            pdf[last] = b'G';
        }
        pdf
    }

    /// A complete mémoire, signed to B-LT but for the flaw.
    pub fn document(&self, uuid: &str, code: &str, flaw: Flaw) -> String {
        self.signed(&memoire(uuid, code), Place::Wrapper("mh"), flaw)
    }

    /// A document signed to B-LT but for the flaw; in a wrapper, a PDF follows.
    pub fn signed(&self, unsigned: &str, place: Place, flaw: Flaw) -> String {
        let signature = self.xades_template();
        let tail = match place {
            Place::Wrapper(p) => format!(
                "<{p}:signature>{signature}</{p}:signature><{p}:document>{}</{p}:document>",
                encode(&self.pdf(flaw))
            ),
            Place::EndOfRoot => signature,
        };
        let (inside, end) = unsigned.trim_end().rsplit_once("</").unwrap();
        let template = format!("{inside}{tail}</{end}");
        let id = format!("--id-attr:Id={XADES}:SignedProperties");
        let signed = self.xmlsec(
            &template,
            "signer-leaf",
            "//*[local-name()='Signature']",
            &[&id],
        );
        let signed = signed
            .split_once("?>")
            .map(|(_, rest)| rest.trim().to_owned())
            .unwrap();
        let completed = self.extend(&signed, flaw);
        match flaw {
            Flaw::Altered => completed.replace(">EUR<", ">USD<"),
            _ => completed,
        }
    }

    fn xades_template(&self) -> String {
        let cert = self.der("signer-leaf.pem");
        let digest = self.openssl_digest(&cert);
        let now = self.clock("now");
        format!(
            "<ds:Signature xmlns:ds=\"{DS}\" Id=\"s\"><ds:SignedInfo>\
             <ds:CanonicalizationMethod Algorithm=\"{EXC}\"/>\
             <ds:SignatureMethod Algorithm=\"{RSA_SHA256}\"/>\
             <ds:Reference URI=\"\"><ds:Transforms>\
             <ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"/>\
             <ds:Transform Algorithm=\"{EXC}\"/></ds:Transforms>\
             <ds:DigestMethod Algorithm=\"{SHA256}\"/><ds:DigestValue/></ds:Reference>\
             <ds:Reference Type=\"http://uri.etsi.org/01903#SignedProperties\" URI=\"#p\">\
             <ds:Transforms><ds:Transform Algorithm=\"{EXC}\"/></ds:Transforms>\
             <ds:DigestMethod Algorithm=\"{SHA256}\"/><ds:DigestValue/></ds:Reference>\
             </ds:SignedInfo><ds:SignatureValue/><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{}\
             </ds:X509Certificate></ds:X509Data></ds:KeyInfo><ds:Object>\
             <xades:QualifyingProperties xmlns:xades=\"{XADES}\" Target=\"#s\">\
             <xades:SignedProperties Id=\"p\"><xades:SignedSignatureProperties>\
             <xades:SigningTime>{now}</xades:SigningTime><xades:SigningCertificateV2><xades:Cert>\
             <xades:CertDigest><ds:DigestMethod Algorithm=\"{SHA256}\"/><ds:DigestValue>{digest}\
             </ds:DigestValue></xades:CertDigest></xades:Cert></xades:SigningCertificateV2>\
             </xades:SignedSignatureProperties></xades:SignedProperties>\
             </xades:QualifyingProperties></ds:Object></ds:Signature>",
            encode(&cert)
        )
    }

    /// Adds the unsigned properties of B-T and B-LT.
    fn extend(&self, signed: &str, flaw: Flaw) -> String {
        if flaw == Flaw::OnlyB {
            return signed.to_owned();
        }
        let early = self.revocation_values();
        if matches!(flaw, Flaw::OldRevocation | Flaw::OldList) {
            std::thread::sleep(std::time::Duration::from_millis(1100));
        }
        let doc = roxmltree::Document::parse(signed).unwrap();
        let value = doc
            .descendants()
            .find(|n| n.has_tag_name((DS, "SignatureValue")))
            .unwrap();
        let text = match flaw {
            Flaw::OtherStamp => "other",
            _ => value.text().unwrap(),
        };
        let message = format!("<ds:SignatureValue xmlns:ds=\"{DS}\">{text}</ds:SignatureValue>");
        let stamp = self.timestamp(message.as_bytes());
        let values = match flaw {
            Flaw::OnlyT => String::new(),
            Flaw::OldRevocation => early,
            Flaw::OldList => {
                let lists =
                    |values: &str| between(values, "<xades:CRLValues>", "</xades:CRLValues>");
                let values = self.revocation_values();
                assert_ne!(lists(&values), lists(&early));
                values.replace(&lists(&values), &lists(&early))
            }
            _ => self.revocation_values(),
        };
        let unsigned = format!(
            "<xades:UnsignedProperties><xades:UnsignedSignatureProperties>\
             <xades:SignatureTimeStamp><ds:CanonicalizationMethod Algorithm=\"{EXC}\"/>\
             <xades:EncapsulatedTimeStamp>{}</xades:EncapsulatedTimeStamp>\
             </xades:SignatureTimeStamp>{values}</xades:UnsignedSignatureProperties>\
             </xades:UnsignedProperties></xades:QualifyingProperties>",
            encode(&stamp)
        );
        signed.replace("</xades:QualifyingProperties>", &unsigned)
    }

    /// A timestamp token over `message`.
    fn timestamp(&self, message: &[u8]) -> Vec<u8> {
        let (data, query, reply) = (self.path("m"), self.path("q"), self.path("r"));
        std::fs::write(&data, message).unwrap();
        self.openssl(&[
            "ts", "-query", "-data", &data, "-sha256", "-cert", "-out", &query,
        ]);
        let url = format!("{}/tsa", self.sandbox.http);
        let body = format!("@{query}");
        ok(run(
            "curl",
            &["-sS", "--fail", "--data-binary", &body, &url, "-o", &reply],
        ));
        let token = self.path("t");
        self.openssl(&["ts", "-reply", "-in", &reply, "-token_out", "-out", &token]);
        std::fs::read(token).unwrap()
    }

    fn revocation_values(&self) -> String {
        let item =
            |name: &str, bytes: &[u8]| format!("<xades:{name}>{}</xades:{name}>", encode(bytes));
        let certs = ["issuing.pem", "tsa.pem", "root.pem"]
            .map(|name| item("EncapsulatedX509Certificate", &self.der(name)));
        let issuing = self.sandbox.pki("issuing.pem");
        let url = format!("{}/ocsp", self.sandbox.http);
        let ocsp = ["signer-leaf.pem", "tsa.pem"].map(|name| {
            let (cert, out) = (self.sandbox.pki(name), self.path("ocsp"));
            let mut args = vec!["ocsp", "-issuer", &issuing, "-cert", &cert, "-url", &url];
            args.extend(["-no_nonce", "-noverify", "-respout", &out]);
            self.openssl(&args);
            item("EncapsulatedOCSPValue", &std::fs::read(out).unwrap())
        });
        let list = format!("{}/crl/root.crl", self.sandbox.http);
        let list = item("EncapsulatedCRLValue", &ok(run("curl", &["-sS", &list])));
        format!(
            "<xades:CertificateValues>{}</xades:CertificateValues><xades:RevocationValues>\
             <xades:CRLValues>{list}</xades:CRLValues><xades:OCSPValues>{}</xades:OCSPValues>\
             </xades:RevocationValues>",
            certs.concat(),
            ocsp.concat()
        )
    }

    fn der(&self, name: &str) -> Vec<u8> {
        self.openssl(&["x509", "-in", &self.sandbox.pki(name), "-outform", "DER"])
    }

    fn openssl_digest(&self, bytes: &[u8]) -> String {
        let path = self.path("digest");
        std::fs::write(&path, bytes).unwrap();
        encode(&self.openssl(&["dgst", "-sha256", "-binary", &path]))
    }

    /// A time in the form of `xs:dateTime`, by GNU date.
    fn clock(&self, when: &str) -> String {
        let out = ok(run("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ", "-d", when]));
        String::from_utf8(out).unwrap().trim().to_owned()
    }

    /// A signed envelope around `body`.
    pub fn envelope(&self, body: &str, carried: &str, carried_id: Option<&str>) -> String {
        let reference = |id: &str| {
            format!(
                "<ds:Reference URI=\"#{id}\"><ds:Transforms><ds:Transform Algorithm=\"{EXC}\"/>\
                 </ds:Transforms><ds:DigestMethod Algorithm=\"{SHA256}\"/><ds:DigestValue/>\
                 </ds:Reference>"
            )
        };
        let ids = ["ts", "body"].into_iter().chain(carried_id);
        let references: String = ids.map(reference).collect();
        let xml = format!(
            "<soap:Envelope xmlns:soap=\"{SOAP}\"><soap:Header>\
             <wsse:Security xmlns:wsse=\"{WSSE}\" xmlns:wsu=\"{WSU}\" soap:mustUnderstand=\"1\">\
             <wsu:Timestamp wsu:Id=\"ts\"><wsu:Created>{}</wsu:Created><wsu:Expires>{}\
             </wsu:Expires></wsu:Timestamp><wsse:BinarySecurityToken ValueType=\"{X509}#X509v3\" \
             wsu:Id=\"bst\">{}</wsse:BinarySecurityToken>{carried}<ds:Signature xmlns:ds=\"{DS}\">\
             <ds:SignedInfo><ds:CanonicalizationMethod Algorithm=\"{EXC}\"/>\
             <ds:SignatureMethod Algorithm=\"{RSA_SHA256}\"/>{references}</ds:SignedInfo>\
             <ds:SignatureValue/><ds:KeyInfo><wsse:SecurityTokenReference>\
             <wsse:Reference URI=\"#bst\"/></wsse:SecurityTokenReference></ds:KeyInfo>\
             </ds:Signature></wsse:Security></soap:Header><soap:Body xmlns:wsu=\"{WSU}\" \
             wsu:Id=\"body\">{body}</soap:Body></soap:Envelope>",
            self.clock("now"),
            self.clock("5 minutes"),
            encode(&self.der("transport-leaf.pem"))
        );
        let ids = [
            format!("--id-attr:Id={WSU}:Timestamp"),
            format!("--id-attr:Id={SOAP}:Body"),
            format!("--id-attr:Id={WSSE}:BinarySecurityToken"),
            "--id-attr:ID=urn:oasis:names:tc:SAML:2.0:assertion:Assertion".to_owned(),
        ];
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let xpath = "/*/*/*/*[local-name()='Signature']";
        self.xmlsec(&xml, "transport-leaf", xpath, &ids)
    }

    /// Sends an envelope with the transport certificate.
    pub fn post(&self, path: &str, action: &str, envelope: &str) -> Answer {
        let (input, output) = (self.path("send.xml"), self.path("got.xml"));
        std::fs::write(&input, envelope).unwrap();
        let _ = std::fs::remove_file(&output);
        let (root, transport) = (
            self.sandbox.pki("root.pem"),
            self.sandbox.pki("transport.pem"),
        );
        let url = format!("{}{path}", self.sandbox.tls);
        let (body, action) = (format!("@{input}"), format!("SOAPAction: \"{action}\""));
        let mut args = vec!["-sS", "--cacert", &root, "--cert", &transport];
        args.extend(["-H", "Content-Type: text/xml; charset=utf-8", "-H", &action]);
        args.extend([
            "--data-binary",
            &body,
            "-o",
            &output,
            "-w",
            "%{http_code}",
            &url,
        ]);
        let sent = run("curl", &args);
        Answer {
            exit: sent.status.code().unwrap(),
            status: String::from_utf8_lossy(&sent.stdout).into_owned(),
            body: std::fs::read_to_string(output).unwrap_or_default(),
        }
    }

    /// Authenticates and returns the assertion as it came.
    pub fn assertion(&self, ehealth: &str) -> Answer {
        let consumer = "urn:sceau:sandbox:mysecu";
        let body = format!(
            "<saml2p:AuthnRequest xmlns:saml2p=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
             xmlns:saml2=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"_1\" Version=\"2.0\" \
             IssueInstant=\"{}\" ProtocolBinding=\"urn:oasis:names:tc:SAML:2.0:bindings:SOAP\" \
             AssertionConsumerServiceURL=\"{consumer}\"><saml2:Issuer>{consumer}</saml2:Issuer>\
             <saml2p:Extensions><saml2:Attribute Name=\"psEHealthID\"><saml2:AttributeValue>\
             {ehealth}</saml2:AttributeValue></saml2:Attribute></saml2p:Extensions>\
             <saml2p:RequestedAuthnContext Comparison=\"minimum\"><saml2:AuthnContextClassRef>\
             urn:oasis:names:tc:SAML:2.0:ac:classes:X509</saml2:AuthnContextClassRef>\
             </saml2p:RequestedAuthnContext></saml2p:AuthnRequest>",
            self.clock("now")
        );
        let envelope = self.envelope(&body, "", None);
        self.post("/esante/authentication", "authenticate", &envelope)
    }

    /// Asks for a token with an assertion.
    pub fn token_answer(&self, assertion: &str, code: &str) -> Answer {
        let id = assertion
            .split("ID=\"")
            .nth(1)
            .and_then(|r| r.split('"').next())
            .unwrap();
        let body = format!(
            "<wst:RequestSecurityToken xmlns:wst=\"{WST}\"><wst:TokenType>{TOKEN_TYPE}\
             </wst:TokenType><wst:RequestType>http://docs.oasis-open.org/ws-sx/ws-trust/200512/Issue\
             </wst:RequestType><wsp:AppliesTo xmlns:wsp=\"http://schemas.xmlsoap.org/ws/2004/09/policy\">\
             <wsa:EndpointReference xmlns:wsa=\"http://www.w3.org/2005/08/addressing\"><wsa:Address>\
             {}/ws/soap/espinst/syncexchange</wsa:Address></wsa:EndpointReference></wsp:AppliesTo>\
             <wst:Claims Dialect=\"http://docs.oasis-open.org/wsfed/authorization/200706/authclaims\">\
             <auth:ClaimType xmlns:auth=\"http://docs.oasis-open.org/wsfed/authorization/200706\" \
             Uri=\"http://ws.mysecu.lu/trust/prodo/espaceid\"><auth:Value>{code}</auth:Value>\
             </auth:ClaimType></wst:Claims></wst:RequestSecurityToken>",
            self.sandbox.tls
        );
        let envelope = self.envelope(&body, assertion, Some(id));
        let action = "http://docs.oasis-open.org/ws-sx/ws-trust/200512/RST/Issue";
        self.post("/ws/soap/trust", action, &envelope)
    }

    /// A token for a practitioner, ready to be carried.
    pub fn token(&self, code: &str, ehealth: &str) -> String {
        let assertion = between(
            &self.assertion(ehealth).body,
            "<saml2:Assertion",
            "</saml2:Assertion>",
        );
        let answer = self.token_answer(&assertion, code);
        let marker = format!("ValueType=\"{TOKEN_TYPE}\">");
        let value = answer
            .body
            .split(&marker)
            .nth(1)
            .and_then(|r| r.split('<').next());
        let value = value.unwrap_or_else(|| panic!("no token: {}", answer.body));
        format!(
            "<wsse:BinarySecurityToken ValueType=\"{TOKEN_TYPE}\" wsu:Id=\"tok\">{value}\
             </wsse:BinarySecurityToken>"
        )
    }

    /// Deposits a document, or asks about one.
    pub fn exchange(&self, token: &str, model: &str, payload: &str) -> Answer {
        let body = format!(
            "<sync:RequestInfo xmlns:sync=\"urn:sceau:mysecu:exchange:1\" modelUID=\"{model}\">\
             {payload}</sync:RequestInfo>"
        );
        let envelope = self.envelope(&body, token, Some("tok"));
        self.post("/ws/soap/espinst/syncexchange", "exchange", &envelope)
    }

    /// Asks what became of a mémoire.
    pub fn ask(&self, token: &str, uuid: &str) -> Answer {
        self.ask_form(token, STATUS, FORM, uuid)
    }

    /// Asks what became of a document of a form.
    pub fn ask_form(&self, token: &str, model: &str, namespace: &str, uuid: &str) -> Answer {
        let question = format!(
            "<q:etatDemande xmlns:q=\"{namespace}\"><q:uuidPrestataire>{uuid}</q:uuidPrestataire>\
             </q:etatDemande>"
        );
        self.exchange(token, model, &question)
    }

    /// The form's own part of an answer, which xmllint found valid by the
    /// schema at `xsd/<schema>`.
    pub fn valid(&self, answer: &Answer, schema: &str) -> String {
        assert_eq!(answer.status, "200", "{}", answer.body);
        let (_, rest) = answer.body.split_once("<sync:ResponseInfo").unwrap();
        let (_, rest) = rest.split_once('>').unwrap();
        let (inside, _) = rest.split_once("</sync:ResponseInfo>").unwrap();
        let path = self.path("answer.xml");
        std::fs::write(&path, inside).unwrap();
        let schema = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("xsd")
            .join(schema);
        let schema = schema.to_str().unwrap();
        let judged = run(
            "xmllint",
            &["--nonet", "--noout", "--schema", schema, &path],
        );
        assert!(judged.status.success(), "{inside}\n{}", said(&judged));
        inside.to_owned()
    }

    /// Has xmlsec1 verify the message signature of an answer against the
    /// sandbox's root; returns what it says.
    pub fn verify(&self, answer: &str) -> String {
        let path = self.path("verify.xml");
        std::fs::write(&path, answer).unwrap();
        // The certificate travels in a token xmlsec1 does not know.
        let public = self.path("answer.pub");
        let cert = self.sandbox.pki("answer.pem");
        self.openssl(&["x509", "-in", &cert, "-noout", "-pubkey", "-out", &public]);
        let (timestamp, body) = (format!("{WSU}:Timestamp"), format!("{SOAP}:Body"));
        let mut args = vec!["--verify", "--pubkey-pem", &public];
        args.extend(["--id-attr:Id", &timestamp, "--id-attr:Id", &body]);
        args.extend(["--node-xpath", "/*/*/*/*[local-name()='Signature']", &path]);
        said(&run("xmlsec1", &args))
    }

    /// Has xmlsec1 verify an assertion's signature.
    pub fn verify_assertion(&self, assertion: &str) -> String {
        let path = self.path("assertion.xml");
        std::fs::write(&path, assertion).unwrap();
        let (root, issuing) = (
            self.sandbox.pki("root.pem"),
            self.sandbox.pki("issuing.pem"),
        );
        let mut args = vec![
            "--verify",
            "--trusted-pem",
            &root,
            "--untrusted-pem",
            &issuing,
        ];
        args.extend([
            "--id-attr:ID",
            "urn:oasis:names:tc:SAML:2.0:assertion:Assertion",
            &path,
        ]);
        said(&run("xmlsec1", &args))
    }

    /// Connects without a client certificate.
    pub fn connects_without_certificate(&self) -> bool {
        let root = self.sandbox.pki("root.pem");
        let url = format!("{}/esante/authentication", self.sandbox.tls);
        run("curl", &["-sS", "--cacert", &root, "-d", "x", &url])
            .status
            .success()
    }

    /// A serial number, as OpenSSL prints it.
    pub fn serial(&self, name: &str) -> String {
        let path = self.sandbox.pki(name);
        assert!(Path::new(&path).exists());
        let out = self.openssl(&["x509", "-in", &path, "-noout", "-serial"]);
        String::from_utf8(out)
            .unwrap()
            .trim()
            .trim_start_matches("serial=")
            .to_owned()
    }
}

/// The part of `text` from `start` to `end`, both included.
pub fn between(text: &str, start: &str, end: &str) -> String {
    let from = text
        .find(start)
        .unwrap_or_else(|| panic!("no {start} in {text}"));
    let rest = &text[from..];
    let to = rest
        .find(end)
        .unwrap_or_else(|| panic!("no {end} in {text}"));
    rest[..to + end.len()].to_owned()
}

fn encode(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
