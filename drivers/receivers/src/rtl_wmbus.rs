//! The lines of rtl_wmbus.
//!
//! By its README: `MODE;CRC_OK;3OUTOF6OK;TIMESTAMP;PACKET_RSSI;CURRENT_RSSI;IDENT;0xDATAGRAM`, where the
//! datagram is without CRCs and its L-field counts none, in format B too. Option -v puts the name of the
//! algorithm before it (`rla;` or `t2a;`); both algorithms run by default, so a telegram may come twice.
//!
//! Its signal strength is a number of its own scale and not in dBm; so it is not handed on. The
//! timestamp is that of its own clock; the time of a telegram is when its line arrived.
//!
//! There is nothing to set and nothing to reset: it is ready at once, and after silence it fails, so
//! that whoever started the program starts it again.

use crate::dialect::{Begin, Dialect, Next, Radioed, Taken};
use crate::heard::{Form, NoiseReason};
use crate::text::{Line, first_line, unhex};
use crate::{Failure, Identity, Kind, ListenConfig, Mode};
use alloc::string::String;

/// Longest line: 256 bytes in hexadecimal, and at most this much of fields before them.
const LINE_BYTES_MAX: usize = 2 * 256 + 128;

/// The dialect of rtl_wmbus.
#[derive(Debug)]
pub(crate) struct RtlWmbus;

fn telegram(line: &[u8]) -> Result<Radioed, NoiseReason> {
    let mut fields = line.split(|byte| *byte == b';');
    let mut field = || fields.next().ok_or(NoiseReason::Garbage);
    let mut mode = field()?;
    if mode == b"rla" || mode == b"t2a" {
        mode = field()?;
    }
    let mode = match mode {
        b"S1" => Mode::S,
        b"T1" => Mode::T,
        b"C1" => Mode::C,
        _ => return Err(NoiseReason::Garbage),
    };
    let intact = [field()?, field()?];
    // Timestamp, two signal strengths, identification.
    for _ in 0..4 {
        field()?;
    }
    let datagram = field()?;
    if intact != [b"1", b"1"] {
        return Err(NoiseReason::WrongChecksum);
    }
    let bytes = datagram.strip_prefix(b"0x").and_then(unhex).ok_or(NoiseReason::Garbage)?;
    if bytes.first().map(|l| usize::from(*l) + 1) != Some(bytes.len()) {
        return Err(NoiseReason::WrongLength);
    }
    Ok(Radioed { bytes, form: Form::Stripped, mode: Some(mode), rssi_dbm: None })
}

impl Dialect for RtlWmbus {
    fn begin(&mut self, _: &ListenConfig, why: Begin) -> Next {
        if why == Begin::Reset {
            return Next::Fail(Failure::CannotReset { kind: Kind::RtlWmbus });
        }
        let nothing = String::new;
        Next::Ready(Identity { kind: Kind::RtlWmbus, model: nothing(), serial: nothing(), firmware: nothing() })
    }

    fn step(&self) -> &'static str {
        "listen"
    }

    fn answered(&mut self, _: &ListenConfig, _: &[u8]) -> Next {
        Next::Unasked
    }

    fn paused(&mut self, _: &ListenConfig) -> Next {
        Next::Unasked
    }

    fn unanswered(&mut self, _: &ListenConfig) -> Option<Next> {
        None
    }

    fn take(&mut self, _: &ListenConfig, bytes: &[u8], _: bool, _: bool) -> Taken {
        let (line, length) = match first_line(bytes, LINE_BYTES_MAX) {
            Line::Whole(line, length) => (line, length),
            Line::Open => return Taken::More,
            Line::Overlong(excess) => return Taken::Noise(excess, NoiseReason::Garbage),
        };
        match telegram(line) {
            _ if line.is_empty() => Taken::Blank(length),
            Ok(telegram) => Taken::Telegram(length, telegram),
            Err(reason) => Taken::Noise(length, reason),
        }
    }
}
