//! The integration tests, in one binary.

mod c14n;
mod sandbox;
mod pades;
mod gateway;
mod softhsm;
mod token;
mod xades;

mod forms;
