//! The meters around a receiver, and when they send.

use super::frame::{with_crcs_a, with_crcs_b};
use super::meter::{Protection, RadioMeter, Trick};
use crate::bus::Calendar;
use crate::live::{Dice, Kind, Meter};
use crate::mbus::Identity;
use crate::street::{MANUFACTURERS, bcd};
use std::time::Duration;

/// A radio mode, with the frame format that is sent in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RadioMode {
    /// Mode S, frame format A.
    S,
    /// Mode T, frame format A.
    T,
    /// Mode C, frame format A.
    CA,
    /// Mode C, frame format B.
    CB,
}

/// A telegram on the air.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Radiated {
    /// The telegram without CRCs, from its L-field on, which counts none.
    pub stripped: Vec<u8>,
    /// How it is sent.
    pub mode: RadioMode,
    /// How strong it arrives.
    pub rssi_dbm: i16,
}

impl Radiated {
    /// The frame as it is sent: with the CRCs of its format.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        let format_b = if self.mode == RadioMode::CB { with_crcs_b(&self.stripped) } else { None };
        format_b.unwrap_or_else(|| with_crcs_a(&self.stripped))
    }
}

/// Radio meters, each with the time of its next telegram.
#[derive(Debug)]
pub struct Air {
    calendar: Calendar,
    senders: Vec<(Duration, RadioMeter)>,
}

impl Air {
    /// An empty air in which the meters' clocks begin at `calendar`.
    #[must_use]
    pub fn new(calendar: Calendar) -> Self {
        Self { calendar, senders: Vec::new() }
    }

    /// Adds a meter, which sends first at its [`RadioMeter::first`].
    pub fn add(&mut self, meter: RadioMeter) {
        self.senders.push((meter.first, meter));
    }

    /// The meters in the order in which they were added.
    pub fn meters(&self) -> impl Iterator<Item = &RadioMeter> {
        self.senders.iter().map(|(_, meter)| meter)
    }

    /// The meters, to give them tricks.
    pub fn meters_mut(&mut self) -> impl Iterator<Item = &mut RadioMeter> {
        self.senders.iter_mut().map(|(_, meter)| meter)
    }

    /// The meters' time at an instant of the air, in seconds since 1970.
    #[must_use]
    pub fn unix_s(&self, at: Duration) -> u64 {
        self.calendar.unix_s(at)
    }

    /// When the next telegram is sent.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.senders.iter().map(|(next, _)| *next).min()
    }

    /// The telegrams sent by `now` that were not yet taken, oldest first.
    pub fn take_due(&mut self, now: Duration) -> Vec<(Duration, Radiated)> {
        let mut due = Vec::new();
        while let Some((next, meter)) =
            self.senders.iter_mut().filter(|(next, _)| *next <= now).min_by_key(|(next, _)| *next)
        {
            due.push((*next, meter.send(self.calendar.unix_s(*next))));
            *next += meter.interval.max(Duration::from_millis(1));
        }
        due
    }
}

/// What the tables of [`demo_air`] say of a meter.
type Sender = (Kind, RadioMode, Guard, Trick);

#[derive(Debug, Clone, Copy)]
enum Guard {
    None,
    A,
    B,
}

