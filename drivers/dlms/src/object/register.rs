//! Data and registers (classes 1, 3, 4, 5).

use super::attribute::{Call, interface};
use super::unit::ScalerUnit;
use crate::axdr::{DateTime, Value};

interface! {
    /// Data: a value of any type, without a unit (IEC 62056-6-2 §5.3.1).
    Data = 1 "data"
    attributes {
        /// The value.
        value = 2: Value,
    }
    methods {}
}

interface! {
    /// Register: a value with a unit (§5.3.2). Its number is [`ScalerUnit::apply`] of the value.
    Register = 3 "register"
    attributes {
        /// The value, to be scaled.
        value = 2: Value,
        /// Scaler and unit; they do not change while the meter's firmware doesn't.
        scaler_unit = 3: ScalerUnit,
    }
    methods { reset = 1, }
}

interface! {
    /// Extended register: a value with a unit, a status and a time (§5.3.3).
    ExtendedRegister = 4 "extended register"
    attributes {
        /// The value, to be scaled.
        value = 2: Value,
        /// Scaler and unit.
        scaler_unit = 3: ScalerUnit,
        /// The maker's own status.
        status = 4: Value,
        /// When the value was captured; `None` where it never was.
        capture_time = 5: Option<DateTime>,
    }
    methods { reset = 1, }
}

interface! {
    /// Demand register: averages over a period, which may slide (§5.3.4).
    DemandRegister = 5 "demand register"
    attributes {
        /// The average of the period that runs, to be scaled.
        current_average_value = 2: Value,
        /// The average of the last whole period, to be scaled.
        last_average_value = 3: Value,
        /// Scaler and unit of both.
        scaler_unit = 4: ScalerUnit,
        /// The maker's own status of the last average.
        status = 5: Value,
        /// When the last average was made; `None` where it never was.
        capture_time = 6: Option<DateTime>,
        /// When the running period began.
        start_time_current = 7: Option<DateTime>,
        /// Seconds between two averages.
        period = 8: u32,
        /// Over how many periods an average is made; 1 where it does not slide.
        number_of_periods = 9: u16,
    }
    methods { reset = 1, next_period = 2, }
}

const NOTHING: Value = Value::Integer(0);

impl Register {
    /// Sets the value to its default. Not for billing registers.
    #[must_use]
    pub const fn reset(self) -> Call {
        Call::new(Self::CLASS, self.0, 1, NOTHING)
    }
}

impl ExtendedRegister {
    /// Sets value, status and time to their defaults.
    #[must_use]
    pub const fn reset(self) -> Call {
        Call::new(Self::CLASS, self.0, 1, NOTHING)
    }
}

impl DemandRegister {
    /// Sets the averages to their defaults and begins a period.
    #[must_use]
    pub const fn reset(self) -> Call {
        Call::new(Self::CLASS, self.0, 1, NOTHING)
    }

    /// Closes the running period now.
    #[must_use]
    pub const fn next_period(self) -> Call {
        Call::new(Self::CLASS, self.0, 2, NOTHING)
    }
}
