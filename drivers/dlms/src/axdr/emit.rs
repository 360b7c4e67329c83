//! Values to bytes.

use super::length::emit_length;
use super::value::Value;
use alloc::vec::Vec;

impl Value {
    /// Writes the value, its type first.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.tag());
        match self {
            Self::Null | Self::DontCare => {}
            Self::Array(elements) | Self::Structure(elements) => {
                emit_length(elements.len(), out);
                elements.iter().for_each(|element| element.emit(out));
            }
            Self::BitString(bits) => {
                emit_length(bits.bits, out);
                out.extend(&bits.bytes);
            }
            Self::OctetString(bytes) | Self::VisibleString(bytes) | Self::Utf8String(bytes) => emit_octets(bytes, out),
            Self::CompactArray(array) => array.emit(out),
            Self::Boolean(byte)
            | Self::Bcd(byte)
            | Self::Unsigned(byte)
            | Self::Enum(byte)
            | Self::DeltaUnsigned(byte) => {
                out.push(*byte);
            }
            Self::Integer(number) | Self::DeltaInteger(number) => out.extend(number.to_be_bytes()),
            Self::Long(number) | Self::DeltaLong(number) => out.extend(number.to_be_bytes()),
            Self::LongUnsigned(number) | Self::DeltaLongUnsigned(number) => out.extend(number.to_be_bytes()),
            Self::DoubleLong(number) | Self::DeltaDoubleLong(number) => out.extend(number.to_be_bytes()),
            Self::DoubleLongUnsigned(number) | Self::DeltaDoubleLongUnsigned(number) | Self::Float32(number) => {
                out.extend(number.to_be_bytes());
            }
            Self::Long64(number) => out.extend(number.to_be_bytes()),
            Self::Long64Unsigned(number) | Self::Float64(number) => out.extend(number.to_be_bytes()),
            Self::DateTime(time) => out.extend(time.to_bytes()),
            Self::Date(date) => out.extend(date.to_bytes()),
            Self::Time(time) => out.extend(time.to_bytes()),
        }
    }

    /// The value's bytes, its type first.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.emit(&mut out);
        out
    }
}

/// Bytes behind their length.
pub(crate) fn emit_octets(bytes: &[u8], out: &mut Vec<u8>) {
    emit_length(bytes.len(), out);
    out.extend(bytes);
}
