//! The keys with which a node signs tree heads.

use plomb_seal::{
    Hash, SigningKey,
    note::{Checkpoint, KeyUse, VerifierKey, cosign},
};

use crate::LedgerError;

/// The ledger's name and the keys that sign its tree heads.
#[derive(Debug, Clone)]
pub struct Signers {
    /// The ledger's name: the log's origin.
    pub origin: String,
    /// Signs checkpoints.
    pub log: SigningKey,
    /// The name of the validator's witness key.
    pub witness_name: String,
    /// Cosigns checkpoints with the time; a key of its own, as C2SP tlog-cosignature asks.
    pub witness: SigningKey,
}

impl Signers {
    /// The log's public key, as policies list it.
    pub fn log_key(&self) -> VerifierKey {
        VerifierKey { name: self.origin.clone(), key: self.log.public(), usage: KeyUse::Log }
    }

    /// The witness's public key, as policies list it.
    pub fn witness_key(&self) -> VerifierKey {
        VerifierKey { name: self.witness_name.clone(), key: self.witness.public(), usage: KeyUse::Cosigner }
    }

    /// The C2SP tlog-policy that a verifier of this ledger uses.
    pub fn policy(&self) -> String {
        format!("log {}\nwitness validator {}\nquorum validator\n", self.log_key(), self.witness_key())
    }

    pub(crate) fn sign(&self, size: u64, root: Hash, time_ms: i64) -> Result<String, LedgerError> {
        let checkpoint = Checkpoint { origin: self.origin.clone(), size, root };
        let time_s = u64::try_from(time_ms.div_euclid(1000)).unwrap_or(0);
        cosign(&checkpoint.sign(&self.log), &self.witness_name, &self.witness, time_s)
            .map_err(|error| LedgerError::Damaged(format!("the checkpoint can't be cosigned: {error}")))
    }
}
