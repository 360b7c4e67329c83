//! Words of a profile's file that have a form of their own: hexadecimal, codes, selections.

use plomb_mbus::Manufacturer;
use plomb_session::Obis;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// Bytes, written as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hex(pub(crate) Vec<u8>);

/// Three letters, or four hexadecimal digits of a code that names none.
pub(crate) struct ManufacturerCode(pub(crate) Manufacturer);

/// An OBIS code.
#[derive(Clone, Copy)]
pub(crate) struct ObisCode(pub(crate) Obis);

/// A number as the key of a table: `0` or `-1`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Code(pub(crate) i64);

/// A number, or `"any"`. Left out it is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selector {
    One(u64),
    Any,
}

/// Runs of bits, lowest first: `[first, count]` or a list of such.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ranges(pub(crate) Vec<(u8, u8)>);

impl Default for Selector {
    fn default() -> Self {
        Self::One(0)
    }
}

impl Selector {
    pub(crate) const fn takes(self, number: u64) -> bool {
        match self {
            Self::One(one) => one == number,
            Self::Any => true,
        }
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits: Option<Vec<u8>> = text
            .chars()
            .filter(|c| !c.is_whitespace())
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let digits = digits.unwrap_or_default();
        match digits.as_chunks::<2>() {
            (pairs @ [_, ..], []) => Ok(Self(pairs.iter().map(|[high, low]| high << 4 | low).collect())),
            _ => Err(D::Error::custom("not hexadecimal: write an even number of digits")),
        }
    }
}

impl<'de> Deserialize<'de> for ManufacturerCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let letters = <[u8; 3]>::try_from(text.as_bytes()).ok().and_then(Manufacturer::from_letters);
        let code = || (text.len() == 4).then(|| u16::from_str_radix(&text, 16).ok().map(Manufacturer)).flatten();
        letters.or_else(code).map(Self).ok_or_else(|| {
            D::Error::custom("not a manufacturer: write three capital letters, or the four hexadecimal digits")
        })
    }
}

impl<'de> Deserialize<'de> for ObisCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| D::Error::custom("not a code: write a whole number before the ="))
    }
}

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Selector;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or \"any\"")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Selector, E> {
                u64::try_from(number).map(Selector::One).map_err(|_| E::custom("a number from 0 on, or \"any\""))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Selector, E> {
                if text == "any" { Ok(Selector::Any) } else { Err(E::custom("a number, or \"any\"")) }
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for Ranges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            One((u8, u8)),
            More(Vec<(u8, u8)>),
        }
        let ranges = match Written::deserialize(deserializer) {
            Ok(Written::One(range)) => vec![range],
            Ok(Written::More(ranges)) => ranges,
            Err(_) => return Err(D::Error::custom("not bits: write [first, count], or a list of such")),
        };
        let count: u32 = ranges.iter().map(|(_, count)| u32::from(*count)).sum();
        if ranges.iter().any(|(first, count)| *count == 0 || u32::from(*first) + u32::from(*count) > 64) || count > 63 {
            return Err(D::Error::custom("bits outside 0 to 63, or more than 63 of them"));
        }
        Ok(Self(ranges))
    }
}
