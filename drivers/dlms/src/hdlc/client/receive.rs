//! The meter's words: which are for this link, and what follows from them.

use super::{Busy, ClientLink, Line, Phase, Say, backoff};
use crate::hdlc::config::HdlcConfig;
use crate::hdlc::control::Control;
use crate::hdlc::deframer::Found;
use crate::hdlc::frame::Frame;
use crate::hdlc::heard::Heard;
use crate::hdlc::parameters::Parameters;
use crate::hdlc::pieces::{Place, TooLong};
use crate::link::{LinkEvent, LinkFailure, Negotiated, Stage};
use alloc::vec::Vec;
use core::time::Duration;
use plomb_session::Instant;

/// Pause before a busy meter is asked again; it doubles up to [`BUSY_PAUSE_MAX`].
pub const BUSY_PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause between two questions to a busy meter.
pub const BUSY_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How often a refused connection is asked for again after DISC.
pub const REFUSAL_COUNT_MAX: u8 = 2;
/// After so many acknowledgements without an answer, behind a lost frame, the question is repeated.
const POLLS_BEFORE_REPEAT: u8 = 3;
/// Pause before the rest of a window is sent again of which a part was acknowledged.
const PART_OF_WINDOW_PAUSE: Duration = Duration::from_millis(200);
/// A block of a longer APDU (IEC 62056-5-3): several may follow one question.
const BLOCK_TRANSFER_TAG: u8 = 0xE0;
/// The client address that every client hears.
const ALL_STATIONS: u16 = 0x7F;

impl ClientLink {
    pub(super) fn found(&mut self, found: &Found<'_>, now: Instant) {
        match found {
            Found::Frame(frame) => self.sort(frame, now),
            Found::Damaged { error, addresses } => {
                let own = |(destination, source)| destination == self.config.server && source == self.config.client;
                if !addresses.is_some_and(own) {
                    self.counts.damaged += 1;
                    self.heard.damage(*error, addresses.is_some());
                    self.damaged = true;
                    self.notifications.spoil();
                }
            }
        }
    }

    /// Tells frames for this client from all others.
    fn sort(&mut self, frame: &Frame<'_>, now: Instant) {
        let HdlcConfig { client, server, .. } = self.config;
        let (destination, source) = (frame.destination, frame.source);
        if destination == server && source == client && self.is_echo(frame) {
            self.counts.echoes += 1;
            self.heard.echo = true;
            return;
        }
        let for_me = client.upper() == destination.upper();
        let from_meter = server.is_answered_by(source);
        match frame.control {
            Control::Ui { .. } if from_meter && (for_me || destination.upper() == ALL_STATIONS) => {
                self.notification(frame);
            }
            _ if for_me && from_meter => {
                self.counts.received += 1;
                self.received(frame, now);
            }
            _ => {
                self.counts.foreign += 1;
                if client.is_answered_by(source) && server.is_answered_by(destination) {
                    self.heard.swapped = true;
                } else if for_me {
                    self.heard.other.get_or_insert(source);
                }
            }
        }
    }

    /// Whether a frame from this client to the meter is one that was just sent.
    fn is_echo(&self, frame: &Frame<'_>) -> bool {
        let is_command = matches!(frame.control, Control::Snrm { .. } | Control::Disc { .. });
        let bytes = frame.emit().unwrap_or_default();
        is_command || (!bytes.is_empty() && self.sent.windows(bytes.len()).any(|sent| sent == bytes))
    }

    fn notification(&mut self, frame: &Frame<'_>) {
        self.counts.received += 1;
        let information = frame.information.unwrap_or_default();
        match self.notifications.add(information, frame.segmented, self.config.apdu_bytes_max()) {
            Ok(Some(apdu)) => self.tell(LinkEvent::Unsolicited(apdu)),
            Ok(None) => {}
            Err(TooLong) => self.counts.dropped += 1,
        }
    }

    fn received(&mut self, frame: &Frame<'_>, now: Instant) {
        match (self.phase, frame.control) {
            (Phase::Clearing, Control::Ua { .. } | Control::Dm { .. }) => self.cleared(now),
            (Phase::Connecting, Control::Ua { .. }) if matches!(self.said, Say::Snrm { .. }) => {
                self.connected(frame.information.unwrap_or_default(), now);
            }
            (Phase::Connecting, Control::Dm { .. }) => self.refused(),
            (Phase::Connecting, Control::Frmr { .. }) => match self.said {
                Say::Snrm { bare: false } => self.line = Line::Ready(Say::Snrm { bare: true }),
                _ => self.fail(rejected(frame)),
            },
            (Phase::Closing, Control::Ua { .. } | Control::Dm { .. }) => self.disconnected(),
            (Phase::Up, Control::I { send, receive, last }) => self.information(frame, [send, receive], last, now),
            (Phase::Up, Control::Rr { receive, last }) => self.ready(receive, last, now),
            (Phase::Up, Control::Rnr { receive, last }) => self.not_ready(receive, last, now),
            (Phase::Up, Control::Dm { .. }) => self.fail(LinkFailure::Lost),
            (Phase::Up, Control::Frmr { .. }) => self.fail(rejected(frame)),
            _ => {}
        }
    }

