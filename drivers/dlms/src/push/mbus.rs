//! DLMS over M-Bus frames (EN 13757-2 for the frame, EN 13757-3 §6 for the transport layer).
//!
//! ```text
//! 68 L L 68 | C A CI | STSAP DTSAP | part of an APDU | sum 16
//! ```

use alloc::vec::Vec;
use thiserror::Error;

/// The longest M-Bus frame.
pub const MBUS_FRAME_BYTES_MAX: usize = 261;

const START: u8 = 0x68;
const STOP: u8 = 0x16;
/// C, A, CI, STSAP and DTSAP.
const COUNTED_BYTES_MIN: u8 = 5;
/// `68 L L 68` before, `sum 16` behind what L counts.
const EXTRA_BYTES: usize = 6;
const CI_LAST: u8 = 0x10;
const CI_TRANSPORT_MAX: u8 = 0x1F;

/// One M-Bus frame of the transport layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transported<'a> {
    /// The C field.
    pub control: u8,
    /// The A field.
    pub address: u8,
    /// The number of this segment, modulo 16.
    pub sequence: u8,
    /// No segment follows.
    pub last: bool,
    /// STSAP: the server.
    pub source: u8,
    /// DTSAP: the client.
    pub destination: u8,
    /// This segment's part of the APDU.
    pub part: &'a [u8],
}

/// Why bytes are no such frame. Offsets count from the first byte given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TransportedError {
    /// No long frame of M-Bus with a transport layer begins here.
    #[error("byte {byte:02x} at {offset} belongs to no M-Bus frame that carries DLMS")]
    Start {
        /// Where.
        offset: usize,
        /// What was there.
        byte: u8,
    },
    /// The sum is wrong.
    #[error("sum {received:02x} at {offset}, the frame gives {computed:02x}")]
    Sum {
        /// Where.
        offset: usize,
        /// What was there.
        received: u8,
        /// What the frame gives.
        computed: u8,
    },
    /// No stop byte.
    #[error("byte {byte:02x} at {offset} where the stop byte 16 belongs")]
    Stop {
        /// Where.
        offset: usize,
        /// What was there.
        byte: u8,
    },
    /// The part is longer than a frame carries.
    #[error("{bytes} bytes do not fit in an M-Bus frame")]
    TooLong {
        /// How many.
        bytes: usize,
    },
}

impl<'a> Transported<'a> {
    /// Reads the frame at the front of `bytes`, and how many bytes it takes. `Ok(None)` asks for
    /// more.
    ///
    /// # Errors
    /// [`TransportedError`] when no bytes that follow could make this such a frame.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, TransportedError> {
        let length = bytes.get(1).copied();
        // Each byte is judged as soon as it is there, so that noise holds nothing up.
        for (offset, right) in [
            (0, |byte: u8, _: Option<u8>| byte == START),
            (1, |byte, _| byte >= COUNTED_BYTES_MIN),
            (2, |byte, length| Some(byte) == length),
            (3, |byte, _| byte == START),
            (6, |byte, _| byte <= CI_TRANSPORT_MAX),
        ] as [(usize, fn(u8, Option<u8>) -> bool); 5]
        {
            match bytes.get(offset) {
                Some(&byte) if !right(byte, length) => return Err(TransportedError::Start { offset, byte }),
                Some(_) => {}
                None => return Ok(None),
            }
        }
        let whole = usize::from(length.unwrap_or_default()).saturating_add(EXTRA_BYTES);
        let Some([_, _, _, _, counted @ .., received, stop]) = bytes.get(..whole) else { return Ok(None) };
        if *stop != STOP {
            return Err(TransportedError::Stop { offset: whole.saturating_sub(1), byte: *stop });
        }
        let computed = sum(counted);
        if computed != *received {
            return Err(TransportedError::Sum { offset: whole.saturating_sub(2), received: *received, computed });
        }
        let [control, address, ci, source, destination, part @ ..] = counted else { return Ok(None) };
        let (control, address, source, destination) = (*control, *address, *source, *destination);
        let (sequence, last) = (ci & 0x0F, ci & CI_LAST != 0);
        Ok(Some((Self { control, address, sequence, last, source, destination, part }, whole)))
    }

    /// The frame's bytes.
    ///
    /// # Errors
    /// [`TransportedError::TooLong`].
    pub fn emit(&self) -> Result<Vec<u8>, TransportedError> {
        let counted = self.part.len().saturating_add(usize::from(COUNTED_BYTES_MIN));
        let length = u8::try_from(counted).map_err(|_| TransportedError::TooLong { bytes: self.part.len() })?;
        let ci = self.sequence & 0x0F | if self.last { CI_LAST } else { 0 };
        let mut bytes = Vec::from([START, length, length, START]);
        bytes.extend([self.control, self.address, ci, self.source, self.destination]);
        bytes.extend_from_slice(self.part);
        let sum = sum(bytes.get(4..).unwrap_or_default());
        bytes.extend([sum, STOP]);
        Ok(bytes)
    }
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

