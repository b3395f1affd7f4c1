use super::profile::{DS, XADES, canonical, encode};
use super::*;
use crate::base::digest::sha256;
use crate::x509::{
    Cert, KeyKind, RsaScheme, SignatureAlgorithm, ecdsa_der_to_fixed, issuer_serial,
};
use crate::xml::c14n;
use crate::xml::path::Namespaces;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use rcgen::{CertificateParams, DnType, KeyPair};
use roxmltree::{Document, Node};
use std::ops::Range;
use time::OffsetDateTime;
use time::macros::datetime;

const FORM: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
    <!-- made by a test -->\r\n\
    <f:form xmlns:f=\"urn:test:form\" xmlns=\"urn:test:other\" f:a='1\n2'>\r\n\
    \t<f:amount><![CDATA[10 < 20 & é]]></f:amount>\r\n\
    <f:slot/><f:document>JVBERi0=</f:document>\r\n</f:form>\r\n";
const TIME: OffsetDateTime = datetime!(2026-03-01 10:20:30.5 UTC);

struct Signer {
    key: Vec<u8>,
    cert: Cert,
    scheme: RsaScheme,
}

impl Signer {
    fn new(kind: &'static rcgen::SignatureAlgorithm) -> Self {
        let key = KeyPair::generate_for(kind).expect("key");
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "Dr Testine Exemple");
        let cert = params.self_signed(&key).expect("certificate");
        Self {
            key: key.serialize_der(),
            cert: Cert::from_der(cert.der()).expect("certificate"),
            scheme: RsaScheme::Pkcs1V15,
        }
    }

    fn p256() -> Self {
        Self::new(&rcgen::PKCS_ECDSA_P256_SHA256)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::for_key(self.cert.key(), self.scheme).expect("algorithm")
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "aws-lc-rs wants a generator argument to sign with"
    )]
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let ecdsa = |algorithm| {
            let key = EcdsaKeyPair::from_pkcs8(algorithm, &self.key).expect("key");
            let signature = key.sign(&random, message).expect("signature");
            signature.as_ref().to_vec()
        };
        match self.cert.key() {
            KeyKind::P256 => ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
            KeyKind::P384 => ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
            KeyKind::Rsa { .. } => {
                let key = RsaKeyPair::from_pkcs8(&self.key).expect("key");
                let mut out = vec![0; key.public_modulus_len()];
                let padding: &dyn RsaEncoding = match self.scheme {
                    RsaScheme::Pkcs1V15 => &RSA_PKCS1_SHA256,
                    RsaScheme::Pss => &RSA_PSS_SHA256,
                };
                key.sign(padding, &random, message, &mut out)
                    .expect("signature");
                out
            }
            KeyKind::Other => panic!("a test key of another kind"),
        }
    }

    fn sign_form(&self, form: &str) -> String {
        self.sign_in(form, &slot())
    }

    fn sign_in(&self, form: &str, slot: &Slot) -> String {
        let prepared =
            prepare(form.as_bytes(), slot, &self.cert, self.algorithm(), TIME).expect("prepare");
        let value = self.sign(prepared.to_be_signed());
        let made = prepared.finish(&value).expect("finish");
        // What the maker knows is what a reader finds.
        let read = Envelope::open(made.xml().to_vec(), slot).expect("open");
        assert_eq!(read.timestamp_input, made.timestamp_input);
        assert_eq!((read.next, read.level), (made.next, made.level));
        assert_eq!(read.signer, made.signer);
        String::from_utf8(made.into_xml()).expect("UTF-8")
    }

    /// Makes an edited signature hold again: digests and value are computed
    /// anew, as an author who deviates from the profile would.
    fn resign(&self, edited: &str) -> String {
        let mut xml = edited.to_owned();
        let value = {
            let doc = Document::parse(&xml).expect("edited");
            let properties = sha256(&canonical(find(&doc, XADES, "SignedProperties", 0)));
            range_and_text(&doc, "DigestValue", 1, encode(&properties))
        };
        replace(&mut xml, value);
        let value = {
            let doc = Document::parse(&xml).expect("edited");
            let hole = find(&doc, DS, "Signature", 0).range();
            let whole = c14n::canonicalize(
                &doc,
                doc.root(),
                |n| n.range().start < hole.start || n.range().end > hole.end,
                &c14n::Options::EXCLUSIVE,
            );
            range_and_text(&doc, "DigestValue", 0, encode(&sha256(&whole)))
        };
        replace(&mut xml, value);
        let value = {
            let doc = Document::parse(&xml).expect("edited");
            let signature = self.sign(&canonical(find(&doc, DS, "SignedInfo", 0)));
            let fixed = ecdsa_der_to_fixed(&signature, 32).expect("P-256");
            range_and_text(&doc, "SignatureValue", 0, encode(&fixed))
        };
        replace(&mut xml, value);
        xml
    }
}

