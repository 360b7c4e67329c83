//! What the embedded broker never forgets, and how much of it each may cause.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use crate::limits::{Limits, as_usize};
use crate::stats::Reason;

/// Memory that grows in the embedded broker, counted since its start.
#[derive(Debug)]
pub(super) struct Quotas {
    filters_max: usize,
    filters_each_max: usize,
    topics_max: usize,
    retained_bytes_max: usize,
    filters: Mutex<Filters>,
    published: Mutex<HashMap<String, Published>>,
    free_slots: Mutex<Vec<u32>>,
}

/// Every filter that was passed on, and how many of them each identity was the first to ask for.
#[derive(Debug, Default)]
struct Filters {
    all: HashSet<String>,
    first_asked: HashMap<String, usize>,
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
            filters_each_max: as_usize(limits.filters_per_identity_max),
            topics_max: as_usize(limits.topics_per_identity_max),
            retained_bytes_max: as_usize(limits.retained_bytes_per_identity_max),
            filters: Mutex::default(),
            published: Mutex::default(),
            free_slots: Mutex::new((0..limits.connections_max).rev().collect()),
        }
    }

    /// Whether these filters, which the identity chose, may be passed on; notes them if so. All or none. Those
    /// that the table of rights names itself are not asked for here: no identity can use up another's.
    pub(super) fn admit_filters<'a>(&self, identity: &str, asked: impl Iterator<Item = &'a str>) -> Result<(), String> {
        let mut filters = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh: HashSet<&str> = asked.filter(|filter| !filters.all.contains(*filter)).collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let own = filters.first_asked.get(identity).copied().unwrap_or(0) + fresh.len();
        if own > self.filters_each_max {
            return Err(format!("{own} distinct filters of this identity, at most {}", self.filters_each_max));
        }
        if filters.all.len() + fresh.len() > self.filters_max {
            return Err(format!("{} distinct filters overall", self.filters_max));
        }
        filters.first_asked.insert(identity.to_owned(), own);
        filters.all.extend(fresh.into_iter().map(str::to_owned));
        Ok(())
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
            filters_per_identity_max: 2,
            topics_per_identity_max: 2,
            retained_bytes_per_identity_max: 100,
            connections_max: 2,
            ..Limits::default()
        })
    }

    #[test]
    fn filters_are_counted_once_for_whom_asked_first_and_all_or_none() {
        let quotas = quotas();
        let admits = |identity: &str, asked: &[&str]| quotas.admit_filters(identity, asked.iter().copied());
        assert_eq!(admits("one", &["a", "b", "a"]), Ok(()));
        assert!(admits("one", &["c"]).unwrap_err().contains("of this identity, at most 2"));
        assert!(admits("two", &["c", "d"]).unwrap_err().contains("overall"), "two more do not fit");
        assert_eq!(admits("two", &["c"]), Ok(()), "the refused ones were not counted");
        assert_eq!(admits("one", &["a", "b", "c"]), Ok(()), "known ones cost nothing");
        assert!(admits("two", &["e"]).is_err());
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
