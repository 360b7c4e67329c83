//! Who is meant: attributes, methods, and parts of attributes.

use super::ApduError;
use crate::axdr::{Budget, DateTime, Value};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use plomb_session::{Obis, Reader};

/// Invoke-Id-And-Priority: which question, whether it is confirmed, and how urgent it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InvokeId(pub u8);

/// An attribute of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttributeDescriptor {
    /// The interface class.
    pub class: u16,
    /// The logical name.
    pub instance: Obis,
    /// The attribute; 1 is the logical name.
    pub attribute: i8,
}

/// A method of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MethodDescriptor {
    /// The interface class.
    pub class: u16,
    /// The logical name.
    pub instance: Obis,
    /// The method, from 1.
    pub method: i8,
}

/// A part of an attribute: the access selector and its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectiveAccess {
    /// 1 by range, 2 by entry, for a profile; others are classes' own.
    pub selector: u8,
    /// What the selector wants.
    pub parameters: Value,
}

impl InvokeId {
    /// A confirmed question of high priority with this number, 0 to 15.
    #[must_use]
    pub const fn new(number: u8) -> Self {
        Self(0xC0 | (number & 0x0F))
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0 & 0x0F
    }
}

impl AttributeDescriptor {
    /// An attribute of an object.
    #[must_use]
    pub const fn new(class: u16, instance: Obis, attribute: i8) -> Self {
        Self { class, instance, attribute }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ApduError> {
        let (class, instance) = (reader.u16_be()?, Obis(reader.array()?));
        Ok(Self { class, instance, attribute: i8::from_be_bytes(reader.array()?) })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.class.to_be_bytes());
        out.extend(self.instance.0);
        out.extend(self.attribute.to_be_bytes());
    }
}

impl MethodDescriptor {
    /// A method of an object.
    #[must_use]
    pub const fn new(class: u16, instance: Obis, method: i8) -> Self {
        Self { class, instance, method }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ApduError> {
        let (class, instance) = (reader.u16_be()?, Obis(reader.array()?));
        Ok(Self { class, instance, method: i8::from_be_bytes(reader.array()?) })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.class.to_be_bytes());
        out.extend(self.instance.0);
        out.extend(self.method.to_be_bytes());
    }
}

impl SelectiveAccess {
    /// The rows of a profile whose value in the column of `object` lies between two, both included
    /// (IEC 62056-6-2, profile generic, selector 1). An empty `columns` asks for all.
    #[must_use]
    pub fn range(object: AttributeDescriptor, from: Value, to: Value, columns: &[AttributeDescriptor]) -> Self {
        let columns = columns.iter().map(capture_object).collect();
        Self {
            selector: 1,
            parameters: Value::Structure(vec![capture_object(&object), from, to, Value::Array(columns)]),
        }
    }

    /// The rows of a profile between two times, both included, by the column of the clock at `instance`.
    #[must_use]
    pub fn between(instance: Obis, from: DateTime, to: DateTime) -> Self {
        let octets = |time: DateTime| Value::OctetString(time.to_bytes().to_vec());
        Self::range(AttributeDescriptor::new(8, instance, 2), octets(from), octets(to), &[])
    }

    /// The rows of a profile from one number to another, from 1, the oldest; 0 as the last row for the
    /// end of the buffer (selector 2). Columns count from 1; 0 as the last for all.
    #[must_use]
    pub fn entries(first: u32, last: u32, first_column: u16, last_column: u16) -> Self {
        let rows = [first, last].map(Value::DoubleLongUnsigned);
        let columns = [first_column, last_column].map(Value::LongUnsigned);
        Self { selector: 2, parameters: Value::Structure(rows.into_iter().chain(columns).collect()) }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ApduError> {
        let selector = reader.u8()?;
        Ok(Self { selector, parameters: Value::parse_some(reader, &mut Budget::new())? })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(self.selector);
        self.parameters.emit(out);
    }
}

/// An attribute as a profile names its columns.
fn capture_object(attribute: &AttributeDescriptor) -> Value {
    Value::Structure(vec![
        Value::LongUnsigned(attribute.class),
        Value::OctetString(attribute.instance.0.to_vec()),
        Value::Integer(attribute.attribute),
        Value::LongUnsigned(0),
    ])
}

/// An attribute, and perhaps a part of it.
pub(super) type Wanted = (AttributeDescriptor, Option<Box<SelectiveAccess>>);

pub(super) fn read_wanted(reader: &mut Reader<'_>) -> Result<Wanted, ApduError> {
    let attribute = AttributeDescriptor::read(reader)?;
    let access = super::read_optional(reader, SelectiveAccess::read)?;
    Ok((attribute, access.map(Box::new)))
}

pub(super) fn write_wanted((attribute, access): &Wanted, out: &mut Vec<u8>) {
    attribute.write(out);
    out.push(u8::from(access.is_some()));
    if let Some(access) = access {
        access.write(out);
    }
}
