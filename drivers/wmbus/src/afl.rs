//! The authentication and fragmentation layer (EN 13757-7, clause 6): CI 90.
//!
//! ```text
//! 90  AFLL  FCL (2)  [MCL]  [KI (2)]  [MCR (4)]  [MAC (2 to 16)]  [ML (2)]
//! ```
//! FCL says which of the fields come; AFLL counts from FCL on.

use core::fmt;
use plomb_session::{ReadError, Reader};
use thiserror::Error;

/// The longest MAC.
pub const MAC_BYTES_MAX: usize = 16;

/// What the layer says. In a fragmented message each fragment has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Afl<'a> {
    /// The fragmentation control field.
    pub control: FragmentControl,
    /// The message control field, as sent.
    pub message_control: Option<MessageControl>,
    /// Which key, and how keys are derived from it.
    pub key: Option<KeyInformation>,
    /// The message counter.
    pub counter: Option<u32>,
    /// The message authentication code.
    pub mac: Option<&'a [u8]>,
    /// The length of the whole message, of a first fragment.
    pub length: Option<u16>,
}

/// FCL: which fields come, and which fragment this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FragmentControl(pub u16);

/// MCL: what protects the message. Its value is part of what the MAC covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageControl(pub u8);

/// KI: key version, key derivation, key number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyInformation(pub u16);

/// Why the layer cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AflError {
    /// The bytes end inside it.
    #[error("{0}")]
    Truncated(#[from] ReadError),
    /// A MAC comes, and MCL does not say how long it is.
    #[error("a MAC comes at {offset} whose length nothing tells (authentication type {authentication})")]
    MacLength {
        /// Where the MAC begins.
        offset: usize,
        /// The authentication type of MCL.
        authentication: u8,
    },
    /// AFLL differs from the fields that FCL announces.
    #[error("the layer says {said} bytes at {offset} and has fields of {found}")]
    Length {
        /// Where AFLL is.
        offset: usize,
        /// What it says.
        said: usize,
        /// What the fields take.
        found: usize,
    },
}

impl<'a> Afl<'a> {
    /// Reads what follows CI 90.
    ///
    /// A last fragment carries the MAC and not always MCL; the MAC is then what AFLL leaves for it.
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, AflError> {
        let at = reader.offset();
        let said = usize::from(reader.u8()?);
        let start = reader.left();
        let control = FragmentControl(reader.u16_le()?);
        let message_control = if control.has(13) { Some(MessageControl(reader.u8()?)) } else { None };
        let key = if control.has(9) { Some(KeyInformation(reader.u16_le()?)) } else { None };
        let counter = if control.has(11) { Some(reader.u32_le()?) } else { None };
        let length_bytes = if control.has(12) { 2 } else { 0 };
        let mac = if control.has(10) {
            let taken = start.saturating_sub(reader.left()).saturating_add(length_bytes);
            let bytes = match message_control.map(MessageControl::authentication) {
                None => said.saturating_sub(taken),
                Some(authentication) => Authentication::from_code(authentication)
                    .mac_bytes()
                    .ok_or(AflError::MacLength { offset: reader.offset(), authentication })?,
            };
            if bytes == 0 || bytes > MAC_BYTES_MAX {
                return Err(AflError::MacLength { offset: reader.offset(), authentication: 0 });
            }
            Some(reader.take(bytes)?)
        } else {
            None
        };
        let length = if control.has(12) { Some(reader.u16_le()?) } else { None };
        let found = start.saturating_sub(reader.left());
        if found != said {
            return Err(AflError::Length { offset: at, said, found });
        }
        Ok(Self { control, message_control, key, counter, mac, length })
    }
}

impl FragmentControl {
    const fn has(self, bit: u32) -> bool {
        self.0 >> bit & 1 != 0
    }

    /// Which fragment, from 1; 0 in a message of one piece.
    #[must_use]
    pub const fn fragment(self) -> u8 {
        self.0.to_le_bytes()[0]
    }

    /// Whether fragments follow.
    #[must_use]
    pub const fn more_follow(self) -> bool {
        self.has(14)
    }

    /// Whether this is a piece of a message of several.
    #[must_use]
    pub const fn is_fragment(self) -> bool {
        self.more_follow() || self.fragment() > 1
    }
}

impl MessageControl {
    /// The authentication type: the low four bits.
    #[must_use]
    pub const fn authentication(self) -> u8 {
        self.0 & 0x0F
    }

    /// Whether the message has a length field, which the MAC then covers.
    #[must_use]
    pub const fn has_length(self) -> bool {
        self.0 & 0x40 != 0
    }
}

impl KeyInformation {
    /// The number of the key.
    #[must_use]
    pub const fn key_id(self) -> u8 {
        (self.0 & 0x0F) as u8
    }

    /// How keys are derived: 0 not at all, 1 by CMAC with the message counter.
    #[must_use]
    pub const fn derivation(self) -> u8 {
        (self.0 >> 4 & 0x03) as u8
    }

    /// The version of the key.
    #[must_use]
    pub const fn version(self) -> u8 {
        self.0.to_be_bytes()[0]
    }
}

/// How a message is authenticated (AT; EN 13757-7, table 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Authentication {
    /// 0: not at all.
    None,
    /// 3 to 7: AES-CMAC-128, cut to this many bytes.
    Cmac(u8),
    /// 8: AES-GMAC-128, cut to 12 bytes. Not checked here.
    Gmac,
    /// Any other code.
    Unknown(u8),
}

impl Authentication {
    /// The type of a code.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::None,
            3 => Self::Cmac(2),
            4 => Self::Cmac(4),
            5 => Self::Cmac(8),
            6 => Self::Cmac(12),
            7 => Self::Cmac(16),
            8 => Self::Gmac,
            _ => Self::Unknown(code),
        }
    }

    /// Bytes of its MAC, where known.
    #[must_use]
    pub const fn mac_bytes(self) -> Option<usize> {
        match self {
            Self::Cmac(bytes) => Some(bytes as usize),
            Self::Gmac => Some(12),
            Self::None | Self::Unknown(_) => None,
        }
    }
}

impl fmt::Display for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Cmac(bytes) => write!(f, "AES-CMAC-128 of {bytes} bytes"),
            Self::Gmac => f.write_str("AES-GMAC-128 of 12 bytes"),
            Self::Unknown(code) => write!(f, "reserved type {code}"),
        }
    }
}
