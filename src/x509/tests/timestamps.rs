use super::*;

const IMPRINT: [u8; 32] = [7; 32];
const NONCE: [u8; 16] = [0x81; 16];

fn tsa(purposes: &[&str], critical: bool) -> Party {
    Builder::new("TSA").purposes(critical, purposes).build(None)
}

fn stamp() -> Stamp {
    Stamp::new(IMPRINT, &NONCE, NOW)
}

fn verdict(stamp: &Stamp, tsa: &Party) -> Result<SignatureAlgorithm, TspError> {
    let token = TimestampToken::from_response(&stamp.response(tsa, &[]))?;
    token.verify(&IMPRINT, Some(&NONCE))
}

#[test]
fn foreign_timestamps_verify_with_either_ess_attribute() {
    let imprint = sha256(b"timestamped\n");
    for response in [fixture!("timestamp-v1.tsr"), fixture!("timestamp-v2.tsr")] {
        let token = TimestampToken::from_response(response).unwrap();
        token.verify(&imprint, None).unwrap();
        assert_eq!(token.policy(), "1.2.3.4.1");
        assert_eq!(token.signer(), &cert(fixture!("tsa.crt")));
        assert_eq!(token.certificates().len(), 2);
        let nonce = [9; 16];
        assert_eq!(token.verify(&imprint, Some(&nonce)), Err(TspError::Nonce));
        let again = TimestampToken::from_der(token.der()).unwrap();
        assert_eq!(again.gen_time(), token.gen_time());
        assert!(response.ends_with(token.der()));
    }
    let token = TimestampToken::from_response(fixture!("timestamp-v2.tsr")).unwrap();
    assert_eq!(token.accuracy().unwrap().as_millis(), 1500);
    assert!(token.serial().ends_with(&[3]), "{:?}", token.serial());
}

#[test]
fn a_good_token_is_accepted() {
    let tsa = tsa(&[TIME_STAMPING], true);
    verdict(&stamp(), &tsa).unwrap();
    let small = [[0; 15].as_slice(), &[1]].concat();
    let stamp = Stamp::new(IMPRINT, &small, NOW);
    let token = TimestampToken::from_der(&stamp.token(&tsa, &[])).unwrap();
    token
        .verify(&IMPRINT, Some(small.as_slice().try_into().unwrap()))
        .unwrap();
    assert_eq!(token.nonce(), Some(&[1][..]));
}

#[test]
fn wrong_imprint_and_nonce_are_refused() {
    let tsa = tsa(&[TIME_STAMPING], true);
    let wrong = Stamp {
        imprint: [8; 32],
        ..stamp()
    };
    assert_eq!(verdict(&wrong, &tsa), Err(TspError::Imprint));
    // The same bytes as the digest of another algorithm (SHA3-256).
    let wrong = Stamp {
        imprint_algorithm: "2.16.840.1.101.3.4.2.8",
        ..stamp()
    };
    assert_eq!(verdict(&wrong, &tsa), Err(TspError::Imprint));
    let wrong = Stamp {
        content_type: "1.2.840.113549.1.7.1",
        ..stamp()
    };
    let refused = verdict(&wrong, &tsa);
    assert!(matches!(refused, Err(TspError::Malformed { .. })));
    let wrong = Stamp {
        nonce: vec![1; 16],
        ..stamp()
    };
    assert_eq!(verdict(&wrong, &tsa), Err(TspError::Nonce));
}

