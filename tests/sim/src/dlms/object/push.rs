//! Push setup (class 40) and what it pushes.

use super::{Name, Object, capture, metering, name, octets};
use crate::dlms::crypt::{AUTHENTICATED, Control, ENCRYPTED};
use crate::dlms::meter::{Meter, Standing};
use crate::dlms::object::Reference;
use crate::dlms::session::sealed;
use crate::dlms::value::Value;
use std::time::Duration;

pub(in crate::dlms) const PUSH: Name = [0, 0, 25, 9, 0, 255];
/// Notifications that wait for a line, at most; the oldest go first.
const WAITING_MAX: usize = 16;

pub(in crate::dlms) fn objects() -> Vec<Object> {
    let pushed = vec![
        capture(40, PUSH, 1),
        capture(1, name(0, 0, 42, 0, 0), 2),
        capture(8, metering::CLOCK, 2),
        capture(3, name(1, 0, 1, 8, 0), 2),
        capture(3, name(1, 0, 2, 8, 0), 2),
        capture(3, name(1, 0, 1, 7, 0), 2),
        capture(3, name(1, 0, 32, 7, 0), 2),
        capture(3, name(1, 0, 31, 7, 0), 2),
    ];
    let nowhere = Value::Structure(vec![Value::Enum(0), octets(&[]), Value::Enum(0)]);
    vec![
        Object::new(40, 0, PUSH)
            .writable(Value::Array(pushed))
            .writable(nowhere)
            .writable(Value::Array(Vec::new()))
            .writable(Value::U16(0))
            .writable(Value::U8(0))
            .writable(Value::U16(0))
            .methods(1),
    ]
}

impl Meter {
    /// The values that the push setup lists, as they are now; what cannot be read is null-data.
    #[must_use]
    pub fn pushed_values(&self, at: Duration) -> Vec<Value> {
        let listed = self.cell(40, PUSH, 2).map(Value::elements).unwrap_or_default();
        let standing = Standing::of_the_meter(&self.config);
        let reference = |definition: &Value| {
            let [class, at_name, index, _] = definition.elements() else { return None };
            let class = u16::try_from(class.number()?).ok()?;
            let index = i8::try_from(index.number()?).ok()?;
            Some(Reference { class, name: at_name.octets()?.try_into().ok()?, index })
        };
        let read = |definition| self.get(reference(definition)?, None, standing, at).ok();
        listed.iter().map(|definition| read(definition).unwrap_or(Value::Null)).collect()
    }

    /// A DataNotification (IEC 62056-5-3, 7.3.11) of what the push setup lists; ciphered where the meter is
    /// ordered so.
    #[must_use]
    pub fn notification(&mut self, at: Duration) -> Vec<u8> {
        self.notifications = self.notifications.wrapping_add(1) & 0x00FF_FFFF;
        let mut apdu = vec![0x0F];
        apdu.extend(self.notifications.to_be_bytes());
        let stamp = self.config.stamp(self.clock_s(at));
        apdu.push(12);
        apdu.extend(stamp);
        Value::Structure(self.pushed_values(at)).write(&mut apdu);
        if !self.config.push_sealed {
            return apdu;
        }
        let control = Control(AUTHENTICATED | ENCRYPTED | self.config.suite);
        let mut general = vec![0xDB, 8];
        general.extend(self.config.system_title);
        general.extend(sealed(self, &apdu, control, None).unwrap_or_default());
        general
    }

    /// Pushes now: puts a notification where the lines take it.
    pub fn push(&mut self, at: Duration) {
        let notification = self.notification(at);
        if self.outbox.len() >= WAITING_MAX {
            self.outbox.remove(0);
        }
        self.outbox.push(notification);
    }
}
