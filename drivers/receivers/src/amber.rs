//! Amber (Würth) AMB8465 and AMB3665, and the Metis modules after them, in command mode.
//!
//! Commands, confirmations and the checksum are those of the maker's manual of the AMB8426-M/8626-M
//! (v2.4, §2.2 and §7), which speak the same; parameter positions and mode numbers those of the
//! maker's published driver sources for Metis-I and -II. Telegrams come without CRCs and without
//! their L-field: the message's length stands for it and counts the signal byte, if there is one.
//!
//! Two settings exist in flash only: `UART_CMD_Out_Enable` (05), without which telegrams would come
//! bare and without checksum, and `RSSI_Enable` (45). They are read first and written only if they
//! differ, as the manual recommends: a power cut during the write can destroy the parameters. The
//! radio mode is set in volatile memory.
//!
//! Not verified: what the confirmation of the volatile mode carries. A status of 00 and the mode
//! itself are both taken for yes. Which product numbers the serial number begins with is not
//! published; AMB8465 and AMB3665 cannot be told apart by it here.

use crate::dialect::{Begin, Dialect, Next, Radioed, Taken, rssi_of_cc1101};
use crate::heard::{Form, NoiseReason};
use crate::{Failure, Identity, Kind, ListenConfig, Modes};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

const START: u8 = 0xFF;
const DATA_IND: u8 = 0x03;
const SET_MODE_REQ: u8 = 0x04;
const RESET_REQ: u8 = 0x05;
const SET_REQ: u8 = 0x09;
const GET_REQ: u8 = 0x0A;
const SERIAL_REQ: u8 = 0x0B;
const FIRMWARE_REQ: u8 = 0x0C;
/// A confirmation is its request with this bit.
const CONFIRM: u8 = 0x80;
/// Highest command that the manuals know.
const COMMAND_MAX: u8 = 0x5F;

const UART_CMD_OUT_ENABLE: u8 = 0x05;
const RSSI_ENABLE: u8 = 0x45;

const MODE_S2: u8 = 0x03;
const MODE_T2_OTHER: u8 = 0x08;
const MODE_C2_T2_OTHER: u8 = 0x09;
const MODE_C2_OTHER: u8 = 0x0E;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Reset,
    Serial,
    Firmware,
    Get(u8),
    Set(u8),
    ResetAfterSet,
    Mode,
}

/// The dialect of the Amber modules.
#[derive(Debug)]
pub(crate) struct Amber {
    kind: Kind,
    step: Step,
    identify: bool,
    serial: String,
    model: String,
    firmware: String,
    /// Parameters that were written, and must read back as written after the reset.
    written: Vec<u8>,
    rssi_attached: bool,
}

impl Amber {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            step: Step::Serial,
            identify: false,
            serial: String::new(),
            model: String::new(),
            firmware: String::new(),
            written: Vec::new(),
            rssi_attached: false,
        }
    }

    fn ask(&mut self, step: Step, config: &ListenConfig) -> Next {
        self.step = step;
        Next::Ask(match step {
            Step::Reset | Step::ResetAfterSet => emit(RESET_REQ, &[]),
            Step::Serial => emit(SERIAL_REQ, &[]),
            Step::Firmware => emit(FIRMWARE_REQ, &[]),
            Step::Get(position) => emit(GET_REQ, &[position, 0x01]),
            Step::Set(position) => emit(SET_REQ, &[position, 0x01, 0x01]),
            Step::Mode => emit(SET_MODE_REQ, &[mode(config)]),
        })
    }

    const fn request(&self) -> u8 {
        match self.step {
            Step::Reset | Step::ResetAfterSet => RESET_REQ,
            Step::Serial => SERIAL_REQ,
            Step::Firmware => FIRMWARE_REQ,
            Step::Get(_) => GET_REQ,
            Step::Set(_) => SET_REQ,
            Step::Mode => SET_MODE_REQ,
        }
    }

    fn identity(&self) -> Identity {
        Identity {
            kind: self.kind,
            model: self.model.clone(),
            serial: self.serial.clone(),
            firmware: self.firmware.clone(),
        }
    }

    fn refused(&self, answer: u8) -> Next {
        Next::Fail(Failure::Refused { kind: self.kind, step: self.step(), answer: format!("status {answer:02X}") })
    }

    /// A parameter was read: go on, write it, or do without.
    fn parameter(&mut self, position: u8, value: u8, config: &ListenConfig) -> Next {
        let needed = position == UART_CMD_OUT_ENABLE;
        if position == RSSI_ENABLE {
            self.rssi_attached = value == 1;
        }
        if value != 1 {
            if self.written.contains(&position) {
                return Next::Fail(Failure::NotKept { kind: self.kind, step: self.step(), wanted: 1, found: value });
            }
            if config.may_write_flash {
                return self.ask(Step::Set(position), config);
            }
            if needed {
                return Next::Fail(Failure::NeedsFlash { kind: self.kind, step: "command output" });
            }
        }
        if needed { self.ask(Step::Get(RSSI_ENABLE), config) } else { self.set_mode(config) }
    }

    fn set_mode(&mut self, config: &ListenConfig) -> Next {
        // The channels of the narrow band differ from country to country: the preselected stays.
        if config.modes == Modes::N { Next::Ready(self.identity()) } else { self.ask(Step::Mode, config) }
    }
}

