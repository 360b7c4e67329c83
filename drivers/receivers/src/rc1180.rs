//! Radiocrafts RC1180-MBUS3.
//!
//! The configuration mode, its commands and the memory's positions are those of the maker's MBUS User
//! Manual v2.01 (§2.2, appendices A and B). Telegrams come bare: the L-field, the telegram without
//! CRCs, and a signal byte where that is switched on. Nothing marks where one begins and no checksum
//! covers it; so a telegram is known by its C-field, and the line's quiet ends what does not fit.
//!
//! The radio mode (`G`) and the acceptance of all meters (`I`) are set in volatile memory. Signal
//! strength (05), the network role (12) and the data interface (36) exist in flash only; they are read
//! with `Y` and written with `M` only if they differ.
//!
//! There is no reset by command, and `@` commands restore the factory's settings; so after silence the
//! module is set up anew through its configuration mode, which restarts its receiver.
//!
//! Not verified: whether the length byte counts the signal byte
//! ([`Assumptions`](crate::Assumptions)), and whether a parameter written with `M` takes effect
//! without a power cycle; the manual says that some need one.

use crate::dialect::{Begin, Dialect, Next, Radioed, Taken};
use crate::heard::{Form, NoiseReason, TELEGRAM_BYTES_MIN};
use crate::{Failure, Identity, Kind, ListenConfig, Modes};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

const ENTER: u8 = 0x00;
const PROMPT: u8 = b'>';
const EXIT: u8 = b'X';
const MEMORY_END: u8 = 0xFF;

const RSSI_MODE: u8 = 0x05;
const NETWORK_ROLE: u8 = 0x12;
const MANUFACTURER: u8 = 0x19;
const DATA_INTERFACE: u8 = 0x36;
const ROLE_MASTER: u8 = 0x01;
const ACCEPT_ALL: u8 = 0x02;

const MODE_S1: u8 = 3;
const MODE_T1: u8 = 1;
const MODE_C1: u8 = 9;
const MODE_T1_AND_C: u8 = 10;

/// After leaving the configuration mode, until it listens.
const LEAVING: Duration = Duration::from_millis(100);
/// The module drops an unfinished packet of the host after 2 s (TIMEOUT 7C), and sends nothing of it.
const FORGETTING: Duration = Duration::from_millis(2500);

/// What must be in flash: position, value, name, and whether reception needs it.
const PARAMETERS: [(u8, u8, &str, bool); 3] = [
    (DATA_INTERFACE, 0x00, "data interface", true),
    (NETWORK_ROLE, ROLE_MASTER, "network role", true),
    (RSSI_MODE, 0x01, "signal strength", false),
];
/// The module's own M-Bus address: manufacturer, identification, version and type.
const ADDRESS_BYTES: usize = 8;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    /// An `X` for a module that an earlier program left in its configuration mode.
    LeaveFirst,
    /// Leaves the memory and the configuration mode after an unanswered write.
    Abandon,
    #[default]
    Enter,
    Address(usize),
    Read(usize),
    BeginWrite(usize),
    Write(usize),
    ReadBack(usize),
    Mode,
    AcceptAll,
    Exit,
}

/// The dialect of the RC1180.
#[derive(Debug, Default)]
pub(crate) struct Rc1180 {
    step: Step,
    identify: bool,
    /// Times that the configuration mode was left in order to begin anew.
    ways_out: u8,
    address: Vec<u8>,
    rssi_attached: bool,
}

impl Rc1180 {
    fn ask(&mut self, step: Step, config: &ListenConfig) -> Next {
        self.step = step;
        let parameter = |nth: usize| PARAMETERS.get(nth).copied().unwrap_or_default();
        Next::Ask(match step {
            Step::LeaveFirst => return Next::Tell([EXIT].to_vec(), FORGETTING),
            Step::Abandon => return Next::Tell([MEMORY_END, EXIT].to_vec(), FORGETTING),
            Step::Exit => return Next::Tell([EXIT].to_vec(), LEAVING),
            Step::Enter => [ENTER].to_vec(),
            Step::Address(nth) => [b'Y', MANUFACTURER + u8::try_from(nth).unwrap_or(0)].to_vec(),
            Step::Read(nth) | Step::ReadBack(nth) => [b'Y', parameter(nth).0].to_vec(),
            Step::BeginWrite(_) => [b'M'].to_vec(),
            // In one piece, so that no crash of ours leaves the module waiting for a value.
            Step::Write(nth) => [parameter(nth).0, parameter(nth).1, MEMORY_END].to_vec(),
            Step::Mode => [b'G', mode(config)].to_vec(),
            Step::AcceptAll => [b'I', ACCEPT_ALL].to_vec(),
        })
    }

