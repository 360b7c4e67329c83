//! The state machine: who takes part, and where each gateway's chain stands.
//!
//! [`State::apply`] is a function of the state, the log so far, the transaction and the block's time. It
//! has no clock and no I/O of its own: what it must know of the log it asks of a [`History`]. Every node
//! that applies the same transactions in the same order comes to the same [`State::hash`].
//!
//! A transaction is admitted as an [`Admission`]: the records that it writes, and its line in the history. What is
//! refused writes nothing.
//!
//! Configurations and commands stay known for ever, but not in memory: the state holds what each gateway has yet to
//! do ([`Register`]), the history the rest ([`Order`]).

mod judge;
mod line;
mod record;
mod rules;
mod status;
mod x509;

use std::collections::{BTreeMap, BTreeSet};

use plomb_seal::{
    Hash, KeyId, Name,
    note::VerifierKey,
    transaction::{Member, Role},
    tree,
};

pub use line::Line;
pub use record::{
    Admitted, Answered, Approved, Ballot, COMMANDS_OPEN_MAX, CONFIGS_PENDING_MAX, CertificateRecord, Change,
    CommandRecord, ConfigRecord, Consortium, FORMER_MAX, Former, Founding, GatewayRecord, OpenCommand, Order,
    PendingConfig, Register, Revocation, Sealing, VOTES_OPEN_MAX,
};
pub use rules::{COMMAND_LIFE_DAYS_MAX, COUNTER_STEP_MAX, SEALED_BYTES_MIN, WINDOW_AHEAD_DAYS_MAX};
pub use status::{Due, Standing, Status};

/// The most certificates that a ledger records.
pub const CERTIFICATES_MAX: usize = 262_144;
/// The longest detail of a refusal, in bytes: what fits a text in a [`plomb_seal::Refusal`].
pub const DETAIL_BYTES_MAX: usize = 240;

/// A transaction breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rule {rule}: {detail}")]
pub struct Refused {
    /// The rule's name, in kebab case.
    pub rule: &'static str,
    /// What the rule saw, and what to do about it.
    pub detail: String,
}

impl Refused {
    /// A refusal with its detail cut to [`DETAIL_BYTES_MAX`].
    pub fn new(rule: &'static str, detail: impl Into<String>) -> Self {
        let mut detail: String = detail.into();
        while detail.len() > DETAIL_BYTES_MAX {
            detail.pop();
        }
        Self { rule, detail }
    }
}

/// What the rules must know of the log before the transaction.
pub trait History {
    /// Why the log can't be read.
    type Error;

    /// How many transactions the log holds.
    fn size(&self) -> u64;

    /// The index of the transaction with this leaf hash.
    fn index_of(&self, leaf: &Hash) -> Result<Option<u64>, Self::Error>;

    /// The hash of the anchor that holds this number.
    fn anchor(&self, gateway: &Name, epoch: u32, batch: u64) -> Result<Option<Hash>, Self::Error>;

    /// The configuration or command with this leaf hash.
    fn order(&self, leaf: &Hash) -> Result<Option<Order>, Self::Error>;

    /// The root over the first `size` leaves; asked only for `size` up to [`size`](Self::size).
    fn root(&self, size: u64) -> Result<Hash, Self::Error>;
}

/// What stands around a transaction: the block, and the log it goes to.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The block's time, in Unix milliseconds.
    pub time_ms: i64,
    /// The key that signs this log's checkpoints.
    pub log: &'a VerifierKey,
    /// The key that dates them.
    pub witness: &'a VerifierKey,
}

/// What becomes of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It holds, and does this.
    Admitted(Admission),
    /// The same bytes stand in the log already, at this index. Nothing is written.
    Known(u64),
    /// It breaks a rule. Nothing is written.
    Refused(Refused),
}

/// What an admitted transaction does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// The records that it writes, in order.
    pub changes: Vec<Change>,
    /// Its line in the history. Anchors have none: the archive lists them.
    pub line: Option<Line>,
}

/// Why a transaction is not admitted, or can't be judged.
enum Stop<E> {
    Refused(Refused),
    History(E),
}

impl<E> From<Refused> for Stop<E> {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// The state of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    founding: Option<Founding>,
    certificates: BTreeMap<Hash, CertificateRecord>,
    /// The fingerprints of the certificates of a key id, revoked ones too. Key ids may collide.
    by_key: BTreeMap<KeyId, BTreeSet<Hash>>,
    roles: BTreeMap<Name, Role>,
    gateways: BTreeMap<Name, GatewayRecord>,
    consortium: Option<Consortium>,
    registers: BTreeMap<Name, Register>,
    hash: Hash,
}

