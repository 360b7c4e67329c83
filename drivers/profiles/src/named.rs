//! What a profile says of a telegram: values with the model's own names.

use core::fmt;
use plomb_mbus::{Bytes, DateTime, Function, Text};
use plomb_session::{Decimal, Obis};

/// One value that a profile names. Borrowed from the profile and from the telegram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Named<'a> {
    /// The name, in lower-case words; the same for every telegram of the model.
    pub name: &'a str,
    /// The unit, written as `plomb_mbus` does: `m3`, `Wh`, `hca`; empty for none.
    pub unit: &'a str,
    /// The value.
    pub value: NamedValue<'a>,
    /// 0 for the current value, else which stored value.
    pub storage: u64,
    /// 0 for the total, else the tariff.
    pub tariff: u32,
    /// 0 for the meter itself, else which part of it.
    pub subunit: u16,
    /// Instantaneous, maximum, minimum, during an error.
    pub function: Function,
    /// Whether bills are made from it.
    pub billing: bool,
    /// Its OBIS code, where the profile gives one or the standards do.
    pub obis: Option<Obis>,
    /// Where it begins, counted as the telegram's offsets are. Inside a transformed block the place is that
    /// of the bytes as sent.
    pub offset: usize,
}

/// The value, exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NamedValue<'a> {
    /// A number in the unit.
    Number(Decimal),
    /// A number that no decimal holds, as counts of a third of a litre: what is written divided by
    /// `divisor`. Whoever rounds it says so.
    Fraction {
        /// Above the line.
        numerator: Decimal,
        /// Below it; never 0.
        divisor: u32,
    },
    /// A date, a time, or both.
    DateTime(DateTime),
    /// A text.
    Text(Text<'a>),
    /// Bits with meanings.
    Flags(Flags<'a>),
    /// A code with a meaning; `None` for a code that the profile does not know.
    Choice {
        /// The code.
        code: i64,
        /// What it means.
        meaning: Option<&'a str>,
    },
    /// Bytes that have no other form.
    Bytes(Bytes<'a>),
    /// The meter says that it has no such value.
    Absent,
    /// The bytes are not what their coding allows.
    Invalid(Bytes<'a>),
}

/// A word of status or alarm bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flags<'a> {
    /// The bits as sent.
    pub word: i64,
    pub(crate) meanings: &'a [(u8, String)],
}

impl<'a> Flags<'a> {
    /// The meanings of the bits that are set, lowest first; `None` for a bit that the profile does not know.
    pub fn set(&self) -> impl Iterator<Item = (u8, Option<&'a str>)> + 'a {
        let Self { word, meanings } = *self;
        (0..u8::MAX).take(64).filter(move |bit| word >> bit & 1 != 0).map(move |bit| {
            let meaning = meanings.iter().find(|(known, _)| *known == bit).map(|(_, meaning)| meaning.as_str());
            (bit, meaning)
        })
    }

    /// Whether no bit is set.
    #[must_use]
    pub const fn is_clear(&self) -> bool {
        self.word == 0
    }
}

impl NamedValue<'_> {
    /// The number, if it is one that a decimal holds.
    #[must_use]
    pub const fn number(&self) -> Option<Decimal> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }
}

impl fmt::Display for Flags<'_> {
    /// "ok", or what is set, separated by commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_clear() {
            return f.write_str("ok");
        }
        for (at, (bit, meaning)) in self.set().enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            match meaning {
                Some(meaning) => write!(f, "{separator}{meaning}")?,
                None => write!(f, "{separator}bit {bit}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for NamedValue<'_> {
    /// The value alone: a decimal in plain notation, a date, words, or hexadecimal; nothing where absent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Fraction { numerator, divisor } => write!(f, "{numerator}/{divisor}"),
            Self::DateTime(date) => write!(f, "{date}"),
            Self::Text(text) => write!(f, "{text}"),
            Self::Flags(flags) => write!(f, "{flags}"),
            Self::Choice { meaning: Some(meaning), .. } => f.write_str(meaning),
            Self::Choice { code, meaning: None } => write!(f, "{code}"),
            Self::Bytes(bytes) | Self::Invalid(bytes) => write!(f, "{bytes}"),
            Self::Absent => Ok(()),
        }
    }
}
