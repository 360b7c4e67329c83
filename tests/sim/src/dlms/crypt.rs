//! Ciphering and authentication (IEC 62056-5-3, 5.3 and 5.5), straight from the algorithms.

use super::config::Mechanism;
use aes_gcm::AesGcm;
use aes_gcm::aead::{Aead, KeyInit, Payload, consts::U12};
use aes_gcm::aes::{Aes128, Aes256};
use ctr::cipher::{KeyIvInit, StreamCipher};
use md5::Md5;
use p256::ecdsa::signature::{Signer, Verifier};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The security control byte: the suite, and what is done to the APDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Control(pub(super) u8);

pub(super) const AUTHENTICATED: u8 = 0x10;
pub(super) const ENCRYPTED: u8 = 0x20;
pub(super) const BROADCAST: u8 = 0x40;
/// Bytes of an authentication tag.
pub(super) const TAG_BYTES: usize = 12;
/// Bytes of a key that was wrapped (RFC 3394), at most: a key of suite 2 and the check value.
const WRAPPED_BYTES_MAX: usize = 40;

type Gcm128 = AesGcm<Aes128, U12, U12>;
type Gcm256 = AesGcm<Aes256, U12, U12>;

impl Control {
    pub(super) fn suite(self) -> u8 {
        self.0 & 0x0F
    }

    pub(super) fn is_authenticated(self) -> bool {
        self.0 & AUTHENTICATED != 0
    }

    pub(super) fn is_encrypted(self) -> bool {
        self.0 & ENCRYPTED != 0
    }
}

/// A key, the one that authenticates beside it, and whose message it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sealing<'a> {
    pub(super) key: &'a [u8],
    pub(super) authentication_key: &'a [u8],
    pub(super) title: &'a [u8],
    pub(super) counter: u32,
    pub(super) control: Control,
}

impl Sealing<'_> {
    /// What goes on the wire after the counter: text and tag.
    pub(super) fn seal(&self, plain: &[u8]) -> Option<Vec<u8>> {
        match (self.control.is_authenticated(), self.control.is_encrypted()) {
            (false, false) => Some(plain.to_vec()),
            (false, true) => self.stream(plain),
            (true, false) => Some([plain, &self.encrypt(&[], &self.associated(plain))?].concat()),
            (true, true) => self.encrypt(plain, &self.associated(&[])),
        }
    }

    /// The plain text of what was on the wire; `None` when the tag is wrong.
    pub(super) fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        match (self.control.is_authenticated(), self.control.is_encrypted()) {
            (false, false) => Some(sealed.to_vec()),
            (false, true) => self.stream(sealed),
            (true, false) => {
                let (plain, tag) = sealed.split_at_checked(sealed.len().checked_sub(TAG_BYTES)?)?;
                self.decrypt(tag, &self.associated(plain))?;
                Some(plain.to_vec())
            }
            (true, true) => self.decrypt(sealed, &self.associated(&[])),
        }
    }

    fn associated(&self, plain: &[u8]) -> Vec<u8> {
        [&[self.control.0], self.authentication_key, plain].concat()
    }

    fn nonce(&self) -> Option<[u8; 12]> {
        [self.title, &self.counter.to_be_bytes()].concat().try_into().ok()
    }

    fn encrypt(&self, msg: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
        let (nonce, payload) = (self.nonce()?.into(), Payload { msg, aad });
        match self.key.len() {
            32 => Gcm256::new_from_slice(self.key).ok()?.encrypt(&nonce, payload).ok(),
            _ => Gcm128::new_from_slice(self.key).ok()?.encrypt(&nonce, payload).ok(),
        }
    }

    fn decrypt(&self, msg: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
        let (nonce, payload) = (self.nonce()?.into(), Payload { msg, aad });
        match self.key.len() {
            32 => Gcm256::new_from_slice(self.key).ok()?.decrypt(&nonce, payload).ok(),
            _ => Gcm128::new_from_slice(self.key).ok()?.decrypt(&nonce, payload).ok(),
        }
    }

    /// Encryption without a tag: the counter mode within GCM, whose first block has the number 2.
    fn stream(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut first = [0; 16];
        for (place, byte) in first.iter_mut().zip(self.nonce()?.into_iter().chain([0, 0, 0, 2])) {
            *place = byte;
        }
        let mut text = text.to_vec();
        match self.key.len() {
            32 => ctr::Ctr32BE::<Aes256>::new_from_slices(self.key, &first).ok()?.apply_keystream(&mut text),
            _ => ctr::Ctr32BE::<Aes128>::new_from_slices(self.key, &first).ok()?.apply_keystream(&mut text),
        }
        Some(text)
    }
}

/// What both sides have of a four-pass authentication, seen from who answers a challenge.
#[derive(Debug, Clone, Copy)]
pub(super) struct Challenge<'a> {
    pub(super) secret: &'a [u8],
    /// System title of who answers, and of who asked.
    pub(super) own_title: &'a [u8],
    pub(super) peer_title: &'a [u8],
    /// The challenge that is answered, and the other one.
    pub(super) asked: &'a [u8],
    pub(super) other: &'a [u8],
}

