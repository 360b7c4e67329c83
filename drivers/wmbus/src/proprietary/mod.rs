//! Payloads in a manufacturer's own coding: CI A0 to B7. The standard says nothing of what follows;
//! who reads it needs to know the manufacturer, the version and the medium.

use crate::cipher;
use crate::key::Key;
use plomb_mbus::MeterId;

/// What follows a manufacturer's CI, as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManufacturerPayload<'a> {
    /// The meter, with manufacturer, version and medium: they choose the reader.
    pub meter: MeterId,
    /// The control information field, A0 to B7.
    pub ci: u8,
    /// Everything behind it.
    pub bytes: &'a [u8],
    /// Where the first byte is in the frame without its CRCs.
    pub offset: usize,
}

/// Decrypts a manufacturer's payload that uses the cipher of mode 5 without its header: AES-128-CBC with
/// the initialisation vector of the meter and its access number. Bytes behind the last whole block stay.
///
/// Nothing tells whether the key was right: whoever calls this checks what comes out.
pub fn decrypt_as_mode_5(key: &Key, meter: MeterId, access: u8, bytes: &mut [u8]) {
    cipher::cbc_decrypt(key.cipher(), cipher::iv_of_mode_5(meter, access), bytes);
}
