use core::fmt;
use thiserror::Error;

/// The highest address of one byte, and of each half of two bytes.
pub const ADDRESS_SHORT_MAX: u16 = 0x7F;
/// The highest address of each half of four bytes.
pub const ADDRESS_LONG_MAX: u16 = 0x3FFF;

/// A station's address (IEC 62056-46 §6.4.2): 1, 2 or 4 bytes, in each of which the lowest bit says
/// whether it is the last.
///
/// A client has one byte. A server has an upper address, its logical device, and a lower one, its
/// physical device, which one byte leaves out. The width is kept, for some meters listen to one
/// width only: 4 bytes for `1/17` are another frame than 2 bytes for `1/17`.
///
/// Written `16`, `1/17`, and `1/17 (4 bytes)` where fewer bytes would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(Width);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Width {
    One { upper: u8 },
    Two { upper: u8, lower: u8 },
    Four { upper: u16, lower: u16 },
}

/// The numbers are not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// A part is above what its bytes hold.
    #[error("HDLC address {part} does not fit: the highest is {highest}")]
    Range {
        /// The number.
        part: u16,
        /// The highest number.
        highest: u16,
    },
    /// A width that does not exist.
    #[error("HDLC addresses have 1, 2 or 4 bytes, not {0}")]
    Bytes(u8),
}

impl Address {
    /// The public client: no password, few rights.
    pub const PUBLIC_CLIENT: Self = Self(Width::One { upper: 16 });
    /// The management client of most meters.
    pub const MANAGEMENT_CLIENT: Self = Self(Width::One { upper: 1 });
    /// The management logical device, which every meter has.
    pub const MANAGEMENT_DEVICE: Self = Self(Width::One { upper: 1 });

    /// One byte, 0 to 127: a client, or a server without a lower address.
    ///
    /// # Errors
    /// [`AddressError::Range`].
    pub const fn short(upper: u8) -> Result<Self, AddressError> {
        if upper as u16 > ADDRESS_SHORT_MAX {
            return Err(AddressError::Range { part: upper as u16, highest: ADDRESS_SHORT_MAX });
        }
        Ok(Self(Width::One { upper }))
    }

    /// A server's logical and physical device in 2 bytes, or in 4 when they need them.
    ///
    /// # Errors
    /// [`AddressError::Range`].
    pub fn server(upper: u16, lower: u16) -> Result<Self, AddressError> {
        let fits = upper.max(lower) <= ADDRESS_SHORT_MAX;
        Self::server_in(upper, lower, if fits { 2 } else { 4 })
    }

    /// A server's address in exactly `bytes` bytes. One byte leaves `lower` out.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn server_in(upper: u16, lower: u16, bytes: u8) -> Result<Self, AddressError> {
        let short = |part: u16| {
            let range = AddressError::Range { part, highest: ADDRESS_SHORT_MAX };
            u8::try_from(part).ok().filter(|_| part <= ADDRESS_SHORT_MAX).ok_or(range)
        };
        match bytes {
            1 => Ok(Self(Width::One { upper: short(upper)? })),
            2 => Ok(Self(Width::Two { upper: short(upper)?, lower: short(lower)? })),
            4 if upper.max(lower) <= ADDRESS_LONG_MAX => Ok(Self(Width::Four { upper, lower })),
            4 => Err(AddressError::Range { part: upper.max(lower), highest: ADDRESS_LONG_MAX }),
            _ => Err(AddressError::Bytes(bytes)),
        }
    }

    /// The upper address: a client, or a server's logical device.
    #[must_use]
    pub const fn upper(self) -> u16 {
        match self.0 {
            Width::One { upper } | Width::Two { upper, .. } => upper as u16,
            Width::Four { upper, .. } => upper,
        }
    }

    /// The lower address: a server's physical device. `None` in one byte.
    #[must_use]
    pub const fn lower(self) -> Option<u16> {
        match self.0 {
            Width::One { .. } => None,
            Width::Two { lower, .. } => Some(lower as u16),
            Width::Four { lower, .. } => Some(lower),
        }
    }

    /// How many bytes it takes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self.0 {
            Width::One { .. } => 1,
            Width::Two { .. } => 2,
            Width::Four { .. } => 4,
        }
    }

    /// Whether an answer from `other` is an answer to a question for this station.
    ///
    /// The width does not count. A lower address that calls whoever is there (7E and 7F, 3FFE and
    /// 3FFF: calling and all stations) is answered by any.
    #[must_use]
    pub fn is_answered_by(self, other: Self) -> bool {
        self.upper() == other.upper() && (self.calls_any() || self.lower_or_none() == other.lower_or_none())
    }

    /// Whether the lower address stands for any physical device on the line.
    #[must_use]
    pub const fn calls_any(self) -> bool {
        matches!(self.0, Width::Two { lower: 0x7E.., .. } | Width::Four { lower: 0x3FFE.., .. })
    }

    const fn lower_or_none(self) -> u16 {
        match self.lower() {
            Some(lower) => lower,
            None => 0,
        }
    }

    /// Reads an address. `Ok(None)` when its last byte is not there yet, `Err` with the number of
    /// bytes when there is no such width.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, u8> {
        let part = |at: usize| bytes.get(at).map_or(0, |byte| byte >> 1);
        let half = |at: usize| u16::from(part(at)) << 7 | u16::from(part(at.saturating_add(1)));
        match bytes.iter().take(4).position(|byte| byte & 1 == 1) {
            Some(0) => Ok(Some(Self(Width::One { upper: part(0) }))),
            Some(1) => Ok(Some(Self(Width::Two { upper: part(0), lower: part(1) }))),
            Some(3) => Ok(Some(Self(Width::Four { upper: half(0), lower: half(2) }))),
            Some(_) => Err(3),
            None if bytes.len() < 4 => Ok(None),
            None => Err(5),
        }
    }

    /// Its bytes on the wire, of which [`bytes`](Self::bytes) count.
    pub(super) const fn emit(self) -> [u8; 4] {
        match self.0 {
            Width::One { upper } => [upper << 1 | 1, 0, 0, 0],
            Width::Two { upper, lower } => [upper << 1, lower << 1 | 1, 0, 0],
            Width::Four { upper, lower } => [high(upper), low(upper), high(lower), low(lower) | 1],
        }
    }
}

