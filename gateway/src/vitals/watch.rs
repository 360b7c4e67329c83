//! Holds the measures of the box against thresholds. Pure: measures come in, turns for the worse or the better go out.
//!
//! A measure that crossed its threshold must come back by a margin before it counts as good, so that one on the edge
//! does not fill the journal.

use std::collections::{BTreeMap, BTreeSet};

use super::measure::Vitals;
use crate::config;

/// By how much a measure must be better than its threshold to be good again, in percent of the threshold.
const MARGIN_PERCENT: i64 = 10;
/// The most adapters that are told of at once.
pub const ADAPTERS_TOLD_MAX: usize = 16;

/// A measure turned for the worse or the better; or an adapter came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The event's name.
    pub name: &'static str,
    /// Which measure.
    pub what: &'static str,
    /// Its value, with the threshold.
    pub detail: String,
    /// Whether it turned for the worse.
    pub bad: bool,
}

/// Remembers what is bad.
#[derive(Debug)]
pub struct Watch {
    config: config::Vitals,
    bad: BTreeMap<&'static str, String>,
    adapters: Option<BTreeSet<String>>,
}

/// On which side of its threshold a measure is bad.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bad {
    Below,
    Above,
}

impl Watch {
    /// Watches with these thresholds.
    pub fn new(config: config::Vitals) -> Self {
        Self { config, bad: BTreeMap::new(), adapters: None }
    }

    /// Takes a measurement, and tells what turned.
    pub fn take(&mut self, vitals: &Vitals) -> Vec<Turn> {
        let limits = &self.config;
        let unsigned = |value: Option<u64>| value.map(|value| i64::try_from(value).unwrap_or(i64::MAX));
        let measures = [
            ("battery", vitals.battery_percent.map(i64::from), i64::from(limits.battery_percent), Bad::Below, "%"),
            ("disk", unsigned(vitals.disk_free_mib), i64::from(limits.disk_free_mib), Bad::Below, "MiB free"),
            (
                "flash",
                vitals.flash_worn_percent.map(i64::from),
                i64::from(limits.flash_worn_percent),
                Bad::Above,
                "% worn",
            ),
            ("memory", unsigned(vitals.memory_free_mib), i64::from(limits.memory_free_mib), Bad::Below, "MiB free"),
            ("temperature", vitals.temperature_c.map(i64::from), i64::from(limits.temperature_c), Bad::Above, "°C"),
            ("supply", vitals.under_voltage.map(i64::from), 1, Bad::Above, "under-voltage"),
            // On battery; a box without one never tells.
            ("mains", vitals.battery_percent.and(vitals.mains).map(i64::from), 1, Bad::Below, "on mains"),
        ];
        let mut turns = Vec::new();
        for (what, value, limit, side, unit) in measures {
            let Some(value) = value else { continue };
            turns.extend(self.judge(what, value, limit, side, unit));
        }
        self.adapters(&vitals.adapters, &mut turns);
        turns
    }

    /// What is bad now, in words.
    pub fn troubles(&self) -> Vec<String> {
        self.bad.iter().map(|(what, detail)| format!("{what}: {detail}")).collect()
    }

    fn judge(&mut self, what: &'static str, value: i64, limit: i64, side: Bad, unit: &str) -> Option<Turn> {
        let margin = (limit * MARGIN_PERCENT / 100).max(0);
        let (bad, good) = match side {
            Bad::Below => (value < limit, value >= limit + margin),
            Bad::Above => (value >= limit, value < limit - margin),
        };
        let detail = match (what, value) {
            ("supply", 0) => "the voltage is right".to_string(),
            ("supply", _) => "the voltage is too low: check supply and cable".to_string(),
            ("mains", 0) => "on battery: the mains is gone".to_string(),
            ("mains", _) => "the mains feeds the box".to_string(),
            _ => format!("{value} {unit}, threshold {limit}"),
        };
        let was_bad = self.bad.contains_key(what);
        match (was_bad, bad, good) {
            (false, true, _) => {
                self.bad.insert(what, detail.clone());
                Some(Turn { name: "vital-bad", what, detail, bad: true })
            }
            (true, _, true) => {
                self.bad.remove(what);
                Some(Turn { name: "vital-good", what, detail, bad: false })
            }
            (true, ..) => {
                self.bad.insert(what, detail);
                None
            }
            _ => None,
        }
    }

    /// What was there at the start is no news.
    fn adapters(&mut self, adapters: &[String], turns: &mut Vec<Turn>) {
        let now: BTreeSet<String> = adapters.iter().cloned().collect();
        if let Some(before) = &self.adapters {
            let gone = before.difference(&now).map(|name| ("adapter-gone", name, true));
            let came = now.difference(before).map(|name| ("adapter-appeared", name, false));
            turns.extend(gone.chain(came).take(ADAPTERS_TOLD_MAX).map(|(name, adapter, bad)| Turn {
                name,
                what: "adapter",
                detail: adapter.clone(),
                bad,
            }));
        }
        self.adapters = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(turns: &[Turn]) -> Vec<(&'static str, &'static str)> {
        turns.iter().map(|turn| (turn.name, turn.what)).collect()
    }

    #[test]
    fn a_threshold_is_crossed_once_and_left_by_a_margin() {
        let mut watch = Watch::new(config::Vitals::default());
        let hot = |temperature_c| Vitals { temperature_c: Some(temperature_c), ..Vitals::default() };
        assert_eq!(told(&watch.take(&hot(79))), []);
        assert_eq!(told(&watch.take(&hot(80))), [("vital-bad", "temperature")]);
        assert_eq!(told(&watch.take(&hot(85))), []);
        assert_eq!(watch.troubles(), ["temperature: 85 °C, threshold 80"]);
        assert_eq!(told(&watch.take(&hot(75))), [], "on the edge");
        assert_eq!(told(&watch.take(&hot(71))), [("vital-good", "temperature")]);
        assert!(watch.troubles().is_empty());
    }

    #[test]
    fn every_measure_turns_and_an_absent_one_never() {
        let mut watch = Watch::new(config::Vitals::default());
        assert_eq!(told(&watch.take(&Vitals::default())), []);
        let bad = Vitals {
            battery_percent: Some(10),
            mains: Some(false),
            disk_free_mib: Some(10),
            flash_worn_percent: Some(100),
            memory_free_mib: Some(5),
            temperature_c: Some(90),
            under_voltage: Some(true),
            adapters: vec!["a".into()],
        };
        let turns = watch.take(&bad);
        let expected = ["battery", "disk", "flash", "memory", "temperature", "supply", "mains", "adapter"];
        assert_eq!(turns.iter().map(|turn| turn.what).collect::<Vec<_>>(), expected);
        assert_eq!(told(&watch.take(&Vitals { adapters: vec![], ..bad })), [("adapter-gone", "adapter")]);
    }
}
