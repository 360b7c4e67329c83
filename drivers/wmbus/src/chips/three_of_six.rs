//! Code 3 of 6: four bits as six chips, three of them ones (EN 13757-4, table 10).

const SYMBOLS: [u8; 16] = [
    0b01_0110, 0b00_1101, 0b00_1110, 0b00_1011, 0b01_1100, 0b01_1001, 0b01_1010, 0b01_0011, 0b10_1100, 0b10_0101,
    0b10_0110, 0b10_0011, 0b11_0100, 0b11_0001, 0b11_0010, 0b10_1001,
];

const NONE: u8 = 0xFF;

static NIBBLES: [u8; 64] = inverse();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: an index out of bounds does not build")]
const fn inverse() -> [u8; 64] {
    let mut nibbles = [NONE; 64];
    let mut nibble = 0u8;
    while nibble < 16 {
        nibbles[SYMBOLS[nibble as usize] as usize] = nibble;
        nibble += 1;
    }
    nibbles
}

/// The six chips of the low four bits.
pub(super) fn encode(nibble: u8) -> u8 {
    SYMBOLS.get(usize::from(nibble & 0x0F)).copied().unwrap_or_default()
}

/// The four bits of six chips; `None` where they are no symbol.
pub(super) fn decode(chips: u8) -> Option<u8> {
    NIBBLES.get(usize::from(chips)).copied().filter(|nibble| *nibble != NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_symbols_of_three_ones_each() {
        assert_eq!((0..64).filter_map(decode).count(), 16);
        for nibble in 0..16 {
            assert_eq!(decode(encode(nibble)), Some(nibble));
            assert_eq!(encode(nibble).count_ones(), 3);
        }
    }
}
