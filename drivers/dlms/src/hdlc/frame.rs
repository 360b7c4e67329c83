//! The frame (IEC 62056-46 §6.4, ISO/IEC 13239 format type 3), and the LLC header in it.
//!
//! ```text
//! 7E | 1010 S LLL LLLLLLLL | destination | source | control | HCS | information | FCS | 7E
//! ```
//! L counts everything between the flags; S says that more segments follow. Without information there
//! is no HCS. The information is transparent: a 7E in it is no flag. One flag may end a frame and
//! begin the next.

use super::address::Address;
use super::control::Control;
use super::fcs::fcs;
use alloc::vec::Vec;
use core::fmt;
use thiserror::Error;

/// The flag that begins and ends a frame.
pub const FLAG: u8 = 0x7E;
/// The longest frame: what eleven bits count, and its two flags.
pub const FRAME_BYTES_MAX: usize = 2049;
/// The longest information field between two addresses of four bytes.
pub const INFORMATION_BYTES_MAX: usize = 2032;

/// What a client puts before an APDU (IEC 62056-46 §5: LLC, unacknowledged).
pub const LLC_COMMAND: [u8; 3] = [0xE6, 0xE6, 0x00];
/// What a server puts before an APDU.
pub const LLC_RESPONSE: [u8; 3] = [0xE6, 0xE7, 0x00];

const FORMAT_TYPE_3: u8 = 0xA0;
const SEGMENTED: u8 = 0x08;
/// What L counts at the least: format, two addresses, control, FCS.
const COUNTED_BYTES_MIN: u16 = 7;
const COUNTED_BYTES_MAX: usize = 0x7FF;
/// Where the destination address begins.
const DESTINATION_AT: usize = 3;
const SUM_BYTES: usize = 2;

/// One frame. Its information is borrowed from the received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Whom it is for.
    pub destination: Address,
    /// Who sends it.
    pub source: Address,
    /// The control field.
    pub control: Control,
    /// S: more segments of the same APDU follow.
    pub segmented: bool,
    /// The information; `None` in a frame that has neither information nor HCS.
    pub information: Option<&'a [u8]>,
}

/// Why bytes are not a frame. Offsets count from the first byte given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The first byte is no flag.
    #[error("byte {byte:02x} at {offset} where the flag 7E belongs: noise, or the middle of a frame")]
    Flag {
        /// Where.
        offset: usize,
        /// What was there.
        byte: u8,
    },
    /// Another frame format than type 3.
    #[error("byte {byte:02x} at {offset} is no frame format of type 3 (A0 to AF)")]
    FormatType {
        /// Where.
        offset: usize,
        /// What was there.
        byte: u8,
    },
    /// The length leaves no room for the fields that must be there.
    #[error("length {length} at {offset} does not hold the addresses, the control field and the sums")]
    Length {
        /// Where.
        offset: usize,
        /// The length.
        length: u16,
    },
    /// An address of three bytes, or of more than four.
    #[error("the address at {offset} has {bytes} bytes or more: 1, 2 and 4 exist")]
    AddressBytes {
        /// Where.
        offset: usize,
        /// How many.
        bytes: u8,
    },
    /// The sum over the header is wrong.
    #[error("HCS {received:04x} at {offset}, the header gives {computed:04x}: disturbance, or the middle of a frame")]
    Hcs {
        /// Where.
        offset: usize,
        /// What was there.
        received: u16,
        /// What the header gives.
        computed: u16,
    },
    /// The sum over the frame is wrong.
    #[error("FCS {received:04x} at {offset}, the frame gives {computed:04x}: disturbance on the line")]
    Fcs {
        /// Where.
        offset: usize,
        /// What was there.
        received: u16,
        /// What the frame gives.
        computed: u16,
    },
    /// No flag where the frame ends: bytes were lost or added.
    #[error("byte {byte:02x} at {offset} where the frame's last flag belongs: bytes were lost or added")]
    End {
        /// Where.
        offset: usize,
        /// What was there.
        byte: u8,
    },
    /// The bytes end inside the frame.
    #[error("the frame ends at {offset}, {needed} bytes too early")]
    Truncated {
        /// Where.
        offset: usize,
        /// Bytes that are missing.
        needed: usize,
    },
    /// Bytes follow the frame.
    #[error("{left} bytes follow the frame at {offset}")]
    Trailing {
        /// Where.
        offset: usize,
        /// How many.
        left: usize,
    },
    /// The information does not fit in a frame.
    #[error("{bytes} bytes of information do not fit in a frame: split them into segments")]
    TooLong {
        /// How many.
        bytes: usize,
    },
}

