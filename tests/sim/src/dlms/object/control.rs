//! Disconnect control, limiter, time of use, image transfer, M-Bus client.

use super::{Name, Object, name, octets, refusal};
use crate::dlms::config::MeterConfig;
use crate::dlms::meter::Meter;
use crate::dlms::value::Value;
use std::time::Duration;

pub(in crate::dlms) const DISCONNECT: Name = [0, 0, 96, 3, 10, 255];
pub(in crate::dlms) const IMAGE: Name = [0, 0, 44, 0, 0, 255];

/// Objects that act on the supply, and on the meter itself.
pub(in crate::dlms) fn objects(config: &MeterConfig) -> Vec<Object> {
    vec![
        disconnect(config.control_mode),
        limiter(),
        activity_calendar(),
        special_days(),
        image_transfer(),
        mbus_client(),
    ]
}

/// Attributes: output state, control state, control mode (IEC 62056-6-2, 4.5.8).
fn disconnect(mode: u8) -> Object {
    Object::new(70, 0, DISCONNECT).fixed(Value::Bool(true)).fixed(Value::Enum(1)).writable(Value::Enum(mode)).methods(2)
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

const CALENDAR: Name = [0, 0, 13, 0, 0, 255];
const SPECIAL_DAYS: Name = [0, 0, 11, 0, 0, 255];
/// Image transfer status (IEC 62056-6-2, 4.4.6).
const INITIATED: u8 = 1;
const VERIFIED: u8 = 3;
const VERIFICATION_FAILED: u8 = 4;
const ACTIVATED: u8 = 6;
const IMAGE_BLOCK_BYTES: u32 = 256;
const IMAGE_BYTES_MAX: u32 = 1 << 20;

impl Meter {
    /// Methods of the disconnect control, as its mode lets them (IEC 62056-6-2, table 17).
    pub(in crate::dlms) fn control_supply(&mut self, index: i8, at: Duration) -> Result<Option<Value>, u8> {
        let mode = self.cell(70, DISCONNECT, 4).and_then(Value::number);
        match (mode, index) {
            (Some(0) | None, _) => Err(refusal::DENIED),
            (_, 1) => {
                self.switch(false, at);
                Ok(None)
            }
            (Some(2 | 4), _) => {
                self.switch(true, at);
                Ok(None)
            }
            // Ready: a hand at the meter reconnects.
            _ => {
                self.put(70, DISCONNECT, 3, Value::Enum(2));
                Ok(None)
            }
        }
    }

    /// Makes the passive calendar the active one.
    pub(in crate::dlms) fn activate_calendar(&mut self) {
        for index in 2..=5 {
            if let Some(passive) = self.cell(20, CALENDAR, index + 4).cloned() {
                self.put(20, CALENDAR, index, passive);
            }
        }
    }

    /// Activates the passive calendar when its time has come.
    pub(in crate::dlms) fn activate_calendar_in_time(&mut self, at: Duration) {
        let due = self.cell(20, CALENDAR, 10).and_then(Value::octets);
        let due = due.and_then(|due| self.config.instant(due));
        if due.is_some_and(|due| due <= self.clock_s(at)) {
            self.activate_calendar();
            self.put(20, CALENDAR, 10, octets(&[0xFF; 12]));
        }
    }

    /// Methods of the special days table: insert (over the day of the same number), delete.
    pub(in crate::dlms) fn change_special_days(
        &mut self,
        index: i8,
        parameter: Option<&Value>,
    ) -> Result<Option<Value>, u8> {
        let parameter = parameter.ok_or(refusal::TYPE_UNMATCHED)?;
        let number = |day: &Value| day.elements().first().and_then(Value::number);
        let wanted = if index == 1 { number(parameter) } else { parameter.number() }.ok_or(refusal::TYPE_UNMATCHED)?;
        let mut days = self.cell(11, SPECIAL_DAYS, 2).map(|days| days.elements().to_vec()).unwrap_or_default();
        let before = days.len();
        days.retain(|day| number(day) != Some(wanted));
        match index {
            1 if parameter.elements().len() == 3 => days.push(parameter.clone()),
            2 if days.len() < before => {}
            _ => return Err(refusal::OTHER),
        }
        self.put(11, SPECIAL_DAYS, 2, Value::Array(days));
        Ok(None)
    }

    /// Methods of the image transfer: initiate, a block, verify, activate. The image is counted, not kept.
    pub(in crate::dlms) fn transfer_image(
        &mut self,
        index: i8,
        parameter: Option<&Value>,
    ) -> Result<Option<Value>, u8> {
        let parameter = parameter.ok_or(refusal::TYPE_UNMATCHED)?;
        let blocks = match self.cell(18, IMAGE, 3) {
            Some(Value::Bits(blocks)) => blocks.clone(),
            _ => Vec::new(),
        };
        let missing = blocks.iter().position(|has| !has);
        match index {
            1 => self.initiate_image(parameter)?,
            2 => self.take_image_block(parameter, blocks)?,
            3 => {
                let verified = missing.is_none() && !blocks.is_empty();
                self.put(18, IMAGE, 6, Value::Enum(if verified { VERIFIED } else { VERIFICATION_FAILED }));
                if !verified {
                    return Err(refusal::OTHER);
                }
            }
            _ if self.cell(18, IMAGE, 6) == Some(&Value::Enum(VERIFIED)) => {
                self.put(18, IMAGE, 6, Value::Enum(ACTIVATED));
            }
            _ => return Err(refusal::OTHER),
        }
        Ok(None)
    }

    fn initiate_image(&mut self, parameter: &Value) -> Result<(), u8> {
        let [identifier, size] = parameter.elements() else { return Err(refusal::TYPE_UNMATCHED) };
        let bytes = size.number().and_then(|size| u32::try_from(size).ok()).ok_or(refusal::TYPE_UNMATCHED)?;
        if self.cell(18, IMAGE, 5) != Some(&Value::Bool(true)) || bytes == 0 || bytes > IMAGE_BYTES_MAX {
            return Err(refusal::OTHER);
        }
        let count = usize::try_from(bytes.div_ceil(IMAGE_BLOCK_BYTES)).unwrap_or_default();
        let announced = Value::Structure(vec![Value::U32(bytes), identifier.clone(), octets(&[])]);
        self.put(18, IMAGE, 3, Value::Bits(vec![false; count]));
        self.put(18, IMAGE, 4, Value::U32(0));
        self.put(18, IMAGE, 6, Value::Enum(INITIATED));
        self.put(18, IMAGE, 7, Value::Array(vec![announced]));
        Ok(())
    }

    fn take_image_block(&mut self, parameter: &Value, mut blocks: Vec<bool>) -> Result<(), u8> {
        let [number, _] = parameter.elements() else { return Err(refusal::TYPE_UNMATCHED) };
        let number = number.number().and_then(|number| usize::try_from(number).ok()).ok_or(refusal::TYPE_UNMATCHED)?;
        *blocks.get_mut(number).ok_or(refusal::OTHER)? = true;
        let next = blocks.iter().position(|has| !has).unwrap_or(blocks.len());
        self.put(18, IMAGE, 3, Value::Bits(blocks));
        self.put(18, IMAGE, 4, Value::U32(u32::try_from(next).unwrap_or(u32::MAX)));
        Ok(())
    }
}
