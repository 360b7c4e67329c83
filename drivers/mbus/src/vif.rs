//! The value information tables of EN 13757-3 as data: a row for each run of codes.

use crate::quantity::Quantity::{self, self as Q};

/// What a value information code says: the quantity, its unit, and the power of ten that the
/// number is multiplied by to be in that unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub(crate) quantity: Quantity,
    pub(crate) unit: &'static str,
    pub(crate) exponent: i8,
}

impl Meaning {
    pub(crate) const UNKNOWN: Self = Self { quantity: Q::Unknown, unit: "", exponent: 0 };
    pub(crate) const PLAIN_TEXT: Self = Self { quantity: Q::PlainText, unit: "", exponent: 0 };
    pub(crate) const MANUFACTURER: Self = Self { quantity: Q::ManufacturerSpecific, unit: "", exponent: 0 };
}

/// Codes `first` to `last`; the exponent grows by one from code to code.
struct Row {
    first: u8,
    last: u8,
    quantity: Quantity,
    unit: &'static str,
    exponent: i8,
}

const fn run(first: u8, last: u8, quantity: Quantity, unit: &'static str, exponent: i8) -> Row {
    Row { first, last, quantity, unit, exponent }
}

const fn one(code: u8, quantity: Quantity, unit: &'static str) -> Row {
    run(code, code, quantity, unit, 0)
}

/// Codes of a VIF's seven low bits.
const CODES: usize = 128;

/// Spreads rows over the codes, at compile time.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: an index out of bounds does not build")]
const fn table(rows: &[Row]) -> [Meaning; CODES] {
    let mut table = [Meaning::UNKNOWN; CODES];
    let mut at = 0;
    while at < rows.len() {
        let row = &rows[at];
        let mut code = row.first;
        let mut exponent = row.exponent;
        while code <= row.last {
            table[code as usize] = Meaning { quantity: row.quantity, unit: row.unit, exponent };
            code += 1;
            exponent += 1;
        }
        at += 1;
    }
    table
}

/// The meaning of a primary VIF (EN 13757-3:2018, table 10). Bit 7 is ignored.
pub(crate) fn primary(code: u8) -> Meaning {
    lookup(&PRIMARY, code)
}

/// The meaning of the code after FB (EN 13757-3:2018, table 14).
pub(crate) fn extension_fb(code: u8) -> Meaning {
    lookup(&EXTENSION_FB, code)
}

/// The meaning of the code after FD (EN 13757-3:2018, table 12).
pub(crate) fn extension_fd(code: u8) -> Meaning {
    lookup(&EXTENSION_FD, code)
}

/// The meaning of the code after FD FD (EN 13757-3:2018, table 13).
pub(crate) fn extension_fd_fd(code: u8) -> Meaning {
    lookup(&EXTENSION_FD_FD, code)
}

fn lookup(table: &[Meaning; CODES], code: u8) -> Meaning {
    table.get(usize::from(code & 0x7F)).copied().unwrap_or(Meaning::UNKNOWN)
}

static PRIMARY: [Meaning; CODES] = table(&[
    run(0x00, 0x07, Q::Energy, "Wh", -3),
    run(0x08, 0x0F, Q::Energy, "J", 0),
    run(0x10, 0x17, Q::Volume, "m3", -6),
    run(0x18, 0x1F, Q::Mass, "kg", -3),
    one(0x20, Q::OnTime, "s"),
    one(0x21, Q::OnTime, "min"),
    one(0x22, Q::OnTime, "h"),
    one(0x23, Q::OnTime, "d"),
    one(0x24, Q::OperatingTime, "s"),
    one(0x25, Q::OperatingTime, "min"),
    one(0x26, Q::OperatingTime, "h"),
    one(0x27, Q::OperatingTime, "d"),
    run(0x28, 0x2F, Q::Power, "W", -3),
    run(0x30, 0x37, Q::Power, "J/h", 0),
    run(0x38, 0x3F, Q::VolumeFlow, "m3/h", -6),
    run(0x40, 0x47, Q::VolumeFlow, "m3/min", -7),
    run(0x48, 0x4F, Q::VolumeFlow, "m3/s", -9),
    run(0x50, 0x57, Q::MassFlow, "kg/h", -3),
    run(0x58, 0x5B, Q::FlowTemperature, "°C", -3),
    run(0x5C, 0x5F, Q::ReturnTemperature, "°C", -3),
    run(0x60, 0x63, Q::TemperatureDifference, "K", -3),
    run(0x64, 0x67, Q::ExternalTemperature, "°C", -3),
    run(0x68, 0x6B, Q::Pressure, "bar", -3),
    one(0x6C, Q::Date, ""),
    one(0x6D, Q::DateTime, ""),
    one(0x6E, Q::HeatCostAllocation, "hca"),
    one(0x70, Q::AveragingDuration, "s"),
    one(0x71, Q::AveragingDuration, "min"),
    one(0x72, Q::AveragingDuration, "h"),
    one(0x73, Q::AveragingDuration, "d"),
    one(0x74, Q::ActualityDuration, "s"),
    one(0x75, Q::ActualityDuration, "min"),
    one(0x76, Q::ActualityDuration, "h"),
    one(0x77, Q::ActualityDuration, "d"),
    one(0x78, Q::FabricationNumber, ""),
    one(0x79, Q::EnhancedIdentification, ""),
    one(0x7A, Q::BusAddress, ""),
    one(0x7C, Q::PlainText, ""),
    one(0x7E, Q::AnyValue, ""),
    one(0x7F, Q::ManufacturerSpecific, ""),
]);

