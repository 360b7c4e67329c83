//! What to ask next in the tree of selections, and what an answer means.

use super::branch::{Branch, Twig};
use super::config::ScanConfig;
use super::event::{FoundMeter, Place, ScanEnd, ScanEvent};
use super::overlay::Overlay;
use super::scan::{fabrication_in, identity_in};
use super::tally::{Tally, WHOLE};
use crate::frame::{Address, req_ud2, snd_nke};
use crate::header::Identification;
use crate::secondary::{SecondaryAddress, select};
use crate::session::{Ask, Damage, Heard, Plan, Wants};
use alloc::vec::Vec;
use plomb_session::Instant;

/// After so many garbled answers without a clean one between, nobody is asked, to hear the line.
const GARBLED_COUNT_SUSPECT: u32 = 16;
/// How often the line is heard before what comes back is noise.
const LISTEN_COUNT_MAX: u8 = 2;
/// So many branches of one depth must hold several meters, and none a single one, before the next
/// is not even read.
const CROWDED_COUNT: u32 = 3;
/// Digits given in a selection: 0 to 8.
const DEPTH_COUNT: usize = 9;

#[derive(Debug)]
pub(super) struct Secondary {
    config: ScanConfig,
    select_with_fcb: bool,
    tries_left: u8,
    step: Step,
    /// What is being asked.
    selection: SecondaryAddress,
    twig: Option<Twig>,
    branches: Vec<Branch>,
    found: Vec<SecondaryAddress>,
    /// Identities that several meters have.
    shared: Vec<SecondaryAddress>,
    /// Identities that a telegram told and nobody answers to.
    refuted: Vec<SecondaryAddress>,
    crowds: [Crowd; DEPTH_COUNT],
    /// Garbled answers since the line was last known to be quiet.
    garbled: u32,
    sent: Vec<u8>,
    tally: Tally,
    cancelled: bool,
    /// What is being asked was acknowledged, and then gave no telegram.
    mute: bool,
}

/// How meters are spread over the selections of one depth.
#[derive(Clone, Copy, Debug, Default)]
struct Crowd {
    single: u32,
    several: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Select {
        again: bool,
    },
    /// Nobody is asked; bytes that come back are noise. Then the selection counts as `then`.
    Listen {
        tries: u8,
        then: Collided,
    },
    Read {
        again: bool,
        fcb: bool,
    },
    Verify {
        meter: FoundMeter,
        again: bool,
    },
    Deselect {
        end: ScanEnd,
    },
    Over,
}

/// What is known of a selection that several meters answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Collided {
    least: u32,
    overlay: Option<Overlay>,
}

impl Secondary {
    pub(super) fn new(within: SecondaryAddress, config: ScanConfig) -> Self {
        Self {
            config,
            select_with_fcb: config.line.select_with_fcb,
            tries_left: config.line.retries,
            step: Step::Select { again: false },
            selection: within,
            twig: None,
            branches: Vec::new(),
            found: Vec::new(),
            shared: Vec::new(),
            refuted: Vec::new(),
            crowds: [Crowd::default(); DEPTH_COUNT],
            garbled: 0,
            sent: Vec::new(),
            tally: Tally::default(),
            cancelled: false,
            mute: false,
        }
    }

    pub(super) fn cancel(&mut self) {
        self.cancelled = true;
    }

    fn end(&mut self, end: ScanEnd) {
        self.step = Step::Deselect { end };
    }

    fn after_select(&mut self, heard: Heard, again: bool, now: Instant) {
        match heard {
            Heard::Silence => {
                if self.mute {
                    // The acknowledgement was another meter's, late.
                    self.doubt_silence();
                }
                self.silent(now);
            }
            Heard::Ack => self.acknowledged(now),
            Heard::Garbled(_) | Heard::Telegram { .. } if !again => self.step = Step::Select { again: true },
            // Noise and one acknowledgement: a telegram will tell.
            Heard::Garbled(garble) if garble.acks == 1 => self.acknowledged(now),
            Heard::Garbled(_) | Heard::Telegram { .. } => self.collided(Collided { least: 2, overlay: None }, now),
        }
    }

