//! Values to meanings: what all interface classes share.

use crate::axdr::{BitString, Date, DateTime, Time, Value};
use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;
use plomb_session::Obis;

/// What can be read of a COSEM value.
///
/// Meters are forgiven the type where the meaning is the same: any whole number for an enum, a number for a boolean, an
/// octet string for a date-time, a structure for an array, and more fields than this project knows, which later
/// versions of a class have.
pub trait FromValue: Sized {
    /// Reads the value.
    ///
    /// # Errors
    /// [`Mismatch`].
    fn from_value(value: &Value) -> Result<Self, Mismatch>;
}

/// What a value is, and what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What was due.
    pub due: &'static str,
    /// The type that came instead.
    pub got: &'static str,
    /// The field of the structure that it stands in.
    pub field: Option<&'static str>,
    /// The outermost array's element that it stands in, from 0.
    pub element: Option<usize>,
}

impl Mismatch {
    pub(super) const fn new(due: &'static str, value: &Value) -> Self {
        Self { due, got: value.type_name(), field: None, element: None }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(element) = self.element {
            write!(f, "element {element}: ")?;
        }
        if let Some(field) = self.field {
            write!(f, "{field}: ")?;
        }
        write!(f, "{} was due, not {}", self.due, self.got)
    }
}

/// The fields of a structure, one after the other.
pub(super) struct Fields<'a> {
    left: core::slice::Iter<'a, Value>,
}

impl<'a> Fields<'a> {
    pub(super) fn of(value: &'a Value) -> Result<Self, Mismatch> {
        let fields = value.as_elements().ok_or(Mismatch::new("a structure", value))?;
        Ok(Self { left: fields.iter() })
    }

    /// The next field.
    pub(super) fn next<T: FromValue>(&mut self, field: &'static str) -> Result<T, Mismatch> {
        let missing = Mismatch { due: "a field", got: "the structure's end", field: Some(field), element: None };
        let value = self.left.next().ok_or(missing)?;
        T::from_value(value).map_err(|wrong| Mismatch { field: wrong.field.or(Some(field)), ..wrong })
    }

    /// The next field, where there is one: later versions of a class have it.
    pub(super) fn later<T: FromValue>(&mut self, field: &'static str) -> Result<Option<T>, Mismatch> {
        if self.left.len() == 0 { Ok(None) } else { self.next(field).map(Some) }
    }
}

/// The elements of an array, of a structure, or of a compact array.
pub(super) fn elements(value: &Value) -> Result<Cow<'_, [Value]>, Mismatch> {
    let wrong = Mismatch::new("an array", value);
    match value {
        Value::CompactArray(array) => array.rows().map(Cow::Owned).map_err(|_| wrong),
        other => other.as_elements().map(Cow::Borrowed).ok_or(wrong),
    }
}

fn whole(value: &Value, due: &'static str) -> Result<i64, Mismatch> {
    match value {
        Value::Float32(_) | Value::Float64(_) => None,
        other => other.as_decimal().map(|number| number.mantissa),
    }
    .ok_or(Mismatch::new(due, value))
}

macro_rules! whole_numbers {
    ($($number:ty: $due:literal,)*) => {$(
        impl FromValue for $number {
            fn from_value(value: &Value) -> Result<Self, Mismatch> {
                Self::try_from(whole(value, $due)?).map_err(|_| Mismatch::new($due, value))
            }
        }
    )*};
}

whole_numbers! {
    u8: "a number of 8 bits",
    u16: "a number of 16 bits",
    u32: "a number of 32 bits",
    i8: "a signed number of 8 bits",
    i16: "a signed number of 16 bits",
    i32: "a signed number of 32 bits",
}

impl FromValue for bool {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        match value {
            Value::Boolean(byte) => Ok(*byte != 0),
            other => whole(other, "a boolean").map(|number| number != 0),
        }
    }
}

impl FromValue for Value {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        Ok(value.clone())
    }
}

/// Bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Octets(pub Vec<u8>);

impl FromValue for Octets {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        let bytes = value.as_octets().ok_or(Mismatch::new("an octet string", value))?;
        Ok(Self(bytes.to_vec()))
    }
}

impl fmt::Display for Octets {
    /// Text in quotes where all of it is printable, else hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match core::str::from_utf8(&self.0) {
            Ok(text) if !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) => {
                write!(f, "\"{text}\"")
            }
            _ => self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

