//! Association (class 15), SAP assignment (17), security setup (64).

use super::{Object, name, octets};
use crate::dlms::config::MeterConfig;
use crate::dlms::value::Value;

/// The current association.
pub(in crate::dlms) const ASSOCIATION: [u8; 6] = [0, 0, 40, 0, 0, 255];
pub(in crate::dlms) const SECURITY: [u8; 6] = [0, 0, 43, 0, 0, 255];

/// Objects about who may do what.
pub(in crate::dlms) fn objects(config: &MeterConfig) -> Vec<Object> {
    let device =
        Value::Structure(vec![Value::U16(config.logical_device), octets(config.logical_device_name().as_bytes())]);
    let association = (0..8).fold(Object::new(15, 1, ASSOCIATION).public(), |object, _| object.fixed(Value::Null));
    vec![
        association.methods(1),
        Object::new(17, 0, name(0, 0, 41, 0, 0)).fixed(Value::Array(vec![device])).methods(1).public(),
        Object::new(64, 1, SECURITY)
            .fixed(Value::Enum(config.policy))
            .fixed(Value::Enum(config.suite))
            .fixed(octets(&config.client_title))
            .fixed(octets(&config.system_title))
            .fixed(Value::Array(Vec::new()))
            .methods(8),
    ]
}

/// The association's list of objects (attribute 2).
pub(in crate::dlms) fn object_list<'a>(objects: impl Iterator<Item = &'a Object>) -> Value {
    Value::Array(objects.map(list_element).collect())
}

fn list_element(object: &Object) -> Value {
    let attribute = |index: i8| {
        let writable = object.cell(index).is_some_and(|cell| cell.writable);
        let selectors = match (object.class, index) {
            (7, 2) => Value::Array(vec![Value::I8(1), Value::I8(2)]),
            _ => Value::Null,
        };
        Value::Structure(vec![Value::I8(index), Value::Enum(if writable { 3 } else { 1 }), selectors])
    };
    let method = |index: i8| Value::Structure(vec![Value::I8(index), Value::Enum(1)]);
    let rights = Value::Structure(vec![
        Value::Array((1..=object.attributes()).map(attribute).collect()),
        Value::Array((1..=object.methods).map(method).collect()),
    ]);
    Value::Structure(vec![Value::U16(object.class), Value::U8(object.version), octets(&object.name), rights])
}
