//! When configurations and commands of the ledger take effect.

use serde::Deserialize;

use super::finding::Findings;

/// The shortest and the longest time that a new configuration has to prove itself, in seconds.
pub const CONFIRM_S_MIN: u32 = 5;
/// See [`CONFIRM_S_MIN`]: a gateway that nobody reaches for longer needs a visit.
pub const CONFIRM_S_MAX: u32 = 3600;
/// A day, in minutes.
const DAY_MIN: u32 = 24 * 60;

/// When configurations and commands of the ledger take effect.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct Orders {
    /// When routine configurations are applied, in UTC: `02:00-04:00`; `00:00-24:00` is at any time.
    pub maintenance: Maintenance,
    /// How long a new configuration has to reach the hub and a meter before it is taken back, in seconds.
    pub confirm_s: u32,
}

/// A span of every day, in minutes of UTC. It may reach over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Maintenance {
    from_min: u32,
    until_min: u32,
}

impl Default for Orders {
    fn default() -> Self {
        Self { maintenance: Maintenance { from_min: 2 * 60, until_min: 4 * 60 }, confirm_s: 120 }
    }
}

impl Orders {
    pub(super) fn check(&self, found: &mut Findings) {
        found.named("orders").within("confirm_s", Some(self.confirm_s), CONFIRM_S_MIN..=CONFIRM_S_MAX);
    }
}

impl Maintenance {
    /// Whether a time, in Unix milliseconds, is within it.
    pub fn holds(&self, unix_ms: i64) -> bool {
        let minute = minute_of_day(unix_ms);
        if self.from_min <= self.until_min {
            (self.from_min..self.until_min).contains(&minute)
        } else {
            minute >= self.from_min || minute < self.until_min
        }
    }

    /// How long until it begins, in milliseconds; 0 within it.
    pub fn wait_ms(&self, unix_ms: i64) -> i64 {
        if self.holds(unix_ms) {
            return 0;
        }
        let day_ms = i64::from(DAY_MIN) * 60_000;
        let begins_ms = i64::from(self.from_min) * 60_000;
        (begins_ms - unix_ms.rem_euclid(day_ms)).rem_euclid(day_ms)
    }
}

fn minute_of_day(unix_ms: i64) -> u32 {
    u32::try_from(unix_ms.div_euclid(60_000).rem_euclid(i64::from(DAY_MIN))).unwrap_or(0)
}

impl TryFrom<String> for Maintenance {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no span of the day: write \"02:00-04:00\", in UTC");
        let minutes = |time: &str| {
            let (hour, minute) = time.trim().split_once(':')?;
            let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            let (hour, minute): (u32, u32) = match digits(hour) && digits(minute) {
                true => (hour.parse().ok()?, minute.parse().ok()?),
                false => return None,
            };
            (minute < 60 && hour * 60 + minute <= DAY_MIN).then_some(hour * 60 + minute)
        };
        let (from, until) = text.split_once('-').ok_or_else(wrong)?;
        let (from_min, until_min) = minutes(from).zip(minutes(until)).ok_or_else(wrong)?;
        if from_min == until_min {
            return Err(format!("\"{text}\" holds no time: for any time write \"00:00-24:00\""));
        }
        Ok(Self { from_min, until_min })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str) -> Result<Maintenance, String> {
        text.to_string().try_into()
    }

    /// 2026-06-01 at this hour and minute.
    fn at(hour: i64, minute: i64) -> i64 {
        1_780_272_000_000 + (hour * 60 + minute) * 60_000
    }

    #[test]
    fn a_span_is_of_the_day_and_may_reach_over_midnight() {
        let night = span("02:00-04:00").unwrap();
        assert!(night.holds(at(2, 0)) && night.holds(at(3, 59)) && !night.holds(at(4, 0)) && !night.holds(at(1, 59)));
        let late = span("23:00-01:00").unwrap();
        assert!(late.holds(at(23, 30)) && late.holds(at(0, 59)) && !late.holds(at(1, 0)) && !late.holds(at(22, 59)));
        let always = span("00:00-24:00").unwrap();
        assert!(always.holds(at(0, 0)) && always.holds(at(23, 59)));
    }

    #[test]
    fn the_wait_ends_when_it_begins() {
        let night = span("02:00-04:00").unwrap();
        assert_eq!(night.wait_ms(at(1, 30)), 30 * 60_000);
        assert_eq!(night.wait_ms(at(5, 0)), 21 * 3_600_000);
        assert_eq!(night.wait_ms(at(2, 0)), 0);
    }

    #[test]
    fn what_is_no_span_is_refused_with_an_example() {
        for text in ["", "2:00-4:00", "02:00", "02:60-03:00", "24:01-02:00", "aa:bb-cc:dd", "02:00-04:00-06:00"] {
            assert!(span(text).unwrap_err().contains("02:00-04:00"), "{text}");
        }
        assert!(span("02:00-02:00").unwrap_err().contains("00:00-24:00"));
    }
}
