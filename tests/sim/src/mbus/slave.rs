//! One slave: addressing, selection, frame count bit, telegrams.

use super::faults::{only_with, repair, without_more};
use super::{
    ACK, ADDRESS_BROADCAST, ADDRESS_PRIMARY_MAX, ADDRESS_SELECTED, ADDRESS_TEST, Faults, Identity, MasterFrame,
    long_frame,
};
use crate::LineSpeed;
use crate::live::Meter;
use std::collections::VecDeque;

/// How many answered telegrams a slave remembers for its tester.
pub const SERVED_FRAMES_MAX: usize = 64;

/// Control field without the frame count bits (FCB 20, FCV 10).
const FUNCTION_MASK: u8 = 0x4F;
const FCB: u8 = 0x20;
const FCV: u8 = 0x10;
const SND_NKE: u8 = 0x40;
const SND_UD: u8 = 0x43;
const REQ_UD1: u8 = 0x4A;
const REQ_UD2: u8 = 0x4B;
const RSP_UD: u8 = 0x08;

const CI_APPLICATION_RESET: u8 = 0x50;
const CI_SEND_RECORDS: u8 = 0x51;
const CI_SELECT: u8 = 0x52;
const CI_SPEED_FIRST: u8 = 0xB8;
const CI_SPEED_LAST: u8 = 0xBF;
/// What B8, B9, … mean, in bits a second.
const SPEEDS: [u32; 8] = [300, 600, 1200, 2400, 4800, 9600, 19_200, 38_400];
/// Application reset, subcode 2x: simple billing. These meters then send their first telegram only.
const APPLICATION_SIMPLE_BILLING: u8 = 0x20;
/// An 8-digit fabrication number: DIF 0C, VIF 78.
const FABRICATION_RECORD: [u8; 2] = [0x0C, 0x78];
const CI_APPLICATION_ERROR: u8 = 0x70;
const CI_ALARM: u8 = 0x71;
/// Application error 8: too busy to handle the request (EN 13757-3).
const ERROR_TOO_BUSY: u8 = 8;

/// Where a slave's telegrams come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Recorded frames, whole, from 68 to 16; one readout gives all in turn.
    Fixed(Vec<Vec<u8>>),
    /// A meter whose registers advance with the time given.
    Live(Meter),
}

/// A meter's end of the line.
///
/// Faults are plain fields: set them at any time.
#[derive(Debug)]
pub struct Slave {
    /// What is wrong with it.
    pub faults: Faults,
    /// Bit times from the end of a request to the begin of the answer
    /// (EN 13757-2: 11 to 330, plus 50 ms).
    pub response_bits: u32,
    /// The fabrication number, eight BCD digits, which telegrams then carry and the extended
    /// selection asks for. A slave without one does not know the extended selection.
    pub fabrication: Option<u32>,
    /// Knows the wildcard FF in one byte of the manufacturer alone, as the standard has it; else only in both.
    pub knows_half_manufacturers: bool,
    /// Acknowledges a command to change its speed (CI B8 to BF); else does not know it.
    pub knows_speeds: bool,
    /// Obeys such a command; else it acknowledges and stays.
    pub obeys_speeds: bool,
    /// A valve that the master can move.
    pub valve: Option<Valve>,
    /// The alarm byte that a request for alarms (REQ_UD1) earns, in a telegram with CI 71.
    pub alarm: Option<u8>,
    address: u8,
    identity: Identity,
    source: Source,
    keep_frames: bool,
    selected: bool,
    direct: Dialogue,
    through_selection: Dialogue,
    access: u8,
    /// The subcode of the last application reset.
    application: u8,
    /// The VIFs that the master selected for readout; empty for all.
    wanted_vifs: Vec<u8>,
    new_speed: Option<LineSpeed>,
    answers: u32,
    served: VecDeque<Vec<u8>>,
}

/// A valve: an 8-bit record under the VIF FD 1F, remote control (EN 13757-3); 1 is open, 0 closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Valve {
    /// Whether it is open.
    pub open: bool,
    /// It acknowledges, and stays where it is.
    pub stuck: bool,
    /// It moves, and gives no acknowledgement.
    pub mute: bool,
    /// Commands that it carried out; repeated ones do not count.
    pub commands: u32,
    last_fcb: Option<bool>,
}

