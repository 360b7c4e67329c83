//! COSEM interface classes (IEC 62056-6-2): what to ask of them, and what their answers mean.
//!
//! A class is a type over a logical name. Its methods are the class's attributes and methods, under the standard's
//! names: an [`Attribute`] says what to ask for and reads the answer, a [`Call`] or a [`Change`] is what to send.
//! Unknown codes are values; what is not of the standard's type is an [`ObjectError`], and its raw value is still there.
//!
//! ```
//! # use plomb_dlms::{axdr::Value, object::{Register, ScalerUnit, Unit}};
//! let energy = Register("1-0:1.8.0".parse().unwrap());
//! let scaler = Value::parse_whole(&[2, 2, 15, 0xFD, 22, 30]).unwrap();
//! let scaler = energy.scaler_unit().read(&scaler).unwrap();
//! let value = Value::DoubleLongUnsigned(123_456);
//! assert_eq!(format!("{} {}", scaler.apply(&value).unwrap(), scaler.unit), "123.456 Wh");
//! ```

mod account;
mod association;
mod attribute;
mod calendar;
mod clock;
mod credit;
mod device;
mod disconnect;
mod list;
mod mbus;
mod names;
mod profile;
mod push;
mod pushed;
mod read;
mod register;
mod script;
mod security;
mod unit;

pub use account::{
    Account, AccountMode, AccountModeAndStatus, AccountStatus, Collection, CreditCharge, CreditState, Currency,
    CurrencyUnit, TokenDelivery, TokenGateway, TokenShare, TokenStatus, TokenStatusCode,
};
pub use association::{
    AccessMode, AccessRights, Association, AssociationStatus, AttributeAccess, ContextInfo, ListedObject, MethodAccess,
    Partners, User,
};
pub use attribute::{Attribute, Call, Change, ObjectError};
pub use calendar::{ActivityCalendar, Day, DayAction, Season, SpecialDay, SpecialDays, Week};
pub use clock::{Clock, ClockBase, SHIFT_SECONDS_MAX};
pub use credit::{
    Charge, ChargeConfiguration, ChargeScaling, ChargeTableElement, ChargeType, Commodity, Credit, CreditConfiguration,
    CreditStatus, CreditType, UnitCharge,
};
pub use device::{ImageStatus, ImageToActivate, ImageTransfer, LogicalDevice, SapAssignment};
pub use disconnect::{
    ControlMode, ControlState, DisconnectControl, EmergencyProfile, Limiter, LimiterActions, MonitoredValue,
};
pub use list::{ObjectEntry, object_list};
pub use mbus::{CaptureDefinition, MbusClient, MbusKeyStatus};
pub use names::{attribute_name, class_name, is_secret_attribute, is_secret_method, method_name};
pub use profile::{
    CaptureObject, Column, ProfileGeneric, ROW_COUNT_MAX, Row, SortMethod, capture_objects, rows, rows_in_order,
};
pub use push::{
    CommunicationWindow, PushDestination, PushMessage, PushObject, PushOperation, PushSetup, PushTransport,
    RepetitionDelay,
};
pub use pushed::{PUSHED_COUNT_MAX, Pushed, pushed, pushed_as};
pub use read::{FromValue, Mismatch, Octets};
pub use register::{Data, DemandRegister, ExtendedRegister, Register};
pub use script::{
    ExecutionTime, ScheduleType, Script, ScriptAction, ScriptSelection, ScriptService, ScriptTable,
    SingleActionSchedule,
};
pub use security::{CertificateEntity, CertificateInfo, CertificateType, KeyId, SecurityPolicy, SecuritySetup};
pub use unit::{ScalerUnit, Unit};

/// The number of an interface class.
pub mod class {
    /// Data.
    pub const DATA: u16 = 1;
    /// Register.
    pub const REGISTER: u16 = 3;
    /// Extended register.
    pub const EXTENDED_REGISTER: u16 = 4;
    /// Demand register.
    pub const DEMAND_REGISTER: u16 = 5;
    /// Profile generic.
    pub const PROFILE: u16 = 7;
    /// Clock.
    pub const CLOCK: u16 = 8;
    /// Association by logical names.
    pub const ASSOCIATION: u16 = 15;
    /// SAP assignment.
    pub const SAP_ASSIGNMENT: u16 = 17;
    /// Image transfer.
    pub const IMAGE_TRANSFER: u16 = 18;
    /// Special days.
    pub const SPECIAL_DAYS: u16 = 11;
    /// Activity calendar: tariff times.
    pub const ACTIVITY_CALENDAR: u16 = 20;
    /// Push setup.
    pub const PUSH_SETUP: u16 = 40;
    /// Security setup.
    pub const SECURITY_SETUP: u16 = 64;
    /// Disconnect control.
    pub const DISCONNECT_CONTROL: u16 = 70;
    /// Limiter.
    pub const LIMITER: u16 = 71;
    /// M-Bus client.
    pub const MBUS_CLIENT: u16 = 72;
    /// Account, of prepayment.
    pub const ACCOUNT: u16 = 111;
    /// Credit, of prepayment.
    pub const CREDIT: u16 = 112;
    /// Charge, of prepayment.
    pub const CHARGE: u16 = 113;
    /// Token gateway, of prepayment.
    pub const TOKEN_GATEWAY: u16 = 115;
}
