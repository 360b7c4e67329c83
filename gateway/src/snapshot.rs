//! Makes status snapshots, and judges them.

use std::sync::Arc;

use crate::{
    clock::{SystemClock, state_name, unix_ms},
    journal,
    silence::is_silent,
    status::{Board, Bus, Journal, Point, SCHEMA, Snapshot, rfc3339},
};

/// From this share of the quota on the gateway calls itself degraded, in percent.
pub const QUOTA_WARNING_PERCENT: u64 = 70;

/// What snapshots are made from.
pub struct Snapshots {
    /// The gateway.
    pub gateway: String,
    /// The journal.
    pub journal: journal::Journal,
    /// What tasks wrote down.
    pub board: Arc<Board>,
    /// The clock.
    pub clock: Arc<SystemClock>,
    /// The journal's quota.
    pub quota_bytes: u64,
    /// Whether there is a hub to be connected to.
    pub hub_configured: bool,
    /// Since when the daemon runs, Unix milliseconds.
    pub started_ms: i64,
}

impl Snapshots {
    /// The state now.
    pub fn take(&self) -> Snapshot {
        let journal = self.journal();
        let (hub, buses, points) = {
            let board = self.board.update();
            (board.hub.clone(), board.buses.values().cloned().collect(), board.points.values().cloned().collect())
        };
        let clock = self.clock.stamp().clock;
        let mut snapshot = Snapshot {
            schema: SCHEMA.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            gateway: self.gateway.clone(),
            verdict: String::new(),
            troubles: Vec::new(),
            time: rfc3339(unix_ms()),
            clock: state_name(clock).into(),
            clock_doubt: self.clock.doubt(clock),
            started: rfc3339(self.started_ms),
            hub,
            journal,
            buses,
            points,
        };
        snapshot.troubles = self.troubles(&snapshot);
        snapshot.verdict = if snapshot.troubles.is_empty() { "ok" } else { "degraded" }.into();
        snapshot
    }

    fn journal(&self) -> Journal {
        match self.journal.stats() {
            Ok(stats) => Journal {
                epoch: stats.epoch,
                entries: stats.next_seq,
                anchored: stats.anchored_seq,
                receipted: stats.acked_seq,
                oldest_unreceipted: stats.oldest_unreceipted_ms.map(rfc3339),
                stored_bytes: stats.stored_bytes,
                quota_bytes: self.quota_bytes,
                written_bytes: stats.written_bytes,
                commits: stats.commits,
                refused_receipt: stats.refused_receipt,
                failed: stats.latched,
            },
            Err(error) => Journal { failed: Some(error.to_string()), ..Journal::default() },
        }
    }

    fn troubles(&self, snapshot: &Snapshot) -> Vec<String> {
        let mut troubles = Vec::new();
        let journal = &snapshot.journal;
        if let Some(failed) = &journal.failed {
            troubles.push(format!("journal: {failed}"));
        }
        if let Some(refusal) = &snapshot.hub.refusal {
            troubles.push(format!("the ledger refuses {refusal}"));
        }
        if let Some(refused) = &journal.refused_receipt {
            troubles.push(format!("the hub's receipt is not taken: {refused}"));
        }
        if self.hub_configured && !snapshot.hub.connected {
            let error = snapshot.hub.last_error.as_deref().unwrap_or("not yet connected");
            troubles.push(format!("hub not connected: {error}"));
        }
        if journal.stored_bytes.saturating_mul(100) >= self.quota_bytes.saturating_mul(QUOTA_WARNING_PERCENT) {
            troubles.push(format!("journal at {} of {} bytes", journal.stored_bytes, self.quota_bytes));
        }
        for bus in snapshot.buses.iter().filter(|bus| !bus.open) {
            if let Some(error) = &bus.last_error {
                troubles.push(format!("bus {}: {error}", bus.name));
            }
        }
        troubles.extend(silences(&snapshot.points, &snapshot.buses));
        troubles
    }
}

/// The meters that do not answer. Where the port is gone, that is the trouble, and not its meters.
fn silences(points: &[Point], buses: &[Bus]) -> Vec<String> {
    let open = |point: &Point| buses.iter().any(|bus| bus.name == point.bus && bus.open);
    let silent: Vec<&Point> =
        points.iter().filter(|point| is_silent(point.answered, point.failures_in_a_row) && open(point)).collect();
    let named = |never: bool| {
        let names = silent.iter().filter(|point| (point.answered == 0) == never).map(|point| point.point.as_str());
        names.collect::<Vec<_>>()
    };
    let count = |names: &[&str]| match names.len() {
        1 => "1 meter".into(),
        many => format!("{many} meters"),
    };
    let (never, fell) = (named(true), named(false));
    let mut troubles = Vec::new();
    if !never.is_empty() {
        let what = "silent since the start, check address, baud rate and wiring";
        troubles.push(format!("{} {what}: {}", count(&never), never.join(", ")));
    }
    if !fell.is_empty() {
        troubles.push(format!("{} silent: {}", count(&fell), fell.join(", ")));
    }
    troubles
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(name: &str, answered: u64, failures_in_a_row: u32) -> Point {
        Point { point: name.into(), bus: "cellar".into(), answered, failures_in_a_row, ..Point::default() }
    }

    #[test]
    fn a_meter_that_never_answered_is_a_trouble_from_its_first_failure() {
        let mut bus = Bus { name: "cellar".into(), open: true, ..Bus::default() };
        let points = [point("good", 5, 0), point("late", 5, 2), point("dead", 0, 1), point("gone", 5, 3)];
        assert_eq!(
            silences(&points, std::slice::from_ref(&bus)),
            ["1 meter silent since the start, check address, baud rate and wiring: dead", "1 meter silent: gone"]
        );
        assert_eq!(silences(&points[..2], std::slice::from_ref(&bus)), Vec::<String>::new());
        bus.open = false;
        assert_eq!(silences(&points, &[bus]), Vec::<String>::new(), "the port is the trouble");
    }
}
