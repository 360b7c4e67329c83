//! Prepayment: account (class 111) and token gateway (class 115).

use super::attribute::{Call, interface};
use super::read::{Octets, bits, codes, structure};
use crate::axdr::{BitString, DateTime, Value};
use alloc::vec::Vec;
use plomb_session::{Decimal, Obis};

interface! {
    /// Account: the sum of credits and charges (IEC 62056-6-2 §5.6.2). Amounts are in the account's currency; its scale
    /// is [`Currency::amount`]'s concern.
    Account = 111 "account"
    attributes {
        /// How it is paid, and whether it is open.
        account_mode_and_status = 2: AccountModeAndStatus,
        /// Which entry of the list of credits is in use, from 0.
        current_credit_in_use = 3: u8,
        /// How the credit is.
        current_credit_status = 4: CreditState,
        /// What is left of all credits that are in use or could be.
        available_credit = 5: i32,
        /// What must be paid before supply comes back.
        amount_to_clear = 6: i32,
        /// The amount that counts as cleared.
        clearance_threshold = 7: i32,
        /// What is owed to all charges together.
        aggregated_debt = 8: i32,
        /// The credits.
        credit_reference_list = 9: Vec<Obis>,
        /// The charges.
        charge_reference_list = 10: Vec<Obis>,
        /// Which charges are paid from which credits.
        credit_charge_configuration = 11: Vec<CreditCharge>,
        /// How a token is divided among credits.
        token_gateway_configuration = 12: Vec<TokenShare>,
        /// When the account was or will be opened.
        account_activation_time = 13: Option<DateTime>,
        /// When it was or will be closed.
        account_closure_time = 14: Option<DateTime>,
        /// What amounts are counted in.
        currency = 15: Currency,
        /// Below which the credit is low.
        low_credit_threshold = 16: i32,
        /// From which the next credit may be chosen.
        next_credit_available_threshold = 17: i32,
        /// The most that charges may take in a period.
        max_provision = 18: u16,
        /// The seconds of that period.
        max_provision_period = 19: i32,
    }
    methods { activate_account = 1, close_account = 2, reset_account = 3, }
}

structure! {
    /// How an account is paid, and whether it is open.
    AccountModeAndStatus {
        /// How it is paid.
        account_mode: AccountMode,
        /// Whether it is open.
        account_status: AccountStatus,
    }
}

codes! {
    /// How an account is paid.
    AccountMode {
        /// By bill.
        CREDIT = 1 "credit",
        /// In advance.
        PREPAYMENT = 2 "prepayment",
    }
}

codes! {
    /// Whether an account is open.
    AccountStatus {
        /// Not yet.
        NEW = 1 "new, inactive",
        /// It is.
        ACTIVE = 2 "active",
        /// No more.
        CLOSED = 3 "closed",
    }
}

bits! {
    /// How the credit is.
    CreditState {
        /// There is credit.
        is_in_credit = 0 "in credit",
        /// It is low.
        is_low = 1 "low credit",
        /// There is a next credit.
        is_next_enabled = 2 "next credit enabled",
        /// The next credit may be chosen.
        is_next_selectable = 3 "next credit selectable",
        /// It was chosen.
        is_next_selected = 4 "next credit selected",
        /// A credit that was chosen is in use.
        is_selectable_in_use = 5 "selectable credit in use",
        /// There is none.
        is_out_of_credit = 6 "out of credit",
    }
}

structure! {
    /// A charge that is paid from a credit.
    CreditCharge {
        /// The credit.
        credit_reference: Option<Obis>,
        /// The charge.
        charge_reference: Option<Obis>,
        /// When it is collected though supply is off or limited.
        collection_configuration: Collection,
    }
}

bits! {
    /// When a charge is collected all the same.
    Collection {
        /// While supply is off.
        when_disconnected = 0 "collected when supply is disconnected",
        /// While supply is limited.
        when_limited = 1 "collected in load limiting periods",
        /// While credit is extended.
        in_friendly_credit = 2 "collected in friendly credit periods",
    }
}

