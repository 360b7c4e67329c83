//! What a master tells one meter, or asks it besides a readout: its clock, a reset, an alarm, a speed.

use super::answer::Damage;
use super::config::{ReadConfig, Target};
use super::exchange::{Ask, Conversation, Heard, Plan, Wants, session_of_conversation};
use super::failure::{Failing, ReadFailure};
use super::machine::{CI_APPLICATION_RESET, CI_SEND_RECORDS};
use crate::date::DateTime;
use crate::frame::{Control, Frame, req_ud1, snd_nke};
use crate::secondary::select;
use crate::telegram::{Body, Telegram};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use plomb_session::Instant;
use thiserror::Error;

/// B8 is 300 bits per second; each code after it the next speed.
const CI_SPEED_FIRST: u8 = 0xB8;
const SPEEDS_BY_CODE: [u32; 8] = [300, 600, 1200, 2400, 4800, 9600, 19_200, 38_400];
/// 32 and 48 bits, date and time (types F and I).
const RECORD_TYPE_F: [u8; 2] = [0x04, 0x6D];
const RECORD_TYPE_I: [u8; 2] = [0x06, 0x6D];

/// One command to one meter: a [`Session`](plomb_session::Session) that tells one [`CommandEvent`].
///
/// ```text
/// SND_NKE ─► [select ─►] command (FCB 1) ─► acknowledgement, or an answer
/// ```
/// A command without an answer is repeated with the same frame count bit, so that a meter which has
/// carried it out and was not heard does not carry it out twice.
#[derive(Debug)]
pub struct Command(Conversation<Errand>);

/// How a command ended. Exactly one is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandEvent {
    /// The meter acknowledged the command. Whether it obeyed, only a readout shows.
    Accepted,
    /// The meter has no alarm to tell.
    NoAlarm,
    /// The meter's alarm byte (CI 71), whose bits are its maker's own.
    Alarm(u8),
    /// The meter answered the request for alarms with another telegram, from 68 to 16.
    Telegram(Vec<u8>),
    /// The meter answers at the new speed.
    Switched {
        /// In bits per second.
        bits_per_second: u32,
    },
    /// The meter answers at its former speed only. The line has it again.
    FellBack {
        /// In bits per second.
        bits_per_second: u32,
    },
    /// The meter was not heard, or refused.
    Failed(ReadFailure),
}

/// Why a command cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CommandError {
    /// The time names no moment, or one that the type cannot carry.
    #[error("not a moment that a meter's clock can be set to: give date and time without wildcards, year 2000 to 2080")]
    Time,
    /// No such speed in the standard.
    #[error("{0} baud is no speed of the standard: 300, 600, 1200, 2400, 4800, 9600, 19200 or 38400")]
    Speed(u32),
    /// The records do not fit in a frame.
    #[error("{bytes} bytes of records do not fit in a frame: 252 do")]
    TooLong {
        /// Their length.
        bytes: usize,
    },
}

/// How a meter's clock is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClockType {
    /// Type F, 32 bits, to the minute: known to nearly all meters.
    Minutes,
    /// Type I, 48 bits, to the second.
    Seconds,
}

impl Command {
    /// Sets the clock of `target` to `time`, which is in the meter's own zone (SND_UD, CI 51, one
    /// record of type F or I; EN 13757-3, annex A).
    ///
    /// # Errors
    /// [`CommandError::Time`].
    pub fn set_clock(
        target: Target,
        time: &DateTime,
        kind: ClockType,
        config: ReadConfig,
    ) -> Result<Self, CommandError> {
        let mut records = Vec::new();
        match kind {
            ClockType::Minutes => {
                records.extend(RECORD_TYPE_F);
                records.extend(time.to_type_f().ok_or(CommandError::Time)?);
            }
            ClockType::Seconds => {
                records.extend(RECORD_TYPE_I);
                records.extend(time.to_type_i().ok_or(CommandError::Time)?);
            }
        }
        Self::send_records(target, &records, config)
    }

    /// Resets the application of `target` (CI 50). The subcode, where given, chooses which telegrams
    /// follow: 00 all, 10 user data, 20 simple billing, … (EN 13757-3, table 4).
    #[must_use]
    pub fn application_reset(target: Target, subcode: Option<u8>, config: ReadConfig) -> Self {
        let payload = subcode.into_iter().collect();
        Self::of(target, Errandry::Send { ci: CI_APPLICATION_RESET, payload }, config)
    }