fn find<'a, 'i>(doc: &'a Document<'i>, ns: &str, local: &str, nth: usize) -> Node<'a, 'i> {
    let mut all = doc.descendants().filter(|n| n.has_tag_name((ns, local)));
    all.nth(nth).expect("element")
}

fn range_and_text(
    doc: &Document<'_>,
    local: &str,
    nth: usize,
    text: String,
) -> (Range<usize>, String) {
    let node = find(doc, DS, local, nth);
    (node.first_child().expect("text").range(), text)
}

fn replace(xml: &mut String, (range, text): (Range<usize>, String)) {
    xml.replace_range(range, &text);
}

fn at(text: &str) -> Slot {
    let namespaces = Namespaces::from([("f".to_owned(), "urn:test:form".to_owned())]);
    Slot::parse(text, &namespaces).expect("path")
}

fn slot() -> Slot {
    at("/f:form/f:slot")
}

fn check(xml: &str) -> Result<Verified, XadesError> {
    verify(xml.as_bytes(), &slot())
}

/// `xml` with the one occurrence of `from` replaced.
fn edit(xml: &str, from: &str, to: &str) -> String {
    assert_eq!(xml.matches(from).count(), 1, "{from}");
    xml.replace(from, to)
}

fn between<'a>(xml: &'a str, start: &str, end: &str) -> &'a str {
    let from = xml.find(start).expect("start");
    let to = from + xml[from..].find(end).expect("end") + end.len();
    &xml[from..to]
}

/// The refusal must name the profile and this word.
fn assert_profile(result: Result<Verified, XadesError>, word: &str) {
    match result {
        Err(XadesError::Profile(what)) if what.contains(word) => {}
        other => panic!("{word}: {other:?}"),
    }
}

#[test]
fn every_kind_of_key_signs_and_verifies() {
    for (kind, scheme, method) in [
        (
            &rcgen::PKCS_ECDSA_P256_SHA256,
            RsaScheme::Pkcs1V15,
            "2001/04/xmldsig-more#ecdsa-sha256",
        ),
        (
            &rcgen::PKCS_ECDSA_P384_SHA384,
            RsaScheme::Pss,
            "2001/04/xmldsig-more#ecdsa-sha384",
        ),
        (
            &rcgen::PKCS_RSA_SHA256,
            RsaScheme::Pkcs1V15,
            "2001/04/xmldsig-more#rsa-sha256",
        ),
        (
            &rcgen::PKCS_RSA_SHA256,
            RsaScheme::Pss,
            "2007/05/xmldsig-more#sha256-rsa-MGF1",
        ),
    ] {
        let signer = Signer {
            scheme,
            ..Signer::new(kind)
        };
        assert!(signer.sign_form(FORM).contains(method), "{method}");
        let verified = check(&signer.sign_form(FORM)).expect("verified");
        assert_eq!(verified.signer, signer.cert);
        assert_eq!(verified.level, Level::B);
        assert_eq!(verified.signing_time, datetime!(2026-03-01 10:20:30 UTC));
        assert!(verified.token.is_none());
    }
}

