//! A meter that sends.

use super::air::{Radiated, RadioMode};
use super::oms::{Key, TelegramHead, mode_5, mode_7, plain};
use crate::live::Meter;
use std::time::Duration;

/// How a meter protects its telegrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Not at all (security mode 0).
    Plain,
    /// OMS security profile A, mode 5.
    Mode5 {
        /// The meter's key.
        key: Key,
    },
    /// OMS security profile B, mode 7.
    Mode7 {
        /// The meter's key.
        key: Key,
        /// The message counter of its next telegram.
        counter: u32,
    },
}

/// What is wrong with a sender.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trick {
    /// Nothing.
    #[default]
    Honest,
    /// It claims an identity without its key.
    WrongKey,
    /// A bit of its MAC is turned over; without MAC, a bit of the last byte.
    WrongMac,
    /// After this many telegrams somebody who recorded the first sends that one again for ever.
    Replay {
        /// Honest telegrams before that.
        after: u32,
    },
}

/// A radio meter: whose registers it sends, how, and how often.
#[derive(Debug, Clone)]
pub struct RadioMeter {
    /// Whose registers.
    pub meter: Meter,
    /// How they are protected.
    pub protection: Protection,
    /// What is wrong with it.
    pub trick: Trick,
    /// In which mode, and frame format, it sends.
    pub mode: RadioMode,
    /// The time from telegram to telegram.
    pub interval: Duration,
    /// When it sends first.
    pub first: Duration,
    /// How strong it arrives.
    pub rssi_dbm: i16,
    access: u8,
    sent: u32,
    first_sent: Vec<u8>,
}

impl RadioMeter {
    /// A meter in mode T that sends every `interval`, first after one.
    #[must_use]
    pub fn new(meter: Meter, protection: Protection, interval: Duration) -> Self {
        Self {
            meter,
            protection,
            trick: Trick::Honest,
            mode: RadioMode::T,
            interval,
            first: interval,
            rssi_dbm: -75,
            access: 0,
            sent: 0,
            first_sent: Vec::new(),
        }
    }

    /// Telegrams that it has sent.
    #[must_use]
    pub fn sent(&self) -> u32 {
        self.sent
    }

    /// Sends: the telegram with its registers at `unix_s`.
    pub fn send(&mut self, unix_s: u64) -> Radiated {
        let replays = matches!(self.trick, Trick::Replay { after } if self.sent >= after.max(1));
        let stripped = if replays { self.first_sent.clone() } else { self.telegram(unix_s) };
        if self.sent == 0 {
            self.first_sent.clone_from(&stripped);
        }
        self.sent = self.sent.saturating_add(1);
        Radiated { stripped, mode: self.mode, rssi_dbm: self.rssi_dbm }
    }

    fn telegram(&mut self, unix_s: u64) -> Vec<u8> {
        let (records, _) = self.meter.radio_records(unix_s);
        let head = TelegramHead { identity: self.meter.identity(), access: self.access, status: 0 };
        self.access = self.access.wrapping_add(1);
        let stolen = self.trick == Trick::WrongKey;
        let used = |key: Key| if stolen { key.map(|byte| byte ^ 0x5A) } else { key };
        let mut telegram = match &mut self.protection {
            Protection::Plain => plain(&head, &records),
            Protection::Mode5 { key } => mode_5(&head, &used(*key), &records),
            Protection::Mode7 { key, counter } => {
                let now = *counter;
                *counter = counter.saturating_add(1);
                mode_7(&head, &used(*key), now, &records)
            }
        };
        if self.trick == Trick::WrongMac {
            // The MAC begins at byte 22 of a telegram of mode 7.
            let at = if matches!(self.protection, Protection::Mode7 { .. }) { 22 } else { telegram.len() - 1 };
            telegram.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 0x10);
        }
        telegram
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Kind;
    use crate::mbus::Identity;

    const IDENTITY: Identity = Identity { id: 0x1234_5678, manufacturer: 0x4181, version: 1, medium: 7 };
    const KEY: Key = [7; 16];

    fn meter(protection: Protection, trick: Trick) -> RadioMeter {
        let meter = Meter::new(Kind::Water, IDENTITY, 1);
        RadioMeter { trick, ..RadioMeter::new(meter, protection, Duration::from_secs(10)) }
    }

    #[test]
    fn counters_count_and_a_forged_telegram_differs_where_it_should() {
        let protection = Protection::Mode7 { key: KEY, counter: 41 };
        let mut honest = meter(protection, Trick::Honest);
        let (first, second) = (honest.send(1_795_423_325).stripped, honest.send(1_795_423_335).stripped);
        assert_eq!((&first[18..22], &second[18..22]), (&[41, 0, 0, 0][..], &[42, 0, 0, 0][..]));
        let forged = meter(protection, Trick::WrongMac).send(1_795_423_325).stripped;
        let differing: Vec<usize> = (0..first.len()).filter(|at| first[*at] != forged[*at]).collect();
        assert_eq!(differing, [22], "one byte of the MAC");
        let stolen = meter(protection, Trick::WrongKey).send(1_795_423_325).stripped;
        assert_eq!(stolen[..22], first[..22]);
        assert_ne!(stolen[22..30], first[22..30]);
    }

    #[test]
    fn every_kind_fits_in_a_telegram() {
        for kind in [Kind::Heat, Kind::Water, Kind::WarmWater, Kind::Electricity, Kind::Gas] {
            let meter = Meter::new(kind, IDENTITY, 1);
            let (records, expected) = meter.radio_records(1_795_423_325);
            assert!(!expected.is_empty() && records.last() != Some(&0x1F));
            let protection = Protection::Mode5 { key: KEY };
            let sent = RadioMeter::new(meter, protection, Duration::from_secs(10)).send(1_795_423_325).stripped;
            assert!(sent.len() < 200 && usize::from(sent[0]) + 1 == sent.len());
        }
    }
}
