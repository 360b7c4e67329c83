//! Where a branch of the tree forks, and whether its count fits.

use super::likely::{MEDIA, codes, halves, manufacturers};
use super::overlay::Overlay;
use crate::header::{Identification, Manufacturer, Medium};
use crate::secondary::SecondaryAddress;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Digits of an identification.
const DIGIT_COUNT: u8 = 8;
/// Which digit to fork at while nothing is known (0 the last): meters of one delivery differ at the
/// end, makers' number ranges at the beginning.
const DIGIT_ORDER: [u8; 8] = [0, 1, 7, 2, 6, 3, 5, 4];
const DECIMAL_DIGITS: [u16; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
/// F is the wildcard and cannot be asked for.
const HEX_DIGITS: [u16; 5] = [0xA, 0xB, 0xC, 0xD, 0xE];
const VERSION_MAX: u16 = 0xFE;
const MEDIUM_MAX: u16 = 0xFE;
/// Manufacturers' codes that are asked for one by one, where what was heard leaves no more. At 2400 baud
/// they cost some five minutes.
const CODE_COUNT_MAX: usize = 1200;
/// Silent questions of one branch that may be put again.
const SILENT_COUNT_MAX: usize = 512;

/// A part of the secondary address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A digit; 0 is the last.
    Digit(u8),
    Medium,
    /// Two bytes; FF stands for any, in each of them.
    Manufacturer,
    Version,
    /// A digit of the fabrication number; 0 is the last.
    Fabrication(u8),
}

/// Values of one part to try.
#[derive(Clone, Debug)]
struct Round {
    part: Part,
    values: VecDeque<u16>,
    /// Whether this tries again what was silent in this branch.
    again: bool,
}

/// A selection under which several meters answer, on its way to single ones.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) selection: SecondaryAddress,
    /// Meters that must be in it: two after a collision, one after an acknowledgement.
    pub(super) least: u32,
    /// Not asked itself: all its siblings are silent.
    pub(super) implied: bool,
    /// Meters in it that were told otherwise than as found.
    pub(super) told: u32,
    /// The identity heard of all its meters in step.
    heard: Option<Overlay>,
    /// Where its share of the whole begins, and how large it is.
    pub(super) begins: u64,
    pub(super) share: u64,
    rounds: VecDeque<Round>,
    /// Values of the first round, and those of them that were taken.
    first: u64,
    taken: u64,
    silent: Vec<(Part, u16)>,
    /// The silence that was doubted last.
    doubted: Option<(Part, u16)>,
    tried_again: bool,
}

/// How much of a branch is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// Meters in it so far, found or told otherwise.
    pub(super) known: u32,
    /// There must be more.
    pub(super) lacking: bool,
}

/// What to ask next in a branch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Twig {
    pub(super) selection: SecondaryAddress,
    pub(super) part: Part,
    pub(super) value: u16,
    /// The last of its round, all others silent, in a branch that must hold several.
    pub(super) implied: bool,
}

impl Branch {
    /// Forks `selection`. `found`: what is known of the line's meters.
    pub(super) fn new(
        selection: SecondaryAddress,
        least: u32,
        overlay: Option<Overlay>,
        found: &[SecondaryAddress],
        hex_digits: bool,
    ) -> Self {
        let place = best_digit(&selection, overlay, found);
        let heard = overlay.filter(|overlay| place.is_none() && overlay.is_in_step(&selection));
        let rounds = match place {
            Some(place) => digit_rounds(place, hex_digits),
            None => part_rounds(&selection, heard, found),
        };
        let first = rounds.front().map_or(0, |round| round.values.len());
        Self {
            selection,
            least,
            implied: false,
            told: 0,
            heard,
            begins: 0,
            share: 0,
            rounds,
            first: u64::try_from(first).unwrap_or(1).max(1),
            taken: 0,
            silent: Vec::new(),
            doubted: None,
            tried_again: false,
        }
    }

    /// How much is known of it, where the line's meters are those in `found`, and those in `shared` are
    /// identities of several meters each.
    pub(super) fn standing(&self, found: &[SecondaryAddress], shared: &[SecondaryAddress]) -> Standing {
        let within = |identity: &&SecondaryAddress| self.selection.includes(identity);
        let single = found.iter().filter(within).count();
        let known = self.told.saturating_add(u32::try_from(single).unwrap_or(u32::MAX));
        // What was told without its identity leaves its mark in what was heard, and nobody knows which.
        let several = shared.iter().filter(within).count();
        let named = usize::try_from(self.told).is_ok_and(|told| told <= 2 * several);
        let unexplained =
            self.heard.is_some_and(|heard| named && !heard.is_explained_by(found.iter().chain(shared).filter(within)));
        Standing { known, lacking: known < self.least || unexplained }
    }