#[test]
fn extensions_are_accepted_unless_critical() {
    let tsa = tsa(&[TIME_STAMPING], true);
    let verdict_with = |tail: &[u8]| {
        let stamp = Stamp {
            tail: tail.to_vec(),
            ..stamp()
        };
        verdict(&stamp, &tsa)
    };
    let name = tlv::element(tag::context(4), &[tsa.cert.subject_der()]);
    let name = tlv::element(tag::context(0), &[&name]);
    let extension = |critical| {
        // esi4-qtstStatement-1 (EN 319 422 §9.1), as qualified authorities state it.
        let extension = extension("1.3.6.1.5.5.7.1.3", critical, b"\x30\x00");
        tlv::element(tag::context(1), &[&extension])
    };
    verdict_with(&[name.clone(), extension(false)].concat()).unwrap();
    verdict_with(&name).unwrap();
    for tail in [extension(true), b"\x05\x00".to_vec()] {
        let refused = verdict_with(&tail);
        assert!(
            matches!(refused, Err(TspError::Malformed { .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn only_a_timestamping_certificate_will_do() {
    for tsa in [
        tsa(&[TIME_STAMPING], false),
        tsa(&[TIME_STAMPING, CLIENT_AUTH], true),
        tsa(&[CLIENT_AUTH], true),
        Builder::new("TSA").build(None),
        Builder::new("TSA")
            .purposes(true, &[TIME_STAMPING])
            .usage(0x04)
            .build(None),
    ] {
        let verdict = verdict(&stamp(), &tsa);
        assert!(matches!(verdict, Err(TspError::Purpose(_))), "{verdict:?}");
    }
}

#[test]
fn the_authority_must_have_been_valid_then() {
    let builder = Builder::new("TSA").purposes(true, &[TIME_STAMPING]);
    let builder = builder.validity(NOW - Duration::days(2), NOW);
    let tsa = builder.build(None);
    verdict(&stamp(), &tsa).unwrap();
    for gen_time in [NOW + Duration::seconds(1), NOW - Duration::days(3)] {
        let stamp = Stamp {
            gen_time,
            ..stamp()
        };
        assert_eq!(verdict(&stamp, &tsa), Err(TspError::SignerNotValid));
    }
}

#[test]
fn changed_and_unbound_tokens_are_refused() {
    let tsa = tsa(&[TIME_STAMPING], true);
    let stamp = stamp();
    let mut token = stamp.token(&tsa, &[]);
    let at = token.windows(4).position(|w| w == b"2026").unwrap();
    token[at + 3] = b'5';
    let changed = TimestampToken::from_der(&token).unwrap();
    assert_eq!(
        changed.verify(&IMPRINT, Some(&NONCE)),
        Err(TspError::Signature(X509Error::MessageDigest))
    );
    let other = Builder::new("Other").build(None);
    let unbound = Stamp {
        bound_to: Some(other.cert),
        ..stamp
    };
    assert_eq!(
        verdict(&unbound, &tsa),
        Err(TspError::Signature(X509Error::CertificateBinding))
    );
}

#[test]
fn a_refusal_is_told_with_its_reasons() {
    let Err(TspError::Refused {
        status,
        failures,
        text,
    }) = TimestampToken::from_response(&refusal())
    else {
        panic!("not refused");
    };
    assert_eq!(
        (status, failures, text.as_str()),
        (2, vec!["unacceptedPolicy"], "policy?")
    );
    // A token behind a refusal does not count.
    let tsa = tsa(&[TIME_STAMPING], true);
    let status = sequence(&[&tlv::integer(&[2])]);
    let both = sequence(&[&status, &stamp().token(&tsa, &[])]);
    let refused = TimestampToken::from_response(&both);
    assert!(matches!(refused, Err(TspError::Refused { .. })));
    let neither = sequence(&[&sequence(&[&tlv::integer(&[0])])]);
    assert!(TimestampToken::from_response(&neither).is_err());
}

#[test]
fn indefinite_lengths_are_read_and_kept_byte_for_byte() {
    let tsa = tsa(&[TIME_STAMPING], true);
    let response = indefinite(&stamp().response(&tsa, &[]), 5);
    assert_eq!(response[1], 0x80);
    let token = TimestampToken::from_response(&response).unwrap();
    token.verify(&IMPRINT, Some(&NONCE)).unwrap();
    assert_eq!(token.certificates()[0], tsa.cert);
    // Behind the status, before the end of the outermost contents.
    let status = 2 + indefinite(&sequence(&[&tlv::integer(&[0])]), 1).len();
    assert_eq!(token.der(), &response[status..response.len() - 2]);
    let again = TimestampToken::from_der(token.der()).unwrap();
    again.verify(&IMPRINT, Some(&NONCE)).unwrap();
    for cut in 1..response.len() {
        assert!(TimestampToken::from_response(&response[..cut]).is_err());
    }
}

/// The outer `depth` levels with indefinite lengths.
fn indefinite(der: &[u8], depth: usize) -> Vec<u8> {
    let tlv = tlv::Tlv::only(der).unwrap();
    if depth == 0 || tlv.tag & 0x20 == 0 {
        return der.to_vec();
    }
    let mut out = vec![tlv.tag, 0x80];
    for child in tlv.reader() {
        out.extend(indefinite(child.unwrap().raw, depth - 1));
    }
    out.extend([0, 0]);
    out
}
