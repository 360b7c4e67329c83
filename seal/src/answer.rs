//! Answers: what the ledger said to a gateway's transaction.

use alloc::{string::String, vec::Vec};

use crate::{
    Hash, Logged, Malformed, Policy,
    cbor::{Decoder, Encoder},
    reading::text,
    tree,
};

/// What became of one transaction that a gateway sent, `down/answer`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The leaf hash of the transaction.
    pub of: Hash,
    /// The transaction with its proof, if it is on the ledger.
    pub logged: Option<Logged>,
    /// The rule by which it was refused; empty if it was not.
    pub rule: String,
    /// Why, in words.
    pub detail: String,
}

/// Why an answer does not show that a transaction is on the ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// It is about another transaction.
    #[error("it is about another transaction")]
    Other,
    /// It holds no proof that holds.
    #[error("its proof does not hold: {0}")]
    Proof(String),
}

impl Answer {
    /// The bytes: `[1, leaf hash, [transaction, proof] / null, rule, detail]`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(5).unsigned(crate::VERSION).hash(&self.of);
        out.optional(self.logged.as_ref(), |out, logged| logged.encode(out));
        out.text(&self.rule).text(&self.detail);
        out.finish()
    }

    /// Reads the bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Decoder::new(bytes);
        from.versioned(5)?;
        let (of, logged) = (from.hash()?, from.optional(Logged::decode)?);
        let (rule, detail) = (text(&mut from)?, text(&mut from)?);
        from.finish()?;
        Ok(Self { of, logged, rule, detail })
    }

    /// Whether it shows, under `policy`, that `transaction` is on the ledger with this origin. Gives its index;
    /// `None` if it is a refusal. A refusal is the hub's word and proves nothing.
    pub fn verify(&self, transaction: &[u8], origin: &str, policy: &Policy) -> Result<Option<u64>, Unanswered> {
        if self.of != tree::leaf_hash(transaction) {
            return Err(Unanswered::Other);
        }
        let Some(logged) = &self.logged else { return Ok(None) };
        if logged.transaction != transaction {
            return Err(Unanswered::Other);
        }
        let checked = logged.check("the transaction", origin, policy);
        checked.map(Some).map_err(|error| Unanswered::Proof(alloc::format!("{error}")))
    }
}
