//! Dates and times of EN 13757-3:2018, annex A: types F, G, I, J and K.

use core::fmt::{self, Write};

/// A date, a time, or both, as the meter sent it.
///
/// Fields hold what came, also what names no day: wildcards ("every month"), zeros of a clock that
/// was never set, and fields that the meter itself marks as invalid. Ask
/// [`is_exact`](Self::is_exact) before taking it for a point in time. The time is the meter's own;
/// the standard knows no zone.
///
/// [`Display`](fmt::Display) writes `2014-03-13`, `2014-03-13T11:11`, `2014-03-13T11:11:05` or
/// `11:11:05`; a wildcard is written as `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DateTime {
    /// Which fields the type carries.
    pub precision: Precision,
    /// The year, 1900 to 2299; `None` for every year.
    pub year: Option<u16>,
    /// 1 to 12; 15 for every month; other values name none.
    pub month: u8,
    /// 1 to 31; 0 for every day.
    pub day: u8,
    /// 0 to 23; 31 for every hour.
    pub hour: u8,
    /// 0 to 59; 63 for every minute.
    pub minute: u8,
    /// 0 to 59; 63 for every second.
    pub second: u8,
    /// The meter marks the time as invalid.
    pub invalid: bool,
    /// The meter marks the time as daylight saving time.
    pub daylight_saving: bool,
}

/// Which fields a date type carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Type G: the date.
    Day,
    /// Type F: date and time to the minute.
    Minute,
    /// Type I: date and time to the second.
    Second,
    /// Type J: the time of day.
    TimeOfDay,
}

/// Type K: when daylight saving begins and ends, and by how much the clock moves; four bytes, least
/// significant first.
///
/// Kept as sent: what a gateway signs is the meter's time and its flags, and no rule of this block
/// changes either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DaylightSaving(pub [u8; 4]);

const EVERY_YEAR: u8 = 127;
const EVERY_MONTH: u8 = 15;
const EVERY_DAY: u8 = 0;
const EVERY_HOUR: u8 = 31;
const EVERY_MINUTE: u8 = 63;
/// Two-digit years without a century up to this one are of the 2000s, later ones of the 1900s.
const PIVOT_YEAR: u8 = 80;

impl DateTime {
    const EMPTY: Self = Self {
        precision: Precision::Day,
        year: None,
        month: 0,
        day: 0,
        hour: 0,
        minute: 0,
        second: 0,
        invalid: false,
        daylight_saving: false,
    };

    /// Type G, least significant byte first.
    #[must_use]
    pub fn from_type_g(bytes: [u8; 2]) -> Self {
        Self { precision: Precision::Day, ..Self::EMPTY }.with_date(bytes, 0)
    }

    /// Type F, least significant byte first.
    #[must_use]
    pub fn from_type_f(bytes: [u8; 4]) -> Self {
        let [minute, hour, low, high] = bytes;
        Self {
            precision: Precision::Minute,
            minute: minute & 0x3F,
            hour: hour & 0x1F,
            invalid: minute & 0x80 != 0,
            daylight_saving: hour & 0x80 != 0,
            ..Self::EMPTY
        }
        .with_date([low, high], (hour >> 5) & 0x03)
    }

    /// Type I, least significant byte first.
    #[must_use]
    pub fn from_type_i(bytes: [u8; 6]) -> Self {
        let [second, minute, hour, low, high, _week] = bytes;
        Self {
            precision: Precision::Second,
            second: second & 0x3F,
            minute: minute & 0x3F,
            hour: hour & 0x1F,
            invalid: minute & 0x80 != 0,
            daylight_saving: second & 0x40 != 0,
            ..Self::EMPTY
        }
        .with_date([low, high], 0)
    }

    /// Type J, least significant byte first.
    #[must_use]
    pub fn from_type_j(bytes: [u8; 3]) -> Self {
        let [second, minute, hour] = bytes;
        Self {
            precision: Precision::TimeOfDay,
            second: second & 0x3F,
            minute: minute & 0x3F,
            hour: hour & 0x1F,
            ..Self::EMPTY
        }
    }

    /// As type F (32 bits), least significant byte first; the seconds are left out. `None` unless this
    /// [is exact](Self::is_exact) and has a date and a time.
    #[must_use]
    pub fn to_type_f(&self) -> Option<[u8; 4]> {
        let (year, [low, high]) = self.date_bytes()?;
        // Bits 5 and 6 of the hours count the centuries since 1900.
        let century = u8::try_from(year.checked_sub(1900)? / 100).ok().filter(|century| *century < 4)?;
        let daylight_saving = if self.daylight_saving { 0x80 } else { 0 };
        Some([self.minute, self.hour | century << 5 | daylight_saving, low, high])
    }

    /// As type I (48 bits), least significant byte first, without the day and number of the week.
    /// `None` unless this [is exact](Self::is_exact), has a date and a time, and lies in the years
    /// 2000 to 2080, which the type's two digits name.
    #[must_use]
    pub fn to_type_i(&self) -> Option<[u8; 6]> {
        let (year, [low, high]) = self.date_bytes()?;
        if !(2000..=2000 + u16::from(PIVOT_YEAR)).contains(&year) {
            return None;
        }
        let daylight_saving = if self.daylight_saving { 0x40 } else { 0 };
        let second = if self.precision == Precision::Second { self.second } else { 0 };
        Some([second | daylight_saving, self.minute, self.hour, low, high, 0])
    }