#[test]
fn bytes_outside_the_slot_stay_as_they_are() {
    let signer = Signer::p256();
    let (head, tail) = FORM.split_once("<f:slot/>").expect("slot");
    for (written, open, close) in [
        ("<f:slot/>", "<f:slot>", "</f:slot>"),
        ("<f:slot\r\n a='>' />", "<f:slot\r\n a='>' >", "</f:slot>"),
        ("<f:slot></f:slot >", "<f:slot>", "</f:slot >"),
        ("<f:slot>\r\n\t</f:slot>", "<f:slot>\r\n\t", "</f:slot>"),
    ] {
        for mark in ["", "\u{FEFF}"] {
            let signed = signer.sign_form(&format!("{mark}{head}{written}{tail}"));
            let middle = signed
                .strip_prefix(&format!("{mark}{head}{open}"))
                .and_then(|rest| rest.strip_suffix(&format!("{close}{tail}")))
                .expect("the client's bytes");
            assert!(middle.starts_with("<ds:Signature ") && middle.ends_with("</ds:Signature>"));
            check(&signed).expect("verified");
        }
    }
}

/// Namespaces, identifiers, line ends and places as real files have them.
#[test]
fn every_shape_of_document_is_signed_in_its_slot() {
    let signer = Signer::p256();
    let end = Slot::EndOfRoot;
    for (shape, slot, xml) in [
        ("empty root", &end, "<r/>"),
        ("open root", &end, "<r></r>"),
        (
            "root in blanks",
            &end,
            "\u{FEFF}<r>\r\n <a/>\r\n</r>\r\n<!-- after -->\r\n",
        ),
        ("text in the root", &end, "<r>a<b/>c</r >"),
        (
            "default namespace",
            &end,
            "<r xmlns='urn:d'><a xmlns=''><b xmlns='urn:d'/></a></r>",
        ),
        (
            "our prefixes bound to something else",
            &end,
            "<ds:r xmlns:ds='urn:x' xmlns:xades='urn:y' xades:a='1'><xades:b/></ds:r>",
        ),
        (
            "the signature's namespace declared already",
            &end,
            "<r xmlns='http://www.w3.org/2000/09/xmldsig#'><Other/></r>",
        ),
        (
            "identifiers and inherited attributes",
            &end,
            "<r xml:id='a' xml:lang='de' xml:base='b/' xml:space='preserve'><c Id='b' ID='c' id='d'/></r>",
        ),
        ("unqualified", &at("/r/sig"), "<r><sig/><doc>x</doc></r>"),
        (
            "unqualified in a qualified root",
            &at("/f:r/a/sig"),
            "<p:r xmlns:p='urn:test:form'><a><sig> </sig></a><doc/></p:r>",
        ),
        (
            "undeclared default namespace",
            &at("/f:r/sig"),
            "<r xmlns='urn:test:form'><sig xmlns=''/><doc/></r>",
        ),
        (
            "before another element",
            &at("/f:r/f:sig"),
            "<r xmlns='urn:test:form'>\r\n<!-- a --><sig\n/><doc a='x\ny'><![CDATA[<]]>&#xD;</doc></r>",
        ),
    ] {
        let signed = signer.sign_in(xml, slot);
        let verified = verify(signed.as_bytes(), slot).expect(shape);
        assert_eq!(verified.signer, signer.cert, "{shape}");
        assert_eq!(verify_where_it_stands(&signed), *slot, "{shape}");
        // What is added is the signature alone, and tags around it.
        let added = signed.len() - xml.len();
        let signature = between(&signed, "<ds:Signature ", "</ds:Signature>").len();
        assert!(added - signature <= "</sig>".len(), "{shape}");
    }
}

