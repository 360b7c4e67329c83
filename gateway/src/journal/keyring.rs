//! The gateway's keys: the one that signs, and those that signed before it.

use plomb_seal::{KeyId, Malformed, Name, PublicKey, Signed, SigningKey, Statement, Unverified, transaction::Issue};

/// The key that signs from now on, and the certificates of all keys that the gateway ever had.
///
/// Without certificates only the one key is known, and receipts are not held against its ledger's name or its
/// validity.
#[derive(Clone)]
pub struct Keyring {
    key: SigningKey,
    certificates: Vec<Issue>,
}

impl From<SigningKey> for Keyring {
    fn from(key: SigningKey) -> Self {
        Self { key, certificates: Vec::new() }
    }
}

impl Keyring {
    /// The key at hand, and what its credential holds for `gateway`.
    pub fn new(key: SigningKey, gateway: &Name, certificates: &[Issue]) -> Self {
        let own = certificates.iter().filter(|issue| issue.subject == *gateway);
        Self { key, certificates: own.cloned().collect() }
    }

    pub(super) fn key(&self) -> &SigningKey {
        &self.key
    }

    pub(super) fn certificates(&self) -> &[Issue] {
        &self.certificates
    }

    fn find(&self, id: KeyId) -> Option<PublicKey> {
        let present = self.key.public();
        let own = |key: &PublicKey| key.id() == id;
        Some(present).filter(own).or_else(|| self.certificates.iter().map(|issue| issue.key).find(own))
    }

    /// Checks a statement with the one of our keys that it names. Gives that key too.
    pub(super) fn verify<T: Statement>(&self, bytes: &[u8]) -> Result<(Signed<T>, PublicKey), Malformed> {
        let parsed = Unverified::<T>::parse(bytes)?;
        let (expected, found) = (self.key.public().id(), parsed.key_id());
        let key = self.find(found).ok_or(Malformed::OtherKey { expected, found })?;
        Ok((parsed.verify(&key)?, key))
    }
}
