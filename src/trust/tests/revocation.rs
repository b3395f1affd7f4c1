use super::*;

/// A world with one signer, whose issuer answers OCSP itself.
struct Case {
    world: World,
    leaf: Cert,
    trust: Trust,
}

fn case() -> Case {
    let world = world();
    let leaf = world.leaf().build(Some(&world.ca)).cert;
    let trust = world.trust();
    Case { world, leaf, trust }
}

type Found = (Result<Vec<Evidence>, TrustError>, Vec<(&'static str, bool)>);

impl Case {
    fn ocsp(&self, ocsp: &Ocsp, responder: &Party) {
        let der = ocsp.sign(&self.leaf, &self.world.ca.cert, responder);
        self.world.server.serve("/ocsp", der);
    }

    fn list(&self, list: &List) {
        let der = list.sign(&self.world.ca);
        self.world.server.serve("/ca.crl", der);
    }

    /// The outcome, and the calls with whether they were from memory.
    fn ask(&self, not_before: OffsetDateTime) -> Found {
        let mut calls = Vec::new();
        let chain = self.world.chain_of(&self.leaf);
        let found = self.trust.revocation(&chain, not_before, &mut calls);
        let calls = calls.iter().map(|c| (c.purpose, c.from_cache)).collect();
        (found, calls)
    }

    fn failure(&self, not_before: OffsetDateTime) -> TrustError {
        self.ask(not_before).0.unwrap_err()
    }
}

#[test]
fn ocsp_comes_first_and_lists_fill_in() {
    let case = case();
    case.ocsp(&Ocsp::good(NOW), &case.world.ca);
    let (found, calls) = case.ask(NOW);
    let found = found.unwrap();
    assert!(matches!(
        found.as_slice(),
        [Evidence::Ocsp(_), Evidence::Crl(_)]
    ));
    assert_eq!(calls, [("ocsp", false), ("crl", false)]);
}

#[test]
fn revoked_means_revoked_wherever_it_is_said() {
    let case = case();
    case.list(&List::empty(NOW));
    case.ocsp(&Ocsp::revoked(NOW), &case.world.ca);
    let (found, calls) = case.ask(NOW);
    let failure = found.unwrap_err();
    let TrustError::Revoked { subject, at } = &failure else {
        panic!("{failure:?}");
    };
    assert_eq!((subject.as_str(), *at), ("CN=Leaf", NOW));
    assert!(!failure.is_transient());
    assert_eq!(calls, [("ocsp", false)]);

    // Even an old word of revocation counts.
    case.ocsp(&Ocsp::revoked(later(-9)), &case.world.ca);
    assert!(matches!(case.failure(NOW), TrustError::Revoked { .. }));

    case.world.server.route("/ocsp", |_| (503, Vec::new()));
    case.list(&List::revoking(NOW, case.leaf.serial()));
    assert!(matches!(case.failure(NOW), TrustError::Revoked { .. }));

    // The issuing authority itself.
    case.list(&List::empty(NOW));
    let root_list = List::revoking(NOW, CA_SERIAL).sign(&case.world.root);
    case.world.server.serve("/root.crl", root_list);
    let failure = case.failure(NOW);
    assert!(matches!(failure, TrustError::Revoked { subject, .. } if subject == "CN=CA"));
}

#[test]
fn the_list_is_asked_when_ocsp_does_not_help() {
    let case = case();
    let forger = Builder::new("CA").serial(&[1]).ca(None).build(None);
    let unknown = Ocsp {
        status: crate::x509::CertStatus::Unknown,
        ..Ocsp::good(NOW)
    };
    let about_other = Ocsp::good(NOW).sign(&forger.cert, &case.world.ca.cert, &case.world.ca);
    let of_leaf = |ocsp: &Ocsp, by: &Party| ocsp.sign(&case.leaf, &case.world.ca.cert, by);
    let bad = [
        of_leaf(&unknown, &case.world.ca),
        of_leaf(&Ocsp::good(NOW), &forger),
        of_leaf(&Ocsp::good(later(-9)), &case.world.ca),
        about_other,
        b"<html>".to_vec(),
    ];
    for answer in bad {
        case.world.server.serve("/ocsp", answer);
        case.world.server.route("/ca.crl", |_| (503, Vec::new()));
        let failure = case.failure(NOW);
        assert_eq!((failure.class(), failure.is_transient()), ("ocsp", true));
    }
    case.list(&List::empty(NOW));
    let (found, calls) = case.ask(NOW);
    assert!(matches!(found.unwrap()[0], Evidence::Crl(_)));
    assert_eq!(calls[..2], [("ocsp", false), ("crl", false)]);
    // A list by somebody else is no evidence.
    let forged = List::empty(NOW).sign(&forger);
    case.world.server.serve("/ca.crl", forged);
    assert!(matches!(
        fresh(&case).failure(NOW),
        TrustError::NoEvidence { .. }
    ));
}

/// The same with nothing remembered.
fn fresh(case: &Case) -> Case {
    let world = World {
        server: case.world.server.clone(),
        clock: Arc::default(),
        root: copy(&case.world.root),
        ca: copy(&case.world.ca),
    };
    Case {
        trust: world.trust(),
        world,
        leaf: case.leaf.clone(),
    }
}

fn copy(party: &Party) -> Party {
    let key = rcgen::KeyPair::from_pem(&party.key.serialize_pem()).unwrap();
    Party {
        cert: party.cert.clone(),
        key,
    }
}

#[test]
fn evidence_older_than_the_timestamp_is_not_enough() {
    let case = case();
    case.ocsp(&Ocsp::good(later(-1)), &case.world.ca);
    let failure = case.failure(NOW);
    let TrustError::NotYetFresh {
        this_update,
        wanted,
        ..
    } = &failure
    else {
        panic!("{failure:?}");
    };
    assert_eq!((*this_update, *wanted), (later(-1), NOW));
    assert_eq!((failure.class(), failure.is_transient()), ("ocsp", true));
    // Evidence states whole seconds.
    case.ocsp(&Ocsp::good(NOW), &case.world.ca);
    assert!(case.ask(NOW + time::Duration::milliseconds(900)).0.is_ok());
    // The administrator may allow some age.
    case.ocsp(&Ocsp::good(later(-10)), &case.world.ca);
    let chain = case.world.chain_of(&case.leaf);
    for (skew, accepted) in [(9, false), (10, true)] {
        let skew = Duration::from_secs(skew);
        let trust = case.world.trust_with(|s| s.revocation_skew = skew);
        let found = trust.revocation(&chain, NOW, &mut Vec::new());
        assert_eq!(found.is_ok(), accepted);
    }
}

#[test]
fn lapsed_and_future_evidence_is_refused() {
    let case = case();
    let lapsing = Ocsp {
        next_update: Some(later(100)),
        ..Ocsp::good(NOW)
    };
    case.ocsp(&lapsing, &case.world.ca);
    // Lapsed at 100 s, with one minute of tolerance.
    for (now, accepted) in [(160, true), (161, false)] {
        case.world.clock.0.store(now, Ordering::SeqCst);
        let (found, _) = case.ask(NOW);
        assert_eq!(found.is_ok(), accepted, "{found:?}");
        if let Err(failure) = found {
            assert!(matches!(failure, TrustError::NotYetFresh { .. }));
        }
    }
    case.world.clock.0.store(0, Ordering::SeqCst);
    let never = time::macros::datetime!(9999-12-31 23:59:59 UTC);
    let lasting = Ocsp {
        next_update: Some(never),
        ..Ocsp::good(NOW)
    };
    case.ocsp(&lasting, &case.world.ca);
    assert!(fresh(&case).ask(NOW).0.is_ok());
    for (ahead, accepted) in [(60, true), (61, false)] {
        case.ocsp(&Ocsp::good(later(ahead)), &case.world.ca);
        assert_eq!(fresh(&case).ask(NOW).0.is_ok(), accepted);
    }
}

#[test]
fn an_authoritys_list_may_be_older_but_not_lapsed() {
    let case = case();
    case.ocsp(&Ocsp::good(NOW), &case.world.ca);
    let month = time::Duration::days(30);
    let old = List {
        next_update: Some(NOW + month),
        ..List::empty(NOW - month)
    };
    for (next_update, accepted) in [
        (Some(NOW + month), true),
        (Some(NOW - month / 2), false),
        (None, false),
    ] {
        let list = List {
            next_update,
            ..old.clone()
        }
        .sign(&case.world.root);
        case.world.server.serve("/root.crl", list);
        let (found, _) = fresh(&case).ask(NOW);
        assert_eq!(found.is_ok(), accepted, "{next_update:?} {found:?}");
    }
}

#[test]
fn answers_are_remembered_only_while_fresh_enough() {
    let case = case();
    case.ocsp(&Ocsp::good(later(5)), &case.world.ca);
    let asked = |not_before| {
        let (found, calls) = case.ask(not_before);
        found.unwrap();
        calls
    };
    assert_eq!(asked(NOW), [("ocsp", false), ("crl", false)]);
    assert_eq!(asked(later(5)), [("ocsp", true), ("crl", true)]);
    case.ocsp(&Ocsp::good(later(6)), &case.world.ca);
    assert_eq!(asked(later(6)), [("ocsp", false), ("crl", true)]);
    // Another certificate with the same serial number of another issuer
    // must not get this answer.
    let other = Builder::new("CA").ca(None).build(Some(&case.world.root));
    let url = case.world.server.url("/ocsp");
    let twin = Builder::new("Twin").ocsp_url(&url).build(Some(&other)).cert;
    let chain = [twin, other.cert, case.world.root.cert.clone()];
    assert!(case.trust.revocation(&chain, NOW, &mut Vec::new()).is_err());
}

#[test]
fn a_delegated_responder_needs_evidence_itself() {
    let case = case();
    let serial = [0x0d, 0xe1];
    let responder = Builder::new("Responder").serial(&serial);
    let responder = responder.purposes(false, &[OCSP_SIGNING]);
    let trusted = responder.clone().no_check().build(Some(&case.world.ca));
    case.ocsp(&Ocsp::good(NOW), &trusted);
    let (found, calls) = case.ask(NOW);
    assert!(found.is_ok(), "{found:?}");
    assert_eq!(calls, [("ocsp", false), ("crl", false)]);

    // Without "no check", and with no source: not enough.
    let unchecked = responder.clone().build(Some(&case.world.ca));
    case.ocsp(&Ocsp::good(NOW), &unchecked);
    assert!(matches!(
        fresh(&case).failure(NOW),
        TrustError::NoEvidence { .. }
    ));

    // With a list that covers it.
    let url = case.world.server.url("/responder.crl");
    let checked = responder.clone().crl_url(&url).build(Some(&case.world.ca));
    case.ocsp(&Ocsp::good(NOW), &checked);
    let list = |list: List| {
        case.world
            .server
            .serve("/responder.crl", list.sign(&case.world.ca));
    };
    list(List::empty(NOW));
    let found = fresh(&case).ask(NOW).0.unwrap();
    let kinds = [Evidence::der(&found[0]), Evidence::der(&found[1])];
    assert!(matches!(
        found.as_slice(),
        [Evidence::Ocsp(_), Evidence::Crl(_), Evidence::Crl(_)]
    ));
    assert_ne!(kinds[0], kinds[1]);
    // A revoked responder spoils its answer, and says nothing of the signer.
    list(List::revoking(NOW, &serial));
    assert!(matches!(
        fresh(&case).failure(NOW),
        TrustError::NoEvidence { .. }
    ));

    // A responder must not vouch for itself.
    let url = case.world.server.url("/self");
    let vain = responder.ocsp_url(&url).build(Some(&case.world.ca));
    case.ocsp(&Ocsp::good(NOW), &vain);
    let own = Ocsp::good(NOW).sign(&vain.cert, &case.world.ca.cert, &vain);
    case.world.server.serve("/self", own);
    assert!(matches!(
        fresh(&case).failure(NOW),
        TrustError::NoEvidence { .. }
    ));
}

#[test]
fn without_any_source_waiting_does_not_help() {
    let world = world();
    let purposes = Builder::new("Leaf").purposes(false, &[CLIENT_AUTH]);
    let leaf = purposes.build(Some(&world.ca)).cert;
    let chain = world.chain_of(&leaf);
    let failure = world
        .trust()
        .revocation(&chain, NOW, &mut Vec::new())
        .unwrap_err();
    assert!(matches!(&failure, TrustError::NoEvidence { failures, .. } if failures.is_empty()));
    assert!(!failure.is_transient());
}

#[test]
fn a_revocation_after_the_timestamp_does_not_touch_the_signer() {
    let case = case();
    let then = Ocsp {
        this_update: later(30),
        ..Ocsp::revoked(later(10))
    };
    case.ocsp(&then, &case.world.ca);
    // Signed before, at, and after the revocation.
    assert!(case.ask(later(9)).0.is_ok());
    assert!(
        case.ask(later(9) + time::Duration::milliseconds(999))
            .0
            .is_ok()
    );
    for seconds in [10, 11] {
        let failure = case.failure(later(seconds));
        assert!(matches!(failure, TrustError::Revoked { at, .. } if at == later(10)));
    }
    // Of an authority it does: nobody proves when it issued.
    let root_list = List::revoking(later(10), CA_SERIAL).sign(&case.world.root);
    case.world.server.serve("/root.crl", root_list);
    let failure = fresh(&case).failure(later(9));
    assert!(matches!(failure, TrustError::Revoked { subject, .. } if subject == "CN=CA"));
}

#[test]
fn a_timestamps_authority_is_judged_by_its_own_rule() {
    let world = world();
    let url = world.server.url("/tsa.crl");
    let tsa = Builder::new("TSA").serial(&[0x75]).crl_url(&url);
    let tsa = tsa.purposes(true, &[TIME_STAMPING]).build(Some(&world.ca));
    world.stamping("first", copy(&tsa), |_| {});
    let folder = tempfile::tempdir().unwrap();
    let trust = |evidence| {
        world.trust_with(|s| {
            s.timestamp_authorities[0].evidence = evidence;
            s.cache_folder = Some(folder.path().to_owned());
        })
    };
    let strict = trust(TsaEvidence::IssuedSince);
    let token = strict.timestamp(b"", &mut Vec::new()).unwrap();
    let chain = world.chain_of(token.signer());
    let ask = |trust: &Trust| trust.timestamp_revocation(&token, &chain, &mut Vec::new());
    let serve = |list: List| world.server.serve("/tsa.crl", list.sign(&world.ca));
    serve(List::empty(later(-1)));
    assert!(matches!(ask(&strict), Err(TrustError::NotYetFresh { .. })));
    // The rule is known again after a start.
    let lenient = || trust(TsaEvidence::Current);
    ask(&lenient()).unwrap();
    // Not for a certificate that this authority never used here.
    let other = tempfile::tempdir().unwrap();
    let unknown = world.trust_with(|s| {
        s.timestamp_authorities[0].evidence = TsaEvidence::Current;
        s.cache_folder = Some(other.path().to_owned());
    });
    assert!(matches!(ask(&unknown), Err(TrustError::NotYetFresh { .. })));
    serve(List::empty(NOW));
    ask(&trust(TsaEvidence::IssuedSince)).unwrap();
    // Revoked after the timestamp: nothing else proves the token's time.
    serve(List::revoking(later(9), &[0x75]));
    let fresh = tempfile::tempdir().unwrap();
    let again = world.trust_with(|s| s.cache_folder = Some(fresh.path().to_owned()));
    assert!(matches!(ask(&again), Err(TrustError::Revoked { .. })));
}