/// The slot in which a signature was found; it must verify there.
fn verify_where_it_stands(signed: &str) -> Slot {
    let doc = crate::xml::parse(signed.as_bytes()).expect("signed");
    let found = slot_of(&doc).expect("slot");
    verify(signed.as_bytes(), &found).expect("verified where it was found");
    let namespaces = Namespaces::from([
        ("f".to_owned(), "urn:test:form".to_owned()),
        ("p".to_owned(), "urn:test:form".to_owned()),
    ]);
    let name = |step: &crate::xml::path::Name| match step.namespace {
        Some(_) => format!("/f:{}", step.local),
        None => format!("/{}", step.local),
    };
    match found {
        Slot::EndOfRoot => Slot::EndOfRoot,
        Slot::Wrapper(path) => {
            let text: String = path.steps().iter().map(name).collect();
            Slot::parse(&text, &namespaces).expect("path")
        }
    }
}

#[test]
fn a_signature_elsewhere_than_in_its_slot_is_refused() {
    let signer = Signer::p256();
    let signed = signer.sign_in("<r><a/></r>", &Slot::EndOfRoot);
    let refused = |xml: &str, slot: &Slot, word: &str| {
        let result = verify(xml.as_bytes(), slot);
        let found = matches!(&result, Err(XadesError::Slot { found }) if found.contains(word));
        assert!(found, "{word}: {result:?}");
    };
    refused(&signed, &at("/r/a"), "outside it");
    refused(&signed, &at("/r/b"), "no slot");
    refused(&signed, &at("/r"), "more than the signature");
    let followed = signed.replace("</r>", "<b/></r>");
    refused(&followed, &Slot::EndOfRoot, "not the last element");
    let deeper = signer.sign_in("<r><a/></r>", &at("/r/a"));
    refused(&deeper, &Slot::EndOfRoot, "no child of the root");
    for path in ["a/b", "/a/@b", "end", "/a[1]", "/x:a"] {
        assert!(Slot::parse(path, &Namespaces::new()).is_err(), "{path}");
    }
}

#[test]
fn preparing_twice_gives_the_same_bytes() {
    let signer = Signer::p256();
    let prepare = || {
        prepare(
            FORM.as_bytes(),
            &slot(),
            &signer.cert,
            signer.algorithm(),
            TIME,
        )
        .expect("prepare")
    };
    assert_eq!(prepare().to_be_signed(), prepare().to_be_signed());
}

#[test]
fn slots_that_cannot_be_filled_are_refused() {
    let signer = Signer::p256();
    for (slot_xml, words) in [
        ("", "no slot"),
        ("<f:slot/><f:slot/>", "several slots"),
        ("<f:slot>x</f:slot>", "a slot with content"),
        ("<f:slot><f:x/></f:slot>", "a slot with content"),
        ("<f:slot><!-- x --></f:slot>", "a slot with content"),
    ] {
        let form = edit(FORM, "<f:slot/>", slot_xml);
        let refused = prepare(
            form.as_bytes(),
            &slot(),
            &signer.cert,
            signer.algorithm(),
            TIME,
        );
        assert!(
            matches!(&refused, Err(XadesError::Slot { found }) if found == words),
            "{slot_xml}: {refused:?}"
        );
    }
    let signed = signer.sign_form(FORM);
    let again = prepare(
        signed.as_bytes(),
        &slot(),
        &signer.cert,
        signer.algorithm(),
        TIME,
    );
    assert!(matches!(again, Err(XadesError::AlreadySigned)));
}

#[test]
fn a_value_of_another_key_is_refused() {
    let signer = Signer::p256();
    let prepared = prepare(
        FORM.as_bytes(),
        &slot(),
        &signer.cert,
        signer.algorithm(),
        TIME,
    )
    .expect("prepare");
    let value = Signer::p256().sign(prepared.to_be_signed());
    assert!(matches!(
        prepared.finish(&value),
        Err(XadesError::SignatureValue(Some(_)))
    ));
}

