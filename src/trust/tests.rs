use super::*;
use crate::x509::testing::{
    Builder, CLIENT_AUTH, List, NOW, OCSP_SIGNING, Ocsp, Party, Stamp, TIME_STAMPING, name,
    read_request, refusal,
};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, Ordering};

/// A clock that is set by hand, in seconds after [`NOW`].
#[derive(Default)]
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> OffsetDateTime {
        NOW + time::Duration::seconds(self.0.load(Ordering::SeqCst))
    }
}

type Route = Box<dyn Fn(&[u8]) -> (u16, Vec<u8>) + Send>;

/// An HTTP server on loopback whose answers are set path by path.
#[derive(Clone)]
struct Server {
    base: String,
    routes: Arc<Mutex<HashMap<String, Route>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let routes: Arc<Mutex<HashMap<String, Route>>> = Arc::default();
        let served = Arc::clone(&routes);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &served);
            }
        });
        Self { base, routes }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn route(&self, path: &str, answer: impl Fn(&[u8]) -> (u16, Vec<u8>) + Send + 'static) {
        let mut routes = self.routes.lock().unwrap();
        routes.insert(path.to_owned(), Box::new(answer));
    }

    fn serve(&self, path: &str, body: Vec<u8>) {
        self.route(path, move |_| (200, body.clone()));
    }
}

fn answer(mut stream: TcpStream, routes: &Mutex<HashMap<String, Route>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        let header = line.trim().to_ascii_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if header.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let routes = routes.lock().unwrap();
    let (status, body) = match routes.get(&path) {
        Some(route) => route(&body),
        None => (404, Vec::new()),
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body).unwrap();
}

/// A root, an issuing authority and a server for what they publish.
struct World {
    server: Server,
    clock: Arc<HandClock>,
    root: Party,
    ca: Party,
}

const CA_SERIAL: &[u8] = &[0x0c, 0xa0];

fn world() -> World {
    let server = Server::start();
    let root = Builder::new("Root").ca(None).build(None);
    let ca = Builder::new("CA").ca(Some(0)).serial(CA_SERIAL);
    let ca = ca.crl_url(&server.url("/root.crl")).build(Some(&root));
    server.serve("/root.crl", List::empty(NOW).sign(&root));
    World {
        server,
        clock: Arc::default(),
        root,
        ca,
    }
}

impl World {
    fn trust_with(&self, change: impl FnOnce(&mut Settings)) -> Trust {
        let mut settings = Settings {
            anchors: vec![self.root.cert.clone()],
            timestamp_authorities: vec![self.authority("first")],
            clock_tolerance: Duration::from_secs(60),
            revocation_skew: Duration::ZERO,
            http: http::Settings {
                connect_timeout: Duration::from_secs(5),
                timeout: Duration::from_secs(10),
                ..http::Settings::default()
            },
        };
        change(&mut settings);
        Trust::new(settings, self.clock.clone()).unwrap()
    }

    fn trust(&self) -> Trust {
        self.trust_with(|_| {})
    }

    fn authority(&self, name: &str) -> TsaSettings {
        TsaSettings {
            name: name.to_owned(),
            url: self.server.url(&format!("/{name}")),
            policy: None,
        }
    }

    fn leaf(&self) -> Builder {
        let builder = Builder::new("Leaf").crl_url(&self.server.url("/ca.crl"));
        builder.ocsp_url(&self.server.url("/ocsp"))
    }

    fn tsa(&self) -> Party {
        let builder = Builder::new("TSA").purposes(true, &[TIME_STAMPING]);
        builder.build(Some(&self.ca))
    }

    /// The authority `name` stamps as `change` says.
    fn stamping(&self, name: &str, tsa: Party, change: impl Fn(&mut Stamp) + Send + 'static) {
        let ca = self.ca.cert.clone();
        self.server.route(&format!("/{name}"), move |request| {
            let (imprint, nonce) = read_request(request);
            let mut stamp = Stamp::new(imprint, &nonce, NOW);
            change(&mut stamp);
            (200, stamp.response(&tsa, std::slice::from_ref(&ca)))
        });
    }

    fn chain_of(&self, leaf: &Cert) -> Vec<Cert> {
        vec![leaf.clone(), self.ca.cert.clone(), self.root.cert.clone()]
    }
}

fn chain(trust: &Trust, leaf: &Cert, pool: &[Cert]) -> Result<Vec<Cert>, TrustError> {
    trust.chain(leaf, pool, NOW, &mut Vec::new())
}

fn later(seconds: i64) -> OffsetDateTime {
    NOW + time::Duration::seconds(seconds)
}

mod chains {
    use super::*;
    use crate::x509::testing::{dotted, element, sequence};

