use crate::frame::Address;
use crate::secondary::SecondaryAddress;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

/// What a search tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScanEvent {
    /// A meter, with the telegram that it gave.
    Found(FoundMeter),
    /// Several meters answer here and cannot be told apart: by primary address, because they share
    /// it; by identity, because theirs are equal, or differ in a way that no question reaches.
    Collision {
        /// Where.
        place: Place,
    },
    /// A meter answers, but not as itself: its telegram names another address or identity, or the
    /// identity that it names does not answer when selected. It is not counted as found.
    Unfit {
        /// Who was asked.
        place: Place,
        /// What the telegram says; without manufacturer for the fixed structure.
        got: Option<SecondaryAddress>,
        /// The address in the telegram.
        address: Address,
    },
    /// A meter is there and cannot be read: it acknowledges and sends no telegram, or it answers again
    /// and again after the reply timeout, which then must be raised.
    Mute {
        /// Who was asked.
        place: Place,
    },
    /// What a speed gave ([`Scan::speeds`](crate::Scan::speeds)).
    Speed {
        /// In bits per second.
        bits_per_second: u32,
        /// What came back.
        answer: SpeedAnswer,
    },
    /// How far the search is. An older one that was not taken is replaced.
    Progress(Progress),
    /// The search is over. Always the last event, and always told.
    Done {
        /// Why.
        end: ScanEnd,
        /// Frames sent.
        frames: u32,
        /// Meters found.
        found: u32,
        /// From the first frame to the last answer.
        took: Duration,
    },
}

/// Whom a question was meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A primary address.
    Primary(Address),
    /// A selection; F stands for any digit.
    Selection(SecondaryAddress),
}

/// A meter that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundMeter {
    /// Its primary address.
    pub address: Address,
    /// Its identity as its telegram tells it: without manufacturer and version for the fixed
    /// structure; `None` when the telegram tells none (only by primary address).
    pub identity: Option<SecondaryAddress>,
    /// The telegram's frame, from 68 to 16.
    pub telegram: Vec<u8>,
}

/// How far a search is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Frames sent.
    pub frames: u32,
    /// Meters found.
    pub found: u32,
    /// The share of all branches, addresses or speeds that is done, in thousandths.
    pub done_per_mille: u16,
    /// An estimate from the time so far; `None` before there is anything to go by.
    pub remaining: Option<Duration>,
}

/// Why a search is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScanEnd {
    /// Everything was asked.
    Complete,
    /// Nobody answered at all: no meter, no power, a broken wire, or another speed.
    NobodyAnswers,
    /// Bytes come back although nobody was asked: echo in disorder, wrong polarity or parity, or a
    /// disturbed line. Answers cannot be told from it.
    Noise {
        /// Bytes that came back last.
        bytes: usize,
    },
    /// The configured number of frames was sent.
    FrameLimit,
    /// [`Scan::cancel`](crate::Scan::cancel) was called.
    Cancelled,
}

/// What came back at one speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpeedAnswer {
    /// Nothing.
    Silence,
    /// One clean acknowledgement, from one meter or from several in the same instant.
    Clean,
    /// Bytes that are no clean acknowledgement: several meters, or meters at another speed.
    Garbled,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primary(address) => write!(f, "address {address}"),
            Self::Selection(selection) => write!(f, "selection {selection}"),
        }
    }
}

impl fmt::Display for ScanEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("everything was asked"),
            Self::NobodyAnswers => f.write_str("nobody answers: check wiring, power and baud rate"),
            Self::Noise { bytes } => write!(
                f,
                "{bytes} bytes come back although nobody was asked: check echo, polarity, parity and the line"
            ),
            Self::FrameLimit => f.write_str("the limit of frames is reached: narrow the search, or raise the limit"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}
