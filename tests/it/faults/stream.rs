//! A reader of `GET /v1/events`, and the tests of the stream itself.

use crate::crash::Paper;
use crate::daemon::{Daemon, Setup, until};
use sceau::base::limits::{EVENT_STREAMS_MAX, EVENT_STREAMS_PROGRAM_MAX};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A message of the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub event: String,
    pub id: Option<i64>,
    pub data: Value,
}

/// An open stream.
pub struct Events {
    reader: RefCell<BufReader<TcpStream>>,
}

impl Events {
    /// Opens a stream; it must be one, once places of ended ones are free again.
    pub fn follow(daemon: &Daemon, token: &str, after: Option<i64>) -> Self {
        let after = after.map(|id| id.to_string());
        until("a stream is opened", || {
            let (status, events) = Self::ask(daemon, token, after.as_deref());
            (status == 200).then_some(events)
        })
    }

    /// Asks for a stream; its status.
    pub fn ask(daemon: &Daemon, token: &str, after: Option<&str>) -> (u16, Self) {
        let address = daemon.endpoint().trim_start_matches("http://").to_owned();
        let mut stream = TcpStream::connect(&address).unwrap();
        let limit = Some(Duration::from_secs(60));
        stream.set_read_timeout(limit).unwrap();
        let after = after.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
        let request = format!(
            "GET /v1/events HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n{after}\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        while !line.trim().is_empty() {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        let reader = RefCell::new(reader);
        (status, Self { reader })
    }

    /// The next message; `None` when the stream has ended.
    pub fn next(&self) -> Option<Message> {
        let (mut event, mut id, mut data) = (String::new(), None, None);
        loop {
            let mut line = String::new();
            let read = self.reader.borrow_mut().read_line(&mut line);
            if read.expect("an event comes in time") == 0 {
                return None;
            }
            // Each message is one chunk: lines between are sizes of chunks.
            match line.trim_end().split_once(": ") {
                Some(("event", value)) => event = value.to_owned(),
                Some(("id", value)) => id = Some(value.parse().unwrap()),
                Some(("data", value)) => data = Some(serde_json::from_str(value).unwrap()),
                Some(_) | None => {}
            }
            if let (true, Some(data)) = (line.trim().is_empty(), data.clone()) {
                return Some(Message { event, id, data });
            }
        }
    }

    /// The code of the problem that came instead.
    fn problem(&self) -> String {
        let mut text = String::new();
        let mut reader = self.reader.borrow_mut();
        while !text.contains("\n}") {
            assert!(reader.read_line(&mut text).unwrap() > 0, "{text}");
        }
        let problem: Value = serde_json::from_str(&text).unwrap();
        problem["code"].as_str().unwrap().to_owned()
    }

    /// Reads to the end; whether it is that of a whole answer.
    fn ends(&self) -> bool {
        let mut rest = String::new();
        self.reader.borrow_mut().read_to_string(&mut rest).unwrap();
        rest.ends_with("0\r\n\r\n")
    }

    /// Reads on to the next message of this name for which `wanted` holds.
    pub fn next_of(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.next().expect("the stream goes on");
            if message.event == name && wanted(&message.data) {
                return message.data;
            }
        }
    }
}

/// The words of the steps of one document, up to `last`.
fn steps(events: &Events, uuid: &str, last: &str) -> Vec<(i64, String)> {
    let mut all = Vec::new();
    loop {
        let message = events.next().expect("the stream goes on");
        if message.event != "submission" || message.data["uuid"] != uuid {
            continue;
        }
        assert!(message.data["detail"]["calls"].is_null(), "{message:?}");
        assert_eq!(message.data["form"], "memoire-honoraires");
        assert!(message.data["at"].is_string() && message.data["state"].is_string());
        let word = message.data["event"].as_str().unwrap().to_owned();
        all.push((message.id.unwrap(), word.clone()));
        if word == last {
            return all;
        }
    }
}

#[test]
fn steps_come_in_order_and_whoever_broke_off_misses_none() {
    let folder = tempfile::tempdir().unwrap();
    let (sandbox, daemon) = super::start(folder.path());
    let events = Events::follow(&daemon, daemon.token(), None);
    let first = events.next().unwrap();
    assert_eq!(
        (first.event.as_str(), first.data),
        ("conditions", json!([]))
    );
    let begin = first
        .id
        .expect("even one that breaks off now knows where it was");

    let paper = Paper::new();
    paper.hand_in(&daemon);
    let live = steps(&events, &paper.uuid, "receipted");
    let submission = paper.look(&daemon);
    let words: Vec<String> = live.iter().map(|(_, word)| word.clone()).collect();
    assert_eq!(words, crate::crash::words(&submission));
    assert!(live.windows(2).all(|two| two[0].0 < two[1].0), "{live:?}");
    assert!(live[0].0 > begin);
    paper.ends_well(&daemon, &sandbox);

    // From any place on, also by another connection and after a restart.
    daemon.stop();
    assert!(events.ends(), "a stop ends the stream as a stream ends");
    let daemon = Daemon::start(folder.path(), &sandbox, &Setup::default());
    for (place, (id, _)) in live.iter().enumerate().take(live.len() - 1) {
        let again = Events::follow(&daemon, daemon.token(), Some(*id));
        assert_eq!(again.next().unwrap().id, Some(*id));
        assert_eq!(steps(&again, &paper.uuid, "receipted"), live[place + 1..]);
    }
    // A number nobody gave out: of a restored backup, or of another place.
    let strange = Events::follow(&daemon, daemon.token(), Some(1 << 40));
    assert_eq!(strange.next().unwrap().event, "conditions");
    let missed = strange.next().unwrap();
    assert_eq!(
        (missed.event.as_str(), &missed.data["after"]),
        ("missed", &json!(1_i64 << 40))
    );
    assert_eq!(Events::ask(&daemon, daemon.token(), Some("first")).0, 400);
    assert_eq!(Events::ask(&daemon, "sceau_0", None).0, 401);
}

