use super::Opened;
use super::config::{ReadConfig, SPEEDS, wire};
use super::failure::ReadFailure;
use super::request::Request;
use crate::identification::Identification;
use crate::message::{ACK, BLOCK_BYTES_MAX, MessageError, NAK, break_message, command, option_select, request};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;
use plomb_session::{Instant, Transmit};
use zeroize::Zeroizing;

/// Zeros that wake a meter: 2.2 s of them, and the pause behind them.
const WAKE_UP: Duration = Duration::from_millis(2200);
const WAKE_UP_PAUSE: Duration = Duration::from_millis(1600);
/// What an answer may take above one and a half times its time on the wire.
const EXTRA_MAX: Duration = Duration::from_secs(30);

/// What the conversation is for.
pub(super) enum Goal {
    Readout,
    Programming { password: Option<Zeroizing<Vec<u8>>>, requests: Vec<Request> },
    Hdlc,
}

/// What happened, in the words of all three sessions.
#[derive(Debug)]
pub(super) enum Happening {
    Identified(Identification),
    Data(Vec<u8>),
    Answer { index: usize, block: Vec<u8> },
    Refused { index: usize, block: Vec<u8> },
    Opened(Opened),
    Done { repeats: u8 },
    Failed(ReadFailure),
}

/// What is said next, and answered then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    WakeUp,
    /// `/?!`, answered by an identification.
    Request,
    /// ACK V Z Y, answered by the readout, by P0, or by a confirmation.
    Select,
    /// Nothing is said: the readout follows by itself.
    Listen,
    /// P1.
    Password,
    /// The n-th request.
    Ask(usize),
    /// ACK: the next block of an answer.
    Next(usize),
    /// B0, and then the end.
    Break,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Idle,
    Pause {
        until: Instant,
    },
    Ready,
    InFlight,
    /// The first byte, or the next, must come until then.
    Expect {
        deadline: Instant,
    },
    /// The line changes its speed then, and belongs to HDLC.
    HandOver {
        at: Instant,
    },
    Finished,
}

/// One conversation.
pub(super) struct Machine {
    pub(super) config: ReadConfig,
    pub(super) goal: Goal,
    pub(super) step: Step,
    pub(super) state: State,
    pub(super) events: VecDeque<Happening>,
    /// What arrived, without parity bits.
    pub(super) text: Vec<u8>,
    /// The end of a block is among it.
    pub(super) end_seen: bool,
    pub(super) identification: Option<Identification>,
    /// What was sent last, and how much of it came back.
    pub(super) sent: Zeroizing<Vec<u8>>,
    pub(super) echoed: usize,
    /// When the step's words were ready to leave, and when they had left.
    ready_at: Instant,
    sent_at: Instant,
    /// Whatever trickles in, the step ends then.
    pub(super) latest: Instant,
    pub(super) line_speed: u32,
    speed: Option<u32>,
    /// When the line changes to which speed.
    pub(super) switch: Option<(Instant, u32)>,
    /// Blocks of one answer so far.
    pub(super) answer: Vec<u8>,
    /// A NAK goes out before the answer to the step comes once more.
    pub(super) ask_again: bool,
    pub(super) repeats_of_step: u8,
    attempt: u8,
    /// The first request that has no answer.
    pub(super) next_request: usize,
    has_written: bool,
    pub(super) failure: Option<ReadFailure>,
    pub(super) noise: u32,
    pub(super) wrong_parity: u32,
    /// The head throws back what is sent.
    pub(super) echo_seen: bool,
    /// It has thrown back the option select of mode E, and the meter has confirmed it.
    pub(super) select_echoed: bool,
    pub(super) select_confirmed: bool,
    /// After the goodbye another try begins.
    begins_again: bool,
    pub(super) damage: Option<MessageError>,
}

impl core::fmt::Debug for Machine {
    /// Without goal and bytes: they may hold a password.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { config, step, state, .. } = self;
        f.debug_struct("Machine")
            .field("config", config)
            .field("step", step)
            .field("state", state)
            .finish_non_exhaustive()
    }
}

