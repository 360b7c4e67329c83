//! Reading, writing and acting on objects: which are computed, and which methods do what.

use super::{EVENT_CLOCK_ADJUSTED, Meter, Standing};
use crate::dlms::Name;
use crate::dlms::object::{Object, Reference, access, metering, octets, refusal};
use crate::dlms::quantities::{Quantities, quantity_of};
use crate::dlms::value::Value;
use std::time::Duration;

impl Meter {
    fn object(&self, reference: Reference, standing: Standing) -> Result<&Object, u8> {
        let mut named = self.objects.iter().filter(|object| object.name == reference.name).peekable();
        named.peek().ok_or(refusal::UNDEFINED)?;
        let object = named.find(|object| object.class == reference.class).ok_or(refusal::CLASS_INCONSISTENT)?;
        if standing.is_public() && !object.public { Err(refusal::UNDEFINED) } else { Ok(object) }
    }

    /// Reads an attribute.
    pub(in crate::dlms) fn get(
        &self,
        reference: Reference,
        selection: Option<&(u8, Value)>,
        standing: Standing,
        at: Duration,
    ) -> Result<Value, u8> {
        let object = self.object(reference, standing)?;
        let index = reference.index;
        if selection.is_some() && (object.class, index) != (7, 2) {
            return Err(refusal::OTHER);
        }
        if index == 1 {
            return Ok(octets(&object.name));
        }
        if self.config.faults.hides_switch && object.class == 70 {
            return Err(refusal::DENIED);
        }
        let kept = object.cell(index).map(|cell| cell.value.clone()).ok_or(refusal::SCOPE)?;
        let computed = match object.class {
            1 => self.datum(object.name, at),
            3..=5 => self.register(object, index, at),
            7 if index == 2 => return self.profile(object.name, at).buffer(selection),
            7 => self.profile(object.name, at).attribute(index),
            8 => self.clock_attribute(index, at),
            15 => self.association(index, standing),
            64 => self.security_attribute(index),
            111 => self.account_attribute(index),
            // The threshold in force is the normal one: emergencies are not simulated.
            71 if index == 3 => object.cell(4).map(|normal| normal.value.clone()),
            _ => None,
        };
        Ok(computed.unwrap_or(kept))
    }

    fn datum(&self, at_name: Name, at: Duration) -> Option<Value> {
        match at_name {
            [0, 0, 43, 1, _, 255] => Some(Value::U32(self.config.client_counter)),
            metering::TARIFF => Some(Value::U8(Quantities::tariff(self.clock_s(at)))),
            [0, 0, 96, 11, 0, 255] => self.events.last().map(|(_, code)| Value::U8(*code)),
            _ => None,
        }
    }

    fn register(&self, object: &Object, index: i8, at: Duration) -> Option<Value> {
        let quantity = quantity_of(object.name)?;
        let unix_s = self.unix_s(at);
        let period_start = unix_s - unix_s % 900;
        let stamp = |unix_s| octets(&self.config.stamp(unix_s));
        match (object.class, index) {
            (3 | 4, 2) | (5, 3) => Some(self.quantities.value(quantity, unix_s)),
            (4, 5) => Some(stamp(self.quantities.demand_max(unix_s).1)),
            (5, 2) => Some(Value::U32(u32::try_from(self.quantities.demand_last(period_start)).unwrap_or_default())),
            (5, 6 | 7) => Some(stamp(period_start)),
            _ => None,
        }
    }

    fn clock_attribute(&self, index: i8, at: Duration) -> Option<Value> {
        match index {
            2 => Some(octets(&self.config.stamp(self.clock_s(at)))),
            3 if self.config.inverted_deviation => Some(Value::I16(self.config.deviation_min.saturating_neg())),
            3 => Some(Value::I16(self.config.deviation_min)),
            4 => self.config.stamp(self.clock_s(at)).last().map(|status| Value::U8(*status)),
            8 => Some(Value::Bool(self.config.summer_time)),
            _ => None,
        }
    }

    fn association(&self, index: i8, standing: Standing) -> Option<Value> {
        let oid = |kind: u8, last: u8| octets(&[0x60, 0x85, 0x74, 0x05, 0x08, kind, last]);
        match index {
            2 => {
                let seen = self.objects.iter().filter(|object| !standing.is_public() || object.public);
                Some(access::object_list(seen))
            }
            3 => {
                let client = i8::try_from(standing.client).unwrap_or_default();
                Some(Value::Structure(vec![Value::I8(client), Value::U16(self.config.logical_device)]))
            }
            4 => Some(oid(1, if standing.ciphered { 3 } else { 1 })),
            5 => {
                let bits = (0..24).rev().map(|bit| standing.conformance >> bit & 1 == 1).collect();
                Some(Value::Structure(vec![
                    Value::Bits(bits),
                    Value::U16(standing.take_bytes_max),
                    Value::U16(standing.send_bytes_max),
                    Value::U8(6),
                    Value::I8(0),
                    octets(&[]),
                ]))
            }
            6 => Some(oid(2, standing.mechanism)),
            // The secret can be written, never read.
            7 => Some(octets(&[])),
            8 => Some(Value::Enum(2)),
            9 => Some(octets(&access::SECURITY)),
            _ => None,
        }
    }