    fn cleared(&mut self, now: Instant) {
        self.attempt = 0;
        self.phase = Phase::Connecting;
        let pause = backoff(self.refusals);
        self.line = Line::Pause { until: now + pause, then: self.snrm() };
    }

    fn connected(&mut self, information: &[u8], now: Instant) {
        let proposal = match self.said {
            Say::Snrm { bare: false } => self.config.proposal.in_bounds(),
            _ => Parameters::DEFAULT,
        };
        // What cannot be read grants nothing beyond the defaults.
        let granted = Parameters::parse(information).unwrap_or(Parameters::DEFAULT);
        self.negotiated = proposal.agreed_with(&granted);
        self.clear_connection();
        (self.phase, self.line, self.last_spoken) = (Phase::Up, Line::Idle, Some(now));
        self.tell(LinkEvent::Connected(Negotiated::Hdlc(self.negotiated)));
    }

    /// DM to SNRM: the meter may still hold the connection of a client that went away.
    fn refused(&mut self) {
        self.refusals = self.refusals.saturating_add(1);
        if self.refusals > REFUSAL_COUNT_MAX {
            self.fail(LinkFailure::Refused);
        } else {
            (self.phase, self.line) = (Phase::Clearing, Line::Ready(Say::Disc));
        }
    }

    fn disconnected(&mut self) {
        (self.phase, self.line) = (Phase::Down { was_up: false }, Line::Idle);
        self.clear_connection();
        self.tell(LinkEvent::Disconnected);
    }

    fn out_of_turn(&mut self) {
        self.counts.out_of_turn += 1;
        self.heard.out_of_turn = self.heard.out_of_turn.saturating_add(1);
    }

    fn information(&mut self, frame: &Frame<'_>, [send, receive]: [u8; 2], last: bool, now: Instant) {
        let (place, window_is_full) = self.incoming.place(send, self.negotiated.receive_window);
        let knows_question = self.outgoing.acknowledge(receive).is_some()
            && (self.outgoing.is_acknowledged() || self.outgoing.is_unsent());
        // A frame that does not acknowledge the whole question answers an earlier one.
        if place == Place::Past || !knows_question {
            return self.out_of_turn();
        }
        self.busy = None;
        if place == Place::Next {
            self.incoming.advance();
            let information = frame.information.unwrap_or_default();
            let bytes_max = self.config.apdu_bytes_max();
            let Ok(apdu) = self.incoming.assembly.add(information, frame.segmented, bytes_max) else {
                return self.fail(LinkFailure::TooLong { bytes_max });
            };
            self.progress |= !information.is_empty();
            if let Some(apdu) = apdu {
                self.answer(apdu);
            }
        }
        if !self.progress {
            self.out_of_turn();
        }
        self.go_on(last || window_is_full, now);
    }

    fn answer(&mut self, apdu: Vec<u8>) {
        let is_block = apdu.first() == Some(&BLOCK_TRANSFER_TAG);
        let unsolicited = self.line == Line::Idle && !is_block;
        self.awaiting = false;
        self.tell(if unsolicited { LinkEvent::Unsolicited(apdu) } else { LinkEvent::Apdu(apdu) });
    }

    /// RR: the meter has nothing more to say, and tells what has arrived.
    fn ready(&mut self, receive: u8, last: bool, now: Instant) {
        let Some(new) = self.outgoing.acknowledge(receive) else { return self.out_of_turn() };
        self.progress |= new;
        if !new && self.said == Say::Burst && self.negotiated.transmit_window == 1 {
            // With one frame under way this is an acknowledgement that came twice. To answer it
            // would send everything twice from here on.
            return self.out_of_turn();
        }
        if last && !self.outgoing.is_acknowledged() {
            if self.said == Say::Poll && !new {
                // It was asked what has arrived, and that is the answer: no fault of this turn.
                self.line = Line::Ready(Say::Burst);
                return;
            }
            if !new {
                self.out_of_turn();
            } else if self.outgoing.has_open_pieces() {
                // A frame of the window was lost; or this meter acknowledges them one by one, and the
                // next acknowledgement is on its way.
                self.attempt = 0;
                self.line = Line::Pause { until: now + PART_OF_WINDOW_PAUSE, then: Say::Burst };
                return;
            }
            self.go_on(true, now);
        } else if last && (self.awaiting || self.incoming.wants_more()) {
            self.wait_for_answer(false, now);
        } else {
            self.go_on(last, now);
        }
    }

