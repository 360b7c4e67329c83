//! IMST iM871A, by IMST's HCI specification 4100/6404/0050.

use super::{Device, Reaction};
use crate::LineSpeed;
use crate::radio::air::{Radiated, RadioMode};
use std::time::Duration;

const BOOT: Duration = Duration::from_millis(400);
/// After this pause a message of the host is begun anew.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// The device: its settings and the message it is hearing.
#[derive(Debug)]
pub(super) struct Im871a {
    volatile: Settings,
    kept: Settings,
    heard: Vec<u8>,
    heard_at: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Settings {
    device_mode: u8,
    link_mode: u8,
    power_saving: u8,
    rssi: u8,
    timestamp: u8,
}

impl Default for Im871a {
    fn default() -> Self {
        // Link mode S2, nothing attached.
        let kept = Settings { device_mode: 0, link_mode: 2, power_saving: 0, rssi: 0, timestamp: 0 };
        Self { volatile: kept, kept, heard: Vec::new(), heard_at: Duration::ZERO }
    }
}

/// The frame check: reflected 1021, FFFF before, complement after.
fn fcs(bytes: &[u8]) -> [u8; 2] {
    let mut register = 0xFFFFu16;
    for byte in bytes {
        for bit in 0..8 {
            let feedback = (register ^ u16::from(byte >> bit)) & 1;
            register >>= 1;
            if feedback == 1 {
                register ^= 0x8408;
            }
        }
    }
    (!register).to_le_bytes()
}

fn message(control: u8, id: u8, payload: &[u8], attached: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xA5, 0x80 | control, id, u8::try_from(payload.len()).unwrap_or(u8::MAX)];
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(attached);
    let sum = fcs(bytes.get(1..).unwrap_or_default());
    bytes.extend(sum);
    bytes
}

impl Im871a {
    /// A whole message of the host: control, id, length, payload.
    fn obey(&mut self, id: u8, payload: &[u8], refuses: bool) -> Vec<Reaction> {
        let say = |id: u8, payload: &[u8]| vec![Reaction::Say(message(0x01, id, payload, &[]))];
        match id {
            0x01 => say(0x02, &[]),
            0x03 => {
                let flash = if refuses { 0 } else { self.configure(payload) };
                let mut reactions = say(0x04, &[]);
                reactions.extend((flash > 0).then_some(Reaction::Flash(flash)));
                reactions
            }
            0x05 => {
                let now = self.volatile;
                let first = [0xFF, now.device_mode, now.link_mode, 0x44, 0x10, 0x20, 1, 2, 3, 4, 5, 7, 1];
                let second = [0xFF, 6, 0, 50, now.power_saving, now.rssi, now.timestamp, 0, 0];
                say(0x06, &[first.as_slice(), &second].concat())
            }
            0x07 => {
                let mut reactions = say(0x08, &[]);
                reactions.push(Reaction::Restart(BOOT));
                reactions
            }
            0x0F => say(0x10, &[0x33, self.volatile.device_mode, 0x13, 0x17, 0x21, 0x43, 0x65, 0x07]),
            _ => Vec::new(),
        }
    }

    /// Takes over the fields whose flags are set; gives the bytes written to flash.
    fn configure(&mut self, payload: &[u8]) -> u64 {
        let mut bytes: std::vec::IntoIter<u8> = Vec::from(payload).into_iter();
        let keep = bytes.next() == Some(1);
        let first = bytes.next().unwrap_or(0);
        for bit in (0..8).filter(|bit| first >> bit & 1 == 1) {
            let size = match bit {
                3 => 2,
                4 => 4,
                _ => 1,
            };
            let Some(value) = bytes.next() else { return 0 };
            match bit {
                0 => self.volatile.device_mode = value,
                1 => self.volatile.link_mode = value,
                _ => {}
            }
            // Fields of more bytes are the addresses, which no receiver needs.
            bytes = bytes.skip(size - 1).collect::<Vec<u8>>().into_iter();
        }
        let second = bytes.next().unwrap_or(0);
        for bit in (0..8).filter(|bit| second >> bit & 1 == 1) {
            let Some(value) = bytes.next() else { return 0 };
            match bit {
                3 => self.volatile.power_saving = value,
                4 => self.volatile.rssi = value,
                5 => self.volatile.timestamp = value,
                _ => {}
            }
        }
        if keep {
            self.kept = self.volatile;
        }
        u64::from(keep) * 8
    }
}

impl Device for Im871a {
    fn speed(&self) -> Option<LineSpeed> {
        Some(LineSpeed(57_600))
    }

    fn hear(&mut self, byte: u8, now: Duration, refuses: bool) -> Vec<Reaction> {
        if now.saturating_sub(self.heard_at) > PAUSE_MAX {
            self.heard.clear();
        }
        self.heard_at = now;
        if self.heard.is_empty() && byte != 0xA5 {
            return Vec::new();
        }
        self.heard.push(byte);
        let (Some(control), Some(id), Some(length)) = (self.heard.get(1), self.heard.get(2), self.heard.get(3)) else {
            return Vec::new();
        };
        let (control, id, end) = (*control, *id, 4 + usize::from(*length));
        let checked = control & 0x80 != 0;
        if self.heard.len() < end + if checked { 2 } else { 0 } {
            return Vec::new();
        }
        let heard = std::mem::take(&mut self.heard);
        let sum = heard.get(1..end).map(fcs).unwrap_or_default();
        if control & 0x0F != 0x01 || (checked && heard.get(end..) != Some(&sum)) {
            return Vec::new();
        }
        self.obey(id, heard.get(4..end).unwrap_or_default(), refuses)
    }

    fn receive(&mut self, sent: &Radiated, now: Duration, damaged: bool) -> Option<Vec<u8>> {
        let hears = match self.volatile.link_mode {
            0..=2 => RadioMode::S,
            3 | 4 => RadioMode::T,
            6 | 8 => RadioMode::CA,
            7 | 9 => RadioMode::CB,
            _ => return None,
        };
        if hears != sent.mode || self.volatile.power_saving != 0 {
            return None;
        }
        let (mut control, mut attached) = (0x02, Vec::new());
        if self.volatile.timestamp == 1 {
            control |= 0x20;
            attached.extend(u32::try_from(now.as_millis() * 33 % 0xFFFF_FFFF).unwrap_or(0).to_le_bytes());
        }
        if self.volatile.rssi == 1 {
            control |= 0x40;
            let raw = (i32::from(sent.rssi_dbm) * 150 + 19_000 + 40) / 80;
            attached.push(u8::try_from(raw.clamp(0, 255)).unwrap_or(0));
        }
        let mut bytes = message(control, 0x03, sent.stripped.get(1..)?, &attached);
        bytes.iter_mut().skip(10).take(usize::from(damaged)).for_each(|byte| *byte ^= 0x04);
        Some(bytes)
    }

    fn restart(&mut self) {
        self.volatile = self.kept;
        self.heard.clear();
    }
}
