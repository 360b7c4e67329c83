//! What falls due while a port is gone: told at once, and then in ranges, so that a line of many meters does
//! not fill the journal with one and the same trouble. Pure: times come in, absences go out.
//!
//! Rules:
//! - The first due reading that a point misses in an outage is an absence of its own.
//! - A point whose interval is [`RANGE_MIN`] or longer: so is each.
//! - Of other points, what falls due is held, and told as one absence every [`RANGE_MIN`]: from when to when,
//!   and for how many due readings it stands. None is dropped.
//! - What is held is told before the point's next entry of another kind, and at the stop.

use std::time::Duration;

use plomb_seal::{Absent, Reason};

use crate::{normalise::cut, schedule::Elapsed, status::rfc3339};

/// The least time between two absences of one point while its port is gone. It is also what a power cut can
/// cost of them.
pub const RANGE_MIN: Duration = Duration::from_secs(60);

/// The points of a line, and what they missed.
#[derive(Debug)]
pub struct Outage {
    points: Vec<Missed>,
    why: String,
}

#[derive(Debug)]
struct Missed {
    interval: Duration,
    /// When an absence was last told.
    told: Option<Elapsed>,
    held: Option<Range>,
}

/// Due readings that are missing for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// When the first was due.
    pub first: Elapsed,
    /// When the last was due.
    pub last: Elapsed,
    /// How many.
    pub count: u64,
}

impl Outage {
    /// The points of a line by their intervals.
    pub fn new(intervals: &[Duration]) -> Self {
        let points = intervals.iter().map(|interval| Missed { interval: *interval, told: None, held: None }).collect();
        Self { points, why: String::new() }
    }

    /// A reading fell due while the port was gone, `why` in words. Gives what is to be entered now.
    pub fn missed(&mut self, point: usize, due: Elapsed, now: Elapsed, why: &str) -> Option<Range> {
        let missed = self.points.get_mut(point)?;
        if self.why != why {
            self.why = why.into();
        }
        let range = missed.held.map_or(Range { first: due, last: due, count: 1 }, |held| Range {
            first: held.first.min(due),
            last: held.last.max(due),
            count: held.count.saturating_add(1),
        });
        let just_told = missed.told.is_some_and(|told| now.saturating_sub(told) < RANGE_MIN);
        if just_told && missed.interval < RANGE_MIN {
            missed.held = Some(range);
            return None;
        }
        (missed.told, missed.held) = (Some(now), None);
        Some(range)
    }

    /// What a point still has to tell, before anything else is told of it.
    pub fn held(&mut self, point: usize) -> Option<Range> {
        self.points.get_mut(point)?.held.take()
    }

    /// An absence for a range. `unix_ms` turns a time of the line into one of the world.
    pub fn absent(&self, range: Range, unix_ms: impl Fn(Elapsed) -> i64) -> Absent {
        let (first, last) = (unix_ms(range.first), unix_ms(range.last));
        let detail = match range.count {
            1 => self.why.clone(),
            // In this form, for programs: docs/evidence.md.
            count => format!("{count} due readings from {} to {}: {}", rfc3339(first), rfc3339(last), self.why),
        };
        Absent { due_ms: first, reason: Reason::Port, detail: cut(detail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn world(at: Elapsed) -> i64 {
        1_780_000_000_000 + i64::try_from(at.as_millis()).unwrap()
    }

    /// The attack: 500 meters, five times a second, for a quarter of an hour.
    #[test]
    fn a_line_of_many_meters_tells_of_each_due_reading_and_floods_nothing() {
        const METERS: usize = 500;
        let interval = Duration::from_millis(200);
        let mut outage = Outage::new(&[interval; METERS]);
        let (mut entries, mut stood_for) = (0u64, 0);
        for due in (0..4500).map(|turn| interval * turn) {
            for meter in 0..METERS {
                if let Some(range) = outage.missed(meter, due, due, "gone") {
                    (entries, stood_for) = (entries + 1, stood_for + range.count);
                }
            }
        }
        assert_eq!(entries, METERS as u64 * 15, "one a minute and point");
        for meter in 0..METERS {
            let held = outage.held(meter).unwrap();
            assert_eq!(held.last, interval * 4499);
            stood_for += held.count;
            assert_eq!(outage.held(meter), None);
        }
        assert_eq!(stood_for, METERS as u64 * 4500, "none is dropped");
    }

    #[test]
    fn ranges_of_a_point_join_without_a_hole() {
        let mut outage = Outage::new(&[10 * SECOND]);
        let told: Vec<Range> =
            (0..20).filter_map(|turn| outage.missed(0, turn * 10 * SECOND, turn * 10 * SECOND, "gone")).collect();
        assert_eq!(told[0], Range { first: Duration::ZERO, last: Duration::ZERO, count: 1 }, "the first at once");
        for (one, next) in told.iter().zip(&told[1..]) {
            assert_eq!(next.first, one.last + 10 * SECOND);
            assert_eq!((next.last - next.first).as_secs() / 10 + 1, next.count);
        }
        assert_eq!(told[1].count, 6);
    }

    #[test]
    fn a_point_that_is_seldom_read_tells_each() {
        let mut outage = Outage::new(&[60 * SECOND]);
        // Late by a little less each time: the interval alone decides, not the jitter.
        for turn in 0..9u32 {
            let (due, late) = (turn * 60 * SECOND, Duration::from_millis(u64::from(90 - turn * 10)));
            assert_eq!(outage.missed(0, due, due + late, "gone"), Some(Range { first: due, last: due, count: 1 }));
        }
    }

    #[test]
    fn a_port_that_comes_and_goes_does_not_tell_anew_each_time() {
        let mut outage = Outage::new(&[SECOND]);
        let mut told = 0;
        for second in (0..60).map(|second| second * SECOND) {
            told += u32::from(outage.missed(0, second, second, "gone").is_some());
        }
        assert_eq!(told, 1);
        assert_eq!(outage.held(0).map(|range| range.count), Some(59));
    }

    #[test]
    fn the_form_of_a_range_is_the_one_that_is_documented() {
        let mut outage = Outage::new(&[SECOND]);
        let first = outage.missed(0, SECOND, SECOND, "/dev/ttyUSB0: gone").unwrap();
        assert_eq!(outage.absent(first, world).detail, "/dev/ttyUSB0: gone", "one is told as ever");
        for second in 2..=4 {
            outage.missed(0, second * SECOND, second * SECOND, "/dev/ttyUSB0: gone");
        }
        let range = outage.held(0).unwrap();
        let absent = outage.absent(range, world);
        assert_eq!((absent.due_ms, absent.reason), (1_780_000_002_000, Reason::Port));
        let form = "3 due readings from 2026-05-28T20:26:42.000Z to 2026-05-28T20:26:44.000Z: /dev/ttyUSB0: gone";
        assert_eq!(absent.detail, form);
        let documented = include_str!("../../docs/evidence.md");
        assert!(documented.contains("N due readings from T1 to T2: …"));
        outage.missed(0, 5 * SECOND, 5 * SECOND, &"é".repeat(600));
        let long = outage.absent(outage.points[0].held.unwrap(), world).detail;
        assert!(long.len() <= plomb_seal::reading::TEXT_BYTES_MAX, "a verifier takes no more");
    }
}
