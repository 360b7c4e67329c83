//! The meter behind all its lines: what it holds, and what can be done to it.

use super::config::{Keys, MeterConfig, PUBLIC_CLIENT};
use super::object::metering::{self, Held};
use super::object::profile::{self, HeldRow, Profile};
use super::object::{Object, Reference, access, control, octets, prepayment, push, refusal};
use super::quantities::{QUANTITIES, Quantities, quantity_of};
use super::time::{date_time, instant};
use super::value::Value;
use std::time::Duration;

/// Events that the meter remembers, at most.
const EVENTS_MAX: usize = 100;
const EVENT_POWER_UP: u8 = 2;
const EVENT_CLOCK_ADJUSTED: u8 = 4;
const EVENT_DISCONNECTED: u8 = 62;
const EVENT_RECONNECTED: u8 = 61;

/// A simulated electricity meter, without I/O and without a clock: instants count from its begin.
#[derive(Debug)]
pub struct Meter {
    /// As it was ordered; keys and faults may change.
    pub config: MeterConfig,
    pub(super) objects: Vec<Object>,
    pub(super) quantities: Quantities,
    clock_offset_s: i64,
    /// When the load, daily, billing and event profiles were cleared.
    cleared: Vec<(super::Name, u64)>,
    events: Vec<(u64, u8)>,
    /// The invocation counter of the meter's last own message.
    pub(super) own_counter: u32,
    /// Notifications that wait for a line.
    pub(super) outbox: Vec<Vec<u8>>,
    pub(super) notifications: u32,
    /// Keys that hold from the next request on.
    pub(super) new_keys: Option<Keys>,
    pub(super) used_tokens: Vec<&'static str>,
}

/// Who asks: the association's state as its object shows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) client: u16,
    pub(super) mechanism: u8,
    pub(super) ciphered: bool,
    pub(super) conformance: u32,
    pub(super) send_bytes_max: u16,
    pub(super) take_bytes_max: u16,
}

impl Standing {
    /// Who sees all.
    pub(super) fn of_the_meter(config: &MeterConfig) -> Self {
        Self {
            client: config.client,
            mechanism: config.mechanism.code(),
            ciphered: false,
            conformance: config.conformance,
            send_bytes_max: u16::MAX,
            take_bytes_max: u16::MAX,
        }
    }

    pub(super) fn is_public(&self) -> bool {
        self.client == PUBLIC_CLIENT
    }
}

impl Meter {
    /// A meter as it is ordered.
    #[must_use]
    pub fn new(config: MeterConfig) -> Self {
        let mut objects = metering::objects(&config);
        objects.extend(profile::objects(&config.profile));
        objects.extend(access::objects(&config));
        objects.extend(control::objects());
        objects.push(control::mbus_reading());
        objects.extend(prepayment::objects());
        objects.extend(push::objects());
        let start_s = config.calendar.start_unix_s;
        let events = vec![(start_s.saturating_sub(86_400 * 40), EVENT_POWER_UP)];
        Self {
            objects,
            quantities: Quantities::new(config.seed),
            clock_offset_s: config.clock_offset_s,
            cleared: Vec::new(),
            events,
            own_counter: 0x100,
            outbox: Vec::new(),
            notifications: 0,
            new_keys: None,
            used_tokens: Vec::new(),
            config,
        }
    }

    /// The true time, in seconds since 1970: what registers follow.
    #[must_use]
    pub fn unix_s(&self, at: Duration) -> u64 {
        self.config.calendar.unix_s(at)
    }

    /// What the meter's own clock says, in seconds since 1970: what profiles follow.
    #[must_use]
    pub fn clock_s(&self, at: Duration) -> u64 {
        let true_s = self.unix_s(at);
        let run_s = i64::try_from(true_s - self.config.calendar.start_unix_s).unwrap_or(i64::MAX);
        let gained_s = run_s.saturating_mul(self.config.drift_ppm.into()) / 1_000_000;
        true_s.saturating_add_signed(self.clock_offset_s + gained_s)
    }

    /// Every register at an instant, told by the simulator's own hand.
    #[must_use]
    pub fn held(&self, at: Duration) -> Vec<Held> {
        let unix_s = self.unix_s(at);
        QUANTITIES.into_iter().map(|quantity| Held::new(quantity, &self.quantities.value(quantity, unix_s))).collect()
    }

    /// Rows of the load profile from one instant to another, both included, as the simulator holds them.
    #[must_use]
    pub fn held_rows(&self, from_unix_s: u64, to_unix_s: u64, at: Duration) -> Vec<HeldRow> {
        let profile = self.profile(profile::LOAD, at);
        let times = profile.times().into_iter().filter(|row| (from_unix_s..=to_unix_s).contains(row));
        profile.held(&times.collect::<Vec<_>>())
    }

