mod c14n;
mod gateway;
//! The integration tests, in one binary.

mod c14n;
mod softhsm;
mod token;
mod xades;
