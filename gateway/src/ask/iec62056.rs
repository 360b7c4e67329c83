//! Asking a meter for its IEC 62056-21 readout: modes A, B and C, most often through an optical head.

use std::time::Duration;

use plomb_iec62056::{DeviceAddress, Identification, Parity, ReadConfig, ReadEvent, ReadFailure, Readout};
use plomb_seal::Reason;

use super::{Answer, Outcome, port::Port};
use crate::{config, link::drive, normalise::pushed::readout_record};

/// A meter with a readout.
#[derive(Debug)]
pub struct ReadoutMeter {
    config: ReadConfig,
}

/// How meters are talked to on a line: the port has eight bits without parity, and the parity bit is made here, so that
/// HDLC can follow on the same port.
///
/// # Errors
/// What is wrong with the device address.
pub(super) fn read_config(meter: &config::Meter, bus: &config::Bus) -> Result<ReadConfig, String> {
    let wrong = |error: String| format!("meter \"{}\": {error}", meter.point);
    let timing = meter.timing(bus);
    let mut config = ReadConfig::new();
    if let Some(id) = &meter.id {
        config.address = id.parse::<DeviceAddress>().map_err(|error| wrong(error.to_string()))?;
    }
    config.parity = Parity::Software;
    config.fixed_speed = bus.port.starts_with("tcp://") || bus.port.starts_with("udp://");
    config.speed_max = bus.baud.max(config.opening_speed);
    let millis = |ms: u32| Duration::from_millis(ms.into());
    config.response_timeout = timing.reply_timeout_ms.map_or(config.response_timeout, millis);
    config.gap_timeout = timing.gap_timeout_ms.map_or(config.gap_timeout, millis);
    config.retries = timing.retries.unwrap_or(config.retries);
    Ok(config)
}

impl ReadoutMeter {
    /// A configured meter.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(meter: &config::Meter, bus: &config::Bus) -> Result<Self, String> {
        Ok(Self { config: read_config(meter, bus)? })
    }

    /// Asks it for its readout.
    pub async fn ask(&mut self, port: &mut Port, silent: bool) -> Outcome {
        let mut config = self.config.clone();
        if silent {
            config.retries = 0;
        }
        let link = port.open().await?;
        let mut session = Readout::new(config);
        let (mut named, mut block, mut failure): (Option<Identification>, _, _) = (None, None, None);
        let driven = drive(&mut session, link, |event| match event {
            ReadEvent::Identified(who) => named = Some(who),
            ReadEvent::Data(data) => block = Some(data),
            ReadEvent::Failed(why) => failure = Some(why),
            ReadEvent::Done { .. } => {}
        });
        if let Err(error) = driven.await {
            return Err((Reason::Port, port.fail(&error)));
        }
        match (block, failure) {
            (Some(block), None) => Ok(Answer::new(readout_record(named.as_ref(), &block), vec![block])),
            (_, Some(why)) => Err((reason_of(&why), why.to_string())),
            (None, None) => Err((Reason::Malformed, "the meter sent no readout".into())),
        }
    }
}

pub(super) fn reason_of(failure: &ReadFailure) -> Reason {
    match failure {
        ReadFailure::Silence | ReadFailure::EchoOnly | ReadFailure::NothingBehind { .. } => Reason::Timeout,
        ReadFailure::Damaged(_) => Reason::Checksum,
        ReadFailure::WrongPassword => Reason::Key,
        ReadFailure::ReadoutOnly | ReadFailure::Ended => Reason::Refused,
        _ => Reason::Malformed,
    }
}
