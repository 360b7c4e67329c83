//! Proofs of logging: C2SP tlog-proof.

use alloc::{format, string::String, vec::Vec};

use base64ct::{Base64, Encoding};

use crate::{
    Hash, Policy, PolicyError,
    note::{NOTE_BYTES_MAX, hash_from_base64},
    policy::Trusted,
    tree,
};

/// The longest proof of logging, in bytes.
pub const PROOF_BYTES_MAX: usize = NOTE_BYTES_MAX + 4096;

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Where a leaf stands in a log, and how that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogProof {
    /// The leaf's index.
    pub index: u64,
    /// The inclusion path, from the leaf's sibling on.
    pub path: Vec<Hash>,
    /// The checkpoint, a signed note.
    pub note: String,
}

/// Why a proof of logging does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Not of the form that C2SP tlog-proof gives.
    #[error("not a proof of logging: {0}")]
    Form(&'static str),
    /// The checkpoint does not satisfy the policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The path does not lead to the checkpoint's root.
    #[error("the inclusion path does not lead from leaf {index} to the root of the checkpoint of size {size}")]
    Path {
        /// The leaf's index.
        index: u64,
        /// The tree's size.
        size: u64,
    },
}

impl LogProof {
    /// Reads the text form. The `extra` line is allowed and ignored, as nothing authenticates it.
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let wrong = ProofError::Form;
        if text.len() > PROOF_BYTES_MAX {
            return Err(wrong("it is too long"));
        }
        let (head, note) = text.split_once("\n\n").ok_or(wrong("no blank line stands before the checkpoint"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(wrong("its first line is not c2sp.org/tlog-proof@v1"));
        }
        let mut line = lines.next();
        if let Some(extra) = line.and_then(|line| line.strip_prefix("extra ")) {
            Base64::decode_vec(extra).map_err(|_| wrong("its extra line is not base64"))?;
            line = lines.next();
        }
        let index = line.and_then(|line| line.strip_prefix("index ")).ok_or(wrong("it has no index line"))?;
        let number: u64 = index.parse().map_err(|_| wrong("its index is no number"))?;
        if format!("{number}") != index {
            return Err(wrong("its index has leading zeroes or a sign"));
        }
        let path: Option<Vec<Hash>> = lines.map(hash_from_base64).collect();
        let path = path.ok_or(wrong("a line of its path is no base64 of 32 bytes"))?;
        if path.len() > tree::PATH_HASHES_MAX {
            return Err(wrong("its path is too long"));
        }
        Ok(Self { index: number, path, note: note.into() })
    }

    /// The text form.
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADER}\nindex {}\n", self.index);
        for hash in &self.path {
            text.push_str(&Base64::encode_string(&hash.0));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.note);
        text
    }

    /// Checks that a leaf (its RFC 6962 leaf hash) stands in the log, under a checkpoint that the policy
    /// holds valid.
    pub fn verify(&self, leaf: Hash, policy: &Policy) -> Result<Trusted, ProofError> {
        let trusted = policy.check(&self.note)?;
        let (index, size) = (self.index, trusted.checkpoint.size);
        match tree::root_from_path(leaf, index, size, &self.path) {
            Some(root) if root == trusted.checkpoint.root => Ok(trusted),
            _ => Err(ProofError::Path { index, size }),
        }
    }
}
