//! One speed after the other.

use super::config::ScanConfig;
use super::event::{ScanEnd, ScanEvent, SpeedAnswer};
use super::scan::usable;
use super::tally::{Tally, WHOLE};
use crate::frame::{Address, snd_nke};
use crate::secondary::{SecondaryAddress, select};
use crate::session::{Ask, Heard, Plan, Wants};
use alloc::vec::Vec;
use plomb_session::Instant;

#[derive(Debug)]
pub(super) struct Speeds {
    config: ScanConfig,
    speeds: Vec<u32>,
    at: usize,
    question: Question,
    end: Option<ScanEnd>,
    answered: bool,
    over: bool,
    tally: Tally,
    cancelled: bool,
}

/// How everybody is asked. A meter knows at least one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// SND_NKE to 254: five bytes.
    Everybody,
    /// The selection of every meter.
    Selection { fcb: bool },
    /// At the configured speed: no meter stays selected.
    Deselect,
}

impl Speeds {
    pub(super) fn new(speeds: Vec<u32>, config: ScanConfig) -> Self {
        Self {
            config,
            speeds: usable(speeds),
            at: 0,
            question: Question::Everybody,
            end: None,
            answered: false,
            over: false,
            tally: Tally::default(),
            cancelled: false,
        }
    }

    pub(super) fn cancel(&mut self) {
        self.cancelled = true;
    }

    fn answered(&mut self, answer: SpeedAnswer, now: Instant) {
        if let Some(&bits_per_second) = self.speeds.get(self.at) {
            self.tally.tell(ScanEvent::Speed { bits_per_second, answer });
        }
        self.answered = self.answered || answer != SpeedAnswer::Silence;
        self.question = Question::Everybody;
        self.at += 1;
        let (done, all) = (u64::try_from(self.at).unwrap_or(1), u64::try_from(self.speeds.len()).unwrap_or(1).max(1));
        self.tally.progress(WHOLE / all * done, now);
    }
}

impl Plan for Speeds {
    type Event = ScanEvent;

    fn next(&mut self, now: Instant) -> Option<Ask> {
        if self.over {
            return None;
        }
        if self.end.is_none() {
            self.end = match (self.cancelled, self.at < self.speeds.len()) {
                (true, _) => Some(ScanEnd::Cancelled),
                (false, true) if self.tally.frames >= self.config.frames_max => Some(ScanEnd::FrameLimit),
                (false, true) => None,
                (false, false) if self.answered => Some(ScanEnd::Complete),
                (false, false) => Some(ScanEnd::NobodyAnswers),
            };
        }
        let speed = match self.end {
            Some(_) => {
                self.question = Question::Deselect;
                self.config.line.bits_per_second
            }
            None => self.speeds.get(self.at).copied().unwrap_or(self.config.line.bits_per_second),
        };
        let bytes = match self.question {
            Question::Everybody => snd_nke(Address::ANY),
            Question::Selection { fcb } => select(&SecondaryAddress::ANY, fcb),
            Question::Deselect => snd_nke(Address::SELECTED),
        };
        self.tally.asked(now);
        Some(Ask { bytes, wants: Wants::Ack, bits_per_second: Some(speed) })
    }

    fn heard(&mut self, heard: Heard, _: Instant, now: Instant) {
        let first = self.config.line.select_with_fcb;
        match (self.question, heard) {
            (Question::Deselect, _) => {
                self.over = true;
                self.tally.done(self.end.unwrap_or(ScanEnd::Complete), now);
            }
            (Question::Everybody, Heard::Silence) => self.question = Question::Selection { fcb: first },
            (Question::Selection { fcb }, Heard::Silence) if fcb == first => {
                self.question = Question::Selection { fcb: !first };
            }
            (Question::Selection { .. }, Heard::Silence) => self.answered(SpeedAnswer::Silence, now),
            (_, Heard::Ack) => self.answered(SpeedAnswer::Clean, now),
            (_, Heard::Garbled(_) | Heard::Telegram { .. }) => self.answered(SpeedAnswer::Garbled, now),
        }
    }

    fn poll_event(&mut self) -> Option<ScanEvent> {
        self.tally.poll()
    }
}
