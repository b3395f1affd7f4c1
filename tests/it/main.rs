//! The integration tests, in one binary.

mod softhsm;
mod token;