impl Machine {
    pub(super) fn new(config: ReadConfig, goal: Goal) -> Self {
        Self {
            goal,
            step: Step::Request,
            state: State::Idle,
            events: VecDeque::new(),
            text: Vec::new(),
            end_seen: false,
            identification: None,
            sent: Zeroizing::default(),
            echoed: 0,
            ready_at: Instant::ORIGIN,
            sent_at: Instant::ORIGIN,
            latest: Instant::ORIGIN,
            line_speed: config.opening_speed,
            speed: None,
            switch: None,
            answer: Vec::new(),
            ask_again: false,
            repeats_of_step: 0,
            attempt: 0,
            next_request: 0,
            has_written: false,
            failure: None,
            noise: 0,
            wrong_parity: 0,
            echo_seen: false,
            select_echoed: false,
            select_confirmed: false,
            begins_again: false,
            damage: None,
            config,
        }
    }

    pub(super) fn start(&mut self, now: Instant) {
        if self.state == State::Idle {
            self.set_speed(self.config.opening_speed);
            self.step = if self.config.wake_up { Step::WakeUp } else { Step::Request };
            (self.state, self.ready_at) = (State::Ready, now);
        }
    }

    pub(super) fn handle_transmitted(&mut self, now: Instant) {
        if self.state != State::InFlight {
            return;
        }
        // Some adapters say too early that the last bit has left.
        self.sent_at = now.max(self.ready_at + wire(self.sent.len(), self.line_speed));
        self.state = match self.step {
            Step::Break if self.begins_again => return self.begin_again(now),
            Step::Break => return self.end(),
            Step::WakeUp => {
                self.step = Step::Request;
                State::Pause { until: self.sent_at + WAKE_UP_PAUSE }
            }
            _ => self.expect(self.sent_at),
        };
        if self.step == Step::Select && !self.ask_again && !matches!(self.goal, Goal::Hdlc) {
            self.switch_at(self.sent_at);
        }
        self.ask_again = false;
    }

