//! The data link layer (EN 13757-2, EN 60870-5-2 format FT 1.2): acknowledgement, short and long frames.
//!
//! ```text
//! acknowledgement  E5
//! short            10  C  A  sum  16
//! long             68  L  L  68  C  A  CI  payload (L - 3 bytes)  sum  16
//! ```
//! The sum is the low byte of the sum of `C A` (short) or of the `L` bytes after the second 68 (long).
//! A control frame of the standard is a long frame without payload.

use alloc::vec::Vec;
use core::fmt;
use thiserror::Error;

/// The longest frame: `68 L L 68`, 255 bytes, sum and stop.
pub const FRAME_BYTES_MAX: usize = 261;
/// The longest payload after C, A and CI.
pub const PAYLOAD_BYTES_MAX: usize = 252;

const ACK: u8 = 0xE5;
const SHORT_START: u8 = 0x10;
const LONG_START: u8 = 0x68;
const STOP: u8 = 0x16;
const SHORT_BYTES: usize = 5;
/// `68 L L 68` before and `sum 16` after the counted bytes.
const LONG_EXTRA_BYTES: usize = 6;
/// C, A and CI are counted by L.
const LONG_COUNT_MIN: u8 = 3;

/// One frame of the wire. The payload is borrowed from the received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// `E5`: the slave has understood and has nothing to say.
    Ack,
    /// A frame without application layer: a request of the master.
    Short {
        /// The control field.
        control: Control,
        /// The address field.
        address: Address,
    },
    /// A frame with an application layer.
    Long {
        /// The control field.
        control: Control,
        /// The address field.
        address: Address,
        /// The control information field: which application layer follows.
        ci: u8,
        /// What follows CI; empty in a control frame.
        payload: &'a [u8],
    },
}

/// The C field. Which side may send which code is not judged here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Control {
    /// 40: initialise the slave's link; its next expected frame count bit is 1.
    SndNke,
    /// 5A or 7A: request alarm data (class 1).
    ReqUd1 {
        /// The frame count bit.
        fcb: bool,
    },
    /// 5B or 7B: request user data (class 2).
    ReqUd2 {
        /// The frame count bit.
        fcb: bool,
    },
    /// 53 or 73: send user data to the slave.
    SndUd {
        /// The frame count bit.
        fcb: bool,
    },
    /// 08, 18, 28 or 38: the slave's user data.
    RspUd {
        /// Access demand: alarm data waits.
        acd: bool,
        /// Data flow control: the slave takes no more data now.
        dfc: bool,
    },
    /// Any other code.
    Unknown(u8),
}

/// The A field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub u8);

/// Why bytes are not a frame. Offsets count from the first byte given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The first byte starts no frame: noise, or the middle of a frame.
    #[error("byte {byte:02x} at {offset} starts no frame: E5, 10 or 68 expected")]
    Start {
        /// Where.
        offset: usize,
        /// What was there.
        byte: u8,
    },
    /// The two copies of the length differ.
    #[error("the two lengths differ at {offset}: {first} and {second}")]
    LengthsDiffer {
        /// Where the second copy is.
        offset: usize,
        /// The first copy.
        first: u8,
        /// The second copy.
        second: u8,
    },
    /// The length leaves no room for C, A and CI.
    #[error("length {length} at {offset} is below the three bytes of C, A and CI")]
    LengthTooShort {
        /// Where.
        offset: usize,
        /// The length.
        length: u8,
    },
    /// The second start byte of a long frame is not 68.
    #[error("byte {byte:02x} at {offset} where the second start byte 68 belongs")]
    SecondStart {
        /// Where.
        offset: usize,
        /// What was there.
        byte: u8,
    },
    /// The sum is wrong: a bit was lost on the wire, or two slaves spoke at once.
    #[error("checksum {received:02x} at {offset}, the bytes sum up to {computed:02x}")]
    Checksum {
        /// Where the sum is.
        offset: usize,
        /// The sum that came.
        received: u8,
        /// The sum of the bytes that came.
        computed: u8,
    },
    /// The frame does not end with 16.
    #[error("byte {byte:02x} at {offset} where the stop byte 16 belongs")]
    Stop {
        /// Where.
        offset: usize,
        /// What was there.
        byte: u8,
    },
    /// The bytes end inside the frame (only from [`Frame::parse_whole`]).
    #[error("the bytes end at {offset} inside the frame: at least {needed} more needed")]
    Truncated {
        /// Where the bytes end.
        offset: usize,
        /// How many more are needed, at least.
        needed: usize,
    },
    /// Bytes follow the frame (only from [`Frame::parse_whole`]).
    #[error("{left} bytes follow the frame's end at {offset}")]
    Trailing {
        /// Where the frame ends.
        offset: usize,
        /// How many bytes follow.
        left: usize,
    },
    /// The payload does not fit in a frame (only from [`Frame::emit`]).
    #[error("a payload of {bytes} bytes does not fit: a frame carries {PAYLOAD_BYTES_MAX}")]
    PayloadTooLong {
        /// The payload's length.
        bytes: usize,
    },
}

