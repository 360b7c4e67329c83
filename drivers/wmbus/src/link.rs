//! The data link layer of radio frames (EN 13757-4, clause 12): formats A and B, and frames whose
//! CRCs a receiver has taken out.
//!
//! ```text
//! head      L  C  M M  A A A A A A        A: identification (4), version, medium
//! format A  head CRC   16 bytes CRC   16 bytes CRC   …      L counts no CRC
//! format B  head 116 bytes CRC   126 bytes CRC              L counts the CRCs
//! ```
//! The CRC comes most significant byte first, all else least significant first.

use crate::crc::crc;
use alloc::vec::Vec;
use core::fmt;
use plomb_mbus::{Identification, Manufacturer, Medium, MeterId};
use plomb_session::{ReadError, Reader};
use thiserror::Error;

/// The longest frame with its CRCs: format A, `L` 255.
pub const FRAME_BYTES_MAX: usize = 290;
/// The most bytes after the head, without CRCs: format A.
pub const PAYLOAD_BYTES_MAX: usize = 246;

/// `L C M M A×6`.
pub(crate) const HEAD_BYTES: usize = 10;
/// C, M and A, which L counts.
const COUNTED_HEAD_BYTES: usize = HEAD_BYTES - 1;
const CRC_BYTES: usize = 2;
/// Bytes of a block of format A after the first.
const A_BLOCK_BYTES: usize = 16;
/// Bytes of the first part of format B, with its CRC.
const B_PART_BYTES: usize = 128;

/// How the frame came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Format A, every CRC good.
    A,
    /// Format B, every CRC good.
    B,
    /// Without CRCs: the receiver has checked and removed them.
    Stripped,
}

/// The C field of a radio frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkControl(pub u8);

/// The head of a radio frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    /// What the frame is for.
    pub control: LinkControl,
    /// Who sent it: the meter, or the radio adapter that speaks for it.
    pub sender: MeterId,
}

/// A radio frame whose CRCs, if it had any, are good and gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkFrame<'a> {
    /// How it came.
    pub format: Format,
    /// The head.
    pub link: Link,
    /// What follows the head, from the first CI on.
    pub payload: &'a [u8],
}

/// Why bytes are not a radio frame. Offsets count from the first byte given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LinkError {
    /// L leaves no room for the head.
    #[error("length {length} at 0 is below the nine bytes of C, M and A")]
    LengthTooShort {
        /// The L field.
        length: u8,
    },
    /// A CRC is wrong: the radio lost bits.
    #[error("CRC {received:04x} of block {block} at {offset}, the bytes give {computed:04x}")]
    Crc {
        /// Which block, from 0.
        block: usize,
        /// Where the CRC is.
        offset: usize,
        /// The CRC that came.
        received: u16,
        /// The CRC of the bytes that came.
        computed: u16,
    },
    /// The bytes end inside the frame.
    #[error("the bytes end at {offset} inside the frame: {needed} more needed")]
    Truncated {
        /// Where the bytes end.
        offset: usize,
        /// How many more are needed, at least.
        needed: usize,
    },
    /// Bytes follow the frame, as some receivers append signal strength: cut them off before.
    #[error("{left} bytes follow the frame's end at {offset}")]
    Trailing {
        /// Where the frame ends.
        offset: usize,
        /// How many bytes follow.
        left: usize,
    },
    /// The payload does not fit in a frame (only from [`Link::emit`]).
    #[error("a payload of {bytes} bytes does not fit in a frame of this format")]
    PayloadTooLong {
        /// The payload's length.
        bytes: usize,
    },
}

