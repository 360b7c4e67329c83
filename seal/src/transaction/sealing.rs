//! Sealing: to which key a gateway's configurations and commands are sealed, and what their content is bound to.

use alloc::string::String;

use crate::{
    Hash, KeyId, Malformed, Name, Statement,
    cbor::{Decoder, Encoder},
    reading::text,
};

/// The length of the salt in front of a sealed content, in bytes.
pub const SALT_BYTES: usize = 32;

/// A gateway names the X25519 key (RFC 7748) to which it wants to be sealed to. Signed by the gateway itself: its
/// certificate vouches for the signature, and with it for this key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealingKey {
    /// The ledger.
    pub origin: String,
    /// The gateway.
    pub gateway: Name,
    /// Counts its sealing keys from 1, so that no older statement can bring an older key back.
    pub serial: u64,
    /// The public key.
    pub key: [u8; 32],
}

impl SealingKey {
    /// The id that configurations and commands name the key by.
    pub fn key_id(&self) -> KeyId {
        sealing_key_id(&self.key)
    }
}

/// The first 8 bytes of the SHA-256 of a sealing key. Names a key; proves nothing.
pub fn sealing_key_id(key: &[u8; 32]) -> KeyId {
    let [a, b, c, d, e, f, g, h, ..] = Hash::of(key).0;
    KeyId([a, b, c, d, e, f, g, h])
}

/// SHA-256 of salt and content: what a ledger shows of a sealed content. With the salt its author can prove later
/// what was sealed; without it nobody can try guesses.
pub fn commitment(salt: &[u8; SALT_BYTES], content: &[u8]) -> Hash {
    Hash::of_parts(&[salt, content])
}

impl Statement for SealingKey {
    const CONTENT_TYPE: &'static str = "application/vnd.plomb.sealing-key+cbor";

    fn encode(&self, out: &mut Encoder) {
        out.array(5).unsigned(crate::VERSION).text(&self.origin).text(self.gateway.as_str());
        out.unsigned(self.serial).bytes(&self.key);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.versioned(5)?;
        Ok(Self {
            origin: text(from)?,
            gateway: Name::decode(from)?,
            serial: from.counter()?,
            key: from.bytes_exact()?,
        })
    }
}
