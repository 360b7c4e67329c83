//! Clock, identification, registers.

use super::{Object, dotted, name, octets};
use crate::dlms::config::MeterConfig;
use crate::dlms::quantities::{QUANTITIES, Quantity};
use crate::dlms::value::Value;
use serde::Serialize;

pub(in crate::dlms) const CLOCK: [u8; 6] = [0, 0, 1, 0, 0, 255];
/// The status word of the load profile.
pub(in crate::dlms) const PROFILE_STATUS: [u8; 6] = [0, 0, 96, 10, 1, 255];
/// The tariff in force.
pub(in crate::dlms) const TARIFF: [u8; 6] = [0, 0, 96, 14, 0, 255];

/// A register's content, told by the simulator's own hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Its logical name: `1.0.1.8.0.255`.
    pub obis: String,
    /// Its class: register, extended register, demand register.
    pub class: u16,
    /// The digits of its value (attribute 2; 3 of a demand register).
    pub mantissa: i64,
    /// The power of ten that belongs to them.
    pub scaler: i8,
    /// The unit's code (IEC 62056-6-2, table 4).
    pub unit: u8,
}

impl Held {
    pub(in crate::dlms) fn new(quantity: Quantity, value: &Value) -> Self {
        let [c, d, e] = quantity.cde;
        Self {
            obis: dotted(name(1, 0, c, d, e)),
            class: quantity.class,
            mantissa: value.number().and_then(|number| i64::try_from(number).ok()).unwrap_or_default(),
            scaler: quantity.scaler,
            unit: quantity.unit,
        }
    }
}

/// Objects that identify the meter and show what it measures.
pub(in crate::dlms) fn objects(config: &MeterConfig) -> Vec<Object> {
    let text = |text: &str| octets(text.as_bytes());
    let data = |at, value| Object::new(1, 0, at).fixed(value);
    let mut objects = vec![
        data(name(0, 0, 42, 0, 0), text(&config.logical_device_name())).public(),
        clock(),
        data(name(0, 0, 96, 1, 0), text(&config.serial())).public(),
        data(name(1, 0, 0, 2, 0), Value::Text("PLM-2.4.1".into())).public(),
        data(name(1, 1, 0, 2, 0), octets(&[0x24, 0x01, 0x07])),
        data(name(0, 0, 43, 1, 0), Value::U32(0)).public(),
        data(name(0, 0, 43, 1, 1), Value::U32(0)).public(),
        data(PROFILE_STATUS, Value::U8(0)),
        data(TARIFF, Value::U8(1)),
        data(name(0, 0, 96, 11, 0), Value::U8(0)),
        data(name(0, 0, 97, 97, 0), Value::U32(0)),
        Object::new(1, 0, name(0, 0, 96, 1, 1)).writable(octets(b"Plomb Street 1")),
    ];
    objects.extend(QUANTITIES.into_iter().map(register));
    objects
}

fn clock() -> Object {
    Object::new(8, 0, CLOCK)
        .writable(octets(&[0; 12]))
        .writable(Value::I16(0))
        .fixed(Value::U8(0))
        .fixed(octets(&[0xFF, 0xFF, 3, 0xFE, 7, 2, 0, 0, 0, 0x80, 0, 0]))
        .fixed(octets(&[0xFF, 0xFF, 10, 0xFE, 7, 3, 0, 0, 0, 0x80, 0, 0]))
        .fixed(Value::I8(60))
        .writable(Value::Bool(false))
        .fixed(Value::Enum(1))
        .methods(6)
        .public()
}

fn register(quantity: Quantity) -> Object {
    let [c, d, e] = quantity.cde;
    let scaler_unit = Value::Structure(vec![Value::I8(quantity.scaler), Value::Enum(quantity.unit)]);
    let object = Object::new(quantity.class, 0, name(1, 0, c, d, e)).fixed(Value::U32(0));
    match quantity.class {
        3 => object.fixed(scaler_unit).methods(1),
        4 => object.fixed(scaler_unit).fixed(Value::U8(0)).fixed(octets(&[0; 12])).methods(1),
        _ => object
            .fixed(Value::U32(0))
            .fixed(scaler_unit)
            .fixed(Value::U8(0))
            .fixed(octets(&[0; 12]))
            .fixed(octets(&[0; 12]))
            .fixed(Value::U32(900))
            .fixed(Value::U16(1))
            .methods(2),
    }
}
