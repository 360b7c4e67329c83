//! Values of the COSEM types.

use super::compact::CompactArray;
use super::time::{Date, DateTime, Time};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use plomb_session::Decimal;

/// A value of any COSEM type (IEC 62056-6-2 table 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing; in a compressed profile: as before.
    Null,
    /// Values of one type.
    Array(Vec<Self>),
    /// Values of any types.
    Structure(Vec<Self>),
    /// True or false; the byte is kept.
    Boolean(u8),
    /// Bits.
    BitString(BitString),
    /// 32 bits, signed.
    DoubleLong(i32),
    /// 32 bits.
    DoubleLongUnsigned(u32),
    /// Bytes.
    OctetString(Vec<u8>),
    /// Text; meters send more than ASCII here, so the bytes are kept.
    VisibleString(Vec<u8>),
    /// Text, meant to be UTF-8.
    Utf8String(Vec<u8>),
    /// Two decimal digits.
    Bcd(u8),
    /// 8 bits, signed.
    Integer(i8),
    /// 16 bits, signed.
    Long(i16),
    /// 8 bits.
    Unsigned(u8),
    /// 16 bits.
    LongUnsigned(u16),
    /// Rows whose types are told once.
    CompactArray(Box<CompactArray>),
    /// 64 bits, signed.
    Long64(i64),
    /// 64 bits.
    Long64Unsigned(u64),
    /// One of a list.
    Enum(u8),
    /// A float of 32 bits, as its bits.
    Float32(u32),
    /// A float of 64 bits, as its bits.
    Float64(u64),
    /// A date and time.
    DateTime(DateTime),
    /// A date.
    Date(Date),
    /// A time of day.
    Time(Time),
    /// A difference, 8 bits, signed.
    DeltaInteger(i8),
    /// A difference, 16 bits, signed.
    DeltaLong(i16),
    /// A difference, 32 bits, signed.
    DeltaDoubleLong(i32),
    /// A difference, 8 bits.
    DeltaUnsigned(u8),
    /// A difference, 16 bits.
    DeltaLongUnsigned(u16),
    /// A difference, 32 bits.
    DeltaDoubleLongUnsigned(u32),
    /// It does not matter.
    DontCare,
}

/// Bits, first to last.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BitString {
    /// The bytes; bits behind the last count as sent.
    pub bytes: Vec<u8>,
    /// How many bits.
    pub bits: usize,
}

impl BitString {
    /// Whether a bit is set; `false` behind the end.
    #[must_use]
    pub fn is_set(&self, bit: usize) -> bool {
        bit < self.bits && self.bytes.get(bit / 8).is_some_and(|byte| byte & (0x80 >> (bit % 8)) != 0)
    }
}

