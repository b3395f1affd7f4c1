//! The integration tests, in one binary.

mod c14n;
mod sandbox;
mod gateway;
mod pades;
mod softhsm;
mod token;
mod x509;
mod xades;

mod forms;