#[test]
fn a_bound_program_follows_its_own_alone_until_it_is_unpaired() {
    let folder = tempfile::tempdir().unwrap();
    let (sandbox, daemon) = super::start(folder.path());
    let paired = daemon.command(&["pair", "bound", "--practitioner", "90000002"]);
    let token = String::from_utf8(paired.stdout).unwrap().trim().to_owned();
    let bound = Events::follow(&daemon, &token, Some(0));
    let all = Events::follow(&daemon, daemon.token(), Some(0));
    // Somebody else's account, and somebody else's document.
    super::fails(&sandbox, "account", "refuse", None);
    let paper = Paper::new();
    paper.hand_in(&daemon);
    let fault = all.next_of("condition", |c| c["name"] == "account-blocked");
    assert_eq!(
        fault["scope"],
        json!({ "kind": "practitioner", "name": "90000001" })
    );
    let shown = super::begins(&daemon, "account-blocked", "practitioner");
    assert!(
        shown["scope"]["name"].is_null() && shown["detail"].is_null(),
        "{shown:#}"
    );
    sandbox.calm();
    paper.hurry(&daemon);
    paper.ends_well(&daemon, &sandbox);
    // What is about everybody reaches it; then it is nobody any more.
    super::fails(&sandbox, "tsa", "unavailable", None);
    Paper::new().hand_in(&daemon);
    let next = || {
        let message = bound.next().unwrap();
        (message.event, message.data["name"].clone())
    };
    let told = [next(), next()];
    let expected = [
        ("conditions".to_owned(), Value::Null),
        ("condition".to_owned(), json!("tsa-down")),
    ];
    assert_eq!(told, expected);
    assert!(daemon.command(&["unpair", "bound"]).status.success());
    Paper::new().hand_in(&daemon);
    assert_eq!(bound.next(), None);
}

#[test]
fn whoever_is_unpaired_hears_of_no_further_fault() {
    let folder = tempfile::tempdir().unwrap();
    let (sandbox, daemon) = super::start(folder.path());
    let paired = daemon.command(&["pair", "bound", "--practitioner", "90000002"]);
    let token = String::from_utf8(paired.stdout).unwrap().trim().to_owned();
    let bound = Events::follow(&daemon, &token, None);
    assert_eq!(bound.next().unwrap().event, "conditions");
    assert!(daemon.command(&["unpair", "bound"]).status.success());
    // A fault that no document's step announces.
    super::fails(&sandbox, "tsa", "unavailable", None);
    let letter = ("application/xml", b"<letter/>".to_vec());
    let target = "/v1/signatures?practitioner=90000001&level=XAdES-B-T&slot=end-of-root";
    let answer = daemon.send_as(daemon.token(), target, letter);
    assert_eq!(answer.status, 503);
    super::begins(&daemon, "tsa-down", "authority");
    assert_eq!(bound.next(), None);
}

#[test]
fn streams_are_few_and_a_place_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let (_sandbox, daemon) = super::start(folder.path());
    let program = |n: usize| {
        let paired = daemon.command(&["pair", &format!("program-{n}")]);
        String::from_utf8(paired.stdout).unwrap().trim().to_owned()
    };
    let all = EVENT_STREAMS_MAX / EVENT_STREAMS_PROGRAM_MAX;
    let programs: Vec<String> = (0..=all).map(program).collect();
    let mut open = Vec::new();
    for token in &programs[..all] {
        let follow = || Events::follow(&daemon, token, None);
        open.extend((0..EVENT_STREAMS_PROGRAM_MAX).map(|_| follow()));
        // One program alone does not take them all.
        let (status, refused) = Events::ask(&daemon, token, None);
        assert_eq!((status, &*refused.problem()), (503, "too-many-streams"));
    }
    assert_eq!(open.len(), EVENT_STREAMS_MAX);
    assert_eq!(Events::ask(&daemon, &programs[all], None).0, 503);
    // Others are served all the same.
    assert_eq!(daemon.get("/v1/health")["status"], "ok");
    drop(open.pop());
    until("a place is free", || {
        let (status, events) = Events::ask(&daemon, &programs[all], None);
        (status == 200).then_some(events)
    });
}
