//! Answers as values.

use std::collections::BTreeMap;

use plomb_session::{Decimal, Obis};
use thiserror::Error;

use crate::{
    Block, Identity, Register, RegisterMap, Span, Table, Value, Wanted, WordOrder,
    value::{Kind, read, scaled},
};

/// The bits of a scale register that has none (SunSpec, `sunssf`).
const NO_SCALE: u64 = 0x8000;

/// What was answered: registers by table and address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    words: BTreeMap<(Table, u16), u16>,
}

impl Image {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the answer to a question. Words beyond the block, or beyond the last address, are left out.
    pub fn put(&mut self, block: Block, words: &[u16]) {
        let addresses = (block.address..=u16::MAX).take(block.words.into());
        self.words.extend(addresses.zip(words).map(|(address, word)| ((block.table, address), *word)));
    }

    /// Registers that follow each other; `None` unless all are there.
    #[must_use]
    pub fn get(&self, table: Table, address: u16, words: u16) -> Option<Vec<u16>> {
        (0..words).map(|at| self.words.get(&(table, address.checked_add(at)?)).copied()).collect()
    }

    fn span(&self, span: &Span) -> Option<Vec<u16>> {
        self.get(span.table, span.address, span.words)
    }
}

/// What a register says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// What the maker calls it.
    pub name: String,
    /// Its OBIS code.
    pub obis: Option<Obis>,
    /// The value, exactly.
    pub value: Value,
    /// The unit; empty for none.
    pub unit: String,
    /// The quantity.
    pub quantity: String,
    /// Whether it is billed on.
    pub billing: bool,
}

/// A meter is not of the map's model, or doesn't say so.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// It says something else.
    #[error("the register at {address} says {found}, and {expected} was expected; is `model` right?")]
    Other {
        /// The register, from 0.
        address: u16,
        /// What it says.
        found: String,
        /// What the map expects.
        expected: String,
    },
    /// The register was not answered.
    #[error("the register at {address}, which tells the model, was not answered; is `model` right?")]
    Unanswered {
        /// The register, from 0.
        address: u16,
    },
}

/// The wanted values, in the map's order. A value whose registers were not answered is left out.
#[must_use]
pub fn decode(map: &RegisterMap, wanted: &Wanted, image: &Image) -> Vec<Measurement> {
    map.wanted(wanted).filter_map(|register| measurement(register, image)).collect()
}

fn measurement(register: &Register, image: &Image) -> Option<Measurement> {
    let words = image.span(&register.span)?;
    let value = read(&words, register.span.kind, register.span.order, &register.absent);
    let scale = match register.scale_at {
        None => Some(None),
        Some(address) => {
            let scale = image.get(register.span.table, address, 1)?;
            match read(&scale, Kind::I16, WordOrder::Abcd, &[NO_SCALE]) {
                Value::Number(Decimal { mantissa, .. }) => i16::try_from(mantissa).ok().map(Some),
                _ => None,
            }
        }
    };
    let value = match scale {
        Some(scale) => scaled(value, register.multiplier, scale, &words),
        // Without its power of ten a number has no meaning.
        None => Value::Absent,
    };
    Some(Measurement {
        name: register.name.clone(),
        obis: register.obis,
        value,
        unit: register.unit.clone(),
        quantity: register.quantity.clone(),
        billing: register.billing,
    })
}

/// The number on the meter, if the map knows where it is and it was answered.
#[must_use]
pub fn serial(map: &RegisterMap, image: &Image) -> Option<String> {
    let span = map.serial.as_ref()?;
    match read(&image.span(span)?, span.kind, span.order, &[]) {
        Value::Number(number) => Some(number.to_string()),
        Value::Text(text) => Some(text),
        Value::Absent | Value::Unreadable(_) => None,
    }
}

/// Checks that a meter is of the map's model, as far as the map can tell.
///
/// # Errors
/// [`IdentityError`], of the first register that differs.
pub fn identify(map: &RegisterMap, image: &Image) -> Result<(), IdentityError> {
    map.identity.iter().try_for_each(|identity| {
        let address = identity.span.address;
        let words = image.span(&identity.span).ok_or(IdentityError::Unanswered { address })?;
        let value = read(&words, identity.span.kind, identity.span.order, &[]);
        if fits(identity, &value) {
            return Ok(());
        }
        Err(IdentityError::Other { address, found: value.to_string(), expected: expected(identity) })
    })
}

fn fits(identity: &Identity, value: &Value) -> bool {
    let text = value.to_string();
    if !identity.expect.is_empty() && !identity.expect.contains(&text) {
        return false;
    }
    match value {
        Value::Number(number) => {
            identity.min.is_none_or(|min| !is_below(*number, min))
                && identity.max.is_none_or(|max| !is_below(max, *number))
        }
        Value::Text(_) => identity.min.is_none() && identity.max.is_none(),
        Value::Absent | Value::Unreadable(_) => false,
    }
}

fn expected(identity: &Identity) -> String {
    match (&identity.expect[..], identity.min, identity.max) {
        ([], Some(min), Some(max)) => format!("{min} to {max}"),
        (expect, ..) => expect.join(" or "),
    }
}

/// Whether one number is less than another.
fn is_below(a: Decimal, b: Decimal) -> bool {
    if a.mantissa.signum() != b.mantissa.signum() {
        return a.mantissa.signum() < b.mantissa.signum();
    }
    let exponent = a.exponent.min(b.exponent);
    let wide = |number: Decimal| {
        let shift = u32::from((i16::from(number.exponent) - i16::from(exponent)).unsigned_abs());
        let power = 10i128.checked_pow(shift)?;
        i128::from(number.mantissa).checked_mul(power)
    };
    match (wide(a), wide(b)) {
        (Some(a), Some(b)) => a < b,
        // The one that does not fit is the one farther from zero.
        (a_fits, _) => a_fits.is_some() == (b.mantissa > 0),
    }
}
