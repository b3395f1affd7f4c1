//! PAdES signatures from file to file: fixtures of foreign producers, keys of
//! every kind, and what happens when somebody tampers.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, RsaKeyPair};
use lopdf::{IncrementalDocument, Object};
use sceau::pades::{self, Changes, Level, PadesError};
use sceau::pdf::{self, SignatureValue};
use sceau::x509::{Cert, RsaScheme, SignatureAlgorithm};
use time::OffsetDateTime;
use time::macros::datetime;

const SIGNING_TIME: OffsetDateTime = datetime!(2026-10-05 09:30:00 UTC);

const FIXTURES: [&str; 15] = [
    "memoire-gs-a1b.pdf",
    "memoire-gs-a2b.pdf",
    "memoire-gs-a2b-objstm.pdf",
    "memoire-gs-a2b-certified-p2.pdf",
    "memoire-gs-a2b-dss.pdf",
    "memoire-gs-a2b-field.pdf",
    "memoire-gs-a2b-field-lock.pdf",
    "memoire-gs-a2b-hybrid.pdf",
    "memoire-libreoffice-a1a.pdf",
    "memoire-libreoffice-a2b.pdf",
    "memoire-libreoffice-a2b-linearized.pdf",
    "memoire-typst-a2b-pages.pdf",
    "memoire-typst-a2b-200k.pdf",
    "memoire-typst-a3b.pdf",
    "memoire-typst-a3b-linearized-objstm.pdf",
];

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!(
        "{}/tests/fixtures/pdf/{name}",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap()
}

/// A self-made identity: certificate and PKCS#8 key.
struct Signer {
    cert: Cert,
    key: Vec<u8>,
    algorithm: SignatureAlgorithm,
}

impl Signer {
    fn new(kind: &'static rcgen::SignatureAlgorithm) -> Self {
        let key = if kind == &rcgen::PKCS_RSA_SHA256 {
            let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
            let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.as_der().unwrap();
            rcgen::KeyPair::try_from(der.as_ref()).unwrap()
        } else {
            rcgen::KeyPair::generate_for(kind).unwrap()
        };
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "Dr Testine Exemple");
        params.key_usages = vec![rcgen::KeyUsagePurpose::ContentCommitment];
        let cert = Cert::from_der(params.self_signed(&key).unwrap().der()).unwrap();
        let algorithm = SignatureAlgorithm::for_key(cert.key(), RsaScheme::Pkcs1V15).unwrap();
        Self {
            cert,
            key: key.serialize_der(),
            algorithm,
        }
    }

    fn p256() -> Self {
        Self::new(&rcgen::PKCS_ECDSA_P256_SHA256)
    }

    fn raw(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::default();
        let ecdsa = |kind| {
            let key = EcdsaKeyPair::from_pkcs8(kind, &self.key).unwrap();
            key.sign(&random, message).unwrap().as_ref().to_vec()
        };
        match self.algorithm {
            SignatureAlgorithm::EcdsaSha256 => ecdsa(&signature::ECDSA_P256_SHA256_ASN1_SIGNING),
            SignatureAlgorithm::EcdsaSha384 => ecdsa(&signature::ECDSA_P384_SHA384_ASN1_SIGNING),
            _ => {
                let key = RsaKeyPair::from_pkcs8(&self.key).unwrap();
                let mut out = vec![0; key.public_modulus_len()];
                key.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut out)
                    .unwrap();
                out
            }
        }
    }

    fn sign(&self, pdf: &[u8]) -> Vec<u8> {
        let prepared = pades::prepare(pdf, &self.cert, &[], self.algorithm, SIGNING_TIME).unwrap();
        let value = self.raw(prepared.to_be_signed());
        prepared.finish(&value).unwrap()
    }
}

fn values(pdf: &[u8]) -> Vec<SignatureValue> {
    let document = pdf::SignedPdf::open(pdf).unwrap();
    document
        .signatures()
        .into_iter()
        .map(Result::unwrap)
        .collect()
}

#[test]
fn every_producer_and_file_structure_is_signed() {
    let signer = Signer::p256();
    for name in FIXTURES {
        let pdf = fixture(name);
        let signed = signer.sign(&pdf);
        assert_eq!(signed.get(..pdf.len()), Some(pdf.as_slice()), "{name}");
        let found = pades::verify(&signed).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        assert_eq!(found.signer, signer.cert, "{name}");
        assert_eq!(found.signing_time, SIGNING_TIME, "{name}");
        assert_eq!(found.changes_after, Changes::None, "{name}");
        assert_eq!(found.level, Level::B, "{name}");
        let before = pdf::precheck(&pdf);
        assert_eq!(pdf::precheck(&signed), before, "{name}");
    }
}

#[test]
fn every_kind_of_key_signs() {
    let pdf = fixture("memoire-gs-a2b.pdf");
    for kind in [
        &rcgen::PKCS_RSA_SHA256,
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
    ] {
        let signer = Signer::new(kind);
        let found = pades::verify(&signer.sign(&pdf)).unwrap();
        assert_eq!(found.signer, signer.cert);
    }
}

