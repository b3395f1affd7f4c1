//! (see ARCHITECTURE.md)
pub mod c14n;
