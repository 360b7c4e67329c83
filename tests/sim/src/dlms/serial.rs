//! The meter's serial line, with true timing: ten bit times a byte (start, eight bits, stop; or seven bits
//! and parity), in either direction.

use super::link::{Hdlc, Sent, unnumbered};
use super::opening::{Opening, OpeningForm, Spoken};
use super::server::Shared;
use crate::LineSpeed;
use crate::serve::{Wire, lock};
use std::collections::VecDeque;
use std::time::Duration;

/// Bits of a byte on the line.
pub(super) const BITS_PER_BYTE: u64 = 10;
/// Bytes of a client that the line still has to carry, at most; more are lost.
const CLIENT_BACKLOG_BYTES_MAX: usize = 8192;

/// How a meter's serial line is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SerialLine {
    /// The speed of HDLC.
    pub speed: LineSpeed,
    /// How long the meter takes to begin its answer.
    pub response: Duration,
    /// Clients have to open the line (IEC 62056-21, modes C and E) before HDLC is spoken on it.
    pub opening: Option<OpeningForm>,
}

impl Default for SerialLine {
    /// HDLC at 9600 baud from the first byte on.
    fn default() -> Self {
        Self { speed: LineSpeed(9600), response: Duration::from_millis(5), opening: None }
    }
}

/// A byte on its way: when its stop bit is over, and the speed of its bits.
#[derive(Debug, Clone, Copy)]
struct UnderWay {
    end: Duration,
    byte: u8,
    speed: LineSpeed,
}

/// A meter behind a serial line, without I/O and without a clock.
#[derive(Debug)]
pub(super) struct SerialWire {
    shared: Shared,
    hdlc: Hdlc,
    opening: Option<Opening>,
    line: SerialLine,
    client_speed: LineSpeed,
    /// When the client's last byte is over, and the meter's.
    client_until: Duration,
    meter_until: Duration,
    coming: VecDeque<UnderWay>,
    going: VecDeque<UnderWay>,
}

impl SerialWire {
    pub(super) fn new(shared: Shared, line: SerialLine) -> Self {
        Self {
            shared,
            hdlc: Hdlc::default(),
            opening: line.opening.map(|form| Opening::new(form, line.speed)),
            line,
            client_speed: line.speed,
            client_until: Duration::ZERO,
            meter_until: Duration::ZERO,
            coming: VecDeque::new(),
            going: VecDeque::new(),
        }
    }

    fn hear(&mut self, heard: UnderWay) {
        let UnderWay { end, byte, speed } = heard;
        if let Some(opening) = &mut self.opening {
            opening.hears_hdlc(speed, self.hdlc.is_connected(), end);
            let byte = if speed == opening.listens_at() { byte } else { rubbish(byte) };
            if !opening.is_through() {
                let reaction = opening.form.reaction;
                let spoken = opening.hear(&lock(&self.shared.meter), byte, end);
                if let Some(Spoken { text, speed }) = spoken
                    && !lock(&self.shared.meter).config.faults.silent
                {
                    self.say(end + reaction, &text, speed);
                }
                return;
            }
        }
        let speaks = self.opening.as_ref().map_or(self.line.speed, Opening::listens_at);
        let byte = if speed == speaks { byte } else { rubbish(byte) };
        let sent = {
            let mut meter = lock(&self.shared.meter);
            let sent = self.hdlc.hear(&mut meter, &[byte], end);
            self.shared.wake_pusher(&meter);
            sent
        };
        let mut begin = end + self.line.response;
        for Sent { pause, bytes, .. } in sent {
            begin = begin.max(self.meter_until) + pause;
            self.say(begin, &bytes, speaks);
        }
    }

    /// Sends a notification that nobody asked for, at HDLC's speed.
    pub(super) fn push(&mut self, notification: &[u8], now: Duration) {
        let frames = unnumbered(&lock(&self.shared.meter).config, notification);
        frames.iter().for_each(|frame| self.say(now, frame, self.line.speed));
    }

    fn say(&mut self, begin: Duration, bytes: &[u8], speed: LineSpeed) {
        let mut end = begin.max(self.meter_until);
        for byte in bytes {
            end += speed.bits(BITS_PER_BYTE);
            self.going.push_back(UnderWay { end, byte: *byte, speed });
        }
        self.meter_until = end;
    }
}

impl Wire for SerialWire {
    fn set_master_speed(&mut self, speed: LineSpeed) {
        self.client_speed = speed;
    }

    fn master_sends(&mut self, bytes: &[u8], now: Duration) {
        let mut end = self.client_until.max(now);
        let speed = self.client_speed;
        for byte in bytes.iter().take(CLIENT_BACKLOG_BYTES_MAX.saturating_sub(self.coming.len())) {
            end += speed.bits(BITS_PER_BYTE);
            self.coming.push_back(UnderWay { end, byte: *byte, speed });
        }
        self.client_until = end;
    }

    fn next_deadline(&self) -> Option<Duration> {
        [self.coming.front(), self.going.front()].into_iter().flatten().map(|under_way| under_way.end).min()
    }

    fn take_due(&mut self, now: Duration) -> Vec<u8> {
        while let Some(heard) = pop_due(&mut self.coming, now) {
            self.hear(heard);
        }
        let mut due = Vec::new();
        while let Some(UnderWay { byte, speed, .. }) = pop_due(&mut self.going, now) {
            due.push(if speed == self.client_speed { byte } else { rubbish(byte) });
        }
        due
    }

    fn lose(&mut self, _: usize) {}
}

fn pop_due(queue: &mut VecDeque<UnderWay>, now: Duration) -> Option<UnderWay> {
    if queue.front().is_some_and(|first| first.end <= now) { queue.pop_front() } else { None }
}

/// What another speed makes of a byte.
fn rubbish(byte: u8) -> u8 {
    byte.rotate_left(3) ^ 0x5A
}
