//! GET (IEC 62056-5-3 §9.3.6).

use super::block::DataBlock;
use super::descriptor::{Wanted, read_wanted, write_wanted};
use super::{ApduError, DataAccessResult, InvokeId, read_list};
use crate::axdr::{Budget, Value, emit_length, emit_octets, octets};
use alloc::vec::Vec;
use plomb_session::Reader;

/// A question for attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GetRequest {
    /// One attribute.
    Normal(InvokeId, Wanted),
    /// The next block, after the one with this number.
    Next(InvokeId, u32),
    /// Several attributes.
    WithList(InvokeId, Vec<Wanted>),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GetResponse {
    /// One value, or why there is none.
    Normal(InvokeId, Result<Value, DataAccessResult>),
    /// A block; or why there is none.
    Block(InvokeId, DataBlock, Option<DataAccessResult>),
    /// Several values.
    WithList(InvokeId, Vec<Result<Value, DataAccessResult>>),
}

impl GetRequest {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ApduError> {
        let offset = reader.offset();
        let choice = reader.u8()?;
        let id = InvokeId(reader.u8()?);
        match choice {
            1 => Ok(Self::Normal(id, read_wanted(reader)?)),
            2 => Ok(Self::Next(id, reader.u32_be()?)),
            3 => Ok(Self::WithList(id, read_list(reader, read_wanted)?)),
            choice => Err(ApduError::UnknownChoice { what: "get-request", choice, offset }),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(0xC0);
        match self {
            Self::Normal(id, wanted) => {
                out.extend([1, id.0]);
                write_wanted(wanted, out);
            }
            Self::Next(id, number) => {
                out.extend([2, id.0]);
                out.extend(number.to_be_bytes());
            }
            Self::WithList(id, list) => {
                out.extend([3, id.0]);
                emit_length(list.len(), out);
                list.iter().for_each(|wanted| write_wanted(wanted, out));
            }
        }
    }
}

impl GetResponse {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ApduError> {
        let offset = reader.offset();
        let choice = reader.u8()?;
        let id = InvokeId(reader.u8()?);
        match choice {
            1 => Ok(Self::Normal(id, read_result(reader, &mut Budget::new())?)),
            2 => {
                let (last, number) = (reader.u8()? != 0, reader.u32_be()?);
                let (bytes, result) = match reader.u8()? {
                    0 => (octets(reader)?, None),
                    _ => (Vec::new(), Some(DataAccessResult(reader.u8()?))),
                };
                Ok(Self::Block(id, DataBlock { last, number, bytes }, result))
            }
            3 => {
                let mut budget = Budget::new();
                Ok(Self::WithList(id, read_list(reader, |reader| read_result(reader, &mut budget))?))
            }
            choice => Err(ApduError::UnknownChoice { what: "get-response", choice, offset }),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(0xC4);
        match self {
            Self::Normal(id, result) => {
                out.extend([1, id.0]);
                write_result(result, out);
            }
            Self::Block(id, block, result) => {
                out.extend([2, id.0, u8::from(block.last)]);
                out.extend(block.number.to_be_bytes());
                match result {
                    None => {
                        out.push(0);
                        emit_octets(&block.bytes, out);
                    }
                    Some(result) => out.extend([1, result.0]),
                }
            }
            Self::WithList(id, list) => {
                out.extend([3, id.0]);
                emit_length(list.len(), out);
                list.iter().for_each(|result| write_result(result, out));
            }
        }
    }
}

/// Get-Data-Result: a value, or why there is none.
pub(crate) fn read_result(
    reader: &mut Reader<'_>,
    budget: &mut Budget,
) -> Result<Result<Value, DataAccessResult>, ApduError> {
    let offset = reader.offset();
    match reader.u8()? {
        0 => Ok(Ok(Value::parse_some(reader, budget)?)),
        1 => Ok(Err(DataAccessResult(reader.u8()?))),
        choice => Err(ApduError::UnknownChoice { what: "get-data-result", choice, offset }),
    }
}

pub(super) fn write_result(result: &Result<Value, DataAccessResult>, out: &mut Vec<u8>) {
    match result {
        Ok(value) => {
            out.push(0);
            value.emit(out);
        }
        Err(result) => out.extend([1, result.0]),
    }
}
