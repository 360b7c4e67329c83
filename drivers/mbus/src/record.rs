//! Records of the variable structure (EN 13757-3:2018, clause 6): data and value information
//! blocks, and the value behind them.

use crate::block::{Dib, Dif, Vib};
use crate::coding::{Coding, Meant, variable_length};
use crate::modifier::{Modifiers, RecordStatus};
use crate::quantity::Quantity;
use crate::value::{Bytes, Text, Value};
use plomb_session::{Decimal, ReadError, Reader};
use thiserror::Error;

/// The most extension bytes of a data information block.
pub const DIFE_COUNT_MAX: usize = 10;
/// The most extension bytes of a value information block.
pub const VIFE_COUNT_MAX: usize = 10;

/// One record: what was measured, and the value, exact.
///
/// Borrowed from the frame and small; copying it copies no bytes of the frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record<'a> {
    /// Where the record begins, counted as the telegram's offsets are.
    pub offset: usize,
    /// The data information block as sent: DIF and DIFEs. Empty in the fixed structure.
    pub dib: &'a [u8],
    /// The value information block as sent: VIF, text and VIFEs.
    pub vib: &'a [u8],
    /// The value as sent, without the length byte of a variable-length field.
    pub data: &'a [u8],
    /// How the value is coded.
    pub field: DataField,
    /// Instantaneous, maximum, minimum, during an error state; or a special block.
    pub function: Function,
    /// 0 for the current value, else which stored value.
    pub storage: u64,
    /// 0 for the total, else the tariff.
    pub tariff: u32,
    /// 0 for the meter itself, else which part of it.
    pub subunit: u16,
    /// What is measured or stated.
    pub quantity: Quantity,
    /// The unit, multipliers taken out: `Wh`, `m3`, `°C`, …; empty for none.
    pub unit: &'static str,
    /// The text of a plain-text VIF.
    pub text: Option<Text<'a>>,
    /// What the value information extensions add, in order.
    pub modifiers: Modifiers<'a>,
    /// What the slave says about the record.
    pub status: RecordStatus,
    /// The value, in [`unit`](Self::unit).
    pub value: Value<'a>,
}

/// What kind of value a record holds, or which special block it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// The value at the time of the telegram, or of its storage.
    Instantaneous,
    /// The greatest value of a period.
    Maximum,
    /// The least value of a period.
    Minimum,
    /// The value during an error state; not to be billed.
    Error,
    /// DIF 0F: the rest of the telegram in the manufacturer's own coding.
    ManufacturerSpecific,
    /// DIF 1F: as 0F, and more records follow in the next telegram.
    MoreRecordsFollow,
    /// DIF 7F: a request to send everything (master to slave).
    GlobalReadout,
}

/// The coding of a value: the low four bits of the DIF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataField {
    /// 0: no value.
    None,
    /// 1 to 4, 6, 7: a binary integer of this many bytes.
    Integer(u8),
    /// 5: a 32-bit real.
    Real,
    /// 8: the record selects; it carries no value.
    Selection,
    /// 9 to C, E: packed BCD of this many bytes.
    Bcd(u8),
    /// D: a length byte says.
    Variable,
    /// F: no value of its own; the DIF is a special function.
    Special,
}

/// Why the records end before the telegram does. The records before the error are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    /// The telegram ends inside a record.
    #[error("record at {record}: {source}")]
    Truncated {
        /// Where the record begins.
        record: usize,
        /// Where the bytes end.
        source: ReadError,
    },
    /// More DIFEs than the standard allows.
    #[error("record at {record}: more than {DIFE_COUNT_MAX} DIFEs, at {offset}")]
    TooManyDifes {
        /// Where the record begins.
        record: usize,
        /// Where the first DIFE too many is.
        offset: usize,
    },
    /// More VIFEs than the standard allows.
    #[error("record at {record}: more than {VIFE_COUNT_MAX} VIFEs, at {offset}")]
    TooManyVifes {
        /// Where the record begins.
        record: usize,
        /// Where the first VIFE too many is.
        offset: usize,
    },
    /// A reserved special DIF: how long its block is, nobody knows.
    #[error("reserved DIF {dif:02x} at {offset}")]
    ReservedDif {
        /// Where.
        offset: usize,
        /// The DIF.
        dif: u8,
    },
    /// A reserved length byte: how long the value is, nobody knows.
    #[error("record at {record}: reserved length byte {length:02x} at {offset}")]
    ReservedLength {
        /// Where the record begins.
        record: usize,
        /// Where the length byte is.
        offset: usize,
        /// The length byte.
        length: u8,
    },
}

impl RecordError {
    /// The offset of the first byte that could not be read.
    #[must_use]
    pub const fn offset(&self) -> usize {
        match *self {
            Self::Truncated { source: ReadError::Truncated { offset, left, .. }, .. } => offset.saturating_add(left),
            Self::Truncated { source: ReadError::Trailing { offset, .. }, .. }
            | Self::TooManyDifes { offset, .. }
            | Self::TooManyVifes { offset, .. }
            | Self::ReservedDif { offset, .. }
            | Self::ReservedLength { offset, .. } => offset,
        }
    }
}