/// What the bytes before the information say.
pub(super) struct Head {
    pub(super) destination: Address,
    pub(super) source: Address,
    control: Control,
    segmented: bool,
    /// Where the control field ends.
    end: usize,
    /// Where the FCS begins.
    fcs_at: usize,
}

impl<'a> Frame<'a> {
    /// A frame without information.
    #[must_use]
    pub const fn bare(destination: Address, source: Address, control: Control) -> Self {
        Self { destination, source, control, segmented: false, information: None }
    }

    /// Reads the frame at the front of `bytes`, and how many bytes it takes with both flags.
    ///
    /// `Ok(None)` asks for more bytes. What is there is judged at once: noise that looks like a
    /// frame's beginning is known by its HCS, at the latest after 14 bytes.
    ///
    /// # Errors
    /// [`FrameError`] when no bytes that follow could make this a frame.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, FrameError> {
        match Self::parse_leniently(bytes)? {
            Some((_, _, Some(error))) => Err(error),
            Some((frame, consumed, None)) => Ok(Some((frame, consumed))),
            None => Ok(None),
        }
    }

    /// Reads a frame as [`parse`](Self::parse) does, and one whose FCS is wrong, too, with what is
    /// wrong. For people who look at recorded frames, in which names and numbers have often been
    /// replaced; never for values.
    ///
    /// # Errors
    /// [`FrameError`], but never [`FrameError::Fcs`].
    pub fn parse_leniently(bytes: &'a [u8]) -> Result<Option<(Self, usize, Option<FrameError>)>, FrameError> {
        let Some(head) = Head::parse(bytes)? else { return Ok(None) };
        let Head { destination, source, control, segmented, end, fcs_at } = head;
        let last = fcs_at.saturating_add(SUM_BYTES);
        let (Some(received), Some(&flag)) = (sum_at(bytes, fcs_at), bytes.get(last)) else { return Ok(None) };
        if flag != FLAG {
            return Err(FrameError::End { offset: last, byte: flag });
        }
        let computed = fcs(bytes.get(1..fcs_at).unwrap_or_default());
        let error = (received != computed).then_some(FrameError::Fcs { offset: fcs_at, received, computed });
        let information = bytes.get(end.saturating_add(SUM_BYTES)..fcs_at).filter(|_| end < fcs_at);
        let frame = Self { destination, source, control, segmented, information };
        Ok(Some((frame, last.saturating_add(1), error)))
    }

    /// Reads bytes that are one frame and nothing else.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn parse_whole(bytes: &'a [u8]) -> Result<Self, FrameError> {
        match Self::parse(bytes)? {
            Some((frame, consumed)) if consumed == bytes.len() => Ok(frame),
            Some((_, offset)) => Err(FrameError::Trailing { offset, left: bytes.len().saturating_sub(offset) }),
            None => {
                let needed = bytes_expected(bytes).saturating_sub(bytes.len());
                Err(FrameError::Truncated { offset: bytes.len(), needed })
            }
        }
    }

    /// The frame's bytes, with both flags.
    ///
    /// # Errors
    /// [`FrameError::TooLong`].
    pub fn emit(&self) -> Result<Vec<u8>, FrameError> {
        let (destination, source) = (self.destination.emit(), self.source.emit());
        let addresses = self.destination.bytes().saturating_add(self.source.bytes());
        let information = self.information.map_or(0, |information| information.len().saturating_add(SUM_BYTES));
        // Format, control and FCS.
        let counted = information.saturating_add(addresses).saturating_add(5);
        let length = u16::try_from(counted).ok().filter(|_| counted <= COUNTED_BYTES_MAX);
        let too_long = FrameError::TooLong { bytes: self.information.unwrap_or_default().len() };
        let [high, low] = length.ok_or(too_long)?.to_be_bytes();
        let mut bytes = Vec::with_capacity(counted.saturating_add(2));
        bytes.extend([FLAG, FORMAT_TYPE_3 | high | if self.segmented { SEGMENTED } else { 0 }, low]);
        bytes.extend(destination.iter().take(self.destination.bytes()));
        bytes.extend(source.iter().take(self.source.bytes()));
        bytes.push(self.control.code());
        if let Some(information) = self.information {
            push_sum(&mut bytes);
            bytes.extend_from_slice(information);
        }
        push_sum(&mut bytes);
        bytes.push(FLAG);
        Ok(bytes)
    }
}

