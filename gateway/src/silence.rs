//! When a meter counts as silent, and when that is worth a line in the log. Pure.

use crate::schedule::SILENT_AFTER;

/// Whether a meter is silent: one that never answered from its first failure on, for its address, speed or
/// wiring may be wrong from the beginning; one that did, from the [`SILENT_AFTER`]th in a row.
pub fn is_silent(answered: u64, failures_in_a_row: u32) -> bool {
    failures_in_a_row >= if answered == 0 { 1 } else { SILENT_AFTER }
}

/// What is to be told of a meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turned {
    /// It is silent from now on.
    Silent,
    /// It answers again, after this many failures.
    Back {
        /// How many.
        failures: u32,
    },
}

/// Watches one meter, and tells each change once.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silence {
    answered: u64,
    failures: u32,
    told: bool,
}

impl Silence {
    /// The meter answered.
    pub fn answered(&mut self) -> Option<Turned> {
        let failures = std::mem::take(&mut self.failures);
        self.answered = self.answered.saturating_add(1);
        std::mem::take(&mut self.told).then_some(Turned::Back { failures })
    }

    /// The meter failed.
    pub fn failed(&mut self) -> Option<Turned> {
        self.failures = self.failures.saturating_add(1);
        let turns = !self.told && is_silent(self.answered, self.failures);
        self.told |= turns;
        turns.then_some(Turned::Silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_that_never_answered_is_told_at_once_and_once() {
        let mut silence = Silence::default();
        assert_eq!(silence.failed(), Some(Turned::Silent));
        assert_eq!((silence.failed(), silence.failed()), (None, None));
        assert_eq!(silence.answered(), Some(Turned::Back { failures: 3 }));
        assert_eq!(silence.answered(), None);
    }

    #[test]
    fn a_meter_that_answered_may_fail_twice() {
        let mut silence = Silence::default();
        assert_eq!(silence.answered(), None);
        assert_eq!((silence.failed(), silence.failed()), (None, None));
        assert_eq!(silence.answered(), None, "nothing was told, so nothing is taken back");
        assert_eq!((silence.failed(), silence.failed(), silence.failed()), (None, None, Some(Turned::Silent)));
        assert_eq!(silence.answered(), Some(Turned::Back { failures: 3 }));
    }
}