    /// Sends records to `target` (CI 51).
    ///
    /// # Errors
    /// [`CommandError::TooLong`].
    pub fn send_records(target: Target, records: &[u8], config: ReadConfig) -> Result<Self, CommandError> {
        if records.len() > crate::frame::PAYLOAD_BYTES_MAX {
            return Err(CommandError::TooLong { bytes: records.len() });
        }
        Ok(Self::of(target, Errandry::Send { ci: CI_SEND_RECORDS, payload: records.to_vec() }, config))
    }

    /// Asks `target` for its alarms (REQ_UD1).
    #[must_use]
    pub fn poll_alarm(target: Target, config: ReadConfig) -> Self {
        Self::of(target, Errandry::Alarm, config)
    }

    /// Tells `target` to speak at another speed (CI B8 to BF), and makes sure that it does: the line
    /// goes to that speed, and back when the meter is not heard there. A meter that hears nothing at
    /// the new speed returns to its own.
    ///
    /// # Errors
    /// [`CommandError::Speed`].
    pub fn switch_speed(target: Target, bits_per_second: u32, config: ReadConfig) -> Result<Self, CommandError> {
        let code = (CI_SPEED_FIRST..).zip(SPEEDS_BY_CODE).find(|(_, speed)| *speed == bits_per_second);
        let (ci, _) = code.ok_or(CommandError::Speed(bits_per_second))?;
        Ok(Self::of(target, Errandry::Speed { ci, bits_per_second }, config))
    }

    /// Whether the command itself went out. Until then, a failure left the meter as it was.
    #[must_use]
    pub const fn was_sent(&self) -> bool {
        self.0.plan.sent
    }

    fn of(target: Target, errandry: Errandry, config: ReadConfig) -> Self {
        Self(Conversation::new(Errand::new(target, errandry, config), config))
    }
}

session_of_conversation!(Command, CommandEvent);

/// What is to be done.
#[derive(Clone, Debug)]
enum Errandry {
    Send { ci: u8, payload: Vec<u8> },
    Alarm,
    Speed { ci: u8, bits_per_second: u32 },
}

#[derive(Debug)]
struct Errand {
    target: Target,
    errandry: Errandry,
    config: ReadConfig,
    step: Step,
    /// The command itself went out.
    sent: bool,
    tries: Vec<Option<Failing>>,
    events: VecDeque<CommandEvent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Initialise,
    Select,
    Ask,
    /// Whether the meter is heard at the new speed, or again at the old.
    Hear {
        new: bool,
    },
    Over,
}

impl Errand {
    fn new(target: Target, errandry: Errandry, config: ReadConfig) -> Self {
        let (tries, events) = (Vec::new(), VecDeque::new());
        Self { target, errandry, config, step: Step::Initialise, sent: false, tries, events }
    }

    fn end(&mut self, event: CommandEvent) {
        self.events.push_back(event);
        self.step = Step::Over;
    }

    fn go_to(&mut self, step: Step) {
        self.step = step;
        self.tries.clear();
    }

    /// Repeats the question, or gives up with what all tries together say.
    fn try_again(&mut self, failing: Option<Failing>, give_up: impl FnOnce(&mut Self)) {
        self.tries.push(failing);
        if self.tries.len() > usize::from(self.config.retries) {
            give_up(self);
        }
    }

    fn fail(&mut self) {
        let failure = ReadFailure::of(self.target, &self.tries, 0);
        self.end(CommandEvent::Failed(failure));
    }

    fn answered(&mut self, heard: Heard) {
        match (&self.errandry, heard) {
            (_, Heard::Telegram { bytes, .. }) => self.judge(bytes),
            (Errandry::Send { .. }, Heard::Ack) => self.end(CommandEvent::Accepted),
            (Errandry::Alarm, Heard::Ack) => self.end(CommandEvent::NoAlarm),
            (Errandry::Speed { .. }, Heard::Ack) => self.go_to(Step::Hear { new: true }),
            // It may have switched without being heard.
            (Errandry::Speed { .. }, heard) => {
                self.try_again(failing(&heard), |errand| errand.go_to(Step::Hear { new: true }));
            }
            (_, heard) => self.try_again(failing(&heard), Self::fail),
        }
    }

