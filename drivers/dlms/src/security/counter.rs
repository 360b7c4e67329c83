//! Invocation counters: none is used twice, whatever happens to the gateway.
//!
//! A counter that was used with a key must never be used with it again: the meter would refuse it, and with AES-GCM
//! two texts under one counter give both away. So counters are reserved in blocks. The end of a block is stored
//! before the first of it is used; after a restart the count goes on at the stored end.
//!
//! ```text
//! stored 128            use 64 … 127            used up: store 192, then use 128 …
//!                             └─ killed here: the next start goes on at 128
//! ```

/// How many counters are reserved at once: some rounds, and few writes to flash.
pub const COUNTER_BLOCK: u32 = 256;

/// The highest count that is taken of a meter whose count was never seen: half of all there are. A lie at the first
/// contact leaves the other half.
pub const FIRST_COUNT_MAX: u32 = 1 << 31;

/// How far the meter's word moves a known count, all its words together. Nothing proves that word: without a bound, one lie would burn the
/// key's counters here and, once used, in the meter. Enough for half a year of a head end that counts seconds.
pub const RESYNC_STEP_MAX: u32 = 1 << 24;

/// Counters that may be used: from `next` to before `end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CounterRange {
    /// The next.
    pub next: u32,
    /// The first that may not be used.
    pub end: u32,
}

/// The invocation counter of one key of one meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvocationCounter {
    /// The next, if it is known at all: never seen is not zero.
    next: Option<u32>,
    /// The first that is not reserved.
    reserved: u32,
    /// Whether a meter's word was taken since the last success.
    resynced: bool,
    /// How far all words together have moved the count, since the start.
    moved: u32,
}

/// What came of comparing with the meter's count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resync {
    /// The count moved forward: try once more.
    Moved,
    /// The count is already beyond the meter's: that is not the trouble.
    NotBehind,
    /// The meter's word was taken already and did not help: give up.
    Again,
    /// The meter's count is at its end: the key must be changed.
    Exhausted,
    /// The meter says a count further ahead than [`RESYNC_STEP_MAX`]: not taken. Whoever knows that it is right makes the
    /// store forget its own.
    TooFar,
}

impl CounterRange {
    /// Takes the next counter.
    pub const fn take(&mut self) -> Option<u32> {
        if self.next >= self.end {
            return None;
        }
        let counter = self.next;
        self.next += 1;
        Some(counter)
    }
}

impl InvocationCounter {
    /// Goes on where the store says; `None` where it has never heard of this key.
    #[must_use]
    pub const fn stored(end: Option<u32>) -> Self {
        Self {
            next: end,
            reserved: match end {
                Some(end) => end,
                None => 0,
            },
            resynced: false,
            moved: 0,
        }
    }

    /// How far the meter's words have moved the count, since the start.
    #[must_use]
    pub const fn moved(&self) -> u32 {
        self.moved
    }