fn mode(config: &ListenConfig) -> u8 {
    match config.modes {
        Modes::S => MODE_S2,
        Modes::C => MODE_C2_OTHER,
        Modes::T_AND_C => MODE_C2_T2_OTHER,
        _ => MODE_T2_OTHER,
    }
}

fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum ^ byte)
}

fn emit(command: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 4);
    bytes.extend([START, command, u8::try_from(payload.len()).unwrap_or(u8::MAX)]);
    bytes.extend(payload);
    bytes.push(checksum(&bytes));
    bytes
}

/// Command, payload, and length with all that is around it.
type Message<'a> = (u8, &'a [u8], usize);

/// Command and payload of the message that begins with the first byte, and its length. `None` when
/// more bytes are needed.
fn parse(bytes: &[u8]) -> Result<Option<Message<'_>>, NoiseReason> {
    if bytes.first().is_some_and(|start| *start != START) {
        return Err(NoiseReason::Garbage);
    }
    let known = |command: u8| command == DATA_IND || (CONFIRM..=CONFIRM | COMMAND_MAX).contains(&command);
    if bytes.get(1).is_some_and(|command| !known(*command)) {
        return Err(NoiseReason::Garbage);
    }
    let (Some(command), Some(length)) = (bytes.get(1), bytes.get(2)) else { return Ok(None) };
    let end = 3 + usize::from(*length);
    let (Some(payload), Some(sum), Some(covered)) = (bytes.get(3..end), bytes.get(end), bytes.get(..end)) else {
        return Ok(None);
    };
    if checksum(covered) != *sum {
        return Err(NoiseReason::WrongChecksum);
    }
    Ok(Some((*command, payload, end + 1)))
}

impl Dialect for Amber {
    fn begin(&mut self, config: &ListenConfig, why: Begin) -> Next {
        self.identify = why == Begin::Identify;
        self.written.clear();
        self.ask(if why == Begin::Reset { Step::Reset } else { Step::Serial }, config)
    }

