//! Secondary addressing (EN 13757-7, clause 8): a slave is selected by its identity and then answers
//! at address 253.

use crate::frame::{Address, Control, Frame};
use crate::header::{Identification, Manufacturer, Medium, MeterId};
use alloc::vec::Vec;
use core::fmt;

const CI_SELECT: u8 = 0x52;
/// Eight BCD digits, fabrication number.
pub(crate) const FABRICATION_RECORD: [u8; 2] = [0x0C, 0x78];
const WILDCARD_NIBBLE: u32 = 0x0F;
const WILDCARD_BYTE: u8 = 0xFF;
const WILDCARD_WORD: u16 = 0xFFFF;

/// Which slaves a selection means: those that agree in every part that is given.
///
/// A digit F in the identification stands for any digit; `None` for any manufacturer, version or
/// medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SecondaryAddress {
    /// The eight digits, F for any.
    pub id: Identification,
    /// The manufacturer.
    pub manufacturer: Option<Manufacturer>,
    /// The version.
    pub version: Option<u8>,
    /// The medium.
    pub medium: Option<Medium>,
    /// The fabrication number, F for any digit, for slaves that know the extended selection; `None`
    /// for the common selection. A telegram may or may not tell it, so it is not compared by
    /// [`matches`](Self::matches).
    pub fabrication: Option<Identification>,
}

impl SecondaryAddress {
    /// Every slave.
    pub const ANY: Self = Self::from_id(Identification(u32::MAX));

    /// Any slave with these eight digits.
    #[must_use]
    pub const fn from_id(id: Identification) -> Self {
        Self { id, manufacturer: None, version: None, medium: None, fabrication: None }
    }

    /// Whether `meter` is meant.
    #[must_use]
    pub fn matches(&self, meter: &MeterId) -> bool {
        self.matches_id(meter.id)
            && self.manufacturer.is_none_or(|manufacturer| manufacturer.includes(meter.manufacturer))
            && self.version.is_none_or(|version| version == meter.version)
            && self.medium.is_none_or(|medium| medium == meter.medium)
    }

    /// Whether a meter with these eight digits may be meant.
    #[must_use]
    pub fn matches_id(&self, id: Identification) -> bool {
        (0..8).map(|digit| 4 * digit).all(|shift| {
            let wanted = self.id.0 >> shift & WILDCARD_NIBBLE;
            wanted == WILDCARD_NIBBLE || wanted == id.0 >> shift & WILDCARD_NIBBLE
        })
    }

    /// Whether a digit is left open, so that the selection is meant for several meters.
    #[must_use]
    pub fn has_wild_digit(&self) -> bool {
        (0..8).any(|digit| self.id.0 >> (4 * digit) & WILDCARD_NIBBLE == WILDCARD_NIBBLE)
    }

    /// Whether each of the eight bytes is given: who shares this address can be told apart only by a fabrication
    /// number, if at all.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.has_wild_digit()
            && self.manufacturer.is_some_and(|manufacturer| !manufacturer.has_wild_byte())
            && self.version.is_some()
            && self.medium.is_some()
    }

    /// Whether a meter's telegram may name `identity` when this is selected. The fixed structure tells only digits.
    pub(crate) fn includes(&self, identity: &Self) -> bool {
        let numbers = self.fabrication.zip(identity.fabrication);
        let fits = |asked: Option<u8>, got: Option<u8>| asked.zip(got).is_none_or(|(asked, got)| asked == got);
        self.matches_id(identity.id)
            && numbers.is_none_or(|(asked, got)| Self::from_id(asked).matches_id(got))
            && self.manufacturer.zip(identity.manufacturer).is_none_or(|(asked, got)| asked.includes(got))
            && fits(self.version, identity.version)
            && fits(self.medium.map(|it| it.0), identity.medium.map(|it| it.0))
    }

    /// The eight bytes that follow CI 52, without the fabrication number.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 8] {
        let [a, b, c, d] = self.id.0.to_le_bytes();
        let [low, high] = self.manufacturer.map_or(WILDCARD_WORD, |manufacturer| manufacturer.0).to_le_bytes();
        let version = self.version.unwrap_or(WILDCARD_BYTE);
        let medium = self.medium.map_or(WILDCARD_BYTE, |medium| medium.0);
        [a, b, c, d, low, high, version, medium]
    }
}

