//! Places that are counted: so many in all, and so many of each that asks.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use plomb_seal::Hash;

/// Under what a peer is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// An address that has shown no certificate that holds; in IPv6 a whole /64.
    Stranger(IpAddr),
    /// A certificate that holds, by its fingerprint; wherever it comes from.
    Holder(Hash),
}

/// Places for something that takes its time.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    each_most: usize,
    held: Mutex<HashMap<Who, usize>>,
}

/// One of them; given back on drop.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    who: Who,
}

impl Places {
    pub(super) fn new(most: usize, each_most: usize) -> Arc<Self> {
        Arc::new(Self { most, each_most, held: Mutex::default() })
    }

    /// `None` when all are taken, or all that one may have.
    pub(super) fn take(self: &Arc<Self>, who: Who) -> Option<Place> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // Who holds none is not in the table: the sum is over few.
        let all: usize = held.values().sum();
        let own = held.get(&who).copied().unwrap_or(0);
        if all >= self.most || own >= self.each_most {
            return None;
        }
        held.insert(who, own + 1);
        Some(Place { places: self.clone(), who })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.who) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                held.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_the_places_of_others_and_all_come_back() {
        let places = Places::new(3, 2);
        let [one, two] = [1, 2].map(|n| Who::Stranger(IpAddr::from([10, 0, 0, n])));
        let held: Vec<_> = (0..5).filter_map(|_| places.take(one)).collect();
        assert_eq!(held.len(), 2);
        let other = places.take(two);
        assert!(other.is_some() && places.take(Who::Holder(Hash::ZERO)).is_none(), "three in all");
        drop((held, other));
        assert!(places.held.lock().unwrap_or_else(PoisonError::into_inner).is_empty());
    }
}
