//! OMS compact frames (EN 13757-3, annex G): values alone, whose information blocks an earlier full
//! or format frame has told.
//!
//! ```text
//! compact  signature (2)  CRC of the full frame (2)  values
//! format   length (1)  signature (2)  DIBs and VIBs
//! ```

use crate::crc::{crc, finish, update};
use crate::security::Protection;
use alloc::boxed::Box;
use alloc::vec::Vec;
use plomb_mbus::{Function, Records};
use plomb_session::{ReadError, Reader};
use thiserror::Error;

/// How many formats are kept for a meter. One that no compact frame was read by gives way first, the oldest of
/// them; else the one that was so read longest ago. None gives way to a telegram that was protected less than
/// the one it was learnt from.
pub const FORMAT_COUNT_MAX: usize = 8;
/// The longest format.
pub const FORMAT_BYTES_MAX: usize = 240;
/// The longest full frame that a compact one stands for.
pub const RESTORED_BYTES_MAX: usize = 1024;

/// A compact frame's values, not yet joined with their information blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compact<'a> {
    /// Which format: the CRC of its information blocks.
    pub signature: u16,
    /// The CRC of the full frame's records.
    pub full_crc: u16,
    /// The values, one after the other.
    pub values: &'a [u8],
}

/// The formats that a meter has told. Kept by the caller, one for each meter: a format may only come
/// from telegrams that were opened under the meter's own expectations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Formats {
    /// The one to give way first stands first.
    known: Vec<Known>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    signature: u16,
    format: Box<[u8]>,
    /// How well the best telegram was protected that told it.
    told: Protection,
    /// Whether a compact frame was read by it.
    used: bool,
}

/// Why a compact frame cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CompactError {
    /// The frame ends inside its head.
    #[error("the compact frame ends inside its head: {0}")]
    Truncated(#[from] ReadError),
    /// No format of this signature is known.
    #[error("format {signature:04x} is not known yet: wait for the meter's next full frame")]
    FormatUnknown {
        /// The signature.
        signature: u16,
    },
    /// The values do not fit the format.
    #[error("the values do not fit format {signature:04x}")]
    Values {
        /// The signature.
        signature: u16,
    },
    /// Format and values together are not the full frame.
    #[error("the full frame has CRC {computed:04x}, the compact one promises {promised:04x}")]
    FullCrc {
        /// What the compact frame says.
        promised: u16,
        /// What format and values give.
        computed: u16,
    },
    /// A format frame's signature is not that of its blocks, or its length is wrong.
    #[error("the format frame contradicts itself")]
    Format,
}

impl<'a> Compact<'a> {
    /// Reads the frame behind its transport layer, without the check bytes of an encrypted one.
    pub(crate) fn read(payload: &'a [u8], offset: usize) -> Result<Self, CompactError> {
        let mut reader = Reader::with_base(payload, offset);
        Ok(Self { signature: reader.u16_le()?, full_crc: reader.u16_le()?, values: reader.rest() })
    }

    /// Writes the full frame's records to `full`.
    ///
    /// # Errors
    /// [`CompactError`]; filler (2F) behind the values is dropped as far as the CRC asks.
    pub fn restore(&self, formats: &Formats, full: &mut Vec<u8>) -> Result<(), CompactError> {
        let signature = self.signature;
        let format = formats.get(signature).ok_or(CompactError::FormatUnknown { signature })?;
        full.clear();
        let mut blocks = Reader::new(format);
        let mut values = Reader::new(self.values);
        while !blocks.is_empty() {
            let (block, bytes) = Block::read(&mut blocks).ok_or(CompactError::Values { signature })?;
            full.extend(block);
            let value = match bytes {
                Some(bytes) => values.take(bytes),
                None => variable(&mut values),
            };
            full.extend(value.map_err(|_| CompactError::Values { signature })?);
            if full.len() > RESTORED_BYTES_MAX {
                return Err(CompactError::Values { signature });
            }
        }
        let computed = crc(full);
        if computed != self.full_crc {
            return Err(CompactError::FullCrc { promised: self.full_crc, computed });
        }
        if values.rest().iter().any(|byte| *byte != FILLER) {
            return Err(CompactError::Values { signature });
        }
        Ok(())
    }
}

impl Formats {
    /// The information blocks of a signature.
    #[must_use]
    pub fn get(&self, signature: u16) -> Option<&[u8]> {
        self.known.iter().find(|known| known.signature == signature).map(|known| &*known.format)
    }

