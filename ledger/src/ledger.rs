//! The ledger itself: applies ordered blocks, and keeps state, log and archive in one file.
//!
//! A block is one redb transaction: durable at once, in two phases. Log, archive, records, state hash,
//! height and the checkpoint that was signed over them stand in the same commit. Nothing of a block is
//! told to anybody before that commit is durable; so no checkpoint is ever published that a later start
//! could contradict.
//!
//! The ledger's dates never go back, whatever the clock does: neither behind a block nor behind a checkpoint
//! that was given out. A gateway that saw that checkpoint names it in its next anchor, and a receipt of an
//! earlier date would then say that the anchor was on the ledger before it was made.

use std::{
    collections::BTreeSet,
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
};

use plomb_seal::{Hash, LogProof, Logged, Name, Receipt, Unverified, note::VerifierKey, tree};
use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
    backends::FileBackend,
};
use tokio::sync::{broadcast, watch};

use crate::{
    LedgerError,
    archive::{self, Archived, Beside},
    block::{Block, Head},
    history, log, orders,
    state::{Admission, Change, Context, GatewayRecord, History, Order, Refused, State, Verdict},
};

/// The head of every block that admitted something, by the size of the log after it.
pub(crate) const HEADS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("heads");
/// The state's records: founding, certificates, gateways, consortium, registers; by kind and key.
const RECORDS: TableDefinition<'_, (u8, &[u8]), &[u8]> = TableDefinition::new("records");

/// The ledger's own clock: the date of the newest checkpoint that was given out between blocks.
const CLOCK: TableDefinition<'_, &str, i64> = TableDefinition::new("clock");
const GIVEN_OUT: &str = "checkpoint-ms";

/// Changed registers that a listener may be behind; one that is further behind is told so, and looks at all.
const REGISTERS_BEHIND_MAX: usize = 1_024;

/// Memory for redb's page cache, in bytes.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

pub use crate::signers::Signers;

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It was appended to the log at this index.
    Admitted {
        /// Its index.
        index: u64,
    },
    /// The same bytes stood there already.
    Known {
        /// Their index.
        index: u64,
    },
    /// It broke a rule.
    Refused(Refused),
}

/// What only the applying of blocks touches.
struct Writing {
    state: State,
    /// The last block that was delivered, whether it admitted anything or not.
    height: u64,
    /// The newest date that was given out: of a block, or of a checkpoint between blocks.
    newest_ms: i64,
    failed: bool,
}

/// The ledger of one node.
pub struct Ledger {
    db: Database,
    signers: Signers,
    log_key: VerifierKey,
    witness_key: VerifierKey,
    writing: Mutex<Writing>,
    /// The state as of the last durable commit; what everybody but the writer sees.
    published: RwLock<State>,
    head: watch::Sender<Head>,
    certificates: watch::Sender<u64>,
    orders: watch::Sender<u64>,
    registers: broadcast::Sender<Name>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("origin", &self.signers.origin).finish_non_exhaustive()
    }
}

