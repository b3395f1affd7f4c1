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
pub mod settings;

pub use clock::{Clock, SystemClock};
pub use ids::Uuid4;
pub use secret::Secret;

/// An error and its causes in one line, what repeats the line so far left out:
/// the outermost alone ("error sending request") tells nobody anything.
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let line = cause.to_string();
        if !text.contains(&line) {
            text.push_str(": ");
            text.push_str(&line);
        }
        next = cause.source();
    }
    text
}