/// A dozen meters of three makes for the demo, the same for the same seed: two without protection, five
/// in profile A, five in profile B. Of these the tenth is forged (its MACs are wrong), the eleventh's first
/// telegram is played back from the fifth on; of profile A the seventh has another key than it should.
/// Their numbers end in their place, from 01; keys are [`demo_key`]s. All send in mode T or C, format A.
#[must_use]
pub fn demo_air(seed: u64, interval: Duration, calendar: Calendar) -> Air {
    const SENDERS: [Sender; 12] = [
        (Kind::Water, RadioMode::T, Guard::None, Trick::Honest),
        (Kind::Heat, RadioMode::T, Guard::None, Trick::Honest),
        (Kind::Water, RadioMode::T, Guard::A, Trick::Honest),
        (Kind::WarmWater, RadioMode::T, Guard::A, Trick::Honest),
        (Kind::Gas, RadioMode::T, Guard::A, Trick::Honest),
        (Kind::Heat, RadioMode::CA, Guard::A, Trick::Honest),
        (Kind::Water, RadioMode::T, Guard::A, Trick::WrongKey),
        (Kind::Water, RadioMode::T, Guard::B, Trick::Honest),
        (Kind::Electricity, RadioMode::CA, Guard::B, Trick::Honest),
        (Kind::WarmWater, RadioMode::T, Guard::B, Trick::WrongMac),
        (Kind::Gas, RadioMode::T, Guard::B, Trick::Replay { after: 4 }),
        (Kind::Heat, RadioMode::T, Guard::B, Trick::Honest),
    ];
    let mut dice = Dice(seed);
    let mut air = Air::new(calendar);
    for (place, (kind, mode, guard, trick)) in (1u64..).zip(SENDERS) {
        let number = dice.between(100_000, 1_000_000) * 100 + place;
        let nth = usize::try_from(place).unwrap_or_default();
        let identity = Identity {
            id: bcd(number),
            manufacturer: MANUFACTURERS.get(nth % MANUFACTURERS.len()).copied().unwrap_or_default(),
            version: u8::try_from(dice.between(1, 16)).unwrap_or(1),
            medium: kind.medium(),
        };
        let key = demo_key(seed, place);
        let protection = match guard {
            Guard::None => Protection::Plain,
            Guard::A => Protection::Mode5 { key },
            Guard::B => Protection::Mode7 { key, counter: u32::try_from(dice.between(1000, 100_000)).unwrap_or(1) },
        };
        let mut meter = RadioMeter::new(Meter::new(kind, identity, dice.roll()), protection, interval);
        (meter.mode, meter.trick) = (mode, trick);
        meter.first = interval.mul_f64(f64::from(u32::try_from(place).unwrap_or(1)) / 12.0);
        meter.rssi_dbm = -i16::try_from(dice.between(50, 100)).unwrap_or(75);
        air.add(meter);
    }
    air
}

/// The key of the meter at `place` (from 1) of a [`demo_air`].
#[must_use]
pub fn demo_key(seed: u64, place: u64) -> [u8; 16] {
    let mut dice = Dice(seed ^ place.rotate_left(32));
    let (low, high) = (dice.roll(), dice.roll());
    (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Calendar = Calendar { start_unix_s: 1_795_423_325, factor: 1 };
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn telegrams_come_in_order_and_at_their_intervals() {
        let mut air = demo_air(7, MINUTE, NOW);
        assert_eq!(air.next_deadline(), Some(Duration::from_secs(5)));
        let due = air.take_due(10 * MINUTE);
        assert_eq!(due.len(), 120);
        assert!(due.is_sorted_by_key(|(at, _)| *at));
        assert!(air.take_due(10 * MINUTE).is_empty());
        let numbers: Vec<u8> = due.iter().take(12).map(|(_, sent)| sent.stripped[4]).collect();
        assert_eq!(numbers, [0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x10, 0x11, 0x12]);
        for (_, sent) in &due {
            assert_eq!(usize::from(sent.stripped[0]) + 1, sent.stripped.len());
        }
    }

    #[test]
    fn the_replayed_meter_repeats_itself_and_the_others_do_not() {
        let mut air = demo_air(7, MINUTE, NOW);
        let due = air.take_due(7 * MINUTE);
        for place in 0..12 {
            let own: Vec<_> = due.iter().skip(place).step_by(12).map(|(_, sent)| &sent.stripped).collect();
            assert_eq!(own.len(), 7);
            let repeats: Vec<bool> = own.iter().skip(1).map(|sent| *sent == own[0]).collect();
            let expected = [false, false, false, true, true, true].map(|repeats| repeats && place == 10);
            assert_eq!(repeats, expected, "{place}");
        }
    }

    #[test]
    fn the_same_seed_is_the_same_air() {
        let first = |seed| demo_air(seed, MINUTE, NOW).take_due(MINUTE);
        assert_eq!(first(3), first(3));
        assert_ne!(first(3), first(4));
        assert_ne!(demo_key(3, 1), demo_key(3, 2));
    }
}