/// Rows marked "2004" were withdrawn by later editions; meters of their time still send them.
static EXTENSION_FB: [Meaning; CODES] = table(&[
    run(0x00, 0x01, Q::Energy, "Wh", 5),
    run(0x02, 0x03, Q::ReactiveEnergy, "varh", 3),
    run(0x04, 0x05, Q::ApparentEnergy, "VAh", 3),
    run(0x08, 0x09, Q::Energy, "J", 8),
    run(0x0C, 0x0F, Q::Energy, "cal", 5),
    run(0x10, 0x11, Q::Volume, "m3", 2),
    run(0x14, 0x17, Q::ReactivePower, "var", 0),
    run(0x18, 0x19, Q::Mass, "kg", 5),
    run(0x1A, 0x1B, Q::RelativeHumidity, "%", -1),
    run(0x20, 0x20, Q::Volume, "ft3", 0),
    run(0x21, 0x21, Q::Volume, "ft3", -1),
    run(0x22, 0x23, Q::Volume, "US gal", -1),         // 2004
    run(0x24, 0x24, Q::VolumeFlow, "US gal/min", -3), // 2004
    run(0x25, 0x25, Q::VolumeFlow, "US gal/min", 0),  // 2004
    run(0x26, 0x26, Q::VolumeFlow, "US gal/h", 0),    // 2004
    run(0x28, 0x29, Q::Power, "W", 5),
    run(0x2A, 0x2A, Q::PhaseVoltage, "°", -1),
    run(0x2B, 0x2B, Q::PhaseCurrent, "°", -1),
    run(0x2C, 0x2F, Q::Frequency, "Hz", -3),
    run(0x30, 0x31, Q::Power, "J/h", 8),
    run(0x34, 0x37, Q::ApparentPower, "VA", 0),
    run(0x58, 0x5B, Q::FlowTemperature, "°F", -3),       // 2004
    run(0x5C, 0x5F, Q::ReturnTemperature, "°F", -3),     // 2004
    run(0x60, 0x63, Q::TemperatureDifference, "°F", -3), // 2004
    run(0x64, 0x67, Q::ExternalTemperature, "°F", -3),   // 2004
    one(0x68, Q::RatingFactor, ""),
    one(0x69, Q::ThermalOutputFactor, ""),
    one(0x6A, Q::CouplingFactorOverall, ""),
    one(0x6B, Q::CouplingFactorRoom, ""),
    one(0x6C, Q::CouplingFactorHeater, ""),
    one(0x6D, Q::LowTemperatureFactor, ""),
    one(0x6E, Q::DisplayScaling, ""),
    run(0x70, 0x73, Q::TemperatureLimit, "°F", -3), // 2004
    run(0x74, 0x77, Q::TemperatureLimit, "°C", -3),
    run(0x78, 0x7F, Q::CumulatedMaximumPower, "W", -3),
]);

