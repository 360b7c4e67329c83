use super::answer::{Answer, Damage, Found};
use super::config::{ReadConfig, TELEGRAM_COUNT_MAX, Target};
use super::failure::{Failing, ReadFailure};
use crate::frame::{Address, Control, FRAME_BYTES_MAX, Frame, PAYLOAD_BYTES_MAX, req_ud2, snd_nke};
use crate::secondary::{SecondaryAddress, select};
use crate::telegram::{Body, Telegram};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;
use plomb_session::{Instant, Session, Transmit};

/// How long a babbling line is waited for to fall silent before the next try.
const BABBLE_MAX: Duration = Duration::from_secs(1);
pub(super) const CI_APPLICATION_RESET: u8 = 0x50;
pub(super) const CI_SEND_RECORDS: u8 = 0x51;

/// Reads one meter: initialises its link, selects it if it is meant by identity, and asks for its
/// data until it says that no more follows.
///
/// ```text
/// SND_NKE ─► [select ─►] [reset, selection of records ─►] REQ_UD2 (FCB 1) ─► telegram ─► more? REQ_UD2 (FCB toggled) ─► … ─► Done
/// ```
/// - The link is initialised at the same address that is read, else a stale frame count bit would
///   give an old telegram. Not every meter acknowledges this; its silence is no failure.
/// - The frame count bit moves only after a valid answer; a repeated request keeps it.
/// - Echoes of the own bytes and noise before a frame are passed over.
/// - The telegram's address, or the identity behind a selection, must be the one that was asked.
/// - A slave that repeats a telegram and says each time that more follows has been read; one that
///   sends ever new telegrams is stopped at the configured number.
#[derive(Debug)]
pub struct ReadMeter {
    target: Target,
    config: ReadConfig,
    /// What is sent before the data is asked for: CI and payload.
    before: Vec<(u8, Vec<u8>)>,
    state: State,
    request: Request,
    sent: Vec<u8>,
    fcb: bool,
    /// The last telegram was a repetition, and the request was sent once more.
    asked_again: bool,
    attempt: u8,
    damages: Vec<Option<Failing>>,
    answer: Answer,
    telegrams: Vec<Vec<u8>>,
    requested_at: Instant,
    retries: u32,
    noise_bytes: usize,
    events: VecDeque<ReadEvent>,
}

/// What a readout tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadEvent {
    /// One telegram of the meter, whole and checked.
    Telegram(ReceivedTelegram),
    /// The readout is complete.
    Done {
        /// Telegrams of this readout.
        telegrams: u8,
        /// How the end was known.
        end: End,
        /// Requests that had to be repeated.
        retries: u32,
        /// Bytes that belonged to no frame.
        noise_bytes: usize,
    },
    /// The readout failed. Telegrams told before stand.
    Failed(ReadFailure),
}

/// One telegram as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedTelegram {
    /// The frame, from 68 to 16.
    pub bytes: Vec<u8>,
    /// Its place in the readout, from 0.
    pub index: u8,
    /// When the last bit of the request left.
    pub requested_at: Instant,
    /// When the last byte arrived.
    pub received_at: Instant,
}

/// How the end of a readout was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The slave said that no more follows.
    Complete,
    /// The slave repeated a telegram while saying that more follows.
    Repeated,
}

/// What is being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Initialise,
    Select,
    /// The n-th of what is sent before.
    Before(usize),
    Data,
}

/// Where the conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before [`Session::start`].
    Idle,
    /// Waits for the line to be quiet until `until`; a babbling line is waited for until `latest`.
    AwaitQuiet {
        until: Instant,
        latest: Instant,
    },
    /// The request waits to be taken.
    Ready,
    /// The request is on its way.
    AwaitTransmitted,
    /// Waits for the first byte of an answer, or for the next.
    ExpectAnswer {
        deadline: Instant,
    },
    Finished,
}