impl Value {
    /// The tag of the type.
    #[must_use]
    pub const fn tag(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Array(_) => 1,
            Self::Structure(_) => 2,
            Self::Boolean(_) => 3,
            Self::BitString(_) => 4,
            Self::DoubleLong(_) => 5,
            Self::DoubleLongUnsigned(_) => 6,
            Self::OctetString(_) => 9,
            Self::VisibleString(_) => 10,
            Self::Utf8String(_) => 12,
            Self::Bcd(_) => 13,
            Self::Integer(_) => 15,
            Self::Long(_) => 16,
            Self::Unsigned(_) => 17,
            Self::LongUnsigned(_) => 18,
            Self::CompactArray(_) => 19,
            Self::Long64(_) => 20,
            Self::Long64Unsigned(_) => 21,
            Self::Enum(_) => 22,
            Self::Float32(_) => 23,
            Self::Float64(_) => 24,
            Self::DateTime(_) => 25,
            Self::Date(_) => 26,
            Self::Time(_) => 27,
            Self::DeltaInteger(_) => 28,
            Self::DeltaLong(_) => 29,
            Self::DeltaDoubleLong(_) => 30,
            Self::DeltaUnsigned(_) => 31,
            Self::DeltaLongUnsigned(_) => 32,
            Self::DeltaDoubleLongUnsigned(_) => 33,
            Self::DontCare => 255,
        }
    }

    /// The type's name, as the standard writes it.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        type_name(self.tag())
    }

    /// An exact number, of any numeric type; a float as its shortest decimal. `None` for other types,
    /// for a float that is no number, and for 64 bits that are more than a mantissa holds.
    #[must_use]
    pub fn as_decimal(&self) -> Option<Decimal> {
        let whole = match *self {
            Self::DoubleLong(number) | Self::DeltaDoubleLong(number) => i64::from(number),
            Self::DoubleLongUnsigned(number) | Self::DeltaDoubleLongUnsigned(number) => i64::from(number),
            Self::Integer(number) | Self::DeltaInteger(number) => i64::from(number),
            Self::Long(number) | Self::DeltaLong(number) => i64::from(number),
            Self::Unsigned(number) | Self::DeltaUnsigned(number) | Self::Enum(number) => i64::from(number),
            Self::LongUnsigned(number) | Self::DeltaLongUnsigned(number) => i64::from(number),
            Self::Long64(number) => number,
            Self::Long64Unsigned(number) => i64::try_from(number).ok()?,
            Self::Bcd(byte) => match (byte >> 4, byte & 0x0F) {
                (tens @ 0..=9, ones @ 0..=9) => i64::from(tens * 10 + ones),
                _ => return None,
            },
            Self::Float32(bits) => return Decimal::from_f32(f32::from_bits(bits)),
            Self::Float64(bits) => return Decimal::from_f64(f64::from_bits(bits)),
            _ => return None,
        };
        Some(Decimal::from(whole))
    }

    /// What a difference makes of the value before it, in that value's type. `None` if this is no difference, the value
    /// before is no whole number, or its type cannot hold the sum.
    #[must_use]
    pub fn added_to(&self, before: &Self) -> Option<Self> {
        let difference = match *self {
            Self::DeltaInteger(number) => i128::from(number),
            Self::DeltaLong(number) => i128::from(number),
            Self::DeltaDoubleLong(number) => i128::from(number),
            Self::DeltaUnsigned(number) => i128::from(number),
            Self::DeltaLongUnsigned(number) => i128::from(number),
            Self::DeltaDoubleLongUnsigned(number) => i128::from(number),
            _ => return None,
        };
        match *before {
            Self::Integer(number) => i8::try_from(i128::from(number) + difference).ok().map(Self::Integer),
            Self::Long(number) => i16::try_from(i128::from(number) + difference).ok().map(Self::Long),
            Self::DoubleLong(number) => i32::try_from(i128::from(number) + difference).ok().map(Self::DoubleLong),
            Self::Long64(number) => i64::try_from(i128::from(number) + difference).ok().map(Self::Long64),
            Self::Unsigned(number) => u8::try_from(i128::from(number) + difference).ok().map(Self::Unsigned),
            Self::LongUnsigned(number) => u16::try_from(i128::from(number) + difference).ok().map(Self::LongUnsigned),
            Self::DoubleLongUnsigned(number) => {
                u32::try_from(i128::from(number) + difference).ok().map(Self::DoubleLongUnsigned)
            }
            Self::Long64Unsigned(number) => {
                u64::try_from(i128::from(number) + difference).ok().map(Self::Long64Unsigned)
            }
            _ => None,
        }
    }

    /// A whole number that is not negative.
    #[must_use]
    pub fn as_unsigned(&self) -> Option<u64> {
        match *self {
            Self::Float32(_) | Self::Float64(_) => None,
            Self::Long64Unsigned(number) => Some(number),
            Self::BitString(ref bits) if bits.bits <= 64 => {
                let number = bits.bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
                let spare = bits.bytes.len().saturating_mul(8).saturating_sub(bits.bits);
                Some(number >> u32::try_from(spare).ok().filter(|spare| *spare < 8)?)
            }
            Self::Boolean(byte) => Some(u64::from(byte != 0)),
            _ => self.as_decimal().and_then(|number| u64::try_from(number.mantissa).ok()),
        }
    }

    /// The bytes of an octet string or of a text.
    #[must_use]
    pub fn as_octets(&self) -> Option<&[u8]> {
        match self {
            Self::OctetString(bytes) | Self::VisibleString(bytes) | Self::Utf8String(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The elements of an array or a structure.
    #[must_use]
    pub fn as_elements(&self) -> Option<&[Self]> {
        match self {
            Self::Array(elements) | Self::Structure(elements) => Some(elements),
            _ => None,
        }
    }

    /// The fields of a structure with this many.
    #[must_use]
    pub fn as_structure<const N: usize>(&self) -> Option<&[Self; N]> {
        match self {
            Self::Structure(fields) => fields.as_slice().try_into().ok(),
            _ => None,
        }
    }

    /// Text, of a text type or of an octet string that holds nothing but printable ASCII.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        let text = core::str::from_utf8(self.as_octets()?).ok()?;
        let printable = !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        (printable || !matches!(self, Self::OctetString(_))).then_some(text)
    }

    /// A date-time, also as an octet string of twelve bytes.
    #[must_use]
    pub fn as_date_time(&self) -> Option<DateTime> {
        match self {
            Self::DateTime(time) => Some(*time),
            Self::OctetString(bytes) => DateTime::from_slice(bytes),
            _ => None,
        }
    }
}

/// The name of a type by its tag.
pub(crate) const fn type_name(tag: u8) -> &'static str {
    match tag {
        0 => "null-data",
        1 => "array",
        2 => "structure",
        3 => "boolean",
        4 => "bit-string",
        5 => "double-long",
        6 => "double-long-unsigned",
        9 => "octet-string",
        10 => "visible-string",
        12 => "utf8-string",
        13 => "bcd",
        15 => "integer",
        16 => "long",
        17 => "unsigned",
        18 => "long-unsigned",
        19 => "compact-array",
        20 => "long64",
        21 => "long64-unsigned",
        22 => "enum",
        23 => "float32",
        24 => "float64",
        25 => "date-time",
        26 => "date",
        27 => "time",
        28 => "delta-integer",
        29 => "delta-long",
        30 => "delta-double-long",
        31 => "delta-unsigned",
        32 => "delta-long-unsigned",
        33 => "delta-double-long-unsigned",
        255 => "dont-care",
        _ => "unknown type",
    }
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for Value {
    /// For people: numbers plain, text in quotes, dates as dates, bytes as hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::DontCare => f.write_str("any"),
            Self::Boolean(byte) => write!(f, "{}", *byte != 0),
            Self::Array(elements) | Self::Structure(elements) => {
                let (open, close) = if matches!(self, Self::Array(_)) { ('[', ']') } else { ('{', '}') };
                write!(f, "{open}")?;
                for (nth, element) in elements.iter().enumerate() {
                    let comma = if nth == 0 { "" } else { ", " };
                    write!(f, "{comma}{element}")?;
                }
                write!(f, "{close}")
            }
            Self::CompactArray(array) => write!(f, "compact array of {} bytes", array.content.len()),
            Self::BitString(bits) => (0..bits.bits).try_for_each(|bit| write!(f, "{}", u8::from(bits.is_set(bit)))),
            Self::DateTime(time) => write!(f, "{time}"),
            Self::Date(date) => write!(f, "{date}"),
            Self::Time(time) => write!(f, "{time}"),
            Self::Bcd(byte) => write!(f, "{byte:02x}"),
            Self::Long64Unsigned(number) => write!(f, "{number}"),
            Self::Float32(bits) => write!(f, "{}", f32::from_bits(*bits)),
            Self::Float64(bits) => write!(f, "{}", f64::from_bits(*bits)),
            Self::OctetString(bytes) => match self.as_text() {
                Some(text) => write!(f, "\"{text}\""),
                None => match DateTime::from_slice(bytes).filter(|time| time.local_ms().is_some()) {
                    Some(time) => write!(f, "{time}"),
                    None => hex(bytes, f),
                },
            },
            Self::VisibleString(bytes) | Self::Utf8String(bytes) => {
                write!(f, "\"{}\"", String::from_utf8_lossy(bytes).escape_debug())
            }
            number => match number.as_decimal() {
                Some(number) => write!(f, "{number}"),
                None => f.write_str("?"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    #[test]
    fn numbers_are_exact() {
        assert_eq!(Value::Long64Unsigned(u64::MAX).as_decimal(), None);
        assert_eq!(Value::Long64Unsigned(u64::MAX).to_string(), "18446744073709551615");
        assert_eq!(Value::Float32(41.2f32.to_bits()).as_decimal(), Some(Decimal::new(412, -1)));
        assert_eq!(Value::Bcd(0x3A).as_decimal(), None);
        let bits = Value::BitString(BitString { bytes: vec![0xA0], bits: 3 });
        assert_eq!((bits.as_unsigned(), bits.to_string().as_str()), (Some(5), "101"));
    }

    #[test]
    fn text_is_told_from_bytes() {
        assert_eq!(Value::OctetString(b"KFM_001".to_vec()).to_string(), "\"KFM_001\"");
        assert_eq!(Value::OctetString(vec![0, 1]).to_string(), "0001");
        assert_eq!(Value::VisibleString(vec![0x1B, b'a']).to_string(), "\"\\u{1b}a\"");
    }
}