impl Valve {
    /// A valve in order.
    #[must_use]
    pub fn new(open: bool) -> Self {
        Self { open, stuck: false, mute: false, commands: 0, last_fcb: None }
    }

    /// Whether it acknowledges.
    fn take(&mut self, open: bool, fcb: bool) -> bool {
        // The same frame count bit is the same command, sent again.
        if self.last_fcb != Some(fcb) {
            self.commands = self.commands.saturating_add(1);
            self.open = if self.stuck { self.open } else { open };
        }
        self.last_fcb = Some(fcb);
        !self.mute
    }
}

/// The memory of one readout: EN 13757-2 wants one for the primary address
/// and one for the selection.
#[derive(Debug, Default)]
struct Dialogue {
    last_fcb: Option<bool>,
    last_telegram: Vec<u8>,
    /// Telegrams still to be sent before a new readout begins.
    rest: VecDeque<Vec<u8>>,
}

impl Slave {
    /// A live meter at a primary address.
    #[must_use]
    pub fn live(address: u8, meter: Meter) -> Self {
        let identity = meter.identity();
        Self::new(address, identity, Source::Live(meter))
    }

    /// A slave that serves recorded frames with the A field and the checksum
    /// set to `address`. Its identity is that of the first frame.
    #[must_use]
    pub fn fixed(address: u8, frames: Vec<Vec<u8>>) -> Self {
        let identity = frames.first().map_or(Identity::from_bytes([0; 8]), |frame| identity_of(frame));
        Self::new(address, identity, Source::Fixed(frames))
    }

    /// As [`Slave::fixed`], with every byte of the frames kept.
    #[must_use]
    pub fn fixed_unchanged(address: u8, frames: Vec<Vec<u8>>) -> Self {
        Self { keep_frames: true, ..Self::fixed(address, frames) }
    }

    fn new(address: u8, identity: Identity, source: Source) -> Self {
        Self {
            faults: Faults::default(),
            // Slaves differ a little, so that two on one address do not
            // answer in the same bit.
            response_bits: 22 + identity.id % 29,
            fabrication: None,
            knows_half_manufacturers: true,
            knows_speeds: true,
            obeys_speeds: true,
            alarm: None,
            valve: None,
            address,
            identity,
            source,
            keep_frames: false,
            selected: false,
            direct: Dialogue::default(),
            through_selection: Dialogue::default(),
            access: 0,
            application: 0,
            wanted_vifs: Vec::new(),
            new_speed: None,
            answers: 0,
            served: VecDeque::new(),
        }
    }

    /// The primary address.
    #[must_use]
    pub fn address(&self) -> u8 {
        self.address
    }

    /// The secondary address.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Where the telegrams come from.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Whether a selection stands.
    #[must_use]
    pub fn is_selected(&self) -> bool {
        self.selected
    }

    /// The newest telegrams sent (as they were before any fault but
    /// [`Faults::busy`]), oldest first, [`SERVED_FRAMES_MAX`] at most.
    pub fn served(&self) -> impl Iterator<Item = &[u8]> {
        self.served.iter().map(Vec::as_slice)
    }

    /// What the slave answers to a frame, at the meter's time `unix_s`.
    ///
    /// `None`: not for this slave, not understood, or swallowed by a fault.
    pub fn answer(&mut self, frame: &MasterFrame, unix_s: u64) -> Option<Vec<u8>> {
        let answer = match frame {
            MasterFrame::Short { control, address } => self.short(*control, *address, unix_s),
            MasterFrame::Long { control, address, ci, payload } => self.long(*control, *address, *ci, payload),
        }?;
        if frame.address() == ADDRESS_BROADCAST {
            return None;
        }
        self.answers = self.answers.saturating_add(1);
        if self.faults.swallow(self.answers) {
            return None;
        }
        let mut bytes = self.faults.noise_before.clone();
        bytes.extend(answer);
        Some(bytes)
    }

    /// The speed to which the last command changed the slave; to be asked for after each answer.
    pub(crate) fn take_new_speed(&mut self) -> Option<LineSpeed> {
        self.new_speed.take()
    }

    fn hears(&self, address: u8) -> bool {
        match address {
            ADDRESS_SELECTED => self.selected,
            ADDRESS_TEST | ADDRESS_BROADCAST => true,
            _ => address == self.address,
        }
    }

