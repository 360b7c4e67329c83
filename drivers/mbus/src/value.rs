//! Values: what the data field of a record holds, exact.

use crate::date::{DateTime, DaylightSaving};
use core::fmt;
use plomb_session::Decimal;

/// The value of a record. Nothing is rounded and nothing is dropped: what is not a number, a text
/// or a date is kept as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// The record carries no value.
    None,
    /// A number in the record's unit.
    Number(Decimal),
    /// A text in reading order.
    Text(Text<'a>),
    /// A date, a time, or both. See [`DateTime::is_exact`].
    DateTime(DateTime),
    /// The rule of daylight saving.
    DaylightSaving(DaylightSaving),
    /// Bytes as sent: longer than a number may be, or the manufacturer's own.
    Bytes(Bytes<'a>),
    /// The meter sent something that its coding does not allow, which is how many meters say
    /// "not available".
    Invalid {
        /// What is wrong.
        reason: InvalidValue,
        /// The data as sent.
        bytes: Bytes<'a>,
    },
}

/// Why a value is [`Value::Invalid`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InvalidValue {
    /// A BCD digit above 9: a digit that the meter cannot show.
    NotDecimal,
    /// A real that is not a number, or infinite.
    NotFinite,
    /// Every bit of a date is set: the meter has none.
    NoDate,
    /// A scale that leaves the range of a decimal.
    Range,
}

/// A text of ISO 8859-1 characters. [`Display`](fmt::Display) writes it in reading order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<'a> {
    bytes: &'a [u8],
    reversed: bool,
}

/// Bytes in the order of the wire. [`Display`](fmt::Display) writes lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bytes<'a>(pub &'a [u8]);

impl<'a> Value<'a> {
    /// The number, if it is one.
    #[must_use]
    pub const fn number(&self) -> Option<Decimal> {
        match self {
            Self::Number(decimal) => Some(*decimal),
            _ => None,
        }
    }

    /// The date, if it is one.
    #[must_use]
    pub const fn date_time(&self) -> Option<DateTime> {
        match self {
            Self::DateTime(date) => Some(*date),
            _ => None,
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub const fn text(&self) -> Option<Text<'a>> {
        match self {
            Self::Text(text) => Some(*text),
            _ => None,
        }
    }

    pub(crate) const fn invalid(reason: InvalidValue, bytes: &'a [u8]) -> Self {
        Self::Invalid { reason, bytes: Bytes(bytes) }
    }
}

impl<'a> Text<'a> {
    /// A text whose characters come in reading order, or `reversed`, as mode 1 sends them.
    #[must_use]
    pub const fn new(bytes: &'a [u8], reversed: bool) -> Self {
        Self { bytes, reversed }
    }

    /// The characters in reading order.
    pub fn chars(&self) -> impl Iterator<Item = char> + 'a {
        let Self { bytes, reversed } = *self;
        (0..bytes.len()).filter_map(move |at| {
            let at = if reversed { bytes.len() - 1 - at } else { at };
            bytes.get(at).map(|byte| char::from(*byte))
        })
    }

    /// Whether every character can be printed.
    #[must_use]
    pub fn is_printable(&self) -> bool {
        self.chars().all(|c| !c.is_control())
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chars().try_for_each(|c| fmt::Write::write_char(f, c))
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl fmt::Display for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotDecimal => "a digit is not decimal",
            Self::NotFinite => "not a finite number",
            Self::NoDate => "no date",
            Self::Range => "out of range",
        })
    }
}

/// Writes the value alone: a decimal in plain notation, a date, a text, or hexadecimal.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Number(decimal) => write!(f, "{decimal}"),
            Self::Text(text) => write!(f, "{text}"),
            Self::DateTime(date) => write!(f, "{date}"),
            Self::DaylightSaving(rule) => write!(f, "{rule}"),
            Self::Bytes(bytes) | Self::Invalid { bytes, .. } => write!(f, "{bytes}"),
        }
    }
}

/// The number of packed BCD, least significant byte first, two digits a byte.
///
/// A top digit of F is a minus sign (type A). `None` for any other digit above 9.
pub(crate) fn bcd(bytes_le: &[u8]) -> Option<i64> {
    let mut number = 0i64;
    let mut negative = false;
    for (place, byte) in bytes_le.iter().rev().enumerate() {
        let (high, low) = (byte >> 4, byte & 0x0F);
        let high = if place == 0 && high == 0x0F {
            negative = true;
            0
        } else {
            high
        };
        if high > 9 || low > 9 {
            return None;
        }
        number = number.checked_mul(100)?.checked_add(i64::from(high * 10 + low))?;
    }
    Some(if negative { -number } else { number })
}

/// The number of packed BCD without a sign digit, least significant byte first.
pub(crate) fn bcd_unsigned(bytes_le: &[u8]) -> Option<i64> {
    match bytes_le.last() {
        Some(top) if top >> 4 > 9 => None,
        _ => bcd(bytes_le),
    }
}

/// The two's complement integer of up to eight bytes, least significant first.
#[inline]
pub(crate) fn signed(bytes_le: &[u8]) -> i64 {
    let fill = if bytes_le.last().is_some_and(|top| top & 0x80 != 0) { 0xFF } else { 0 };
    let mut wide = [fill; 8];
    for (wide, byte) in wide.iter_mut().zip(bytes_le) {
        *wide = *byte;
    }
    i64::from_le_bytes(wide)
}

/// The unsigned integer of up to eight bytes, least significant first; `None` above `i64::MAX`.
pub(crate) fn unsigned(bytes_le: &[u8]) -> Option<i64> {
    let mut wide = [0; 8];
    for (wide, byte) in wide.iter_mut().zip(bytes_le) {
        *wide = *byte;
    }
    i64::try_from(u64::from_le_bytes(wide)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn bcd_digits_and_signs() {
        assert_eq!(bcd(&[0x21, 0x43, 0x65, 0x87]), Some(87_654_321));
        assert_eq!(bcd(&[0x05, 0xF0]), Some(-5));
        assert_eq!(bcd(&[0x00, 0xF0]), Some(0));
        for hex in [[0x0A, 0x00], [0xA0, 0x00], [0x00, 0xA0], [0xFF, 0xFF], [0xF0, 0x00]] {
            assert_eq!(bcd(&hex), None, "{hex:02x?}");
        }
    }

    #[test]
    fn integers_of_any_width() {
        assert_eq!(signed(&[0xFF]), -1);
        assert_eq!(signed(&[0x00, 0x80]), -32768);
        assert_eq!(signed(&[0xFF, 0x00]), 255);
        assert_eq!(signed(&[0xFE, 0xFF, 0xFF]), -2);
        assert_eq!(signed(&[]), 0);
        assert_eq!(unsigned(&[0xFF, 0xFF]), Some(65_535));
        assert_eq!(unsigned(&[0xFF; 8]), None);
    }

    #[test]
    fn text_is_turned_to_reading_order() {
        assert_eq!(Text::new(b"PW", true).to_string(), "WP");
        assert_eq!(Text::new(&[0x43, 0xB0], true).to_string(), "°C");
        assert!(!Text::new(&[0x00], true).is_printable());
    }
}
