mod damaged;
mod deadlines;
mod full;
mod turns;

use super::*;
use crate::base::clock::FixedClock;
use crate::base::{Secret, limits};
use crate::forms::{CodePrestataire, EnvironmentKind};
use crate::store::Settings;
use tokio::sync::oneshot::error::TryRecvError;

/// A clock that a test sets.
struct SetClock(Mutex<OffsetDateTime>);

impl SetClock {
    fn set(&self, now: OffsetDateTime) {
        *self.0.lock().unwrap() = now;
    }
}

impl Clock for SetClock {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap()
    }
}

struct Fixture {
    folder: tempfile::TempDir,
    clock: Arc<SetClock>,
    outbox: Outbox,
}

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000 + seconds).unwrap()
}

fn open(folder: &std::path::Path, now: OffsetDateTime) -> Outbox {
    open_with(folder, Arc::new(FixedClock(now)))
}

fn open_with(folder: &std::path::Path, clock: Arc<dyn Clock>) -> Outbox {
    let settings = Settings {
        folder: folder.to_owned(),
        key_file: None,
    };
    let store = Arc::new(Store::open(&settings, &migrations()).unwrap());
    Outbox::open(store, clock, Duration::from_secs(60)).unwrap()
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(SetClock(Mutex::new(at(0))));
    let outbox = open_with(folder.path(), clock.clone());
    Fixture {
        folder,
        clock,
        outbox,
    }
}

pub(crate) fn new(uuid: Uuid4, content: u8) -> New {
    New {
        uuid,
        form: "memoire-honoraires".into(),
        version: "2".into(),
        operation: "depot".into(),
        code_prestataire: "90000001".into(),
        client: "test".into(),
        environment: "sandbox".into(),
        environment_kind: EnvironmentKind::Sandbox,
        signer: Some("90000001".into()),
        is_interactive: false,
        links: vec![],
        request_sha256: [content; 32],
        xml: vec![content; 10],
        pdf: Some(b"pdf".to_vec()),
        facts: json!([]),
        detail: json!({}),
    }
}

/// Too large for a row.
fn large(text: &[u8]) -> Vec<u8> {
    text.repeat(10_000)
}

fn ready(outbox: &Outbox, uuid: Uuid4) {
    outbox.receive(new(uuid, 1)).unwrap();
    climbed(outbox);
}

/// Brings the next document of intake to `Ready`.
fn climbed(outbox: &Outbox) {
    let lease = outbox.claim(Stage::Intake).unwrap().unwrap();
    let step = Prepared {
        state: State::Ready,
        bodies: vec![(Kind::Document, b"signed".to_vec())],
        events: vec![],
        wait: None,
    };
    outbox.prepared(lease, step).unwrap();
}

/// Sends the next document; its attempt ends so.
fn ended(outbox: &Outbox, conclusion: Conclusion) {
    let lease = outbox.claim(Stage::Delivery).unwrap().unwrap();
    let lease = outbox.begin_attempt(lease).unwrap();
    outbox
        .conclude(lease, conclusion, Evidence::default())
        .unwrap();
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
    // What was accepted for the sandbox has not been sent to anybody else.
    let mut elsewhere = new(uuid, 1);
    elsewhere.environment.push_str("-2");
    let other = f.outbox.receive(elsewhere);
    assert!(matches!(other, Err(OutboxError::Conflict(u)) if u == uuid));
}

#[test]
fn an_accepted_document_survives_and_its_bytes_come_back() {
    let f = fixture();
    let uuid = Uuid4::random();
    f.outbox.receive(new(uuid, 7)).unwrap();
    let Fixture { folder, outbox, .. } = f;
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
    f.clock.set(at(61));
    assert!(f.outbox.claim(Stage::Intake).unwrap().is_some());
}

