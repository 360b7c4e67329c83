//! Bits on the wire: start (space), eight data bits, even parity, stop (mark).
//!
//! A slave sends a space by drawing more current, so the space of any slave
//! wins: the line is the AND of all senders. A receiver at another speed than
//! the sender's samples the same waveform at its own instants.

use crate::LineSpeed;
use std::time::Duration;

/// Bits of one byte on the wire, with start, parity and stop.
pub(crate) const BITS_PER_BYTE: u64 = 11;

/// Steps a bit in which a receiver looks for the edge of a start bit.
const EDGE_STEPS_PER_BIT: u64 = 16;

/// Levels of the line, one a bit time; `true` is mark, the idle level.
#[derive(Debug, Default)]
pub(crate) struct Waveform(Vec<bool>);

/// A byte as a receiver sampled it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sampled {
    pub(crate) byte: u8,
    /// When its stop bit ended, from the start of the waveform.
    pub(crate) end: Duration,
}

impl Waveform {
    /// Adds a sender that begins `offset_bits` after the start.
    pub(crate) fn overlay(&mut self, offset_bits: usize, bytes: &[u8]) {
        let sent: Vec<bool> = bytes.iter().flat_map(|&byte| bits_of(byte)).collect();
        let length = self.0.len().max(offset_bits + sent.len());
        self.0.resize(length, true);
        for (level, bit) in self.0.iter_mut().skip(offset_bits).zip(sent) {
            *level &= bit;
        }
    }

    /// What a receiver set to `heard_at` makes of bits sent at `sent_at`.
    pub(crate) fn sample(&self, sent_at: LineSpeed, heard_at: LineSpeed) -> Vec<Sampled> {
        let wire = Sampler { levels: &self.0, sent_at, heard_at };
        let end = wire.steps();
        let mut sampled = Vec::new();
        let mut step = 0;
        while step < end {
            if wire.level(step) {
                step += 1;
                continue;
            }
            let middle = step + EDGE_STEPS_PER_BIT / 2;
            let byte = (0..8u8).fold(0u8, |byte, bit| {
                let at = middle + EDGE_STEPS_PER_BIT * (u64::from(bit) + 1);
                byte | (u8::from(wire.level(at)) << bit)
            });
            let end_step = step + EDGE_STEPS_PER_BIT * BITS_PER_BYTE;
            sampled.push(Sampled { byte, end: wire.instant(end_step) });
            // Without a stop bit (framing error) the line must rise again
            // before a start bit can be told.
            step = middle + EDGE_STEPS_PER_BIT * (BITS_PER_BYTE - 1);
            while step < end && !wire.level(step) {
                step += 1;
            }
        }
        sampled
    }
}

/// A receiver's view of the wire, in sixteenths of the receiver's bit time.
struct Sampler<'a> {
    levels: &'a [bool],
    sent_at: LineSpeed,
    heard_at: LineSpeed,
}

impl Sampler<'_> {
    fn steps(&self) -> u64 {
        let bits = u64::try_from(self.levels.len()).unwrap_or(u64::MAX);
        bits.saturating_mul(self.steps_a_second()).div_ceil(self.sent())
    }

    fn level(&self, step: u64) -> bool {
        let bit = step.saturating_mul(self.sent()) / self.steps_a_second();
        usize::try_from(bit).ok().and_then(|bit| self.levels.get(bit).copied()).unwrap_or(true)
    }

    fn instant(&self, step: u64) -> Duration {
        Duration::from_nanos(step.saturating_mul(1_000_000_000) / self.steps_a_second())
    }

    fn sent(&self) -> u64 {
        u64::from(self.sent_at.0.max(1))
    }

    fn steps_a_second(&self) -> u64 {
        u64::from(self.heard_at.0.max(1)) * EDGE_STEPS_PER_BIT
    }
}

fn bits_of(byte: u8) -> [bool; 11] {
    let bit = |place: u8| byte >> place & 1 == 1;
    let odd = byte.count_ones() % 2 == 1;
    [false, bit(0), bit(1), bit(2), bit(3), bit(4), bit(5), bit(6), bit(7), odd, true]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(parts: &[(usize, &[u8])], sent_at: u32, heard_at: u32) -> Vec<u8> {
        let mut wire = Waveform::default();
        for (offset, bytes) in parts {
            wire.overlay(*offset, bytes);
        }
        wire.sample(LineSpeed(sent_at), LineSpeed(heard_at)).iter().map(|s| s.byte).collect()
    }

    #[test]
    fn equal_speeds_carry_every_byte_and_its_time() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(heard(&[(0, &all)], 2400, 2400), all);
        let mut wire = Waveform::default();
        wire.overlay(0, &[0x10, 0xE5]);
        let sampled = wire.sample(LineSpeed(2400), LineSpeed(2400));
        assert_eq!(sampled[1].end, LineSpeed(2400).bits(22));
    }

    #[test]
    fn aligned_senders_merge_to_the_and_of_their_bits() {
        assert_eq!(heard(&[(0, &[0xE5]), (0, &[0xE5])], 2400, 2400), [0xE5]);
        assert_eq!(heard(&[(0, &[0x68, 0x3C]), (0, &[0x5A, 0xF1])], 2400, 2400), [0x48, 0x30]);
    }

    #[test]
    fn shifted_senders_garble_each_other() {
        let merged = heard(&[(0, &[0xE5]), (3, &[0xE5])], 2400, 2400);
        assert_ne!(merged, [0xE5]);
        assert_ne!(merged, [0xE5, 0xE5]);
    }

    #[test]
    fn a_wrong_speed_garbles() {
        let request = [0x10, 0x7B, 0x01, 0x7C, 0x16];
        assert_ne!(heard(&[(0, &request)], 2400, 9600), request);
        assert_ne!(heard(&[(0, &request)], 9600, 2400), request);
        // Two per cent off is within what a start-stop receiver bears.
        assert_eq!(heard(&[(0, &request)], 2400, 2448), request);
    }
}
