//! From the chips of a radio to frames (EN 13757-4, clauses 5 to 8), for receivers that hand over what
//! they demodulated: modes S, T and C.
//!
//! ```text
//! mode S  …0101 000111011010010110       frame A in Manchester code: 0 is 10, 1 is 01
//! mode T  …0101 0000111101               frame A in code 3 of 6
//! mode C  …0101 0000111101 54 CD | 3D    frame A | B as it is
//! ```
//! Chips are packed eight to a byte, the first in the most significant bit.

mod manchester;
mod three_of_six;

use crate::link::{FRAME_BYTES_MAX, Format, LinkError};
use alloc::vec::Vec;
use core::fmt;
use thiserror::Error;

/// The most bytes of chips that are searched: a preamble, the longest frame in Manchester code, and
/// as much again of what came before.
pub const CHIP_BYTES_MAX: usize = 2048;

/// How a meter's radio codes its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Stationary: Manchester code. Also what mode T uses towards the meter.
    S,
    /// Frequent transmit: code 3 of 6.
    T,
    /// Compact: no code.
    C,
}

/// A frame found among chips. Its CRCs are not checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The format that the sync word, or the mode, says: for
    /// [`LinkFrame::parse_as`](crate::LinkFrame::parse_as).
    pub format: Format,
    /// The frame with its CRCs.
    pub frame: Vec<u8>,
    /// Where the chip after the frame is.
    pub end: usize,
}

/// Why chips give no frame. Offsets count chips from the first given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChipError {
    /// The sync word is not among the chips.
    #[error("no sync word of mode {0} in the chips")]
    NoSync(Mode),
    /// Chips that no symbol has: the radio lost bits.
    #[error("chips {chips:06b} at {offset} are no symbol of mode {mode}")]
    Symbol {
        /// Where the symbol begins.
        offset: usize,
        /// Its chips.
        chips: u8,
        /// The mode.
        mode: Mode,
    },
    /// The chips end inside the frame.
    #[error("the chips end at {offset} inside the frame")]
    Truncated {
        /// Where they end.
        offset: usize,
    },
    /// The length field cannot be one.
    #[error("{0}")]
    Length(LinkError),
    /// More chips than are searched.
    #[error("{bytes} bytes of chips: {CHIP_BYTES_MAX} are searched at once")]
    TooLong {
        /// How many.
        bytes: usize,
    },
}

