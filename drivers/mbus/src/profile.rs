//! Compact profiles (EN 13757-3:2018, annex F): a series of values in one record of variable length.
//!
//! ```text
//! spacing control (1)  spacing value (1)  element  element  …
//! ```

use crate::block::Vib;
use crate::coding::{Coding, Meant};
use crate::modifier::Modifier;
use crate::record::{DataField, Record};
use crate::value::Value;
use plomb_session::Reader;

/// A series of values at equal distances in time, as a record with VIFE 13, 1E or 1F holds it.
#[derive(Clone, Copy, Debug)]
pub struct Profile<'a> {
    /// VIFE 13: each value is older than the one before; else newer.
    pub inverse: bool,
    /// VIFE 1E: the series comes with registers.
    pub with_register: bool,
    /// Whether elements are values, or what was added from one to the next.
    pub increment: Increment,
    /// How far apart in time.
    pub spacing: Spacing,
    elements: &'a [u8],
    vib: &'a [u8],
    element: DataField,
}

/// What the elements of a profile are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Increment {
    /// Values.
    Absolute,
    /// Differences that are never negative.
    Positive,
    /// Differences that are never positive; sent without their sign.
    Negative,
    /// Differences of either sign.
    Signed,
}

/// The distance between two values of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spacing {
    /// Seconds.
    Seconds(u8),
    /// Minutes.
    Minutes(u8),
    /// Hours.
    Hours(u8),
    /// Days.
    Days(u8),
    /// Half a month.
    HalfMonth,
    /// A month.
    Month,
    /// Control and value byte of a spacing that no edition names.
    Unknown(u8, u8),
}

impl<'a> Record<'a> {
    /// The profile in a record that holds one, in mode 1 (least significant byte first).
    ///
    /// The record of the same storage number, quantity and function without the profile's VIFE is the
    /// base: the first element lies one spacing after it, or before it in an inverse profile.
    #[must_use]
    pub fn profile(&self) -> Option<Profile<'a>> {
        let kind = self.modifiers.into_iter().find(|modifier| {
            matches!(
                modifier,
                Modifier::InverseCompactProfile | Modifier::CompactProfile | Modifier::CompactProfileWithRegister
            )
        })?;
        let [control, value, elements @ ..] = self.data else { return None };
        let element = DataField::from_dif(*control);
        if self.field != DataField::Variable || element.bytes() == 0 {
            return None;
        }
        Some(Profile {
            inverse: kind == Modifier::InverseCompactProfile,
            with_register: kind == Modifier::CompactProfileWithRegister,
            increment: match control >> 6 {
                0 => Increment::Absolute,
                1 => Increment::Positive,
                2 => Increment::Negative,
                _ => Increment::Signed,
            },
            spacing: Spacing::read(*control, *value),
            elements,
            vib: self.vib,
            element,
        })
    }
}

impl<'a> Profile<'a> {
    /// The elements, nearest the base first, in the record's unit. Bytes too few for one are dropped.
    pub fn values(self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let (element, elements) = (self.element, self.elements);
        let vib = Vib::read(&mut Reader::new(self.vib), 0, false).ok();
        let coding = vib.map(|vib| Coding { field: element, length: 0, msb_first: false, meant: Meant::of(&vib) });
        elements
            .chunks_exact(element.bytes().max(1))
            .filter_map(move |element| coding.as_ref().map(|coding| coding.decode(element)))
    }
}

impl Spacing {
    const fn read(control: u8, value: u8) -> Self {
        match (control >> 4 & 0x03, value) {
            (0, 1..=250) => Self::Seconds(value),
            (1, 1..=250) => Self::Minutes(value),
            (2, 1..=250) => Self::Hours(value),
            (3, 1..=250) => Self::Days(value),
            (3, 253) => Self::HalfMonth,
            (3, 254) => Self::Month,
            _ => Self::Unknown(control, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telegram::Records;
    use alloc::string::ToString;
    use alloc::{vec, vec::Vec};
    use proptest::prelude::*;

    #[test]
    fn months_of_a_heat_cost_allocator_backwards() {
        let bytes = [0x8D, 0x04, 0xEE, 0x13, 0x0B, 0x3B, 0xFE, 0x27, 0x06, 0x00, 0x95, 0x03, 0x00, 0xFF, 0xFF, 0xFF];
        let record = Records::from_bytes(&bytes, 0).next().unwrap().unwrap();
        let profile = record.profile().unwrap();
        assert!(profile.inverse && !profile.with_register);
        assert_eq!((profile.increment, profile.spacing), (Increment::Absolute, Spacing::Month));
        let values: Vec<_> = profile.values().map(|value| value.number().map(|number| number.to_string())).collect();
        assert_eq!(values, [Some("627".to_string()), Some("395".to_string()), None]);
    }

    #[test]
    fn increments_keep_the_records_scale() {
        // Litres, quarter-hourly, sixteen bits each.
        let bytes = [0x0D, 0x93, 0x1F, 0x06, 0x52, 0x0F, 0x10, 0x00, 0x20, 0x00];
        let record = Records::from_bytes(&bytes, 0).next().unwrap().unwrap();
        let profile = record.profile().unwrap();
        assert_eq!((profile.increment, profile.spacing), (Increment::Positive, Spacing::Minutes(15)));
        let values: Vec<_> = profile.values().map(|value| value.to_string()).collect();
        assert_eq!(values, ["0.016", "0.032"]);
        let plain = [0x0D, 0x13, 0x02, 0x52, 0x0F];
        assert!(Records::from_bytes(&plain, 0).next().unwrap().unwrap().profile().is_none());
    }

    proptest! {
        #[test]
        fn any_profile_is_bounded(vife in prop::sample::select(vec![0x13u8, 0x1E, 0x1F]), data in proptest::collection::vec(any::<u8>(), 0..190)) {
            let mut bytes = [0x0D, 0x93, vife, u8::try_from(data.len()).unwrap()].to_vec();
            bytes.extend(&data);
            let record = Records::from_bytes(&bytes, 0).next().unwrap().unwrap();
            if let Some(profile) = record.profile() {
                prop_assert!(profile.values().count() < data.len());
            }
        }
    }
}