    fn dialogue(&mut self, address: u8) -> &mut Dialogue {
        if address == ADDRESS_SELECTED { &mut self.through_selection } else { &mut self.direct }
    }

    fn short(&mut self, control: u8, address: u8, unix_s: u64) -> Option<Vec<u8>> {
        if !self.hears(address) {
            return None;
        }
        match control & FUNCTION_MASK {
            SND_NKE if control == SND_NKE => {
                if let Some(valve) = &mut self.valve {
                    valve.last_fcb = None;
                }
                *self.dialogue(address) = Dialogue::default();
                if address == ADDRESS_SELECTED {
                    self.selected = false;
                }
                Some(vec![ACK])
            }
            // Without alarm data the acknowledgement says so (EN 13757-3).
            REQ_UD1 => match self.alarm {
                Some(alarm) => long_frame(RSP_UD, self.address, &[CI_ALARM, alarm]),
                None => Some(vec![ACK]),
            },
            REQ_UD2 if address != ADDRESS_BROADCAST => {
                let fcb = (control & FCV != 0).then_some(control & FCB != 0);
                self.telegram(address, fcb, unix_s)
            }
            _ => None,
        }
    }

    fn long(&mut self, control: u8, address: u8, ci: u8, payload: &[u8]) -> Option<Vec<u8>> {
        if control & FUNCTION_MASK != SND_UD {
            return None;
        }
        if address == ADDRESS_SELECTED && ci == CI_SELECT {
            return self.select(payload);
        }
        if !self.hears(address) {
            return None;
        }
        match (ci, payload) {
            (CI_APPLICATION_RESET, subcode) => {
                self.application = subcode.first().copied().unwrap_or_default();
                self.wanted_vifs.clear();
                self.dialogue(address).rest.clear();
                Some(vec![ACK])
            }
            (CI_SPEED_FIRST..=CI_SPEED_LAST, []) if self.knows_speeds => {
                let speed = SPEEDS.get(usize::from(ci - CI_SPEED_FIRST)).copied().map(LineSpeed);
                self.new_speed = speed.filter(|_| self.obeys_speeds);
                Some(vec![ACK])
            }
            // DIF 01, VIF 7A: the new primary address.
            (CI_SEND_RECORDS, [0x01, 0x7A, new]) if *new <= ADDRESS_PRIMARY_MAX => {
                self.address = *new;
                Some(vec![ACK])
            }
            (CI_SEND_RECORDS, [0x01, 0xFD, 0x1F, wanted @ 0..=1]) => {
                let valve = self.valve.as_mut()?;
                valve.take(*wanted == 1, control & FCB != 0).then(|| vec![ACK])
            }
            // Data field 8: selected for readout, each a DIF and a VIF here.
            (CI_SEND_RECORDS, selections) if selections.len() % 2 == 0 && is_selections(selections) => {
                self.wanted_vifs = selections.iter().skip(1).step_by(2).copied().collect();
                self.dialogue(address).rest.clear();
                Some(vec![ACK])
            }
            _ => None,
        }
    }

    fn select(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let (wanted, extension) = payload.split_first_chunk::<8>()?;
        let extended = match (extension, self.fabrication) {
            ([], _) => true,
            (&[dif, vif, a, b, c, d], Some(own)) if [dif, vif] == FABRICATION_RECORD => {
                let number = Identity { id: own, ..self.identity };
                number.matches(&Identity { id: u32::from_le_bytes([a, b, c, d]), ..self.identity })
            }
            _ => false,
        };
        let wanted = Identity::from_bytes(*wanted);
        let whole = [0xFFFF, self.identity.manufacturer].contains(&wanted.manufacturer);
        let known = whole || self.knows_half_manufacturers;
        self.selected = extended && known && self.identity.matches(&wanted);
        if !self.selected {
            return None;
        }
        self.through_selection = Dialogue::default();
        Some(vec![ACK])
    }