impl<'a> Frame<'a> {
    /// Reads the frame at the front of `bytes`.
    ///
    /// - `Err`: what stands here is not a frame, whatever may follow;
    /// - `Ok(None)`: a frame may stand here, more bytes are needed;
    /// - `Ok(Some((frame, consumed)))`: the frame, and how many bytes it took.
    ///
    /// # Errors
    /// [`FrameError`] with the offset of the first wrong byte.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, FrameError> {
        match bytes.first() {
            None => Ok(None),
            Some(&ACK) => Ok(Some((Frame::Ack, 1))),
            Some(&SHORT_START) => parse_short(bytes),
            Some(&LONG_START) => parse_long(bytes),
            Some(&byte) => Err(FrameError::Start { offset: 0, byte }),
        }
    }

    /// Reads `bytes` as exactly one frame.
    ///
    /// # Errors
    /// [`FrameError`]; also when bytes are missing or left.
    pub fn parse_whole(bytes: &'a [u8]) -> Result<Self, FrameError> {
        match Self::parse(bytes)? {
            Some((frame, consumed)) if consumed == bytes.len() => Ok(frame),
            Some((_, consumed)) => {
                Err(FrameError::Trailing { offset: consumed, left: bytes.len().saturating_sub(consumed) })
            }
            None => {
                let needed = bytes_expected(bytes).saturating_sub(bytes.len());
                Err(FrameError::Truncated { offset: bytes.len(), needed })
            }
        }
    }

    /// The frame as it goes on the wire.
    ///
    /// # Errors
    /// [`FrameError::PayloadTooLong`] above [`PAYLOAD_BYTES_MAX`].
    pub fn emit(&self) -> Result<Vec<u8>, FrameError> {
        match *self {
            Frame::Ack => Ok([ACK].into()),
            Frame::Short { control, address } => Ok(short(control, address)),
            Frame::Long { control, address, ci, payload } => {
                let length = payload.len().saturating_add(usize::from(LONG_COUNT_MIN));
                let Ok(length) = u8::try_from(length) else {
                    return Err(FrameError::PayloadTooLong { bytes: payload.len() });
                };
                let mut out = Vec::with_capacity(usize::from(length).saturating_add(LONG_EXTRA_BYTES));
                out.extend([LONG_START, length, length, LONG_START, control.code(), address.0, ci]);
                out.extend(payload);
                let sum = checksum(out.get(4..).unwrap_or_default());
                out.extend([sum, STOP]);
                Ok(out)
            }
        }
    }
}

/// Initialises the link of the slave at `address` (SND_NKE).
#[must_use]
pub fn snd_nke(address: Address) -> Vec<u8> {
    short(Control::SndNke, address)
}

/// Asks the slave at `address` for its user data (REQ_UD2).
#[must_use]
pub fn req_ud2(address: Address, fcb: bool) -> Vec<u8> {
    short(Control::ReqUd2 { fcb }, address)
}

/// Asks the slave at `address` for its alarm data (REQ_UD1).
#[must_use]
pub fn req_ud1(address: Address, fcb: bool) -> Vec<u8> {
    short(Control::ReqUd1 { fcb }, address)
}

/// The low byte of the sum of `bytes`.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

fn short(control: Control, address: Address) -> Vec<u8> {
    let sum = checksum(&[control.code(), address.0]);
    [SHORT_START, control.code(), address.0, sum, STOP].into()
}

fn parse_short(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let Some(&[_, control, address, received, stop]) = bytes.get(..SHORT_BYTES) else {
        return Ok(None);
    };
    let computed = checksum(&[control, address]);
    if received != computed {
        return Err(FrameError::Checksum { offset: 3, received, computed });
    }
    if stop != STOP {
        return Err(FrameError::Stop { offset: 4, byte: stop });
    }
    Ok(Some((Frame::Short { control: Control::from_code(control), address: Address(address) }, SHORT_BYTES)))
}

