//! IMST iM871A, by its Host Controller Interface.
//!
//! Message numbers, configuration flags and link modes are those of IMST's HCI specification
//! 4100/6404/0050 v1.6, confirmed by three independent programs. Telegrams come without CRCs and
//! without their L-field: the message's length stands for it.
//!
//! Not verified: the byte order of the device identification (taken as least significant first,
//! like every field of the HCI), and the meaning of a status byte in the answer to a setting.
//! Therefore the settings are read back instead of trusting the status.

use crate::dialect::{Begin, Dialect, Next, Radioed, Taken};
use crate::hci::{self, DEVICE_MANAGEMENT, HciError, RADIO_LINK};
use crate::heard::{Form, NoiseReason};
use crate::{CFormat, Failure, Identity, Kind, ListenConfig, Mode, Modes};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

const PING_REQ: u8 = 0x01;
const SET_CONFIG_REQ: u8 = 0x03;
const GET_CONFIG_REQ: u8 = 0x05;
const RESET_REQ: u8 = 0x07;
const DEVICE_INFO_REQ: u8 = 0x0F;
/// Radio link: a telegram was received.
const TELEGRAM_IND: u8 = 0x03;

const MODULE_IM871A: u8 = 0x33;
const MODULE_IM170A: u8 = 0x36;

const DEVICE_MODE_OTHER: u8 = 0x00;
const LINK_S1: u8 = 0x00;
const LINK_T1: u8 = 0x03;
const LINK_C1_A: u8 = 0x06;
const LINK_C1_B: u8 = 0x07;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    Reset,
    #[default]
    Ping,
    DeviceInfo,
    Configure,
    ReadBack,
}

/// The dialect of the iM871A.
#[derive(Debug, Default)]
pub(crate) struct Im871a {
    step: Step,
    identify: bool,
    model: String,
    serial: String,
    firmware: String,
}

/// What the configuration's answer tells of the settings that matter here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Settings {
    device_mode: Option<u8>,
    link_mode: Option<u8>,
    rssi_attached: Option<u8>,
}

impl Im871a {
    fn ask(&mut self, step: Step, config: &ListenConfig) -> Next {
        self.step = step;
        let (id, payload) = match step {
            Step::Reset => (RESET_REQ, Vec::new()),
            Step::Ping => (PING_REQ, Vec::new()),
            Step::DeviceInfo => (DEVICE_INFO_REQ, Vec::new()),
            Step::ReadBack => (GET_CONFIG_REQ, Vec::new()),
            // Volatile (00); device mode and link mode (03); power saving off and signal strength
            // attached (18).
            Step::Configure => {
                (SET_CONFIG_REQ, [0x00, 0x03, DEVICE_MODE_OTHER, link_mode(config), 0x18, 0x00, 0x01].to_vec())
            }
        };
        Next::Ask(hci::emit(DEVICE_MANAGEMENT, id, &payload))
    }

    const fn request(&self) -> u8 {
        match self.step {
            Step::Reset => RESET_REQ,
            Step::Ping => PING_REQ,
            Step::DeviceInfo => DEVICE_INFO_REQ,
            Step::Configure => SET_CONFIG_REQ,
            Step::ReadBack => GET_CONFIG_REQ,
        }
    }

    fn identity(&self) -> Identity {
        Identity {
            kind: Kind::Im871a,
            model: self.model.clone(),
            serial: self.serial.clone(),
            firmware: self.firmware.clone(),
        }
    }

    /// Module type, device mode, firmware, HCI version, identification (4 bytes).
    fn informed(&mut self, config: &ListenConfig, payload: &[u8]) -> Next {
        let (Some(module), Some(firmware)) = (payload.first(), payload.get(2)) else {
            return Next::Fail(Failure::WrongDevice {
                kind: Kind::Im871a,
                found: format!("a device whose information has {} bytes, not 8", payload.len()),
            });
        };
        self.model = match *module {
            MODULE_IM871A => "iM871A".to_string(),
            MODULE_IM170A => "iM170A".to_string(),
            other => format!("module type {other:02X}"),
        };
        self.firmware = format!("{}.{}", firmware >> 4, firmware & 0x0F);
        self.serial = payload
            .get(4..8)
            .and_then(|id| id.try_into().ok())
            .map(|id: [u8; 4]| format!("{:08X}", u32::from_le_bytes(id)))
            .unwrap_or_default();
        if self.identify {
            return Next::Ready(self.identity());
        }
        if *module == MODULE_IM170A {
            let found = "iM170A, a receiver for 169 MHz".to_string();
            return Next::Fail(Failure::WrongDevice { kind: Kind::Im871a, found });
        }
        self.ask(Step::Configure, config)
    }

    fn read_back(&self, config: &ListenConfig, payload: &[u8]) -> Next {
        let settings = Settings::parse(payload);
        let wanted = [
            ("link mode", settings.link_mode, link_mode(config)),
            ("device mode", settings.device_mode, DEVICE_MODE_OTHER),
        ];
        for (step, found, wanted) in wanted {
            match found {
                Some(found) if found != wanted => {
                    return Next::Fail(Failure::NotKept { kind: Kind::Im871a, step, wanted, found });
                }
                _ => {}
            }
        }
        Next::Ready(self.identity())
    }
}

