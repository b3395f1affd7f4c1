//! The only home of randomness, besides version 4 UUIDs in [`super::ids`].

use aws_lc_rs::rand;
use std::time::Duration;

/// Random bytes from the operating system's generator.
///
/// # Panics
/// When the generator fails: nothing that needs randomness may go on then.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    rand::fill(&mut out).expect("the operating system's random generator failed");
    out
}

/// A duration drawn evenly from zero to `limit` ("full jitter").
pub fn jitter(limit: Duration) -> Duration {
    let draw = f64::from(u32::from_be_bytes(bytes::<4>())) / f64::from(u32::MAX);
    limit.mul_f64(draw)
}
