use super::frame::INFORMATION_BYTES_MAX;
use alloc::vec::Vec;
use core::fmt;
use plomb_session::{ReadError, Reader};

/// Longest information field where nothing was negotiated.
pub const INFORMATION_BYTES_DEFAULT: u16 = 128;
/// Frames without acknowledgement where nothing was negotiated.
pub const WINDOW_FRAMES_DEFAULT: u8 = 1;
/// Most frames without acknowledgement: sequence numbers count modulo 8.
pub const WINDOW_FRAMES_MAX: u8 = 7;
/// Longest information field that the standard foresees.
pub const INFORMATION_BYTES_PROPOSED: u16 = 2030;

const FORMAT: u8 = 0x81;
const GROUP: u8 = 0x80;
const TRANSMIT_BYTES: u8 = 5;
const RECEIVE_BYTES: u8 = 6;
const TRANSMIT_WINDOW: u8 = 7;
const RECEIVE_WINDOW: u8 = 8;

/// What SNRM proposes and UA grants (IEC 62056-46 §6.4.4.4.3.2), as seen by the side that sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Parameters {
    /// Longest information field that the sender transmits, in bytes.
    pub transmit_bytes: u16,
    /// Longest information field that the sender receives, in bytes.
    pub receive_bytes: u16,
    /// Frames that the sender transmits before it wants an acknowledgement.
    pub transmit_window: u8,
    /// Frames that the sender receives before it acknowledges.
    pub receive_window: u8,
}

impl Parameters {
    /// What holds where SNRM or UA say nothing: 128 bytes, one frame.
    pub const DEFAULT: Self = Self {
        transmit_bytes: INFORMATION_BYTES_DEFAULT,
        receive_bytes: INFORMATION_BYTES_DEFAULT,
        transmit_window: WINDOW_FRAMES_DEFAULT,
        receive_window: WINDOW_FRAMES_DEFAULT,
    };
    /// The most of everything. A meter grants what it can.
    pub const LARGEST: Self = Self {
        transmit_bytes: INFORMATION_BYTES_PROPOSED,
        receive_bytes: INFORMATION_BYTES_PROPOSED,
        transmit_window: WINDOW_FRAMES_MAX,
        receive_window: WINDOW_FRAMES_MAX,
    };

    /// Reads the information of SNRM or UA. What is absent, or zero, has its default; what is longer
    /// than the standard foresees is cut to the most that a frame carries; unknown parameters are
    /// passed over. No information at all is [`DEFAULT`](Self::DEFAULT).
    ///
    /// # Errors
    /// [`ReadError`] where the bytes end inside a parameter.
    pub fn parse(information: &[u8]) -> Result<Self, ReadError> {
        let mut parameters = Self::DEFAULT;
        let mut reader = Reader::new(information);
        if reader.is_empty() || reader.u8()? != FORMAT {
            return Ok(parameters);
        }
        while !reader.is_empty() {
            let group = reader.u8()?;
            let length = usize::from(reader.u8()?);
            let base = reader.offset();
            let mut reader = Reader::with_base(reader.take(length)?, base);
            while group == GROUP && !reader.is_empty() {
                let parameter = reader.u8()?;
                let length = usize::from(reader.u8()?);
                parameters.set(parameter, reader.take(length)?);
            }
        }
        Ok(parameters)
    }

    fn set(&mut self, parameter: u8, value: &[u8]) {
        // Any number of bytes, most significant first; more than the greatest number is the greatest.
        let number =
            value.iter().fold(0u32, |number, byte| number.saturating_mul(256).saturating_add(u32::from(*byte)));
        if number == 0 {
            return;
        }
        let bytes = u16::try_from(number).unwrap_or(u16::MAX).min(bytes_max());
        let window = u8::try_from(number).unwrap_or(u8::MAX).min(WINDOW_FRAMES_MAX);
        match parameter {
            TRANSMIT_BYTES => self.transmit_bytes = bytes,
            RECEIVE_BYTES => self.receive_bytes = bytes,
            TRANSMIT_WINDOW => self.transmit_window = window,
            RECEIVE_WINDOW => self.receive_window = window,
            _ => {}
        }
    }

