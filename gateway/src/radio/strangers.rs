//! Senders that are heard and not configured: what a scan of the air shows.

use std::collections::HashMap;

use plomb_mbus::MeterId;
use plomb_wmbus::{Telegram, Upper};

use super::listener::Elapsed;

/// The most strangers that are remembered; the one not heard for longest gives way.
pub const STRANGERS_MAX: usize = 512;

/// A sender that is not configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// Who it says it is. Nothing proves it.
    pub meter: MeterId,
    /// How many telegrams came.
    pub telegrams: u64,
    /// When the last one came.
    pub last: Elapsed,
    /// How strong it was.
    pub rssi_dbm: Option<i16>,
    /// How its telegrams are protected, in words.
    pub protection: String,
}

/// Strangers by identity, bounded.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    heard: HashMap<MeterId, Stranger>,
}

impl Strangers {
    pub(super) fn hear(&mut self, meter: MeterId, telegram: &Telegram<'_>, rssi_dbm: Option<i16>, now: Elapsed) {
        if let Some(known) = self.heard.get_mut(&meter) {
            known.telegrams += 1;
            (known.last, known.rssi_dbm) = (now, rssi_dbm);
            return;
        }
        if self.heard.len() >= STRANGERS_MAX {
            let oldest = self.heard.values().min_by_key(|stranger| stranger.last).map(|stranger| stranger.meter);
            oldest.map(|oldest| self.heard.remove(&oldest));
        }
        let protection = protection(telegram);
        self.heard.insert(meter, Stranger { meter, telegrams: 1, last: now, rssi_dbm, protection });
    }

    /// All, the latest first.
    pub(super) fn list(&self) -> Vec<Stranger> {
        let mut all: Vec<Stranger> = self.heard.values().cloned().collect();
        all.sort_by(|a, b| b.last.cmp(&a.last).then_with(|| a.meter.id.cmp(&b.meter.id)));
        all
    }
}

/// How a telegram says that it is protected.
pub(crate) fn protection(telegram: &Telegram<'_>) -> String {
    match telegram.upper {
        Upper::Sealed { .. } => "encrypted (extended link layer)".into(),
        Upper::Fragment { .. } => "a fragment".into(),
        Upper::Message { transport, .. } => transport.header.mode().to_string(),
    }
}
