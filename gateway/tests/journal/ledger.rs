//! A ledger in memory: takes anchors, gives receipts.

use plomb_seal::{
    Anchor, Hash, LogProof, Policy, Receipt, Signed, SigningKey,
    note::{Checkpoint, KeyUse, VerifierKey},
    tree,
};

const ORIGIN: &str = "ledger.example/test";

pub struct Ledger {
    key: SigningKey,
    leaves: Vec<Hash>,
    pub policy: Policy,
}

impl Ledger {
    pub fn new() -> Self {
        let key = SigningKey::from_seed(&[77; 32]);
        let line = VerifierKey { name: ORIGIN.into(), key: key.public(), usage: KeyUse::Log };
        let policy = Policy::parse(&format!("log {line}\nquorum none\n")).unwrap();
        Self { key, leaves: Vec::new(), policy }
    }

    pub fn take(&mut self, anchor: &Signed<Anchor>) -> Receipt {
        self.leaves.push(anchor.hash());
        self.receipt(anchor, self.leaves.len() - 1)
    }

    fn receipt(&self, anchor: &Signed<Anchor>, index: usize) -> Receipt {
        let checkpoint =
            Checkpoint { origin: ORIGIN.into(), size: self.leaves.len() as u64, root: tree::root(&self.leaves) };
        let path = tree::inclusion_path(&self.leaves, index).unwrap();
        let proof = LogProof { index: index as u64, path, note: checkpoint.sign(&self.key) };
        Receipt { anchor: anchor.bytes().to_vec(), proof: proof.to_text() }
    }
}
