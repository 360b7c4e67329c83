//! The opening of IEC 62056-21: identification at 300 baud, then a readout (mode C) or HDLC (mode E).

use super::config::MeterConfig;
use super::meter::Meter;
use super::serial::BITS_PER_BYTE;
use crate::LineSpeed;
use std::time::Duration;

/// The speed at which every opening begins (6.3.1).
pub(super) const OPENING_SPEED: LineSpeed = LineSpeed(300);
/// Bytes of a request or an acknowledgement, at most.
const MESSAGE_BYTES_MAX: usize = 64;
/// How long the meter waits for an acknowledgement before it takes a request for a new one.
const ACKNOWLEDGEMENT_MAX: Duration = Duration::from_secs(2);
/// After the last connection's end, HDLC is still heard for so long.
const HDLC_LINGERS: Duration = Duration::from_secs(3);
const ACK: u8 = 0x06;
const STX: u8 = 0x02;
const ETX: u8 = 0x03;

/// How a meter's opening deviates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpeningForm {
    /// How long the meter takes to begin its answer (6.3.14: 200 ms to 1500 ms).
    pub reaction: Duration,
    /// The confirmation of mode E comes at 300 baud. The standard has it at the new speed, as some meters
    /// have not.
    pub confirms_at_300: bool,
    /// Characters have their even parity in the eighth bit, as a port of eight bits sees them. Without, they
    /// are as a port of seven bits and parity sees them.
    pub parity_bits: bool,
}

impl Default for OpeningForm {
    /// As the standard has it, as quick as it may be.
    fn default() -> Self {
        Self { reaction: Duration::from_millis(200), confirms_at_300: false, parity_bits: false }
    }
}

/// What the meter says, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spoken {
    pub(super) text: Vec<u8>,
    pub(super) speed: LineSpeed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Request,
    Acknowledgement { since: Duration },
    Hdlc { since: Duration },
}

/// How far an opening is.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) form: OpeningForm,
    speed: LineSpeed,
    phase: Phase,
    heard: Vec<u8>,
}

impl Opening {
    /// An opening that leads to `speed`.
    pub(super) fn new(form: OpeningForm, speed: LineSpeed) -> Self {
        Self { form, speed, phase: Phase::Request, heard: Vec::new() }
    }

    /// Whether HDLC is spoken now.
    pub(super) fn is_through(&self) -> bool {
        matches!(self.phase, Phase::Hdlc { .. })
    }

    /// The speed at which the meter listens.
    pub(super) fn listens_at(&self) -> LineSpeed {
        if self.is_through() { self.speed } else { OPENING_SPEED }
    }

    /// A byte of HDLC comes at a speed. Without a connection the meter falls back to its opening: after a
    /// while, or when it hears one begin.
    pub(super) fn hears_hdlc(&mut self, heard_at: LineSpeed, connected: bool, at: Duration) {
        let Phase::Hdlc { since } = self.phase else { return };
        let over = at.saturating_sub(since) > HDLC_LINGERS || heard_at == OPENING_SPEED;
        self.phase = if !connected && over { Phase::Request } else { Phase::Hdlc { since: at } };
    }

    /// Hears a byte of the opening; says something at the end of a message.
    pub(super) fn hear(&mut self, meter: &Meter, byte: u8, at: Duration) -> Option<Spoken> {
        let byte = byte & 0x7F;
        if let Phase::Acknowledgement { since } = self.phase
            && at.saturating_sub(since) > ACKNOWLEDGEMENT_MAX
        {
            self.phase = Phase::Request;
        }
        if matches!(byte, b'/' | ACK) || self.heard.len() >= MESSAGE_BYTES_MAX {
            self.heard.clear();
        }
        self.heard.push(byte);
        if !self.heard.ends_with(b"\r\n") {
            return None;
        }
        let message = std::mem::take(&mut self.heard);
        match message.as_slice() {
            [b'/', b'?', address @ .., b'!', b'\r', b'\n'] => self.identify(meter, address, at),
            [ACK, protocol, speed, mode, b'\r', b'\n'] if self.phase != Phase::Request => {
                self.choose(meter, [*protocol, *speed, *mode], at)
            }
            _ => None,
        }
    }

    fn identify(&mut self, meter: &Meter, address: &[u8], at: Duration) -> Option<Spoken> {
        let serial = meter.config.serial();
        if !address.is_empty() && address != serial.as_bytes() {
            return None;
        }
        let text = format!("/PLM{}\\2PLOMB-{serial}\r\n", char::from(speed_letter(self.speed)));
        // The client has heard it when its last character is over.
        let bits = u64::try_from(text.len()).unwrap_or_default() * BITS_PER_BYTE;
        self.phase = Phase::Acknowledgement { since: at + self.form.reaction + OPENING_SPEED.bits(bits) };
        Some(self.spoken(text.into_bytes(), OPENING_SPEED))
    }

    fn choose(&mut self, meter: &Meter, [protocol, speed, mode]: [u8; 3], at: Duration) -> Option<Spoken> {
        self.phase = Phase::Request;
        // A client may stay at the old speed; any other than these two is a misunderstanding.
        let chosen = match speed {
            b'0' => OPENING_SPEED,
            letter if letter == speed_letter(self.speed) => self.speed,
            _ => return None,
        };
        match (protocol, mode) {
            (b'2', b'2') => {
                self.phase = Phase::Hdlc { since: at };
                self.speed = chosen;
                let at_speed = if self.form.confirms_at_300 { OPENING_SPEED } else { chosen };
                Some(self.spoken(vec![ACK, protocol, speed, mode, b'\r', b'\n'], at_speed))
            }
            (_, b'0') => Some(self.spoken(readout_message(meter, at), chosen)),
            _ => None,
        }
    }

