//! The program rtl_wmbus, by its README.

use super::{Device, Reaction};
use crate::LineSpeed;
use crate::radio::air::{Radiated, RadioMode};
use std::time::Duration;

/// The program. It hears all modes and no host.
#[derive(Debug)]
pub(super) struct RtlWmbus;

impl Device for RtlWmbus {
    fn speed(&self) -> Option<LineSpeed> {
        None
    }

    fn hear(&mut self, _: u8, _: Duration, _: bool) -> Vec<Reaction> {
        Vec::new()
    }

    fn receive(&mut self, sent: &Radiated, now: Duration, damaged: bool) -> Option<Vec<u8>> {
        let mode = match sent.mode {
            RadioMode::S => "S1",
            RadioMode::T => "T1",
            RadioMode::CA | RadioMode::CB => "C1",
        };
        let ident: String = sent.stripped.get(4..8)?.iter().rev().map(|byte| format!("{byte:02X}")).collect();
        let datagram: String = sent.stripped.iter().map(|byte| format!("{byte:02x}")).collect();
        let intact = u8::from(!damaged);
        let (minute, second) = (now.as_secs() / 60 % 60, now.as_secs() % 60);
        let line = format!("{mode};{intact};1;2026-01-01 00:{minute:02}:{second:02}.000;97;148;{ident};0x{datagram}\n");
        Some(line.into_bytes())
    }

    fn restart(&mut self) {}
}
