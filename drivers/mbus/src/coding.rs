//! From bytes to a value: what the blocks say about the coding, and the decoding itself
//! (EN 13757-3:2018, 6.3.3 and annex A).

use crate::block::Vib;
use crate::date::{DateTime, DaylightSaving};
use crate::modifier::{Modifier, RecordStatus};
use crate::quantity::Quantity;
use crate::record::DataField;
use crate::value::{self, Bytes, InvalidValue, Text, Value};
use crate::vif::Meaning;
use plomb_session::Decimal;

/// What quantity and extensions together say about the value's coding.
#[derive(Clone, Copy)]
pub(crate) struct Meant {
    quantity: Quantity,
    pub(crate) unit: &'static str,
    exponent: i8,
    offset: Option<i8>,
    date: bool,
    bits: bool,
    pub(crate) status: RecordStatus,
}

impl Meant {
    #[inline]
    pub(crate) fn of(vib: &Vib<'_>) -> Self {
        let Meaning { quantity, unit, exponent } = vib.meaning;
        let mut meant = Self {
            quantity,
            unit,
            exponent,
            offset: None,
            date: matches!(
                quantity,
                Quantity::Date | Quantity::DateTime | Quantity::TariffStart | Quantity::BatteryChange
            ),
            bits: matches!(
                quantity,
                Quantity::ErrorFlags | Quantity::ErrorMask | Quantity::DigitalInput | Quantity::DigitalOutput
            ),
            status: RecordStatus::None,
        };
        for modifier in vib.modifiers {
            meant.apply(modifier);
        }
        meant
    }

    fn apply(&mut self, modifier: Modifier) {
        match modifier {
            Modifier::Status(status) if status.is_error() => self.status = status,
            Modifier::Scale(power) => self.exponent = self.exponent.saturating_add(power),
            Modifier::Offset(power) => self.offset = Some(power),
            Modifier::Unsigned | Modifier::Bits => self.bits = true,
            Modifier::LimitCount { .. } => (self.unit, self.exponent) = ("", 0),
            _ if modifier.makes_date() => {
                self.date = true;
                self.unit = "";
            }
            _ => {
                if let Some(unit) = modifier.duration() {
                    (self.unit, self.exponent) = (unit, 0);
                }
            }
        }
    }

    /// The decimal in the record's unit.
    fn scale(&self, digits: Decimal) -> Option<Decimal> {
        let offset = match self.offset {
            Some(power) => Decimal::new(1, power).scaled(self.exponent),
            None => return digits.scaled(self.exponent),
        };
        digits.scaled(self.exponent)?.checked_add(offset?)
    }
}

/// How the value's bytes are to be read.
pub(crate) struct Coding {
    pub(crate) field: DataField,
    /// The length byte of a variable-length field.
    pub(crate) length: u8,
    pub(crate) msb_first: bool,
    pub(crate) meant: Meant,
}

/// Widest value that is read as a number.
const NUMBER_BYTES_MAX: usize = 9;

impl Coding {
    pub(crate) fn decode<'a>(&self, data: &'a [u8]) -> Value<'a> {
        let mut ordered = [0; NUMBER_BYTES_MAX];
        let le: &[u8] = if self.msb_first {
            let Some(ordered) = ordered.get_mut(..data.len()) else {
                return self.decode_variable(data, data);
            };
            ordered.copy_from_slice(data);
            ordered.reverse();
            ordered
        } else {
            data
        };
        match self.field {
            DataField::None | DataField::Selection | DataField::Special => Value::None,
            DataField::Integer(_) => self.integer(le, data),
            DataField::Real => self.real(le, data),
            DataField::Bcd(_) => self.digits(value::bcd(le), data),
            DataField::Variable => self.decode_variable(le, data),
        }
    }

    fn integer<'a>(&self, le: &[u8], data: &'a [u8]) -> Value<'a> {
        if self.meant.date
            && let Some(value) = date(le, data)
        {
            return value;
        }
        if self.meant.quantity == Quantity::DaylightSaving
            && let Ok(bytes) = le.try_into()
        {
            return Value::DaylightSaving(DaylightSaving(bytes));
        }
        if self.meant.bits {
            return match value::unsigned(le) {
                Some(number) => self.number(Decimal::from(number), data),
                None => Value::Bytes(Bytes(data)),
            };
        }
        self.number(Decimal::from(value::signed(le)), data)
    }

    fn real<'a>(&self, le: &[u8], data: &'a [u8]) -> Value<'a> {
        let number = le.try_into().ok().map(f32::from_le_bytes);
        match number.and_then(Decimal::from_f32) {
            Some(decimal) => self.number(decimal, data),
            None => Value::invalid(InvalidValue::NotFinite, data),
        }
    }

    fn digits<'a>(&self, digits: Option<i64>, data: &'a [u8]) -> Value<'a> {
        match digits {
            Some(digits) => self.number(Decimal::from(digits), data),
            None => Value::invalid(InvalidValue::NotDecimal, data),
        }
    }

    fn number<'a>(&self, digits: Decimal, data: &'a [u8]) -> Value<'a> {
        match self.meant.scale(digits) {
            Some(decimal) => Value::Number(decimal),
            None => Value::invalid(InvalidValue::Range, data),
        }
    }

    /// The value behind a length byte (table 5).
    fn decode_variable<'a>(&self, le: &[u8], data: &'a [u8]) -> Value<'a> {
        match self.length {
            0x00..=0xBF => Value::Text(Text::new(data, !self.msb_first)),
            0xC0..=0xC9 => self.digits(value::bcd_unsigned(le), data),
            0xD0..=0xD9 => self.digits(value::bcd_unsigned(le).map(|digits| -digits), data),
            0xE0..=0xEF if data.len() <= 8 => self.integer(le, data),
            _ => Value::Bytes(Bytes(data)),
        }
    }
}

/// Bytes that a length byte announces; `None` where it is reserved.
pub(crate) const fn variable_length(length: u8) -> Option<usize> {
    Some(match length {
        0x00..=0xBF => length as usize,
        0xC0..=0xC9 => (length - 0xC0) as usize,
        0xD0..=0xD9 => (length - 0xD0) as usize,
        0xE0..=0xEF => (length - 0xE0) as usize,
        0xF0..=0xF4 => 4 * (length - 0xEC) as usize,
        0xF5 => 48,
        0xF6 => 64,
        _ => return None,
    })
}

/// The date that an integer of a date's width holds.
fn date<'a>(le: &[u8], data: &'a [u8]) -> Option<Value<'a>> {
    let date = match *le {
        [a, b] => DateTime::from_type_g([a, b]),
        [a, b, c] => DateTime::from_type_j([a, b, c]),
        [a, b, c, d] => DateTime::from_type_f([a, b, c, d]),
        [a, b, c, d, e, f] => DateTime::from_type_i([a, b, c, d, e, f]),
        _ => return None,
    };
    if le.iter().all(|byte| *byte == 0xFF) {
        return Some(Value::invalid(InvalidValue::NoDate, data));
    }
    Some(Value::DateTime(date))
}
