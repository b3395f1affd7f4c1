//! `Prefer: wait` (RFC 7240 §4.3): the answer when it comes in time.

use super::problem::Problem;
use super::{Api, blocking};
use crate::base::limits;
use crate::outbox::Record;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;
use std::time::Duration;

const PREFER: &str = "prefer";
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// How long a caller wants to wait for the end of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    seconds: u64,
}

impl Wait {
    /// What the request prefers: the first `wait`, at most
    /// [`limits::WAIT_SECONDS_MAX`]. One that cannot be read is as if it were
    /// not there (RFC 7240 §2).
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(PREFER).iter();
        let mut preferences = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        let seconds = preferences.find_map(|preference| {
            let (name, value) = preference.split(';').next()?.split_once('=')?;
            let is_wait = name.trim().eq_ignore_ascii_case("wait");
            is_wait.then(|| value.trim().trim_matches('"').to_owned())
        })?;
        let seconds: u64 = seconds.parse().ok()?;
        (seconds > 0).then(|| Self {
            seconds: seconds.min(limits::WAIT_SECONDS_MAX),
        })
    }

    /// Says that the wait was worth it.
    pub(super) fn applied(self) -> (HeaderName, HeaderValue) {
        let text = format!("wait={}", self.seconds);
        let value = HeaderValue::from_str(&text);
        let plain = HeaderValue::from_static("wait");
        (PREFERENCE_APPLIED, value.unwrap_or(plain))
    }

    /// The submission at its end, or as it stands when the time is over, the
    /// service stops, or too many of the program, or of all, wait already. No thread is held meanwhile.
    pub(super) async fn end_of(
        self,
        api: &Arc<Api>,
        program: &str,
        record: Record,
    ) -> Result<Record, Problem> {
        if record.state.is_final() {
            return Ok(record);
        }
        let Some(ending) = api.outbox.ending(program, record.uuid) else {
            return Ok(record);
        };
        // It may have ended before the wait began.
        let record = again(api, record).await?;
        if record.state.is_final() {
            return Ok(record);
        }
        let limit = Duration::from_secs(self.seconds);
        if tokio::time::timeout(limit, ending).await.is_err() {
            return Ok(record);
        }
        again(api, record).await
    }
}

async fn again(api: &Arc<Api>, record: Record) -> Result<Record, Problem> {
    let (outbox, uuid) = (api.outbox.clone(), record.uuid);
    Ok(blocking(move || outbox.find(uuid))
        .await??
        .unwrap_or(record))
}

#[cfg(test)]
mod tests {
    use super::{HeaderMap, HeaderValue, Wait};

    #[test]
    fn the_first_wait_counts_and_what_cannot_be_read_is_not_there() {
        let read = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", HeaderValue::from_static(value));
            }
            Wait::read(&headers).map(|wait| wait.seconds)
        };
        assert_eq!(read(&["wait=5"]), Some(5));
        assert_eq!(read(&["respond-async, Wait = \"7\"; x=1"]), Some(7));
        assert_eq!(read(&["respond-async", "wait=9", "wait=3"]), Some(9));
        assert_eq!(read(&["wait=86400"]), Some(60));
        for nothing in [
            "wait=0",
            "wait",
            "wait=soon",
            "wait=-1",
            "wait=",
            "return=minimal",
        ] {
            assert_eq!(read(&[nothing]), None, "{nothing}");
        }
    }
}
