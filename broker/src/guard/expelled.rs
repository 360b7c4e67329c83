//! Identities that are kept out for a while, because of what those behind the broker found in their messages.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Who is kept out, and until when.
#[derive(Debug, Default)]
pub(super) struct Expelled {
    until: Mutex<HashMap<String, Instant>>,
    count: watch::Sender<u64>,
}

impl Expelled {
    /// Keeps an identity out for this long; its open sessions end.
    pub(super) fn expel(&self, id: &str, now: Instant, pause: Duration) {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.retain(|_, end| *end > now);
        until.insert(id.to_owned(), now + pause);
        self.count.send_modify(|count| *count += 1);
    }

    /// How long an identity is kept out yet.
    pub(super) fn rest(&self, id: &str, now: Instant) -> Option<Duration> {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.get(id).map(|end| end.saturating_duration_since(now)).filter(|rest| !rest.is_zero())
    }

    /// Tells of everyone who is expelled from now on.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_expelled_may_come_back_and_is_forgotten() {
        let (expelled, now) = (Expelled::default(), Instant::now());
        let minute = Duration::from_secs(60);
        expelled.expel("gw-1", now, minute);
        assert_eq!((expelled.rest("gw-1", now), expelled.rest("gw-2", now)), (Some(minute), None));
        assert_eq!(expelled.rest("gw-1", now + minute), None);
        expelled.expel("gw-2", now + minute, minute);
        assert_eq!(expelled.until.lock().unwrap().len(), 1, "no name is kept for ever");
    }
}
