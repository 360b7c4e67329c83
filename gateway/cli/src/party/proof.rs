//! Transactions with their proofs, checked under the party's own policy.

use plomb_seal::{
    Hash, KeyId, LogProof, Malformed, Name, Policy, PublicKey, Statement, Unverified,
    parties::Parties,
    transaction::{
        self, Approval, Certificate, Command, Config, Genesis, Issue, Kind, Outcome, Role, SealingKey, Vote,
    },
    tree,
};

use crate::exit::Failure;

use super::{Hub, Party};

/// A transaction that is on the ledger, as its proof shows.
#[derive(Debug, Clone)]
pub(crate) struct Logged {
    pub(crate) bytes: Vec<u8>,
    pub(crate) proof: String,
    pub(crate) leaf: Hash,
    pub(crate) kind: Kind,
    pub(crate) index: u64,
    /// The ledger's name.
    pub(crate) origin: String,
    /// The date by which it was there, in Unix seconds, if the policy's witnesses tell one.
    pub(crate) dated_s: Option<u64>,
}

impl Logged {
    /// Fetches by leaf hash or index; `None` if the hub says that there is none.
    pub(crate) fn fetch(hub: &mut Hub, party: &Party, which: &str) -> Result<Option<Self>, Failure> {
        let Some(bytes) = hub.find(&format!("/ledger/transactions/{which}/bytes"))? else { return Ok(None) };
        let proof = hub.get(&format!("/ledger/transactions/{which}/proof"))?;
        let proof = String::from_utf8(proof).map_err(|_| Failure::Unproved("its proof is no text".into()))?;
        let logged = Self::check(bytes, proof, &party.policy).map_err(Failure::Unproved)?;
        let asked = hex::decode(which).ok().filter(|_| which.len() == 64).and_then(|bytes| Hash::from_slice(&bytes));
        match (asked, which.parse::<u64>()) {
            (Some(leaf), _) if leaf != logged.leaf => Err(Failure::Unproved("it is another transaction".into())),
            (None, Ok(index)) if index != logged.index => Err(Failure::Unproved("it stands at another index".into())),
            _ => Ok(Some(logged)),
        }
    }

    /// The same of one that must be there.
    pub(crate) fn get(hub: &mut Hub, party: &Party, which: &str) -> Result<Self, Failure> {
        let none =
            || Failure::Unavailable(format!("the ledger holds no transaction {which}: give a leaf hash or an index"));
        Self::fetch(hub, party, which)?.ok_or_else(none)
    }

    /// Checks that it is on the ledger.
    pub(crate) fn check(bytes: Vec<u8>, proof: String, policy: &Policy) -> Result<Self, String> {
        let kind = transaction::kind(&bytes).map_err(|error| error.to_string())?;
        let leaf = tree::leaf_hash(&bytes);
        let parsed = LogProof::parse(&proof).map_err(|error| error.to_string())?;
        let trusted = parsed.verify(leaf, policy).map_err(|error| error.to_string())?;
        let (index, origin) = (parsed.index, trusted.checkpoint.origin);
        Ok(Self { bytes, proof, leaf, kind, index, origin, dated_s: trusted.witnessed_s })
    }

    /// As the evidence has it.
    pub(crate) fn sealed(&self) -> plomb_seal::Logged {
        plomb_seal::Logged { transaction: self.bytes.clone(), proof: self.proof.clone() }
    }
}

/// Reads a statement. Its signature is another question.
pub(crate) fn read_statement<T: Statement + Clone>(bytes: &[u8]) -> Result<T, Failure> {
    let parsed = Unverified::<T>::parse(bytes).map_err(|error| Failure::Unproved(error.to_string()))?;
    Ok(parsed.claims().clone())
}

/// Who signed a transaction.
#[derive(Debug, Clone)]
pub(crate) enum Signer {
    /// A member of the consortium.
    Member(Name),
    /// The holder of a certificate.
    Party(Box<Issue>),
}

impl Signer {
    pub(crate) fn name(&self) -> &Name {
        match self {
            Self::Member(name) => name,
            Self::Party(issue) => &issue.subject,
        }
    }

    /// As what.
    pub(crate) fn role(&self) -> &'static str {
        match self {
            Self::Member(_) => "member",
            Self::Party(issue) => issue.role.name(),
        }
    }
}

/// Finds who signed: a member, or the holder of one of these certificates, each with its index in the log.
pub(crate) fn signer(logged: &Logged, parties: &Parties, issues: &[(u64, Issue)]) -> Result<Signer, String> {
    let bytes = &logged.bytes;
    let ledger = parties.origin();
    let by_member =
        |key: KeyId| parties.member(key, logged.index).map(|member| (member.key, Signer::Member(member.name.clone())));
    let by_party = |role: Role, key: KeyId| {
        let held = |issue: &Issue| {
            logged.dated_s.is_none_or(|dated_s| {
                i64::try_from(dated_s).is_ok_and(|at| (issue.not_before_s..=issue.not_after_s).contains(&at))
            })
        };
        issues
            .iter()
            .find(|(index, issue)| *index < logged.index && issue.role == role && issue.key.id() == key && held(issue))
            .map(|(_, issue)| (issue.key, Signer::Party(Box::new(issue.clone()))))
    };
    match logged.kind {
        Kind::Genesis => checked::<Genesis>(bytes, ledger, |one| &one.origin, by_member),
        Kind::Member => checked::<Vote>(bytes, ledger, |one| &one.origin, by_member),
        Kind::Certificate => checked::<Certificate>(bytes, ledger, certificate_origin, by_member),
        Kind::Anchor => checked_any::<plomb_seal::Anchor>(bytes, |key| by_party(Role::Gateway, key)),
        Kind::SealingKey => checked::<SealingKey>(bytes, ledger, |one| &one.origin, |key| by_party(Role::Gateway, key)),
        Kind::Outcome => checked::<Outcome>(bytes, ledger, |one| &one.origin, |key| by_party(Role::Gateway, key)),
        Kind::Config => checked::<Config>(bytes, ledger, |one| &one.origin, |key| by_party(Role::Admin, key)),
        Kind::Command => checked::<Command>(bytes, ledger, |one| &one.origin, |key| by_party(Role::Operator, key)),
        Kind::Approval => checked::<Approval>(bytes, ledger, |one| &one.origin, |key| by_party(Role::Operator, key)),
    }
}

fn certificate_origin(certificate: &Certificate) -> &String {
    match certificate {
        Certificate::Issue(issue) => &issue.origin,
        Certificate::Revoke { origin, .. } => origin,
    }
}

fn checked<T: Statement>(
    bytes: &[u8],
    ledger: &str,
    origin: impl Fn(&T) -> &String,
    find: impl Fn(KeyId) -> Option<(PublicKey, Signer)>,
) -> Result<Signer, String> {
    let parsed = Unverified::<T>::parse(bytes).map_err(|error: Malformed| error.to_string())?;
    if origin(parsed.claims()) != ledger {
        return Err("it is meant for another ledger".into());
    }
    checked_any::<T>(bytes, find)
}

fn checked_any<T: Statement>(
    bytes: &[u8],
    find: impl Fn(KeyId) -> Option<(PublicKey, Signer)>,
) -> Result<Signer, String> {
    let parsed = Unverified::<T>::parse(bytes).map_err(|error| error.to_string())?;
    let key = parsed.key_id();
    let (public, signer) = find(key).ok_or_else(|| format!("nobody who may has the key {key} that signed it"))?;
    parsed.verify(&public).map_err(|error| error.to_string())?;
    Ok(signer)
}
