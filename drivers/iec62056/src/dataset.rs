//! Data sets: `address(value*unit)(value)…` (IEC 62056-21 §6.3.11, and the data lines of P1).

use crate::obis::obis_of;
use crate::timestamp::Timestamp;
use alloc::vec::Vec;
use plomb_session::{Decimal, Obis};
use thiserror::Error;

/// What stands in an electricity meter's codes where they leave out medium and channel.
const ELECTRICITY: [u8; 2] = [1, 0];

/// The data sets of a block, one after the other. An error costs its line only.
///
/// A line that begins with a parenthesis continues the set before it, as in P1 up to version 3.
/// `!` ends the block.
#[derive(Clone, Debug)]
pub struct DataSets<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// One address and what it has in parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataSet<'a> {
    /// Where it begins in the block.
    pub offset: usize,
    /// How many bytes it takes, up to its last parenthesis.
    pub length: usize,
    /// What stands before the first parenthesis; often an OBIS code, whole or in part.
    pub address: &'a str,
    groups: &'a str,
}

/// What stands in one pair of parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    /// What stands before `*`.
    pub value: &'a str,
    /// What stands behind it.
    pub unit: Option<&'a str>,
}

/// The groups of a data set.
#[derive(Clone, Debug)]
pub struct Groups<'a>(&'a str);

/// Why a line is not a data set. Offsets count from the block's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DataError {
    /// A line without parentheses.
    #[error("the line at {offset} has no value in parentheses")]
    NoValue {
        /// Where the line begins.
        offset: usize,
    },
    /// A parenthesis that is not closed on its line.
    #[error("the parenthesis at {offset} is not closed on its line")]
    Unclosed {
        /// Where it opens.
        offset: usize,
    },
    /// Bytes that are no text.
    #[error("byte {byte:02x} at {offset} is no ASCII character: a wrong parity setting, or disturbance")]
    NotText {
        /// Where.
        offset: usize,
        /// What was there.
        byte: u8,
    },
}

impl<'a> DataSets<'a> {
    /// The sets of a block: what stands between STX and ETX, or between a telegram's first line and
    /// its `!`.
    #[must_use]
    pub const fn new(block: &'a [u8]) -> Self {
        Self { bytes: block, at: 0 }
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn skip(&mut self, skipped: impl Fn(u8) -> bool) {
        let count = self.rest().iter().take_while(|byte| skipped(**byte)).count();
        self.at = self.at.saturating_add(count);
    }

    /// Steps over the rest of a line that is no data set.
    fn fail(&mut self, error: DataError) -> Option<Result<DataSet<'a>, DataError>> {
        self.skip(|byte| !is_end_of_line(byte));
        Some(Err(error))
    }

    fn text(&self, start: usize, end: usize) -> Result<&'a str, DataError> {
        let bytes = self.bytes.get(start..end).unwrap_or_default();
        match bytes.iter().position(|byte| !byte.is_ascii()) {
            Some(at) => {
                let byte = bytes.get(at).copied().unwrap_or_default();
                Err(DataError::NotText { offset: start.saturating_add(at), byte })
            }
            None => Ok(core::str::from_utf8(bytes).unwrap_or_default()),
        }
    }
}

impl<'a> Iterator for DataSets<'a> {
    type Item = Result<DataSet<'a>, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.skip(|byte| is_end_of_line(byte) || byte == b' ' || byte == 0);
        let offset = self.at;
        if self.rest().is_empty() || self.rest().first() == Some(&b'!') {
            return None;
        }
        self.skip(|byte| byte != b'(' && !is_end_of_line(byte));
        if self.rest().first() != Some(&b'(') {
            return self.fail(DataError::NoValue { offset });
        }
        let groups_at = self.at;
        let mut end = self.at;
        while self.rest().first() == Some(&b'(') {
            let opens = self.at;
            self.at = opens.saturating_add(1);
            self.skip(|byte| byte != b')' && byte != b'(' && !is_end_of_line(byte));
            if self.rest().first() != Some(&b')') {
                if end > groups_at {
                    // The groups before are whole; this one is told next.
                    break;
                }
                return self.fail(DataError::Unclosed { offset: opens });
            }
            self.at = self.at.saturating_add(1);
            end = self.at;
            self.skip(is_end_of_line);
        }
        // What stands between belongs to the next set.
        self.at = end;
        match (self.text(offset, groups_at), self.text(groups_at, end)) {
            (Ok(address), Ok(groups)) => {
                let length = end.saturating_sub(offset);
                Some(Ok(DataSet { offset, length, address: address.trim_end(), groups }))
            }
            (Err(error), _) | (_, Err(error)) => Some(Err(error)),
        }
    }
}

const fn is_end_of_line(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

impl<'a> DataSet<'a> {
    /// What it has in parentheses.
    #[must_use]
    pub const fn groups(&self) -> Groups<'a> {
        Groups(self.groups)
    }

    /// The address as an OBIS code; `None` for one that is none. What a short code leaves out is
    /// that of an electricity meter: `1.8.0` is `1-0:1.8.0*255`.
    #[must_use]
    pub fn obis(&self) -> Option<Obis> {
        obis_of(self.address, ELECTRICITY)
    }
}

impl<'a> Iterator for Groups<'a> {
    type Item = Group<'a>;

