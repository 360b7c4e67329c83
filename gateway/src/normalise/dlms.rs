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

use super::{NOT_TOLD, add, cut};

/// The driver's name and version, as records state it.
pub const DRIVER: &str = concat!("dlms ", env!("CARGO_PKG_VERSION"));
/// The largest power of ten, up or down, that a scaler of a meter means: with more, no value that 64 bits hold is one
/// of a supply. The standard's own examples stay within 6; units come with none beyond exa.
pub const SCALER_ABS_MAX: u8 = 18;
/// From this difference to the gateway's on, a meter's clock is a status word and a trouble, in seconds.
pub const CLOCK_DRIFT_MAX_S: i64 = 900;
/// The status words for it.
pub const CLOCK_AHEAD: &str = "clock ahead";
/// See [`CLOCK_AHEAD`].
pub const CLOCK_BEHIND: &str = "clock behind";
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
        add(&mut status, NOT_TOLD.into());
    }
    if let Some(clock) = report.clock {
        clock.status.words().for_each(|word| add(&mut status, word.into()));
        let ahead_s = drift_s(clock, asked_ms);
        readings.extend(ahead_s.map(drift));
        match ahead_s {
            Some(ahead_s) if ahead_s > CLOCK_DRIFT_MAX_S => add(&mut status, CLOCK_AHEAD.into()),
            Some(ahead_s) if ahead_s < -CLOCK_DRIFT_MAX_S => add(&mut status, CLOCK_BEHIND.into()),
            _ => {}
        }
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
    let number = measured.value.as_decimal();
    let scaled = match measured.scaler {
        Some(scaler) => scaler.apply(&measured.value).filter(|_| scaler.scaler.unsigned_abs() <= SCALER_ABS_MAX),
        // A register's number means nothing without its scaler, which may be any power of ten.
        None => number.filter(|_| !is_register(measured.class)),
    };
    match measured.scaler {
        Some(scaler) if scaled.is_none() => flags.push(format!("the scaler {} can't be applied", scaler.scaler)),
        None if scaled.is_none() && number.is_some() => flags.push("scaler unknown".into()),
        _ => {}
    }
    let value = match scaled {
        Some(number) => Value::Number(Decimal { mantissa: number.mantissa, exponent: number.exponent }),
        // A number that is not multiplied is another one.
        None if number.is_some() => invalid(&measured.value, &mut flags),
        None => other_value(&measured.value, &mut flags),
    };
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
            (None, None) => match (value, value.as_octets()) {
                (_, Some(bytes)) if bytes.len() <= TEXT_BYTES_MAX => Value::Bytes(bytes.to_vec()),
                // What has one text, which says all of it.
                (Said::Boolean(_) | Said::BitString(_) | Said::Date(_) | Said::Time(_), _) => {
                    Value::Text(cut(value.to_string()))
                }
                _ => {
                    flags.push("no value that a register has".into());
                    invalid(value, flags)
                }
            },
        },
    }
}

