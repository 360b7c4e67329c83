//! Wired M-Bus telegrams to records.

use plomb_mbus::{Body, Decoded, TelegramError};
use plomb_seal::{
    Hash, Meter, Record,
    reading::{FRAMES_MAX, READINGS_MAX},
};

use super::records::{Told, add, cut, readings, words};

/// The driver's name and version, as records state it.
pub const DRIVER: &str = concat!("mbus ", env!("CARGO_PKG_VERSION"));

const MEDIUM_UNKNOWN: u8 = 0x0f;

/// Why telegrams give no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NormaliseError {
    /// A telegram can't be read.
    #[error("{0}")]
    Telegram(#[from] TelegramError),
    /// The meter answered with an error instead of values.
    #[error("the meter answered with an error: {0}")]
    Refused(String),
    /// The telegrams name different meters.
    #[error("the telegrams of one readout name two meters, {0} and {1}")]
    TwoMeters(String, String),
    /// A telegram holds no values at all.
    #[error("the telegram holds no records (control information {ci:02x})")]
    NoRecords {
        /// The telegram's CI field.
        ci: u8,
    },
}

/// One readout, of one or more telegrams, as one record.
///
/// A telegram that ends inside a record keeps its good records; the record's status says so.
pub fn record(frames: &[Vec<u8>]) -> Result<Record, NormaliseError> {
    merge(frames.iter().map(|frame| record_of_frame(frame)), |error| error)
}

/// One plain telegram as a record.
pub fn record_of_frame(frame: &[u8]) -> Result<Record, NormaliseError> {
    record_of(&plomb_mbus::decode(frame)?, frame)
}

/// The records of one readout's telegrams as one.
pub fn merge<E>(
    parts: impl Iterator<Item = Result<Record, E>>,
    error: impl Fn(NormaliseError) -> E,
) -> Result<Record, E> {
    let mut whole: Option<Record> = None;
    for part in parts.take(FRAMES_MAX) {
        let part = part?;
        match &mut whole {
            None => whole = Some(part),
            Some(whole) if whole.meter != part.meter => {
                return Err(error(NormaliseError::TwoMeters(whole.meter.id.clone(), part.meter.id)));
            }
            Some(whole) => {
                whole.readings.extend(part.readings);
                whole.frames.extend(part.frames);
                whole.meter_time = whole.meter_time.take().or(part.meter_time);
                whole.profile = whole.profile.take().or(part.profile);
                part.status.into_iter().for_each(|word| add(&mut whole.status, word));
            }
        }
    }
    let mut record = whole.ok_or_else(|| error(NormaliseError::NoRecords { ci: 0 }))?;
    if record.readings.len() > READINGS_MAX {
        record.readings.truncate(READINGS_MAX);
        add(&mut record.status, format!("cut to {READINGS_MAX} readings"));
    }
    Ok(record)
}

/// One decoded telegram as a record.
pub fn record_of(decoded: &Decoded<'_>, frame: &[u8]) -> Result<Record, NormaliseError> {
    let telegram = &decoded.telegram;
    let (meter, medium) = match &telegram.body {
        Body::Variable { header: Some(header), .. } => {
            let meter = header.meter;
            (
                identity(meter.id.to_string(), meter.manufacturer.to_string(), meter.version, meter.medium.0),
                meter.medium,
            )
        }
        Body::Variable { .. } => {
            (identity(String::new(), String::new(), 0, MEDIUM_UNKNOWN), plomb_mbus::Medium(MEDIUM_UNKNOWN))
        }
        Body::Fixed(fixed) => {
            let medium = fixed.medium.medium();
            (identity(fixed.id.to_string(), String::new(), 0, medium.0), medium)
        }
        Body::ApplicationError(error) => return Err(NormaliseError::Refused(error.to_string())),
        Body::Alarm(alarm) => return Err(NormaliseError::Refused(format!("alarm {alarm:02x}"))),
        Body::Unknown(_) => return Err(NormaliseError::NoRecords { ci: telegram.ci }),
    };
    let mut status = words(telegram.status());
    if let Some(error) = decoded.error {
        add(&mut status, format!("telegram incomplete: {error}"));
    }
    let Told { readings, meter_time, .. } = readings(&decoded.records, medium, None);
    Ok(Record {
        meter,
        readings,
        meter_time,
        status,
        frames: vec![Hash::of(frame)],
        driver: DRIVER.into(),
        profile: None,
    })
}

fn identity(id: String, manufacturer: String, version: u8, medium: u8) -> Meter {
    Meter { protocol: "mbus".into(), id, manufacturer: cut(manufacturer), version, medium }
}
