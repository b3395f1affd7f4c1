use super::*;
use crate::base::Secret;
use crate::base::clock::FixedClock;
use crate::store::Settings;

struct Fixture {
    folder: tempfile::TempDir,
    outbox: Outbox,
}

impl Fixture {
    /// The same outbox as another worker sees it, `seconds` after its opening.
    fn later(&self, seconds: i64) -> Outbox {
        Outbox {
            store: self.outbox.store.clone(),
            clock: Arc::new(FixedClock(at(seconds))),
            lease: Duration::from_secs(60),
            changed: Mutex::new(0),
            wake: Condvar::new(),
        }
    }
}

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000 + seconds).unwrap()
}

fn open(folder: &std::path::Path, now: OffsetDateTime) -> Outbox {
    let settings = Settings {
        folder: folder.to_owned(),
        key_file: None,
    };
    let store = Arc::new(Store::open(&settings, &migrations()).unwrap());
    Outbox::open(store, Arc::new(FixedClock(now)), Duration::from_secs(60)).unwrap()
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path(), at(0));
    Fixture { folder, outbox }
}

fn new(uuid: Uuid4, content: u8) -> New {
    New {
        uuid,
        form: "memoire-honoraires".into(),
        version: "2".into(),
        operation: "depot".into(),
        code_prestataire: "90000001".into(),
        client: "test".into(),
        request_sha256: [content; 32],
        xml: vec![content; 10],
        pdf: b"pdf".to_vec(),
        detail: json!({}),
    }
}

fn ready(outbox: &Outbox, uuid: Uuid4) {
    outbox.receive(new(uuid, 1)).unwrap();
    let lease = outbox.claim(Stage::Intake).unwrap().unwrap();
    let step = Prepared {
        state: State::Ready,
        bodies: vec![(Kind::Document, b"signed".to_vec())],
        events: vec![],
        wait: None,
    };
    outbox.prepared(lease, step).unwrap();
}

fn wait(code: &str) -> Wait {
    Wait {
        class: "network".into(),
        code: code.into(),
        text: "text".into(),
    }
}

fn words(outbox: &Outbox, uuid: Uuid4) -> Vec<String> {
    let history = outbox.history(uuid).unwrap();
    history.into_iter().map(|entry| entry.event).collect()
}

#[test]
fn same_uuid_same_bytes_is_the_same_submission_and_other_bytes_conflict() {
    let f = fixture();
    let uuid = Uuid4::random();
    let Accepted::Fresh(first) = f.outbox.receive(new(uuid, 1)).unwrap() else {
        panic!("a new UUID is fresh");
    };
    let again = f.outbox.receive(new(uuid, 1)).unwrap();
    assert_eq!(again, Accepted::Already(first));
    let other = f.outbox.receive(new(uuid, 2));
    assert!(matches!(other, Err(OutboxError::Conflict(u)) if u == uuid));
}

#[test]
fn an_accepted_document_survives_and_its_bytes_come_back() {
    let f = fixture();
    let uuid = Uuid4::random();
    f.outbox.receive(new(uuid, 7)).unwrap();
    let Fixture { folder, outbox } = f;
    drop(outbox);
    let outbox = open(folder.path(), at(1));
    let record = outbox.find(uuid).unwrap().unwrap();
    assert_eq!(record.state, State::Received);
    let xml = outbox.body(uuid, Kind::RequestXml).unwrap().unwrap();
    assert_eq!(xml, vec![7; 10]);
}

#[test]
fn a_lease_keeps_others_away_until_it_ends() {
    let f = fixture();
    f.outbox.receive(new(Uuid4::random(), 1)).unwrap();
    assert!(f.outbox.claim(Stage::Intake).unwrap().is_some());
    assert!(f.outbox.claim(Stage::Intake).unwrap().is_none());
    assert!(f.outbox.claim(Stage::Delivery).unwrap().is_none());
    let later = f.later(61);
    assert!(later.claim(Stage::Intake).unwrap().is_some());
}

