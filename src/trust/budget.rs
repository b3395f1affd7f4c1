//! How much may be asked for a document of a stranger: its certificates name the
//! addresses, so it must not decide how often and for how long this machine asks.

use super::Trust;
use crate::base::limits;
use crate::http;
use std::time::{Duration, Instant};

/// What is left of the calls to the outside for one report, and of their time.
#[derive(Debug)]
pub struct Budget {
    calls_left: usize,
    end: Instant,
    exceeded: bool,
}

impl Budget {
    /// For one report ([`limits::REPORT_CALLS_MAX`],
    /// [`limits::REPORT_CALLS_SECONDS_MAX`]).
    pub fn of_report() -> Self {
        let seconds = Duration::from_secs(limits::REPORT_CALLS_SECONDS_MAX);
        Self {
            calls_left: limits::REPORT_CALLS_MAX,
            end: Instant::now() + seconds,
            exceeded: false,
        }
    }

    /// Whether a call was wanted that was not made: no other will be.
    pub fn is_exceeded(&self) -> bool {
        self.exceeded
    }

    /// By when the call has to end that is made now; `None`: it must not be.
    pub(super) fn take(&mut self) -> Option<Instant> {
        let left = self.calls_left.checked_sub(1);
        match left.filter(|_| Instant::now() < self.end) {
            Some(left) => {
                self.calls_left = left;
                Some(self.end)
            }
            None => {
                self.exceeded = true;
                None
            }
        }
    }
}

impl Trust {
    /// Whether an address that a stranger names may be asked: not when it is one
    /// of this machine or its network, unless a configured timestamp authority is
    /// on that host.
    pub(super) fn may_ask(&self, url: &str) -> bool {
        let host = http::host(url);
        let mut configured = self.settings.timestamp_authorities.iter();
        !http::is_inside_address(url) || configured.any(|tsa| http::host(&tsa.url) == host)
    }
}
