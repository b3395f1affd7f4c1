//! The integration tests, in one binary.

mod c14n;
mod cli;
mod crash;
mod daemon;
mod docs;
mod forms;
mod gateway;
mod layers;
mod outage;
mod pades;
mod sandbox;
mod softhsm;
mod token;
mod x509;
mod xades;