#[test]
fn a_late_holder_of_a_lease_records_nothing() {
    let f = fixture();
    let uuid = Uuid4::random();
    f.outbox.receive(new(uuid, 1)).unwrap();
    let slow = f.outbox.claim(Stage::Intake).unwrap().unwrap();
    f.clock.set(at(61));
    let quick = f.outbox.claim(Stage::Intake).unwrap().unwrap();
    let step = |state, document: &[u8]| Prepared {
        state,
        bodies: vec![(Kind::Document, document.to_vec())],
        events: vec![],
        wait: None,
    };
    f.outbox
        .prepared(quick, step(State::Ready, &large(b"quick")))
        .unwrap();
    let late = step(State::Signed, &large(b"slow"));
    let late = f.outbox.prepared(slow, late);
    assert!(matches!(late, Err(OutboxError::LeaseLost(u)) if u == uuid));
    let record = f.outbox.find(uuid).unwrap().unwrap();
    assert_eq!(record.state, State::Ready);
    let document = f.outbox.body(uuid, Kind::Document).unwrap().unwrap();
    assert_eq!(document, large(b"quick"));
    let files = std::fs::read_dir(f.folder.path().join("bodies")).unwrap();
    assert_eq!(files.count(), 1, "one document");
}

#[test]
fn a_late_answer_to_a_question_does_not_undo_a_verdict() {
    let f = fixture();
    let uuid = Uuid4::random();
    unknown(&f, uuid);
    f.outbox.retry_now(uuid).unwrap();
    let slow = f.outbox.claim(Stage::Delivery).unwrap().unwrap();
    f.clock.set(at(61));
    let quick = f.outbox.claim(Stage::Delivery).unwrap().unwrap();
    let verdict = Conclusion::Receipted(Verdict::default());
    f.outbox
        .conclude(quick, verdict, Evidence::default())
        .unwrap();
    let not_arrived = Conclusion::Retry {
        after: Duration::ZERO,
        wait: wait("not-arrived"),
    };
    let late = f.outbox.conclude(slow, not_arrived, Evidence::default());
    assert!(matches!(late, Err(OutboxError::LeaseLost(_))));
    let record = f.outbox.find(uuid).unwrap().unwrap();
    assert_eq!((record.state, record.due_at), (State::Receipted, None));
}

#[test]
fn an_attempt_is_not_begun_on_a_lost_lease() {
    let f = fixture();
    ready(&f.outbox, Uuid4::random());
    let slow = f.outbox.claim(Stage::Delivery).unwrap().unwrap();
    f.clock.set(at(61));
    let quick = f.outbox.claim(Stage::Delivery).unwrap().unwrap();
    assert!(matches!(
        f.outbox.begin_attempt(slow),
        Err(OutboxError::LeaseLost(_))
    ));
    assert!(f.outbox.begin_attempt(quick).is_ok());
}

#[test]
fn an_abandoned_attempt_is_asked_about_without_a_restart() {
    let f = fixture();
    let uuid = Uuid4::random();
    ready(&f.outbox, uuid);
    let lease = f.outbox.claim(Stage::Delivery).unwrap().unwrap();
    let claim = lease.claim();
    drop(f.outbox.begin_attempt(lease).unwrap());
    f.outbox.abandon(claim);
    assert!(f.outbox.claim(Stage::Delivery).unwrap().is_none());
    let record = f.outbox.find(uuid).unwrap().unwrap();
    assert_eq!((record.state, record.tries), (State::Unknown, 1));
    f.clock.set(at(2));
    let asked = f.outbox.claim(Stage::Delivery).unwrap().unwrap();
    assert_eq!(asked.record.state, State::Unknown);
}

#[test]
fn an_abandoned_step_makes_way_for_others_and_comes_back() {
    let f = fixture();
    let (bad, good) = (Uuid4::random(), Uuid4::random());
    f.outbox.receive(new(bad, 1)).unwrap();
    let lease = f.outbox.claim(Stage::Intake).unwrap().unwrap();
    f.outbox.abandon(lease.claim());
    f.outbox.receive(new(good, 1)).unwrap();
    let lease = f.outbox.claim(Stage::Intake).unwrap().unwrap();
    assert_eq!(lease.record.uuid, good);
    f.clock.set(at(2));
    let lease = f.outbox.claim(Stage::Intake).unwrap().unwrap();
    assert_eq!((lease.record.uuid, lease.record.tries), (bad, 1));
}

