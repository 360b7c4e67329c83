//! What a meter tells unasked (IEC 62056-5-3 §9.3.10, §9.3.9).

use super::{ApduError, AttributeDescriptor, read_optional};
use crate::axdr::{DateTime, Value, emit_octets, octets};
use alloc::vec::Vec;
use plomb_session::Reader;

/// A push (`0F`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataNotification {
    /// Long-Invoke-Id-And-Priority.
    pub id: u32,
    /// When the meter made it, as it was sent: twelve bytes, or none.
    pub time: Vec<u8>,
    /// What it tells.
    pub body: Value,
}

/// A value that changed (`C2`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventNotification {
    /// When, as it was sent.
    pub time: Option<Vec<u8>>,
    /// Which attribute.
    pub attribute: AttributeDescriptor,
    /// Its value.
    pub value: Value,
}

impl DataNotification {
    /// When the meter made it, if it says so.
    #[must_use]
    pub fn date_time(&self) -> Option<DateTime> {
        DateTime::from_slice(&self.time)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ApduError> {
        let id = reader.u32_be()?;
        // Some meters (Kaifa MA304) put the tag of an octet string before the length; no time has 9 bytes.
        if reader.rest().starts_with(&[0x09, 0x0C]) {
            reader.u8()?;
        }
        let time = octets(reader)?;
        Ok(Self { id, time, body: Value::parse(reader)? })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(0x0F);
        out.extend(self.id.to_be_bytes());
        emit_octets(&self.time, out);
        self.body.emit(out);
    }
}

impl EventNotification {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ApduError> {
        let time = read_optional(reader, |reader| Ok(octets(reader)?))?;
        Ok(Self { time, attribute: AttributeDescriptor::read(reader)?, value: Value::parse(reader)? })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend([0xC2, u8::from(self.time.is_some())]);
        if let Some(time) = &self.time {
            emit_octets(time, out);
        }
        self.attribute.write(out);
        self.value.emit(out);
    }
}
