//! Ciphering, authentication and signatures (IEC 62056-5-3 §5, Green Book §9.2).
//!
//! | item | what it is |
//! |---|---|
//! | [`SecurityContext`] | one association's keys and counters: protects what is sent, opens what comes |
//! | [`Key`], [`SystemTitle`], [`Suite`], [`SecurityControl`] | what it is made of |
//! | [`InvocationCounter`] | hands out counters that were reserved before, so that none is used twice |
//! | [`hls`] | the proofs of high level security |
//! | [`signing`] | ECDSA: proofs and general-signing |
//! | [`general`] | general-ciphering, under keys that both have, that are sent along or that both work out |
//! | [`agreement`] | ECDH: keys that both sides work out |
//! | [`transfer`] | keys under a key, for the meter's security setup |
//!
//! Tags are checked wherever the security control says that there is one, and comparisons take the same
//! time whatever they find. No error and no `Debug` shows a key. [`decipher_unchecked`] alone leaves a tag out: it shows
//! people a frame whose authentication key they have not got.
//!
//! Not here: compression (V.44), which is refused by name.

pub mod agreement;
mod cipher;
mod context;
mod control;
mod counter;
pub mod general;
pub mod hls;
mod key;
mod sealed;
pub mod signing;
pub mod transfer;

pub use context::{Form, Keys, Opened, OpenedBy, SecurityContext, open_push};
pub use control::{Protection, SecurityControl};
pub use counter::{COUNTER_BLOCK, CounterRange, FIRST_COUNT_MAX, InvocationCounter, RESYNC_STEP_MAX, Resync};
pub use key::{Key, KeyError, Suite, SystemTitle};
pub use sealed::{GeneralKeys, decipher_unchecked};

use crate::apdu::ApduError;
use thiserror::Error;

/// Why an APDU is not opened, or not protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SecurityError {
    /// The tag does not fit.
    #[error(
        "the authentication tag is wrong: encryption or authentication key is not the meter's, or somebody changed the frame"
    )]
    TagWrong,
    /// The signature does not fit.
    #[error("the signature is wrong: the public key is not the meter's, or somebody changed the frame")]
    SignatureWrong,
    /// What came out is no APDU.
    #[error("it deciphers to nonsense ({0}): the encryption key is not the meter's")]
    Nonsense(ApduError),
    /// A key is missing.
    #[error("the {0} key is missing: add it to the file of meter secrets")]
    KeyMissing(&'static str),
    /// A key has another length than the suite's.
    #[error("suite {suite} needs keys of {needed} bytes")]
    KeyLength {
        /// The suite.
        suite: u8,
        /// How long its keys are.
        needed: usize,
    },
    /// Less protection than is expected.
    #[error("the meter answers {got} where {expected} is expected: not taken")]
    Weaker {
        /// What came.
        got: Protection,
        /// What is expected.
        expected: Protection,
    },
    /// It is for somebody else.
    #[error("the frame is for {got}, and we are {own}")]
    NotForUs {
        /// Whom it is for.
        got: SystemTitle,
        /// Who we are.
        own: SystemTitle,
    },
    /// An answer to another question.
    #[error(
        "the frame belongs to another transaction than the one that was asked: a repeated or late frame, not taken"
    )]
    OtherTransaction,
    /// The counter came before.
    #[error("invocation counter {got} came before (the last was {last}): a repeated frame, not taken")]
    Repeated {
        /// The counter that came.
        got: u32,
        /// The last that was taken.
        last: u32,
    },
    /// Another suite than configured.
    #[error("the meter uses security suite {got}, {expected} is configured")]
    OtherSuite {
        /// What the meter uses.
        got: u8,
        /// What is configured.
        expected: u8,
    },
    /// Another meter's title.
    #[error("the frame carries the system title {got}, this association is with {expected}")]
    OtherTitle {
        /// The title that came.
        got: SystemTitle,
        /// The meter's.
        expected: SystemTitle,
    },
    /// The meter has not told its system title, without which nothing of it can be opened.
    #[error("the meter has not told its system title")]
    TitleMissing,
    /// The counters that were reserved are used up.
    #[error("the reserved invocation counters are used up")]
    CountersUsedUp,
    /// Something that is not done here.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
    /// The frame is none.
    #[error("{0}")]
    Malformed(#[from] ApduError),
}

impl SecurityError {
    /// A short word for the kind of error, stable for programs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::TagWrong | Self::SignatureWrong | Self::Nonsense(_) => "key wrong",
            Self::KeyMissing(_) => "key missing",
            Self::KeyLength { .. } => "key length",
            Self::Weaker { .. } => "weaker",
            Self::Repeated { .. } => "counter repeated",
            Self::OtherTransaction => "other transaction",
            Self::OtherSuite { .. } => "other suite",
            Self::OtherTitle { .. } | Self::NotForUs { .. } | Self::TitleMissing => "other title",
            Self::CountersUsedUp => "counters used up",
            Self::Unsupported(_) => "unsupported",
            Self::Malformed(_) => "malformed",
        }
    }
}

impl From<plomb_session::ReadError> for SecurityError {
    fn from(error: plomb_session::ReadError) -> Self {
        Self::Malformed(error.into())
    }
}
