//! SET (IEC 62056-5-3 §9.3.7).

use super::block::DataBlock;
use super::descriptor::{Wanted, read_wanted, write_wanted};
use super::{ApduError, DataAccessResult, InvokeId, read_list};
use crate::axdr::{Budget, Value, emit_length};
use alloc::vec::Vec;
use plomb_session::Reader;

/// A change of attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetRequest {
    /// One attribute.
    Normal(InvokeId, Wanted, Value),
    /// One attribute, whose value begins in this block.
    FirstBlock(InvokeId, Wanted, DataBlock),
    /// A further block.
    Block(InvokeId, DataBlock),
    /// Several attributes, and as many values.
    WithList(InvokeId, Vec<Wanted>, Vec<Value>),
    /// Several attributes, whose values begin in this block.
    ListAndFirstBlock(InvokeId, Vec<Wanted>, DataBlock),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetResponse {
    /// The result for one attribute.
    Normal(InvokeId, DataAccessResult),
    /// The block with this number is taken.
    Block(InvokeId, u32),
    /// The last block is taken, with the result.
    LastBlock(InvokeId, DataAccessResult, u32),
    /// The last block of a list is taken, with the results.
    LastBlockWithList(InvokeId, Vec<DataAccessResult>, u32),
    /// The results for several attributes.
    WithList(InvokeId, Vec<DataAccessResult>),
}

impl SetRequest {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ApduError> {
        let offset = reader.offset();
        let choice = reader.u8()?;
        let id = InvokeId(reader.u8()?);
        let mut budget = Budget::new();
        match choice {
            1 => Ok(Self::Normal(id, read_wanted(reader)?, Value::parse_some(reader, &mut budget)?)),
            2 => Ok(Self::FirstBlock(id, read_wanted(reader)?, DataBlock::read(reader)?)),
            3 => Ok(Self::Block(id, DataBlock::read(reader)?)),
            4 => {
                let list = read_list(reader, read_wanted)?;
                let values = read_list(reader, |reader| Ok(Value::parse_some(reader, &mut budget)?))?;
                Ok(Self::WithList(id, list, values))
            }
            5 => Ok(Self::ListAndFirstBlock(id, read_list(reader, read_wanted)?, DataBlock::read(reader)?)),
            choice => Err(ApduError::UnknownChoice { what: "set-request", choice, offset }),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(0xC1);
        match self {
            Self::Normal(id, wanted, value) => {
                out.extend([1, id.0]);
                write_wanted(wanted, out);
                value.emit(out);
            }
            Self::FirstBlock(id, wanted, block) => {
                out.extend([2, id.0]);
                write_wanted(wanted, out);
                block.write(out);
            }
            Self::Block(id, block) => {
                out.extend([3, id.0]);
                block.write(out);
            }
            Self::WithList(id, list, values) => {
                out.extend([4, id.0]);
                emit_length(list.len(), out);
                list.iter().for_each(|wanted| write_wanted(wanted, out));
                emit_length(values.len(), out);
                values.iter().for_each(|value| value.emit(out));
            }
            Self::ListAndFirstBlock(id, list, block) => {
                out.extend([5, id.0]);
                emit_length(list.len(), out);
                list.iter().for_each(|wanted| write_wanted(wanted, out));
                block.write(out);
            }
        }
    }
}

impl SetResponse {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ApduError> {
        let offset = reader.offset();
        let choice = reader.u8()?;
        let id = InvokeId(reader.u8()?);
        let result = |reader: &mut Reader<'_>| Ok(DataAccessResult(reader.u8()?));
        match choice {
            1 => Ok(Self::Normal(id, result(reader)?)),
            2 => Ok(Self::Block(id, reader.u32_be()?)),
            3 => Ok(Self::LastBlock(id, result(reader)?, reader.u32_be()?)),
            4 => Ok(Self::LastBlockWithList(id, read_list(reader, result)?, reader.u32_be()?)),
            5 => Ok(Self::WithList(id, read_list(reader, result)?)),
            choice => Err(ApduError::UnknownChoice { what: "set-response", choice, offset }),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(0xC5);
        match self {
            Self::Normal(id, result) => out.extend([1, id.0, result.0]),
            Self::Block(id, number) => {
                out.extend([2, id.0]);
                out.extend(number.to_be_bytes());
            }
            Self::LastBlock(id, result, number) => {
                out.extend([3, id.0, result.0]);
                out.extend(number.to_be_bytes());
            }
            Self::LastBlockWithList(id, results, number) => {
                out.extend([4, id.0]);
                emit_length(results.len(), out);
                out.extend(results.iter().map(|result| result.0));
                out.extend(number.to_be_bytes());
            }
            Self::WithList(id, results) => {
                out.extend([5, id.0]);
                emit_length(results.len(), out);
                out.extend(results.iter().map(|result| result.0));
            }
        }
    }
}