impl Default for State {
    /// Nothing: no members, nobody certified.
    fn default() -> Self {
        Self {
            founding: None,
            certificates: BTreeMap::new(),
            by_key: BTreeMap::new(),
            roles: BTreeMap::new(),
            gateways: BTreeMap::new(),
            consortium: None,
            registers: BTreeMap::new(),
            hash: Hash::ZERO,
        }
    }
}

impl State {
    /// Judges a transaction. The state stays as it is: [`take`](Self::take) writes the change.
    pub fn apply<H: History>(
        &self,
        transaction: &[u8],
        context: Context<'_>,
        history: &H,
    ) -> Result<Verdict, H::Error> {
        if let Some(index) = history.index_of(&tree::leaf_hash(transaction))? {
            return Ok(Verdict::Known(index));
        }
        match self.judge(transaction, context, history) {
            Ok(admission) => Ok(Verdict::Admitted(admission)),
            Err(Stop::Refused(refused)) => Ok(Verdict::Refused(refused)),
            Err(Stop::History(error)) => Err(error),
        }
    }

    /// Writes what an admitted transaction changes. `leaf` is its leaf hash.
    pub fn take(&mut self, leaf: &Hash, changes: Vec<Change>) {
        self.hash = record::chain(&self.hash, leaf, &changes);
        changes.into_iter().for_each(|change| self.put(change));
    }

    /// Puts a record back as it was stored, without moving the state hash.
    pub(crate) fn put(&mut self, change: Change) {
        match change {
            Change::Founded(founding) => self.founding = Some(founding),
            Change::Certificate(fingerprint, record) => {
                self.by_key.entry(record.key.id()).or_default().insert(fingerprint);
                self.roles.insert(record.subject.clone(), record.role);
                self.certificates.insert(fingerprint, *record);
            }
            Change::Gateway(gateway, record) => {
                self.gateways.insert(gateway, record);
            }
            Change::Consortium(consortium) => self.consortium = Some(*consortium),
            Change::Register(gateway, register) => {
                self.registers.insert(gateway, *register);
            }
            // Kept in the history alone.
            Change::Order(..) => {}
        }
    }

    pub(crate) fn set_hash(&mut self, hash: Hash) {
        self.hash = hash;
    }

    /// The hash that binds every change so far, in order: [`Hash::ZERO`] at first, then SHA-256 of the
    /// hash before, the transaction's leaf hash and the deterministic CBOR of what it changed.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Who founded the ledger, once it is founded.
    pub fn founding(&self) -> Option<&Founding> {
        self.founding.as_ref()
    }

    /// The members, as the genesis and the votes since then have it.
    pub fn members(&self) -> &[Member] {
        match (&self.consortium, &self.founding) {
            (Some(consortium), _) => &consortium.members,
            (None, Some(founding)) => &founding.members,
            (None, None) => &[],
        }
    }

    /// Members, quorum and undecided votes; `None` before the genesis.
    pub fn consortium(&self) -> Option<Consortium> {
        self.consortium.clone().or_else(|| self.founding.as_ref().map(Consortium::founded))
    }

    /// What a gateway was told to do, and to which key it is sealed to.
    pub fn register(&self, gateway: &Name) -> Option<&Register> {
        self.registers.get(gateway)
    }

    /// What all gateways were told to do, by name.
    pub fn registers(&self) -> impl Iterator<Item = (&Name, &Register)> {
        self.registers.iter()
    }

    /// The certificate with this fingerprint.
    pub fn certificate(&self, fingerprint: &Hash) -> Option<&CertificateRecord> {
        self.certificates.get(fingerprint)
    }

    /// All certificates, by fingerprint.
    pub fn certificates(&self) -> impl Iterator<Item = (&Hash, &CertificateRecord)> {
        self.certificates.iter()
    }

    /// Where a gateway's chain stands.
    pub fn gateway(&self, name: &Name) -> Option<&GatewayRecord> {
        self.gateways.get(name)
    }

    /// All gateways that ever anchored.
    pub fn gateways(&self) -> impl Iterator<Item = (&Name, &GatewayRecord)> {
        self.gateways.iter()
    }

    /// The certificates of a key id.
    pub fn certificates_of_key(&self, key: KeyId) -> impl Iterator<Item = (&Hash, &CertificateRecord)> {
        let fingerprints = self.by_key.get(&key).into_iter().flatten();
        fingerprints.filter_map(|fingerprint| self.certificates.get_key_value(fingerprint))
    }

    /// The certificate by which a key signs for a gateway at this time (rule `anchor-known-certificate`).
    pub fn gateway_certificate(&self, gateway: &Name, key: KeyId, time_ms: i64) -> Result<&CertificateRecord, Refused> {
        rules::holder("anchor-known-certificate", self, (Role::Gateway, Some(gateway)), key, time_ms)
    }
}
