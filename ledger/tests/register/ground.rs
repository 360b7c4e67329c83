//! The bare state machine over a log in memory, and beside it, if wanted, the ledger that keeps it in a file: both
//! must say the same to everything.

use std::collections::HashMap;

use plomb_ledger::{
    block::Block,
    ledger::{Answer, Ledger, Signers},
    state::{Admission, Change, Context, History, Order, State, Verdict},
};
use plomb_seal::{Hash, Name, note::VerifierKey, tree};
use redb::{Database, backends::InMemoryBackend};

/// The log in memory.
#[derive(Default)]
pub struct Memory {
    leaves: Vec<Hash>,
    index: HashMap<Hash, u64>,
    anchors: HashMap<(Name, u32, u64), Hash>,
    orders: HashMap<Hash, Order>,
}

impl History for Memory {
    type Error = std::convert::Infallible;

    fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    fn index_of(&self, leaf: &Hash) -> Result<Option<u64>, Self::Error> {
        Ok(self.index.get(leaf).copied())
    }

    fn anchor(&self, gateway: &Name, epoch: u32, batch: u64) -> Result<Option<Hash>, Self::Error> {
        Ok(self.anchors.get(&(gateway.clone(), epoch, batch)).copied())
    }

    fn order(&self, leaf: &Hash) -> Result<Option<Order>, Self::Error> {
        Ok(self.orders.get(leaf).cloned())
    }

    fn root(&self, size: u64) -> Result<Hash, Self::Error> {
        Ok(tree::root(&self.leaves[..usize::try_from(size).unwrap()]))
    }
}

pub struct Ground {
    pub state: State,
    pub memory: Memory,
    pub log: Vec<(Vec<u8>, i64)>,
    pub ledger: Option<Ledger>,
    keys: (VerifierKey, VerifierKey),
}

impl Ground {
    pub fn new(signers: &Signers, with_ledger: bool) -> Self {
        let ledger = with_ledger.then(|| {
            let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
            Ledger::with_database(db, signers.clone()).unwrap()
        });
        Self {
            state: State::default(),
            memory: Memory::default(),
            log: Vec::new(),
            ledger,
            keys: (signers.log_key(), signers.witness_key()),
        }
    }

    /// What the state machine says, without taking it.
    pub fn judge(&self, transaction: &[u8], time_ms: i64) -> Verdict {
        let context = Context { time_ms, log: &self.keys.0, witness: &self.keys.1 };
        let Ok(verdict) = self.state.apply(transaction, context, &self.memory);
        verdict
    }

    /// Applies a transaction.
    pub fn deliver(&mut self, transaction: Vec<u8>, time_ms: i64) -> Answer {
        let answer = match self.judge(&transaction, time_ms) {
            Verdict::Known(index) => Answer::Known { index },
            Verdict::Refused(refused) => Answer::Refused(refused),
            Verdict::Admitted(admission) => self.take(&transaction, time_ms, admission),
        };
        self.compare(transaction, time_ms, &answer);
        answer
    }

    fn take(&mut self, transaction: &[u8], time_ms: i64, admission: Admission) -> Answer {
        let (leaf, index) = (tree::leaf_hash(transaction), self.memory.size());
        for change in &admission.changes {
            // What is stored is read back as what it was.
            assert_eq!(Change::parse(&change.to_bytes()).as_ref(), Ok(change));
            match change {
                Change::Gateway(name, record) => {
                    self.memory.anchors.insert((name.clone(), record.epoch, record.batch), leaf);
                }
                Change::Order(of, order) => {
                    self.memory.orders.insert(*of, (**order).clone());
                }
                _ => {}
            }
        }
        self.memory.leaves.push(leaf);
        self.memory.index.insert(leaf, index);
        self.state.take(&leaf, admission.changes);
        self.log.push((transaction.to_vec(), time_ms));
        Answer::Admitted { index }
    }

    fn compare(&self, transaction: Vec<u8>, time_ms: i64, answer: &Answer) {
        let Some(ledger) = &self.ledger else { return };
        let before = ledger.head().borrow().clone();
        let block = Block { height: ledger.height() + 1, time_ms, transactions: vec![transaction] };
        assert_eq!(ledger.deliver(&block, &[]).unwrap(), vec![answer.clone()]);
        if !matches!(answer, Answer::Admitted { .. }) {
            assert_eq!(*ledger.head().borrow(), before, "{answer:?} left a trace");
        }
        assert_eq!(*ledger.state(), self.state);
    }

    /// The whole log, applied from nothing, leads to the same state.
    pub fn replay(&self, signers: &Signers) {
        let mut again = Self::new(signers, false);
        for (transaction, time_ms) in &self.log {
            let answer = again.deliver(transaction.clone(), *time_ms);
            assert!(matches!(answer, Answer::Admitted { .. }), "{answer:?}");
        }
        assert_eq!(again.state.hash(), self.state.hash());
        assert!(again.state == self.state);
        assert!(again.memory.orders == self.memory.orders);
        if let Some(ledger) = &self.ledger {
            assert!(ledger.replay().unwrap() == self.state, "the stored history is what the log leads to");
        }
    }
}
