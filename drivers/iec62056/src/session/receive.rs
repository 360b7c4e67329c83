//! The meter's words, and what follows from them.

use super::failure::ReadFailure;
use super::machine::{Goal, Happening, Machine, State, Step};
use crate::identification::{Identification, Proposal};
use crate::message::{ACK, BLOCK_BYTES_MAX, EOT, ETX, Message, MessageError, STX};
use alloc::vec::Vec;
use plomb_session::Instant;

/// Beginnings of messages that are looked behind once the line is silent.
const RESYNC_COUNT_MAX: usize = 256;
/// How a meter begins an error message.
const ERROR: &[u8] = b"(ER";

impl Machine {
    pub(super) fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        if !matches!(self.state, State::InFlight | State::Expect { .. }) || self.step == Step::WakeUp {
            return;
        }
        let mut taken = Vec::with_capacity(bytes.len());
        if self.config.parity.take(bytes, &mut taken).is_err() {
            let wrong = bytes.iter().filter(|byte| byte.count_ones() & 1 == 1).count();
            self.wrong_parity = self.wrong_parity.saturating_add(u32::try_from(wrong).unwrap_or(u32::MAX));
        }
        for byte in taken {
            self.take(byte);
        }
        self.scan(now);
        // Noise and messages that nobody waits for do not keep the line; an unfinished one does.
        if !self.text.is_empty() && matches!(self.state, State::Expect { .. }) {
            let deadline = (now + self.config.gap_timeout).min(self.latest);
            self.state = State::Expect { deadline };
        }
    }

    /// Takes one byte, unless it is one of the own that comes back.
    fn take(&mut self, byte: u8) {
        self.end_seen |= matches!(byte, ETX | EOT);
        // The request shows whether the head throws back what is sent. Where it does not, a byte that
        // looks like an echo is the meter's. The confirmation of mode E has bytes of its own: see
        // `confirmed`.
        let confirms = self.step == Step::Select && matches!(self.goal, Goal::Hdlc);
        let expects_echo = self.step == Step::Request || (self.echo_seen && !confirms && self.step != Step::Listen);
        if expects_echo && self.text.is_empty() && self.echoed < self.sent.len() {
            if self.sent.get(self.echoed) == Some(&byte) {
                self.echoed = self.echoed.saturating_add(1);
                if self.echoed == self.sent.len() {
                    (self.echo_seen, self.end_seen) = (true, false);
                }
                return;
            }
            // Not an echo, though it began like one.
            self.text.extend_from_slice(self.sent.get(..self.echoed).unwrap_or_default());
            self.echoed = self.sent.len();
        }
        if self.text.len() <= BLOCK_BYTES_MAX.saturating_add(16) {
            self.text.push(byte);
        }
    }

    /// Reads what has arrived, as far as it is whole.
    fn scan(&mut self, now: Instant) {
        if self.step == Step::Select && matches!(self.goal, Goal::Hdlc) {
            return self.confirmed(now);
        }
        while matches!(self.state, State::Expect { .. } | State::InFlight) && !self.text.is_empty() {
            let in_block = self.text.first() == Some(&STX);
            if in_block && !self.end_seen && self.text.len() <= BLOCK_BYTES_MAX {
                return;
            }
            let text = core::mem::take(&mut self.text);
            match Message::parse(&text) {
                Ok(Some((message, consumed))) => {
                    let rest = text.get(consumed..).unwrap_or_default();
                    self.text = rest.to_vec();
                    self.end_seen = self.text.iter().any(|byte| matches!(*byte, ETX | EOT));
                    self.heard(message, now);
                }
                Ok(None) => {
                    self.text = text;
                    return;
                }
                Err(error @ (MessageError::Bcc { .. } | MessageError::TooLong { .. })) => {
                    self.damage = Some(error);
                    self.damaged(error, now);
                }
                Err(_) => {
                    self.text = text;
                    self.pass_over();
                }
            }
        }
    }

    /// The first byte begins no message.
    fn pass_over(&mut self) {
        let begins = |byte: &u8| matches!(*byte, b'/' | 0x01 | STX | ACK | 0x15);
        let next = self.text.iter().skip(1).position(begins).map_or(self.text.len(), |at| at.saturating_add(1));
        self.noise = self.noise.saturating_add(u32::try_from(next).unwrap_or(u32::MAX));
        self.text.drain(..next);
    }

    fn heard(&mut self, message: Message<'_>, now: Instant) {
        self.damage = None;
        match (self.step, message) {
            (Step::Request, Message::Identification(identification)) => self.identified(identification, now),
            (Step::Select | Step::Listen, Message::Data { block, .. }) if matches!(self.goal, Goal::Readout) => {
                self.events.push_back(Happening::Data(block.to_vec()));
                self.end();
            }
            (Step::Select, Message::Command { command: [b'P', _], .. }) => self.admitted(now),
            (Step::Password, Message::Acknowledgement) => self.ask_next(now),
            (Step::Password, Message::Break | Message::Data { .. }) => {
                self.give_up(ReadFailure::WrongPassword, true, now);
            }
            (Step::Ask(index) | Step::Next(index), Message::Data { block, more }) => {
                self.answered(index, block, more, now);
            }
            (Step::Ask(index), Message::Acknowledgement) => self.answered(index, &[], false, now),
            (_, Message::RepeatRequest) => self.repeat(now),
            (Step::Select | Step::Ask(_) | Step::Next(_), Message::Break) => {
                self.give_up(ReadFailure::Ended, false, now);
            }
            // Anything else comes from an earlier conversation.
            _ => {}
        }
    }

    fn identified(&mut self, identification: Identification, now: Instant) {
        let proposal = identification.proposal();
        self.identification = Some(identification.clone());
        self.events.push_back(Happening::Identified(identification));
        match (&self.goal, proposal) {
            (_, Proposal::Choice(_)) => self.go_to(Step::Select, now),
            (Goal::Readout, _) => {
                self.step = Step::Listen;
                self.state = self.expect(now);
                if matches!(proposal, Proposal::Switches(_)) {
                    self.switch_at(now);
                }
            }
            _ => self.give_up(ReadFailure::ReadoutOnly, false, now),
        }
    }

    /// The confirmation of mode E has the same bytes as the question. A head that has thrown back the
    /// request throws this back, too, before the meter confirms it.
    fn confirmed(&mut self, now: Instant) {
        while !self.text.is_empty() && !self.text.starts_with(&self.sent) && !self.sent.starts_with(&self.text) {
            self.text.remove(0);
        }
        if self.sent.is_empty() || !self.text.starts_with(&self.sent) {
            return;
        }
        self.text.drain(..self.sent.len());
        let is_echo = !self.select_echoed && (self.echo_seen || self.state == State::InFlight);
        if is_echo {
            self.select_echoed = true;
        } else if matches!(self.state, State::Expect { .. }) {
            self.select_confirmed = true;
            self.state = State::HandOver { at: now + self.config.switch_margin };
        }
    }

    /// The meter is in programming mode.
    fn admitted(&mut self, now: Instant) {
        match &self.goal {
            Goal::Programming { password: Some(_), .. } => self.go_to(Step::Password, now),
            Goal::Programming { .. } => self.ask_next(now),
            _ => {}
        }
    }

    fn ask_next(&mut self, now: Instant) {
        self.answer.clear();
        let Goal::Programming { requests, .. } = &self.goal else { return };
        let step = if self.next_request < requests.len() { Step::Ask(self.next_request) } else { Step::Break };
        self.go_to(step, now);
    }

    fn answered(&mut self, index: usize, block: &[u8], more: bool, now: Instant) {
        if !self.has_room_for(block.len()) {
            return self.fail(ReadFailure::Damaged(MessageError::TooLong { offset: self.answer.len() }), now);
        }
        self.answer.extend_from_slice(block);
        if more {
            // A block with nothing in it brings the answer no further.
            self.repeats_of_step = if block.is_empty() { self.repeats_of_step.saturating_add(1) } else { 0 };
            if self.repeats_of_step > self.config.retries {
                return self.fail(ReadFailure::BrokenOff { bytes: self.answer.len() }, now);
            }
            let repeats = self.repeats_of_step;
            self.go_to(Step::Next(index), now);
            self.repeats_of_step = repeats;
            return;
        }
        let block = core::mem::take(&mut self.answer);
        let refused = block.starts_with(ERROR);
        self.events.push_back(if refused {
            Happening::Refused { index, block }
        } else {
            Happening::Answer { index, block }
        });
        self.next_request = index.saturating_add(1);
        self.ask_next(now);
    }

    /// The meter did not understand: the same once more.
    fn repeat(&mut self, now: Instant) {
        self.repeats_of_step = self.repeats_of_step.saturating_add(1);
        if self.repeats_of_step > self.config.retries {
            self.fail(ReadFailure::NotUnderstood, now);
        } else if self.step != Step::Listen {
            self.go_to(self.step, now);
        }
    }

    /// A block came with a wrong sum. In programming mode the meter sends it again.
    fn damaged(&mut self, error: MessageError, now: Instant) {
        let can_repeat = matches!(self.step, Step::Ask(_) | Step::Next(_));
        self.repeats_of_step = self.repeats_of_step.saturating_add(1);
        if can_repeat && self.repeats_of_step <= self.config.retries {
            self.go_to(self.step, now);
            self.ask_again = true;
        } else {
            self.fail(ReadFailure::Damaged(error), now);
        }
    }

    /// Nothing more came in time.
    pub(super) fn silent(&mut self, now: Instant) {
        if self.step == Step::Select && matches!(self.goal, Goal::Hdlc) {
            // Not every meter confirms.
            self.state = State::HandOver { at: now };
            return;
        }
        let broken_off = self.text.len();
        for _ in 0..RESYNC_COUNT_MAX {
            if self.text.is_empty() {
                break;
            }
            // What looked like a beginning may have hidden a message behind it.
            self.pass_over();
            self.scan(now);
            if !matches!(self.state, State::Expect { deadline } if now >= deadline) {
                return;
            }
        }
        self.fail(self.verdict(broken_off), now);
    }

    /// What this try says.
    fn verdict(&self, broken_off: usize) -> ReadFailure {
        let Self { noise, wrong_parity, .. } = *self;
        match (self.step, self.damage) {
            (_, Some(damage)) => ReadFailure::Damaged(damage),
            (Step::Request, None) if noise > 0 => ReadFailure::Garbage { bytes: noise, wrong_parity },
            (Step::Request, None) if self.echo_seen => ReadFailure::EchoOnly,
            (Step::Request, None) => ReadFailure::Silence,
            (_, None) if broken_off > 0 => ReadFailure::BrokenOff { bytes: broken_off },
            (Step::Select | Step::Listen, None) => ReadFailure::NothingBehind { bits_per_second: self.line_speed },
            (_, None) => ReadFailure::Silence,
        }
    }
}
