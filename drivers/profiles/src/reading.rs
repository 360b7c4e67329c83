//! From bytes to a value: the compiled form of a profile's `read` keys.

use crate::file::{CodingWord, ExponentAt};
use crate::named::{Flags, NamedValue};
use plomb_mbus::{Bytes, DateTime, Precision, Text};
use plomb_session::Decimal;

/// What earlier fields of a block came to, for those that build on them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slot {
    pub(crate) number: Option<Decimal>,
    pub(crate) date: Option<DateTime>,
}

/// How a value is made of bytes.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) coding: CodingWord,
    pub(crate) bits: Vec<(u8, u8)>,
    pub(crate) digits: Option<(u8, u8)>,
    pub(crate) add: i64,
    pub(crate) pow2: bool,
    pub(crate) times: Option<i64>,
    pub(crate) exponent: i8,
    pub(crate) exponent_at: Option<ExponentAt>,
    pub(crate) divisor: Option<u32>,
    pub(crate) terms: usize,
    pub(crate) unit: String,
    pub(crate) absent: Vec<i64>,
    pub(crate) values: Vec<(i64, String)>,
    pub(crate) flags: Vec<(u8, String)>,
    pub(crate) after: Option<usize>,
    pub(crate) plus: Vec<usize>,
    pub(crate) minus: Vec<usize>,
}

/// Widest word, in bytes.
const WORD_BYTES_MAX: usize = 8;
const EPOCH_YEAR: u16 = 2000;

impl Reading {
    /// Whether the value is made of other fields alone.
    pub(crate) fn is_computed(&self) -> bool {
        !self.plus.is_empty() || !self.minus.is_empty()
    }

    /// The sum over other fields; `None` where one of them is no number.
    pub(crate) fn compute(&self, slots: &[Slot]) -> Option<Decimal> {
        let number = |at: &usize| slots.get(*at).and_then(|slot| slot.number);
        let mut sum = Decimal::ZERO;
        for at in &self.plus {
            sum = sum.checked_add(number(at)?)?;
        }
        for at in &self.minus {
            let Decimal { mantissa, exponent } = number(at)?;
            sum = sum.checked_add(Decimal::new(mantissa.checked_neg()?, exponent))?;
        }
        // Zero has no exponent of its own to add to the sum's.
        Some(sum)
    }

    /// The value of `bytes`; `block` is the whole block, for exponents that stand elsewhere.
    pub(crate) fn decode<'a>(&'a self, bytes: &'a [u8], block: &[u8], slots: &[Slot]) -> NamedValue<'a> {
        let invalid = NamedValue::Invalid(Bytes(bytes));
        let date = |date: Option<DateTime>| date.map_or(invalid, NamedValue::DateTime);
        match self.coding {
            CodingWord::Bytes => return NamedValue::Bytes(Bytes(bytes)),
            CodingWord::Text => return NamedValue::Text(Text::new(bytes, false)),
            CodingWord::TextReversed => return NamedValue::Text(Text::new(bytes, true)),
            CodingWord::DateBcdDmy => return date(bcd_date(bytes.iter())),
            CodingWord::DateBcdYmd => return date(bcd_date(bytes.iter().rev())),
            CodingWord::DateTimeF => return date(bytes.try_into().ok().map(DateTime::from_type_f)),
            CodingWord::DateTimeI => return date(bytes.try_into().ok().map(DateTime::from_type_i)),
            CodingWord::Real => {
                let real = bytes.try_into().ok().and_then(|bytes| Decimal::from_f32(f32::from_le_bytes(bytes)));
                return real.and_then(|real| self.scaled(real, block)).map_or(invalid, NamedValue::Number);
            }
            _ => {}
        }
        let Some(word) = self.word(bytes) else { return invalid };
        if self.absent.contains(&word) {
            return NamedValue::Absent;
        }
        match self.coding {
            CodingWord::DateG => date(low(word, 0, 16).map(|word| DateTime::from_type_g(word.to_le_bytes()))),
            CodingWord::DateDmy => date(dmy(word)),
            CodingWord::DateDm => {
                let reference = self.after.and_then(|at| slots.get(at)).and_then(|slot| slot.date);
                date(reference.and_then(|reference| day_and_month(word, reference)))
            }
            CodingWord::Seconds2000 => date(seconds(word)),
            _ if !self.flags.is_empty() => NamedValue::Flags(Flags { word, meanings: &self.flags }),
            _ if !self.values.is_empty() => {
                let meaning = self.values.iter().find(|(code, _)| *code == word).map(|(_, meaning)| meaning.as_str());
                NamedValue::Choice { code: word, meaning }
            }
            _ => self.number(word, block).unwrap_or(invalid),
        }
    }

    fn number<'a>(&self, word: i64, block: &[u8]) -> Option<NamedValue<'a>> {
        let word = match self.digits {
            Some((first, count)) => word / 10i64.checked_pow(first.into())? % 10i64.checked_pow(count.into())?,
            None => word,
        };
        let mut word = word.checked_add(self.add)?;
        if self.pow2 {
            word = 2i64.checked_pow(u32::try_from(word).ok()?)?;
        }
        let number = self.scaled(Decimal::from(word.checked_mul(self.times.unwrap_or(1))?), block)?;
        Some(match self.divisor {
            Some(divisor) => NamedValue::Fraction { numerator: number, divisor },
            None => NamedValue::Number(number),
        })
    }

