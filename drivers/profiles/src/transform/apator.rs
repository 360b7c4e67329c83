//! Apator NA-1: one block of AES under the meter's own key, its initialisation vector made as in mode 5.

use plomb_mbus::MeterId;
use plomb_wmbus::{Key, proprietary};

/// CI, access number and status are sent as they are.
const CLEAR_BYTES: usize = 3;
const BLOCK_BYTES: usize = 16;
/// What the first byte of the block is.
const MARK: u8 = 0x2F;

/// Decrypts in place; false when the bytes are too few or the key does not fit.
pub(crate) fn decrypt_na1(meter: MeterId, key: &Key, bytes: &mut [u8]) -> bool {
    let Some(access) = bytes.get(1).copied() else { return false };
    let Some(block) = bytes.get_mut(CLEAR_BYTES..CLEAR_BYTES + BLOCK_BYTES) else { return false };
    proprietary::decrypt_as_mode_5(key, meter, access, block);
    block.first() == Some(&MARK)
}