impl ReadMeter {
    /// A readout of `target`. It begins with [`Session::start`].
    #[must_use]
    pub fn new(target: Target, config: ReadConfig) -> Self {
        Self {
            target,
            config,
            before: Vec::new(),
            state: State::Idle,
            request: Request::Initialise,
            sent: Vec::new(),
            fcb: true,
            asked_again: false,
            attempt: 0,
            damages: Vec::new(),
            answer: Answer::default(),
            telegrams: Vec::new(),
            requested_at: Instant::ORIGIN,
            retries: 0,
            noise_bytes: 0,
            events: VecDeque::new(),
        }
    }

    /// Resets the application first (CI 50). The subcode, where given, chooses which telegrams the
    /// readout has: 00 all, 10 user data, 20 simple billing, … (EN 13757-3, table 4).
    #[must_use]
    pub fn with_application_reset(mut self, subcode: Option<u8>) -> Self {
        self.before.push((CI_APPLICATION_RESET, subcode.into_iter().collect()));
        self
    }

    /// Asks only for what `records` name (CI 51): data selection records, each a DIF with data field
    /// 8 ("selection for readout"), its VIF, and their extensions (EN 13757-3, clause 6.4). Records
    /// beyond [`PAYLOAD_BYTES_MAX`](crate::PAYLOAD_BYTES_MAX) bytes are left out.
    #[must_use]
    pub fn with_selected_records(mut self, records: &[u8]) -> Self {
        let fits = records.get(..PAYLOAD_BYTES_MAX).unwrap_or(records);
        self.before.push((CI_SEND_RECORDS, fits.to_vec()));
        self
    }

    /// Whom this reads.
    #[must_use]
    pub const fn target(&self) -> Target {
        self.target
    }

    /// The time that the longest answer takes on the wire.
    fn longest_answer(&self) -> Duration {
        self.config.time_on_the_wire(FRAME_BYTES_MAX)
    }

    fn request_bytes(&self) -> Vec<u8> {
        let address = self.target.link_address();
        match (self.request, &self.target) {
            (Request::Initialise, _) => snd_nke(address),
            (Request::Select, Target::Secondary(secondary)) => select(secondary, self.config.select_with_fcb),
            (Request::Before(nth), _) => {
                let control = Control::SndUd { fcb: self.fcb };
                let frame =
                    self.before.get(nth).map(|(ci, payload)| Frame::Long { control, address, ci: *ci, payload });
                // What is sent before has been cut to what a frame carries.
                frame.and_then(|frame| frame.emit().ok()).unwrap_or_default()
            }
            (Request::Select | Request::Data, _) => req_ud2(address, self.fcb),
        }
    }

    /// Goes on to `request`, with fresh tries.
    fn ask(&mut self, request: Request, now: Instant) {
        self.request = request;
        self.attempt = 0;
        self.damages.clear();
        self.wait_quiet(self.config.idle(), now);
    }

    fn wait_quiet(&mut self, quiet: Duration, now: Instant) {
        self.noise_bytes = self.noise_bytes.saturating_add(self.answer.noise_bytes());
        self.answer.clear();
        self.state = State::AwaitQuiet { until: now + quiet, latest: now + quiet + BABBLE_MAX };
    }

    /// Looks for the answer in what came so far. `complete`: the line fell silent.
    fn look(&mut self, complete: bool, now: Instant) {
        while let Some(found) = self.answer.find(&self.sent, complete) {
            match (self.request, found) {
                (Request::Initialise, Found::Ack) => return self.initialised(now),
                // A second acknowledgement may come a moment later: several slaves. Only the gap
                // tells, so a selection is judged when the line falls silent.
                (_, Found::Ack) => {}
                (Request::Before(_), Found::Response { start, end }) => {
                    let telegram = Telegram::parse(self.answer.frame(start, end));
                    if let Ok(Telegram { body: Body::ApplicationError(error), .. }) = telegram {
                        return self.fail(ReadFailure::Refused { target: self.target, error });
                    }
                }
                (Request::Data, Found::Response { start, end }) => {
                    let frame = self.answer.frame(start, end).to_vec();
                    if let Some(Found::Response { .. }) = self.answer.find(&self.sent, complete) {
                        return self.try_again(Some(Failing::Damage(Damage::Several)), now);
                    }
                    return self.judge(frame, now);
                }
                // Data that nobody asked for: a late answer to an earlier master.
                (_, Found::Response { .. }) => {}
            }
        }
        if complete {
            self.silent(now);
        }
    }

