//! A profile on a telegram.

use crate::file::{FromWord, PlaceWord, TransformWord};
use crate::named::{Named, NamedValue};
use crate::profile::{Block, Field, Profile, Rule};
use crate::reading::Slot;
use crate::transform;
use plomb_mbus::{Bytes, Manufacturer, MeterId, Record, Records, Value};
use plomb_wmbus::{Content, Key, ManufacturerPayload};
use thiserror::Error;

/// Why a telegram's own part cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// Nobody here knows how this maker codes this CI.
    #[error("the payload of CI {ci:02X} is {manufacturer}'s own and not supported: no profile reads it")]
    Unsupported {
        /// The maker.
        manufacturer: Manufacturer,
        /// The CI.
        ci: u8,
    },
    /// The bytes end before a value that every such telegram has.
    #[error("`{name}` needs {needed} bytes, the block has {have}: another model, or a broken telegram")]
    Truncated {
        /// The value.
        name: String,
        /// Bytes of the block that it needs.
        needed: usize,
        /// Bytes of the block.
        have: usize,
    },
    /// The model encrypts in its own way, and no key was given.
    #[error("encrypted in {manufacturer}'s own way, and no key is at hand: give the meter's key")]
    KeyMissing {
        /// The maker.
        manufacturer: Manufacturer,
    },
    /// What comes out does not begin as it must.
    #[error("{what} gives no sensible plaintext: another model, another key, or a broken telegram")]
    Scrambled {
        /// What was undone.
        what: &'static str,
    },
}

/// Memory that is used again from telegram to telegram.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
}

impl Profile {
    /// Gives each value that the profile names to `each`, in the telegram's order.
    ///
    /// `meter` is the address as the link or the header reads it: [`Library::identity`](crate::Library::identity)
    /// comes later.
    /// `key` is needed by models that encrypt in their own way. Content that has no records and nothing of
    /// the maker's gives nothing.
    ///
    /// # Errors
    /// [`ReadError`]; values given before it are good.
    pub fn apply(
        &self,
        meter: MeterId,
        content: &Content<'_>,
        key: Option<&Key>,
        memory: &mut Memory,
        each: impl FnMut(&Named<'_>),
    ) -> Result<(), ReadError> {
        match content {
            Content::Records(records) => self.apply_records(meter, *records, memory, each),
            Content::Manufacturer(payload) => self.apply_payload(payload, key, memory, each),
            _ => Ok(()),
        }
    }

    /// [`apply`](Self::apply) on records, as of a wired telegram. A record that cannot be read ends them.
    ///
    /// # Errors
    /// [`ReadError::Truncated`], of the last block that is too short; the others are still read.
    pub fn apply_records(
        &self,
        meter: MeterId,
        records: Records<'_>,
        memory: &mut Memory,
        mut each: impl FnMut(&Named<'_>),
    ) -> Result<(), ReadError> {
        let mut result = Ok(());
        let whole = records.rest();
        for block in self.blocks.iter().filter(|block| block.place == PlaceWord::Records) {
            if block.fits(meter.version, whole) {
                result = block.read(meter, whole, 0, &mut memory.slots, &mut each);
            }
        }
        for record in records.map_while(Result::ok) {
            if let Some(rule) = self.rules.iter().find(|rule| rule.takes(&record)) {
                each(&rule.named(&record, meter));
            }
            for block in self.blocks.iter().filter(|block| block.takes_record(&record)) {
                if block.fits(meter.version, record.data) {
                    let at = record.offset + record.dib.len() + record.vib.len();
                    if let Err(error) = block.read(meter, record.data, at, &mut memory.slots, &mut each) {
                        result = Err(error);
                    }
                }
            }
        }
        result
    }

    /// [`apply`](Self::apply) on a payload in the maker's own coding.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn apply_payload(
        &self,
        payload: &ManufacturerPayload<'_>,
        key: Option<&Key>,
        memory: &mut Memory,
        mut each: impl FnMut(&Named<'_>),
    ) -> Result<(), ReadError> {
        let ManufacturerPayload { meter, ci, bytes, offset } = *payload;
        let Memory { bytes: own, slots } = memory;
        let mut read = false;
        for block in self.blocks.iter().filter(|block| block.takes_payload(ci)) {
            own.clear();
            own.push(ci);
            own.extend_from_slice(bytes);
            if !block.fits(meter.version, own) {
                continue;
            }
            block.transform(meter, key, own)?;
            block.read(meter, own, offset.saturating_sub(1), slots, &mut each)?;
            read = true;
        }
        if read { Ok(()) } else { Err(ReadError::Unsupported { manufacturer: meter.manufacturer, ci }) }
    }
}

impl Rule {
    fn named<'a>(&'a self, record: &Record<'a>, meter: MeterId) -> Named<'a> {
        let (value, unit) = match &self.reading {
            Some(reading) => (reading.decode(record.data, record.data, &[]), reading.unit.as_str()),
            None => (own_value(record), record.unit),
        };
        Named {
            name: &self.name,
            unit,
            // A status among the extensions is part of the VIB that the rule names: the profile knows it.
            value,
            storage: record.storage,
            tariff: record.tariff,
            subunit: record.subunit,
            function: record.function,
            billing: self.billing,
            obis: self.obis.or_else(|| record.obis(meter.medium)),
            offset: record.offset,
        }
    }
}

/// The value that the record has by the standard.
fn own_value<'a>(record: &Record<'a>) -> NamedValue<'a> {
    match record.value {
        Value::None => NamedValue::Absent,
        Value::Number(number) => NamedValue::Number(number),
        Value::Text(text) => NamedValue::Text(text),
        Value::DateTime(date) => NamedValue::DateTime(date),
        Value::DaylightSaving(_) => NamedValue::Bytes(Bytes(record.data)),
        Value::Bytes(bytes) => NamedValue::Bytes(bytes),
        Value::Invalid { bytes, .. } => NamedValue::Invalid(bytes),
    }
}