#[test]
fn an_algorithm_for_another_kind_of_key_is_refused() {
    let signer = Signer::new(&rcgen::PKCS_RSA_SHA256);
    let refused = prepare(
        FORM.as_bytes(),
        &slot(),
        &signer.cert,
        SignatureAlgorithm::EcdsaSha256,
        TIME,
    );
    assert!(matches!(refused, Err(XadesError::Algorithm)));
}

#[test]
fn changes_are_found() {
    let signer = Signer::p256();
    let signed = signer.sign_form(FORM);
    let document = edit(&signed, "10 < 20", "10 < 21");
    assert!(matches!(
        check(&document),
        Err(XadesError::Digest(Signed::Document))
    ));
    let beside = edit(&signed, "<f:slot>", "<f:slot b='1'>");
    assert!(matches!(
        check(&beside),
        Err(XadesError::Digest(Signed::Document))
    ));
    let properties = edit(&signed, "2026-03-01T10:20:30Z", "2026-03-01T10:20:31Z");
    assert!(matches!(
        check(&properties),
        Err(XadesError::Digest(Signed::Properties))
    ));
    let info = edit(&signed, "#ecdsa-sha256", "#ecdsa-sha384");
    assert!(matches!(
        check(&info),
        Err(XadesError::SignatureValue(Some(_)))
    ));
    let value = between(&signed, "<ds:SignatureValue", "</ds:SignatureValue>");
    let shorter = edit(
        &signed,
        value,
        "<ds:SignatureValue>AAAA</ds:SignatureValue>",
    );
    assert!(matches!(
        check(&shorter),
        Err(XadesError::SignatureValue(None))
    ));
}

/// Every byte of a signed document, changed alone: seen, or without meaning.
#[test]
fn no_byte_changes_unseen() {
    let signed = Signer::p256().sign_form(FORM);
    let meaning = |xml: &str| {
        let doc = Document::parse(xml).expect("accepted, so well-formed");
        c14n::canonicalize(&doc, doc.root(), |_| true, &c14n::Options::EXCLUSIVE)
    };
    let original = meaning(&signed);
    let mut refused = 0;
    for at in 0..signed.len() {
        let mut bytes = signed.clone().into_bytes();
        bytes[at] ^= 1;
        if verify(&bytes, &slot()).is_err() {
            refused += 1;
            continue;
        }
        let changed = String::from_utf8(bytes).expect("accepted, so UTF-8");
        assert_eq!(meaning(&changed), original, "at {at}");
    }
    assert!(refused > signed.len() * 8 / 10, "{refused}");
}

#[test]
fn harmless_differences_are_not_changes() {
    let signed = Signer::p256().sign_form(FORM);
    let lines = signed.replace("\r\n", "\n");
    check(&lines).expect("line ends are not significant in XML");
    let comment = edit(&signed, "<!-- made by a test -->", "<!-- c -->");
    check(&comment).expect("comments are not signed");
}

#[test]
fn wrapped_documents_are_refused() {
    let signed = Signer::p256().sign_form(FORM);
    let signature = between(&signed, "<ds:Signature ", "</ds:Signature>").to_owned();
    let original = between(&signed, "<f:form", "</f:form>").to_owned();

    // The signed form moved below a forged one that has a slot of its own.
    let forged = format!(
        "<f:form xmlns:f='urn:test:form'><f:amount>1</f:amount><f:slot>{signature}</f:slot>\
         <f:x>{}</f:x></f:form>",
        original.replace(&signature, "")
    );
    assert!(matches!(
        check(&forged),
        Err(XadesError::Digest(Signed::Document))
    ));
    // The whole signed document inside another.
    let outer = format!("<x>{original}</x>");
    assert!(matches!(check(&outer), Err(XadesError::Slot { .. })));
    // The signature elsewhere in its own document: the enveloped transform
    // removes it wherever it stands, so the digests still agree.
    let elsewhere = edit(&signed, &signature, "");
    let elsewhere = edit(&elsewhere, "</f:form>", &format!("{signature}</f:form>"));
    assert!(matches!(check(&elsewhere), Err(XadesError::Slot { .. })));
    // The original as ds:Object of its own signature.
    let inner = original.replace(&signature, "");
    let carried = edit(
        &signed,
        "</ds:Signature>",
        &format!("<ds:Object>{inner}</ds:Object></ds:Signature>"),
    );
    assert_profile(check(&carried), "Signature must have 4 parts");
}