impl FromValue for Obis {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        let six = value.as_octets().and_then(|bytes| bytes.try_into().ok());
        six.map(Self).ok_or(Mismatch::new("a logical name of six bytes", value))
    }
}

impl FromValue for BitString {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        match value {
            Value::BitString(bits) => Ok(bits.clone()),
            // Some meters send a byte where the standard has eight bits.
            Value::Unsigned(byte) => Ok(Self { bytes: [*byte].to_vec(), bits: 8 }),
            other => Err(Mismatch::new("a bit string", other)),
        }
    }
}

impl FromValue for DateTime {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        value.as_date_time().ok_or(Mismatch::new("a date-time of twelve bytes", value))
    }
}

impl FromValue for Date {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        let bytes = match value {
            Value::Date(date) => return Ok(*date),
            other => other.as_octets().and_then(|bytes| bytes.try_into().ok()),
        };
        bytes.map(Self::from_bytes).ok_or(Mismatch::new("a date of five bytes", value))
    }
}

impl FromValue for Time {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        let bytes = match value {
            Value::Time(time) => return Ok(*time),
            other => other.as_octets().and_then(|bytes| bytes.try_into().ok()),
        };
        bytes.map(Self::from_bytes).ok_or(Mismatch::new("a time of four bytes", value))
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        let element = |(nth, value)| T::from_value(value).map_err(|wrong| Mismatch { element: Some(nth), ..wrong });
        elements(value)?.iter().enumerate().map(element).collect()
    }
}

/// Nothing, where the meter sends null or an empty string: a time that never was, an object that isn't there.
impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        match value {
            Value::Null => Ok(None),
            other if other.as_octets().is_some_and(<[u8]>::is_empty) => Ok(None),
            other => T::from_value(other).map(Some),
        }
    }
}

/// A code with names for the known ones. Unknown codes are values.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$code_doc:meta])* $constant:ident = $code:literal $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name(pub u8);

        impl $name {
            $($(#[$code_doc])* pub const $constant: Self = Self($code);)*

            /// The name; `unknown` for a code that the standard does not have.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($code => $text,)*
                    _ => "unknown",
                }
            }
        }

        impl $crate::object::FromValue for $name {
            fn from_value(value: &$crate::axdr::Value) -> Result<Self, $crate::object::Mismatch> {
                let code = <u8 as $crate::object::FromValue>::from_value(value);
                code.map(Self).map_err(|wrong| $crate::object::Mismatch { due: "an enum", ..wrong })
            }
        }

        impl core::fmt::Display for $name {
            /// The name, with the number in brackets.
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{} ({})", self.name(), self.0)
            }
        }
    };
}
pub(super) use codes;

/// A bit string with names for the known bits.
macro_rules! bits {
    ($(#[$doc:meta])* $name:ident { $($(#[$bit_doc:meta])* $bit_fn:ident = $bit:literal $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name(pub $crate::axdr::BitString);

        impl $name {
            $(
                $(#[$bit_doc])*
                #[must_use]
                pub fn $bit_fn(&self) -> bool {
                    self.0.is_set($bit)
                }
            )*

            /// What is set, in words.
            pub fn words(&self) -> impl Iterator<Item = &'static str> + '_ {
                [$(($bit, $text)),*].into_iter().filter(|(bit, _)| self.0.is_set(*bit)).map(|(_, text)| text)
            }
        }

        impl $crate::object::FromValue for $name {
            fn from_value(value: &$crate::axdr::Value) -> Result<Self, $crate::object::Mismatch> {
                <$crate::axdr::BitString as $crate::object::FromValue>::from_value(value).map(Self)
            }
        }
    };
}
pub(super) use bits;

/// A structure whose fields are read in their order.
macro_rules! structure {
    (
        $(#[$doc:meta])*
        $name:ident { $($(#[$field_doc:meta])* $field:ident: $meaning:ty,)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $meaning,)*
        }

        impl $crate::object::FromValue for $name {
            fn from_value(value: &$crate::axdr::Value) -> Result<Self, $crate::object::Mismatch> {
                let mut fields = $crate::object::read::Fields::of(value)?;
                Ok(Self { $($field: fields.next(stringify!($field))?,)* })
            }
        }
    };
}
pub(super) use structure;
