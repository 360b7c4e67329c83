//! Seconds since 1970 as dates of a meter's clock (UTC, no summer time).

/// 2000-01-01 00:00:00 UTC.
const YEAR_2000_UNIX_S: u64 = 946_684_800;
const DAY_S: u64 = 86_400;

/// A date and time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date {
    /// 0 is 2000.
    pub(super) year: u8,
    pub(super) month: u8,
    pub(super) day: u8,
    pub(super) hour: u8,
    pub(super) minute: u8,
}

impl Date {
    /// Times before 2000 are 2000, years after 2099 wrap.
    pub(super) fn of(unix_s: u64) -> Self {
        let since = unix_s.saturating_sub(YEAR_2000_UNIX_S);
        let (mut days, second) = (since / DAY_S, since % DAY_S);
        let mut year = 0;
        while days >= year_days(year) {
            days -= year_days(year);
            year += 1;
        }
        let mut month = 1;
        while days >= month_days(year, month) {
            days -= month_days(year, month);
            month += 1;
        }
        let small = |number: u64| u8::try_from(number).unwrap_or_default();
        Self {
            year: small(year % 100),
            month: small(month),
            day: small(days + 1),
            hour: small(second / 3600),
            minute: small(second % 3600 / 60),
        }
    }

    /// Type F (EN 13757-3): minute, hour, day and year, month and year.
    pub(super) fn type_f(self) -> [u8; 4] {
        let [day, month] = self.type_g();
        [self.minute, self.hour, day, month]
    }

    /// Type G (EN 13757-3): day with the year's low bits, month with its high ones.
    pub(super) fn type_g(self) -> [u8; 2] {
        [self.day | (self.year & 0x07) << 5, self.month | (self.year & 0x78) << 1]
    }
}

/// When the month of `unix_s` began.
pub(super) fn month_start(unix_s: u64) -> u64 {
    let date = Date::of(unix_s);
    let midnight = unix_s - unix_s % DAY_S;
    midnight.saturating_sub((u64::from(date.day) - 1) * DAY_S)
}

fn year_days(year: u64) -> u64 {
    if leap(year) { 366 } else { 365 }
}

fn leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn month_days(year: u64, month: u64) -> u64 {
    match month {
        2 if leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_seconds_are_known_dates() {
        let date = Date::of(1_795_423_325);
        assert_eq!(date, Date { year: 26, month: 11, day: 23, hour: 8, minute: 42 });
        assert_eq!(Date::of(951_782_400), Date { year: 0, month: 2, day: 29, hour: 0, minute: 0 });
        assert_eq!(month_start(1_795_423_325), 1_793_491_200);
    }

    #[test]
    fn types_f_and_g_are_those_of_known_telegrams() {
        // Year 8: its low three bits are 0, the bit of value 8 goes to the month.
        let date = Date { year: 8, month: 5, day: 31, hour: 23, minute: 50 };
        assert_eq!(date.type_f(), [0x32, 0x17, 0x1F, 0x15]);
        assert_eq!(Date { year: 30, month: 12, day: 31, hour: 0, minute: 0 }.type_g(), [0xDF, 0x3C]);
    }
}
