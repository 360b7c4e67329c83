//! What carries APDUs: a data link that a client can use without knowing which it is.
//!
//! Both links are told what happened and say what to do next, as a
//! [`Session`](plomb_session::Session) does: see there for the loop. They differ from a session in
//! that they do not end by themselves.
//!
//! ```text
//! connect(now) ─► Connected ─► send(apdu) ─► Apdu … ─► send(apdu) ─► … ─► disconnect(now) ─► Disconnected
//!                      any time ─► Failed: the link is down; connect again, or give up
//! ```

use crate::hdlc;
use crate::wrapper;
use alloc::boxed::Box;
use alloc::vec::Vec;
use plomb_session::{Instant, Transmit};
use thiserror::Error;

/// Longest APDU that a link takes in, unless configured otherwise.
pub const APDU_BYTES_DEFAULT: usize = 64 * 1024;
/// Longest APDU that a link can be configured to take in: an answer without blocks may be long.
pub const APDU_BYTES_MAX: usize = 1024 * 1024;
/// Events that wait to be taken; of unsolicited APDUs the oldest are dropped beyond it.
pub const EVENT_COUNT_MAX: usize = 64;

/// A data link of either kind.
#[derive(Debug)]
pub enum DataLink {
    /// HDLC, on a serial line or tunnelled through a TCP connection.
    Hdlc(Box<hdlc::ClientLink>),
    /// The wrapper, on TCP or UDP.
    Wrapper(Box<wrapper::ClientLink>),
}

/// What a link tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// The link is up.
    Connected(Negotiated),
    /// An answer, whole.
    Apdu(Vec<u8>),
    /// An APDU that answers no question: a notification of the meter.
    Unsolicited(Vec<u8>),
    /// The link is down, as was asked; or it lay idle for so long that the meter has let go of it.
    Disconnected,
    /// The link is down, and why.
    Failed(LinkFailure),
}

/// What holds on a connected link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Negotiated {
    /// What SNRM and UA agreed on, as the client sees it.
    Hdlc(hdlc::Parameters),
    /// The wrapper has nothing to agree on.
    Wrapper,
}

/// What was going on when a link failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The connection was asked for.
    Connect,
    /// An APDU was sent or awaited.
    Exchange,
}

/// Why a link is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LinkFailure {
    /// Nothing came back.
    #[error("{}", silence(*stage, *echo))]
    Silence {
        /// When.
        stage: Stage,
        /// Whether the own bytes came back, as from an optical head.
        echo: bool,
    },
    /// Frames came, from another station than the one that was asked.
    #[error("address {got} answers where {expected} was asked: check the server's upper and lower address")]
    WrongAddress {
        /// Who was asked.
        expected: hdlc::Address,
        /// Who answered.
        got: hdlc::Address,
    },
    /// The meter answers with client and server address exchanged.
    #[error(
        "answers carry the addresses of client and server the wrong way round: exchange the two in the configuration"
    )]
    SwappedAddresses,
    /// Other ports of the wrapper answered.
    #[error("wrapper port {got_server} answers to client port {got_client} where {server} and {client} were asked")]
    WrongPort {
        /// The server's port that was asked.
        server: u16,
        /// The client's port that asked.
        client: u16,
        /// The server's port in the answer.
        got_server: u16,
        /// The client's port in the answer.
        got_client: u16,
    },
    /// Frames came, and all were damaged.
    #[error(
        "{frames} frames came and all were damaged ({last}): check line, speed and parity, or propose shorter frames"
    )]
    Damaged {
        /// How many.
        frames: u32,
        /// What was wrong with the last.
        last: hdlc::FrameError,
    },
    /// What came back holds no frame.
    #[error(
        "{bytes} bytes that are no HDLC frame came back: check speed and parity, and whether the meter needs an opening (mode E) first"
    )]
    Garbage {
        /// How many.
        bytes: u64,
    },
    /// The meter refused the connection (DM) each time, also after it was told to disconnect.
    #[error(
        "the meter is busy with another client, or refuses this client: wait for its inactivity timeout, or check the client address"
    )]
    Refused,
    /// The meter could not make sense of a frame (FRMR).
    #[error(
        "the meter rejects a frame (FRMR {reason:02x?}): connect again, with the default parameters if this repeats"
    )]
    FrameRejected {
        /// What it tells: the rejected control field, its counters, and the reason bits.
        reason: [u8; 3],
    },
    /// The meter has let go of the connection (DM, or nothing sent for too long).
    #[error("the meter has dropped the connection: connect again, and ask within its inactivity timeout")]
    Lost,
    /// The meter is not ready to receive (RNR), for too long.
    #[error("the meter says for {seconds} s that it cannot receive: try later")]
    Busy {
        /// For how long.
        seconds: u64,
    },
    /// The meter acknowledges the question and does not answer.
    #[error("the meter acknowledged the question and sends no answer for {seconds} s: connect again")]
    NoAnswer {
        /// For how long.
        seconds: u64,
    },
    /// Numbered frames do not follow each other, however often asked.
    #[error("frames of the meter do not follow each other ({frames} out of turn): connect again")]
    Sequence {
        /// Frames out of turn.
        frames: u32,
    },
    /// An APDU is longer than the configured limit.
    #[error("the answer is longer than {bytes_max} bytes: ask for less, or raise the limit")]
    TooLong {
        /// The limit.
        bytes_max: usize,
    },
    /// What came is no wrapper header: another protocol on this port, or a broken stream.
    #[error("{0}: check the port, and open a new connection")]
    Header(wrapper::WrapperError),
}

