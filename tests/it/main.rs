//! The integration tests, in one binary.

mod api;
mod audit;
mod c14n;
#[cfg(target_os = "linux")] // pcscd and its virtual reader
mod card;
mod cli;
#[cfg(target_os = "linux")] // looks processes up in /proc
mod crash;
mod daemon;
mod delegates;
mod discretion;
mod docs;
mod dropin;
mod evidence;
#[cfg(target_os = "linux")] // uses `crash`
mod faults;
mod forms;
mod fuzzed;
mod gateway;
#[cfg(target_os = "linux")] // measures in /proc
mod hostile;
#[cfg(unix)]
mod inbox;
mod keys;
mod kit;
mod layers;
mod operations;
#[cfg(target_os = "linux")] // uses `crash`
mod outage;
mod packs;
mod pades;
mod paper;
mod people;
mod random;
mod sandbox;
#[cfg(debug_assertions)] // is led through `base::hold`
mod settled;
mod simulation;
mod softhsm;
#[cfg(target_os = "linux")] // preloads a failing disk
mod store;
mod token;
mod x509;
mod xades;
mod xsd;
