//! What meters send without being asked: whole APDUs out of the bytes of a HAN port or of a TCP
//! connection.
//!
//! ```text
//! HDLC    UI or I frames, an APDU in one or in several with the segmentation bit  (IEC 62056-46)
//! M-Bus   long frames with CI 00 to 1F: four bits of sequence number, one "last"   (EN 13757-3 §6)
//! wrapper eight bytes before each APDU                                            (IEC 62056-47)
//! raw     APDUs with nothing between them but silence
//! ```
//! General block transfer is not put together here: its blocks are APDUs.

mod mbus;
mod serial;

pub use mbus::{MBUS_FRAME_BYTES_MAX, Transported, TransportedError};

use crate::hdlc;
use crate::link::{APDU_BYTES_DEFAULT, APDU_BYTES_MAX, EVENT_COUNT_MAX};
use crate::wrapper::{Unwrapper, WRAPPED_BYTES_MAX, WrapperError};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;
use plomb_session::Instant;
use serial::Serial;
use thiserror::Error;

/// How APDUs are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PushFraming {
    /// HDLC or M-Bus frames, whichever come: the sums of either tell.
    Serial,
    /// The wrapper, on a TCP connection. Of UDP each datagram is one
    /// [`Wrapped`](crate::wrapper::Wrapped) APDU.
    Wrapper,
    /// Silence ends an APDU.
    Raw,
}

/// How to listen. The defaults suit the meters known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushConfig {
    /// How APDUs are told apart.
    pub framing: PushFraming,
    /// Silence inside a frame after which it is given up.
    pub inter_octet_timeout: Duration,
    /// Silence that ends a raw APDU.
    pub raw_gap: Duration,
    /// How long the next segment of an APDU may take. Meters pause for seconds between them.
    pub segment_timeout: Duration,
    /// Longest APDU that is taken in; at most [`APDU_BYTES_MAX`].
    pub apdu_bytes_max: usize,
}

impl PushConfig {
    /// Listens with the usual limits.
    #[must_use]
    pub const fn new(framing: PushFraming) -> Self {
        Self {
            framing,
            inter_octet_timeout: Duration::from_secs(1),
            raw_gap: Duration::from_millis(300),
            segment_timeout: Duration::from_secs(15),
            apdu_bytes_max: APDU_BYTES_DEFAULT,
        }
    }

    fn apdu_bytes_max(&self) -> usize {
        self.apdu_bytes_max.min(APDU_BYTES_MAX)
    }
}

/// What a receiver tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushEvent {
    /// A whole APDU.
    Apdu {
        /// The APDU, without any link header.
        apdu: Vec<u8>,
        /// What carried it.
        origin: PushOrigin,
    },
    /// Something was lost.
    Lost(PushLoss),
}

/// What carried an APDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PushOrigin {
    /// HDLC frames with these addresses.
    Hdlc {
        /// The meter.
        source: hdlc::Address,
        /// The client.
        destination: hdlc::Address,
    },
    /// M-Bus frames with these addresses.
    Mbus {
        /// The A field.
        address: u8,
        /// The server's transport address (STSAP).
        source: u8,
        /// The client's transport address (DTSAP).
        destination: u8,
    },
    /// A wrapper with these ports.
    Wrapper {
        /// The meter's port.
        source: u16,
        /// The client's port.
        destination: u16,
    },
    /// Nothing.
    Raw,
}

/// What was lost, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PushLoss {
    /// An HDLC frame with a wrong sum.
    #[error("a pushed frame is damaged ({0}): check the line")]
    HdlcFrame(hdlc::FrameError),
    /// An M-Bus frame with a wrong sum.
    #[error("a pushed frame is damaged ({0}): check the line")]
    MbusFrame(TransportedError),
    /// A segment is missing between others.
    #[error("a segment of a pushed APDU is missing behind {bytes} bytes: check the line")]
    Gap {
        /// Bytes that had come.
        bytes: usize,
    },
    /// The last segments did not come.
    #[error(
        "the rest of a pushed APDU did not come behind {bytes} bytes: raise the segment timeout, or check the line"
    )]
    Incomplete {
        /// Bytes that had come.
        bytes: usize,
    },
    /// Longer than the limit.
    #[error("a pushed APDU is longer than {bytes_max} bytes: raise the limit if it is real")]
    TooLong {
        /// The limit.
        bytes_max: usize,
    },
    /// The stream is out of step. Nothing that follows on this connection is taken.
    #[error("{0}: close the connection")]
    Stream(WrapperError),
}

