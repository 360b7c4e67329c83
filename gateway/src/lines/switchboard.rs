//! Who reaches which line: the one list that may change while the daemon runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use plomb_seal::Name;
use tokio::sync::mpsc;

use crate::{ask::deed::Deed, config::Bus, poll::Question, scan::ScanOrder};

/// The ways to the lines that run now.
#[derive(Default)]
pub struct Switchboard {
    lines: Mutex<BTreeMap<String, Ways>>,
}

/// The ways to one line.
#[derive(Clone)]
pub struct Ways {
    /// The line.
    pub bus: Bus,
    /// Its points.
    pub points: BTreeSet<Name>,
    /// For people's questions.
    pub questions: mpsc::Sender<Question>,
    /// For searches.
    pub scans: mpsc::Sender<ScanOrder>,
    /// For commands.
    pub deeds: mpsc::Sender<Deed>,
}

impl Switchboard {
    /// The line with this point.
    pub fn of_point(&self, point: &str) -> Option<(Name, Ways)> {
        self.lines().values().find_map(|ways| {
            let name = ways.points.iter().find(|known| known.as_str() == point)?;
            Some((name.clone(), ways.clone()))
        })
    }

    /// The first line that this is true of.
    pub fn find(&self, is_it: impl Fn(&Bus) -> bool) -> Option<Ways> {
        self.lines().values().find(|ways| is_it(&ways.bus)).cloned()
    }

    /// Whether a point is configured.
    pub fn knows(&self, point: &str) -> bool {
        self.of_point(point).is_some()
    }

    pub(super) fn put(&self, ways: Ways) {
        self.lines().insert(ways.bus.name.clone(), ways);
    }

    pub(super) fn remove(&self, name: &str) {
        self.lines().remove(name);
    }

    /// A panic while the lock was held can't leave the map half-changed, so its poison means nothing.
    fn lines(&self) -> MutexGuard<'_, BTreeMap<String, Ways>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
