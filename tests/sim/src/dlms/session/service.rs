//! GET, SET and ACTION (IEC 62056-5-3, 7.3), without their blocks.

use super::block::{Incoming, Long};
use super::{Session, State};
use crate::dlms::config::conformance;
use crate::dlms::meter::Meter;
use crate::dlms::object::{Reference, refusal};
use crate::dlms::value::{Value, take_array, take_byte, take_length, write_length};
use std::time::Duration;

/// References in one list, at most.
const REFERENCES_MAX: usize = 255;

/// An attribute, and which part of it.
#[derive(Debug, Clone)]
pub(super) struct Selected {
    pub(super) reference: Reference,
    pub(super) selection: Option<(u8, Value)>,
}

impl Session {
    /// Answers a service's plain APDU; `None` when the meter doesn't know it.
    pub(super) fn service(&mut self, meter: &mut Meter, plain: &[u8], room: usize, at: Duration) -> Option<Vec<u8>> {
        let [tag, choice, invoke, rest @ ..] = plain else { return None };
        let (invoke, mut rest) = (*invoke, rest);
        let can = |bits: u32| self.conformance & bits == bits;
        let answering = matches!(self.state, State::Challenged { .. });
        match (tag, choice) {
            (0xC3, 1) => self.action(meter, &mut rest, invoke, room, at),
            // Until the challenge is answered there is nothing else to say.
            _ if answering => Some(super::exception(super::SERVICE_NOT_ALLOWED, super::OPERATION_NOT_POSSIBLE)),
            (0xC0, 1) if can(conformance::GET) => self.get(meter, &mut rest, invoke, room, at),
            (0xC0, 2) if can(conformance::GET_BLOCKS) => self.get_next(&mut rest, invoke, room),
            (0xC0, 3) if can(conformance::MULTIPLE_REFERENCES) => self.get_list(meter, &mut rest, invoke, room, at),
            (0xC1, 1) if can(conformance::SET) => {
                let target = take_selected(&mut rest)?;
                let value = Value::take(&mut rest)?;
                let result = self.write(meter, &target, &value, at);
                Some(vec![0xC5, 1, invoke, result])
            }
            (0xC1, 2 | 5) if can(conformance::SET_BLOCKS) => {
                let list = *choice == 5;
                let targets = if list { take_list(&mut rest, take_selected)? } else { vec![take_selected(&mut rest)?] };
                self.set_block(meter, Some((targets, list)), &mut rest, invoke, at)
            }
            (0xC1, 3) if can(conformance::SET_BLOCKS) => self.set_block(meter, None, &mut rest, invoke, at),
            (0xC1, 4) if can(conformance::MULTIPLE_REFERENCES) => {
                let targets = take_list(&mut rest, take_selected)?;
                let values = take_list(&mut rest, Value::take)?;
                Some([&[0xC5, 5, invoke], &self.write_list(meter, &targets, &values, at)[..]].concat())
            }
            (0xC3, 2) if can(conformance::ACTION_BLOCKS) => self.action_next(&mut rest, invoke, room),
            (0xC3, 3) if can(conformance::MULTIPLE_REFERENCES) => {
                let targets = take_list(&mut rest, take_reference)?;
                let values = take_list(&mut rest, Value::take)?;
                let body = self.invoke_list(meter, &targets, &values, at);
                self.action_answer(invoke, 3, body, room)
            }
            (0xC3, 4 | 5) if can(conformance::ACTION_BLOCKS) => {
                let list = *choice == 5;
                let targets =
                    if list { take_list(&mut rest, take_reference)? } else { vec![take_reference(&mut rest)?] };
                self.action_block(meter, Some((targets, list)), &mut rest, invoke, room, at)
            }
            (0xC3, 6) if can(conformance::ACTION_BLOCKS) => self.action_block(meter, None, &mut rest, invoke, room, at),
            _ => None,
        }
    }

    fn read(&self, meter: &Meter, target: &Selected, at: Duration) -> Result<Value, u8> {
        if target.selection.is_some() && self.conformance & conformance::SELECTIVE_ACCESS == 0 {
            return Err(refusal::OTHER);
        }
        meter.get(target.reference, target.selection.as_ref(), self.standing(meter), at)
    }

    fn get(&mut self, meter: &Meter, rest: &mut &[u8], invoke: u8, room: usize, at: Duration) -> Option<Vec<u8>> {
        let target = take_selected(rest)?;
        self.long = Long::None;
        let value = match self.read(meter, &target, at) {
            Ok(value) => value.bytes(),
            Err(reason) => return Some(vec![0xC4, 1, invoke, 1, reason]),
        };
        if value.len() + 4 <= room {
            return Some([&[0xC4, 1, invoke, 0], &value[..]].concat());
        }
        self.get_answer_in_blocks(invoke, 1, value, room)
    }