impl From<MeterId> for SecondaryAddress {
    fn from(meter: MeterId) -> Self {
        Self {
            id: meter.id,
            manufacturer: Some(meter.manufacturer),
            version: Some(meter.version),
            medium: Some(meter.medium),
            fabrication: None,
        }
    }
}

/// `12345678`, followed by `.ACW`, version and medium in hexadecimal where given (`*` where not), and
/// by the fabrication number where there is one.
impl fmt::Display for SecondaryAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        match self.manufacturer {
            Some(manufacturer) => write!(f, ".{manufacturer}")?,
            None => f.write_str(".*")?,
        }
        for part in [self.version, self.medium.map(|medium| medium.0)] {
            match part {
                Some(byte) => write!(f, ".{byte:02X}")?,
                None => f.write_str(".*")?,
            }
        }
        if let Some(fabrication) = self.fabrication {
            write!(f, ".{fabrication}")?;
        }
        Ok(())
    }
}

/// Selects the slaves that `secondary` means (SND_UD to 253, CI 52). Each answers with E5.
///
/// A fabrication number makes the selection an extended one: its record (DIF 0C, VIF 78) follows the
/// eight bytes. Slaves that do not know it stay silent.
///
/// The standard leaves the frame count bit open; some meters know only 53 (`fcb` false), others
/// only 73.
#[must_use]
pub fn select(secondary: &SecondaryAddress, fcb: bool) -> Vec<u8> {
    let mut payload = secondary.to_bytes().to_vec();
    if let Some(fabrication) = secondary.fabrication {
        payload.extend(FABRICATION_RECORD);
        payload.extend(fabrication.0.to_le_bytes());
    }
    let control = Control::SndUd { fcb };
    let frame = Frame::Long { control, address: Address::SELECTED, ci: CI_SELECT, payload: &payload };
    // Fourteen bytes always fit in a frame.
    frame.emit().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn the_selection_of_the_standard() {
        let any = SecondaryAddress::from_id(Identification(0x1234_FFFF));
        let expected =
            [0x68, 0x0B, 0x0B, 0x68, 0x53, 0xFD, 0x52, 0xFF, 0xFF, 0x34, 0x12, 0xFF, 0xFF, 0xFF, 0xFF, 0xE2, 0x16];
        assert_eq!(select(&any, false), expected);
        assert_eq!(select(&any, true)[4], 0x73);
        assert_eq!(any.to_string(), "1234FFFF.*.*.*");
    }

    #[test]
    fn the_extended_selection_of_the_standard() {
        let any = SecondaryAddress {
            fabrication: Some(Identification(0x0104_FFF2)),
            ..SecondaryAddress::from_id(Identification(0x1234_5678))
        };
        let frame = select(&any, false);
        assert_eq!(frame[..4], [0x68, 0x11, 0x11, 0x68]);
        assert_eq!(frame[7..11], [0x78, 0x56, 0x34, 0x12]);
        assert_eq!(frame[15..21], [0x0C, 0x78, 0xF2, 0xFF, 0x04, 0x01]);
        assert_eq!(any.to_string(), "12345678.*.*.*.0104FFF2");
    }

    #[test]
    fn wildcards_match_and_parts_do_not() {
        let meter = MeterId {
            id: Identification(0x1234_5678),
            manufacturer: Manufacturer(0x0477),
            version: 14,
            medium: Medium(0x16),
        };
        let exact = SecondaryAddress::from(meter);
        assert!(exact.matches(&meter) && !exact.has_wild_digit());
        assert_eq!(exact.to_string(), "12345678.ACW.0E.16");
        assert!(SecondaryAddress { id: Identification(0xF234_FF78), ..exact }.matches(&meter));
        assert!(!SecondaryAddress { id: Identification(0x1234_5679), ..exact }.matches(&meter));
        assert!(!SecondaryAddress { version: Some(15), ..exact }.matches(&meter));
        assert!(SecondaryAddress::from_id(meter.id).matches(&meter));
    }
}