    /// Bytes of the answer that the step gets.
    const fn answer_bytes(&self) -> usize {
        match self.step {
            Step::Address(_) | Step::Read(_) | Step::ReadBack(_) => 2,
            _ => 1,
        }
    }

    fn identity(&self) -> Identity {
        Identity {
            kind: Kind::Rc1180,
            model: String::new(),
            serial: self.address.iter().map(|byte| format!("{byte:02X}")).collect(),
            firmware: String::new(),
        }
    }

    fn parameter(&mut self, nth: usize, found: u8, read_back: bool, config: &ListenConfig) -> Next {
        let Some((position, wanted, name, needed)) = PARAMETERS.get(nth).copied() else { return Next::Unasked };
        if position == RSSI_MODE {
            self.rssi_attached = found == wanted;
        }
        if found != wanted {
            if read_back {
                return Next::Fail(Failure::NotKept { kind: Kind::Rc1180, step: name, wanted, found });
            }
            if config.may_write_flash {
                return self.ask(Step::BeginWrite(nth), config);
            }
            if needed {
                return Next::Fail(Failure::NeedsFlash { kind: Kind::Rc1180, step: name });
            }
        }
        self.ask(if nth + 1 < PARAMETERS.len() { Step::Read(nth + 1) } else { Step::Mode }, config)
    }

    /// The telegram that begins with the first byte, or `None` when more bytes are needed.
    fn telegram(&self, config: &ListenConfig, bytes: &[u8]) -> Result<Option<(Radioed, usize)>, NoiseReason> {
        let counted = usize::from(self.rssi_attached && config.assumptions.rc1180_length_counts_rssi);
        let behind = usize::from(self.rssi_attached) - counted;
        let Some(l) = bytes.first().map(|l| usize::from(*l)) else { return Ok(None) };
        let telegram_bytes = (1 + l).saturating_sub(counted);
        if telegram_bytes < TELEGRAM_BYTES_MIN || bytes.get(1).is_some_and(|c| !is_from_a_meter(*c)) {
            return Err(NoiseReason::Garbage);
        }
        let end = 1 + l + behind;
        let (Some(telegram), Some(whole)) = (bytes.get(..telegram_bytes), bytes.get(..end)) else { return Ok(None) };
        let mut telegram = telegram.to_vec();
        if let (Some(first), Ok(l)) = (telegram.first_mut(), u8::try_from(telegram_bytes - 1)) {
            *first = l;
        }
        let rssi = whole.last().filter(|_| self.rssi_attached);
        // Half decibels below zero.
        let rssi_dbm = rssi.map(|raw| -i16::from(*raw / 2));
        Ok(Some((Radioed { bytes: telegram, form: Form::Stripped, mode: config.modes.single(), rssi_dbm }, end)))
    }
}

/// C-fields that a meter sends (EN 13757-4): SND-NR, SND-IR, ACC-NR, ACC-DMD and RSP-UD.
const fn is_from_a_meter(c: u8) -> bool {
    matches!(c, 0x44 | 0x46 | 0x47 | 0x48 | 0x08 | 0x18 | 0x28 | 0x38)
}

fn mode(config: &ListenConfig) -> u8 {
    match config.modes {
        Modes::S => MODE_S1,
        Modes::C => MODE_C1,
        Modes::T_AND_C => MODE_T1_AND_C,
        _ => MODE_T1,
    }
}