    fn get_list(&mut self, meter: &Meter, rest: &mut &[u8], invoke: u8, room: usize, at: Duration) -> Option<Vec<u8>> {
        let targets = take_list(rest, take_selected)?;
        self.long = Long::None;
        let mut body = Vec::new();
        write_length(targets.len(), &mut body);
        for target in &targets {
            match self.read(meter, target, at) {
                Ok(value) => {
                    body.push(0);
                    value.write(&mut body);
                }
                Err(reason) => body.extend([1, reason]),
            }
        }
        if body.len() + 3 <= room {
            return Some([&[0xC4, 3, invoke], &body[..]].concat());
        }
        self.get_answer_in_blocks(invoke, 3, body, room)
    }

    pub(super) fn write(&self, meter: &mut Meter, target: &Selected, value: &Value, at: Duration) -> u8 {
        meter.set(target.reference, value, self.standing(meter), at)
    }

    pub(super) fn write_list(
        &self,
        meter: &mut Meter,
        targets: &[Selected],
        values: &[Value],
        at: Duration,
    ) -> Vec<u8> {
        let mut body = Vec::new();
        write_length(targets.len(), &mut body);
        let mut values = values.iter();
        for target in targets {
            body.push(values.next().map_or(refusal::OTHER, |value| self.write(meter, target, value, at)));
        }
        body
    }

    fn action(
        &mut self,
        meter: &mut Meter,
        rest: &mut &[u8],
        invoke: u8,
        room: usize,
        at: Duration,
    ) -> Option<Vec<u8>> {
        let target = take_reference(rest)?;
        let parameter = match take_byte(rest)? {
            0 => None,
            _ => Some(Value::take(rest)?),
        };
        let body = self.invoke(meter, target, parameter.as_ref(), at);
        self.action_answer(invoke, 1, body, room)
    }

    /// An action's result, with its value if it has one: Action-Response-With-Optional-Data.
    pub(super) fn invoke(
        &mut self,
        meter: &mut Meter,
        target: Reference,
        parameter: Option<&Value>,
        at: Duration,
    ) -> Vec<u8> {
        let done = match self.state {
            State::Challenged { .. } => self.reply_to_hls(meter, target, parameter),
            _ if self.conformance & conformance::ACTION == 0 => Err(refusal::DENIED),
            _ => meter.invoke(target, parameter, self.standing(meter), at),
        };
        match done {
            Ok(None) => vec![0, 0],
            Ok(Some(value)) => [&[0, 1, 0], &value.bytes()[..]].concat(),
            Err(reason) => vec![reason, 0],
        }
    }

    pub(super) fn invoke_list(
        &mut self,
        meter: &mut Meter,
        targets: &[Reference],
        values: &[Value],
        at: Duration,
    ) -> Vec<u8> {
        let mut body = Vec::new();
        write_length(targets.len(), &mut body);
        let mut values = values.iter();
        for target in targets {
            let parameter = values.next().filter(|value| **value != Value::Null);
            body.extend(self.invoke(meter, *target, parameter, at));
        }
        body
    }

    /// What to do with a long request that has come to its end.
    pub(super) fn finish(&mut self, meter: &mut Meter, incoming: &Incoming, at: Duration) -> Option<Vec<u8>> {
        let mut rest = incoming.text.as_slice();
        let values = if incoming.list { take_list(&mut rest, Value::take)? } else { vec![Value::take(&mut rest)?] };
        if incoming.is_set {
            let targets = &incoming.attributes;
            let results = self.write_list(meter, targets, &values, at);
            // One result stands alone, without a count.
            return Some(if incoming.list { results } else { results.get(1..)?.to_vec() });
        }
        let targets: Vec<Reference> = incoming.attributes.iter().map(|target| target.reference).collect();
        let results = self.invoke_list(meter, &targets, &values, at);
        Some(if incoming.list { results } else { results.get(1..)?.to_vec() })
    }
}

fn take_reference(rest: &mut &[u8]) -> Option<Reference> {
    let class = u16::from_be_bytes(take_array(rest)?);
    let name = take_array(rest)?;
    let index = i8::from_be_bytes(take_array(rest)?);
    Some(Reference { class, name, index })
}

fn take_selected(rest: &mut &[u8]) -> Option<Selected> {
    let reference = take_reference(rest)?;
    let selection = match take_byte(rest)? {
        0 => None,
        _ => Some((take_byte(rest)?, Value::take(rest)?)),
    };
    Some(Selected { reference, selection })
}

fn take_list<T>(rest: &mut &[u8], take_one: impl Fn(&mut &[u8]) -> Option<T>) -> Option<Vec<T>> {
    let count = take_length(rest)?;
    if count > REFERENCES_MAX {
        return None;
    }
    (0..count).map(|_| take_one(rest)).collect()
}
