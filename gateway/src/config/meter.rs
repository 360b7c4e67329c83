//! Meters: what is asked or heard at a measuring point.

use std::time::Duration;

use serde::Deserialize;

use super::{Bus, default};

/// A meter.
#[derive(Debug, Clone, Deserialize)]
pub struct Meter {
    /// The measuring point's name. It outlives the meter.
    pub point: String,
    /// The line that it is on.
    pub bus: String,
    /// Its primary address, 1 to 250.
    pub address: Option<u8>,
    /// Its secondary address: 8 digits, or `id.manufacturer.version.medium` as `scan` prints it.
    pub secondary: Option<String>,
    /// Wireless: its identity, 8 digits, or `id.manufacturer.version.medium` as `scan` prints it.
    pub id: Option<String>,
    /// Wireless: the least protection that its telegrams must have. Default: `encrypted` if there is a key or
    /// its profile says so, else `plain`.
    pub security: Option<Security>,
    /// How often it is read, in seconds.
    #[serde(default = "default::interval_s")]
    pub interval_s: f64,
    /// How long an answer may take to begin, in milliseconds; default the line's.
    pub reply_timeout_ms: Option<u32>,
    /// How long an answer may pause, in milliseconds.
    pub gap_timeout_ms: Option<u32>,
    /// How often a question is asked again.
    pub retries: Option<u8>,
    /// The most telegrams of one readout.
    pub telegrams_max: Option<u8>,
}

/// The timing of a meter, as far as it is configured; the rest comes from the standard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// How long an answer may take to begin, in milliseconds.
    pub reply_timeout_ms: Option<u32>,
    /// How long an answer may pause, in milliseconds.
    pub gap_timeout_ms: Option<u32>,
    /// How often a question is asked again.
    pub retries: Option<u8>,
    /// The most telegrams of one readout.
    pub telegrams_max: Option<u8>,
}

/// The least protection of a radio meter's telegrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// None.
    Plain,
    /// Encrypted: mode 5, or by the extended link layer.
    Encrypted,
    /// Encrypted and authenticated under a message counter: modes 7 and 10.
    Authenticated,
}

impl Meter {
    /// A meter with nothing but defaults; its address is still to be given.
    pub fn new(point: &str, bus: &str) -> Self {
        Self {
            point: point.into(),
            bus: bus.into(),
            address: None,
            secondary: None,
            id: None,
            security: None,
            interval_s: default::interval_s(),
            reply_timeout_ms: None,
            gap_timeout_ms: None,
            retries: None,
            telegrams_max: None,
        }
    }

    /// Its timing; what it does not say is the line's.
    pub fn timing(&self, line: &Bus) -> Timing {
        Timing {
            reply_timeout_ms: self.reply_timeout_ms.or(line.reply_timeout_ms),
            gap_timeout_ms: self.gap_timeout_ms.or(line.gap_timeout_ms),
            retries: self.retries.or(line.retries),
            telegrams_max: self.telegrams_max.or(line.telegrams_max),
        }
    }

    /// How often it is read.
    pub fn interval(&self) -> Duration {
        Duration::from_secs_f64(self.interval_s)
    }
}
