//! When which meter of a line is asked. Pure: times come in, turns go out.
//!
//! Rules:
//! - Each meter is asked once right after the start: whoever fits a meter sees at once whether it answers.
//! - From then on each is due every interval; the meters of a line are staggered over it.
//! - Of the meters that are due, those that answered last time come first, the longest due before others.
//! - A meter that was silent [`SILENT_AFTER`] times is asked at every second due time, then every fourth,
//!   up to every [`BACKOFF_MAX`]th; the due times between are reported as skipped.
//! - A person's question ([`Schedule::ask_soon`]) comes first, and the backoff begins anew with it.
//! - Silent meters together may take only a share of the line's time. The rest belongs to those that answer.
//! - A due time that passes without a turn is reported, never dropped.

use std::time::Duration;

/// From how many failures in a row on a meter counts as silent.
pub const SILENT_AFTER: u32 = 3;
/// A silent meter is asked at least at every so many due times.
pub const BACKOFF_MAX: u32 = 16;
/// How much unused time of silent meters is kept for later.
pub const SILENT_SAVINGS: Duration = Duration::from_secs(30);

/// A time, counted from the line's start.
pub type Elapsed = Duration;

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Ask this meter; then say [`Schedule::answered`] or [`Schedule::failed`].
    Ask {
        /// Its index.
        meter: usize,
        /// When the reading was due.
        due: Elapsed,
        /// It has been silent: do not insist.
        silent: bool,
    },
    /// This due time passes without a question.
    Skip {
        /// The meter's index.
        meter: usize,
        /// When the reading was due.
        due: Elapsed,
        /// Why.
        why: Skipped,
    },
    /// Nothing to do before this time.
    Wait(Elapsed),
}

/// Why a meter was not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skipped {
    /// It has been silent this many times.
    Silent(u32),
    /// The line had no time for it before it was due again.
    NoTime,
}

/// The meters of a line.
#[derive(Debug)]
pub struct Schedule {
    slots: Vec<Slot>,
    silent_percent: u32,
    /// Time that silent meters may still take.
    savings: Duration,
    saved_at: Elapsed,
}

#[derive(Debug)]
struct Slot {
    interval: Duration,
    due: Elapsed,
    failures: u32,
    /// How often the backoff was lengthened already.
    backoffs: u32,
    /// Due times still to be skipped in the present backoff.
    skips: u32,
    urgent: bool,
    /// Not asked since the start.
    fresh: bool,
}

impl Schedule {
    /// Meters by their intervals; silent ones may take `silent_percent` of the line's time.
    pub fn new(intervals: &[Duration], silent_percent: u32) -> Self {
        let count = u32::try_from(intervals.len()).unwrap_or(u32::MAX).max(1);
        let slots = intervals
            .iter()
            .zip(0u32..)
            .map(|(interval, index)| Slot {
                interval: (*interval).max(Duration::from_millis(1)),
                due: *interval * index / count,
                failures: 0,
                backoffs: 0,
                skips: 0,
                urgent: false,
                fresh: true,
            })
            .collect();
        Self { slots, silent_percent, savings: SILENT_SAVINGS, saved_at: Duration::ZERO }
    }

    /// The next thing to do.
    pub fn turn(&mut self, now: Elapsed) -> Turn {
        self.save(now);
        if let Some(meter) = self.slots.iter().position(|slot| slot.urgent) {
            return self.ask(meter, now);
        }
        if let Some(turn) = self.overdue(now) {
            return turn;
        }
        let (savings, mut best) = (self.savings, None);
        for (index, slot) in self.slots.iter().enumerate().filter(|(_, slot)| slot.fresh || slot.due <= now) {
            if slot.silent() && savings.is_zero() {
                continue;
            }
            let key = (!slot.fresh, slot.failures > 0, slot.due);
            if best.is_none_or(|(_, least)| key < least) {
                best = Some((index, key));
            }
        }
        match best {
            Some((meter, _)) => self.ask(meter, now),
            None => Turn::Wait(self.wake(now)),
        }
    }

    /// A due time that passed without a turn, told once: for the end, when nobody is asked any more.
    pub fn missed(&mut self, now: Elapsed) -> Option<(usize, Elapsed)> {
        let (meter, slot) = self.slots.iter_mut().enumerate().find(|(_, slot)| slot.due < now)?;
        let due = slot.due;
        slot.due += slot.interval;
        (slot.fresh, slot.urgent) = (false, false);
        Some((meter, due))
    }

    /// The meter answered.
    pub fn answered(&mut self, meter: usize) {
        if let Some(slot) = self.slots.get_mut(meter) {
            (slot.failures, slot.backoffs, slot.skips) = (0, 0, 0);
        }
    }

