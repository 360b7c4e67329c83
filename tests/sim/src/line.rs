//! The wire: when each byte is where, without I/O and without a clock.

use crate::LineSpeed;
use crate::bus::Bus;
use crate::uart::{Sampled, Waveform};
use std::time::Duration;

/// Bytes of a master that the wire still has to carry, at most; more are lost.
const MASTER_BACKLOG_BYTES_MAX: usize = 8192;
/// When a disturbance begins, after the master's last bit.
const NOISE_AFTER_BITS: u64 = 24;

/// A slave's (or an echo's) bytes, sent one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmission {
    /// When the first start bit begins.
    pub begin: Duration,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What went over a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes that the master sent.
    pub master_bytes: u64,
    /// Bytes that were handed to the master.
    pub reply_bytes: u64,
    /// Whole frames that the slaves heard.
    pub frames_heard: u64,
    /// Broken frames and noise that the slaves heard.
    pub frames_refused: u64,
    /// Answers of slaves.
    pub answers: u64,
    /// Answers that overlapped another sender.
    pub collisions: u64,
    /// Writes of the master at another speed than the line's.
    pub speed_mismatches: u64,
    /// Bytes lost because the master wrote, or failed to read, too much.
    pub lost_bytes: u64,
}

/// A bus behind a wire of a given speed.
///
/// Times count from the line's own begin. Give it the master's bytes with
/// [`Line::master_sends`], ask [`Line::next_deadline`] when there is something
/// to hand over, and take it with [`Line::take_due`].
#[derive(Debug)]
pub struct Line {
    /// The slaves.
    pub bus: Bus,
    counters: Counters,
    master_speed: LineSpeed,
    /// When the last byte of the master leaves the wire.
    master_until: Duration,
    /// Writes of the master so far.
    writes: u32,
    on_air: Vec<Overlap>,
}

/// Transmissions that overlap in time, and what the master hears of them.
#[derive(Debug)]
struct Overlap {
    parts: Vec<Transmission>,
    begin: Duration,
    end: Duration,
    heard: Vec<Sampled>,
    handed_over: usize,
}

impl Line {
    /// Puts a bus behind a wire.
    #[must_use]
    pub fn new(bus: Bus) -> Self {
        let master_speed = bus.speed();
        Self {
            bus,
            counters: Counters::default(),
            master_speed,
            master_until: Duration::ZERO,
            writes: 0,
            on_air: Vec::new(),
        }
    }

    /// What went over the line.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The master set its own port to this speed.
    pub fn set_master_speed(&mut self, speed: LineSpeed) {
        if speed != self.master_speed {
            self.master_speed = speed;
            let sent_at = self.bus.speed();
            self.on_air.iter_mut().for_each(|overlap| overlap.sample(sent_at, speed));
        }
    }

    /// The master writes bytes at `now`; the wire carries them one by one
    /// after those that it still has.
    pub fn master_sends(&mut self, bytes: &[u8], now: Duration) {
        let begin = self.master_until.max(now);
        let backlog = MASTER_BACKLOG_BYTES_MAX.min(bytes.len());
        let full = begin.saturating_sub(now) > self.master_speed.bytes(MASTER_BACKLOG_BYTES_MAX);
        let carried = if full { &[] } else { bytes.get(..backlog).unwrap_or_default() };
        self.counters.lost_bytes += count(bytes.len() - carried.len());
        self.counters.master_bytes += count(carried.len());
        if carried.is_empty() {
            return;
        }
        self.master_until = begin + self.master_speed.bytes(carried.len());
        self.bus.tune(self.master_speed);
        self.disturb_answer();
        if self.bus.reversed {
            let inverted = carried.iter().map(|byte| !byte).collect();
            return self.add(Transmission { begin, bytes: inverted });
        }
        let mut wire = Waveform::default();
        wire.overlay(0, carried);
        self.counters.speed_mismatches += u64::from(self.master_speed != self.bus.speed());
        if self.bus.echo {
            self.add(Transmission { begin, bytes: carried.to_vec() });
        }
        for Sampled { byte, end } in wire.sample(self.master_speed, self.bus.speed()) {
            let reaction = self.bus.hear(byte, begin + end);
            self.counters.frames_heard += u64::from(reaction.frame_ended);
            self.counters.frames_refused += u64::from(reaction.refused);
            for answer in reaction.answers {
                self.counters.answers += 1;
                self.add(answer);
            }
        }
    }

