use super::*;
use crate::base::digest::sha256;
use crate::base::limits::PDF_TOKEN_BYTES;
use crate::x509::testing::{Builder, List, Ocsp, Party, Stamp};
use crate::x509::{Cert, SignatureAlgorithm};
use rcgen::SigningKey;
use time::OffsetDateTime;
use time::macros::datetime;

const AT: OffsetDateTime = datetime!(2026-03-01 10:20:30 UTC);

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/pdf/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// One authority for everything.
struct Pki {
    root: Party,
    signer: Party,
    tsa: Party,
    ocsp: [Vec<u8>; 2],
    crl: [Vec<u8>; 1],
}

impl Pki {
    fn new() -> Self {
        let root = Builder::new("Essai Racine").ca(None).build(None);
        let signer = Builder::new("Dr Testine Exemple")
            .serial(&[2])
            .usage(0x40)
            .build(Some(&root));
        let tsa = Builder::new("Essai Horodatage")
            .serial(&[3])
            .usage(0x80)
            .purposes(true, &["1.3.6.1.5.5.7.3.8"])
            .build(Some(&root));
        let ocsp = |party: &Party| Ocsp::good(AT).sign(&party.cert, &root.cert, &root);
        Self {
            ocsp: [ocsp(&signer), ocsp(&tsa)],
            crl: [List::empty(AT).sign(&root)],
            root,
            signer,
            tsa,
        }
    }

    fn sign(&self, pdf: &[u8]) -> Vec<u8> {
        let chain = [self.root.cert.clone()];
        let algorithm = SignatureAlgorithm::EcdsaSha256;
        let prepared = prepare(pdf, &self.signer.cert, &chain, algorithm, AT).unwrap();
        let value = self.signer.key.sign(prepared.to_be_signed()).unwrap();
        prepared.finish(&value).unwrap()
    }

    fn token(&self, input: &[u8], chain: &[Cert]) -> Vec<u8> {
        Stamp::new(sha256(input), &[1; 8], AT).token(&self.tsa, chain)
    }

    fn stamp(&self, pdf: &[u8]) -> Vec<u8> {
        let token = self.token(
            &timestamp_input(pdf).unwrap(),
            std::slice::from_ref(&self.root.cert),
        );
        extend_t(pdf, &token).unwrap()
    }

    fn seal(&self, pdf: &[u8]) -> Vec<u8> {
        let certs = [&self.root, &self.signer, &self.tsa].map(|party| party.cert.clone());
        extend_lt(pdf, &certs, &self.ocsp, &self.crl).unwrap()
    }
}

const PRODUCERS: [&str; 6] = [
    "memoire-gs-a1b.pdf",
    "memoire-gs-a2b-objstm.pdf",
    "memoire-gs-a2b-signed.pdf",
    "memoire-libreoffice-a1a.pdf",
    "memoire-libreoffice-a2b-linearized.pdf",
    "memoire-typst-a3b-linearized-objstm.pdf",
];

#[test]
fn levels_are_reached_one_after_the_other() {
    let pki = Pki::new();
    for name in PRODUCERS {
        let pdf = fixture(name);
        let claim = crate::pdf::precheck(&pdf);
        let signed = pki.sign(&pdf);
        let stamped = pki.stamp(&signed);
        let sealed = pki.seal(&stamped);
        for (bytes, level) in [
            (&signed, Level::B),
            (&stamped, Level::T),
            (&sealed, Level::LT),
        ] {
            let found = verify(bytes).unwrap_or_else(|e| panic!("{name}: {e:?}"));
            assert_eq!(found.level, level, "{name}");
            assert_eq!(found.signer, pki.signer.cert);
            assert_eq!(bytes.get(..pdf.len()), Some(pdf.as_slice()), "{name}");
            assert_eq!(crate::pdf::precheck(bytes), claim, "{name}");
            let token = found.token.map(|token| token.gen_time());
            assert_eq!(token, (level > Level::B).then_some(AT), "{name}");
        }
        assert_eq!(verify(&stamped).unwrap().changes_after, Changes::None);
        let found = verify(&sealed).unwrap();
        assert_eq!(found.changes_after, Changes::ValidationData, "{name}");
        let dss = (
            found.dss.certificates.len(),
            found.dss.ocsp.len(),
            found.dss.crls.len(),
        );
        assert_eq!(dss, (3, 2, 1), "{name}");
        // The timestamp stands where there was filling, and nowhere else.
        let place = &crate::pdf::SignedPdf::open(&signed).unwrap().signatures();
        let place = place.last().unwrap().as_ref().unwrap().place.clone();
        let differ = |at: &usize| signed.get(*at) != stamped.get(*at);
        assert!(
            (0..signed.len())
                .filter(differ)
                .all(|at| place.contains(&at))
        );
        assert_eq!(signed.len(), stamped.len());
    }
}

