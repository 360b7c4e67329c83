//! Radiocrafts RC1180-MBUS3, by the maker's MBUS User Manual v2.01.

use super::{Device, Reaction};
use crate::LineSpeed;
use crate::radio::air::{Radiated, RadioMode};
use std::time::Duration;

/// An unfinished packet of the host is dropped after this (TIMEOUT 7C).
const PACKET_TIMEOUT: Duration = Duration::from_secs(2);
const RSSI_MODE: usize = 0x05;
const MBUS_MODE: usize = 0x03;
const INSTALL_MODE: usize = 0x3D;

/// Where it stands with the host's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Talk {
    /// Waits for the air and for the host's first byte.
    Idle,
    /// So many bytes of a packet to send are missing.
    Packet(u8),
    /// Waits for a command.
    Command,
    /// Waits for the argument of this command.
    Argument(u8),
    /// Memory: waits for a position, or FF.
    Position,
    /// Memory: waits for the value for this position.
    Value(u8),
}

/// The device.
#[derive(Debug)]
pub(super) struct Rc1180 {
    flash: [u8; 256],
    mode: u8,
    install: u8,
    talk: Talk,
    heard_at: Duration,
}

impl Default for Rc1180 {
    fn default() -> Self {
        let mut flash = [0; 256];
        let set =
            [(0x00, 0x01), (0x01, 0x05), (MBUS_MODE, 0x01), (0x10, 0x7C), (0x12, 0x01), (0x19, 0x0C), (0x1A, 0xAE)];
        let address = [(0x1B, 0x12), (0x1C, 0x34), (0x1D, 0x56), (0x1E, 0x78), (0x1F, 0x01), (0x20, 0x07)];
        for (position, value) in set.into_iter().chain(address).chain([(0x30, 0x05), (INSTALL_MODE, 0x02)]) {
            flash.iter_mut().skip(position).take(1).for_each(|cell: &mut u8| *cell = value);
        }
        Self { flash, mode: 0x01, install: 0x02, talk: Talk::Idle, heard_at: Duration::ZERO }
    }
}

impl Rc1180 {
    fn cell(&self, position: u8) -> u8 {
        self.flash.get(usize::from(position)).copied().unwrap_or(0)
    }

    fn command(&mut self, byte: u8) -> Vec<Reaction> {
        match byte {
            b'X' => {
                self.talk = Talk::Idle;
                vec![Reaction::Retune]
            }
            b'M' => {
                self.talk = Talk::Position;
                prompt(&[])
            }
            b'G' | b'I' | b'Y' => {
                self.talk = Talk::Argument(byte);
                Vec::new()
            }
            b'0' => prompt(&self.flash),
            _ => Vec::new(),
        }
    }

    fn argument(&mut self, command: u8, argument: u8, refuses: bool) -> Vec<Reaction> {
        self.talk = Talk::Command;
        match command {
            b'Y' => prompt(&[self.cell(argument)]),
            _ if refuses => Vec::new(),
            b'G' => {
                self.mode = argument;
                prompt(&[])
            }
            _ => {
                self.install = argument;
                prompt(&[])
            }
        }
    }
}

fn prompt(before: &[u8]) -> Vec<Reaction> {
    vec![Reaction::Say([before, b">"].concat())]
}

impl Device for Rc1180 {
    fn speed(&self) -> Option<LineSpeed> {
        Some(LineSpeed(19_200))
    }

    fn hear(&mut self, byte: u8, now: Duration, refuses: bool) -> Vec<Reaction> {
        if matches!(self.talk, Talk::Packet(_)) && now.saturating_sub(self.heard_at) >= PACKET_TIMEOUT {
            self.talk = Talk::Idle;
        }
        self.heard_at = now;
        match self.talk {
            Talk::Idle if byte == 0x00 => {
                self.talk = Talk::Command;
                prompt(&[])
            }
            Talk::Idle => {
                self.talk = Talk::Packet(byte);
                Vec::new()
            }
            Talk::Packet(left) => {
                self.talk = if left > 1 { Talk::Packet(left - 1) } else { Talk::Idle };
                Vec::new()
            }
            Talk::Command => self.command(byte),
            Talk::Argument(command) => self.argument(command, byte, refuses),
            Talk::Position if byte == 0xFF => {
                self.talk = Talk::Command;
                prompt(&[])
            }
            Talk::Position => {
                self.talk = Talk::Value(byte);
                Vec::new()
            }
            Talk::Value(position) => {
                self.talk = Talk::Position;
                if refuses {
                    return Vec::new();
                }
                self.flash.iter_mut().skip(position.into()).take(1).for_each(|cell| *cell = byte);
                vec![Reaction::Flash(1)]
            }
        }
    }

    fn receive(&mut self, sent: &Radiated, _: Duration, damaged: bool) -> Option<Vec<u8>> {
        let hears: &[RadioMode] = match self.mode {
            0 | 3 => &[RadioMode::S],
            1 | 2 => &[RadioMode::T],
            8 | 9 => &[RadioMode::CA, RadioMode::CB],
            10 | 11 => &[RadioMode::T, RadioMode::CA, RadioMode::CB],
            _ => &[],
        };
        let listens = matches!(self.talk, Talk::Idle | Talk::Packet(_)) && self.install == 0x02;
        if !listens || !hears.contains(&sent.mode) {
            return None;
        }
        let mut bytes = sent.stripped.clone();
        if self.flash.get(RSSI_MODE) == Some(&1) {
            bytes.iter_mut().take(1).for_each(|l| *l = l.wrapping_add(1));
            bytes.push(u8::try_from(-sent.rssi_dbm * 2).unwrap_or(0));
        }
        if damaged {
            bytes.pop();
        }
        Some(bytes)
    }

    fn restart(&mut self) {
        self.mode = self.flash.get(MBUS_MODE).copied().unwrap_or(0);
        self.install = self.flash.get(INSTALL_MODE).copied().unwrap_or(0);
        self.talk = Talk::Idle;
    }
}
