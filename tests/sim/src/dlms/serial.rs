//! The meter's serial line, with true timing: ten bit times a byte (start, eight bits, stop; or seven bits
//! and parity), in either direction.

use super::link::{Hdlc, Sent};
use super::meter::Meter;
use crate::LineSpeed;
use crate::serve::{Wire, lock};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const BITS_PER_BYTE: u64 = 10;
/// Bytes of a client that the line still has to carry, at most; more are lost.
const CLIENT_BACKLOG_BYTES_MAX: usize = 8192;

/// How a meter's serial line is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SerialLine {
    /// The speed of HDLC.
    pub speed: LineSpeed,
    /// How long the meter takes to begin its answer.
    pub response: Duration,
}

impl Default for SerialLine {
    fn default() -> Self {
        Self { speed: LineSpeed(9600), response: Duration::from_millis(5) }
    }
}

/// A meter behind a serial line, without I/O and without a clock.
#[derive(Debug)]
pub(super) struct SerialWire {
    meter: Arc<Mutex<Meter>>,
    hdlc: Hdlc,
    line: SerialLine,
    client_speed: LineSpeed,
    /// When the client's last byte is over, and the meter's.
    client_until: Duration,
    meter_until: Duration,
    coming: VecDeque<(Duration, u8)>,
    going: VecDeque<(Duration, u8)>,
}

impl SerialWire {
    pub(super) fn new(meter: Arc<Mutex<Meter>>, line: SerialLine) -> Self {
        Self {
            meter,
            hdlc: Hdlc::default(),
            line,
            client_speed: line.speed,
            client_until: Duration::ZERO,
            meter_until: Duration::ZERO,
            coming: VecDeque::new(),
            going: VecDeque::new(),
        }
    }

    fn hear(&mut self, byte: u8, at: Duration) {
        let byte = if self.client_speed == self.line.speed { byte } else { rubbish(byte) };
        let sent = self.hdlc.hear(&mut lock(&self.meter), &[byte], at);
        let mut begin = self.meter_until.max(at + self.line.response);
        for Sent { pause, bytes, .. } in sent {
            begin += pause;
            for byte in bytes {
                begin += self.line.speed.bits(BITS_PER_BYTE);
                self.going.push_back((begin, byte));
            }
            self.meter_until = begin;
        }
    }
}

impl Wire for SerialWire {
    fn set_master_speed(&mut self, speed: LineSpeed) {
        self.client_speed = speed;
    }

    fn master_sends(&mut self, bytes: &[u8], now: Duration) {
        let mut until = self.client_until.max(now);
        for byte in bytes.iter().take(CLIENT_BACKLOG_BYTES_MAX.saturating_sub(self.coming.len())) {
            until += self.client_speed.bits(BITS_PER_BYTE);
            self.coming.push_back((until, *byte));
        }
        self.client_until = until;
    }

    fn next_deadline(&self) -> Option<Duration> {
        [self.coming.front(), self.going.front()].into_iter().flatten().map(|(at, _)| *at).min()
    }

    fn take_due(&mut self, now: Duration) -> Vec<u8> {
        while let Some((at, byte)) = pop_due(&mut self.coming, now) {
            self.hear(byte, at);
        }
        let same_speed = self.client_speed == self.line.speed;
        let mut due = Vec::new();
        while let Some((_, byte)) = pop_due(&mut self.going, now) {
            due.push(if same_speed { byte } else { rubbish(byte) });
        }
        due
    }

    fn lose(&mut self, _: usize) {}
}

fn pop_due(queue: &mut VecDeque<(Duration, u8)>, now: Duration) -> Option<(Duration, u8)> {
    if queue.front().is_some_and(|(at, _)| *at <= now) { queue.pop_front() } else { None }
}

/// What another speed makes of a byte.
fn rubbish(byte: u8) -> u8 {
    byte.rotate_left(3) ^ 0x5A
}