    fn spoken(&self, text: Vec<u8>, speed: LineSpeed) -> Spoken {
        let parity = |byte: u8| byte | u8::from(byte.count_ones() % 2 == 1) << 7;
        let text = if self.form.parity_bits { text.into_iter().map(parity).collect() } else { text };
        Spoken { text, speed }
    }
}

/// The letter of a speed (table of 6.3.14.2, protocol modes C and E).
fn speed_letter(speed: LineSpeed) -> u8 {
    match speed.0 {
        600 => b'1',
        1200 => b'2',
        2400 => b'3',
        4800 => b'4',
        9600 => b'5',
        19_200 => b'6',
        _ => b'0',
    }
}

/// The data sets of a readout: address, value and unit, a line each, as they stand between STX and `!`.
#[must_use]
pub(super) fn readout(meter: &Meter, at: Duration) -> String {
    let mut text = format!("0.0.0({})\r\n", meter.config.serial());
    text.push_str(&clock_lines(&meter.config, meter.clock_s(at)));
    for held in meter.held(at) {
        let (unit, exponent) = match held.unit {
            27 => ("kW", -3),
            30 => ("kWh", -3),
            32 => ("kvarh", -3),
            33 => ("A", 0),
            35 => ("V", 0),
            44 => ("Hz", 0),
            _ => ("", 0),
        };
        let code = held.obis.trim_start_matches("1.0.").trim_end_matches(".255");
        let value = decimal(held.mantissa, i32::from(held.scaler) + exponent);
        let unit = if unit.is_empty() { String::new() } else { format!("*{unit}") };
        text.push_str(&format!("{code}({value}{unit})\r\n"));
    }
    text
}

fn clock_lines(config: &MeterConfig, clock_s: u64) -> String {
    let [_, year, month, day, _, hour, minute, second, ..] = config.stamp(clock_s);
    // The year's low byte alone: 2026 is 07EA.
    let year = (1792 + u16::from(year)) % 100;
    format!("0.9.1({hour:02}:{minute:02}:{second:02})\r\n0.9.2({year:02}-{month:02}-{day:02})\r\n")
}

/// STX, the data sets, the end, ETX, and the check character over all after STX (6.3.3).
fn readout_message(meter: &Meter, at: Duration) -> Vec<u8> {
    let mut message = readout(meter, at).into_bytes();
    message.extend(b"!\r\n");
    message.push(ETX);
    let check = message.iter().fold(0, |check, byte| check ^ byte);
    message.insert(0, STX);
    message.push(check);
    message
}

/// Digits with a decimal point: seven before it, as a register shows them.
fn decimal(mantissa: i64, exponent: i32) -> String {
    let places = usize::try_from(-exponent).unwrap_or_default();
    let digits = format!("{:0width$}", mantissa.unsigned_abs(), width = places + 1);
    let zeros = "0".repeat(usize::try_from(exponent).unwrap_or_default());
    let sign = if mantissa < 0 { "-" } else { "" };
    let (whole, fraction) = digits.split_at(digits.len() - places);
    if fraction.is_empty() { format!("{sign}{whole}{zeros}") } else { format!("{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Calendar;
    use crate::dlms::Mechanism;

    fn meter() -> Meter {
        let calendar = Calendar { start_unix_s: 1_795_423_325, factor: 0 };
        Meter::new(MeterConfig::new(7, calendar, Mechanism::None, 0))
    }

    fn say(opening: &mut Opening, meter: &Meter, text: &[u8]) -> Option<Spoken> {
        text.iter().filter_map(|byte| opening.hear(meter, *byte, Duration::ZERO)).last()
    }

    #[test]
    fn a_client_is_led_to_hdlc() {
        let (meter, mut opening) = (meter(), Opening::new(OpeningForm::default(), LineSpeed(9600)));
        let identification = say(&mut opening, &meter, b"\0\0/?!\r\n").unwrap();
        assert!(identification.text.starts_with(b"/PLM5\\2"), "{identification:?}");
        assert_eq!(identification.speed, OPENING_SPEED);
        let confirmed = say(&mut opening, &meter, b"\x06252\r\n").unwrap();
        assert_eq!((confirmed.text.as_slice(), confirmed.speed), (&b"\x06252\r\n"[..], LineSpeed(9600)));
        assert!(opening.is_through());
        opening.hears_hdlc(OPENING_SPEED, true, Duration::ZERO);
        assert!(opening.is_through(), "a connection keeps it");
        opening.hears_hdlc(OPENING_SPEED, false, Duration::ZERO);
        assert!(!opening.is_through());
    }

    #[test]
    fn a_readout_has_its_check_character() {
        let form = OpeningForm { parity_bits: true, ..OpeningForm::default() };
        let (meter, mut opening) = (meter(), Opening::new(form, LineSpeed(9600)));
        let serial = meter.config.serial();
        assert!(say(&mut opening, &meter, b"/?00000001!\r\n").is_none(), "another meter's address");
        say(&mut opening, &meter, format!("/?{serial}!\r\n").as_bytes()).unwrap();
        let read = say(&mut opening, &meter, b"\x06050\r\n").unwrap();
        assert!(read.text.iter().all(|byte| byte.count_ones() % 2 == 0));
        let text: Vec<u8> = read.text.iter().map(|byte| byte & 0x7F).collect();
        assert_eq!(text[1..].iter().fold(0, |check, byte| check ^ byte), 0);
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("0.9.2(26-11-23)\r\n"), "{text}");
        assert_eq!(
            (decimal(27_855_796, -3), decimal(5, -3), decimal(-95, -2)),
            ("27855.796".into(), "0.005".into(), "-0.95".into())
        );
    }
}
