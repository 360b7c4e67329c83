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
    /// After this many telegrams it sends the last one again for ever.
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
    last: Vec<u8>,
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
            last: Vec::new(),
        }
    }

    /// Telegrams that it has sent.
    #[must_use]
    pub fn sent(&self) -> u32 {
        self.sent
    }

    /// Sends: the telegram with its registers at `unix_s`.
    pub fn send(&mut self, unix_s: u64) -> Radiated {
        let replays = matches!(self.trick, Trick::Replay { after } if self.sent >= after && !self.last.is_empty());
        if !replays {
            self.last = self.telegram(unix_s);
        }
        self.sent = self.sent.saturating_add(1);
        Radiated { stripped: self.last.clone(), mode: self.mode, rssi_dbm: self.rssi_dbm }
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
