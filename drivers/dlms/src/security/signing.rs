//! ECDSA (suites 1 and 2): proofs of mechanism 7, and general-signing. Signatures are the two numbers, one behind
//! the other.

use super::SecurityError;
use super::key::{Suite, SystemTitle};
use crate::apdu::{Apdu, GeneralSigning};
use alloc::vec::Vec;
use core::fmt;
use p256::ecdsa::signature::{Signer, Verifier};

/// A private key. Never shown.
#[derive(Clone)]
pub struct SigningKey(Private);

#[derive(Clone)]
enum Private {
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey(Public);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Public {
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
}

/// The first byte of an uncompressed point (SEC 1).
pub(super) const UNCOMPRESSED: u8 = 0x04;

impl SigningKey {
    /// The key of these bytes: 32 for suite 1, 48 for suite 2.
    ///
    /// # Errors
    /// [`SecurityError::Unsupported`] where they are none.
    pub fn new(bytes: &[u8]) -> Result<Self, SecurityError> {
        let wrong = SecurityError::Unsupported("a signing key of these bytes");
        match bytes.len() {
            32 => p256::ecdsa::SigningKey::from_slice(bytes).map(|key| Self(Private::P256(key))).map_err(|_| wrong),
            48 => p384::ecdsa::SigningKey::from_slice(bytes).map(|key| Self(Private::P384(key))).map_err(|_| wrong),
            _ => Err(wrong),
        }
    }

    /// Its public key.
    #[must_use]
    pub fn public(&self) -> VerifyingKey {
        VerifyingKey(match &self.0 {
            Private::P256(key) => Public::P256(*key.verifying_key()),
            Private::P384(key) => Public::P384(*key.verifying_key()),
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

    /// Signs.
    #[must_use]
    pub fn sign(&self, text: &[u8]) -> Vec<u8> {
        match &self.0 {
            Private::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(text);
                signature.to_bytes().to_vec()
            }
            Private::P384(key) => {
                let signature: p384::ecdsa::Signature = key.sign(text);
                signature.to_bytes().to_vec()
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey of suite {}", self.suite().number())
    }
}

impl VerifyingKey {
    /// The key of these bytes: both coordinates, with or without `04` before them.
    ///
    /// # Errors
    /// [`SecurityError::Unsupported`] where they are no point of a curve in use.
    pub fn new(bytes: &[u8]) -> Result<Self, SecurityError> {
        let wrong = SecurityError::Unsupported("a public key of these bytes");
        let bytes = if bytes.len() % 2 == 1 { bytes.strip_prefix(&[UNCOMPRESSED]).unwrap_or(bytes) } else { bytes };
        let point = [&[UNCOMPRESSED], bytes].concat();
        match bytes.len() {
            64 => p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).map(Public::P256).map(Self).map_err(|_| wrong),
            96 => p384::ecdsa::VerifyingKey::from_sec1_bytes(&point).map(Public::P384).map(Self).map_err(|_| wrong),
            _ => Err(wrong),
        }
    }

    /// Checks a signature.
    ///
    /// # Errors
    /// [`SecurityError::SignatureWrong`].
    pub fn verify(&self, text: &[u8], signature: &[u8]) -> Result<(), SecurityError> {
        let good = match &self.0 {
            Public::P256(key) => {
                p256::ecdsa::Signature::from_slice(signature).is_ok_and(|s| key.verify(text, &s).is_ok())
            }
            Public::P384(key) => {
                p384::ecdsa::Signature::from_slice(signature).is_ok_and(|s| key.verify(text, &s).is_ok())
            }
        };
        if good { Ok(()) } else { Err(SecurityError::SignatureWrong) }
    }
}

/// What a prover signs in mechanism 7: titles and challenges, the prover's title and the other's challenge first.
#[must_use]
pub fn proof_text(
    prover: SystemTitle,
    other: SystemTitle,
    challenge_of_other: &[u8],
    challenge_of_prover: &[u8],
) -> Vec<u8> {
    [prover.0.as_slice(), &other.0, challenge_of_other, challenge_of_prover].concat()
}

/// What the signature of general-signing covers: every field before it, each with its length.
#[must_use]
pub fn covered(signed: &GeneralSigning) -> Vec<u8> {
    let unsigned = GeneralSigning { signature: Vec::new(), ..signed.clone() };
    let mut bytes = Apdu::GeneralSigning(unsigned.into()).emit();
    // Tag and the length of no signature.
    bytes.pop();
    bytes.remove(0);
    bytes
}

/// Checks a signed APDU. Gives the APDU inside.
///
/// # Errors
/// [`SecurityError::SignatureWrong`].
pub fn verified<'a>(signed: &'a GeneralSigning, key: &VerifyingKey) -> Result<&'a [u8], SecurityError> {
    key.verify(&covered(signed), &signed.signature)?;
    Ok(&signed.content)
}
