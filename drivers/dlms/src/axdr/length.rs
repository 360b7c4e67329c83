//! Lengths: one byte up to 127, else a count of bytes and the number (IEC 61334-6 §6.10).

use alloc::vec::Vec;
use plomb_session::{ReadError, Reader};

/// Reads a length. More than four bytes of it are read as the largest number, which no input has.
///
/// # Errors
/// [`ReadError::Truncated`].
pub fn parse_length(reader: &mut Reader<'_>) -> Result<usize, ReadError> {
    let first = reader.u8()?;
    if first < 0x80 {
        return Ok(usize::from(first));
    }
    let bytes = reader.take(usize::from(first & 0x7F))?;
    let number = bytes
        .iter()
        .try_fold(0u32, |number, byte| number.checked_mul(256).and_then(|number| number.checked_add(u32::from(*byte))));
    Ok(number.and_then(|number| usize::try_from(number).ok()).unwrap_or(usize::MAX))
}

/// Writes a length in its shortest form.
pub fn emit_length(length: usize, out: &mut Vec<u8>) {
    let bytes = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    match (length, bytes) {
        (0..=0x7F, [.., low]) => out.push(low),
        (0x80..=0xFF, [.., low]) => out.extend([0x81, low]),
        (0x100..=0xFFFF, [.., high, low]) => out.extend([0x82, high, low]),
        _ => {
            out.push(0x84);
            out.extend(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_long_length_is_never_taken_for_a_short_one() {
        let read = |bytes: &[u8]| parse_length(&mut Reader::new(bytes));
        assert_eq!(read(&[0x81, 0xFF]), Ok(255));
        assert_eq!(read(&[0x83, 0x01, 0x00, 0x00]), Ok(65536));
        assert_eq!(read(&[0x85, 1, 0, 0, 0, 0]), Ok(usize::MAX));
        assert!(read(&[0x82, 1]).is_err());
    }

    proptest! {
        #[test]
        fn lengths_come_back(length in 0usize..=0xFFFF_FFFF) {
            let mut bytes = Vec::new();
            emit_length(length, &mut bytes);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(parse_length(&mut reader), Ok(length));
            prop_assert!(reader.is_empty());
        }
    }
}
