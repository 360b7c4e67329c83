//! The log applied anew, to see whether it leads where the file says.

use std::collections::BTreeMap;

use plomb_seal::{Hash, Name, note::VerifierKey, tree};
use redb::ReadableTable;

use crate::{
    LedgerError,
    block::Head,
    ledger::{HEADS, Ledger},
    log,
    state::{Change, Context, History, State, Verdict},
};

impl Ledger {
    /// Applies the whole log anew from nothing and compares; gives the state that it leads to.
    ///
    /// Takes a signature check for each transaction. For audits and tests, not for starting.
    pub fn replay(&self) -> Result<State, LedgerError> {
        let txn = self.begin_read()?;
        let log = log::Reader::open(&txn)?;
        let mut replay = Replay {
            log: &log,
            log_key: self.signers().log_key(),
            witness_key: self.signers().witness_key(),
            size: 0,
            anchors: BTreeMap::new(),
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
        Ok(replay.state)
    }
}

/// The ledger as it was when the log had `size` leaves.
struct Replay<'a> {
    log: &'a log::Reader,
    log_key: VerifierKey,
    witness_key: VerifierKey,
    size: u64,
    anchors: BTreeMap<(Name, u32, u64), Hash>,
    state: State,
}

impl Replay<'_> {
    fn step(&mut self, time_ms: i64) -> Result<(), LedgerError> {
        let index = self.size;
        let wrong = |why: String| LedgerError::Damaged(format!("transaction {index} {why}"));
        let bytes = self.log.leaf(index)?.ok_or_else(|| wrong("is missing".into()))?;
        let context = Context { time_ms, log: &self.log_key, witness: &self.witness_key };
        let change = match self.state.apply(&bytes, context, self)? {
            Verdict::Admitted(change) => *change,
            Verdict::Known(_) => return Err(wrong("stands in the log twice".into())),
            Verdict::Refused(refused) => return Err(wrong(format!("breaks {refused}"))),
        };
        let leaf = tree::leaf_hash(&bytes);
        if let Change::Gateway(name, record) = &change {
            self.anchors.insert((name.clone(), record.epoch, record.batch), leaf);
        }
        self.state.take(&leaf, change);
        self.size += 1;
        Ok(())
    }
}

impl History for Replay<'_> {
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

    fn root(&self, size: u64) -> Result<Hash, LedgerError> {
        self.log.root(size)
    }
}
