//! Sealing: contents that only one gateway can read. HPKE (RFC 9180), base mode, with DHKEM(X25519, HKDF-SHA256),
//! HKDF-SHA256 and ChaCha20-Poly1305 (suite `0x0020`, `0x0001`, `0x0003`).
//!
//! What is sealed is `salt ‖ content`. What it is bound to (`aad`) is the author and the whole rest of the statement:
//! [`Config::bound_to`], [`Command::bound_to`]. The ledger sees a commitment to salt and content only; the gateway
//! checks it after opening, so an author cannot show one content to the gateway and prove another one later.
//!
//! Nothing here draws randomness: it comes in as an argument.

use alloc::vec::Vec;
use core::{convert::Infallible, fmt};

use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256,
    kem::X25519HkdfSha256, single_shot_open, single_shot_seal_with_rng,
};
use rand_core::{TryCryptoRng, TryRng};

use crate::{
    Hash, KeyId,
    transaction::{
        COMMAND_SEALED_BYTES_MAX, CONFIG_SEALED_BYTES_MAX, Command, Config, SALT_BYTES, commitment, sealing_key_id,
    },
};

/// HPKE's `info`: what the key is used for.
pub const INFO: &[u8] = b"plomb/1";
/// What sealing adds to a content, in bytes: encapsulated key, salt and tag.
pub const OVERHEAD_BYTES: usize = ENCAPSULATED_BYTES + SALT_BYTES + 16;
const ENCAPSULATED_BYTES: usize = 32;

/// The private half of a gateway's sealing key (X25519, RFC 7748). Wiped when dropped; shows its id only.
pub struct SealingSecret {
    secret: <X25519HkdfSha256 as Kem>::PrivateKey,
    public: [u8; 32],
}

/// Why something cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The content does not fit into a transaction.
    #[error("the content has {found} bytes; at most {max} can be sealed")]
    TooLarge {
        /// Its length.
        found: usize,
        /// The most that fits.
        max: usize,
    },
    /// The recipient's key is none that can be sealed to: it is of small order (RFC 9180 §7.1.4).
    #[error("the gateway's sealing key is not a usable X25519 key")]
    Key,
    /// It is sealed to another key.
    #[error("it is sealed to key {found}, and this is key {own}")]
    OtherKey {
        /// The key that it names.
        found: KeyId,
        /// The key at hand.
        own: KeyId,
    },
    /// It does not open: bytes were changed, or it was taken from another statement or author.
    #[error("it does not open: changed, or sealed for another statement or by another author")]
    Broken,
    /// It opens, but is not the content that the statement commits to.
    #[error("its content is not the one that the statement commits to")]
    Commitment,
}

impl SealingSecret {
    /// From its 32 bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, SealError> {
        let secret = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(bytes).map_err(|_| SealError::Key)?;
        let public = X25519HkdfSha256::sk_to_pk(&secret).to_bytes().into();
        Ok(Self { secret, public })
    }

    /// The public half.
    pub fn public(&self) -> [u8; 32] {
        self.public
    }

    /// The id by which configurations and commands name it.
    pub fn key_id(&self) -> KeyId {
        sealing_key_id(&self.public)
    }

    /// Opens what was sealed to this key, and checks it against its commitment.
    fn open(&self, sealed: &[u8], bound_to: &[u8], committed: &Hash) -> Result<Vec<u8>, SealError> {
        let (encapsulated, ciphertext) = sealed.split_at_checked(ENCAPSULATED_BYTES).ok_or(SealError::Broken)?;
        let encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated);
        let opened = single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &self.secret,
            &encapsulated.map_err(|_| SealError::Broken)?,
            INFO,
            ciphertext,
            bound_to,
        );
        let mut opened = opened.map_err(|_| SealError::Broken)?;
        let (salt, content) = opened.split_first_chunk::<SALT_BYTES>().ok_or(SealError::Broken)?;
        if commitment(salt, content) != *committed {
            return Err(SealError::Commitment);
        }
        Ok(opened.split_off(SALT_BYTES))
    }
}

