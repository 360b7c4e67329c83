use core::fmt;

/// Declares [`Quantity`] with the name of each arm.
macro_rules! quantities {
    ($($(#[$doc:meta])* $arm:ident = $name:literal,)*) => {
        /// What a record measures or states (the meaning of its VIF, without unit and scale).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Quantity {
            $($(#[$doc])* #[doc = concat!("Named \"", $name, "\".")] $arm,)*
        }

        impl Quantity {
            /// The name in lower-case words.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$arm => $name,)*
                }
            }
        }
    };
}

quantities! {
    Energy = "energy",
    ReactiveEnergy = "reactive energy",
    ApparentEnergy = "apparent energy",
    Volume = "volume",
    Mass = "mass",
    OnTime = "on time",
    OperatingTime = "operating time",
    Power = "power",
    ReactivePower = "reactive power",
    ApparentPower = "apparent power",
    VolumeFlow = "volume flow",
    MassFlow = "mass flow",
    FlowTemperature = "flow temperature",
    ReturnTemperature = "return temperature",
    TemperatureDifference = "temperature difference",
    ExternalTemperature = "external temperature",
    Pressure = "pressure",
    Date = "date",
    DateTime = "date time",
    HeatCostAllocation = "heat cost allocation",
    AveragingDuration = "averaging duration",
    ActualityDuration = "actuality duration",
    FabricationNumber = "fabrication number",
    EnhancedIdentification = "enhanced identification",
    BusAddress = "bus address",
    /// The quantity is the text in the value information block ([`Record::text`](crate::Record::text)).
    PlainText = "plain text",
    AnyValue = "any value",
    ManufacturerSpecific = "manufacturer specific",
    /// A code that the standard reserves, or that is younger than this table.
    Unknown = "unknown",
    GlobalReadout = "global readout",
    Credit = "credit",
    Debit = "debit",
    UniqueTelegramIdentification = "unique telegram identification",
    DeviceType = "device type",
    Manufacturer = "manufacturer",
    ParameterSetIdentification = "parameter set identification",
    ModelVersion = "model version",
    HardwareVersion = "hardware version",
    FirmwareVersion = "firmware version",
    SoftwareVersion = "software version",
    CustomerLocation = "customer location",
    Customer = "customer",
    AccessCodeUser = "access code user",
    AccessCodeOperator = "access code operator",
    AccessCodeSystemOperator = "access code system operator",
    AccessCodeDeveloper = "access code developer",
    Password = "password",
    ErrorFlags = "error flags",
    ErrorMask = "error mask",
    SecurityKey = "security key",
    DigitalOutput = "digital output",
    DigitalInput = "digital input",
    BaudRate = "baud rate",
    ResponseDelay = "response delay",
    Retry = "retry",
    RemoteControl = "remote control",
    FirstCyclicStorage = "first cyclic storage",
    LastCyclicStorage = "last cyclic storage",
    StorageBlockSize = "storage block size",
    TariffAndSubunitDescriptor = "tariff and subunit descriptor",
    StorageInterval = "storage interval",
    OperatorSpecific = "operator specific",
    TimePointSecond = "time point second",
    DurationSinceReadout = "duration since readout",
    TariffStart = "tariff start",
    TariffDuration = "tariff duration",
    TariffPeriod = "tariff period",
    Dimensionless = "dimensionless",
    WirelessContainer = "wireless container",
    TransmissionPeriod = "transmission period",
    Voltage = "voltage",
    Current = "current",
    ResetCounter = "reset counter",
    CumulationCounter = "cumulation counter",
    ControlSignal = "control signal",
    DayOfWeek = "day of week",
    WeekNumber = "week number",
    DayChange = "time point of day change",
    ParameterActivation = "parameter activation",
    SupplierInformation = "special supplier information",
    DurationSinceCumulation = "duration since cumulation",
    BatteryOperatingTime = "battery operating time",
    BatteryChange = "battery change",
    RadioLevel = "radio level",
    DaylightSaving = "daylight saving",
    ListeningWindow = "listening window",
    BatteryLifeTime = "remaining battery life time",
    StopCount = "number of stops",
    ManufacturerContainer = "manufacturer container",
    SelectedApplication = "selected application",
    RelativeHumidity = "relative humidity",
    PhaseVoltage = "phase angle voltage to voltage",
    PhaseCurrent = "phase angle voltage to current",
    Frequency = "frequency",
    TemperatureLimit = "temperature limit",
    CumulatedMaximumPower = "cumulated maximum power",
    RatingFactor = "rating factor",
    ThermalOutputFactor = "thermal output rating factor",
    CouplingFactorOverall = "thermal coupling factor overall",
    CouplingFactorRoom = "thermal coupling factor room side",
    CouplingFactorHeater = "thermal coupling factor heater side",
    LowTemperatureFactor = "low temperature rating factor",
    DisplayScaling = "display output scaling factor",
    TimeOfDay = "time of day",
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