    fn acknowledged(&mut self, now: Instant) {
        let crowd = self.crowd();
        if crowd.single == 0 && crowd.several >= CROWDED_COUNT && self.selection.has_wild_digit() {
            return self.fork(Collided { least: 1, overlay: None }, now);
        }
        self.step = Step::Read { again: false, fcb: true };
    }

    fn silent(&mut self, now: Instant) {
        if let (Some(twig), Some(branch)) = (self.twig, self.branches.last_mut()) {
            branch.was_silent(&twig);
            return self.climb(now);
        }
        // Nobody at all: some meters know only 53, others only 73.
        if self.select_with_fcb == self.config.line.select_with_fcb {
            self.select_with_fcb = !self.select_with_fcb;
        } else if self.tries_left > 0 {
            self.tries_left -= 1;
            self.select_with_fcb = self.config.line.select_with_fcb;
        } else {
            return self.end(ScanEnd::NobodyAnswers);
        }
        self.step = Step::Select { again: false };
    }

    fn doubt_silence(&mut self) {
        if let Some(selection) = self.branches.last_mut().and_then(Branch::doubt_silence) {
            self.tally.tell(ScanEvent::Mute { place: Place::Selection(selection) });
        }
    }

    fn after_read(&mut self, heard: Heard, again: bool, fcb: bool, now: Instant) {
        match heard {
            Heard::Telegram { bytes, alone } => self.judge(bytes, alone, again, now),
            Heard::Silence | Heard::Ack if !again => self.step = Step::Read { again: true, fcb: !fcb },
            // Whose was the acknowledgement?
            Heard::Silence | Heard::Ack if !self.mute => {
                self.mute = true;
                self.step = Step::Select { again: true };
            }
            Heard::Silence | Heard::Ack if self.selection.has_wild_digit() => {
                // Acknowledged, and mute: its digits can still be found.
                self.fork(Collided { least: 1, overlay: None }, now);
            }
            Heard::Silence | Heard::Ack => {
                self.tally.tell(ScanEvent::Mute { place: Place::Selection(self.selection) });
                self.settled_otherwise(now);
            }
            Heard::Garbled(garble) => {
                let overlay = Overlay::find(&garble.bytes, &self.sent);
                let noise = matches!(garble.damage, Damage::Noise { .. });
                if noise && !again && garble.bytes.len() < 3 {
                    self.step = Step::Read { again: true, fcb };
                    return;
                }
                self.collided(Collided { least: 2, overlay }, now);
            }
        }
    }

    /// A whole telegram came.
    fn judge(&mut self, telegram: Vec<u8>, alone: bool, again: bool, now: Instant) {
        let (mut identity, address) = identity_in(&telegram);
        if let (Some(identity), Some(asked)) = (&mut identity, self.selection.fabrication) {
            identity.fabrication = fabrication_in(&telegram).or((!has_wild(asked)).then_some(asked));
        }
        let fits = identity.is_some_and(|identity| self.selection.includes(&identity));
        if !fits && !again {
            self.step = Step::Read { again: true, fcb: true };
            return;
        }
        let Some(identity) = identity.filter(|_| fits) else {
            self.unfit(identity, address);
            return self.settled_otherwise(now);
        };
        let nameless = self.selection.fabrication.is_some() && identity.fabrication.is_none();
        if nameless || (!alone && is_open(&self.selection)) {
            // Another meter spoke up late: the branch holds more than this one.
            return self.collided(Collided { least: 1, overlay: None }, now);
        }
        if self.found.contains(&identity) {
            return self.climb(now);
        }
        let meter = FoundMeter { address, identity: Some(identity), telegram };
        if identity == self.selection {
            self.accept(meter, now);
        } else if self.refuted.contains(&identity) {
            self.refute(&meter, now);
        } else {
            self.step = Step::Verify { meter, again: false };
        }
    }

