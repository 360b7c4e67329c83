//! The headers in front of the records: who the meter is, how it is, and how its data is protected
//! (EN 13757-7, clause 7).

use core::fmt;
use core::str::FromStr;
use thiserror::Error;

/// What precedes the records of a variable structure, of the long header (CI 72, 76).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which meter.
    pub meter: MeterId,
    /// Counts the meter's answers, modulo 256.
    pub access: u8,
    /// How the meter is.
    pub status: Status,
    /// How the records are protected.
    pub configuration: Configuration,
}

/// A secondary address: identification, manufacturer, version and medium, which together name one
/// meter in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MeterId {
    /// The eight digits on the meter.
    pub id: Identification,
    /// The manufacturer's three letters.
    pub manufacturer: Manufacturer,
    /// The version, or generation, of the meter.
    pub version: u8,
    /// What is metered.
    pub medium: Medium,
}

/// Eight BCD digits, as in the standard; hexadecimal digits occur in the field and are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identification(pub u32);

/// The text is not an identification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not an identification: write eight digits, as on the meter")]
pub struct IdentificationError;

/// Three letters in sixteen bits (EN 13757-7; assigned by the FLAG association).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Manufacturer(pub u16);

/// What is metered (EN 13757-7, table 13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Medium(pub u8);

/// The status byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Status(pub u8);

/// The configuration word (older editions: signature).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Configuration(pub u16);

impl fmt::Display for Identification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08X}", self.0)
    }
}

impl FromStr for Identification {
    type Err = IdentificationError;

    fn from_str(text: &str) -> Result<Self, IdentificationError> {
        if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(IdentificationError);
        }
        u32::from_str_radix(text, 16).map(Self).map_err(|_| IdentificationError)
    }
}

impl Manufacturer {
    /// The code of three letters; `None` for anything else.
    #[must_use]
    pub fn from_letters(letters: [u8; 3]) -> Option<Self> {
        let mut code = 0u16;
        for letter in letters {
            if !letter.is_ascii_uppercase() {
                return None;
            }
            code = code << 5 | u16::from(letter - b'A' + 1);
        }
        Some(Self(code))
    }

    /// Whether a selection with this code means `other`: FF stands for any, in each of the two bytes (EN 13757-7,
    /// clause 8). Some meters know it only in both.
    #[must_use]
    pub fn includes(self, other: Self) -> bool {
        self.0.to_le_bytes().into_iter().zip(other.0.to_le_bytes()).all(|(own, its)| own == u8::MAX || own == its)
    }

    /// Whether a byte is FF, which no manufacturer's code has.
    #[must_use]
    pub fn has_wild_byte(self) -> bool {
        self.0.to_le_bytes().contains(&u8::MAX)
    }

    /// The three letters; `None` when the code names none.
    #[must_use]
    pub fn letters(self) -> Option<[char; 3]> {
        let letter = |shift: u16| match u8::try_from(self.0 >> shift & 0x1F) {
            Ok(number @ 1..=26) => Some(char::from(b'A' - 1 + number)),
            _ => None,
        };
        Some([letter(10)?, letter(5)?, letter(0)?])
    }
}

impl fmt::Display for Manufacturer {
    /// Three letters, or four hexadecimal digits where the code names no letters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.letters() {
            Some([a, b, c]) => write!(f, "{a}{b}{c}"),
            None => write!(f, "{:04X}", self.0),
        }
    }
}

impl Medium {
    /// The name in lower-case words; "reserved" for codes without one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            0x00 => "other",
            0x01 => "oil",
            0x02 => "electricity",
            0x03 => "gas",
            0x04 => "heat (outlet)",
            0x05 => "steam",
            0x06 => "warm water",
            0x07 => "water",
            0x08 => "heat cost allocator",
            0x09 => "compressed air",
            0x0A => "cooling (outlet)",
            0x0B => "cooling (inlet)",
            0x0C => "heat (inlet)",
            0x0D => "heat and cooling",
            0x0E => "bus or system",
            0x0F => "unknown",
            0x10 => "irrigation water",
            0x11 => "water data logger",
            0x12 => "gas data logger",
            0x13 => "gas converter",
            0x14 => "calorific value",
            0x15 => "hot water",
            0x16 => "cold water",
            0x17 => "hot and cold water",
            0x18 => "pressure",
            0x19 => "analogue-digital converter",
            0x1A => "smoke detector",
            0x1B => "room sensor",
            0x1C => "gas detector",
            0x1D => "carbon monoxide detector",
            0x1E => "heat detector",
            0x1F => "sensor",
            0x20 => "breaker",
            0x21 => "valve",
            0x25 => "customer unit",
            0x28 => "waste water",
            0x29 => "garbage",
            0x2A => "carbon dioxide",
            0x31 => "communication controller",
            0x32 => "unidirectional repeater",
            0x33 => "bidirectional repeater",
            0x36 => "radio converter (system side)",
            0x37 => "radio converter (meter side)",
            0x38 => "wired adapter",
            _ => "reserved",
        }
    }
}

