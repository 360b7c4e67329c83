//! PRIOS, the scrambling of Diehl's IZAR radios: a shift register of 32 bits, fed by the address and by one
//! of two keys that every such meter has and that are public. It hides nothing; it only has to be undone.

use plomb_mbus::MeterId;

/// The keys of the maker, each 64 bits folded to 32.
const KEYS: [u32; 2] = [0x39BC_8A10 ^ 0xE66D_83F8, 0x5172_8910 ^ 0xE66D_83F8];
/// CI and four bytes behind it are sent as they are.
const CLEAR_BYTES: usize = 5;
/// What the first scrambled byte is.
const MARK: u8 = 0x4B;
/// The bits that are fed back.
const TAPS: u32 = 0x8000_0806;

/// Undoes the scrambling in place; false when neither key gives the mark, and the bytes are then unchanged.
///
/// `bytes` begin with the CI. `meter` is the address as the link layer reads it.
pub(crate) fn descramble(meter: MeterId, bytes: &mut [u8]) -> bool {
    let Some((clear, scrambled)) = bytes.split_at_mut_checked(CLEAR_BYTES) else { return false };
    let (Some(first), [ci, a, b, c, _]) = (scrambled.first().copied(), clear) else { return false };
    let [m0, m1] = meter.manufacturer.0.to_le_bytes();
    let [i0, i1, i2, i3] = meter.id.0.to_le_bytes();
    let seed = u32::from_be_bytes([m0, m1, i0, i1])
        ^ u32::from_be_bytes([i2, i3, meter.version, meter.medium.0])
        ^ u32::from_be_bytes([*ci, *a, *b, *c]);
    let key = KEYS.into_iter().map(|key| Register(key ^ seed)).find(|key| first ^ key.clone().next_byte() == MARK);
    let Some(mut register) = key else { return false };
    scrambled.iter_mut().for_each(|byte| *byte ^= register.next_byte());
    true
}

#[derive(Clone)]
struct Register(u32);

impl Register {
    fn next_byte(&mut self) -> u8 {
        for _ in 0..8 {
            self.0 = self.0 << 1 | (self.0 & TAPS).count_ones() & 1;
        }
        let [.., low] = self.0.to_be_bytes();
        low
    }
}
