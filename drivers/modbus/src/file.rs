//! A map's file as it is written: what `serde` reads, before anything is checked across keys.

use std::collections::BTreeMap;

use plomb_session::{Decimal, Obis};
use serde::{Deserialize, Deserializer, de::Error};
use toml::Spanned;

use crate::{Kind, Table, WordOrder};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) format: Spanned<u32>,
    pub(crate) name: Spanned<String>,
    pub(crate) version: u32,
    pub(crate) model: String,
    pub(crate) table: Table,
    #[serde(default)]
    pub(crate) address_base: u16,
    #[serde(default)]
    pub(crate) order: WordOrder,
    #[serde(default)]
    pub(crate) max_gap: u16,
    pub(crate) max_block: Option<Spanned<u16>>,
    pub(crate) chain: Option<Spanned<ChainEntry>>,
    pub(crate) serial: Option<Spanned<SpanEntry>>,
    #[serde(default)]
    pub(crate) identity: Vec<Spanned<IdentityEntry>>,
    #[serde(rename = "register")]
    pub(crate) registers: Spanned<Vec<Spanned<RegisterEntry>>>,
    #[serde(default, rename = "test")]
    pub(crate) tests: Vec<Spanned<TestEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChainEntry {
    pub(crate) bases: Vec<u16>,
    pub(crate) models: Vec<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpanEntry {
    pub(crate) address: u32,
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    #[serde(default)]
    pub(crate) words: Option<u16>,
    #[serde(default)]
    pub(crate) table: Option<Table>,
    #[serde(default)]
    pub(crate) order: Option<WordOrder>,
    #[serde(default)]
    pub(crate) sunspec_model: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdentityEntry {
    pub(crate) address: u32,
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    #[serde(default)]
    pub(crate) words: Option<u16>,
    #[serde(default)]
    pub(crate) table: Option<Table>,
    #[serde(default)]
    pub(crate) order: Option<WordOrder>,
    #[serde(default)]
    pub(crate) sunspec_model: Option<u16>,
    #[serde(default)]
    pub(crate) expect: Vec<String>,
    #[serde(default)]
    pub(crate) min: Option<Exact>,
    #[serde(default)]
    pub(crate) max: Option<Exact>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterEntry {
    pub(crate) name: String,
    pub(crate) address: u32,
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    #[serde(default)]
    pub(crate) words: Option<u16>,
    #[serde(default)]
    pub(crate) table: Option<Table>,
    #[serde(default)]
    pub(crate) order: Option<WordOrder>,
    #[serde(default)]
    pub(crate) sunspec_model: Option<u16>,
    #[serde(default)]
    pub(crate) multiplier: Option<Exact>,
    #[serde(default)]
    pub(crate) scale_at: Option<u32>,
    #[serde(default)]
    pub(crate) absent: Vec<Bits>,
    #[serde(default)]
    pub(crate) unit: String,
    #[serde(default)]
    pub(crate) obis: Option<Code>,
    #[serde(default)]
    pub(crate) quantity: String,
    #[serde(default)]
    pub(crate) billing: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestEntry {
    #[serde(default)]
    pub(crate) input: BTreeMap<Address, Words>,
    #[serde(default)]
    pub(crate) holding: BTreeMap<Address, Words>,
    #[serde(default)]
    pub(crate) serial: Option<String>,
    pub(crate) expect: Vec<ExpectEntry>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectEntry {
    pub(crate) name: String,
    /// A number or a text as it is shown; nothing where the meter has no value.
    #[serde(default)]
    pub(crate) value: Option<String>,
}

/// A decimal, as text so that no float comes near it.
#[derive(Clone, Copy)]
pub(crate) struct Exact(pub(crate) Decimal);

/// An OBIS code.
#[derive(Clone, Copy)]
pub(crate) struct Code(pub(crate) Obis);

/// Bits of a register that mean "no value", in hexadecimal.
#[derive(Clone, Copy)]
pub(crate) struct Bits(pub(crate) u64);

/// An address as the key of a table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address(pub(crate) u32);

/// Registers, four hexadecimal digits each.
pub(crate) struct Words(pub(crate) Vec<u16>);

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let told = |_| D::Error::custom("an exact decimal is text, as \"0.001\"");
        String::deserialize(deserializer).map_err(told)?.parse().map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Bits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = |_| D::Error::custom("bits are up to 16 hexadecimal digits, as \"8000\"");
        u64::from_str_radix(&text, 16).map(Self).map_err(wrong)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let read = text.strip_prefix("0x").map_or_else(|| text.parse(), |hex| u32::from_str_radix(hex, 16));
        read.map(Self).map_err(|_| D::Error::custom("not an address: write it in decimal, or with 0x"))
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let word = |digits: &str| u16::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 4);
        let words: Option<Vec<u16>> = text.split_whitespace().map(word).collect();
        words.map(Self).ok_or_else(|| D::Error::custom("registers are four hexadecimal digits each, as \"0001 0002\""))
    }
}
