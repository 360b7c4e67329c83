//! Association (class 15), SAP assignment (17), security setup (64).

use super::{Object, name, octets, refusal};
use crate::dlms::config::{Mechanism, MeterConfig};
use crate::dlms::crypt::unwrapped;
use crate::dlms::meter::Meter;
use crate::dlms::value::Value;

/// The current association.
pub(in crate::dlms) const ASSOCIATION: [u8; 6] = [0, 0, 40, 0, 0, 255];
pub(in crate::dlms) const SECURITY: [u8; 6] = [0, 0, 43, 0, 0, 255];

/// Objects about who may do what.
pub(in crate::dlms) fn objects(config: &MeterConfig) -> Vec<Object> {
    let device =
        Value::Structure(vec![Value::U16(config.logical_device), octets(config.logical_device_name().as_bytes())]);
    let association = (2..=9).fold(Object::new(15, 1, ASSOCIATION).public(), |object, index| match index {
        7 => object.writable(octets(&[])),
        _ => object.fixed(Value::Null),
    });
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

/// Keys by their number in a key transfer (IEC 62056-6-2, 4.4.7).
const UNICAST: i128 = 0;
const BROADCAST: i128 = 1;
const AUTHENTICATION: i128 = 2;
const MASTER: i128 = 3;

impl Meter {
    /// Attributes of the security setup that follow from the meter's keys.
    pub(in crate::dlms) fn security_attribute(&self, index: i8) -> Option<Value> {
        match index {
            2 => Some(Value::Enum(self.config.policy)),
            3 => Some(Value::Enum(self.config.suite)),
            _ => None,
        }
    }

    /// Methods of the security setup: activate a policy, transfer keys under the master key.
    pub(in crate::dlms) fn change_security(
        &mut self,
        index: i8,
        parameter: Option<&Value>,
    ) -> Result<Option<Value>, u8> {
        let parameter = parameter.ok_or(refusal::TYPE_UNMATCHED)?;
        match index {
            1 => {
                let policy = parameter.number().and_then(|policy| u8::try_from(policy).ok());
                let policy = policy.ok_or(refusal::TYPE_UNMATCHED)?;
                // A policy can only become stricter.
                if policy & self.config.policy != self.config.policy {
                    return Err(refusal::DENIED);
                }
                self.config.policy = policy;
                Ok(None)
            }
            2 => {
                let mut keys = self.config.keys.clone();
                for transfer in parameter.elements() {
                    let [number, wrapped] = transfer.elements() else { return Err(refusal::TYPE_UNMATCHED) };
                    let wrapped = wrapped.octets().ok_or(refusal::TYPE_UNMATCHED)?;
                    let key = unwrapped(&self.config.keys.master, wrapped).ok_or(refusal::OTHER)?;
                    if key.len() != self.config.keys.unicast.len() {
                        return Err(refusal::OTHER);
                    }
                    let place = match number.number() {
                        Some(UNICAST) => &mut keys.unicast,
                        Some(BROADCAST) => &mut keys.broadcast,
                        Some(AUTHENTICATION) => &mut keys.authentication,
                        Some(MASTER) => &mut keys.master,
                        _ => return Err(refusal::OTHER),
                    };
                    *place = key;
                }
                // The answer still goes out under the old ones.
                self.new_keys = Some(keys);
                Ok(None)
            }
            _ => Err(refusal::OTHER),
        }
    }

    /// The password or the secret of the current association is changed.
    pub(in crate::dlms) fn change_secret(&mut self, value: &Value) -> u8 {
        let Some(secret) = value.octets().filter(|secret| !secret.is_empty()) else { return refusal::TYPE_UNMATCHED };
        match self.config.mechanism {
            Mechanism::Lls => self.config.password = secret.to_vec(),
            Mechanism::Md5 | Mechanism::Sha1 | Mechanism::Sha256 => self.config.hls_secret = secret.to_vec(),
            _ => return refusal::DENIED,
        }
        0
    }
}
