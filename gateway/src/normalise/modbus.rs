//! What a Modbus meter's registers say, as a record.

use plomb_modbus::{Measurement, RegisterMap, Value as Said};
use plomb_seal::{
    Decimal, Function, Hash, Meter, Obis, Reading, Record, Value,
    reading::{FRAMES_MAX, READINGS_MAX},
};

use super::{dlms::medium_of, records::cut};

/// The driver's name and version, as records state it.
pub const DRIVER: &str = concat!("modbus ", env!("CARGO_PKG_VERSION"));

/// The protocol's name, as records state it.
const PROTOCOL: &str = "modbus";
/// What stands before a unit's number where it is all that is known of a meter.
const UNIT: &str = "unit ";

/// What was read.
pub struct Read<'a> {
    /// The meter's map.
    pub map: &'a RegisterMap,
    /// The unit that was asked.
    pub unit: u8,
    /// The number on the meter, if it can be read.
    pub serial: Option<String>,
    /// The values.
    pub measured: &'a [Measurement],
}

/// The registers as a record; `frames` are questions and answers. A meter without a number of its own is known by
/// its unit.
pub fn record(read: &Read<'_>, frames: &[Vec<u8>]) -> Record {
    let first = read.measured.iter().find_map(|measured| measured.obis);
    Record {
        meter: Meter {
            protocol: PROTOCOL.into(),
            id: cut(read.serial.clone().unwrap_or_else(|| format!("{UNIT}{}", read.unit))),
            manufacturer: String::new(),
            version: 0,
            medium: medium_of(first.map(|obis| obis.0[0])),
        },
        readings: read.measured.iter().take(READINGS_MAX).map(reading).collect(),
        meter_time: None,
        status: Vec::new(),
        frames: frames.iter().take(FRAMES_MAX).map(|frame| Hash::of(frame)).collect(),
        driver: DRIVER.into(),
        profile: Some(format!("{} {}", read.map.name, read.map.version)),
    }
}

/// Whether a meter is known by its unit alone.
pub fn is_address_alone(meter: &Meter) -> bool {
    meter.protocol == PROTOCOL && meter.id.starts_with(UNIT)
}

fn reading(measured: &Measurement) -> Reading {
    let mut flags = Vec::new();
    if measured.quantity != measured.name {
        flags.push(cut(measured.name.clone()));
    }
    let value = match &measured.value {
        Said::Number(number) => Value::Number(Decimal { mantissa: number.mantissa, exponent: number.exponent }),
        Said::Text(text) => Value::Text(cut(text.clone())),
        Said::Absent => {
            flags.push("the meter has no such value".into());
            Value::Invalid(Vec::new())
        }
        Said::Unreadable(words) => {
            flags.push("not what its type allows".into());
            Value::Invalid(words.iter().flat_map(|word| word.to_be_bytes()).collect())
        }
    };
    Reading {
        obis: measured.obis.map(|obis| Obis(obis.0)),
        value,
        unit: cut(measured.unit.clone()),
        quantity: cut(measured.quantity.clone()),
        function: Function::Instantaneous,
        storage: 0,
        tariff: 0,
        subunit: 0,
        time: None,
        flags,
    }
}
