//! Account, credit, charge, token gateway (IEC 62056-6-2, 4.6).

use super::{Name, Object, octets, refusal};
use crate::dlms::meter::Meter;
use crate::dlms::value::Value;
use std::time::Duration;

const ACCOUNT: Name = [0, 0, 19, 0, 0, 255];
const CREDIT: Name = [0, 0, 19, 10, 0, 255];
const CHARGE: Name = [0, 0, 19, 20, 0, 255];
const TOKEN_GATEWAY: Name = [0, 0, 19, 40, 0, 255];

/// Digits of a token.
const TOKEN_DIGITS: usize = 20;
/// What became of a token (4.6.5, token_status).
const EXECUTED: u8 = 3;
const FORMAT_FAILURE: u8 = 4;
const AUTHENTICATION_FAILURE: u8 = 5;
const VALIDATION_FAILURE: u8 = 6;

/// Tokens that are valid once each, and their worth in cents: secrets of nobody.
pub const TOKENS: [(&str, i32); 4] = [
    ("12345678901234567890", 1_000),
    ("11112222333344445555", 2_000),
    ("99887766554433221100", 5_000),
    ("31415926535897932384", 10_000),
];

pub(in crate::dlms) fn objects() -> Vec<Object> {
    vec![account(), credit(), charge(), gateway()]
}

fn names(all: &[Name]) -> Value {
    Value::Array(all.iter().map(|name| octets(name)).collect())
}

fn account() -> Object {
    let mode = Value::Structure(vec![Value::Enum(1), Value::Enum(2)]);
    let currency = Value::Structure(vec![Value::Utf8("EUR".into()), Value::I8(-2), Value::Enum(0)]);
    let uses = Value::Structure(vec![octets(&CREDIT), octets(&CHARGE), Value::Bits(vec![false; 3])]);
    let gets = Value::Structure(vec![octets(&CREDIT), Value::U8(100)]);
    Object::new(111, 0, ACCOUNT)
        .fixed(mode)
        .fixed(Value::U8(0))
        .fixed(Value::Bits(vec![true, false, false, false, false, false, false, false]))
        .fixed(Value::I32(0))
        .fixed(Value::I32(0))
        .writable(Value::I32(0))
        .fixed(Value::I32(0))
        .fixed(names(&[CREDIT]))
        .fixed(names(&[CHARGE]))
        .writable(Value::Array(vec![uses]))
        .writable(Value::Array(vec![gets]))
        .writable(octets(&[0xFF; 12]))
        .writable(octets(&[0xFF; 12]))
        .writable(currency)
        .writable(Value::I32(500))
        .writable(Value::I32(0))
        .writable(Value::U16(0))
        .writable(Value::I32(0))
        .methods(3)
}

fn credit() -> Object {
    Object::new(112, 0, CREDIT)
        .fixed(Value::I32(750))
        .writable(Value::Enum(0))
        .writable(Value::U8(1))
        .writable(Value::I32(500))
        .writable(Value::I32(0))
        .writable(Value::Bits(vec![false, false, true, false, false]))
        .fixed(Value::Enum(3))
        .writable(Value::I32(0))
        .writable(Value::I32(0))
        .writable(octets(&[0xFF; 12]))
        .methods(3)
}

fn charge() -> Object {
    let commodity = Value::Structure(vec![Value::U16(3), octets(&[1, 0, 1, 8, 0, 255]), Value::I8(2)]);
    let scaling = Value::Structure(vec![Value::I8(-2), Value::I8(-4)]);
    let price = Value::Structure(vec![octets(&[]), Value::I16(31)]);
    let unit_charge = Value::Structure(vec![scaling, commodity, Value::Array(vec![price])]);
    Object::new(113, 0, CHARGE)
        .fixed(Value::I32(12_345))
        .writable(Value::Enum(0))
        .writable(Value::U8(1))
        .fixed(unit_charge.clone())
        .writable(unit_charge)
        .writable(octets(&[0xFF; 12]))
        .writable(Value::U32(3600))
        .writable(Value::Bits(vec![false, true]))
        .fixed(octets(&[0xFF; 12]))
        .fixed(Value::I32(0))
        .fixed(Value::I32(0))
        .writable(Value::U16(0))
        .methods(5)
}

fn gateway() -> Object {
    Object::new(115, 0, TOKEN_GATEWAY)
        .fixed(octets(&[]))
        .fixed(octets(&[0xFF; 12]))
        .fixed(Value::Array(Vec::new()))
        .fixed(Value::Enum(0))
        .fixed(Value::Structure(vec![Value::Enum(8), Value::Bits(Vec::new())]))
        .methods(1)
}

impl Meter {
    /// Attributes that follow from the credit.
    pub(in crate::dlms) fn account_attribute(&self, index: i8) -> Option<Value> {
        if index == 5 { self.cell(112, CREDIT, 2).cloned() } else { None }
    }

    /// The credit that is left, in cents.
    #[must_use]
    pub fn credit(&self) -> i64 {
        let amount = self.cell(112, CREDIT, 2).and_then(Value::number);
        amount.and_then(|amount| i64::try_from(amount).ok()).unwrap_or_default()
    }

    /// Methods of the credit: update by an amount, set to an amount.
    pub(in crate::dlms) fn change_credit(&mut self, index: i8, parameter: Option<&Value>) -> Result<Option<Value>, u8> {
        let Some(Value::I32(amount)) = parameter else { return Err(refusal::TYPE_UNMATCHED) };
        let before = i32::try_from(self.credit()).unwrap_or_default();
        let after = match index {
            1 => before.saturating_add(*amount),
            2 => *amount,
            _ => return Err(refusal::OTHER),
        };
        self.put(112, CREDIT, 2, Value::I32(after));
        // A meter says what the amount was before.
        Ok(if index == 2 { Some(Value::I32(before)) } else { None })
    }

    /// Enters a token of twenty digits. The method succeeds; what became of the token is in its status.
    pub(in crate::dlms) fn enter_token(
        &mut self,
        parameter: Option<&Value>,
        at: Duration,
    ) -> Result<Option<Value>, u8> {
        let token = parameter.and_then(Value::octets).ok_or(refusal::TYPE_UNMATCHED)?.to_vec();
        let known = TOKENS.iter().find(|(digits, _)| digits.as_bytes() == token);
        let status = match known {
            _ if token.len() != TOKEN_DIGITS || !token.iter().all(u8::is_ascii_digit) => FORMAT_FAILURE,
            None => AUTHENTICATION_FAILURE,
            Some((digits, _)) if self.used_tokens.contains(digits) => VALIDATION_FAILURE,
            Some((digits, worth)) => {
                self.used_tokens.push(digits);
                let _before = self.change_credit(1, Some(&Value::I32(*worth)));
                EXECUTED
            }
        };
        let stamp = self.config.stamp(self.clock_s(at));
        self.put(115, TOKEN_GATEWAY, 2, Value::Octets(token));
        self.put(115, TOKEN_GATEWAY, 3, octets(&stamp));
        self.put(115, TOKEN_GATEWAY, 6, Value::Structure(vec![Value::Enum(status), Value::Bits(Vec::new())]));
        Ok(None)
    }
}