impl Dialect for Rc1180 {
    fn begin(&mut self, config: &ListenConfig, why: Begin) -> Next {
        self.identify = why == Begin::Identify;
        self.ways_out = 0;
        self.address.clear();
        self.ask(Step::Enter, config)
    }

    fn step(&self) -> &'static str {
        match self.step {
            Step::LeaveFirst | Step::Abandon | Step::Exit => "leave the configuration mode",
            Step::Enter => "enter the configuration mode",
            Step::Address(_) => "read its address",
            Step::Read(_) | Step::ReadBack(_) => "read a parameter",
            Step::BeginWrite(_) | Step::Write(_) => "write a parameter",
            Step::Mode => "radio mode",
            Step::AcceptAll => "accept all meters",
        }
    }

    fn answered(&mut self, config: &ListenConfig, answer: &[u8]) -> Next {
        match (self.step, answer) {
            (Step::Enter, [PROMPT]) => self.ask(Step::Address(0), config),
            (Step::Address(nth), [byte, PROMPT]) => {
                self.address.push(*byte);
                match nth + 1 {
                    next if next < ADDRESS_BYTES => self.ask(Step::Address(next), config),
                    _ if self.identify => self.ask(Step::Exit, config),
                    _ => self.ask(Step::Read(0), config),
                }
            }
            (Step::Read(nth), [found, PROMPT]) => self.parameter(nth, *found, false, config),
            (Step::ReadBack(nth), [found, PROMPT]) => self.parameter(nth, *found, true, config),
            (Step::BeginWrite(nth), [PROMPT]) => self.ask(Step::Write(nth), config),
            (Step::Write(nth), [PROMPT]) => self.ask(Step::ReadBack(nth), config),
            (Step::Mode, [PROMPT]) => self.ask(Step::AcceptAll, config),
            (Step::AcceptAll, [PROMPT]) => self.ask(Step::Exit, config),
            _ => Next::Unasked,
        }
    }

    fn paused(&mut self, config: &ListenConfig) -> Next {
        if self.step == Step::Exit {
            return Next::Ready(self.identity());
        }
        self.address.clear();
        self.ask(Step::Enter, config)
    }

    fn may_repeat(&self) -> bool {
        // Behind an `M` whose prompt was lost, another one would be a position to write to.
        !matches!(self.step, Step::BeginWrite(_) | Step::Write(_))
    }

    fn unanswered(&mut self, config: &ListenConfig) -> Option<Next> {
        let way_out = match self.step {
            Step::Enter => Step::LeaveFirst,
            Step::BeginWrite(_) | Step::Write(_) => Step::Abandon,
            _ => return None,
        };
        if self.ways_out >= config.retries {
            return None;
        }
        self.ways_out = self.ways_out.saturating_add(1);
        Some(self.ask(way_out, config))
    }

    fn take(&mut self, config: &ListenConfig, bytes: &[u8], ended: bool, asked: bool) -> Taken {
        if asked {
            let wanted = self.answer_bytes();
            return match bytes.get(..wanted) {
                // A telegram may still come out before the prompt, and may have its sign inside: the
                // prompt is what the line falls quiet behind.
                _ if self.step == Step::Enter => match bytes {
                    _ if !ended => Taken::More,
                    [PROMPT] => Taken::Answer(1, [PROMPT].to_vec()),
                    [before @ .., PROMPT] => Taken::Noise(before.len(), NoiseReason::TooEarly),
                    _ => Taken::Noise(bytes.len(), NoiseReason::TooEarly),
                },
                None => Taken::More,
                Some(answer) if answer.last() == Some(&PROMPT) => Taken::Answer(wanted, answer.to_vec()),
                Some(_) => Taken::Noise(1, NoiseReason::Garbage),
            };
        }
        match self.telegram(config, bytes) {
            Ok(None) => Taken::More,
            // What looks like a telegram inside a cut one is none, unless the quiet ends it too.
            Ok(Some((_, length))) if ended && length != bytes.len() => Taken::Noise(1, NoiseReason::CutShort),
            Ok(Some((telegram, length))) => Taken::Telegram(length, telegram),
            Err(reason) => Taken::Noise(1, reason),
        }
    }
}
