//! Results, as codes that may be unknown.

use core::fmt;

/// Why an attribute can't be read or written; 0 is success (IEC 62056-5-3, Data-Access-Result).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DataAccessResult(pub u8);

/// What came of a method (IEC 62056-5-3, Action-Result).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ActionResult(pub u8);

impl DataAccessResult {
    /// It went well.
    pub const SUCCESS: Self = Self(0);
    /// The meter has a passing trouble.
    pub const TEMPORARY_FAILURE: Self = Self(2);
    /// This client may not.
    pub const READ_WRITE_DENIED: Self = Self(3);
    /// There is no such object.
    pub const OBJECT_UNDEFINED: Self = Self(4);
    /// The object is of another class.
    pub const CLASS_INCONSISTENT: Self = Self(9);
    /// The object is there and can't be had now.
    pub const OBJECT_UNAVAILABLE: Self = Self(11);
    /// The type does not fit.
    pub const TYPE_UNMATCHED: Self = Self(12);
    /// The scope of access is violated.
    pub const SCOPE_VIOLATED: Self = Self(13);
    /// No long answer is under way.
    pub const NO_LONG_GET: Self = Self(16);

    /// The name, as the standard writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "success",
            1 => "hardware-fault",
            2 => "temporary-failure",
            3 => "read-write-denied",
            4 => "object-undefined",
            9 => "object-class-inconsistent",
            11 => "object-unavailable",
            12 => "type-unmatched",
            13 => "scope-of-access-violated",
            14 => "data-block-unavailable",
            15 => "long-get-aborted",
            16 => "no-long-get-in-progress",
            17 => "long-set-aborted",
            18 => "no-long-set-in-progress",
            19 => "data-block-number-invalid",
            250 => "other-reason",
            _ => "unknown result",
        }
    }
}

impl ActionResult {
    /// It went well.
    pub const SUCCESS: Self = Self(0);

    /// The name, as the standard writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            15 => "long-action-aborted",
            16 => "no-long-action-in-progress",
            code @ (0..=4 | 9 | 11..=14 | 19 | 250) => DataAccessResult(code).name(),
            _ => "unknown result",
        }
    }
}

impl fmt::Display for DataAccessResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

impl fmt::Display for ActionResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}
