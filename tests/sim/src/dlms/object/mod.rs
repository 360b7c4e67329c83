//! The meter's objects (IEC 62056-6-2): a list of attributes, some of them computed when asked for.

pub(super) mod access;
pub(super) mod control;
pub(super) mod metering;
pub(super) mod prepayment;
pub(super) mod profile;
pub(super) mod push;

use super::value::Value;

/// Data-Access-Result (IEC 62056-5-3, 7.3.3).
pub(super) mod refusal {
    pub(in crate::dlms) const DENIED: u8 = 3;
    pub(in crate::dlms) const UNDEFINED: u8 = 4;
    pub(in crate::dlms) const CLASS_INCONSISTENT: u8 = 9;
    pub(in crate::dlms) const TYPE_UNMATCHED: u8 = 12;
    pub(in crate::dlms) const SCOPE: u8 = 13;
    pub(in crate::dlms) const BLOCK_UNAVAILABLE: u8 = 14;
    pub(in crate::dlms) const NO_LONG_GET: u8 = 16;
    pub(in crate::dlms) const NO_LONG_SET: u8 = 18;
    pub(in crate::dlms) const BLOCK_NUMBER: u8 = 19;
    pub(in crate::dlms) const OTHER: u8 = 250;
}

/// A logical name, OBIS (IEC 62056-6-1).
pub type Name = [u8; 6];

/// An attribute or method of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) class: u16,
    pub(super) name: Name,
    pub(super) index: i8,
}

/// An attribute that is kept; computed ones keep what they look like.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) value: Value,
    pub(super) writable: bool,
}

/// An object.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) class: u16,
    pub(super) version: u8,
    pub(super) name: Name,
    /// Attributes from 2 on.
    pub(super) cells: Vec<Cell>,
    /// How many methods it has.
    pub(super) methods: i8,
    /// Whether the public client may see it.
    pub(super) public: bool,
}

impl Object {
    pub(super) fn new(class: u16, version: u8, name: Name) -> Self {
        Self { class, version, name, cells: Vec::new(), methods: 0, public: false }
    }

    /// Adds the next attribute, to be read only.
    pub(super) fn fixed(mut self, value: Value) -> Self {
        self.cells.push(Cell { value, writable: false });
        self
    }

    /// Adds the next attribute, to be read and written.
    pub(super) fn writable(mut self, value: Value) -> Self {
        self.cells.push(Cell { value, writable: true });
        self
    }

    pub(super) fn methods(mut self, count: i8) -> Self {
        self.methods = count;
        self
    }

    pub(super) fn public(mut self) -> Self {
        self.public = true;
        self
    }

    pub(super) fn cell(&self, index: i8) -> Option<&Cell> {
        self.cells.get(usize::try_from(index).ok()?.checked_sub(2)?)
    }

    pub(super) fn cell_mut(&mut self, index: i8) -> Option<&mut Cell> {
        self.cells.get_mut(usize::try_from(index).ok()?.checked_sub(2)?)
    }

    /// The highest attribute.
    pub(super) fn attributes(&self) -> i8 {
        i8::try_from(self.cells.len()).unwrap_or(i8::MAX - 1) + 1
    }
}

pub(super) fn octets(bytes: &[u8]) -> Value {
    Value::Octets(bytes.to_vec())
}

pub(super) fn name(a: u8, b: u8, c: u8, d: u8, e: u8) -> Name {
    [a, b, c, d, e, 255]
}

/// The definition of a captured attribute (IEC 62056-6-2, 4.3.6).
pub(super) fn capture(class: u16, name: Name, attribute: i8) -> Value {
    Value::Structure(vec![Value::U16(class), octets(&name), Value::I8(attribute), Value::U16(0)])
}

/// A logical name as people write it.
pub(super) fn dotted(name: Name) -> String {
    name.map(|group| group.to_string()).join(".")
}
