use super::config::ScanConfig;
use super::event::ScanEvent;
use super::primary::Primary;
use super::secondary::Secondary;
use super::speeds::Speeds;
use crate::frame::{Address, Frame};
use crate::header::{Header, Identification};
use crate::secondary::{FABRICATION_RECORD, SecondaryAddress};
use crate::session::{Ask, Conversation, Heard, Plan, session_of_conversation};
use crate::telegram::Telegram;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use plomb_session::{Instant, Reader};

const CI_LONG_HEADER: u8 = 0x72;
const CI_LONG_HEADER_MSB: u8 = 0x76;

/// A search for meters: a [`Session`](plomb_session::Session) that tells [`ScanEvent`]s.
#[derive(Debug)]
pub struct Scan(Conversation<Kind>);

#[derive(Debug)]
enum Kind {
    Primary(Primary),
    Secondary(Box<Secondary>),
    Speeds(Speeds),
}

impl Scan {
    /// Asks each primary address of `addresses` (those above 250 are left out): SND_NKE first, which
    /// costs least line time, then REQ_UD2 where something answers.
    #[must_use]
    pub fn primary(addresses: RangeInclusive<u8>, config: ScanConfig) -> Self {
        Self::of(Kind::Primary(Primary::new(addresses, config)), config)
    }

    /// Looks for all meters with a secondary address.
    ///
    /// Selections with wildcards form a tree. A silent selection ends a branch. An acknowledged one
    /// is read at once: one whole telegram is one meter, found without any further digit; damage
    /// means several, and the branch forks. It forks at the digit in which the meters found so far
    /// differ most; where all digits are given, by medium, manufacturer and version.
    ///
    /// A branch in which answers collided must end with two meters or more. Where it does not, the
    /// digits A to F are tried, then the silent questions once more; what then is still unexplained
    /// is told as [`ScanEvent::Collision`].
    ///
    /// An acknowledgement that comes garbled is asked for again before it counts as a collision; and
    /// before the first collision is believed a question that nobody may answer is put: when bytes
    /// come back even then, the search ends with [`ScanEnd::Noise`](crate::ScanEnd::Noise).
    #[must_use]
    pub fn secondary(config: ScanConfig) -> Self {
        Self::within(SecondaryAddress::ANY, config)
    }

    /// As [`secondary`](Self::secondary), among the meters that `selection` means.
    #[must_use]
    pub fn within(selection: SecondaryAddress, config: ScanConfig) -> Self {
        Self::of(Kind::Secondary(Box::new(Secondary::new(selection, config))), config)
    }

    /// Asks everybody at each of `speeds`, in bits per second and in their order; see
    /// [`SPEEDS`](crate::SPEEDS). The line is left at the configured speed.
    #[must_use]
    pub fn speeds(speeds: &[u32], config: ScanConfig) -> Self {
        Self::of(Kind::Speeds(Speeds::new(speeds.to_vec(), config)), config)
    }

    fn of(kind: Kind, config: ScanConfig) -> Self {
        Self(Conversation::new(kind, config.line))
    }

    /// Ends the search after the answer that is being waited for. The line is left clean: no meter
    /// stays selected, and the speed is the configured one.
    pub fn cancel(&mut self) {
        match &mut self.0.plan {
            Kind::Primary(primary) => primary.cancel(),
            Kind::Secondary(secondary) => secondary.cancel(),
            Kind::Speeds(speeds) => speeds.cancel(),
        }
    }
}

impl Plan for Kind {
    type Event = ScanEvent;

    fn next(&mut self, now: Instant) -> Option<Ask> {
        match self {
            Self::Primary(primary) => primary.next(now),
            Self::Secondary(secondary) => secondary.next(now),
            Self::Speeds(speeds) => speeds.next(now),
        }
    }

    fn heard(&mut self, heard: Heard, asked_at: Instant, now: Instant) {
        match self {
            Self::Primary(primary) => primary.heard(heard, asked_at, now),
            Self::Secondary(secondary) => secondary.heard(heard, asked_at, now),
            Self::Speeds(speeds) => speeds.heard(heard, asked_at, now),
        }
    }

    fn spoke_out_of_turn(&mut self) {
        if let Self::Secondary(secondary) = self {
            secondary.spoke_out_of_turn();
        }
    }

    fn poll_event(&mut self) -> Option<ScanEvent> {
        match self {
            Self::Primary(primary) => primary.poll_event(),
            Self::Secondary(secondary) => secondary.poll_event(),
            Self::Speeds(speeds) => speeds.poll_event(),
        }
    }
}

session_of_conversation!(Scan, ScanEvent);

/// What a telegram says of its sender. The header is plain also where the records are encrypted.
pub(super) fn identity_in(telegram: &[u8]) -> (Option<SecondaryAddress>, Address) {
    let Ok(Frame::Long { address, ci, payload, .. }) = Frame::parse_whole(telegram) else {
        return (None, Address::UNCONFIGURED);
    };
    let identity = match ci {
        CI_LONG_HEADER | CI_LONG_HEADER_MSB => {
            let header = Header::read(&mut Reader::new(payload), ci == CI_LONG_HEADER_MSB).ok();
            header.map(|header| SecondaryAddress::from(header.meter))
        }
        // The fixed structure has no manufacturer, and codes its medium otherwise than a selection does.
        _ => Telegram::parse(telegram).ok().and_then(|telegram| telegram.id()).map(SecondaryAddress::from_id),
    };
    (identity, address)
}

/// The fabrication number among a telegram's records.
pub(super) fn fabrication_in(telegram: &[u8]) -> Option<Identification> {
    let telegram = Telegram::parse(telegram).ok()?;
    let record = telegram.records().flatten().find(|record| [record.dib, record.vib].concat() == FABRICATION_RECORD)?;
    record.data.try_into().ok().map(u32::from_le_bytes).map(Identification)
}

/// The configured speeds, without those that no line has.
pub(super) fn usable(speeds: Vec<u32>) -> Vec<u32> {
    speeds.into_iter().filter(|speed| *speed > 0).collect()
}
