//! Row 0: what every other module may lean on. Clock, randomness, typed ids,
//! secrets, limits, per-OS paths and atomic file writes live here and nowhere
//! else. No word of the insurance domain belongs in this module.

pub mod clock;
pub mod digest;
pub mod file;
pub mod hex;
pub mod hold;
pub mod ids;
pub mod limits;
pub mod paths;
pub mod random;
pub mod secret;

pub use clock::{Clock, SystemClock};
pub use ids::Uuid4;
pub use secret::Secret;
