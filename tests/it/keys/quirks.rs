//! Certificates that break DER or RFC 5280 as real ones do: they are embedded
//! byte for byte, because a certificate written anew is another one.

use crate::softhsm::{PIN, SoftHsm};
use crate::token::{sign, unlock};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{KeyPair, PublicKeyData, SigningKey};
use sceau::token::Token;
use sceau::token::pkcs11::Pkcs11Token;
use sceau::x509::{Cert, SignatureAlgorithm, cms};
use sceau::xades::{self, Slot};
use sceau::{base::hex, pades};
use time::OffsetDateTime;
use time::macros::datetime;

const NOW: OffsetDateTime = datetime!(2026-06-01 12:00 UTC);
const ALGORITHM: SignatureAlgorithm = SignatureAlgorithm::EcdsaSha256;
/// ecdsa-with-SHA256 (RFC 5758 §3.2).
const ECDSA_SHA256: [u8; 12] = [0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const UTF8: u8 = 0x0c;
const T61: u8 = 0x14;
const BMP: u8 = 0x1e;

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = match content.len() {
        short @ 0..=127 => vec![short as u8],
        long => vec![0x82, (long >> 8) as u8, long as u8],
    };
    [&[tag], &length[..], &content].concat()
}

/// A name of one common name, in the string type given.
fn name(tag: u8, text: &[u8]) -> Vec<u8> {
    let pair = der(0x30, &[&[6, 3, 0x55, 4, 3], &der(tag, &[text])]);
    der(0x30, &[&der(0x31, &[&pair])])
}

struct Quirk {
    what: &'static str,
    serial: Vec<u8>,
    name: Vec<u8>,
    /// Between identifier and value of `keyUsage`.
    critical: &'static [u8],
    /// OpenSSL reads it too, so a token can be given it.
    for_token: bool,
}

fn quirks() -> Vec<Quirk> {
    let plain = |what| Quirk {
        what,
        serial: vec![0x2a],
        name: name(UTF8, "Dr Testine Exemple".as_bytes()),
        critical: &[1, 1, 0xff],
        for_token: true,
    };
    let wide: Vec<u8> = "Dr Testine Exémple"
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    vec![
        Quirk {
            critical: &[1, 1, 0],
            ..plain("explicit critical FALSE")
        },
        Quirk {
            serial: [&[0x5a], &[0xc3; 24][..]].concat(),
            ..plain("a serial number of 25 octets")
        },
        Quirk {
            serial: vec![0, 0, 0x2a],
            for_token: false,
            ..plain("a serial number with needless zeros")
        },
        Quirk {
            serial: vec![0xd6, 0x2a],
            ..plain("a negative serial number")
        },
        Quirk {
            name: name(T61, b"Dr Testine Ex\xe9mple"),
            ..plain("a T61String")
        },
        Quirk {
            name: name(BMP, &wide),
            ..plain("a BMPString")
        },
    ]
}

impl Quirk {
    fn certificate(&self, key: &KeyPair) -> Vec<u8> {
        // nonRepudiation
        let usage = der(4, &[&[3, 2, 6, 0x40]]);
        let usage = der(0x30, &[&[6, 3, 0x55, 0x1d, 15], self.critical, &usage]);
        let extensions = der(0xa3, &[&der(0x30, &[&usage])]);
        let time = |text: &str| der(0x17, &[text.as_bytes()]);
        let tbs = der(
            0x30,
            &[
                &[0xa0, 3, 2, 1, 2],
                &der(2, &[&self.serial]),
                &ECDSA_SHA256,
                &self.name,
                &der(0x30, &[&time("260101000000Z"), &time("491231235959Z")]),
                &self.name,
                &key.subject_public_key_info(),
                &extensions,
            ],
        );
        let signature = key.sign(&tbs).unwrap();
        let signature = der(3, &[&[0], &signature]);
        der(0x30, &[&tbs, &ECDSA_SHA256, &signature])
    }
}

