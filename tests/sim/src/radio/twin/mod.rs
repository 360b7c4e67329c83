//! Receivers as a serial port shows them.

mod amber;
mod cul;
mod im871a;
mod rc1180;
mod rtl_wmbus;

use super::air::Radiated;
use crate::LineSpeed;
use std::collections::VecDeque;
use std::time::Duration;

/// Pieces of messages that wait to go out; more are lost, as in a device whose buffer is full.
const OUTGOING_COUNT_MAX: usize = 4096;

/// A make of receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Make {
    /// IMST iM871A.
    Im871a,
    /// Amber AMB8465, as its factory delivers it: command output and signal strength off.
    Amb8465,
    /// CUL with a culfw that knows the modes S, T and C.
    Cul,
    /// Radiocrafts RC1180-MBUS3, as its factory delivers it: signal strength off.
    Rc1180,
    /// The program rtl_wmbus, which hears everything and nobody.
    RtlWmbus,
}

/// What is wrong with a receiver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TwinFaults {
    /// It does nothing at all.
    pub dead: bool,
    /// It answers, and its radio hears nothing until it is reset; or, where there is no reset, until
    /// it is told to receive again.
    pub deaf_until_reset: bool,
    /// These bytes come before each message.
    pub garbage_before: Vec<u8>,
    /// Bytes come one by one, so far apart.
    pub split_ms: Option<u16>,
    /// Every so manieth telegram is damaged on its way to the host: a wrong checksum where there is
    /// one, else a byte or digit missing. 0: none.
    pub damage_every: u32,
    /// So many of the next answers are lost.
    pub answers_lost: u32,
    /// It says no to settings, or, where its protocol knows no no, does not keep them.
    pub refuses_settings: bool,
    /// Answers come so late.
    pub late_ms: u16,
}

/// What went on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TwinCounters {
    /// Messages to the host that answer a command.
    pub answers: u64,
    /// Telegrams handed to the host.
    pub telegrams: u64,
    /// Telegrams that its radio was not set to hear.
    pub missed: u64,
    /// Resets by command, or beginnings to receive where there is no reset.
    pub resets: u64,
    /// Bytes written to flash.
    pub flash_writes: u64,
    /// Messages lost because nobody took them.
    pub overruns: u64,
}

/// What a device does on a byte of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reaction {
    /// It answers.
    Say(Vec<u8>),
    /// It restarts, and is deaf and dumb for a while.
    Restart(Duration),
    /// Its radio begins anew.
    Retune,
    /// It wrote so many bytes to flash.
    Flash(u64),
}

/// One make's protocol.
trait Device: std::fmt::Debug + Send {
    /// The speed of its port; `None` where speed has no meaning.
    fn speed(&self) -> Option<LineSpeed>;
    /// The host sent a byte.
    fn hear(&mut self, byte: u8, now: Duration, refuses: bool) -> Vec<Reaction>;
    /// A telegram as it hands it to the host; `None` when it is not set to hear it.
    fn receive(&mut self, sent: &Radiated, now: Duration, damaged: bool) -> Option<Vec<u8>>;
    /// Its supply was switched off and on.
    fn restart(&mut self);
}

/// A receiver on a serial port.
///
/// Times count from any origin, and never run back. Give it the host's bytes with
/// [`Twin::host_sends`], what is on the air with [`Twin::radiate`]; ask [`Twin::next_deadline`] when it
/// has bytes for the host, and take them with [`Twin::take_due`].
#[derive(Debug)]
pub struct Twin {
    /// What is wrong with it.
    pub faults: TwinFaults,
    make: Make,
    device: Box<dyn Device>,
    counters: TwinCounters,
    away_until: Duration,
    outgoing: VecDeque<(Duration, Vec<u8>)>,
}

impl Twin {
    /// A receiver as its factory delivers it.
    #[must_use]
    pub fn new(make: Make) -> Self {
        let device: Box<dyn Device> = match make {
            Make::Im871a => Box::new(im871a::Im871a::default()),
            Make::Amb8465 => Box::new(amber::Amber::default()),
            Make::Cul => Box::new(cul::Cul::default()),
            Make::Rc1180 => Box::new(rc1180::Rc1180::default()),
            Make::RtlWmbus => Box::new(rtl_wmbus::RtlWmbus),
        };
        Self {
            faults: TwinFaults::default(),
            make,
            device,
            counters: TwinCounters::default(),
            away_until: Duration::ZERO,
            outgoing: VecDeque::new(),
        }
    }

