//! What the hub did with batches, and with orders and outcomes, since its start.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use serde::Serialize;

/// Distinct rules that are counted; rules are a closed set, so this is never reached.
const RULES_MAX: usize = 64;

/// Counters of one hub.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    batches: Mutex<Counted>,
    orders: Mutex<OrdersCounted>,
}

/// The counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Batches whose anchor was appended.
    pub admitted: u64,
    /// Batches that were there already.
    pub known: u64,
    /// Batches that broke a rule, by its name.
    pub refused: BTreeMap<String, u64>,
    /// What the ledger lost, as far as gateways can prove it.
    pub lost: Option<Lost>,
}

/// What came of gateways' transactions, and what gateways were sent, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OrdersCounted {
    /// Outcomes and sealing keys that were appended.
    pub admitted: u64,
    /// Those that were there already.
    pub known: u64,
    /// Those that broke a rule, by its name.
    pub refused: BTreeMap<String, u64>,
    /// Dossiers sent.
    pub dossiers: u64,
}

/// A gateway holds a checkpoint of this ledger that is larger than the log: an older file was put in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// The gateway whose checkpoint is the largest so far.
    pub gateway: String,
    /// How many transactions that checkpoint speaks of.
    pub seen: u64,
    /// How many the log had when it came.
    pub size: u64,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gateway, seen, size } = self;
        write!(
            f,
            "this ledger lost transactions: {gateway} holds a signed checkpoint of {seen}, the log has {size}. An \
             older ledger.redb was put back; stop the hub and put the newest one back, see \"The ledger's file\" in \
             operations.md"
        )
    }
}

impl Counters {
    pub(crate) fn admitted(&self) {
        self.with(|counted| counted.admitted += 1);
    }

    pub(crate) fn known(&self) {
        self.with(|counted| counted.known += 1);
    }

    pub(crate) fn refused(&self, rule: &str) {
        self.with(|counted| count(&mut counted.refused, rule));
    }

    /// Notes a loss. True when it is larger than any before: worth a line in the log.
    pub(crate) fn lost(&self, lost: Lost) -> bool {
        let mut is_news = false;
        self.with(|counted| {
            is_news = counted.lost.as_ref().is_none_or(|before| before.seen < lost.seen);
            if is_news {
                counted.lost = Some(lost);
            }
        });
        is_news
    }

    pub(crate) fn snapshot(&self) -> Counted {
        let mut snapshot = Counted::default();
        self.with(|counted| snapshot = counted.clone());
        snapshot
    }

    fn with(&self, change: impl FnOnce(&mut Counted)) {
        change(&mut self.batches.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn with_orders(&self, change: impl FnOnce(&mut OrdersCounted)) {
        change(&mut self.orders.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn orders(&self) -> OrdersCounted {
        let mut snapshot = OrdersCounted::default();
        self.with_orders(|counted| snapshot = counted.clone());
        snapshot
    }
}

impl OrdersCounted {
    pub(crate) fn refuse(&mut self, rule: &str) {
        count(&mut self.refused, rule);
    }
}

fn count(rules: &mut BTreeMap<String, u64>, rule: &str) {
    if let Some(count) = rules.get_mut(rule) {
        *count += 1;
    } else if rules.len() < RULES_MAX {
        rules.insert(rule.to_owned(), 1);
    }
}