    /// The year, and the two bytes of the date that types F and I share.
    fn date_bytes(&self) -> Option<(u16, [u8; 2])> {
        let timed = matches!(self.precision, Precision::Minute | Precision::Second);
        let year = self.year.filter(|_| timed && self.is_exact())?;
        let digits = u8::try_from(year % 100).ok()?;
        Some((year, [self.day | (digits & 0x07) << 5, self.month | (digits & 0x78) << 1]))
    }

    /// The date of two bytes that types F, G and I share: `yyyddddd YYYYmmmm`.
    fn with_date(mut self, [low, high]: [u8; 2], century: u8) -> Self {
        let year = ((low & 0xE0) >> 5) | ((high & 0xF0) >> 1);
        self.day = low & 0x1F;
        self.month = high & 0x0F;
        self.year = match (year, century) {
            (EVERY_YEAR, _) => None,
            // Meters older than the century bits leave them zero.
            (0..=PIVOT_YEAR, 0) => Some(2000 + u16::from(year)),
            _ => Some(1900 + 100 * u16::from(century) + u16::from(year)),
        };
        self
    }

    /// Whether this names one day (or one time of day): no wildcard, every field in its range, not
    /// marked invalid.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        let date = match self.year {
            Some(year) => self.day >= 1 && self.day <= days_of(year, self.month),
            None => false,
        };
        let time = self.hour < 24 && self.minute < 60 && self.second < 60;
        !self.invalid && time && (date || self.precision == Precision::TimeOfDay)
    }
}

fn days_of(year: u16, month: u8) -> u8 {
    let leap = (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u8::from(leap),
        _ => 0,
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.precision != Precision::TimeOfDay {
            match self.year {
                Some(year) => write!(f, "{year:04}")?,
                None => f.write_str("*")?,
            }
            // Day 0 means every day only beside a month; beside month 0 the clock was never set.
            let every_day = self.day == EVERY_DAY && self.month != 0;
            field(f, "-", self.month, self.month == EVERY_MONTH)?;
            field(f, "-", self.day, every_day)?;
        }
        if self.precision == Precision::Day {
            return Ok(());
        }
        let separator = if self.precision == Precision::TimeOfDay { "" } else { "T" };
        field(f, separator, self.hour, self.hour == EVERY_HOUR)?;
        field(f, ":", self.minute, self.minute == EVERY_MINUTE)?;
        if self.precision != Precision::Minute {
            field(f, ":", self.second, self.second == EVERY_MINUTE)?;
        }
        Ok(())
    }
}

fn field(f: &mut fmt::Formatter<'_>, separator: &str, number: u8, every: bool) -> fmt::Result {
    f.write_str(separator)?;
    match number {
        _ if every => f.write_char('*'),
        0..=99 => {
            f.write_char(char::from(b'0' + number / 10))?;
            f.write_char(char::from(b'0' + number % 10))
        }
        _ => write!(f, "{number}"),
    }
}

impl fmt::Display for DaylightSaving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_le_bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn the_31st_is_a_day_and_not_a_wildcard() {
        // 31 May 2008, from the gas meter of OMS Vol. 2 annex N.
        let date = DateTime::from_type_g([0x1F, 0x15]);
        assert_eq!(date.to_string(), "2008-05-31");
        assert!(date.is_exact());
    }

    #[test]
    fn centuries() {
        let year = |year: u8, century: u8| {
            let (low, high) = ((year & 0x07) << 5 | 1, (year & 0x78) << 1 | 1);
            DateTime::from_type_f([0, century << 5, low, high]).year
        };
        assert_eq!(year(0, 0), Some(2000));
        assert_eq!(year(80, 0), Some(2080));
        assert_eq!(year(81, 0), Some(1981));
        assert_eq!(year(99, 0), Some(1999));
        assert_eq!(year(14, 1), Some(2014));
        assert_eq!(year(5, 2), Some(2105));
        assert_eq!(year(127, 1), None);
    }

    #[test]
    fn flags_of_type_f() {
        let date = DateTime::from_type_f([0x80 | 21, 0x80 | 0x20 | 13, 0xCD, 0x13]);
        assert_eq!(date.to_string(), "2014-03-13T13:21");
        assert!(date.invalid && date.daylight_saving && !date.is_exact());
    }

    #[test]
    fn wildcards_and_unset_clocks_are_not_exact() {
        for (date, text) in [
            (DateTime::from_type_g([0xE1, 0xFC]), "*-12-01"),
            (DateTime::from_type_g([0x01, 0x1F]), "2008-*-01"),
            (DateTime::from_type_g([0x00, 0x11]), "2008-01-*"),
            (DateTime::from_type_g([0x00, 0x00]), "2000-00-00"),
            (DateTime::from_type_g([0x1E, 0x12]), "2008-02-30"),
            (DateTime::from_type_f([63, 31, 0x21, 0x11]), "2009-01-01T*:*"),
        ] {
            assert_eq!(date.to_string(), text);
            assert!(!date.is_exact(), "{text}");
        }
    }

    #[test]
    fn seconds_of_types_i_and_j() {
        let date = DateTime::from_type_i([0x43, 0x24, 0xCE, 0xFB, 0x16, 0x1A]);
        assert_eq!(date.to_string(), "2015-06-27T14:36:03");
        assert!(date.daylight_saving && date.is_exact());
        let time = DateTime::from_type_j([5, 59, 23]);
        assert_eq!((time.to_string().as_str(), time.is_exact()), ("23:59:05", true));
    }
}
