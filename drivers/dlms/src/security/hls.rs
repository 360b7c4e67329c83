//! Proofs of high level security: both sides show that they know the secret, by the other's challenge
//! (Green Book §9.2.7.4).

use super::cipher::{Head, TAG_BYTES, seal};
use super::key::{Key, Suite, SystemTitle};
use super::{Protection, SecurityControl, SecurityError};
use alloc::vec::Vec;
use sha2::Digest;
use subtle::ConstantTimeEq;

/// The shortest challenge.
pub const CHALLENGE_BYTES_MIN: usize = 8;
/// The longest challenge.
pub const CHALLENGE_BYTES_MAX: usize = 64;

/// MD5 over challenge and secret (mechanism 3).
#[must_use]
pub fn md5(challenge: &[u8], secret: &[u8]) -> Vec<u8> {
    md5::Md5::new().chain_update(challenge).chain_update(secret).finalize().to_vec()
}

/// SHA-1 over challenge and secret (mechanism 4).
#[must_use]
pub fn sha1(challenge: &[u8], secret: &[u8]) -> Vec<u8> {
    sha1::Sha1::new().chain_update(challenge).chain_update(secret).finalize().to_vec()
}

/// SHA-256 over secret, both titles and both challenges, the own of the prover first (mechanism 6):
/// `secret ‖ title of the prover ‖ title of the other ‖ challenge of the other ‖ challenge of the prover`.
#[must_use]
pub fn sha256(
    secret: &[u8],
    prover: SystemTitle,
    other: SystemTitle,
    challenge_of_other: &[u8],
    challenge_of_prover: &[u8],
) -> Vec<u8> {
    let digest = sha2::Sha256::new().chain_update(secret).chain_update(prover.0).chain_update(other.0);
    digest.chain_update(challenge_of_other).chain_update(challenge_of_prover).finalize().to_vec()
}

/// GMAC over a challenge (mechanism 5): security control, invocation counter, tag.
///
/// # Errors
/// [`SecurityError::KeyMissing`].
pub fn gmac(
    suite: Suite,
    encryption: &Key,
    authentication: Option<&Key>,
    title: SystemTitle,
    counter: u32,
    challenge: &[u8],
) -> Result<Vec<u8>, SecurityError> {
    let control = SecurityControl::new(suite.number(), Protection { authenticated: true, encrypted: false });
    let head = Head { control, title, counter, authentication, fields: &[] };
    let sealed = seal(encryption, &head, challenge)?;
    let tag = sealed.get(challenge.len()..).unwrap_or_default();
    Ok([&[control.0], counter.to_be_bytes().as_slice(), tag].concat())
}

/// Checks the meter's GMAC over our challenge. Gives its invocation counter.
///
/// # Errors
/// [`SecurityError::TagWrong`], or what is missing.
pub fn check_gmac(
    suite: Suite,
    encryption: &Key,
    authentication: Option<&Key>,
    title: SystemTitle,
    proof: &[u8],
    challenge: &[u8],
) -> Result<u32, SecurityError> {
    let Some(([control, rest @ ..], tag)) = proof.split_last_chunk::<TAG_BYTES>() else {
        return Err(SecurityError::TagWrong);
    };
    let counter = <[u8; 4]>::try_from(rest).map(u32::from_be_bytes).map_err(|_| SecurityError::TagWrong)?;
    let expected = SecurityControl::new(suite.number(), Protection { authenticated: true, encrypted: false });
    if *control != expected.0 {
        return Err(SecurityError::TagWrong);
    }
    let computed = gmac(suite, encryption, authentication, title, counter, challenge)?;
    match computed.split_last_chunk::<TAG_BYTES>() {
        Some((_, computed)) if is_same(computed, tag) => Ok(counter),
        _ => Err(SecurityError::TagWrong),
    }
}

/// Whether two proofs are the same, in a time that does not tell where they differ.
#[must_use]
pub fn is_same(computed: &[u8], got: &[u8]) -> bool {
    computed.ct_eq(got).into()
}
