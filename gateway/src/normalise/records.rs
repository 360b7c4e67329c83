//! Records of EN 13757-3 as readings, whether they came by wire or by air.

use plomb_mbus::{Function as Special, Medium, Quantity, Record as MbusRecord, Status, Value as Said};
use plomb_seal::{
    Decimal, Function, Obis, Reading, Value,
    reading::{FLAGS_MAX, TEXT_BYTES_MAX},
};

/// The readings of one telegram, and the meter's own time.
pub(super) fn readings(records: &[MbusRecord<'_>], medium: Medium) -> (Vec<Reading>, Option<String>) {
    let said: Vec<&MbusRecord<'_>> = records.iter().filter(|record| carries(record)).collect();
    let times = times(&said);
    let readings = said
        .iter()
        .map(|record| {
            let time = times.iter().find(|(storage, _)| *storage == record.storage).map(|(_, time)| time.clone());
            let dates_itself = matches!(record.value, Said::DateTime(_));
            reading(record, record.obis(medium).map(|code| Obis(code.0)), time.filter(|_| !dates_itself))
        })
        .collect();
    (readings, times.into_iter().find(|(storage, _)| *storage == 0).map(|(_, time)| time))
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

pub(super) fn words(status: Option<Status>) -> Vec<String> {
    match status {
        Some(status) if status.0 != 0 => status.to_string().split(", ").map(Into::into).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn add(words: &mut Vec<String>, word: String) {
    if words.len() < plomb_seal::reading::STATUS_WORDS_MAX && !words.contains(&word) {
        words.push(cut(word));
    }
}

/// Makes a text fit for a record: no control characters (a meter's padding goes, others are written out),
/// and no longer than a record allows.
pub(super) fn cut(text: String) -> String {
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
