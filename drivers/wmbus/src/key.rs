//! Keys: never shown, wiped when dropped, their schedules computed once.

use aes::Aes128;
use aes::cipher::KeyInit;
use cmac::digest::InnerInit;
use cmac::{Cmac, Mac};
use core::fmt;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a key.
pub const KEY_BYTES: usize = 16;

/// A meter's AES-128 key, with its key schedule. `Debug` shows nothing of it; memory is wiped on drop.
#[derive(Clone)]
pub struct Key {
    cipher: Aes128,
    tag: KeyTag,
}

/// A fingerprint of a key: eight bytes of a CMAC under it. It may be stored, and tells nothing of the key.
///
/// Message counters are kept for each of these, so that a new key begins a new count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyTag(pub [u8; 8]);

/// The text is not a key. The text itself is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a key: write 32 hexadecimal digits")]
pub struct KeyError;

const TAG_LABEL: &[u8] = b"plomb meter key fingerprint";

impl Key {
    /// The key of these bytes. The copy that is passed is wiped; the caller wipes its own.
    #[must_use]
    pub fn new(mut bytes: [u8; KEY_BYTES]) -> Self {
        let cipher = Aes128::new((&bytes).into());
        bytes.zeroize();
        let mut tag = KeyTag([0; 8]);
        let code = cmac(&cipher, &[TAG_LABEL]);
        tag.0.iter_mut().zip(code.iter()).for_each(|(to, from)| *to = *from);
        Self { cipher, tag }
    }

    /// The key of 32 hexadecimal digits.
    ///
    /// # Errors
    /// [`KeyError`], which does not repeat the text.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(KeyError) };
        if pairs.len() != KEY_BYTES {
            return Err(KeyError);
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self::new(*bytes))
    }

    /// Its fingerprint.
    #[must_use]
    pub const fn tag(&self) -> KeyTag {
        self.tag
    }

    pub(crate) const fn cipher(&self) -> &Aes128 {
        &self.cipher
    }

    /// A key derived from this one for one message (EN 13757-7, 9.6.2: KDF-A).
    ///
    /// `use_code` is 00 to encrypt and 01 to authenticate what a meter sends; `id` is the meter's
    /// identification as on the wire.
    pub(crate) fn derive(&self, use_code: u8, counter: u32, id: [u8; 4]) -> Aes128 {
        let counter = counter.to_le_bytes();
        let code = cmac(&self.cipher, &[&[use_code], &counter, &id, &[0x07; 7]]);
        Aes128::new((&*code).into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// AES-CMAC-128 over the parts, one after the other.
pub(crate) fn cmac(cipher: &Aes128, parts: &[&[u8]]) -> Zeroizing<[u8; 16]> {
    let mut code = Cmac::<Aes128>::inner_init(cipher.clone());
    parts.iter().for_each(|part| Mac::update(&mut code, part));
    let mut whole = code.finalize().into_bytes();
    let wiped = Zeroizing::new(whole.into());
    whole.as_mut_slice().zeroize();
    wiped
}

fn digit(text: u8) -> Result<u8, KeyError> {
    char::from(text).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).ok_or(KeyError)
}