impl Ledger {
    /// Opens the ledger's file, or makes it, and checks every page of it. What households consume stands in it: only its owner reads it.
    pub fn open(path: &Path, signers: Signers) -> Result<Self, LedgerError> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let backend = FileBackend::new(file.map_err(redb::Error::Io)?)?;
        let mut builder = Database::builder();
        // Reads the whole file once. What a bad disk or a bad copy bent is found now, and not served as true.
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        Self::with_database(builder.create_with_backend(backend)?, signers)
    }

    /// The ledger in an opened database.
    pub fn with_database(db: Database, signers: Signers) -> Result<Self, LedgerError> {
        create_tables(&db)?;
        let (head, state, given_out_ms) = load(&db)?;
        if let Some(founding) = state.founding().filter(|founding| founding.origin != signers.origin) {
            return Err(LedgerError::OtherLedger {
                found: founding.origin.clone(),
                configured: signers.origin.clone(),
            });
        }
        let writing = Writing {
            state: state.clone(),
            height: head.height,
            newest_ms: head.time_ms.max(given_out_ms),
            failed: false,
        };
        let ledger = Self {
            db,
            log_key: signers.log_key(),
            witness_key: signers.witness_key(),
            signers,
            writing: Mutex::new(writing),
            published: RwLock::new(state),
            head: watch::Sender::new(head),
            certificates: watch::Sender::new(0),
            orders: watch::Sender::new(0),
            registers: broadcast::Sender::new(REGISTERS_BEHIND_MAX),
        };
        ledger.begin_history()?;
        Ok(ledger)
    }

    /// Makes the tables of the history, and fills them from a log that is older than they are.
    fn begin_history(&self) -> Result<(), LedgerError> {
        if history::Reader::open(&self.begin_read()?)?.is_some() {
            return Ok(());
        }
        let retold = self.retold()?;
        let mut txn = self.db.begin_write()?;
        txn.set_two_phase_commit(true);
        {
            let (mut history, mut orders) = (history::Writer::open(&txn)?, orders::Writer::open(&txn)?);
            for (index, entry) in &retold.lines {
                history.put(*index, entry)?;
            }
            for (leaf, order) in &retold.orders {
                orders.put(leaf, order)?;
            }
        }
        Ok(txn.commit()?)
    }

    /// The height of the last block that the ledger was given.
    pub fn height(&self) -> u64 {
        self.writing().height
    }

    /// Applies a block: one durable commit, or none if nothing is admitted. Gives an answer for each
    /// transaction, in order; none for a block that was applied before.
    ///
    /// `beside` has, for each transaction, the batch to archive with it.
    pub fn deliver(&self, block: &Block, beside: &[Option<Beside>]) -> Result<Vec<Answer>, LedgerError> {
        let mut writing = self.writing();
        if writing.failed {
            return Err(LedgerError::Stopped);
        }
        if block.height <= writing.height {
            return Ok(Vec::new());
        }
        if block.height != writing.height + 1 {
            return Err(LedgerError::Skipped { expected: writing.height + 1, found: block.height });
        }
        // Until the commit is durable, memory is ahead of the disk: a failure in between is final.
        writing.failed = true;
        let applied = self.apply(&mut writing, block, beside)?;
        writing.failed = false;
        writing.height = block.height;
        writing.newest_ms = writing.newest_ms.max(block.time_ms);
        if let Some(head) = applied.head {
            self.publish(applied.changes, head);
        }
        Ok(applied.answers)
    }

    fn apply(&self, writing: &mut Writing, block: &Block, beside: &[Option<Beside>]) -> Result<Applied, LedgerError> {
        let time_ms = block.time_ms.max(writing.newest_ms);
        let mut txn = self.db.begin_write()?;
        txn.set_durability(Durability::Immediate)?;
        txn.set_two_phase_commit(true);
        let mut applied = Applied::default();
        let mut head = None;
        {
            let mut tables = Tables {
                log: log::Writer::open(&txn)?,
                archive: archive::Writer::open(&txn)?,
                orders: orders::Writer::open(&txn)?,
                history: history::Writer::open(&txn)?,
            };
            let context = Context { time_ms, log: &self.log_key, witness: &self.witness_key };
            for (index, transaction) in block.transactions.iter().enumerate() {
                let beside = beside.get(index).and_then(Option::as_ref);
                let answer = tables.admit(writing, transaction, beside, context, &mut applied.changes)?;
                applied.answers.push(answer);
            }
            if !applied.changes.is_empty() {
                let size = tables.log.size();
                let note = self.signers.sign(size, tables.log.root(size)?, time_ms)?;
                head = Some(Head { height: block.height, time_ms, size, state: writing.state.hash(), note });
            }
        }
        match head {
            None => txn.abort()?,
            Some(head) => {
                store(&txn, &applied.changes, &head)?;
                txn.commit()?;
                applied.head = Some(head);
            }
        }
        Ok(applied)
    }

    fn publish(&self, changes: Vec<(Hash, Vec<Change>)>, head: Head) {
        let any = |of: fn(&Change) -> bool| changes.iter().any(|(_, changes)| changes.iter().any(of));
        let certificates =
            any(|change| matches!(change, Change::Founded(_) | Change::Certificate(..) | Change::Consortium(_)));
        let registers: BTreeSet<Name> = changes
            .iter()
            .flat_map(|(_, changes)| changes)
            .filter_map(|change| match change {
                Change::Register(gateway, _) => Some(gateway.clone()),
                _ => None,
            })
            .collect();
        {
            let mut state = self.published.write().unwrap_or_else(PoisonError::into_inner);
            for (leaf, changes) in changes {
                state.take(&leaf, changes);
            }
        }
        self.head.send_replace(head);
        if certificates {
            self.certificates.send_modify(|count| *count += 1);
        }
        if !registers.is_empty() {
            self.orders.send_modify(|count| *count += 1);
        }
        for gateway in registers {
            // An error says that nobody listens.
            let _ = self.registers.send(gateway);
        }
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin_read(&self) -> Result<ReadTransaction, LedgerError> {
        Ok(self.db.begin_read()?)
    }

    /// The name and keys that the ledger signs with.
    pub fn signers(&self) -> &Signers {
        &self.signers
    }

    /// The state after the last durable block. Hold the guard shortly: commits wait for it.
    pub fn state(&self) -> RwLockReadGuard<'_, State> {
        self.published.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of the ledger, and every change of it.
    pub fn head(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    /// A counter that grows with every change of who may take part.
    pub fn certificate_changes(&self) -> watch::Receiver<u64> {
        self.certificates.subscribe()
    }

    /// A counter that grows with every change of what some gateway is to do ([`State::due`]).
    pub fn order_changes(&self) -> watch::Receiver<u64> {
        self.orders.subscribe()
    }

    /// The gateways whose line of orders changes from now on, each after its commit.
    pub fn register_changes(&self) -> broadcast::Receiver<Name> {
        self.registers.subscribe()
    }

    /// The newest checkpoint, cosigned anew at this time; `None` before the first block. Never of an earlier
    /// date than what was given out before, and durable as that before it is given out: one commit.
    pub fn fresh_checkpoint(&self, time_ms: i64) -> Result<Option<String>, LedgerError> {
        let mut writing = self.writing();
        if writing.failed {
            return Err(LedgerError::Stopped);
        }
        let size = self.head.borrow().size;
        if size == 0 {
            return Ok(None);
        }
        let root = log::Reader::open(&self.begin_read()?)?.root(size)?;
        if time_ms > writing.newest_ms {
            writing.failed = true;
            self.note_given_out(time_ms)?;
            writing.failed = false;
            writing.newest_ms = time_ms;
        }
        self.signers.sign(size, root, writing.newest_ms).map(Some)
    }

    fn note_given_out(&self, time_ms: i64) -> Result<(), LedgerError> {
        let mut txn = self.db.begin_write()?;
        txn.set_durability(Durability::Immediate)?;
        txn.set_two_phase_commit(true);
        txn.open_table(CLOCK)?.insert(GIVEN_OUT, time_ms)?;
        Ok(txn.commit()?)
    }

    /// The newest date that was given out, in Unix milliseconds: no later one will be earlier. `None` before
    /// the first block.
    pub fn newest_ms(&self) -> Option<i64> {
        Some(self.writing().newest_ms).filter(|newest_ms| *newest_ms > i64::MIN)
    }

    /// A transaction's bytes.
    pub fn transaction(&self, index: u64) -> Result<Option<Vec<u8>>, LedgerError> {
        log::Reader::open(&self.begin_read()?)?.leaf(index)
    }

    /// The index of a transaction, by its leaf hash.
    pub fn index_of(&self, leaf: &Hash) -> Result<Option<u64>, LedgerError> {
        log::Reader::open(&self.begin_read()?)?.index_of(leaf)
    }

    /// A transaction with the proof that its block gave it; the same bytes however often it is asked.
    pub fn logged(&self, leaf: &Hash) -> Result<Option<Logged>, LedgerError> {
        let txn = self.begin_read()?;
        let log = log::Reader::open(&txn)?;
        let Some(index) = log.index_of(leaf)? else {
            return Ok(None);
        };
        let missing = || LedgerError::Damaged(format!("transaction {index} has no bytes or no block"));
        let transaction = log.leaf(index)?.ok_or_else(missing)?;
        let heads = txn.open_table(HEADS)?;
        let (size, head) = heads.range(index + 1..)?.next().ok_or_else(missing)??;
        let (size, head) = (size.value(), Head::parse(head.value())?);
        let proof = LogProof { index, path: log.inclusion_path(index, size)?, note: head.note };
        Ok(Some(Logged { transaction, proof: proof.to_text() }))
    }

    /// The receipt of an anchor, by the anchor's hash.
    pub fn receipt(&self, anchor: &Hash) -> Result<Option<Receipt>, LedgerError> {
        let logged = self.logged(anchor)?;
        Ok(logged.map(|Logged { transaction, proof }| Receipt { anchor: transaction, proof }))
    }

    /// A gateway's first archived batch at `from` (epoch, number) or after.
    pub fn archived(&self, gateway: &Name, from: (u32, u64)) -> Result<Option<Archived>, LedgerError> {
        archive::Reader::open(&self.begin_read()?)?.next(gateway, from)
    }

    /// The consistency proof between two sizes of the log.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, LedgerError> {
        log::Reader::open(&self.begin_read()?)?.consistency_path(old, new)
    }
}

