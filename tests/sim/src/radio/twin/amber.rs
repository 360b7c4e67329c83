//! Amber AMB8465, by the maker's manual of the AMB8426-M (2013), §2 and §7.

use super::{Device, Reaction, cc1101_rssi};
use crate::LineSpeed;
use crate::radio::air::{Radiated, RadioMode};
use std::time::Duration;

const BOOT: Duration = Duration::from_millis(300);
const PAUSE_MAX: Duration = Duration::from_millis(500);

const COMMAND_OUTPUT: usize = 0x05;
const RSSI_ENABLE: usize = 0x45;
const MODE_PRESELECT: usize = 0x46;

/// The device: flash parameters, what was in effect at its start, and the message it is hearing.
#[derive(Debug)]
pub(super) struct Amber {
    flash: [u8; 0x80],
    command_output: bool,
    rssi: bool,
    mode: u8,
    heard: Vec<u8>,
    heard_at: Duration,
}

impl Default for Amber {
    fn default() -> Self {
        let mut flash = [0; 0x80];
        flash[MODE_PRESELECT] = 0x08;
        Self { flash, command_output: false, rssi: false, mode: 0x08, heard: Vec::new(), heard_at: Duration::ZERO }
    }
}

fn framed(command: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xFF, command, u8::try_from(payload.len()).unwrap_or(u8::MAX)];
    bytes.extend_from_slice(payload);
    let sum = bytes.iter().fold(0, |sum, byte| sum ^ byte);
    bytes.push(sum);
    bytes
}

impl Amber {
    fn obey(&mut self, command: u8, payload: &[u8], refuses: bool) -> Vec<Reaction> {
        let confirm = |payload: &[u8]| vec![Reaction::Say(framed(command | 0x80, payload))];
        match (command, payload) {
            (0x04, [_]) if refuses => confirm(&[0x01]),
            (0x04, [mode]) => {
                self.mode = *mode;
                confirm(&[0x00])
            }
            (0x05, []) => {
                let mut reactions = confirm(&[0x00]);
                reactions.push(Reaction::Restart(BOOT));
                reactions
            }
            (0x09, [_, _, _]) if refuses => confirm(&[0x02]),
            (0x09, [position, 1, value]) => match self.flash.get_mut(usize::from(*position)) {
                None => confirm(&[0x02]),
                Some(cell) => {
                    *cell = *value;
                    let mut reactions = confirm(&[0x00]);
                    reactions.push(Reaction::Flash(1));
                    reactions
                }
            },
            (0x0A, [position, count]) => {
                let from = usize::from(*position);
                let values = self.flash.get(from..from + usize::from(*count)).unwrap_or_default();
                confirm(&[&[*position, *count], values].concat())
            }
            (0x0B, []) => confirm(&[0x22, 0x00, 0x12, 0x34]),
            (0x0C, []) => confirm(&[2, 7, 0]),
            _ => Vec::new(),
        }
    }
}

impl Device for Amber {
    fn speed(&self) -> Option<LineSpeed> {
        Some(LineSpeed(9600))
    }

    fn hear(&mut self, byte: u8, now: Duration, refuses: bool) -> Vec<Reaction> {
        if now.saturating_sub(self.heard_at) > PAUSE_MAX {
            self.heard.clear();
        }
        self.heard_at = now;
        if self.heard.is_empty() && byte != 0xFF {
            return Vec::new();
        }
        self.heard.push(byte);
        let (Some(command), Some(length)) = (self.heard.get(1), self.heard.get(2)) else { return Vec::new() };
        let (command, end) = (*command, 3 + usize::from(*length));
        if self.heard.len() <= end {
            return Vec::new();
        }
        let heard = std::mem::take(&mut self.heard);
        if heard.iter().fold(0, |sum, byte| sum ^ byte) != 0 {
            return Vec::new();
        }
        self.obey(command, heard.get(3..end).unwrap_or_default(), refuses)
    }

    fn receive(&mut self, sent: &Radiated, _: Duration, damaged: bool) -> Option<Vec<u8>> {
        let hears: &[RadioMode] = match self.mode {
            0x01..=0x03 => &[RadioMode::S],
            0x06 | 0x08 => &[RadioMode::T],
            0x09 => &[RadioMode::T, RadioMode::CA, RadioMode::CB],
            0x0E => &[RadioMode::CA, RadioMode::CB],
            _ => &[],
        };
        if !hears.contains(&sent.mode) {
            return None;
        }
        let mut payload = sent.stripped.get(1..)?.to_vec();
        payload.extend(self.rssi.then(|| cc1101_rssi(sent.rssi_dbm)));
        if !self.command_output {
            payload.insert(0, u8::try_from(payload.len()).ok()?);
            return Some(payload);
        }
        let mut bytes = framed(0x03, &payload);
        bytes.iter_mut().skip(9).take(usize::from(damaged)).for_each(|byte| *byte ^= 0x20);
        Some(bytes)
    }

    fn restart(&mut self) {
        self.command_output = self.flash.get(COMMAND_OUTPUT) == Some(&1);
        self.rssi = self.flash.get(RSSI_ENABLE) == Some(&1);
        self.mode = self.flash.get(MODE_PRESELECT).copied().unwrap_or(0);
        self.heard.clear();
    }
}
