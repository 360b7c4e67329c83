/// The sum of HDLC (ISO/IEC 13239 annex A): polynomial `x^16 + x^12 + x^5 + 1`, lowest bit first,
/// begun and ended with ones. On the wire its low byte comes first.
#[must_use]
pub fn fcs(bytes: &[u8]) -> u16 {
    !bytes.iter().fold(0xFFFF, |sum, byte| {
        // The remainder of one byte, without a table: the polynomial has two terms between its ends.
        let [low, high] = u16::to_le_bytes(sum);
        let mixed = low ^ byte;
        let mixed = u16::from(mixed ^ mixed << 4);
        u16::from(high) ^ mixed << 8 ^ mixed << 3 ^ mixed >> 4
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// Bit by bit, as the standard describes the register.
    fn by_bits(bytes: &[u8]) -> u16 {
        let mut sum = 0xFFFFu16;
        for byte in bytes {
            for bit in 0..8 {
                let carry = (sum ^ u16::from(byte >> bit)) & 1;
                sum = (sum >> 1) ^ (carry * 0x8408);
            }
        }
        !sum
    }

    #[test]
    fn the_check_value_of_the_catalogues() {
        assert_eq!(fcs(b"123456789"), 0x906E);
    }

    proptest! {
        #[test]
        fn as_bit_by_bit(bytes: Vec<u8>) {
            prop_assert_eq!(fcs(&bytes), by_bits(&bytes));
        }
    }
}
