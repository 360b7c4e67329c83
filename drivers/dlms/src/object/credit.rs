//! Prepayment: credit (class 112) and charge (class 113).

use super::attribute::{Call, interface};
use super::read::{FromValue, Mismatch, Octets, bits, codes, structure};
use crate::axdr::{DateTime, Value};
use alloc::vec::Vec;
use plomb_session::{Decimal, Obis};

interface! {
    /// Credit: what can be used up (IEC 62056-6-2 §5.6.3). Amounts are in the account's currency.
    Credit = 112 "credit"
    attributes {
        /// What is left.
        current_credit_amount = 2: i32,
        /// Where it comes from.
        credit_type = 3: CreditType,
        /// In which order credits are used, 1 first.
        priority = 4: u8,
        /// Below which the meter warns.
        warning_threshold = 5: i32,
        /// At which it is used up.
        limit = 6: i32,
        /// How it is treated.
        credit_configuration = 7: CreditConfiguration,
        /// How it is.
        credit_status = 8: CreditStatus,
        /// What it is set to when it is chosen.
        preset_credit_amount = 9: i32,
        /// At which a credit of lower priority it may be chosen.
        credit_available_threshold = 10: i32,
        /// When it is set again by itself; parts that repeat are open.
        period = 11: Option<DateTime>,
    }
    methods { update_amount = 1, set_amount_to_value = 2, invoke_credit = 3, }
}

codes! {
    /// Where a credit comes from.
    CreditType {
        /// From tokens.
        TOKEN = 0 "token credit",
        /// Set aside.
        RESERVED = 1 "reserved credit",
        /// Lent in an emergency.
        EMERGENCY = 2 "emergency credit",
        /// Given from time to time.
        TIME_BASED = 3 "time based credit",
        /// Given by consumption.
        CONSUMPTION_BASED = 4 "consumption based credit",
    }
}

bits! {
    /// How a credit is treated.
    CreditConfiguration {
        /// It is shown.
        is_shown = 0 "requires visual indication",
        /// It must be chosen before it is used.
        wants_confirmation = 1 "requires confirmation before it can be selected",
        /// What was used must be paid back.
        is_paid_back = 2 "requires the credit amount to be paid back",
        /// It can be set anew.
        is_resettable = 3 "resettable",
        /// Tokens add to it.
        takes_tokens = 4 "able to receive credit amounts from tokens",
    }
}

codes! {
    /// How a credit is.
    CreditStatus {
        /// It exists.
        ENABLED = 0 "enabled",
        /// It may be chosen.
        SELECTABLE = 1 "selectable",
        /// It was chosen.
        INVOKED = 2 "selected, invoked",
        /// It is used.
        IN_USE = 3 "in use",
        /// It is used up.
        EXHAUSTED = 4 "exhausted",
    }
}

interface! {
    /// Charge: what takes credit away (§5.6.4). Amounts are in the account's currency.
    Charge = 113 "charge"
    attributes {
        /// What was taken so far.
        total_amount_paid = 2: i32,
        /// What makes it due.
        charge_type = 3: ChargeType,
        /// In which order charges are taken, 1 first.
        priority = 4: u8,
        /// The prices that hold.
        unit_charge_active = 5: UnitCharge,
        /// The prices that come.
        unit_charge_passive = 6: UnitCharge,
        /// When they come; `None` for never.
        unit_charge_activation_time = 7: Option<DateTime>,
        /// Seconds between two collections; 0 where it is not by time.
        period = 8: u32,
        /// How it is collected.
        charge_configuration = 9: ChargeConfiguration,
        /// When it was last collected.
        last_collection_time = 10: Option<DateTime>,
        /// What was collected then.
        last_collection_amount = 11: i32,
        /// What is still owed.
        total_amount_remaining = 12: i32,
        /// The share of each payment, in hundredths of a percent.
        proportion = 13: u16,
    }
    methods {
        update_unit_charge = 1,
        activate_passive_unit_charge = 2,
        collect = 3,
        update_total_amount_remaining = 4,
        set_total_amount_remaining = 5,
    }
}

codes! {
    /// What makes a charge due.
    ChargeType {
        /// Consumption.
        CONSUMPTION_BASED = 0 "consumption based collection",
        /// Time.
        TIME_BASED = 1 "time based collection",
        /// A payment.
        PAYMENT_EVENT_BASED = 2 "payment event based collection",
    }
}

structure! {
    /// The prices of a charge.
    UnitCharge {
        /// The powers of ten.
        charge_per_unit_scaling: ChargeScaling,
        /// What is paid for; nothing where a charge is by time.
        commodity_reference: Commodity,
        /// The prices, by tariff.
        charge_table: Vec<ChargeTableElement>,
    }
}

structure! {
    /// The powers of ten of a charge.
    ChargeScaling {
        /// Of the commodity: 3 for a price by the thousand, as of a kilowatt-hour of a register in watt-hours.
        commodity_scale: i8,
        /// Of the price.
        price_scale: i8,
    }
}

/// What is paid for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commodity {
    /// The register's class; 0 for none.
    pub class_id: u16,
    /// The register.
    pub logical_name: Option<Obis>,
    /// The attribute.
    pub attribute_index: i8,
}

structure! {
    /// A price.
    ChargeTableElement {
        /// Its tariff; by custom the script's number.
        index: Octets,
        /// The price, to be scaled.
        charge_per_unit: i16,
    }
}

bits! {
    /// How a charge is collected.
    ChargeConfiguration {
        /// As a share of each payment.
        is_percentage = 0 "percentage based collection",
        /// Also while nothing is due.
        is_continuous = 1 "continuous collection",
    }
}

impl FromValue for Commodity {
    /// A charge by time has no register: class 0, and no name.
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        let mut fields = super::read::Fields::of(value)?;
        Ok(Self {
            class_id: fields.next("class_id")?,
            logical_name: fields.next("logical_name")?,
            attribute_index: fields.next("attribute_index")?,
        })
    }
}

impl Credit {
    /// Adds an amount, which may be negative.
    #[must_use]
    pub const fn update_amount(self, amount: i32) -> Call {
        Call::new(Self::CLASS, self.0, 1, Value::DoubleLong(amount))
    }

    /// Sets the amount; the meter answers with the one before.
    #[must_use]
    pub const fn set_amount_to_value(self, amount: i32) -> Call {
        Call::new(Self::CLASS, self.0, 2, Value::DoubleLong(amount))
    }

    /// Chooses the credit.
    #[must_use]
    pub const fn invoke_credit(self) -> Call {
        Call::new(Self::CLASS, self.0, 3, Value::Integer(0))
    }
}

impl Charge {
    /// Makes the prices that come hold now.
    #[must_use]
    pub const fn activate_passive_unit_charge(self) -> Call {
        Call::new(Self::CLASS, self.0, 2, Value::Integer(0))
    }

    /// Collects now.
    #[must_use]
    pub const fn collect(self) -> Call {
        Call::new(Self::CLASS, self.0, 3, Value::Integer(0))
    }
}

impl UnitCharge {
    /// A price of the table, exact, per ten to the power of the commodity's scale. `None` where it can't be held.
    #[must_use]
    pub fn price(&self, element: &ChargeTableElement) -> Option<Decimal> {
        Decimal::from(i64::from(element.charge_per_unit)).scaled(self.charge_per_unit_scaling.price_scale)
    }
}
