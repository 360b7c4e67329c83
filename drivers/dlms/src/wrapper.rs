//! The wrapper over TCP and UDP (IEC 62056-47): eight bytes before each APDU.
//!
//! ```text
//! 00 01 | source port | destination port | length | APDU
//! ```
//! All numbers have two bytes, most significant first. The ports are the wrapper's own: they name a
//! client and a logical device, as HDLC addresses do.

mod client;

pub use client::{ClientLink, PIECE_TIMEOUT, Transport, WrapperConfig};

use alloc::vec::Vec;
use core::fmt;
use thiserror::Error;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 8;
/// The longest APDU that the header can announce.
pub const WRAPPED_BYTES_MAX: usize = 0xFFFF;
/// The version of the standard, and the only one.
pub const VERSION: u16 = 1;

/// One APDU with its ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Wrapped<'a> {
    /// Who sends: a client's port, or a server's in an answer.
    pub source: u16,
    /// Whom it is for.
    pub destination: u16,
    /// The APDU.
    pub apdu: &'a [u8],
}

/// Why bytes are not a wrapped APDU. Offsets count from the first byte given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WrapperError {
    /// Another version, so no wrapper.
    #[error(
        "version {version:04x} at {offset} where the wrapper has 0001: this is no DLMS wrapper, or the stream is out of step"
    )]
    Version {
        /// Where.
        offset: usize,
        /// What was there.
        version: u16,
    },
    /// The bytes end too early.
    #[error("the wrapped APDU ends at {offset}, {needed} bytes too early")]
    Truncated {
        /// Where.
        offset: usize,
        /// Bytes that are missing.
        needed: usize,
    },
    /// Bytes follow the APDU.
    #[error("{left} bytes follow the wrapped APDU at {offset}")]
    Trailing {
        /// Where.
        offset: usize,
        /// How many.
        left: usize,
    },
    /// The APDU is longer than the header can say.
    #[error("an APDU of {bytes} bytes does not fit in a wrapper: 65535 do")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

impl<'a> Wrapped<'a> {
    /// Reads the wrapped APDU at the front of `bytes`, and how many bytes it takes. `Ok(None)` asks
    /// for more bytes.
    ///
    /// # Errors
    /// [`WrapperError::Version`].
    pub fn parse(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, WrapperError> {
        if let Some(&[high, low]) = bytes.first_chunk() {
            let version = u16::from_be_bytes([high, low]);
            if version != VERSION {
                return Err(WrapperError::Version { offset: 0, version });
            }
        }
        let Some(&[_, _, s0, s1, d0, d1, _, _]) = bytes.first_chunk() else { return Ok(None) };
        let [source, destination] = [[s0, s1], [d0, d1]].map(u16::from_be_bytes);
        let end = bytes_expected(bytes);
        let apdu = bytes.get(HEADER_BYTES..end);
        Ok(apdu.map(|apdu| (Self { source, destination, apdu }, end)))
    }

    /// Reads bytes that are one wrapped APDU and nothing else, as a datagram is.
    ///
    /// # Errors
    /// [`WrapperError`].
    pub fn parse_whole(bytes: &'a [u8]) -> Result<Self, WrapperError> {
        match Self::parse(bytes)? {
            Some((wrapped, end)) if end == bytes.len() => Ok(wrapped),
            Some((_, offset)) => Err(WrapperError::Trailing { offset, left: bytes.len().saturating_sub(offset) }),
            None => {
                let needed = bytes_expected(bytes).saturating_sub(bytes.len());
                Err(WrapperError::Truncated { offset: bytes.len(), needed })
            }
        }
    }

    /// Header and APDU.
    ///
    /// # Errors
    /// [`WrapperError::TooLong`].
    pub fn emit(&self) -> Result<Vec<u8>, WrapperError> {
        let too_long = WrapperError::TooLong { bytes: self.apdu.len() };
        let length = u16::try_from(self.apdu.len()).map_err(|_| too_long)?;
        let mut bytes = Vec::with_capacity(HEADER_BYTES.saturating_add(self.apdu.len()));
        for number in [VERSION, self.source, self.destination, length] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend_from_slice(self.apdu);
        Ok(bytes)
    }
}

/// How long the wrapped APDU at the front of `bytes` is, as far as they tell.
fn bytes_expected(bytes: &[u8]) -> usize {
    match bytes.first_chunk() {
        Some(&[_, _, _, _, _, _, high, low]) => HEADER_BYTES.saturating_add(u16::from_be_bytes([high, low]).into()),
        None => HEADER_BYTES,
    }
}

impl fmt::Display for Wrapped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes from port {} to port {}", self.apdu.len(), self.source, self.destination)
    }
}

