//! Agreed keys (suites 1 and 2): ECDH, and the derivation of a key from what comes of it
//! (Green Book §9.2.3.4.6, NIST SP 800-56A).
//!
//! | scheme | who has which pair | used for |
//! |---|---|---|
//! | ephemeral unified | both a fresh one | the security setup's `key_agreement` |
//! | one-pass Diffie-Hellman | the sender a fresh one, the recipient its own | general-ciphering |
//! | static unified | both their own | general-ciphering |
//!
//! Fresh keys are the caller's random bytes: nothing here draws any.

use super::SecurityError;
use super::key::{Key, Suite, SystemTitle};
use super::signing::{SigningKey, UNCOMPRESSED, VerifyingKey};
use alloc::vec::Vec;
use core::fmt;
use p256::elliptic_curve::sec1::ToSec1Point;
use sha2::Digest;
use zeroize::Zeroizing;

/// A private key for agreements. Never shown; wiped when dropped.
#[derive(Clone)]
pub struct AgreementKey(Private);

#[derive(Clone)]
enum Private {
    P256(p256::SecretKey),
    P384(p384::SecretKey),
}

/// A public key for agreements, on its curve for certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgreementPublicKey(Public);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Public {
    P256(p256::PublicKey),
    P384(p384::PublicKey),
}

/// What an agreed key is for. It goes into the derivation, so that a key for one is none for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Encryption or authentication.
    Ciphering,
    /// A key encrypting key.
    Wrapping,
}

impl AgreementKey {
    /// The key of these bytes: 32 for suite 1, 48 for suite 2.
    ///
    /// # Errors
    /// [`SecurityError::Unsupported`] where they are none; random bytes are none once in 2^32 at most: draw again.
    pub fn new(bytes: &[u8]) -> Result<Self, SecurityError> {
        let wrong = SecurityError::Unsupported("an agreement key of these bytes");
        match bytes.len() {
            32 => p256::SecretKey::from_slice(bytes).map(Private::P256).map(Self).map_err(|_| wrong),
            48 => p384::SecretKey::from_slice(bytes).map(Private::P384).map(Self).map_err(|_| wrong),
            _ => Err(wrong),
        }
    }

    /// Its public key.
    #[must_use]
    pub fn public(&self) -> AgreementPublicKey {
        AgreementPublicKey(match &self.0 {
            Private::P256(key) => Public::P256(key.public_key()),
            Private::P384(key) => Public::P384(key.public_key()),
        })
    }

    /// For which suite it is.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        match self.0 {
            Private::P256(_) => Suite::One,
            Private::P384(_) => Suite::Two,
        }
    }

    /// What both sides know: the x coordinate.
    fn shared(&self, theirs: &AgreementPublicKey) -> Result<Zeroizing<Vec<u8>>, SecurityError> {
        match (&self.0, &theirs.0) {
            (Private::P256(own), Public::P256(theirs)) => {
                let shared = p256::ecdh::diffie_hellman(own.to_nonzero_scalar(), theirs.as_affine());
                Ok(Zeroizing::new(shared.raw_secret_bytes().to_vec()))
            }
            (Private::P384(own), Public::P384(theirs)) => {
                let shared = p384::ecdh::diffie_hellman(own.to_nonzero_scalar(), theirs.as_affine());
                Ok(Zeroizing::new(shared.raw_secret_bytes().to_vec()))
            }
            _ => Err(SecurityError::OtherSuite { got: theirs.suite().number(), expected: self.suite().number() }),
        }
    }
}

impl fmt::Debug for AgreementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgreementKey of suite {}", self.suite().number())
    }
}

impl AgreementPublicKey {
    /// The key of these bytes: both coordinates, with or without `04` before them.
    ///
    /// # Errors
    /// [`SecurityError::Unsupported`] where they are no point of a curve in use.
    pub fn new(bytes: &[u8]) -> Result<Self, SecurityError> {
        let wrong = SecurityError::Unsupported("a public key of these bytes");
        let bytes = if bytes.len() % 2 == 1 { bytes.strip_prefix(&[UNCOMPRESSED]).unwrap_or(bytes) } else { bytes };
        let point = [&[UNCOMPRESSED], bytes].concat();
        match bytes.len() {
            64 => p256::PublicKey::from_sec1_bytes(&point).map(Public::P256).map(Self).map_err(|_| wrong),
            96 => p384::PublicKey::from_sec1_bytes(&point).map(Public::P384).map(Self).map_err(|_| wrong),
            _ => Err(wrong),
        }
    }