    /// The next twig. The first round is tried to its end; the others only while fewer meters are
    /// known than there must be.
    pub(super) fn next(&mut self, standing: Standing) -> Option<Twig> {
        loop {
            let lacking = standing.lacking && !self.implied;
            let Some(round) = self.rounds.front_mut() else {
                if !lacking || self.tried_again || self.silent.is_empty() {
                    return None;
                }
                self.try_silent_again();
                continue;
            };
            let begun = self.taken > 0;
            if round.again && !lacking {
                return None;
            }
            let Some(value) = round.values.pop_front() else {
                self.rounds.pop_front();
                if !lacking {
                    self.rounds.clear();
                }
                continue;
            };
            let (part, last) = (round.part, round.values.is_empty() && self.rounds.len() > 1 && !self.tried_again);
            self.taken = self.taken.saturating_add(1);
            let implied = begun
                && last
                && self.least > 1
                && !self.implied
                && standing.known == 0
                && self.taken == self.first
                && matches!(part, Part::Digit(_));
            return Some(Twig { selection: with(self.selection, part, value), part, value, implied });
        }
    }

    pub(super) fn was_silent(&mut self, twig: &Twig) {
        if !self.tried_again && self.silent.len() < SILENT_COUNT_MAX {
            self.silent.push((twig.part, twig.value));
        }
    }

    /// An answer came out of turn: the twig that was silent last had perhaps only been slow. It is asked
    /// once more; when it is slow again, its selection is given.
    pub(super) fn doubt_silence(&mut self) -> Option<SecondaryAddress> {
        let &(part, value) = self.silent.last()?;
        if self.doubted == Some((part, value)) {
            self.told = self.told.saturating_add(1);
            self.doubted = None;
            self.silent.pop();
            return Some(with(self.selection, part, value));
        }
        if let Some(round) = self.rounds.front_mut()
            && round.part == part
        {
            self.doubted = Some((part, value));
            round.values.push_back(value);
        }
        None
    }

    /// Where the next twig's share of the whole begins, and how large it is.
    pub(super) const fn twig_share(&self) -> (u64, u64) {
        // What comes behind the first round was not foreseen and gets no share.
        if self.taken > self.first {
            return (self.ends(), 0);
        }
        let share = self.share / self.first;
        (self.begins + share * self.taken.saturating_sub(1), share)
    }

    pub(super) const fn ends(&self) -> u64 {
        self.begins + self.share
    }

    /// Silence may have been a lost answer.
    fn try_silent_again(&mut self) {
        self.tried_again = true;
        for (part, value) in core::mem::take(&mut self.silent) {
            match self.rounds.back_mut() {
                Some(round) if round.part == part => round.values.push_back(value),
                _ => self.rounds.push_back(Round { part, values: [value].into(), again: true }),
            }
        }
    }
}

/// The digit at which to fork; `None` when all are given.
fn best_digit(selection: &SecondaryAddress, overlay: Option<Overlay>, found: &[SecondaryAddress]) -> Option<u8> {
    let wild = |place: &u8| selection.id.0 >> (4 * u32::from(*place)) & 0xF == 0xF;
    let rank = |place: u8| DIGIT_ORDER.iter().position(|other| *other == place).unwrap_or(0);
    (0..DIGIT_COUNT).filter(wild).max_by_key(|place| {
        // What two answers in step rule out counts for more than what other branches suggest.
        let heard = overlay.map_or(10, |overlay| overlay.digits_possible(*place));
        (heard > 1, distinct_digits(*place, found), heard, usize::from(DIGIT_COUNT) - rank(*place))
    })
}

/// How many digits the meters found so far have at `place`; 0 while that says nothing.
fn distinct_digits(place: u8, found: &[SecondaryAddress]) -> u32 {
    if found.len() < 2 {
        return 0;
    }
    let seen = found.iter().fold(0u16, |seen, meter| seen | 1 << (meter.id.0 >> (4 * u32::from(place)) & 0xF));
    seen.count_ones()
}

fn digit_rounds(place: u8, hex_digits: bool) -> VecDeque<Round> {
    let round = |values: Vec<u16>| Round { part: Part::Digit(place), values: values.into(), again: false };
    if hex_digits {
        return [round(DECIMAL_DIGITS.into_iter().chain(HEX_DIGITS).collect())].into();
    }
    [round(DECIMAL_DIGITS.to_vec()), round(HEX_DIGITS.to_vec())].into()
}

/// What to try where all digits are given: first what two answers in step leave possible, the
/// shortest list first; then everything else.
fn part_rounds(selection: &SecondaryAddress, heard: Option<Overlay>, found: &[SecondaryAddress]) -> VecDeque<Round> {
    let mut possible = Vec::new();
    let mut others = Vec::new();
    for (part, values) in open_parts(selection, heard, found) {
        let (fits, unfits): (VecDeque<u16>, VecDeque<u16>) =
            values.into_iter().partition(|value| heard.is_none_or(|heard| may_be(heard, part, *value)));
        possible.push(Round { part, values: fits, again: false });
        others.push(Round { part, values: unfits, again: false });
    }
    possible.sort_by_key(|round| round.values.len());
    let last = code_round(selection, heard, found).into_iter().chain(fabrication_round(selection));
    possible.into_iter().chain(others).chain(last).filter(|round| !round.values.is_empty()).collect()
}

