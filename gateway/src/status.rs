//! What the gateway tells about itself: one snapshot, for the command line and for `up/status`.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::vitals::measure::Vitals;

/// The schema of [`Snapshot`].
pub const SCHEMA: &str = "plomb.status/1";

/// The state of a gateway at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`SCHEMA`].
    pub schema: String,
    /// The version of `plombd`.
    pub version: String,
    /// The gateway.
    pub gateway: String,
    /// `ok` or `degraded`.
    pub verdict: String,
    /// Why it is degraded, most important first.
    pub troubles: Vec<String>,
    /// When the snapshot was taken, RFC 3339.
    pub time: String,
    /// The state of the clock: `synced`, `holdover` or `unset`.
    pub clock: String,
    /// Why the clock is not synchronised.
    pub clock_doubt: Option<String>,
    /// Since when the daemon runs, RFC 3339.
    pub started: String,
    /// The link to the hub.
    pub hub: Hub,
    /// The journal.
    pub journal: Journal,
    /// The box itself, once it was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vitals: Option<Vitals>,
    /// What came from the ledger.
    #[serde(default)]
    pub orders: Orders,
    /// The lines.
    pub buses: Vec<Bus>,
    /// The measuring points.
    pub points: Vec<Point>,
}

/// The link to the hub.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Hub {
    /// Where it is; empty if none is configured.
    pub address: String,
    /// Whether there is a connection.
    pub connected: bool,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// The last refusal of the ledger: rule and detail.
    pub refusal: Option<String>,
    /// How many connections were made.
    pub connections: u64,
    /// How many batches were sent, again counted.
    pub batches_sent: u64,
    /// How many receipts were verified.
    pub receipts: u64,
    /// When the last receipt came, RFC 3339.
    pub last_receipt: Option<String>,
    /// The ledger's size at the newest checkpoint seen.
    pub ledger_size: Option<u64>,
}

/// Configurations and commands of the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// The configuration in force, if it is one of the ledger's; else the founding file's.
    pub in_force: Option<OrderedConfig>,
    /// The one that has yet to prove itself; it is in force already.
    pub on_trial: Option<OrderedConfig>,
    /// Those that wait for their time.
    pub pending: Vec<OrderedConfig>,
    /// The last command.
    pub last_command: Option<OrderedCommand>,
    /// Commands that are being executed.
    pub executing: usize,
    /// Statements that the ledger has not answered yet.
    pub unanswered: usize,
    /// The last order that was not taken: rule and detail.
    pub refused: Option<String>,
    /// The sealing key: serial and key id, and whether the ledger has it.
    pub sealing_key: Option<String>,
    /// Local edits, which have no effect while a configuration of the ledger is in force.
    pub edits: Vec<String>,
}

/// A configuration of the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderedConfig {
    /// Its version.
    pub version: u64,
    /// Its author.
    pub author: String,
    /// Why.
    pub reason: String,
    /// How urgent.
    pub priority: String,
    /// When it was applied, or came; RFC 3339.
    pub time: String,
    /// Its transaction's leaf hash.
    pub transaction: String,
    /// SHA-256 of its text.
    pub hash: String,
}

/// A command of the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderedCommand {
    /// The measuring point.
    pub point: String,
    /// What was to be done.
    pub verb: String,
    /// Its number.
    pub counter: u64,
    /// Its author.
    pub author: String,
    /// What became of it, with the rule and in words; empty while it is being executed.
    pub outcome: String,
    /// When, RFC 3339.
    pub time: String,
}

/// The journal.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Journal {
    /// The present epoch.
    pub epoch: u32,
    /// How many entries of it are durable.
    pub entries: u64,
    /// How many of them are covered by an anchor.
    pub anchored: u64,
    /// How many of them have a receipt.
    pub receipted: u64,
    /// The oldest entry without a receipt, RFC 3339.
    pub oldest_unreceipted: Option<String>,
    /// What counts against the quota, in bytes.
    pub stored_bytes: u64,
    /// The quota, in bytes.
    pub quota_bytes: u64,
    /// Bytes written to the file since the start.
    pub written_bytes: u64,
    /// Durable commits since the start.
    pub commits: u64,
    /// The last receipt that was refused, and why, if no good one came since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_receipt: Option<String>,
    /// How many readings, absences and events could not become entries since the start.
    #[serde(default)]
    pub not_taken: u64,
    /// The last of them, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_not_taken: Option<String>,
    /// Why the journal takes nothing more.
    pub failed: Option<String>,
}

