//! What two answers at once still tell.
//!
//! A slave sends a space by drawing more current, so the space of any slave wins. Slaves of one model
//! answer in the same instant; of their telegrams the bitwise AND arrives. Where its frame is whole
//! enough to be trusted, each slave's byte has at least the bits of the heard one.

use crate::header::Manufacturer;
use crate::secondary::SecondaryAddress;

const LONG_START: u8 = 0x68;
const CI_LONG_HEADER: u8 = 0x72;

/// The eight bytes of the identity, as they were heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overlay([u8; 8]);

impl Overlay {
    /// Finds the header in what came back. `sent`: what an echo repeats.
    pub(super) fn find(bytes: &[u8], sent: &[u8]) -> Option<Self> {
        let bytes = bytes.strip_prefix(sent).unwrap_or(bytes);
        let &[LONG_START, length, again, LONG_START, control, _, CI_LONG_HEADER, a, b, c, d, m, n, version, medium, ..] =
            bytes
        else {
            return None;
        };
        let response = control & 0xCF == 0x08;
        (length == again && response).then_some(Self([a, b, c, d, m, n, version, medium]))
    }

    /// Whether the digits heard are exactly those of `selection`: then the slaves spoke in step.
    pub(super) fn is_in_step(&self, selection: &SecondaryAddress) -> bool {
        selection.to_bytes().get(..4) == self.0.get(..4)
    }

    /// How many decimal digits a place (0 the last) may hold.
    pub(super) fn digits_possible(&self, place: u8) -> usize {
        let [a, b, c, d, ..] = self.0;
        let heard = u32::from_le_bytes([a, b, c, d]) >> (4 * u32::from(place)) & 0xF;
        (0..10u32).filter(|digit| digit & heard == heard).count()
    }

    pub(super) fn manufacturer(self) -> Manufacturer {
        let [_, _, _, _, m, n, ..] = self.0;
        Manufacturer(u16::from_le_bytes([m, n]))
    }

    /// `code` may have FF for any byte.
    pub(super) fn manufacturer_possible(&self, code: u16) -> bool {
        let heard = self.manufacturer().0;
        code & heard == heard
    }

    /// Whether meters with these identities, in step, are heard so. An identity that is not told whole explains
    /// anything.
    pub(super) fn is_explained_by<'a>(&self, identities: impl Iterator<Item = &'a SecondaryAddress>) -> bool {
        let [.., low, high, version, medium] = self.0;
        let mut together = [u8::MAX; 4];
        for identity in identities {
            if !identity.is_whole() {
                return true;
            }
            let [.., m, n, v, d] = identity.to_bytes();
            for (all, one) in together.iter_mut().zip([m, n, v, d]) {
                *all &= one;
            }
        }
        together == [low, high, version, medium]
    }

    pub(super) fn version_possible(&self, version: u8) -> bool {
        let [_, _, _, _, _, _, heard, _] = self.0;
        version & heard == heard
    }

    pub(super) fn medium_possible(&self, medium: u8) -> bool {
        let [_, _, _, _, _, _, _, heard] = self.0;
        medium & heard == heard
    }
}