    /// Instants of all rows of the load profile, oldest first: the first is entry 1.
    #[must_use]
    pub fn row_times(&self, at: Duration) -> Vec<u64> {
        self.profile(profile::LOAD, at).times()
    }

    /// The data sets of a readout (IEC 62056-21, mode C) at an instant.
    #[must_use]
    pub fn readout(&self, at: Duration) -> String {
        super::opening::readout(self, at)
    }

    /// Whether the supply is connected.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.cell(70, control::DISCONNECT, 2) == Some(&Value::Bool(true))
    }

    /// What happens by itself, before a request is heard.
    pub(super) fn pass(&mut self, at: Duration) {
        if let Some(keys) = self.new_keys.take() {
            // Counters begin anew with a key.
            if keys.unicast != self.config.keys.unicast {
                self.config.client_counter = 0;
            }
            self.config.keys = keys;
        }
        self.activate_calendar_in_time(at);
    }

    /// What an attribute of an object is, for tests: any object, computed or kept.
    #[must_use]
    pub fn attribute(&self, class: u16, name: super::Name, index: i8, at: Duration) -> Option<Value> {
        let all = Standing::of_the_meter(&self.config);
        self.get(Reference { class, name, index }, None, all, at).ok()
    }

    pub(super) fn profile(&self, name: super::Name, at: Duration) -> Profile<'_> {
        let cleared = self.cleared.iter().find(|(cleared, _)| *cleared == name);
        Profile {
            name,
            config: &self.config,
            quantities: &self.quantities,
            clock_s: self.clock_s(at),
            cleared_s: cleared.map_or(0, |(_, unix_s)| *unix_s),
            events: &self.events,
        }
    }

    fn object(&self, reference: Reference, standing: Standing) -> Result<&Object, u8> {
        let mut named = self.objects.iter().filter(|object| object.name == reference.name).peekable();
        named.peek().ok_or(refusal::UNDEFINED)?;
        let object = named.find(|object| object.class == reference.class).ok_or(refusal::CLASS_INCONSISTENT)?;
        if standing.is_public() && !object.public { Err(refusal::UNDEFINED) } else { Ok(object) }
    }

    pub(super) fn cell(&self, class: u16, name: super::Name, index: i8) -> Option<&Value> {
        let object = self.objects.iter().find(|object| object.class == class && object.name == name)?;
        object.cell(index).map(|cell| &cell.value)
    }

    pub(super) fn put(&mut self, class: u16, name: super::Name, index: i8, value: Value) {
        let object = self.objects.iter_mut().find(|object| object.class == class && object.name == name);
        if let Some(cell) = object.and_then(|object| object.cell_mut(index)) {
            cell.value = value;
        }
    }

    /// Reads an attribute.
    pub(super) fn get(
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

    fn datum(&self, at_name: super::Name, at: Duration) -> Option<Value> {
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
        let stamp = |unix_s| octets(&date_time(unix_s, self.config.deviation_min, 0));
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
            2 => Some(octets(&date_time(self.clock_s(at), self.config.deviation_min, 0))),
            3 => Some(Value::I16(self.config.deviation_min)),
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
    pub(super) fn set(&mut self, reference: Reference, value: &Value, standing: Standing, at: Duration) -> u8 {
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
                Value::I16(deviation) => self.config.deviation_min = *deviation,
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
        let Some(wanted) = instant(stamp, self.config.deviation_min) else { return refusal::OTHER };
        let now = self.clock_s(at);
        let difference = i64::try_from(wanted).unwrap_or(i64::MAX) - i64::try_from(now).unwrap_or_default();
        self.clock_offset_s += difference;
        self.remember(EVENT_CLOCK_ADJUSTED, at);
        0
    }

    pub(super) fn remember(&mut self, event: u8, at: Duration) {
        if self.events.len() >= EVENTS_MAX {
            self.events.remove(0);
        }
        self.events.push((self.clock_s(at), event));
    }

    /// Invokes a method; an answer of 0 may have a value.
    pub(super) fn invoke(
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

    /// Disconnects or reconnects the supply.
    pub fn switch(&mut self, connect: bool, at: Duration) {
        self.put(70, control::DISCONNECT, 2, Value::Bool(connect));
        self.put(70, control::DISCONNECT, 3, Value::Enum(u8::from(connect)));
        self.remember(if connect { EVENT_RECONNECTED } else { EVENT_DISCONNECTED }, at);
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
