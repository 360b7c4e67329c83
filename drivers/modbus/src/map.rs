//! A model's registers.

use plomb_session::{Decimal, Obis};
use serde::Deserialize;
use toml::Spanned;

use crate::{
    Kind, MapError,
    error::Source,
    file::{ExpectEntry, File, IdentityEntry, RegisterEntry, SpanEntry, TestEntry},
    plan::BLOCK_WORDS_MAX,
};

/// The longest file of a map, in bytes.
pub const MAP_BYTES_MAX: usize = 128 * 1024;
/// The most registers of a map that are values.
pub const REGISTERS_MAX: usize = 200;
/// The longest name of a map, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// The longest text, in registers.
pub const STRING_WORDS_MAX: u16 = 40;
/// The most registers of a BCD number: sixteen digits.
const BCD_WORDS_MAX: u16 = 4;
/// The format of files that this version reads.
const FORMAT: u32 = 1;

/// One of the two tables that hold registers of 16 bits (Modbus Application Protocol V1.1b3 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Table {
    /// Input registers, function 04.
    Input,
    /// Holding registers, function 03.
    Holding,
}

/// The order in which the bytes of a number arrive; A is the most significant.
///
/// For 64 bits the orders mean the same of each: registers ascending or descending, and the bytes of each
/// register as they are or swapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum WordOrder {
    /// Most significant register first: the usual one.
    #[default]
    Abcd,
    /// Least significant register first.
    Cdab,
    /// Most significant register first, bytes swapped in each.
    Badc,
    /// Least significant register first, bytes swapped in each.
    Dcba,
}

impl WordOrder {
    /// The bytes of registers, most significant first.
    #[must_use]
    pub fn bytes(self, words: &[u16]) -> Vec<u8> {
        let of = |word: &u16| match self {
            Self::Abcd | Self::Cdab => word.to_be_bytes(),
            Self::Badc | Self::Dcba => word.to_le_bytes(),
        };
        match self {
            Self::Abcd | Self::Badc => words.iter().flat_map(of).collect(),
            Self::Cdab | Self::Dcba => words.iter().rev().flat_map(of).collect(),
        }
    }
}

/// Where a value lies, and its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The table.
    pub table: Table,
    /// The first register, from 0 as on the wire; of a map with a chain, from its model's first register.
    pub address: u16,
    /// The registers that it takes.
    pub words: u16,
    /// The form.
    pub kind: Kind,
    /// The order of bytes.
    pub order: WordOrder,
    /// The SunSpec model that it is in.
    pub sunspec_model: Option<u16>,
}

/// A register that is a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// What the maker calls it.
    pub name: String,
    /// Where it is.
    pub span: Span,
    /// What the number is multiplied by, exactly.
    pub multiplier: Decimal,
    /// The register with a power of ten (SunSpec), in the same table.
    pub scale_at: Option<u16>,
    /// Bits that mean "no value", most significant first.
    pub absent: Vec<u64>,
    /// The unit, UTF-8; empty for none.
    pub unit: String,
    /// Its OBIS code.
    pub obis: Option<Obis>,
    /// The quantity, in one or two words.
    pub quantity: String,
    /// Whether it is billed on.
    pub billing: bool,
}

/// What tells a model from others: a register, and what it must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Where it is.
    pub span: Span,
    /// The values that it may have; any within the limits where this is empty.
    pub expect: Vec<String>,
    /// The lowest number.
    pub min: Option<Decimal>,
    /// The highest number.
    pub max: Option<Decimal>,
}

/// A SunSpec device: its models lie one after the other, at addresses that differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Where the marker `SunS` may be, in the order that they are tried.
    pub bases: Vec<u16>,
    /// The models that the map reads.
    pub models: Vec<u16>,
}

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// All of the map.
    #[default]
    All,
    /// Only these codes.
    Obis(Vec<Obis>),
}

impl Wanted {
    /// Whether a register is one of them.
    #[must_use]
    pub fn takes(&self, register: &Register) -> bool {
        match self {
            Self::All => true,
            Self::Obis(codes) => register.obis.is_some_and(|obis| codes.contains(&obis)),
        }
    }
}

/// A model's registers, and how they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterMap {
    /// Its name, as the configuration has it.
    pub name: String,
    /// The version of the map.
    pub version: u32,
    /// The model, for people.
    pub model: String,
    /// Unknown registers that may be read through.
    pub max_gap: u16,
    /// The most registers of a question.
    pub max_block: u16,
    /// Where models lie, if that has to be found out.
    pub chain: Option<Chain>,
    /// The number on the meter.
    pub serial: Option<Span>,
    /// What tells the model from others.
    pub identity: Vec<Identity>,
    /// The values.
    pub registers: Vec<Register>,
    pub(crate) samples: Vec<Sample>,
}