fn holds(whole: &[u8], part: &[u8]) -> bool {
    whole.windows(part.len()).any(|window| window == part)
}

/// The base64 texts of the elements of this name.
fn texts(xml: &str, element: &str) -> Vec<Vec<u8>> {
    let open = format!("<{element}>");
    let texts = xml.split(&open).skip(1).filter_map(|t| t.split('<').next());
    texts.map(|text| STANDARD.decode(text).unwrap()).collect()
}

#[test]
fn odd_certificates_are_embedded_byte_for_byte() {
    let pdf = crate::daemon::pdf("memoire-gs-a2b.pdf");
    for quirk in quirks() {
        let what = quirk.what;
        let key = KeyPair::generate().unwrap();
        let bytes = quirk.certificate(&key);
        let cert = Cert::from_der(&bytes).expect(what);
        assert_eq!(cert.der(), bytes, "{what}");
        let serial = der(2, &[&quirk.serial]);

        // XAdES: the certificate, and issuer and serial in SigningCertificateV2.
        let slot = Slot::EndOfRoot;
        let made = xades::prepare(b"<letter>a</letter>", &slot, &cert, ALGORITHM, NOW);
        let made = made.expect(what);
        let signature = key.sign(made.to_be_signed()).unwrap();
        let xml = String::from_utf8(made.finish(&signature).unwrap().into_xml()).unwrap();
        assert_eq!(
            texts(&xml, "ds:X509Certificate"),
            std::slice::from_ref(&bytes),
            "{what}"
        );
        let binding = &texts(&xml, "xades:IssuerSerialV2")[0];
        assert!(holds(binding, &quirk.name), "{what}");
        assert!(binding.ends_with(&serial), "{what}");
        let verified = xades::verify(xml.as_bytes(), &slot).expect(what);
        assert_eq!(verified.signer.der(), bytes, "{what}");

        // CMS: the certificate, and the signer's identifier.
        let attributes = cms::signed_attributes(&ALGORITHM.content_digest(&[b"m"]), &cert);
        let signature = key.sign(&attributes).unwrap();
        let signed = cms::assemble(&cert, &[], &attributes, ALGORITHM, &signature);
        assert!(holds(&signed, &bytes), "{what}");
        let identifier = der(0x30, &[&quirk.name, &serial]);
        assert!(holds(&signed, &identifier), "{what}");
        let read = cms::SignedData::from_der(&signed).expect(what);
        let verified = read.verify_detached_content(&[b"m"]).expect(what);
        assert_eq!(verified.signer.der(), bytes, "{what}");

        // PAdES: the same CMS in hexadecimal.
        let made = pades::prepare(&pdf, &cert, &[], ALGORITHM, NOW).expect(what);
        let signature = key.sign(made.to_be_signed()).unwrap();
        let signed = made.finish(&signature).unwrap().to_ascii_lowercase();
        assert!(holds(&signed, hex::encode(&bytes).as_bytes()), "{what}");
    }
}

#[test]
fn odd_certificates_come_off_the_token_as_they_are() {
    let Some(hsm) = SoftHsm::empty() else { return };
    let mut put = Vec::new();
    for (number, quirk) in quirks().iter().filter(|q| q.for_token).enumerate() {
        let key = KeyPair::generate().unwrap();
        let bytes = quirk.certificate(&key);
        hsm.import(&format!("{:02x}", number + 1), &key.serialize_pem(), &bytes);
        put.push((quirk.what, bytes));
    }
    let token = Pkcs11Token::start(hsm.settings()).unwrap();
    unlock(&token, PIN).unwrap();
    assert_eq!(token.identities().unwrap().len(), put.len());
    for (what, bytes) in put {
        let found = token.identities().unwrap();
        let mut found = found.iter().map(|identity| &identity.certificate);
        let found = found.find(|certificate| certificate.der() == bytes);
        sign(&token, found.expect(what)).expect(what);
    }
}
