//! What the embedded broker never forgets, and how much of it each may cause.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use crate::limits::{Limits, as_usize};
use crate::stats::Reason;

/// Memory that grows in the embedded broker, counted since its start.
#[derive(Debug)]
pub(super) struct Quotas {
    filters_max: usize,
    topics_max: usize,
    retained_bytes_max: usize,
    filters: Mutex<HashSet<String>>,
    published: Mutex<HashMap<String, Published>>,
    free_slots: Mutex<Vec<u32>>,
}

/// One identity's topics, each with the size of its retained payload.
#[derive(Debug, Default)]
struct Published {
    retained_bytes: usize,
    topics: HashMap<String, usize>,
}

impl Quotas {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            filters_max: as_usize(limits.filters_max),
            topics_max: as_usize(limits.topics_per_identity_max),
            retained_bytes_max: as_usize(limits.retained_bytes_per_identity_max),
            filters: Mutex::default(),
            published: Mutex::default(),
            free_slots: Mutex::new((0..limits.connections_max).rev().collect()),
        }
    }

    /// Whether these filters may be passed on; notes them if so. All or none.
    pub(super) fn admit_filters<'a>(&self, asked: impl Iterator<Item = &'a str> + Clone) -> bool {
        let mut filters = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh: HashSet<&str> = asked.filter(|f| !filters.contains(*f)).collect();
        if filters.len() + fresh.len() > self.filters_max {
            return false;
        }
        filters.extend(fresh.into_iter().map(str::to_owned));
        true
    }

    /// Whether the identity may publish there; notes it if so. `retained`:
    /// `None` leaves what is retained, `Some(bytes)` replaces it.
    pub(super) fn admit_publish(&self, identity: &str, topic: &str, retained: Option<usize>) -> Result<(), Reason> {
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        let own = match published.get_mut(identity) {
            Some(own) => own,
            None => published.entry(identity.to_owned()).or_default(),
        };
        let before = own.topics.get(topic).copied();
        if before.is_none() && own.topics.len() >= self.topics_max {
            return Err(Reason::TopicsFull);
        }
        let before_bytes = before.unwrap_or(0);
        let now_bytes = retained.unwrap_or(before_bytes);
        let sum = own.retained_bytes.saturating_sub(before_bytes).saturating_add(now_bytes);
        if now_bytes > before_bytes && sum > self.retained_bytes_max {
            return Err(Reason::RetainedFull);
        }
        own.retained_bytes = sum;
        match own.topics.get_mut(topic) {
            Some(bytes) => *bytes = now_bytes,
            None => {
                own.topics.insert(topic.to_owned(), now_bytes);
            }
        }
        Ok(())
    }

    /// A client id for the embedded broker. It keeps a record of every client
    /// id for ever, so the guard's connections share a fixed set of names.
    pub(super) fn take_slot(&self) -> Option<u32> {
        self.free_slots.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    pub(super) fn give_slot(&self, slot: u32) {
        self.free_slots.lock().unwrap_or_else(PoisonError::into_inner).push(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas() -> Quotas {
        Quotas::new(&Limits {
            filters_max: 3,
            topics_per_identity_max: 2,
            retained_bytes_per_identity_max: 100,
            connections_max: 2,
            ..Limits::default()
        })
    }

    #[test]
    fn filters_are_counted_once_and_all_or_none() {
        let quotas = quotas();
        assert!(quotas.admit_filters(["a", "b", "a"].into_iter()));
        assert!(!quotas.admit_filters(["c", "d"].into_iter()), "two more do not fit");
        assert!(quotas.admit_filters(["c"].into_iter()), "the refused ones were not counted");
        assert!(quotas.admit_filters(["a", "b", "c"].into_iter()), "known ones cost nothing");
        assert!(!quotas.admit_filters(["e"].into_iter()));
    }

    #[test]
    fn topics_are_counted_for_each_identity() {
        let quotas = quotas();
        assert_eq!(quotas.admit_publish("gw", "a", None), Ok(()));
        assert_eq!(quotas.admit_publish("gw", "b", None), Ok(()));
        assert_eq!(quotas.admit_publish("gw", "a", None), Ok(()));
        assert_eq!(quotas.admit_publish("gw", "c", None), Err(Reason::TopicsFull));
        assert_eq!(quotas.admit_publish("other", "c", None), Ok(()));
    }

    #[test]
    fn retained_bytes_are_those_kept_now() {
        let quotas = quotas();
        assert_eq!(quotas.admit_publish("gw", "a", Some(80)), Ok(()));
        assert_eq!(quotas.admit_publish("gw", "b", Some(30)), Err(Reason::RetainedFull));
        assert_eq!(quotas.admit_publish("gw", "a", None), Ok(()), "not retained: nothing changes");
        assert_eq!(quotas.admit_publish("gw", "b", Some(30)), Err(Reason::RetainedFull));
        assert_eq!(quotas.admit_publish("gw", "a", Some(0)), Ok(()), "deleted");
        assert_eq!(quotas.admit_publish("gw", "b", Some(30)), Ok(()));
    }

    #[test]
    fn slots_are_shared_and_bounded() {
        let quotas = quotas();
        let (a, b) = (quotas.take_slot().unwrap(), quotas.take_slot().unwrap());
        assert_ne!(a, b);
        assert_eq!(quotas.take_slot(), None);
        quotas.give_slot(a);
        assert_eq!(quotas.take_slot(), Some(a));
    }
}
