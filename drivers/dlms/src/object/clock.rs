//! The clock (class 8).

use super::attribute::{Call, Change, interface};
use super::read::codes;
use crate::axdr::{ClockStatus, DateTime, Value};
use alloc::vec;

interface! {
    /// Clock (IEC 62056-6-2 §5.5.1). Almost always at `0-0:1.0.0`.
    Clock = 8 "clock"
    attributes {
        /// Local time, with its deviation from UTC and its status.
        time = 2: DateTime,
        /// Minutes from local normal time to UTC: -60 in Central Europe.
        time_zone = 3: i16,
        /// How good the clock is.
        status = 4: ClockStatus,
        /// When daylight saving begins; parts that repeat are open.
        daylight_savings_begin = 5: Option<DateTime>,
        /// When it ends.
        daylight_savings_end = 6: Option<DateTime>,
        /// Minutes that daylight saving is ahead.
        daylight_savings_deviation = 7: i8,
        /// Whether the clock observes daylight saving.
        daylight_savings_enabled = 8: bool,
        /// What it takes its time from.
        clock_base = 9: ClockBase,
    }
    methods {
        adjust_to_quarter = 1,
        adjust_to_measuring_period = 2,
        adjust_to_minute = 3,
        adjust_to_preset_time = 4,
        preset_adjusting_time = 5,
        shift_time = 6,
    }
}

codes! {
    /// What a clock takes its time from.
    ClockBase {
        /// The meter does not say.
        UNDEFINED = 0 "not defined",
        /// A crystal.
        CRYSTAL = 1 "internal crystal",
        /// The grid, 50 Hz.
        MAINS_50_HZ = 2 "mains frequency 50 Hz",
        /// The grid, 60 Hz.
        MAINS_60_HZ = 3 "mains frequency 60 Hz",
        /// Satellites.
        GPS = 4 "GPS",
        /// A radio signal.
        RADIO = 5 "radio controlled",
    }
}

/// The most seconds that [`Clock::shift_time`] moves a clock by.
pub const SHIFT_SECONDS_MAX: i16 = 900;

impl super::FromValue for ClockStatus {
    fn from_value(value: &Value) -> Result<Self, super::Mismatch> {
        u8::from_value(value).map(Self)
    }
}

impl Clock {
    /// Sets the clock. The deviation in `time` must be the meter's own of that moment, daylight saving included.
    #[must_use]
    pub fn set_time(self, time: DateTime) -> Change {
        self.time().change(octets(time))
    }

    /// Moves the clock by seconds. `None` beyond [`SHIFT_SECONDS_MAX`] either way.
    #[must_use]
    pub fn shift_time(self, seconds: i16) -> Option<Call> {
        let allowed = seconds.unsigned_abs() <= SHIFT_SECONDS_MAX.unsigned_abs();
        allowed.then(|| Call::new(Self::CLASS, self.0, 6, Value::Long(seconds)))
    }

    /// Sets the clock to the nearest whole minute.
    #[must_use]
    pub const fn adjust_to_minute(self) -> Call {
        Call::new(Self::CLASS, self.0, 3, Value::Integer(0))
    }

    /// Sets the clock to the nearest quarter of an hour.
    #[must_use]
    pub const fn adjust_to_quarter(self) -> Call {
        Call::new(Self::CLASS, self.0, 1, Value::Integer(0))
    }

    /// Lays a time ready that [`adjust_to_preset_time`](Self::adjust_to_preset_time) sets between `from` and `to`.
    #[must_use]
    pub fn preset_adjusting_time(self, time: DateTime, from: DateTime, to: DateTime) -> Call {
        let parameters = Value::Structure(vec![octets(time), octets(from), octets(to)]);
        Call::new(Self::CLASS, self.0, 5, parameters)
    }

    /// Sets the clock to the time that was laid ready.
    #[must_use]
    pub const fn adjust_to_preset_time(self) -> Call {
        Call::new(Self::CLASS, self.0, 4, Value::Integer(0))
    }
}

fn octets(time: DateTime) -> Value {
    Value::OctetString(time.to_bytes().to_vec())
}
