//! Orthogonal value information extensions: what a VIFE says about a value beside its quantity
//! (EN 13757-3:2018, tables 15 to 17).

use core::fmt;

/// The value information extensions of one record, in the telegram's order.
///
/// Iterate to get each as a [`Modifier`]. [`as_bytes`](Self::as_bytes) gives them as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Modifiers<'a> {
    bytes: &'a [u8],
    manufacturer: bool,
}

/// What one value information extension says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Modifier {
    /// 00-1F: the slave's answer to the record, [`RecordStatus::None`] when all is well.
    Status(RecordStatus),
    /// 13: the data is an inverse compact profile.
    InverseCompactProfile,
    /// 1E: the data is a compact profile with registers.
    CompactProfileWithRegister,
    /// 1F: the data is a compact profile.
    CompactProfile,
    /// 20-27, 2C-35: per this unit.
    Per(&'static str),
    /// 28-2B: increment per pulse on an input or output channel.
    PerPulse {
        /// Whether an output; else an input.
        output: bool,
        /// Channel 0 or 1.
        channel: u8,
    },
    /// 36-38: multiplied by this unit.
    Times(&'static str),
    /// 39: the value is the date (and time) at which this begins.
    StartDate,
    /// 3A: uncorrected, at measurement conditions.
    Uncorrected,
    /// 3B: accumulated only where the contribution is positive (forward, import).
    Positive,
    /// 3C: accumulated only where the contribution is negative, as a magnitude (backward, export).
    Negative,
    /// 3D: in an alternative, non-metric unit.
    NonMetric,
    /// 3E: at base conditions.
    BaseConditions,
    /// 3F: the record declares an OBIS code.
    ObisDeclaration,
    /// 40, 48: the value is a limit.
    Limit {
        /// Upper or lower.
        upper: bool,
    },
    /// 41, 49: the value counts how often the limit was passed.
    LimitCount {
        /// Upper or lower.
        upper: bool,
    },
    /// 42-4F: the value is the date (and time) at which the limit was passed.
    LimitDate {
        /// Upper or lower.
        upper: bool,
        /// The last time; else the first.
        last: bool,
        /// Its end; else its begin.
        end: bool,
    },
    /// 50-5F: the value is how long the limit was passed.
    LimitDuration {
        /// Upper or lower.
        upper: bool,
        /// The last time; else the first.
        last: bool,
        /// s, min, h or d.
        unit: &'static str,
    },
    /// 60-67: the value is the duration of this.
    Duration {
        /// The last time; else the first.
        last: bool,
        /// s, min, h or d.
        unit: &'static str,
    },
    /// 68, 6C: the value while the limit was passed.
    DuringLimit {
        /// Upper or lower.
        upper: bool,
    },
    /// 69: leakage.
    Leakage,
    /// 6D: overflow.
    Overflow,
    /// 6A, 6B, 6E, 6F: the value is the date (and time) of this.
    DateOf {
        /// The last time; else the first.
        last: bool,
        /// Its end; else its begin.
        end: bool,
    },
    /// 70-77, 7D: multiplied by this power of ten (already done to the value).
    Scale(i8),
    /// 78-7B: this power of ten of the unit is added (already done to the value).
    Offset(i8),
    /// 7E: a future value, as the next due date.
    Future,
    /// FC 01-07: at this phase, or between these phases.
    Phase(&'static str),
    /// FC 08-0B: in this quadrant, 1 to 4.
    Quadrant(u8),
    /// FC 0C: the difference of import and export.
    ImportMinusExport,
    /// FC 10: accumulated magnitudes of both signs.
    Magnitude,
    /// FC 11: the value is coded unsigned (type C).
    Unsigned,
    /// FC 12: the value is coded as bits (type D).
    Bits,
    /// FC 13: from the communication partner to the meter.
    ToMeter,
    /// FC 14: from the meter to the communication partner.
    FromMeter,
    /// Any code after 7F or FF, or after a manufacturer-specific VIF.
    Manufacturer(u8),
    /// A reserved code.
    Unknown(u8),
    /// A reserved code after FC.
    UnknownExtension(u8),
}

/// What the slave says about a record instead of, or beside, its value (table 17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecordStatus {
    /// 00.
    None,
    /// 01.
    TooManyDifes,
    /// 02.
    StorageNotImplemented,
    /// 03.
    SubunitNotImplemented,
    /// 04.
    TariffNotImplemented,
    /// 05.
    FunctionNotImplemented,
    /// 06.
    DataClassNotImplemented,
    /// 07.
    DataSizeNotImplemented,
    /// 0B.
    TooManyVifes,
    /// 0C.
    IllegalVifGroup,
    /// 0D.
    IllegalVifExponent,
    /// 0E.
    DifVifMismatch,
    /// 0F.
    UnimplementedAction,
    /// 15: the value is undefined.
    NoDataAvailable,
    /// 16.
    Overflow,
    /// 17.
    Underflow,
    /// 18.
    DataError,
    /// 1C.
    PrematureEnd,
    /// Any other code.
    Other(u8),
}

impl<'a> Modifiers<'a> {
    pub(crate) const fn new(bytes: &'a [u8], manufacturer: bool) -> Self {
        Self { bytes, manufacturer }
    }

    /// The extension bytes as sent.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl Iterator for Modifiers<'_> {
    type Item = Modifier;

    #[inline]
    fn next(&mut self) -> Option<Modifier> {
        let (&byte, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        let code = byte & 0x7F;
        if self.manufacturer {
            return Some(Modifier::Manufacturer(byte));
        }
        match code {
            // 7F announces what follows and says nothing itself, unless it is the last.
            0x7F => {
                self.manufacturer = true;
                if rest.is_empty() { Some(Modifier::Manufacturer(byte)) } else { self.next() }
            }
            0x7C => match rest.split_first() {
                Some((&extension, rest)) => {
                    self.bytes = rest;
                    Some(Modifier::from_extension(extension & 0x7F))
                }
                None => Some(Modifier::Unknown(code)),
            },
            _ => Some(Modifier::from_code(code)),
        }
    }
}

const DURATION_UNITS: [&str; 4] = ["s", "min", "h", "d"];

fn duration_unit(code: u8) -> &'static str {
    DURATION_UNITS.get(usize::from(code & 0x03)).copied().unwrap_or_default()
}

/// The power of ten of codes 70-77: the three low bits count from 10^-6.
const fn correction(code: u8) -> i8 {
    (code & 0x07) as i8 - 6
}

/// The power of ten of codes 78-7B: the two low bits count from 10^-3.
const fn offset(code: u8) -> i8 {
    (code & 0x03) as i8 - 3
}

impl Modifier {
    fn from_code(code: u8) -> Self {
        let upper = code & 0x08 != 0;
        let last = code & 0x04 != 0;
        let end = code & 0x01 != 0;
        match code {
            0x13 => Self::InverseCompactProfile,
            0x1E => Self::CompactProfileWithRegister,
            0x1F => Self::CompactProfile,
            0x00..=0x1D => Self::Status(RecordStatus::from_code(code)),
            0x20..=0x27 | 0x2C..=0x35 => Self::Per(per(code)),
            0x28..=0x2B => Self::PerPulse { output: code & 0x02 != 0, channel: code & 0x01 },
            0x36 => Self::Times("s"),
            0x37 => Self::Times("s/V"),
            0x38 => Self::Times("s/A"),
            0x39 => Self::StartDate,
            0x3A => Self::Uncorrected,
            0x3B => Self::Positive,
            0x3C => Self::Negative,
            0x3D => Self::NonMetric,
            0x3E => Self::BaseConditions,
            0x3F => Self::ObisDeclaration,
            0x40 | 0x48 => Self::Limit { upper },
            0x41 | 0x49 => Self::LimitCount { upper },
            0x42 | 0x43 | 0x46 | 0x47 | 0x4A | 0x4B | 0x4E | 0x4F => Self::LimitDate { upper, last, end },
            0x50..=0x5F => Self::LimitDuration { upper, last, unit: duration_unit(code) },
            0x60..=0x67 => Self::Duration { last, unit: duration_unit(code) },
            0x68 | 0x6C => Self::DuringLimit { upper: code & 0x04 != 0 },
            0x69 => Self::Leakage,
            0x6D => Self::Overflow,
            0x6A | 0x6B | 0x6E | 0x6F => Self::DateOf { last, end },
            0x70..=0x77 => Self::Scale(correction(code)),
            0x78..=0x7B => Self::Offset(offset(code)),
            0x7D => Self::Scale(3),
            0x7E => Self::Future,
            _ => Self::Unknown(code),
        }
    }

    const fn from_extension(code: u8) -> Self {
        match code {
            0x01 => Self::Phase("L1"),
            0x02 => Self::Phase("L2"),
            0x03 => Self::Phase("L3"),
            0x04 => Self::Phase("N"),
            0x05 => Self::Phase("L1-L2"),
            0x06 => Self::Phase("L2-L3"),
            0x07 => Self::Phase("L3-L1"),
            0x08..=0x0B => Self::Quadrant(code - 7),
            0x0C => Self::ImportMinusExport,
            0x10 => Self::Magnitude,
            0x11 => Self::Unsigned,
            0x12 => Self::Bits,
            0x13 => Self::ToMeter,
            0x14 => Self::FromMeter,
            _ => Self::UnknownExtension(code),
        }
    }

    /// Whether the value under this modifier is a date, whatever the quantity.
    pub(crate) const fn makes_date(self) -> bool {
        matches!(self, Self::StartDate | Self::LimitDate { .. } | Self::DateOf { .. })
    }

    /// The unit of a value that this modifier turns into a duration.
    pub(crate) const fn duration(self) -> Option<&'static str> {
        match self {
            Self::LimitDuration { unit, .. } | Self::Duration { unit, .. } => Some(unit),
            _ => None,
        }
    }
}

