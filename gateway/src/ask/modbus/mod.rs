//! Asking a Modbus meter: which registers, by its map; in which words it says no.

mod line;

use std::{sync::Arc, time::Duration};

use plomb_modbus::{Block, Image, Maps, RegisterMap, Step, Table, Walk, Wanted, decode, identify, plan, serial};
use plomb_seal::Reason;
use plomb_session::Obis;
use tokio_modbus::ExceptionCode;

pub use line::{ModbusLine, Trouble};

use super::{Answer, Knowledge, Outcome, port::Port};
use crate::{
    config,
    normalise::modbus::{Read, record},
};

/// How long a unit may think, unless configured: some take most of a second when their tariff changes.
pub const REPLY_TIMEOUT_DEFAULT: Duration = Duration::from_secs(1);
/// How often a question is asked again, unless configured.
const RETRIES_DEFAULT: u8 = 1;
/// Read holding registers and read input registers (Modbus Application Protocol V1.1b3 §6.3, §6.4).
const FUNCTION_HOLDING: u8 = 3;
const FUNCTION_INPUT: u8 = 4;

/// What to do about a [`Trouble::Broken`].
const BROKEN_ADVICE: &str =
    "does the serial server translate to Modbus TCP, or only pass bytes on? Else the unit's firmware is faulty";
/// What a [`Trouble::HungUp`] is, and what to do about it.
pub(crate) const HUNG_UP: &str = "the other end closed the connection after the question";
const HUNG_UP_ADVICE: &str = "is there such a unit behind it, and is its one connection not taken by another client?";

/// A meter with registers.
#[derive(Debug)]
pub struct ModbusMeter {
    unit: u8,
    map: Arc<RegisterMap>,
    /// The map with this device's addresses, once they are known.
    located: Option<RegisterMap>,
    wanted: Wanted,
    patience: Duration,
    retries: u8,
}

/// One conversation: questions to one unit, and what it answered.
struct Round<'a> {
    port: &'a mut Port,
    unit: u8,
    patience: Duration,
    retries: u8,
    image: Image,
    frames: Vec<Vec<u8>>,
}

impl ModbusMeter {
    /// A configured meter.
    ///
    /// # Errors
    /// What is wrong with the configuration: a model that is not known, a register that it does not have.
    pub fn new(meter: &config::Meter, bus: &config::Bus, knowledge: &Knowledge) -> Result<Self, String> {
        let wrong = |what: String| format!("meter \"{}\": {what}", meter.point);
        let unit = meter.unit.ok_or_else(|| wrong("give `unit`, 1 to 247".into()))?;
        let model = meter.model.as_deref().unwrap_or_default();
        let map = knowledge.maps.by_name(model).ok_or_else(|| wrong(unknown(model, &knowledge.maps)))?;
        let wanted = match &meter.registers[..] {
            [] => Wanted::All,
            codes => Wanted::Obis(codes.iter().map(|code| has(map, code)).collect::<Result<_, _>>().map_err(wrong)?),
        };
        let timing = meter.timing(bus);
        let millis = |ms: u32| Duration::from_millis(ms.into());
        Ok(Self {
            unit,
            map: Arc::new(map.clone()),
            located: None,
            wanted,
            patience: timing.reply_timeout_ms.map_or(REPLY_TIMEOUT_DEFAULT, millis)
                + bus.latency_ms.map_or(Duration::ZERO, millis),
            retries: timing.retries.unwrap_or(RETRIES_DEFAULT),
        })
    }

    /// Asks it who it is, and for its registers. `silent`: it failed the last times, and is asked once.
    pub async fn ask(&mut self, port: &mut Port, silent: bool) -> Outcome {
        let retries = if silent { 0 } else { self.retries };
        let (unit, patience) = (self.unit, self.patience);
        let mut round = Round { port, unit, patience, retries, image: Image::new(), frames: Vec::new() };
        let told = self.read(&mut round).await;
        if told.is_err() {
            // A device that was changed may have its models elsewhere.
            self.located = None;
        }
        told
    }

