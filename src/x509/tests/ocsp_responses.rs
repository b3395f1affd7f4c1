use super::*;

#[test]
fn the_request_is_the_one_openssl_makes() {
    assert_eq!(
        ocsp::request(&leaf(), &root(), CertIdDigest::Sha1, None),
        fixture!("leaf.ocsp-request")
    );
}

#[test]
fn foreign_responses_check() {
    let check = |der, cert: &Cert| OcspResponse::from_der(der).unwrap().check(cert, &root());
    let finding = check(fixture!("leaf.ocsp"), &leaf()).unwrap();
    assert_eq!(finding.status, CertStatus::Good);
    assert_eq!(finding.responder, cert(fixture!("responder.crt")));
    assert!(finding.next_update.unwrap() > finding.this_update);
    let finding = check(fixture!("leaf-by-issuer.ocsp"), &leaf()).unwrap();
    assert_eq!(finding.responder, root());
    let revoked = cert(fixture!("revoked.crt"));
    let finding = check(fixture!("revoked.ocsp"), &revoked).unwrap();
    let CertStatus::Revoked { reason, .. } = finding.status else {
        panic!("{finding:?}");
    };
    assert_eq!(reason, Some(1));
    // A response about two certificates: each gets its own status.
    let both = fixture!("both.ocsp");
    assert_eq!(check(both, &leaf()).unwrap().status, CertStatus::Good);
    assert_eq!(check(both, &revoked).unwrap().status, finding.status);
    let other = check(fixture!("leaf.ocsp"), &revoked).unwrap_err();
    assert_eq!(other, OcspError::OtherCertificate);
}

struct Pki {
    root: Party,
    leaf: Cert,
}

fn pki() -> Pki {
    let root = Builder::new("Root").ca(None).build(None);
    let leaf = Builder::new("Leaf").build(Some(&root)).cert;
    Pki { root, leaf }
}

impl Pki {
    fn check(&self, ocsp: &Ocsp, responder: &Party) -> Result<CertStatus, OcspError> {
        let der = ocsp.sign(&self.leaf, &self.root.cert, responder);
        let response = OcspResponse::from_der(&der)?;
        let finding = response.check(&self.leaf, &self.root.cert)?;
        Ok(finding.status)
    }
}

#[test]
fn only_entitled_responders_are_believed() {
    let pki = pki();
    let good = Ocsp::good(NOW);
    let responder = Builder::new("Responder").purposes(false, &[OCSP_SIGNING]);
    let delegated = responder.clone().build(Some(&pki.root));
    let by_name = Ocsp {
        by_key: false,
        ..good.clone()
    };
    for ocsp in [&good, &by_name] {
        assert_eq!(pki.check(ocsp, &delegated), Ok(CertStatus::Good));
        assert_eq!(pki.check(ocsp, &pki.root), Ok(CertStatus::Good));
    }
    let forger = Builder::new("Root").ca(None).build(None);
    let expired = responder
        .clone()
        .validity(NOW - Duration::days(9), NOW - Duration::days(1));
    for forged in [
        responder.clone().build(Some(&forger)),
        responder.clone().build(None),
        Builder::new("Responder").build(Some(&pki.root)),
        Builder::new("R")
            .purposes(false, &[CLIENT_AUTH])
            .build(Some(&pki.root)),
        responder.clone().usage(0x04).build(Some(&pki.root)),
        responder
            .extension("1.2.3", Some(true), b"")
            .build(Some(&pki.root)),
        expired.build(Some(&pki.root)),
    ] {
        let verdict = pki.check(&good, &forged);
        assert!(
            matches!(verdict, Err(OcspError::Responder(_))),
            "{verdict:?}"
        );
    }
    // Named like the issuer, signed by another key.
    let verdict = pki.check(&by_name, &forger);
    assert!(verdict.is_err(), "{verdict:?}");
}

#[test]
fn status_and_critical_extensions_are_honoured() {
    let pki = pki();
    let revoked = pki.check(&Ocsp::revoked(NOW), &pki.root);
    let at_now = CertStatus::Revoked {
        at: NOW,
        reason: Some(1),
    };
    assert_eq!(revoked, Ok(at_now));
    let unknown = Ocsp {
        status: CertStatus::Unknown,
        ..Ocsp::good(NOW)
    };
    assert_eq!(pki.check(&unknown, &pki.root), Ok(CertStatus::Unknown));
    for (critical, accepted) in [(false, true), (true, false)] {
        let extension = extension("1.2.3", critical, b"");
        let single = Ocsp {
            single_extensions: extension.clone(),
            ..Ocsp::good(NOW)
        };
        let whole = Ocsp {
            response_extensions: extension,
            ..Ocsp::good(NOW)
        };
        for ocsp in [single, whole] {
            assert_eq!(pki.check(&ocsp, &pki.root).is_ok(), accepted);
        }
    }
}

