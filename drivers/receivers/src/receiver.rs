use crate::dialect::{Begin, Dialect, Next, Radioed, Taken};
use crate::heard::{NOISE_BYTES_MAX, TELEGRAM_BYTES_MAX, TELEGRAM_BYTES_MIN};
use crate::{
    Failure, Heard, Kind, ListenConfig, Noise, NoiseReason, ReceiverEvent, SILENCE_FACTOR_MAX, amber, cul, im871a,
    rc1180, rtl_wmbus,
};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;
use plomb_session::{Instant, Session, Transmit};

/// Bytes that wait to become a message; more is longer than any message of any receiver here.
pub const PENDING_BYTES_MAX: usize = 1024;
/// Events that wait to be taken; newer ones are dropped and counted.
pub const EVENT_COUNT_MAX: usize = 1024;

/// A wireless M-Bus receiver on a serial port or pipe: probes it, sets it up, hands over what it
/// hears, and resets it when it falls silent.
///
/// ```text
/// probe ─► set up ─► Ready ─► Heard, Heard, Noise, …
///            ▲                  │ nothing heard for the configured time
///            └─ reset ◄─ Silent ┘
/// ```
/// - Setting up is idempotent: a receiver that is already as it should be is left so. What has a
///   volatile setting is never written to flash.
/// - After garbage it finds the next message by itself: a message with a wrong checksum costs one
///   byte, then the search goes on behind it; the line falling quiet ends a message cut short.
/// - How the stream is split into pieces makes no difference to the events.
/// - It runs until it fails. The application then decides when to try again, with a new session.
#[derive(Debug)]
pub struct Receiver {
    kind: Kind,
    config: ListenConfig,
    begin: Begin,
    dialect: Box<dyn Dialect>,
    state: State,
    /// What is being sent, kept for its repetition.
    command: Vec<u8>,
    attempt: u8,
    answers: u32,
    pending: Vec<u8>,
    last_input: Instant,
    noise: Vec<u8>,
    noise_reason: NoiseReason,
    noise_at: Instant,
    silent_since: Instant,
    resets: u32,
    events: VecDeque<ReceiverEvent>,
    lost: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before [`Session::start`].
    Idle,
    /// The command waits to be taken; `pause` follows when it is not answered.
    Ready {
        pause: Option<Duration>,
    },
    /// The command is on its way.
    AwaitTransmitted {
        pause: Option<Duration>,
    },
    /// Waits for an answer.
    ExpectAnswer {
        deadline: Instant,
    },
    /// Leaves the receiver alone.
    Pausing {
        until: Instant,
    },
    /// Set up.
    Listening,
    Finished,
}

impl Receiver {
    /// A session with a receiver of `kind`. It begins with [`Session::start`].
    #[must_use]
    pub fn new(kind: Kind, config: ListenConfig) -> Self {
        Self::with(kind, config, Begin::SetUp)
    }

    /// A session that ends when it knows which receiver it is.
    pub(crate) fn identifying(kind: Kind, config: ListenConfig) -> Self {
        Self::with(kind, config, Begin::Identify)
    }

    fn with(kind: Kind, config: ListenConfig, begin: Begin) -> Self {
        let dialect: Box<dyn Dialect> = match kind {
            Kind::Im871a => Box::new(im871a::Im871a::default()),
            Kind::Amb8465 | Kind::Amb3665 => Box::new(amber::Amber::new(kind)),
            Kind::Cul => Box::new(cul::Cul::default()),
            Kind::Rc1180 => Box::new(rc1180::Rc1180::default()),
            Kind::RtlWmbus => Box::new(rtl_wmbus::RtlWmbus),
        };
        Self {
            kind,
            config,
            begin,
            dialect,
            state: State::Idle,
            command: Vec::new(),
            attempt: 0,
            answers: 0,
            pending: Vec::new(),
            last_input: Instant::ORIGIN,
            noise: Vec::new(),
            noise_reason: NoiseReason::Garbage,
            noise_at: Instant::ORIGIN,
            silent_since: Instant::ORIGIN,
            resets: 0,
            events: VecDeque::new(),
            lost: 0,
        }
    }