/// What is no value of a register, as it came: its bytes in A-XDR, as many as a record holds.
fn invalid(value: &Said, flags: &mut Vec<String>) -> Value {
    let mut bytes = value.to_bytes();
    if bytes.len() > TEXT_BYTES_MAX {
        flags.push(format!("the first {TEXT_BYTES_MAX} of {} bytes", bytes.len()));
        bytes.truncate(TEXT_BYTES_MAX);
    }
    Value::Invalid(bytes)
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

/// How far the meter's clock is ahead of the gateway's, in seconds.
fn drift_s(clock: DateTime, asked_ms: i64) -> Option<i64> {
    let ahead_ms = clock.unix_ms()?.checked_sub(asked_ms)?;
    Some(ahead_ms.saturating_add(500).div_euclid(1000))
}

/// The same as a reading.
fn drift(ahead_s: i64) -> Reading {
    Reading {
        obis: None,
        value: Value::Number(Decimal { mantissa: ahead_s, exponent: 0 }),
        unit: "s".into(),
        quantity: "clock drift".into(),
        function: Function::Instantaneous,
        storage: 0,
        tariff: 0,
        subunit: 0,
        time: None,
        flags: vec![BY_GATEWAY.into()],
    }
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
            .or_else(|| value.as_decimal().map(|number| number.to_string()))
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use plomb_dlms::{
        axdr::{BitString, CompactArray, TypeDescription},
        object::Unit,
    };

    use super::*;

    /// 2026-11-25 12:00:00 UTC, and the same in the clock of a meter.
    const NOON_MS: i64 = 1_795_608_000_000;
    const NOON: [u8; 12] = [0x07, 0xEA, 11, 25, 3, 12, 0, 0, 0, 0, 0, 0];

    fn read(value: Said, scaler: Option<i8>) -> Reading {
        let scaler = scaler.map(|scaler| ScalerUnit { scaler, unit: Unit(30) });
        reading(Obis([1, 0, 1, 8, 0, 255]), &Measured { class: class::REGISTER, value, scaler, time: None })
    }

    fn report(value: Said) -> RoundReport {
        let instance = plomb_session::Obis([1, 0, 1, 8, 0, 255]);
        let measured = Measured { class: class::REGISTER, value, scaler: None, time: None };
        RoundReport { registers: vec![Asked { instance, result: Ok(measured) }], ..RoundReport::default() }
    }

    fn compact_array() -> Said {
        let description = TypeDescription::Simple(6);
        Said::CompactArray(Box::new(CompactArray { description, content: Vec::new() }))
    }

    #[test]
    fn what_a_register_can_t_have_is_invalid_with_its_bytes_and_no_text() {
        let nested = Said::Structure(vec![Said::Unsigned(1), Said::Array(vec![Said::Null])]);
        for value in [compact_array(), nested, Said::Float32(f32::NAN.to_bits()), Said::Long64Unsigned(u64::MAX)] {
            let told = read(value.clone(), None);
            assert_eq!(told.value, Value::Invalid(value.to_bytes()), "{value}");
            assert_eq!(told.flags, ["no value that a register has"]);
        }
        let long = read(Said::OctetString(vec![0x80; 600]), None);
        assert!(matches!(&long.value, Value::Invalid(bytes) if bytes.len() == TEXT_BYTES_MAX), "{long:?}");
        assert!(long.flags.contains(&"the first 512 of 604 bytes".to_string()), "{:?}", long.flags);
        // What has a text of its own keeps it.
        assert_eq!(read(Said::Boolean(1), None).value, Value::Text("true".into()));
        let bits = BitString { bytes: vec![0xA0], bits: 3 };
        assert_eq!(read(Said::BitString(bits), None).value, Value::Text("101".into()));
        assert_eq!(read(Said::VisibleString(b"A1".to_vec()), None).value, Value::Text("A1".into()));
    }

    #[test]
    fn an_implausible_scaler_makes_no_number() {
        let (value, mantissa) = (Said::DoubleLongUnsigned(44_127_064), 44_127_064);
        for scaler in [-18, -3, 0, 18] {
            let told = read(value.clone(), Some(scaler));
            assert_eq!(told.value, Value::Number(Decimal { mantissa, exponent: scaler }));
        }
        for scaler in [-128, -19, 19, 127] {
            let told = read(value.clone(), Some(scaler));
            assert_eq!(told.value, Value::Invalid(value.to_bytes()), "{scaler}");
            assert!(told.flags.contains(&format!("the scaler {scaler} can't be applied")), "{:?}", told.flags);
        }
    }

    #[test]
    fn a_meter_s_name_is_a_text_or_a_number_and_nothing_else() {
        let named = |serial: Said| meter(&RoundReport { serial: Some(serial), ..RoundReport::default() }).id;
        assert_eq!(named(compact_array()), "");
        assert_eq!(named(Said::Structure(vec![Said::Unsigned(1)])), "");
        assert_eq!(named(Said::DoubleLongUnsigned(31_000_005)), "31000005");
        assert_eq!(named(Said::OctetString(b"ACW31000005".to_vec())), "ACW31000005");
    }

    #[test]
    fn a_clock_that_is_far_off_is_a_status_word() {
        let status = |asked_ms: i64| {
            let clock = DateTime::from_slice(&NOON);
            record(&RoundReport { clock, ..report(Said::Unsigned(1)) }, &[], asked_ms).unwrap().status
        };
        let (limit_ms, none) = (CLOCK_DRIFT_MAX_S * 1000, Vec::<String>::new());
        assert_eq!(
            [status(NOON_MS), status(NOON_MS - limit_ms), status(NOON_MS + limit_ms)],
            [none.clone(), none.clone(), none]
        );
        assert_eq!(status(NOON_MS - 3_600_000), [CLOCK_AHEAD]);
        assert_eq!(status(NOON_MS + 3_600_000), [CLOCK_BEHIND]);
    }
}
