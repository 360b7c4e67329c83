use alloc::vec::Vec;
use thiserror::Error;

/// Who makes the parity bit of 7E1, the form of IEC 62056-21.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Parity {
    /// The port, set to seven bits and even parity.
    #[default]
    Port,
    /// This crate, on a port set to eight bits without parity: the eighth bit is the parity. Needed
    /// where the port cannot be set anew, and before HDLC, which has eight bits.
    Software,
    /// Nobody: some meters and heads use eight bits without parity from the beginning.
    None,
}

/// A byte has odd parity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("byte {byte:02x} at {offset} has odd parity: disturbance, or a meter that sends no parity")]
pub struct ParityError {
    /// Where.
    pub offset: usize,
    /// The byte with its eighth bit.
    pub byte: u8,
}

impl Parity {
    /// The bytes as the port must send them.
    #[must_use]
    pub fn on_the_wire(self, text: &[u8]) -> Vec<u8> {
        let odd = |byte: u8| byte.count_ones() & 1 == 1;
        text.iter().map(|byte| if self == Self::Software && odd(*byte) { byte | 0x80 } else { *byte }).collect()
    }

    /// The bytes that a port received, without parity bits, behind those in `text`. Where a byte is
    /// wrong, it stays as it is, and the first such place is told.
    ///
    /// # Errors
    /// [`ParityError`]; all bytes were taken nevertheless.
    pub fn take(self, received: &[u8], text: &mut Vec<u8>) -> Result<(), ParityError> {
        let mut outcome = Ok(());
        for (offset, byte) in received.iter().copied().enumerate() {
            let wrong = self == Self::Software && byte.count_ones() & 1 == 1;
            if wrong && outcome.is_ok() {
                outcome = Err(ParityError { offset, byte });
            }
            text.push(if self == Self::Software && !wrong { byte & 0x7F } else { byte });
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    #[test]
    fn even_parity_in_the_eighth_bit() {
        assert_eq!(Parity::Software.on_the_wire(b"/?!\r\n"), [0xAF, 0x3F, 0x21, 0x8D, 0x0A]);
        assert_eq!(Parity::Port.on_the_wire(b"/?!"), b"/?!");
        let mut text = vec![];
        let wrong = ParityError { offset: 1, byte: 0x2F };
        assert_eq!(Parity::Software.take(&[0xAF, 0x2F, 0x21], &mut text), Err(wrong));
    }

    proptest! {
        #[test]
        fn there_and_back(text in prop::collection::vec(0u8..128, 0..40), parity in prop::sample::select(&[Parity::Port, Parity::Software, Parity::None][..])) {
            let mut read = Vec::new();
            prop_assert_eq!(parity.take(&parity.on_the_wire(&text), &mut read), Ok(()));
            prop_assert_eq!(read, text);
        }
    }
}
