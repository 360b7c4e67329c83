use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;
use thiserror::Error;

/// An OBIS code (IEC 62056-61, EN 13757-1): the six value groups A to F.
///
/// Written `A-B:C.D.E*F`. Group F is 255 where a code names the current value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Obis(pub [u8; 6]);

/// The text is not an OBIS code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "not an OBIS code: write A-B:C.D.E*F or A.B.C.D.E.F with each group 0 to 255, as 1-0:1.8.0*255 or 1.0.1.8.0.255"
)]
pub struct ObisError;

impl fmt::Display for Obis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a}-{b}:{c}.{d}.{e}*{g}")
    }
}

impl FromStr for Obis {
    type Err = ObisError;

    /// Reads `A-B:C.D.E*F`; `*F` may be left out and is then 255. Also `A.B.C.D.E.F`, the way of logical names.
    fn from_str(text: &str) -> Result<Self, ObisError> {
        let dotted: Vec<&str> = text.splitn(7, '.').collect();
        if let [a, b, c, d, e, f] = dotted.as_slice() {
            return Ok(Self([group(a)?, group(b)?, group(c)?, group(d)?, group(e)?, group(f)?]));
        }
        let (a, rest) = text.split_once('-').ok_or(ObisError)?;
        let (b, rest) = rest.split_once(':').ok_or(ObisError)?;
        let (c, rest) = rest.split_once('.').ok_or(ObisError)?;
        let (d, rest) = rest.split_once('.').ok_or(ObisError)?;
        let (e, last) = rest.split_once('*').unwrap_or((rest, "255"));
        Ok(Self([group(a)?, group(b)?, group(c)?, group(d)?, group(e)?, group(last)?]))
    }
}

/// One group: one to three digits, nothing else (`u8::from_str` alone would take a plus sign).
fn group(text: &str) -> Result<u8, ObisError> {
    if text.is_empty() || text.len() > 3 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ObisError);
    }
    text.parse().map_err(|_| ObisError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};
    use proptest::prelude::*;

    #[test]
    fn short_form_means_current_value() {
        assert_eq!("1-0:1.8.0".parse(), Ok(Obis([1, 0, 1, 8, 0, 255])));
        assert_eq!("1.0.1.8.0.255".parse(), Ok(Obis([1, 0, 1, 8, 0, 255])), "a logical name as clients print it");
    }

    #[test]
    fn what_is_not_a_code_is_refused() {
        for text in [
            "",
            "1.8.0",
            "1.0.1.8.0",
            "1.0.1.8.0.255.1",
            "1.0.1.8..255",
            "1-0:1.8",
            "1-0:1.8.256",
            "+1-0:1.8.0",
            "1-0:1.8.0*",
            "1-0:1.8.0*1*2",
            "a-0:1.8.0",
        ] {
            assert_eq!(text.parse::<Obis>(), Err(ObisError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_and_back(groups: [u8; 6]) {
            prop_assert_eq!(Obis(groups).to_string().parse(), Ok(Obis(groups)));
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = text.parse::<Obis>();
        }
    }
}
