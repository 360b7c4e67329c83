//! Meters whose registers advance with the time they are given.
//!
//! All arithmetic is on integers, and every register is a function of the
//! seed and the time: the same meter at the same second says the same.

mod calendar;
mod records;
mod registers;

use crate::mbus::Identity;
use records::Telegram;
use registers::Consumption;
pub(crate) use registers::Dice;
use serde::{Deserialize, Serialize};

/// What a meter measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Heat at the outlet (medium 04), two telegrams a readout.
    Heat,
    /// Cold water (medium 07).
    Water,
    /// Warm water (medium 06).
    WarmWater,
    /// Electricity (medium 02), two tariffs, three phases.
    Electricity,
    /// Gas (medium 03).
    Gas,
}

impl Kind {
    /// Its name in measuring points: `warm-water`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Heat => "heat",
            Self::Water => "water",
            Self::WarmWater => "warm-water",
            Self::Electricity => "electricity",
            Self::Gas => "gas",
        }
    }

    /// The medium code of the fixed header.
    #[must_use]
    pub fn medium(self) -> u8 {
        match self {
            Self::Heat => 0x04,
            Self::Water => 0x07,
            Self::WarmWater => 0x06,
            Self::Electricity => 0x02,
            Self::Gas => 0x03,
        }
    }
}

/// A record as it should be read, told by the simulator's own hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// What the register is.
    pub register: &'static str,
    /// The value's digits.
    pub mantissa: i64,
    /// The power of ten that belongs to them.
    pub exponent: i8,
    /// The unit: Wh, W, m3, m3/h, Cel, K, h, V, or empty.
    pub unit: &'static str,
    /// The storage number.
    pub storage: u8,
    /// The tariff.
    pub tariff: u8,
}

/// A meter: who it is, and how its registers move.
#[derive(Debug, Clone)]
pub struct Meter {
    kind: Kind,
    identity: Identity,
    consumption: Consumption,
}

impl Meter {
    /// A meter whose consumption is drawn from `seed`.
    ///
    /// The medium of `identity` is set to the kind's.
    #[must_use]
    pub fn new(kind: Kind, identity: Identity, seed: u64) -> Self {
        let identity = Identity { medium: kind.medium(), ..identity };
        Self { kind, identity, consumption: Consumption::new(kind, seed) }
    }

    /// What it measures.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its secondary address.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Every number that a readout at `unix_s` holds, in order; dates and
    /// the error flags left out.
    #[must_use]
    pub fn expected(&self, unix_s: u64) -> Vec<Expected> {
        self.written(unix_s).into_iter().flat_map(|telegram| telegram.expected).collect()
    }

    /// The telegrams of a readout from their CI field on; `access` is the
    /// access number of the first.
    #[must_use]
    pub fn telegrams(&self, unix_s: u64, access: u8) -> Vec<Vec<u8>> {
        let written = self.written(unix_s);
        (0..=u8::MAX)
            .zip(written)
            .map(|(nth, telegram)| {
                let mut user = vec![0x72];
                user.extend(self.identity.bytes());
                // Status without error; no configuration (not encrypted).
                user.extend([access.wrapping_add(nth), 0x00, 0x00, 0x00]);
                user.extend(telegram.bytes);
                user
            })
            .collect()
    }

    /// The records of a radio telegram at `unix_s`, and the numbers in them: those of a readout's
    /// first telegram, without the word that more follow.
    #[must_use]
    pub fn radio_records(&self, unix_s: u64) -> (Vec<u8>, Vec<Expected>) {
        let first = self.written(unix_s).into_iter().next().unwrap_or_default();
        let bytes = first.bytes.strip_suffix(&[records::MORE_FOLLOWS]).unwrap_or(&first.bytes).to_vec();
        (bytes, first.expected)
    }

    fn written(&self, unix_s: u64) -> Vec<Telegram> {
        let now = &self.consumption.at(unix_s);
        match self.kind {
            Kind::Heat => records::heat(now),
            Kind::Water | Kind::WarmWater => records::water(now),
            Kind::Electricity => records::electricity(now),
            Kind::Gas => records::gas(now),
        }
    }
}
