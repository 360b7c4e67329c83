//! Attributes with a meaning, calls of methods, and the tables that interfaces are written in.

use super::read::{FromValue, Mismatch};
use crate::apdu::{AttributeDescriptor, MethodDescriptor};
use crate::axdr::Value;
use core::fmt;
use plomb_session::Obis;
use thiserror::Error;

/// An attribute of an object, and what its value means.
///
/// ```
/// # use plomb_dlms::{axdr::Value, object::{Clock, ClockBase}};
/// let base = Clock("0-0:1.0.0".parse().unwrap()).clock_base();
/// assert_eq!((base.descriptor.class, base.descriptor.attribute), (8, 9));
/// assert_eq!(base.read(&Value::Enum(2)), Ok(ClockBase::MAINS_50_HZ));
/// let wrong = base.read(&Value::Null).unwrap_err().to_string();
/// assert_eq!(wrong, "attribute 9 of 0-0:1.0.0*255 (class 8): an enum was due, not null-data; its raw value is all there is");
/// ```
pub struct Attribute<T> {
    /// What to ask for.
    pub descriptor: AttributeDescriptor,
    meaning: fn(&Value) -> Result<T, Mismatch>,
}

/// A method to be called, with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which.
    pub method: MethodDescriptor,
    /// Its parameters; the standard has `integer (0)` where there is nothing to say.
    pub parameters: Value,
}

/// A new value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which attribute.
    pub attribute: AttributeDescriptor,
    /// Its new value.
    pub value: Value,
}

/// A value is not what the standard says of its attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "attribute {} of {} (class {}): {mismatch}; its raw value is all there is",
    attribute.attribute, attribute.instance, attribute.class
)]
pub struct ObjectError {
    /// Of which attribute.
    pub attribute: AttributeDescriptor,
    /// What is wrong.
    pub mismatch: Mismatch,
}

impl<T> Attribute<T> {
    /// Reads what the meter answered.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub fn read(&self, value: &Value) -> Result<T, ObjectError> {
        (self.meaning)(value).map_err(|mismatch| ObjectError { attribute: self.descriptor, mismatch })
    }

    /// A change to `value`, whose type is the caller's concern.
    #[must_use]
    pub const fn change(&self, value: Value) -> Change {
        Change { attribute: self.descriptor, value }
    }
}

impl<T: FromValue> Attribute<T> {
    /// An attribute by its number.
    #[must_use]
    pub const fn new(class: u16, instance: Obis, attribute: i8) -> Self {
        Self { descriptor: AttributeDescriptor::new(class, instance, attribute), meaning: T::from_value }
    }
}

impl<T> Clone for Attribute<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Attribute<T> {}

impl<T> fmt::Debug for Attribute<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Attribute").field(&self.descriptor).finish()
    }
}

impl<T> From<Attribute<T>> for AttributeDescriptor {
    fn from(attribute: Attribute<T>) -> Self {
        attribute.descriptor
    }
}

impl Call {
    pub(super) const fn new(class: u16, instance: Obis, method: i8, parameters: Value) -> Self {
        Self { method: MethodDescriptor::new(class, instance, method), parameters }
    }
}

/// The names of a class's attributes and methods, as the standard writes them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    pub(super) class: &'static str,
    pub(super) attributes: &'static [(i8, &'static str)],
    pub(super) methods: &'static [(i8, &'static str)],
}

/// An interface class as a table: attributes with their numbers and what they mean, methods with theirs.
macro_rules! interface {
    (
        $(#[$doc:meta])*
        $name:ident = $class:literal $title:literal
        attributes { $($(#[$attribute_doc:meta])* $attribute:ident = $number:literal: $meaning:ty,)* }
        methods { $($method:ident = $method_number:literal,)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name(
            /// The object's logical name.
            pub plomb_session::Obis,
        );

        impl $name {
            /// The number of the class.
            pub const CLASS: u16 = $class;

            pub(super) const NAMES: $crate::object::attribute::Names = $crate::object::attribute::Names {
                class: $title,
                attributes: &[(1, "logical_name"), $(($number, stringify!($attribute)),)*],
                methods: &[$(($method_number, stringify!($method)),)*],
            };

            $(
                $(#[$attribute_doc])*
                #[must_use]
                pub const fn $attribute(self) -> $crate::object::Attribute<$meaning> {
                    $crate::object::Attribute::new($class, self.0, $number)
                }
            )*
        }
    };
}
pub(super) use interface;