#[test]
fn a_signer_that_was_overtaken_changes_nothing() {
    let f = fixture();
    let uuid = Uuid4::random();
    f.outbox.receive(new(uuid, 1)).unwrap();
    let step = |bytes: &[u8]| Prepared {
        state: State::Ready,
        bodies: vec![(Kind::Document, bytes.to_vec())],
        events: vec![],
        wait: None,
    };
    let slow = f.outbox.claim(Stage::Intake).unwrap().unwrap();
    let later = f.later(61);
    let fast = later.claim(Stage::Intake).unwrap().unwrap();
    later.prepared(fast, step(b"fast")).unwrap();
    let late = f.outbox.prepared(slow, step(b"slow"));
    assert!(matches!(late, Err(OutboxError::LeaseLost(u)) if u == uuid));
    let document = f.outbox.body(uuid, Kind::Document).unwrap().unwrap();
    assert_eq!(document, b"fast");
}

#[test]
fn a_sender_that_was_overtaken_sends_nothing_and_undoes_no_verdict() {
    let f = fixture();
    let uuid = Uuid4::random();
    ready(&f.outbox, uuid);
    let slow = f.outbox.claim(Stage::Delivery).unwrap().unwrap();
    let later = f.later(61);
    let fast = later.claim(Stage::Delivery).unwrap().unwrap();
    let fast = later.begin_attempt(fast).unwrap();
    let late = f.outbox.begin_attempt(slow);
    assert!(matches!(late, Err(OutboxError::LeaseLost(_))));

    // Nor does the first attempt's end count after a question was answered.
    let latest = f.later(122);
    let asker = latest.claim(Stage::Delivery).unwrap().unwrap();
    assert_eq!(asker.record.state, State::Unknown);
    let accepted = Conclusion::Receipted { insurer_id: None };
    latest
        .conclude(asker, accepted, Evidence::default())
        .unwrap();
    let lost = Conclusion::Unknown { wait: wait("lost") };
    let late = later.conclude(fast, lost, Evidence::default());
    assert!(matches!(late, Err(OutboxError::LeaseLost(_))));
    let record = f.outbox.find(uuid).unwrap().unwrap();
    assert_eq!(record.state, State::Receipted);
    assert_eq!(
        words(&f.outbox, uuid),
        ["received", "checked", "sending", "unknown", "receipted"]
    );
}

