//! Sizes and times: refused early, refused cheaply, with the limit named.

use super::raw::{self, Answer};
use super::{DEPOT, Service};
use crate::daemon::Setup;
use sceau::base::limits;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A request head of exactly this many bytes, for GET /v1/forms.
fn head_of(service: &Service, bytes: usize) -> String {
    let port = service.port;
    let start = format!(
        "GET /v1/forms HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
         Authorization: Bearer {}\r\nX-Filler: ",
        service.program
    );
    let filler = "x".repeat(bytes - start.len() - 4);
    format!("{start}{filler}\r\n\r\n")
}

fn post_head(service: &Service, more: &str) -> String {
    let port = service.port;
    format!(
        "POST {DEPOT} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/xml\r\n\
         Authorization: Bearer {}\r\n{more}\r\n",
        service.program
    )
}

#[test]
fn heads_bodies_and_connections_have_limits() {
    let service = Service::start(&Setup::default());
    // Beside the others, because it takes ten seconds.
    let started = Instant::now();
    let mut slow = raw::connect(service.port);
    slow.write_all(b"GET /v1/health HTTP/1.1\r\nHost: 127")
        .unwrap();
    let slow = std::thread::spawn(move || (raw::read(&mut slow), started.elapsed()));

    let mut stalled = raw::connect(service.port);
    let head = post_head(&service, "Content-Length: 100\r\n");
    stalled.write_all(format!("{head}<").as_bytes()).unwrap();
    let stalled = std::thread::spawn(move || (raw::read(&mut stalled), started.elapsed()));

    heads(&service);
    declared_bodies(&service);
    undeclared_bodies(&service);
    framing(&service);
    connections(&service);

    let (answer, elapsed) = slow.join().unwrap();
    assert!(
        answer.is_none_or(|a| a.status == 408),
        "a slow head was answered"
    );
    let limit = Duration::from_secs(limits::HEAD_SECONDS_MAX);
    let fits = elapsed >= limit && elapsed < limit + Duration::from_secs(20);
    assert!(fits, "a slow head ended after {elapsed:?}");
    let (answer, elapsed) = stalled.join().unwrap();
    let answer = answer.unwrap();
    assert_eq!((answer.status, &*answer.problem()), (400, "body-malformed"));
    let text = answer.json()["detail"].to_string();
    assert!(text.contains("nothing moved for 30 s"), "{text}");
    let limit = Duration::from_secs(limits::STANDSTILL_SECONDS_MAX);
    let fits = elapsed >= limit && elapsed < limit + Duration::from_secs(20);
    assert!(fits, "a body that stood still ended after {elapsed:?}");
    assert_eq!(service.get("/v1/health").status, 200);
}

fn heads(service: &Service) {
    let send = |bytes| raw::send(service.port, head_of(service, bytes).as_bytes());
    assert_eq!(send(limits::HEAD_BYTES_MAX - 1024).status, 200);
    assert_eq!(send(limits::HEAD_BYTES_MAX + 1024).status, 431);
    // A client that never ends its head is cut off, not remembered.
    let mut stream = raw::connect(service.port);
    let _ = stream.write_all(&b"x".repeat(4 * limits::HEAD_BYTES_MAX));
    let answer = raw::read(&mut stream);
    assert!(answer.is_none_or(|a| [400, 431].contains(&a.status)));
}

#[track_caller]
fn too_large(answer: &Answer) {
    assert_eq!(answer.status, 413, "{answer:?}");
    assert_eq!(answer.problem(), "body-too-large");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.contains(&limits::BODY_BYTES_MAX.to_string()),
        "{detail}"
    );
}

fn declared_bodies(service: &Service) {
    let length = limits::BODY_BYTES_MAX + 1;
    let close = "Connection: close\r\n";
    // A client that asks first is refused before it sends a byte of it.
    let head = format!("Content-Length: {length}\r\nExpect: 100-continue\r\n{close}");
    let started = Instant::now();
    too_large(&raw::send(
        service.port,
        post_head(service, &head).as_bytes(),
    ));
    assert!(started.elapsed() < Duration::from_secs(5));
    // One that sends at once gets to read the answer, not a reset.
    let head = format!("Content-Length: {length}\r\n{close}");
    let mut request = post_head(service, &head).into_bytes();
    request.resize(request.len() + length, b' ');
    too_large(&raw::send(service.port, &request));
    // A body of just the limit is read: what is wrong with it is its content.
    let head = format!("Content-Length: {}\r\n{close}", length - 1);
    let mut request = post_head(service, &head).into_bytes();
    request.resize(request.len() + length - 1, b' ');
    let answer = raw::send(service.port, &request);
    assert_eq!(answer.problem(), "document-invalid");
    assert_eq!(answer.json()["faults"][0]["code"], "xml.limit");
    // Without a token nothing of a body is read.
    let head = format!("Content-Length: {length}\r\n{close}");
    let head = post_head(service, &head).replace(&service.program, "sceau_0");
    assert_eq!(raw::send(service.port, head.as_bytes()).status, 401);
}

fn undeclared_bodies(service: &Service) {
    let head = post_head(
        service,
        "Transfer-Encoding: chunked\r\nConnection: close\r\n",
    );
    let mut stream = raw::connect(service.port);
    stream.write_all(head.as_bytes()).unwrap();
    let mut chunk = format!("{:x}\r\n", 1 << 20).into_bytes();
    chunk.resize(chunk.len() + (1 << 20), b' ');
    chunk.extend_from_slice(b"\r\n");
    let mut sent = 0;
    // Only as much as it takes to pass the limit.
    while sent <= limits::BODY_BYTES_MAX && stream.write_all(&chunk).is_ok() {
        sent += 1 << 20;
    }
    too_large(&raw::read(&mut stream).unwrap());
}

/// Requests whose end two readers could place differently.
fn framing(service: &Service) {
    let refused = [
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 1, 2\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
    ];
    for head in refused {
        let answer = raw::send(service.port, post_head(service, head).as_bytes());
        assert_eq!(answer.status, 400, "{head}");
    }
    // Both a length and chunks: the chunks count, and the connection ends, so
    // that nothing behind them is taken for a second request (RFC 9112 §6.1).
    for head in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    ] {
        let hidden = head_of(service, 1024);
        let request = format!("{}0\r\n\r\n{hidden}", post_head(service, head));
        let answer = raw::send(service.port, request.as_bytes());
        assert_eq!(answer.problem(), "document-invalid", "{head}");
        assert_eq!(answer.header("connection"), Some("close"), "{head}");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!text.contains("HTTP/1.1"), "a second answer: {text}");
    }
}

/// Connections over the limit wait; they are served once one ends.
fn connections(service: &Service) {
    let open = || raw::connect(service.port);
    let idle: Vec<TcpStream> = (0..limits::CONNECTIONS_MAX).map(|_| open()).collect();
    let mut waiting = open();
    waiting
        .write_all(head_of(service, 1024).as_bytes())
        .unwrap();
    waiting
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let early = waiting.read(&mut [0; 1]).map_err(|e| e.kind());
    let blocked = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
    assert!(early.is_err_and(|kind| blocked.contains(&kind)));
    drop(idle);
    waiting
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    assert_eq!(raw::read(&mut waiting).unwrap().status, 200);
}
