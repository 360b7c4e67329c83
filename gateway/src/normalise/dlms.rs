//! What a DLMS meter said in a round, as records.

use plomb_dlms::{
    axdr::{DateTime, Value as Said},
    client::{Asked, ColumnMeaning, Measured, RoundReport},
    object::{Row, ScalerUnit, class},
};
use plomb_seal::{
    Decimal, Function, Hash, Meter, Obis, Reading, Record, Value,
    reading::{FLAGS_MAX, FRAMES_MAX, READINGS_MAX, TEXT_BYTES_MAX},
};

use super::records::{add, cut};

/// The driver's name and version, as records state it.
pub const DRIVER: &str = concat!("dlms ", env!("CARGO_PKG_VERSION"));
/// A flag of what the gateway adds.
const BY_GATEWAY: &str = "by the gateway";

/// The registers of a round as a record; `frames` are the APDUs in clear. `Err`: the meter refused all of them.
///
/// `asked_ms` is when the clock was read, by the gateway's own clock, in Unix milliseconds.
pub fn record(report: &RoundReport, frames: &[Vec<u8>], asked_ms: i64) -> Result<Record, String> {
    let mut status = Vec::new();
    let mut readings = Vec::new();
    for Asked { instance, result } in &report.registers {
        match result {
            Ok(measured) => readings.push(reading(Obis(instance.0), measured)),
            Err(error) => add(&mut status, format!("{instance}: {error}")),
        }
    }
    if readings.is_empty() && !report.registers.is_empty() {
        let what = status.join(", ");
        return Err(format!(
            "the meter gives none of the registers ({what}): may this client see them? Check client and authentication"
        ));
    }
    if let Some(error) = report.profile_error {
        add(&mut status, format!("load profile: {error}"));
    }
    if report.odd_rows > 0 {
        add(&mut status, format!("load profile: {} rows can't be read", report.odd_rows));
    }
    if report.refused_rows > 0 {
        let why = "without a time, from the future, or told twice";
        add(&mut status, format!("load profile: {} rows are not taken: {why}", report.refused_rows));
    }
    if report.identity_kept {
        add(&mut status, "identity not told".into());
    }
    if let Some(clock) = report.clock {
        clock.status.words().for_each(|word| add(&mut status, word.into()));
        readings.extend(drift(clock, asked_ms));
    }
    readings.truncate(READINGS_MAX);
    Ok(Record {
        meter: meter(report),
        readings,
        meter_time: report.clock.map(|clock| clock.to_string()),
        status,
        frames: frames.iter().take(FRAMES_MAX).map(|frame| Hash::of(frame)).collect(),
        driver: DRIVER.into(),
        profile: None,
    })
}

/// The rows of a round as records, oldest first, each with as many rows as fit.
pub fn profile_records(report: &RoundReport, instance: plomb_session::Obis) -> Vec<Record> {
    let columns = report.columns.iter().filter(|column| !column.object.is_clock()).count().max(1);
    let rows_at_once = (READINGS_MAX / columns).max(1);
    let flag = format!("load profile {instance}");
    report
        .rows
        .chunks(rows_at_once)
        .map(|rows| Record {
            meter: meter(report),
            readings: rows
                .iter()
                .flat_map(|row| row_readings(row, &report.columns, &flag))
                .take(READINGS_MAX)
                .collect(),
            meter_time: None,
            status: vec!["load profile".into()],
            frames: Vec::new(),
            driver: DRIVER.into(),
            profile: None,
        })
        .collect()
}

fn row_readings(row: &Row, columns: &[ColumnMeaning], flag: &str) -> Vec<Reading> {
    let mut flags = vec![flag.to_string()];
    if row.time_filled {
        flags.push("time left out by the meter".into());
    }
    if let Some(time) = row.time {
        flags.extend(time.status.words().map(String::from));
    }
    let readings = columns.iter().zip(&row.values).filter(|(column, _)| !column.object.is_clock());
    readings
        .map(|(column, value)| {
            let attribute = column.object.attribute;
            let measured =
                Measured { class: attribute.class, value: value.clone(), scaler: column.scaler, time: row.time };
            let mut reading = reading(Obis(attribute.instance.0), &measured);
            reading.flags.extend(flags.iter().cloned());
            reading.flags.truncate(FLAGS_MAX);
            reading
        })
        .collect()
}