    async fn read(&mut self, round: &mut Round<'_>) -> Outcome {
        let map = match (&self.located, &self.map.chain) {
            (Some(located), _) => located.clone(),
            (None, None) => (*self.map).clone(),
            (None, Some(_)) => round.locate(&self.map).await?,
        };
        let blocks = plan(&map, &self.wanted);
        let is_planned = |own: &Block| {
            let within = |block: &Block| block.address <= own.address && own.end() <= block.end();
            blocks.iter().any(|block| block.table == own.table && within(block))
        };
        // Who it is comes first: the registers of another meter are not even looked at.
        for identity in &map.identity {
            let block = Block::of(&identity.span);
            if !is_planned(&block) {
                round.block(block).await.map_err(no_identity)?;
            }
        }
        for block in &blocks {
            round.block(*block).await.map_err(told)?;
        }
        identify(&map, &round.image).map_err(|error| (Reason::OtherMeter, error.to_string()))?;
        if let Some(span) = map.serial.as_ref().filter(|span| !is_planned(&Block::of(span))) {
            match round.block(Block::of(span)).await {
                // Older versions of a model may not have the number.
                Ok(()) | Err(Refusal::Exception(ExceptionCode::IllegalDataAddress, _)) => {}
                Err(refusal) => return Err(told(refusal)),
            }
        }
        let measured = decode(&map, &self.wanted, &round.image);
        let read = Read { map: &map, unit: self.unit, serial: serial(&map, &round.image), measured: &measured };
        let frames = std::mem::take(&mut round.frames);
        let record = record(&read, &frames);
        self.located = map.chain.is_some().then_some(map);
        Ok(Answer::new(record, frames))
    }
}

/// Why a block was not read.
enum Refusal {
    Exception(ExceptionCode, Block),
    Failed(Reason, String),
}

impl Round<'_> {
    /// Reads a block, again if need be.
    async fn block(&mut self, block: Block) -> Result<(), Refusal> {
        let (mut again, mut reopened) = (0, false);
        loop {
            let failed = |(reason, detail)| Refusal::Failed(reason, detail);
            let line = self.port.open_modbus().await.map_err(failed)?;
            let was_used = line.is_used();
            let trouble = match line.read(self.unit, block, self.patience).await {
                Ok(words) => {
                    self.frames.push(frame(self.unit, block, &words));
                    self.image.put(block, &words);
                    return Ok(());
                }
                Err(Trouble::Port(_) | Trouble::HungUp) if was_used && !reopened => {
                    // Closed for idleness, most likely.
                    line.close();
                    reopened = true;
                    continue;
                }
                Err(Trouble::Port(error)) => return Err(Refusal::Failed(Reason::Port, self.port.fail(&error))),
                Err(trouble) => trouble,
            };
            let is_final = matches!(&trouble, Trouble::Exception(code) if !is_passing(*code));
            if is_final || again >= self.retries {
                return Err(self.refusal(trouble, block));
            }
            again += 1;
        }
    }

    fn refusal(&self, trouble: Trouble, block: Block) -> Refusal {
        let unit = self.unit;
        let (reason, detail) = match trouble {
            Trouble::Exception(code) => return Refusal::Exception(code, block),
            Trouble::Silent => (Reason::Timeout, format!("unit {unit} does not answer")),
            Trouble::Garbled => (
                Reason::Checksum,
                format!(
                    "unit {unit}: an answer came broken; check speed, parity, wiring, and that no two units share a number"
                ),
            ),
            Trouble::Strange(what) => (Reason::Malformed, format!("unit {unit}: {what}")),
            Trouble::Broken(how) => (Reason::Malformed, format!("unit {unit}: {how}; {BROKEN_ADVICE}")),
            Trouble::HungUp => (Reason::Timeout, format!("unit {unit}: {HUNG_UP}; {HUNG_UP_ADVICE}")),
            Trouble::Port(error) => (Reason::Port, error.to_string()),
        };
        Refusal::Failed(reason, detail)
    }

    /// Walks over a SunSpec device's models.
    async fn locate(&mut self, map: &RegisterMap) -> Result<RegisterMap, (Reason, String)> {
        let strange = |error: plomb_modbus::WalkError| (Reason::OtherMeter, error.to_string());
        let Some(chain) = &map.chain else { return Ok(map.clone()) };
        let mut walk = Walk::new(chain);
        loop {
            match walk.step().map_err(strange)? {
                Step::Done(models) => return map.located(&models).map_err(strange),
                Step::Read(block) => match self.block(block).await {
                    Ok(()) => {
                        let words = self.image.get(block.table, block.address, block.words);
                        walk.answered(words.as_deref()).map_err(strange)?;
                    }
                    Err(Refusal::Exception(..)) => walk.answered(None).map_err(strange)?,
                    Err(refusal) => return Err(told(refusal)),
                },
            }
        }
    }
}