impl Head {
    /// Judges what is there of the bytes up to the HCS; `None` while some are missing.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        match (bytes.first(), bytes.get(1)) {
            (Some(&byte), _) if byte != FLAG => return Err(FrameError::Flag { offset: 0, byte }),
            (_, Some(&byte)) if byte & 0xF0 != FORMAT_TYPE_3 => return Err(FrameError::FormatType { offset: 1, byte }),
            _ => {}
        }
        let Some(&[_, format, low]) = bytes.first_chunk() else { return Ok(None) };
        let length = u16::from_be_bytes([format & 7, low]);
        let wrong_length = FrameError::Length { offset: 1, length };
        if length < COUNTED_BYTES_MIN {
            return Err(wrong_length);
        }
        let fcs_at = usize::from(length).saturating_sub(1);
        let Some((destination, source_at)) = address_at(bytes, DESTINATION_AT)? else { return Ok(None) };
        let Some((source, control_at)) = address_at(bytes, source_at)? else { return Ok(None) };
        let end = control_at.saturating_add(1);
        let bare = end == fcs_at;
        if !bare && end.saturating_add(SUM_BYTES) > fcs_at {
            return Err(wrong_length);
        }
        let Some(&code) = bytes.get(control_at) else { return Ok(None) };
        if !bare {
            let Some(received) = sum_at(bytes, end) else { return Ok(None) };
            let computed = fcs(bytes.get(1..end).unwrap_or_default());
            if received != computed {
                return Err(FrameError::Hcs { offset: end, received, computed });
            }
        }
        let control = Control::from_code(code);
        Ok(Some(Self { destination, source, control, segmented: format & SEGMENTED != 0, end, fcs_at }))
    }
}

fn address_at(bytes: &[u8], at: usize) -> Result<Option<(Address, usize)>, FrameError> {
    let address = Address::parse(bytes.get(at..).unwrap_or_default())
        .map_err(|bytes| FrameError::AddressBytes { offset: at, bytes })?;
    Ok(address.map(|address| (address, at.saturating_add(address.bytes()))))
}

fn sum_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|sum| u16::from_le_bytes(*sum))
}

/// Appends the sum of all bytes behind the first flag.
fn push_sum(bytes: &mut Vec<u8>) {
    let sum = fcs(bytes.get(1..).unwrap_or_default());
    bytes.extend(sum.to_le_bytes());
}

/// How long the frame at the front of `bytes` is, as far as they tell.
pub(super) fn bytes_expected(bytes: &[u8]) -> usize {
    match bytes.first_chunk() {
        Some(&[_, format, low]) => usize::from(u16::from_be_bytes([format & 7, low])).saturating_add(2),
        None => usize::from(COUNTED_BYTES_MIN).saturating_add(2),
    }
}

/// What stands behind the LLC header; all of `information` where there is none.
///
/// The direction is not judged: some meters send E6 E6 where the standard wants E6 E7, and some no
/// header at all behind the first of several unnumbered frames. No APDU begins with E6.
#[must_use]
pub fn without_llc(information: &[u8]) -> &[u8] {
    match information {
        [0xE6, 0xE6 | 0xE7, _, apdu @ ..] => apdu,
        _ => information,
    }
}

