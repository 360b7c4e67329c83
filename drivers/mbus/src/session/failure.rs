//! Why a readout fails, and how that is told from all its tries.

use super::answer::Damage;
use super::config::Target;
use crate::frame::Address;
use crate::secondary::SecondaryAddress;
use crate::telegram::ApplicationError;
use thiserror::Error;

/// Why a readout failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReadFailure {
    /// Nothing came back: no such meter, no power, a broken wire, or another speed.
    #[error("{target} does not answer: check address, wiring, and baud rate")]
    NoReply {
        /// Who was asked.
        target: Target,
    },
    /// Only damaged answers came, in a way that points to several slaves at once.
    #[error("several meters seem to answer for {target} at once: give each its own address, or read by identity")]
    Collision {
        /// Who was asked.
        target: Target,
    },
    /// The answer's sum is wrong.
    #[error(
        "{target} answers with checksum {received:02x} where its bytes sum up to {computed:02x}: check the line for disturbance"
    )]
    Checksum {
        /// Who was asked.
        target: Target,
        /// The sum that came.
        received: u8,
        /// The sum of the bytes that came.
        computed: u8,
    },
    /// The answer breaks off.
    #[error("{target} answers with {bytes} of {announced} bytes: raise the gap timeout, or check the line")]
    Truncated {
        /// Who was asked.
        target: Target,
        /// Bytes that came.
        bytes: usize,
        /// Bytes that the frame announces.
        announced: usize,
    },
    /// What came back is no frame.
    #[error("{bytes} bytes that are no frame came back from {target}: check baud rate, parity and polarity")]
    Garbage {
        /// Who was asked.
        target: Target,
        /// Bytes that came.
        bytes: usize,
    },
    /// The meter acknowledges and sends no data.
    #[error("{target} acknowledges the request and sends no data")]
    NoData {
        /// Who was asked.
        target: Target,
    },
    /// Another address answered.
    #[error("address {got} answers where {expected} was asked")]
    WrongAddress {
        /// Who was asked.
        expected: Address,
        /// Who answered.
        got: Address,
    },
    /// Another meter than the selected one answered.
    #[error("meter {got} answers where {expected} was selected")]
    WrongMeter {
        /// Who was selected.
        expected: SecondaryAddress,
        /// Who answered.
        got: SecondaryAddress,
    },
    /// The meter refuses.
    #[error("{target} refuses: {error}")]
    Refused {
        /// Who was asked.
        target: Target,
        /// The meter's reason.
        error: ApplicationError,
    },
    /// The meter sends ever new telegrams and never says that it has finished.
    #[error("{target} says after {telegrams} telegrams that more follow: the limit is reached")]
    EndlessTelegrams {
        /// Who was asked.
        target: Target,
        /// Telegrams received.
        telegrams: u8,
    },
}

impl ReadFailure {
    /// What all tries together say.
    pub(super) fn of(target: Target, tries: &[Option<Failing>], noise_bytes: usize) -> Self {
        let damages = tries.iter().flatten();
        let damaged = |damage: &&Failing| {
            matches!(damage, Failing::Damage(Damage::Checksum { .. } | Damage::Broken | Damage::Truncated { .. }))
        };
        let broken = |damage: &&Failing| matches!(damage, Failing::Damage(Damage::Broken));
        let several = damages.clone().any(|damage| *damage == Failing::Damage(Damage::Several));
        let often_damaged = damages.clone().filter(damaged).count() > 1;
        let often_broken = damages.clone().filter(broken).count() > 1;
        if several || often_broken || (often_damaged && target.is_ambiguous()) {
            return Self::Collision { target };
        }
        match damages.last() {
            None => Self::NoReply { target },
            Some(&Failing::WrongAddress(got)) => Self::WrongAddress { expected: target.link_address(), got },
            Some(&Failing::WrongMeter(got)) => match target {
                Target::Secondary(expected) => Self::WrongMeter { expected, got },
                Target::Primary(_) => Self::NoReply { target },
            },
            Some(&Failing::Damage(damage)) => damage.into_failure(target, noise_bytes),
        }
    }

    /// A short word for the kind of failure, stable for programs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NoReply { .. } => "no reply",
            Self::Collision { .. } => "collision",
            Self::Checksum { .. } => "checksum",
            Self::Truncated { .. } => "truncated",
            Self::Garbage { .. } => "garbage",
            Self::NoData { .. } => "no data",
            Self::WrongAddress { .. } => "wrong address",
            Self::WrongMeter { .. } => "wrong meter",
            Self::Refused { .. } => "refused",
            Self::EndlessTelegrams { .. } => "endless telegrams",
        }
    }
}

/// What was wrong with one try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failing {
    Damage(Damage),
    WrongAddress(Address),
    WrongMeter(SecondaryAddress),
}

impl Damage {
    fn into_failure(self, target: Target, noise_bytes: usize) -> ReadFailure {
        match self {
            Self::Checksum { received, computed } => ReadFailure::Checksum { target, received, computed },
            Self::Truncated { bytes, announced } => ReadFailure::Truncated { target, bytes, announced },
            Self::Broken => ReadFailure::Garbage { target, bytes: noise_bytes },
            Self::Noise { bytes } => ReadFailure::Garbage { target, bytes },
            Self::Several => ReadFailure::Collision { target },
            Self::NoData => ReadFailure::NoData { target },
        }
    }
}
