//! CUL and its kin with culfw or a-culfw: lines of text.
//!
//! Commands and the form of a telegram's line are read off culfw's own source (`rf_mbus.c`): `brs`,
//! `brt`, `brc` begin to receive and answer SMODE, TMODE, CMODE, or OFF where the firmware lacks the
//! mode; a telegram is `b`, the frame in hexadecimal with its CRCs, and after `X21` a byte of link
//! quality and one of signal strength. The firmware sends only frames whose CRCs it found right in
//! modes S and T. Beginning to receive resets the radio chip, so it serves as the reset too; the
//! stick itself is never rebooted, which would make its port vanish.
//!
//! Not verified: that all versions put `Y` behind the `b` of a frame of format B (a-culfw does; a
//! line without it is format A), and whether all send both bytes behind the frame. The L-field says
//! where the frame ends, so one byte or both are understood.

use crate::dialect::{Begin, Dialect, Next, Radioed, Taken, rssi_of_cc1101};
use crate::heard::{Form, NoiseReason, TELEGRAM_BYTES_MAX};
use crate::text::{Line, first_line, printable, unhex};
use crate::{Failure, Identity, Kind, ListenConfig, Modes};
use alloc::string::String;

/// Longest line: `bY`, a frame in hexadecimal, two bytes more, and the line's end.
const LINE_BYTES_MAX: usize = 2 + 2 * (TELEGRAM_BYTES_MAX + 2) + 2;
/// Of a stick's answer, what goes into messages for people.
const ANSWER_CHARS_MAX: usize = 60;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Version,
    Receive,
}

/// The dialect of culfw.
#[derive(Debug, Default)]
pub(crate) struct Cul {
    step: Step,
    identify: bool,
    model: String,
    firmware: String,
}

impl Cul {
    fn ask(&mut self, step: Step, config: &ListenConfig) -> Next {
        self.step = step;
        Next::Ask(match step {
            // The empty line ends what an earlier program may have begun.
            Step::Version => b"\r\nV\r\n".to_vec(),
            Step::Receive => {
                let (mode, _) = mode(config);
                [b"X21\r\nbr", mode, b"\r\n".as_slice()].concat()
            }
        })
    }

    fn identity(&self) -> Identity {
        let (model, firmware) = (self.model.clone(), self.firmware.clone());
        Identity { kind: Kind::Cul, model, serial: String::new(), firmware }
    }
}

/// The letter that begins to receive, and the answer to it.
fn mode(config: &ListenConfig) -> (&'static [u8], &'static [u8]) {
    match config.modes {
        Modes::S => (b"s", b"SMODE"),
        Modes::C => (b"c", b"CMODE"),
        _ => (b"t", b"TMODE"),
    }
}

/// Bytes of a frame of format A with CRCs, by its L-field: 10 and then every 16 carry two more.
fn length_of_format_a(l: u8) -> usize {
    let l = usize::from(l);
    1 + l + 2 * (1 + l.saturating_sub(9).div_ceil(16))
}

/// Reads a telegram's line from behind its `b`.
fn telegram(line: &[u8], config: &ListenConfig) -> Result<Radioed, NoiseReason> {
    let (form, digits) = match line.strip_prefix(b"Y") {
        Some(digits) => (Form::CrcB, digits),
        None => (Form::CrcA, line),
    };
    let bytes = unhex(digits).ok_or(NoiseReason::Garbage)?;
    let l = bytes.first().copied().ok_or(NoiseReason::WrongLength)?;
    let length = if form == Form::CrcB { 1 + usize::from(l) } else { length_of_format_a(l) };
    let (frame, behind) = bytes.split_at_checked(length).ok_or(NoiseReason::WrongLength)?;
    let rssi_dbm = match behind {
        [] => None,
        [rssi] | [_, rssi] => Some(rssi_of_cc1101(*rssi)),
        _ => return Err(NoiseReason::WrongLength),
    };
    Ok(Radioed { bytes: frame.to_vec(), form, mode: config.modes.single(), rssi_dbm })
}