    fn next(&mut self) -> Option<Group<'a>> {
        let (_, rest) = self.0.split_once('(')?;
        let (inside, rest) = rest.split_once(')')?;
        self.0 = rest;
        Some(match inside.split_once('*') {
            Some((value, unit)) => Group { value, unit: Some(unit) },
            None => Group { value: inside, unit: None },
        })
    }
}

impl<'a> Group<'a> {
    /// The value as an exact decimal, with the meter's resolution; `None` when it is not a number.
    #[must_use]
    pub fn decimal(&self) -> Option<Decimal> {
        self.value.trim().parse().ok()
    }

    /// The value as a time of the meter's own clock.
    #[must_use]
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.value.parse().ok()
    }

    /// The value as bytes in hexadecimal digits, as P1 writes identifications and texts.
    #[must_use]
    pub fn octets(&self) -> Option<Vec<u8>> {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let pairs = self.value.as_bytes().chunks(2);
        pairs
            .map(|pair| <[u8; 2]>::try_from(pair).ok().and_then(|[high, low]| Some(digit(high)? << 4 | digit(low)?)))
            .collect()
    }

    /// The value as an OBIS code, as in the heads of logs.
    #[must_use]
    pub fn obis(&self) -> Option<Obis> {
        obis_of(self.value, ELECTRICITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};
    use alloc::vec;
    use proptest::prelude::*;

    type Written = (String, Vec<(String, Option<String>)>);

    fn read(block: &str) -> Vec<Written> {
        let sets = DataSets::new(block.as_bytes()).map(Result::unwrap);
        let group = |group: Group<'_>| (group.value.to_string(), group.unit.map(ToString::to_string));
        sets.map(|set| (set.address.to_string(), set.groups().map(group).collect())).collect()
    }

    #[test]
    fn sets_of_each_form() {
        let block = "0.0.0(1234)1.8.0(0001.5*kWh)\r\n1.6.1(0.25*kW)(2401151200)\r\n  F.F()\r\n!\r\n9.9(1)";
        let sets = read(block);
        assert_eq!(
            sets.iter().map(|(address, _)| &address[..]).collect::<Vec<_>>(),
            ["0.0.0", "1.8.0", "1.6.1", "F.F"]
        );
        assert_eq!(sets[1].1, [("0001.5".into(), Some("kWh".into()))]);
        assert_eq!(sets[2].1, [("0.25".into(), Some("kW".into())), ("2401151200".into(), None)]);
        assert_eq!(sets[3].1, [(String::new(), None)]);
    }

    #[test]
    fn a_line_that_begins_with_a_parenthesis_goes_on() {
        let sets = read("0-1:24.3.0(161107190000)(00)(m3)\r\n(00001.001)\r\n0-1:24.4.0(1)\r\n");
        assert_eq!((sets.len(), sets[0].1.len(), &sets[0].1[3].0[..]), (2, 4, "00001.001"));
    }

    #[test]
    fn an_error_costs_its_line_only() {
        let block = b"0.0.0(12\r\nnonsense\r\n1.8.0(1*k\xFFh)\r\n((\r\n1.8.0(7)\r\n";
        let sets: Vec<_> = DataSets::new(block).collect();
        assert_eq!(sets[0], Err(DataError::Unclosed { offset: 5 }));
        assert_eq!(sets[1], Err(DataError::NoValue { offset: 10 }));
        assert_eq!(sets[2], Err(DataError::NotText { offset: 29, byte: 0xFF }));
        assert_eq!(sets[3], Err(DataError::Unclosed { offset: 34 }));
        assert_eq!((sets[4].unwrap().address, sets.len()), ("1.8.0", 5));
    }

    #[test]
    fn values_are_exact() {
        let group = |value| Group { value, unit: None };
        assert_eq!(group("000123.40").decimal(), Some(Decimal::new(12340, -2)));
        assert_eq!(group("-0.5 ").decimal(), Some(Decimal::new(-5, -1)));
        assert_eq!(group("--").decimal(), None);
        assert_eq!(group("414C").octets(), Some(vec![0x41, 0x4C]));
        assert_eq!(group("414").octets(), None);
        assert_eq!(group("41G0").octets(), None);
    }

    proptest! {
        #[test]
        fn written_sets_read_back(sets in prop::collection::vec(("[0-9A-FCFLP.:*&-]{1,12}", prop::collection::vec(("[0-9A-Za-z.,; -]{0,20}", prop::option::of("[A-Za-z0-9]{1,5}")), 1..5)), 1..10)) {
            let mut block = String::new();
            for (address, groups) in &sets {
                block.push_str(address);
                for (value, unit) in groups {
                    let unit = unit.as_ref().map(|unit| alloc::format!("*{unit}")).unwrap_or_default();
                    block.push_str(&alloc::format!("({value}{unit})"));
                }
                block.push_str("\r\n");
            }
            prop_assert_eq!(read(&block), sets);
        }

        #[test]
        fn any_bytes_end(bytes: Vec<u8>) {
            for set in DataSets::new(&bytes).flatten() {
                prop_assert!(set.offset.saturating_add(set.length) <= bytes.len());
                set.groups().for_each(|group| drop((group.decimal(), group.octets(), group.timestamp(), group.obis())));
            }
        }
    }
}
