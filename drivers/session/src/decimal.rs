use core::fmt::{self, Write as _};
use core::str::FromStr;
use thiserror::Error;

/// An exact decimal: `mantissa × 10^exponent`.
///
/// No arithmetic on it uses floats. The exponent keeps the meter's resolution, so `1.200` and `1.2`
/// are different values of this type; [`Decimal::normalized`] makes equal numbers equal.
/// A number whose mantissa does not fit in 64 bits is not a `Decimal`: drivers hand such a value on as bytes.
///
/// [`Display`](fmt::Display) writes plain notation, never an exponent: `12000`, `54.321`, `-0.5`.
///
/// ```
/// # use plomb_session::Decimal;
/// assert_eq!(Decimal::new(12, 3).to_string(), "12000");
/// assert_eq!(Decimal::new(-5, -1).to_string(), "-0.5");
/// assert_eq!("54.321".parse(), Ok(Decimal::new(54321, -3)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// The digits, with their sign.
    pub mantissa: i64,
    /// The power of ten that the mantissa is multiplied by.
    pub exponent: i8,
}

/// The text or number is not an exact decimal of this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecimalError {
    /// The text is not a plain decimal number.
    #[error("not a decimal number: write digits with at most one point, as in -54.321")]
    Syntax,
    /// The digits do not fit in a 64-bit mantissa, or the exponent not in 8 bits.
    #[error("the number needs more than a 64-bit mantissa or an 8-bit exponent")]
    Range,
}

/// Longest text of a shortest-form float: sign, 17 digits, point, `e-324`.
const FLOAT_TEXT_BYTES_MAX: usize = 32;

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self { mantissa: 0, exponent: 0 };

    /// `mantissa × 10^exponent`.
    #[must_use]
    pub const fn new(mantissa: i64, exponent: i8) -> Self {
        Self { mantissa, exponent }
    }

    /// The same digits, multiplied by `10^power`. `None` when the exponent leaves its 8 bits.
    #[must_use]
    pub const fn scaled(self, power: i8) -> Option<Self> {
        match self.exponent.checked_add(power) {
            Some(exponent) => Some(Self { mantissa: self.mantissa, exponent }),
            None => None,
        }
    }

    /// The exact sum. `None` when it does not fit.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let exponent = self.exponent.min(other.exponent);
        let a = self.at_exponent(exponent)?;
        let b = other.at_exponent(exponent)?;
        Some(Self { mantissa: a.mantissa.checked_add(b.mantissa)?, exponent })
    }

    /// The same number written with `exponent`. `None` when digits would be lost or would not fit.
    #[must_use]
    pub fn at_exponent(self, exponent: i8) -> Option<Self> {
        let mut mantissa = self.mantissa;
        let shift = i16::from(self.exponent) - i16::from(exponent);
        if mantissa == 0 {
            return Some(Self { mantissa, exponent });
        }
        for _ in 0..shift.unsigned_abs() {
            mantissa = if shift > 0 {
                mantissa.checked_mul(10)?
            } else if mantissa % 10 == 0 {
                mantissa / 10
            } else {
                return None;
            };
        }
        Some(Self { mantissa, exponent })
    }

    /// The same number without trailing zeros in the mantissa; zero has exponent 0.
    #[must_use]
    pub fn normalized(self) -> Self {
        let Self { mut mantissa, mut exponent } = self;
        if mantissa == 0 {
            return Self::ZERO;
        }
        while mantissa % 10 == 0 && exponent < i8::MAX {
            mantissa /= 10;
            exponent += 1;
        }
        Self { mantissa, exponent }
    }

    /// The shortest decimal that reads back as exactly this `f32`; `None` for a NaN, an infinity, or
    /// an exponent beyond 8 bits.
    ///
    /// Why the shortest: a meter that means 41.2 sends the nearest binary fraction,
    /// 41.200000762939453125. The digits beyond the seventh were never measured; the shortest form
    /// names the same bits, and is what independent decoders print.
    #[must_use]
    pub fn from_f32(number: f32) -> Option<Self> {
        let mut text = FloatText::default();
        if !number.is_finite() || write!(text, "{number:e}").is_err() {
            return None;
        }
        text.decimal()
    }

    /// The shortest decimal that reads back as exactly this `f64`; `None` as for
    /// [`from_f32`](Self::from_f32).
    #[must_use]
    pub fn from_f64(number: f64) -> Option<Self> {
        let mut text = FloatText::default();
        if !number.is_finite() || write!(text, "{number:e}").is_err() {
            return None;
        }
        text.decimal()
    }
}

/// What `{:e}` wrote: `d.ddde±x`, the shortest digits that read back as the same float.
#[derive(Default)]
struct FloatText {
    bytes: [u8; FLOAT_TEXT_BYTES_MAX],
    len: usize,
}

impl FloatText {
    fn decimal(&self) -> Option<Decimal> {
        let text = core::str::from_utf8(self.bytes.get(..self.len)?).ok()?;
        let (digits, power) = text.split_once('e')?;
        digits.parse::<Decimal>().ok()?.scaled(power.parse().ok()?)
    }
}

impl fmt::Write for FloatText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len.saturating_add(text.len());
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