impl Settings {
    /// Two flag bytes, each followed by the fields whose bits are set, lowest first.
    fn parse(payload: &[u8]) -> Self {
        const FIRST: [usize; 8] = [1, 1, 1, 2, 4, 1, 1, 1];
        const SECOND: [usize; 8] = [1; 8];
        let mut settings = Self::default();
        let mut at = 0;
        for (group, sizes) in [FIRST, SECOND].into_iter().enumerate() {
            let Some(flags) = payload.get(at).copied() else { break };
            at += 1;
            for (bit, size) in sizes.into_iter().enumerate() {
                if flags >> bit & 1 == 1 {
                    let first = payload.get(at).copied();
                    match (group, bit) {
                        (0, 0) => settings.device_mode = first,
                        (0, 1) => settings.link_mode = first,
                        (1, 4) => settings.rssi_attached = first,
                        _ => {}
                    }
                    at += size;
                }
            }
        }
        settings
    }
}

fn link_mode(config: &ListenConfig) -> u8 {
    match (config.modes, config.c_format) {
        (Modes::S, _) => LINK_S1,
        (Modes::C, CFormat::A) => LINK_C1_A,
        (Modes::C, CFormat::B) => LINK_C1_B,
        _ => LINK_T1,
    }
}

/// Decibels of the attached byte: -100 - 4000/150 + 80/150 of it, to the nearest.
fn rssi_dbm(raw: u8) -> i16 {
    // In 150ths; the largest in size is -19000.
    let exact = i32::from(raw) * 80 - 19_000;
    i16::try_from((exact + 75).div_euclid(150)).unwrap_or(i16::MIN)
}

impl Dialect for Im871a {
    fn begin(&mut self, config: &ListenConfig, why: Begin) -> Next {
        self.identify = why == Begin::Identify;
        self.ask(if why == Begin::Reset { Step::Reset } else { Step::Ping }, config)
    }

    fn step(&self) -> &'static str {
        match self.step {
            Step::Reset => "reset",
            Step::Ping => "ping",
            Step::DeviceInfo => "device information",
            Step::Configure => "set link mode and signal strength",
            Step::ReadBack => "read the configuration back",
        }
    }

    fn answered(&mut self, config: &ListenConfig, answer: &[u8]) -> Next {
        let Some((id, payload)) = answer.split_first() else { return Next::Unasked };
        if *id != self.request() + 1 {
            return Next::Unasked;
        }
        match self.step {
            Step::Reset => Next::Pause(config.boot),
            Step::Ping => self.ask(Step::DeviceInfo, config),
            Step::DeviceInfo => self.informed(config, payload),
            Step::Configure => self.ask(Step::ReadBack, config),
            Step::ReadBack => self.read_back(config, payload),
        }
    }

    fn paused(&mut self, config: &ListenConfig) -> Next {
        self.ask(Step::Ping, config)
    }

    fn unanswered(&mut self, config: &ListenConfig) -> Option<Next> {
        // One that hangs may not answer its reset and still obey.
        (self.step == Step::Reset).then_some(Next::Pause(config.boot))
    }

    fn take(&mut self, config: &ListenConfig, bytes: &[u8], _: bool, _: bool) -> Taken {
        let (message, length) = match hci::parse(bytes) {
            Ok(None) => return Taken::More,
            Ok(Some(found)) => found,
            Err(HciError::WrongCrc) => return Taken::Noise(1, NoiseReason::WrongChecksum),
            Err(HciError::NoHeader) => {
                let next = bytes.iter().skip(1).position(|byte| *byte == hci::START);
                return Taken::Noise(next.map_or(bytes.len(), |at| at + 1), NoiseReason::Garbage);
            }
        };
        if !message.checked && config.assumptions.im871a_requires_crc {
            return Taken::Noise(1, NoiseReason::WrongChecksum);
        }
        match (message.endpoint, message.id) {
            (RADIO_LINK, TELEGRAM_IND) => {
                let mut telegram = Vec::with_capacity(message.payload.len() + 1);
                telegram.push(u8::try_from(message.payload.len()).unwrap_or(u8::MAX));
                telegram.extend(message.payload);
                Taken::Telegram(
                    length,
                    Radioed {
                        bytes: telegram,
                        form: Form::Stripped,
                        mode: config.modes.single().filter(|mode| *mode != Mode::N),
                        rssi_dbm: message.rssi.map(rssi_dbm),
                    },
                )
            }
            (DEVICE_MANAGEMENT, id) => {
                let mut answer = Vec::with_capacity(message.payload.len() + 1);
                answer.push(id);
                answer.extend(message.payload);
                Taken::Answer(length, answer)
            }
            // Without a CRC an unknown message is no better than garbage.
            _ if !message.checked => Taken::Noise(1, NoiseReason::Garbage),
            _ => Taken::Noise(length, NoiseReason::Unasked),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signal_strength() {
        for (raw, dbm) in [(0, -127), (255, 9), (50, -100), (150, -47), (90, -79)] {
            assert_eq!(rssi_dbm(raw), dbm, "{raw}");
        }
    }

    #[test]
    fn settings_lie_behind_their_flags() {
        // Device mode, link mode, manufacturer (2), identification (4); then RSSI.
        let answer = [0x1B, 0x00, 0x03, 0x2D, 0x2C, 1, 2, 3, 4, 0x11, 0x07, 0x01];
        let settings = Settings::parse(&answer);
        assert_eq!(settings, Settings { device_mode: Some(0), link_mode: Some(3), rssi_attached: Some(1) });
        for cut in 0..answer.len() {
            let _ = Settings::parse(&answer[..cut]);
        }
        assert_eq!(Settings::parse(&[]), Settings::default());
    }
}
