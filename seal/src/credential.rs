//! Credentials: what a hub hands to a gateway when it is certified, in one file.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};

use crate::{
    Hash, KeyId, LogProof, Malformed, Name, Policy, PolicyError, ProofError, SIGNED_BYTES_MAX, Unverified,
    cbor::{Decoder, Encoder},
    policy::POLICY_BYTES_MAX,
    proof::PROOF_BYTES_MAX,
    transaction::{self, Certificate, Genesis, Issue, Kind, Member, MemberChange, Role, Vote},
    tree,
};

/// The trust policy, and the two transactions that make a key a gateway's key, with their proofs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The policy, C2SP tlog-policy text.
    pub policy: String,
    /// The ledger's first transaction.
    pub genesis: Logged,
    /// The gateway's certificates, oldest first; and, if members that joined later issued some, the votes by which
    /// the members changed until then.
    pub certificates: Vec<Logged>,
}

/// The most certificates and votes in a credential: one certificate for each key that a gateway ever had.
pub const CERTIFICATES_MAX: usize = 64;

/// A transaction with its proof of logging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// The transaction's bytes.
    pub transaction: Vec<u8>,
    /// C2SP tlog-proof text.
    pub proof: String,
}

/// Why a credential does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The bytes can't be read.
    #[error("credential: {0}")]
    Malformed(#[from] Malformed),
    /// The policy can't be read.
    #[error("credential: {0}")]
    Policy(#[from] PolicyError),
    /// A proof of logging does not hold.
    #[error("{what}: {cause}")]
    Proof {
        /// Which transaction.
        what: &'static str,
        /// What is wrong.
        cause: ProofError,
    },
    /// The genesis transaction is wrong.
    #[error("genesis: {0}")]
    Genesis(&'static str),
    /// A vote is wrong, or out of its order.
    #[error("vote: {0}")]
    Vote(&'static str),
    /// A certificate transaction is wrong.
    #[error("certificate: {0}")]
    Certificate(&'static str),
}

impl Credential {
    /// The bytes of the file: `[1, policy, [genesis, proof], [[certificate, proof], …]]`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(4).unsigned(crate::VERSION).text(&self.policy);
        self.genesis.encode(&mut out);
        out.array(self.certificates.len());
        self.certificates.iter().for_each(|logged| logged.encode(&mut out));
        out.finish()
    }

    /// Reads the bytes of the file.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Decoder::new(bytes);
        from.versioned(4)?;
        let policy = from.text("a policy", POLICY_BYTES_MAX)?.into();
        let genesis = Logged::decode(&mut from)?;
        let count = from.array("a list of certificates", CERTIFICATES_MAX)?;
        let certificates = (0..count).map(|_| Logged::decode(&mut from)).collect::<Result<_, _>>()?;
        from.finish()?;
        Ok(Self { policy, genesis, certificates })
    }

    /// Checks everything under `policy` and gives the certificates. The file's own policy proves nothing
    /// to those who did not get the file from somebody they trust.
    pub fn verify(&self, policy: &Policy) -> Result<Vec<Issue>, CredentialError> {
        verify_certificates(&self.genesis, &self.certificates, policy)
    }
}

impl Logged {
    pub(crate) fn encode(&self, out: &mut Encoder) {
        out.array(2).bytes(&self.transaction).text(&self.proof);
    }

    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.array_exact(2)?;
        Ok(Self {
            transaction: from.bytes_max("a transaction", SIGNED_BYTES_MAX)?.into(),
            proof: from.text("a proof", PROOF_BYTES_MAX)?.into(),
        })
    }

    /// Checks the proof of logging, and that its checkpoint is of `origin`. Gives the index.
    fn check(&self, what: &'static str, origin: &str, policy: &Policy) -> Result<u64, CredentialError> {
        let failed = |cause| CredentialError::Proof { what, cause };
        let proof = LogProof::parse(&self.proof).map_err(failed)?;
        let trusted = proof.verify(tree::leaf_hash(&self.transaction), policy).map_err(failed)?;
        if trusted.checkpoint.origin != origin {
            return Err(CredentialError::Genesis("the checkpoint is of another ledger than the transaction names"));
        }
        Ok(proof.index)
    }
}

/// Checks a genesis and gateway certificates: on the ledger, signed by whom they must be, of one ledger.
pub(crate) fn verify_certificates(
    genesis: &Logged,
    certificates: &[Logged],
    policy: &Policy,
) -> Result<Vec<Issue>, CredentialError> {
    let parsed = Unverified::<Genesis>::parse(&genesis.transaction)?;
    let founder = parsed.claims().members.first().ok_or(CredentialError::Genesis("it has no members"))?.key;
    let founding = parsed.verify(&founder)?;
    let founding = founding.statement();
    if genesis.check("genesis", &founding.origin, policy)? != 0 {
        return Err(CredentialError::Genesis("it is not the ledger's first transaction"));
    }
    let is_vote = |logged: &&Logged| transaction::kind(&logged.transaction) == Ok(Kind::Member);
    let roll = Roll::read(founding, certificates.iter().filter(is_vote), policy)?;
    certificates
        .iter()
        .filter(|logged| !is_vote(logged))
        .map(|logged| {
            let parsed = Unverified::<Certificate>::parse(&logged.transaction)?;
            let author = roll.find(parsed.key_id());
            let author = author.ok_or(CredentialError::Certificate("its author is no member of the ledger"))?;
            let signed = parsed.verify(&author.key)?;
            let index = logged.check("certificate", &founding.origin, policy)?;
            if !roll.at(index).contains(author) {
                return Err(CredentialError::Certificate("its author was no member of the ledger then"));
            }
            match signed.statement() {
                Certificate::Issue(issue) if issue.origin != founding.origin => {
                    Err(CredentialError::Certificate("it was issued for another ledger"))
                }
                Certificate::Issue(issue) if issue.role != Role::Gateway => {
                    Err(CredentialError::Certificate("it is not a gateway's"))
                }
                Certificate::Issue(issue) if !issue.points.is_empty() => {
                    Err(CredentialError::Certificate("a gateway's certificate has no points in its scope"))
                }
                Certificate::Issue(issue) => Ok((**issue).clone()),
                Certificate::Revoke { .. } => Err(CredentialError::Certificate("it is a revocation")),
            }
        })
        .collect()
}

/// Who was a member when, by index in the log: from each index on, until the next.
struct Roll(Vec<(u64, Vec<Member>)>);

impl Roll {
    /// Counts the votes in the order of the log. Each is for the members as the ones before it left them; so none
    /// that took effect can be missing before one that is there.
    fn read<'a>(
        founding: &Genesis,
        votes: impl Iterator<Item = &'a Logged>,
        policy: &Policy,
    ) -> Result<Self, CredentialError> {
        let mut logged = Vec::new();
        for vote in votes {
            let index = vote.check("vote", &founding.origin, policy)?;
            logged.push((index, Unverified::<Vote>::parse(&vote.transaction)?));
        }
        logged.sort_by_key(|(index, _)| *index);
        let (mut members, mut quorum, mut changes) = (founding.members.clone(), founding.quorum, 0);
        let mut ballots: BTreeMap<Hash, BTreeSet<Name>> = BTreeMap::new();
        let mut roll = Vec::from([(0, members.clone())]);
        for (index, parsed) in logged {
            let voter = members.iter().find(|member| member.key.id() == parsed.key_id()).cloned();
            let voter = voter.ok_or(CredentialError::Vote("its author was no member of the ledger then"))?;
            let vote = parsed.verify(&voter.key)?;
            let vote = vote.statement();
            if vote.origin != founding.origin || vote.base != changes {
                return Err(CredentialError::Vote("it is not for the ledger's members as they were then"));
            }
            let voters = ballots.entry(vote.ballot()).or_default();
            voters.insert(voter.name);
            if voters.len() < quorum as usize {
                continue;
            }
            match &vote.change {
                MemberChange::Add(member) => members.push((**member).clone()),
                MemberChange::Remove(name) => members.retain(|member| member.name != *name),
                MemberChange::Quorum(wanted) => quorum = *wanted,
            }
            changes += 1;
            ballots.clear();
            roll.push((index, members.clone()));
        }
        Ok(Self(roll))
    }

    /// Whoever has this key and was a member at some time, the earliest first.
    fn find(&self, key: KeyId) -> Option<&Member> {
        self.0.iter().flat_map(|(_, members)| members).find(|member| member.key.id() == key)
    }

    /// The members when the log held this index.
    fn at(&self, index: u64) -> &[Member] {
        let last = self.0.iter().rev().find(|(since, _)| *since <= index);
        last.map_or(&[], |(_, members)| members.as_slice())
    }
}