    /// Both coordinates, as they are sent.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = match &self.0 {
            Public::P256(key) => key.to_sec1_point(false).as_bytes().to_vec(),
            Public::P384(key) => key.to_sec1_point(false).as_bytes().to_vec(),
        };
        bytes.remove(0);
        bytes
    }

    /// For which suite it is.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        match self.0 {
            Public::P256(_) => Suite::One,
            Public::P384(_) => Suite::Two,
        }
    }
}

/// The ephemeral unified model, in which both sides' keys are fresh. `client` and `server` are their titles, on both
/// sides in this order.
///
/// # Errors
/// [`SecurityError::OtherSuite`] where the keys are of two curves.
pub fn ephemeral_unified(
    own: &AgreementKey,
    theirs: &AgreementPublicKey,
    purpose: Purpose,
    client: SystemTitle,
    server: SystemTitle,
) -> Result<Key, SecurityError> {
    derive(own.suite(), &own.shared(theirs)?, purpose, &[&client.0, &server.0])
}

/// One-pass Diffie-Hellman: the sender's pair is fresh, the recipient's is its own. Each side calls it with its
/// private and the other's public key.
///
/// # Errors
/// [`SecurityError::OtherSuite`] where the keys are of two curves.
pub fn one_pass(
    own: &AgreementKey,
    theirs: &AgreementPublicKey,
    sender: SystemTitle,
    recipient: SystemTitle,
) -> Result<Key, SecurityError> {
    derive(own.suite(), &own.shared(theirs)?, Purpose::Ciphering, &[&sender.0, &recipient.0])
}

/// The static unified model: no key is fresh, so that the transaction must be.
///
/// # Errors
/// [`SecurityError::OtherSuite`] where the keys are of two curves.
pub fn static_unified(
    own: &AgreementKey,
    theirs: &AgreementPublicKey,
    sender: SystemTitle,
    recipient: SystemTitle,
    transaction: &[u8],
) -> Result<Key, SecurityError> {
    let mut nonce = Vec::new();
    crate::axdr::emit_octets(transaction, &mut nonce);
    derive(own.suite(), &own.shared(theirs)?, Purpose::Ciphering, &[&sender.0, &nonce, &recipient.0])
}

/// A fresh public key and its signature, as `key_agreement` takes them for the key `key_id`
/// (0 unicast, 1 broadcast, 2 authentication, 3 key encrypting).
#[must_use]
pub fn offer(key_id: u8, fresh: &AgreementPublicKey, signer: &SigningKey) -> Vec<u8> {
    let public = fresh.bytes();
    let signature = signer.sign(&[&[key_id], public.as_slice()].concat());
    [public, signature].concat()
}

/// Checks the other side's [`offer`].
///
/// # Errors
/// [`SecurityError::SignatureWrong`], [`SecurityError::Unsupported`] for a point off the curve.
pub fn accept(key_id: u8, offered: &[u8], signer: &VerifyingKey) -> Result<AgreementPublicKey, SecurityError> {
    let (public, signature) = halves(offered)?;
    signer.verify(&[&[key_id], public].concat(), signature)?;
    AgreementPublicKey::new(public)
}

/// Public key and signature, which are of one length.
pub(super) fn halves(bytes: &[u8]) -> Result<(&[u8], &[u8]), SecurityError> {
    let halves = bytes.split_at_checked(bytes.len() / 2).filter(|_| matches!(bytes.len(), 128 | 192));
    halves.ok_or(SecurityError::Unsupported("a signed public key of this length"))
}

/// The concatenation KDF. One block of the suite's hash is longer than its keys, so there is never a second.
fn derive(suite: Suite, shared: &[u8], purpose: Purpose, parties: &[&[u8]]) -> Result<Key, SecurityError> {
    let last = match (purpose, suite) {
        (Purpose::Ciphering, Suite::Two) => 1,
        (Purpose::Ciphering, _) => 0,
        (Purpose::Wrapping, Suite::Two) => 3,
        (Purpose::Wrapping, _) => 2,
    };
    let algorithm = [0x60, 0x85, 0x74, 0x05, 0x08, 0x03, last];
    let text = Zeroizing::new([&1u32.to_be_bytes(), shared, &algorithm, &parties.concat()].concat());
    let block = Zeroizing::new(match suite {
        Suite::Two => sha2::Sha384::digest(&*text).to_vec(),
        Suite::Zero | Suite::One => sha2::Sha256::digest(&*text).to_vec(),
    });
    Key::new(block.get(..suite.key_bytes()).unwrap_or_default())
        .map_err(|_| SecurityError::Unsupported("a key of this length"))
}
