//! Records of EN 13757-3 as readings, whether they came by wire or by air.

use plomb_mbus::{DataField, Function as Special, Medium, Quantity, Record as MbusRecord, Status, Value as Said};
use plomb_profiles::{Named, NamedValue};
use plomb_seal::{
    Decimal, Function, Obis, Reading, Value,
    reading::{FLAGS_MAX, TEXT_BYTES_MAX},
};

/// Flag of a reading that nothing protected on its way, though the telegram is encrypted.
pub(super) const IN_CLEAR: &str = "in clear";
/// The same of a reading's time only.
const TIME_IN_CLEAR: &str = "time in clear";

/// What the records of one telegram say.
pub(super) struct Told {
    pub(super) readings: Vec<Reading>,
    /// The meter's own time.
    pub(super) meter_time: Option<String>,
    /// Where in the telegram each reading begins, if that was asked for.
    offsets: Vec<usize>,
    /// Whether a part of the telegram came in clear behind an encrypted one.
    partly_clear: bool,
}

impl Told {
    /// `clear_at` as [`readings`] has it.
    pub(super) fn nothing(clear_at: Option<usize>) -> Self {
        Self { readings: Vec::new(), meter_time: None, offsets: Vec::new(), partly_clear: clear_at.is_some() }
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
            let mut reading = named_reading(named);
            // Where a profile has its values from is not always known: none of them counts as sealed.
            if self.partly_clear {
                flag_first(&mut reading, IN_CLEAR);
            }
            self.readings.push(reading);
            // No later name may hit it.
            self.offsets.push(usize::MAX);
            return;
        };
        if matches!(reading.value, Value::Bytes(_) | Value::Invalid(_)) || !is_standard(&reading.quantity) {
            let time = reading.time.take();
            let clear =
                [IN_CLEAR, TIME_IN_CLEAR].map(|flag| reading.flags.iter().any(|has| has == flag).then_some(flag));
            *reading = Reading { time, ..named_reading(named) };
            for flag in clear.into_iter().flatten() {
                flag_first(reading, flag);
            }
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

/// Before the meter's own flags, so that no number of those pushes it out.
fn flag_first(reading: &mut Reading, flag: &str) {
    reading.flags.insert(0, flag.into());
    reading.flags.truncate(FLAGS_MAX);
}

/// Whether a record reaches into what came in clear behind an encrypted part.
fn is_clear(record: &MbusRecord<'_>, clear_at: Option<usize>) -> bool {
    let length_byte = usize::from(record.field == DataField::Variable);
    let parts = [record.dib.len(), record.vib.len(), length_byte, record.data.len()];
    clear_at.is_some_and(|clear_at| parts.into_iter().fold(record.offset, usize::saturating_add) > clear_at)
}

/// The readings of one telegram, and the meter's own time. What reaches behind `clear_at` came in clear though
/// the telegram is encrypted; it is flagged.
pub(super) fn readings(records: &[MbusRecord<'_>], medium: Medium, clear_at: Option<usize>) -> Told {
    let times = times(records);
    let said = records.iter().filter(|record| carries(record));
    let mut readings = Vec::with_capacity(records.len());
    readings.extend(said.map(|record| {
        let dates_itself = matches!(record.value, Said::DateTime(_));
        let time = times.iter().find(|(dated, _)| dated.storage == record.storage).filter(|_| !dates_itself);
        let obis = record.obis(medium).map(|code| Obis(code.0));
        let mut reading = reading(record, obis, time.map(|(_, time)| time.clone()));
        if is_clear(record, clear_at) {
            flag_first(&mut reading, IN_CLEAR);
        } else if time.is_some_and(|(dated, _)| is_clear(dated, clear_at)) {
            flag_first(&mut reading, TIME_IN_CLEAR);
        }
        reading
    }));
    let meter_time = times.into_iter().find(|(dated, _)| dated.storage == 0).map(|(_, time)| time);
    Told { readings, meter_time, offsets: Vec::new(), partly_clear: clear_at.is_some() }
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
fn times<'r>(records: &'r [MbusRecord<'r>]) -> Vec<(&'r MbusRecord<'r>, String)> {
    let mut found: Vec<(&MbusRecord<'_>, String)> = Vec::new();
    let dated = |record: &&MbusRecord<'_>| {
        matches!(record.quantity, Quantity::Date | Quantity::DateTime)
            && record.function == Special::Instantaneous
            && (record.tariff, record.subunit) == (0, 0)
            && record.modifiers.is_empty()
    };
    for record in records.iter().filter(dated) {
        if let Said::DateTime(time) = record.value
            && time.is_exact()
            && !found.iter().any(|(dated, _)| dated.storage == record.storage)
        {
            found.push((record, time.to_string()));
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

/// Adds a status word to a record's, once, and as long as there is room.
pub(crate) fn add(words: &mut Vec<String>, word: String) {
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