#[test]
fn earlier_signatures_stay_valid() {
    for name in [
        "memoire-gs-a2b-signed.pdf",
        "memoire-gs-a2b-objstm-signed.pdf",
    ] {
        let foreign = fixture(name);
        let earlier = pades::verify(&foreign).unwrap();
        assert_eq!(
            earlier.signer.common_name().as_deref(),
            Some("Essai Signature Anterieure")
        );
        let (first, second) = (Signer::p256(), Signer::p256());
        let once = first.sign(&foreign);
        let twice = second.sign(&once);
        assert_eq!(pades::verify(&twice).unwrap().signer, second.cert);
        // What an earlier signature covers is what it covered before.
        let ends: Vec<_> = values(&twice).iter().map(SignatureValue::end).collect();
        assert_eq!(
            ends,
            [Some(foreign.len()), Some(once.len()), Some(twice.len())]
        );
        assert_eq!(twice.get(..foreign.len()), Some(foreign.as_slice()));
        assert_eq!(twice.get(..once.len()), Some(once.as_slice()));
    }
}

#[test]
fn no_signed_byte_can_change() {
    let signer = Signer::p256();
    let signed = signer.sign(&fixture("memoire-gs-a2b.pdf"));
    let value = values(&signed).remove(0);
    let gap = value.place.clone();
    let cms = value.contents.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    // The signature value ends the CMS; behind it there is only filling.
    let end = gap.start + 1 + 2 * cms;
    let inside = [end - 40, end - 20, end + 2, gap.end - 2];
    let before = (0..gap.start).step_by(97);
    let after = (gap.end..signed.len()).step_by(13);
    for at in before.chain(inside).chain(after) {
        let mut forged = signed.clone();
        let byte = forged.get_mut(at).unwrap();
        *byte = if *byte == b'0' { b'1' } else { b'0' };
        assert!(
            pades::verify(&forged).is_err(),
            "byte {at} of {}",
            signed.len()
        );
    }
}

#[test]
fn a_foreign_signature_value_is_refused() {
    let (signer, other) = (Signer::p256(), Signer::p256());
    let pdf = fixture("memoire-typst-a3b.pdf");
    let prepared = pades::prepare(&pdf, &signer.cert, &[], signer.algorithm, SIGNING_TIME).unwrap();
    let value = other.raw(prepared.to_be_signed());
    let forged = prepared.finish(&value).unwrap();
    assert!(matches!(
        pades::verify(&forged),
        Err(PadesError::VerifyCms(_))
    ));
}

#[test]
fn a_byte_range_that_leaves_out_more_is_refused() {
    let signed = Signer::p256().sign(&fixture("memoire-gs-a2b.pdf"));
    let value = values(&signed).remove(0);
    let [_, length, resume, rest] = value.byte_range;
    let old = format!("[0 {length} {resume} {rest}");
    let at = signed
        .windows(old.len())
        .position(|w| w == old.as_bytes())
        .unwrap();
    for numbers in [
        [0, length - 1, resume, rest],
        [0, length, resume + 1, rest - 1],
        [1, length - 1, resume, rest],
        [0, resume, length, rest],
        [0, length, resume, rest + 1],
    ] {
        let [a, b, c, d] = numbers;
        let new = format!("[{a} {b} {c} {d}");
        let mut forged = signed.clone();
        forged
            .get_mut(at..at + new.len())
            .unwrap()
            .copy_from_slice(new.as_bytes());
        let error = pades::verify(&forged).unwrap_err();
        assert!(
            matches!(error, PadesError::VerifyRange { .. }),
            "{new}: {error:?}"
        );
    }
}

#[test]
fn a_later_change_is_told() {
    let signed = Signer::p256().sign(&fixture("memoire-gs-a2b.pdf"));
    let mut update = IncrementalDocument::create_from(signed.clone(), pdf::load(&signed).unwrap());
    update
        .new_document
        .add_object(Object::string_literal("later"));
    let mut changed = Vec::new();
    update.save_to(&mut changed).unwrap();
    let changes = |pdf: &[u8]| pades::verify(pdf).unwrap().changes_after;
    assert_eq!(changes(&signed), Changes::None);
    assert!(matches!(changes(&changed), Changes::Allowed(_)));
}

#[test]
fn what_cannot_be_signed_says_why() {
    let signer = Signer::p256();
    let refusal = |name| {
        let pdf = fixture(name);
        let error = pades::prepare(&pdf, &signer.cert, &[], signer.algorithm, SIGNING_TIME);
        match error {
            Err(PadesError::Prepare(cause)) => cause.to_string(),
            other => panic!("{name}: {other:?}"),
        }
    };
    assert!(refusal("memoire-gs-a2b-certified-p1.pdf").contains("allows no change"));
    assert!(refusal("memoire-gs-a2b-locked.pdf").contains("locked every field"));
    assert!(refusal("memoire-gs-encrypted.pdf").contains("encrypted"));
    let plain = fixture("memoire-gs-a2b.pdf");
    assert!(matches!(
        pades::verify(&plain),
        Err(PadesError::VerifyUnsigned)
    ));
}

#[test]
fn a_chain_that_does_not_fit_is_refused() {
    let signer = Signer::p256();
    let pdf = fixture("memoire-gs-a2b.pdf");
    let sign = |certificates: usize| {
        let chain = (0..certificates).map(|_| Signer::p256().cert);
        let chain: Vec<Cert> = chain.collect();
        pades::prepare(&pdf, &signer.cert, &chain, signer.algorithm, SIGNING_TIME)
    };
    // The place grows with the chain, up to its limit.
    let prepared = sign(60).unwrap();
    let value = signer.raw(prepared.to_be_signed());
    assert!(prepared.finish(&value).is_ok());
    assert!(matches!(
        sign(200),
        Err(PadesError::Prepare(pdf::PdfError::AppendRoom { .. }))
    ));
}