const fn silence(stage: Stage, echo: bool) -> &'static str {
    match (stage, echo) {
        (Stage::Connect, false) => {
            "no answer to the connection request: check address, wiring, speed and parity, and whether the meter needs an opening (mode E) first"
        }
        (Stage::Connect, true) => {
            "only the own bytes came back: the head works and the meter does not answer; check its position, the address, speed and parity"
        }
        (Stage::Exchange, false) => "the meter stopped answering: check the line, and connect again",
        (Stage::Exchange, true) => {
            "the meter stopped answering, only the own bytes come back: check the head's position, and connect again"
        }
    }
}

impl LinkFailure {
    /// A short word for the kind of failure, stable for programs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Silence { .. } => "silence",
            Self::WrongAddress { .. } => "wrong address",
            Self::SwappedAddresses => "swapped addresses",
            Self::WrongPort { .. } => "wrong port",
            Self::Damaged { .. } => "damaged",
            Self::Garbage { .. } => "garbage",
            Self::Refused => "refused",
            Self::FrameRejected { .. } => "frame rejected",
            Self::Lost => "lost",
            Self::Busy { .. } => "busy",
            Self::NoAnswer { .. } => "no answer",
            Self::Sequence { .. } => "sequence",
            Self::TooLong { .. } => "too long",
            Self::Header(_) => "header",
        }
    }
}

/// Why an APDU is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SendError {
    /// The link is not up.
    #[error("the link is not connected: connect, and wait for it")]
    NotConnected,
    /// The APDU before has no answer yet.
    #[error("the APDU before has no answer yet: wait for it")]
    Outstanding,
    /// Longer than the link carries.
    #[error("an APDU of {bytes} bytes does not fit: {bytes_max} do; use blocks")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The longest.
        bytes_max: usize,
    },
}

/// What a link has seen since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Frames, or wrapped APDUs, that were sent.
    pub sent: u64,
    /// Frames, or wrapped APDUs, of the meter for this client.
    pub received: u64,
    /// Times that something had to be sent again or asked for again.
    pub repeats: u64,
    /// Frames with a wrong sum, or cut off.
    pub damaged: u64,
    /// Frames of the meter that are out of turn or came twice.
    pub out_of_turn: u64,
    /// Own frames that came back.
    pub echoes: u64,
    /// Frames between other stations, or from another station to this client.
    pub foreign: u64,
    /// Unsolicited APDUs that were dropped because nobody took them.
    pub dropped: u64,
}

macro_rules! either {
    ($link:expr, $each:ident => $call:expr) => {
        match $link {
            DataLink::Hdlc($each) => $call,
            DataLink::Wrapper($each) => $call,
        }
    };
}

impl DataLink {
    /// Begins to connect. [`LinkEvent::Connected`] or [`LinkEvent::Failed`] follows.
    pub fn connect(&mut self, now: Instant) {
        either!(self, link => link.connect(now));
    }

    /// Sends one APDU. Its answer is an [`LinkEvent::Apdu`]; nothing else may be sent before.
    ///
    /// # Errors
    /// [`SendError`]; the link is as it was.
    pub fn send(&mut self, apdu: Vec<u8>) -> Result<(), SendError> {
        either!(self, link => link.send(apdu))
    }

    /// Waits for another APDU of the same answer, as in general block transfer with streaming.
    ///
    /// # Errors
    /// [`SendError`], as for [`send`](Self::send).
    pub fn receive_more(&mut self, now: Instant) -> Result<(), SendError> {
        either!(self, link => link.receive_more(now))
    }

    /// Begins to disconnect, whatever is going on. [`LinkEvent::Disconnected`] follows, also when
    /// the meter does not answer.
    pub fn disconnect(&mut self, now: Instant) {
        either!(self, link => link.disconnect(now));
    }

    /// The last bit of the latest [`Transmit`] left at `now`. Timers begin here.
    pub fn handle_transmitted(&mut self, now: Instant) {
        either!(self, link => link.handle_transmitted(now));
    }

    /// `bytes` arrived, the last of them at `now`. On UDP they are one datagram, whole.
    pub fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        either!(self, link => link.handle_input(bytes, now));
    }

    /// Time is `now`. Deadlines that have passed take effect.
    pub fn handle_timeout(&mut self, now: Instant) {
        either!(self, link => link.handle_timeout(now));
    }

    /// The next bytes to send, if any.
    #[must_use = "bytes taken and not sent are lost"]
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        either!(self, link => link.poll_transmit())
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        either!(self, link => link.poll_timeout())
    }

    /// What happened, oldest first.
    #[must_use = "an event taken and dropped is an answer lost"]
    pub fn poll_event(&mut self) -> Option<LinkEvent> {
        either!(self, link => link.poll_event())
    }

    /// Whether APDUs can be sent.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        either!(self, link => link.is_connected())
    }

    /// What the link has seen since it was made.
    #[must_use]
    pub const fn counts(&self) -> LinkCounts {
        either!(self, link => link.counts())
    }
}

impl From<hdlc::ClientLink> for DataLink {
    fn from(link: hdlc::ClientLink) -> Self {
        Self::Hdlc(Box::new(link))
    }
}

impl From<wrapper::ClientLink> for DataLink {
    fn from(link: wrapper::ClientLink) -> Self {
        Self::Wrapper(Box::new(link))
    }
}