    /// The telegram that a REQ_UD2 earns: the same again for the same frame
    /// count bit, the next one for another (IEC 60870-5-2). Without a valid
    /// bit, or after a reset, the next one.
    fn telegram(&mut self, address: u8, fcb: Option<bool>, unix_s: u64) -> Option<Vec<u8>> {
        if self.faults.busy {
            let busy = long_frame(RSP_UD, self.address, &[CI_APPLICATION_ERROR, ERROR_TOO_BUSY])?;
            self.remember(&busy);
            return Some(busy);
        }
        let dialogue = self.dialogue(address);
        let repeat = fcb.is_some() && dialogue.last_fcb == fcb && !dialogue.last_telegram.is_empty();
        if !repeat {
            if dialogue.rest.is_empty() {
                let readout = self.readout(unix_s);
                self.dialogue(address).rest = readout;
            }
            let dialogue = self.dialogue(address);
            dialogue.last_telegram = dialogue.rest.pop_front()?;
            if fcb.is_some() {
                dialogue.last_fcb = fcb;
            }
        }
        let telegram = self.dialogue(address).last_telegram.clone();
        self.remember(&telegram);
        Some(self.faults.damage(telegram))
    }

    /// All frames of a new readout.
    fn readout(&mut self, unix_s: u64) -> VecDeque<Vec<u8>> {
        match &self.source {
            Source::Fixed(frames) if self.keep_frames => frames.iter().cloned().collect(),
            Source::Fixed(frames) => frames.iter().map(|frame| readdressed(frame, self.address)).collect(),
            Source::Live(meter) => {
                let telegrams = meter.telegrams(unix_s, self.access);
                self.access = self.access.wrapping_add(u8::try_from(telegrams.len()).unwrap_or(1));
                let count = if self.application & 0xF0 == APPLICATION_SIMPLE_BILLING { 1 } else { telegrams.len() };
                let sent = telegrams.iter().take(count).map(|user| self.as_asked(user));
                sent.filter_map(|user| long_frame(RSP_UD, self.address, &user)).collect()
            }
        }
    }

    /// A live meter's telegram with what the master selected, and the fabrication number.
    fn as_asked(&self, user: &[u8]) -> Vec<u8> {
        let (header, records) = user.split_at(user.len().min(HEADER_BYTES));
        let mut asked = header.to_vec();
        if let Some(number) = self.fabrication {
            asked.extend(FABRICATION_RECORD);
            asked.extend(number.to_le_bytes());
        }
        if let Some(valve) = &self.valve {
            asked.extend([0x01, 0xFD, 0x1F, u8::from(valve.open)]);
        }
        if self.wanted_vifs.is_empty() {
            let mut records = records.to_vec();
            if self.application & 0xF0 == APPLICATION_SIMPLE_BILLING {
                without_more(&mut records);
            }
            asked.extend(records);
        } else {
            asked.extend(only_with(records, &self.wanted_vifs));
        }
        asked
    }

    fn remember(&mut self, telegram: &[u8]) {
        if self.served.len() == SERVED_FRAMES_MAX {
            self.served.pop_front();
        }
        self.served.push_back(telegram.to_vec());
    }
}

/// CI and the twelve bytes of the long header.
const HEADER_BYTES: usize = 13;

/// Whether each DIF has the data field 8.
fn is_selections(records: &[u8]) -> bool {
    records.iter().step_by(2).all(|dif| dif & 0x8F == 0x08)
}

/// The frame with another A field and a checksum that fits.
fn readdressed(frame: &[u8], address: u8) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let long = matches!(frame.as_slice(), [0x68, length, ..] if frame.len() == usize::from(*length) + 6);
    if let (true, Some(place)) = (long, frame.get_mut(5)) {
        *place = address;
        repair(&mut frame);
    }
    frame
}

/// The identity in a frame's header: CI 72/76 variable, CI 73/77 fixed structure.
fn identity_of(frame: &[u8]) -> Identity {
    let header: Option<[u8; 8]> = match frame.get(6) {
        Some(0x72 | 0x76) => frame.get(7..15).and_then(|header| header.try_into().ok()),
        // The fixed structure has no manufacturer, and hides its medium in the
        // units' upper bits; only the number can be selected.
        Some(0x73 | 0x77) => frame.get(7..11).map(|id| {
            let mut header = [0; 8];
            header.iter_mut().zip(id).for_each(|(place, byte)| *place = *byte);
            header
        }),
        _ => None,
    };
    Identity::from_bytes(header.unwrap_or_default())
}