    fn accept(&mut self, meter: FoundMeter, now: Instant) {
        self.found.extend(meter.identity);
        self.tally.found(meter);
        self.garbled = self.garbled.min(1);
        if let Some(crowd) = self.crowd_mut() {
            crowd.single += 1;
        }
        self.climb(now);
    }

    fn after_verify(&mut self, heard: &Heard, meter: FoundMeter, again: bool, now: Instant) {
        match heard {
            Heard::Ack => self.accept(meter, now),
            _ if !again => self.step = Step::Verify { meter, again: true },
            // It answers to its whole identity, and not alone: one meter for certain.
            Heard::Garbled(_) | Heard::Telegram { .. } => self.accept(meter, now),
            Heard::Silence => {
                self.refuted.extend(meter.identity);
                self.refute(&meter, now);
            }
        }
    }

    /// Nobody answers to the identity in the telegram. Of several meters that spoke in step, one
    /// in 256 collisions has a fitting sum: further down they part. A meter that tells a wrong
    /// identity does so further down, too.
    fn refute(&mut self, meter: &FoundMeter, now: Instant) {
        if is_open(&self.selection) {
            let overlay = Overlay::find(&meter.telegram, &[]);
            return self.fork(Collided { least: 1, overlay }, now);
        }
        self.unfit(meter.identity, meter.address);
        self.settled_otherwise(now);
    }

    fn unfit(&mut self, got: Option<SecondaryAddress>, address: Address) {
        self.tally.tell(ScanEvent::Unfit { place: Place::Selection(self.selection), got, address });
    }

    /// Several meters answered, or so it seems: unless the line babbles.
    fn collided(&mut self, collided: Collided, now: Instant) {
        self.garbled += 1;
        if self.garbled == 1 || self.garbled > GARBLED_COUNT_SUSPECT {
            self.step = Step::Listen { tries: 0, then: collided };
            return;
        }
        self.fork(collided, now);
    }

    fn after_listening(&mut self, heard: &Heard, tries: u8, then: Collided, now: Instant) {
        match heard {
            Heard::Silence => {
                self.garbled = 1;
                self.fork(then, now);
            }
            // The end of a long collision, perhaps.
            _ if tries < LISTEN_COUNT_MAX => self.step = Step::Listen { tries: tries + 1, then },
            _ => self.end(ScanEnd::Noise { bytes: heard.bytes() }),
        }
    }

    /// Goes down into the selection just asked.
    fn fork(&mut self, collided: Collided, now: Instant) {
        if let (2.., Some(crowd)) = (collided.least, self.crowd_mut()) {
            crowd.several += 1;
        }
        let (begins, share) = self.branches.last().map_or((0, WHOLE), Branch::twig_share);
        let mut branch =
            Branch::new(self.selection, collided.least, collided.overlay, &self.found, self.config.hex_digits);
        (branch.begins, branch.share) = (begins, share);
        self.branches.push(branch);
        self.climb(now);
    }

    /// The selection just asked holds one meter, told otherwise than as found.
    fn settled_otherwise(&mut self, now: Instant) {
        if let Some(branch) = self.branches.last_mut() {
            branch.told = branch.told.saturating_add(1);
        }
        self.climb(now);
    }

