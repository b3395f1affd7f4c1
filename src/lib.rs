//! Sceau: the local connector between practice software and the insurer.
//! Modules stand in rows; a module names only lower rows (see ARCHITECTURE.md,
//! enforced by `tests/it/layers.rs`).

// row 0
pub mod base;
// row 1
pub mod http;
pub mod pdf;
pub mod store;
pub mod x509;
pub mod xml;
// row 2
pub mod audit;
pub mod forms;
pub mod token;
pub mod trust;
// row 3
pub mod pades;
pub mod xades;
// row 4
pub mod validation;
// row 5
pub mod sign;
// row 6
pub mod gateway;
pub mod outbox;
// row 7
pub mod delivery;
pub mod intake;
// row 8
pub mod conditions;
pub mod evidence;
pub mod paper;
// row 9
pub mod api;
#[cfg(unix)]
pub mod inbox;
// row 10
pub mod config;
pub mod kit;
// row 11
pub mod service;
// row 12
pub mod cli;
