//! The time as a DLMS meter's clock wants it: in the zone and the form that its own clock shows. Pure.

use plomb_dlms::axdr::{ClockStatus, DateTime, DayOfWeek};

/// Nearer than this a clock is taken to be right, when two readings of it are compared, in milliseconds.
const NEAR_MS: u64 = 15 * 60 * 1000;
/// A part that a meter leaves open.
const OPEN: u8 = 0xFF;
/// The bit of a clock status that says daylight saving time.
const DAYLIGHT: u8 = 0x80;
/// Minutes that daylight saving is ahead, nearly everywhere.
const DAYLIGHT_MINUTES: i16 = 60;
/// Deviations that a time zone can have, in minutes.
const ZONES: core::ops::RangeInclusive<i16> = -840..=720;

/// How a meter's clock is read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Each time states its deviation, as the standard counts it.
    Stated,
    /// Each time states its deviation with the opposite sign.
    Opposite,
    /// Times state none; the clock's zone is this many minutes from UTC, without daylight saving.
    Zone(i16),
}

impl Form {
    /// The form of a clock that shows `told` at `now_ms`, with what its attribute `time_zone` says.
    ///
    /// # Errors
    /// Why the clock can't be set.
    pub fn of(told: DateTime, zone: Option<i16>, now_ms: i64) -> Result<Self, String> {
        let Some(deviation) = told.deviation_minutes() else {
            return zone.filter(|zone| ZONES.contains(zone)).map(Self::Zone).ok_or_else(|| {
                "its clock states no deviation from UTC, and no time zone: nobody knows what time it is to show".into()
            });
        };
        let off = |time: Option<i64>| time.map_or(u64::MAX, |ms| ms.abs_diff(now_ms));
        let (stated, opposite) = (off(told.unix_ms()), off(told.with_opposite_deviation().unix_ms()));
        // Only a clock that is right one way tells that its maker counts that way.
        Ok(if deviation != 0 && opposite < NEAR_MS && stated >= NEAR_MS { Self::Opposite } else { Self::Stated })
    }

    /// The time that a clock of this form shows, Unix milliseconds.
    pub fn unix_ms(self, told: DateTime) -> Option<i64> {
        match self {
            Self::Stated => told.unix_ms(),
            Self::Opposite => told.with_opposite_deviation().unix_ms(),
            Self::Zone(zone) => Some(told.local_ms()? + i64::from(with_daylight(zone, told.status)) * 60_000),
        }
    }

    /// `now_ms` in this form, with what `told` leaves open left open.
    pub fn write(self, now_ms: i64, told: DateTime) -> Option<DateTime> {
        let now_s = now_ms.checked_add(500)?.div_euclid(1000);
        let deviation = match self {
            Self::Stated => told.deviation_minutes()?,
            Self::Opposite => told.deviation_minutes()?.checked_neg()?,
            Self::Zone(zone) => with_daylight(zone, told.status),
        };
        let mut time = DateTime::from_unix_s(now_s, deviation)?;
        time.deviation = told.deviation;
        // Only whether it is summer is ours to say; that the clock is good, the meter decides.
        let status = ClockStatus(told.status.0 & DAYLIGHT);
        time.status = if told.status.is_stated() { status } else { ClockStatus::NONE };
        if told.date.day_of_week == DayOfWeek(OPEN) {
            time.date.day_of_week = DayOfWeek(OPEN);
        }
        if told.time.hundredths == OPEN {
            time.time.hundredths = OPEN;
        }
        Some(time)
    }
}

const fn with_daylight(zone: i16, status: ClockStatus) -> i16 {
    if status.is_daylight_saving() { zone.saturating_sub(DAYLIGHT_MINUTES) } else { zone }
}

/// A difference of clocks in words.
pub fn off_by(meter_ms: i64, ours_ms: i64) -> String {
    let seconds = meter_ms.abs_diff(ours_ms).div_ceil(1000).saturating_sub(1);
    match (seconds, meter_ms > ours_ms) {
        (0, _) => "it was right".into(),
        (seconds, true) => format!("it was {seconds} s ahead"),
        (seconds, false) => format!("it was {seconds} s behind"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_MS: i64 = 1_795_423_325_000;

    fn shown(unix_s: i64, deviation: i16) -> DateTime {
        DateTime::from_unix_s(unix_s, deviation).unwrap()
    }

    #[test]
    fn a_maker_s_opposite_sign_is_seen_where_the_clock_is_right_that_way_only() {
        let right = shown(NOW_MS / 1000, -60);
        assert_eq!(Form::of(right, None, NOW_MS), Ok(Form::Stated));
        assert_eq!(Form::of(right.with_opposite_deviation(), None, NOW_MS), Ok(Form::Opposite));
        // A clock that is wrong both ways is the standard's.
        let wrong = shown(NOW_MS / 1000 - 86_400, -60).with_opposite_deviation();
        assert_eq!(Form::of(wrong, None, NOW_MS), Ok(Form::Stated));
        assert_eq!(Form::of(shown(NOW_MS / 1000 + 7200, 0), None, NOW_MS), Ok(Form::Stated));
    }

    #[test]
    fn a_clock_without_a_zone_is_not_guessed_at() {
        let zoneless = DateTime { deviation: i16::MIN, ..shown(NOW_MS / 1000, -60) };
        assert!(Form::of(zoneless, None, NOW_MS).unwrap_err().contains("no time zone"));
        assert!(Form::of(zoneless, Some(i16::MIN), NOW_MS).is_err());
        let form = Form::of(zoneless, Some(-60), NOW_MS).unwrap();
        assert_eq!(form.unix_ms(zoneless), Some(NOW_MS));
        let summer = DateTime { status: ClockStatus(0x80), ..zoneless };
        assert_eq!(form.unix_ms(summer), Some(NOW_MS - 3_600_000));
    }

    #[test]
    fn what_the_meter_leaves_open_stays_open() {
        let mut told = shown(0, -60);
        (told.date.day_of_week, told.time.hundredths, told.status) = (DayOfWeek(OPEN), OPEN, ClockStatus(0x83));
        let set = Form::Stated.write(NOW_MS, told).unwrap();
        assert_eq!((set.date.day_of_week, set.time.hundredths, set.status), (DayOfWeek(OPEN), OPEN, ClockStatus(0x80)));
        told.status = ClockStatus::NONE;
        assert_eq!(Form::Stated.write(NOW_MS, told).unwrap().status, ClockStatus::NONE);
    }

    proptest! {
        /// Whatever a clock shows: what is written is read as now, to the second.
        #[test]
        fn what_is_written_is_now(bytes: [u8; 12], zone: Option<i16>, now_s in 0i64..4_000_000_000) {
            let told = DateTime::from_bytes(bytes);
            if let Ok(form) = Form::of(told, zone, now_s * 1000) {
                let set = form.write(now_s * 1000, told).unwrap();
                prop_assert_eq!(form.unix_ms(set).map(|ms| ms / 1000), Some(now_s));
                prop_assert_eq!(set.deviation, told.deviation);
            }
        }
    }
}
