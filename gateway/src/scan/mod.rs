//! Finding meters: on a wire by asking, in the air by listening. What is found is told at once, a line each.

mod air;
pub mod dlms;
mod modbus;
mod total;
mod wired;
mod wish;

pub(crate) use air::Ear;
pub use air::air;
pub use modbus::modbus;
pub use wired::{wired, wired_on};
pub use wish::{Wish, check_modes, check_receiver};

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// The schema of [`ScanLine`].
pub const SCHEMA: &str = "plomb.scan/1";
/// How long the air is listened to unless told otherwise, in seconds.
pub const AIR_SECONDS_DEFAULT: u64 = 120;

/// What a scan through a daemon that stops tells at its end.
pub(crate) const STOPPED: &str = "plombd stopped: there may be more meters; search again when it runs, or without it";

/// The most lines of a scan that wait to be taken; progress is left out when nobody takes it. The other half holds
/// each meter that the air can give, and the end.
pub const LINES_MAX: usize = 1280;

/// A scan that somebody wants of the task that holds the port. It ends early when the lines' receiver goes.
pub struct ScanOrder {
    /// What to look for.
    pub options: ScanOptions,
    /// Where the lines go.
    pub lines: mpsc::Sender<ScanLine>,
}

/// What to look for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScanOptions {
    /// On a wire: how.
    pub how: How,
    /// On a wire: at all speeds, not only at the line's.
    pub speeds: bool,
    /// In the air: for how long, in seconds.
    pub lasts_s: u64,
    /// What the line must be, where somebody else has configured it.
    pub wish: Wish,
}

/// How a wire is searched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// By identity. A mask, as `1234FFFF` or `FFFFFFFF.ACW`, narrows the search.
    Secondary {
        /// The mask.
        mask: Option<String>,
    },
    /// By primary address, from one to another.
    Primary {
        /// The first.
        first: u8,
        /// The last.
        last: u8,
    },
}

/// What a scan tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum ScanLine {
    /// A meter.
    Found(Found),
    /// Something answers and can't be told as a meter.
    Trouble {
        /// Who was asked.
        place: String,
        /// What came back, and what to do.
        what: String,
    },
    /// What came back at a speed.
    Speed {
        /// In bits a second.
        baud: u32,
        /// `silence`, `clean` or `garbled`.
        answer: String,
    },
    /// How far the scan is.
    Progress {
        /// Frames sent, or telegrams heard.
        frames: u64,
        /// Meters found.
        found: u64,
        /// How much is done, in thousandths.
        done_per_mille: u16,
        /// How long it will take yet, in seconds, if that can be told.
        remaining_s: Option<f64>,
    },
    /// The end; always the last line.
    Done {
        /// `complete`, `nobody-answers`, `noise`, `frame-limit`, `cancelled`, or `failed`.
        end: String,
        /// The same in words, with what to do.
        detail: String,
        /// Frames sent, or telegrams heard.
        frames: u64,
        /// Meters found.
        found: u64,
        /// How long it took, in seconds.
        took_s: f64,
    },
}

/// A meter that was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// `mbus`, `wmbus` or `modbus`.
    pub protocol: String,
    /// As `secondary` or `id` in the configuration: `12345678.ACW.0E.07`. Modbus: the register map, as `model`.
    pub identity: Option<String>,
    /// Its primary address, or its unit.
    pub address: Option<u8>,
    /// The eight digits on the meter.
    pub id: Option<String>,
    /// Three letters.
    pub manufacturer: Option<String>,
    /// The generation.
    pub version: Option<u8>,
    /// What it measures.
    pub medium: Option<String>,
    /// The speed that it answered at.
    pub baud: Option<u32>,
    /// Its most telling value.
    pub value: Option<String>,
    /// In the air: how its telegrams are protected.
    pub protection: Option<String>,
    /// In the air: how strong it is.
    pub rssi_dbm: Option<i16>,
    /// The measuring point that is configured for it.
    pub point: Option<String>,
}

/// A time in seconds, to the millisecond.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

impl Found {
    /// Whether its telegrams can be read only with its key.
    pub fn needs_key(&self) -> bool {
        self.protection.as_ref().is_some_and(|how| *how != plomb_wmbus::SecurityMode::PLAIN.to_string())
    }
}