/// Takes the bytes of one port or connection, and gives whole APDUs.
///
/// The loop is that of a [`Session`](plomb_session::Session) that never speaks and never ends.
#[derive(Debug)]
pub struct PushReceiver {
    config: PushConfig,
    carrier: Carrier,
    events: VecDeque<PushEvent>,
    dropped: u64,
}

#[derive(Debug)]
enum Carrier {
    Serial(Serial),
    Wrapper { unwrapper: Unwrapper, broken: bool },
    Raw { apdu: Vec<u8>, too_long: bool, ends_at: Option<Instant> },
}

impl PushReceiver {
    /// A receiver that has heard nothing.
    #[must_use]
    pub fn new(config: PushConfig) -> Self {
        let carrier = match config.framing {
            PushFraming::Serial => Carrier::Serial(Serial::default()),
            PushFraming::Wrapper => Carrier::Wrapper { unwrapper: Unwrapper::default(), broken: false },
            PushFraming::Raw => Carrier::Raw { apdu: Vec::new(), too_long: false, ends_at: None },
        };
        Self { config, carrier, events: VecDeque::new(), dropped: 0 }
    }

    /// `bytes` arrived, the last of them at `now`. Any split of the stream is fine.
    pub fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        let Self { config, carrier, events, dropped } = self;
        let mut tell = teller(events, dropped);
        match carrier {
            Carrier::Serial(serial) => serial.push(bytes, config, now, &mut tell),
            Carrier::Wrapper { broken: true, .. } => {}
            Carrier::Wrapper { unwrapper, broken } => {
                let bytes_max = config.apdu_bytes_max().min(WRAPPED_BYTES_MAX);
                let outcome = unwrapper.push(bytes, bytes_max, |wrapped| {
                    let origin = PushOrigin::Wrapper { source: wrapped.source, destination: wrapped.destination };
                    tell(PushEvent::Apdu { apdu: wrapped.apdu.to_vec(), origin });
                });
                if let Err(error) = outcome {
                    *broken = true;
                    tell(PushEvent::Lost(PushLoss::Stream(error)));
                }
            }
            Carrier::Raw { apdu, too_long, ends_at } => {
                *too_long |= apdu.len().saturating_add(bytes.len()) > config.apdu_bytes_max();
                if *too_long {
                    apdu.clear();
                } else {
                    apdu.extend_from_slice(bytes);
                }
                *ends_at = Some(now + config.raw_gap);
            }
        }
    }

    /// Time is `now`. Deadlines that have passed take effect.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Self { config, carrier, events, dropped } = self;
        let mut tell = teller(events, dropped);
        match carrier {
            Carrier::Serial(serial) => serial.handle_timeout(config, now, &mut tell),
            Carrier::Wrapper { .. } => {}
            Carrier::Raw { apdu, too_long, ends_at } => {
                if ends_at.is_none_or(|at| now < at) {
                    return;
                }
                *ends_at = None;
                let apdu = core::mem::take(apdu);
                if core::mem::take(too_long) {
                    tell(PushEvent::Lost(PushLoss::TooLong { bytes_max: config.apdu_bytes_max() }));
                } else if !apdu.is_empty() {
                    tell(PushEvent::Apdu { apdu, origin: PushOrigin::Raw });
                }
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.carrier {
            Carrier::Serial(serial) => serial.poll_timeout(),
            Carrier::Wrapper { .. } => None,
            Carrier::Raw { ends_at, .. } => *ends_at,
        }
    }

    /// What came, oldest first.
    #[must_use = "an event taken and dropped is a reading lost"]
    pub fn poll_event(&mut self) -> Option<PushEvent> {
        self.events.pop_front()
    }

    /// Events that were dropped because nobody took them.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// Queues events; beyond [`EVENT_COUNT_MAX`] the oldest is dropped and counted.
fn teller<'a>(events: &'a mut VecDeque<PushEvent>, dropped: &'a mut u64) -> impl FnMut(PushEvent) + 'a {
    |event| {
        if events.len() >= EVENT_COUNT_MAX {
            events.pop_front();
            *dropped = dropped.saturating_add(1);
        }
        events.push_back(event);
    }
}
