//! Points at which a test can stop the process and kill it.
//!
//! With `SCEAU_HOLD_AT=<point>=<file>` a debug build that reaches `<point>`
//! creates `<file>` and then waits to be killed. Release builds hold nowhere.

/// Waits for ever when a test asked for this point; returns at once otherwise.
#[cfg(debug_assertions)]
pub fn point(name: &str) {
    let Some(wanted) = std::env::var_os("SCEAU_HOLD_AT") else {
        return;
    };
    let wanted = wanted.to_string_lossy();
    let Some((point, marker)) = wanted.split_once('=') else {
        return;
    };
    if point == name && std::fs::write(marker, name).is_ok() {
        loop {
            std::thread::park();
        }
    }
}

/// Release builds hold nowhere.
#[cfg(not(debug_assertions))]
pub fn point(_name: &str) {}
