//! The extended link layer (EN 13757-4, clause 13): CI 8C to 8F.

use crate::link::read_address;
use plomb_mbus::MeterId;
use plomb_session::{ReadError, Reader};

/// CC, ACC, and what the CI adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ell {
    /// 8C (I), 8D (II), 8E (III) or 8F (IV).
    pub ci: u8,
    /// The communication control field.
    pub communication: u8,
    /// The link's access number, modulo 256.
    pub access: u8,
    /// For whom the frame is (8E, 8F).
    pub receiver: Option<MeterId>,
    /// The session, under which the rest may be encrypted (8D, 8F).
    pub session: Option<SessionNumber>,
}

/// The session number: encryption (3 bits), time in minutes (25 bits), session in that minute (4 bits).
///
/// The meter's CRC does not authenticate it, so it is told and never used to refuse a repeated
/// telegram: a forged number that passed a sixteen-bit check would silence the meter for years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionNumber(pub u32);

impl Ell {
    /// Whether `ci` begins a layer that is read here.
    #[must_use]
    pub const fn is_known(ci: u8) -> bool {
        matches!(ci, 0x8C..=0x8F)
    }

    /// Reads what follows `ci`. The payload's CRC, encrypted or not, is left to read.
    pub(crate) fn read(ci: u8, reader: &mut Reader<'_>) -> Result<Self, ReadError> {
        let [communication, access] = reader.array()?;
        let receiver = if matches!(ci, 0x8E | 0x8F) { Some(read_address(reader)?) } else { None };
        let session = if matches!(ci, 0x8D | 0x8F) { Some(SessionNumber(reader.u32_le()?)) } else { None };
        Ok(Self { ci, communication, access, receiver, session })
    }

    /// Whether everything after this layer's head is encrypted.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        match self.session {
            Some(session) => session.encryption() != 0,
            None => false,
        }
    }
}

impl SessionNumber {
    /// 0: plain; 1: AES-128 in counter mode; others are reserved.
    #[must_use]
    pub const fn encryption(self) -> u8 {
        (self.0 >> 29) as u8
    }

    /// The meter's own count of minutes.
    #[must_use]
    pub const fn minutes(self) -> u32 {
        self.0 >> 4 & 0x01FF_FFFF
    }

    /// Which session of that minute.
    #[must_use]
    pub const fn session(self) -> u8 {
        (self.0 & 0x0F) as u8
    }
}
