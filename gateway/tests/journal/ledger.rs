//! A ledger in memory: certifies keys, takes anchors, gives receipts.

use plomb_seal::{
    Anchor, Credential, Hash, LogProof, Logged, Policy, Receipt, Signed, SigningKey,
    note::{Checkpoint, KeyUse, VerifierKey, cosign},
    transaction::{Certificate, Genesis, Issue, Member, Role},
    tree,
};

use crate::world::gateway;

const ORIGIN: &str = "ledger.example/test";
const WITNESS: &str = "ledger.example/test/solo";
/// Before the first entry of [`crate::world::clock`].
const BEGUN_S: u64 = 1_759_999_000;

pub struct Ledger {
    key: SigningKey,
    witness: SigningKey,
    leaves: Vec<Hash>,
    pub policy: Policy,
    pub credential: Credential,
    pub certificates: Vec<Issue>,
    /// The witness's clock.
    pub clock_s: u64,
}

impl Ledger {
    /// One that certified nobody.
    pub fn new() -> Self {
        Self::certifying(&[])
    }

    /// One that certified these keys as the gateway's, one after the other.
    pub fn certifying(keys: &[SigningKey]) -> Self {
        let [key, witness, member] = [77, 78, 79].map(|seed| SigningKey::from_seed(&[seed; 32]));
        let log = VerifierKey { name: ORIGIN.into(), key: key.public(), usage: KeyUse::Log };
        let solo = VerifierKey { name: WITNESS.into(), key: witness.public(), usage: KeyUse::Cosigner };
        let text = format!("log {log}\nwitness solo {solo}\nquorum solo\n");
        let founder = Member { name: "utility".parse().unwrap(), key: member.public(), authority: Vec::new() };
        let genesis = Genesis { origin: ORIGIN.into(), members: vec![founder], quorum: 1 };
        let empty = Logged { transaction: Vec::new(), proof: String::new() };
        let mut this = Self {
            key,
            witness,
            leaves: Vec::new(),
            policy: Policy::parse(&text).unwrap(),
            credential: Credential { policy: text, genesis: empty, certificates: Vec::new() },
            certificates: Vec::new(),
            clock_s: BEGUN_S,
        };
        this.credential.genesis = this.logged(Signed::sign(genesis, &member).into_bytes());
        for key in keys {
            let issue = Issue {
                origin: ORIGIN.into(),
                subject: gateway(),
                role: Role::Gateway,
                scope: Vec::new(),
                points: Vec::new(),
                key: key.public(),
                not_before_s: 0,
                not_after_s: i64::MAX,
                x509: Vec::new(),
            };
            let signed = Signed::sign(Certificate::Issue(Box::new(issue)), &member);
            let logged = this.logged(signed.into_bytes());
            this.credential.certificates.push(logged);
        }
        this.certificates = this.credential.verify(&this.policy).unwrap();
        this
    }

    pub fn take(&mut self, anchor: &Signed<Anchor>) -> Receipt {
        Receipt { anchor: anchor.bytes().to_vec(), proof: self.log(anchor.hash()) }
    }

    /// The newest checkpoint; of another size if the ledger lies.
    pub fn checkpoint(&self, size: Option<u64>) -> String {
        let size = size.unwrap_or(self.leaves.len() as u64);
        let checkpoint = Checkpoint { origin: ORIGIN.into(), size, root: tree::root(&self.leaves) };
        cosign(&checkpoint.sign(&self.key), WITNESS, &self.witness, self.clock_s).unwrap()
    }

    fn logged(&mut self, transaction: Vec<u8>) -> Logged {
        let proof = self.log(tree::leaf_hash(&transaction));
        Logged { transaction, proof }
    }

    fn log(&mut self, leaf: Hash) -> String {
        self.leaves.push(leaf);
        self.clock_s += 1;
        let index = self.leaves.len() - 1;
        let path = tree::inclusion_path(&self.leaves, index).unwrap();
        LogProof { index: index as u64, path, note: self.checkpoint(None) }.to_text()
    }
}
