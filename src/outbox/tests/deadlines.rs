//! Deadlines of timestamps, and what followers are told.

use super::*;
use std::sync::mpsc;

const HOUR: Duration = Duration::from_secs(3600);

/// Rests where `state` says, with these bodies.
fn rests(f: &Fixture, outbox: &Outbox, state: State, bodies: &[Kind]) -> Uuid4 {
    let uuid = Uuid4::random();
    outbox.receive(new(uuid, 1)).unwrap();
    rest_again(f, outbox, uuid, state, bodies);
    uuid
}

fn rest_again(f: &Fixture, outbox: &Outbox, uuid: Uuid4, state: State, bodies: &[Kind]) {
    outbox.retry_now(uuid).unwrap();
    // Others may be due as well: they are held for a minute.
    let claimed = || outbox.claim(Stage::Intake).unwrap().unwrap();
    let lease = std::iter::repeat_with(claimed).find(|lease| lease.record.uuid == uuid);
    let lease = lease.unwrap();
    let bodies = bodies.iter().map(|kind| (*kind, b"signed".to_vec()));
    let step = Prepared {
        state,
        bodies: bodies.collect(),
        events: vec![],
        wait: matches!(state, State::Received | State::Signed).then(|| wait("unreachable")),
    };
    let record = outbox.prepared(lease, step).unwrap();
    assert_eq!(record.updated_at, f.clock.now());
}

fn with_deadline() -> (Fixture, Outbox) {
    let f = fixture();
    let outbox = open_with(f.folder.path(), f.clock.clone());
    (f, outbox.with_stamp_within(Some(HOUR)))
}

#[test]
fn a_deadline_that_has_passed_is_told_once_and_lowers_nothing() {
    let (f, outbox) = with_deadline();
    let unsigned = rests(&f, &outbox, State::Received, &[]);
    f.clock.set(at(10));
    let signed = rests(&f, &outbox, State::Signed, &[Kind::Document]);
    f.clock.set(at(20));
    let pdf = rests(&f, &outbox, State::Received, &[Kind::Pdf]);
    let stamped = rests(&f, &outbox, State::Stamped, &[Kind::Document]);
    let records = || {
        let all = [unsigned, signed, pdf, stamped];
        all.map(|uuid| outbox.find(uuid).unwrap().unwrap())
    };
    let deadlines = outbox.deadlines(&records()).unwrap();
    let expected = [(signed, at(3610)), (pdf, at(3620))];
    assert_eq!(deadlines, HashMap::from(expected));

    f.clock.set(at(3609));
    assert_eq!(outbox.overdue().unwrap(), None);
    // Another try is no new signature.
    rest_again(&f, &outbox, signed, State::Signed, &[Kind::Document]);
    for seconds in [3610, 3615, 3700] {
        f.clock.set(at(seconds));
        assert_eq!(outbox.overdue().unwrap(), Some(at(3610)), "{seconds}");
    }
    let told = |uuid| {
        words(&outbox, uuid)
            .iter()
            .filter(|w| *w == "stamp-overdue")
            .count()
    };
    assert_eq!([unsigned, signed, pdf, stamped].map(told), [0, 1, 1, 0]);
    assert_eq!(outbox.find(signed).unwrap().unwrap().state, State::Signed);

    rest_again(&f, &outbox, signed, State::Ready, &[Kind::Document]);
    assert_eq!(outbox.overdue().unwrap(), Some(at(3620)));
    f.clock.set(at(3800));
    rest_again(&f, &outbox, pdf, State::Ready, &[Kind::Document]);
    assert_eq!(outbox.overdue().unwrap(), None);
    assert_eq!(outbox.deadlines(&records()).unwrap(), HashMap::new());
}

#[test]
fn a_clock_that_was_ahead_leaves_no_false_alarm() {
    let (f, outbox) = with_deadline();
    let uuid = rests(&f, &outbox, State::Signed, &[Kind::Document]);
    f.clock.set(at(10 * 366 * 86_400));
    assert!(outbox.overdue().unwrap().is_some());
    f.clock.set(at(60));
    assert_eq!(outbox.overdue().unwrap(), None);
    // The true deadline is still shown, and is an alarm again when it has passed.
    let record = outbox.find(uuid).unwrap().unwrap();
    assert_eq!(outbox.deadlines(&[record]).unwrap()[&uuid], at(3600));
    f.clock.set(at(3600));
    assert_eq!(outbox.overdue().unwrap(), Some(at(3600)));
}

