use crate::{Failure, Kind, Mode};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use plomb_session::Instant;

/// Shortest telegram: L, C, manufacturer and address fields of EN 13757-4.
pub const TELEGRAM_BYTES_MIN: usize = 10;
/// Longest telegram: an L-field of 255 in frame format A, with its CRCs.
pub const TELEGRAM_BYTES_MAX: usize = 290;
/// Bytes that one [`Noise`] carries; a longer run becomes several.
pub const NOISE_BYTES_MAX: usize = 256;

/// What a receiver's session tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiverEvent {
    /// The receiver is set up and listens. Comes again after each reset.
    Ready(Identity),
    /// A telegram was heard.
    Heard(Heard),
    /// Bytes that were no telegram and no awaited answer.
    Noise(Noise),
    /// No telegram was heard for the configured time; the receiver is being reset.
    Silent {
        /// How long nothing was heard.
        since: Duration,
        /// Resets in a row that brought no telegram, this one counted.
        resets: u32,
    },
    /// The session gave up and is finished. Another may be tried after a while.
    Failed(Failure),
    /// The application did not take its events: this many were dropped.
    Lost(u32),
}

/// A telegram as the receiver handed it over.
///
/// That the receiver found it intact says nothing on who sent it: anyone can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The telegram from its L-field on. The receiver's own framing, length and signal bytes are gone.
    pub bytes: Vec<u8>,
    /// What of the link layer is still in `bytes`.
    pub form: Form,
    /// The mode in which it was heard; `None` when the receiver listens to several and does not tell.
    pub mode: Option<Mode>,
    /// Signal strength, where the receiver tells one.
    pub rssi_dbm: Option<i16>,
    /// When its last byte arrived.
    pub at: Instant,
}

/// What of the link layer is in the bytes of a telegram (EN 13757-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// Frame format A with its CRCs; L does not count them.
    CrcA,
    /// Frame format B with its CRCs; L counts them.
    CrcB,
    /// The receiver checked the CRCs and took them out; L counts what is left.
    Stripped,
    /// Chips as from the air, still to be decoded (3-of-6, Manchester). None of the receivers here
    /// gives this form; it is for others that share this type.
    Chips,
}

/// Bytes without use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noise {
    /// The bytes as they came, at most [`NOISE_BYTES_MAX`].
    pub bytes: Vec<u8>,
    /// Why the first of them had no use.
    pub reason: NoiseReason,
    /// When the last of them arrived.
    pub at: Instant,
}

/// Why bytes had no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoiseReason {
    /// They begin no message of this receiver.
    Garbage,
    /// A message whose checksum does not fit, or that the receiver marked as damaged.
    WrongChecksum,
    /// A telegram whose length disagrees with its L-field.
    WrongLength,
    /// A message that ended in the middle.
    CutShort,
    /// An answer to nothing, or a message of an unknown type.
    Unasked,
    /// A telegram before the receiver was set up: its mode and its signal byte would be guesses.
    TooEarly,
}

/// Which receiver it is, in its own words. Empty where it does not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Which family of receivers answered.
    pub kind: Kind,
    /// The model.
    pub model: String,
    /// The serial number or identification.
    pub serial: String,
    /// The firmware's version.
    pub firmware: String,
}

impl fmt::Display for NoiseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Garbage => "no message of this receiver begins so",
            Self::WrongChecksum => "wrong checksum",
            Self::WrongLength => "length disagrees with the L-field",
            Self::CutShort => "ended in the middle",
            Self::Unasked => "nobody asked for it",
            Self::TooEarly => "heard before the receiver was set up",
        })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        for (what, text) in [("", &self.model), ("serial ", &self.serial), ("firmware ", &self.firmware)] {
            if !text.is_empty() {
                write!(f, ", {what}{text}")?;
            }
        }
        Ok(())
    }
}
