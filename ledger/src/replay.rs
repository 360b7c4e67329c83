//! The log applied anew, to see whether it leads where the file says.

use std::collections::BTreeMap;

use plomb_seal::{Hash, Name, note::VerifierKey, tree};
use redb::{ReadTransaction, ReadableTable};

use crate::{
    LedgerError,
    block::Head,
    history::{self, Entry},
    ledger::{HEADS, Ledger},
    log, orders,
    state::{Admission, Change, Context, History, Order, State, Verdict},
};

impl Ledger {
    /// Applies the whole log anew from nothing and compares: state, history, and what became of every configuration
    /// and command. Gives the state that it leads to.
    ///
    /// Takes a signature check for each transaction. For audits and tests, not for starting.
    pub fn replay(&self) -> Result<State, LedgerError> {
        let txn = self.begin_read()?;
        let replay = Replay::run(self, &txn)?;
        let (orders, wrong) = (orders::Reader::open(&txn)?, |what: String| Err(LedgerError::Damaged(what)));
        for (leaf, order) in &replay.orders {
            if orders.get(leaf)?.as_ref() != Some(order) {
                return wrong(format!("the record of order {leaf} is not what the log leads to"));
            }
        }
        let Some(history) = history::Reader::open(&txn)? else { return wrong("the history is missing".into()) };
        for (index, entry) in &replay.lines {
            if history.entry(*index)?.as_ref() != Some(entry) {
                return wrong(format!("line {index} of the history is not what the log leads to"));
            }
        }
        let counts = (replay.lines.len() as u64, replay.orders.len() as u64);
        if (history.count()?, orders.count()?) != counts {
            return wrong("the history holds lines or orders that the log does not lead to".into());
        }
        Ok(replay.state)
    }

    /// The history as the log leads to it.
    pub(crate) fn retold(&self) -> Result<Retold, LedgerError> {
        let replay = Replay::run(self, &self.begin_read()?)?;
        Ok(Retold { lines: replay.lines, orders: replay.orders })
    }
}

/// What is kept beside the state, as the log leads to it.
pub(crate) struct Retold {
    /// The lines of the history, by index in the log.
    pub(crate) lines: Vec<(u64, Entry)>,
    /// Configurations and commands, by leaf hash.
    pub(crate) orders: BTreeMap<Hash, Order>,
}

/// The ledger as it was when the log had `size` leaves.
struct Replay {
    log: log::Reader,
    log_key: VerifierKey,
    witness_key: VerifierKey,
    size: u64,
    anchors: BTreeMap<(Name, u32, u64), Hash>,
    orders: BTreeMap<Hash, Order>,
    lines: Vec<(u64, Entry)>,
    state: State,
}

impl Replay {
    fn run(ledger: &Ledger, txn: &ReadTransaction) -> Result<Self, LedgerError> {
        let mut replay = Self {
            log: log::Reader::open(txn)?,
            log_key: ledger.signers().log_key(),
            witness_key: ledger.signers().witness_key(),
            size: 0,
            anchors: BTreeMap::new(),
            orders: BTreeMap::new(),
            lines: Vec::new(),
            state: State::default(),
        };
        for head in txn.open_table(HEADS)?.iter()? {
            let head = Head::parse(head?.1.value())?;
            while replay.size < head.size {
                replay.step(head.time_ms)?;
            }
            if replay.state.hash() != head.state {
                return Err(LedgerError::Damaged(format!("the state after block {} is another", head.height)));
            }
        }
        Ok(replay)
    }

    fn step(&mut self, time_ms: i64) -> Result<(), LedgerError> {
        let index = self.size;
        let wrong = |why: String| LedgerError::Damaged(format!("transaction {index} {why}"));
        let bytes = self.log.leaf(index)?.ok_or_else(|| wrong("is missing".into()))?;
        let context = Context { time_ms, log: &self.log_key, witness: &self.witness_key };
        let Admission { changes, line } = match self.state.apply(&bytes, context, self)? {
            Verdict::Admitted(admission) => admission,
            Verdict::Known(_) => return Err(wrong("stands in the log twice".into())),
            Verdict::Refused(refused) => return Err(wrong(format!("breaks {refused}"))),
        };
        let leaf = tree::leaf_hash(&bytes);
        for change in &changes {
            match change {
                Change::Gateway(name, record) => {
                    self.anchors.insert((name.clone(), record.epoch, record.batch), leaf);
                }
                Change::Order(leaf, order) => {
                    self.orders.insert(*leaf, (**order).clone());
                }
                Change::Founded(_) | Change::Certificate(..) | Change::Consortium(_) | Change::Register(..) => {}
            }
        }
        self.lines.extend(line.map(|line| (index, Entry { time_ms, transaction: leaf, line })));
        self.state.take(&leaf, changes);
        self.size += 1;
        Ok(())
    }
}

impl History for Replay {
    type Error = LedgerError;

    fn size(&self) -> u64 {
        self.size
    }

    fn index_of(&self, leaf: &Hash) -> Result<Option<u64>, LedgerError> {
        Ok(self.log.index_of(leaf)?.filter(|index| *index < self.size))
    }

    fn anchor(&self, gateway: &Name, epoch: u32, batch: u64) -> Result<Option<Hash>, LedgerError> {
        Ok(self.anchors.get(&(gateway.clone(), epoch, batch)).copied())
    }

    fn order(&self, leaf: &Hash) -> Result<Option<Order>, LedgerError> {
        Ok(self.orders.get(leaf).cloned())
    }

    fn root(&self, size: u64) -> Result<Hash, LedgerError> {
        self.log.root(size)
    }
}