    /// The line fell silent without a telegram.
    fn silent(&mut self, now: Instant) {
        match self.request {
            Request::Initialise => self.initialised(now),
            Request::Select if self.answer.acks() == 1 => self.ask(self.after_address(0), now),
            Request::Before(nth) if self.answer.acks() == 1 => {
                self.fcb = !self.fcb;
                self.ask(self.after_address(nth.saturating_add(1)), now);
            }
            Request::Select | Request::Before(_) | Request::Data => {
                self.try_again(self.answer.damage().map(Failing::Damage), now);
            }
        }
    }

    fn initialised(&mut self, now: Instant) {
        self.fcb = true;
        match self.target {
            Target::Primary(_) => self.ask(self.after_address(0), now),
            Target::Secondary(_) => self.ask(Request::Select, now),
        }
    }

    /// What follows when the meter is addressed, and `sent` of what is sent before.
    fn after_address(&self, sent: usize) -> Request {
        if sent < self.before.len() { Request::Before(sent) } else { Request::Data }
    }

    /// Judges a whole answer.
    fn judge(&mut self, frame: Vec<u8>, now: Instant) {
        let Ok(Frame::Long { address, .. }) = Frame::parse_whole(&frame) else {
            return self.try_again(None, now);
        };
        if let Target::Primary(expected) = self.target
            && expected != Address::ANY
            && address != expected
        {
            return self.try_again(Some(Failing::WrongAddress(address)), now);
        }
        let telegram = Telegram::parse(&frame).ok();
        if let (Target::Secondary(expected), Some(telegram)) = (self.target, telegram)
            && let Some(got) = wrong_meter(&expected, &telegram)
        {
            return self.try_again(Some(Failing::WrongMeter(got)), now);
        }
        match telegram {
            Some(Telegram { body: Body::ApplicationError(error), .. }) => {
                self.fail(ReadFailure::Refused { target: self.target, error });
            }
            // What this decoder cannot read is still evidence: it goes on as received.
            _ => self.accept(frame, now),
        }
    }

    fn accept(&mut self, frame: Vec<u8>, now: Instant) {
        let more = Telegram::parse(&frame).is_ok_and(|telegram| telegram.more_follows());
        if more && self.telegrams.iter().any(|earlier| same_records(earlier, &frame)) {
            // A slow slave may have answered twice. It is asked once more before it is believed.
            if self.asked_again {
                return self.done(End::Repeated);
            }
            self.asked_again = true;
            self.retries = self.retries.saturating_add(1);
            return self.wait_quiet(self.config.idle(), now);
        }
        self.asked_again = false;
        let index = u8::try_from(self.telegrams.len()).unwrap_or(u8::MAX);
        self.telegrams.push(frame.clone());
        self.events.push_back(ReadEvent::Telegram(ReceivedTelegram {
            bytes: frame,
            index,
            requested_at: self.requested_at,
            received_at: now,
        }));
        let telegrams = index.saturating_add(1);
        if !more {
            return self.done(End::Complete);
        }
        if telegrams >= self.config.telegrams_max.clamp(1, TELEGRAM_COUNT_MAX) {
            return self.fail(ReadFailure::EndlessTelegrams { target: self.target, telegrams });
        }
        self.fcb = !self.fcb;
        self.ask(Request::Data, now);
    }

    /// Repeats the request, with the same frame count bit, or gives up.
    fn try_again(&mut self, failing: Option<Failing>, now: Instant) {
        self.damages.push(failing);
        if self.attempt >= self.config.retries {
            let failure = ReadFailure::of(self.target, &self.damages, self.answer.noise_bytes());
            return self.fail(failure);
        }
        self.attempt = self.attempt.saturating_add(1);
        self.retries = self.retries.saturating_add(1);
        self.wait_quiet(self.config.idle(), now);
    }