#[test]
fn an_abandoned_claim_does_not_touch_what_was_concluded_after_all() {
    let f = fixture();
    let uuid = Uuid4::random();
    ready(&f.outbox, uuid);
    let lease = f.outbox.claim(Stage::Delivery).unwrap().unwrap();
    let claim = lease.claim();
    let verdict = Conclusion::Receipted(Verdict::default());
    f.outbox
        .conclude(lease, verdict, Evidence::default())
        .unwrap();
    f.outbox.abandon(claim);
    assert!(f.outbox.claim(Stage::Delivery).unwrap().is_none());
    let record = f.outbox.find(uuid).unwrap().unwrap();
    assert_eq!((record.state, record.due_at), (State::Receipted, None));
}

#[test]
fn a_clock_that_was_set_back_puts_nothing_off() {
    let f = fixture();
    let uuid = Uuid4::random();
    f.clock.set(at(86_400 * 365));
    unknown(&f, uuid);
    f.clock.set(at(0));
    let claimed = f.outbox.claim(Stage::Delivery).unwrap();
    assert_eq!(claimed.unwrap().record.uuid, uuid);
}

#[test]
fn a_clock_that_was_set_back_between_two_runs_puts_nothing_off() {
    let f = fixture();
    f.clock.set(at(86_400 * 365));
    unknown(&f, Uuid4::random());
    let outbox = open(f.folder.path(), at(0));
    assert!(outbox.claim(Stage::Delivery).unwrap().is_some());
}

#[test]
fn a_held_submission_does_not_hide_when_the_next_is_due() {
    let f = fixture();
    let (held, next) = (Uuid4::random(), Uuid4::random());
    f.outbox.receive(new(held, 1)).unwrap();
    let _lease = f.outbox.claim(Stage::Intake).unwrap().unwrap();
    f.clock.set(at(1));
    f.outbox.receive(new(next, 1)).unwrap();
    let due = f
        .outbox
        .store
        .read(|c| rows::next_due(c, Stage::Intake.into()));
    assert_eq!(due.unwrap(), Some(at(1)));
}

#[test]
fn a_document_that_is_lost_each_time_is_sent_less_and_less_often() {
    let f = fixture();
    let uuid = Uuid4::random();
    ready(&f.outbox, uuid);
    for round in 1..=5 {
        f.outbox.retry_now(uuid).unwrap();
        let lease = f.outbox.claim(Stage::Delivery).unwrap().unwrap();
        let lease = f.outbox.begin_attempt(lease).unwrap();
        let lost = Conclusion::Unknown { wait: wait("lost") };
        f.outbox.conclude(lease, lost, Evidence::default()).unwrap();
        f.outbox.retry_now(uuid).unwrap();
        let lease = f.outbox.claim(Stage::Delivery).unwrap().unwrap();
        let not_arrived = Conclusion::Retry {
            after: Duration::ZERO,
            wait: wait("not-arrived"),
        };
        let record = f
            .outbox
            .conclude(lease, not_arrived, Evidence::default())
            .unwrap();
        assert_eq!(record.tries, 2 * round);
    }
    let record = f.outbox.find(uuid).unwrap().unwrap();
    assert!(record.due_at.unwrap() >= at(15 * 60 / 4));
}