#[test]
fn steps_are_read_in_pages_and_by_those_alone_who_may() {
    let f = fixture();
    let mine = Uuid4::random();
    f.outbox.receive(new(mine, 1)).unwrap();
    let theirs = New {
        code_prestataire: "90000002".into(),
        ..new(Uuid4::random(), 2)
    };
    f.outbox.receive(theirs).unwrap();
    let client = |practitioners: &[&str]| Client {
        name: "test".into(),
        paired_at: at(0),
        practitioners: practitioners.iter().map(|c| c.parse().unwrap()).collect(),
    };
    let newest = f.outbox.newest().unwrap();
    let all = f.outbox.steps_after(0, &client(&[])).unwrap();
    assert_eq!((all.steps.len(), all.upto), (4, newest));
    let own = f.outbox.steps_after(0, &client(&["90000001"])).unwrap();
    assert_eq!((own.steps.len(), own.upto), (2, newest));
    let subject = mine.to_string();
    assert!(own.steps.iter().all(|step| step.entry.subject == subject));
    let rest = f.outbox.steps_after(newest, &client(&[])).unwrap();
    assert_eq!((rest.steps.len(), rest.upto), (0, newest));

    for n in 0..limits::EVENTS_PAGE {
        f.outbox
            .receive(new(Uuid4::random(), u8::try_from(n % 250).unwrap() + 3))
            .unwrap();
    }
    let page = f
        .outbox
        .steps_after(newest, &client(&["90000002"]))
        .unwrap();
    let looked_at = newest + limits::EVENTS_PAGE;
    assert_eq!((page.steps.len(), page.upto), (0, looked_at));
}

#[test]
fn followers_hear_every_step_and_the_end() {
    let f = fixture();
    let (tell, told) = mpsc::channel();
    f.outbox
        .observe(move |record, _| tell.send((record.uuid, record.state)).unwrap());
    let mut bell = f.outbox.bell();
    let uuid = Uuid4::random();
    ready(&f.outbox, uuid);
    assert!(bell.has_changed().unwrap());
    bell.mark_unchanged();
    let lease = f.outbox.claim(Stage::Delivery).unwrap().unwrap();
    let claim = lease.claim();
    drop(f.outbox.begin_attempt(lease).unwrap());
    assert!(bell.has_changed().unwrap(), "the attempt is told");
    // A step that broke off is told when it is put back.
    f.outbox.abandon(claim);
    assert!(f.outbox.claim(Stage::Delivery).unwrap().is_none());
    let heard: Vec<_> = told.try_iter().collect();
    assert_eq!(heard, [(uuid, State::Ready), (uuid, State::Unknown)]);
    f.outbox.end_waits();
    assert_eq!(*bell.borrow_and_update(), None);
}

#[test]
fn what_waits_is_shown_in_the_order_of_its_last_tries() {
    let f = fixture();
    let (sent, unsigned) = (Uuid4::random(), Uuid4::random());
    ready(&f.outbox, sent);
    f.clock.set(at(10));
    let lease = f.outbox.claim(Stage::Delivery).unwrap().unwrap();
    let lease = f.outbox.begin_attempt(lease).unwrap();
    let down = Conclusion::Retry {
        after: Duration::ZERO,
        wait: wait("UNREACHABLE"),
    };
    f.outbox.conclude(lease, down, Evidence::default()).unwrap();
    f.outbox.receive(new(unsigned, 2)).unwrap();
    f.clock.set(at(20));
    let (tell, told) = mpsc::channel();
    f.outbox.observe(move |record, made| {
        let made: Vec<&str> = made.iter().map(|event| event.word).collect();
        tell.send((record.uuid, made)).unwrap();
    });
    let lease = f.outbox.claim(Stage::Intake).unwrap().unwrap();
    let signed = Event {
        word: "signed",
        at: at(20),
        detail: json!({}),
    };
    let step = Prepared {
        state: State::Signed,
        bodies: vec![],
        events: vec![signed],
        wait: Some(wait("unreachable")),
    };
    f.outbox.prepared(lease, step).unwrap();
    assert_eq!(told.try_recv(), Ok((unsigned, vec!["signed"])));
    let waiting = f.outbox.waiting().unwrap();
    let waiting: Vec<_> = waiting.iter().map(|r| (r.uuid, r.updated_at)).collect();
    assert_eq!(waiting, [(sent, at(10)), (unsigned, at(20))]);
}
