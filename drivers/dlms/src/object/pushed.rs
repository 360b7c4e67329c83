//! What a push tells: registers out of the layouts that meters use.
//!
//! The standard leaves the layout to the push setup's object list, which a listener does not have. Meters in the field
//! send one of these, and mix them:
//!
//! ```text
//! {code, value}  {code, value, {scaler, unit}}       a structure for each register
//! code, value, code, value, {scaler, unit}, …        all in one structure
//! [{class, code, attribute, index}, …], value, …     the columns, then their values in that order
//! value, value, …                                    without any code
//! ```

use super::profile::{CaptureObject, capture_objects};
use super::unit::ScalerUnit;
use crate::axdr::Value;
use alloc::vec::Vec;
use plomb_session::Obis;

/// The most values that are taken of one push.
pub const PUSHED_COUNT_MAX: usize = 512;

/// One value of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Its code, if the push names it.
    pub obis: Option<Obis>,
    /// The class, if the push names it.
    pub class: Option<u16>,
    /// The value.
    pub value: Value,
    /// Its scaler and unit, if the push has them.
    pub scaler: Option<ScalerUnit>,
}

/// The values of a push's body, in its order.
#[must_use]
pub fn pushed(body: &Value) -> Vec<Pushed> {
    let mut found = Vec::new();
    match body.as_elements() {
        Some(elements) => walk(elements, &mut found),
        None => add(None, None, body, None, &mut found),
    }
    found
}

/// The values of a push whose order the push setup's object list gives. `None` where there are more or fewer of them:
/// then the list has changed.
#[must_use]
pub fn pushed_as(body: &Value, names: &[Option<Obis>]) -> Option<Vec<Pushed>> {
    let elements = body.as_elements().filter(|elements| elements.len() == names.len())?;
    let named = names.iter().zip(elements);
    let named = named.map(|(obis, value)| Pushed { obis: *obis, class: None, value: value.clone(), scaler: None });
    Some(named.take(PUSHED_COUNT_MAX).collect())
}

fn walk(elements: &[Value], found: &mut Vec<Pushed>) {
    if let Some((columns, values)) = columns(elements) {
        for (column, value) in columns.iter().zip(values) {
            // A push names itself as its first column, and sends no value for that, or its own name.
            add(Some(column.attribute.instance), Some(column.attribute.class), value, None, found);
        }
        return;
    }
    let mut rest = elements;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if let (Some(code), Some((value, behind))) = (code(first), behind.split_first())
            && (value.as_elements().is_none() || is_code_list(value))
            && code_or_value(value)
        {
            rest = behind;
            let scaler = rest.first().and_then(ScalerUnit::from_value).filter(|_| value.as_decimal().is_some());
            if scaler.is_some() {
                rest = rest.get(1..).unwrap_or_default();
            }
            add(Some(code), None, value, scaler, found);
            continue;
        }
        match first.as_elements() {
            Some(inner) if ScalerUnit::from_value(first).is_none() || !is_scaler(inner) => walk(inner, found),
            Some(_) => {
                // A scaler that stands alone belongs to the value before.
                if let Some(last) = found.last_mut().filter(|last| last.scaler.is_none()) {
                    last.scaler = ScalerUnit::from_value(first);
                }
            }
            None => add(None, None, first, None, found),
        }
    }
}

fn add(obis: Option<Obis>, class: Option<u16>, value: &Value, scaler: Option<ScalerUnit>, found: &mut Vec<Pushed>) {
    if found.len() < PUSHED_COUNT_MAX {
        found.push(Pushed { obis, class, value: value.clone(), scaler });
    }
}

/// A structure of an integer and an enum, as scalers are.
fn is_scaler(elements: &[Value]) -> bool {
    matches!(elements, [Value::Integer(_), Value::Enum(_)])
}

fn is_code_list(value: &Value) -> bool {
    value.as_elements().is_some_and(<[Value]>::is_empty)
}

/// Two codes in a row are a code and its value only where the second is one of a device's names.
fn code_or_value(value: &Value) -> bool {
    code(value).is_none_or(|code| !matches!(code.0, [.., 255]))
}

/// Six bytes that look like a code: group F is 255, or group A names a medium.
fn code(value: &Value) -> Option<Obis> {
    let Value::OctetString(bytes) = value else { return None };
    let code = <[u8; 6]>::try_from(bytes.as_slice()).ok()?;
    let [a, b, .., f] = code;
    (a <= 15 && (f == 255 || b <= 64)).then_some(Obis(code))
}

/// Columns as the first element, and the values behind them.
fn columns(elements: &[Value]) -> Option<(Vec<CaptureObject>, &[Value])> {
    let (first, values) = elements.split_first()?;
    let columns = capture_objects(first).filter(|columns| !columns.is_empty())?;
    match values {
        // The values may come in a structure of their own.
        [one] if columns.len() > 1 => one.as_elements().map(|values| (columns, values)),
        values => Some((columns, values)),
    }
}