impl Block {
    fn transform(&self, meter: MeterId, key: Option<&Key>, bytes: &mut [u8]) -> Result<(), ReadError> {
        let (what, fits) = match self.transform {
            TransformWord::None => return Ok(()),
            TransformWord::Prios => ("PRIOS", transform::descramble(meter, bytes)),
            TransformWord::ApatorNa1 => {
                let key = key.ok_or(ReadError::KeyMissing { manufacturer: meter.manufacturer })?;
                ("AES", transform::decrypt_na1(meter, key, bytes))
            }
        };
        if fits { Ok(()) } else { Err(ReadError::Scrambled { what }) }
    }

    /// Reads the fields; `offset` is the first byte's in the telegram.
    fn read(
        &self,
        meter: MeterId,
        bytes: &[u8],
        offset: usize,
        slots: &mut Vec<Slot>,
        each: &mut impl FnMut(&Named<'_>),
    ) -> Result<(), ReadError> {
        slots.clear();
        slots.resize(self.fields.len(), Slot::default());
        if self.tags.is_empty() {
            let address = address(meter);
            let mut reader = Reader { block: bytes, offset, slots, each };
            return self.fields.iter().enumerate().try_for_each(|(at, field)| match field.from {
                FromWord::Block => reader.field(at, field, bytes, 0),
                FromWord::Address => reader.field(at, field, &address, 0),
            });
        }
        let mut reader = Reader { block: bytes, offset, slots, each };
        let mut at = self.start;
        while let Some((tag, rest)) = bytes.get(at..).and_then(<[u8]>::split_first) {
            let Some((_, size)) = self.tags.iter().find(|(known, _)| known == tag) else { break };
            let Some(value) = rest.get(..*size) else { break };
            for (place, field) in self.fields.iter().enumerate().filter(|(_, field)| field.tag == Some(*tag)) {
                reader.field(place, field, value, at + 1)?;
            }
            at += 1 + size;
        }
        let mut untagged = self.fields.iter().enumerate().filter(|(_, field)| field.tag.is_none());
        untagged.try_for_each(|(place, field)| reader.field(place, field, bytes, 0))
    }
}

/// The link layer's address as sent.
fn address(meter: MeterId) -> [u8; 8] {
    let [m0, m1] = meter.manufacturer.0.to_le_bytes();
    let [i0, i1, i2, i3] = meter.id.0.to_le_bytes();
    [m0, m1, i0, i1, i2, i3, meter.version, meter.medium.0]
}

/// Where a block is read to.
struct Reader<'s, 'b, E> {
    block: &'b [u8],
    offset: usize,
    slots: &'s mut [Slot],
    each: &'s mut E,
}

impl<E: FnMut(&Named<'_>)> Reader<'_, '_, E> {
    /// Reads a field and its repetitions from `bytes`, which begin at `base` of the block.
    fn field(&mut self, place: usize, field: &Field, bytes: &[u8], base: usize) -> Result<(), ReadError> {
        if field.reading.is_computed() {
            if let Some(number) = field.reading.compute(self.slots) {
                self.give(place, field, 0, NamedValue::Number(number), base);
            }
            return Ok(());
        }
        for (at, count) in (field.at..).step_by(field.stride.max(1)).zip(0..field.count) {
            let end = at.saturating_add(field.bytes);
            let Some(own) = bytes.get(at..end) else {
                if field.optional || count > 0 {
                    return Ok(());
                }
                let (needed, have) = (base.saturating_add(end), base.saturating_add(bytes.len()));
                return Err(ReadError::Truncated { name: field.name.clone(), needed, have });
            };
            let value = field.reading.decode(own, self.block, self.slots);
            self.give(place, field, count, value, base.saturating_add(at));
        }
        Ok(())
    }

    fn give(&mut self, place: usize, field: &Field, count: u8, value: NamedValue<'_>, at: usize) {
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = Slot {
                number: value.number(),
                date: if let NamedValue::DateTime(date) = value { Some(date) } else { None },
            };
        }
        if field.name.is_empty() {
            return;
        }
        (self.each)(&Named {
            name: &field.name,
            unit: &field.reading.unit,
            value,
            storage: field.storage.saturating_add(count.into()),
            tariff: field.tariff,
            subunit: 0,
            function: field.function,
            billing: field.billing,
            obis: field.obis,
            offset: self.offset.saturating_add(at),
        });
    }
}