structure! {
    /// A credit's share of each token.
    TokenShare {
        /// The credit.
        credit_reference: Obis,
        /// Its share in percent.
        token_proportion: u8,
    }
}

structure! {
    /// What amounts are counted in.
    Currency {
        /// Its name; three letters for money.
        currency_name: Octets,
        /// The power of ten of all amounts.
        currency_scale: i8,
        /// What it is.
        currency_unit: CurrencyUnit,
    }
}

codes! {
    /// What amounts are.
    CurrencyUnit {
        /// Time.
        TIME = 0 "time",
        /// A quantity of what is metered.
        CONSUMPTION = 1 "consumption",
        /// Money.
        MONEY = 2 "monetary",
    }
}

interface! {
    /// Token gateway: takes tokens, and says what became of the last one (§5.6.5).
    TokenGateway = 115 "token gateway"
    attributes {
        /// The last token, where the meter shows it.
        token = 2: Option<Octets>,
        /// When it came.
        token_time = 3: Option<DateTime>,
        /// What it was for.
        token_description = 4: Vec<Octets>,
        /// How it came.
        token_delivery_method = 5: TokenDelivery,
        /// What became of it.
        token_status = 6: TokenStatus,
    }
    methods { enter = 1, }
}

codes! {
    /// How a token came.
    TokenDelivery {
        /// From a head end.
        REMOTE = 0 "remote",
        /// Through a port of the meter.
        LOCAL = 1 "local",
        /// By its keys.
        MANUAL = 2 "manual",
    }
}

structure! {
    /// What became of a token.
    TokenStatus {
        /// How far it came.
        status_code: TokenStatusCode,
        /// What else there is to say.
        data_value: BitString,
    }
}

codes! {
    /// How far a token came.
    TokenStatusCode {
        /// Its form is right.
        FORMAT_OK = 0 "token format result OK",
        /// It is genuine.
        AUTHENTICATION_OK = 1 "authentication result OK",
        /// It is meant for this meter, and new.
        VALIDATION_OK = 2 "validation result OK",
        /// It took effect.
        EXECUTION_OK = 3 "token execution result OK",
        /// Its form is wrong.
        FORMAT_FAILURE = 4 "token format failure",
        /// It is not genuine.
        AUTHENTICATION_FAILURE = 5 "authentication failure",
        /// It is another meter's, or was used before.
        VALIDATION_FAILURE = 6 "validation result failure",
        /// It could not take effect.
        EXECUTION_FAILURE = 7 "token execution result failure",
        /// It waits.
        RECEIVED = 8 "token received and not yet processed",
    }
}

impl Account {
    /// Opens the account.
    #[must_use]
    pub const fn activate_account(self) -> Call {
        Call::new(Self::CLASS, self.0, 1, Value::Integer(0))
    }

    /// Closes the account.
    #[must_use]
    pub const fn close_account(self) -> Call {
        Call::new(Self::CLASS, self.0, 2, Value::Integer(0))
    }
}

impl Currency {
    /// An amount in whole units: francs, hours or kilowatt-hours. `None` where it can't be held.
    #[must_use]
    pub fn amount(&self, amount: i32) -> Option<Decimal> {
        Decimal::from(i64::from(amount)).scaled(self.currency_scale)
    }
}

impl TokenGateway {
    /// Gives the meter a token, which answers with a [`TokenStatus`].
    #[must_use]
    pub const fn enter(self, token: Vec<u8>) -> Call {
        Call::new(Self::CLASS, self.0, 1, Value::OctetString(token))
    }
}

impl TokenStatusCode {
    /// Whether the token took effect; `None` while that is open.
    #[must_use]
    pub const fn took_effect(self) -> Option<bool> {
        match self {
            Self::EXECUTION_OK => Some(true),
            Self(4..=7) => Some(false),
            _ => None,
        }
    }
}
