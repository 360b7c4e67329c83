//! Compact arrays: rows whose types are told once (IEC 62056-6-2 §4.1.5.2).

use super::emit::emit_octets;
use super::parse::{Budget, DEPTH_MAX, ValueError, octets, parse_tagged};
use super::value::Value;
use super::{emit_length, parse_length};
use alloc::boxed::Box;
use alloc::vec::Vec;
use plomb_session::{ReadError, Reader};

/// The most types of one description, those inside others counted.
pub const TYPE_COUNT_MAX: usize = 1024;

/// Rows in their packed form. [`rows`](Self::rows) unpacks them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactArray {
    /// What each row is.
    pub description: TypeDescription,
    /// The rows, one behind the other, without tags.
    pub content: Vec<u8>,
}

/// What a row of a compact array is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeDescription {
    /// So many of one type.
    Array(u16, Box<Self>),
    /// These types, in this order.
    Structure(Vec<Self>),
    /// A simple type, by its tag.
    Simple(u8),
}

impl CompactArray {
    pub(super) fn parse(reader: &mut Reader<'_>) -> Result<Self, ValueError> {
        let mut types = TYPE_COUNT_MAX;
        let description = TypeDescription::parse(reader, DEPTH_MAX, &mut types)?;
        Ok(Self { description, content: octets(reader)? })
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        self.description.emit(out);
        emit_octets(&self.content, out);
    }

    /// The rows as values.
    ///
    /// # Errors
    /// [`ValueError`], with offsets in the contents.
    pub fn rows(&self) -> Result<Vec<Value>, ValueError> {
        let mut budget = Budget::new();
        let mut reader = Reader::new(&self.content);
        let mut rows = Vec::new();
        while !reader.is_empty() {
            let offset = reader.offset();
            rows.push(self.description.value(&mut reader, DEPTH_MAX, &mut budget)?);
            if reader.offset() == offset {
                return Err(ValueError::Compact { offset });
            }
        }
        Ok(rows)
    }
}

impl TypeDescription {
    fn parse(reader: &mut Reader<'_>, depth: usize, types: &mut usize) -> Result<Self, ValueError> {
        let offset = reader.offset();
        *types = types.checked_sub(1).ok_or(ValueError::TooMany { offset })?;
        let depth = depth.checked_sub(1).ok_or(ValueError::TooDeep { offset })?;
        match reader.u8()? {
            1 => {
                let count = reader.u16_be()?;
                Ok(Self::Array(count, Box::new(Self::parse(reader, depth, types)?)))
            }
            2 => {
                let count = parse_length(reader)?;
                if count > reader.left() {
                    let (needed, left) = (count, reader.left());
                    return Err(ReadError::Truncated { offset: reader.offset(), needed, left }.into());
                }
                (0..count).map(|_| Self::parse(reader, depth, types)).collect::<Result<_, _>>().map(Self::Structure)
            }
            tag @ (0 | 3..=6 | 9 | 10 | 12 | 13 | 15..=18 | 20..=33 | 255) => Ok(Self::Simple(tag)),
            tag => Err(ValueError::UnknownType { tag, offset }),
        }
    }

    fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::Array(count, element) => {
                out.push(1);
                out.extend(count.to_be_bytes());
                element.emit(out);
            }
            Self::Structure(fields) => {
                out.push(2);
                emit_length(fields.len(), out);
                fields.iter().for_each(|field| field.emit(out));
            }
            Self::Simple(tag) => out.push(*tag),
        }
    }

    fn value(&self, reader: &mut Reader<'_>, depth: usize, budget: &mut Budget) -> Result<Value, ValueError> {
        let offset = reader.offset();
        let depth = depth.checked_sub(1).ok_or(ValueError::TooDeep { offset })?;
        // Arrays and structures of nothing have no bytes that would pay for them.
        if !matches!(self, Self::Simple(_)) {
            budget.spend(offset)?;
        }
        match self {
            Self::Simple(tag) => parse_tagged(*tag, offset, reader, depth, budget),
            Self::Array(count, element) => {
                (0..*count).map(|_| element.value(reader, depth, budget)).collect::<Result<_, _>>().map(Value::Array)
            }
            Self::Structure(fields) => {
                let values = fields.iter().map(|field| field.value(reader, depth, budget));
                values.collect::<Result<_, _>>().map(Value::Structure)
            }
        }
    }
}
