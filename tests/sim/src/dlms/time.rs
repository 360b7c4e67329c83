//! COSEM date-times (IEC 62056-6-2, 4.1.6.1): twelve octets of local time.

const DAY_S: i64 = 86_400;

/// The deviation of a meter that does not know its zone.
pub const DEVIATION_UNKNOWN: i16 = i16::MIN;

/// A date-time as a meter says it: `deviation_min` is what has to be added to local time for UTC
/// (-60 in Central Europe's winter), or [`DEVIATION_UNKNOWN`].
#[must_use]
pub fn date_time(unix_s: u64, deviation_min: i16, status: u8) -> [u8; 12] {
    let unix_s = i64::try_from(unix_s).unwrap_or(i64::MAX / 2);
    let local = unix_s - offset_s(deviation_min);
    let (days, second) = (local.div_euclid(DAY_S), local.rem_euclid(DAY_S));
    let (year, month, day) = civil(days);
    let [year_high, year_low] = u16::try_from(year).unwrap_or(u16::MAX).to_be_bytes();
    let [deviation_high, deviation_low] = deviation_min.to_be_bytes();
    let small = |number: i64| u8::try_from(number).unwrap_or(0xFF);
    [
        year_high,
        year_low,
        small(month),
        small(day),
        // 1970-01-01 was a Thursday; Monday is 1.
        small((days + 3).rem_euclid(7) + 1),
        small(second / 3600),
        small(second % 3600 / 60),
        small(second % 60),
        0,
        deviation_high,
        deviation_low,
        status,
    ]
}

/// The instant of a date-time; one without a deviation is in the zone of `default_deviation_min`.
/// `None` when the date has wildcards or cannot be. A time that isn't told counts as its least.
#[must_use]
pub fn instant(octets: &[u8], default_deviation_min: i16) -> Option<u64> {
    let [year_high, year_low, month, day, _, hour, minute, second, _, deviation_high, deviation_low, _] =
        <[u8; 12]>::try_from(octets).ok()?;
    let year = u16::from_be_bytes([year_high, year_low]);
    if year == 0xFFFF || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let part = |octet: u8, limit: u8| match octet {
        0xFF => Some(0),
        told if told < limit => Some(i64::from(told)),
        _ => None,
    };
    let second = part(hour, 24)? * 3600 + part(minute, 60)? * 60 + part(second, 60)?;
    let deviation = match i16::from_be_bytes([deviation_high, deviation_low]) {
        DEVIATION_UNKNOWN => default_deviation_min,
        known => known,
    };
    let days = days_of(year.into(), month.into(), day.into());
    u64::try_from(days * DAY_S + second + offset_s(deviation)).ok()
}

/// Whether an instant is within Europe's summer time: from the last Sunday of March to that of October, 01:00 UTC.
pub(super) fn is_summer(unix_s: u64) -> bool {
    let (year, _, _) = civil(i64::try_from(unix_s).unwrap_or_default().div_euclid(DAY_S));
    let change = |month: i64| {
        let last_day = days_of(year, month, 31);
        // 1970-01-01 was a Thursday: days that are 3 modulo 7 are Sundays.
        (last_day - (last_day + 4).rem_euclid(7)) * DAY_S + 3600
    };
    i64::try_from(unix_s).is_ok_and(|unix_s| (change(3)..change(10)).contains(&unix_s))
}

fn offset_s(deviation_min: i16) -> i64 {
    if deviation_min == DEVIATION_UNKNOWN { 0 } else { i64::from(deviation_min) * 60 }
}

/// When the month of an instant began (UTC).
pub(super) fn month_start(unix_s: u64) -> u64 {
    let days = i64::try_from(unix_s).unwrap_or_default().div_euclid(DAY_S);
    let (year, month, _) = civil(days);
    u64::try_from(days_of(year, month, 1) * DAY_S).unwrap_or_default()
}

/// Year, month and day of a day counted from 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    // Years are counted from March on, so that the leap day ends them.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let march_month = (month + 9) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_second_is_its_date() {
        // 2026-11-23 08:42:05 UTC, a Monday; in Central Europe's winter 09:42:05.
        let octets = date_time(1_795_423_325, -60, 0);
        assert_eq!(octets, [0x07, 0xEA, 11, 23, 1, 9, 42, 5, 0, 0xFF, 0xC4, 0]);
        assert_eq!(instant(&octets, 0), Some(1_795_423_325));
        let zoneless = date_time(1_795_423_325, DEVIATION_UNKNOWN, 0);
        assert_eq!(zoneless[9..11], [0x80, 0x00]);
        assert_eq!(instant(&zoneless, 0), Some(1_795_423_325));
    }

    #[test]
    fn every_day_of_a_century_returns() {
        for day in 0..36_600u64 {
            let unix_s = day * 86_400 + 12_345;
            assert_eq!(instant(&date_time(unix_s, 0, 0), 0), Some(unix_s));
        }
        assert_eq!(month_start(1_795_423_325), 1_793_491_200);
    }

    #[test]
    fn summer_begins_and_ends_on_sundays() {
        // 2026-03-29 and 2026-10-25, 01:00 UTC.
        for (change, before, after) in [(1_774_746_000, false, true), (1_792_890_000, true, false)] {
            assert_eq!((is_summer(change - 1), is_summer(change)), (before, after));
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        assert_eq!(instant(&[0xFF; 12], 0), None);
        assert_eq!(instant(&[0x07, 0xEA, 13, 1, 1, 0, 0, 0, 0, 0, 0, 0], 0), None);
        assert_eq!(instant(&[0x07, 0xEA, 1, 1], 0), None);
    }
}
