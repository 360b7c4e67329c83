//! What meters tell in their own layout, as records: DLMS pushes, P1 telegrams, IEC 62056-21 readouts.

use plomb_dlms::{
    apdu::{Apdu, DataNotification, EventNotification},
    axdr::DateTime,
    client::Measured,
    object::{Pushed, class, pushed, pushed_as},
    security::SystemTitle,
};
use plomb_iec62056::{DataSets, Identification, p1};
use plomb_seal::{
    Decimal, Function, Hash, Meter, Obis, Reading, Record, Value,
    reading::{READINGS_MAX, TEXT_BYTES_MAX},
};

use super::{
    dlms,
    records::{add, cut},
};

/// The P1 driver's name and version, as records state it.
pub const P1_DRIVER: &str = concat!("p1 ", env!("CARGO_PKG_VERSION"));

/// Codes that name the meter: serial number, device name, and as Kamstrup and Landis+Gyr have them.
const NAMES: [[u8; 6]; 5] =
    [[0, 0, 96, 1, 0, 255], [0, 0, 42, 0, 0, 255], [1, 1, 0, 0, 0, 255], [1, 1, 0, 0, 1, 255], [0, 0, 96, 1, 1, 255]];

/// What an APDU in clear tells; `None` for one that tells nothing of a meter. `frame` is what was received.
///
/// `names` is what the meter's push setup lists, in its order; without it the push must name its values itself.
pub fn record(
    apdu: &Apdu,
    title: Option<SystemTitle>,
    names: &[Option<plomb_session::Obis>],
    frame: &[u8],
) -> Option<Record> {
    let mut status = Vec::new();
    let (values, time) = match apdu {
        Apdu::DataNotification(push) => {
            let named = if names.is_empty() { None } else { pushed_as(&push.body, names) };
            if named.is_none() && !names.is_empty() {
                add(&mut status, format!("not the {} elements that are configured as registers", names.len()));
            }
            (named.unwrap_or_else(|| pushed(&push.body)), sent_at(push))
        }
        Apdu::EventNotification(EventNotification { attribute, value, time }) => {
            let one = Pushed {
                obis: Some(attribute.instance),
                class: Some(attribute.class),
                value: value.clone(),
                scaler: None,
            };
            (vec![one], time.as_deref().and_then(DateTime::from_slice))
        }
        _ => return None,
    };
    // A clock among the values says when, where the push itself does not.
    let is_clock = |one: &&Pushed| one.obis.is_some_and(|code| matches!(code.0, [0, _, 1, 0, 0, 255]));
    let clock = values.iter().find(is_clock).and_then(|one| one.value.as_date_time());
    let time = time.or(clock).or_else(|| values.first().and_then(|one| one.value.as_date_time()));
    if let Some(time) = time {
        time.status.words().for_each(|word| add(&mut status, word.into()));
    }
    let readings: Vec<Reading> =
        values.iter().zip(1..).take(READINGS_MAX).map(|(one, nth)| reading(one, nth)).collect();
    Some(Record {
        meter: meter(&values, title),
        readings,
        meter_time: time.map(|time| time.to_string()),
        status,
        frames: vec![Hash::of(frame)],
        driver: dlms::DRIVER.into(),
        profile: None,
    })
}

fn sent_at(push: &DataNotification) -> Option<DateTime> {
    push.date_time().filter(|time| time.local_ms().is_some())
}

fn reading(one: &Pushed, nth: u32) -> Reading {
    let measured = Measured {
        // A push that brings no scaler leaves the number as the meter sent it, and says so: its maker's papers tell.
        class: match (one.class, one.scaler) {
            (Some(class), None) if dlms::is_register(class) => class::DATA,
            (Some(class), _) => class,
            (None, Some(_)) => class::REGISTER,
            (None, None) => class::DATA,
        },
        value: one.value.clone(),
        scaler: one.scaler,
        time: None,
    };
    let mut reading = dlms::reading(Obis(one.obis.map_or([0; 6], |code| code.0)), &measured);
    if one.scaler.is_none() && one.class.is_some_and(dlms::is_register) {
        reading.flags.push("scaler unknown".into());
    }
    if one.obis.is_none() {
        // The layout is the maker's: which register it is, only its papers tell.
        (reading.obis, reading.quantity) = (None, format!("element {nth}"));
    }
    reading
}

fn meter(values: &[Pushed], title: Option<SystemTitle>) -> Meter {
    let of = |code: [u8; 6]| {
        let one = values.iter().find(|one| one.obis.is_some_and(|obis| obis.0 == code))?;
        one.value.as_text().map(String::from).or_else(|| one.value.as_decimal().map(|number| number.to_string()))
    };
    let named = NAMES.into_iter().find_map(of);
    let letters = title.and_then(|title| String::from_utf8(title.0.get(..3)?.to_vec()).ok());
    let medium = values.iter().filter_map(|one| one.obis).map(|code| code.0[0]).find(|group| *group != 0);
    Meter {
        protocol: "dlms".into(),
        id: cut(named.or(title.map(|title| title.to_string())).unwrap_or_default()),
        manufacturer: letters.filter(|text| text.bytes().all(|byte| byte.is_ascii_uppercase())).unwrap_or_default(),
        version: 0,
        medium: dlms::medium_of(medium),
    }
}