impl<'a> LinkFrame<'a> {
    /// Reads `bytes` as exactly one frame and finds out its format.
    ///
    /// Format A is longer than L says and is known by that. Format B and a frame without CRCs have the
    /// same length: it is B when its CRCs are good, which one stripped frame in 65,536 is by chance.
    /// Who knows what the receiver delivers uses [`parse_as`](Self::parse_as).
    ///
    /// `buffer` receives the bytes without their CRCs; it is not touched when there are none.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn parse(bytes: &'a [u8], buffer: &'a mut Vec<u8>) -> Result<Self, LinkError> {
        let length = length(bytes)?;
        let plain = length.saturating_add(1);
        if bytes.len() == plain {
            buffer.clear();
            let format = if strip_b(bytes, buffer).is_ok() { Format::B } else { Format::Stripped };
            return Self::assemble(format, if format == Format::B { buffer } else { bytes });
        }
        if bytes.len() == Format::A.bytes(length) {
            return Self::parse_as(Format::A, bytes, buffer);
        }
        Err(whole(bytes, if bytes.len() < plain { plain } else { Format::A.bytes(length) }))
    }

    /// Reads `bytes` as exactly one frame of `format`.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn parse_as(format: Format, bytes: &'a [u8], buffer: &'a mut Vec<u8>) -> Result<Self, LinkError> {
        let expected = format.bytes(length(bytes)?);
        if bytes.len() != expected {
            return Err(whole(bytes, expected));
        }
        buffer.clear();
        match format {
            Format::A => strip_a(bytes, buffer)?,
            Format::B => strip_b(bytes, buffer)?,
            Format::Stripped => return Self::assemble(format, bytes),
        }
        Self::assemble(format, buffer)
    }

    fn assemble(format: Format, bytes: &'a [u8]) -> Result<Self, LinkError> {
        let mut reader = Reader::new(bytes);
        match Link::read(&mut reader) {
            Ok(link) => Ok(Self { format, link, payload: reader.rest() }),
            Err(_) => Err(whole(bytes, HEAD_BYTES)),
        }
    }
}

impl Link {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ReadError> {
        let [_, control] = reader.array()?;
        Ok(Self { control: LinkControl(control), sender: read_address(reader)? })
    }

    /// The frame of `format` that carries `payload`, as it goes on air.
    ///
    /// # Errors
    /// [`LinkError::PayloadTooLong`].
    pub fn emit(&self, format: Format, payload: &[u8]) -> Result<Vec<u8>, LinkError> {
        let too_long = LinkError::PayloadTooLong { bytes: payload.len() };
        let plain = payload.len().saturating_add(COUNTED_HEAD_BYTES);
        let length = match format {
            Format::A | Format::Stripped => plain,
            Format::B if plain < B_PART_BYTES - CRC_BYTES => plain.saturating_add(CRC_BYTES),
            Format::B => plain.saturating_add(2 * CRC_BYTES),
        };
        let Ok(length) = u8::try_from(length) else { return Err(too_long) };
        let mut bytes = Vec::with_capacity(format.bytes(usize::from(length)));
        bytes.extend([length, self.control.0]);
        bytes.extend(address(self.sender));
        bytes.extend(payload);
        let (first, rest) = match format {
            Format::Stripped => return Ok(bytes),
            Format::A => (HEAD_BYTES, A_BLOCK_BYTES),
            Format::B => (B_PART_BYTES - CRC_BYTES, B_PART_BYTES - CRC_BYTES),
        };
        let mut out = Vec::with_capacity(bytes.capacity());
        let (head, tail) = bytes.split_at_checked(first).unwrap_or((&bytes, &[]));
        for block in core::iter::once(head).chain(tail.chunks(rest)) {
            out.extend(block);
            out.extend(crc(block).to_be_bytes());
        }
        Ok(out)
    }
}

impl Format {
    /// Bytes of a frame of this format whose L is `length`.
    #[must_use]
    pub const fn bytes(self, length: usize) -> usize {
        let plain = length.saturating_add(1);
        match self {
            Self::A => {
                let blocks = 1 + plain.saturating_sub(HEAD_BYTES).div_ceil(A_BLOCK_BYTES);
                plain.saturating_add(CRC_BYTES * blocks)
            }
            Self::B | Self::Stripped => plain,
        }
    }
}

/// M and A as in the link layer and in the extended link layer's second address.
pub(crate) fn read_address(reader: &mut Reader<'_>) -> Result<MeterId, ReadError> {
    let [m0, m1, a, b, c, d, version, medium] = reader.array()?;
    Ok(MeterId {
        manufacturer: Manufacturer(u16::from_le_bytes([m0, m1])),
        id: Identification(u32::from_le_bytes([a, b, c, d])),
        version,
        medium: Medium(medium),
    })
}

