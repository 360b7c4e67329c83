//! Asking a meter of wired M-Bus.

use std::time::Duration;

use plomb_mbus::{
    Address, Body, Command, CommandEvent, Identification, Manufacturer, Medium, ReadConfig, ReadEvent, ReadFailure,
    ReadMeter, SecondaryAddress, TELEGRAM_COUNT_MAX, Target, Telegram, TelegramError,
};
use plomb_profiles::Profile;
use plomb_seal::{Reason, Record};

use super::{Answer, Knowledge, Outcome, port::Port, sealed::Unsealer};
use crate::{
    config::{self, Select},
    link::{drive, usual_latency},
    normalise::mbus::{NormaliseError, merge, record_of_frame},
    radio::minimum,
    scan::Found,
};

/// Authentication and fragmentation layer (EN 13757-7): only protected telegrams have it.
const CI_AFL: u8 = 0x90;
/// A meter that has been silent is asked again only so often.
const SILENT_RETRIES: u8 = 1;

/// A meter on a wire.
#[derive(Debug)]
pub struct MbusMeter {
    target: Target,
    config: ReadConfig,
    unsealer: Unsealer,
    /// Its model, where the configuration names it: for its valve.
    model: Option<Box<Profile>>,
}

impl MbusMeter {
    /// A configured meter.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(meter: &config::Meter, bus: &config::Bus, knowledge: &Knowledge) -> Result<Self, String> {
        let target = match (meter.address, &meter.secondary) {
            (Some(address), _) => Target::Primary(Address(address)),
            (None, Some(text)) => {
                Target::Secondary(secondary(text).map_err(|error| format!("meter \"{}\": {error}", meter.point))?)
            }
            (None, None) => return Err(format!("meter \"{}\" has no address", meter.point)),
        };
        let timing = meter.timing(bus);
        let mut config = line_timing(bus, bus.baud);
        let millis = |ms: u32| Duration::from_millis(ms.into());
        config.reply_timeout = timing.reply_timeout_ms.map(millis);
        config.gap_timeout = timing.gap_timeout_ms.map(millis);
        config.retries = timing.retries.unwrap_or(config.retries);
        config.telegrams_max = timing.telegrams_max.unwrap_or(config.telegrams_max).min(TELEGRAM_COUNT_MAX);
        let model = meter.model.as_ref().map(|name| {
            let known = knowledge.library.by_name(name).cloned().map(Box::new);
            known.ok_or_else(|| {
                let point = &meter.point;
                format!("meter \"{point}\": no model \"{name}\" is known: see `profiles` under [gateway]")
            })
        });
        let unsealer = Unsealer::new(minimum(meter), knowledge);
        Ok(Self { target, config, unsealer, model: model.transpose()? })
    }

    /// Asks it, and reads all that it answers.
    pub async fn ask(&mut self, port: &mut Port, silent: bool) -> Outcome {
        let frames = self.readout(port, silent).await?;
        let mut counters = Vec::new();
        let parts = frames.iter().map(|frame| self.record(frame, &mut counters));
        let record = merge(parts, |error| malformed(&error))?;
        Ok(Answer { counters, ..Answer::new(record, frames) })
    }

    /// The telegrams of one readout.
    pub(super) async fn readout(&mut self, port: &mut Port, silent: bool) -> Result<Vec<Vec<u8>>, (Reason, String)> {
        let mut config = self.config;
        if silent {
            config.retries = config.retries.min(SILENT_RETRIES);
        }
        let link = port.open().await?;
        let mut session = ReadMeter::new(self.target, config);
        let (mut frames, mut failure) = (Vec::new(), None);
        let driven = drive(&mut session, link, |event| match event {
            ReadEvent::Telegram(telegram) => frames.push(telegram.bytes),
            ReadEvent::Failed(why) => failure = Some(why),
            ReadEvent::Done { .. } => {}
        });
        if let Err(error) = driven.await {
            return Err((Reason::Port, port.fail(&error)));
        }
        // Telegrams that came before the failure are a part of the answer only: not a record to bill on.
        match failure {
            Some(why) => Err((reason_of(&why), why.to_string())),
            None => Ok(frames),
        }
    }

    /// Sends records to it: how it ended, and whether they went out.
    pub(super) async fn send(
        &mut self,
        port: &mut Port,
        records: &[u8],
    ) -> Result<(Option<CommandEvent>, bool), (Reason, String)> {
        let command = Command::send_records(self.target, records, self.config);
        let mut command = command.map_err(|error| (Reason::NotAsked, error.to_string()))?;
        let link = port.open().await?;
        let mut ended = None;
        let driven = drive(&mut command, link, |event| ended = Some(event)).await;
        if let Err(error) = driven {
            port.fail(&error);
        }
        Ok((ended, command.was_sent()))
    }

    /// The model that the configuration names.
    pub(super) fn model(&self) -> Option<&Profile> {
        self.model.as_deref()
    }

    fn record(&mut self, frame: &[u8], counters: &mut Vec<(String, u64)>) -> Result<Record, (Reason, String)> {
        if self.is_sealed(frame) {
            let (record, counter) = self.unsealer.open(frame)?;
            counters.extend(counter);
            return Ok(record);
        }
        record_of_frame(frame).map_err(|error| malformed(&error))
    }

    /// Whether a telegram must pass the checks of a protected one: it is encrypted, or it should be.
    fn is_sealed(&self, frame: &[u8]) -> bool {
        match plomb_mbus::decode(frame) {
            Err(TelegramError::Encrypted { .. }) => true,
            Ok(decoded) => match decoded.telegram {
                Telegram { body: Body::Variable { header: Some(header), .. }, .. } => {
                    self.unsealer.expects_more_than_plain(&header.meter)
                }
                Telegram { ci, .. } => ci == CI_AFL,
            },
            Err(_) => false,
        }
    }

    /// Whether a meter that was found is this one. What either does not say is no difference.
    pub fn is(&self, found: &Found) -> bool {
        let identity = found.identity.as_deref().and_then(|text| secondary(text).ok());
        match self.target {
            Target::Primary(Address(address)) => found.address == Some(address),
            Target::Secondary(wanted) => identity.is_some_and(|identity| is_of(&wanted, &identity)),
        }
    }
}