    fn judge(&mut self, telegram: Vec<u8>) {
        match (Telegram::parse(&telegram).map(|telegram| (telegram.address, telegram.body)), &self.errandry) {
            (Ok((_, Body::ApplicationError(error))), _) => {
                self.end(CommandEvent::Failed(ReadFailure::Refused { target: self.target, error }));
            }
            (Ok((address, _)), _) if self.is_stranger(address) => {
                self.try_again(Some(Failing::WrongAddress(address)), Self::fail);
            }
            (Ok((_, Body::Alarm(alarm))), Errandry::Alarm) => self.end(CommandEvent::Alarm(alarm)),
            (_, Errandry::Alarm) => self.end(CommandEvent::Telegram(telegram)),
            // A late answer to an earlier question.
            (_, _) => self.try_again(Some(Failing::Damage(Damage::Broken)), Self::fail),
        }
    }

    fn is_stranger(&self, address: crate::frame::Address) -> bool {
        matches!(self.target, Target::Primary(expected) if expected.is_primary() && expected != address)
    }

    fn heard_at_speed(&mut self, heard: &Heard, new: bool, bits_per_second: u32) {
        match (heard, new) {
            (Heard::Ack, true) => self.end(CommandEvent::Switched { bits_per_second }),
            (Heard::Ack, false) => {
                self.end(CommandEvent::FellBack { bits_per_second: self.config.bits_per_second });
            }
            (heard, true) => {
                self.try_again(failing(heard), |errand| errand.go_to(Step::Hear { new: false }));
            }
            (heard, false) => self.try_again(failing(heard), Self::fail),
        }
    }
}

fn failing(heard: &Heard) -> Option<Failing> {
    match heard {
        Heard::Garbled(garble) => Some(Failing::Damage(garble.damage)),
        _ => None,
    }
}

impl Plan for Errand {
    type Event = CommandEvent;

    fn next(&mut self, _: Instant) -> Option<Ask> {
        self.sent |= self.step == Step::Ask;
        let address = self.target.link_address();
        let mut bits_per_second = None;
        let calls = match self.target {
            Target::Primary(address) => snd_nke(address),
            Target::Secondary(secondary) => select(&secondary, self.config.select_with_fcb),
        };
        let (bytes, wants) = match (self.step, &self.errandry) {
            (Step::Over, _) => return None,
            (Step::Initialise, _) => (snd_nke(address), Wants::Ack),
            (Step::Select, _) => (calls, Wants::Ack),
            (Step::Ask, Errandry::Alarm) => (req_ud1(address, true), Wants::Telegram),
            (Step::Ask, Errandry::Send { ci, payload }) => {
                let frame = Frame::Long { control: Control::SndUd { fcb: true }, address, ci: *ci, payload };
                // The constructors have checked that it fits.
                (frame.emit().unwrap_or_default(), Wants::Ack)
            }
            (Step::Ask, Errandry::Speed { ci, .. }) => {
                let frame = Frame::Long { control: Control::SndUd { fcb: true }, address, ci: *ci, payload: &[] };
                (frame.emit().unwrap_or_default(), Wants::Ack)
            }
            (Step::Hear { new }, errandry) => {
                bits_per_second = Some(match errandry {
                    Errandry::Speed { bits_per_second, .. } if new => *bits_per_second,
                    _ => self.config.bits_per_second,
                });
                (calls, Wants::Ack)
            }
        };
        Some(Ask { bytes, wants, bits_per_second })
    }

    fn heard(&mut self, heard: Heard, _: Instant, _: Instant) {
        match self.step {
            // Not every meter acknowledges this.
            Step::Initialise => {
                let secondary = matches!(self.target, Target::Secondary(_));
                self.go_to(if secondary { Step::Select } else { Step::Ask });
            }
            Step::Select if heard == Heard::Ack => self.go_to(Step::Ask),
            Step::Select => self.try_again(failing(&heard), Self::fail),
            Step::Ask => self.answered(heard),
            Step::Hear { new } => {
                let bits_per_second = match self.errandry {
                    Errandry::Speed { bits_per_second, .. } => bits_per_second,
                    _ => self.config.bits_per_second,
                };
                self.heard_at_speed(&heard, new, bits_per_second);
            }
            Step::Over => {}
        }
    }

    fn poll_event(&mut self) -> Option<CommandEvent> {
        self.events.pop_front()
    }
}
