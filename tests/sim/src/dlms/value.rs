//! Values on the wire: A-XDR (IEC 61334-6) of the COSEM types (IEC 62056-6-2, 4.1.5).

/// Arrays and structures within each other, at most.
const NESTED_MAX: u8 = 8;

/// A value of an attribute, or a parameter of a method.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// null-data
    Null,
    /// array
    Array(Vec<Self>),
    /// structure
    Structure(Vec<Self>),
    /// boolean
    Bool(bool),
    /// bit-string
    Bits(Vec<bool>),
    /// double-long
    I32(i32),
    /// double-long-unsigned
    U32(u32),
    /// octet-string
    Octets(Vec<u8>),
    /// visible-string
    Text(String),
    /// utf8-string
    Utf8(String),
    /// bcd
    Bcd(u8),
    /// integer
    I8(i8),
    /// long
    I16(i16),
    /// unsigned
    U8(u8),
    /// long-unsigned
    U16(u16),
    /// long64
    I64(i64),
    /// long64-unsigned
    U64(u64),
    /// enum
    Enum(u8),
    /// float32
    F32(f32),
    /// float64
    F64(f64),
    /// date-time
    DateTime([u8; 12]),
    /// date
    Date([u8; 5]),
    /// time
    Time([u8; 4]),
}

impl Value {
    /// The bytes of the value, with its tag.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// Appends the bytes of the value.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(0),
            Self::Array(elements) => write_elements(1, elements, out),
            Self::Structure(elements) => write_elements(2, elements, out),
            Self::Bool(value) => out.extend([3, u8::from(*value)]),
            Self::Bits(bits) => {
                out.push(4);
                write_length(bits.len(), out);
                out.extend(packed(bits));
            }
            Self::I32(value) => tagged(5, &value.to_be_bytes(), out),
            Self::U32(value) => tagged(6, &value.to_be_bytes(), out),
            Self::Octets(octets) => write_octets(9, octets, out),
            Self::Text(text) => write_octets(10, text.as_bytes(), out),
            Self::Utf8(text) => write_octets(12, text.as_bytes(), out),
            Self::Bcd(value) => out.extend([13, *value]),
            Self::I8(value) => tagged(15, &value.to_be_bytes(), out),
            Self::I16(value) => tagged(16, &value.to_be_bytes(), out),
            Self::U8(value) => out.extend([17, *value]),
            Self::U16(value) => tagged(18, &value.to_be_bytes(), out),
            Self::I64(value) => tagged(20, &value.to_be_bytes(), out),
            Self::U64(value) => tagged(21, &value.to_be_bytes(), out),
            Self::Enum(value) => out.extend([22, *value]),
            Self::F32(value) => tagged(23, &value.to_be_bytes(), out),
            Self::F64(value) => tagged(24, &value.to_be_bytes(), out),
            Self::DateTime(octets) => tagged(25, octets, out),
            Self::Date(octets) => tagged(26, octets, out),
            Self::Time(octets) => tagged(27, octets, out),
        }
    }

    /// Takes one value off the front of `rest`; `None` when the bytes are none.
    pub fn take(rest: &mut &[u8]) -> Option<Self> {
        take_nested(rest, NESTED_MAX)
    }

    /// The elements of an array or a structure.
    #[must_use]
    pub fn elements(&self) -> &[Self] {
        match self {
            Self::Array(elements) | Self::Structure(elements) => elements,
            _ => &[],
        }
    }

    /// An octet string's octets; those of the date and time types too.
    #[must_use]
    pub fn octets(&self) -> Option<&[u8]> {
        match self {
            Self::Octets(octets) => Some(octets),
            Self::DateTime(octets) => Some(octets),
            Self::Date(octets) => Some(octets),
            Self::Time(octets) => Some(octets),
            Self::Text(text) | Self::Utf8(text) => Some(text.as_bytes()),
            _ => None,
        }
    }

    /// Any whole number.
    #[must_use]
    pub fn number(&self) -> Option<i128> {
        Some(match self {
            Self::I8(value) => (*value).into(),
            Self::I16(value) => (*value).into(),
            Self::I32(value) => (*value).into(),
            Self::I64(value) => (*value).into(),
            Self::U8(value) | Self::Enum(value) | Self::Bcd(value) => (*value).into(),
            Self::U16(value) => (*value).into(),
            Self::U32(value) => (*value).into(),
            Self::U64(value) => (*value).into(),
            Self::Bool(value) => i128::from(*value),
            _ => return None,
        })
    }

    /// Whether the other value has the same tag.
    #[must_use]
    pub fn same_type(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

fn tagged(tag: u8, octets: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend(octets);
}

fn write_elements(tag: u8, elements: &[Value], out: &mut Vec<u8>) {
    out.push(tag);
    write_length(elements.len(), out);
    elements.iter().for_each(|element| element.write(out));
}

fn write_octets(tag: u8, octets: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    write_length(octets.len(), out);
    out.extend(octets);
}

/// A length: one byte below 128, else how many bytes follow, and these.
pub(super) fn write_length(length: usize, out: &mut Vec<u8>) {
    let bytes = length.to_be_bytes();
    if length < 0x80 {
        out.extend(bytes.last());
        return;
    }
    let significant = bytes.iter().position(|byte| *byte != 0).and_then(|at| bytes.get(at..)).unwrap_or_default();
    out.push(0x80 | u8::try_from(significant.len()).unwrap_or_default());
    out.extend(significant);
}

/// Takes a length off the front.
pub(super) fn take_length(rest: &mut &[u8]) -> Option<usize> {
    let first = take_byte(rest)?;
    if first < 0x80 {
        return Some(first.into());
    }
    let count = usize::from(first & 0x7F);
    if count > 4 {
        return None;
    }
    Some(take(rest, count)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
}

/// Takes so many bytes off the front.
pub(super) fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(count)?;
    *rest = after;
    Some(taken)
}

/// Takes one byte off the front.
pub(super) fn take_byte(rest: &mut &[u8]) -> Option<u8> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    Some(*first)
}

