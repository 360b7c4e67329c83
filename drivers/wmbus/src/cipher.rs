//! The ciphers of OMS over bytes: initialisation vectors, and decryption in place.

use crate::ell::{Ell, SessionNumber};
use crate::link::address;
use aes::Aes128;
use aes::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, StreamCipher};
use ccm::Ccm;
use ccm::aead::AeadInOut;
use ccm::consts::{U8, U13};
use plomb_mbus::MeterId;

/// Bytes of a block.
pub(crate) const BLOCK_BYTES: usize = 16;
/// Bytes of the tag of mode 10.
pub(crate) const TAG_BYTES: usize = 8;

/// Mode 5: the meter and eight times its access number (EN 13757-7, 7.7.4).
pub(crate) fn iv_of_mode_5(meter: MeterId, access: u8) -> [u8; BLOCK_BYTES] {
    let mut iv = [access; BLOCK_BYTES];
    iv.iter_mut().zip(address(meter)).for_each(|(to, from)| *to = from);
    iv
}

/// The counter block of the extended link layer (EN 13757-4, 13.2.8): sender, CC without the bits that
/// a repeater changes, session number, frame number, block counter.
pub(crate) fn counter_of_link(sender: MeterId, ell: &Ell, session: SessionNumber) -> [u8; BLOCK_BYTES] {
    let [m0, m1, a, b, c, d, version, medium] = address(sender);
    let [s0, s1, s2, s3] = session.0.to_le_bytes();
    [m0, m1, a, b, c, d, version, medium, ell.communication & !REPEATER_BITS, s0, s1, s2, s3, 0, 0, 0]
}

const REPEATER_BITS: u8 = 0x12;

/// Mode 10: the meter, a zero, the message counter most significant byte first.
pub(crate) fn nonce_of_mode_10(meter: MeterId, counter: u32) -> [u8; 13] {
    let [m0, m1, a, b, c, d, version, medium] = address(meter);
    let [c0, c1, c2, c3] = counter.to_be_bytes();
    [m0, m1, a, b, c, d, version, medium, 0, c0, c1, c2, c3]
}

/// CBC over whole blocks; bytes after the last whole block stay.
pub(crate) fn cbc_decrypt(cipher: &Aes128, iv: [u8; BLOCK_BYTES], bytes: &mut [u8]) {
    let (blocks, _) = Array::slice_as_chunks_mut(bytes);
    cbc::Decryptor::inner_iv_init(cipher.clone(), &iv.into()).decrypt_blocks(blocks);
}

/// The inverse of [`cbc_decrypt`].
pub(crate) fn cbc_encrypt(cipher: &Aes128, iv: [u8; BLOCK_BYTES], bytes: &mut [u8]) {
    let (blocks, _) = Array::slice_as_chunks_mut(bytes);
    cbc::Encryptor::inner_iv_init(cipher.clone(), &iv.into()).encrypt_blocks(blocks);
}

/// Counter mode; its own inverse.
pub(crate) fn ctr(cipher: &Aes128, counter: [u8; BLOCK_BYTES], bytes: &mut [u8]) {
    let core = ctr::CtrCore::inner_iv_init(cipher.clone(), &counter.into());
    ctr::Ctr128BE::from_core(core).apply_keystream(bytes);
}

type OmsCcm = Ccm<Aes128, U8, U13>;

/// CCM; false when the tag is wrong, and `bytes` is then worthless.
pub(crate) fn ccm_decrypt(
    cipher: Aes128,
    nonce: [u8; 13],
    associated: &[u8],
    bytes: &mut [u8],
    tag: [u8; TAG_BYTES],
) -> bool {
    OmsCcm::from(cipher).decrypt_inout_detached(&nonce.into(), associated, bytes.into(), &tag.into()).is_ok()
}

/// The inverse of [`ccm_decrypt`]; gives the tag.
pub(crate) fn ccm_encrypt(
    cipher: Aes128,
    nonce: [u8; 13],
    associated: &[u8],
    bytes: &mut [u8],
) -> Option<[u8; TAG_BYTES]> {
    let tag = OmsCcm::from(cipher).encrypt_inout_detached(&nonce.into(), associated, bytes.into()).ok()?;
    Some(tag.into())
}
