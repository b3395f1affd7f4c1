//! The integration tests, in one binary.

mod c14n;
mod daemon;
mod forms;
mod gateway;
mod layers;
mod pades;
mod sandbox;
mod softhsm;
mod token;
mod x509;
mod xades;
