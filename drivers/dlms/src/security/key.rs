//! Keys, titles and suites.

use aes::{Aes128, Aes256};
use aes_gcm::aes::cipher::consts::U12;
use aes_gcm::{AesGcm, KeyInit};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use thiserror::Error;
use zeroize::Zeroizing;

/// AES-GCM with the tag of twelve bytes that COSEM uses.
pub(super) type Gcm<C> = AesGcm<C, U12, U12>;

/// A symmetric key: 16 bytes, or 32 in suite 2. Never shown; wiped when dropped.
#[derive(Clone)]
pub struct Key {
    bytes: Zeroizing<Vec<u8>>,
    gcm: Box<Schedule>,
}

/// Key schedules, computed once.
#[derive(Clone)]
pub(super) enum Schedule {
    Aes128(Gcm<Aes128>),
    Aes256(Gcm<Aes256>),
}

/// The bytes are no key. They are not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a key has 16 bytes, or 32 in suite 2; this has {0}")]
pub struct KeyError(pub usize);

/// A security suite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// AES-GCM-128.
    #[default]
    Zero,
    /// AES-GCM-128, P-256.
    One,
    /// AES-GCM-256, P-384.
    Two,
}

/// Who a device is: three letters of its maker and five bytes of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SystemTitle(pub [u8; 8]);

impl Key {
    /// The key of these bytes.
    ///
    /// # Errors
    /// [`KeyError`] unless there are 16 or 32.
    pub fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        let gcm = match bytes.len() {
            16 => Gcm::<Aes128>::new_from_slice(bytes).map(Schedule::Aes128),
            32 => Gcm::<Aes256>::new_from_slice(bytes).map(Schedule::Aes256),
            other => return Err(KeyError(other)),
        };
        let gcm = gcm.map_err(|_| KeyError(bytes.len()))?;
        Ok(Self { bytes: Zeroizing::new(bytes.to_vec()), gcm: Box::new(gcm) })
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Never: a key has bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn schedule(&self) -> &Schedule {
        &self.gcm
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Suite {
    /// The suite with this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Zero),
            1 => Some(Self::One),
            2 => Some(Self::Two),
            _ => None,
        }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Zero => 0,
            Self::One => 1,
            Self::Two => 2,
        }
    }

    /// How many bytes its keys have.
    #[must_use]
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::Zero | Self::One => 16,
            Self::Two => 32,
        }
    }
}

impl SystemTitle {
    /// The title of eight bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Its maker: the three letters of the FLAG association's list, where it begins with such.
    #[must_use]
    pub fn maker(&self) -> Option<&str> {
        let letters = self.0.get(..3).filter(|letters| letters.iter().all(u8::is_ascii_uppercase))?;
        core::str::from_utf8(letters).ok()
    }
}

impl fmt::Display for SystemTitle {
    /// Sixteen hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}
