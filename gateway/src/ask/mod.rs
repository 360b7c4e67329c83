//! Asking one meter, once, whatever its protocol.
//!
//! | module | what it does |
//! |---|---|
//! | [`port`] | opens a line's port when it is needed, and leaves one that failed alone for a while |
//! | [`mbus`] | wired M-Bus |
//! | [`sealed`] | encrypted telegrams of wired M-Bus |

pub mod mbus;
pub mod port;
pub mod sealed;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use plomb_profiles::Library;
use plomb_seal::{Name, Reason, Record};

use crate::{
    config::{self, Protocol},
    keys::Keys,
};
use mbus::MbusMeter;
use port::Port;

/// What came of asking a meter: what it said, or why it said nothing.
pub type Outcome = Result<Answer, (Reason, String)>;

/// What a meter said.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its registers, now.
    pub record: Record,
    /// The frames that they came in.
    pub frames: Vec<Vec<u8>>,
    /// Message counters that the answer used up, by the names that the journal keeps them by.
    pub counters: Vec<(String, u64)>,
}

/// What is known beside the configuration, to read what meters say.
#[derive(Debug, Clone)]
pub struct Knowledge {
    /// The keys of meters.
    pub keys: Arc<Keys>,
    /// The models that are known.
    pub library: Arc<Library>,
    /// The counters that the journal has.
    pub counters: std::collections::BTreeMap<String, u64>,
}

/// A meter as its line sees it.
#[derive(Debug)]
pub struct LineMeter {
    /// Its measuring point.
    pub point: Name,
    speaks: Speaks,
}

#[derive(Debug)]
enum Speaks {
    Mbus(Box<MbusMeter>),
}

impl LineMeter {
    /// A configured meter on its line.
    ///
    /// # Errors
    /// What is wrong with the configuration, in words.
    pub fn new(meter: &config::Meter, bus: &config::Bus, knowledge: &Knowledge) -> Result<Self, String> {
        let point = meter.point.parse().map_err(|error| format!("meter point: {error}"))?;
        let speaks = match bus.protocol {
            Protocol::Mbus => Speaks::Mbus(Box::new(MbusMeter::new(meter, bus, knowledge)?)),
            other => return Err(format!("meter \"{point}\": meters of {} are not asked here", other.name())),
        };
        Ok(Self { point, speaks })
    }

    /// Asks it. `silent`: it failed the last times, and must not cost much.
    pub async fn ask(&mut self, port: &mut Port, silent: bool) -> Outcome {
        match &mut self.speaks {
            Speaks::Mbus(meter) => meter.ask(port, silent).await,
        }
    }

    /// The M-Bus address, where it has one.
    pub fn mbus(&self) -> Option<&MbusMeter> {
        match &self.speaks {
            Speaks::Mbus(meter) => Some(meter),
        }
    }
}

/// Reads one meter once, for a person, over a link of its own.
///
/// # Errors
/// Why there is no record, in words.
pub async fn ask_once(meter: &config::Meter, bus: &config::Bus, knowledge: &Knowledge) -> Result<Answer, String> {
    let mut meter = LineMeter::new(meter, bus, knowledge)?;
    meter.ask(&mut Port::new(bus, None), false).await.map_err(|(_, detail)| detail)
}