/// The eight bytes of M and A: also the first half of every initialisation vector.
pub(crate) const fn address(meter: MeterId) -> [u8; 8] {
    let [m0, m1] = meter.manufacturer.0.to_le_bytes();
    let [a, b, c, d] = meter.id.0.to_le_bytes();
    [m0, m1, a, b, c, d, meter.version, meter.medium.0]
}

fn length(bytes: &[u8]) -> Result<usize, LinkError> {
    match bytes.first() {
        None => Err(LinkError::Truncated { offset: 0, needed: HEAD_BYTES }),
        Some(&length) if usize::from(length) < COUNTED_HEAD_BYTES => Err(LinkError::LengthTooShort { length }),
        Some(&length) => Ok(usize::from(length)),
    }
}

const fn whole(bytes: &[u8], expected: usize) -> LinkError {
    match expected.checked_sub(bytes.len()) {
        Some(needed) => LinkError::Truncated { offset: bytes.len(), needed },
        None => LinkError::Trailing { offset: expected, left: bytes.len().saturating_sub(expected) },
    }
}

fn strip_a(bytes: &[u8], buffer: &mut Vec<u8>) -> Result<(), LinkError> {
    let (head, tail) = bytes.split_at_checked(HEAD_BYTES + CRC_BYTES).unwrap_or((bytes, &[]));
    check(0, 0, head, buffer)?;
    for (at, block) in tail.chunks(A_BLOCK_BYTES + CRC_BYTES).enumerate() {
        let offset = HEAD_BYTES + CRC_BYTES + at.saturating_mul(A_BLOCK_BYTES + CRC_BYTES);
        check(at.saturating_add(1), offset, block, buffer)?;
    }
    Ok(())
}

fn strip_b(bytes: &[u8], buffer: &mut Vec<u8>) -> Result<(), LinkError> {
    if bytes.len() < HEAD_BYTES + CRC_BYTES {
        return Err(whole(bytes, HEAD_BYTES + CRC_BYTES));
    }
    for (at, part) in bytes.chunks(B_PART_BYTES).enumerate() {
        check(at, at.saturating_mul(B_PART_BYTES), part, buffer)?;
    }
    // L counted the CRCs; it counts what is left now.
    if let (Some(length), Ok(left)) = (buffer.first_mut(), u8::try_from(bytes.len())) {
        let parts = if usize::from(left) > B_PART_BYTES { 2 } else { 1 };
        *length = length.saturating_sub(2 * parts);
    }
    Ok(())
}

/// Appends `block` without the CRC that ends it.
fn check(block: usize, offset: usize, bytes: &[u8], buffer: &mut Vec<u8>) -> Result<(), LinkError> {
    let Some((plain, &received)) = bytes.split_last_chunk::<CRC_BYTES>() else {
        return Err(LinkError::Truncated { offset: offset.saturating_add(bytes.len()), needed: 1 });
    };
    let (received, computed) = (u16::from_be_bytes(received), crc(plain));
    if received != computed {
        return Err(LinkError::Crc { block, offset: offset.saturating_add(plain.len()), received, computed });
    }
    buffer.extend(plain);
    Ok(())
}

impl LinkControl {
    /// SND_NR: a meter sends of its own accord and wants no answer.
    pub const SND_NR: Self = Self(0x44);

    /// The name of the standard; "C" for codes without one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            0x44 => "SND_NR",
            0x46 => "SND_IR",
            0x47 => "ACC_NR",
            0x48 => "ACC_DMD",
            0x40 => "SND_NKE",
            0x43 => "SND_UD2",
            0x53 | 0x73 => "SND_UD",
            0x5A | 0x7A => "REQ_UD1",
            0x5B | 0x7B => "REQ_UD2",
            0x00 | 0x10 | 0x20 | 0x30 => "ACK",
            0x01 => "NACK",
            0x06 => "CNF_IR",
            0x08 | 0x18 | 0x28 | 0x38 => "RSP_UD",
            _ => "C",
        }
    }
}

impl fmt::Display for LinkControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({:02x})", self.name(), self.0)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "format A, CRCs good",
            Self::B => "format B, CRCs good",
            Self::Stripped => "CRCs removed by the receiver",
        })
    }
}