impl Challenge<'_> {
    /// The answer by a digest (mechanisms 3, 4 and 6).
    pub(super) fn digest(&self, mechanism: Mechanism) -> Option<Vec<u8>> {
        match mechanism {
            Mechanism::Md5 => Some(Md5::digest([self.asked, self.secret].concat()).to_vec()),
            Mechanism::Sha1 => Some(Sha1::digest([self.asked, self.secret].concat()).to_vec()),
            Mechanism::Sha256 => Some(Sha256::digest([self.secret, &self.signed_text()].concat()).to_vec()),
            _ => None,
        }
    }

    /// The answer by a signature (mechanism 7).
    pub(super) fn sign(&self, private: &[u8]) -> Option<Vec<u8>> {
        sign(private, &self.signed_text())
    }

    /// Whether a signature is the other side's answer.
    pub(super) fn is_signed(&self, public: &[u8], signature: &[u8]) -> bool {
        is_signed(public, &self.signed_text(), signature)
    }

    fn signed_text(&self) -> Vec<u8> {
        [self.own_title, self.peer_title, self.asked, self.other].concat()
    }
}

/// A signature as r and s side by side: P-256 with SHA-256, or P-384 with SHA-384 by the key's length.
pub(super) fn sign(private: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    if private.len() == 48 {
        let signature: p384::ecdsa::Signature = p384::ecdsa::SigningKey::from_slice(private).ok()?.sign(text);
        return Some(signature.to_bytes().to_vec());
    }
    let signature: p256::ecdsa::Signature = p256::ecdsa::SigningKey::from_slice(private).ok()?.sign(text);
    Some(signature.to_bytes().to_vec())
}

/// Whether r and s are the signature of the text by the owner of a public point (x and y).
pub(super) fn is_signed(public: &[u8], text: &[u8], signature: &[u8]) -> bool {
    let point = [&[4], public].concat();
    if public.len() == 96 {
        let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(&point);
        let signature = p384::ecdsa::Signature::from_slice(signature);
        return key.is_ok_and(|key| signature.is_ok_and(|signature| key.verify(text, &signature).is_ok()));
    }
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point);
    let signature = p256::ecdsa::Signature::from_slice(signature);
    key.is_ok_and(|key| signature.is_ok_and(|signature| key.verify(text, &signature).is_ok()))
}

/// The public point (x and y) of a private key of 32 (P-256) or 48 bytes (P-384); empty for no key.
#[must_use]
pub fn public_point(private: &[u8]) -> Vec<u8> {
    let point = match private.len() {
        48 => p384::ecdsa::SigningKey::from_slice(private)
            .map(|key| key.verifying_key().to_sec1_point(false).as_bytes().to_vec()),
        _ => p256::ecdsa::SigningKey::from_slice(private)
            .map(|key| key.verifying_key().to_sec1_point(false).as_bytes().to_vec()),
    };
    // The first byte says that the point is not compressed.
    point.unwrap_or_default().get(1..).unwrap_or_default().to_vec()
}

/// A key out of its wrapping (RFC 3394); `None` when it was not wrapped under this one.
pub(super) fn unwrapped(master: &[u8], wrapped: &[u8]) -> Option<Vec<u8>> {
    let mut key = [0; WRAPPED_BYTES_MAX];
    let place = key.get_mut(..wrapped.len().checked_sub(8)?)?;
    let key = match master.len() {
        32 => aes_kw::KwAes256::new_from_slice(master).ok()?.unwrap_key(wrapped, place).ok()?,
        _ => aes_kw::KwAes128::new_from_slice(master).ok()?.unwrap_key(wrapped, place).ok()?,
    };
    Some(key.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    /// The example of the Green Book: a get-request of the clock under global keys.
    #[test]
    fn the_books_example_is_sealed_as_printed() {
        let key = hex("000102030405060708090A0B0C0D0E0F");
        let authentication_key = hex("D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF");
        let title = hex("4D4D4D0000BC614E");
        let plain = hex("C0010000080000010000FF0200");
        let sealing = Sealing {
            key: &key,
            authentication_key: &authentication_key,
            title: &title,
            counter: 0x0123_4567,
            control: Control(AUTHENTICATED | ENCRYPTED),
        };
        let sealed = sealing.seal(&plain).unwrap();
        assert_eq!(sealed, hex("411312FF935A47566827C467BC7D825C3BE4A77C3FCC056B6B"));
        assert_eq!(sealing.open(&sealed), Some(plain.clone()));
        let stream = Sealing { control: Control(ENCRYPTED), ..sealing };
        assert_eq!(stream.seal(&plain).unwrap(), sealed[..plain.len()]);
        let mut broken = sealed;
        broken[3] ^= 1;
        assert_eq!(sealing.open(&broken), None);
    }

    #[test]
    fn the_books_gmac_is_as_printed() {
        let sealing = Sealing {
            key: &hex("000102030405060708090A0B0C0D0E0F"),
            authentication_key: &hex("D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF"),
            title: &hex("4D4D4D0000000001"),
            counter: 1,
            control: Control(AUTHENTICATED),
        };
        let challenge = hex("503677524A323146");
        let sealed = sealing.seal(&challenge).unwrap();
        assert_eq!(sealed[challenge.len()..], hex("1A52FE7DD3E72748973C1E28"));
        assert_eq!(sealing.open(&sealed), Some(challenge));
    }

    #[test]
    fn signatures_of_both_curves_hold() {
        for private in [vec![0x11; 32], vec![0x22; 48]] {
            let public = public_point(&private);
            assert_eq!(public.len(), private.len() * 2);
            let signature = sign(&private, b"text").unwrap();
            assert_eq!(signature.len(), public.len());
            assert!(is_signed(&public, b"text", &signature));
            assert!(!is_signed(&public, b"test", &signature));
        }
    }
}