/// A submission whose only attempt ended without an answer.
fn unknown(f: &Fixture, uuid: Uuid4) {
    ready(&f.outbox, uuid);
    let lease = f.outbox.claim(Stage::Delivery).unwrap().unwrap();
    let lease = f.outbox.begin_attempt(lease).unwrap();
    let lost = Conclusion::Unknown { wait: wait("lost") };
    f.outbox.conclude(lease, lost, Evidence::default()).unwrap();
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
    let conclusion = Conclusion::Receipted(Verdict {
        insurer_id: Some("S-1".into()),
        ..Verdict::default()
    });
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
        bodies: vec![(Kind::Document, large(b"level"))],
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
    assert_eq!(files.count(), 1, "one document");
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
    let store = &f.outbox.store;
    let code: CodePrestataire = "90000001".parse().unwrap();
    let first = text(&Client::pair(store, &clock, "cabinet", &[code]).unwrap());
    let found = |token: &str| Client::authenticate(store, token).unwrap();
    let bound = found(&first).unwrap();
    assert!(bound.may("90000001") && !bound.may("90000002"));
    let second = text(&Client::pair(store, &clock, "cabinet", &[]).unwrap());
    assert_eq!(found(&first), None);
    assert_eq!(found(&second).unwrap().name, "cabinet");
    assert!(found(&second).unwrap().may("90000002"));
    assert_eq!(found(""), None);

    assert_eq!(Client::list(store).unwrap(), [found(&second).unwrap()]);
    assert!(!Client::unpair(store, &clock, "other").unwrap());
    assert!(Client::unpair(store, &clock, "cabinet").unwrap());
    assert_eq!(found(&second), None);
}

#[test]
fn the_words_of_a_refusal_are_shown_but_never_in_clear_on_disk() {
    let f = fixture();
    let uuid = Uuid4::random();
    ready(&f.outbox, uuid);
    let lease = f.outbox.claim(Stage::Delivery).unwrap().unwrap();
    let lease = f.outbox.begin_attempt(lease).unwrap();
    let reasons = json!([{ "code": "A17", "text": "Canari Patientin is not insured" }]);
    let refused = Conclusion::Rejected(Verdict {
        insurer_id: None,
        codes: vec!["A17".into()],
        reading: json!({ "anomalies": reasons }),
    });
    f.outbox
        .conclude(lease, refused, Evidence::default())
        .unwrap();
    let history = f.outbox.history(uuid).unwrap();
    let last = history.last().unwrap();
    assert_eq!(last.event, "rejected");
    assert_eq!(last.detail, json!({ "codes": ["A17"], "reasons": reasons }));
    let mut read = 0;
    for folder in [f.folder.path().to_owned(), f.folder.path().join("bodies")] {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            assert!(!bytes.windows(6).any(|w| w == b"Canari"), "{entry:?}");
            read += bytes.len();
        }
    }
    assert!(read > 0);
}

#[test]
fn a_request_is_found_by_its_digest() {
    let f = fixture();
    let uuid = Uuid4::random();
    f.outbox.receive(new(uuid, 1)).unwrap();
    let found = f.outbox.find_request(&[1; 32]).unwrap().unwrap();
    assert_eq!(found.uuid, uuid);
    assert_eq!(f.outbox.find_request(&[2; 32]).unwrap(), None);
}

/// Accepts a document that names others and brings it to its verdict.
fn concluded(f: &Fixture, uuid: Uuid4, links: &[Link], verdict: Conclusion) {
    receive(f, uuid, links).unwrap();
    climbed(&f.outbox);
    let lease = f.outbox.claim(Stage::Delivery).unwrap().unwrap();
    assert_eq!(lease.record.uuid, uuid);
    let lease = f.outbox.begin_attempt(lease).unwrap();
    f.outbox
        .conclude(lease, verdict, Evidence::default())
        .unwrap();
}

fn receive(f: &Fixture, uuid: Uuid4, links: &[Link]) -> Result<Accepted, OutboxError> {
    let links = links.to_vec();
    f.outbox.receive(New {
        links,
        ..new(uuid, 1)
    })
}

fn receipt(id: &str) -> Conclusion {
    Conclusion::Receipted(Verdict {
        insurer_id: Some(id.into()),
        ..Verdict::default()
    })
}

fn link(name: Name) -> Link {
    Link {
        name,
        once: Some("annulation".into()),
    }
}

