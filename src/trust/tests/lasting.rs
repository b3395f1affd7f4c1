//! What is remembered: failing authorities, the clock, last good answers.

use super::*;
use crate::x509::testing::{octets, sequence};

fn purposes(calls: &[Call]) -> Vec<(&'static str, bool)> {
    calls.iter().map(|c| (c.purpose, c.from_cache)).collect()
}

/// The paths asked, in order.
fn asked(trust: &Trust) -> (bool, Vec<String>) {
    let mut calls = Vec::new();
    let stamped = trust.timestamp(b"message", &mut calls);
    let path = |call: &Call| format!("/{}", call.url.rsplit('/').next().unwrap());
    (stamped.is_ok(), calls.iter().map(path).collect())
}

fn two_authorities(world: &World) -> Trust {
    let both = vec![world.authority("first"), world.authority("second")];
    world.trust_with(|s| s.timestamp_authorities = both)
}

#[test]
fn a_failing_authority_costs_its_time_once_in_a_while() {
    let world = world();
    let trust = two_authorities(&world);
    world.stamping("second", world.tsa(), |_| {});
    let at = |seconds| world.clock.0.store(seconds, Ordering::SeqCst);
    let both = ["/first", "/second"].map(str::to_owned).to_vec();
    let second = vec!["/second".to_owned()];
    assert_eq!(asked(&trust), (true, both.clone()));
    // The stamps say NOW; one minute is tolerated.
    for seconds in [0, 1, 59] {
        at(seconds);
        assert_eq!(asked(&trust), (true, second.clone()), "{seconds}");
    }
    let health = trust.health();
    let [first, other] = health.authorities.as_slice() else {
        panic!("{health:?}");
    };
    let failure = first.last_failure.as_ref().unwrap();
    assert_eq!((failure.at, failure.kind), (NOW, FailureKind::Down));
    assert!(failure.reason.contains("HTTP status 404"), "{failure:?}");
    assert_eq!(first.failing_since, Some(NOW));
    assert_eq!(first.paused_until, Some(later(100)));
    assert_eq!(other.last_success, Some(later(59)));
    assert!(other.last_millis.is_some() && other.paused_until.is_none());
    assert!(!other.is_failing());
    // After the window it is tried first again, by one document.
    world.stamping("second", world.tsa(), |stamp| stamp.gen_time = later(100));
    at(100);
    assert_eq!(asked(&trust), (true, both));
    assert_eq!(asked(&trust), (true, second));
    // It is back; after two failures it rests twice as long.
    world.stamping("second", world.tsa(), |stamp| stamp.gen_time = later(299));
    at(299);
    assert_eq!(asked(&trust), (true, vec!["/second".to_owned()]));
    world.stamping("first", world.tsa(), |stamp| stamp.gen_time = later(300));
    at(300);
    for _ in 0..2 {
        assert_eq!(asked(&trust), (true, vec!["/first".to_owned()]));
    }
    let first = &trust.health().authorities[0];
    assert_eq!((first.paused_until, first.failing_since), (None, None));
}

#[test]
fn when_all_fail_all_are_asked_and_health_says_so() {
    let world = world();
    let trust = two_authorities(&world);
    let failing = || {
        let all = trust.health().authorities;
        all.iter().map(|a| a.is_failing()).collect::<Vec<_>>()
    };
    assert_eq!(failing(), [false, false]);
    for _ in 0..2 {
        let (stamped, urls) = asked(&trust);
        assert_eq!((stamped, urls.len()), (false, 2));
    }
    assert_eq!(failing(), [true, true]);
    world.stamping("second", world.tsa(), |_| {});
    world.clock.0.store(1, Ordering::SeqCst);
    assert!(asked(&trust).0);
    assert_eq!(failing(), [true, false]);
}

#[test]
fn a_stand_bys_fault_ends_although_another_stands_before_it() {
    let world = world();
    let three = ["first", "second", "third"].map(|name| world.authority(name));
    let trust = world.trust_with(|s| s.timestamp_authorities = three.to_vec());
    let set = |seconds| {
        world.clock.0.store(seconds, Ordering::SeqCst);
        for name in ["first", "second", "third"] {
            world.stamping(name, world.tsa(), move |s| s.gen_time = later(seconds));
        }
    };
    assert!(!asked(&trust).0);
    // All are back. The first stands in; each other is tried by one document.
    set(100);
    let paths = |names: &[&str]| (true, names.iter().map(|n| format!("/{n}")).collect());
    for name in ["first", "second", "third", "first", "first"] {
        assert_eq!(asked(&trust), paths(&[name]));
    }
    let all = trust.health().authorities;
    assert!(!all.iter().any(AuthorityHealth::is_failing), "{all:?}");
    // One that is still down costs one document its time, and no more at once.
    world.server.serve("/first", refusal());
    world.server.serve("/second", refusal());
    assert_eq!(asked(&trust), paths(&["first", "second", "third"]));
    set(200);
    world.server.serve("/first", refusal());
    world.server.serve("/second", refusal());
    assert_eq!(asked(&trust), paths(&["first", "third"]));
    assert_eq!(asked(&trust), paths(&["second", "third"]));
    assert_eq!(asked(&trust), paths(&["third"]));
}