    /// Writes an attribute; the answer is a Data-Access-Result.
    pub(in crate::dlms) fn set(&mut self, reference: Reference, value: &Value, standing: Standing, at: Duration) -> u8 {
        let Reference { class, name, index } = reference;
        let cell = match self.object(reference, standing) {
            Err(reason) => return reason,
            Ok(_) if index == 1 => return refusal::DENIED,
            Ok(object) => match object.cell(index) {
                None => return refusal::SCOPE,
                Some(cell) => cell,
            },
        };
        if standing.is_public() || !cell.writable {
            return refusal::DENIED;
        }
        match (class, index) {
            (8, 2) => return self.set_clock(value, at),
            (8, 3) => match value {
                Value::I16(deviation) if self.config.inverted_deviation => {
                    self.config.deviation_min = deviation.saturating_neg();
                }
                Value::I16(deviation) => self.config.deviation_min = *deviation,
                _ => return refusal::TYPE_UNMATCHED,
            },
            (8, 8) => match value {
                Value::Bool(enabled) => self.config.summer_time = *enabled,
                _ => return refusal::TYPE_UNMATCHED,
            },
            (15, 7) => return self.change_secret(value),
            _ if !cell.value.same_type(value) => return refusal::TYPE_UNMATCHED,
            _ => {}
        }
        self.put(class, name, index, value.clone());
        0
    }

    fn set_clock(&mut self, value: &Value, at: Duration) -> u8 {
        let Some(stamp) = value.octets() else { return refusal::TYPE_UNMATCHED };
        let Some(wanted) = self.config.instant(stamp) else { return refusal::OTHER };
        let now = self.clock_s(at);
        let difference = i64::try_from(wanted).unwrap_or(i64::MAX) - i64::try_from(now).unwrap_or_default();
        self.clock_offset_s += difference;
        self.remember(EVENT_CLOCK_ADJUSTED, at);
        0
    }

    /// Invokes a method; an answer of 0 may have a value.
    pub(in crate::dlms) fn invoke(
        &mut self,
        reference: Reference,
        parameter: Option<&Value>,
        standing: Standing,
        at: Duration,
    ) -> Result<Option<Value>, u8> {
        let Reference { class, name, index } = reference;
        let methods = self.object(reference, standing)?.methods;
        if standing.is_public() || !(1..=methods).contains(&index) {
            return Err(refusal::DENIED);
        }
        match (class, index) {
            (7, 1) => {
                let now = self.clock_s(at);
                self.cleared.retain(|(cleared, _)| *cleared != name);
                self.cleared.push((name, now));
                Ok(None)
            }
            (7, 2) | (3..=5, 1) => Ok(None),
            (8, _) => self.adjust_clock(index, parameter, at),
            (11, _) => self.change_special_days(index, parameter),
            (18, _) => self.transfer_image(index, parameter),
            (20, 1) => {
                self.activate_calendar();
                Ok(None)
            }
            (40, 1) => {
                self.push(at);
                Ok(None)
            }
            (64, _) => self.change_security(index, parameter),
            (70, _) => self.control_supply(index, at),
            (112, _) => self.change_credit(index, parameter),
            (115, 1) => self.enter_token(parameter, at),
            _ => Err(refusal::OTHER),
        }
    }

    /// Methods of the clock: to the next quarter, to the minute, shift by seconds.
    fn adjust_clock(&mut self, index: i8, parameter: Option<&Value>, at: Duration) -> Result<Option<Value>, u8> {
        let now = i64::try_from(self.clock_s(at)).unwrap_or_default();
        let by = match index {
            1 => (now + 450).div_euclid(900) * 900 - now,
            3 => (now + 30).div_euclid(60) * 60 - now,
            6 => {
                let Some(Value::I16(shift)) = parameter else { return Err(refusal::TYPE_UNMATCHED) };
                i64::from(*shift)
            }
            _ => return Err(refusal::OTHER),
        };
        self.clock_offset_s += by;
        self.remember(EVENT_CLOCK_ADJUSTED, at);
        Ok(None)
    }
}
