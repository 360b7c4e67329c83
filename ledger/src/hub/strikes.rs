//! How much each gateway's refused batches may cost: lines in the log, and how long it stays connected.
//!
//! A gateway that is broken, or that somebody took over, can send what is no batch as fast as its line is. Each
//! is refused and counted; what it writes to the log is bounded, and in the end it is sent away for a while.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use plomb_seal::Name;

/// Refusals of one gateway that are logged in a [`WINDOW`].
const LINES_MAX: u32 = 10;
/// Batches that are none, from one gateway in a [`WINDOW`], before it is sent away.
const MALFORMED_MAX: u32 = 30;
/// The time over which both are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// How long a gateway is sent away.
pub(super) const PAUSE: Duration = Duration::from_secs(60);
/// Gateways that are kept in mind; beyond, those whose window has passed are forgotten.
const GATEWAYS_MAX: usize = 4_096;

/// What follows from a refusal.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Consequence {
    /// Say so, with the number of refusals that went unsaid since the last line.
    pub(super) line: Option<u64>,
    /// Send it away.
    pub(super) expel: bool,
}

#[derive(Debug)]
struct Record {
    began: Instant,
    lines: u32,
    unsaid: u64,
    malformed: u32,
}

/// What each gateway did lately.
#[derive(Debug, Default)]
pub(super) struct Strikes(Mutex<BTreeMap<Name, Record>>);

impl Strikes {
    /// Notes a refusal by this rule.
    pub(super) fn note(&self, gateway: &Name, rule: &str, now: Instant) -> Consequence {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() >= GATEWAYS_MAX {
            records.retain(|_, record| now.saturating_duration_since(record.began) < WINDOW);
        }
        let fresh = |unsaid| Record { began: now, lines: 0, unsaid, malformed: 0 };
        let record = records.entry(gateway.clone()).or_insert_with(|| fresh(0));
        if now.saturating_duration_since(record.began) >= WINDOW {
            *record = fresh(record.unsaid);
        }
        let mut consequence = Consequence::default();
        if is_malformed(rule) {
            record.malformed += 1;
            if record.malformed > MALFORMED_MAX {
                record.malformed = 0;
                consequence.expel = true;
            }
        }
        if record.lines < LINES_MAX {
            record.lines += 1;
            consequence.line = Some(std::mem::take(&mut record.unsaid));
        } else {
            record.unsaid += 1;
        }
        consequence
    }
}

/// Whether the rule is one that no gateway in order ever breaks, whatever the ledger holds.
fn is_malformed(rule: &str) -> bool {
    matches!(
        rule,
        "batch-verifies" | "batch-gateway" | "transaction-form" | "signature" | "outcome-kind" | "outcome-gateway"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_in_part_and_its_sender_sent_away() {
        let (strikes, began) = (Strikes::default(), Instant::now());
        let [flood, other] = ["gw-1", "gw-2"].map(|name| name.parse::<Name>().unwrap());
        let told: Vec<Consequence> = (0..100).map(|_| strikes.note(&flood, "batch-verifies", began)).collect();
        assert_eq!(told.iter().filter(|one| one.line.is_some()).count(), 10);
        let expelled: Vec<usize> = (0..100).filter(|at| told[*at].expel).collect();
        assert_eq!(expelled, [30, 61, 92], "and again, should it come back");
        assert_eq!(strikes.note(&other, "batch-verifies", began).line, Some(0), "others have their own lines");
        assert_eq!(strikes.note(&flood, "batch-verifies", began + WINDOW).line, Some(90));
    }

    #[test]
    fn whoever_breaks_a_rule_of_the_ledger_is_not_sent_away() {
        let (strikes, now, name) = (Strikes::default(), Instant::now(), "gw-1".parse::<Name>().unwrap());
        assert!((0..1000).all(|_| !strikes.note(&name, "anchor-continuous", now).expel));
    }
}