#[test]
fn of_two_documents_that_name_the_same_once_the_first_stands_until_it_is_refused() {
    let f = fixture();
    let [deposit, first, second, third] = [(); 4].map(|()| Uuid4::random());
    concluded(&f, deposit, &[], receipt("S-1"));
    let by_id = link(Name::insurer_id("S-1"));
    let by_uuid = link(Name::uuid(&deposit.to_string().to_uppercase()));
    receive(&f, first, std::slice::from_ref(&by_id)).unwrap();
    for again in [&by_id, &by_uuid] {
        let refused = receive(&f, second, std::slice::from_ref(again));
        assert!(
            matches!(refused, Err(OutboxError::Standing { link: 0, by }) if by == first),
            "{refused:?}"
        );
    }
    assert_eq!(f.outbox.find(second).unwrap(), None);
    climbed(&f.outbox);
    let lease = f.outbox.claim(Stage::Delivery).unwrap().unwrap();
    let refused = Conclusion::Rejected(Verdict::default());
    f.outbox
        .conclude(lease, refused, Evidence::default())
        .unwrap();
    receive(&f, third, &[by_uuid]).unwrap();
    let record = f.outbox.find(deposit).unwrap().unwrap();
    assert_eq!(f.outbox.referring(&record).unwrap(), [third]);
}

#[test]
fn ids_of_the_insurer_are_compared_as_they_are_but_a_uuid_however_it_is_written() {
    let f = fixture();
    // Of another version than those of documents.
    let given = "F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6";
    let [deposit, small, first, second] = [(); 4].map(|()| Uuid4::random());
    concluded(&f, deposit, &[], receipt(given));
    concluded(&f, small, &[], receipt("s-1"));
    let of = |id: &str| link(Name::insurer_id(id));
    let scope = f.outbox.find(deposit).unwrap().unwrap();
    let named = |id: &str| -> Vec<Uuid4> {
        let found = f.outbox.named(scope.scope(), &of(id).name).unwrap();
        found.iter().map(|record| record.uuid).collect()
    };
    assert_eq!(named(given), [deposit]);
    assert_eq!(named(&given.to_lowercase()), [deposit]);
    assert_eq!((named("s-1"), named("S-1")), (vec![small], vec![]));

    receive(&f, first, &[of(given)]).unwrap();
    let again = receive(&f, second, &[of(&given.to_lowercase())]);
    assert!(
        matches!(again, Err(OutboxError::Standing { by, .. }) if by == first),
        "{again:?}"
    );
    assert_eq!(f.outbox.referring(&scope).unwrap(), [first]);
    // Of documents that are not here too.
    let elsewhere = "0B5E2A3C-1111-4222-8333-444455556666";
    receive(&f, second, &[of(elsewhere), of("x-1")]).unwrap();
    let third = Uuid4::random();
    let again = receive(&f, third, &[of(&elsewhere.to_lowercase())]);
    assert!(
        matches!(again, Err(OutboxError::Standing { .. })),
        "{again:?}"
    );
    receive(&f, third, &[of("X-1")]).unwrap();
}

#[test]
fn of_many_that_race_for_the_same_document_one_is_accepted() {
    let f = fixture();
    let deposit = Uuid4::random();
    concluded(&f, deposit, &[], receipt("S-1"));
    let names = [Name::insurer_id("S-1"), Name::uuid(&deposit.to_string())];
    let fresh = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..8)
            .map(|n| {
                let (f, name) = (&f, names[n % 2].clone());
                scope.spawn(move || receive(f, Uuid4::random(), &[link(name)]).is_ok())
            })
            .collect();
        let won = racers.into_iter().map(|racer| racer.join().unwrap());
        won.filter(|won| *won).count()
    });
    assert_eq!(fresh, 1);
}

