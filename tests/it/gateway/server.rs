//! A tiny insurer over plain HTTP: good answers unless a test plans others.

use super::pki::{Answer, Kind, Party, Role, SOAP, WSSE};
use sceau::base::clock::rfc3339_seconds;
use sceau::base::{Clock, Secret};
use sceau::gateway::mysecu::transport::Transport;
use sceau::gateway::mysecu::{MySecu, Settings};
use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, OnceLock};
use time::{Duration, OffsetDateTime};

pub const IDENTITY: &str = "/identity";
pub const TOKEN: &str = "/token";
pub const EXCHANGE: &str = "/exchange";
pub const CONSUMER: &str = "https://consumer.invalid:7443";
pub const EHEALTH_ID: &str = "9000000001";
const WST: &str = "http://docs.oasis-open.org/ws-sx/ws-trust/200512";

/// A clock a test can move.
pub struct TestClock(Mutex<OffsetDateTime>);

impl Clock for TestClock {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap()
    }
}

/// Keys are made once for all tests: they take time.
pub struct Parties {
    pub root: Party,
    pub issuing: Party,
    pub signer: Party,
    pub transport: Party,
    pub stranger: Party,
}

pub fn parties() -> &'static Parties {
    static ONCE: OnceLock<Parties> = OnceLock::new();
    ONCE.get_or_init(|| {
        let root = Party::new("Test root", Kind::P256, Role::Authority, None);
        let issuing = Party::new("Test issuing", Kind::P256, Role::Authority, Some(&root));
        Parties {
            signer: Party::new("Test insurer", Kind::Rsa, Role::Signer, Some(&root)),
            transport: Party::new("Test transport", Kind::P256, Role::Signer, Some(&root)),
            stranger: Party::new("Test stranger", Kind::P256, Role::Signer, None),
            issuing,
            root,
        }
    })
}

pub enum Reply {
    Soap(String),
    Status(u16, &'static str, String),
    Drop,
    Huge,
}

type Plan = Box<dyn FnOnce(&World, &str) -> Reply + Send>;

pub struct Seen {
    pub path: String,
    pub action: String,
    pub body: String,
}

pub struct World {
    pub clock: Arc<TestClock>,
    pub url: String,
    plans: Mutex<HashMap<&'static str, VecDeque<Plan>>>,
    seen: Mutex<Vec<Seen>>,
}

impl World {
    pub fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let now = time::macros::datetime!(2026-10-01 12:00:00 UTC);
        let world = Arc::new(Self {
            clock: Arc::new(TestClock(Mutex::new(now))),
            url: format!("http://{}", listener.local_addr().unwrap()),
            plans: Mutex::default(),
            seen: Mutex::default(),
        });
        let shared = Arc::clone(&world);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let world = Arc::clone(&shared);
                std::thread::spawn(move || world.serve(&stream));
            }
        });
        world
    }

    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    pub fn advance(&self, by: Duration) {
        *self.clock.0.lock().unwrap() += by;
    }

    /// What the next unplanned request to `path` gets.
    pub fn plan(
        &self,
        path: &'static str,
        plan: impl FnOnce(&World, &str) -> Reply + Send + 'static,
    ) {
        let mut plans = self.plans.lock().unwrap();
        plans.entry(path).or_default().push_back(Box::new(plan));
    }

    /// Takes the requests seen so far.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    pub fn paths(&self) -> Vec<String> {
        self.seen().into_iter().map(|s| s.path).collect()
    }

    pub fn settings(&self) -> Settings {
        let p = parties();
        let second = std::time::Duration::from_secs(10);
        Settings {
            identity_url: format!("{}{IDENTITY}", self.url),
            token_url: format!("{}{TOKEN}", self.url),
            exchange_url: format!("{}{EXCHANGE}", self.url),
            assertion_consumer: CONSUMER.to_owned(),
            transport: transport(&p.transport.pem()),
            tls_anchors_pem: Vec::new(),
            answer_anchors: vec![p.root.cert.clone()],
            connect_timeout: second,
            timeout: second,
        }
    }

    pub fn gateway(&self) -> MySecu {
        MySecu::new(self.settings(), self.clock.clone()).unwrap()
    }

    fn serve(&self, stream: &TcpStream) {
        let Some((path, action, body)) = read_request(stream) else {
            return;
        };
        let plan = {
            self.seen.lock().unwrap().push(Seen {
                path: path.clone(),
                action,
                body: body.clone(),
            });
            let mut plans = self.plans.lock().unwrap();
            plans.get_mut(path.as_str()).and_then(VecDeque::pop_front)
        };
        let reply = match plan {
            Some(plan) => plan(self, &body),
            None if body.is_empty() => Reply::Status(405, "", String::new()),
            None => Reply::Soap(self.good(&path, &body).build()),
        };
        write_reply(stream, reply);
    }

    /// The answer of an insurer in good health.
    pub fn good(&self, path: &str, request: &str) -> Answer<'static> {
        let content = match path {
            IDENTITY => self.response(&in_response_to(request), &Assertion::new(self.now())),
            TOKEN => self.collection(self.now() + Duration::minutes(30)),
            _ => info("<r:retour xmlns:r=\"urn:test:retour\"><r:id>42</r:id></r:retour>"),
        };
        Answer::new(&parties().signer, self.now(), content)
    }

    pub fn response(&self, in_response_to: &str, assertion: &Assertion) -> String {
        // The prefix saml2 is declared here and not on the assertion: it must
        // follow the assertion when that is carried elsewhere.
        format!(
            "<saml2p:Response xmlns:saml2p=\"urn:oasis:names:tc:SAML:2.0:protocol\" ID=\"r1\" \
             InResponseTo=\"{in_response_to}\" IssueInstant=\"{}\" Version=\"2.0\"><saml2p:Status>\
             <saml2p:StatusCode Value=\"{}\"></saml2p:StatusCode></saml2p:Status>\
             {}</saml2p:Response>",
            rfc3339_seconds(self.now()),
            assertion.status,
            assertion.xml()
        )
    }

    pub fn collection(&self, expires: OffsetDateTime) -> String {
        format!(
            "<wst:RequestSecurityTokenResponseCollection xmlns:wst=\"{WST}\">\
             <wst:RequestSecurityTokenResponse><wst:TokenType>http://ws.mySecu.lu/trust/token/bst\
             </wst:TokenType><wst:RequestedSecurityToken><wsse:BinarySecurityToken \
             xmlns:wsse=\"{WSSE}\" ValueType=\"http://ws.mySecu.lu/trust/token/bst\">b3BhcXVl\
             </wsse:BinarySecurityToken></wst:RequestedSecurityToken><wst:Lifetime>\
             <wsu:Created>{}</wsu:Created><wsu:Expires>{}</wsu:Expires></wst:Lifetime>\
             </wst:RequestSecurityTokenResponse></wst:RequestSecurityTokenResponseCollection>",
            rfc3339_seconds(self.now()),
            rfc3339_seconds(expires),
        )
    }
}