    /// The receiver that this session expects.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the receiver is set up and listens.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.state == State::Listening
    }

    fn tell(&mut self, event: ReceiverEvent) {
        if self.events.len() < EVENT_COUNT_MAX {
            self.events.push_back(event);
        } else {
            self.lost = self.lost.saturating_add(1);
        }
    }

    fn go_on(&mut self, next: Next, now: Instant) {
        match next {
            Next::Ask(command) => self.send(command, None),
            Next::Tell(command, pause) => self.send(command, Some(pause)),
            Next::Pause(pause) => self.state = State::Pausing { until: now + pause },
            Next::Unasked => {}
            Next::Ready(identity) => {
                self.tell(ReceiverEvent::Ready(identity));
                self.silent_since = now;
                self.state = if self.begin == Begin::Identify { State::Finished } else { State::Listening };
            }
            Next::Fail(failure) => self.fail(failure),
        }
    }

    fn send(&mut self, command: Vec<u8>, pause: Option<Duration>) {
        self.command = command;
        self.attempt = 0;
        self.state = State::Ready { pause };
    }

    fn fail(&mut self, failure: Failure) {
        self.flush_noise();
        self.tell(ReceiverEvent::Failed(failure));
        self.state = State::Finished;
    }

    fn unanswered(&mut self, now: Instant) {
        if self.attempt < self.config.retries && self.dialect.may_repeat() {
            self.attempt += 1;
            self.state = State::Ready { pause: None };
            return;
        }
        match self.dialect.unanswered(&self.config) {
            Some(next) => self.go_on(next, now),
            None if self.answers == 0 => self.fail(Failure::NoAnswer { kind: self.kind }),
            None => self.fail(Failure::Mute { kind: self.kind, step: self.dialect.step() }),
        }
    }

    /// The time after which silence is answered with a reset.
    fn silent_at(&self) -> Option<Instant> {
        let factor = 1u32.checked_shl(self.resets).unwrap_or(SILENCE_FACTOR_MAX).clamp(1, SILENCE_FACTOR_MAX);
        let limit = self.config.silence?.saturating_mul(factor);
        (self.state == State::Listening).then(|| self.silent_since + limit)
    }

    fn silent(&mut self, now: Instant) {
        self.resets = self.resets.saturating_add(1);
        let since = now - self.silent_since;
        self.tell(ReceiverEvent::Silent { since, resets: self.resets });
        self.answers = 0;
        let next = self.dialect.begin(&self.config, Begin::Reset);
        self.go_on(next, now);
    }

    /// When bytes that wait for more of their message are given up.
    fn quiet_at(&self) -> Option<Instant> {
        let waiting = !self.pending.is_empty() || !self.noise.is_empty();
        (waiting && self.state != State::Finished).then(|| self.last_input + self.config.gap_limit)
    }

    /// Takes all messages off the pending bytes. `ended`: the line fell quiet.
    fn look(&mut self, ended: bool, now: Instant) {
        while !self.pending.is_empty() && self.state != State::Finished {
            let asked = matches!(self.state, State::ExpectAnswer { .. });
            match self.dialect.take(&self.config, &self.pending, ended, asked) {
                Taken::More if ended || self.pending.len() >= PENDING_BYTES_MAX => {
                    self.drop_as_noise(1, NoiseReason::CutShort);
                }
                Taken::More => return,
                Taken::Noise(count, reason) => self.drop_as_noise(count, reason),
                Taken::Blank(count) => self.consume(count),
                Taken::Answer(count, answer) => self.answer(count, &answer, now),
                Taken::Telegram(count, telegram) => self.telegram(count, telegram),
            }
        }
    }

    fn answer(&mut self, count: usize, answer: &[u8], now: Instant) {
        let next = match self.state {
            State::ExpectAnswer { .. } => self.dialect.answered(&self.config, answer),
            _ => Next::Unasked,
        };
        if next == Next::Unasked {
            return self.drop_as_noise(count, NoiseReason::Unasked);
        }
        self.consume(count);
        self.flush_noise();
        self.answers = self.answers.saturating_add(1);
        self.go_on(next, now);
    }

    fn telegram(&mut self, count: usize, telegram: Radioed) {
        if self.state != State::Listening {
            return self.drop_as_noise(count, NoiseReason::TooEarly);
        }
        if !(TELEGRAM_BYTES_MIN..=TELEGRAM_BYTES_MAX).contains(&telegram.bytes.len()) {
            return self.drop_as_noise(count, NoiseReason::WrongLength);
        }
        self.consume(count);
        self.flush_noise();
        self.silent_since = self.last_input;
        self.resets = 0;
        let Radioed { bytes, form, mode, rssi_dbm } = telegram;
        self.tell(ReceiverEvent::Heard(Heard { bytes, form, mode, rssi_dbm, at: self.last_input }));
    }

    fn consume(&mut self, count: usize) {
        self.pending.drain(..count.clamp(1, self.pending.len().max(1)).min(self.pending.len()));
    }

    /// Moves bytes to the current run of noise, which is told when it ends: so the events do not
    /// depend on how the stream was split.
    fn drop_as_noise(&mut self, count: usize, reason: NoiseReason) {
        if self.noise.is_empty() {
            self.noise_reason = reason;
        }
        let count = count.clamp(1, self.pending.len().max(1)).min(self.pending.len());
        for byte in self.pending.drain(..count).collect::<Vec<u8>>() {
            self.noise.push(byte);
            self.noise_at = self.last_input;
            if self.noise.len() >= NOISE_BYTES_MAX {
                self.flush_noise();
                self.noise_reason = reason;
            }
        }
    }

    fn flush_noise(&mut self) {
        if !self.noise.is_empty() {
            let bytes = mem::take(&mut self.noise);
            self.tell(ReceiverEvent::Noise(Noise { bytes, reason: self.noise_reason, at: self.noise_at }));
        }
    }

    fn deadlines(&self) -> [Option<Instant>; 3] {
        let state = match self.state {
            State::ExpectAnswer { deadline } => Some(deadline),
            State::Pausing { until } => Some(until),
            _ => None,
        };
        [state, self.quiet_at(), self.silent_at()]
    }
}

