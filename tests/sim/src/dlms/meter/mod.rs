//! The meter behind all its lines: what it holds, and what can be done to it.

mod services;

use crate::dlms::config::{Keys, MeterConfig, PUBLIC_CLIENT};
use crate::dlms::object::metering::{self, Held};
use crate::dlms::object::profile::{self, HeldRow, Profile};
use crate::dlms::object::{Object, Reference, access, control, prepayment, push};
use crate::dlms::quantities::{QUANTITIES, Quantities};
use crate::dlms::value::Value;
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
    pub(in crate::dlms) objects: Vec<Object>,
    pub(in crate::dlms) quantities: Quantities,
    clock_offset_s: i64,
    /// When the load, daily, billing and event profiles were cleared.
    cleared: Vec<(crate::dlms::Name, u64)>,
    events: Vec<(u64, u8)>,
    /// The invocation counter of the meter's last own message.
    pub(in crate::dlms) own_counter: u32,
    /// Notifications that wait for a line.
    pub(in crate::dlms) outbox: Vec<Vec<u8>>,
    pub(in crate::dlms) notifications: u32,
    /// Keys that hold from the next request on.
    pub(in crate::dlms) new_keys: Option<Keys>,
    pub(in crate::dlms) used_tokens: Vec<&'static str>,
    /// Requests whose invocation counter was not above the last: repeated ones.
    pub counters_refused: u32,
    /// Requests of SET and ACTION that it heard, beside proofs of an association.
    pub changes_heard: u32,
}

/// Who asks: the association's state as its object shows it.
#[derive(Debug, Clone, Copy)]
pub(in crate::dlms) struct Standing {
    pub(in crate::dlms) client: u16,
    pub(in crate::dlms) mechanism: u8,
    pub(in crate::dlms) ciphered: bool,
    pub(in crate::dlms) conformance: u32,
    pub(in crate::dlms) send_bytes_max: u16,
    pub(in crate::dlms) take_bytes_max: u16,
}

impl Standing {
    /// Who sees all.
    pub(in crate::dlms) fn of_the_meter(config: &MeterConfig) -> Self {
        Self {
            client: config.client,
            mechanism: config.mechanism.code(),
            ciphered: false,
            conformance: config.conformance,
            send_bytes_max: u16::MAX,
            take_bytes_max: u16::MAX,
        }
    }

    pub(in crate::dlms) fn is_public(&self) -> bool {
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
        objects.extend(control::objects(&config));
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
            counters_refused: 0,
            changes_heard: 0,
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
        crate::dlms::opening::readout(self, at)
    }

    /// Whether the supply is connected.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.cell(70, control::DISCONNECT, 2) == Some(&Value::Bool(true))
    }

    /// What happens by itself, before a request is heard.
    pub(in crate::dlms) fn pass(&mut self, at: Duration) {
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
    pub fn attribute(&self, class: u16, name: crate::dlms::Name, index: i8, at: Duration) -> Option<Value> {
        let all = Standing::of_the_meter(&self.config);
        self.get(Reference { class, name, index }, None, all, at).ok()
    }

    pub(in crate::dlms) fn profile(&self, name: crate::dlms::Name, at: Duration) -> Profile<'_> {
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

    pub(in crate::dlms) fn cell(&self, class: u16, name: crate::dlms::Name, index: i8) -> Option<&Value> {
        let object = self.objects.iter().find(|object| object.class == class && object.name == name)?;
        object.cell(index).map(|cell| &cell.value)
    }

    pub(in crate::dlms) fn put(&mut self, class: u16, name: crate::dlms::Name, index: i8, value: Value) {
        let object = self.objects.iter_mut().find(|object| object.class == class && object.name == name);
        if let Some(cell) = object.and_then(|object| object.cell_mut(index)) {
            cell.value = value;
        }
    }

    pub(in crate::dlms) fn remember(&mut self, event: u8, at: Duration) {
        if self.events.len() >= EVENTS_MAX {
            self.events.remove(0);
        }
        self.events.push((self.clock_s(at), event));
    }

    /// Disconnects or reconnects the supply.
    pub fn switch(&mut self, connect: bool, at: Duration) {
        let unix_s = self.unix_s(at);
        self.quantities.switch(connect, unix_s);
        self.put(70, control::DISCONNECT, 2, Value::Bool(connect));
        self.put(70, control::DISCONNECT, 3, Value::Enum(u8::from(connect)));
        self.remember(if connect { EVENT_RECONNECTED } else { EVENT_DISCONNECTED }, at);
    }
}
