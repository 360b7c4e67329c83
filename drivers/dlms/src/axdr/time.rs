//! Dates and times with wildcards (IEC 62056-6-2 §4.1.6.1).

use core::fmt;

/// Not specified, of a byte.
const ANY: u8 = 0xFF;
/// Not specified, of a year.
const ANY_YEAR: u16 = 0xFFFF;
/// Not specified, of a deviation.
const ANY_DEVIATION: i16 = i16::MIN;
const SECONDS_PER_DAY: i64 = 86_400;

/// A day of the week, 1 for Monday; `FF` for any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DayOfWeek(pub u8);

/// A date as the meter sent it; parts may be left open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Date {
    /// The year; `FFFF` for any.
    pub year: u16,
    /// 1 to 12; `FF` for any, `FD` and `FE` for the end and the begin of daylight saving time.
    pub month: u8,
    /// 1 to 31; `FF` for any, `FE` and `FD` for the last day of a month and the last but one.
    pub day: u8,
    /// The day of the week.
    pub day_of_week: DayOfWeek,
}

/// A time of day as the meter sent it; parts may be left open (`FF`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Time {
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 to 99.
    pub hundredths: u8,
}

/// The clock status of a date-time; `FF` where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClockStatus(pub u8);

/// A date with a time, its deviation from UTC, and how good the clock was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DateTime {
    /// The date.
    pub date: Date,
    /// The time of day.
    pub time: Time,
    /// Minutes from local time to UTC, daylight saving included: UTC is local time plus this, so that
    /// Central European Time has -60. `8000` where the meter does not say.
    pub deviation: i16,
    /// How good the clock was.
    pub status: ClockStatus,
}

impl ClockStatus {
    /// No status at all.
    pub const NONE: Self = Self(ANY);
    const WORDS: [(u8, &'static str); 5] = [
        (0x01, "time invalid"),
        (0x02, "time doubtful"),
        (0x04, "other clock base"),
        (0x08, "clock status invalid"),
        (0x80, "daylight saving time"),
    ];

    /// Whether the meter states a status.
    #[must_use]
    pub const fn is_stated(self) -> bool {
        self.0 != ANY
    }

    /// Whether the time must not be relied on: bits 0 to 3.
    #[must_use]
    pub const fn is_doubtful(self) -> bool {
        self.is_stated() && self.0 & 0x0F != 0
    }

    /// Whether daylight saving time was on.
    #[must_use]
    pub const fn is_daylight_saving(self) -> bool {
        self.is_stated() && self.0 & 0x80 != 0
    }

    /// What is set, in words.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let bits = if self.is_stated() { self.0 } else { 0 };
        Self::WORDS.into_iter().filter(move |(bit, _)| bits & bit != 0).map(|(_, word)| word)
    }
}

impl Date {
    /// Five bytes: year, month, day, day of the week.
    #[must_use]
    pub const fn from_bytes([high, low, month, day, week]: [u8; 5]) -> Self {
        Self { year: u16::from_be_bytes([high, low]), month, day, day_of_week: DayOfWeek(week) }
    }

    /// The bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 5] {
        let [high, low] = self.year.to_be_bytes();
        [high, low, self.month, self.day, self.day_of_week.0]
    }

    /// Days since 1970-01-01; `None` where a part is left open, or there is no such day.
    #[must_use]
    pub fn unix_days(self) -> Option<i64> {
        if self.year == ANY_YEAR || !(1..=12).contains(&self.month) || self.day == 0 {
            return None;
        }
        let (year, month, day) = (i64::from(self.year), i64::from(self.month), i64::from(self.day));
        if self.day > days_in_month(self.year, self.month) {
            return None;
        }
        // Years that begin in March, so that the leap day is the last.
        let shifted = if month > 2 { year } else { year - 1 };
        let era = shifted.div_euclid(400);
        let year_of_era = shifted - era * 400;
        let month_index = (month + 9) % 12;
        let day_of_year = (153 * month_index + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Some(era * 146_097 + day_of_era - 719_468)
    }

    /// The date so many days after 1970-01-01, with its day of the week. `None` beyond the years 1 to 9999.
    #[must_use]
    pub fn from_unix_days(days: i64) -> Option<Self> {
        let shifted = days.checked_add(719_468)?;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted - era * 146_097;
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_index = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_index + 2) / 5 + 1;
        let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let week = (days + 3).rem_euclid(7) + 1;
        Some(Self {
            year: u16::try_from(year).ok().filter(|year| (1..=9999).contains(year))?,
            month: u8::try_from(month).ok()?,
            day: u8::try_from(day).ok()?,
            day_of_week: DayOfWeek(u8::try_from(week).ok()?),
        })
    }
}

const fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

impl Time {
    /// Four bytes.
    #[must_use]
    pub const fn from_bytes([hour, minute, second, hundredths]: [u8; 4]) -> Self {
        Self { hour, minute, second, hundredths }
    }

    /// The bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 4] {
        [self.hour, self.minute, self.second, self.hundredths]
    }

    /// Milliseconds since midnight; open seconds and hundredths count as none. `None` where hour or
    /// minute is left open, or there is no such time.
    #[must_use]
    pub fn milliseconds(self) -> Option<i64> {
        let open = |part: u8| if part == ANY { 0 } else { part };
        let (second, hundredths) = (open(self.second), open(self.hundredths));
        if self.hour > 23 || self.minute > 59 || second > 59 || hundredths > 99 {
            return None;
        }
        let seconds = i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(second);
        Some(seconds * 1000 + i64::from(hundredths) * 10)
    }
}

impl DateTime {
    /// Twelve bytes: date, time, deviation, status.
    #[must_use]
    pub const fn from_bytes([a, b, c, d, e, f, g, h, i, j, k, status]: [u8; 12]) -> Self {
        Self {
            date: Date::from_bytes([a, b, c, d, e]),
            time: Time::from_bytes([f, g, h, i]),
            deviation: i16::from_be_bytes([j, k]),
            status: ClockStatus(status),
        }
    }

    /// Twelve bytes of an octet string, which is how most meters send a date-time.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        <[u8; 12]>::try_from(bytes).ok().map(Self::from_bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 12] {
        let [a, b, c, d, e] = self.date.to_bytes();
        let [f, g, h, i] = self.time.to_bytes();
        let [j, k] = self.deviation.to_be_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, self.status.0]
    }

    /// The deviation in minutes, where the meter states one that can be: from 14 hours ahead of UTC (-840, in the
    /// Line Islands; New Zealand's summer has -780) to 12 hours behind.
    #[must_use]
    pub fn deviation_minutes(self) -> Option<i16> {
        Some(self.deviation).filter(|minutes| *minutes != ANY_DEVIATION && (-840..=720).contains(minutes))
    }

    /// The same local time with its deviation turned round: for meters whose makers count from UTC to local time, so
    /// that Central European Time has 60. Nothing in the bytes tells; a meter whose clock is off by twice its deviation
    /// is one. A deviation that is not stated stays so.
    #[must_use]
    pub const fn with_opposite_deviation(self) -> Self {
        match self.deviation.checked_neg() {
            Some(deviation) => Self { deviation, ..self },
            None => self,
        }
    }

    /// Local time in milliseconds since 1970-01-01 00:00 of that time zone. `None` where a part is open.
    #[must_use]
    pub fn local_ms(self) -> Option<i64> {
        Some(self.date.unix_days()? * SECONDS_PER_DAY * 1000 + self.time.milliseconds()?)
    }

    /// Unix time in milliseconds. `None` where a part is open, or the deviation is not stated.
    #[must_use]
    pub fn unix_ms(self) -> Option<i64> {
        Some(self.local_ms()? + i64::from(self.deviation_minutes()?) * 60_000)
    }

    /// A point in time, in local time of this deviation, second by second.
    #[must_use]
    pub fn from_unix_s(unix_s: i64, deviation_minutes: i16) -> Option<Self> {
        let local = unix_s.checked_sub(i64::from(deviation_minutes) * 60)?;
        let of_day = u32::try_from(local.rem_euclid(SECONDS_PER_DAY)).ok()?;
        let part = |number: u32| u8::try_from(number).ok();
        Some(Self {
            date: Date::from_unix_days(local.div_euclid(SECONDS_PER_DAY))?,
            time: Time {
                hour: part(of_day / 3600)?,
                minute: part(of_day / 60 % 60)?,
                second: part(of_day % 60)?,
                hundredths: 0,
            },
            deviation: deviation_minutes,
            status: ClockStatus(0),
        })
    }
}