const fn per(code: u8) -> &'static str {
    match code {
        0x20 => "s",
        0x21 => "min",
        0x22 => "h",
        0x23 => "d",
        0x24 => "week",
        0x25 => "month",
        0x26 => "year",
        0x27 => "revolution",
        0x2C => "l",
        0x2D => "m3",
        0x2E => "kg",
        0x2F => "K",
        0x30 => "kWh",
        0x31 => "GJ",
        0x32 => "kW",
        0x33 => "K l",
        0x34 => "V",
        _ => "A",
    }
}

impl RecordStatus {
    /// The code's meaning.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            0x00 => Self::None,
            0x01 => Self::TooManyDifes,
            0x02 => Self::StorageNotImplemented,
            0x03 => Self::SubunitNotImplemented,
            0x04 => Self::TariffNotImplemented,
            0x05 => Self::FunctionNotImplemented,
            0x06 => Self::DataClassNotImplemented,
            0x07 => Self::DataSizeNotImplemented,
            0x0B => Self::TooManyVifes,
            0x0C => Self::IllegalVifGroup,
            0x0D => Self::IllegalVifExponent,
            0x0E => Self::DifVifMismatch,
            0x0F => Self::UnimplementedAction,
            0x15 => Self::NoDataAvailable,
            0x16 => Self::Overflow,
            0x17 => Self::Underflow,
            0x18 => Self::DataError,
            0x1C => Self::PrematureEnd,
            _ => Self::Other(code),
        }
    }

    /// Whether the record's value must not be used.
    #[must_use]
    pub const fn is_error(self) -> bool {
        !matches!(self, Self::None)
    }
}

