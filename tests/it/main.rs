//! The integration tests, in one binary.

mod c14n;
mod forms;
mod sandbox;
mod gateway;
mod layers;
mod pades;
mod softhsm;
mod token;
mod x509;
mod xades;