/// A P1 telegram as a record.
pub fn p1_record(telegram: &p1::Telegram<'_>, frame: &[u8]) -> Record {
    let mut status = Vec::new();
    if telegram.checksum == p1::Checksum::Absent {
        add(&mut status, "without a checksum".into());
    }
    let told: Vec<p1::Reading<'_>> = telegram.readings().take(READINGS_MAX).collect();
    let mut readings: Vec<Reading> = told.iter().map(p1_reading).collect();
    for set in telegram.data_sets() {
        match set {
            Ok(set) => {
                let Some(code) = set.obis().filter(|code| !told.iter().any(|one| one.obis == *code)) else { continue };
                if readings.len() < READINGS_MAX && !readings.iter().any(|one| one.obis == Some(Obis(code.0))) {
                    let text: Vec<&str> = set.groups().map(|group| group.value).collect();
                    readings.extend(text_reading(Obis(code.0), &text.join(" ")));
                }
            }
            Err(error) => add(&mut status, format!("telegram incomplete: {error}")),
        }
    }
    let identification = telegram.identification();
    let letters = identification.get(..3).unwrap_or_default().to_ascii_uppercase();
    Record {
        meter: Meter {
            protocol: "p1".into(),
            id: cut(telegram.equipment().unwrap_or_else(|| identification.clone())),
            manufacturer: if letters.bytes().all(|byte| byte.is_ascii_uppercase()) { letters } else { String::new() },
            version: 0,
            medium: dlms::medium_of(Some(1)),
        },
        readings,
        meter_time: telegram.time().map(|time| time.to_string()),
        status,
        frames: vec![Hash::of(frame)],
        driver: P1_DRIVER.into(),
        profile: None,
    }
}

fn p1_reading(one: &p1::Reading<'_>) -> Reading {
    let [_, channel, c, ..] = one.obis.0;
    Reading {
        obis: Some(Obis(one.obis.0)),
        value: Value::Number(Decimal { mantissa: one.value.mantissa, exponent: one.value.exponent }),
        unit: cut(one.unit.into()),
        quantity: if c == 24 { format!("meter on channel {channel}") } else { "register value".into() },
        function: Function::Instantaneous,
        storage: 0,
        tariff: 0,
        subunit: 0,
        time: one.time.map(|time| time.to_string()),
        flags: Vec::new(),
    }
}

fn text_reading(obis: Obis, text: &str) -> Option<Reading> {
    (!text.is_empty() && text.len() <= TEXT_BYTES_MAX).then(|| Reading {
        obis: Some(obis),
        value: Value::Text(cut(text.into())),
        unit: String::new(),
        quantity: "text".into(),
        function: Function::Instantaneous,
        storage: 0,
        tariff: 0,
        subunit: 0,
        time: None,
        flags: Vec::new(),
    })
}

/// The readout driver's name and version, as records state it.
pub const READOUT_DRIVER: &str = concat!("iec62056-21 ", env!("CARGO_PKG_VERSION"));

/// An IEC 62056-21 readout as a record. `block` is what stood between STX and ETX.
pub fn readout_record(named: Option<&Identification>, block: &[u8]) -> Record {
    let (mut readings, mut status, mut id, mut time) = (Vec::new(), Vec::new(), None, [None, None]);
    for set in DataSets::new(block) {
        match set {
            Ok(set) => {
                let Some(group) = set.groups().next() else { continue };
                let code = set.obis();
                match code.map(|code| code.0) {
                    // The meter's number, as most have it.
                    Some([_, _, 0, 0, 0, _] | [_, _, 96, 1, 0, _]) => id = id.or(Some(group.value.to_string())),
                    Some([_, _, 0, 9, 1, _]) => time[1] = Some(group.value.to_string()),
                    Some([_, _, 0, 9, 2, _]) => time[0] = Some(group.value.to_string()),
                    _ => {}
                }
                let reading = match (code, group.decimal()) {
                    (Some(code), Some(number)) if group.unit.is_some() => Some(Reading {
                        obis: Some(Obis(code.0)),
                        value: Value::Number(Decimal { mantissa: number.mantissa, exponent: number.exponent }),
                        unit: cut(group.unit.unwrap_or_default().into()),
                        quantity: "register value".into(),
                        function: Function::Instantaneous,
                        storage: 0,
                        tariff: 0,
                        subunit: 0,
                        time: None,
                        flags: Vec::new(),
                    }),
                    (Some(code), _) => {
                        let text: Vec<&str> = set.groups().map(|group| group.value).collect();
                        text_reading(Obis(code.0), &text.join(" "))
                    }
                    (None, _) => None,
                };
                if readings.len() < READINGS_MAX {
                    readings.extend(reading);
                }
            }
            Err(error) => add(&mut status, format!("readout incomplete: {error}")),
        }
    }
    let letters = named.map(|named| named.manufacturer.to_ascii_uppercase()).unwrap_or_default();
    let [date, clock] = time;
    Record {
        meter: Meter {
            protocol: "iec62056-21".into(),
            id: cut(id.unwrap_or_default()),
            manufacturer: if letters.bytes().all(|byte| byte.is_ascii_uppercase()) { letters } else { String::new() },
            version: 0,
            medium: dlms::medium_of(readings.first().and_then(|reading| reading.obis).map(|code| code.0[0])),
        },
        readings,
        meter_time: date.zip(clock).map(|(date, clock)| cut(format!("{date} {clock}"))),
        status,
        frames: vec![Hash::of(block)],
        driver: READOUT_DRIVER.into(),
        profile: None,
    }
}