#[test]
fn a_second_signature_is_refused() {
    let signer = Signer::p256();
    let signed = signer.sign_form(FORM);
    let signature = between(&signed, "<ds:Signature ", "</ds:Signature>").to_owned();
    let twice = edit(&signed, &signature, &format!("{signature}{signature}"));
    assert_profile(check(&twice), "exactly one ds:Signature");
}

#[test]
fn duplicate_identifiers_are_refused() {
    let signer = Signer::p256();
    let id = |signed: &str| {
        between(signed, "props-", "\"")
            .trim_end_matches('"')
            .to_owned()
    };
    for name in ["Id", "ID", "id", "xml:id", "f:Id"] {
        let signed = signer.sign_form(FORM);
        let taken = id(&signed);
        let double = edit(
            &signed,
            "<f:amount>",
            &format!("<f:amount {name}='{taken}'>"),
        );
        assert_profile(check(&signer.resign(&double)), "more than once");
    }
}

#[test]
fn signed_deviations_from_the_profile_are_refused() {
    let signer = Signer::p256();
    let signed = signer.sign_form(FORM);
    check(&signer.resign(&signed)).expect("signing anew changes nothing");
    let enveloped = "<ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"></ds:Transform>";
    let exclusive = "<ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\">";
    let reference = between(&signed, "<ds:Reference Id", "</ds:Reference>");
    let method = between(&signed, "<ds:SignatureMethod", ">");
    for (from, to, word) in [
        (
            enveloped,
            format!("{enveloped}{enveloped}"),
            "other transforms",
        ),
        (enveloped, String::new(), "other transforms"),
        (
            enveloped,
            enveloped.replace("xmldsig#enveloped-signature", "xmldsig#base64"),
            "enveloped-signature",
        ),
        (
            &format!("{enveloped}{exclusive}"),
            format!("{enveloped}{exclusive}<x/>"),
            "without parameters",
        ),
        (
            reference,
            format!("{reference}{}", reference.replace("ref-", "rex-")),
            "SignedInfo must have 4 parts",
        ),
        ("URI=\"\"", "URI=\"#\"".to_owned(), "whole document"),
        ("URI=\"\"", String::new(), "lacks URI"),
        (
            "<ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#",
            "<ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#WithComments".to_owned(),
            "CanonicalizationMethod",
        ),
        (method, format!("{method}<ds:HMACOutputLength>1</ds:HMACOutputLength>"), "without parameters"),
        ("ObjectReference=\"#ref-", "ObjectReference=\"#rfe-".to_owned(), "DataObjectFormat"),
        ("Target=\"#sig-", "Target=\"#sgi-".to_owned(), "another signature"),
        ("2026-03-01T10:20:30Z", "2026-03-01T10:20:30".to_owned(), "SigningTime"),
        ("<ds:SignedInfo>", "<ds:SignedInfo><!-- x -->".to_owned(), "elements and text only"),
        ("<ds:KeyInfo>", "<ds:KeyInfo>x".to_owned(), "elements only"),
    ] {
        let edited = edit(&signed, from, &to);
        assert_profile(check(&signer.resign(&edited)), word);
    }
}

