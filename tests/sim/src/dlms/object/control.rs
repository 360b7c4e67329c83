//! Disconnect control, limiter, time of use, image transfer, M-Bus client.

use super::{Object, name, octets};
use crate::dlms::value::Value;

pub(in crate::dlms) const DISCONNECT: [u8; 6] = [0, 0, 96, 3, 10, 255];
pub(in crate::dlms) const IMAGE: [u8; 6] = [0, 0, 44, 0, 0, 255];

/// Objects that act on the supply, and on the meter itself.
pub(in crate::dlms) fn objects() -> Vec<Object> {
    vec![disconnect(), limiter(), activity_calendar(), special_days(), image_transfer(), mbus_client()]
}

/// Attributes: output state, control state, control mode (IEC 62056-6-2, 4.5.8). Mode 4: remote
/// disconnection and reconnection, no button, no local disconnection.
fn disconnect() -> Object {
    Object::new(70, 0, DISCONNECT).fixed(Value::Bool(true)).fixed(Value::Enum(1)).writable(Value::Enum(4)).methods(2)
}

fn limiter() -> Object {
    let watched = Value::Structure(vec![Value::U16(3), octets(&name(1, 0, 1, 7, 0)), Value::I8(2)]);
    let emergency = Value::Structure(vec![Value::U16(0), octets(&[0xFF; 12]), Value::U32(0)]);
    let script = || Value::Structure(vec![octets(&name(0, 0, 10, 0, 106)), Value::U16(1)]);
    Object::new(71, 0, name(0, 0, 17, 0, 0))
        .fixed(watched)
        .fixed(Value::U32(11_000))
        .writable(Value::U32(11_000))
        .writable(Value::U32(3_000))
        .writable(Value::U32(60))
        .writable(Value::U32(60))
        .writable(emergency)
        .writable(Value::Array(Vec::new()))
        .fixed(Value::Bool(false))
        .writable(Value::Structure(vec![script(), script()]))
}

/// Two seasons, one week each, two day tables: the tariffs of the registers 1.8.1 and 1.8.2.
fn activity_calendar() -> Object {
    let season = |label: &[u8], month: u8| {
        let start = [0xFF, 0xFF, month, 1, 0xFF, 0, 0, 0, 0, 0x80, 0, 0];
        Value::Structure(vec![octets(label), octets(&start), octets(label)])
    };
    let week = |label: &[u8]| {
        let days = [1, 1, 1, 1, 1, 1, 1].map(Value::U8);
        Value::Structure([octets(label)].into_iter().chain(days).collect())
    };
    let action = |hour: u8, script: u16| {
        Value::Structure(vec![octets(&[hour, 0, 0, 0]), octets(&name(0, 0, 10, 0, 100)), Value::U16(script)])
    };
    let day = Value::Structure(vec![Value::U8(1), Value::Array(vec![action(6, 1), action(22, 2)])]);
    let seasons = Value::Array(vec![season(b"W", 10), season(b"S", 4)]);
    let weeks = Value::Array(vec![week(b"W"), week(b"S")]);
    Object::new(20, 0, name(0, 0, 13, 0, 0))
        .fixed(octets(b"PLM-A"))
        .fixed(seasons.clone())
        .fixed(weeks.clone())
        .fixed(Value::Array(vec![day.clone()]))
        .writable(octets(b"PLM-P"))
        .writable(seasons)
        .writable(weeks)
        .writable(Value::Array(vec![day]))
        .writable(octets(&[0xFF; 12]))
        .methods(1)
}

fn special_days() -> Object {
    let day = |index: u16, month: u8, day: u8| {
        Value::Structure(vec![Value::U16(index), octets(&[0xFF, 0xFF, month, day, 0xFF]), Value::U8(1)])
    };
    let days = vec![day(0, 1, 1), day(1, 5, 1), day(2, 12, 25)];
    Object::new(11, 0, name(0, 0, 11, 0, 0)).writable(Value::Array(days)).methods(2)
}

fn image_transfer() -> Object {
    Object::new(18, 0, IMAGE)
        .fixed(Value::U32(256))
        .fixed(Value::Bits(Vec::new()))
        .fixed(Value::U32(0))
        .writable(Value::Bool(true))
        .fixed(Value::Enum(0))
        .fixed(Value::Array(Vec::new()))
        .methods(4)
}

/// A water meter on the first channel.
fn mbus_client() -> Object {
    Object::new(72, 1, name(0, 1, 24, 1, 0))
        .fixed(octets(&name(0, 1, 24, 6, 0)))
        .fixed(Value::Array(vec![Value::Structure(vec![octets(&[0x0C]), octets(&[0x13])])]))
        .writable(Value::U32(3600))
        .writable(Value::U8(1))
        .fixed(Value::U32(0x1234_5678))
        .fixed(Value::U16(0x4181))
        .fixed(Value::U8(3))
        .fixed(Value::U8(7))
        .fixed(Value::U8(42))
        .fixed(Value::U8(0))
        .fixed(Value::U8(0))
        .fixed(Value::U16(0))
        .fixed(Value::U8(4))
        .methods(8)
}

/// What the meter holds of its M-Bus meter: class 4, the value it last read.
pub(in crate::dlms) fn mbus_reading() -> Object {
    Object::new(4, 0, name(0, 1, 24, 2, 1))
        .fixed(Value::U32(73_521))
        .fixed(Value::Structure(vec![Value::I8(-3), Value::Enum(13)]))
        .fixed(Value::U8(0))
        .fixed(octets(&[0; 12]))
        .methods(1)
}