    /// The information of an SNRM or UA; empty for [`DEFAULT`](Self::DEFAULT), which needs no words.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        if *self == Self::DEFAULT {
            return Vec::new();
        }
        let mut group = Vec::new();
        for (parameter, bytes) in [(TRANSMIT_BYTES, self.transmit_bytes), (RECEIVE_BYTES, self.receive_bytes)] {
            match bytes.to_be_bytes() {
                [0, low] => group.extend([parameter, 1, low]),
                [high, low] => group.extend([parameter, 2, high, low]),
            }
        }
        for (parameter, frames) in [(TRANSMIT_WINDOW, self.transmit_window), (RECEIVE_WINDOW, self.receive_window)] {
            group.extend([parameter, 4, 0, 0, 0, frames]);
        }
        let length = u8::try_from(group.len()).unwrap_or(u8::MAX);
        let mut information = Vec::from([FORMAT, GROUP, length]);
        information.append(&mut group);
        information
    }

    /// What holds for the proposer of `self` after the other side granted `granted`: the lesser of
    /// what one may transmit and the other receives, and the reverse.
    #[must_use]
    pub fn agreed_with(&self, granted: &Self) -> Self {
        Self {
            transmit_bytes: self.transmit_bytes.min(granted.receive_bytes),
            receive_bytes: self.receive_bytes.min(granted.transmit_bytes),
            transmit_window: self.transmit_window.min(granted.receive_window),
            receive_window: self.receive_window.min(granted.transmit_window),
        }
    }

    /// The same, with nothing that a frame cannot carry and nothing that is zero.
    pub(super) fn in_bounds(&self) -> Self {
        Self {
            transmit_bytes: self.transmit_bytes.clamp(1, bytes_max()),
            receive_bytes: self.receive_bytes.clamp(1, bytes_max()),
            transmit_window: self.transmit_window.clamp(1, WINDOW_FRAMES_MAX),
            receive_window: self.receive_window.clamp(1, WINDOW_FRAMES_MAX),
        }
    }
}

fn bytes_max() -> u16 {
    u16::try_from(INFORMATION_BYTES_MAX).unwrap_or(u16::MAX)
}

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { transmit_bytes, receive_bytes, transmit_window, receive_window } = self;
        write!(f, "transmits {transmit_window} × {transmit_bytes} bytes, receives {receive_window} × {receive_bytes}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms_that_meters_send() {
        // One byte, two bytes, four bytes; a parameter left out; an unknown one; zero.
        let short = [0x81, 0x80, 0x06, 0x05, 0x01, 0x9A, 0x06, 0x01, 0x9B];
        let parameters = Parameters::parse(&short).unwrap();
        assert_eq!((parameters.transmit_bytes, parameters.receive_bytes), (0x9A, 0x9B));
        assert_eq!((parameters.transmit_window, parameters.receive_window), (1, 1));
        let long =
            [0x81, 0x80, 0x12, 0x05, 0x04, 0, 0, 2, 0, 0x08, 0x01, 3, 0x63, 0x01, 9, 0x06, 0x01, 0, 0x07, 0x01, 99];
        let parameters = Parameters::parse(&long).unwrap();
        assert_eq!((parameters.transmit_bytes, parameters.receive_bytes), (512, 128));
        assert_eq!((parameters.transmit_window, parameters.receive_window), (7, 3));
        assert_eq!(Parameters::parse(&[]), Ok(Parameters::DEFAULT));
        assert!(Parameters::parse(&short[..7]).is_err());
    }

    #[test]
    fn each_side_yields() {
        let mine = Parameters { transmit_bytes: 512, receive_bytes: 2030, transmit_window: 7, receive_window: 7 };
        let theirs = Parameters { transmit_bytes: 248, receive_bytes: 1024, transmit_window: 2, receive_window: 1 };
        let agreed = Parameters { transmit_bytes: 512, receive_bytes: 248, transmit_window: 1, receive_window: 2 };
        assert_eq!(mine.agreed_with(&theirs), agreed);
    }

    proptest! {
        #[test]
        fn read_back(transmit_bytes in 1u16..=2030, receive_bytes in 1u16..=2030, transmit_window in 1u8..=7, receive_window in 1u8..=7) {
            let parameters = Parameters { transmit_bytes, receive_bytes, transmit_window, receive_window };
            prop_assert_eq!(Parameters::parse(&parameters.emit()), Ok(parameters));
        }

        #[test]
        fn any_bytes_stay_in_bounds(bytes: Vec<u8>) {
            if let Ok(parameters) = Parameters::parse(&bytes) {
                prop_assert_eq!(parameters, parameters.in_bounds());
            }
        }
    }
}