    /// An answer must begin soon after `from`.
    pub(super) fn expect(&mut self, from: Instant) -> State {
        let longest = wire(BLOCK_BYTES_MAX, self.chosen_speed());
        self.latest = from + longest + longest / 2 + EXTRA_MAX;
        State::Expect { deadline: from + self.config.response_timeout }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some((at, speed)) = self.switch
            && now >= at
        {
            self.switch = None;
            // What came before was sent at another speed.
            self.clear_text();
            self.set_speed(speed);
        }
        match self.state {
            State::Pause { until } if now >= until => (self.state, self.ready_at) = (State::Ready, now),
            State::Expect { deadline } if now >= deadline => self.silent(now),
            State::HandOver { at } if now >= at => self.hand_over(),
            _ => {}
        }
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Transmit> {
        if self.state != State::Ready {
            return None;
        }
        self.state = State::InFlight;
        self.clear_text();
        (self.sent, self.echoed) = (Zeroizing::new(self.words()), 0);
        Some(Transmit { bytes: self.config.parity.on_the_wire(&self.sent) })
    }

    pub(super) fn poll_speed(&mut self) -> Option<u32> {
        self.speed.take()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let state = match self.state {
            State::Pause { until } => Some(until),
            State::Expect { deadline } => Some(deadline),
            State::HandOver { at } => Some(at),
            _ => None,
        };
        let switch = self.switch.map(|(at, _)| at);
        [state, switch].into_iter().flatten().min()
    }

    pub(super) fn poll_event(&mut self) -> Option<Happening> {
        self.events.pop_front()
    }

    pub(super) fn is_finished(&self) -> bool {
        self.state == State::Finished
    }

    pub(super) fn is_quick(&self) -> bool {
        self.identification.as_ref().is_some_and(Identification::is_quick)
    }

    pub(super) fn set_speed(&mut self, bits_per_second: u32) {
        self.line_speed = bits_per_second;
        self.speed = Some(bits_per_second).filter(|_| !self.config.fixed_speed);
    }

    /// The line changes to the meter's speed a little after `from`.
    pub(super) fn switch_at(&mut self, from: Instant) {
        let speed = self.chosen_speed();
        if speed != self.line_speed {
            self.switch = Some((from + self.config.switch_margin_for(self.is_quick()), speed));
        }
    }

    /// The speed that the meter proposes, if this line can do it; else the opening speed.
    pub(super) fn chosen_speed(&self) -> u32 {
        let proposed = self.identification.as_ref().and_then(|one| crate::identification::speed_of(one.speed_code));
        let fits = |speed: &u32| *speed <= self.config.speed_max && !self.config.fixed_speed;
        proposed.filter(fits).unwrap_or(self.config.opening_speed)
    }

    pub(super) fn clear_text(&mut self) {
        self.text.clear();
        self.end_seen = false;
    }

    /// Says `step` after the pause that the meter wants.
    pub(super) fn go_to(&mut self, step: Step, now: Instant) {
        if self.step != step {
            self.repeats_of_step = 0;
        }
        self.step = step;
        self.clear_text();
        self.state = State::Pause { until: now + self.config.reaction_for(self.is_quick()) };
    }

    /// The bytes of what is said.
    fn words(&mut self) -> Vec<u8> {
        if self.ask_again {
            return Vec::from([NAK]);
        }
        match (self.step, &self.goal) {
            (Step::WakeUp, _) => {
                let count = WAKE_UP.as_micros() / wire(1, self.line_speed).as_micros().max(1);
                Vec::from_iter((0..count.min(10_000)).map(|_| 0))
            }
            (Step::Request | Step::Listen, _) => request(self.config.address.as_str()),
            (Step::Select, goal) => {
                let speed = self.chosen_speed();
                let code = (b'0'..).zip(SPEEDS).find(|(_, one)| *one == speed).map_or(b'0', |(code, _)| code);
                match goal {
                    Goal::Readout => option_select(b'0', code, b'0'),
                    Goal::Programming { .. } => option_select(b'0', code, b'1'),
                    Goal::Hdlc => option_select(b'2', code, b'2'),
                }
            }
            (Step::Password, Goal::Programming { password: Some(password), .. }) => {
                let operand = Zeroizing::new([b"(", password.as_slice(), b")"].concat());
                command(*b"P1", &operand)
            }
            (Step::Ask(index), Goal::Programming { requests, .. }) => {
                let request = requests.get(index);
                self.has_written |= request.is_some_and(|request| !request.only_reads());
                request.map(Request::bytes).unwrap_or_default()
            }
            (Step::Next(_), _) => Vec::from([ACK]),
            _ => break_message(),
        }
    }

    /// This try is over. Another begins, or the conversation ends with what was heard.
    pub(super) fn fail(&mut self, failure: ReadFailure, now: Instant) {
        self.switch = None;
        self.attempt = self.attempt.saturating_add(1);
        let last = self.attempt > self.config.retries || self.has_written;
        let in_programming = matches!(self.step, Step::Password | Step::Ask(_) | Step::Next(_));
        if last {
            self.give_up(failure, in_programming, now);
        } else if in_programming {
            // Else the meter would hear nothing at the opening speed for a minute.
            self.begins_again = true;
            self.go_to(Step::Break, now);
        } else {
            self.begin_again(now);
        }
    }

    fn begin_again(&mut self, now: Instant) {
        self.answer.clear();
        (self.ask_again, self.repeats_of_step, self.begins_again) = (false, 0, false);
        (self.select_echoed, self.select_confirmed) = (false, false);
        self.identification = None;
        self.step = if self.config.wake_up { Step::WakeUp } else { Step::Request };
        self.clear_text();
        if self.line_speed != self.config.opening_speed {
            self.set_speed(self.config.opening_speed);
        }
        self.state = State::Pause { until: now + self.config.retry_pause };
    }

    /// The conversation has failed for good; where the meter waits for more, with a goodbye.
    pub(super) fn give_up(&mut self, failure: ReadFailure, goodbye: bool, now: Instant) {
        self.failure = Some(failure);
        self.ask_again = false;
        if goodbye {
            self.go_to(Step::Break, now);
        } else {
            self.end();
        }
    }

    pub(super) fn end(&mut self) {
        let end = match self.failure.take() {
            Some(failure) => Happening::Failed(failure),
            None => Happening::Done { repeats: self.attempt },
        };
        self.events.push_back(end);
        self.finish();
    }

    fn finish(&mut self) {
        // The next conversation begins where this one did.
        if self.line_speed != self.config.opening_speed {
            self.set_speed(self.config.opening_speed);
        }
        self.state = State::Finished;
        (self.switch, self.sent) = (None, Zeroizing::default());
    }

    fn hand_over(&mut self) {
        let speed = self.chosen_speed();
        self.set_speed(speed);
        self.state = State::Finished;
        if let Some(identification) = self.identification.take() {
            let confirmed = self.select_confirmed;
            self.events.push_back(Happening::Opened(Opened { identification, bits_per_second: speed, confirmed }));
        }
    }

    /// Whether more may be kept of an answer.
    pub(super) fn has_room_for(&self, bytes: usize) -> bool {
        self.answer.len().saturating_add(bytes) <= BLOCK_BYTES_MAX
    }
}