#[test]
fn work_in_hand_does_not_delay_what_is_due_soon() {
    let f = fixture();
    let (first, second) = (Uuid4::random(), Uuid4::random());
    ready(&f.outbox, first);
    let _busy = f.outbox.claim(Stage::Delivery).unwrap().unwrap();
    ready(&f.outbox, second);
    // One worker is at the first for long; the second is due within a second.
    let lease = f.outbox.claim(Stage::Delivery).unwrap().unwrap();
    let retry = Conclusion::Retry {
        after: Duration::ZERO,
        wait: wait("connect"),
    };
    f.outbox
        .conclude(lease, retry, Evidence::default())
        .unwrap();
    let started = std::time::Instant::now();
    let mut seen = *f.outbox.changed.lock().unwrap();
    f.outbox
        .wait(Stage::Delivery, &mut seen, Duration::from_secs(20));
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_crash_while_sending_means_unknown_not_ready() {
    let f = fixture();
    let uuid = Uuid4::random();
    ready(&f.outbox, uuid);
    let lease = f.outbox.claim(Stage::Delivery).unwrap().unwrap();
    let lease = f.outbox.begin_attempt(lease).unwrap();
    drop(lease);
    let outbox = open(f.folder.path(), at(1));
    let record = outbox.find(uuid).unwrap().unwrap();
    assert_eq!(record.state, State::Unknown);
    assert_eq!(record.wait.unwrap().code, "interrupted");
    assert_eq!(
        words(&outbox, uuid),
        ["received", "checked", "sending", "unknown"]
    );
    let claimed = outbox.claim(Stage::Delivery).unwrap().unwrap();
    assert_eq!(claimed.record.state, State::Unknown);
}

#[test]
fn a_retry_keeps_the_bytes_and_waits_at_least_as_long_as_told() {
    let f = fixture();
    let uuid = Uuid4::random();
    ready(&f.outbox, uuid);
    let lease = f.outbox.claim(Stage::Delivery).unwrap().unwrap();
    let lease = f.outbox.begin_attempt(lease).unwrap();
    let conclusion = Conclusion::Retry {
        after: Duration::from_secs(60),
        wait: wait("connect"),
    };
    let record = f
        .outbox
        .conclude(lease, conclusion, Evidence::default())
        .unwrap();
    assert_eq!(record.state, State::Ready);
    assert!(record.due_at.unwrap() >= at(60));
    assert!(f.outbox.claim(Stage::Delivery).unwrap().is_none());
    let document = f.outbox.body(uuid, Kind::Document).unwrap().unwrap();
    assert_eq!(document, b"signed");
    let record = f.outbox.retry_now(uuid).unwrap().unwrap();
    assert_eq!(record.due_at, Some(at(0)));
}

#[test]
fn a_verdict_is_final_and_keeps_answer_and_ids() {
    let f = fixture();
    let uuid = Uuid4::random();
    ready(&f.outbox, uuid);
    let lease = f.outbox.claim(Stage::Delivery).unwrap().unwrap();
    let lease = f.outbox.begin_attempt(lease).unwrap();
    let conclusion = Conclusion::Receipted {
        insurer_id: Some("S-1".into()),
    };
    let evidence = Evidence {
        correlation_id: Some("c-1".into()),
        answer: Some(b"<answer/>".to_vec()),
        envelope: None,
    };
    let record = f.outbox.conclude(lease, conclusion, evidence).unwrap();
    assert_eq!(record.state, State::Receipted);
    assert_eq!(record.due_at, None);
    assert_eq!(record.insurer_id.as_deref(), Some("S-1"));
    assert_eq!(f.outbox.retry_now(uuid).unwrap().unwrap().due_at, None);
    assert!(f.outbox.claim(Stage::Delivery).unwrap().is_none());
    let answer = f.outbox.body(uuid, Kind::Answer).unwrap().unwrap();
    assert_eq!(answer, b"<answer/>");
}

#[test]
fn a_replaced_body_leaves_no_file_behind() {
    let f = fixture();
    let uuid = Uuid4::random();
    f.outbox.receive(new(uuid, 1)).unwrap();
    let lease = f.outbox.claim(Stage::Intake).unwrap().unwrap();
    let step = |state, wait| Prepared {
        state,
        bodies: vec![(Kind::Document, b"level".to_vec())],
        events: vec![],
        wait,
    };
    f.outbox
        .prepared(lease, step(State::Signed, Some(wait("tsa-unreachable"))))
        .unwrap();
    f.outbox.retry_now(uuid).unwrap();
    let lease = f.outbox.claim(Stage::Intake).unwrap().unwrap();
    assert_eq!(lease.record.state, State::Signed);
    f.outbox.prepared(lease, step(State::Ready, None)).unwrap();
    let files = std::fs::read_dir(f.folder.path().join("bodies")).unwrap();
    assert_eq!(files.count(), 3, "request XML, request PDF, one document");
    assert_eq!(words(&f.outbox, uuid), ["received", "checked", "waiting"]);
}

#[test]
fn backoff_grows_to_its_limit_and_never_to_nothing() {
    for tries in 1..40 {
        let pause = backoff(tries, BACKOFF_MAX);
        assert!(pause >= BACKOFF_MIN / 2 && pause <= BACKOFF_MAX, "{tries}");
    }
    assert!(backoff(30, BACKOFF_MAX) >= BACKOFF_MAX / 2);
    assert!(backoff(30, TOKEN_PAUSE_MAX) <= TOKEN_PAUSE_MAX);
}

#[test]
fn only_the_last_token_of_a_paired_program_opens() {
    let f = fixture();
    let clock = FixedClock(at(0));
    let text = |s: &Secret| String::from_utf8(s.expose().to_vec()).unwrap();
    let first = text(&Client::pair(&f.outbox.store, &clock, "cabinet").unwrap());
    let second = text(&Client::pair(&f.outbox.store, &clock, "cabinet").unwrap());
    let found = |token: &str| Client::authenticate(&f.outbox.store, token).unwrap();
    assert_eq!(found(&first), None);
    assert_eq!(found(&second).unwrap().name, "cabinet");
    assert_eq!(found(""), None);
}