impl fmt::Debug for SealingSecret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SealingSecret({})", self.key_id())
    }
}

/// What an author seals with: the gateway's key, and randomness of which no byte was ever used before.
#[derive(Clone, Copy)]
pub struct Sealing<'a> {
    /// The gateway's sealing key.
    pub recipient: &'a [u8; 32],
    /// The salt of the commitment. The author keeps it, to prove later what was sealed.
    pub salt: &'a [u8; SALT_BYTES],
    /// From which HPKE's ephemeral key is derived.
    pub seed: &'a [u8; 32],
}

impl Sealing<'_> {
    fn seal(&self, content: &[u8], bound_to: &[u8], max: usize) -> Result<Vec<u8>, SealError> {
        let max = max.saturating_sub(OVERHEAD_BYTES);
        if content.len() > max {
            return Err(SealError::TooLarge { found: content.len(), max });
        }
        let recipient = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(self.recipient).map_err(|_| SealError::Key)?;
        let mut plain = self.salt.to_vec();
        plain.extend_from_slice(content);
        let (encapsulated, ciphertext) = single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            &recipient,
            INFO,
            &plain,
            bound_to,
            &mut Seed(*self.seed),
        )
        .map_err(|_| SealError::Key)?;
        let mut sealed = encapsulated.to_bytes().to_vec();
        sealed.extend_from_slice(&ciphertext);
        Ok(sealed)
    }
}

impl Config {
    /// This configuration with its commitment, recipient and sealed content set for `content`, ready for `author` to
    /// sign. What those three fields held before does not matter; changing any other one afterwards breaks it.
    pub fn seal(mut self, author: KeyId, sealing: &Sealing<'_>, content: &[u8]) -> Result<Self, SealError> {
        self.commitment = commitment(sealing.salt, content);
        self.recipient = sealing_key_id(sealing.recipient);
        self.sealed = sealing.seal(content, &self.bound_to(author), CONFIG_SEALED_BYTES_MAX)?;
        Ok(self)
    }

    /// The content, checked. `author` is the key id that the signature was checked with.
    pub fn open(&self, author: KeyId, secret: &SealingSecret) -> Result<Vec<u8>, SealError> {
        right_key(self.recipient, secret)?;
        secret.open(&self.sealed, &self.bound_to(author), &self.commitment)
    }
}

impl Command {
    /// As [`Config::seal`].
    pub fn seal(mut self, author: KeyId, sealing: &Sealing<'_>, content: &[u8]) -> Result<Self, SealError> {
        self.commitment = commitment(sealing.salt, content);
        self.recipient = sealing_key_id(sealing.recipient);
        self.sealed = sealing.seal(content, &self.bound_to(author), COMMAND_SEALED_BYTES_MAX)?;
        Ok(self)
    }

    /// As [`Config::open`].
    pub fn open(&self, author: KeyId, secret: &SealingSecret) -> Result<Vec<u8>, SealError> {
        right_key(self.recipient, secret)?;
        secret.open(&self.sealed, &self.bound_to(author), &self.commitment)
    }
}

fn right_key(found: KeyId, secret: &SealingSecret) -> Result<(), SealError> {
    match secret.key_id() {
        own if own == found => Ok(()),
        own => Err(SealError::OtherKey { found, own }),
    }
}

/// Gives one seed out as if it were random: HPKE draws exactly one key's worth. Whatever came after it would repeat,
/// which a single sealing never reaches.
struct Seed([u8; 32]);

impl TryRng for Seed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut word = [0; 4];
        self.try_fill_bytes(&mut word)?;
        Ok(u32::from_le_bytes(word))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut word = [0; 8];
        self.try_fill_bytes(&mut word)?;
        Ok(u64::from_le_bytes(word))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for (place, byte) in out.iter_mut().zip(self.0.iter().cycle()) {
            *place = *byte;
        }
        Ok(())
    }
}

impl TryCryptoRng for Seed {}

#[cfg(test)]
mod tests;