/// Takes a fixed number of bytes off the front.
pub(super) fn take_array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    take(rest, N)?.try_into().ok()
}

/// Takes an octet string without a tag: its length and its bytes.
pub(super) fn take_octets<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_length(rest)?;
    take(rest, length)
}

fn take_nested(rest: &mut &[u8], depth: u8) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    Some(match take_byte(rest)? {
        0 => Value::Null,
        1 => Value::Array(take_elements(rest, depth)?),
        2 => Value::Structure(take_elements(rest, depth)?),
        3 => Value::Bool(take_byte(rest)? != 0),
        4 => {
            let count = take_length(rest)?;
            let octets = take(rest, count.div_ceil(8))?;
            Value::Bits(
                octets.iter().flat_map(|octet| (0..8).map(move |bit| octet << bit & 0x80 != 0)).take(count).collect(),
            )
        }
        5 => Value::I32(i32::from_be_bytes(take_array(rest)?)),
        6 => Value::U32(u32::from_be_bytes(take_array(rest)?)),
        9 => Value::Octets(take_octets(rest)?.to_vec()),
        10 => Value::Text(String::from_utf8_lossy(take_octets(rest)?).into_owned()),
        12 => Value::Utf8(String::from_utf8_lossy(take_octets(rest)?).into_owned()),
        13 => Value::Bcd(take_byte(rest)?),
        15 => Value::I8(i8::from_be_bytes(take_array(rest)?)),
        16 => Value::I16(i16::from_be_bytes(take_array(rest)?)),
        17 => Value::U8(take_byte(rest)?),
        18 => Value::U16(u16::from_be_bytes(take_array(rest)?)),
        20 => Value::I64(i64::from_be_bytes(take_array(rest)?)),
        21 => Value::U64(u64::from_be_bytes(take_array(rest)?)),
        22 => Value::Enum(take_byte(rest)?),
        23 => Value::F32(f32::from_be_bytes(take_array(rest)?)),
        24 => Value::F64(f64::from_be_bytes(take_array(rest)?)),
        25 => Value::DateTime(take_array(rest)?),
        26 => Value::Date(take_array(rest)?),
        27 => Value::Time(take_array(rest)?),
        _ => return None,
    })
}

fn take_elements(rest: &mut &[u8], depth: u8) -> Option<Vec<Value>> {
    let count = take_length(rest)?;
    // Each element has one byte at least.
    if count > rest.len() {
        return None;
    }
    (0..count).map(|_| take_nested(rest, depth)).collect()
}

/// Bits as octets, the first in the highest place.
fn packed(bits: &[bool]) -> Vec<u8> {
    bits.chunks(8)
        .map(|octet| octet.iter().zip(0..8u8).fold(0, |packed, (bit, place)| packed | u8::from(*bit) << (7 - place)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_have_their_shortest_form() {
        let written = |length| {
            let mut out = Vec::new();
            write_length(length, &mut out);
            out
        };
        assert_eq!(written(0), [0]);
        assert_eq!(written(127), [127]);
        assert_eq!(written(128), [0x81, 128]);
        assert_eq!(written(300), [0x82, 1, 44]);
    }

    #[test]
    fn a_structure_of_all_sorts_returns() {
        let value = Value::Structure(vec![
            Value::Bits(vec![true, false, true, true, false, false, false, false, true]),
            Value::Array(vec![Value::I8(-3), Value::I8(4)]),
            Value::Text("PLM".into()),
            Value::U64(1 << 40),
            Value::Null,
        ]);
        let bytes = value.bytes();
        assert_eq!(bytes[..6], [2, 5, 4, 9, 0xB0, 0x80]);
        let mut rest = bytes.as_slice();
        assert_eq!(Value::take(&mut rest), Some(value));
        assert!(rest.is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_value_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _value = Value::take(&mut bytes.as_slice());
        }
    }
}
