//! Asking one meter, once, whatever its protocol.
//!
//! | module | what it does |
//! |---|---|
//! | [`port`] | opens a line's port when it is needed, and leaves one that failed alone for a while |
//! | [`mbus`] | wired M-Bus |
//! | [`sealed`] | encrypted telegrams of wired M-Bus |
//! | [`dlms`] | DLMS/COSEM |
//! | [`iec62056`] | the readout of IEC 62056-21 |
//! | [`modbus`] | Modbus, over TCP and on serial lines |
//! | [`deed`] | doing something at a meter, once |

pub mod deed;
pub mod dlms;
pub mod iec62056;
pub mod mbus;
pub mod modbus;
pub mod port;
pub mod sealed;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use plomb_dlms::security::SystemTitle;
use plomb_modbus::Maps;
use plomb_profiles::Library;
use plomb_seal::{Name, Reason, Record};

use crate::{
    clock::SystemClock,
    config::{self, Protocol},
    journal::Journal,
    keys::Keys,
    secrets::Secrets,
};
use deed::{Effect, Instruction, Undone};
use dlms::DlmsMeter;
use iec62056::ReadoutMeter;
use mbus::MbusMeter;
use modbus::ModbusMeter;
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
    /// What the meter kept from before, oldest first: rows of its load profile that the journal does not have.
    pub earlier: Vec<Record>,
    /// Marks of how far that reaches, to be kept once it is in the journal.
    pub marks: Vec<(String, u64)>,
}

impl Answer {
    /// An answer with nothing from before.
    pub fn new(record: Record, frames: Vec<Vec<u8>>) -> Self {
        Self { record, frames, counters: Vec::new(), earlier: Vec::new(), marks: Vec::new() }
    }
}

/// What is known beside the configuration, to read what meters say.
#[derive(Clone)]
pub struct Knowledge {
    /// The keys of meters.
    pub keys: Arc<Keys>,
    /// The models that are known.
    pub library: Arc<Library>,
    /// The register maps of Modbus meters.
    pub maps: Arc<Maps>,
    /// The counters that the journal has.
    pub counters: std::collections::BTreeMap<String, u64>,
    /// Passwords and keys of DLMS meters.
    pub secrets: Arc<Secrets>,
    /// The gateway's own system title.
    pub title: SystemTitle,
    /// Where counters are kept before they are used. Without it nobody records, and a count is read from the meter.
    pub journal: Option<Journal>,
    /// The gateway's clock. Without it nobody doubts the time that meters are given.
    pub clock: Option<Arc<SystemClock>>,
}

impl Knowledge {
    /// Nothing.
    pub fn none() -> Self {
        Self {
            keys: Arc::default(),
            library: Arc::new(Library::empty()),
            maps: Arc::default(),
            counters: std::collections::BTreeMap::new(),
            secrets: Arc::default(),
            title: config::default_title(""),
            journal: None,
            clock: None,
        }
    }
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
    Dlms(Box<DlmsMeter>),
    Readout(Box<ReadoutMeter>),
    Modbus(Box<ModbusMeter>),
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
            Protocol::Dlms => Speaks::Dlms(Box::new(DlmsMeter::new(meter, bus, knowledge)?)),
            Protocol::Iec62056 => Speaks::Readout(Box::new(ReadoutMeter::new(meter, bus)?)),
            Protocol::Modbus => Speaks::Modbus(Box::new(ModbusMeter::new(meter, bus, knowledge)?)),
            other => return Err(format!("meter \"{point}\": meters of {} are not asked here", other.name())),
        };
        Ok(Self { point, speaks })
    }

    /// Asks it. `silent`: it failed the last times, and must not cost much.
    pub async fn ask(&mut self, port: &mut Port, silent: bool) -> Outcome {
        match &mut self.speaks {
            Speaks::Mbus(meter) => meter.ask(port, silent).await,
            Speaks::Dlms(meter) => meter.ask(port, silent).await,
            Speaks::Readout(meter) => meter.ask(port, silent).await,
            Speaks::Modbus(meter) => meter.ask(port, silent).await,
        }
    }

    /// Has it do something, once. Reading is [`ask`](Self::ask)'s.
    ///
    /// # Errors
    /// Why it was not done, or that this is unknown.
    pub async fn carry_out(&mut self, port: &mut Port, instruction: &Instruction) -> Result<Effect, Undone> {
        match &mut self.speaks {
            Speaks::Dlms(meter) => meter.carry_out(port, instruction).await,
            Speaks::Mbus(meter) => meter.carry_out(port, instruction).await,
            Speaks::Readout(_) => Err(Undone::unsupported(instruction, "a meter that only gives readouts")),
            Speaks::Modbus(_) => Err(Undone::unsupported(instruction, "a Modbus meter")),
        }
    }

    /// The M-Bus address, where it has one.
    pub fn mbus(&self) -> Option<&MbusMeter> {
        match &self.speaks {
            Speaks::Mbus(meter) => Some(meter),
            Speaks::Dlms(_) | Speaks::Readout(_) | Speaks::Modbus(_) => None,
        }
    }
}

/// Reads one meter once, for a person, over a link of its own.
///
/// # Errors
/// Why there is no record; [`Reason::NotAsked`] where the configuration is wrong.
pub async fn ask_once(meter: &config::Meter, bus: &config::Bus, knowledge: &Knowledge) -> Outcome {
    let mut meter = LineMeter::new(meter, bus, knowledge).map_err(|what| (Reason::NotAsked, what))?;
    meter.ask(&mut Port::new(bus, None), false).await
}