/// A line.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Bus {
    /// Its name.
    pub name: String,
    /// Its port.
    pub port: String,
    /// Whether the port is open.
    pub open: bool,
    /// What went wrong with it last.
    pub last_error: Option<String>,
    /// How many readouts succeeded.
    pub answered: u64,
    /// How many failed.
    pub failed: u64,
    /// Wireless: the receiver that listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver: Option<String>,
    /// Wireless: telegrams of meters that are not configured.
    #[serde(default)]
    pub strangers: u64,
    /// Wireless: what was heard and is no telegram.
    #[serde(default)]
    pub noise: u64,
    /// Pushes: connections that were closed to make room for others, since the start.
    #[serde(default)]
    pub gave_way: u64,
    /// Pushes: whose the last of them was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gave_way_from: Option<String>,
    /// When that was. Of this process only.
    #[serde(skip)]
    pub gave_way_at: Option<Instant>,
}

/// How long it is told that connections gave way.
pub const CROWDED_TOLD: Duration = Duration::from_secs(3600);

impl Bus {
    /// Whether connections gave way to others lately.
    pub fn is_crowded(&self, now: Instant) -> bool {
        self.gave_way_at.is_some_and(|at| now.saturating_duration_since(at) < CROWDED_TOLD)
    }
}

/// How a radio meter is received.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Radio {
    /// Good telegrams.
    pub telegrams: u64,
    /// Telegrams that had been heard just before.
    pub duplicates: u64,
    /// Refused telegrams by the kind of failure: `mac failed`, `counter repeated`, …
    pub refused: BTreeMap<String, u64>,
    /// The last refusal in words.
    pub last_refusal: Option<String>,
    /// When the last good telegram came, RFC 3339.
    pub last_heard: Option<String>,
    /// When the last refused one came, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_refused: Option<String>,
    /// How often it sends, in seconds, as far as its telegrams tell.
    pub expected_interval_s: Option<f64>,
    /// The share of its telegrams that were heard in the last 24 hours, in percent.
    pub heard_24h_percent: Option<u8>,
    /// The signal strength of the last good telegram, in dBm; until there is one, of the last refused.
    pub rssi_dbm: Option<i16>,
    /// How well it was protected.
    pub protection: Option<String>,
}

/// A measuring point.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Point {
    /// Its name.
    pub point: String,
    /// Its line.
    pub bus: String,
    /// The meter that answered last: id, manufacturer, medium.
    pub meter: Option<String>,
    /// When it last answered, RFC 3339.
    pub last_record: Option<String>,
    /// Its most telling value, with OBIS code and unit.
    pub value: Option<String>,
    /// How often it is read, in seconds.
    pub interval_s: f64,
    /// How many readouts succeeded.
    pub answered: u64,
    /// How many failed or were skipped.
    pub absent: u64,
    /// How many failed in a row.
    pub failures_in_a_row: u32,
    /// Why the last one failed.
    pub last_failure: Option<String>,
    /// While it fails: when it is asked again by itself, RFC 3339. `plomb read --point` asks now.
    pub asked_again: Option<String>,
    /// When it last answered or an absence was noticed; at the begin, the start. Of this process only.
    #[serde(skip)]
    pub last_result: Option<Instant>,
    /// The status words of the meter.
    pub status: Vec<String>,
    /// Wireless: how it is received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub radio: Option<Radio>,
}

/// The parts of the snapshot that tasks keep up to date.
#[derive(Debug, Default)]
pub struct Board {
    inner: Mutex<Inner>,
}

/// What tasks write.
#[derive(Debug, Default)]
pub struct Inner {
    /// The link to the hub.
    pub hub: Hub,
    /// Lines by name.
    pub buses: BTreeMap<String, Bus>,
    /// Points by name.
    pub points: BTreeMap<String, Point>,
    /// Since when batches are sent and nothing answers; the time without a connection does not count.
    pub unanswered: Option<Instant>,
    /// Since when there is no connection to the hub, if there was one.
    pub disconnected: Option<Instant>,
    /// The box itself, once it was looked at.
    pub vitals: Option<Vitals>,
    /// What is bad with it.
    pub vital_troubles: Vec<String>,
    /// The journal's quota, in bytes.
    pub quota_bytes: u64,
    /// Whether there is a hub to be connected to.
    pub hub_configured: bool,
    /// What came from the ledger.
    pub orders: Orders,
}

impl Inner {
    /// A connection stands: what was unanswered before waits on.
    pub(crate) fn connected(&mut self, now: Instant) {
        if let (Some(since), Some(lost)) = (&mut self.unanswered, self.disconnected.take()) {
            *since += now.saturating_duration_since(lost);
        }
        self.disconnected = None;
        self.hub.connected = true;
        self.hub.last_error = None;
        self.hub.connections += 1;
    }
}

impl Board {
    /// Writes. A panic elsewhere can't leave these counters half-written, so poison means nothing.
    pub fn update(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// RFC 3339 with milliseconds, from Unix milliseconds.
pub fn rfc3339(unix_ms: i64) -> String {
    let format =
        time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000)
        .ok()
        .and_then(|time| time.format(format).ok())
        .unwrap_or_else(|| format!("{unix_ms} ms"))
}