/// Whether asking again may help.
fn is_passing(code: ExceptionCode) -> bool {
    use ExceptionCode::{Acknowledge, GatewayTargetDevice, ServerDeviceBusy};
    matches!(code, ServerDeviceBusy | Acknowledge | GatewayTargetDevice)
}

fn told(refusal: Refusal) -> (Reason, String) {
    match refusal {
        Refusal::Failed(reason, detail) => (reason, detail),
        Refusal::Exception(code, block) => {
            let table = match block.table {
                Table::Input => "input",
                Table::Holding => "holding",
            };
            let (reason, name, advice) = explained(code);
            let last = block.end().saturating_sub(1);
            (reason, format!("{table} registers {} to {last}: {name}; {advice}", block.address))
        }
    }
}

/// A meter that does not even have the register which tells its model.
fn no_identity(refusal: Refusal) -> (Reason, String) {
    match refusal {
        Refusal::Exception(ExceptionCode::IllegalDataAddress | ExceptionCode::IllegalFunction, block) => {
            let what = format!("the register at {}, which tells the model, is not there", block.address);
            (Reason::OtherMeter, format!("{what}; is `model` right?"))
        }
        refusal => told(refusal),
    }
}

/// An exception's name.
pub fn name_of(code: ExceptionCode) -> String {
    explained(code).1
}

/// An exception (Modbus Application Protocol V1.1b3 §7), and what to do.
fn explained(code: ExceptionCode) -> (Reason, String, &'static str) {
    use ExceptionCode::{
        Acknowledge, GatewayPathUnavailable, GatewayTargetDevice, IllegalDataAddress, IllegalDataValue,
        IllegalFunction, MemoryParityError, ServerDeviceBusy, ServerDeviceFailure,
    };
    let (reason, name, advice) = match code {
        IllegalFunction => (Reason::Refused, "illegal function", "the map may name the wrong table"),
        IllegalDataAddress => {
            (Reason::Refused, "illegal data address", "is `model` right? The map's max_gap may be too large")
        }
        IllegalDataValue => (Reason::Refused, "illegal data value", "the map's max_block may be too large"),
        ServerDeviceFailure => (Reason::Refused, "server device failure", "the meter itself has an error"),
        Acknowledge => (Reason::Busy, "acknowledge", "the meter is busy; it is asked again in its turn"),
        ServerDeviceBusy => (Reason::Busy, "server device busy", "it is asked again in its turn"),
        MemoryParityError => (Reason::Refused, "memory parity error", "the meter itself has an error"),
        GatewayPathUnavailable => (Reason::Timeout, "gateway path unavailable", "check the gateway's settings"),
        GatewayTargetDevice => (
            Reason::Timeout,
            "gateway target device failed to respond",
            "check unit, wiring and speed behind the gateway",
        ),
        ExceptionCode::Custom(code) => {
            return (Reason::Refused, format!("exception {code}"), "see the maker's papers");
        }
    };
    (reason, name.into(), advice)
}

/// Question and answer as one frame: what was read, and where. Without the transport's own header or check sum.
fn frame(unit: u8, block: Block, words: &[u16]) -> Vec<u8> {
    let function = match block.table {
        Table::Input => FUNCTION_INPUT,
        Table::Holding => FUNCTION_HOLDING,
    };
    let mut frame = vec![unit, function];
    frame.extend(block.address.to_be_bytes());
    frame.extend(block.words.to_be_bytes());
    frame.extend([unit, function, u8::try_from(2 * words.len()).unwrap_or(u8::MAX)]);
    frame.extend(words.iter().flat_map(|word| word.to_be_bytes()));
    frame
}

fn unknown(model: &str, maps: &Maps) -> String {
    let known: Vec<&str> = maps.iter().map(|map| map.name.as_str()).collect();
    format!("no register map is called \"{model}\"; there are {}", known.join(", "))
}

fn has(map: &RegisterMap, code: &str) -> Result<Obis, String> {
    let obis: Obis = code.parse().map_err(|error| format!("\"{code}\": {error}"))?;
    if map.registers.iter().any(|register| register.obis == Some(obis)) {
        return Ok(obis);
    }
    let known: Vec<String> =
        map.registers.iter().filter_map(|register| register.obis).map(|obis| obis.to_string()).collect();
    Err(format!("{} has no register {code}; it has {}", map.name, known.join(", ")))
}