impl Dialect for Cul {
    fn begin(&mut self, config: &ListenConfig, why: Begin) -> Next {
        self.identify = why == Begin::Identify;
        self.ask(Step::Version, config)
    }

    fn step(&self) -> &'static str {
        match self.step {
            Step::Version => "version",
            Step::Receive => "begin to receive",
        }
    }

    fn answered(&mut self, config: &ListenConfig, answer: &[u8]) -> Next {
        match self.step {
            // As in "V 1.67 CUL868" or "V 1.26.08 a-culfw Build: ... nanoCUL868 (F-Band: 868MHz)".
            Step::Version => match answer.strip_prefix(b"V ") {
                None => Next::Unasked,
                Some(version) => {
                    let version = printable(version, ANSWER_CHARS_MAX);
                    let (number, model) = version.split_once(' ').unwrap_or((&version, ""));
                    (self.firmware, self.model) = (number.into(), model.into());
                    if self.identify { Next::Ready(self.identity()) } else { self.ask(Step::Receive, config) }
                }
            },
            Step::Receive if answer == mode(config).1 => Next::Ready(self.identity()),
            Step::Receive if answer == b"OFF" || answer.starts_with(b"?") => {
                let answer = printable(answer, ANSWER_CHARS_MAX);
                Next::Fail(Failure::Refused { kind: Kind::Cul, step: self.step(), answer })
            }
            Step::Receive => Next::Unasked,
        }
    }

    fn paused(&mut self, config: &ListenConfig) -> Next {
        self.ask(Step::Version, config)
    }

    fn unanswered(&mut self, _: &ListenConfig) -> Option<Next> {
        None
    }

    fn take(&mut self, config: &ListenConfig, bytes: &[u8], _: bool, _: bool) -> Taken {
        let (line, length) = match first_line(bytes, LINE_BYTES_MAX) {
            Line::Whole(line, length) => (line, length),
            Line::Open => return Taken::More,
            Line::Overlong(excess) => return Taken::Noise(excess, NoiseReason::Garbage),
        };
        match line {
            [] => Taken::Blank(length),
            [b'b', digits @ ..] => match telegram(digits, config) {
                Ok(telegram) => Taken::Telegram(length, telegram),
                Err(reason) => Taken::Noise(length, reason),
            },
            answer => Taken::Answer(length, answer.to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn line_of(frame: &[u8]) -> Vec<u8> {
        let mut line = b"b".to_vec();
        frame.iter().for_each(|byte| line.extend(alloc::format!("{byte:02X}").bytes()));
        line.extend(b"\r\n");
        line
    }

    #[test]
    fn lengths_of_format_a() {
        for (l, length) in [(9, 12), (10, 15), (25, 30), (26, 33), (41, 48), (42, 51), (255, 290)] {
            assert_eq!(length_of_format_a(l), length, "{l}");
        }
    }

    #[test]
    fn one_byte_or_both_may_follow_the_frame() {
        let config = ListenConfig::new(Modes::T);
        let frame = [9, 0x44, 0x2D, 0x2C, 1, 2, 3, 4, 5, 6, 0xAA, 0xBB];
        for (behind, rssi_dbm) in [(&[][..], None), (&[0xC8], Some(-102)), (&[0x31, 0xC8], Some(-102))] {
            let line = line_of(&[&frame, behind].concat());
            let Taken::Telegram(length, found) = Cul::default().take(&config, &line, false, false) else { panic!() };
            assert_eq!((length, found.rssi_dbm, found.form), (line.len(), rssi_dbm, Form::CrcA));
            assert_eq!(found.bytes, frame);
        }
        for wrong in [&frame[..11], &[&frame[..], &[1, 2, 3]].concat()] {
            let taken = Cul::default().take(&config, &line_of(wrong), false, false);
            assert!(matches!(taken, Taken::Noise(_, NoiseReason::WrongLength)));
        }
    }
}
