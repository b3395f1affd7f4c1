//! What a full disk and a count that is wrong leave behind.

use super::*;

#[test]
fn a_commit_without_room_leaves_no_file() {
    let f = fixture();
    let staged = || {
        let staged = std::fs::read_dir(f.folder.path().join("staged"));
        staged.unwrap().count()
    };
    let mut next = new(Uuid4::random(), 1);
    next.xml = large(b"<memoire/>");
    f.outbox.receive(next).unwrap();
    // As large as it is now, and no larger.
    let pages = |wanted: u32| {
        let pages = f.outbox.store.read(|c| {
            c.pragma_update(None, "max_page_count", wanted)
                .map_err(StoreError::sql("bound"))
        });
        pages.unwrap();
    };
    pages(1);
    let mut refused = new(Uuid4::random(), 2);
    refused.xml = large(b"<autre/>");
    refused.pdf = Some(vec![1; 14_000]);
    let refused = f.outbox.receive(refused).unwrap_err();
    assert_eq!(refused.class(), Class::Full, "{refused:?}");
    assert_eq!(staged(), 0);
    let lease = f.outbox.claim(Stage::Intake).unwrap().unwrap();
    let bodies = [
        (Kind::Document, large(b"signed")),
        (Kind::Pdf, vec![1; 14_000]),
    ];
    let step = Prepared {
        state: State::Ready,
        bodies: bodies.into(),
        events: vec![],
        wait: None,
    };
    let refused = f.outbox.prepared(lease, step).unwrap_err();
    assert_eq!(refused.class(), Class::Full, "{refused:?}");
    assert_eq!(staged(), 0);
}

#[test]
fn a_count_of_open_documents_that_is_too_low_stays_at_none() {
    let f = fixture();
    ready(&f.outbox, Uuid4::random());
    f.outbox.open.store(0, Ordering::Relaxed);
    ended(&f.outbox, Conclusion::Receipted(Verdict::default()));
    assert_eq!(f.outbox.open.load(Ordering::Relaxed), 0);
}