    /// When the next byte for the master is whole.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.on_air.iter().filter_map(Overlap::next).min()
    }

    /// The bytes that the master has heard by `now` and was not yet given.
    pub fn take_due(&mut self, now: Duration) -> Vec<u8> {
        let mut due = Vec::new();
        for overlap in &mut self.on_air {
            while overlap.next().is_some_and(|end| end <= now) {
                due.extend(overlap.heard.get(overlap.handed_over).map(|sampled| sampled.byte));
                overlap.handed_over += 1;
            }
        }
        self.on_air.retain(|overlap| overlap.next().is_some() || overlap.end > now);
        self.counters.reply_bytes += count(due.len());
        due
    }

    /// Somebody else's bytes on the wire from `begin` on: noise that nobody
    /// asked for. It collides with whatever is sent meanwhile.
    pub fn disturb(&mut self, bytes: &[u8], begin: Duration) {
        if !bytes.is_empty() {
            self.add(Transmission { begin, bytes: bytes.to_vec() });
        }
    }

    fn disturb_answer(&mut self) {
        self.writes = self.writes.wrapping_add(1);
        if let Some(noise) = self.bus.noise
            && self.writes.is_multiple_of(noise.every)
        {
            let begin = self.master_until + self.bus.speed().bits(NOISE_AFTER_BITS);
            self.add(Transmission { begin, bytes: vec![noise.byte] });
        }
    }

    /// Forgets everything on the wire: the port was unplugged.
    pub fn cut(&mut self) {
        self.on_air.clear();
        self.master_until = Duration::ZERO;
    }

    /// Counts bytes that the master's side had no room for.
    pub(crate) fn lose(&mut self, bytes: usize) {
        self.counters.lost_bytes += count(bytes);
    }

    fn add(&mut self, transmission: Transmission) {
        let sent_at = self.bus.speed();
        let mut new = Overlap::new(transmission, sent_at);
        let (joined, apart): (Vec<Overlap>, Vec<Overlap>) =
            self.on_air.drain(..).partition(|old| old.begin < new.end && new.begin < old.end);
        self.counters.collisions += u64::from(!joined.is_empty());
        for old in joined {
            new.begin = new.begin.min(old.begin);
            new.end = new.end.max(old.end);
            new.handed_over += old.handed_over;
            new.parts.extend(old.parts);
        }
        new.sample(sent_at, self.master_speed);
        self.on_air = apart;
        self.on_air.push(new);
        self.on_air.sort_by_key(|overlap| overlap.begin);
    }
}

impl Overlap {
    fn new(transmission: Transmission, sent_at: LineSpeed) -> Self {
        let begin = transmission.begin;
        let end = begin + sent_at.bytes(transmission.bytes.len());
        Self { parts: vec![transmission], begin, end, heard: Vec::new(), handed_over: 0 }
    }

    fn next(&self) -> Option<Duration> {
        self.heard.get(self.handed_over).map(|sampled| self.begin + sampled.end)
    }

    fn sample(&mut self, sent_at: LineSpeed, heard_at: LineSpeed) {
        let mut wire = Waveform::default();
        for part in &self.parts {
            wire.overlay(bits_between(self.begin, part.begin, sent_at), &part.bytes);
        }
        self.heard = wire.sample(sent_at, heard_at);
    }
}

/// Whole bit times from one instant to a later one, to the nearest.
fn bits_between(from: Duration, to: Duration, speed: LineSpeed) -> usize {
    let half_bits = to.saturating_sub(from).as_nanos() * u128::from(speed.0) * 2 / 1_000_000_000;
    usize::try_from(half_bits.div_ceil(2)).unwrap_or_default()
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
