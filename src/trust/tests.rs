use super::*;
use crate::x509::testing::{
    Builder, CLIENT_AUTH, List, NOW, OCSP_SIGNING, Ocsp, Party, Stamp, TIME_STAMPING, name,
    read_request, refusal,
};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, Ordering};

mod chains;
mod judging;
mod lasting;
mod policy;
mod revocation;
mod statements;
mod witness;

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

    /// 302 to `location`, which travels as the body.
    fn redirect(&self, path: &str, location: &str) {
        let location = location.to_owned();
        self.route(path, move |_| (302, location.clone().into_bytes()));
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
    let location = match status {
        302 => format!("location: {}\r\n", String::from_utf8_lossy(&body)),
        _ => String::new(),
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\n{location}content-length: {}\r\n\r\n",
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
            authority_pause: Duration::from_secs(100),
            authority_slow: Duration::from_secs(60),
            ocsp_cert_id: CertIdDigest::Sha1,
            ocsp_nonce: false,
            cache_folder: None,
            clock_tolerance: Duration::from_secs(60),
            revocation_skew: Duration::ZERO,
            algorithms: AlgorithmPolicy::built_in(),
            http: http::Settings {
                connect_timeout: Duration::from_secs(5),
                timeout: Duration::from_secs(10),
                redirects_max: crate::base::limits::REDIRECTS_MAX,
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
            evidence: TsaEvidence::IssuedSince,
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
        // One minute of tolerance; the stated accuracy of 1.5 s adds nothing.
        for (seconds, accepted) in [(-61, false), (-60, true), (60, true), (61, false)] {
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
    fn a_time_that_is_hardly_known_proves_nothing() {
        // One minute of tolerance; the half second is beside it.
        for (seconds, accepted) in [(59, true), (60, false), (100, false)] {
            let world = world();
            world.stamping("first", world.tsa(), move |stamp| {
                stamp.accuracy_seconds = seconds;
            });
            let verdict = world.trust().timestamp(b"", &mut Vec::new());
            assert_eq!(verdict.is_ok(), accepted, "{seconds} {verdict:?}");
            if let Err(failure) = verdict {
                assert!(matches!(failure, TrustError::Inaccurate { .. }));
                assert_eq!((failure.class(), failure.is_transient()), ("tsa", true));
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