#[test]
fn a_store_that_is_there_is_merged_and_nothing_is_said_twice() {
    let (first, second) = (Pki::new(), Pki::new());
    let once = first.seal(&first.stamp(&first.sign(&fixture("memoire-gs-a2b.pdf"))));
    assert!(first.seal(&once) == once, "the same data again");
    let twice = second.seal(&second.stamp(&second.sign(&once)));
    let found = verify(&twice).unwrap();
    assert_eq!(found.level, Level::LT);
    let dss = (
        found.dss.certificates.len(),
        found.dss.ocsp.len(),
        found.dss.crls.len(),
    );
    assert_eq!(dss, (6, 4, 2));
    let all = verify_all(&twice).unwrap();
    let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].signer, first.signer.cert);
    assert_eq!(all[0].level, Level::LT);
    let later = vec!["signature field Signature2 was signed".to_owned()];
    assert_eq!(all[0].changes_after, Changes::Allowed(later));
    assert_eq!(all[1].changes_after, Changes::ValidationData);
}

/// The store of an earlier signature says nothing of a later signer.
#[test]
fn foreign_validation_data_make_no_level() {
    let (first, second) = (Pki::new(), Pki::new());
    let once = first.seal(&first.stamp(&first.sign(&fixture("memoire-gs-a2b.pdf"))));
    assert_eq!(
        verify(&second.stamp(&second.sign(&once))).unwrap().level,
        Level::T
    );
}

/// A store full of lists by others of the same name does not cost a
/// verification each; the own, which come last, are found all the same.
#[test]
fn a_full_store_costs_a_bounded_number_of_verifications() {
    let (own, other) = (Pki::new(), Pki::new());
    let crl = |pki: &Pki| crate::x509::crl::Crl::from_der(&pki.crl[0]).unwrap();
    let roots = [own.root.cert.clone()];
    let mut store = Dss {
        certificates: vec![other.root.cert.clone(); 1000],
        crls: vec![crl(&other); 1000],
        ..Dss::default()
    };
    assert!(!store.tells_of(&own.signer.cert, &roots));
    store.crls.push(crl(&own));
    assert!(store.tells_of(&own.signer.cert, &roots));
    assert!(
        !store.tells_of(&own.signer.cert, &[]),
        "no issuer, no level"
    );
    store.crls.rotate_right(1);
    assert!(!store.tells_of(&own.signer.cert, &roots), "past the limit");
    store
        .ocsp
        .push(crate::x509::ocsp::OcspResponse::from_der(&own.ocsp[0]).unwrap());
    assert!(store.tells_of(&own.signer.cert, &roots));
    assert!(!store.tells_of(&own.tsa.cert, &[]));
}

#[test]
fn steps_out_of_order_are_refused() {
    let pki = Pki::new();
    let plain = fixture("memoire-gs-a2b.pdf");
    let signed = pki.sign(&plain);
    let stamped = pki.stamp(&signed);
    let sealed = pki.seal(&stamped);
    let token = pki.token(&timestamp_input(&signed).unwrap(), &[]);
    assert!(matches!(
        timestamp_input(&plain),
        Err(PadesError::VerifyUnsigned)
    ));
    assert!(matches!(
        extend_lt(&signed, &[], &[], &pki.crl),
        Err(PadesError::ExtendLevel { have: Level::B, .. })
    ));
    assert!(matches!(
        extend_lt(&stamped, &[], &[], &[]),
        Err(PadesError::ExtendNothing)
    ));
    for later in [&stamped, &sealed] {
        assert!(matches!(
            extend_t(later, &token),
            Err(PadesError::ExtendLevel { have: Level::T, .. })
        ));
    }
}

#[test]
fn a_token_over_something_else_is_refused() {
    let pki = Pki::new();
    let signed = pki.sign(&fixture("memoire-gs-a2b.pdf"));
    let token = pki.token(b"another signature", &[]);
    assert!(matches!(
        extend_t(&signed, &token),
        Err(PadesError::VerifyTimestamp(_))
    ));
    // Another signer's timestamp, put in by force.
    let other = Pki::new().sign(&fixture("memoire-gs-a2b.pdf"));
    let token = pki.token(&timestamp_input(&other).unwrap(), &[]);
    let document = crate::pdf::SignedPdf::open(&signed).unwrap().signatures();
    let value = document.last().unwrap().as_ref().unwrap();
    let cms = verify::cms_of(&value.contents).unwrap();
    let cms = crate::x509::cms::with_signature_timestamp(cms, &token).unwrap();
    let mut forged = signed.clone();
    crate::pdf::fill(&mut forged, &value.place, &cms).unwrap();
    assert!(matches!(
        verify(&forged),
        Err(PadesError::VerifyTimestamp(_))
    ));
}

#[test]
fn a_token_that_does_not_fit_is_refused() {
    let pki = Pki::new();
    let signed = pki.sign(&fixture("memoire-gs-a2b.pdf"));
    let input = timestamp_input(&signed).unwrap();
    let chain = |bytes: usize| vec![pki.root.cert.clone(); bytes / pki.root.cert.der().len()];
    let fits = pki.token(&input, &chain(PDF_TOKEN_BYTES - 1500));
    assert!(fits.len() > PDF_TOKEN_BYTES - 1500);
    assert_eq!(
        verify(&extend_t(&signed, &fits).unwrap()).unwrap().level,
        Level::T
    );
    let large = pki.token(&input, &chain(PDF_TOKEN_BYTES + 4000));
    assert!(matches!(
        extend_t(&signed, &large),
        Err(PadesError::Extend(PdfError::FillTooLarge { .. }))
    ));
}