#[test]
fn a_clock_that_was_wrong_makes_no_authority_a_liar() {
    let apart = |trust: &Trust| {
        let all = trust.health().authorities;
        all.iter().map(|a| a.is_failing()).collect::<Vec<_>>()
    };
    for wrong in [4_000, -4_000] {
        let world = world();
        let trust = two_authorities(&world);
        world.stamping("first", world.tsa(), |_| {});
        world.stamping("second", world.tsa(), |_| {});
        world.clock.0.store(wrong, Ordering::SeqCst);
        assert!(!asked(&trust).0);
        assert_eq!(apart(&trust), [true, true]);
        // Set right, also backwards: nobody is paused for longer than a pause.
        world.clock.0.store(0, Ordering::SeqCst);
        for _ in 0..2 {
            assert_eq!(asked(&trust), (true, vec!["/first".to_owned()]), "{wrong}");
            assert_eq!(apart(&trust), [false, false], "{wrong}");
        }
    }
    // Whose time alone is wrong stays at fault.
    let world = world();
    let trust = two_authorities(&world);
    world.stamping("first", world.tsa(), |s| s.gen_time = later(4_000));
    world.stamping("second", world.tsa(), |_| {});
    for _ in 0..2 {
        assert!(asked(&trust).0);
        assert_eq!(apart(&trust), [true, false]);
    }
}

#[test]
fn a_slow_authority_is_asked_last_for_a_while() {
    let world = world();
    let both = vec![world.authority("first"), world.authority("second")];
    let trust = world.trust_with(|s| {
        s.timestamp_authorities = both;
        s.authority_slow = Duration::from_millis(200);
    });
    let tsa = world.tsa();
    let ca = world.ca.cert.clone();
    world.server.route("/first", move |request| {
        std::thread::sleep(Duration::from_millis(250));
        let (imprint, nonce) = read_request(request);
        let stamp = Stamp::new(imprint, &nonce, NOW);
        (200, stamp.response(&tsa, std::slice::from_ref(&ca)))
    });
    world.stamping("second", world.tsa(), |_| {});
    assert_eq!(asked(&trust), (true, vec!["/first".to_owned()]));
    assert_eq!(asked(&trust), (true, vec!["/second".to_owned()]));
}

#[test]
fn a_wrong_clock_is_a_fault_of_its_own() {
    for (seconds, fault) in [(300, false), (301, true), (-301, true)] {
        let world = world();
        let trust = world.trust_with(|s| s.clock_tolerance = Duration::from_secs(86_400));
        world.stamping("first", world.tsa(), move |stamp| {
            stamp.gen_time = later(seconds);
        });
        assert!(asked(&trust).0);
        let reading = trust.health().clock.unwrap();
        assert_eq!(
            (reading.offset_seconds, reading.source.as_str()),
            (seconds, "first")
        );
        assert_eq!(reading.is_fault(), fault);
        // The next good comparison ends it.
        world.stamping("first", world.tsa(), |_| {});
        assert!(asked(&trust).0);
        assert!(!trust.health().clock.unwrap().is_fault());
    }
    // Refused for the clock, it still says so; a stranger's word does not count.
    for (stranger, noted) in [(false, true), (true, false)] {
        let world = world();
        let trust = world.trust();
        let issuer = if stranger { None } else { Some(&world.ca) };
        let tsa = Builder::new("TSA").purposes(true, &[TIME_STAMPING]);
        let tsa = tsa.build(issuer);
        world.stamping("first", tsa, |stamp| stamp.gen_time = later(4000));
        let mut calls = Vec::new();
        let failure = trust.timestamp(b"", &mut calls).unwrap_err();
        let skew = matches!(failure, TrustError::ClockSkew { seconds: 4000, .. });
        assert_eq!((skew, trust.health().clock.is_some()), (noted, noted));
        assert_eq!(calls[0].result, failure.to_string());
    }
}

