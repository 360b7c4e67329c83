//! Credentials: what a hub hands to a gateway when it is certified, in one file.

use alloc::{string::String, vec::Vec};

use crate::{
    LogProof, Malformed, Policy, PolicyError, ProofError, SIGNED_BYTES_MAX,
    cbor::{Decoder, Encoder},
    parties::Parties,
    policy::POLICY_BYTES_MAX,
    proof::PROOF_BYTES_MAX,
    transaction::{Issue, Role},
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
    pub(crate) fn check(&self, what: &'static str, origin: &str, policy: &Policy) -> Result<u64, CredentialError> {
        self.dated(what, origin, policy).map(|(index, _)| index)
    }

    /// As [`check`](Self::check). Gives the date of the checkpoint, too, if the policy's witnesses tell one.
    pub(crate) fn dated(
        &self,
        what: &'static str,
        origin: &str,
        policy: &Policy,
    ) -> Result<(u64, Option<u64>), CredentialError> {
        let failed = |cause| CredentialError::Proof { what, cause };
        let proof = LogProof::parse(&self.proof).map_err(failed)?;
        let trusted = proof.verify(tree::leaf_hash(&self.transaction), policy).map_err(failed)?;
        if trusted.checkpoint.origin != origin {
            return Err(CredentialError::Genesis("the checkpoint is of another ledger than the transaction names"));
        }
        Ok((proof.index, trusted.witnessed_s))
    }
}

/// Checks a genesis and gateway certificates: on the ledger, signed by whom they must be, of one ledger.
pub(crate) fn verify_certificates(
    genesis: &Logged,
    certificates: &[Logged],
    policy: &Policy,
) -> Result<Vec<Issue>, CredentialError> {
    let parties = Parties::read(genesis, certificates, policy)?;
    parties
        .certificates(certificates)
        .map(|logged| match parties.issue(logged, policy)?.1 {
            issue if issue.role != Role::Gateway => Err(CredentialError::Certificate("it is not a gateway's")),
            issue if !issue.points.is_empty() => {
                Err(CredentialError::Certificate("a gateway's certificate has no points in its scope"))
            }
            issue => Ok(issue),
        })
        .collect()
}
