//! Blocks of APDUs that are too long for one.

use super::ApduError;
use crate::axdr::{emit_octets, octets};
use alloc::vec::Vec;
use plomb_session::Reader;

/// A block of a long request or answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataBlock {
    /// Whether it is the last.
    pub last: bool,
    /// Its number, from 1.
    pub number: u32,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A block of general block transfer (IEC 62056-5-3 §9.2.4.7), of whatever APDU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneralBlock {
    /// Whether it is the last.
    pub last: bool,
    /// Whether more blocks come without waiting for an acknowledgement.
    pub streaming: bool,
    /// How many blocks the sender can take at once.
    pub window: u8,
    /// Its number.
    pub number: u16,
    /// The last number that came without a hole from the other side.
    pub acknowledged: u16,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl DataBlock {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ApduError> {
        let last = reader.u8()? != 0;
        Ok(Self { last, number: reader.u32_be()?, bytes: octets(reader)? })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.last));
        out.extend(self.number.to_be_bytes());
        emit_octets(&self.bytes, out);
    }
}

impl GeneralBlock {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ApduError> {
        let control = reader.u8()?;
        Ok(Self {
            last: control & 0x80 != 0,
            streaming: control & 0x40 != 0,
            window: control & 0x3F,
            number: reader.u16_be()?,
            acknowledged: reader.u16_be()?,
            bytes: octets(reader)?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let control = u8::from(self.last) << 7 | u8::from(self.streaming) << 6 | (self.window & 0x3F);
        out.extend([0xE0, control]);
        out.extend(self.number.to_be_bytes());
        out.extend(self.acknowledged.to_be_bytes());
        emit_octets(&self.bytes, out);
    }
}