static EXTENSION_FD: [Meaning; CODES] = table(&[
    run(0x00, 0x03, Q::Credit, "currency", -3),
    run(0x04, 0x07, Q::Debit, "currency", -3),
    one(0x08, Q::UniqueTelegramIdentification, ""),
    one(0x09, Q::DeviceType, ""),
    one(0x0A, Q::Manufacturer, ""),
    one(0x0B, Q::ParameterSetIdentification, ""),
    one(0x0C, Q::ModelVersion, ""),
    one(0x0D, Q::HardwareVersion, ""),
    one(0x0E, Q::FirmwareVersion, ""),
    one(0x0F, Q::SoftwareVersion, ""),
    one(0x10, Q::CustomerLocation, ""),
    one(0x11, Q::Customer, ""),
    one(0x12, Q::AccessCodeUser, ""),
    one(0x13, Q::AccessCodeOperator, ""),
    one(0x14, Q::AccessCodeSystemOperator, ""),
    one(0x15, Q::AccessCodeDeveloper, ""),
    one(0x16, Q::Password, ""),
    one(0x17, Q::ErrorFlags, ""),
    one(0x18, Q::ErrorMask, ""),
    one(0x19, Q::SecurityKey, ""),
    one(0x1A, Q::DigitalOutput, ""),
    one(0x1B, Q::DigitalInput, ""),
    one(0x1C, Q::BaudRate, "Bd"),
    one(0x1D, Q::ResponseDelay, "bit times"),
    one(0x1E, Q::Retry, ""),
    one(0x1F, Q::RemoteControl, ""),
    one(0x20, Q::FirstCyclicStorage, ""),
    one(0x21, Q::LastCyclicStorage, ""),
    one(0x22, Q::StorageBlockSize, ""),
    one(0x23, Q::TariffAndSubunitDescriptor, ""),
    one(0x24, Q::StorageInterval, "s"),
    one(0x25, Q::StorageInterval, "min"),
    one(0x26, Q::StorageInterval, "h"),
    one(0x27, Q::StorageInterval, "d"),
    one(0x28, Q::StorageInterval, "month"),
    one(0x29, Q::StorageInterval, "year"),
    one(0x2A, Q::OperatorSpecific, ""),
    one(0x2B, Q::TimePointSecond, "s"),
    one(0x2C, Q::DurationSinceReadout, "s"),
    one(0x2D, Q::DurationSinceReadout, "min"),
    one(0x2E, Q::DurationSinceReadout, "h"),
    one(0x2F, Q::DurationSinceReadout, "d"),
    one(0x30, Q::TariffStart, ""),
    one(0x31, Q::TariffDuration, "min"),
    one(0x32, Q::TariffDuration, "h"),
    one(0x33, Q::TariffDuration, "d"),
    one(0x34, Q::TariffPeriod, "s"),
    one(0x35, Q::TariffPeriod, "min"),
    one(0x36, Q::TariffPeriod, "h"),
    one(0x37, Q::TariffPeriod, "d"),
    one(0x38, Q::TariffPeriod, "month"),
    one(0x39, Q::TariffPeriod, "year"),
    one(0x3A, Q::Dimensionless, ""),
    one(0x3B, Q::WirelessContainer, ""),
    one(0x3C, Q::TransmissionPeriod, "s"),
    one(0x3D, Q::TransmissionPeriod, "min"),
    one(0x3E, Q::TransmissionPeriod, "h"),
    one(0x3F, Q::TransmissionPeriod, "d"),
    run(0x40, 0x4F, Q::Voltage, "V", -9),
    run(0x50, 0x5F, Q::Current, "A", -12),
    one(0x60, Q::ResetCounter, ""),
    one(0x61, Q::CumulationCounter, ""),
    one(0x62, Q::ControlSignal, ""),
    one(0x63, Q::DayOfWeek, ""),
    one(0x64, Q::WeekNumber, ""),
    one(0x65, Q::DayChange, ""),
    one(0x66, Q::ParameterActivation, ""),
    one(0x67, Q::SupplierInformation, ""),
    one(0x68, Q::DurationSinceCumulation, "h"),
    one(0x69, Q::DurationSinceCumulation, "d"),
    one(0x6A, Q::DurationSinceCumulation, "month"),
    one(0x6B, Q::DurationSinceCumulation, "year"),
    one(0x6C, Q::BatteryOperatingTime, "h"),
    one(0x6D, Q::BatteryOperatingTime, "d"),
    one(0x6E, Q::BatteryOperatingTime, "month"),
    one(0x6F, Q::BatteryOperatingTime, "year"),
    one(0x70, Q::BatteryChange, ""),
    one(0x71, Q::RadioLevel, "dBm"),
    one(0x72, Q::DaylightSaving, ""),
    one(0x73, Q::ListeningWindow, ""),
    one(0x74, Q::BatteryLifeTime, "d"),
    one(0x75, Q::StopCount, ""),
    one(0x76, Q::ManufacturerContainer, ""),
]);

static EXTENSION_FD_FD: [Meaning; CODES] = table(&[
    one(0x00, Q::SelectedApplication, ""),
    one(0x02, Q::BatteryLifeTime, "month"),
    one(0x03, Q::BatteryLifeTime, "year"),
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_of_the_standard() {
        for (meaning, quantity, unit, exponent) in [
            (primary(0x03), Q::Energy, "Wh", 0),
            (primary(0x86), Q::Energy, "Wh", 3),
            (primary(0x0E), Q::Energy, "J", 6),
            (primary(0x13), Q::Volume, "m3", -3),
            (primary(0x2B), Q::Power, "W", 0),
            (primary(0x3B), Q::VolumeFlow, "m3/h", -3),
            (primary(0x5A), Q::FlowTemperature, "°C", -1),
            (primary(0x6B), Q::Pressure, "bar", 0),
            (extension_fb(0x01), Q::Energy, "Wh", 6),
            (extension_fb(0x09), Q::Energy, "J", 9),
            (extension_fb(0x19), Q::Mass, "kg", 6),
            (extension_fb(0x2E), Q::Frequency, "Hz", -1),
            (extension_fb(0x97), Q::ReactivePower, "var", 3),
            (extension_fd(0x48), Q::Voltage, "V", -1),
            (extension_fd(0x59), Q::Current, "A", -3),
            (primary(0x6F), Q::Unknown, "", 0),
        ] {
            assert_eq!(meaning, Meaning { quantity, unit, exponent });
        }
    }
}
