//! One question and what comes back, judged: the step that every search and command is made of.

use super::answer::{Answer, Damage, Found};
use super::config::ReadConfig;
use crate::frame::FRAME_BYTES_MAX;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use plomb_session::{Instant, Session, Transmit};

/// How long a babbling line is listened to before the next question.
const BABBLE_MAX: Duration = Duration::from_secs(1);
/// How long a second answer may follow a whole one, beyond the latency of the link, where the quiet
/// time between two frames is shorter.
const TAIL_MIN: Duration = Duration::from_millis(8);

/// Telegrams that collide hold the line at space for whole stretches, in which a receiver sees no
/// byte; a slave that still sends is deaf to the next question.
const COLLISION_GAP_BYTES: usize = 60;

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) bytes: Vec<u8>,
    pub(crate) wants: Wants,
    /// The speed that the line must have first; `None` leaves it.
    pub(crate) bits_per_second: Option<u32>,
}

/// What a good answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    Ack,
    Telegram,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Silence,
    /// One acknowledgement and nothing else.
    Ack,
    /// One whole telegram. `alone`: no acknowledgement came with it and nothing behind it. Noise
    /// before it is passed over.
    Telegram {
        bytes: Vec<u8>,
        alone: bool,
    },
    Garbled(Garble),
}

impl Heard {
    /// How many bytes came back.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Silence => 0,
            Self::Ack => 1,
            Self::Telegram { bytes, .. } => bytes.len(),
            Self::Garbled(garble) => garble.bytes.len(),
        }
    }
}

/// Bytes that are no good answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Garble {
    pub(crate) damage: Damage,
    /// Acknowledgements among them.
    pub(crate) acks: usize,
    pub(crate) bytes: Vec<u8>,
}

/// Decides what to ask, from what was heard.
pub(crate) trait Plan: fmt::Debug + Send {
    type Event;

    /// The next question; `None` ends the conversation.
    fn next(&mut self, now: Instant) -> Option<Ask>;

    /// The answer to the latest question. `asked_at` is when its last bit left.
    fn heard(&mut self, heard: Heard, asked_at: Instant, now: Instant);

    /// Bytes came while the question was still on its way: a slave answers the question before.
    fn spoke_out_of_turn(&mut self) {}

    fn poll_event(&mut self) -> Option<Self::Event>;
}

/// Drives a [`Plan`] over the line.
#[derive(Debug)]
pub(crate) struct Conversation<P> {
    pub(crate) plan: P,
    config: ReadConfig,
    state: State,
    asking: Option<Ask>,
    speed: Option<u32>,
    answer: Answer,
    telegrams: Vec<Vec<u8>>,
    /// Bytes of noise when the latest telegram was whole.
    noise_before: usize,
    asked_at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    AwaitQuiet { until: Instant, latest: Instant },
    Ready,
    AwaitTransmitted,
    ExpectAnswer { deadline: Instant },
    Finished,
}

impl<P: Plan> Conversation<P> {
    pub(crate) fn new(plan: P, config: ReadConfig) -> Self {
        Self {
            plan,
            config,
            state: State::Idle,
            asking: None,
            speed: None,
            answer: Answer::default(),
            telegrams: Vec::new(),
            noise_before: 0,
            asked_at: Instant::ORIGIN,
        }
    }

    fn go_on(&mut self, quiet: Duration, now: Instant) {
        self.asking = self.plan.next(now);
        let Some(asking) = &self.asking else {
            self.state = State::Finished;
            return;
        };
        if let Some(speed) = asking.bits_per_second {
            self.config.bits_per_second = speed;
            self.speed = Some(speed);
        }
        self.answer.clear();
        self.telegrams.clear();
        self.state = State::AwaitQuiet { until: now + quiet, latest: now + quiet + BABBLE_MAX };
        if quiet.is_zero() {
            self.state = State::Ready;
        }
    }

    fn wants(&self) -> Wants {
        self.asking.as_ref().map_or(Wants::Ack, |asking| asking.wants)
    }

    fn collect(&mut self, complete: bool) {
        let sent = self.asking.as_ref().map_or(&[][..], |asking| &asking.bytes);
        while let Some(found) = self.answer.find(sent, complete) {
            if let Found::Response { start, end } = found {
                self.telegrams.push(self.answer.frame(start, end).to_vec());
                self.noise_before = self.answer.noise_bytes();
            }
        }
    }

    /// When the answer is over, if nothing more comes after `now`.
    fn answer_ends(&self, deadline: Instant, now: Instant) -> Instant {
        let latest =
            self.asked_at + self.config.reply_limit() + BABBLE_MAX + self.config.time_on_the_wire(FRAME_BYTES_MAX);
        let whole = match self.wants() {
            Wants::Ack => self.answer.acks() > 0 || !self.telegrams.is_empty(),
            Wants::Telegram => !self.telegrams.is_empty(),
        };
        let end = if whole && !self.answer.is_unfinished() {
            now + self.config.idle().max(TAIL_MIN) + self.config.extra_latency
        } else if self.wants() == Wants::Ack && self.answer.heard() {
            now + self.config.gap_limit()
        } else if self.answer.heard() {
            // Noise alone must not shorten the time that the standard grants the slave.
            let gap = self.config.gap_limit().max(self.config.time_on_the_wire(COLLISION_GAP_BYTES));
            (now + gap).max(deadline)
        } else {
            deadline
        };
        end.min(latest)
    }