impl fmt::Display for RecordStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "no error",
            Self::TooManyDifes => "too many DIFEs",
            Self::StorageNotImplemented => "storage number not implemented",
            Self::SubunitNotImplemented => "subunit not implemented",
            Self::TariffNotImplemented => "tariff not implemented",
            Self::FunctionNotImplemented => "function not implemented",
            Self::DataClassNotImplemented => "data class not implemented",
            Self::DataSizeNotImplemented => "data size not implemented",
            Self::TooManyVifes => "too many VIFEs",
            Self::IllegalVifGroup => "illegal VIF group",
            Self::IllegalVifExponent => "illegal VIF exponent",
            Self::DifVifMismatch => "DIF and VIF do not match",
            Self::UnimplementedAction => "action not implemented",
            Self::NoDataAvailable => "no data available",
            Self::Overflow => "overflow",
            Self::Underflow => "underflow",
            Self::DataError => "data error",
            Self::PrematureEnd => "premature end of record",
            Self::Other(code) => return write!(f, "error {code:02x}"),
        })
    }
}

impl fmt::Display for Modifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |upper: bool| if upper { "upper" } else { "lower" };
        let turn = |last: bool| if last { "last" } else { "first" };
        let edge = |end: bool| if end { "end" } else { "begin" };
        match *self {
            Self::Status(status) => write!(f, "{status}"),
            Self::InverseCompactProfile => f.write_str("inverse compact profile"),
            Self::CompactProfileWithRegister => f.write_str("compact profile with register"),
            Self::CompactProfile => f.write_str("compact profile"),
            Self::Per(unit) => write!(f, "per {unit}"),
            Self::PerPulse { output, channel } => {
                write!(f, "per {} pulse on channel {channel}", if output { "output" } else { "input" })
            }
            Self::Times(unit) => write!(f, "times {unit}"),
            Self::StartDate => f.write_str("start date"),
            Self::Uncorrected => f.write_str("uncorrected"),
            Self::Positive => f.write_str("positive contributions"),
            Self::Negative => f.write_str("negative contributions"),
            Self::NonMetric => f.write_str("non-metric unit"),
            Self::BaseConditions => f.write_str("base conditions"),
            Self::ObisDeclaration => f.write_str("OBIS declaration"),
            Self::Limit { upper } => write!(f, "{} limit", side(upper)),
            Self::LimitCount { upper } => write!(f, "{} limit count", side(upper)),
            Self::LimitDate { upper, last, end } => {
                write!(f, "{} of {} {} limit", edge(end), turn(last), side(upper))
            }
            Self::LimitDuration { upper, last, .. } => {
                write!(f, "duration of {} {} limit", turn(last), side(upper))
            }
            Self::Duration { last, .. } => write!(f, "{} duration", turn(last)),
            Self::DuringLimit { upper } => write!(f, "during {} limit", side(upper)),
            Self::Leakage => f.write_str("leakage"),
            Self::Overflow => f.write_str("overflow"),
            Self::DateOf { last, end } => write!(f, "{} of {}", edge(end), turn(last)),
            Self::Scale(power) => write!(f, "scaled by 1e{power}"),
            Self::Offset(power) => write!(f, "offset by 1e{power}"),
            Self::Future => f.write_str("future value"),
            Self::Phase(phase) => write!(f, "phase {phase}"),
            Self::Quadrant(quadrant) => write!(f, "quadrant {quadrant}"),
            Self::ImportMinusExport => f.write_str("import minus export"),
            Self::Magnitude => f.write_str("magnitudes of both signs"),
            Self::Unsigned => f.write_str("unsigned"),
            Self::Bits => f.write_str("bits"),
            Self::ToMeter => f.write_str("to the meter"),
            Self::FromMeter => f.write_str("from the meter"),
            Self::Manufacturer(code) => write!(f, "manufacturer {code:02x}"),
            Self::Unknown(code) => write!(f, "unknown {code:02x}"),
            Self::UnknownExtension(code) => write!(f, "unknown FC {code:02x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn codes_of_the_standard() {
        for (bytes, expected) in [
            (&[0x3C][..], &[Modifier::Negative][..]),
            (&[0xBC, 0x22], &[Modifier::Negative, Modifier::Per("h")]),
            (&[0x74], &[Modifier::Scale(-2)]),
            (&[0x7D], &[Modifier::Scale(3)]),
            (&[0x7A], &[Modifier::Offset(-1)]),
            (&[0xFC, 0x03], &[Modifier::Phase("L3")]),
            (&[0xFC, 0x81, 0x15], &[Modifier::Phase("L1"), Modifier::Status(RecordStatus::NoDataAvailable)]),
            (&[0xFF, 0x81, 0x01], &[Modifier::Manufacturer(0x81), Modifier::Manufacturer(0x01)]),
            (&[0x5F], &[Modifier::LimitDuration { upper: true, last: true, unit: "d" }]),
            (&[0x4A], &[Modifier::LimitDate { upper: true, last: false, end: false }]),
            (&[0x6F], &[Modifier::DateOf { last: true, end: true }]),
            (&[0x7F], &[Modifier::Manufacturer(0x7F)]),
        ] {
            let read: Vec<_> = Modifiers::new(bytes, false).collect();
            assert_eq!(read, expected, "{bytes:02x?}");
        }
    }
}
