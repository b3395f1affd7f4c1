//! The integration tests, in one binary.

mod c14n;
mod gateway;
mod pades;
mod softhsm;
mod token;
mod xades;