/// Registers as read, and what they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) line: usize,
    pub(crate) runs: Vec<(Table, u16, Vec<u16>)>,
    pub(crate) serial: Option<String>,
    pub(crate) expect: Vec<ExpectEntry>,
}

impl RegisterMap {
    /// Reads a map's file; `file` is its name, for errors.
    ///
    /// # Errors
    /// [`MapError`], with file, line and what would be right.
    pub fn parse(file: &str, text: &str) -> Result<Self, MapError> {
        let source = Source { file, text };
        if text.len() > MAP_BYTES_MAX {
            return Err(source.wrong(0, format!("the file has more than {MAP_BYTES_MAX} bytes")));
        }
        let read: File = toml::from_str(text).map_err(|error| source.explain(&error))?;
        Compiler { source, file: &read }.map()
    }

    /// The registers that are wanted.
    pub fn wanted<'a>(&'a self, wanted: &'a Wanted) -> impl Iterator<Item = &'a Register> {
        self.registers.iter().filter(|register| wanted.takes(register))
    }

    /// All that lies somewhere, to be moved there.
    pub(crate) fn spans_mut(&mut self) -> impl Iterator<Item = (&mut Span, Option<&mut u16>)> {
        let registers = self.registers.iter_mut().map(|register| (&mut register.span, register.scale_at.as_mut()));
        let others = self.serial.iter_mut().chain(self.identity.iter_mut().map(|identity| &mut identity.span));
        registers.chain(others.map(|span| (span, None)))
    }
}

/// Checks a file across its keys.
struct Compiler<'a> {
    source: Source<'a>,
    file: &'a File,
}

