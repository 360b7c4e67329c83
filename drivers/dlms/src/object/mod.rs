//! COSEM interface classes (IEC 62056-6-2): what to ask of them, and what their answers mean.

mod list;
mod profile;
mod pushed;
mod unit;

pub use list::{ObjectEntry, object_list};
pub use profile::{CaptureObject, ROW_COUNT_MAX, Row, capture_objects, rows};
pub use pushed::{PUSHED_COUNT_MAX, Pushed, pushed};
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
