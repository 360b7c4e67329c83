//! Several slaves on one line.

use crate::LineSpeed;
use crate::line::Transmission;
use crate::mbus::{Receiver, Refused, Slave};
use std::time::Duration;

/// The meters' clocks: what time of day it is at an instant of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    /// Seconds since 1970 (UTC) when the line's time was 0.
    pub start_unix_s: u64,
    /// How many of the meters' seconds pass in one of the line's; 0 stands still.
    pub factor: u32,
}

impl Calendar {
    /// The meters' time at an instant of the line, in seconds since 1970.
    #[must_use]
    pub fn unix_s(&self, at: Duration) -> u64 {
        let millis = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        self.start_unix_s.saturating_add(millis.saturating_mul(u64::from(self.factor)) / 1000)
    }
}

/// A byte of noise that begins 24 bit times after each n-th write of the master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noise {
    /// How often: 1 for each write.
    pub every: u32,
    /// The byte.
    pub byte: u8,
}

/// Slaves on one pair of wires.
#[derive(Debug)]
pub struct Bus {
    /// The level converter returns the master's own bytes.
    pub echo: bool,
    /// The level converter is wired the wrong way round: the master hears its own bytes inverted,
    /// and the slaves hear rubbish.
    pub reversed: bool,
    /// A disturbance that meets the answers.
    pub noise: Option<Noise>,
    /// The meters' clocks.
    pub calendar: Calendar,
    speed: LineSpeed,
    receiver: Receiver,
    fitted: Vec<Fitted>,
    last_refused: Option<Refused>,
}

#[derive(Debug)]
struct Fitted {
    slave: Slave,
    /// The speed at which it hears and talks.
    speed: LineSpeed,
    /// Until when it is answering, and deaf.
    busy_until: Duration,
}

/// What the slaves did with one byte of the master.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reaction {
    pub(crate) frame_ended: bool,
    pub(crate) refused: bool,
    pub(crate) answers: Vec<Transmission>,
}

impl Bus {
    /// An empty bus whose meters' clocks begin at `calendar`.
    #[must_use]
    pub fn new(speed: LineSpeed, calendar: Calendar) -> Self {
        Self {
            echo: false,
            reversed: false,
            noise: None,
            calendar,
            speed,
            receiver: Receiver::new(speed),
            fitted: Vec::new(),
            last_refused: None,
        }
    }

    /// Puts a slave on the line. Two of one address collide, as they would.
    pub fn fit(&mut self, slave: Slave) {
        self.fitted.push(Fitted { slave, speed: self.speed, busy_until: Duration::ZERO });
    }

    /// Puts a slave of another speed on the line.
    pub fn fit_at(&mut self, speed: LineSpeed, slave: Slave) {
        self.fitted.push(Fitted { slave, speed, busy_until: Duration::ZERO });
    }

    /// The master talks at `speed`: the slaves of that speed hear it, if there are any.
    pub(crate) fn tune(&mut self, speed: LineSpeed) {
        if speed != self.speed && self.fitted.iter().any(|fitted| fitted.speed == speed) {
            self.speed = speed;
            self.receiver = Receiver::new(speed);
        }
    }

    /// The speed at which the slaves talk that the master last reached.
    #[must_use]
    pub fn speed(&self) -> LineSpeed {
        self.speed
    }

    /// All slaves in the order in which they were fitted.
    pub fn slaves(&self) -> impl Iterator<Item = &Slave> {
        self.fitted.iter().map(|fitted| &fitted.slave)
    }

    /// All slaves, to give them faults.
    pub fn slaves_mut(&mut self) -> impl Iterator<Item = &mut Slave> {
        self.fitted.iter_mut().map(|fitted| &mut fitted.slave)
    }

    /// The first slave at a primary address.
    #[must_use]
    pub fn slave(&self, address: u8) -> Option<&Slave> {
        self.slaves().find(|slave| slave.address() == address)
    }

    /// The first slave at a primary address, to give it faults.
    pub fn slave_mut(&mut self, address: u8) -> Option<&mut Slave> {
        self.slaves_mut().find(|slave| slave.address() == address)
    }

    /// Why the slaves last threw a master's bytes away.
    #[must_use]
    pub fn last_refused(&self) -> Option<Refused> {
        self.last_refused
    }

    /// All slaves hear the byte that ended at `at`.
    pub(crate) fn hear(&mut self, byte: u8, at: Duration) -> Reaction {
        let frame = match self.receiver.push(byte, at) {
            None => return Reaction::default(),
            Some(Err(reason)) => {
                self.last_refused = Some(reason);
                return Reaction { refused: true, ..Reaction::default() };
            }
            Some(Ok(frame)) => frame,
        };
        let unix_s = self.calendar.unix_s(at);
        let speed = self.speed;
        let answers = self.fitted.iter_mut().filter(|fitted| fitted.busy_until <= at && fitted.speed == speed);
        let answers = answers.filter_map(|fitted| {
            let bytes = fitted.slave.answer(&frame, unix_s);
            fitted.speed = fitted.slave.take_new_speed().unwrap_or(fitted.speed);
            let bytes = bytes?;
            let late = Duration::from_millis(fitted.slave.faults.late_ms.into());
            let begin = at + speed.bits(fitted.slave.response_bits.into()) + late;
            fitted.busy_until = begin + speed.bytes(bytes.len());
            Some(Transmission { begin, bytes })
        });
        Reaction { frame_ended: true, refused: false, answers: answers.collect() }
    }
}