    #[test]
    fn a_chain_runs_from_leaf_to_anchor() {
        let world = world();
        let trust = world.trust();
        let leaf = world.leaf().build(Some(&world.ca)).cert;
        // A namesake of the authority in the pool must not confuse the search.
        let namesake = Builder::new("CA").ca(None).build(Some(&world.root)).cert;
        let pool = [namesake, world.ca.cert.clone()];
        let found = chain(&trust, &leaf, &pool).unwrap();
        assert_eq!(found, world.chain_of(&leaf));
        let root = &world.root.cert;
        assert_eq!(chain(&trust, root, &[]).unwrap(), [root.clone()]);
    }

    #[test]
    fn without_anchors_nothing_starts() {
        let settings = Settings {
            anchors: Vec::new(),
            ..world().trust().settings
        };
        let refused = Trust::new(settings, Arc::new(HandClock::default()));
        assert!(matches!(refused, Err(TrustError::NoAnchors)));
    }

    #[test]
    fn missing_authorities_are_fetched_once() {
        let world = world();
        let trust = world.trust();
        let leaf = world.leaf().issuer_url(&world.server.url("/ca.crt"));
        let leaf = leaf.build(Some(&world.ca)).cert;
        let mut calls = Vec::new();
        let lost = trust.chain(&leaf, &[], NOW, &mut calls).unwrap_err();
        assert!(lost.is_transient(), "{lost:?}");
        assert_eq!(calls.pop().unwrap().result, lost.to_string());

        world.server.serve("/ca.crt", world.ca.cert.der().to_vec());
        for from_cache in [false, true] {
            let found = trust.chain(&leaf, &[], NOW, &mut calls).unwrap();
            assert_eq!(found, world.chain_of(&leaf));
            let call = calls.pop().unwrap();
            assert_eq!((call.purpose, call.from_cache), ("aia", from_cache));
            assert!(calls.is_empty());
        }
    }

    #[test]
    fn authorities_are_fetched_in_every_packing_but_not_others() {
        let world = world();
        let leaf = world.leaf().issuer_url(&world.server.url("/ca.crt"));
        let leaf = leaf.build(Some(&world.ca)).cert;
        let bag = {
            let data = sequence(&[&dotted("1.2.840.113549.1.7.1")]);
            let certs = element(0xa0, &[world.ca.cert.der()]);
            let fields = [&[2, 1, 1, 0x31, 0], data.as_slice(), &certs, &[0x31, 0]];
            let wrapped = element(0xa0, &[&sequence(&fields)]);
            sequence(&[&dotted("1.2.840.113549.1.7.2"), &wrapped])
        };
        for body in [bag, world.ca.cert.to_pem().into_bytes()] {
            world.server.serve("/ca.crt", body);
            assert!(chain(&world.trust(), &leaf, &[]).is_ok());
        }
        for body in [world.root.cert.der().to_vec(), b"<html>".to_vec()] {
            world.server.serve("/ca.crt", body);
            let refused = chain(&world.trust(), &leaf, &[]).unwrap_err();
            assert!(matches!(refused, TrustError::Answer { purpose: "aia", .. }));
        }
    }

    #[test]
    fn authorities_that_may_not_issue_are_refused() {
        let world = world();
        let below = |issuer: Party| {
            let leaf = Builder::new("Leaf").build(Some(&issuer)).cert;
            chain(
                &world.trust(),
                &leaf,
                &[issuer.cert.clone(), world.ca.cert.clone()],
            )
        };
        let reason = |verdict: Result<Vec<Cert>, TrustError>| match verdict {
            Err(TrustError::NotTrusted { reason, .. }) => reason,
            other => panic!("{other:?}"),
        };
        let root = Some(&world.root);
        let plain = Builder::new("Plain").build(root);
        assert_eq!(reason(below(plain)), "it is no certificate authority");
        let no_signing = Builder::new("Plain").ca_with(None, 0b0000_0010).build(root);
        assert_eq!(reason(below(no_signing)), "it may not sign certificates");
        let unknown = Builder::new("Sub")
            .ca(None)
            .extension("1.2.3", Some(true), b"");
        let found = reason(below(unknown.build(root)));
        assert_eq!(found, "its critical extension 1.2.3 is not understood");
        // The issuing authority allows no further authority below itself.
        let sub = Builder::new("Sub").ca(None).build(Some(&world.ca));
        let found = reason(below(sub));
        assert_eq!(found, "there are more authorities below it than it allows");
        assert!(below(Builder::new("Sub").ca(Some(0)).build(root)).is_ok());
    }

