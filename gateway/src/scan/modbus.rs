//! Searching a line for Modbus units: each number is asked what the known models would answer.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use plomb_modbus::{Block, Image, Maps, RegisterMap, identify, serial};
use tokio_modbus::ExceptionCode;

use super::{Found, ScanLine};
use crate::{
    ask::modbus::{HUNG_UP, ModbusLine, Trouble, name_of},
    config,
};

/// The numbers that a unit may have (Modbus over Serial Line V1.02 §2.2).
const UNITS: std::ops::RangeInclusive<u8> = 1..=247;
/// How long a unit may think, unless configured.
const PATIENCE_DEFAULT: Duration = Duration::from_millis(500);
/// A unit's first answer is worth another question when the first came broken.
const TRIES_MAX: u32 = 2;

/// Searches a line that nobody uses. A port that fails is `Err`, in words.
pub async fn modbus(
    bus: &config::Bus,
    maps: &Maps,
    stop: impl Future<Output = ()>,
    mut tell: impl FnMut(ScanLine),
) -> Result<(), String> {
    let begun = Instant::now();
    let mut search = Search {
        line: ModbusLine::new(bus),
        port: &bus.port,
        patience: bus.reply_timeout_ms.map_or(PATIENCE_DEFAULT, |ms| Duration::from_millis(ms.into())),
        questions: 0,
    };
    search.line.open().await.map_err(|error| crate::ask::port::explain(&bus.port, &error))?;
    let (mut found, mut cancelled) = (0, false);
    tokio::pin!(stop);
    for unit in UNITS {
        let looked = tokio::select! {
            looked = search.look(unit, maps) => looked?,
            () = &mut stop => {
                cancelled = true;
                break;
            }
        };
        match looked {
            Looked::Nobody => {}
            Looked::Meter(meter) => {
                found += 1;
                tell(ScanLine::Found(*meter));
            }
            Looked::Trouble(what) => tell(ScanLine::Trouble { place: format!("unit {unit}"), what }),
        }
        let share = f64::from(unit) / f64::from(*UNITS.end());
        let took_s = begun.elapsed().as_secs_f64();
        tell(ScanLine::Progress {
            frames: search.questions,
            found,
            done_per_mille: u16::try_from(u32::from(unit) * 1000 / u32::from(*UNITS.end())).unwrap_or(1000),
            remaining_s: Some(took_s / share - took_s),
        });
    }
    let (end, detail) = match (cancelled, found) {
        (true, _) => ("cancelled", "cancelled before the end: there may be more meters"),
        (false, 0) => {
            ("nobody-answers", "no unit answers: check speed, parity, wiring, and that A and B are not swapped")
        }
        (false, _) => ("complete", "every unit was asked"),
    };
    let took_s = begun.elapsed().as_secs_f64();
    tell(ScanLine::Done { end: end.into(), detail: detail.into(), frames: search.questions, found, took_s });
    Ok(())
}

enum Looked {
    Nobody,
    Meter(Box<Found>),
    Trouble(String),
}

struct Search<'a> {
    line: ModbusLine,
    port: &'a str,
    patience: Duration,
    questions: u64,
}

