//! Signed statements: COSE_Sign1 (RFC 9052 §4.2) with Ed25519, in one fixed shape.
//!
//! ```text
//! d2                tag 18
//! 84                array of 4
//!   58 xx {…}       protected header: { 1: -8 (EdDSA), 3: content type, 4: key id }
//!   a0              unprotected header: always empty
//!   58 xx […]       payload
//!   58 40 …         signature, 64 bytes
//! ```
//!
//! The content type says what is signed, so that no statement can pass for one of another kind.

use alloc::{string::String, vec::Vec};
use core::fmt;

use ed25519_dalek::{Signature, Signer, VerifyingKey};

use crate::{
    Hash, Malformed,
    cbor::{Decoder, Encoder},
    tree,
};

/// The largest signed statement, in bytes.
pub const SIGNED_BYTES_MAX: usize = 64 * 1024;

const TAG_SIGN1: u64 = 18;
const HEADER_ALGORITHM: u64 = 1;
const HEADER_CONTENT_TYPE: u64 = 3;
const HEADER_KEY_ID: u64 = 4;
const ALGORITHM_EDDSA: i64 = -8;
const CONTENT_TYPE_BYTES_MAX: usize = 64;
/// What the heads of items in an envelope, or in what is signed, come to at most, in bytes.
const HEADS_BYTES_MAX: usize = 32;

/// The first 8 bytes of the SHA-256 of a public key. Names a key; proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// An Ed25519 public key (RFC 8032 §5.1.5).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// From its 32 bytes. `None` if they are no point on the curve, a point of small order, or not the one
    /// encoding of their point.
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let key = VerifyingKey::from_bytes(bytes).ok()?;
        (!key.is_weak() && key.to_edwards().compress().to_bytes() == *bytes).then_some(Self(key))
    }

    /// Its 32 bytes.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The id that headers name it by.
    pub fn id(&self) -> KeyId {
        let [a, b, c, d, e, f, g, h, ..] = Hash::of(&self.to_bytes()).0;
        KeyId([a, b, c, d, e, f, g, h])
    }

    /// Checks a signature strictly: of the possible readings of RFC 8032, the one that all verifiers share.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), Malformed> {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).map_err(|_| Malformed::Signature)
    }

    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let start = from.clone();
        Self::from_bytes(&from.bytes_exact()?).ok_or_else(|| start.wrong("these 32 bytes are no Ed25519 public key"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519:{}", Hash(self.to_bytes()))
    }
}

/// An Ed25519 signing key. Is never printed.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// From the 32 secret bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs a message (RFC 8032 §5.1.6).
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey of {}", self.public().id())
    }
}

/// Something that can be signed.
pub trait Statement: Sized {
    /// The content type in the header: what kind of statement this is.
    const CONTENT_TYPE: &'static str;

    /// Writes the payload.
    fn encode(&self, out: &mut Encoder);

    /// Reads the payload; bytes left over are found by the caller.
    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed>;
}

/// A statement with a signature that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<T> {
    statement: T,
    bytes: Vec<u8>,
    hash: Hash,
    key_id: KeyId,
}

impl<T: Statement> Signed<T> {
    /// Signs a statement. Ed25519 is deterministic: the same statement and key give the same bytes.
    pub fn sign(statement: T, key: &SigningKey) -> Self {
        let payload = encoded(&statement);
        Self::sign_encoded(statement, &payload, key)
    }

    /// Signs a statement that was [`encoded`] already.
    pub(crate) fn sign_encoded(statement: T, payload: &[u8], key: &SigningKey) -> Self {
        let key_id = key.public().id();
        let protected = protected_header(T::CONTENT_TYPE, key_id);
        let signature = key.sign(&to_be_signed(&protected, payload));
        let mut out = Encoder::with_capacity(protected.len() + payload.len() + signature.len() + HEADS_BYTES_MAX);
        out.tag(TAG_SIGN1).array(4).bytes(&protected).map(0).bytes(payload).bytes(&signature);
        let bytes = out.finish();
        Self { statement, hash: tree::leaf_hash(&bytes), bytes, key_id }
    }
}

/// A statement's payload: the one encoding that is signed.
pub(crate) fn encoded<T: Statement>(statement: &T) -> Vec<u8> {
    let mut payload = Encoder::new();
    statement.encode(&mut payload);
    payload.finish()
}

impl<T> Signed<T> {
    /// What was signed.
    pub fn statement(&self) -> &T {
        &self.statement
    }

    /// The exact bytes, as stored and sent.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes the exact bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The RFC 6962 leaf hash of the bytes: the statement's name in chains, trees and logs.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// The key that signed.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }
}

/// A statement that was read but not yet checked by a key.
#[derive(Debug, Clone)]
pub struct Unverified<'a, T> {
    statement: T,
    bytes: &'a [u8],
    protected: &'a [u8],
    payload: &'a [u8],
    signature: [u8; 64],
    key_id: KeyId,
}

