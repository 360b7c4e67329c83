//! Simulated Modbus meters, over TCP and on serial lines (RTU).
//!
//! Each unit is an Eastron SDM630 whose registers grow. Frames are made by hand here, as everywhere in this crate.
//!
//! # Not true to life
//! - A frame on the serial line ends [`FRAME_GAP`] after its last byte, whatever the line's speed.
//! - Only functions 03, 04 and 43/14 are known; there are no coils, and nothing can be written.

mod meter;
mod options;
mod server;

use serde::{Deserialize, Serialize};
use std::time::Duration;

pub use meter::Sdm630;
pub use options::ModbusOptions;
pub use server::ModbusServer;

/// When a frame on a serial line is over.
pub const FRAME_GAP: Duration = Duration::from_millis(4);

/// What goes wrong at a unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// It never answers.
    pub silent: bool,
    /// It takes so long to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_ms: Option<u32>,
    /// Only its first answers are late, so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_count: Option<u32>,
    /// It answers with this exception.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<u8>,
    /// Its check sums are wrong; over TCP it sends half a frame.
    pub bad_crc: bool,
    /// It answers as the next unit.
    pub wrong_unit: bool,
}

/// A meter at its number.
#[derive(Debug, Clone)]
pub struct Unit {
    /// 1 to 247.
    pub number: u8,
    /// What goes wrong.
    pub faults: Faults,
    /// The meter.
    pub meter: Sdm630,
    /// Questions that it has heard.
    pub asked: u32,
}

/// What a unit sends, and when.
pub(crate) struct Sent {
    pub(crate) pause: Duration,
    pub(crate) unit: u8,
    pub(crate) pdu: Vec<u8>,
    pub(crate) broken: bool,
}

impl Unit {
    /// A unit without faults.
    #[must_use]
    pub fn new(number: u8) -> Self {
        let meter = Sdm630 { serial: 21_000_000 + u32::from(number) };
        Self { number, faults: Faults::default(), meter, asked: 0 }
    }

    /// What it answers to a question.
    pub(crate) fn answer(&mut self, pdu: &[u8], at: Duration) -> Option<Sent> {
        self.asked += 1;
        if self.faults.silent {
            return None;
        }
        let is_late = self.faults.late_count.is_none_or(|count| self.asked <= count);
        let late_ms = self.faults.late_ms.filter(|_| is_late).unwrap_or(0);
        let pdu = match (self.faults.exception, pdu) {
            (Some(code), [function, ..]) => vec![function | 0x80, code],
            _ => self.meter.answer(pdu, at),
        };
        Some(Sent {
            pause: Duration::from_millis(late_ms.into()),
            unit: self.number.wrapping_add(u8::from(self.faults.wrong_unit)),
            pdu,
            broken: self.faults.bad_crc,
        })
    }
}

/// The check sum of RTU frames: CRC-16 with the polynomial 0xA001, low byte first.
pub(crate) fn crc(bytes: &[u8]) -> [u8; 2] {
    let mut sum = 0xFFFFu16;
    for byte in bytes {
        sum ^= u16::from(*byte);
        for _ in 0..8 {
            let carry = sum & 1;
            sum >>= 1;
            if carry == 1 {
                sum ^= 0xA001;
            }
        }
    }
    sum.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_sum_of_a_known_frame() {
        // Modbus over Serial Line V1.02, §6.2.2: 02 07 has 41 12.
        assert_eq!(crc(&[0x02, 0x07]), [0x41, 0x12]);
    }
}