impl Search<'_> {
    async fn look(&mut self, unit: u8, maps: &Maps) -> Result<Looked, String> {
        let (mut broken, mut answers) = (None, false);
        for map in maps.iter().filter(|map| map.chain.is_none()) {
            match self.is(unit, map).await? {
                Ok(Some(image)) => return Ok(Looked::Meter(Box::new(found(unit, map, &image)))),
                Ok(None) => answers = true,
                // Who does not answer the first question is not there.
                Err(Trouble::Silent) if !answers => return Ok(Looked::Nobody),
                Err(Trouble::Exception(ExceptionCode::GatewayTargetDevice | ExceptionCode::GatewayPathUnavailable)) => {
                    return Ok(Looked::Nobody);
                }
                Err(trouble) => broken = Some(trouble),
            }
        }
        for map in maps.iter() {
            let Some(chain) = &map.chain else { continue };
            let mut walk = plomb_modbus::Walk::new(chain);
            let mut image = Image::new();
            while let Ok(step) = walk.step() {
                let block = match step {
                    plomb_modbus::Step::Read(block) => block,
                    plomb_modbus::Step::Done(models) => {
                        let Ok(map) = map.located(&models) else { break };
                        if let Ok(Some(image)) = self.is(unit, &map).await? {
                            return Ok(Looked::Meter(Box::new(found(unit, &map, &image))));
                        }
                        break;
                    }
                };
                let words = self.read(unit, block).await?.ok();
                answers |= words.is_some();
                if let Some(words) = &words {
                    image.put(block, words);
                }
                if walk.answered(words.as_deref()).is_err() {
                    break;
                }
            }
        }
        if !answers {
            return Ok(broken.map_or(Looked::Nobody, |trouble| Looked::Trouble(explained(&trouble))));
        }
        self.questions += 1;
        self.reopen().await?;
        let named = self.line.identification(unit, self.patience).await.unwrap_or_default();
        Ok(Looked::Trouble(match &named[..] {
            [] => "it answers, and no register map fits: name one of your own with --profiles".into(),
            named => format!("{}: no register map fits; name one of your own with --profiles", named.join(" ")),
        }))
    }

    /// Whether a unit is of this model; its identity and number if so.
    async fn is(&mut self, unit: u8, map: &RegisterMap) -> Result<Result<Option<Image>, Trouble>, String> {
        let mut image = Image::new();
        for identity in &map.identity {
            let block = Block::of(&identity.span);
            match self.read(unit, block).await? {
                Ok(words) => image.put(block, &words),
                Err(Trouble::Exception(code)) if !is_of_gateway(code) => return Ok(Ok(None)),
                Err(trouble) => return Ok(Err(trouble)),
            }
        }
        if map.identity.is_empty() || identify(map, &image).is_err() {
            return Ok(Ok(None));
        }
        if let Some(span) = &map.serial
            && let Ok(words) = self.read(unit, Block::of(span)).await?
        {
            image.put(Block::of(span), &words);
        }
        Ok(Ok(Some(image)))
    }

    async fn read(&mut self, unit: u8, block: Block) -> Result<Result<Vec<u16>, Trouble>, String> {
        let mut last = Trouble::Silent;
        for _ in 0..TRIES_MAX {
            self.reopen().await?;
            self.questions += 1;
            match self.line.read(unit, block, self.patience).await {
                told @ (Ok(_) | Err(Trouble::Silent | Trouble::Exception(_))) => return Ok(told),
                Err(trouble) => last = trouble,
            }
        }
        Ok(Err(last))
    }

    async fn reopen(&mut self) -> Result<(), String> {
        if self.line.is_open() {
            return Ok(());
        }
        self.line.open().await.map_err(|error| crate::ask::port::explain(self.port, &error))
    }
}

fn is_of_gateway(code: ExceptionCode) -> bool {
    matches!(code, ExceptionCode::GatewayTargetDevice | ExceptionCode::GatewayPathUnavailable)
}

fn explained(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Silent => "silence".into(),
        Trouble::Garbled => {
            "an answer came broken: check speed and parity, and that no two units share a number".into()
        }
        Trouble::Exception(code) => name_of(*code),
        Trouble::Strange(what) | Trouble::Broken(what) => what.clone(),
        Trouble::HungUp => HUNG_UP.into(),
        Trouble::Port(error) => error.to_string(),
    }
}

fn found(unit: u8, map: &RegisterMap, image: &Image) -> Found {
    Found {
        protocol: "modbus".into(),
        identity: Some(map.name.clone()),
        address: Some(unit),
        id: serial(map, image),
        value: Some(map.model.clone()),
        ..Found::default()
    }
}
