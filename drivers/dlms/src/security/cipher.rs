//! AES-GCM as COSEM uses it: the nonce is system title and invocation counter, the tag has twelve bytes, and the
//! authentication key is in the associated text (Green Book §9.2.3.3.7).

use super::key::{Key, Schedule, SystemTitle};
use super::{SecurityControl, SecurityError};
use aes::{Aes128, Aes256};
use aes_gcm::aead::{AeadInOut, Nonce, Tag, inout::InOutBuf};
use aes_gcm::aes::cipher::consts::U12;
use alloc::vec::Vec;
use ctr::cipher::{KeyIvInit, StreamCipher};
use zeroize::Zeroizing;

/// Bytes of a tag.
pub(super) const TAG_BYTES: usize = 12;

/// What goes into the nonce and the associated text.
#[derive(Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) control: SecurityControl,
    pub(super) title: SystemTitle,
    pub(super) counter: u32,
    pub(super) authentication: Option<&'a Key>,
    /// Further fields that are authenticated, of general-ciphering.
    pub(super) fields: &'a [u8],
}

impl Head<'_> {
    fn nonce(&self) -> [u8; 12] {
        let SystemTitle([a, b, c, d, e, f, g, h]) = self.title;
        let [i, j, k, l] = self.counter.to_be_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }

    /// It holds the authentication key, so it is wiped.
    fn associated(&self, text: &[u8]) -> Result<Zeroizing<Vec<u8>>, SecurityError> {
        let key = self.authentication.ok_or(SecurityError::KeyMissing("authentication"))?;
        Ok(Zeroizing::new([&[self.control.0], key.bytes(), self.fields, text].concat()))
    }
}

/// Protects `plain`: what follows the security header.
pub(super) fn seal(key: &Key, head: &Head<'_>, plain: &[u8]) -> Result<Vec<u8>, SecurityError> {
    let protection = head.control.protection();
    let mut out = Vec::with_capacity(plain.len().saturating_add(TAG_BYTES));
    out.extend(plain);
    if !protection.authenticated {
        if protection.encrypted {
            stream(key, head, &mut out);
        }
        return Ok(out);
    }
    let tag = if protection.encrypted {
        let associated = head.associated(&[])?;
        encrypt(key, head, &associated, &mut out)?
    } else {
        let associated = head.associated(plain)?;
        encrypt(key, head, &associated, &mut [])?
    };
    out.extend(tag);
    Ok(out)
}

/// Opens what follows the security header.
pub(super) fn open(key: &Key, head: &Head<'_>, sealed: &[u8]) -> Result<Vec<u8>, SecurityError> {
    let protection = head.control.protection();
    if !protection.authenticated {
        let mut plain = sealed.to_vec();
        if protection.encrypted {
            stream(key, head, &mut plain);
        }
        return Ok(plain);
    }
    let (text, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(SecurityError::TagWrong)?;
    let mut plain = text.to_vec();
    if protection.encrypted {
        let associated = head.associated(&[])?;
        decrypt(key, head, &associated, &mut plain, *tag)?;
    } else {
        let associated = head.associated(text)?;
        decrypt(key, head, &associated, &mut [], *tag)?;
    }
    Ok(plain)
}

fn encrypt(key: &Key, head: &Head<'_>, associated: &[u8], buffer: &mut [u8]) -> Result<[u8; TAG_BYTES], SecurityError> {
    let nonce: Nonce<super::key::Gcm<Aes128>> = head.nonce().into();
    let buffer = InOutBuf::from(buffer);
    let tag = match key.schedule() {
        Schedule::Aes128(gcm) => gcm.encrypt_inout_detached(&nonce, associated, buffer),
        Schedule::Aes256(gcm) => gcm.encrypt_inout_detached(&nonce, associated, buffer),
    };
    // Only a text of 64 GiB could fail.
    tag.map(Into::into).map_err(|_| SecurityError::Unsupported("an APDU of this length"))
}

fn decrypt(
    key: &Key,
    head: &Head<'_>,
    associated: &[u8],
    buffer: &mut [u8],
    tag: [u8; TAG_BYTES],
) -> Result<(), SecurityError> {
    let nonce: Nonce<super::key::Gcm<Aes128>> = head.nonce().into();
    let tag: Tag<aes_gcm::AesGcm<Aes128, U12, U12>> = tag.into();
    let buffer = InOutBuf::from(buffer);
    let opened = match key.schedule() {
        Schedule::Aes128(gcm) => gcm.decrypt_inout_detached(&nonce, associated, buffer, &tag),
        Schedule::Aes256(gcm) => gcm.decrypt_inout_detached(&nonce, associated, buffer, &tag),
    };
    opened.map_err(|_| SecurityError::TagWrong)
}

/// Encryption alone: the stream of GCM, which begins with counter 2, without its tag.
fn stream(key: &Key, head: &Head<'_>, text: &mut [u8]) {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = head.nonce();
    let first = [a, b, c, d, e, f, g, h, i, j, k, l, 0, 0, 0, 2];
    // A key of another length can't be made.
    if let Ok(key) = <&[u8; 16]>::try_from(key.bytes()) {
        ctr::Ctr32BE::<Aes128>::new(key.into(), &first.into()).apply_keystream(text);
    } else if let Ok(key) = <&[u8; 32]>::try_from(key.bytes()) {
        ctr::Ctr32BE::<Aes256>::new(key.into(), &first.into()).apply_keystream(text);
    }
}