    /// Adds the format of these information blocks, from a telegram that was so protected. What is known
    /// already, or is too long, changes nothing.
    pub fn add(&mut self, format: &[u8], told: Protection) {
        let signature = crc(format);
        if format.is_empty() || format.len() > FORMAT_BYTES_MAX || self.knows(signature, told) {
            return;
        }
        if self.known.len() >= FORMAT_COUNT_MAX {
            let Some(least) = self.known.iter().position(|known| known.told <= told) else { return };
            self.known.remove(least);
        }
        let place = self.known.iter().position(|known| known.used).unwrap_or(self.known.len());
        self.known.insert(place, Known { signature, format: format.into(), told, used: false });
    }

    /// Remembers that a compact frame was read by this format.
    pub(crate) fn use_again(&mut self, signature: u16) {
        if let Some(at) = self.known.iter().position(|known| known.signature == signature) {
            let known = self.known.remove(at);
            self.known.push(Known { used: true, ..known });
        }
    }

    /// Whether any format is in use.
    #[must_use]
    pub fn in_use(&self) -> bool {
        self.known.iter().any(|known| known.used)
    }

    fn knows(&mut self, signature: u16, told: Protection) -> bool {
        let known = self.known.iter_mut().find(|known| known.signature == signature);
        known.map(|known| known.told = known.told.max(told)).is_some()
    }

    /// Adds the format of a full frame's records, where a compact frame could have it: every record
    /// has information blocks.
    pub fn learn(&mut self, records: Records<'_>, told: Protection) {
        // The signature decides whether this is known; most telegrams end here without memory.
        let mut register = 0;
        let mut length = 0usize;
        for record in records {
            let Ok(record) = record else { return };
            if !matches!(
                record.function,
                Function::Instantaneous | Function::Maximum | Function::Minimum | Function::Error
            ) {
                return;
            }
            register = update(update(register, record.dib), record.vib);
            length = length.saturating_add(record.dib.len()).saturating_add(record.vib.len());
        }
        if length == 0 || length > FORMAT_BYTES_MAX || self.knows(finish(register), told) {
            return;
        }
        let mut format = Vec::with_capacity(length);
        for record in records.flatten() {
            format.extend(record.dib);
            format.extend(record.vib);
        }
        self.add(&format, told);
    }

    /// Adds the format of a format frame (CI 69, 6A, 6B).
    ///
    /// # Errors
    /// [`CompactError::Format`].
    pub fn add_frame(&mut self, payload: &[u8], told: Protection) -> Result<(), CompactError> {
        self.add(format_of(payload)?, told);
        Ok(())
    }
}

/// The information blocks of a format frame's payload, its signature checked.
pub(crate) fn format_of(payload: &[u8]) -> Result<&[u8], CompactError> {
    let mut reader = Reader::new(payload);
    let length = reader.u8()?;
    let signature = reader.u16_le()?;
    let format = reader.take(usize::from(length).saturating_sub(2)).map_err(|_| CompactError::Format)?;
    if crc(format) == signature { Ok(format) } else { Err(CompactError::Format) }
}

const FILLER: u8 = 0x2F;
const EXTENSION: u8 = 0x80;

/// One record's DIB and VIB in a format, and the bytes of its value; `None` where a length byte says.
struct Block;

impl Block {
    fn read<'a>(reader: &mut Reader<'a>) -> Option<(&'a [u8], Option<usize>)> {
        let start = reader.rest();
        let dif = reader.u8().ok()?;
        skip_extensions(reader, dif)?;
        let vif = reader.u8().ok()?;
        if vif & !EXTENSION == 0x7C {
            let text = reader.u8().ok()?;
            reader.take(usize::from(text)).ok()?;
        }
        skip_extensions(reader, vif)?;
        let block = start.get(..start.len().saturating_sub(reader.left()))?;
        Some((
            block,
            match dif & 0x0F {
                0x0 | 0x8 => Some(0),
                width @ 0x1..=0x4 => Some(usize::from(width)),
                0x5 => Some(4),
                0x6 => Some(6),
                0x7 => Some(8),
                width @ 0x9..=0xC => Some(usize::from(width & 0x07)),
                0xD => None,
                0xE => Some(6),
                _ => return None,
            },
        ))
    }
}

fn skip_extensions(reader: &mut Reader<'_>, first: u8) -> Option<()> {
    let mut byte = first;
    while byte & EXTENSION != 0 {
        byte = reader.u8().ok()?;
    }
    Some(())
}

/// A length byte and what it announces.
fn variable<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], ReadError> {
    let bytes = match reader.peek() {
        Some(length @ 0x00..=0xBF) => usize::from(length),
        Some(length @ (0xC0..=0xC9 | 0xD0..=0xD9 | 0xE0..=0xEF)) => usize::from(length & 0x0F),
        Some(length @ 0xF0..=0xF4) => usize::from(length - 0xEC) * 4,
        Some(0xF5) => 48,
        Some(0xF6) => 64,
        _ => usize::MAX - 1,
    };
    reader.take(bytes.saturating_add(1))
}
