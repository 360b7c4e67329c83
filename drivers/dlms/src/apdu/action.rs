//! ACTION (IEC 62056-5-3 §9.3.8).

use super::block::DataBlock;
use super::get::{read_result, write_result};
use super::{ActionResult, ApduError, DataAccessResult, InvokeId, MethodDescriptor, read_list, read_optional};
use crate::axdr::{Budget, Value, emit_length};
use alloc::vec::Vec;
use plomb_session::Reader;

/// A call of methods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionRequest {
    /// One method.
    Normal(InvokeId, MethodDescriptor, Option<Value>),
    /// The next block of the answer, after the one with this number.
    Next(InvokeId, u32),
    /// Several methods, and as many parameters.
    WithList(InvokeId, Vec<MethodDescriptor>, Vec<Value>),
    /// One method, whose parameters begin in this block.
    FirstBlock(InvokeId, MethodDescriptor, DataBlock),
    /// Several methods, whose parameters begin in this block.
    ListAndFirstBlock(InvokeId, Vec<MethodDescriptor>, DataBlock),
    /// A further block.
    Block(InvokeId, DataBlock),
}

/// What came of one method, and what it gave back.
pub type ActionReturn = (ActionResult, Option<Result<Value, DataAccessResult>>);

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionResponse {
    /// Of one method.
    Normal(InvokeId, ActionReturn),
    /// A block of the answer.
    Block(InvokeId, DataBlock),
    /// Of several methods.
    WithList(InvokeId, Vec<ActionReturn>),
    /// The block with this number is taken.
    Next(InvokeId, u32),
}

impl ActionRequest {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ApduError> {
        let offset = reader.offset();
        let choice = reader.u8()?;
        let id = InvokeId(reader.u8()?);
        let mut budget = Budget::new();
        match choice {
            1 => {
                let method = MethodDescriptor::read(reader)?;
                let parameters = read_optional(reader, |reader| Ok(Value::parse_some(reader, &mut budget)?))?;
                Ok(Self::Normal(id, method, parameters))
            }
            2 => Ok(Self::Next(id, reader.u32_be()?)),
            3 => {
                let methods = read_list(reader, MethodDescriptor::read)?;
                let parameters = read_list(reader, |reader| Ok(Value::parse_some(reader, &mut budget)?))?;
                Ok(Self::WithList(id, methods, parameters))
            }
            4 => Ok(Self::FirstBlock(id, MethodDescriptor::read(reader)?, DataBlock::read(reader)?)),
            5 => {
                let methods = read_list(reader, MethodDescriptor::read)?;
                Ok(Self::ListAndFirstBlock(id, methods, DataBlock::read(reader)?))
            }
            6 => Ok(Self::Block(id, DataBlock::read(reader)?)),
            choice => Err(ApduError::UnknownChoice { what: "action-request", choice, offset }),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(0xC3);
        match self {
            Self::Normal(id, method, parameters) => {
                out.extend([1, id.0]);
                method.write(out);
                out.push(u8::from(parameters.is_some()));
                if let Some(parameters) = parameters {
                    parameters.emit(out);
                }
            }
            Self::Next(id, number) => {
                out.extend([2, id.0]);
                out.extend(number.to_be_bytes());
            }
            Self::WithList(id, methods, parameters) => {
                out.extend([3, id.0]);
                emit_length(methods.len(), out);
                methods.iter().for_each(|method| method.write(out));
                emit_length(parameters.len(), out);
                parameters.iter().for_each(|value| value.emit(out));
            }
            Self::FirstBlock(id, method, block) => {
                out.extend([4, id.0]);
                method.write(out);
                block.write(out);
            }
            Self::ListAndFirstBlock(id, methods, block) => {
                out.extend([5, id.0]);
                emit_length(methods.len(), out);
                methods.iter().for_each(|method| method.write(out));
                block.write(out);
            }
            Self::Block(id, block) => {
                out.extend([6, id.0]);
                block.write(out);
            }
        }
    }
}

impl ActionResponse {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ApduError> {
        let offset = reader.offset();
        let choice = reader.u8()?;
        let id = InvokeId(reader.u8()?);
        match choice {
            1 => Ok(Self::Normal(id, read_return(reader, &mut Budget::new())?)),
            2 => Ok(Self::Block(id, DataBlock::read(reader)?)),
            3 => {
                let mut budget = Budget::new();
                Ok(Self::WithList(id, read_list(reader, |reader| read_return(reader, &mut budget))?))
            }
            4 => Ok(Self::Next(id, reader.u32_be()?)),
            choice => Err(ApduError::UnknownChoice { what: "action-response", choice, offset }),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(0xC7);
        match self {
            Self::Normal(id, returned) => {
                out.extend([1, id.0]);
                write_return(returned, out);
            }
            Self::Block(id, block) => {
                out.extend([2, id.0]);
                block.write(out);
            }
            Self::WithList(id, list) => {
                out.extend([3, id.0]);
                emit_length(list.len(), out);
                list.iter().for_each(|returned| write_return(returned, out));
            }
            Self::Next(id, number) => {
                out.extend([4, id.0]);
                out.extend(number.to_be_bytes());
            }
        }
    }
}

/// Action-Response-With-Optional-Data.
pub(crate) fn read_return(reader: &mut Reader<'_>, budget: &mut Budget) -> Result<ActionReturn, ApduError> {
    let result = ActionResult(reader.u8()?);
    Ok((result, read_optional(reader, |reader| read_result(reader, budget))?))
}

fn write_return((result, value): &ActionReturn, out: &mut Vec<u8>) {
    out.extend([result.0, u8::from(value.is_some())]);
    if let Some(value) = value {
        write_result(value, out);
    }
}