fn parse_long(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    // Each byte of the head is judged as soon as it is there: noise that begins with 68 must not
    // hold the line for 255 bytes.
    if let Some(&length) = bytes.get(1)
        && length < LONG_COUNT_MIN
    {
        return Err(FrameError::LengthTooShort { offset: 1, length });
    }
    if let (Some(&first), Some(&second)) = (bytes.get(1), bytes.get(2))
        && first != second
    {
        return Err(FrameError::LengthsDiffer { offset: 2, first, second });
    }
    if let Some(&byte) = bytes.get(3)
        && byte != LONG_START
    {
        return Err(FrameError::SecondStart { offset: 3, byte });
    }
    let whole = bytes_expected(bytes);
    let Some(frame) = bytes.get(..whole) else {
        return Ok(None);
    };
    let [_, _, _, _, counted @ .., received, stop] = frame else {
        return Ok(None);
    };
    let computed = checksum(counted);
    if *received != computed {
        return Err(FrameError::Checksum { offset: whole.saturating_sub(2), received: *received, computed });
    }
    if *stop != STOP {
        return Err(FrameError::Stop { offset: whole.saturating_sub(1), byte: *stop });
    }
    let [control, address, ci, payload @ ..] = counted else {
        return Ok(None);
    };
    let control = Control::from_code(*control);
    Ok(Some((Frame::Long { control, address: Address(*address), ci: *ci, payload }, whole)))
}

/// How long the frame at the front of `bytes` is, as far as they tell.
fn bytes_expected(bytes: &[u8]) -> usize {
    match (bytes.first(), bytes.get(1)) {
        (Some(&SHORT_START), _) => SHORT_BYTES,
        (Some(&LONG_START), Some(&length)) => usize::from(length).saturating_add(LONG_EXTRA_BYTES),
        (Some(&LONG_START), None) => usize::from(LONG_COUNT_MIN).saturating_add(LONG_EXTRA_BYTES),
        _ => 1,
    }
}

impl Control {
    /// The code's meaning.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        let (bit5, bit4) = (code & 0x20 != 0, code & 0x10 != 0);
        match code {
            0x40 => Self::SndNke,
            0x5A | 0x7A => Self::ReqUd1 { fcb: bit5 },
            0x5B | 0x7B => Self::ReqUd2 { fcb: bit5 },
            0x53 | 0x73 => Self::SndUd { fcb: bit5 },
            0x08 | 0x18 | 0x28 | 0x38 => Self::RspUd { acd: bit5, dfc: bit4 },
            _ => Self::Unknown(code),
        }
    }

    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::SndNke => 0x40,
            Self::ReqUd1 { fcb } => 0x5A | bit(fcb, 0x20),
            Self::ReqUd2 { fcb } => 0x5B | bit(fcb, 0x20),
            Self::SndUd { fcb } => 0x53 | bit(fcb, 0x20),
            Self::RspUd { acd, dfc } => 0x08 | bit(acd, 0x20) | bit(dfc, 0x10),
            Self::Unknown(code) => code,
        }
    }
}

const fn bit(set: bool, mask: u8) -> u8 {
    if set { mask } else { 0 }
}

impl Address {
    /// 0: a slave fresh from the factory.
    pub const UNCONFIGURED: Self = Self(0);
    /// 253: the slave that was selected by its secondary address.
    pub const SELECTED: Self = Self(253);
    /// 254: every slave, and each answers. With more than one slave the answers collide.
    pub const ANY: Self = Self(254);
    /// 255: every slave, and none answers.
    pub const BROADCAST: Self = Self(255);

    /// Whether this is the address of one slave: 0 to 250.
    #[must_use]
    pub const fn is_primary(self) -> bool {
        self.0 <= 250
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::SndNke => "SND_NKE",
            Self::ReqUd1 { .. } => "REQ_UD1",
            Self::ReqUd2 { .. } => "REQ_UD2",
            Self::SndUd { .. } => "SND_UD",
            Self::RspUd { .. } => "RSP_UD",
            Self::Unknown(_) => "C",
        };
        write!(f, "{name}({:02x})", self.code())
    }
}