fn malformed(error: &NormaliseError) -> (Reason, String) {
    match error {
        NormaliseError::Refused(_) => (Reason::Refused, error.to_string()),
        _ => (Reason::Malformed, error.to_string()),
    }
}

/// Whether an identity that was found is one that is wanted. What either does not say is no difference.
fn is_of(wanted: &SecondaryAddress, found: &SecondaryAddress) -> bool {
    fn agree<T: PartialEq + Copy>(wanted: Option<T>, found: Option<T>) -> bool {
        wanted.is_none() || found.is_none() || wanted == found
    }
    wanted.matches_id(found.id)
        && agree(wanted.manufacturer, found.manufacturer)
        && agree(wanted.version, found.version)
        && agree(wanted.medium, found.medium)
}

/// The timing of a line, as far as it is configured; the rest comes from the standard.
pub(crate) fn line_timing(bus: &config::Bus, baud: u32) -> ReadConfig {
    let millis = |ms: u32| Duration::from_millis(ms.into());
    let mut config = ReadConfig::new(baud);
    config.reply_timeout = bus.reply_timeout_ms.map(millis);
    config.gap_timeout = bus.gap_timeout_ms.map(millis);
    config.extra_latency = bus.latency_ms.map_or_else(|| usual_latency(&bus.port), millis);
    config.retries = bus.retries.unwrap_or(config.retries);
    config.telegrams_max = bus.telegrams_max.unwrap_or(config.telegrams_max).min(TELEGRAM_COUNT_MAX);
    config.select_with_fcb = bus.select == Select::WithFcb;
    config
}

/// Reads `12345678`, `12345678.ACW.0E.07` or `12345678.ACW.0E.07.87654321` (with the fabrication number),
/// parts left out or `*` for any.
pub fn secondary(text: &str) -> Result<SecondaryAddress, String> {
    let wrong =
        || format!("\"{text}\" is no secondary address: write 12345678, or 12345678.ACW.0E.07 with * for any part");
    let mut parts = text.split('.');
    let id: Identification = parts.next().unwrap_or_default().parse().map_err(|_| wrong())?;
    let mut part = || parts.next().filter(|part| *part != "*");
    let manufacturer = match part() {
        None => None,
        Some(letters) => {
            let named = <[u8; 3]>::try_from(letters.as_bytes()).ok().and_then(Manufacturer::from_letters);
            // A code that names no letters is written in hexadecimal digits.
            let code = || {
                u16::from_str_radix(letters, 16)
                    .ok()
                    .filter(|_| letters.len() == 4 && !letters.starts_with('+'))
                    .map(Manufacturer)
            };
            Some(named.or_else(code).ok_or_else(wrong)?)
        }
    };
    let byte = |part: Option<&str>| part.map(|hex| u8::from_str_radix(hex, 16)).transpose().map_err(|_| wrong());
    let version = byte(part())?;
    let medium = byte(part())?.map(Medium);
    let fabrication = part().map(|digits| digits.parse().map_err(|_| wrong())).transpose()?;
    if parts.next().is_some() {
        return Err(wrong());
    }
    Ok(SecondaryAddress { id, manufacturer, version, medium, fabrication })
}

fn reason_of(failure: &ReadFailure) -> Reason {
    match failure {
        ReadFailure::NoReply { .. } => Reason::Timeout,
        ReadFailure::Collision { .. } => Reason::Collision,
        ReadFailure::Checksum { .. } => Reason::Checksum,
        ReadFailure::WrongAddress { .. } | ReadFailure::WrongMeter { .. } => Reason::OtherMeter,
        ReadFailure::Refused { .. } | ReadFailure::NoData { .. } => Reason::Refused,
        ReadFailure::EndlessTelegrams { .. } => Reason::Endless,
        _ => Reason::Malformed,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// What a scan prints is taken in the configuration, odd slaves included.
    #[test]
    fn every_printed_address_is_read_again() {
        for code in 0..=u16::MAX {
            let printed = format!("E654993C.{}.8A.3F", Manufacturer(code));
            let read = secondary(&printed).unwrap().manufacturer.unwrap();
            // Letters do not tell the highest bit, which marks an address as not unique in the world.
            assert!(read == Manufacturer(code) || read == Manufacturer(code & 0x7FFF), "{printed}");
        }
        for wrong in ["12345678.ACWX.01.07", "12345678.+9FC.01.07", "12345678.9F.01.07", "12345678.acw"] {
            assert!(secondary(wrong).is_err(), "{wrong}");
        }
    }
}