    fn scaled(&self, number: Decimal, block: &[u8]) -> Option<Decimal> {
        let number = number.scaled(self.exponent)?;
        let Some(ExponentAt { offset, bits: (first, count), add }) = self.exponent_at else { return Some(number) };
        let byte = i64::from(*block.get(usize::from(offset))?);
        let power = i8::try_from(byte >> first & ((1 << count) - 1)).ok()?;
        number.scaled(power.checked_add(add)?)
    }

    /// The whole number of the bytes: added up over terms, or its bits picked.
    fn word(&self, bytes: &[u8]) -> Option<i64> {
        let width = bytes.len().checked_div(self.terms).filter(|width| *width > 0)?;
        let mut sum = 0i64;
        for term in bytes.chunks_exact(width) {
            sum = sum.checked_add(self.term(term)?)?;
        }
        Some(sum)
    }

    fn term(&self, bytes: &[u8]) -> Option<i64> {
        let word = match self.coding {
            CodingWord::Bcd => return bcd(bytes.iter().rev()),
            CodingWord::BcdBe => return bcd(bytes.iter()),
            CodingWord::UintBe => unsigned(bytes.iter().rev())?,
            _ => unsigned(bytes.iter())?,
        };
        let mut picked = word;
        let mut width = u32::try_from(bytes.len()).ok()? * 8;
        if !self.bits.is_empty() {
            (picked, width) = (0, 0);
            for (first, count) in &self.bits {
                let mask = 1u64.checked_shl((*count).into())?.wrapping_sub(1);
                picked |= (word.checked_shr((*first).into())? & mask).checked_shl(width)?;
                width += u32::from(*count);
            }
        }
        if self.coding == CodingWord::Int && width < 64 {
            let sign = 64 - width;
            return Some((picked << sign).cast_signed() >> sign);
        }
        if self.coding == CodingWord::Int { Some(picked.cast_signed()) } else { i64::try_from(picked).ok() }
    }
}

fn unsigned<'a>(bytes_le: impl ExactSizeIterator<Item = &'a u8>) -> Option<u64> {
    if bytes_le.len() > WORD_BYTES_MAX {
        return None;
    }
    let mut wide = [0; WORD_BYTES_MAX];
    wide.iter_mut().zip(bytes_le).for_each(|(to, from)| *to = *from);
    Some(u64::from_le_bytes(wide))
}

/// Packed BCD, most significant byte first.
fn bcd<'a>(bytes: impl Iterator<Item = &'a u8>) -> Option<i64> {
    let mut number = 0i64;
    for byte in bytes {
        let (high, low) = (byte >> 4, byte & 0x0F);
        if high > 9 || low > 9 {
            return None;
        }
        number = number.checked_mul(100)?.checked_add(i64::from(high * 10 + low))?;
    }
    Some(number)
}

/// `count` bits of `word` from `first` on.
fn low(word: i64, first: u8, count: u8) -> Option<u16> {
    u16::try_from(word >> first & ((1 << count) - 1)).ok()
}

fn day(year: Option<u16>, month: u16, day: u16) -> Option<DateTime> {
    Some(DateTime { year, month: u8::try_from(month).ok()?, day: u8::try_from(day).ok()?, ..midnight() })
}

/// A day without its date.
fn midnight() -> DateTime {
    DateTime::from_type_g([0, 0])
}

/// Five bits of day, four of month, the rest years from 2000.
fn dmy(word: i64) -> Option<DateTime> {
    day(Some(EPOCH_YEAR + low(word, 9, 7)?), low(word, 5, 4)?, low(word, 0, 5)?)
}

/// Five bits of day, four of month; the year is the first that puts it behind `reference`.
fn day_and_month(word: i64, reference: DateTime) -> Option<DateTime> {
    let (in_month, month) = (low(word, 0, 5)?, low(word, 5, 4)?);
    let behind = (month, in_month) > (u16::from(reference.month), u16::from(reference.day));
    let year = reference.year?;
    day(Some(if behind { year } else { year.checked_add(1)? }), month, in_month)
}

/// Day, month and year in two BCD digits each.
fn bcd_date<'a>(bytes: impl Iterator<Item = &'a u8>) -> Option<DateTime> {
    let mut parts = bytes.map(|byte| bcd(std::iter::once(byte)).and_then(|part| u16::try_from(part).ok()));
    let (in_month, month, year) = (parts.next()??, parts.next()??, parts.next()??);
    day(Some(EPOCH_YEAR + year), month, in_month)
}

/// Seconds since the beginning of 2000, of a clock that knows no leap seconds.
fn seconds(word: i64) -> Option<DateTime> {
    let (days, second) = (word.div_euclid(86_400), word.rem_euclid(86_400));
    let mut left = days;
    let mut year = EPOCH_YEAR;
    loop {
        let length = if leap(year) { 366 } else { 365 };
        if left < length {
            break;
        }
        left -= length;
        year = year.checked_add(1).filter(|year| *year < 2300)?;
    }
    let mut month = 1;
    for length in [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    let part = |number: i64| u8::try_from(number).ok();
    Some(DateTime {
        precision: Precision::Second,
        hour: part(second / 3600)?,
        minute: part(second / 60 % 60)?,
        second: part(second % 60)?,
        ..day(Some(year), month, u16::try_from(left + 1).ok()?)?
    })
}

const fn leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}
