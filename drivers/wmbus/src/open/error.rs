//! Why a telegram is refused.

use crate::afl::Authentication;
use crate::compact::CompactError;
use crate::security::Protection;
use crate::telegram::TelegramError;
use crate::transport::SecurityMode;
use plomb_mbus::MeterId;
use thiserror::Error;

/// Why a telegram is refused. Nothing of the meter's state has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The telegram is encrypted and the meter has no key.
    #[error("encrypted ({mode}) and no key is at hand: give the meter's key")]
    KeyMissing {
        /// How.
        mode: SecurityMode,
    },
    /// The key gives no sensible plaintext: another meter's, or the meter was given a new one. A forgery
    /// looks the same, so one such telegram says nothing about the key; only that none opens does.
    #[error("the key does not fit: {check} came out wrong")]
    KeyWrong {
        /// What was checked.
        check: &'static str,
    },
    /// The message authentication code is wrong.
    #[error("the MAC is wrong: the telegram was changed on its way, or the key is another's")]
    MacFailed {
        /// `Some(true)` when the key opens the telegram all the same, so that only a change explains it;
        /// `None` where the mode cannot tell.
        key_fits: Option<bool>,
    },
    /// The mode demands a MAC and the telegram has none.
    #[error("{mode} without a MAC")]
    MacMissing {
        /// The mode.
        mode: SecurityMode,
    },
    /// A kind of MAC that is not checked here.
    #[error("authentication by {0} is not supported")]
    MacUnsupported(Authentication),
    /// The mode needs a message counter and the telegram has none.
    #[error("{mode} without a message counter")]
    CounterMissing {
        /// The mode.
        mode: SecurityMode,
    },
    /// The message counter is not above the last accepted: a recording, or a repeater's second copy.
    #[error("message counter {received} was used before: {last} was accepted last")]
    CounterRepeated {
        /// The counter that came.
        received: u32,
        /// The last that was accepted.
        last: u32,
    },
    /// A mode that is not opened here.
    #[error("{0} is not supported")]
    ModeUnsupported(SecurityMode),
    /// Encryption of the extended link layer of an unknown kind.
    #[error("encryption {encryption} of the extended link layer is not supported")]
    LinkEncryptionUnsupported {
        /// The code.
        encryption: u8,
    },
    /// A way to derive keys that is not known here.
    #[error("key derivation {derivation} is not supported")]
    DerivationUnsupported {
        /// The code.
        derivation: u8,
    },
    /// The telegram is protected less than the meter's are expected to be.
    #[error("the telegram is {found}, this meter's are {expected}: a forgery, or the meter was set back")]
    Weaker {
        /// What is expected.
        expected: Protection,
        /// What came.
        found: Protection,
    },
    /// The telegram is protected less than expected, and carries no reading (OMS: ACC_NR): no forgery
    /// that could do harm, and nothing to be had.
    #[error("the telegram carries nothing and nothing protects it: it only shows that somebody is there")]
    PresenceOnly,
    /// Behind the extended link layer, under the sender's key, the telegram names another meter.
    #[error("sealed under the key of {}, the telegram is of {}", sender.id, named.id)]
    OtherMeter {
        /// Who sent it.
        sender: MeterId,
        /// Whom it names.
        named: MeterId,
    },
    /// The header says encrypted and the payload is in clear: anyone can make such a telegram.
    #[error("the header says {mode}, the payload is in clear")]
    PlainUnderEncryption {
        /// What the header says.
        mode: SecurityMode,
    },
    /// Fewer bytes than the header says are encrypted.
    #[error("{needed} encrypted bytes are announced at {offset}, {left} are there")]
    Truncated {
        /// Where the ciphertext begins.
        offset: usize,
        /// Bytes announced.
        needed: usize,
        /// Bytes there.
        left: usize,
    },
    /// The telegram is one piece of several: put them together first.
    #[error("a fragment of a message: put the message together first")]
    Fragment,
    /// A short header on a wired bus, and nobody said which meter was asked.
    #[error("the telegram does not name its meter: say which was asked")]
    MeterUnknown,
    /// What the extended link layer had encrypted is no telegram.
    #[error("behind the extended link layer: {0}")]
    Inner(#[from] TelegramError),
    /// A format frame contradicts itself.
    #[error(transparent)]
    Format(#[from] CompactError),
}

impl OpenError {
    /// A short word for the kind of error, stable for programs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::KeyMissing { .. } => "key missing",
            Self::KeyWrong { .. } => "key wrong",
            Self::MacFailed { .. } => "mac failed",
            Self::MacMissing { .. } => "mac missing",
            Self::MacUnsupported(_) => "mac unsupported",
            Self::CounterMissing { .. } => "counter missing",
            Self::CounterRepeated { .. } => "counter repeated",
            Self::ModeUnsupported(_) | Self::LinkEncryptionUnsupported { .. } => "mode unsupported",
            Self::DerivationUnsupported { .. } => "derivation unsupported",
            Self::Weaker { .. } => "weaker than expected",
            Self::PresenceOnly => "presence only",
            Self::OtherMeter { .. } => "other meter",
            Self::PlainUnderEncryption { .. } => "plain under encryption",
            Self::Truncated { .. } => "truncated",
            Self::Fragment => "fragment",
            Self::MeterUnknown => "meter unknown",
            Self::Inner(_) => "inner telegram",
            Self::Format(_) => "format",
        }
    }
}
