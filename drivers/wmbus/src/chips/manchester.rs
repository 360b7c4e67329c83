//! Manchester code: a zero is sent as 10, a one as 01 (EN 13757-4, 5.4).

/// The sixteen chips of a byte.
pub(super) const fn encode(byte: u8) -> u16 {
    let mut chips = 0;
    let mut bit = 8;
    while bit > 0 {
        bit -= 1;
        chips = chips << 2 | if byte >> bit & 1 == 0 { 0b10 } else { 0b01 };
    }
    chips
}

/// The four bits of eight chips; `None` where a pair is 00 or 11.
pub(super) const fn decode(chips: u8) -> Option<u8> {
    let (first, second) = (chips >> 1 & 0x55, chips & 0x55);
    if first ^ second != 0x55 {
        return None;
    }
    let bits = second;
    Some(bits >> 3 & 8 | bits >> 2 & 4 | bits >> 1 & 2 | bits & 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back_and_no_other_chips_are_taken() {
        assert_eq!(encode(0x01), 0b1010_1010_1010_1001);
        for byte in 0..=255u8 {
            let [high, low] = encode(byte).to_be_bytes();
            assert_eq!((decode(high), decode(low)), (Some(byte >> 4), Some(byte & 0x0F)));
        }
        assert_eq!((0..=255).filter_map(decode).count(), 16);
    }
}
