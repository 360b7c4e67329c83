//! One primary address after the other.

use super::config::ScanConfig;
use super::event::{FoundMeter, Place, ScanEnd, ScanEvent};
use super::scan::identity_in;
use super::tally::{Tally, WHOLE};
use crate::frame::{Address, req_ud2, snd_nke};
use crate::session::{Ask, Heard, Plan, Wants};
use core::ops::RangeInclusive;
use plomb_session::Instant;

const ADDRESS_MAX: u8 = 250;
/// After so many garbled answers in a row, nobody is asked, to hear the line.
const GARBLED_COUNT_SUSPECT: u32 = 8;
/// How often the line is heard before what comes back is noise.
const LISTEN_COUNT_MAX: u8 = 2;

#[derive(Debug)]
pub(super) struct Primary {
    config: ScanConfig,
    first: u8,
    last: u8,
    address: u8,
    step: Step,
    /// Garbled answers since the line was last known to be quiet.
    garbled: u32,
    answered: bool,
    tally: Tally,
    cancelled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Call {
        again: bool,
    },
    /// Nobody is asked; bytes that come back are noise.
    Listen {
        tries: u8,
    },
    Read {
        tries: u8,
        called: Called,
    },
    Over,
}

/// What an address gave when it was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Called {
    Silent,
    Acknowledged,
    Garbled,
}

impl Primary {
    pub(super) fn new(addresses: RangeInclusive<u8>, config: ScanConfig) -> Self {
        let (first, last) = (*addresses.start(), (*addresses.end()).min(ADDRESS_MAX));
        let step = if first > last { Step::Over } else { Step::Call { again: false } };
        Self {
            config,
            first,
            last,
            address: first,
            step,
            garbled: 0,
            answered: false,
            tally: Tally::default(),
            cancelled: false,
        }
    }

    pub(super) fn cancel(&mut self) {
        self.cancelled = true;
    }

    fn place(&self) -> Place {
        Place::Primary(Address(self.address))
    }

    fn called(&mut self, heard: &Heard, again: bool, now: Instant) {
        match heard {
            Heard::Silence if self.config.ask_silent_for_telegram => {
                self.step = Step::Read { tries: 0, called: Called::Silent };
            }
            Heard::Silence => self.go_on(now),
            Heard::Ack => self.step = Step::Read { tries: 0, called: Called::Acknowledged },
            Heard::Garbled(_) | Heard::Telegram { .. } if !again => self.step = Step::Call { again: true },
            Heard::Garbled(_) | Heard::Telegram { .. } => {
                self.garbled += 1;
                let suspect = self.garbled == 1 || self.garbled > GARBLED_COUNT_SUSPECT;
                self.step =
                    if suspect { Step::Listen { tries: 0 } } else { Step::Read { tries: 0, called: Called::Garbled } };
            }
        }
    }

    fn listened(&mut self, heard: &Heard, tries: u8, now: Instant) {
        match heard {
            Heard::Silence => {
                self.garbled = 1;
                self.step = Step::Read { tries: 0, called: Called::Garbled };
            }
            // The end of a long collision, perhaps.
            _ if tries < LISTEN_COUNT_MAX => self.step = Step::Listen { tries: tries + 1 },
            _ => self.end(ScanEnd::Noise { bytes: heard.bytes() }, now),
        }
    }

    fn read(&mut self, heard: Heard, tries: u8, called: Called, now: Instant) {
        let more = tries < self.config.line.retries;
        match heard {
            Heard::Telegram { bytes, alone: true } => {
                let (identity, address) = identity_in(&bytes);
                if address.0 != self.address {
                    let place = self.place();
                    self.tally.tell(ScanEvent::Unfit { place, got: identity, address });
                } else {
                    self.tally.found(FoundMeter { address, identity, telegram: bytes });
                    self.garbled = self.garbled.min(1);
                }
            }
            Heard::Silence if called == Called::Silent => return self.go_on(now),
            _ if more => {
                self.step = Step::Read { tries: tries + 1, called };
                return;
            }
            // Called and read, it was silent or clean each time but garbled: that was noise.
            Heard::Silence if called == Called::Garbled => {}
            Heard::Silence | Heard::Ack => {
                let place = self.place();
                self.tally.tell(ScanEvent::Mute { place });
            }
            Heard::Garbled(_) | Heard::Telegram { .. } => {
                let place = self.place();
                self.tally.tell(ScanEvent::Collision { place });
            }
        }
        self.answered = true;
        self.go_on(now);
    }

    fn go_on(&mut self, now: Instant) {
        let (asked, all) = (self.address - self.first, self.last - self.first);
        self.tally.progress(WHOLE / (u64::from(all) + 1) * (u64::from(asked) + 1), now);
        if self.address >= self.last {
            let end = if self.answered { ScanEnd::Complete } else { ScanEnd::NobodyAnswers };
            return self.end(end, now);
        }
        self.address += 1;
        self.step = Step::Call { again: false };
    }

    fn end(&mut self, end: ScanEnd, now: Instant) {
        self.step = Step::Over;
        self.tally.done(end, now);
    }
}

impl Plan for Primary {
    type Event = ScanEvent;

    fn next(&mut self, now: Instant) -> Option<Ask> {
        if self.step != Step::Over && self.cancelled {
            self.end(ScanEnd::Cancelled, now);
        } else if self.step != Step::Over && self.tally.frames >= self.config.frames_max {
            self.end(ScanEnd::FrameLimit, now);
        } else if self.step == Step::Over && self.tally.frames == 0 {
            // No address to ask.
            self.end(ScanEnd::Complete, now);
        }
        let address = Address(self.address);
        let (bytes, wants) = match self.step {
            Step::Call { .. } => (snd_nke(address), Wants::Ack),
            Step::Listen { .. } => (snd_nke(Address::BROADCAST), Wants::Ack),
            Step::Read { .. } => (req_ud2(address, true), Wants::Telegram),
            Step::Over => return None,
        };
        self.tally.asked(now);
        Some(Ask { bytes, wants, bits_per_second: None })
    }

    fn heard(&mut self, heard: Heard, _: Instant, now: Instant) {
        match self.step {
            Step::Call { again } => self.called(&heard, again, now),
            Step::Listen { tries } => self.listened(&heard, tries, now),
            Step::Read { tries, called } => self.read(heard, tries, called, now),
            Step::Over => {}
        }
    }

    fn poll_event(&mut self) -> Option<ScanEvent> {
        self.tally.poll()
    }
}
