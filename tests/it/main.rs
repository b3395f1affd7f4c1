//! The integration tests, in one binary.

mod c14n;
mod forms;
mod gateway;
mod pades;
mod sandbox;
mod softhsm;
mod token;
mod xades;
