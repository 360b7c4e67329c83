//! Notices that another meter answers at a measuring point: then the meter was exchanged, and a bill needs the last
//! registers of the one and the first of the other.

use std::collections::{BTreeMap, BTreeSet};

use plomb_seal::{Event, Function, Meter, Name, Record, Value};

use crate::journal::{Journal, JournalError};

/// How many registers of each meter are entered.
pub const REGISTERS_MAX: usize = 8;
/// How far back the last record of a point is looked for at a start, in entries.
pub const LOOK_BACK_ENTRIES_MAX: usize = 20_000;

/// What was last seen at the points of a line.
#[derive(Debug, Default)]
pub struct Exchanges {
    last: BTreeMap<Name, Seen>,
}

#[derive(Debug)]
struct Seen {
    meter: Meter,
    /// Values with their units, by OBIS code.
    registers: Vec<(String, String)>,
}

impl Exchanges {
    /// Takes up where the journal ends. A point whose last record is further back than [`LOOK_BACK_ENTRIES_MAX`]
    /// counts as new.
    pub fn recall(journal: &Journal, points: &BTreeSet<Name>) -> Result<Self, JournalError> {
        let records = journal.reader().snapshot()?.last_records(points, LOOK_BACK_ENTRIES_MAX)?;
        Ok(Self { last: records.into_iter().map(|(point, record)| (point, Seen::new(&record))).collect() })
    }

    /// Takes what a point's meter said. Gives the event to be entered before it, if it is another meter than the
    /// last time: by identification and manufacturer, as a version changes with the firmware.
    pub fn take(&mut self, point: &Name, record: &Record) -> Option<Event> {
        let now = Seen::new(record);
        let same = |seen: &Seen| {
            (&seen.meter.protocol, &seen.meter.id, &seen.meter.manufacturer)
                == (&now.meter.protocol, &now.meter.id, &now.meter.manufacturer)
        };
        let event = self.last.get(point).filter(|seen| !same(seen)).map(|seen| {
            let mut details = vec![("point".to_string(), point.to_string())];
            for (which, seen) in [("last", seen), ("first", &now)] {
                let meter = &seen.meter;
                details.push((format!("{which}-meter"), format!("{} {}", meter.id, meter.manufacturer)));
                details.extend(seen.registers.iter().map(|(obis, value)| (format!("{which} {obis}"), value.clone())));
            }
            Event { name: "meter-exchanged".into(), details }
        });
        self.last.insert(point.clone(), now);
        event
    }
}

impl Seen {
    fn new(record: &Record) -> Self {
        let present = record.readings.iter().filter(|reading| {
            reading.storage == 0
                && reading.function == Function::Instantaneous
                && matches!(reading.value, Value::Number(_))
        });
        let mut registers: Vec<(String, String)> = Vec::new();
        for reading in present {
            let Some(obis) = reading.obis.map(|obis| obis.to_string()) else { continue };
            if registers.len() < REGISTERS_MAX && !registers.iter().any(|(known, _)| *known == obis) {
                registers.push((obis, format!("{} {}", reading.value, reading.unit).trim_end().to_string()));
            }
        }
        Self { meter: record.meter.clone(), registers }
    }
}
