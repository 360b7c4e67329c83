//! Notices that another meter answers at a measuring point: then the meter was exchanged, and a bill needs the last
//! registers of the one and the first of the other.

use std::collections::{BTreeMap, BTreeSet};

use plomb_seal::{Event, Function, Meter, Name, Record, Value};

use crate::{
    journal::{Journal, JournalError},
    normalise::{NOT_TOLD, add, modbus::is_address_alone},
};

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
    /// The map it was read by, where there is one.
    profile: Option<String>,
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

    /// Puts the identity that is known into a record of a meter which does not tell it this time (a register refused
    /// once is no other meter), and says so in its status.
    pub fn complete(&self, point: &Name, record: &mut Record) {
        let known = self.last.get(point).filter(|seen| {
            seen.meter.protocol == record.meter.protocol && seen.profile == record.profile && is_told(&seen.meter)
        });
        if let Some(seen) = known.filter(|_| !is_told(&record.meter)) {
            record.meter = seen.meter.clone();
            add(&mut record.status, NOT_TOLD.into());
        }
    }

    /// Takes what a point's meter said, [completed](Self::complete). Gives the event to be entered before it, if it is another meter than the
    /// last time: by identification and manufacturer, as a version changes with the firmware.
    pub fn take(&mut self, point: &Name, record: &Record) -> Option<Event> {
        let now = Seen::new(record);
        let same = |seen: &Seen| {
            (&seen.meter.protocol, &seen.meter.id, &seen.meter.manufacturer)
                == (&now.meter.protocol, &now.meter.id, &now.meter.manufacturer)
        };
        // Who said nothing of itself may have been the same.
        let told = |seen: &&Seen| !seen.meter.id.is_empty();
        let event = self.last.get(point).filter(told).filter(|seen| !same(seen)).map(|seen| {
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
        Self { meter: record.meter.clone(), profile: record.profile.clone(), registers }
    }
}

/// Whether a meter said who it is.
fn is_told(meter: &Meter) -> bool {
    !meter.id.is_empty() && !is_address_alone(meter)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use std::time::Duration;

    use plomb_seal::{Clock, Decimal, Occurrence, Reading, SigningKey, Stamp};

    use super::*;
    use crate::journal::Options;

    fn reading(obis: &str, mantissa: i64, storage: u64) -> Reading {
        Reading {
            obis: Some(obis.parse().unwrap()),
            value: Value::Number(Decimal { mantissa, exponent: -3 }),
            unit: "m3".into(),
            quantity: "volume".into(),
            function: Function::Instantaneous,
            storage,
            tariff: 0,
            subunit: 0,
            time: None,
            flags: Vec::new(),
        }
    }

    fn record(id: &str, version: u8, mantissa: i64) -> Record {
        Record {
            meter: Meter { protocol: "mbus".into(), id: id.into(), manufacturer: "ACW".into(), version, medium: 7 },
            readings: vec![reading("8-0:1.0.0*255", mantissa, 0), reading("8-0:1.0.0*1", 5, 1)],
            meter_time: None,
            status: Vec::new(),
            frames: Vec::new(),
            driver: "mbus 0.1.0".into(),
            profile: None,
        }
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn modbus(id: &str, profile: &str) -> Record {
        let meter =
            Meter { protocol: "modbus".into(), id: id.into(), manufacturer: String::new(), version: 0, medium: 2 };
        Record { meter, profile: Some(profile.into()), ..record(id, 0, 1) }
    }

    /// A serial that is refused for once is no other meter, and two meters behind the same address are two.
    #[test]
    fn who_does_not_tell_its_identity_for_once_is_not_exchanged() {
        let (mut exchanges, point) = (Exchanges::default(), name("a"));
        let mut take = |mut record: Record| {
            exchanges.complete(&point, &mut record);
            let event = exchanges.take(&point, &record);
            (record.meter.id, record.status, event.map(|event| event.details[1].1.clone() + &event.details[3].1))
        };
        let said =
            |id: &str, told: bool| (id.to_string(), if told { vec![] } else { vec![NOT_TOLD.to_string()] }, None);
        assert_eq!(take(modbus("unit 1", "em 1")), said("unit 1", true), "nothing better was ever known");
        take(modbus("21000001", "em 1"));
        for _ in 0..2 {
            assert_eq!(take(modbus("unit 1", "em 1")), said("21000001", false));
        }
        assert_eq!(take(modbus("21000001", "em 1")), said("21000001", true));
        assert_eq!(take(modbus("unit 1", "em 1")), said("21000001", false));
        let (id, status, event) = take(modbus("22000002", "em 1"));
        assert_eq!((id.as_str(), status.len()), ("22000002", 0));
        assert!(event.is_some(), "another serial is another meter, also behind a refusal");
        let (id, _, event) = take(modbus("unit 1", "another-model 1"));
        assert!(id == "unit 1" && event.is_some(), "another model is another meter, with or without a serial");
    }

    #[test]
    fn a_first_record_without_any_identity_is_no_meter_that_was_exchanged() {
        let mut exchanges = Exchanges::default();
        assert_eq!(exchanges.take(&name("a"), &record("", 1, 1)), None);
        assert_eq!(exchanges.take(&name("a"), &record("1", 1, 1)), None);
        assert!(exchanges.take(&name("a"), &record("2", 1, 1)).is_some());
    }

    /// The meter is exchanged while the daemon stands still, and again in another epoch of the journal.
    #[test]
    fn another_meter_is_noticed_across_a_start_with_both_registers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.redb");
        let open = || {
            let options = Options { window: Duration::from_secs(1), ..Options::default() };
            let stamp = || Stamp { unix_ms: 1, clock: Clock::Unset };
            Journal::open(&path, name("gw-1"), SigningKey::from_seed(&[1; 32]), options, stamp).unwrap().0
        };
        let journal = open();
        for (point, record) in [("a", record("1", 1, 12_345)), ("a", record("1", 1, 12_400)), ("b", record("7", 1, 1))]
        {
            let ticket = journal.append_blocking(Occurrence::Record(name(point), record), Vec::new());
            drop(ticket.unwrap());
        }
        drop(journal);
        let points = BTreeSet::from([name("a"), name("b"), name("c")]);
        let mut exchanges = Exchanges::recall(&open(), &points).unwrap();
        assert_eq!(exchanges.take(&name("b"), &record("7", 2, 3)), None, "new firmware is no new meter");
        assert_eq!(exchanges.take(&name("c"), &record("9", 1, 3)), None, "nobody was there before");
        let event = exchanges.take(&name("a"), &record("2", 1, 7)).unwrap();
        let details: Vec<_> = event.details.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(event.name, "meter-exchanged");
        assert_eq!(
            details,
            [
                ("point", "a"),
                ("last-meter", "1 ACW"),
                ("last 8-0:1.0.0*255", "12.400 m3"),
                ("first-meter", "2 ACW"),
                ("first 8-0:1.0.0*255", "0.007 m3"),
            ]
        );
        assert_eq!(exchanges.take(&name("a"), &record("2", 1, 8)), None, "told once");
    }
}
