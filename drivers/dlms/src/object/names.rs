//! Names of classes, attributes and methods, as the standard writes them.

use super::attribute::Names;
use super::{
    Account, ActivityCalendar, Association, Charge, Clock, Credit, Data, DemandRegister, DisconnectControl,
    ExtendedRegister, ImageTransfer, Limiter, MbusClient, ProfileGeneric, PushSetup, Register, SapAssignment,
    ScriptTable, SecuritySetup, SingleActionSchedule, SpecialDays, TokenGateway, class,
};

const fn names(class: u16) -> Option<&'static Names> {
    Some(match class {
        Data::CLASS => &Data::NAMES,
        Register::CLASS => &Register::NAMES,
        ExtendedRegister::CLASS => &ExtendedRegister::NAMES,
        DemandRegister::CLASS => &DemandRegister::NAMES,
        ProfileGeneric::CLASS => &ProfileGeneric::NAMES,
        Clock::CLASS => &Clock::NAMES,
        ScriptTable::CLASS => &ScriptTable::NAMES,
        SpecialDays::CLASS => &SpecialDays::NAMES,
        Association::CLASS => &Association::NAMES,
        SapAssignment::CLASS => &SapAssignment::NAMES,
        ImageTransfer::CLASS => &ImageTransfer::NAMES,
        ActivityCalendar::CLASS => &ActivityCalendar::NAMES,
        SingleActionSchedule::CLASS => &SingleActionSchedule::NAMES,
        PushSetup::CLASS => &PushSetup::NAMES,
        SecuritySetup::CLASS => &SecuritySetup::NAMES,
        DisconnectControl::CLASS => &DisconnectControl::NAMES,
        Limiter::CLASS => &Limiter::NAMES,
        MbusClient::CLASS => &MbusClient::NAMES,
        Account::CLASS => &Account::NAMES,
        Credit::CLASS => &Credit::NAMES,
        Charge::CLASS => &Charge::NAMES,
        TokenGateway::CLASS => &TokenGateway::NAMES,
        _ => return None,
    })
}

/// The name of a class; `None` for one that this project does not know.
#[must_use]
pub fn class_name(class: u16) -> Option<&'static str> {
    names(class).map(|names| names.class)
}

/// The name of an attribute.
#[must_use]
pub fn attribute_name(class: u16, attribute: i8) -> Option<&'static str> {
    find(names(class)?.attributes, attribute)
}

/// Whether an attribute's value is a secret, never to be shown: the password of an association, and the last token.
#[must_use]
pub const fn is_secret_attribute(class: u16, attribute: i8) -> bool {
    matches!((class, attribute), (class::ASSOCIATION, 7) | (class::TOKEN_GATEWAY, 2))
}

/// Whether a method's parameters are a secret or come close to one, never to be shown: the proof of an association, its
/// new secret, keys that are transferred, the key of an M-Bus meter, and a token, which whoever has it can enter.
#[must_use]
pub const fn is_secret_method(class: u16, method: i8) -> bool {
    matches!(
        (class, method),
        (class::ASSOCIATION, 1 | 2) | (class::SECURITY_SETUP, 2) | (class::MBUS_CLIENT, 7) | (class::TOKEN_GATEWAY, 1)
    )
}

/// The name of a method.
#[must_use]
pub fn method_name(class: u16, method: i8) -> Option<&'static str> {
    find(names(class)?.methods, method)
}

fn find(names: &[(i8, &'static str)], number: i8) -> Option<&'static str> {
    names.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}
