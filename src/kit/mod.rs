//! The contract tests for practice software: a recording proxy in front of a
//! real service that makes things go wrong, and a judge of what the software
//! does then. What is right stands in `docs/integrator.md`; each case says it
//! in one sentence.

mod proxy;
mod report;
mod trial;

pub use proxy::{KitError, Proxy};
pub use report::{Outcome, junit, text};
pub use trial::{Seen, Trial, fresh_uuids};
