//! The integration tests, in one binary.

mod c14n;
mod gateway;
mod softhsm;
mod token;
mod xades;