#[test]
fn a_live_ocsp_answer_is_compared_with_the_clock_too() {
    let world = world();
    let leaf = world.leaf().build(Some(&world.ca)).cert;
    let trust = world.trust_with(|s| {
        s.ocsp_nonce = true;
        s.clock_tolerance = Duration::from_secs(3600);
    });
    let (root_ca, key) = (world.ca.cert.clone(), world.ca.key.serialize_pem());
    let answer = |echo: bool, seconds: i64| {
        let (ca, key, leaf) = (root_ca.clone(), key.clone(), leaf.clone());
        world.server.route("/ocsp", move |request| {
            let sent = &request[request.len() - 32..];
            let nonce = if echo { sent.to_vec() } else { vec![0; 32] };
            let extension =
                crate::x509::testing::extension("1.3.6.1.5.5.7.48.1.2", false, &octets(&nonce));
            let ocsp = Ocsp {
                produced_at: later(seconds),
                response_extensions: extension,
                ..Ocsp::good(NOW)
            };
            let key = rcgen::KeyPair::from_pem(&key).unwrap();
            let by = Party {
                cert: ca.clone(),
                key,
            };
            (200, ocsp.sign(&leaf, &ca, &by))
        });
    };
    let chain = world.chain_of(&leaf);
    let ask = || trust.revocation(&chain, NOW, &mut Vec::new());
    world.server.serve("/ca.crl", Vec::new());
    answer(false, 0);
    let refused = ask().unwrap_err();
    assert!(
        refused.to_string().contains("answers another request"),
        "{refused}"
    );
    answer(true, -301);
    ask().unwrap();
    let reading = trust.health().clock.unwrap();
    assert_eq!((reading.offset_seconds, reading.is_fault()), (-301, true));
}

#[test]
fn the_other_digest_is_tried_when_a_responder_does_not_understand() {
    let world = world();
    let leaf = world.leaf().build(Some(&world.ca)).cert;
    let good = Ocsp::good(NOW).sign(&leaf, &world.ca.cert, &world.ca);
    let refusing = |sha1_length: bool, status: u8| {
        let good = good.clone();
        world.server.route("/ocsp", move |request| {
            let is_sha1 = request.windows(5).any(|w| w == [0x2b, 0x0e, 3, 2, 0x1a]);
            if is_sha1 == sha1_length {
                (200, sequence(&[&[0x0a, 1, status]]))
            } else {
                (200, good.clone())
            }
        });
    };
    let chain = world.chain_of(&leaf);
    for (refused, status, configured, wanted) in [
        (true, 6, CertIdDigest::Sha1, 2),
        (true, 1, CertIdDigest::Sha1, 2),
        (true, 6, CertIdDigest::Sha256, 1),
        (false, 6, CertIdDigest::Sha256, 2),
    ] {
        refusing(refused, status);
        let trust = world.trust_with(|s| s.ocsp_cert_id = configured);
        let mut calls = Vec::new();
        trust.revocation(&chain, NOW, &mut calls).unwrap();
        let asked = calls.iter().filter(|c| c.purpose == "ocsp").count();
        assert_eq!(asked, wanted, "{calls:?}");
    }
    // "Try later" is about the responder, not about the request.
    refusing(true, 3);
    world
        .server
        .serve("/ca.crl", List::empty(NOW).sign(&world.ca));
    let mut calls = Vec::new();
    world.trust().revocation(&chain, NOW, &mut calls).unwrap();
    let expected = [("ocsp", false), ("crl", false), ("crl", false)];
    assert_eq!(purposes(&calls), expected);
}

#[test]
fn a_dead_responder_costs_its_time_once_in_a_while() {
    let world = world();
    let leaf = world.leaf().build(Some(&world.ca)).cert;
    world
        .server
        .serve("/ca.crl", List::empty(NOW).sign(&world.ca));
    let trust = world.trust();
    let chain = world.chain_of(&leaf);
    let ask = |not_before| {
        let mut calls = Vec::new();
        trust.revocation(&chain, not_before, &mut calls).unwrap();
        purposes(&calls)
    };
    let list = ("crl", false);
    assert_eq!(ask(NOW), [("ocsp", false), list, list]);
    // A newer list is needed: it is asked for first now.
    let newer = |seconds| {
        let list = List::empty(later(seconds)).sign(&world.ca);
        world.server.serve("/ca.crl", list);
    };
    newer(1);
    assert_eq!(ask(later(1)), [list, ("crl", true)]);
    newer(2);
    world.clock.0.store(100, Ordering::SeqCst);
    assert_eq!(ask(later(2)), [("ocsp", false), list, ("crl", true)]);
}