    /// Whether any count is known.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.next.is_some()
    }

    /// What must be stored, durably, before [`range`](Self::range) may be used: the new end, or `None` where at least
    /// `needed` are still reserved.
    ///
    /// An unknown count begins at 1. Numbers end at 2^32 - 1: then the range stays short.
    pub fn reserve(&mut self, needed: u32) -> Option<u32> {
        let next = *self.next.get_or_insert(1);
        if self.reserved.saturating_sub(next) >= needed {
            return None;
        }
        let end = next.saturating_add(if needed > COUNTER_BLOCK { needed } else { COUNTER_BLOCK });
        if end <= self.reserved {
            return None;
        }
        self.reserved = end;
        Some(end)
    }

    /// The counters that are reserved.
    #[must_use]
    pub const fn range(&self) -> CounterRange {
        match self.next {
            Some(next) => CounterRange { next, end: self.reserved },
            None => CounterRange { next: 0, end: 0 },
        }
    }

    /// Takes back what an association left of its range; `succeeded` says whether the meter took the counters.
    pub const fn give_back(&mut self, range: CounterRange, succeeded: bool) {
        if let Some(next) = self.next
            && range.next > next
        {
            self.next = Some(range.next);
        }
        if succeeded {
            self.resynced = false;
        }
    }

    /// Takes the meter's word for the last counter that it accepted. The count never goes back, and the word is taken
    /// once until an association succeeds. All words together move it by [`RESYNC_STEP_MAX`] until the next start, so that
    /// lies told again and again do not use the key up. Where no count is known yet, any word up to
    /// [`FIRST_COUNT_MAX`] is taken.
    pub const fn resync(&mut self, meter: u32) -> Resync {
        let Some(least) = meter.checked_add(1) else { return Resync::Exhausted };
        match self.next {
            Some(next) if next >= least => return Resync::NotBehind,
            Some(_) if self.resynced => return Resync::Again,
            Some(next) if (least - next).saturating_add(self.moved) > RESYNC_STEP_MAX => return Resync::TooFar,
            Some(next) => (self.resynced, self.moved) = (true, self.moved.saturating_add(least - next)),
            None if least > FIRST_COUNT_MAX => return Resync::TooFar,
            None => {}
        }
        self.next = Some(least);
        if self.reserved < least {
            self.reserved = least;
        }
        Resync::Moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn never_seen_is_not_zero() {
        let mut counter = InvocationCounter::stored(None);
        assert!(!counter.is_known());
        assert_eq!(counter.resync(0), Resync::Moved, "the first word of the meter is no resync");
        assert_eq!(counter.resync(5), Resync::Moved);
        assert_eq!(counter.resync(9), Resync::Again);
        assert_eq!(counter.resync(3), Resync::NotBehind);
        assert_eq!(counter.resync(u32::MAX), Resync::Exhausted);
    }

    #[test]
    fn a_lie_costs_no_more_than_a_step() {
        let mut counter = InvocationCounter::stored(Some(100));
        assert_eq!(counter.resync(100 + RESYNC_STEP_MAX), Resync::TooFar);
        assert_eq!(counter.resync(u32::MAX - 1), Resync::TooFar);
        assert_eq!(counter.range(), CounterRange { next: 100, end: 100 });
        assert_eq!(counter.resync(99 + RESYNC_STEP_MAX), Resync::Moved, "a refused word is no try");
        assert_eq!(counter.range().next, 100 + RESYNC_STEP_MAX);
        // Each association succeeds in between: the lies add up all the same.
        counter.give_back(counter.range(), true);
        assert_eq!(counter.resync(200 + RESYNC_STEP_MAX), Resync::TooFar);
        assert_eq!(counter.moved(), RESYNC_STEP_MAX);
        let mut first = InvocationCounter::stored(None);
        assert_eq!(first.resync(u32::MAX - 300), Resync::TooFar);
        assert_eq!(first.resync(FIRST_COUNT_MAX - 1), Resync::Moved);
    }

    #[test]
    fn the_end_of_numbers_is_an_end() {
        let mut counter = InvocationCounter::stored(Some(u32::MAX - 2));
        assert_eq!(counter.reserve(10), Some(u32::MAX));
        let mut range = counter.range();
        assert_eq!((range.take(), range.take(), range.take()), (Some(u32::MAX - 2), Some(u32::MAX - 1), None));
    }

    proptest! {
        /// Kills at any step, meters that lie, associations of any length: no counter is ever used twice.
        #[test]
        fn no_counter_is_used_twice(steps in proptest::collection::vec((0u8..5, 0u32..600), 0..60)) {
            let (mut stored, mut used) = (None, Vec::new());
            let mut counter = InvocationCounter::stored(stored);
            for (step, number) in steps {
                match step {
                    // Killed: what is not stored is lost.
                    0 => counter = InvocationCounter::stored(stored),
                    // Killed between storing and using.
                    1 => {
                        stored = counter.reserve(number).or(stored);
                        counter = InvocationCounter::stored(stored);
                    }
                    2 => {
                        let _ = counter.resync(number);
                    }
                    _ => {
                        stored = counter.reserve(number).or(stored);
                        let mut range = counter.range();
                        for _ in 0..number {
                            let taken = range.take().unwrap();
                            prop_assert!(used.last().is_none_or(|last| *last < taken), "{taken} after {used:?}");
                            used.push(taken);
                        }
                        // Killed before the rest was given back, every other time.
                        if step == 3 { counter.give_back(range, true) } else { counter = InvocationCounter::stored(stored) }
                    }
                }
            }
        }
    }
}
