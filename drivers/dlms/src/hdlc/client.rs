mod receive;

pub use receive::{BUSY_PAUSE_MAX, BUSY_PAUSE_MIN, REFUSAL_COUNT_MAX};

use super::config::HdlcConfig;
use super::control::Control;
use super::deframer::Deframer;
use super::frame::Frame;
use super::heard::Heard;
use super::parameters::Parameters;
use super::pieces::{Incoming, Outgoing, Piece, Unnumbered};
use crate::link::{EVENT_COUNT_MAX, LinkCounts, LinkEvent, LinkFailure, SendError};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;
use plomb_session::{Instant, Transmit};

/// Pause before the second SNRM; it doubles with each further one.
pub const CONNECT_BACKOFF_MIN: Duration = Duration::from_millis(500);
/// The longest pause between two SNRM.
pub const CONNECT_BACKOFF_MAX: Duration = Duration::from_secs(8);

/// A client's connection with one meter over HDLC, in normal response mode on a line where only one
/// side speaks at a time (IEC 62056-46 §6).
///
/// ```text
/// down ─ SNRM ─► connecting ─ UA ─► up ─ I … P ─► meter's turn ─ I … F, RR F ─► own turn ─► …
///                   │ DM: DISC, SNRM                │ silence, damage: RR P, asks what has arrived
/// ```
/// - The turn goes over with P and F only. A lost or damaged frame is asked after with RR, not
///   repeated blindly: N(R) tells what has arrived, so nothing is carried out twice.
/// - Between a frame with F and the next of one's own there is no pause.
/// - Frames of other stations, own frames that come back, and frames out of turn change nothing.
///
/// See [`DataLink`](crate::link::DataLink) for what each method means.
#[derive(Debug)]
pub struct ClientLink {
    config: HdlcConfig,
    phase: Phase,
    line: Line,
    /// A piece was taken and its last bit has not left.
    in_flight: bool,
    said: Say,
    /// When the last bytes left, for the echo of optical heads.
    sent: Vec<u8>,
    deframer: Deframer,
    /// A frame of this turn was damaged: once the line is quiet, the meter is asked again.
    damaged: bool,
    /// When the line counts as quiet, while a frame is unfinished or damaged.
    quiet_at: Option<Instant>,
    negotiated: Parameters,
    outgoing: Outgoing,
    incoming: Incoming,
    notifications: Unnumbered,
    /// An answer is due.
    awaiting: bool,
    attempt: u8,
    refusals: u8,
    busy: Option<Busy>,
    /// Something was asked for again since the question was first asked.
    recovering: bool,
    /// The meter's words since it was last spoken to brought the exchange forward.
    progress: bool,
    heard: Heard,
    counts: LinkCounts,
    last_spoken: Option<Instant>,
    events: VecDeque<LinkEvent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The meter may or may not know that.
    Down {
        was_up: bool,
    },
    /// DISC goes before SNRM.
    Clearing,
    Connecting,
    Up,
    Closing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Idle,
    /// Nothing is sent until then.
    Pause {
        until: Instant,
        then: Say,
    },
    /// Waits to be taken.
    Ready(Say),
    /// The meter's turn. The deadline is set once the last bit has left; whatever trickles in, it
    /// ends at `latest`.
    Listen {
        until: Option<Until>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Until {
    deadline: Instant,
    latest: Instant,
}

/// What is sent next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Say {
    Disc,
    Snrm {
        bare: bool,
    },
    /// RR with P: what have you, and what has arrived?
    Poll,
    /// The pieces that are not acknowledged, as many as the window allows.
    Burst,
    /// The last piece once more, though it was acknowledged.
    Again,
}

/// The meter is there, and has no answer yet.
#[derive(Clone, Copy, Debug)]
struct Busy {
    since: Instant,
    polls: u8,
    /// It said so with RNR.
    not_ready: bool,
}

impl ClientLink {
    /// A link that is down.
    #[must_use]
    pub fn new(config: HdlcConfig) -> Self {
        Self {
            config,
            phase: Phase::Down { was_up: false },
            line: Line::Idle,
            in_flight: false,
            said: Say::Disc,
            sent: Vec::new(),
            deframer: Deframer::default(),
            damaged: false,
            quiet_at: None,
            negotiated: Parameters::DEFAULT,
            outgoing: Outgoing::default(),
            incoming: Incoming::default(),
            notifications: Unnumbered::default(),
            awaiting: false,
            attempt: 0,
            refusals: 0,
            busy: None,
            recovering: false,
            progress: false,
            heard: Heard::default(),
            counts: LinkCounts::default(),
            last_spoken: None,
            events: VecDeque::new(),
        }
    }