/// Finds the first sync word of `mode` in `chips` that a frame follows, and decodes the frame.
///
/// # Errors
/// [`ChipError`] of the first sync word; [`ChipError::NoSync`] when there is none.
pub fn receive(mode: Mode, chips: &[u8]) -> Result<Received, ChipError> {
    if chips.len() > CHIP_BYTES_MAX {
        return Err(ChipError::TooLong { bytes: chips.len() });
    }
    let mut first_error = None;
    let mut register = 0u32;
    let mut source = Chips::new(chips);
    let mut seen = 0u32;
    while let Some(chip) = source.take(1) {
        register = register << 1 | u32::from(chip);
        seen = seen.saturating_add(1);
        let Some(format) = mode.synchronised(register, seen) else { continue };
        let mut frame = source;
        match read_frame(mode, format, &mut frame) {
            Ok(bytes) => return Ok(Received { format, frame: bytes, end: frame.at }),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or(ChipError::NoSync(mode)))
}

/// Decodes a frame whose chips begin right behind the sync word, for receivers that find it themselves.
/// `format` is A in modes S and T.
///
/// # Errors
/// [`ChipError`].
pub fn receive_synchronised(mode: Mode, format: Format, chips: &[u8]) -> Result<Received, ChipError> {
    if chips.len() > CHIP_BYTES_MAX {
        return Err(ChipError::TooLong { bytes: chips.len() });
    }
    let mut source = Chips::new(chips);
    let frame = read_frame(mode, format, &mut source)?;
    Ok(Received { format, frame, end: source.at })
}

/// The format and the frame of bytes that begin with the sync word of mode C, as receivers of that
/// mode hand them over: 54 CD or 54 3D, with or without the 54 3D that both modes T and C begin with.
#[must_use]
pub fn strip_sync_c(bytes: &[u8]) -> Option<(Format, &[u8])> {
    match bytes {
        [0x54, 0x3D, 0x54, 0xCD, frame @ ..] | [0x54, 0xCD, frame @ ..] => Some((Format::A, frame)),
        [0x54, 0x3D, 0x54, 0x3D, frame @ ..] | [0x54, 0x3D, frame @ ..] => Some((Format::B, frame)),
        _ => None,
    }
}

/// The chips of a frame as a meter sends it: preamble, sync word, code, postamble.
///
/// `frame` has its CRCs, in format A for modes S and T.
#[must_use]
pub fn transmit(mode: Mode, format: Format, frame: &[u8]) -> Vec<u8> {
    let mut out = ChipWriter::default();
    for _ in 0..PREAMBLE_PAIRS {
        out.push(0b01, 2);
    }
    match mode {
        Mode::S => out.push(SYNC_S, SYNC_S_CHIPS),
        Mode::T => out.push(SYNC_T, SYNC_T_CHIPS),
        Mode::C => {
            out.push(SYNC_T, SYNC_T_CHIPS);
            out.push(if format == Format::B { SYNC_C_B } else { SYNC_C_A }, 16);
        }
    }
    for &byte in frame {
        match mode {
            Mode::S => out.push(manchester::encode(byte).into(), 16),
            Mode::T => {
                out.push(three_of_six::encode(byte >> 4).into(), 6);
                out.push(three_of_six::encode(byte & 0x0F).into(), 6);
            }
            Mode::C => out.push(byte.into(), 8),
        }
    }
    out.push(0b0101, 4);
    out.finish()
}

const PREAMBLE_PAIRS: usize = 19;
const SYNC_S: u32 = 0b00_0111_0110_1001_0110;
const SYNC_S_CHIPS: u32 = 18;
const SYNC_T: u32 = 0b00_0011_1101;
const SYNC_T_CHIPS: u32 = 10;
const SYNC_C_A: u32 = 0x54CD;
const SYNC_C_B: u32 = 0x543D;

impl Mode {
    /// The format that follows, when the last of `seen` chips in `register` are the sync word.
    const fn synchronised(self, register: u32, seen: u32) -> Option<Format> {
        // Six chips of the preamble belong to the pattern of modes T and C: ten alone occur in data.
        const PREAMBLE_AND_SYNC_T: u32 = 0x543D;
        match self {
            Self::S if seen >= SYNC_S_CHIPS && register & 0x3_FFFF == SYNC_S => Some(Format::A),
            Self::T if seen >= 16 && register & 0xFFFF == PREAMBLE_AND_SYNC_T => Some(Format::A),
            Self::C if seen >= 32 && register >> 16 == PREAMBLE_AND_SYNC_T => match register & 0xFFFF {
                SYNC_C_A => Some(Format::A),
                SYNC_C_B => Some(Format::B),
                _ => None,
            },
            _ => None,
        }
    }
}

fn read_frame(mode: Mode, format: Format, chips: &mut Chips<'_>) -> Result<Vec<u8>, ChipError> {
    let length = read_byte(mode, chips)?;
    if length < 9 {
        return Err(ChipError::Length(LinkError::LengthTooShort { length }));
    }
    let whole = format.bytes(usize::from(length)).min(FRAME_BYTES_MAX);
    let mut frame = Vec::with_capacity(whole);
    frame.push(length);
    while frame.len() < whole {
        frame.push(read_byte(mode, chips)?);
    }
    Ok(frame)
}

fn read_byte(mode: Mode, chips: &mut Chips<'_>) -> Result<u8, ChipError> {
    let offset = chips.at;
    let truncated = ChipError::Truncated { offset: chips.end() };
    let mut symbol = |count| chips.take(count).ok_or(truncated);
    match mode {
        Mode::C => symbol(8),
        Mode::S => {
            let (high, low) = (symbol(8)?, symbol(8)?);
            let nibble = |chips, offset| manchester::decode(chips).ok_or(ChipError::Symbol { offset, chips, mode });
            Ok(nibble(high, offset)? << 4 | nibble(low, offset.saturating_add(8))?)
        }
        Mode::T => {
            let (high, low) = (symbol(6)?, symbol(6)?);
            let nibble = |chips, offset| three_of_six::decode(chips).ok_or(ChipError::Symbol { offset, chips, mode });
            Ok(nibble(high, offset)? << 4 | nibble(low, offset.saturating_add(6))?)
        }
    }
}

/// A cursor over chips.
#[derive(Clone, Copy)]
struct Chips<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Chips<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    const fn end(&self) -> usize {
        self.bytes.len().saturating_mul(8)
    }

    /// The next `count` chips, at most eight.
    fn take(&mut self, count: usize) -> Option<u8> {
        let byte = self.at / 8;
        let pair = [*self.bytes.get(byte)?, self.bytes.get(byte.saturating_add(1)).copied().unwrap_or_default()];
        let next = self.at.saturating_add(count);
        if next > self.end() {
            return None;
        }
        let [taken, _] = (u16::from_be_bytes(pair) << (self.at % 8)).to_be_bytes();
        self.at = next;
        Some(taken >> 8usize.saturating_sub(count))
    }
}