#[test]
fn the_last_good_list_survives_a_restart_and_an_outage_but_not_its_lapse() {
    let folder = tempfile::tempdir().unwrap();
    let world = world();
    let leaf = world.leaf().issuer_url(&world.server.url("/ca.crt"));
    let leaf = leaf.build(Some(&world.ca)).cert;
    world.server.serve("/ca.crt", world.ca.cert.der().to_vec());
    let ocsp = |at| {
        let der = Ocsp::good(at).sign(&leaf, &world.ca.cert, &world.ca);
        world.server.serve("/ocsp", der);
    };
    ocsp(NOW);
    let start = || world.trust_with(|s| s.cache_folder = Some(folder.path().join("trust")));
    let at = |seconds| world.clock.0.store(seconds, Ordering::SeqCst);
    let ask = |trust: &Trust| {
        let mut calls = Vec::new();
        let chain = trust.chain(&leaf, &[], NOW, &mut calls);
        let found = chain.and_then(|chain| trust.revocation(&chain, NOW, &mut calls));
        (found.is_ok(), purposes(&calls))
    };
    let trust = start();
    let fetched = vec![("aia", false), ("ocsp", false), ("crl", false)];
    assert_eq!(ask(&trust), (true, fetched));
    let kept = vec![("aia", true), ("ocsp", true), ("crl", true)];
    assert_eq!(ask(&trust), (true, kept));
    // Older than an hour: it is asked whether there is something newer.
    at(3601);
    ocsp(later(3601));
    let again = vec![("aia", true), ("ocsp", false), ("crl", false)];
    assert_eq!(ask(&trust), (true, again.clone()));
    // The list's server is away, and this machine starts again.
    world.server.route("/root.crl", |_| (503, Vec::new()));
    let fell_back = [again.clone(), vec![("crl", true)]].concat();
    let trust = start();
    assert_eq!(ask(&trust), (true, fell_back));
    // The signer's own evidence is not among the files.
    let names = || {
        let files = std::fs::read_dir(folder.path().join("trust")).unwrap();
        let mut names: Vec<_> = files.map(|f| f.unwrap().path()).collect();
        names.sort();
        names
    };
    let files = names();
    assert_eq!(files.len(), 2, "{files:?}");
    // A file of somebody else's making is no evidence.
    let list = files.iter().find(|f| f.to_string_lossy().contains("crl-"));
    let good = std::fs::read(list.unwrap()).unwrap();
    let forger = Builder::new("Root").ca(None).build(None);
    for bad in [List::empty(NOW).sign(&forger), b"torn".to_vec()] {
        std::fs::write(list.unwrap(), bad).unwrap();
        assert_eq!(ask(&start()), (false, again.clone()));
    }
    // Lapsed after a day.
    std::fs::write(list.unwrap(), good).unwrap();
    at(86_400 + 61);
    ocsp(later(86_400));
    assert_eq!(ask(&start()), (false, again));
}

#[test]
fn files_of_last_good_answers_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let memory = memory::Memory::new(Some(folder.path().join("trust")));
    let cert = Builder::new("X").build(None).cert;
    let key = |n: u32| {
        let hash = crate::base::digest::sha256(&n.to_be_bytes());
        (memory::Kind::Issuer, hash)
    };
    for n in 0..260 {
        let item = memory::Item::Certificate(cert.clone());
        memory.keep(key(n), item, later(i64::from(n)), true);
    }
    let files = std::fs::read_dir(folder.path().join("trust")).unwrap();
    assert_eq!(files.count(), 256);
    // The newest is there for the next start.
    let next = memory::Memory::new(Some(folder.path().join("trust")));
    assert!(
        next.recall(key(259))
            .is_some_and(|kept| kept.fetched_at.is_none())
    );
}

#[test]
fn redirects_are_followed_to_lists_only_and_not_for_long() {
    let world = world();
    let leaf = world.leaf().build(Some(&world.ca)).cert;
    let chain = world.chain_of(&leaf);
    let good = Ocsp::good(NOW).sign(&leaf, &world.ca.cert, &world.ca);
    world.server.serve("/ocsp", good.clone());
    let list = List::empty(NOW).sign(&world.root);
    let to = |from: &str, location: &str| world.server.redirect(from, location);
    to("/root.crl", "/1");
    to("/1", &world.server.url("/2"));
    to("/2", "3");
    world.server.serve("/3", list.clone());
    let ask = || world.trust().revocation(&chain, NOW, &mut Vec::new());
    ask().unwrap();
    to("/3", "/4");
    world.server.serve("/4", list);
    assert!(ask().unwrap_err().to_string().contains("HTTP status 302"));
    to("/root.crl", "ftp://127.0.0.1/list");
    assert!(ask().is_err());
    // Another name for a machine inside: nobody is sent there.
    let inside = world.server.url("/4").replace("127.0.0.1", "localhost");
    to("/root.crl", &inside);
    assert!(ask().unwrap_err().to_string().contains("HTTP status 302"));
    // A question is not taken elsewhere.
    to("/root.crl", "/4");
    ask().unwrap();
    to("/ocsp", "/elsewhere");
    world.server.serve("/elsewhere", good);
    assert!(ask().is_err());
}