impl fmt::Display for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Status {
    /// Bits 0 and 1.
    #[must_use]
    pub const fn application(self) -> ApplicationStatus {
        match self.0 & 0x03 {
            0 => ApplicationStatus::NoError,
            1 => ApplicationStatus::Busy,
            2 => ApplicationStatus::Error,
            _ => ApplicationStatus::Alarm,
        }
    }

    /// Bit 2: the battery, or the supply, is low.
    #[must_use]
    pub const fn power_low(self) -> bool {
        self.0 & 0x04 != 0
    }

    /// Bit 3: an error that only a service ends.
    #[must_use]
    pub const fn permanent_error(self) -> bool {
        self.0 & 0x08 != 0
    }

    /// Bit 4: an error that may pass.
    #[must_use]
    pub const fn temporary_error(self) -> bool {
        self.0 & 0x10 != 0
    }

    /// Bits 5 to 7: the manufacturer's own.
    #[must_use]
    pub const fn manufacturer_bits(self) -> u8 {
        self.0 >> 5
    }
}

/// What the meter's application says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApplicationStatus {
    /// All is well.
    NoError,
    /// The application is busy; its data may be old.
    Busy,
    /// An application error.
    Error,
    /// An abnormal condition, or an alarm.
    Alarm,
}

impl fmt::Display for Status {
    /// "ok", or what is wrong, separated by commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("ok");
        }
        let application = match self.application() {
            ApplicationStatus::NoError => "",
            ApplicationStatus::Busy => "application busy",
            ApplicationStatus::Error => "application error",
            ApplicationStatus::Alarm => "alarm",
        };
        let power = if self.power_low() { "power low" } else { "" };
        let permanent = if self.permanent_error() { "permanent error" } else { "" };
        let temporary = if self.temporary_error() { "temporary error" } else { "" };
        let mut separator = "";
        for word in [application, power, permanent, temporary].into_iter().filter(|word| !word.is_empty()) {
            write!(f, "{separator}{word}")?;
            separator = ", ";
        }
        if self.manufacturer_bits() != 0 {
            write!(f, "{separator}manufacturer {:02x}", self.0 & 0xE0)?;
        }
        Ok(())
    }
}

impl Configuration {
    /// The security mode (bits 8 to 12).
    #[must_use]
    pub const fn mode(self) -> u8 {
        (self.0 >> 8 & 0x1F) as u8
    }

    /// Bytes of the payload that are encrypted, at most `payload`; 0 when the records are plain.
    ///
    /// Many older meters leave noise in this word. It counts as encryption only when it names a
    /// mode that exists and as many blocks as the payload has.
    #[must_use]
    pub fn encrypted_bytes(self, payload: usize) -> usize {
        let blocks = usize::from(self.0 >> 4 & 0x0F);
        let (unit, exists) = match self.mode() {
            2 | 3 => (8, true),
            4 | 5 | 7 | 8 | 9 => (16, true),
            // Modes 10 and 13 do not count blocks: everything is encrypted.
            10 | 13 => return payload,
            _ => (0, false),
        };
        let bytes = blocks * unit;
        if exists && bytes <= payload { bytes } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn words_of_the_header() {
        assert_eq!(Manufacturer(0x0477).to_string(), "ACW");
        assert_eq!(Manufacturer::from_letters(*b"ACW"), Some(Manufacturer(0x0477)));
        assert_eq!(Manufacturer(0).to_string(), "0000");
        assert_eq!(Identification(0x0034_5157).to_string(), "00345157");
        assert_eq!("0034515F".parse(), Ok(Identification(0x0034_515F)));
        assert_eq!("345157".parse::<Identification>(), Err(IdentificationError));
        assert_eq!(Medium(0x16).name(), "cold water");
        assert_eq!(Status(0x00).to_string(), "ok");
        assert_eq!(Status(0x36).to_string(), "application error, power low, temporary error, manufacturer 20");
    }

    #[test]
    fn noise_in_the_configuration_word_is_not_encryption() {
        // Mode 5, two blocks; then signature words of real heat meters from before encryption.
        assert_eq!(Configuration(0x0520).encrypted_bytes(40), 32);
        assert_eq!(Configuration(0x0520).encrypted_bytes(31), 0);
        assert_eq!(Configuration(0xFFFF).encrypted_bytes(40), 0);
        assert_eq!(Configuration(0xB627).encrypted_bytes(40), 0);
        assert_eq!(Configuration(0x0000).encrypted_bytes(40), 0);
    }

    proptest! {
        #[test]
        fn letters_and_back(code: u16) {
            if let Some(letters) = Manufacturer(code).letters() {
                let letters = letters.map(|letter| u8::try_from(letter).unwrap());
                prop_assert_eq!(Manufacturer::from_letters(letters), Some(Manufacturer(code & 0x7FFF)));
            }
        }
    }
}
