//! What the hub did with batches since its start.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use serde::Serialize;

/// Distinct rules that are counted; rules are a closed set, so this is never reached.
const RULES_MAX: usize = 64;

/// Counters of one hub.
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<Counted>);

/// The counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Batches whose anchor was appended.
    pub admitted: u64,
    /// Batches that were there already.
    pub known: u64,
    /// Batches that broke a rule, by its name.
    pub refused: BTreeMap<String, u64>,
}

impl Counters {
    pub(crate) fn admitted(&self) {
        self.with(|counted| counted.admitted += 1);
    }

    pub(crate) fn known(&self) {
        self.with(|counted| counted.known += 1);
    }

    pub(crate) fn refused(&self, rule: &str) {
        self.with(|counted| {
            if let Some(count) = counted.refused.get_mut(rule) {
                *count += 1;
            } else if counted.refused.len() < RULES_MAX {
                counted.refused.insert(rule.to_owned(), 1);
            }
        });
    }

    pub(crate) fn snapshot(&self) -> Counted {
        let mut snapshot = Counted::default();
        self.with(|counted| snapshot = counted.clone());
        snapshot
    }

    fn with(&self, change: impl FnOnce(&mut Counted)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
