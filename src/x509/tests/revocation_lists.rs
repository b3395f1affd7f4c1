use super::*;

#[test]
fn a_foreign_list_checks() {
    let crl = Crl::from_der(fixture!("root.crl")).unwrap();
    crl.verify(&root()).unwrap();
    assert_eq!(crl.status(&leaf()), Ok(CertStatus::Good));
    let revoked = crl.status(&cert(fixture!("revoked.crt"))).unwrap();
    assert!(
        matches!(
            revoked,
            CertStatus::Revoked {
                reason: Some(1),
                ..
            }
        ),
        "{revoked:?}"
    );
    assert_eq!(
        crl.next_update().unwrap() - crl.this_update(),
        Duration::days(30)
    );
}

fn with_extensions(extensions: Vec<u8>) -> Result<Crl, CrlError> {
    let root = Builder::new("Root").ca(None).build(None);
    Crl::from_der(
        &List {
            extensions,
            ..List::empty(NOW)
        }
        .sign(&root),
    )
}

#[test]
fn lists_that_cannot_say_good_are_refused() {
    let delta = with_extensions(extension("2.5.29.27", true, &tlv::integer(&[1])));
    assert_eq!(delta.unwrap_err(), CrlError::Kind("delta"));
    let point = |tag: u8, value: &[u8]| {
        let point = sequence(&[&tlv::element(tag, &[value])]);
        with_extensions(extension("2.5.29.28", true, &point))
    };
    assert_eq!(point(0x84, &[255]).unwrap_err(), CrlError::Kind("indirect"));
    assert_eq!(point(0x83, &[1, 2]).unwrap_err(), CrlError::Kind("partial"));
    let attributes = CrlError::Kind("attribute certificate");
    assert_eq!(point(0x85, &[255]).unwrap_err(), attributes);
    assert!(point(0x84, &[0]).is_ok());
    let unknown = with_extensions(extension("1.2.3", true, b""));
    assert!(matches!(unknown, Err(CrlError::CriticalExtension(_))));
    assert!(with_extensions(extension("1.2.3", false, b"")).is_ok());
    // That there are delta lists besides (freshestCRL) changes nothing.
    assert!(with_extensions(extension("2.5.29.46", false, b"")).is_ok());
}

#[test]
fn a_list_speaks_only_for_its_own_kind_and_place() {
    let root = Builder::new("Root").ca(None).build(None);
    let leaf = Builder::new("Leaf")
        .crl_url("http://x/1.crl")
        .build(Some(&root))
        .cert;
    let ca = Builder::new("CA").ca(None).build(Some(&root)).cert;
    let status = |tag: u8, value: &[u8], cert: &Cert| {
        let point = sequence(&[&tlv::element(tag, &[value])]);
        let extensions = extension("2.5.29.28", true, &point);
        let list = List {
            extensions,
            ..List::empty(NOW)
        }
        .sign(&root);
        Crl::from_der(&list).unwrap().status(cert)
    };
    let (good, scope) = (Ok(CertStatus::Good), Err(CrlError::Scope));
    assert_eq!(status(0x81, &[255], &leaf), good);
    assert_eq!(status(0x81, &[255], &ca), scope);
    assert_eq!(status(0x82, &[255], &leaf), scope);
    assert_eq!(status(0x82, &[255], &ca), good);
    let place = |url: &[u8]| {
        let uri = tlv::element(tag::context_primitive(6), &[url]);
        tlv::element(tag::context(0), &[&uri])
    };
    assert_eq!(status(0xa0, &place(b"http://x/1.crl"), &leaf), good);
    assert_eq!(status(0xa0, &place(b"http://x/2.crl"), &leaf), scope);
}

#[test]
fn only_the_issuer_is_believed() {
    let root = Builder::new("Root").ca(None).build(None);
    let crl = Crl::from_der(&List::empty(NOW).sign(&root)).unwrap();
    crl.verify(&root.cert).unwrap();
    let forger = Builder::new("Root").ca(None).build(None);
    let forged = crl.verify(&forger.cert);
    assert_eq!(
        forged,
        Err(CrlError::Signature(X509Error::SignatureInvalid))
    );
    let stranger = Builder::new("Stranger").ca(None).build(None);
    assert_eq!(crl.verify(&stranger.cert), Err(CrlError::Issuer));
    let others = Builder::new("Leaf").build(Some(&stranger)).cert;
    assert_eq!(crl.status(&others), Err(CrlError::Issuer));
    let no_lists = Builder::new("Root").ca_with(None, 0b0000_0100).build(None);
    let crl = Crl::from_der(&List::empty(NOW).sign(&no_lists)).unwrap();
    assert_eq!(crl.verify(&no_lists.cert), Err(CrlError::Issuer));
}

#[test]
fn serial_numbers_compare_as_numbers() {
    let root = Builder::new("Root").ca(None).build(None);
    let leaf = Builder::new("Leaf")
        .serial(&[0, 0x12])
        .build(Some(&root))
        .cert;
    let crl = Crl::from_der(&List::revoking(NOW, &[0x12]).sign(&root)).unwrap();
    let status = crl.status(&leaf).unwrap();
    assert_eq!(
        status,
        CertStatus::Revoked {
            at: NOW,
            reason: Some(1)
        }
    );
    // An entry of an indirect list, in a list that does not say it is one.
    let entry = sequence(&[
        &tlv::element(tag::INTEGER, &[&[0x12]]),
        &generalized(NOW),
        &sequence(&[&extension("2.5.29.29", true, &sequence(&[]))]),
    ]);
    let list = List {
        revoked: vec![entry],
        ..List::empty(NOW)
    }
    .sign(&root);
    let verdict = Crl::from_der(&list).unwrap().status(&leaf);
    assert!(
        matches!(verdict, Err(CrlError::CriticalExtension(_))),
        "{verdict:?}"
    );
}