/// Every manufacturer's code that what was heard leaves possible, unless they are too many: some meters know only
/// the wildcard of both bytes.
fn code_round(selection: &SecondaryAddress, heard: Option<Overlay>, found: &[SecondaryAddress]) -> Option<Round> {
    let heard = heard.filter(|_| selection.manufacturer.is_none())?;
    let likely = likely_manufacturers(Some(heard), found);
    let left = |code: &u16| heard.manufacturer_possible(*code) && !likely.contains(code);
    let values: VecDeque<u16> = codes().filter(left).collect();
    (values.len() <= CODE_COUNT_MAX).then_some(Round { part: Part::Manufacturer, values, again: false })
}

/// The first digit of the fabrication number that is not given. It is the last resort: many meters do
/// not know the extended selection.
fn fabrication_round(selection: &SecondaryAddress) -> Option<Round> {
    let given = selection.fabrication.map_or(u32::MAX, |fabrication| fabrication.0);
    let wild = |place: &u8| given >> (4 * u32::from(*place)) & 0xF == 0xF;
    let place = (0..DIGIT_COUNT).find(wild)?;
    Some(Round { part: Part::Fabrication(place), values: DECIMAL_DIGITS.into(), again: false })
}

fn may_be(overlay: Overlay, part: Part, value: u16) -> bool {
    let byte = u8::try_from(value).unwrap_or(u8::MAX);
    match part {
        Part::Digit(_) | Part::Fabrication(_) => true,
        Part::Medium => overlay.medium_possible(byte),
        Part::Manufacturer => overlay.manufacturer_possible(value),
        Part::Version => overlay.version_possible(byte),
    }
}

/// The parts that are not given, each with the values to try: what the line's meters have, first.
///
/// Where nothing was heard clearly, nothing tells whether all manufacturers were among the likely ones. So all the
/// codes' lower bytes follow those.
fn open_parts(
    selection: &SecondaryAddress,
    heard: Option<Overlay>,
    found: &[SecondaryAddress],
) -> Vec<(Part, Vec<u16>)> {
    let mut parts = Vec::new();
    if selection.medium.is_none() {
        let seen = found.iter().filter_map(|meter| meter.medium.map(|medium| u16::from(medium.0)));
        parts.push((Part::Medium, without_repeats(seen.chain(MEDIA.map(u16::from)).chain(0..=MEDIUM_MAX))));
    }
    match selection.manufacturer {
        None if heard.is_some() => {
            parts.push((Part::Manufacturer, likely_manufacturers(heard, found)));
            parts.push((Part::Manufacturer, halves().collect()));
        }
        None => {
            let likely = likely_manufacturers(None, found);
            parts.push((Part::Manufacturer, likely.into_iter().chain(halves()).collect()));
        }
        Some(given) if given.has_wild_byte() => {
            let fitting = codes().filter(|code| given.includes(Manufacturer(*code)));
            parts.push((Part::Manufacturer, fitting.collect()));
        }
        Some(_) => {}
    }
    if selection.version.is_none() {
        let seen = found.iter().filter_map(|meter| meter.version.map(u16::from));
        parts.push((Part::Version, without_repeats(seen.chain(0..=VERSION_MAX))));
    }
    parts
}

/// Meters with one identity are heard as one of them.
fn likely_manufacturers(heard: Option<Overlay>, found: &[SecondaryAddress]) -> Vec<u16> {
    let alone = heard.map(Overlay::manufacturer).filter(|code| code.letters().is_some());
    let seen = found.iter().filter_map(|meter| meter.manufacturer);
    without_repeats(alone.into_iter().chain(seen).map(|code| code.0).chain(manufacturers()))
}

fn without_repeats(values: impl Iterator<Item = u16>) -> Vec<u16> {
    let mut kept: Vec<u16> = Vec::new();
    for value in values {
        if !kept.contains(&value) {
            kept.push(value);
        }
    }
    kept
}

fn with(selection: SecondaryAddress, part: Part, value: u16) -> SecondaryAddress {
    let byte = u8::try_from(value).unwrap_or(u8::MAX);
    match part {
        Part::Digit(place) => SecondaryAddress { id: with_digit(selection.id, place, value), ..selection },
        Part::Fabrication(place) => {
            let number = selection.fabrication.unwrap_or(Identification(u32::MAX));
            SecondaryAddress { fabrication: Some(with_digit(number, place, value)), ..selection }
        }
        Part::Medium => SecondaryAddress { medium: Some(Medium(byte)), ..selection },
        Part::Manufacturer => SecondaryAddress { manufacturer: Some(Manufacturer(value)), ..selection },
        Part::Version => SecondaryAddress { version: Some(byte), ..selection },
    }
}

fn with_digit(number: Identification, place: u8, value: u16) -> Identification {
    let shift = 4 * u32::from(place);
    Identification(number.0 & !(0xF << shift) | u32::from(value & 0xF) << shift)
}