pub(super) fn reading(obis: Obis, measured: &Measured) -> Reading {
    let mut flags = Vec::new();
    let scaled = measured.scaler.and_then(|scaler| scaler.apply(&measured.value));
    let is_number = measured.value.as_decimal().is_some();
    let value = match scaled.or_else(|| measured.value.as_decimal()) {
        // A register's number means nothing without its scaler, which may be any power of ten.
        Some(_) if scaled.is_none() && is_number && is_register(measured.class) => {
            flags.push(if measured.scaler.is_none() { "scaler unknown" } else { "the scaler can't be applied" }.into());
            Value::Invalid(measured.value.to_bytes())
        }
        Some(number) => Value::Number(Decimal { mantissa: number.mantissa, exponent: number.exponent }),
        None => other_value(&measured.value, &mut flags),
    };
    if measured.scaler.is_some() && scaled.is_none() && !is_register(measured.class) {
        flags.push("the scaler can't be applied".into());
    }
    let (unit, quantity) = match measured.scaler {
        Some(ScalerUnit { unit, .. }) if unit.is_known() => (unit.symbol().to_string(), unit.quantity()),
        Some(ScalerUnit { unit, .. }) => (unit.to_string(), "unknown"),
        None => (String::new(), quantity(measured.class, obis)),
    };
    Reading {
        obis: Some(obis),
        value,
        unit,
        quantity: quantity.into(),
        function: function(obis),
        storage: 0,
        tariff: obis.0.get(4).copied().filter(|_| is_energy(obis)).map_or(0, u32::from),
        subunit: 0,
        time: measured.time.filter(|time| time.local_ms().is_some()).map(|time| time.to_string()),
        flags,
    }
}

fn other_value(value: &Said, flags: &mut Vec<String>) -> Value {
    match value {
        Said::Null | Said::DontCare => {
            flags.push("the meter has no such value".into());
            Value::Invalid(Vec::new())
        }
        value => match (value.as_date_time().filter(|time| time.local_ms().is_some()), value.as_text()) {
            (Some(time), _) => Value::Civil(time.to_string()),
            (None, Some(text)) => Value::Text(cut(text.into())),
            (None, None) => match value.as_octets() {
                Some(bytes) if bytes.len() <= TEXT_BYTES_MAX => Value::Bytes(bytes.to_vec()),
                _ => Value::Text(cut(value.to_string())),
            },
        },
    }
}

/// Value groups of OBIS for electricity, whose group E is the tariff (IEC 62056-6-1 §6.6).
fn is_energy(Obis([a, _, _, d, ..]): Obis) -> bool {
    a == 1 && d == 8
}

/// Classes whose values have a scaler and a unit.
pub(super) const fn is_register(class: u16) -> bool {
    matches!(class, class::REGISTER | class::EXTENDED_REGISTER | class::DEMAND_REGISTER)
}

/// Group D: 6 is a maximum, 3 a minimum.
fn function(Obis([a, _, _, d, ..]): Obis) -> Function {
    match (a, d) {
        (1, 6) => Function::Maximum,
        (1, 3) => Function::Minimum,
        _ => Function::Instantaneous,
    }
}

fn quantity(class: u16, Obis([a, _, c, d, ..]): Obis) -> &'static str {
    match (class, a, c, d) {
        (class::CLOCK, ..) => "time",
        (_, 0, 96, 10) => "status",
        (_, 0, 96, 5) => "operating status",
        (_, 0, 96, 1) => "identification",
        (_, 0, 97, 97) => "error register",
        _ => "register value",
    }
}

/// How far the meter's clock is ahead of the gateway's.
fn drift(clock: DateTime, asked_ms: i64) -> Option<Reading> {
    let ahead_ms = clock.unix_ms()?.checked_sub(asked_ms)?;
    Some(Reading {
        obis: None,
        value: Value::Number(Decimal { mantissa: ahead_ms.saturating_add(500).div_euclid(1000), exponent: 0 }),
        unit: "s".into(),
        quantity: "clock drift".into(),
        function: Function::Instantaneous,
        storage: 0,
        tariff: 0,
        subunit: 0,
        time: None,
        flags: vec![BY_GATEWAY.into()],
    })
}

fn medium(report: &RoundReport) -> u8 {
    let first = report.registers.first().map(|asked| asked.instance.0);
    let column = || report.columns.iter().map(|column| column.object.attribute.instance.0).find(|code| code[0] != 0);
    medium_of(first.or_else(column).map(|[a, ..]| a))
}

/// Codes of media (EN 13757-3), which records have in common, by group A of the registers.
pub(super) fn medium_of(group_a: Option<u8>) -> u8 {
    match group_a {
        Some(1) => 0x02,
        Some(4) => 0x08,
        Some(5 | 6) => 0x04,
        Some(7) => 0x03,
        Some(8) => 0x07,
        Some(9) => 0x06,
        _ => 0x0F,
    }
}

fn meter(report: &RoundReport) -> Meter {
    let text = |value: &Option<Said>| {
        let value = value.as_ref()?;
        value
            .as_text()
            .map(String::from)
            .or_else(|| value.as_octets().map(hex::encode))
            .or_else(|| Some(value.to_string()))
    };
    let name = text(&report.device_name);
    let manufacturer = name.as_ref().and_then(|name| name.get(..3)).unwrap_or_default();
    let manufacturer = if manufacturer.bytes().all(|byte| byte.is_ascii_uppercase()) { manufacturer } else { "" };
    Meter {
        protocol: "dlms".into(),
        id: cut(text(&report.serial).or(name.clone()).unwrap_or_default()),
        manufacturer: manufacturer.into(),
        version: 0,
        medium: medium(report),
    }
}