/// A SAML assertion; tests bend its fields.
pub struct Assertion {
    pub status: &'static str,
    pub not_before: OffsetDateTime,
    pub not_on_or_after: OffsetDateTime,
    pub audience: &'static str,
    pub ehealth_id: &'static str,
}

impl Assertion {
    pub fn new(now: OffsetDateTime) -> Self {
        Self {
            status: "urn:oasis:names:tc:SAML:2.0:status:Success",
            not_before: now,
            not_on_or_after: now + Duration::hours(4),
            audience: CONSUMER,
            ehealth_id: EHEALTH_ID,
        }
    }

    pub fn xml(&self) -> String {
        format!(
            "<saml2:Assertion xmlns:saml2=\"urn:oasis:names:tc:SAML:2.0:assertion\" \
             ID=\"assertion-1\" Version=\"2.0\"><saml2:Issuer>Test identity provider</saml2:Issuer>\
             <saml2:Conditions NotBefore=\"{}\" NotOnOrAfter=\"{}\"><saml2:AudienceRestriction>\
             <saml2:Audience>{}</saml2:Audience></saml2:AudienceRestriction></saml2:Conditions>\
             <saml2:AttributeStatement><saml2:Attribute Name=\"psEHealthID\">\
             <saml2:AttributeValue>{}</saml2:AttributeValue></saml2:Attribute>\
             </saml2:AttributeStatement></saml2:Assertion>",
            rfc3339_seconds(self.not_before),
            rfc3339_seconds(self.not_on_or_after),
            self.audience,
            self.ehealth_id
        )
    }
}

pub fn transport(pem: &str) -> Transport {
    Transport::from_pem(&Secret::new(pem.as_bytes().to_vec())).unwrap()
}

/// The exchange's body around a payload.
pub fn info(payload: &str) -> String {
    format!(
        "<sync:ResponseInfo xmlns:sync=\"urn:sceau:mysecu:exchange:1\" modelUID=\"TEST-1\">\
         {payload}</sync:ResponseInfo>"
    )
}

/// A fault with a code and perhaps a `sync:FaultDetail`.
pub fn fault(faultcode: &str, detail: Option<&str>) -> String {
    let detail = detail.map(|code| {
        format!(
            "<detail><s:FaultDetail xmlns:s=\"urn:sceau:mysecu:exchange:1\"><s:code>{code}</s:code>\
             <s:text>said of 1900010112345</s:text></s:FaultDetail></detail>"
        )
    });
    format!(
        "<e:Envelope xmlns:e=\"{SOAP}\" xmlns:wsse=\"{WSSE}\" xmlns:wst=\"{WST}\">\
         <e:Header><!-- Correlation-ID: fault-1 --></e:Header><e:Body><e:Fault>\
         <faultcode>{faultcode}</faultcode><faultstring>said of 1900010112345</faultstring>{}\
         </e:Fault></e:Body></e:Envelope>",
        detail.unwrap_or_default()
    )
}

fn in_response_to(request: &str) -> String {
    let after = request.split_once(" ID=\"").unwrap().1;
    after.split_once('"').unwrap().0.to_owned()
}

/// The id a good answer to this request must name.
pub fn request_id(request: &str) -> String {
    in_response_to(request)
}

fn read_request(stream: &TcpStream) -> Option<(String, String, String)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut length, mut action) = (0, String::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "soapaction" => action = value.to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, action, String::from_utf8(body).ok()?))
}

fn write_reply(mut stream: &TcpStream, reply: Reply) {
    let (status, extra, body) = match reply {
        Reply::Soap(body) => (200, "", body.into_bytes()),
        Reply::Status(status, extra, body) => (status, extra, body.into_bytes()),
        Reply::Huge => (200, "", vec![b' '; (32 << 20) + 1]),
        Reply::Drop => return,
    };
    let head = format!(
        "HTTP/1.1 {status} Test\r\nContent-Type: text/xml\r\nConnection: close\r\n{extra}\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    // The client may have gone; then there is nobody to tell.
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(&body);
}