    /// How this link speaks, and with whom.
    #[must_use]
    pub const fn config(&self) -> &HdlcConfig {
        &self.config
    }

    /// Begins to connect.
    pub fn connect(&mut self, _now: Instant) {
        self.begin();
        self.refusals = 0;
        self.clear_connection();
        if self.config.disconnect_first {
            (self.phase, self.line) = (Phase::Clearing, Line::Ready(Say::Disc));
        } else {
            (self.phase, self.line) = (Phase::Connecting, Line::Ready(self.snrm()));
        }
    }

    /// Sends one APDU.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn send(&mut self, apdu: Vec<u8>) -> Result<(), SendError> {
        self.ensure_free()?;
        let bytes_max = self.config.apdu_bytes_max();
        if apdu.len() > bytes_max {
            return Err(SendError::TooLong { bytes: apdu.len(), bytes_max });
        }
        self.begin();
        self.outgoing.load(apdu, self.negotiated.transmit_bytes);
        self.ask(Say::Burst);
        Ok(())
    }

    /// Asks for another APDU of the same answer.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn receive_more(&mut self, _now: Instant) -> Result<(), SendError> {
        self.ensure_free()?;
        self.begin();
        self.ask(Say::Poll);
        Ok(())
    }

    /// Begins to disconnect.
    pub fn disconnect(&mut self, _now: Instant) {
        match self.phase {
            Phase::Down { was_up: false } => self.tell(LinkEvent::Disconnected),
            Phase::Closing => {}
            _ => {
                self.begin();
                (self.phase, self.line) = (Phase::Closing, Line::Ready(Say::Disc));
            }
        }
    }

    /// The last bit of the latest [`Transmit`] left at `now`.
    pub fn handle_transmitted(&mut self, now: Instant) {
        if !core::mem::take(&mut self.in_flight) {
            return;
        }
        self.last_spoken = Some(now);
        if self.line == (Line::Listen { until: None }) {
            self.listen(now);
        }
    }

    /// `bytes` arrived, the last of them at `now`.
    pub fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        let mut deframer = core::mem::take(&mut self.deframer);
        deframer.push(bytes, |found| self.found(&found, now));
        self.deframer = deframer;
        let listens = matches!(self.line, Line::Listen { .. });
        let unfinished = listens && (self.damaged || self.deframer.is_inside_frame());
        self.quiet_at = unfinished.then(|| now + self.config.inter_octet_timeout);
    }

    /// Time is `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|at| now < at) {
            return;
        }
        match self.line {
            Line::Pause { then, .. } => self.line = Line::Ready(then),
            Line::Listen { until: Some(until) } => self.listened_long_enough(until, now),
            // Nothing was said for so long that the meter has let go.
            Line::Idle => {
                self.phase = Phase::Down { was_up: false };
                self.tell(LinkEvent::Disconnected);
            }
            _ => {}
        }
    }

    /// The next bytes to send, if any.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let Line::Ready(say) = self.line else { return None };
        if self.in_flight {
            return None;
        }
        // What arrived before the question is no answer to it.
        self.deframer.clear();
        (self.damaged, self.quiet_at, self.progress) = (false, None, false);
        let bytes = self.words(say);
        (self.said, self.in_flight, self.line) = (say, true, Line::Listen { until: None });
        self.sent.clone_from(&bytes);
        Some(Transmit { bytes })
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.line {
            Line::Pause { until, .. } => Some(until),
            Line::Listen { until: Some(Until { deadline, latest }) } => {
                Some(self.quiet_at.map_or(deadline, |quiet_at| quiet_at.min(latest)))
            }
            Line::Idle if self.phase == Phase::Up => self.last_spoken.map(|at| at + self.config.inactivity_timeout),
            _ => None,
        }
    }

    /// What happened, oldest first.
    pub fn poll_event(&mut self) -> Option<LinkEvent> {
        self.events.pop_front()
    }

    /// Whether APDUs can be sent.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Up)
    }

    /// What the link has seen since it was made.
    #[must_use]
    pub const fn counts(&self) -> LinkCounts {
        self.counts
    }

    fn ensure_free(&self) -> Result<(), SendError> {
        match self.phase {
            Phase::Up if self.awaiting || !self.outgoing.is_acknowledged() => Err(SendError::Outstanding),
            Phase::Up => Ok(()),
            _ => Err(SendError::NotConnected),
        }
    }

    /// Says it now, or when the meter has given up its turn.
    fn ask(&mut self, say: Say) {
        self.awaiting = true;
        if self.line == Line::Idle {
            self.line = Line::Ready(say);
        }
    }

    /// A new question: what was heard before explains nothing about it.
    fn begin(&mut self) {
        (self.attempt, self.busy, self.recovering) = (0, None, false);
        self.heard = Heard { noise_before: self.deframer.noise_bytes(), ..Heard::default() };
    }

    fn clear_connection(&mut self) {
        self.awaiting = false;
        self.outgoing.reset();
        self.incoming.reset();
        self.deframer.clear();
    }

    fn tell(&mut self, event: LinkEvent) {
        if self.events.len() >= EVENT_COUNT_MAX {
            self.counts.dropped += 1;
            match self.events.iter().position(|event| matches!(event, LinkEvent::Unsolicited(_))) {
                Some(oldest) => drop(self.events.remove(oldest)),
                None => drop(self.events.pop_front()),
            }
        }
        self.events.push_back(event);
    }

    fn fail(&mut self, failure: LinkFailure) {
        let was_up = self.phase == Phase::Up;
        (self.phase, self.line) = (Phase::Down { was_up }, Line::Idle);
        self.clear_connection();
        self.tell(LinkEvent::Failed(failure));
    }

    /// SNRM: at the last try without parameters, which some meters do not understand.
    const fn snrm(&self) -> Say {
        Say::Snrm { bare: self.attempt > 0 && self.attempt >= self.config.connect_retries }
    }

    fn listen(&mut self, now: Instant) {
        let wait = match self.phase {
            Phase::Closing | Phase::Clearing => self.config.disconnect_timeout,
            _ => self.config.response_timeout,
        };
        let deadline = now + wait;
        self.line = Line::Listen { until: Some(Until { deadline, latest: deadline + self.config.longest_frame() }) };
    }

    fn listened_long_enough(&mut self, until: Until, now: Instant) {
        self.quiet_at = None;
        let before = self.line;
        let mut deframer = core::mem::take(&mut self.deframer);
        deframer.give_up(|found| self.found(&found, now));
        self.deframer = deframer;
        let unchanged = self.line == before;
        if unchanged && (core::mem::take(&mut self.damaged) || now >= until.deadline) {
            self.unanswered(now);
        }
    }

    /// The bytes of what is said.
    fn words(&mut self, say: Say) -> Vec<u8> {
        let bare = |control| Frame::bare(self.config.server, self.config.client, control);
        let frame = match say {
            Say::Disc => bare(Control::Disc { last: true }),
            Say::Snrm { bare: true } => bare(Control::Snrm { last: true }),
            Say::Snrm { bare: false } => {
                let proposal = self.config.proposal.in_bounds().emit();
                let information = (!proposal.is_empty()).then_some(&proposal[..]);
                self.counts.sent += 1;
                return Frame { information, ..bare(Control::Snrm { last: true }) }.emit().unwrap_or_default();
            }
            Say::Poll => {
                let receive = self.incoming.tell();
                bare(Control::Rr { receive, last: true })
            }
            Say::Burst => {
                let pieces = self.outgoing.burst(self.negotiated.transmit_window);
                return self.pieces(&pieces);
            }
            Say::Again => return self.pieces(&self.outgoing.last_piece()),
        };
        self.counts.sent += 1;
        frame.emit().unwrap_or_default()
    }

    fn pieces(&mut self, pieces: &[Piece]) -> Vec<u8> {
        let receive = self.incoming.tell();
        let mut bytes = Vec::new();
        for piece in pieces {
            self.counts.sent += 1;
            let frame = Frame {
                destination: self.config.server,
                source: self.config.client,
                control: Control::I { send: piece.number, receive, last: piece.last },
                segmented: piece.segmented,
                information: Some(self.outgoing.bytes(piece)),
            };
            // A piece is never longer than a frame holds: see `Parameters::in_bounds`.
            bytes.extend(frame.emit().unwrap_or_default());
        }
        bytes
    }
}

fn backoff(attempt: u8) -> Duration {
    CONNECT_BACKOFF_MIN.saturating_mul(1 << attempt.min(15)).min(CONNECT_BACKOFF_MAX)
}