impl<'a, T: Statement> Unverified<'a, T> {
    /// Reads a statement of kind `T`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() > SIGNED_BYTES_MAX {
            return Err(Malformed::TooLarge { what: "a signed statement", max: SIGNED_BYTES_MAX, found: bytes.len() });
        }
        let envelope = Envelope::parse(bytes)?;
        if envelope.content_type != T::CONTENT_TYPE {
            let found: String = envelope.content_type.chars().take(CONTENT_TYPE_BYTES_MAX).collect();
            return Err(Malformed::ContentType { expected: T::CONTENT_TYPE, found });
        }
        let mut decoder = Decoder::new(envelope.payload);
        let statement = T::decode(&mut decoder)?;
        decoder.finish()?;
        let Envelope { protected, payload, signature, key_id, .. } = envelope;
        Ok(Self { statement, bytes, protected, payload, signature, key_id })
    }

    /// What the statement claims. Believe nothing of it yet.
    pub fn claims(&self) -> &T {
        &self.statement
    }

    /// The key that the header names.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The RFC 6962 leaf hash of the bytes.
    pub fn hash(&self) -> Hash {
        tree::leaf_hash(self.bytes)
    }

    /// Takes the statement without checking the signature. Only for bytes that come from the store of
    /// whoever signed them, where the check was made before; never for bytes that travelled.
    pub fn trust_own(self) -> Signed<T> {
        Signed {
            statement: self.statement,
            bytes: self.bytes.into(),
            hash: tree::leaf_hash(self.bytes),
            key_id: self.key_id,
        }
    }

    /// Checks the signature.
    pub fn verify(self, key: &PublicKey) -> Result<Signed<T>, Malformed> {
        if key.id() != self.key_id {
            return Err(Malformed::OtherKey { expected: key.id(), found: self.key_id });
        }
        key.verify(&to_be_signed(self.protected, self.payload), &self.signature)?;
        Ok(Signed {
            statement: self.statement,
            bytes: self.bytes.into(),
            hash: tree::leaf_hash(self.bytes),
            key_id: self.key_id,
        })
    }
}

/// The content type of a signed statement, without reading its payload.
pub(crate) fn content_type(bytes: &[u8]) -> Result<&str, Malformed> {
    Envelope::parse(bytes).map(|envelope| envelope.content_type)
}

struct Envelope<'a> {
    protected: &'a [u8],
    content_type: &'a str,
    key_id: KeyId,
    payload: &'a [u8],
    signature: [u8; 64],
}

impl<'a> Envelope<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut outer = Decoder::new(bytes);
        outer.tag_exact(TAG_SIGN1)?;
        outer.array_exact(4)?;
        let protected = outer.bytes()?;
        outer.map_exact(0)?;
        let payload = outer.bytes()?;
        let signature = outer.bytes_exact()?;
        outer.finish()?;

        let mut header = Decoder::new(protected);
        header.map_exact(3)?;
        expect_label(&mut header, HEADER_ALGORITHM)?;
        let start = header.clone();
        if header.signed()? != ALGORITHM_EDDSA {
            return Err(start.wrong("the algorithm is not EdDSA (-8)"));
        }
        expect_label(&mut header, HEADER_CONTENT_TYPE)?;
        let content_type = header.text("a content type", CONTENT_TYPE_BYTES_MAX)?;
        expect_label(&mut header, HEADER_KEY_ID)?;
        let key_id = KeyId(header.bytes_exact()?);
        header.finish()?;
        Ok(Self { protected, content_type, key_id, payload, signature })
    }
}

fn expect_label(header: &mut Decoder<'_>, label: u64) -> Result<(), Malformed> {
    let start = header.clone();
    if header.unsigned()? == label { Ok(()) } else { Err(start.wrong("the header has another label here")) }
}

fn protected_header(content_type: &str, key_id: KeyId) -> Vec<u8> {
    let mut header = Encoder::new();
    header.map(3);
    header.unsigned(HEADER_ALGORITHM).signed(ALGORITHM_EDDSA);
    header.unsigned(HEADER_CONTENT_TYPE).text(content_type);
    header.unsigned(HEADER_KEY_ID).bytes(&key_id.0);
    header.finish()
}

/// The `Sig_structure` of RFC 9052 §4.4.
fn to_be_signed(protected: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut out = Encoder::with_capacity(protected.len() + payload.len() + HEADS_BYTES_MAX);
    out.array(4).text("Signature1").bytes(protected).bytes(&[]).bytes(payload);
    out.finish()
}

#[cfg(test)]
mod tests {
    use coset::{CborSerializable, TaggedCborSerializable};

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Number(u64);

    impl Statement for Number {
        const CONTENT_TYPE: &'static str = "application/vnd.plomb.test+cbor";
        fn encode(&self, out: &mut Encoder) {
            out.unsigned(self.0);
        }
        fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
            from.unsigned().map(Self)
        }
    }

    #[test]
    fn a_foreign_library_verifies_what_we_sign() {
        let key = SigningKey::from_seed(&[7; 32]);
        let signed = Signed::sign(Number(99), &key);
        let foreign = coset::CoseSign1::from_tagged_slice(signed.bytes()).unwrap();
        assert_eq!(foreign.protected.header.alg, Some(coset::Algorithm::Assigned(coset::iana::Algorithm::EdDSA)));
        foreign
            .verify_signature(&[], |signature, message| key.public().verify(message, signature.try_into().unwrap()))
            .unwrap();
        let header = coset::ProtectedHeader { original_data: None, ..foreign.protected.clone() };
        assert_eq!(header.header.to_vec().unwrap(), protected_header(Number::CONTENT_TYPE, key.public().id()));
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let key = SigningKey::from_seed(&[7; 32]);
        let signed = Signed::sign(Number(99), &key);
        for bit in 0..signed.bytes().len() * 8 {
            let mut bent = signed.bytes().to_vec();
            bent[bit / 8] ^= 1 << (bit % 8);
            let taken = Unverified::<Number>::parse(&bent).and_then(|parsed| parsed.verify(&key.public()));
            assert!(taken.is_err(), "bit {bit}");
        }
    }
}
