//! The guard matrix: every Host, every Origin, every token, each cell with its
//! status and code.

use super::raw::{self, Answer};
use super::{Service, pair};
use crate::daemon::Setup;

/// What the guard makes of one coordinate: nothing, or a refusal.
type Verdict = Option<(u16, &'static str)>;

const PASSES: Verdict = None;
const MALFORMED: Verdict = Some((400, "host-malformed"));
const MISDIRECTED: Verdict = Some((421, "host-refused"));
const WEB_PAGE: Verdict = Some((403, "origin-refused"));
const UNAUTHORIZED: Verdict = Some((401, "unauthorized"));

/// Request lines with their Host headers.
fn hosts(port: u16) -> Vec<(String, Verdict)> {
    let other = port ^ 1;
    let named = |host: String, verdict| {
        let text = format!("GET /v1/forms HTTP/1.1\r\nHost: {host}\r\n");
        (text, verdict)
    };
    let mut hosts = vec![
        named(format!("127.0.0.1:{port}"), PASSES),
        named(format!("localhost:{port}"), PASSES),
        named(format!("[::1]:{port}"), PASSES),
        named(format!("LocalHost:{port}"), PASSES),
    ];
    let foreign = [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        // Names that an attacker's DNS may point at 127.0.0.1.
        format!("127.0.0.1.rebind.example:{port}"),
        format!("localhost.rebind.example:{port}"),
        format!("rebind-localhost:{port}"),
        // Other writings of this machine.
        format!("localhost.:{port}"),
        format!("127.0.0.1.:{port}"),
        format!("0.0.0.0:{port}"),
        format!("[::]:{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("127.1:{port}"),
        format!("127.0.0.2:{port}"),
        format!("2130706433:{port}"),
        format!("0x7f.0.0.1:{port}"),
        // Ports.
        "127.0.0.1".to_owned(),
        "localhost".to_owned(),
        format!("127.0.0.1:{other}"),
        format!("127.0.0.1:0{port}"),
        "127.0.0.1:".to_owned(),
        // Tricks with the parts of an authority.
        format!("evil.example@127.0.0.1:{port}"),
        format!("127.0.0.1:{port}@evil.example"),
        format!("127.0.0.1:{port}, evil.example"),
        format!("127.0.0.1:{port}/"),
        String::new(),
    ];
    hosts.extend(foreign.map(|host| named(host, MISDIRECTED)));
    hosts.extend(request_lines(port));
    hosts
}

/// Other versions, several Host headers, absolute targets.
fn request_lines(port: u16) -> Vec<(String, Verdict)> {
    let good = format!("Host: 127.0.0.1:{port}\r\n");
    vec![
        ("GET /v1/forms HTTP/1.1\r\n".to_owned(), MALFORMED),
        ("GET /v1/forms HTTP/1.0\r\n".to_owned(), MALFORMED),
        (format!("GET /v1/forms HTTP/1.0\r\n{good}"), PASSES),
        (format!("GET /v1/forms HTTP/1.1\r\n{good}{good}"), MALFORMED),
        (
            format!("GET /v1/forms HTTP/1.1\r\n{good}Host: evil.example\r\n"),
            MALFORMED,
        ),
        // Absolute form: the authority of the target counts as well.
        (
            format!("GET http://127.0.0.1:{port}/v1/forms HTTP/1.1\r\n{good}"),
            PASSES,
        ),
        (
            format!("GET http://evil.example/v1/forms HTTP/1.1\r\n{good}"),
            MISDIRECTED,
        ),
        (
            format!("GET http://127.0.0.1:{port}@evil.example/v1/forms HTTP/1.1\r\n{good}"),
            MISDIRECTED,
        ),
        (
            format!(
                "GET http://127.0.0.1:{port}/v1/forms HTTP/1.1\r\nHost: evil.example:{port}\r\n"
            ),
            MISDIRECTED,
        ),
    ]
}

/// Headers that browsers add.
fn origins(port: u16) -> Vec<(String, Verdict)> {
    let origin = |value: String| (format!("Origin: {value}\r\n"), WEB_PAGE);
    let site = |value: &str, verdict| (format!("Sec-Fetch-Site: {value}\r\n"), verdict);
    vec![
        (String::new(), PASSES),
        origin("null".into()),
        origin(String::new()),
        origin("https://evil.example".into()),
        origin(format!("http://127.0.0.1:{port}.evil.example")),
        origin(format!("http://localhost:{port}.evil.example")),
        origin(format!("http://localhost:{}", port ^ 1)),
        // No page of ours exists that would call: our own is refused too.
        origin(format!("http://127.0.0.1:{port}")),
        site("cross-site", WEB_PAGE),
        site("same-site", WEB_PAGE),
        site("none", PASSES),
    ]
}

fn check(cell: &str, answer: &Answer, verdict: Verdict) {
    let grants = |(name, _): &&(String, String)| name.starts_with("access-control-");
    assert!(answer.headers.iter().find(grants).is_none(), "{cell}");
    match verdict {
        PASSES => assert_eq!(answer.status, 200, "{cell}: {answer:?}"),
        Some((status, code)) => {
            assert_eq!(answer.status, status, "{cell}: {answer:?}");
            assert_eq!(answer.problem(), code, "{cell}");
        }
    }
}

#[test]
fn every_cell_of_the_guard_matrix_has_its_status_and_code() {
    let service = Service::start(&Setup::default());
    let port = service.port;
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let short = &service.program[..service.program.len() - 1];
    let tokens = [
        (String::new(), UNAUTHORIZED),
        (bearer(""), UNAUTHORIZED),
        (bearer(short), UNAUTHORIZED),
        (bearer(&format!("{}0", service.program)), UNAUTHORIZED),
        (bearer(&service.administrator), UNAUTHORIZED),
        (
            format!("Authorization: Basic {}\r\n", service.program),
            UNAUTHORIZED,
        ),
        (bearer(&service.program), PASSES),
        // The scheme's name has no case, RFC 9110 §11.1.
        (
            format!("Authorization: bearer {}\r\n", service.program),
            PASSES,
        ),
    ];
    let mut cells = 0;
    for (host, host_verdict) in hosts(port) {
        for (origin, origin_verdict) in origins(port) {
            for (token, token_verdict) in &tokens {
                let cell = format!("{host}{origin}{token}");
                let request = format!("{cell}Connection: close\r\n\r\n");
                let answer = raw::send(port, request.as_bytes());
                let verdict = host_verdict.or(origin_verdict).or(*token_verdict);
                check(&cell, &answer, verdict);
                cells += 1;
            }
        }
    }
    assert_eq!(cells, 37 * 11 * 8);
    assert_eq!(pair(&service.daemon, "raw").len(), service.program.len());
    let void = service.get("/v1/forms");
    assert_eq!(void.problem(), "unauthorized", "pairing again voids");
}

/// What a page in a browser could try without a token: nothing is granted, and
/// the operations open to anyone are closed to pages as well.
#[test]
fn a_web_page_reads_and_triggers_nothing() {
    let service = Service::start(&Setup::default());
    let page = ("Origin", "https://evil.example");
    for target in ["/v1/health", "/v1/openapi.json"] {
        let answer = service.ask("GET", target, &[page], b"");
        check(target, &answer, WEB_PAGE);
        // An <img> sends no Origin, but says where it stands.
        let image = ("Sec-Fetch-Site", "cross-site");
        check(target, &service.ask("GET", target, &[image], b""), WEB_PAGE);
    }
    let preflight = [page, ("Access-Control-Request-Method", "POST")];
    let answer = service.ask("OPTIONS", super::DEPOT, &preflight, b"");
    check("preflight", &answer, WEB_PAGE);
    let upgrade = [
        page,
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let answer = service.ask("GET", "/v1/health", &upgrade, b"");
    check("web socket", &answer, WEB_PAGE);
    let form = [page, ("Content-Type", "text/plain")];
    let answer = service.ask("POST", "/v1/tokens/unlock", &form, b"{\"pin\":\"1\"}");
    check("form", &answer, WEB_PAGE);
    assert!(service.get("/v1/submissions").json() == serde_json::json!([]));
}
