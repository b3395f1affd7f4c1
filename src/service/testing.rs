//! What the tests of this module share.

use crate::base::Uuid4;
use crate::outbox::tests::new;
use crate::outbox::{New, Outbox};

/// A document handed in.
pub(super) fn receive(outbox: &Outbox) -> Uuid4 {
    let uuid = Uuid4::random();
    let new = New {
        signer: None,
        xml: b"xml".to_vec(),
        pdf: None,
        ..new(uuid, 0)
    };
    outbox.receive(new).unwrap();
    uuid
}