impl Session for Receiver {
    type Event = ReceiverEvent;

    fn start(&mut self, now: Instant) {
        if self.state != State::Idle {
            return;
        }
        let asked = self.config.modes;
        let next = if self.begin == Begin::SetUp && !self.kind.can_hear(asked) {
            Next::Fail(Failure::CannotHear { kind: self.kind, asked })
        } else {
            self.dialect.begin(&self.config, self.begin)
        };
        self.go_on(next, now);
    }

    fn handle_transmitted(&mut self, now: Instant) {
        if let State::AwaitTransmitted { pause } = self.state {
            self.state = match pause {
                Some(pause) => State::Pausing { until: now + pause },
                None => State::ExpectAnswer { deadline: now + self.config.answer_limit },
            };
            self.look(false, now);
        }
    }

    fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        if matches!(self.state, State::Idle | State::Finished) || bytes.is_empty() {
            return;
        }
        self.last_input = now;
        let mut rest = bytes;
        while !rest.is_empty() && self.state != State::Finished {
            let room = PENDING_BYTES_MAX.saturating_sub(self.pending.len()).max(1);
            let (piece, after) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            self.pending.extend_from_slice(piece);
            rest = after;
            // While the command is on its way its answer cannot be told from an older one.
            if !matches!(self.state, State::AwaitTransmitted { .. }) || self.pending.len() >= PENDING_BYTES_MAX {
                self.look(false, now);
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.quiet_at().is_some_and(|quiet| now >= quiet) && !matches!(self.state, State::AwaitTransmitted { .. }) {
            self.look(true, now);
            self.flush_noise();
        }
        match self.state {
            State::ExpectAnswer { deadline } if now >= deadline => self.unanswered(now),
            State::Pausing { until } if now >= until => {
                let next = self.dialect.paused(&self.config);
                self.go_on(next, now);
            }
            State::Listening if self.silent_at().is_some_and(|silent| now >= silent) => self.silent(now),
            _ => {}
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        let State::Ready { pause } = self.state else { return None };
        self.state = State::AwaitTransmitted { pause };
        Some(Transmit { bytes: self.command.clone() })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::AwaitTransmitted { .. } => None,
            _ => self.deadlines().into_iter().flatten().min(),
        }
    }

    fn poll_event(&mut self) -> Option<ReceiverEvent> {
        if self.events.is_empty() && self.lost > 0 {
            return Some(ReceiverEvent::Lost(mem::take(&mut self.lost)));
        }
        self.events.pop_front()
    }

    fn is_finished(&self) -> bool {
        self.state == State::Finished
    }
}
