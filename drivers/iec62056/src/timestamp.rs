use core::fmt;
use core::str::FromStr;
use thiserror::Error;

/// A time of a meter's own clock, as P1 writes it: `YYMMDDhhmmss` and the season's letter.
///
/// The zone is the meter's, which the telegram does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// 2000 to 2099.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// `None` in telegrams of older versions.
    pub season: Option<Season>,
}

/// Whether daylight saving time is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Season {
    /// `S`: daylight saving time.
    Summer,
    /// `W`: standard time.
    Winter,
}

/// The text is not a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a time: twelve digits YYMMDDhhmmss that name a moment, and S or W or nothing")]
pub struct TimestampError;

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let (digits, season) = match text.as_bytes() {
            [digits @ .., b'S'] => (digits, Some(Season::Summer)),
            [digits @ .., b'W'] => (digits, Some(Season::Winter)),
            digits => (digits, None),
        };
        let digits: &[u8; 12] = digits.try_into().map_err(|_| TimestampError)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(TimestampError);
        }
        let [y0, y1, m0, m1, d0, d1, h0, h1, n0, n1, s0, s1] = digits.map(|digit| digit - b'0');
        let [year, month, day, hour, minute, second] =
            [[y0, y1], [m0, m1], [d0, d1], [h0, h1], [n0, n1], [s0, s1]].map(|[tens, ones]| tens * 10 + ones);
        let moment = Self { year: 2000 + u16::from(year), month, day, hour, minute, second, season };
        let is_moment = (1..=12).contains(&month)
            && (1..=moment.days_of_month()).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        is_moment.then_some(moment).ok_or(TimestampError)
    }
}

impl Timestamp {
    const fn days_of_month(&self) -> u8 {
        match self.month {
            // From 2000 to 2099 every fourth year is a leap year.
            2 if self.year.is_multiple_of(4) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second, season } = self;
        write!(f, "{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        f.write_str(match season {
            Some(Season::Summer) => " summer time",
            Some(Season::Winter) => " winter time",
            None => "",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};
    use proptest::prelude::*;

    #[test]
    fn seasons_and_none() {
        let summer: Timestamp = "200512135409S".parse().unwrap();
        assert_eq!(
            (summer.to_string(), summer.season),
            ("2020-05-12T13:54:09 summer time".into(), Some(Season::Summer))
        );
        assert_eq!("161107190000".parse::<Timestamp>().unwrap().to_string(), "2016-11-07T19:00:00");
        assert_eq!("240229000000W".parse::<Timestamp>().unwrap().day, 29);
        for text in [
            "",
            "S",
            "632525252525W",
            "230229000000W",
            "200512245409S",
            "20051213540",
            "2005121354099",
            "+00512135409S",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimestampError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = text.parse::<Timestamp>();
        }
    }
}