    /// Goes on with the next twig of the deepest branch that has one.
    fn climb(&mut self, now: Instant) {
        loop {
            let Some(branch) = self.branches.last_mut() else {
                self.tally.progress(WHOLE, now);
                return self.end(ScanEnd::Complete);
            };
            let standing = branch.standing(&self.found, &self.shared);
            if let Some(twig) = branch.next(standing) {
                let (begins, share) = branch.twig_share();
                self.tally.progress(begins, now);
                (self.selection, self.twig, self.mute) = (twig.selection, Some(twig), false);
                if twig.implied {
                    let mut below = Branch::new(twig.selection, 2, None, &self.found, self.config.hex_digits);
                    (below.begins, below.share, below.implied) = (begins, share, true);
                    self.branches.push(below);
                    continue;
                }
                self.step = Step::Select { again: false };
                return;
            }
            let Some(done) = self.branches.pop() else { continue };
            self.tally.progress(done.ends(), now);
            let mut told = done.told;
            if standing.lacking && !done.implied {
                self.tally.tell(ScanEvent::Collision { place: Place::Selection(done.selection) });
                told = told.saturating_add(done.least.saturating_sub(standing.known).max(1));
                self.shared.extend(Some(done.selection).filter(SecondaryAddress::is_whole));
            }
            if let Some(above) = self.branches.last_mut() {
                above.told = above.told.saturating_add(told);
            }
        }
    }

    fn depth(&self) -> usize {
        (0..8u32).filter(|place| self.selection.id.0 >> (4 * place) & 0xF != 0xF).count()
    }

    fn crowd(&self) -> Crowd {
        self.crowds.get(self.depth()).copied().unwrap_or_default()
    }

    fn crowd_mut(&mut self) -> Option<&mut Crowd> {
        let depth = self.depth();
        self.crowds.get_mut(depth)
    }
}

/// Whether several meters with identities of their own can be meant.
fn is_open(selection: &SecondaryAddress) -> bool {
    !selection.is_whole() || selection.fabrication.is_some_and(has_wild)
}

fn has_wild(fabrication: Identification) -> bool {
    SecondaryAddress::from_id(fabrication).has_wild_digit()
}

impl Plan for Secondary {
    type Event = ScanEvent;

    fn next(&mut self, now: Instant) -> Option<Ask> {
        let stoppable = !matches!(self.step, Step::Deselect { .. } | Step::Over);
        if stoppable && self.cancelled {
            self.end(ScanEnd::Cancelled);
        } else if stoppable && self.tally.frames >= self.config.frames_max {
            self.end(ScanEnd::FrameLimit);
        }
        let (bytes, wants) = match &self.step {
            Step::Select { .. } => (select(&self.selection, self.select_with_fcb), Wants::Ack),
            Step::Listen { .. } => (snd_nke(Address::BROADCAST), Wants::Ack),
            Step::Read { fcb, .. } => (req_ud2(Address::SELECTED, *fcb), Wants::Telegram),
            Step::Verify { meter, .. } => {
                let whole = meter.identity.unwrap_or(self.selection);
                (select(&whole, self.select_with_fcb), Wants::Ack)
            }
            Step::Deselect { .. } => (snd_nke(Address::SELECTED), Wants::Ack),
            Step::Over => return None,
        };
        self.tally.asked(now);
        self.sent.clone_from(&bytes);
        Some(Ask { bytes, wants, bits_per_second: None })
    }

    fn heard(&mut self, heard: Heard, _: Instant, now: Instant) {
        match self.step.clone() {
            Step::Select { again } => self.after_select(heard, again, now),
            Step::Listen { tries, then } => self.after_listening(&heard, tries, then, now),
            Step::Read { again, fcb } => self.after_read(heard, again, fcb, now),
            Step::Verify { meter, again } => self.after_verify(&heard, meter, again, now),
            Step::Deselect { end } => {
                self.step = Step::Over;
                self.tally.done(end, now);
            }
            Step::Over => {}
        }
    }

    fn spoke_out_of_turn(&mut self) {
        // Behind a selection it was the twig before that; behind anything else nothing was silent.
        if matches!(self.step, Step::Select { again: false }) {
            self.doubt_silence();
        }
    }

    fn poll_event(&mut self) -> Option<ScanEvent> {
        self.tally.poll()
    }
}