/// Wrapped APDUs in a stream. It holds one at most.
#[derive(Clone, Debug, Default)]
pub struct Unwrapper {
    bytes: Vec<u8>,
}

impl Unwrapper {
    /// Takes what arrived, and tells the APDUs that it completes, in the stream's order.
    ///
    /// # Errors
    /// [`WrapperError::Version`] when the stream is out of step: TCP loses nothing, so no later byte
    /// can be trusted. What was kept is dropped. [`WrapperError::TooLong`] when more than `bytes_max`
    /// are announced.
    pub fn push(
        &mut self,
        bytes: &[u8],
        bytes_max: usize,
        mut tell: impl FnMut(&Wrapped<'_>),
    ) -> Result<(), WrapperError> {
        for piece in bytes.chunks(WRAPPED_BYTES_MAX) {
            self.bytes.extend_from_slice(piece);
            let mut at = 0usize;
            let error = loop {
                let rest = self.bytes.get(at..).unwrap_or_default();
                let announced = bytes_expected(rest).saturating_sub(HEADER_BYTES);
                match Wrapped::parse(rest) {
                    Err(error) => break Some(error),
                    Ok(_) if announced > bytes_max => break Some(WrapperError::TooLong { bytes: announced }),
                    Ok(Some((wrapped, end))) => {
                        tell(&wrapped);
                        at = at.saturating_add(end);
                    }
                    Ok(None) => break None,
                }
            };
            if let Some(error) = error {
                self.bytes.clear();
                return Err(error);
            }
            self.bytes.drain(..at.min(self.bytes.len()));
        }
        Ok(())
    }

    /// Forgets what has arrived of an unfinished APDU.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Whether an APDU, or its header, has begun.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        !self.bytes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wrap(source: u16, destination: u16, apdu: &[u8]) -> Vec<u8> {
        Wrapped { source, destination, apdu }.emit().unwrap()
    }

    #[test]
    fn a_header_by_hand() {
        let bytes = wrap(16, 1, &[0xC0, 0x01]);
        assert_eq!(bytes, [0, 1, 0, 16, 0, 1, 0, 2, 0xC0, 0x01]);
        assert_eq!(Wrapped::parse_whole(&bytes), Ok(Wrapped { source: 16, destination: 1, apdu: &[0xC0, 0x01] }));
        for end in 0..bytes.len() {
            assert_eq!(Wrapped::parse(&bytes[..end]), Ok(None));
        }
        assert_eq!(Wrapped::parse_whole(&bytes[..9]), Err(WrapperError::Truncated { offset: 9, needed: 1 }));
        assert_eq!(Wrapped::parse(b"HTTP"), Err(WrapperError::Version { offset: 0, version: 0x4854 }));
        assert!(Wrapped { source: 1, destination: 1, apdu: &[0; 0x1_0000] }.emit().is_err());
    }

    #[test]
    fn a_stream_out_of_step_is_not_trusted() {
        let mut unwrapper = Unwrapper::default();
        let mut bytes = wrap(1, 16, b"one");
        bytes.push(0xFF);
        bytes.extend(wrap(1, 16, b"two"));
        let mut told = 0;
        assert!(unwrapper.push(&bytes, 10, |_| told += 1).is_err());
        assert_eq!(told, 1);
        let long = wrap(1, 16, &[0; 11]);
        assert_eq!(unwrapper.push(&long[..8], 10, |_| {}), Err(WrapperError::TooLong { bytes: 11 }));
    }

    proptest! {
        #[test]
        fn wrapped_bytes_read_back(source: u16, destination: u16, apdu: Vec<u8>) {
            let wrapped = Wrapped { source, destination, apdu: &apdu };
            let bytes = wrapped.emit().unwrap();
            prop_assert_eq!(Wrapped::parse_whole(&bytes), Ok(wrapped));
        }

        #[test]
        fn any_split_gives_the_same(apdus in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..6), size in 1usize..40) {
            let line: Vec<u8> = apdus.iter().flat_map(|apdu| wrap(1, 16, apdu)).collect();
            let (mut unwrapper, mut told) = (Unwrapper::default(), Vec::new());
            for piece in line.chunks(size) {
                unwrapper.push(piece, 60, |wrapped| told.push(wrapped.apdu.to_vec())).unwrap();
            }
            prop_assert_eq!(told, apdus);
            prop_assert!(!unwrapper.is_inside());
        }

        #[test]
        fn any_bytes_are_judged(mut bytes: Vec<u8>) {
            bytes.splice(..0, [0, 1, 0, 1, 0, 16, 0]);
            if let Ok(Some((wrapped, end))) = Wrapped::parse(&bytes) {
                prop_assert_eq!(&wrapped.emit().unwrap()[..], &bytes[..end]);
            }
        }
    }
}
