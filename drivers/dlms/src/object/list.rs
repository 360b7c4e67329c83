//! The object list of an association (class 15, attribute 2).

use crate::axdr::Value;
use alloc::vec::Vec;
use plomb_session::Obis;

/// An object that the association shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectEntry {
    /// Its class.
    pub class: u16,
    /// The class's version.
    pub version: u8,
    /// Its logical name.
    pub instance: Obis,
}

/// The objects of a list. What is no object in it is left out.
#[must_use]
pub fn object_list(value: &Value) -> Vec<ObjectEntry> {
    super::read::elements(value).unwrap_or_default().iter().filter_map(entry).collect()
}

fn entry(value: &Value) -> Option<ObjectEntry> {
    let [class, version, instance, ..] = value.as_elements()? else { return None };
    Some(ObjectEntry {
        class: u16::try_from(class.as_unsigned()?).ok()?,
        version: u8::try_from(version.as_unsigned()?).ok()?,
        instance: Obis(instance.as_octets()?.try_into().ok()?),
    })
}