    /// The meter did not answer; the attempt took `cost` of the line's time.
    pub fn failed(&mut self, meter: usize, cost: Duration) {
        let Some(slot) = self.slots.get_mut(meter) else { return };
        if slot.silent() {
            self.savings = self.savings.saturating_sub(cost);
        }
        slot.failures = slot.failures.saturating_add(1);
        if slot.silent() {
            slot.skips = (2u32 << slot.backoffs.min(8)).min(BACKOFF_MAX) - 1;
            slot.backoffs = slot.backoffs.saturating_add(1);
        }
    }

    /// Asks a meter at the next turn, whatever its due time. Its backoff begins anew.
    pub fn ask_soon(&mut self, meter: usize) {
        if let Some(slot) = self.slots.get_mut(meter) {
            (slot.urgent, slot.backoffs, slot.skips) = (true, 0, 0);
        }
    }

    /// When the meter is asked next, as things stand: its backoff is counted in, other meters are not.
    pub fn asked_next(&self, meter: usize) -> Option<Elapsed> {
        self.slots.get(meter).map(|slot| slot.due + slot.interval * slot.skips)
    }

    /// How often the meter failed in a row.
    pub fn failures(&self, meter: usize) -> u32 {
        self.slots.get(meter).map_or(0, |slot| slot.failures)
    }

    fn ask(&mut self, meter: usize, now: Elapsed) -> Turn {
        let Some(slot) = self.slots.get_mut(meter) else { return Turn::Wait(now) };
        let (due, silent) = (slot.due.min(now), slot.silent() && !slot.urgent);
        if slot.due <= now {
            slot.due += slot.interval;
        }
        (slot.urgent, slot.fresh) = (false, false);
        Turn::Ask { meter, due, silent }
    }

    /// A due time that can't or need not be served any more.
    fn overdue(&mut self, now: Elapsed) -> Option<Turn> {
        for (meter, slot) in self.slots.iter_mut().enumerate() {
            let due = slot.due;
            if slot.skips > 0 && due <= now {
                slot.skips -= 1;
                slot.due += slot.interval;
                return Some(Turn::Skip { meter, due, why: Skipped::Silent(slot.failures) });
            }
            if due + slot.interval <= now {
                slot.due += slot.interval;
                return Some(Turn::Skip { meter, due, why: Skipped::NoTime });
            }
        }
        None
    }

    fn wake(&self, now: Elapsed) -> Elapsed {
        let waiting = |slot: &&Slot| slot.due > now;
        let next_due = self.slots.iter().filter(waiting).map(|slot| slot.due);
        // A silent meter whose time is spent is skipped when it is due again.
        let given_up = self.slots.iter().filter(|slot| slot.due <= now).map(|slot| slot.due + slot.interval);
        let saved = (self.savings.is_zero() && self.slots.iter().any(|slot| slot.due <= now))
            .then(|| now + Duration::from_millis(500));
        next_due.chain(given_up).chain(saved).min().unwrap_or(now + Duration::from_secs(3600))
    }

    fn save(&mut self, now: Elapsed) {
        let passed = now.saturating_sub(self.saved_at);
        self.savings = (self.savings + passed * self.silent_percent / 100).min(SILENT_SAVINGS);
        self.saved_at = now;
    }
}