#[test]
fn another_digest_algorithm_is_refused() {
    let signer = Signer::p256();
    let signed = signer.sign_form(FORM);
    let weaker = signed.replacen(
        "http://www.w3.org/2001/04/xmlenc#sha256",
        "http://www.w3.org/2000/09/xmldsig#sha1",
        1,
    );
    assert_profile(check(&signer.resign(&weaker)), "DigestMethod");
}

#[test]
fn the_certificate_must_be_the_one_that_was_signed() {
    let signer = Signer::p256();
    let other = Signer::p256();
    let signed = signer.sign_form(FORM);

    // KeyInfo and key exchanged for others, the properties left.
    let exchanged = edit(
        &signed,
        &encode(signer.cert.der()),
        &encode(other.cert.der()),
    );
    assert!(matches!(
        check(&exchanged),
        Err(XadesError::SigningCertificate)
    ));
    assert!(matches!(
        check(&other.resign(&exchanged)),
        Err(XadesError::SigningCertificate)
    ));
    // Right digest, wrong issuer and serial.
    let serial = edit(
        &signed,
        &encode(&issuer_serial(&signer.cert)),
        &encode(&issuer_serial(&other.cert)),
    );
    assert!(matches!(
        check(&signer.resign(&serial)),
        Err(XadesError::SigningCertificate)
    ));
}

#[test]
fn unsigned_properties_of_no_level_are_refused() {
    let signed = Signer::p256().sign_form(FORM);
    let with = |content: &str| {
        edit(
            &signed,
            "</xades:SignedProperties>",
            &format!(
                "</xades:SignedProperties><xades:UnsignedProperties>{content}</xades:UnsignedProperties>"
            ),
        )
    };
    assert_profile(check(&with("")), "UnsignedProperties must have 1 parts");
    let empty = "<xades:UnsignedSignatureProperties/>";
    assert_profile(check(&with(empty)), "no level");
    let counter = "<xades:UnsignedSignatureProperties><xades:CounterSignature/></xades:UnsignedSignatureProperties>";
    assert_profile(check(&with(counter)), "SignatureTimeStamp was expected");
}

#[test]
fn revocation_values_without_a_value_are_no_level() {
    let signed = Signer::p256().sign_form(FORM);
    for empty in [
        "",
        "<xades:CRLValues/>",
        "<xades:OCSPValues/><xades:CRLValues/>",
    ] {
        let unsigned = format!(
            "</xades:SignedProperties><xades:UnsignedProperties>             <xades:UnsignedSignatureProperties><xades:SignatureTimeStamp/>             <xades:CertificateValues/><xades:RevocationValues>{empty}</xades:RevocationValues>             </xades:UnsignedSignatureProperties></xades:UnsignedProperties>"
        );
        let xml = edit(&signed, "</xades:SignedProperties>", &unsigned);
        assert_profile(check(&xml), "RevocationValues is empty");
    }
}

#[test]
fn levels_are_climbed_in_order() {
    let signed = Signer::p256().sign_form(FORM);
    let mut envelope = Envelope::open(signed.into_bytes(), &slot()).expect("open");
    assert!(matches!(
        envelope.extend_lt(&[], &[vec![0x30, 0]], &[]),
        Err(XadesError::Level {
            have: Level::B,
            wanted: Level::T
        })
    ));
}

/// A document of the profile with other prefixes verifies, but our text
/// cannot be put into it.
#[test]
fn a_signature_with_other_prefixes_is_not_extended() {
    let signer = Signer::p256();
    let signed = signer.sign_form(FORM);
    let other = signed
        .replace("<xades:", "<x:")
        .replace("</xades:", "</x:")
        .replace("xmlns:xades=", "xmlns:x=");
    let other = signer.resign(&other);
    check(&other).expect("verified");
    let opened = Envelope::open(other.into_bytes(), &slot());
    assert!(matches!(opened, Err(XadesError::Profile(what)) if what.contains("prefixes")));
}
