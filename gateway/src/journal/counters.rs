//! Message counters of meters, kept beside the entries: what came before never counts again.

use std::collections::{BTreeMap, BTreeSet};

/// The most counters that are kept: two keys for each of 4,096 meters.
pub const COUNTERS_MAX: usize = 8192;
/// The longest name of a counter, in bytes.
pub const COUNTER_NAME_BYTES_MAX: usize = 64;

/// The counters, and which of them the file does not have yet.
#[derive(Debug, Default)]
pub(super) struct Counters {
    values: BTreeMap<String, u64>,
    unwritten: BTreeSet<String>,
}

impl Counters {
    pub(super) fn new(values: BTreeMap<String, u64>) -> Self {
        Self { values, unwritten: BTreeSet::new() }
    }

    pub(super) fn values(&self) -> &BTreeMap<String, u64> {
        &self.values
    }

    /// Moves a counter forward; back never. False when there is no room for it.
    pub(super) fn advance(&mut self, name: &str, value: u64) -> bool {
        if let Some(known) = self.values.get_mut(name) {
            if value > *known {
                *known = value;
                self.unwritten.insert(name.into());
            }
            return true;
        }
        if self.values.len() >= COUNTERS_MAX || name.len() > COUNTER_NAME_BYTES_MAX {
            return false;
        }
        self.values.insert(name.into(), value);
        self.unwritten.insert(name.into());
        true
    }

    pub(super) fn has_unwritten(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// What the next commit must write. Taken, not kept: a commit that fails ends the journal.
    pub(super) fn take_unwritten(&mut self) -> Vec<(String, u64)> {
        let names = std::mem::take(&mut self.unwritten);
        names.into_iter().filter_map(|name| self.values.get(&name).map(|value| (name.clone(), *value))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_only_goes_forward_and_is_written_once() {
        let mut counters = Counters::new(BTreeMap::from([("a".into(), 7)]));
        assert!(counters.advance("a", 7) && counters.advance("a", 6));
        assert!(!counters.has_unwritten());
        assert!(counters.advance("a", 9) && counters.advance("b", 0));
        assert_eq!(counters.take_unwritten(), [("a".to_string(), 9), ("b".to_string(), 0)]);
        assert!(!counters.has_unwritten());
    }

    #[test]
    fn the_bounds_hold() {
        let mut counters = Counters::default();
        assert!(!counters.advance(&"x".repeat(COUNTER_NAME_BYTES_MAX + 1), 1));
        for number in 0..COUNTERS_MAX {
            assert!(counters.advance(&number.to_string(), 1));
        }
        assert!(!counters.advance("one more", 1));
        assert!(counters.advance("0", 2), "a known one still moves");
    }
}