/// What a block did.
#[derive(Default)]
struct Applied {
    answers: Vec<Answer>,
    changes: Vec<(Hash, Vec<Change>)>,
    head: Option<Head>,
}

/// What admitted transactions are written to, under the block's write transaction.
struct Tables<'txn> {
    log: log::Writer<'txn>,
    archive: archive::Writer<'txn>,
    orders: orders::Writer<'txn>,
    history: history::Writer<'txn>,
}

impl Tables<'_> {
    fn admit(
        &mut self,
        writing: &mut Writing,
        transaction: &[u8],
        beside: Option<&Beside>,
        context: Context<'_>,
        applied: &mut Vec<(Hash, Vec<Change>)>,
    ) -> Result<Answer, LedgerError> {
        let Admission { changes, line } = match writing.state.apply(transaction, context, self)? {
            Verdict::Known(index) => return Ok(Answer::Known { index }),
            Verdict::Refused(refused) => return Ok(Answer::Refused(refused)),
            Verdict::Admitted(admission) => admission,
        };
        let leaf = tree::leaf_hash(transaction);
        for change in &changes {
            match change {
                Change::Gateway(gateway, record) => {
                    if let Err(refused) = batch_continues(writing.state.gateway(gateway), record, beside) {
                        return Ok(Answer::Refused(refused));
                    }
                    self.archive.put((gateway, record.epoch, record.batch), &leaf, beside)?;
                }
                Change::Order(leaf, order) => self.orders.put(leaf, order)?,
                Change::Founded(_) | Change::Certificate(..) | Change::Consortium(_) | Change::Register(..) => {}
            }
        }
        let index = self.log.append(transaction)?;
        if let Some(line) = line {
            self.history.put(index, &history::Entry { time_ms: context.time_ms, transaction: leaf, line })?;
        }
        writing.state.take(&leaf, changes.clone());
        applied.push((leaf, changes));
        Ok(Answer::Admitted { index })
    }
}