    fn judge(&mut self) -> Heard {
        self.collect(true);
        let (acks, noise) = (self.answer.acks(), self.answer.noise_bytes());
        match (self.wants(), self.telegrams.as_slice(), acks) {
            (_, [], 0) if self.answer.damage().is_none() => Heard::Silence,
            (Wants::Ack, [], 1) if noise == 0 => Heard::Ack,
            // An acknowledgement is how a slave says that it has no such data.
            (Wants::Telegram, [], 1) if noise == 0 => Heard::Ack,
            (_, [telegram], _) => {
                Heard::Telegram { bytes: telegram.clone(), alone: acks == 0 && noise == self.noise_before }
            }
            _ => {
                let damage = match self.telegrams.as_slice() {
                    [] => self.answer.damage().unwrap_or(Damage::Several),
                    _ => Damage::Several,
                };
                Heard::Garbled(Garble { damage, acks, bytes: self.answer.all().to_vec() })
            }
        }
    }
}

impl<P: Plan> Session for Conversation<P> {
    type Event = P::Event;

    fn start(&mut self, now: Instant) {
        if self.state == State::Idle {
            self.go_on(self.config.settle, now);
        }
    }

    fn handle_transmitted(&mut self, now: Instant) {
        if self.state == State::AwaitTransmitted {
            self.asked_at = now;
            let deadline = now + self.config.reply_limit();
            let sent = self.asking.as_ref().map_or(&[][..], |asking| &asking.bytes);
            if !sent.starts_with(self.answer.all()) {
                self.plan.spoke_out_of_turn();
            }
            self.collect(false);
            self.state = State::ExpectAnswer { deadline: self.answer_ends(deadline, now).max(deadline) };
        }
    }

    fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        match self.state {
            State::AwaitQuiet { latest, .. } if !bytes.is_empty() => {
                let until = (now + self.config.idle()).min(latest);
                self.state = State::AwaitQuiet { until, latest };
            }
            State::AwaitTransmitted => self.answer.push(bytes),
            State::ExpectAnswer { .. } if !bytes.is_empty() => {
                self.answer.push(bytes);
                self.collect(false);
                let deadline = self.asked_at + self.config.reply_limit();
                self.state = State::ExpectAnswer { deadline: self.answer_ends(deadline, now) };
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::AwaitQuiet { until, .. } if now >= until => self.state = State::Ready,
            State::ExpectAnswer { deadline } if now >= deadline => {
                let heard = self.judge();
                self.plan.heard(heard, self.asked_at, now);
                // The line has been quiet for longer than the standard wants between two frames.
                self.go_on(Duration::ZERO, now);
            }
            _ => {}
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        if self.state != State::Ready {
            return None;
        }
        self.state = State::AwaitTransmitted;
        self.asking.as_ref().map(|asking| Transmit { bytes: asking.bytes.clone() })
    }

    fn poll_speed(&mut self) -> Option<u32> {
        self.speed.take()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::AwaitQuiet { until, .. } => Some(until),
            State::ExpectAnswer { deadline } => Some(deadline),
            State::Idle | State::Ready | State::AwaitTransmitted | State::Finished => None,
        }
    }

    fn poll_event(&mut self) -> Option<P::Event> {
        self.plan.poll_event()
    }

    fn is_finished(&self) -> bool {
        self.state == State::Finished
    }
}

/// Makes a public session of a [`Conversation`] in its field `0`.
macro_rules! session_of_conversation {
    ($session:ty, $event:ty) => {
        impl plomb_session::Session for $session {
            type Event = $event;

            fn start(&mut self, now: plomb_session::Instant) {
                self.0.start(now);
            }

            fn handle_transmitted(&mut self, now: plomb_session::Instant) {
                self.0.handle_transmitted(now);
            }

            fn handle_input(&mut self, bytes: &[u8], now: plomb_session::Instant) {
                self.0.handle_input(bytes, now);
            }

            fn handle_timeout(&mut self, now: plomb_session::Instant) {
                self.0.handle_timeout(now);
            }

            fn poll_transmit(&mut self) -> Option<plomb_session::Transmit> {
                self.0.poll_transmit()
            }

            fn poll_speed(&mut self) -> Option<u32> {
                self.0.poll_speed()
            }

            fn poll_timeout(&self) -> Option<plomb_session::Instant> {
                self.0.poll_timeout()
            }

            fn poll_event(&mut self) -> Option<$event> {
                self.0.poll_event()
            }

            fn is_finished(&self) -> bool {
                self.0.is_finished()
            }
        }
    };
}
pub(crate) use session_of_conversation;
