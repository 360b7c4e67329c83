//! A CUL with culfw: lines of text.

use super::{Device, Reaction, cc1101_rssi};
use crate::LineSpeed;
use crate::radio::air::{Radiated, RadioMode};
use std::time::Duration;

/// Bytes of a line that the firmware keeps; the rest of it is lost.
const LINE_BYTES_MAX: usize = 64;
/// The bit of the report setting that appends the signal.
const REPORT_RSSI: u8 = 0x20;
const LINK_QUALITY: u8 = 0x31;

/// The device.
#[derive(Debug, Default)]
pub(super) struct Cul {
    line: Vec<u8>,
    report: u8,
    receives: Option<char>,
}

impl Cul {
    fn obey(&mut self, line: &str, refuses: bool) -> Vec<Reaction> {
        let say = |text: &str| Reaction::Say(format!("{text}\r\n").into_bytes());
        let status = |receives: Option<char>| match receives {
            Some(mode) => say(&format!("{}MODE", mode.to_ascii_uppercase())),
            None => say("OFF"),
        };
        match line.as_bytes() {
            [] => Vec::new(),
            [b'V', ..] => vec![say("V 1.67 CUL868")],
            [b'X', setting @ ..] if !setting.is_empty() => {
                self.report = u8::from_str_radix(line.get(1..).unwrap_or_default(), 16).unwrap_or(0);
                Vec::new()
            }
            [b'b', b'r', mode, ..] => {
                let mode = char::from(*mode);
                self.receives = (matches!(mode, 's' | 't' | 'c') && !refuses).then_some(mode);
                vec![Reaction::Retune, status(self.receives)]
            }
            [b'b', ..] => vec![status(self.receives)],
            _ => vec![say(&format!(
                "? ({line} is unknown) Use one of b B C F G i A Z N E k R T V W X f J j x e m l t u"
            ))],
        }
    }
}

impl Device for Cul {
    fn speed(&self) -> Option<LineSpeed> {
        None
    }

    fn hear(&mut self, byte: u8, _: Duration, refuses: bool) -> Vec<Reaction> {
        if byte != b'\r' && byte != b'\n' {
            if self.line.len() < LINE_BYTES_MAX {
                self.line.push(byte);
            }
            return Vec::new();
        }
        let line = std::mem::take(&mut self.line);
        self.obey(&String::from_utf8_lossy(&line), refuses)
    }

    fn receive(&mut self, sent: &Radiated, _: Duration, damaged: bool) -> Option<Vec<u8>> {
        let (hears, marks_b) = match sent.mode {
            RadioMode::S => ('s', false),
            RadioMode::T => ('t', false),
            RadioMode::CA => ('c', false),
            RadioMode::CB => ('c', true),
        };
        if self.receives != Some(hears) {
            return None;
        }
        let mut bytes = sent.frame();
        if self.report & REPORT_RSSI != 0 {
            bytes.extend([LINK_QUALITY, cc1101_rssi(sent.rssi_dbm)]);
        }
        let mut line = String::from(if marks_b { "bY" } else { "b" });
        bytes.iter().for_each(|byte| line.push_str(&format!("{byte:02X}")));
        if damaged {
            line.pop();
        }
        line.push_str("\r\n");
        Some(line.into_bytes())
    }

    fn restart(&mut self) {
        *self = Self::default();
    }
}