    /// Its make.
    #[must_use]
    pub fn make(&self) -> Make {
        self.make
    }

    /// The speed of its port; `None` where speed has no meaning.
    #[must_use]
    pub fn speed(&self) -> Option<LineSpeed> {
        self.device.speed()
    }

    /// What went on.
    #[must_use]
    pub fn counters(&self) -> TwinCounters {
        self.counters
    }

    /// Switches its supply off and on: volatile settings are gone, and so is what made it dead or deaf.
    pub fn power_cycle(&mut self) {
        self.device.restart();
        self.outgoing.clear();
        (self.faults.dead, self.faults.deaf_until_reset) = (false, false);
    }

    /// The host writes bytes.
    pub fn host_sends(&mut self, bytes: &[u8], now: Duration) {
        if self.faults.dead {
            return;
        }
        for byte in bytes {
            if now < self.away_until {
                continue;
            }
            for reaction in self.device.hear(*byte, now, self.faults.refuses_settings) {
                match reaction {
                    Reaction::Say(answer) => self.answer(answer, now),
                    Reaction::Flash(bytes) => self.counters.flash_writes += bytes,
                    Reaction::Retune => self.retuned(),
                    Reaction::Restart(away) => {
                        self.away_until = now + away;
                        self.device.restart();
                        self.retuned();
                    }
                }
            }
        }
    }

    fn retuned(&mut self) {
        self.counters.resets += 1;
        self.faults.deaf_until_reset = false;
    }

    fn answer(&mut self, answer: Vec<u8>, now: Duration) {
        if self.faults.answers_lost > 0 {
            self.faults.answers_lost -= 1;
            return;
        }
        self.counters.answers += 1;
        self.say(answer, now + Duration::from_millis(2 + u64::from(self.faults.late_ms)));
    }

    /// A telegram is on the air.
    pub fn radiate(&mut self, sent: &Radiated, now: Duration) {
        if self.faults.dead || self.faults.deaf_until_reset || now < self.away_until {
            self.counters.missed += 1;
            return;
        }
        let nth = self.counters.telegrams + 1;
        let damaged = self.faults.damage_every > 0 && nth.is_multiple_of(self.faults.damage_every.into());
        match self.device.receive(sent, now, damaged) {
            None => self.counters.missed += 1,
            Some(message) => {
                self.counters.telegrams = nth;
                self.say(message, now);
            }
        }
    }

    /// Puts a message behind those that wait.
    fn say(&mut self, message: Vec<u8>, at: Duration) {
        let whole = [self.faults.garbage_before.clone(), message].concat();
        let mut at = self.outgoing.back().map_or(at, |(last, _)| at.max(*last));
        let pieces: Vec<Vec<u8>> = match self.faults.split_ms {
            None => vec![whole],
            Some(_) => whole.into_iter().map(|byte| vec![byte]).collect(),
        };
        if self.outgoing.len() + pieces.len() > OUTGOING_COUNT_MAX * if self.faults.split_ms.is_some() { 64 } else { 1 }
        {
            self.counters.overruns += 1;
            return;
        }
        for piece in pieces {
            self.outgoing.push_back((at, piece));
            at += Duration::from_millis(self.faults.split_ms.unwrap_or(0).into());
        }
    }

    /// When it has bytes for the host.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.outgoing.front().map(|(at, _)| *at)
    }

    /// The bytes that it has sent by `now` and that were not yet taken.
    pub fn take_due(&mut self, now: Duration) -> Vec<u8> {
        let mut due = Vec::new();
        while self.next_deadline().is_some_and(|at| at <= now) {
            due.extend(self.outgoing.pop_front().into_iter().flat_map(|(_, piece)| piece));
        }
        due
    }
}

/// The signal as a CC1101 tells it: half decibels over -74 dBm, in two's complement.
fn cc1101_rssi(dbm: i16) -> u8 {
    let half = (dbm + 74).saturating_mul(2).clamp(-128, 127);
    half.to_le_bytes()[0]
}
