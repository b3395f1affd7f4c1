//! What the tests of this module share.

use crate::base::Uuid4;
use crate::forms::EnvironmentKind;
use crate::outbox::{New, Outbox};

/// A document handed in.
pub(super) fn receive(outbox: &Outbox) -> Uuid4 {
    let uuid = Uuid4::random();
    let new = New {
        uuid,
        form: "memoire-honoraires".into(),
        version: "2".into(),
        operation: "depot".into(),
        code_prestataire: "90000001".into(),
        client: "test".into(),
        environment: "sandbox".into(),
        environment_kind: EnvironmentKind::Sandbox,
        signer: None,
        is_interactive: false,
        links: Vec::new(),
        request_sha256: [0; 32],
        xml: b"xml".to_vec(),
        pdf: None,
        facts: serde_json::json!([]),
        detail: serde_json::json!({}),
    };
    outbox.receive(new).unwrap();
    uuid
}