impl fmt::Display for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {} to {}", self.control, self.source, self.destination)?;
        if let Some(information) = self.information {
            write!(f, ", {} bytes", information.len())?;
        }
        f.write_str(if self.segmented { ", more follow" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// SNRM from client 16 to server 1.
    const SNRM: &[u8] = &[0x7E, 0xA0, 0x07, 0x03, 0x21, 0x93, 0x0F, 0x01, 0x7E];

    fn i_frame(information: &[u8]) -> Frame<'_> {
        Frame {
            destination: Address::PUBLIC_CLIENT,
            source: Address::server(1, 17).unwrap(),
            control: Control::I { send: 1, receive: 2, last: true },
            segmented: true,
            information: Some(information),
        }
    }

    #[test]
    fn a_bare_frame_has_one_sum() {
        let frame = Frame::bare(Address::MANAGEMENT_DEVICE, Address::PUBLIC_CLIENT, Control::Snrm { last: true });
        assert_eq!(frame.emit().unwrap(), SNRM);
        assert_eq!(Frame::parse(SNRM), Ok(Some((frame, SNRM.len()))));
    }

    #[test]
    fn every_prefix_asks_for_more() {
        let long = i_frame(&[0x7E; 300]).emit().unwrap();
        for bytes in [SNRM, &long] {
            for end in 0..bytes.len() {
                assert_eq!(Frame::parse(&bytes[..end]), Ok(None), "{end} bytes");
            }
        }
        assert_eq!(Frame::parse_whole(&SNRM[..5]), Err(FrameError::Truncated { offset: 5, needed: 4 }));
    }

    #[test]
    fn each_wrong_byte_is_named_with_its_place() {
        let whole = i_frame(&[1, 2, 3]).emit().unwrap();
        let broken = |at: usize, byte: u8| {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            Frame::parse(&bytes).unwrap_err()
        };
        assert_eq!(broken(0, 0), FrameError::Flag { offset: 0, byte: 0 });
        assert_eq!(broken(1, 0x50), FrameError::FormatType { offset: 1, byte: 0x50 });
        assert_eq!(broken(2, 5), FrameError::Length { offset: 1, length: 5 });
        assert!(matches!(broken(6, 0xFF), FrameError::Hcs { offset: 7, .. }));
        assert!(matches!(broken(9, 0xFF), FrameError::Fcs { offset: 12, .. }));
        assert_eq!(broken(14, 0), FrameError::End { offset: 14, byte: 0 });
        assert_eq!(Frame::parse(&[0x7E, 0xA0, 0x20, 0, 0, 1]), Err(FrameError::AddressBytes { offset: 3, bytes: 3 }));
        // One byte between header and FCS is neither.
        assert_eq!(Frame::parse(&[0x7E, 0xA0, 0x08, 3, 0x21]), Err(FrameError::Length { offset: 1, length: 8 }));
    }

    #[test]
    fn the_longest_frame_and_one_byte_more() {
        let wide = Address::server_in(1, 1, 4).unwrap();
        let mut frame = i_frame(&[0; INFORMATION_BYTES_MAX]);
        (frame.source, frame.destination) = (wide, wide);
        assert!(frame.emit().unwrap().len() <= FRAME_BYTES_MAX);
        let too_long = [0; INFORMATION_BYTES_MAX + 2];
        frame.information = Some(&too_long);
        assert_eq!(frame.emit(), Err(FrameError::TooLong { bytes: too_long.len() }));
    }

    proptest! {
        #[test]
        fn emitted_frames_read_back(code: u8, segmented: bool, upper in 0u16..0x4000, lower in 0u16..0x4000, client in 0u8..128, information in prop::option::of(prop::collection::vec(any::<u8>(), 0..300))) {
            let frame = Frame {
                destination: Address::server(upper, lower).unwrap(),
                source: Address::short(client).unwrap(),
                control: Control::from_code(code),
                segmented,
                information: information.as_deref(),
            };
            let bytes = frame.emit().unwrap();
            prop_assert_eq!(Frame::parse_whole(&bytes), Ok(frame));
        }

        #[test]
        fn any_bytes_are_judged(mut bytes: Vec<u8>) {
            if let Some(first) = bytes.first_mut() { *first = FLAG; }
            if let Ok(Some((frame, consumed))) = Frame::parse(&bytes) {
                prop_assert_eq!(&frame.emit().unwrap()[..], &bytes[..consumed]);
            }
        }

        #[test]
        fn one_changed_bit_never_passes(information in prop::collection::vec(any::<u8>(), 1..60), place: prop::sample::Index, bit in 0u8..8) {
            let mut bytes = i_frame(&information).emit().unwrap();
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
            prop_assert!(Frame::parse_whole(&bytes).is_err());
        }
    }
}