#[test]
fn changed_and_refusing_responses_are_refused() {
    let pki = pki();
    let mut der = Ocsp::revoked(NOW).sign(&pki.leaf, &pki.root.cert, &pki.root);
    let at = der.windows(4).position(|w| w == b"2026").unwrap();
    der[at + 3] = b'7';
    let response = OcspResponse::from_der(&der).unwrap();
    let verdict = response.check(&pki.leaf, &pki.root.cert).unwrap_err();
    assert_eq!(verdict, OcspError::Signature(X509Error::SignatureInvalid));
    let try_later = [0x30, 3, 0x0a, 1, 3];
    let verdict = OcspResponse::from_der(&try_later).unwrap_err();
    assert_eq!(verdict, OcspError::Refused("tryLater"));
    for end in 0..der.len() {
        assert!(OcspResponse::from_der(&der[..end]).is_err());
    }
}

#[test]
fn a_namesake_or_another_name_of_the_issuer_is_another_issuer() {
    let pki = pki();
    let namesake = Builder::new("Root").ca(None).build(None).cert;
    let key = KeyPair::from_pem(&pki.root.key.serialize_pem()).unwrap();
    let renamed = Builder::new("Renamed").ca(None).build_for(key, None).cert;
    for issuer in [namesake, renamed] {
        let der = Ocsp::good(NOW).sign(&pki.leaf, &issuer, &pki.root);
        let response = OcspResponse::from_der(&der).unwrap();
        let verdict = response.check(&pki.leaf, &pki.root.cert).unwrap_err();
        assert_eq!(verdict, OcspError::OtherCertificate);
    }
}

#[test]
fn every_certificate_of_the_responders_name_is_tried() {
    let pki = pki();
    let responder = |purpose| Builder::new("Responder").purposes(false, &[purpose]);
    let right = responder(OCSP_SIGNING).build(Some(&pki.root));
    let also = vec![
        responder(OCSP_SIGNING).build(Some(&pki.root)).cert,
        responder(CLIENT_AUTH).build(Some(&pki.root)).cert,
    ];
    let by_name = |also: Vec<Cert>| Ocsp {
        by_key: false,
        also,
        ..Ocsp::good(NOW)
    };
    let check = |ocsp: &Ocsp, signer: &Party| {
        let der = ocsp.sign(&pki.leaf, &pki.root.cert, signer);
        let response = OcspResponse::from_der(&der).unwrap();
        response.check(&pki.leaf, &pki.root.cert)
    };
    let found = check(&by_name(also.clone()), &right).unwrap();
    assert_eq!(found.responder, right.cert);
    // None of that name signed, or too many of them come before the one that did.
    let stranger = responder(OCSP_SIGNING).build(None);
    assert!(check(&by_name(also), &stranger).is_err());
    let many = (0..9).map(|_| responder(OCSP_SIGNING).build(Some(&pki.root)).cert);
    assert!(check(&by_name(many.collect()), &right).is_err());
    // The issuer's own name and key in another certificate of it.
    let key = KeyPair::from_pem(&pki.root.key.serialize_pem()).unwrap();
    let renewed = Builder::new("Root").serial(&[9]).ca(None);
    let renewed = renewed.build_for(key, None);
    let found = check(&by_name(Vec::new()), &renewed).unwrap();
    assert_eq!(found.responder, pki.root.cert);
}

#[test]
fn requests_and_responses_name_certificates_with_any_sha() {
    let pki = pki();
    for sha in [1, 256, 384, 512] {
        let ocsp = Ocsp {
            cert_id_sha: sha,
            ..Ocsp::good(NOW)
        };
        let der = ocsp.sign(&pki.leaf, &pki.root.cert, &pki.root);
        let response = OcspResponse::from_der(&der).unwrap();
        assert!(response.check(&pki.leaf, &pki.root.cert).is_ok(), "{sha}");
        let other = Builder::new("Other").serial(&[3]).build(Some(&pki.root));
        let found = response.check(&other.cert, &pki.root.cert).unwrap_err();
        assert_eq!(found, OcspError::OtherCertificate);
    }
    let request = |digest, nonce| ocsp::request(&pki.leaf, &pki.root.cert, digest, nonce);
    let sha1 = request(CertIdDigest::Sha1, None);
    let sha256 = request(CertIdDigest::Sha256, None);
    // Two digests of 32 instead of 20 bytes, a longer OID and no NULL.
    assert_eq!(sha256.len(), sha1.len() + 2 * 12 + 4 - 2);
    let nonce = [7; 32];
    let asked = request(CertIdDigest::Sha1, Some(&nonce));
    assert!(asked.windows(32).any(|w| w == nonce));
    let value = tlv::element(tag::OCTET_STRING, &[&nonce]);
    let repeated = Ocsp {
        response_extensions: extension("1.3.6.1.5.5.7.48.1.2", true, &value),
        ..Ocsp::good(NOW)
    };
    let der = repeated.sign(&pki.leaf, &pki.root.cert, &pki.root);
    let response = OcspResponse::from_der(&der).unwrap();
    assert_eq!(response.nonce(), Some(nonce.as_slice()));
    assert_eq!(response.produced_at(), NOW);
}
