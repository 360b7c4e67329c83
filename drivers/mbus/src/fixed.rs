//! The fixed structure (CI 73 and 77): two counters, from meters of the first generation
//! (EN 1434-3:1997).
//!
//! ```text
//! identification (4)  access (1)  status (1)  media and units (2)  counter 1 (4)  counter 2 (4)
//! ```

use crate::header::{Identification, Medium, Status};
use crate::quantity::Quantity;
use crate::record::{DataField, Record};
use crate::value::{self, Bytes, InvalidValue, Value};
use plomb_session::{Decimal, ReadError, Reader};

/// Bytes of the structure.
pub(crate) const FIXED_BYTES: usize = 16;
const COUNTER_BYTES: usize = 4;
/// Counters follow eight bytes of head.
const COUNTERS_AT: usize = 8;

/// A telegram of the fixed structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed<'a> {
    /// The eight digits on the meter.
    pub id: Identification,
    /// Counts the meter's answers, modulo 256.
    pub access: u8,
    /// How the meter is, and how the counters are coded.
    pub status: FixedStatus,
    /// What is metered: four bits.
    pub medium: FixedMedium,
    /// Unit codes of the two counters, six bits each.
    pub units: [u8; 2],
    counters: [&'a [u8]; 2],
    offset: usize,
    msb_first: bool,
}

/// The status byte of the fixed structure. Bits 2 to 7 are those of [`Status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FixedStatus(pub u8);

/// The medium of the fixed structure: four bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FixedMedium(pub u8);

impl<'a> Fixed<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>, msb_first: bool) -> Result<Self, ReadError> {
        let offset = reader.offset();
        let id = reader.array().map(|id| if msb_first { u32::from_be_bytes(id) } else { u32::from_le_bytes(id) })?;
        let [access, status, low, high] = reader.array()?;
        let (low, high) = if msb_first { (high, low) } else { (low, high) };
        Ok(Self {
            id: Identification(id),
            access,
            status: FixedStatus(status),
            medium: FixedMedium(low >> 6 | (high >> 6) << 2),
            units: [low & 0x3F, high & 0x3F],
            counters: [reader.take(COUNTER_BYTES)?, reader.take(COUNTER_BYTES)?],
            offset,
            msb_first,
        })
    }

    /// Counter 0 or 1 as a record; `None` beyond.
    pub(crate) fn record(&self, counter: usize) -> Option<Record<'a>> {
        let data = *self.counters.get(counter)?;
        let [first, second] = self.units;
        let (unit, historic) = match (counter, second) {
            (0, _) => (first, false),
            (_, SAME_BUT_HISTORIC) => (first, true),
            _ => (second, false),
        };
        let stored = historic || self.status.stored();
        let (quantity, unit, exponent) = meaning(unit, self.medium);
        let field = if self.status.binary() { DataField::Integer(4) } else { DataField::Bcd(4) };
        Some(Record {
            data,
            field,
            quantity,
            unit,
            storage: u64::from(stored),
            value: self.value(data, exponent),
            ..Record::empty(
                self.offset.saturating_add(COUNTERS_AT).saturating_add(counter.saturating_mul(COUNTER_BYTES)),
            )
        })
    }

    fn value(&self, data: &'a [u8], exponent: i8) -> Value<'a> {
        let Ok(mut le) = <[u8; COUNTER_BYTES]>::try_from(data) else {
            return Value::Bytes(Bytes(data));
        };
        if self.msb_first {
            le.reverse();
        }
        let digits = if self.status.binary() { Some(value::signed(&le)) } else { value::bcd(&le) };
        match digits {
            Some(digits) => Value::Number(Decimal::new(digits, exponent)),
            None => Value::invalid(InvalidValue::NotDecimal, data),
        }
    }
}

impl FixedStatus {
    /// Bit 0: the counters are binary; else BCD.
    #[must_use]
    pub const fn binary(self) -> bool {
        self.0 & 0x01 != 0
    }

    /// Bit 1: the counters were stored at a fixed date; else they are current.
    #[must_use]
    pub const fn stored(self) -> bool {
        self.0 & 0x02 != 0
    }

    /// The meter's condition, without the two bits that say how the counters are coded.
    #[must_use]
    pub const fn condition(self) -> Status {
        Status(self.0 & !0x03)
    }
}

impl FixedMedium {
    /// The medium of the long header that means the same.
    #[must_use]
    pub const fn medium(self) -> Medium {
        Medium(match self.0 & 0x0F {
            code @ 0x00..=0x08 => code,
            // The second mode differs in how counters are read at a distance, not in what is metered.
            0x0A => 0x03,
            0x0B => 0x04,
            0x0C => 0x06,
            0x0D => 0x07,
            0x0E => 0x08,
            _ => 0x0F,
        })
    }
}

