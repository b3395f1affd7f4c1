//! A reader of `GET /v1/events`, and the tests of the stream itself.

use crate::daemon::Daemon;
use serde_json::Value;
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
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
    /// Opens a stream; it must be one.
    pub fn follow(daemon: &Daemon, token: &str, after: Option<i64>) -> Self {
        let after = after.map(|id| id.to_string());
        let (status, events) = Self::ask(daemon, token, after.as_deref());
        assert_eq!(status, 200);
        events
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