    fn step(&self) -> &'static str {
        match self.step {
            Step::Reset | Step::ResetAfterSet => "reset",
            Step::Serial => "serial number",
            Step::Firmware => "firmware version",
            Step::Get(UART_CMD_OUT_ENABLE) | Step::Set(UART_CMD_OUT_ENABLE) => "command output",
            Step::Get(_) | Step::Set(_) => "signal strength",
            Step::Mode => "radio mode",
        }
    }

    fn answered(&mut self, config: &ListenConfig, answer: &[u8]) -> Next {
        let Some((command, payload)) = answer.split_first() else { return Next::Unasked };
        if *command != self.request() | CONFIRM {
            return Next::Unasked;
        }
        match (self.step, payload) {
            (Step::Reset | Step::ResetAfterSet, _) => Next::Pause(config.boot),
            (Step::Serial, [product, rest @ ..]) if rest.len() == 3 => {
                self.model = format!("product {product:02X}");
                self.serial = payload.iter().map(|byte| format!("{byte:02X}")).collect();
                self.ask(Step::Firmware, config)
            }
            (Step::Firmware, [major, minor, patch]) => {
                self.firmware = format!("{major}.{minor}.{patch}");
                if self.identify {
                    Next::Ready(self.identity())
                } else {
                    self.ask(Step::Get(UART_CMD_OUT_ENABLE), config)
                }
            }
            (Step::Get(asked), [position, 1, value]) if asked == *position => self.parameter(asked, *value, config),
            (Step::Set(position), [0]) => {
                self.written.push(position);
                self.ask(Step::ResetAfterSet, config)
            }
            (Step::Set(_), [status, ..]) => self.refused(*status),
            (Step::Mode, [answer]) if *answer == 0 || *answer == mode(config) => Next::Ready(self.identity()),
            (Step::Mode, [answer, ..]) => self.refused(*answer),
            (Step::Serial, _) => {
                let found = "a device with another form of serial number".to_string();
                Next::Fail(Failure::WrongDevice { kind: self.kind, found })
            }
            _ => Next::Unasked,
        }
    }

    fn paused(&mut self, config: &ListenConfig) -> Next {
        let step = if self.step == Step::ResetAfterSet { Step::Get(UART_CMD_OUT_ENABLE) } else { Step::Serial };
        self.ask(step, config)
    }

    fn unanswered(&mut self, config: &ListenConfig) -> Option<Next> {
        (self.step == Step::Reset).then_some(Next::Pause(config.boot))
    }

    fn take(&mut self, config: &ListenConfig, bytes: &[u8], _: bool, _: bool) -> Taken {
        let (command, payload, length) = match parse(bytes) {
            Ok(None) => return Taken::More,
            Ok(Some(found)) => found,
            Err(NoiseReason::Garbage) => {
                let next = bytes.iter().skip(1).position(|byte| *byte == START);
                return Taken::Noise(next.map_or(bytes.len(), |at| at + 1), NoiseReason::Garbage);
            }
            Err(reason) => return Taken::Noise(1, reason),
        };
        if command != DATA_IND {
            let mut answer = Vec::with_capacity(payload.len() + 1);
            answer.push(command);
            answer.extend(payload);
            return Taken::Answer(length, answer);
        }
        let (telegram, rssi_dbm) = match payload.split_last() {
            Some((rssi, telegram)) if self.rssi_attached => (telegram, Some(rssi_of_cc1101(*rssi))),
            _ => (payload, None),
        };
        let mut bytes = Vec::with_capacity(telegram.len() + 1);
        bytes.push(u8::try_from(telegram.len()).unwrap_or(u8::MAX));
        bytes.extend(telegram);
        Taken::Telegram(length, Radioed { bytes, form: Form::Stripped, mode: config.modes.single(), rssi_dbm })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_the_manual() {
        assert_eq!(emit(RESET_REQ, &[]), [0xFF, 0x05, 0x00, 0xFA]);
        assert_eq!(emit(SERIAL_REQ, &[]), [0xFF, 0x0B, 0x00, 0xF4]);
        assert_eq!(emit(FIRMWARE_REQ, &[]), [0xFF, 0x0C, 0x00, 0xF3]);
        assert_eq!(emit(GET_REQ, &[0x00, 0x80]), [0xFF, 0x0A, 0x02, 0x00, 0x80, 0x77]);
        let version = [0xFF, 0x8C, 0x03, 0x02, 0x00, 0x06, 0x74];
        assert_eq!(parse(&version), Ok(Some((0x8C, [2, 0, 6].as_slice(), 7))));
    }

    proptest! {
        #[test]
        fn emit_and_parse(payload in proptest::collection::vec(any::<u8>(), 0..=255), tail: Vec<u8>) {
            let mut bytes = emit(DATA_IND, &payload);
            let length = bytes.len();
            prop_assert_eq!(parse(&bytes[..length - 1]), Ok(None));
            bytes.extend(tail);
            prop_assert_eq!(parse(&bytes), Ok(Some((DATA_IND, payload.as_slice(), length))));
        }
    }
}