/// Two digits, or `**` for a part that is left open.
struct Part(u8);

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ANY => f.write_str("**"),
            part => write!(f, "{part:02}"),
        }
    }
}

impl fmt::Display for Date {
    /// `2026-11-25`; open parts as stars.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.year {
            ANY_YEAR => f.write_str("****")?,
            year => write!(f, "{year:04}")?,
        }
        write!(f, "-{}-{}", Part(self.month), Part(self.day))
    }
}

impl fmt::Display for Time {
    /// `13:05:00`; hundredths where they are not zero.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", Part(self.hour), Part(self.minute), Part(self.second))?;
        match self.hundredths {
            0 | ANY => Ok(()),
            hundredths => write!(f, ".{hundredths:02}"),
        }
    }
}

impl fmt::Display for DateTime {
    /// RFC 3339 with the offset that the meter states: `2026-11-25T13:05:00+01:00`; without one where it
    /// states none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}T{}", self.date, self.time)?;
        match self.deviation_minutes() {
            None => Ok(()),
            Some(0) => f.write_str("Z"),
            Some(minutes) => {
                let sign = if minutes > 0 { '-' } else { '+' };
                let minutes = minutes.unsigned_abs();
                write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn central_european_time_is_an_hour_ahead() {
        let bytes = [0x07, 0xE3, 0x0C, 0x13, 0x04, 0x0D, 0x05, 0x00, 0x00, 0xFF, 0xC4, 0x80];
        let time = DateTime::from_bytes(bytes);
        assert_eq!(time.to_string(), "2019-12-19T13:05:00+01:00");
        assert_eq!(time.unix_ms(), Some(1_576_757_100_000));
        assert!(time.status.is_daylight_saving() && !time.status.is_doubtful());
        assert_eq!(time.to_bytes(), bytes);
        assert_eq!(time.with_opposite_deviation().unix_ms(), Some(1_576_757_100_000 + 7_200_000));
    }

    #[test]
    fn what_is_left_open_gives_no_time() {
        let open = DateTime::from_bytes([0xFF, 0xFF, 0x0C, 0xFF, 0xFF, 0, 0, 0, 0, 0x80, 0x00, 0xFF]);
        assert_eq!(open.to_string(), "****-12-**T00:00:00");
        assert_eq!((open.unix_ms(), open.local_ms()), (None, None));
        let zoneless = DateTime::from_bytes([0x07, 0xE8, 2, 29, 4, 12, 0, 0xFF, 0xFF, 0x80, 0x00, 0x05]);
        assert_eq!(zoneless.unix_ms(), None);
        assert_eq!(zoneless.local_ms(), Some(1_709_208_000_000));
        assert_eq!(zoneless.status.words().collect::<alloc::vec::Vec<_>>(), ["time invalid", "other clock base"]);
        assert_eq!(Date::from_bytes([0x07, 0xE7, 2, 29, 1]).unix_days(), None, "2023 is no leap year");
    }

    proptest! {
        #[test]
        fn bytes_come_back(bytes: [u8; 12]) {
            let time = DateTime::from_bytes(bytes);
            prop_assert_eq!(time.to_bytes(), bytes);
            let _ = (time.to_string(), time.unix_ms());
        }

        #[test]
        fn unix_time_and_back(unix_s in 0i64..253_402_300_000, deviation in -840i16..=720) {
            let time = DateTime::from_unix_s(unix_s, deviation).unwrap();
            prop_assert_eq!(time.unix_ms(), Some(unix_s * 1000));
        }
    }
}
