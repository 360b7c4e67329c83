//! Bytes to values.

use super::compact::CompactArray;
use super::length::parse_length;
use super::time::{Date, DateTime, Time};
use super::value::{BitString, Value};
use alloc::boxed::Box;
use alloc::vec::Vec;
use plomb_session::{ReadError, Reader};
use thiserror::Error;

/// How deep values may lie in each other.
pub const DEPTH_MAX: usize = 32;
/// The most values of one APDU, those inside others counted: a profile of a year has fewer.
pub const VALUE_COUNT_MAX: usize = 262_144;
/// Room that is made for elements before they were seen.
const ELEMENTS_AT_ONCE: usize = 1024;

/// The bytes are no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ValueError {
    /// The bytes end inside a value.
    #[error("{0}")]
    Truncated(#[from] ReadError),
    /// A type that the standard does not have.
    #[error("type {tag} at {offset} is none of the standard's")]
    UnknownType {
        /// The tag.
        tag: u8,
        /// Where it stands.
        offset: usize,
    },
    /// Values lie in each other too deeply.
    #[error("more than {DEPTH_MAX} values in each other at {offset}")]
    TooDeep {
        /// Where.
        offset: usize,
    },
    /// Too many values.
    #[error("more than {VALUE_COUNT_MAX} values, at {offset}: ask for less at once")]
    TooMany {
        /// Where.
        offset: usize,
    },
    /// A compact array's contents are no whole number of rows.
    #[error("the contents of a compact array at {offset} do not fit their description")]
    Compact {
        /// Where.
        offset: usize,
    },
}

impl ValueError {
    /// Where it is wrong.
    #[must_use]
    pub const fn offset(&self) -> usize {
        match *self {
            Self::Truncated(ReadError::Truncated { offset, .. } | ReadError::Trailing { offset, .. })
            | Self::UnknownType { offset, .. }
            | Self::TooDeep { offset }
            | Self::TooMany { offset }
            | Self::Compact { offset } => offset,
        }
    }
}

/// How much may still be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    values: usize,
}

impl Budget {
    /// A whole APDU's.
    pub(crate) const fn new() -> Self {
        Self { values: VALUE_COUNT_MAX }
    }

    pub(super) fn spend(&mut self, offset: usize) -> Result<(), ValueError> {
        self.values = self.values.checked_sub(1).ok_or(ValueError::TooMany { offset })?;
        Ok(())
    }
}

impl Value {
    /// Reads one value, its type first.
    ///
    /// # Errors
    /// [`ValueError`].
    pub fn parse(reader: &mut Reader<'_>) -> Result<Self, ValueError> {
        parse_within(reader, DEPTH_MAX, &mut Budget::new())
    }

    /// Reads `bytes` as one value and nothing else.
    ///
    /// # Errors
    /// [`ValueError`].
    pub fn parse_whole(bytes: &[u8]) -> Result<Self, ValueError> {
        let mut reader = Reader::new(bytes);
        let value = Self::parse(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }

    /// Reads one value of several that share a budget.
    pub(crate) fn parse_some(reader: &mut Reader<'_>, budget: &mut Budget) -> Result<Self, ValueError> {
        parse_within(reader, DEPTH_MAX, budget)
    }
}

fn parse_within(reader: &mut Reader<'_>, depth: usize, budget: &mut Budget) -> Result<Value, ValueError> {
    let offset = reader.offset();
    let tag = reader.u8()?;
    parse_tagged(tag, offset, reader, depth, budget)
}

/// Reads the value of a type whose tag is known, as inside a compact array.
pub(super) fn parse_tagged(
    tag: u8,
    offset: usize,
    reader: &mut Reader<'_>,
    depth: usize,
    budget: &mut Budget,
) -> Result<Value, ValueError> {
    budget.spend(offset)?;
    Ok(match tag {
        0 => Value::Null,
        1 => Value::Array(elements(offset, reader, depth, budget)?),
        2 => Value::Structure(elements(offset, reader, depth, budget)?),
        3 => Value::Boolean(reader.u8()?),
        4 => {
            let bits = parse_length(reader)?;
            Value::BitString(BitString { bytes: reader.take(bits.div_ceil(8))?.to_vec(), bits })
        }
        5 => Value::DoubleLong(i32::from_be_bytes(reader.array()?)),
        6 => Value::DoubleLongUnsigned(reader.u32_be()?),
        9 => Value::OctetString(octets(reader)?),
        10 => Value::VisibleString(octets(reader)?),
        12 => Value::Utf8String(octets(reader)?),
        13 => Value::Bcd(reader.u8()?),
        15 => Value::Integer(i8::from_be_bytes(reader.array()?)),
        16 => Value::Long(i16::from_be_bytes(reader.array()?)),
        17 => Value::Unsigned(reader.u8()?),
        18 => Value::LongUnsigned(reader.u16_be()?),
        19 => Value::CompactArray(Box::new(CompactArray::parse(reader)?)),
        20 => Value::Long64(i64::from_be_bytes(reader.array()?)),
        21 => Value::Long64Unsigned(u64::from_be_bytes(reader.array()?)),
        22 => Value::Enum(reader.u8()?),
        23 => Value::Float32(reader.u32_be()?),
        24 => Value::Float64(u64::from_be_bytes(reader.array()?)),
        25 => Value::DateTime(DateTime::from_bytes(reader.array()?)),
        26 => Value::Date(Date::from_bytes(reader.array()?)),
        27 => Value::Time(Time::from_bytes(reader.array()?)),
        28 => Value::DeltaInteger(i8::from_be_bytes(reader.array()?)),
        29 => Value::DeltaLong(i16::from_be_bytes(reader.array()?)),
        30 => Value::DeltaDoubleLong(i32::from_be_bytes(reader.array()?)),
        31 => Value::DeltaUnsigned(reader.u8()?),
        32 => Value::DeltaLongUnsigned(reader.u16_be()?),
        33 => Value::DeltaDoubleLongUnsigned(reader.u32_be()?),
        255 => Value::DontCare,
        _ => return Err(ValueError::UnknownType { tag, offset }),
    })
}

fn elements(
    offset: usize,
    reader: &mut Reader<'_>,
    depth: usize,
    budget: &mut Budget,
) -> Result<Vec<Value>, ValueError> {
    let depth = depth.checked_sub(1).ok_or(ValueError::TooDeep { offset })?;
    let count = parse_length(reader)?;
    // Each element has a byte at least: a count beyond what is left can't come true.
    if count > reader.left() {
        return Err(ReadError::Truncated { offset: reader.offset(), needed: count, left: reader.left() }.into());
    }
    let mut elements = Vec::with_capacity(count.min(ELEMENTS_AT_ONCE));
    for _ in 0..count {
        elements.push(parse_within(reader, depth, budget)?);
    }
    Ok(elements)
}

/// Bytes behind their length.
pub(crate) fn octets(reader: &mut Reader<'_>) -> Result<Vec<u8>, ReadError> {
    let length = parse_length(reader)?;
    reader.take(length).map(<[u8]>::to_vec)
}