/// `batch-continues`: within an epoch, the batch's first entry names the last anchor's head.
///
/// A rule of the node that archives, not of the state machine: other nodes see anchors alone.
fn batch_continues(
    last: Option<&GatewayRecord>,
    record: &GatewayRecord,
    beside: Option<&Beside>,
) -> Result<(), Refused> {
    let Some((last, beside)) = last.filter(|last| last.epoch == record.epoch).zip(beside) else {
        return Ok(());
    };
    if beside.before() == last.head {
        return Ok(());
    }
    let detail = format!("the batch's first entry names {}, the last anchor's head is {}", beside.before(), last.head);
    Err(Refused::new("batch-continues", detail))
}

impl History for Tables<'_> {
    type Error = LedgerError;

    fn size(&self) -> u64 {
        self.log.size()
    }

    fn index_of(&self, leaf: &Hash) -> Result<Option<u64>, LedgerError> {
        self.log.index_of(leaf)
    }

    fn anchor(&self, gateway: &Name, epoch: u32, batch: u64) -> Result<Option<Hash>, LedgerError> {
        self.archive.anchor(gateway, epoch, batch)
    }

    fn order(&self, leaf: &Hash) -> Result<Option<Order>, LedgerError> {
        self.orders.get(leaf)
    }

    fn root(&self, size: u64) -> Result<Hash, LedgerError> {
        self.log.root(size)
    }
}

