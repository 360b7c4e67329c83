//! An Eastron SDM630: two tables of registers.

use std::time::Duration;

/// The last input register, and what lies beyond is refused.
const INPUT_END: u32 = 0x0180;
/// The serial number, a holding register.
const SERIAL: u16 = 0xFC00;
/// Exceptions.
const ILLEGAL_FUNCTION: u8 = 1;
const ILLEGAL_ADDRESS: u8 = 2;
const ILLEGAL_VALUE: u8 = 3;
/// The most registers of one question.
const WORDS_MAX: u16 = 125;

/// A meter whose load stays, and whose energy grows with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sdm630 {
    /// The number on it.
    pub serial: u32,
}

impl Sdm630 {
    /// A value as the meter shows it, by its input register, after so long.
    #[must_use]
    pub fn value(&self, address: u16, at: Duration) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "the meter's own resolution")]
        let watt_hours = at.as_secs() as f32 * 1.5;
        match address {
            0x00 => 230.2,
            0x02 => 229.8,
            0x04 => 231.1,
            0x06 | 0x08 | 0x0A => 7.8,
            0x34 => 5400.0,
            0x3E => 1.0,
            0x46 => 50.0,
            0x48 => 1234.5 + watt_hours / 1000.0,
            0x4A => 17.25,
            0x4C => 3.5,
            _ => 0.0,
        }
    }

    pub(super) fn answer(&self, pdu: &[u8], at: Duration) -> Vec<u8> {
        match *pdu {
            [function @ (3 | 4), a, b, c, d] => {
                let (address, words) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                if !(1..=WORDS_MAX).contains(&words) {
                    return vec![function | 0x80, ILLEGAL_VALUE];
                }
                let read: Option<Vec<u16>> = (0..words)
                    .map(|nth| {
                        let address = address.checked_add(nth)?;
                        if function == 4 { self.input(address, at) } else { self.holding(address) }
                    })
                    .collect();
                let Some(read) = read else { return vec![function | 0x80, ILLEGAL_ADDRESS] };
                let mut answer = vec![function, u8::try_from(2 * words).unwrap_or(u8::MAX)];
                answer.extend(read.iter().flat_map(|word| word.to_be_bytes()));
                answer
            }
            [0x2B, 0x0E, code, _] => {
                let mut answer = vec![0x2B, 0x0E, code, 0x01, 0x00, 0x00, 0x03];
                for (id, text) in (0u8..).zip(["Eastron", "SDM630", "1.0"]) {
                    answer.extend([id, u8::try_from(text.len()).unwrap_or(0)]);
                    answer.extend(text.as_bytes());
                }
                answer
            }
            [function, ..] => vec![function | 0x80, ILLEGAL_FUNCTION],
            [] => vec![0x80, ILLEGAL_FUNCTION],
        }
    }

    fn input(&self, address: u16, at: Duration) -> Option<u16> {
        let bits = self.value(address & !1, at).to_bits();
        (u32::from(address) < INPUT_END).then(|| half(bits, address))
    }

    fn holding(&self, address: u16) -> Option<u16> {
        (address & !1 == SERIAL).then(|| half(self.serial, address))
    }
}

/// A register of a 32-bit number, most significant first.
fn half(bits: u32, address: u16) -> u16 {
    let [a, b, c, d] = bits.to_be_bytes();
    if address & 1 == 0 { u16::from_be_bytes([a, b]) } else { u16::from_be_bytes([c, d]) }
}
