//! Times: as people write them, and as they read them.

use std::time::Duration;

use time::{
    Date, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset, format_description::well_known::Rfc3339,
    macros::format_description,
};

/// The zone of times in texts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Zone(Option<UtcOffset>);

impl Zone {
    /// The system's, as far as it can be told.
    pub(crate) fn local() -> Self {
        Self(UtcOffset::current_local_offset().ok())
    }

    /// Date and time with its offset, or in UTC, saying so.
    pub(crate) fn show(self, time: OffsetDateTime) -> String {
        let (offset, format) = match self.0 {
            Some(offset) => (
                offset,
                format_description!(
                    "[year]-[month]-[day] [hour]:[minute]:[second] [offset_hour sign:mandatory]:[offset_minute]"
                ),
            ),
            None => (UtcOffset::UTC, format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC")),
        };
        time.to_offset(offset).format(format).unwrap_or_else(|_| time.to_string())
    }

    /// As [`show`](Self::show), from Unix seconds.
    pub(crate) fn seconds(self, unix_s: u64) -> String {
        let time = i64::try_from(unix_s).ok().and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok());
        time.map_or_else(|| format!("{unix_s} s"), |time| self.show(time))
    }

    /// As [`show`](Self::show), from RFC 3339. What is none stays as it is.
    pub(crate) fn text(self, rfc3339: &str) -> String {
        OffsetDateTime::parse(rfc3339, &Rfc3339).map_or_else(|_| rfc3339.into(), |time| self.show(time))
    }
}

/// How long ago an RFC 3339 time was; nothing for what is none.
fn age(rfc3339: &str, now_ms: i64) -> Option<Duration> {
    let then = OffsetDateTime::parse(rfc3339, &Rfc3339).ok()?;
    let then_ms = i64::try_from(then.unix_timestamp_nanos() / 1_000_000).ok()?;
    Some(Duration::from_millis(u64::try_from(now_ms.saturating_sub(then_ms)).unwrap_or(0)))
}

/// How long ago an RFC 3339 time was, roughly: `3 s`, `5 min`, `2 h`; a dash for what is none.
pub(crate) fn rounded(rfc3339: Option<&str>, now_ms: i64) -> String {
    let Some(seconds) = rfc3339.and_then(|text| age(text, now_ms)).map(|age| age.as_secs()) else {
        return "-".into();
    };
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Reads `90s`, `15m`, `2h`, `7d`, `1w`; a number alone is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("\"{text}\" is no span of time: write 90s, 15m, 2h, 7d or 1w");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err(wrong()),
    };
    let number: u32 = digits.parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(u64::from(number) * unit))
}

/// Reads RFC 3339. Unix milliseconds.
pub(crate) fn instant(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}

/// Reads a moment: a span before now, a day, or RFC 3339. Unix milliseconds. Days begin in the given zone.
pub(crate) fn moment(text: &str, now_ms: i64, zone: Zone) -> Result<i64, String> {
    if let Ok(span) = duration(text) {
        return Ok(now_ms.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)));
    }
    if let Some(instant) = instant(text) {
        return Ok(instant);
    }
    let day = Date::parse(text, format_description!("[year]-[month]-[day]"))
        .map_err(|_| format!("\"{text}\" is no time: write 2h, 2026-01-31 or 2026-01-31T12:00:00Z"))?;
    let time = PrimitiveDateTime::new(day, Time::MIDNIGHT).assume_offset(zone.0.unwrap_or(UtcOffset::UTC));
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).map_err(|_| format!("\"{text}\" is out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_795_423_325_000;
    const ZONE: Zone = Zone(None);

    #[test]
    fn spans_days_and_instants_are_moments() {
        assert_eq!(moment("2h", NOW_MS, ZONE), Ok(NOW_MS - 7_200_000));
        assert_eq!(moment("1970-01-02", NOW_MS, ZONE), Ok(86_400_000));
        let east = Zone(UtcOffset::from_hms(2, 0, 0).ok());
        assert_eq!(moment("1970-01-02", NOW_MS, east), Ok(86_400_000 - 7_200_000));
        assert_eq!(moment("1970-01-01T00:00:01.5+00:00", NOW_MS, east), Ok(1500));
        for wrong in ["", "h", "2x", "2026-13-01", "-5s", "99999999999s"] {
            assert!(moment(wrong, NOW_MS, ZONE).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_name_their_zone() {
        assert_eq!(ZONE.seconds(1_795_423_325), "2026-11-23 08:42:05 UTC");
        let east = Zone(UtcOffset::from_hms(5, 30, 0).ok());
        assert_eq!(east.text("2026-11-23T08:42:05Z"), "2026-11-23 14:12:05 +05:30");
        assert_eq!(east.text("never"), "never");
    }

    #[test]
    fn ages_are_rounded_to_what_matters() {
        let ago = |text: &str| rounded(Some(text), NOW_MS);
        assert_eq!(ago("2026-11-23T08:42:00Z"), "5 s");
        assert_eq!(ago("2026-11-23T08:30:00Z"), "12 min");
        assert_eq!(ago("2026-11-22T08:42:05Z"), "24 h");
        assert_eq!(ago("2026-11-01T08:42:05Z"), "22 d");
        assert_eq!((ago("2027-01-01T00:00:00Z"), rounded(None, NOW_MS)), ("0 s".into(), "-".into()));
    }
}