    fn not_ready(&mut self, receive: u8, last: bool, now: Instant) {
        if self.outgoing.acknowledge(receive).is_none() {
            return self.out_of_turn();
        }
        if last && (self.awaiting || self.incoming.wants_more()) {
            self.wait_for_answer(true, now);
        }
    }

    fn wait_for_answer(&mut self, not_ready: bool, now: Instant) {
        let mut busy = self.busy.unwrap_or(Busy { since: now, polls: 0, not_ready });
        busy.not_ready = not_ready;
        let lasted = now - busy.since;
        if lasted >= self.config.busy_timeout {
            let seconds = lasted.as_secs();
            let failure = if not_ready { LinkFailure::Busy { seconds } } else { LinkFailure::NoAnswer { seconds } };
            return self.fail(failure);
        }
        let pause = BUSY_PAUSE_MIN.saturating_mul(1 << busy.polls.min(7)).min(BUSY_PAUSE_MAX);
        busy.polls = busy.polls.saturating_add(1);
        self.busy = Some(busy);
        // Behind a lost frame the meter may have sent its answer, and keep nothing to send it again.
        // The question has its old number: a meter that counts answers, one that does not repeats.
        let again = !not_ready && self.recovering && busy.polls == POLLS_BEFORE_REPEAT;
        self.line = Line::Pause { until: now + pause, then: if again { Say::Again } else { Say::Poll } };
    }

    /// After a frame that was taken: whose turn is it, and what is said.
    fn go_on(&mut self, own_turn: bool, now: Instant) {
        if !own_turn {
            if self.progress && matches!(self.line, Line::Listen { until: Some(_) }) {
                self.listen(now);
            }
            let is_over = !self.awaiting && !self.incoming.wants_more();
            if let (true, Line::Listen { until: Some(until) }) = (is_over, &mut self.line) {
                // The answer is whole and its last frame has no F. No other is due.
                until.deadline = until.deadline.min(now + self.config.inter_octet_timeout);
            }
            return;
        }
        self.last_spoken = Some(now);
        let wants_more = self.incoming.wants_more();
        if !wants_more && self.outgoing.is_acknowledged() && !self.awaiting {
            self.line = Line::Idle;
            return;
        }
        if self.progress {
            self.attempt = 0;
            self.heard = Heard { noise_before: self.heard.noise_before, ..Heard::default() };
        } else {
            self.attempt = self.attempt.saturating_add(1);
        }
        if self.attempt > self.config.retries {
            return self.fail(LinkFailure::Sequence { frames: self.heard.out_of_turn });
        }
        let asks = wants_more || self.outgoing.is_acknowledged();
        self.line = Line::Ready(if asks { Say::Poll } else { Say::Burst });
    }

    /// Nothing came that could be taken.
    pub(super) fn unanswered(&mut self, now: Instant) {
        self.attempt = self.attempt.saturating_add(1);
        match self.phase {
            Phase::Down { .. } => self.line = Line::Idle,
            Phase::Clearing => self.cleared(now),
            Phase::Closing if self.attempt > 1 => self.disconnected(),
            Phase::Closing => self.line = Line::Ready(Say::Disc),
            Phase::Connecting if self.attempt > self.config.connect_retries => self.give_up(Stage::Connect),
            Phase::Connecting => {
                self.counts.repeats += 1;
                let pause = backoff(self.attempt.saturating_sub(1));
                self.line = Line::Pause { until: now + pause, then: self.snrm() };
            }
            // The answer was whole, and its last frame had no F.
            Phase::Up if !self.awaiting && !self.incoming.wants_more() && self.outgoing.is_acknowledged() => {
                self.line = Line::Idle;
            }
            // The next question waits for this.
            Phase::Up if !self.incoming.wants_more() && self.outgoing.is_unsent() => {
                (self.attempt, self.line) = (0, Line::Ready(Say::Burst));
            }
            Phase::Up if self.attempt > self.config.retries => self.give_up(Stage::Exchange),
            Phase::Up => {
                self.counts.repeats += 1;
                self.recovering = true;
                // A meter that does not answer RR may have heard nothing before it.
                let repeats = self.attempt.is_multiple_of(2) && !self.outgoing.is_acknowledged();
                self.line = Line::Ready(if repeats { Say::Burst } else { Say::Poll });
            }
        }
    }

    fn give_up(&mut self, stage: Stage) {
        let failure = self.heard.judge(&self.config, stage, self.deframer.noise_bytes());
        self.fail(failure);
    }
}

fn rejected(frame: &Frame<'_>) -> LinkFailure {
    let information = frame.information.unwrap_or_default();
    LinkFailure::FrameRejected { reason: information.first_chunk().copied().unwrap_or_default() }
}
