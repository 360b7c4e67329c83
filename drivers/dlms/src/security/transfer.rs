//! Keys under a key (RFC 3394), as the security setup's `key_transfer` takes them.

use super::SecurityError;
use super::key::Key;
use aes::{Aes128, Aes256};
use aes_kw::{AesKw, KeyInit};
use alloc::vec;
use alloc::vec::Vec;
use zeroize::Zeroizing;

/// What RFC 3394 adds.
const WRAP_BYTES: usize = 8;

/// Wraps a key under the meter's key encrypting key.
///
/// # Errors
/// [`SecurityError::Unsupported`]: only for keys that can't be made.
pub fn wrap(kek: &Key, key: &Key) -> Result<Vec<u8>, SecurityError> {
    let wrong = SecurityError::Unsupported("a key of this length");
    let mut out = vec![0; key.len().saturating_add(WRAP_BYTES)];
    let wrapped = match kek.len() {
        16 => AesKw::<Aes128>::new_from_slice(kek.bytes()).map(|kw| kw.wrap_key(key.bytes(), &mut out).is_ok()),
        _ => AesKw::<Aes256>::new_from_slice(kek.bytes()).map(|kw| kw.wrap_key(key.bytes(), &mut out).is_ok()),
    };
    match wrapped {
        Ok(true) => Ok(out),
        _ => Err(wrong),
    }
}

/// Unwraps a key.
///
/// # Errors
/// [`SecurityError::TagWrong`] where the key encrypting key is another.
pub fn unwrap(kek: &Key, wrapped: &[u8]) -> Result<Key, SecurityError> {
    let mut out = Zeroizing::new(vec![0; wrapped.len().saturating_sub(WRAP_BYTES)]);
    let unwrapped = match kek.len() {
        16 => AesKw::<Aes128>::new_from_slice(kek.bytes()).map(|kw| kw.unwrap_key(wrapped, &mut out).is_ok()),
        _ => AesKw::<Aes256>::new_from_slice(kek.bytes()).map(|kw| kw.unwrap_key(wrapped, &mut out).is_ok()),
    };
    match unwrapped {
        Ok(true) => Key::new(&out).map_err(|_| SecurityError::TagWrong),
        _ => Err(SecurityError::TagWrong),
    }
}
