//! Batches that were sent in this connection and have no receipt yet.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::{RECEIPT_TIMEOUT, SENDS_MAX};

/// A batch's epoch and number.
pub(super) type Key = (u32, u64);

/// What is due for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// It is to be sent, or sent again.
    Now,
    /// Its receipt may still come.
    Later,
    /// It was sent [`SENDS_MAX`] times and nothing was heard: this connection brings no receipts.
    Never,
}

#[derive(Debug)]
struct Sent {
    at: Instant,
    times: u32,
    refused: bool,
}

/// When which batch was sent.
#[derive(Debug, Default)]
pub(super) struct Outstanding(BTreeMap<Key, Sent>);

impl Outstanding {
    pub(super) fn due(&self, key: Key, now: Instant) -> Due {
        let Some(sent) = self.0.get(&key) else { return Due::Now };
        if now.duration_since(sent.at) < RECEIPT_TIMEOUT {
            return Due::Later;
        }
        // A refusal is an answer: the connection is whole, and the ledger may come round.
        if sent.times >= SENDS_MAX && !sent.refused { Due::Never } else { Due::Now }
    }

    pub(super) fn sent(&mut self, key: Key, now: Instant) {
        let sent = self.0.entry(key).or_insert(Sent { at: now, times: 0, refused: false });
        (sent.at, sent.times) = (now, sent.times.saturating_add(1));
    }

    pub(super) fn receipted(&mut self, key: Key) {
        self.0.remove(&key);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn refused(&mut self, key: Key) {
        if let Some(sent) = self.0.get_mut(&key) {
            sent.refused = true;
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_sent_twice_and_then_the_connection_is_in_doubt() {
        let (mut outstanding, begun) = (Outstanding::default(), Instant::now());
        let (first, second) = ((0, 7), (0, 8));
        assert_eq!(outstanding.due(first, begun), Due::Now);
        outstanding.sent(first, begun);
        assert_eq!(outstanding.due(first, begun + RECEIPT_TIMEOUT / 2), Due::Later);
        assert_eq!(outstanding.due(second, begun + RECEIPT_TIMEOUT / 2), Due::Now, "others do not wait for it");
        let again = begun + RECEIPT_TIMEOUT;
        assert_eq!(outstanding.due(first, again), Due::Now);
        outstanding.sent(first, again);
        assert_eq!(outstanding.due(first, again), Due::Later);
        assert_eq!(outstanding.due(first, again + RECEIPT_TIMEOUT), Due::Never);
        outstanding.receipted(first);
        assert_eq!(outstanding.due(first, again + RECEIPT_TIMEOUT), Due::Now, "nothing is remembered of it");
    }

    #[test]
    fn a_refusal_is_an_answer_and_leaves_the_connection_alone() {
        let (mut outstanding, mut now) = (Outstanding::default(), Instant::now());
        outstanding.sent((1, 0), now);
        outstanding.refused((1, 0));
        for _ in 0..5 {
            assert_eq!(outstanding.due((1, 0), now), Due::Later);
            now += RECEIPT_TIMEOUT;
            assert_eq!(outstanding.due((1, 0), now), Due::Now);
            outstanding.sent((1, 0), now);
        }
    }
}