/// Finds such frames in a stream. It holds one at most.
#[derive(Clone, Debug, Default)]
pub(super) struct MbusDeframer {
    bytes: Vec<u8>,
}

impl MbusDeframer {
    pub(super) fn push(&mut self, bytes: &[u8], mut tell: impl FnMut(Result<Transported<'_>, TransportedError>)) {
        for piece in bytes.chunks(MBUS_FRAME_BYTES_MAX) {
            self.bytes.extend_from_slice(piece);
            self.scan(false, &mut tell);
        }
    }

    /// The line fell silent.
    pub(super) fn give_up(&mut self, mut tell: impl FnMut(Result<Transported<'_>, TransportedError>)) {
        self.scan(true, &mut tell);
    }

    pub(super) fn is_inside_frame(&self) -> bool {
        !self.bytes.is_empty()
    }

    fn scan(&mut self, silent: bool, tell: &mut impl FnMut(Result<Transported<'_>, TransportedError>)) {
        let mut at = 0usize;
        while let Some(rest) = self.bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let step = match Transported::parse(rest) {
                Ok(Some((frame, consumed))) => {
                    tell(Ok(frame));
                    consumed
                }
                Ok(None) if !silent => break,
                // Both ends are in place: a changed bit, not the middle of something else.
                Err(error @ TransportedError::Sum { offset, .. }) => {
                    tell(Err(error));
                    offset.saturating_add(2)
                }
                Ok(None) | Err(_) => 1,
            };
            at = at.saturating_add(step);
        }
        self.bytes.drain(..at.min(self.bytes.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_by_hand() {
        let bytes = [0x68, 7, 7, 0x68, 0x53, 0xFF, 0x11, 0x01, 0x67, 0xAA, 0xBB, 0x30, 0x16];
        let (frame, consumed) = Transported::parse(&bytes).unwrap().unwrap();
        assert_eq!((frame.sequence, frame.last, frame.part, consumed), (1, true, &[0xAA, 0xBB][..], 13));
        for end in 0..bytes.len() {
            assert_eq!(Transported::parse(&bytes[..end]), Ok(None));
        }
        // A meter's readout is another application layer.
        let readout = [0x68, 7, 7, 0x68, 0x08, 0x01, 0x72];
        assert_eq!(Transported::parse(&readout), Err(TransportedError::Start { offset: 6, byte: 0x72 }));
    }

    proptest! {
        #[test]
        fn emitted_frames_read_back(control: u8, address: u8, sequence in 0u8..16, last: bool, source: u8, destination: u8, part in prop::collection::vec(any::<u8>(), 0..250)) {
            let frame = Transported { control, address, sequence, last, source, destination, part: &part };
            let bytes = frame.emit().unwrap();
            prop_assert!(bytes.len() <= MBUS_FRAME_BYTES_MAX);
            prop_assert_eq!(Transported::parse(&bytes), Ok(Some((frame, bytes.len()))));
        }

        #[test]
        fn frames_in_noise_in_any_split(noise in prop::collection::vec(0u8..0x68, 0..20), parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..5), size in 1usize..60) {
            let mut line = noise;
            for part in &parts {
                let frame = Transported { control: 0x53, address: 255, sequence: 0, last: true, source: 1, destination: 0x67, part };
                line.extend(frame.emit().unwrap());
            }
            let (mut deframer, mut found) = (MbusDeframer::default(), Vec::new());
            for piece in line.chunks(size) {
                deframer.push(piece, |frame| found.push(frame.unwrap().part.to_vec()));
            }
            prop_assert_eq!(found, parts);
        }
    }
}
