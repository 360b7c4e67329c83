//! A register's bits as a value.

use std::fmt;

use plomb_session::Decimal;
use serde::Deserialize;

use crate::WordOrder;

/// The form of a register's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// 16 bits.
    U16,
    /// 16 bits, two's complement.
    I16,
    /// 32 bits.
    U32,
    /// 32 bits, two's complement.
    I32,
    /// 64 bits.
    U64,
    /// 64 bits, two's complement.
    I64,
    /// IEEE 754, 32 bits.
    F32,
    /// IEEE 754, 64 bits.
    F64,
    /// Four decimal digits a register.
    Bcd,
    /// Two characters a register.
    String,
}

impl Kind {
    /// Its registers; `None` where the map must say.
    #[must_use]
    pub const fn words(self) -> Option<u16> {
        match self {
            Self::U16 | Self::I16 => Some(1),
            Self::U32 | Self::I32 | Self::F32 => Some(2),
            Self::U64 | Self::I64 | Self::F64 => Some(4),
            Self::Bcd | Self::String => None,
        }
    }
}

/// What a register holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number, exactly.
    Number(Decimal),
    /// A text.
    Text(String),
    /// The meter says that it has no such value: a sentinel, or not a number.
    Absent,
    /// Bits that are no value of the register's type, or a number beyond 64 bits; as they came.
    Unreadable(Vec<u16>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
            Self::Absent => f.write_str("no value"),
            Self::Unreadable(words) => words.iter().try_for_each(|word| write!(f, "{word:04X}")),
        }
    }
}

/// The lowest and highest power of ten of a scale register (SunSpec information model, `sunssf`).
const SCALE_RANGE: std::ops::RangeInclusive<i16> = -10..=10;

/// Registers as their type has them; `absent` are bits that mean "no value".
pub(crate) fn read(words: &[u16], kind: Kind, order: WordOrder, absent: &[u64]) -> Value {
    let bytes = order.bytes(words);
    if kind == Kind::String {
        return text(&bytes);
    }
    let unreadable = || Value::Unreadable(words.to_vec());
    let Some(bits) = bits(&bytes) else { return unreadable() };
    if absent.contains(&bits) {
        return Value::Absent;
    }
    number(bits, kind).unwrap_or_else(unreadable)
}

fn number(bits: u64, kind: Kind) -> Option<Value> {
    let whole = |mantissa: i64| Some(Value::Number(Decimal::from(mantissa)));
    match kind {
        Kind::U16 | Kind::U32 | Kind::U64 => whole(i64::try_from(bits).ok()?),
        Kind::I16 => whole(i16::from_be_bytes(u16::try_from(bits).ok()?.to_be_bytes()).into()),
        Kind::I32 => whole(i32::from_be_bytes(u32::try_from(bits).ok()?.to_be_bytes()).into()),
        Kind::I64 => whole(i64::from_be_bytes(bits.to_be_bytes())),
        Kind::F32 => {
            let number = f32::from_bits(u32::try_from(bits).ok()?);
            if number.is_nan() { Some(Value::Absent) } else { Decimal::from_f32(number).map(Value::Number) }
        }
        Kind::F64 => {
            let number = f64::from_bits(bits);
            if number.is_nan() { Some(Value::Absent) } else { Decimal::from_f64(number).map(Value::Number) }
        }
        Kind::Bcd => {
            let mut mantissa = 0i64;
            for nibble in (0..16).rev().map(|place| (bits >> (4 * place)) & 0xF) {
                let digit = i64::try_from(nibble).ok().filter(|digit| *digit <= 9)?;
                mantissa = mantissa.checked_mul(10)?.checked_add(digit)?;
            }
            whole(mantissa)
        }
        Kind::String => None,
    }
}

/// Big-endian bytes as bits; `None` beyond 64.
fn bits(bytes: &[u8]) -> Option<u64> {
    (bytes.len() <= 8).then(|| bytes.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte)))
}

/// A text, without what fills it up.
fn text(bytes: &[u8]) -> Value {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default());
    match text.trim() {
        "" => Value::Absent,
        text => Value::Text(text.into()),
    }
}

/// A value times a multiplier, and ten to the power of a scale register. The resolution stays.
pub(crate) fn scaled(value: Value, multiplier: Decimal, scale: Option<i16>, words: &[u16]) -> Value {
    let Value::Number(number) = value else { return value };
    let power = scale.unwrap_or(0);
    let product = || {
        let mantissa = number.mantissa.checked_mul(multiplier.mantissa)?;
        let power = i8::try_from(power).ok().filter(|_| SCALE_RANGE.contains(&power))?;
        Decimal::new(mantissa, number.exponent).scaled(multiplier.exponent)?.scaled(power)
    };
    product().map_or_else(|| Value::Unreadable(words.to_vec()), Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_of_one_number() {
        for (order, words) in [
            (WordOrder::Abcd, [0x0001, 0x0203]),
            (WordOrder::Cdab, [0x0203, 0x0001]),
            (WordOrder::Badc, [0x0100, 0x0302]),
            (WordOrder::Dcba, [0x0302, 0x0100]),
        ] {
            assert_eq!(read(&words, Kind::U32, order, &[]), Value::Number(Decimal::from(0x0001_0203)), "{order:?}");
        }
    }

    #[test]
    fn numbers_are_exact_or_kept_as_bits() {
        let read = |words: &[u16], kind| read(words, kind, WordOrder::Abcd, &[0x8000]).to_string();
        assert_eq!(read(&[0xFFFF], Kind::I16), "-1");
        assert_eq!(read(&[0x8000], Kind::I16), "no value");
        assert_eq!(read(&[0xFFFF; 4], Kind::U64), "FFFFFFFFFFFFFFFF");
        assert_eq!(read(&[0xFFFF; 4], Kind::I64), "-1");
        assert_eq!(read(&[0x4224, 0xCCCD], Kind::F32), "41.2");
        assert_eq!(read(&[0x7FC0, 0], Kind::F32), "no value");
        assert_eq!(read(&[0x7F80, 0], Kind::F32), "7F800000");
        assert_eq!(read(&[0x1234, 0x5678], Kind::Bcd), "12345678");
        assert_eq!(read(&[0x123A], Kind::Bcd), "123A");
        assert_eq!(read(&[0x4142, 0x4300], Kind::String), "ABC");
        assert_eq!(read(&[0, 0], Kind::String), "no value");
    }

    #[test]
    fn a_product_keeps_its_places() {
        let number = Value::Number(Decimal::new(1230, -1));
        assert_eq!(scaled(number.clone(), "0.01".parse().unwrap(), Some(-1), &[]).to_string(), "0.1230");
        assert_eq!(scaled(number, Decimal::from(i64::MAX), None, &[7]), Value::Unreadable(vec![7]));
    }
}