/// Seven bits of the upper half of 14, shifted to the left by one.
const fn high(part: u16) -> u8 {
    let [_, byte] = (part >> 7 << 1 & 0xFE).to_be_bytes();
    byte
}

/// The lower seven bits of 14, shifted to the left by one.
const fn low(part: u16) -> u8 {
    let [_, byte] = (part << 1 & 0xFE).to_be_bytes();
    byte
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.upper())?;
        if let Some(lower) = self.lower() {
            write!(f, "/{lower}")?;
        }
        if self.bytes() == 4 && self.upper().max(self.lower_or_none()) <= ADDRESS_SHORT_MAX {
            f.write_str(" (4 bytes)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn the_three_widths() {
        for (address, bytes, text) in [
            (Address::PUBLIC_CLIENT, &[0x21][..], "16"),
            (Address::server(1, 17).unwrap(), &[0x02, 0x23], "1/17"),
            (Address::server_in(1, 17, 4).unwrap(), &[0x00, 0x02, 0x00, 0x23], "1/17 (4 bytes)"),
            (Address::server(1, 1234).unwrap(), &[0x00, 0x02, 0x12, 0xA5], "1/1234"),
            (Address::server(0x3FFF, 0x3FFF).unwrap(), &[0xFE, 0xFE, 0xFE, 0xFF], "16383/16383"),
        ] {
            assert_eq!(address.emit()[..address.bytes()], *bytes);
            assert_eq!(Address::parse(bytes), Ok(Some(address)));
            assert_eq!(address.to_string(), text);
            for end in 0..bytes.len() {
                assert_eq!(Address::parse(&bytes[..end]), Ok(None));
            }
        }
        assert_eq!(Address::parse(&[0, 0, 1]), Err(3));
        assert_eq!(Address::parse(&[0, 0, 0, 0]), Err(5));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(Address::short(128).is_err());
        assert!(Address::server(0x4000, 0).is_err());
        assert!(Address::server_in(1, 128, 2).is_err());
        assert_eq!(Address::server_in(1, 1, 3), Err(AddressError::Bytes(3)));
    }

    #[test]
    fn width_does_not_make_another_station() {
        let asked = Address::server(1, 17).unwrap();
        assert!(asked.is_answered_by(Address::server_in(1, 17, 4).unwrap()));
        assert!(!asked.is_answered_by(Address::server(1, 18).unwrap()));
        assert!(!asked.is_answered_by(Address::server(2, 17).unwrap()));
        assert!(Address::MANAGEMENT_DEVICE.is_answered_by(Address::server(1, 0).unwrap()));
        assert!(Address::server(1, 0x7F).unwrap().is_answered_by(asked));
        assert!(Address::server(1, 0x3FFF).unwrap().is_answered_by(asked));
    }

    proptest! {
        #[test]
        fn read_back(upper in 0u16..=ADDRESS_LONG_MAX, lower in 0u16..=ADDRESS_LONG_MAX, bytes in prop::sample::select(&[1u8, 2, 4][..])) {
            if let Ok(address) = Address::server_in(upper, lower, bytes) {
                prop_assert_eq!(Address::parse(&address.emit()[..address.bytes()]), Ok(Some(address)));
                prop_assert_eq!(address.upper(), upper);
                prop_assert_eq!(address.lower(), (bytes > 1).then_some(lower));
            }
        }
    }
}
