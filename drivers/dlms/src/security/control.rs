//! The security control byte (IEC 62056-5-3 §5.8).

use core::fmt;

/// How an APDU is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SecurityControl(pub u8);

/// How well something is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Protection {
    /// Nobody without the keys could have made or changed it.
    pub authenticated: bool,
    /// Nobody without the key can read it.
    pub encrypted: bool,
}

impl Protection {
    /// None.
    pub const NONE: Self = Self { authenticated: false, encrypted: false };
    /// Both.
    pub const FULL: Self = Self { authenticated: true, encrypted: true };

    /// Whether this is at least as much as `other`.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        (self.authenticated || !other.authenticated) && (self.encrypted || !other.encrypted)
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.authenticated, self.encrypted) {
            (true, true) => "authenticated and encrypted",
            (true, false) => "authenticated",
            (false, true) => "encrypted",
            (false, false) => "in clear",
        })
    }
}

impl SecurityControl {
    const AUTHENTICATED: u8 = 0x10;
    const ENCRYPTED: u8 = 0x20;
    const BROADCAST: u8 = 0x40;
    const COMPRESSED: u8 = 0x80;

    /// The byte of a suite and a protection, under the unicast key.
    #[must_use]
    pub const fn new(suite: u8, protection: Protection) -> Self {
        let authenticated = if protection.authenticated { Self::AUTHENTICATED } else { 0 };
        let encrypted = if protection.encrypted { Self::ENCRYPTED } else { 0 };
        Self((suite & 0x0F) | authenticated | encrypted)
    }

    /// The suite's number.
    #[must_use]
    pub const fn suite(self) -> u8 {
        self.0 & 0x0F
    }

    /// How it is protected.
    #[must_use]
    pub const fn protection(self) -> Protection {
        Protection { authenticated: self.0 & Self::AUTHENTICATED != 0, encrypted: self.0 & Self::ENCRYPTED != 0 }
    }

    /// Whether the broadcast key was used.
    #[must_use]
    pub const fn is_broadcast(self) -> bool {
        self.0 & Self::BROADCAST != 0
    }

    /// Whether it is compressed.
    #[must_use]
    pub const fn is_compressed(self) -> bool {
        self.0 & Self::COMPRESSED != 0
    }
}
