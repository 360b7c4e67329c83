//! How well a radio meter is received.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::listener::Elapsed;

/// How far back the share of received telegrams looks, in hours.
pub const SHARE_HOURS: usize = 24;
const HOUR: Duration = Duration::from_secs(3600);
/// A jump of the access number beyond this tells of a restart or a longer silence, not of a rhythm.
const ACCESS_STEP_MAX: u8 = 16;
/// How much a new gap counts against the expected interval so far: one part in this many.
const SMOOTHING: u32 = 8;

/// How well a radio meter is received.
#[derive(Debug, Clone, Default)]
pub struct Reception {
    /// Good telegrams since the start.
    pub telegrams: u64,
    /// Telegrams that were here just before.
    pub duplicates: u64,
    /// Refused telegrams, by the kind of failure.
    pub refused: BTreeMap<&'static str, u64>,
    /// The last refusal, in words.
    pub last_refusal: Option<String>,
    /// When the last good telegram came.
    pub last: Option<Elapsed>,
    /// When the last refused one came.
    pub last_refused: Option<Elapsed>,
    /// How strong the last good one was; until there is one, the last refused.
    pub rssi_dbm: Option<i16>,
    /// How often the meter sends, as far as its access numbers and times tell.
    pub expected_interval: Option<Duration>,
    first: Option<Elapsed>,
    last_access: Option<u8>,
    /// Hours with their counts, oldest first.
    hours: VecDeque<(u64, u32)>,
}

impl Reception {
    /// Books a good telegram.
    pub(super) fn heard(&mut self, access: Option<u8>, rssi_dbm: Option<i16>, now: Elapsed) {
        if let (Some(last), Some(gap)) = (self.last, self.sent_since(access)) {
            let gap = now.saturating_sub(last) / u32::from(gap);
            self.expected_interval = Some(match self.expected_interval {
                Some(known) => (known * (SMOOTHING - 1) + gap) / SMOOTHING,
                None => gap,
            });
        }
        self.telegrams += 1;
        (self.last, self.last_access, self.rssi_dbm) = (Some(now), access.or(self.last_access), rssi_dbm);
        self.first.get_or_insert(now);
        let hour = now.as_secs() / HOUR.as_secs();
        match self.hours.back_mut() {
            Some((last, count)) if *last == hour => *count = count.saturating_add(1),
            _ => self.hours.push_back((hour, 1)),
        }
        while self.hours.len() > SHARE_HOURS {
            self.hours.pop_front();
        }
    }

    /// How many telegrams the meter has sent since the last one heard, this one included.
    fn sent_since(&self, access: Option<u8>) -> Option<u8> {
        let step = match (access, self.last_access) {
            (Some(now), Some(last)) => now.wrapping_sub(last),
            // Without access numbers each telegram heard is taken for the next one sent.
            _ => 1,
        };
        (1..=ACCESS_STEP_MAX).contains(&step).then_some(step)
    }

    /// The share of the meter's telegrams that were heard in the last 24 hours, in percent. `None` until its
    /// rhythm is known.
    pub fn share_percent(&self, now: Elapsed) -> Option<u8> {
        let (expected, first) = (self.expected_interval.filter(|expected| !expected.is_zero())?, self.first?);
        let hour = now.as_secs() / HOUR.as_secs();
        let oldest = hour.saturating_sub(SHARE_HOURS as u64 - 1);
        let heard: u32 = self.hours.iter().filter(|(at, _)| *at >= oldest).map(|(_, count)| count).sum();
        let begun = first.max(HOUR * u32::try_from(oldest).unwrap_or(u32::MAX));
        let sent = now.saturating_sub(begun).as_millis() / expected.as_millis().max(1) + 1;
        let percent = u128::from(heard) * 100 / sent.max(1);
        Some(u8::try_from(percent.min(100)).unwrap_or(100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rhythm_comes_from_access_numbers_even_when_telegrams_are_lost() {
        let mut reception = Reception::default();
        for number in (0..100u32).filter(|number| number % 3 != 1) {
            reception.heard(Some(u8::try_from(number).unwrap()), Some(-70), Duration::from_secs(16) * number);
        }
        assert_eq!(reception.expected_interval, Some(Duration::from_secs(16)));
        let share = reception.share_percent(Duration::from_secs(16 * 99)).unwrap();
        assert!((65..=68).contains(&share), "two of three were heard, said {share} %");
    }

    #[test]
    fn the_share_forgets_what_is_older_than_a_day() {
        let mut reception = Reception::default();
        let minute = Duration::from_secs(60);
        for number in 0..60u32 {
            reception.heard(None, None, minute * number);
        }
        assert_eq!(reception.share_percent(minute * 60), Some(98));
        assert_eq!(reception.share_percent(HOUR * 12), Some(8));
        assert_eq!(reception.share_percent(HOUR * 30), Some(0));
    }
}