    #[test]
    fn certificates_count_only_while_valid() {
        let world = world();
        let day = time::Duration::days(1);
        let expired = |b: Builder| b.validity(NOW - day * 9, NOW - day);
        let leaf = expired(world.leaf()).build(Some(&world.ca)).cert;
        let pool = [world.ca.cert.clone()];
        let refused = chain(&world.trust(), &leaf, &pool).unwrap_err();
        assert!(matches!(refused, TrustError::NotValid { .. }) && !refused.is_transient());
        let then = world
            .trust()
            .chain(&leaf, &pool, NOW - day * 2, &mut Vec::new());
        assert!(then.is_ok());
        let early = world.leaf().validity(NOW + day, NOW + day * 2);
        let early = chain(&world.trust(), &early.build(Some(&world.ca)).cert, &pool);
        assert!(matches!(early, Err(TrustError::NotValid { .. })));

        let old_ca = expired(Builder::new("Old").ca(None)).build(Some(&world.root));
        let leaf = world.leaf().build(Some(&old_ca)).cert;
        let refused = chain(&world.trust(), &leaf, &[old_ca.cert]);
        let Err(TrustError::NotValid { subject, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(subject, "CN=Old");
        let old_root = expired(Builder::new("Old root").ca(None)).build(None);
        let leaf = world.leaf().build(Some(&old_root)).cert;
        let trust = world.trust_with(|s| s.anchors.push(old_root.cert.clone()));
        assert!(matches!(
            chain(&trust, &leaf, &[]),
            Err(TrustError::NotValid { .. })
        ));
    }

    #[test]
    fn strangers_and_forgers_are_refused() {
        let world = world();
        let stranger = Builder::new("Stranger").ca(None).build(None);
        let forger = Builder::new("CA").ca(None).build(None);
        for issuer in [&stranger, &forger] {
            let leaf = world.leaf().build(Some(issuer)).cert;
            for pool in [
                vec![],
                vec![issuer.cert.clone()],
                vec![world.ca.cert.clone()],
            ] {
                let refused = chain(&world.trust(), &leaf, &pool).unwrap_err();
                assert!(
                    matches!(refused, TrustError::NotTrusted { .. }),
                    "{refused:?}"
                );
                assert_eq!((refused.class(), refused.is_transient()), ("ours", false));
            }
        }
        let mut sha1 = world.leaf();
        sha1.algorithm = sequence(&[&dotted("1.2.840.10045.4.1")]);
        let leaf = sha1.build(Some(&world.ca)).cert;
        let refused = chain(&world.trust(), &leaf, &[world.ca.cert.clone()]).unwrap_err();
        assert!(refused.to_string().contains("is not accepted"), "{refused}");
    }

    #[test]
    fn long_and_crossed_chains_end() {
        let world = world();
        let mut authorities = vec![Builder::new("0").ca(None).build(Some(&world.root))];
        for n in 1..9 {
            let next = Builder::new(&n.to_string())
                .ca(None)
                .build(authorities.last());
            authorities.push(next);
        }
        let pool: Vec<Cert> = authorities.iter().map(|a| a.cert.clone()).collect();
        // Leaf, six authorities and the root are eight.
        for (issuer, accepted) in [(5, true), (6, false)] {
            let leaf = world.leaf().build(Some(&authorities[issuer])).cert;
            let found = chain(&world.trust(), &leaf, &pool);
            assert_eq!(found.is_ok(), accepted, "{found:?}");
        }
        // Authorities that certify one another under few names, no anchor.
        let circle: Vec<Party> = (0..12)
            .map(|_| Builder::new("Same").ca(None).build(None))
            .collect();
        let crossed = circle
            .iter()
            .zip(circle.iter().cycle().skip(1))
            .map(|(a, b)| {
                let key = rcgen::KeyPair::from_pem(&a.key.serialize_pem()).unwrap();
                Builder::new("Same").ca(None).build_for(key, Some(b)).cert
            });
        let pool: Vec<Cert> = crossed.collect();
        let leaf = world.leaf().build(circle.first()).cert;
        assert_eq!(leaf.issuer_der(), name("Same"));
        assert!(chain(&world.trust(), &leaf, &pool).is_err());
    }
}

mod timestamps {
    use super::*;

    #[test]
    fn a_good_timestamp_is_given_and_written_down() {
        let world = world();
        world.stamping("first", world.tsa(), |_| {});
        let mut calls = Vec::new();
        let token = world.trust().timestamp(b"message", &mut calls).unwrap();
        token
            .verify(&crate::base::digest::sha256(b"message"), None)
            .unwrap();
        let [call] = calls.as_slice() else {
            panic!("{calls:?}")
        };
        assert_eq!((call.purpose, call.result.as_str()), ("timestamp", "ok"));
        assert_eq!((call.at, call.from_cache), (NOW, false));
    }

    /// What becomes of a stamp that is changed, by an authority of one's own.
    fn refused(tsa: Option<Party>, change: impl Fn(&mut Stamp) + Send + 'static) -> TrustError {
        let world = world();
        world.stamping("first", tsa.unwrap_or_else(|| world.tsa()), change);
        let mut calls = Vec::new();
        let failure = world.trust().timestamp(b"message", &mut calls).unwrap_err();
        assert_eq!(calls[0].purpose, "timestamp");
        failure
    }

    #[test]
    fn bad_tokens_are_refused() {
        for failure in [
            refused(None, |stamp| stamp.nonce = vec![1]),
            refused(None, |stamp| stamp.imprint = [0; 32]),
            refused(None, |stamp| {
                stamp.bound_to = Some(Builder::new("X").build(None).cert)
            }),
            refused(Some(Builder::new("T").build(None)), |_| {}),
        ] {
            assert!(matches!(failure, TrustError::Token { .. }), "{failure:?}");
            assert_eq!((failure.class(), failure.is_transient()), ("tsa", true));
        }
        let stranger = Builder::new("T")
            .purposes(true, &[TIME_STAMPING])
            .build(None);
        let failure = refused(Some(stranger), |_| {});
        assert!(
            matches!(failure, TrustError::NotTrusted { .. }),
            "{failure:?}"
        );
    }

    #[test]
    fn the_authoritys_clock_must_agree() {
        // One minute of tolerance and 1.5 s of stated accuracy.
        for (seconds, accepted) in [(-62, false), (-61, true), (61, true), (62, false)] {
            let world = world();
            world.stamping("first", world.tsa(), move |stamp| {
                stamp.gen_time = later(seconds)
            });
            let verdict = world.trust().timestamp(b"", &mut Vec::new());
            assert_eq!(verdict.is_ok(), accepted, "{seconds} {verdict:?}");
            if let Err(failure) = verdict {
                assert!(
                    matches!(failure, TrustError::ClockSkew { seconds: s, .. } if s == seconds)
                );
                assert!(failure.is_transient());
            }
        }
    }

    #[test]
    fn another_policy_is_refused() {
        let world = world();
        world.stamping("first", world.tsa(), |_| {});
        let with_policy = |policy: &str| {
            let policy = Some(policy.to_owned());
            let trust = world.trust_with(|s| s.timestamp_authorities[0].policy = policy);
            trust.timestamp(b"", &mut Vec::new())
        };
        with_policy("1.2.3.4.1").unwrap();
        let failure = with_policy("1.2.3.4.2").unwrap_err();
        assert!(matches!(failure, TrustError::Policy { .. }), "{failure:?}");
        assert!(!failure.is_transient());
    }

    #[test]
    fn the_next_authority_is_asked() {
        let world = world();
        let both = [world.authority("first"), world.authority("second")];
        let trust = world.trust_with(|s| s.timestamp_authorities = both.to_vec());
        world.server.serve("/first", refusal());
        let mut calls = Vec::new();
        let failure = trust.timestamp(b"", &mut calls).unwrap_err();
        let TrustError::AllAuthorities { failures } = &failure else {
            panic!("{failure:?}");
        };
        assert!(matches!(failures[0], TrustError::Refused { .. }));
        assert!(matches!(failures[1], TrustError::Answer { .. }));
        assert_eq!((failure.class(), failure.is_transient()), ("tsa", true));
        assert_eq!(calls.len(), 2);

        world.stamping("second", world.tsa(), |_| {});
        calls.clear();
        trust.timestamp(b"", &mut calls).unwrap();
        let urls: Vec<&str> = calls.iter().map(|c| c.url.as_str()).collect();
        assert_eq!(urls, [&both[0].url, &both[1].url]);
    }

    #[test]
    fn no_connection_and_no_authority_are_told_apart() {
        let world = world();
        let none = world.trust_with(|s| s.timestamp_authorities.clear());
        let failure = none.timestamp(b"", &mut Vec::new()).unwrap_err();
        assert!(matches!(failure, TrustError::NoAuthority) && !failure.is_transient());
        let closed = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let url = format!("http://{closed}/");
        let trust = world.trust_with(|s| s.timestamp_authorities[0].url = url);
        let failure = trust.timestamp(b"", &mut Vec::new()).unwrap_err();
        assert!(matches!(failure, TrustError::Unreachable { .. }));
        assert_eq!((failure.class(), failure.is_transient()), ("network", true));
    }
}

mod revocation {
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
        assert_eq!(case.ask(NOW).1, [("ocsp", false), ("crl", false)]);

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
}
