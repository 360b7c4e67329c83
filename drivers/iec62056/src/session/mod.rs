mod config;
mod failure;
mod machine;
mod receive;
mod request;

pub use config::{DEVICE_ADDRESS_BYTES_MAX, DeviceAddress, ReadConfig, SPEEDS};
pub use failure::ReadFailure;
pub use request::{REQUEST_COUNT_MAX, Request, RequestError};

use crate::identification::Identification;
use alloc::vec::Vec;
use machine::{Goal, Happening, Machine};
use plomb_session::{Instant, Session, Transmit};
use zeroize::Zeroizing;

/// Asks a meter for its readout, and takes it: a [`Session`] of modes A, B and C, as the meter
/// proposes.
///
/// ```text
/// /?! ─► identification ─► mode A:             readout
///                          mode B:      speed, readout
///                          mode C: ACK, speed, readout
/// ```
/// - Before each of the reader's messages stands the pause that the standard wants (200 ms, or 20 ms
///   for quick meters).
/// - ACK leaves at the old speed. The new speed is asked for once it has left, which is counted from
///   its beginning, too, for some adapters say too early that it has.
/// - A block with a wrong BCC is asked for again from the beginning, at the opening speed.
#[derive(Debug)]
pub struct Readout(Machine);

/// What a readout tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadEvent {
    /// The meter has named itself. Told again when the readout begins anew.
    Identified(Identification),
    /// The readout, whole and checked: what stands between STX and ETX. See
    /// [`DataSets`](crate::DataSets).
    Data(Vec<u8>),
    /// The readout is complete.
    Done {
        /// How often it began anew.
        repeats: u8,
    },
    /// The readout failed.
    Failed(ReadFailure),
}

/// Reads and writes single registers in programming mode: a [`Session`] of mode C.
///
/// ```text
/// /?! ─► identification ─► ACK 0 Z 1 ─► P0 [─► P1 ─► ACK] ─► R1 ─► block ─► … ─► B0
/// ```
/// A block with a wrong BCC is asked for again with NAK; blocks that go on (EOT) are put together.
/// After a write nothing begins anew by itself: it may have been carried out. The conversation ends
/// with B0 in any case, else the meter listens to nobody else for a minute.
#[derive(Debug)]
pub struct Programming(Machine);

/// What a programming session tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgrammingEvent {
    /// The meter has named itself.
    Identified(Identification),
    /// The answer to a request.
    Answer {
        /// Which, from 0.
        index: usize,
        /// What stands between STX and ETX; empty when the meter acknowledged.
        block: Vec<u8>,
    },
    /// The meter refuses a request, and goes on.
    Refused {
        /// Which, from 0.
        index: usize,
        /// Its words, as `(ERROR)`.
        block: Vec<u8>,
    },
    /// All requests were answered or refused.
    Done,
    /// The session failed. Answers told before stand.
    Failed(ReadFailure),
}

/// Opens mode E: a [`Session`] after which the meter speaks HDLC.
///
/// ```text
/// /?! ─► identification ─► ACK 2 Z 2 ─► ACK 2 Z 2, or nothing ─► speed ─► HDLC
/// ```
/// The port must have eight bits without parity from then on. Where it has them from the beginning,
/// use [`Parity::Software`](crate::Parity::Software).
#[derive(Debug)]
pub struct Opening(Machine);

/// What an opening tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpeningEvent {
    /// The line belongs to HDLC now.
    Opened(Opened),
    /// The opening failed.
    Failed(ReadFailure),
}

/// An opened line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Who is there.
    pub identification: Identification,
    /// The speed of the line now, with eight bits and no parity.
    pub bits_per_second: u32,
    /// Whether the meter confirmed. Not all do.
    pub confirmed: bool,
}

impl Readout {
    /// A readout. It begins with [`Session::start`].
    #[must_use]
    pub fn new(config: ReadConfig) -> Self {
        Self(Machine::new(config, Goal::Readout))
    }
}

impl Programming {
    /// A session with these requests, in this order. `password` is the operand of P1, without
    /// parentheses; many meters let everyone read.
    ///
    /// # Errors
    /// [`RequestError`] for a password that a block cannot hold, or too many requests.
    pub fn new(config: ReadConfig, password: Option<&str>, requests: Vec<Request>) -> Result<Self, RequestError> {
        if requests.len() > REQUEST_COUNT_MAX {
            return Err(RequestError::TooMany { requests: requests.len() });
        }
        password.map_or(Ok(()), request::check)?;
        let password = password.map(|password| Zeroizing::new(password.as_bytes().to_vec()));
        Ok(Self(Machine::new(config, Goal::Programming { password, requests })))
    }
}

impl Opening {
    /// An opening. It begins with [`Session::start`].
    #[must_use]
    pub fn new(config: ReadConfig) -> Self {
        Self(Machine::new(config, Goal::Hdlc))
    }
}

/// Makes a session of the machine, with its own words for what happened.
macro_rules! session_of_machine {
    ($session:ident, $event:ident, $in_own_words:expr) => {
        impl Session for $session {
            type Event = $event;

            fn start(&mut self, now: Instant) {
                self.0.start(now);
            }

            fn handle_transmitted(&mut self, now: Instant) {
                self.0.handle_transmitted(now);
            }

            fn handle_input(&mut self, bytes: &[u8], now: Instant) {
                self.0.handle_input(bytes, now);
            }

            fn handle_timeout(&mut self, now: Instant) {
                self.0.handle_timeout(now);
            }

            fn poll_transmit(&mut self) -> Option<Transmit> {
                self.0.poll_transmit()
            }

            fn poll_speed(&mut self) -> Option<u32> {
                self.0.poll_speed()
            }

            fn poll_timeout(&self) -> Option<Instant> {
                self.0.poll_timeout()
            }

            fn poll_event(&mut self) -> Option<$event> {
                loop {
                    let told = $in_own_words(self.0.poll_event()?);
                    if told.is_some() {
                        return told;
                    }
                }
            }

            fn is_finished(&self) -> bool {
                self.0.is_finished()
            }
        }
    };
}

session_of_machine!(Readout, ReadEvent, |happening| match happening {
    Happening::Identified(identification) => Some(ReadEvent::Identified(identification)),
    Happening::Data(block) => Some(ReadEvent::Data(block)),
    Happening::Done { repeats } => Some(ReadEvent::Done { repeats }),
    Happening::Failed(failure) => Some(ReadEvent::Failed(failure)),
    Happening::Answer { .. } | Happening::Refused { .. } | Happening::Opened(_) => None,
});
session_of_machine!(Programming, ProgrammingEvent, |happening| match happening {
    Happening::Identified(identification) => Some(ProgrammingEvent::Identified(identification)),
    Happening::Answer { index, block } => Some(ProgrammingEvent::Answer { index, block }),
    Happening::Refused { index, block } => Some(ProgrammingEvent::Refused { index, block }),
    Happening::Done { .. } => Some(ProgrammingEvent::Done),
    Happening::Failed(failure) => Some(ProgrammingEvent::Failed(failure)),
    Happening::Data(_) | Happening::Opened(_) => None,
});
session_of_machine!(Opening, OpeningEvent, |happening| match happening {
    Happening::Opened(opened) => Some(OpeningEvent::Opened(opened)),
    Happening::Failed(failure) => Some(OpeningEvent::Failed(failure)),
    _ => None,
});
