//! The CRC of EN 13757-4, 12.4: polynomial 3D65, start 0, complemented. Frames, the extended link
//! layer and format signatures use it.

const POLYNOMIAL: u16 = 0x3D65;

/// The CRC of `bytes`.
///
/// ```
/// assert_eq!(plomb_wmbus::crc(b"123456789"), 0xC2B7);
/// ```
#[must_use]
pub fn crc(bytes: &[u8]) -> u16 {
    finish(update(0, bytes))
}

/// The register after `bytes`, for a CRC over several pieces.
pub(crate) fn update(register: u16, bytes: &[u8]) -> u16 {
    bytes.iter().fold(register, |register, byte| {
        let [high, _] = register.to_be_bytes();
        register << 8 ^ TABLE.get(usize::from(high ^ byte)).copied().unwrap_or_default()
    })
}

/// The CRC of a register.
pub(crate) const fn finish(register: u16) -> u16 {
    !register
}

static TABLE: [u16; 256] = table();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: an index out of bounds does not build")]
const fn table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut byte = 0u16;
    while byte < 256 {
        let mut register = byte << 8;
        let mut bit = 0;
        while bit < 8 {
            register = if register & 0x8000 == 0 { register << 1 } else { register << 1 ^ POLYNOMIAL };
            bit += 1;
        }
        table[byte as usize] = register;
        byte += 1;
    }
    table
}