#[test]
fn the_same_id_elsewhere_is_another_document() {
    let f = fixture();
    concluded(&f, Uuid4::random(), &[], receipt("S-1"));
    let by_id = [link(Name::insurer_id("S-1"))];
    receive(&f, Uuid4::random(), &by_id).unwrap();
    let elsewhere = New {
        environment: "other".into(),
        links: by_id.to_vec(),
        ..new(Uuid4::random(), 1)
    };
    let other_sender = New {
        code_prestataire: "90000002".into(),
        links: by_id.to_vec(),
        ..new(Uuid4::random(), 1)
    };
    let Accepted::Fresh(record) = f.outbox.receive(elsewhere).unwrap() else {
        panic!("another environment is another place");
    };
    assert_eq!(f.outbox.links(&record).unwrap(), [(by_id[0].clone(), None)]);
    let named = f.outbox.named(record.scope(), &by_id[0].name).unwrap();
    assert_eq!(named, []);
    f.outbox.receive(other_sender).unwrap();
}

#[test]
fn what_somebody_waits_for_goes_first_and_has_a_queue_of_its_own() {
    let f = fixture();
    let desk = Queue {
        stage: Stage::Intake,
        interactive: true,
    };
    let [first, second, asked, again] = [(); 4].map(|()| Uuid4::random());
    f.outbox.receive(new(first, 1)).unwrap();
    assert!(f.outbox.claim(desk).unwrap().is_none());
    let due = f.outbox.store.read(|c| rows::next_due(c, desk));
    assert_eq!(due.unwrap(), None);
    f.clock.set(at(1));
    for uuid in [asked, again] {
        let interactive = New {
            is_interactive: true,
            ..new(uuid, 1)
        };
        f.outbox.receive(interactive).unwrap();
        f.clock.set(at(2));
    }
    f.outbox.receive(new(second, 1)).unwrap();
    let claim = |queue: Queue| f.outbox.claim(queue).unwrap().unwrap().record.uuid;
    assert_eq!(claim(Stage::Intake.into()), asked);
    assert_eq!(claim(desk), again);
    assert_eq!(claim(Stage::Intake.into()), first);
    assert_eq!(claim(Stage::Intake.into()), second);
}

#[test]
fn waits_end_with_the_verdict_or_the_service_and_are_few() {
    let f = fixture();
    let uuid = Uuid4::random();
    let mut verdict = f.outbox.ending("own", uuid).unwrap();
    let mut other = f.outbox.ending("other", Uuid4::random()).unwrap();
    concluded(&f, uuid, &[], receipt("S-1"));
    assert_eq!(verdict.try_recv(), Ok(()));
    assert!(other.try_recv().is_err_and(|e| e == TryRecvError::Empty));
    let hold = |program: &str| -> Vec<_> {
        let all = std::iter::from_fn(|| f.outbox.ending(program, uuid));
        all.take(limits::WAITERS_MAX).collect()
    };
    let held = hold("greedy");
    assert_eq!(held.len(), limits::WAITERS_PROGRAM_MAX);
    let rest = hold("other");
    assert!(!rest.is_empty(), "one program starves another");
    let _third = hold("third");
    assert!(f.outbox.ending("fourth", uuid).is_none());
    drop(held);
    let again = f.outbox.ending("greedy", uuid);
    assert!(again.is_some(), "those gone give way");
    f.outbox.end_waits();
    assert!(other.try_recv().is_err_and(|e| e == TryRecvError::Closed));
}

#[test]
fn a_bound_program_lists_only_what_is_its_practitioners() {
    let f = fixture();
    let (own, foreign) = (Uuid4::random(), Uuid4::random());
    f.outbox.receive(new(own, 1)).unwrap();
    let other = New {
        code_prestataire: "90000002".into(),
        ..new(foreign, 2)
    };
    f.outbox.receive(other).unwrap();
    let listed = |codes: &[&str]| {
        let client = Client {
            name: "test".into(),
            paired_at: at(0),
            practitioners: codes.iter().map(|code| code.parse().unwrap()).collect(),
        };
        let records = f.outbox.list(9, None, &client).unwrap();
        records.into_iter().map(|r| r.uuid).collect::<Vec<_>>()
    };
    assert_eq!(listed(&[]).len(), 2);
    assert_eq!(listed(&["90000001"]), [own]);
    assert_eq!(listed(&["90000002", "90000003"]), [foreign]);
    assert!(listed(&["90000003"]).is_empty());
}