impl Slot {
    fn silent(&self) -> bool {
        self.failures >= SILENT_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Runs a line for `span`: `cost(meter)` is how long a question takes, `alive` who answers. Gives, for
    /// each meter, how often it was asked, and how often skipped.
    fn run(
        schedule: &mut Schedule,
        span: Duration,
        cost: impl Fn(usize) -> Duration,
        alive: impl Fn(usize) -> bool,
    ) -> Vec<(u32, u32)> {
        let mut counts = vec![(0, 0); schedule.slots.len()];
        let mut now = Duration::ZERO;
        while now < span {
            match schedule.turn(now) {
                Turn::Ask { meter, due, .. } => {
                    assert!(due <= now, "asked before it was due");
                    counts[meter].0 += 1;
                    now += cost(meter);
                    if alive(meter) { schedule.answered(meter) } else { schedule.failed(meter, cost(meter)) }
                }
                Turn::Skip { meter, .. } => counts[meter].1 += 1,
                Turn::Wait(until) => {
                    assert!(until > now, "waiting for the past");
                    now = until;
                }
            }
        }
        counts
    }

    #[test]
    fn meters_are_asked_once_at_the_start_then_staggered_over_every_interval() {
        let mut schedule = Schedule::new(&[900 * SECOND; 4], 25);
        for (meter, now) in [0, 1, 2, 3].into_iter().zip([0, 1, 2, 3]) {
            let now = now * SECOND;
            let due = if meter == 0 { Duration::ZERO } else { now };
            assert_eq!(schedule.turn(now), Turn::Ask { meter, due, silent: false });
            schedule.answered(meter);
        }
        assert_eq!(schedule.turn(4 * SECOND), Turn::Wait(225 * SECOND));
        assert!(matches!(schedule.turn(225 * SECOND), Turn::Ask { meter: 1, .. }));
        let counts = run(&mut Schedule::new(&[60 * SECOND; 4], 25), 3600 * SECOND, |_| SECOND, |_| true);
        assert_eq!(counts, [(60, 0), (61, 0), (61, 0), (61, 0)]);
    }

    #[test]
    fn dead_meters_do_not_keep_others_from_their_first_question() {
        let mut schedule = Schedule::new(&[900 * SECOND; 40], 25);
        let counts = run(&mut schedule, 240 * SECOND, |_| 6 * SECOND, |_| false);
        assert!(counts.iter().all(|(asked, _)| *asked >= 1), "{counts:?}");
    }

    #[test]
    fn dead_meters_do_not_starve_the_others_and_every_due_time_is_accounted_for() {
        // 20 living meters of 0.5 s each, and 20 dead ones that take 6 s each to give up on: asked
        // every minute, the dead alone would take twice the line's time.
        let mut schedule = Schedule::new(&[60 * SECOND; 40], 25);
        let cost = |meter| if meter % 2 == 0 { SECOND / 2 } else { 6 * SECOND };
        let counts = run(&mut schedule, 4 * 3600 * SECOND, cost, |meter| meter % 2 == 0);
        for (meter, (asked, skipped)) in counts.into_iter().enumerate() {
            if meter % 2 == 0 {
                assert!(
                    asked >= 236,
                    "meter {meter} answered but was read only {asked} times of 240, skipped {skipped}"
                );
            } else {
                assert!((5..60).contains(&asked), "dead meter {meter} asked {asked} times");
            }
            // The question at the start comes on top of the due times.
            assert!((239..=241).contains(&(asked + skipped)), "meter {meter}: {asked} + {skipped}");
        }
    }

    #[test]
    fn a_meter_that_comes_back_is_read_at_every_due_time_again() {
        let mut schedule = Schedule::new(&[10 * SECOND], 100);
        run(&mut schedule, 1000 * SECOND, |_| SECOND, |_| false);
        assert!(schedule.failures(0) > SILENT_AFTER);
        schedule.answered(0);
        assert_eq!(schedule.failures(0), 0);
        let mut now = 1000 * SECOND;
        let mut asked = 0;
        while asked < 5 {
            match schedule.turn(now) {
                Turn::Ask { meter, .. } => {
                    schedule.answered(meter);
                    asked += 1;
                }
                Turn::Wait(until) => now = until,
                Turn::Skip { why, .. } => assert_eq!(why, Skipped::NoTime),
            }
        }
    }

    #[test]
    fn a_person_s_question_resets_the_backoff() {
        let mut schedule = Schedule::new(&[10 * SECOND], 100);
        run(&mut schedule, 2000 * SECOND, |_| SECOND, |_| false);
        let now = 2001 * SECOND;
        let next = schedule.asked_next(0).unwrap();
        schedule.ask_soon(0);
        assert!(
            matches!(schedule.turn(now), Turn::Ask { meter: 0, silent: false, .. }),
            "asked now, and as insistently as one that answers"
        );
        schedule.failed(0, SECOND);
        let again = schedule.asked_next(0).unwrap();
        assert!(again < next && again <= now + 20 * SECOND, "{next:?} {again:?}");
    }

    #[test]
    fn it_is_told_when_a_silent_meter_is_asked_again() {
        let mut schedule = Schedule::new(&[10 * SECOND], 100);
        let mut now = Duration::ZERO;
        let mut told = None;
        for _ in 0..200 {
            match schedule.turn(now) {
                Turn::Ask { .. } => {
                    assert!(told.is_none_or(|told| told == now), "told {told:?}, asked at {now:?}");
                    schedule.failed(0, Duration::ZERO);
                    told = schedule.asked_next(0);
                }
                Turn::Skip { .. } => {}
                Turn::Wait(until) => now = until,
            }
        }
    }

    #[test]
    fn a_meter_asked_for_by_a_person_comes_first() {
        let mut schedule = Schedule::new(&[60 * SECOND; 3], 25);
        schedule.ask_soon(2);
        assert!(matches!(schedule.turn(SECOND), Turn::Ask { meter: 2, .. }));
        schedule.answered(2);
        assert!(matches!(schedule.turn(SECOND), Turn::Ask { meter: 0, .. }));
    }
}