#[derive(Default)]
struct ChipWriter {
    bytes: Vec<u8>,
    pending: u8,
    count: u32,
}

impl ChipWriter {
    /// The low `count` bits of `chips`, most significant first.
    fn push(&mut self, chips: u32, count: u32) {
        for at in (0..count).rev() {
            self.pending = self.pending << 1 | u8::from(chips >> at & 1 != 0);
            self.count += 1;
            if self.count == 8 {
                self.bytes.push(self.pending);
                (self.pending, self.count) = (0, 0);
            }
        }
    }

    fn finish(mut self) -> Vec<u8> {
        while self.count != 0 {
            self.push(0, 1);
        }
        self.bytes
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::S => "S",
            Self::T => "T",
            Self::C => "C",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    const MODES: [Mode; 3] = [Mode::S, Mode::T, Mode::C];

    #[test]
    fn sync_words_are_those_of_the_standard() {
        let frame = [9; 12];
        let chips = transmit(Mode::T, Format::A, &frame);
        // 19 pairs end inside a byte: the sync word 54 3D lies across bytes, and is found all the same.
        assert_eq!(receive(Mode::T, &chips).unwrap().frame, frame);
        assert_eq!(receive(Mode::S, &chips), Err(ChipError::NoSync(Mode::S)));
        assert_eq!(receive(Mode::C, &[0x54, 0x3D, 0x54, 0xCD]), Err(ChipError::Truncated { offset: 32 }));
        for (sync, format) in [([0x54, 0xCD], Format::A), ([0x54, 0x3D], Format::B)] {
            let short = [&sync[..], &frame].concat();
            let long = [&[0x54, 0x3D][..], &short].concat();
            assert_eq!(strip_sync_c(&short), Some((format, &frame[..])));
            assert_eq!(strip_sync_c(&long), Some((format, &frame[..])));
        }
        assert_eq!(strip_sync_c(&frame), None);
        let behind = chips.get(6..).unwrap();
        assert_eq!(receive_synchronised(Mode::T, Format::A, behind).unwrap().frame, frame);
        assert_eq!(receive(Mode::T, &vec![0; CHIP_BYTES_MAX + 1]), Err(ChipError::TooLong { bytes: 2049 }));
    }

    #[test]
    fn a_broken_symbol_is_told_with_its_place() {
        let mut chips = transmit(Mode::T, Format::A, &[9; 12]);
        chips[6] ^= 0x80;
        assert_eq!(receive(Mode::T, &chips), Err(ChipError::Symbol { offset: 48, chips: 0b110110, mode: Mode::T }));
    }

    proptest! {
        #[test]
        fn chips_and_back(bytes in proptest::collection::vec(any::<u8>(), 12..290), length in 9u8.., noise: [u8; 3]) {
            for mode in MODES {
                for format in [Format::A, Format::B] {
                    if format == Format::B && mode != Mode::C {
                        continue;
                    }
                    let mut frame = bytes.clone();
                    frame[0] = length;
                    frame.resize(format.bytes(length.into()), 0x55);
                    let mut chips = noise.to_vec();
                    chips.extend(transmit(mode, format, &frame));
                    let received = receive(mode, &chips).unwrap();
                    prop_assert_eq!(&received.frame, &frame);
                    prop_assert_eq!(received.format, format);
                    prop_assert!(received.end <= chips.len() * 8);
                }
            }
        }

        #[test]
        fn any_chips_are_answered(chips in proptest::collection::vec(any::<u8>(), 0..600)) {
            for mode in MODES {
                if let Ok(received) = receive(mode, &chips) {
                    prop_assert!(received.frame.len() <= FRAME_BYTES_MAX);
                }
            }
        }
    }
}
