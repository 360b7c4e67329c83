//! Who a slave is: identification number, manufacturer, version, medium.

/// The secondary address of a slave (EN 13757-3, fixed header).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Eight BCD digits, most significant first: `0x12345678` is 12345678.
    pub id: u32,
    /// The manufacturer's code, see [`manufacturer_letters`].
    pub manufacturer: u16,
    /// The meter's version.
    pub version: u8,
    /// The medium: 4 heat, 7 water, 2 electricity, 3 gas, …
    pub medium: u8,
}

/// Why a text is no part of an identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not three letters A to Z.
    #[error("{0:?} is no manufacturer: three letters A to Z are needed")]
    Manufacturer(String),
    /// Not eight decimal digits.
    #[error("{0:?} is no identification number: eight digits are needed")]
    Id(String),
}

impl Identity {
    /// The eight bytes of the fixed header, as they are on the wire.
    #[must_use]
    pub fn bytes(&self) -> [u8; 8] {
        let [a, b, c, d] = self.id.to_le_bytes();
        let [m, n] = self.manufacturer.to_le_bytes();
        [a, b, c, d, m, n, self.version, self.medium]
    }

    /// Reads the eight bytes of the fixed header.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        let [a, b, c, d, m, n, version, medium] = bytes;
        Self { id: u32::from_le_bytes([a, b, c, d]), manufacturer: u16::from_le_bytes([m, n]), version, medium }
    }

    /// The identification number as its eight digits.
    #[must_use]
    pub fn id_digits(&self) -> String {
        format!("{:08X}", self.id)
    }

    /// Reads an identification number from its eight digits.
    ///
    /// # Errors
    /// [`IdentityError::Id`] when `digits` are not eight decimal digits.
    pub fn parse_id(digits: &str) -> Result<u32, IdentityError> {
        let fine = digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = if fine { u32::from_str_radix(digits, 16).ok() } else { None };
        number.ok_or_else(|| IdentityError::Id(digits.to_owned()))
    }

    /// Whether a selection names this slave. Nibbles of F in the number, FF in
    /// either byte of the manufacturer, as version or as medium stand for anything.
    #[must_use]
    pub fn matches(&self, wanted: &Self) -> bool {
        let id = (0..8).all(|nibble| {
            let digit = |id: u32| id >> (nibble * 4) & 0xF;
            digit(wanted.id) == 0xF || digit(wanted.id) == digit(self.id)
        });
        let byte = |(wanted, own): (u8, u8)| wanted == 0xFF || wanted == own;
        id && wanted.manufacturer.to_le_bytes().into_iter().zip(self.manufacturer.to_le_bytes()).all(byte)
            && (wanted.version == 0xFF || wanted.version == self.version)
            && (wanted.medium == 0xFF || wanted.medium == self.medium)
    }
}

/// The code of three letters (EN 13757-3): five bits each, A is 1.
///
/// # Errors
/// [`IdentityError::Manufacturer`] when `letters` are not three of A to Z.
pub fn manufacturer_code(letters: &str) -> Result<u16, IdentityError> {
    let fine = letters.len() == 3 && letters.bytes().all(|byte| byte.is_ascii_uppercase());
    if !fine {
        return Err(IdentityError::Manufacturer(letters.to_owned()));
    }
    Ok(letters.bytes().fold(0, |code, letter| code << 5 | u16::from(letter - 64)))
}

/// The three letters of a manufacturer's code.
#[must_use]
pub fn manufacturer_letters(code: u16) -> String {
    [10, 5, 0].iter().map(|shift| char::from(64 + (code >> shift & 0x1F).to_le_bytes()[0])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manufacturer_codes_are_those_of_known_meters() {
        // LUG 32 A7, KAM 2D 2C, ACW 77 04 on the wire of real meters.
        assert_eq!(manufacturer_code("LUG"), Ok(0x32A7));
        assert_eq!(manufacturer_code("KAM"), Ok(0x2C2D));
        assert_eq!(manufacturer_letters(0x0477), "ACW");
        assert!(manufacturer_code("kam").is_err());
    }

    #[test]
    fn wildcards_stand_for_one_digit_each() {
        let slave = Identity { id: 0x1234_5678, manufacturer: 0x2C2D, version: 8, medium: 4 };
        let any = Identity { id: 0xFFFF_FFFF, manufacturer: 0xFFFF, version: 0xFF, medium: 0xFF };
        assert!(slave.matches(&any));
        assert!(slave.matches(&Identity { id: 0x12FF_FFF8, ..any }));
        assert!(!slave.matches(&Identity { id: 0x13FF_FFFF, ..any }));
        assert!(!slave.matches(&Identity { medium: 7, ..any }));
        assert!(!slave.matches(&Identity { version: 9, ..any }));
        assert!(!slave.matches(&Identity { manufacturer: 0x2C2E, ..any }));
        assert!(slave.matches(&Identity { manufacturer: 0xFF2D, ..any }));
        assert!(!slave.matches(&Identity { manufacturer: 0x2DFF, ..any }));
    }

    #[test]
    fn an_id_is_eight_digits() {
        assert_eq!(Identity::parse_id("01234567"), Ok(0x0123_4567));
        assert!(Identity::parse_id("1234567").is_err());
        assert!(Identity::parse_id("1234567F").is_err());
    }
}