fn create_tables(db: &Database) -> Result<(), LedgerError> {
    if db.begin_read()?.open_table(CLOCK).is_ok() {
        return Ok(());
    }
    let mut txn = db.begin_write()?;
    txn.set_two_phase_commit(true);
    log::Writer::open(&txn)?;
    archive::Writer::open(&txn)?;
    txn.open_table(HEADS)?;
    txn.open_table(RECORDS)?;
    txn.open_table(CLOCK)?;
    txn.commit()?;
    Ok(())
}

/// Writes the changed records and the block's head. A record that changed twice is written twice; the
/// last stays. Orders stand in their own table already.
fn store(txn: &WriteTransaction, changes: &[(Hash, Vec<Change>)], head: &Head) -> Result<(), LedgerError> {
    let mut records = txn.open_table(RECORDS)?;
    for change in changes.iter().flat_map(|(_, changes)| changes) {
        let key: (u8, &[u8]) = match change {
            Change::Founded(_) => (1, &[]),
            Change::Certificate(fingerprint, _) => (2, &fingerprint.0),
            Change::Gateway(name, _) => (3, name.as_str().as_bytes()),
            Change::Consortium(_) => (4, &[]),
            Change::Register(name, _) => (5, name.as_str().as_bytes()),
            Change::Order(..) => continue,
        };
        records.insert(key, change.to_bytes().as_slice())?;
    }
    txn.open_table(HEADS)?.insert(head.size, head.to_bytes().as_slice())?;
    Ok(())
}

/// Reads head, state and clock back, and checks that they speak of the same log.
fn load(db: &Database) -> Result<(Head, State, i64), LedgerError> {
    let txn: ReadTransaction = db.begin_read()?;
    let mut state = State::default();
    for record in txn.open_table(RECORDS)?.iter()? {
        state.put(Change::parse(record?.1.value())?);
    }
    let head = match txn.open_table(HEADS)?.last()? {
        Some((_, head)) => Head::parse(head.value())?,
        None => Head::EMPTY,
    };
    state.set_hash(head.state);
    let log = log::Reader::open(&txn)?;
    let size = log.size()?;
    if size != head.size {
        return Err(LedgerError::Damaged(format!("the log holds {size} transactions, its head says {}", head.size)));
    }
    if size > 0 {
        let note = plomb_seal::note::Note::parse(&head.note).and_then(|note| note.checkpoint());
        let root = log.root(size)?;
        if !note.is_ok_and(|checkpoint| checkpoint.size == size && checkpoint.root == root) {
            return Err(LedgerError::Damaged("the log does not have the root that was signed".into()));
        }
    }
    let given_out_ms = txn.open_table(CLOCK)?.get(GIVEN_OUT)?.map_or(i64::MIN, |ms| ms.value());
    Ok((head, state, given_out_ms))
}

/// The anchor within a receipt's bytes, for logs and pages; nothing is verified.
pub fn claimed_anchor(bytes: &[u8]) -> Option<plomb_seal::Anchor> {
    Unverified::<plomb_seal::Anchor>::parse(bytes).ok().map(|parsed| parsed.claims().clone())
}
