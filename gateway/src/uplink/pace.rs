//! When the next connection is tried.

use std::time::Duration;

use super::{BACKOFF_MAX, BACKOFF_MIN, STEADY_MIN};

/// A connection that stood this long had nothing to do with those that were cut short before it.
const QUIET_MIN: Duration = Duration::from_secs(600);
/// As many connections cut short by the hub one after the other are no accident.
const CUT_SHORT_MIN: u32 = 3;

/// The pauses between connections, and what the ends of the last ones have in common.
#[derive(Debug)]
pub(super) struct Pace {
    next: Duration,
    cut_short: u32,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { next: BACKOFF_MIN, cut_short: 0 }
    }

    /// A connection ended after it had stood for so long (`None`: it never came about). Gives the pause
    /// before the next; each is twice the one before until a connection stands for [`STEADY_MIN`].
    ///
    /// A welcome alone proves nothing: two boxes with one key are welcomed in turn, and throw each other out.
    pub(super) fn ended(&mut self, stood: Option<Duration>, by_the_hub: bool) -> Duration {
        match stood {
            Some(stood) if stood >= QUIET_MIN => self.cut_short = 0,
            Some(stood) if stood < STEADY_MIN && by_the_hub => self.cut_short = self.cut_short.saturating_add(1),
            _ => {}
        }
        if stood.is_some_and(|stood| stood >= STEADY_MIN) {
            self.next = BACKOFF_MIN;
        }
        let pause = self.next;
        self.next = (pause * 2).min(BACKOFF_MAX);
        pause
    }

    /// Whether the hub keeps welcoming and closing: as it does when another box holds the same key.
    pub(super) fn is_contested(&self) -> bool {
        self.cut_short >= CUT_SHORT_MIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Option<Duration> = Some(Duration::from_millis(400));
    const STEADY: Option<Duration> = Some(STEADY_MIN);

    #[test]
    fn only_a_connection_that_stood_makes_the_pauses_short_again() {
        let mut pace = Pace::new();
        let pauses: Vec<u128> = (0..9).map(|_| pace.ended(SHORT, true).as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(pace.ended(None, false), BACKOFF_MAX);
        assert_eq!(pace.ended(STEADY, true), BACKOFF_MIN);
        assert_eq!(pace.ended(SHORT, true), BACKOFF_MIN * 2);
    }

    #[test]
    fn being_thrown_out_again_and_again_is_noticed_and_a_dead_hub_is_not_taken_for_it() {
        let mut pace = Pace::new();
        for _ in 0..20 {
            pace.ended(None, false);
            pace.ended(SHORT, false);
        }
        assert!(!pace.is_contested(), "nobody was there, or the line dropped");
        let seen: Vec<bool> = (0..3)
            .map(|_| {
                pace.ended(SHORT, true);
                pace.is_contested()
            })
            .collect();
        assert_eq!(seen, [false, false, true]);
        pace.ended(STEADY, true);
        assert!(pace.is_contested(), "two boxes that pause long meet rarely, and still meet");
        pace.ended(Some(QUIET_MIN), true);
        assert!(!pace.is_contested());
    }
}
