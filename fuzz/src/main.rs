//! One program for all targets: `SCEAU_FUZZ=<target>` chooses. `make fuzz`
//! builds it with coverage and runs one target after the other.
#![no_main]

mod targets;

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let wanted = std::env::var("SCEAU_FUZZ").unwrap_or_default();
    let found = targets::TARGETS.iter().find(|(name, _)| *name == wanted);
    match found {
        Some((_, target)) => *target,
        None => {
            let names: Vec<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
            panic!("SCEAU_FUZZ must be one of {}", names.join(", "))
        }
    }
});

fuzz_target!(|data: &[u8]| TARGET(data));
