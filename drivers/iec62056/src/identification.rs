use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use thiserror::Error;

/// The longest identification line, CR and LF apart. The standard has 16 characters behind the
/// speed; meters have more.
pub const IDENTIFICATION_BYTES_MAX: usize = 128;

/// A meter's first words: `/XXXZ\2identification` (IEC 62056-21 §6.3.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identification {
    /// The maker's three letters. A small third letter promises quick reactions.
    pub manufacturer: String,
    /// The character that proposes a speed.
    pub speed_code: char,
    /// The characters of its `\W` sequences, in their order: `2` offers mode E.
    pub sequences: String,
    /// The meter's own name for itself.
    pub device: String,
}

/// What a meter proposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Proposal {
    /// Mode A: the readout follows at the same speed.
    SameSpeed,
    /// Mode B: the readout follows at this speed, without a question.
    Switches(u32),
    /// Mode C or E: the reader may choose this speed, and what it wants.
    Choice(u32),
}

/// Why a line is not an identification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum IdentificationError {
    /// It does not begin with `/` and three letters.
    #[error("not an identification: it begins with / and three letters")]
    Manufacturer,
    /// It has no character for the speed.
    #[error("not an identification: no character for the speed behind the maker's letters")]
    Speed,
    /// Longer than any meter's.
    #[error("not an identification: longer than {IDENTIFICATION_BYTES_MAX} characters")]
    TooLong,
    /// Not text.
    #[error("not an identification: byte {0:02x} is no printable character")]
    NotText(u8),
}

impl Identification {
    /// Reads a line, with its `/` and without CR and LF.
    ///
    /// # Errors
    /// [`IdentificationError`].
    pub fn parse(line: &[u8]) -> Result<Self, IdentificationError> {
        if line.len() > IDENTIFICATION_BYTES_MAX {
            return Err(IdentificationError::TooLong);
        }
        if let Some(byte) = line.iter().find(|byte| !matches!(byte, b' '..=b'~')) {
            return Err(IdentificationError::NotText(*byte));
        }
        let text = core::str::from_utf8(line).map_err(|_| IdentificationError::Manufacturer)?;
        let rest = text.strip_prefix('/').ok_or(IdentificationError::Manufacturer)?;
        let (manufacturer, rest) = rest.split_at_checked(3).ok_or(IdentificationError::Manufacturer)?;
        if !manufacturer.bytes().all(|letter| letter.is_ascii_alphabetic()) {
            return Err(IdentificationError::Manufacturer);
        }
        let mut rest = rest.chars();
        let speed_code = rest.next().ok_or(IdentificationError::Speed)?;
        let mut device = rest.as_str();
        let mut sequences = String::new();
        while let Some(sequence) = device.strip_prefix('\\') {
            let mut behind = sequence.chars();
            let Some(character) = behind.next() else { break };
            sequences.push(character);
            device = behind.as_str();
        }
        Ok(Self { manufacturer: manufacturer.to_owned(), speed_code, sequences, device: device.to_owned() })
    }

    /// What the meter proposes (IEC 62056-21 §6.3.14, table of speeds).
    #[must_use]
    pub const fn proposal(&self) -> Proposal {
        match (self.speed_code, speed_of(self.speed_code)) {
            ('0'..='9', Some(speed)) => Proposal::Choice(speed),
            ('A'..='I', Some(speed)) => Proposal::Switches(speed),
            _ => Proposal::SameSpeed,
        }
    }

    /// Whether the meter says that it knows mode E. Some that know it do not say so.
    #[must_use]
    pub fn offers_hdlc(&self) -> bool {
        self.sequences.contains('2')
    }

    /// Whether the meter reacts within 20 ms instead of 200 ms, and wants no longer pauses.
    #[must_use]
    pub fn is_quick(&self) -> bool {
        self.manufacturer.ends_with(|letter: char| letter.is_ascii_lowercase())
    }
}

/// The speed behind a character of an identification, in bits per second.
pub(crate) const fn speed_of(code: char) -> Option<u32> {
    match code {
        '0' => Some(300),
        '1' | 'A' => Some(600),
        '2' | 'B' => Some(1200),
        '3' | 'C' => Some(2400),
        '4' | 'D' => Some(4800),
        '5' | 'E' => Some(9600),
        '6' | 'F' => Some(19_200),
        _ => None,
    }
}

impl fmt::Display for Identification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}{}", self.manufacturer, self.speed_code)?;
        self.sequences.chars().try_for_each(|sequence| write!(f, "\\{sequence}"))?;
        f.write_str(&self.device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn modes_by_their_characters() {
        let read = |line: &str| Identification::parse(line.as_bytes()).unwrap();
        let landis = read("/LGZ5\\2ZMD3104407.B32");
        assert_eq!((&landis.manufacturer[..], &landis.device[..]), ("LGZ", "ZMD3104407.B32"));
        assert_eq!((landis.proposal(), landis.offers_hdlc()), (Proposal::Choice(9600), true));
        assert_eq!(read("/ABCDxyz").proposal(), Proposal::Switches(4800));
        assert_eq!(read("/ABC xyz").proposal(), Proposal::SameSpeed);
        assert_eq!(read("/ABC7xyz").proposal(), Proposal::SameSpeed);
        assert!(read("/Abc5").is_quick() && !read("/ABC5").is_quick());
        for line in ["", "/", "/AB", "/AB15x", "ABC5x", "/?!"] {
            assert_eq!(Identification::parse(line.as_bytes()), Err(IdentificationError::Manufacturer), "{line}");
        }
        assert_eq!(Identification::parse(b"/ABC"), Err(IdentificationError::Speed));
        assert_eq!(Identification::parse(&[b'/'; 200]), Err(IdentificationError::TooLong));
    }

    proptest! {
        #[test]
        fn lines_come_back(line in "/[A-Za-z]{3}[ -~]{1,100}") {
            let identification = Identification::parse(line.as_bytes()).unwrap();
            // A lone backslash at the end is the device's.
            prop_assert_eq!(identification.to_string(), line);
        }
    }
}
