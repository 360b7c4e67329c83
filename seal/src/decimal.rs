//! Exact decimals.

use alloc::string::String;
use core::fmt;

use crate::{
    Malformed,
    cbor::{Decoder, Encoder},
};

/// A number as the meter sent it: `mantissa × 10^exponent`. Never a float.
///
/// 12.30 and 12.3 are different decimals: the digits that the meter showed are part of what it said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// The digits.
    pub mantissa: i64,
    /// The power of ten.
    pub exponent: i8,
}

impl Decimal {
    pub(crate) fn encode(self, out: &mut Encoder) {
        out.tag(4).array(2).signed(self.exponent.into()).signed(self.mantissa);
    }

    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.tag_exact(4)?;
        from.array_exact(2)?;
        let start = from.clone();
        let exponent = from.signed()?.try_into().map_err(|_| start.wrong("the exponent does not fit 8 bits"))?;
        Ok(Self { mantissa: from.signed()?, exponent })
    }
}

/// Plain notation without an exponent: `12000`, `54.321`, `-0.5`.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = alloc::format!("{}", self.mantissa.unsigned_abs());
        let mut out = String::new();
        if self.mantissa < 0 {
            out.push('-');
        }
        let places = usize::from(self.exponent.unsigned_abs());
        if self.exponent >= 0 {
            out.push_str(&digits);
            if self.mantissa != 0 {
                out.extend(core::iter::repeat_n('0', places));
            }
        } else if let Some(whole) = digits.len().checked_sub(places).filter(|whole| *whole > 0) {
            let (whole, fraction) = digits.split_at(whole);
            out.push_str(whole);
            out.push('.');
            out.push_str(fraction);
        } else {
            out.push_str("0.");
            out.extend(core::iter::repeat_n('0', places - digits.len()));
            out.push_str(&digits);
        }
        f.pad(&out)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn plain_notation() {
        for (mantissa, exponent, text) in [
            (12, 3, "12000"),
            (54321, -3, "54.321"),
            (-5, -1, "-0.5"),
            (0, 6, "0"),
            (0, -2, "0.00"),
            (5, -3, "0.005"),
            (i64::MIN, 0, "-9223372036854775808"),
            (100, -2, "1.00"),
        ] {
            assert_eq!(Decimal { mantissa, exponent }.to_string(), text);
        }
    }
}