impl<'a> Record<'a> {
    /// Reads one record; `None` at the end of the telegram. Idle filler (2F) is passed over.
    ///
    /// # Errors
    /// [`RecordError`]; the reader then stands somewhere in the record and must not be read on.
    pub(crate) fn read(reader: &mut Reader<'a>, msb_first: bool) -> Result<Option<Self>, RecordError> {
        while reader.peek() == Some(Dif::IDLE_FILLER) {
            skip(reader);
        }
        let record = reader.offset();
        let Some(dif) = reader.peek() else {
            return Ok(None);
        };
        let truncated = |source| RecordError::Truncated { record, source };
        if dif & 0x0F == 0x0F {
            return Self::read_special(reader, dif, record).map(Some);
        }
        let dib = Dib::read(reader, record)?;
        let vib = Vib::read(reader, record, msb_first)?;
        let (data, length) = match dib.field {
            DataField::Variable => {
                let offset = reader.offset();
                let length = reader.u8().map_err(truncated)?;
                let Some(bytes) = variable_length(length) else {
                    return Err(RecordError::ReservedLength { record, offset, length });
                };
                (reader.take(bytes).map_err(truncated)?, length)
            }
            field => (reader.take(field.bytes()).map_err(truncated)?, 0),
        };
        Ok(Some(Self::assemble(record, &dib, &vib, data, length, msb_first)))
    }

    fn assemble(offset: usize, dib: &Dib<'a>, vib: &Vib<'a>, data: &'a [u8], length: u8, msb_first: bool) -> Self {
        let meant = Meant::of(vib);
        let coding = Coding { field: dib.field, length, msb_first, meant };
        Self {
            offset,
            dib: dib.raw,
            vib: vib.raw,
            data,
            field: dib.field,
            function: dib.function,
            storage: dib.storage,
            tariff: dib.tariff,
            subunit: dib.subunit,
            quantity: vib.meaning.quantity,
            unit: meant.unit,
            text: vib.text,
            modifiers: vib.modifiers,
            status: meant.status,
            value: coding.decode(data),
        }
    }

    fn read_special(reader: &mut Reader<'a>, dif: u8, offset: usize) -> Result<Self, RecordError> {
        let (function, quantity) = match dif {
            Dif::MANUFACTURER => (Function::ManufacturerSpecific, Quantity::ManufacturerSpecific),
            Dif::MORE_FOLLOWS => (Function::MoreRecordsFollow, Quantity::ManufacturerSpecific),
            Dif::GLOBAL_READOUT => (Function::GlobalReadout, Quantity::GlobalReadout),
            _ => return Err(RecordError::ReservedDif { offset, dif }),
        };
        let source = |source| RecordError::Truncated { record: offset, source };
        let dib = reader.take(1).map_err(source)?;
        let tail = if dif == Dif::GLOBAL_READOUT { 0 } else { reader.left() };
        let data = reader.take(tail).map_err(source)?;
        Ok(Self {
            dib,
            data,
            function,
            quantity,
            value: if data.is_empty() { Value::None } else { Value::Bytes(Bytes(data)) },
            ..Self::empty(offset)
        })
    }

    /// A record with nothing in it, for those that are not made of DIB and VIB.
    pub(crate) const fn empty(offset: usize) -> Self {
        Self {
            offset,
            dib: &[],
            vib: &[],
            data: &[],
            field: DataField::Special,
            function: Function::Instantaneous,
            storage: 0,
            tariff: 0,
            subunit: 0,
            quantity: Quantity::Unknown,
            unit: "",
            text: None,
            modifiers: Modifiers::new(&[], false),
            status: RecordStatus::None,
            value: Value::None,
        }
    }

    /// The number, unless the slave says that the record is in error.
    #[must_use]
    pub const fn number(&self) -> Option<Decimal> {
        if self.status.is_error() { None } else { self.value.number() }
    }
}

impl Function {
    /// The name in lower-case words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Instantaneous => "instantaneous",
            Self::Maximum => "maximum",
            Self::Minimum => "minimum",
            Self::Error => "error",
            Self::ManufacturerSpecific => "manufacturer specific",
            Self::MoreRecordsFollow => "more records follow",
            Self::GlobalReadout => "global readout",
        }
    }
}

impl core::fmt::Display for Function {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

impl DataField {
    pub(crate) const fn from_dif(dif: u8) -> Self {
        match dif & 0x0F {
            0x0 => Self::None,
            width @ 1..=4 => Self::Integer(width),
            0x5 => Self::Real,
            0x6 => Self::Integer(6),
            0x7 => Self::Integer(8),
            0x8 => Self::Selection,
            0x9 => Self::Bcd(1),
            0xA => Self::Bcd(2),
            0xB => Self::Bcd(3),
            0xC => Self::Bcd(4),
            0xD => Self::Variable,
            0xE => Self::Bcd(6),
            _ => Self::Special,
        }
    }

    /// Bytes of the value; 0 where a length byte says.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::None | Self::Selection | Self::Variable | Self::Special => 0,
            Self::Integer(bytes) | Self::Bcd(bytes) => bytes as usize,
            Self::Real => 4,
        }
    }
}

fn skip(reader: &mut Reader<'_>) {
    // A peeked byte is there.
    let _ = reader.u8();
}