/// Unit of counter 2: that of counter 1, stored at a fixed date.
const SAME_BUT_HISTORIC: u8 = 0x3E;

/// Runs of unit codes, three decades each: first code, quantity, unit, exponent of the first.
const UNIT_RUNS: &[(u8, Quantity, &str, i8)] = &[
    (0x02, Quantity::Energy, "Wh", 0),
    (0x05, Quantity::Energy, "Wh", 3),
    (0x08, Quantity::Energy, "Wh", 6),
    (0x0B, Quantity::Energy, "J", 3),
    (0x0E, Quantity::Energy, "J", 6),
    (0x11, Quantity::Energy, "J", 9),
    (0x14, Quantity::Power, "W", 0),
    (0x17, Quantity::Power, "W", 3),
    (0x1A, Quantity::Power, "W", 6),
    (0x1D, Quantity::Power, "J/h", 3),
    (0x20, Quantity::Power, "J/h", 6),
    (0x23, Quantity::Power, "J/h", 9),
    (0x26, Quantity::Volume, "m3", -6),
    (0x29, Quantity::Volume, "m3", -3),
    (0x2C, Quantity::Volume, "m3", 0),
    (0x2F, Quantity::VolumeFlow, "m3/h", -6),
    (0x32, Quantity::VolumeFlow, "m3/h", -3),
    (0x35, Quantity::VolumeFlow, "m3/h", 0),
];

fn meaning(code: u8, medium: FixedMedium) -> (Quantity, &'static str, i8) {
    match code {
        0x00 => return (Quantity::TimeOfDay, "", 0),
        0x01 => return (Quantity::Date, "", 0),
        0x38 if medium.medium().0 == 0x04 => return (Quantity::FlowTemperature, "°C", -3),
        0x38 => return (Quantity::ExternalTemperature, "°C", -3),
        0x39 => return (Quantity::HeatCostAllocation, "hca", 0),
        0x3F => return (Quantity::Dimensionless, "", 0),
        _ => {}
    }
    let run = UNIT_RUNS.iter().find(|(first, ..)| (*first..first.saturating_add(3)).contains(&code));
    match run {
        Some(&(first, quantity, unit, exponent)) => {
            let decade = i8::try_from(code.saturating_sub(first)).unwrap_or(0);
            (quantity, unit, exponent.saturating_add(decade))
        }
        None => (Quantity::Unknown, "", 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    const HEAD: [u8; 8] = [0x78, 0x56, 0x34, 0x12, 0x0A, 0x00, 0xE9, 0x7E];

    fn telegram(status: u8, counters: [u8; 8]) -> [u8; FIXED_BYTES] {
        let mut bytes = [0; FIXED_BYTES];
        bytes[..8].copy_from_slice(&HEAD);
        bytes[5] = status;
        bytes[8..].copy_from_slice(&counters);
        bytes
    }

    #[test]
    fn the_example_of_the_standard() {
        // Water, litres, the second counter stored at a fixed date.
        let bytes = telegram(0, [0x01, 0x00, 0x00, 0x00, 0x35, 0x01, 0x00, 0x00]);
        let fixed = Fixed::read(&mut Reader::new(&bytes), false).unwrap();
        assert_eq!(fixed.id.to_string(), "12345678");
        assert_eq!(fixed.medium.medium().name(), "water");
        let [now, then] = [0, 1].map(|counter| fixed.record(counter).unwrap());
        assert_eq!((now.quantity, now.unit, now.storage), (Quantity::Volume, "m3", 0));
        assert_eq!((then.quantity, then.unit, then.storage), (Quantity::Volume, "m3", 1));
        assert_eq!((now.value.to_string().as_str(), then.value.to_string().as_str()), ("0.001", "0.135"));
        assert_eq!(fixed.record(2), None);
    }

    #[test]
    fn binary_counters_and_hex_digits() {
        let counters = [0xFF, 0xFF, 0xFF, 0x7F, 0x0A, 0x00, 0x00, 0x00];
        let bytes = telegram(0x03, counters);
        let fixed = Fixed::read(&mut Reader::new(&bytes), false).unwrap();
        let now = fixed.record(0).unwrap();
        assert_eq!((now.value.to_string().as_str(), now.storage), ("2147483.647", 1));
        let bytes = telegram(0x00, counters);
        let fixed = Fixed::read(&mut Reader::new(&bytes), false).unwrap();
        assert!(matches!(fixed.record(1).unwrap().value, Value::Invalid { reason: InvalidValue::NotDecimal, .. }));
    }
}