impl fmt::Display for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Frame::Ack => f.write_str("ACK"),
            Frame::Short { control, address } => write!(f, "{control} to {address}"),
            Frame::Long { control, address, ci, payload } => {
                write!(f, "{control} at {address}, CI {ci:02x}, {} bytes", payload.len())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// SND_NKE, REQ_UD2 and a one-byte answer, made by hand.
    const NKE_1: &[u8] = &[0x10, 0x40, 0x01, 0x41, 0x16];
    const REQ_254: &[u8] = &[0x10, 0x7B, 0xFE, 0x79, 0x16];
    const ERROR_8: &[u8] = &[0x68, 0x04, 0x04, 0x68, 0x08, 0x01, 0x70, 0x08, 0x81, 0x16];

    #[test]
    fn builders_make_the_bytes_of_the_standard() {
        assert_eq!(snd_nke(Address(1)), NKE_1);
        assert_eq!(req_ud2(Address::ANY, true), REQ_254);
        assert_eq!(req_ud1(Address(1), false), [0x10, 0x5A, 0x01, 0x5B, 0x16]);
    }

    #[test]
    fn a_long_frame_is_read_and_its_rest_left() {
        let mut bytes = ERROR_8.to_vec();
        bytes.push(0xE5);
        let (frame, consumed) = Frame::parse(&bytes).unwrap().unwrap();
        assert_eq!(consumed, ERROR_8.len());
        let Frame::Long { control, address, ci, payload } = frame else { panic!("{frame}") };
        assert_eq!(control, Control::RspUd { acd: false, dfc: false });
        assert_eq!((address, ci, payload), (Address(1), 0x70, &[8][..]));
        assert_eq!(Frame::parse_whole(&bytes), Err(FrameError::Trailing { offset: 10, left: 1 }));
    }

    #[test]
    fn every_prefix_of_a_frame_asks_for_more() {
        for frame in [NKE_1, REQ_254, ERROR_8] {
            for end in 0..frame.len() {
                assert_eq!(Frame::parse(&frame[..end]), Ok(None), "{end} bytes of {frame:02x?}");
            }
        }
        assert_eq!(Frame::parse_whole(&ERROR_8[..7]), Err(FrameError::Truncated { offset: 7, needed: 3 }));
    }

    #[test]
    fn each_wrong_byte_is_named_with_its_place() {
        let broken = |at: usize, byte: u8| {
            let mut bytes = ERROR_8.to_vec();
            bytes[at] = byte;
            bytes
        };
        for (bytes, error) in [
            (broken(0, 0xFC), FrameError::Start { offset: 0, byte: 0xFC }),
            (broken(1, 2), FrameError::LengthTooShort { offset: 1, length: 2 }),
            (broken(2, 5), FrameError::LengthsDiffer { offset: 2, first: 4, second: 5 }),
            (broken(3, 0), FrameError::SecondStart { offset: 3, byte: 0 }),
            (broken(7, 9), FrameError::Checksum { offset: 8, received: 0x81, computed: 0x82 }),
            (broken(9, 0), FrameError::Stop { offset: 9, byte: 0 }),
        ] {
            assert_eq!(Frame::parse(&bytes), Err(error));
        }
        assert_eq!(Frame::parse(&[0x68, 0, 0, 0x68, 8]), Err(FrameError::LengthTooShort { offset: 1, length: 0 }));
    }

    proptest! {
        #[test]
        fn emitted_frames_read_back(control: u8, address: u8, ci: u8, payload in prop::collection::vec(any::<u8>(), 0..=PAYLOAD_BYTES_MAX)) {
            let control = Control::from_code(control);
            let address = Address(address);
            for frame in [Frame::Ack, Frame::Short { control, address }, Frame::Long { control, address, ci, payload: &payload }] {
                let bytes = frame.emit().unwrap();
                prop_assert!(bytes.len() <= FRAME_BYTES_MAX);
                prop_assert_eq!(Frame::parse_whole(&bytes), Ok(frame));
            }
        }

        #[test]
        fn any_bytes_are_judged(bytes: Vec<u8>) {
            if let Ok(Some((frame, consumed))) = Frame::parse(&bytes) {
                prop_assert_eq!(&frame.emit().unwrap()[..], &bytes[..consumed]);
            }
        }

        #[test]
        fn one_changed_bit_never_passes(payload in prop::collection::vec(any::<u8>(), 1..40), place: prop::sample::Index, bit in 0u8..8) {
            let frame = Frame::Long { control: Control::from_code(8), address: Address(1), ci: 0x72, payload: &payload };
            let mut bytes = frame.emit().unwrap();
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
            prop_assert!(Frame::parse_whole(&bytes).is_err());
        }
    }
}
