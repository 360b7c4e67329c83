//! The state machine: who takes part, and where each gateway's chain stands.
//!
//! [`State::apply`] is a function of the state, the log so far, the transaction and the block's time. It
//! has no clock and no I/O of its own: what it must know of the log it asks of a [`History`]. Every node
//! that applies the same transactions in the same order comes to the same [`State::hash`].
//!
//! A transaction is admitted as a [`Change`], one record that it writes. What is refused writes nothing.

mod record;
mod rules;
mod x509;

use std::collections::{BTreeMap, BTreeSet};

use plomb_seal::{
    Anchor, Hash, KeyId, Malformed, Name, Unverified,
    note::VerifierKey,
    transaction::{self, Certificate, Genesis, Kind, Role},
    tree,
};

pub use record::{CertificateRecord, Change, Founding, GatewayRecord, Revocation};

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
    /// It holds, and writes this record.
    Admitted(Box<Change>),
    /// The same bytes stand in the log already, at this index. Nothing is written.
    Known(u64),
    /// It breaks a rule. Nothing is written.
    Refused(Refused),
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
            Ok(change) => Ok(Verdict::Admitted(Box::new(change))),
            Err(Stop::Refused(refused)) => Ok(Verdict::Refused(refused)),
            Err(Stop::History(error)) => Err(error),
        }
    }

    /// Writes an admitted change. `leaf` is the transaction's leaf hash.
    pub fn take(&mut self, leaf: &Hash, change: Change) {
        self.hash = change.chain(&self.hash, leaf);
        self.put(change);
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
        }
    }

    pub(crate) fn set_hash(&mut self, hash: Hash) {
        self.hash = hash;
    }

    /// The hash that binds every change so far, in order: [`Hash::ZERO`] at first, then SHA-256 of the
    /// hash before, the transaction's leaf hash and the change's deterministic CBOR.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Who founded the ledger, once it is founded.
    pub fn founding(&self) -> Option<&Founding> {
        self.founding.as_ref()
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
        rules::anchor_known_certificate(self, gateway, key, time_ms)
    }

    fn judge<H: History>(
        &self,
        transaction: &[u8],
        context: Context<'_>,
        history: &H,
    ) -> Result<Change, Stop<H::Error>> {
        let kind = transaction::kind(transaction).map_err(|error| transaction_form(&error))?;
        rules::genesis_first(self, kind)?;
        match kind {
            Kind::Genesis => Ok(self.judge_genesis(transaction)?),
            Kind::Certificate => Ok(self.judge_certificate(transaction, context)?),
            Kind::Anchor => self.judge_anchor(transaction, context, history),
        }
    }

    fn judge_genesis(&self, transaction: &[u8]) -> Result<Change, Refused> {
        rules::genesis_once(self)?;
        let parsed = Unverified::<Genesis>::parse(transaction).map_err(|error| transaction_form(&error))?;
        rules::genesis_members(parsed.claims())?;
        let Some(founder) = parsed.claims().members.first().map(|member| member.key) else {
            return Err(Refused::new("genesis-members", "a ledger needs at least one member"));
        };
        let signed = parsed.verify(&founder).map_err(|error| signature(&error))?;
        let Genesis { origin, members, quorum } = signed.statement().clone();
        Ok(Change::Founded(Founding { origin, members, quorum, transaction: signed.hash() }))
    }

    fn judge_certificate(&self, transaction: &[u8], context: Context<'_>) -> Result<Change, Refused> {
        let parsed = Unverified::<Certificate>::parse(transaction).map_err(|error| transaction_form(&error))?;
        let author = rules::known_author(self, parsed.key_id())?;
        let signed = parsed.verify(&author.key).map_err(|error| signature(&error))?;
        match signed.statement() {
            Certificate::Issue(issue) => {
                rules::certificate_origin(self, &issue.origin)?;
                rules::certificate_unique(self, issue)?;
                rules::certificate_role(self, issue)?;
                rules::certificate_validity(issue, context.time_ms)?;
                x509::certificate_fields_match_x509(issue, author)?;
                let record = CertificateRecord {
                    subject: issue.subject.clone(),
                    role: issue.role,
                    scope: issue.scope.clone(),
                    key: issue.key,
                    not_before_s: issue.not_before_s,
                    not_after_s: issue.not_after_s,
                    author: author.name.clone(),
                    transaction: signed.hash(),
                    revoked: None,
                };
                Ok(Change::Certificate(issue.fingerprint(), Box::new(record)))
            }
            Certificate::Revoke { origin, fingerprint, reason } => {
                rules::certificate_origin(self, origin)?;
                let found = rules::revoke_known(self, fingerprint)?;
                rules::revoke_author(found, author)?;
                let revoked = Some(Revocation { reason: reason.clone(), time_ms: context.time_ms });
                Ok(Change::Certificate(*fingerprint, Box::new(CertificateRecord { revoked, ..found.clone() })))
            }
        }
    }

    fn judge_anchor<H: History>(
        &self,
        transaction: &[u8],
        context: Context<'_>,
        history: &H,
    ) -> Result<Change, Stop<H::Error>> {
        let parsed = Unverified::<Anchor>::parse(transaction).map_err(|error| transaction_form(&error))?;
        let certificate =
            rules::anchor_known_certificate(self, &parsed.claims().gateway, parsed.key_id(), context.time_ms)?;
        let signed = parsed.verify(&certificate.key).map_err(|error| signature(&error))?;
        let anchor = signed.statement();
        let held = history.anchor(&anchor.gateway, anchor.epoch, anchor.batch).map_err(Stop::History)?;
        rules::anchor_no_fork(anchor, held)?;
        rules::anchor_continuous(self.gateway(&anchor.gateway), anchor)?;
        rules::anchor_epoch(self.gateway(&anchor.gateway), anchor)?;
        if let Some(note) = &anchor.checkpoint {
            let checkpoint = rules::anchor_checkpoint_signed(note, context.log)?;
            rules::anchor_checkpoint_present(&checkpoint, history.size())?;
            rules::anchor_checkpoint_dated(note, context.witness, context.time_ms)?;
            let root = history.root(checkpoint.size).map_err(Stop::History)?;
            rules::anchor_checkpoint_root(&checkpoint, &root)?;
        }
        let record = GatewayRecord {
            epoch: anchor.epoch,
            batch: anchor.batch,
            last_seq: anchor.last_seq(),
            anchor: signed.hash(),
            head: anchor.head,
            closed_ms: anchor.closed_ms,
            anchored_ms: context.time_ms,
        };
        Ok(Change::Gateway(anchor.gateway.clone(), record))
    }
}

/// Rule `transaction-form`: the bytes are a transaction of a known kind and version.
fn transaction_form(error: &Malformed) -> Refused {
    Refused::new("transaction-form", format!("{error}; the sender's program is broken or too new for this ledger"))
}

/// Rule `signature`: the key that the header names made the signature.
fn signature(error: &Malformed) -> Refused {
    Refused::new("signature", error.to_string())
}
