//! Wired M-Bus telegrams to records.

use plomb_mbus::{
    Body, Decoded, Function as Special, Quantity, Record as MbusRecord, Status, TelegramError, Value as Said,
};
use plomb_seal::{
    Decimal, Function, Hash, Meter, Obis, Reading, Record, Value,
    reading::{FLAGS_MAX, FRAMES_MAX, READINGS_MAX, TEXT_BYTES_MAX},
};

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
    let mut whole: Option<Record> = None;
    for frame in frames.iter().take(FRAMES_MAX) {
        let part = record_of(&plomb_mbus::decode(frame)?, frame)?;
        match &mut whole {
            None => whole = Some(part),
            Some(whole) if whole.meter != part.meter => {
                return Err(NormaliseError::TwoMeters(whole.meter.id.clone(), part.meter.id));
            }
            Some(whole) => {
                whole.readings.extend(part.readings);
                whole.frames.extend(part.frames);
                whole.meter_time = whole.meter_time.take().or(part.meter_time);
                part.status.into_iter().for_each(|word| add(&mut whole.status, word));
            }
        }
    }
    let mut record = whole.ok_or(NormaliseError::NoRecords { ci: 0 })?;
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
    let said: Vec<&MbusRecord<'_>> = decoded.records.iter().filter(|record| carries(record)).collect();
    let times = times(&said);
    let readings = said
        .iter()
        .map(|record| {
            let time = times.iter().find(|(storage, _)| *storage == record.storage).map(|(_, time)| time.clone());
            let dates_itself = matches!(record.value, Said::DateTime(_));
            reading(record, record.obis(medium).map(|code| Obis(code.0)), time.filter(|_| !dates_itself))
        })
        .collect();
    let meter_time = times.into_iter().find(|(storage, _)| *storage == 0).map(|(_, time)| time);
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

/// Fillers and the announcement of a further telegram say nothing about the meter.
fn carries(record: &MbusRecord<'_>) -> bool {
    match record.function {
        Special::MoreRecordsFollow | Special::ManufacturerSpecific => !record.data.is_empty(),
        Special::GlobalReadout => false,
        _ => true,
    }
}

/// The date that belongs to each storage number: one date record of it, and no more than one.
fn times(records: &[&MbusRecord<'_>]) -> Vec<(u64, String)> {
    let mut found: Vec<(u64, String)> = Vec::new();
    let dated = |record: &&&MbusRecord<'_>| {
        matches!(record.quantity, Quantity::Date | Quantity::DateTime)
            && record.function == Special::Instantaneous
            && (record.tariff, record.subunit) == (0, 0)
            && record.modifiers.is_empty()
    };
    for record in records.iter().filter(dated) {
        if let Said::DateTime(time) = record.value
            && time.is_exact()
            && !found.iter().any(|(storage, _)| *storage == record.storage)
        {
            found.push((record.storage, time.to_string()));
        }
    }
    found
}

fn reading(record: &MbusRecord<'_>, obis: Option<Obis>, time: Option<String>) -> Reading {
    let mut flags: Vec<String> = record.modifiers.into_iter().map(|modifier| cut(modifier.to_string())).collect();
    let value = value(&record.value, &mut flags);
    flags.truncate(FLAGS_MAX);
    let quantity = match &record.text {
        Some(text) => text.to_string(),
        None => record.quantity.name().to_string(),
    };
    Reading {
        obis,
        value,
        unit: record.unit.to_string(),
        quantity: cut(quantity),
        function: match record.function {
            Special::Maximum => Function::Maximum,
            Special::Minimum => Function::Minimum,
            Special::Error => Function::Error,
            _ => Function::Instantaneous,
        },
        storage: record.storage,
        tariff: record.tariff,
        subunit: record.subunit.into(),
        time,
        flags,
    }
}

fn value(said: &Said<'_>, flags: &mut Vec<String>) -> Value {
    match said {
        Said::None => Value::Bytes(Vec::new()),
        Said::Number(number) => Value::Number(Decimal { mantissa: number.mantissa, exponent: number.exponent }),
        Said::Text(text) => Value::Text(cut(text.to_string())),
        Said::DateTime(time) => {
            if time.invalid {
                flags.push("time invalid".into());
            }
            if time.daylight_saving {
                flags.push("daylight saving time".into());
            }
            Value::Civil(time.to_string())
        }
        Said::DaylightSaving(rule) => Value::Bytes(rule.0.to_vec()),
        Said::Bytes(bytes) => Value::Bytes(bytes.0.to_vec()),
        Said::Invalid { reason, bytes } => {
            flags.push(reason.to_string());
            Value::Invalid(bytes.0.to_vec())
        }
    }
}

fn words(status: Option<Status>) -> Vec<String> {
    match status {
        Some(status) if status.0 != 0 => status.to_string().split(", ").map(Into::into).collect(),
        _ => Vec::new(),
    }
}

fn add(words: &mut Vec<String>, word: String) {
    if words.len() < plomb_seal::reading::STATUS_WORDS_MAX && !words.contains(&word) {
        words.push(cut(word));
    }
}

/// Makes a text fit for a record: no control characters (a meter's padding goes, others are written out),
/// and no longer than a record allows.
fn cut(text: String) -> String {
    let mut text = text;
    if text.chars().any(char::is_control) {
        let written = text.trim_end_matches('\0');
        text = written
            .chars()
            .map(|c| if c.is_control() { format!("\\x{:02x}", u32::from(c)) } else { c.into() })
            .collect();
    }
    if text.len() <= TEXT_BYTES_MAX {
        return text;
    }
    let end = (0..=TEXT_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default().to_string()
}
