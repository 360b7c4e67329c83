//! Records of EN 13757-3 as readings, whether they came by wire or by air.

use plomb_mbus::{Function as Special, Medium, Quantity, Record as MbusRecord, Status, Value as Said};
use plomb_profiles::{Named, NamedValue};
use plomb_seal::{
    Decimal, Function, Obis, Reading, Value,
    reading::{FLAGS_MAX, TEXT_BYTES_MAX},
};

/// What the records of one telegram say.
pub(super) struct Told {
    pub(super) readings: Vec<Reading>,
    /// The meter's own time.
    pub(super) meter_time: Option<String>,
    /// Where in the telegram each reading begins, if that was asked for.
    offsets: Vec<usize>,
}

impl Told {
    pub(super) fn nothing() -> Self {
        Self { readings: Vec::new(), meter_time: None, offsets: Vec::new() }
    }

    /// Remembers where each reading begins, for [`name`](Self::name). `records` are those that it was made from.
    pub(super) fn with_places(self, records: &[MbusRecord<'_>]) -> Self {
        let said = records.iter().filter(|record| carries(record));
        Self { offsets: said.map(|record| record.offset).collect(), ..self }
    }

    /// Takes in what a profile knows: a name for a standard reading, the value of one that only the maker's
    /// papers explain, or a further reading out of the maker's own block.
    pub(super) fn name(&mut self, named: &Named<'_>) {
        let known = self.offsets.iter().position(|offset| *offset == named.offset);
        let Some(reading) = known.and_then(|at| self.readings.get_mut(at)) else {
            self.readings.push(named_reading(named));
            // No later name may hit it.
            self.offsets.push(usize::MAX);
            return;
        };
        if matches!(reading.value, Value::Bytes(_) | Value::Invalid(_)) || !is_standard(&reading.quantity) {
            let time = reading.time.take();
            *reading = Reading { time, ..named_reading(named) };
        } else if reading.quantity != named.name && reading.flags.len() < FLAGS_MAX {
            reading.flags.push(cut(named.name.into()));
        }
    }
}

/// Whether the standard says what a quantity is.
fn is_standard(quantity: &str) -> bool {
    ![Quantity::ManufacturerSpecific.name(), "unknown"].contains(&quantity)
}

fn named_reading(named: &Named<'_>) -> Reading {
    let mut flags = Vec::new();
    let mut unit = named.unit.to_string();
    let value = match &named.value {
        NamedValue::Number(number) => Value::Number(Decimal { mantissa: number.mantissa, exponent: number.exponent }),
        NamedValue::Fraction { numerator, divisor } => {
            // Exact: a third of a litre is no decimal, so the count is kept and its unit is the third.
            unit = format!("{unit}/{divisor}");
            Value::Number(Decimal { mantissa: numerator.mantissa, exponent: numerator.exponent })
        }
        NamedValue::DateTime(time) => {
            if time.invalid {
                flags.push("time invalid".into());
            }
            Value::Civil(time.to_string())
        }
        NamedValue::Bytes(bytes) => Value::Bytes(bytes.0.to_vec()),
        NamedValue::Absent => {
            flags.push("the meter has no such value".into());
            Value::Invalid(Vec::new())
        }
        NamedValue::Invalid(bytes) => {
            flags.push("not what its coding allows".into());
            Value::Invalid(bytes.0.to_vec())
        }
        words => Value::Text(cut(words.to_string())),
    };
    Reading {
        obis: named.obis.map(|code| Obis(code.0)),
        value,
        unit,
        quantity: cut(named.name.into()),
        function: function(named.function),
        storage: named.storage,
        tariff: named.tariff,
        subunit: named.subunit.into(),
        time: None,
        flags,
    }
}

/// The readings of one telegram, and the meter's own time.
pub(super) fn readings(records: &[MbusRecord<'_>], medium: Medium) -> Told {
    let times = times(records);
    let said = records.iter().filter(|record| carries(record));
    let mut readings = Vec::with_capacity(records.len());
    readings.extend(said.map(|record| {
        let time = times.iter().find(|(storage, _)| *storage == record.storage).map(|(_, time)| time);
        let dates_itself = matches!(record.value, Said::DateTime(_));
        reading(record, record.obis(medium).map(|code| Obis(code.0)), time.filter(|_| !dates_itself).cloned())
    }));
    let meter_time = times.into_iter().find(|(storage, _)| *storage == 0).map(|(_, time)| time);
    Told { readings, meter_time, offsets: Vec::new() }
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
fn times(records: &[MbusRecord<'_>]) -> Vec<(u64, String)> {
    let mut found: Vec<(u64, String)> = Vec::new();
    let dated = |record: &&MbusRecord<'_>| {
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
        Some(text) => cut(text.to_string()),
        None => record.quantity.name().to_string(),
    };
    Reading {
        obis,
        value,
        unit: record.unit.to_string(),
        quantity,
        function: function(record.function),
        storage: record.storage,
        tariff: record.tariff,
        subunit: record.subunit.into(),
        time,
        flags,
    }
}

fn function(said: Special) -> Function {
    match said {
        Special::Maximum => Function::Maximum,
        Special::Minimum => Function::Minimum,
        Special::Error => Function::Error,
        _ => Function::Instantaneous,
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
pub(crate) fn cut(text: String) -> String {
    // Most texts end here.
    if text.len() <= TEXT_BYTES_MAX && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text;
    }
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
