//! A profile's file as it is written: what `serde` reads, before anything is checked across keys.

use crate::words::{Code, Hex, ManufacturerCode, ObisCode, Ranges, Selector};
use plomb_mbus::Function;
use plomb_wmbus::Protection;
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) format: Spanned<u32>,
    pub(crate) name: Spanned<String>,
    pub(crate) version: Spanned<u32>,
    pub(crate) model: String,
    pub(crate) security: SecurityWord,
    #[serde(default)]
    pub(crate) bills: Vec<ObisCode>,
    #[serde(rename = "match")]
    pub(crate) matches: Spanned<Vec<MatchEntry>>,
    #[serde(default, rename = "record")]
    pub(crate) records: Vec<RecordEntry>,
    #[serde(default, rename = "block")]
    pub(crate) blocks: Vec<Spanned<BlockEntry>>,
    #[serde(default)]
    pub(crate) valve: Option<Spanned<ValveEntry>>,
    #[serde(default, rename = "test")]
    pub(crate) tests: Vec<Spanned<TestEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ValveEntry {
    pub(crate) source: Spanned<String>,
    pub(crate) open: Spanned<Hex>,
    pub(crate) close: Spanned<Hex>,
    #[serde(default)]
    pub(crate) state: Option<Spanned<ValveStateEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ValveStateEntry {
    pub(crate) vib: Hex,
    pub(crate) open: Vec<i64>,
    pub(crate) closed: Vec<i64>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SecurityWord {
    Plain,
    Encrypted,
    Authenticated,
}

/// The order of the link layer's address.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OrderWord {
    #[default]
    Standard,
    VersionMediumId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MatchEntry {
    pub(crate) manufacturer: ManufacturerCode,
    #[serde(default)]
    pub(crate) version: Vec<u8>,
    #[serde(default)]
    pub(crate) medium: Vec<u8>,
    #[serde(default)]
    pub(crate) ci: Vec<u8>,
    #[serde(default)]
    pub(crate) order: OrderWord,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordEntry {
    pub(crate) vib: Hex,
    #[serde(default)]
    pub(crate) storage: Selector,
    #[serde(default)]
    pub(crate) tariff: Selector,
    #[serde(default)]
    pub(crate) subunit: Selector,
    #[serde(default)]
    pub(crate) function: FunctionWord,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) read: Option<Spanned<Reading>>,
    #[serde(default)]
    pub(crate) obis: Option<ObisCode>,
    #[serde(default)]
    pub(crate) billing: bool,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FunctionWord {
    #[default]
    Instantaneous,
    Maximum,
    Minimum,
    Error,
    Any,
}

/// How a number or a date is made of bytes; see the crate's page for the keys.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reading {
    #[serde(default)]
    pub(crate) coding: CodingWord,
    #[serde(default)]
    pub(crate) bits: Option<Ranges>,
    #[serde(default)]
    pub(crate) digits: Option<(u8, u8)>,
    #[serde(default)]
    pub(crate) add: i64,
    #[serde(default)]
    pub(crate) pow2: bool,
    #[serde(default)]
    pub(crate) times: Option<i64>,
    #[serde(default)]
    pub(crate) exponent: i8,
    #[serde(default)]
    pub(crate) exponent_at: Option<ExponentAt>,
    #[serde(default)]
    pub(crate) divisor: Option<u32>,
    #[serde(default)]
    pub(crate) terms: Option<u8>,
    #[serde(default)]
    pub(crate) unit: String,
    #[serde(default)]
    pub(crate) absent: Vec<i64>,
    #[serde(default)]
    pub(crate) values: BTreeMap<Code, String>,
    #[serde(default)]
    pub(crate) flags: BTreeMap<Code, String>,
    #[serde(default)]
    pub(crate) after: Option<String>,
    #[serde(default)]
    pub(crate) plus: Vec<String>,
    #[serde(default)]
    pub(crate) minus: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExponentAt {
    pub(crate) offset: u8,
    pub(crate) bits: (u8, u8),
    #[serde(default)]
    pub(crate) add: i8,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CodingWord {
    #[default]
    Uint,
    UintBe,
    Int,
    Bcd,
    BcdBe,
    Real,
    DateG,
    DateTimeF,
    DateTimeI,
    DateDmy,
    DateDm,
    DateBcdDmy,
    DateBcdYmd,
    #[serde(rename = "seconds-2000")]
    Seconds2000,
    Text,
    TextReversed,
    Bytes,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BlockEntry {
    #[serde(rename = "in")]
    pub(crate) place: PlaceWord,
    #[serde(default)]
    pub(crate) ci: Vec<u8>,
    #[serde(default)]
    pub(crate) vib: Option<Hex>,
    #[serde(default)]
    pub(crate) version: Vec<u8>,
    #[serde(default)]
    pub(crate) when: Vec<Condition>,
    #[serde(default)]
    pub(crate) transform: TransformWord,
    #[serde(default)]
    pub(crate) start: usize,
    #[serde(default)]
    pub(crate) tags: BTreeMap<Hex, u8>,
    #[serde(rename = "field")]
    pub(crate) fields: Vec<Spanned<FieldEntry>>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PlaceWord {
    Payload,
    Tail,
    Record,
    Records,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TransformWord {
    #[default]
    None,
    Prios,
    ApatorNa1,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Condition {
    pub(crate) offset: usize,
    pub(crate) equals: Vec<u8>,
    #[serde(default)]
    pub(crate) mask: Option<u8>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FieldEntry {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) at: Option<u16>,
    #[serde(default)]
    pub(crate) bytes: Option<u16>,
    #[serde(default)]
    pub(crate) from: FromWord,
    #[serde(default)]
    pub(crate) tag: Option<Hex>,
    #[serde(default)]
    pub(crate) optional: bool,
    #[serde(default)]
    pub(crate) read: Reading,
    #[serde(default)]
    pub(crate) storage: u64,
    #[serde(default)]
    pub(crate) tariff: u32,
    #[serde(default)]
    pub(crate) function: FunctionWord,
    #[serde(default)]
    pub(crate) obis: Option<ObisCode>,
    #[serde(default)]
    pub(crate) billing: bool,
    #[serde(default)]
    pub(crate) repeat: Option<Repeat>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FromWord {
    #[default]
    Block,
    Address,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Repeat {
    pub(crate) count: u8,
    pub(crate) stride: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestEntry {
    pub(crate) telegram: Hex,
    #[serde(default)]
    pub(crate) key: Option<Hex>,
    pub(crate) expect: Vec<ExpectEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectEntry {
    pub(crate) name: String,
    pub(crate) value: String,
    #[serde(default)]
    pub(crate) unit: String,
    #[serde(default)]
    pub(crate) storage: u64,
    #[serde(default)]
    pub(crate) tariff: u32,
}

impl SecurityWord {
    pub(crate) const fn protection(self) -> Protection {
        match self {
            Self::Plain => Protection::Plain,
            Self::Encrypted => Protection::Encrypted,
            Self::Authenticated => Protection::Authenticated,
        }
    }
}

impl FunctionWord {
    /// `None` for any.
    pub(crate) const fn function(self) -> Option<Function> {
        match self {
            Self::Instantaneous => Some(Function::Instantaneous),
            Self::Maximum => Some(Function::Maximum),
            Self::Minimum => Some(Function::Minimum),
            Self::Error => Some(Function::Error),
            Self::Any => None,
        }
    }
}
