//! Makes status snapshots, and judges them.

use std::sync::Arc;

use crate::{
    clock::{SystemClock, state_name, unix_ms},
    journal,
    status::{Board, Journal, Point, SCHEMA, Snapshot, rfc3339},
};

/// From this share of the quota on the gateway calls itself degraded, in percent.
pub const QUOTA_WARNING_PERCENT: u64 = 70;
/// A point that was silent for this many intervals is a trouble.
pub const LATE_INTERVALS: f64 = 3.0;

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
        let mut snapshot = Snapshot {
            schema: SCHEMA.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            gateway: self.gateway.clone(),
            verdict: String::new(),
            troubles: Vec::new(),
            time: rfc3339(unix_ms()),
            clock: state_name(self.clock.stamp().clock).into(),
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
        let silent: Vec<&str> =
            snapshot.points.iter().filter(|point| is_silent(point)).map(|point| point.point.as_str()).collect();
        if !silent.is_empty() {
            troubles.push(format!("{} meters silent: {}", silent.len(), silent.join(", ")));
        }
        troubles
    }
}

/// A point whose last three due readings are missing.
fn is_silent(point: &Point) -> bool {
    f64::from(point.failures_in_a_row) >= LATE_INTERVALS
}