impl From<i64> for Decimal {
    fn from(mantissa: i64) -> Self {
        Self { mantissa, exponent: 0 }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.mantissa.unsigned_abs();
        if self.mantissa < 0 {
            f.write_str("-")?;
        }
        if self.exponent >= 0 {
            write!(f, "{digits}")?;
            let zeros = if digits == 0 { 0 } else { usize::from(self.exponent.unsigned_abs()) };
            return write!(f, "{:0<zeros$}", "");
        }
        let places = usize::from(self.exponent.unsigned_abs());
        match u32::try_from(places).ok().and_then(|places| 10u64.checked_pow(places)) {
            Some(one) => write!(f, "{}.{:0places$}", digits / one, digits % one),
            // Every digit lies behind the point: 10^20 is more than a mantissa holds.
            None => write!(f, "0.{digits:0places$}"),
        }
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    /// Reads plain notation: an optional sign, digits, and at most one point with digits on both
    /// sides. The places behind the point become the exponent.
    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let (negative, text) = match text.as_bytes().first() {
            Some(b'-') => (true, text.get(1..).unwrap_or_default()),
            Some(b'+') => (false, text.get(1..).unwrap_or_default()),
            _ => (false, text),
        };
        let (whole, places) = text.split_once('.').map_or((text, None), |(whole, places)| (whole, Some(places)));
        if whole.is_empty() || places.is_some_and(str::is_empty) {
            return Err(DecimalError::Syntax);
        }
        let places = places.unwrap_or_default();
        let mut mantissa = 0i64;
        for digit in whole.bytes().chain(places.bytes()) {
            if !digit.is_ascii_digit() {
                return Err(DecimalError::Syntax);
            }
            let digit = i64::from(digit - b'0');
            let signed = if negative { -digit } else { digit };
            mantissa = mantissa.checked_mul(10).and_then(|m| m.checked_add(signed)).ok_or(DecimalError::Range)?;
        }
        let exponent = i8::try_from(places.len()).map_err(|_| DecimalError::Range)?;
        Ok(Self { mantissa, exponent: -exponent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};
    use proptest::prelude::*;

    #[test]
    fn plain_notation() {
        for (decimal, text) in [
            (Decimal::new(12, 3), "12000"),
            (Decimal::new(54_321, -3), "54.321"),
            (Decimal::new(-5, -1), "-0.5"),
            (Decimal::new(0, 5), "0"),
            (Decimal::new(0, -3), "0.000"),
            (Decimal::new(1, -19), "0.0000000000000000001"),
            (Decimal::new(i64::MIN, -19), "-0.9223372036854775808"),
            (Decimal::new(i64::MIN, -20), "-0.09223372036854775808"),
            (Decimal::new(i64::MAX, 0), "9223372036854775807"),
        ] {
            assert_eq!(decimal.to_string(), text);
        }
    }

    #[test]
    fn what_is_not_plain_is_refused() {
        for text in ["", "-", ".", "1.", ".5", "1e3", "1.2.3", "--1", " 1", "0x1", "½"] {
            assert_eq!(text.parse::<Decimal>(), Err(DecimalError::Syntax), "{text}");
        }
        assert_eq!("9223372036854775808".parse::<Decimal>(), Err(DecimalError::Range));
        assert_eq!("-9223372036854775808".parse(), Ok(Decimal::new(i64::MIN, 0)));
    }

    #[test]
    fn floats_become_their_shortest_decimal() {
        assert_eq!(Decimal::from_f32(41.2).unwrap().to_string(), "41.2");
        assert_eq!(Decimal::from_f32(1.389_817e9).unwrap().to_string(), "1389817000");
        assert_eq!(Decimal::from_f32(-0.0), Some(Decimal::new(0, 0)));
        assert_eq!(Decimal::from_f64(0.1), Some(Decimal::new(1, -1)));
        assert_eq!(Decimal::from_f64(1e300), None);
        for lost in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(Decimal::from_f32(lost), None);
        }
    }

    #[test]
    fn sums_are_exact_or_refused() {
        assert_eq!(Decimal::new(12, 0).checked_add(Decimal::new(5, -1)), Some(Decimal::new(125, -1)));
        assert_eq!(Decimal::new(1, 60).checked_add(Decimal::new(1, 0)), None);
        assert_eq!(Decimal::new(1250, -3).at_exponent(-2), Some(Decimal::new(125, -2)));
        assert_eq!(Decimal::new(1250, -3).at_exponent(-1), None);
    }

    proptest! {
        #[test]
        fn text_and_back(mantissa: i64, exponent in -127i8..=0) {
            let decimal = Decimal::new(mantissa, exponent);
            prop_assert_eq!(decimal.to_string().parse(), Ok(decimal));
        }

        #[test]
        fn positive_exponents_name_the_same_number(mantissa in -999_999i64..999_999, exponent in 0i8..12) {
            let decimal = Decimal::new(mantissa, exponent);
            let read: Decimal = decimal.to_string().parse().unwrap();
            prop_assert_eq!(read.normalized(), decimal.normalized());
        }

        #[test]
        fn every_f32_comes_back(bits: u32) {
            let number = f32::from_bits(bits);
            prop_assume!(number.is_finite());
            let text = Decimal::from_f32(number).unwrap().to_string();
            prop_assert_eq!(text.parse::<f32>().unwrap(), number);
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = text.parse::<Decimal>();
        }
    }
}