    fn done(&mut self, end: End) {
        let telegrams = u8::try_from(self.telegrams.len()).unwrap_or(u8::MAX);
        let noise_bytes = self.noise_bytes.saturating_add(self.answer.noise_bytes());
        self.events.push_back(ReadEvent::Done { telegrams, end, retries: self.retries, noise_bytes });
        self.state = State::Finished;
    }

    fn fail(&mut self, failure: ReadFailure) {
        self.events.push_back(ReadEvent::Failed(failure));
        self.state = State::Finished;
    }
}

/// The identity in `telegram`, if it is not one that `expected` means. The fixed structure has only
/// the digits. A telegram without identity cannot be judged and passes.
fn wrong_meter(expected: &SecondaryAddress, telegram: &Telegram<'_>) -> Option<SecondaryAddress> {
    match (telegram.meter(), telegram.id()) {
        (Some(meter), _) => (!expected.matches(&meter)).then(|| meter.into()),
        (None, Some(id)) => (!expected.matches_id(id)).then(|| SecondaryAddress::from_id(id)),
        (None, None) => None,
    }
}

/// Whether two telegrams carry the same records. The header's access number counts up between them.
fn same_records(a: &[u8], b: &[u8]) -> bool {
    let records = |frame| match Telegram::parse(frame) {
        Ok(telegram) => Some(telegram.records().rest()),
        Err(_) => None,
    };
    matches!((records(a), records(b)), (Some(a), Some(b)) if a == b)
}

impl Session for ReadMeter {
    type Event = ReadEvent;

    fn start(&mut self, now: Instant) {
        if self.state == State::Idle {
            self.wait_quiet(self.config.settle, now);
        }
    }

    fn handle_transmitted(&mut self, now: Instant) {
        if self.state == State::AwaitTransmitted {
            self.requested_at = now;
            self.state = State::ExpectAnswer { deadline: now + self.config.reply_limit() };
            self.look(false, now);
        }
    }

    fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        if bytes.is_empty() {
            return;
        }
        match self.state {
            State::AwaitQuiet { latest, .. } => {
                self.noise_bytes = self.noise_bytes.saturating_add(bytes.len());
                let until = (now + self.config.idle()).min(latest);
                self.state = State::AwaitQuiet { until, latest };
            }
            State::AwaitTransmitted => self.answer.push(bytes),
            State::ExpectAnswer { deadline } => {
                self.answer.push(bytes);
                self.look(false, now);
                if let State::ExpectAnswer { .. } = self.state
                    && self.answer.heard()
                {
                    let latest = self.requested_at + self.config.reply_limit() + BABBLE_MAX + self.longest_answer();
                    let gap = (now + self.config.gap_limit()).min(latest);
                    // Noise alone must not shorten the time that the standard grants the slave.
                    self.state = State::ExpectAnswer { deadline: gap.max(deadline.min(latest)) };
                }
            }
            State::Idle | State::Ready | State::Finished => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::AwaitQuiet { until, .. } if now >= until => self.state = State::Ready,
            State::ExpectAnswer { deadline } if now >= deadline => self.look(true, now),
            _ => {}
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        if self.state != State::Ready {
            return None;
        }
        self.sent = self.request_bytes();
        self.answer.clear();
        self.state = State::AwaitTransmitted;
        Some(Transmit { bytes: self.sent.clone() })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::AwaitQuiet { until, .. } => Some(until),
            State::ExpectAnswer { deadline } => Some(deadline),
            State::Idle | State::Ready | State::AwaitTransmitted | State::Finished => None,
        }
    }

    fn poll_event(&mut self) -> Option<ReadEvent> {
        self.events.pop_front()
    }

    fn is_finished(&self) -> bool {
        self.state == State::Finished
    }
}