impl Compiler<'_> {
    fn map(&self) -> Result<RegisterMap, MapError> {
        let file = self.file;
        if *file.format.get_ref() != FORMAT {
            return Err(self.wrong(&file.format, format!("this version reads format = {FORMAT}")));
        }
        let name = file.name.get_ref();
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(fits) {
            let what = format!("a name is 1 to {NAME_BYTES_MAX} small letters, digits and hyphens");
            return Err(self.wrong(&file.name, what));
        }
        let max_block = file.max_block.as_ref().map_or(BLOCK_WORDS_MAX, |given| *given.get_ref());
        if !(1..=BLOCK_WORDS_MAX).contains(&max_block) {
            let at = file.max_block.as_ref().map_or(0, |given| given.span().start);
            return Err(self.source.wrong(at, format!("max_block is 1 to {BLOCK_WORDS_MAX} registers")));
        }
        if !(1..=REGISTERS_MAX).contains(&file.registers.get_ref().len()) {
            return Err(self.wrong(&file.registers, format!("a map has 1 to {REGISTERS_MAX} registers")));
        }
        let map = RegisterMap {
            name: name.clone(),
            version: file.version,
            model: file.model.clone(),
            max_gap: file.max_gap,
            max_block,
            chain: self.chain()?,
            serial: file.serial.as_ref().map(|entry| self.span(entry, entry.get_ref())).transpose()?,
            identity: file.identity.iter().map(|entry| self.identity(entry)).collect::<Result<_, _>>()?,
            registers: file.registers.get_ref().iter().map(|entry| self.register(entry)).collect::<Result<_, _>>()?,
            samples: file.tests.iter().map(|entry| self.sample(entry)).collect::<Result<_, _>>()?,
        };
        let spans = map.registers.iter().map(|register| (&register.span, register.scale_at));
        let too_long = spans.zip(file.registers.get_ref()).find(|((span, _), _)| span.words > max_block);
        match too_long {
            Some((_, entry)) => Err(self.wrong(entry, format!("the register is longer than max_block, {max_block}"))),
            None => Ok(map),
        }
    }

    fn wrong<T>(&self, at: &Spanned<T>, what: impl Into<String>) -> MapError {
        self.source.wrong(at.span().start, what)
    }

    fn chain(&self) -> Result<Option<Chain>, MapError> {
        let Some(entry) = &self.file.chain else { return Ok(None) };
        let chain = entry.get_ref();
        if chain.bases.is_empty() || chain.models.is_empty() {
            return Err(self.wrong(entry, "a chain has bases, as [40000, 50000, 0], and models, as [203]"));
        }
        Ok(Some(Chain { bases: chain.bases.clone(), models: chain.models.clone() }))
    }

    fn address<T>(&self, at: &Spanned<T>, written: u32) -> Result<u16, MapError> {
        let base = u32::from(self.file.address_base);
        let address = written.checked_sub(base).and_then(|address| u16::try_from(address).ok());
        address.ok_or_else(|| self.wrong(at, format!("an address is {base} to {}", base + 0xFFFF)))
    }

    fn span<T>(&self, at: &Spanned<T>, entry: &SpanEntry) -> Result<Span, MapError> {
        let longest = if entry.kind == Kind::String { STRING_WORDS_MAX } else { BCD_WORDS_MAX };
        let words = match (entry.kind.words(), entry.words) {
            (Some(words), None) => words,
            (Some(words), Some(given)) if words == given => words,
            (Some(words), Some(_)) => return Err(self.wrong(at, format!("this type has {words} registers"))),
            (None, Some(words)) if (1..=longest).contains(&words) => words,
            (None, _) => return Err(self.wrong(at, format!("this type needs `words`, 1 to {longest}"))),
        };
        let address = self.address(at, entry.address)?;
        if address.checked_add(words - 1).is_none() {
            return Err(self.wrong(at, "the register ends beyond the last address, 65535"));
        }
        let chain = self.file.chain.as_ref().map(|chain| &chain.get_ref().models);
        let sunspec_model = match (chain, entry.sunspec_model) {
            (None, None) => None,
            (None, Some(_)) => return Err(self.wrong(at, "`sunspec_model` is for maps with a [chain]")),
            (Some(models), given) => given.or_else(|| models.first().copied()),
        };
        Ok(Span {
            table: entry.table.unwrap_or(self.file.table),
            address,
            words,
            kind: entry.kind,
            order: entry.order.unwrap_or(self.file.order),
            sunspec_model,
        })
    }

    fn identity(&self, at: &Spanned<IdentityEntry>) -> Result<Identity, MapError> {
        let entry = at.get_ref();
        if entry.expect.is_empty() && (entry.min.is_none() || entry.max.is_none()) {
            return Err(self.wrong(at, "an identity has `expect`, as [\"340\"], or `min` and `max`"));
        }
        let span = SpanEntry {
            address: entry.address,
            kind: entry.kind,
            words: entry.words,
            table: entry.table,
            order: entry.order,
            sunspec_model: entry.sunspec_model,
        };
        Ok(Identity {
            span: self.span(at, &span)?,
            expect: entry.expect.clone(),
            min: entry.min.map(|exact| exact.0),
            max: entry.max.map(|exact| exact.0),
        })
    }

    fn register(&self, at: &Spanned<RegisterEntry>) -> Result<Register, MapError> {
        let entry = at.get_ref();
        if !(1..=NAME_BYTES_MAX).contains(&entry.name.len()) {
            return Err(self.wrong(at, format!("a register's name has 1 to {NAME_BYTES_MAX} bytes")));
        }
        if entry.billing && (entry.obis.is_none() || entry.kind == Kind::String) {
            return Err(self.wrong(at, "what is billed on is a number with an `obis` code"));
        }
        let span = SpanEntry {
            address: entry.address,
            kind: entry.kind,
            words: entry.words,
            table: entry.table,
            order: entry.order,
            sunspec_model: entry.sunspec_model,
        };
        Ok(Register {
            name: entry.name.clone(),
            span: self.span(at, &span)?,
            multiplier: entry.multiplier.map_or(Decimal::from(1), |exact| exact.0),
            scale_at: entry.scale_at.map(|address| self.address(at, address)).transpose()?,
            absent: entry.absent.iter().map(|bits| bits.0).collect(),
            unit: entry.unit.clone(),
            obis: entry.obis.map(|code| code.0),
            quantity: if entry.quantity.is_empty() { entry.name.clone() } else { entry.quantity.clone() },
            billing: entry.billing,
        })
    }

    fn sample(&self, at: &Spanned<TestEntry>) -> Result<Sample, MapError> {
        let entry = at.get_ref();
        let tables = [(Table::Input, &entry.input), (Table::Holding, &entry.holding)];
        let mut runs = Vec::new();
        for (table, (address, words)) in tables.iter().flat_map(|(table, runs)| runs.iter().map(|run| (*table, run))) {
            // A chain's registers are relative; the dump has them where they were read.
            let address = match self.file.chain {
                Some(_) => u16::try_from(address.0).map_err(|_| self.wrong(at, "an address is 0 to 65535"))?,
                None => self.address(at, address.0)?,
            };
            runs.push((table, address, words.0.clone()));
        }
        let line = self.source.line(at.span().start);
        Ok(Sample { line, runs, serial: entry.serial.clone(), expect: entry.expect.clone() })
    }
}
