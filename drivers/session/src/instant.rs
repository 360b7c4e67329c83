use core::fmt;
use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

/// A point in time: microseconds since an origin that the caller chooses and keeps.
///
/// Nothing here reads a clock. The driver loop maps its monotonic clock to this type; tests count
/// virtual time from [`Instant::ORIGIN`]. Arithmetic saturates: a deadline never wraps into the past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    micros: u64,
}

impl Instant {
    /// The origin itself.
    pub const ORIGIN: Self = Self { micros: 0 };

    /// The instant `micros` microseconds after the origin.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self { micros }
    }

    /// The instant `since_origin` after the origin.
    #[must_use]
    pub fn from_duration(since_origin: Duration) -> Self {
        Self::ORIGIN + since_origin
    }

    /// Microseconds since the origin.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.micros
    }

    /// Time since `earlier`; zero when `earlier` is later.
    #[must_use]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.micros.saturating_sub(earlier.micros))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, later_by: Duration) -> Self {
        let micros = u64::try_from(later_by.as_micros()).unwrap_or(u64::MAX);
        Self { micros: self.micros.saturating_add(micros) }
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, later_by: Duration) {
        *self = *self + later_by;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, earlier_by: Duration) -> Self {
        let micros = u64::try_from(earlier_by.as_micros()).unwrap_or(u64::MAX);
        Self { micros: self.micros.saturating_sub(micros) }
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06} s", self.micros / 1_000_000, self.micros % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        let late = Instant::from_micros(u64::MAX - 1);
        assert_eq!((late + Duration::from_secs(1)).as_micros(), u64::MAX);
        assert_eq!(Instant::ORIGIN - Duration::from_secs(1), Instant::ORIGIN);
        assert_eq!(Instant::ORIGIN - late, Duration::ZERO);
    }

    #[test]
    fn round_trips_through_duration() {
        let at = Instant::from_duration(Duration::from_millis(1500));
        assert_eq!(at - Instant::ORIGIN, Duration::from_millis(1500));
        assert_eq!(alloc::format!("{at}"), "1.500000 s");
    }
}
