//! A meter model: its profile, compiled.

use crate::compile;
use crate::error::{ProfileError, Source};
use crate::file::{Condition, FromWord, PlaceWord, TransformWord};
use crate::reading::Reading;
use crate::valve::Valve;
use crate::words::Selector;
use plomb_mbus::{Function, Identification, Manufacturer, Medium, MeterId, Record};
use plomb_session::Obis;
use plomb_wmbus::Protection;

/// The longest text of a profile, in bytes.
pub const PROFILE_BYTES_MAX: usize = 256 * 1024;
/// The most pairs of version and medium that the matches of one profile name together.
pub const MODEL_COUNT_MAX: usize = 4096;
/// The most rules for records of one profile.
pub const RULE_COUNT_MAX: usize = 256;
/// The most fields of one block.
pub const FIELD_COUNT_MAX: usize = 128;

/// One meter model, ready for use. Cheap to apply: nothing is parsed and nothing is looked up by name.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The profile's name: lower-case letters, digits and hyphens.
    pub name: String,
    /// The profile's version. It grows whenever a value gets another name, unit or meaning.
    pub version: u32,
    /// The model's name, for people.
    pub model: String,
    /// How the model's telegrams are expected to be protected.
    pub security: Protection,
    /// Which meters are of this model.
    pub matches: Vec<Match>,
    pub(crate) bills: Vec<Obis>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) samples: Vec<Sample>,
    /// The valve that the model has, and how it is moved over a wire.
    pub valve: Option<Valve>,
}

/// Which meters are of a model. An empty list stands for any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// The manufacturer.
    pub manufacturer: Manufacturer,
    /// The versions.
    pub versions: Vec<u8>,
    /// The media.
    pub media: Vec<Medium>,
    /// The CIs of payloads in the maker's own coding; a match that names some is of no other telegram.
    pub cis: Vec<u8>,
    /// The meter sends version and medium in front of its identification.
    pub swapped: bool,
}

/// A name for records.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) vib: Vec<u8>,
    pub(crate) storage: Selector,
    pub(crate) tariff: Selector,
    pub(crate) subunit: Selector,
    pub(crate) function: Option<Function>,
    pub(crate) name: String,
    /// `None` takes the record's own value and unit.
    pub(crate) reading: Option<Reading>,
    pub(crate) obis: Option<Obis>,
    pub(crate) billing: bool,
}

/// Bytes in the maker's own coding.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) place: PlaceWord,
    pub(crate) cis: Vec<u8>,
    pub(crate) vib: Vec<u8>,
    pub(crate) versions: Vec<u8>,
    pub(crate) when: Vec<Condition>,
    pub(crate) transform: TransformWord,
    pub(crate) start: usize,
    /// Bytes behind each tag; empty for a block of fixed places.
    pub(crate) tags: Vec<(u8, usize)>,
    pub(crate) fields: Vec<Field>,
}

/// One value of a block.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) from: FromWord,
    pub(crate) tag: Option<u8>,
    pub(crate) at: usize,
    pub(crate) bytes: usize,
    pub(crate) optional: bool,
    pub(crate) reading: Reading,
    pub(crate) storage: u64,
    pub(crate) tariff: u32,
    pub(crate) function: Function,
    pub(crate) obis: Option<Obis>,
    pub(crate) billing: bool,
    pub(crate) count: u8,
    pub(crate) stride: usize,
}

/// A telegram of the profile's own, and what must come of it.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) line: usize,
    pub(crate) telegram: Vec<u8>,
    pub(crate) key: Option<[u8; 16]>,
    pub(crate) expect: Vec<Expected>,
}

#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) unit: String,
    pub(crate) storage: u64,
    pub(crate) tariff: u32,
}

impl Profile {
    /// Whether a meter is of this model.
    #[must_use]
    pub fn is_of(&self, meter: MeterId) -> bool {
        self.matches.iter().any(|of| of.takes(meter) || of.takes(swapped(meter)))
    }

    /// Reads a profile. `file` is named in errors, and nothing is opened.
    ///
    /// # Errors
    /// [`ProfileError`], with line and column.
    pub fn parse(file: &str, text: &str) -> Result<Self, ProfileError> {
        compile::profile(Source { file, text })
    }

    /// Whether what should be records is the maker's own layout: a block of the profile reads it all, and what
    /// the standard makes of the bytes means nothing.
    #[must_use]
    pub fn replaces_records(&self, version: u8, bytes: &[u8]) -> bool {
        self.blocks.iter().any(|block| block.place == PlaceWord::Records && block.fits(version, bytes))
    }

    /// Whether bills are made from this record: the profile lists its OBIS code, or a rule of the profile
    /// that names it says so.
    #[must_use]
    pub fn bills(&self, record: &Record<'_>, medium: Medium) -> bool {
        let listed = || record.obis(medium).is_some_and(|code| self.bills.contains(&code));
        self.rules.iter().any(|rule| rule.billing && rule.takes(record)) || listed()
    }

    /// Whether the profile reads a manufacturer's payload of this CI.
    #[must_use]
    pub fn reads_payload(&self, ci: u8) -> bool {
        self.blocks.iter().any(|block| block.takes_payload(ci))
    }
}

impl Match {
    /// Whether version and medium of `meter`, its address put right, are of this match.
    pub(crate) fn takes(&self, meter: MeterId) -> bool {
        let meter = if self.swapped { swapped(meter) } else { meter };
        self.manufacturer == meter.manufacturer
            && (self.versions.is_empty() || self.versions.contains(&meter.version))
            && (self.media.is_empty() || self.media.contains(&meter.medium))
    }

    pub(crate) fn takes_ci(&self, ci: Option<u8>) -> bool {
        self.cis.is_empty() || ci.is_some_and(|ci| self.cis.contains(&ci))
    }
}

/// The meter whose address came as version, medium, identification and was read in the standard's order.
pub(crate) const fn swapped(meter: MeterId) -> MeterId {
    let [version, medium, a, b] = meter.id.0.to_le_bytes();
    MeterId {
        id: Identification(u32::from_le_bytes([a, b, meter.version, meter.medium.0])),
        manufacturer: meter.manufacturer,
        version,
        medium: Medium(medium),
    }
}

impl Rule {
    pub(crate) fn takes(&self, record: &Record<'_>) -> bool {
        record.vib == self.vib
            && self.storage.takes(record.storage)
            && self.tariff.takes(record.tariff.into())
            && self.subunit.takes(record.subunit.into())
            && self.function.is_none_or(|function| function == record.function)
    }
}

impl Block {
    pub(crate) fn takes_payload(&self, ci: u8) -> bool {
        self.place == PlaceWord::Payload && (self.cis.is_empty() || self.cis.contains(&ci))
    }

    pub(crate) fn takes_record(&self, record: &Record<'_>) -> bool {
        match self.place {
            PlaceWord::Payload | PlaceWord::Records => false,
            PlaceWord::Record => record.vib == self.vib,
            PlaceWord::Tail => {
                matches!(record.function, Function::ManufacturerSpecific | Function::MoreRecordsFollow)
            }
        }
    }

    /// Whether version and conditions fit.
    pub(crate) fn fits(&self, version: u8, bytes: &[u8]) -> bool {
        let holds = |condition: &Condition| {
            let byte = bytes.get(condition.offset).map(|byte| byte & condition.mask.unwrap_or(0xFF));
            byte.is_some_and(|byte| condition.equals.contains(&byte))
        };
        (self.versions.is_empty() || self.versions.contains(&version)) && self.when.iter().all(holds)
    }
}
