use super::walk::Walk;
use crate::apdu::ApduError;
use crate::axdr::{DEPTH_MAX, Value, ValueError};
use alloc::format;
use alloc::string::String;
use plomb_session::{Obis, ReadError};

const ARRAY: u8 = 1;
const STRUCTURE: u8 = 2;

impl Walk<'_> {
    /// A value, with all that lies in it.
    pub(super) fn value(&mut self, field: &'static str) -> Result<(), ApduError> {
        self.value_at(field, 0)
    }

    fn value_at(&mut self, field: &'static str, depth: usize) -> Result<(), ApduError> {
        let indent = depth.saturating_mul(2);
        let offset = self.reader.offset();
        match self.reader.peek() {
            Some(tag @ (ARRAY | STRUCTURE)) => {
                if depth >= DEPTH_MAX {
                    return Err(ValueError::TooDeep { offset }.into());
                }
                let name = if tag == ARRAY { "array" } else { "structure" };
                let read = |reader: &mut plomb_session::Reader<'_>, _: &mut _| {
                    reader.u8()?;
                    let count = crate::axdr::parse_length(reader)?;
                    let (left, offset) = (reader.left(), reader.offset());
                    // Each element has a byte at least.
                    if count > left {
                        Err(ReadError::Truncated { offset, needed: count, left }.into())
                    } else {
                        Ok(count)
                    }
                };
                let count = self.field(field, read, |count| format!("{:indent$}{name} of {count}", ""))?;
                self.elements(count, depth.saturating_add(1))
            }
            _ => {
                let read =
                    |reader: &mut plomb_session::Reader<'_>, budget: &mut _| Ok(Value::parse_some(reader, budget)?);
                let is_secret = self.is_secret;
                let told = |value: &Value| if is_secret { hidden(value) } else { meaning(value) };
                self.field(field, read, |value| format!("{:indent$}{}", "", told(value))).map(drop)
            }
        }
    }

    fn elements(&mut self, count: usize, depth: usize) -> Result<(), ApduError> {
        for told in 0..count {
            if self.is_full() {
                let left = count.saturating_sub(told);
                let read = |reader: &mut plomb_session::Reader<'_>, budget: &mut _| {
                    (0..left).try_for_each(|_| Value::parse_some(reader, budget).map(drop)).map_err(ApduError::from)
                };
                return self.field("elements", read, |()| format!("{left} more"));
            }
            self.value_at("element", depth)?;
        }
        Ok(())
    }
}

fn hidden(value: &Value) -> String {
    format!("{}, a secret", value.type_name())
}

fn meaning(value: &Value) -> String {
    let name = value.type_name();
    match value {
        Value::Null | Value::DontCare => name.into(),
        Value::OctetString(bytes) => match <[u8; 6]>::try_from(bytes.as_slice()) {
            // Six bytes that end so are a logical name more often than anything else.
            Ok(groups @ [.., 0xFF]) => format!("{name} {value}, {}", Obis(groups)),
            _ => format!("{name} {value}"),
        },
        _ => format!("{name} {value}"),
    }
}
